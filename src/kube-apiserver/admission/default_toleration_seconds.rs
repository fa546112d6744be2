//! DefaultTolerationSeconds: a pod bears a lost node for five minutes.

use apimachinery::status::Status;
use apimachinery::{Value, resources, value};

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct DefaultTolerationSeconds;

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

thread_local! {
    /// What nearly every pod gets: one allocation for all.
    static BOTH: Value = TAINTS.map(toleration).to_vec().into();
}

fn toleration(key: &str) -> Value {
    value!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
}

impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }
    fn admit(&self, _server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !(a.creates(resources::pods()) || a.updates(resources::pods())) {
            return Ok(());
        }
        let tolerations = a.object.list_at(&["spec", "tolerations"]);
        if tolerations.is_empty() {
            a.object.set_at(&["spec", "tolerations"], BOTH.with(Value::clone));
            return Ok(());
        }
        let text = |t: &Value, name: &str| t.str_at(&[name]).unwrap_or("").to_string();
        let missing = TAINTS.into_iter().filter(|key| {
            !tolerations
                .iter()
                .any(|t| (text(t, "key") == *key || text(t, "key").is_empty()) && matches!(&*text(t, "effect"), "" | "NoExecute"))
        });
        let missing: Vec<Value> = missing.map(toleration).collect();
        if !missing.is_empty() {
            a.object.value_mut().entry(&["spec", "tolerations"]).list_mut().extend(missing);
        }
        Ok(())
    }
}
