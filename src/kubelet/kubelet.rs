//! The process: takes messages, hands them to the node's part, to pod workers and to the server, and sends what these want.

use apimachinery::{Gvr, ObjectKey, Request, Response, resources};
use base::{Duration, Time};
use client_go::{Client, Delta, EventRecorder, Handled, Informers, Selectors};
use sim::{Message, Outbox, Payload};

use crate::config::Config;
use crate::hollow::Hollow;
use crate::node::{NodeCall, NodeState};
use crate::wheel::Wheel;

const SCOPE_INFORMERS: u16 = 1;
const SCOPE_CALLS: u16 = 2;

/// What a request to kube-apiserver was for.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    Node(NodeCall),
    Event,
    Other,
}

/// What is due.
#[derive(Clone, PartialEq, Debug)]
pub enum Wake {
    Register,
    CsiNode,
    NodeStatus,
    Lease,
    /// Of a hollow kubelet.
    JobDone(ObjectKey),
}

/// Informers by number.
pub mod informer {
    pub const NODE: usize = 0;
    pub const PODS: usize = 1;
    pub const SERVICES: usize = 2;
}

/// A node's kubelet.
#[derive(Clone)]
pub struct Kubelet {
    pub(crate) config: Config,
    pub(crate) client: Client<Call>,
    pub(crate) informers: Informers,
    pub(crate) recorder: EventRecorder,
    pub(crate) wheel: Wheel<Wake>,
    pub(crate) node: NodeState,
    pub(crate) hollow: Hollow,
    draws: u64,
}

impl Kubelet {
    pub fn new(config: Config) -> Kubelet {
        let mut informers = Informers::new(SCOPE_INFORMERS, config.client.clone(), config.seed.derive("informers"));
        let name = &config.node_name;
        informers.add(resources::nodes(), Selectors::field(&format!("metadata.name={name}")), &[]);
        informers.add(resources::pods(), Selectors::field(&format!("spec.nodeName={name}")), &[]);
        if !config.is_hollow() {
            informers.add(resources::services(), Selectors::field("spec.clusterIP!=None"), &[]);
            informers.add(resources::csidrivers(), Selectors::default(), &[]);
            informers.add(resources::runtimeclasses(), Selectors::default(), &[]);
            let requests = Gvr::new("certificates.k8s.io", "v1", "podcertificaterequests");
            informers.add(requests, Selectors::field(&format!("spec.nodeName={name}")), &[]);
        }
        Kubelet {
            client: Client::new(SCOPE_CALLS, config.client.clone()),
            recorder: EventRecorder::new("kubelet", &config.node_name),
            node: NodeState::new(config.is_hollow()),
            hollow: Hollow::default(),
            wheel: Wheel::default(),
            informers,
            config,
            draws: 0,
        }
    }

    pub(crate) fn pods_informer(&self) -> usize {
        informer::PODS
    }

    /// A draw below `bound_us` microseconds.
    pub(crate) fn jitter(&mut self, bound_us: u64) -> Duration {
        self.draws += 1;
        Duration(self.config.seed.derive("jitter").below(self.draws, bound_us) as i64)
    }

    /// Takes one message.
    pub fn handle(&mut self, _now: Time, message: Message, out: &mut Outbox) {
        match &message.payload {
            Payload::Start => self.start(out),
            Payload::Timer(token) if self.wheel.owns(*token) => {
                self.wheel.fired(*token);
                while let Some(wake) = self.wheel.pop(out.now) {
                    self.on_wake(wake, out);
                }
            }
            payload => self.on_payload(payload, out),
        }
        self.wheel.arm(out);
    }

    fn start(&mut self, out: &mut Outbox) {
        for number in 0..self.informers.len() {
            if number != informer::PODS {
                self.informers.start_one(number, out);
            }
        }
        self.start_node(out);
    }

    /// The node is registered: now pods can be watched.
    pub(crate) fn on_node_known(&mut self, out: &mut Outbox) {
        if self.informers.get(informer::PODS).stream().is_none() {
            self.informers.start_one(informer::PODS, out);
        }
    }

    fn on_payload(&mut self, payload: &Payload, out: &mut Outbox) {
        match self.informers.handle(payload, out) {
            Handled::NotMine => {}
            Handled::Nothing => return,
            Handled::Deltas(number, deltas) => return deltas.iter().for_each(|d| self.on_delta(number, d, out)),
        }
        match payload {
            Payload::ApiResponse { id, response } => {
                if let Some(call) = self.client.take(*id) {
                    self.on_response(call, response, out);
                }
            }
            Payload::PeerGone { peer } if *peer == self.config.client.apiserver => self.on_lost(out),
            _ => {}
        }
    }

    fn on_delta(&mut self, number: usize, delta: &Delta, out: &mut Outbox) {
        match number {
            informer::NODE => match &delta.new {
                Some(node) => self.on_node(node.clone(), out),
                None => self.node.object = None,
            },
            informer::PODS if self.config.is_hollow() => self.on_hollow_pod(delta, out),
            _ => {}
        }
    }

    fn on_response(&mut self, call: Call, response: &Response, out: &mut Outbox) {
        match call {
            Call::Node(call) => self.on_node_response(call, response, out),
            Call::Event | Call::Other => {}
        }
    }

    /// kube-apiserver is gone: what was under way counts as failed.
    fn on_lost(&mut self, out: &mut Outbox) {
        let failed = sim::transport_error("connect: connection refused");
        for (_, call) in self.client.drop_all() {
            self.on_response(call, &failed, out);
        }
    }

    fn on_wake(&mut self, wake: Wake, out: &mut Outbox) {
        match wake {
            Wake::Register => self.register(out),
            Wake::CsiNode => self.get_csi_node(out),
            Wake::NodeStatus => self.node_status_tick(out),
            Wake::Lease => self.renew_lease(out),
            Wake::JobDone(pod) => self.finish_hollow(&pod, out),
        }
    }

    /// The open watches, for the page.
    pub fn informers(&self) -> &Informers {
        &self.informers
    }

    /// Sends a request whose answer nobody waits for.
    #[allow(dead_code)]
    pub(crate) fn tell(&mut self, request: Request, out: &mut Outbox) {
        self.client.call(request, Call::Other, out);
    }
}
