//! The versions of a custom resource: names, one for storage, printer columns, subresources, the roots of their schemas.

use apimachinery::field::{ErrorList, Path};
use apimachinery::{Value, json};

use super::schema::root;
use crate::check::{self, invalid_raw, some, text};
use crate::custom::JsonPath;

/// `spec.versions`
pub fn versions(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let list = spec.list_at(&["versions"]);
    let here = path.child("versions");
    let schema = |v: &Value| v.at(&["schema", "openAPIV3Schema"]).cloned();
    // Equal parts of all versions are moved to the top when a definition is converted, and so are their errors.
    let shared = |part: &dyn Fn(&Value) -> Option<Value>| {
        let first = list.first().and_then(part);
        first.filter(|f| list.iter().all(|v| part(v).as_ref() == Some(f)))
    };
    let top_schema = shared(&schema);
    for (i, v) in list.iter().enumerate() {
        let here = here.index(i);
        let name = text(v, "name");
        check::dns1035_label(name).report(errors, &here.child("name"), name);
        let warning = text(v, "deprecationWarning");
        if !warning.is_empty() && v.bool_at(&["deprecated"]) != Some(true) {
            errors.invalid(&here.child("deprecationWarning"), warning, "can only be set for deprecated versions");
        }
        match schema(v) {
            None => errors.required(&here.child("schema").child("openAPIV3Schema"), ""),
            Some(s) if top_schema.is_none() => root(&s, &here.child("schema").child("openAPIV3Schema"), errors),
            Some(_) => {}
        }
        if shared(&|v: &Value| some(v, "additionalPrinterColumns").cloned()).is_none() {
            columns(v.list_at(&["additionalPrinterColumns"]), &here.child("additionalPrinterColumns"), errors);
        }
        if shared(&|v: &Value| some(v, "selectableFields").cloned()).is_none() {
            let fields = v.list_at(&["selectableFields"]);
            selectable(fields, schema(v).as_ref(), &here.child("selectableFields"), errors);
        }
        if shared(&|v: &Value| some(v, "subresources").cloned()).is_none() {
            scale(v.at(&["subresources", "scale"]), &here.child("subresources").child("scale"), errors);
        }
    }
    if let Some(s) = top_schema {
        let validation = path.child("validation");
        root(&s, &validation.child("openAPIV3Schema"), errors);
    }
    if let Some(c) = shared(&|v: &Value| some(v, "additionalPrinterColumns").cloned()) {
        columns(c.items(), &path.child("additionalPrinterColumns"), errors);
    }
    if let Some(s) = shared(&|v: &Value| some(v, "subresources").cloned()) {
        let subresources = path.child("subresources");
        scale(s.get("scale"), &subresources.child("scale"), errors);
    }
    if let Some(fields) = shared(&|v: &Value| some(v, "selectableFields").cloned()) {
        selectable(fields.items(), list.first().and_then(schema).as_ref(), &path.child("selectableFields"), errors);
    }
    storage(list, &here, errors);
    if let Some(first) = list.first() {
        let name = text(first, "name");
        if !name.is_empty() {
            check::dns1035_label(name).report(errors, &path.child("version"), name);
        }
    }
}

/// The versions that objects may be stored in: at least one, among them the one marked for it.
pub fn stored(spec: &Value, status: &Value, errors: &mut ErrorList) {
    let path = Path::new("status");
    let here = path.child("storedVersions");
    let list = status.list_at(&["storedVersions"]);
    let shown = || if list.is_empty() { Value::Null } else { Value::list(list.to_vec()) };
    if list.is_empty() {
        return errors.invalid(&here, shown(), "must have at least one stored version");
    }
    let marked = |v: &&Value| v.bool_at(&["storage"]) == Some(true);
    let versions = spec.list_at(&["versions"]);
    for (i, v) in versions.iter().filter(marked).enumerate() {
        let name = text(v, "name");
        if i > 0 && versions.iter().filter(|o| text(o, "name") == name).count() > 1
            || !list.iter().any(|s| s.as_str() == Some(name))
        {
            errors.invalid(&here, shown(), format!("must have the storage version {name}"));
        }
    }
    for (i, name) in list.iter().enumerate().filter_map(|(i, s)| Some((i, s.as_str()?))) {
        if !versions.iter().any(|v| text(v, "name") == name) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage \
                 migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.invalid(&here.index(i), name, why);
        }
    }
}

/// Exactly one version is stored, and no name occurs twice.
fn storage(list: &[Value], path: &Path, errors: &mut ErrorList) {
    let stored = list.iter().filter(|v| v.bool_at(&["storage"]) == Some(true)).count();
    let twice = list.iter().enumerate().any(|(i, v)| list[..i].iter().any(|o| text(o, "name") == text(v, "name")));
    let columns = |v: &Value| some(v, "additionalPrinterColumns").cloned();
    let shared = list.first().is_some_and(|first| list.iter().all(|v| columns(v) == columns(first)));
    let shown = || match list {
        [] => "null".to_string(),
        _ => format!("[{}]", list.iter().map(|v| render(v, shared)).collect::<Vec<_>>().join(",")),
    };
    if twice {
        invalid_raw(errors, path, shown(), "must contain unique version names");
    }
    if stored != 1 {
        invalid_raw(errors, path, shown(), "must have exactly one version marked as storage version");
    }
}

/// A version as Go prints it. What all versions share (columns if `shared`, and here schemas and subresources) has moved to the top.
fn render(v: &Value, shared: bool) -> String {
    let flag = |f: &str| v.bool_at(&[f]) == Some(true);
    let warning = some(v, "deprecationWarning").map_or("null".into(), json::to_string);
    let columns = match v.list_at(&["additionalPrinterColumns"]) {
        list if shared || list.is_empty() => "null".to_string(),
        list => format!("[{}]", list.iter().map(render_column).collect::<Vec<_>>().join(",")),
    };
    format!(
        "{{\"Name\":\"{}\",\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{warning},\"Schema\":null,\
         \"Subresources\":null,\"AdditionalPrinterColumns\":{columns},\"SelectableFields\":null}}",
        text(v, "name"),
        flag("served"),
        flag("storage"),
        flag("deprecated")
    )
}

fn render_column(c: &Value) -> String {
    let quoted = |f: &str| json::to_string(&text(c, f).into());
    format!(
        "{{\"Name\":{},\"Type\":{},\"Format\":{},\"Description\":{},\"Priority\":{},\"JSONPath\":{}}}",
        quoted("name"),
        quoted("type"),
        quoted("format"),
        quoted("description"),
        c.int_at(&["priority"]).unwrap_or(0),
        quoted("jsonPath")
    )
}

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

fn columns(list: &[Value], path: &Path, errors: &mut ErrorList) {
    for (i, c) in list.iter().enumerate() {
        let here = path.index(i);
        if text(c, "name").is_empty() {
            errors.required(&here.child("name"), "");
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text(c, "type") {
            "" => errors.required(&here.child("type"), types),
            t if !COLUMN_TYPES.contains(&t) => errors.invalid(&here.child("type"), t, types),
            _ => {}
        }
        let format = text(c, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            errors.invalid(&here.child("format"), format, format!("must be one of {}", COLUMN_FORMATS.join(",")));
        }
        json_path(text(c, "jsonPath"), &here.child("JSONPath"), errors);
    }
}

fn json_path(p: &str, path: &Path, errors: &mut ErrorList) {
    if p.is_empty() {
        errors.required(path, "");
    } else if !p.starts_with('.') {
        errors.invalid(path, p, "must be a simple json path starting with .");
    } else if let Err(why) = JsonPath::parse(p) {
        errors.invalid(path, p, why);
    }
}

/// Fields that a field selector may name must be scalars of the schema.
fn selectable(list: &[Value], schema: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    if schema.is_none() && !list.is_empty() {
        return errors.invalid(path, "", "may only be set when `version.schema.openAPIV3Schema` is not included");
    }
    for (i, field) in list.iter().enumerate() {
        let here = path.index(i);
        let here = here.child("jsonPath");
        let p = text(field, "jsonPath");
        if p.is_empty() {
            errors.required(&here, "");
            continue;
        }
        if !p.starts_with(['.', '[']) {
            let first = p.split(['.', '[']).next().unwrap_or(p);
            errors.invalid(&here, p, format!("is an invalid path: expected [ or . but got: {first}"));
            continue;
        }
        let parsed = JsonPath::parse(p).ok();
        let names = parsed.as_ref().and_then(JsonPath::names);
        let found = names.and_then(|names| names.iter().try_fold(schema?, |s, name| s.at(&["properties", name])));
        match found.map(|f| text(f, "type")) {
            Some("string" | "integer" | "boolean") => {}
            None => errors.invalid(&here, p, "is an invalid path: does not refer to a valid field"),
            Some(_) => {
                errors.invalid(&here, p, "is an invalid path: must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
            }
        }
        if list[..i].iter().any(|other| text(other, "jsonPath") == p) {
            errors.duplicate(&here, p);
        }
    }
}

fn scale(s: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    let Some(s) = s.filter(|s| !s.is_null()) else { return };
    for (field, parents, detail) in [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        ("statusReplicasPath", &[".status."][..], "should be a json path under .status"),
        ("labelSelectorPath", &[".spec.", ".status."][..], "should be a json path under either .spec or .status"),
    ] {
        let p = text(s, field);
        let here = path.child(field);
        if p.is_empty() && field == "labelSelectorPath" {
            continue;
        }
        let before = errors.len();
        json_path(p, &here, errors);
        if errors.len() == before && !parents.iter().any(|parent| p.starts_with(parent)) {
            errors.invalid(&here, p, detail);
        }
    }
}
