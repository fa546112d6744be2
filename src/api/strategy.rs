//! What a kind is beyond its schema: one [`Strategy`] each. Models `registry/rest` of apiserver and `pkg/registry/*/strategy.go`.
//!
//! The generic registry of kube-apiserver drives every write through these hooks in upstream's order; a kind without rules of
//! its own gets all of them from [`Kind`], the facts of its registry line.

use std::borrow::Cow;

use apimachinery::field::ErrorList;
use apimachinery::{Gvk, Gvr, Object, Value};
use base::{Duration, Time};

use crate::meta;
use crate::printers::{self, Column};

/// How a name is validated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameRule {
    /// `IsDNS1123Subdomain`
    DnsSubdomain,
    /// `IsDNS1123Label`
    DnsLabel,
    /// `IsDNS1035Label`
    Dns1035Label,
    /// A path segment: RBAC, pods' volumes of old; `IsValidPathSegmentName`.
    PathSegment,
    /// An IP address in canonical form (`ipaddresses`).
    IpAddress,
    /// Checked by the kind itself.
    Own,
}

/// Where `scale` finds its numbers in an object.
#[derive(Clone, Copy, Debug)]
pub struct ScalePaths {
    pub spec_replicas: &'static [&'static str],
    pub status_replicas: &'static [&'static str],
    /// `LabelSelector`, or a plain map (ReplicationController).
    pub selector: &'static [&'static str],
}

/// The numbers of an object's `Scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub spec_replicas: i64,
    pub status_replicas: i64,
    /// As text; empty for none.
    pub selector: String,
}

/// The facts of a resource: of a built-in one its registry line.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    /// Plural and lower case.
    pub resource: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// Has a `status` subresource: create and update drop or keep `status`.
    pub has_status: bool,
    /// `metadata.generation` counts changes of everything but metadata and status.
    pub has_generation: bool,
    /// The map of metadata (`annotations`, `labels`) whose changes count as well; empty for none.
    pub generation_of: &'static str,
    /// PUT of a name that does not exist creates it.
    pub allow_create_on_update: bool,
    /// PUT without a resourceVersion overwrites.
    pub allow_unconditional_update: bool,
    /// Deletion waits for somebody to confirm it (pods).
    pub graceful: bool,
    /// Owners are deleted in the background by default; `orphan` was the default of old kinds in `v1` (none of today's).
    pub orphan_by_default: bool,
    pub name_rule: NameRule,
    pub scale: Option<ScalePaths>,
    /// Field selectors besides `metadata.name` and `metadata.namespace`: name, path to a scalar.
    pub selectable: &'static [(&'static str, &'static [&'static str])],
    /// A virtual kind: answered at once, never stored (reviews, bindings).
    pub virtual_kind: bool,
}

impl Kind {
    /// A registry line without anything special.
    pub const fn namespaced(group: &'static str, resource: &'static str, kind: &'static str) -> Kind {
        Kind {
            group,
            version: "v1",
            resource,
            kind,
            namespaced: true,
            has_status: false,
            has_generation: false,
            generation_of: "",
            allow_create_on_update: false,
            allow_unconditional_update: true,
            graceful: false,
            orphan_by_default: false,
            name_rule: NameRule::DnsSubdomain,
            scale: None,
            selectable: &[],
            virtual_kind: false,
        }
    }
    pub const fn cluster(group: &'static str, resource: &'static str, kind: &'static str) -> Kind {
        Kind { namespaced: false, ..Kind::namespaced(group, resource, kind) }
    }
    pub const fn status(self) -> Kind {
        Kind { has_status: true, ..self }
    }
    pub const fn generation(self) -> Kind {
        Kind { has_generation: true, ..self }
    }
    /// The generation counts changes of this map of metadata as well.
    pub const fn generation_and(self, map: &'static str) -> Kind {
        Kind { has_generation: true, generation_of: map, ..self }
    }
    pub const fn create_on_update(self) -> Kind {
        Kind { allow_create_on_update: true, ..self }
    }
    /// An update must name a resourceVersion.
    pub const fn conditional(self) -> Kind {
        Kind { allow_unconditional_update: false, ..self }
    }
    pub const fn names(self, name_rule: NameRule) -> Kind {
        Kind { name_rule, ..self }
    }
    pub const fn scaled(self, selector: &'static [&'static str]) -> Kind {
        let scale = ScalePaths { spec_replicas: &["spec", "replicas"], status_replicas: &["status", "replicas"], selector };
        Kind { scale: Some(scale), ..self }
    }
    pub const fn select(self, selectable: &'static [(&'static str, &'static [&'static str])]) -> Kind {
        Kind { selectable, ..self }
    }
    /// Answered at once, never stored.
    pub const fn not_stored(self) -> Kind {
        Kind { virtual_kind: true, ..self }
    }

    pub fn gvr(&self) -> Gvr {
        Gvr::new(self.group, self.version, self.resource)
    }
    pub fn gvk(&self) -> Gvk {
        Gvk::new(self.group, self.version, self.kind)
    }
}

/// The rules of a kind. Everything that does not apply has an empty default.
///
/// Order of a create: decode → `default` → mutating admission → `default` → `prepare_for_create` → `validate` →
/// `warnings` → `canonicalize` → validating admission → store. Of an update: the same with the `_update` hooks.
pub trait Strategy {
    /// The facts of the registry line.
    fn kind(&self) -> &Kind;

    /// Versioned defaulting (`pkg/apis/*/v1/defaults.go`) plus the zero values that Go always prints. Idempotent; an object that
    /// has its defaults is not copied.
    fn default(&self, _obj: &mut Object) {}

    /// Drops what a creator may not set (status) and starts the generation at 1.
    fn prepare_for_create(&self, obj: &mut Object) {
        meta::reset_for_create(self.kind(), obj);
    }

    /// Keeps what an update may not touch (status) and bumps the generation when anything but metadata and status changed.
    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        meta::keep_status(self.kind(), new, old);
        meta::bump_generation(self.kind(), new, old);
    }

    /// What create and update through the object's own path can't change: whoever writes it doesn't come to own it. Models
    /// `GetResetFields`.
    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        meta::reset_fields(self.kind())
    }

    /// All mistakes of a new object, its metadata included.
    fn validate(&self, obj: &Object, errors: &mut ErrorList) {
        meta::validate(self.kind(), obj, errors);
    }

    /// All mistakes of an update. The default checks metadata only.
    fn validate_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(self.kind(), new, old, errors);
    }

    /// Texts of `Warning` headers; `old` is none on create.
    fn warnings(&self, _new: &Object, _old: Option<&Object>) -> Vec<String> {
        Vec::new()
    }

    /// Puts a valid object into the form it is stored in.
    fn canonicalize(&self, _obj: &mut Object) {}

    /// For `…/status`: everything but status (and metadata's labels etc., as the kind has it) stays as it was.
    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        meta::keep_all_but_status(new, old);
    }

    fn validate_status_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(self.kind(), new, old, errors);
    }

    /// Another subresource that writes the object: `pods/ephemeralcontainers`, `pods/resize`, `certificatesigningrequests/approval`,
    /// `namespaces/finalize`. `false`: the kind has no such subresource.
    fn prepare_for_subresource_update(&self, _subresource: &str, _new: &mut Object, _old: &Object) -> bool {
        false
    }

    fn validate_subresource_update(&self, _subresource: &str, _new: &Object, _old: &Object, _errors: &mut ErrorList) {}

    /// The grace period of a deletion: what was asked for, or the object's own. `None`: delete at once.
    fn grace_period(&self, _obj: &Object, _asked: Option<Duration>) -> Option<Duration> {
        None
    }

    /// The value of a field selector's field as text; `None`: the kind does not know the field.
    fn selectable_field(&self, obj: &Object, name: &str) -> Option<String> {
        meta::selectable_field(self.kind(), obj, name)
    }

    /// The text of the 400 for a field selector with an unknown field; `None`: the field is known.
    fn unknown_field(&self, name: &str) -> Option<String> {
        meta::unknown_field(self.kind(), name)
    }

    /// What the object's `Scale` shows; `None`: it has none. The error is that of a 500.
    fn scale(&self, obj: &Object) -> Option<Result<Scale, String>> {
        self.kind().scale.as_ref().map(|paths| Ok(meta::scale(paths, obj)))
    }

    /// Writes the replicas of a `Scale`; `false`: there is no such subresource.
    fn set_replicas(&self, obj: &mut Object, replicas: i64) -> bool {
        let Some(paths) = &self.kind().scale else { return false };
        obj.set_at(paths.spec_replicas, replicas);
        true
    }

    /// The columns of the server-side Table.
    fn columns(&self) -> Cow<'_, [Column]> {
        Cow::Borrowed(printers::columns(self.kind()))
    }

    /// The cells of a Table row, wide columns included, in the order of `columns`.
    fn row(&self, obj: &Object, now: Time) -> Vec<Value> {
        printers::row(self.kind(), obj, now)
    }
}
