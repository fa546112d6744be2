//! A small log store: takes records over HTTP, keeps the newest, and searches them.
//!
//! It stands for what people put behind Fluentd (Elasticsearch, Loki). `POST /insert` takes a JSON list of records; `GET /search?q=`
//! finds words in the text and `field:value` terms (namespace, pod, container, node, stream, or a label), newest last, with `limit`
//! and `since` (seconds); `GET /stats` counts. Bounded: the newest 20,000 records and 8 MiB of text.
//! Left out by name: storage on disk, indexes, any other store's query language.

use std::rc::Rc;

use apimachinery::{Value, json, value};
use base::{Time, Vector};
use cri_api::machine::Sys;
use cri_api::{Poll, Program};

use crate::http::{Incoming, Server, catch_ends};

const PORT: u16 = 9428;
const MOST_RECORDS: usize = 20_000;
const MOST_BYTES: usize = 8 << 20;
const LIMIT: usize = 100;
const MOST_FOUND: usize = 1000;

/// A running store.
#[derive(Clone, Default)]
pub struct LogStore {
    started: bool,
    server: Server,
    records: Vector<Record>,
    bytes: usize,
    inserted: u64,
    dropped: u64,
}

#[derive(Clone)]
struct Record {
    at: Time,
    text: Rc<str>,
    whole: Value,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(LogStore::default())
}

impl Program for LogStore {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            catch_ends(sys);
            if let Err(e) = self.server.listen(sys, PORT) {
                let _ = sys.write(2, format!("listen :{PORT}: {}\n", e.text()).as_bytes());
                return Poll::Exit(1);
            }
            let _ = sys.write(1, format!("log store: listening on :{PORT}\n").as_bytes());
        }
        if sys.take_signal().is_some() {
            return Poll::Exit(0);
        }
        for request in self.server.requests(sys) {
            let (code, body, cost) = self.serve(&request, sys.now());
            sys.charge(20 + (cost / 20) as u32);
            self.server.answer(request.id, code, "application/json", body.as_bytes());
        }
        self.server.flush(sys);
        sys.set_memory((12 << 20) + self.bytes as u64);
        Poll::Pending
    }
}

fn wrong(code: u16, text: &str) -> (u16, String, usize) {
    (code, json::to_string(&value!({"error": text})) + "\n", 0)
}

impl LogStore {
    /// Code, body, and how many records were looked at.
    fn serve(&mut self, request: &Incoming, now: Time) -> (u16, String, usize) {
        match (request.method.as_str(), request.path.trim_end_matches('/')) {
            ("POST", "/insert") => match json::parse(&request.body) {
                Ok(list) if list.as_list().is_some() => {
                    let n = list.items().len();
                    list.items().iter().for_each(|r| self.insert(r));
                    (200, json::to_string(&value!({"inserted": (n as i64)})) + "\n", n)
                }
                _ => wrong(400, "a JSON list of records is wanted"),
            },
            ("GET", "/search") => self.search(request, now),
            ("GET", "/stats") => {
                let stats = value!({
                    "records": (self.records.len() as i64), "bytes": (self.bytes as i64), "inserted": (self.inserted as i64),
                    "dropped": (self.dropped as i64)
                });
                (200, json::to_string(&stats) + "\n", 0)
            }
            ("GET", "/health") => (200, "{\"status\":\"ok\"}\n".into(), 0),
            ("GET", "") => (200, "{\"paths\":[\"/search?q=\",\"/stats\",\"/health\",\"/insert\"]}\n".into(), 0),
            _ => wrong(404, "no such path: /search?q=, /stats, /health, /insert"),
        }
    }

    fn insert(&mut self, record: &Value) {
        let Some(text) = record.at(&["log"]).and_then(Value::as_rc_str).cloned() else { return };
        let at = record.str_at(&["time"]).and_then(Time::parse).unwrap_or(Time::EPOCH);
        self.bytes += text.len();
        self.inserted += 1;
        self.records.push_back(Record { at, text, whole: record.clone() });
        while self.records.len() > MOST_RECORDS || self.bytes > MOST_BYTES {
            let Some(old) = self.records.pop_front() else { return };
            self.bytes -= old.text.len();
            self.dropped += 1;
        }
    }

    fn search(&self, request: &Incoming, now: Time) -> (u16, String, usize) {
        let terms: Vec<Term> = request.parameter("q").unwrap_or("").split_whitespace().map(Term::parse).collect();
        let number = |name: &str, default: usize| request.parameter(name).map_or(Ok(default), str::parse);
        let (Ok(limit), Ok(since)) = (number("limit", LIMIT), number("since", 0)) else {
            return wrong(400, "limit and since are whole numbers");
        };
        let limit = limit.min(MOST_FOUND);
        let after =
            if since == 0 { Time(i64::MIN) } else { Time(now.0.saturating_sub((since as i64).saturating_mul(1_000_000))) };
        let (mut found, mut total) = (Vec::new(), 0i64);
        for record in self.records.iter().rev() {
            if record.at >= after && terms.iter().all(|t| t.matches(record)) {
                total += 1;
                if found.len() < limit {
                    found.push(record.whole.clone());
                }
            }
        }
        found.reverse();
        let answer = value!({"total": total, "records": (Value::list(found))});
        (200, json::to_string(&answer) + "\n", self.records.len())
    }
}

/// One word of a search: in the text, or of a field. A minus before it turns it round.
struct Term {
    not: bool,
    field: Option<String>,
    text: String,
}

impl Term {
    fn parse(word: &str) -> Term {
        let (not, word) = word.strip_prefix('-').filter(|w| !w.is_empty()).map_or((false, word), |w| (true, w));
        match word
            .split_once(':')
            .filter(|(f, _)| !f.is_empty() && f.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)))
        {
            Some((field, text)) => Term { not, field: Some(field.into()), text: text.into() },
            None => Term { not, field: None, text: word.to_lowercase() },
        }
    }

    fn matches(&self, record: &Record) -> bool {
        let found = match self.field.as_deref() {
            None => record.text.to_lowercase().contains(&self.text),
            Some("stream") => record.whole.str_at(&["stream"]) == Some(&self.text),
            Some(field) => {
                let name = match field {
                    "namespace" => "namespace_name",
                    "pod" => "pod_name",
                    "container" => "container_name",
                    "node" => "host",
                    other => other,
                };
                let value = record.whole.str_at(&["kubernetes", name]);
                value.or_else(|| record.whole.str_at(&["kubernetes", "labels", field])) == Some(&self.text)
            }
        };
        found != self.not
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str, pod: &str) -> Value {
        value!({
            "time": "2026-11-01T00:00:00Z", "stream": "stdout", "log": text,
            "kubernetes": {"pod_name": pod, "namespace_name": "default", "labels": {"app": "web"}}
        })
    }

    fn find(store: &LogStore, q: &str) -> i64 {
        let request = Incoming {
            id: 1,
            method: "GET".into(),
            path: "/search".into(),
            query: vec![("q".into(), q.into())],
            head: String::new(),
            body: Vec::new(),
        };
        json::parse(store.search(&request, Time::EPOCH).1.as_bytes()).unwrap().int_at(&["total"]).unwrap()
    }

    #[test]
    fn words_and_fields_find_records() {
        let mut store = LogStore::default();
        for (text, pod) in [("GET /index.html 200", "web-1"), ("GET /nothing 404", "web-2"), ("started", "db")] {
            store.insert(&record(text, pod));
        }
        for (q, expected) in
            [("", 3), ("get", 2), ("GET 404", 1), ("pod:db", 1), ("app:web -pod:db", 2), ("-404 get", 1), ("x:y", 0), ("-", 0)]
        {
            assert_eq!(find(&store, q), expected, "{q}");
        }
    }

    #[test]
    fn the_newest_are_kept() {
        let mut store = LogStore::default();
        for n in 0..MOST_RECORDS + 5 {
            store.insert(&record(&format!("line {n}"), "p"));
        }
        assert_eq!((store.records.len(), store.dropped), (MOST_RECORDS, 5));
        assert_eq!((find(&store, "line 4"), find(&store, "nowhere")), (find(&store, "line 4"), 0));
    }
}
