//! The node-ipam controller: gives every node a piece of the pod network. Models `pkg/controller/nodeipam/ipam` (range allocator).
//!
//! In a dual-stack cluster a node's pieces of both ranges have the same number. Left out: IPv6 first or alone, cloud allocators,
//! `--node-cidr-mask-size-ipv6` (64).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use apimachinery::validation::parse_cidr;
use apimachinery::{Object, ObjectKey, PatchType, Request, Value, value};
use base::{Map, Set};
use client_go::Delta;

use crate::config::Config;
use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::resources::{NODES, Res, gvr};

/// `--node-cidr-mask-size-ipv6`
const SECOND_MASK: u8 = 64;

#[derive(Clone)]
pub struct NodeIpamController {
    network: u32,
    prefix: u8,
    mask: u8,
    /// The IPv6 range of a dual-stack cluster: network and prefix length.
    second: Option<(u128, u8)>,
    used: Set<u32>,
    /// Where the next search begins.
    next: u32,
    by_node: Map<ObjectKey, u32>,
}

impl NodeIpamController {
    /// `None` if the cluster's range is not IPv4: then nothing is allocated.
    pub fn new(config: &Config) -> Option<NodeIpamController> {
        let (first, second) = match config.cluster_cidr.split_once(',') {
            Some((first, second)) => (first, Some(second)),
            None => (&*config.cluster_cidr, None),
        };
        let (IpAddr::V4(network), prefix) = parse_cidr(first)? else { return None };
        let second = second.and_then(parse_cidr).and_then(|(ip, prefix)| match ip {
            IpAddr::V6(ip) if prefix <= SECOND_MASK => Some((u128::from(ip), prefix)),
            _ => None,
        });
        let mask = config.node_cidr_mask_size;
        (config.allocate_node_cidrs && mask >= prefix && mask <= 32).then(|| NodeIpamController {
            network: network.into(),
            prefix,
            mask,
            second,
            used: Set::default(),
            next: 0,
            by_node: Map::default(),
        })
    }
    /// How many pieces there are.
    fn size(&self) -> u32 {
        1u32.checked_shl((self.mask - self.prefix) as u32).unwrap_or(u32::MAX)
    }
    /// The piece of the same number of the IPv6 range, as far as that goes.
    fn second_cidr(&self, piece: u32) -> Option<String> {
        let (network, prefix) = self.second?;
        let fits = u128::from(piece) < 1u128.checked_shl(u32::from(SECOND_MASK - prefix)).unwrap_or(u128::MAX);
        let address = network.wrapping_add(u128::from(piece) << (128 - SECOND_MASK));
        fits.then(|| format!("{}/{SECOND_MASK}", Ipv6Addr::from(address)))
    }
    fn cidr(&self, piece: u32) -> String {
        let address = self.network.wrapping_add(piece.checked_shl(32 - self.mask as u32).unwrap_or(0));
        format!("{}/{}", Ipv4Addr::from(address), self.mask)
    }
    fn piece_of(&self, cidr: &str) -> Option<u32> {
        let (IpAddr::V4(address), _) = parse_cidr(cidr)? else { return None };
        Some(u32::from(address).wrapping_sub(self.network).checked_shr(32 - self.mask as u32).unwrap_or(0))
    }
    fn allocate(&mut self) -> Option<u32> {
        let size = self.size();
        let piece = (0..size).map(|i| (self.next + i) % size).find(|piece| !self.used.contains(piece))?;
        self.next = (piece + 1) % size;
        self.used.insert(piece);
        Some(piece)
    }
    fn occupy(&mut self, node: &Object) {
        if let Some(piece) = node.str_at(&["spec", "podCIDR"]).and_then(|cidr| self.piece_of(cidr)) {
            self.used.insert(piece);
            self.by_node.insert(node.key(), piece);
        }
    }
}

impl Controller for NodeIpamController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        Info { name: "node-ipam-controller", account: "node-controller", source: "cidrAllocator", workers: 30 }
    }
    fn watches(&self) -> &'static [Res] {
        &[NODES]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let key = delta.object().key();
        match &delta.new {
            None => {
                if let Some(piece) = self.by_node.remove(&key) {
                    self.used.remove(&piece);
                }
            }
            Some(node) if node.str_at(&["spec", "podCIDR"]).unwrap_or("").is_empty() => queue.add(key),
            Some(node) if delta.old.is_none() || !self.by_node.contains_key(&key) => self.occupy(node),
            Some(_) => {}
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let missing = |node: &&Object| node.str_at(&["spec", "podCIDR"]).unwrap_or("").is_empty();
        let Some(node) = ctx.caches.get(NODES, key).filter(missing) else { return Plan::Done };
        let piece = match self.by_node.get(key) {
            Some(piece) => *piece,
            None => {
                let Some(piece) = self.allocate() else {
                    ctx.normal(node, "CIDRNotAvailable", &format!("Node {} status is now: CIDRNotAvailable", node.name()));
                    return Plan::retry(
                        "failed to allocate cidr: there are no remaining CIDRs left to allocate in the accepted range",
                    );
                };
                self.by_node.insert(key.clone(), piece);
                piece
            }
        };
        let cidr = self.cidr(piece);
        let cidrs: Vec<Value> = std::iter::once(cidr.clone()).chain(self.second_cidr(piece)).map(Value::from).collect();
        let patch = value!({"spec": {"podCIDR": (&cidr), "podCIDRs": cidrs}});
        Plan::call(format!("{key} gets {cidr}"), Request::patch(gvr(NODES), key, PatchType::StrategicMerge, patch), ())
    }
    fn resume(&mut self, key: &ObjectKey, (): (), outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<()> {
        if outcomes.iter().all(|o| o.is_not_found()) {
            if let Some(piece) = self.by_node.remove(key) {
                self.used.remove(&piece);
            }
            return Plan::Done;
        }
        let failed = failure(outcomes);
        if failed.is_some()
            && let Some(node) = ctx.caches.get(NODES, key)
        {
            ctx.normal(node, "CIDRAssignmentFailed", &format!("Node {} status is now: CIDRAssignmentFailed", node.name()));
        }
        failed.map_or(Plan::Done, Plan::Retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_given_in_order_and_come_back() {
        let mut config = Config::new(sim::Addr(1), "host");
        config.cluster_cidr = "10.244.0.0/22".into();
        let mut ipam = NodeIpamController::new(&config).unwrap();
        let mut cidr = || ipam.allocate().map(|piece| ipam.cidr(piece));
        let cidrs: Vec<Option<String>> = (0..5).map(|_| cidr()).collect();
        assert_eq!(cidrs[0].as_deref(), Some("10.244.0.0/24"));
        assert_eq!((cidrs[3].as_deref(), cidrs[4].as_deref()), (Some("10.244.3.0/24"), None));
        ipam.used.remove(&ipam.piece_of("10.244.2.0/24").unwrap());
        assert_eq!(ipam.allocate(), Some(2));
    }
}
