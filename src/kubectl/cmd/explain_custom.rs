//! `kubectl explain` of custom resources: fields, types and descriptions as the definition has them, from the server's OpenAPI v3
//! document of the group version. Models `kubectl/pkg/explain/v2`.

use apimachinery::{Gvk, Object, Request, Value};

use crate::ctx::{Ctx, Next, Res, Stop, done, fail};

/// `max`: how many levels of fields are shown.
pub(super) fn run(ctx: &mut Ctx, gvk: Gvk, path: &[&str], max: i64) -> Res<Next> {
    let document = match ctx.call(Request::get_path(&format!("/openapi/v3/apis/{}", gvk.api_version()))) {
        Ok(document) => document,
        Err(Stop::Err(error)) if error.is_not_found() => return fail(no_schema(gvk)),
        Err(stop) => return Err(stop),
    };
    let schemas = Schemas(&document);
    let Some(root) = schemas.of(gvk) else { return fail(no_schema(gvk)) };
    let mut schema = root;
    for name in path {
        let Some(next) = schemas.inner(schema).at(&["properties", name]) else {
            return fail(format!("field {name:?} does not exist"));
        };
        schema = next;
    }
    let mut out = format!("GROUP:      {}\nKIND:       {}\nVERSION:    {}\n\n", gvk.group, gvk.kind, gvk.version);
    if let Some(name) = path.last() {
        out.push_str(&format!("FIELD: {name} <{}>\n\n", schemas.type_name(schema)));
    }
    let allowed = schema.list_at(&["enum"]);
    if !allowed.is_empty() {
        let texts = allowed.iter().map(|v| v.as_str().map_or_else(|| apimachinery::json::to_string(v), str::to_string));
        out.push_str(&format!("ENUM:\n    {}\n\n", texts.collect::<Vec<_>>().join("\n    ")));
    }
    let description = schema.str_at(&["description"]).unwrap_or("<empty>");
    out.push_str(&format!("DESCRIPTION:\n{}\n", indent(description, 4)));
    let inner = schemas.inner(schema);
    if inner.map_at(&["properties"]).is_some_and(|p| !p.is_empty()) {
        out.push_str("FIELDS:\n");
        schemas.fields(inner, 1, max, &mut out);
    }
    ctx.print(out.trim_end().to_string() + "\n\n");
    done()
}

fn no_schema(gvk: Gvk) -> String {
    format!("couldn't find resource for {:?}", gvk.to_string())
}

fn indent(text: &str, by: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut width = 0;
        out.push_str(&" ".repeat(by));
        for word in line.split(' ') {
            if width > 0 && by + width + word.len() > 80 {
                out.push_str(&format!("\n{}", " ".repeat(by)));
                width = 0;
            }
            if width > 0 {
                out.push(' ');
            }
            out.push_str(word);
            width += word.len() + 1;
        }
        out.push('\n');
    }
    out
}

struct Schemas<'a>(&'a Object);

impl<'a> Schemas<'a> {
    fn all(&self) -> impl Iterator<Item = &'a Value> {
        self.0.map_at(&["components", "schemas"]).into_iter().flatten().map(|(_, s)| s)
    }
    fn of(&self, gvk: Gvk) -> Option<&'a Value> {
        let fits = |k: &Value| {
            let text = |f: &str| k.str_at(&[f]).unwrap_or("");
            gvk.group == *text("group") && gvk.version == *text("version") && gvk.kind == *text("kind")
        };
        self.all().find(|s| s.list_at(&["x-kubernetes-group-version-kind"]).iter().any(fits))
    }
    /// What a reference leads to.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let name = schema.list_at(&["allOf"]).first().and_then(|s| s.str_at(&["$ref"])).and_then(|r| r.rsplit('/').next());
        name.and_then(|n| self.0.at(&["components", "schemas", n])).unwrap_or(schema)
    }
    /// What is left when lists and maps are unwrapped.
    fn inner(&self, schema: &'a Value) -> &'a Value {
        let below = schema.get("items").or_else(|| schema.get("additionalProperties").filter(|a| a.as_map().is_some()));
        below.map_or_else(|| self.resolve(schema), |s| self.inner(s))
    }
    fn type_name(&self, schema: &Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_name(items));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|a| a.as_map().is_some()) {
            return format!("map[string]{}", self.type_name(values));
        }
        let name = schema.list_at(&["allOf"]).first().and_then(|s| s.str_at(&["$ref"])).and_then(|r| r.rsplit('.').next());
        match (name, schema.str_at(&["type"]).unwrap_or("")) {
            (Some(name), _) => name.into(),
            (None, "object") => "Object".into(),
            (None, "") if schema.bool_at(&["x-kubernetes-int-or-string"]) == Some(true) => "IntOrString".into(),
            (None, "") => "Object".into(),
            (None, plain) => plain.into(),
        }
    }

    fn fields(&self, schema: &'a Value, depth: usize, max: i64, out: &mut String) {
        let required = schema.list_at(&["required"]);
        for (name, field) in schema.map_at(&["properties"]).into_iter().flatten() {
            let mark = if required.iter().any(|r| r.as_str() == Some(name)) { " -required-" } else { "" };
            out.push_str(&format!("{}{name}\t<{}>{mark}\n", "  ".repeat(depth), self.type_name(field)));
            if max == 1 {
                if let Some(text) = field.str_at(&["description"]) {
                    out.push_str(&indent(text, 2 * depth + 2));
                }
                out.push('\n');
            } else if (depth as i64) < max {
                self.fields(self.inner(field), depth + 1, max, out);
            }
        }
    }
}
