//! The clusterrole-aggregation controller: fills roles that are unions of other roles. Models `pkg/controller/clusterroleaggregation`.
//!
//! Upstream writes by server-side apply; here it is a merge patch with the same field manager.

use apimachinery::labels::Selector;
use apimachinery::{Object, ObjectKey, PatchType, Request, Value, value};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::resources::{CLUSTERROLES, Res, gvr};

#[derive(Clone, Default)]
pub struct ClusterRoleAggregation {}

impl Controller for ClusterRoleAggregation {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "clusterrole-aggregation-controller";
        Info { name, account: name, source: name, workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[CLUSTERROLES]
    }
    fn on_event(&mut self, _: Res, _: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let roles = queue.caches.store(CLUSTERROLES).iter();
        let keys: Vec<ObjectKey> = roles.filter(|(_, r)| r.get("aggregationRule").is_some()).map(|(k, _)| k.clone()).collect();
        keys.into_iter().for_each(|key| queue.add(key));
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(role) = ctx.caches.get(CLUSTERROLES, key) else { return Plan::Done };
        if role.get("aggregationRule").is_none() {
            return Plan::Done;
        }
        let mut rules: Vec<Value> = Vec::new();
        for selector in role.list_at(&["aggregationRule", "clusterRoleSelectors"]) {
            let Ok(selector) = Selector::from_label_selector(Some(selector)) else { continue };
            let others = ctx.caches.store(CLUSTERROLES).objects();
            for other in others.filter(|o| o.name() != role.name() && selector.matches(o.labels())) {
                for rule in other.list_at(&["rules"]).iter() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        if same_rules(role, &rules) {
            return Plan::Done;
        }
        let mut call = Request::patch(gvr(CLUSTERROLES), key, PatchType::Merge, value!({"rules": rules}));
        call.options.field_manager = Some("clusterrole-aggregation-controller".into());
        Plan::call(format!("{key} is made of other roles"), call, ())
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}

fn same_rules(role: &Object, rules: &[Value]) -> bool {
    role.list_at(&["rules"]) == rules
}
