//! Pods and pod templates: the strategy of `pods`, and the rules that every workload's template shares.
//! Models `pkg/registry/core/pod/strategy.go` and `ValidatePodSpec` of `pkg/apis/core/validation`.
//!
//! Left out: the diff that upstream prints after a refused change of a pod's spec, annotations of AppArmor's and seccomp's past.

pub mod claim;
mod container;
pub mod defaults;
pub mod env;
mod probe;
pub mod resources;
pub mod scheduling;
mod security;
mod spec;
pub mod status;
mod update;
pub mod volume;
mod warnings;

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value};
use base::Duration;

use crate::check;
use crate::edit::edit;
use crate::meta;
use crate::strategy::{Kind, Strategy};

pub use spec::validate_spec;
pub use warnings::template_warnings;

/// What the parts of a pod spec look up in each other.
pub struct Ctx<'a> {
    pub volumes: &'a [Value],
    pub claims: &'a [Value],
    pub host_network: bool,
    pub host_users: bool,
    /// `linux`, `windows` or empty.
    pub os: &'a str,
    pub grace_seconds: i64,
    /// Indices of volumes that are wrong themselves: nothing can refer to them.
    pub bad_volumes: Vec<usize>,
}

impl<'a> Ctx<'a> {
    fn new(spec: &'a Value) -> Ctx<'a> {
        Ctx {
            volumes: spec.list_at(&["volumes"]),
            claims: spec.list_at(&["resourceClaims"]),
            host_network: spec.bool_at(&["hostNetwork"]) == Some(true),
            host_users: spec.bool_at(&["hostUsers"]) != Some(false),
            os: spec.str_at(&["os", "name"]).unwrap_or(""),
            grace_seconds: spec.int_at(&["terminationGracePeriodSeconds"]).unwrap_or(30),
            bad_volumes: Vec::new(),
        }
    }

    fn volume(&self, name: &str) -> Option<&'a Value> {
        let found = |(i, v): &(usize, &Value)| check::text(v, "name") == name && !self.bad_volumes.contains(i);
        self.volumes.iter().enumerate().find(found).map(|(_, v)| v)
    }
}

/// `ValidatePodTemplateSpec`, at `path` (`spec.template`).
pub fn validate_template(template: &Value, path: &Path, errors: &mut ErrorList) {
    check::labels(template.map_at(&["metadata", "labels"]), &path.child("labels"), errors);
    meta::annotations(template.get("metadata").unwrap_or(&Value::Null), path, errors);
    let here = path.child("spec");
    let spec = template.get("spec").unwrap_or(&Value::Null);
    validate_spec(spec, None, &here, errors);
    if !spec.list_at(&["ephemeralContainers"]).is_empty() {
        errors.forbidden(&here.child("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

/// The strategy of `pods`.
pub struct PodStrategy;

static KIND: Kind = Kind {
    graceful: true,
    ..Kind::namespaced("", "pods", "Pod").status().generation().select(&[
        ("spec.nodeName", &["spec", "nodeName"]),
        ("spec.restartPolicy", &["spec", "restartPolicy"]),
        ("spec.schedulerName", &["spec", "schedulerName"]),
        ("spec.serviceAccountName", &["spec", "serviceAccountName"]),
        ("spec.hostNetwork", &["spec", "hostNetwork"]),
        ("status.phase", &["status", "phase"]),
        ("status.podIP", &["status", "podIP"]),
        ("status.nominatedNodeName", &["status", "nominatedNodeName"]),
    ])
};

impl Strategy for PodStrategy {
    fn kind(&self) -> &Kind {
        &KIND
    }

    fn default(&self, obj: &mut Object) {
        edit(obj, defaults::pod);
    }

    fn prepare_for_create(&self, obj: &mut Object) {
        meta::set_first_generation(&KIND, obj);
        scheduling_keys(obj);
        let status = status::initial(obj);
        obj.set_at(&["status"], status);
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        meta::keep_status(&KIND, new, old);
        meta::bump_generation(&KIND, new, old);
    }

    fn validate(&self, obj: &Object, errors: &mut ErrorList) {
        meta::validate(&KIND, obj, errors);
        let path = Path::new("spec");
        let spec = obj.get("spec").unwrap_or(&Value::Null);
        validate_spec(spec, Some(obj.name()), &path, errors);
        if !spec.list_at(&["ephemeralContainers"]).is_empty() {
            errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
        }
        if spec.bool_at(&["hostUsers"]).is_none() && spec.list_at(&["schedulingGates"]).is_empty() {
            return;
        }
        if !spec.list_at(&["schedulingGates"]).is_empty() && !check::text(spec, "nodeName").is_empty() {
            errors.forbidden(&path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
        }
    }

    fn validate_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(&KIND, new, old, errors);
        update::spec(new, old, errors);
    }

    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        warnings::pod(new, old)
    }

    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        status::prepare_update(new, old);
    }

    fn validate_status_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(&KIND, new, old, errors);
        status::validate_update(new, old, errors);
    }

    fn prepare_for_subresource_update(&self, subresource: &str, new: &mut Object, old: &Object) -> bool {
        update::prepare_subresource(subresource, new, old)
    }

    fn validate_subresource_update(&self, subresource: &str, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(&KIND, new, old, errors);
        update::subresource(subresource, new, old, errors);
    }

    /// What was asked for, else the pod's own; none at all for pods that no kubelet has or that are over.
    fn grace_period(&self, obj: &Object, asked: Option<Duration>) -> Option<Duration> {
        let own = obj.int_at(&["spec", "terminationGracePeriodSeconds"]).map(Duration::from_secs);
        let mut period = asked.or(own).unwrap_or(Duration::ZERO);
        let over = matches!(obj.str_at(&["status", "phase"]), Some("Failed" | "Succeeded"));
        if obj.str_at(&["spec", "nodeName"]).unwrap_or("").is_empty() || over {
            period = Duration::ZERO;
        }
        if period < Duration::ZERO {
            period = Duration::from_secs(1);
        }
        Some(period).filter(|p| *p > Duration::ZERO)
    }
}

/// `matchLabelKeys` of (anti-)affinity and spreading become requirements on the pod's own labels.
fn scheduling_keys(obj: &mut Object) {
    let uses = |v: Option<&Value>| {
        v.is_some_and(|v| ["matchLabelKeys", "mismatchLabelKeys"].iter().any(|k| !v.list_at(&[k]).is_empty()))
    };
    let spec = obj.get("spec");
    let affinity = spec.and_then(|s| s.get("affinity"));
    let any = affinity.is_some_and(|a| {
        ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
            a.list_at(&[kind, "requiredDuringSchedulingIgnoredDuringExecution"]).iter().any(|t| uses(Some(t)))
                || a.list_at(&[kind, "preferredDuringSchedulingIgnoredDuringExecution"])
                    .iter()
                    .any(|t| uses(t.get("podAffinityTerm")))
        })
    });
    let spread = spec.is_some_and(|s| s.list_at(&["topologySpreadConstraints"]).iter().any(|c| uses(Some(c))));
    if !any && !spread {
        return;
    }
    let labels = obj.labels().cloned().unwrap_or_default();
    edit(obj, |e| {
        e.sub("spec", |spec| {
            spec.each("topologySpreadConstraints", |c| merge_keys(c, &labels));
            spec.sub("affinity", |a| {
                for kind in ["podAffinity", "podAntiAffinity"] {
                    a.sub(kind, |k| {
                        k.each("requiredDuringSchedulingIgnoredDuringExecution", |t| merge_keys(t, &labels));
                        k.each("preferredDuringSchedulingIgnoredDuringExecution", |t| {
                            t.sub("podAffinityTerm", |t| merge_keys(t, &labels));
                        });
                    });
                }
            });
        });
    });
}

fn merge_keys(term: &mut crate::edit::Edit, labels: &apimachinery::Fields) {
    let mut added = Vec::new();
    for (list, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in term.get(list).map_or(&[][..], Value::items) {
            let Some(value) = key.as_str().and_then(|k| labels.get(k)) else { continue };
            added.push(apimachinery::value!({"key": key, "operator": operator, "values": [value]}));
        }
    }
    if added.is_empty() {
        return;
    }
    term.sub("labelSelector", |s| {
        let mut all = s.get("matchExpressions").map_or(Vec::new(), |v| v.items().to_vec());
        all.extend(added);
        s.set("matchExpressions", all);
    });
}
