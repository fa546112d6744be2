//! Finds objects by words of their names, for the palette: also what the picture has no room for.

use apimachinery::{Gvr, resources};
use cluster::Cluster;
use protocol::Thing;

/// More than that nobody reads.
const MOST: usize = 30;

/// What people look for among the built-in kinds, in the order in which it is offered; kinds of their own come behind.
fn kinds() -> Vec<Gvr> {
    let v1 =
        ["services", "configmaps", "secrets", "persistentvolumeclaims", "persistentvolumes", "namespaces", "serviceaccounts"];
    let apps = ["deployments", "statefulsets", "daemonsets", "replicasets"];
    let grouped = [
        ("batch", "v1", "jobs"),
        ("batch", "v1", "cronjobs"),
        ("networking.k8s.io", "v1", "networkpolicies"),
        ("networking.k8s.io", "v1", "ingresses"),
        ("autoscaling", "v2", "horizontalpodautoscalers"),
    ];
    let mut kinds = vec![resources::pods(), resources::nodes()];
    kinds.extend(apps.iter().map(|resource| Gvr::new("apps", "v1", resource)));
    kinds.extend(v1.iter().map(|resource| Gvr::new("", "v1", resource)));
    kinds.extend(grouped.iter().map(|(group, version, resource)| Gvr::new(group, version, resource)));
    kinds
}

/// Objects with all the words in their kind, namespace or name. What the page calls the deed ("open") is no such word.
pub(crate) fn find(cluster: &Cluster, words: &str) -> Vec<Thing> {
    let words = words.to_lowercase();
    let words: Vec<&str> = words.split_whitespace().filter(|w| *w != "open").collect();
    let Some(api) = cluster.api().filter(|_| !words.is_empty()) else { return Vec::new() };
    let mut found = Vec::new();
    for gvr in kinds().into_iter().chain(api.custom_resources()) {
        let resource = gvr.resource.to_string();
        for object in api.objects(gvr, "") {
            let has =
                |word: &&str| object.name().contains(*word) || resource.contains(*word) || object.namespace().contains(*word);
            // The name counts: `default` alone is not meant to find everything in it.
            if words.iter().any(|w| object.name().contains(*w)) && words.iter().all(has) {
                found.push(Thing::object(&gvr.group.to_string(), &resource, object.namespace(), object.name()));
                if found.len() == MOST {
                    return found;
                }
            }
        }
    }
    found
}
