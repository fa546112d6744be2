//! `kubectl create role`, `clusterrole`, `rolebinding`, `clusterrolebinding`, `token`.

use apimachinery::{Request, Value, value};
use base::Sort as _;

use super::create::{name_arg, submit};
use super::create_workload::label_selector;
use super::util::object_key;
use crate::ctx::{Ctx, Res, Stop, body, fail};
use crate::error::Error;

const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
    "attest",
];
const GROUP: &str = "rbac.authorization.k8s.io";

/// The rules of `--verb`, `--resource`, `--resource-name`: one per API group.
fn rules(ctx: &mut Ctx) -> Res<Vec<Value>> {
    let flags = ctx.flags.clone();
    let mut verbs: Vec<String> = Vec::new();
    for verb in flags.list("verb") {
        if verb == "*" {
            verbs = vec![verb];
            break;
        }
        if !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    if verbs.is_empty() {
        return fail("at least one verb must be specified");
    }
    for verb in verbs.iter().filter(|v| !VERBS.contains(&v.as_str())) {
        ctx.warn(&format!("'{verb}' is not a standard resource verb"));
    }
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for text in flags.list("resource") {
        let (text, subresource) = text.split_once('/').map_or((text.as_str(), None), |(r, s)| (r, Some(s)));
        let (resource, group) = match text == "*" {
            true => ("*".to_string(), "*".to_string()),
            false => {
                let mapping = ctx.resource(text)?;
                (mapping.gvr.resource.to_string(), mapping.gvr.group.to_string())
            }
        };
        let resource = subresource.map_or(resource.clone(), |s| format!("{resource}/{s}"));
        match groups.iter_mut().find(|(g, _)| *g == group) {
            Some((_, resources)) if resources.contains(&resource) => {}
            Some((_, resources)) => resources.push(resource),
            None => groups.push((group, vec![resource])),
        }
    }
    if groups.is_empty() && flags.list("non-resource-url").is_empty() {
        return fail("at least one resource must be specified");
    }
    let texts = |list: &[String]| Value::list(list.iter().map(Value::from).collect());
    let names = flags.list("resource-name");
    let mut rules = Vec::new();
    groups.order();
    for (group, resources) in groups {
        let mut rule = value!({"apiGroups": [group], "resources": (texts(&resources)), "verbs": (texts(&verbs))});
        if !names.is_empty() {
            rule.set_at(&["resourceNames"], texts(&names));
        }
        rules.push(rule);
    }
    let urls = flags.list("non-resource-url");
    if !urls.is_empty() {
        rules.push(value!({"nonResourceURLs": (texts(&urls)), "verbs": (texts(&verbs))}));
    }
    Ok(rules)
}

pub(super) fn role(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let rules = rules(ctx)?;
    let mapping = ctx.resource("roles.rbac.authorization.k8s.io")?;
    let object =
        value!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules});
    submit(ctx, mapping, object, None).map(drop)
}

pub(super) fn clusterrole(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let mapping = ctx.resource("clusterroles.rbac.authorization.k8s.io")?;
    let mut object = value!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
    let aggregation = ctx.flags.list("aggregation-rule");
    if aggregation.is_empty() {
        object.set_at(&["rules"], rules(ctx)?);
    } else {
        let selector = label_selector(&aggregation.join(","))?;
        object.set_at(&["aggregationRule", "clusterRoleSelectors"], vec![selector]);
        object.set_at(&["rules"], Vec::new());
    }
    submit(ctx, mapping, object, None).map(drop)
}

/// `--user`, `--group`, `--serviceaccount` as subjects.
pub(super) fn subjects(ctx: &Ctx) -> Res<Vec<Value>> {
    let flags = &ctx.flags;
    let mut out = Vec::new();
    for (flag, kind) in [("user", "User"), ("group", "Group")] {
        for name in flags.list(flag) {
            out.push(value!({"apiGroup": GROUP, "kind": kind, "name": name}));
        }
    }
    for text in flags.list("serviceaccount") {
        match text.split_once(':') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains(':') => {
                out.push(value!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
            }
            _ => return fail("serviceaccount must be <namespace>:<name>"),
        }
    }
    Ok(out)
}

pub(super) fn rolebinding(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let (role, cluster_role) = (flags.str("role"), flags.str("clusterrole"));
    if role.is_empty() == cluster_role.is_empty() {
        return fail("exactly one of clusterrole or role must be specified");
    }
    let (kind, role) = if role.is_empty() { ("ClusterRole", cluster_role) } else { ("Role", role) };
    binding(ctx, "RoleBinding", &name, kind, role, "failed to create rolebinding")
}

pub(super) fn clusterrolebinding(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let role = ctx.flags.str("clusterrole").to_string();
    binding(ctx, "ClusterRoleBinding", &name, "ClusterRole", &role, "failed to create clusterrolebinding")
}

fn binding(ctx: &mut Ctx, kind: &str, name: &str, role_kind: &str, role: &str, failure: &str) -> Res<()> {
    let subjects = subjects(ctx)?;
    let mapping = ctx.resource(&format!("{}s.{GROUP}", kind.to_lowercase()))?;
    let mut object = value!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role}
    });
    if !subjects.is_empty() {
        object.set_at(&["subjects"], subjects);
    }
    submit(ctx, mapping, object, Some(failure)).map(drop)
}

pub(super) fn token(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let mut spec = Value::map();
    let audiences: Vec<Value> = flags.list("audience").iter().map(Value::from).collect();
    spec.set_at(&["audiences"], audiences);
    let duration = flags.duration("duration");
    if flags.changed("duration") && duration.as_secs() > 0 {
        spec.set_at(&["expirationSeconds"], duration.as_secs());
    }
    if !flags.str("bound-object-kind").is_empty() {
        let api_version = "v1";
        spec.set_at(
            &["boundObjectRef"],
            value!({"apiVersion": api_version, "kind": (flags.str("bound-object-kind")), "name": (flags.str("bound-object-name"))}),
        );
        if !flags.str("bound-object-uid").is_empty() {
            spec.set_at(&["boundObjectRef", "uid"], flags.str("bound-object-uid"));
        }
    }
    let namespace = ctx.namespace()?;
    let mapping = ctx.resource("serviceaccounts")?;
    let review = value!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec, "status": {"token": "", "expirationTimestamp": null}});
    let mut request = Request::get(mapping.gvr, &object_key(&namespace, &name)).with_subresource("token");
    request.verb = apimachinery::Verb::Create;
    request.body = body(review);
    let answer = match ctx.call(request) {
        Ok(answer) => answer,
        Err(Stop::Err(error)) => return Err(error.wrapped("failed to create token").into()),
        Err(stop) => return Err(stop),
    };
    if flags.str("output").is_empty() {
        let token = answer.str_at(&["status", "token"]).unwrap_or("").to_string();
        if token.is_empty() {
            return Err(Error::Plain("failed to create token: no token in server response".into()).into());
        }
        ctx.print(token);
        return Ok(());
    }
    ctx.print_object(&answer, "created")
}
