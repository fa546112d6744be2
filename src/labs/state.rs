//! Tests about the state of the cluster, answered at once.

use cluster::{Cluster, Proc};

use crate::lab::{Liveness, Test};
use crate::query::Outcome;

/// What a state test found; `None` for tests of other kinds.
pub(crate) fn evaluate(test: &Test, cluster: &Cluster) -> Option<Outcome> {
    Some(match test {
        Test::Query(query) => query.evaluate(cluster),
        Test::Component { name, state } => component(cluster, name, *state),
        Test::Machine { name, on } => {
            let powered = cluster.nodes.get(name.as_str()).map(|n| n.powered);
            let value = match powered {
                Some(true) => "on",
                Some(false) => "off",
                None => "not there",
            };
            outcome(powered == Some(*on), name, value)
        }
        _ => return None,
    })
}

fn outcome(holds: bool, name: &str, value: &str) -> Outcome {
    Outcome { holds, count: usize::from(holds), name: name.into(), value: value.into() }
}

/// `kube-scheduler` (any of them), or `kubelet/node-1`.
fn component(cluster: &Cluster, name: &str, wanted: Liveness) -> Outcome {
    let is = |p: &Proc| if name.contains('/') { *p.name == *name } else { p.component() == name };
    let mut states = cluster.procs().filter(|(_, p)| is(p)).map(|(addr, p)| match (p.is_running(), cluster.is_silent(addr)) {
        (false, _) => Liveness::Stopped,
        (true, true) => Liveness::Frozen,
        (true, false) => Liveness::Up,
    });
    let first = states.next();
    let best = states.chain(first).min_by_key(|s| matches!(s, Liveness::Stopped) as u8 * 2 + matches!(s, Liveness::Frozen) as u8);
    let state = best.unwrap_or(Liveness::Stopped);
    outcome(state == wanted, name, word(state))
}

fn word(state: Liveness) -> &'static str {
    match state {
        Liveness::Up => "running",
        Liveness::Stopped => "stopped",
        Liveness::Frozen => "frozen",
    }
}
