//! prometheus.yml: the part that a scrape by discovery needs. Models `config/config.go`.
//!
//! Known: `global` (scrape_interval, scrape_timeout, external_labels), `scrape_configs` with job_name, intervals, metrics_path,
//! scheme, params, honor_labels, authorization and bearer_token_file, tls_config (TLS is not modelled: taken without effect),
//! static_configs, kubernetes_sd_configs (roles node, pod, service, endpoints, endpointslice; namespaces), relabel_configs and
//! metric_relabel_configs. What Prometheus has beyond that is refused by name; what it doesn't have, with its own words.

use std::rc::Rc;

use apimachinery::{Value, yaml};
use base::Duration;

use super::labels::Pattern;

type Text = Rc<str>;

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub jobs: Vec<Job>,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub name: Text,
    pub interval: Duration,
    pub timeout: Duration,
    pub path: Text,
    pub scheme: Text,
    pub parameters: Vec<(Text, Text)>,
    pub honor_labels: bool,
    pub token_file: Option<Text>,
    pub statics: Vec<Static>,
    pub discovery: Vec<Discovery>,
    pub relabel: Rc<Vec<Relabel>>,
    pub metric_relabel: Rc<Vec<Relabel>>,
}

#[derive(Clone, Debug)]
pub struct Static {
    pub targets: Vec<Text>,
    pub labels: Vec<(Text, Text)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Node,
    Pod,
    Service,
    Endpoints,
    EndpointSlice,
}

#[derive(Clone, Debug)]
pub struct Discovery {
    pub role: Role,
    /// Empty: all.
    pub namespaces: Vec<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Replace,
    Keep,
    Drop,
    LabelMap,
    LabelDrop,
    LabelKeep,
}

#[derive(Clone, Debug)]
pub struct Relabel {
    pub sources: Vec<Text>,
    pub separator: Text,
    pub pattern: Pattern,
    pub target: Text,
    pub replacement: Text,
    pub action: Action,
}

/// Reads a file. An error is a line for the log.
pub fn parse(text: &str) -> Result<Config, String> {
    let document = yaml::parse(text).map_err(|e| format!("yaml: {e:?}"))?;
    let root = &document.value;
    if root.is_null() {
        return Err("yaml: the file is empty".into());
    }
    let map = Fields::of(
        root,
        "config.plain",
        &["global", "scrape_configs"],
        &[
            "alerting",
            "otlp",
            "remote_read",
            "remote_write",
            "rule_files",
            "runtime",
            "scrape_config_files",
            "storage",
            "tracing",
        ],
    )?;
    let global = map.get("global");
    let global = Fields::of(
        global,
        "config.plain",
        &["scrape_interval", "scrape_timeout", "evaluation_interval", "external_labels"],
        &["query_log_file", "scrape_protocols", "body_size_limit", "sample_limit"],
    )?;
    let interval = global.duration("scrape_interval")?.unwrap_or(Duration::from_secs(60));
    let timeout = global.duration("scrape_timeout")?.unwrap_or(Duration::from_secs(10));
    // External labels go out with alerts and remote writes only, and there are none.
    let mut config = Config::default();
    for job in map.get("scrape_configs").items() {
        let job = self::job(job, interval, timeout)?;
        if config.jobs.iter().any(|j| j.name == job.name) {
            return Err(format!("found multiple scrape configs with job name {:?}", job.name));
        }
        config.jobs.push(job);
    }
    Ok(config)
}

/// A mapping whose fields are known.
struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    fn of(value: &'a Value, of: &str, known: &[&str], elsewhere: &[&str]) -> Result<Fields<'a>, String> {
        for (name, _) in value.as_map().into_iter().flat_map(|m| m.iter()) {
            if elsewhere.contains(&&**name) {
                return Err(format!("{name} is not in this bottle"));
            }
            if !known.contains(&&**name) {
                return Err(format!("yaml: unmarshal errors: field {name} not found in type {of}"));
            }
        }
        Ok(Fields(value))
    }
    fn get(&self, name: &str) -> &'a Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }
    fn text(&self, name: &str) -> Option<Text> {
        text_of(self.get(name))
    }
    fn duration(&self, name: &str) -> Result<Option<Duration>, String> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => match crate::metrics_server::duration(&text).filter(|d| *d > Duration::ZERO) {
                Some(d) => Ok(Some(d)),
                None => Err(format!("not a valid duration string: {text:?}")),
            },
        }
    }
}

fn text_of(value: &Value) -> Option<Text> {
    match value {
        Value::Null => None,
        other => match (other.as_rc_str(), other.as_i64(), other.as_bool()) {
            (Some(text), ..) => Some(text.clone()),
            (_, Some(n), _) => Some(n.to_string().into()),
            (_, _, Some(b)) => Some(b.to_string().into()),
            _ => None,
        },
    }
}

fn pairs(value: &Value) -> Vec<(Text, Text)> {
    value.as_map().into_iter().flat_map(|m| m.iter()).filter_map(|(k, v)| Some((k.clone(), text_of(v)?))).collect()
}

fn texts(value: &Value) -> Vec<Text> {
    value.items().iter().filter_map(text_of).collect()
}

fn job(value: &Value, interval: Duration, timeout: Duration) -> Result<Job, String> {
    let known = [
        "job_name",
        "scrape_interval",
        "scrape_timeout",
        "metrics_path",
        "scheme",
        "params",
        "honor_labels",
        "honor_timestamps",
        "authorization",
        "bearer_token_file",
        "tls_config",
        "static_configs",
        "kubernetes_sd_configs",
        "relabel_configs",
        "metric_relabel_configs",
    ];
    let elsewhere = [
        "basic_auth",
        "bearer_token",
        "consul_sd_configs",
        "dns_sd_configs",
        "ec2_sd_configs",
        "file_sd_configs",
        "follow_redirects",
        "http_sd_configs",
        "oauth2",
        "proxy_url",
        "sample_limit",
        "label_limit",
        "enable_compression",
        "scrape_protocols",
    ];
    let map = Fields::of(value, "config.ScrapeConfig", &known, &elsewhere)?;
    let Some(name) = map.text("job_name") else { return Err("job_name is empty".into()) };
    let authorization =
        Fields::of(map.get("authorization"), "config.Authorization", &["type", "credentials_file"], &["credentials"])?;
    let mut statics = Vec::new();
    for group in map.get("static_configs").items() {
        let group = Fields::of(group, "targetgroup.plain", &["targets", "labels"], &[])?;
        statics.push(Static { targets: texts(group.get("targets")), labels: pairs(group.get("labels")) });
    }
    let mut discovery = Vec::new();
    for sd in map.get("kubernetes_sd_configs").items() {
        discovery.push(self::discovery(sd)?);
    }
    let own_interval = map.duration("scrape_interval")?.unwrap_or(interval);
    let timeout = map.duration("scrape_timeout")?.unwrap_or(timeout.min(own_interval));
    if timeout > own_interval {
        return Err(format!("scrape timeout greater than scrape interval for scrape config with job name {name:?}"));
    }
    let mut parameters = Vec::new();
    for (name, values) in map.get("params").as_map().into_iter().flat_map(|m| m.iter()) {
        parameters.extend(texts(values).into_iter().map(|v| (name.clone(), v)));
    }
    Ok(Job {
        interval: own_interval,
        timeout,
        path: map.text("metrics_path").unwrap_or_else(|| "/metrics".into()),
        scheme: map.text("scheme").unwrap_or_else(|| "http".into()),
        parameters,
        honor_labels: map.get("honor_labels").as_bool() == Some(true),
        token_file: authorization.text("credentials_file").or_else(|| map.text("bearer_token_file")),
        statics,
        discovery,
        relabel: Rc::new(relabels(map.get("relabel_configs"))?),
        metric_relabel: Rc::new(relabels(map.get("metric_relabel_configs"))?),
        name,
    })
}

fn discovery(value: &Value) -> Result<Discovery, String> {
    let elsewhere = ["api_server", "kubeconfig_file", "selectors", "attach_metadata", "authorization", "tls_config"];
    let map = Fields::of(value, "kubernetes.plain", &["role", "namespaces"], &elsewhere)?;
    let namespaces = Fields::of(map.get("namespaces"), "kubernetes.plain", &["names"], &["own_namespace"])?;
    let role = match map.text("role").as_deref() {
        Some("node") => Role::Node,
        Some("pod") => Role::Pod,
        Some("service") => Role::Service,
        Some("endpoints") => Role::Endpoints,
        Some("endpointslice") => Role::EndpointSlice,
        Some("ingress") => return Err("kubernetes_sd_configs: role ingress is not in this bottle".into()),
        Some(other) => return Err(format!("unknown Kubernetes SD role {other:?}")),
        None => return Err("role missing (one of: pod, service, endpoints, endpointslice, node, ingress)".into()),
    };
    Ok(Discovery { role, namespaces: texts(namespaces.get("names")) })
}

fn relabels(value: &Value) -> Result<Vec<Relabel>, String> {
    value.items().iter().map(relabel).collect()
}

fn relabel(value: &Value) -> Result<Relabel, String> {
    let known = ["source_labels", "separator", "regex", "target_label", "replacement", "action"];
    let map = Fields::of(value, "relabel.plain", &known, &["modulus"])?;
    let action = match map.text("action").as_deref() {
        None | Some("replace") => Action::Replace,
        Some("keep") => Action::Keep,
        Some("drop") => Action::Drop,
        Some("labelmap") => Action::LabelMap,
        Some("labeldrop") => Action::LabelDrop,
        Some("labelkeep") => Action::LabelKeep,
        Some(other @ ("hashmod" | "lowercase" | "uppercase" | "keepequal" | "dropequal")) => {
            return Err(format!("relabel action {other} is not in this bottle"));
        }
        Some(other) => return Err(format!("unknown relabel action {other:?}")),
    };
    let target = map.text("target_label").unwrap_or_else(|| "".into());
    if action == Action::Replace && target.is_empty() {
        return Err("relabel configuration for replace action requires 'target_label' value".into());
    }
    Ok(Relabel {
        sources: texts(map.get("source_labels")),
        separator: map.text("separator").unwrap_or_else(|| ";".into()),
        pattern: Pattern::new(map.text("regex").as_deref().unwrap_or("(.*)"))?,
        target,
        replacement: map.text("replacement").unwrap_or_else(|| "$1".into()),
        action,
    })
}

/// Applies rules to labels. `None`: dropped.
pub fn apply(rules: &[Relabel], mut labels: Vec<(Text, Text)>) -> Option<Vec<(Text, Text)>> {
    for rule in rules {
        let value = |name: &Text| labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v);
        let source = rule.sources.iter().map(value).collect::<Vec<_>>().join(&rule.separator);
        match rule.action {
            Action::Keep if !rule.pattern.matches(&source) => return None,
            Action::Drop if rule.pattern.matches(&source) => return None,
            Action::Keep | Action::Drop => {}
            Action::Replace => {
                let Some(value) = rule.pattern.expand(&source, &rule.replacement) else { continue };
                labels.retain(|(n, _)| *n != rule.target);
                if !value.is_empty() {
                    labels.push((rule.target.clone(), value.into()));
                }
            }
            Action::LabelMap => {
                let mapped: Vec<(Text, Text)> = labels
                    .iter()
                    .filter_map(|(n, v)| Some((rule.pattern.expand(n, &rule.replacement)?.into(), v.clone())))
                    .collect();
                for (name, value) in mapped {
                    labels.retain(|(n, _)| *n != name);
                    labels.push((name, value));
                }
            }
            Action::LabelDrop => labels.retain(|(n, _)| !rule.pattern.matches(n)),
            Action::LabelKeep => labels.retain(|(n, _)| rule.pattern.matches(n)),
        }
    }
    Some(labels)
}
