//! `kubectl auth can-i`, `whoami`, `reconcile`. Models `kubectl/pkg/cmd/auth`.

use apimachinery::{Gvr, Object, Request, Value, Verb, value};

use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, body, done, fail};
use crate::docs::Checks;
use crate::error::aggregate;
use crate::printers::{DryRun, Output, tabwriter};

fn review(ctx: &mut Ctx, group: &str, resource: &str, kind: &str, spec: Value) -> Res<Object> {
    let request = Request { verb: Verb::Create, gvr: Gvr::new(group, "v1", resource), ..Request::default() };
    let mut object = value!({"apiVersion": (format!("{group}/v1")), "kind": kind, "metadata": {}, "status": {}});
    if !spec.is_null() {
        object.set_at(&["spec"], spec);
    }
    ctx.call(Request { body: body(object), ..request })
}

pub(super) fn can_i(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let namespace = if flags.bool("all-namespaces") { "".into() } else { ctx.namespace()? };
    if flags.bool("list") {
        return list_rules(ctx, &namespace);
    }
    let (verb, target, name) = match flags.args.as_slice() {
        [verb, target] => match target.split_once('/').filter(|_| !target.starts_with('/')) {
            Some((kind, name)) => (verb, kind.to_string(), name.to_string()),
            None => (verb, target.clone(), String::new()),
        },
        [verb, target, name] => (verb, target.clone(), name.clone()),
        _ => {
            return fail("you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.".to_string());
        }
    };
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
        "put",
        "post",
        "head",
        "options",
    ];
    if !VERBS.contains(&verb.as_str()) {
        ctx.warn(&format!("verb '{verb}' is not a known verb\n"));
    }
    let spec = if target.starts_with('/') {
        value!({"nonResourceAttributes": {"verb": verb, "path": (&target)}})
    } else {
        let mut attributes = value!({"verb": verb});
        let found = if target == "*" { None } else { ctx.resource_if_known(&target)? };
        let (group, resource, namespaced) = match &found {
            Some(m) => (m.gvr.group.to_string(), m.gvr.resource.to_string(), m.namespaced),
            None if target == "*" => ("*".into(), "*".into(), true),
            None => {
                let (name, group) = target.split_once('.').unwrap_or((&target, ""));
                ctx.warn(&match group.is_empty() {
                    true => format!("the server doesn't have a resource type '{name}'\n"),
                    false => format!("the server doesn't have a resource type '{name}' in group '{group}'\n"),
                });
                (group.to_string(), name.to_string(), true)
            }
        };
        if !namespaced && !flags.bool("all-namespaces") {
            let group = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
            ctx.warn(&format!("resource '{resource}' is not namespace scoped{group}\n"));
        }
        attributes.set_at(&["group"], group);
        attributes.set_at(&["resource"], resource);
        for (field, text) in [("namespace", &*namespace), ("name", &name), ("subresource", flags.str("subresource"))] {
            if !text.is_empty() {
                attributes.set_at(&[field], text);
            }
        }
        value!({"resourceAttributes": attributes})
    };
    let answer = review(ctx, "authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", spec)?;
    let allowed = answer.bool_at(&["status", "allowed"]).unwrap_or(false);
    if !flags.bool("quiet") {
        let mut text = if allowed { "yes".to_string() } else { "no".to_string() };
        if !allowed {
            if let Some(reason) = answer.str_at(&["status", "reason"]).filter(|r| !r.is_empty()) {
                text.push_str(&format!(" - {reason}"));
            }
            if let Some(error) = answer.str_at(&["status", "evaluationError"]).filter(|r| !r.is_empty()) {
                text.push_str(&format!(" - {error}"));
            }
        }
        ctx.println(text);
    }
    Ok(Next::Exit(if allowed { 0 } else { 1 }))
}

fn list_rules(ctx: &mut Ctx, namespace: &str) -> Res<Next> {
    let answer = review(
        ctx,
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        value!({"namespace": namespace}),
    )?;
    let join = |rule: &Value, field: &str| {
        let texts: Vec<&str> = rule.list_at(&[field]).iter().filter_map(Value::as_str).collect();
        format!("[{}]", texts.join(" "))
    };
    let mut text = if ctx.flags.bool("no-headers") {
        String::new()
    } else {
        "Resources\tNon-Resource URLs\tResource Names\tVerbs\n".to_string()
    };
    for rule in answer.list_at(&["status", "resourceRules"]) {
        for resource in rule.list_at(&["resources"]).iter().filter_map(Value::as_str) {
            for group in rule.list_at(&["apiGroups"]).iter().filter_map(Value::as_str) {
                let name = if group.is_empty() { resource.to_string() } else { format!("{resource}.{group}") };
                text.push_str(&format!("{name}\t[]\t{}\t{}\n", join(rule, "resourceNames"), join(rule, "verbs")));
            }
        }
    }
    for rule in answer.list_at(&["status", "nonResourceRules"]) {
        text.push_str(&format!("\t{}\t[]\t{}\n", join(rule, "nonResourceURLs"), join(rule, "verbs")));
    }
    ctx.print(tabwriter::table(&text));
    done()
}

pub(super) fn whoami(ctx: &mut Ctx) -> Res<Next> {
    let answer = review(ctx, "authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", Value::Null)?;
    if let Output::Objects(printer) = ctx.output(false)? {
        let text = printer.print(&answer, ctx)?;
        ctx.print(text);
        return done();
    }
    let user = answer.at(&["status", "userInfo"]).cloned().unwrap_or_default();
    let mut text = "ATTRIBUTE\tVALUE\n".to_string();
    text.push_str(&format!("Username\t{}\n", user.str_at(&["username"]).unwrap_or("")));
    if let Some(uid) = user.str_at(&["uid"]).filter(|u| !u.is_empty()) {
        text.push_str(&format!("UID\t{uid}\n"));
    }
    let join = |v: &Value| format!("[{}]", v.items().iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
    if let Some(groups) = user.get("groups").filter(|g| !g.is_empty()) {
        text.push_str(&format!("Groups\t{}\n", join(groups)));
    }
    for (k, v) in user.map_at(&["extra"]).into_iter().flat_map(|m| m.iter()) {
        text.push_str(&format!("Extra: {k}\t{}\n", join(v)));
    }
    ctx.print(tabwriter::table(&text));
    done()
}

// ------------------------------------------------------------------ reconcile

pub(super) fn reconcile(ctx: &mut Ctx) -> Res<Next> {
    if !ctx.has_files() {
        return fail("must specify one of -f and -k");
    }
    let sources = ctx.sources()?;
    let (infos, errors) = ctx.file_infos(&sources, Checks::Decode)?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    for info in infos {
        if !info.mapping.gvr.group.with(|g| g == "rbac.authorization.k8s.io") {
            return fail(format!("only rbac.authorization.k8s.io/v1 is supported: not {}", info.mapping.gvr.api_version()));
        }
        reconcile_one(ctx, &info)?;
    }
    done()
}

fn reconcile_one(ctx: &mut Ctx, info: &Info) -> Res<()> {
    let (field, what, remove) = match info.mapping.kind.ends_with("Binding") {
        true => ("subjects", "subjects", ctx.flags.bool("remove-extra-subjects")),
        false => ("rules", "rules", ctx.flags.bool("remove-extra-permissions")),
    };
    let live = ctx.call_if_found(Request::get(info.mapping.gvr, &info.key()))?;
    let normal = |items: &[Value]| if field == "rules" { items.iter().flat_map(atoms).collect() } else { items.to_vec() };
    let wanted: Vec<Value> = normal(info.object.list_at(&[field]));
    let have: Vec<Value> = live.as_ref().map(|o| normal(o.list_at(&[field]))).unwrap_or_default();
    let missing: Vec<Value> = wanted.iter().filter(|w| !have.iter().any(|h| covers(h, w))).cloned().collect();
    let extra: Vec<Value> = have.iter().filter(|h| !wanted.iter().any(|w| covers(w, h))).cloned().collect();
    let write = ctx.dry_run()? != DryRun::Client;
    let mut object = info.object.clone();
    let mut verdict = "";
    match &live {
        None => {
            verdict = "create";
            if write {
                object = ctx.create_object(info, &info.object)?;
            }
        }
        Some(live) if !missing.is_empty() || remove && !extra.is_empty() => {
            verdict = "update";
            object = live.clone();
            if remove {
                object.set_at(&[field], info.object.list_at(&[field]).to_vec());
            } else {
                object.value_mut().entry(&[field]).list_mut().extend(missing.iter().cloned());
            }
            if write {
                let request = Request::update(info.mapping.gvr, object);
                let request = ctx.writing(request)?;
                object = ctx.call(request)?;
            }
        }
        Some(live) => object = live.clone(),
    }
    ctx.print_object(&object, "reconciled")?;
    if !verdict.is_empty() && ctx.flags.str("output").is_empty() {
        ctx.println(format!("\treconciliation required {verdict}"));
        if verdict == "update" && !missing.is_empty() || verdict == "create" {
            ctx.println(format!("\tmissing {what} added:"));
            for item in &missing {
                ctx.println(format!("\t\t{}", go_struct(item, field)));
            }
        }
        if remove && !extra.is_empty() {
            ctx.println(format!("\textra {what} removed:"));
            for item in &extra {
                ctx.println(format!("\t\t{}", go_struct(item, field)));
            }
        }
    }
    Ok(())
}

/// A rule as rules of one verb, one resource each.
fn atoms(rule: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    let texts = |field: &str| -> Vec<Value> { rule.list_at(&[field]).to_vec() };
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                let mut atom = value!({"apiGroups": [(group.clone())], "resources": [(resource.clone())], "verbs": [verb]});
                if !texts("resourceNames").is_empty() {
                    atom.set_at(&["resourceNames"], texts("resourceNames"));
                }
                out.push(atom);
            }
        }
    }
    for url in texts("nonResourceURLs") {
        for verb in texts("verbs") {
            out.push(value!({"nonResourceURLs": [(url.clone())], "verbs": [verb]}));
        }
    }
    out
}

fn covers(a: &Value, b: &Value) -> bool {
    let has = |field: &str| {
        b.list_at(&[field]).iter().all(|x| a.list_at(&[field]).iter().any(|y| y == x || y.as_str() == Some("*")))
            && (b.list_at(&[field]).is_empty() == a.list_at(&[field]).is_empty()
                || field == "resourceNames" && a.list_at(&[field]).is_empty())
    };
    let same = |field: &str| a.str_at(&[field]).unwrap_or("") == b.str_at(&[field]).unwrap_or("");
    ["apiGroups", "resources", "verbs", "resourceNames", "nonResourceURLs"].iter().all(|f| has(f))
        && ["kind", "name", "namespace"].iter().all(|f| same(f))
}

/// As Go's `%+v` prints the struct.
fn go_struct(item: &Value, field: &str) -> String {
    let list = |f: &str| format!("[{}]", item.list_at(&[f]).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
    let text = |f: &str| item.str_at(&[f]).unwrap_or("").to_string();
    match field {
        "rules" => format!(
            "{{Verbs:{} APIGroups:{} Resources:{} ResourceNames:{} NonResourceURLs:{}}}",
            list("verbs"),
            list("apiGroups"),
            list("resources"),
            list("resourceNames"),
            list("nonResourceURLs")
        ),
        _ => format!(
            "{{Kind:{} APIGroup:{} Name:{} Namespace:{}}}",
            text("kind"),
            text("apiGroup"),
            text("name"),
            text("namespace")
        ),
    }
}
