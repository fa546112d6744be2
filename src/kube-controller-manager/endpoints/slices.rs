//! Fitting endpoints into slices of at most so many, changing as few slices as possible. Models `staging/endpointslice/reconciler.go`.

use std::rc::Rc;

use apimachinery::{Fields, Object, Value, json, key, value};
use base::Map;
use base::Sort as _;

use super::memo::Ports;
use super::{CONTROLLER, MANAGED_BY, pods};
use crate::resources::Caches;

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// Endpoints with the same ports, by the key of their pod (its address serves as one).
pub type Groups = Map<Rc<str>, Group>;

#[derive(Clone, Default)]
pub struct Group {
    pub ports: Value,
    pub endpoints: Map<Rc<str>, Value>,
}

/// Slices to write.
#[derive(Default)]
pub struct Changes {
    pub create: Vec<Object>,
    pub update: Vec<Object>,
    pub delete: Vec<Object>,
}

/// The families of addresses that a service has slices of.
pub fn families(service: &Object) -> Vec<&'static str> {
    let family = |f: &Value| if f.as_str() == Some("IPv6") { "IPv6" } else { "IPv4" };
    let list: Vec<&'static str> = service.list_at(&["spec", "ipFamilies"]).iter().map(family).collect();
    if list.is_empty() { vec!["IPv4"] } else { list }
}

/// What a pod is to a service in one family.
#[derive(Clone)]
pub struct Endpoint {
    family: &'static str,
    address: Rc<str>,
    ports: Rc<Ports>,
    value: Value,
}

/// What a pod is to the service, family by family; `None` if it is no endpoint at all.
pub fn endpoints(
    service: &Object,
    families: &[&'static str],
    pod: &Object,
    known: &mut Vec<Rc<Ports>>,
    caches: Caches,
) -> Option<Vec<Endpoint>> {
    if !pods::is_included(pod, true) {
        return None;
    }
    let addresses = families.iter().map(|family| (*family, pods::ip_of(pod, *family == "IPv6")));
    let addresses: Vec<(&'static str, &str)> = addresses.filter(|(_, address)| !address.is_empty()).collect();
    let ports = Ports::of(service, pod, known);
    let made = addresses.into_iter().map(|(family, address)| Endpoint {
        family,
        address: address.into(),
        ports: ports.clone(),
        value: pods::endpoint(pod, address, service, caches),
    });
    Some(made.collect())
}

/// What the service's endpoints of a family should be.
pub fn desired(family: &str, made: &[&Endpoint]) -> Groups {
    let mut groups = Groups::default();
    for endpoint in made.iter().filter(|e| e.family == family) {
        let ports = &endpoint.ports;
        let empty = || Group { ports: ports.list.clone(), endpoints: Map::default() };
        let group = groups.entry(ports.text.clone()).or_insert_with(empty);
        group.endpoints.insert(endpoint.address.clone(), endpoint.value.clone());
    }
    groups
}

/// An endpoint's identity within the service.
fn address(endpoint: &Value) -> &str {
    endpoint.list_at(&["addresses"]).first().and_then(Value::as_str).unwrap_or("")
}

/// Compares what is with what should be.
pub fn reconcile(service: &Object, family: &str, mut groups: Groups, existing: Vec<Object>, max: usize) -> Changes {
    let mut changes = Changes::default();
    if groups.is_empty() {
        // A service without endpoints keeps one slice, so that it can be told from one that nobody has looked at yet.
        groups.insert("null".into(), Group::default());
    }
    let labels = labels(service);
    let mut by_ports: Map<Rc<str>, Vec<Object>> = Map::default();
    for slice in existing {
        let text = match slice.get("ports") {
            Some(ports) if !ports.is_empty() => json::to_string(&normalized(ports)),
            _ => "null".to_string(),
        };
        if groups.contains_key(&*text) {
            by_ports.entry(text.into()).or_default().push(slice);
        } else {
            changes.delete.push(slice);
        }
    }
    for (text, group) in groups {
        let slices = by_ports.remove(&text).unwrap_or_default();
        reconcile_group(service, family, &labels, group, slices, max, &mut changes);
    }
    // A slice that would be deleted is better used for another set of ports.
    while !changes.create.is_empty() && !changes.delete.is_empty() {
        let (Some(new), Some(mut old)) = (changes.create.pop(), changes.delete.pop()) else { break };
        for field in ["ports", "endpoints"] {
            old.set_at(&[field], new.get(field).cloned().unwrap_or_default());
        }
        old.set_at(&["metadata", "labels"], labels.clone());
        changes.update.push(old);
    }
    changes
}

/// Ports as `desired` writes them: a missing name is the empty one.
fn normalized(ports: &Value) -> Value {
    let with_name = |port: &Value| {
        let mut port = port.clone();
        if port.get("name").is_none() {
            port.set_at(&["name"], "");
        }
        port
    };
    Value::from(ports.items().iter().map(with_name).collect::<Vec<_>>())
}

fn reconcile_group(
    service: &Object,
    family: &str,
    labels: &Fields,
    group: Group,
    slices: Vec<Object>,
    max: usize,
    changes: &mut Changes,
) {
    let mut missing = group.endpoints;
    let mut kept: Vec<(Object, Vec<Value>, bool)> = Vec::new();
    for slice in slices {
        let mut changed = slice.labels() != Some(labels);
        let mut endpoints = Vec::new();
        for endpoint in slice.list_at(&["endpoints"]) {
            match missing.remove(address(endpoint)) {
                Some(wanted) => {
                    changed |= wanted != *endpoint;
                    endpoints.push(wanted);
                }
                None => changed = true,
            }
        }
        kept.push((slice, endpoints, changed));
    }
    let mut left: Vec<Value> = missing.into_iter().map(|(_, endpoint)| endpoint).collect();
    left.reverse();
    // First into slices that change anyway, fullest first; then into any with room for all that is left.
    let mut changed: Vec<usize> = (0..kept.len()).filter(|i| kept[*i].2).collect();
    changed.order_by_key(|i| std::cmp::Reverse(kept[*i].1.len()));
    for i in changed {
        fill(&mut kept[i], &mut left, max);
    }
    if !left.is_empty() && left.len() < max {
        let roomy = (0..kept.len()).filter(|i| kept[*i].1.len() + left.len() <= max).max_by_key(|i| kept[*i].1.len());
        if let Some(i) = roomy {
            fill(&mut kept[i], &mut left, max);
        }
    }
    while !left.is_empty() {
        let chunk: Vec<Value> = left.split_off(left.len().saturating_sub(max)).into_iter().rev().collect();
        changes.create.push(new_slice(service, family, labels, &group.ports, chunk));
    }
    finish_group(service, family, labels, &group.ports, kept, changes);
}

fn fill(slice: &mut (Object, Vec<Value>, bool), left: &mut Vec<Value>, max: usize) {
    while slice.1.len() < max
        && let Some(endpoint) = left.pop()
    {
        slice.1.push(endpoint);
        slice.2 = true;
    }
}

/// Files what became of the slices of a group: an empty one goes, unless it is the last of the service.
fn finish_group(
    service: &Object,
    family: &str,
    labels: &Fields,
    ports: &Value,
    kept: Vec<(Object, Vec<Value>, bool)>,
    changes: &mut Changes,
) {
    let mut any = !changes.create.is_empty() || kept.iter().any(|(_, endpoints, _)| !endpoints.is_empty());
    let none_at_all = kept.is_empty() && changes.create.is_empty();
    for (mut slice, endpoints, changed) in kept {
        if endpoints.is_empty() && any {
            changes.delete.push(slice);
            continue;
        }
        any = true;
        if changed {
            slice.set_at(&["metadata", "labels"], labels.clone());
            slice.set_at(&["endpoints"], if endpoints.is_empty() { Value::Null } else { endpoints.into() });
            changes.update.push(slice);
        }
    }
    if none_at_all {
        changes.create.push(new_slice(service, family, labels, ports, Vec::new()));
    }
}

/// The labels of a service's slices: its own, and those that say whose they are.
fn labels(service: &Object) -> Fields {
    let mut labels = service.labels().cloned().unwrap_or_default();
    labels.remove(HEADLESS);
    if service.str_at(&["spec", "clusterIP"]) == Some("None") {
        labels.insert(key(HEADLESS), "");
    }
    labels.insert(key(SERVICE_NAME), service.name());
    labels.insert(key(MANAGED_BY), CONTROLLER);
    labels
}

fn new_slice(service: &Object, family: &str, labels: &Fields, ports: &Value, endpoints: Vec<Value>) -> Object {
    let mut annotations = Value::Null;
    if let Some(time) = service.annotation("endpoints.kubernetes.io/last-change-trigger-time") {
        annotations = value!({"endpoints.kubernetes.io/last-change-trigger-time": time});
    }
    let mut slice = value!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "generateName": (format!("{}-", service.name())), "namespace": (service.namespace()),
            "labels": (Value::from(labels.clone())), "ownerReferences": [(service.new_controller_ref())]
        },
        "addressType": family,
        "endpoints": (if endpoints.is_empty() { Value::Null } else { endpoints.into() }),
        "ports": (ports.clone())
    });
    if !annotations.is_null() {
        slice.set_at(&["metadata", "annotations"], annotations);
    }
    Object::from_value(slice).expect("a map was built")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Object {
        Object::from_value(value!({"kind": "Service", "metadata": {"name": "s", "namespace": "ns", "uid": "u"}})).unwrap()
    }
    fn groups(addresses: std::ops::Range<usize>) -> Groups {
        let endpoints = addresses.map(|n| {
            let ip = format!("10.0.0.{n:03}");
            (Rc::from(&*ip), value!({"addresses": [(&ip)]}))
        });
        let ports = value!([{"name": "", "port": 80, "protocol": "TCP"}]);
        let text: Rc<str> = json::to_string(&ports).into();
        Groups::from_iter([(text, Group { ports, endpoints: endpoints.collect() })])
    }
    fn sizes(slices: &[Object]) -> Vec<usize> {
        slices.iter().map(|s| s.list_at(&["endpoints"]).len()).collect()
    }
    fn check(groups: Groups, existing: &[Object], creates: &[usize], updates: &[usize], deletes: usize) -> Vec<Object> {
        let mut n = existing.len();
        let mut changes = reconcile(&service(), "IPv4", groups, existing.to_vec(), 10);
        assert_eq!((&*sizes(&changes.create), &*sizes(&changes.update), changes.delete.len()), (creates, updates, deletes));
        for slice in &mut changes.create {
            n += 1;
            slice.set_at(&["metadata", "name"], format!("s-{n}"));
        }
        let replaced = |s: &Object| changes.update.iter().find(|u| u.name() == s.name()).unwrap_or(s).clone();
        let kept = existing.iter().filter(|s| !changes.delete.iter().any(|d| d.name() == s.name())).map(replaced);
        kept.chain(changes.create.clone()).collect()
    }

    #[test]
    fn slices_are_filled_and_only_changed_ones_written() {
        let s = check(Groups::default(), &[], &[0], &[], 0);
        // The empty slice is used for the first ports.
        let s = check(groups(0..25), &s, &[10, 10], &[5], 0);
        let s = check(groups(0..25), &s, &[], &[], 0);
        let s = check(groups(0..28), &s, &[], &[8], 0);
        let s = check(groups(0..12), &s, &[], &[2], 1);
        check(groups(0..0), &s, &[], &[0], 1);
    }
}
