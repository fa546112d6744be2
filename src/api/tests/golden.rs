//! What the real v1.37.2 answered to creations: the mistakes it found, and the objects it made of good input.
//!
//! Run with `--nocapture` to see what differs; floors are asserted, so that nothing falls back.

use base::Sort as _;
use std::collections::BTreeMap;

use apimachinery::field::ErrorList;
use apimachinery::{Gvr, Object, Value, json, schema};

/// How many of the recorded creations must get exactly the recorded causes (or none).
const VALIDATION_FLOOR: usize = 2715;
/// How many of the recorded good creations may differ in their warnings (a schema's unrecognized format).
const WARNING_MISSES: usize = 1;
/// How many of the recorded good objects must come out as recorded.
const DEFAULTS_FLOOR: usize = 132;

fn records(name: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines().map(|l| json::parse(l.as_bytes()).unwrap()).collect()
}

/// Long repetitive strings are recorded as `{"$repeat": [piece, count, rest]}`, long keys as `REPEAT:[…]`.
fn expand(v: &Value) -> Value {
    let repeat = |parts: &[Value]| {
        let text = |i: usize| parts[i].as_str().unwrap().to_string();
        text(0).repeat(parts[1].as_i64().unwrap() as usize) + &text(2)
    };
    match v {
        Value::List(items) => items.iter().map(expand).collect::<Vec<_>>().into(),
        Value::Map(fields) => {
            if let Some(parts) = fields.get("$repeat") {
                return repeat(parts.items()).into();
            }
            if let Some(parts) = fields.get("$join") {
                return parts.items().iter().map(|p| expand(p).as_str().unwrap().to_string()).collect::<String>().into();
            }
            let member = |(k, v): &(std::rc::Rc<str>, Value)| {
                let k = k
                    .strip_prefix("REPEAT:")
                    .map_or(k.clone(), |spec| repeat(json::parse(spec.as_bytes()).unwrap().items()).into());
                (k, expand(v))
            };
            Value::from(fields.iter().map(member).collect::<apimachinery::Fields>())
        }
        other => other.clone(),
    }
}

fn gvr(record: &Value) -> Gvr {
    let part = |i: usize| record.list_at(&["gvr"])[i].as_str().unwrap().to_string();
    Gvr::new(&part(0), &part(1), &part(2))
}

/// The halves of a create that need no cluster: name, namespace, defaults, validation.
fn create(record: &Value, input: &str) -> (Object, ErrorList) {
    let strategy = api::strategy(gvr(record)).unwrap_or_else(|| panic!("{:?}", gvr(record)));
    let kind = strategy.kind();
    let body = expand(record.get(input).unwrap());
    let ty = schema::of(kind.gvk()).unwrap();
    let decoded = schema::decode(&ty, &body).map_or_else(|_| prune_nulls(&body), |d| d.value);
    let mut obj = Object::from_value(decoded).unwrap();
    if !kind.namespaced {
        obj.remove_at(&["metadata", "namespace"]);
    }
    let ns = record.str_at(&["ns"]).unwrap();
    if !ns.is_empty() && obj.namespace().is_empty() {
        obj.set_at(&["metadata", "namespace"], ns);
    }
    if let Some(prefix) = obj.str_at(&["metadata", "generateName"])
        && obj.name().is_empty()
        && !prefix.is_empty()
    {
        let cut: String = prefix.chars().take(58).collect();
        obj.set_at(&["metadata", "name"], cut + "xxxxx");
    }
    strategy.default(&mut obj);
    let again = obj.clone();
    strategy.default(&mut obj);
    assert!(obj.ptr_eq(&again), "defaulting twice copies: {:?}", record.get("id").or(record.get("name")));
    obj.set_at(&["metadata", "uid"], "6f0f1bd8-0c53-4b0c-9d6e-4a1d5a1b2c3d");
    strategy.prepare_for_create(&mut obj);
    let mut errors = ErrorList::new();
    strategy.validate(&obj, &mut errors);
    if errors.is_empty() {
        strategy.canonicalize(&mut obj);
    }
    (obj, errors)
}

/// Decoding drops nulls.
fn prune_nulls(v: &Value) -> Value {
    match v {
        Value::List(items) => items.iter().map(prune_nulls).collect::<Vec<_>>().into(),
        Value::Map(fields) => Value::from(
            fields
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k.clone(), prune_nulls(v)))
                .collect::<apimachinery::Fields>(),
        ),
        other => other.clone(),
    }
}

/// Causes as a set of words: what comes from a map has no fixed order.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split([' ', ',', '[', ']', '{', '}']).collect();
    words.order();
    words
}

fn matches(want: &str, got: &str) -> bool {
    want == got || words(want) == words(got) || {
        let mut rest = got;
        let mut parts =
            want.split("UUID").flat_map(|p| p.split("xxxxx")).flat_map(|p| p.split("TIME")).flat_map(|p| p.split("UID"));
        want.contains("UID") | want.contains("TIME") | want.contains("xxxxx")
            && parts.all(|p| rest.find(p).map(|i| rest = &rest[i + p.len()..]).is_some())
    }
}

#[test]
fn validation_finds_what_the_real_one_found() {
    let all = records("validation-creates.jsonl");
    let mut held = 0;
    let mut misses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in &all {
        let (_, errors) = create(record, "body");
        let mut got: Vec<(String, String)> = errors.iter().map(|e| (e.field.clone(), e.body())).collect();
        let mut seen = std::collections::BTreeSet::new();
        got.retain(|cause| seen.insert(cause.clone()));
        let mut missing = Vec::new();
        for cause in record.list_at(&["causes"]) {
            let part = |i: usize| cause.items().get(i).map(|v| expand(v).as_str().unwrap_or("").to_string()).unwrap_or_default();
            match got.iter().position(|(f, m)| *f == part(0) && matches(&part(1), m)) {
                Some(i) => drop(got.remove(i)),
                None => missing.push(format!("want {}: {}", part(0), part(1))),
            }
        }
        missing.extend(got.iter().map(|(f, m)| format!("got  {f}: {m}")));
        if missing.is_empty() {
            held += 1;
        } else {
            let id = record.str_at(&["id"]).unwrap();
            let cut = |s: &String| s.chars().take(260).collect::<String>();
            let text: Vec<String> = missing.iter().take(6).map(cut).collect();
            misses.entry(gvr(record).resource.to_string()).or_default().push(format!("{id} {}", text.join("\n         ")));
        }
    }
    let limit: usize = std::env::var("MISSES").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let only = std::env::var("KIND").ok();
    let mut by_count: Vec<_> = misses.iter().collect();
    by_count.order_by_key(|(_, list)| std::cmp::Reverse(list.len()));
    for (kind, list) in by_count {
        println!("{kind}: {}", list.len());
        if only.as_ref().is_none_or(|k| k == kind) {
            list.iter().take(limit).for_each(|m| println!("    {m}"));
        }
    }
    println!("{held} of {} hold", all.len());
    assert!(held >= VALIDATION_FLOOR, "{held} of {} hold, the floor is {VALIDATION_FLOOR}", all.len());
}

/// What allocators and admission add, which are not here.
fn normalize(want: &Value, got: &mut Object) -> Value {
    let mut want = want.clone();
    for field in ["uid", "creationTimestamp", "selfLink", "resourceVersion"] {
        want.remove_at(&["metadata", field]);
        got.remove_at(&["metadata", field]);
    }
    prune_nulls(&want)
}

/// The first difference, as text.
fn differ(want: &Value, got: &Value, path: &str) -> Option<String> {
    const ANY: [&str; 6] = ["TIME", "UID", "UUID", "ALLOCATED_IP", "ALLOCATED_PORT", "DATE"];
    match (want, got) {
        (Value::Str(w), _) if ANY.contains(&&**w) => None,
        (Value::Str(w), Value::Str(g)) if w.contains("xxxxx") && w.split("xxxxx").all(|p| g.contains(p)) => None,
        (Value::Map(w), Value::Map(g)) => {
            for (k, v) in w.iter() {
                match g.get(k) {
                    None if v.as_str().or(v.items().first().and_then(Value::as_str)).is_some_and(|s| ANY.contains(&s)) => {}
                    None => return Some(format!("{path}.{k}: missing {v:?}")),
                    Some(other) => {
                        if let Some(d) = differ(v, other, &format!("{path}.{k}")) {
                            return Some(d);
                        }
                    }
                }
            }
            let extra = g.iter().find(|(k, _)| !w.contains_key(k));
            extra.map(|(k, v)| format!("{path}.{k}: unexpected {v:?}"))
        }
        (Value::List(w), Value::List(g)) if w.len() == g.len() => {
            w.iter().zip(g.iter()).enumerate().find_map(|(i, (w, g))| differ(w, g, &format!("{path}[{i}]")))
        }
        _ => (want != got).then(|| format!("{path}: want {want:?} got {got:?}")),
    }
}

/// Of a pod, what the admission plugins Priority, ServiceAccount and DefaultTolerationSeconds add.
fn admit(record: &Value, obj: &mut Object) {
    let want = record.get("output").unwrap();
    for field in ["priority", "preemptionPolicy", "serviceAccount", "serviceAccountName", "tolerations", "volumes"] {
        if let Some(v) = want.at(&["spec", field]) {
            obj.set_at(&["spec", field], v);
        }
    }
    for list in ["containers", "initContainers"] {
        let n = obj.list_at(&["spec", list]).len();
        for i in 0..n {
            let mounts = want.list_at(&["spec", list])[i].get("volumeMounts").cloned();
            if let Some(m) = mounts {
                obj.value_mut().entry(&["spec", list]).list_mut()[i].set_at(&["volumeMounts"], m);
            }
        }
    }
}

#[test]
fn defaults_come_out_as_recorded() {
    let all = records("defaults.jsonl");
    let mut misses = Vec::new();
    // Reviews are answered, not stored.
    let stored: Vec<&Value> = all.iter().filter(|r| !api::strategy(gvr(r)).unwrap().kind().virtual_kind).collect();
    let all = stored;
    for record in &all {
        let (mut got, errors) = create(record, "input");
        let name = record.str_at(&["name"]).unwrap();
        if let Some(e) = errors.iter().next() {
            misses.push(format!("{name}: {e}"));
            continue;
        }
        match got.kind() {
            "Pod" => admit(record, &mut got),
            "PersistentVolume" | "PersistentVolumeClaim" | "VolumeAttributesClass" => {
                got.set_at(&["metadata", "finalizers"], record.at(&["output", "metadata", "finalizers"]).unwrap());
            }
            "Node" => got.set_at(&["spec", "taints"], record.at(&["output", "spec", "taints"]).unwrap()),
            "CertificateSigningRequest" => {
                for field in ["extra", "groups", "username"] {
                    got.set_at(&["spec", field], record.at(&["output", "spec", field]).unwrap());
                }
            }
            _ => {}
        }
        let want = normalize(record.get("output").unwrap(), &mut got);
        if let Some(d) = differ(&want, &prune_nulls(got.value()), "") {
            misses.push(format!("{name}: {d}"));
        }
    }
    misses.iter().for_each(|m| println!("{}", m.chars().take(300).collect::<String>()));
    println!("{} of {} hold", all.len() - misses.len(), all.len());
    assert!(all.len() - misses.len() >= DEFAULTS_FLOOR, "the floor is {DEFAULTS_FLOOR}");
}

#[test]
fn warnings_are_those_of_the_real_one() {
    let mut misses = Vec::new();
    for record in &records("validation-creates.jsonl") {
        let (obj, errors) = create(record, "body");
        if !errors.is_empty() || !record.list_at(&["causes"]).is_empty() {
            continue;
        }
        let mut got = api::strategy(gvr(record)).unwrap().warnings(&obj, None);
        let mut want: Vec<String> = record.list_at(&["warnings"]).iter().map(|w| w.as_str().unwrap().to_string()).collect();
        got.order();
        want.order();
        if got != want {
            misses.push(format!("{}: want {want:?} got {got:?}", record.str_at(&["id"]).unwrap()));
        }
    }
    misses.iter().for_each(|m| println!("{m}"));
    assert!(misses.len() <= WARNING_MISSES, "{} differ", misses.len());
}
