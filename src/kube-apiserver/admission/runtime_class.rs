//! RuntimeClass: what a class adds to the pods that name it: overhead, node selector, tolerations.

use apimachinery::status::Status;
use apimachinery::{Value, resources};

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct RuntimeClass;

impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::pods()) {
            return Ok(());
        }
        let Some(name) = a.object.str_at(&["spec", "runtimeClassName"]).map(str::to_string) else {
            return match a.object.at(&["spec", "overhead"]) {
                Some(v) if v.as_map().is_some_and(|m| !m.is_empty()) => {
                    Err(a.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
                }
                _ => Ok(()),
            };
        };
        let Some(class) = server.peek(resources::runtimeclasses(), "", &name).cloned() else {
            return Err(a.forbidden(format!("pod rejected: RuntimeClass \"{name}\" not found")));
        };
        if let Some(overhead) = class.at(&["overhead", "podFixed"]) {
            match a.object.at(&["spec", "overhead"]) {
                Some(given) if given != overhead => {
                    return Err(a.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
                }
                _ => a.object.set_at(&["spec", "overhead"], overhead),
            }
        }
        for (k, v) in class.map_at(&["scheduling", "nodeSelector"]).into_iter().flatten() {
            let selector = a.object.value_mut().entry(&["spec", "nodeSelector"]).map_mut();
            if let Some(given) = selector.get(k).filter(|given| *given != v).and_then(Value::as_str) {
                let class = v.as_str().unwrap_or("");
                let why = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{k}] = {class}; pod.spec.nodeSelector[{k}] = {given}"
                );
                return Err(a.forbidden(why));
            }
            selector.insert(k.clone(), v.clone());
        }
        for toleration in class.list_at(&["scheduling", "tolerations"]) {
            let all: &mut Vec<Value> = a.object.value_mut().entry(&["spec", "tolerations"]).list_mut();
            if !all.contains(toleration) {
                all.push(toleration.clone());
            }
        }
        Ok(())
    }
}
