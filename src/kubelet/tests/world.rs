//! The world around one kubelet: a stand-in for kube-apiserver that keeps objects and answers, and a clock that is let run.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{
    Body, Credential, Gvk, Object, ObjectKey, Request, Response, ResponseBody, Verb, WatchEvent, WatchEventType, patch, schema,
    value, yaml,
};
use base::{Duration, Seed, Time};
use cri_api::cri::ContainerStatus;
use expect_test::Expect;
use sim::{Addr, Message, Outbox, Payload, Queue};

use crate::{Config, Kubelet};

pub(super) const KUBELET: Addr = Addr(1);
pub(super) const API: Addr = Addr(2);
pub(super) const RUNTIME: Addr = Addr(3);

/// How a container behaves: ends by itself after so many milliseconds with a code, or at a signal with a code.
#[derive(Clone, Copy)]
pub(super) enum Script {
    Ends(i64, i32),
    AtSignal(i32),
}

pub(super) struct World {
    pub(super) queue: Queue,
    kubelet: Kubelet,
    pub(super) start: Time,
    pub(super) objects: BTreeMap<(String, ObjectKey), Object>,
    pod_watch: Option<u64>,
    revision: i64,
    pub(super) scripts: BTreeMap<&'static str, Script>,
    pub(super) missing_image: &'static str,
    /// Whether exec succeeds, so long after the pod came.
    pub(super) exec_ok: fn(Duration) -> bool,
    pub(super) containers: BTreeMap<Rc<str>, ContainerStatus>,
    pub(super) counter: u32,
    pub(super) stops: BTreeMap<Rc<str>, Vec<u64>>,
    pub(super) lines: Vec<String>,
}

impl World {
    pub(super) fn new() -> World {
        let client = client_go::ClientConfig {
            apiserver: API,
            credential: Credential::Anonymous,
            user_agent: "kubelet".into(),
            qps: 0,
            burst: 0,
        };
        let mut config = Config::new("node-1", "172.18.0.2".parse().unwrap(), client, Seed(7));
        config.runtime = Some(RUNTIME);
        let start = Time::from_secs(1_000_000);
        let mut world = World {
            queue: Queue::new(Seed(1), start),
            kubelet: Kubelet::new(config),
            start,
            objects: BTreeMap::new(),
            pod_watch: None,
            revision: 1,
            scripts: BTreeMap::new(),
            missing_image: "none",
            exec_ok: |_| true,
            containers: BTreeMap::new(),
            counter: 0,
            stops: BTreeMap::new(),
            lines: Vec::new(),
        };
        world.queue.inject(Addr::OUTSIDE, KUBELET, Payload::Start, |_, _| ());
        world.run(3);
        world
    }

    pub(super) fn note(&mut self, text: String) {
        self.lines.push(format!("{:+.3}s {text}", self.queue.now().since(self.start).as_secs_f64()));
    }

    /// Creates a bound pod.
    pub(super) fn bind(&mut self, text: &str) {
        let mut pod = Object::from_value(yaml::parse(text).unwrap().value).unwrap();
        pod.set_at(&["metadata", "namespace"], "default");
        pod.set_at(&["metadata", "uid"], format!("uid-{}", pod.name()));
        pod.set_at(&["metadata", "generation"], 1);
        pod.set_at(&["spec", "nodeName"], "node-1");
        pod.set_at(&["status", "phase"], "Pending");
        self.start = self.queue.now();
        self.write(pod, WatchEventType::Added);
    }

    pub(super) fn delete(&mut self, name: &str, grace: i64) {
        let mut pod = self.objects[&("pods".into(), ObjectKey::new("default", name))].clone();
        pod.set_at(&["metadata", "deletionTimestamp"], (self.queue.now() + Duration::from_secs(grace)).rfc3339());
        pod.set_at(&["metadata", "deletionGracePeriodSeconds"], grace);
        pod.set_at(&["metadata", "generation"], 2);
        self.note("deletion asked for".into());
        self.write(pod, WatchEventType::Modified);
    }

    fn write(&mut self, mut pod: Object, kind: WatchEventType) {
        self.revision += 1;
        pod.set_at(&["metadata", "resourceVersion"], self.revision.to_string());
        match kind {
            WatchEventType::Deleted => self.objects.remove(&("pods".into(), pod.key())),
            _ => self.objects.insert(("pods".into(), pod.key()), pod.clone()),
        };
        if let Some(id) = self.pod_watch {
            let events = Rc::new(vec![WatchEvent { kind, object: pod, cause: 0 }]);
            self.queue.inject(API, KUBELET, Payload::WatchEvents { id, events }, |_, _| ());
        }
    }

    /// Lets seconds pass.
    pub(super) fn run(&mut self, seconds: i64) {
        let end = self.queue.now() + Duration::from_secs(seconds);
        while self.queue.peek().is_some_and(|at| at <= end) {
            let message = self.queue.pop().unwrap().message;
            let mut out = Outbox::new(message.to, message.id, self.queue.now());
            match message.to {
                KUBELET => self.kubelet.handle(self.queue.now(), Message { cause: message.id, ..message }, &mut out),
                API => self.api(message.payload, &mut out),
                _ => self.runtime(message.payload, &mut out),
            }
            self.queue.dispatch(out, |_, _| ());
        }
        self.queue.advance_to(end);
    }

    fn api(&mut self, payload: Payload, out: &mut Outbox) {
        let Payload::ApiRequest { id, request } = payload else { return };
        if request.verb != Verb::Watch {
            let response = self.answer(&request);
            return out.respond(KUBELET, id, response);
        }
        out.respond(KUBELET, id, Response { code: 200, body: ResponseBody::WatchStarted, ..Response::default() });
        let bookmark = value!({"metadata": {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}});
        let object = Object::from_value(bookmark).unwrap();
        out.watch_events(KUBELET, id, vec![WatchEvent { kind: WatchEventType::Bookmark, object, cause: 0 }]);
        if request.gvr.resource == "pods" {
            self.pod_watch = Some(id);
        }
    }

    fn answer(&mut self, request: &Request) -> Response {
        let resource = request.gvr.resource.to_string();
        let key = (resource.clone(), ObjectKey { namespace: request.namespace.clone(), name: request.name.clone() });
        let old = self.objects.get(&key).cloned();
        match (request.verb, &request.body, old) {
            (Verb::Create, Body::Object(o), _) => {
                let text = |path: &[&str]| o.str_at(path).unwrap_or("").to_string();
                if text(&["involvedObject", "kind"]) == "Pod" {
                    self.note(format!("Event {} {}: {}", text(&["type"]), text(&["reason"]), text(&["message"])));
                }
                let mut o = o.clone();
                o.set_at(&["metadata", "uid"], format!("uid-{}", o.name()));
                self.objects.insert((resource, o.key()), o.clone());
                Response::object(201, o)
            }
            (Verb::Patch, Body::Patch(_, p), Some(event)) if resource == "events" => {
                if event.str_at(&["involvedObject", "kind"]) == Some("Pod") {
                    let n = p.int_at(&["count"]).unwrap_or(0);
                    self.note(format!("Event x{n} {}: {}", event.str_at(&["reason"]).unwrap(), p.str_at(&["message"]).unwrap()));
                }
                Response::object(200, event)
            }
            (Verb::Get, _, Some(old)) => Response::object(200, old),
            (Verb::Update, Body::Object(o), _) => Response::object(200, o.clone()),
            (Verb::Patch, Body::Patch(_, p), Some(old)) => {
                let ty = schema::of(Gvk::new("", "v1", if resource == "pods" { "Pod" } else { "Node" })).unwrap();
                let new = patch::strategic_merge(old.value(), p, Some(&ty)).unwrap();
                let new = Object::from_value(new).unwrap();
                if resource == "pods" {
                    self.note_status(&old, &new);
                    self.write(new.clone(), WatchEventType::Modified);
                } else {
                    self.objects.insert(key, new.clone());
                }
                Response::object(200, new)
            }
            (Verb::Delete, _, Some(old)) => {
                self.note("deleted".into());
                self.write(old.clone(), WatchEventType::Deleted);
                Response::object(200, old)
            }
            _ => apimachinery::status::Status::not_found(request.gvr, &request.name).into(),
        }
    }

    pub(super) fn check(&self, expected: Expect) {
        expected.assert_eq(&(self.lines.join("\n") + "\n"));
    }
}
