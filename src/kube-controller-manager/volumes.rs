//! The persistentvolume binder and the two protection controllers.
//!
//! Models `pkg/controller/volume/{persistentvolume,pvcprotection,pvprotection}`. Static binding only: no provisioner is in the bottle,
//! which the events say by name. Left out: recycling and deletion of volumes, expansion, attach and detach.

use apimachinery::labels::Selector;
use apimachinery::{Object, ObjectKey, Quantity, Request, Value, value};
use base::Duration;
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure, failure_but_not_found};
use crate::refs;
use crate::resources::{
    BY_VOLUME, Caches, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, PODS_BY_CLAIM, Res, STORAGECLASSES, gvr,
};

/// Claims that are not bound are tried again so often.
const SYNC_PERIOD: Duration = Duration::from_secs(15);
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

#[derive(Clone, Default)]
pub struct VolumeBinder {}

/// The steps of a binding, one write each.
#[derive(Clone)]
pub enum Stage {
    Volume(Object),
    VolumeStatus(Object),
    Claim(Object),
    Last,
}

fn class(object: &Object) -> &str {
    object.str_at(&["spec", "storageClassName"]).unwrap_or("")
}
fn text<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    object.str_at(path).unwrap_or("")
}
fn storage(object: &Object, path: &[&str]) -> Option<Quantity> {
    object.at(path).and_then(|v| Quantity::from_value(v).ok())
}
fn claim_ref_is(volume: &Object, claim: &Object) -> bool {
    let field = |name: &str| text(volume, &["spec", "claimRef", name]);
    field("namespace") == claim.namespace()
        && field("name") == claim.name()
        && (field("uid").is_empty() || field("uid") == claim.uid())
}

/// Whether a volume has all that a claim asks for.
fn satisfies(volume: &Object, claim: &Object) -> bool {
    let modes = volume.list_at(&["spec", "accessModes"]);
    let selector = claim.at(&["spec", "selector"]);
    let selected =
        selector.is_none() || Selector::from_label_selector(selector).is_ok_and(|selector| selector.matches(volume.labels()));
    let mode = |o: &Object| o.str_at(&["spec", "volumeMode"]).unwrap_or("Filesystem").to_string();
    let wanted = storage(claim, &["spec", "resources", "requests", "storage"]);
    class(volume) == class(claim)
        && !volume.is_being_deleted()
        && mode(volume) == mode(claim)
        && claim.list_at(&["spec", "accessModes"]).iter().all(|m| modes.contains(m))
        && storage(volume, &["spec", "capacity", "storage"]) >= wanted
        && selected
}

/// The smallest volume that fits, one made for this claim before all others.
fn best_volume(caches: Caches, claim: &Object) -> Option<Object> {
    let volumes = || caches.store(PERSISTENTVOLUMES).objects();
    let meant = volumes().find(|v| v.at(&["spec", "claimRef"]).is_some() && claim_ref_is(v, claim) && satisfies(v, claim));
    let free = volumes().filter(|v| v.at(&["spec", "claimRef"]).is_none() && satisfies(v, claim));
    meant.or_else(|| free.min_by_key(|v| storage(v, &["spec", "capacity", "storage"]))).cloned()
}

impl VolumeBinder {
    fn sync_claim(&self, claim: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        if claim.annotation(BIND_COMPLETED).is_some() {
            return self.sync_bound_claim(claim, ctx);
        }
        let named = text(claim, &["spec", "volumeName"]);
        let volume = match named.is_empty() {
            false => ctx.caches.find(PERSISTENTVOLUMES, "", named).cloned(),
            true => best_volume(ctx.caches, claim),
        };
        match volume {
            Some(volume) if volume.at(&["spec", "claimRef"]).is_none() || claim_ref_is(&volume, claim) => {
                self.bind(volume, claim)
            }
            Some(_) => Plan::After(SYNC_PERIOD),
            None => {
                if named.is_empty() {
                    self.explain(claim, ctx);
                }
                Plan::After(SYNC_PERIOD)
            }
        }
    }

    /// A bound claim whose volume went is lost.
    fn sync_bound_claim(&self, claim: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        let volume = ctx.caches.find(PERSISTENTVOLUMES, "", text(claim, &["spec", "volumeName"]));
        match volume {
            Some(volume) if claim_ref_is(volume, claim) => match text(claim, &["status", "phase"]) {
                "Bound" => Plan::Done,
                _ => self.claim_status(volume, claim),
            },
            _ if text(claim, &["status", "phase"]) != "Lost" => {
                let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
                ctx.warning(claim, "ClaimLost", message);
                let mut status = refs::status_of(claim);
                status.set_at(&["phase"], "Lost");
                let call = refs::update_status(PERSISTENTVOLUMECLAIMS, claim, status);
                Plan::call(format!("{} lost its volume", claim.name()), call, Stage::Last)
            }
            _ => Plan::Done,
        }
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
        let mut status = refs::status_of(volume);
        status.set_at(&["phase"], "Bound");
        let call = refs::update_status(PERSISTENTVOLUMES, volume, status);
        Plan::call(format!("{} is Bound", volume.name()), call, Stage::VolumeStatus(claim.clone()))
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

    /// Says why a claim waits.
    fn explain(&self, claim: &Object, ctx: &mut Ctx) {
        let name = class(claim);
        let none = "no persistent volumes available for this claim and no storage class is set";
        if name.is_empty() {
            return ctx.normal(claim, "FailedBinding", none);
        }
        let Some(storage_class) = ctx.caches.find(STORAGECLASSES, "", name).cloned() else {
            return ctx.warning(claim, "ProvisioningFailed", &format!("storageclass.storage.k8s.io \"{name}\" not found"));
        };
        let waits = text(&storage_class, &["volumeBindingMode"]) == "WaitForFirstConsumer";
        if waits && claim.annotation("volume.kubernetes.io/selected-node").is_none() {
            let message = "waiting for first consumer to be created before binding";
            return ctx.normal(claim, "WaitForFirstConsumer", message);
        }
        match text(&storage_class, &["provisioner"]) {
            "kubernetes.io/no-provisioner" => ctx.normal(claim, "FailedBinding", none),
            provisioner => {
                let message = format!(
                    "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
                     system administrator. If volume creation is delayed, please verify that the provisioner is running and \
                     correctly registered."
                );
                ctx.normal(claim, "ExternalProvisioning", &message);
            }
        }
    }

    fn sync_volume(&self, volume: &Object, ctx: &mut Ctx) -> Plan<Stage> {
        let phase = match text(volume, &["spec", "claimRef", "uid"]) {
            "" => "Available",
            uid => {
                let (namespace, name) =
                    (text(volume, &["spec", "claimRef", "namespace"]), text(volume, &["spec", "claimRef", "name"]));
                match ctx.caches.find(PERSISTENTVOLUMECLAIMS, namespace, name) {
                    Some(claim) if claim.uid() == uid => return Plan::Done,
                    _ => "Released",
                }
            }
        };
        if text(volume, &["status", "phase"]) == phase {
            return Plan::Done;
        }
        if phase == "Released" && text(volume, &["spec", "persistentVolumeReclaimPolicy"]) == "Delete" {
            let message = "error getting deleter volume plugin for volume: no volume plugin is in this bottle";
            ctx.warning(volume, "VolumeFailedDelete", message);
        }
        let mut status = refs::status_of(volume);
        status.set_at(&["phase"], phase);
        let call = refs::update_status(PERSISTENTVOLUMES, volume, status);
        Plan::call(format!("{} is {phase}", volume.name()), call, Stage::Last)
    }
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
        // A claim that goes releases its volume; a volume or class that comes may serve a claim that waits.
        let others: Vec<ObjectKey> = match res {
            PERSISTENTVOLUMECLAIMS => {
                let index = format!("{}/{}", object.namespace(), object.name());
                queue.caches.store(PERSISTENTVOLUMES).by_index(BY_VOLUME, &index).map(Object::key).collect()
            }
            _ => {
                let claims = queue.caches.store(PERSISTENTVOLUMECLAIMS).objects();
                claims.filter(|claim| text(claim, &["status", "phase"]) != "Bound").map(Object::key).collect()
            }
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
    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], _: &mut Ctx) -> Plan<Stage> {
        if let Some(error) = failure(outcomes) {
            return if outcomes[0].is_not_found() { Plan::Done } else { Plan::Retry(error) };
        }
        let Some(written) = outcomes[0].ok() else { return Plan::Done };
        match stage {
            Stage::Volume(claim) => self.volume_status(written, &claim),
            Stage::VolumeStatus(claim) => self.claim_spec(written, &claim),
            Stage::Claim(volume) => self.claim_status(&volume, written),
            Stage::Last => Plan::Done,
        }
    }
}

/// Keeps claims that pods use, and volumes that are bound, from going: removes the finalizer when they may.
#[derive(Clone)]
pub struct Protection {
    res: Res,
    finalizer: &'static str,
    info: Info,
}

impl Protection {
    pub fn claims() -> Protection {
        let name = "persistentvolumeclaim-protection-controller";
        let info = Info { name, account: "pvc-protection-controller", source: name, workers: 1 };
        Protection { res: PERSISTENTVOLUMECLAIMS, finalizer: "kubernetes.io/pvc-protection", info }
    }
    pub fn volumes() -> Protection {
        let name = "persistentvolume-protection-controller";
        let info = Info { name, account: "pv-protection-controller", source: name, workers: 1 };
        Protection { res: PERSISTENTVOLUMES, finalizer: "kubernetes.io/pv-protection", info }
    }
    fn is_used(&self, object: &Object, caches: Caches) -> bool {
        if self.res == PERSISTENTVOLUMES {
            return text(object, &["status", "phase"]) == "Bound";
        }
        let index = format!("{}/{}", object.namespace(), object.name());
        caches.store(PODS).by_index(PODS_BY_CLAIM, &index).any(|pod| !pods::is_terminal(pod) && !pods::node_name(pod).is_empty())
    }
}

impl Controller for Protection {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        self.info
    }
    fn watches(&self) -> &'static [Res] {
        if self.res == PERSISTENTVOLUMES { &[PERSISTENTVOLUMES] } else { &[PERSISTENTVOLUMECLAIMS, PODS] }
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let object = delta.object();
        if res == self.res {
            if delta.new.is_some() {
                queue.add(object.key());
            }
            return;
        }
        if delta.new.as_ref().is_some_and(|pod| !pods::is_terminal(pod)) {
            return;
        }
        for volume in object.list_at(&["spec", "volumes"]) {
            if let Some(claim) = volume.str_at(&["persistentVolumeClaim", "claimName"]) {
                queue.add(ObjectKey::new(object.namespace(), claim));
            }
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(object) = ctx.caches.get(self.res, key) else { return Plan::Done };
        let has = object.finalizers().iter().any(|f| f.as_str() == Some(self.finalizer));
        let mut finalizers: Vec<Value> = object.finalizers().to_vec();
        match (object.is_being_deleted(), has) {
            (true, true) if !self.is_used(object, ctx.caches) => finalizers.retain(|f| f.as_str() != Some(self.finalizer)),
            (false, false) => finalizers.push(self.finalizer.into()),
            _ => return Plan::Done,
        }
        // An update, not a patch: its role allows no more.
        let mut object = object.clone();
        object.set_at(&["metadata", "finalizers"], finalizers);
        let why = if has { "may go" } else { "is protected" };
        Plan::call(format!("{key} {why}"), Request::update(gvr(self.res), object), ())
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}
