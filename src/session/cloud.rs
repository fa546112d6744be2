//! Observes the cloud that machines are rented from: outside of the cluster, so everything here is as it is.

use apimachinery::Request;
use cluster::{Cluster, Process};
use lenses::{CloudSeen, Place};
use protocol::{Glyph, Row, State, Thing};
use sim::Addr;

use crate::components::process_health;
use crate::inspect::as_it_is;

/// The component that asks the cloud, and its box in every lens.
pub(crate) const CONTROLLER: &str = "cloud-controller-manager";

/// Whether a process of cloud-controller-manager was ever started.
pub(crate) fn has_controller(cluster: &Cluster) -> bool {
    // There is a cloud as soon as its controller starts.
    cluster.cloud().is_some() && cluster.of_component(CONTROLLER).next().is_some()
}

/// What the cloud has; nothing if no machine is rented.
pub(crate) fn observe(cluster: &Cluster, glows: bool) -> Option<CloudSeen> {
    let addr = cluster.cloud()?;
    let Process::Cloud(cloud) = &cluster.proc(addr)?.process else { return None };
    let state = match process_health(cluster, addr).0 {
        State::Idle if glows => State::Active,
        state => state,
    };
    let machine = |m: &cluster::CloudMachine| {
        let runs = m.state == cluster::CloudMachineState::Running;
        Place {
            id: format!("cloud/machine/{}", m.name),
            title: m.name.to_string(),
            line: format!("{} · {}", m.zone, if runs { "running" } else { "stopped" }),
            state: if runs { State::Idle } else { State::Off },
            glyph: Glyph::Running,
            opens: Some(Thing::Machine { name: m.name.to_string() }),
            chosen: false,
        }
    };
    let balancer = |(ip, service, hosts): (std::net::Ipv4Addr, &str, Vec<&str>)| Place {
        id: format!("cloud/balancer/{ip}"),
        title: ip.to_string(),
        line: format!("{service} → {} machine{}", hosts.len(), if hosts.len() == 1 { "" } else { "s" }),
        state: if hosts.is_empty() { State::Failing } else { State::Idle },
        glyph: if hosts.is_empty() { Glyph::Failing } else { Glyph::None },
        opens: service.split_once('/').map(|(namespace, name)| Thing::core("services", namespace, name)),
        chosen: false,
    };
    Some(CloudSeen {
        state,
        machines: cloud.machines().map(machine).collect(),
        balancers: cloud.balancers().map(balancer).collect(),
    })
}

/// The inspector's rows of the cloud.
pub(crate) fn rows(cloud: &cluster::Cloud) -> Vec<Row> {
    let mut rows = Vec::new();
    let heading = |rows: &mut Vec<Row>, first: usize, text: &str| {
        if let Some(row) = rows.get_mut(first) {
            row.heading = Some(text.into());
        }
    };
    for m in cloud.machines() {
        let state = if m.state == cluster::CloudMachineState::Running { "running" } else { "stopped" };
        let said = as_it_is(&m.name, format!("{state} · {} · {} · {} · {}", m.zone, m.kind, m.ip, m.id));
        rows.push(Row { thing: Some(Thing::Machine { name: m.name.to_string() }), ..said });
    }
    heading(&mut rows, 0, "Machines");
    let first = rows.len();
    for (ip, service, hosts) in cloud.balancers() {
        let thing = service.split_once('/').map(|(namespace, name)| Thing::core("services", namespace, name));
        let to = if hosts.is_empty() { "no machine".to_string() } else { hosts.join(", ") };
        rows.push(Row { thing, ..as_it_is(&ip.to_string(), format!("{service} → {to}")) });
    }
    heading(&mut rows, first, "Load balancers");
    rows.push(Row { heading: Some("Routes".into()), ..as_it_is("Pod ranges", cloud.route_count().to_string()) });
    rows
}

/// The method of a request to the cloud, which has methods and no verbs. `None`: it is addressed to somebody else.
pub(crate) fn method<'a>(cluster: &Cluster, to: Addr, request: &'a Request) -> Option<&'a str> {
    let is_cloud = matches!(cluster.proc(to)?.process, Process::Cloud(_));
    is_cloud.then(|| request.options.query("method").unwrap_or("GET"))
}
