//! Devices, addresses and routes as `ip` prints them: the node's, and a pod's. The devices are those that the real plugin makes:
//! a bridge `cni0` with a veth for each pod, flannel's VXLAN device beside it, or Calico's veths that are routed one by one.

use std::fmt::Write;
use std::net::IpAddr;

use base::Sort as _;
use cri_api::policy::Block;

use crate::Runtime;
use crate::network::nth;

/// One device.
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    /// `@if2`: the other end of a veth.
    pub peer: String,
    pub flags: &'static str,
    pub mtu: u32,
    pub state: &'static str,
    pub master: Option<String>,
    pub mac: String,
    /// Address with prefix length, scope.
    pub addresses: Vec<(IpAddr, u8, &'static str)>,
}

const UP: &str = "BROADCAST,MULTICAST,UP,LOWER_UP";
/// The first index of pods' veths.
const FIRST_VETH: u32 = 10;

impl Runtime {
    pub(super) fn node_links(&self) -> Vec<Link> {
        let network = &self.network;
        let mut links = vec![loopback()];
        let own = std::iter::once(network.node_ip).chain(network.node_ip6);
        let length = |ip: &IpAddr| if ip.is_ipv4() { 16 } else { 64 };
        let addresses = own.map(|ip| (ip, length(&ip), "global")).collect();
        links.push(Link { index: 2, peer: "@if9".into(), ..device("eth0", mac([0x02, 0x42], network.node_ip), 1500, addresses) });
        if network.plugin() == "flannel" {
            let addresses = network.ranges().map(|r| (r.network, if r.network.is_ipv4() { 32 } else { 128 }, "global"));
            let link = device("flannel.1", flannel_mac(network.node_ip), 1450, addresses.collect());
            links.push(Link { index: 3, state: "UNKNOWN", ..link });
        }
        if matches!(network.plugin(), "flannel" | "bridge") {
            let gateways: Vec<_> = network.ranges().map(|r| (nth(r.network, 1), r.bits, "global")).collect();
            let mac = gateways.first().map(|g| mac([0x0a, 0x58], g.0)).unwrap_or_default();
            links.push(Link { index: 4, ..device("cni0", mac, self.mtu(), gateways) });
        }
        for (ip, _) in network.pod_ips().filter(|(ip, _)| self.is_first(**ip)) {
            let calico = network.plugin() == "calico";
            let mac = if calico { "ee:ee:ee:ee:ee:ee".into() } else { mac([0xb2, 0x1e], *ip) };
            let link = device(&self.veth_of(*ip), mac, self.mtu(), Vec::new());
            let master = (!calico).then(|| "cni0".to_string());
            links.push(Link { index: self.veth_index(*ip), peer: "@if2".into(), master, ..link });
        }
        links
    }

    pub(super) fn pod_links(&self, ips: &[IpAddr]) -> Vec<Link> {
        let Some(first) = ips.first() else { return vec![loopback()] };
        let calico = self.network.plugin() == "calico";
        let bits = |ip: &IpAddr| match self.network.ranges().find(|r| r.contains(*ip)) {
            Some(range) if !calico => range.bits,
            _ if ip.is_ipv4() => 32,
            _ => 128,
        };
        let addresses = ips.iter().map(|ip| (*ip, bits(ip), "global")).collect();
        let peer = format!("@if{}", self.veth_index(*first));
        vec![loopback(), Link { index: 2, peer, ..device("eth0", mac([0x0a, 0x58], *first), self.mtu(), addresses) }]
    }

    fn mtu(&self) -> u32 {
        if self.network.plugin() == "flannel" { 1450 } else { 1500 }
    }

    /// A pod with two addresses has one device.
    fn is_first(&self, ip: IpAddr) -> bool {
        let sandbox = self.network.pod_at(ip).and_then(|id| self.sandboxes.get(id));
        sandbox.is_none_or(|s| s.ips.first() == Some(&ip))
    }

    /// The node's end of a pod's cable.
    pub(super) fn veth_of(&self, ip: IpAddr) -> String {
        let id = self.network.pod_at(ip).map_or("", |id| id);
        match self.network.plugin() {
            "calico" => format!("cali{}", id.get(..11).unwrap_or(id)),
            _ => format!("veth{}", id.get(..8).unwrap_or(id)),
        }
    }

    fn veth_index(&self, ip: IpAddr) -> u32 {
        let place = match ip {
            IpAddr::V4(ip) => u32::from(ip) & 0xffff,
            IpAddr::V6(ip) => u128::from(ip) as u32 & 0xffff,
        };
        let base = self.network.ranges().find(|r| r.contains(ip)).map_or(0, |r| match r.network {
            IpAddr::V4(n) => u32::from(n) & 0xffff,
            IpAddr::V6(n) => u128::from(n) as u32 & 0xffff,
        });
        FIRST_VETH + place.saturating_sub(base)
    }

    /// The device by which the node reaches a pod of its own.
    pub(super) fn device_of(&self, ip: IpAddr) -> String {
        if self.network.plugin() == "calico" { self.veth_of(ip) } else { "cni0".into() }
    }

    /// A pod's way out.
    pub(super) fn gateway_of(&self, ip: IpAddr) -> Option<IpAddr> {
        if self.network.plugin() == "calico" {
            return if ip.is_ipv4() { "169.254.1.1".parse().ok() } else { "fe80::ecee:eeff:feee:eeee".parse().ok() };
        }
        self.network.ranges().find(|r| r.contains(ip)).map(|r| nth(r.network, 1))
    }

    pub(super) fn pod_routes(&self, ips: &[IpAddr], v6: bool) -> Vec<String> {
        let Some(ip) = ips.iter().find(|ip| ip.is_ipv6() == v6).copied() else { return Vec::new() };
        let Some(gateway) = self.gateway_of(ip) else { return Vec::new() };
        let mut lines = vec![format!("default via {gateway} dev eth0")];
        match self.network.ranges().find(|r| r.contains(ip)) {
            Some(range) if self.network.plugin() != "calico" => {
                lines.push(format!("{range} dev eth0 proto kernel scope link src {ip}"));
            }
            _ => lines.push(format!("{gateway} dev eth0 scope link")),
        }
        lines
    }

    pub(super) fn node_routes(&self, v6: bool) -> Vec<String> {
        let network = &self.network;
        let of = |ip: &IpAddr| ip.is_ipv6() == v6;
        let mut lines: Vec<(IpAddr, String)> = Vec::new();
        for range in network.ranges().filter(|r| of(&r.network)) {
            match network.plugin() {
                "calico" => lines.push((range.network, format!("blackhole {range} proto 80"))),
                _ => {
                    let gateway = nth(range.network, 1);
                    lines.push((range.network, format!("{range} dev cni0 proto kernel scope link src {gateway}")));
                }
            }
        }
        if network.plugin() == "calico" {
            for (ip, _) in network.pod_ips().filter(|(ip, _)| of(ip)) {
                lines.push((*ip, format!("{ip} dev {} scope link", self.veth_of(*ip))));
            }
        }
        for (range, hop) in network.routes().filter(|(r, _)| of(&r.network)) {
            let line = match network.plugin() {
                "flannel" => format!("{range} via {} dev flannel.1 onlink", range.network),
                "calico" => format!("{range} via {hop} dev eth0 proto 80 onlink"),
                _ => format!("{range} via {hop} dev eth0"),
            };
            lines.push((range.network, line));
        }
        let me = if v6 { network.node_ip6 } else { Some(network.node_ip).filter(of) };
        if let Some(me) = me {
            let own = Block { network: me, bits: if v6 { 64 } else { 16 } }.truncated();
            lines.push((own.network, format!("{own} dev eth0 proto kernel scope link src {me}")));
        }
        lines.order_by_key(|(network, _)| *network);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// flannel's device on the node that has an address: the first of its range.
    pub(super) fn far_flannel(&self, to: IpAddr) -> Option<IpAddr> {
        self.network.routes().find(|(r, _)| r.contains(to)).map(|(r, _)| r.network)
    }

    pub(super) fn neighbours(&self, pod: Option<&[IpAddr]>) -> String {
        let mut text = String::new();
        if let Some(ips) = pod {
            for gateway in ips.iter().filter_map(|ip| self.gateway_of(*ip)) {
                let mac = if self.network.plugin() == "calico" { "ee:ee:ee:ee:ee:ee".into() } else { mac([0x0a, 0x58], gateway) };
                let _ = writeln!(text, "{gateway} dev eth0 lladdr {mac} REACHABLE");
            }
            return text;
        }
        for (range, hop) in self.network.routes() {
            let _ = match self.network.plugin() {
                "flannel" => writeln!(text, "{} dev flannel.1 lladdr {} PERMANENT", range.network, flannel_mac(hop)),
                _ => writeln!(text, "{hop} dev eth0 lladdr {} REACHABLE", mac([0x02, 0x42], hop)),
            };
        }
        for (ip, _) in self.network.pod_ips() {
            let _ = writeln!(text, "{ip} dev {} lladdr {} REACHABLE", self.device_of(*ip), mac([0x0a, 0x58], *ip));
        }
        text
    }

    /// What bridges and VXLAN devices know: hardware address, device, the rest of the line.
    pub(super) fn forwarding(&self) -> Vec<(String, String, String)> {
        let mut entries = Vec::new();
        if self.network.plugin() == "flannel" {
            for (_, hop) in self.network.routes().filter(|(_, hop)| hop.is_ipv4()) {
                entries.push((flannel_mac(hop), "flannel.1".into(), format!("dst {hop} self permanent")));
            }
        }
        if matches!(self.network.plugin(), "flannel" | "bridge") {
            for (ip, _) in self.network.pod_ips().filter(|(ip, _)| self.is_first(**ip)) {
                entries.push((mac([0x0a, 0x58], *ip), self.veth_of(*ip), "master cni0 ".into()));
            }
        }
        entries
    }
}

fn loopback() -> Link {
    let addresses = vec![([127, 0, 0, 1].into(), 8, "host"), (std::net::Ipv6Addr::LOCALHOST.into(), 128, "host")];
    let link = device("lo", "00:00:00:00:00:00".into(), 65_536, addresses);
    Link { index: 1, flags: "LOOPBACK,UP,LOWER_UP", state: "UNKNOWN", ..link }
}

fn device(name: &str, mac: String, mtu: u32, addresses: Vec<(IpAddr, u8, &'static str)>) -> Link {
    Link { index: 0, name: name.into(), peer: String::new(), flags: UP, mtu, state: "UP", master: None, mac, addresses }
}

/// A hardware address made from a network address, as the bridge plugin makes them.
fn mac(prefix: [u8; 2], ip: IpAddr) -> String {
    let last: [u8; 4] = match ip {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => (u128::from(ip) as u32).to_be_bytes(),
    };
    let bytes: Vec<String> = prefix.iter().chain(&last).map(|b| format!("{b:02x}")).collect();
    bytes.join(":")
}

/// Of the VXLAN device on a node: the same on each node that speaks of it.
fn flannel_mac(node: IpAddr) -> String {
    mac([0xd6, 0x42], node)
}

pub(super) fn render_link(out: &mut String, link: &Link, brief: bool, addresses: bool, family: Option<bool>, full: bool) {
    let shown: Vec<_> = link.addresses.iter().filter(|(ip, ..)| family.is_none_or(|v6| ip.is_ipv6() == v6)).collect();
    if addresses && family.is_some() && shown.is_empty() {
        return;
    }
    let name = format!("{}{}", link.name, link.peer);
    if brief {
        let tail: Vec<String> = match addresses {
            true => shown.iter().map(|(ip, bits, _)| format!("{ip}/{bits}")).collect(),
            false => vec![link.mac.clone(), format!("<{}>", link.flags)],
        };
        let _ = writeln!(out, "{name:<16} {:<14} {} ", link.state, tail.join(" "));
        return;
    }
    let master = link.master.as_ref().map(|m| format!("master {m} ")).unwrap_or_default();
    let kind = if link.name == "lo" { "loopback" } else { "ether" };
    let broadcast = if link.name == "lo" { "00:00:00:00:00:00" } else { "ff:ff:ff:ff:ff:ff" };
    // busybox has shorter lines than iproute2.
    let tail = match (full, addresses) {
        (true, true) => format!("{master}state {} group default qlen 1000", link.state),
        (true, false) => format!("{master}state {} mode DEFAULT group default qlen 1000", link.state),
        (false, _) => "qlen 1000".into(),
    };
    let _ = writeln!(out, "{}: {name}: <{}> mtu {} qdisc noqueue {tail}", link.index, link.flags, link.mtu);
    if family.is_none() {
        let _ = writeln!(out, "    link/{kind} {} brd {broadcast}", link.mac);
    }
    for (ip, bits, scope) in shown.into_iter().filter(|_| addresses) {
        let _ = match ip {
            IpAddr::V4(_) => writeln!(out, "    inet {ip}/{bits} scope {scope} {}", link.name),
            IpAddr::V6(_) => writeln!(out, "    inet6 {ip}/{bits} scope {scope} "),
        };
        let _ = writeln!(out, "       valid_lft forever preferred_lft forever");
    }
}
