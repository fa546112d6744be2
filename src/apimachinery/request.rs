//! Requests to kube-apiserver and its answers, as every client inside the bottle sends them.
//!
//! Upstream parses a path into a `RequestInfo`; in here clients send that parsed form at once (the native server and the
//! terminal's raw requests parse paths, see kube-apiserver). Objects travel as shared trees, not as bytes.

use std::fmt::Write;
use std::rc::Rc;

use base::Sym;

use crate::gvr::Gvr;
use crate::object::{Object, ObjectKey};
use crate::value::{Value, key};

/// What is asked of a resource, as authorization names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// GET of a path that is not a resource (`/healthz`, `/apis`).
    GetPath,
    /// Any other HTTP method on a path that is not a resource.
    OtherPath,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get | Verb::GetPath => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::OtherPath => "post",
        }
    }
    /// The HTTP method.
    pub fn method(self) -> &'static str {
        match self {
            Verb::Get | Verb::List | Verb::Watch | Verb::GetPath => "GET",
            Verb::Create | Verb::OtherPath => "POST",
            Verb::Update => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete | Verb::DeleteCollection => "DELETE",
        }
    }
    pub fn is_write(self) -> bool {
        !matches!(self, Verb::Get | Verb::List | Verb::Watch | Verb::GetPath)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchType {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    StrategicMerge,
    /// `application/apply-patch+yaml`
    Apply,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub enum Body {
    #[default]
    None,
    /// An object (or DeleteOptions, Eviction, Binding …) as a tree.
    Object(Object),
    Patch(PatchType, Value),
    /// As it came over HTTP: content type and bytes, still to be decoded.
    Bytes(Rc<str>, Rc<[u8]>),
}

/// Who asks, as proven by the connection or a header.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Credential {
    #[default]
    Anonymous,
    /// A client certificate's subject: common name and organizations.
    Certificate(Rc<UserInfo>),
    /// `Authorization: Bearer …`
    Bearer(Rc<str>),
}

/// The authenticated user. Models `authentication/user.Info`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserInfo {
    pub name: Rc<str>,
    pub uid: Rc<str>,
    pub groups: Vec<Rc<str>>,
    /// Sorted by key.
    pub extra: Vec<(Rc<str>, Vec<Rc<str>>)>,
}

impl UserInfo {
    pub fn new(name: &str, groups: &[&str]) -> UserInfo {
        UserInfo { name: name.into(), groups: groups.iter().map(|g| (*g).into()).collect(), ..UserInfo::default() }
    }
}

/// Query parameters (and those members of DeleteOptions that have one).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Options {
    pub label_selector: Option<Rc<str>>,
    pub field_selector: Option<Rc<str>>,
    pub resource_version: Option<Rc<str>>,
    pub resource_version_match: Option<Rc<str>>,
    pub limit: i64,
    pub continue_token: Option<Rc<str>>,
    pub allow_watch_bookmarks: bool,
    pub send_initial_events: bool,
    pub timeout_seconds: Option<i64>,
    /// `dryRun=All`
    pub dry_run: bool,
    pub field_manager: Option<Rc<str>>,
    /// `Strict`, `Warn` or `Ignore`
    pub field_validation: Option<Rc<str>>,
    pub force: bool,
    /// All other parameters, in order (`container`, `follow`, `tailLines`, `command`, `stdin`, `pretty` …).
    pub query: Vec<(Rc<str>, Rc<str>)>,
}

impl Options {
    /// The first other parameter of a name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| &**k == name).map(|(_, v)| &**v)
    }
}

/// A request to kube-apiserver.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub verb: Verb,
    /// Default (empty) when `path` is used.
    pub gvr: Gvr,
    pub subresource: Sym,
    pub namespace: Rc<str>,
    pub name: Rc<str>,
    /// For verbs on paths that are not resources.
    pub path: Rc<str>,
    pub options: Options,
    pub body: Body,
    pub credential: Credential,
    /// `Impersonate-*` headers, if any.
    pub impersonate: Option<Rc<UserInfo>>,
    pub user_agent: Rc<str>,
    /// Media types as asked; `None` asks for the object itself. `Table` and `PartialObjectMetadata` come through here.
    pub accept: Option<Rc<str>>,
}

impl Default for Request {
    fn default() -> Request {
        let empty = key("");
        Request {
            verb: Verb::Get,
            gvr: Gvr::default(),
            subresource: Sym::default(),
            namespace: empty.clone(),
            name: empty.clone(),
            path: empty.clone(),
            options: Options::default(),
            body: Body::None,
            credential: Credential::Anonymous,
            impersonate: None,
            user_agent: empty,
            accept: None,
        }
    }
}

impl Request {
    fn new(verb: Verb, gvr: Gvr, namespace: &Rc<str>, name: &Rc<str>) -> Request {
        Request { verb, gvr, namespace: namespace.clone(), name: name.clone(), ..Request::default() }
    }
    pub fn get(gvr: Gvr, key: &ObjectKey) -> Request {
        Request::new(Verb::Get, gvr, &key.namespace, &key.name)
    }
    /// Of all namespaces if `namespace` is empty.
    pub fn list(gvr: Gvr, namespace: &str) -> Request {
        Request { verb: Verb::List, gvr, namespace: namespace.into(), ..Request::default() }
    }
    /// Watches from after `resource_version`.
    pub fn watch(gvr: Gvr, namespace: &str, resource_version: &str) -> Request {
        let mut request = Request { verb: Verb::Watch, gvr, namespace: namespace.into(), ..Request::default() };
        request.options.resource_version = Some(resource_version.into());
        request.options.allow_watch_bookmarks = true;
        request
    }
    /// Creates `object` in its namespace.
    pub fn create(gvr: Gvr, object: Object) -> Request {
        let namespace = object.key().namespace;
        Request { verb: Verb::Create, gvr, namespace, body: Body::Object(object), ..Request::default() }
    }
    pub fn update(gvr: Gvr, object: Object) -> Request {
        let k = object.key();
        Request { body: Body::Object(object), ..Request::new(Verb::Update, gvr, &k.namespace, &k.name) }
    }
    pub fn update_status(gvr: Gvr, object: Object) -> Request {
        Request { subresource: "status".into(), ..Request::update(gvr, object) }
    }
    pub fn patch(gvr: Gvr, key: &ObjectKey, kind: PatchType, patch: Value) -> Request {
        Request { body: Body::Patch(kind, patch), ..Request::new(Verb::Patch, gvr, &key.namespace, &key.name) }
    }
    pub fn patch_status(gvr: Gvr, key: &ObjectKey, kind: PatchType, patch: Value) -> Request {
        Request { subresource: "status".into(), ..Request::patch(gvr, key, kind, patch) }
    }
    pub fn delete(gvr: Gvr, key: &ObjectKey) -> Request {
        Request::new(Verb::Delete, gvr, &key.namespace, &key.name)
    }
    pub fn get_path(path: &str) -> Request {
        Request { verb: Verb::GetPath, path: path.into(), ..Request::default() }
    }
    pub fn with_subresource(mut self, subresource: &str) -> Request {
        self.subresource = subresource.into();
        self
    }
    pub fn with_name(mut self, name: &str) -> Request {
        self.name = name.into();
        self
    }

    /// The URL path (without the query), as the trace shows it.
    pub fn url_path(&self) -> String {
        if self.gvr.resource.is_empty() {
            return self.path.to_string();
        }
        let mut out = String::with_capacity(64);
        let _ = match self.gvr.group.is_empty() {
            true => write!(out, "/api/{}", self.gvr.version),
            false => write!(out, "/apis/{}/{}", self.gvr.group, self.gvr.version),
        };
        if !(self.namespace.is_empty() || self.gvr.resource == "namespaces" && self.namespace == self.name) {
            let _ = write!(out, "/namespaces/{}", self.namespace);
        }
        let _ = write!(out, "/{}", self.gvr.resource);
        for part in [&*self.name, &*self.subresource.text()] {
            if !part.is_empty() {
                let _ = write!(out, "/{part}");
            }
        }
        out
    }
}

/// Objects as a list call answers them; the items are shared with the store.
#[derive(Clone, PartialEq, Debug)]
pub struct List {
    /// `v1`, `apps/v1`
    pub api_version: Rc<str>,
    /// `PodList`
    pub kind: Rc<str>,
    pub resource_version: i64,
    pub continue_token: Option<Rc<str>>,
    pub remaining_item_count: Option<i64>,
    pub items: Vec<Object>,
}

impl List {
    /// Whether the list is one of Go's types: that of a built-in kind, or of a metrics API.
    fn is_typed(&self) -> bool {
        let gv = crate::gvr::Gvk::from_api_version(&self.api_version, "");
        let built_in = crate::schema::group_versions().iter().any(|(g, v)| *g == gv.group && *v == gv.version);
        built_in || gv.group.with(|g| g.ends_with("metrics.k8s.io"))
    }
    /// The list as one tree. Items lose `apiVersion` and `kind` as upstream's typed lists do; custom resources keep them.
    pub fn to_value(&self) -> Value {
        let mut metadata = crate::value!({"resourceVersion": (self.resource_version.to_string())});
        if let Some(token) = &self.continue_token {
            metadata.set_at(&["continue"], token);
        }
        if let Some(n) = self.remaining_item_count {
            metadata.set_at(&["remainingItemCount"], n);
        }
        let typed = self.is_typed();
        let items = self.items.iter().map(|o| {
            let mut v = o.value().clone();
            if typed {
                v.map_mut().remove("apiVersion");
                v.map_mut().remove("kind");
            }
            v
        });
        crate::value!({
            "apiVersion": (&self.api_version), "kind": (&self.kind), "metadata": metadata,
            "items": (items.collect::<Vec<_>>())
        })
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub enum ResponseBody {
    #[default]
    None,
    Object(Object),
    List(Rc<List>),
    /// Content type and text (logs, health checks, YAML, metrics).
    Text(Rc<str>, Rc<str>),
    /// The watch is open; events follow on the stream.
    WatchStarted,
    /// A byte stream is open (exec, attach, port-forward, `logs -f`); frames follow.
    StreamStarted,
}

/// An answer of kube-apiserver. Errors carry a `Status` object.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Response {
    pub code: u16,
    /// Texts of `Warning` headers.
    pub warnings: Vec<Rc<str>>,
    pub body: ResponseBody,
}

impl Response {
    pub fn object(code: u16, object: Object) -> Response {
        Response { code, body: ResponseBody::Object(object), ..Response::default() }
    }
    /// Also 101: a stream was opened. Not 0: there was no connection.
    pub fn is_success(&self) -> bool {
        (100..300).contains(&self.code)
    }
    /// The object of a successful answer.
    pub fn ok(&self) -> Option<&Object> {
        match &self.body {
            ResponseBody::Object(o) if self.is_success() => Some(o),
            _ => None,
        }
    }
    pub fn as_list(&self) -> Option<&Rc<List>> {
        if let ResponseBody::List(l) = &self.body { Some(l) } else { None }
    }
    /// `reason` of the Status of an error answer, else empty.
    pub fn reason(&self) -> &str {
        match &self.body {
            ResponseBody::Object(o) if !self.is_success() => o.str_at(&["reason"]).unwrap_or(""),
            // Flow control answers by a text, from which clients make this.
            ResponseBody::Text(..) if self.code == 429 => "TooManyRequests",
            _ => "",
        }
    }
    /// `message` of the Status of an error answer, else empty.
    pub fn message(&self) -> &str {
        match &self.body {
            ResponseBody::Object(o) if !self.is_success() => o.str_at(&["message"]).unwrap_or(""),
            ResponseBody::Text(..) if self.code == 429 => {
                "the server has received too many requests and has asked us to try again later"
            }
            _ => "",
        }
    }
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }
    pub fn is_conflict(&self) -> bool {
        self.code == 409 && self.reason() == "Conflict"
    }
    pub fn is_already_exists(&self) -> bool {
        self.code == 409 && self.reason() == "AlreadyExists"
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchEventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl WatchEventType {
    pub fn as_str(self) -> &'static str {
        match self {
            WatchEventType::Added => "ADDED",
            WatchEventType::Modified => "MODIFIED",
            WatchEventType::Deleted => "DELETED",
            WatchEventType::Bookmark => "BOOKMARK",
            WatchEventType::Error => "ERROR",
        }
    }
}

/// One event of a watch.
#[derive(Clone, PartialEq, Debug)]
pub struct WatchEvent {
    pub kind: WatchEventType,
    /// The object; for `Deleted` its last state; for `Error` a Status; for `Bookmark` only a resourceVersion.
    pub object: Object,
    /// The id of the message whose write made this event (0: none, as for initial events).
    pub cause: u64,
}
