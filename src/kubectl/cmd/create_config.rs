//! `kubectl create configmap` and `create secret …`.

use std::rc::Rc;

use apimachinery::{Fields, Value, json, value};

use super::create::{name_arg, submit};
use crate::base64;
use crate::ctx::{Ctx, Res, fail};
use crate::error::Error;
use crate::sha;
use crate::{DirEntry, FileError};

/// Keys and bytes, in the order given.
type Entries = Vec<(String, Rc<[u8]>)>;

/// `--from-literal`, `--from-file` and `--from-env-file`.
fn entries(ctx: &mut Ctx, kind: &str, name: &str) -> Res<Entries> {
    let flags = ctx.flags.clone();
    let (literals, files, env_files) = (flags.list("from-literal"), flags.list("from-file"), flags.list("from-env-file"));
    if !(env_files.is_empty() || literals.is_empty() && files.is_empty()) {
        return fail("from-env-file cannot be combined with from-file or from-literal");
    }
    let mut found = Entries::new();
    for source in files {
        for (key, bytes) in from_file(ctx, &source)? {
            add(&mut found, kind, name, key, bytes)?;
        }
    }
    for literal in literals {
        let Some((key, text)) = literal.split_once('=').filter(|(k, _)| !k.is_empty()) else {
            return fail(format!("invalid literal source {literal}, expected key=value"));
        };
        let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        let text = bare.or_else(|| text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''))).unwrap_or(text);
        add(&mut found, kind, name, key.into(), text.as_bytes().into())?;
    }
    for path in env_files {
        let bytes = read(ctx, &path)?;
        for (key, text) in env_lines(&String::from_utf8_lossy(&bytes), &path)? {
            add(&mut found, kind, name, key, text.into_bytes().into())?;
        }
    }
    Ok(found)
}

fn read(ctx: &mut Ctx, path: &str) -> Res<Rc<[u8]>> {
    match ctx.read_file(path)? {
        Ok(bytes) => Ok(bytes),
        Err(FileError::NotFound) => fail(format!("error reading {path}: no such file or directory")),
        Err(_) => fail(format!("error reading {path}: permission denied")),
    }
}

fn from_file(ctx: &mut Ctx, source: &str) -> Res<Entries> {
    let (key, path) = match source.split_once('=') {
        None => (source.rsplit('/').next().unwrap_or(source).to_string(), source),
        Some(("", _)) => return fail(format!("key name for file path {} missing", &source[1..])),
        Some((_, "")) => return fail(format!("file path for key name {} missing", source.trim_end_matches('='))),
        Some((key, path)) if !path.contains('=') => (key.to_string(), path),
        Some(_) => return fail("key names or file paths cannot contain '='"),
    };
    match ctx.read_file(path)? {
        Ok(bytes) => Ok(vec![(key, bytes)]),
        Err(FileError::IsDirectory) if source.contains('=') => fail("cannot give a key name for a directory path"),
        Err(FileError::IsDirectory) => {
            let entries = ctx.list_dir(path)?.unwrap_or_default();
            let mut found = Entries::new();
            let is_key = |e: &&DirEntry| !e.is_dir && e.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            for entry in entries.iter().filter(is_key) {
                let bytes = read(ctx, &format!("{}/{}", path.trim_end_matches('/'), entry.name))?;
                found.push((entry.name.clone(), bytes));
            }
            Ok(found)
        }
        Err(FileError::NotFound) => fail(format!("error reading {path}: no such file or directory")),
        Err(_) => fail(format!("error reading {path}: permission denied")),
    }
}

/// `KEY=value` lines; comments and blank lines are skipped.
pub(super) fn env_lines(text: &str, path: &str) -> Res<Vec<(String, String)>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start_matches([' ', '\t', '\u{feff}']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if key.is_empty() || key.contains(char::is_whitespace) {
            return fail(format!(
                "{path}: {key:?} is not a valid key name: a valid environment variable name must consist only of printable ASCII characters other than '='"
            ));
        }
        found.push((key.to_string(), value.to_string()));
    }
    Ok(found)
}

fn add(found: &mut Entries, kind: &str, name: &str, key: String, bytes: Rc<[u8]>) -> Res<()> {
    let valid =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && key != "." && key != "..";
    if !valid {
        return fail(format!(
            "{key:?} is not a valid key name for a {kind}: a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        ));
    }
    if found.iter().any(|(k, _)| *k == key) {
        return fail(match kind {
            "Secret" => format!("cannot add key {key}, another key by that name already exists"),
            _ => format!("cannot add key {key:?}, another key by that name already exists in Data for {kind} {name:?}"),
        });
    }
    found.push((key, bytes));
    Ok(())
}

pub(super) fn configmap(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let mapping = ctx.resource("configmaps")?;
    let mut object = value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": (&name)}});
    for (key, bytes) in entries(ctx, "ConfigMap", &name)? {
        match std::str::from_utf8(&bytes) {
            Ok(text) => object.entry(&["data"]).map_mut().insert(key.into(), text),
            Err(_) => object.entry(&["binaryData"]).map_mut().insert(key.into(), base64::encode(&bytes)),
        };
    }
    if ctx.flags.bool("append-hash") {
        let suffix = hash(&object, &name, None);
        object.set_at(&["metadata", "name"], format!("{name}-{suffix}"));
    }
    submit(ctx, mapping, object, Some("failed to create configmap")).map(drop)
}

/// The hash of the content that is appended to a name. Models `kubectl/pkg/util/hash/hash.go`.
pub(crate) fn hash(object: &Value, name: &str, kind: Option<&str>) -> String {
    let empty = || Value::str("");
    let data = object.get("data").cloned().unwrap_or_else(|| if kind.is_some() { Value::map() } else { empty() });
    let mut encoded = value!({"kind": (if kind.is_some() { "Secret" } else { "ConfigMap" }), "name": name, "data": data});
    if let Some(binary) = object.get("binaryData").filter(|_| kind.is_none()) {
        encoded.set_at(&["binaryData"], binary);
    }
    if let Some(kind) = kind {
        encoded.set_at(&["type"], kind);
    }
    sha::name_suffix(&json::to_string(&encoded))
}

fn secret(ctx: &mut Ctx, name: &str, kind: &str, entries: Entries) -> Res<()> {
    let mapping = ctx.resource("secrets")?;
    let mut object = value!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    if !kind.is_empty() {
        object.set_at(&["type"], kind);
    }
    if !entries.is_empty() {
        let data = entries.iter().map(|(k, v)| (Rc::from(k.as_str()), Value::from(base64::encode(v)))).collect();
        object.set_at(&["data"], Fields::from_entries(data));
    }
    if ctx.flags.bool("append-hash") {
        let suffix = hash(&object, name, Some(kind));
        object.set_at(&["metadata", "name"], format!("{name}-{suffix}"));
    }
    submit(ctx, mapping, object, Some("failed to create secret")).map(drop)
}

pub(super) fn generic(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let found = entries(ctx, "Secret", &name)?;
    let kind = ctx.flags.str("type").to_string();
    secret(ctx, &name, &kind, found)
}

pub(super) fn tls(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let (cert, key) = (flags.str("cert"), flags.str("key"));
    if cert.is_empty() || key.is_empty() {
        return fail("key and cert must be specified");
    }
    let (cert, key) = (tls_file(ctx, cert)?, tls_file(ctx, key)?);
    for (bytes, what) in [(&cert, "certificate"), (&key, "key")] {
        if !String::from_utf8_lossy(bytes).contains("-----BEGIN ") {
            return fail(format!("tls: failed to find any PEM data in {what} input"));
        }
    }
    secret(ctx, &name, "kubernetes.io/tls", vec![("tls.crt".into(), cert), ("tls.key".into(), key)])
}

fn tls_file(ctx: &mut Ctx, path: &str) -> Res<Rc<[u8]>> {
    match ctx.read_file(path)? {
        Ok(bytes) => Ok(bytes),
        Err(_) => fail(format!("open {path}: no such file or directory")),
    }
}

pub(super) fn docker_registry(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let kind = "kubernetes.io/dockerconfigjson";
    let files = flags.list("from-file");
    if !files.is_empty() {
        let mut found = Entries::new();
        for source in files {
            found.extend(from_file(ctx, &source)?);
        }
        if let [(key, _)] = found.as_mut_slice() {
            *key = ".dockerconfigjson".into();
        }
        return secret(ctx, &name, kind, found);
    }
    let (server, user) = (flags.str("docker-server"), flags.str("docker-username"));
    let (password, email) = (flags.str("docker-password"), flags.str("docker-email"));
    if user.is_empty() || password.is_empty() || server.is_empty() {
        return Err(Error::Plain(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required"
                .into(),
        )
        .into());
    }
    let quoted = |t: &str| {
        let mut out = String::new();
        json::write_str(t, &mut out);
        out
    };
    let auth = base64::encode(format!("{user}:{password}").as_bytes());
    let email = if email.is_empty() { String::new() } else { format!(",\"email\":{}", quoted(email)) };
    let config = format!(
        "{{\"auths\":{{{}:{{\"username\":{},\"password\":{}{email},\"auth\":{}}}}}}}",
        quoted(server),
        quoted(user),
        quoted(password),
        quoted(&auth)
    );
    secret(ctx, &name, kind, vec![(".dockerconfigjson".into(), config.into_bytes().into())])
}
