//! What was made of each pod when a service was synced last, so that a sync looks only at the pods that have changed since: a service
//! of many pods is synced again and again while they come up. Only time and memory depend on it.

use std::cell::Cell;
use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Object, ObjectKey, Value, json};
use base::Map;

use super::pods;
use crate::resources::{Caches, candidate_pods};

/// By service.
///
/// A clone takes the memo along, and whoever it was cloned from makes everything anew when it is asked: a controller that works on is
/// cloned from the one in a snapshot, which would keep long lists and old pods otherwise for something that it hardly ever needs.
pub struct Memo<T> {
    services: Cell<Map<ObjectKey, Made<T>>>,
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Memo<T> {
        Memo { services: Cell::new(self.services.take()) }
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Memo<T> {
        Memo { services: Cell::default() }
    }
}

/// Of the pods that come into question, in their order; `None` of those that are no endpoints.
#[derive(Clone)]
struct Made<T> {
    service: Object,
    pods: Vec<(Object, Option<T>)>,
    ports: Vec<Rc<Ports>>,
}

/// Ports as numbers, and the same as text: what endpoints are grouped by. One allocation for all pods of a service that have the same.
pub struct Ports {
    pub text: Rc<str>,
    pub list: Value,
}

impl Ports {
    /// Those of a pod, among the ones that are `known` already.
    pub fn of(service: &Object, pod: &Object, known: &mut Vec<Rc<Ports>>) -> Rc<Ports> {
        let list = Value::from(pods::ports(service, pod));
        if let Some(same) = known.iter().find(|k| k.list == list) {
            return same.clone();
        }
        let ports = Rc::new(Ports { text: json::to_string(&list).into(), list });
        known.push(ports.clone());
        ports
    }
}

impl<T: Clone> Memo<T> {
    /// What is made of the pods that the service selects now. `make` is asked about those that are new or have changed.
    pub fn renew(
        &mut self,
        service: &Object,
        caches: Caches,
        mut make: impl FnMut(&Object, &mut Vec<Rc<Ports>>) -> Option<T>,
    ) -> impl Iterator<Item = &T> {
        let key = service.key();
        let selector = service.map_at(&["spec", "selector"]).map_or_else(Selector::nothing, Selector::from_set);
        let before = self.services.get_mut().remove(&key).filter(|made| made.service.ptr_eq(service));
        let (known, mut ports) = before.map_or_else(Default::default, |made| (made.pods, made.ports));
        let mut known = known.into_iter().peekable();
        let mut renewed = Vec::with_capacity(known.len());
        for pod in candidate_pods(caches, service.namespace(), &selector) {
            // Those that are gone.
            while known.next_if(|(k, _)| !k.ptr_eq(pod) && k.name() < pod.name()).is_some() {}
            match known.next_if(|(k, _)| k.ptr_eq(pod)) {
                Some(same) => renewed.push(same),
                None => {
                    let made = if selector.matches(pod.labels()) { make(pod, &mut ports) } else { None };
                    renewed.push((pod.clone(), made));
                }
            }
        }
        // Ports that no pod has any more.
        ports.retain(|p| Rc::strong_count(p) > 1);
        let made = Made { service: service.clone(), pods: renewed, ports };
        let made = self.services.get_mut().entry(key).or_insert(made);
        made.pods.iter().filter_map(|(_, made)| made.as_ref())
    }

    /// Nobody will ask for this service any more.
    pub fn forget(&mut self, service: &ObjectKey) {
        self.services.get_mut().remove(service);
    }

    /// Something else than pods and services has changed that endpoints tell of.
    pub fn clear(&mut self) {
        self.services.get_mut().clear();
    }
}
