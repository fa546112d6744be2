//! What a kubelet says about a pod: from the spec and what the runtime knows to `status`. Models `kubelet_pods.go`
//! (`generateAPIPodStatus`, `convertToAPIContainerStatuses`, `getPhase`) and `status/generate.go`.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Object, Quantity, Value, value};
use base::Time;
use cri_api::cri::{ContainerState, ContainerStatus};

use crate::pod::{Kind, Spec, all_specs, app_specs, go_list, init_specs, restart_policy, restarts, stamp};

type Text = Rc<str>;

/// What goes into a status besides the pod itself.
pub struct View<'a> {
    pub pod: &'a Object,
    /// All containers known to the runtime, oldest first.
    pub containers: &'a [ContainerStatus],
    /// Whether there is a sandbox, whether it is ready, and its addresses.
    pub sandbox: Option<(bool, Vec<Text>)>,
    /// Why a container could not be started last time.
    pub reasons: &'a BTreeMap<Text, (Text, Text)>,
    /// Results of probes by container: ready, started.
    pub probes: &'a dyn Fn(&Spec, &ContainerStatus) -> (bool, bool),
    pub host_ip: Text,
    pub host_ip6: Option<Text>,
    pub start_time: Time,
    /// The pod is at its end, whatever its restart policy says.
    pub ended: bool,
    /// Phase, reason and message that hold regardless (a deadline, a refused pod).
    pub verdict: Option<(Text, Text)>,
    /// The verdict is the kubelet's for the node's sake.
    pub disrupted: bool,
    pub old: &'a Value,
    pub now: Time,
}

impl View<'_> {
    /// The newest and the one before, of a name.
    fn history(&self, name: &str) -> (Option<&ContainerStatus>, Option<&ContainerStatus>) {
        let mut mine = self.containers.iter().rev().filter(|c| &*c.name == name && c.state != ContainerState::Created);
        (mine.next(), mine.next())
    }
}

/// The whole status.
pub fn generate(view: &View) -> Value {
    let pod = view.pod;
    let mut status = Value::map();
    let init: Vec<Value> = init_specs(pod).iter().map(|s| container_status(view, s)).collect();
    let app: Vec<Value> = app_specs(pod).iter().map(|s| container_status(view, s)).collect();
    let all = all_specs(pod);
    let ephemeral: Vec<Value> = all.iter().filter(|s| s.kind == Kind::Ephemeral).map(|s| container_status(view, s)).collect();
    let mut phase = phase(pod, &init, &app, view.ended);
    if let Some((reason, message)) = &view.verdict {
        status.set_at(&["reason"], reason);
        status.set_at(&["message"], message);
        phase = "Failed";
    }
    // A pod is not over before everything of it has stopped.
    let running = view.containers.iter().any(|c| c.state == ContainerState::Running);
    if matches!(phase, "Succeeded" | "Failed") && !view.ended && (running || view.sandbox.as_ref().is_some_and(|s| s.0)) {
        phase = if view.old.str_at(&["phase"]) == Some("Pending") && app.iter().all(|c| c.at(&["state", "waiting"]).is_some()) {
            "Pending"
        } else {
            "Running"
        };
        status.map_mut().remove("reason");
        status.map_mut().remove("message");
    }
    status.set_at(&["phase"], Value::sym(phase));
    status.set_at(&["conditions"], conditions(view, phase, &init, &app));
    for (field, list) in [("initContainerStatuses", init), ("containerStatuses", app), ("ephemeralContainerStatuses", ephemeral)]
    {
        if !list.is_empty() {
            status.set_at(&[field], list);
        }
    }
    set_addresses(view, &mut status);
    status.set_at(&["startTime"], stamp(view.start_time));
    status.set_at(&["qosClass"], Value::sym(qos_class(pod)));
    let resources = pod_resources(pod);
    if let Some(requests) = resources.get("requests") {
        status.set_at(&["allocatedResources"], requests);
    }
    status.set_at(&["resources"], resources);
    if pod.generation() > 0 {
        status.set_at(&["observedGeneration"], pod.generation());
    }
    status
}

fn set_addresses(view: &View, status: &mut Value) {
    status.set_at(&["hostIP"], &view.host_ip);
    let host_ips = std::iter::once(&view.host_ip).chain(&view.host_ip6).map(|ip| value!({"ip": ip}));
    status.set_at(&["hostIPs"], host_ips.collect::<Vec<_>>());
    // Addresses stay after the sandbox has gone, and appear with the first container that was tried.
    let shown = view.containers.iter().any(|c| c.state != ContainerState::Created) || !view.reasons.is_empty();
    let ips: Vec<Value> = match &view.sandbox {
        Some((true, ips)) if shown => ips.iter().map(|ip| value!({"ip": ip})).collect(),
        _ => view.old.list_at(&["podIPs"]).to_vec(),
    };
    if let Some(first) = ips.first().and_then(|v| v.get("ip")) {
        status.set_at(&["podIP"], first);
        status.set_at(&["podIPs"], ips.clone());
    }
}

/// Models `v1qos.ComputePodQOS`.
pub fn qos_class(pod: &Object) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for spec in all_specs(pod).iter().filter(|s| s.kind != Kind::Ephemeral) {
        let amount = |list: &str, name: &str| {
            let q = spec.value.at(&["resources", list, name]).and_then(|v| Quantity::from_value(v).ok());
            q.filter(|q| !q.is_zero()).map(|q| q.milli_value())
        };
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount("requests", name), amount("limits", name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|r| Some(r) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The sum of the containers' requests and limits; limits only where every container has one.
fn pod_resources(pod: &Object) -> Value {
    let mut out = Value::map();
    let apps = app_specs(pod);
    for list in ["limits", "requests"] {
        for name in ["cpu", "memory"] {
            let amounts: Vec<Quantity> = apps
                .iter()
                .filter_map(|s| s.value.at(&["resources", list, name]).and_then(|v| Quantity::from_value(v).ok()))
                .collect();
            if amounts.is_empty() || (list == "limits" && amounts.len() < apps.len()) {
                continue;
            }
            let format = amounts[0].format();
            let text = match name {
                "cpu" => Quantity::milli(amounts.iter().map(Quantity::milli_value).sum()).canonical(),
                _ => Quantity::new(amounts.iter().map(Quantity::value).sum()).with_format(format).canonical(),
            };
            out.set_at(&[list, name], text);
        }
    }
    out
}

fn container_status(view: &View, spec: &Spec) -> Value {
    let (latest, before) = view.history(&spec.name);
    let has_init = !init_specs(view.pod).is_empty();
    let waiting = if spec.kind != Kind::Ephemeral && has_init { "PodInitializing" } else { "ContainerCreating" };
    let mut status = value!({
        "name": (&spec.name), "image": (spec.text("image")), "imageID": "", "lastState": {}, "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": (Value::sym(waiting))}}
    });
    if spec.kind != Kind::Ephemeral {
        status.set_at(&["started"], false);
    }
    if let Some(latest) = latest {
        known_container(view, spec, latest, before, &mut status);
    }
    let will_start = latest.is_none_or(|c| c.state == ContainerState::Exited && restarts(view.pod, spec.kind, c.exit_code));
    if let Some((reason, message)) = view.reasons.get(&spec.name).filter(|_| will_start && !view.ended) {
        if let Some(terminated) = status.at(&["state", "terminated"]).cloned() {
            status.set_at(&["lastState"], value!({"terminated": terminated}));
        }
        let mut waiting = value!({"reason": (Value::sym(reason))});
        if !message.is_empty() {
            waiting.set_at(&["message"], message);
        }
        status.set_at(&["state"], value!({"waiting": waiting}));
    }
    let mounts: Vec<Value> = spec.value.list_at(&["volumeMounts"]).iter().map(mount_status).collect();
    if !mounts.is_empty() {
        status.set_at(&["volumeMounts"], mounts);
    }
    status
}

fn mount_status(mount: &Value) -> Value {
    let part = |name: &str| mount.get(name).cloned().unwrap_or_default();
    let mut out = value!({"name": (part("name")), "mountPath": (part("mountPath"))});
    if mount.bool_at(&["readOnly"]) == Some(true) {
        out.set_at(&["readOnly"], true);
        out.set_at(&["recursiveReadOnly"], "Disabled");
    }
    out
}

fn known_container(view: &View, spec: &Spec, latest: &ContainerStatus, before: Option<&ContainerStatus>, status: &mut Value) {
    status.set_at(&["image"], &latest.image);
    status.set_at(&["imageID"], &latest.image_ref);
    status.set_at(&["containerID"], format!("containerd://{}", latest.id));
    status.set_at(&["restartCount"], latest.attempt as i64);
    status.set_at(&["state"], state(latest));
    if let Some(before) = before.filter(|b| b.state == ContainerState::Exited) {
        status.set_at(&["lastState"], state(before));
    }
    let running = latest.state == ContainerState::Running;
    let (ready, started) = (view.probes)(spec, latest);
    let done = spec.kind == Kind::Init && latest.state == ContainerState::Exited && latest.exit_code == 0;
    if spec.kind != Kind::Ephemeral {
        status.set_at(&["ready"], done || (running && ready && spec.kind != Kind::Init));
        status.set_at(&["started"], running && started);
    }
    let resources = spec.value.get("resources").cloned().filter(|r| !r.is_empty()).unwrap_or_else(Value::map);
    if let Some(requests) = resources.get("requests") {
        status.set_at(&["allocatedResources"], requests);
    }
    status.set_at(&["resources"], resources);
    let id = |field: &str| {
        let own = spec.value.int_at(&["securityContext", field]);
        own.or_else(|| view.pod.int_at(&["spec", "securityContext", field])).unwrap_or(0)
    };
    let (uid, gid) = (id("runAsUser"), id("runAsGroup"));
    let mut groups = vec![Value::Int(gid)];
    let more = view.pod.at(&["spec", "securityContext", "fsGroup"]).into_iter();
    groups.extend(more.chain(view.pod.list_at(&["spec", "securityContext", "supplementalGroups"])).cloned());
    groups.dedup();
    status.set_at(&["user"], value!({"linux": {"uid": uid, "gid": gid, "supplementalGroups": groups}}));
}

fn state(container: &ContainerStatus) -> Value {
    let time = |t: Option<Time>| t.map_or(Value::Null, stamp);
    match container.state {
        ContainerState::Created => value!({"waiting": {"reason": "ContainerCreating"}}),
        ContainerState::Running => value!({"running": {"startedAt": (time(container.started_at))}}),
        ContainerState::Exited => {
            let mut terminated = value!({
                "exitCode": (container.exit_code), "reason": (Value::sym(&container.reason)),
                "startedAt": (time(container.started_at)), "finishedAt": (time(container.finished_at)),
                "containerID": (format!("containerd://{}", container.id))
            });
            if !container.message.is_empty() {
                terminated.set_at(&["message"], &container.message);
            }
            value!({"terminated": terminated})
        }
    }
}

/// Models `getPhase`.
pub fn phase(pod: &Object, init: &[Value], app: &[Value], ended: bool) -> &'static str {
    let mut pending_init = false;
    let mut failed_init = false;
    let (mut running, mut waiting, mut stopped, mut succeeded, mut unknown) = (0, 0, 0, 0, 0);
    for (spec, status) in init_specs(pod).iter().zip(init) {
        let exit = status.int_at(&["state", "terminated", "exitCode"]);
        let last = status.int_at(&["lastState", "terminated", "exitCode"]);
        let is_running = status.at(&["state", "running"]).is_some();
        if spec.kind == Kind::Sidecar {
            match (is_running, exit, last) {
                (true, ..) => {
                    running += 1;
                    pending_init |= status.bool_at(&["started"]) != Some(true);
                }
                (false, None, None) => {
                    waiting += 1;
                    pending_init = true;
                }
                _ => {}
            }
            continue;
        }
        match exit.or(last.filter(|_| !is_running)) {
            Some(code) => failed_init |= code != 0,
            None => pending_init = true,
        }
    }
    for status in app {
        let last = status.at(&["lastState", "terminated"]).is_some();
        match status.get("state") {
            Some(s) if s.get("running").is_some() => running += 1,
            Some(s) if s.get("terminated").is_some() => {
                stopped += 1;
                succeeded += (s.int_at(&["terminated", "exitCode"]) == Some(0)) as i32;
            }
            Some(s) if s.get("waiting").is_some() => {
                if last {
                    stopped += 1
                } else {
                    waiting += 1
                }
            }
            _ => unknown += 1,
        }
    }
    if failed_init && restart_policy(pod) == "Never" {
        return "Failed";
    }
    match () {
        _ if ended && stopped > 0 && running == 0 => {
            if stopped == succeeded {
                "Succeeded"
            } else {
                "Failed"
            }
        }
        _ if ended && running == 0 => "Failed",
        _ if pending_init || waiting > 0 => "Pending",
        _ if running > 0 && unknown == 0 => "Running",
        _ if running == 0 && stopped > 0 && unknown == 0 => match restart_policy(pod) {
            "Always" => "Running",
            _ if stopped == succeeded => "Succeeded",
            "Never" => "Failed",
            _ => "Running",
        },
        _ => "Pending",
    }
}

struct Condition {
    kind: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    fn is_true(kind: &'static str) -> Condition {
        Condition { kind, status: true, reason: "", message: String::new() }
    }
    fn is_false(kind: &'static str, reason: &'static str, message: String) -> Condition {
        Condition { kind, status: false, reason, message }
    }
}

/// The kubelet's conditions, in its order, after those that others wrote.
fn conditions(view: &View, phase: &str, init: &[Value], app: &[Value]) -> Vec<Value> {
    let containers_ready = containers_ready(view, phase, init, app);
    let mut list = vec![
        ready_to_start(view),
        initialized(view, phase, init, app),
        ready(view, &containers_ready),
        containers_ready,
        Condition::is_true("PodScheduled"),
    ];
    if let Some((_, message)) = view.verdict.as_ref().filter(|_| view.disrupted) {
        let kind = Condition::is_true("DisruptionTarget");
        list.push(Condition { reason: "TerminationByKubelet", message: message.to_string(), ..kind });
    }
    let before = view.old.list_at(&["conditions"]);
    let ours = |kind: &str| list.iter().any(|c| c.kind == kind);
    let live = view.pod.list_at(&["status", "conditions"]);
    let mut out: Vec<Value> = live.iter().filter(|c| !c.str_at(&["type"]).is_some_and(ours)).cloned().collect();
    for c in &list {
        let text = if c.status { "True" } else { "False" };
        let same = |o: &&Value| o.str_at(&["type"]) == Some(c.kind) && o.str_at(&["status"]) == Some(text);
        let old = before.iter().find(same).or_else(|| live.iter().find(same));
        let since = old.and_then(|o| o.get("lastTransitionTime")).cloned().unwrap_or_else(|| stamp(view.now));
        let mut v = value!({
            "type": (Value::sym(c.kind)), "status": (Value::sym(text)), "lastProbeTime": null, "lastTransitionTime": since
        });
        if view.pod.generation() > 0 {
            v.set_at(&["observedGeneration"], view.pod.generation());
        }
        if !c.reason.is_empty() {
            v.set_at(&["reason"], Value::sym(c.reason));
        }
        if !c.message.is_empty() {
            v.set_at(&["message"], &c.message);
        }
        out.push(v);
    }
    out
}

fn ready_to_start(view: &View) -> Condition {
    let kind = "PodReadyToStartContainers";
    match &view.sandbox {
        Some((true, _)) => Condition::is_true(kind),
        Some((false, _)) => Condition::is_false(kind, "PodSandboxNotReady", "pod sandbox is not ready".into()),
        None => Condition::is_false(kind, "PodSandboxNotReady", "no pod sandbox exists".into()),
    }
}

/// Models `GeneratePodInitializedCondition`.
fn initialized(view: &View, phase: &str, init: &[Value], app: &[Value]) -> Condition {
    let kind = "Initialized";
    if phase == "Succeeded" {
        return Condition { reason: "PodCompleted", ..Condition::is_true(kind) };
    }
    let was_up = |c: &Value| {
        c.at(&["state", "running"]).is_some()
            || c.at(&["state", "terminated"]).is_some()
            || c.at(&["lastState", "terminated"]).is_some()
    };
    let specs = init_specs(view.pod);
    let is_incomplete = |(spec, status): &(&Spec, &Value)| match spec.kind {
        Kind::Sidecar => status.bool_at(&["started"]) != Some(true),
        _ => status.bool_at(&["ready"]) != Some(true),
    };
    let incomplete: Vec<&Text> = specs.iter().zip(init).filter(is_incomplete).map(|(s, _)| &s.name).collect();
    if incomplete.is_empty() || app.iter().any(was_up) {
        return Condition::is_true(kind);
    }
    Condition::is_false(kind, "ContainersNotInitialized", format!("containers with incomplete status: {}", go_list(incomplete)))
}

/// Models `GenerateContainersReadyCondition`: sidecars and containers count.
fn containers_ready(view: &View, phase: &str, init: &[Value], app: &[Value]) -> Condition {
    let kind = "ContainersReady";
    match phase {
        "Succeeded" => return Condition::is_false(kind, "PodCompleted", String::new()),
        "Failed" => return Condition::is_false(kind, "PodFailed", String::new()),
        _ => {}
    }
    let (init_specs, app_specs) = (init_specs(view.pod), app_specs(view.pod));
    let all = init_specs.iter().zip(init).filter(|(s, _)| s.kind == Kind::Sidecar).chain(app_specs.iter().zip(app));
    let unready: Vec<&Text> = all.filter(|(_, c)| c.bool_at(&["ready"]) != Some(true)).map(|(s, _)| &s.name).collect();
    match unready.is_empty() {
        true => Condition::is_true(kind),
        false => Condition::is_false(kind, "ContainersNotReady", format!("containers with unready status: {}", go_list(unready))),
    }
}

/// Models `GeneratePodReadyCondition`: readiness gates on top.
fn ready(view: &View, containers: &Condition) -> Condition {
    let kind = "Ready";
    if !containers.status {
        return Condition::is_false(kind, containers.reason, containers.message.clone());
    }
    let mut missing = Vec::new();
    for gate in view.pod.list_at(&["spec", "readinessGates"]) {
        let name = gate.str_at(&["conditionType"]).unwrap_or("");
        match view.pod.condition(name).and_then(|c| c.str_at(&["status"])) {
            None => missing.push(format!("corresponding condition of pod readiness gate \"{name}\" does not exist.")),
            Some("True") => {}
            Some(other) => missing.push(format!("the status of pod readiness gate \"{name}\" is not \"True\", but {other}")),
        }
    }
    match missing.is_empty() {
        true => Condition::is_true(kind),
        false => Condition::is_false(kind, "ReadinessGatesNotReady", missing.join(", ")),
    }
}
