//! Paths that are no resources: health, version, discovery, metrics, OpenAPI's place.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Object, Request, Response, ResponseBody, UserInfo, Verb, key, value};
use base::Sort as _;
use base::Time;

use crate::discovery;
use crate::registry::method_not_allowed;
use crate::routing::not_found;
use crate::server::ApiServer;

/// The checks of /healthz and /livez in their order; /readyz has more.
const CHECKS: &str = "ping log etcd poststarthook/start-apiserver-admission-initializer \
poststarthook/generic-apiserver-start-informers poststarthook/priority-and-fairness-config-consumer \
poststarthook/priority-and-fairness-filter poststarthook/storage-object-count-tracker-hook \
poststarthook/start-apiextensions-informers poststarthook/start-apiextensions-controllers poststarthook/crd-informer-synced \
poststarthook/start-system-namespaces-controller poststarthook/peer-endpoint-reconciler-controller \
poststarthook/start-cluster-authentication-info-controller \
poststarthook/start-kube-apiserver-identity-lease-controller poststarthook/start-kube-apiserver-identity-lease-garbage-collector \
poststarthook/storage-readiness poststarthook/start-legacy-token-tracking-controller \
poststarthook/start-service-ip-repair-controllers poststarthook/rbac/bootstrap-roles \
poststarthook/scheduling/bootstrap-system-priority-classes poststarthook/priority-and-fairness-config-producer \
poststarthook/bootstrap-controller poststarthook/start-kubernetes-service-cidr-controller \
poststarthook/aggregator-reload-proxy-client-cert poststarthook/start-kube-aggregator-informers \
poststarthook/apiservice-status-local-available-controller poststarthook/apiservice-status-remote-available-controller \
poststarthook/apiservice-registration-controller poststarthook/apiservice-discovery-controller \
poststarthook/kube-apiserver-autoregistration autoregister-completion poststarthook/apiservice-openapi-controller \
poststarthook/apiservice-openapiv3-controller";

fn text(code: u16, body: impl Into<Rc<str>>) -> Response {
    Response { code, warnings: Vec::new(), body: ResponseBody::Text(key("text/plain; charset=utf-8"), body.into()) }
}

impl ApiServer {
    /// Answers a path. Health is told even while the caches load.
    pub(crate) fn serve_path(&self, request: &Request, _user: &Rc<UserInfo>, now: Time) -> Response {
        let path = &*request.path;
        let parts: Vec<&str> = path.trim_matches('/').splitn(2, '/').collect();
        if let "healthz" | "livez" | "readyz" = parts[0] {
            return self.health(request, parts[0], parts.get(1).copied(), now);
        }
        let get = request.verb == Verb::GetPath;
        let response = match path.trim_end_matches('/') {
            "/version" => Some(Response::object(200, version())),
            "/metrics" => Some(self.metrics()),
            p if p.starts_with("/debug/") => self.dump_flows(p).map(|dump| text(200, dump)),
            "" => Some(Response::object(200, self.root())),
            "/openapi/v3" => {
                let text = apimachinery::json::to_string(crate::openapi::index(self).value());
                Some(Response {
                    body: ResponseBody::Text(key("text/plain; charset=utf-8"), text.into()),
                    ..Response::object(200, version())
                })
            }
            p if p.starts_with("/openapi/v3/") => {
                crate::openapi::document(self, &p["/openapi/v3/".len()..]).map(|d| Response::object(200, d))
            }
            "/openapi/v2" if request.accept.as_deref().is_some_and(|a| a.contains("proto-openapi.spec.v2")) => Some(Response {
                body: ResponseBody::Text(key(OPENAPI_V2.0), OPENAPI_V2.1.into()),
                ..Response::object(200, version())
            }),
            p if p.starts_with("/openapi/") => Some(Status::not_implemented("OpenAPI v2 (/openapi/v3 is there)").into()),
            p if p.starts_with("/api") => {
                let address = format!("{}:{}", self.config.advertise_address, self.config.secure_port);
                match discovery::document(self, request, &address).or_else(|| self.remote_group(p)) {
                    Some(document) => Some(Response::object(200, self.add_to_discovery(p, document))),
                    None if self.known_group(p) => Some(not_found().into()),
                    None => None,
                }
            }
            _ => None,
        };
        match response {
            Some(_) if !get => method_not_allowed().into(),
            Some(response) => response,
            None => text(404, "404 page not found\n"),
        }
    }

    /// Left out: that `/livez` fails without etcd, so that the kubelet starts kube-apiserver anew again and again until etcd is back.
    fn health(&self, request: &Request, endpoint: &str, one: Option<&str>, now: Time) -> Response {
        let mut checks: Vec<&str> = CHECKS.split(' ').collect();
        if endpoint != "readyz" {
            checks.insert(2, "loopback-serving-certificate");
        }
        if endpoint == "readyz" {
            checks.insert(3, "etcd-readiness");
            checks.insert(4, "informer-sync");
            checks.push("shutdown");
        }
        let excluded: Vec<&str> = request.options.query.iter().filter(|(k, _)| &**k == "exclude").map(|(_, v)| &**v).collect();
        let fails = |check: &str| match check {
            "ping" | "log" | "loopback-serving-certificate" | "shutdown" => false,
            "etcd" | "etcd-readiness" => self.revision == 0 || endpoint != "livez" && !self.etcd_answers(now),
            "informer-sync" => self.caches.iter().any(|c| !c.synced),
            _ => endpoint != "livez" && !self.is_ready(),
        };
        if let Some(check) = one.filter(|c| !c.is_empty()) {
            return match (checks.contains(&check), fails(check)) {
                (false, _) => text(404, "404 page not found\n"),
                (true, false) => text(200, "ok"),
                (true, true) => text(500, format!("internal server error: {check} check failed: not finished\n")),
            };
        }
        let mut body = String::new();
        let mut failed = false;
        for check in checks {
            if excluded.contains(&check) {
                body.push_str(&format!("[+]{check} excluded: ok\n"));
            } else if fails(check) {
                failed = true;
                body.push_str(&format!("[-]{check} failed: reason withheld\n"));
            } else {
                body.push_str(&format!("[+]{check} ok\n"));
            }
        }
        if failed {
            return text(500, format!("{body}{endpoint} check failed\n"));
        }
        match request.options.query("verbose") {
            Some(_) => text(200, format!("{body}{endpoint} check passed\n")),
            None => text(200, "ok"),
        }
    }
}

impl ApiServer {
    /// Whether the path is below a group that is served (then an unknown path answers a Status).
    fn known_group(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["api", ..] => true,
            ["apis", group, ..] => self.group_versions().iter().any(|(g, _)| *g == **group),
            _ => false,
        }
    }

    fn root(&self) -> Object {
        let mut paths: Vec<String> = vec!["/api".into(), "/api/v1".into(), "/apis".into()];
        for (group, version) in self.group_versions().iter().filter(|(g, _)| !g.is_empty()) {
            let name = format!("/apis/{group}");
            if !paths.contains(&name) {
                paths.push(name.clone());
            }
            paths.push(format!("{name}/{version}"));
        }
        paths.extend(["/healthz", "/livez", "/metrics", "/readyz", "/version"].map(String::from));
        paths.order();
        Object::from_value(value!({"paths": (paths.iter().map(|p| p.as_str().into()).collect::<Vec<apimachinery::Value>>())}))
            .expect("a map was built")
    }
}

/// What kubectl asks when `/openapi/v3` has no group for a manifest, and its answer: a document of title and version that
/// knows no kind, so that kubectl goes on to say what a cluster without that kind makes it say. It asks for `spec.v2@v1.0`; Go
/// can't parse that as a media type, so `spec.v2.v1.0` comes back, as upstream.
const OPENAPI_V2: (&str, &str) =
    ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", "\n\x032.0\x12\x15\n\nKubernetes\x12\x07v1.37.2");

fn version() -> Object {
    Object::from_value(value!({
        "major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36", "gitVersion": "v1.37.2", "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean", "buildDate": "2026-11-01T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc",
        "platform": "linux/amd64"
    }))
    .expect("a map was built")
}
