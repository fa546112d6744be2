//! From Services to endpoints: the endpointslice controller and the older endpoints controller.
//!
//! Models `pkg/controller/endpointslice` (with `staging/endpointslice`) and `pkg/controller/endpoint`. `pods.rs` says what a pod is to a
//! service, `memo.rs` remembers it, `slices.rs` fits endpoints into slices. Left out: topology hints, Services whose ports resolve to different
//! numbers in different pods beyond one group of slices per set of ports.

mod legacy;
mod memo;
mod pods;
mod slices;

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request};
use base::Map;
use client_go::{Delta, EventType};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::refs::namespace_terminating;
use crate::resources::{ENDPOINTSLICES, NODES, PODS, Res, SERVICES, SLICES_BY_SERVICE, gvr, services_of};

pub use legacy::EndpointsController;
use memo::{Memo, Ports};

pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// Queues the services that select a pod in its old or its new state, if anything that they care about changed.
fn on_pod(delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
    let (old, new) = (delta.old.as_ref(), delta.new.as_ref());
    if let (Some(old), Some(new)) = (old, new)
        && !pods::endpoint_changed(old, new)
    {
        return;
    }
    let mut keys: Vec<ObjectKey> = Vec::new();
    let caches = queue.caches;
    let same_labels = matches!((old, new), (Some(a), Some(b)) if a.at(&["metadata", "labels"]) == b.at(&["metadata", "labels"]));
    for pod in old.filter(|_| !same_labels).into_iter().chain(new) {
        services_of(caches, pod, |service| keys.push(service.key()));
    }
    keys.into_iter().for_each(|key| queue.add(key));
}

#[derive(Clone)]
pub struct EndpointSliceController {
    max_per_slice: usize,
    /// Revisions of slices as last written here: until the cache shows them, a service waits.
    written: Map<ObjectKey, Map<Rc<str>, i64>>,
    made: Memo<Vec<slices::Endpoint>>,
}

impl EndpointSliceController {
    pub fn new(max_per_slice: usize) -> EndpointSliceController {
        EndpointSliceController { max_per_slice, written: Map::default(), made: Memo::default() }
    }

    /// Whether the cache is behind what this controller wrote itself.
    fn is_stale(&self, key: &ObjectKey, existing: &[Object]) -> bool {
        self.written.get(key).is_some_and(|written| {
            written.iter().any(|(name, revision)| !existing.iter().any(|s| s.name() == &**name && s.revision() >= *revision))
        })
    }
}

impl Controller for EndpointSliceController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "endpointslice-controller";
        Info { name, account: "endpointslice-controller", source: "endpoint-slice-controller", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[SERVICES, PODS, NODES, ENDPOINTSLICES]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        match res {
            PODS => on_pod(delta, queue),
            SERVICES => queue.add(delta.object().key()),
            NODES => {
                let [before, now] = [&delta.old, &delta.new].map(|node| node.as_ref().and_then(|n| n.label(pods::ZONE)));
                if before != now {
                    self.made.clear();
                }
            }
            ENDPOINTSLICES => {
                let slice = delta.object();
                if slice.label(MANAGED_BY) != Some(CONTROLLER) {
                    return;
                }
                let Some(service) = slice.label(slices::SERVICE_NAME) else { return };
                let key = ObjectKey::new(slice.namespace(), service);
                let known = self.written.get(&key).and_then(|w| w.get(slice.name())).copied();
                match &delta.new {
                    None if known.is_some() => {
                        self.written.entry(key.clone()).or_default().remove(slice.name());
                        queue.add(key);
                    }
                    Some(slice) if known.is_none_or(|revision| slice.revision() > revision) => queue.add(key),
                    // What this controller wrote itself: a sync that waited for the cache may go on.
                    Some(_) | None => {}
                }
            }
            _ => {}
        }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(service) = ctx.caches.get(SERVICES, key) else {
            // The garbage collector takes the slices.
            self.written.remove(key);
            self.made.forget(key);
            return Plan::Done;
        };
        if service.str_at(&["spec", "type"]) == Some("ExternalName") || service.at(&["spec", "selector"]).is_none() {
            self.made.forget(key);
            return Plan::Done;
        }
        let index = format!("{}/{}", key.namespace, key.name);
        let mine = |s: &&Object| s.label(MANAGED_BY) == Some(CONTROLLER) && !s.is_being_deleted();
        let existing: Vec<Object> =
            ctx.caches.store(ENDPOINTSLICES).by_index(SLICES_BY_SERVICE, &index).filter(mine).cloned().collect();
        if self.is_stale(key, &existing) {
            return Plan::retry("EndpointSlice informer cache is out of date");
        }
        let families = slices::families(service);
        let mut changes = slices::Changes::default();
        let (mine, others): (Vec<Object>, Vec<Object>) =
            existing.into_iter().partition(|s| families.contains(&s.str_at(&["addressType"]).unwrap_or("IPv4")));
        let made: Vec<&slices::Endpoint> = {
            let make = |pod: &Object, ports: &mut Vec<Rc<Ports>>| slices::endpoints(service, &families, pod, ports, ctx.caches);
            self.made.renew(service, ctx.caches, make).flatten().collect()
        };
        for family in families {
            let groups = slices::desired(family, &made);
            let existing = mine.iter().filter(|s| s.str_at(&["addressType"]).unwrap_or("IPv4") == family).cloned().collect();
            let of_family = slices::reconcile(service, family, groups, existing, self.max_per_slice);
            changes.create.extend(of_family.create);
            changes.update.extend(of_family.update);
            changes.delete.extend(of_family.delete);
        }
        // A family that the service has no more.
        changes.delete.extend(others);
        let mut calls = Vec::new();
        let why = format!(
            "{key}: creates {}, updates {}, deletes {} slices",
            changes.create.len(),
            changes.update.len(),
            changes.delete.len()
        );
        calls.extend(changes.create.into_iter().map(|s| Request::create(gvr(ENDPOINTSLICES), s)));
        calls.extend(changes.update.into_iter().map(|s| Request::update(gvr(ENDPOINTSLICES), s)));
        calls.extend(changes.delete.iter().map(|s| Request::delete(gvr(ENDPOINTSLICES), &s.key())));
        if calls.is_empty() { Plan::Done } else { Plan::sequence(why, calls, ()) }
    }

    fn resume(&mut self, key: &ObjectKey, (): (), outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<()> {
        for slice in outcomes.iter().filter_map(|o| o.ok()).filter(|o| o.kind() == "EndpointSlice") {
            self.written.entry(key.clone()).or_default().insert(slice.name().into(), slice.revision());
        }
        let Some(error) = failure_but_not_found(outcomes) else { return Plan::Done };
        if outcomes.iter().any(|o| namespace_terminating(o)) {
            return Plan::Done;
        }
        if !outcomes.iter().any(|o| o.is_conflict())
            && let Some(service) = ctx.caches.get(SERVICES, key)
        {
            let message = format!("Error updating Endpoint Slices for Service {key}: {error}");
            ctx.event(service, EventType::Warning, "FailedToUpdateEndpointSlices", &message);
        }
        Plan::Retry(error)
    }
}
