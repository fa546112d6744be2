//! The table of built-in resources: one line each.

use apimachinery::Gvr;
use base::Lookup;

use crate::rules::Rules;
use crate::strategy::{Kind, Strategy};

const AUTHN: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const CERTS: &str = "certificates.k8s.io";
const RESOURCE: &str = "resource.k8s.io";

/// Of every resource of discovery the strategy. A kind without rules of its own is one line.
#[rustfmt::skip]
static STRATEGIES: &[&(dyn Strategy + Sync)] = &[
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
    &crate::core::service::ServiceStrategy { dual_stack: false },
    &crate::apps::CONTROLLER_REVISION,
    &crate::apps::daemonset::DAEMON_SET,
    &crate::apps::deployment::DEPLOYMENT,
    &crate::apps::replicaset::REPLICA_SET,
    &crate::apps::statefulset::STATEFUL_SET,
    &crate::admissionregistration::MUTATING_POLICY,
    &crate::admissionregistration::MUTATING_POLICY_BINDING,
    &crate::admissionregistration::MUTATING_WEBHOOKS,
    &crate::admissionregistration::VALIDATING_POLICY,
    &crate::admissionregistration::VALIDATING_POLICY_BINDING,
    &crate::admissionregistration::VALIDATING_WEBHOOKS,
    &crate::apiextensions::CRD,
    &crate::apiregistration::API_SERVICE,
    &Rules::of(Kind::cluster(AUTHN, "selfsubjectreviews", "SelfSubjectReview").not_stored()),
    &Rules::of(Kind::cluster(AUTHN, "tokenreviews", "TokenReview").not_stored()),
    &crate::authorization::LOCAL_SUBJECT_ACCESS_REVIEW,
    &crate::authorization::SELF_SUBJECT_ACCESS_REVIEW,
    &Rules::of(Kind::cluster(AUTHZ, "selfsubjectrulesreviews", "SelfSubjectRulesReview").not_stored()),
    &crate::authorization::SUBJECT_ACCESS_REVIEW,
    &crate::autoscaling::V2,
    &crate::autoscaling::V1,
    &crate::batch::cronjob::CRON_JOB,
    &crate::batch::job::JOB,
    &crate::certificates::CSR,
    &Rules::of(Kind::cluster(CERTS, "clustertrustbundles", "ClusterTrustBundle").conditional()),
    &Rules::of(
        Kind::namespaced(CERTS, "podcertificaterequests", "PodCertificateRequest")
            .status()
            .conditional()
            .select(&[
                ("spec.nodeName", &["spec", "nodeName"]),
                ("spec.podName", &["spec", "podName"]),
                ("spec.signerName", &["spec", "signerName"]),
            ]),
    ),
    &crate::coordination::LEASE,
    &crate::core::endpoints::ENDPOINT_SLICE,
    &crate::core::event::EVENT_V1,
    &crate::flowcontrol::FLOW_SCHEMA,
    &crate::flowcontrol::PRIORITY_LEVEL,
    &crate::networking::INGRESS_CLASS,
    &crate::networking::INGRESS,
    &crate::networking::IP_ADDRESS,
    &crate::networking::NETWORK_POLICY,
    &crate::networking::SERVICE_CIDR,
    &crate::node::RUNTIME_CLASS,
    &crate::policy::POD_DISRUPTION_BUDGET,
    &crate::rbac::CLUSTER_ROLE_BINDING,
    &crate::rbac::CLUSTER_ROLE,
    &crate::rbac::ROLE_BINDING,
    &crate::rbac::ROLE,
    &crate::resource::DEVICE_CLASS,
    &Rules::of(Kind::cluster(RESOURCE, "devicetaintrules", "DeviceTaintRule").status().generation()),
    &crate::resource::CLAIM,
    &crate::resource::CLAIM_TEMPLATE,
    &crate::resource::SLICE,
    &crate::scheduling::PRIORITY_CLASS,
    &crate::storage::CSI_DRIVER,
    &crate::storage::CSI_NODE,
    &crate::storage::CSI_STORAGE_CAPACITY,
    &crate::storage::STORAGE_CLASS,
    &crate::storage::VOLUME_ATTACHMENT,
    &crate::storage::VOLUME_ATTRIBUTES_CLASS,
    &crate::storagemigration::MIGRATION,
];

thread_local! {
    /// Looked up only, never iterated.
    static BY_GVR: Lookup<Gvr, &'static dyn Strategy> =
        STRATEGIES.iter().map(|s| (s.kind().gvr(), *s as &dyn Strategy)).collect();
}

/// The strategy of a built-in resource.
pub fn strategy(gvr: Gvr) -> Option<&'static dyn Strategy> {
    BY_GVR.with(|table| table.get(&gvr).copied())
}

/// Every built-in resource.
pub fn kinds() -> impl Iterator<Item = &'static dyn Strategy> {
    STRATEGIES.iter().map(|s| *s as &dyn Strategy)
}
