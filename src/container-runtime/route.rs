//! Carrying packets: from a process' socket through rules and routes to another one, on this node or another.
//!
//! One packet is one step of a connection. Rules apply to the first (as conntrack has it); later ones follow the same way,
//! because both ends are remembered by their translated addresses.

use std::net::IpAddr;
use std::rc::Rc;

use base::{Duration, Time};
use cri_api::MachineInput;
use cri_api::cri::Id;
use cri_api::errno::Errno;
use cri_api::net::{ConnId, NetInput, NetOutput};
use cri_api::packet::{Endpoint, Hop, HopKind, Packet, PacketBody};
use sim::{Addr, Outbox, Payload};

use crate::network::{Choice, Forwarded, Owner};
use crate::{Runtime, Text, Wake};

/// Further tries to open a connection that nobody answers: after 1, 2, 4 … seconds, as Linux has it (`tcp_syn_retries`).
const SYN_RETRIES: u32 = 6;

impl Runtime {
    /// What a container's machine asks of the network.
    pub(crate) fn net_output(&mut self, now: Time, id: &Id, output: NetOutput, out: &mut Outbox) {
        let ip = self.address_of(id);
        self.net_request(now, Owner::Container(id.clone()), ip, output, out);
    }

    /// The address that a container's connections come from.
    fn address_of(&self, id: &Id) -> IpAddr {
        let sandbox = self.containers.get(id).and_then(|c| self.sandboxes.get(&c.sandbox));
        sandbox.and_then(|s| s.ips.first().copied()).unwrap_or(self.config.node_ip)
    }

    /// Tells a container's machine which ports its neighbours in the network namespace listen on.
    pub(crate) fn note_foreign_ports(&mut self, id: &Id) {
        let ip = self.address_of(id);
        let here = self.network.listeners.range((ip, 0)..=(ip, u16::MAX));
        let taken: Vec<u16> = here.filter(|(_, owner)| *owner != id).map(|((_, port), _)| *port).collect();
        if self.machines.get(id).is_some_and(|m| m.foreign_ports != taken)
            && let Some(machine) = self.machines.get_mut(id)
        {
            Rc::make_mut(machine).foreign_ports = taken;
        }
    }

    pub(crate) fn net_request(&mut self, now: Time, owner: Owner, ip: IpAddr, output: NetOutput, out: &mut Outbox) {
        match output {
            NetOutput::Connect { conn, ip: dst, port } => {
                self.connect(now, owner.clone(), conn, ip, (dst, port), out);
                self.wake_after(Duration::from_secs(1), Wake::Syn(owner, conn, 0), out);
            }
            NetOutput::Listen { port, .. } => {
                let id: Id = if let Owner::Container(id) = owner { id } else { "".into() };
                for ip in self.siblings(ip) {
                    self.network.listeners.insert((ip, port), id.clone());
                }
            }
            NetOutput::Unlisten { port } => {
                for ip in self.siblings(ip) {
                    self.network.listeners.remove(&(ip, port));
                }
            }
            NetOutput::Send { conn, data } => self.on_conn(now, &owner, conn, PacketBody::Data(data), out),
            NetOutput::Shutdown { conn } => self.on_conn(now, &owner, conn, PacketBody::Fin, out),
            NetOutput::Close { conn } => {
                self.on_conn(now, &owner, conn, PacketBody::Reset(Errno::ECONNRESET), out);
                if let Some(key) = self.network.ends_of(&owner, conn) {
                    self.network.forget(key);
                }
            }
            NetOutput::Consumed { conn, bytes } => self.on_conn(now, &owner, conn, PacketBody::Window(bytes), out),
            NetOutput::Query { call, server, question } => {
                let near = (self.source(ip, server), self.network.ephemeral_port());
                self.network.remember(near, (server, 53), owner, ConnId(call.0.into()));
                self.send(now, near, (server, 53), PacketBody::Query(call.0.into(), question), out);
            }
            NetOutput::ServeDns { port } => {
                if let Owner::Container(id) = owner {
                    for ip in self.siblings(ip) {
                        self.network.dns_listeners.insert((ip, port), id.clone());
                    }
                }
            }
            NetOutput::Answer { query, answer } => {
                if let Some((near, far)) = self.network.ends_of(&owner, ConnId::incoming(query)) {
                    self.network.forget((near, far));
                    self.send(now, near, far, PacketBody::Answer(query, answer), out);
                }
            }
            NetOutput::Ping { call, ip: dst } => {
                let near = (self.source(ip, dst), self.network.ephemeral_port());
                let dst = if dst.is_loopback() { near.0 } else { dst };
                self.network.remember(near, (dst, 0), owner, ConnId(call.0.into()));
                self.send(now, near, (dst, 0), PacketBody::Echo(call.0.into()), out);
            }
        }
    }

    /// Begins a connection.
    pub(crate) fn connect(&mut self, now: Time, owner: Owner, conn: ConnId, ip: IpAddr, dst: Endpoint, out: &mut Outbox) {
        let near = (self.source(ip, dst.0), self.network.ephemeral_port());
        // localhost is the network namespace of the pod: its address stands for it.
        let dst = if dst.0.is_loopback() { (near.0, dst.1) } else { dst };
        self.network.remember(near, dst, owner, conn);
        self.send(now, near, dst, PacketBody::Syn, out);
    }

    /// A second has passed (or 2, 4 …) since a connection was begun: the packet may have been lost or dropped.
    pub(crate) fn syn_timeout(&mut self, now: Time, owner: Owner, conn: ConnId, tries: u32, out: &mut Outbox) {
        let Some((near, far)) = self.network.ends_of(&owner, conn) else { return };
        if self.network.ends.get(&(near, far)).is_none_or(|e| e.open) {
            return;
        }
        if tries == SYN_RETRIES {
            self.network.forget((near, far));
            return self.to_owner(now, &owner, NetInput::Failed { conn, error: Errno::ETIMEDOUT }, out);
        }
        self.send(now, near, far, PacketBody::Syn, out);
        self.wake_after(Duration::from_secs(2 << tries), Wake::Syn(owner, conn, tries + 1), out);
    }

    /// All addresses of the network namespace that has this one.
    fn siblings(&self, ip: IpAddr) -> Vec<IpAddr> {
        if self.network.is_node(ip) {
            return std::iter::once(self.network.node_ip).chain(self.network.node_ip6).collect();
        }
        let sandbox = self.network.pod_at(ip).and_then(|id| self.sandboxes.get(id));
        sandbox.map_or_else(|| vec![ip], |s| s.ips.clone())
    }

    /// The address by which the namespace of `ip` speaks to `dst`: of the same family, if it has one.
    fn source(&self, ip: IpAddr, dst: IpAddr) -> IpAddr {
        if ip.is_ipv4() == dst.is_ipv4() {
            return ip;
        }
        self.siblings(ip).into_iter().find(|s| s.is_ipv4() == dst.is_ipv4()).unwrap_or(ip)
    }

    fn on_conn(&mut self, now: Time, owner: &Owner, conn: ConnId, body: PacketBody, out: &mut Outbox) {
        if let Some((near, far)) = self.network.ends_of(owner, conn) {
            self.send(now, near, far, body, out);
        }
    }

    /// A packet that begins here.
    pub(crate) fn send(&mut self, now: Time, src: Endpoint, dst: Endpoint, body: PacketBody, out: &mut Outbox) {
        self.send_with(now, src, dst, body, Vec::new(), out);
    }

    /// The same, with what is known of its way already.
    fn send_with(&mut self, now: Time, src: Endpoint, dst: Endpoint, body: PacketBody, mut hops: Vec<Hop>, out: &mut Outbox) {
        hops.push(Hop { place: self.place(src.0), what: HopKind::Sent });
        self.forward(now, Packet { src, dst, body, next_hop: dst.0, hops }, out);
    }

    /// Accepts a connection; the packet says which policy let it in.
    pub(crate) fn send_accept(&mut self, now: Time, packet: &Packet, out: &mut Outbox) {
        let admitted = packet.hops.iter().filter(|h| matches!(h.what, HopKind::Admitted { .. })).cloned().collect();
        self.send_with(now, packet.dst, packet.src, PacketBody::SynAck, admitted, out);
    }

    /// Rules, then routes.
    fn forward(&mut self, now: Time, mut packet: Packet, out: &mut Outbox) {
        let first = matches!(packet.body, PacketBody::Syn | PacketBody::Query(..));
        if first && !self.translate(now, &mut packet, out) || !self.may_leave(&mut packet, out) {
            return;
        }
        if let Some(by) = self.network.forwarded(packet.dst, packet.src).filter(|by| by.client == packet.dst) {
            // The client's own address was kept: the answer leaves by what it had called.
            packet.src = by.called;
        }
        let dst = packet.dst.0;
        if dst.is_ipv4() != packet.src.0.is_ipv4() {
            return self.refuse(now, packet, Errno::ENETUNREACH, "the pod has no address of this family", out);
        }
        if self.network.is_local(dst) {
            packet.next_hop = self.config.node_ip;
            // Through the queue, so that also a packet within a node takes its time and is seen.
            let probe = self.is_probe(&packet);
            return match probe {
                true => self.deliver(now, packet, out),
                false => out.send(out.me, Payload::Packet(Rc::new(packet))),
            };
        }
        match self.network.route(dst) {
            Some((hop, cidr)) => {
                packet.next_hop = hop;
                if let (Some(cidr), true) = (cidr, first) {
                    packet.hops.push(self.hop(HopKind::Routed { cidr: cidr.into(), via: hop }));
                    if self.network.plugin() == "flannel" {
                        let (device, from) = ("flannel.1".into(), self.network.node_address(hop));
                        packet.hops.push(self.hop(HopKind::Encapsulated { device, from, to: hop }));
                    }
                }
                out.send(Addr::OUTSIDE, Payload::Packet(Rc::new(packet)));
            }
            None => self.refuse(now, packet, Errno::ENETUNREACH, "no route: there is no internet in the bottle", out),
        }
    }

    /// The kubelet's own probes stay off the record: there are many and they are local.
    fn is_probe(&self, packet: &Packet) -> bool {
        let end = self.network.ends.get(&(packet.src, packet.dst)).or_else(|| self.network.ends.get(&(packet.dst, packet.src)));
        end.is_some_and(|e| matches!(e.owner, Owner::Dial(_)))
    }

    /// kube-proxy's rules for a first packet. False: it was refused.
    fn translate(&mut self, now: Time, packet: &mut Packet, out: &mut Outbox) -> bool {
        let protocol: Text = if matches!(packet.body, PacketBody::Query(..)) { "UDP" } else { "TCP" }.into();
        let Some(rule) = self.network.rule(packet.dst, &protocol).cloned() else { return true };
        let chosen = match self.network.choose(now, &rule, packet.src.0) {
            Choice::Endpoint(chosen) => chosen,
            Choice::Nothing => {
                let reason = format!("{} has no endpoints", rule.service.trim_end_matches(':'));
                self.refuse(now, packet.clone(), Errno::ECONNREFUSED, &reason, out);
                return false;
            }
            Choice::NotHere => {
                let reason = format!("{} has no local endpoints (traffic policy Local)", rule.service.trim_end_matches(':'));
                self.drop_packet(packet.clone(), &reason, Vec::new(), out);
                return false;
            }
        };
        let (called, target) = (packet.dst, (chosen.ip, chosen.port));
        let of = rule.endpoints.iter().filter(|e| e.ready).count() as u32;
        packet.hops.push(self.hop(HopKind::Dnat { service: rule.service.clone(), from: called, to: target, of }));
        packet.dst = target;
        match self.network.ends.get(&(packet.src, called)).cloned() {
            // Begun here: the near end is now known by the translated far end.
            Some(end) => {
                self.network.forget((packet.src, called));
                self.network.remember(packet.src, target, end.owner, end.conn);
            }
            // From outside: the answer has to come back through here.
            None => {
                let by = Forwarded { client: packet.src, called };
                let is_pod = self.network.pod_at(by.client.0).is_some();
                if rule.masquerade || !rule.kind.is_external() && !is_pod {
                    packet.src = (self.network.node_address(target.0), self.network.ephemeral_port());
                    packet.hops.push(self.hop(HopKind::Masquerade { to: packet.src.0 }));
                }
                self.network.add_forwarded(packet.src, target, by);
            }
        }
        true
    }

    /// A packet from the nodes' network, or one that stayed within this node.
    pub(crate) fn packet_in(&mut self, now: Time, from: Addr, packet: Packet, out: &mut Outbox) {
        let _ = from;
        let first = matches!(packet.body, PacketBody::Syn | PacketBody::Query(..));
        if packet.hops.last().is_some_and(|h| matches!(h.what, HopKind::Dropped { .. })) {
            // Its end, on record.
            return;
        }
        // A node port, called from outside.
        if first && self.network.is_node(packet.dst.0) && self.network.ends.get(&(packet.src, packet.dst)).is_none() {
            let protocol: Text = if matches!(packet.body, PacketBody::Query(..)) { "UDP" } else { "TCP" }.into();
            if self.network.rule(packet.dst, &protocol).is_some() {
                return self.forward(now, packet, out);
            }
        }
        // Later packets of a forwarded connection, towards the endpoint.
        let ends = matches!(packet.body, PacketBody::Reset(_) | PacketBody::Answer(..));
        if let Some((seen_as, target)) = self.network.forwards(packet.src, packet.dst) {
            if ends {
                self.network.forget_forwarded(seen_as, target);
            }
            return self.forward(now, Packet { src: seen_as, dst: target, ..packet }, out);
        }
        // And back.
        if let Some(by) = self.network.forwarded(packet.dst, packet.src) {
            if ends {
                self.network.forget_forwarded(packet.dst, packet.src);
            }
            return self.forward(now, Packet { src: by.called, dst: by.client, ..packet }, out);
        }
        if self.network.is_local(packet.dst.0) {
            return self.deliver(now, packet, out);
        }
        if self.network.in_pod_range(packet.dst.0) {
            return self.refuse(now, packet, Errno::EHOSTUNREACH, "no pod has this address", out);
        }
        self.forward(now, packet, out);
    }

    /// Hands a packet to its socket.
    fn deliver(&mut self, now: Time, mut packet: Packet, out: &mut Outbox) {
        if !self.may_enter(&mut packet, out) {
            return;
        }
        packet.hops.push(Hop { place: self.place(packet.dst.0), what: HopKind::Delivered });
        let key = (packet.dst, packet.src);
        if let Some(end) = self.network.ends.get(&key).cloned() {
            return self.to_end(now, key, end.owner, end.conn, packet, out);
        }
        match &packet.body {
            PacketBody::Syn => self.accept(now, packet, out),
            PacketBody::Query(..) => self.dns_in(now, packet, out),
            PacketBody::Echo(n) => {
                let body = PacketBody::EchoReply(*n);
                self.send(now, packet.dst, packet.src, body, out);
            }
            _ => {}
        }
    }

    fn accept(&mut self, now: Time, packet: Packet, out: &mut Outbox) {
        if let Some(id) = self.network.listeners.get(&packet.dst).cloned() {
            let conn = ConnId::incoming(self.next());
            let owner = if id.is_empty() { Owner::Host } else { Owner::Container(id) };
            self.network.remember(packet.dst, packet.src, owner.clone(), conn);
            let input = NetInput::Incoming { conn, port: packet.dst.1, peer: packet.src, local: packet.dst };
            self.send_accept(now, &packet, out);
            return self.to_owner(now, &owner, input, out);
        }
        if self.network.is_node(packet.dst.0) && packet.dst.1 == 22 && &*self.config.node != "laptop" {
            return self.accept_ssh(now, packet.dst, packet.src, out);
        }
        if self.accept_for_component(now, &packet, out) {
            return;
        }
        self.refuse(now, packet, Errno::ECONNREFUSED, "nobody listens on this port", out);
    }

    fn dns_in(&mut self, now: Time, packet: Packet, out: &mut Outbox) {
        let PacketBody::Query(_, question) = &packet.body else { return };
        if let Some(id) = self.network.dns_listeners.get(&packet.dst).cloned() {
            let query = self.next();
            let owner = Owner::Container(id);
            self.network.remember(packet.dst, packet.src, owner.clone(), ConnId::incoming(query));
            let input = NetInput::Query { query, from: packet.src.0, question: question.clone() };
            return self.to_owner(now, &owner, input, out);
        }
        match self.component_at(packet.dst.0) {
            // A component that answers DNS (CoreDNS) takes the packet as it is.
            Some((addr, _)) => out.send(addr, Payload::Packet(Rc::new(packet))),
            None => self.refuse(now, packet, Errno::ECONNREFUSED, "nobody answers DNS here", out),
        }
    }

    /// Tells the sender that nothing came of it.
    fn refuse(&mut self, now: Time, packet: Packet, error: Errno, reason: &str, out: &mut Outbox) {
        if matches!(packet.body, PacketBody::Reset(_)) {
            return;
        }
        let mut hops = packet.hops;
        hops.push(self.hop(HopKind::Refused { reason: reason.into() }));
        let back = Packet { src: packet.dst, dst: packet.src, body: PacketBody::Reset(error), next_hop: packet.src.0, hops };
        match self.network.is_local(back.dst.0) {
            true if self.is_probe(&back) => self.deliver(now, back, out),
            // On record, as all that a user's program meets.
            true => out.send(out.me, Payload::Packet(Rc::new(back))),
            false => self.forward(now, back, out),
        }
    }

    fn to_end(&mut self, now: Time, key: (Endpoint, Endpoint), owner: Owner, conn: ConnId, packet: Packet, out: &mut Outbox) {
        let input = match packet.body {
            PacketBody::SynAck => {
                if let Some(end) = self.network.ends.get_mut(&key) {
                    end.open = true;
                }
                NetInput::Connected { conn, local: packet.dst }
            }
            PacketBody::Reset(error) => {
                self.network.forget(key);
                match conn.0 >> 63 {
                    _ if key.1.1 == 53 => NetInput::Answered { call: cri_api::CallId(conn.0 as u32), answer: None },
                    _ if key.1.1 == 0 => NetInput::Pong { call: cri_api::CallId(conn.0 as u32), ttl: None },
                    _ => NetInput::Failed { conn, error },
                }
            }
            PacketBody::Data(data) => NetInput::Data { conn, data },
            PacketBody::Window(bytes) => NetInput::Window { conn, bytes },
            PacketBody::Fin => NetInput::Eof { conn },
            PacketBody::Answer(call, answer) => {
                self.network.forget(key);
                NetInput::Answered { call: cri_api::CallId(call as u32), answer: Some(answer) }
            }
            PacketBody::EchoReply(call) => {
                self.network.forget(key);
                NetInput::Pong { call: cri_api::CallId(call as u32), ttl: Some(64) }
            }
            PacketBody::Syn | PacketBody::Query(..) | PacketBody::Echo(_) => return,
        };
        self.to_owner(now, &owner, input, out);
    }

    fn to_owner(&mut self, now: Time, owner: &Owner, input: NetInput, out: &mut Outbox) {
        match owner {
            Owner::Container(id) => self.feed(now, id, MachineInput::Net(input), out),
            Owner::Host => self.feed_host(now, MachineInput::Net(input), out),
            Owner::Dial(n) => self.dial_event(now, *n, input, out),
            Owner::Bridge(n) => self.bridge_event(now, *n, input, out),
            Owner::Egress(n) => self.egress_event(now, *n, input, out),
            Owner::Forward(n) => self.forward_event(now, *n, input, out),
            Owner::Ssh(tab) => self.ssh_event(now, *tab, input, out),
        }
    }

    pub(crate) fn hop(&self, what: HopKind) -> Hop {
        Hop { place: self.config.node.clone(), what }
    }

    /// `pod default/web` or the node's name.
    fn place(&self, ip: IpAddr) -> Text {
        match self.network.pod_at(ip).and_then(|id| self.sandboxes.get(id)) {
            Some(s) => format!("pod {}/{}", s.config.pod_namespace, s.config.pod_name).into(),
            None => self.config.node.clone(),
        }
    }
}
