//! A manager against a kube-apiserver and a cloud that are played by hand: who is asked what, in which order.

use std::rc::Rc;

use apimachinery::{Body, Credential, Object, Request, Response, ResponseBody, Value, WatchEvent, WatchEventType, json, value};
use base::{Seed, Time};
use client_go::ClientConfig;
use expect_test::{Expect, expect};
use sim::{Addr, MsgId, Outbox, Payload};

use crate::{CloudControllerManager, Config};

const API: Addr = Addr(2);
const CLOUD: Addr = Addr(3);

struct Play {
    manager: CloudControllerManager,
    now: Time,
    /// Open watches: resource and stream.
    watches: Vec<(String, u64)>,
    log: Vec<String>,
    version: i64,
}

impl Play {
    fn begin() -> Play {
        let client =
            ClientConfig { apiserver: API, credential: Credential::Anonymous, user_agent: "ccm".into(), qps: 0, burst: 0 };
        let config = Config {
            client,
            cloud: CLOUD,
            hostname: "cp-1".into(),
            leader_elect: false,
            configure_cloud_routes: false,
            seed: Seed(1),
        };
        let manager = CloudControllerManager::new(config);
        let mut play = Play { manager, now: Time::from_secs(1000), watches: Vec::new(), log: Vec::new(), version: 10 };
        play.give(Payload::Start);
        for resource in ["nodes", "services"] {
            let mut end = Object::from_value(value!({"metadata": {"resourceVersion": "5"}})).unwrap();
            end.set_at(&["metadata", "annotations"], value!({"k8s.io/initial-events-end": "true"}));
            play.watched(resource, WatchEventType::Bookmark, end);
        }
        play.log.clear();
        play
    }

    fn give(&mut self, payload: Payload) {
        let mut out = Outbox::new(Addr(1), MsgId(1), self.now);
        self.manager.handle(&payload, &mut out);
        for sent in out.take() {
            if let Payload::ApiRequest { id, request } = &sent.payload {
                self.asked(sent.to, *id, request);
            }
        }
    }

    /// Notes a request and answers it.
    fn asked(&mut self, to: Addr, id: u64, request: &Request) {
        let verb = format!("{:?}", request.verb);
        if verb == "Watch" || verb == "List" {
            self.watches.push((request.gvr.resource.to_string(), id));
            let body = ResponseBody::WatchStarted;
            return self.give(Payload::ApiResponse { id, response: Rc::new(Response { code: 200, warnings: Vec::new(), body }) });
        }
        let body = match &request.body {
            Body::Patch(_, patch) => json::to_string(patch),
            Body::Bytes(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Body::Object(o) if o.kind() == "Event" => {
                format!("{} {}", o.str_at(&["reason"]).unwrap(), o.str_at(&["message"]).unwrap())
            }
            _ => String::new(),
        };
        let who = if to == CLOUD { "cloud" } else { "api" };
        self.log.push(format!("{who} {verb} {} {body}", request.url_path()));
        let (code, text) = match &*request.path {
            "/machines/gone" => (404, "there is no machine \"gone\"".to_string()),
            path if path.starts_with("/loadbalancers/") => (200, "{\"ip\": \"172.18.255.1\"}".to_string()),
            _ => (
                200,
                r#"{"id":"i-1","name":"node-1","type":"b1.4x8","zone":"a","region":"r","ip":"172.18.0.3","state":"running"}"#
                    .to_string(),
            ),
        };
        let body = ResponseBody::Text("application/json".into(), text.into());
        self.give(Payload::ApiResponse { id, response: Rc::new(Response { code, warnings: Vec::new(), body }) });
    }

    fn watched(&mut self, resource: &str, kind: WatchEventType, mut object: Object) {
        self.version += 1;
        object.set_at(&["metadata", "resourceVersion"], self.version.to_string());
        let id = self.watches.iter().find(|(r, _)| r == resource).unwrap().1;
        self.give(Payload::WatchEvents { id, events: Rc::new(vec![WatchEvent { kind, object, cause: 0 }]) });
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&std::mem::take(&mut self.log).join("\n"));
    }
}

fn node(name: &str, ready: &str, taints: Value) -> Object {
    let v = value!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": (format!("uid-{name}"))}, "spec": {"taints": taints},
        "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.3"}], "conditions": [{"type": "Ready", "status": ready}]}
    });
    Object::from_value(v).unwrap()
}

#[test]
fn a_waiting_node_gets_what_the_cloud_knows() {
    let mut play = Play::begin();
    let taint = value!([{"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}]);
    play.watched("nodes", WatchEventType::Added, node("node-1", "True", taint));
    play.check(expect![[r#"
        cloud GetPath /machines/node-1 
        api Update /api/v1/nodes/node-1 
        api Patch /api/v1/nodes/node-1/status {"status":{"addresses":[{"address":"172.18.0.3","type":"InternalIP"},{"address":"node-1.a.internal","type":"InternalDNS"},{"address":"node-1","type":"Hostname"}]}}
        api Create /api/v1/namespaces/default/events Synced Node synced successfully"#]]);
}

#[test]
fn a_node_without_a_machine_goes() {
    let mut play = Play::begin();
    play.watched("nodes", WatchEventType::Added, node("gone", "Unknown", value!([])));
    play.check(expect![""]);
    play.now = Time::from_secs(1006);
    play.give(Payload::Timer(1 << 48 | 1));
    play.check(expect![[r#"
        cloud GetPath /machines/gone 
        api Delete /api/v1/nodes/gone 
        api Create /api/v1/namespaces/default/events DeletingNode Deleting node gone because it does not exist in the cloud provider"#]]);
}

#[test]
fn a_service_gets_its_load_balancer_in_upstreams_order() {
    let mut play = Play::begin();
    play.watched("nodes", WatchEventType::Added, node("node-1", "True", value!([])));
    play.log.clear();
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default", "uid": "0-1"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}
    });
    play.watched("services", WatchEventType::Added, Object::from_value(service).unwrap());
    play.check(expect![[r#"
        api Patch /api/v1/namespaces/default/services/web {"metadata":{"finalizers":["service.kubernetes.io/load-balancer-cleanup"]}}
        cloud GetPath /loadbalancers/a01 {"hosts":[{"ip":"172.18.0.3","machine":"node-1"}],"ip":"","ports":[{"nodePort":30080,"port":80,"protocol":"TCP"}],"service":"default/web"}
        api Patch /api/v1/namespaces/default/services/web/status {"status":{"loadBalancer":{"ingress":[{"ip":"172.18.255.1","ipMode":"VIP"}]}}}
        api Create /api/v1/namespaces/default/events EnsuredLoadBalancer Ensured load balancer
        api Create /api/v1/namespaces/default/events EnsuringLoadBalancer Ensuring load balancer"#]]);
}
