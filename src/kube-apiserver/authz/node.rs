//! The node authorizer: a kubelet may read what its pods need. Models `plugin/pkg/auth/authorizer/node`.
//!
//! Upstream keeps a graph from node to pod to secret; here the pods of the node are looked through, which are few.

use std::rc::Rc;

use apimachinery::{Object, Request, UserInfo, Value, Verb, resources};

use super::{Attributes, Decision};
use crate::server::ApiServer;

/// The node that a user is the kubelet of.
pub fn node_of(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:")?;
    user.groups.iter().any(|g| &**g == "system:nodes").then_some(name)
}

/// The node that a list or watch is limited to by its field selector (or, for nodes themselves, by name).
pub fn selected_node(request: &Request) -> Option<Rc<str>> {
    if !matches!(request.verb, Verb::List | Verb::Watch | Verb::DeleteCollection) {
        return None;
    }
    let text = request.options.field_selector.as_deref()?;
    let value =
        text.split(',').find_map(|term| term.strip_prefix("spec.nodeName=").or_else(|| term.strip_prefix("metadata.name=")))?;
    Some(value.trim_start_matches('=').into())
}

fn allow() -> Decision {
    Decision::Allow("".into())
}
fn no(reason: impl Into<Rc<str>>) -> Decision {
    Decision::NoOpinion(reason.into())
}

impl ApiServer {
    pub(super) fn decide_for_node(&self, node: &str, a: &Attributes) -> Decision {
        let resource = &*a.resource.text();
        let reads = matches!(&*a.verb, "get" | "list" | "watch");
        match (&*a.group, resource) {
            ("", "secrets" | "configmaps") if reads => self.by_reference(node, a, resource),
            ("", "secrets" | "configmaps") => no("node: can only read resources of this type"),
            ("", "persistentvolumeclaims" | "persistentvolumes") if &*a.verb == "get" && a.subresource.is_empty() => {
                self.by_reference(node, a, resource)
            }
            ("resource.k8s.io", "resourceclaims") if &*a.verb == "get" => self.by_reference(node, a, resource),
            ("", "serviceaccounts") if &*a.subresource.text() == "token" => self.token_for(node, a),
            ("coordination.k8s.io", "leases") => lease(node, a),
            ("storage.k8s.io", "csinodes") => own_csi_node(node, a),
            ("", "nodes") if reads => match &*a.verb {
                "get" if *a.name == *node => allow(),
                "get" => no("node: node can only read its own Node object"),
                _ if a.node_selector.as_deref() == Some(node) || *a.name == *node => allow(),
                _ => no("node: can only list/watch own Node object"),
            },
            ("", "pods") if &*a.verb == "get" && a.subresource.is_empty() => self.own_pod(node, a),
            ("", "pods") if matches!(&*a.verb, "list" | "watch") => match a.node_selector.as_deref() {
                Some(n) if n == node => allow(),
                _ => no("node: can only list/watch pods with spec.nodeName field selector"),
            },
            _ if static_rule(a, resource) => allow(),
            _ => no(""),
        }
    }

    fn own_pod(&self, node: &str, a: &Attributes) -> Decision {
        let here =
            self.peek(resources::pods(), &a.namespace, &a.name).is_none_or(|p| p.str_at(&["spec", "nodeName"]) == Some(node));
        if here { allow() } else { no(relationship(node, a)) }
    }

    /// Reading what a pod on the node refers to.
    fn by_reference(&self, node: &str, a: &Attributes, resource: &str) -> Decision {
        let name = if a.name.is_empty() { a.node_selector.as_deref().unwrap_or("") } else { &a.name };
        if name.is_empty() {
            return no("node: No Object name found");
        }
        let found = self.pods_on(node).any(|pod| match resource {
            "persistentvolumes" => self.mounts_volume(pod, name),
            _ => pod.namespace() == &*a.namespace && refers(pod, resource, name),
        });
        if found { allow() } else { no(relationship(node, a)) }
    }

    fn mounts_volume(&self, pod: &Object, volume: &str) -> bool {
        pod.list_at(&["spec", "volumes"]).iter().filter_map(|v| claim_of(pod, v)).any(|claim| {
            let claim = self.peek(resources::persistentvolumeclaims(), pod.namespace(), &claim);
            claim.and_then(|c| c.str_at(&["spec", "volumeName"])) == Some(volume)
        })
    }

    fn token_for(&self, node: &str, a: &Attributes) -> Decision {
        if &*a.verb != "create" {
            return no("node: can only create tokens for individual service accounts");
        }
        let account =
            |pod: &Object| pod.str_at(&["spec", "serviceAccountName"]) == Some(&a.name) && pod.namespace() == &*a.namespace;
        if self.pods_on(node).any(account) { allow() } else { no(relationship(node, a)) }
    }
}

fn relationship(node: &str, _a: &Attributes) -> String {
    format!("node: no relationship found between node '{node}' and this object")
}

fn lease(node: &str, a: &Attributes) -> Decision {
    if !matches!(&*a.verb, "get" | "create" | "update" | "patch" | "delete") {
        return no("node: can only get, create, update, patch, or delete a node lease");
    }
    if &*a.namespace != "kube-node-lease" {
        return no("can only access leases in the \"kube-node-lease\" system namespace".to_string());
    }
    if &*a.verb != "create" && *a.name != *node {
        return no("node: can only access node lease with the same name as the requesting node");
    }
    allow()
}

fn own_csi_node(node: &str, a: &Attributes) -> Decision {
    match &*a.verb {
        "create" => allow(),
        "get" | "update" | "patch" | "delete" if *a.name == *node => allow(),
        _ => no("node: can only access CSINode with the same name as the requesting node"),
    }
}

/// The claim behind a volume of a pod: one that is named, or the one that is made for a generic ephemeral volume.
fn claim_of(pod: &Object, volume: &Value) -> Option<String> {
    match volume.str_at(&["persistentVolumeClaim", "claimName"]) {
        Some(claim) => Some(claim.to_string()),
        None => volume.get("ephemeral").and(volume.str_at(&["name"])).map(|name| format!("{}-{name}", pod.name())),
    }
}

/// Whether a pod names a Secret, ConfigMap, claim anywhere.
fn refers(pod: &Object, resource: &str, name: &str) -> bool {
    let Some(spec) = pod.get("spec") else { return false };
    let is = |v: &Value, path: &[&str]| v.str_at(path) == Some(name);
    let volumes = spec.list_at(&["volumes"]);
    let projected = |v: &Value, member: &str| v.list_at(&["projected", "sources"]).iter().any(|s| is(s, &[member, "name"]));
    let env = |member: &str, from: &str| {
        ["containers", "initContainers", "ephemeralContainers"].iter().flat_map(|l| spec.list_at(&[l])).any(|c| {
            c.list_at(&["env"]).iter().any(|e| is(e, &["valueFrom", member, "name"]))
                || c.list_at(&["envFrom"]).iter().any(|e| is(e, &[from, "name"]))
        })
    };
    match resource {
        "secrets" => {
            volumes.iter().any(|v| is(v, &["secret", "secretName"]) || projected(v, "secret"))
                || spec.list_at(&["imagePullSecrets"]).iter().any(|s| is(s, &["name"]))
                || env("secretKeyRef", "secretRef")
        }
        "configmaps" => {
            volumes.iter().any(|v| is(v, &["configMap", "name"]) || projected(v, "configMap"))
                || env("configMapKeyRef", "configMapRef")
        }
        "persistentvolumeclaims" => volumes.iter().any(|v| claim_of(pod, v).as_deref() == Some(name)),
        "resourceclaims" => pod.list_at(&["status", "resourceClaimStatuses"]).iter().any(|s| is(s, &["resourceClaimName"])),
        _ => false,
    }
}

/// What every node may do anyway. Models `bootstrappolicy.NodeRules`.
fn static_rule(a: &Attributes, resource: &str) -> bool {
    let sub = &*a.subresource.text();
    let verb = &*a.verb;
    let reads = matches!(verb, "get" | "list" | "watch");
    match (&*a.group, resource, sub) {
        ("", "services", "")
        | ("node.k8s.io", "runtimeclasses", "")
        | ("storage.k8s.io", "csidrivers" | "volumeattachments", "") => reads,
        ("", "nodes", "") => matches!(verb, "create" | "update" | "patch"),
        ("", "nodes", "status") => matches!(verb, "update" | "patch"),
        ("", "pods", "") => matches!(verb, "create" | "delete"),
        ("", "pods", "status") => matches!(verb, "update" | "patch"),
        ("", "pods", "eviction") => verb == "create",
        ("", "events", "") | ("events.k8s.io", "events", "") => matches!(verb, "create" | "update" | "patch"),
        ("", "persistentvolumeclaims", "status") => matches!(verb, "get" | "update" | "patch"),
        ("authentication.k8s.io", "tokenreviews", "")
        | ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews", "") => verb == "create",
        ("certificates.k8s.io", "certificatesigningrequests", "") => matches!(verb, "create" | "get" | "list" | "watch"),
        ("certificates.k8s.io", "clustertrustbundles" | "podcertificaterequests", "") => reads,
        ("resource.k8s.io", "resourceslices", "") => matches!(verb, "get" | "list" | "watch" | "deletecollection"),
        _ => false,
    }
}
