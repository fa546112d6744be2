//! Brings pods' statuses to kube-apiserver: get, patch what differs, and at the end delete. One request at a time per pod; what
//! couldn't be written is tried again. Models `pkg/kubelet/status/status_manager.go`.

use std::rc::Rc;

use apimachinery::{Body, Gvk, Object, ObjectKey, PatchType, Request, Response, Value, patch, resources, schema, value};
use base::{Duration, Map};
use sim::Outbox;

use crate::kubelet::{Call, Kubelet, Wake};

type Text = Rc<str>;

/// How soon a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum StatusCall {
    Get,
    Patch,
    Delete,
}

#[derive(Clone)]
struct Entry {
    key: ObjectKey,
    is_static: bool,
    status: Value,
    /// Something is to be written that isn't yet.
    dirty: bool,
    deletable: bool,
    busy: bool,
}

/// Statuses by pod uid (of static pods: by the manifest's).
#[derive(Clone, Default)]
pub struct StatusManager {
    entries: Map<Text, Entry>,
}

impl Kubelet {
    pub(crate) fn set_status(&mut self, uid: &Text, key: &ObjectKey, is_static: bool, status: Value, out: &mut Outbox) {
        match self.statuses.entries.get_mut(uid) {
            Some(entry) if entry.status == status => return,
            Some(entry) => (entry.status, entry.dirty) = (status, true),
            None => {
                let entry = Entry { key: key.clone(), is_static, status, dirty: true, deletable: false, busy: false };
                self.statuses.entries.insert(uid.clone(), entry);
            }
        }
        self.sync_status(uid, out);
    }

    /// Nothing of the pod is left on the node: its object may go once it says so.
    pub(crate) fn set_deletable(&mut self, uid: &Text, out: &mut Outbox) {
        if let Some(entry) = self.statuses.entries.get_mut(uid) {
            (entry.deletable, entry.dirty) = (true, true);
            self.sync_status(uid, out);
        }
    }

    pub(crate) fn forget_status(&mut self, uid: &Text) {
        self.statuses.entries.remove(uid);
    }

    /// The mirror of a static pod appeared: its status has a place now.
    pub(crate) fn touch_status(&mut self, uid: &Text, out: &mut Outbox) {
        if let Some(entry) = self.statuses.entries.get_mut(uid) {
            entry.dirty = true;
            self.sync_status(uid, out);
        }
    }

    pub(crate) fn sync_status(&mut self, uid: &Text, out: &mut Outbox) {
        if self.informers.get(crate::kubelet::informer::PODS).stream().is_none() {
            // Before the node is registered there is nobody to tell.
            return;
        }
        let Some(entry) = self.statuses.entries.get_mut(uid).filter(|e| e.dirty && !e.busy) else { return };
        entry.busy = true;
        let request = Request::get(resources::pods(), &entry.key);
        self.client.call(request, Call::Status(uid.clone(), StatusCall::Get), out);
    }

    /// All statuses that could not be written before the node was registered.
    pub(crate) fn sync_all_statuses(&mut self, out: &mut Outbox) {
        let uids: Vec<Text> = self.statuses.entries.keys().cloned().collect();
        for uid in uids {
            self.sync_status(&uid, out);
        }
    }

    pub(crate) fn on_status_response(&mut self, uid: &Text, call: StatusCall, response: &Response, out: &mut Outbox) {
        let Some(entry) = self.statuses.entries.get_mut(uid) else { return };
        entry.busy = false;
        match (call, response.ok()) {
            (StatusCall::Get, Some(live)) => self.write_status(uid, live, out),
            (StatusCall::Patch, Some(_)) => self.sync_status(uid, out),
            (StatusCall::Delete, _) => {}
            // Forbidden: the pod was deleted and the node authorizer no longer knows it.
            (_, None) if response.is_not_found() || response.code == 403 => entry.dirty = false,
            (_, None) => {
                entry.dirty = true;
                self.wheel.after(RETRY, Wake::Status(uid.clone()), out.now);
            }
        }
    }

    fn write_status(&mut self, uid: &Text, live: &Object, out: &mut Outbox) {
        let Some(entry) = self.statuses.entries.get_mut(uid) else { return };
        let is_ours = if entry.is_static { is_mirror(live) } else { live.uid() == &**uid };
        entry.dirty = false;
        if !is_ours {
            return;
        }
        if let Some(patch) = status_patch(live, &entry.status) {
            // Once more, in case that the pod may be deleted after it.
            (entry.busy, entry.dirty) = (true, entry.deletable);
            let request = Request::patch_status(resources::pods(), &entry.key, PatchType::StrategicMerge, patch);
            self.client.call(request, Call::Status(uid.clone(), StatusCall::Patch), out);
        } else if entry.deletable && live.is_being_deleted() && !entry.is_static {
            entry.busy = true;
            let (key, uid) = (entry.key.clone(), uid.clone());
            self.delete_pod(&key, live.uid(), Call::Status(uid, StatusCall::Delete), out);
        }
    }

    /// Deletes for good, if it is still the same pod.
    pub(crate) fn delete_pod(&mut self, key: &ObjectKey, uid: &str, call: Call, out: &mut Outbox) {
        let options = value!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
        let mut request = Request::delete(resources::pods(), key);
        request.body = Body::Object(Object::from_value(options).expect("a map was built"));
        self.client.call(request, call, out);
    }
}

/// Whether a pod is the image of a static one.
pub fn is_mirror(pod: &Object) -> bool {
    pod.annotation("kubernetes.io/config.mirror").is_some()
}

/// What to send so that the pod's status reads as wanted; `None`: it does. Conditions that others write stay.
fn status_patch(live: &Object, wanted: &Value) -> Option<Value> {
    let old = live.get("status").cloned().unwrap_or_else(Value::map);
    let mut wanted = wanted.clone();
    let ours = wanted.list_at(&["conditions"]).to_vec();
    let is_kubelets = |c: &Value| {
        matches!(
            c.str_at(&["type"]),
            Some("PodReadyToStartContainers" | "Initialized" | "Ready" | "ContainersReady" | "PodScheduled")
        ) || c.str_at(&["reason"]) == Some("TerminationByKubelet")
    };
    let theirs = old.list_at(&["conditions"]).iter().filter(|c| !is_kubelets(c)).cloned();
    let conditions: Vec<Value> = theirs.chain(ours.into_iter().filter(is_kubelets).map(|c| keep_transition(c, &old))).collect();
    wanted.set_at(&["conditions"], conditions);
    // What the kubelet doesn't write stays.
    for field in ["nominatedNodeName", "resourceClaimStatuses", "extendedResourceClaimStatus"] {
        if let (Some(v), None) = (old.get(field), wanted.get(field)) {
            wanted.set_at(&[field], v);
        }
    }
    if old == wanted {
        return None;
    }
    let ty = schema::of(Gvk::new("", "v1", "Pod"))?;
    // What is null on the wire is not a difference: servers keep or drop it as they like.
    let known = |c: &Value| old.list_at(&["conditions"]).iter().any(|o| o.get("type") == c.get("type"));
    for c in wanted.entry(&["conditions"]).list_mut() {
        if known(c) {
            c.map_mut().retain(|_, v| !v.is_null());
        }
    }
    let mut old = old.clone();
    for c in old.entry(&["conditions"]).list_mut() {
        c.map_mut().retain(|_, v| !v.is_null());
    }
    if old == wanted {
        return None;
    }
    let (before, after) = (value!({"status": old}), value!({"status": wanted}));
    let mut patch = patch::two_way_strategic(&before, &after, &ty).ok()?;
    if patch.is_empty() {
        return None;
    }
    patch.set_at(&["metadata", "uid"], live.uid());
    Some(patch)
}

/// A condition whose status did not change keeps its time.
fn keep_transition(mut c: Value, old: &Value) -> Value {
    let same = |o: &&Value| o.get("type") == c.get("type") && o.get("status") == c.get("status");
    let since = old.list_at(&["conditions"]).iter().find(same).and_then(|o| o.get("lastTransitionTime")).cloned();
    if let Some(since) = since {
        c.set_at(&["lastTransitionTime"], since);
    }
    c
}
