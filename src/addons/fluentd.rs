//! Fluentd: tails the files under `/var/log/containers`, parses containerd's lines, adds what Kubernetes says of the pod, and ships
//! the records to a log store. Models Fluentd 1.18 with `in_tail`, the `cri` parser, `filter_kubernetes_metadata` and an output
//! buffer in memory.
//!
//! Its configuration is `/fluentd/etc/fluent.conf`; of it are read: `<source> @type tail` with path, pos_file and tag,
//! `<filter> @type kubernetes_metadata`, `<match> @type http` with endpoint and a `<buffer>` with flush_interval and
//! total_limit_size. Another plugin is refused as Fluentd refuses one that isn't installed. A position file makes a restart go on
//! where it was. When the buffer is full the tailing waits (`overflow_action block`), and says so.
//! Left out by name: other plugins, tags and routing by them, multi-line logs, workers, secondary outputs.

use std::rc::Rc;

use apimachinery::{Object, Value, json, resources, value};
use base::{Duration, Map, Time, Vector};
use cri_api::machine::Sys;
use cri_api::{OpenFlags, Poll, Program};

use crate::fluentd_config::{Config, parse_config};
use crate::http::{Fetch, catch_ends};
use crate::informer::Informer;

const AGENT: &str = "fluentd/1.18";
/// How often files are looked at.
const REFRESH: Duration = Duration::from_secs(1);
/// How often new files are looked for.
const NEW_FILES: Duration = Duration::from_secs(5);
/// Bytes read of one file at a time.
const CHUNK: usize = 64 * 1024;
/// Records sent in one request.
const BATCH: usize = 500;
/// `retry_wait`, doubled with each failure.
const RETRY: Duration = Duration::from_secs(1);

/// A running Fluentd.
#[derive(Clone)]
pub struct Fluentd {
    started: bool,
    config: Config,
    pods: Informer,
    tails: Map<Rc<str>, Tail>,
    next_files: Time,
    next_read: Time,
    buffer: Vector<Value>,
    buffered_bytes: usize,
    blocked: bool,
    flush_at: Time,
    sending: Option<(Fetch, usize, usize)>,
    failures: u32,
    /// Told to end: what is in the buffer is sent first (`flush_at_shutdown`).
    ending: bool,
}

#[derive(Clone, Default)]
struct Tail {
    /// Bytes of the file that were taken.
    at: u64,
    /// A line that has been cut into parts by the runtime.
    part: String,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Fluentd::new())
}

impl Program for Fluentd {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            if let Some(code) = self.begin(sys) {
                return Poll::Exit(code);
            }
        }
        if sys.take_signal().is_some() && !std::mem::replace(&mut self.ending, true) {
            self.save_positions(sys);
            log(sys, "info", "shutting down fluentd worker worker=0");
            self.flush_at = sys.now();
        }
        if self.ending {
            return self.end(sys);
        }
        if self.config.metadata {
            self.pods.poll(sys);
            if let Some(error) = self.pods.take_error() {
                log(sys, "warn", &format!("Exception encountered fetching metadata from Kubernetes API endpoint: {error}"));
            }
        }
        let now = sys.now();
        if now >= self.next_files {
            self.next_files = now + NEW_FILES;
            self.find_files(sys);
        }
        // Without metadata to add, lines wait for it.
        if now >= self.next_read && (!self.config.metadata || self.pods.has_synced()) {
            self.next_read = now + REFRESH;
            self.read(sys);
        }
        self.ship(sys);
        let mut wakes = vec![self.next_files, self.next_read.max(now + Duration(1))];
        wakes.extend(self.pods.wake_at().filter(|_| self.config.metadata));
        match &self.sending {
            Some((fetch, ..)) => wakes.push(fetch.deadline()),
            None if !self.buffer.is_empty() => wakes.push(self.flush_at),
            None => {}
        }
        match wakes.into_iter().min() {
            Some(at) if sys.sleep_until(at) => Poll::Ready,
            _ => Poll::Pending,
        }
    }
}

fn log(sys: &mut Sys<'_>, level: &str, text: &str) {
    let (y, mo, d, h, mi, s) = sys.now().civil();
    let line = format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02} +0000 [{level}]: #0 {text}\n");
    // A log that nobody reads is not its trouble.
    let _ = sys.write(1, line.as_bytes());
}

impl Fluentd {
    fn new() -> Fluentd {
        Fluentd {
            started: false,
            config: Config::default(),
            pods: Informer::new(resources::pods(), "", None, AGENT),
            tails: Map::new(),
            next_files: Time::EPOCH,
            next_read: Time::EPOCH,
            buffer: Vector::new(),
            buffered_bytes: 0,
            blocked: false,
            flush_at: Time::EPOCH,
            sending: None,
            failures: 0,
            ending: false,
        }
    }

    /// Sends what is left; one failure, and it is lost with the process.
    fn end(&mut self, sys: &mut Sys<'_>) -> Poll {
        let failures = self.failures;
        self.ship(sys);
        if (self.sending.is_none() && self.buffer.is_empty()) || self.failures > failures {
            return Poll::Exit(0);
        }
        let deadline = self.sending.as_ref().map_or(sys.now(), |(fetch, ..)| fetch.deadline());
        if sys.sleep_until(deadline) { Poll::Ready } else { Poll::Pending }
    }

    fn begin(&mut self, sys: &mut Sys<'_>) -> Option<i32> {
        catch_ends(sys);
        let argv = sys.argv();
        let at = argv.iter().position(|a| matches!(&**a, "-c" | "--config")).and_then(|i| argv.get(i + 1)).cloned();
        let file = at.unwrap_or_else(|| "/fluentd/etc/fluent.conf".into());
        let text = match sys.read_file(&file) {
            Ok(data) => String::from_utf8_lossy(&data).into_owned(),
            Err(e) => {
                log(sys, "error", &format!("No such file or directory @ rb_sysopen - {file} ({})", e.text()));
                return Some(1);
            }
        };
        match parse_config(&text) {
            Ok(config) => self.config = config,
            Err(e) => {
                log(sys, "error", &format!("config error file=\"{file}\" error_class=Fluent::ConfigError error=\"{e}\""));
                return Some(1);
            }
        }
        sys.set_memory(48 << 20);
        self.load_positions(sys);
        log(sys, "info", "starting fluentd-1.18.0 pid=1 ruby=\"3.4.4\"");
        None
    }

    /// Files that have come or gone.
    fn find_files(&mut self, sys: &mut Sys<'_>) {
        let dir = self.config.directory.clone();
        let names = sys.read_dir(&dir).unwrap_or_default();
        let mine = |name: &str| matches_star(&self.config.pattern, name);
        let there: base::TextSet<Rc<str>> = names.into_iter().filter(|n| mine(n)).collect();
        for name in there.iter() {
            if !self.tails.contains_key(name) {
                log(sys, "info", &format!("following tail of {dir}/{name}"));
                self.tails.insert(name.clone(), Tail::default());
            }
        }
        let gone: Vec<Rc<str>> = self.tails.keys().filter(|n| !there.contains(*n)).cloned().collect();
        for name in gone {
            log(sys, "info", &format!("stop following {dir}/{name}: it is gone"));
            self.tails.remove(&name);
        }
    }

    /// Takes what was added to the files, as long as there is room.
    fn read(&mut self, sys: &mut Sys<'_>) {
        let names: Vec<Rc<str>> = self.tails.keys().cloned().collect();
        let (mut moved, was_empty) = (false, self.buffer.is_empty());
        for name in names {
            if self.buffered_bytes >= self.config.limit {
                if !std::mem::replace(&mut self.blocked, true) {
                    log(sys, "warn", "failed to write data into buffer by buffer overflow action=:block");
                }
                break;
            }
            let Some(mut tail) = self.tails.get(&name).cloned() else { continue };
            let path = format!("{}/{name}", self.config.directory);
            let Ok(bytes) = read_from(sys, &path, &mut tail) else { continue };
            // Only whole lines; the rest comes with the next look.
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            if whole == 0 {
                continue;
            }
            moved = true;
            tail.at += whole as u64;
            for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
                if let Some(record) = self.record(&name, &mut tail, line) {
                    self.buffered_bytes += record.1;
                    self.buffer.push_back(record.0);
                }
            }
            sys.charge(5 + bytes.len() as u32 / 256);
            self.tails.insert(name, tail);
        }
        if moved {
            self.save_positions(sys);
            if was_empty && self.sending.is_none() {
                self.flush_at = sys.now() + self.config.flush;
            }
        }
        sys.set_memory((48 << 20) + self.buffered_bytes as u64);
    }

    /// `2026-11-01T00:00:00.000000000Z stdout F text` → a record and its size. `None`: the line is not complete yet.
    fn record(&self, file: &str, tail: &mut Tail, line: &str) -> Option<(Value, usize)> {
        let mut words = line.splitn(4, ' ');
        let (time, stream, flag, text) = (words.next()?, words.next()?, words.next()?, words.next().unwrap_or(""));
        if flag == "P" && tail.part.len() < CHUNK * 4 {
            tail.part.push_str(text);
            return None;
        }
        let text = std::mem::take(&mut tail.part) + text;
        let size = text.len() + 200;
        let (pod, namespace, container) = names_of(file);
        let mut record = value!({"time": time, "stream": stream, "log": (text.trim_end_matches('\n'))});
        let mut kubernetes = value!({"pod_name": (&*pod), "namespace_name": (&*namespace), "container_name": (&*container)});
        if let Some(found) = self.pods.get(&namespace, &pod).filter(|_| self.config.metadata) {
            add_metadata(&mut kubernetes, found);
        }
        record.set_at(&["kubernetes"], kubernetes);
        Some((record, size))
    }

    /// Sends a batch when it is time, and drops it from the buffer when it has been taken.
    fn ship(&mut self, sys: &mut Sys<'_>) {
        if let Some((mut fetch, records, bytes)) = self.sending.take() {
            match fetch.poll(sys) {
                None => self.sending = Some((fetch, records, bytes)),
                Some(Ok(answer)) if (200..300).contains(&answer.code) => {
                    drop(self.buffer.take_front(records));
                    self.buffered_bytes = self.buffered_bytes.saturating_sub(bytes);
                    if std::mem::take(&mut self.failures) > 0 {
                        log(sys, "info", "retry succeeded.");
                    }
                    self.blocked = false;
                    self.flush_at =
                        if self.buffer.len() >= BATCH || self.ending { sys.now() } else { sys.now() + self.config.flush };
                }
                Some(result) => {
                    let text = match result {
                        Ok(answer) => format!("{} from the log store", answer.code),
                        Err(text) => text,
                    };
                    self.failures += 1;
                    // Longer each time, up to half a minute.
                    let wait = Duration(RETRY.as_micros() << (self.failures - 1).min(5)).min(Duration::from_secs(30));
                    self.flush_at = sys.now() + wait;
                    let retry = format!(
                        "failed to flush the buffer. retry_times={} next_retry_time={} error=\"{text}\"",
                        self.failures - 1,
                        self.flush_at.rfc3339()
                    );
                    log(sys, "warn", &retry);
                }
            }
        }
        if self.sending.is_none() && !self.buffer.is_empty() && sys.now() >= self.flush_at {
            let batch: Vec<Value> = self.buffer.iter().take(BATCH).cloned().collect();
            let records = batch.len();
            let bytes = match records == self.buffer.len() {
                true => self.buffered_bytes,
                false => batch.iter().map(|r| r.str_at(&["log"]).map_or(0, str::len) + 200).sum(),
            };
            let body = json::to_string(&Value::list(batch));
            let c = &self.config;
            let fetch = Fetch::post(sys, (&c.host, c.port), &c.path, body.as_bytes(), Duration::from_secs(10));
            sys.charge(10 + body.len() as u32 / 512);
            self.sending = Some((fetch, records, bytes));
        }
    }

    /// `path<TAB>position`, a line each, as `in_tail` keeps them. What is in the buffer and not shipped is lost with the process,
    /// as with a buffer in memory.
    fn save_positions(&mut self, sys: &mut Sys<'_>) {
        if self.config.pos_file.is_empty() {
            return;
        }
        let text: String =
            self.tails.iter().map(|(name, t)| format!("{}/{name}\t{:016x}\n", self.config.directory, t.at)).collect();
        let _ = sys.write_file(&self.config.pos_file.clone(), text.as_bytes());
    }

    fn load_positions(&mut self, sys: &mut Sys<'_>) {
        let text = sys.read_file(&self.config.pos_file).map(|d| String::from_utf8_lossy(&d).into_owned()).unwrap_or_default();
        for (path, at) in text.lines().filter_map(|l| l.split_once('\t')) {
            let name = path.rsplit('/').next().unwrap_or(path);
            let at = u64::from_str_radix(at.trim(), 16).unwrap_or(0);
            self.tails.insert(name.into(), Tail { at, ..Tail::default() });
        }
    }
}

/// What a file has from the tail's position on. A file that is shorter was begun anew: it is read from its start.
fn read_from(sys: &mut Sys<'_>, path: &str, tail: &mut Tail) -> Result<Vec<u8>, cri_api::Errno> {
    let size = sys.stat(path)?.size;
    if size < tail.at {
        tail.at = 0;
    }
    if size == tail.at {
        return Ok(Vec::new());
    }
    let fd = sys.open(path, OpenFlags::READ, 0)?;
    let read = sys.seek(fd, tail.at).and_then(|_| sys.read(fd, CHUNK));
    sys.close(fd)?;
    read
}

/// `web-0_default_nginx-<id>.log` → pod, namespace, container.
fn names_of(file: &str) -> (Rc<str>, Rc<str>, Rc<str>) {
    let base = file.strip_suffix(".log").unwrap_or(file);
    let mut parts = base.splitn(3, '_');
    let (pod, namespace, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let container = rest.rsplit_once('-').map_or(rest, |(name, _)| name);
    (pod.into(), namespace.into(), container.into())
}

fn add_metadata(kubernetes: &mut Value, pod: &Object) {
    if let Some(labels) = pod.at(&["metadata", "labels"]) {
        kubernetes.set_at(&["labels"], labels);
    }
    kubernetes.set_at(&["pod_id"], pod.uid());
    for (field, path) in [("host", ["spec", "nodeName"]), ("pod_ip", ["status", "podIP"])] {
        if let Some(text) = pod.str_at(&path) {
            kubernetes.set_at(&[field], text);
        }
    }
}

/// A pattern with stars.
fn matches_star(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => match name.strip_prefix(head) {
            None => false,
            Some(tail) if rest.is_empty() => !tail.is_empty() || pattern.ends_with('*'),
            Some(tail) => tail.char_indices().map(|(i, _)| i).chain([tail.len()]).any(|i| matches_star(rest, &tail[i..])),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_record_and_parts_are_joined() {
        let fluentd = Fluentd::new();
        let (mut tail, file) = (Tail::default(), "web-0_shop_app-0123.log");
        assert!(fluentd.record(file, &mut tail, "2026-11-01T00:00:00Z stdout P half ").is_none());
        let (record, _) = fluentd.record(file, &mut tail, "2026-11-01T00:00:01Z stdout F a line").unwrap();
        assert_eq!(record.str_at(&["log"]), Some("half a line"));
        assert_eq!(record.str_at(&["kubernetes", "container_name"]), Some("app"));
        assert_eq!(record.str_at(&["kubernetes", "namespace_name"]), Some("shop"));
        assert!(fluentd.record(file, &mut tail, "nonsense").is_none());
    }

    #[test]
    fn stars_match() {
        assert!(matches_star("*.log", "a.log") && matches_star("*_kube-system_*.log", "x_kube-system_y.log"));
        assert!(!matches_star("*.log", "a.txt") && !matches_star("a*", "b"));
    }
}
