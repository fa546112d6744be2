//! What becomes of a definition: names are accepted, it is established, its APIServices come and go, and when it is deleted, its
//! objects are first. Models `apiextensions-apiserver/pkg/controller/{status,establish,finalizer}` and
//! `kube-aggregator`'s registration of definitions.
//!
//! Each change of a definition is looked at when it comes back from etcd. What is to be written goes the way of every request, as
//! the server's own user; a write that lost a race is made again by the change that won it.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, UserInfo, Verb, value};
use base::{Duration, TextMap, TextSet, Time};
use etcd_api::{Key, KeyRange, Op, Stored, TxnRequest};
use sim::{Addr, Outbox, Payload};

use super::names;
use crate::call::{Origin, Pending};
use crate::etcd_client::unchanged;
use crate::server::{ApiServer, timer};

/// How often a deletion looks whether the objects are gone. Models `crd_finalizer.go`.
const POLL: Duration = Duration::from_secs(5);
/// When objects are still there, their deletion is ordered again after this.
const ORDER_AGAIN: Duration = Duration::from_secs(60);
const AGENT: &str = "kube-apiserver/v1.37.2";

fn definitions() -> apimachinery::Gvr {
    apimachinery::Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

fn apiservices() -> apimachinery::Gvr {
    apimachinery::Gvr::new("apiregistration.k8s.io", "v1", "apiservices")
}

/// The server's own user.
fn own_user() -> Rc<UserInfo> {
    thread_local!(static USER: Rc<UserInfo> = Rc::new(UserInfo::new("system:apiserver", &["system:masters", "system:authenticated"])));
    USER.with(Rc::clone)
}

impl ApiServer {
    /// The watch cache has a definition's new state; `None`: it is gone.
    pub(crate) fn definition_changed(&mut self, name: &str, new: Option<&Object>, now: Time, out: &mut Outbox) {
        let Some(crd) = new else { return self.definition_gone(name, now, out) };
        let (fresh, changed) = self.customs.put(crd, self.scheme.storages.len());
        if let Some(storage) = fresh {
            self.caches.add(storage);
            self.load(storage, now, out);
        } else if changed {
            self.end_watches(name, out);
        }
        if self.is_ready() {
            self.look_at_definition(name, now, out);
        }
    }

    /// The watch cache of definitions was filled.
    pub(crate) fn definitions_loaded(
        &mut self,
        old: &TextMap<Key, Object>,
        fresh: &TextMap<Key, Object>,
        now: Time,
        out: &mut Outbox,
    ) {
        for (key, crd) in old {
            if !fresh.contains_key(&**key) {
                self.definition_changed(crd.name(), None, now, out);
            }
        }
        for crd in fresh.values() {
            self.definition_changed(crd.name(), Some(crd), now, out);
        }
    }

    /// Looks at all definitions: when the server is ready, and from time to time while some are being deleted.
    pub(crate) fn look_at_definitions(&mut self, now: Time, out: &mut Outbox) {
        self.customs.disarm();
        let names: Vec<Rc<str>> = self.customs.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.look_at_definition(&name, now, out);
        }
    }

    fn definition_gone(&mut self, name: &str, now: Time, out: &mut Outbox) {
        self.end_watches(name, out);
        let Some(gone) = self.customs.remove(name) else { return };
        let storage = gone.storage();
        self.caches.remove(storage);
        self.ask(etcd_api::Request::CancelWatch { watch_id: storage as u64 }, Pending::Ignored, now, out);
        self.register(&gone.object, now, out);
        // Others of the group may have wanted its names.
        let group = gone.object.str_at(&["spec", "group"]).unwrap_or("").to_string();
        let same = |d: &super::Definition| d.object.str_at(&["spec", "group"]) == Some(&group);
        let others: Vec<Rc<str>> = self.customs.iter().filter(|(_, d)| same(d)).map(|(n, _)| n.clone()).collect();
        for other in others {
            self.look_at_definition(&other, now, out);
        }
    }

    /// Watches of resources that are no longer what they were end.
    fn end_watches(&mut self, name: &str, out: &mut Outbox) {
        let Some(storage) = self.customs.get(name).map(super::Definition::storage) else { return };
        for id in self.watchers.of_storage(storage) {
            if let Some(w) = self.watchers.remove(id) {
                if !w.ready.is_empty() {
                    out.watch_events(w.client, w.stream, w.ready);
                }
                out.send(w.client, Payload::StreamEnd { id: w.stream });
            }
        }
    }

    fn look_at_definition(&mut self, name: &str, now: Time, out: &mut Outbox) {
        let Some(definition) = self.customs.get(name).cloned() else { return };
        let crd = &definition.object;
        if crd.is_being_deleted() {
            if crd.finalizers().iter().any(|f| f.as_str() == Some(names::CLEANUP)) {
                self.clean_up(name, &definition, now, out);
            }
            return;
        }
        let group = crd.str_at(&["spec", "group"]);
        let others = self.customs.iter().filter(|(n, d)| &***n != name && d.object.str_at(&["spec", "group"]) == group);
        let accepted = names::accept(crd, others.map(|(_, d)| &d.object), now);
        if accepted.get("status") != crd.get("status") {
            return self.write_definition(accepted, now, out);
        }
        if names::is_true(crd, names::NAMES_ACCEPTED) && !names::is_true(crd, names::ESTABLISHED) {
            let mut new = crd.clone();
            let message = "the initial names have been accepted";
            names::set_condition(&mut new, names::ESTABLISHED, "True", "InitialNamesAccepted", message, now);
            return self.write_definition(new, now, out);
        }
        self.register(crd, now, out);
    }

    /// Deletes the objects of a definition that is being deleted, and lets it go when none is left.
    fn clean_up(&mut self, name: &str, definition: &super::Definition, now: Time, out: &mut Outbox) {
        let mut new = definition.object.clone();
        let reason = names::condition(&new, names::TERMINATING).and_then(|c| c.str_at(&["reason"])).unwrap_or("").to_string();
        if !names::is_true(&new, names::ESTABLISHED) {
            let message = "resource was never established";
            names::set_condition(&mut new, names::TERMINATING, "False", "NeverEstablished", message, now);
            return self.let_go(new, now, out);
        }
        if reason != "InstanceDeletionInProgress" {
            let message = "CustomResource deletion is in progress";
            names::set_condition(&mut new, names::TERMINATING, "True", "InstanceDeletionInProgress", message, now);
            return self.write_definition(new, now, out);
        }
        if self.caches[definition.storage()].objects.is_empty() {
            names::set_condition(
                &mut new,
                names::TERMINATING,
                "False",
                "InstanceDeletionCompleted",
                "removed all instances",
                now,
            );
            return self.let_go(new, now, out);
        }
        if definition.ordered.is_none_or(|at| now - at >= ORDER_AGAIN) {
            self.order_deletion(name, definition, now, out);
        }
        self.arm_definitions(POLL, out);
    }

    /// One deletion of a collection for each namespace that has objects.
    fn order_deletion(&mut self, name: &str, definition: &super::Definition, now: Time, out: &mut Outbox) {
        if let Some(known) = self.customs.get_mut(name) {
            known.ordered = Some(now);
        }
        let Some(resource) = definition.resources().first().cloned() else { return };
        let objects = self.caches[definition.storage()].objects.values();
        let namespaces: TextSet<Rc<str>> = objects.map(|o| o.key().namespace).collect();
        for namespace in &namespaces {
            self.own_request(Request { verb: Verb::DeleteCollection, ..Request::list(resource.gvr, namespace) }, now, out);
        }
    }

    /// An object of a definition that is being deleted has gone: perhaps it was the last.
    pub(crate) fn custom_objects_gone(&mut self, storage: usize, now: Time, out: &mut Outbox) {
        let Some(name) = self.customs.of_storage(storage).cloned() else { return };
        let Some(definition) = self.customs.get(&name) else { return };
        // Only right after the order: later the look comes by the clock, as upstream's.
        let soon = definition.ordered.is_some_and(|at| now - at < Duration::from_secs(1));
        if soon && definition.object.is_being_deleted() && self.caches[storage].objects.is_empty() {
            self.look_at_definition(&name, now, out);
        }
    }

    fn let_go(&mut self, mut crd: Object, now: Time, out: &mut Outbox) {
        let left: Vec<_> = crd.finalizers().iter().filter(|f| f.as_str() != Some(names::CLEANUP)).cloned().collect();
        match left.is_empty() {
            true => drop(crd.remove_at(&["metadata", "finalizers"])),
            false => crd.set_at(&["metadata", "finalizers"], left),
        }
        self.write_definition(crd, now, out);
    }

    fn write_definition(&mut self, crd: Object, now: Time, out: &mut Outbox) {
        self.own_request(Request::update_status(definitions(), crd), now, out);
    }

    /// A request of the server to itself.
    pub(crate) fn own_request(&mut self, mut request: Request, now: Time, out: &mut Outbox) {
        request.user_agent = AGENT.into();
        let cause = out.handling;
        match self.new_call(now, cause, Addr::OUTSIDE, 0, &Rc::new(request), own_user()) {
            Ok(mut call) => {
                call.origin = Origin::Own;
                self.dispatch(Box::new(call), now, out);
            }
            Err(_) => self.arm_definitions(POLL, out),
        }
    }

    /// One of the server's own requests has been answered. A conflict needs nothing: the change that won is on its way.
    pub(crate) fn own_request_done(&mut self, code: u16, out: &mut Outbox) {
        if code >= 500 {
            self.arm_definitions(Duration::from_secs(1), out);
        }
    }

    fn arm_definitions(&mut self, delay: Duration, out: &mut Outbox) {
        if self.customs.arm() {
            out.timer(delay, timer::DEFINITIONS);
        }
    }

    /// Sees to it that each group version that is served has its APIService, and no other of the definition's has.
    fn register(&mut self, crd: &Object, now: Time, out: &mut Outbox) {
        let group = crd.str_at(&["spec", "group"]).unwrap_or("").to_string();
        for version in crd.list_at(&["spec", "versions"]).iter().filter_map(|v| v.str_at(&["name"])) {
            let name = format!("{version}.{group}");
            let key = ObjectKey::new("", &name);
            let known = self.peek(apiservices(), "", &name).cloned();
            let served = self.customs.has_group_version(group.as_str().into(), version.into());
            match known {
                None if served => self.create_apiservice(&name, &group, version, now, out),
                Some(o) if !served && o.label("kube-aggregator.kubernetes.io/automanaged") == Some("true") => {
                    self.own_request(Request::delete(apiservices(), &key), now, out);
                }
                _ => {}
            }
        }
    }

    fn create_apiservice(&mut self, name: &str, group: &str, version: &str, now: Time, out: &mut Outbox) {
        let Some(storage) = self.scheme.storage(apiservices()) else { return };
        let key = self.storage(storage).key("", name);
        let n = self.draw();
        let uid = self.config.seed.derive("uid").uuid(n);
        let object = value!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {
                "name": name, "uid": uid, "creationTimestamp": (now.rfc3339()),
                "labels": {"kube-aggregator.kubernetes.io/automanaged": "true"}
            },
            "spec": {"group": group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 100},
            "status": {"conditions": [{
                "type": "Available", "status": "True", "reason": "Local", "message": "Local APIServices are always available",
                "lastTransitionTime": (now.rfc3339())
            }]}
        });
        let object = Object::from_value(object).expect("a map was built");
        let txn = TxnRequest {
            compare: vec![unchanged(&key, 0)],
            success: vec![Op::Put { key: key.clone(), value: Stored::Object(object), lease: 0 }],
            failure: vec![Op::Range(crate::etcd_client::range_of(KeyRange::one(key)))],
        };
        self.ask(etcd_api::Request::Txn(txn), Pending::Ignored, now, out);
    }
}
