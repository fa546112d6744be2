//! What the kubelet says on its standard error: systemd keeps it, and `journalctl -u kubelet` shows it.
//!
//! Entries are kept as values and become text when somebody reads them. Messages, keys and files are those of the real kubelet at
//! `--v=2`; the numbers of lines behind the files are approximate. Hollow kubelets say nothing. Left out: what other libraries
//! in the process say (reflectors, cAdvisor), and the configuration dumps of the start.

use std::fmt::Write;
use std::rc::Rc;

use apimachinery::field::go_quote;
use apimachinery::{ObjectKey, yaml};
use base::{Time, Vector};
use client_go::Delta;
use cri_api::cri::{ContainerStatus, Request};

use crate::kubelet::{Kubelet, only_status_of_ours_changed};
use crate::pod_worker::PodWorker;

type Text = Rc<str>;

/// Entries that one life of a kubelet keeps.
const MAX_ENTRIES: usize = 500;

/// klog's first letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// A value of a structured line.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    Text(Text),
    /// A structure, as JSON: klog puts no quotes around it.
    Json(Text),
    Number(i64),
    Pod(ObjectKey),
    /// A list of one pod.
    Pods(ObjectKey),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Arg {
        Arg::Text(text.into())
    }
}
impl From<&Text> for Arg {
    fn from(text: &Text) -> Arg {
        Arg::Text(text.clone())
    }
}
impl From<String> for Arg {
    fn from(text: String) -> Arg {
        Arg::Text(text.into())
    }
}
impl From<i64> for Arg {
    fn from(number: i64) -> Arg {
        Arg::Number(number)
    }
}
impl From<&ObjectKey> for Arg {
    fn from(pod: &ObjectKey) -> Arg {
        Arg::Pod(pod.clone())
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: Time,
    severity: Severity,
    /// `kubelet.go:2537`
    place: &'static str,
    message: &'static str,
    args: Vec<(&'static str, Arg)>,
}

impl Entry {
    /// In klog's form, as process `pid` writes it.
    pub fn print(&self, pid: u32) -> String {
        let letter = match self.severity {
            Severity::Info => 'I',
            Severity::Warning => 'W',
            Severity::Error => 'E',
        };
        let at = self.at.rfc3339_micro();
        let (month, day, time) = (&at[5..7], &at[8..10], &at[11..26]);
        let mut line = format!("{letter}{month}{day} {time} {pid:>7} {}] {}", self.place, go_quote(self.message));
        for (key, value) in &self.args {
            let _ = match value {
                Arg::Text(text) => write!(line, " {key}={}", go_quote(text)),
                Arg::Json(text) => write!(line, " {key}={text}"),
                Arg::Number(number) => write!(line, " {key}={number}"),
                Arg::Pod(pod) => write!(line, " {key}={}", go_quote(&pod.to_string())),
                Arg::Pods(pod) => write!(line, " {key}=[{}]", go_quote(&pod.to_string())),
            };
        }
        line
    }
}

/// The lines of one life of a kubelet, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Vector<Entry>,
    dropped: u64,
}

impl Journal {
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
    /// How many older ones are gone.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Kubelet {
    /// What this kubelet has said since it started: the newest [`MAX_ENTRIES`] lines.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn info(&mut self, place: &'static str, message: &'static str, args: Vec<(&'static str, Arg)>) {
        self.note(Severity::Info, place, message, args);
    }

    pub(crate) fn error(&mut self, place: &'static str, message: &'static str, args: Vec<(&'static str, Arg)>) {
        self.note(Severity::Error, place, message, args);
    }

    fn note(&mut self, severity: Severity, place: &'static str, message: &'static str, args: Vec<(&'static str, Arg)>) {
        if self.config.is_hollow() {
            return;
        }
        self.journal.entries.push_back(Entry { at: self.now, severity, place, message, args });
        if self.journal.entries.len() > MAX_ENTRIES {
            self.journal.entries.pop_front();
            self.journal.dropped += 1;
        }
    }

    /// A pod came from kube-apiserver, changed, is to go, or is gone.
    pub(crate) fn note_api_pod(&mut self, delta: &Delta) {
        if self.config.is_hollow() {
            return;
        }
        let (place, message) = match (&delta.old, &delta.new) {
            (None, Some(_)) => ("kubelet.go:2537", "SyncLoop ADD"),
            (Some(old), Some(new)) if new.is_being_deleted() && !old.is_being_deleted() => ("kubelet.go:2547", "SyncLoop DELETE"),
            (Some(old), Some(new)) if only_status_of_ours_changed(old, new) => return,
            (Some(_), Some(_)) => ("kubelet.go:2540", "SyncLoop UPDATE"),
            (_, None) => ("kubelet.go:2553", "SyncLoop REMOVE"),
        };
        self.info(place, message, vec![("source", "api".into()), ("pods", Arg::Pods(delta.object().key()))]);
    }

    /// What is asked of the runtime, where the kubelet says so.
    pub(crate) fn note_request(&mut self, worker: &PodWorker, request: &Request) {
        let name = |id: &Text| worker.containers.iter().find(|c| c.id == *id).map(|c| c.name.clone()).unwrap_or_default();
        let pod = ("pod", Arg::Pod(worker.key.clone()));
        match request {
            Request::RunPodSandbox(_) if worker.attempt > 0 => {
                let message = "No ready sandbox for pod can be found. Need to start a new one";
                self.info("util.go:48", message, vec![pod]);
            }
            Request::RunPodSandbox(_) => {
                self.info("util.go:30", "No sandbox for pod can be found. Need to start a new one", vec![pod]);
            }
            Request::StopContainer { container, grace } => {
                let args = vec![
                    pod,
                    ("podUID", worker.pod.uid().into()),
                    ("containerName", (&name(container)).into()),
                    ("containerID", format!("containerd://{container}").into()),
                    ("gracePeriod", grace.as_secs().into()),
                ];
                self.info("kuberuntime_container.go:864", "Killing container with a grace period", args);
            }
            Request::RemoveContainer { container } => {
                self.info("scope.go:122", "RemoveContainer", vec![("containerID", container.into())]);
            }
            _ => {}
        }
    }

    pub(crate) fn note_exit(&mut self, uid: &Text, status: &ContainerStatus) {
        let Some(pod) = self.workers.get(uid).map(|w| w.key.clone()) else { return };
        let event = format!("{{\"ID\":\"{uid}\",\"Type\":\"ContainerDied\",\"Data\":\"{}\"}}", status.id);
        let exit_code = i64::from(status.exit_code).into();
        let args = vec![("podID", uid.into()), ("containerID", (&status.id).into()), ("exitCode", exit_code)];
        self.info("generic.go:358", "Generic (PLEG): container finished", args);
        let args = vec![("pod", Arg::Pod(pod)), ("event", Arg::Json(event.into()))];
        self.info("kubelet.go:2569", "SyncLoop (PLEG): event for pod", args);
    }

    /// A file among the manifests that is no pod: upstream says so at every look.
    pub(crate) fn note_bad_manifest(&mut self, name: &Text, text: &str) {
        let err = match yaml::parse(text) {
            Err(e) => format!("couldn't parse as pod({e})"),
            Ok(_) => "couldn't parse as pod(invalid pod: kind must be Pod and metadata.name must be set)".to_string(),
        };
        let args = vec![("path", format!("{}/{name}", self.config.static_pod_path).into()), ("err", err.into())];
        self.error("file.go:187", "Could not process manifest file", args);
    }

    /// Why a container is not started, as the sync's error says it; the event about it says less.
    fn start_error(&self, uid: &Text, path: &str) -> Option<String> {
        let name = path.split_once('{')?.1.strip_suffix('}')?;
        let (reason, message) = self.workers.get(uid)?.reasons.get(name)?;
        Some(format!("failed to \"StartContainer\" for {} with {reason}: {}", go_quote(name), go_quote(message)))
    }

    /// What the pod's worker could not do, or a probe found. `path`: of the container in its pod.
    pub(crate) fn note_pod_event(&mut self, pod: &ObjectKey, uid: &Text, path: Option<&str>, reason: &str, message: &str) {
        let error = path.filter(|_| matches!(reason, "BackOff" | "Failed")).and_then(|p| self.start_error(uid, p));
        // A failed pull has two events, and is one error.
        if error.is_some() && message.starts_with("Failed to pull image") {
            return;
        }
        let message = error.as_deref().unwrap_or(message);
        let args = |key, text: &str| vec![(key, text.into()), ("pod", pod.into()), ("podUID", uid.into())];
        match reason {
            "Unhealthy" => self.info("prober.go:120", "Probe failed", args("output", message)),
            "BackOff" | "Failed" | "FailedMount" | "FailedCreatePodSandBox" | "NetworkNotReady" | "InspectFailed" => {
                self.error("pod_workers.go:1324", "Error syncing pod, skipping", args("err", message));
            }
            "FailedPostStartHook" | "FailedPreStopHook" => {
                self.error("handlers.go:85", "Exec lifecycle hook for Container in Pod failed", args("err", message));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_line_is_in_klogs_form() {
        let entry = Entry {
            at: Time::parse("2026-11-30T10:35:57.123456Z").unwrap(),
            severity: Severity::Info,
            place: "kubelet.go:2537",
            message: "SyncLoop ADD",
            args: vec![("source", "api".into()), ("pods", Arg::Pods(ObjectKey::new("default", "web")))],
        };
        expect![[r#"I1130 10:35:57.123456     714 kubelet.go:2537] "SyncLoop ADD" source="api" pods=["default/web"]"#]]
            .assert_eq(&entry.print(714));
    }
}
