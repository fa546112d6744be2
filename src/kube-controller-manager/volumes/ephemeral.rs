//! Makes the claims of generic ephemeral volumes: `<pod>-<volume>`, owned by the pod, so that it goes with it. Models
//! `pkg/controller/volume/ephemeral`.

use apimachinery::{Object, ObjectKey, Request, Value, value};
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::refs::namespace_terminating;
use crate::resources::{PERSISTENTVOLUMECLAIMS, PODS, Res, gvr};
use crate::volumes::ephemeral_claim;

#[derive(Clone, Default)]
pub struct EphemeralVolumeController {}

fn has_ephemeral(pod: &Object) -> bool {
    pod.list_at(&["spec", "volumes"]).iter().any(|v| v.get("ephemeral").is_some())
}

fn is_owned(claim: &Object, pod: &Object) -> bool {
    claim.owner_references().iter().any(|o| o.str_at(&["uid"]) == Some(pod.uid()))
}

/// The claim that a volume's template describes.
fn claim(pod: &Object, name: String, volume: &Value) -> Object {
    let template = volume.at(&["ephemeral", "volumeClaimTemplate"]).cloned().unwrap_or_default();
    let mut claim = value!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": (pod.namespace()), "ownerReferences": [(pod.new_controller_ref())]},
        "spec": (template.get("spec").cloned().unwrap_or_default())
    });
    for field in ["labels", "annotations"] {
        if let Some(v) = template.at(&["metadata", field]) {
            claim.set_at(&["metadata", field], v);
        }
    }
    Object::from_value(claim).expect("a map was built")
}

impl Controller for EphemeralVolumeController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "ephemeral-volume-controller";
        Info { name, account: name, source: "ephemeral_volume", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[PODS, PERSISTENTVOLUMECLAIMS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let object = delta.object();
        match res {
            // Volumes of a pod never change.
            PODS if delta.old.is_none() && has_ephemeral(object) => queue.add(object.key()),
            PERSISTENTVOLUMECLAIMS if delta.new.is_none() => {
                if let Some(owner) = object.controller_ref().filter(|o| o.str_at(&["kind"]) == Some("Pod")) {
                    queue.add(ObjectKey::new(object.namespace(), owner.str_at(&["name"]).unwrap_or("")));
                }
            }
            _ => {}
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(pod) = ctx.caches.get(PODS, key) else { return Plan::Done };
        if pod.is_being_deleted() || pods::is_terminal(pod) {
            return Plan::Done;
        }
        let mut calls = Vec::new();
        for volume in pod.list_at(&["spec", "volumes"]) {
            let Some(name) = ephemeral_claim(pod, volume) else { continue };
            match ctx.caches.find(PERSISTENTVOLUMECLAIMS, pod.namespace(), &name) {
                Some(found) if is_owned(found, pod) => {}
                Some(_) => {
                    let at = pod.namespace();
                    return Plan::retry(format!("PVC {at}/{name} was not created for pod {key} (pod is not owner)"));
                }
                None => calls.push(Request::create(gvr(PERSISTENTVOLUMECLAIMS), claim(pod, name, volume))),
            }
        }
        if calls.is_empty() {
            return Plan::Done;
        }
        Plan::calls(format!("{key} needs {} claims", calls.len()), calls, ())
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        if outcomes.iter().all(|o| o.ok().is_some() || namespace_terminating(o)) {
            return Plan::Done;
        }
        failure(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}
