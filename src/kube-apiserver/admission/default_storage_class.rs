//! DefaultStorageClass: a claim that names no class gets the default one.

use apimachinery::resources;
use apimachinery::status::Status;

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct DefaultStorageClass;

impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::persistentvolumeclaims()) || !api::storage::names_no_class(&a.object) {
            return Ok(());
        }
        let default = api::storage::default_class(server.all(resources::storageclasses(), ""));
        if let Some(name) = default.map(|c| c.name().to_string()) {
            a.object.set_at(&["spec", "storageClassName"], name);
        }
        Ok(())
    }
}
