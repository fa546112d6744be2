//! The endpoints controller: core/v1 Endpoints, deprecated but still written. Models `pkg/controller/endpoint`.

use std::rc::Rc;

use apimachinery::{Fields, Object, ObjectKey, Request, Value, key, value};
use base::Map;
use client_go::pods::{is_ready, node_name};
use client_go::{Delta, EventType};

use super::memo::{Memo, Ports};
use super::{on_pod, pods};
use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::refs::namespace_terminating;
use crate::resources::{ENDPOINTS, PODS, Res, SERVICES, gvr};

/// More addresses are cut off and an annotation says so.
const MAX_ADDRESSES: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";

#[derive(Clone, Default)]
pub struct EndpointsController {
    made: Memo<Endpoint>,
}

/// What a pod is to a service here.
#[derive(Clone)]
struct Endpoint {
    ip: Rc<str>,
    ports: Rc<Ports>,
    ready: bool,
    address: Value,
}

struct Subset {
    ports: Rc<Ports>,
    ready: Vec<Value>,
    not_ready: Vec<Value>,
}

/// Of the service's first family: Endpoints know no other.
fn primary_ip<'a>(pod: &'a Object, service: &Object) -> &'a str {
    pods::ip_of(pod, super::slices::families(service).first() == Some(&"IPv6"))
}

fn address(pod: &Object, service: &Object) -> Value {
    let mut v = value!({"ip": (primary_ip(pod, service)), "nodeName": (node_name(pod)), "targetRef": (pods::target_ref(pod))});
    if let Some(hostname) = pods::hostname(pod, service) {
        v.set_at(&["hostname"], hostname);
    }
    v
}

/// What a pod is to a service; `None` if it is no endpoint.
fn endpoint(service: &Object, pod: &Object, known: &mut Vec<Rc<Ports>>) -> Option<Endpoint> {
    let publish = service.bool_at(&["spec", "publishNotReadyAddresses"]).unwrap_or(false);
    let ip = primary_ip(pod, service);
    (pods::is_included(pod, publish) && !ip.is_empty()).then(|| Endpoint {
        ip: ip.into(),
        ports: Ports::of(service, pod, known),
        ready: publish || is_ready(pod),
        address: address(pod, service),
    })
}

/// The subsets of a service, and whether addresses had to be cut off.
fn subsets<'a>(service: &Object, endpoints: impl Iterator<Item = &'a Endpoint>) -> (Value, bool) {
    let by_ip: Map<&str, &Endpoint> = endpoints.map(|e| (&*e.ip, e)).collect();
    let mut list: Vec<Subset> = Vec::new();
    let mut count = 0;
    for Endpoint { ports, ready, address, .. } in by_ip.values() {
        if ports.list.is_empty() && service.str_at(&["spec", "clusterIP"]) != Some("None") {
            continue;
        }
        if count >= MAX_ADDRESSES {
            return (finished(list), true);
        }
        count += 1;
        let i = list.iter().position(|s| s.ports.text == ports.text).unwrap_or_else(|| {
            list.push(Subset { ports: ports.clone(), ready: Vec::new(), not_ready: Vec::new() });
            list.len() - 1
        });
        let place = if *ready { &mut list[i].ready } else { &mut list[i].not_ready };
        place.push(address.clone());
    }
    (finished(list), false)
}

fn finished(list: Vec<Subset>) -> Value {
    let subsets = list.into_iter().map(|subset| {
        let mut v = Value::map();
        let ports = subset.ports.list.items().iter().map(|port| {
            let mut port = port.clone();
            if port.str_at(&["name"]) == Some("") {
                port.map_mut().remove("name");
            }
            port
        });
        for (field, items) in [("addresses", subset.ready), ("notReadyAddresses", subset.not_ready), ("ports", ports.collect())] {
            if !items.is_empty() {
                v.set_at(&[field], items);
            }
        }
        v
    });
    Value::from(subsets.collect::<Vec<_>>())
}

fn labels(service: &Object) -> Fields {
    let mut labels = service.labels().cloned().unwrap_or_default();
    if service.str_at(&["spec", "clusterIP"]) == Some("None") {
        labels.insert(key("service.kubernetes.io/headless"), "");
    }
    labels.insert(key(MANAGED_BY), "endpoint-controller");
    labels
}

impl Controller for EndpointsController {
    type Key = ObjectKey;
    /// What is being written; none is being deleted.
    type Stage = Option<Object>;

    fn info(&self) -> Info {
        Info { name: "endpoints-controller", account: "endpoint-controller", source: "endpoint-controller", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[SERVICES, PODS, ENDPOINTS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        match res {
            PODS => on_pod(delta, queue),
            SERVICES => queue.add(delta.object().key()),
            _ if delta.new.is_none() => queue.add(delta.object().key()),
            _ => {}
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Option<Object>> {
        let existing = ctx.caches.get(ENDPOINTS, key);
        let Some(service) = ctx.caches.get(SERVICES, key) else {
            self.made.forget(key);
            // Endpoints of a name without a service are deleted, but those that somebody else wrote.
            let ours = existing.is_some_and(|e| e.label(MANAGED_BY).is_some());
            return match ours {
                true => Plan::call(format!("{key} has no service"), Request::delete(gvr(ENDPOINTS), key), None),
                false => Plan::Done,
            };
        };
        if service.at(&["spec", "selector"]).is_none() || service.str_at(&["spec", "type"]) == Some("ExternalName") {
            self.made.forget(key);
            return Plan::Done;
        }
        let endpoints = self.made.renew(service, ctx.caches, |pod, known| endpoint(service, pod, known));
        let (subsets, truncated) = subsets(service, endpoints);
        let labels = labels(service);
        if let Some(existing) = existing {
            let same = existing.labels() == Some(&labels)
                && existing.get("subsets").map_or(&[][..], Value::items) == subsets.items()
                && truncated == (existing.annotation(OVER_CAPACITY) == Some("truncated"));
            if same {
                return Plan::Done;
            }
        }
        let empty = || value!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": (&key.name), "namespace": (&key.namespace)}});
        let mut object = existing.cloned().or_else(|| Object::from_value(empty())).expect("a map was built");
        object.set_at(&["metadata", "labels"], labels);
        object.set_at(&["subsets"], subsets);
        if truncated {
            object.set_at(&["metadata", "annotations", OVER_CAPACITY], "truncated");
        } else if object.annotation(OVER_CAPACITY).is_some() {
            object.remove_at(&["metadata", "annotations", OVER_CAPACITY]);
        }
        let call = match existing {
            Some(_) => Request::update(gvr(ENDPOINTS), object.clone()),
            None => Request::create(gvr(ENDPOINTS), object.clone()),
        };
        Plan::call(format!("{key}: addresses changed"), call, Some(object))
    }
    fn resume(&mut self, key: &ObjectKey, written: Option<Object>, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Option<Object>> {
        let Some(error) = failure_but_not_found(outcomes) else { return Plan::Done };
        if outcomes.iter().any(|o| namespace_terminating(o)) {
            return Plan::Done;
        }
        if let Some(object) = written.filter(|_| !outcomes.iter().any(|o| o.is_conflict())) {
            // What has no UID yet was to be created; the cache may have heard of another one since.
            let (reason, message) = match object.uid().is_empty() {
                true => ("FailedToCreateEndpoint", format!("Failed to create endpoint for service {key}: {error}")),
                false => ("FailedToUpdateEndpoint", format!("Failed to update endpoint {key}: {error}")),
            };
            ctx.event(&object, EventType::Warning, reason, &message);
        }
        Plan::Retry(error)
    }
}
