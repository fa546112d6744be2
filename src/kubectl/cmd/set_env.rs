//! `kubectl set env`. Models `kubectl/pkg/cmd/set/set_env.go`.

use apimachinery::{Object, Value, value};

use super::create_config::env_lines;
use super::set::{change_all, fits, no_template, pod_spec_path, select, split};
use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, fail};

/// A variable to set (with its definition) or to remove.
#[derive(Clone)]
enum Change {
    Set(Value),
    Remove(String),
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let is_word = |a: &str| a.contains('=') || a.ends_with('-') || a == "-";
    let (objects, mut words) = split(&flags.args, is_word);
    words.extend(flags.list("env"));
    let mut changes = Vec::new();
    for word in &words {
        if word == "-" {
            let bytes = ctx.read_stdin()?;
            for (k, v) in env_lines(&String::from_utf8_lossy(&bytes), "-")? {
                changes.push(Change::Set(value!({"name": k, "value": v})));
            }
        } else if let Some((k, v)) = word.split_once('=') {
            changes.push(Change::Set(value!({"name": k, "value": v})));
        } else if let Some(name) = word.strip_suffix('-') {
            changes.push(Change::Remove(name.into()));
        } else {
            return fail(format!("all resources must be specified before environment changes: {word}"));
        }
    }
    if !flags.str("from").is_empty() {
        changes.extend(from(ctx)?);
    }
    if changes.is_empty() && !flags.bool("list") {
        return fail("at least one environment variable must be provided");
    }
    let select = select(ctx, objects);
    change_all(ctx, select, "env updated", "failed to patch env update to pod template:", move |ctx, info| {
        one(ctx, info, &changes)
    })
}

/// `--from=configmap/x`: every key as a reference.
fn from(ctx: &mut Ctx) -> Res<Vec<Change>> {
    let flags = ctx.flags.clone();
    let Some((kind, name)) = flags.str("from").split_once('/') else {
        return fail(format!("unsupported resource specified in --from: {}", flags.str("from")));
    };
    let mapping = ctx.resource(kind)?;
    let reference = match &*mapping.kind {
        "ConfigMap" => "configMapKeyRef",
        "Secret" => "secretKeyRef",
        _ => return fail(format!("unsupported resource specified in --from: {}", flags.str("from"))),
    };
    let namespace = ctx.namespace()?;
    let source = ctx.fetch(&mapping, &namespace, &name.into(), "")?;
    let keys = flags.list("keys");
    let mut changes = Vec::new();
    for (key, _) in source.map_at(&["data"]).into_iter().flat_map(|m| m.iter()) {
        if !keys.is_empty() && !keys.iter().any(|k| **k == **key) {
            continue;
        }
        let variable: String = key.to_uppercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let variable = format!("{}{variable}", flags.str("prefix"));
        let mut definition = value!({"name": variable, "valueFrom": {}});
        definition.set_at(&["valueFrom", reference], value!({"key": key, "name": name}));
        changes.push(Change::Set(definition));
    }
    Ok(changes)
}

fn one(ctx: &mut Ctx, info: &Info, changes: &[Change]) -> Res<Option<Object>> {
    let Some(path) = pod_spec_path(&info.object) else { return Err(no_template(info).into()) };
    let (list, pattern) = (ctx.flags.bool("list"), ctx.flags.str("containers").to_string());
    let mut object = info.object.clone();
    let mut found = false;
    for field in ["containers", "initContainers"] {
        let full = [path, &[field]].concat();
        if object.list_at(&full).is_empty() {
            continue;
        }
        let mut lines: Vec<String> = Vec::new();
        for container in object.value_mut().entry(&full).list_mut() {
            let name = container.str_at(&["name"]).unwrap_or("").to_string();
            if !fits(&pattern, &name) {
                continue;
            }
            found = true;
            if !changes.is_empty() {
                update(container, changes);
            }
            if list {
                lines.push(format!("# {} {}, container {name}", info.mapping.kind, info.name));
                lines.extend(container.list_at(&["env"]).iter().map(shown));
            }
        }
        for line in lines {
            ctx.println(line);
        }
    }
    if !found {
        return fail(format!(
            "{} {:?} does not have any containers matching {pattern:?}",
            info.mapping.kind_group(),
            &*info.name
        ));
    }
    Ok(if list && changes.is_empty() { None } else { Some(object) })
}

/// `A=1`, or a comment that says where the value comes from.
fn shown(variable: &Value) -> String {
    let name = variable.str_at(&["name"]).unwrap_or("");
    let source = |kind: &str, what: &str| {
        let reference = variable.at(&["valueFrom", kind])?;
        Some(format!("# {name} from {what} {}, key {}", reference.str_at(&["name"])?, reference.str_at(&["key"])?))
    };
    let field = || Some(format!("# {name} from field path {}", variable.str_at(&["valueFrom", "fieldRef", "fieldPath"])?));
    source("configMapKeyRef", "configmap")
        .or_else(|| source("secretKeyRef", "secret"))
        .or_else(field)
        .unwrap_or_else(|| format!("{name}={}", variable.str_at(&["value"]).unwrap_or("")))
}

fn update(container: &mut Value, changes: &[Change]) {
    let env = container.entry(&["env"]).list_mut();
    for change in changes {
        match change {
            Change::Remove(name) => env.retain(|v| v.str_at(&["name"]) != Some(name)),
            Change::Set(definition) => {
                let name = definition.str_at(&["name"]).unwrap_or("");
                match env.iter_mut().find(|v| v.str_at(&["name"]) == Some(name)) {
                    Some(old) => *old = definition.clone(),
                    None => env.push(definition.clone()),
                }
            }
        }
    }
    if env.is_empty() {
        container.map_mut().remove("env");
    }
}
