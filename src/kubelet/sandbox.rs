//! What a pod's sandbox is made from: names, DNS, host ports. Models `generatePodSandboxConfig` and `pkg/kubelet/network/dns`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Object, Value};
use cri_api::cri::PodSandboxConfig;

use crate::config::Config;

type Text = Rc<str>;

pub fn config(config: &Config, pod: &Object, attempt: u32, is_static: bool) -> PodSandboxConfig {
    let host_network = pod.bool_at(&["spec", "hostNetwork"]) == Some(true);
    let dns = dns(config, pod, host_network);
    let label = |(k, v): &(Text, Value)| Some((k.clone(), v.as_rc_str()?.clone()));
    PodSandboxConfig {
        pod_name: pod.key().name,
        pod_namespace: pod.key().namespace,
        pod_uid: pod.uid().into(),
        attempt,
        hostname: hostname(config, pod, host_network),
        domain: domain(config, pod, host_network),
        host_network,
        dns_servers: dns.0,
        dns_searches: dns.1,
        dns_options: dns.2,
        host_aliases: pod.list_at(&["spec", "hostAliases"]).iter().map(host_alias).collect(),
        port_mappings: port_mappings(pod),
        labels: pod.labels().into_iter().flatten().filter_map(label).collect(),
        share_process_namespace: pod.bool_at(&["spec", "shareProcessNamespace"]) == Some(true),
        is_static,
    }
}

fn hostname(config: &Config, pod: &Object, host_network: bool) -> Text {
    if host_network {
        return config.node_name.clone();
    }
    let name = pod.str_at(&["spec", "hostname"]).filter(|n| !n.is_empty()).unwrap_or(pod.name());
    let name = name.get(..63).unwrap_or(name).trim_end_matches(['-', '.']);
    match pod.str_at(&["spec", "subdomain"]).filter(|_| pod.bool_at(&["spec", "setHostnameAsFQDN"]) == Some(true)) {
        Some(subdomain) => format!("{name}.{subdomain}.{}.svc.{}", pod.namespace(), config.cluster_domain).into(),
        None => name.into(),
    }
}

fn domain(config: &Config, pod: &Object, host_network: bool) -> Text {
    match pod.str_at(&["spec", "subdomain"]).filter(|s| !s.is_empty() && !host_network) {
        Some(subdomain) => format!("{subdomain}.{}.svc.{}", pod.namespace(), config.cluster_domain).into(),
        None => "".into(),
    }
}

fn texts(value: &[Value]) -> Vec<Text> {
    value.iter().filter_map(Value::as_rc_str).cloned().collect()
}

fn host_alias(alias: &Value) -> (Text, Vec<Text>) {
    (alias.str_at(&["ip"]).unwrap_or("").into(), texts(alias.list_at(&["hostnames"])))
}

fn port_mappings(pod: &Object) -> Vec<(u16, u16, Text)> {
    let mut out = Vec::new();
    for spec in crate::pod::all_specs(pod) {
        for port in spec.value.list_at(&["ports"]) {
            let number = |field: &str| port.int_at(&[field]).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
            if let (Some(host), Some(container)) = (number("hostPort"), number("containerPort")) {
                out.push((host, container, port.str_at(&["protocol"]).unwrap_or("TCP").into()));
            }
        }
    }
    out
}

/// Servers, searches and options of /etc/resolv.conf.
fn dns(config: &Config, pod: &Object, host_network: bool) -> (Vec<Text>, Vec<Text>, Vec<Text>) {
    let policy = pod.str_at(&["spec", "dnsPolicy"]).unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirstWithHostNet" => true,
        "ClusterFirst" => !host_network,
        _ => false,
    };
    let (mut servers, mut searches, mut options): (Vec<Text>, Vec<Text>, Vec<Text>) = match () {
        _ if policy == "None" => Default::default(),
        _ if cluster && !config.cluster_dns.is_empty() => {
            let domain = &config.cluster_domain;
            let searches =
                vec![format!("{}.svc.{domain}", pod.namespace()).into(), format!("svc.{domain}").into(), domain.clone()];
            (config.cluster_dns.clone(), searches, vec!["ndots:5".into()])
        }
        _ => (vec![config.resolver.clone()], vec![], vec!["ndots:0".into()]),
    };
    if let Some(own) = pod.at(&["spec", "dnsConfig"]) {
        servers.extend(texts(own.list_at(&["nameservers"])));
        searches.extend(texts(own.list_at(&["searches"])));
        for option in own.list_at(&["options"]) {
            let name = option.str_at(&["name"]).unwrap_or("");
            options.retain(|o| o.split(':').next() != Some(name));
            options.push(match option.str_at(&["value"]) {
                Some(value) => format!("{name}:{value}").into(),
                None => name.into(),
            });
        }
        options.order();
    }
    (servers, searches, options)
}
