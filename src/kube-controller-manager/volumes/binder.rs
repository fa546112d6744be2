//! The persistentvolume binder: a claim gets the smallest volume that fits, or waits for one to be made; a volume whose claim has
//! gone is kept, or given back to who made it.
//!
//! Models `pkg/controller/volume/persistentvolume` (`pv_controller.go`, `index.go`). Left out: recycling (a volume says so by an
//! event), deletion of hostPath volumes below `/tmp` of the controller manager's own machine.

use apimachinery::labels::Selector;
use apimachinery::{Object, ObjectKey, Request, value};
use base::Duration;
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::refs;
use crate::resources::{
    BY_VOLUME, Caches, FREE_VOLUMES, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, PODS_BY_CLAIM, Res, STORAGECLASSES,
    UNBOUND_CLAIMS, gvr,
};
use crate::volumes::{class, quantity, text};

/// Claims that are not bound are tried again so often.
const SYNC_PERIOD: Duration = Duration::from_secs(15);
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

#[derive(Clone, Default)]
pub struct VolumeBinder {}

/// The steps of a binding, one write each.
#[derive(Clone)]
pub enum Stage {
    Volume(Object),
    VolumeStatus(Object),
    Claim(Object),
    /// A volume is Released; whether it is given back comes next.
    Released,
    /// The claim knows its provisioner.
    Provisioner(String),
    Last,
}

fn claim_ref_is(volume: &Object, claim: &Object) -> bool {
    let field = |name: &str| text(volume, &["spec", "claimRef", name]);
    field("namespace") == claim.namespace()
        && field("name") == claim.name()
        && (field("uid").is_empty() || field("uid") == claim.uid())
}

fn volume_mode(object: &Object) -> &str {
    object.str_at(&["spec", "volumeMode"]).unwrap_or("Filesystem")
}

/// What of a volume doesn't do for a claim that names it. Models `checkVolumeSatisfyClaim`.
fn mismatch(volume: &Object, claim: &Object) -> Option<&'static str> {
    let modes = volume.list_at(&["spec", "accessModes"]);
    let wanted = quantity(claim, &["spec", "resources", "requests", "storage"]);
    match () {
        _ if quantity(volume, &["spec", "capacity", "storage"]) < wanted => Some("requested PV is too small"),
        _ if class(volume) != class(claim) => Some("storageClassName does not match"),
        _ if volume_mode(volume) != volume_mode(claim) => Some("incompatible volumeMode"),
        _ if !claim.list_at(&["spec", "accessModes"]).iter().all(|m| modes.contains(m)) => Some("incompatible accessMode"),
        _ => None,
    }
}

/// Whether a volume has all that a claim asks for.
fn satisfies(volume: &Object, claim: &Object) -> bool {
    let selector = claim.at(&["spec", "selector"]);
    let selected =
        selector.is_none() || Selector::from_label_selector(selector).is_ok_and(|selector| selector.matches(volume.labels()));
    mismatch(volume, claim).is_none() && !volume.is_being_deleted() && selected
}

/// The smallest volume that fits, one made for this claim before all others. `delayed`: the scheduler chooses among free ones.
fn best_volume(caches: Caches, claim: &Object, delayed: bool) -> Option<Object> {
    let volumes = caches.store(PERSISTENTVOLUMES);
    let index = format!("{}/{}", claim.namespace(), claim.name());
    let mut meant = volumes.by_index(BY_VOLUME, &index);
    if let Some(volume) = meant.find(|v| claim_ref_is(v, claim) && satisfies(v, claim)) {
        return Some(volume.clone());
    }
    let free = volumes.by_index(BY_VOLUME, FREE_VOLUMES).filter(|v| !delayed && satisfies(v, claim));
    free.min_by_key(|v| (quantity(v, &["spec", "capacity", "storage"]), v.name().to_string())).cloned()
}

/// Whether claims of this class are bound when their first pod is placed.
fn is_delayed(caches: Caches, claim: &Object) -> bool {
    let class = caches.find(STORAGECLASSES, "", class(claim));
    class.is_some_and(|c| text(c, &["volumeBindingMode"]) == "WaitForFirstConsumer")
}

impl VolumeBinder {
    fn sync_claim(&self, claim: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        if claim.annotation(BIND_COMPLETED).is_some() {
            return self.sync_bound_claim(claim, ctx);
        }
        let named = text(claim, &["spec", "volumeName"]);
        if !named.is_empty() {
            return self.sync_named_volume(claim, named, ctx);
        }
        let delayed = is_delayed(ctx.caches, claim);
        match best_volume(ctx.caches, claim, delayed) {
            Some(volume) => self.bind(volume, claim),
            None if api::storage::names_no_class(claim)
                && let Some(default) = api::storage::default_class(ctx.caches.store(STORAGECLASSES).iter().map(|(_, c)| c)) =>
            {
                let mut claim = claim.clone();
                claim.set_at(&["spec", "storageClassName"], default.name());
                let why = format!("{} gets the default class {}", claim.name(), default.name());
                Plan::call(why, Request::update(gvr(PERSISTENTVOLUMECLAIMS), claim), Stage::Last)
            }
            None if delayed && claim.annotation(SELECTED_NODE).is_none() => {
                self.explain_delay(claim, ctx);
                Plan::After(SYNC_PERIOD)
            }
            None if class(claim).is_empty() => {
                let none = "no persistent volumes available for this claim and no storage class is set";
                ctx.normal(claim, "FailedBinding", none);
                Plan::After(SYNC_PERIOD)
            }
            None => self.provision(claim, ctx),
        }
    }

    /// The claim names a volume: it gets this one or none.
    fn sync_named_volume(&self, claim: &Object, name: &str, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(volume) = ctx.caches.find(PERSISTENTVOLUMES, "", name).cloned() else { return Plan::After(SYNC_PERIOD) };
        if volume.at(&["spec", "claimRef"]).is_none() {
            if let Some(why) = mismatch(&volume, claim) {
                let message = format!("Cannot bind to requested volume \"{name}\": {why}");
                ctx.warning(claim, "VolumeMismatch", &message);
                return Plan::After(SYNC_PERIOD);
            }
            return self.bind(volume, claim);
        }
        if claim_ref_is(&volume, claim) {
            return self.bind(volume, claim);
        }
        if claim.annotation(BOUND_BY_CONTROLLER).is_none() {
            let message = format!("volume \"{name}\" already bound to a different claim.");
            ctx.warning(claim, "FailedBinding", &message);
        }
        Plan::After(SYNC_PERIOD)
    }

    /// A bound claim whose volume went is lost.
    fn sync_bound_claim(&self, claim: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        let name = text(claim, &["spec", "volumeName"]);
        let volume = ctx.caches.find(PERSISTENTVOLUMES, "", name).cloned();
        let (reason, message) = match volume {
            _ if name.is_empty() => {
                ("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
            }
            None => ("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
            Some(volume) if volume.at(&["spec", "claimRef"]).is_none() => return self.bind(volume, claim),
            Some(volume) if claim_ref_is(&volume, claim) => {
                return match text(claim, &["status", "phase"]) {
                    "Bound" => Plan::Done,
                    _ => self.claim_status(&volume, claim),
                };
            }
            Some(_) => ("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly"),
        };
        if text(claim, &["status", "phase"]) == "Lost" {
            return Plan::Done;
        }
        ctx.warning(claim, reason, message);
        let mut status = refs::status_of(claim);
        status.set_at(&["phase"], "Lost");
        let call = refs::update_status(PERSISTENTVOLUMECLAIMS, claim, status);
        Plan::call(format!("{} lost its volume", claim.name()), call, Stage::Last)
    }

    fn bind(&self, mut volume: Object, claim: &Object) -> Plan<Stage> {
        if text(&volume, &["spec", "claimRef", "uid"]) == claim.uid() {
            return self.volume_status(&volume, claim);
        }
        let by_us = volume.at(&["spec", "claimRef"]).is_none();
        volume.set_at(
            &["spec", "claimRef"],
            value!({
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": (claim.namespace()), "name": (claim.name()),
                "uid": (claim.uid()), "resourceVersion": (claim.resource_version())
            }),
        );
        if by_us {
            volume.set_at(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
        }
        let why = format!("{} is bound to {}", claim.name(), volume.name());
        Plan::call(why, Request::update(gvr(PERSISTENTVOLUMES), volume), Stage::Volume(claim.clone()))
    }
    fn volume_status(&self, volume: &Object, claim: &Object) -> Plan<Stage> {
        if text(volume, &["status", "phase"]) == "Bound" {
            return self.claim_spec(volume, claim);
        }
        Plan::call(
            format!("{} is Bound", volume.name()),
            phase_of_volume(volume, "Bound", "", ""),
            Stage::VolumeStatus(claim.clone()),
        )
    }
    fn claim_spec(&self, volume: &Object, claim: &Object) -> Plan<Stage> {
        let mut claim = claim.clone();
        if text(&claim, &["spec", "volumeName"]).is_empty() {
            claim.set_at(&["spec", "volumeName"], volume.name());
            claim.set_at(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
        }
        claim.set_at(&["metadata", "annotations", BIND_COMPLETED], "yes");
        let why = format!("{} gets volume {}", claim.name(), volume.name());
        Plan::call(why, Request::update(gvr(PERSISTENTVOLUMECLAIMS), claim), Stage::Claim(volume.clone()))
    }
    fn claim_status(&self, volume: &Object, claim: &Object) -> Plan<Stage> {
        let mut status = refs::status_of(claim);
        status.set_at(&["phase"], "Bound");
        for (field, path) in [("accessModes", ["spec", "accessModes"]), ("capacity", ["spec", "capacity"])] {
            status.set_at(&[field], volume.at(&path).cloned().unwrap_or_default());
        }
        let call = refs::update_status(PERSISTENTVOLUMECLAIMS, claim, status);
        Plan::call(format!("{} is Bound", claim.name()), call, Stage::Last)
    }

    /// Says what a claim waits for whose class binds late. Models `emitEventForUnboundDelayBindingClaim`.
    fn explain_delay(&self, claim: &Object, ctx: &mut Ctx) {
        let index = format!("{}/{}", claim.namespace(), claim.name());
        let users = ctx.caches.store(PODS).by_index(PODS_BY_CLAIM, &index);
        let waiting: Vec<&str> =
            users.filter(|pod| pods::node_name(pod).is_empty() && !pods::is_terminal(pod)).map(Object::name).collect();
        match waiting[..] {
            [] => ctx.normal(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
            [pod] => ctx.normal(claim, "WaitForPodScheduled", &format!("waiting for pod {pod} to be scheduled")),
            _ => {
                let message = format!("waiting for pods {} to be scheduled", waiting.join(","));
                ctx.normal(claim, "WaitForPodScheduled", &message);
            }
        }
    }

    /// Leaves a claim to its class's provisioner. Models `provisionClaim` and `provisionClaimOperationExternal`.
    fn provision(&self, claim: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        let name = class(claim);
        let Some(found) = ctx.caches.find(STORAGECLASSES, "", name) else {
            ctx.warning(claim, "ProvisioningFailed", &format!("storageclass.storage.k8s.io \"{name}\" not found"));
            return Plan::After(SYNC_PERIOD);
        };
        let provisioner = text(found, &["provisioner"]).to_string();
        if provisioner.starts_with("kubernetes.io/") {
            // None of the plugins that were once compiled in makes volumes any more.
            ctx.warning(claim, "ProvisioningFailed", &format!("no volume plugin matched name: {provisioner}"));
            return Plan::After(SYNC_PERIOD);
        }
        if claim.annotation(PROVISIONER) == Some(&provisioner) {
            return self.await_provisioner(claim, &provisioner, ctx);
        }
        let mut claim = claim.clone();
        for annotation in [PROVISIONER_BETA, PROVISIONER] {
            claim.set_at(&["metadata", "annotations", annotation], provisioner.as_str());
        }
        let why = format!("{} is left to {provisioner}", claim.name());
        Plan::call(why, Request::update(gvr(PERSISTENTVOLUMECLAIMS), claim), Stage::Provisioner(provisioner))
    }

    fn await_provisioner(&self, claim: &Object, provisioner: &str, ctx: &mut Ctx) -> Plan<Stage> {
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        ctx.normal(claim, "ExternalProvisioning", &message);
        Plan::After(SYNC_PERIOD)
    }

    /// Models `syncVolume`.
    fn sync_volume(&self, volume: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        let uid = text(volume, &["spec", "claimRef", "uid"]);
        let phase = text(volume, &["status", "phase"]);
        if uid.is_empty() {
            return match phase {
                "Available" => Plan::Done,
                _ => Plan::call(
                    format!("{} is Available", volume.name()),
                    phase_of_volume(volume, "Available", "", ""),
                    Stage::Last,
                ),
            };
        }
        let (namespace, name) = (text(volume, &["spec", "claimRef", "namespace"]), text(volume, &["spec", "claimRef", "name"]));
        match ctx.caches.find(PERSISTENTVOLUMECLAIMS, namespace, name).filter(|claim| claim.uid() == uid) {
            Some(claim) if text(claim, &["spec", "volumeName"]) == volume.name() && phase != "Bound" => {
                Plan::call(format!("{} is Bound", volume.name()), phase_of_volume(volume, "Bound", "", ""), Stage::Last)
            }
            Some(_) => Plan::Done,
            None if matches!(phase, "Released" | "Failed") => self.reclaim(volume, ctx),
            None => {
                Plan::call(format!("{} is Released", volume.name()), phase_of_volume(volume, "Released", "", ""), Stage::Released)
            }
        }
    }

    /// A volume without its claim. Who made it takes it back; what somebody made by hand stays. Models `reclaimVolume`.
    fn reclaim(&self, volume: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        let failed = |reason: &'static str, message: String, ctx: &mut Ctx| {
            if text(volume, &["status", "phase"]) == "Failed" && text(volume, &["status", "message"]) == message {
                return Plan::Done;
            }
            ctx.warning(volume, reason, &message);
            let call = phase_of_volume(volume, "Failed", "", &message);
            Plan::call(format!("{} can't be given back", volume.name()), call, Stage::Last)
        };
        match text(volume, &["spec", "persistentVolumeReclaimPolicy"]) {
            "Delete" => match why_not_deleted(volume) {
                Some(message) => failed("VolumeFailedDelete", message, ctx),
                None => Plan::Done,
            },
            "Recycle" => failed("VolumeFailedRecycle", "No recycler plugin found for the volume!".into(), ctx),
            _ => Plan::Done,
        }
    }
}

/// `None`: whoever provisioned it deletes it.
fn why_not_deleted(volume: &Object) -> Option<String> {
    let name = volume.name();
    match volume.annotation(PROVISIONED_BY) {
        Some(provisioner) if !provisioner.is_empty() && !provisioner.starts_with("kubernetes.io/") => None,
        _ => Some(match volume.str_at(&["spec", "hostPath", "path"]) {
            Some(path) if !path.starts_with("/tmp/") => {
                format!("host_path deleter only supports /tmp/.+ but received provided {path}")
            }
            Some(_) => "deleting directories of the controller manager's own machine is not in this bottle".into(),
            None => format!("error getting deleter volume plugin for volume \"{name}\": no deletable volume plugin matched"),
        }),
    }
}

fn phase_of_volume(volume: &Object, phase: &str, reason: &str, message: &str) -> Request {
    let mut status = refs::status_of(volume);
    status.set_at(&["phase"], phase);
    for (field, text) in [("reason", reason), ("message", message)] {
        match text {
            "" => drop(status.map_mut().remove(field)),
            text => status.set_at(&[field], text),
        }
    }
    refs::update_status(PERSISTENTVOLUMES, volume, status)
}

impl Controller for VolumeBinder {
    /// A claim, or with an empty namespace a volume.
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "persistentvolume-binder-controller";
        Info { name, account: "persistent-volume-binder", source: "persistentvolume-controller", workers: 1 }
    }
    fn watches(&self) -> &'static [Res] {
        &[PERSISTENTVOLUMES, PERSISTENTVOLUMECLAIMS, STORAGECLASSES]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let object = delta.object();
        if res != STORAGECLASSES {
            queue.add(object.key());
        }
        // A claim that goes releases its volume; a volume that comes or is freed, or a class, may serve a claim that waits.
        let claims = queue.caches.store(PERSISTENTVOLUMECLAIMS);
        let others: Vec<ObjectKey> = match res {
            PERSISTENTVOLUMECLAIMS => {
                let index = format!("{}/{}", object.namespace(), object.name());
                queue.caches.store(PERSISTENTVOLUMES).by_index(BY_VOLUME, &index).map(Object::key).collect()
            }
            PERSISTENTVOLUMES if object.at(&["spec", "claimRef"]).is_some() => {
                let (namespace, name) =
                    (text(object, &["spec", "claimRef", "namespace"]), text(object, &["spec", "claimRef", "name"]));
                claims.find(namespace, name).map(Object::key).into_iter().collect()
            }
            _ => claims.by_index(BY_VOLUME, UNBOUND_CLAIMS).map(Object::key).collect(),
        };
        others.into_iter().for_each(|key| queue.add(key));
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        if key.namespace.is_empty() {
            return match ctx.caches.get(PERSISTENTVOLUMES, key).cloned() {
                Some(volume) => self.sync_volume(&volume, ctx),
                None => Plan::Done,
            };
        }
        match ctx.caches.get(PERSISTENTVOLUMECLAIMS, key).cloned() {
            Some(claim) if !claim.is_being_deleted() => self.sync_claim(&claim, ctx),
            _ => Plan::Done,
        }
    }
    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        if let Some(error) = failure(outcomes) {
            return if outcomes[0].is_not_found() { Plan::Done } else { Plan::Retry(error) };
        }
        let Some(written) = outcomes[0].ok() else { return Plan::Done };
        match stage {
            Stage::Volume(claim) => self.volume_status(written, &claim),
            Stage::VolumeStatus(claim) => self.claim_spec(written, &claim),
            Stage::Claim(volume) => self.claim_status(&volume, written),
            Stage::Released => self.reclaim(written, ctx),
            Stage::Provisioner(provisioner) => self.await_provisioner(written, &provisioner, ctx),
            Stage::Last => Plan::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::Value;

    fn object(v: Value) -> Object {
        Object::from_value(v).expect("a map was built")
    }
    fn claim(spec: Value) -> Object {
        object(value!({"metadata": {"name": "c", "namespace": "default", "uid": "u"}, "spec": spec}))
    }
    fn volume(name: &str, spec: Value) -> Object {
        object(value!({"metadata": {"name": name}, "spec": spec}))
    }

    #[test]
    fn a_named_volume_says_why_it_does_not_do() {
        let wanted = |size: &str, class: &str, mode: &str| {
            claim(value!({"resources": {"requests": {"storage": size}}, "storageClassName": class, "accessModes": [mode]}))
        };
        let pv =
            volume("pv", value!({"capacity": {"storage": "1Gi"}, "storageClassName": "s", "accessModes": ["ReadWriteOnce"]}));
        for (claim, why) in [
            (wanted("1Gi", "s", "ReadWriteOnce"), None),
            (wanted("2Gi", "s", "ReadWriteOnce"), Some("requested PV is too small")),
            (wanted("1Gi", "", "ReadWriteOnce"), Some("storageClassName does not match")),
            (wanted("1Gi", "s", "ReadWriteMany"), Some("incompatible accessMode")),
        ] {
            assert_eq!(mismatch(&pv, &claim), why);
        }
    }

    #[test]
    fn only_provisioners_delete_what_they_made() {
        let by = |who: &str| {
            let mut pv = volume("pv", value!({"hostPath": {"path": "/srv/x"}}));
            pv.set_at(&["metadata", "annotations", PROVISIONED_BY], who);
            pv
        };
        assert_eq!(why_not_deleted(&by("rancher.io/local-path")), None);
        let plain = volume("pv", value!({"hostPath": {"path": "/srv/x"}}));
        let text = "host_path deleter only supports /tmp/.+ but received provided /srv/x";
        assert_eq!(why_not_deleted(&plain).as_deref(), Some(text));
        let local = volume("pv", value!({"local": {"path": "/mnt"}}));
        let text = "error getting deleter volume plugin for volume \"pv\": no deletable volume plugin matched";
        assert_eq!(why_not_deleted(&local).as_deref(), Some(text));
    }
}
