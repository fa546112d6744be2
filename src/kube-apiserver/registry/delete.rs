//! `delete`: at once, after a grace period, or when the last finalizer is gone. Models `rest.BeforeDelete` and `Store.Delete`.

use apimachinery::status::{self, Status};
use apimachinery::{Object, Value, resources};
use base::{Duration, Time};

use crate::admission::{self, Attributes};
use crate::call::{Answer, Call, Change, Plan, Planned, Write};
use crate::custom::names;
use crate::server::ApiServer;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

impl ApiServer {
    pub(super) fn plan_delete(&mut self, call: &mut Call, current: Option<Object>, now: Time) -> Planned {
        let Some(old) = current else { return Err(self.missing(call)) };
        check_preconditions(call, &old)?;
        let attributes = Attributes::new(call, apimachinery::Verb::Delete, Object::default(), Some(old.clone()));
        admission::validate(self, &attributes, &mut Vec::new(), &mut call.stages)?;
        self.delete_from(call, old, Vec::new(), now)
    }

    /// Deletes or marks `old`. `extra` goes into the same transaction.
    pub(super) fn delete_from(
        &mut self,
        call: &Call,
        old: Object,
        mut extra: Vec<(etcd_api::Compare, etcd_api::Op)>,
        now: Time,
    ) -> Planned {
        let write = |change, answer, extra| {
            let key = self.key_of(call);
            Ok(Plan::Write(Box::new(Write { key, change, base: Some(old.clone()), code: 200, answer, extra, ttl_s: None })))
        };
        let asked = call.delete.grace_period_s.map(Duration::from_secs);
        let graceful = call.resource.kind().graceful || call.resource.gvr == resources::pods();
        let grace = call.stored.strategy.grace_period(&old, asked);
        let finalizers = finalizers_after(call, &old);
        let mut new = old.clone();
        if !finalizers.is_empty() || waits_for_spec_finalizers(&old) {
            mark(&mut new, &old, grace.unwrap_or_default(), now);
            set_finalizers(&mut new, finalizers);
            prepare_namespace(&mut new);
            prepare_definition(&mut new, &old, now);
            if new == old {
                return Ok(self.unchanged(call, old, now));
            }
            new.remove_at(&["metadata", "resourceVersion"]);
            return write(Change::Put(new), Answer::Written, extra);
        }
        if let Some(grace) = grace {
            let before = old.int_at(&["metadata", "deletionGracePeriodSeconds"]);
            if old.is_being_deleted() && before.is_some_and(|b| grace.as_secs() >= b) {
                return Ok(self.unchanged(call, old, now));
            }
            mark(&mut new, &old, grace, now);
            new.remove_at(&["metadata", "resourceVersion"]);
            return write(Change::Put(new), Answer::Written, extra);
        }
        extra.extend(self.release(call, &old));
        if graceful {
            mark(&mut new, &old, Duration::ZERO, now);
        }
        let answer = match returns_object(call) {
            true => Answer::Gone(new),
            false => Answer::Fixed(status::success(call.resource.gvr, &call.name, old.uid())),
        };
        write(Change::Delete, answer, extra)
    }
}

/// Kinds whose deletion answers the object as it was, others answer a Status.
fn returns_object(call: &Call) -> bool {
    matches!(
        &*call.resource.gvr.resource.text(),
        "pods"
            | "services"
            | "serviceaccounts"
            | "persistentvolumes"
            | "persistentvolumeclaims"
            | "resourcequotas"
            | "csinodes"
            | "storageclasses"
            | "volumeattachments"
            | "volumeattributesclasses"
            | "csidrivers"
            | "deviceclasses"
            | "resourceclaims"
            | "resourceclaimtemplates"
            | "resourceslices"
    )
}

/// The uid and resourceVersion that a deletion insists on.
pub(super) fn check_preconditions(call: &Call, old: &Object) -> Result<(), Status> {
    let conflict = |text: String| {
        let (kind, name) = (call.stored.gvk.kind, &call.name);
        let mut status = Status::new(409, "Conflict", format!("Operation cannot be fulfilled on {kind} \"{name}\": {text}"));
        status.details = apimachinery::value!({"name": name, "kind": kind});
        let group = call.resource.gvr.group;
        if !group.is_empty() {
            status.message = status.message.replacen(&kind.to_string(), &format!("{kind}.{group}"), 1);
            status.details.set_at(&["group"], group);
        }
        status
    };
    if let Some(uid) = &call.delete.uid
        && **uid != *old.uid()
    {
        return Err(conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            old.uid()
        )));
    }
    if let Some(rv) = &call.delete.resource_version
        && **rv != *old.resource_version()
    {
        return Err(conflict(format!(
            "the ResourceVersion in the precondition ({rv}) does not match the ResourceVersion in record ({}). The object might have been modified",
            old.resource_version()
        )));
    }
    Ok(())
}

/// Sets the marks of a deletion that waits; a mark that is there may only be shortened.
fn mark(new: &mut Object, old: &Object, grace: Duration, now: Time) {
    let earlier = old.deletion_timestamp().and_then(Time::parse);
    let until = now + grace;
    if earlier.is_none_or(|e| e > until) {
        new.set_at(&["metadata", "deletionTimestamp"], until.rfc3339());
    }
    let before = old.int_at(&["metadata", "deletionGracePeriodSeconds"]);
    let seconds = before.filter(|_| earlier.is_some()).map_or(grace.as_secs(), |b| b.min(grace.as_secs()));
    new.set_at(&["metadata", "deletionGracePeriodSeconds"], seconds);
    if earlier.is_none() && old.generation() > 0 {
        new.set_at(&["metadata", "generation"], old.generation() + 1);
    }
}

/// The finalizers with those of the propagation policy. Models `deletionFinalizersForGarbageCollection`.
fn finalizers_after(call: &Call, old: &Object) -> Vec<Value> {
    let options = &call.delete;
    let policy = options.propagation.as_deref();
    let (orphan, foreground) = match (options.orphan_dependents, policy) {
        (Some(orphan), _) => (orphan, false),
        (_, Some("Orphan")) => (true, false),
        (_, Some("Foreground")) => (false, true),
        (_, Some("Background")) => (false, false),
        _ => {
            let has = |name: &str| old.finalizers().iter().any(|f| f.as_str() == Some(name));
            (has(ORPHAN) || call.resource.kind().orphan_by_default, has(FOREGROUND))
        }
    };
    let mut all: Vec<Value> =
        old.finalizers().iter().filter(|f| !matches!(f.as_str(), Some(ORPHAN | FOREGROUND))).cloned().collect();
    if orphan {
        all.push(Value::sym(ORPHAN));
    }
    if is_definition(old) && !old.is_being_deleted() && !all.iter().any(|f| f.as_str() == Some(names::CLEANUP)) {
        all.push(Value::sym(names::CLEANUP));
    }
    if foreground {
        all.push(Value::sym(FOREGROUND));
    }
    // Nothing is rewritten if it is the same set.
    if all.len() == old.finalizers().len() && old.finalizers().iter().all(|f| all.contains(f)) {
        return old.finalizers().to_vec();
    }
    all
}

fn set_finalizers(object: &mut Object, finalizers: Vec<Value>) {
    if finalizers.is_empty() {
        object.remove_at(&["metadata", "finalizers"]);
    } else if object.finalizers() != &finalizers[..] {
        object.set_at(&["metadata", "finalizers"], finalizers);
    }
}

/// A namespace waits for `spec.finalizers`, which its controller removes by `finalize`.
pub(super) fn waits_for_spec_finalizers(object: &Object) -> bool {
    object.kind() == "Namespace" && object.api_version() == "v1" && !object.list_at(&["spec", "finalizers"]).is_empty()
}

/// A definition waits until its objects are gone. Models the `Delete` of `registry/customresourcedefinition/etcd.go`.
fn prepare_definition(new: &mut Object, old: &Object, now: Time) {
    if !is_definition(new) {
        return;
    }
    new.remove_at(&["metadata", "deletionGracePeriodSeconds"]);
    new.set_at(&["metadata", "generation"], old.generation());
    if !old.is_being_deleted() {
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        names::set_condition(new, names::TERMINATING, "True", "InstanceDeletionPending", message, now);
    }
}

fn is_definition(object: &Object) -> bool {
    object.kind() == "CustomResourceDefinition" && object.api_version() == "apiextensions.k8s.io/v1"
}

fn prepare_namespace(object: &mut Object) {
    if object.kind() == "Namespace" && object.api_version() == "v1" {
        object.set_at(&["status", "phase"], Value::sym("Terminating"));
        object.remove_at(&["metadata", "deletionGracePeriodSeconds"]);
    }
}
