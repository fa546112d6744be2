//! The garbage collector: deletes what lost its owners, and carries out foreground and orphaning deletion.
//!
//! Models `pkg/controller/garbagecollector`. `graph.rs` keeps who owns whom, fed by every informer; here are the two kinds of work:
//! *delete* (is the object still wanted?) and *orphan* (let its dependents go). Custom kinds are found by discovery every 30 s.

mod graph;

use std::rc::Rc;

use apimachinery::{Body, Object, PatchType, Request, Value, value};
use base::Duration;
use client_go::Delta;

use crate::custom::{self, Kinds};
use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::refs::release_patch;
use crate::resources::{Caches, Res, TABLE};

use graph::{Graph, Item};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

#[derive(Clone, Default)]
pub struct GarbageCollector {
    graph: Graph,
    queued: Vec<(Key, Duration)>,
}

/// Work about an object, by its uid.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    Delete(Rc<str>),
    Orphan(Rc<str>),
    /// Every 30 s: which kinds are there?
    Discovery,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Delete(uid) | Key::Orphan(uid) => f.write_str(uid),
            Key::Discovery => f.write_str("discovery"),
        }
    }
}

#[derive(Clone)]
pub enum Stage {
    /// The object itself is being looked at.
    Looked(Item),
    /// Owners that the graph doesn't know are being looked at: uid and whether the answer must have it.
    Owners(Item, Object, Vec<Rc<str>>),
    /// Dependents were let go: now the finalizer.
    Released(Item),
    Discovered,
    Last,
}

fn watched() -> &'static [Res] {
    static ALL: std::sync::OnceLock<Vec<Res>> = std::sync::OnceLock::new();
    ALL.get_or_init(|| (0..TABLE.len()).collect())
}

fn has_finalizer(object: &Object, name: &str) -> bool {
    object.finalizers().iter().any(|f| f.as_str() == Some(name))
}

/// A patch that removes one finalizer.
fn without_finalizer(kinds: &Kinds, res: Res, object: &Object, name: &str) -> Request {
    let left: Vec<Value> = object.finalizers().iter().filter(|f| f.as_str() != Some(name)).cloned().collect();
    let patch = value!({"metadata": {"resourceVersion": (object.resource_version()), "finalizers": left}});
    Request::patch(kinds.gvr(res), &object.key(), PatchType::Merge, patch)
}

/// A patch that removes owners. Custom resources have no strategic merge: the whole list is written, if the object is still the same.
fn without_owners(kinds: &Kinds, res: Res, object: &Object, uids: &[Rc<str>]) -> Request {
    let gone = |r: &&Value| uids.iter().any(|uid| *uid_of(r) == **uid);
    let (kind, patch) = match kinds.is_custom(res) {
        true => {
            let left: Vec<Value> = object.owner_references().iter().filter(|r| !gone(r)).cloned().collect();
            let patch = value!({"metadata": {"resourceVersion": (object.resource_version()), "ownerReferences": left, "uid": (object.uid())}});
            (PatchType::Merge, patch)
        }
        false => {
            let refs: Vec<Value> = uids.iter().map(|uid| value!({"$patch": "delete", "uid": uid})).collect();
            (PatchType::StrategicMerge, value!({"metadata": {"ownerReferences": refs, "uid": (object.uid())}}))
        }
    };
    Request::patch(kinds.gvr(res), &object.key(), kind, patch)
}

fn delete(kinds: &Kinds, item: &Item, live: &Object, policy: &str) -> Request {
    let options = value!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy,
        "preconditions": {"uid": (live.uid()), "resourceVersion": (live.resource_version())}
    });
    let body = Object::from_value(options).expect("a map was built");
    Request { body: Body::Object(body), ..Request::delete(kinds.gvr(item.res), &item.key) }
}

fn uid_of(reference: &Value) -> Rc<str> {
    reference.get("uid").and_then(Value::as_rc_str).cloned().unwrap_or_else(|| "".into())
}

impl GarbageCollector {
    fn queue_delete(&mut self, uid: Rc<str>) {
        self.queued.push((Key::Delete(uid), Duration::ZERO));
    }

    /// An object that the graph knows doesn't exist (any more).
    fn gone(&mut self, uid: &Rc<str>) {
        for dependent in self.graph.remove(uid) {
            self.queue_delete(dependent);
        }
    }

    fn looked(&mut self, item: Item, outcome: &Outcome, ctx: &mut Ctx) -> Plan<Stage> {
        let live = outcome.ok().filter(|live| *live.uid() == *item.uid).cloned();
        let Some(live) = live else {
            if outcome.is_not_found() || outcome.ok().is_some() {
                self.gone(&item.uid);
                return Plan::Done;
            }
            return Plan::retry(outcome.message());
        };
        if item.is_virtual {
            // It exists but no informer of ours follows it (or not yet): then it is a solid owner.
            return Plan::Done;
        }
        if self.graph.is_deleting_dependents(&item.uid) && has_finalizer(&live, FOREGROUND) {
            return self.delete_dependents(item, live);
        }
        if live.is_being_deleted() {
            return Plan::Done;
        }
        self.look_at_owners(item, live, ctx)
    }

    /// Foreground deletion: the object goes when no dependent blocks it any more.
    fn delete_dependents(&mut self, item: Item, live: Object) -> Plan<Stage> {
        let blocking = self.graph.blocking_dependents(&item.uid);
        if blocking.is_empty() {
            let call = without_finalizer(&self.graph.kinds, item.res, &live, FOREGROUND);
            return Plan::call(format!("nothing blocks the deletion of {}", item.key), call, Stage::Last);
        }
        for dependent in blocking {
            if !self.graph.is_deleting_dependents(&dependent) {
                self.queue_delete(dependent);
            }
        }
        Plan::Done
    }

    /// Looks up the owners that the graph doesn't show as real.
    fn look_at_owners(&mut self, item: Item, live: Object, ctx: &mut Ctx) -> Plan<Stage> {
        let (mut calls, mut uids) = (Vec::new(), Vec::new());
        for reference in live.owner_references() {
            let uid = uid_of(reference);
            if self.graph.is_absent(&uid) || self.graph.is_real(&uid) {
                continue;
            }
            if let Some((res, key)) = self.graph.place_of(reference, live.namespace()) {
                calls.push(Request::get(self.graph.kinds.gvr(res), &key));
                uids.push(uid);
            }
        }
        if calls.is_empty() {
            return self.decide(item, live, ctx.caches);
        }
        Plan::calls(format!("owners of {}", item.key), calls, Stage::Owners(item, live, uids))
    }

    /// Keeps the object, drops some of its owner references, or deletes it.
    fn decide(&mut self, item: Item, live: Object, _: Caches) -> Plan<Stage> {
        let (mut solid, mut dangling, mut waiting) = (0, Vec::new(), Vec::new());
        for reference in live.owner_references() {
            let uid = uid_of(reference);
            if self.graph.is_absent(&uid) {
                dangling.push(uid);
            } else if self.graph.is_deleting_dependents(&uid) && reference.bool_at(&["blockOwnerDeletion"]) == Some(true) {
                waiting.push(uid);
            } else {
                solid += 1;
            }
        }
        if dangling.is_empty() && waiting.is_empty() {
            return Plan::Done;
        }
        if solid > 0 {
            let uids: Vec<Rc<str>> = dangling.iter().chain(&waiting).cloned().collect();
            let call = without_owners(&self.graph.kinds, item.res, &live, &uids);
            return Plan::call(format!("{} has other owners", item.key), call, Stage::Last);
        }
        let has_dependents = self.graph.has_dependents(&item.uid);
        let policy = match () {
            () if !waiting.is_empty() && has_dependents => "Foreground",
            () if has_finalizer(&live, ORPHAN) => "Orphan",
            () if has_finalizer(&live, FOREGROUND) => "Foreground",
            () => "Background",
        };
        Plan::call(format!("{} has no owner left", item.key), delete(&self.graph.kinds, &item, &live, policy), Stage::Last)
    }

    fn orphan(&mut self, uid: &Rc<str>, caches: Caches) -> Plan<Stage> {
        let Some(item) = self.graph.item(uid) else { return Plan::Done };
        let mut calls = Vec::new();
        for dependent in self.graph.dependents(uid) {
            let Some(place) = self.graph.item(&dependent) else { continue };
            if let Some(object) = caches.get(place.res, &place.key) {
                calls.push(match self.graph.kinds.is_custom(place.res) {
                    true => without_owners(&self.graph.kinds, place.res, object, std::slice::from_ref(uid)),
                    false => release_patch(place.res, object, uid),
                });
            }
        }
        if calls.is_empty() {
            return self.released(item, caches);
        }
        Plan::calls(format!("{} lets {} go", item.key, calls.len()), calls, Stage::Released(item))
    }

    fn released(&mut self, item: Item, caches: Caches) -> Plan<Stage> {
        match caches.get(item.res, &item.key) {
            Some(object) if has_finalizer(object, ORPHAN) => {
                let call = without_finalizer(&self.graph.kinds, item.res, object, ORPHAN);
                Plan::call(format!("{} has let go", item.key), call, Stage::Last)
            }
            _ => Plan::Done,
        }
    }
}

impl Controller for GarbageCollector {
    type Key = Key;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "garbage-collector-controller";
        Info { name, account: "generic-garbage-collector", source: "garbage-collector-controller", workers: 20 }
    }
    fn watches(&self) -> &'static [Res] {
        watched()
    }
    fn start(&mut self, queue: &mut Enqueue<Key>) {
        queue.add(Key::Discovery);
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<Key>) {
        if let (Some(old), Some(new)) = (&delta.old, &delta.new)
            && !graph::changed(old, new)
        {
            return;
        }
        for key in self.graph.apply(res, delta) {
            queue.add(key);
        }
    }
    fn custom_kinds(&self) -> Option<&Kinds> {
        Some(&self.graph.kinds)
    }
    fn wants_custom(&self) -> bool {
        true
    }
    fn take_queued(&mut self) -> Vec<(Key, Duration)> {
        std::mem::take(&mut self.queued)
    }

    fn sync(&mut self, key: &Key, ctx: &mut Ctx) -> Plan<Stage> {
        let uid = match key {
            Key::Orphan(uid) => return self.orphan(&uid.clone(), ctx.caches),
            Key::Discovery => return Plan::sequence("kinds", crate::framework::discovery(), Stage::Discovered),
            Key::Delete(uid) => uid,
        };
        let Some(item) = self.graph.item(uid) else { return Plan::Done };
        if item.is_being_deleted && !self.graph.is_deleting_dependents(uid) {
            return Plan::Done;
        }
        let call = Request::get(self.graph.kinds.gvr(item.res), &item.key);
        let kind = self.graph.kinds.kind(item.res);
        Plan::call(format!("is {kind} {} still wanted?", item.key), call, Stage::Looked(item))
    }

    fn resume(&mut self, _: &Key, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            Stage::Looked(item) => self.looked(item, &outcomes[0], ctx),
            Stage::Owners(item, live, uids) => {
                for (uid, outcome) in uids.iter().zip(outcomes) {
                    let absent = outcome.is_not_found() || outcome.ok().is_some_and(|o| *o.uid() != **uid);
                    if absent {
                        self.gone(uid);
                        self.graph.note_absent(uid);
                    }
                }
                self.decide(item, live, ctx.caches)
            }
            Stage::Released(item) => match failure_but_not_found(outcomes) {
                Some(error) => Plan::Retry(error),
                None => self.released(item, ctx.caches),
            },
            Stage::Discovered => {
                if outcomes.iter().all(|o| o.is_success()) {
                    self.graph.kinds.discovered(custom::found(outcomes));
                }
                Plan::After(Duration::from_secs(30))
            }
            // A conflict means that the object changed since it was looked at: look again.
            Stage::Last => failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry),
        }
    }
}
