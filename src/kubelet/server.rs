//! The kubelet's own server, asked by kube-apiserver: logs, exec, attach, port-forward, health. Models `pkg/kubelet/server`. Frames
//! pass between the caller's stream and the runtime's unchanged.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Options, Request, Response, ResponseBody, json};
use base::{Duration, Map, Time};
use cri_api::cri::{self, LogOptions};
use sim::{Addr, Outbox, Payload, StreamId};

use crate::kubelet::{CriCall, Kubelet};
use crate::metrics::Document;
use crate::pod_worker::PodWorker;

type Text = Rc<str>;
type Caller = (Addr, StreamId);

/// What a request to the runtime on a caller's behalf was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Served {
    Logs,
    /// Exec, attach, port-forward.
    Stream,
    Run,
    /// Metrics made of the runtime's figures.
    Stats(Document),
}

/// Open streams, both ways.
#[derive(Clone, Default)]
pub struct Server {
    callers: Map<u64, Caller>,
    calls: Map<Caller, u64>,
}

impl Kubelet {
    pub(crate) fn serve(&mut self, from: Addr, id: StreamId, request: &Request, out: &mut Outbox) {
        let path = request.path.clone();
        let parts: Vec<&str> = path.split('?').next().unwrap_or("").trim_matches('/').split('/').collect();
        let answer = match parts[..] {
            ["healthz"] | ["healthz", _] => Ok(text("ok")),
            ["metrics"] => Ok(self.own_metrics()),
            ["metrics", what @ ("resource" | "cadvisor")] => {
                let document = if what == "resource" { Document::Resource } else { Document::Cadvisor };
                if self.config.runtime.is_some() {
                    return self.pass(from, id, Served::Stats(document), cri::Request::Stats, out);
                }
                Ok(self.stats_document(document, &cri::NodeStats::default(), &[]))
            }
            ["pods"] => Ok(self.pods_text()),
            ["containerLogs", namespace, pod, container] => match self.log_request(namespace, pod, container, &request.options) {
                Ok(request) => return self.pass(from, id, Served::Logs, request, out),
                Err(status) => Err(status),
            },
            [what @ ("exec" | "attach" | "run"), namespace, pod, container] => {
                match self.exec_request(what, namespace, pod, container, &request.options) {
                    Ok(request) => {
                        let served = if what == "run" { Served::Run } else { Served::Stream };
                        return self.pass(from, id, served, request, out);
                    }
                    Err(status) => Err(status),
                }
            }
            ["portForward", namespace, pod] => match self.forward_request(namespace, pod, &request.options) {
                Ok(request) => return self.pass(from, id, Served::Stream, request, out),
                Err(status) => Err(status),
            },
            _ => Err(Status::not_implemented(format!("the kubelet's {path}"))),
        };
        out.respond(from, id, answer.unwrap_or_else(Response::from));
    }

    /// Asks the runtime; the answer goes to the caller.
    fn pass(&mut self, from: Addr, id: StreamId, served: Served, request: cri::Request, out: &mut Outbox) {
        let call = self.cri(CriCall::Served(from, id, served), request, out);
        self.server.callers.insert(call, (from, id));
        self.server.calls.insert((from, id), call);
    }

    fn worker_named(&self, namespace: &str, pod: &str) -> Result<&PodWorker, Status> {
        let uid = self.by_key.get(&apimachinery::ObjectKey::new(namespace, pod));
        let worker = uid.and_then(|uid| self.workers.get(uid));
        worker.map(|w| &**w).ok_or_else(|| Status::not_found(apimachinery::resources::pods(), pod))
    }

    fn pods_text(&self) -> Response {
        let mut out = String::from("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
        for (i, worker) in self.workers.values().enumerate() {
            if i > 0 {
                out.push(',');
            }
            json::write(worker.pod.value(), &mut out);
        }
        out.push_str("]}");
        Response { code: 200, body: ResponseBody::Text("application/json".into(), out.into()), ..Response::default() }
    }

    fn log_request(&self, namespace: &str, pod: &str, container: &str, options: &Options) -> Result<cri::Request, Status> {
        let worker = self.worker_named(namespace, pod)?;
        let on = |name: &str| matches!(options.query(name), Some("true" | "1"));
        let number = |name: &str| options.query(name).and_then(|v| v.parse::<i64>().ok());
        let since = number("sinceSeconds").map(|s| Time(self.now.0 - s * 1_000_000));
        let since = since.or_else(|| options.query("sinceTime").and_then(Time::parse));
        let wanted = LogOptions {
            follow: on("follow"),
            timestamps: on("timestamps"),
            tail_lines: number("tailLines"),
            limit_bytes: number("limitBytes"),
            since,
            previous: on("previous"),
        };
        let container = container_to_read(worker, container, wanted.previous)?;
        // The container was chosen here: to the runtime it is just one.
        let wanted = LogOptions { previous: false, ..wanted };
        Ok(cri::Request::ReadLogs { container, options: wanted })
    }

    fn exec_request(
        &self,
        what: &str,
        namespace: &str,
        pod: &str,
        container: &str,
        options: &Options,
    ) -> Result<cri::Request, Status> {
        let worker = self.worker_named(namespace, pod)?;
        let running = worker.latest(container).filter(|_| worker.runs(container));
        let Some(running) = running else {
            return Err(Status::bad_request(format!("container not found (\"{container}\")")));
        };
        let on = |name: &str| matches!(options.query(name), Some("true" | "1"));
        let id = running.id.clone();
        if what == "attach" {
            return Ok(cri::Request::Attach { container: id, tty: on("tty"), stdin: on("stdin") });
        }
        let command: Vec<Text> =
            options.query.iter().filter(|(k, _)| &**k == "command" || &**k == "cmd").map(|(_, v)| v.clone()).collect();
        match what {
            "run" => Ok(cri::Request::ExecSync { container: id, command, timeout: Duration::from_secs(600) }),
            _ => Ok(cri::Request::Exec { container: id, command, tty: on("tty"), stdin: on("stdin") }),
        }
    }

    fn forward_request(&self, namespace: &str, pod: &str, options: &Options) -> Result<cri::Request, Status> {
        let worker = self.worker_named(namespace, pod)?;
        let port = options.query("ports").or_else(|| options.query("port")).and_then(|p| p.parse().ok());
        match (&worker.sandbox, port) {
            (Some(sandbox), Some(port)) => Ok(cri::Request::PortForward { sandbox: sandbox.id.clone(), port }),
            (None, _) => Err(Status::internal("unable to do port forwarding: the pod has no sandbox")),
            // What real clients send names its ports in the streams that it opens later.
            (_, None) => Err(Status::not_implemented("port-forward by streams of SPDY")),
        }
    }

    pub(crate) fn on_served(&mut self, call: u64, caller: Caller, served: Served, response: &cri::Response, out: &mut Outbox) {
        let (to, id) = caller;
        let answer = match (served, response) {
            (Served::Logs, cri::Response::Logs { data, follows: true }) => {
                out.respond(to, id, started(200));
                if !data.is_empty() {
                    out.send(to, Payload::StreamFrame { id, channel: 1, data: data.clone() });
                }
                return;
            }
            (Served::Logs, cri::Response::Logs { data, .. }) => text(&String::from_utf8_lossy(data)),
            (Served::Stream, cri::Response::Streaming) => return out.respond(to, id, started(101)),
            (Served::Stream, cri::Response::Error { message, .. }) => {
                out.respond(to, id, started(101));
                let status = Status::internal(format!("error executing command in container: {message}"));
                let data: Rc<[u8]> = json::to_string(status.to_object().value()).as_bytes().into();
                out.send(to, Payload::StreamFrame { id, channel: 3, data });
                out.send(to, Payload::StreamEnd { id });
                return self.close(call);
            }
            (Served::Run, cri::Response::ExecSync { stdout, stderr, .. }) => {
                text(&format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr)))
            }
            (Served::Stats(document), cri::Response::Stats { node, containers, .. }) => {
                self.stats_document(document, node, containers)
            }
            (_, cri::Response::Error { message, .. }) => Status::internal(message).into(),
            (_, other) => Status::internal(format!("unexpected answer of the runtime: {other:?}")).into(),
        };
        self.close(call);
        out.respond(to, id, answer);
    }

    fn close(&mut self, call: u64) {
        if let Some(caller) = self.server.callers.remove(&call) {
            self.server.calls.remove(&caller);
        }
    }

    /// A frame of the runtime goes to the caller.
    pub(crate) fn frame_out(&mut self, call: u64, channel: u8, data: &Rc<[u8]>, out: &mut Outbox) {
        if let Some(&(to, id)) = self.server.callers.get(&call) {
            out.send(to, Payload::StreamFrame { id, channel, data: data.clone() });
        }
    }
    pub(crate) fn end_out(&mut self, call: u64, out: &mut Outbox) {
        if let Some(&(to, id)) = self.server.callers.get(&call) {
            out.send(to, Payload::StreamEnd { id });
            self.close(call);
        }
    }
    /// A frame of the caller goes to the runtime.
    pub(crate) fn frame_in(&mut self, from: Addr, id: StreamId, channel: u8, data: &Rc<[u8]>, out: &mut Outbox) {
        if let (Some(&call), Some(runtime)) = (self.server.calls.get(&(from, id)), self.config.runtime) {
            let frame = cri::Message::Frame { id: call, channel, data: data.clone() };
            out.send(runtime, Payload::Cri(Rc::new(frame)));
        }
    }
    /// The caller went away. True: the stream was one of the server's.
    pub(crate) fn end_in(&mut self, from: Addr, id: StreamId, out: &mut Outbox) -> bool {
        self.forget_caller(from, id);
        let Some(&call) = self.server.calls.get(&(from, id)) else { return false };
        if let Some(runtime) = self.config.runtime {
            out.send(runtime, Payload::Cri(Rc::new(cri::Message::FrameEnd { id: call })));
        }
        self.close(call);
        true
    }
}

/// The container whose log is meant, or why there is none. Models `validateContainerLogStatus`.
fn container_to_read(worker: &PodWorker, name: &str, previous: bool) -> Result<cri::Id, Status> {
    let mut mine = worker.containers.iter().rev().filter(|c| &*c.name == name && c.state != cri::ContainerState::Created);
    let latest = mine.next();
    let pod = worker.pod.name();
    if previous {
        let before = mine
            .next()
            .or_else(|| latest.filter(|c| c.state == cri::ContainerState::Exited && worker.reasons.contains_key(name)));
        return before
            .map(|c| c.id.clone())
            .ok_or_else(|| Status::bad_request(format!("previous terminated container \"{name}\" in pod \"{pod}\" not found")));
    }
    if let Some(c) = latest {
        return Ok(c.id.clone());
    }
    let waiting = match worker.reasons.get(name).map(|(reason, _)| &**reason) {
        Some("ErrImagePull" | "ImagePullBackOff") => "trying and failing to pull image",
        Some("ErrImageNeverPull") => "image can't be pulled",
        Some(other) => other,
        None if worker.pod.list_at(&["spec", "initContainers"]).is_empty() => "ContainerCreating",
        None => "PodInitializing",
    };
    Err(Status::bad_request(format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {waiting}")))
}

fn text(body: &str) -> Response {
    Response { code: 200, body: ResponseBody::Text("text/plain".into(), body.into()), ..Response::default() }
}

fn started(code: u16) -> Response {
    Response { code, body: ResponseBody::StreamStarted, ..Response::default() }
}
