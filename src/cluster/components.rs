//! How a component comes to life: what its command line, its configuration and its machine make of it.

use std::rc::Rc;

use apimachinery::{Credential, UserInfo};
use client_go::ClientConfig;
use cri_api::host::ComponentSpec;
use sim::Addr;

use crate::cluster::{Cluster, Observer};
use crate::flags::Flags;
use crate::laptop;
use crate::process::Process;

impl Cluster {
    /// A component's process. What it says of its command line goes into its log.
    ///
    /// # Errors
    /// The code that it exits with at once.
    pub(crate) fn make_component(
        &mut self,
        program: &str,
        machine: &str,
        addr: Addr,
        spec: Option<&ComponentSpec>,
        observer: &mut impl Observer,
    ) -> Result<Process, i32> {
        let args = spec.map_or(&[][..], |s| &s.args);
        match self.component_with(program, machine, addr, spec, args) {
            Ok((process, warning)) => {
                if let Some(warning) = warning {
                    self.log_line(addr, &warning, observer);
                }
                Ok(process)
            }
            Err(error) => {
                self.log_line(addr, &format!("Error: {error}"), observer);
                Err(1)
            }
        }
    }

    fn component_with(
        &mut self,
        program: &str,
        machine: &str,
        addr: Addr,
        spec: Option<&ComponentSpec>,
        args: &[Rc<str>],
    ) -> Result<(Process, Option<String>), String> {
        let config = self.config.clone();
        let seed = config.seed().derive(machine);
        // Pods find the cluster that their node belongs to.
        let endpoint = self.kubelet(machine).map_or(self.endpoint, |k| k.apiserver());
        let local = self.addr(&format!("kube-apiserver/{machine}")).unwrap_or(endpoint);
        let client = |user: &str, qps, burst| {
            let credential = match spec.and_then(|s| s.token.clone()) {
                Some(token) => Credential::Bearer(token),
                None => Credential::Certificate(Rc::new(UserInfo::new(user, &[]))),
            };
            let user_agent = format!("{program}/v1.37.2 (linux/amd64) kubernetes").into();
            // The controller manager and the scheduler speak to the kube-apiserver beside them.
            let beside = matches!(program, "kube-controller-manager" | "kube-scheduler");
            let apiserver = if beside { local } else { endpoint };
            ClientConfig { apiserver, credential, user_agent, qps, burst }
        };
        let runtime = self.nodes.get(machine).and_then(|n| n.runtime).unwrap_or_default();
        let mut warning = None;
        let process = match program {
            "etcd" => Process::Etcd(self.make_etcd(machine, addr, spec)?),
            "kube-apiserver" => self.make_apiserver(machine, addr, args, &mut warning)?,
            "kube-controller-manager" => self.make_controller_manager(machine, local, args, &mut warning)?,
            "kube-scheduler" => {
                let (qps, burst) = if config.kube_api_qps == 0 { (0, 0) } else { (50, 100) };
                let client = client("system:kube-scheduler", qps, burst);
                let mut c = kube_scheduler::Config { client, hostname: machine.into(), leader_elect: true, seed };
                let mut flags = Flags::parse(program, args)?;
                flags.scheduler(&mut c)?;
                warning = flags.warning();
                let scheduler = kube_scheduler::Scheduler::new(c);
                Process::Scheduler(if config.core_scheduler_events { scheduler.with_core_events() } else { scheduler })
            }
            "kube-proxy" => {
                Process::KubeProxy(kube_proxy::KubeProxy::new(machine, runtime, client("system:kube-proxy", 50, 100), seed))
            }
            "flanneld" | "kindnetd" | "calico-node" => {
                let plugin = cni::Plugin::of_program(program).expect("the arm names the plugins' programs");
                Process::Cni(cni::Agent::new(plugin, machine, runtime, client(plugin.agent(), 50, 100), seed))
            }
            "cloud-controller-manager" => {
                let mut c = cloud_controller_manager::Config {
                    client: client("system:cloud-controller-manager", 20, 30),
                    cloud: self.ensure_cloud(),
                    hostname: machine.into(),
                    leader_elect: true,
                    configure_cloud_routes: true,
                    seed,
                };
                let mut flags = Flags::parse(program, args)?;
                flags.cloud_controller_manager(&mut c)?;
                warning = flags.warning();
                Process::CloudControllerManager(Box::new(cloud_controller_manager::CloudControllerManager::new(c)))
            }
            "coredns" => Process::CoreDns(coredns::CoreDns::new(client("coredns", 50, 100), seed)),
            _ => return Err(format!("exec: {program:?}: executable file not found in $PATH")),
        };
        Ok((process, warning))
    }

    /// `warning` becomes what is to be said of its flags.
    fn make_apiserver(
        &self,
        machine: &str,
        addr: Addr,
        args: &[Rc<str>],
        warning: &mut Option<String>,
    ) -> Result<Process, String> {
        let config = &self.config;
        let mut c = kube_apiserver::Config::new(addr, self.etcd, config.seed(), config.epoch);
        c.etcd_servers = self.etcd_addrs();
        c.instance = self.apiservers().iter().position(|a| *a == addr).unwrap_or(0) as u8;
        c.machine = self.nodes.get(machine).and_then(|n| n.runtime).unwrap_or_default();
        c.service_cidr = config.service_cidr.clone();
        c.hostname = machine.into();
        c.ca_pem = laptop::CA_PEM.into();
        if let Some(node) = self.nodes.get(machine) {
            c.advertise_address = node.config.ip.to_string().into();
        }
        let mut flags = Flags::parse("kube-apiserver", args)?;
        flags.apiserver(&mut c)?;
        let servers: Vec<Addr> = flags.etcd_servers.iter().filter_map(|url| self.etcd_at(url, machine)).collect();
        if !servers.is_empty() {
            c.etcd_servers = servers;
        }
        *warning = flags.warning();
        let mut server = kube_apiserver::ApiServer::new(c);
        for (name, node) in &self.nodes {
            server.set_kubelet(name, Some(node.kubelet));
        }
        Ok(Process::ApiServer(server))
    }

    /// As [`Cluster::make_apiserver`]; `apiserver` is the one that it speaks to.
    fn make_controller_manager(
        &self,
        machine: &str,
        apiserver: Addr,
        args: &[Rc<str>],
        warning: &mut Option<String>,
    ) -> Result<Process, String> {
        let config = &self.config;
        let mut c = kube_controller_manager::Config::new(apiserver, machine);
        c.cluster_cidr = config.pod_cidr.clone();
        c.node_cidr_mask_size = config.node_cidr_mask as u8;
        c.service_cluster_ip_range = config.service_cidr.clone();
        (c.kube_api_qps, c.kube_api_burst) = (config.kube_api_qps, config.kube_api_burst);
        c.root_ca = laptop::CA_PEM.into();
        // kubeadm's sa.key, which kube-apiserver has too.
        c.service_account_key = kube_apiserver::Config::new(self.apiserver, self.etcd, config.seed(), config.epoch).seed;
        let mut flags = Flags::parse("kube-controller-manager", args)?;
        flags.controller_manager(&mut c)?;
        *warning = flags.warning();
        Ok(Process::ControllerManager(kube_controller_manager::KubeControllerManager::new(c, config.seed().derive(machine))))
    }
}
