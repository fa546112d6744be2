//! ResourceQuota: what is created is counted, and refused beyond the hard limits.
//!
//! Upstream writes the new usage before the object, in a transaction of its own; here both are one transaction. Counted on
//! creation (and on growth of claims); what is freed the controller counts. Scopes: BestEffort, NotBestEffort, Terminating,
//! NotTerminating, PriorityClass by selector.

use base::Sort as _;
use std::collections::BTreeMap;

use apimachinery::status::Status;
use apimachinery::{Object, Quantity, Value, Verb, resources};

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct ResourceQuota;

type Usage = BTreeMap<String, Quantity>;

impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, extra: &mut Extra) -> Result<(), Status> {
        let claim_grows = a.updates(resources::persistentvolumeclaims());
        let counts = (a.verb == Verb::Create || claim_grows || a.updates(resources::services())) && a.subresource.is_empty();
        if !counts || a.namespace.is_empty() || a.gvr == resources::resourcequotas() {
            return Ok(());
        }
        let mut delta = usage(a, &a.object);
        if let Some(old) = &a.old {
            for (name, before) in usage(a, old) {
                let now = delta.entry(name).or_default();
                *now -= before;
            }
        }
        delta.retain(|_, q| q.sign() > 0 || a.verb == Verb::Create);
        for quota in server.all(resources::resourcequotas(), &a.namespace) {
            if let Some(write) = charge(server, a, quota, &delta)? {
                extra.push(write);
            }
        }
        Ok(())
    }
}

/// Charges one quota; `None`: it is not about this object.
fn charge(
    server: &ApiServer,
    a: &Attributes,
    quota: &Object,
    delta: &Usage,
) -> Result<Option<(etcd_api::Compare, etcd_api::Op)>, Status> {
    let Some(hard) = quota.map_at(&["status", "hard"]) else { return Ok(None) };
    if !in_scope(a, quota) {
        return Ok(None);
    }
    let name = quota.name();
    if a.gvr == resources::pods() {
        let missing = missing_resources(&a.object, hard.keys().map(|k| &**k));
        if !missing.is_empty() {
            return Err(a.forbidden(format!("failed quota: {name}: must specify {}", missing.join("; "))));
        }
    }
    let mut new = quota.clone();
    let (mut over, mut changed) = (Vec::new(), false);
    for (resource, limit) in hard {
        let Some(wanted) = delta.get(&**resource).filter(|q| q.sign() > 0) else { continue };
        let used = quota.at(&["status", "used", resource]).and_then(|v| Quantity::from_value(v).ok()).unwrap_or_default();
        let limit = Quantity::from_value(limit).unwrap_or_default();
        let total = used + *wanted;
        if total > limit {
            over.push((resource, *wanted, used, limit));
        }
        new.value_mut().entry(&["status", "used"]).map_mut().insert(resource.clone(), Value::from(total));
        changed = true;
    }
    if !over.is_empty() {
        let list = |f: &dyn Fn(&(&apimachinery::Key, Quantity, Quantity, Quantity)) -> Quantity| {
            over.iter().map(|o| format!("{}={}", o.0, f(o))).collect::<Vec<_>>().join(",")
        };
        return Err(a.forbidden(format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            list(&|o| o.1),
            list(&|o| o.2),
            list(&|o| o.3)
        )));
    }
    Ok((changed && !a.dry_run).then(|| server.put_beside(resources::resourcequotas(), quota, new)))
}

/// What an object uses, by the names of quota resources.
fn usage(a: &Attributes, object: &Object) -> Usage {
    let mut out = Usage::new();
    let one = || Quantity::parse("1").unwrap_or_default();
    out.insert(format!("count/{}", a.gvr.group_resource()), one());
    let resource = a.gvr.resource.to_string();
    match (&*a.gvr.group.text(), &*resource) {
        ("", "pods") => {
            out.insert("pods".into(), one());
            pod_usage(object, &mut out);
        }
        ("", "services") => service_usage(object, &mut out),
        ("", "persistentvolumeclaims") => claim_usage(object, &mut out),
        ("", "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas") => {
            out.insert(resource, one());
        }
        _ => {}
    }
    out
}

fn pod_usage(pod: &Object, out: &mut Usage) {
    for kind in ["requests", "limits"] {
        let mut sum = Usage::new();
        let of = |c: &Value| -> Vec<(String, Quantity)> {
            let map = c.map_at(&["resources", kind]);
            map.into_iter().flatten().filter_map(|(k, v)| Some((k.to_string(), Quantity::from_value(v).ok()?))).collect()
        };
        for (name, q) in pod.list_at(&["spec", "containers"]).iter().flat_map(of) {
            *sum.entry(name).or_default() += q;
        }
        for (name, q) in pod.list_at(&["spec", "initContainers"]).iter().flat_map(of) {
            let now = sum.entry(name).or_default();
            *now = (*now).max(q);
        }
        for (name, q) in sum {
            if kind == "requests" && matches!(&*name, "cpu" | "memory" | "ephemeral-storage") {
                out.insert(name.clone(), q);
            }
            out.insert(format!("{kind}.{name}"), q);
        }
    }
}

fn service_usage(service: &Object, out: &mut Usage) {
    let number = |n: usize| Quantity::parse(&n.to_string()).unwrap_or_default();
    let ports = service.list_at(&["spec", "ports"]).len();
    let kind = service.str_at(&["spec", "type"]).unwrap_or("ClusterIP");
    let node_ports = match kind {
        "NodePort" => ports,
        "LoadBalancer" if service.bool_at(&["spec", "allocateLoadBalancerNodePorts"]) != Some(false) => ports,
        _ => 0,
    };
    out.insert("services".into(), number(1));
    out.insert("services.nodeports".into(), number(node_ports));
    out.insert("services.loadbalancers".into(), number(usize::from(kind == "LoadBalancer")));
}

fn claim_usage(claim: &Object, out: &mut Usage) {
    let one = Quantity::parse("1").unwrap_or_default();
    let size =
        claim.at(&["spec", "resources", "requests", "storage"]).and_then(|v| Quantity::from_value(v).ok()).unwrap_or_default();
    out.insert("persistentvolumeclaims".into(), one);
    out.insert("requests.storage".into(), size);
    if let Some(class) = claim.str_at(&["spec", "storageClassName"]) {
        out.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
        out.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one);
    }
}

/// `limits.memory for: c`: what the quota counts and the pod's containers don't name.
fn missing_resources<'a>(pod: &Object, hard: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut out = Vec::new();
    for name in hard {
        let (kind, resource) = match name.split_once('.') {
            Some((kind @ ("requests" | "limits"), r)) if matches!(r, "cpu" | "memory") => (kind, r),
            None if matches!(name, "cpu" | "memory") => ("requests", name),
            _ => continue,
        };
        let lists = ["containers", "initContainers"].into_iter().flat_map(|l| pod.list_at(&["spec", l]));
        let lacking: Vec<&str> =
            lists.filter(|c| c.at(&["resources", kind, resource]).is_none()).filter_map(|c| c.str_at(&["name"])).collect();
        if !lacking.is_empty() {
            out.push(format!("{name} for: {}", lacking.join(",")));
        }
    }
    out.order();
    out
}

fn in_scope(a: &Attributes, quota: &Object) -> bool {
    let named = quota.list_at(&["spec", "scopes"]).iter().filter_map(Value::as_str);
    let selected = quota.list_at(&["spec", "scopeSelector", "matchExpressions"]);
    let pod = &a.object;
    let best_effort = || pod.str_at(&["status", "qosClass"]) == Some("BestEffort");
    let terminating = || pod.at(&["spec", "activeDeadlineSeconds"]).is_some();
    let holds = |scope: &str| match scope {
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "Terminating" => terminating(),
        "NotTerminating" => !terminating(),
        _ => true,
    };
    let mut all = named.map(holds).chain(selected.iter().map(|e| {
        let scope = e.str_at(&["scopeName"]).unwrap_or("");
        if scope != "PriorityClass" {
            return holds(scope);
        }
        let class = pod.str_at(&["spec", "priorityClassName"]).unwrap_or("");
        let among = e.list_at(&["values"]).iter().any(|v| v.as_str() == Some(class));
        match e.str_at(&["operator"]) {
            Some("In") => among,
            Some("NotIn") => !among,
            Some("Exists") => !class.is_empty(),
            _ => class.is_empty(),
        }
    }));
    let limited = !quota.list_at(&["spec", "scopes"]).is_empty() || !selected.is_empty();
    !limited || (a.gvr == resources::pods() && all.all(|ok| ok))
}
