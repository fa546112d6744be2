//! The resources that are served: discovery's facts, the schema and the strategy of each, and where etcd keeps its objects.
//!
//! Two resources may share one storage (`events` of both groups, `horizontalpodautoscalers` of both versions): objects are kept
//! in the storage version and converted on the way in and out, see [`convert`](crate::convert).

use std::rc::Rc;

use api::Strategy;
use api::custom::Custom;
use apimachinery::schema::{self, StructType};
use apimachinery::{Gvk, Gvr, Key};
use base::{Lookup, Sym};

/// What a change of this storage means to the server itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    None,
    Pods,
    Services,
    Rbac,
    Events,
    ApiServices,
    Definitions,
    FlowControl,
}

/// The strategy of a resource: a built-in kind's, or one made from a definition.
#[derive(Clone)]
pub enum Rules {
    BuiltIn(&'static dyn Strategy),
    Custom(Rc<Custom>),
}

impl std::ops::Deref for Rules {
    type Target = dyn Strategy;
    fn deref(&self) -> &(dyn Strategy + 'static) {
        match self {
            Rules::BuiltIn(strategy) => *strategy,
            Rules::Custom(strategy) => &**strategy,
        }
    }
}

/// A served resource.
pub struct Resource {
    pub gvr: Gvr,
    pub gvk: Gvk,
    pub strategy: Rules,
    pub info: Rc<schema::Resource>,
    pub schema: Option<Rc<StructType>>,
    /// Interned `v1`, `apps/v1`.
    pub api_version: Key,
    pub list_kind: Key,
    /// The place of its storage in [`Scheme::storages`], or beyond that of a custom resource; `None`: virtual.
    pub storage: Option<usize>,
    /// A custom resource's definition.
    pub custom: Option<crate::custom::Facts>,
}

impl Resource {
    pub fn namespaced(&self) -> bool {
        self.info.namespaced
    }
    pub fn kind(&self) -> &api::Kind {
        self.strategy.kind()
    }
}

/// Where objects are kept.
pub struct Storage {
    pub index: usize,
    /// The version that is stored.
    pub gvr: Gvr,
    /// `/registry/pods/`
    pub prefix: Rc<str>,
    pub special: Special,
}

/// The table of all of it. Derived from static data: one per thread.
pub struct Scheme {
    pub resources: Vec<Rc<Resource>>,
    pub storages: Vec<Rc<Storage>>,
    by_gvr: Lookup<Gvr, usize>,
}

thread_local! {
    static SCHEME: Rc<Scheme> = Rc::new(Scheme::build());
}

pub fn scheme() -> Rc<Scheme> {
    SCHEME.with(Rc::clone)
}

/// That of a cluster with IPv4 and IPv6: Services have other rules.
pub fn dual_stack_scheme() -> Rc<Scheme> {
    let mut scheme = Scheme::build();
    let services = scheme.by_gvr.get(&apimachinery::resources::services()).copied();
    if let Some(resource) = services.and_then(|i| scheme.resources.get_mut(i)).and_then(Rc::get_mut) {
        resource.strategy = Rules::BuiltIn(&api::core::service::DUAL_STACK);
    }
    Rc::new(scheme)
}

impl Scheme {
    fn build() -> Scheme {
        let mut scheme = Scheme { resources: Vec::new(), storages: Vec::new(), by_gvr: Lookup::default() };
        for info in schema::resources().iter() {
            let Some(strategy) = api::strategy(info.gvr) else { continue };
            let index = scheme.resources.len();
            let storage = (!strategy.kind().virtual_kind).then(|| scheme.storage_of(info.gvr));
            scheme.by_gvr.insert(info.gvr, index);
            scheme.resources.push(Rc::new(Resource {
                gvr: info.gvr,
                gvk: info.kind,
                strategy: Rules::BuiltIn(strategy),
                custom: None,
                info: info.clone(),
                schema: schema::of(info.kind),
                api_version: apimachinery::key(&info.gvr.api_version()),
                list_kind: apimachinery::key(&format!("{}List", info.kind.kind)),
                storage,
            }));
        }
        scheme
    }

    fn storage_of(&mut self, gvr: Gvr) -> usize {
        let stored = storage_version(gvr);
        if let Some(s) = self.storages.iter().find(|s| s.gvr == stored) {
            return s.index;
        }
        let index = self.storages.len();
        let storage = Storage { index, gvr: stored, prefix: prefix(stored).into(), special: special(stored) };
        self.storages.push(Rc::new(storage));
        index
    }

    pub fn get(&self, gvr: Gvr) -> Option<&Rc<Resource>> {
        self.by_gvr.get(&gvr).map(|&i| &self.resources[i])
    }
    /// The resource in its storage version.
    pub fn stored(&self, resource: &Resource) -> Option<&Rc<Resource>> {
        self.get(self.storages.get(resource.storage?)?.gvr)
    }
    pub fn storage(&self, gvr: Gvr) -> Option<usize> {
        self.get(gvr)?.storage
    }
    /// Whether any resource is served in a group version.
    pub fn has_group_version(&self, group: Sym, version: Sym) -> bool {
        self.resources.iter().any(|r| r.gvr.group == group && r.gvr.version == version)
    }
}

fn storage_version(gvr: Gvr) -> Gvr {
    if gvr.group == "events.k8s.io" {
        Gvr::new("", "v1", "events")
    } else if gvr.group == "autoscaling" {
        Gvr::new("autoscaling", "v2", "horizontalpodautoscalers")
    } else {
        gvr
    }
}

/// Models `pkg/kubeapiserver/default_storage_factory_builder.go`: some prefixes are older than their resource's name.
fn prefix(gvr: Gvr) -> String {
    let resource = &*gvr.resource.text();
    let name = match resource {
        "services" => "services/specs",
        "endpoints" => "services/endpoints",
        "nodes" => "minions",
        "replicationcontrollers" => "controllers",
        "ingresses" => "ingress",
        "customresourcedefinitions" => "apiextensions.k8s.io/customresourcedefinitions",
        "apiservices" => "apiregistration.k8s.io/apiservices",
        other => other,
    };
    format!("/registry/{name}/")
}

fn special(gvr: Gvr) -> Special {
    match &*gvr.resource.text() {
        "pods" => Special::Pods,
        "services" => Special::Services,
        "events" => Special::Events,
        "apiservices" => Special::ApiServices,
        "customresourcedefinitions" => Special::Definitions,
        "flowschemas" | "prioritylevelconfigurations" => Special::FlowControl,
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => Special::Rbac,
        _ => Special::None,
    }
}

impl Storage {
    /// `/registry/pods/default/web`
    pub fn key(&self, namespace: &str, name: &str) -> Rc<str> {
        let mut key = String::with_capacity(self.prefix.len() + namespace.len() + name.len() + 1);
        key.push_str(&self.prefix);
        if !namespace.is_empty() {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        key.into()
    }
    /// The prefix of the keys of a namespace; of all keys if it is empty.
    pub fn scope(&self, namespace: &str) -> Rc<str> {
        if namespace.is_empty() { self.prefix.clone() } else { format!("{}{namespace}/", self.prefix).into() }
    }
}
