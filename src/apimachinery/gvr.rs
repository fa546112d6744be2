//! Names of kinds and of resources: group, version and kind or (plural, lower-case) resource.

use std::fmt;

use base::Sym;

/// Group, version, resource: what a path names. `Copy`; compared as three numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Gvr {
    /// Empty for the core group.
    pub group: Sym,
    pub version: Sym,
    /// Plural and lower case: `pods`.
    pub resource: Sym,
}

/// Group, version, kind: what an object names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Gvk {
    pub group: Sym,
    pub version: Sym,
    pub kind: Sym,
}

impl Gvr {
    pub fn new(group: &str, version: &str, resource: &str) -> Gvr {
        Gvr { group: group.into(), version: version.into(), resource: resource.into() }
    }
    /// `v1`, `apps/v1`.
    pub fn api_version(self) -> String {
        api_version(self.group, self.version)
    }
    /// `pods`, `deployments.apps`: as errors name a resource.
    pub fn group_resource(self) -> String {
        if self.group.is_empty() { self.resource.to_string() } else { format!("{}.{}", self.resource, self.group) }
    }
}

impl Gvk {
    pub fn new(group: &str, version: &str, kind: &str) -> Gvk {
        Gvk { group: group.into(), version: version.into(), kind: kind.into() }
    }
    pub fn from_api_version(api_version: &str, kind: &str) -> Gvk {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Gvk::new(group, version, kind)
    }
    pub fn api_version(self) -> String {
        api_version(self.group, self.version)
    }
}

fn api_version(group: Sym, version: Sym) -> String {
    if group.is_empty() { version.to_string() } else { format!("{group}/{version}") }
}

impl fmt::Display for Gvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Resource={}", self.api_version(), self.resource)
    }
}

impl fmt::Display for Gvk {
    /// As Go prints it in error texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.api_version(), self.kind)
    }
}

/// The built-in resources that components name often: `resources::pods()`.
pub mod resources {
    use super::Gvr;

    macro_rules! resources {
        ($($name:ident = $group:literal $version:literal $resource:literal;)*) => {$(
            pub fn $name() -> Gvr {
                thread_local!(static GVR: Gvr = Gvr::new($group, $version, $resource));
                GVR.with(|gvr| *gvr)
            }
        )*};
    }

    resources! {
        bindings = "" "v1" "bindings";
        configmaps = "" "v1" "configmaps";
        endpoints = "" "v1" "endpoints";
        events = "" "v1" "events";
        limitranges = "" "v1" "limitranges";
        namespaces = "" "v1" "namespaces";
        nodes = "" "v1" "nodes";
        persistentvolumeclaims = "" "v1" "persistentvolumeclaims";
        persistentvolumes = "" "v1" "persistentvolumes";
        pods = "" "v1" "pods";
        podtemplates = "" "v1" "podtemplates";
        replicationcontrollers = "" "v1" "replicationcontrollers";
        resourcequotas = "" "v1" "resourcequotas";
        secrets = "" "v1" "secrets";
        serviceaccounts = "" "v1" "serviceaccounts";
        services = "" "v1" "services";
        controllerrevisions = "apps" "v1" "controllerrevisions";
        daemonsets = "apps" "v1" "daemonsets";
        deployments = "apps" "v1" "deployments";
        replicasets = "apps" "v1" "replicasets";
        statefulsets = "apps" "v1" "statefulsets";
        cronjobs = "batch" "v1" "cronjobs";
        jobs = "batch" "v1" "jobs";
        certificatesigningrequests = "certificates.k8s.io" "v1" "certificatesigningrequests";
        leases = "coordination.k8s.io" "v1" "leases";
        endpointslices = "discovery.k8s.io" "v1" "endpointslices";
        events_v1 = "events.k8s.io" "v1" "events";
        horizontalpodautoscalers = "autoscaling" "v2" "horizontalpodautoscalers";
        ingresses = "networking.k8s.io" "v1" "ingresses";
        networkpolicies = "networking.k8s.io" "v1" "networkpolicies";
        poddisruptionbudgets = "policy" "v1" "poddisruptionbudgets";
        clusterrolebindings = "rbac.authorization.k8s.io" "v1" "clusterrolebindings";
        clusterroles = "rbac.authorization.k8s.io" "v1" "clusterroles";
        rolebindings = "rbac.authorization.k8s.io" "v1" "rolebindings";
        roles = "rbac.authorization.k8s.io" "v1" "roles";
        priorityclasses = "scheduling.k8s.io" "v1" "priorityclasses";
        runtimeclasses = "node.k8s.io" "v1" "runtimeclasses";
        csidrivers = "storage.k8s.io" "v1" "csidrivers";
        csinodes = "storage.k8s.io" "v1" "csinodes";
        storageclasses = "storage.k8s.io" "v1" "storageclasses";
        volumeattachments = "storage.k8s.io" "v1" "volumeattachments";
        subjectaccessreviews = "authorization.k8s.io" "v1" "subjectaccessreviews";
        tokenreviews = "authentication.k8s.io" "v1" "tokenreviews";
    }
}
