//! PersistentVolumeClaimResize: a claim grows only where its class allows it.

use apimachinery::status::Status;
use apimachinery::{Object, Quantity, resources};

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct PersistentVolumeClaimResize;

fn size(claim: &Object) -> i64 {
    let value = claim.at(&["spec", "resources", "requests", "storage"]);
    value.and_then(|v| Quantity::from_value(v).ok()).map_or(0, |q| q.value())
}

impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        let Some(old) = a.old.as_ref().filter(|_| a.updates(resources::persistentvolumeclaims())) else { return Ok(()) };
        if size(&a.object) <= size(old) {
            return Ok(());
        }
        if old.str_at(&["status", "phase"]) != Some("Bound") {
            return Err(a.forbidden("only bound persistent volume claims can be expanded"));
        }
        let class = old.str_at(&["spec", "storageClassName"]).unwrap_or("");
        let class = server.peek(resources::storageclasses(), "", class);
        if class.and_then(|c| c.bool_at(&["allowVolumeExpansion"])) == Some(true) {
            return Ok(());
        }
        Err(a.forbidden(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        ))
    }
}
