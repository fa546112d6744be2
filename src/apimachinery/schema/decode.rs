//! What a round trip through Go's structs does to a value: wrong types are refused with Go's text, nulls and unknown fields
//! go, empty `omitempty` members go, others are filled with zero values, quantities and times become canonical.
//!
//! Hot path: every object written passes here. What needs no change is shared, and names become text only in errors.

use std::rc::Rc;

use super::go_time::time;
use super::{Field, StructType, Type};
use crate::quantity::Quantity;
use crate::value::{Fields, Key, Value};

/// A decoded value.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub value: Value,
    /// Paths of the fields that the type does not know (`spec.containers[0].bogus`), sorted per map; they are not in `value`.
    pub unknown: Vec<String>,
}

/// Decodes a map as a struct. The error is Go's text, without the prefix that names the kind:
/// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
pub fn decode(ty: &StructType, value: &Value) -> Result<Decoded, String> {
    decode_beside(ty, value, None)
}

/// As [`decode`], for a value that was made of a decoded one of this type: what is the same allocation in both is right already
/// and isn't walked.
pub fn decode_beside(ty: &StructType, value: &Value, before: Option<&Value>) -> Result<Decoded, String> {
    let mut walk = Walk { unknown: Vec::new(), loose: false };
    let changed = match value {
        Value::Map(fields) => walk.fields(ty, fields, before, &Path::Root)?,
        Value::Null => Some(zero(ty)),
        other => return Err(format!("json: cannot unmarshal {} into Go value of type {}", go_kind(other), ty.go_name())),
    };
    Ok(Decoded { value: changed.unwrap_or_else(|| value.clone()), unknown: walk.unknown })
}

/// What an empty struct is written as: `{}` with its members without `omitempty`.
pub fn zero(ty: &StructType) -> Value {
    let build = || {
        let members = ty.fields().iter().filter_map(|f| Some((f.name.clone(), zero_field(f)?)));
        Value::from(Fields::from_entries(members.collect()))
    };
    ty.zero.get_or_init(build).clone()
}

/// What is written for a field that is missing; `None`: nothing.
fn zero_field(field: &Field) -> Option<Value> {
    if !(field.required || field.by_value) {
        return None;
    }
    Some(match &field.ty {
        _ if field.null_if_missing => Value::Null,
        Type::Struct(s) if field.by_value => zero(s),
        Type::Struct(_) | Type::List(_) | Type::Map(_) | Type::Time | Type::MicroTime | Type::Any | Type::Bytes => Value::Null,
        Type::Bool => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::Float | Type::IntOrString => Value::Int(0),
        Type::String(_) => Value::sym(""),
        Type::Quantity => Value::sym("0"),
    })
}

/// Where we are, as a list on the stack.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a StructType, &'a Field),
    Index(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a str),
}

impl Path<'_> {
    /// `spec.containers[0].`, to put a name after.
    fn write(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Field(parent, _, f) => parent.write_dotted(&f.name, out),
            Path::Key(parent, k) => parent.write_dotted(k, out),
            Path::Index(parent, i) => {
                parent.write(out);
                out.push_str(&format!("[{i}]"));
            }
        }
    }
    fn write_dotted(&self, name: &str, out: &mut String) {
        self.write(out);
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(name);
    }
    /// `PodSpec.spec.containers`: the innermost struct, then the fields from the top without indexes.
    fn go_field(&self) -> Option<(String, &Field)> {
        match self {
            Path::Root => None,
            Path::Index(parent, _) | Path::Key(parent, _) => parent.go_field(),
            Path::Field(_, owner, field) => {
                let mut names = Vec::new();
                self.names(&mut names);
                names.push(owner.short_name());
                names.reverse();
                Some((names.join("."), field))
            }
        }
    }
    fn names<'a>(&'a self, out: &mut Vec<&'a str>) {
        match self {
            Path::Root => {}
            Path::Index(parent, _) | Path::Key(parent, _) => parent.names(out),
            // The metadata of a custom resource is a struct of Go's, what it stands in isn't.
            Path::Field(_, owner, _) if owner.loose => {}
            Path::Field(parent, _, field) => {
                out.push(&field.name);
                out.extend(field.embedded.as_deref());
                parent.names(out);
            }
        }
    }
}

/// A value's type as Go's decoder names it.
pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

/// The type as Go's errors name it. `name` is the Go name of the field's innermost scalar or map.
fn go_type(ty: &Type, name: Option<&str>) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::Int32 | Type::IntOrString => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Float => "float64".into(),
        Type::String(_) => name.unwrap_or("string").into(),
        Type::Time | Type::MicroTime => "string".into(),
        Type::Bytes => "[]uint8".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::Any => "runtime.RawExtension".into(),
        Type::List(l) => format!("[]{}", go_type(&l.elem, name)),
        Type::Map(m) if matches!(m.elem, Type::Quantity) => name.unwrap_or("v1.ResourceList").into(),
        Type::Map(m) => name.map_or_else(|| format!("map[string]{}", go_type(&m.elem, None)), Into::into),
        Type::Struct(s) => s.go_name().into(),
    }
}

fn mismatch(value: &Value, detail: &str, ty: &Type, path: &Path) -> String {
    let (field, name) = path.go_field().map_or((String::new(), None), |(t, f)| (t, f.go_name.clone()));
    format!(
        "json: cannot unmarshal {}{detail} into Go struct field {field} of type {}",
        go_kind(value),
        go_type(ty, name.as_deref())
    )
}

/// `None`: the value stays as it is.
type Change = Result<Option<Value>, String>;

struct Walk {
    unknown: Vec<String>,
    /// Below a custom resource's type, see [`StructType::loose`].
    loose: bool,
}

/// The members written so far, once something differs from the original.
struct Output<'a> {
    original: &'a [(Key, Value)],
    /// How many of the original were taken over unchanged so far.
    taken: usize,
    changed: Option<Vec<(Key, Value)>>,
}

impl Output<'_> {
    fn differs(&mut self) -> &mut Vec<(Key, Value)> {
        let (original, taken) = (self.original, self.taken);
        self.changed.get_or_insert_with(|| {
            let mut entries = Vec::with_capacity(original.len() + 4);
            entries.extend_from_slice(&original[..taken]);
            entries
        })
    }
    fn keep(&mut self) {
        if let Some(entries) = &mut self.changed {
            entries.push(self.original[self.taken].clone());
        }
        self.taken += 1;
    }
    fn drop(&mut self) {
        self.differs();
        self.taken += 1;
    }
    fn replace(&mut self, key: &Key, value: Value) {
        self.differs().push((key.clone(), value));
        self.taken += 1;
    }
    fn insert(&mut self, key: &Key, value: Value) {
        self.differs().push((key.clone(), value));
    }
}

impl Walk {
    fn fields(&mut self, ty: &StructType, fields: &Rc<Fields>, before: Option<&Value>, path: &Path) -> Change {
        let loose = std::mem::replace(&mut self.loose, ty.loose);
        let change = self.merge_fields(ty, fields, before.and_then(Value::as_map), path);
        self.loose = loose;
        change
    }

    /// Merges the sorted members with the sorted fields.
    fn merge_fields(&mut self, ty: &StructType, fields: &Rc<Fields>, before: Option<&Fields>, path: &Path) -> Change {
        let entries = fields.entries();
        let mut out = Output { original: entries, taken: 0, changed: None };
        let mut members = entries.iter().peekable();
        for field in ty.fields() {
            let mut found = false;
            while let Some((key, value)) = members.peek() {
                match if Rc::ptr_eq(key, &field.name) { std::cmp::Ordering::Equal } else { key.cmp(&field.name) } {
                    std::cmp::Ordering::Less => self.unknown_member(ty, key, path, &mut out),
                    std::cmp::Ordering::Equal => {
                        found = true;
                        match before.and_then(|before| before.get(key)) {
                            Some(before) if before.ptr_eq(value) && !value.is_null() => out.keep(),
                            before => self.member(ty, field, (value, before), path, &mut out)?,
                        }
                    }
                    std::cmp::Ordering::Greater => break,
                }
                members.next();
                if found {
                    break;
                }
            }
            if !found && let Some(value) = zero_field(field) {
                out.insert(&field.name, value);
            }
        }
        for (key, _) in members {
            self.unknown_member(ty, key, path, &mut out);
        }
        Ok(out.changed.map(|entries| Fields::from_entries(entries).into()))
    }

    fn unknown_member(&mut self, ty: &StructType, key: &str, path: &Path, out: &mut Output) {
        if ty.preserve_unknown {
            return out.keep();
        }
        let mut text = String::new();
        path.write_dotted(key, &mut text);
        self.unknown.push(text);
        out.drop();
    }

    fn member(
        &mut self,
        ty: &StructType,
        field: &Field,
        (value, before): (&Value, Option<&Value>),
        path: &Path,
        out: &mut Output,
    ) -> Result<(), String> {
        let change = match (&field.ty, value) {
            (_, Value::Null) => None,
            (Type::Struct(s), Value::Map(fields)) => self.fields(s, fields, before, &Path::Field(path, ty, field))?,
            _ => self.value(&field.ty, value, &Path::Field(path, ty, field))?,
        };
        if ty.loose {
            match change {
                None => out.keep(),
                Some(new) => out.replace(&field.name, new),
            }
            return Ok(());
        }
        let now = change.as_ref().unwrap_or(value);
        let empty = match &field.ty {
            _ if now.is_null() => true,
            Type::List(_) | Type::Map(_) | Type::Bytes => now.is_empty(),
            Type::Bool | Type::Int32 | Type::Int64 | Type::Float | Type::String(_) => field.drop_zero && now.is_empty(),
            Type::Time | Type::MicroTime => now.is_empty(),
            _ => false,
        };
        if !empty {
            match change {
                None => out.keep(),
                Some(new) => out.replace(&field.name, new),
            }
            return Ok(());
        }
        match zero_field(field) {
            None => out.drop(),
            Some(zero) if zero == *value => out.keep(),
            Some(zero) => out.replace(&field.name, zero),
        }
        Ok(())
    }

    fn value(&mut self, ty: &Type, value: &Value, path: &Path) -> Change {
        match (ty, value) {
            (Type::Any, _) => Ok(None),
            (Type::Struct(s), Value::Map(fields)) => self.fields(s, fields, None, path),
            (Type::Map(m), Value::Map(fields)) => self.map(&m.elem, fields, path),
            (Type::List(l), Value::List(items)) => self.list(&l.elem, items, path),
            // 3.0 is an integer.
            (Type::Int64, Value::Float(f)) if self.loose && f.fract() == 0.0 && f.abs() < 9e15 => Ok(Some(Value::Int(*f as i64))),
            (ty, _) if self.loose && ty.as_struct().is_none_or(|s| s.loose) => Ok(None),
            (Type::String(_), Value::Str(_)) | (Type::Bool, Value::Bool(_)) | (Type::Int64, Value::Int(_)) => Ok(None),
            (Type::Int32 | Type::IntOrString, Value::Int(n)) if i32::try_from(*n).is_ok() => Ok(None),
            (Type::IntOrString, Value::Str(_)) => Ok(None),
            (Type::Float, Value::Int(_) | Value::Float(_)) => Ok(None),
            (Type::Quantity, Value::Str(_) | Value::Int(_) | Value::Float(_)) => quantity(value),
            (Type::Time, Value::Str(s)) => time(s, value, false),
            (Type::MicroTime, Value::Str(s)) => time(s, value, true),
            (Type::Bytes, Value::Str(s)) => base64(s).map(|()| None),
            (Type::Int32 | Type::Int64 | Type::IntOrString, Value::Int(_) | Value::Float(_)) => {
                Err(mismatch(value, &format!(" {}", number_text(value)), ty, path))
            }
            (Type::Quantity, _) => Err(crate::quantity::ERR_FORMAT_WRONG.to_string()),
            _ => Err(mismatch(value, "", ty, path)),
        }
    }

    fn map(&mut self, elem: &Type, fields: &Rc<Fields>, path: &Path) -> Change {
        let mut out = Output { original: fields.entries(), taken: 0, changed: None };
        for (key, value) in fields.iter() {
            let change = match value {
                Value::Null if self.loose => None,
                Value::Null => Some(zero_elem(elem)),
                _ => self.value(elem, value, &Path::Key(path, key))?,
            };
            match change {
                None => out.keep(),
                Some(new) => out.replace(key, new),
            }
        }
        Ok(out.changed.map(|entries| Fields::from_entries(entries).into()))
    }

    fn list(&mut self, elem: &Type, items: &Rc<Vec<Value>>, path: &Path) -> Change {
        let mut changed: Option<Vec<Value>> = None;
        for (i, item) in items.iter().enumerate() {
            let change = match item {
                Value::Null if self.loose => None,
                Value::Null => Some(zero_elem(elem)),
                _ => self.value(elem, item, &Path::Index(path, i))?,
            };
            match (change, &mut changed) {
                (None, None) => {}
                (None, Some(list)) => list.push(item.clone()),
                (Some(new), Some(list)) => list.push(new),
                (Some(new), None) => {
                    let mut list = Vec::with_capacity(items.len());
                    list.extend_from_slice(&items[..i]);
                    list.push(new);
                    changed = Some(list);
                }
            }
        }
        Ok(changed.map(Value::list))
    }
}

/// What a null element of a list or map becomes.
fn zero_elem(elem: &Type) -> Value {
    let mut field = Field::new("", elem.clone());
    (field.required, field.by_value) = (true, true);
    zero_field(&field).unwrap_or_default()
}

fn number_text(value: &Value) -> String {
    match value {
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 1e15 => format!("{f:.1}"),
        other => crate::json::to_string(other),
    }
}

fn quantity(value: &Value) -> Change {
    let canonical = Quantity::from_value(value).map_err(str::to_string)?.canonical();
    Ok((value.as_str() != Some(&canonical)).then(|| canonical.into()))
}

/// Checks standard base64 with padding; line breaks are skipped, as Go does.
fn base64(text: &str) -> Result<(), String> {
    let corrupt = |i: usize| Err(format!("illegal base64 data at input byte {i}"));
    let (mut digits, mut padding) = (0, 0);
    for (i, c) in text.bytes().enumerate() {
        match c {
            b'\r' | b'\n' => {}
            b'=' if padding < 2 && (digits % 4 >= 2 || padding > 0) && (digits + padding) % 4 != 0 => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => digits += 1,
            _ => return corrupt(i),
        }
    }
    match ((digits + padding) % 4, padding) {
        (0, _) => Ok(()),
        // Go names the beginning of the group that is not complete, or the end if there is padding.
        (_, 0) => corrupt(text.len() - digits % 4),
        _ => corrupt(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{of, parse_json};
    use super::*;
    use crate::gvr::Gvk;

    fn check(gvk: (&str, &str, &str), input: &str) -> Result<(String, String), String> {
        let value = parse_json(input.as_bytes()).unwrap().value;
        let d = decode(&of(Gvk::new(gvk.0, gvk.1, gvk.2)).unwrap(), &value)?;
        Ok((format!("{:?}", d.value), d.unknown.join(" ")))
    }

    #[test]
    fn wrong_types_read_as_in_go() {
        let pod = ("", "v1", "Pod");
        for (gvk, input, error) in [
            (pod, r#"{"spec":"x"}"#, "string into Go struct field Pod.spec of type v1.PodSpec"),
            (
                pod,
                r#"{"spec":{"containers":[{"ports":[{"containerPort":80.5}]}]}}"#,
                "number 80.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
            ),
            (
                pod,
                r#"{"spec":{"volumes":[{"iscsi":{"lun":4294967296}}]}}"#,
                "number 4294967296 into Go struct field ISCSIVolumeSource.spec.volumes.VolumeSource.iscsi.lun of type int32",
            ),
            (
                pod,
                r#"{"spec":{"containers":[{"resources":{"limits":[]}}]}}"#,
                "array into Go struct field ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList",
            ),
            (pod, r#"{"metadata":{"labels":{"a":1}}}"#, "number into Go struct field ObjectMeta.metadata.labels of type string"),
            (
                ("", "v1", "Service"),
                r#"{"spec":{"ports":[{"port":"x"}]}}"#,
                "string into Go struct field ServicePort.spec.ports.port of type int32",
            ),
        ] {
            assert_eq!(check(gvk, input).unwrap_err(), format!("json: cannot unmarshal {error}"));
        }
        assert_eq!(
            check(pod, r#"{"metadata":{"creationTimestamp":"yesterday"}}"#).unwrap_err(),
            r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#
        );
        assert_eq!(
            check(("", "v1", "Secret"), r#"{"data":{"a":"not base64!"}}"#).unwrap_err(),
            "illegal base64 data at input byte 3"
        );
    }

    #[test]
    fn unknown_empty_and_null_members_go() {
        let (value, unknown) = check(
            ("apps", "v1", "Deployment"),
            r#"{"bogus":1,"metadata":{"labels":{},"name":null},"spec":{"replicas":0,"paused":false,"minReadySeconds":0,
                "template":{"spec":{"containers":[{"name":"c","img":1,"env":[],"resources":{"limits":{"cpu":"0.5"}}}]}}}}"#,
        )
        .unwrap();
        assert_eq!(unknown, "bogus spec.template.spec.containers[0].img");
        assert_eq!(
            value,
            r#"{"metadata":{},"spec":{"replicas":0,"selector":null,"strategy":{},"template":{"metadata":{},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"500m"}}}]}}},"status":{}}"#
        );
    }

    #[test]
    fn what_is_as_it_was_is_not_walked_and_what_is_not_is() {
        let ty = of(Gvk::new("", "v1", "Pod")).unwrap();
        let pod = crate::value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}]}, "status": {}});
        let before = decode(&ty, &pod).unwrap().value;
        let mut patched = before.clone();
        patched.set_at(&["metadata", "labels"], crate::value!({"a": "b"}));
        patched.set_at(&["metadata", "bogus"], 1);
        let beside = decode_beside(&ty, &patched, Some(&before)).unwrap();
        assert_eq!(beside.unknown, ["metadata.bogus"]);
        assert_eq!(beside.value, decode(&ty, &patched).unwrap().value);
        // It is trusted, not looked at: a value that was never decoded passes.
        patched.set_at(&["spec", "bogus"], 1);
        assert_eq!(decode_beside(&ty, &patched, Some(&before)).unwrap().unknown, ["metadata.bogus", "spec.bogus"]);
        assert_eq!(decode_beside(&ty, &patched, Some(&patched)).unwrap().unknown, [""; 0]);
        patched.set_at(&["status", "phase"], 1);
        assert!(decode_beside(&ty, &patched, Some(&before)).is_err());
    }

    #[test]
    fn what_needs_no_change_is_the_same_allocation() {
        let value = crate::value!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}]}, "status": {}});
        let d = decode(&of(Gvk::new("", "v1", "Pod")).unwrap(), &value).unwrap();
        assert!(d.value.ptr_eq(&value), "{:?}", d.value);
    }
}
