//! The serviceaccount controller: every namespace has a ServiceAccount `default`. Models `pkg/controller/serviceaccount`.

use apimachinery::{Object, ObjectKey, Request, value};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::refs::namespace_terminating;
use crate::resources::{NAMESPACES, Res, SERVICEACCOUNTS, gvr};

#[derive(Clone, Default)]
pub struct ServiceAccountController {}

impl Controller for ServiceAccountController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "serviceaccount-controller";
        Info { name, account: "service-account-controller", source: name, workers: 1 }
    }
    fn watches(&self) -> &'static [Res] {
        &[NAMESPACES, SERVICEACCOUNTS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        match (res, &delta.new) {
            (NAMESPACES, Some(namespace)) => queue.add(namespace.key()),
            (SERVICEACCOUNTS, None) => queue.add(ObjectKey::new("", delta.object().namespace())),
            _ => {}
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let active = |ns: &Object| ns.str_at(&["status", "phase"]) == Some("Active");
        if !ctx.caches.get(NAMESPACES, key).is_some_and(active)
            || ctx.caches.find(SERVICEACCOUNTS, &key.name, "default").is_some()
        {
            return Plan::Done;
        }
        let account = value!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": (&key.name)}
        });
        let account = Object::from_value(account).expect("a map was built");
        Plan::call(format!("{key} has no default account"), Request::create(gvr(SERVICEACCOUNTS), account), ())
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        if outcomes.iter().all(|o| o.is_already_exists() || namespace_terminating(o)) {
            return Plan::Done;
        }
        failure(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}
