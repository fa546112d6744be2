//! Custom resources: what CustomResourceDefinitions bring is served like everything else. Models `apiextensions-apiserver`'s
//! handler (`customresource_handler.go`) and discovery; its controllers are in `control`.
//!
//! A definition has one storage, with a watch cache of its own, and a [`Resource`] for each version that is served: the schema as
//! types, the strategy made from it, discovery's facts. All of it is derived from the definition and made anew when that changes;
//! watches of the old ones end then, as upstream's do. Left out: conversion by webhooks (refused), rules in CEL (a warning says so),
//! the two seconds that upstream lets the first creations wait for other servers.

mod caches;
pub mod control;
pub mod names;

use std::rc::Rc;

use api::custom::Custom;
use apimachinery::schema::{self, Subresource};
use apimachinery::{Gvk, Gvr, Key, Object, Value, key};
use base::{Map, Sort as _, Sym, hash64};

use crate::scheme::{Resource, Rules, Special, Storage};
use crate::server::ApiServer;
use crate::token::encode64;

pub use caches::Caches;

/// What a custom resource knows of its definition.
pub struct Facts {
    /// `example.com/v1`: what is written into etcd.
    pub stored_as: Key,
    /// Of a deprecated version.
    pub warning: Option<Rc<str>>,
    /// The definition is being deleted: nothing new may be created.
    pub terminating: bool,
}

/// A definition and what was made of it.
#[derive(Clone)]
pub struct Definition {
    pub object: Object,
    storage: Rc<Storage>,
    /// One for each served version, by priority; none before it is established.
    resources: Vec<Rc<Resource>>,
    /// When the deletion of its objects was last ordered.
    pub ordered: Option<base::Time>,
}

/// All definitions, by name. Empty in a cluster without any: then nothing here runs.
#[derive(Clone, Default)]
pub struct Customs {
    definitions: Map<Rc<str>, Definition>,
    by_storage: Map<usize, Rc<str>>,
    next: usize,
    armed: bool,
}

/// What requests find when their storage has gone.
fn gone() -> Rc<Storage> {
    thread_local!(static GONE: Rc<Storage> = Rc::new(Storage {
        index: usize::MAX, gvr: Gvr::default(), prefix: "/registry/-/".into(), special: Special::None,
    }));
    GONE.with(Rc::clone)
}

/// `v1` before `v1beta1` before `v1alpha1` before anything else. Models `version.CompareKubeAwareVersionStrings`.
fn priority(version: &str) -> (u8, i64, i64) {
    let Some(rest) = version.strip_prefix('v') else { return (3, 0, 0) };
    let parse = |text: &str| text.parse::<i64>().ok();
    if let Some(major) = parse(rest) {
        return (0, -major, 0);
    }
    for (stage, word) in [(1, "beta"), (2, "alpha")] {
        if let Some((major, minor)) = rest.split_once(word)
            && let (Some(major), Some(minor)) = (parse(major), parse(minor))
        {
            return (stage, -major, -minor);
        }
    }
    (3, 0, 0)
}

impl Definition {
    pub fn storage(&self) -> usize {
        self.storage.index
    }
    pub fn resources(&self) -> &[Rc<Resource>] {
        &self.resources
    }
}

/// What a definition's resources are made from: if none of it differs, they stay.
fn sources(crd: &Object) -> [Option<&Value>; 4] {
    let status = |field| crd.at(&["status", field]);
    let condition = |kind| names::condition(crd, kind).and_then(|c| c.get("status"));
    [crd.get("spec"), status("acceptedNames"), condition(names::ESTABLISHED), condition(names::TERMINATING)]
}

fn texts(list: &[Value]) -> Vec<Rc<str>> {
    list.iter().filter_map(Value::as_rc_str).cloned().collect()
}

/// The resources of an established definition.
fn resources(crd: &Object, storage: usize) -> Vec<Rc<Resource>> {
    if !names::is_true(crd, names::ESTABLISHED) {
        return Vec::new();
    }
    let mut versions: Vec<&Value> =
        crd.list_at(&["spec", "versions"]).iter().filter(|v| v.bool_at(&["served"]) == Some(true)).collect();
    versions.order_by(|a, b| {
        let name = |v: &Value| v.str_at(&["name"]).unwrap_or("").to_string();
        priority(&name(a)).cmp(&priority(&name(b))).then_with(|| name(a).cmp(&name(b)))
    });
    versions.into_iter().filter_map(|v| resource(crd, v, storage).map(Rc::new)).collect()
}

fn resource(crd: &Object, version: &Value, storage: usize) -> Option<Resource> {
    let spec = crd.get("spec")?;
    let name = version.str_at(&["name"])?;
    let custom = Custom::new(spec, name)?;
    let names = crd.at(&["status", "acceptedNames"])?;
    let text = |field: &str| names.str_at(&[field]).unwrap_or("");
    let group = spec.str_at(&["group"])?;
    let (gvr, gvk) = (Gvr::new(group, name, text("plural")), Gvk::new(group, name, text("kind")));
    let terminating = names::is_true(crd, names::TERMINATING);
    let stored = spec.list_at(&["versions"]).iter().find(|v| v.bool_at(&["storage"]) == Some(true))?.str_at(&["name"])?;
    let info = schema::Resource {
        gvr,
        kind: gvk,
        singular: text("singular").into(),
        namespaced: spec.str_at(&["scope"]) == Some("Namespaced"),
        verbs: vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        short_names: texts(names.list_at(&["shortNames"])),
        categories: texts(names.list_at(&["categories"])),
        storage_version_hash: encode64(&hash64(format!("{group}/{stored}/{}", text("kind")).as_bytes()).to_be_bytes()).into(),
        subresources: subresources(version, gvk),
    };
    let deprecated = (version.bool_at(&["deprecated"]) == Some(true)).then(|| {
        let own = version.str_at(&["deprecationWarning"]).map(Rc::from);
        own.unwrap_or_else(|| format!("{group}/{name} {} is deprecated", text("kind")).into())
    });
    let type_name = format!("{}.{name}.{}", group.rsplit('.').collect::<Vec<_>>().join("."), text("kind"));
    let list_kind = text("listKind").to_string();
    Some(Resource {
        gvr,
        gvk,
        schema: Some(schema::structural(&type_name, custom.schema())),
        strategy: Rules::Custom(Rc::new(custom)),
        info: Rc::new(info),
        api_version: key(&gvr.api_version()),
        list_kind: key(&list_kind),
        storage: Some(storage),
        custom: Some(Facts { stored_as: key(&format!("{group}/{stored}")), warning: deprecated, terminating }),
    })
}

fn subresources(version: &Value, gvk: Gvk) -> Vec<Subresource> {
    let has = |name: &str| version.at(&["subresources", name]).is_some_and(|s| !s.is_null());
    let verbs = || vec!["get", "patch", "update"];
    let mut out = Vec::new();
    if has("status") {
        out.push(Subresource { name: "status".into(), kind: gvk, foreign: false, verbs: verbs() });
    }
    if has("scale") {
        let kind = Gvk::new("autoscaling", "v1", "Scale");
        out.push(Subresource { name: "scale".into(), kind, foreign: true, verbs: verbs() });
    }
    out
}

/// What discovery tells: of a definition that is being deleted, nothing that would write.
fn shown(resource: &Rc<Resource>) -> Rc<schema::Resource> {
    let mut info = resource.info.clone();
    if resource.custom.as_ref().is_some_and(|c| c.terminating) {
        Rc::make_mut(&mut info).verbs.retain(|v| !matches!(*v, "patch" | "create" | "update"));
    }
    info
}

impl Customs {
    pub fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }
    pub fn get(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Definition> {
        self.definitions.get_mut(name)
    }
    pub fn iter(&self) -> impl Iterator<Item = (&Rc<str>, &Definition)> {
        self.definitions.iter()
    }
    /// The name of the definition that a storage is of.
    pub fn of_storage(&self, storage: usize) -> Option<&Rc<str>> {
        self.by_storage.get(&storage)
    }
    /// Whether a timer is to be set; it is from now on.
    pub fn arm(&mut self) -> bool {
        !std::mem::replace(&mut self.armed, true)
    }
    pub fn disarm(&mut self) {
        self.armed = false;
    }

    /// A resource by its name; a definition's name is made of it.
    pub fn find(&self, gvr: Gvr) -> Option<&Rc<Resource>> {
        if self.is_empty() {
            return None;
        }
        let definition = self.definitions.get(&*gvr.group_resource())?;
        definition.resources.iter().find(|r| r.gvr.version == gvr.version)
    }

    /// A resource in the first of its versions, by priority.
    pub fn preferred(&self, group: &str, resource: &str) -> Option<&Rc<Resource>> {
        let definition = self.definitions.get(&*format!("{resource}.{group}"))?;
        definition.resources.iter().min_by_key(|r| r.gvr.version.with(priority))
    }

    /// All resources that are served: by group, then by the definition's name.
    pub fn resources(&self) -> Vec<Rc<Resource>> {
        let mut all: Vec<Rc<Resource>> = self.definitions.values().flat_map(|d| d.resources.iter().cloned()).collect();
        all.order_by(|a, b| a.gvr.group.cmp(&b.gvr.group));
        all
    }

    /// Groups and versions in the order of discovery.
    pub fn group_versions(&self) -> Vec<(Sym, Sym)> {
        let mut all: Vec<(Sym, Sym)> = Vec::new();
        for r in self.resources() {
            if !all.contains(&(r.gvr.group, r.gvr.version)) {
                all.push((r.gvr.group, r.gvr.version));
            }
        }
        all.order_by(|a, b| a.0.cmp(&b.0).then_with(|| priority(&a.1.text()).cmp(&priority(&b.1.text()))));
        all
    }

    pub fn in_group(&self, group: Sym) -> bool {
        !self.is_empty() && self.resources().iter().any(|r| r.gvr.group == group)
    }

    pub fn has_group_version(&self, group: Sym, version: Sym) -> bool {
        !self.is_empty() && self.resources().iter().any(|r| r.gvr.group == group && r.gvr.version == version)
    }

    /// Takes over a definition. Returns the number of its storage if that is new, and whether what is served has changed.
    fn put(&mut self, crd: &Object, built_in: usize) -> (Option<usize>, bool) {
        let name: Rc<str> = crd.name().into();
        if let Some(known) = self.definitions.get_mut(&*name) {
            let same = sources(&known.object) == sources(crd);
            if !same {
                known.resources = resources(crd, known.storage.index);
            }
            known.object = crd.clone();
            return (None, !same);
        }
        let index = built_in + self.next;
        self.next += 1;
        let text = |path: &[&str]| crd.str_at(path).unwrap_or("");
        let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
        let storage = Rc::new(Storage {
            index,
            gvr: Gvr::new(group, "", plural),
            prefix: format!("/registry/{group}/{plural}/").into(),
            special: Special::None,
        });
        self.by_storage.insert(index, name.clone());
        let resources = resources(crd, index);
        self.definitions.insert(name, Definition { object: crd.clone(), storage, resources, ordered: None });
        (Some(index), true)
    }

    fn remove(&mut self, name: &str) -> Option<Definition> {
        let gone = self.definitions.remove(name)?;
        self.by_storage.remove(&gone.storage.index);
        Some(gone)
    }
}

impl ApiServer {
    /// A resource by its name, built in or custom.
    pub(crate) fn resource(&self, gvr: Gvr) -> Option<&Rc<Resource>> {
        self.scheme.get(gvr).or_else(|| self.customs.find(gvr))
    }

    /// A storage by its number.
    pub(crate) fn storage(&self, index: usize) -> Rc<Storage> {
        match self.scheme.storages.get(index) {
            Some(storage) => storage.clone(),
            None => {
                self.customs.by_storage.get(&index).and_then(|n| self.customs.get(n)).map_or_else(gone, |d| d.storage.clone())
            }
        }
    }

    /// Groups and versions, built in first.
    pub(crate) fn group_versions(&self) -> Vec<(Sym, Sym)> {
        let mut all = schema::group_versions().to_vec();
        if !self.customs.is_empty() {
            all.extend(self.customs.group_versions());
        }
        all
    }

    /// What discovery tells of the resources of a group version.
    pub(crate) fn resources_in(&self, group: Sym, version: Sym) -> Vec<Rc<schema::Resource>> {
        let mut all = schema::resources_in(group, version);
        if all.is_empty() && !self.customs.is_empty() {
            let custom = self.customs.resources();
            all.extend(custom.iter().filter(|r| r.gvr.group == group && r.gvr.version == version).map(shown));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_by_priority() {
        let mut versions = vec!["v1alpha1", "v2beta1", "foo", "v10", "v2", "v1beta2", "v2beta3"];
        versions.order_by(|a, b| priority(a).cmp(&priority(b)));
        assert_eq!(versions, ["v10", "v2", "v2beta3", "v2beta1", "v1beta2", "v1alpha1", "foo"]);
    }
}
