//! Scripts: a command and what it says, one after the other, in text files. In the manner of etcd-io/raft's data-driven tests.
//!
//! `> command arguments`, then what it prints up to an empty line. `#` begins a comment. `UPDATE_EXPECT=1` rewrites what is
//! printed. Commands: see [`World::run`]. A message stays in the network until `deliver` or `stabilize`; time stands still but
//! for `tick`.

use std::fmt::Write;
use std::path::Path;

use base::Seed;
use etcd_api::raftpb::{ConfChange, ConfChangeType, ConfState, EntryData, Message, SnapshotMetadata};

use crate::raft::{Config, ProgressState, Raft, describe};

type Node = Raft<String, String>;

struct Member {
    raft: Node,
    /// What was applied: the state machine.
    state: Vec<String>,
    conf: ConfState,
    down: bool,
}

#[derive(Default)]
struct World {
    nodes: Vec<Member>,
    network: Vec<Message<String, String>>,
    cut: Vec<u64>,
}

// What is proposed in scripts is a String, and this is handed on as a function of it.
#[allow(clippy::ptr_arg)]
fn text(d: &String) -> String {
    d.clone()
}

fn ids(args: &[&str]) -> Vec<u64> {
    args.iter().filter_map(|a| a.parse().ok()).collect()
}

fn option<'a>(args: &[&'a str], name: &str) -> Option<&'a str> {
    args.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('='))
}

impl World {
    fn run(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or("");
        let args: Vec<&str> = words.collect();
        let n = ids(&args).first().copied().unwrap_or(0);
        match command {
            "add-nodes" => self.add_nodes(n, &args),
            // What another script shows already: campaign and stabilize, and only what came of it.
            "elect" => {
                self.act(n, |m| m.raft.campaign());
                self.stabilize(&[]);
                self.raft_state()
            }
            "campaign" => self.act(n, |m| m.raft.campaign()),
            "tick" => {
                let times = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(1);
                self.act(n, |m| (0..times).for_each(|_| m.raft.tick()))
            }
            "idle" => self.idle(n, args[1].parse().unwrap()),
            "tick-heartbeat" => self.act(n, |m| m.raft.tick()),
            "tick-election" => self.act(n, |m| (0..20).for_each(|_| m.raft.tick())),
            "propose" => self.propose(n, EntryData::Normal(args[1..].join(" "))),
            "propose-conf" => self.propose(n, conf_change(args[1])),
            "read" => self.act(n, |m| m.raft.read_index(args[1].parse().unwrap())),
            "transfer" => self.act(n, |m| m.raft.transfer_leader(args[1].parse().unwrap())),
            "compact" => self.act(n, |m| m.raft.compact(args[1].parse().unwrap())),
            "unreachable" => self.act(n, |m| m.raft.report_unreachable(args[1].parse().unwrap())),
            "ready" => self.ready(n),
            "deliver" => self.deliver(&ids(&args), option(&args, "type")),
            "drop" => self.drop_messages(&ids(&args), option(&args, "type")),
            "stabilize" => self.stabilize(&ids(&args)),
            "cut" => {
                self.cut = ids(&args);
                String::new()
            }
            "stop" => self.act(n, |m| m.down = true),
            "restart" => self.restart(n),
            "wipe" => self.wipe(n),
            "raft-log" => self.raft_log(n),
            "raft-state" => self.raft_state(),
            "status" => self.status(n),
            "state" => match self.member(n).state.join(" ") {
                nothing if nothing.is_empty() => "nothing\n".into(),
                state => state + "\n",
            },
            other => panic!("unknown command {other}"),
        }
    }

    fn member(&mut self, id: u64) -> &mut Member {
        self.nodes.iter_mut().find(|m| m.raft.id() == id).unwrap_or_else(|| panic!("no node {id}"))
    }

    fn act(&mut self, id: u64, f: impl FnOnce(&mut Member)) -> String {
        let member = self.member(id);
        let before = member.raft.describe();
        f(member);
        let after = member.raft.describe();
        if before == after { String::new() } else { format!("{id}: {after}\n") }
    }

    /// `add-nodes 3 voters=1,2,3 learners=4 index=10 pre-vote=off check-quorum=off inflight=2 entries=1`
    fn add_nodes(&mut self, n: u64, args: &[&str]) -> String {
        let list = |name: &str| option(args, name).map(|l| l.split(',').map(|i| i.parse().unwrap()).collect::<Vec<u64>>());
        let first = self.nodes.len() as u64 + 1;
        let conf = ConfState {
            voters: list("voters").unwrap_or_else(|| (first..first + n).collect()),
            learners: list("learners").unwrap_or_default(),
        };
        let index = option(args, "index").map_or(0, |i| i.parse().unwrap());
        let start = SnapshotMetadata { index, term: u64::from(index > 0), conf_state: conf.clone() };
        for id in first..first + n {
            let mut config = Config::new(id, Seed(id));
            (config.pre_vote, config.check_quorum) =
                (option(args, "pre-vote") != Some("off"), option(args, "check-quorum") != Some("off"));
            config.max_inflight = option(args, "inflight").map_or(config.max_inflight, |i| i.parse().unwrap());
            config.max_entries = option(args, "entries").map_or(config.max_entries, |i| i.parse().unwrap());
            self.nodes.push(Member { raft: Raft::new(config, &start), state: Vec::new(), conf: conf.clone(), down: false });
        }
        self.raft_state()
    }

    fn propose(&mut self, id: u64, data: EntryData<String>) -> String {
        match self.member(id).raft.propose(data) {
            Ok(()) => String::new(),
            Err(_) => "dropped\n".into(),
        }
    }

    /// Carries out what one node wants.
    fn ready(&mut self, id: u64) -> String {
        let at = self.nodes.iter().position(|m| m.raft.id() == id).unwrap_or_else(|| panic!("no node {id}"));
        let (member, network) = (&mut self.nodes[at], &mut self.network);
        let mut out = String::new();
        while member.raft.has_ready() && !member.down {
            let mut ready = member.raft.ready();
            out += &describe::ready(&ready, &text);
            if let Some(snapshot) = &ready.snapshot {
                member.state = snapshot.data.split_whitespace().map(str::to_string).collect();
                member.conf = snapshot.metadata.conf_state.clone();
            }
            for entry in &ready.committed {
                match &entry.data {
                    EntryData::Normal(data) => member.state.push(data.clone()),
                    EntryData::ConfChange(change) => {
                        member.conf = member.raft.apply_conf_change(change);
                        let _ = writeln!(out, "{}", describe::conf_state(&member.conf));
                    }
                    EntryData::Empty => {}
                }
            }
            member.raft.advance(&ready);
            if ready.wants_snapshot {
                member.raft.offer_snapshot(member.state.join(" "));
            }
            network.append(&mut ready.messages);
        }
        out
    }

    fn lost(&mut self, m: &Message<String, String>) -> bool {
        let cut = |id| self.cut.contains(&id);
        let unknown = !self.nodes.iter().any(|n| n.raft.id() == m.to);
        unknown || (cut(m.from) || cut(m.to)) || self.member(m.to).down
    }

    /// Time passes for one node, and nobody hears what it says.
    fn idle(&mut self, id: u64, ticks: u64) -> String {
        let before = self.network.len();
        let said = self.act(id, |m| (0..ticks).for_each(|_| m.raft.tick()));
        self.ready(id);
        let lost = self.network.split_off(before).len();
        format!("{said}{lost} lost\n")
    }

    /// Hands over what is under way now (not what comes of it).
    fn deliver(&mut self, to: &[u64], kind: Option<&str>) -> String {
        let mut out = String::new();
        let wanted =
            |m: &Message<String, String>| (to.is_empty() || to.contains(&m.to)) && kind.is_none_or(|k| m.body.name() == k);
        let (now, later) = std::mem::take(&mut self.network).into_iter().partition::<Vec<_>, _>(wanted);
        self.network = later;
        for m in now {
            let lost = if self.lost(&m) { "(lost) " } else { "" };
            let _ = writeln!(out, "{lost}{}", describe::message(&m, &text));
            if lost.is_empty() {
                self.member(m.to).raft.step(m);
            }
        }
        out
    }

    fn drop_messages(&mut self, to: &[u64], kind: Option<&str>) -> String {
        let before = self.network.len();
        self.network.retain(|m| !((to.is_empty() || to.contains(&m.to)) && kind.is_none_or(|k| m.body.name() == k)));
        format!("{} lost\n", before - self.network.len())
    }

    /// Readies and deliveries in turn, until nothing is left to do (for the nodes named, or all).
    fn stabilize(&mut self, only: &[u64]) -> String {
        let mut out = String::new();
        let all: Vec<u64> = self.nodes.iter().map(|m| m.raft.id()).filter(|id| only.is_empty() || only.contains(id)).collect();
        for _ in 0..100 {
            let mut quiet = true;
            for id in &all {
                let said = self.ready(*id);
                quiet &= said.is_empty();
                if !said.is_empty() {
                    let _ = write!(out, "{id} ready\n{}", indent(&said));
                }
            }
            let said = self.deliver(only, None);
            if quiet && said.is_empty() {
                return out;
            }
            if !said.is_empty() {
                let _ = write!(out, "deliver\n{}", indent(&said));
            }
        }
        panic!("this goes on for ever:\n{out}");
    }

    fn restart(&mut self, id: u64) -> String {
        self.act(id, |m| {
            m.down = false;
            let (applied, conf) = (m.raft.applied(), m.conf.clone());
            m.raft.restart(applied, &conf);
        })
    }

    /// Its disk is replaced by an empty one.
    fn wipe(&mut self, id: u64) -> String {
        self.act(id, |m| {
            let start = SnapshotMetadata { conf_state: m.conf.clone(), ..SnapshotMetadata::default() };
            m.raft = Raft::new(Config::new(id, Seed(id)), &start);
            m.state = Vec::new();
        })
    }

    fn raft_log(&mut self, id: u64) -> String {
        let log = self.member(id).raft.log();
        let mut out = String::new();
        if log.first_index() > 1 {
            let before = log.first_index() - 1;
            let _ = writeln!(out, "begins after {}/{before}", log.term(before).unwrap());
        }
        for entry in log.entries() {
            let _ = writeln!(out, "{}", describe::entry(entry, &text));
        }
        out
    }

    fn raft_state(&mut self) -> String {
        let line = |m: &Member| {
            let down = if m.down { " (down)" } else { "" };
            let lost = if m.raft.has_lost_log() { " (has lost its log)" } else { "" };
            let learner = if m.raft.is_learner() { " (learner)" } else { "" };
            format!("{}: {}{learner}{lost}{down}\n", m.raft.id(), m.raft.describe())
        };
        self.nodes.iter().map(line).collect()
    }

    /// What a leader knows of the others.
    fn status(&mut self, id: u64) -> String {
        let mut out = String::new();
        for (id, p) in self.member(id).raft.progress() {
            let _ = write!(out, "{id}: {:?} match={} next={}", p.state, p.matched, p.next);
            if p.state == ProgressState::Snapshot {
                let _ = write!(out, " snapshot={}", p.pending_snapshot);
            }
            let _ = write!(out, "{}{}", if p.paused { " paused" } else { "" }, if p.recent_active { "" } else { " inactive" });
            let _ = writeln!(
                out,
                "{}",
                if p.inflights.is_empty() { String::new() } else { format!(" inflight={}", p.inflights.len()) }
            );
        }
        out
    }
}

/// `v4`, `l4`, `r4`
fn conf_change(word: &str) -> EntryData<String> {
    let kind = match &word[..1] {
        "v" => ConfChangeType::AddNode,
        "l" => ConfChangeType::AddLearnerNode,
        _ => ConfChangeType::RemoveNode,
    };
    EntryData::ConfChange(ConfChange { kind, node: word[1..].parse().unwrap(), context: None })
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}\n")).collect()
}

/// Plays a script and returns it with what was really said.
fn play(script: &str) -> String {
    let (mut world, mut out) = (World::default(), String::new());
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        let _ = writeln!(out, "{line}");
        let Some(command) = line.strip_prefix("> ") else { continue };
        while lines.next_if(|l| !l.is_empty()).is_some() {}
        let said = world.run(command);
        out += if said.is_empty() { "ok\n" } else { &said };
    }
    out
}

fn dir() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("raft/testdata")
}

#[test]
fn scripts() {
    let mut files: Vec<_> = std::fs::read_dir(dir()).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the scripts are there");
    let mut wrong = Vec::new();
    for file in files {
        let script = std::fs::read_to_string(&file).unwrap();
        let played = play(&script);
        if played == script {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&file, played).unwrap();
            continue;
        }
        let line = played.lines().zip(script.lines()).position(|(a, b)| a != b).unwrap_or(script.lines().count());
        let around = |s: &str| s.lines().skip(line.saturating_sub(3)).take(8).map(|l| format!("    {l}\n")).collect::<String>();
        wrong.push(format!("{}:{}\nexpected\n{}said\n{}", file.display(), line + 1, around(&script), around(&played)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
