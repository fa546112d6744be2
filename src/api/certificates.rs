//! The certificates group: signing requests. Left out: a request is not parsed beyond its PEM type.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use crate::check::{self, some, text};
use crate::rules::Rules;
use crate::strategy::{Kind, NameRule};

pub static CSR: Rules = Rules {
    new_status: Some(|| value!({})),
    validate: csr,
    // What was asked for stays.
    prepare_update: |new, old| match old.get("spec") {
        Some(spec) => new.set_at(&["spec"], spec),
        None => drop(new.remove_at(&["spec"])),
    },
    subresource: Some(("approval", |new, old| {
        let conditions = new.at(&["status", "conditions"]).cloned();
        crate::meta::keep_all_but_status(new, old);
        match old.get("status") {
            Some(s) => new.set_at(&["status"], s),
            None => drop(new.remove_at(&["status"])),
        }
        if let Some(c) = conditions {
            new.set_at(&["status", "conditions"], c);
        }
    })),
    ..Rules::of(
        Kind::cluster("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest")
            .status()
            .names(NameRule::PathSegment)
            .select(&[("spec.signerName", &["spec", "signerName"])]),
    )
};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

fn csr(obj: &Object, errors: &mut ErrorList) {
    let spec = obj.get("spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    // "-----BEGIN CERTIFICATE REQUEST-----" in base64.
    if !text(spec, "request").starts_with("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0") {
        let shown = some(spec, "request").cloned().unwrap_or_default();
        errors.invalid(&path.child("request"), shown, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages = spec.list_at(&["usages"]);
    let here = path.child("usages");
    if usages.is_empty() {
        errors.required(&here, "");
    }
    for (i, u) in usages.iter().enumerate() {
        check::one_of(u.as_str().unwrap_or(""), &USAGES, &here.index(i), errors);
        if usages[..i].contains(u) {
            errors.duplicate(&here.index(i), u.clone());
        }
    }
    let signer = text(spec, "signerName");
    if signer == "kubernetes.io/legacy-unknown" {
        errors.invalid(&path.child("signerName"), signer, "the legacy signerName is not allowed via this API version");
    } else {
        signer_name(signer, &path.child("signerName"), errors);
    }
    if let Some(n) = some(spec, "expirationSeconds").and_then(Value::as_i64)
        && n < 600
    {
        errors.invalid(&path.child("expirationSeconds"), n, "may not specify a duration less than 600 seconds (10 minutes)");
    }
}

/// `ValidateSignerName`: a domain of two segments at least, and a path.
fn signer_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        return errors.invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
    };
    if domain.split('.').count() < 2 {
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
    }
    for segment in domain.split('.') {
        for wrong in check::dns1123_label(segment).iter() {
            errors.invalid(path, domain, format!("validating label \"{segment}\": {wrong}"));
        }
    }
    for wrong in check::dns1123_subdomain(rest).iter() {
        errors.invalid(path, rest, wrong);
    }
}
