//! `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname`, as the kubelet and the runtime write them into every container.

use base::Time;
use cri_api::cri::PodSandboxConfig;

use super::Sandbox;
use crate::Text;

/// The host name without its domain (`setHostnameAsFQDN` makes the whole the host name).
fn short_name(config: &PodSandboxConfig) -> &str {
    config.hostname.strip_suffix(&*config.domain).and_then(|n| n.strip_suffix('.')).unwrap_or(&config.hostname)
}

pub(super) fn full_name(config: &PodSandboxConfig) -> String {
    match &*config.domain {
        "" => config.hostname.to_string(),
        domain => format!("{}.{domain}", short_name(config)),
    }
}

/// The files that the kubelet and the runtime write into every container.
pub(super) fn write_etc(root: &mut cri_api::Tree, now: Time, sandbox: &Sandbox) {
    let config = &sandbox.config;
    let mut hosts = String::from(match config.host_network {
        true => "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n",
        false => {
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
        }
    });
    for ip in &sandbox.ips {
        match (full_name(config), short_name(config)) {
            (full, short) if full == short => hosts.push_str(&format!("{ip}\t{short}\n")),
            (full, short) => hosts.push_str(&format!("{ip}\t{full}\t{short}\n")),
        }
    }
    if !config.host_aliases.is_empty() {
        hosts.push_str("\n# Entries added by HostAliases.\n");
        for (ip, names) in &config.host_aliases {
            hosts.push_str(&format!("{ip}\t{}\n", names.iter().map(|n| &**n).collect::<Vec<_>>().join("\t")));
        }
    }
    let mut resolv = String::new();
    if !config.dns_searches.is_empty() {
        resolv.push_str(&format!("search {}\n", join(&config.dns_searches)));
    }
    for server in &config.dns_servers {
        resolv.push_str(&format!("nameserver {server}\n"));
    }
    if !config.dns_options.is_empty() {
        resolv.push_str(&format!("options {}\n", join(&config.dns_options)));
    }
    for (path, text) in [("etc/hosts", hosts), ("etc/resolv.conf", resolv), ("etc/hostname", format!("{}\n", config.hostname))] {
        // An image without room for these files doesn't exist: trees start empty and grow.
        let _ = root.put_file(path, text.into_bytes(), 0o644, now);
    }
    let _ = root.put_file("dev/termination-log", Vec::new(), 0o666, now);
}

fn join(parts: &[Text]) -> String {
    parts.iter().map(|p| &**p).collect::<Vec<_>>().join(" ")
}
