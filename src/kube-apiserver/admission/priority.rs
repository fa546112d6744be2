//! Priority: a pod's class becomes its number; one class at most is the default.

use apimachinery::status::Status;
use apimachinery::{Object, Value, Verb, resources};

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct Priority;

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::pods()) {
            return Ok(());
        }
        let named = a.object.str_at(&["spec", "priorityClassName"]).unwrap_or("").to_string();
        let class = match &*named {
            "" => default_class(server),
            name => Some(
                server
                    .peek(resources::priorityclasses(), "", name)
                    .ok_or_else(|| a.forbidden(format!("no PriorityClass with name {name} was found")))?,
            ),
        };
        let number = class.and_then(|c| c.int_at(&["value"])).unwrap_or(0);
        let policy = class.and_then(|c| c.str_at(&["preemptionPolicy"])).unwrap_or("PreemptLowerPriority").to_string();
        if let Some(given) = a.object.int_at(&["spec", "priority"])
            && given != number
        {
            return Err(a.forbidden(format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {number} from the given PriorityClass name"
            )));
        }
        if let Some(given) = a.object.str_at(&["spec", "preemptionPolicy"])
            && given != policy
        {
            return Err(a.forbidden(format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            )));
        }
        let class_name = class.map(|c| c.name().to_string());
        if let Some(name) = class_name.filter(|n| *n != named) {
            a.object.set_at(&["spec", "priorityClassName"], name);
        }
        a.object.set_at(&["spec", "priority"], number);
        a.object.set_at(&["spec", "preemptionPolicy"], Value::sym(&policy));
        Ok(())
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if a.gvr != resources::priorityclasses() || !matches!(a.verb, Verb::Create | Verb::Update) {
            return Ok(());
        }
        if a.object.bool_at(&["globalDefault"]) != Some(true) {
            return Ok(());
        }
        match default_class(server) {
            Some(other) if other.name() != a.object.name() => Err(
                a.forbidden(format!("PriorityClass {} is already marked as default. Only one default can exist", other.name()))
            ),
            _ => Ok(()),
        }
    }
}

/// The class that pods without one get.
fn default_class(server: &ApiServer) -> Option<&Object> {
    server
        .all(resources::priorityclasses(), "")
        .filter(|c| c.bool_at(&["globalDefault"]) == Some(true))
        .min_by_key(|c| c.int_at(&["value"]))
}
