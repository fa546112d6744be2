//! Cluster IPs and node ports of Services. Models `pkg/registry/core/service/{ipallocator,portallocator,storage}`.
//!
//! A cluster IP is an IPAddress object written in the Service's own transaction, so two Services can't get one. Node ports are
//! counted from the Services in the cache. Draws are a function of the seed. A dual-stack
//! cluster has a second range, of IPv6; IPv6 first or alone is not there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use apimachinery::field::{ErrorList, Path};
use apimachinery::status::Status;
use apimachinery::{Gvr, Object, Value, resources, value};
use base::{Map, hash64};
use etcd_api::{Compare, KeyRange, Op, Stored};

use crate::call::Call;
use crate::etcd_client::unchanged;
use crate::server::ApiServer;

/// Node ports in use, each with the number of Service ports that use it.
#[derive(Clone, Default)]
pub struct Allocations {
    ports: Map<i64, u32>,
}

fn ip_addresses() -> Gvr {
    Gvr::new("networking.k8s.io", "v1", "ipaddresses")
}

fn node_ports(service: &Object) -> impl Iterator<Item = i64> {
    let of_ports = service.list_at(&["spec", "ports"]).iter().filter_map(|p| p.int_at(&["nodePort"]));
    of_ports.chain(service.int_at(&["spec", "healthCheckNodePort"])).filter(|p| *p > 0)
}

impl Allocations {
    /// Follows the Services in the cache.
    pub fn change(&mut self, old: Option<&Object>, new: Option<&Object>) {
        for port in old.into_iter().flat_map(node_ports) {
            let left = self.ports.get(&port).map_or(0, |n| n - 1);
            if left == 0 {
                self.ports.remove(&port)
            } else {
                self.ports.insert(port, left)
            };
        }
        for port in new.into_iter().flat_map(node_ports) {
            let n = self.ports.get(&port).copied().unwrap_or(0);
            self.ports.insert(port, n + 1);
        }
    }
    fn is_free(&self, port: i64) -> bool {
        !self.ports.contains_key(&port)
    }
}

/// A range that addresses are drawn from: its first address, and how many serve.
#[derive(Clone, Copy)]
struct Range {
    base: IpAddr,
    size: u32,
}

impl Range {
    /// The range of a family among those that the flag names.
    fn of(cidrs: &str, v6: bool) -> Option<Range> {
        let cidr = cidrs.split(',').find(|cidr| cidr.contains(':') == v6)?;
        let (ip, bits) = cidr.split_once('/')?;
        let (ip, bits) = (ip.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
        match ip {
            IpAddr::V4(ip) => {
                let size = 1u32.checked_shl(32u32.checked_sub(bits)?)?;
                Some(Range { base: Ipv4Addr::from(u32::from(ip) & !(size - 1)).into(), size })
            }
            // Of a large range the first 2^20 addresses serve.
            IpAddr::V6(ip) => {
                let host = 128u32.checked_sub(bits)?;
                let base = u128::from(ip) & u128::MAX.checked_shl(host).unwrap_or(0);
                Some(Range { base: Ipv6Addr::from(base).into(), size: 1 << host.min(20) })
            }
        }
    }

    fn nth(&self, n: u32) -> IpAddr {
        match self.base {
            IpAddr::V4(base) => Ipv4Addr::from(u32::from(base).wrapping_add(n)).into(),
            IpAddr::V6(base) => Ipv6Addr::from(u128::from(base).wrapping_add(n.into())).into(),
        }
    }

    /// Neither the first address nor (of IPv4) the last.
    fn holds(&self, ip: IpAddr) -> bool {
        let number = match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => u128::from(u32::from(ip).wrapping_sub(u32::from(base))),
            (IpAddr::V6(base), IpAddr::V6(ip)) => u128::from(ip).wrapping_sub(u128::from(base)),
            _ => return false,
        };
        number > 0 && number < u128::from(self.size - 1)
    }
}

/// The first address of the service range: that of the `kubernetes` Service.
pub fn first_ip(cidrs: &str) -> Rc<str> {
    Range::of(cidrs, false).map_or("10.96.0.1".into(), |range| range.nth(1).to_string().into())
}

/// The object that holds an address for a Service.
pub fn ip_address(ip: &str, namespace: &str, name: &str, uid: String, now: String) -> Object {
    Object::from_value(value!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {
            "name": ip, "uid": uid, "creationTimestamp": now,
            "labels": {"ipaddress.kubernetes.io/ip-family": (if ip.contains(':') { "IPv6" } else { "IPv4" }), "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
        },
        "spec": {"parentRef": {"resource": "services", "name": name, "namespace": namespace}}
    }))
    .expect("a map was built")
}

impl ApiServer {
    /// Gives a Service what it needs; returns the writes that hold it.
    pub(crate) fn allocate(
        &mut self,
        call: &Call,
        object: &mut Object,
        old: Option<&Object>,
    ) -> Result<Vec<(Compare, Op)>, Status> {
        if call.resource.gvr != resources::services() || !call.request.subresource.is_empty() {
            return Ok(Vec::new());
        }
        let mut extra = Vec::new();
        let kind = object.str_at(&["spec", "type"]).unwrap_or("ClusterIP").to_string();
        if kind == "ExternalName" {
            if let Some(old) = old {
                extra.extend(self.release(call, old));
                for gone in ["clusterIP", "clusterIPs"] {
                    object.remove_at(&["spec", gone]);
                }
            }
            return Ok(extra);
        }
        self.allocate_ip(call, object, old, &mut extra)?;
        self.allocate_ports(call, object, old, &kind)?;
        Ok(extra)
    }

    fn allocate_ip(
        &mut self,
        call: &Call,
        object: &mut Object,
        old: Option<&Object>,
        extra: &mut Vec<(Compare, Op)>,
    ) -> Result<(), Status> {
        let ips_of = |o: &Object| -> Vec<String> {
            let list: Vec<String> =
                o.list_at(&["spec", "clusterIPs"]).iter().filter_map(|v| v.as_str().map(Into::into)).collect();
            match (list.is_empty(), o.str_at(&["spec", "clusterIP"])) {
                (true, Some(ip)) if !ip.is_empty() => vec![ip.to_string()],
                _ => list,
            }
        };
        let before = old.map(ips_of).unwrap_or_default();
        let mut ips = ips_of(object);
        if ips.is_empty() && before.first().is_some_and(|ip| ip != "None") {
            ips = before.clone();
        }
        if object.at(&["spec", "ipFamilies"]).is_none() {
            object.set_at(&["spec", "ipFamilies"], vec![Value::sym("IPv4")]);
        }
        if object.at(&["spec", "ipFamilyPolicy"]).is_none() {
            object.set_at(&["spec", "ipFamilyPolicy"], Value::sym("SingleStack"));
        }
        if ips.first().is_none_or(|ip| ip != "None") {
            let families: Vec<bool> =
                object.list_at(&["spec", "ipFamilies"]).iter().map(|f| f.as_str() == Some("IPv6")).collect();
            ips.truncate(families.len());
            for v6 in families.into_iter().skip(ips.len()) {
                // A second address of an old version is kept by its family.
                let kept = before.iter().find(|ip| ip.contains(':') == v6).cloned();
                ips.push(match kept {
                    Some(ip) => ip,
                    None => self.free_ip(call, v6)?,
                });
            }
            for ip in ips.iter().filter(|ip| !before.contains(ip)) {
                self.hold_ip(call, object, ip, extra)?;
            }
            for ip in before.iter().filter(|ip| *ip != "None" && !ips.contains(ip)) {
                extra.extend(self.release_ip(ip));
            }
        }
        if let Some(first) = ips.first() {
            object.set_at(&["spec", "clusterIP"], first);
        }
        object.set_at(&["spec", "clusterIPs"], ips.iter().map(Value::from).collect::<Vec<_>>());
        Ok(())
    }

    fn hold_ip(&mut self, call: &Call, object: &Object, ip: &str, extra: &mut Vec<(Compare, Op)>) -> Result<(), Status> {
        let invalid = |why: String| {
            let mut errors = ErrorList::new();
            let spec = Path::new("spec");
            let ips = spec.child("clusterIPs");
            errors.invalid(&ips, vec![Value::from(ip)], format!("failed to allocate IP {ip}: {why}"));
            Err(Status::invalid(call.resource.gvk, &call.name, &errors))
        };
        let Ok(address) = ip.parse::<IpAddr>() else { return Ok(()) };
        let ranges = self.ranges(address.is_ipv6());
        if !ranges.is_empty() && !ranges.iter().any(|range| range.holds(address)) {
            return invalid("the provided network does not match the current range".to_string());
        }
        if self.peek(ip_addresses(), "", ip).is_some() && !call.dry_run() {
            return invalid("provided IP is already allocated".to_string());
        }
        let n = self.draw();
        let uid = self.config.seed.derive("uid").uuid(n);
        let created = object.str_at(&["metadata", "creationTimestamp"]).unwrap_or("").to_string();
        let holder = ip_address(ip, object.namespace(), object.name(), uid, created);
        let storage = self.scheme.storage(ip_addresses()).expect("IP addresses are stored");
        let key = self.scheme.storages[storage].key("", ip);
        extra.push((unchanged(&key, 0), Op::Put { key: key.clone(), value: Stored::Object(holder), lease: 0 }));
        Ok(())
    }

    /// An address that nobody has, from the upper part of the range (the lower is for those who choose theirs).
    fn free_ip(&mut self, call: &Call, v6: bool) -> Result<String, Status> {
        let ranges = self.ranges(v6);
        let found = ranges.into_iter().find_map(|range| self.free_ip_of(range, call));
        found.ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))
    }

    /// The ranges of a family: that of the flag, and those of ServiceCIDRs that are ready.
    fn ranges(&self, v6: bool) -> Vec<Range> {
        let is_open = |o: &&Object| o.name() != "kubernetes" && o.condition_is_true("Ready") && !o.is_being_deleted();
        let more = self.all(Gvr::new("networking.k8s.io", "v1", "servicecidrs"), "").filter(is_open);
        let of = |o: &Object| o.list_at(&["spec", "cidrs"]).iter().filter_map(|c| Range::of(c.as_str()?, v6)).next();
        Range::of(&self.config.service_cidr, v6).into_iter().chain(more.filter_map(of)).collect()
    }

    fn free_ip_of(&mut self, range: Range, call: &Call) -> Option<String> {
        let size = range.size;
        let reserved = (size / 16).clamp(16.min(size / 2), 256);
        let seed = self.config.seed.derive("cluster-ip");
        let room = u64::from(size.saturating_sub(reserved + 2).max(1));
        let start = self.draw() ^ hash64(call.name.as_bytes());
        for i in 0..room.min(1 << 16) {
            let offset = match i {
                0..32 => seed.below(start.wrapping_add(i), room),
                i => (seed.below(start, room) + i) % room,
            };
            let ip = range.nth(reserved + offset as u32).to_string();
            if self.peek(ip_addresses(), "", &ip).is_none() {
                return Some(ip);
            }
        }
        // The upper part is full: whatever is left serves after all.
        let mut left = (1..size.min(1 << 16)).map(|n| range.nth(n)).filter(|ip| range.holds(*ip)).map(|ip| ip.to_string());
        left.find(|ip| self.peek(ip_addresses(), "", ip).is_none())
    }

    fn allocate_ports(&mut self, call: &Call, object: &mut Object, old: Option<&Object>, kind: &str) -> Result<(), Status> {
        let before: Vec<i64> = old.into_iter().flat_map(node_ports).collect();
        let wants = kind == "NodePort"
            || kind == "LoadBalancer" && object.bool_at(&["spec", "allocateLoadBalancerNodePorts"]) != Some(false);
        let mut ports = object.list_at(&["spec", "ports"]).to_vec();
        let mut errors = ErrorList::new();
        let spec = Path::new("spec");
        let list = spec.child("ports");
        let mut taken: Vec<(i64, String)> = Vec::new();
        let mut changed = false;
        for (i, port) in ports.iter_mut().enumerate() {
            let protocol = port.str_at(&["protocol"]).unwrap_or("TCP").to_string();
            let given = port.int_at(&["nodePort"]).unwrap_or(0);
            if given != 0 {
                let here = list.index(i);
                let path = here.child("nodePort");
                self.check_port(given, &before, &taken, &protocol, call, &path, &mut errors);
                taken.push((given, protocol));
            } else if wants {
                let old_port = old.and_then(|o| same_port(o, port));
                let n = match old_port {
                    Some(n) => n,
                    None => self.free_port(&taken)?,
                };
                port.set_at(&["nodePort"], n);
                changed = true;
                taken.push((n, protocol));
            }
        }
        if !errors.is_empty() {
            return Err(Status::invalid(call.resource.gvk, &call.name, &errors));
        }
        if changed {
            object.set_at(&["spec", "ports"], ports);
        }
        let health = kind == "LoadBalancer" && object.str_at(&["spec", "externalTrafficPolicy"]) == Some("Local");
        if health && object.int_at(&["spec", "healthCheckNodePort"]).unwrap_or(0) == 0 {
            let n = match old.and_then(|o| o.int_at(&["spec", "healthCheckNodePort"])).filter(|n| *n > 0) {
                Some(n) => n,
                None => self.free_port(&taken)?,
            };
            object.set_at(&["spec", "healthCheckNodePort"], n);
        }
        Ok(())
    }

    fn check_port(
        &self,
        port: i64,
        before: &[i64],
        taken: &[(i64, String)],
        protocol: &str,
        call: &Call,
        path: &Path,
        errors: &mut ErrorList,
    ) {
        let (low, high) = self.config.node_port_range;
        if before.contains(&port) || taken.iter().any(|(p, proto)| *p == port && proto != protocol) {
            return;
        }
        if call.dry_run() {
            return;
        }
        if !(i64::from(low)..=i64::from(high)).contains(&port) {
            errors.invalid(
                path,
                port,
                format!("provided port is not in the valid range. The range of valid ports is {low}-{high}"),
            );
        } else if !self.allocations.is_free(port) || taken.iter().any(|(p, _)| *p == port) {
            errors.invalid(path, port, "provided port is already allocated");
        }
    }

    fn free_port(&mut self, taken: &[(i64, String)]) -> Result<i64, Status> {
        let (low, high) = self.config.node_port_range;
        let (low, room) = (i64::from(low), u64::from(high - low) + 1);
        // The lowest ports are for those who choose theirs.
        let reserved = (room / 32).clamp(16.min(room / 2), 128);
        let n = self.draw();
        let start = self.config.seed.derive("node-port").below(n, room - reserved);
        for i in 0..room {
            let port = low
                + match i < room - reserved {
                    true => (reserved + (start + i) % (room - reserved)) as i64,
                    false => (room - 1 - i) as i64,
                };
            if self.allocations.is_free(port) && !taken.iter().any(|(p, _)| *p == port) {
                return Ok(port);
            }
        }
        Err(Status::internal("failed to allocate a nodePort: range is full"))
    }

    /// Gives back what a Service that goes had.
    pub(crate) fn release(&self, call: &Call, old: &Object) -> Vec<(Compare, Op)> {
        if call.resource.gvr != resources::services() {
            return Vec::new();
        }
        let mut ips: Vec<&str> = old.list_at(&["spec", "clusterIPs"]).iter().filter_map(Value::as_str).collect();
        if ips.is_empty() {
            ips.extend(old.str_at(&["spec", "clusterIP"]));
        }
        ips.into_iter().filter_map(|ip| self.release_ip(ip)).collect()
    }

    fn release_ip(&self, ip: &str) -> Option<(Compare, Op)> {
        let holder = self.peek(ip_addresses(), "", ip)?;
        let storage = self.scheme.storage(ip_addresses()).expect("IP addresses are stored");
        let key = self.scheme.storages[storage].key("", ip);
        Some((unchanged(&key, holder.revision()), Op::DeleteRange(KeyRange::one(key))))
    }
}

/// The node port that the old version had for the same port.
fn same_port(old: &Object, port: &Value) -> Option<i64> {
    let same = |p: &&Value| p.get("port") == port.get("port") && p.get("protocol") == port.get("protocol");
    old.list_at(&["spec", "ports"]).iter().find(same)?.int_at(&["nodePort"]).filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_each_family() {
        let cidrs = "10.96.0.0/16,fd00:10:96::/112";
        let [v4, v6] = [false, true].map(|v6| Range::of(cidrs, v6).unwrap());
        assert_eq!((v4.nth(1).to_string(), v4.size), ("10.96.0.1".into(), 65_536));
        assert_eq!((v6.nth(10).to_string(), v6.size), ("fd00:10:96::a".into(), 65_536));
        for (range, ip, held) in [
            (v4, "10.96.0.0", false),
            (v4, "10.96.255.254", true),
            (v4, "10.96.255.255", false),
            (v4, "10.97.0.1", false),
            (v6, "fd00:10:96::1", true),
            (v6, "fd00:10:97::1", false),
            (v6, "10.96.0.1", false),
        ] {
            assert_eq!(range.holds(ip.parse().unwrap()), held, "{ip}");
        }
        assert!(Range::of("10.96.0.0/12", true).is_none());
        assert_eq!(&*first_ip(cidrs), "10.96.0.1");
    }
}
