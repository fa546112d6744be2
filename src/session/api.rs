//! Reading the cluster as its API shows it, off the record: kube-apiserver's own code answers, nothing happens.

use apimachinery::{Gvr, Object, ObjectKey, Request, Response, ResponseBody, resources};
use base::Sort as _;
use cluster::Cluster;

/// Answers a read. `None`: there is no kube-apiserver that runs.
pub(crate) fn read(cluster: &Cluster, mut request: Request) -> Option<Response> {
    request.credential = administrator();
    Some(cluster.api()?.read(&request, cluster.now()))
}

fn administrator() -> apimachinery::Credential {
    let user = apimachinery::UserInfo::new("kubernetes-admin", &["system:masters"]);
    apimachinery::Credential::Certificate(std::rc::Rc::new(user))
}

/// All objects of a resource (of one namespace, unless it is empty).
pub(crate) fn list(cluster: &Cluster, gvr: Gvr, namespace: &str) -> Vec<Object> {
    let response = read(cluster, Request::list(gvr, namespace));
    match response.map(|r| r.body) {
        Some(ResponseBody::List(list)) => list.items.clone(),
        _ => Vec::new(),
    }
}

pub(crate) fn get(cluster: &Cluster, gvr: Gvr, namespace: &str, name: &str) -> Option<Object> {
    let response = read(cluster, Request::get(gvr, &ObjectKey::new(namespace, name)))?;
    response.ok().cloned()
}

/// The events about an object, newest last.
pub(crate) fn events_about(cluster: &Cluster, object: &Object) -> Vec<Object> {
    let namespace = if object.namespace().is_empty() { "default" } else { object.namespace() };
    let about = |e: &&Object| {
        e.str_at(&["involvedObject", "name"]) == Some(object.name())
            && e.str_at(&["involvedObject", "kind"]) == Some(object.kind())
    };
    // All events are looked at, but only those that are told are taken.
    let all = cluster.api().into_iter().flat_map(|a| a.objects(resources::events(), namespace));
    let mut events: Vec<Object> = all.filter(about).cloned().collect();
    events.order_by_key(event_time);
    events
}

/// When an event happened last.
pub(crate) fn event_time(event: &Object) -> base::Time {
    let at = |path: &[&str]| event.str_at(path).and_then(base::Time::parse);
    at(&["series", "lastObservedTime"])
        .or_else(|| at(&["lastTimestamp"]))
        .or_else(|| at(&["eventTime"]))
        .or_else(|| event.creation_timestamp())
        .unwrap_or_default()
}
