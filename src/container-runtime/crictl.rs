//! What `crictl` shows: the CRI's lists from the runtime's own memory, printed.
//!
//! The real crictl speaks gRPC with containerd's socket and prints itself; here the runtime prints. `crictl exec` is in
//! `exec.rs`. Left out by name: everything that changes containers, `stats`, `logs -f`, the runtime's own part of `inspect`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use apimachinery::{Request, Response, ResponseBody, Value, json, value};
use base::Sort as _;
use base::Time;
use cri_api::cri::{self, ContainerState, Id};

use crate::{Container, Runtime, Sandbox};

/// What a command line asked for.
type Asked<'a> = dyn Fn(&str) -> &'a str + 'a;

impl Runtime {
    /// Answers a call of the CRI by its gRPC path.
    pub(crate) fn crictl(&self, now: Time, request: &Request) -> Response {
        let query = |name: &str| request.options.query(name).unwrap_or("");
        let (code, text) = match &*request.path {
            "/runtime.v1.RuntimeService/ListContainers" => (200, self.print_containers(now, &query)),
            "/runtime.v1.RuntimeService/ListPodSandbox" => (200, self.print_pods(now, &query)),
            "/runtime.v1.ImageService/ListImages" => (200, self.print_images(query("quiet") == "true")),
            "/runtime.v1.RuntimeService/ContainerLogs" => {
                self.print_log(query("id"), query("tail").parse().ok(), query("timestamps") == "true")
            }
            "/runtime.v1.RuntimeService/ContainerStatus" => self.inspect_container(query("id")),
            "/runtime.v1.RuntimeService/PodSandboxStatus" => self.inspect_pod(query("id")),
            path => (501, format!("{path} is not in this bottle")),
        };
        let body = ResponseBody::Text("text/plain; charset=utf-8".into(), text.into());
        Response { code, warnings: Vec::new(), body }
    }

    fn print_containers(&self, now: Time, query: &Asked<'_>) -> String {
        let states = match (query("state"), query("all")) {
            ("", "true") => "created running exited",
            ("", _) => "running",
            (state, _) => state,
        };
        let wanted = |c: &Container| {
            let state = format!("{:?}", c.state).to_ascii_lowercase();
            states.split(' ').any(|s| s.eq_ignore_ascii_case(&state))
                && c.config.name.contains(query("name"))
                && c.sandbox.starts_with(query("pod"))
        };
        let mut found: Vec<_> = self.containers().filter(|(_, c)| wanted(c)).collect();
        found.order_by_key(|(_, c)| std::cmp::Reverse(c.created_at));
        if query("quiet") == "true" {
            return found.iter().map(|(id, _)| format!("{id}\n")).collect();
        }
        let header = ["CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"];
        let mut rows = vec![header.map(String::from).to_vec()];
        for (id, c) in found {
            let pod = self.sandboxes.get(&c.sandbox).map(|s| s.config.clone());
            let state = match c.state {
                ContainerState::Created => "Created",
                ContainerState::Running => "Running",
                ContainerState::Exited => "Exited",
            };
            rows.push(vec![
                short(id),
                image_id(&self.image_ref(&c.config.image).1),
                ago(now, c.created_at),
                state.into(),
                c.config.name.to_string(),
                c.config.attempt.to_string(),
                short(&c.sandbox),
                pod.as_ref().map_or_else(|| "unknown".into(), |p| p.pod_name.to_string()),
                pod.as_ref().map_or_else(|| "unknown".into(), |p| p.pod_namespace.to_string()),
            ]);
        }
        table(&rows)
    }

    fn print_pods(&self, now: Time, query: &Asked<'_>) -> String {
        let wanted = |s: &Sandbox| {
            let state = if s.ready { "ready" } else { "notready" };
            s.config.pod_name.contains(query("name"))
                && (query("namespace").is_empty() || *s.config.pod_namespace == *query("namespace"))
                && (query("state").is_empty() || query("state").eq_ignore_ascii_case(state))
        };
        let mut found: Vec<_> = self.sandboxes().filter(|(_, s)| wanted(s)).collect();
        found.order_by_key(|(_, s)| std::cmp::Reverse(s.created_at));
        if query("quiet") == "true" {
            return found.iter().map(|(id, _)| format!("{id}\n")).collect();
        }
        let header = ["POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"];
        let mut rows = vec![header.map(String::from).to_vec()];
        for (id, s) in found {
            rows.push(vec![
                short(id),
                ago(now, s.created_at),
                if s.ready { "Ready" } else { "NotReady" }.into(),
                s.config.pod_name.to_string(),
                s.config.pod_namespace.to_string(),
                s.config.attempt.to_string(),
                "(default)".into(),
            ]);
        }
        table(&rows)
    }

    fn print_images(&self, quiet: bool) -> String {
        let mut rows = vec![["IMAGE", "TAG", "IMAGE ID", "SIZE"].map(String::from).to_vec()];
        // What kubeadm had pulled before the kubelet came is known by the containers that run it.
        let mut images: BTreeMap<Rc<str>, cri::Image> = BTreeMap::new();
        if let cri::Response::Images(pulled) = self.list_images() {
            images.extend(pulled.iter().map(|image| (image.name.clone(), image.clone())));
        }
        for (_, c) in self.containers() {
            if let cri::Response::Image(image) = self.image_status(&c.config.image) {
                images.insert(image.name.clone(), image);
            }
        }
        if quiet {
            return images.values().map(|image| format!("{}\n", image.digest)).collect();
        }
        for image in images.values() {
            let (repository, tag) = image.name.rsplit_once(':').unwrap_or((&image.name, "<none>"));
            rows.push(vec![repository.into(), tag.into(), image_id(&image.digest), size(image.size_bytes)]);
        }
        table(&rows)
    }

    /// The log of the one container whose id begins so.
    fn print_log(&self, id: &str, tail: Option<usize>, timestamps: bool) -> (u16, String) {
        let (_, c) = match self.one_container(id) {
            Ok(found) => found,
            Err(text) => return (404, text),
        };
        let skip = tail.map_or(0, |n| c.log.len().saturating_sub(n));
        (200, c.log.iter().skip(skip).map(|line| crate::logs::print(line, timestamps)).collect())
    }

    /// The one container whose id begins so.
    pub(crate) fn one_container(&self, id: &str) -> Result<(&Id, &Container), String> {
        let mut matching = self.containers().filter(|(full, _)| !id.is_empty() && full.starts_with(id));
        let refused = |why: &str| {
            Err(format!("rpc error: code = NotFound desc = an error occurred when try to find container {id:?}: {why}"))
        };
        match (matching.next(), matching.next()) {
            (Some(found), None) => Ok(found),
            (Some(_), Some(_)) => refused("ID prefix is ambiguous"),
            (None, _) => refused("not found"),
        }
    }

    /// `crictl inspect`
    fn inspect_container(&self, id: &str) -> (u16, String) {
        let (id, c) = match self.one_container(id) {
            Ok(found) => found,
            Err(text) => return (404, text),
        };
        let state = match c.state {
            ContainerState::Created => "CONTAINER_CREATED",
            ContainerState::Running => "CONTAINER_RUNNING",
            ContainerState::Exited => "CONTAINER_EXITED",
        };
        let at = |time: Option<Time>| time.map_or_else(|| "0001-01-01T00:00:00Z".to_string(), Time::rfc3339_nano);
        let mounts: Vec<Value> = c.config.mounts.iter().map(mount).collect();
        let pod = self.sandboxes.get(&c.sandbox).map(|s| s.config.clone()).unwrap_or_default();
        let log = format!(
            "/var/log/pods/{}_{}_{}/{}/{}.log",
            pod.pod_namespace, pod.pod_name, pod.pod_uid, c.config.name, c.config.attempt
        );
        let pid = if c.is_running() { i64::from(c.pid) } else { 0 };
        let body = value!({
            "status": {
                "createdAt": (at(Some(c.created_at))), "exitCode": (i64::from(c.exit_code)), "finishedAt": (at(c.finished_at)),
                "id": (&**id), "image": {"image": (&*c.config.image)}, "imageRef": (&*self.image_ref(&c.config.image).1),
                "labels": {
                    "io.kubernetes.container.name": (&*c.config.name), "io.kubernetes.pod.name": (&*pod.pod_name),
                    "io.kubernetes.pod.namespace": (&*pod.pod_namespace), "io.kubernetes.pod.uid": (&*pod.pod_uid)
                },
                "logPath": (log), "message": (&*c.message),
                "metadata": {"attempt": (i64::from(c.config.attempt)), "name": (&*c.config.name)},
                "mounts": (mounts), "reason": (&*c.reason), "startedAt": (at(c.started_at)), "state": (state)
            },
            "info": {"pid": (pid), "sandboxID": (&*c.sandbox), "runtimeType": "io.containerd.runc.v2"}
        });
        (200, json::to_string_pretty(&body, 2) + "\n")
    }

    /// `crictl inspectp`
    fn inspect_pod(&self, id: &str) -> (u16, String) {
        let mut matching = self.sandboxes().filter(|(full, _)| !id.is_empty() && full.starts_with(id));
        let Some((id, s)) = matching.next() else {
            let text = format!("rpc error: code = NotFound desc = an error occurred when try to find sandbox: not found: {id:?}");
            return (404, text);
        };
        let ip = s.ips.first().map(|ip| ip.to_string()).unwrap_or_default();
        let network = if s.config.host_network { "NODE" } else { "POD" };
        let body = value!({
            "status": {
                "createdAt": (s.created_at.rfc3339_nano()), "id": (&**id),
                "labels": {
                    "io.kubernetes.pod.name": (&*s.config.pod_name), "io.kubernetes.pod.namespace": (&*s.config.pod_namespace),
                    "io.kubernetes.pod.uid": (&*s.config.pod_uid)
                },
                "linux": {"namespaces": {"options": {"ipc": "POD", "network": (network), "pid": "CONTAINER"}}},
                "metadata": {
                    "attempt": (i64::from(s.config.attempt)), "name": (&*s.config.pod_name),
                    "namespace": (&*s.config.pod_namespace), "uid": (&*s.config.pod_uid)
                },
                "network": {"additionalIps": [], "ip": (ip)},
                "state": (if s.ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" })
            }
        });
        (200, json::to_string_pretty(&body, 2) + "\n")
    }
}

fn mount(m: &cri::Mount) -> Value {
    let host = match m.volume.strip_prefix("host:") {
        Some(path) => path.to_string(),
        None => format!("/var/lib/kubelet/pods/{}", m.volume),
    };
    value!({"containerPath": (&*m.container_path), "hostPath": (host), "readonly": (m.read_only)})
}

/// crictl shows 13 digits of an id.
fn short(id: &Id) -> String {
    id.chars().take(13).collect()
}

fn image_id(digest: &str) -> String {
    digest.rsplit(':').next().unwrap_or(digest).chars().take(13).collect()
}

/// Go's tabwriter as crictl sets it: columns at least 20 wide, with at least 3 spaces after each.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count() + 3).max().unwrap_or(0).max(20);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            match i + 1 == columns {
                true => out.push_str(cell),
                false => {
                    let _ = write!(out, "{cell:<0$}", widths[i]);
                }
            }
        }
        out.push('\n');
    }
    out
}

/// Docker's words for a time that has passed.
fn ago(now: Time, then: Time) -> String {
    let s = now.since(then).as_secs();
    let text = match s {
        s if s < 1 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{s} seconds"),
        60..120 => "About a minute".into(),
        120..3600 => format!("{} minutes", s / 60),
        3600..5400 => "About an hour".into(),
        5400..172_800 => format!("{} hours", (s + 1800) / 3600),
        172_800..1_209_600 => format!("{} days", s / 86_400),
        _ => format!("{} weeks", s / 604_800),
    };
    format!("{text} ago")
}

/// Three significant digits, as `71.1MB`.
fn size(bytes: i64) -> String {
    let mut unit = 0;
    let mut scale = 1_i64;
    while bytes / scale >= 1000 && unit < 4 {
        scale *= 1000;
        unit += 1;
    }
    let name = ["B", "kB", "MB", "GB", "TB"][unit];
    let hundredths = bytes * 100 / scale;
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    let text = match whole {
        100.. => whole.to_string(),
        10.. => format!("{whole}.{}", rest / 10),
        _ => format!("{whole}.{rest:02}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{name}")
}
