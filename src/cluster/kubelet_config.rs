//! What a kubelet is started with: its kubeconfig, `/var/lib/kubelet/config.yaml` and the words of its environment files, read from
//! the machine's disk when it starts, so that who edits them and restarts it sees the effect.
//!
//! Of the configuration `clusterDNS`, `clusterDomain`, `maxPods`, `staticPodPath` and what concerns eviction (`evictionHard`,
//! `evictionSoft` with its grace periods, `evictionPressureTransitionPeriod`, `mergeDefaultEvictionSettings`) have an effect; of the flags
//! `--cloud-provider=external`, `--hostname-override`, `--node-labels` and `--register-with-taints`. All others are named in the
//! journal when the kubelet starts.

use apimachinery::{Credential, Value, yaml};
use base::Duration;
use kubelet::{Amount, Signal, Threshold};
use sim::Addr;

use crate::cluster::Cluster;
use crate::kubeadm_files::KUBELET_CONFIGURATION;
use crate::process::Process;
use crate::systemd::{BOOTSTRAP_CONF, KUBELET_CONF, KUBELET_CONFIG};

impl Cluster {
    pub(crate) fn disk_text(&self, machine: &str, path: &str) -> Option<String> {
        let runtime = self.nodes.get(machine)?.runtime?;
        let Process::Machine(m) = &self.proc(runtime)?.process else { return None };
        m.read_host_file(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The words that the environment files add to the kubelet's command line.
    pub(crate) fn kubelet_flags(&self, machine: &str) -> Vec<String> {
        let files = ["/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet"];
        let texts = files.iter().filter_map(|path| self.disk_text(machine, path));
        texts.flat_map(|text| environment_words(&text)).collect()
    }

    /// Flags in the environment files that change nothing here.
    pub(crate) fn unused_flags(&self, machine: &str) -> Vec<String> {
        const USED: [&str; 6] =
            ["--cloud-provider", "--hostname-override", "--node-ip", "--node-labels", "--register-with-taints", "--v"];
        let flags = self.kubelet_flags(machine).into_iter();
        flags.map(|f| f.split('=').next().unwrap_or_default().to_string()).filter(|f| !USED.contains(&&**f)).collect()
    }

    /// Fields of the configuration that kubeadm doesn't write like that and that change nothing here; or that it can't be read.
    pub(crate) fn unused_configuration(&self, machine: &str) -> Vec<String> {
        const USED: [&str; 10] = [
            "clusterDNS",
            "clusterDomain",
            "maxPods",
            "staticPodPath",
            "evictionHard",
            "evictionSoft",
            "evictionSoftGracePeriod",
            "evictionMaxPodGracePeriod",
            "evictionPressureTransitionPeriod",
            "mergeDefaultEvictionSettings",
        ];
        let Some(text) = self.disk_text(machine, KUBELET_CONFIG).filter(|text| text != KUBELET_CONFIGURATION) else {
            return Vec::new();
        };
        let (Ok(written), Ok(usual)) = (yaml::parse(&text), yaml::parse(KUBELET_CONFIGURATION)) else {
            return vec![KUBELET_CONFIG.into()];
        };
        let fields = written.value.as_map().into_iter().flat_map(|fields| fields.iter());
        let unused = fields.filter(|(name, value)| !USED.contains(&&**name) && usual.value.get(name) != Some(value));
        let signals = ["evictionHard", "evictionSoft"].into_iter().flat_map(|field| {
            let set = written.value.at(&[field]).and_then(Value::as_map).into_iter().flat_map(|signals| signals.iter());
            let is_read = |v: &Value| v.as_str().and_then(Amount::parse).is_some();
            set.filter(move |(signal, v)| Signal::parse(signal).is_none() || !is_read(v))
                .map(move |(signal, _)| format!("{field}.{signal}"))
        });
        let names = unused.map(|(name, _)| name.to_string()).chain(signals);
        names.map(|name| format!("{name} of {KUBELET_CONFIG}")).collect()
    }

    /// Reads what is on the disk of the kubelet's machine. A hollow kubelet has none.
    pub(crate) fn configure_kubelet(&self, config: &mut kubelet::Config) {
        let machine = config.node_name.clone();
        if self.nodes.get(&machine).is_none_or(|n| n.runtime.is_none()) {
            return;
        }
        let bootstraps = self.disk_text(&machine, KUBELET_CONF).is_none();
        let path = if bootstraps { BOOTSTRAP_CONF } else { KUBELET_CONF };
        if let Some(text) = self.disk_text(&machine, path) {
            if let Some(addr) = server_of(&text).and_then(|url| self.apiserver_at(&url)) {
                config.client.apiserver = addr;
            }
            if bootstraps {
                config.bootstrap = Some(Credential::Bearer(value_of(&text, "token:").unwrap_or_default().as_str().into()));
            }
        }
        match self.disk_text(&machine, KUBELET_CONFIG) {
            Some(text) if text != KUBELET_CONFIGURATION => apply(&text, config),
            _ => {}
        }
        for flag in self.kubelet_flags(&machine) {
            let Some((name, value)) = flag.split_once('=') else { continue };
            match name {
                "--cloud-provider" => config.external_cloud = value == "external",
                "--node-labels" => {
                    let pairs = value.split(',').filter_map(|p| p.split_once('='));
                    config.labels.extend(pairs.map(|(k, v)| (k.into(), v.into())));
                }
                // The machine's certificate still has the machine's own name.
                "--hostname-override" if !value.is_empty() => config.node_name = value.into(),
                "--register-with-taints" => {
                    let taints = value.split(',').filter_map(|t| t.rsplit_once(':'));
                    config.taints = taints
                        .map(|(pair, effect)| {
                            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                            (key.into(), value.into(), effect.into())
                        })
                        .collect();
                }
                _ => {}
            }
        }
    }

    /// The machine that a kubelet's kubeconfig leads to may become a control plane later: its kube-apiserver has an address.
    pub(crate) fn place_apiserver_of(&mut self, machine: &str) {
        if !self.config.static_pods {
            return;
        }
        let text = [KUBELET_CONF, BOOTSTRAP_CONF].iter().find_map(|path| self.disk_text(machine, path));
        let Some(url) = text.and_then(|t| server_of(&t)).filter(|url| self.apiserver_at(url).is_none()) else { return };
        let ip = url.strip_prefix("https://").and_then(|h| h.rsplit_once(':')?.0.parse().ok());
        let Some(there) = ip.and_then(|ip| self.ips.get(&ip)).and_then(|a| self.proc(*a)).map(|p| p.machine.clone()) else {
            return;
        };
        if self.nodes.contains_key(&there) {
            let addr = self.add_proc(&format!("kube-apiserver/{there}"), &there, Process::Stopped);
            self.tell_machines_of(addr, &there);
        }
    }

    /// All shells find another kube-apiserver at its machine's address.
    fn tell_machines_of(&mut self, apiserver: Addr, machine: &str) {
        self.tell_machines(machine, |m, ip| m.set_apiserver_at(apiserver, ip));
    }

    /// Tells all machines of something at the address of one.
    pub(crate) fn tell_machines(&mut self, machine: &str, tell: impl Fn(&mut container_runtime::Runtime, std::net::IpAddr)) {
        let Some(ip) = self.nodes.get(machine).map(|n| n.config.ip) else { return };
        let machines: Vec<Addr> = self.nodes.values().filter_map(|n| n.runtime).chain([self.laptop]).collect();
        for addr in machines {
            self.with_proc(addr, |p| {
                if let Process::Machine(m) = &mut p.process {
                    tell(m, ip);
                }
            });
        }
    }

    /// The process that listens at `https://ADDRESS:6443`. `None`: nobody ever did.
    pub(crate) fn apiserver_at(&self, url: &str) -> Option<Addr> {
        if !self.config.static_pods {
            // A control plane that simply runs is on no node's machine, whatever its address.
            return Some(self.apiserver);
        }
        let (host, _) = url.strip_prefix("https://")?.rsplit_once(':')?;
        let listener = *self.ips.get(&host.parse().ok()?)?;
        let proc = self.proc(listener)?;
        self.addr(&format!("kube-apiserver/{}", proc.machine)).or_else(|| self.balancer_at(listener))
    }

    /// Whether a load balancer has this address.
    fn balancer_at(&self, listener: Addr) -> Option<Addr> {
        self.proc(listener).is_some_and(|p| p.component() == "load-balancer").then_some(listener)
    }
}

/// `server:` of a kubeconfig's first cluster.
pub(crate) fn server_of(kubeconfig: &str) -> Option<String> {
    value_of(kubeconfig, "server:")
}

fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|l| l.trim_start_matches([' ', '-']).strip_prefix(key)).map(|v| v.trim().to_string())
}

/// `NAME="words and words"`
fn environment_words(text: &str) -> Vec<String> {
    let values = text.lines().filter_map(|l| l.split_once('=')).filter(|(name, _)| !name.trim_start().starts_with('#'));
    values.flat_map(|(_, v)| v.trim().trim_matches('"').split_whitespace().map(String::from).collect::<Vec<_>>()).collect()
}

/// Thresholds of the signals that are modelled. Who sets one hard one sets them all, unless the defaults are to be merged in.
fn apply_eviction(v: &Value, config: &mut kubelet::Config) {
    let duration = |path: &[&str]| v.str_at(path).and_then(seconds_of);
    let amount = |field: &str, signal: Signal| v.str_at(&[field, signal.name()]).and_then(Amount::parse);
    let merge = v.bool_at(&["mergeDefaultEvictionSettings"]) == Some(true);
    if v.get("evictionHard").is_some() {
        config.eviction.retain(|t| merge && v.str_at(&["evictionHard", t.signal.name()]).is_none());
    }
    for signal in Signal::ALL {
        config.eviction.extend(amount("evictionHard", signal).map(|amount| Threshold::hard(signal, amount)));
    }
    for signal in Signal::ALL {
        let grace = duration(&["evictionSoftGracePeriod", signal.name()]);
        let soft = amount("evictionSoft", signal).filter(|_| grace.is_some());
        config.eviction.extend(soft.map(|amount| Threshold { signal, amount, grace }));
    }
    config.eviction_max_pod_grace_s = v.int_at(&["evictionMaxPodGracePeriod"]).unwrap_or(0);
    if let Some(period) = duration(&["evictionPressureTransitionPeriod"]).filter(|d| *d > Duration::ZERO) {
        config.eviction_pressure_transition = period;
    }
}

/// `1m30s`
fn seconds_of(text: &str) -> Option<Duration> {
    let (mut total, mut number) = (0i64, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() || text == "0").then_some(Duration::from_secs(total))
}

fn apply(text: &str, config: &mut kubelet::Config) {
    let Ok(document) = yaml::parse(text) else { return };
    let v = document.value;
    if let Some(path) = v.str_at(&["staticPodPath"]).filter(|p| p.starts_with('/') && p.len() > 1) {
        config.static_pod_path = path.trim_end_matches('/').into();
    }
    if let Some(n) = v.int_at(&["maxPods"]).filter(|n| *n > 0) {
        config.max_pods = n;
    }
    if let Some(domain) = v.str_at(&["clusterDomain"]) {
        config.cluster_domain = domain.into();
    }
    apply_eviction(&v, config);
    let servers = v.list_at(&["clusterDNS"]);
    if !servers.is_empty() {
        config.cluster_dns = servers.iter().filter_map(Value::as_str).map(Into::into).collect();
    }
}
