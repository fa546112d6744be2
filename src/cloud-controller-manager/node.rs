//! The cloud-node controller: a node that waits for the cloud gets what the cloud knows of its machine (provider ID, type, zone,
//! region, addresses) and loses its taint. Models `cloud-provider/controllers/node`.
//!
//! Left out: periodic renewal of addresses (machines of this cloud keep theirs).

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, resources, value};
use base::Duration;
use client_go::{Delta, Informers};

use crate::cloud::{self, Machine};
use crate::framework::{Call, Controller, Ctx, NODES, Outcome, Plan, failure};

const TAINT: &str = "node.cloudprovider.kubernetes.io/uninitialized";

#[derive(Clone, Default)]
pub(crate) struct CloudNode;

#[derive(Clone)]
pub(crate) enum Stage {
    /// The machine was asked for.
    Machine,
    /// The node was written.
    Written,
}

fn waits(node: &Object) -> bool {
    node.list_at(&["spec", "taints"]).iter().any(|t| t.str_at(&["key"]) == Some(TAINT))
}

impl Controller for CloudNode {
    type Stage = Stage;
    const NAME: &'static str = "cloud-node-controller";
    const SOURCE: &'static str = "cloud-node-controller";
    const WORKERS: usize = 1;

    fn on_delta(&mut self, number: usize, delta: &Delta, _: &Informers) -> Vec<(ObjectKey, Duration)> {
        match &delta.new {
            Some(node) if number == NODES && waits(node) => vec![(node.key(), Duration::ZERO)],
            _ => Vec::new(),
        }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        if !ctx.node(key).is_some_and(waits) {
            return Plan::Done;
        }
        let ask = cloud::get(&format!("/machines/{}", key.name));
        Plan::calls(format!("{} waits for the cloud", key.name), vec![Call::Cloud(ask)], Stage::Machine)
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        if let Some(why) = failure(outcomes) {
            return Plan::Retry(format!("failed to initialize node {}: {why}", key.name).into());
        }
        let Some(node) = ctx.node(key).cloned() else { return Plan::Done };
        match stage {
            Stage::Machine => {
                let machine = outcomes.last().and_then(|o| Machine::from_value(&cloud::read(o).ok()?));
                let Some(machine) = machine else { return Plan::Retry("unreadable answer of the cloud".into()) };
                let status = value!({"status": {"addresses": (addresses(&machine))}});
                let calls = vec![
                    Call::Api(Request::update(resources::nodes(), initialized(&node, &machine))),
                    Call::Api(Request::patch_status(resources::nodes(), key, PatchType::Merge, status)),
                ];
                Plan::calls(format!("{} is machine {}", key.name, machine.id), calls, Stage::Written)
            }
            Stage::Written => {
                ctx.normal(&node, "Synced", "Node synced successfully");
                Plan::Done
            }
        }
    }
}

/// What the cloud says of a machine's addresses.
pub(crate) fn addresses(machine: &Machine) -> Vec<Value> {
    vec![
        value!({"type": "InternalIP", "address": (&machine.ip)}),
        value!({"type": "InternalDNS", "address": (format!("{}.{}.internal", machine.name, machine.zone))}),
        value!({"type": "Hostname", "address": (&machine.name)}),
    ]
}

fn initialized(node: &Object, machine: &Machine) -> Object {
    let mut node = node.clone();
    let left: Vec<Value> =
        node.list_at(&["spec", "taints"]).iter().filter(|t| t.str_at(&["key"]) != Some(TAINT)).cloned().collect();
    node.set_at(&["spec", "taints"], left);
    if node.str_at(&["spec", "providerID"]).is_none_or(str::is_empty) {
        node.set_at(&["spec", "providerID"], machine.provider_id());
    }
    for (label, value) in [
        ("beta.kubernetes.io/instance-type", &machine.kind),
        ("node.kubernetes.io/instance-type", &machine.kind),
        ("failure-domain.beta.kubernetes.io/zone", &machine.zone),
        ("topology.kubernetes.io/zone", &machine.zone),
        ("failure-domain.beta.kubernetes.io/region", &machine.region),
        ("topology.kubernetes.io/region", &machine.region),
    ] {
        node.set_at(&["metadata", "labels", label], value);
    }
    node
}
