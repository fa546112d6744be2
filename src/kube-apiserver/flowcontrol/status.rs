//! The condition `Dangling` of FlowSchemas: whether the level that they name exists. Models `syncFlowSchemaStatus`.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, key, value};
use base::Time;
use sim::Outbox;

use super::{flow_schemas, priority_levels};
use crate::server::ApiServer;

/// Status, reason and message of the condition.
fn wanted(level: &str, exists: bool) -> [String; 3] {
    let name = apimachinery::field::go_quote(level);
    let named = format!("This FlowSchema references the PriorityLevelConfiguration object named {name}");
    match exists {
        true => ["False".into(), "Found".into(), format!("{named} and it exists")],
        false => ["True".into(), "NotFound".into(), format!("{named} but there is no such object")],
    }
}

fn dangling(schema: &Object) -> Option<&Value> {
    schema.list_at(&["status", "conditions"]).iter().find(|c| c.str_at(&["type"]) == Some("Dangling"))
}

impl ApiServer {
    /// Writes the condition of each schema whose level has come or gone.
    pub(super) fn tell_schemas(&mut self, now: Time, out: &mut Outbox) {
        let gone = std::mem::take(&mut self.flow.gone);
        let mut writes = Vec::new();
        for schema in self.all(flow_schemas(), "") {
            let level = schema.str_at(&["spec", "priorityLevelConfiguration", "name"]).unwrap_or("");
            let exists = self.peek(priority_levels(), "", level).is_some();
            let has = |texts: &[String; 3]| {
                let has = dangling(schema);
                let text = |field| has.and_then(|c| c.str_at(&[field])).unwrap_or("");
                [text("status"), text("reason"), text("message")] == texts.each_ref().map(String::as_str)
            };
            let texts = wanted(level, exists);
            // A schema may come before its level of the same moment; what it says of itself is believed unless the level went.
            if has(&texts) || !exists && !gone.contains(level) && has(&wanted(level, true)) {
                continue;
            }
            writes.push((schema.clone(), texts));
        }
        for (schema, texts) in writes {
            self.write_dangling(&schema, texts, now, out);
        }
    }

    fn write_dangling(&mut self, schema: &Object, [status, reason, message]: [String; 3], now: Time, out: &mut Outbox) {
        let same = dangling(schema).filter(|c| c.str_at(&["status"]) == Some(&status));
        let since = same.and_then(|c| c.str_at(&["lastTransitionTime"])).map_or_else(|| now.rfc3339(), Into::into);
        let patch = value!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": (schema.name())},
            "status": {"conditions": [{
                "type": "Dangling", "status": status, "reason": reason, "message": message, "lastTransitionTime": since
            }]}
        });
        let name: Rc<str> = schema.name().into();
        let mut request = Request::patch_status(flow_schemas(), &ObjectKey::new("", &name), PatchType::Apply, patch);
        request.options.field_manager = Some(key("api-priority-and-fairness-config-consumer-v1"));
        request.options.force = true;
        self.own_request(request, now, out);
    }
}
