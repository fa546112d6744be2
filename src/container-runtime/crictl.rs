//! What `crictl` shows: the CRI's lists from the runtime's own memory, printed.
//!
//! The real crictl speaks gRPC with containerd's socket and prints itself; here the runtime prints. Left out by name: `inspect`
//! and everything that changes containers.

use std::fmt::Write;

use apimachinery::{Request, Response, ResponseBody};
use base::Sort as _;
use base::Time;
use cri_api::cri::{self, ContainerState, Id};

use crate::Runtime;

impl Runtime {
    /// Answers a call of the CRI by its gRPC path.
    pub(crate) fn crictl(&self, now: Time, request: &Request) -> Response {
        let query = |name| request.options.query(name).unwrap_or("");
        let (code, text) = match &*request.path {
            "/runtime.v1.RuntimeService/ListContainers" => (200, self.print_containers(now, query("all") == "true")),
            "/runtime.v1.RuntimeService/ListPodSandbox" => (200, self.print_pods(now)),
            "/runtime.v1.ImageService/ListImages" => (200, self.print_images()),
            "/runtime.v1.RuntimeService/ContainerLogs" => self.print_log(query("id"), query("tail").parse().ok()),
            path => (501, format!("{path} is not in this bottle")),
        };
        let body = ResponseBody::Text("text/plain; charset=utf-8".into(), text.into());
        Response { code, warnings: Vec::new(), body }
    }

    fn print_containers(&self, now: Time, all: bool) -> String {
        let mut found: Vec<_> = self.containers().filter(|(_, c)| all || c.is_running()).collect();
        found.order_by_key(|(_, c)| std::cmp::Reverse(c.created_at));
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

    fn print_pods(&self, now: Time) -> String {
        let mut found: Vec<_> = self.sandboxes().collect();
        found.order_by_key(|(_, s)| std::cmp::Reverse(s.created_at));
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

    fn print_images(&self) -> String {
        let mut rows = vec![["IMAGE", "TAG", "IMAGE ID", "SIZE"].map(String::from).to_vec()];
        if let cri::Response::Images(images) = self.list_images() {
            for image in images {
                let (repository, tag) = image.name.rsplit_once(':').unwrap_or((&image.name, "<none>"));
                rows.push(vec![repository.into(), tag.into(), image_id(&image.digest), size(image.size_bytes)]);
            }
        }
        table(&rows)
    }

    /// The log of the one container whose id begins so.
    fn print_log(&self, id: &str, tail: Option<usize>) -> (u16, String) {
        let mut matching = self.containers().filter(|(full, _)| !id.is_empty() && full.starts_with(id));
        let Some((_, c)) = matching.next() else {
            let text =
                format!("rpc error: code = NotFound desc = an error occurred when try to find container {id:?}: not found");
            return (404, text);
        };
        if matching.next().is_some() {
            return (
                404,
                format!(
                    "rpc error: code = NotFound desc = an error occurred when try to find container {id:?}: ID prefix is ambiguous"
                ),
            );
        }
        let skip = tail.map_or(0, |n| c.log.len().saturating_sub(n));
        let mut text = String::new();
        for line in c.log.iter().skip(skip) {
            let _ = write!(text, "{}{}", line.text, if line.newline { "\n" } else { "" });
        }
        (200, text)
    }
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
        ..1 => "Less than a second".into(),
        1 => "1 second".into(),
        ..60 => format!("{s} seconds"),
        ..120 => "About a minute".into(),
        ..3600 => format!("{} minutes", s / 60),
        ..5400 => "About an hour".into(),
        ..172_800 => format!("{} hours", (s + 1800) / 3600),
        ..1_209_600 => format!("{} days", s / 86_400),
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
