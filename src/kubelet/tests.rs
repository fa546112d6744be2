//! A kubelet between a scripted runtime and a small stand-in for kube-apiserver: what it writes, as a timeline.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{
    Body, Credential, Gvk, Object, ObjectKey, Request, Response, ResponseBody, Value, Verb, WatchEvent, WatchEventType, patch,
    schema, value, yaml,
};
use base::{Duration, Seed, Time};
use cri_api::cri::{self, ContainerState, ContainerStatus};
use expect_test::{Expect, expect};
use sim::{Addr, Message, Outbox, Payload, Queue};

use crate::{Config, Kubelet};

const KUBELET: Addr = Addr(1);
const API: Addr = Addr(2);
const RUNTIME: Addr = Addr(3);

/// How a container behaves: ends by itself after so many milliseconds with a code, or at a signal with a code.
#[derive(Clone, Copy)]
enum Script {
    Ends(i64, i32),
    AtSignal(i32),
}

struct World {
    queue: Queue,
    kubelet: Kubelet,
    start: Time,
    objects: BTreeMap<(String, ObjectKey), Object>,
    pod_watch: Option<u64>,
    revision: i64,
    scripts: BTreeMap<&'static str, Script>,
    missing_image: &'static str,
    /// Whether exec succeeds, so long after the pod came.
    exec_ok: fn(Duration) -> bool,
    containers: BTreeMap<Rc<str>, ContainerStatus>,
    counter: u32,
    stops: BTreeMap<Rc<str>, Vec<u64>>,
    lines: Vec<String>,
}

impl World {
    fn new() -> World {
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

    fn note(&mut self, text: String) {
        self.lines.push(format!("{:+.3}s {text}", self.queue.now().since(self.start).as_secs_f64()));
    }

    /// Creates a bound pod.
    fn bind(&mut self, text: &str) {
        let mut pod = Object::from_value(yaml::parse(text).unwrap().value).unwrap();
        pod.set_at(&["metadata", "namespace"], "default");
        pod.set_at(&["metadata", "uid"], format!("uid-{}", pod.name()));
        pod.set_at(&["metadata", "generation"], 1);
        pod.set_at(&["spec", "nodeName"], "node-1");
        pod.set_at(&["status", "phase"], "Pending");
        self.start = self.queue.now();
        self.write(pod, WatchEventType::Added);
    }

    fn delete(&mut self, name: &str, grace: i64) {
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
    fn run(&mut self, seconds: i64) {
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

    /// What a status update changed; times, and what says the same in other words, left out.
    fn note_status(&mut self, old: &Object, new: &Object) {
        const BORING: [&str; 19] = [
            "Time",
            ".type",
            "observedGen",
            "hostIP",
            "podIP",
            "startedAt",
            "finishedAt",
            "ID",
            ".user.",
            ".resources",
            "qosClass",
            ".name",
            ".image",
            ".volumeMounts",
            ".started",
            "[ContainersReady]",
            "[PodScheduled]",
            ".running",
            "resources",
        ];
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        flatten("", old.get("status").unwrap_or(&Value::Null), &mut before);
        flatten("", new.get("status").unwrap_or(&Value::Null), &mut after);
        let interesting = |path: &String| !BORING.iter().any(|b| path.contains(b));
        let changed = after.iter().filter(|(path, v)| before.get(*path) != Some(v) && interesting(path));
        let mut changes: Vec<String> = changed.map(|(path, v)| format!("{path}={v}")).collect();
        let gone = before.keys().filter(|p| !after.contains_key(*p) && p.ends_with("reason") && interesting(p));
        changes.extend(gone.map(|p| format!("{p} removed")));
        self.note("status".into());
        self.lines.extend(changes.into_iter().map(|c| format!("            {c}")));
    }

    fn runtime(&mut self, payload: Payload, out: &mut Outbox) {
        let Payload::Cri(message) = payload else { return self.script_ended(payload, out) };
        let cri::Message::Request { id, request } = &*message else { return };
        if let cri::Request::StopContainer { container, grace } = request {
            let script = self.scripts.get(&*self.containers[container].name);
            let after = if matches!(script, Some(Script::AtSignal(_))) { Duration::from_millis(100) } else { *grace };
            self.stops.entry(container.clone()).or_default().push(*id);
            return out.timer(after, container[1..].parse().unwrap());
        }
        let (delay, response) = self.serve(request, out);
        let answer = cri::Message::Response { id: *id, response };
        out.send_after(Duration::from_millis(delay), KUBELET, Payload::Cri(Rc::new(answer)));
    }

    /// Milliseconds, and the answer.
    fn serve(&mut self, request: &cri::Request, out: &mut Outbox) -> (i64, cri::Response) {
        match request {
            cri::Request::ListPodSandbox => (0, cri::Response::Pods(vec![])),
            cri::Request::WatchDirectory { .. } => {
                let ready = cri::Message::Event(cri::Event::NetworkReady(true));
                out.send(KUBELET, Payload::Cri(Rc::new(ready)));
                (0, cri::Response::Files(vec![]))
            }
            cri::Request::RunPodSandbox(_) => {
                self.counter += 1;
                let ip = format!("10.244.0.{}", self.counter + 1).parse().unwrap();
                (400, cri::Response::Sandbox { sandbox: format!("sandbox-{}", self.counter).into(), ips: vec![ip] })
            }
            cri::Request::ImageStatus { image } if **image == *self.missing_image => (0, cri::Response::NoImage),
            cri::Request::ImageStatus { image } | cri::Request::PullImage { image } if **image != *self.missing_image => {
                let (name, digest) = (image.clone(), "sha256:0".into());
                (0, cri::Response::Image(cri::Image { name, digest, size_bytes: 1, user: None, pulled_in: Duration::ZERO }))
            }
            cri::Request::PullImage { image } => {
                let message = format!("rpc error: code = NotFound desc = {image}: not found").into();
                (200, cri::Response::Error { code: "NotFound".into(), message })
            }
            cri::Request::CreateContainer { sandbox, config } => (10, self.create(sandbox, config, out.now)),
            cri::Request::StartContainer { container } => {
                let status = self.containers.get_mut(container).unwrap();
                (status.state, status.started_at) = (ContainerState::Running, Some(out.now));
                if let Some(Script::Ends(after, _)) = self.scripts.get(&*status.name) {
                    out.timer(Duration::from_millis(*after), container[1..].parse().unwrap());
                }
                (50, cri::Response::Status(status.clone()))
            }
            cri::Request::ExecSync { .. } => {
                let ok = (self.exec_ok)(out.now.since(self.start));
                let stderr: Rc<[u8]> = if ok { [].into() } else { b"no\n"[..].into() };
                (5, cri::Response::ExecSync { exit_code: !ok as i32, stdout: [].into(), stderr, timed_out: false })
            }
            _ => (0, cri::Response::Done),
        }
    }

    fn create(&mut self, sandbox: &Rc<str>, config: &cri::ContainerConfig, now: Time) -> cri::Response {
        self.counter += 1;
        let container: Rc<str> = format!("c{}", self.counter).into();
        let status = ContainerStatus {
            id: container.clone(),
            sandbox: sandbox.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
            image_ref: "sha256:0".into(),
            state: ContainerState::Created,
            created_at: now,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            reason: "".into(),
            message: "".into(),
        };
        self.containers.insert(container.clone(), status);
        cri::Response::Container { container }
    }

    fn script_ended(&mut self, payload: Payload, out: &mut Outbox) {
        let Payload::Timer(n) = payload else { return };
        let id: Rc<str> = format!("c{n}").into();
        let Some(status) = self.containers.get_mut(&id).filter(|c| c.state == ContainerState::Running) else { return };
        let code = match self.scripts.get(&*status.name) {
            Some(Script::Ends(_, code) | Script::AtSignal(code)) => *code,
            None => 137,
        };
        (status.state, status.finished_at, status.exit_code) = (ContainerState::Exited, Some(out.now), code);
        status.reason = if code == 0 { "Completed" } else { "Error" }.into();
        let status = status.clone();
        for id in self.stops.remove(&id).unwrap_or_default() {
            let answer = cri::Message::Response { id, response: cri::Response::Status(status.clone()) };
            out.send(KUBELET, Payload::Cri(Rc::new(answer)));
        }
        out.send(KUBELET, Payload::Cri(Rc::new(cri::Message::Event(cri::Event::ContainerStopped(status)))));
    }

    fn check(&self, expected: Expect) {
        expected.assert_eq(&(self.lines.join("\n") + "\n"));
    }
}

fn flatten(path: &str, v: &Value, out: &mut BTreeMap<String, String>) {
    match v {
        Value::Map(m) => m.iter().for_each(|(k, v)| flatten(&format!("{path}.{k}"), v, out)),
        Value::List(l) => l.iter().enumerate().for_each(|(i, v)| {
            let name = v.str_at(&["type"]).or_else(|| v.str_at(&["name"])).map_or(i.to_string(), str::to_string);
            let path = path.replace(".conditions", "").replace("ontainerStatuses", "ontainer");
            flatten(&format!("{path}[{name}]"), v, out);
        }),
        v => {
            out.insert(path.trim_start_matches('.').to_string(), format!("{v:?}"));
        }
    }
}

const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: nginx:1.27, imagePullPolicy: IfNotPresent}]
";

const ALL: &str = "
apiVersion: v1
kind: Pod
metadata: {name: all}
spec:
  restartPolicy: Never
  initContainers:
  - {name: plain, image: busybox:1.36}
  - {name: side, image: busybox:1.36, restartPolicy: Always}
  containers: [{name: app, image: busybox:1.36}]
";

#[test]
fn from_nothing_to_gone() {
    let mut world = World::new();
    world.scripts.insert("web", Script::AtSignal(0));
    world.bind(WEB);
    world.run(2);
    world.delete("web", 30);
    world.run(2);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    [Ready].status="True"
                    container[web].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[web].state.waiting.reason removed
        +2.000s deletion asked for
        +2.001s Event Normal Killing: Stopping container web
        +2.002s status
        +2.104s status
                    [Initialized].reason="PodCompleted"
                    [PodReadyToStartContainers].message="pod sandbox is not ready"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].reason="PodCompleted"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].state.terminated.exitCode=0
                    container[web].state.terminated.reason="Completed"
                    phase="Succeeded"
        +2.106s deleted
    "#]]);
}

#[test]
fn crash_loop() {
    let mut world = World::new();
    world.scripts.insert("c", Script::Ends(300, 3));
    world.bind(&WEB.replace("web", "c"));
    world.run(45);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].restartCount=0
                    container[c].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    [Ready].status="True"
                    container[c].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[c].state.waiting.reason removed
        +1.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
        +1.002s Event x2 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +1.013s Event x2 Created: Container created
        +1.064s Event x2 Started: Container started
        +1.075s status
                    [Ready].status="True"
                    container[c].lastState.terminated.exitCode=3
                    container[c].lastState.terminated.reason="Error"
                    container[c].ready=true
                    container[c].restartCount=1
                    [Ready].reason removed
                    container[c].state.terminated.reason removed
        +2.001s Event Warning BackOff: Back-off restarting failed container c in pod c_default(uid-c)
        +2.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
        +12.153s status
                    container[c].state.waiting.message="back-off 10s restarting failed container=c pod=c_default(uid-c)"
                    container[c].state.waiting.reason="CrashLoopBackOff"
                    container[c].state.terminated.reason removed
        +12.153s Event x3 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +12.164s Event x3 Created: Container created
        +12.215s Event x3 Started: Container started
        +12.226s status
                    [Ready].status="True"
                    container[c].ready=true
                    container[c].restartCount=2
                    [Ready].reason removed
                    container[c].state.waiting.reason removed
        +13.001s Event x2 BackOff: Back-off restarting failed container c in pod c_default(uid-c)
        +13.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
        +41.362s status
                    container[c].state.waiting.message="back-off 20s restarting failed container=c pod=c_default(uid-c)"
                    container[c].state.waiting.reason="CrashLoopBackOff"
                    container[c].state.terminated.reason removed
        +41.362s Event x4 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +41.374s Event x4 Created: Container created
        +41.425s Event x4 Started: Container started
        +41.435s status
                    [Ready].status="True"
                    container[c].ready=true
                    container[c].restartCount=3
                    [Ready].reason removed
                    container[c].state.waiting.reason removed
        +42.001s Event x3 BackOff: Back-off restarting failed container c in pod c_default(uid-c)
        +42.002s status
                    [Ready].message="containers with unready status: [c]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[c].ready=false
                    container[c].state.terminated.exitCode=3
                    container[c].state.terminated.reason="Error"
    "#]]);
}

#[test]
fn init_sidecar_and_app() {
    let mut world = World::new();
    world.scripts = [("plain", Script::Ends(1000, 0)), ("side", Script::AtSignal(0)), ("app", Script::Ends(3000, 0))].into();
    world.bind(ALL);
    world.run(10);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].message="containers with incomplete status: [plain side]"
                    [Initialized].reason="ContainersNotInitialized"
                    [Initialized].status="False"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [side app]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[app].ready=false
                    container[app].restartCount=0
                    container[app].state.waiting.reason="PodInitializing"
                    initContainer[plain].ready=false
                    initContainer[plain].restartCount=0
                    initContainer[plain].state.waiting.reason="PodInitializing"
                    initContainer[side].ready=false
                    initContainer[side].restartCount=0
                    initContainer[side].state.waiting.reason="PodInitializing"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "busybox:1.36" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    initContainer[plain].state.waiting.reason removed
        +2.002s status
                    [Initialized].message="containers with incomplete status: [side]"
                    initContainer[plain].ready=true
                    initContainer[plain].state.terminated.exitCode=0
                    initContainer[plain].state.terminated.reason="Completed"
        +2.002s Event Normal Pulled: Container image "busybox:1.36" already present on machine and can be accessed by the pod
        +2.013s Event Normal Created: Container created
        +2.064s Event Normal Started: Container started
        +2.075s status
                    [Initialized].status="True"
                    [Ready].message="containers with unready status: [app]"
                    initContainer[side].ready=true
                    [Initialized].reason removed
                    initContainer[side].state.waiting.reason removed
        +2.075s Event Normal Pulled: Container image "busybox:1.36" already present on machine and can be accessed by the pod
        +2.086s Event Normal Created: Container created
        +2.137s Event Normal Started: Container started
        +2.148s status
                    [Ready].status="True"
                    container[app].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[app].state.waiting.reason removed
        +6.001s Event Normal Killing: Stopping container side
        +6.002s status
                    [Ready].message="containers with unready status: [app]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[app].ready=false
                    container[app].state.terminated.exitCode=0
                    container[app].state.terminated.reason="Completed"
        +7.002s status
                    [Initialized].reason="PodCompleted"
                    [PodReadyToStartContainers].message="pod sandbox is not ready"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].reason="PodCompleted"
                    initContainer[side].ready=false
                    initContainer[side].state.terminated.exitCode=0
                    initContainer[side].state.terminated.reason="Completed"
                    phase="Succeeded"
    "#]]);
}

#[test]
fn image_missing() {
    let mut world = World::new();
    world.missing_image = "nosuch:1";
    world.bind(&WEB.replace("nginx:1.27", "nosuch:1"));
    world.run(30);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulling: Pulling image "nosuch:1"
        +0.604s Event Warning Failed: Failed to pull image "nosuch:1": rpc error: code = NotFound desc = nosuch:1: not found
        +0.605s Event Warning Failed: Error: ErrImagePull
        +0.615s status
                    container[web].state.waiting.message="rpc error: code = NotFound desc = nosuch:1: not found"
                    container[web].state.waiting.reason="ErrImagePull"
        +0.615s Event Normal BackOff: Back-off pulling image "nosuch:1"
        +0.616s Event Warning Failed: Error: ImagePullBackOff
        +15.553s status
                    container[web].state.waiting.message="Back-off pulling image \"nosuch:1\": ErrImagePull: rpc error: code = NotFound desc = nosuch:1: not found"
                    container[web].state.waiting.reason="ImagePullBackOff"
        +15.553s Event x2 Pulling: Pulling image "nosuch:1"
        +15.754s Event x2 Failed: Failed to pull image "nosuch:1": rpc error: code = NotFound desc = nosuch:1: not found
        +15.755s Event x2 Failed: Error: ErrImagePull
        +28.141s status
                    container[web].state.waiting.message="rpc error: code = NotFound desc = nosuch:1: not found"
                    container[web].state.waiting.reason="ErrImagePull"
        +28.141s Event x2 BackOff: Back-off pulling image "nosuch:1"
        +28.142s Event x2 Failed: Error: ImagePullBackOff
    "#]]);
}

#[test]
fn liveness() {
    let mut world = World::new();
    world.scripts.insert("web", Script::AtSignal(137));
    world.exec_ok = |since| since < Duration::from_secs(6);
    let probe = "imagePullPolicy: IfNotPresent, livenessProbe: {exec: {command: [check]}, periodSeconds: 2, failureThreshold: 2}";
    world.bind(&WEB.replace("imagePullPolicy: IfNotPresent", probe));
    world.run(12);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.403s status
                    [PodReadyToStartContainers].status="True"
                    [PodReadyToStartContainers].reason removed
        +0.403s Event Normal Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +0.414s Event Normal Created: Container created
        +0.465s Event Normal Started: Container started
        +0.476s status
                    [Ready].status="True"
                    container[web].ready=true
                    phase="Running"
                    [Ready].reason removed
                    container[web].state.waiting.reason removed
        +6.888s Event Warning Unhealthy: Liveness probe failed: no
        +8.888s Event x2 Unhealthy: Liveness probe failed: no
        +8.889s Event Normal Killing: Container web failed liveness probe, will be restarted
        +8.990s Event x2 Pulled: Container image "nginx:1.27" already present on machine and can be accessed by the pod
        +9.001s Event x2 Created: Container created
        +9.052s Event x2 Started: Container started
        +9.063s status
                    container[web].lastState.terminated.exitCode=137
                    container[web].lastState.terminated.reason="Error"
                    container[web].restartCount=1
        +10.888s Event x3 Unhealthy: Liveness probe failed: no
    "#]]);
}

#[test]
fn missing_config_map() {
    let mut world = World::new();
    world.bind(&format!("{WEB}  volumes: [{{name: conf, configMap: {{name: nothere}}}}]\n"));
    world.run(6);
    world.check(expect![[r#"
        +0.002s status
                    [Initialized].status="True"
                    [PodReadyToStartContainers].message="no pod sandbox exists"
                    [PodReadyToStartContainers].reason="PodSandboxNotReady"
                    [PodReadyToStartContainers].status="False"
                    [Ready].message="containers with unready status: [web]"
                    [Ready].reason="ContainersNotReady"
                    [Ready].status="False"
                    container[web].ready=false
                    container[web].restartCount=0
                    container[web].state.waiting.reason="ContainerCreating"
        +0.051s Event Warning FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
        +0.551s Event x2 FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
        +1.551s Event x3 FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
        +3.551s Event x4 FailedMount: MountVolume.SetUp failed for volume "conf" : configmap "nothere" not found
    "#]]);
}
