//! StorageObjectInUseProtection: volumes and claims are not deleted under those who use them.

use apimachinery::status::Status;
use apimachinery::{Gvr, Value, resources};

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct StorageObjectInUseProtection;

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }
    fn admit(&self, _server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        let finalizer = if a.creates(resources::persistentvolumes()) {
            "kubernetes.io/pv-protection"
        } else if a.creates(resources::persistentvolumeclaims()) {
            "kubernetes.io/pvc-protection"
        } else if a.creates(Gvr::new("storage.k8s.io", "v1", "volumeattributesclasses")) {
            "kubernetes.io/vac-protection"
        } else {
            return Ok(());
        };
        if !a.object.finalizers().iter().any(|f| f.as_str() == Some(finalizer)) {
            a.object.value_mut().entry(&["metadata", "finalizers"]).list_mut().push(Value::sym(finalizer));
        }
        Ok(())
    }
}
