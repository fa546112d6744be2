//! Events of events.k8s.io/v1, as kube-scheduler records them: a repeat within six minutes makes the event a series.
//!
//! Models `tools/events`. Left out: the closing patch when a series ends.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, resources, value};
use base::{Digest, Duration, Map, Time};

use crate::recorder::{EventType, event_namespace};

/// A series that was quiet for this long is over.
const FINISH_TIME: Duration = Duration::from_secs(360);
/// Above this many remembered events those that are over are dropped.
const REMEMBERED: usize = 4096;

#[derive(Clone, Debug)]
struct Series {
    name: Rc<str>,
    count: i64,
    last: Time,
}

/// Records events of one reporting controller.
#[derive(Clone, Debug)]
pub struct EventRecorderV1 {
    controller: Rc<str>,
    instance: Rc<str>,
    series: Map<u64, Series>,
    sent: u64,
}

impl EventRecorderV1 {
    /// `default-scheduler` and `default-scheduler-<host>`.
    pub fn new(controller: &str, instance: &str) -> EventRecorderV1 {
        EventRecorderV1 { controller: controller.into(), instance: instance.into(), series: Map::default(), sent: 0 }
    }

    /// Notes an event. `regarding` is an `ObjectReference` (see [`crate::object_reference`]), `related` may be null.
    pub fn eventf(
        &mut self,
        regarding: Value,
        related: Value,
        kind: EventType,
        reason: &str,
        action: &str,
        note: &str,
        now: Time,
    ) -> Request {
        let key = isomorphism(&regarding, kind, reason, action, note);
        self.forget_finished(now);
        let namespace = event_namespace(&regarding);
        if let Some(series) = self.series.get_mut(&key).filter(|s| now.since(s.last) <= FINISH_TIME) {
            series.count += 1;
            series.last = now;
            let patch = value!({"series": {"count": (series.count), "lastObservedTime": (now.rfc3339_micro())}});
            let key = ObjectKey { namespace, name: series.name.clone() };
            return Request::patch(resources::events_v1(), &key, PatchType::StrategicMerge, patch);
        }
        self.sent += 1;
        let nanos = now.0 as u64 * 1000 + self.sent % 1000;
        let name: Rc<str> = format!("{}.{nanos:x}", regarding.str_at(&["name"]).unwrap_or("")).into();
        self.series.insert(key, Series { name: name.clone(), count: 1, last: now });
        let mut event = value!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": (now.rfc3339_micro()), "reportingController": (&self.controller), "reportingInstance": (&self.instance),
            "action": (Value::sym(action)), "reason": (Value::sym(reason)), "regarding": regarding, "note": note,
            "type": (Value::sym(kind.as_str()))
        });
        if !related.is_null() {
            event.set_at(&["related"], related);
        }
        Request::create(resources::events_v1(), Object::from_value(event).expect("a map was built"))
    }

    fn forget_finished(&mut self, now: Time) {
        if self.series.len() <= REMEMBERED {
            return;
        }
        let over: Vec<u64> = self.series.iter().filter(|(_, s)| now.since(s.last) > FINISH_TIME).map(|(k, _)| *k).collect();
        for key in over {
            self.series.remove(&key);
        }
        if self.series.len() > REMEMBERED {
            self.series = Map::default();
        }
    }
}

fn isomorphism(regarding: &Value, kind: EventType, reason: &str, action: &str, note: &str) -> u64 {
    let mut digest = Digest::new();
    for field in ["kind", "namespace", "name", "uid"] {
        digest.write(regarding.str_at(&[field]).unwrap_or("").as_bytes());
    }
    for text in [kind.as_str(), reason, action, note] {
        digest.write(text.as_bytes());
    }
    digest.finish()
}
