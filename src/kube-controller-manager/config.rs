//! The options of kube-controller-manager that the bottle has, with upstream's defaults.

use std::rc::Rc;

use apimachinery::{Credential, UserInfo};
use base::Duration;
use client_go::ClientConfig;
use sim::Addr;

/// Options, named as the flags are.
#[derive(Clone, Debug)]
pub struct Config {
    pub apiserver: Addr,
    pub credential: Credential,
    pub user_agent: Rc<str>,
    /// The machine: first part of the identity in the leader lease.
    pub host: Rc<str>,
    pub leader_elect: bool,
    /// `--use-service-account-credentials`: every controller speaks as a service account of its own.
    pub use_service_account_credentials: bool,
    pub kube_api_qps: u32,
    pub kube_api_burst: u32,
    /// `--allocate-node-cidrs`
    pub allocate_node_cidrs: bool,
    /// `--cluster-cidr`
    pub cluster_cidr: Rc<str>,
    pub node_cidr_mask_size: u8,
    pub service_cluster_ip_range: Rc<str>,
    /// The text of `--root-ca-file`: goes into every namespace as `kube-root-ca.crt`.
    pub root_ca: Rc<str>,
    /// `--service-account-private-key-file`
    pub service_account_key: base::Seed,
    pub node_monitor_period: Duration,
    pub node_monitor_grace_period: Duration,
    pub node_startup_grace_period: Duration,
    pub terminated_pod_gc_threshold: usize,
    pub max_endpoints_per_slice: usize,
    pub namespace_sync_period: Duration,
}

impl Config {
    /// kubeadm's options with upstream's defaults.
    pub fn new(apiserver: Addr, host: &str) -> Config {
        Config {
            apiserver,
            credential: Credential::Certificate(Rc::new(UserInfo::new("system:kube-controller-manager", &[]))),
            user_agent: "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes".into(),
            host: host.into(),
            leader_elect: true,
            use_service_account_credentials: true,
            kube_api_qps: 20,
            kube_api_burst: 30,
            allocate_node_cidrs: true,
            cluster_cidr: "10.244.0.0/16".into(),
            node_cidr_mask_size: 24,
            service_cluster_ip_range: "10.96.0.0/12".into(),
            root_ca: "".into(),
            service_account_key: base::Seed(0),
            node_monitor_period: Duration::from_secs(5),
            node_monitor_grace_period: Duration::from_secs(50),
            node_startup_grace_period: Duration::from_secs(60),
            terminated_pod_gc_threshold: 12_500,
            max_endpoints_per_slice: 100,
            namespace_sync_period: Duration::from_secs(300),
        }
    }

    /// A client's configuration; `who` is added to the user agent, as upstream names controllers' clients.
    pub fn client(&self, who: &str) -> ClientConfig {
        let user_agent = if who.is_empty() { self.user_agent.clone() } else { format!("{}/{who}", self.user_agent).into() };
        ClientConfig {
            apiserver: self.apiserver,
            credential: self.credential.clone(),
            user_agent,
            qps: self.kube_api_qps,
            burst: self.kube_api_burst,
        }
    }
}
