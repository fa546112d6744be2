//! Plays recordings of a real API server through decoding, patching and managed fields: those of `tests/golden`, and all of
//! a recorder's folder if `KUBERNETES_RECORDINGS` names it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use apimachinery::managed_fields::{Writer, update};
use apimachinery::schema::{self, StructType, decode};
use apimachinery::{Gvk, Object, PatchType, Value, patch};
use base::Sort as _;
use base::Time;

fn folder() -> Option<PathBuf> {
    std::env::var_os("KUBERNETES_RECORDINGS").map(PathBuf::from)
}

/// Where the recorded exchanges are.
fn wire() -> PathBuf {
    folder().map_or_else(|| golden("wire"), |f| f.join("wire"))
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn parse(text: &str) -> Value {
    schema::parse_json(text.as_bytes()).expect("recordings are JSON").value
}

fn type_of(v: &Value) -> Option<std::rc::Rc<StructType>> {
    schema::of(Gvk::from_api_version(v.str_at(&["apiVersion"])?, v.str_at(&["kind"])?))
}

/// Field sets by writer.
fn owners(v: &Value) -> BTreeMap<String, Value> {
    let entries = v.list_at(&["metadata", "managedFields"]).iter();
    let text = |e: &Value, name: &str| e.str_at(&[name]).unwrap_or("").to_string();
    entries
        .map(|e| {
            let id = [text(e, "manager"), text(e, "operation"), text(e, "apiVersion"), text(e, "subresource")].join(" ");
            (id, e.get("fieldsV1").cloned().unwrap_or_default())
        })
        .collect()
}

/// Times are placeholders in recordings.
fn with_times(text: &str) -> String {
    text.replace("\"TIME\"", "\"2026-11-23T03:00:24Z\"")
        .replace("\"<time>\"", "\"2026-11-23T03:00:24Z\"")
        .replace("\"ALLOCATED_PORT\"", "30000")
        .replace("\"<port>\"", "30000")
}

#[test]
fn stored_objects_are_fixed_points_of_decoding() {
    let text = with_times(&std::fs::read_to_string(golden("defaults.jsonl")).unwrap());
    let (mut good, mut bad) = (0, Vec::new());
    for case in text.lines().map(parse) {
        let Some(output) = case.get("output") else { continue };
        let Some(ty) = type_of(output) else { continue };
        match decode(&ty, output) {
            Ok(d) if d.value == *output && d.unknown.is_empty() => good += 1,
            Ok(d) => bad.push(format!(
                "{}: {} {:?}",
                case.str_at(&["name"]).unwrap_or(""),
                difference("", output, &d.value),
                d.unknown
            )),
            Err(e) => bad.push(format!("{}: {e}", case.str_at(&["name"]).unwrap_or(""))),
        }
    }
    println!("{good} hold\n{}", bad.join("\n"));
    assert!(bad.is_empty());
}

fn difference(path: &str, a: &Value, b: &Value) -> String {
    match (a, b) {
        (Value::Map(x), Value::Map(y)) => {
            let keys: std::collections::BTreeSet<_> = x.keys().chain(y.keys()).collect();
            let parts = keys.iter().filter(|k| x.get(k) != y.get(k)).map(|k| match (x.get(k), y.get(k)) {
                (Some(v), Some(w)) => difference(&format!("{path}.{k}"), v, w),
                (v, w) => format!("{path}.{k}: {v:?} -> {w:?}"),
            });
            parts.collect::<Vec<_>>().join("; ")
        }
        (Value::List(x), Value::List(y)) if x.len() == y.len() => {
            let parts = x.iter().zip(y.iter()).enumerate().filter(|(_, (v, w))| v != w);
            parts.map(|(i, (v, w))| difference(&format!("{path}[{i}]"), v, w)).collect::<Vec<_>>().join("; ")
        }
        _ => format!("{path}: {a:?} -> {b:?}"),
    }
}

#[test]
fn creations_are_owned_as_recorded() {
    let Some(folder) = folder() else { return };
    let cases = parse(&with_times(&std::fs::read_to_string(folder.join("defaults.json")).unwrap()));
    let (mut good, mut bad) = (0, Vec::new());
    for case in cases.list_at(&["cases"]) {
        let Some(output) = case.get("output") else { continue };
        let Some(ty) = type_of(output) else { continue };
        if output.at(&["metadata", "managedFields"]).is_none() {
            continue;
        }
        let mut created = output.clone();
        created.remove_at(&["metadata", "managedFields"]);
        let api_version = output.str_at(&["apiVersion"]).unwrap_or("");
        let writer = Writer { manager: "recorder", api_version, subresource: "", time: Time::EPOCH, reset: &[&["status"]] };
        let created = update(Some(&ty), None, Object::from_value(created).unwrap(), &writer);
        let (have, want) = (owners(created.value()), owners(output));
        let name = case.str_at(&["name"]).unwrap_or("");
        if have == want {
            good += 1;
        } else {
            for (k, w) in &want {
                bad.push(format!("{name}: {}", difference("", w, have.get(k).unwrap_or(&Value::Null))));
            }
        }
    }
    println!("{good} hold, {} differ\n{}", bad.len(), bad.join("\n"));
    // The others differ by what admission, strategies and controllers did meanwhile.
    assert!(good >= 77);
}

/// Follows each object of a recording from answer to answer.
#[test]
fn updates_and_patches_are_owned_as_recorded() {
    let (mut good, mut bad) = (0, Vec::new());
    let mut files: Vec<PathBuf> = std::fs::read_dir(wire()).unwrap().map(|e| e.unwrap().path()).collect();
    files.order();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !["crud-", "patch-", "story-", "rest-", "sub-status", "generation"].iter().any(|p| name.starts_with(p)) {
            continue;
        }
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        for (line_no, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate().skip(1) {
            let step = parse(&with_times(line));
            let (Some(request), Some(body)) = (step.get("request"), step.at(&["response", "body"])) else { continue };
            let Some(uid) = body.str_at(&["metadata", "uid"]) else { continue };
            if body.str_at(&["kind"]) == Some("PartialObjectMetadata") {
                known.remove(uid);
                continue;
            }
            let method = request.str_at(&["method"]).unwrap_or("");
            let path = request.str_at(&["path"]).unwrap_or("").to_string();
            let before = known.insert(uid.to_string(), body.clone());
            if !matches!(method, "PUT" | "PATCH") || path.contains("dryRun") {
                if path.contains("dryRun")
                    && let Some(before) = before
                {
                    known.insert(uid.to_string(), before);
                }
                continue;
            }
            let (Some(before), Some(ty)) = (before, type_of(body)) else { continue };
            if path.contains("/scale") || path.contains("fieldManager") {
                continue;
            }
            let status = path.ends_with("/status");
            let reset: &[&[&str]] = if status { &[&["spec"]] } else { &[&["status"]] };
            let subresource = if status { "status" } else { "" };
            let api_version = body.str_at(&["apiVersion"]).unwrap_or("");
            let writer = Writer { manager: "wire-test", api_version, subresource, time: Time::EPOCH, reset };
            let mut new = body.clone();
            new.remove_at(&["metadata", "managedFields"]);
            let content = request.str_at(&["headers", "Content-Type"]).unwrap_or("");
            let kind = match content {
                "application/json-patch+json" => Some(PatchType::Json),
                "application/merge-patch+json" => Some(PatchType::Merge),
                "application/strategic-merge-patch+json" => Some(PatchType::StrategicMerge),
                _ => None,
            };
            if let (Some(kind), Some(p)) = (kind, request.get("body"))
                && p.get("$text").is_none()
                && !line.contains("<cap")
                && !line.contains("<port:")
            {
                let patched = patch::apply(kind, &before, p, Some(&ty)).expect("it was accepted");
                let patched = decode(&ty, &patched).unwrap_or_else(|e| panic!("{name}:{} {e}", line_no + 1)).value;
                let strip = |v: &Value| {
                    let mut v = v.clone();
                    for gone in ["managedFields", "resourceVersion", "generation"] {
                        v.remove_at(&["metadata", gone]);
                    }
                    v.remove_at(&["status"]);
                    v
                };
                if strip(&patched) != strip(body) {
                    bad.push(format!("{name}:{} patch: {}", line_no + 1, difference("", &strip(body), &strip(&patched))));
                }
            }
            let live = Object::from_value(before).unwrap();
            let after = update(Some(&ty), Some(&live), Object::from_value(new).unwrap(), &writer);
            let (have, want) = (owners(after.value()), owners(body));
            if have == want {
                good += 1;
            } else {
                bad.push(format!("{name}:{}: {method} {path} have {have:?}\n   want {want:?}", line_no + 1));
            }
        }
    }
    println!("{good} hold, {} differ\n{}", bad.len(), bad.join("\n"));
    // The others differ by what admission, strategies and controllers did meanwhile.
    assert!(good >= 100 && bad.len() <= 22);
}

/// Bodies that a server refused to decode, and bodies it took.
#[test]
fn bodies_are_refused_as_recorded() {
    let Some(folder) = folder() else { return };
    let (mut good, mut bad) = (0, Vec::new());
    for line in std::fs::read_to_string(folder.join("validation.jsonl")).unwrap().lines() {
        let record = parse(line);
        let Some(request) = record.get("request") else { continue };
        let path = request.str_at(&["path"]).unwrap_or("");
        let method = request.str_at(&["method"]).unwrap_or("");
        if !matches!(method, "POST" | "PUT") || line.contains("$repeat") || line.contains("$join") || line.contains("REPEAT:") {
            continue;
        }
        let content_type = request.str_at(&["headers", "Content-Type"]).unwrap_or("application/json");
        let Some((gvr, subresource)) = resource_of(path) else { continue };
        let Some(resource) = schema::resource(gvr) else { continue };
        let expected = match subresource {
            "" | "status" => resource.kind,
            other => match resource.subresource(other.into()) {
                Some(s) => s.kind,
                None => continue,
            },
        };
        let Some(ty) = schema::of(expected) else { continue };
        // The body as it was sent: in the order of the record.
        let bytes = match request.str_at(&["raw"]) {
            Some(raw) => raw.as_bytes().to_vec(),
            None => match line.split_once("\"body\": ").or(line.split_once("\"body\":")) {
                Some((_, rest)) => first_value(rest).as_bytes().to_vec(),
                None => continue,
            },
        };
        let code = record.int_at(&["code"]).unwrap_or(0);
        let message = record.str_at(&["status", "message"]).unwrap_or("");
        let about_decoding = message.contains("cannot be handled as") || message.contains("the object provided is unrecognized");
        let strict = path.contains("fieldValidation=Strict");
        let decoded = apimachinery::body::decode_object(content_type, &bytes, expected, &ty).and_then(|d| {
            let mode = if strict { "Strict" } else { "Ignore" };
            apimachinery::body::field_validation(mode, expected, d.strict).map(|_| ())
        });
        match decoded {
            Err(status) if about_decoding && status.message == message => good += 1,
            Ok(()) if !about_decoding => good += 1,
            Err(_) if matches!(code, 406 | 415 | 403 | 401 | 404 | 405 | 413) => {}
            other => bad.push(format!(
                "{}: {:?}\n   want {message}",
                record.str_at(&["id"]).unwrap_or(""),
                other.err().map(|s| s.message)
            )),
        }
    }
    println!("{good} hold, {} differ\n{}", bad.len(), bad.join("\n"));
    // The others differ by what admission, strategies and controllers did meanwhile.
    assert!(good >= 3899);
}

/// One body of each kind of mistake, with the whole message.
#[test]
fn mistakes_read_as_recorded() {
    for record in std::fs::read_to_string(golden("decoding.jsonl")).unwrap().lines().map(parse) {
        let (gvr, _) = resource_of(record.str_at(&["path"]).unwrap()).unwrap();
        let Some(resource) = schema::resource(gvr) else { continue };
        let ty = schema::of(resource.kind).unwrap();
        let content_type = record.str_at(&["contentType"]).unwrap_or("application/json");
        let body = record.str_at(&["body"]).unwrap().as_bytes();
        let status = apimachinery::body::decode_object(content_type, body, resource.kind, &ty)
            .and_then(|d| apimachinery::body::field_validation("Strict", resource.kind, d.strict))
            .err();
        assert_eq!(
            status.as_ref().map(|s| s.message.as_str()),
            record.str_at(&["message"]),
            "{}",
            record.str_at(&["id"]).unwrap()
        );
    }
}

fn first_value(text: &str) -> &str {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return &text[..=i];
                }
            }
            _ => {}
        }
    }
    text
}

fn resource_of(path: &str) -> Option<(apimachinery::Gvr, &str)> {
    let path = path.split('?').next()?;
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, version, rest) = match parts[..] {
        ["api", version, ref rest @ ..] => ("", version, rest.to_vec()),
        ["apis", group, version, ref rest @ ..] => (group, version, rest.to_vec()),
        _ => return None,
    };
    let rest = if rest.len() > 2 && rest[0] == "namespaces" { rest[2..].to_vec() } else { rest };
    Some((apimachinery::Gvr::new(group, version, rest.first()?), rest.get(2).copied().unwrap_or("")))
}

/// Follows objects through server-side applies.
#[test]
fn applies_are_as_recorded() {
    let (mut good, mut bad) = (0, Vec::new());
    for name in ["apply-configmap", "apply-deployment", "apply-errors", "apply-mixed", "apply-pod"] {
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let text = std::fs::read_to_string(golden("apply").join(format!("{name}.jsonl"))).unwrap();
        for (line_no, line) in text.lines().enumerate().skip(1) {
            let step = parse(&with_times(line));
            let (Some(request), Some(body)) = (step.get("request"), step.at(&["response", "body"])) else { continue };
            let path = request.str_at(&["path"]).unwrap_or("").to_string();
            let (plain, query) = path.split_once('?').unwrap_or((&path, ""));
            let status = plain.ends_with("/status");
            let place = plain.trim_end_matches("/status").to_string();
            let code = step.int_at(&["response", "status"]).unwrap_or(0);
            let live = known.get(&place).cloned();
            if code < 300 && !query.contains("dryRun") && type_of(body).is_some() {
                let place = match request.str_at(&["method"]) {
                    Some("POST") => format!("{place}/{}", body.str_at(&["metadata", "name"]).unwrap_or("")),
                    _ => place,
                };
                if request.str_at(&["method"]) == Some("DELETE") {
                    known.remove(&place);
                } else {
                    known.insert(place, body.clone());
                }
            }
            let is_apply = request.str_at(&["headers", "Content-Type"]) == Some("application/apply-patch+yaml");
            let Some(config) = request.get("body").filter(|b| is_apply && b.get("$text").is_none()) else { continue };
            let manager = query.split('&').find_map(|p| p.strip_prefix("fieldManager=")).unwrap_or("");
            let (Some(ty), Some(config)) = (type_of(config), Object::from_value(config.clone())) else { continue };
            if matches!(code, 400 | 404 | 405 | 422) || line.contains("<cap") || config.at(&["metadata", "uid"]).is_some() {
                continue;
            }
            let api_version = config.api_version().to_string();
            let writer = Writer {
                manager,
                api_version: &api_version,
                subresource: if status { "status" } else { "" },
                time: Time::EPOCH,
                reset: if status { &[&["spec"]] } else { &[&["status"]] },
            };
            let live = live.and_then(Object::from_value);
            let applied = apimachinery::managed_fields::apply(&ty, live.as_ref(), &config, &writer, query.contains("force=true"));
            let place = format!("{name}:{}", line_no + 1);
            match applied {
                Ok(o) if code < 300 => {
                    if owners(o.value()) == owners(body) {
                        good += 1;
                    } else {
                        bad.push(format!("{place}: have {:?}\n   want {:?}", owners(o.value()), owners(body)));
                    }
                }
                Err(s) if Some(s.message.as_str()) == body.str_at(&["message"]) => good += 1,
                other => bad.push(format!(
                    "{place}: {:?}\n   want {code} {:?}",
                    other.map_err(|s| s.message).err(),
                    body.str_at(&["message"])
                )),
            }
        }
    }
    println!("{good} hold, {} differ\n{}", bad.len(), bad.join("\n"));
    // The others are applied to scales, or after a controller's write.
    assert!(bad.len() <= 3);
}
