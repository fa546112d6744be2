//! The resources that the shared informers follow: those of every controller, and all others because the garbage collector
//! follows everything that can own or be owned. Indexes of their caches.

use std::fmt::Write;
use std::rc::Rc;

use apimachinery::labels::{Operator, Requirement, Selector};
use apimachinery::{Gvk, Gvr, Object, Value};
use client_go::{IndexFn, Informers, Selectors, Store};

/// The number of a resource in [`TABLE`], and of its informer.
pub type Res = usize;

/// One line of the table.
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub resource: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    pub indexes: &'static [IndexFn],
}

macro_rules! resources {
    ($($id:ident = $group:literal $version:literal $resource:literal $kind:literal $namespaced:literal $indexes:expr;)*) => {
        resources!(@number 0usize; $($id)*);
        pub static TABLE: &[Resource] = &[$(Resource {
            group: $group, version: $version, resource: $resource, kind: $kind, namespaced: $namespaced, indexes: $indexes,
        }),*];
    };
    (@number $n:expr; $id:ident $($rest:ident)*) => {
        pub const $id: Res = $n;
        resources!(@number $n + 1; $($rest)*);
    };
    (@number $n:expr;) => {};
}

const NONE: &[IndexFn] = &[];
/// By controller's uid, or `orphan/<namespace>`: index 0 of what controllers own.
const OWNED: &[IndexFn] = &[by_controller_or_orphan];

/// Index of pods (and of everything owned) by the controller's uid, see [`by_controller_or_orphan`].
pub const BY_CONTROLLER: usize = 0;
/// Index of pods by node.
pub const PODS_BY_NODE: usize = 1;
/// Index of pods by the claims that they mount: `namespace/claim`.
pub const PODS_BY_CLAIM: usize = 2;
/// Index of pods by each of their labels: `namespace/key=value`.
pub const PODS_BY_LABEL: usize = 3;
/// Index of services by the first pair of their selector: `namespace/key=value`.
pub const SERVICES_BY_SELECTOR: usize = 0;
/// Index of slices by service: `namespace/service`.
pub const SLICES_BY_SERVICE: usize = 0;
/// Index of token Secrets by their account: `namespace/account`.
pub const SECRETS_BY_ACCOUNT: usize = 0;
/// Index of claims by volume name, and of volumes by `namespace/claim`.
pub const BY_VOLUME: usize = 0;
/// In that index: claims without a volume, and volumes without a claim.
pub const UNBOUND_CLAIMS: &str = "-";
pub const FREE_VOLUMES: &str = "-";

resources! {
    PODS = "" "v1" "pods" "Pod" true &[by_controller_or_orphan, client_go::by_node_name, by_claim, by_label];
    NODES = "" "v1" "nodes" "Node" false NONE;
    NAMESPACES = "" "v1" "namespaces" "Namespace" false NONE;
    SERVICES = "" "v1" "services" "Service" true &[by_selector];
    ENDPOINTS = "" "v1" "endpoints" "Endpoints" true NONE;
    CONFIGMAPS = "" "v1" "configmaps" "ConfigMap" true NONE;
    SECRETS = "" "v1" "secrets" "Secret" true &[crate::token_secrets::by_account];
    SERVICEACCOUNTS = "" "v1" "serviceaccounts" "ServiceAccount" true NONE;
    PERSISTENTVOLUMES = "" "v1" "persistentvolumes" "PersistentVolume" false &[by_claim_ref];
    PERSISTENTVOLUMECLAIMS = "" "v1" "persistentvolumeclaims" "PersistentVolumeClaim" true &[by_volume_name];
    PODTEMPLATES = "" "v1" "podtemplates" "PodTemplate" true NONE;
    REPLICATIONCONTROLLERS = "" "v1" "replicationcontrollers" "ReplicationController" true NONE;
    RESOURCEQUOTAS = "" "v1" "resourcequotas" "ResourceQuota" true NONE;
    LIMITRANGES = "" "v1" "limitranges" "LimitRange" true NONE;
    DEPLOYMENTS = "apps" "v1" "deployments" "Deployment" true NONE;
    REPLICASETS = "apps" "v1" "replicasets" "ReplicaSet" true OWNED;
    DAEMONSETS = "apps" "v1" "daemonsets" "DaemonSet" true NONE;
    STATEFULSETS = "apps" "v1" "statefulsets" "StatefulSet" true NONE;
    CONTROLLERREVISIONS = "apps" "v1" "controllerrevisions" "ControllerRevision" true OWNED;
    JOBS = "batch" "v1" "jobs" "Job" true OWNED;
    CRONJOBS = "batch" "v1" "cronjobs" "CronJob" true NONE;
    ENDPOINTSLICES = "discovery.k8s.io" "v1" "endpointslices" "EndpointSlice" true &[by_service];
    LEASES = "coordination.k8s.io" "v1" "leases" "Lease" true NONE;
    PODDISRUPTIONBUDGETS = "policy" "v1" "poddisruptionbudgets" "PodDisruptionBudget" true NONE;
    HORIZONTALPODAUTOSCALERS = "autoscaling" "v2" "horizontalpodautoscalers" "HorizontalPodAutoscaler" true NONE;
    CERTIFICATESIGNINGREQUESTS = "certificates.k8s.io" "v1" "certificatesigningrequests" "CertificateSigningRequest" false NONE;
    CLUSTERTRUSTBUNDLES = "certificates.k8s.io" "v1" "clustertrustbundles" "ClusterTrustBundle" false NONE;
    PODCERTIFICATEREQUESTS = "certificates.k8s.io" "v1" "podcertificaterequests" "PodCertificateRequest" true NONE;
    CLUSTERROLES = "rbac.authorization.k8s.io" "v1" "clusterroles" "ClusterRole" false NONE;
    CLUSTERROLEBINDINGS = "rbac.authorization.k8s.io" "v1" "clusterrolebindings" "ClusterRoleBinding" false NONE;
    ROLES = "rbac.authorization.k8s.io" "v1" "roles" "Role" true NONE;
    ROLEBINDINGS = "rbac.authorization.k8s.io" "v1" "rolebindings" "RoleBinding" true NONE;
    STORAGECLASSES = "storage.k8s.io" "v1" "storageclasses" "StorageClass" false NONE;
    CSINODES = "storage.k8s.io" "v1" "csinodes" "CSINode" false NONE;
    CSIDRIVERS = "storage.k8s.io" "v1" "csidrivers" "CSIDriver" false NONE;
    CSISTORAGECAPACITIES = "storage.k8s.io" "v1" "csistoragecapacities" "CSIStorageCapacity" true NONE;
    VOLUMEATTACHMENTS = "storage.k8s.io" "v1" "volumeattachments" "VolumeAttachment" false NONE;
    VOLUMEATTRIBUTESCLASSES = "storage.k8s.io" "v1" "volumeattributesclasses" "VolumeAttributesClass" false NONE;
    INGRESSES = "networking.k8s.io" "v1" "ingresses" "Ingress" true NONE;
    INGRESSCLASSES = "networking.k8s.io" "v1" "ingressclasses" "IngressClass" false NONE;
    NETWORKPOLICIES = "networking.k8s.io" "v1" "networkpolicies" "NetworkPolicy" true NONE;
    IPADDRESSES = "networking.k8s.io" "v1" "ipaddresses" "IPAddress" false NONE;
    SERVICECIDRS = "networking.k8s.io" "v1" "servicecidrs" "ServiceCIDR" false NONE;
    RUNTIMECLASSES = "node.k8s.io" "v1" "runtimeclasses" "RuntimeClass" false NONE;
    PRIORITYCLASSES = "scheduling.k8s.io" "v1" "priorityclasses" "PriorityClass" false NONE;
    RESOURCECLAIMS = "resource.k8s.io" "v1" "resourceclaims" "ResourceClaim" true NONE;
    RESOURCECLAIMTEMPLATES = "resource.k8s.io" "v1" "resourceclaimtemplates" "ResourceClaimTemplate" true NONE;
    RESOURCESLICES = "resource.k8s.io" "v1" "resourceslices" "ResourceSlice" false NONE;
    DEVICECLASSES = "resource.k8s.io" "v1" "deviceclasses" "DeviceClass" false NONE;
    DEVICETAINTRULES = "resource.k8s.io" "v1" "devicetaintrules" "DeviceTaintRule" false NONE;
    VALIDATINGADMISSIONPOLICIES = "admissionregistration.k8s.io" "v1" "validatingadmissionpolicies" "ValidatingAdmissionPolicy" false NONE;
    VALIDATINGADMISSIONPOLICYBINDINGS = "admissionregistration.k8s.io" "v1" "validatingadmissionpolicybindings" "ValidatingAdmissionPolicyBinding" false NONE;
    MUTATINGADMISSIONPOLICIES = "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicies" "MutatingAdmissionPolicy" false NONE;
    MUTATINGADMISSIONPOLICYBINDINGS = "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicybindings" "MutatingAdmissionPolicyBinding" false NONE;
    VALIDATINGWEBHOOKCONFIGURATIONS = "admissionregistration.k8s.io" "v1" "validatingwebhookconfigurations" "ValidatingWebhookConfiguration" false NONE;
    MUTATINGWEBHOOKCONFIGURATIONS = "admissionregistration.k8s.io" "v1" "mutatingwebhookconfigurations" "MutatingWebhookConfiguration" false NONE;
    CUSTOMRESOURCEDEFINITIONS = "apiextensions.k8s.io" "v1" "customresourcedefinitions" "CustomResourceDefinition" false NONE;
    APISERVICES = "apiregistration.k8s.io" "v1" "apiservices" "APIService" false NONE;
    FLOWSCHEMAS = "flowcontrol.apiserver.k8s.io" "v1" "flowschemas" "FlowSchema" false NONE;
    PRIORITYLEVELCONFIGURATIONS = "flowcontrol.apiserver.k8s.io" "v1" "prioritylevelconfigurations" "PriorityLevelConfiguration" false NONE;
    STORAGEVERSIONMIGRATIONS = "storagemigration.k8s.io" "v1" "storageversionmigrations" "StorageVersionMigration" false NONE;
}

impl Resource {
    pub fn gvr(&self) -> Gvr {
        Gvr::new(self.group, self.version, self.resource)
    }
}

/// The resource of an owner reference: by kind and group, whatever the version.
pub fn by_kind(api_version: &str, kind: &str) -> Option<Res> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    TABLE.iter().position(|r| r.kind == kind && r.group == group)
}

/// The kind of the objects of a resource.
pub fn gvk(res: Res) -> Gvk {
    Gvk::new(TABLE[res].group, TABLE[res].version, TABLE[res].kind)
}

thread_local! {
    /// Looked up on every call; interning each time would cost.
    static GVRS: Vec<Gvr> = TABLE.iter().map(Resource::gvr).collect();
}

/// The name of a resource in requests.
pub fn gvr(res: Res) -> Gvr {
    GVRS.with(|gvrs| gvrs[res])
}

/// Adds an informer per resource, in the order of the table.
pub fn add_all(informers: &mut Informers) {
    for resource in TABLE {
        informers.add(resource.gvr(), Selectors::default(), resource.indexes);
    }
}

/// The shared caches, by resource.
#[derive(Clone, Copy)]
pub struct Caches<'a>(pub &'a Informers);

impl<'a> Caches<'a> {
    pub fn store(self, res: Res) -> &'a Store {
        self.0.store(res)
    }
    pub fn find(self, res: Res, namespace: &str, name: &str) -> Option<&'a Object> {
        self.0.store(res).find(namespace, name)
    }
    pub fn get(self, res: Res, key: &apimachinery::ObjectKey) -> Option<&'a Object> {
        self.0.store(res).get(key)
    }
    /// What the controller of this uid owns.
    pub fn owned_by(self, res: Res, uid: &str) -> impl Iterator<Item = &'a Object> {
        self.0.store(res).by_index(BY_CONTROLLER, uid)
    }
    /// What has no controller, in a namespace.
    pub fn orphans(self, res: Res, namespace: &str) -> impl Iterator<Item = &'a Object> {
        self.0.store(res).by_index(BY_CONTROLLER, &format!("orphan/{namespace}"))
    }
    /// The controller that an owner reference names, if it is in the cache with that uid.
    pub fn controller_of(self, res: Res, object: &Object) -> Option<&'a Object> {
        let reference = object.controller_ref()?;
        if reference.str_at(&["kind"]) != Some(TABLE[res].kind) {
            return None;
        }
        let owner = self.find(res, object.namespace(), reference.str_at(&["name"])?)?;
        (Some(owner.uid()) == reference.str_at(&["uid"])).then_some(owner)
    }
}

/// By the controller's uid; what has no controller is under `orphan/<namespace>`.
pub fn by_controller_or_orphan(object: &Object, keys: &mut Vec<Rc<str>>) {
    match object.controller_ref().and_then(|owner| owner.get("uid")).and_then(Value::as_rc_str) {
        Some(uid) => keys.push(uid.clone()),
        None => keys.push(format!("orphan/{}", object.namespace()).into()),
    }
}

/// Claims that a pod's volumes name: `namespace/claim` (those of generic ephemeral volumes by their derived name).
fn by_claim(pod: &Object, keys: &mut Vec<Rc<str>>) {
    for volume in pod.list_at(&["spec", "volumes"]) {
        if let Some(claim) = volume.str_at(&["persistentVolumeClaim", "claimName"]) {
            keys.push(format!("{}/{claim}", pod.namespace()).into());
        } else if volume.get("ephemeral").is_some() {
            let name = volume.str_at(&["name"]).unwrap_or("");
            keys.push(format!("{}/{}-{name}", pod.namespace(), pod.name()).into());
        }
    }
}

/// A label that a ReplicaSet's pods have all and no others, and that nobody selects by alone: not worth an index.
const UNINDEXED_LABEL: &str = "pod-template-hash";

fn by_label(object: &Object, keys: &mut Vec<Rc<str>>) {
    for (key, value) in object.labels().into_iter().flatten().filter(|(key, _)| **key != *UNINDEXED_LABEL) {
        keys.push(selector_key(object.namespace(), key, value.as_str().unwrap_or("")));
    }
}

fn by_claim_ref(volume: &Object, keys: &mut Vec<Rc<str>>) {
    let Some(claim) = volume.at(&["spec", "claimRef"]) else { return keys.push(FREE_VOLUMES.into()) };
    let text = |field: &str| claim.str_at(&[field]).unwrap_or("");
    keys.push(format!("{}/{}", text("namespace"), text("name")).into());
}

fn by_volume_name(claim: &Object, keys: &mut Vec<Rc<str>>) {
    let name = claim.at(&["spec", "volumeName"]).and_then(Value::as_rc_str).filter(|n| !n.is_empty());
    keys.push(name.cloned().unwrap_or_else(|| UNBOUND_CLAIMS.into()));
}

fn by_service(slice: &Object, keys: &mut Vec<Rc<str>>) {
    if let Some(service) = slice.label("kubernetes.io/service-name") {
        keys.push(format!("{}/{service}", slice.namespace()).into());
    }
}

fn by_selector(service: &Object, keys: &mut Vec<Rc<str>>) {
    let first = service.map_at(&["spec", "selector"]).and_then(|selector| selector.iter().next());
    if let Some((key, value)) = first {
        keys.push(selector_key(service.namespace(), key, value.as_str().unwrap_or("")));
    }
}

/// `namespace/key=value`, as services are indexed.
pub fn selector_key(namespace: &str, key: &str, value: &str) -> Rc<str> {
    let mut text = String::with_capacity(namespace.len() + key.len() + value.len() + 2);
    let _ = write!(text, "{namespace}/{key}={value}");
    text.into()
}

/// The pods of a namespace that a selector matches. A selector that names a value for some label costs only the pods that have it.
pub fn selected_pods<'a>(
    caches: Caches<'a>,
    namespace: &'a str,
    selector: Selector,
) -> impl Iterator<Item = &'a Object> + use<'a> {
    candidate_pods(caches, namespace, &selector).filter(move |pod| selector.matches(pod.labels()))
}

/// The pods that a selector may match, in the order of their names: those with the rarest of the values that it names.
pub fn candidate_pods<'a>(
    caches: Caches<'a>,
    namespace: &'a str,
    selector: &Selector,
) -> Box<dyn Iterator<Item = &'a Object> + 'a> {
    let pods = caches.store(PODS);
    let exact = |r: &Requirement| match (&r.operator, &r.values[..]) {
        _ if *r.key == *UNINDEXED_LABEL => None,
        (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(selector_key(namespace, &r.key, value)),
        _ => None,
    };
    let rarest = selector.requirements().iter().filter_map(exact).min_by_key(|text| pods.count(PODS_BY_LABEL, text));
    match rarest {
        _ if selector.is_nothing() => Box::new(std::iter::empty()),
        Some(text) => Box::new(pods.by_index(PODS_BY_LABEL, &text)),
        None => Box::new(pods.in_namespace(namespace)),
    }
}

/// The services that select a pod (or an object with the same labels), by the index: the cost is that of the labels.
pub fn services_of<'a>(caches: Caches<'a>, pod: &Object, mut found: impl FnMut(&'a Object)) {
    let services = caches.store(SERVICES);
    let Some(labels) = pod.labels().filter(|_| !services.is_index_empty(SERVICES_BY_SELECTOR)) else { return };
    for (key, value) in labels {
        let text = selector_key(pod.namespace(), key, value.as_str().unwrap_or(""));
        for service in services.by_index(SERVICES_BY_SELECTOR, &text) {
            let selector = service.map_at(&["spec", "selector"]);
            if selector.is_some_and(|s| s.iter().all(|(k, v)| labels.get(k) == Some(v))) {
                found(service);
            }
        }
    }
}
