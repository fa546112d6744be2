//! Keeps claims that pods use, and volumes that are bound, from going before their users. Models
//! `pkg/controller/volume/{pvcprotection,pvprotection}`.

use apimachinery::{Object, ObjectKey, Request, Value};
use client_go::{Delta, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::resources::{Caches, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, PODS_BY_CLAIM, Res, gvr};
use crate::volumes::{claims_of, text};

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
        claims_of(object).for_each(|claim| queue.add(ObjectKey::new(object.namespace(), &claim)));
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
