//! The resourcequota controller: reckons what a namespace uses of its quotas. Models `pkg/controller/resourcequota` and `pkg/quota/v1`.
//!
//! Admission raises `status.used` as things are made; this controller brings it down as they go, and reckons all anew every five
//! minutes. Left out: cross-namespace affinity scope, resource claims by device class.

use apimachinery::{Object, ObjectKey, Quantity, Request, Value};
use base::{Duration, Map};
use client_go::{Delta, Store, pods};

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, discovery, failure};
use crate::refs;
use crate::resources::{
    CONFIGMAPS, Caches, PERSISTENTVOLUMECLAIMS, PODS, REPLICATIONCONTROLLERS, RESOURCEQUOTAS, Res, SECRETS, SERVICES, TABLE,
};

const RESYNC: Duration = Duration::from_secs(300);
const DISCOVERY: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
pub struct ResourceQuotaController {}

#[derive(Clone)]
pub enum Stage {
    Discovered,
    Status,
}

/// The plain names that count objects of a resource.
const COUNTED: &[(&str, Res)] = &[
    ("services", SERVICES),
    ("secrets", SECRETS),
    ("configmaps", CONFIGMAPS),
    ("persistentvolumeclaims", PERSISTENTVOLUMECLAIMS),
    ("replicationcontrollers", REPLICATIONCONTROLLERS),
    ("resourcequotas", RESOURCEQUOTAS),
];

/// The resource that `count/deployments.apps` counts.
fn counted(name: &str) -> Option<Res> {
    if let Some((_, res)) = COUNTED.iter().find(|(plain, _)| *plain == name) {
        return Some(*res);
    }
    let (resource, group) = name.strip_prefix("count/").map(|rest| rest.split_once('.').unwrap_or((rest, "")))?;
    TABLE.iter().position(|r| r.resource == resource && r.group == group)
}

/// The cache of the custom resource that `count/widgets.example.com` counts.
fn custom<'a>(name: &str, caches: Caches<'a>) -> Option<&'a Store> {
    let (resource, group) = name.strip_prefix("count/")?.split_once('.')?;
    let informers = (TABLE.len()..caches.0.len()).map(|n| caches.0.get(n));
    informers.filter(|i| i.has_synced()).find(|i| i.gvr.resource == resource && i.gvr.group == group).map(|i| &i.store)
}

/// What one pod asks for: the larger of its containers' sum and its largest init container, and overhead.
fn pod_asks(pod: &Object, kind: &str, resource: &str) -> Quantity {
    let zero = || Quantity::parse("0").expect("0 is one");
    let of = |container: &Value| container.at(&["resources", kind, resource]).and_then(|v| Quantity::from_value(v).ok());
    let mut sum = zero();
    for container in pod.list_at(&["spec", "containers"]) {
        if let Some(q) = of(container) {
            sum += q;
        }
    }
    let (mut sidecars, mut largest) = (zero(), zero());
    for container in pod.list_at(&["spec", "initContainers"]) {
        let q = of(container).unwrap_or_else(zero);
        if container.str_at(&["restartPolicy"]) == Some("Always") {
            sidecars += q;
            largest = largest.max(sidecars);
        } else {
            largest = largest.max(sidecars + q);
        }
    }
    let mut total = (sum + sidecars).max(largest);
    if let Some(overhead) = pod.at(&["spec", "overhead", resource]).and_then(|v| Quantity::from_value(v).ok()) {
        total += overhead;
    }
    total
}

/// Whether a pod counts: ended ones don't, nor those that should be gone by now.
fn pod_counts(pod: &Object, now: base::Time) -> bool {
    let overdue = || {
        let deletion = pod.deletion_timestamp().and_then(base::Time::parse);
        deletion.is_some_and(|at| now > at)
    };
    !pods::is_terminal(pod) && !overdue()
}

fn is_best_effort(pod: &Object) -> bool {
    let lists = ["containers", "initContainers"];
    let containers = lists.iter().flat_map(|list| pod.list_at(&["spec", list]));
    let mut asks = containers.flat_map(|c| [c.at(&["resources", "requests"]), c.at(&["resources", "limits"])]);
    asks.all(|asked| asked.is_none_or(|a| a.get("cpu").is_none() && a.get("memory").is_none()))
}

/// Whether a pod is in the scopes of a quota.
fn in_scope(quota: &Object, pod: &Object) -> bool {
    let plain = quota.list_at(&["spec", "scopes"]).iter().filter_map(Value::as_str).map(|s| (s, "Exists", &[][..]));
    let expressions = quota
        .list_at(&["spec", "scopeSelector", "matchExpressions"])
        .iter()
        .map(|e| (e.str_at(&["scopeName"]).unwrap_or(""), e.str_at(&["operator"]).unwrap_or("Exists"), e.list_at(&["values"])));
    plain.chain(expressions).all(|(scope, operator, values)| {
        let terminating = pod.int_at(&["spec", "activeDeadlineSeconds"]).is_some();
        match scope {
            "Terminating" => terminating,
            "NotTerminating" => !terminating,
            "BestEffort" => is_best_effort(pod),
            "NotBestEffort" => !is_best_effort(pod),
            "PriorityClass" => {
                let class = pod.str_at(&["spec", "priorityClassName"]).unwrap_or("");
                let listed = values.iter().any(|v| v.as_str() == Some(class));
                match operator {
                    "In" => listed,
                    "NotIn" => !listed,
                    "DoesNotExist" => class.is_empty(),
                    _ => !class.is_empty(),
                }
            }
            _ => false,
        }
    })
}

/// What a namespace uses of one resource name; `None` for a name that isn't reckoned here.
fn usage(quota: &Object, name: &str, caches: Caches, now: base::Time) -> Option<Quantity> {
    let namespace = quota.namespace();
    let number = |n: usize| Quantity::parse(&n.to_string()).ok();
    let my_pods = || {
        let all = caches.store(PODS).in_namespace(namespace);
        all.filter(|pod| in_scope(quota, pod)).collect::<Vec<_>>()
    };
    if name == "count/pods" {
        return number(my_pods().len());
    }
    if name == "pods" {
        return number(my_pods().into_iter().filter(|pod| pod_counts(pod, now)).count());
    }
    if let Some(kind) = name.strip_prefix("services.") {
        let services = caches.store(SERVICES).in_namespace(namespace);
        let is = |s: &Object, kind: &str| s.str_at(&["spec", "type"]) == Some(kind);
        return number(match kind {
            "loadbalancers" => services.filter(|s| is(s, "LoadBalancer")).count(),
            _ => services
                .filter(|s| is(s, "NodePort") || is(s, "LoadBalancer"))
                .map(|s| s.list_at(&["spec", "ports"]).iter().filter(|p| p.int_at(&["nodePort"]).unwrap_or(0) > 0).count())
                .sum(),
        });
    }
    if name == "requests.storage" {
        let claims = caches.store(PERSISTENTVOLUMECLAIMS).in_namespace(namespace);
        let asked = claims
            .filter_map(|c| c.at(&["spec", "resources", "requests", "storage"]))
            .filter_map(|v| Quantity::from_value(v).ok());
        return Some(asked.fold(Quantity::parse("0").ok()?, |sum, q| sum + q));
    }
    if let Some(store) = custom(name, caches) {
        return number(store.in_namespace(namespace).count());
    }
    if let Some(res) = counted(name) {
        return number(caches.store(res).in_namespace(namespace).count());
    }
    let (kind, resource) = match name.split_once('.') {
        Some(("requests", resource)) => ("requests", resource),
        Some(("limits", resource)) => ("limits", resource),
        _ if matches!(name, "cpu" | "memory" | "ephemeral-storage") => ("requests", name),
        _ => return None,
    };
    let counting = my_pods().into_iter().filter(|pod| pod_counts(pod, now));
    Some(counting.fold(Quantity::parse("0").ok()?, |sum, pod| sum + pod_asks(pod, kind, resource)))
}

impl Controller for ResourceQuotaController {
    /// A quota; with an empty name the discovery of kinds.
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "resourcequota-controller";
        Info { name, account: name, source: name, workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        static ALL: std::sync::OnceLock<Vec<Res>> = std::sync::OnceLock::new();
        ALL.get_or_init(|| (0..TABLE.len()).filter(|res| TABLE[*res].namespaced).collect())
    }
    fn wants_custom(&self) -> bool {
        true
    }
    fn start(&mut self, queue: &mut Enqueue<ObjectKey>) {
        queue.add(ObjectKey::default());
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        let object = delta.object();
        if res == RESOURCEQUOTAS {
            let same = |a: &Object, b: &Object| a.get("spec") == b.get("spec");
            if !matches!((&delta.old, &delta.new), (Some(a), Some(b)) if same(a, b)) {
                queue.add(object.key());
            }
            return;
        }
        if queue.caches.store(RESOURCEQUOTAS).is_empty() {
            return;
        }
        // Only what frees something: deletions, pods that end, services that change.
        let frees = match (&delta.old, &delta.new) {
            (Some(_), None) => true,
            // A custom kind was found by discovery: its objects have been there before.
            (None, Some(_)) if delta.initial => res >= TABLE.len(),
            (Some(old), Some(new)) if res == PODS => !pods::is_terminal(old) && pods::is_terminal(new),
            (Some(old), Some(new)) if res == SERVICES => old.get("spec") != new.get("spec"),
            _ => false,
        };
        if frees {
            let quotas = queue.caches.store(RESOURCEQUOTAS).in_namespace(object.namespace());
            let keys: Vec<ObjectKey> = quotas.map(Object::key).collect();
            keys.into_iter().for_each(|key| queue.add(key));
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        if key.name.is_empty() {
            return Plan::sequence("kinds", discovery(), Stage::Discovered);
        }
        let Some(quota) = ctx.caches.get(RESOURCEQUOTAS, key).cloned() else { return Plan::Done };
        let hard = quota.map_at(&["spec", "hard"]).cloned().unwrap_or_default();
        let mut used: Map<std::rc::Rc<str>, Value> = Map::default();
        for (name, _) in &hard {
            let known = quota.at(&["status", "used", name]).cloned();
            let value = usage(&quota, name, ctx.caches, ctx.now).map(Value::from).or(known);
            used.insert(name.clone(), value.unwrap_or_else(|| Value::from("0")));
        }
        let mut status = refs::status_of(&quota);
        status.set_at(&["hard"], hard);
        status.set_at(&["used"], used.into_iter().collect::<apimachinery::Fields>());
        if status == refs::status_of(&quota) {
            return Plan::After(RESYNC);
        }
        let call: Request = refs::update_status(RESOURCEQUOTAS, &quota, status);
        Plan::call(format!("{key}: usage changed"), call, Stage::Status)
    }
    fn resume(&mut self, _: &ObjectKey, stage: Stage, outcomes: &[Outcome], _: &mut Ctx) -> Plan<Stage> {
        match (stage, failure(outcomes)) {
            (Stage::Discovered, _) => Plan::After(DISCOVERY),
            (Stage::Status, Some(error)) => Plan::Retry(error),
            (Stage::Status, None) => Plan::After(RESYNC),
        }
    }
}
