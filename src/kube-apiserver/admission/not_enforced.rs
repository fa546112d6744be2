//! What the bottle stores and does not call or enforce: webhooks, admission policies, rules in CEL, some fields. Their creator is told.
//! Conversion by webhooks is refused: objects would be served in versions that they aren't in.

use apimachinery::status::Status;
use apimachinery::{Value, Verb};

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct NotEnforced;

/// Fields without effect, of (group, resource), and whether a value of theirs asks for something.
type Field = (&'static str, &'static str, &'static [&'static str], fn(&Value) -> bool);
const FIELDS: &[Field] = &[
    ("", "services", &["spec", "loadBalancerSourceRanges"], |v| v.as_list().is_some_and(|ranges| !ranges.is_empty())),
    ("", "services", &["spec", "trafficDistribution"], |v| v.as_str().is_some()),
    // One at a time is what happens.
    ("apps", "statefulsets", &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"], |v| v.as_i64() != Some(1)),
];

/// A warning for each field that is set, and was not set so before.
fn fields(a: &Attributes) -> Vec<String> {
    let of_kind = FIELDS.iter().filter(|(group, resource, ..)| a.gvr.group == *group && a.gvr.resource == *resource);
    let set = of_kind.filter(|(_, _, path, asks)| {
        let value = a.object.at(path);
        value.is_some_and(asks) && a.old.as_ref().is_none_or(|old| old.at(path) != value)
    });
    set.map(|(_, _, path, _)| format!("{} is stored but has no effect in this bottle", path.join("."))).collect()
}

impl Plugin for NotEnforced {
    fn name(&self) -> &'static str {
        "NotEnforced"
    }
    fn admit(&self, _server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !matches!(a.verb, Verb::Create | Verb::Update) {
            return Ok(());
        }
        if a.subresource.is_empty() {
            let warnings = fields(a);
            a.warnings.extend(warnings);
        }
        let group = &*a.gvr.group.text();
        let why = match group {
            "admissionregistration.k8s.io" => "is stored but not enforced",
            "apiextensions.k8s.io" => {
                if a.subresource.is_empty() && a.old.as_ref().is_none_or(|old| old.get("spec") != a.object.get("spec")) {
                    a.warnings.extend(api::apiextensions::not_enforced(&a.object));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        a.warnings.push(format!("{} {why} in this bottle", a.kind.kind));
        Ok(())
    }
    fn validate(&self, _server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        let by_webhook = a.object.str_at(&["spec", "conversion", "strategy"]) == Some("Webhook");
        match a.gvr.group == "apiextensions.k8s.io" && by_webhook {
            true => Err(Status::not_implemented("spec.conversion.strategy Webhook of a CustomResourceDefinition")),
            false => Ok(()),
        }
    }
}
