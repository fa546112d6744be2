//! How this kube-apiserver was started: its flags, and whom it knows.

use std::rc::Rc;

use base::{Seed, Time};
use sim::Addr;

/// The flags. Defaults are upstream's with the additions of the reference (`--authorization-mode Node,RBAC`, `NodeRestriction`).
#[derive(Clone, Debug)]
pub struct Config {
    /// This process.
    pub me: Addr,
    /// The machine that it runs on, whose kernel opens connections to aggregated servers.
    pub machine: Addr,
    /// `--etcd-servers`: the first that answers is talked to.
    pub etcd_servers: Vec<Addr>,
    pub seed: Seed,
    /// `--advertise-address`
    pub advertise_address: Rc<str>,
    /// `--secure-port`
    pub secure_port: u16,
    /// `--service-cluster-ip-range`: IPv4, or IPv4 and IPv6 with a comma between.
    pub service_cidr: Rc<str>,
    /// `--service-node-port-range`, both ends inclusive.
    pub node_port_range: (u16, u16),
    /// `--enable-admission-plugins` beyond the defaults.
    pub enable_admission: Vec<Rc<str>>,
    /// `--disable-admission-plugins`
    pub disable_admission: Vec<Rc<str>>,
    /// `--anonymous-auth`
    pub anonymous_auth: bool,
    /// `--service-account-issuer`
    pub issuer: Rc<str>,
    /// `--event-ttl` in seconds.
    pub event_ttl_s: i64,
    /// The cluster's CA certificate (PEM text): `kube-system/extension-apiserver-authentication` shows it.
    pub ca_pem: Rc<str>,
    /// The host's name, for the identity lease.
    pub hostname: Rc<str>,
    pub epoch: Time,
    /// `--max-requests-inflight` and `--max-mutating-requests-inflight`: together the seats that priority levels share.
    pub max_requests_inflight: i64,
    pub max_mutating_requests_inflight: i64,
    /// Which of several servers of one cluster this is: names and UIDs that it makes up are its own.
    pub instance: u8,
}

impl Config {
    pub fn new(me: Addr, etcd: Addr, seed: Seed, epoch: Time) -> Config {
        Config {
            me,
            machine: Addr::OUTSIDE,
            etcd_servers: vec![etcd],
            seed: seed.derive("kube-apiserver"),
            advertise_address: "172.18.0.2".into(),
            secure_port: 6443,
            service_cidr: "10.96.0.0/12".into(),
            node_port_range: (30000, 32767),
            enable_admission: vec!["NodeRestriction".into()],
            disable_admission: Vec::new(),
            anonymous_auth: true,
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            event_ttl_s: 3600,
            ca_pem: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".into(),
            hostname: "control-plane".into(),
            epoch,
            max_requests_inflight: 400,
            max_mutating_requests_inflight: 200,
            instance: 0,
        }
    }

    /// Whether an admission plugin runs.
    pub fn admission_enabled(&self, name: &str, by_default: bool) -> bool {
        let named = |list: &[Rc<str>]| list.iter().any(|n| **n == *name);
        (by_default || named(&self.enable_admission)) && !named(&self.disable_admission)
    }
}
