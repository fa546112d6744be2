//! The process: leader election, informers, the controllers, and who gets which answer. Models `cloud-provider/app`.

use std::rc::Rc;

use apimachinery::{ObjectKey, Request, Response, resources, value};
use base::{Seed, Time};
use client_go::{
    Client, ClientConfig, Delta, EventRecorder, EventType, Handled, Ids, Informers, LeaderConfig, LeaderElector, Leadership,
    Selectors, Timers,
};
use sim::{Addr, MsgId, Outbox, Payload, StreamId};

use crate::framework::{Call, Controller, NODES, PlanNote, Runner, SERVICES, Wanted};
use crate::node::CloudNode;
use crate::node_lifecycle::CloudNodeLifecycle;
use crate::route::Route;
use crate::service::ServiceLb;

const CALLS: u16 = 1;
const INFORMERS: u16 = 2;
const ELECTOR: u16 = 3;
const CLOUD: u16 = 4;

/// Options, named as the flags are.
#[derive(Clone, Debug)]
pub struct Config {
    /// kube-apiserver, credential and rate limit.
    pub client: ClientConfig,
    /// The cloud's API.
    pub cloud: Addr,
    /// First part of the identity in the leader lease.
    pub hostname: Rc<str>,
    pub leader_elect: bool,
    pub configure_cloud_routes: bool,
    pub seed: Seed,
}

/// What a call was for: the runner and its sync, or nothing that matters.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Tag {
    Sync(u8, u64),
    Event,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Candidate,
    Syncing,
    Running,
    Ended,
}

/// A controller, for the page.
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerView {
    pub name: &'static str,
    pub waiting: usize,
    pub in_process: usize,
    pub plans: Vec<PlanNote>,
}

/// cloud-controller-manager.
#[derive(Clone)]
pub struct CloudControllerManager {
    config: Config,
    phase: Phase,
    client: Client<Tag>,
    informers: Informers,
    elector: LeaderElector,
    recorder: EventRecorder,
    timers: Timers<()>,
    cloud_ids: Ids,
    cloud_calls: base::Map<StreamId, Tag>,
    /// The wake that a timer is set for.
    armed: Option<Time>,
    node: Runner<CloudNode>,
    lifecycle: Runner<CloudNodeLifecycle>,
    service: Runner<ServiceLb>,
    route: Option<Runner<Route>>,
}

/// Does the same with each runner: they are of different types.
macro_rules! each_runner {
    ($me:ident, |$runner:ident, $number:ident| $body:expr) => {{
        {
            let ($runner, $number) = (&mut $me.node, 0u8);
            $body
        }
        {
            let ($runner, $number) = (&mut $me.lifecycle, 1u8);
            $body
        }
        {
            let ($runner, $number) = (&mut $me.service, 2u8);
            $body
        }
        if let Some($runner) = &mut $me.route {
            let $number = 3u8;
            $body
        }
    }};
}

impl CloudControllerManager {
    pub fn new(config: Config) -> CloudControllerManager {
        let seed = config.seed.derive("cloud-controller-manager");
        let mut informers = Informers::new(INFORMERS, config.client.clone(), seed.derive("informers"));
        let nodes = informers.add(resources::nodes(), Selectors::default(), &[]);
        let services = informers.add(resources::services(), Selectors::default(), &[]);
        debug_assert_eq!((nodes, services), (NODES, SERVICES));
        let identity = format!("{}_{}", config.hostname, seed.derive("identity").uuid(0));
        let lease = LeaderConfig::new(ObjectKey::new("kube-system", "cloud-controller-manager"), &identity);
        let election =
            ClientConfig { user_agent: format!("{}/leader-election", config.client.user_agent).into(), ..config.client.clone() };
        CloudControllerManager {
            phase: Phase::Candidate,
            client: Client::new(CALLS, config.client.clone()),
            informers,
            elector: LeaderElector::new(ELECTOR, election, lease, seed.derive("elector")),
            recorder: EventRecorder::new("cloud-controller-manager", ""),
            timers: Timers::new(CALLS),
            cloud_ids: Ids::new(CLOUD),
            cloud_calls: base::Map::new(),
            armed: None,
            node: Runner::new(CloudNode),
            lifecycle: Runner::new(CloudNodeLifecycle),
            service: Runner::new(ServiceLb::default()),
            route: config.configure_cloud_routes.then(|| Runner::new(Route)),
            config,
        }
    }

    /// Whether the process has ended (it lost its lease) and must be started anew.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }
    /// Whether it leads and its controllers run.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Queues and last plans of the controllers, for the page.
    pub fn view(&self) -> Vec<ControllerView> {
        fn of<C: Controller>(runner: &Runner<C>) -> ControllerView {
            ControllerView {
                name: C::NAME,
                waiting: runner.waiting(),
                in_process: runner.in_process(),
                plans: runner.plans().cloned().collect(),
            }
        }
        let mut views = vec![of(&self.node), of(&self.lifecycle), of(&self.service)];
        views.extend(self.route.as_ref().map(of));
        views
    }

    pub fn handle(&mut self, payload: &Payload, out: &mut Outbox) {
        match payload {
            _ if self.phase == Phase::Ended => {}
            Payload::Start if self.config.leader_elect => self.elector.start(out),
            Payload::Start => self.lead(out),
            Payload::ApiResponse { id, response } if self.client.owns(*id) => {
                if let Some(Tag::Sync(runner, sync)) = self.client.take(*id) {
                    self.on_answer(runner, sync, response, out);
                }
            }
            Payload::ApiResponse { id, response } if self.cloud_ids.owns(*id) => {
                if let Some(Tag::Sync(runner, sync)) = self.cloud_calls.remove(id) {
                    self.on_answer(runner, sync, response, out);
                }
            }
            Payload::Timer(token) if self.timers.owns(*token) => {
                if self.timers.take(*token).is_some() {
                    self.armed = None;
                    let now = out.now;
                    each_runner!(self, |runner, _n| runner.wake(now));
                    self.run(out);
                }
            }
            Payload::PeerGone { peer } if *peer == self.config.client.apiserver => self.on_peer_gone(payload, out),
            payload => self.on_other(payload, out),
        }
    }

    fn on_other(&mut self, payload: &Payload, out: &mut Outbox) {
        match self.elector.handle(payload, out) {
            Leadership::NotMine => {}
            Leadership::Unchanged => return,
            Leadership::Started => {
                self.say_that_it_leads(out);
                return self.lead(out);
            }
            Leadership::Lost => {
                self.phase = Phase::Ended;
                return;
            }
        }
        if let Handled::Deltas(number, deltas) = self.informers.handle(payload, out) {
            self.on_deltas(number, &deltas, out);
        }
        if self.phase == Phase::Syncing && self.informers.all_synced() {
            self.phase = Phase::Running;
            self.run(out);
        }
    }

    fn lead(&mut self, out: &mut Outbox) {
        self.phase = Phase::Syncing;
        self.informers.start(out);
    }

    fn say_that_it_leads(&mut self, out: &mut Outbox) {
        let identity = self.elector.config.identity.clone();
        let Some(lease) = self.elector.lease() else { return };
        let about = value!({
            "kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "namespace": "kube-system",
            "name": "cloud-controller-manager", "uid": (lease.uid()), "resourceVersion": (lease.resource_version())
        });
        let message = format!("{identity} became leader");
        if let Some(event) = self.recorder.record(about, EventType::Normal, "LeaderElection", &message, out.now) {
            self.client.call(event, Tag::Event, out);
        }
    }

    fn on_deltas(&mut self, number: usize, deltas: &[Delta], out: &mut Outbox) {
        for delta in deltas {
            let informers = &self.informers;
            each_runner!(self, |runner, _n| runner.on_delta(number, delta, informers, out));
        }
        if self.phase == Phase::Running {
            self.run(out);
        }
    }

    fn run(&mut self, out: &mut Outbox) {
        if self.phase != Phase::Running {
            return;
        }
        let (mut calls, mut events) = (Vec::new(), Vec::new());
        let informers = &self.informers;
        each_runner!(self, |runner, number| {
            let mut wanted = Vec::new();
            runner.run(informers, out, &mut wanted, &mut events);
            calls.extend(wanted.into_iter().map(|w| (number, w)));
        });
        self.send(calls, events, out);
    }

    fn on_answer(&mut self, which: u8, sync: u64, response: &Rc<Response>, out: &mut Outbox) {
        let (mut calls, mut events) = (Vec::new(), Vec::new());
        let informers = &self.informers;
        each_runner!(self, |runner, number| if number == which {
            let mut wanted = Vec::new();
            runner.on_answer(sync, response.clone(), informers, out, &mut wanted, &mut events);
            calls.extend(wanted.into_iter().map(|w| (number, w)));
        });
        self.send(calls, events, out);
        self.run(out);
    }

    fn send(&mut self, calls: Vec<(u8, (Wanted, MsgId))>, events: Vec<Request>, out: &mut Outbox) {
        for (runner, ((call, sync), cause)) in calls {
            out.set_cause((cause != MsgId(0)).then_some(cause));
            let tag = Tag::Sync(runner, sync);
            match call {
                Call::Api(request) => {
                    self.client.call(request, tag, out);
                }
                Call::Cloud(request) => {
                    let id = self.cloud_ids.next();
                    self.cloud_calls.insert(id, tag);
                    out.request(self.config.cloud, id, request);
                }
            }
        }
        out.set_cause(None);
        for event in events {
            self.client.call(event, Tag::Event, out);
        }
        self.arm(out);
    }

    /// Sets a timer for the first delayed key, unless an earlier one is set.
    fn arm(&mut self, out: &mut Outbox) {
        let mut first: Option<Time> = None;
        each_runner!(self, |runner, _n| first = [first, runner.next_wake()].into_iter().flatten().min());
        let Some(at) = first else { return };
        if self.armed.is_none_or(|armed| at < armed || armed <= out.now) {
            self.armed = Some(at);
            self.timers.after(at.since(out.now), (), out);
        }
    }

    fn on_peer_gone(&mut self, payload: &Payload, out: &mut Outbox) {
        self.informers.handle(payload, out);
        self.client.drop_all();
        self.cloud_calls = base::Map::new();
        let now = out.now;
        each_runner!(self, |runner, _n| runner.drop_all(now));
        self.arm(out);
    }
}
