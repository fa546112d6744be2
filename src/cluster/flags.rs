//! The command lines of the control plane's components. Models pflag, as the components' `main` uses it.
//!
//! A flag that Kubernetes doesn't know ends the component, with pflag's words in the container's log; so does a value that its type
//! can't be. What has an effect here is set; a flag that Kubernetes knows and the bottle doesn't model is named in the log, so that
//! nobody waits for its effect. Left out: feature gates, `--config` of the scheduler, TLS and its files.

use std::rc::Rc;

use apimachinery::field::go_quote;
use base::Duration;

type Text = Rc<str>;

/// Names of all flags there are: a line for each component.
const KNOWN: &str = include_str!("../../static/flags.txt");

/// Flags that are in kubeadm's manifests and need no effect here: addresses, ports and TLS.
const SILENT: &[&str] = &[
    "allow-privileged",
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "authorization-mode",
    "bind-address",
    "client-ca-file",
    "cluster-name",
    "cluster-signing-cert-file",
    "cluster-signing-key-file",
    "enable-bootstrap-token-auth",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "kubeconfig",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "kubelet-preferred-address-types",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "requestheader-allowed-names",
    "requestheader-client-ca-file",
    "requestheader-extra-headers-prefix",
    "requestheader-group-headers",
    "requestheader-username-headers",
    "root-ca-file",
    "service-account-key-file",
    "service-account-private-key-file",
    "service-account-signing-key-file",
    "tls-cert-file",
    "tls-private-key-file",
    "v",
];

/// Flags with a fixed value in kubeadm's manifests: that value needs no word.
const USUAL: &[(&str, &str)] = &[("secure-port", "6443"), ("controllers", "*,bootstrapsigner,tokencleaner")];

/// What a component does with a flag's value.
enum Kind<'a> {
    Bool(&'a mut bool),
    Text(&'a mut Text),
    List(&'a mut Vec<Text>),
    Number(&'a mut i64),
    Duration(&'a mut Duration),
}

/// The flags of one start, read against what the component can be told.
pub(crate) struct Flags<'a> {
    program: &'a str,
    given: Vec<(Text, Option<Text>)>,
    /// What the log should say: flags without effect.
    pub unused: Vec<Text>,
    /// `--etcd-servers`, as URLs.
    pub etcd_servers: Vec<Text>,
}

impl<'a> Flags<'a> {
    /// # Errors
    /// What the component says before it exits.
    pub fn parse(program: &'a str, args: &[Text]) -> Result<Flags<'a>, String> {
        let mut given: Vec<(Text, Option<Text>)> = Vec::new();
        let mut words = args.iter().peekable();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|f| !f.is_empty()) else {
                return Err(format!("unknown command {} for {}", go_quote(word), go_quote(program)));
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(Text::from(value))),
                // A value may follow as a word of its own.
                None => (flag, words.next_if(|next| !next.starts_with('-')).cloned()),
            };
            if !is_known(program, name) {
                let dash = if word.starts_with("--") { "flag: --" } else { "shorthand flag: '" };
                let end = if word.starts_with("--") { String::new() } else { format!("' in {word}") };
                let name = if word.starts_with("--") { name } else { &name[..name.chars().next().map_or(0, char::len_utf8)] };
                return Err(format!("unknown {dash}{name}{end}"));
            }
            given.push((name.into(), value));
        }
        let unused = given.iter().filter(|(n, v)| !is_silent(n, v.as_deref())).map(|(n, _)| n.clone()).collect();
        Ok(Flags { program, given, unused, etcd_servers: Vec::new() })
    }

    /// Sets what has an effect. The last of several counts, as in pflag.
    fn set(&mut self, name: &str, kind: Kind<'_>) -> Result<(), String> {
        self.unused.retain(|n| **n != *name);
        let Some((_, value)) = self.given.iter().rev().find(|(n, _)| **n == *name) else { return Ok(()) };
        let text = match (&kind, value) {
            (_, Some(text)) => &**text,
            (Kind::Bool(_), None) => "true",
            (_, None) => return Err(format!("flag needs an argument: --{name}")),
        };
        let invalid = |why: &str| format!("invalid argument {} for \"--{name}\" flag: {why}", go_quote(text));
        match kind {
            Kind::Bool(b) => {
                *b = match text {
                    "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                    "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                    _ => return Err(invalid(&format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(text)))),
                }
            }
            Kind::Text(t) => *t = text.into(),
            Kind::List(l) => *l = text.split(',').filter(|s| !s.is_empty()).map(Text::from).collect(),
            Kind::Number(n) => {
                let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && (0.0..1e9).contains(n));
                let syntax = || invalid(&format!("strconv.ParseInt: parsing {}: invalid syntax", go_quote(text)));
                *n = number.ok_or_else(syntax)? as i64;
            }
            Kind::Duration(d) => {
                let parsed = parse_duration(text);
                *d = parsed.ok_or_else(|| invalid(&format!("time: invalid duration {}", go_quote(text))))?;
            }
        }
        Ok(())
    }

    fn set_number<N: TryFrom<i64> + Copy>(&mut self, name: &str, target: &mut N) -> Result<(), String> {
        let mut number = -1;
        self.set(name, Kind::Number(&mut number))?;
        if number >= 0 {
            let range = || format!("invalid argument \"{number}\" for \"--{name}\" flag: value out of range");
            *target = N::try_from(number).map_err(|_| range())?;
        }
        Ok(())
    }

    /// # Errors
    /// What kube-apiserver says of a value that can't be.
    pub fn apiserver(&mut self, c: &mut kube_apiserver::Config) -> Result<(), String> {
        let mut range: Text = "".into();
        self.set("service-node-port-range", Kind::Text(&mut range))?;
        if !range.is_empty() {
            let ends = range.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            let invalid = || format!("invalid argument {} for \"--service-node-port-range\" flag", go_quote(&range));
            c.node_port_range = ends.filter(|(a, b)| a <= b).ok_or_else(invalid)?;
        }
        let mut ttl = Duration::from_secs(c.event_ttl_s);
        self.set("event-ttl", Kind::Duration(&mut ttl))?;
        c.event_ttl_s = ttl.as_secs();
        self.set("anonymous-auth", Kind::Bool(&mut c.anonymous_auth))?;
        self.set("advertise-address", Kind::Text(&mut c.advertise_address))?;
        self.set("service-cluster-ip-range", Kind::Text(&mut c.service_cidr))?;
        self.set("enable-admission-plugins", Kind::List(&mut c.enable_admission))?;
        self.set("disable-admission-plugins", Kind::List(&mut c.disable_admission))?;
        self.set("service-account-issuer", Kind::Text(&mut c.issuer))?;
        self.set_number("max-requests-inflight", &mut c.max_requests_inflight)?;
        self.set_number("max-mutating-requests-inflight", &mut c.max_mutating_requests_inflight)?;
        let mut servers = Vec::new();
        self.set("etcd-servers", Kind::List(&mut servers))?;
        self.etcd_servers = servers;
        Ok(())
    }

    /// # Errors
    /// What kube-controller-manager says of a value that can't be.
    pub fn controller_manager(&mut self, c: &mut kube_controller_manager::Config) -> Result<(), String> {
        self.set("leader-elect", Kind::Bool(&mut c.leader_elect))?;
        self.set("use-service-account-credentials", Kind::Bool(&mut c.use_service_account_credentials))?;
        self.set("allocate-node-cidrs", Kind::Bool(&mut c.allocate_node_cidrs))?;
        self.set("cluster-cidr", Kind::Text(&mut c.cluster_cidr))?;
        self.set("service-cluster-ip-range", Kind::Text(&mut c.service_cluster_ip_range))?;
        self.set("node-monitor-period", Kind::Duration(&mut c.node_monitor_period))?;
        self.set("node-monitor-grace-period", Kind::Duration(&mut c.node_monitor_grace_period))?;
        self.set("node-startup-grace-period", Kind::Duration(&mut c.node_startup_grace_period))?;
        self.set("namespace-sync-period", Kind::Duration(&mut c.namespace_sync_period))?;
        self.set_number("node-cidr-mask-size", &mut c.node_cidr_mask_size)?;
        self.set_number("kube-api-qps", &mut c.kube_api_qps)?;
        self.set_number("kube-api-burst", &mut c.kube_api_burst)?;
        self.set_number("terminated-pod-gc-threshold", &mut c.terminated_pod_gc_threshold)?;
        self.set_number("max-endpoints-per-slice", &mut c.max_endpoints_per_slice)
    }

    /// # Errors
    /// What kube-scheduler says of a value that can't be.
    pub fn scheduler(&mut self, c: &mut kube_scheduler::Config) -> Result<(), String> {
        self.set("leader-elect", Kind::Bool(&mut c.leader_elect))?;
        self.set_number("kube-api-qps", &mut c.client.qps)?;
        self.set_number("kube-api-burst", &mut c.client.burst)
    }

    /// # Errors
    /// What cloud-controller-manager says of a value that can't be.
    pub fn cloud_controller_manager(&mut self, c: &mut cloud_controller_manager::Config) -> Result<(), String> {
        let (mut provider, mut allocate): (Text, bool) = ("".into(), false);
        self.set("cloud-provider", Kind::Text(&mut provider))?;
        if &*provider != "kubottle" {
            return Err(format!("cloud provider {} is not in this bottle: there is kubottle", go_quote(&provider)));
        }
        self.set("allocate-node-cidrs", Kind::Bool(&mut allocate))?;
        self.set("leader-elect", Kind::Bool(&mut c.leader_elect))?;
        self.set("configure-cloud-routes", Kind::Bool(&mut c.configure_cloud_routes))?;
        self.set_number("kube-api-qps", &mut c.client.qps)?;
        self.set_number("kube-api-burst", &mut c.client.burst)
    }

    /// A line of the log for the flags that change nothing here.
    pub fn warning(&self) -> Option<String> {
        let names: Vec<String> = self.unused.iter().map(|n| format!("--{n}")).collect();
        (!names.is_empty()).then(|| format!("Kubottle: {} has no effect on {} in this bottle", names.join(", "), self.program))
    }
}

fn is_known(program: &str, name: &str) -> bool {
    SILENT.contains(&name) || {
        let line = KNOWN.lines().find_map(|l| l.strip_prefix(program)?.strip_prefix(' '));
        line.is_some_and(|names| names.split(' ').any(|n| n == name))
    }
}

fn is_silent(name: &str, value: Option<&str>) -> bool {
    SILENT.contains(&name) || USUAL.iter().any(|(n, v)| *n == name && value == Some(v))
}

/// Go's `time.ParseDuration`: `1m30s`, `500ms`.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').count();
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        sum += number * scale;
    }
    (!text.is_empty() && sum < 1e9).then(|| Duration::from_secs_f64(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(program: &'a str, line: &str) -> Result<Flags<'a>, String> {
        Flags::parse(program, &line.split_whitespace().map(Text::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_as_pflag_reads_them() {
        let mut c = kube_controller_manager::Config::new(sim::Addr(1), "cp-1");
        let mut flags =
            parse("kube-controller-manager", "--leader-elect=false --node-monitor-grace-period 1m30s --profiling").unwrap();
        flags.controller_manager(&mut c).unwrap();
        assert_eq!((c.leader_elect, c.node_monitor_grace_period), (false, Duration::from_secs(90)));
        assert_eq!(flags.warning().unwrap(), "Kubottle: --profiling has no effect on kube-controller-manager in this bottle");
        let mut flags = parse("kube-controller-manager", "--leader-elect=maybe").unwrap();
        let error = flags.controller_manager(&mut c).unwrap_err();
        assert_eq!(
            error,
            "invalid argument \"maybe\" for \"--leader-elect\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"
        );
    }

    #[test]
    fn what_kubernetes_does_not_know_is_refused() {
        for (line, error) in [
            ("--no-such-flag", "unknown flag: --no-such-flag"),
            ("--leader-elekt=true", "unknown flag: --leader-elekt"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("serve", "unknown command \"serve\" for \"kube-scheduler\""),
        ] {
            assert_eq!(parse("kube-scheduler", line).err().as_deref(), Some(error), "{line}");
        }
        assert!(parse("kube-scheduler", "--bind-address=127.0.0.1 --leader-elect=true --v=4").is_ok());
    }

    #[test]
    fn kubeadms_manifests_need_no_word() {
        for (program, template) in crate::kubeadm::STATIC_PODS.into_iter().skip(1) {
            let args = template.lines().filter_map(|l| l.trim().strip_prefix("- --")).map(|f| Text::from(format!("--{f}")));
            let args: Vec<Text> = args.collect();
            let mut flags = Flags::parse(program, &args).unwrap();
            assert!(args.len() >= 2);
            match program {
                "kube-apiserver" => {
                    let mut c = kube_apiserver::Config::new(sim::Addr(1), sim::Addr(2), base::Seed(1), base::Time::EPOCH);
                    flags.apiserver(&mut c).unwrap();
                }
                "kube-controller-manager" => {
                    let mut c = kube_controller_manager::Config::new(sim::Addr(1), "cp-1");
                    flags.controller_manager(&mut c).unwrap();
                }
                _ => flags.set("leader-elect", Kind::Bool(&mut false)).unwrap(),
            }
            assert_eq!(flags.warning(), None, "{program}");
        }
    }
}
