//! Roles and bindings.

use apimachinery::{Object, Value};
use base::Sort as _;

use super::{Writer, join, show};

pub(super) fn rbac(object: &Object, w: &mut Writer) {
    w.field(0, "Name", object.name());
    w.labels(object);
    w.annotations(object);
    if object.kind().ends_with("Binding") {
        return binding(object, w);
    }
    w.line(0, "PolicyRule:");
    w.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    w.line(1, "---------\t-----------------\t--------------\t-----");
    for (what, urls, names, verbs) in rows(object.list_at(&["rules"])) {
        w.line(1, format!("{what}\t[{urls}]\t[{names}]\t[{verbs}]"));
    }
}

/// Rules taken apart by resource, in upstream's order; the verbs of equal ones together.
fn rows(rules: &[Value]) -> Vec<(String, String, String, String)> {
    let mut rows: Vec<(String, String, String, Vec<String>)> = Vec::new();
    let mut add = |what: String, urls: String, names: String, verbs: &[Value]| {
        let verbs = verbs.iter().filter_map(Value::as_str).map(String::from);
        match rows.iter_mut().find(|r| r.0 == what && r.1 == urls && r.2 == names) {
            Some(row) => row.3.extend(verbs),
            None => rows.push((what, urls, names, verbs.collect())),
        }
    };
    for rule in rules {
        let names = join(rule.list_at(&["resourceNames"]), " ");
        for group in rule.list_at(&["apiGroups"]).iter().filter_map(Value::as_str) {
            for resource in rule.list_at(&["resources"]).iter().filter_map(Value::as_str) {
                let what = match (group, resource.split_once('/')) {
                    ("", _) => resource.to_string(),
                    (group, None) => format!("{resource}.{group}"),
                    (group, Some((r, s))) => format!("{r}.{group}/{s}"),
                };
                for name in if names.is_empty() { vec![""] } else { names.split(' ').collect() } {
                    add(what.clone(), String::new(), name.to_string(), rule.list_at(&["verbs"]));
                }
            }
        }
        for url in rule.list_at(&["nonResourceURLs"]).iter().filter_map(Value::as_str) {
            add(String::new(), url.to_string(), String::new(), rule.list_at(&["verbs"]));
        }
    }
    // Upstream sorts compacted rules by their printed form, in which longer names of a group come first.
    rows.order_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    rows.into_iter()
        .map(|(what, urls, names, mut verbs)| {
            let mut seen: Vec<String> = Vec::new();
            verbs.retain(|v| {
                !seen.contains(v) && {
                    seen.push(v.clone());
                    true
                }
            });
            (what, urls, names, verbs.join(" "))
        })
        .collect()
}

/// `APIGroups:["a"], Resources:["pods/log"]`: a quote sorts after a slash.
fn sort_key(row: &(String, String, String, Vec<String>)) -> String {
    let (resource, rest) = row.0.split_once('.').unwrap_or((&row.0, ""));
    let (group, sub) = rest.split_once('/').unwrap_or((rest, ""));
    let sub = if sub.is_empty() { String::new() } else { format!("/{sub}") };
    // Without a resource the row is a URL; those come first.
    if row.0.is_empty() {
        return format!("!{}", row.1);
    }
    format!("{}{group}~{resource}{sub}~{}", if group.is_empty() { "~" } else { "" }, row.2)
}

fn binding(object: &Object, w: &mut Writer) {
    w.line(0, "Role:");
    w.field(1, "Kind", show(object.at(&["roleRef", "kind"])));
    w.field(1, "Name", show(object.at(&["roleRef", "name"])));
    w.line(0, "Subjects:");
    w.line(1, "Kind\tName\tNamespace");
    w.line(1, "----\t----\t---------");
    for subject in object.list_at(&["subjects"]) {
        w.line(1, format!("{}\t{}\t{}", show(subject.get("kind")), show(subject.get("name")), show(subject.get("namespace"))));
    }
}
