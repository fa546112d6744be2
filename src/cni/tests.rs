//! What policies mean, driven by hand: the watches' answers are written here, and the kernel's verdicts are asked for.

use std::rc::Rc;

use apimachinery::{Credential, Object, Response, ResponseBody, Value, WatchEvent, WatchEventType, value, yaml};
use base::{Seed, Time};
use client_go::{ClientConfig, Delta};
use cri_api::policy::{Attempt, Direction, Policies, Verdict};
use sim::{Addr, MsgId, Outbox, Payload, StreamId};

use crate::enforcer::Enforcer;

/// An agent of `node-1`, the kernel that it writes, and its open watches: on pods, on namespaces.
struct World {
    enforcer: Enforcer,
    kernel: Policies,
    watches: Vec<StreamId>,
}

fn object(text: &str) -> Object {
    let documents = yaml::parse_all(text).unwrap();
    Object::from_value(documents.into_iter().next().unwrap().1.value).unwrap()
}

fn policy(name: &str, spec: &str) -> Object {
    object(&format!("{{kind: NetworkPolicy, metadata: {{namespace: default, name: {name}}}, spec: {spec}}}"))
}

fn pod(namespace: &str, name: &str, labels: &str, node: &str, ip: &str) -> Object {
    let ports = "[{name: http, containerPort: 8080}]";
    object(&format!(
        "{{kind: Pod, metadata: {{namespace: {namespace}, name: {name}, labels: {labels}}}, spec: {{nodeName: {node}, \
         containers: [{{name: c, ports: {ports}}}]}}, status: {{podIPs: [{{ip: {ip}}}]}}}}"
    ))
}

fn namespace(name: &str, labels: &str) -> Object {
    object(&format!("{{kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}"))
}

impl World {
    fn new() -> World {
        let config =
            ClientConfig { apiserver: Addr(1), credential: Credential::default(), user_agent: "test".into(), qps: 0, burst: 0 };
        World { enforcer: Enforcer::new("node-1", config, Seed(1)), kernel: Policies::default(), watches: Vec::new() }
    }

    fn policy(&mut self, old: Option<Object>, new: Option<Object>) -> usize {
        let mut out = Outbox::new(Addr(2), MsgId(1), Time::EPOCH);
        let updates = self.enforcer.policy_changed(&Delta { old, new, initial: false }, &mut out);
        self.kernel.update(&updates);
        for sent in out.take() {
            if let Payload::ApiRequest { id, .. } = sent.payload {
                self.watches.push(id);
            }
        }
        updates.len()
    }

    fn tell(&mut self, payload: &Payload) -> usize {
        let mut out = Outbox::new(Addr(2), MsgId(1), Time::EPOCH);
        let updates = self.enforcer.handle(payload, &mut out).expect("it is for the watches");
        self.kernel.update(&updates);
        updates.len()
    }

    /// The watches begin with these objects.
    fn fill(&mut self, pods: Vec<Object>, namespaces: Vec<Object>) {
        let end = value!({"kind": "Bookmark", "metadata": {
            "resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}
        }});
        for (id, objects) in self.watches.clone().into_iter().zip([pods, namespaces]) {
            let response = Response { code: 200, warnings: Vec::new(), body: ResponseBody::WatchStarted };
            self.tell(&Payload::ApiResponse { id, response: Rc::new(response) });
            let event = |kind, object| WatchEvent { kind, object, cause: 0 };
            let mut events: Vec<WatchEvent> = objects.into_iter().map(|o| event(WatchEventType::Added, o)).collect();
            events.push(event(WatchEventType::Bookmark, Object::from_value(end.clone()).unwrap()));
            self.tell(&Payload::WatchEvents { id, events: Rc::new(events) });
        }
    }

    /// One event of the pods' watch (0) or of the namespaces' (1). Returns how many changes the kernel got.
    fn event(&mut self, watch: usize, kind: WatchEventType, object: Object) -> usize {
        let events = Rc::new(vec![WatchEvent { kind, object, cause: 0 }]);
        self.tell(&Payload::WatchEvents { id: self.watches[watch], events })
    }

    fn may_enter(&self, pod: &str, from: &str, called: (&str, u16)) -> bool {
        let attempt = Attempt { peer: from.parse().unwrap(), called: (called.0.parse().unwrap(), called.1), protocol: "TCP" };
        !matches!(self.kernel.verdict(Direction::Ingress, pod, &attempt), Verdict::Dropped(_))
    }

    fn may_call(&self, pod: &str, called: (&str, u16)) -> bool {
        let peer = called.0.parse().unwrap();
        let attempt = Attempt { peer, called: (peer, called.1), protocol: "TCP" };
        !matches!(self.kernel.verdict(Direction::Egress, pod, &attempt), Verdict::Dropped(_))
    }
}

fn three_pods() -> Vec<Object> {
    vec![
        pod("default", "web", "{app: web}", "node-1", "10.244.1.2"),
        pod("default", "friend", "{role: friend}", "node-2", "10.244.2.2"),
        pod("blue", "caller", "{role: friend}", "node-2", "10.244.2.3"),
    ]
}

fn both_namespaces() -> Vec<Object> {
    vec![namespace("default", "{}"), namespace("blue", "{team: blue}")]
}

const WEB: (&str, u16) = ("10.244.1.2", 8080);

#[test]
fn nothing_is_watched_before_the_first_policy() {
    let mut world = World::new();
    assert!(world.watches.is_empty());
    world.policy(None, Some(policy("deny", "{podSelector: {}, policyTypes: [Ingress]}")));
    assert_eq!(world.watches.len(), 2);
    world.fill(three_pods(), both_namespaces());
    assert!(!world.may_enter("default/web", "10.244.2.2", WEB));
    assert!(world.may_call("default/web", ("10.244.2.2", 8080)));
    // A pod of another node is that node's business, a pod of another namespace nobody's.
    assert_eq!(world.kernel.pods().count(), 1);
    world.policy(Some(policy("deny", "{podSelector: {}, policyTypes: [Ingress]}")), None);
    assert!(world.may_enter("default/web", "10.244.2.2", WEB));
    assert!(world.kernel.is_empty() && world.kernel.rules().count() == 0);
}

#[test]
fn selectors_are_sets_that_follow_labels() {
    let mut world = World::new();
    let spec = "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}], \
                ports: [{port: http}]}]}";
    world.policy(None, Some(policy("friends", spec)));
    world.fill(three_pods(), both_namespaces());
    assert!(world.may_enter("default/web", "10.244.2.2", WEB));
    assert!(!world.may_enter("default/web", "10.244.2.2", ("10.244.1.2", 80)), "not the port of that name");
    assert!(!world.may_enter("default/web", "10.244.2.3", WEB), "of another namespace");
    // One label changes one set, and a pod that nobody speaks of none.
    assert_eq!(world.event(0, WatchEventType::Modified, pod("default", "friend", "{}", "node-2", "10.244.2.2")), 1);
    assert!(!world.may_enter("default/web", "10.244.2.2", WEB));
    assert_eq!(world.event(0, WatchEventType::Added, pod("other", "x", "{}", "node-2", "10.244.2.9")), 1, "its named port");
    assert_eq!(world.event(0, WatchEventType::Modified, pod("other", "x", "{a: b}", "node-2", "10.244.2.9")), 0);
}

#[test]
fn a_namespace_brings_its_pods() {
    let mut world = World::new();
    let spec = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]}";
    world.policy(None, Some(policy("blue", spec)));
    world.fill(three_pods(), both_namespaces());
    assert!(world.may_enter("default/web", "10.244.2.3", WEB));
    world.event(1, WatchEventType::Modified, namespace("blue", "{team: red}"));
    assert!(!world.may_enter("default/web", "10.244.2.3", WEB));
    world.event(1, WatchEventType::Modified, namespace("blue", "{team: blue}"));
    assert!(world.may_enter("default/web", "10.244.2.3", WEB));
    world.event(0, WatchEventType::Deleted, pod("blue", "caller", "{role: friend}", "node-2", "10.244.2.3"));
    assert!(!world.may_enter("default/web", "10.244.2.3", WEB));
}

#[test]
fn an_address_may_have_a_new_pod_before_the_old_one_is_gone() {
    let mut world = World::new();
    let spec = "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}";
    world.policy(None, Some(policy("own", spec)));
    world.fill(three_pods(), both_namespaces());
    world.event(0, WatchEventType::Added, pod("default", "heir", "{}", "node-2", "10.244.2.2"));
    world.event(0, WatchEventType::Deleted, pod("default", "friend", "{role: friend}", "node-2", "10.244.2.2"));
    assert!(world.may_enter("default/web", "10.244.2.2", WEB));
    world.event(0, WatchEventType::Deleted, pod("default", "heir", "{}", "node-2", "10.244.2.2"));
    assert!(!world.may_enter("default/web", "10.244.2.2", WEB));
}

#[test]
fn blocks_ranges_of_ports_and_types() {
    let mut world = World::new();
    let block = "{to: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.2.0/24]}}], ports: [{port: 8000, endPort: 9000}]}";
    world.policy(None, Some(policy("out", &format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{block}]}}"))));
    world.fill(three_pods(), both_namespaces());
    for (called, passes) in [
        (("10.244.3.1", 8000), true),
        (("10.244.3.1", 9000), true),
        (("10.244.3.1", 9001), false),
        (("10.244.2.2", 8000), false),
        (("10.96.0.1", 8000), false),
    ] {
        assert_eq!(world.may_call("default/web", called), passes, "{called:?}");
    }
    assert!(world.may_enter("default/web", "10.244.2.2", WEB), "nobody speaks of ingress");
    // An ended pod, and one on the node's own network, are not isolated.
    let mut ended = pod("default", "web", "{app: web}", "node-1", "10.244.1.2");
    ended.set_at(&["status", "phase"], "Succeeded");
    world.event(0, WatchEventType::Modified, ended);
    assert!(world.kernel.is_empty());
    let mut hosted = pod("default", "hosted", "{}", "node-1", "172.18.0.3");
    hosted.set_at(&["spec", "hostNetwork"], Value::from(true));
    assert_eq!(world.event(0, WatchEventType::Added, hosted), 0);
}
