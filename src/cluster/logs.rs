//! What the components of the control plane, kube-proxy and CoreDNS write to their standard error: that they started and as what, and
//! who leads. The container runtime keeps it like any container's, so `kubectl logs` and `/var/log/containers` have it.
//!
//! The texts are those of the real components' default verbosity, from memory (nothing that was recorded has them); the numbers of
//! lines behind the files are approximate. Left out: everything that they say between those two.

use base::Time;
use cri_api::host::ComponentSpec;
use etcd::raft::StateRole;
use sim::Addr;

use crate::cluster::{Cluster, Observer};
use crate::process::Process;

/// Whether a process leads, as far as its log tells of it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Standing {
    /// It has no leader, or hasn't come so far.
    None,
    /// It holds its lease.
    Leads,
    /// It held its lease.
    Lost,
    /// A member of etcd: its role, its term, the leader it knows (0: none).
    Raft(StateRole, u64, u64),
}

impl Standing {
    pub(crate) fn of(process: &Process) -> Standing {
        let by = |leads: bool, ended: bool| match (leads, ended) {
            (_, true) => Standing::Lost,
            (true, _) => Standing::Leads,
            _ => Standing::None,
        };
        match process {
            Process::ControllerManager(p) => by(p.is_running(), p.has_ended()),
            Process::CloudControllerManager(p) => by(p.is_running(), p.has_ended()),
            Process::Scheduler(p) => by(p.is_leader(), p.has_ended()),
            Process::Etcd(p) => Standing::Raft(p.raft().role(), p.raft().term(), p.raft().lead()),
            _ => Standing::None,
        }
    }
}

/// klog's header: `I0102 15:04:05.000000       1 server.go:170] `.
fn klog(level: char, now: Time, place: &str, text: &str) -> String {
    let (_, month, day, hour, minute, second) = now.civil();
    let micros = now.0.rem_euclid(1_000_000);
    format!("{level}{month:02}{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}       1 {place}] {text}")
}

/// zap's line, as etcd writes it: `also` are further fields, each with a comma before it.
fn zap(now: Time, logger: &str, caller: &str, text: &str, also: &str) -> String {
    let logger = if logger.is_empty() { String::new() } else { format!("\"logger\":\"{logger}\",") };
    format!("{{\"level\":\"info\",\"ts\":\"{}\",{logger}\"caller\":\"{caller}\",\"msg\":\"{text}\"{also}}}", now.rfc3339_micro())
}

/// The first lines of a component that was started.
fn started(spec: &ComponentSpec, now: Time) -> Vec<String> {
    let version = "version=\"v1.37.2\"";
    let lease = |program: &str| {
        klog('I', now, "leaderelection.go:257", &format!("attempting to acquire leader lease kube-system/{program}..."))
    };
    let ip = spec.ips.first().map_or_else(String::new, ToString::to_string);
    match &*spec.program {
        "etcd" => {
            let args: Vec<String> =
                std::iter::once("etcd").chain(spec.args.iter().map(|a| &**a)).map(|a| format!("{a:?}")).collect();
            vec![
                zap(now, "", "etcdmain/etcd.go:64", "Running: ", &format!(",\"args\":[{}]", args.join(","))),
                zap(now, "", "embed/etcd.go:320", "starting an etcd server", ",\"etcd-version\":\"3.7.0\""),
            ]
        }
        "kube-apiserver" => vec![
            klog('I', now, "options.go:263", &format!("external host was not specified, using {ip}")),
            klog('I', now, "server.go:150", "Version: v1.37.2"),
        ],
        "kube-controller-manager" => {
            vec![klog('I', now, "controllermanager.go:203", &format!("\"Starting\" {version}")), lease("kube-controller-manager")]
        }
        "kube-scheduler" => {
            vec![
                klog('I', now, "server.go:175", &format!("\"Starting Kubernetes Scheduler\" {version}")),
                lease("kube-scheduler"),
            ]
        }
        "cloud-controller-manager" => {
            vec![klog('I', now, "controllermanager.go:171", "Version: v1.37.2"), lease("cloud-controller-manager")]
        }
        "kube-proxy" => vec![
            klog('I', now, "server.go:488", &format!("\"Version info\" {version}")),
            klog('I', now, "server_linux.go:147", "\"Using iptables Proxier\""),
        ],
        "coredns" => vec![".:53".into(), "CoreDNS-1.13.1".into(), "linux/amd64, go1.25.2, 1db4568".into()],
        _ => Vec::new(),
    }
}

/// What is said of a change; nothing of most.
fn turned(component: &str, me: u64, before: Standing, after: Standing, now: Time) -> Vec<String> {
    let raft = |text: String| zap(now, "raft", "etcdserver/zap_raft.go:77", &text, "");
    match (before, after) {
        (Standing::None, Standing::Leads) => {
            vec![klog('I', now, "leaderelection.go:271", &format!("successfully acquired lease kube-system/{component}"))]
        }
        (Standing::Leads, Standing::Lost | Standing::None) => {
            vec![klog('E', now, "leaderelection.go:332", "\"Leaderelection lost\"")]
        }
        (Standing::Raft(role_before, term_before, lead_before), Standing::Raft(role, term, lead)) => {
            let mut lines = Vec::new();
            if (role, term) != (role_before, term_before) {
                let role = match role {
                    StateRole::Leader => "leader",
                    StateRole::Candidate => "candidate",
                    StateRole::PreCandidate => "pre-candidate",
                    StateRole::Follower => "follower",
                };
                lines.push(raft(format!("{me:x} became {role} at term {term}")));
            }
            if lead != lead_before {
                lines.push(raft(match (lead_before, lead) {
                    (_, 0) => format!("raft.node: {me:x} lost leader {lead_before:x} at term {term}"),
                    (0, _) => format!("raft.node: {me:x} elected leader {lead:x} at term {term}"),
                    _ => format!("raft.node: {me:x} changed leader from {lead_before:x} to {lead:x} at term {term}"),
                }));
            }
            lines
        }
        _ => Vec::new(),
    }
}

impl Cluster {
    pub(crate) fn log_start(&mut self, addr: Addr, spec: &ComponentSpec, observer: &mut impl Observer) {
        for line in started(spec, self.now()) {
            self.log_line(addr, &line, observer);
        }
    }

    /// A process' standing was another one before it handled a message.
    #[cold]
    pub(crate) fn log_turn(&mut self, addr: Addr, before: Standing, observer: &mut impl Observer) {
        let Some(proc) = self.proc(addr) else { return };
        let me = if let Process::Etcd(member) = &proc.process { member.id() } else { 0 };
        let lines = turned(proc.component(), me, before, Standing::of(&proc.process), self.now());
        for line in lines {
            self.log_line(addr, &line, observer);
        }
    }
}
