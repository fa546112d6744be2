//! Volume expansion: a bound claim that asks for more than it has. Models `pkg/controller/volume/expand`: no plugin that is compiled
//! in can expand a volume any more, so the claim is left to an external controller, which an event says. None is in the bottle.

use apimachinery::{Object, ObjectKey};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Plan};
use crate::resources::{PERSISTENTVOLUMECLAIMS, Res};
use crate::volumes::{quantity, text};

#[derive(Clone, Default)]
pub struct ExpandController {}

/// Whether a claim is bound and wants more than its volume has.
fn wants_more(claim: &Object) -> bool {
    let wanted = quantity(claim, &["spec", "resources", "requests", "storage"]);
    let has = quantity(claim, &["status", "capacity", "storage"]);
    text(claim, &["status", "phase"]) == "Bound" && has.is_some() && wanted > has
}

impl Controller for ExpandController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "persistentvolume-expander-controller";
        Info { name, account: "expand-controller", source: "volume_expand", workers: 10 }
    }
    fn watches(&self) -> &'static [Res] {
        &[PERSISTENTVOLUMECLAIMS]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let size = |claim: &Object| quantity(claim, &["spec", "resources", "requests", "storage"]);
        let grew = |new: &&Object| delta.old.as_ref().is_none_or(|old| size(old) != size(new));
        if let Some(claim) = delta.new.as_ref().filter(|claim| wants_more(claim)).filter(grew) {
            queue.add(claim.key());
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let claim = ctx.caches.get(PERSISTENTVOLUMECLAIMS, key).filter(|claim| wants_more(claim)).cloned();
        if let Some(claim) = claim {
            ctx.normal(&claim, "ExternalExpanding", "waiting for an external controller to expand this PVC");
        }
        Plan::Done
    }
}
