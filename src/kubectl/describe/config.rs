//! ConfigMaps, Secrets, ServiceAccounts, certificate requests, priority classes.

use apimachinery::{Object, Value};

use super::{Writer, format_labels, or_none, rfc1123, show};
use crate::base64;
use crate::printers::table::human;

pub(super) fn configmap(map: &Object, w: &mut Writer) {
    w.head(map);
    w.labels(map);
    w.annotations(map);
    w.out.push_str("\nData\n====\n");
    for (k, v) in map.map_at(&["data"]).into_iter().flat_map(|m| m.iter()) {
        w.out.push_str(&format!("{k}:\n----\n{}\n\n", v.as_str().unwrap_or("")));
    }
    w.out.push_str("\nBinaryData\n====\n");
    for (k, v) in map.map_at(&["binaryData"]).into_iter().flat_map(|m| m.iter()) {
        let len = v.as_str().and_then(base64::decode).map_or(0, |b| b.len());
        w.out.push_str(&format!("{k}: {len} bytes\n"));
    }
    w.out.push('\n');
}

pub(super) fn secret(secret: &Object, w: &mut Writer) {
    w.head(secret);
    w.labels(secret);
    w.annotations(secret);
    let kind = secret.str_at(&["type"]).unwrap_or("");
    w.out.push_str(&format!("\nType:\t{kind}\n\nData\n====\n"));
    for (k, v) in secret.map_at(&["data"]).into_iter().flat_map(|m| m.iter()) {
        let bytes = v.as_str().and_then(base64::decode).unwrap_or_default();
        match &**k == "token" && kind == "kubernetes.io/service-account-token" {
            true => w.field(0, k, String::from_utf8_lossy(&bytes)),
            false => w.field(0, k, format!("{} bytes", bytes.len())),
        }
    }
}

pub(super) fn serviceaccount(account: &Object, w: &mut Writer) {
    w.head(account);
    w.labels(account);
    w.annotations(account);
    let names: Vec<&str> = account.list_at(&["imagePullSecrets"]).iter().filter_map(|s| s.str_at(&["name"])).collect();
    if names.is_empty() {
        return w.field(0, "Image pull secrets", "<none>");
    }
    for (i, name) in names.iter().enumerate() {
        w.line(0, if i == 0 { format!("Image pull secrets:\t{name}") } else { format!("                   \t{name}") });
    }
}

pub(super) fn csr(csr: &Object, w: &mut Writer) {
    w.field(0, "Name", csr.name());
    w.field(0, "Labels", format_labels(csr.at(&["metadata", "labels"])));
    w.field(0, "Annotations", format_labels(csr.at(&["metadata", "annotations"])));
    w.field(0, "CreationTimestamp", rfc1123(csr.str_at(&["metadata", "creationTimestamp"])));
    w.field(0, "Requesting User", csr.str_at(&["spec", "username"]).unwrap_or(""));
    w.field(0, "Signer", csr.str_at(&["spec", "signerName"]).unwrap_or(""));
    if let Some(seconds) = csr.int_at(&["spec", "expirationSeconds"]) {
        w.field(0, "Requested Duration", human(base::Duration::from_secs(seconds)));
    }
    let kinds = |c: &Value| c.str_at(&["type"]).unwrap_or("").to_string();
    let conditions: Vec<String> = csr.list_at(&["status", "conditions"]).iter().map(kinds).collect();
    let mut status = if conditions.is_empty() { "Pending".to_string() } else { conditions.join(",") };
    if csr.str_at(&["status", "certificate"]).is_some_and(|c| !c.is_empty()) {
        status.push_str(",Issued");
    }
    w.field(0, "Status", status);
}

pub(super) fn priorityclass(class: &Object, w: &mut Writer) {
    w.field(0, "Name", class.name());
    w.field(0, "Value", class.int_at(&["value"]).unwrap_or(0).to_string());
    w.field(0, "GlobalDefault", class.bool_at(&["globalDefault"]).unwrap_or(false).to_string());
    w.field(0, "PreemptionPolicy", show(class.get("preemptionPolicy")));
    w.field(0, "Description", class.str_at(&["description"]).unwrap_or(""));
    w.field(0, "Annotations", or_none(format_labels(class.at(&["metadata", "annotations"]))));
}
