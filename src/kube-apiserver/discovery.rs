//! Discovery: which groups, versions and resources there are. Models `endpoints/discovery`, both the old documents and the
//! aggregated one.

use std::rc::Rc;

use apimachinery::schema::{Resource, Subresource};
use apimachinery::{Gvk, Object, Request, Value, value};
use base::Sym;

use crate::server::ApiServer;

fn object(v: Value) -> Object {
    Object::from_value(v).expect("a map was built")
}

fn texts<T: AsRef<str>>(items: &[T]) -> Vec<Value> {
    items.iter().map(|t| Value::sym(t.as_ref())).collect()
}

/// Whether the client takes the aggregated form.
fn wants_aggregated(request: &Request) -> bool {
    request.accept.as_deref().is_some_and(|a| {
        a.split(',').next().is_some_and(|first| first.contains("as=APIGroupDiscoveryList") && first.contains("v=v2"))
    })
}

/// The document at a path; `None`: there is none.
pub fn document(server: &ApiServer, request: &Request, address: &str) -> Option<Object> {
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api"] if wants_aggregated(request) => Some(aggregated(server, true)),
        ["apis"] if wants_aggregated(request) => Some(aggregated(server, false)),
        ["api"] => Some(object(value!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        }))),
        ["apis"] => Some(object(value!({
            "kind": "APIGroupList", "apiVersion": "v1", "groups": (groups(server).iter().map(|g| group(server, *g)).collect::<Vec<_>>())
        }))),
        ["api", "v1"] => Some(resource_list(server, Sym::default(), Sym::new("v1"))),
        ["apis", name] => {
            let found = groups(server).into_iter().find(|g| *g == **name)?;
            let mut v = value!({"kind": "APIGroup", "apiVersion": "v1"});
            for (k, member) in group(server, found).as_map()? {
                v.map_mut().insert(k.clone(), member.clone());
            }
            Some(object(v))
        }
        ["apis", name, version] => {
            let known = server.group_versions().iter().any(|(g, v)| *g == **name && *v == **version);
            known.then(|| resource_list(server, Sym::new(name), Sym::new(version)))
        }
        _ => None,
    }
}

/// The named groups, in order.
fn groups(server: &ApiServer) -> Vec<Sym> {
    let mut out: Vec<Sym> = Vec::new();
    for (group, _) in server.group_versions().iter() {
        if !group.is_empty() && !out.contains(group) {
            out.push(*group);
        }
    }
    out
}

fn versions(server: &ApiServer, group: Sym) -> Vec<Sym> {
    server.group_versions().iter().filter(|(g, _)| *g == group).map(|(_, v)| *v).collect()
}

fn group(server: &ApiServer, name: Sym) -> Value {
    let version = |v: &Sym| value!({"groupVersion": (format!("{name}/{v}")), "version": (*v)});
    let all: Vec<Value> = versions(server, name).iter().map(version).collect();
    let preferred = all.first().cloned().unwrap_or_default();
    value!({"name": name, "versions": all, "preferredVersion": preferred})
}

fn resource_list(server: &ApiServer, group: Sym, version: Sym) -> Object {
    let gv = Gvk { group, version, kind: Sym::default() }.api_version();
    let mut all: Vec<Value> = Vec::new();
    for r in server.resources_in(group, version) {
        all.push(resource(&r));
        all.extend(r.subresources.iter().map(|s| subresource(&r, s)));
    }
    object(value!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": all}))
}

fn resource(r: &Resource) -> Value {
    let mut v = value!({
        "name": (r.gvr.resource), "singularName": (&r.singular), "namespaced": (r.namespaced), "kind": (r.kind.kind),
        "verbs": (texts(&r.verbs))
    });
    if !r.short_names.is_empty() {
        v.set_at(&["shortNames"], texts(&r.short_names));
    }
    if !r.categories.is_empty() {
        v.set_at(&["categories"], texts(&r.categories));
    }
    if !r.storage_version_hash.is_empty() {
        v.set_at(&["storageVersionHash"], &r.storage_version_hash);
    }
    v
}

fn subresource(r: &Resource, s: &Subresource) -> Value {
    let mut v = value!({
        "name": (format!("{}/{}", r.gvr.resource, s.name)), "singularName": "", "namespaced": (r.namespaced), "kind": (s.kind.kind),
        "verbs": (texts(&s.verbs))
    });
    if s.foreign {
        v.set_at(&["group"], s.kind.group);
        v.set_at(&["version"], s.kind.version);
    }
    v
}

fn aggregated(server: &ApiServer, core: bool) -> Object {
    let names = if core { vec![Sym::default()] } else { groups(server) };
    let items: Vec<Value> = names.into_iter().map(|name| aggregated_group(server, name)).collect();
    object(value!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}))
}

/// What is built in never changes, and clients ask for it every 30 s.
fn aggregated_group(server: &ApiServer, name: Sym) -> Value {
    if server.customs.in_group(name) {
        return describe_group(server, name);
    }
    server.memo.discovery.get_or(name, || describe_group(server, name))
}

fn describe_group(server: &ApiServer, name: Sym) -> Value {
    let of_version = |version: &Sym| {
        let resources: Vec<Value> = server.resources_in(name, *version).iter().map(aggregated_resource).collect();
        value!({"version": (*version), "freshness": "Current", "resources": resources})
    };
    let all: Vec<Value> = versions(server, name).iter().map(of_version).collect();
    let metadata = if name.is_empty() { Value::map() } else { value!({"name": name}) };
    value!({"metadata": metadata, "versions": all})
}

fn kind_of(kind: Gvk, foreign: bool) -> Value {
    if foreign {
        value!({"group": (kind.group), "version": (kind.version), "kind": (kind.kind)})
    } else {
        value!({"group": "", "version": "", "kind": (kind.kind)})
    }
}

fn aggregated_resource(r: &Rc<Resource>) -> Value {
    let mut v = value!({
        "resource": (r.gvr.resource), "responseKind": (kind_of(r.kind, false)),
        "scope": (if r.namespaced { "Namespaced" } else { "Cluster" }), "singularResource": (&r.singular), "verbs": (texts(&r.verbs))
    });
    if !r.short_names.is_empty() {
        v.set_at(&["shortNames"], texts(&r.short_names));
    }
    if !r.categories.is_empty() {
        v.set_at(&["categories"], texts(&r.categories));
    }
    let sub = |s: &Subresource| value!({"subresource": (s.name), "responseKind": (kind_of(s.kind, s.foreign)), "verbs": (texts(&s.verbs))});
    if !r.subresources.is_empty() {
        v.set_at(&["subresources"], r.subresources.iter().map(sub).collect::<Vec<_>>());
    }
    v
}
