//! One try in a clone: a command of the user's laptop, or a packet of a pod, and what came of it within a bounded time.

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::{Object, resources};
use base::{Duration, Time};
use cluster::{Cluster, Observer};
use cri_api::host::HostMessage;
use cri_api::net::{Question as DnsQuestion, RecordData, RecordType, ResponseCode};
use cri_api::packet::{Endpoint, HopKind, Packet, PacketBody, ServiceRule};
use sim::{Addr, Message, Payload};

use crate::api;
use crate::checks::span;

/// Messages handled at most for one question.
const MAX_EVENTS: u64 = 150_000;
/// The job's number on the clone's laptop.
const JOB: u32 = 99;
const POD: &str = "kubottle-check";
/// The source port of a packet that is tried.
const PORT: u16 = 61_999;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Read,
    Write,
    Schedule,
    Run,
    Heal,
    Resolve,
    Connect,
}

impl Question {
    pub const ALL: [Question; 7] = [
        Question::Read,
        Question::Write,
        Question::Schedule,
        Question::Run,
        Question::Heal,
        Question::Resolve,
        Question::Connect,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Question::Read => "read",
            Question::Write => "write",
            Question::Schedule => "schedule",
            Question::Run => "run",
            Question::Heal => "heal",
            Question::Resolve => "resolve",
            Question::Connect => "connect",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Question::Read => "Read",
            Question::Write => "Write",
            Question::Schedule => "Schedule",
            Question::Run => "Run",
            Question::Heal => "Heal",
            Question::Resolve => "Resolve",
            Question::Connect => "Connect",
        }
    }

    /// What is done to find out.
    pub fn tried(self) -> &'static str {
        match self {
            Question::Read => "kubectl get namespace default",
            Question::Write => "kubectl create configmap kubottle-check",
            Question::Schedule => "kubectl run kubottle-check, until it has a node",
            Question::Run => "kubectl run kubottle-check, until it is Ready",
            Question::Heal => "kubectl delete pod of a ReplicaSet, until another one is Ready",
            Question::Resolve => "a pod asks the cluster's DNS for kubernetes.default.svc.cluster.local",
            Question::Connect => "a pod opens a connection to a Service's address",
        }
    }

    /// How long is waited, in the clone's time.
    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Question::Read | Question::Write => 12,
            Question::Schedule => 15,
            Question::Run | Question::Heal => 60,
            Question::Resolve | Question::Connect => 6,
        })
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// None: there was nothing to try it with.
    pub works: Option<bool>,
    /// In a few words.
    pub line: String,
    /// What was done and seen, with the time since the beginning.
    pub steps: Vec<(Duration, String)>,
}

/// What the clone's messages said.
#[derive(Default)]
struct Heard {
    /// A pod that asked, and its end.
    pod: Option<IpAddr>,
    answer: Option<Result<String, String>>,
}

impl Observer for Heard {
    fn sent(&mut self, message: &Message, _: Time) {
        let Payload::Packet(packet) = &message.payload else { return };
        if let (None, Some(HopKind::Dropped { reason, .. })) = (&self.answer, packet.hops.last().map(|h| &h.what))
            && packet.src.1 == PORT
        {
            self.answer = Some(Err(format!("dropped: {reason}")));
        }
        if self.answer.is_some() || self.pod != Some(packet.dst.0) || packet.dst.1 != PORT {
            return;
        }
        self.answer = match &packet.body {
            PacketBody::Answer(_, answer) => Some(match (answer.code, answer.records.first()) {
                (ResponseCode::NoError, Some(record)) => Ok(match &record.data {
                    RecordData::Ip(ip) => format!("A {ip}"),
                    other => format!("{other:?}"),
                }),
                (code, _) => Err(format!("the DNS server says {code:?}")),
            }),
            PacketBody::SynAck => Some(Ok("accepted".into())),
            PacketBody::Reset(error) => {
                let reason = packet.hops.iter().rev().find_map(|h| match &h.what {
                    HopKind::Refused { reason } => Some(reason.to_string()),
                    _ => None,
                });
                Some(Err(reason.unwrap_or_else(|| format!("{error:?}"))))
            }
            _ => None,
        };
    }
}

/// A question being tried.
pub(crate) struct Attempt {
    question: Question,
    cluster: Cluster,
    begin: Time,
    events: u64,
    heard: Heard,
    output: String,
    ended: Option<i32>,
    /// Pods of the ReplicaSet as they were: what comes new is a replacement.
    before: Vec<String>,
    set: Option<Object>,
    steps: Vec<(Duration, String)>,
    /// What will have been the reason if nothing comes back.
    hint: Option<String>,
    /// Known before anything ran.
    at_once: Option<Verdict>,
    checked: Time,
}

impl Attempt {
    /// Clones the cluster and begins.
    pub fn new(question: Question, base: &Cluster) -> Attempt {
        let mut cluster = base.clone();
        cluster.take_page_messages();
        let begin = cluster.now();
        let mut attempt = Attempt {
            question,
            cluster,
            begin,
            events: 0,
            heard: Heard::default(),
            output: String::new(),
            ended: None,
            before: Vec::new(),
            set: None,
            steps: Vec::new(),
            hint: None,
            at_once: None,
            checked: begin,
        };
        match question {
            Question::Read => attempt.kubectl(&["get", "namespace", "default"]),
            Question::Write => attempt.kubectl(&["create", "configmap", POD, "--from-literal=tried=yes"]),
            Question::Schedule | Question::Run => attempt.kubectl(&["run", POD, "--image=registry.k8s.io/pause:3.10.1"]),
            Question::Heal => attempt.begin_heal(),
            Question::Resolve => attempt.begin_packet(true),
            Question::Connect => attempt.begin_packet(false),
        }
        attempt
    }

    pub fn elapsed(&self) -> Duration {
        self.cluster.now().since(self.begin)
    }

    fn note(&mut self, text: impl Into<String>) {
        let at = self.elapsed();
        self.steps.push((at, text.into()));
    }

    fn kubectl(&mut self, args: &[&str]) {
        let argv: Vec<Rc<str>> = std::iter::once("kubectl").chain(args.iter().copied()).map(Into::into).collect();
        self.note(argv.join(" "));
        let message = HostMessage::RunJob { job: JOB, argv, stdin: (*b"").into() };
        let laptop = self.cluster.laptop;
        self.cluster.inject(laptop, Payload::Host(message.into()), &mut self.heard);
    }

    fn begin_heal(&mut self) {
        let sets = api::list(&self.cluster, resources::replicasets(), "");
        let usable = sets.iter().filter(|s| s.int_at(&["status", "readyReplicas"]).unwrap_or(0) > 0);
        let set =
            usable.min_by_key(|s| (s.namespace().starts_with("kube-"), s.namespace().to_string(), s.name().to_string())).cloned();
        let Some(set) = set else {
            let line = if self.cluster.api().is_none() {
                "kube-apiserver is not running"
            } else {
                "there is no ReplicaSet with a Ready pod"
            };
            let works = self.cluster.api().is_none().then_some(false);
            self.at_once = Some(Verdict { works, line: line.into(), steps: Vec::new() });
            return;
        };
        let pods = pods_of(&self.cluster, &set);
        self.before = pods.iter().map(|p| p.uid().to_string()).collect();
        let victim = pods.iter().find(|p| p.condition_is_true("Ready")).map(|p| p.name().to_string()).unwrap_or_default();
        let namespace = set.namespace().to_string();
        self.set = Some(set);
        self.kubectl(&["delete", "pod", &victim, "-n", &namespace, "--wait=false"]);
    }

    /// Puts a pod's packet onto its node's network: a question to DNS, or the opening of a connection.
    fn begin_packet(&mut self, dns: bool) {
        let Some((name, ip, machine)) = a_pod(&self.cluster) else {
            self.at_once = Some(Verdict { works: None, line: "no node has a running pod to ask from".into(), steps: Vec::new() });
            return;
        };
        let node = self.cluster.proc(machine).map_or("", |p| &p.machine).to_string();
        let rules: Vec<&ServiceRule> = self.cluster.machine(&node).map(|m| m.network().rules().collect()).unwrap_or_default();
        let ready = |r: &ServiceRule| r.endpoints.iter().any(|e| e.ready);
        let Some(rule) = choose(&rules, dns).map(|r| (r.service.to_string(), (r.ip, r.port), ready(r))) else {
            let line = format!("kube-proxy has written no rule on {node}");
            self.at_once = Some(Verdict { works: Some(false), line, steps: Vec::new() });
            return;
        };
        let (service, dst, ready): (String, Endpoint, bool) = rule;
        self.hint = (!ready).then(|| format!("refused: {service} has no Ready endpoint"));
        let body = match dns {
            true => {
                let name = "kubernetes.default.svc.cluster.local".into();
                PacketBody::Query(u64::from(PORT), DnsQuestion { name, record_type: RecordType::A })
            }
            false => PacketBody::Syn,
        };
        self.note(format!("{name} on {node} {} {service} at {}:{}", if dns { "asks" } else { "calls" }, dst.0, dst.1));
        self.heard.pod = Some(ip);
        let packet = Packet { src: (ip, PORT), dst, body, next_hop: dst.0, hops: Vec::new() };
        self.cluster.inject(machine, Payload::Packet(packet.into()), &mut self.heard);
    }

    /// Handles at most `n` messages of the clone. Some: it is decided.
    pub fn run(&mut self, n: u64) -> Option<Verdict> {
        if let Some(verdict) = self.at_once.take() {
            return Some(verdict);
        }
        for _ in 0..n {
            self.events += 1;
            if self.cluster.step(&mut self.heard).is_none() {
                break;
            }
            self.take_output();
            if let Some(verdict) = self.decide() {
                return Some(verdict);
            }
        }
        let over = self.elapsed() > self.question.limit() || self.events > MAX_EVENTS;
        over.then(|| self.timed_out())
    }

    fn take_output(&mut self) {
        for message in self.cluster.take_page_messages() {
            match message {
                HostMessage::JobOutput { job: JOB, data, .. } => self.output.push_str(&String::from_utf8_lossy(&data)),
                HostMessage::JobDone { job: JOB, code } => {
                    self.ended = Some(code);
                    for line in self.output.lines().take(6).map(str::to_string).collect::<Vec<_>>() {
                        self.note(line);
                    }
                }
                _ => {}
            }
        }
    }

    fn decide(&mut self) -> Option<Verdict> {
        if matches!(self.question, Question::Resolve | Question::Connect) {
            let answer = self.heard.answer.clone()?;
            let took = span(self.elapsed());
            return Some(match answer {
                // What it was is a step: the line is short enough to be read as a whole.
                Ok(text) if self.question == Question::Resolve => {
                    self.note(text);
                    self.verdict(true, format!("answered in {took}"))
                }
                Ok(text) => self.verdict(true, format!("{text} in {took}")),
                Err(text) => self.verdict(false, text),
            });
        }
        let code = self.ended?;
        if code != 0 {
            let line = match self.output.contains("did not complete within requested timeout") {
                true => format!("timed out in {}", seconds(self.elapsed())),
                false => last_line(&self.output),
            };
            return Some(self.verdict(false, line));
        }
        // Objects are looked at now and then, not after every message.
        let now = self.cluster.now();
        if matches!(self.question, Question::Read | Question::Write) {
            let took = span(self.elapsed());
            return Some(self.verdict(true, format!("answered in {took}")));
        }
        if now.since(self.checked) < Duration::from_millis(5) {
            return None;
        }
        self.checked = now;
        let took = span(self.elapsed());
        match self.question {
            Question::Heal => {
                let set = self.set.as_ref()?;
                let new = pods_of(&self.cluster, set).into_iter().find(|p| !self.before.iter().any(|uid| uid == p.uid()))?;
                let known = self.steps.iter().any(|(_, s)| s.starts_with("replacement"));
                if !known {
                    self.note(format!("replacement {} created", new.name()));
                }
                new.condition_is_true("Ready").then(|| self.verdict(true, format!("replaced in {took}")))
            }
            question => {
                let pod = api::get(&self.cluster, resources::pods(), "default", POD)?;
                let node = pod.str_at(&["spec", "nodeName"])?.to_string();
                if question == Question::Schedule {
                    return Some(self.verdict(true, format!("{node} in {took}")));
                }
                self.seen_node(&node);
                pod.condition_is_true("Ready").then(|| self.verdict(true, format!("Ready in {took}")))
            }
        }
    }

    fn seen_node(&mut self, node: &str) {
        let text = format!("bound to {node}");
        if !self.steps.iter().any(|(_, s)| *s == text) {
            self.note(text);
        }
    }

    fn verdict(&mut self, works: bool, line: String) -> Verdict {
        self.note(line.clone());
        Verdict { works: Some(works), line, steps: std::mem::take(&mut self.steps) }
    }

    /// The time is up: as far as it got.
    fn timed_out(&mut self) -> Verdict {
        let limit = seconds(self.elapsed());
        let line = match (self.question, self.ended) {
            (Question::Resolve | Question::Connect, _) => self.hint.take().unwrap_or_else(|| format!("no answer in {limit}")),
            (_, None) => format!("no answer in {limit}"),
            (Question::Heal, _) if self.steps.iter().any(|(_, s)| s.starts_with("replacement")) => {
                format!("not Ready in {limit}")
            }
            (Question::Heal, _) => format!("no new pod in {limit}"),
            (Question::Schedule, _) => format!("{} in {limit}", self.unbound()),
            _ => format!("{} after {limit}", self.not_ready()),
        };
        self.verdict(false, line)
    }

    fn unbound(&self) -> String {
        let pod = api::get(&self.cluster, resources::pods(), "default", POD);
        let said = pod.as_ref().and_then(|p| p.condition("PodScheduled")).and_then(|c| c.str_at(&["message"]));
        said.map_or_else(|| "no node".into(), str::to_string)
    }

    fn not_ready(&self) -> String {
        match api::get(&self.cluster, resources::pods(), "default", POD) {
            Some(pod) if pod.str_at(&["spec", "nodeName"]).is_some() => crate::observe::pod_status(&pod, self.cluster.now()),
            _ => self.unbound(),
        }
    }
}

/// A time that ran out: nobody asks for its tenths.
fn seconds(d: Duration) -> String {
    format!("{} s", (d.as_secs_f64()).round())
}

/// The end of what kubectl said, without its prefix.
fn last_line(output: &str) -> String {
    if output.contains("was refused") || output.contains("connection refused") {
        return "connection refused".into();
    }
    let line = output.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("kubectl failed");
    line.trim_start_matches("Error from server ").trim_start_matches("error: ").chars().take(200).collect()
}

fn pods_of(cluster: &Cluster, set: &Object) -> Vec<Object> {
    let mut pods = api::list(cluster, resources::pods(), set.namespace());
    pods.retain(|p| p.controller_ref().and_then(|r| r.str_at(&["uid"])) == Some(set.uid()));
    pods
}

/// A pod with an address of its own on a machine that has power, the user's first; as the machines are, for the API may be gone.
fn a_pod(cluster: &Cluster) -> Option<(String, IpAddr, Addr)> {
    let mut found = Vec::new();
    for (name, node) in cluster.nodes.iter().filter(|(_, n)| n.powered) {
        let (Some(machine), Some(addr)) = (cluster.machine(name), node.runtime) else { continue };
        for (_, sandbox) in machine.sandboxes().filter(|(_, s)| s.ready && !s.config.host_network) {
            let Some(ip) = sandbox.ips.first() else { continue };
            let config = &sandbox.config;
            let system = config.pod_namespace.starts_with("kube-");
            found.push((system, format!("pod {}/{}", config.pod_namespace, config.pod_name), *ip, addr));
        }
    }
    found.sort();
    found.into_iter().next().map(|(_, name, ip, addr)| (name, ip, addr))
}

/// DNS, or the Service to call: the user's first.
fn choose<'a>(rules: &[&'a ServiceRule], dns: bool) -> Option<&'a ServiceRule> {
    if dns {
        return rules.iter().find(|r| &*r.protocol == "UDP" && r.port == 53).copied();
    }
    let tcp = rules.iter().filter(|r| &*r.protocol == "TCP" && !r.ip.is_unspecified());
    let rank = |r: &&&ServiceRule| {
        let ready = r.endpoints.iter().any(|e| e.ready);
        (!ready, r.service.starts_with("default/kubernetes:"), r.service.starts_with("kube-system/"), r.service.clone())
    };
    tcp.min_by_key(rank).copied()
}
