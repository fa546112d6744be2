//! Validation of pod failure policies and success policies.

use apimachinery::Value;
use apimachinery::field::{ErrorList, Path};

use crate::check::{self, invalid_raw, some, text};

/// `podFailurePolicy`
pub fn failure(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(policy) = some(spec, "podFailurePolicy") else { return };
    let path = path.child("podFailurePolicy");
    let rules = policy.list_at(&["rules"]);
    if rules.len() > 20 {
        errors.too_many(&path.child("rules"), rules.len(), 20);
    }
    let list = path.child("rules");
    for (i, rule) in rules.iter().enumerate() {
        let here = list.index(i);
        action(rule, spec, &here, errors);
        let codes = some(rule, "onExitCodes");
        let conditions = rule.list_at(&["onPodConditions"]);
        if let Some(codes) = codes {
            exit_codes(codes, spec, &here.child("onExitCodes"), errors);
        }
        for (j, c) in conditions.iter().enumerate() {
            let list = here.child("onPodConditions");
            let here = list.index(j);
            let kind = text(c, "type");
            check::qualified_name(kind).report(errors, &here.child("type"), kind);
            match text(c, "status") {
                "" => errors.required(&here.child("status"), "valid values: [\"False\" \"True\" \"Unknown\"]"),
                s => drop(check::one_of(s, &["False", "True", "Unknown"], &here.child("status"), errors)),
            }
        }
        match (codes.is_some(), !conditions.is_empty()) {
            (true, true) => invalid_raw(errors, &here, "", "specifying both OnExitCodes and OnPodConditions is not supported"),
            (false, false) => invalid_raw(errors, &here, "", "specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
    }
}

fn action(rule: &Value, spec: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child("action");
    match text(rule, "action") {
        "" => errors.required(&here, "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
        "FailIndex" if some(spec, "backoffLimitPerIndex").is_none() => {
            errors.invalid(&here, "FailIndex", "requires the backoffLimitPerIndex to be set");
        }
        a => drop(check::one_of(a, &["Count", "FailIndex", "FailJob", "Ignore"], &here, errors)),
    }
}

fn exit_codes(codes: &Value, spec: &Value, path: &Path, errors: &mut ErrorList) {
    let operator = text(codes, "operator");
    match operator {
        "" => errors.required(&path.child("operator"), "valid values: [\"In\" \"NotIn\"]"),
        op => drop(check::one_of(op, &["In", "NotIn"], &path.child("operator"), errors)),
    }
    if let Some(name) = some(codes, "containerName").and_then(Value::as_str) {
        let pod = spec.at(&["template", "spec"]).unwrap_or(&Value::Null);
        let mut all = pod.list_at(&["containers"]).iter().chain(pod.list_at(&["initContainers"]));
        if !all.any(|c| text(c, "name") == name) {
            let detail = "must be one of the container or initContainer names in the pod template";
            errors.invalid(&path.child("containerName"), name, detail);
        }
    }
    let here = path.child("values");
    let values: Vec<i64> = codes.list_at(&["values"]).iter().filter_map(Value::as_i64).collect();
    let shown = || codes.get("values").cloned().unwrap_or_default();
    if values.is_empty() {
        errors.invalid(&here, shown(), "at least one value is required");
    } else if values.len() > 255 {
        errors.too_many(&here, values.len(), 255);
    }
    for (i, n) in values.iter().enumerate() {
        if operator == "In" && *n == 0 {
            errors.invalid(&here.index(i), 0, "must not be 0 for the In operator");
        }
        if values[..i].contains(n) {
            errors.duplicate(&here.index(i), *n);
        }
    }
    if !values.is_sorted() {
        errors.invalid(&here, shown(), "must be ordered");
    }
}

/// `successPolicy`
pub fn success(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(policy) = some(spec, "successPolicy") else { return };
    let path = path.child("successPolicy");
    let rules = policy.list_at(&["rules"]);
    if text(spec, "completionMode") != "Indexed" {
        let part = |r: &Value, f: &str| r.get(f).map_or("null".to_string(), apimachinery::json::to_string);
        let shown: Vec<String> = rules
            .iter()
            .map(|r| {
                format!(
                    "{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}",
                    part(r, "succeededIndexes"),
                    part(r, "succeededCount")
                )
            })
            .collect();
        let shown = format!("{{\"Rules\":[{}]}}", shown.join(","));
        invalid_raw(errors, &path, shown, "requires indexed completion mode");
        return;
    }
    if rules.is_empty() {
        errors.required(&path.child("rules"), "at least one rules must be specified when the successPolicy is specified");
    }
    let completions = spec.int_at(&["completions"]).unwrap_or(0);
    let list = path.child("rules");
    for (i, rule) in rules.iter().enumerate() {
        let here = list.index(i);
        let indexes = some(rule, "succeededIndexes").and_then(Value::as_str);
        let count = some(rule, "succeededCount").and_then(Value::as_i64);
        if indexes.is_none() && count.is_none() {
            errors.required(&here, "at least one of succeededCount or succeededIndexes must be specified");
        }
        let mut total = completions;
        if let Some(text) = indexes {
            match parse_indexes(text, completions) {
                Ok(n) => total = n,
                Err(err) => {
                    let detail = format!("error parsing succeededIndexes: {err}");
                    errors.invalid(&here.child("succeededIndexes"), text, detail);
                }
            }
        }
        if let Some(n) = count {
            let here = here.child("succeededCount");
            check::non_negative(Some(n), &here, errors);
            if n > completions {
                errors.invalid(
                    &here,
                    n,
                    format!("must be less than or equal to {completions} (the number of specified completions)"),
                );
            } else if n > total {
                let detail = format!(
                    "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
                );
                errors.invalid(&here, n, detail);
            }
        }
    }
}

/// How many indexes `1,3-5` names; upstream's text if it does not parse.
fn parse_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let parse = |s: &str| {
        let n: i64 = s.parse().map_err(|_| format!("cannot convert string to integer for index: \"{s}\""))?;
        if n >= completions { Err(format!("too large index: \"{s}\"")) } else { Ok(n) }
    };
    let (mut total, mut last) = (0, -1);
    for part in text.split(',') {
        let (first, end) = match part.split_once('-') {
            Some((a, b)) => (parse(a)?, parse(b)?),
            None => {
                let n = parse(part)?;
                (n, n)
            }
        };
        if first <= last {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        if end < first {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        (total, last) = (total + end - first + 1, end);
    }
    Ok(total)
}
