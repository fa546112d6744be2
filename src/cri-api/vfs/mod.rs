//! The virtual filesystem: trees of inodes (a container's root, a volume) and the mounts that put them together.
//!
//! A [`Tree`] is one filesystem; cloning it is O(1), so that every container of an image starts from the image's tree and pays
//! only for what it writes. A [`Volume`] is a tree that several containers mount; the node keeps them in [`Volumes`].
//! [`Namespace`] walks paths over mounts and symbolic links with a process' credentials.
//! Left out by name: ACLs, extended attributes, quotas per user, sparse files, FIFOs on disk.

mod namespace;
mod tree;

pub use namespace::{Credentials, Found, FsView, Loc, Mount, Namespace, Wanted};
pub use tree::{Device, FileData, FsKind, Ino, Inode, Node, Stat, Tree};

use base::Map;

/// Names a volume on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId(pub u64);

/// What several containers can mount: an emptyDir, a ConfigMap's files, a host path.
#[derive(Clone)]
pub struct Volume {
    pub tree: Tree,
    /// The first column of `/proc/mounts`: `tmpfs`, `/dev/vda`.
    pub device: std::rc::Rc<str>,
}

/// The volumes of one node, lent to a [`crate::Machine`] for each step.
#[derive(Clone, Default)]
pub struct Volumes {
    map: Map<VolumeId, Volume>,
}

impl Volumes {
    pub fn insert(&mut self, id: VolumeId, volume: Volume) {
        self.map.insert(id, volume);
    }

    pub fn remove(&mut self, id: VolumeId) -> Option<Volume> {
        self.map.remove(&id)
    }

    pub fn get(&self, id: VolumeId) -> Option<&Volume> {
        self.map.get(&id)
    }

    pub fn get_mut(&mut self, id: VolumeId) -> Option<&mut Volume> {
        self.map.get_mut(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&VolumeId, &Volume)> {
        self.map.iter()
    }
}

/// Which filesystem an inode belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FsId {
    Root,
    Volume(VolumeId),
}
