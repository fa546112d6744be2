//! Storage: claims find volumes, volumes are given back, and both are kept while they are used.
//!
//! Models `pkg/controller/volume`: [`binder`] (`persistentvolume`), [`protection`], [`ephemeral`] and [`expand`]. Volumes are made by
//! provisioners that are clients of kube-apiserver like any other (`cluster/programs/local_path.rs` is one).
//! Left out by name: attach and detach (nothing in the bottle needs attaching), recycling, SELinux warnings, CSI migration.

mod binder;
mod ephemeral;
mod expand;
mod protection;

use apimachinery::{Object, Quantity, Value};

pub use binder::VolumeBinder;
pub use ephemeral::EphemeralVolumeController;
pub use expand::ExpandController;
pub use protection::Protection;

/// `spec.storageClassName`
fn class(object: &Object) -> &str {
    object.str_at(&["spec", "storageClassName"]).unwrap_or("")
}

fn text<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    object.str_at(path).unwrap_or("")
}

fn quantity(object: &Object, path: &[&str]) -> Option<Quantity> {
    object.at(path).and_then(|v| Quantity::from_value(v).ok())
}

/// The claim of a pod's generic ephemeral volume.
fn ephemeral_claim(pod: &Object, volume: &Value) -> Option<String> {
    volume.get("ephemeral")?;
    Some(format!("{}-{}", pod.name(), volume.str_at(&["name"])?))
}

/// The claims that a pod's volumes name, those of generic ephemeral volumes included.
fn claims_of(pod: &Object) -> impl Iterator<Item = String> {
    pod.list_at(&["spec", "volumes"]).iter().filter_map(|volume| {
        let named = volume.str_at(&["persistentVolumeClaim", "claimName"]).map(str::to_string);
        named.or_else(|| ephemeral_claim(pod, volume))
    })
}
