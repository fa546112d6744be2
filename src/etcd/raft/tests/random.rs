//! Many seeds: messages are late, lost, doubled, nodes are cut off, stop and start again, logs are compacted, members change.
//! Whatever happens: one leader a term, logs that agree up to what they share, a leader that has all that was ever committed,
//! the same applied everywhere in the same order, no acknowledged entry lost, no read that misses what was acknowledged before.

use std::collections::{BTreeMap, BTreeSet};

use base::Seed;
use etcd_api::raftpb::{ConfChange, ConfChangeType, ConfState, EntryData, Message, SnapshotMetadata};

use crate::raft::{Config, Raft};

/// A number proposed; the state is all of them, in order.
type Node = Raft<u64, Vec<(u64, u64)>>;
type Packet = Message<u64, Vec<(u64, u64)>>;

struct Member {
    raft: Node,
    /// Index and number of everything applied.
    state: Vec<(u64, u64)>,
    conf: ConfState,
    down: bool,
}

struct World {
    seed: Seed,
    draws: u64,
    now: u64,
    members: Vec<Member>,
    /// By time of arrival.
    network: BTreeMap<(u64, u64), Packet>,
    sent: u64,
    cut: BTreeSet<(u64, u64)>,
    drop_percent: u64,
    leaders: BTreeMap<u64, u64>,
    /// Everything ever committed: index → (term, number).
    committed: BTreeMap<u64, (u64, Option<u64>)>,
    /// Read under way → what must be seen.
    reads: BTreeMap<u64, u64>,
    answered_reads: usize,
    snapshots: usize,
    at_peace: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let seed = Seed(seed).derive("raft");
        let (voters, all) = if seed.below(0, 2) == 0 { (3, 4) } else { (5, 5) };
        let conf = ConfState { voters: (1..=voters).collect(), learners: Vec::new() };
        let start = SnapshotMetadata { index: 0, term: 0, conf_state: conf.clone() };
        let member = |id| {
            let mut config = Config::new(id, seed.derive("node").derive(&id.to_string()));
            (config.max_entries, config.max_inflight) = (4, 3);
            Member { raft: Raft::new(config, &start), state: Vec::new(), conf: conf.clone(), down: false }
        };
        let members = (1..=all).map(member).collect();
        World {
            seed,
            draws: 1,
            now: 0,
            members,
            network: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            drop_percent: seed.below(0, 3) * 8,
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            reads: BTreeMap::new(),
            answered_reads: 0,
            snapshots: 0,
            at_peace: false,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draws += 1;
        self.seed.below(self.draws, bound)
    }

    fn post(&mut self, m: Packet) {
        if self.cut.contains(&(m.from, m.to)) || self.below(100) < self.drop_percent {
            return;
        }
        let copies = if self.below(50) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let late = 1 + self.below(if self.drop_percent > 0 { 12 } else { 3 });
            self.sent += 1;
            self.network.insert((self.now + late, self.sent), m.clone());
        }
    }

    fn carry_out(&mut self, i: usize) {
        while self.members[i].raft.has_ready() {
            let ready = self.members[i].raft.ready();
            // A crash before the disk was written: nothing went out.
            if !self.at_peace && self.below(400) == 0 && ready.snapshot.is_none() {
                return self.restart(i);
            }
            let member = &mut self.members[i];
            if let Some(snapshot) = &ready.snapshot {
                self.snapshots += 1;
                member.state = snapshot.data.clone();
                member.conf = snapshot.metadata.conf_state.clone();
            }
            for entry in &ready.committed {
                let number = if let EntryData::Normal(n) = entry.data { Some(n) } else { None };
                let known = self.committed.entry(entry.index).or_insert((entry.term, number));
                assert_eq!(*known, (entry.term, number), "everybody applies the same at {}", entry.index);
                member.state.extend(number.map(|n| (entry.index, n)));
                if let EntryData::ConfChange(change) = &entry.data {
                    member.conf = member.raft.apply_conf_change(change);
                }
            }
            member.raft.advance(&ready);
            assert!(!member.raft.has_lost_log());
            if ready.wants_snapshot {
                let state = member.state.clone();
                member.raft.offer_snapshot(state);
            }
            for read in &ready.read_states {
                let needed = self.reads.remove(&read.context).unwrap_or(0);
                self.answered_reads += 1;
                assert!(read.index >= needed, "a read at {} misses {needed}", read.index);
            }
            for message in ready.messages {
                self.post(message);
            }
            self.check_leader(i);
        }
    }

    /// One leader a term, and it has all that is committed.
    fn check_leader(&mut self, i: usize) {
        let raft = &self.members[i].raft;
        if !raft.is_leader() {
            return;
        }
        if let Some(first) = self.leaders.get(&raft.term()) {
            return assert_eq!(*first, raft.id(), "two leaders in term {}", raft.term());
        }
        self.leaders.insert(raft.term(), raft.id());
        let first_index = raft.log().first_index();
        for (index, (term, _)) in self.committed.range(first_index..).filter(|(_, (t, _))| *t < raft.term()) {
            assert_eq!(raft.log().term(*index), Some(*term), "leader {} lacks {index}", raft.id());
        }
    }

    /// Where two logs have an entry of the same index and term, they are the same up to there.
    fn check_logs(&self) {
        for (i, a) in self.members.iter().enumerate() {
            for b in &self.members[i + 1..] {
                let (a, b) = (a.raft.log(), b.raft.log());
                let (low, high) = (a.first_index().max(b.first_index()), a.last_index().min(b.last_index()));
                let agree = (low..=high).rev().find(|i| a.term(*i) == b.term(*i));
                for index in low..=agree.unwrap_or(0) {
                    assert_eq!(a.get(index), b.get(index), "logs that agree later agree before");
                }
            }
        }
    }

    fn restart(&mut self, i: usize) {
        let member = &mut self.members[i];
        let (applied, conf) = (member.raft.applied(), member.conf.clone());
        member.raft.restart(applied, &conf);
        member.down = false;
    }

    fn leader(&self) -> Option<usize> {
        self.members.iter().position(|m| m.raft.is_leader() && !m.down)
    }

    /// Something breaks, or is mended.
    fn fate(&mut self) {
        let n = self.members.len() as u64;
        let i = self.below(n) as usize;
        match self.below(9) {
            0 => {
                let half: Vec<u64> = (1..=n).filter(|_| self.below(2) == 0).collect();
                let apart = |a: u64, b: u64| half.contains(&a) != half.contains(&b);
                self.cut = (1..=n).flat_map(|a| (1..=n).map(move |b| (a, b))).filter(|(a, b)| apart(*a, *b)).collect();
            }
            1 => {
                // One direction only.
                let to = 1 + self.below(n);
                self.cut.insert((i as u64 + 1, to));
            }
            2 | 3 => self.cut.clear(),
            4 => self.members[i].down = true,
            5 => self.restart(i),
            6 => {
                let applied = self.members[i].raft.applied();
                self.members[i].raft.compact(applied.saturating_sub(2));
            }
            7 => {
                let to = 1 + self.below(n);
                self.members[i].raft.transfer_leader(to);
            }
            _ => self.change_members(),
        }
    }

    /// The fourth node comes as a learner, is promoted, and goes.
    fn change_members(&mut self) {
        if self.members.len() != 4 {
            return;
        }
        let Some(leader) = self.leader() else { return };
        let raft = &mut self.members[leader].raft;
        let conf = raft.conf_state();
        let kind = match (conf.voters.contains(&4), conf.learners.contains(&4)) {
            (false, false) => ConfChangeType::AddLearnerNode,
            (false, true) => ConfChangeType::AddNode,
            _ => ConfChangeType::RemoveNode,
        };
        let _ = raft.propose(EntryData::ConfChange(ConfChange { kind, node: 4, context: None }));
    }

    fn client(&mut self, n: u64) {
        let i = self.below(self.members.len() as u64) as usize;
        if self.members[i].down {
            return;
        }
        let _ = self.members[i].raft.propose(EntryData::Normal(n));
        let acknowledged = self.committed.last_key_value().map_or(0, |(i, _)| *i);
        self.reads.insert(n, acknowledged);
        self.members[i].raft.read_index(n);
    }

    fn step(&mut self) {
        self.now += 1;
        let due: Vec<_> = self.network.range(..=(self.now, u64::MAX)).map(|(k, _)| *k).collect();
        for key in due {
            let Some(m) = self.network.remove(&key) else { continue };
            let i = m.to as usize - 1;
            if !self.members[i].down && !self.cut.contains(&(m.from, m.to)) {
                self.members[i].raft.step(m);
                self.carry_out(i);
            }
        }
        for i in 0..self.members.len() {
            if !self.members[i].down {
                if self.now % 3 == i as u64 % 3 {
                    self.members[i].raft.tick();
                }
                self.carry_out(i);
            }
        }
    }

    fn run(&mut self) {
        for n in 1..=700 {
            self.step();
            if self.below(4) == 0 {
                self.client(n);
            }
            if self.below(25) == 0 {
                self.fate();
            }
            if n % 20 == 0 {
                self.check_logs();
            }
        }
        self.mend();
    }

    fn describe(&self) -> String {
        let one = |m: &Member| {
            format!("\n{}: {} {:?} {:?}", m.raft.id(), m.raft.describe(), m.raft.conf_state(), m.raft.log().last_term())
        };
        self.members.iter().map(one).collect()
    }

    /// All is well again: they come to one state, which has everything that was committed.
    fn mend(&mut self) {
        self.cut.clear();
        self.at_peace = true;
        self.drop_percent = 0;
        for i in 0..self.members.len() {
            if self.members[i].down {
                self.restart(i);
            }
        }
        (0..400).for_each(|_| self.step());
        self.client(100_000);
        (0..100).for_each(|_| self.step());
        let leader = self.leader().unwrap_or_else(|| panic!("a group at peace has a leader: {}", self.describe()));
        let conf = self.members[leader].raft.conf_state();
        let all: Vec<(u64, u64)> = self.committed.iter().filter_map(|(i, (_, n))| Some((*i, (*n)?))).collect();
        assert!(!all.is_empty());
        for member in &self.members {
            if conf.voters.contains(&member.raft.id()) {
                assert_eq!(member.state, all, "node {} has everything", member.raft.id());
            }
        }
        assert!(!self.reads.contains_key(&100_000) || self.answered_reads > 0);
    }
}

#[test]
fn whatever_breaks_the_log_is_one() {
    let (mut committed, mut terms, mut reads, mut snapshots) = (0, 0, 0, 0);
    for seed in 1..=24 {
        let world = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run();
            world
        });
        let world = world.unwrap_or_else(|_| panic!("seed {seed}"));
        committed += world.committed.len();
        terms += world.leaders.len();
        reads += world.answered_reads;
        snapshots += world.snapshots;
    }
    // The worlds are neither so rough that nothing happens, nor so calm that nothing breaks.
    assert!(committed > 600 && terms > 60 && reads > 300 && snapshots > 8, "{committed} {terms} {reads} {snapshots}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let mut world = World::new(seed);
        world.run();
        (world.committed, world.leaders, world.sent)
    };
    assert_eq!(history(5), history(5));
    assert_ne!(history(5).2, history(6).2);
}
