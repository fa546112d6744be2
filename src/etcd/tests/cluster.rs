//! Several members on a network: what a client of each of them sees when they come, go and change.

use std::collections::BTreeMap;
use std::rc::Rc;

use base::{Duration, Map, Seed, Time};
use etcd_api::{KeyRange, Message, Op, RangeRequest, Request, Response, Stored, TxnRequest, WatchRequest};
use sim::{Addr, Outbox, Payload, Queue};

use crate::{DataDir, Member, MemberConfig};

pub const CLIENT: Addr = Addr(100);

fn url(n: u32) -> Rc<str> {
    format!("https://10.0.0.{n}:2380").into()
}

/// Members 1 to n, some of which may be joined later.
pub struct Net {
    pub queue: Queue,
    pub members: BTreeMap<u32, Member>,
    /// What lies on the disks of members that don't run.
    pub disks: BTreeMap<u32, DataDir>,
    pub answers: BTreeMap<u64, (i64, Rc<Response>)>,
    pub watched: Vec<(Addr, String)>,
    pub next: u64,
    seed: u64,
}

impl Net {
    /// `n` members of a new cluster; the addresses of 9 are known.
    pub fn new(n: u32, seed: u64) -> Net {
        let queue = Queue::new(Seed(seed), Time::from_secs(1000));
        let (members, disks, answers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut net = Net { queue, members, disks, answers, watched: Vec::new(), next: 0, seed };
        (1..=n).for_each(|i| net.start(i, n, false));
        net
    }

    pub fn config(&self, i: u32, n: u32, existing: bool) -> MemberConfig {
        let name = |i: u32| Rc::<str>::from(format!("m{i}"));
        MemberConfig {
            peer_url: url(i),
            client_url: format!("https://10.0.0.{i}:2379").into(),
            initial_cluster: (1..=n).map(|i| (name(i), url(i))).collect(),
            existing,
            snapshot_count: 40,
            seed: Seed(self.seed).derive(&name(i)),
            ..MemberConfig::alone(&name(i))
        }
    }

    /// Starts a member with what lies on its disk.
    pub fn start(&mut self, i: u32, n: u32, existing: bool) {
        let network: Map<Rc<str>, Addr> = (1..=9).map(|i| (url(i), Addr(i))).collect();
        let member = Member::with(self.config(i, n, existing), self.disks.remove(&i), network);
        self.members.insert(i, member);
        self.queue.inject(Addr::OUTSIDE, Addr(i), Payload::Start, |_, _| ());
    }

    /// Its process is gone at once; its disk stays.
    pub fn stop(&mut self, i: u32) {
        if let Some(member) = self.members.remove(&i) {
            self.disks.insert(i, member.data_dir().clone());
        }
        self.queue.forget(Addr(i));
    }

    pub fn step(&mut self) {
        let Some(delivery) = self.queue.pop() else { return };
        let (now, message) = (self.queue.now(), delivery.message);
        if message.to == CLIENT {
            return self.client(message.from, message.payload);
        }
        let mut out = Outbox::new(message.to, message.id, now);
        if let Some(member) = self.members.get_mut(&message.to.0) {
            member.handle(now, message, &mut out);
        }
        self.queue.dispatch(out, |_, _| ());
    }

    fn client(&mut self, from: Addr, payload: Payload) {
        match payload {
            Payload::Etcd(Message::Response { id, revision, response }) => {
                self.answers.insert(id, (revision, response));
            }
            Payload::Etcd(other) => self.watched.push((from, super::show(&other))),
            _ => {}
        }
    }

    pub fn run(&mut self, ms: i64) {
        let until = self.queue.now() + Duration::from_millis(ms);
        while self.queue.peek().is_some_and(|at| at <= until) {
            self.step();
        }
        self.queue.advance_to(until);
    }

    pub fn send(&mut self, to: u32, request: Request) -> u64 {
        self.next += 1;
        let (id, request) = (self.next, Rc::new(request));
        self.queue.inject(CLIENT, Addr(to), Payload::Etcd(Message::Request { id, request }), |_, _| ());
        id
    }

    /// Sends, and waits up to ten seconds for the answer.
    pub fn ask(&mut self, to: u32, request: Request) -> Response {
        let id = self.send(to, request);
        for _ in 0..1000 {
            self.run(10);
            if let Some((_, response)) = self.answers.remove(&id) {
                return (*response).clone();
            }
        }
        panic!("no answer");
    }

    /// The error's text, or `ok`.
    pub fn say(&mut self, to: u32, request: Request) -> String {
        match self.ask(to, request) {
            Response::Error(e) => e.text().into(),
            _ => "ok".into(),
        }
    }

    pub fn leader(&self) -> Option<u32> {
        self.members.iter().find(|(_, m)| m.raft().is_leader()).map(|(i, _)| *i)
    }
    pub fn id(&self, i: u32) -> u64 {
        self.members[&i].id()
    }
}

pub fn put(key: &str, value: &str) -> Request {
    let op = Op::Put { key: key.into(), value: Stored::Bytes(value.as_bytes().into()), lease: 0 };
    Request::Txn(TxnRequest { success: vec![op], ..TxnRequest::default() })
}

pub fn get(key: &str, serializable: bool) -> Request {
    let range = KeyRange::one(key.into());
    Request::Range(RangeRequest { range, revision: 0, limit: 0, count_only: false, keys_only: false, serializable })
}

fn value(response: &Response) -> String {
    match response {
        Response::Range(r) => r.kvs.first().map_or("nothing".into(), |kv| match &kv.value {
            Stored::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
            Stored::Object(_) => "an object".into(),
        }),
        Response::Error(e) => e.text().into(),
        other => format!("{other:?}"),
    }
}

fn names(response: &Response) -> Vec<String> {
    match response {
        Response::MemberList(all) | Response::MemberRemove(all) | Response::MemberPromote(all) | Response::MemberAdd(_, all) => {
            all.iter().map(|m| format!("{}{}", m.name, if m.is_learner { " (learner)" } else { "" })).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_member_takes_writes_and_reads_what_another_took() {
    let mut net = Net::new(3, 1);
    net.run(4000);
    let leader = net.leader().expect("three members elect one");
    for (i, key) in [(1, "/a"), (2, "/b"), (3, "/c")] {
        assert_eq!(net.say(i, put(key, "x")), "ok");
    }
    for i in 1..=3 {
        assert_eq!(value(&net.ask(i, get("/c", false))), "x");
    }
    let mut all = names(&net.ask(3, Request::MemberList));
    all.sort();
    assert_eq!(all, ["m1", "m2", "m3"]);
    net.run(200);
    let digests: Vec<u64> = net.members.values().map(Member::digest).collect();
    assert!(digests.iter().all(|d| *d == digests[0]));
    assert_eq!(net.members[&leader].revision(), 4);
}

#[test]
fn without_a_quorum_writes_stop_and_stale_reads_say_so() {
    let mut net = Net::new(3, 2);
    net.run(4000);
    assert_eq!(net.say(1, put("/a", "1")), "ok");
    net.stop(3);
    net.run(3000);
    assert_eq!(net.say(1, put("/a", "2")), "ok", "one of three may be down");
    net.stop(2);
    net.run(3000);
    assert_eq!(net.say(1, put("/a", "3")), "etcdserver: request timed out");
    assert_eq!(value(&net.ask(1, get("/a", false))), "etcdserver: request timed out");
    assert_eq!(value(&net.ask(1, get("/a", true))), "2");
    assert_eq!(net.members[&1].status().errors, ["etcdserver: no leader".into()]);
    net.start(2, 3, false);
    net.run(6000);
    assert_eq!(net.say(1, put("/a", "4")), "ok");
    assert_eq!(value(&net.ask(2, get("/a", false))), "4");
    assert!(net.members[&1].status().errors.is_empty());
}

#[test]
fn a_killed_leader_is_replaced_and_a_write_under_way_times_out() {
    let mut net = Net::new(3, 3);
    net.run(4000);
    let leader = net.leader().unwrap();
    let other = leader % 3 + 1;
    let id = net.send(other, put("/a", "1"));
    net.stop(leader);
    net.run(3500);
    assert!(net.leader().is_some_and(|l| l != leader));
    let read = net.send(other, get("/a", false));
    net.run(5000);
    let text = |net: &Net, id: u64| value(&net.answers[&id].1);
    assert_eq!(text(&net, id), "etcdserver: request timed out, possibly due to previous leader failure");
    assert_eq!(text(&net, read), "nothing");
}

#[test]
fn a_read_under_way_hears_of_another_leader() {
    let mut net = Net::new(3, 4);
    net.run(4000);
    let leader = net.leader().unwrap();
    net.stop(leader);
    let other = leader % 3 + 1;
    let read = net.send(other, get("/a", false));
    net.run(6000);
    assert_eq!(value(&net.answers[&read].1), "etcdserver: leader changed");
}

#[test]
fn a_watch_hears_the_same_on_every_member_and_ends_without_a_leader() {
    let mut net = Net::new(3, 5);
    net.run(4000);
    let range = KeyRange::prefix("/a");
    for i in 1..=3 {
        let watch = WatchRequest { watch_id: 7, range: range.clone(), start_revision: 0, prev_kv: false, progress_notify: false };
        assert_eq!(net.say(i, Request::Watch(watch)), "ok");
    }
    net.say(2, put("/a", "1"));
    net.run(300);
    let heard = std::mem::take(&mut net.watched);
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|(_, text)| *text == heard[0].1), "{heard:?}");
    net.stop(1);
    net.stop(2);
    net.run(8000);
    assert_eq!(net.watched, [(Addr(3), "canceled, compacted 0".to_string())]);
}

#[test]
fn a_member_far_behind_gets_a_snapshot() {
    let mut net = Net::new(3, 6);
    net.run(4000);
    let follower = net.leader().unwrap() % 3 + 1;
    net.stop(follower);
    let other = (1..=3).find(|i| *i != follower).unwrap();
    for n in 0..100 {
        assert_eq!(net.say(other, put(&format!("/k{}", n % 7), &n.to_string())), "ok");
    }
    let first = net.members[&other].raft().log().first_index();
    assert!(first > 40, "the log was shortened: {first}");
    net.start(follower, 3, false);
    net.run(5000);
    assert_eq!(net.members[&follower].digest(), net.members[&other].digest());
    assert_eq!(value(&net.ask(follower, get("/k1", true))), "99");
}

#[test]
fn members_come_and_go() {
    let mut net = Net::new(1, 7);
    net.run(100);
    assert_eq!(net.say(1, put("/a", "1")), "ok");
    let add = |n| Request::MemberAdd { peer_url: url(n), is_learner: n == 3 };
    // The first alone is a majority of one; of two it is not.
    assert_eq!(net.say(1, add(2)), "ok");
    assert_eq!(net.say(1, add(2)), "etcdserver: Peer URLs already exists");
    net.start(2, 2, true);
    net.run(5000);
    assert_eq!(value(&net.ask(2, get("/a", false))), "1");
    assert_eq!(net.say(1, add(3)), "ok");
    assert_eq!(
        net.say(1, Request::MemberAdd { peer_url: url(4), is_learner: true }),
        "etcdserver: too many learner members in cluster"
    );
    net.start(3, 3, true);
    net.run(5000);
    let mut all = names(&net.ask(2, Request::MemberList));
    all.sort();
    assert_eq!(all, ["m1", "m2", "m3 (learner)"]);
    assert_eq!(value(&net.ask(3, get("/a", false))), "etcdserver: rpc not supported for learner");
    assert_eq!(value(&net.ask(3, get("/a", true))), "1");
    let (leader, learner) = (net.leader().unwrap(), net.id(3));
    assert_eq!(net.say(leader, Request::MemberPromote { id: learner }), "ok");
    assert_eq!(net.say(leader, Request::MemberPromote { id: learner }), "etcdserver: can only promote a learner member");
    net.run(1000);
    assert_eq!(value(&net.ask(3, get("/a", false))), "1");
    let target = net.id(3);
    assert_eq!(net.say(leader % 3 + 1, Request::MoveLeader { target }), "etcdserver: not leader");
    assert_eq!(net.say(leader, Request::MoveLeader { target }), "ok");
    assert_eq!(net.leader(), Some(3));
    let id = net.id(1);
    assert_eq!(net.say(3, Request::MemberRemove { id }), "ok");
    net.run(2000);
    assert_eq!(net.members[&1].fatal(), Some("the member has been permanently removed from the cluster"));
    assert_eq!(net.say(3, Request::MemberRemove { id }), "etcdserver: member not found");
    assert_eq!(net.say(2, put("/a", "2")), "ok");
}

#[test]
fn a_full_database_takes_no_more_until_it_is_compacted_and_disarmed() {
    let mut net = Net::new(1, 8);
    let quota = MemberConfig { quota: 20_000, ..net.config(1, 1, false) };
    net.members.insert(1, Member::with(quota, None, Map::default()));
    net.run(100);
    let mut refused = String::new();
    for n in 0..200 {
        refused = net.say(1, put("/a", &format!("{n:0100}")));
        if refused != "ok" {
            break;
        }
    }
    assert_eq!(refused, "etcdserver: mvcc: database space exceeded");
    let Response::Alarm(alarms) = net.ask(1, Request::Alarm) else { panic!() };
    assert_eq!(&*alarms[0].alarm, "NOSPACE");
    let revision = net.members[&1].revision();
    assert_eq!(net.say(1, Request::Compact { revision }), "ok");
    assert_eq!(net.say(1, Request::Defragment), "ok");
    assert_eq!(net.say(1, Request::AlarmDisarm), "ok");
    assert_eq!(net.say(1, put("/a", "small")), "ok");
}

#[test]
fn a_backup_begins_a_new_cluster() {
    let mut net = Net::new(3, 9);
    net.run(4000);
    net.say(1, put("/a", "kept"));
    let Response::Snapshot(file) = net.ask(1, Request::Snapshot) else { panic!() };
    let revision = net.members[&1].revision();
    net.say(1, put("/a", "later"));
    let status = crate::backup::status(&file).unwrap();
    assert_eq!((status.revision, status.total_keys, status.total_size % 512), (revision, 1, 0));
    assert!(crate::backup::status(b"not a database").is_none());
    let mut torn = file.to_vec();
    torn.truncate(120);
    assert!(crate::backup::read(&torn).is_none());
    (1..=3).for_each(|i| net.stop(i));
    for i in 1..=3 {
        let state = crate::backup::read(&file).expect("it is whole");
        net.disks.insert(i, DataDir::begin(&net.config(i, 3, false), state));
        net.start(i, 3, false);
    }
    net.run(5000);
    assert_eq!(value(&net.ask(2, get("/a", false))), "kept");
    assert_eq!(net.say(3, put("/a", "goes on")), "ok");
    assert_eq!(net.members[&3].revision(), revision + 1);
}
