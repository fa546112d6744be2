//! What a pod may learn about itself. Models `pkg/fieldpath` and `pkg/api/v1/resource`.

use apimachinery::field::go_quote;
use apimachinery::{Fields, Object, Quantity, Value};

use crate::config::Config;
use crate::pod::all_specs;

/// Addresses that are known before they are in the status.
pub struct Addresses {
    pub pod_ips: Vec<std::rc::Rc<str>>,
    pub host_ip: std::rc::Rc<str>,
    pub host_ip6: Option<std::rc::Rc<str>>,
}

/// The text of a field. The error is upstream's.
pub fn field(pod: &Object, path: &str, addresses: Option<&Addresses>) -> Result<String, String> {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let found = match map {
            "metadata.labels" => pod.label(key),
            "metadata.annotations" => pod.annotation(key),
            _ => return Err(format!("fieldPath \"{path}\" does not support subscript")),
        };
        return Ok(found.unwrap_or("").to_string());
    }
    let text = |path: &[&str]| pod.str_at(path).unwrap_or("").to_string();
    Ok(match path {
        "metadata.name" => pod.name().to_string(),
        "metadata.namespace" => pod.namespace().to_string(),
        "metadata.uid" => pod.uid().to_string(),
        "metadata.labels" => format_map(pod.labels()),
        "metadata.annotations" => format_map(pod.annotations()),
        "spec.nodeName" => text(&["spec", "nodeName"]),
        "spec.serviceAccountName" => text(&["spec", "serviceAccountName"]),
        "status.hostIP" => addresses.map(|a| a.host_ip.to_string()).unwrap_or_default(),
        "status.hostIPs" => {
            let all = addresses.map(|a| std::iter::once(&*a.host_ip).chain(a.host_ip6.as_deref()).collect::<Vec<_>>());
            all.unwrap_or_default().join(",")
        }
        "status.podIP" => addresses.and_then(|a| a.pod_ips.first()).map(|ip| ip.to_string()).unwrap_or_default(),
        "status.podIPs" => addresses.map(|a| a.pod_ips.join(",")).unwrap_or_default(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// `key="value"` lines, sorted.
fn format_map(map: Option<&Fields>) -> String {
    let lines: Vec<String> =
        map.into_iter().flatten().map(|(k, v)| format!("{k}={}", go_quote(v.as_str().unwrap_or("")))).collect();
    lines.join("\n")
}

/// A container's request or limit, divided and rounded up. Without a limit the node's allocatable counts.
pub fn resource(config: &Config, pod: &Object, selector: &Value, own_container: &str) -> Result<String, String> {
    let container = selector.str_at(&["containerName"]).filter(|n| !n.is_empty()).unwrap_or(own_container);
    let spec = all_specs(pod).into_iter().find(|s| &*s.name == container);
    let spec = spec.ok_or_else(|| format!("container {container} not found"))?;
    let name = selector.str_at(&["resource"]).unwrap_or("");
    let divisor = selector.get("divisor").and_then(|d| Quantity::from_value(d).ok()).filter(|d| !d.is_zero());
    let (list, resource) = name.split_once('.').ok_or_else(|| format!("unsupported container resource : {name}"))?;
    let own = spec.value.at(&["resources", list, resource]).and_then(|v| Quantity::from_value(v).ok());
    let amount = match (own, list, resource) {
        (Some(q), ..) => q,
        (None, "limits", "cpu") => Quantity::milli(config.cpu_milli),
        (None, "limits", "memory") => Quantity::new(config.memory_bytes),
        (None, "limits", "ephemeral-storage") => Quantity::binary(config.disk_bytes),
        _ => Quantity::ZERO,
    };
    let divided = match resource {
        "cpu" => {
            let by = divisor.map_or(1000, |d| d.milli_value().max(1));
            (amount.milli_value() + by - 1) / by
        }
        _ => {
            let by = divisor.map_or(1, |d| d.value().max(1));
            (amount.value() + by - 1) / by
        }
    };
    Ok(divided.to_string())
}
