//! Questions about objects, answered by kube-apiserver's own code off the record.

use apimachinery::labels::Selector;
use apimachinery::{Gvr, Object, ObjectKey, Request, ResponseBody, schema};
use cluster::Cluster;

use crate::condition::{Condition, Path, scalar};

/// How many objects there have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub least: u32,
    pub most: u32,
}

/// `get: pods, selector: app=web, where: [Ready], count: ">=2"`
#[derive(Clone, Debug)]
pub struct Query {
    pub gvr: Gvr,
    pub namespaced: bool,
    /// Only the object of this name.
    pub name: Option<String>,
    /// Empty: all namespaces.
    pub namespace: String,
    pub(crate) selector: Selector,
    pub(crate) conditions: Vec<Condition>,
    pub count: Count,
    /// Of questions: the field that is asked for.
    pub(crate) path: Option<Path>,
}

/// What came of a query.
pub(crate) struct Outcome {
    pub holds: bool,
    /// Objects that are as they should be.
    pub count: usize,
    /// The first object that isn't, or the first at all.
    pub name: String,
    /// What the first condition that fails found there.
    pub value: String,
}

impl Count {
    pub const SOME: Count = Count { least: 1, most: u32::MAX };

    /// `3`, `>=2`, `<=1`, `0`.
    pub fn parse(text: &str) -> Option<Count> {
        let text = text.trim();
        if let Some(n) = text.strip_prefix(">=") {
            return Some(Count { least: n.trim().parse().ok()?, most: u32::MAX });
        }
        if let Some(n) = text.strip_prefix("<=") {
            return Some(Count { least: 0, most: n.trim().parse().ok()? });
        }
        let n = text.parse().ok()?;
        Some(Count { least: n, most: n })
    }
    fn holds(self, n: usize) -> bool {
        (self.least as usize..=self.most as usize).contains(&n)
    }
}

impl Query {
    /// `pods`, `deployment/web`, `deploy`, `widgets.v1.example.com/x` (for what isn't built in).
    pub fn new(text: &str) -> Result<Query, String> {
        let (resource, name) = match text.split_once('/') {
            Some((resource, name)) => (resource, Some(name.to_string())),
            None => (text, None),
        };
        let (gvr, namespaced) = find_resource(resource).ok_or_else(|| format!("there is no resource {resource:?}"))?;
        Ok(Query {
            gvr,
            namespaced,
            name,
            namespace: if namespaced { "default".into() } else { String::new() },
            selector: Selector::everything(),
            conditions: Vec::new(),
            count: Count::SOME,
            path: None,
        })
    }

    fn objects(&self, cluster: &Cluster) -> Vec<Object> {
        let Some(api) = cluster.api().filter(|api| api.is_ready()) else { return Vec::new() };
        let mut request = match &self.name {
            Some(name) if !self.namespaced || !self.namespace.is_empty() => {
                Request::get(self.gvr, &ObjectKey::new(&self.namespace, name))
            }
            _ => Request::list(self.gvr, &self.namespace),
        };
        request.credential = cluster::administrator();
        let mut objects = match api.read(&request, cluster.now()).body {
            ResponseBody::List(list) => list.items.clone(),
            ResponseBody::Object(object) => vec![object],
            _ => Vec::new(),
        };
        objects.retain(|o| self.selector.matches(o.labels()) && self.name.as_ref().is_none_or(|n| o.name() == n));
        objects
    }

    pub(crate) fn evaluate(&self, cluster: &Cluster) -> Outcome {
        let objects = self.objects(cluster);
        let lacking = |o: &Object| self.conditions.iter().find(|c| !c.holds(o.value())).cloned();
        let (good, bad): (Vec<&Object>, Vec<&Object>) = objects.iter().partition(|o| lacking(o).is_none());
        let first = bad.first().or(good.first());
        Outcome {
            // Without kube-apiserver nothing can be said: what should be absent isn't known to be.
            holds: self.count.holds(good.len()) && cluster.api().is_some_and(|a| a.is_ready()),
            count: good.len(),
            name: first.map_or_else(|| self.name.clone().unwrap_or_default(), |o| o.name().to_string()),
            value: match (bad.first().and_then(|o| Some((o, lacking(o)?))), first) {
                (Some((o, condition)), _) => condition.value(o.value()),
                (None, Some(o)) => self.conditions.first().map(|c| c.value(o.value())).unwrap_or_default(),
                (None, None) => "nothing".into(),
            },
        }
    }

    /// The values of the field that is asked for.
    pub(crate) fn values(&self, cluster: &Cluster) -> Vec<String> {
        let Some(path) = &self.path else { return Vec::new() };
        let objects = self.objects(cluster);
        let good = objects.iter().filter(|o| self.conditions.iter().all(|c| c.holds(o.value())));
        good.flat_map(|o| path.find(o.value()).into_iter().map(scalar).collect::<Vec<_>>()).take(200).collect()
    }
}

/// By plural, singular, kind or short name, perhaps with the group; what isn't built in as `resource.version.group`.
pub(crate) fn find_resource(text: &str) -> Option<(Gvr, bool)> {
    let text = text.trim().to_lowercase();
    let (name, group) = text.split_once('.').unwrap_or((text.as_str(), ""));
    let all = schema::resources();
    let named = all.iter().filter(|r| {
        r.gvr.resource == *name
            || *r.singular == *name
            || r.short_names.iter().any(|s| **s == *name)
            || r.kind.kind.to_string().eq_ignore_ascii_case(name)
    });
    // The version that is preferred comes first; `events` are those of the core group.
    let mut found = named.filter(|r| group.is_empty() || r.gvr.group == *group);
    if let Some(resource) = found.next() {
        return Some((resource.gvr, resource.namespaced));
    }
    let (version, group) = group.split_once('.')?;
    let plain = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    (plain(name) && plain(version) && plain(group)).then(|| (Gvr::new(group, version, name), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_go_by_any_of_their_names() {
        for (text, want) in [
            ("pods", "v1, Resource=pods"),
            ("po", "v1, Resource=pods"),
            ("Deployment", "apps/v1, Resource=deployments"),
            ("deploy", "apps/v1, Resource=deployments"),
            ("hpa", "autoscaling/v2, Resource=horizontalpodautoscalers"),
            ("events", "v1, Resource=events"),
            ("widgets.v1.example.com", "example.com/v1, Resource=widgets"),
        ] {
            assert_eq!(find_resource(text).unwrap().0.to_string(), want, "{text}");
        }
        assert!(find_resource("nosuch").is_none());
        assert!(find_resource("nosuch.v1").is_none());
    }

    #[test]
    fn counts() {
        let count = |t| Count::parse(t).map(|c| (c.least, c.most));
        assert_eq!(count("3"), Some((3, 3)));
        assert_eq!(count(">= 2"), Some((2, u32::MAX)));
        assert_eq!(count("<=1"), Some((0, 1)));
        assert_eq!(count("many"), None);
    }
}
