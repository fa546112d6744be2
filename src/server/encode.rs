//! Answers as bytes: media types, headers, JSON and YAML bodies, watch events. Models `endpoints/handlers/responsewriters` and
//! `endpoints/handlers/negotiation`.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Credential, Request, Response, ResponseBody, UserInfo, Value, Verb, WatchEvent, json, yaml};

use crate::machine::HttpRequest;

/// What of a request matters for the form of its answer.
pub struct Asked {
    yaml: bool,
    pretty: bool,
    pub websocket: bool,
    audit_id: String,
    /// Nothing that can be served is accepted: the representations there are.
    unacceptable: Option<String>,
}

/// Status code and headers.
pub struct Head {
    pub code: u16,
    pub headers: Vec<(&'static str, String)>,
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// Media types of an `Accept` header without parameters, best first.
fn accepted(accept: &str) -> Vec<String> {
    let mut all: Vec<(i64, String)> = accept
        .split(',')
        .map(|media| {
            let mut parts = media.split(';').map(str::trim);
            let kind = parts.next().unwrap_or("").to_string();
            let q = parts.find_map(|p| p.strip_prefix("q=")).and_then(|q| q.parse::<f64>().ok()).unwrap_or(1.0);
            ((q * -1000.0) as i64, kind)
        })
        .collect();
    all.sort_by_key(|(q, _)| *q);
    all.into_iter().map(|(_, kind)| kind).collect()
}

impl Asked {
    pub fn new(request: &HttpRequest, id: u64) -> Asked {
        let accept = accepted(header(request, "Accept").unwrap_or("*/*"));
        let best = accept.iter().find(|m| matches!(m.as_str(), "" | "*/*" | "application/json" | "application/yaml"));
        let path = request.target.split('?').next().unwrap_or("");
        let negotiates = path.starts_with("/api") || path == "/version";
        let unacceptable = (best.is_none() && negotiates).then(|| representations(&accept, &request.target));
        let agent = header(request, "User-Agent").unwrap_or("");
        let by_hand = ["curl", "Wget", "Mozilla/5.0"].iter().any(|a| agent.starts_with(a));
        let query = request.target.split_once('?').map_or("", |(_, q)| q);
        let wish = query.split('&').find_map(|p| p.strip_prefix("pretty=").or((p == "pretty").then_some("")));
        Asked {
            yaml: best.is_some_and(|m| m == "application/yaml"),
            pretty: wish.map_or(by_hand, |w| !matches!(w, "0" | "false")),
            websocket: header(request, "Upgrade").is_some_and(|u| u.eq_ignore_ascii_case("websocket")),
            audit_id: header(request, "Audit-ID").map_or_else(|| uuid(id), str::to_string),
            unacceptable,
        }
    }

    /// The refusal, if nothing that is accepted can be served.
    pub fn refusal(&self) -> Option<Status> {
        let representations = self.unacceptable.as_ref()?;
        let text = format!("406: Not Acceptable\n\nAvailable representations: {representations}");
        let mut status = Status::new(406, "NotAcceptable", text);
        status.details = Value::map();
        Some(status)
    }

    /// What routing has found out.
    pub fn learn(&mut self, request: &Request) {
        let streams = matches!(&*request.subresource.text(), "exec" | "attach" | "portforward" | "log" | "proxy");
        if streams || request.gvr.resource.is_empty() && !request.path.starts_with("/api") && &*request.path != "/version" {
            self.unacceptable = None;
        }
    }
}

/// What the refusal lists. Protobuf is the one that the real server has and this one hasn't: who asks for it gets the truth.
fn representations(accept: &[String], target: &str) -> String {
    let mut out = "application/json, application/yaml".to_string();
    if target.starts_with("/version") {
        return "application/json".into();
    }
    if accept.iter().any(|m| m == "application/vnd.kubernetes.protobuf") {
        return out;
    }
    out.push_str(", application/vnd.kubernetes.protobuf");
    out
}

/// A random-looking id that names the call.
fn uuid(id: u64) -> String {
    let (a, b) = (base::hash64(format!("audit {id}").as_bytes()), base::hash64(format!("id {id}").as_bytes()));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        (b >> 48) & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

impl Head {
    pub fn new(asked: &Asked, response: &Response) -> Head {
        let mut headers = vec![("Audit-Id", asked.audit_id.clone()), ("Cache-Control", "no-cache, private".to_string())];
        for warning in &response.warnings {
            headers.push(("Warning", format!("299 - {}", quoted(warning))));
        }
        let content_type = match &response.body {
            ResponseBody::None => None,
            ResponseBody::Text(kind, _) => {
                headers.push(("X-Content-Type-Options", "nosniff".into()));
                Some(kind.to_string())
            }
            ResponseBody::WatchStarted => Some("application/json".into()),
            ResponseBody::StreamStarted => Some("text/plain".into()),
            ResponseBody::Object(o) if o.kind() == "APIGroupDiscoveryList" => {
                Some("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList".into())
            }
            _ => Some(if asked.yaml { "application/yaml".into() } else { "application/json".into() }),
        };
        if let Some(kind) = content_type.filter(|_| response.code != 101) {
            headers.push(("Content-Type", kind));
        }
        // Flow control's answer is a text, and its time never varies.
        if response.code == 429 && matches!(response.body, ResponseBody::Text(..)) {
            headers.push(("Retry-After", "1".into()));
        }
        if let ResponseBody::Object(o) = &response.body
            && o.kind() == "Status"
        {
            if let Some(seconds) = o.int_at(&["details", "retryAfterSeconds"]) {
                headers.push(("Retry-After", seconds.to_string()));
            }
            if response.code == 403 {
                headers.push(("X-Content-Type-Options", "nosniff".into()));
            }
        }
        Head { code: response.code, headers }
    }
}

/// A quoted string of RFC 7230, as `net.NewWarningHeader` writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The body of a whole answer.
pub fn body(asked: &Asked, response: &Response) -> Vec<u8> {
    match &response.body {
        ResponseBody::Object(object) => text(asked, object.value()),
        ResponseBody::List(list) => text(asked, &list.to_value()),
        ResponseBody::Text(_, text) => text.as_bytes().to_vec(),
        ResponseBody::None | ResponseBody::WatchStarted | ResponseBody::StreamStarted => Vec::new(),
    }
}

fn text(asked: &Asked, value: &Value) -> Vec<u8> {
    if asked.yaml {
        return yaml::to_string(value).into_bytes();
    }
    let mut out = match asked.pretty {
        true => json::to_string_pretty(value, 2),
        false => json::to_string(value),
    };
    out.push('\n');
    out.into_bytes()
}

/// Events of a watch, a line each.
pub fn watch_events(events: &[WatchEvent]) -> Vec<u8> {
    let mut out = String::new();
    for event in events {
        out.push_str("{\"type\":\"");
        out.push_str(event.kind.as_str());
        out.push_str("\",\"object\":");
        json::write(event.object.value(), &mut out);
        out.push_str("}\n");
    }
    out.into_bytes()
}

/// Names the flow schema and priority level that a request fell to, by their UIDs.
pub fn stamp_flow(head: &mut Head, uids: Option<&FlowUids>) {
    if let Some((schema, level)) = uids.filter(|_| head.code != 401) {
        head.headers.push(("X-Kubernetes-Pf-Flowschema-Uid", schema.to_string()));
        head.headers.push(("X-Kubernetes-Pf-Prioritylevel-Uid", level.to_string()));
    }
}

/// UIDs of a FlowSchema and a PriorityLevelConfiguration.
pub type FlowUids = (Rc<str>, Rc<str>);

/// A request whose path means nothing, as flow control sees it.
pub fn as_path(request: &HttpRequest, certificate: Option<Rc<UserInfo>>) -> Request {
    let bearer = header(request, "Authorization").and_then(|a| a.strip_prefix("Bearer "));
    Request {
        verb: if request.method == "GET" { Verb::GetPath } else { Verb::OtherPath },
        path: request.target.as_str().into(),
        credential: match (certificate, bearer) {
            (Some(user), _) => Credential::Certificate(user),
            (None, Some(token)) => Credential::Bearer(token.trim().into()),
            (None, None) => Credential::Anonymous,
        },
        ..Request::default()
    }
}

/// A failed answer for the connection's own use.
pub fn status_body(status: &Status) -> Vec<u8> {
    json::to_string(status.to_object().value()).into_bytes()
}

/// Standard base64.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n =
            (u32::from(chunk[0]) << 16) | (u32::from(*chunk.get(1).unwrap_or(&0)) << 8) | u32::from(*chunk.get(2).unwrap_or(&0));
        for i in 0..4 {
            match i <= chunk.len() {
                true => out.push(ALPHABET[(n >> (18 - 6 * i)) as usize & 63] as char),
                false => out.push('='),
            }
        }
    }
    out
}
