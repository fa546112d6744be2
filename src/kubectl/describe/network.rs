//! Services, Ingresses, EndpointSlices, NetworkPolicies.

use apimachinery::{Object, Request, Value, labels, resources};

use super::{Writer, format_labels, join, or_none, show};
use crate::builder::Info;
use crate::ctx::{Ctx, Res, Stop};

fn slices(ctx: &mut Ctx, namespace: &str, service: &str) -> Res<Vec<Object>> {
    let mut request = Request::list(resources::endpointslices(), namespace);
    request.options.label_selector = Some(format!("kubernetes.io/service-name={service}").into());
    match ctx.list(request) {
        Ok(list) => Ok(list.items),
        Err(Stop::Err(_)) => Ok(Vec::new()),
        Err(stop) => Err(stop),
    }
}

/// Ready addresses of one port: at most three, then how many more.
fn endpoints(slices: &[Object], port: &str) -> String {
    let (mut found, mut more) = (Vec::new(), 0);
    for slice in slices {
        for p in slice.list_at(&["ports"]).iter().filter(|p| p.str_at(&["name"]).unwrap_or("") == port) {
            for endpoint in slice.list_at(&["endpoints"]) {
                if endpoint.bool_at(&["conditions", "ready"]) == Some(false) {
                    continue;
                }
                for address in endpoint.list_at(&["addresses"]).iter().filter_map(Value::as_str) {
                    if found.len() == 3 {
                        more += 1;
                    } else {
                        let address = if address.contains(':') { format!("[{address}]") } else { address.to_string() };
                        found.push(format!("{address}:{}", p.int_at(&["port"]).unwrap_or(0)));
                    }
                }
            }
        }
    }
    let text = found.join(",");
    if more > 0 { format!("{text} + {more} more...") } else { text }
}

pub(super) fn service(ctx: &mut Ctx, info: &Info, w: &mut Writer) -> Res<()> {
    let s = &info.object;
    let slices = slices(ctx, s.namespace(), s.name())?;
    let spec = |f: &str| s.str_at(&["spec", f]).unwrap_or("").to_string();
    w.head(s);
    w.labels(s);
    w.annotations(s);
    w.field(0, "Selector", format_labels(s.at(&["spec", "selector"])));
    w.field(0, "Type", spec("type"));
    if s.at(&["spec", "ipFamilyPolicy"]).is_some() {
        w.field(0, "IP Family Policy", spec("ipFamilyPolicy"));
    }
    w.field(0, "IP Families", or_none(join(s.list_at(&["spec", "ipFamilies"]), ",")));
    w.field(0, "IP", spec("clusterIP"));
    w.field(0, "IPs", or_none(join(s.list_at(&["spec", "clusterIPs"]), ",")));
    let external = join(s.list_at(&["spec", "externalIPs"]), ",");
    for (name, text) in
        [("External IPs", external), ("Desired LoadBalancer IP", spec("loadBalancerIP")), ("External Name", spec("externalName"))]
    {
        if !text.is_empty() {
            w.field(0, name, text);
        }
    }
    let ingress: Vec<String> = s
        .list_at(&["status", "loadBalancer", "ingress"])
        .iter()
        .filter_map(|i| {
            i.str_at(&["ip"])
                .map(|ip| format!("{ip} ({})", i.str_at(&["ipMode"]).unwrap_or("VIP")))
                .or_else(|| i.str_at(&["hostname"]).map(String::from))
        })
        .collect();
    if !ingress.is_empty() {
        w.field(0, "LoadBalancer Ingress", ingress.join(", "));
    }
    for port in s.list_at(&["spec", "ports"]) {
        let text = |f: &str| port.str_at(&[f]).unwrap_or("");
        let name = if text("name").is_empty() { "<unset>" } else { text("name") };
        let protocol = port.str_at(&["protocol"]).unwrap_or("TCP");
        w.line(0, format!("Port:\t{name}\t{}/{protocol}", port.int_at(&["port"]).unwrap_or(0)));
        w.field(0, "TargetPort", format!("{}/{protocol}", show(port.get("targetPort"))));
        if port.get("appProtocol").is_some() {
            w.field(0, "AppProtocol", text("appProtocol"));
        }
        if let Some(node_port) = port.int_at(&["nodePort"]).filter(|n| *n != 0) {
            w.line(0, format!("NodePort:\t{name}\t{node_port}/{protocol}"));
        }
        w.field(0, "Endpoints", endpoints(&slices, text("name")));
    }
    w.field(0, "Session Affinity", spec("sessionAffinity"));
    for (name, field) in
        [("External Traffic Policy", "externalTrafficPolicy"), ("Internal Traffic Policy", "internalTrafficPolicy")]
    {
        if !spec(field).is_empty() {
            w.field(0, name, spec(field));
        }
    }
    if let Some(port) = s.int_at(&["spec", "healthCheckNodePort"]).filter(|p| *p != 0) {
        w.field(0, "HealthCheck NodePort", port.to_string());
    }
    let ranges = join(s.list_at(&["spec", "loadBalancerSourceRanges"]), ",");
    if !ranges.is_empty() {
        w.field(0, "LoadBalancer Source Ranges", ranges);
    }
    if !spec("trafficDistribution").is_empty() {
        w.field(0, "Traffic Distribution", spec("trafficDistribution"));
    }
    Ok(())
}

fn backend(ctx: &mut Ctx, namespace: &str, backend: &Value) -> Res<String> {
    if let Some(resource) = backend.get("resource") {
        return Ok(format!(
            "APIGroup: {}, Kind: {}, Name: {}",
            show(resource.get("apiGroup")),
            show(resource.get("kind")),
            show(resource.get("name"))
        ));
    }
    let Some(service) = backend.get("service") else { return Ok(String::new()) };
    let name = service.str_at(&["name"]).unwrap_or("");
    let port = service.get("port");
    let number = port.and_then(|p| p.int_at(&["number"]));
    let shown = number.map_or_else(|| port.and_then(|p| p.str_at(&["name"])).unwrap_or("").to_string(), |n| n.to_string());
    let key = apimachinery::ObjectKey::new(namespace, name);
    let found = match ctx.call(Request::get(resources::services(), &key)) {
        Ok(found) => found,
        Err(Stop::Err(error)) => return Ok(format!("{name}:{shown} (<error: {}>)", error.text())),
        Err(stop) => return Err(stop),
    };
    let port_name = found
        .list_at(&["spec", "ports"])
        .iter()
        .find(|p| p.int_at(&["port"]) == number && number.is_some() || p.str_at(&["name"]) == Some(&shown))
        .and_then(|p| p.str_at(&["name"]))
        .unwrap_or("")
        .to_string();
    let slices = slices(ctx, namespace, name)?;
    Ok(format!("{name}:{shown} ({})", endpoints(&slices, &port_name)))
}

pub(super) fn ingress(ctx: &mut Ctx, info: &Info, w: &mut Writer) -> Res<()> {
    let ing = &info.object;
    let namespace = ing.namespace().to_string();
    w.field(0, "Name", ing.name());
    w.labels(ing);
    w.field(0, "Namespace", &namespace);
    let addresses: Vec<&str> = ing
        .list_at(&["status", "loadBalancer", "ingress"])
        .iter()
        .filter_map(|i| i.str_at(&["ip"]).or_else(|| i.str_at(&["hostname"])))
        .collect();
    w.field(0, "Address", addresses.join(","));
    w.field(0, "Ingress Class", ing.str_at(&["spec", "ingressClassName"]).unwrap_or("<none>"));
    let default = match ing.at(&["spec", "defaultBackend"]) {
        Some(b) => backend(ctx, &namespace, b)?,
        None => "<default>".into(),
    };
    w.field(0, "Default backend", &default);
    let tls = ing.list_at(&["spec", "tls"]);
    if !tls.is_empty() {
        w.line(0, "TLS:");
        for entry in tls {
            let hosts = join(entry.list_at(&["hosts"]), ",");
            match entry.str_at(&["secretName"]).filter(|s| !s.is_empty()) {
                Some(secret) => w.line(1, format!("{secret} terminates {hosts}")),
                None => w.line(1, format!("SNI routes {hosts}")),
            }
        }
    }
    w.line(0, "Rules:");
    w.line(1, "Host\tPath\tBackends");
    w.line(1, "----\t----\t--------");
    let mut rules = 0;
    for rule in ing.list_at(&["spec", "rules"]).iter().filter(|r| r.get("http").is_some()) {
        rules += 1;
        let host = rule.str_at(&["host"]).filter(|h| !h.is_empty()).unwrap_or("*");
        w.line(1, format!("{host}\t"));
        for path in rule.list_at(&["http", "paths"]) {
            let target = backend(ctx, &namespace, &path.get("backend").cloned().unwrap_or_default())?;
            w.line(2, format!("\t{} \t{target}", path.str_at(&["path"]).unwrap_or("")));
        }
    }
    if rules == 0 {
        w.line(1, format!("*\t*\t{default}"));
    }
    w.annotations(ing);
    Ok(())
}

pub(super) fn endpointslice(slice: &Object, w: &mut Writer) {
    w.head(slice);
    w.labels(slice);
    w.annotations(slice);
    w.field(0, "AddressType", slice.str_at(&["addressType"]).unwrap_or(""));
    let ports = slice.list_at(&["ports"]);
    w.line(0, if ports.is_empty() { "Ports: <unset>" } else { "Ports:" });
    if !ports.is_empty() {
        w.line(1, "Name\tPort\tProtocol");
        w.line(1, "----\t----\t--------");
    }
    for port in ports {
        let name = port.str_at(&["name"]).filter(|n| !n.is_empty()).unwrap_or("<unset>");
        let number = port.int_at(&["port"]).map_or("<unset>".into(), |n| n.to_string());
        w.line(1, format!("{name}\t{number}\t{}", port.str_at(&["protocol"]).unwrap_or("TCP")));
    }
    let list = slice.list_at(&["endpoints"]);
    w.line(0, if list.is_empty() { "Endpoints: <none>" } else { "Endpoints:" });
    for endpoint in list {
        let unset = |f: &str| endpoint.str_at(&[f]).unwrap_or("<unset>").to_string();
        w.line(1, format!("- Addresses:\t{}", or_none(join(endpoint.list_at(&["addresses"]), ", "))));
        w.line(2, "Conditions:");
        w.field(3, "Ready", endpoint.bool_at(&["conditions", "ready"]).map_or("<unset>".into(), |b| b.to_string()));
        w.field(2, "Hostname", unset("hostname"));
        if let Some(target) = endpoint.get("targetRef") {
            w.field(2, "TargetRef", format!("{}/{}", show(target.get("kind")), show(target.get("name"))));
        }
        w.field(2, "NodeName", unset("nodeName"));
        w.field(2, "Zone", unset("zone"));
    }
}

pub(super) fn policy(policy: &Object, w: &mut Writer) {
    w.head(policy);
    w.field(
        0,
        "Created on",
        policy.creation_timestamp().map_or(String::new(), |t| {
            let (y, mo, d, h, mi, s) = t.civil();
            format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02} +0000 UTC")
        }),
    );
    w.labels(policy);
    w.annotations(policy);
    w.line(0, "Spec:");
    let selector = policy.at(&["spec", "podSelector"]);
    let text = match selector.is_none_or(Value::is_empty) {
        true => "<none> (Allowing the specific traffic to all pods in this namespace)".into(),
        false => labels::format_label_selector(selector),
    };
    w.line(1, format!("PodSelector:     {text}"));
    let types: Vec<&str> = policy.list_at(&["spec", "policyTypes"]).iter().filter_map(Value::as_str).collect();
    for (kind, word, list, peers, peer) in
        [("Ingress", "ingress", "ingress", "from", "From"), ("Egress", "egress", "egress", "to", "To")]
    {
        if !types.contains(&kind) {
            w.line(1, format!("Not affecting {word} traffic"));
            continue;
        }
        w.line(1, format!("Allowing {word} traffic:"));
        rules(policy.list_at(&["spec", list]), kind, peers, peer, w);
    }
    w.line(1, format!("Policy Types: {}", types.join(", ")));
}

fn rules(rules: &[Value], kind: &str, peers: &str, peer: &str, w: &mut Writer) {
    if rules.is_empty() {
        let text = if kind == "Ingress" { "ingress" } else { "egress" };
        return w.line(2, format!("<none> (Selected pods are isolated for {text} connectivity)"));
    }
    for (i, rule) in rules.iter().enumerate() {
        let ports = rule.list_at(&["ports"]);
        if ports.is_empty() {
            w.line(2, "To Port: <any> (traffic allowed to all ports)");
        }
        for port in ports {
            let mut number = show(port.get("port"));
            if let Some(end) = port.int_at(&["endPort"]) {
                number = format!("{number}-{end}");
            }
            w.line(2, format!("To Port: {}/{}", or_none(number), port.str_at(&["protocol"]).unwrap_or("TCP")));
        }
        let list = rule.list_at(&[peers]);
        if list.is_empty() {
            let side = if kind == "Ingress" { "source" } else { "destination" };
            w.line(2, format!("{peer}: <any> (traffic not restricted by {side})"));
        }
        for p in list {
            w.line(2, format!("{peer}:"));
            let selector = |f: &str| labels::format_label_selector(p.get(f));
            if p.get("namespaceSelector").is_some() {
                w.line(3, format!("NamespaceSelector: {}", selector("namespaceSelector")));
            }
            if p.get("podSelector").is_some() {
                w.line(3, format!("PodSelector: {}", selector("podSelector")));
            }
            if let Some(block) = p.get("ipBlock") {
                w.line(3, "IPBlock:");
                w.line(4, format!("CIDR: {}", block.str_at(&["cidr"]).unwrap_or("")));
                w.line(4, format!("Except: {}", join(block.list_at(&["except"]), ", ")));
            }
        }
        if i + 1 < rules.len() {
            w.line(2, "----------");
        }
    }
}
