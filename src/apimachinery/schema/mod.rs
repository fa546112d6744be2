//! What every kind looks like, as data: types, defaults, merge keys, list types; and the table of resources.
//!
//! The facts are `static/schema/*.txt` (made by `tools/schema/convert.py`), split into lines once per thread and parsed
//! definition by definition on first use. A CRD's types take the same form ([`structural`]); they belong to the state of
//! kube-apiserver, not to this table.

mod decode;
mod go_json;
mod go_time;
mod load;
mod resources;
mod structural;
mod tables;
mod unstructured;

use base::Sort as _;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::Rc;

pub use decode::{Decoded, decode, decode_beside, go_kind, zero};
pub(crate) use go_json::shared_key;
pub use go_json::{JsonError, Parsed, member_paths, parse as parse_json};
pub use load::{named, of};
pub use resources::{Resource, Subresource, group_versions, resource, resource_for_kind, resources, resources_in};
pub use structural::structural;
pub use tables::{Column, columns};
pub use unstructured::restore_error;

use crate::gvr::Gvk;
use crate::value::{Key, Value};

/// The type of a value.
#[derive(Clone)]
pub enum Type {
    Bool,
    Int32,
    Int64,
    Float,
    /// With the allowed values, if it is an enum (never checked when decoding: validation does that).
    String(Option<Rc<[Rc<str>]>>),
    /// base64
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// Anything: RawExtension, FieldsV1, JSON; unknown fields below are kept.
    Any,
    List(Rc<ListType>),
    Map(Rc<MapType>),
    Struct(Rc<StructType>),
}

pub struct ListType {
    pub elem: Type,
    pub kind: ListKind,
}

/// How server-side apply and managed fields see a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListKind {
    /// Owned as a whole.
    Atomic,
    /// Each scalar is owned for itself.
    Set,
    /// Each element is owned by its keys.
    Map(Vec<Key>),
}

/// A map with string keys that users choose.
pub struct MapType {
    pub elem: Type,
    /// Owned as a whole.
    pub atomic: bool,
}

/// A struct: known fields.
pub struct StructType {
    /// `io.k8s.api.core.v1.Pod`
    pub name: Rc<str>,
    /// Owned as a whole.
    pub atomic: bool,
    /// Fields that are not known are kept (CRDs: `x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// A custom resource's: decoding drops unknown fields and leaves all else as it came; validation judges it.
    pub loose: bool,
    /// A number of its own, for memos: an address may be used again.
    pub(crate) serial: u32,
    fields: OnceCell<Vec<Field>>,
    source: &'static str,
    /// The zero value: what an empty map becomes.
    zero: OnceCell<Value>,
}

/// A field of a struct. Fields are sorted by name.
#[derive(Clone)]
pub struct Field {
    pub name: Key,
    /// `f:name`, as field sets name it.
    pub path_key: Key,
    pub ty: Type,
    /// No `omitempty`: always written.
    pub required: bool,
    /// A struct by value: always written, `{}` if nothing else.
    pub by_value: bool,
    /// A pointer, list or map without `omitempty`: written as null if missing.
    pub null_if_missing: bool,
    /// A scalar by value with `omitempty`: not written when zero.
    pub drop_zero: bool,
    /// A default in OpenAPI (real defaulting is the strategies').
    pub default: Option<Value>,
    /// Strategic merge patch.
    pub patch: PatchStrategy,
    /// Overrides whether the type (a map or a struct) is owned as a whole.
    pub atomic: Option<bool>,
    /// The Go struct embedded here that holds the field, as decoding errors name it.
    pub embedded: Option<Rc<str>>,
    /// The Go name of a named scalar or map type.
    pub go_name: Option<Rc<str>>,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PatchStrategy {
    pub merge: bool,
    pub retain_keys: bool,
    /// The merge key of a list of maps.
    pub key: Option<Key>,
}

impl Field {
    /// A plain optional field, for building types at run time.
    pub fn new(name: &str, ty: Type) -> Field {
        Field {
            name: crate::key(name),
            path_key: crate::key(&format!("f:{name}")),
            ty,
            required: false,
            by_value: false,
            null_if_missing: false,
            drop_zero: false,
            default: None,
            patch: PatchStrategy::default(),
            atomic: None,
            embedded: None,
            go_name: None,
        }
    }
    /// Whether managed fields and apply see this field as one leaf.
    pub fn is_atomic(&self) -> bool {
        self.atomic.unwrap_or_else(|| self.ty.is_atomic())
    }
}

impl Type {
    pub fn is_atomic(&self) -> bool {
        match self {
            Type::List(l) => l.kind == ListKind::Atomic,
            Type::Map(m) => m.atomic,
            Type::Struct(s) => s.atomic,
            _ => true,
        }
    }
    pub fn as_struct(&self) -> Option<&Rc<StructType>> {
        if let Type::Struct(s) = self { Some(s) } else { None }
    }
    /// The name that `kubectl explain` prints: `string`, `[]Container`, `map[string]string`.
    pub fn explain_name(&self) -> String {
        match self {
            Type::Bool => "boolean".into(),
            Type::Int32 | Type::Int64 => "integer".into(),
            Type::Float => "number".into(),
            Type::String(_) | Type::Bytes => "string".into(),
            Type::Time => "Time".into(),
            Type::MicroTime => "MicroTime".into(),
            Type::Quantity => "Quantity".into(),
            Type::IntOrString => "IntOrString".into(),
            Type::Any => "Object".into(),
            Type::List(l) => format!("[]{}", l.elem.explain_name()),
            Type::Map(m) => format!("map[string]{}", m.elem.explain_name()),
            Type::Struct(s) => s.short_name().to_string(),
        }
    }
}

impl StructType {
    /// A type made at run time (a CRD's). `fields` in any order.
    pub fn new(name: &str, mut fields: Vec<Field>, atomic: bool, preserve_unknown: bool) -> StructType {
        fields.order_by(|a, b| a.name.cmp(&b.name));
        let cell = OnceCell::new();
        let _ = cell.set(fields);
        StructType { atomic, preserve_unknown, loose: true, fields: cell, ..StructType::unread(name.into(), "") }
    }
    /// Says of a field that it is always there.
    fn by_value(&mut self, name: &str) {
        if let Some(field) = self.fields.get_mut().and_then(|fields| fields.iter_mut().find(|f| &*f.name == name)) {
            field.by_value = true;
        }
    }
    /// A built-in type whose fields are parsed on first use.
    fn unread(name: Rc<str>, source: &'static str) -> StructType {
        thread_local!(static NEXT: Cell<u32> = const { Cell::new(0) });
        let serial = NEXT.replace(NEXT.get().wrapping_add(1));
        let (fields, zero) = (OnceCell::new(), OnceCell::new());
        StructType { name, atomic: false, preserve_unknown: false, loose: false, serial, fields, source, zero }
    }
    /// Sorted by name.
    pub fn fields(&self) -> &[Field] {
        self.fields.get_or_init(|| load::fields(self))
    }
    pub fn field(&self, name: &str) -> Option<&Field> {
        let fields = self.fields();
        fields.binary_search_by(|f| (*f.name).cmp(name)).ok().map(|i| &fields[i])
    }
    /// `Pod`
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or("")
    }
    /// `v1.Pod`, as Go prints it.
    pub fn go_name(&self) -> &str {
        let mut dots = self.name.rmatch_indices('.').skip(1);
        dots.next().map_or(&self.name, |(i, _)| &self.name[i + 1..])
    }
}

impl fmt::Debug for StructType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The field at a path of names, going through lists and maps: `spec.containers.ports`. For `kubectl explain`, completion
/// and apply's error texts.
pub fn field_at(gvk: Gvk, path: &[&str]) -> Option<Field> {
    let (last, parents) = path.split_last()?;
    let mut ty = of(gvk)?;
    for name in parents {
        let next = innermost(&ty.field(name)?.ty).as_struct()?.clone();
        ty = next;
    }
    ty.field(last).cloned()
}

/// What is left when lists and maps are unwrapped.
pub fn innermost(ty: &Type) -> &Type {
    match ty {
        Type::List(l) => innermost(&l.elem),
        Type::Map(m) => innermost(&m.elem),
        other => other,
    }
}
