//! Three and five members of etcd behind kube-apiserver, seeds × faults: members are killed, frozen, cut off and slow, the leader
//! among them, but never a majority at once. No write that kube-apiserver acknowledged is lost, revisions are linear, at peace
//! all members are alike, and kube-apiserver's cache is what is stored. (Members without kube-apiserver, and with fewer scruples:
//! `src/etcd/tests/faults.rs`.)

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Object, Request, resources, value};
use base::{Duration, Seed};
use cluster::{Bottle, Config, Input};
use sim::{Addr, Payload};

struct World {
    bottle: Bottle,
    client: Addr,
    seed: Seed,
    draws: u64,
    members: Vec<Rc<str>>,
    asked: BTreeMap<u64, String>,
    /// Revision → the ConfigMap that was acknowledged with it.
    acknowledged: BTreeMap<i64, String>,
    refused: usize,
}

impl World {
    fn new(members: u32, seed: u64) -> World {
        let config = Config { seed, etcd_members: members, controllers: false, ..Config::named("wire").unwrap() };
        let mut bottle = Bottle::new(config);
        bottle.trace_mut().enabled = false;
        let client = bottle.head_mut().connect_client();
        let addrs = bottle.head().etcd_addrs();
        let members = addrs.into_iter().map(|a| bottle.head().name(a)).collect();
        let (asked, acknowledged) = (BTreeMap::new(), BTreeMap::new());
        let seed = Seed(seed).derive("faults");
        let mut world = World { bottle, client, seed, draws: 0, members, asked, acknowledged, refused: 0 };
        world.run(8000);
        assert!(world.bottle.head().api().is_some_and(|a| a.is_ready()), "it boots");
        world
    }

    fn below(&mut self, bound: usize) -> usize {
        self.draws += 1;
        self.seed.below(self.draws, bound as u64) as usize
    }

    fn run(&mut self, ms: i64) {
        let until = self.bottle.head().now() + Duration::from_millis(ms);
        self.bottle.run_until(until, u64::MAX);
        for payload in self.bottle.head_mut().take_client_messages(self.client) {
            let Payload::ApiResponse { id, response } = payload else { continue };
            let Some(name) = self.asked.remove(&id) else { continue };
            match response.ok().map(Object::revision) {
                Some(revision) if revision > 0 => {
                    assert_eq!(self.acknowledged.insert(revision, name), None, "a revision belongs to one write");
                }
                _ => self.refused += 1,
            }
        }
    }

    fn write(&mut self, n: u64) {
        let name = format!("c{n}");
        let object = value!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": (name.as_str()), "namespace": "default"}
        });
        let mut request = Request::create(resources::configmaps(), Object::from_value(object).unwrap());
        request.credential = cluster::administrator();
        request.user_agent = "faults".into();
        self.asked.insert(n, name);
        let client = self.client;
        self.bottle.head_mut().send_as_client(client, n, request);
    }

    fn leader(&self) -> Option<Rc<str>> {
        let cluster = self.bottle.head();
        cluster.etcd_members().find(|(_, m)| m.raft().is_leader()).map(|(a, _)| cluster.name(a))
    }

    /// One thing at a time breaks, so that a majority stays.
    fn fate(&mut self) {
        self.mend();
        let i = self.below(self.members.len());
        let any = self.members[i].clone();
        let victim = match self.below(2) {
            0 => self.leader().unwrap_or(any),
            _ => any,
        };
        match self.below(5) {
            0 => drop(self.bottle.input(Input::Kill(victim))),
            1 => drop(self.bottle.input(Input::Freeze(victim))),
            2 => self.each_other(&victim, Input::Cut),
            3 => self.each_other(&victim, |a, b| Input::Slow(a, b, 300)),
            // Only kube-apiserver can't reach it.
            _ => drop(self.bottle.input(Input::Cut(victim, "kube-apiserver/control-plane".into()))),
        }
    }

    fn each_other(&mut self, victim: &Rc<str>, input: impl Fn(Rc<str>, Rc<str>) -> Input) {
        for other in self.members.clone() {
            if other != *victim {
                self.bottle.input(input(victim.clone(), other));
            }
        }
    }

    fn mend(&mut self) {
        for name in self.members.clone() {
            self.bottle.input(Input::Thaw(name));
        }
        self.bottle.head_mut().queue.faults = Default::default();
    }

    fn live(&mut self) {
        for n in 1..=150 {
            self.write(n);
            self.run(400);
            if n % 32 == 5 {
                self.fate();
            }
        }
        self.mend();
        self.run(30_000);
    }

    fn check(&self) {
        let cluster = self.bottle.head();
        let members: Vec<_> = cluster.etcd_members().map(|(_, m)| m).collect();
        assert_eq!(members.len(), self.members.len(), "all run");
        for m in &members {
            assert_eq!((m.revision(), m.digest()), (members[0].revision(), members[0].digest()), "{}", m.name());
        }
        let store = members[0].store();
        let (mut last, mut written) = (store.compacted().max(1), BTreeMap::new());
        for entry in store.log() {
            assert!(entry.revision == last || entry.revision == last + 1, "revisions are linear");
            last = entry.revision;
            if entry.kv.is_some() {
                written.insert(entry.revision, entry.key.to_string());
            }
        }
        for (revision, name) in &self.acknowledged {
            let key = format!("/registry/configmaps/default/{name}");
            assert_eq!(written.get(revision), Some(&key), "revision {revision} was acknowledged");
        }
        let mut list = Request::list(resources::configmaps(), "default");
        list.credential = cluster::administrator();
        let cached = cluster.api().expect("it runs").read(&list, cluster.now()).as_list().map_or(0, |l| l.items.len());
        let range = etcd_api::KeyRange::prefix("/registry/configmaps/default/");
        assert_eq!(cached, store.keys_in(&range).len(), "the cache is what is stored");
    }
}

#[test]
fn a_minority_may_fail() {
    let (mut acknowledged, mut refused) = (0, 0);
    for (members, seed) in [(3, 1), (3, 2), (5, 3), (3, 4), (5, 5)] {
        let world = std::panic::catch_unwind(|| {
            let mut world = World::new(members, seed);
            world.live();
            world.check();
            world
        });
        let world = world.unwrap_or_else(|_| panic!("seed {seed}, {members} members"));
        acknowledged += world.acknowledged.len();
        refused += world.refused;
    }
    assert!(acknowledged > 300, "{acknowledged} acknowledged, {refused} refused");
}
