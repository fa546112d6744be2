//! The approving controller: requests of kubelets for a client certificate of their own are approved if whoever asks may have it so.
//! Models `pkg/controller/certificates/approver` (`sarapprove.go`).
//!
//! Two kinds are recognised: a node renews its own certificate, or somebody (a bootstrap token) asks for a node. kube-apiserver is
//! asked by a SubjectAccessReview whether the author may create the subresource `selfnodeclient` or `nodeclient`.

use apimachinery::{Gvr, Object, ObjectKey, Request, Value, jwt, value};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::resources::{CERTIFICATESIGNINGREQUESTS, Res, gvr};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

#[derive(Clone, Default)]
pub struct ApprovingController;

#[derive(Clone)]
pub enum Stage {
    Asked(&'static str),
    Approved,
}

/// Neither approved, denied nor signed.
fn is_open(csr: &Object) -> bool {
    csr.list_at(&["status", "conditions"]).is_empty() && csr.str_at(&["status", "certificate"]).is_none_or(str::is_empty)
}

/// The subresource that its author must be allowed to create, and the words for it. `None`: nothing that is approved by itself.
fn recognise(csr: &Object) -> Option<(&'static str, &'static str)> {
    if csr.str_at(&["spec", "signerName"]) != Some(SIGNER) {
        return None;
    }
    let usages: Vec<&str> = csr.list_at(&["spec", "usages"]).iter().filter_map(Value::as_str).collect();
    let allowed = ["client auth", "digital signature", "key encipherment"];
    if !usages.contains(&"client auth") || usages.iter().any(|u| !allowed.contains(u)) {
        return None;
    }
    let subject = subject(csr)?;
    if !contains(&subject, b"system:nodes") || !contains(&subject, b"system:node:") {
        return None;
    }
    let author = csr.str_at(&["spec", "username"]).unwrap_or("");
    match author.starts_with("system:node:") && contains(&subject, author.as_bytes()) {
        true => Some(("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")),
        false => Some(("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")),
    }
}

/// The DER of the request: its texts are looked for as they stand there.
fn subject(csr: &Object) -> Option<Vec<u8>> {
    let pem = String::from_utf8(jwt::from_standard64(csr.str_at(&["spec", "request"])?)?).ok()?;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    jwt::from_standard64(&body)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|w| w == text)
}

fn review(csr: &Object, subresource: &str) -> Request {
    let extra: Vec<(std::rc::Rc<str>, Value)> =
        csr.at(&["spec", "extra"]).and_then(Value::as_map).map(|m| m.iter().cloned().collect()).unwrap_or_default();
    let mut body = value!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {
            "user": (csr.str_at(&["spec", "username"]).unwrap_or("")), "uid": (csr.str_at(&["spec", "uid"]).unwrap_or("")),
            "groups": (csr.list_at(&["spec", "groups"]).to_vec()),
            "resourceAttributes": {
                "group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create", "version": "*",
                "subresource": subresource
            }
        }
    });
    for (key, values) in extra {
        body.set_at(&["spec", "extra", &key], values);
    }
    Request::create(Gvr::new("authorization.k8s.io", "v1", "subjectaccessreviews"), Object::from_value(body).unwrap_or_default())
}

impl Controller for ApprovingController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        let name = "certificatesigningrequest-approving-controller";
        Info { name, account: "certificate-controller", source: name, workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[CERTIFICATESIGNINGREQUESTS]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if delta.new.as_ref().is_some_and(|csr| is_open(csr) && recognise(csr).is_some()) {
            queue.add(delta.object().key());
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(csr) = ctx.caches.get(CERTIFICATESIGNINGREQUESTS, key).filter(|c| is_open(c)) else { return Plan::Done };
        let Some((subresource, message)) = recognise(csr) else { return Plan::Done };
        Plan::call(
            format!("may {} ask for a node?", csr.str_at(&["spec", "username"]).unwrap_or("")),
            review(csr, subresource),
            Stage::Asked(message),
        )
    }
    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        if let Some(why) = failure_but_not_found(outcomes) {
            return Plan::Retry(why);
        }
        let Stage::Asked(message) = stage else { return Plan::Done };
        let allowed = outcomes.last().and_then(|o| o.ok()).is_some_and(|r| r.bool_at(&["status", "allowed"]) == Some(true));
        let Some(csr) = ctx.caches.get(CERTIFICATESIGNINGREQUESTS, key).filter(|c| is_open(c)) else { return Plan::Done };
        if !allowed {
            return Plan::Retry(format!("recognized csr {:?} but subject access review was not approved", key.name).into());
        }
        let mut approved = csr.clone();
        approved.value_mut().entry(&["status", "conditions"]).list_mut().push(value!({
            "type": "Approved", "status": "True", "reason": "AutoApproved", "message": message
        }));
        let call = Request::update(gvr(CERTIFICATESIGNINGREQUESTS), approved).with_subresource("approval");
        Plan::call(format!("{} is approved", key.name), call, Stage::Approved)
    }
}
