//! A cluster with its past: the trace, snapshots, the log of inputs, branches.
//!
//! The past is not stored but replayed: a snapshot (a clone that shares structure) plus the inputs that came after it give
//! every moment again, exactly. An input given while the past is shown forks a branch there.

use std::rc::Rc;

use base::{Digest, Duration, Time};
use client_go::Steer;
use cri_api::host::HostMessage;
use sim::{Addr, Payload};

use crate::cluster::{Cluster, Observer};
use crate::config::Config;
use crate::steer::steer;
use crate::trace::Trace;

type Text = Rc<str>;

/// What a user (or a lab, or a test) does to a cluster from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Something for the laptop: keys, a command, a saved buffer.
    Laptop(Rc<HostMessage>),
    /// Something for the laptop while time stood still, which only read: it was answered in a clone (see [`crate::aside`]).
    Aside(Rc<HostMessage>),
    /// Something for a node's machine: a file written by hand.
    Machine(Text, Rc<HostMessage>),
    PowerOff(Text),
    PowerOn(Text),
    /// SIGSTOP and SIGCONT, by process name.
    Freeze(Text),
    Thaw(Text),
    /// SIGKILL: its container (or systemd) starts it again.
    Kill(Text),
    /// No packets between two processes or machines, either way; and mended again.
    Cut(Text, Text),
    Mend(Text, Text),
    /// Everything between two processes or machines takes that many milliseconds longer, either way; 0: as usual again.
    Slow(Text, Text, u32),
    /// A debugger holds a loop of the control plane (`replicaset-controller`, `kube-scheduler`), lets it go, or lets one item through.
    HoldLoop(Text),
    ReleaseLoop(Text),
    StepLoop(Text),
    /// A new worker joins. The name is given by the cluster: the next free `node-N`.
    AddNode,
    /// A blank machine is put beside the others: containerd and the kubelet's program are on it, and it belongs to no cluster until
    /// `kubeadm join`. It is named as a new worker would be.
    AddMachine,
}

/// An input and the moment it was given: after so many messages handled, at that time.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedInput {
    pub at: Time,
    pub events: u64,
    pub input: Input,
}

#[derive(Clone)]
struct Snapshot {
    at: Time,
    /// Inputs applied so far.
    inputs: usize,
    cluster: Cluster,
}

/// A line of history.
#[derive(Clone)]
pub struct Branch {
    pub name: Text,
    /// Where it left which other branch.
    pub forked_from: Option<(usize, Time)>,
    head: Cluster,
    trace: Trace,
    log: Vec<LoggedInput>,
    snapshots: Vec<Snapshot>,
    since_snapshot: u64,
}

/// Messages between two snapshots.
const SNAPSHOT_EVERY: u64 = 6_000;
/// Snapshots kept of a branch. One costs what has changed until the next: of a busy cluster that is its size again after a few dozen.
const MAX_SNAPSHOTS: usize = 64;
/// Fewer are kept of a cluster with more than so many objects.
const OBJECTS: usize = 20_000;
const MIN_SNAPSHOTS: usize = 12;

fn most_snapshots(objects: usize) -> usize {
    (MAX_SNAPSHOTS * OBJECTS / objects.max(OBJECTS)).max(MIN_SNAPSHOTS)
}

/// Which of the snapshots, taken after so many messages each, is missed least. What is closely past is wanted most: there the gaps
/// are the smallest, and they grow with the root of the distance. The first one (where the history begins) and the newest stay.
fn least_missed(taken: &[u64], now: u64) -> usize {
    let missed = |i: &usize| (taken[*i + 1] - taken[*i - 1]) as f64 / ((now - taken[*i]) as f64 + 1.0).sqrt();
    (1..taken.len().saturating_sub(1)).min_by(|a, b| missed(a).total_cmp(&missed(b))).unwrap_or(0)
}

/// A cluster and everything that is known of its past.
#[derive(Clone)]
pub struct Bottle {
    branches: Vec<Branch>,
    current: usize,
    /// The moment shown, if it isn't the head.
    past: Option<Cluster>,
    /// What the laptop was asked at the moment shown, if that is in the past: belongs to the fork, should there be one.
    asides: Vec<LoggedInput>,
}

impl Bottle {
    pub fn new(config: Config) -> Bottle {
        let cluster = Cluster::new(config);
        let trace = Trace::new(cluster.now());
        let snapshot = Snapshot { at: cluster.now(), inputs: 0, cluster: cluster.clone() };
        let branch = Branch {
            name: "main".into(),
            forked_from: None,
            head: cluster,
            trace,
            log: Vec::new(),
            snapshots: vec![snapshot],
            since_snapshot: 0,
        };
        Bottle { branches: vec![branch], current: 0, past: None, asides: Vec::new() }
    }

    fn branch(&self) -> &Branch {
        &self.branches[self.current]
    }
    fn branch_mut(&mut self) -> &mut Branch {
        &mut self.branches[self.current]
    }
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }
    pub fn current_branch(&self) -> usize {
        self.current
    }
    /// The cluster as it is at the moment shown.
    pub fn shown(&self) -> &Cluster {
        self.past.as_ref().unwrap_or(&self.branch().head)
    }
    /// The newest state of the current branch.
    pub fn head(&self) -> &Cluster {
        &self.branch().head
    }
    /// To drive it in ways that are not logged (benches, tests). Rewinding past such a change does not see it.
    pub fn head_mut(&mut self) -> &mut Cluster {
        &mut self.branch_mut().head
    }
    pub fn is_past(&self) -> bool {
        self.past.is_some()
    }
    pub fn trace(&self) -> &Trace {
        &self.branch().trace
    }
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.branch_mut().trace
    }
    pub fn log(&self) -> &[LoggedInput] {
        &self.branch().log
    }
    /// When the history of the current branch begins.
    pub fn start(&self) -> Time {
        self.branch().snapshots.first().map_or(Time::EPOCH, |s| s.at)
    }

    /// Handles one message at the head.
    pub fn step(&mut self) -> bool {
        let branch = self.branch_mut();
        let stepped = branch.head.step(&mut branch.trace).is_some();
        branch.handled(1);
        stepped
    }

    /// Runs the head until `time`, but handles at most `budget` messages. True: it got there.
    pub fn run_until(&mut self, time: Time, budget: u64) -> bool {
        let branch = self.branch_mut();
        let mut handled = 0;
        while branch.head.queue.peek().is_some_and(|at| at <= time) {
            if handled == budget {
                branch.handled(handled);
                return false;
            }
            branch.head.step(&mut branch.trace);
            handled += 1;
        }
        branch.head.queue.advance_to(time);
        branch.handled(handled);
        true
    }

    /// Does something to the cluster. In the past this forks a branch there first. Returns the number of the message it became.
    pub fn input(&mut self, input: Input) -> sim::MsgId {
        if self.past.is_some() {
            self.fork(None);
        }
        let branch = self.branch_mut();
        let logged = LoggedInput { at: branch.head.now(), events: branch.head.events, input };
        let id = branch.head.queue.next_id();
        apply(&mut branch.head, &logged.input, &mut branch.trace);
        branch.log.push(logged);
        id
    }

    /// Shows the cluster as it was at `time` of the current branch. At or after the head: the head.
    pub fn seek(&mut self, time: Time) {
        self.past = (time < self.head().now()).then(|| self.branch().at(time));
        self.asides.clear();
    }
    pub fn seek_head(&mut self) {
        self.past = None;
        self.asides.clear();
    }

    /// Moves the head's clock forward, not past the next message.
    pub(crate) fn advance_to(&mut self, time: Time) {
        self.branch_mut().head.queue.advance_to(time);
    }

    /// The inputs that lead to the moment shown.
    pub fn log_of_shown(&self) -> Vec<LoggedInput> {
        let Some(past) = &self.past else { return self.log().to_vec() };
        let before = |i: &&LoggedInput| i.at <= past.now() && i.events <= past.events;
        self.log().iter().filter(before).chain(&self.asides).cloned().collect()
    }

    /// Makes the moment shown the head of a new branch. At the head already: nothing happens.
    pub fn fork(&mut self, name: Option<&str>) {
        let log = self.log_of_shown();
        let Some(past) = self.past.take() else { return };
        self.asides.clear();
        let from = self.branch();
        let at = past.now();
        let mut trace = from.trace.clone();
        trace.truncate(at);
        let mut snapshots: Vec<Snapshot> = from.snapshots.iter().filter(|s| s.at <= at).cloned().collect();
        snapshots.push(Snapshot { at, inputs: log.len(), cluster: past.clone() });
        let name = name.map_or_else(|| format!("fork {}", self.branches.len()), str::to_string).into();
        let forked_from = Some((self.current, at));
        self.branches.push(Branch { name, forked_from, head: past, trace, log, snapshots, since_snapshot: 0 });
        self.current = self.branches.len() - 1;
    }

    pub fn switch(&mut self, branch: usize) {
        if branch < self.branches.len() {
            self.current = branch;
            self.seek_head();
        }
    }

    /// Takes over the laptop of a clone in which `message` was tried and only read: its shell has its prompt again.
    pub fn adopt_laptop(&mut self, message: Rc<HostMessage>, tried: &Cluster) {
        let input = Input::Aside(message);
        match &mut self.past {
            Some(past) => {
                self.asides.push(LoggedInput { at: past.now(), events: past.events, input });
                adopt(past, tried);
            }
            None => {
                let branch = &mut self.branches[self.current];
                branch.log.push(LoggedInput { at: branch.head.now(), events: branch.head.events, input });
                adopt(&mut branch.head, tried);
            }
        }
    }

    /// Replays the whole of the current branch from its beginning and compares: a hash, and whether it met the head again.
    pub fn verify(&self) -> (u64, bool) {
        let branch = self.branch();
        let Some(first) = branch.snapshots.first() else { return (0, false) };
        let mut cluster = first.cluster.clone();
        branch.replay(&mut cluster, first.inputs, branch.head.now(), Some(branch.head.events), &mut ());
        (cluster.digest(), cluster.digest() == branch.head.digest())
    }

    /// A hash of the head and of the inputs that led to it.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.write_u64(self.head().digest());
        digest.write_u64(self.log().len() as u64);
        digest.finish()
    }
}

impl Branch {
    pub fn head_time(&self) -> Time {
        self.head.now()
    }

    fn handled(&mut self, n: u64) {
        self.since_snapshot += n;
        if self.since_snapshot < SNAPSHOT_EVERY {
            return;
        }
        self.since_snapshot = 0;
        self.snapshots.push(Snapshot { at: self.head.now(), inputs: self.log.len(), cluster: self.head.clone() });
        while self.snapshots.len() > most_snapshots(self.head.etcd_member().map_or(0, |m| m.store().len())) {
            let taken: Vec<u64> = self.snapshots.iter().map(|s| s.cluster.events).collect();
            self.snapshots.remove(least_missed(&taken, self.head.events));
        }
    }

    /// The cluster as it was at `time`.
    fn at(&self, time: Time) -> Cluster {
        let i = self.snapshots.partition_point(|s| s.at <= time).saturating_sub(1);
        let snapshot = &self.snapshots[i];
        let mut cluster = snapshot.cluster.clone();
        self.replay(&mut cluster, snapshot.inputs, time, None, &mut ());
        cluster
    }

    /// Brings `cluster` (with `inputs` of the log applied) to `time`; with `events`, to exactly that count of messages.
    fn replay(&self, cluster: &mut Cluster, inputs: usize, time: Time, events: Option<u64>, observer: &mut impl Observer) {
        for logged in &self.log[inputs..] {
            if logged.at > time {
                break;
            }
            while cluster.events < logged.events && cluster.step(observer).is_some() {}
            cluster.queue.advance_to(logged.at);
            apply(cluster, &logged.input, observer);
        }
        match events {
            Some(events) => {
                while cluster.events < events && cluster.step(observer).is_some() {}
                cluster.queue.advance_to(time);
            }
            None => {
                cluster.run_until(time, observer);
            }
        }
        cluster.take_page_messages();
    }
}

/// The laptop of `tried` is the cluster's now.
fn adopt(cluster: &mut Cluster, tried: &Cluster) {
    let Some(laptop) = tried.proc(tried.laptop).map(|p| p.process.clone()) else { return };
    let addr = cluster.laptop;
    cluster.with_proc(addr, |p| p.process = laptop);
}

/// Carries out an input.
fn apply(cluster: &mut Cluster, input: &Input, observer: &mut impl Observer) {
    match input {
        Input::Laptop(message) => {
            let laptop = cluster.laptop;
            cluster.inject(laptop, Payload::Host(message.clone()), observer);
        }
        Input::Aside(message) => {
            let tried = crate::aside::run(cluster, message.clone());
            adopt(cluster, &tried.cluster);
            // In a replay nobody has seen yet what it printed.
            cluster.to_page.extend(tried.page);
        }
        Input::Machine(node, message) => {
            if let Some(runtime) = cluster.nodes.get(node).and_then(|n| n.runtime) {
                cluster.inject(runtime, Payload::Host(message.clone()), observer);
            }
        }
        Input::PowerOff(node) => cluster.power_off(node, observer),
        Input::PowerOn(node) => cluster.power_on(node, observer),
        Input::Freeze(name) => each(cluster, name, |c, addr| c.queue.freeze(addr)),
        Input::Thaw(name) => each(cluster, name, |c, addr| c.queue.thaw(addr)),
        Input::Kill(name) => {
            if let Some(addr) = cluster.addr(name) {
                cluster.component_crashed(addr, 137, observer);
            }
        }
        Input::Cut(a, b) => links(cluster, a, b, |c, link| {
            c.queue.faults.cut.insert(link);
        }),
        Input::Mend(a, b) => links(cluster, a, b, |c, link| {
            c.queue.faults.cut.remove(&link);
        }),
        Input::Slow(a, b, ms) => links(cluster, a, b, |c, link| match ms {
            0 => {
                c.queue.faults.delay.remove(&link);
            }
            ms => {
                c.queue.faults.delay.insert(link, Duration::from_millis((*ms).into()));
            }
        }),
        Input::HoldLoop(name) => steer(cluster, name, Steer::Hold, observer),
        Input::ReleaseLoop(name) => steer(cluster, name, Steer::Release, observer),
        Input::StepLoop(name) => steer(cluster, name, Steer::Step, observer),
        Input::AddNode => drop(cluster.add_machine(false, observer)),
        Input::AddMachine => drop(cluster.add_machine(true, observer)),
    }
}

/// The processes of a name: one process, or all of a machine.
fn addresses(cluster: &Cluster, name: &str) -> Vec<Addr> {
    match cluster.addr(name) {
        Some(addr) => vec![addr],
        None => cluster.procs().filter(|(_, p)| &*p.machine == name).map(|(a, _)| a).collect(),
    }
}

fn each(cluster: &mut Cluster, name: &str, f: impl Fn(&mut Cluster, Addr)) {
    for addr in addresses(cluster, name) {
        f(cluster, addr);
    }
}

fn links(cluster: &mut Cluster, a: &str, b: &str, f: impl Fn(&mut Cluster, (Addr, Addr))) {
    for x in addresses(cluster, a) {
        for y in addresses(cluster, b) {
            f(cluster, (x, y));
            f(cluster, (y, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_cluster_keeps_few_snapshots_and_they_lie_densest_near_the_head() {
        assert_eq!((most_snapshots(10), most_snapshots(40_000), most_snapshots(160_000)), (64, 32, MIN_SNAPSHOTS));
        let mut taken = vec![0];
        for n in 1..=600 {
            taken.push(n * SNAPSHOT_EVERY);
            if taken.len() > MIN_SNAPSHOTS {
                taken.remove(least_missed(&taken, n * SNAPSHOT_EVERY));
            }
        }
        let gaps: Vec<u64> = taken.windows(2).map(|w| (w[1] - w[0]) / SNAPSHOT_EVERY).collect();
        assert_eq!((taken[0], taken.len(), gaps.iter().sum::<u64>()), (0, MIN_SNAPSHOTS, 600));
        expect_test::expect!["[130, 77, 112, 76, 83, 36, 28, 32, 16, 6, 4]"].assert_eq(&format!("{gaps:?}"));
    }
}
