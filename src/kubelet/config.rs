//! How a kubelet is started. Defaults are those of KubeletConfiguration v1beta1.

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::Credential;
use base::{Duration, Seed};
use client_go::ClientConfig;
use sim::Addr;

use crate::eviction::Threshold;

type Text = Rc<str>;

/// Flags, configuration file and machine of one kubelet.
#[derive(Clone)]
pub struct Config {
    pub node_name: Text,
    pub node_ip: IpAddr,
    /// The second address of a dual-stack node.
    pub node_ip6: Option<IpAddr>,
    /// kube-apiserver, credential (`system:node:<name>` of `system:nodes`) and rate limit (50 a second, 100 at once).
    pub client: ClientConfig,
    pub seed: Seed,
    /// The node's container runtime. `None`: a hollow kubelet, whose pods run at once and do nothing.
    pub runtime: Option<Addr>,
    /// Millicores.
    pub cpu_milli: i64,
    pub memory_bytes: i64,
    pub max_pods: i64,
    /// Bytes of the node's disk: its capacity of `ephemeral-storage`.
    pub disk_bytes: i64,
    /// `evictionHard` and `evictionSoft`.
    pub eviction: Vec<Threshold>,
    /// `evictionMaxPodGracePeriod`: what a soft eviction grants.
    pub eviction_max_pod_grace_s: i64,
    /// `evictionPressureTransitionPeriod`
    pub eviction_pressure_transition: Duration,
    /// Besides those that every kubelet sets.
    pub labels: Vec<(Text, Text)>,
    /// `--register-with-taints`: key, value, effect.
    pub taints: Vec<(Text, Text, Text)>,
    /// `--cloud-provider=external`: addresses and more are the cloud controller's to say, and the node waits for it.
    pub external_cloud: bool,
    /// The token of the bootstrap kubeconfig, while there is no other: a certificate is asked for first.
    pub bootstrap: Option<Credential>,
    /// `clusterDNS`; none: pods get the node's resolver.
    pub cluster_dns: Vec<Text>,
    pub cluster_domain: Text,
    pub static_pod_path: Text,
    /// The node's own resolv.conf.
    pub resolver: Text,
}

impl Config {
    pub fn new(node_name: &str, node_ip: IpAddr, client: ClientConfig, seed: Seed) -> Config {
        Config {
            node_name: node_name.into(),
            node_ip,
            node_ip6: None,
            client,
            seed,
            runtime: None,
            cpu_milli: 2000,
            memory_bytes: 4 << 30,
            max_pods: 110,
            disk_bytes: 100 << 30,
            eviction: Threshold::defaults(),
            eviction_max_pod_grace_s: 0,
            eviction_pressure_transition: Duration::from_secs(300),
            labels: Vec::new(),
            taints: Vec::new(),
            external_cloud: false,
            bootstrap: None,
            cluster_dns: vec!["10.96.0.10".into()],
            cluster_domain: "cluster.local".into(),
            static_pod_path: "/etc/kubernetes/manifests".into(),
            resolver: "172.18.0.1".into(),
        }
    }
    pub fn is_hollow(&self) -> bool {
        self.runtime.is_none()
    }
}
