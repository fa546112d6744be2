//! RBAC: roles bound to users, groups and service accounts. Models `plugin/pkg/auth/authorizer/rbac`.
//!
//! What a user may do with a resource is found once and remembered until any role or binding changes: either everything of that
//! sort, or certain names.

use std::rc::Rc;

use apimachinery::{Object, UserInfo, Value, resources};
use base::{Digest, hash64};

use super::{Attributes, Decision};
use crate::server::ApiServer;

/// What the rules say of (user, verb, resource, namespace) before the name is looked at.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Granted for every name; the text says by what.
    any: Option<Rc<str>>,
    /// Granted for these names.
    names: Rc<[(Rc<str>, Rc<str>)]>,
    /// Roles that bindings name and that don't exist.
    missing: Rc<str>,
}

impl ApiServer {
    pub(super) fn decide_by_rbac(&self, a: &Attributes) -> Decision {
        let grant = self.memo.grants.get_or(memo_key(a), || self.find_grant(a));
        if let Some(reason) = &grant.any {
            return Decision::Allow(reason.clone());
        }
        match grant.names.iter().find(|(name, _)| *name == a.name) {
            Some((_, reason)) => Decision::Allow(reason.clone()),
            None => Decision::NoOpinion(grant.missing.clone()),
        }
    }

    fn find_grant(&self, a: &Attributes) -> Grant {
        let bound = self.memo.bound.get_or(subject_key(a), || Bound::find(self, &a.user, &a.namespace));
        let mut names = Vec::new();
        let mut any = None;
        for (rule, reason) in &*bound.rules {
            if a.resource.is_empty() {
                if has(rule, "verbs", &a.verb) && covers_path(rule, &a.path) {
                    any.get_or_insert_with(|| reason.clone());
                }
                continue;
            }
            if !has(rule, "verbs", &a.verb) || !has(rule, "apiGroups", &a.group) || !covers_resource(rule, a) {
                continue;
            }
            let listed = rule.list_at(&["resourceNames"]);
            if listed.is_empty() {
                any.get_or_insert_with(|| reason.clone());
            }
            for name in listed.iter().filter_map(Value::as_rc_str) {
                names.push((name.clone(), reason.clone()));
            }
        }
        let missing = match &*bound.missing {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        };
        Grant { any, names: names.into(), missing: missing.into() }
    }
}

/// All rules that hold for a user in a namespace, each with where it comes from; and the roles that are missing.
#[derive(Clone)]
pub struct Bound {
    rules: Rc<[(Value, Rc<str>)]>,
    missing: Rc<[String]>,
}

impl Bound {
    fn find(server: &ApiServer, user: &UserInfo, namespace: &str) -> Bound {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for_each_binding(server, user, namespace, |role, reason| match role {
            Some(of_role) => {
                let reason: Rc<str> = reason.into();
                rules.extend(of_role.iter().map(|rule| (rule.clone(), reason.clone())));
            }
            None => missing.push(reason),
        });
        Bound { rules: rules.into(), missing: missing.into() }
    }
}

/// What `Bound` hangs on.
fn subject_key(a: &Attributes) -> u128 {
    key(3, |d| {
        d.write(a.user.name.as_bytes());
        d.write(a.namespace.as_bytes());
        a.user.groups.iter().for_each(|group| d.write(group.as_bytes()));
    })
}

/// What `Grant` hangs on.
fn memo_key(a: &Attributes) -> u128 {
    key(1, |d| {
        for text in [&a.user.name, &a.verb, &a.group, &a.namespace, &a.path] {
            d.write(text.as_bytes());
        }
        d.write_u64(a.resource.with(|text| hash64(text.as_bytes())));
        d.write_u64(a.subresource.with(|text| hash64(text.as_bytes())));
        a.user.groups.iter().for_each(|group| d.write(group.as_bytes()));
    })
}

/// Two digests of the same, with two salts from `salt` on: long enough that no two keys meet.
fn key(salt: u64, write: impl Fn(&mut Digest)) -> u128 {
    let half = |salt: u64| {
        let mut d = Digest::new();
        d.write_u64(salt);
        write(&mut d);
        d.finish()
    };
    u128::from(half(salt)) << 64 | u128::from(half(salt + 1))
}

pub(crate) fn has(rule: &Value, list: &str, wanted: &str) -> bool {
    rule.list_at(&[list]).iter().any(|v| v.as_str().is_some_and(|v| v == "*" || v == wanted))
}

fn covers_resource(rule: &Value, a: &Attributes) -> bool {
    a.resource.with(|resource| {
        a.subresource.with(|sub| {
            rule.list_at(&["resources"]).iter().filter_map(Value::as_str).any(|v| match v.split_once('/') {
                _ if v == "*" => true,
                None => sub.is_empty() && v == resource,
                Some((r, s)) => !sub.is_empty() && s == sub && (r == "*" || r == resource),
            })
        })
    })
}

pub(crate) fn covers_path(rule: &Value, path: &str) -> bool {
    rule.list_at(&["nonResourceURLs"]).iter().filter_map(Value::as_str).any(|url| {
        url == "*" || url == path || url.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix.trim_end_matches('*')))
    })
}

/// Calls `f` for every binding of a user in a namespace: with the rules of its role and a text that says where they come from, or
/// without rules and with what is missing.
fn for_each_binding(server: &ApiServer, user: &UserInfo, namespace: &str, mut f: impl FnMut(Option<&[Value]>, String)) {
    for binding in server.all(resources::clusterrolebindings(), "") {
        let Some(subject) = subject_of(binding, user, "") else { continue };
        let role = binding.str_at(&["roleRef", "name"]).unwrap_or("");
        let name = binding.name();
        match server.peek(resources::clusterroles(), "", role) {
            Some(object) => f(
                Some(object.list_at(&["rules"])),
                format!("RBAC: allowed by ClusterRoleBinding \"{name}\" of ClusterRole \"{role}\" to {subject}"),
            ),
            None => f(None, format!("clusterrole.rbac.authorization.k8s.io \"{role}\" not found")),
        }
    }
    if namespace.is_empty() {
        return;
    }
    for binding in server.all(resources::rolebindings(), namespace) {
        let Some(subject) = subject_of(binding, user, namespace) else { continue };
        let role = binding.str_at(&["roleRef", "name"]).unwrap_or("");
        let kind = binding.str_at(&["roleRef", "kind"]).unwrap_or("");
        let name = binding.name();
        let object = match kind {
            "ClusterRole" => server.peek(resources::clusterroles(), "", role),
            _ => server.peek(resources::roles(), namespace, role),
        };
        match object {
            Some(object) => f(
                Some(object.list_at(&["rules"])),
                format!("RBAC: allowed by RoleBinding \"{name}/{namespace}\" of {kind} \"{role}\" to {subject}"),
            ),
            None => f(None, format!("{}.rbac.authorization.k8s.io \"{role}\" not found", kind.to_lowercase())),
        }
    }
}

/// The subject of a binding that a user is, as the reason prints it.
fn subject_of(binding: &Object, user: &UserInfo, namespace: &str) -> Option<String> {
    binding.list_at(&["subjects"]).iter().find_map(|s| {
        let name = s.str_at(&["name"])?;
        match s.str_at(&["kind"])? {
            "User" => (name == &*user.name).then(|| format!("User \"{name}\"")),
            "Group" => user.groups.iter().any(|g| **g == *name).then(|| format!("Group \"{name}\"")),
            "ServiceAccount" => {
                let ns = s.str_at(&["namespace"]).filter(|n| !n.is_empty()).unwrap_or(namespace);
                let rest = user.name.strip_prefix("system:serviceaccount:")?;
                (rest.split_once(':') == Some((ns, name))).then(|| format!("ServiceAccount \"{name}/{ns}\""))
            }
            _ => None,
        }
    })
}

/// Every rule that holds for a user in a namespace: for SelfSubjectRulesReview.
pub fn rules_for(server: &ApiServer, user: &UserInfo, namespace: &str) -> Vec<Value> {
    let mut rules = Vec::new();
    for_each_binding(server, user, namespace, |role, _| rules.extend(role.into_iter().flatten().cloned()));
    rules
}

/// Whether every request that `wanted` allows is allowed by one of `have`. Models `validation.Covers`, rule by rule.
pub fn covered(have: &[Value], wanted: &Value) -> bool {
    let texts =
        |v: &Value, list: &str| -> Vec<Rc<str>> { v.list_at(&[list]).iter().filter_map(Value::as_rc_str).cloned().collect() };
    let all_in = |rule: &Value, list: &str, item: &str| has(rule, list, item);
    let urls = texts(wanted, "nonResourceURLs");
    let verbs = texts(wanted, "verbs");
    let by_url = urls
        .iter()
        .all(|url| verbs.iter().all(|verb| have.iter().any(|rule| all_in(rule, "verbs", verb) && covers_path(rule, url))));
    let names = texts(wanted, "resourceNames");
    let names: Vec<Option<&Rc<str>>> = if names.is_empty() { vec![None] } else { names.iter().map(Some).collect() };
    by_url
        && texts(wanted, "apiGroups").iter().all(|group| {
            texts(wanted, "resources").iter().all(|resource| {
                verbs.iter().all(|verb| {
                    names.iter().all(|name| have.iter().any(|rule| grants(rule, verb, group, resource, name.map(|n| &**n))))
                })
            })
        })
}

fn grants(rule: &Value, verb: &str, group: &str, resource: &str, name: Option<&str>) -> bool {
    let listed = rule.list_at(&["resourceNames"]);
    let wildcard = |r: &str| resource.split_once('/').is_some_and(|(_, sub)| r.strip_prefix("*/") == Some(sub));
    has(rule, "verbs", verb)
        && has(rule, "apiGroups", group)
        && (has(rule, "resources", resource) || rule.list_at(&["resources"]).iter().filter_map(Value::as_str).any(wildcard))
        && (listed.is_empty() || name.is_some_and(|n| listed.iter().any(|v| v.as_str() == Some(n))))
}
