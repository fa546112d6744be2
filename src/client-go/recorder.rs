//! Events of core/v1 as components record them: counted when they repeat, combined when they are similar, dropped when they flood.
//!
//! Models `tools/record` (`EventCorrelator`): similar events are combined after ten in ten minutes, equal ones are counted by a
//! patch, and of one source about one object only 25 come through at once, then one in five minutes. The recorder sends nothing:
//! its owner sends the request that it returns and ignores the answer.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, resources, value};
use base::{Digest, Duration, Map, Time, Vector};

use crate::client::RateLimiter;

/// How many keys each of the caches remembers, as upstream.
const CACHE_SIZE: usize = 4096;
const AGGREGATE_MAX: usize = 10;
const AGGREGATE_INTERVAL: Duration = Duration::from_secs(600);
const SPAM_BURST: u32 = 25;
const SPAM_INTERVAL: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// A map that forgets its oldest keys.
#[derive(Clone, Debug)]
struct Lru<V: Clone> {
    entries: Map<u64, V>,
    order: Vector<u64>,
}

impl<V: Clone> Default for Lru<V> {
    fn default() -> Lru<V> {
        Lru { entries: Map::default(), order: Vector::default() }
    }
}

impl<V: Clone> Lru<V> {
    fn entry(&mut self, key: u64, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            self.order.push_back(key);
            if self.order.len() > CACHE_SIZE
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
        self.entries.entry(key).or_insert_with(make)
    }
}

#[derive(Clone, Debug)]
struct Seen {
    count: i64,
    first: Time,
    name: Rc<str>,
}

#[derive(Clone, Debug, Default)]
struct Similar {
    messages: Vec<u64>,
    last: Time,
}

/// Records events of one component.
#[derive(Clone, Debug)]
pub struct EventRecorder {
    component: Rc<str>,
    /// The node, for a kubelet; else empty.
    host: Rc<str>,
    seen: Lru<Seen>,
    similar: Lru<Similar>,
    spam: Lru<RateLimiter>,
    /// Makes names of events of one microsecond different.
    sent: u64,
}

/// The `ObjectReference` of an object, for `involvedObject` and `regarding`.
pub fn object_reference(object: &Object) -> Value {
    let meta = |name: &str| object.at(&["metadata", name]).cloned().unwrap_or_default();
    let mut reference = value!({
        "kind": (object.kind()), "apiVersion": (object.api_version()), "name": (meta("name")), "uid": (meta("uid")),
        "resourceVersion": (meta("resourceVersion")), "namespace": (meta("namespace"))
    });
    reference.map_mut().retain(|_, v| !v.is_empty());
    reference
}

impl EventRecorder {
    /// `component` as events name it (`deployment-controller`); `host` is empty but for kubelets and kube-proxy.
    pub fn new(component: &str, host: &str) -> EventRecorder {
        EventRecorder {
            component: component.into(),
            host: host.into(),
            seen: Lru::default(),
            similar: Lru::default(),
            spam: Lru::default(),
            sent: 0,
        }
    }

    /// Notes an event about `object`. The request, if any, creates or patches the Event.
    pub fn event(&mut self, object: &Object, kind: EventType, reason: &str, message: &str, now: Time) -> Option<Request> {
        self.record(object_reference(object), kind, reason, message, now)
    }

    /// Notes an event about what a reference names (with `fieldPath`, for a container).
    pub fn record(&mut self, about: Value, kind: EventType, reason: &str, message: &str, now: Time) -> Option<Request> {
        let source = self.digest(&about, &[]);
        let mut message = message;
        let combined;
        if self.is_similar_to_many(source, kind, reason, message, now) {
            combined = format!("(combined from similar events): {message}");
            message = &combined;
        }
        let key = if message.starts_with("(combined from similar events): ") {
            self.digest(&about, &[kind.as_str(), reason, "combined"])
        } else {
            self.digest(&about, &[kind.as_str(), reason, message])
        };
        let bucket = self.spam.entry(source, || RateLimiter::every(SPAM_INTERVAL, SPAM_BURST));
        let accepted = bucket.try_accept(now);
        let name = self.name(&about, now);
        let seen = self.seen.entry(key, || Seen { count: 0, first: now, name });
        seen.count += 1;
        if !accepted {
            return None;
        }
        let (seen, namespace) = (seen.clone(), event_namespace(&about));
        if seen.count == 1 {
            let event = self.new_event(about, &seen, &namespace, kind, reason, message, now);
            return Some(Request::create(resources::events(), event));
        }
        let patch = value!({"count": (seen.count), "lastTimestamp": (now.rfc3339_shared()), "message": message});
        let key = ObjectKey { namespace, name: seen.name };
        Some(Request::patch(resources::events(), &key, PatchType::StrategicMerge, patch))
    }

    /// Whether more than ten different messages of this kind came within ten minutes.
    fn is_similar_to_many(&mut self, source: u64, kind: EventType, reason: &str, message: &str, now: Time) -> bool {
        let mut digest = Digest::new();
        digest.write_u64(source);
        digest.write(kind.as_str().as_bytes());
        digest.write(reason.as_bytes());
        let similar = self.similar.entry(digest.finish(), Similar::default);
        if now.since(similar.last) > AGGREGATE_INTERVAL {
            similar.messages.clear();
        }
        similar.last = now;
        let message = base::hash64(message.as_bytes());
        if !similar.messages.contains(&message) {
            similar.messages.push(message);
        }
        if similar.messages.len() < AGGREGATE_MAX {
            return false;
        }
        similar.messages.remove(0);
        true
    }

    fn digest(&self, about: &Value, more: &[&str]) -> u64 {
        let mut digest = Digest::new();
        for field in ["kind", "namespace", "name", "uid", "apiVersion", "fieldPath"] {
            digest.write(about.str_at(&[field]).unwrap_or("").as_bytes());
        }
        for text in more {
            digest.write(text.as_bytes());
        }
        digest.finish()
    }

    /// `pod.1886f2e0c3a7b9d1`: the object's name and the nanosecond.
    fn name(&mut self, about: &Value, now: Time) -> Rc<str> {
        self.sent += 1;
        let nanos = now.0 as u64 * 1000 + self.sent % 1000;
        format!("{}.{nanos:x}", about.str_at(&["name"]).unwrap_or("")).into()
    }

    fn new_event(
        &self,
        about: Value,
        seen: &Seen,
        namespace: &Rc<str>,
        kind: EventType,
        reason: &str,
        message: &str,
        now: Time,
    ) -> Object {
        let mut source = value!({"component": (&self.component)});
        if !self.host.is_empty() {
            source.set_at(&["host"], &self.host);
        }
        let event = value!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": (&seen.name), "namespace": namespace},
            "involvedObject": about, "reason": (Value::sym(reason)), "message": message,
            "source": source, "type": (Value::sym(kind.as_str())),
            "firstTimestamp": (seen.first.rfc3339_shared()), "lastTimestamp": (now.rfc3339()), "count": (seen.count),
            "eventTime": null, "reportingComponent": (&self.component), "reportingInstance": (&self.host)
        });
        Object::from_value(event).expect("a map was built")
    }
}

/// Events about what is cluster-wide live in `default`.
pub(crate) fn event_namespace(about: &Value) -> Rc<str> {
    about.get("namespace").and_then(Value::as_rc_str).filter(|n| !n.is_empty()).cloned().unwrap_or_else(|| "default".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(request: Option<Request>) -> String {
        let Some(request) = request else { return "dropped".to_string() };
        match &request.body {
            apimachinery::Body::Object(o) => format!("create {}", o.str_at(&["message"]).unwrap_or("")),
            apimachinery::Body::Patch(_, p) => {
                format!("count {} {}", p.int_at(&["count"]).unwrap_or(0), p.str_at(&["message"]).unwrap_or(""))
            }
            _ => String::new(),
        }
    }

    #[test]
    fn repeats_are_counted_floods_combined_and_then_dropped() {
        let mut recorder = EventRecorder::new("kubelet", "node-1");
        let pod = Object::from_value(value!({"kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}})).unwrap();
        let mut at = |s: i64, message: &str| {
            describe(recorder.event(&pod, EventType::Normal, "Pulled", message, Time::from_secs(1000 + s)))
        };
        assert_eq!(at(0, "m0"), "create m0");
        assert_eq!(at(1, "m0"), "count 2 m0");
        let all: Vec<String> = (1..12).map(|n| at(2, &format!("m{n}"))).collect();
        assert_eq!(all.last().map(String::as_str), Some("count 3 (combined from similar events): m11"));
        let dropped = (0..30).filter(|_| at(3, "m0") == "dropped").count();
        assert_eq!(dropped, 18);
    }
}
