//! `scale`, and tokens of service accounts.

use std::rc::Rc;

use apimachinery::field::{ErrorList, Path};
use apimachinery::status::Status;
use apimachinery::{Body, Gvk, Object, Response, Value, patch, resources, value};
use base::{Duration, Time};

use crate::call::{Call, Plan, Planned};
use crate::scheme::Resource;
use crate::server::ApiServer;
use crate::token::{self, Claims};

/// A bound pod's token that is asked for an hour lives a year on the server. Models `serviceaccount.WarnOnlyBoundTokenExpirationPeriod`.
const EXTENDED_S: i64 = 3607;
const YEAR_S: i64 = 365 * 24 * 3600;

/// The `Scale` of an object.
fn scale_of(resource: &Resource, object: &Object) -> Result<Object, Status> {
    let meta = |name: &str| object.at(&["metadata", name]).cloned().unwrap_or_default();
    let mut v = value!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": (meta("name")), "namespace": (meta("namespace")), "uid": (meta("uid")),
            "resourceVersion": (meta("resourceVersion")), "creationTimestamp": (meta("creationTimestamp"))
        },
        "spec": {}, "status": {"replicas": 0}
    });
    let scale = resource.strategy.scale(object).ok_or_else(super::method_not_allowed)?.map_err(Status::internal)?;
    if scale.spec_replicas != 0 {
        v.set_at(&["spec", "replicas"], scale.spec_replicas);
    }
    v.set_at(&["status", "replicas"], scale.status_replicas);
    if !scale.selector.is_empty() {
        v.set_at(&["status", "selector"], scale.selector);
    }
    Ok(Object::from_value(v).expect("a map was built"))
}

/// The answer with an object's `Scale`.
pub fn scale_response(code: u16, resource: &Resource, object: &Object) -> Response {
    match scale_of(resource, object) {
        Ok(scale) => Response::object(code, scale),
        Err(status) => status.into(),
    }
}

/// Upstream notes no time for what is owned through `scale`. Models `managedfields.ScaleHandler.ToParent`.
fn forget_time(new: &mut Object) {
    for entry in new.value_mut().entry(&["metadata", "managedFields"]).list_mut() {
        if entry.str_at(&["subresource"]) == Some("scale") {
            entry.remove_at(&["time"]);
        }
    }
}

impl ApiServer {
    /// A Scale is written to the object's replicas; all else of it stays.
    pub(super) fn plan_scale(&mut self, call: &mut Call, current: Option<Object>, now: Time) -> Planned {
        let Some(old) = current else { return Err(self.missing(call)) };
        let resource = call.resource.clone();
        let scale = match (&call.request.body, &call.body) {
            (Body::Patch(kind, p), _) => Object::from_value(patch::apply(*kind, scale_of(&resource, &old)?.value(), p, None)?),
            (_, body) => body.clone(),
        };
        let scale = scale.ok_or_else(|| Status::bad_request("an empty body is no object"))?;
        let given = scale.resource_version();
        if !given.is_empty() && given != old.resource_version() {
            return Err(Status::modified(resource.gvr, &call.name));
        }
        let replicas = scale.int_at(&["spec", "replicas"]).unwrap_or(0);
        // Of a custom resource its own rules say that, see below.
        if replicas < 0 && resource.custom.is_none() {
            let mut errors = ErrorList::new();
            errors.invalid(&Path::new("spec").child("replicas"), replicas, "must be greater than or equal to 0");
            return Err(Status::invalid(Gvk::new("autoscaling", "v1", "Scale"), &call.name, &errors));
        }
        let mut new = old.clone();
        if !resource.strategy.set_replicas(&mut new, replicas) {
            return Err(super::method_not_allowed());
        }
        call.stored.strategy.prepare_for_update(&mut new, &old);
        if new != old {
            crate::fields::track(call, &mut new, Some(&old), now);
            forget_time(&mut new);
        }
        if resource.custom.is_some() {
            let mut errors = ErrorList::new();
            resource.strategy.validate_update(&new, &old, &mut errors);
            if !errors.is_empty() {
                return Err(Status::invalid(resource.gvk, &call.name, &errors));
            }
        }
        let mut plan = self.update_write(call, new, old.clone(), Vec::new(), now);
        if let Plan::Answer(response) = &mut plan {
            *response = scale_response(200, &resource, &old);
        }
        Ok(plan)
    }

    /// `serviceaccounts/token`: nothing is stored.
    pub(super) fn plan_token(&mut self, call: &mut Call, current: Option<Object>, now: Time) -> Planned {
        let Some(account) = current else { return Err(self.missing(call)) };
        let mut request = call.body.clone().unwrap_or_default();
        request.set_at(&["apiVersion"], "authentication.k8s.io/v1");
        request.set_at(&["kind"], "TokenRequest");
        if request.at(&["spec", "expirationSeconds"]).is_none() {
            request.set_at(&["spec", "expirationSeconds"], 3600);
        }
        crate::fields::track_as(call, "authentication.k8s.io/v1", &mut request, now);
        let managed = request.at(&["metadata", "managedFields"]).cloned();
        let seconds = request.int_at(&["spec", "expirationSeconds"]).unwrap_or(3600);
        check_expiration(seconds)?;
        let mut audiences: Vec<Rc<str>> =
            request.list_at(&["spec", "audiences"]).iter().filter_map(Value::as_rc_str).cloned().collect();
        if audiences.is_empty() {
            audiences.push(self.config.issuer.clone());
        }
        let bound = self.bound_object(&request, &account)?;
        let for_pod = bound.as_ref().is_some_and(|b| &*b.0 == "Pod");
        let node = bound.as_ref().filter(|_| for_pod).and_then(|b| self.node_of_pod(account.namespace(), &b.1));
        let extended = for_pod && seconds == EXTENDED_S && audiences.contains(&self.config.issuer);
        let n = self.draw();
        let claims = Claims {
            namespace: account.namespace().into(),
            service_account: account.name().into(),
            service_account_uid: account.uid().into(),
            audiences: audiences.clone(),
            issued: now,
            expires: now + Duration::from_secs(if extended { YEAR_S } else { seconds }),
            id: self.config.seed.derive("token").uuid(n).into(),
            bound,
            node,
        };
        let token = token::sign(self.config.seed, &self.config.issuer, &claims);
        request.set_at(&["metadata"], value!({
            "name": (account.name()), "namespace": (account.namespace()), "uid": (account.uid()), "creationTimestamp": (now.rfc3339())
        }));
        if let Some(managed) = managed {
            request.set_at(&["metadata", "managedFields"], managed);
        }
        request.set_at(&["spec", "audiences"], audiences.iter().map(Value::from).collect::<Vec<_>>());
        request.set_at(&["spec", "expirationSeconds"], seconds);
        if request.at(&["spec", "boundObjectRef"]).is_none() {
            request.set_at(&["spec", "boundObjectRef"], Value::Null);
        }
        let expires = now + Duration::from_secs(seconds);
        request.set_at(&["status"], value!({"token": token, "expirationTimestamp": (expires.rfc3339())}));
        Ok(Plan::Answer(Response::object(201, request)))
    }

    /// Kind, name and uid of what a token is bound to.
    fn bound_object(&self, request: &Object, account: &Object) -> Result<Option<(Rc<str>, Rc<str>, Rc<str>)>, Status> {
        let Some(reference) = request.at(&["spec", "boundObjectRef"]).filter(|r| !r.is_null()) else { return Ok(None) };
        let text = |name: &str| reference.str_at(&[name]).unwrap_or("");
        let (gvr, namespace) = match (text("apiVersion"), text("kind")) {
            ("v1", "Pod") => (resources::pods(), account.namespace()),
            ("v1", "Secret") => (resources::secrets(), account.namespace()),
            ("v1", "Node") => (resources::nodes(), ""),
            (version, kind) => {
                let gvk = Gvk::from_api_version(version, kind);
                let shown = if version.contains('/') { gvk.to_string() } else { format!("/{gvk}") };
                return Err(Status::bad_request(format!("cannot bind token to object of type {shown}")));
            }
        };
        let object = self.peek(gvr, namespace, text("name")).ok_or_else(|| Status::not_found(gvr, text("name")))?;
        let other = text("kind") == "Pod" && object.str_at(&["spec", "serviceAccountName"]) != Some(account.name());
        if other {
            let why = format!(
                "cannot bind token for serviceaccount \"{}\" to pod running with different serviceaccount name.",
                account.name()
            );
            return Err(Status::forbidden(resources::serviceaccounts(), account.name(), &why));
        }
        let uid = text("uid");
        if !uid.is_empty() && uid != object.uid() {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(gvr, object.name(), &why));
        }
        Ok(Some((text("kind").into(), object.name().into(), object.uid().into())))
    }

    fn node_of_pod(&self, namespace: &str, pod: &str) -> Option<(Rc<str>, Rc<str>)> {
        let node = crate::cache::node_name(self.peek(resources::pods(), namespace, pod)?)?;
        let uid = self.peek(resources::nodes(), "", node).map_or("", Object::uid);
        Some((node.clone(), uid.into()))
    }
}

fn check_expiration(seconds: i64) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let spec = Path::new("spec");
    let path = spec.child("expirationSeconds");
    if seconds < 600 {
        errors.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(Gvk::new("authentication.k8s.io", "v1", "TokenRequest"), "", &errors))
}
