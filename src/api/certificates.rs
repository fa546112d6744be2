//! The certificates group: signing requests. Models `pkg/apis/certificates/validation`. Left out: requests and certificates are not
//! parsed beyond their PEM type.

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
    reset_fields: Some(&[&["spec"], &["status"]]),
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
    update: |new, old, errors| conditions_kept(new, old, Endpoint::Object, errors),
    status: |new, old, errors| {
        csr(new, errors);
        conditions_kept(new, old, Endpoint::Status, errors);
    },
    subresource_update: |new, old, errors| {
        csr(new, errors);
        conditions_kept(new, old, Endpoint::Approval, errors);
    },
    ..Rules::of(
        Kind::cluster("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest")
            .status()
            .names(NameRule::PathSegment)
            .select(&[("spec.signerName", &["spec", "signerName"])]),
    )
};

/// Where an update comes in, which decides what it may change.
#[derive(Clone, Copy, PartialEq)]
enum Endpoint {
    Object,
    Status,
    Approval,
}

/// A decision stays: `Approved` and `Denied` are added through `approval` only, and nothing takes back what was said.
fn conditions_kept(new: &Object, old: &Object, endpoint: Endpoint, errors: &mut ErrorList) {
    let status = Path::new("status");
    let path = status.child("conditions");
    let of = |csr: &Object, kind: &str| -> Vec<Value> {
        let all = csr.list_at(&["status", "conditions"]).iter();
        all.filter(|c| c.str_at(&["type"]) == Some(kind)).cloned().collect()
    };
    for kind in ["Approved", "Denied", "Failed"] {
        let (before, after) = (of(old, kind), of(new, kind));
        let what = match before.len().cmp(&after.len()) {
            std::cmp::Ordering::Greater => "remove",
            std::cmp::Ordering::Less if endpoint != Endpoint::Approval && kind != "Failed" => "add",
            std::cmp::Ordering::Equal if before != after => "modify",
            _ => continue,
        };
        errors.forbidden(&path, format!("updates may not {what} a condition of type {kind:?}"));
    }
    let certificate = |csr: &Object| csr.str_at(&["status", "certificate"]).unwrap_or("").to_string();
    let (before, after) = (certificate(old), certificate(new));
    let path = status.child("certificate");
    if before != after && endpoint != Endpoint::Status {
        errors.forbidden(&path, "updates may not set certificate content");
    } else if before != after && !before.is_empty() {
        errors.forbidden(&path, "updates may not modify existing certificate content");
    }
}

/// Each condition once, of a status that says yes, and no two that contradict each other.
fn conditions(obj: &Object, errors: &mut ErrorList) {
    let status = Path::new("status");
    let path = status.child("conditions");
    let all = obj.list_at(&["status", "conditions"]);
    for (i, c) in all.iter().enumerate() {
        let (here, kind, says) = (path.index(i), text(c, "type"), text(c, "status"));
        if kind.is_empty() {
            errors.required(&here.child("type"), "");
        }
        let allowed: &[&str] =
            if matches!(kind, "Approved" | "Denied" | "Failed") { &["True"] } else { &["False", "True", "Unknown"] };
        if says.is_empty() {
            errors.required(&here.child("status"), "");
        } else {
            check::one_of(says, allowed, &here.child("status"), errors);
        }
        let before = |wanted: &str| all[..i].iter().any(|c| text(c, "type") == wanted);
        if (kind == "Approved" && before("Denied")) || (kind == "Denied" && before("Approved")) {
            errors.invalid(&here.child("type"), kind, "Approved and Denied conditions are mutually exclusive");
        }
        if before(kind) {
            errors.duplicate(&here.child("type"), kind);
        }
    }
}

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
    conditions(obj, errors);
    // "-----BEGIN CERTIFICATE-----" in base64.
    let certificate = obj.str_at(&["status", "certificate"]).unwrap_or("");
    if !certificate.is_empty() && !certificate.starts_with("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t") {
        let status = Path::new("status");
        let path = status.child("certificate");
        errors.invalid(&path, "<certificate data>", "must contain at least one CERTIFICATE PEM block");
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
