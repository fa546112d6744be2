//! The table of built-in resources, in the order of discovery.

use std::rc::Rc;

use base::{Lookup, Sym};

use crate::gvr::{Gvk, Gvr};

static RESOURCES: &str = include_str!("../../../static/schema/resources.txt");

/// A resource as discovery lists it.
#[derive(Clone, Debug)]
pub struct Resource {
    pub gvr: Gvr,
    pub kind: Gvk,
    /// `pod`; empty for none.
    pub singular: Rc<str>,
    pub namespaced: bool,
    /// Sorted, as discovery prints them.
    pub verbs: Vec<&'static str>,
    pub short_names: Vec<Rc<str>>,
    pub categories: Vec<Rc<str>>,
    /// Empty for what is not stored.
    pub storage_version_hash: Rc<str>,
    /// Sorted by name.
    pub subresources: Vec<Subresource>,
}

/// `pods/status`, `deployments/scale`.
#[derive(Clone, Debug)]
pub struct Subresource {
    pub name: Sym,
    /// `Scale` of `autoscaling/v1`, `Pod` of `v1`.
    pub kind: Gvk,
    /// Whether discovery names group and version of the kind, because they are not those of the resource.
    pub foreign: bool,
    pub verbs: Vec<&'static str>,
}

impl Resource {
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }
    pub fn subresource(&self, name: Sym) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
}

struct Table {
    all: Rc<[Rc<Resource>]>,
    by_gvr: Lookup<Gvr, Rc<Resource>>,
    by_kind: Lookup<Gvk, Rc<Resource>>,
    group_versions: Rc<[(Sym, Sym)]>,
}

thread_local! {
    static TABLE: Table = Table::load();
}

/// All built-in resources, group versions in the order of discovery, sorted by name within.
pub fn resources() -> Rc<[Rc<Resource>]> {
    TABLE.with(|t| t.all.clone())
}

/// Those of one group version.
pub fn resources_in(group: Sym, version: Sym) -> Vec<Rc<Resource>> {
    TABLE.with(|t| t.all.iter().filter(|r| r.gvr.group == group && r.gvr.version == version).cloned().collect())
}

pub fn resource(gvr: Gvr) -> Option<Rc<Resource>> {
    TABLE.with(|t| t.by_gvr.get(&gvr).cloned())
}

pub fn resource_for_kind(gvk: Gvk) -> Option<Rc<Resource>> {
    TABLE.with(|t| t.by_kind.get(&gvk).cloned())
}

/// Groups with their versions, preferred version first, in the order of discovery; the core group first.
pub fn group_versions() -> Rc<[(Sym, Sym)]> {
    TABLE.with(|t| t.group_versions.clone())
}

const VERBS: [(char, &str); 8] = [
    ('c', "create"),
    ('d', "delete"),
    ('D', "deletecollection"),
    ('g', "get"),
    ('l', "list"),
    ('p', "patch"),
    ('u', "update"),
    ('w', "watch"),
];

fn verbs(letters: &str) -> Vec<&'static str> {
    VERBS.iter().filter(|(c, _)| letters == "*" || letters.contains(*c)).map(|(_, v)| *v).collect()
}

fn words(text: &str) -> Vec<Rc<str>> {
    if text == "-" { Vec::new() } else { text.split(',').map(Rc::from).collect() }
}

impl Table {
    fn load() -> Table {
        let (mut all, mut group_versions): (Vec<Resource>, Vec<(Sym, Sym)>) = (Vec::new(), Vec::new());
        let mut api_version = "";
        for line in RESOURCES.lines() {
            let mut w = line.split(' ');
            let mut next = || w.next().unwrap_or("-");
            if let Some(gv) = line.strip_prefix('@') {
                api_version = gv;
                let gvk = Gvk::from_api_version(gv, "");
                group_versions.push((gvk.group, gvk.version));
            } else if let Some(name) = next().strip_prefix('/') {
                let (kind, letters, other) = (next(), next(), next());
                let foreign = other != "-";
                let kind = Gvk::from_api_version(if foreign { other } else { api_version }, kind);
                let parent = all.last_mut().expect("a subresource follows its resource");
                parent.subresources.push(Subresource { name: name.into(), kind, foreign, verbs: verbs(letters) });
            } else {
                all.push(parse(line, api_version));
            }
        }
        let all: Rc<[Rc<Resource>]> = all.into_iter().map(Rc::new).collect();
        Table {
            by_gvr: all.iter().map(|r| (r.gvr, r.clone())).collect(),
            by_kind: all.iter().map(|r| (r.kind, r.clone())).collect(),
            all,
            group_versions: group_versions.into(),
        }
    }
}

fn parse(line: &str, api_version: &str) -> Resource {
    let mut w = line.split(' ');
    let mut next = || w.next().unwrap_or("-");
    let (name, kind, singular, scope, letters) = (next(), next(), next(), next(), next());
    let kind = Gvk::from_api_version(api_version, kind);
    Resource {
        gvr: Gvr { group: kind.group, version: kind.version, resource: name.into() },
        kind,
        singular: singular.into(),
        namespaced: scope == "n",
        verbs: verbs(letters),
        short_names: words(next()),
        categories: words(next()),
        storage_version_hash: match next() {
            "-" => "".into(),
            hash => hash.into(),
        },
        subresources: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_as_discovery_says() {
        let pods = resource(crate::resources::pods()).unwrap();
        assert_eq!(pods.verbs.len(), 8);
        assert_eq!((&*pods.singular, &*pods.short_names[0], &*pods.categories[0]), ("pod", "po", "all"));
        let eviction = pods.subresource("eviction".into()).unwrap();
        assert_eq!((eviction.kind, eviction.foreign), (Gvk::new("policy", "v1", "Eviction"), true));
        assert!(!resource(crate::resources::nodes()).unwrap().namespaced);
        assert_eq!(resource_for_kind(Gvk::new("apps", "v1", "Deployment")).unwrap().gvr, crate::resources::deployments());
        assert_eq!(group_versions()[0], (Sym::new(""), Sym::new("v1")));
        assert_eq!(resources().len(), resources().iter().map(|r| r.gvr).collect::<std::collections::BTreeSet<_>>().len());
    }
}
