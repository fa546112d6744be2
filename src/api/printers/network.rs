//! Rows of services, endpoints and what routes to them.

use apimachinery::Value;

use super::{Row, joined, workloads::label_selector, workloads::plain};
use crate::check::{some, text};

/// Rows of the networking and discovery groups.
pub fn row(resource: &str, r: &Row) -> Option<Vec<Value>> {
    Some(match resource {
        "ingresses" => ingress(r),
        "ingressclasses" => {
            let parameters = match r.obj.at(&["spec", "parameters"]) {
                Some(p) => {
                    let group = text(p, "apiGroup");
                    let kind =
                        if group.is_empty() { text(p, "kind").to_string() } else { format!("{}.{group}", text(p, "kind")) };
                    format!("{kind}/{}", text(p, "name"))
                }
                None => "<none>".into(),
            };
            vec![r.name(), r.text(&["spec", "controller"], ""), parameters.into(), r.age()]
        }
        "networkpolicies" => {
            vec![r.name(), label_selector(r.obj.at(&["spec", "podSelector"])).into(), r.age()]
        }
        "ipaddresses" => {
            let p = r.obj.at(&["spec", "parentRef"]).unwrap_or(&Value::Null);
            let mut parent = text(p, "resource").to_string();
            if !text(p, "group").is_empty() {
                parent = format!("{parent}.{}", text(p, "group"));
            }
            for part in [text(p, "namespace"), text(p, "name")] {
                if !part.is_empty() {
                    parent = format!("{parent}/{part}");
                }
            }
            vec![r.name(), parent.into()]
        }
        "servicecidrs" => vec![r.name(), joined(r.obj.list_at(&["spec", "cidrs"]), ",").into(), r.age()],
        "endpointslices" => endpoint_slice(r),
        _ => return None,
    })
}

/// Type, cluster IP, external IP, ports, age; wide: selector.
pub fn service(r: &Row) -> Vec<Value> {
    let spec = r.obj.get("spec").unwrap_or(&Value::Null);
    let ip = match spec.list_at(&["clusterIPs"]).first().and_then(Value::as_str) {
        Some(ip) => ip.into(),
        None => Value::from("<none>"),
    };
    vec![
        r.name(),
        r.text(&["spec", "type"], ""),
        ip,
        external_ip(r, spec).into(),
        ports(spec.list_at(&["ports"])).into(),
        r.age(),
        plain(spec.get("selector")).into(),
    ]
}

fn external_ip(r: &Row, spec: &Value) -> String {
    let external = spec.list_at(&["externalIPs"]);
    match text(spec, "type") {
        "ClusterIP" | "NodePort" => joined(external, ","),
        "LoadBalancer" => {
            let ingress = r.obj.list_at(&["status", "loadBalancer", "ingress"]);
            let mut all: Vec<&str> =
                ingress.iter().map(|i| if text(i, "ip").is_empty() { text(i, "hostname") } else { text(i, "ip") }).collect();
            all.extend(external.iter().filter_map(Value::as_str));
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        "ExternalName" => text(spec, "externalName").into(),
        _ => "<unknown>".into(),
    }
}

/// `80/TCP`, `80:30080/TCP`
fn ports(list: &[Value]) -> String {
    if list.is_empty() {
        return "<none>".into();
    }
    let one = |p: &Value| {
        let (port, protocol) = (p.int_at(&["port"]).unwrap_or(0), text(p, "protocol"));
        match p.int_at(&["nodePort"]).unwrap_or(0) {
            0 => format!("{port}/{protocol}"),
            node => format!("{port}:{node}/{protocol}"),
        }
    };
    list.iter().map(one).collect::<Vec<_>>().join(",")
}

/// At most three endpoints, then how many more.
pub fn endpoints(r: &Row) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in r.obj.list_at(&["subsets"]) {
        let addresses = subset.list_at(&["addresses"]);
        let ports = subset.list_at(&["ports"]);
        for a in addresses {
            if ports.is_empty() {
                all.push(text(a, "ip").to_string());
            }
        }
        for p in ports {
            for a in addresses {
                all.push(host_port(text(a, "ip"), p.int_at(&["port"]).unwrap_or(0)));
            }
        }
    }
    vec![r.name(), first_three(&all, "").into(), r.age()]
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// `a,b,c + 2 more...`
fn first_three(all: &[String], empty: &str) -> String {
    match all.len() {
        0 if empty.is_empty() => "<none>".into(),
        0 => empty.into(),
        n if n > 3 => format!("{} + {} more...", all[..3].join(","), n - 3),
        _ => all.join(","),
    }
}

fn endpoint_slice(r: &Row) -> Vec<Value> {
    let port = |p: &Value| match (p.int_at(&["port"]), text(p, "name")) {
        (Some(n), _) => n.to_string(),
        (None, "") => "*".into(),
        (None, name) => format!("{name}/*"),
    };
    let ports: Vec<String> = r.obj.list_at(&["ports"]).iter().map(port).collect();
    let addresses: Vec<String> = r
        .obj
        .list_at(&["endpoints"])
        .iter()
        .flat_map(|e| e.list_at(&["addresses"]))
        .filter_map(|a| a.as_str().map(str::to_string))
        .collect();
    vec![
        r.name(),
        r.text(&["addressType"], ""),
        first_three(&ports, "<unset>").into(),
        first_three(&addresses, "<unset>").into(),
        r.age(),
    ]
}

fn ingress(r: &Row) -> Vec<Value> {
    let spec = r.obj.get("spec").unwrap_or(&Value::Null);
    let hosts: Vec<String> =
        spec.list_at(&["rules"]).iter().map(|rule| text(rule, "host").to_string()).filter(|h| !h.is_empty()).collect();
    let hosts = match hosts.len() {
        0 => "*".to_string(),
        _ => first_three(&hosts, ""),
    };
    let addresses: Vec<&str> = r
        .obj
        .list_at(&["status", "loadBalancer", "ingress"])
        .iter()
        .map(|i| if text(i, "ip").is_empty() { text(i, "hostname") } else { text(i, "ip") })
        .collect();
    let ports = if some(spec, "tls").is_some_and(|t| !t.items().is_empty()) { "80, 443" } else { "80" };
    vec![
        r.name(),
        r.text(&["spec", "ingressClassName"], "<none>"),
        hosts.into(),
        addresses.join(",").into(),
        ports.into(),
        r.age(),
    ]
}
