//! `kubectl label` and `kubectl annotate`. Models `kubectl/pkg/cmd/label` and `pkg/cmd/annotate`.

use std::rc::Rc;

use apimachinery::{Fields, PatchType, Value, validation, value};

use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, done, each, fail};
use crate::error::{Error, aggregate};
use crate::printers::DryRun;

/// Labels or annotations: what differs between the two commands.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Label,
    Annotation,
}

impl What {
    fn word(self) -> &'static str {
        if self == What::Label { "label" } else { "annotation" }
    }
    fn field(self) -> &'static str {
        if self == What::Label { "labels" } else { "annotations" }
    }
}

pub(super) fn label(ctx: &mut Ctx) -> Res<Next> {
    run(ctx, What::Label)
}
pub(super) fn annotate(ctx: &mut Ctx) -> Res<Next> {
    run(ctx, What::Annotation)
}

/// What to set and what to remove.
#[derive(Clone, Default)]
struct Change {
    set: Vec<(Rc<str>, Rc<str>)>,
    remove: Vec<Rc<str>>,
}

fn run(ctx: &mut Ctx, what: What) -> Res<Next> {
    let flags = ctx.flags.clone();
    let first = flags.args.iter().position(|a| a.contains('=') || a.ends_with('-') && a.len() > 1);
    let (objects, words) = flags.args.split_at(first.unwrap_or(flags.args.len()));
    if let Some(bad) = words.iter().find(|w| !(w.contains('=') || w.ends_with('-'))) {
        return fail(format!("all resources must be specified before {} changes: {bad}", what.word()));
    }
    if flags.bool("all") && !flags.str("selector").is_empty() {
        return fail("cannot set --all and --selector at the same time");
    }
    if flags.bool("all") && !flags.str("field-selector").is_empty() {
        return fail("cannot set --all and --field-selector at the same time");
    }
    let mut change = Change::default();
    for word in words {
        match word.split_once('=') {
            Some((key, text)) if !key.is_empty() => {
                if what == What::Label
                    && let Some(error) = validation::is_valid_label_value(text).first()
                {
                    return fail(format!("invalid label value: {word:?}: {error}"));
                }
                change.set.push((key.into(), text.into()));
            }
            _ => change.remove.push(word.trim_end_matches('-').into()),
        }
    }
    if change.set.iter().any(|(k, _)| change.remove.contains(k)) {
        return fail(format!(
            "can not both modify and remove {} {} in the same command",
            if what == What::Label { "a" } else { "an" },
            what.word()
        ));
    }
    if words.is_empty() && !flags.bool("list") {
        return fail(format!("at least one {} update is required", what.word()));
    }
    let select = Select { args: objects.to_vec(), latest: true, ..Select::of(ctx) };
    let (infos, before) = ctx.infos_and_errors(&select)?;
    each(
        Rc::from(infos),
        (),
        move |ctx, info: &Info, ()| one(ctx, what, &change, info),
        move |_, (), errors| {
            let mut all = before.clone();
            all.extend(errors);
            match aggregate(all) {
                Some(error) => Err(error.into()),
                None => done(),
            }
        },
    )
}

fn one(ctx: &mut Ctx, what: What, change: &Change, info: &Info) -> Res<()> {
    let flags = ctx.flags.clone();
    let current = info.object.map_at(&["metadata", what.field()]).cloned().unwrap_or_default();
    if !flags.bool("overwrite") {
        refuse_overwrite(what, change, &current)?;
    }
    let mut after = current.clone();
    for (key, text) in &change.set {
        after.insert(key.clone(), text);
    }
    for key in &change.remove {
        if after.remove(key).is_none() && what == What::Label {
            ctx.println(format!("label {:?} not found.", &**key));
        }
    }
    if flags.bool("list") {
        for (key, text) in after.iter() {
            ctx.println(format!("{key}={}", text.as_str().unwrap_or("")));
        }
        if change.set.is_empty() && change.remove.is_empty() {
            return Ok(());
        }
    }
    let version = flags.str("resource-version");
    let mut object = info.object.clone();
    object.set_at(&["metadata", what.field()], after.clone());
    let local = flags.bool("local") || ctx.dry_run()? == DryRun::Client;
    if !local {
        let mut patch = difference(what, &current, &after);
        if !version.is_empty() {
            patch.set_at(&["metadata", "resourceVersion"], version);
        }
        object = ctx.patch_object(info, PatchType::Merge, patch, "")?;
    }
    if flags.bool("list") && flags.str("output").is_empty() {
        return Ok(());
    }
    ctx.print_object(&object, operation(what, change, &current, &after))
}

fn operation(what: What, change: &Change, before: &Fields, after: &Fields) -> &'static str {
    match (what, before == after) {
        (What::Annotation, _) => "annotated",
        (What::Label, true) => "not labeled",
        (What::Label, false) if change.set.is_empty() => "unlabeled",
        (What::Label, false) => "labeled",
    }
}

fn refuse_overwrite(what: What, change: &Change, current: &Fields) -> Res<()> {
    let clashes: Vec<String> = change
        .set
        .iter()
        .filter_map(|(key, text)| {
            let old = current.get(key)?.as_str()?;
            (old != &**text).then(|| format!("'{key}' already has a value ({old})"))
        })
        .collect();
    match (what, clashes.first()) {
        (_, None) => Ok(()),
        (What::Label, Some(_)) => {
            let errors: Vec<Error> = clashes.iter().map(|c| Error::Plain(format!("{c}, and --overwrite is false"))).collect();
            Err(aggregate(errors).unwrap_or(Error::Plain(String::new())).into())
        }
        (What::Annotation, Some(_)) => {
            fail(format!("--overwrite is false but found the following declared annotation(s): {}", clashes.join("; ")))
        }
    }
}

/// A merge patch from one map to the other.
fn difference(what: What, before: &Fields, after: &Fields) -> Value {
    let mut entries: Vec<(Rc<str>, Value)> = Vec::new();
    entries.extend(after.iter().filter(|(k, v)| before.get(k) != Some(v)).cloned());
    entries.extend(before.keys().filter(|k| !after.contains_key(k)).map(|k| (k.clone(), Value::Null)));
    let mut metadata = Value::map();
    if !entries.is_empty() {
        metadata.set_at(&[what.field()], Fields::from_entries(entries));
    }
    value!({"metadata": metadata})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_name_what_changes() {
        let map = |v: Value| v.as_map().cloned().unwrap_or_default();
        let (before, after) = (map(value!({"a": "1", "b": "2"})), map(value!({"a": "1", "c": "3"})));
        assert_eq!(format!("{:?}", difference(What::Label, &before, &after)), r#"{"metadata":{"labels":{"b":null,"c":"3"}}}"#);
    }
}
