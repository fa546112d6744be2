//! The inspector of a component: how its process is, what can be done to it, and what only it knows of itself.

use cluster::Bottle;
use protocol::{Action, Glyph, Inspector, State, Tab};

use crate::inspect::{as_it_is, gone};
use crate::offers::{self, offer};
use crate::{cloud, control_plane, flows, loops, store};

/// Shows a component of the control plane or of a node, or one controller.
pub(crate) fn component(bottle: &Bottle, name: &str) -> Inspector {
    let cluster = bottle.shown();
    let (base, part) = name.split_once('/').unwrap_or((name, ""));
    let found = cluster.addr(name).or_else(|| cluster.of_component(base).next().map(|(a, _)| a));
    let Some(addr) = found else { return gone(name.to_string()) };
    let Some(proc) = cluster.proc(addr) else { return gone(name.to_string()) };
    let frozen = cluster.queue.faults.frozen.contains(&addr);
    let word = match (proc.is_running(), frozen) {
        (false, _) => "stopped",
        (_, true) => "frozen",
        _ if cluster.is_silent(addr) => "without power",
        _ => "running",
    };
    let mut rows = vec![as_it_is("State", word), as_it_is("Machine", proc.machine.to_string())];
    if let Some(container) = &proc.container {
        rows.push(as_it_is("Container", container.chars().take(12).collect::<String>()));
    }
    if let cluster::Process::Cloud(c) = &proc.process {
        rows = cloud::rows(c);
        rows.insert(0, as_it_is("State", word));
    }
    rows.extend(control_plane::member_rows(cluster, addr));
    if let Some(api) = cluster.api().filter(|_| base == "kube-apiserver") {
        rows.push(as_it_is("Ready", (api.is_ready() && api.etcd_answers(cluster.now())).to_string()));
        rows.push(as_it_is("Watches", api.watch_count().to_string()));
    }
    let mut offers = Vec::new();
    if proc.is_running() && base != "laptop" && (frozen || !cluster.is_silent(addr)) {
        let component = proc.name.to_string();
        if frozen {
            offers.push(offer(
                Action::Unfreeze { component: component.clone() },
                "Thaw",
                "SIGCONT: what waited for it arrives",
                false,
            ));
        } else {
            offers.push(offer(
                Action::Freeze { component: component.clone() },
                "Freeze",
                "SIGSTOP: it handles nothing, what comes for it waits",
                true,
            ));
        }
        if !matches!(base, "containerd" | "cloud") {
            offers.push(offer(
                Action::Kill { component },
                "Restart",
                "SIGKILL: whoever started it starts it again, with an empty memory",
                true,
            ));
        }
    }
    offers.extend(offers::of_static_pod(cluster, proc));
    if base == "cloud" {
        offers.insert(0, offers::blank_machine());
    }
    let (state, glyph) = if word == "running" { (State::Ok, Glyph::Running) } else { (State::Off, Glyph::Off) };
    let mut inspector = Inspector {
        title: name.to_string(),
        subtitle: if base == "cloud" { "outside of the cluster".into() } else { format!("component on {}", proc.machine) },
        state,
        glyph,
        tabs: vec![(Tab::Overview, None)],
        overview: Some(rows),
        offers,
        ..Inspector::default()
    };
    if word == "running" {
        inside(bottle, addr, (base, part), &mut inspector);
    }
    inspector
}

/// What only the component itself knows.
fn inside(bottle: &Bottle, addr: sim::Addr, (base, part): (&str, &str), inspector: &mut Inspector) {
    let cluster = bottle.shown();
    match (base, cluster.proc(addr).map(|p| &p.process)) {
        ("etcd", Some(cluster::Process::Etcd(member))) => store::member(member, inspector),
        ("kube-apiserver", _) => flows::sections(bottle, inspector),
        ("kube-scheduler", _) => loops::scheduler(bottle, addr, inspector),
        ("kube-controller-manager", _) => {
            let known = !part.is_empty() && part != "more" && loops::controller(bottle, addr, part, inspector);
            if !known {
                inspector.sections.extend(loops::all_controllers(cluster));
            }
        }
        _ => {}
    }
}
