//! Between versions of a resource: what is stored in one version and served in two. Models `pkg/apis/*/*/conversion.go`.
//!
//! Custom resources are stored in the version that their definition marks. Events are stored as `v1` and also served as `events.k8s.io/v1`; HorizontalPodAutoscalers are stored as `v2` and also served
//! as `v1` (of metrics only CPU utilization has a place there; others are left out of the older view, upstream keeps them in an
//! annotation).

use apimachinery::{Object, Value, key};

use crate::scheme::{Resource, scheme};

/// Whether a resource is served in another version than it is stored in.
pub fn differs(resource: &Resource) -> bool {
    resource.custom.is_some()
        || (resource.gvr.group == "events.k8s.io")
        || (resource.gvr.group == "autoscaling" && resource.gvr.version == "v1")
}

/// The served version of a stored object.
pub fn from_storage(resource: &Resource, mut object: Object) -> Object {
    if !differs(resource) {
        return object;
    }
    if resource.custom.is_some() {
        return custom_from_storage(resource, object);
    }
    if resource.gvr.group == "events.k8s.io" {
        rename(&mut object, EVENT, |(core, events)| (core, events));
        for stamp in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp"] {
            if object.get(stamp).is_none() {
                object.set_at(&[stamp], Value::Null);
            }
        }
    } else {
        hpa_to_v1(&mut object);
    }
    object.set_at(&["apiVersion"], &resource.api_version);
    object
}

/// The stored version of an object as it was sent.
pub fn to_storage(resource: &Resource, mut object: Object) -> Object {
    if !differs(resource) {
        return object;
    }
    if let Some(custom) = &resource.custom {
        if object.api_version() != &*custom.stored_as {
            object.set_at(&["apiVersion"], &custom.stored_as);
        }
        return object;
    }
    if resource.gvr.group == "events.k8s.io" {
        rename(&mut object, EVENT, |(core, events)| (events, core));
    } else {
        hpa_to_v2(&mut object);
    }
    if let Some(stored) = scheme().stored(resource) {
        object.set_at(&["apiVersion"], &stored.api_version);
    }
    object
}

/// Versions of a custom resource differ in their name and in what their schemas know. Defaults that the schema got later are
/// filled in. Models the `None` strategy of `apiextensions-apiserver/pkg/apiserver/conversion`.
fn custom_from_storage(resource: &Resource, mut object: Object) -> Object {
    if object.api_version() != &*resource.api_version {
        object.set_at(&["apiVersion"], &resource.api_version);
        let decoded = resource.schema.as_ref().and_then(|s| apimachinery::schema::decode(s, object.value()).ok());
        if let Some(pruned) = decoded.and_then(|d| Object::from_value(d.value)) {
            object = pruned;
        }
    }
    resource.strategy.default(&mut object);
    object
}

/// Members of `v1` Event and what they are called in `events.k8s.io/v1`.
const EVENT: &[(&str, &str)] = &[
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("source", "deprecatedSource"),
    ("message", "note"),
    ("involvedObject", "regarding"),
    ("reportingComponent", "reportingController"),
];

fn rename(
    object: &mut Object,
    pairs: &[(&'static str, &'static str)],
    way: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let map = object.value_mut().map_mut();
    let moved: Vec<(&str, Value)> = pairs
        .iter()
        .filter_map(|p| {
            let (from, to) = way(*p);
            Some((to, map.remove(from)?))
        })
        .collect();
    for (to, value) in moved {
        map.insert(key(to), value);
    }
}

fn hpa_to_v2(object: &mut Object) {
    if let Some(target) = object.remove_at(&["spec", "targetCPUUtilizationPercentage"])
        && !target.is_null()
    {
        let metric = apimachinery::value!({
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
        });
        object.set_at(&["spec", "metrics"], vec![metric]);
    }
    if object.get("status").is_some() {
        object.remove_at(&["status", "currentCPUUtilizationPercentage"]);
    }
}

fn hpa_to_v1(object: &mut Object) {
    let cpu = object
        .list_at(&["spec", "metrics"])
        .iter()
        .find(|m| m.str_at(&["resource", "name"]) == Some("cpu"))
        .and_then(|m| m.at(&["resource", "target", "averageUtilization"]))
        .cloned();
    object.remove_at(&["spec", "metrics"]);
    object.remove_at(&["spec", "behavior"]);
    if let Some(n) = cpu {
        object.set_at(&["spec", "targetCPUUtilizationPercentage"], n);
    }
    for name in ["currentMetrics", "conditions"] {
        object.remove_at(&["status", name]);
    }
}
