//! Bodies: from bytes or trees to objects of the schema. Models `apimachinery/pkg/runtime/serializer`.

use std::rc::Rc;

use base::Sort as _;

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::schema;
use apimachinery::status::Status;
use apimachinery::{Body, Gvk, Object, PatchType, Value, Verb};

use crate::call::Call;
use crate::convert;
use crate::options;
use crate::scheme::Resource;
use crate::server::ApiServer;

const SCHEME: &str = "in scheme \"pkg/runtime/scheme.go:111\"";

/// `metav1.DeleteOptions`, from a body or from the query.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub grace_period_s: Option<i64>,
    pub uid: Option<Rc<str>>,
    pub resource_version: Option<Rc<str>>,
    pub propagation: Option<Rc<str>>,
    pub orphan_dependents: Option<bool>,
    pub dry_run: bool,
}

/// Decodes what the call's verb needs into the call.
pub fn read_body(server: &ApiServer, call: &mut Call) -> Result<(), Status> {
    match call.request.verb {
        Verb::Delete | Verb::DeleteCollection => {
            call.delete = delete_options(call)?;
            Ok(())
        }
        Verb::Create | Verb::Update => {
            options::check(call)?;
            let value = body_value(call)?;
            let resource = body_resource(server, call);
            let object = match resource {
                Some(resource) => decode(call, &resource, value)?,
                None => Object::from_value(value).ok_or_else(|| Status::bad_request("the body is no object"))?,
            };
            call.body = Some(object);
            Ok(())
        }
        Verb::Patch
            if matches!(call.request.body, Body::Patch(PatchType::StrategicMerge, _)) && call.resource.custom.is_some() =>
        {
            Err(no_strategic_merge())
        }
        Verb::Patch if matches!(call.request.body, Body::Patch(..)) => options::check(call),
        Verb::Patch => {
            patch_body(call)?;
            options::check(call)
        }
        _ => Ok(()),
    }
}

/// What the body of a create or update is: the resource itself, unless a subresource has a kind of its own.
fn body_resource(server: &ApiServer, call: &Call) -> Option<Rc<Resource>> {
    let sub = call.resource.info.subresource(call.request.subresource);
    match sub {
        Some(sub) if sub.kind != call.resource.gvk => {
            server.scheme.resources.iter().find(|r| r.gvk == sub.kind && r.storage.is_some()).cloned()
        }
        _ => Some(call.resource.clone()),
    }
}

fn body_value(call: &mut Call) -> Result<Value, Status> {
    match &call.request.body {
        Body::Object(object) => Ok(object.value().clone()),
        Body::Patch(..) => Ok(Value::map()),
        Body::None => Err(unrecognized(call, "couldn't get version/kind; json parse error: unexpected end of JSON input", &[])),
        Body::Bytes(kind, bytes) => {
            let (kind, bytes) = (kind.clone(), bytes.clone());
            let parsed = parse_bytes(&kind, &bytes).map_err(|status| match status.code {
                400 => unrecognized(call, &status.message, &bytes),
                _ => status,
            });
            let (value, complaints) = parsed?;
            let value = match value {
                Value::Null => Value::map(),
                Value::Map(_) => value,
                other => {
                    let why = format!(
                        "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type {TYPE_META}",
                        schema::go_kind(&other)
                    );
                    return Err(unrecognized(call, &why, &bytes));
                }
            };
            complain(call, complaints)?;
            Ok(value)
        }
    }
}

/// The struct of Go that finds out what a body is.
const TYPE_META: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// A body that is no object. Upstream shows its beginning: as text if it looks like JSON.
fn unrecognized(call: &Call, why: &str, bytes: &[u8]) -> Status {
    const SHOWN: usize = 30;
    let start = &bytes[..bytes.len().min(SHOWN)];
    let shown = match start.first() {
        None => "<empty>".to_string(),
        Some(b'{') => String::from_utf8_lossy(start).into_owned(),
        Some(_) => start.iter().map(|b| format!("{b:02x}")).collect(),
    };
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    let kind = call.resource.gvk.kind;
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({shown}{more})"))
}

/// Bytes by their content type; the second part names members that were given twice.
pub fn parse_bytes(content_type: &str, bytes: &[u8]) -> Result<(Value, Vec<String>), Status> {
    let media = content_type.split(';').next().unwrap_or("").trim();
    match media {
        "" | "application/json" => {
            let parsed = schema::parse_json(bytes)
                .map_err(|e| Status::bad_request(format!("couldn't get version/kind; json parse error: {e}")))?;
            Ok((parsed.value, parsed.duplicates.into_iter().map(|p| format!("duplicate field {}", go_quote(&p))).collect()))
        }
        "application/yaml" => {
            let text = String::from_utf8_lossy(bytes);
            let document = apimachinery::yaml::parse(&text)
                .map_err(|e| Status::bad_request(e.to_string().replacen("yaml: line 1: ", "yaml: ", 1)))?;
            Ok((document.value, document.duplicates.into_iter().map(|d| d.to_string()).collect()))
        }
        other => {
            let _ = other;
            let text = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf";
            Err(Status::new(415, "UnsupportedMediaType", text))
        }
    }
}

/// Strict validation refuses, the default warns.
fn complain(call: &mut Call, complaints: Vec<String>) -> Result<(), Status> {
    if complaints.is_empty() {
        return Ok(());
    }
    match call.request.options.field_validation.as_deref() {
        Some("Strict") => {
            let (kind, version) = (call.resource.gvk.kind, call.resource.gvk.version);
            let text = complaints.join(", ");
            Err(Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {text}"
            )))
        }
        Some("Ignore") => Ok(()),
        _ => {
            complaints.into_iter().for_each(|c| call.warn(c));
            Ok(())
        }
    }
}

/// A tree as an object of a resource: types checked, unknown fields dropped, defaults set, in the storage version.
pub fn decode(call: &mut Call, resource: &Resource, mut value: Value) -> Result<Object, Status> {
    let given = Gvk::from_api_version(value.str_at(&["apiVersion"]).unwrap_or(""), value.str_at(&["kind"]).unwrap_or(""));
    match resource.custom {
        Some(_) => check_custom_kind(resource, &value, given)?,
        None => check_kind(resource, &value, given)?,
    }
    if value.str_at(&["apiVersion"]) != Some(&resource.api_version) {
        value.set_at(&["apiVersion"], &resource.api_version);
    }
    if resource.gvk.kind != *value.str_at(&["kind"]).unwrap_or("") {
        value.set_at(&["kind"], resource.gvk.kind);
    }
    let mut object = prune(call, resource, value)?;
    resource.strategy.default(&mut object);
    if convert::differs(resource) {
        object = convert::to_storage(resource, object);
        call.stored.strategy.default(&mut object);
    }
    Ok(object)
}

/// Models `unstructured` decoding and `ValidateTypeMeta` of custom resources.
fn check_custom_kind(resource: &Resource, value: &Value, given: Gvk) -> Result<(), Status> {
    if given.kind.is_empty() {
        let text = apimachinery::json::to_string(value);
        let start: String = text.chars().take(30).collect();
        let shown = if start.len() < text.len() { format!("{start} ...") } else { start };
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in '{text}' ({shown})",
            resource.gvk.kind
        )));
    }
    if (given.group, given.version) != (resource.gvk.group, resource.gvk.version) && !given.version.is_empty() {
        return Err(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            given.api_version(),
            resource.api_version
        )));
    }
    if given.kind != resource.gvk.kind {
        let mut errors = ErrorList::new();
        errors.invalid(&Path::new("kind"), given.kind, format!("must be {}", resource.gvk.kind));
        return Err(Status::invalid(given, value.str_at(&["metadata", "name"]).unwrap_or(""), &errors));
    }
    Ok(())
}

/// The Go package of a group's internal types: `core`, `apps`, `rbac`.
fn internal_package(gvk: Gvk) -> String {
    match gvk.group.is_empty() {
        true => "core".into(),
        false => gvk.group.with(|g| g.split('.').next().unwrap_or("").to_string()),
    }
}

fn check_kind(resource: &Resource, value: &Value, given: Gvk) -> Result<(), Status> {
    let has = |name: &str| value.str_at(&[name]).is_some_and(|v| !v.is_empty());
    if has("kind") && given.kind != resource.gvk.kind
        || has("apiVersion") && (given.group, given.version) != (resource.gvk.group, resource.gvk.version)
    {
        let full = Gvk {
            kind: if has("kind") { given.kind } else { resource.gvk.kind },
            ..if has("apiVersion") { given } else { resource.gvk }
        };
        let is_list = full.kind == "List" && full.group.is_empty();
        if crate::scheme::scheme().resources.iter().any(|r| r.gvk == full) || is_list || !has("kind") {
            if (given.group, given.version) != (resource.gvk.group, resource.gvk.version) && has("apiVersion") {
                return Err(Status::bad_request(format!(
                    "the API version in the data ({}) does not match the expected API version ({})",
                    full.api_version(),
                    resource.api_version
                )));
            }
            return Err(Status::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {}: converting ({}.{}) to ({}.{}): unknown conversion",
                full.kind,
                full.version,
                resource.gvk.kind,
                full.version,
                full.kind,
                internal_package(resource.gvk),
                resource.gvk.kind
            )));
        }
        let text = format!("no kind \"{}\" is registered for version \"{}\" {SCHEME}", full.kind, full.api_version());
        return Err(Status::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {text}",
            full.kind, full.version, resource.gvk.kind
        )));
    }
    Ok(())
}

/// Schema decoding with its complaints.
pub fn prune(call: &mut Call, resource: &Resource, value: Value) -> Result<Object, Status> {
    prune_beside(call, resource, value, None)
}

/// As [`prune`], for a value that was made of an object of the resource. What custom resources have stored may be older than their
/// schema: it is looked at again.
pub fn prune_beside(call: &mut Call, resource: &Resource, value: Value, before: Option<&Object>) -> Result<Object, Status> {
    let before = before.filter(|_| resource.custom.is_none()).map(Object::value);
    let Some(schema) = &resource.schema else {
        return Object::from_value(value).ok_or_else(|| Status::bad_request("the body is no object"));
    };
    let decoded = schema::decode_beside(schema, &value, before).map_err(|e| {
        let (kind, version) = (resource.gvk.kind, resource.gvk.version);
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {e}"))
    })?;
    let mut decoded = decoded;
    if resource.custom.is_some() {
        decoded.unknown.order();
    }
    if !decoded.unknown.is_empty() {
        complain(call, decoded.unknown.iter().map(|f| format!("unknown field {}", go_quote(f))).collect())?;
    }
    Object::from_value(decoded.value).ok_or_else(|| Status::bad_request("the body is no object"))
}

/// Custom resources have no merge keys.
fn no_strategic_merge() -> Status {
    Status::new(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )
}

fn patch_body(call: &mut Call) -> Result<(), Status> {
    let Body::Bytes(kind, bytes) = &call.request.body else { return Err(Status::bad_request("a patch needs a body")) };
    let media = kind.split(';').next().unwrap_or("").trim();
    let kind = match media {
        "application/json-patch+json" => PatchType::Json,
        "application/merge-patch+json" => PatchType::Merge,
        "application/strategic-merge-patch+json" if call.resource.custom.is_some() => return Err(no_strategic_merge()),
        "application/strategic-merge-patch+json" => PatchType::StrategicMerge,
        "application/apply-patch+yaml" => PatchType::Apply,
        _ => {
            let mut status = Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
            status.details = Value::map();
            return Err(status);
        }
    };
    let value = if kind == PatchType::Apply {
        parse_bytes("application/yaml", bytes)?.0
    } else {
        let parsed = schema::parse_json(bytes).map_err(|e| match kind {
            PatchType::Json => Status::bad_request(format!("error decoding patch: {e}")),
            _ => Status::bad_request("invalid JSON patch"),
        });
        parsed?.value
    };
    let mut request = (*call.request).clone();
    request.body = Body::Patch(kind, value);
    call.request = Rc::new(request);
    Ok(())
}

fn delete_options(call: &Call) -> Result<DeleteOptions, Status> {
    let value = match &call.request.body {
        Body::Object(object) => object.value().clone(),
        Body::Bytes(kind, bytes) if !bytes.is_empty() => parse_bytes(kind, bytes)?.0,
        _ => Value::Null,
    };
    if let Some(kind) = value.str_at(&["kind"]).filter(|k| *k != "DeleteOptions") {
        let version = value.str_at(&["apiVersion"]).unwrap_or("");
        return Err(Status::bad_request(format!("no kind \"{kind}\" is registered for version \"{version}\" {SCHEME}")));
    }
    let text = |path: &[&str]| value.at(path).and_then(Value::as_rc_str).cloned();
    let query = |name: &str| call.request.options.query(name).map(Rc::<str>::from);
    let query_number = |name: &str| match call.request.options.query(name) {
        None => Ok(None),
        Some(v) => v
            .parse::<i64>()
            .map(Some)
            .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", go_quote(v)))),
    };
    let options = DeleteOptions {
        grace_period_s: value.int_at(&["gracePeriodSeconds"]).or(query_number("gracePeriodSeconds")?),
        uid: text(&["preconditions", "uid"]),
        resource_version: text(&["preconditions", "resourceVersion"]),
        propagation: text(&["propagationPolicy"]).or_else(|| query("propagationPolicy")),
        orphan_dependents: value.bool_at(&["orphanDependents"]).or_else(|| query("orphanDependents").map(|v| &*v == "true")),
        dry_run: !value.list_at(&["dryRun"]).is_empty(),
    };
    check_delete_options(&options, &value)?;
    Ok(options)
}

/// Models `metav1/validation.ValidateDeleteOptions`.
fn check_delete_options(options: &DeleteOptions, value: &Value) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let path = Path::new("propagationPolicy");
    if let (Some(policy), Some(_)) = (&options.propagation, options.orphan_dependents) {
        errors.invalid(&path, policy, "orphanDependents and deletionPropagation cannot be both set");
    } else if let Some(policy) = &options.propagation
        && !matches!(&**policy, "Foreground" | "Background" | "Orphan")
    {
        errors.not_supported(&path, policy, &["Foreground", "Background", "Orphan", "nil"]);
    }
    let dry_run = value.list_at(&["dryRun"]);
    if dry_run.iter().any(|v| v.as_str() != Some("All")) {
        errors.not_supported(&Path::new("dryRun"), dry_run.to_vec(), &["All"]);
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(Gvk::new("meta.k8s.io", "", "DeleteOptions"), "", &errors)) }
}
