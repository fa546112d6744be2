//! What of a cluster another release can bring back: etcd's keys, which machines there are, the files in the laptop's home.
//!
//! A cluster that begins with it comes up as after a power cut: every object is there as etcd had it, and everything that runs is
//! started anew by whoever is responsible for it. Left out by name: what is only in memory, containers' and nodes' files, etcd's
//! history, faults in force, who is a member of etcd by hand.

use std::rc::Rc;

use apimachinery::{Value, json, value};

use crate::cluster::Cluster;
use crate::config::{NodeConfig, node};
use crate::systemd::KUBELET_CONF;

type Text = Rc<str>;

/// The directory of the laptop that is kept, and how much of it.
const HOME: &str = "/root";
const MAX_HOME: usize = 1 << 20;

/// Everything that the next cluster begins with.
#[derive(Clone, PartialEq)]
pub struct Backup {
    pub(crate) nodes: Vec<NodeConfig>,
    /// Machines that were switched off.
    pub(crate) off: Vec<Text>,
    /// As `etcdctl snapshot save` writes it.
    pub(crate) etcd: Text,
    /// Path, contents, mode.
    pub(crate) home: Vec<(Text, Rc<Vec<u8>>, u16)>,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backup of {} bytes", self.etcd.len())
    }
}

impl Backup {
    /// What can be kept of a cluster. `None`: no member of etcd runs.
    pub fn of(cluster: &Cluster) -> Option<Backup> {
        let member = cluster.etcd_member()?;
        let mut size = 0;
        let home = cluster.machine("laptop").map(|m| m.files_below(HOME)).unwrap_or_default();
        let small = |(_, data, _): &(Text, Rc<Vec<u8>>, u16)| {
            size += data.len();
            size <= MAX_HOME
        };
        Some(Backup {
            nodes: cluster.nodes.values().map(|n| as_it_is(cluster, &n.config)).collect(),
            off: cluster.nodes.values().filter(|n| !n.powered).map(|n| n.config.name.clone()).collect(),
            etcd: etcd::backup::write(member),
            home: home.into_iter().filter(small).collect(),
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        // A tree packs better than its text.
        let lines: Vec<Value> = self.etcd.lines().filter_map(|l| json::parse(l.as_bytes()).ok()).collect();
        let off: Vec<Value> = self.off.iter().map(Value::from).collect();
        let home = self
            .home
            .iter()
            .map(|(path, data, mode)| value!({"path": path, "data": (crate::save::bytes(data)), "mode": (i64::from(*mode))}));
        let nodes: Vec<Value> = self.nodes.iter().map(node_to_value).collect();
        value!({"nodes": nodes, "off": off, "etcd": lines, "home": (home.collect::<Vec<_>>())})
    }

    /// `None`: it makes no sense.
    pub(crate) fn from_value(v: &Value) -> Option<Backup> {
        let mut text = String::new();
        for line in v.list_at(&["etcd"]) {
            json::write(line, &mut text);
            text.push('\n');
        }
        let padding = (etcd::backup::PAGE - text.len() % etcd::backup::PAGE) % etcd::backup::PAGE;
        text.extend(std::iter::repeat_n('\n', padding));
        etcd::backup::read(text.as_bytes())?;
        let file = |f: &Value| {
            let mode = u16::try_from(f.int_at(&["mode"])?).ok()?;
            let path = f.str_at(&["path"]).filter(|p| p.starts_with(HOME) && !p.contains("/../"))?;
            Some((Text::from(path), Rc::new(crate::save::from_bytes(f.get("data")?).to_vec()), mode))
        };
        let nodes: Vec<NodeConfig> =
            v.list_at(&["nodes"]).iter().enumerate().map(|(i, n)| node_from_value(i, n)).collect::<Option<_>>()?;
        Some(Backup {
            nodes,
            off: v.list_at(&["off"]).iter().filter_map(|n| n.as_rc_str().cloned()).collect(),
            etcd: text.into(),
            home: v.list_at(&["home"]).iter().map(file).collect::<Option<_>>()?,
        })
    }
}

/// A machine's configuration as it has become: a blank one that has joined a cluster is blank no more.
fn as_it_is(cluster: &Cluster, config: &NodeConfig) -> NodeConfig {
    let joined = cluster.machine(&config.name).is_some_and(|m| m.has_host_file(KUBELET_CONF));
    NodeConfig { blank: config.blank && !joined, ..config.clone() }
}

fn node_to_value(n: &NodeConfig) -> Value {
    let labels: Vec<Value> = n.labels.iter().map(|(k, v)| value!([k, v])).collect();
    value!({
        "name": (&n.name), "ip": (n.ip.to_string()), "cp": (n.control_plane), "cpu": (n.cpu_milli), "memory": (n.memory),
        "disk": (n.disk), "pods": (n.pods), "hollow": (n.hollow), "blank": (n.blank), "labels": labels
    })
}

fn node_from_value(i: usize, v: &Value) -> Option<NodeConfig> {
    let labels = v.list_at(&["labels"]).iter().map(|pair| match pair.items() {
        [k, v] => Some((k.as_rc_str()?.clone(), v.as_rc_str()?.clone())),
        _ => None,
    });
    Some(NodeConfig {
        ip: v.str_at(&["ip"])?.parse().ok()?,
        control_plane: v.bool_at(&["cp"])?,
        cpu_milli: v.int_at(&["cpu"]).filter(|n| (1..=10_000_000).contains(n))?,
        memory: v.int_at(&["memory"]).filter(|n| (0..=1 << 50).contains(n))?,
        disk: v.int_at(&["disk"]).unwrap_or(100 << 30).clamp(0, 1 << 50),
        pods: v.int_at(&["pods"]).filter(|n| (0..=100_000).contains(n))?,
        hollow: v.bool_at(&["hollow"])?,
        // Backups of earlier releases don't say.
        blank: v.bool_at(&["blank"]).unwrap_or(false),
        labels: labels.collect::<Option<_>>()?,
        ..node(i as u32, v.str_at(&["name"])?, false)
    })
}
