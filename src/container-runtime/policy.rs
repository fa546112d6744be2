//! NetworkPolicies at work: a connection that begins is looked up where it leaves a pod and where it enters one.
//!
//! In a real node these are chains that `FORWARD` jumps to. As there, what belongs to an accepted connection passes, the node's own
//! traffic reaches its pods (the kubelet probes them), a pod reaches itself, and what a client outside called is looked at with
//! that client's address if the node that rewrote the packet is also the endpoint's. A dropped packet is not answered: its sender
//! tries again and gives up. One more message to the node itself keeps it on record.

use std::net::IpAddr;

use cri_api::packet::{HopKind, Packet, PacketBody};
use cri_api::policy::{Attempt, Direction, Verdict};
use sim::{Outbox, Payload};

use crate::{Runtime, Text};

impl Runtime {
    /// Egress of a pod of this node. False: dropped.
    pub(crate) fn may_leave(&mut self, packet: &mut Packet, out: &mut Outbox) -> bool {
        if self.network.policies.is_empty() || packet.src.0 == packet.dst.0 {
            return true;
        }
        let (pod, peer) = (packet.src.0, packet.dst.0);
        self.look_up(Direction::Egress, pod, peer, packet, out)
    }

    /// Ingress of a pod of this node. False: dropped.
    pub(crate) fn may_enter(&mut self, packet: &mut Packet, out: &mut Outbox) -> bool {
        if self.network.policies.is_empty() || packet.src.0 == packet.dst.0 {
            return true;
        }
        let forwarded = self.network.forwarded(packet.src, packet.dst);
        if forwarded.is_none() && self.network.is_node(packet.src.0) {
            return true;
        }
        let peer = forwarded.map_or(packet.src.0, |by| by.client.0);
        self.look_up(Direction::Ingress, packet.dst.0, peer, packet, out)
    }

    fn look_up(&mut self, direction: Direction, ip: IpAddr, peer: IpAddr, packet: &mut Packet, out: &mut Outbox) -> bool {
        let protocol = match packet.body {
            PacketBody::Syn => "TCP",
            PacketBody::Query(..) => "UDP",
            PacketBody::Echo(_) => "ICMP",
            // Part of something that was let pass.
            _ => return true,
        };
        let Some(config) = self.network.pod_at(ip).and_then(|id| self.sandboxes.get(id)).map(|s| &s.config) else { return true };
        let pod = format!("{}/{}", config.pod_namespace, config.pod_name);
        let attempt = Attempt { peer, called: packet.dst, protocol };
        match self.network.policies.verdict(direction, &pod, &attempt) {
            Verdict::Free => true,
            Verdict::Admitted(policy) => {
                packet.hops.push(self.hop(HopKind::Admitted { direction, pod: pod.into(), policy }));
                true
            }
            Verdict::Dropped(policies) => {
                let names = policies.iter().map(|p| p.rsplit('/').next().unwrap_or(p)).collect::<Vec<_>>().join(", ");
                let port = if protocol == "ICMP" { String::new() } else { format!(" port {}", packet.dst.1) };
                let reason = match direction {
                    Direction::Ingress => format!("{pod} is isolated by {names}: no rule admits {peer} to {protocol}{port}"),
                    Direction::Egress => format!("{pod} is isolated by {names}: no rule lets it call {peer} by {protocol}{port}"),
                };
                self.drop_packet(packet.clone(), &reason, policies, out);
                false
            }
        }
    }

    /// Ends a packet without a word to its sender.
    pub(crate) fn drop_packet(&self, mut packet: Packet, reason: &str, policies: Vec<Text>, out: &mut Outbox) {
        packet.hops.push(self.hop(HopKind::Dropped { reason: reason.into(), policies }));
        out.send(out.me, Payload::Packet(packet.into()));
    }
}
