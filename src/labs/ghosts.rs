//! What a goal still lacks: its objects laid over those that are there. Whatever the goal doesn't name may be as it likes.

use apimachinery::{Object, ObjectKey, Request, Value, schema};
use cluster::Cluster;
use protocol::Ghost;

use crate::condition::scalar;

/// Fields told for one object.
const MOST: usize = 8;

/// The objects of the goal that are missing or different.
pub(crate) fn ghosts(goal: &[Object], cluster: &Cluster) -> Vec<Ghost> {
    let Some(api) = cluster.api().filter(|a| a.is_ready()) else { return Vec::new() };
    let mut ghosts = Vec::new();
    for wanted in goal {
        let Some(resource) = schema::resource_for_kind(wanted.gvk()) else { continue };
        let namespace = match (resource.namespaced, wanted.namespace()) {
            (false, _) => "",
            (true, "") => "default",
            (true, other) => other,
        };
        let mut request = Request::get(resource.gvr, &ObjectKey::new(namespace, wanted.name()));
        request.credential = cluster::administrator();
        let response = api.read(&request, cluster.now());
        let mut lacks = Vec::new();
        if let Some(there) = response.ok() {
            for (name, value) in wanted.value().as_map().into_iter().flatten() {
                if !matches!(&**name, "apiVersion" | "kind" | "metadata") {
                    compare(value, there.get(name), name, &mut lacks);
                }
            }
            for part in ["labels", "annotations"] {
                if let Some(value) = wanted.at(&["metadata", part]) {
                    compare(value, there.at(&["metadata", part]), &format!("metadata.{part}"), &mut lacks);
                }
            }
            if lacks.is_empty() {
                continue;
            }
        }
        lacks.truncate(MOST);
        ghosts.push(Ghost {
            kind: wanted.kind().into(),
            group: resource.gvr.group.to_string(),
            resource: resource.gvr.resource.to_string(),
            namespace: namespace.into(),
            name: wanted.name().into(),
            lacks,
        });
    }
    ghosts
}

/// Notes where `there` is not as `wanted` has it.
fn compare(wanted: &Value, there: Option<&Value>, path: &str, lacks: &mut Vec<String>) {
    if lacks.len() > MOST {
        return;
    }
    match (wanted, there) {
        (Value::Map(fields), Some(Value::Map(has))) => {
            for (name, value) in fields.iter() {
                compare(value, has.get(name), &format!("{path}.{name}"), lacks);
            }
        }
        (Value::List(items), Some(Value::List(has))) => {
            for (i, item) in items.iter().enumerate() {
                // Items with a name are found by it, others by their place.
                let name = item.str_at(&["name"]);
                let same = |h: &&Value| name.is_some() && h.str_at(&["name"]) == name;
                let at = has.iter().find(same).or_else(|| if name.is_none() { has.get(i) } else { None });
                let label = name.map_or_else(|| i.to_string(), str::to_string);
                compare(item, at, &format!("{path}[{label}]"), lacks);
            }
        }
        (wanted, Some(there)) if scalar(wanted) == scalar(there) => {}
        (wanted, Some(there)) => lacks.push(short(&format!("{path} is {}, not {}", scalar(there), scalar(wanted)))),
        (wanted, None) => lacks.push(short(&format!("{path} is missing: {}", scalar(wanted)))),
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= 140 { text.into() } else { text.chars().take(139).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn only_what_the_goal_names_is_compared() {
        let wanted = value!({"replicas": 3, "containers": [{"name": "web", "image": "nginx:1.27"}], "ports": [80]});
        let there =
            value!({"replicas": 2, "paused": true, "containers": [{"name": "log"}, {"name": "web", "image": "nginx:1.26"}]});
        let mut lacks = Vec::new();
        compare(&wanted, Some(&there), "spec", &mut lacks);
        assert_eq!(
            lacks,
            [
                "spec.containers[web].image is nginx:1.26, not nginx:1.27",
                "spec.ports is missing: [80]",
                "spec.replicas is 2, not 3"
            ]
        );
    }
}
