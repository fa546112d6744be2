//! The columns of every kind's server-side Table. Generic kinds have Name and Created At.

use std::borrow::Cow;

/// A column of a Table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: Cow<'static, str>,
    /// `string`, `integer`, `number`, `boolean`, `date`
    pub kind: Cow<'static, str>,
    /// `name` or empty.
    pub format: Cow<'static, str>,
    /// Of custom resources only; those of built-in kinds are not carried over.
    pub description: Cow<'static, str>,
    /// 1: only in wide output.
    pub priority: i64,
}

const fn col(name: &'static str, kind: &'static str, format: &'static str, priority: i64) -> Column {
    Column {
        name: Cow::Borrowed(name),
        kind: Cow::Borrowed(kind),
        format: Cow::Borrowed(format),
        description: Cow::Borrowed(""),
        priority,
    }
}
const fn s(name: &'static str) -> Column {
    col(name, "string", "", 0)
}
const fn n(name: &'static str) -> Column {
    col(name, "string", "name", 0)
}
const fn i(name: &'static str) -> Column {
    col(name, "integer", "", 0)
}
const fn b(name: &'static str) -> Column {
    col(name, "boolean", "", 0)
}
const fn w(name: &'static str) -> Column {
    col(name, "string", "", 1)
}

/// The columns of a resource of a group.
#[rustfmt::skip]
pub fn of(group: &str, resource: &str) -> &'static [Column] {
    match (group, resource) {
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => const { &[n("Name"), i("Mutations"), s("ParamKind"), s("Age")] },
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings") | ("admissionregistration.k8s.io", "validatingadmissionpolicybindings") => const { &[n("Name"), s("PolicyName"), s("ParamRef"), s("Age")] },
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations") | ("admissionregistration.k8s.io", "validatingwebhookconfigurations") => const { &[n("Name"), i("Webhooks"), s("Age")] },
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => const { &[n("Name"), i("Validations"), s("ParamKind"), s("Age")] },
        ("apiextensions.k8s.io", "customresourcedefinitions") => const { &[n("Name"), s("Scope"), s("Versions"), col("Created At", "date", "", 0), w("Group"), w("Kind"), w("ShortNames"), col("Established", "boolean", "", 1)] },
        ("apiregistration.k8s.io", "apiservices") => const { &[n("Name"), s("Service"), s("Available"), s("Age")] },
        ("apps", "controllerrevisions") => const { &[n("Name"), s("Controller"), s("Revision"), s("Age")] },
        ("apps", "daemonsets") => const { &[n("Name"), i("Desired"), i("Current"), i("Ready"), i("Up-to-date"), i("Available"), s("Node Selector"), s("Age"), w("Containers"), w("Images"), w("Selector")] },
        ("apps", "deployments") => const { &[n("Name"), s("Ready"), s("Up-to-date"), s("Available"), s("Age"), w("Containers"), w("Images"), w("Selector")] },
        ("", "replicationcontrollers") | ("apps", "replicasets") => const { &[n("Name"), i("Desired"), i("Current"), i("Ready"), s("Age"), w("Containers"), w("Images"), w("Selector")] },
        ("apps", "statefulsets") => const { &[n("Name"), s("Ready"), s("Age"), w("Containers"), w("Images")] },
        ("autoscaling", "horizontalpodautoscalers") => const { &[n("Name"), s("Reference"), s("Targets"), s("MinPods"), s("MaxPods"), s("Replicas"), s("Age")] },
        ("batch", "cronjobs") => const { &[n("Name"), s("Schedule"), s("Timezone"), b("Suspend"), i("Active"), s("Last Schedule"), s("Age"), w("Containers"), w("Images"), w("Selector")] },
        ("batch", "jobs") => const { &[n("Name"), s("Status"), s("Completions"), s("Duration"), s("Age"), w("Containers"), w("Images"), w("Selector")] },
        ("certificates.k8s.io", "certificatesigningrequests") => const { &[n("Name"), s("Age"), s("SignerName"), s("Requestor"), s("RequestedDuration"), s("Condition")] },
        ("certificates.k8s.io", "clustertrustbundles") => const { &[n("Name"), s("SignerName")] },
        ("certificates.k8s.io", "podcertificaterequests") => const { &[n("Name"), s("PodName"), s("ServiceAccountName"), s("NodeName"), s("SignerName"), s("State"), s("UnverifiedUserAnnotations")] },
        ("coordination.k8s.io", "leases") => const { &[n("Name"), s("Holder"), s("Age")] },
        ("discovery.k8s.io", "endpointslices") => const { &[n("Name"), s("AddressType"), s("Ports"), s("Endpoints"), s("Age")] },
        ("", "events") | ("events.k8s.io", "events") => const { &[s("Last Seen"), s("Type"), s("Reason"), s("Object"), w("Subobject"), w("Source"), s("Message"), w("First Seen"), w("Count"), col("Name", "string", "name", 1)] },
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => const { &[n("Name"), s("PriorityLevel"), s("MatchingPrecedence"), s("DistinguisherMethod"), s("Age"), s("MissingPL")] },
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => const { &[n("Name"), s("Type"), s("NominalConcurrencyShares"), s("Queues"), s("HandSize"), s("QueueLengthLimit"), s("Age")] },
        ("networking.k8s.io", "ingressclasses") => const { &[n("Name"), s("Controller"), s("Parameters"), s("Age")] },
        ("networking.k8s.io", "ingresses") => const { &[n("Name"), s("Class"), s("Hosts"), s("Address"), s("Ports"), s("Age")] },
        ("networking.k8s.io", "ipaddresses") => const { &[n("Name"), s("ParentRef")] },
        ("networking.k8s.io", "networkpolicies") => const { &[n("Name"), s("Pod-Selector"), s("Age")] },
        ("networking.k8s.io", "servicecidrs") => const { &[n("Name"), s("CIDRs"), s("Age")] },
        ("node.k8s.io", "runtimeclasses") => const { &[n("Name"), s("Handler"), s("Age")] },
        ("policy", "poddisruptionbudgets") => const { &[n("Name"), s("Min Available"), s("Max Unavailable"), i("Allowed Disruptions"), s("Age")] },
        ("rbac.authorization.k8s.io", "clusterrolebindings") | ("rbac.authorization.k8s.io", "rolebindings") => const { &[n("Name"), s("Role"), s("Age"), w("Users"), w("Groups"), w("ServiceAccounts")] },
        ("", "serviceaccounts") | ("resource.k8s.io", "deviceclasses") | ("resource.k8s.io", "resourceclaimtemplates") => const { &[n("Name"), s("Age")] },
        ("resource.k8s.io", "devicetaintrules") => const { &[n("Name"), s("Key"), s("Value"), s("Effect"), s("TimeAdded"), s("Age")] },
        ("resource.k8s.io", "resourceclaims") => const { &[n("Name"), s("State"), s("Age")] },
        ("resource.k8s.io", "resourceslices") => const { &[n("Name"), s("Node"), s("Driver"), s("Pool"), s("Age")] },
        ("scheduling.k8s.io", "priorityclasses") => const { &[n("Name"), i("Value"), b("Global-Default"), s("Age"), s("PreemptionPolicy")] },
        ("storage.k8s.io", "csidrivers") => const { &[n("Name"), b("AttachRequired"), b("PodInfoOnMount"), b("StorageCapacity"), s("TokenRequests"), b("RequiresRepublish"), s("Modes"), s("Age")] },
        ("storage.k8s.io", "csinodes") => const { &[n("Name"), i("Drivers"), s("Age")] },
        ("storage.k8s.io", "storageclasses") => const { &[n("Name"), s("Provisioner"), s("ReclaimPolicy"), s("VolumeBindingMode"), s("AllowVolumeExpansion"), s("Age")] },
        ("storage.k8s.io", "volumeattachments") => const { &[n("Name"), n("Attacher"), s("PV"), s("Node"), b("Attached"), s("Age")] },
        ("storage.k8s.io", "volumeattributesclasses") => const { &[n("Name"), s("DriverName"), s("Age")] },
        ("storagemigration.k8s.io", "storageversionmigrations") => const { &[s("Name"), s("Resource"), s("Status")] },
        ("", "componentstatuses") => const { &[n("Name"), s("Status"), s("Message"), s("Error")] },
        ("", "configmaps") => const { &[n("Name"), s("Data"), s("Age")] },
        ("", "endpoints") => const { &[n("Name"), s("Endpoints"), s("Age")] },
        ("", "namespaces") => const { &[n("Name"), s("Status"), s("Age")] },
        ("", "nodes") => const { &[n("Name"), s("Status"), s("Roles"), s("Age"), s("Version"), w("Internal-IP"), w("External-IP"), w("OS-Image"), w("Kernel-Version"), w("Container-Runtime")] },
        ("", "persistentvolumeclaims") => const { &[n("Name"), s("Status"), s("Volume"), s("Capacity"), s("Access Modes"), s("StorageClass"), s("VolumeAttributesClass"), s("Age"), w("VolumeMode")] },
        ("", "persistentvolumes") => const { &[n("Name"), s("Capacity"), s("Access Modes"), s("Reclaim Policy"), s("Status"), s("Claim"), s("StorageClass"), s("VolumeAttributesClass"), s("Reason"), s("Age"), w("VolumeMode")] },
        ("", "pods") => const { &[n("Name"), s("Ready"), s("Status"), s("Restarts"), s("Age"), w("IP"), w("Node"), w("Nominated Node"), w("Readiness Gates")] },
        ("", "podtemplates") => const { &[n("Name"), s("Containers"), s("Images"), s("Pod Labels")] },
        ("", "resourcequotas") => const { &[n("Name"), s("Request"), s("Limit"), s("Age")] },
        ("", "secrets") => const { &[n("Name"), s("Type"), s("Data"), s("Age")] },
        ("", "services") => const { &[n("Name"), s("Type"), s("Cluster-IP"), s("External-IP"), s("Port(s)"), s("Age"), w("Selector")] },
        _ => const { &[n("Name"), col("Created At", "date", "", 0)] },
    }
}
