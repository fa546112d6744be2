//! Label and field selectors of a request, put together for matching.

use std::rc::Rc;

use api::Strategy;
use apimachinery::status::Status;
use apimachinery::{Object, Request, Value, fields, labels};

/// What a list or watch wants to see.
#[derive(Clone, Debug)]
pub struct Filter {
    pub labels: labels::Selector,
    pub fields: Rc<[Requirement]>,
}

/// One condition on a field, with the way to it found beforehand.
#[derive(Clone, Debug)]
pub struct Requirement {
    pub field: Rc<str>,
    place: Place,
    pub not_equals: bool,
    pub value: Rc<str>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Name,
    Namespace,
    Path(&'static [&'static str]),
    /// The kind computes it.
    Computed,
}

impl Filter {
    /// From the request's texts. Errors are upstream's 400s.
    pub fn parse(strategy: &dyn Strategy, request: &Request) -> Result<Filter, Status> {
        let labels = match request.options.label_selector.as_deref() {
            None | Some("") => labels::Selector::everything(),
            Some(text) => labels::Selector::parse(text).map_err(Status::bad_request)?,
        };
        let selector = match request.options.field_selector.as_deref() {
            None | Some("") => fields::Selector::everything(),
            Some(text) => fields::Selector::parse(text).map_err(Status::bad_request)?,
        };
        let mut requirements = Vec::with_capacity(selector.requirements().len() + 1);
        for r in selector.requirements() {
            if let Some(text) = strategy.unknown_field(&r.field) {
                return Err(Status::bad_request(text));
            }
            requirements.push(Requirement::new(strategy, r.field.clone(), r.not_equals, r.value.clone()));
        }
        Ok(Filter { labels, fields: requirements.into() })
    }

    /// The same, for one name only.
    pub fn with_name(mut self, strategy: &dyn Strategy, name: &Rc<str>) -> Filter {
        let mut fields = self.fields.to_vec();
        fields.push(Requirement::new(strategy, "metadata.name".into(), false, name.clone()));
        self.fields = fields.into();
        self
    }

    pub fn is_everything(&self) -> bool {
        self.fields.is_empty() && self.labels.is_everything()
    }

    pub fn matches(&self, strategy: &dyn Strategy, object: &Object) -> bool {
        self.fields.iter().all(|r| r.matches(strategy, object))
            && (self.labels.is_everything() || self.labels.matches(object.labels()))
    }

    /// The value that a field must have, if the selector says so.
    pub fn exact(&self, field: &str) -> Option<&Rc<str>> {
        self.fields.iter().find(|r| !r.not_equals && *r.field == *field).map(|r| &r.value)
    }
}

impl Requirement {
    fn new(strategy: &dyn Strategy, field: Rc<str>, not_equals: bool, value: Rc<str>) -> Requirement {
        let place = match &*field {
            "metadata.name" => Place::Name,
            "metadata.namespace" => Place::Namespace,
            name => match strategy.kind().selectable.iter().find(|(n, _)| *n == name) {
                Some((_, path)) => Place::Path(path),
                None => Place::Computed,
            },
        };
        Requirement { field, place, not_equals, value }
    }

    fn matches(&self, strategy: &dyn Strategy, object: &Object) -> bool {
        let equal = match self.place {
            Place::Name => object.name() == &*self.value,
            Place::Namespace => object.namespace() == &*self.value,
            Place::Path(path) => match object.at(path) {
                Some(Value::Str(s)) => **s == *self.value,
                _ => strategy.selectable_field(object, &self.field).unwrap_or_default() == *self.value,
            },
            Place::Computed => strategy.selectable_field(object, &self.field).unwrap_or_default() == *self.value,
        };
        equal != self.not_equals
    }
}
