//! The table of built-in resources: one line each.

use std::collections::HashMap;

use apimachinery::Gvr;

use crate::rules::Rules;
use crate::strategy::{Kind, NameRule, Strategy};

const ADMISSION: &str = "admissionregistration.k8s.io";
const AUTHN: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const CERTS: &str = "certificates.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const STORAGE: &str = "storage.k8s.io";

/// Of every resource of discovery the strategy. A kind without rules of its own is one line.
#[rustfmt::skip]
static STRATEGIES: &[&dyn Strategy] = &[
    &Rules::of(Kind::namespaced("", "bindings", "Binding").not_stored()),
    &Rules::of(Kind::cluster("", "componentstatuses", "ComponentStatus").not_stored()),
    &Rules::of(Kind::namespaced("", "configmaps", "ConfigMap")),
    &Rules::of(Kind::namespaced("", "endpoints", "Endpoints").create_on_update()),
    &Rules::of(Kind::namespaced("", "events", "Event").create_on_update()),
    &Rules::of(Kind::namespaced("", "limitranges", "LimitRange").create_on_update()),
    &Rules::of(Kind::cluster("", "namespaces", "Namespace").status().names(NameRule::DnsLabel)),
    &Rules::of(Kind::cluster("", "nodes", "Node").status()),
    &Rules::of(Kind::namespaced("", "persistentvolumeclaims", "PersistentVolumeClaim").status()),
    &Rules::of(Kind::cluster("", "persistentvolumes", "PersistentVolume").status()),
    &crate::core::pod::PodStrategy,
    &Rules::of(Kind::namespaced("", "podtemplates", "PodTemplate").generation()),
    &crate::apps::replicaset::REPLICATION_CONTROLLER,
    &Rules::of(Kind::namespaced("", "resourcequotas", "ResourceQuota").status()),
    &Rules::of(Kind::namespaced("", "secrets", "Secret")),
    &Rules::of(Kind::namespaced("", "serviceaccounts", "ServiceAccount")),
    &crate::core::service::ServiceStrategy,
    &crate::apps::CONTROLLER_REVISION,
    &crate::apps::daemonset::DAEMON_SET,
    &crate::apps::deployment::DEPLOYMENT,
    &crate::apps::replicaset::REPLICA_SET,
    &crate::apps::statefulset::STATEFUL_SET,
    &Rules::of(Kind::cluster(ADMISSION, "mutatingadmissionpolicies", "MutatingAdmissionPolicy").generation().conditional()),
    &Rules::of(Kind::cluster(ADMISSION, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding").generation().conditional()),
    &Rules::of(Kind::cluster(ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration").generation().conditional()),
    &Rules::of(Kind::cluster(ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy").status().generation().conditional()),
    &Rules::of(Kind::cluster(ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding").generation().conditional()),
    &Rules::of(Kind::cluster(ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration").generation().conditional()),
    &Rules::of(Kind::cluster("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition").status().generation().conditional()),
    &Rules::of(Kind::cluster("apiregistration.k8s.io", "apiservices", "APIService").status().conditional()),
    &Rules::of(Kind::cluster(AUTHN, "selfsubjectreviews", "SelfSubjectReview").not_stored()),
    &Rules::of(Kind::cluster(AUTHN, "tokenreviews", "TokenReview").not_stored()),
    &Rules::of(Kind::namespaced(AUTHZ, "localsubjectaccessreviews", "LocalSubjectAccessReview").not_stored()),
    &Rules::of(Kind::cluster(AUTHZ, "selfsubjectaccessreviews", "SelfSubjectAccessReview").not_stored()),
    &Rules::of(Kind::cluster(AUTHZ, "selfsubjectrulesreviews", "SelfSubjectRulesReview").not_stored()),
    &Rules::of(Kind::cluster(AUTHZ, "subjectaccessreviews", "SubjectAccessReview").not_stored()),
    &Rules::of(Kind { version: "v2", ..Kind::namespaced("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler").status().generation() }),
    &Rules::of(Kind::namespaced("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler").status().generation()),
    &crate::batch::cronjob::CRON_JOB,
    &crate::batch::job::JOB,
    &Rules::of(Kind::cluster(CERTS, "certificatesigningrequests", "CertificateSigningRequest").status()),
    &Rules::of(Kind::cluster(CERTS, "clustertrustbundles", "ClusterTrustBundle").conditional()),
    &Rules::of(Kind::namespaced(CERTS, "podcertificaterequests", "PodCertificateRequest").status().conditional()),
    &Rules::of(Kind::namespaced("coordination.k8s.io", "leases", "Lease").create_on_update().conditional()),
    &Rules::of(Kind::namespaced("discovery.k8s.io", "endpointslices", "EndpointSlice").generation()),
    &Rules::of(Kind::namespaced("events.k8s.io", "events", "Event").create_on_update()),
    &Rules::of(Kind::cluster(FLOW, "flowschemas", "FlowSchema").status().generation()),
    &Rules::of(Kind::cluster(FLOW, "prioritylevelconfigurations", "PriorityLevelConfiguration").status().generation()),
    &Rules::of(Kind::cluster(NETWORKING, "ingressclasses", "IngressClass").generation()),
    &Rules::of(Kind::namespaced(NETWORKING, "ingresses", "Ingress").status().generation()),
    &Rules::of(Kind::cluster(NETWORKING, "ipaddresses", "IPAddress").names(NameRule::IpAddress)),
    &Rules::of(Kind::namespaced(NETWORKING, "networkpolicies", "NetworkPolicy").generation()),
    &Rules::of(Kind::cluster(NETWORKING, "servicecidrs", "ServiceCIDR").status()),
    &Rules::of(Kind::cluster("node.k8s.io", "runtimeclasses", "RuntimeClass").conditional()),
    &Rules::of(Kind::namespaced("policy", "poddisruptionbudgets", "PodDisruptionBudget").status().generation().conditional()),
    &Rules::of(Kind::cluster(RBAC, "clusterrolebindings", "ClusterRoleBinding").create_on_update().names(NameRule::PathSegment)),
    &Rules::of(Kind::cluster(RBAC, "clusterroles", "ClusterRole").create_on_update().names(NameRule::PathSegment)),
    &Rules::of(Kind::namespaced(RBAC, "rolebindings", "RoleBinding").create_on_update().names(NameRule::PathSegment)),
    &Rules::of(Kind::namespaced(RBAC, "roles", "Role").create_on_update().names(NameRule::PathSegment)),
    &Rules::of(Kind::cluster(RESOURCE, "deviceclasses", "DeviceClass").generation()),
    &Rules::of(Kind::cluster(RESOURCE, "devicetaintrules", "DeviceTaintRule").status().generation()),
    &Rules::of(Kind::namespaced(RESOURCE, "resourceclaims", "ResourceClaim").status()),
    &Rules::of(Kind::namespaced(RESOURCE, "resourceclaimtemplates", "ResourceClaimTemplate")),
    &Rules::of(Kind::cluster(RESOURCE, "resourceslices", "ResourceSlice").generation()),
    &Rules::of(Kind::cluster("scheduling.k8s.io", "priorityclasses", "PriorityClass").generation()),
    &Rules::of(Kind::cluster(STORAGE, "csidrivers", "CSIDriver").conditional()),
    &Rules::of(Kind::cluster(STORAGE, "csinodes", "CSINode").status().conditional()),
    &Rules::of(Kind::namespaced(STORAGE, "csistoragecapacities", "CSIStorageCapacity").conditional()),
    &Rules::of(Kind::cluster(STORAGE, "storageclasses", "StorageClass")),
    &Rules::of(Kind::cluster(STORAGE, "volumeattachments", "VolumeAttachment").status().conditional()),
    &Rules::of(Kind::cluster(STORAGE, "volumeattributesclasses", "VolumeAttributesClass")),
    &Rules::of(Kind::cluster("storagemigration.k8s.io", "storageversionmigrations", "StorageVersionMigration").status()),
];

thread_local! {
    /// Looked up only, never iterated.
    static BY_GVR: HashMap<Gvr, &'static dyn Strategy> =
        STRATEGIES.iter().map(|s| (s.kind().gvr(), *s)).collect();
}

/// The strategy of a built-in resource.
pub fn strategy(gvr: Gvr) -> Option<&'static dyn Strategy> {
    BY_GVR.with(|table| table.get(&gvr).copied())
}

/// Every built-in resource.
pub fn kinds() -> impl Iterator<Item = &'static dyn Strategy> {
    STRATEGIES.iter().copied()
}
