//! The ttl controller: tells kubelets how long they may keep Secrets and ConfigMaps, by the size of the cluster. Models `pkg/controller/ttl`.

use apimachinery::{Object, ObjectKey, PatchType, Request, value};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::resources::{NODES, Res, gvr};

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";
/// From so many nodes down to so many the time holds.
const STEPS: &[(usize, usize, i64)] = &[(0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, usize::MAX, 300)];

#[derive(Clone, Default)]
pub struct TtlController {
    nodes: usize,
    step: usize,
}

impl Controller for TtlController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        Info { name: "ttl-controller", account: "ttl-controller", source: "ttl-controller", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[NODES]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        match (&delta.old, &delta.new) {
            (None, Some(_)) => self.nodes += 1,
            (Some(_), None) => self.nodes = self.nodes.saturating_sub(1),
            _ => {}
        }
        if self.nodes > STEPS[self.step].1 {
            self.step += 1;
        } else if self.nodes < STEPS[self.step].0 {
            self.step -= 1;
        }
        if delta.new.as_ref().is_some_and(|node| node.annotation(ANNOTATION) != Some(&*self.wanted())) {
            queue.add(delta.object().key());
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let wanted = self.wanted();
        let stale = |node: &Object| node.annotation(ANNOTATION) != Some(&*wanted);
        if !ctx.caches.get(NODES, key).is_some_and(stale) {
            return Plan::Done;
        }
        let patch = value!({"metadata": {"annotations": {"node.alpha.kubernetes.io/ttl": (&wanted)}}});
        let call = Request::patch(gvr(NODES), key, PatchType::StrategicMerge, patch);
        Plan::call(format!("{key} may cache for {wanted} s"), call, ())
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}

impl TtlController {
    fn wanted(&self) -> String {
        STEPS[self.step].2.to_string()
    }
}
