//! The route controller: a route in the cloud's network to each node's pod range, and the node's condition that says so. Models
//! `cloud-provider/controllers/route`, with `--configure-cloud-routes`.
//!
//! Left out: what the cloud's network does by itself with these routes (in the bottle the CNI plugin's routes carry the packets).

use apimachinery::{Object, ObjectKey, PatchType, Request, resources, value};
use base::Duration;
use client_go::{Delta, Informers};

use crate::cloud;
use crate::framework::{Call, Controller, Ctx, NODES, Outcome, Plan, failure};

#[derive(Clone, Default)]
pub(crate) struct Route;

#[derive(Clone)]
pub(crate) enum Stage {
    Made,
    Gone,
}

fn has_route(node: &Object) -> bool {
    node.condition("NetworkUnavailable").is_some_and(|c| c.str_at(&["reason"]) == Some("RouteCreated"))
}

impl Controller for Route {
    type Stage = Stage;
    const NAME: &'static str = "node-route-controller";
    const SOURCE: &'static str = "route_controller";
    const WORKERS: usize = 1;

    fn on_delta(&mut self, number: usize, delta: &Delta, _: &Informers) -> Vec<(ObjectKey, Duration)> {
        let range = |node: &Option<Object>| node.as_ref().and_then(|n| n.str_at(&["spec", "podCIDR"]).map(String::from));
        let changed = number == NODES
            && match &delta.new {
                Some(node) => range(&delta.old) != range(&delta.new) || (range(&delta.new).is_some() && !has_route(node)),
                None => true,
            };
        if changed { vec![(delta.object().key(), Duration::ZERO)] } else { Vec::new() }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let path = format!("/routes/{}", key.name);
        let Some(node) = ctx.node(key).cloned() else {
            return Plan::calls(format!("{} is gone", key.name), vec![Call::Cloud(cloud::delete(&path))], Stage::Gone);
        };
        let Some(range) = node.str_at(&["spec", "podCIDR"]).filter(|r| !r.is_empty()) else { return Plan::Done };
        if has_route(&node) {
            return Plan::Done;
        }
        let make = cloud::put(&path, &value!({"cidr": range, "machine": (&key.name)}));
        let now = ctx.now.rfc3339();
        let status = value!({"status": {"conditions": [{
            "type": "NetworkUnavailable", "status": "False", "reason": "RouteCreated",
            "message": "RouteController created a route", "lastHeartbeatTime": (&*now), "lastTransitionTime": (&*now)
        }]}});
        let note = Request::patch_status(resources::nodes(), key, PatchType::StrategicMerge, status);
        Plan::calls(format!("{} has {range}", key.name), vec![Call::Cloud(make), Call::Api(note)], Stage::Made)
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        let Some(why) = failure(outcomes) else { return Plan::Done };
        match stage {
            Stage::Gone if outcomes.iter().any(|o| o.is_not_found()) => Plan::Done,
            Stage::Made if outcomes.iter().any(|o| o.is_not_found()) && ctx.node(key).is_none() => Plan::Done,
            _ => {
                if let Some(node) = ctx.node(key).cloned() {
                    ctx.warning(&node, "FailedToCreateRoute", &format!("Could not create route for node {}: {why}", key.name));
                }
                Plan::Retry(why)
            }
        }
    }
}
