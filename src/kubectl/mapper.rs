//! From what people type (`po`, `deployments.apps`, `Service`) to resources, and from kinds to resources. Models `meta.RESTMapper` over
//! kubectl's discovery cache.
//!
//! The resources of a fresh cluster are known from the start (`resources.txt`), as a used kubectl has them in its cache; others (custom
//! resources) are looked up in the cache file below `~/.kube/cache` and then asked of the server.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Gvk, Gvr, Request, Value, json, value};

use crate::ctx::{Ctx, Res, Stop, fail};
use crate::error::Error;

const BUILT_IN: &str = include_str!("resources.txt");
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// A resource of the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mapping {
    pub gvr: Gvr,
    pub kind: Rc<str>,
    pub namespaced: bool,
    pub singular: Rc<str>,
    pub short: Vec<Rc<str>>,
    pub categories: Vec<Rc<str>>,
    pub verbs: Vec<Rc<str>>,
}

impl Mapping {
    pub fn gvk(&self) -> Gvk {
        Gvk { group: self.gvr.group, version: self.gvr.version, kind: (&*self.kind).into() }
    }
    /// `deployment.apps`, `pod`: how messages about one object name its kind.
    pub fn kind_group(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.gvr.group.is_empty() { kind } else { format!("{kind}.{}", self.gvr.group) }
    }
    /// `/v1, Resource=pods` as Go prints it in errors.
    pub fn go(&self) -> String {
        format!("{}/{}, Resource={}", self.gvr.group, self.gvr.version, self.gvr.resource)
    }
    pub fn go_kind(&self) -> String {
        format!("{}/{}, Kind={}", self.gvr.group, self.gvr.version, self.kind)
    }
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.gvr.group == group && &*self.kind == kind
    }
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| &**v == verb)
    }
}

/// All resources known, those of preferred versions first within a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Discovery {
    pub mappings: Vec<Rc<Mapping>>,
    /// Whether the cache file and the server have been asked.
    read_cache: bool,
    asked_server: bool,
}

fn texts(list: &str) -> Vec<Rc<str>> {
    if list == "-" { Vec::new() } else { list.split(',').map(Rc::from).collect() }
}

fn built_in() -> Vec<Rc<Mapping>> {
    let verb = |c| match c {
        'c' => "create",
        'd' => "delete",
        'D' => "deletecollection",
        'g' => "get",
        'l' => "list",
        'p' => "patch",
        'u' => "update",
        _ => "watch",
    };
    let lines = BUILT_IN.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (version, resource, kind, scope, verbs) =
                (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
            let (singular, short, categories) = (words.next()?, words.next()?, words.next()?);
            let gvk = Gvk::from_api_version(version, kind);
            Some(Rc::new(Mapping {
                gvr: Gvr { group: gvk.group, version: gvk.version, resource: resource.into() },
                kind: kind.into(),
                namespaced: scope == "n",
                singular: singular.into(),
                short: texts(short),
                categories: texts(categories),
                verbs: verbs.chars().map(|c| verb(c).into()).collect(),
            }))
        })
        .collect()
}

impl Discovery {
    fn find_kind(&self, gvk: Gvk) -> Option<Rc<Mapping>> {
        let found =
            self.mappings.iter().find(|m| m.gvr.group == gvk.group && m.gvr.version == gvk.version && gvk.kind == *m.kind);
        found.cloned()
    }

    /// By resource, singular, kind or short name; the group may be a prefix.
    fn find_resource(&self, text: &str) -> Option<Rc<Mapping>> {
        let text = text.to_lowercase();
        let mut parts = text.splitn(3, '.');
        let (name, second, third) = (parts.next()?, parts.next(), parts.next());
        if let (Some(version), Some(group)) = (second, third)
            && let Some(found) = self.pick(name, |m| m.gvr.version == version && m.gvr.group == group)
        {
            return Some(found);
        }
        if let (Some(version), None) = (second, third)
            && let Some(found) = self.pick(name, |m| m.gvr.version == version && m.gvr.group.is_empty())
            && version == "v1"
        {
            return Some(found);
        }
        match text.split_once('.') {
            None => self.pick(name, |_| true),
            Some((_, group)) => self
                .pick(name, |m| m.gvr.group == group)
                .or_else(|| self.pick(name, |m| m.gvr.group.with(|g| g.starts_with(group)))),
        }
    }

    fn pick(&self, name: &str, fits: impl Fn(&Mapping) -> bool) -> Option<Rc<Mapping>> {
        let by = |test: &dyn Fn(&Mapping) -> bool| self.mappings.iter().find(|m| fits(m) && test(m)).cloned();
        by(&|m| m.gvr.resource == name)
            .or_else(|| by(&|m| &*m.singular == name || m.kind.to_lowercase() == name))
            .or_else(|| by(&|m| m.short.iter().any(|s| &**s == name)))
    }
}

impl Ctx<'_> {
    fn discovery(&mut self) -> Res<Rc<Discovery>> {
        if let Some(known) = self.cached_discovery()? {
            return Ok(known);
        }
        let known = Rc::new(Discovery { mappings: built_in(), read_cache: false, asked_server: false });
        self.keep_discovery(&known);
        Ok(known)
    }

    /// Looks in what is known, then in the cache file, then on the server.
    fn find(&mut self, search: impl Fn(&Discovery) -> Option<Rc<Mapping>>) -> Res<Option<Rc<Mapping>>> {
        let known = self.discovery()?;
        if let Some(found) = search(&known) {
            return Ok(Some(found));
        }
        if !known.read_cache {
            let cached = self.with_cache_file(&known)?;
            if let Some(found) = search(&cached) {
                return Ok(Some(found));
            }
        }
        let known = self.discovery()?;
        if !known.asked_server {
            let fresh = self.refresh_discovery()?;
            return Ok(search(&fresh));
        }
        Ok(None)
    }

    fn cache_path(&self) -> String {
        format!("{}/.kube/cache/discovery.json", self.env.home)
    }

    fn with_cache_file(&mut self, known: &Discovery) -> Res<Rc<Discovery>> {
        let path = self.cache_path();
        let mut all = known.clone();
        all.read_cache = true;
        if let Ok(bytes) = self.read_file(&path)?
            && let Ok(value) = json::parse(&bytes)
        {
            all.mappings.extend(value.items().iter().filter_map(from_cache));
        }
        let all = Rc::new(all);
        self.keep_discovery(&all);
        Ok(all)
    }

    /// Everything that the server offers now; the custom part is kept in the cache file.
    pub fn refresh_discovery(&mut self) -> Res<Rc<Discovery>> {
        let mut mappings = Vec::new();
        for path in ["/api", "/apis"] {
            let mut request = Request::get_path(path);
            request.accept = Some(AGGREGATED.into());
            let answer = self.call(request)?;
            match answer.kind() {
                "APIGroupDiscoveryList" => from_aggregated(answer.value(), &mut mappings),
                "APIVersions" => self.legacy("/api/v1", &mut mappings)?,
                _ => {
                    for group in answer.list_at(&["groups"]) {
                        let preferred = group.str_at(&["preferredVersion", "groupVersion"]);
                        let mut versions: Vec<&str> =
                            group.list_at(&["versions"]).iter().filter_map(|v| v.str_at(&["groupVersion"])).collect();
                        versions.order_by_key(|v| Some(*v) != preferred);
                        for version in versions {
                            self.legacy(&format!("/apis/{version}"), &mut mappings)?;
                        }
                    }
                }
            }
        }
        let fresh = Rc::new(Discovery { mappings, read_cache: true, asked_server: true });
        self.keep_discovery(&fresh);
        let own = built_in();
        let custom: Vec<Value> =
            fresh.mappings.iter().filter(|m| !own.iter().any(|o| o.gvr == m.gvr)).map(|m| to_cache(m)).collect();
        let path = self.cache_path();
        let _ = self.write_file(&path, json::to_string(&custom.into()).as_bytes())?;
        Ok(fresh)
    }

    fn legacy(&mut self, path: &str, mappings: &mut Vec<Rc<Mapping>>) -> Res<()> {
        let list = match self.call(Request::get_path(path)) {
            Ok(list) => list,
            Err(Stop::Err(error)) if error.status().is_some() => return Ok(()),
            Err(stop) => return Err(stop),
        };
        let version = list.str_at(&["groupVersion"]).unwrap_or("").to_string();
        for resource in list.list_at(&["resources"]) {
            let name = resource.str_at(&["name"]).unwrap_or("");
            if !name.contains('/') {
                mappings.push(Rc::new(Mapping {
                    namespaced: resource.bool_at(&["namespaced"]).unwrap_or(false),
                    singular: resource.str_at(&["singularName"]).unwrap_or("").into(),
                    ..mapping(&version, name, resource.str_at(&["kind"]).unwrap_or(""), resource)
                }));
            }
        }
        Ok(())
    }

    /// The resource that a word on the command line means.
    pub fn resource(&mut self, text: &str) -> Res<Rc<Mapping>> {
        match self.find(|known| known.find_resource(text))? {
            Some(found) => Ok(found),
            None => match text.split_once('.') {
                None => fail(format!("the server doesn't have a resource type \"{text}\"")),
                Some((name, group)) => fail(format!("the server doesn't have a resource type \"{name}\" in group \"{group}\"")),
            },
        }
    }

    pub fn resource_if_known(&mut self, text: &str) -> Res<Option<Rc<Mapping>>> {
        self.find(|known| known.find_resource(text))
    }

    pub fn kind(&mut self, gvk: Gvk) -> Res<Option<Rc<Mapping>>> {
        self.find(|known| known.find_kind(gvk))
    }

    /// The resources of a category (`all`), or none.
    pub fn category(&mut self, name: &str) -> Res<Vec<Rc<Mapping>>> {
        let mut known = self.discovery()?;
        let has = |m: &Mapping| m.categories.iter().any(|c| &**c == name);
        if !known.read_cache && known.mappings.iter().any(|m| has(m)) {
            known = self.with_cache_file(&known)?;
        }
        let mut found: Vec<Rc<Mapping>> = Vec::new();
        for mapping in known.mappings.iter().filter(|m| has(m) && m.can("list")) {
            if !found.iter().any(|f| f.gvr.group == mapping.gvr.group && f.gvr.resource == mapping.gvr.resource) {
                found.push(mapping.clone());
            }
        }
        Ok(found)
    }
}

/// Every known name of resources that a built-in cluster has, for completion.
pub(crate) fn built_in_names() -> Vec<Rc<Mapping>> {
    built_in()
}

/// The error for a document whose kind the server does not have.
pub(crate) fn no_match(gvk: Gvk, name: &str, namespace: &str, source: &str) -> Error {
    Error::Plain(format!(
        "resource mapping not found for name: \"{name}\" namespace: \"{namespace}\" from \"{source}\": no matches for kind \"{}\" in version \"{}\"\nensure CRDs are installed first",
        gvk.kind,
        gvk.api_version()
    ))
}

fn strings(value: &Value, field: &str) -> Vec<Rc<str>> {
    value.list_at(&[field]).iter().filter_map(Value::as_rc_str).cloned().collect()
}

fn mapping(version: &str, resource: &str, kind: &str, facts: &Value) -> Mapping {
    let gvk = Gvk::from_api_version(version, kind);
    Mapping {
        gvr: Gvr { group: gvk.group, version: gvk.version, resource: resource.into() },
        kind: kind.into(),
        namespaced: false,
        singular: "".into(),
        short: strings(facts, "shortNames"),
        categories: strings(facts, "categories"),
        verbs: strings(facts, "verbs"),
    }
}

fn from_aggregated(list: &Value, mappings: &mut Vec<Rc<Mapping>>) {
    for group in list.list_at(&["items"]) {
        let group_name = group.str_at(&["metadata", "name"]).unwrap_or("");
        for version in group.list_at(&["versions"]) {
            let version_name = version.str_at(&["version"]).unwrap_or("");
            let full = if group_name.is_empty() { version_name.to_string() } else { format!("{group_name}/{version_name}") };
            for resource in version.list_at(&["resources"]) {
                let name = resource.str_at(&["resource"]).unwrap_or("");
                mappings.push(Rc::new(Mapping {
                    namespaced: resource.str_at(&["scope"]) == Some("Namespaced"),
                    singular: resource.str_at(&["singularResource"]).unwrap_or("").into(),
                    ..mapping(&full, name, resource.str_at(&["responseKind", "kind"]).unwrap_or(""), resource)
                }));
            }
        }
    }
}

fn to_cache(m: &Mapping) -> Value {
    let list = |texts: &[Rc<str>]| Value::list(texts.iter().map(Value::from).collect());
    value!({
        "groupVersion": (m.gvr.api_version()), "name": (m.gvr.resource), "kind": (&m.kind), "namespaced": (m.namespaced),
        "singularName": (&m.singular), "shortNames": (list(&m.short)), "categories": (list(&m.categories)), "verbs": (list(&m.verbs))
    })
}

fn from_cache(v: &Value) -> Option<Rc<Mapping>> {
    Some(Rc::new(Mapping {
        namespaced: v.bool_at(&["namespaced"])?,
        singular: v.str_at(&["singularName"])?.into(),
        ..mapping(v.str_at(&["groupVersion"])?, v.str_at(&["name"])?, v.str_at(&["kind"])?, v)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_resources() {
        let known = Discovery { mappings: built_in(), ..Discovery::default() };
        let find = |text: &str| known.find_resource(text).map(|m| m.gvr.to_string());
        for (text, gvr) in [
            ("po", "v1, Resource=pods"),
            ("Pod", "v1, Resource=pods"),
            ("deploy", "apps/v1, Resource=deployments"),
            ("deployments.apps", "apps/v1, Resource=deployments"),
            ("deployments.v1.apps", "apps/v1, Resource=deployments"),
            ("hpa", "autoscaling/v2, Resource=horizontalpodautoscalers"),
            ("horizontalpodautoscalers.v1.autoscaling", "autoscaling/v1, Resource=horizontalpodautoscalers"),
            ("events", "v1, Resource=events"),
            ("events.events.k8s.io", "events.k8s.io/v1, Resource=events"),
            ("roles.rbac", "rbac.authorization.k8s.io/v1, Resource=roles"),
            ("pods.v1", "v1, Resource=pods"),
        ] {
            assert_eq!(find(text).as_deref(), Some(gvr), "{text}");
        }
        assert_eq!(find("pods.v2"), None);
        assert_eq!(find("gadgets"), None);
    }
}
