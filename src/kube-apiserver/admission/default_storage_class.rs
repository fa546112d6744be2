//! DefaultStorageClass: a claim that names no class gets the default one.

use apimachinery::status::Status;
use apimachinery::{Object, resources};

use super::{Attributes, Plugin};
use crate::server::ApiServer;

pub struct DefaultStorageClass;

const ANNOTATION: &str = "storageclass.kubernetes.io/is-default-class";

impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::persistentvolumeclaims())
            || a.object.at(&["spec", "storageClassName"]).is_some()
            || a.object.annotation("volume.beta.kubernetes.io/storage-class").is_some()
        {
            return Ok(());
        }
        // Of several defaults the newest counts, of equally old ones the first by name.
        let newest = |c: &&Object| (c.creation_timestamp(), std::cmp::Reverse(c.name().to_string()));
        let default = server.all(resources::storageclasses(), "").filter(|c| c.annotation(ANNOTATION) == Some("true"));
        if let Some(name) = default.max_by_key(newest).map(|c| c.name().to_string()) {
            a.object.set_at(&["spec", "storageClassName"], name);
        }
        Ok(())
    }
}
