//! Volumes of pods and directories of the node. Models the kubelet's volume plugins for emptyDir, configMap and its kin, hostPath,
//! and storage by name.

use std::rc::Rc;

use base::Time;
use cri_api::cri::{self, VolumeContent, VolumeFile};
use cri_api::vfs::{FsKind, Node, Tree};
use cri_api::{Volume, VolumeId};
use sim::Outbox;

use crate::{Runtime, Text, error};

impl Runtime {
    pub(crate) fn setup_volume(
        &mut self,
        now: Time,
        name: &Text,
        content: &VolumeContent,
        fs_group: Option<i64>,
    ) -> cri::Response {
        match content {
            VolumeContent::EmptyDir { size_limit, memory } => {
                if self.volume_ids.contains_key(name) {
                    return cri::Response::Done;
                }
                let mut tree = Tree::new(if *memory { FsKind::Tmpfs } else { FsKind::Ext4 });
                if *size_limit > 0 {
                    tree.limit = *size_limit as u64;
                }
                open_root(&mut tree, 0o777, fs_group);
                self.add_volume(name, tree, if *memory { "tmpfs" } else { "/dev/vda" });
            }
            VolumeContent::Files { files, memory } => self.write_files(now, name, files, *memory, fs_group),
            VolumeContent::HostPath { path, kind } => return self.host_path(now, name, path, kind),
            VolumeContent::Persistent { name: storage } => {
                let id = self.storage(storage);
                self.volume_ids.insert(name.clone(), id);
            }
        }
        cri::Response::Done
    }

    fn add_volume(&mut self, name: &Text, tree: Tree, device: &str) -> VolumeId {
        let id = VolumeId(self.next());
        self.volumes.insert(id, Volume { tree, device: device.into() });
        self.volume_ids.insert(name.clone(), id);
        id
    }

    /// Storage that outlives pods, by name.
    fn storage(&mut self, storage: &str) -> VolumeId {
        let name: Text = format!("storage:{storage}").into();
        if let Some(id) = self.volume_ids.get(&name) {
            return *id;
        }
        let mut tree = Tree::new(FsKind::Ext4);
        open_root(&mut tree, 0o777, None);
        self.add_volume(&name, tree, "/dev/vdb")
    }

    /// The atomic writer: files in a dated directory, `..data` leads to it, and names lead through `..data`.
    fn write_files(&mut self, now: Time, name: &Text, files: &Rc<Vec<VolumeFile>>, memory: bool, fs_group: Option<i64>) {
        let id = match self.volume_ids.get(name) {
            Some(id) => *id,
            None => {
                let mut tree = Tree::new(if memory { FsKind::Tmpfs } else { FsKind::Ext4 });
                open_root(&mut tree, if memory { 0o1777 } else { 0o777 }, fs_group);
                self.add_volume(name, tree, if memory { "tmpfs" } else { "/dev/vda" })
            }
        };
        let Some(volume) = self.volumes.get_mut(id) else { return };
        let (y, mo, d, h, mi, s) = now.civil();
        let dir = format!("..{y:04}_{mo:02}_{d:02}_{h:02}_{mi:02}_{s:02}.{:09}", now.0.rem_euclid(1_000_000) * 1000);
        let tree = &mut volume.tree;
        let old: Vec<Text> = tree.entries(Tree::ROOT).map(|e| e.keys().cloned().collect()).unwrap_or_default();
        for entry in old {
            let _ = tree.remove_all(&entry, now);
        }
        let _ = tree.mkdir_p(&dir, 0o755, now);
        for file in files.iter() {
            let path = format!("{dir}/{}", file.path);
            if let Some((parent, _)) = path.rsplit_once('/') {
                let _ = tree.mkdir_p(parent, 0o755, now);
            }
            let _ = tree.put_file(&path, file.data.to_vec(), file.mode as u16, now);
            if let Some(group) = fs_group {
                tree.chown(&path, 0, group as u32);
            }
        }
        let _ = tree.put_symlink("..data", &dir, now);
        let mut seen: Vec<&str> = Vec::new();
        for file in files.iter() {
            let top = file.path.split('/').next().unwrap_or(&file.path);
            if !seen.contains(&top) {
                let _ = tree.put_symlink(top, &format!("..data/{top}"), now);
                seen.push(top);
            }
        }
    }

    /// A directory (or file) of the node. Models hostPath's type checks.
    fn host_path(&mut self, now: Time, name: &Text, path: &Text, kind: &str) -> cri::Response {
        let exists = self.volume_ids.contains_key(&host_volume(path)) || self.host.root.lookup(path).is_some();
        if !exists && matches!(kind, "Directory" | "File" | "Socket" | "CharDevice" | "BlockDevice") {
            let what = match kind {
                "Directory" => "a directory",
                "Socket" => "a socket file",
                "CharDevice" => "a character device",
                "BlockDevice" => "a block device",
                _ => "a file",
            };
            let text = format!(
                "hostPath type check failed, {path} is not {what}, unable to determine its type: path \"{path}\" does not exist"
            );
            return error("Unknown", text);
        }
        let id = self.host_directory(now, path);
        self.volume_ids.insert(name.clone(), id);
        cri::Response::Done
    }

    /// The volume that stands for a path of the node: also mounted there for the node's own shell.
    pub(crate) fn host_directory(&mut self, now: Time, path: &str) -> VolumeId {
        let name = host_volume(path);
        if let Some(id) = self.volume_ids.get(&name) {
            return *id;
        }
        let mut tree = Tree::new(FsKind::Ext4);
        copy_tree(&self.host.root, path.trim_start_matches('/'), &mut tree, now);
        let id = self.add_volume(&name, tree, "/dev/vda");
        let host = Rc::make_mut(&mut self.host);
        let _ = host.root.mkdir_p(path.trim_start_matches('/'), 0o755, now);
        let cri_api::Machine { root, namespace, .. } = host;
        let _ = namespace.mount(root, &mut self.volumes, path, id, "", false);
        id
    }

    /// The volume of a name as the kubelet names it in mounts.
    pub(crate) fn volume_id(&mut self, now: Time, name: &Text) -> Result<VolumeId, String> {
        if let Some(path) = name.strip_prefix("host:") {
            return Ok(self.host_directory(now, path));
        }
        self.volume_ids.get(name).copied().ok_or_else(|| format!("volume {name:?} is not set up"))
    }

    /// subPath directories are made before they are mounted.
    pub(crate) fn ensure_sub_path(&mut self, now: Time, volume: VolumeId, sub_path: &str) {
        if let Some(volume) = self.volumes.get_mut(volume)
            && volume.tree.resolve(sub_path).is_none()
        {
            let _ = volume.tree.mkdir_p(sub_path, 0o777, now);
        }
    }

    pub(crate) fn remove_volume(&mut self, name: &Text) -> cri::Response {
        let Some(id) = self.volume_ids.remove(name) else { return cri::Response::Done };
        if !self.volume_ids.values().any(|other| *other == id) {
            self.volumes.remove(id);
        }
        cri::Response::Done
    }

    pub(crate) fn watch_directory(&mut self, now: Time, path: &Text) -> cri::Response {
        self.host_directory(now, path);
        self.watched.insert(path.clone());
        let files = self.files_of(path);
        self.volume_ids.insert(format!("seen:{path}").into(), contents(&files));
        cri::Response::Files(files)
    }

    fn files_of(&self, path: &str) -> Vec<(Text, Rc<[u8]>)> {
        let volume = self.volume_ids.get(&host_volume(path)).and_then(|id| self.volumes.get(*id));
        let Some(tree) = volume.map(|v| &v.tree) else { return Vec::new() };
        let entries = tree.entries(Tree::ROOT).unwrap_or_default();
        entries.iter().filter_map(|(name, _)| Some((name.clone(), Rc::from(tree.read_file(name)?.as_slice())))).collect()
    }

    /// After a step of a machine: tells the kubelet of watched directories. (Directories are few and files small.)
    pub(crate) fn notice_directories(&mut self, _now: Time, out: &mut Outbox) {
        if self.watched.is_empty() || self.kubelet == sim::Addr::OUTSIDE {
            return;
        }
        let paths: Vec<Text> = self.watched.iter().cloned().collect();
        for path in paths {
            let files = self.files_of(&path);
            let key: Text = format!("seen:{path}").into();
            let id = contents(&files);
            match self.volume_ids.insert(key, id) {
                Some(old) if old != id => self.event(cri::Event::DirectoryChanged { path, files }, out),
                _ => {}
            }
        }
    }

    /// Whether the node's disk has a file.
    pub fn has_host_file(&self, path: &str) -> bool {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let volume = self.volume_ids.get(&host_volume(dir)).and_then(|id| self.volumes.get(*id));
        match volume {
            Some(volume) => volume.tree.lookup(name).is_some(),
            None => self.host.root.lookup(path.trim_start_matches('/')).is_some(),
        }
    }

    /// The path on the node of a volume that is a directory of it.
    pub(crate) fn host_path_of(&self, volume: &Text) -> Option<Text> {
        let id = self.volume_ids.get(volume)?;
        let names = self.volume_ids.iter().filter(|(_, other)| *other == id);
        names.filter_map(|(name, _)| name.strip_prefix("host:")).next().map(Text::from)
    }

    /// Where a path of the node's disk lies: in which directory that pods see too (none: the disk itself), and where there.
    fn host_place<'a>(&self, path: &'a str) -> (Option<VolumeId>, &'a str) {
        let mut end = path.len();
        while let Some(slash) = path[..end].rfind('/') {
            if let Some(id) = self.volume_ids.get(&host_volume(&path[..slash])) {
                return (Some(*id), &path[slash + 1..]);
            }
            end = slash;
        }
        (None, path.trim_start_matches('/'))
    }

    /// A file of the node's disk, wherever it lies.
    pub fn read_host_file(&self, path: &str) -> Option<Rc<Vec<u8>>> {
        match self.host_place(path) {
            (Some(id), within) => self.volumes.get(id)?.tree.read_file(within),
            (None, within) => self.host.root.read_file(within),
        }
    }

    /// Writes a file of the node's disk, wherever it lies, with the directories above it.
    pub fn put_host_file(&mut self, now: Time, path: &str, data: &[u8], mode: u16) {
        let (volume, within) = self.host_place(path);
        let host = Rc::make_mut(&mut self.host);
        let tree = match volume.and_then(|id| self.volumes.get_mut(id)) {
            Some(volume) => &mut volume.tree,
            None => &mut host.root,
        };
        if let Some((dir, _)) = within.rsplit_once('/') {
            let _ = tree.mkdir_p(dir, 0o700, now);
        }
        let _ = tree.put_file(within, data.to_vec(), mode, now);
    }

    /// Writes a file of the node's disk, as `kubeadm` does before the kubelet starts.
    pub fn write_host_file(&mut self, now: Time, path: &str, data: &[u8], mode: u16) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(volume) = self.volume_ids.get(&host_volume(dir)).copied().and_then(|id| self.volumes.get_mut(id)) {
            let _ = volume.tree.put_file(name, data.to_vec(), mode, now);
            return;
        }
        let host = Rc::make_mut(&mut self.host);
        let _ = host.root.mkdir_p(dir.trim_start_matches('/'), 0o755, now);
        let _ = host.root.put_file(path.trim_start_matches('/'), data.to_vec(), mode, now);
    }
}

fn host_volume(path: &str) -> Text {
    format!("host:{}", path.trim_end_matches('/')).into()
}

fn open_root(tree: &mut Tree, mode: u16, group: Option<i64>) {
    if let Some(inode) = tree.inode_mut(Tree::ROOT) {
        inode.mode = mode;
        if let Some(group) = group {
            (inode.gid, inode.mode) = (group as u32, 0o2777);
        }
    }
}

/// Copies what is at `path` of `from` to the root of `to`.
fn copy_tree(from: &Tree, path: &str, to: &mut Tree, now: Time) {
    fn walk(from: &Tree, ino: u32, prefix: &str, to: &mut Tree, now: Time) {
        let Ok(entries) = from.entries(ino) else { return };
        for (name, child) in &entries {
            let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") };
            match from.inode(*child) {
                Some(inode) if matches!(inode.node, Node::Dir { .. }) => {
                    let _ = to.mkdir_p(&path, inode.mode, now);
                    walk(from, *child, &path, to, now);
                }
                Some(inode) => {
                    let _ = to.put(&path, inode.node.clone(), inode.mode, now);
                }
                None => {}
            }
        }
    }
    if let Some(ino) = from.lookup(path) {
        walk(from, ino, "", to, now);
    }
}

/// Stands for what a directory holds: another number, other contents.
fn contents(files: &[(Text, Rc<[u8]>)]) -> VolumeId {
    let digest = files
        .iter()
        .fold(files.len() as u64, |d, (name, data)| base::mix64(d ^ base::hash64(name.as_bytes())) ^ base::hash64(data));
    VolumeId(digest)
}
