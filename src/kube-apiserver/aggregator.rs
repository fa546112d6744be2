//! Aggregated API servers: an APIService names a Service, and kube-apiserver passes the requests of that group version on to it.
//!
//! Models `k8s.io/kube-aggregator`: the proxy (`apiserver/handler_proxy.go`), the availability controller
//! (`controllers/status/remote`), and the groups in discovery. The connection goes over the cluster's network like any other: the
//! machine of this process opens it to the Service's cluster IP ([`Config::machine`](crate::Config)), so that kube-proxy's rules,
//! routes and faults act on it. The user who asks is named by `X-Remote-*` headers, as the real proxy does.
//! Left out by name: TLS and the proxy's client certificate, watches and other streams of aggregated APIs (501), Services of type
//! ExternalName, OpenAPI of aggregated APIs, audit.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Credential, Gvr, Object, Request, Response, ResponseBody, UserInfo, Value, Verb, json, key, value};
use base::{Duration, Map, Sort as _, Time};
use sim::{Addr, Outbox, StreamId};

use crate::aggregated::{attributes, url};
use crate::flowcontrol::Ticket;
use crate::routing;
use crate::server::{ApiServer, timer};

/// How often an available server is looked at, and one that isn't.
const CHECK: Duration = Duration::from_secs(30);
const CHECK_FAILED: Duration = Duration::from_secs(5);

/// What is known of aggregated servers. Empty in a cluster without any: then nothing here runs.
#[derive(Clone, Default)]
pub struct Aggregator {
    /// By group and version.
    remotes: Map<(Rc<str>, Rc<str>), Remote>,
    /// Requests under way to them, by the number of their stream.
    calls: Map<u64, Passed>,
    armed: bool,
}

#[derive(Clone)]
struct Remote {
    object: Object,
    /// As the last check found it; `None`: not checked yet.
    available: Option<bool>,
    checked: Time,
    /// The APIResourceList that it answered last.
    resources: Option<Object>,
}

#[derive(Clone)]
enum Passed {
    /// A client's request, to be answered.
    Call { client: Addr, stream: StreamId, request: Rc<Request>, ticket: Option<Ticket> },
    /// The look at a server's discovery document.
    Check { group: Rc<str>, version: Rc<str>, url: Rc<str> },
}

/// The group version that a request is for: of the parsed form or of the path.
fn group_version(request: &Request) -> Option<(Rc<str>, Rc<str>)> {
    if !request.gvr.resource.is_empty() {
        return Some((request.gvr.group.text(), request.gvr.version.text()));
    }
    let path = request.path.split('?').next().unwrap_or("");
    let mut parts = path.trim_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("apis"), Some(group), Some(version)) => Some((group.into(), version.into())),
        _ => None,
    }
}

impl ApiServer {
    /// An APIService has changed in the watch cache.
    pub(crate) fn note_apiservice(&mut self, old: Option<&Object>, new: Option<&Object>) {
        let of = |o: &Object| {
            let text = |field| Rc::<str>::from(o.str_at(&["spec", field]).unwrap_or(""));
            (text("group"), text("version"))
        };
        let remote = new.filter(|o| o.at(&["spec", "service"]).is_some_and(|s| !s.is_null()));
        match (old, remote) {
            (_, Some(object)) => {
                let entry = self.aggregator.remotes.get(&of(object)).cloned();
                let same = entry.filter(|r| r.object.get("spec") == object.get("spec") && r.object.uid() == object.uid());
                let remote = match same {
                    Some(remote) => Remote { object: object.clone(), ..remote },
                    None => Remote { object: object.clone(), available: None, checked: Time::EPOCH, resources: None },
                };
                self.aggregator.remotes.insert(of(object), remote);
            }
            (Some(old), None) => {
                self.aggregator.remotes.remove(&of(old));
            }
            (None, None) => {}
        }
    }

    /// Makes sure that new servers are looked at soon. Called after changes of APIServices.
    pub(crate) fn arm_aggregator(&mut self, out: &mut Outbox) {
        if !self.aggregator.armed && !self.aggregator.remotes.is_empty() {
            self.aggregator.armed = true;
            out.timer(Duration::from_millis(100), timer::AGGREGATOR);
        }
    }

    /// Whether a request is an aggregated server's. Costs nothing where there is none.
    pub(crate) fn is_aggregated(&self, request: &Request) -> bool {
        !self.aggregator.remotes.is_empty() && group_version(request).is_some_and(|gv| self.aggregator.remotes.contains_key(&gv))
    }

    /// Authorizes a request and passes it on.
    pub(crate) fn pass_on(
        &mut self,
        client: Addr,
        stream: StreamId,
        request: &Rc<Request>,
        user: &Rc<UserInfo>,
        ticket: Option<Ticket>,
        out: &mut Outbox,
    ) -> Result<(), Response> {
        let Some(gv) = group_version(request) else { return Err(routing::not_found().into()) };
        let meaning = match request.gvr.resource.is_empty() {
            true => attributes(request)?,
            false => Some((**request).clone()),
        };
        match &meaning {
            Some(meaning) => self.authorize(user, meaning)?,
            None => self.authorize_path(user, request)?,
        }
        if meaning.as_ref().is_some_and(|m| m.verb == Verb::Watch) {
            return Err(Status::not_implemented("a watch of an aggregated API").into());
        }
        let Some(remote) = self.aggregator.remotes.get(&gv) else { return Err(routing::not_found().into()) };
        if remote.available != Some(true) {
            return Err(unavailable());
        }
        let Ok((target, _)) = self.target(&remote.object) else { return Err(unavailable()) };
        let number = self.send_to_remote(&target, url(request).into(), Some((request, user)), out);
        self.aggregator.calls.insert(number, Passed::Call { client, stream, request: request.clone(), ticket });
        Ok(())
    }

    fn send_to_remote(&mut self, target: &str, path: Rc<str>, from: Option<(&Request, &UserInfo)>, out: &mut Outbox) -> u64 {
        let number = self.draw();
        let mut sent = Request { verb: Verb::Get, path, user_agent: key("kube-apiserver"), ..Request::default() };
        let mut header = |name: &str, value: &str| {
            sent.options.query.push((container_header(), format!("{name}: {value}").into()));
        };
        match from {
            Some((request, user)) => {
                header("X-Remote-User", &user.name);
                user.groups.iter().for_each(|g| header("X-Remote-Group", g));
                sent.verb = request.verb;
                sent.body = request.body.clone();
                sent.accept = Some(key("application/json"));
            }
            None => {
                header("X-Remote-User", "system:kube-aggregator");
                header("X-Remote-Group", "system:masters");
            }
        }
        sent.options.query.push((connect_to(), target.into()));
        out.request(self.config.machine, number, sent);
        number
    }

    /// An answer from the machine. False: it was for somebody else.
    pub(crate) fn remote_answered(&mut self, id: StreamId, response: &Response, now: Time, out: &mut Outbox) -> bool {
        let Some(passed) = self.aggregator.calls.remove(&id) else { return false };
        match passed {
            Passed::Call { client, stream, request, ticket } => {
                let response = match &response.body {
                    ResponseBody::Text(_, text) if response.code == 0 => {
                        Status::service_unavailable(format!("error trying to reach service: {text}")).into()
                    }
                    body => parsed(response.code, body),
                };
                self.reply(client, stream, &request, response, out);
                self.give_seat_back(ticket, request.verb, now);
            }
            Passed::Check { group, version, url } => self.checked(&(group, version), &url, response, now, out),
        }
        true
    }

    /// The time for checks has come.
    pub(crate) fn check_remotes(&mut self, now: Time, out: &mut Outbox) {
        self.aggregator.armed = false;
        let due: Vec<(Rc<str>, Rc<str>)> = self
            .aggregator
            .remotes
            .iter()
            .filter(|(_, r)| now - r.checked >= if r.available == Some(true) { CHECK } else { CHECK_FAILED })
            .map(|(gv, _)| gv.clone())
            .collect();
        for gv in due {
            self.check_remote(gv, now, out);
        }
        if !self.aggregator.remotes.is_empty() {
            self.aggregator.armed = true;
            out.timer(CHECK_FAILED, timer::AGGREGATOR);
        }
    }

    fn check_remote(&mut self, gv: (Rc<str>, Rc<str>), now: Time, out: &mut Outbox) {
        let Some(remote) = self.aggregator.remotes.get_mut(&gv) else { return };
        remote.checked = now;
        let object = remote.object.clone();
        match self.target(&object) {
            Ok(_) if self.config.machine == Addr::OUTSIDE => {
                let text = "this kube-apiserver runs on no machine that could open a connection";
                self.set_available(&gv, false, "FailedDiscoveryCheck", text, now, out);
            }
            Ok((target, host)) => {
                let path = format!("/apis/{}/{}", gv.0, gv.1);
                let url = format!("https://{host}{path}").into();
                let number = self.send_to_remote(&target, path.into(), None, out);
                self.aggregator.calls.insert(number, Passed::Check { group: gv.0, version: gv.1, url });
            }
            Err((reason, message)) => self.set_available(&gv, false, reason, &message, now, out),
        }
    }

    fn checked(&mut self, gv: &(Rc<str>, Rc<str>), url: &str, response: &Response, now: Time, out: &mut Outbox) {
        let failing = |what: String| format!("failing or missing response from {url}: {what}");
        let problem = match (&response.body, response.code) {
            (ResponseBody::Text(_, text), 0) => Some(failing(format!("Get \"{url}\": {text}"))),
            (ResponseBody::Text(_, text), 200) => match json::parse(text.as_bytes()).ok().and_then(Object::from_value) {
                Some(list) => {
                    if let Some(remote) = self.aggregator.remotes.get_mut(gv) {
                        remote.resources = Some(list);
                    }
                    None
                }
                None => Some(failing(format!("bad response from {url}: it is no JSON object"))),
            },
            (_, code) => Some(failing(format!("bad status from {url}: {code}"))),
        };
        match problem {
            None => self.set_available(gv, true, "Passed", "all checks passed", now, out),
            Some(message) => self.set_available(gv, false, "FailedDiscoveryCheck", &message, now, out),
        }
    }

    /// Where the Service of an APIService is reached (`ip:port`, and how errors name it), or why it can't be.
    fn target(&self, apiservice: &Object) -> Result<(String, String), (&'static str, String)> {
        let text = |field: &str| apiservice.str_at(&["spec", "service", field]).unwrap_or("");
        let (namespace, name) = (text("namespace"), text("name"));
        let port = apiservice.int_at(&["spec", "service", "port"]).unwrap_or(443);
        let services = Gvr::new("", "v1", "services");
        let Some(service) = self.peek(services, namespace, name) else {
            return Err(("ServiceNotFound", format!("service/{name} in \"{namespace}\" is not present")));
        };
        let ip = service.str_at(&["spec", "clusterIP"]).unwrap_or("");
        if matches!(ip, "" | "None") {
            return Err((
                "ServiceAccessError",
                format!("unsupported service type: service/{name} in \"{namespace}\" has no cluster IP"),
            ));
        }
        let found = service.list_at(&["spec", "ports"]).iter().find(|p| p.int_at(&["port"]) == Some(port));
        let Some(found) = found else {
            return Err(("ServicePortError", format!("service/{name} in \"{namespace}\" is not listening on port {port}")));
        };
        let port_name = found.str_at(&["name"]).unwrap_or("");
        let slices = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
        let mine: Vec<&Object> =
            self.all(slices, namespace).filter(|s| s.label("kubernetes.io/service-name") == Some(name)).collect();
        if mine.is_empty() {
            let message = format!("cannot find endpointslices for service/{name} in \"{namespace}\"");
            return Err(("EndpointsNotFound", message));
        }
        let has_port = |s: &Object| s.list_at(&["ports"]).iter().any(|p| p.str_at(&["name"]).unwrap_or("") == port_name);
        let ready = |e: &Value| e.bool_at(&["conditions", "ready"]) != Some(false);
        if !mine.iter().any(|s| has_port(s) && s.list_at(&["endpoints"]).iter().any(ready)) {
            let message =
                format!("endpointslices for service/{name} in \"{namespace}\" have no addresses with port name \"{port_name}\"");
            return Err(("MissingEndpoints", message));
        }
        Ok((format!("{ip}:{port}"), format!("{ip}:{port}")))
    }

    /// Notes what a check found, and writes the APIService's condition if that is news.
    fn set_available(
        &mut self,
        gv: &(Rc<str>, Rc<str>),
        available: bool,
        reason: &str,
        message: &str,
        now: Time,
        out: &mut Outbox,
    ) {
        let Some(remote) = self.aggregator.remotes.get_mut(gv) else { return };
        remote.available = Some(available);
        let status = if available { "True" } else { "False" };
        let old = remote.object.condition("Available");
        let says = |field: &str| old.and_then(|c| c.str_at(&[field])).unwrap_or("");
        if (says("status"), says("reason"), says("message")) == (status, reason, message) {
            return;
        }
        let since = match old.and_then(|c| c.str_at(&["lastTransitionTime"])) {
            Some(since) if says("status") == status => since.to_string(),
            _ => now.rfc3339(),
        };
        let condition = value!({
            "type": "Available", "status": status, "reason": reason, "message": message, "lastTransitionTime": since
        });
        let mut object = remote.object.clone();
        object.set_at(&["status", "conditions"], vec![condition]);
        let mut request = Request::update_status(Gvr::new("apiregistration.k8s.io", "v1", "apiservices"), object);
        request.credential = Credential::Certificate(Rc::new(UserInfo::new("system:apiserver", &["system:masters"])));
        request.user_agent = key("kube-apiserver/v1.37.2 (linux/amd64) kubernetes");
        // To itself, as the real one does over its loopback connection. What comes back is of no interest: if it was a conflict,
        // the next check writes again.
        let number = self.draw();
        out.request(self.config.me, number, request);
    }

    /// The part of `/metrics` about aggregated servers.
    pub(crate) fn aggregator_metrics(&self, out: &mut String) {
        if self.aggregator.remotes.is_empty() {
            return;
        }
        out.push_str("# HELP aggregator_unavailable_apiservice [ALPHA] Gauge of APIServices which are marked as unavailable broken down by APIService name.\n");
        out.push_str("# TYPE aggregator_unavailable_apiservice gauge\n");
        for ((group, version), remote) in self.aggregator.remotes.iter() {
            let gone = u8::from(remote.available != Some(true));
            out.push_str(&format!("aggregator_unavailable_apiservice{{name=\"{version}.{group}\"}} {gone}\n"));
        }
    }

    /// Adds the groups of aggregated servers to a discovery document.
    pub(crate) fn add_to_discovery(&self, path: &str, mut document: Object) -> Object {
        if self.aggregator.remotes.is_empty() || path.trim_matches('/') != "apis" {
            return document;
        }
        let field = if document.kind() == "APIGroupDiscoveryList" { "items" } else { "groups" };
        for group in self.remote_groups() {
            let entry = match field {
                "items" => self.aggregated_group(&group),
                _ => self.group(&group),
            };
            document.value_mut().entry(&[field]).list_mut().push(entry);
        }
        document
    }

    /// The APIGroup at `/apis/GROUP` of an aggregated server.
    pub(crate) fn remote_group(&self, path: &str) -> Option<Object> {
        let name = path.trim_matches('/').strip_prefix("apis/")?;
        if self.aggregator.remotes.is_empty() || !self.remote_groups().iter().any(|g| **g == *name) {
            return None;
        }
        let mut v = value!({"kind": "APIGroup", "apiVersion": "v1"});
        for (k, member) in self.group(name).as_map()? {
            v.map_mut().insert(k.clone(), member.clone());
        }
        Object::from_value(v)
    }

    fn remote_groups(&self) -> Vec<Rc<str>> {
        let mut groups: Vec<Rc<str>> = self.aggregator.remotes.keys().map(|(g, _)| g.clone()).collect();
        groups.dedup();
        groups
    }

    fn versions_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a Rc<str>, &'a Remote)> {
        self.aggregator.remotes.iter().filter(move |((g, _), _)| **g == *group).map(|((_, v), r)| (v, r))
    }

    fn group(&self, name: &str) -> Value {
        let version = |v: &str| value!({"groupVersion": (format!("{name}/{v}")), "version": v});
        let mut all: Vec<(i64, Value)> = self
            .versions_of(name)
            .map(|(v, r)| (-r.object.int_at(&["spec", "versionPriority"]).unwrap_or(0), version(v)))
            .collect();
        all.order_by(|a, b| a.0.cmp(&b.0));
        let all: Vec<Value> = all.into_iter().map(|(_, v)| v).collect();
        let preferred = all.first().cloned().unwrap_or_default();
        value!({"name": name, "versions": all, "preferredVersion": preferred})
    }

    fn aggregated_group(&self, name: &str) -> Value {
        let of_version = |(version, remote): (&Rc<str>, &Remote)| {
            let listed = remote.resources.as_ref().map(|l| l.list_at(&["resources"])).unwrap_or_default();
            let resources: Vec<Value> = listed.iter().map(aggregated_resource).collect();
            let freshness = if remote.available == Some(true) { "Current" } else { "Stale" };
            value!({"version": version, "freshness": freshness, "resources": resources})
        };
        let versions: Vec<Value> = self.versions_of(name).map(of_version).collect();
        value!({"metadata": {"name": name}, "versions": versions})
    }
}

/// A resource of an old discovery document in the aggregated form.
fn aggregated_resource(r: &Value) -> Value {
    let text = |field: &str| r.str_at(&[field]).unwrap_or("");
    let scope = if r.bool_at(&["namespaced"]) == Some(true) { "Namespaced" } else { "Cluster" };
    value!({
        "resource": (text("name")), "responseKind": {"group": (text("group")), "version": (text("version")), "kind": (text("kind"))},
        "scope": scope, "singularResource": (text("singularName")), "verbs": (r.list_at(&["verbs"]).to_vec())
    })
}

/// What the real proxy answers: a text and no Status.
fn unavailable() -> Response {
    Response {
        code: 503,
        warnings: Vec::new(),
        body: ResponseBody::Text(key("text/plain; charset=utf-8"), key("service unavailable\n")),
    }
}

// The names that `container-runtime` gives to these parameters; a crate of the same floor can't be asked.
pub(crate) fn connect_to() -> Rc<str> {
    "\u{0}connect".into()
}
fn container_header() -> Rc<str> {
    "\u{0}header".into()
}

/// The answer of an aggregated server: an object if it is JSON.
fn parsed(code: u16, body: &ResponseBody) -> Response {
    let body = match body {
        ResponseBody::Text(kind, text) if kind.contains("json") => {
            match json::parse(text.as_bytes()).ok().and_then(Object::from_value) {
                Some(object) => ResponseBody::Object(object),
                None => body.clone(),
            }
        }
        other => other.clone(),
    };
    Response { code, warnings: Vec::new(), body }
}
