//! The mandatory objects of flow control can't be changed: `exempt` and `catch-all` are what everything else rests on. Models
//! `pkg/apis/flowcontrol/internalbootstrap`.

use apimachinery::field::{Error, ErrorList, ErrorType, Path};
use apimachinery::{Value, json, value};

/// A schema of a mandatory name must have its fixed spec.
pub(super) fn flow_schema(name: &str, spec: &Value, errors: &mut ErrorList) {
    let group = |name: &str| value!({"kind": "Group", "group": {"name": name}});
    let everything = |subjects: Vec<Value>| {
        value!([{
            "subjects": subjects,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
        }])
    };
    let fixed = match name {
        "exempt" => value!({
            "priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 1,
            "rules": (everything(vec![group("system:masters")]))
        }),
        "catch-all" => value!({
            "priorityLevelConfiguration": {"name": "catch-all"}, "matchingPrecedence": 10000,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": (everything(vec![group("system:unauthenticated"), group("system:authenticated")]))
        }),
        _ => return,
    };
    compare(name, spec, &fixed, SCHEMA, errors);
}

/// A level of a mandatory name must have its fixed spec; `exempt` may have other shares.
pub(super) fn priority_level(name: &str, spec: &Value, errors: &mut ErrorList) {
    if name == "catch-all" {
        let fixed = value!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}
        }});
        compare(name, spec, &fixed, LEVEL, errors);
    }
}

fn compare(name: &str, spec: &Value, fixed: &Value, form: &[Member], errors: &mut ErrorList) {
    if spec != fixed {
        let mut shown = String::new();
        print(spec, form, &mut shown);
        let detail = format!("spec of '{name}' must equal the fixed value");
        let field = Path::new("spec").to_string();
        errors.push(Error { kind: ErrorType::Invalid, field, bad_value: shown, detail });
    }
}

/// A member of one of upstream's internal structs, which have no tags: its name in JSON, in Go, and what it is.
type Member = (&'static str, &'static str, Is);

#[derive(Clone, Copy)]
enum Is {
    /// Text, number or truth, with Go's zero value.
    Plain(&'static str),
    /// `null` if it isn't there.
    Optional,
    Texts,
    Struct(&'static [Member]),
    Pointer(&'static [Member]),
    List(&'static [Member]),
}

const NAME: &[Member] = &[("name", "Name", Is::Plain("\"\""))];
const SUBJECT: &[Member] = &[
    ("kind", "Kind", Is::Plain("\"\"")),
    ("user", "User", Is::Pointer(NAME)),
    ("group", "Group", Is::Pointer(NAME)),
    (
        "serviceAccount",
        "ServiceAccount",
        Is::Pointer(&[("namespace", "Namespace", Is::Plain("\"\"")), ("name", "Name", Is::Plain("\"\""))]),
    ),
];
const RULE: &[Member] = &[
    ("subjects", "Subjects", Is::List(SUBJECT)),
    (
        "resourceRules",
        "ResourceRules",
        Is::List(&[
            ("verbs", "Verbs", Is::Texts),
            ("apiGroups", "APIGroups", Is::Texts),
            ("resources", "Resources", Is::Texts),
            ("clusterScope", "ClusterScope", Is::Plain("false")),
            ("namespaces", "Namespaces", Is::Texts),
        ]),
    ),
    (
        "nonResourceRules",
        "NonResourceRules",
        Is::List(&[("verbs", "Verbs", Is::Texts), ("nonResourceURLs", "NonResourceURLs", Is::Texts)]),
    ),
];
const SCHEMA: &[Member] = &[
    ("priorityLevelConfiguration", "PriorityLevelConfiguration", Is::Struct(NAME)),
    ("matchingPrecedence", "MatchingPrecedence", Is::Plain("0")),
    ("distinguisherMethod", "DistinguisherMethod", Is::Pointer(&[("type", "Type", Is::Plain("\"\""))])),
    ("rules", "Rules", Is::List(RULE)),
];
const LEVEL: &[Member] = &[
    ("type", "Type", Is::Plain("\"\"")),
    (
        "limited",
        "Limited",
        Is::Pointer(&[
            ("nominalConcurrencyShares", "NominalConcurrencyShares", Is::Plain("0")),
            (
                "limitResponse",
                "LimitResponse",
                Is::Struct(&[
                    ("type", "Type", Is::Plain("\"\"")),
                    (
                        "queuing",
                        "Queuing",
                        Is::Pointer(&[
                            ("queues", "Queues", Is::Plain("0")),
                            ("handSize", "HandSize", Is::Plain("0")),
                            ("queueLengthLimit", "QueueLengthLimit", Is::Plain("0")),
                        ]),
                    ),
                ]),
            ),
            ("lendablePercent", "LendablePercent", Is::Optional),
            ("borrowingLimitPercent", "BorrowingLimitPercent", Is::Optional),
        ]),
    ),
    (
        "exempt",
        "Exempt",
        Is::Pointer(&[
            ("nominalConcurrencyShares", "NominalConcurrencyShares", Is::Optional),
            ("lendablePercent", "LendablePercent", Is::Optional),
        ]),
    ),
];

/// Writes a struct as Go's encoder writes one without tags.
fn print(v: &Value, form: &[Member], out: &mut String) {
    for (i, (field, name, is)) in form.iter().enumerate() {
        out.push(if i == 0 { '{' } else { ',' });
        out.push_str(&format!("\"{name}\":"));
        let there = v.get(field).filter(|v| !v.is_null());
        match (is, there) {
            (Is::Struct(form), there) => print(there.unwrap_or(&Value::Null), form, out),
            (Is::Plain(zero), None) => out.push_str(zero),
            (_, None) => out.push_str("null"),
            (Is::Plain(_) | Is::Optional | Is::Texts, Some(v)) => out.push_str(&json::to_string(v)),
            (Is::Pointer(form), Some(v)) => print(v, form, out),
            (Is::List(form), Some(v)) => {
                for (i, item) in v.items().iter().enumerate() {
                    out.push(if i == 0 { '[' } else { ',' });
                    print(item, form, out);
                }
                out.push_str(if v.items().is_empty() { "[]" } else { "]" });
            }
        }
    }
    out.push('}');
}
