//! Authorization: may this user do that. Models `--authorization-mode Node,RBAC` behind the short cut for `system:masters`.

mod node;
pub(crate) mod rbac;

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Gvr, Request, UserInfo, Verb};
use base::Sym;

use crate::server::ApiServer;

pub use rbac::{Bound, Grant, covered, rules_for};

/// What is to be decided. Models `authorizer.Attributes`.
#[derive(Clone, Debug)]
pub struct Attributes {
    pub user: Rc<UserInfo>,
    pub verb: Rc<str>,
    /// Empty resource: `path` counts.
    pub group: Rc<str>,
    pub resource: Sym,
    pub subresource: Sym,
    pub version: Sym,
    pub namespace: Rc<str>,
    pub name: Rc<str>,
    pub path: Rc<str>,
    /// `spec.nodeName` of the field selector of a list or watch, or `metadata.name`.
    pub node_selector: Option<Rc<str>>,
}

/// The decision and, where a denial has one, its reason.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Allow(Rc<str>),
    NoOpinion(Rc<str>),
}

impl Attributes {
    pub fn gvr(&self) -> Gvr {
        Gvr { group: Sym::new(&self.group), version: self.version, resource: self.resource }
    }
}

pub(crate) fn is_master(user: &UserInfo) -> bool {
    user.groups.iter().any(|g| &**g == "system:masters")
}

impl ApiServer {
    /// Checks a request; the error is upstream's 403.
    pub(crate) fn authorize(&self, user: &Rc<UserInfo>, request: &Request) -> Result<(), Status> {
        if is_master(user) {
            return Ok(());
        }
        let attributes = Attributes::of(user, request);
        match self.decide(&attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(forbidden(&attributes, &reason)),
        }
    }

    pub(crate) fn decide(&self, a: &Attributes) -> Decision {
        if is_master(&a.user) {
            return Decision::Allow("".into());
        }
        let mut reasons: Vec<Rc<str>> = Vec::new();
        if let Some(node) = node::node_of(&a.user) {
            match self.decide_for_node(node, a) {
                Decision::Allow(reason) => return Decision::Allow(reason),
                Decision::NoOpinion(reason) => reasons.push(reason),
            }
        }
        match self.decide_by_rbac(a) {
            Decision::Allow(reason) => Decision::Allow(reason),
            Decision::NoOpinion(reason) => {
                reasons.push(reason);
                reasons.retain(|r| !r.is_empty());
                Decision::NoOpinion(reasons.join("\n").into())
            }
        }
    }
}

impl Attributes {
    pub fn of(user: &Rc<UserInfo>, request: &Request) -> Attributes {
        Attributes {
            user: user.clone(),
            verb: apimachinery::key(verb_of(request)),
            group: request.gvr.group.text(),
            resource: request.gvr.resource,
            subresource: request.subresource,
            version: request.gvr.version,
            namespace: namespace_of(request).clone(),
            name: named(request),
            path: request.path.clone(),
            node_selector: node::selected_node(request),
        }
    }
}

/// The verb by which rules name a request: of a path the method.
pub(crate) fn verb_of(request: &Request) -> &str {
    match request.verb {
        Verb::OtherPath => request.options.query("\u{0}method").unwrap_or("post"),
        verb => verb.as_str(),
    }
}

/// The namespace by which rules know a request. A namespace is in itself: rights in it extend to it.
pub(crate) fn namespace_of(request: &Request) -> &Rc<str> {
    match request.gvr == apimachinery::resources::namespaces() {
        true => &request.name,
        false => &request.namespace,
    }
}

/// The object that a request is about: also that of a list or watch of one name.
fn named(request: &Request) -> Rc<str> {
    let of_many = matches!(request.verb, Verb::List | Verb::Watch | Verb::DeleteCollection) && request.name.is_empty();
    let selector = request.options.field_selector.as_deref().filter(|_| of_many);
    let name = selector.and_then(|text| text.split(',').find_map(|term| term.strip_prefix("metadata.name=")));
    name.map_or_else(|| request.name.clone(), |name| name.trim_start_matches('=').into())
}

/// Models `responsewriters.Forbidden`.
fn forbidden(a: &Attributes, reason: &str) -> Status {
    let user = &a.user.name;
    let mut text = if a.resource.is_empty() {
        format!("User \"{user}\" cannot {} path \"{}\"", a.verb, a.path)
    } else {
        let resource =
            if a.subresource.is_empty() { a.resource.to_string() } else { format!("{}/{}", a.resource, a.subresource) };
        let scope = if a.namespace.is_empty() {
            "at the cluster scope".to_string()
        } else {
            format!("in the namespace \"{}\"", a.namespace)
        };
        format!("User \"{user}\" cannot {} resource \"{resource}\" in API group \"{}\" {scope}", a.verb, a.group)
    };
    if !reason.is_empty() {
        text = format!("{text}: {reason}");
    }
    Status::forbidden(a.gvr(), &a.name, &text)
}

/// A check outside of a request's own; the error is upstream's 403.
pub(crate) fn check(server: &ApiServer, a: &Attributes) -> Result<(), Status> {
    match server.decide(a) {
        Decision::Allow(_) => Ok(()),
        Decision::NoOpinion(reason) => Err(forbidden(a, &reason)),
    }
}
