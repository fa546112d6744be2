//! ServiceAccount: every pod runs as one, and gets its token as a volume.

use apimachinery::status::Status;
use apimachinery::{Object, Value, resources, value};
use base::hash64;

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct ServiceAccount;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MIRROR: &str = "kubernetes.io/config.mirror";

thread_local! {
    /// All but the volume's name: one allocation for all pods.
    static PROJECTED: Value = value!({
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
            ]}}
        ],
        "defaultMode": 420
    });
}

impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::pods()) {
            return Ok(());
        }
        if a.object.annotation(MIRROR).is_some() {
            return refuse_in_mirror(a);
        }
        let name = match a.object.str_at(&["spec", "serviceAccountName"]).unwrap_or("") {
            "" => "default".to_string(),
            name => name.to_string(),
        };
        let Some(account) = server.peek(resources::serviceaccounts(), &a.namespace, &name) else {
            let why = format!("error looking up service account {}/{name}: serviceaccount \"{name}\" not found", a.namespace);
            return Err(a.forbidden(why));
        };
        let mounts = should_mount(account, &a.object);
        let pull = account.at(&["imagePullSecrets"]).cloned();
        let pod = &mut a.object;
        if pod.str_at(&["spec", "serviceAccountName"]) != Some(&name) {
            pod.set_at(&["spec", "serviceAccountName"], Value::sym(&name));
            pod.set_at(&["spec", "serviceAccount"], Value::sym(&name));
        }
        if mounts {
            mount_token(server, pod);
        }
        if let Some(secrets) = pull.filter(|s| !s.items().is_empty())
            && pod.list_at(&["spec", "imagePullSecrets"]).is_empty()
        {
            pod.set_at(&["spec", "imagePullSecrets"], secrets);
        }
        Ok(())
    }
}

fn refuse_in_mirror(a: &Attributes) -> Result<(), Status> {
    if !a.object.str_at(&["spec", "serviceAccountName"]).unwrap_or("").is_empty() {
        return Err(a.forbidden("a mirror pod may not reference service accounts"));
    }
    let secret = |v: &Value| v.get("secret").is_some();
    if a.object.list_at(&["spec", "volumes"]).iter().any(secret) {
        return Err(a.forbidden("a mirror pod may not reference secrets"));
    }
    Ok(())
}

fn should_mount(account: &Object, pod: &Object) -> bool {
    let of_pod = pod.bool_at(&["spec", "automountServiceAccountToken"]);
    of_pod.or(account.bool_at(&["automountServiceAccountToken"])).unwrap_or(true)
}

fn has_mount(container: &Value) -> bool {
    container.list_at(&["volumeMounts"]).iter().any(|m| m.str_at(&["mountPath"]) == Some(MOUNT_PATH))
}

/// Adds the volume and a mount to each container that has none at its place.
fn mount_token(server: &ApiServer, pod: &mut Object) {
    let prefix = "kube-api-access-";
    let present = pod
        .list_at(&["spec", "volumes"])
        .iter()
        .filter_map(|v| v.get("name"))
        .find(|n| n.as_str().is_some_and(|n| n.starts_with(prefix)));
    let found = present.cloned();
    let name = found.clone().unwrap_or_else(|| {
        let seed = server.config.seed.derive("kube-api-access");
        format!("{prefix}{}", seed.suffix(hash64(pod.uid().as_bytes()), 5)).into()
    });
    let lists = ["initContainers", "containers"];
    let needs = |pod: &Object| lists.iter().any(|l| pod.list_at(&["spec", l]).iter().any(|c| !has_mount(c)));
    if !needs(pod) {
        return;
    }
    let mount = value!({"name": (&name), "readOnly": true, "mountPath": (Value::sym(MOUNT_PATH))});
    for list in lists {
        if pod.list_at(&["spec", list]).is_empty() {
            continue;
        }
        for container in pod.value_mut().entry(&["spec", list]).list_mut() {
            if !has_mount(container) {
                container.entry(&["volumeMounts"]).list_mut().push(mount.clone());
            }
        }
    }
    if found.is_none() {
        let volume = value!({"name": name, "projected": (PROJECTED.with(Value::clone))});
        pod.value_mut().entry(&["spec", "volumes"]).list_mut().push(volume);
    }
}
