//! Nobody gives away more than they have. Upstream does this in the storage of roles and bindings
//! (`pkg/registry/rbac/*/policybased`), whether or not any admission plugin runs.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Value, Verb, json, key, resources};
use base::Sym;

use super::{Attributes, Extra, Plugin};
use crate::authz::{self, Decision};
use crate::server::ApiServer;

pub struct RbacEscalation;

impl Plugin for RbacEscalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if a.gvr.group != "rbac.authorization.k8s.io"
            || !matches!(a.verb, Verb::Create | Verb::Update)
            || authz::is_master(&a.user)
        {
            return Ok(());
        }
        let resource = &*a.gvr.resource.text();
        let (verb, rules) = match resource {
            "roles" | "clusterroles" => {
                if a.old.as_ref().is_some_and(|o| o.get("rules") == a.object.get("rules")) {
                    return Ok(());
                }
                ("escalate", a.object.list_at(&["rules"]).to_vec())
            }
            _ => ("bind", self.rules_of(server, a)?),
        };
        let name: Rc<str> =
            if verb == "bind" { a.object.str_at(&["roleRef", "name"]).unwrap_or("").into() } else { a.name.clone() };
        let target = match (verb, a.object.str_at(&["roleRef", "kind"])) {
            ("bind", Some("ClusterRole")) => Sym::new("clusterroles"),
            ("bind", _) => Sym::new("roles"),
            _ => a.gvr.resource,
        };
        if self.may(server, a, verb, target, name) {
            return Ok(());
        }
        let have = authz::rules_for(server, &a.user, &a.namespace);
        let missing: Vec<&Value> = rules.iter().filter(|r| !authz::covered(&have, r)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let shown: Vec<String> = missing.iter().map(|r| compact(r)).collect();
        let groups: Vec<String> = a.user.groups.iter().map(|g| format!("{g:?}")).collect();
        Err(a.forbidden(format!(
            "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            a.user.name,
            groups.join(" "),
            shown.join("\n")
        )))
    }
}

impl RbacEscalation {
    fn rules_of(&self, server: &ApiServer, a: &Attributes) -> Result<Vec<Value>, Status> {
        let name = a.object.str_at(&["roleRef", "name"]).unwrap_or("");
        let (gvr, role) = match a.object.str_at(&["roleRef", "kind"]) {
            Some("ClusterRole") => (resources::clusterroles(), server.peek(resources::clusterroles(), "", name)),
            _ => (resources::roles(), server.peek(resources::roles(), &a.namespace, name)),
        };
        role.map(|r| r.list_at(&["rules"]).to_vec()).ok_or_else(|| Status::not_found(gvr, name))
    }

    fn may(&self, server: &ApiServer, a: &Attributes, verb: &str, resource: Sym, name: Rc<str>) -> bool {
        let attributes = authz::Attributes {
            user: a.user.clone(),
            verb: key(verb),
            group: a.gvr.group.text(),
            resource,
            subresource: Sym::default(),
            version: a.gvr.version,
            namespace: a.namespace.clone(),
            name,
            path: key(""),
            node_selector: None,
        };
        matches!(server.decide(&attributes), Decision::Allow(_))
    }
}

/// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`
fn compact(rule: &Value) -> String {
    let mut parts = Vec::new();
    for (member, title) in [
        ("nonResourceURLs", "NonResourceURLs"),
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("resourceNames", "ResourceNames"),
        ("verbs", "Verbs"),
    ] {
        let items = rule.list_at(&[member]);
        if !items.is_empty() {
            let texts: Vec<String> = items.iter().map(json::to_string).collect();
            parts.push(format!("{title}:[{}]", texts.join(" ")));
        }
    }
    format!("{{{}}}", parts.join(", "))
}
