//! Kinds that CustomResourceDefinitions bring, found by discovery: what the garbage collector follows, namespaces are emptied of
//! and quotas count besides the built-in ones. Models `GetDeletableResources` and `ServerPreferredNamespacedResources`.
//!
//! A custom kind's number follows those of the table and is never used again, so that it is also the number of its informer.

use std::rc::Rc;

use apimachinery::{Gvr, Object, Value, schema};
use base::Vector;

use crate::framework::Outcome;
use crate::resources::{self, Res, TABLE};

/// A kind that is not in the table.
#[derive(Clone, PartialEq, Debug)]
pub struct CustomKind {
    pub gvr: Gvr,
    pub kind: Rc<str>,
    pub namespaced: bool,
    /// Whether the last discovery had it.
    pub is_served: bool,
}

/// All kinds, those of the table and custom ones, by number.
#[derive(Clone, Default, Debug)]
pub struct Kinds(Vector<CustomKind>);

impl Kinds {
    fn custom(&self, res: Res) -> Option<&CustomKind> {
        self.0.get(res.checked_sub(TABLE.len())?)
    }
    pub fn gvr(&self, res: Res) -> Gvr {
        self.custom(res).map_or_else(|| resources::gvr(res), |k| k.gvr)
    }
    pub fn kind(&self, res: Res) -> &str {
        self.custom(res).map_or_else(|| TABLE[res].kind, |k| &k.kind)
    }
    pub fn is_namespaced(&self, res: Res) -> bool {
        self.custom(res).map_or_else(|| TABLE[res].namespaced, |k| k.namespaced)
    }
    pub fn is_custom(&self, res: Res) -> bool {
        res >= TABLE.len()
    }
    /// The resource of an owner reference: by kind and group, whatever the version.
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<Res> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let custom = || self.0.iter().position(|k| k.is_served && &*k.kind == kind && k.gvr.group == group);
        resources::by_kind(api_version, kind).or_else(|| custom().map(|i| TABLE.len() + i))
    }
    /// The custom ones, in order of their numbers.
    pub fn customs(&self) -> impl Iterator<Item = &CustomKind> {
        self.0.iter()
    }

    /// Takes over what discovery told.
    pub fn discovered(&mut self, found: Vec<CustomKind>) {
        for i in 0..self.0.len() {
            let old = &self.0[i];
            let is_served = found.iter().any(|k| k.gvr == old.gvr && k.kind == old.kind && k.namespaced == old.namespaced);
            if old.is_served != is_served {
                let new = CustomKind { is_served, ..old.clone() };
                *self.0.get_mut(i).expect("it was just read") = new;
            }
        }
        for kind in found {
            if !self.0.iter().any(|k| *k == kind) {
                self.0.push_back(kind);
            }
        }
    }
}

/// The kinds of discovery's documents that are not in the table and that can be listed, watched and deleted; one version of each.
pub fn found(outcomes: &[Outcome]) -> Vec<CustomKind> {
    let mut all: Vec<CustomKind> = Vec::new();
    for group in outcomes.iter().filter_map(|o| o.ok()).flat_map(|document: &Object| document.list_at(&["items"]).iter()) {
        let name = group.str_at(&["metadata", "name"]).unwrap_or("");
        for version in group.list_at(&["versions"]) {
            if built_in(name, version.str_at(&["version"]).unwrap_or("")) {
                continue;
            }
            for r in version.list_at(&["resources"]) {
                all.extend(custom(name, version.str_at(&["version"]).unwrap_or(""), r, &all));
            }
        }
    }
    all
}

/// A built-in group version has no other resources than those of the table.
fn built_in(group: &str, version: &str) -> bool {
    schema::group_versions().iter().any(|(g, v)| *g == *group && *v == *version)
}

fn custom(group: &str, version: &str, r: &Value, known: &[CustomKind]) -> Option<CustomKind> {
    let can = |verb: &str| r.list_at(&["verbs"]).iter().any(|v| v.as_str() == Some(verb));
    let gvr = Gvr::new(group, version, r.str_at(&["resource"])?);
    let again = known.iter().any(|k| k.gvr.group == gvr.group && k.gvr.resource == gvr.resource);
    if again || schema::resource(gvr).is_some() || !["list", "watch", "delete"].into_iter().all(can) {
        return None;
    }
    let kind = r.str_at(&["responseKind", "kind"])?.into();
    Some(CustomKind { gvr, kind, namespaced: r.str_at(&["scope"]) == Some("Namespaced"), is_served: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::{Response, value};

    fn discovery(resources: &[&str]) -> Vec<CustomKind> {
        let resources: Vec<Value> = resources
            .iter()
            .map(|r| value!({"resource": (*r), "responseKind": {"kind": "K"}, "scope": "Namespaced", "verbs": ["list", "watch", "delete"]}))
            .collect();
        let v =
            value!({"items": [{"metadata": {"name": "example.com"}, "versions": [{"version": "v1", "resources": resources}]}]});
        found(&[Rc::new(Response::object(200, Object::from_value(v).unwrap()))])
    }

    #[test]
    fn numbers_stay() {
        let mut kinds = Kinds::default();
        kinds.discovered(discovery(&["as", "bs"]));
        kinds.discovered(discovery(&["bs", "cs"]));
        let shown: Vec<String> = kinds.customs().map(|k| format!("{} {}", k.gvr.resource, k.is_served)).collect();
        assert_eq!(shown, ["as false", "bs true", "cs true"]);
        assert_eq!(kinds.gvr(TABLE.len() + 2), Gvr::new("example.com", "v1", "cs"));
        assert_eq!(kinds.by_kind("example.com/v9", "K"), Some(TABLE.len() + 1));
        kinds.discovered(discovery(&["as", "bs"]));
        assert_eq!(kinds.by_kind("example.com/v1", "K"), Some(TABLE.len()));
    }
}
