//! Scripts of requests against one priority level, and a server that throttles one user and nobody else.

use std::collections::VecDeque;
use std::rc::Rc;

use apimachinery::{Credential, Object, Request, UserInfo, Value, json, resources, value};
use base::{Duration, Time};
use expect_test::expect;
use sim::{Addr, MsgId};

use super::state::{Entry, Parked, Reason, State, Ticket};
use super::{flow_schemas, priority_levels};
use crate::tests::pump::World;

fn object(v: Value) -> Object {
    Object::from_value(v).unwrap()
}

/// A schema for all users, and its level.
fn level(spec: Value) -> (Object, Object) {
    let schema = value!({
        "kind": "FlowSchema", "metadata": {"name": "s"},
        "spec": {
            "matchingPrecedence": 100, "priorityLevelConfiguration": {"name": "l"}, "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "Group", "group": {"name": "*"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}]
            }]
        }
    });
    let level = value!({"kind": "PriorityLevelConfiguration", "metadata": {"name": "l"}, "spec": spec});
    (object(schema), object(level))
}

struct Script {
    state: State,
    now: Time,
    executing: VecDeque<(String, Ticket)>,
    next: u64,
    out: String,
}

impl Script {
    fn new(total: i64, spec: Value) -> Script {
        let (schema, level) = level(spec);
        let mut state = State::new(total);
        state.configure([&schema].into_iter(), [&level].into_iter());
        Script { state, now: Time::from_secs(1_000), executing: VecDeque::new(), next: 0, out: String::new() }
    }

    /// `a*3`: three requests of flow a come; `a:2`: one of two seats; `done`, `done*2`: the oldest in execution are answered;
    /// `+5ms`: time passes. What has a seat is told after each word.
    fn run(mut self, words: &str) -> String {
        for word in words.split_whitespace() {
            if let Some(ms) = word.strip_prefix('+') {
                self.now += Duration::from_millis(ms.trim_end_matches("ms").parse().unwrap());
                let late = self.state.overdue(self.now).len();
                let told = if late > 0 { format!("{late} waited too long") } else { String::new() };
                self.tell(word, &told);
                continue;
            }
            let (what, times) = word.split_once('*').unwrap_or((word, "1"));
            let mut told = Vec::new();
            for _ in 0..times.parse().unwrap() {
                match what {
                    "done" => {
                        let (_, ticket) = self.executing.pop_front().unwrap();
                        self.state.done(ticket, false, self.now);
                    }
                    _ => told.push(self.arrive(what)),
                }
                while let Some((parked, ticket, _)) = self.state.next(self.now) {
                    told.push(format!("{} begins", parked.flow));
                    self.executing.push_back((parked.flow.to_string(), ticket));
                }
            }
            told.retain(|t| !t.is_empty());
            self.tell(word, &told.join(", "));
        }
        self.out
    }

    fn arrive(&mut self, what: &str) -> String {
        let (flow, seats) = what.split_once(':').unwrap_or((what, "1"));
        let known = self.state.known.iter().position(|k| &*k.schema.name == "s").unwrap();
        self.next += 1;
        let parked = Parked {
            msg: MsgId(self.next),
            client: Addr(9),
            stream: self.next,
            request: Rc::new(Request::list(resources::pods(), "")),
            user: Rc::new(UserInfo::new(flow, &[])),
            schema: known as u32,
            level: self.state.known[known].level,
            flow: flow.into(),
        };
        match self.state.enter(parked, seats.parse().unwrap(), self.now) {
            Entry::Passes(ticket) => {
                self.executing.push_back((flow.into(), ticket));
                String::new()
            }
            Entry::Waits => String::new(),
            Entry::Refused => {
                format!("{flow} refused: {}", self.state.recent().back().map_or("", |r| r.reason.as_str()))
            }
        }
    }

    fn tell(&mut self, word: &str, told: &str) {
        let executing: Vec<&str> = self.executing.iter().map(|(f, _)| f.as_str()).collect();
        let line = format!("{word:<8} [{}] {} wait  {told}", executing.join(" "), self.state.waiting());
        self.out += line.trim_end();
        self.out.push('\n');
    }
}

fn limited(queues: i64, hand: i64, length: i64) -> Value {
    value!({"type": "Limited", "limited": {
        "nominalConcurrencyShares": 95, "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": length}}
    }})
}

#[test]
fn without_a_queue_who_finds_no_seat_is_refused() {
    let spec = value!({"type": "Limited", "limited": {"nominalConcurrencyShares": 95, "limitResponse": {"type": "Reject"}}});
    expect![[r#"
        a        [a] 0 wait
        b        [a b] 0 wait
        a        [a b] 0 wait  a refused: concurrency-limit
        done     [b] 0 wait
        c        [b c] 0 wait
        done*2   [] 0 wait
    "#]]
    .assert_eq(&Script::new(2, spec).run("a b a done c done*2"));
}

/// A flood of one flow; another flow's single request is served as soon as a seat is free.
#[test]
fn queues_take_turns() {
    expect![[r#"
        flood*6  [flood flood] 4 wait
        +1ms     [flood flood] 4 wait
        calm     [flood flood] 5 wait
        +1ms     [flood flood] 5 wait
        done     [flood flood] 4 wait  flood begins
        done     [flood calm] 3 wait  calm begins
        done     [calm flood] 2 wait  flood begins
        done     [flood flood] 1 wait  flood begins
        done     [flood flood] 0 wait  flood begins
        done     [flood] 0 wait
        done     [] 0 wait
    "#]]
    .assert_eq(&Script::new(2, limited(64, 1, 50)).run("flood*6 +1ms calm +1ms done done done done done done done"));
}

/// A flow that takes longer has its turn later.
#[test]
fn what_was_used_counts() {
    expect![[r#"
        x        [x] 0 wait
        slow*4   [x] 4 wait
        quick*4  [x] 8 wait
        done     [slow] 7 wait  slow begins
        +50ms    [slow] 7 wait
        done     [quick] 6 wait  quick begins
        +1ms     [quick] 6 wait
        done     [quick] 5 wait  quick begins
        +1ms     [quick] 5 wait
        done     [quick] 4 wait  quick begins
        +1ms     [quick] 4 wait
        done     [quick] 3 wait  quick begins
        +1ms     [quick] 3 wait
        done     [slow] 2 wait  slow begins
        done     [slow] 1 wait  slow begins
        done     [slow] 0 wait  slow begins
    "#]]
    .assert_eq(
        &Script::new(1, limited(64, 1, 50))
            .run("x slow*4 quick*4 done +50ms done +1ms done +1ms done +1ms done +1ms done done done"),
    );
}

#[test]
fn a_full_queue_refuses_and_a_long_wait_ends() {
    expect![[r#"
        a*4      [a] 2 wait  a refused: queue-full
        +14999ms [a] 2 wait
        b        [a] 2 wait  b refused: queue-full
        +1ms     [a] 0 wait  2 waited too long
        b        [a] 1 wait
        +15000ms [a] 0 wait  1 waited too long
        done     [] 0 wait
    "#]]
    .assert_eq(&Script::new(1, limited(1, 1, 2)).run("a*4 +14999ms b +1ms b +15000ms done"));
}

/// A request wider than what is free keeps those behind it waiting; one wider than the level runs alone.
#[test]
fn wide_requests() {
    expect![[r#"
        a*18     [a a a a a a a a a a a a a a a a a a] 0 wait
        w:9      [a a a a a a a a a a a a a a a a a a] 1 wait
        a        [a a a a a a a a a a a a a a a a a a] 2 wait
        done     [a a a a a a a a a a a a a a a a a] 2 wait
        done     [a a a a a a a a a a a a a a a a w] 1 wait  w begins
        a:99     [a a a a a a a a a a a a a a a a w] 2 wait
        done*18  [a] 0 wait  a begins, a begins
    "#]]
    .assert_eq(&Script::new(20, limited(1, 1, 50)).run("a*18 w:9 a done done a:99 done*18"));
}

/// No seat at all: a jail.
#[test]
fn a_level_without_shares_holds_everything() {
    let mut spec = limited(1, 1, 1);
    spec.set_at(&["limited", "nominalConcurrencyShares"], 0);
    expect![[r#"
        a        [] 1 wait
        a        [] 1 wait  a refused: queue-full
        +15000ms [] 0 wait  1 waited too long
    "#]]
    .assert_eq(&Script::new(600, spec).run("a a +15000ms"));
}

/// The hands of two flows differ, so one that floods its queues doesn't fill the other's.
#[test]
fn a_flood_fills_its_own_queues_only() {
    let mut script = Script::new(1, limited(64, 2, 5));
    let flood = |script: &mut Script, flow: &str, n: usize| (0..n).filter(|_| script.arrive(flow).is_empty()).count();
    let first = flood(&mut script, "flood", 100);
    let other = flood(&mut script, "calm", 10);
    // One executes, two queues of five hold; the other flow's two queues are empty still.
    assert_eq!((first, other), (11, 10));
    assert_eq!(script.state.known.iter().find(|k| &*k.schema.name == "s").unwrap().tally.refused[Reason::QueueFull as usize], 89);
}

/// Idle levels lend what they can, after a period in which somebody had to wait, and get it back.
#[test]
fn seats_are_borrowed_and_given_back() {
    let spec = |lendable: i64| {
        value!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": 10, "lendablePercent": lendable,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 4, "handSize": 1, "queueLengthLimit": 500}}
        }})
    };
    let (schema, busy) = level(spec(0));
    let idle = object(value!({"kind": "PriorityLevelConfiguration", "metadata": {"name": "idle"}, "spec": (spec(60))}));
    let mut state = State::new(25);
    state.configure([&schema].into_iter(), [&busy, &idle].into_iter());
    let mut script = Script { state, now: Time::from_secs(1_000), executing: VecDeque::new(), next: 0, out: String::new() };
    let seats = |s: &State| {
        s.levels.iter().filter(|l| !l.spec.exempt).map(|l| format!("{} {}", l.name, l.current)).collect::<Vec<_>>().join(", ")
    };
    let mut told = vec![seats(&script.state)];
    script.state.measure(script.now);
    (0..100).for_each(|_| drop(script.arrive("a")));
    script.now += Duration::from_secs(10);
    assert!(script.state.share_out(script.now));
    told.push(seats(&script.state));
    script.state.cancel(Addr(9), None, script.now);
    script.executing.drain(..).for_each(|(_, ticket)| {
        script.state.done(ticket, false, script.now);
    });
    script.now += Duration::from_secs(10);
    assert!(script.state.share_out(script.now));
    script.now += Duration::from_secs(10);
    assert!(!script.state.share_out(script.now));
    told.push(seats(&script.state));
    expect![[r#"
        l 10, idle 10, catch-all 5
        l 16, idle 4, catch-all 5
        l 10, idle 10, catch-all 5"#]]
    .assert_eq(&told.join("\n"));
}

fn request(user: &Rc<UserInfo>, n: u64) -> Request {
    let map = object(value!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": (format!("{}-{n}", user.name)), "namespace": "default"}
    }));
    Request { credential: Credential::Certificate(user.clone()), ..Request::create(resources::configmaps(), map) }
}

/// A level of one seat and one short queue, a schema that leads eve to it.
fn throttle(world: &mut World) {
    let level = value!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration", "metadata": {"name": "narrow"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 3}}
        }}
    });
    let schema = value!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "eve"},
        "spec": {
            "matchingPrecedence": 500, "priorityLevelConfiguration": {"name": "narrow"}, "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": "eve"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}]
            }]
        }
    });
    let answer = world.ask_admin(Request::create(flow_schemas(), object(schema)));
    assert_eq!(answer.code, 201, "{}", answer.message());
    world.run(Duration::from_secs(1));
    assert_eq!(
        dangling(world),
        "True NotFound: This FlowSchema references the PriorityLevelConfiguration object named \"narrow\" but there is no such object"
    );
    let answer = world.ask_admin(Request::create(priority_levels(), object(level)));
    assert_eq!(answer.code, 201, "{}", answer.message());
    world.run(Duration::from_secs(1));
    assert_eq!(
        dangling(world),
        "False Found: This FlowSchema references the PriorityLevelConfiguration object named \"narrow\" and it exists"
    );
}

fn dangling(world: &mut World) -> String {
    let key = apimachinery::ObjectKey::new("", "eve");
    let answer = world.ask_admin(Request::get(flow_schemas(), &key));
    let conditions = answer.ok().unwrap().list_at(&["status", "conditions"]);
    let text = |field: &str| conditions[0].str_at(&[field]).unwrap_or("");
    format!("{} {}: {}", text("status"), text("reason"), text("message"))
}

#[test]
fn one_is_throttled_and_nobody_else() {
    let mut world = World::new();
    world.namespace("default");
    let may = object(value!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "all"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]
    }));
    assert_eq!(world.ask_admin(Request::create(resources::clusterrolebindings(), may)).code, 201);
    throttle(&mut world);
    let users = ["eve", "bob"].map(|u| Rc::new(UserInfo::new(u, &[])));
    let ids: Vec<_> = (0..6).flat_map(|n| users.each_ref().map(|u| (u.name.clone(), world.send(request(u, n))))).collect();
    world.run(Duration::from_secs(1));
    let answered = |world: &World, who: &str| {
        let codes = ids.iter().filter(|(u, _)| **u == *who).filter_map(|(_, id)| world.answers.get(id)).map(|r| r.code);
        codes.collect::<Vec<u16>>()
    };
    // Three of eve's wait, for there is no seat; the others don't fit into the queue.
    assert_eq!(answered(&world, "bob"), [201; 6]);
    assert_eq!(answered(&world, "eve"), [429; 3]);
    let now = world.queue.now();
    let culprits = world.api.throttled(now);
    assert_eq!(
        culprits.iter().map(|c| (&*c.user.name, &*c.level, c.waited, c.refused)).collect::<Vec<_>>(),
        [("eve", "narrow", 3, 3)]
    );

    let metrics = world.ask_admin(Request::get_path("/metrics"));
    let apimachinery::ResponseBody::Text(_, text) = &metrics.body else { panic!("no text") };
    let of_eve: Vec<&str> = text.lines().filter(|l| l.contains("\"eve\"") && !l.contains("_bucket")).collect();
    expect![[r#"
        apiserver_flowcontrol_current_executing_requests{flow_schema="eve",priority_level="narrow"} 0
        apiserver_flowcontrol_current_executing_seats{flow_schema="eve",priority_level="narrow"} 0
        apiserver_flowcontrol_current_inqueue_requests{flow_schema="eve",priority_level="narrow"} 3
        apiserver_flowcontrol_current_inqueue_seats{flow_schema="eve",priority_level="narrow"} 3
        apiserver_flowcontrol_dispatched_requests_total{flow_schema="eve",priority_level="narrow"} 0
        apiserver_flowcontrol_rejected_requests_total{flow_schema="eve",priority_level="narrow",reason="queue-full"} 3
        apiserver_flowcontrol_request_wait_duration_seconds_sum{execute="false",flow_schema="eve",priority_level="narrow"} 0
        apiserver_flowcontrol_request_wait_duration_seconds_count{execute="false",flow_schema="eve",priority_level="narrow"} 3
        apiserver_flowcontrol_request_queue_length_after_enqueue_sum{flow_schema="eve",priority_level="narrow"} 6
        apiserver_flowcontrol_request_queue_length_after_enqueue_count{flow_schema="eve",priority_level="narrow"} 3
        apiserver_flowcontrol_work_estimated_seats_sum{flow_schema="eve",priority_level="narrow"} 0
        apiserver_flowcontrol_work_estimated_seats_count{flow_schema="eve",priority_level="narrow"} 0"#]]
    .assert_eq(&of_eve.join("\n"));
    let dump = world.ask_admin(Request::get_path("/debug/api_priority_and_fairness/dump_requests"));
    let apimachinery::ResponseBody::Text(_, text) = &dump.body else { panic!("no text") };
    assert_eq!(text.lines().count(), 4, "{text}");
    let dump = world.ask_admin(Request::get_path("/debug/api_priority_and_fairness/dump_priority_levels"));
    let apimachinery::ResponseBody::Text(_, text) = &dump.body else { panic!("no text") };
    let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("PriorityLevelName") || l.starts_with("narrow")).collect();
    expect![[r#"
        PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing, WaitingRequests, ExecutingRequests, DispatchedRequests, RejectedRequests, TimedoutRequests, CancelledRequests
        narrow,            1,            false,  false,       3,               0,                 0,                  3,                0,                0"#]].assert_eq(&lines.join("\n"));

    // A share: those who wait go on.
    let patch = value!({"spec": {"limited": {"nominalConcurrencyShares": 1}}});
    let key = apimachinery::ObjectKey::new("", "narrow");
    world.ask_admin(Request::patch(priority_levels(), &key, apimachinery::PatchType::Merge, patch));
    world.run(Duration::from_secs(1));
    assert_eq!(answered(&world, "eve").iter().filter(|c| **c == 201).count(), 3);
    // Without one again, who waits for a quarter of a minute is refused.
    let patch = value!({"spec": {"limited": {"nominalConcurrencyShares": 0}}});
    world.ask_admin(Request::patch(priority_levels(), &key, apimachinery::PatchType::Merge, patch));
    world.run(Duration::from_secs(1));
    let late = world.send(request(&users[0], 100));
    world.run(Duration::from_secs(14));
    assert!(!world.answers.contains_key(&late));
    world.run(Duration::from_secs(2));
    assert_eq!(json::to_string(&Value::from(i64::from(world.answers[&late].code))), "429");
}

/// As long as few ask, nobody is told apart; a crowd is, with those who are under way already.
#[test]
fn a_crowd_is_told_apart_and_all_seats_come_back() {
    let mut world = World::new();
    world.namespace("default");
    assert!(world.api.priority_levels().is_empty());
    let admin = Rc::new(UserInfo::new("kubernetes-admin", &["system:masters"]));
    for n in 0..100 {
        world.send(request(&admin, n));
    }
    world.run(Duration::from_secs(5));
    assert!(world.answers.values().all(|r| r.code == 201), "{:?}", world.answers.values().map(|r| r.code).collect::<Vec<_>>());
    let levels = world.api.priority_levels();
    let exempt = levels.iter().find(|l| l.exempt).unwrap();
    assert_eq!((exempt.in_use, exempt.waiting, exempt.executed), (0, 0, 100));
    assert!(levels.iter().all(|l| l.in_use == 0));
}
