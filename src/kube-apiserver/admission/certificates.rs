//! CertificateApproval, CertificateSigning, CertificateSubjectRestriction: who may approve and sign for a signer, and that nobody
//! is certified into `system:masters`.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Object, Verb, key, resources};
use base::Sym;

use super::{Attributes, Extra, Plugin};
use crate::authz::{self, Decision};
use crate::server::ApiServer;

pub struct CertificateApproval;
pub struct CertificateSigning;
pub struct CertificateSubjectRestriction;

/// Whether a user may `verb` the signer of a request: by its own name, or by `domain/*`.
fn may(server: &ApiServer, a: &Attributes, verb: &str, signer: &str) -> bool {
    let wildcard = format!("{}/*", signer.split('/').next().unwrap_or(""));
    [signer, &wildcard].into_iter().any(|name| {
        let attributes = authz::Attributes {
            user: a.user.clone(),
            verb: key(verb),
            group: key("certificates.k8s.io"),
            resource: Sym::new("signers"),
            subresource: Sym::default(),
            version: Sym::new("*"),
            namespace: key(""),
            name: Rc::from(name),
            path: key(""),
            node_selector: None,
        };
        matches!(server.decide(&attributes), Decision::Allow(_))
    })
}

fn signer(object: Option<&Object>) -> &str {
    object.and_then(|o| o.str_at(&["spec", "signerName"])).unwrap_or("")
}

impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if a.gvr != resources::certificatesigningrequests() || a.subresource != *"approval" {
            return Ok(());
        }
        let signer = signer(a.old.as_ref());
        if may(server, a, "approve", signer) {
            Ok(())
        } else {
            Err(a.forbidden(format!("user not permitted to approve requests with signerName \"{signer}\"")))
        }
    }
}

impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if a.gvr != resources::certificatesigningrequests() || a.subresource != *"status" {
            return Ok(());
        }
        let certificate = |o: Option<&Object>| o.and_then(|o| o.at(&["status", "certificate"]).cloned());
        if certificate(Some(&a.object)) == certificate(a.old.as_ref()) {
            return Ok(());
        }
        let signer = signer(a.old.as_ref());
        if may(server, a, "sign", signer) {
            Ok(())
        } else {
            Err(a.forbidden(format!("user not permitted to sign requests with signerName \"{signer}\"")))
        }
    }
}

impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }
    fn validate(&self, _server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if !a.creates(resources::certificatesigningrequests())
            || a.verb != Verb::Create
            || signer(Some(&a.object)) != "kubernetes.io/kube-apiserver-client"
        {
            return Ok(());
        }
        // The request is DER in PEM in base64: the group's name stands in it as it is.
        let text = a.object.str_at(&["spec", "request"]).and_then(crate::authn::standard64).unwrap_or_default();
        let der: String = String::from_utf8_lossy(&text).lines().filter(|l| !l.starts_with("---")).collect();
        let der = crate::authn::standard64(&der).unwrap_or_default();
        if der.windows(14).any(|w| w == b"system:masters") {
            return Err(a.forbidden("use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"));
        }
        Ok(())
    }
}
