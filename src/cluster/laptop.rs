//! The user's laptop: a machine on the nodes' network with a shell, files, and kubectl.

use std::net::Ipv4Addr;
use std::rc::Rc;

use container_runtime::Runtime;

use crate::config::Config;
use crate::images;

/// Its address: the gateway of the nodes' network.
pub const IP: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 1);

/// The first control-plane node, in the built-in configurations.
pub const CONTROL_PLANE_IP: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);

/// The cluster's CA as texts show it. TLS is not modelled, so it signs nothing.
pub const CA_PEM: &str =
    "-----BEGIN CERTIFICATE-----\nS3Vib3R0bGU6IFRMUyBpcyBub3QgbW9kZWxsZWQgaW4gdGhlIGJvdHRsZS4=\n-----END CERTIFICATE-----\n";

/// A laptop with a kubeconfig for the cluster's administrator.
pub fn machine(config: &Config) -> Runtime {
    let mut runtime = Runtime::new(container_runtime::Config {
        node: "laptop".into(),
        node_ip: IP.into(),
        seed: config.seed().derive("laptop"),
        boot: config.epoch,
        cpus: 8,
        memory: 16 << 30,
        disk: 100 << 30,
        programs: images::programs(),
        images: images::images(),
        root: images::laptop_root(&hosts(config)),
        images_present: true,
    });
    runtime.write_host_file(config.epoch, "/root/.kube/config", kubeconfig(&config.facts().endpoint).as_bytes(), 0o600);
    if config.cni.is_none() && config.addons {
        // What heals a cluster without a network: it is left to the user.
        for plugin in [cni::Plugin::Bridge, cni::Plugin::Flannel, cni::Plugin::Calico] {
            let path = format!("/root/cni-{}.yaml", plugin.name());
            runtime.write_host_file(config.epoch, &path, crate::kubeadm::cni_manifest(plugin).as_bytes(), 0o644);
        }
    }
    for (path, data, mode) in config.backup.iter().flat_map(|b| &b.home) {
        runtime.put_host_file(config.epoch, path, data, *mode);
    }
    runtime
}

/// What kubeadm writes to `admin.conf`: certificates and the key are in the file.
fn kubeconfig(server: &str) -> String {
    let data = kubectl::base64::encode(CA_PEM.as_bytes());
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {data}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: kubernetes-admin\n  name: kubernetes-admin@kubernetes\ncurrent-context: kubernetes-admin@kubernetes\nkind: Config\nusers:\n- name: kubernetes-admin\n  user:\n    client-certificate-data: {data}\n    client-key-data: {data}\n"
    )
}

/// The nodes by name.
fn hosts(config: &Config) -> String {
    let nodes = config.nodes.iter().filter(|n| !n.hollow).map(|n| format!("{}\t{}\n", n.ip, n.name));
    std::iter::once("127.0.0.1\tlocalhost\n".to_string()).chain(nodes).collect()
}

/// What the laptop's user proves with its client certificate.
pub fn administrator() -> apimachinery::Credential {
    apimachinery::Credential::Certificate(Rc::new(apimachinery::UserInfo::new("kubernetes-admin", &["system:masters"])))
}
