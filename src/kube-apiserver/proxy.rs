//! Streams to kubelets: logs, exec, attach, port-forward. The server asks the node's kubelet and passes frames both ways.
//! Models `registry/core/pod/rest` and `endpoints/handlers/proxy`. HTTP to pods, Services and nodes is in [`http`].

mod http;

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Credential, Object, Request, Response, ResponseBody, UserInfo, Verb, key, resources};
use base::{Map, Time};
use sim::{Addr, Outbox, Payload, StreamId};

use crate::cache::node_name;
use crate::call::Call;
use crate::server::ApiServer;

/// Streams that are passed on, found from either end.
#[derive(Clone, Default)]
pub struct Relays {
    /// Client's end to kubelet's end, and the call while it waits for its answer.
    by_client: Map<(Addr, StreamId), (Addr, StreamId)>,
    by_kubelet: Map<(Addr, StreamId), (Addr, StreamId)>,
    waiting: Map<(Addr, StreamId), Box<Call>>,
}

impl Relays {
    fn forget(&mut self, client: (Addr, StreamId)) -> Option<(Addr, StreamId)> {
        let kubelet = self.by_client.remove(&client)?;
        self.by_kubelet.remove(&kubelet);
        Some(kubelet)
    }
}

impl ApiServer {
    pub(crate) fn proxy(&mut self, call: Box<Call>, now: Time, out: &mut Outbox) {
        let asked = match call.subresource_is("proxy") {
            true => self.proxied(&call, self.counter),
            false => self.kubelet_request(&call),
        };
        match asked {
            Ok((kubelet, request)) => {
                let id = self.draw();
                let (client, mine) = ((call.client, call.stream), (kubelet, id));
                self.relays.by_client.insert(client, mine);
                self.relays.by_kubelet.insert(mine, client);
                self.relays.waiting.insert(mine, call);
                out.request(kubelet, id, request);
            }
            Err(status) if status.code == 200 => {
                let body = ResponseBody::Text(key("text/plain"), key(""));
                self.finish(call, Response { code: 200, warnings: Vec::new(), body }, now, out);
            }
            Err(status) => self.finish(call, status.into(), now, out),
        }
    }

    /// Where the pod's kubelet is, and what it is asked.
    fn kubelet_request(&self, call: &Call) -> Result<(Addr, Request), Status> {
        let sub = call.request.subresource.to_string();
        let pod = self.cached(call).ok_or_else(|| Status::not_found(call.resource.gvr, &call.name))?;
        let namespace = pod.namespace();
        let kind = match &*sub {
            "log" => "containerLogs",
            "portforward" => "portForward",
            other => other,
        };
        let path = match kind {
            "portForward" => format!("/{kind}/{namespace}/{}", pod.name()),
            _ => format!("/{kind}/{namespace}/{}/{}", pod.name(), container_of(call, &pod)?),
        };
        let node = node_name(&pod).ok_or_else(|| match &*sub {
            // A pod that is nowhere has no log yet: upstream answers an empty one.
            "log" => Status::new(200, "", ""),
            _ => Status::bad_request(format!("pod {} does not have a host assigned", pod.name())),
        })?;
        let Some(&kubelet) = self.kubelets.get(node) else {
            let text = format!("Get \"https://{node}:10250{path}\": dial tcp: lookup {node}: no such host");
            return Err(Status::new(500, "", text));
        };
        let verb = if sub == "log" { Verb::GetPath } else { Verb::OtherPath };
        let request = Request {
            verb,
            path: path.into(),
            options: call.request.options.clone(),
            body: call.request.body.clone(),
            credential: as_kubelet_client(),
            user_agent: key("kube-apiserver"),
            ..Request::default()
        };
        Ok((kubelet, request))
    }

    pub(crate) fn kubelet_answered(&mut self, from: Addr, id: StreamId, response: Rc<Response>, now: Time, out: &mut Outbox) {
        let Some(call) = self.relays.waiting.remove(&(from, id)) else { return };
        let open = matches!(response.body, ResponseBody::StreamStarted | ResponseBody::WatchStarted);
        if !open {
            self.relays.forget((call.client, call.stream));
        }
        let response = match response.code {
            0 => {
                let ResponseBody::Text(_, text) = &response.body else { return };
                if call.subresource_is("proxy") {
                    let text = format!("error trying to reach service: {text}");
                    return self.finish(call, Status::service_unavailable(text).into(), now, out);
                }
                let text = format!("Get \"{}\": {text}", self.kubelet_url(&call));
                Status::new(500, "", text).into()
            }
            _ => (*response).clone(),
        };
        self.finish(call, response, now, out);
    }

    /// What a call asks of a kubelet, as errors name it.
    fn kubelet_url(&self, call: &Call) -> String {
        let pod = self.cached(call);
        let node = pod.as_ref().and_then(node_name).map_or("", |n| &**n);
        let addresses = self.peek(resources::nodes(), "", node).map(|n| n.list_at(&["status", "addresses"])).unwrap_or_default();
        let internal = addresses.iter().find(|a| a.str_at(&["type"]) == Some("InternalIP"));
        let host = internal.and_then(|a| a.str_at(&["address"])).unwrap_or(node);
        let path = self.kubelet_request(call).map(|(_, request)| request.path.to_string()).unwrap_or_default();
        let mut query: Vec<String> =
            call.request.options.query.iter().filter(|(k, _)| &**k != "container").map(|(k, v)| format!("{k}={v}")).collect();
        query.sort();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        format!("https://{host}:10250{path}{query}")
    }

    /// Passes a frame on to the other end.
    pub(crate) fn relay_frame(&mut self, from: Addr, id: StreamId, channel: u8, data: Rc<[u8]>, out: &mut Outbox) {
        let end = (from, id);
        let other = self.relays.by_client.get(&end).or_else(|| self.relays.by_kubelet.get(&end));
        if let Some((to, id)) = other.copied() {
            out.send(to, Payload::StreamFrame { id, channel, data });
        }
    }

    pub(crate) fn relay_end(&mut self, from: Addr, id: StreamId, out: &mut Outbox) {
        let end = (from, id);
        if let Some(client) = self.relays.by_kubelet.get(&end).copied() {
            self.relays.forget(client);
            out.send(client.0, Payload::StreamEnd { id: client.1 });
        } else if let Some(kubelet) = self.relays.forget(end) {
            self.relays.waiting.remove(&kubelet);
            out.send(kubelet.0, Payload::StreamEnd { id: kubelet.1 });
        }
    }

    /// A client or a kubelet is gone: its streams end at the other side.
    pub(crate) fn relay_peer_gone(&mut self, peer: Addr, out: &mut Outbox) {
        let range = (peer, 0)..=(peer, StreamId::MAX);
        let ends: Vec<(Addr, StreamId)> = self.relays.by_client.range(range.clone()).map(|(k, _)| *k).collect();
        let kubelet_ends: Vec<(Addr, StreamId)> = self.relays.by_kubelet.range(range).map(|(k, _)| *k).collect();
        for (addr, id) in ends.into_iter().chain(kubelet_ends) {
            self.relay_end(addr, id, out);
        }
    }
}

/// The client certificate that kubelets know kube-apiserver by.
fn as_kubelet_client() -> Credential {
    Credential::Certificate(Rc::new(UserInfo::new("kube-apiserver-kubelet-client", &["system:masters"])))
}

/// The container that is meant; one must be named if there are several. Models `podutils` in `pod/strategy.go`.
fn container_of(call: &Call, pod: &Object) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        pod.list_at(&["spec", list]).iter().filter_map(|c| c.str_at(&["name"]).map(str::to_string)).collect()
    };
    let (main, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let asked = call.request.options.query("container").unwrap_or("");
    let pod_name = pod.name();
    if !asked.is_empty() {
        let known = main.iter().chain(&init).chain(&ephemeral).any(|n| n == asked);
        return if known {
            Ok(asked.into())
        } else {
            Err(Status::bad_request(format!("container {asked} is not valid for pod {pod_name}")))
        };
    }
    let default = pod.annotation("kubectl.kubernetes.io/default-container").filter(|d| main.iter().any(|m| m == d));
    match (main.as_slice(), default) {
        (_, Some(default)) if &*call.request.subresource.text() != "log" => Ok(default.into()),
        ([one], _) => Ok(one.clone()),
        ([], _) => Err(Status::bad_request(format!("a container name must be specified for pod {pod_name}"))),
        (many, _) => {
            let mut text = format!("a container name must be specified for pod {pod_name}, choose one of: [{}]", many.join(" "));
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(text))
        }
    }
}
