//! What `kubeadm init` and `kubeadm join` leave behind: manifests on the control-plane node's disk before the kubelet starts, and
//! objects in the API once kube-apiserver answers (labels and taint of the control-plane node, kube-proxy, CoreDNS, the CNI agent).
//!
//! Left out by name: certificates as files, bootstrap tokens and CSRs, `upgrade`, `reset`.

use std::rc::Rc;

use apimachinery::{Credential, Gvr, Object, ObjectKey, PatchType, Request, UserInfo, Value, schema, value, yaml};
use base::{Duration, Time};
use sim::{Addr, Message, Outbox, Payload};

use crate::config::{Config, NodeConfig};

/// Names of the static pods, in the order in which kubeadm writes them.
pub const STATIC_PODS: [(&str, &str); 4] = [
    ("etcd", include_str!("../../static/manifests/etcd.yaml")),
    ("kube-apiserver", include_str!("../../static/manifests/kube-apiserver.yaml")),
    ("kube-controller-manager", include_str!("../../static/manifests/kube-controller-manager.yaml")),
    ("kube-scheduler", include_str!("../../static/manifests/kube-scheduler.yaml")),
];

const ADDONS: &str = include_str!("../../static/manifests/addons.yaml");

/// How long kubeadm waits between two tries.
const RETRY: Duration = Duration::from_millis(500);

/// The manifest of a static pod for a node.
pub fn manifest(template: &str, node: &NodeConfig, config: &Config) -> String {
    template
        .replace("HOST_IP", &node.ip.to_string())
        .replace("NODE_NAME", &node.name)
        .replace("SERVICE_CIDR", &config.service_cidr)
        .replace("POD_CIDR", &config.pod_cidr)
        .replace("INITIAL_CLUSTER", &config.initial_cluster())
        .replace("ETCD_SERVERS", &config.etcd_servers())
}

/// One thing that kubeadm does to the API.
#[derive(Clone, Debug)]
enum Step {
    Ready,
    Create(Gvr, Object),
    /// Waits for the node to register, then marks it.
    MarkControlPlane(Rc<str>),
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
            steps.extend(addons().into_iter().map(|(gvr, object)| Step::Create(gvr, object)));
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
            Step::MarkControlPlane(node) => {
                let key = ObjectKey::new("", node);
                Request::patch(apimachinery::resources::nodes(), &key, PatchType::StrategicMerge, control_plane_mark())
            }
        };
        request.credential = self.credential.clone();
        request.user_agent = "kubeadm/v1.37.2 (linux/amd64) kubernetes".into();
        out.request(self.apiserver, self.at as u64, request);
    }
}

fn control_plane_mark() -> Value {
    value!({
        "metadata": {"labels": {
            "node-role.kubernetes.io/control-plane": "", "node.kubernetes.io/exclude-from-external-load-balancers": ""
        }},
        "spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}
    })
}

/// The add-ons' objects.
fn addons() -> Vec<(Gvr, Object)> {
    let documents = yaml::parse_all(ADDONS).expect("the add-ons' manifests are YAML");
    let objects = documents.into_iter().filter_map(|(_, d)| Object::from_value(d.value));
    objects
        .map(|object| {
            let resource = schema::resource_for_kind(object.gvk()).expect("the add-ons are of built-in kinds");
            (resource.gvr, object)
        })
        .collect()
}
