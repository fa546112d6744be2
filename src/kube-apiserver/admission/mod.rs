//! Admission: what is done to, and demanded of, an object beyond its own validity. One plugin a file, one line in [`PLUGINS`].
//!
//! Models `kube-apiserver/pkg/admission` and `plugin/pkg/admission`. Plugins run in upstream's order, first all that change the
//! object, later (after validation) all that only judge it. Webhooks and admission policies (CEL) are stored but not called: a
//! warning on their creation says so.

mod certificates;
mod default_storage_class;
mod default_toleration_seconds;
mod ingress_class;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod not_enforced;
mod owner_permission;
mod pod_security;
mod priority;
mod pvc_resize;
mod rbac_escalation;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_protection;
mod taint_nodes;

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Gvk, Gvr, Object, UserInfo, Verb};
use base::Sym;
use etcd_api::{Compare, Op};

use crate::call::Call;
use crate::config::Config;
use crate::server::ApiServer;
use crate::stages::Stages;

/// What is to be admitted. Models `admission.Attributes`.
pub struct Attributes {
    pub verb: Verb,
    pub gvr: Gvr,
    pub kind: Gvk,
    pub subresource: Sym,
    pub namespace: Rc<str>,
    pub name: Rc<str>,
    /// The new object; empty for a deletion.
    pub object: Object,
    pub old: Option<Object>,
    pub user: Rc<UserInfo>,
    pub dry_run: bool,
    pub warnings: Vec<String>,
    pub mutated_by: Vec<&'static str>,
}

impl Attributes {
    pub fn new(call: &Call, verb: Verb, object: Object, old: Option<Object>) -> Attributes {
        Attributes {
            verb,
            gvr: call.resource.gvr,
            kind: call.resource.gvk,
            subresource: call.request.subresource,
            namespace: call.request.namespace.clone(),
            name: call.name.clone(),
            object,
            old,
            user: call.user.clone(),
            dry_run: call.dry_run(),
            warnings: Vec::new(),
            mutated_by: Vec::new(),
        }
    }
    pub fn take_object(&mut self) -> Object {
        std::mem::take(&mut self.object)
    }
    pub fn into_object(self) -> Object {
        self.object
    }
    /// A creation of the resource itself.
    pub fn creates(&self, gvr: Gvr) -> bool {
        self.verb == Verb::Create && self.gvr == gvr && self.subresource.is_empty()
    }
    /// A change of the resource itself.
    pub fn updates(&self, gvr: Gvr) -> bool {
        self.verb == Verb::Update && self.gvr == gvr && self.subresource.is_empty()
    }
    pub fn forbidden(&self, why: impl AsRef<str>) -> Status {
        let name = if self.name.is_empty() { self.object.name() } else { &self.name };
        let name = if name.is_empty() { "Unknown" } else { name };
        Status::forbidden(self.gvr, name, why.as_ref())
    }
}

/// Further writes of the same transaction.
pub type Extra = Vec<(Compare, Op)>;

/// An admission plugin.
pub trait Plugin: Sync {
    fn name(&self) -> &'static str;
    fn on_by_default(&self) -> bool {
        true
    }
    /// Changes the object; refuses it.
    fn admit(&self, _server: &ApiServer, _a: &mut Attributes) -> Result<(), Status> {
        Ok(())
    }
    /// Judges the object as it would be stored.
    fn validate(&self, _server: &ApiServer, _a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        Ok(())
    }
}

/// In upstream's order.
static PLUGINS: &[&dyn Plugin] = &[
    &namespace_lifecycle::NamespaceLifecycle,
    &limit_ranger::LimitRanger,
    &service_account::ServiceAccount,
    &node_restriction::NodeRestriction,
    &taint_nodes::TaintNodesByCondition,
    &pod_security::PodSecurity,
    &priority::Priority,
    &default_toleration_seconds::DefaultTolerationSeconds,
    &default_storage_class::DefaultStorageClass,
    &storage_protection::StorageObjectInUseProtection,
    &owner_permission::OwnerReferencesPermissionEnforcement,
    &pvc_resize::PersistentVolumeClaimResize,
    &runtime_class::RuntimeClass,
    &certificates::CertificateApproval,
    &certificates::CertificateSigning,
    &certificates::CertificateSubjectRestriction,
    &ingress_class::DefaultIngressClass,
    &not_enforced::NotEnforced,
    &rbac_escalation::RbacEscalation,
    &resource_quota::ResourceQuota,
];

/// Those that run, found once for all requests.
pub fn enabled(config: &Config) -> Rc<[&'static dyn Plugin]> {
    PLUGINS.iter().copied().filter(|p| config.admission_enabled(p.name(), p.on_by_default())).collect()
}

/// Lets every plugin change the object.
pub fn mutate(server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
    for plugin in server.admission.iter() {
        let before = a.object.clone();
        plugin.admit(server, a)?;
        if !a.object.ptr_eq(&before) {
            a.mutated_by.push(plugin.name());
        }
    }
    Ok(())
}

/// Takes over what the plugins said beside the object.
pub fn refine(call: &mut Call, a: &mut Attributes) {
    call.stages.mutated_by = std::mem::take(&mut a.mutated_by);
    for text in a.warnings.drain(..) {
        call.warn(text);
    }
}

/// Lets every plugin judge the object.
pub fn validate(server: &ApiServer, a: &Attributes, extra: &mut Extra, stages: &mut Stages) -> Result<(), Status> {
    for plugin in server.admission.iter() {
        if let Err(status) = plugin.validate(server, a, extra) {
            stages.refused_by = Some(plugin.name());
            return Err(status);
        }
    }
    Ok(())
}
