//! How packets move in the Service network lens: by addresses, not by machines. A connection's first packet goes from the client to
//! the virtual address, the rule and the endpoint; what comes later takes the same way, there or back.

use std::collections::BTreeMap;

use cluster::{Cluster, Record};
use cri_api::packet::{HopKind, Packet, PacketBody};
use protocol::{Flight, MessageKind, Scene};

use crate::message::caption;

const LEG_MS: u32 = 430;

/// The boxes of the lens by what packets say.
pub(crate) struct Ways {
    /// Endpoint `ip:port` → rule row, and the pod behind it.
    rules: BTreeMap<String, (String, Option<String>)>,
    /// Virtual address `ip:port`, and node port `:port` → box.
    addresses: BTreeMap<String, String>,
    known: std::collections::BTreeSet<String>,
    edges: std::collections::BTreeSet<String>,
}

impl Ways {
    /// Reads them off the scene that is drawn.
    pub fn of(scene: &Scene) -> Ways {
        let mut ways = Ways {
            rules: BTreeMap::new(),
            addresses: BTreeMap::new(),
            known: scene.boxes.keys().cloned().collect(),
            edges: scene.edges.keys().cloned().collect(),
        };
        for b in scene.boxes.values() {
            if let Some(end) = b.id.strip_prefix("rule/") {
                let pod = scene.edges.values().find(|e| e.from == b.id).map(|e| e.to.clone());
                ways.rules.insert(end.into(), (b.id.clone(), pod));
            } else if b.id.starts_with("service/") {
                let key = b.title.strip_prefix("any node").unwrap_or(&b.title);
                ways.addresses.insert(key.into(), b.id.clone());
            }
        }
        ways
    }

    /// The legs of one packet; none if it has nothing to do with what is drawn.
    pub fn legs(&self, cluster: &Cluster, record: &Record, packet: &Packet) -> Vec<Flight> {
        let component = |addr| cluster.proc(addr).map_or("", |p| p.component());
        // From a machine to the DNS server on it is no way of its own.
        if component(record.message.from) == "coredns" || component(record.message.to) == "coredns" {
            return Vec::new();
        }
        let way = match &packet.body {
            PacketBody::Query(..) | PacketBody::Answer(..) => self.question(cluster, packet),
            _ => self.connection(cluster, packet),
        };
        let Some((stations, reverse)) = way else { return Vec::new() };
        let pairs: Vec<(&String, &String)> = stations.iter().zip(stations.iter().skip(1)).collect();
        let n = pairs.len();
        let legs = pairs.into_iter().enumerate().map(|(i, (from, to))| {
            let edge = format!("{from}>{to}");
            let (from, to) = if reverse { (to, from) } else { (from, to) };
            Flight {
                message: record.message.id.0,
                kind: MessageKind::Packet,
                edge: if self.edges.contains(&edge) { edge } else { String::new() },
                from: from.clone(),
                to: to.clone(),
                reverse,
                count: 1,
                start_ms: LEG_MS * if reverse { (n - 1 - i) as u32 } else { i as u32 },
                duration_ms: LEG_MS,
                caption: caption(cluster, record),
            }
        });
        legs.collect()
    }

    /// client → DNS server; the answer comes back.
    fn question(&self, cluster: &Cluster, packet: &Packet) -> Option<(Vec<String>, bool)> {
        let asks = matches!(packet.body, PacketBody::Query(..));
        let (client, server) = if asks { (packet.src, packet.dst) } else { (packet.dst, packet.src) };
        let (client, server) = (self.box_at(cluster, client.0)?, self.box_at(cluster, server.0)?);
        Some((vec![client, server], !asks))
    }

    fn connection(&self, cluster: &Cluster, packet: &Packet) -> Option<(Vec<String>, bool)> {
        let key = |e: (std::net::IpAddr, u16)| format!("{}:{}", e.0, e.1);
        let (client, end, reverse) = match (self.rules.get(&key(packet.dst)), self.rules.get(&key(packet.src))) {
            (Some(end), _) => (packet.src.0, end, false),
            (_, Some(end)) => (packet.dst.0, end, true),
            _ => return None,
        };
        let called = packet.hops.iter().find_map(|h| match &h.what {
            HopKind::Dnat { from, .. } => Some(*from),
            _ => None,
        });
        let address = called.and_then(|c| self.addresses.get(&key(c)).or_else(|| self.addresses.get(&format!(":{}", c.1))));
        let address = address.or_else(|| self.addresses.values().find(|a| self.edges.contains(&format!("{a}>{}", end.0))));
        let sender = packet.hops.first().and_then(|h| h.place.strip_prefix("pod ")).map(|p| format!("pod/{p}"));
        let client = sender.filter(|id| !reverse && self.known.contains(id)).or_else(|| self.box_at(cluster, client));
        // Behind a masquerade the client is the laptop (or a pod that nobody sees from here).
        let client = client.or_else(|| self.known.contains("laptop").then(|| "laptop".to_string()));
        let stations = client.into_iter().chain(address.cloned()).chain([end.0.clone()]).chain(end.1.clone());
        Some((stations.collect(), reverse))
    }

    /// The pod that has an address, if it is drawn.
    fn box_at(&self, cluster: &Cluster, ip: std::net::IpAddr) -> Option<String> {
        for (name, _) in &cluster.nodes {
            let Some(machine) = cluster.machine(name) else { continue };
            let Some((_, sandbox)) = machine.network().pod_ips().find(|(p, _)| **p == ip) else { continue };
            let config = &machine.sandboxes().find(|(id, _)| *id == sandbox)?.1.config;
            let id = format!("pod/{}/{}", config.pod_namespace, config.pod_name);
            return self.known.contains(&id).then_some(id);
        }
        None
    }
}
