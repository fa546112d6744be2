//! Prometheus: finds targets through kube-apiserver, scrapes them, keeps their series, and answers PromQL over HTTP.
//!
//! Models Prometheus 3.5, each file a part of it: `config` (prometheus.yml), `discovery` (Kubernetes' roles), `scrape`, `tsdb`,
//! `lex`/`parse`/`ast`/`functions`/`eval` (PromQL), `api`. Left out by name: alerting and recording rules, remote write and read,
//! storage on disk (a restart begins empty), its web interface (the page has a panel).

mod api;
mod ast;
mod config;
mod discovery;
mod eval;
mod functions;
mod labels;
mod lex;
mod parse;
mod scrape;
#[cfg(test)]
mod tests;
mod tsdb;

use base::{Duration, Time};
use cri_api::machine::Sys;
use cri_api::{Disposition, Poll, Program, Signal};

use crate::http::{Server, catch_ends};
use config::{Config, Role};
use discovery::Informers;
use scrape::Scraper;
use tsdb::Tsdb;

/// How often targets are brought up to date at most, as upstream's discovery manager does.
const DISCOVER: Duration = Duration::from_secs(5);
/// How often what is too old is looked for.
const COMPACT: Duration = Duration::from_secs(600);

/// A running Prometheus.
#[derive(Clone)]
pub struct Prometheus {
    started: bool,
    config_file: String,
    config: Config,
    retention: Duration,
    lifecycle: bool,
    server: Server,
    informers: Informers,
    stale_targets: bool,
    next_discovery: Time,
    next_compaction: Time,
    scraper: Scraper,
    db: Tsdb,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Prometheus {
        started: false,
        config_file: "/etc/prometheus/prometheus.yml".into(),
        config: Config::default(),
        retention: Duration::from_secs(3600),
        lifecycle: false,
        server: Server::default(),
        informers: Informers::default(),
        stale_targets: true,
        next_discovery: Time::EPOCH,
        next_compaction: Time::EPOCH,
        scraper: Scraper::default(),
        db: Tsdb::default(),
    })
}

/// A value as Go prints it without an exponent.
pub(crate) fn show_number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        v => format!("{v}"),
    }
}

impl Program for Prometheus {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            if let Some(code) = self.begin(sys) {
                return Poll::Exit(code);
            }
        }
        while let Some(signal) = sys.take_signal() {
            if signal != Signal::HUP {
                log(sys, "WARN", "Received an OS signal, exiting gracefully...", &[("signal", &signal.name().to_lowercase())]);
                return Poll::Exit(0);
            }
            let _ = self.load(sys);
        }
        for informer in self.informers.all() {
            self.stale_targets |= informer.poll(sys);
            if let Some(error) = informer.take_error() {
                log(sys, "ERROR", "Failed to watch", &[("component", "k8s_client_runtime"), ("err", &error)]);
            }
        }
        let now = sys.now();
        if self.stale_targets && now >= self.next_discovery {
            (self.stale_targets, self.next_discovery) = (false, now + DISCOVER);
            self.scraper.discover(&self.config, &self.informers, &mut self.db, now);
        }
        self.scraper.run(&self.config, &mut self.db, sys);
        self.answer(sys);
        if now >= self.next_compaction {
            self.next_compaction = now + COMPACT;
            self.db.forget((now - self.retention).0.div_euclid(1000));
        }
        let mut wakes = vec![self.next_compaction];
        wakes.extend(self.scraper.wake_at());
        wakes.extend(self.informers.all().filter_map(|i| i.wake_at()));
        if self.stale_targets {
            wakes.push(self.next_discovery);
        }
        match wakes.into_iter().min() {
            Some(at) if sys.sleep_until(at) => Poll::Ready,
            _ => Poll::Pending,
        }
    }
}

/// A line of its log: `time=… level=… msg=…`.
fn log(sys: &mut Sys<'_>, level: &str, message: &str, pairs: &[(&str, &str)]) {
    let mut line = format!("time={} level={level} msg={}", sys.now().rfc3339_nano(), word(message));
    for (name, value) in pairs {
        line.push_str(&format!(" {name}={}", word(value)));
    }
    line.push('\n');
    // A log that nobody reads is not the server's trouble.
    let _ = sys.write(2, line.as_bytes());
}

fn word(text: &str) -> String {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'));
    if plain { text.into() } else { labels::quote(text) }
}

impl Prometheus {
    /// Flags, configuration, port. A code: it can't run.
    fn begin(&mut self, sys: &mut Sys<'_>) -> Option<i32> {
        catch_ends(sys);
        sys.on_signal(Signal::HUP, Disposition::Catch);
        let mut port = 9090u16;
        let argv: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
        for arg in &argv {
            let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
            match name {
                "--config.file" => self.config_file = value.into(),
                "--web.listen-address" => {
                    port = value.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or(9090);
                }
                "--storage.tsdb.retention.time" => match crate::metrics_server::duration(value) {
                    Some(d) => self.retention = d,
                    None => return Some(usage(sys, &format!("not a valid duration string: {value:?}"))),
                },
                "--web.enable-lifecycle" => self.lifecycle = true,
                "--storage.tsdb.path" | "--web.console.libraries" | "--web.console.templates" | "--log.level" => {}
                _ => return Some(usage(sys, &format!("unknown long flag '{name}'"))),
            }
        }
        log(sys, "INFO", "Starting Prometheus Server", &[("mode", "server"), ("version", "(version=3.5.0)")]);
        if !self.load(sys) {
            return Some(1);
        }
        if let Err(e) = self.server.listen(sys, port) {
            let text = format!("listen tcp 0.0.0.0:{port}: bind: {}", e.text().to_lowercase());
            log(sys, "ERROR", "Unable to start web listener", &[("err", &text)]);
            return Some(1);
        }
        sys.set_memory(40 << 20);
        self.next_compaction = sys.now() + COMPACT;
        log(sys, "INFO", "Server is ready to receive web requests.", &[]);
        None
    }

    /// Reads the configuration file. False: it is wrong, and the old one stays.
    fn load(&mut self, sys: &mut Sys<'_>) -> bool {
        let file = self.config_file.clone();
        log(sys, "INFO", "Loading configuration file", &[("filename", &file)]);
        let text = match sys.read_file(&file) {
            Ok(data) => String::from_utf8_lossy(&data).into_owned(),
            Err(e) => {
                let err = format!("open {file}: {}", e.text().to_lowercase());
                log(sys, "ERROR", "Error loading config", &[("file", &file), ("err", &err)]);
                return false;
            }
        };
        match config::parse(&text) {
            Ok(config) => {
                let roles: Vec<Role> = config.jobs.iter().flat_map(|j| j.discovery.iter().map(|d| d.role)).collect();
                (self.config, self.informers, self.stale_targets) = (config, Informers::for_roles(&roles), true);
                self.next_discovery = Time::EPOCH;
                self.scraper.forget_labels();
                log(sys, "INFO", "Completed loading of configuration file", &[("filename", &file)]);
                true
            }
            Err(e) => {
                let err = format!("parsing YAML file {file}: {e}");
                log(sys, "ERROR", "Error loading config", &[("file", &file), ("err", &err)]);
                false
            }
        }
    }

    fn answer(&mut self, sys: &mut Sys<'_>) {
        for request in self.server.requests(sys) {
            let (code, kind, body, cost) = match (request.path.as_str(), self.lifecycle) {
                ("/-/reload", true) => match self.load(sys) {
                    true => (200, "text/plain; charset=utf-8", String::new(), 0),
                    false => (500, "text/plain; charset=utf-8", "failed to reload config: see the log\n".into(), 0),
                },
                ("/-/reload" | "/-/quit", false) => (403, "text/plain; charset=utf-8", "Lifecycle API is not enabled.".into(), 0),
                _ => self.serve(&request, sys.now()),
            };
            sys.charge(50 + (cost / 10).min(100_000) as u32);
            self.server.answer(request.id, code, kind, body.as_bytes());
        }
        self.server.flush(sys);
        // Bytes of samples and what comes with each series.
        sys.set_memory((40 << 20) + self.db.len() as u64 * 4096);
    }
}

fn usage(sys: &mut Sys<'_>, text: &str) -> i32 {
    let _ = sys.write(2, format!("Error parsing command line arguments: {text}\nprometheus: error: {text}\n").as_bytes());
    2
}
