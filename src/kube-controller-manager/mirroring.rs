//! The endpointslice mirroring controller: Endpoints that somebody wrote by hand, for a Service without selector, become
//! EndpointSlices, because that is what kube-proxy reads. Models `pkg/controller/endpointslicemirroring`.
//!
//! Left out: batching of updates, more than 1,000 addresses a subset (they are cut off and an event says so).

use apimachinery::{Fields, Object, ObjectKey, Request, Value, key, value};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::refs::namespace_terminating;
use crate::resources::{Caches, ENDPOINTS, ENDPOINTSLICES, Res, SERVICES, SLICES_BY_SERVICE, gvr};

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// `--mirroring-max-endpoints-per-subset`
const MAX_ADDRESSES: usize = 1000;

#[derive(Clone, Default)]
pub struct EndpointSliceMirroringController {}

/// Whether Endpoints are to be mirrored at all.
fn is_eligible(endpoints: &Object) -> bool {
    endpoints.label(SKIP) != Some("true") && endpoints.annotation(LEADER).is_none()
}

fn is_ours(slice: &Object) -> bool {
    slice.label(MANAGED_BY) == Some(CONTROLLER)
}

fn has_selector(service: &Object) -> bool {
    service.map_at(&["spec", "selector"]).is_some_and(|s| s.iter().next().is_some())
}

/// One slice as it should be: address type, ports, endpoints.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    family: &'static str,
    ports: Value,
    endpoints: Value,
}

fn port(port: &Value) -> Value {
    let text = |field: &str, default: &str| port.str_at(&[field]).unwrap_or(default).to_string();
    let mut out = value!({"name": (text("name", "")), "protocol": (text("protocol", "TCP"))});
    for field in ["port", "appProtocol"] {
        if let Some(v) = port.get(field) {
            out.set_at(&[field], v);
        }
    }
    out
}

fn endpoint(address: &Value, ready: bool) -> Value {
    let mut out = value!({"addresses": [(address.str_at(&["ip"]).unwrap_or(""))], "conditions": {"ready": ready}});
    for field in ["hostname", "nodeName", "targetRef"] {
        if let Some(v) = address.get(field) {
            out.set_at(&[field], v);
        }
    }
    out
}

/// The slices of Endpoints, one for each subset and family, and whether addresses were cut off.
fn wanted(endpoints: &Object) -> (Vec<Wanted>, bool) {
    let (mut slices, mut cut) = (Vec::new(), false);
    for subset in endpoints.list_at(&["subsets"]) {
        let ports: Vec<Value> = subset.list_at(&["ports"]).iter().map(port).collect();
        let ready = subset.list_at(&["addresses"]).iter().map(|a| (a, true));
        let all: Vec<(&Value, bool)> = ready.chain(subset.list_at(&["notReadyAddresses"]).iter().map(|a| (a, false))).collect();
        cut |= all.len() > MAX_ADDRESSES;
        for family in ["IPv4", "IPv6"] {
            let is_family = |a: &Value| a.str_at(&["ip"]).is_some_and(|ip| ip.contains(':') == (family == "IPv6"));
            let of = all.iter().take(MAX_ADDRESSES).filter(|(a, _)| is_family(a));
            let found: Vec<Value> = of.map(|(a, ready)| endpoint(a, *ready)).collect();
            if !found.is_empty() {
                slices.push(Wanted { family, ports: ports.clone().into(), endpoints: found.into() });
            }
        }
    }
    (slices, cut)
}

/// The labels of a slice: those of the Endpoints, and whose it is.
fn labels(endpoints: &Object) -> Fields {
    let mut labels = endpoints.labels().cloned().unwrap_or_default();
    labels.insert(key(SERVICE_NAME), endpoints.name());
    labels.insert(key(MANAGED_BY), CONTROLLER);
    labels
}

fn new_slice(endpoints: &Object, wanted: &Wanted) -> Object {
    let slice = value!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "generateName": (format!("{}-", endpoints.name())), "namespace": (endpoints.namespace()),
            "labels": (labels(endpoints)), "ownerReferences": [(endpoints.new_controller_ref())]
        },
        "addressType": (Value::sym(wanted.family)), "ports": (&wanted.ports), "endpoints": (&wanted.endpoints)
    });
    Object::from_value(slice).expect("a map was built")
}

/// Compares what is with what should be: a slice is the one of its family and ports.
fn changes(endpoints: &Object, wanted: Vec<Wanted>, existing: Vec<Object>) -> Vec<Request> {
    let (mut calls, mut rest) = (Vec::new(), existing);
    let labels = labels(endpoints);
    for slice in wanted {
        let same = |s: &Object| {
            let ports = s.get("ports").map_or(&[][..], Value::items);
            s.str_at(&["addressType"]) == Some(slice.family) && ports == slice.ports.items()
        };
        let Some(at) = rest.iter().position(same) else {
            calls.push(Request::create(gvr(ENDPOINTSLICES), new_slice(endpoints, &slice)));
            continue;
        };
        let mut found = rest.remove(at);
        if found.get("endpoints") != Some(&slice.endpoints) || found.labels() != Some(&labels) {
            found.set_at(&["endpoints"], slice.endpoints);
            found.set_at(&["metadata", "labels"], labels.clone());
            calls.push(Request::update(gvr(ENDPOINTSLICES), found));
        }
    }
    calls.extend(rest.iter().map(|slice| Request::delete(gvr(ENDPOINTSLICES), &slice.key())));
    calls
}

fn existing(caches: Caches, key: &ObjectKey) -> Vec<Object> {
    let index = format!("{}/{}", key.namespace, key.name);
    caches.store(ENDPOINTSLICES).by_index(SLICES_BY_SERVICE, &index).filter(|slice| is_ours(slice)).cloned().collect()
}

impl Controller for EndpointSliceMirroringController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        Info {
            name: "endpointslice-mirroring-controller",
            account: "endpointslicemirroring-controller",
            source: "endpoint-slice-mirroring-controller",
            workers: 5,
        }
    }
    fn watches(&self) -> &'static [Res] {
        &[ENDPOINTS, SERVICES, ENDPOINTSLICES]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let object = delta.object();
        match res {
            // Endpoints of Services with a selector are the endpoints controller's.
            ENDPOINTS => {
                let service = queue.caches.get(SERVICES, &object.key());
                if is_eligible(object) && service.is_some_and(|service| !has_selector(service)) {
                    queue.add(object.key());
                }
            }
            SERVICES => {
                let concerned = [&delta.old, &delta.new].into_iter().flatten().any(|s| !has_selector(s));
                if concerned && queue.caches.get(ENDPOINTS, &object.key()).is_some_and(is_eligible) {
                    queue.add(object.key());
                }
            }
            _ if is_ours(object) => {
                if let Some(service) = object.label(SERVICE_NAME) {
                    queue.add(ObjectKey::new(object.namespace(), service));
                }
            }
            _ => {}
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let endpoints = ctx.caches.get(ENDPOINTS, key).filter(|e| is_eligible(e)).cloned();
        let service = ctx.caches.get(SERVICES, key);
        let existing = existing(ctx.caches, key);
        let Some(endpoints) = endpoints.filter(|_| service.is_some_and(|s| !has_selector(s))) else {
            let calls: Vec<Request> = existing.iter().map(|s| Request::delete(gvr(ENDPOINTSLICES), &s.key())).collect();
            return match calls.is_empty() {
                true => Plan::Done,
                false => Plan::calls(format!("{key} is no longer mirrored"), calls, ()),
            };
        };
        let (wanted, cut) = wanted(&endpoints);
        if cut {
            let message = format!("A max of {MAX_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset.");
            ctx.warning(&endpoints, "TooManyAddressesToMirror", &message);
        }
        let calls = changes(&endpoints, wanted, existing);
        match calls.is_empty() {
            true => Plan::Done,
            false => Plan::calls(format!("{key}: mirrored addresses changed"), calls, ()),
        }
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        if outcomes.iter().any(|o| namespace_terminating(o)) {
            return Plan::Done;
        }
        failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(ready: &[&str]) -> Object {
        let addresses: Vec<Value> = ready.iter().map(|ip| value!({"ip": (*ip)})).collect();
        Object::from_value(value!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "namespace": "default", "uid": "u"},
            "subsets": [{"addresses": addresses, "notReadyAddresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 5432}]}]
        }))
        .expect("a map was built")
    }

    #[test]
    fn a_slice_for_each_family_and_only_changes_are_written() {
        let (first, cut) = wanted(&endpoints(&["10.0.0.1", "fd00::1"]));
        assert_eq!((first.iter().map(|w| w.family).collect::<Vec<_>>(), cut), (vec!["IPv4", "IPv6"], false));
        assert_eq!(first[0].endpoints.items().len(), 2, "the one that is not ready too");
        let made: Vec<Object> = first.iter().map(|w| new_slice(&endpoints(&[]), w)).collect();
        assert!(changes(&endpoints(&[]), first, made.clone()).is_empty());
        let (second, _) = wanted(&endpoints(&["10.0.0.2"]));
        let verbs: Vec<_> = changes(&endpoints(&[]), second, made).iter().map(|c| c.verb).collect();
        assert_eq!(verbs, [apimachinery::Verb::Update, apimachinery::Verb::Delete]);
    }
}
