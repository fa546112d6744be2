//! The process: leader election, service accounts, shared informers, and the controllers.
//!
//! Models `cmd/kube-controller-manager/app`. The order of the start is upstream's: read the authentication ConfigMap, become the
//! leader, make the controllers' service accounts, start the informers, start the controllers when the caches are filled. A start
//! against a kube-apiserver that isn't there yet tries again (upstream's process ends and is restarted).

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, Response, Verb, resources as gvr, value};
use base::{Duration, Seed};
use client_go::{
    Client, Delta, EventRecorder, EventType, Handled, Ids, Informers, LeaderConfig, LeaderElector, Leadership, NUDGE, Selectors,
    Steer, Timers,
};
use sim::{Outbox, Payload, StreamId};

use crate::config::Config;
use crate::observe::{ControllerView, LoopView};
use crate::registry;
use crate::resources::{self, Caches, Res};
use crate::runner::AnyRunner;

const NAMESPACE: &str = "kube-system";
/// Scopes of numbers: see [`Ids`]. Runners come after [`FIRST_RUNNER`].
const ROOT: u16 = 1;
const INFORMERS: u16 = 2;
const AUTHENTICATION: u16 = 3;
const ELECTOR: u16 = 4;
const FIRST_RUNNER: u16 = 16;
/// After a failed step of the start, or a failed fetch of a token.
const RETRY: Duration = Duration::from_secs(1);

/// What a call of the manager's own client was for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Tag {
    Authentication(u8),
    Healthz,
    Account(Step, usize, Purpose),
    Event,
}

/// Steps towards a service account and its token.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Get,
    Namespace,
    Create,
    Token,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Purpose {
    /// The account must exist before the controllers start.
    Start,
    /// A controller waits for its token.
    Token,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Starting,
    Candidate,
    Accounts,
    Syncing,
    Running,
    Ended,
}

#[derive(Clone, Copy, Debug)]
enum Wake {
    Authentication,
    Account(usize),
    Token(usize),
}

/// kube-controller-manager.
#[derive(Clone)]
pub struct KubeControllerManager {
    pub config: Config,
    phase: Phase,
    root: Client<Tag>,
    timers: Timers<Wake>,
    elector: LeaderElector,
    recorder: EventRecorder,
    informers: Informers,
    authentication: Informers,
    runners: Vec<Box<dyn AnyRunner>>,
    /// Which runners watch a resource.
    watchers: Rc<Vec<Vec<usize>>>,
}

impl KubeControllerManager {
    pub fn new(config: Config, seed: Seed) -> KubeControllerManager {
        let seed = seed.derive("kube-controller-manager");
        let identity = format!("{}_{}", config.host, seed.derive("identity").uuid(0));
        let lease = LeaderConfig::new(ObjectKey::new(NAMESPACE, "kube-controller-manager"), &identity);
        let mut informers = Informers::new(INFORMERS, config.client(""), seed.derive("informers"));
        resources::add_all(&mut informers);
        let mut authentication = Informers::new(AUTHENTICATION, config.client(""), seed.derive("authentication"));
        let selectors = Selectors {
            namespace: NAMESPACE.into(),
            field: Some("metadata.name=extension-apiserver-authentication".into()),
            label: None,
        };
        // Upstream opens three: for the client CA, the request headers' CA, and the request header names.
        for _ in 0..3 {
            authentication.add(gvr::configmaps(), selectors.clone(), &[]);
        }
        let runners = registry::runners(&config, FIRST_RUNNER, seed);
        let mut watchers = vec![Vec::new(); resources::TABLE.len()];
        for (number, runner) in runners.iter().enumerate() {
            for res in runner.watches() {
                watchers[*res].push(number);
            }
        }
        KubeControllerManager {
            phase: Phase::Starting,
            root: Client::new(ROOT, config.client("")),
            timers: Timers::new(ROOT),
            elector: LeaderElector::new(ELECTOR, config.client("leader-election"), lease, seed.derive("elector")),
            recorder: EventRecorder::new("kube-controller-manager", ""),
            informers,
            authentication,
            runners,
            watchers: Rc::new(watchers),
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
    /// The controllers in numbers, for the page.
    pub fn view(&self) -> Vec<ControllerView> {
        self.runners.iter().map(|r| r.view()).collect()
    }
    /// All of one controller, with at most `limit` items of its queue.
    pub fn loop_view(&self, name: &str, limit: usize) -> Option<LoopView> {
        self.runners.iter().find(|r| r.info().name == name).map(|r| r.loop_view(limit))
    }
    /// A debugger's hand on a controller; it acts when a timer [`NUDGE`] comes. Forgotten with the process' memory.
    pub fn steer(&mut self, name: &str, what: Steer) {
        if let Some(runner) = self.runners.iter_mut().find(|r| r.info().name == name) {
            runner.steer(what);
        }
    }
    /// A cached object, for tests and the page.
    pub fn cached(&self, res: Res, namespace: &str, name: &str) -> Option<&Object> {
        self.informers.find(res, namespace, name)
    }

    /// Handles one message.
    pub fn handle(&mut self, payload: &Payload, out: &mut Outbox) {
        if self.phase == Phase::Ended {
            return;
        }
        match payload {
            Payload::Start => self.read_authentication(0, out),
            Payload::ApiResponse { id, response } => self.on_response(*id, response, payload, out),
            Payload::WatchEvents { id, .. } | Payload::StreamEnd { id } => self.on_stream(*id, payload, out),
            Payload::Timer(token) => self.on_timer(*token, payload, out),
            Payload::PeerGone { peer } if *peer == self.config.apiserver => self.on_peer_gone(payload, out),
            _ => {}
        }
    }

    fn on_response(&mut self, id: StreamId, response: &Rc<Response>, payload: &Payload, out: &mut Outbox) {
        match Ids::scope_of(id) {
            ROOT => {
                if let Some(tag) = self.root.take(id) {
                    self.on_root_response(tag, response, out);
                }
            }
            ELECTOR => self.on_elector(payload, out),
            scope if scope >= FIRST_RUNNER => {
                let number = (scope - FIRST_RUNNER) as usize;
                if let Some(runner) = self.runners.get_mut(number) {
                    runner.on_response(id, response, Caches(&self.informers), out);
                    self.fetch_token_if_wanted(number, out);
                    self.follow_custom_kinds(number, out);
                }
            }
            _ => self.on_stream(id, payload, out),
        }
    }

    fn on_stream(&mut self, id: StreamId, payload: &Payload, out: &mut Outbox) {
        if Ids::scope_of(id) == AUTHENTICATION {
            self.authentication.handle(payload, out);
            return;
        }
        if let Handled::Deltas(res, deltas) = self.informers.handle(payload, out) {
            self.on_deltas(res, &deltas, out);
        }
        if self.phase == Phase::Syncing && self.informers.all_synced() {
            self.start_controllers(out);
        }
    }

    fn on_timer(&mut self, token: u64, payload: &Payload, out: &mut Outbox) {
        match Ids::scope_of(token) {
            _ if token == NUDGE => self.on_nudge(out),
            ROOT => match self.timers.take(token) {
                Some(Wake::Authentication) => self.read_authentication(0, out),
                Some(Wake::Account(number)) => self.ensure_account(number, out),
                Some(Wake::Token(number)) => self.fetch_token_if_wanted(number, out),
                None => {}
            },
            ELECTOR => self.on_elector(payload, out),
            scope if scope >= FIRST_RUNNER => {
                let number = (scope - FIRST_RUNNER) as usize;
                if let Some(runner) = self.runners.get_mut(number) {
                    runner.on_timer(token, Caches(&self.informers), out);
                    self.fetch_token_if_wanted(number, out);
                }
            }
            _ => self.on_stream(token, payload, out),
        }
    }

    fn on_nudge(&mut self, out: &mut Outbox) {
        if self.phase != Phase::Running {
            return;
        }
        for number in 0..self.runners.len() {
            self.runners[number].nudge(Caches(&self.informers), out);
            self.fetch_token_if_wanted(number, out);
        }
    }

    fn on_peer_gone(&mut self, payload: &Payload, out: &mut Outbox) {
        self.informers.handle(payload, out);
        self.authentication.handle(payload, out);
        for (_, tag) in self.root.drop_all() {
            self.on_root_response(tag, &sim::transport_error("http2: client connection lost"), out);
        }
        for number in 0..self.runners.len() {
            self.runners[number].on_peer_gone(Caches(&self.informers), out);
            self.fetch_token_if_wanted(number, out);
        }
    }

    /// Starts informers of custom kinds that a controller has found, and stops those of kinds that are gone.
    fn follow_custom_kinds(&mut self, number: usize, out: &mut Outbox) {
        let Some(kinds) = self.runners[number].custom_kinds() else { return };
        let (first, kinds) = (resources::TABLE.len(), kinds.clone());
        for (i, kind) in kinds.customs().enumerate() {
            if first + i == self.informers.len() {
                self.informers.add(kind.gvr, Selectors::default(), &[]);
            }
            let runs = self.informers.get(first + i).stream().is_some();
            match (kind.is_served, runs) {
                (true, false) if !self.informers.get(first + i).has_synced() => self.informers.start_one(first + i, out),
                (false, _) if runs || self.informers.get(first + i).has_synced() => self.informers.reset_one(first + i, out),
                _ => {}
            }
        }
    }

    fn on_deltas(&mut self, res: Res, deltas: &[Delta], out: &mut Outbox) {
        let watchers = self.watchers.clone();
        let custom = || (0..self.runners.len()).filter(|n| self.runners[*n].wants_custom()).collect();
        let interested: Vec<usize> = watchers.get(res).cloned().unwrap_or_else(custom);
        for number in interested {
            let runner = &mut self.runners[number];
            for delta in deltas {
                runner.on_delta(res, delta, Caches(&self.informers), out);
            }
            if self.phase == Phase::Running {
                runner.run(Caches(&self.informers), out);
                self.fetch_token_if_wanted(number, out);
            }
        }
    }

    fn on_elector(&mut self, payload: &Payload, out: &mut Outbox) {
        match self.elector.handle(payload, out) {
            Leadership::Started => self.lead(out),
            Leadership::Lost => self.phase = Phase::Ended,
            Leadership::NotMine | Leadership::Unchanged => {}
        }
    }

    /// Reads the ConfigMap with kube-apiserver's CAs, twice, as upstream does.
    fn read_authentication(&mut self, n: u8, out: &mut Outbox) {
        let key = ObjectKey::new(NAMESPACE, "extension-apiserver-authentication");
        self.root.call(Request::get(gvr::configmaps(), &key), Tag::Authentication(n), out);
    }

    fn stand_for_election(&mut self, out: &mut Outbox) {
        self.phase = Phase::Candidate;
        self.authentication.start(out);
        if self.config.leader_elect { self.elector.start(out) } else { self.lead(out) }
    }

    fn lead(&mut self, out: &mut Outbox) {
        if let Some(lease) = self.elector.lease().cloned() {
            let message = format!("{} became leader", self.elector.config.identity);
            let event = self.recorder.event(&lease, EventType::Normal, "LeaderElection", &message, out.now);
            if let Some(event) = event {
                self.root.call(event, Tag::Event, out);
            }
        }
        self.phase = Phase::Accounts;
        self.root.call(Request::get_path("/healthz"), Tag::Healthz, out);
    }

    fn on_root_response(&mut self, tag: Tag, response: &Response, out: &mut Outbox) {
        let reached = response.code != 0;
        match tag {
            Tag::Event => {}
            Tag::Authentication(_) if !reached => {
                self.timers.after(RETRY, Wake::Authentication, out);
            }
            Tag::Authentication(0) => self.read_authentication(1, out),
            Tag::Authentication(_) => self.stand_for_election(out),
            Tag::Healthz => self.ensure_account(0, out),
            Tag::Account(step, number, purpose) => self.on_account(step, number, purpose, response, out),
        }
    }

    /// Makes sure that the account of the controller exists, then goes on to the next.
    fn ensure_account(&mut self, number: usize, out: &mut Outbox) {
        let known = |n: usize| {
            let account = self.runners[n].info().account;
            account.is_empty() || self.runners[..n].iter().any(|r| r.info().account == account)
        };
        let next = (number..self.runners.len()).find(|n| !known(*n));
        match next {
            Some(number) if self.config.use_service_account_credentials => {
                self.account_call(Step::Get, number, Purpose::Start, out);
            }
            _ => {
                self.phase = Phase::Syncing;
                self.informers.start(out);
            }
        }
    }

    fn account_call(&mut self, step: Step, number: usize, purpose: Purpose, out: &mut Outbox) {
        let account = self.runners[number].info().account;
        let key = ObjectKey::new(NAMESPACE, account);
        let request = match step {
            Step::Get => Request::get(gvr::serviceaccounts(), &key),
            Step::Namespace => Request::get(gvr::namespaces(), &ObjectKey::new("", NAMESPACE)),
            Step::Create => {
                let account = value!({
                    "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": NAMESPACE}
                });
                Request::create(gvr::serviceaccounts(), Object::from_value(account).expect("a map was built"))
            }
            Step::Token => {
                let body = value!({
                    "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                    "metadata": {"name": account, "namespace": NAMESPACE}, "spec": {"audiences": null, "expirationSeconds": 3600}
                });
                let body = Object::from_value(body).expect("a map was built");
                let request = Request::create(gvr::serviceaccounts(), body).with_subresource("token").with_name(account);
                Request { verb: Verb::Create, ..request }
            }
        };
        self.root.call(request, Tag::Account(step, number, purpose), out);
    }

    fn on_account(&mut self, step: Step, number: usize, purpose: Purpose, response: &Response, out: &mut Outbox) {
        let next = match (step, response.code) {
            (Step::Get, 404) => Step::Namespace,
            (Step::Namespace, 200 | 404) => Step::Create,
            (Step::Get, 200) | (Step::Create, 201 | 409) if purpose == Purpose::Token => Step::Token,
            (Step::Get, 200) | (Step::Create, 201 | 409) => return self.ensure_account(number + 1, out),
            (Step::Token, 200 | 201) => return self.on_token(number, response, out),
            _ if purpose == Purpose::Start => {
                self.timers.after(RETRY, Wake::Account(number), out);
                return;
            }
            _ => {
                self.runners[number].account().token_failed();
                self.timers.after(RETRY, Wake::Token(number), out);
                return;
            }
        };
        self.account_call(next, number, purpose, out);
    }

    fn on_token(&mut self, number: usize, response: &Response, out: &mut Outbox) {
        let token = response.ok().and_then(|o| o.str_at(&["status", "token"])).unwrap_or("");
        self.runners[number].account().set_token(token, Duration::from_secs(3600), out);
    }

    fn fetch_token_if_wanted(&mut self, number: usize, out: &mut Outbox) {
        if self.runners[number].account().wants_token() {
            self.account_call(Step::Get, number, Purpose::Token, out);
        }
    }

    fn start_controllers(&mut self, out: &mut Outbox) {
        self.phase = Phase::Running;
        for number in 0..self.runners.len() {
            self.runners[number].start(Caches(&self.informers), out);
            self.fetch_token_if_wanted(number, out);
        }
    }
}
