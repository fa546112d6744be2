//! A strategy put together from functions: what most kinds need. Kinds with more to say implement [`Strategy`] themselves.

use apimachinery::field::ErrorList;
use apimachinery::{Object, Value};

use crate::check::Wrong;
use crate::edit::{Edit, edit};
use crate::meta;
use crate::strategy::{Kind, Strategy};

/// The rules of a kind as functions; metadata is handled by the registry line.
pub struct Rules {
    pub kind: Kind,
    pub default: fn(&mut Edit),
    /// After the generic reset on create.
    pub create: fn(&mut Edit),
    /// The status of a new object: the zero values that Go prints.
    pub new_status: Option<fn() -> Value>,
    /// Everything but metadata. Runs on create and, unless `update_validates_all` is off, on update.
    pub validate: fn(&Object, &mut ErrorList),
    /// What only an update can do wrong: new, old.
    pub update: fn(&Object, &Object, &mut ErrorList),
    pub update_validates_all: bool,
    /// Changes a new version before it is validated: new, old.
    pub prepare_update: fn(&mut Object, &Object),
    /// What `prepare_update` keeps besides the status, with the status ([`Strategy::reset_fields`]).
    pub reset_fields: Option<&'static [&'static [&'static str]]>,
    /// new, old
    pub status: fn(&Object, &Object, &mut ErrorList),
    pub warnings: fn(&Object, Option<&Object>, &mut Vec<String>),
    /// The form a valid object is stored in.
    pub canonicalize: fn(&mut Edit),
    /// A name rule of its own, with [`NameRule::Own`](crate::NameRule::Own).
    pub name: Option<fn(&str, bool) -> Wrong>,
    /// A subresource that updates the object, and what it may write (new, old).
    pub subresource: Option<(&'static str, fn(&mut Object, &Object))>,
    /// What an update of that subresource can do wrong: new, old.
    pub subresource_update: fn(&Object, &Object, &mut ErrorList),
}

impl Rules {
    pub const fn of(kind: Kind) -> Rules {
        Rules {
            kind,
            default: |_| {},
            create: |_| {},
            new_status: None,
            validate: |_, _| {},
            update: |_, _, _| {},
            update_validates_all: true,
            prepare_update: |_, _| {},
            reset_fields: None,
            status: |_, _, _| {},
            warnings: |_, _, _| {},
            canonicalize: |_| {},
            name: None,
            subresource: None,
            subresource_update: |_, _, _| {},
        }
    }
}

impl Strategy for Rules {
    fn kind(&self) -> &Kind {
        &self.kind
    }
    fn default(&self, obj: &mut Object) {
        edit(obj, self.default);
    }
    fn prepare_for_create(&self, obj: &mut Object) {
        meta::reset_for_create(&self.kind, obj);
        if let Some(status) = self.new_status {
            obj.set_at(&["status"], status());
        }
        edit(obj, self.create);
    }
    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        meta::keep_status(&self.kind, new, old);
        (self.prepare_update)(new, old);
        meta::bump_generation(&self.kind, new, old);
    }
    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        self.reset_fields.unwrap_or_else(|| meta::reset_fields(&self.kind))
    }
    fn validate(&self, obj: &Object, errors: &mut ErrorList) {
        match self.name {
            _ if self.kind.virtual_kind => {}
            Some(check) => meta::validate_named(&self.kind, obj, errors, check),
            None => meta::validate(&self.kind, obj, errors),
        }
        (self.validate)(obj, errors);
    }
    fn validate_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(&self.kind, new, old, errors);
        if self.update_validates_all {
            (self.validate)(new, errors);
        }
        (self.update)(new, old, errors);
    }
    fn warnings(&self, new: &Object, old: Option<&Object>) -> Vec<String> {
        let mut out = Vec::new();
        (self.warnings)(new, old, &mut out);
        out
    }
    fn canonicalize(&self, obj: &mut Object) {
        edit(obj, self.canonicalize);
    }
    fn validate_status_update(&self, new: &Object, old: &Object, errors: &mut ErrorList) {
        meta::validate_update(&self.kind, new, old, errors);
        (self.status)(new, old, errors);
    }
    fn prepare_for_subresource_update(&self, subresource: &str, new: &mut Object, old: &Object) -> bool {
        match self.subresource {
            Some((name, prepare)) if name == subresource => {
                prepare(new, old);
                true
            }
            _ => false,
        }
    }
    fn validate_subresource_update(&self, subresource: &str, new: &Object, old: &Object, errors: &mut ErrorList) {
        if self.subresource.is_some_and(|(name, _)| name == subresource) {
            (self.subresource_update)(new, old, errors);
        }
    }
}
