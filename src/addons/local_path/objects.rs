//! What the provisioner creates: helper pods, volumes, events.

use std::rc::Rc;

use apimachinery::{Object, Quantity, Value, value};
use base::Time;

type Text = Rc<str>;

pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const OWN_NODE: &str = "local.path.provisioner/selected-node";

/// A directory on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub node: Text,
    /// The node's label `kubernetes.io/hostname`.
    pub hostname: Text,
    pub path: Text,
}

/// Where a volume that was made here lies.
pub fn place_of(volume: &Object) -> Result<Place, String> {
    let path = volume.str_at(&["spec", "hostPath", "path"]).or_else(|| volume.str_at(&["spec", "local", "path"]));
    let path = path.ok_or("no hostPath or local set")?;
    let node = volume.annotation(OWN_NODE).ok_or("no node affinity set")?;
    if path.trim_matches('/').split('/').count() < 2 {
        return Err(format!("invalid path {path} for deletion: it has no parent directory"));
    }
    Ok(Place { node: node.into(), hostname: node.into(), path: path.into() })
}

pub fn helper_name(volume: &str, is_removal: bool) -> String {
    format!("helper-pod-{}-{volume}", if is_removal { "delete" } else { "create" })
}

/// The pod that makes or removes a directory, from the template of the ConfigMap.
pub fn helper_pod(template: &Value, namespace: &str, volume: &str, about: &Object, is_removal: bool, place: &Place) -> Object {
    let mut pod = template.clone();
    pod.set_at(&["apiVersion"], "v1");
    pod.set_at(&["kind"], "Pod");
    pod.set_at(&["metadata", "name"], helper_name(volume, is_removal));
    pod.set_at(&["metadata", "namespace"], namespace);
    let (parent, _) = place.path.rsplit_once('/').unwrap_or(("/", ""));
    let size = [&["spec", "resources", "requests", "storage"][..], &["spec", "capacity", "storage"][..]];
    let size = size.iter().find_map(|path| Quantity::from_value(about.at(path)?).ok()).map_or(0, |q| q.value());
    let mut spec = pod.get("spec").cloned().unwrap_or_else(Value::map);
    for (field, v) in [
        ("nodeName", Value::from(&place.node)),
        ("serviceAccountName", "local-path-provisioner-service-account".into()),
        ("restartPolicy", "Never".into()),
    ] {
        spec.set_at(&[field], v);
    }
    let mut tolerations = spec.list_at(&["tolerations"]).to_vec();
    tolerations.push(value!({"operator": "Exists"}));
    spec.set_at(&["tolerations"], tolerations);
    let script = if is_removal { "teardown" } else { "setup" };
    let mut volumes = spec.list_at(&["volumes"]).to_vec();
    volumes.push(value!({"name": "script", "configMap": {
        "name": "local-path-config", "items": [{"key": "setup", "path": "setup"}, {"key": "teardown", "path": "teardown"}]
    }}));
    volumes.push(value!({"name": "data", "hostPath": {"path": parent, "type": "DirectoryOrCreate"}}));
    spec.set_at(&["volumes"], volumes);
    let mut containers = spec.list_at(&["containers"]).to_vec();
    if let Some(container) = containers.first_mut() {
        container.set_at(&["command"], vec![Value::from("/bin/sh"), format!("/script/{script}").into()]);
        let args = ["-p", &place.path, "-s", &size.to_string(), "-m", "Filesystem"].map(Value::from);
        container.set_at(&["args"], args.to_vec());
        container.set_at(
            &["env"],
            vec![
                value!({"name": "VOL_DIR", "value": (&place.path)}),
                value!({"name": "VOL_MODE", "value": "Filesystem"}),
                value!({"name": "VOL_SIZE_BYTES", "value": (size.to_string())}),
            ],
        );
        let mut mounts = container.list_at(&["volumeMounts"]).to_vec();
        mounts.push(value!({"name": "script", "mountPath": "/script"}));
        mounts.push(value!({"name": "data", "mountPath": parent}));
        container.set_at(&["volumeMounts"], mounts);
        container.set_at(&["securityContext"], value!({"privileged": true}));
    }
    spec.set_at(&["containers"], containers);
    pod.set_at(&["spec"], spec);
    Object::from_value(pod).expect("a map was built")
}

/// The volume of a claim: on one node only.
pub fn volume(name: &str, claim: &Object, class: Option<&Object>, provisioner: &str, place: &Place) -> Object {
    let policy = class.and_then(|c| c.str_at(&["reclaimPolicy"])).unwrap_or("Delete");
    let terms = value!([{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [(&place.hostname)]}
    ]}]);
    let mut volume = value!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {}},
        "spec": {
            "accessModes": (claim.at(&["spec", "accessModes"]).cloned().unwrap_or_default()),
            "capacity": {"storage": (claim.at(&["spec", "resources", "requests", "storage"]).cloned().unwrap_or_default())},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": (claim.namespace()), "name": (claim.name()),
                "uid": (claim.uid()), "resourceVersion": (claim.resource_version())
            },
            "hostPath": {"path": (&place.path), "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": (claim.str_at(&["spec", "storageClassName"]).unwrap_or("")),
            "volumeMode": "Filesystem"
        }
    });
    volume.set_at(&["metadata", "annotations", OWN_NODE], &place.node);
    volume.set_at(&["metadata", "annotations", "pv.kubernetes.io/provisioned-by"], provisioner);
    Object::from_value(volume).expect("a map was built")
}

/// An event about a claim or volume; `number` makes its name one of its own.
pub fn event(about: &Object, kind: &str, reason: &str, message: &str, source: &str, number: u64, now: Time) -> Object {
    let namespace = if about.namespace().is_empty() { "default" } else { about.namespace() };
    let stamp = now.rfc3339();
    let salt = base::hash64(format!("{}/{number}/{}", about.uid(), now.0).as_bytes());
    let event = value!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": (format!("{}.{salt:016x}", about.name())), "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1", "kind": (about.kind()), "namespace": (about.namespace()), "name": (about.name()),
            "uid": (about.uid()), "resourceVersion": (about.resource_version())
        },
        "type": kind, "reason": reason, "message": message, "count": 1,
        "firstTimestamp": (&stamp), "lastTimestamp": (&stamp),
        "source": {"component": source}, "reportingComponent": source, "reportingInstance": ""
    });
    Object::from_value(event).expect("a map was built")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_leads_back_to_its_place() {
        let claim = value!({
            "metadata": {"name": "data", "namespace": "default", "uid": "u"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "resources": {"requests": {"storage": "1Gi"}}}
        });
        let claim = Object::from_value(claim).expect("a map was built");
        let place = Place { node: "node-1".into(), hostname: "node-1".into(), path: "/opt/x/pvc-u_default_data".into() };
        let volume = volume("pvc-u", &claim, None, "rancher.io/local-path", &place);
        assert_eq!(place_of(&volume), Ok(place.clone()));
        let pod = helper_pod(&value!({"spec": {"containers": [{"name": "h"}]}}), "ns", "pvc-u", &claim, false, &place);
        assert_eq!(pod.name(), "helper-pod-create-pvc-u");
        assert_eq!(pod.str_at(&["spec", "nodeName"]), Some("node-1"));
        assert_eq!(pod.list_at(&["spec", "containers"])[0].list_at(&["args"])[3].as_str(), Some("1073741824"));
    }
}
