//! NodeRestriction: a kubelet changes its own Node and the pods bound to it, and nothing else.

use apimachinery::status::Status;
use apimachinery::{Verb, resources};

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct NodeRestriction;

const MIRROR: &str = "kubernetes.io/config.mirror";

impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }
    fn on_by_default(&self) -> bool {
        false
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        let Some(node) = a.user.name.strip_prefix("system:node:") else { return Ok(()) };
        if !a.user.groups.iter().any(|g| &**g == "system:nodes") {
            return Ok(());
        }
        if a.gvr == resources::pods() {
            pod(server, a, node)
        } else if a.gvr == resources::nodes() {
            own_node(a, node)
        } else if a.gvr == resources::leases() {
            lease(a, node)
        } else if a.gvr == resources::csinodes() && a.object.name() != node && a.verb != Verb::Delete {
            Err(a.forbidden("is not allowed to modify CSINode"))
        } else {
            Ok(())
        }
    }
}

fn pod(server: &ApiServer, a: &Attributes, node: &str) -> Result<(), Status> {
    match (a.verb, &*a.subresource.text()) {
        (Verb::Create, "") => new_pod(server, a, node),
        (Verb::Delete, "") => match a.old.as_ref().and_then(|o| o.str_at(&["spec", "nodeName"])) {
            Some(n) if n == node => Ok(()),
            _ => Err(a.forbidden(format!("node \"{node}\" can only delete pods with spec.nodeName set to itself"))),
        },
        (Verb::Update, "status") => match a.old.as_ref().and_then(|o| o.str_at(&["spec", "nodeName"])) {
            Some(n) if n != node => {
                Err(a.forbidden(format!("node \"{node}\" can only update pod status for pods with spec.nodeName set to itself")))
            }
            _ if a.old.as_ref().and_then(|o| o.labels()) != a.object.labels() => {
                Err(a.forbidden(format!("node \"{node}\" cannot update labels through pod status")))
            }
            _ => Ok(()),
        },
        (Verb::Create, "eviction") => Ok(()),
        (_, sub) => Err(a.forbidden(format!("unexpected pod subresource \"{sub}\", only 'status' and 'eviction' are allowed"))),
    }
}

fn new_pod(server: &ApiServer, a: &Attributes, node: &str) -> Result<(), Status> {
    let pod = &a.object;
    if pod.annotation(MIRROR).is_none() {
        return Err(
            a.forbidden(format!("pod does not have \"{MIRROR}\" annotation, node \"{node}\" can only create mirror pods"))
        );
    }
    if pod.str_at(&["spec", "nodeName"]) != Some(node) {
        return Err(a.forbidden(format!("node \"{node}\" can only create pods with spec.nodeName set to itself")));
    }
    let owners = pod.owner_references();
    let Some(owner) = owners.first().filter(|_| owners.len() == 1) else {
        let what = if owners.is_empty() { "must" } else { "can only" };
        return Err(a.forbidden(format!("node \"{node}\" {what} create pods with an owner reference set to itself")));
    };
    let uid = server.peek(resources::nodes(), "", node).map(|n| n.uid().to_string()).unwrap_or_default();
    if owner.str_at(&["kind"]) != Some("Node") || owner.str_at(&["name"]) != Some(node) || owner.str_at(&["uid"]) != Some(&uid) {
        return Err(a.forbidden(format!("node \"{node}\" can only create pods with an owner reference set to itself")));
    }
    let spec = pod.get("spec");
    if spec.and_then(|s| s.str_at(&["serviceAccountName"])).is_some_and(|n| !n.is_empty()) {
        return Err(a.forbidden(format!("node \"{node}\" can not create pods that reference a service account")));
    }
    Ok(())
}

/// Labels that a kubelet may set on its own node.
fn is_kubelet_label(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else { return true };
    let reserved =
        prefix == "kubernetes.io" || prefix.ends_with(".kubernetes.io") || prefix == "k8s.io" || prefix.ends_with(".k8s.io");
    const ALLOWED: [&str; 12] = [
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "node.kubernetes.io/windows-build",
    ];
    !reserved
        || ALLOWED.contains(&key)
        || prefix == "kubelet.kubernetes.io"
        || prefix.ends_with(".kubelet.kubernetes.io")
        || prefix == "node.kubernetes.io"
        || prefix.ends_with(".node.kubernetes.io")
}

fn own_node(a: &Attributes, node: &str) -> Result<(), Status> {
    let name = if a.name.is_empty() { a.object.name() } else { &a.name };
    if name != node {
        return Err(a.forbidden(format!("node \"{node}\" is not allowed to modify node \"{name}\"")));
    }
    if a.verb == Verb::Delete {
        return Err(a.forbidden(format!("node \"{node}\" cannot delete itself")));
    }
    let before = a.old.as_ref().and_then(|o| o.labels());
    let after = a.object.labels();
    let mut bad: Vec<&str> = Vec::new();
    for (key, value) in after.into_iter().flatten() {
        if before.and_then(|b| b.get(key)) != Some(value) && !is_kubelet_label(key) {
            bad.push(key);
        }
    }
    for (key, _) in before.into_iter().flatten() {
        if after.is_none_or(|l| !l.contains_key(key)) && !is_kubelet_label(key) {
            bad.push(key);
        }
    }
    if !bad.is_empty() && a.verb == Verb::Create {
        return Err(a.forbidden(format!("node \"{node}\" is not allowed to set the following labels: {}", bad.join(", "))));
    }
    if !bad.is_empty() {
        return Err(a.forbidden(format!("is not allowed to modify labels: {}", bad.join(", "))));
    }
    if let Some(old) = a.old.as_ref().filter(|_| a.subresource.is_empty())
        && old.list_at(&["spec", "taints"]) != a.object.list_at(&["spec", "taints"])
    {
        return Err(a.forbidden(format!("node \"{node}\" is not allowed to modify taints")));
    }
    Ok(())
}

fn lease(a: &Attributes, node: &str) -> Result<(), Status> {
    if &*a.namespace != "kube-node-lease" {
        return Err(a.forbidden("can only access leases in the \"kube-node-lease\" system namespace"));
    }
    let name = if a.name.is_empty() { a.object.name() } else { &a.name };
    if name == node { Ok(()) } else { Err(a.forbidden("can only access node lease with the same name as the requesting node")) }
}
