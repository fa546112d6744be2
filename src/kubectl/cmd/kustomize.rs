//! `kubectl kustomize` and `-k`: resources, generators, names, labels, images, replicas, patches.
//!
//! Models `sigs.k8s.io/kustomize/api` as far as most kustomizations go. Left out, said by name: components, replacements, vars, Helm,
//! plugins, remote resources.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Object, PatchType, Value, value};

use super::create_config::{env_lines, hash};
use crate::base64;
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::docs::{self, Checks, Source};
use crate::error::Error;
use crate::merge;

const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
const UNSUPPORTED: [&str; 9] = [
    "components",
    "replacements",
    "vars",
    "helmCharts",
    "helmChartInflationGenerator",
    "generators",
    "transformers",
    "validators",
    "crds",
];

/// An object on its way through the layers.
#[derive(Clone)]
struct Item {
    object: Object,
    /// The name it had when it was read or generated: what other objects refer to.
    original: Rc<str>,
    /// Gets a hash of its content appended to its name.
    hashed: bool,
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let dir = ctx.flags.args.first().cloned().unwrap_or_else(|| ".".into());
    let text = build(ctx, &dir)?;
    ctx.print(text);
    done()
}

/// The YAML that a kustomization directory builds.
pub(crate) fn build(ctx: &mut Ctx, dir: &str) -> Res<String> {
    let mut items = layer(ctx, dir)?;
    let mut renamed: Vec<(String, Rc<str>, String)> = Vec::new();
    for item in &mut items {
        if item.hashed {
            let kind = (item.object.kind() == "Secret").then(|| item.object.str_at(&["type"]).unwrap_or("").to_string());
            let name = item.object.name().to_string();
            // kustomize hashes the content without the name.
            let suffix = hash(item.object.value(), "", kind.as_deref());
            item.object.set_at(&["metadata", "name"], format!("{name}-{suffix}"));
        }
        renamed.push((item.object.kind().into(), item.original.clone(), item.object.name().into()));
    }
    for item in &mut items {
        refer(item.object.value_mut(), &renamed);
    }
    items.order_by_key(|i| order(i.object.kind()));
    let texts: Vec<String> = items.iter().map(|i| docs::to_yaml(i.object.value())).collect();
    Ok(texts.join("---\n"))
}

/// The legacy order: what others need comes first.
fn order(kind: &str) -> usize {
    const FIRST: [&str; 22] = [
        "Namespace",
        "ResourceQuota",
        "StorageClass",
        "CustomResourceDefinition",
        "ServiceAccount",
        "PodSecurityPolicy",
        "Role",
        "ClusterRole",
        "RoleBinding",
        "ClusterRoleBinding",
        "ConfigMap",
        "Secret",
        "Endpoints",
        "Service",
        "LimitRange",
        "PriorityClass",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Deployment",
        "StatefulSet",
        "CronJob",
        "PodDisruptionBudget",
    ];
    let last = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].contains(&kind);
    FIRST.iter().position(|k| *k == kind).unwrap_or(if last { 99 } else { 50 })
}

fn path_in(dir: &str, file: &str) -> String {
    let mut parts: Vec<&str> = dir.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if dir.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

fn layer(ctx: &mut Ctx, dir: &str) -> Res<Vec<Item>> {
    let mut found = None;
    for file in FILES {
        if let Ok(bytes) = ctx.read_file(&path_in(dir, file))? {
            found = Some(String::from_utf8_lossy(&bytes).into_owned());
            break;
        }
    }
    let Some(text) = found else {
        return fail(format!(
            "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{dir}'"
        ));
    };
    let k = docs::parse_yaml(&text).map_err(|e| Error::Plain(format!("invalid Kustomization: {e}")))?;
    if let Some(field) = UNSUPPORTED.iter().find(|f| k.get(f).is_some()) {
        return fail(format!("kustomize: {field} is not in this bottle"));
    }
    let mut items = Vec::new();
    for entry in k.list_at(&["resources"]).iter().chain(k.list_at(&["bases"])).filter_map(Value::as_str) {
        items.extend(resource(ctx, dir, entry)?);
    }
    generate(ctx, dir, &k, &mut items)?;
    patches(ctx, dir, &k, &mut items)?;
    transform(&k, &mut items);
    Ok(items)
}

fn resource(ctx: &mut Ctx, dir: &str, entry: &str) -> Res<Vec<Item>> {
    let path = path_in(dir, entry);
    match ctx.read_file(&path)? {
        Ok(bytes) => {
            let source = Source { name: path.as_str().into(), text: String::from_utf8_lossy(&bytes).into() };
            let mut items = Vec::new();
            for parsed in docs::objects(&source, Checks::Decode) {
                let (_, object) = parsed?;
                let original = object.name().into();
                items.push(Item { object, original, hashed: false });
            }
            Ok(items)
        }
        Err(crate::FileError::IsDirectory) => layer(ctx, &path),
        Err(_) => {
            let missing = format!("evalsymlink failure on '{path}' : lstat {path}: no such file or directory");
            fail(format!(
                "accumulating resources: accumulation err='accumulating resources from '{entry}': {missing}': must build at directory: not a valid directory: {missing}"
            ))
        }
    }
}

// ------------------------------------------------------------------ generators

fn generate(ctx: &mut Ctx, dir: &str, k: &Value, items: &mut Vec<Item>) -> Res<()> {
    for (list, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for generator in k.list_at(&[list]) {
            let name = generator.str_at(&["name"]).unwrap_or("").to_string();
            let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
            for literal in generator.list_at(&["literals"]).iter().filter_map(Value::as_str) {
                let (key, text) = literal.split_once('=').unwrap_or((literal, ""));
                pairs.push((key.into(), text.trim_matches(['"', '\'']).as_bytes().to_vec()));
            }
            for file in generator.list_at(&["files"]).iter().filter_map(Value::as_str) {
                let (key, file) = file.split_once('=').unwrap_or((file.rsplit('/').next().unwrap_or(file), file));
                pairs.push((key.into(), read(ctx, &path_in(dir, file))?));
            }
            let envs = generator.list_at(&["envs"]).iter().chain(generator.get("env"));
            for file in envs.filter_map(Value::as_str) {
                let bytes = read(ctx, &path_in(dir, file))?;
                pairs.extend(env_lines(&String::from_utf8_lossy(&bytes), file)?.into_iter().map(|(k, v)| (k, v.into_bytes())));
            }
            let options = |field: &str| generator.at(&["options", field]).or_else(|| k.at(&["generatorOptions", field]));
            let hashed = options("disableNameSuffixHash").and_then(Value::as_bool) != Some(true);
            let mut object = value!({"apiVersion": "v1", "kind": kind, "metadata": {"name": (&name)}});
            for field in ["labels", "annotations"] {
                if let Some(map) = options(field) {
                    object.set_at(&["metadata", field], map);
                }
            }
            if kind == "Secret" {
                object.set_at(&["type"], generator.str_at(&["type"]).unwrap_or("Opaque"));
            }
            add_data(&mut object, kind, &pairs);
            let object = Object::from_value(object).unwrap_or_default();
            let old = items.iter_mut().find(|i| i.object.kind() == kind && *i.original == *name);
            match (generator.str_at(&["behavior"]).unwrap_or("create"), old) {
                ("merge", Some(item)) => add_data(item.object.value_mut(), kind, &pairs),
                ("replace", Some(item)) => item.object.set_at(&["data"], object.get("data").cloned().unwrap_or_default()),
                (_, Some(_)) => return fail(format!("id already exists: {kind} {name}")),
                (_, None) => items.push(Item { object, original: name.as_str().into(), hashed }),
            }
        }
    }
    Ok(())
}

fn read(ctx: &mut Ctx, path: &str) -> Res<Vec<u8>> {
    match ctx.read_file(path)? {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(_) => fail(format!("loading KV pairs: file sources: [{path}]: open {path}: no such file or directory")),
    }
}

fn add_data(object: &mut Value, kind: &str, pairs: &[(String, Vec<u8>)]) {
    for (key, bytes) in pairs {
        let text = std::str::from_utf8(bytes).ok().filter(|_| kind == "ConfigMap");
        let (field, text) = match (text, kind) {
            (Some(text), _) => ("data", text.to_string()),
            (None, "ConfigMap") => ("binaryData", base64::encode(bytes)),
            (None, _) => ("data", base64::encode(bytes)),
        };
        object.entry(&[field]).map_mut().insert(key.as_str().into(), text);
    }
}

// ------------------------------------------------------------------ patches

fn patches(ctx: &mut Ctx, dir: &str, k: &Value, items: &mut [Item]) -> Res<()> {
    let mut all: Vec<(Value, Value)> = Vec::new();
    for field in ["patches", "patchesJson6902", "patchesStrategicMerge"] {
        for entry in k.list_at(&[field]) {
            let (text, target) = match entry {
                Value::Str(text) if text.contains('\n') => (text.to_string(), Value::Null),
                Value::Str(path) => (String::from_utf8_lossy(&read(ctx, &path_in(dir, path))?).into_owned(), Value::Null),
                entry => {
                    let text = match entry.str_at(&["path"]) {
                        Some(path) => String::from_utf8_lossy(&read(ctx, &path_in(dir, path))?).into_owned(),
                        None => entry.str_at(&["patch"]).unwrap_or("").to_string(),
                    };
                    (text, entry.get("target").cloned().unwrap_or_default())
                }
            };
            for range in docs::split(&text) {
                let patch = docs::parse_yaml(&text[range]).map_err(Error::Plain)?;
                if !patch.is_null() {
                    all.push((patch, target.clone()));
                }
            }
        }
    }
    for (patch, target) in all {
        let mut hit = false;
        for item in items.iter_mut().filter(|i| targeted(i, &target, &patch)) {
            hit = true;
            let kind = if matches!(patch, Value::List(_)) { PatchType::Json } else { PatchType::StrategicMerge };
            let gvk = item.object.gvk();
            let kind = if kind == PatchType::StrategicMerge && apimachinery::schema::of(gvk).is_none() {
                PatchType::Merge
            } else {
                kind
            };
            let name = item.object.name().to_string();
            let patched = merge::apply(kind, item.object.value(), &patch, gvk).map_err(Error::Plain)?;
            item.object = Object::from_value(patched).unwrap_or_default();
            item.object.set_at(&["metadata", "name"], name);
        }
        if !hit && target.is_null() {
            let name = patch.str_at(&["metadata", "name"]).unwrap_or("").to_string();
            return fail(format!(
                "no resource matches strategic merge patch {:?}",
                format!("{}.{name}.[noNs]", patch.str_at(&["kind"]).unwrap_or(""))
            ));
        }
    }
    Ok(())
}

fn targeted(item: &Item, target: &Value, patch: &Value) -> bool {
    let gvk = item.object.gvk();
    if target.is_null() {
        return patch.str_at(&["kind"]) == Some(item.object.kind())
            && patch.str_at(&["metadata", "name"]) == Some(&item.original);
    }
    let fits = |field: &str, have: &str| {
        target.str_at(&[field]).is_none_or(|want| want.is_empty() || super::set::fits(&want.replace(".*", "*"), have))
    };
    let selected = target
        .str_at(&["labelSelector"])
        .is_none_or(|text| apimachinery::labels::Selector::parse(text).is_ok_and(|s| s.matches(item.object.labels())));
    fits("kind", item.object.kind())
        && fits("group", &gvk.group.text())
        && fits("version", &gvk.version.text())
        && (fits("name", item.object.name()) || fits("name", &item.original))
        && selected
}

// ------------------------------------------------------------------ transformers

fn transform(k: &Value, items: &mut [Item]) {
    let text = |field: &str| k.str_at(&[field]).unwrap_or("");
    for item in items.iter_mut() {
        let object = &mut item.object;
        let cluster_wide = matches!(
            object.kind(),
            "Namespace"
                | "Node"
                | "ClusterRole"
                | "ClusterRoleBinding"
                | "PersistentVolume"
                | "StorageClass"
                | "CustomResourceDefinition"
                | "PriorityClass"
        );
        if !text("namespace").is_empty() && !cluster_wide {
            object.set_at(&["metadata", "namespace"], text("namespace"));
        }
        if !matches!(object.kind(), "Namespace" | "CustomResourceDefinition") {
            let name = format!("{}{}{}", text("namePrefix"), object.name(), text("nameSuffix"));
            object.set_at(&["metadata", "name"], name);
        }
        label(object, k.get("commonLabels"), true, true);
        for entry in k.list_at(&["labels"]) {
            let selectors = entry.bool_at(&["includeSelectors"]).unwrap_or(false);
            label(object, entry.get("pairs"), selectors, selectors || entry.bool_at(&["includeTemplates"]).unwrap_or(false));
        }
        put(object, k.get("commonAnnotations"), &["metadata", "annotations"]);
        if object.at(&["spec", "template"]).is_some() {
            put(object, k.get("commonAnnotations"), &["spec", "template", "metadata", "annotations"]);
        }
        for entry in k.list_at(&["replicas"]) {
            let name = entry.str_at(&["name"]).unwrap_or("");
            if (*item.original == *name || object.name() == name)
                && matches!(object.kind(), "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController")
            {
                object.set_at(&["spec", "replicas"], entry.int_at(&["count"]).unwrap_or(0));
            }
        }
        images(object.value_mut(), k.list_at(&["images"]));
    }
}

fn put(object: &mut Object, pairs: Option<&Value>, path: &[&str]) {
    for (k, v) in pairs.and_then(Value::as_map).into_iter().flat_map(|m| m.iter()) {
        object.value_mut().entry(path).map_mut().insert(k.clone(), v);
    }
}

fn label(object: &mut Object, pairs: Option<&Value>, selectors: bool, templates: bool) {
    put(object, pairs, &["metadata", "labels"]);
    let workload =
        matches!(object.kind(), "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController");
    if templates && workload {
        put(object, pairs, &["spec", "template", "metadata", "labels"]);
    }
    if selectors {
        match object.kind() {
            "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => put(object, pairs, &["spec", "selector", "matchLabels"]),
            "Service" if object.at(&["spec", "selector"]).is_some() => put(object, pairs, &["spec", "selector"]),
            _ => {}
        }
    }
}

/// `images` on every `image` of a container.
fn images(value: &mut Value, changes: &[Value]) {
    if changes.is_empty() {
        return;
    }
    match value {
        Value::List(_) => value.list_mut().iter_mut().for_each(|v| images(v, changes)),
        Value::Map(_) => {
            for (key, v) in value.map_mut().iter_mut() {
                match (&**key, v.as_str()) {
                    ("image", Some(image)) => {
                        let changed = changes.iter().find_map(|c| new_image(image, c));
                        if let Some(changed) = changed {
                            *v = changed.into();
                        }
                    }
                    _ => images(v, changes),
                }
            }
        }
        _ => {}
    }
}

fn new_image(image: &str, change: &Value) -> Option<String> {
    let at = image.find('@');
    let tag = image.rfind(':').filter(|i| *i > image.rfind('/').unwrap_or(0));
    let end = at.or(tag).unwrap_or(image.len());
    let (name, rest) = image.split_at(end);
    if change.str_at(&["name"]) != Some(name) {
        return None;
    }
    let name = change.str_at(&["newName"]).unwrap_or(name);
    Some(match (change.str_at(&["newTag"]), change.str_at(&["digest"])) {
        (_, Some(digest)) => format!("{name}@{digest}"),
        (Some(tag), None) => format!("{name}:{tag}"),
        (None, None) => format!("{name}{rest}"),
    })
}

/// References to ConfigMaps, Secrets, service accounts and services follow their new names.
fn refer(value: &mut Value, renamed: &[(String, Rc<str>, String)]) {
    let new =
        |kind: &str, old: &str| renamed.iter().find(|(k, o, n)| k == kind && **o == *old && n != old).map(|(_, _, n)| n.clone());
    match value {
        Value::List(_) => value.list_mut().iter_mut().for_each(|v| refer(v, renamed)),
        Value::Map(_) => {
            for (key, v) in value.map_mut().iter_mut() {
                let kind = match &**key {
                    "configMapRef" | "configMapKeyRef" | "configMap" => "ConfigMap",
                    "secretRef" | "secretKeyRef" => "Secret",
                    "secret" => "Secret",
                    _ => "",
                };
                for field in ["name", "secretName"] {
                    if !kind.is_empty()
                        && let Some(name) = v.str_at(&[field]).and_then(|old| new(kind, old))
                    {
                        v.set_at(&[field], name);
                    }
                }
                let direct = match &**key {
                    "serviceAccountName" => "ServiceAccount",
                    "serviceName" => "Service",
                    "claimName" => "PersistentVolumeClaim",
                    _ => "",
                };
                if let Some(name) = v.as_str().filter(|_| !direct.is_empty()).and_then(|old| new(direct, old)) {
                    *v = name.into();
                }
                refer(v, renamed);
            }
        }
        _ => {}
    }
}
