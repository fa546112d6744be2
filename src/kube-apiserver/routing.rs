//! From an HTTP request to a [`Request`]: what the native server and raw requests of a terminal come in as.
//! Models `endpoints/request/requestinfo.go`.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Body, Credential, Gvr, Options, Request, UserInfo, Value, Verb, key};
use base::Sort as _;
use base::Sym;

use crate::scheme::{Resource, Scheme, scheme};
use crate::server::ApiServer;

/// A header: name in any case, value.
pub type Header<'a> = (&'a str, &'a str);

/// The most bytes that a body may have.
const MAX_BODY: usize = 3 * 1024 * 1024;

fn find<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
}

/// Reads method, path with query, and headers. `certificate`: the subject of the client's certificate.
pub fn parse(
    method: &str,
    path_and_query: &str,
    headers: &[Header],
    body: Rc<[u8]>,
    certificate: Option<Rc<UserInfo>>,
) -> Result<Request, Status> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut request = Request { user_agent: find(headers, "User-Agent").unwrap_or("").into(), ..Request::default() };
    request.accept = find(headers, "Accept").map(Rc::from);
    request.options = parse_query(query)?;
    if body.len() > MAX_BODY {
        let text = format!("Request entity too large: limit is {MAX_BODY}");
        return Err(Status::new(413, "RequestEntityTooLarge", text));
    }
    if !body.is_empty() {
        let kind = find(headers, "Content-Type").unwrap_or("");
        request.body = Body::Bytes(kind.into(), body);
    }
    request.credential = match (find(headers, "Authorization").and_then(|a| a.strip_prefix("Bearer ")), certificate) {
        (_, Some(user)) => Credential::Certificate(user),
        (Some(token), None) => Credential::Bearer(token.trim().into()),
        (None, None) => Credential::Anonymous,
    };
    request.impersonate = impersonation(headers)?;
    route(&*scheme(), method, path, &mut request)?;
    Ok(request)
}

/// Who knows which resources there are: the table of built-in ones, or a server with its custom ones.
pub(crate) trait Known {
    fn has_group_version(&self, group: Sym, version: Sym) -> bool;
    fn find(&self, gvr: Gvr) -> Option<&Rc<Resource>>;
}

impl Known for Scheme {
    fn has_group_version(&self, group: Sym, version: Sym) -> bool {
        self.has_group_version(group, version)
    }
    fn find(&self, gvr: Gvr) -> Option<&Rc<Resource>> {
        self.get(gvr)
    }
}

impl Known for ApiServer {
    fn has_group_version(&self, group: Sym, version: Sym) -> bool {
        self.scheme.has_group_version(group, version) || self.customs.has_group_version(group, version)
    }
    fn find(&self, gvr: Gvr) -> Option<&Rc<Resource>> {
        self.resource(gvr)
    }
}

/// A request for a path that is a resource's, or has a query in it (`kubectl get --raw`): what it means. `None`: it means itself.
pub(crate) fn resolve(known: &dyn Known, request: &Request) -> Option<Result<Request, Status>> {
    if !request.gvr.resource.is_empty() || !(request.path.starts_with("/api") || request.path.contains('?')) {
        return None;
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let method = match request.verb {
        Verb::GetPath => "GET".to_string(),
        _ => request.options.query("\u{0}method").map_or_else(|| "POST".into(), str::to_ascii_uppercase),
    };
    let mut resolved = request.clone();
    if !query.is_empty() {
        resolved.options = match parse_query(query) {
            Ok(options) => options,
            Err(status) => return Some(Err(status)),
        };
    }
    match route(known, &method, path, &mut resolved) {
        Err(status) => Some(Err(status)),
        Ok(()) if resolved.gvr.resource.is_empty() => (!query.is_empty()).then_some(Ok(resolved)),
        Ok(()) => {
            resolved.path = key("");
            Some(Ok(resolved))
        }
    }
}

fn impersonation(headers: &[Header]) -> Result<Option<Rc<UserInfo>>, Status> {
    let mut user = UserInfo { name: find(headers, "Impersonate-User").unwrap_or("").into(), ..UserInfo::default() };
    user.uid = find(headers, "Impersonate-Uid").unwrap_or("").into();
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("Impersonate-Group") {
            user.groups.push((*value).into());
        } else if name.len() > 18 && name[..18].eq_ignore_ascii_case("Impersonate-Extra-") {
            let k: Rc<str> = percent_decode(&name[18..].to_ascii_lowercase()).into();
            match user.extra.iter_mut().find(|(n, _)| *n == k) {
                Some((_, values)) => values.push((*value).into()),
                None => user.extra.push((k, vec![(*value).into()])),
            }
        }
    }
    user.extra.order();
    let any = !user.groups.is_empty() || !user.extra.is_empty() || !user.uid.is_empty();
    match (user.name.is_empty(), any) {
        (false, _) => Ok(Some(Rc::new(user))),
        (true, false) => Ok(None),
        (true, true) => {
            let quote = |t: &Rc<str>| apimachinery::field::go_quote(t);
            let list = |texts: &[Rc<str>]| match texts {
                [] => "[]string(nil)".to_string(),
                _ => format!("[]string{{{}}}", texts.iter().map(quote).collect::<Vec<_>>().join(", ")),
            };
            let extra = match &*user.extra {
                [] => "map[string][]string(nil)".to_string(),
                all => {
                    let pairs = all.iter().map(|(k, v)| format!("{}:{}", quote(k), list(v))).collect::<Vec<_>>();
                    format!("map[string][]string{{{}}}", pairs.join(", "))
                }
            };
            Err(Status::bad_request(format!(
                "requested &user.DefaultInfo{{Name:\"\", UID:{}, Groups:{}, Extra:{extra}}} without impersonating a user name",
                quote(&user.uid),
                list(&user.groups)
            )))
        }
    }
}

/// `%2F` and `+` undone.
pub fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok())).flatten();
        match (hex, bytes[i]) {
            (Some(b), _) => {
                out.push(b);
                i += 3;
                continue;
            }
            (None, b'+') => out.push(b' '),
            (None, b) => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn number(text: &str) -> Result<i64, Status> {
    let bad =
        || Status::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", apimachinery::field::go_quote(text)));
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| bad()) }
}

fn parse_query(query: &str) -> Result<Options, Status> {
    let mut options = Options::default();
    let truth = |v: &str| !matches!(v, "false" | "0");
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (percent_decode(name), percent_decode(value));
        let text = || Some(Rc::<str>::from(&*value));
        match &*name {
            "labelSelector" => options.label_selector = text(),
            "fieldSelector" => options.field_selector = text(),
            "resourceVersion" => options.resource_version = text(),
            "resourceVersionMatch" => options.resource_version_match = text(),
            "limit" => options.limit = number(&value)?,
            "continue" => options.continue_token = text(),
            "allowWatchBookmarks" => options.allow_watch_bookmarks = truth(&value),
            "sendInitialEvents" => {
                options.send_initial_events = truth(&value);
                options.query.push((name.into(), value.into()));
            }
            "timeoutSeconds" => options.timeout_seconds = Some(number(&value)?),
            "dryRun" if value == "All" => options.dry_run = true,
            "fieldManager" => options.field_manager = text(),
            "fieldValidation" => options.field_validation = text(),
            "force" => options.force = truth(&value),
            _ => options.query.push((name.into(), value.into())),
        }
    }
    Ok(options)
}

pub(crate) fn not_found() -> Status {
    let mut status = Status::new(404, "NotFound", "the server could not find the requested resource");
    status.details = Value::map();
    status
}

/// Fills in what the path names.
fn route(known: &dyn Known, method: &str, path: &str, request: &mut Request) -> Result<(), Status> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let as_path = |request: &mut Request| {
        request.path = path.into();
        request.verb = if method == "GET" { Verb::GetPath } else { Verb::OtherPath };
        let verb = if method == "POST" { "post".to_string() } else { method.to_ascii_lowercase() };
        if method != "GET" {
            request.options.query.push(("\u{0}method".into(), verb.into()));
        }
        Ok(())
    };
    let (gvr_parts, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => (("", *version), rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => ((*group, *version), rest),
        _ => return as_path(request),
    };
    let (group, version) = (Sym::new(gvr_parts.0), Sym::new(gvr_parts.1));
    if !known.has_group_version(group, version) {
        return as_path(request);
    }
    if rest.iter().any(|p| p.is_empty()) {
        return Err(not_found());
    }
    let (watch_path, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", ns, rest @ ..] if !rest.is_empty() && !matches!(rest[0], "status" | "finalize") => (*ns, rest),
        _ => ("", rest),
    };
    let resource = rest[0];
    let name = percent_decode(rest.get(1).copied().unwrap_or(""));
    let subresource = rest.get(2).copied().unwrap_or("");
    let gvr = Gvr { group, version, resource: Sym::new(resource) };
    let Some(found) = known.find(gvr).cloned() else { return Err(not_found()) };
    request.gvr = gvr;
    request.namespace = key_or_text(namespace);
    request.name = name.as_str().into();
    request.subresource = Sym::new(subresource);
    if rest.len() > 3 {
        request.options.query.push(("\u{0}rest".into(), rest[3..].join("/").into()));
    }
    check_scope(&found, request)?;
    request.verb = verb_of(method, request, watch_path)?;
    if found.namespaced() && request.namespace.is_empty() && matches!(request.verb, Verb::Create | Verb::DeleteCollection) {
        return Err(crate::registry::method_not_allowed());
    }
    if found.gvr.resource == "namespaces" && found.gvr.group.is_empty() {
        request.namespace = key("");
    }
    Ok(())
}

fn key_or_text(text: &str) -> Rc<str> {
    Sym::existing(text).map_or_else(|| text.into(), Sym::text)
}

/// A cluster-wide resource has no namespace; one in namespaces is named with its own.
fn check_scope(resource: &Resource, request: &Request) -> Result<(), Status> {
    let wrong = match resource.namespaced() {
        true => request.namespace.is_empty() && !request.name.is_empty(),
        false => !request.namespace.is_empty(),
    };
    if wrong { Err(not_found()) } else { Ok(()) }
}

fn verb_of(method: &str, request: &Request, watch_path: bool) -> Result<Verb, Status> {
    let named = !request.name.is_empty();
    let watch = watch_path || request.options.query("watch").is_some_and(|v| !matches!(v, "false" | "0"));
    Ok(match method {
        "GET" if watch && request.subresource.is_empty() => Verb::Watch,
        "GET" if named => Verb::Get,
        "GET" => Verb::List,
        "POST" => Verb::Create,
        "PUT" if named => Verb::Update,
        "PATCH" if named => Verb::Patch,
        "DELETE" if named => Verb::Delete,
        "DELETE" => Verb::DeleteCollection,
        _ => return Err(crate::registry::method_not_allowed()),
    })
}
