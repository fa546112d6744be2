//! Sizes: how a Deployment's replicas are spread over its ReplicaSets. Pure functions of a [`View`].
//!
//! Models `rolling.go`, `recreate.go`, `sync.go` (`scale`) and `util/deployment_util.go`.

use apimachinery::quantity::scaled_int_or_percent;
use apimachinery::{Object, Value};
use base::Sort as _;

use super::{View, revision};
use crate::refs::status_int;

/// A ReplicaSet and the size it shall have.
#[derive(Clone, Debug)]
pub struct Scale {
    pub rs: Object,
    pub size: i64,
}

impl Scale {
    /// The ReplicaSet with its new size and the annotations that later proportions are reckoned from.
    pub fn scaled(&self, d: &Object) -> Object {
        let mut rs = self.rs.clone();
        rs.set_at(&["spec", "replicas"], self.size);
        revision::annotate_replicas(d, &mut rs);
        rs
    }
    /// The event's text; empty if only annotations change.
    pub fn message(&self) -> String {
        let (from, to) = (replicas(&self.rs), self.size);
        let direction = match from.cmp(&to) {
            std::cmp::Ordering::Less => "up",
            std::cmp::Ordering::Greater => "down",
            std::cmp::Ordering::Equal => return String::new(),
        };
        format!("Scaled {direction} replica set {} from {from} to {to}", self.rs.name())
    }
}

/// `spec.replicas` with its default.
pub fn replicas(object: &Object) -> i64 {
    object.int_at(&["spec", "replicas"]).unwrap_or(1)
}

/// Max surge and max unavailable in pods. Models `ResolveFenceposts`: they are never both zero.
fn fenceposts(d: &Object) -> (i64, i64) {
    if d.str_at(&["spec", "strategy", "type"]) == Some("Recreate") {
        return (0, 0);
    }
    let field = |name: &str, round_up: bool| {
        let v = d.at(&["spec", "strategy", "rollingUpdate", name]).cloned().unwrap_or(Value::from("25%"));
        scaled_int_or_percent(&v, replicas(d), round_up).unwrap_or(0)
    };
    let (surge, unavailable) = (field("maxSurge", true), field("maxUnavailable", false));
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}
pub fn max_surge(d: &Object) -> i64 {
    fenceposts(d).0
}
pub fn max_unavailable(d: &Object) -> i64 {
    if replicas(d) == 0 { 0 } else { fenceposts(d).1.min(replicas(d)) }
}

/// The size of the newest ReplicaSet now that all others have `others` replicas. Models `NewRSNewReplicas`.
pub fn new_size(d: &Object, others: i64, current: i64) -> i64 {
    let wanted = replicas(d);
    if d.str_at(&["spec", "strategy", "type"]) == Some("Recreate") {
        return wanted;
    }
    let room = wanted + max_surge(d) - others - current;
    if room <= 0 { current } else { current + room.min(wanted - current) }
}

fn total<'a>(sets: impl Iterator<Item = &'a Object>) -> i64 {
    sets.map(replicas).sum()
}

/// Scales the newest ReplicaSet towards its size.
pub fn up(view: &View) -> Vec<Scale> {
    let Some(new) = &view.new else { return Vec::new() };
    let (current, wanted) = (replicas(new), replicas(&view.d));
    let size = if current >= wanted { wanted } else { new_size(&view.d, total(view.old.iter()), current) };
    if size == current { Vec::new() } else { vec![Scale { rs: new.clone(), size }] }
}

/// Scales old ReplicaSets down: first their unhealthy pods, then as many as stay available elsewhere.
pub fn down_for_rolling_update(view: &View) -> Vec<Scale> {
    let Some(new) = &view.new else { return Vec::new() };
    let old: Vec<&Object> = view.old.iter().filter(|rs| replicas(rs) > 0).collect();
    let min_available = replicas(&view.d) - max_unavailable(&view.d);
    let new_unavailable = replicas(new) - status_int(new, "availableReplicas");
    let max_down = total(view.all()) - min_available - new_unavailable;
    if old.is_empty() || max_down <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i64> = old.iter().map(|rs| replicas(rs)).collect();
    let mut left = max_down;
    for (size, rs) in sizes.iter_mut().zip(&old) {
        let unhealthy = (*size - status_int(rs, "availableReplicas")).clamp(0, left);
        *size -= unhealthy;
        left -= unhealthy;
    }
    let available: i64 = view.all().map(|rs| status_int(rs, "availableReplicas")).sum();
    let mut surplus = (available - min_available).max(0);
    for size in &mut sizes {
        let n = surplus.min(*size);
        *size -= n;
        surplus -= n;
    }
    let changed = old.iter().zip(sizes).filter(|(rs, size)| replicas(rs) != *size);
    changed.map(|(rs, size)| Scale { rs: (*rs).clone(), size }).collect()
}

/// Scales every old ReplicaSet to nothing.
pub fn down_for_recreate(view: &View) -> Vec<Scale> {
    view.old.iter().filter(|rs| replicas(rs) > 0).map(|rs| Scale { rs: rs.clone(), size: 0 }).collect()
}

/// Whether `spec.replicas` changed since an active ReplicaSet was last scaled.
pub fn is_scaling_event(view: &View) -> bool {
    view.all().filter(|rs| replicas(rs) > 0).any(|rs| {
        let desired = rs.annotation(revision::DESIRED_REPLICAS).and_then(|n| n.parse::<i64>().ok());
        desired.is_some_and(|n| n != replicas(&view.d))
    })
}

/// Spreads a change of size over all active ReplicaSets in proportion to their sizes. Models `scale`.
pub fn proportional(view: &View) -> Vec<Scale> {
    let wanted = replicas(&view.d);
    if let Some(only) = active_or_latest(view) {
        return if replicas(only) == wanted { Vec::new() } else { vec![Scale { rs: only.clone(), size: wanted }] };
    }
    if view.new.as_ref().is_some_and(|rs| is_saturated(&view.d, rs)) {
        return view.old.iter().filter(|rs| replicas(rs) > 0).map(|rs| Scale { rs: rs.clone(), size: 0 }).collect();
    }
    if view.d.str_at(&["spec", "strategy", "type"]) == Some("Recreate") {
        return Vec::new();
    }
    let mut active: Vec<&Object> = view.all().filter(|rs| replicas(rs) > 0).collect();
    let allowed = if wanted > 0 { wanted + max_surge(&view.d) } else { 0 };
    let to_add = allowed - total(active.iter().copied());
    // Larger first; of equals the newer when growing, the older when shrinking.
    active.order_by(|a, b| {
        let age = a.creation_timestamp().cmp(&b.creation_timestamp());
        replicas(b).cmp(&replicas(a)).then(if to_add > 0 { age.reverse() } else { age })
    });
    let mut sizes: Vec<i64> = Vec::new();
    let mut added = 0;
    for rs in &active {
        let share = if to_add == 0 || to_add == added { 0 } else { proportion(rs, &view.d, to_add - added) };
        sizes.push(replicas(rs) + share);
        added += share;
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    let desired = wanted.to_string();
    let scales = active.into_iter().zip(sizes).map(|(rs, size)| Scale { rs: rs.clone(), size });
    scales.filter(|s| s.size != replicas(&s.rs) || s.rs.annotation(revision::DESIRED_REPLICAS) != Some(&desired)).collect()
}

/// The ReplicaSet to scale if there is only one candidate. Models `FindActiveOrLatest`.
fn active_or_latest(view: &View) -> Option<&Object> {
    let mut active = view.all().filter(|rs| replicas(rs) > 0);
    match (active.next(), active.next()) {
        (None, _) => view.new.as_ref().or(view.old.last()),
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// Whether the newest ReplicaSet has all that is wanted, available.
fn is_saturated(d: &Object, rs: &Object) -> bool {
    let wanted = replicas(d);
    let desired = rs.annotation(revision::DESIRED_REPLICAS).and_then(|n| n.parse().ok());
    replicas(rs) == wanted && desired == Some(wanted) && status_int(rs, "availableReplicas") == wanted
}

/// How much a ReplicaSet grows or shrinks, at most what is still allowed. Models `GetReplicaSetProportion`.
fn proportion(rs: &Object, d: &Object, allowed: i64) -> i64 {
    let share = if replicas(d) == 0 {
        -replicas(rs)
    } else {
        let annotated = rs.annotation(revision::MAX_REPLICAS).and_then(|n| n.parse::<i64>().ok()).filter(|n| *n != 0);
        let before = annotated.unwrap_or_else(|| status_int(d, "replicas"));
        if before == 0 {
            return 0;
        }
        let after = replicas(rs) * (replicas(d) + max_surge(d));
        // Rounded to the nearest, halves up.
        (2 * after + before).div_euclid(2 * before) - replicas(rs)
    };
    if allowed > 0 { share.min(allowed) } else { share.max(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn posts(text: &str) -> Value {
        text.parse::<i64>().map_or(Value::from(text), Value::from)
    }
    fn deployment(replicas: i64, surge: &str, unavailable: &str) -> Object {
        let v = value!({"metadata": {"name": "d"}, "spec": {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": (posts(surge)), "maxUnavailable": (posts(unavailable))}}
        }});
        Object::from_value(v).unwrap()
    }
    fn set(name: &str, replicas: i64, available: i64, max: i64) -> Object {
        let v = value!({
            "metadata": {"name": name, "uid": name, "annotations": {"deployment.kubernetes.io/max-replicas": (max.to_string())}},
            "spec": {"replicas": replicas}, "status": {"replicas": replicas, "availableReplicas": available}
        });
        Object::from_value(v).unwrap()
    }
    fn sizes(scales: Vec<Scale>) -> Vec<(String, i64)> {
        scales.iter().map(|s| (s.rs.name().to_string(), s.size)).collect()
    }

    /// Columns: old (replicas, available), new (replicas, available), up, down.
    #[test]
    fn a_roll_out_of_ten_step_by_step() {
        let d = deployment(10, "25%", "25%");
        for (old, new, grown, shrunk) in [
            ((10, 10), (0, 0), Some(3), Some(8)),
            ((8, 8), (3, 0), Some(5), None),
            ((8, 8), (5, 0), None, None),
            ((8, 8), (5, 2), None, Some(6)),
            ((0, 0), (10, 10), None, None),
            ((10, 4), (3, 0), None, Some(8)),
        ] {
            let view = View { d: d.clone(), new: Some(set("new", new.0, new.1, 13)), old: vec![set("old", old.0, old.1, 13)] };
            let one = |scales: Vec<Scale>| scales.first().map(|s| s.size);
            assert_eq!((one(up(&view)), one(down_for_rolling_update(&view))), (grown, shrunk), "{old:?} {new:?}");
        }
    }

    #[test]
    fn scaling_in_the_midst_of_a_roll_out_is_proportional() {
        let view = View { d: deployment(15, "3", "2"), new: Some(set("new", 5, 0, 13)), old: vec![set("old", 8, 8, 13)] };
        assert_eq!(sizes(proportional(&view)), [("old".to_string(), 11), ("new".to_string(), 7)]);
        let view = View { d: deployment(0, "3", "2"), ..view };
        assert_eq!(sizes(proportional(&view)), [("old".to_string(), 0), ("new".to_string(), 0)]);
    }
}
