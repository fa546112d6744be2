//! Drives a bottle through the recorded operations and reads its trace.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use apimachinery::Request;
use base::{Duration, Time};
use cluster::{Bottle, Config, Input};
use cri_api::host::HostMessage;
use sim::{Addr, MsgId, Payload, StreamId};

use crate::request::{self, Asked};

/// The cluster of the recordings: one node with kube-proxy and without add-ons.
pub struct Operator {
    pub bottle: Bottle,
    jobs: u32,
}

impl Operator {
    /// The control plane is up; there is no node yet.
    pub fn without_node() -> Operator {
        let config =
            Config { nodes: Vec::new(), kube_proxy: true, ..Config::named("kubelet").expect("a built-in configuration") };
        let mut operator = Operator { bottle: Bottle::new(config), jobs: 0 };
        while !operator.bottle.head().is_ready() {
            operator.run_for(Duration::from_millis(200));
        }
        operator.run_for(Duration::from_secs(45));
        operator
    }

    pub fn now(&self) -> Time {
        self.bottle.head().now()
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now() + time;
        self.bottle.run_until(until, u64::MAX);
    }

    pub fn write_file(&mut self, name: &str, text: &str) {
        let message = HostMessage::WriteFile { path: format!("/root/{name}").into(), data: text.as_bytes().into() };
        self.bottle.input(Input::Laptop(Rc::new(message)));
        self.run_for(Duration::from_millis(10));
    }

    /// Runs a command on the laptop to its end.
    pub fn command(&mut self, text: &str) {
        self.jobs += 1;
        let mine = self.jobs;
        let argv = ["sh", "-c", text].map(Into::into).to_vec();
        self.bottle.input(Input::Laptop(Rc::new(HostMessage::RunJob { job: mine, argv, stdin: (*b"").into() })));
        let limit = self.now() + Duration::from_secs(120);
        let mut said = Vec::new();
        loop {
            assert!(self.now() < limit, "{text}: does not end; it said {:?}", String::from_utf8_lossy(&said));
            self.bottle.step();
            for message in self.bottle.head_mut().take_page_messages() {
                match message {
                    HostMessage::JobOutput { job, data, .. } if job == mine => said.extend_from_slice(&data),
                    HostMessage::JobDone { job, code } if job == mine => {
                        assert_eq!(code, 0, "{text}: {}", String::from_utf8_lossy(&said));
                        return;
                    }
                    _ => {}
                }
            }
        }
    }

    /// The number that the next message gets.
    pub fn mark(&self) -> MsgId {
        self.bottle.head().queue.next_id()
    }

    /// The requests to kube-apiserver since `mark`, as the trace has them, with their messages.
    pub fn asked_since(&self, mark: MsgId) -> Vec<(MsgId, Asked)> {
        let cluster = self.bottle.head();
        let mut asked: Vec<(MsgId, Asked)> = Vec::new();
        let mut open: BTreeMap<(Addr, StreamId), usize> = BTreeMap::new();
        let mut began = None;
        for record in self.bottle.trace().from(mark) {
            let message = &record.message;
            let start = *began.get_or_insert(message.sent);
            match &message.payload {
                Payload::ApiRequest { id, request } if message.to == cluster.apiserver => {
                    open.insert((message.from, *id), asked.len());
                    let who = self.who(message.from, request);
                    let ms = record.arrives.since(start).as_micros() as f64 / 1000.0;
                    let verb = request.verb.as_str().into();
                    asked.push((message.id, Asked { ms, who, verb, uri: request::uri(request), code: 0 }));
                }
                Payload::ApiResponse { id, response } if message.from == cluster.apiserver => {
                    if let Some(i) = open.remove(&(message.to, *id)) {
                        asked[i].1.code = response.code;
                    }
                }
                _ => {}
            }
        }
        asked.sort_by(|a, b| a.1.ms.total_cmp(&b.1.ms));
        asked
    }

    /// The watches that are open now.
    pub fn open_watches(&self) -> Vec<Asked> {
        let cluster = self.bottle.head();
        let mut open: BTreeMap<(Addr, StreamId), Asked> = BTreeMap::new();
        for record in self.bottle.trace().from(MsgId(0)) {
            let message = &record.message;
            match &message.payload {
                Payload::ApiRequest { id, request }
                    if message.to == cluster.apiserver && request.verb == apimachinery::Verb::Watch =>
                {
                    let who = self.who(message.from, request);
                    let asked = Asked { ms: 0.0, who, verb: "watch".into(), uri: request::uri(request), code: 0 };
                    open.insert((message.from, *id), asked);
                }
                Payload::ApiResponse { id, response } if response.is_success() => {
                    open.entry((message.to, *id)).and_modify(|a| a.code = response.code);
                }
                Payload::ApiResponse { id, .. } => drop(open.remove(&(message.to, *id))),
                Payload::StreamEnd { id } if message.from == cluster.apiserver => drop(open.remove(&(message.to, *id))),
                Payload::StreamEnd { id } => drop(open.remove(&(message.from, *id))),
                Payload::PeerGone { peer } => open.retain(|(client, _), _| client != peer && *client != message.to),
                _ => {}
            }
        }
        open.into_values().filter(|a| a.code == 200).collect()
    }

    /// The component; of kube-controller-manager, the controller whose service account speaks.
    fn who(&self, from: Addr, request: &Request) -> String {
        let name = self.bottle.head().name(from);
        let component = match name.split('/').next().unwrap_or_default() {
            "laptop" => "kubectl",
            component => component,
        };
        match request.user_agent.split_once("/system:serviceaccount:kube-system:") {
            Some((_, account)) => format!("{component} ({account})"),
            None => component.into(),
        }
    }

    /// Whether one message led to the other, by the trace's causes: a message's own, and those of the writes that a watch tells of.
    pub fn led_to(&self, first: MsgId, last: MsgId) -> bool {
        let mut open = BTreeSet::from([last]);
        while let Some(id) = open.pop_last().filter(|id| *id >= first) {
            if id == first {
                return true;
            }
            let Some(record) = self.bottle.trace().get(id) else { continue };
            open.insert(record.message.cause);
            if let Payload::WatchEvents { events, .. } = &record.message.payload {
                open.extend(events.iter().map(|e| MsgId(e.cause)).filter(|cause| *cause < id));
            }
        }
        false
    }
}
