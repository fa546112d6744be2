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
    &crate::core::config::CONFIG_MAP,
    &crate::core::endpoints::ENDPOINTS,
    &crate::core::event::EVENT,
    &crate::core::quota::LIMIT_RANGE,
    &crate::core::namespace::NAMESPACE,
    &crate::core::node::NodeStrategy,
    &crate::core::persistent::CLAIM,
    &crate::core::persistent::VOLUME,
    &crate::core::pod::PodStrategy,
    &crate::core::config::POD_TEMPLATE,
    &crate::apps::replicaset::REPLICATION_CONTROLLER,
    &crate::core::quota::RESOURCE_QUOTA,
    &crate::core::config::SECRET,
    &crate::core::config::SERVICE_ACCOUNT,
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
    &crate::small::LEASE,
    &crate::core::endpoints::ENDPOINT_SLICE,
    &crate::core::event::EVENT_V1,
    &Rules::of(Kind::cluster(FLOW, "flowschemas", "FlowSchema").status().generation()),
    &Rules::of(Kind::cluster(FLOW, "prioritylevelconfigurations", "PriorityLevelConfiguration").status().generation()),
    &crate::networking::INGRESS_CLASS,
    &crate::networking::INGRESS,
    &crate::networking::IP_ADDRESS,
    &crate::networking::NETWORK_POLICY,
    &crate::networking::SERVICE_CIDR,
    &crate::small::RUNTIME_CLASS,
    &crate::small::POD_DISRUPTION_BUDGET,
    &crate::rbac::CLUSTER_ROLE_BINDING,
    &crate::rbac::CLUSTER_ROLE,
    &crate::rbac::ROLE_BINDING,
    &crate::rbac::ROLE,
    &Rules::of(Kind::cluster(RESOURCE, "deviceclasses", "DeviceClass").generation()),
    &Rules::of(Kind::cluster(RESOURCE, "devicetaintrules", "DeviceTaintRule").status().generation()),
    &Rules::of(Kind::namespaced(RESOURCE, "resourceclaims", "ResourceClaim").status()),
    &Rules::of(Kind::namespaced(RESOURCE, "resourceclaimtemplates", "ResourceClaimTemplate")),
    &Rules::of(Kind::cluster(RESOURCE, "resourceslices", "ResourceSlice").generation()),
    &crate::small::PRIORITY_CLASS,
    &crate::storage::CSI_DRIVER,
    &crate::storage::CSI_NODE,
    &crate::storage::CSI_STORAGE_CAPACITY,
    &crate::storage::STORAGE_CLASS,
    &crate::storage::VOLUME_ATTACHMENT,
    &crate::storage::VOLUME_ATTRIBUTES_CLASS,
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
