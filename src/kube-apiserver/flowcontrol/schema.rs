//! FlowSchemas: which flow a request belongs to. Models `util/flowcontrol/rule.go`.
//!
//! The schemas are tried in order of `matchingPrecedence`, then of name; the first with a rule that fits decides. Those whose priority
//! level doesn't exist (they dangle) are passed over.

use std::rc::Rc;

use apimachinery::{Object, Request, UserInfo, Value};

use crate::authz::rbac::{self, has};
use crate::authz::{namespace_of, verb_of};

/// What of a request is looked at. Models `RequestDigest`.
pub struct Asked<'a> {
    pub user: &'a UserInfo,
    pub verb: &'a str,
    /// Empty: a path.
    pub resource: &'a str,
    pub group: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub path: &'a str,
}

impl Asked<'_> {
    pub fn with<R>(user: &UserInfo, request: &Request, use_it: impl FnOnce(&Asked<'_>) -> R) -> R {
        let (group, resource, subresource) = (request.gvr.group.text(), request.gvr.resource.text(), request.subresource.text());
        use_it(&Asked {
            user,
            verb: verb_of(request),
            resource: &resource,
            group: &group,
            subresource: &subresource,
            namespace: namespace_of(request),
            path: &request.path,
        })
    }
}

/// How requests of one schema are told apart into flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distinguisher {
    None,
    ByUser,
    ByNamespace,
}

/// A FlowSchema, read once.
#[derive(Clone, Debug)]
pub struct Schema {
    pub name: Rc<str>,
    pub uid: Rc<str>,
    pub precedence: i64,
    pub level: Rc<str>,
    pub distinguisher: Distinguisher,
    rules: Value,
}

impl Schema {
    pub fn read(object: &Object) -> Schema {
        let text = |path: &[&str]| Rc::<str>::from(object.str_at(path).unwrap_or(""));
        Schema {
            name: object.name().into(),
            uid: object.uid().into(),
            precedence: object.int_at(&["spec", "matchingPrecedence"]).unwrap_or(1_000),
            level: text(&["spec", "priorityLevelConfiguration", "name"]),
            distinguisher: match object.str_at(&["spec", "distinguisherMethod", "type"]) {
                Some("ByUser") => Distinguisher::ByUser,
                Some("ByNamespace") => Distinguisher::ByNamespace,
                _ => Distinguisher::None,
            },
            rules: object.at(&["spec", "rules"]).cloned().unwrap_or_default(),
        }
    }

    /// The mandatory schema that takes what no other takes, should it have been deleted.
    pub fn catch_all() -> Schema {
        Schema {
            name: "catch-all".into(),
            uid: "".into(),
            precedence: i64::MAX,
            level: "catch-all".into(),
            distinguisher: Distinguisher::ByUser,
            rules: Value::Null,
        }
    }

    /// Whether a rule of the schema fits.
    pub fn matches(&self, asked: &Asked) -> bool {
        if self.precedence == i64::MAX {
            return true;
        }
        self.rules.items().iter().any(|rule| {
            rule.list_at(&["subjects"]).iter().any(|s| is_subject(s, asked.user))
                && match asked.resource.is_empty() {
                    true => rule.list_at(&["nonResourceRules"]).iter().any(|r| covers_path(r, asked)),
                    false => rule.list_at(&["resourceRules"]).iter().any(|r| covers_resource(r, asked)),
                }
        })
    }

    /// The flow's name within the schema.
    pub fn distinguish(&self, asked: &Asked) -> Rc<str> {
        match self.distinguisher {
            Distinguisher::None => "".into(),
            Distinguisher::ByUser => asked.user.name.clone(),
            Distinguisher::ByNamespace => asked.namespace.into(),
        }
    }
}

fn is_subject(subject: &Value, user: &UserInfo) -> bool {
    let named = |kind: &str| subject.str_at(&[kind, "name"]).unwrap_or("");
    match subject.str_at(&["kind"]) {
        Some("User") => matches!(named("user"), "*") || *named("user") == *user.name,
        Some("Group") => named("group") == "*" || user.groups.iter().any(|g| **g == *named("group")),
        Some("ServiceAccount") => {
            let Some((namespace, name)) = user.name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':')) else {
                return false;
            };
            subject.str_at(&["serviceAccount", "namespace"]) == Some(namespace)
                && (named("serviceAccount") == "*" || named("serviceAccount") == name)
        }
        _ => false,
    }
}

fn covers_resource(rule: &Value, asked: &Asked) -> bool {
    if !has(rule, "verbs", asked.verb) || !has(rule, "apiGroups", asked.group) {
        return false;
    }
    let resource = match asked.subresource.is_empty() {
        true => has(rule, "resources", asked.resource),
        false => has(rule, "resources", &format!("{}/{}", asked.resource, asked.subresource)),
    };
    resource
        && match asked.namespace.is_empty() {
            true => rule.bool_at(&["clusterScope"]) == Some(true),
            false => has(rule, "namespaces", asked.namespace),
        }
}

fn covers_path(rule: &Value, asked: &Asked) -> bool {
    let path = asked.path.split('?').next().unwrap_or("");
    has(rule, "verbs", asked.verb) && rbac::covers_path(rule, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    static OBJECTS: &str = include_str!("../../../static/bootstrap/objects.jsonl");

    /// The schemas of a fresh cluster, in the order in which they are tried.
    pub fn bootstrap() -> Vec<Schema> {
        let objects = OBJECTS
            .lines()
            .filter(|l| !l.starts_with('='))
            .map(|l| apimachinery::json::parse(l.trim_start_matches('$').as_bytes()).unwrap());
        let mut all: Vec<Schema> =
            objects.filter_map(Object::from_value).filter(|o| o.kind() == "FlowSchema").map(|o| Schema::read(&o)).collect();
        all.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        all
    }

    /// `user[group,…] verb group/resource/subresource namespace` (or a path) → schema, level, flow.
    fn classify(line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, groups) = words[0].split_once('[').unwrap_or((words[0], "system:authenticated]"));
        let mut user = UserInfo::new(name, &groups.trim_end_matches(']').split(',').collect::<Vec<_>>());
        user.groups.push("system:authenticated".into());
        let path = words[2].starts_with('/');
        let mut parts = if path { vec!["", "", ""] } else { words[2].split('/').collect() };
        parts.resize(3, "");
        let asked = Asked {
            user: &user,
            verb: words[1],
            group: parts[0].trim_start_matches("core"),
            resource: parts[1],
            subresource: parts[2],
            namespace: words.get(3).copied().unwrap_or(""),
            path: if path { words[2] } else { "" },
        };
        let all = bootstrap();
        let found = all.iter().find(|s| s.matches(&asked)).unwrap();
        format!("{line:<78} {} -> {}, flow {:?}", found.name, found.level, &*found.distinguish(&asked))
    }

    #[test]
    fn requests_of_a_fresh_cluster_fall_to_their_schemas() {
        let lines = [
            "admin[system:masters] delete core/nodes",
            "system:anonymous[system:unauthenticated] get /readyz",
            "system:node:n1[system:nodes] update core/nodes/status",
            "system:node:n1[system:nodes] update coordination.k8s.io/leases kube-node-lease",
            "system:node:n1[system:nodes] get core/secrets default",
            "system:kube-controller-manager update coordination.k8s.io/leases kube-system",
            "system:kube-controller-manager create core/pods default",
            "system:kube-scheduler create core/pods/binding web",
            "system:serviceaccount:kube-system:coredns[system:serviceaccounts] list core/services",
            "system:serviceaccount:kube-system:endpoint-controller[system:serviceaccounts] get core/endpoints kube-system",
            "system:serviceaccount:default:app[system:serviceaccounts] patch core/configmaps default",
            "jane get core/pods default",
        ];
        expect![[r#"
            admin[system:masters] delete core/nodes                                        exempt -> exempt, flow ""
            system:anonymous[system:unauthenticated] get /readyz                           probes -> exempt, flow ""
            system:node:n1[system:nodes] update core/nodes/status                          system-node-high -> node-high, flow "system:node:n1"
            system:node:n1[system:nodes] update coordination.k8s.io/leases kube-node-lease system-node-high -> node-high, flow "system:node:n1"
            system:node:n1[system:nodes] get core/secrets default                          system-nodes -> system, flow "system:node:n1"
            system:kube-controller-manager update coordination.k8s.io/leases kube-system   system-leader-election -> leader-election, flow "system:kube-controller-manager"
            system:kube-controller-manager create core/pods default                        kube-controller-manager -> workload-high, flow "default"
            system:kube-scheduler create core/pods/binding web                             kube-scheduler -> workload-high, flow "web"
            system:serviceaccount:kube-system:coredns[system:serviceaccounts] list core/services kube-system-service-accounts -> workload-high, flow ""
            system:serviceaccount:kube-system:endpoint-controller[system:serviceaccounts] get core/endpoints kube-system kube-system-service-accounts -> workload-high, flow "kube-system"
            system:serviceaccount:default:app[system:serviceaccounts] patch core/configmaps default service-accounts -> workload-low, flow "system:serviceaccount:default:app"
            jane get core/pods default                                                     global-default -> global-default, flow "jane""#]].assert_eq(&lines.map(classify).join("\n"));
    }
}
