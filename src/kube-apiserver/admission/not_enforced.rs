//! What the bottle stores and does not call or enforce: webhooks, admission policies, rules in CEL. Their creator is told.
//! Conversion by webhooks is refused: objects would be served in versions that they aren't in.

use apimachinery::Verb;
use apimachinery::status::Status;

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct NotEnforced;

impl Plugin for NotEnforced {
    fn name(&self) -> &'static str {
        "NotEnforced"
    }
    fn admit(&self, _server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !matches!(a.verb, Verb::Create | Verb::Update) {
            return Ok(());
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
