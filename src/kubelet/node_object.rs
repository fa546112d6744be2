//! The Node object that a kubelet registers, and its status. Models `pkg/kubelet/kubelet_node_status.go` and `nodestatus/setters.go`.

use std::rc::Rc;

use apimachinery::{Fields, Object, Quantity, Value, value};
use base::Time;

use crate::config::Config;
use crate::eviction::Pressures;

const VERSION: &str = "v1.37.2";

/// Why the node is not ready; empty: it is.
pub type NotReady = Option<&'static str>;

/// Before its CSINode object exists.
pub const CSI_NODE: &str = "CSINode is not yet initialized";
/// Before the CNI plugin has a configuration.
pub const NO_NETWORK: &str = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
     message:Network plugin returns error: cni plugin not initialized";

/// The runtime's socket has been away for too long.
pub const RUNTIME_DOWN: &str = "container runtime is down";

/// The object for registration.
pub fn initial_node(config: &Config, not_ready: NotReady, images: &Value, now: Time) -> Object {
    let mut labels: Vec<(Rc<str>, Value)> = vec![
        ("beta.kubernetes.io/arch".into(), "amd64".into()),
        ("beta.kubernetes.io/os".into(), "linux".into()),
        ("kubernetes.io/arch".into(), "amd64".into()),
        ("kubernetes.io/hostname".into(), (&config.node_name).into()),
        ("kubernetes.io/os".into(), "linux".into()),
    ];
    labels.extend(config.labels.iter().map(|(k, v)| (k.clone(), v.into())));
    let mut annotations: Vec<(Rc<str>, Value)> =
        vec![("volumes.kubernetes.io/controller-managed-attach-detach".into(), "true".into())];
    if config.external_cloud {
        annotations.push(("alpha.kubernetes.io/provided-node-ip".into(), config.node_ip.to_string().into()));
    }
    let annotations = Fields::from_entries(annotations);
    let node = value!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": (&config.node_name), "labels": (Fields::from_entries(labels)), "annotations": annotations},
        "spec": {},
        "status": (status(config, not_ready, Pressures::default(), images, None, now))
    });
    let mut node = Object::from_value(node).expect("a map was built");
    let taints = taints(config);
    if !taints.is_empty() {
        node.set_at(&["spec", "taints"], taints);
    }
    node
}

/// Those that the node registers with.
fn taints(config: &Config) -> Vec<Value> {
    let given = config.taints.iter();
    let mut taints: Vec<Value> = given.map(|(key, v, effect)| value!({"key": key, "value": v, "effect": effect})).collect();
    if config.external_cloud {
        taints.push(value!({"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}));
    }
    taints
}

/// The status as of now. Transition times are taken over from `old` where nothing changed.
pub fn status(
    config: &Config,
    not_ready: NotReady,
    pressures: Pressures,
    images: &Value,
    old: Option<&Object>,
    now: Time,
) -> Value {
    let ips = std::iter::once(config.node_ip).chain(config.node_ip6);
    let mut addresses: Vec<Value> = ips.map(|ip| value!({"type": "InternalIP", "address": (ip.to_string())})).collect();
    addresses.push(value!({"type": "Hostname", "address": (&config.node_name)}));
    let resources = resources(config);
    let mut status = value!({
        "addresses": addresses,
        "capacity": (&resources), "allocatable": resources,
        "conditions": (conditions(not_ready, pressures, old, now)),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "declaredFeatures": ["ExtendWebSocketsToKubelet", "InPlacePodLevelResourcesVerticalScaling",
            "InPlacePodVerticalScalingInitContainers", "RestartAllContainersOnContainerExits"],
        "features": {"supplementalGroupsPolicy": true},
        "nodeInfo": (node_info(config)),
        "runtimeHandlers": [
            {"name": "", "features": {"recursiveReadOnlyMounts": true, "userNamespaces": true}},
            {"name": "runc", "features": {"recursiveReadOnlyMounts": true, "userNamespaces": true}}
        ]
    });
    // What the cloud said of the addresses stays.
    if let Some(addresses) = old.and_then(|o| o.at(&["status", "addresses"])).filter(|_| config.external_cloud) {
        status.set_at(&["addresses"], addresses);
    }
    if !images.items().is_empty() {
        status.set_at(&["images"], images);
    }
    status
}

fn resources(config: &Config) -> Value {
    let memory = match config.memory_bytes % 1024 {
        0 => Quantity::binary(config.memory_bytes).canonical(),
        _ => Quantity::new(config.memory_bytes).canonical(),
    };
    let mut resources = value!({
        "cpu": (Quantity::milli(config.cpu_milli).canonical()), "memory": memory, "pods": (config.max_pods.to_string()),
        "ephemeral-storage": (Quantity::binary(config.disk_bytes).canonical())
    });
    if !config.is_hollow() {
        resources.set_at(&["hugepages-1Gi"], "0");
        resources.set_at(&["hugepages-2Mi"], "0");
    }
    resources
}

fn node_info(config: &Config) -> Value {
    let seed = config.seed.derive("machine");
    // A hollow kubelet has no machine.
    let id = |n: u64| if config.is_hollow() { String::new() } else { seed.uuid(n) };
    value!({
        "architecture": "amd64", "operatingSystem": "linux", "osImage": "Debian GNU/Linux 12 (bookworm)",
        "kernelVersion": "6.1.0-kubottle", "containerRuntimeVersion": "containerd://2.4.2", "kubeletVersion": VERSION,
        "kubeProxyVersion": "", "machineID": (id(1).replace('-', "")), "systemUUID": (id(2)), "bootID": (id(3)),
        "runningInUserNamespace": false
    })
}

fn conditions(not_ready: NotReady, pressures: Pressures, old: Option<&Object>, now: Time) -> Vec<Value> {
    let ready = match not_ready {
        None => ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        Some(why) => ("Ready", "False", "KubeletNotReady", why),
    };
    let memory = match pressures.memory {
        false => ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        true => ("MemoryPressure", "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    };
    let disk = match pressures.disk {
        false => ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        true => ("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
    };
    let pid = match pressures.pid {
        false => ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        true => ("PIDPressure", "True", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    };
    let all = [memory, disk, pid, ready];
    let heartbeat = now.rfc3339();
    let condition = |(kind, status, reason, message): (&str, &str, &str, &str)| {
        let before = old.and_then(|o| o.condition(kind)).filter(|c| c.str_at(&["status"]) == Some(status));
        let since = before.and_then(|c| c.get("lastTransitionTime")).cloned().unwrap_or_else(|| heartbeat.as_str().into());
        value!({
            "type": (Value::sym(kind)), "status": (Value::sym(status)), "reason": (Value::sym(reason)),
            "message": (Value::sym(message)), "lastHeartbeatTime": (&heartbeat), "lastTransitionTime": since
        })
    };
    all.into_iter().map(condition).collect()
}
