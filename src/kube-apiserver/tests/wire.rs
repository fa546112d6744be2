//! Recorded exchanges of a real server, replayed against this one: `tests/golden/wire/*.jsonl`.
//!
//! Compared: status, Warning headers, body. Other headers are the native server's. No controllers run (the pump plays the two
//! that make a namespace usable), so steps that wait for one are skipped with what depends on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use apimachinery::{Response, ResponseBody, UserInfo, Value, WatchEvent, json, value};
use base::Duration;
use base::Sort as _;
use sim::StreamId;

use super::pump::World;
use super::replay::{Bindings, differ};
use crate::parse;

/// The share of exchanges that must be answered as recorded, in percent.
const FLOOR: usize = 81;

struct Replay {
    world: World,
    captured: BTreeMap<String, String>,
    bindings: Bindings,
    watches: BTreeMap<String, StreamId>,
    run: String,
    compared: usize,
    same: usize,
    failures: Vec<String>,
    /// Mistakes are named in no particular order.
    unordered: bool,
}

/// A text that is the same whatever the order of the mistakes that it lists.
fn without_order(text: &str) -> String {
    let mut parts: Vec<&str> =
        text.split(", ").flat_map(|p| p.splitn(2, " is invalid: ")).map(|p| p.trim_matches(['[', ']'])).collect();
    parts.order();
    parts.join(", ")
}

fn pointer(v: &Value, path: &str) -> Value {
    path.split('/').skip(1).fold(v.clone(), |v, part| match (&v, part.split_once('=')) {
        (Value::List(items), Some((k, want))) => items.iter().find(|i| i.str_at(&[k]) == Some(want)).cloned().unwrap_or_default(),
        (Value::List(items), None) => part.parse::<usize>().ok().and_then(|i| items.get(i)).cloned().unwrap_or_default(),
        _ => v.get(&part.replace("~1", "/")).cloned().unwrap_or_default(),
    })
}

impl Replay {
    fn fill(&self, text: &str) -> String {
        let mut out = text.replace("<run>", &self.run);
        while let Some(start) = out.find("<cap:") {
            let end = start + out[start..].find('>').unwrap();
            let value = self.captured.get(&out[start + 5..end]).cloned().unwrap_or_else(|| "MISSING".into());
            out.replace_range(start..=end, &value);
        }
        while let Some(start) = out.find("<fill:") {
            let end = start + out[start..].find('>').unwrap();
            let n = out[start + 6..end].parse().unwrap_or(0);
            out.replace_range(start..=end, &"x".repeat(n));
        }
        out
    }

    fn request(&self, r: &Value) -> Result<apimachinery::Request, Response> {
        let text = |v: &Value| self.fill(v.as_str().unwrap_or(""));
        let (method, path) =
            (text(&r.get("method").cloned().unwrap_or_default()), text(&r.get("path").cloned().unwrap_or_default()));
        let mut headers: Vec<(String, String)> = vec![
            ("Accept".into(), "application/json".into()),
            ("User-Agent".into(), "wire-test/1.0".into()),
            ("Content-Type".into(), "application/json".into()),
        ];
        for (name, v) in r.map_at(&["headers"]).into_iter().flatten() {
            headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
            match v {
                Value::Str(s) => headers.push((name.to_string(), self.fill(s))),
                Value::List(l) => headers.extend(l.iter().map(|s| (name.to_string(), text(s)))),
                _ => {}
            }
        }
        let body: Rc<[u8]> = match r.get("body") {
            None => Rc::from([]),
            Some(v) if v.get("$text").is_some() => self.fill(v.str_at(&["$text"]).unwrap()).into_bytes().into(),
            Some(v) => self.fill(&json::to_string(v)).into_bytes().into(),
        };
        let admin = r.str_at(&["auth"]) != Some("none");
        let user = admin.then(|| Rc::new(UserInfo::new("kubernetes-admin", &["system:masters"])));
        let borrowed: Vec<(&str, &str)> = headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        parse(&method, &path, &borrowed, body, user).map_err(Response::from)
    }

    fn ask(&mut self, r: &Value) -> Response {
        let request = match self.request(r) {
            Ok(request) => request,
            Err(response) => return response,
        };
        let creates_namespace = request.verb == apimachinery::Verb::Create && request.gvr.resource == "namespaces";
        let response = (*self.world.ask(request)).clone();
        if let Some(ns) = response.ok().filter(|_| creates_namespace && response.code == 201) {
            let name = ns.name().to_string();
            if !r.str_at(&["path"]).unwrap_or("").contains("dryRun") {
                self.world.furnish(&name);
            }
        }
        self.world.run(Duration::from_millis(20));
        response
    }

    fn capture(&mut self, step: &Value, body: &Value) {
        for (name, place) in step.map_at(&["capture"]).into_iter().flatten() {
            let v = match place.as_str() {
                Some(p) if !p.starts_with("header:") => pointer(body, p),
                _ => Value::Null,
            };
            let text = v.as_str().map_or_else(|| json::to_string(&v), str::to_string);
            self.captured.insert(name.to_string(), text);
        }
    }

    fn step(&mut self, step: &Value) {
        if let Some(r) = step.get("setup") {
            let response = self.ask(r);
            self.capture(step, &body_of(&response));
        } else if let Some(r) = step.get("request").filter(|_| step.get("open").is_none()) {
            let response = self.ask(r);
            let body = body_of(&response);
            self.compare(step, r, response.code, &response, &body);
            self.capture(step, &body);
        } else if let Some(r) = step.get("wait") {
            let mut response = self.ask(r);
            // Only the server's own controllers run here: those of definitions.
            let own = r.str_at(&["path"]).is_some_and(|p| p.contains("example.com"));
            for _ in 0..200 {
                if !own || self.holds(step, &response) {
                    break;
                }
                self.world.run(Duration::from_millis(100));
                response = self.ask(r);
            }
            self.capture(step, &body_of(&response));
        } else if let Some(s) = step.get("sleep") {
            let seconds = match s {
                Value::Float(f) => *f,
                v => v.as_i64().unwrap_or(1) as f64,
            };
            self.world.run(Duration::from_secs_f64(seconds));
        } else if let Some(name) = step.str_at(&["open"]) {
            if let Ok(request) = self.request(step.get("request").unwrap()) {
                let id = self.world.send(request);
                self.watches.insert(name.to_string(), id);
                self.world.run(Duration::from_millis(20));
            }
        } else if let Some(name) = step.str_at(&["collect"]) {
            self.collect(step, name);
        }
    }

    /// Whether an answer is what a step waits for.
    fn holds(&self, step: &Value, response: &Response) -> bool {
        let body = body_of(response);
        step.list_at(&["until"]).iter().all(|condition| {
            let [place, operator, wanted] = condition.items() else { return false };
            let have = match place.as_str() {
                Some("status") => Value::from(i64::from(response.code)),
                Some(place) => pointer(&body, place),
                None => return false,
            };
            match operator.as_str() {
                Some("exists") => !have.is_null(),
                Some("=") => have == *wanted,
                _ => true,
            }
        })
    }

    fn collect(&mut self, step: &Value, name: &str) {
        let Some(&id) = self.watches.get(name) else { return };
        if step.get("until").is_some() {
            self.world.run(Duration::from_secs(10));
        } else {
            self.world.run(Duration::from_millis(500));
        }
        let code = self.world.answers.get(&id).map_or(0, |r| r.code);
        let keeps_bookmarks = step.get("bookmarks").is_some();
        let shown = |e: &WatchEvent| value!({"type": (e.kind.as_str()), "object": (e.object.value())});
        let real = |e: &&WatchEvent| {
            e.kind != apimachinery::WatchEventType::Bookmark || keeps_bookmarks || e.object.annotations().is_some()
        };
        let events: Vec<Value> = self.world.events.get(&id).into_iter().flatten().filter(real).map(shown).collect();
        let expected = step.get("events").cloned().unwrap_or_default();
        self.compared += 1;
        let list: Vec<Value> = match step.get("prefix") {
            Some(_) => events.into_iter().take(expected.items().len()).collect(),
            None => events,
        };
        self.capture(step, &Value::from(list.clone()));
        let wanted = self.expand(&expected);
        let difference = match code {
            200 => differ(&wanted, &Value::from(list), &mut self.bindings, ""),
            code => Some(format!("status {code}")),
        };
        self.note(difference, &format!("watch {name}"));
    }

    /// `<run>` and captured values filled into what is expected.
    fn expand(&self, v: &Value) -> Value {
        match v {
            Value::Str(s) if s.contains("<run>") || s.contains("<cap:") => Value::from(self.fill(s)),
            Value::List(l) => Value::from(l.iter().map(|v| self.expand(v)).collect::<Vec<_>>()),
            Value::Map(m) => {
                Value::from(m.iter().map(|(k, v)| (self.fill(k).into(), self.expand(v))).collect::<apimachinery::Fields>())
            }
            other => other.clone(),
        }
    }

    fn note(&mut self, difference: Option<String>, what: &str) {
        match difference {
            None => self.same += 1,
            Some(text) => self.failures.push(format!("{what}: {text}")),
        }
    }

    fn compare(&mut self, step: &Value, r: &Value, code: u16, response: &Response, body: &Value) {
        self.compared += 1;
        let expected = step.get("response").cloned().unwrap_or_default();
        let what = format!("{} {}", r.str_at(&["method"]).unwrap_or(""), r.str_at(&["path"]).unwrap_or(""));
        let difference = self.difference(&expected, code, response, body);
        self.note(difference, &what);
    }

    fn difference(&mut self, expected: &Value, code: u16, response: &Response, body: &Value) -> Option<String> {
        let want = expected.int_at(&["status"]).unwrap_or(0);
        if want != i64::from(code) {
            return Some(format!("status {code} instead of {want}: {}", body.str_at(&["message"]).unwrap_or("")));
        }
        let warnings: Vec<Value> =
            response.warnings.iter().map(|w| format!("299 - {}", apimachinery::field::go_quote(w)).into()).collect();
        let wanted = self.expand(&Value::from(expected.list_at(&["headers", "Warning"]).to_vec()));
        if let Some(d) = differ(&wanted, &Value::from(warnings), &mut self.bindings, "Warning") {
            return Some(d);
        }
        let wanted = self.expand(&expected.get("body").cloned().unwrap_or_default());
        if let Some(text) = wanted.str_at(&["$text"]) {
            let actual = match &response.body {
                ResponseBody::Text(_, t) => t.to_string(),
                _ => return Some("no text".into()),
            };
            return (text != actual).then(|| format!("text {actual:?} instead of {text:?}"));
        }
        if let Some(places) = wanted.map_at(&["$pick"]) {
            return places.iter().find_map(|(place, want)| {
                let have = pointer(body, place);
                if want.is_null() && have.is_null() { None } else { differ(want, &have, &mut self.bindings, place) }
            });
        }
        if wanted.get("$contains").is_some() || wanted.get("$protobuf").is_some() || wanted.get("$base64").is_some() {
            return Some("not compared here".into());
        }
        let (mut wanted, mut body) = (wanted, body.clone());
        if self.unordered && code == 422 {
            for v in [&mut wanted, &mut body] {
                let text = without_order(v.str_at(&["message"]).unwrap_or(""));
                v.set_at(&["message"], text);
            }
        }
        if wanted.is_null() { None } else { differ(&wanted, &body, &mut self.bindings, "") }
    }
}

fn body_of(response: &Response) -> Value {
    match &response.body {
        ResponseBody::Object(o) => o.value().clone(),
        ResponseBody::List(l) => l.to_value(),
        _ => Value::Null,
    }
}

fn replay(world: &World, text: &str) -> (usize, usize, Vec<String>) {
    let mut replay = Replay {
        world: world.clone(),
        captured: BTreeMap::new(),
        bindings: Bindings::default(),
        watches: BTreeMap::new(),
        run: "k123abc".into(),
        compared: 0,
        same: 0,
        failures: Vec::new(),
        unordered: text.lines().next().is_some_and(|head| head.contains("unorderedCauses")),
    };
    for line in text.lines().skip(1) {
        let step = json::parse(line.as_bytes()).unwrap();
        replay.step(&step);
    }
    (replay.compared, replay.same, replay.failures)
}

/// `WIRE=name-prefix` replays a part, `WIRE_SHOW=n` prints up to n differences of each file.
#[test]
fn recorded_exchanges() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/wire");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.order();
    let only = std::env::var("WIRE").unwrap_or_default();
    let show: usize = std::env::var("WIRE_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let world = World::new();
    let (mut compared, mut same) = (0, 0);
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(&only) {
            continue;
        }
        let (c, s, failures) = replay(&world, &fs::read_to_string(&file).unwrap());
        println!("{name}: {s}/{c}");
        for failure in failures.iter().take(show) {
            println!("    {failure}");
        }
        compared += c;
        same += s;
    }
    println!("{same} of {compared} exchanges as recorded ({} %)", same * 100 / compared.max(1));
    assert!(!only.is_empty() || same * 100 >= compared * FLOOR);
}
