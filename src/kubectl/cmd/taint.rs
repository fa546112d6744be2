//! `kubectl taint`. Models `kubectl/pkg/cmd/taint`.

use apimachinery::{PatchType, Value, value};

use crate::builder::Select;
use crate::ctx::{Ctx, Next, Res, done};
use crate::error::{Error, aggregate};
use crate::printers::DryRun;

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Key, value, effect.
type Taint = (String, String, String);

fn parse(word: &str) -> Result<Taint, String> {
    let (head, effect) = word.split_once(':').unwrap_or((word, ""));
    let (key, value) = head.split_once('=').unwrap_or((head, ""));
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        return Err(format!("invalid taint effect: {effect}, unsupported taint effect"));
    }
    if key.is_empty() || effect.contains(':') {
        return Err(format!("invalid taint spec: {word}"));
    }
    Ok((key.into(), value.into(), effect.into()))
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let usage = |text: String| Error::Usage(text, "kubectl taint".into());
    let first = flags.args.iter().position(|a| a.contains('=') || a.ends_with('-') || a.contains(':'));
    let (objects, words) = flags.args.split_at(first.unwrap_or(flags.args.len()));
    if words.is_empty() {
        return Err(usage("at least one taint update is required".into()).into());
    }
    let (mut add, mut remove): (Vec<Taint>, Vec<Taint>) = (Vec::new(), Vec::new());
    for word in words {
        match word.strip_suffix('-') {
            Some(rest) => remove.push(parse(rest).map_err(usage)?),
            None => {
                let taint = parse(word).map_err(usage)?;
                if taint.2.is_empty() {
                    return Err(usage(format!("invalid taint spec: {word}")).into());
                }
                add.push(taint);
            }
        }
    }
    if !matches!(objects.first().map(String::as_str), Some("node" | "nodes" | "no")) {
        let kind = objects.first().cloned().unwrap_or_default();
        return Err(usage(format!("invalid resource type {kind}, only node types are supported")).into());
    }
    if objects.len() == 1 && !flags.bool("all") && flags.str("selector").is_empty() {
        return Err(usage("one or more nodes must be specified as <name> or --all or --selector".into()).into());
    }
    let (infos, mut errors) = ctx.infos_and_errors(&Select { args: objects.to_vec(), ..Select::of(ctx) })?;
    for info in infos {
        match taints(&info.object, &add, &remove, flags.bool("overwrite")) {
            Ok((taints, operation)) => {
                let mut object = info.object.clone();
                object.set_at(&["spec", "taints"], taints.clone());
                if ctx.dry_run()? != DryRun::Client {
                    let patch: Value = if taints.is_empty() { Value::Null } else { taints.into() };
                    let mut body = value!({"spec": {}});
                    body.set_at(&["spec", "taints"], patch);
                    object = ctx.patch_object(&info, PatchType::Merge, body, "")?;
                }
                ctx.print_object(&object, operation)?;
            }
            Err(text) => errors.push(Error::Plain(text)),
        }
    }
    match aggregate(errors) {
        Some(error) => Err(error.into()),
        None => done(),
    }
}

fn taints(
    node: &apimachinery::Object,
    add: &[Taint],
    remove: &[Taint],
    overwrite: bool,
) -> Result<(Vec<Value>, &'static str), String> {
    let mut old: Vec<Value> = node.list_at(&["spec", "taints"]).to_vec();
    let is = |t: &Value, (key, _, effect): &Taint| {
        t.str_at(&["key"]) == Some(key) && (effect.is_empty() || t.str_at(&["effect"]) == Some(effect))
    };
    let taken: Vec<&str> = add.iter().filter(|t| !overwrite && old.iter().any(|o| is(o, t))).map(|t| t.0.as_str()).collect();
    if !taken.is_empty() {
        return Err(format!(
            "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
            node.name(),
            taken.join(", ")
        ));
    }
    for taint in remove {
        let before = old.len();
        old.retain(|o| !is(o, taint));
        if old.len() == before {
            let suffix = if taint.2.is_empty() { String::new() } else { format!(":{}", taint.2) };
            return Err(format!("taint \"{}{suffix}\" not found", taint.0));
        }
    }
    let mut replaced = false;
    old.retain(|o| {
        let again = add.iter().any(|t| is(o, t));
        replaced |= again;
        !again
    });
    let mut all: Vec<Value> = Vec::new();
    for (key, value, effect) in add {
        let mut taint = value!({"key": key, "effect": effect});
        if !value.is_empty() {
            taint.set_at(&["value"], value);
        }
        all.push(taint);
    }
    all.extend(old);
    let operation = match (add.is_empty(), remove.is_empty()) {
        (true, false) => "untainted",
        (false, true) if replaced => "modified",
        (false, true) => "tainted",
        _ => "modified",
    };
    Ok((all, operation))
}
