//! Seeds × faults among members: links are cut, slow and lossy, members are killed, frozen and start again. No acknowledged
//! write is lost, a revision belongs to one write, reads see what was acknowledged before, and at peace all members are alike.

use std::collections::BTreeMap;

use base::{Duration, Seed};
use etcd_api::{Response, Stored};
use sim::Addr;

use super::cluster::{Net, get, put};

struct World {
    net: Net,
    n: u32,
    seed: Seed,
    draws: u64,
    /// Writes under way: what was written.
    writes: BTreeMap<u64, String>,
    /// Reads under way: the newest revision acknowledged when they were asked.
    reads: BTreeMap<u64, i64>,
    /// Revision → what was acknowledged with it.
    acknowledged: BTreeMap<i64, String>,
    checked_reads: usize,
}

impl World {
    fn new(n: u32, seed: u64) -> World {
        let mut net = Net::new(n, seed);
        net.run(3000);
        World {
            net,
            n,
            seed: Seed(seed).derive("etcd faults"),
            draws: 0,
            writes: BTreeMap::new(),
            reads: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            checked_reads: 0,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draws += 1;
        self.seed.below(self.draws, bound)
    }

    fn client(&mut self) {
        let to = 1 + self.below(self.n.into()) as u32;
        let value = format!("v{}", self.draws);
        let id = self.net.send(to, put(&format!("/k{}", self.draws % 5), &value));
        self.writes.insert(id, value);
        let to = 1 + self.below(self.n.into()) as u32;
        let id = self.net.send(to, get("/k1", false));
        self.reads.insert(id, self.acknowledged.last_key_value().map_or(0, |(r, _)| *r));
    }

    fn hear(&mut self) {
        for (id, (revision, response)) in std::mem::take(&mut self.net.answers) {
            if let (Some(value), Response::Txn { .. }) = (self.writes.remove(&id), &*response) {
                let other = self.acknowledged.insert(revision, value);
                assert_eq!(other, None, "revision {revision} belongs to one write");
            }
            if let (Some(needed), Response::Range(_)) = (self.reads.remove(&id), &*response) {
                self.checked_reads += 1;
                assert!(revision >= needed, "a read at {revision} misses {needed}");
            }
        }
    }

    /// Members that are neither down nor frozen are kept a majority, most of the time.
    fn fate(&mut self) {
        let (i, j) = (1 + self.below(self.n.into()) as u32, 1 + self.below(self.n.into()) as u32);
        let leader = self.net.leader().unwrap_or(i);
        let faults = &mut self.net.queue.faults;
        match self.seed.below(self.draws + 1_000_000, 9) {
            0 => {
                for k in (1..=self.n).filter(|k| *k != leader) {
                    faults.cut.insert((Addr(leader), Addr(k)));
                    faults.cut.insert((Addr(k), Addr(leader)));
                }
            }
            1 => {
                faults.cut.insert((Addr(i), Addr(j)));
            }
            2 => {
                faults.delay.insert((Addr(i), Addr(j)), Duration::from_millis(400));
            }
            3 => {
                faults.drop_per_mille.insert((Addr(i), Addr(j)), 300);
            }
            4 if self.net.members.len() as u32 > self.n / 2 => self.net.stop(leader),
            5 => self.net.queue.freeze(Addr(i)),
            6 => self.thaw(),
            _ => self.mend(),
        }
    }

    fn thaw(&mut self) {
        for i in self.net.queue.faults.frozen.clone() {
            self.net.queue.thaw(i);
        }
    }

    fn mend(&mut self) {
        self.thaw();
        self.net.queue.faults = Default::default();
        for i in self.net.disks.keys().copied().collect::<Vec<_>>() {
            self.net.start(i, self.n, false);
        }
    }

    fn run(&mut self) {
        for n in 0..160 {
            self.client();
            self.net.run(60);
            self.hear();
            if n % 6 == 5 {
                self.fate();
            }
        }
        self.mend();
        self.net.run(12_000);
        self.hear();
        self.check();
    }

    fn check(&mut self) {
        assert_eq!(self.net.say(1, put("/end", "x")), "ok", "at peace there is a leader");
        self.net.run(1000);
        let first = self.net.members[&1].store().clone();
        for (i, member) in &self.net.members {
            assert_eq!((member.revision(), member.digest()), (first.revision(), first.digest()), "member {i}");
            assert!(member.fatal().is_none());
        }
        let mut last = 1;
        let mut written = BTreeMap::new();
        for entry in first.log() {
            assert_eq!(entry.revision, last + 1, "revisions are linear");
            last = entry.revision;
            if let Some(Stored::Bytes(value)) = entry.kv.as_ref().map(|kv| &kv.value) {
                written.insert(entry.revision, String::from_utf8_lossy(&value[..]).into_owned());
            }
        }
        for (revision, value) in &self.acknowledged {
            assert_eq!(written.get(revision), Some(value), "revision {revision} was acknowledged");
        }
    }
}

#[test]
fn no_acknowledged_write_is_lost() {
    let (mut writes, mut reads) = (0, 0);
    for seed in 1..=12 {
        let n = if seed % 3 == 0 { 5 } else { 3 };
        let world = std::panic::catch_unwind(|| {
            let mut world = World::new(n, seed);
            world.run();
            world
        });
        let world = world.unwrap_or_else(|_| panic!("seed {seed} with {n} members"));
        writes += world.acknowledged.len();
        reads += world.checked_reads;
    }
    assert!(writes > 600 && reads > 400, "{writes} writes, {reads} reads");
}

#[test]
fn the_same_seed_gives_the_same_members() {
    let digest = || {
        let mut world = World::new(3, 77);
        world.run();
        (world.net.queue.digest(), world.net.members[&2].digest())
    };
    assert_eq!(digest(), digest());
}
