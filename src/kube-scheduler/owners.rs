//! The default selector of a pod: its Services' selectors and its controller's together. Models `plugins/helper.DefaultSelector`.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Fields, Value};
use base::Map;
use client_go::Store;

use crate::pod_info::PodInfo;

/// The caches that are asked.
pub struct OwnerStores<'a> {
    pub services: &'a Store,
    pub replica_sets: &'a Store,
    pub stateful_sets: &'a Store,
    pub replication_controllers: &'a Store,
}

/// So many owners are remembered at most.
const KEPT: usize = 1024;

/// Selectors by owner, valid until a Service or a controller comes, goes or changes its selector.
#[derive(Clone, Default)]
pub struct Owners {
    known: Map<Rc<str>, (Value, Option<Selector>)>,
}

impl Owners {
    pub fn forget(&mut self) {
        self.known = Map::default();
    }

    pub fn selector(&mut self, pod: &PodInfo, stores: &OwnerStores) -> Option<Selector> {
        if pod.owner_uid.is_empty() {
            return default_selector(pod, stores);
        }
        if let Some((labels, selector)) = self.known.get(&pod.owner_uid).filter(|(labels, _)| *labels == pod.labels) {
            let _ = labels;
            return selector.clone();
        }
        let selector = default_selector(pod, stores);
        // Jobs come and go without a Service or a controller that is watched here.
        if self.known.len() >= KEPT {
            self.forget();
        }
        self.known.insert(pod.owner_uid.clone(), (pod.labels.clone(), selector.clone()));
        selector
    }
}

/// `None`: nothing selects the pod.
fn default_selector(pod: &PodInfo, stores: &OwnerStores) -> Option<Selector> {
    let namespace = &pod.key.namespace;
    let mut merged = Fields::new();
    for service in stores.services.in_namespace(namespace) {
        let Some(wanted) = service.map_at(&["spec", "selector"]).filter(|s| !s.is_empty()) else { continue };
        if Selector::from_set(wanted).matches(pod.label_fields()) {
            wanted.iter().for_each(|(k, v)| {
                merged.insert(k.clone(), v.clone());
            });
        }
    }
    let mut requirements = Selector::from_set(&merged).requirements().to_vec();
    let store = match &*pod.owner_kind {
        "ReplicaSet" => Some(stores.replica_sets),
        "StatefulSet" => Some(stores.stateful_sets),
        _ => None,
    };
    if let Some(owner) = store.and_then(|s| s.find(namespace, &pod.owner_name)) {
        if let Ok(selector) = Selector::from_label_selector(owner.at(&["spec", "selector"])) {
            requirements.extend(selector.requirements().iter().cloned());
        }
    } else if &*pod.owner_kind == "ReplicationController" {
        let owner = stores.replication_controllers.find(namespace, &pod.owner_name);
        let wanted = owner.and_then(|o| o.map_at(&["spec", "selector"]));
        requirements.extend(wanted.into_iter().flat_map(|w| Selector::from_set(w).requirements().to_vec()));
    }
    (!requirements.is_empty()).then(|| Selector::from_requirements(requirements))
}
