//! Pods: binding to a node, and eviction within the limits of disruption budgets.

use apimachinery::status::Status;
use apimachinery::{Gvr, Object, Value, key, labels, resources, value};
use base::Time;
use etcd_api::{Compare, Op, Stored};

use super::delete::check_preconditions;
use crate::call::{Answer, Call, Change, Plan, Planned, Write};
use crate::codec::DeleteOptions;
use crate::etcd_client::unchanged;
use crate::server::ApiServer;

fn created() -> Object {
    let v = value!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "code": 201});
    Object::from_value(v).expect("a map was built")
}

impl ApiServer {
    /// Models `BindingREST.setPodNodeAndMetadata`.
    pub(super) fn plan_binding(&mut self, call: &mut Call, current: Option<Object>, now: Time) -> Planned {
        let binding = call.body.clone().unwrap_or_default();
        if binding.name() != &*call.name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let node = binding.at(&["target", "name"]).and_then(Value::as_rc_str).cloned().unwrap_or_else(|| key(""));
        let kind = binding.str_at(&["target", "kind"]).unwrap_or("");
        if !matches!(kind, "" | "Node") {
            let text = format!("target.kind: Unsupported value: \"{kind}\": supported values: \"Node\", \"<empty>\"");
            return Err(Status::new(500, "", text));
        }
        if node.is_empty() {
            return Err(Status::new(500, "", "target.name: Required value"));
        }
        let Some(old) = current else { return Err(Status::not_found(resources::pods(), &call.name)) };
        check_bindable(call, &binding, &old)?;
        let mut new = old.clone();
        new.set_at(&["spec", "nodeName"], node);
        for part in ["labels", "annotations"] {
            for (k, v) in binding.map_at(&["metadata", part]).into_iter().flatten() {
                new.value_mut().entry(&["metadata", part]).map_mut().insert(k.clone(), v.clone());
            }
        }
        set_scheduled(&mut new, now);
        new.remove_at(&["metadata", "resourceVersion"]);
        Ok(Plan::Write(Box::new(Write {
            key: self.key_of(call),
            change: Change::Put(new),
            base: Some(old),
            code: 201,
            answer: Answer::Fixed(created()),
            extra: Vec::new(),
            ttl_s: None,
        })))
    }

    /// Models `EvictionREST.Create`: the budget is debited in the transaction that deletes the pod.
    pub(super) fn plan_eviction(&mut self, call: &mut Call, current: Option<Object>, now: Time) -> Planned {
        let eviction = call.body.clone().unwrap_or_default();
        if eviction.name() != &*call.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let Some(pod) = current else { return Err(Status::not_found(resources::pods(), &call.name)) };
        let text = |path: &[&str]| eviction.at(path).and_then(Value::as_rc_str).cloned();
        call.delete = DeleteOptions {
            grace_period_s: eviction.int_at(&["deleteOptions", "gracePeriodSeconds"]),
            uid: text(&["deleteOptions", "preconditions", "uid"]),
            resource_version: text(&["deleteOptions", "preconditions", "resourceVersion"]),
            propagation: text(&["deleteOptions", "propagationPolicy"]),
            orphan_dependents: None,
            dry_run: !eviction.list_at(&["deleteOptions", "dryRun"]).is_empty(),
        };
        let free = matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed" | "Pending")) || pod.is_being_deleted();
        let extra = if free { Vec::new() } else { self.debit_budget(&pod, now)? };
        check_preconditions(call, &pod)?;
        let mut target = pod.clone();
        target.set_at(&["status"], with_disruption_target(&pod, now));
        Ok(match self.delete_from(call, target, extra, now)? {
            Plan::Write(mut write) => {
                write.base = Some(pod);
                (write.code, write.answer) = (201, Answer::Fixed(created()));
                Plan::Write(write)
            }
            Plan::Answer(_) => Plan::Answer(apimachinery::Response::object(201, created())),
        })
    }

    fn debit_budget(&self, pod: &Object, now: Time) -> Result<Vec<(Compare, Op)>, Status> {
        let selects = |budget: &&Object| {
            labels::Selector::from_label_selector(budget.at(&["spec", "selector"])).is_ok_and(|s| s.matches(pod.labels()))
        };
        let mut budgets = self.all(resources::poddisruptionbudgets(), pod.namespace()).filter(selects);
        let Some(budget) = budgets.next() else { return Ok(Vec::new()) };
        if budgets.next().is_some() {
            let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::new(500, "", text));
        }
        let ready = pod.condition_is_true("Ready");
        let status = |name: &str| budget.int_at(&["status", name]).unwrap_or(0);
        if !ready
            && (status("currentHealthy") >= status("desiredHealthy") && status("desiredHealthy") > 0
                || budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) == Some("AlwaysAllow"))
        {
            return Ok(Vec::new());
        }
        if status("observedGeneration") < budget.generation() {
            let mut s = too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.");
            s.details = value!({"retryAfterSeconds": 10, "causes": [{
                "reason": "DisruptionBudget",
                "message": (format!("The disruption budget {} is still being processed by the server.", budget.name()))
            }]});
            return Err(s);
        }
        if status("disruptionsAllowed") <= 0 {
            let mut s = too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.");
            s.details = value!({"causes": [{
                "reason": "DisruptionBudget",
                "message": (format!(
                    "The disruption budget {} needs {} healthy pods and has {} currently",
                    budget.name(), status("desiredHealthy"), status("currentHealthy")
                ))
            }]});
            return Err(s);
        }
        let mut new = budget.clone();
        new.set_at(&["status", "disruptionsAllowed"], status("disruptionsAllowed") - 1);
        new.value_mut().entry(&["status", "disruptedPods"]).map_mut().insert(pod.name().into(), now.rfc3339_shared());
        Ok(vec![self.put_beside(resources::poddisruptionbudgets(), budget, new)])
    }

    /// A write of another object in the same transaction.
    pub(crate) fn put_beside(&self, gvr: Gvr, old: &Object, mut new: Object) -> (Compare, Op) {
        let storage = self.scheme.storage(gvr).expect("a stored resource");
        let key = self.scheme.storages[storage].key(old.namespace(), old.name());
        new.remove_at(&["metadata", "resourceVersion"]);
        (unchanged(&key, old.revision()), Op::Put { key: key.clone(), value: Stored::Object(new), lease: 0 })
    }
}

fn too_many_requests(message: &str) -> Status {
    Status::new(429, "TooManyRequests", message)
}

fn check_bindable(call: &Call, binding: &Object, pod: &Object) -> Result<(), Status> {
    let uid = binding.uid();
    if !uid.is_empty() && uid != pod.uid() {
        let text = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/pods/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            pod.key(),
            pod.uid()
        );
        return Err(Status::conflict(resources::pods(), &call.name, &text));
    }
    let name = pod.name();
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or("");
    let why = if pod.is_being_deleted() {
        format!("pod {name} is being deleted, cannot be assigned to a host")
    } else if !node.is_empty() {
        format!("pod {name} is already assigned to node \"{node}\"")
    } else if !pod.list_at(&["spec", "schedulingGates"]).is_empty() {
        format!("pod {name} has non-empty .spec.schedulingGates")
    } else {
        return Ok(());
    };
    Err(Status::conflict(Gvr::new("", "v1", "pods/binding"), &call.name, &why))
}

fn set_scheduled(pod: &mut Object, now: Time) {
    let condition = value!({
        "type": "PodScheduled", "status": (Value::sym("True")), "lastProbeTime": null, "lastTransitionTime": (now.rfc3339_shared())
    });
    put_condition(pod.value_mut().entry(&["status"]), condition);
}

fn put_condition(status: &mut Value, condition: Value) {
    let conditions = status.entry(&["conditions"]).list_mut();
    match conditions.iter_mut().find(|c| c.get("type") == condition.get("type")) {
        Some(place) => *place = condition,
        None => conditions.push(condition),
    }
}

/// The status of a pod that is evicted.
fn with_disruption_target(pod: &Object, now: Time) -> Value {
    let mut status = pod.get("status").cloned().unwrap_or_default();
    put_condition(
        &mut status,
        value!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
            "lastProbeTime": null, "lastTransitionTime": (now.rfc3339_shared())
        }),
    );
    status
}
