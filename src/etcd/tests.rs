//! The member as a client sees it.

mod cluster;
mod faults;

use std::rc::Rc;

use apimachinery::{Object, value};
use base::{Duration, Time};
use etcd_api::{
    Compare, CompareResult, Key, KeyRange, Message, Op, RangeRequest, Request, Response, Stored, Target, TxnRequest, WatchRequest,
};
use sim::{Addr, MsgId, Outbox, Payload};

use crate::Member;

const ME: Addr = Addr(1);
const CLIENT: Addr = Addr(2);

struct World {
    member: Member,
    now: Time,
    timers: Vec<(Time, u64)>,
}

impl World {
    fn new() -> World {
        let mut world = World { member: Member::new("etcd-0"), now: Time::from_secs(1000), timers: Vec::new() };
        world.handle(Payload::Start);
        world
    }
    fn handle(&mut self, payload: Payload) -> Vec<String> {
        let message = sim::Message { id: MsgId(9), cause: MsgId(7), from: CLIENT, to: ME, sent: self.now, payload };
        let mut out = Outbox::new(ME, message.id, self.now);
        self.member.handle(self.now, message, &mut out);
        let mut said = Vec::new();
        for o in out.take() {
            match o.payload {
                Payload::Timer(token) => self.timers.push((self.now + o.delay, token)),
                Payload::Etcd(m) => said.push(show(&m)),
                other => panic!("{other:?}"),
            }
        }
        said
    }
    fn ask(&mut self, request: Request) -> Vec<String> {
        self.handle(Payload::Etcd(Message::Request { id: 1, request: Rc::new(request) }))
    }
    fn put(&mut self, key: &str, n: i64, lease: i64) -> Vec<String> {
        let op = Op::Put { key: key.into(), value: number(n), lease };
        self.ask(Request::Txn(TxnRequest { success: vec![op], ..TxnRequest::default() }))
    }
    fn advance(&mut self, s: i64) -> Vec<String> {
        self.now += Duration::from_secs(s);
        let due: Vec<_> = self.timers.extract_if(.., |(at, _)| *at <= self.now).collect();
        due.into_iter().flat_map(|(_, token)| self.handle(Payload::Timer(token))).collect()
    }
}

fn number(n: i64) -> Stored {
    Stored::Object(Object::from_value(value!({"n": n})).unwrap())
}

fn show(message: &Message) -> String {
    let kv = |kv: &Rc<etcd_api::KeyValue>| match &kv.value {
        Stored::Object(o) => format!("{}={}@{}", kv.key, o.int_at(&["n"]).unwrap(), kv.mod_revision),
        Stored::Bytes(_) => format!("{}=bytes", kv.key),
    };
    match message {
        Message::Response { response, revision, .. } => match &**response {
            Response::Range(r) => format!("{} more={} n={}", r.kvs.iter().map(kv).collect::<Vec<_>>().join(" "), r.more, r.count),
            Response::Txn { succeeded, .. } => format!("txn {succeeded} r{revision}"),
            Response::Error(e) => e.text().to_string(),
            other => format!("{other:?}"),
        },
        Message::WatchEvents { after, revision, events, .. } => {
            let text = |e: &etcd_api::Event| {
                let prev = e.prev_kv.as_ref().map_or(String::new(), |p| format!(" was {}", kv(p)));
                e.kv.as_ref().map_or_else(|| format!("-{}@{}", e.key, e.mod_revision), kv) + &prev
            };
            format!("{after}..{revision}: {}", events.iter().map(text).collect::<Vec<_>>().join(", "))
        }
        Message::WatchCanceled { compact_revision, .. } => format!("canceled, compacted {compact_revision}"),
        other => format!("{other:?}"),
    }
}

fn range(prefix: &str, revision: i64, limit: i64) -> Request {
    let range = KeyRange::prefix(prefix);
    Request::Range(RangeRequest { range, revision, limit, count_only: false, keys_only: false, serializable: false })
}

fn watch(start_revision: i64) -> Request {
    let range = KeyRange::prefix("/registry/pods/");
    Request::Watch(WatchRequest { watch_id: 5, range, start_revision, prev_kv: true, progress_notify: false })
}

#[test]
fn revisions_stay_readable_until_they_are_compacted() {
    let mut w = World::new();
    for n in 1..=3 {
        w.put("/registry/pods/a", n, 0);
    }
    w.put("/registry/pods/b", 9, 0);
    let delete = Op::DeleteRange(KeyRange::one("/registry/pods/a".into()));
    w.ask(Request::Txn(TxnRequest { success: vec![delete], ..TxnRequest::default() }));
    assert_eq!(w.ask(range("/registry/pods/", 0, 0)), ["/registry/pods/b=9@5 more=false n=1"]);
    assert_eq!(w.ask(range("/registry/pods/", 1, 0)), [" more=false n=0"]);
    assert_eq!(w.ask(range("/registry/pods/", 3, 0)), ["/registry/pods/a=2@3 more=false n=1"]);
    assert_eq!(w.ask(range("/registry/pods/", 5, 1)), ["/registry/pods/a=3@4 more=true n=2"]);
    let log = w.member.store().log().len();
    w.ask(Request::Compact { revision: 5 });
    assert_eq!(w.member.store().log().len(), log - 3);
    assert_eq!(w.ask(range("/registry/pods/", 5, 0)), ["/registry/pods/a=3@4 /registry/pods/b=9@5 more=false n=2"]);
    assert_eq!(w.ask(range("/registry/pods/", 4, 0)), ["etcdserver: mvcc: required revision has been compacted"]);
    assert_eq!(w.ask(range("/registry/pods/", 7, 0)), ["etcdserver: mvcc: required revision is a future revision"]);
    w.put("/registry/pods/c", 1, 0);
    w.ask(Request::Compact { revision: 7 });
    assert_eq!(w.ask(range("/registry/pods/", 7, 0)), ["/registry/pods/b=9@5 /registry/pods/c=1@7 more=false n=2"]);
}

#[test]
fn a_watch_gets_its_backlog_and_then_each_change_after_the_answer() {
    let mut w = World::new();
    w.put("/registry/pods/a", 1, 0);
    w.put("/registry/nodes/x", 1, 0);
    w.put("/registry/pods/a", 2, 0);
    assert_eq!(w.ask(watch(3))[1..], ["2..4: /registry/pods/a=2@4 was /registry/pods/a=1@2"]);
    assert_eq!(w.put("/registry/pods/a", 3, 0), ["txn true r5", "4..5: /registry/pods/a=3@5 was /registry/pods/a=2@4"]);
    assert_eq!(w.put("/registry/nodes/x", 2, 0), ["txn true r6"]);
    w.ask(Request::Compact { revision: 5 });
    assert_eq!(w.ask(watch(2))[1..], ["canceled, compacted 5"]);
}

#[test]
fn a_transaction_compares_first() {
    let mut w = World::new();
    w.put("/registry/pods/a", 1, 0);
    let mut swap = |revision, n| {
        let key: Key = "/registry/pods/a".into();
        let compare = Compare { key: key.clone(), result: CompareResult::Equal, target: Target::ModRevision(revision) };
        let success = vec![Op::Put { key, value: number(n), lease: 0 }];
        w.ask(Request::Txn(TxnRequest { compare: vec![compare], success, failure: Vec::new() }))
    };
    assert_eq!(swap(1, 2), ["txn false r2"]);
    assert_eq!(swap(2, 3), ["txn true r3"]);
}

#[test]
fn a_lease_takes_its_keys_along_unless_it_is_kept_alive() {
    let mut w = World::new();
    w.ask(watch(0));
    w.ask(Request::LeaseGrant { id: 8, ttl_s: 10 });
    w.put("/registry/pods/a", 1, 8);
    w.advance(6);
    w.ask(Request::LeaseKeepAlive { id: 8 });
    assert_eq!(w.advance(4), [""; 0]);
    assert_eq!(w.advance(6), ["2..3: -/registry/pods/a@3 was /registry/pods/a=1@2"]);
    assert_eq!(w.put("/registry/pods/b", 1, 8), ["etcdserver: requested lease not found"]);
}

#[test]
fn the_same_changes_give_the_same_digest() {
    let build = |last| {
        let mut w = World::new();
        w.put("/registry/pods/a", 1, 0);
        w.put("/registry/pods/a", last, 0);
        w.member.digest()
    };
    assert_eq!(build(2), build(2));
    assert_ne!(build(2), build(3));
}
