//! TaintNodesByCondition: a new node is not ready until its controller says so.

use apimachinery::status::Status;
use apimachinery::{resources, value};

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }
    fn admit(&self, _server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::nodes()) {
            return Ok(());
        }
        let taint = value!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
        let same = |t: &apimachinery::Value| t.get("key") == taint.get("key") && t.get("effect") == taint.get("effect");
        if !a.object.list_at(&["spec", "taints"]).iter().any(same) {
            a.object.value_mut().entry(&["spec", "taints"]).list_mut().push(taint);
        }
        Ok(())
    }
}
