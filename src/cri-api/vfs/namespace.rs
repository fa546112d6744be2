//! Paths: how a process' name for a file becomes an inode of some filesystem, over mounts, symbolic links and permissions.
//! Models the kernel's `fs/namei.c` as far as it shows.

use std::rc::Rc;

use base::Vector;

use super::{FsId, Ino, Node, Tree, Volumes};
use crate::errno::Errno;
use crate::program::Text;

/// A volume (or a directory or file of it, for `subPath`) at a place of the container.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where, as `/proc/mounts` shows it.
    pub path: Text,
    at: (FsId, Ino),
    fs: FsId,
    root: Ino,
    pub read_only: bool,
    /// Columns of `/proc/mounts`.
    pub device: Text,
    pub fs_type: Text,
    pub options: Text,
}

/// The mounts of a container. Clone is O(1).
#[derive(Clone, Default)]
pub struct Namespace {
    mounts: Vector<Rc<Mount>>,
}

/// A place that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loc {
    pub fs: FsId,
    pub ino: Ino,
    /// Reached over a read-only mount.
    pub read_only: bool,
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub enum Found {
    /// `dir` and `name` are those of the last component (`/` has its own).
    There { loc: Loc, dir: Loc, name: Text },
    /// Only the last component is missing; it can be made here.
    Missing { dir: Loc, name: Text },
    /// Below `/proc`; the rest of the path without a leading slash.
    Proc(String),
}

/// What a process wants to do with an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Read,
    Write,
    /// Execute a file, search a directory.
    Execute,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    pub uid: u32,
    pub gid: u32,
    pub groups: &'a [u32],
}

impl Credentials<'static> {
    pub const ROOT: Credentials<'static> = Credentials { uid: 0, gid: 0, groups: &[] };
}

/// All filesystems that a container sees, for the time of one step.
pub struct FsView<'a> {
    pub root: &'a mut Tree,
    pub volumes: &'a mut Volumes,
    pub namespace: &'a Namespace,
}

const MAX_LINKS: u32 = 40;

impl Mount {
    /// The volume that is mounted.
    pub fn volume(&self) -> Option<super::VolumeId> {
        match self.fs {
            FsId::Volume(id) => Some(id),
            FsId::Root => None,
        }
    }
}

impl Namespace {
    pub fn mounts(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter().map(|mount| &**mount)
    }

    /// Mounts a volume's directory `sub_path` (or single file) at `path`. Missing mount points are made, as runc does. The
    /// sub-path must exist (kubelet makes it before).
    pub fn mount(
        &mut self,
        root: &mut Tree,
        volumes: &mut Volumes,
        path: &str,
        volume: super::VolumeId,
        sub_path: &str,
        read_only: bool,
    ) -> Result<(), Errno> {
        let source = volumes.get(volume).ok_or(Errno::ENOENT)?;
        let source_ino = source.tree.resolve(sub_path).ok_or(Errno::ENOENT)?;
        let is_dir = source.tree.entries(source_ino).is_ok();
        let tmpfs = source.tree.kind == super::FsKind::Tmpfs;
        let device = source.device.clone();
        let access = if read_only { "ro" } else { "rw" };
        let options = match tmpfs {
            true => format!("{access},relatime,size={}k,noswap", source.tree.limit / 1024),
            false => format!("{access},relatime"),
        };
        if !is_dir && let Some(source) = volumes.get_mut(volume) {
            // A file that is mounted stays, also when its name goes to another.
            source.tree.open(source_ino);
        }
        let mut view = FsView { root, volumes, namespace: self };
        let at = view.mount_point(path, is_dir)?;
        let mount = Mount {
            path: path.into(),
            at: (at.fs, at.ino),
            fs: FsId::Volume(volume),
            root: source_ino,
            read_only,
            device,
            fs_type: if tmpfs { "tmpfs" } else { "ext4" }.into(),
            options: options.into(),
        };
        self.mounts.push_back(Rc::new(mount));
        Ok(())
    }

    fn mounted_on(&self, loc: Loc) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.at == (loc.fs, loc.ino)).map(|mount| &**mount)
    }
}

impl FsView<'_> {
    pub fn tree(&self, fs: FsId) -> Result<&Tree, Errno> {
        match fs {
            FsId::Root => Ok(self.root),
            FsId::Volume(id) => self.volumes.get(id).map(|v| &v.tree).ok_or(Errno::EIO),
        }
    }

    pub fn tree_mut(&mut self, fs: FsId) -> Result<&mut Tree, Errno> {
        match fs {
            FsId::Root => Ok(self.root),
            FsId::Volume(id) => self.volumes.get_mut(id).map(|v| &mut v.tree).ok_or(Errno::EIO),
        }
    }

    fn mount_point(&mut self, path: &str, is_dir: bool) -> Result<Loc, Errno> {
        let mut made = String::new();
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let mut loc = self.root_loc();
        for (i, part) in parts.iter().enumerate() {
            made.push('/');
            made.push_str(part);
            loc = match self.walk(Credentials::ROOT, "/", &made, true)? {
                Found::There { loc, .. } => loc,
                Found::Proc(_) => return Err(Errno::EPERM),
                Found::Missing { dir, name } => {
                    let node = match is_dir || i + 1 < parts.len() {
                        true => Node::Dir { entries: base::Map::new(), parent: dir.ino },
                        false => Node::File(super::FileData::Bytes(Rc::default())),
                    };
                    let ino = self.tree_mut(dir.fs)?.add(dir.ino, &name, node, 0o755, (0, 0), base::Time::EPOCH)?;
                    Loc { ino, ..dir }
                }
            };
        }
        Ok(loc)
    }

    pub fn root_loc(&self) -> Loc {
        self.cross(Loc { fs: FsId::Root, ino: Tree::ROOT, read_only: self.root.read_only })
    }

    /// Steps onto what is mounted at a place.
    fn cross(&self, mut loc: Loc) -> Loc {
        while let Some(mount) = self.namespace.mounted_on(loc) {
            loc = Loc { fs: mount.fs, ino: mount.root, read_only: mount.read_only };
        }
        loc
    }

    /// Whether somebody may do something with an inode.
    pub fn permits(&self, who: Credentials<'_>, loc: Loc, wanted: Wanted) -> Result<bool, Errno> {
        let inode = self.tree(loc.fs)?.inode(loc.ino).ok_or(Errno::ENOENT)?;
        let bit = match wanted {
            Wanted::Read => 4,
            Wanted::Write => 2,
            Wanted::Execute => 1,
        };
        if who.uid == 0 {
            let is_dir = matches!(inode.node, Node::Dir { .. });
            return Ok(wanted != Wanted::Execute || is_dir || inode.mode & 0o111 != 0);
        }
        let shift = match () {
            () if inode.uid == who.uid => 6,
            () if inode.gid == who.gid || who.groups.contains(&inode.gid) => 3,
            () => 0,
        };
        Ok((inode.mode >> shift) & bit != 0)
    }

    /// Walks `path` from `cwd`. `follow`: whether a symbolic link in the last place is followed.
    pub fn walk(&self, who: Credentials<'_>, cwd: &str, path: &str, follow: bool) -> Result<Found, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut links = 0;
        let mut todo: Vec<Text> = Vec::new();
        push_parts(&mut todo, path);
        if !path.starts_with('/') {
            push_parts(&mut todo, cwd);
        }
        let must_be_dir = path.ends_with('/') || path.ends_with("/.");
        let mut stack: Vec<(Loc, Text)> = vec![(self.root_loc(), Text::from("/"))];
        while let Some(part) = todo.pop() {
            let here = stack.last().expect("the root stays on the stack").0;
            if &*part == ".." {
                self.search(who, here)?;
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            if stack.len() == 1 && &*part == "proc" {
                let rest: Vec<&str> = todo.iter().rev().map(|t| &**t).collect();
                return Ok(Found::Proc(rest.join("/")));
            }
            self.search(who, here)?;
            let last = todo.is_empty();
            let Some(ino) = self.tree(here.fs)?.child(here.ino, &part)? else {
                return if last { Ok(Found::Missing { dir: here, name: part }) } else { Err(Errno::ENOENT) };
            };
            let loc = self.cross(Loc { ino, ..here });
            if let Node::Symlink(target) = &self.tree(loc.fs)?.inode(loc.ino).ok_or(Errno::ENOENT)?.node
                && (!last || follow || must_be_dir)
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                if target.starts_with('/') {
                    stack.truncate(1);
                }
                push_parts(&mut todo, target);
                continue;
            }
            stack.push((loc, part));
        }
        let (loc, name) = stack.pop().expect("the root stays on the stack");
        if must_be_dir && self.tree(loc.fs)?.entries(loc.ino).is_err() {
            return Err(Errno::ENOTDIR);
        }
        let dir = stack.last().map_or(loc, |(dir, _)| *dir);
        Ok(Found::There { loc, dir, name })
    }

    fn search(&self, who: Credentials<'_>, dir: Loc) -> Result<(), Errno> {
        if !matches!(self.tree(dir.fs)?.inode(dir.ino).ok_or(Errno::ENOENT)?.node, Node::Dir { .. }) {
            return Err(Errno::ENOTDIR);
        }
        if self.permits(who, dir, Wanted::Execute)? { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// The absolute path of a place without links, as `getcwd` gives it.
    pub fn real_path(&self, who: Credentials<'_>, cwd: &str, path: &str) -> Result<String, Errno> {
        let mut links = 0;
        let mut todo: Vec<Text> = Vec::new();
        push_parts(&mut todo, path);
        if !path.starts_with('/') {
            push_parts(&mut todo, cwd);
        }
        let mut stack: Vec<(Loc, Text)> = vec![(self.root_loc(), Text::from(""))];
        while let Some(part) = todo.pop() {
            let here = stack.last().expect("the root stays on the stack").0;
            if &*part == ".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            if stack.len() == 1 && &*part == "proc" {
                let rest: Vec<&str> = todo.iter().rev().map(|t| &**t).collect();
                return Ok(format!("/proc/{}", rest.join("/")).trim_end_matches('/').to_string());
            }
            self.search(who, here)?;
            let ino = self.tree(here.fs)?.child(here.ino, &part)?.ok_or(Errno::ENOENT)?;
            let loc = self.cross(Loc { ino, ..here });
            if let Node::Symlink(target) = &self.tree(loc.fs)?.inode(loc.ino).ok_or(Errno::ENOENT)?.node {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                if target.starts_with('/') {
                    stack.truncate(1);
                }
                push_parts(&mut todo, target);
                continue;
            }
            stack.push((loc, part));
        }
        if stack.len() == 1 {
            return Ok("/".to_string());
        }
        let names: Vec<&str> = stack.iter().map(|(_, name)| &**name).collect();
        Ok(names.join("/"))
    }
}

/// Pushes a path's parts so that the first is popped first.
fn push_parts(todo: &mut Vec<Text>, path: &str) {
    todo.extend(path.split('/').rev().filter(|part| !part.is_empty() && *part != ".").map(Text::from));
}
