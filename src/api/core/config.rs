//! ConfigMaps, Secrets, ServiceAccounts and PodTemplates.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Object, Value, value};

use super::pod::{self, defaults};
use crate::check;
use crate::edit::Edit;
use crate::rules::Rules;
use crate::strategy::Kind;

/// All data of a ConfigMap or Secret together.
const MAX_SIZE: usize = 1024 * 1024;

pub static CONFIG_MAP: Rules = Rules {
    validate: config_map,
    update: |new, old, errors| immutable(new, old, &["binaryData", "data"], errors),
    ..Rules::of(Kind::namespaced("", "configmaps", "ConfigMap"))
};

/// The bytes that base64 text stands for.
fn decoded_len(text: &str) -> usize {
    let text = text.trim_end_matches('=');
    text.len() * 3 / 4
}

fn config_map(obj: &Object, errors: &mut ErrorList) {
    let mut size = 0;
    let (data, binary) = (Path::new("data"), Path::new("binaryData"));
    for (key, v) in obj.map_at(&["data"]).into_iter().flatten() {
        check::config_map_key(key).report(errors, &data.key(key), key);
        if obj.map_at(&["binaryData"]).is_some_and(|b| b.contains_key(key)) {
            errors.invalid(&data.key(key), &**key, "duplicate of key present in binaryData");
        }
        size += v.as_str().map_or(0, str::len);
    }
    for (key, v) in obj.map_at(&["binaryData"]).into_iter().flatten() {
        check::config_map_key(key).report(errors, &binary.key(key), key);
        size += v.as_str().map_or(0, decoded_len);
    }
    if size > MAX_SIZE {
        errors.too_long(&Path::new("[]"), MAX_SIZE);
    }
}

/// What is marked immutable stays so, with its data.
fn immutable(new: &Object, old: &Object, fields: &[&str], errors: &mut ErrorList) {
    if old.bool_at(&["immutable"]) != Some(true) {
        return;
    }
    if new.bool_at(&["immutable"]) != Some(true) {
        errors.forbidden(&Path::new("immutable"), "field is immutable when `immutable` is set");
    }
    for field in fields {
        if !check::same(new.get(field), old.get(field)) {
            errors.forbidden(&Path::new(field), "field is immutable when `immutable` is set");
        }
    }
}

pub static SECRET: Rules = Rules {
    default: secret_defaults,
    validate: secret,
    update_validates_all: false,
    update: |new, old, errors| {
        check::immutable(new.get("type"), old.get("type"), &Path::new("type"), errors);
        immutable(new, old, &["data"], errors);
        secret(new, errors);
    },
    warnings: |new, old, out| {
        let pem = new.str_at(&["data", "tls.crt"]).is_some_and(|d| !d.starts_with("LS0tLS1CRUdJTi"));
        if old.is_none() && new.str_at(&["type"]) == Some("kubernetes.io/tls") && pem {
            out.push("tls: failed to find any PEM data in certificate input".into());
        }
    },
    ..Rules::of(Kind::namespaced("", "secrets", "Secret").select(&[("type", &["type"])]))
};

/// `stringData` is written only: it goes into `data`.
fn secret_defaults(e: &mut Edit) {
    e.default_sym("type", "Opaque");
    let Some(plain) = e.get("stringData").cloned() else { return };
    e.remove("stringData");
    if plain.is_empty() {
        return;
    }
    e.sub_or_new("data", |data| {
        let mut merged = data.value().clone();
        for (k, v) in plain.as_map().into_iter().flatten() {
            merged.map_mut().insert(k.clone(), base64(v.as_str().unwrap_or("").as_bytes()));
        }
        data.replace(merged);
    });
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n =
            (u32::from(chunk[0]) << 16) | (u32::from(*chunk.get(1).unwrap_or(&0)) << 8) | u32::from(*chunk.get(2).unwrap_or(&0));
        for i in 0..4 {
            let last = i > chunk.len();
            out.push(if last { '=' } else { ALPHABET[(n >> (18 - 6 * i)) as usize & 63] as char });
        }
    }
    out
}

/// The text that base64 stands for; what is no text in it is replaced.
fn decode(text: &str) -> Option<String> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut out = Vec::new();
    let (mut bits, mut n) = (0u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | u32::from(value(c)?);
        n += 6;
        if n >= 8 {
            n -= 8;
            out.push((bits >> n) as u8);
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn secret(obj: &Object, errors: &mut ErrorList) {
    let path = Path::new("data");
    let data = obj.map_at(&["data"]);
    let mut size = 0;
    for (key, v) in data.into_iter().flatten() {
        check::config_map_key(key).report(errors, &path.key(key), key);
        size += v.as_str().map_or(0, decoded_len);
    }
    if size > MAX_SIZE {
        errors.too_long(&path, MAX_SIZE);
    }
    let has = |key: &str| data.is_some_and(|d| d.contains_key(key));
    let mut need = |keys: &[&str]| {
        for key in keys.iter().filter(|k| !has(k)) {
            errors.required(&path.key(key), "");
        }
    };
    match obj.str_at(&["type"]).unwrap_or("") {
        "kubernetes.io/service-account-token"
            if obj.annotation("kubernetes.io/service-account.name").is_none_or(str::is_empty) =>
        {
            let path = Path::new("metadata");
            errors.required(&path.child("annotations").key("kubernetes.io/service-account.name"), "");
        }
        "kubernetes.io/dockercfg" => need_json(obj, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => need_json(obj, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => need(&["username", "password"]),
        "kubernetes.io/ssh-auth" => need(&["ssh-privatekey"]),
        "kubernetes.io/tls" => need(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn need_json(obj: &Object, key: &str, errors: &mut ErrorList) {
    let path = Path::new("data");
    match obj.str_at(&["data", key]) {
        None => errors.required(&path.key(key), ""),
        Some(text) => {
            let plain = decode(text).unwrap_or_default();
            let into = "into Go value of type map[string]interface {}";
            let wrong = match apimachinery::schema::parse_json(plain.as_bytes()).map(|p| p.value) {
                Err(e) => Some(e.to_string()),
                Ok(Value::Map(_) | Value::Null) => None,
                Ok(Value::List(_)) => Some(format!("json: cannot unmarshal array {into}")),
                Ok(Value::Str(_)) => Some(format!("json: cannot unmarshal string {into}")),
                Ok(Value::Bool(_)) => Some(format!("json: cannot unmarshal bool {into}")),
                Ok(_) => Some(format!("json: cannot unmarshal number {into}")),
            };
            if let Some(detail) = wrong {
                errors.invalid(&path.key(key), "<secret contents redacted>", detail);
            }
        }
    }
}

pub static SERVICE_ACCOUNT: Rules = Rules::of(Kind::namespaced("", "serviceaccounts", "ServiceAccount"));

pub static POD_TEMPLATE: Rules = Rules {
    default: |e| e.sub_or_new("template", defaults::template),
    validate: |obj, errors| {
        pod::validate_template(obj.get("template").unwrap_or(&value!({})), &Path::new("template"), errors);
    },
    warnings: |new, old, out| pod::template_warnings(new.get("template"), old.and_then(|o| o.get("template")), "template", out),
    ..Rules::of(Kind::namespaced("", "podtemplates", "PodTemplate").generation())
};
