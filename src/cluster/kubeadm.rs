//! What `kubeadm init` and `kubeadm join` have left behind when the bottle begins: files on the machines' disks before the kubelets
//! start (`kubeadm_files.rs`), and objects in the API once kube-apiserver answers (labels and taint of the control-plane nodes,
//! kube-proxy, CoreDNS, the CNI agent). The command itself is `programs/kubeadm`.

use std::rc::Rc;

use apimachinery::{Credential, Gvr, Object, ObjectKey, PatchType, Request, UserInfo, Value, schema, value, yaml};
use base::{Duration, Time};
use sim::{Addr, Message, Outbox, Payload};

use crate::config::{Config, NodeConfig};
use crate::kubeadm_files::{self, Facts, File};

/// Names of the static pods, in the order in which kubeadm writes them.
pub const STATIC_PODS: [(&str, &str); 4] = [
    ("etcd", include_str!("../../static/manifests/etcd.yaml")),
    ("kube-apiserver", include_str!("../../static/manifests/kube-apiserver.yaml")),
    ("kube-controller-manager", include_str!("../../static/manifests/kube-controller-manager.yaml")),
    ("kube-scheduler", include_str!("../../static/manifests/kube-scheduler.yaml")),
];

pub(crate) const ADDONS: &str = include_str!("../../static/manifests/addons.yaml");

/// The CNI plugin's manifest.
pub fn cni_manifest(plugin: cni::Plugin) -> &'static str {
    match plugin {
        cni::Plugin::Bridge => include_str!("../../static/manifests/cni-bridge.yaml"),
        cni::Plugin::Flannel => include_str!("../../static/manifests/cni-flannel.yaml"),
        cni::Plugin::Calico => include_str!("../../static/manifests/cni-calico.yaml"),
    }
}

/// What machines that join need to find in the API.
pub(crate) const BOOTSTRAP: &str = include_str!("../../static/manifests/kubeadm-bootstrap.yaml");

/// Where the model of the authority's digest begins.
pub(crate) const CA_HASH_SEED: u64 = 0x6b75_6265_6164_6d00;

/// What brings cloud-controller-manager: also a file on the laptop.
pub(crate) const CLOUD_CONTROLLER: &str = include_str!("../../static/manifests/cloud-controller-manager.yaml");

/// How long kubeadm waits between two tries.
const RETRY: Duration = Duration::from_millis(500);

/// The manifest of a static pod for a node.
pub(crate) fn manifest(template: &str, facts: &Facts, node: &str, ip: &str) -> String {
    template
        .replace("HOST_IP", ip)
        .replace("NODE_NAME", node)
        .replace("SERVICE_CIDR", &facts.service_cidr)
        .replace("POD_CIDR", &facts.pod_cidr)
        .replace("INITIAL_CLUSTER", &facts.initial_cluster())
        .replace("ETCD_SERVERS", &facts.etcd_servers(ip))
}

impl Config {
    /// What kubeadm knows of the cluster.
    pub(crate) fn facts(&self) -> Facts {
        let first = self.nodes.iter().find(|n| n.control_plane).or(self.nodes.first());
        let members = self.nodes.iter().filter(|n| n.control_plane).take(self.etcd_members.max(1) as usize);
        Facts {
            endpoint: if self.has_balancer() {
                format!("https://{}:6443", crate::balancer::IP)
            } else {
                first.map_or_else(|| "https://172.18.0.2:6443".to_string(), |n| format!("https://{}:6443", n.ip))
            },
            pod_cidr: self.pod_cidr.to_string(),
            service_cidr: self.service_cidr.to_string(),
            members: members.map(|n| (n.name.to_string(), n.ip.to_string())).collect(),
            external_cloud: self.cloud.is_some(),
            local_etcd: self.has_balancer(),
            seed: self.seed().derive("kubeadm"),
        }
    }

    /// What lies on a machine's disk when it is switched on for the first time. `etcd`: a member is on it; `control_plane`: the
    /// rest of the control plane is.
    pub(crate) fn first_files(&self, node: &NodeConfig, etcd: bool, control_plane: bool) -> Vec<File> {
        let (facts, ip) = (self.facts(), node.ip.to_string());
        let mut files = kubeadm_files::kubelet_files(&facts, &ip);
        files.extend(kubeadm_files::kubelet_identity(&facts, &node.name, self.epoch));
        if etcd || control_plane {
            files.extend(kubeadm_files::certificates(&facts, &node.name, &ip, self.epoch));
        }
        let pods: Vec<&str> = STATIC_PODS.iter().map(|(name, _)| *name).collect();
        let here = pods.into_iter().filter(|pod| if *pod == "etcd" { etcd } else { control_plane }).collect::<Vec<_>>();
        files.extend(kubeadm_files::manifests(&facts, &here, &node.name, &ip));
        files
    }
}

/// One thing that kubeadm does to the API.
#[derive(Clone, Debug)]
enum Step {
    Ready,
    Create(Gvr, Object),
    /// Waits for the node to register, then marks it. True: the taint that it waits for the cloud with stays.
    MarkControlPlane(Rc<str>, bool),
}

/// `kubeadm init` after the kubelet has started: a client of kube-apiserver that works through its steps.
#[derive(Clone, Debug)]
pub struct Kubeadm {
    apiserver: Addr,
    credential: Credential,
    steps: Rc<Vec<Step>>,
    at: usize,
}

impl Kubeadm {
    pub fn new(apiserver: Addr, config: &Config) -> Kubeadm {
        let mut steps = vec![Step::Ready];
        for node in config.nodes.iter().filter(|n| n.control_plane) {
            steps.push(Step::MarkControlPlane(node.name.clone(), config.cloud.is_some()));
        }
        if config.cloud.as_ref().is_some_and(|c| c.controller) {
            steps.extend(objects(CLOUD_CONTROLLER).into_iter().map(|(gvr, object)| Step::Create(gvr, object)));
        }
        for addon in crate::addons::ADDONS.iter().filter(|a| config.extra_addons.iter().any(|name| **name == *a.name)) {
            steps.extend(objects(addon.manifest).into_iter().map(|(gvr, object)| Step::Create(gvr, object)));
        }
        if config.addons {
            steps.extend(addons(config).into_iter().map(|(gvr, object)| Step::Create(gvr, object)));
        }
        let user = UserInfo::new("kubernetes-super-admin", &["system:masters"]);
        Kubeadm { apiserver, credential: Credential::Certificate(Rc::new(user)), steps: Rc::new(steps), at: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.at >= self.steps.len()
    }

    pub fn handle(&mut self, _now: Time, message: Message, out: &mut Outbox) {
        match message.payload {
            Payload::Start | Payload::Timer(_) => self.go_on(out),
            Payload::ApiResponse { id, response } if id == self.at as u64 => {
                let done = response.is_success() || response.is_already_exists();
                if done {
                    self.at += 1;
                    self.go_on(out);
                } else {
                    out.timer(RETRY, self.at as u64);
                }
            }
            _ => {}
        }
    }

    fn go_on(&mut self, out: &mut Outbox) {
        let Some(step) = self.steps.get(self.at) else { return };
        let mut request = match step {
            Step::Ready => Request::get_path("/readyz"),
            Step::Create(gvr, object) => Request::create(*gvr, object.clone()),
            Step::MarkControlPlane(node, cloud) => {
                let key = ObjectKey::new("", node);
                Request::patch(apimachinery::resources::nodes(), &key, PatchType::StrategicMerge, control_plane_mark(*cloud))
            }
        };
        request.credential = self.credential.clone();
        request.user_agent = "kubeadm/v1.37.2 (linux/amd64) kubernetes".into();
        out.request(self.apiserver, self.at as u64, request);
    }
}

/// Labels and taints of a control-plane node. A patch replaces the whole list of taints.
pub(crate) fn control_plane_mark(cloud: bool) -> Value {
    let mut taints = vec![value!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"})];
    if cloud {
        let key = "node.cloudprovider.kubernetes.io/uninitialized";
        taints.push(value!({"key": key, "value": "true", "effect": "NoSchedule"}));
    }
    value!({
        "metadata": {"labels": {
            "node-role.kubernetes.io/control-plane": "", "node.kubernetes.io/exclude-from-external-load-balancers": ""
        }},
        "spec": {"taints": taints}
    })
}

/// The add-ons' objects: kube-proxy, the CNI plugin if one is wanted, CoreDNS.
fn addons(config: &Config) -> Vec<(Gvr, Object)> {
    let mut all = objects(ADDONS);
    if let Some(plugin) = config.cni {
        let at = all.iter().position(|(_, o)| o.name() == "coredns").unwrap_or(all.len());
        all.splice(at..at, objects(cni_manifest(plugin)));
    }
    all
}

/// The objects of one of our own manifests.
pub(crate) fn objects(manifest: &str) -> Vec<(Gvr, Object)> {
    let documents = yaml::parse_all(manifest).expect("our own manifests are YAML");
    let objects = documents.into_iter().filter_map(|(_, d)| Object::from_value(d.value));
    objects
        .map(|object| {
            let resource = schema::resource_for_kind(object.gvk()).expect("the add-ons are of built-in kinds");
            (resource.gvr, object)
        })
        .collect()
}
