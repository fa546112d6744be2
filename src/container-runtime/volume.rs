//! Volumes of pods and directories of the node. Models the kubelet's volume plugins for emptyDir, configMap and its kin, hostPath and
//! local.
//!
//! Directories of the node that pods see are views of one disk: `/srv` and `/srv/data` in two pods show the same files. To that end
//! the first hostPath below a top-level directory makes this directory (`/srv`) a volume, which the node's own shell has mounted
//! too; a pod mounts the part of it that it names.

use std::rc::Rc;

use base::Time;
use cri_api::cri::{self, VolumeContent, VolumeFile};
use cri_api::vfs::{FsKind, Node, Tree};
use cri_api::{Volume, VolumeId};
use sim::Outbox;

use crate::{Runtime, Text, error};

/// An emptyDir that may hold only so much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeLimit {
    id: VolumeId,
    bytes: u64,
    /// Whether the kubelet was told that it holds more.
    exceeded: bool,
}

impl Runtime {
    /// After a step of a container: tells the kubelet of volumes that have grown beyond their limits. (They are few.)
    pub(crate) fn notice_limits(&mut self, out: &mut Outbox) {
        let changed = |(name, limit): (&Text, &SizeLimit)| {
            let exceeded = self.volumes.get(limit.id)?.tree.used() > limit.bytes;
            (exceeded != limit.exceeded).then(|| (name.clone(), exceeded))
        };
        let changes: Vec<(Text, bool)> = self.limits.iter().filter_map(changed).collect();
        for (volume, exceeded) in changes {
            if let Some(limit) = self.limits.get_mut(&volume) {
                limit.exceeded = exceeded;
            }
            if exceeded {
                self.event(cri::Event::UsageHigh, out);
            }
        }
    }

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
                if *size_limit > 0 && *memory {
                    tree.limit = *size_limit as u64;
                }
                open_root(&mut tree, 0o777, fs_group);
                let id = self.add_volume(name, tree, if *memory { "tmpfs" } else { "/dev/vda" });
                if *size_limit > 0 && !*memory {
                    // Nothing stops who writes: the kubelet ends the pod when it finds out.
                    self.limits.insert(name.clone(), SizeLimit { id, bytes: *size_limit as u64, exceeded: false });
                }
            }
            VolumeContent::Files { files, memory } => self.write_files(now, name, files, *memory, fs_group),
            VolumeContent::HostPath { path, kind } => return self.host_path(now, name, path, kind),
            VolumeContent::Local { path } if self.host_kind(path).is_none() => {
                return error("NotFound", format!("path {path:?} does not exist"));
            }
            VolumeContent::Local { path } => return self.host_path(now, name, path, "Directory"),
        }
        cri::Response::Done
    }

    fn add_volume(&mut self, name: &Text, tree: Tree, device: &str) -> VolumeId {
        let id = VolumeId(self.next());
        self.volumes.insert(id, Volume { tree, device: device.into() });
        self.volume_ids.insert(name.clone(), id);
        id
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
        let salt = base::mix64(base::hash64(name.as_bytes()) ^ now.0 as u64) % 3_000_000_000 + 1_000_000_000;
        let dir = format!("..{y:04}_{mo:02}_{d:02}_{h:02}_{mi:02}_{s:02}.{salt}");
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
        let found = self.host_kind(path);
        if let Some(text) = type_error(path, kind, found) {
            return error("Unknown", text);
        }
        let (unit, within) = unit_of(path);
        let id = self.host_directory(now, &unit);
        if path.starts_with("/var/log") || matches!(&**path, "/" | "/var" | "/var/") {
            self.keep_log_files(now);
        }
        if let Some(volume) = self.volumes.get_mut(id).filter(|_| found.is_none()) {
            // What isn't there is made: a directory (containerd does it, whatever the type), or an empty file.
            let _ = match kind {
                "FileOrCreate" => volume.tree.put_file(&within, Vec::new(), 0o644, now),
                _ => volume.tree.mkdir_p(&within, 0o755, now),
            };
        }
        self.volume_ids.insert(name.clone(), id);
        self.host_paths.insert(name.clone(), path.clone());
        cri::Response::Done
    }

    /// What there is at a path of the node's disk: `d` or `-`.
    fn host_kind(&self, path: &str) -> Option<char> {
        let (volume, within) = self.host_place(path);
        let tree = match volume {
            Some(id) => &self.volumes.get(id)?.tree,
            None => &self.host.root,
        };
        let ino = tree.resolve(within)?;
        Some(if tree.entries(ino).is_ok() { 'd' } else { '-' })
    }

    /// The volume that stands for a top-level directory of the node: also mounted there for the node's own shell. `/` stands for
    /// the rest of the disk.
    fn host_directory(&mut self, now: Time, unit: &str) -> VolumeId {
        let name = host_volume(unit);
        if let Some(id) = self.volume_ids.get(&name) {
            return *id;
        }
        let mut tree = Tree::new(FsKind::Ext4);
        copy_tree(&self.host.root, unit, &mut tree, now);
        let id = self.add_volume(&name, tree, "/dev/vda");
        if unit != "/" {
            let host = Rc::make_mut(&mut self.host);
            let _ = host.root.mkdir_p(unit, 0o755, now);
            let cri_api::Machine { root, namespace, .. } = host;
            let _ = namespace.mount(root, &mut self.volumes, unit, id, "", false);
        }
        id
    }

    /// What is to be mounted where for one mount of a container: mostly one thing; a hostPath `/` brings what is mounted below it.
    pub(crate) fn sources(&mut self, now: Time, mount: &cri::Mount) -> Result<Vec<(VolumeId, String, String)>, String> {
        let at = mount.container_path.to_string();
        let missing = || format!("volume {:?} is not set up", mount.volume);
        let Some(path) = self.host_paths.get(&mount.volume).cloned() else {
            let id = self.volume_ids.get(&mount.volume).copied().ok_or_else(missing)?;
            self.ensure_sub_path(now, id, &mount.sub_path);
            return Ok(vec![(id, mount.sub_path.to_string(), at)]);
        };
        let whole = format!("{}/{}", path.trim_end_matches('/'), mount.sub_path);
        let (unit, within) = unit_of(&whole);
        let id = self.host_directory(now, &unit);
        self.ensure_sub_path(now, id, &within);
        let mut sources = vec![(id, within, at.clone())];
        if unit == "/" {
            for unit in self.host_units(now) {
                let id = self.host_directory(now, &unit);
                sources.push((id, String::new(), format!("{}{unit}", at.trim_end_matches('/'))));
            }
        }
        Ok(sources)
    }

    /// The top-level directories of the node's disk (links and what the kernel shows left out).
    fn host_units(&mut self, _now: Time) -> Vec<String> {
        let root = &self.host.root;
        let entries = root.entries(Tree::ROOT).unwrap_or_default();
        let is_dir = |ino: &u32| root.entries(*ino).is_ok();
        let names = entries.iter().filter(|(name, ino)| is_dir(ino) && !matches!(&***name, "proc" | "sys" | "dev"));
        names.map(|(name, _)| format!("/{name}")).collect()
    }

    /// subPath directories are made before they are mounted.
    fn ensure_sub_path(&mut self, now: Time, volume: VolumeId, sub_path: &str) {
        if let Some(volume) = self.volumes.get_mut(volume).filter(|_| !sub_path.is_empty())
            && volume.tree.resolve(sub_path).is_none()
        {
            let _ = volume.tree.mkdir_p(sub_path, 0o777, now);
        }
    }

    pub(crate) fn remove_volume(&mut self, name: &Text) -> cri::Response {
        let Some(id) = self.volume_ids.remove(name) else { return cri::Response::Done };
        self.host_paths.remove(name);
        self.limits.remove(name);
        if !self.volume_ids.values().any(|other| *other == id) {
            self.volumes.remove(id);
        }
        cri::Response::Done
    }

    pub(crate) fn watch_directory(&mut self, now: Time, path: &Text) -> cri::Response {
        let (unit, within) = unit_of(path);
        let id = self.host_directory(now, &unit);
        if let Some(volume) = self.volumes.get_mut(id) {
            let _ = volume.tree.mkdir_p(&within, 0o755, now);
        }
        self.watched.insert(path.clone());
        let files = self.files_of(path);
        self.volume_ids.insert(format!("seen:{path}").into(), contents(&files));
        cri::Response::Files(files)
    }

    fn files_of(&self, path: &str) -> Vec<(Text, Rc<[u8]>)> {
        let (volume, within) = self.host_place(path);
        let volume = volume.and_then(|id| self.volumes.get(id));
        let Some(tree) = volume.map(|v| &v.tree) else { return Vec::new() };
        let Some(dir) = tree.lookup(within) else { return Vec::new() };
        let entries = tree.entries(dir).unwrap_or_default();
        entries.iter().filter_map(|(name, ino)| Some((name.clone(), Rc::from(tree.data(*ino).ok()?.as_slice())))).collect()
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
        self.host_kind(path).is_some()
    }

    /// The path on the node of a volume that is a directory of it.
    pub(crate) fn host_path_of(&self, volume: &Text) -> Option<Text> {
        self.host_paths.get(volume).cloned()
    }

    /// Where a path of the node's disk lies: in which directory that pods see too (none: the disk itself), and where there.
    pub(crate) fn host_place<'a>(&self, path: &'a str) -> (Option<VolumeId>, &'a str) {
        let trimmed = path.trim_start_matches('/');
        let (top, within) = trimmed.split_once('/').unwrap_or((trimmed, ""));
        match self.volume_ids.get(&host_volume(&format!("/{top}"))) {
            Some(id) if !top.is_empty() => (Some(*id), within),
            _ => (None, trimmed),
        }
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
        self.put_on_disk(now, path, data, mode, 0o700);
    }

    /// Writes a file of the node's disk, as `kubeadm` does before the kubelet starts.
    pub fn write_host_file(&mut self, now: Time, path: &str, data: &[u8], mode: u16) {
        self.put_on_disk(now, path, data, mode, 0o755);
    }

    fn put_on_disk(&mut self, now: Time, path: &str, data: &[u8], mode: u16, dir_mode: u16) {
        let (volume, within) = self.host_place(path);
        let host = Rc::make_mut(&mut self.host);
        let tree = match volume.and_then(|id| self.volumes.get_mut(id)) {
            Some(volume) => &mut volume.tree,
            None => &mut host.root,
        };
        if let Some((dir, _)) = within.rsplit_once('/') {
            let _ = tree.mkdir_p(dir, dir_mode, now);
        }
        let _ = tree.put_file(within, data.to_vec(), mode, now);
    }
}

/// `/srv/data/x` is `data/x` of the top-level directory `/srv`. Dots and double slashes are resolved.
fn unit_of(path: &str) -> (String, String) {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    match parts.split_first() {
        Some((top, rest)) => (format!("/{top}"), rest.join("/")),
        None => ("/".into(), String::new()),
    }
}

/// Why what is at a path is not of a hostPath's type.
fn type_error(path: &str, kind: &str, found: Option<char>) -> Option<String> {
    let what = match kind {
        "Directory" => "a directory",
        "File" => "a file",
        "Socket" => "a socket file",
        "CharDevice" => "a character device",
        "BlockDevice" => "a block device",
        "DirectoryOrCreate" if found == Some('-') => "a directory",
        "FileOrCreate" if found == Some('d') => "a file",
        _ => return None,
    };
    match (kind, found) {
        ("Directory", Some('d')) | ("File", Some('-')) => None,
        (_, Some(_)) => Some(format!("hostPath type check failed: {path} is not {what}")),
        (_, None) => Some(format!(
            "hostPath type check failed, {path} is not {what}, unable to determine its type: path \"{path}\" does not exist"
        )),
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
