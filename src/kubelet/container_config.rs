//! From a container's spec to what the runtime is asked to make. Models `generateContainerConfig` and `makeEnvironmentVariables`.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Quantity, Value};
use cri_api::cri::{ContainerConfig, Mount};

use crate::downward::{self, Addresses};
use crate::expansion::expand;
use crate::pod::Spec;
use crate::pod_worker::{Cx, PodWorker};
use crate::references::{Lookup, RefKind, entries};
use crate::volumes::volume_id;

type Text = Rc<str>;

/// The error is the message of CreateContainerConfigError.
pub fn build(cx: &Cx, worker: &PodWorker, spec: &Spec, attempt: u32) -> Result<ContainerConfig, String> {
    let env = environment(cx, worker, spec)?;
    let lookup = |name: &str| env.get(name).map(|v| v.to_string());
    let words = |field: &str| -> Vec<Text> {
        spec.value.list_at(&[field]).iter().filter_map(Value::as_str).map(|w| expand(w, &lookup).into()).collect()
    };
    let security = |field: &str| {
        let own = spec.value.at(&["securityContext", field]);
        own.or_else(|| worker.pod.at(&["spec", "securityContext", field]))
    };
    let limit = |name: &str| spec.value.at(&["resources", "limits", name]).and_then(|q| Quantity::from_value(q).ok());
    let flag = |field: &str| spec.value.bool_at(&[field]) == Some(true);
    let groups = worker.pod.list_at(&["spec", "securityContext", "supplementalGroups"]).iter().filter_map(Value::as_i64);
    Ok(ContainerConfig {
        name: spec.name.clone(),
        attempt,
        image: spec.text("image"),
        command: words("command"),
        args: words("args"),
        working_dir: spec.text("workingDir"),
        mounts: mounts(worker, spec, &lookup),
        env: env.into_iter().collect(),
        tty: flag("tty"),
        stdin: flag("stdin"),
        stdin_once: flag("stdinOnce"),
        run_as_user: security("runAsUser").and_then(Value::as_i64),
        run_as_group: security("runAsGroup").and_then(Value::as_i64),
        supplemental_groups: groups.chain(worker.pod.int_at(&["spec", "securityContext", "fsGroup"])).collect(),
        run_as_non_root: security("runAsNonRoot").and_then(Value::as_bool) == Some(true),
        read_only_rootfs: spec.value.bool_at(&["securityContext", "readOnlyRootFilesystem"]) == Some(true),
        privileged: spec.value.bool_at(&["securityContext", "privileged"]) == Some(true),
        memory_limit: limit("memory").map_or(0, |q| q.value()),
        disk_limit: limit("ephemeral-storage").map_or(0, |q| q.value()),
        pod_disk_limit: crate::eviction::pod_disk_limit(&worker.pod).map_or(0, |q| q.value()),
        oom_score_adj: crate::eviction::oom_score_adj(cx.config, &worker.pod, spec),
        cpu_limit_milli: limit("cpu").map_or(0, |q| q.milli_value()),
        termination_message_path: Some(spec.text("terminationMessagePath"))
            .filter(|p| !p.is_empty())
            .unwrap_or_else(|| "/dev/termination-log".into()),
        fallback_to_logs_on_error: &*spec.text("terminationMessagePolicy") == "FallbackToLogsOnError",
        stop_signal: spec.value.str_at(&["lifecycle", "stopSignal"]).unwrap_or("").into(),
    })
}

fn mounts(worker: &PodWorker, spec: &Spec, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<Mount> {
    let volumes = worker.pod.list_at(&["spec", "volumes"]);
    let mount = |m: &Value| {
        let name = m.str_at(&["name"])?;
        let volume = volumes.iter().find(|v| v.str_at(&["name"]) == Some(name))?;
        let sub_path = match m.str_at(&["subPathExpr"]) {
            Some(expr) => expand(expr, lookup).into(),
            None => m.get("subPath").and_then(Value::as_rc_str).cloned().unwrap_or_default(),
        };
        let container_path = m.get("mountPath").and_then(Value::as_rc_str).cloned().unwrap_or_default();
        // What the kubelet keeps up to date nobody else may write.
        let kept = ["configMap", "secret", "downwardAPI", "projected"].iter().any(|kind| volume.get(kind).is_some());
        let claim_read_only = volume.bool_at(&["persistentVolumeClaim", "readOnly"]) == Some(true)
            || matches!(worker.mounts.claims.get(name), Some(Ok(source)) if source.read_only);
        let read_only = kept || claim_read_only || m.bool_at(&["readOnly"]) == Some(true);
        Some(Mount { volume: volume_id(&worker.pod, volume), sub_path, container_path, read_only })
    };
    spec.value.list_at(&["volumeMounts"]).iter().filter_map(mount).collect()
}

/// All variables: services, then envFrom, then env in order, each seeing those before it.
fn environment(cx: &Cx, worker: &PodWorker, spec: &Spec) -> Result<BTreeMap<Text, Text>, String> {
    let services = service_variables(cx, worker);
    let mut env: BTreeMap<Text, Text> = BTreeMap::new();
    for from in spec.value.list_at(&["envFrom"]) {
        env_from(cx, worker, from, &mut env)?;
    }
    let addresses = Addresses {
        pod_ips: worker.sandbox.as_ref().map(|s| s.ips.clone()).unwrap_or_default(),
        host_ip: cx.config.node_ip.to_string().into(),
        host_ip6: cx.config.node_ip6.map(|ip| ip.to_string().into()),
    };
    for variable in spec.value.list_at(&["env"]) {
        let name: Text = variable.get("name").and_then(Value::as_rc_str).cloned().unwrap_or_default();
        let value = match variable.get("valueFrom") {
            None => {
                let lookup = |n: &str| env.get(n).or_else(|| services.get(n)).map(|v| v.to_string());
                Some(expand(variable.str_at(&["value"]).unwrap_or(""), &lookup))
            }
            Some(from) => value_from(cx, worker, spec, from, &addresses)?,
        };
        if let Some(value) = value {
            env.insert(name, value.into());
        }
    }
    for (name, value) in services {
        env.entry(name).or_insert(value);
    }
    Ok(env)
}

fn referenced<'a>(
    cx: &'a Cx,
    worker: &PodWorker,
    kind: RefKind,
    source: &Value,
) -> Result<Option<&'a apimachinery::Object>, String> {
    let name = source.str_at(&["name"]).unwrap_or("");
    match cx.references.get(kind, worker.pod.namespace(), name) {
        Lookup::Found(object) => Ok(Some(object)),
        _ if source.bool_at(&["optional"]) == Some(true) => Ok(None),
        Lookup::Missing => Err(format!("{} \"{name}\" not found", kind.noun())),
        Lookup::Unknown => Err(format!("failed to sync {} cache: timed out waiting for the condition", kind.noun())),
    }
}

fn env_from(cx: &Cx, worker: &PodWorker, from: &Value, env: &mut BTreeMap<Text, Text>) -> Result<(), String> {
    let prefix = from.str_at(&["prefix"]).unwrap_or("");
    for (field, kind) in [("configMapRef", RefKind::ConfigMap), ("secretRef", RefKind::Secret)] {
        let Some(source) = from.get(field) else { continue };
        let Some(object) = referenced(cx, worker, kind, source)? else { continue };
        for (key, data) in entries(kind, object) {
            let value = String::from_utf8_lossy(&data);
            env.insert(format!("{prefix}{key}").into(), value.as_ref().into());
        }
    }
    Ok(())
}

/// `None`: optional and not there.
fn value_from(cx: &Cx, worker: &PodWorker, spec: &Spec, from: &Value, addresses: &Addresses) -> Result<Option<String>, String> {
    if let Some(path) = from.str_at(&["fieldRef", "fieldPath"]) {
        return downward::field(&worker.pod, path, Some(addresses)).map(Some);
    }
    if let Some(selector) = from.get("resourceFieldRef") {
        return downward::resource(cx.config, &worker.pod, selector, &spec.name).map(Some);
    }
    for (field, kind) in [("configMapKeyRef", RefKind::ConfigMap), ("secretKeyRef", RefKind::Secret)] {
        let Some(source) = from.get(field) else { continue };
        let Some(object) = referenced(cx, worker, kind, source)? else { return Ok(None) };
        let key = source.str_at(&["key"]).unwrap_or("");
        let found = entries(kind, object).into_iter().find(|(k, _)| &**k == key);
        return match found {
            Some((_, data)) => Ok(Some(String::from_utf8_lossy(&data).into_owned())),
            None if source.bool_at(&["optional"]) == Some(true) => Ok(None),
            None => {
                let noun = if kind == RefKind::Secret { "Secret" } else { "ConfigMap" };
                Err(format!("couldn't find key {key} in {noun} {}/{}", worker.pod.namespace(), object.name()))
            }
        };
    }
    Ok(Some(String::new()))
}

/// Variables of the namespace's services and of `kubernetes`. Models `envvars.FromServices`.
fn service_variables(cx: &Cx, worker: &PodWorker) -> BTreeMap<Text, Text> {
    let mut out = BTreeMap::new();
    let links = worker.pod.bool_at(&["spec", "enableServiceLinks"]) != Some(false);
    let master = cx.services.find("default", "kubernetes");
    let own = cx.services.in_namespace(worker.pod.namespace()).filter(|_| links);
    for service in master.into_iter().chain(own) {
        let ip = service.str_at(&["spec", "clusterIP"]).unwrap_or("");
        if ip.is_empty() || ip == "None" {
            continue;
        }
        let name = service.name().to_ascii_uppercase().replace('-', "_");
        let mut put = |suffix: &str, value: String| {
            out.insert(Text::from(format!("{name}_{suffix}")), Text::from(value));
        };
        for (i, port) in service.list_at(&["spec", "ports"]).iter().enumerate() {
            let number = port.int_at(&["port"]).unwrap_or(0);
            let protocol = port.str_at(&["protocol"]).unwrap_or("TCP");
            let url = format!("{}://{ip}:{number}", protocol.to_ascii_lowercase());
            if i == 0 {
                put("SERVICE_HOST", ip.to_string());
                put("SERVICE_PORT", number.to_string());
                put("PORT", url.clone());
            }
            if let Some(label) = port.str_at(&["name"]).filter(|n| !n.is_empty()) {
                put(&format!("SERVICE_PORT_{}", label.to_ascii_uppercase().replace('-', "_")), number.to_string());
            }
            let prefix = format!("PORT_{number}_{}", protocol.to_ascii_uppercase());
            put(&prefix, url);
            put(&format!("{prefix}_PROTO"), protocol.to_ascii_lowercase());
            put(&format!("{prefix}_PORT"), number.to_string());
            put(&format!("{prefix}_ADDR"), ip.to_string());
        }
    }
    out
}
