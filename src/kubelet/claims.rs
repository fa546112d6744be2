//! What is behind a pod's claims: the claim is read, then its PersistentVolume. Models `desired_state_of_world_populator.go`
//! (`createVolumeSpec`), the node affinity check of `operation_generator.go`, and the volume plugins `host_path` and `local`.
//!
//! Left out by name: CSI, NFS, iSCSI, Fibre Channel and all other network storage: a pod that mounts one is told so by an event.

use std::rc::Rc;

use apimachinery::{Object, Request, Response, Value, resources};
use cri_api::cri::VolumeContent;
use sim::Outbox;

use crate::kubelet::{Call, Kubelet, failure};
use crate::pod_worker::{Cx, Effect, PodWorker};

type Text = Rc<str>;

/// Where the data of a claim is.
#[derive(Clone, Debug)]
pub struct Source {
    /// The PersistentVolume.
    pub volume: Text,
    pub content: VolumeContent,
    /// Of the plugin `local`, whose errors read differently.
    pub is_local: bool,
    /// The claim may only be read through this volume.
    pub read_only: bool,
}

impl Kubelet {
    /// A claim was read: its volume is next, if it has one and this pod may use it.
    pub(crate) fn on_claim_read(&mut self, uid: Text, volume: Text, response: &Response, out: &mut Outbox) {
        let answer = match response.ok() {
            Some(claim) => self.volume_of_claim(&uid, &volume, claim),
            None => Err(failure(response)),
        };
        match answer {
            Ok(name) => {
                let request = Request::get(resources::persistentvolumes(), &apimachinery::ObjectKey::new("", &name));
                self.client.call(request, Call::Volume(uid, volume), out);
            }
            Err(message) => self.with_worker(&uid, out, |w, cx, fx| w.on_persistent_volume(&volume, Err(message), cx, fx)),
        }
    }

    fn volume_of_claim(&self, uid: &Text, volume: &Text, claim: &Object) -> Result<Text, Text> {
        let pod = self.workers.get(uid).map(|w| w.pod.clone()).ok_or("the pod has gone")?;
        let ephemeral =
            pod.list_at(&["spec", "volumes"]).iter().any(|v| v.str_at(&["name"]) == Some(volume) && v.get("ephemeral").is_some());
        if ephemeral && !claim.owner_references().iter().any(|o| o.str_at(&["uid"]) == Some(pod.uid())) {
            let (name, namespace) = (claim.name(), claim.namespace());
            return Err(format!(
                "PVC {namespace}/{name} was not created for pod {}/{} (pod is not owner)",
                pod.namespace(),
                pod.name()
            )
            .into());
        }
        if claim.is_being_deleted() && pod.str_at(&["status", "phase"]) == Some("Pending") {
            return Err("error processing PVC: PVC is being deleted".into());
        }
        let bound = claim.str_at(&["status", "phase"]) == Some("Bound");
        match claim.at(&["spec", "volumeName"]).and_then(Value::as_rc_str).filter(|n| bound && !n.is_empty()) {
            Some(name) => Ok(name.clone()),
            None => Err("error processing PVC: PVC is not bound".into()),
        }
    }
}

impl PodWorker {
    /// The PersistentVolume of a claim is here, or the reason why not.
    pub fn on_persistent_volume(&mut self, volume: &Text, answer: Result<Object, Text>, cx: &Cx, fx: &mut Vec<Effect>) {
        let source = answer.and_then(|pv| source_of(&pv, cx.node));
        self.mounts.claims.insert(volume.clone(), source);
        self.go_on_mounting(cx, fx);
    }
}

fn source_of(pv: &Object, node: Option<&Object>) -> Result<Source, Text> {
    let name: Text = pv.name().into();
    let terms = pv.list_at(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"]);
    if !terms.is_empty() && node.is_some_and(|node| !terms.iter().any(|t| matches_term(t, node))) {
        let text = format!("MountVolume.NodeAffinity check failed for volume \"{name}\" : no matching NodeSelectorTerms");
        return Err(text.into());
    }
    let text = |path: &[&str]| pv.at(path).and_then(Value::as_rc_str).cloned().unwrap_or_default();
    if pv.str_at(&["spec", "volumeMode"]) == Some("Block") {
        let message = format!("MountVolume.SetUp failed for volume \"{name}\" : block volumes are not in this bottle");
        return Err(message.into());
    }
    let (content, is_local) = if pv.at(&["spec", "hostPath"]).is_some() {
        (VolumeContent::HostPath { path: text(&["spec", "hostPath", "path"]), kind: text(&["spec", "hostPath", "type"]) }, false)
    } else if pv.at(&["spec", "local"]).is_some() {
        (VolumeContent::Local { path: text(&["spec", "local", "path"]) }, true)
    } else {
        let kind = pv.get("spec").and_then(Value::as_map).and_then(|m| m.keys().find(|k| is_source(k)).cloned());
        let kind = kind.unwrap_or_else(|| "unknown".into());
        let message = format!("MountVolume.SetUp failed for volume \"{name}\" : volumes of type {kind} are not in this bottle");
        return Err(message.into());
    };
    let modes = pv.list_at(&["spec", "accessModes"]);
    let read_only = !modes.is_empty() && modes.iter().all(|m| m.as_str() == Some("ReadOnlyMany"));
    Ok(Source { volume: name, content, is_local, read_only })
}

/// Members of a PersistentVolume's spec that say where it is.
fn is_source(member: &str) -> bool {
    !matches!(
        member,
        "accessModes"
            | "capacity"
            | "claimRef"
            | "mountOptions"
            | "nodeAffinity"
            | "persistentVolumeReclaimPolicy"
            | "storageClassName"
            | "volumeAttributesClassName"
            | "volumeMode"
    )
}

fn matches_term(term: &Value, node: &Object) -> bool {
    let (expressions, fields) = (term.list_at(&["matchExpressions"]), term.list_at(&["matchFields"]));
    let matches = |e: &Value, actual: Option<&str>| {
        let among = |actual: &str| e.list_at(&["values"]).iter().any(|v| v.as_str() == Some(actual));
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
        let bound = number(e.list_at(&["values"]).first().and_then(Value::as_str));
        match e.str_at(&["operator"]).unwrap_or("") {
            "In" => actual.is_some_and(among),
            "NotIn" => !actual.is_some_and(among),
            "Exists" => actual.is_some(),
            "DoesNotExist" => actual.is_none(),
            "Gt" => number(actual).zip(bound).is_some_and(|(a, b)| a > b),
            "Lt" => number(actual).zip(bound).is_some_and(|(a, b)| a < b),
            _ => false,
        }
    };
    // An empty term matches nothing.
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|e| matches(e, node.label(e.str_at(&["key"]).unwrap_or(""))))
        && fields.iter().all(|e| e.str_at(&["key"]) == Some("metadata.name") && matches(e, Some(node.name())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn volume(spec: Value) -> Object {
        let v = value!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": spec});
        Object::from_value(v).expect("a map was built")
    }
    fn node(name: &str) -> Object {
        let labels = value!({"kubernetes.io/hostname": name});
        let v = value!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
        Object::from_value(v).expect("a map was built")
    }

    #[test]
    fn volumes_are_only_on_the_nodes_of_their_affinity() {
        let affinity = value!({"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}
        ]}});
        let pv = volume(value!({"local": {"path": "/mnt"}, "nodeAffinity": affinity}));
        assert!(source_of(&pv, Some(&node("node-1"))).is_ok_and(|s| s.is_local));
        let error = source_of(&pv, Some(&node("node-2"))).unwrap_err();
        assert_eq!(&*error, "MountVolume.NodeAffinity check failed for volume \"pv\" : no matching NodeSelectorTerms");
    }

    #[test]
    fn what_is_not_modelled_is_refused_by_name() {
        let pv = volume(value!({"nfs": {"server": "a", "path": "/"}, "capacity": {"storage": "1Gi"}}));
        let error = source_of(&pv, None).unwrap_err();
        assert_eq!(&*error, "MountVolume.SetUp failed for volume \"pv\" : volumes of type nfs are not in this bottle");
    }
}
