//! Scraping: which targets there are, when each is asked, and what its answer adds. Models `scrape/{target,scrape}.go`.

use std::rc::Rc;

use base::{Duration, Map, Time};
use cri_api::machine::Sys;

use super::config::{Config, Job, apply};
use super::discovery::{Informers, Raw};
use super::labels::{Labels, NAME};
use super::tsdb::{Tsdb, stale};
use crate::exposition;
use crate::http::{Answer, Fetch};

type Text = Rc<str>;

/// More samples of one answer than this are refused.
const MOST_SAMPLES: usize = 20_000;

/// Job and labels name a target.
pub type TargetKey = (Text, Labels);

#[derive(Clone)]
pub struct Target {
    pub job: usize,
    pub discovered: Rc<Raw>,
    pub host: Text,
    pub port: u16,
    pub scheme: Text,
    pub path: Text,
    pub next: Time,
    pub last: Option<Time>,
    pub took: Duration,
    /// Empty: up.
    pub error: String,
    pub healthy: Option<bool>,
    fetch: Option<(Fetch, Time)>,
    /// The series of its last answer: those that are missing in the next one have ended.
    series: Rc<Vec<Labels>>,
    /// The same as they are written in the answer: most of the next answer is known by it. `None`: dropped by relabelling.
    known: Map<Text, Option<Labels>>,
}

impl Target {
    pub fn url(&self) -> String {
        format!("{}://{}:{}{}", self.scheme, self.host, self.port, self.path)
    }
}

/// All targets.
#[derive(Clone, Default)]
pub struct Scraper {
    pub targets: Map<TargetKey, Target>,
    /// Targets that relabelling dropped, per job, for the API.
    pub dropped: Map<Text, u64>,
}

impl Scraper {
    /// Brings the targets to what the objects say now.
    pub fn discover(&mut self, config: &Config, informers: &Informers, db: &mut Tsdb, now: Time) {
        let mut wanted: Map<TargetKey, Target> = Map::new();
        self.dropped = Map::new();
        for (n, job) in config.jobs.iter().enumerate() {
            let mut raws: Vec<Raw> = job.discovery.iter().flat_map(|d| informers.targets(d)).collect();
            for group in &job.statics {
                raws.extend(group.targets.iter().map(|t| {
                    let mut raw = group.labels.clone();
                    raw.push(("__address__".into(), t.clone()));
                    raw
                }));
            }
            let mut dropped = 0;
            for raw in raws {
                match target(n, job, raw, now) {
                    Some((labels, target)) => {
                        wanted.insert((job.name.clone(), labels), target);
                    }
                    None => dropped += 1,
                }
            }
            self.dropped.insert(job.name.clone(), dropped);
        }
        let gone: Vec<TargetKey> = self.targets.keys().filter(|k| !wanted.contains_key(k)).cloned().collect();
        for key in gone {
            if let Some(target) = self.targets.remove(&key) {
                end_series(&target.series, db, millis(now));
                db.append(&own_metric("up", &key), millis(now), stale());
            }
        }
        for (key, target) in wanted {
            if let Some(old) = self.targets.get_mut(&key) {
                (old.job, old.discovered) = (target.job, target.discovered);
            } else {
                self.targets.insert(key, target);
            }
        }
    }

    /// The rules for samples have changed.
    pub fn forget_labels(&mut self) {
        let keys: Vec<TargetKey> = self.targets.keys().cloned().collect();
        for key in keys {
            if let Some(target) = self.targets.get_mut(&key) {
                target.known = Map::new();
            }
        }
    }

    /// Asks those whose time has come, and takes what has arrived.
    pub fn run(&mut self, config: &Config, db: &mut Tsdb, sys: &mut Sys<'_>) {
        let now = sys.now();
        let due: Vec<TargetKey> =
            self.targets.iter().filter(|(_, t)| t.fetch.is_some() || t.next <= now).map(|(k, _)| k.clone()).collect();
        for key in due {
            let Some(target) = self.targets.get_mut(&key) else { continue };
            let Some(job) = config.jobs.get(target.job) else { continue };
            if target.fetch.is_none() && target.next <= now {
                target.fetch = Some((begin(target, job, sys), now));
                target.next = target.next.max(now - job.interval) + job.interval;
            }
            let Some((fetch, asked)) = &mut target.fetch else { continue };
            let asked = *asked;
            let Some(result) = fetch.poll(sys) else { continue };
            target.fetch = None;
            (target.last, target.took) = (Some(asked), now.since(asked));
            take(&key, target, job, result, asked, db);
            sys.charge(20 + target.series.len() as u32 / 10);
        }
    }

    /// When something is due next.
    pub fn wake_at(&self) -> Option<Time> {
        self.targets.values().map(|t| t.fetch.as_ref().map_or(t.next, |(f, _)| f.deadline())).min()
    }
}

fn millis(at: Time) -> i64 {
    at.0.div_euclid(1000)
}

fn own_metric(name: &str, (_, labels): &TargetKey) -> Labels {
    labels.with(NAME, name)
}

/// Relabels a discovered target. `None`: it is dropped.
fn target(n: usize, job: &Job, mut raw: Raw, now: Time) -> Option<(Labels, Target)> {
    let default = |raw: &mut Raw, name: &str, value: &str| {
        if !raw.iter().any(|(n, _)| **n == *name) {
            raw.push((name.into(), value.into()));
        }
    };
    default(&mut raw, "job", &job.name);
    default(&mut raw, "__scheme__", &job.scheme);
    default(&mut raw, "__metrics_path__", &job.path);
    for (name, value) in &job.parameters {
        default(&mut raw, &format!("__param_{name}"), value);
    }
    let discovered = Rc::new(raw.clone());
    let labels = apply(&job.relabel, raw)?;
    let get = |name: &str| labels.iter().find(|(n, _)| **n == *name).map_or("", |(_, v)| v);
    let (address, scheme) = (get("__address__"), get("__scheme__"));
    if address.is_empty() || address.contains('/') {
        return None;
    }
    let default_port = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()?),
        _ => (address, default_port),
    };
    let mut path = get("__metrics_path__").to_string();
    for (i, (name, value)) in labels.iter().filter_map(|(n, v)| Some((n.strip_prefix("__param_")?, v))).enumerate() {
        path.push_str(&format!("{}{name}={value}", if i == 0 { '?' } else { '&' }));
    }
    let instance = if get("instance").is_empty() { address } else { get("instance") }.to_string();
    let target = Target {
        job: n,
        discovered,
        host: host.trim_matches(['[', ']']).into(),
        port,
        scheme: scheme.into(),
        path: path.into(),
        // Spread over the interval, always alike for the same target.
        next: now + Duration((base::hash64(address.as_bytes()) % job.interval.as_micros().max(1) as u64) as i64),
        last: None,
        took: Duration::ZERO,
        error: String::new(),
        healthy: None,
        fetch: None,
        series: Rc::default(),
        known: Map::new(),
    };
    let kept = labels.iter().filter(|(n, _)| !n.starts_with("__")).cloned();
    Some((Labels::new(kept.chain([("instance".into(), instance.into())])), target))
}

fn begin(target: &Target, job: &Job, sys: &mut Sys<'_>) -> Fetch {
    let mut headers = vec![("User-Agent".to_string(), "Prometheus/3.5.0".to_string())];
    if let Some(file) = &job.token_file {
        let token = sys.read_file(file).map(|d| String::from_utf8_lossy(&d).trim().to_string()).unwrap_or_default();
        headers.push(("Authorization".into(), format!("Bearer {token}")));
    }
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    Fetch::get(sys, (&target.host, target.port), &target.path, &headers, job.timeout)
}

/// Stores an answer, and the metrics that Prometheus makes of every scrape.
fn take(key: &TargetKey, target: &mut Target, job: &Job, result: Result<Answer, String>, asked: Time, db: &mut Tsdb) {
    let at = millis(asked);
    let text = match result {
        Ok(answer) if answer.code == 200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
        Ok(answer) => Err(format!("server returned HTTP status {} {}", answer.code, reason(answer.code)).trim_end().to_string()),
        Err(text) => Err(format!("Get {:?}: {text}", target.url())),
    };
    // All of an answer counts, or nothing of it.
    let text = text.and_then(|text| {
        let mut n = 0;
        exposition::each(&text, |_, _, _| n += 1)?;
        if n > MOST_SAMPLES { Err("sample limit exceeded".to_string()) } else { Ok(text) }
    });
    let (mut series, mut known) = (Vec::new(), Map::new());
    let (mut scraped, mut error) = (0, String::new());
    match text {
        Ok(text) => {
            let _ = exposition::each(&text, |written, value, at_ms| {
                scraped += 1;
                let labels = match target.known.get(written) {
                    Some(labels) => labels.clone(),
                    None => exposition::series(written).and_then(|(name, labels)| labels_of(&name, &labels, key, job)),
                };
                if let Some(labels) = &labels {
                    db.append(labels, at_ms.unwrap_or(at), value);
                    series.push(labels.clone());
                }
                known.insert(Text::from(written), labels);
            });
        }
        Err(text) => error = text,
    }
    target.known = known;
    let kept: base::Set<Labels> = series.iter().cloned().collect();
    let ended: Vec<Labels> = target.series.iter().filter(|l| !kept.contains(l)).cloned().collect();
    end_series(&ended, db, at);
    let up = error.is_empty();
    target.series = Rc::new(series);
    (target.healthy, target.error) = (Some(up), error);
    let after = kept.len();
    for (name, value) in [
        ("up", f64::from(u8::from(up))),
        ("scrape_duration_seconds", target.took.as_secs_f64()),
        ("scrape_samples_scraped", scraped as f64),
        ("scrape_samples_post_metric_relabeling", after as f64),
    ] {
        db.append(&own_metric(name, key), at, value);
    }
}

fn end_series(series: &[Labels], db: &mut Tsdb, at: i64) {
    series.iter().for_each(|labels| db.append(labels, at, stale()));
}

fn reason(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}

/// A sample's labels with its target's. Of a name that both have, the sample's is kept as `exported_…` (or wins, if so told).
fn labels_of(name: &str, own: &[(String, String)], (_, target): &TargetKey, job: &Job) -> Option<Labels> {
    let mut all: Vec<(Text, Text)> = vec![(NAME.into(), name.into())];
    for (name, value) in own {
        let clash = target.get(name).is_some();
        match (clash, job.honor_labels) {
            (true, false) => all.push((format!("exported_{name}").into(), value.as_str().into())),
            _ => all.push((name.as_str().into(), value.as_str().into())),
        }
    }
    for (name, value) in target.iter() {
        if !(job.honor_labels && own.iter().any(|(n, _)| **n == **name)) {
            all.push((name.clone(), value.clone()));
        }
    }
    let all = apply(&job.metric_relabel, all)?;
    Some(Labels::new(all.into_iter().filter(|(n, _)| !n.starts_with("__") || **n == *NAME)))
}
