//! One request to kube-apiserver in the form of the recordings: who, verb, URI without its volatile parts, code.

use std::fmt::Write;

use apimachinery::{Request, Value, Verb, json};

/// A request, recorded or from the bottle's trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Milliseconds since the operation began.
    pub ms: f64,
    pub who: String,
    pub verb: String,
    pub uri: String,
    pub code: u16,
}

impl Asked {
    /// Without its time: what is compared. Codes by class, but for what was not found.
    pub fn key(&self) -> String {
        let code = match self.code {
            404 => "404".to_string(),
            code => format!("{}xx", code / 100),
        };
        format!("{} | {} {} | {code}", self.who, self.verb, self.uri)
    }
}

/// Reads a recording: what was done, and the requests.
pub fn read(text: &str) -> (String, Vec<Asked>) {
    let mut about = String::new();
    let mut asked = Vec::new();
    for line in text.lines() {
        let line = json::parse(line.as_bytes()).expect("a recording is JSON, line by line");
        let text = |name: &str| line.str_at(&[name]).unwrap_or_default().to_string();
        match line.str_at(&["about"]) {
            Some(text) => about = text.to_string(),
            None => asked.push(Asked {
                ms: number(line.get("ms")),
                who: text("who"),
                verb: text("verb"),
                uri: text("uri"),
                // A watch that is listed as open.
                code: line.int_at(&["code"]).unwrap_or(200) as u16,
            }),
        }
    }
    (about, asked)
}

fn number(value: Option<&Value>) -> f64 {
    value.map(json::to_string).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The URI that a request has on the wire.
pub fn uri(request: &Request) -> String {
    let o = &request.options;
    let mut query: Vec<(&str, String)> = Vec::new();
    let mut text = |name: &'static str, value: &Option<std::rc::Rc<str>>| {
        if let Some(value) = value.as_ref().filter(|v| !v.is_empty()) {
            query.push((name, value.to_string()));
        }
    };
    text("labelSelector", &o.label_selector);
    text("fieldSelector", &o.field_selector);
    text("resourceVersion", &o.resource_version);
    text("resourceVersionMatch", &o.resource_version_match);
    text("continue", &o.continue_token);
    text("fieldManager", &o.field_manager);
    text("fieldValidation", &o.field_validation);
    let flags = [
        ("allowWatchBookmarks", o.allow_watch_bookmarks),
        ("sendInitialEvents", o.send_initial_events),
        ("force", o.force),
        ("watch", request.verb == Verb::Watch),
    ];
    query.extend(flags.iter().filter(|(_, on)| *on).map(|(name, _)| (*name, "true".to_string())));
    query.extend(o.dry_run.then(|| ("dryRun", "All".to_string())));
    query.extend(o.timeout_seconds.map(|n| ("timeoutSeconds", n.to_string())));
    query.extend((o.limit > 0).then(|| ("limit", o.limit.to_string())));
    query.extend(o.query.iter().map(|(k, v)| (&**k, v.to_string())));
    // Clients in Go write parameters sorted by name.
    query.sort_by(|a, b| a.0.cmp(b.0));
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    match query.is_empty() {
        true => request.url_path(),
        false => format!("{}?{}", request.url_path(), query.join("&")),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Takes the volatile parts out of URIs; the n-th ReplicaSet that appears is the n-th on both sides.
#[derive(Default)]
pub struct Normaliser {
    hashes: Vec<String>,
}

impl Normaliser {
    pub fn apply(&mut self, uri: &str) -> String {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut parts: Vec<String> = path.split('/').map(str::to_string).collect();
        for i in 1..parts.len() {
            parts[i] = self.name(&parts[i - 1], &parts[i]);
        }
        let query: Vec<String> = query.split('&').filter_map(parameter).collect();
        match query.is_empty() {
            true => parts.join("/"),
            false => format!("{}?{}", parts.join("/"), query.join("&")),
        }
    }

    fn name(&mut self, resource: &str, name: &str) -> String {
        let mut pieces = name.split('-');
        let (first, second, third) = (pieces.next().unwrap_or(""), pieces.next(), pieces.next());
        match (resource, second, third) {
            ("pods", Some(_), Some(_)) => format!("{first}-HASH-RAND"),
            ("pods" | "endpointslices", Some(_), None) => format!("{first}-RAND"),
            ("replicasets", Some(hash), None) => format!("{first}-HASH{}", self.number(hash)),
            ("ipaddresses", ..) => "IP".into(),
            ("leases", Some(_), None) if first == "apiserver" => "apiserver-ID".into(),
            ("events", ..) => name.split_once('.').map_or(name.into(), |(object, _)| format!("{object}.ID")),
            _ => name.into(),
        }
    }

    fn number(&mut self, hash: &str) -> usize {
        let known = self.hashes.iter().position(|h| h == hash);
        known.unwrap_or_else(|| {
            self.hashes.push(hash.into());
            self.hashes.len() - 1
        }) + 1
    }
}

/// A query parameter without what changes from run to run. `timeout` is the client's own deadline, which no client here has.
fn parameter(parameter: &str) -> Option<String> {
    let (name, _) = parameter.split_once('=')?;
    Some(match name {
        "timeout" => return None,
        "resourceVersion" => "resourceVersion=RV".into(),
        "timeoutSeconds" => "timeoutSeconds=N".into(),
        "hash" => "hash=HASH".into(),
        _ => parameter.into(),
    })
}
