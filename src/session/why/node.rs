//! Why a node is as it is: what its conditions say, what its machine and kubelet really do, and what somebody did to them.

use apimachinery::{Object, resources};
use base::Time;
use cluster::{Bottle, Input};
use protocol::{Action, Span, Thing, WhyStep};

use super::{about, advice_with, as_it_is, chain, fact, step};
use crate::offers::offer;
use crate::{components, observe};

pub(super) fn steps(bottle: &Bottle, node: &Object) -> Vec<WhyStep> {
    let cluster = bottle.shown();
    let name = node.name();
    let mut steps = Vec::new();
    let ready = node.condition("Ready");
    if let Some(ready) = ready {
        let text = vec![
            Span::plain("Ready is "),
            Span::bold(ready.str_at(&["status"]).unwrap_or("")),
            Span::plain(format!(": {}", ready.str_at(&["message"]).unwrap_or(""))),
        ];
        steps.push(step(text, format!("condition Ready since {}", ready.str_at(&["lastTransitionTime"]).unwrap_or(""))));
    }
    let unknown = ready.is_some_and(|r| r.str_at(&["status"]) == Some("Unknown"));
    if let Some(lease) = cluster.api().and_then(|a| a.object(resources::leases(), "kube-node-lease", name)) {
        let at = lease.str_at(&["spec", "renewTime"]).and_then(Time::parse);
        let ago = at.map_or_else(|| "never".to_string(), |at| format!("{} ago", observe::age(cluster.now().since(at))));
        let text = match unknown {
            true => format!("Its lease was renewed {ago}: after 40 s without one the node-lifecycle controller says Unknown"),
            false => format!("Its lease was renewed {ago}"),
        };
        let thing = Thing::object("coordination.k8s.io", "leases", "kube-node-lease", name);
        steps.push(about(fact(text, "Lease in kube-node-lease"), thing));
    }
    steps.extend(machine(bottle, name));
    for taint in node.list_at(&["spec", "taints"]) {
        let (key, effect) = (taint.str_at(&["key"]).unwrap_or(""), taint.str_at(&["effect"]).unwrap_or(""));
        let mut text = vec![Span::plain("Taint "), Span::code(format!("{key}:{effect}"))];
        if effect == "NoExecute" {
            text.push(Span::plain(": pods that don't tolerate it are evicted, most after five minutes"));
        }
        steps.push(step(text, "spec.taints"));
    }
    for condition in node.list_at(&["status", "conditions"]) {
        let (kind, status) = (condition.str_at(&["type"]).unwrap_or(""), condition.str_at(&["status"]).unwrap_or(""));
        if kind != "Ready" && status == "True" {
            let text = format!("{kind}: {}", condition.str_at(&["message"]).unwrap_or(""));
            steps.push(fact(text, format!("condition {kind} · {}", condition.str_at(&["reason"]).unwrap_or(""))));
        }
    }
    if node.bool_at(&["spec", "unschedulable"]) == Some(true) {
        let uncordon = offer(Action::Uncordon { node: name.into() }, "Uncordon", "New pods may come again", false);
        steps.push(fact("It is cordoned: new pods go elsewhere, those on it stay", "spec.unschedulable"));
        steps.push(advice_with("Uncordon it when it may take pods again", uncordon));
    }
    steps
}

/// What its machine and its kubelet do, whose doing it is, and the button that undoes it.
fn machine(bottle: &Bottle, name: &str) -> Vec<WhyStep> {
    let cluster = bottle.shown();
    let Some(machine) = cluster.nodes.get(name) else {
        return vec![as_it_is(fact("There is no machine of this name: nobody heartbeats for it", "a Node object made by hand"))];
    };
    let kubelet = format!("kubelet/{name}");
    let mut steps = Vec::new();
    let names = [name, kubelet.as_str(), "kube-apiserver"];
    let did = chain::last_input(bottle, &names[..2]);
    let undo = |steps: &mut Vec<WhyStep>, action: Action, label: &str, text: &str, hint: &str| {
        if let Some((_, did)) = &did {
            steps.push(as_it_is(fact(did.clone(), "the log of what you did")));
        }
        steps.push(advice_with(text, offer(action, label, hint, false)));
    };
    let running = cluster.proc(machine.kubelet).is_some_and(|p| p.is_running());
    let frozen = cluster.queue.faults.frozen.contains(&machine.kubelet);
    let cut = components::fault(cluster, machine.kubelet, cluster.apiserver) == lenses::Fault::Cut;
    if !machine.powered {
        steps.push(as_it_is(about(
            fact("The machine is switched off: nothing on it runs", "its power"),
            Thing::Machine { name: name.into() },
        )));
        let action = Action::PowerOn { machine: name.into() };
        undo(&mut steps, action, "Power on", "Switch it on", "containerd and the kubelet start; the disk is as it was");
    } else if frozen {
        steps.push(as_it_is(about(
            fact("Its kubelet is frozen (SIGSTOP): it renews no lease", "its process"),
            Thing::component(&kubelet),
        )));
        let action = Action::Unfreeze { component: kubelet.clone() };
        undo(&mut steps, action, "Thaw", "Let the kubelet go on", "SIGCONT: what waited for it arrives");
    } else if !running {
        steps.push(as_it_is(about(fact("Its kubelet does not run", "its process"), Thing::component(&kubelet))));
        steps.push(super::advice(format!("Start it: ssh {name} systemctl start kubelet")));
    } else if cut {
        let link = Thing::Connection { from: kubelet.clone(), to: "kube-apiserver".into() };
        steps.push(as_it_is(about(fact("Its kubelet runs, and cannot reach kube-apiserver: the link is cut", "the link"), link)));
        let isolated = matches!(&did, Some((Input::Cut(a, b), _)) if **a == *name || **b == *name);
        let action = match isolated {
            true => Action::Rejoin { machine: name.into() },
            false => Action::Mend { from: kubelet.clone(), to: "kube-apiserver".into() },
        };
        undo(&mut steps, action, if isolated { "Plug in" } else { "Mend" }, "Mend the link", "Packets pass again");
    }
    steps
}
