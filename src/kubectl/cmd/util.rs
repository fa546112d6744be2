//! What several verbs share.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Body, Object, ObjectKey, PatchType, Request, Response, ResponseBody, Value, json};

use crate::builder::Info;
use crate::ctx::{Ctx, Res, body, fail};
use crate::printers::DryRun;

pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The body of an answer as text, for `--raw`.
pub(crate) fn raw_text(response: &Response) -> String {
    match &response.body {
        ResponseBody::Text(_, text) => text.to_string(),
        ResponseBody::Object(object) => raw_json(object.value()) + "\n",
        ResponseBody::List(list) => raw_json(&list.to_value()) + "\n",
        _ => String::new(),
    }
}

/// JSON with kind and apiVersion first, as the server encodes its types; a Status in the order of its struct.
fn raw_json(value: &Value) -> String {
    let Some(fields) = value.as_map() else { return json::to_string(value) };
    const FIRST: &[&str] =
        &["kind", "apiVersion", "metadata", "name", "versions", "status", "message", "reason", "details", "code"];
    let mut entries: Vec<_> = fields.iter().collect();
    entries.order_by_key(|(k, _)| FIRST.iter().position(|f| *f == &**k).unwrap_or(FIRST.len()));
    let members: Vec<String> = entries
        .iter()
        .map(|(k, v)| {
            let mut out = String::new();
            json::write_str(k, &mut out);
            out.push(':');
            json::write(v, &mut out);
            out
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

impl Ctx<'_> {
    /// Options that every write has: field manager, validation, dry run.
    pub fn writing(&mut self, mut request: Request) -> Res<Request> {
        let manager = self.flags.str("field-manager");
        if !manager.is_empty() {
            request.options.field_manager = Some(manager.into());
        }
        request.options.dry_run = self.dry_run()? == DryRun::Server;
        Ok(request)
    }

    /// `--validate` as the server names it; checks the flag.
    pub fn validation(&mut self) -> Res<&'static str> {
        Ok(match self.flags.str("validate") {
            "strict" | "true" | "" => "Strict",
            "warn" => "Warn",
            "ignore" | "false" => "Ignore",
            other => {
                return fail(format!(
                    "invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)"
                ));
            }
        })
    }

    /// Creates an object and returns it as the server has it.
    pub fn create_object(&mut self, info: &Info, object: &Object) -> Res<Object> {
        let mut request = Request::create(info.mapping.gvr, object.clone());
        request.namespace = info.namespace.clone();
        // `run` made the object itself and asks for no validation.
        if self.flags.command != "run" {
            request.options.field_validation = Some(self.validation()?.into());
        }
        let request = self.writing(request)?;
        self.call(request)
    }

    /// Asks whether the server validates, as upstream does before it reads a file. The answer is known.
    pub fn ask_for_validation(&mut self) -> Res<()> {
        self.send_request(Request::get_path("/openapi/v3")).map(drop)
    }

    /// Sends a patch.
    pub fn patch_object(&mut self, info: &Info, kind: PatchType, patch: Value, subresource: &str) -> Res<Object> {
        let request = Request::patch(info.mapping.gvr, &info.key(), kind, patch).with_subresource(subresource);
        let request = self.writing(request)?;
        self.call(request)
    }
}

/// A DELETE with options.
pub(crate) fn delete_request(info: &Info, options: Value) -> Request {
    let mut request = Request::delete(info.mapping.gvr, &info.key());
    request.body = match options.is_empty() {
        true => Body::None,
        false => {
            let mut options = options;
            options.set_at(&["apiVersion"], "v1");
            options.set_at(&["kind"], "DeleteOptions");
            body(options)
        }
    };
    request
}

/// The key of an object in a namespace.
pub(crate) fn object_key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(namespace, name)
}

/// `a=b` pairs of a flag or argument, in order.
pub(crate) fn pairs(words: &[String]) -> Vec<(Rc<str>, Rc<str>)> {
    words.iter().filter_map(|w| w.split_once('=').map(|(k, v)| (k.into(), v.into()))).collect()
}

/// A map of user keys.
pub(crate) fn string_map(pairs: &[(Rc<str>, Rc<str>)]) -> Value {
    let entries = pairs.iter().map(|(k, v)| (k.clone(), Value::Str(v.clone()))).collect();
    apimachinery::Fields::from_entries(entries).into()
}

/// The object without what the server alone writes, with the annotation that `apply` compares with later.
pub(crate) fn with_last_applied(object: &Object) -> Object {
    let mut annotated = object.clone();
    let config = modified_configuration(object);
    let annotations = annotated.value_mut().entry(&["metadata", "annotations"]).map_mut();
    annotations.insert(LAST_APPLIED.into(), config);
    annotated
}

/// The text that goes into the annotation: compact JSON of the object with an (otherwise empty) annotations map, and a newline.
pub(crate) fn modified_configuration(object: &Object) -> String {
    let mut plain = object.clone();
    plain.value_mut().entry(&["metadata", "annotations"]).map_mut().remove(LAST_APPLIED);
    let text = crate::printers::go::json(plain.value());
    text + "\n"
}
