//! Why a request was refused: the rule that is missing, the quota that is used up, the admission plugin that said no.

use apimachinery::{Object, resources};
use cluster::{Bottle, Cluster, Record};
use protocol::{Span, Thing, WhyStep};
use sim::{MsgId, Payload};

use super::{about, advice, fact, step, throttled};

/// Messages that are looked at for refusals.
const LOOKED_AT: usize = 20_000;

/// What a 403 of the authorizer says of itself.
#[derive(Debug, PartialEq)]
struct Refusal<'a> {
    user: &'a str,
    verb: &'a str,
    resource: &'a str,
    group: &'a str,
    /// Empty: at the cluster scope.
    namespace: &'a str,
}

/// Reads `… User "u" cannot list resource "pods" in API group "" in the namespace "default"`.
fn parse(message: &str) -> Option<Refusal<'_>> {
    let rest = message.split_once("User \"")?.1;
    let (user, rest) = rest.split_once("\" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, rest) = rest.split_once('"')?;
    let namespace = rest.split_once("in the namespace \"").and_then(|(_, r)| r.split_once('"')).map_or("", |(n, _)| n);
    Some(Refusal { user, verb, resource, group, namespace })
}

/// The story of a message, if it is an answer that refuses (or a request that got one).
pub(crate) fn of_message(bottle: &Bottle, id: MsgId) -> Vec<WhyStep> {
    let Some(record) = bottle.trace().get(id) else { return Vec::new() };
    let answer = match &record.message.payload {
        Payload::ApiResponse { .. } => Some(record),
        Payload::ApiRequest { .. } => crate::inspect::answer_to(bottle, record),
        _ => None,
    };
    let Some(Payload::ApiResponse { response, .. }) = answer.map(|r| &r.message.payload) else { return Vec::new() };
    match response.code {
        429 => {
            let asked = match record.message.payload {
                Payload::ApiRequest { .. } => record.message.id,
                _ => record.message.cause,
            };
            let by_flow = throttled::of_request(bottle.shown(), asked);
            let mut steps = of_answer(bottle.shown(), response.code, response.message());
            if !by_flow.is_empty() {
                steps.truncate(1);
                steps.extend(by_flow);
            }
            steps
        }
        400.. => of_answer(bottle.shown(), response.code, response.message()),
        _ => Vec::new(),
    }
}

fn of_answer(cluster: &Cluster, code: u16, message: &str) -> Vec<WhyStep> {
    let mut steps =
        vec![step(vec![Span::bold(code.to_string()), Span::plain(format!(": {message}"))], "kube-apiserver's answer")];
    match code {
        401 => steps.push(advice("It did not say who it is, or with a credential that has run out")),
        403 => match parse(message) {
            Some(refusal) => steps.extend(missing_rule(cluster, &refusal)),
            None => steps.extend(by_quota(cluster, "", message)),
        },
        404 => steps.push(fact("There is no such object, or no such resource", "its URL")),
        409 => {
            steps.push(fact("Somebody else changed it in between: whoever writes must read it anew", "metadata.resourceVersion"))
        }
        410 => steps.push(fact("What it asks for is older than what is kept: it must list anew", "etcd's compaction")),
        422 => steps.push(fact("Fields are not valid: the message names each", "validation")),
        429 => steps.push(fact("A PodDisruptionBudget allows no eviction now, or it asked too often", "")),
        _ => {}
    }
    steps
}

/// Who was refused what, which roles they have, and the rule that would let them.
fn missing_rule(cluster: &Cluster, r: &Refusal) -> Vec<WhyStep> {
    let scope = if r.namespace.is_empty() { "in the whole cluster".to_string() } else { format!("in namespace {}", r.namespace) };
    let text = vec![
        Span::code(r.user),
        Span::plain(" may not "),
        Span::bold(format!("{} {}", r.verb, r.resource)),
        Span::plain(format!(" {scope}")),
    ];
    let mut steps = vec![step(text, "authorization: RBAC and the node authorizer; nobody said yes")];
    let mut any = false;
    for (kind, binding) in bindings(cluster, r) {
        any = true;
        let role = binding.str_at(&["roleRef", "name"]).unwrap_or("");
        let role_kind = binding.str_at(&["roleRef", "kind"]).unwrap_or("");
        let text = vec![
            Span::plain(format!("{kind} ")),
            Span::bold(binding.name()),
            Span::plain(format!(" gives it {role_kind} {role}, which has no such rule")),
        ];
        let (plural, namespace) = match role_kind {
            "Role" => ("roles", binding.namespace()),
            _ => ("clusterroles", ""),
        };
        steps.push(about(step(text, "roleRef"), Thing::object("rbac.authorization.k8s.io", plural, namespace, role)));
    }
    if !any {
        steps.push(fact("No RoleBinding or ClusterRoleBinding names it", "subjects"));
    }
    let group = if r.group.is_empty() { "\"\"".to_string() } else { r.group.to_string() };
    let rule = format!("{{apiGroups: [{group}], resources: [{}], verbs: [{}]}}", r.resource, r.verb);
    steps.push(step(vec![Span::plain("The rule that is missing: "), Span::code(rule)], "rules of a Role or ClusterRole"));
    steps.push(advice(commands(r)));
    steps
}

/// What to type to give somebody the right.
fn commands(r: &Refusal) -> String {
    let resource = if r.group.is_empty() { r.resource.to_string() } else { format!("{}.{}", r.resource, r.group) };
    let subject = match r.user.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount={account}"),
        None => format!("--user={}", r.user),
    };
    match r.namespace {
        "" => format!(
            "kubectl create clusterrole allow --verb={} --resource={resource}; kubectl create clusterrolebinding allow --clusterrole=allow {subject}",
            r.verb
        ),
        n => format!(
            "kubectl create role allow -n {n} --verb={} --resource={resource}; kubectl create rolebinding allow -n {n} --role=allow {subject}",
            r.verb
        ),
    }
}

/// The bindings that name a user or service account, of the namespace and of the cluster.
fn bindings<'a>(cluster: &'a Cluster, r: &Refusal<'a>) -> Vec<(&'static str, &'a Object)> {
    let Some(api) = cluster.api() else { return Vec::new() };
    let account = r.user.strip_prefix("system:serviceaccount:").and_then(|a| a.split_once(':'));
    let (user, namespace) = (r.user, r.namespace);
    let names = |o: &&Object| {
        o.list_at(&["subjects"]).iter().any(|s| {
            let name = s.str_at(&["name"]).unwrap_or("");
            match (s.str_at(&["kind"]), account) {
                (Some("ServiceAccount"), Some((ns, account))) => name == account && s.str_at(&["namespace"]) == Some(ns),
                (Some("User"), _) => name == user,
                _ => false,
            }
        })
    };
    let of_cluster = api.objects(resources::clusterrolebindings(), "").filter(names).map(|o| ("ClusterRoleBinding", o));
    let of_namespace = (!namespace.is_empty()).then(|| api.objects(resources::rolebindings(), namespace));
    let of_namespace = of_namespace.into_iter().flatten().filter(names).map(|o| ("RoleBinding", o));
    of_namespace.chain(of_cluster).take(6).collect()
}

/// `exceeded quota: q, requested: …`: the quota, and what is used of it.
pub(super) fn by_quota(cluster: &Cluster, namespace: &str, message: &str) -> Vec<WhyStep> {
    let Some((_, rest)) = message.split_once("exceeded quota: ") else { return Vec::new() };
    let name = rest.split(',').next().unwrap_or("").trim();
    let quota = cluster.api().and_then(|a| a.objects(resources::resourcequotas(), namespace).find(|q| q.name() == name));
    let mut steps = Vec::new();
    if let Some(quota) = quota {
        let hard = quota.map_at(&["status", "hard"]).into_iter().flatten();
        let text = |v: &apimachinery::Value| v.as_str().map_or_else(|| apimachinery::json::to_string(v), Into::into);
        let used = |k: &str| quota.at(&["status", "used"]).and_then(|u| u.get(k)).map_or_else(|| "0".to_string(), text);
        let all: Vec<String> = hard.map(|(k, v)| format!("{k} {} of {}", used(k), text(v))).collect();
        let text = vec![Span::plain("Quota "), Span::bold(name), Span::plain(format!(": {}", all.join(", ")))];
        steps.push(about(step(text, "status.used and status.hard"), Thing::core("resourcequotas", quota.namespace(), name)));
    }
    steps.push(advice(format!("Raise spec.hard of ResourceQuota {name}, ask for less, or delete what is not needed")));
    steps
}

/// The requests of a service account that were refused lately.
pub(super) fn of_account(bottle: &Bottle, account: &Object) -> Vec<WhyStep> {
    let user = format!("system:serviceaccount:{}:{}", account.namespace(), account.name());
    let mut steps = vec![step(vec![Span::plain("Its requests are those of "), Span::code(user.clone())], "its tokens")];
    let held_up = throttled::of_object(bottle.shown(), account);
    steps.extend(held_up);
    let refused = of_user(bottle, &user, 3);
    if refused.is_empty() {
        steps.push(fact("None of its requests was refused lately", "the trace"));
    }
    steps.extend(refused);
    steps
}

/// The last refusals of a user, each with its missing rule; the same one once.
pub(super) fn of_user(bottle: &Bottle, user: &str, limit: usize) -> Vec<WhyStep> {
    let mut told: Vec<&str> = Vec::new();
    let mut steps = Vec::new();
    let now = bottle.shown().now();
    for record in bottle.trace().newest().skip_while(|r| r.arrives > now).take(LOOKED_AT) {
        let Some(message) = refusal(record) else { continue };
        let Some(refusal) = parse(message).filter(|r| r.user == user) else { continue };
        if told.contains(&message) {
            continue;
        }
        told.push(message);
        let text = vec![Span::bold("403"), Span::plain(format!(": {message}"))];
        steps.push(about(step(text, "kube-apiserver's answer"), Thing::Message { id: record.message.id.0 }));
        steps.extend(missing_rule(bottle.shown(), &refusal));
        if told.len() >= limit {
            break;
        }
    }
    steps
}

fn refusal(record: &Record) -> Option<&str> {
    match &record.message.payload {
        Payload::ApiResponse { response, .. } if response.code == 403 => Some(response.message()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_refusal_has_all_that_the_rule_needs() {
        let text = "pods is forbidden: User \"system:serviceaccount:default:app\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
        let refusal = parse(text).unwrap();
        assert_eq!((refusal.verb, refusal.resource, refusal.group, refusal.namespace), ("list", "pods", "", "default"));
        assert_eq!(
            commands(&refusal),
            "kubectl create role allow -n default --verb=list --resource=pods; kubectl create rolebinding allow -n default --role=allow --serviceaccount=default:app"
        );
        let text = "nodes \"n\" is forbidden: User \"jane\" cannot patch resource \"nodes\" in API group \"\" at the cluster scope: reason";
        assert_eq!(parse(text).unwrap(), Refusal { user: "jane", verb: "patch", resource: "nodes", group: "", namespace: "" });
        assert_eq!(parse("exceeded quota: q"), None);
    }
}
