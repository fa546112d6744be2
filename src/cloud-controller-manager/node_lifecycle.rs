//! The cloud-node-lifecycle controller: a node that is not ready is asked for in the cloud; if its machine is gone, so is the node; if
//! it is switched off, the node is tainted. Models `cloud-provider/controllers/nodelifecycle`.

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, resources, value};
use base::Duration;
use client_go::{Delta, Informers};

use crate::cloud::{self, Machine, State};
use crate::framework::{Call, Controller, Ctx, NODES, Outcome, Plan, failure, text_of};

const SHUTDOWN: &str = "node.cloudprovider.kubernetes.io/shutdown";
/// `--node-monitor-period`
const PERIOD: Duration = Duration::from_secs(5);

#[derive(Clone, Default)]
pub(crate) struct CloudNodeLifecycle;

#[derive(Clone)]
pub(crate) enum Stage {
    Machine,
    Deleted,
    Tainted,
}

fn is_shut_down(node: &Object) -> bool {
    node.list_at(&["spec", "taints"]).iter().any(|t| t.str_at(&["key"]) == Some(SHUTDOWN))
}

impl Controller for CloudNodeLifecycle {
    type Stage = Stage;
    const NAME: &'static str = "cloud-node-lifecycle-controller";
    const SOURCE: &'static str = "cloud-node-lifecycle-controller";
    const WORKERS: usize = 1;

    /// Upstream looks at all nodes every five seconds; only those that are not ready matter to it.
    fn on_delta(&mut self, number: usize, delta: &Delta, _: &Informers) -> Vec<(ObjectKey, Duration)> {
        match &delta.new {
            Some(node) if number == NODES && (!node.condition_is_true("Ready") || is_shut_down(node)) => {
                vec![(node.key(), PERIOD)]
            }
            _ => Vec::new(),
        }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(node) = ctx.node(key).cloned() else { return Plan::Done };
        if node.condition_is_true("Ready") {
            return match is_shut_down(&node) {
                true => Plan::calls(format!("{} is back", key.name), vec![taint(&node, false)], Stage::Tainted),
                false => Plan::Done,
            };
        }
        // A node that was made by hand has no condition yet, and no machine to ask for.
        if node.condition("Ready").is_none() {
            return Plan::After(PERIOD);
        }
        let ask = cloud::get(&format!("/machines/{}", key.name));
        Plan::calls(format!("{} is not ready: is there a machine?", key.name), vec![Call::Cloud(ask)], Stage::Machine)
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        let Some(node) = ctx.node(key).cloned() else { return Plan::Done };
        match stage {
            Stage::Machine if outcomes.last().is_some_and(|o| o.code == 404) => {
                let message = format!("Deleting node {} because it does not exist in the cloud provider", key.name);
                ctx.normal(&node, "DeletingNode", &message);
                let call = Call::Api(Request::delete(resources::nodes(), key));
                Plan::calls(format!("{} has no machine any more", key.name), vec![call], Stage::Deleted)
            }
            Stage::Machine => {
                if failure(outcomes).is_some() {
                    return Plan::Retry(outcomes.last().map_or_else(|| "".into(), |o| text_of(o)));
                }
                let machine = outcomes.last().and_then(|o| Machine::from_value(&cloud::read(o).ok()?));
                match machine.is_some_and(|m| m.state == State::Stopped) && !is_shut_down(&node) {
                    true => Plan::calls(format!("{} is switched off", key.name), vec![taint(&node, true)], Stage::Tainted),
                    false => Plan::After(PERIOD),
                }
            }
            Stage::Deleted | Stage::Tainted => match failure(outcomes).filter(|_| !outcomes.iter().any(|o| o.is_not_found())) {
                Some(why) => Plan::Retry(why),
                None => Plan::After(PERIOD),
            },
        }
    }
}

fn taint(node: &Object, shut_down: bool) -> Call {
    let mut taints: Vec<Value> =
        node.list_at(&["spec", "taints"]).iter().filter(|t| t.str_at(&["key"]) != Some(SHUTDOWN)).cloned().collect();
    if shut_down {
        taints.push(value!({"key": SHUTDOWN, "effect": "NoSchedule"}));
    }
    let patch = value!({"metadata": {"resourceVersion": (node.resource_version())}, "spec": {"taints": taints}});
    Call::Api(Request::patch(resources::nodes(), &node.key(), PatchType::Merge, patch))
}
