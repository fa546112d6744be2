//! A cluster's objects as one YAML text that reads well in Git: ordered by kind, namespace and name, without what only this
//! cluster knows (UIDs, revisions, times, managed fields). Like `kubectl get -o yaml`, `kubectl neat`'s kind of cleaning after it.
//!
//! Left out by name: the versions that a kind is also served in (an object is written as etcd has it).

use std::fmt::Write;

use apimachinery::{Object, Value, yaml};
use base::Sort as _;
use cluster::Cluster;
use etcd_api::{KeyRange, RangeRequest, Stored};

/// What only this cluster knows of an object.
const NOISE: [&str; 6] = ["managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"];
/// Who writes objects without being asked by anybody.
const COMPONENTS: [&str; 7] = ["kube-", "kubelet", "kubeadm", "flannel", "coredns", "system:", "cloud-controller-manager"];

/// All objects, or those that somebody wrote. `None`: no member of etcd runs.
pub(crate) fn yaml(cluster: &Cluster, all: bool) -> Option<String> {
    let member = cluster.etcd_member()?;
    let range = KeyRange { key: "/registry/".into(), end: Some("/registry0".into()) };
    let request = RangeRequest { range, revision: 0, limit: 0, count_only: false, keys_only: false, serializable: true };
    let kvs = member.store().range(&request).ok()?.kvs;
    let stored = kvs.iter().filter_map(|kv| if let Stored::Object(object) = &kv.value { Some(object) } else { None });
    let mut objects: Vec<&Object> = stored.filter(|o| all || is_somebodys(o)).collect();
    let total = objects.len();
    objects.order_by(|a, b| {
        (a.kind(), a.namespace(), a.name(), a.api_version()).cmp(&(b.kind(), b.namespace(), b.name(), b.api_version()))
    });
    let mut out = String::new();
    let what =
        if all { "every object of the cluster" } else { "the objects that somebody wrote (not those that controllers made)" };
    let _ = writeln!(out, "# {total} objects at {}: {what}", cluster.now().rfc3339());
    for object in objects {
        out.push_str("---\n");
        yaml::write(&clean(object, all), &mut out);
    }
    Some(out)
}

/// Whether a person or their tool has written it, and no controller answers for it.
fn is_somebodys(object: &Object) -> bool {
    let metadata = object.value().get("metadata");
    let owned =
        metadata.is_some_and(|m| m.list_at(&["ownerReferences"]).iter().any(|o| o.bool_at(&["controller"]) == Some(true)));
    let events = object.kind() == "Event" || object.kind() == "Lease";
    let by_hand = |entry: &Value| {
        let manager = entry.str_at(&["manager"]).unwrap_or_default();
        entry.str_at(&["subresource"]).is_none() && !COMPONENTS.iter().any(|c| manager.starts_with(c))
    };
    let written = metadata.is_some_and(|m| m.list_at(&["managedFields"]).iter().any(by_hand));
    // The Node of a labelled machine is still the machine's own.
    !owned && !events && written && object.kind() != "Node"
}

fn clean(object: &Object, all: bool) -> Value {
    let mut v = object.value().clone();
    for field in NOISE {
        v.remove_at(&["metadata", field]);
    }
    v.remove_at(&["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]);
    let owners: Vec<Value> = v.list_at(&["metadata", "ownerReferences"]).to_vec();
    if !owners.is_empty() {
        let without: Vec<Value> = owners
            .into_iter()
            .map(|mut o| {
                o.remove_at(&["uid"]);
                o
            })
            .collect();
        v.set_at(&["metadata", "ownerReferences"], without);
    }
    if !all {
        let kind = object.kind().to_string();
        wanted(&mut v, &kind);
    }
    for field in ["annotations", "labels"] {
        if v.map_at(&["metadata", field]).is_some_and(|m| m.is_empty()) {
            v.remove_at(&["metadata", field]);
        }
    }
    v
}

/// Takes away what the cluster added: the rest can be applied to another one.
fn wanted(v: &mut Value, kind: &str) {
    v.remove_at(&["status"]);
    v.remove_at(&["metadata", "annotations", "deployment.kubernetes.io/revision"]);
    match kind {
        "Namespace" => {
            v.remove_at(&["spec"]);
            v.remove_at(&["metadata", "labels", "kubernetes.io/metadata.name"]);
        }
        "Service" if v.str_at(&["spec", "clusterIP"]).is_some_and(|ip| ip != "None") => {
            v.remove_at(&["spec", "clusterIP"]);
            v.remove_at(&["spec", "clusterIPs"]);
        }
        "PersistentVolumeClaim" => {
            v.remove_at(&["spec", "volumeName"]);
            v.remove_at(&["metadata", "annotations", "pv.kubernetes.io/bind-completed"]);
            v.remove_at(&["metadata", "annotations", "pv.kubernetes.io/bound-by-controller"]);
        }
        "Pod" => {
            v.remove_at(&["spec", "nodeName"]);
            without_token(v);
        }
        _ => {}
    }
}

/// The volume with the service account's token is put in again by admission.
fn without_token(v: &mut Value) {
    let is_token = |entry: &Value| entry.str_at(&["name"]).is_some_and(|n| n.starts_with("kube-api-access-"));
    let kept = |v: &Value, path: &[&str]| -> Vec<Value> { v.list_at(path).iter().filter(|e| !is_token(e)).cloned().collect() };
    let volumes = kept(v, &["spec", "volumes"]);
    match volumes.is_empty() {
        true => drop(v.remove_at(&["spec", "volumes"])),
        false => v.set_at(&["spec", "volumes"], volumes),
    }
    for list in ["containers", "initContainers"] {
        let containers: Vec<Value> = v.list_at(&["spec", list]).to_vec();
        if containers.is_empty() {
            continue;
        }
        let without = containers.into_iter().map(|mut c| {
            let mounts = kept(&c, &["volumeMounts"]);
            match mounts.is_empty() {
                true => drop(c.remove_at(&["volumeMounts"])),
                false => c.set_at(&["volumeMounts"], mounts),
            }
            c
        });
        let without: Vec<Value> = without.collect();
        v.set_at(&["spec", list], without);
    }
}
