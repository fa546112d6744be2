//! The processes of a cluster: every component as one case of one enum, so that the whole is a value.

use std::rc::Rc;

use base::Time;
use sim::{Message, Outbox};

use crate::client::Client;
use crate::kubeadm::Kubeadm;

/// A component instance. Clones share what they hold.
#[derive(Clone)]
pub enum Process {
    Etcd(etcd::Member),
    ApiServer(kube_apiserver::ApiServer),
    ControllerManager(kube_controller_manager::KubeControllerManager),
    Scheduler(kube_scheduler::Scheduler),
    Kubelet(kubelet::Kubelet),
    /// A node's machine, or the user's laptop.
    Machine(container_runtime::Runtime),
    KubeProxy(kube_proxy::KubeProxy),
    Cni(cni::Agent),
    CoreDns(coredns::CoreDns),
    Kubeadm(Kubeadm),
    CloudControllerManager(Box<cloud_controller_manager::CloudControllerManager>),
    /// In front of several kube-apiservers.
    Balancer(crate::balancer::Balancer),
    /// Outside of the cluster: machines, load balancers and routes for rent.
    Cloud(crate::cloud::Cloud),
    /// Somebody outside of the bottle.
    Client(Client),
    /// Not running: messages to it find nobody.
    Stopped,
}

/// A process with its name and place.
#[derive(Clone)]
pub struct Proc {
    /// `kube-apiserver/cp-1`, `kubelet/node-1`, `coredns-abc12`
    pub name: Rc<str>,
    /// The machine it runs on; empty for what is outside.
    pub machine: Rc<str>,
    /// The container it runs in, if it does.
    pub container: Option<Rc<str>>,
    pub process: Process,
}

impl Proc {
    pub fn is_running(&self) -> bool {
        !matches!(self.process, Process::Stopped)
    }
    /// The component's name without its place: `kube-apiserver`.
    pub fn component(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }
}

impl Process {
    pub(crate) fn handle(&mut self, now: Time, message: Message, out: &mut Outbox) {
        match self {
            Process::Etcd(p) => p.handle(now, message, out),
            Process::ApiServer(p) => p.handle(now, message, out),
            Process::ControllerManager(p) => p.handle(&message.payload, out),
            Process::Scheduler(p) => p.handle(now, message, out),
            Process::Kubelet(p) => p.handle(now, message, out),
            Process::Machine(p) => p.handle(now, message, out),
            Process::KubeProxy(p) => p.handle(now, message, out),
            Process::Cni(p) => p.handle(now, message, out),
            Process::CoreDns(p) => p.handle(now, message, out),
            Process::Kubeadm(p) => p.handle(now, message, out),
            Process::CloudControllerManager(p) => p.handle(&message.payload, out),
            Process::Balancer(p) => p.handle(now, message, out),
            Process::Cloud(p) => p.handle(now, message, out),
            Process::Client(p) => p.handle(message),
            Process::Stopped => {}
        }
    }

    /// Whether its process has ended by itself (a lost leader lease, a member that was removed) and its container must end too.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Process::ControllerManager(p) => p.has_ended(),
            Process::CloudControllerManager(p) => p.has_ended(),
            Process::Scheduler(p) => p.has_ended(),
            Process::Etcd(p) => p.fatal().is_some(),
            _ => false,
        }
    }
}
