//! Rolling updates with `maxSurge`: a node has its new pod beside the old one until the new one is available, so that at no time it
//! is without. Models the second half of `rollingUpdate` and `podsShouldBeOnNode`.

use std::rc::Rc;

use apimachinery::Object;
use base::{Map, Time};
use client_go::pods;

use super::{is_current, scaled_int_or_percent, target_node};
use crate::refs;

/// How many nodes may have two pods during an update.
pub fn max_surge(ds: &Object, desired: i64) -> i64 {
    let rolling = ds.str_at(&["spec", "updateStrategy", "type"]) == Some("RollingUpdate");
    let surge = ds.at(&["spec", "updateStrategy", "rollingUpdate", "maxSurge"]).filter(|_| rolling);
    surge.and_then(|s| scaled_int_or_percent(s, desired, true).ok()).unwrap_or(0)
}

/// Of the running pods of one node (oldest first), those that are too many: all but the oldest; with surge one of the old and
/// one of the new revision may be there until the new one is available.
pub fn excess(ds: &Object, hash: &str, alive: &[&Object], now: Time) -> Vec<Object> {
    if alive.len() < 2 || max_surge(ds, 1) == 0 {
        return alive.iter().skip(1).map(|p| (*p).clone()).collect();
    }
    let (new, old): (Vec<&Object>, Vec<&Object>) = alive.iter().copied().partition(|p| is_current(p, hash, ds));
    let mut doomed: Vec<Object> = new.iter().skip(1).chain(old.iter().skip(1)).map(|p| (*p).clone()).collect();
    if let (Some(new), Some(old)) = (new.first(), old.first()) {
        let min_ready = refs::spec_int(ds, "minReadySeconds", 0);
        if !pods::is_ready(old) || pods::is_available(new, min_ready, now) {
            doomed.push((*old).clone());
        }
    }
    doomed
}

/// Pods to delete now, and the nodes that get a new pod: at most `most` nodes have two at once; a node whose old pod doesn't
/// work anyway gets its new one at once.
pub fn decide(ds: &Object, hash: &str, owned: &[Object], most: i64, now: Time) -> (Vec<Object>, Vec<Rc<str>>) {
    let min_ready = refs::spec_int(ds, "minReadySeconds", 0);
    let available = |pod: &Object| pods::is_available(pod, min_ready, now);
    let mut by_node: Map<Rc<str>, (Option<&Object>, Option<&Object>)> = Map::default();
    for pod in owned.iter().filter(|pod| !pod.is_being_deleted()) {
        let (old, new) = by_node.entry(target_node(pod).into()).or_default();
        *(if is_current(pod, hash, ds) { new } else { old }) = Some(pod);
    }
    let (mut doomed, mut at_once, mut candidates, mut surging) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (node, pair) in &by_node {
        match *pair {
            (None, _) => {}
            (Some(old), None) if !available(old) => at_once.push(node.clone()),
            (Some(_), None) => candidates.push(node.clone()),
            (Some(old), Some(new)) if available(new) => doomed.push(old.clone()),
            (Some(_), Some(_)) => surging += 1,
        }
    }
    at_once.extend(candidates.into_iter().take((most - surging).max(0) as usize));
    (doomed, at_once)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    /// `a=old:ready`
    fn pod(text: &str) -> Object {
        let (node, rest) = text.split_once('=').unwrap();
        let (hash, state) = rest.split_once(':').unwrap();
        let ready = if state == "ready" { "True" } else { "False" };
        Object::from_value(value!({
            "metadata": {"name": text, "uid": text, "labels": {"controller-revision-hash": hash}},
            "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
        }))
        .unwrap()
    }
    fn set() -> Object {
        let rolling = value!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        Object::from_value(value!({"metadata": {"name": "ds"}, "spec": {"updateStrategy": rolling}})).unwrap()
    }

    #[test]
    fn the_new_pod_is_ready_before_the_old_one_goes() {
        for (pods, most, doomed, at_once) in [
            ("a=old:ready b=old:ready", 1, "", "a"),
            ("a=old:ready b=old:ready", 2, "", "a b"),
            ("a=old:ready a=new:not b=old:ready", 1, "", ""),
            ("a=old:ready a=new:ready b=old:ready", 1, "a=old:ready", "b"),
            ("a=old:not b=old:ready", 1, "", "a b"),
            ("a=new:ready b=new:ready", 1, "", ""),
        ] {
            let owned: Vec<Object> = pods.split(' ').map(pod).collect();
            let (gone, nodes) = decide(&set(), "new", &owned, most, Time::EPOCH);
            let gone: Vec<&str> = gone.iter().map(Object::name).collect();
            assert_eq!((gone.join(" "), nodes.join(" ")), (doomed.to_string(), at_once.to_string()), "{pods} {most}");
        }
    }

    #[test]
    fn of_each_revision_one_pod_may_stay() {
        let pods = ["a=old:ready", "a=new:not", "a=new:not"].map(pod);
        let alive: Vec<&Object> = pods.iter().collect();
        assert_eq!(excess(&set(), "new", &alive, Time::EPOCH).len(), 1, "the second new one");
        let pods = ["a=old:ready", "a=new:ready"].map(pod);
        let alive: Vec<&Object> = pods.iter().collect();
        let gone = excess(&set(), "new", &alive, Time::EPOCH);
        assert_eq!(gone.iter().map(Object::name).collect::<Vec<_>>(), ["a=old:ready"]);
        let pods = ["a=old:not", "a=new:not"].map(pod);
        let alive: Vec<&Object> = pods.iter().collect();
        assert_eq!(excess(&set(), "new", &alive, Time::EPOCH).len(), 1, "the old one doesn't work anyway");
    }
}
