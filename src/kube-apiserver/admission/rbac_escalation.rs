//! Nobody gives away more than they have. Upstream does this in the storage of roles and bindings
//! (`pkg/registry/rbac/*/policybased`), whether or not any admission plugin runs.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Value, Verb, json, key, resources, value};
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
        let missing: Vec<Value> = rules.iter().flat_map(atoms).filter(|r| !authz::covered(&have, r)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut shown: Vec<String> = merged(missing).iter().map(compact).collect();
        shown.sort();
        shown.dedup();
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

/// A rule as rules of one group, resource, verb and name each. Models `validation.BreakdownRule`.
fn atoms(rule: &Value) -> Vec<Value> {
    let verbs = rule.list_at(&["verbs"]);
    let mut out = Vec::new();
    for group in rule.list_at(&["apiGroups"]) {
        for resource in rule.list_at(&["resources"]) {
            for verb in verbs {
                let atom = value!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
                match rule.list_at(&["resourceNames"]) {
                    [] => out.push(atom),
                    names => out.extend(names.iter().map(|name| {
                        let mut atom = atom.clone();
                        atom.set_at(&["resourceNames"], vec![name.clone()]);
                        atom
                    })),
                }
            }
        }
    }
    for url in rule.list_at(&["nonResourceURLs"]) {
        out.extend(verbs.iter().map(|verb| value!({"nonResourceURLs": [url], "verbs": [verb]})));
    }
    out
}

/// Rules of one resource that differ in the verb only, as one. Models `validation.CompactRules`.
fn merged(atoms: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for atom in atoms {
        let same = |r: &&mut Value| {
            atom.get("nonResourceURLs").is_none()
                && ["apiGroups", "resources", "resourceNames"].iter().all(|f| r.get(f) == atom.get(f))
        };
        match out.iter_mut().find(same) {
            Some(rule) => {
                let verbs = rule.list_at(&["verbs"]).iter().chain(atom.list_at(&["verbs"])).cloned().collect::<Vec<_>>();
                rule.set_at(&["verbs"], verbs);
            }
            None => out.push(atom),
        }
    }
    out
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
