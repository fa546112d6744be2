//! What a cluster is made from: nodes and their sizes, address ranges, flags, epoch, seed; by name or from YAML.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use apimachinery::{Value, yaml};
use base::{Seed, Time};

type Text = Rc<str>;

/// A machine of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    pub name: Text,
    pub ip: IpAddr,
    pub control_plane: bool,
    /// Millicores.
    pub cpu_milli: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes of the one disk: capacity of `ephemeral-storage`.
    pub disk: i64,
    pub pods: i64,
    /// A simulated node without containers: its pods are Running at once.
    pub hollow: bool,
    pub labels: Vec<(Text, Text)>,
    /// A machine with containerd and the kubelet's program, that belongs to no cluster yet.
    pub blank: bool,
}

/// The cloud that the machines are rented from.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudConfig {
    /// Machines are spread over them in turn.
    pub zones: Vec<Text>,
    pub region: Text,
    /// kubeadm's add-ons include cloud-controller-manager.
    pub controller: bool,
}

impl Default for CloudConfig {
    fn default() -> CloudConfig {
        CloudConfig { zones: vec!["bottle-1a".into(), "bottle-1b".into()], region: "bottle-1".into(), controller: true }
    }
}

/// A cluster's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub name: Text,
    pub seed: u64,
    pub epoch: Time,
    pub nodes: Vec<NodeConfig>,
    pub pod_cidr: Text,
    pub service_cidr: Text,
    /// Prefix length of a node's pod range.
    pub node_cidr_mask: u32,
    /// kubeadm's add-ons: CoreDNS, kube-proxy, and the CNI plugin if there is one.
    pub addons: bool,
    /// Those of [`crate::addons::ADDONS`] that kubeadm applies as well, by name.
    pub extra_addons: Vec<Text>,
    /// The CNI plugin; without one, nodes stay NotReady until its manifest is applied. Without add-ons each node has a bridge
    /// that was configured by hand, if anything.
    pub cni: Option<cni::Plugin>,
    /// Without add-ons: kube-proxy runs bare on every machine, as a unit of systemd.
    pub kube_proxy: bool,
    /// The control plane runs as static pods of a kubelet; else its components simply run (as `wire` and `recorded` have it).
    pub static_pods: bool,
    /// Control-plane nodes with a kube-apiserver, a controller manager and a scheduler each: 1, 3 or 5. Several have a load balancer
    /// in front, and each a member of etcd.
    pub control_planes: u32,
    /// A load balancer is in front of the control plane even if that is one: it can grow by `kubeadm join --control-plane`.
    pub load_balancer: bool,
    /// Members of etcd: 1, 3 or 5. As static pods they are on that many control-plane nodes.
    pub etcd_members: u32,
    /// Whether controllers, scheduler and kubelets run.
    pub controllers: bool,
    /// Client-side rate limits of controllers: requests per second and burst; 0: none.
    pub kube_api_qps: u32,
    pub kube_api_burst: u32,
    /// Images are on the nodes already.
    pub images_present: bool,
    /// The machines are rented from a cloud: kubelets wait for its controller.
    pub cloud: Option<CloudConfig>,
    /// What was there before: the keys of etcd, the laptop's home.
    pub backup: Option<Rc<crate::backup::Backup>>,
    /// The scheduler started before kube-apiserver listed `events.k8s.io`, and so writes events of the core group.
    pub core_scheduler_events: bool,
}

const GI: i64 = 1 << 30;

/// The names that [`Config::named`] knows.
pub const NAMES: [&str; 7] = ["demo", "ha", "cloud", "recorded", "wire", "kubelet", "hollow"];

impl Config {
    fn base(name: &str) -> Config {
        Config {
            name: name.into(),
            seed: 1,
            epoch: Time::from_civil(2026, 1, 1, 0, 0, 0),
            nodes: Vec::new(),
            pod_cidr: "10.244.0.0/16".into(),
            service_cidr: "10.96.0.0/12".into(),
            node_cidr_mask: 24,
            addons: true,
            extra_addons: Vec::new(),
            cni: Some(cni::Plugin::Flannel),
            kube_proxy: false,
            static_pods: true,
            control_planes: 1,
            load_balancer: false,
            etcd_members: 1,
            controllers: true,
            kube_api_qps: 20,
            kube_api_burst: 30,
            images_present: false,
            core_scheduler_events: false,
            cloud: None,
            backup: None,
        }
    }

    /// The same with the machines and keys of another cluster's backup.
    pub(crate) fn beginning_with(self, backup: Rc<crate::backup::Backup>) -> Config {
        Config { nodes: backup.nodes.clone(), backup: Some(backup), ..self }
    }

    /// A built-in configuration.
    pub fn named(name: &str) -> Option<Config> {
        let base = Config::base(name);
        Some(match name {
            // The page's: one control-plane node, two workers.
            "demo" => Config { nodes: vec![node(0, "cp-1", true), node(1, "node-1", false), node(2, "node-2", false)], ..base },
            // Three control-plane nodes, each with a whole control plane, and a load balancer in front.
            "ha" => Config {
                nodes: vec![
                    node(0, "cp-1", true),
                    node(1, "cp-2", true),
                    node(2, "cp-3", true),
                    node(3, "node-1", false),
                    node(4, "node-2", false),
                ],
                control_planes: 3,
                etcd_members: 3,
                ..base
            },
            // The page's, on machines of a cloud with two zones.
            "cloud" => Config { name: name.into(), cloud: Some(CloudConfig::default()), ..Config::named("demo")? },
            // That of the recorded scenarios: hollow nodes, no add-ons.
            "recorded" => Config {
                nodes: (1..=3)
                    .map(|n| NodeConfig { hollow: true, memory: 8 * GI, ..node(n, &format!("node-{n}"), false) })
                    .collect(),
                addons: false,
                static_pods: false,
                ..base
            },
            "wire" => Config { addons: false, static_pods: false, ..base },
            // That of the recorded kubelet: one node of 2 CPUs.
            "kubelet" => Config {
                nodes: vec![NodeConfig { cpu_milli: 2000, ..node(0, "node-1", false) }],
                addons: false,
                static_pods: false,
                images_present: true,
                ..base
            },
            // Large hollow nodes, ten or `hollow-N`: what benches begin with.
            _ => Config::hollow(hollow_nodes(name)?),
        })
    }

    /// Hollow nodes for benches: a range large enough, no client-side limits.
    pub fn hollow(nodes: u32) -> Config {
        let base = Config::base("hollow");
        let list = (1..=nodes).map(|n| NodeConfig {
            hollow: true,
            cpu_milli: 32_000,
            memory: 256 * GI,
            ..node(n, &format!("node-{n}"), false)
        });
        Config {
            nodes: list.collect(),
            pod_cidr: "10.0.0.0/11".into(),
            service_cidr: "10.96.0.0/12".into(),
            addons: false,
            static_pods: false,
            kube_api_qps: 0,
            ..base
        }
    }

    /// From YAML: the members of [`Config`] in camelCase; `base` names a built-in one to start from.
    ///
    /// # Errors
    /// One sentence for the first mistake.
    pub fn from_yaml(text: &str) -> Result<Config, String> {
        let documents = yaml::parse_all(text).map_err(|e| e.to_string())?;
        let [(_, document)] = documents.as_slice() else { return Err("a cluster configuration is one YAML document".into()) };
        from_value(&document.value)
    }
}

/// `hollow` or `hollow-N` with N up to 5,000.
fn hollow_nodes(name: &str) -> Option<u32> {
    match name.strip_prefix("hollow")? {
        "" => Some(10),
        number => number.strip_prefix('-')?.parse().ok().filter(|n| (1..=5_000).contains(n)),
    }
}

fn from_value(value: &Value) -> Result<Config, String> {
    let fields = value.as_map().ok_or("a cluster configuration is a map")?;
    let base = value.str_at(&["base"]).unwrap_or("demo");
    let mut config =
        Config::named(base).ok_or_else(|| format!("base: unknown configuration {base:?} (there are {})", NAMES.join(", ")))?;
    for (name, v) in fields {
        let text = || v.as_str().map(Text::from).ok_or_else(|| format!("{name}: must be a string"));
        let flag = || v.as_bool().ok_or_else(|| format!("{name}: must be true or false"));
        let number = || v.as_i64().filter(|n| *n >= 0).ok_or_else(|| format!("{name}: must be a number"));
        match &**name {
            "base" => {}
            "name" => config.name = text()?,
            "seed" => config.seed = number()? as u64,
            "epoch" => config.epoch = Time::parse(&text()?).ok_or("epoch: must be a time like 2026-01-01T00:00:00Z")?,
            "podCIDR" => config.pod_cidr = ranges(name, &text()?)?,
            "serviceCIDR" => config.service_cidr = ranges(name, &text()?)?,
            "nodeCIDRMaskSize" => config.node_cidr_mask = number()? as u32,
            "addons" => match v.as_bool() {
                Some(on) => config.addons = on,
                None => config.extra_addons = extra_addons(v)?,
            },
            "cni" => config.cni = plugin(&text()?)?,
            "kubeProxy" => config.kube_proxy = flag()?,
            "staticPods" => config.static_pods = flag()?,
            "controllers" => config.controllers = flag()?,
            "kubeAPIQPS" => config.kube_api_qps = number()? as u32,
            "kubeAPIBurst" => config.kube_api_burst = number()? as u32,
            "imagesPresent" => config.images_present = flag()?,
            "coreSchedulerEvents" => config.core_scheduler_events = flag()?,
            "controlPlanes" => match number()? {
                n @ (1 | 3 | 5) => (config.control_planes, config.etcd_members) = (n as u32, n as u32),
                _ => return Err("controlPlanes: must be 1, 3 or 5".into()),
            },
            "loadBalancer" => config.load_balancer = flag()?,
            "etcd" => config.etcd_members = etcd_members(v)?,
            "cloud" => config.cloud = Some(cloud(v)?),
            "workers" => {
                let n = number()?;
                if n > 5000 {
                    return Err("workers: at most 5000".into());
                }
                // As the base has them: of its size, hollow or not.
                let model = config.nodes.iter().rfind(|n| !n.control_plane).cloned();
                config.nodes.retain(|n| n.control_plane);
                config.nodes.extend((1..=n as u32).map(|n| worker(n, model.as_ref())));
            }
            "nodes" => config.nodes = v.items().iter().enumerate().map(|(i, n)| node_from(i, n)).collect::<Result<_, _>>()?,
            other => return Err(format!("unknown field {other:?}")),
        }
    }
    if config.load_balancer && !config.static_pods {
        return Err("loadBalancer: there is one in front of control planes that are static pods".into());
    }
    if config.control_planes > 1 && (!config.static_pods || config.etcd_members != config.control_planes) {
        return Err("controlPlanes: several control planes are static pods with a member of etcd each".into());
    }
    place_etcd(&mut config);
    check_families(&config)?;
    Ok(config)
}

/// `addons: [local-path]`: besides kubeadm's own.
fn extra_addons(value: &Value) -> Result<Vec<Text>, String> {
    let known = || crate::addons::ADDONS.iter().map(|a| a.name);
    let names = value.items().iter().map(|v| match v.as_rc_str() {
        Some(name) if known().any(|known| known == &**name) => Ok(name.clone()),
        other => {
            let all = known().collect::<Vec<_>>().join(", ");
            Err(format!("addons: unknown add-on {:?} (there are {all})", other.map_or("", |n| n)))
        }
    });
    if value.items().is_empty() {
        return Err("addons: must be true, false or a list of names".into());
    }
    names.collect()
}

/// The `n`-th worker, of the size of `model`.
fn worker(n: u32, model: Option<&NodeConfig>) -> NodeConfig {
    let plain = node(n, &format!("node-{n}"), false);
    match model {
        Some(m) => NodeConfig { name: plain.name, ip: plain.ip, ..m.clone() },
        None => plain,
    }
}

/// `10.244.0.0/16`, or with a second family `10.244.0.0/16,fd00:10:244::/56`.
fn ranges(name: &str, text: &str) -> Result<Text, String> {
    let mut families = Vec::new();
    for cidr in text.split(',') {
        let (ip, bits) = apimachinery::validation::parse_cidr(cidr).ok_or_else(|| format!("{name}: {cidr:?} is not a range"))?;
        let fits = match (name, ip.is_ipv6()) {
            ("podCIDR", true) => bits <= 64,
            (_, true) => bits >= 108,
            _ => true,
        };
        if !fits {
            return Err(format!(
                "{name}: of IPv6 a pod range has at most 64 bits (a node gets a /64) and a service range at least 108"
            ));
        }
        families.push(ip.is_ipv6());
    }
    match families.as_slice() {
        [false] | [false, true] => Ok(text.into()),
        _ => Err(format!(
            "{name}: one IPv4 range, or one of IPv4 and one of IPv6 in this order: IPv6 alone or first is not in this bottle"
        )),
    }
}

/// Both ranges have the same families.
fn check_families(config: &Config) -> Result<(), String> {
    match config.pod_cidr.contains(',') == config.service_cidr.contains(',') {
        true => Ok(()),
        false => Err("podCIDR and serviceCIDR: either both have a range of IPv6 or none".into()),
    }
}

/// `cni: calico`
fn plugin(name: &str) -> Result<Option<cni::Plugin>, String> {
    use cni::Plugin;
    match [Plugin::Bridge, Plugin::Flannel, Plugin::Calico].into_iter().find(|p| p.name() == name) {
        None if name != "none" => Err(format!("cni: unknown plugin {name:?} (there are bridge, flannel, calico, none)")),
        found => Ok(found),
    }
}

/// `cloud: {zones: [a, b], region: r, controller: true}`
fn cloud(value: &Value) -> Result<CloudConfig, String> {
    let mut cloud = CloudConfig::default();
    for (name, v) in value.as_map().ok_or("cloud: must be a map")? {
        match &**name {
            "zones" => cloud.zones = v.items().iter().filter_map(|z| z.as_rc_str().cloned()).collect(),
            "region" => cloud.region = v.as_str().ok_or("cloud.region: must be a string")?.into(),
            "controller" => cloud.controller = v.as_bool().ok_or("cloud.controller: must be true or false")?,
            other => return Err(format!("cloud: unknown field {other:?}")),
        }
    }
    match cloud.zones.is_empty() {
        true => Err("cloud.zones: must name at least one zone".into()),
        false => Ok(cloud),
    }
}

/// `etcd: {members: 3}`
fn etcd_members(value: &Value) -> Result<u32, String> {
    let fields = value.as_map().ok_or("etcd: must be a map")?;
    if let Some((other, _)) = fields.iter().find(|(name, _)| **name != *"members") {
        return Err(format!("etcd: unknown field {other:?}"));
    }
    match value.int_at(&["members"]) {
        None => Ok(1),
        Some(n @ (1 | 3 | 5)) => Ok(n as u32),
        Some(_) => Err("etcd.members: must be 1, 3 or 5".into()),
    }
}

/// Every member that is a static pod has a control-plane node: those that are missing are added.
fn place_etcd(config: &mut Config) {
    if !config.static_pods || config.etcd_members <= 1 {
        return;
    }
    let mut n = 1;
    while config.nodes.iter().filter(|n| n.control_plane).count() < config.etcd_members as usize {
        n += 1;
        let name = format!("cp-{n}");
        if config.nodes.iter().all(|node| *node.name != *name) {
            let at = config.nodes.iter().filter(|n| n.control_plane).count();
            config.nodes.insert(at, node(200 + n, &name, true));
        }
    }
}

fn node_from(i: usize, value: &Value) -> Result<NodeConfig, String> {
    let name = value.str_at(&["name"]).ok_or_else(|| format!("nodes[{i}].name: Required value"))?;
    let mut config = node(i as u32, name, false);
    for (field, v) in value.as_map().into_iter().flatten() {
        let quantity = || {
            let text = v.as_str().map(str::to_string).or_else(|| v.as_i64().map(|n| n.to_string())).unwrap_or_default();
            apimachinery::quantity::Quantity::parse(&text).map_err(|e| format!("nodes[{i}].{field}: {e:?}"))
        };
        match &**field {
            "name" => {}
            "controlPlane" => config.control_plane = v.as_bool() == Some(true),
            "blank" => config.blank = v.as_bool() == Some(true),
            "hollow" => config.hollow = v.as_bool() == Some(true),
            "cpu" => config.cpu_milli = quantity()?.milli_value(),
            "memory" => config.memory = quantity()?.value(),
            "disk" => config.disk = quantity()?.value().max(0),
            "pods" => config.pods = v.as_i64().unwrap_or(110),
            "ip" => {
                config.ip = v.as_str().and_then(|s| s.parse().ok()).ok_or_else(|| format!("nodes[{i}].ip: must be an address"))?
            }
            "labels" => {
                let labels = v.as_map().into_iter().flatten();
                config.labels = labels.map(|(k, v)| (k.clone(), v.as_str().unwrap_or("").into())).collect();
            }
            other => return Err(format!("nodes[{i}]: unknown field {other:?}")),
        }
    }
    Ok(config)
}

/// The `n`-th machine: 172.18.0.2 and up (past 250 in the following networks of the /16).
pub fn node(n: u32, name: &str, control_plane: bool) -> NodeConfig {
    let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 18, 0, 2)) + n);
    NodeConfig {
        name: name.into(),
        ip: ip.into(),
        control_plane,
        cpu_milli: 4000,
        memory: 8 * GI,
        disk: 100 * GI,
        pods: 110,
        hollow: false,
        labels: Vec::new(),
        blank: false,
    }
}

impl Config {
    /// The IPv6 address of the machine that has an IPv4 address, in a cluster of both families.
    pub fn second_address(&self, ip: IpAddr) -> Option<IpAddr> {
        let IpAddr::V4(ip) = ip else { return None };
        let last = u32::from(ip) as u16;
        self.pod_cidr.contains(',').then(|| Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, last).into())
    }

    /// Whether kubeconfigs lead to a load balancer.
    pub fn has_balancer(&self) -> bool {
        self.control_planes > 1 || self.load_balancer
    }

    pub fn seed(&self) -> Seed {
        Seed(self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_etcd_bring_their_nodes() {
        let names = |c: &Config| c.nodes.iter().map(|n| n.name.to_string()).collect::<Vec<_>>().join(" ");
        let config = Config::from_yaml("etcd: {members: 3}").unwrap();
        assert_eq!((config.etcd_members, names(&config).as_str()), (3, "cp-1 cp-2 cp-3 node-1 node-2"));
        let bare = Config::from_yaml("base: recorded\netcd: {members: 5}").unwrap();
        assert_eq!(bare.etcd_machines("control-plane").len(), 5);
        assert_eq!(Config::from_yaml("etcd: {members: 2}").unwrap_err(), "etcd.members: must be 1, 3 or 5");
        let both = "podCIDR: '10.244.0.0/16,fd00:10:244::/56'\nserviceCIDR: '10.96.0.0/16,fd00:10:96::/112'";
        let config = Config::from_yaml(both).unwrap();
        assert_eq!(config.second_address([172, 18, 0, 3].into()).unwrap().to_string(), "fd00:172:18::3");
        assert!(
            Config::from_yaml("podCIDR: '10.244.0.0/16,fd00:10:244::/56'").unwrap_err().starts_with("podCIDR and serviceCIDR")
        );
        assert!(Config::from_yaml("podCIDR: 'fd00:10:244::/56'").unwrap_err().contains("not in this bottle"));
        assert_eq!(Config::from_yaml("cni: calico").unwrap().cni, Some(cni::Plugin::Calico));
        assert_eq!(Config::from_yaml("cni: none").unwrap().cni, None);
        assert_eq!(
            Config::from_yaml("cni: weave").unwrap_err(),
            "cni: unknown plugin \"weave\" (there are bridge, flannel, calico, none)"
        );
        assert_eq!(Config::from_yaml("etcd: {size: 3}").unwrap_err(), "etcd: unknown field \"size\"");
    }
}
