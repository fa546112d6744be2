//! For those who build a filesystem (images, the kubelet's volume manager): whole paths, no links followed, no permissions checked,
//! parents made on the way.

use std::rc::Rc;

use base::{Map, Time};

use super::{Device, FileData, Ino, Node, Tree};
use crate::errno::Errno;

impl Tree {
    /// Follows plain directories. `None` if the path doesn't exist.
    pub fn lookup(&self, path: &str) -> Option<Ino> {
        let mut at = Tree::ROOT;
        for name in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            at = self.child(at, name).ok()??;
        }
        Some(at)
    }

    /// The same, following symbolic links within the tree (at most forty).
    pub fn resolve(&self, path: &str) -> Option<Ino> {
        let mut left: Vec<String> = path.split('/').rev().map(str::to_string).collect();
        let (mut above, mut links) = (vec![Tree::ROOT], 0);
        while let Some(name) = left.pop() {
            let at = *above.last()?;
            match &*name {
                "" | "." => {}
                ".." if above.len() > 1 => drop(above.pop()),
                ".." => {}
                name => {
                    let ino = self.child(at, name).ok()??;
                    match &self.inode(ino)?.node {
                        Node::Symlink(_) if links >= 40 => return None,
                        Node::Symlink(target) => {
                            links += 1;
                            if target.starts_with('/') {
                                above.truncate(1);
                            }
                            left.extend(target.split('/').rev().map(str::to_string));
                        }
                        _ => above.push(ino),
                    }
                }
            }
        }
        above.last().copied()
    }

    /// Makes a directory and those above it; an existing directory keeps its mode.
    pub fn mkdir_p(&mut self, path: &str, mode: u16, now: Time) -> Result<Ino, Errno> {
        let mut at = Tree::ROOT;
        for name in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            at = match self.child(at, name)? {
                Some(ino) => ino,
                None => self.add(at, name, Node::Dir { entries: Map::new(), parent: at }, mode, (0, 0), now)?,
            };
        }
        Ok(at)
    }

    /// Puts a node at a path, in place of what was there.
    pub fn put(&mut self, path: &str, node: Node, mode: u16, now: Time) -> Result<Ino, Errno> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.mkdir_p(dir, 0o755, now)?;
        if self.child(dir, name)?.is_some() {
            self.unlink(dir, name, now)?;
        }
        let size = match &node {
            Node::File(FileData::Bytes(bytes)) => bytes.len() as u64,
            _ => 0,
        };
        if self.used + size > self.limit {
            return Err(Errno::ENOSPC);
        }
        self.add(dir, name, node, mode, (0, 0), now)
    }

    /// Writes a whole file.
    pub fn put_file(&mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u16, now: Time) -> Result<Ino, Errno> {
        self.put(path, Node::File(FileData::Bytes(Rc::new(bytes.into()))), mode, now)
    }

    /// Puts an executable that runs the program of that name.
    pub fn put_program(&mut self, path: &str, program: &str) -> Result<Ino, Errno> {
        self.put(path, Node::File(FileData::Program(program.into())), 0o755, Time::EPOCH)
    }

    pub fn put_symlink(&mut self, path: &str, target: &str, now: Time) -> Result<Ino, Errno> {
        self.put(path, Node::Symlink(target.into()), 0o777, now)
    }

    /// The bytes of a file at a path.
    pub fn read_file(&self, path: &str) -> Option<Rc<Vec<u8>>> {
        self.data(self.lookup(path)?).ok()
    }

    /// Removes a file or a whole directory.
    pub fn remove_all(&mut self, path: &str, now: Time) -> Result<(), Errno> {
        let (dir, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        let dir = self.lookup(dir).ok_or(Errno::ENOENT)?;
        let ino = self.child(dir, name)?.ok_or(Errno::ENOENT)?;
        if let Ok(entries) = self.entries(ino) {
            for child in entries.keys() {
                self.remove_all(&format!("{path}/{child}"), now)?;
            }
        }
        self.unlink(dir, name, now)
    }

    /// Gives a path to a user and group.
    pub fn chown(&mut self, path: &str, uid: u32, gid: u32) {
        if let Some(inode) = self.lookup(path).and_then(|ino| self.inode_mut(ino)) {
            (inode.uid, inode.gid) = (uid, gid);
        }
    }

    /// `/dev` as runc makes it.
    pub fn put_devices(&mut self) -> Result<(), Errno> {
        use Device::{Fd, Full, Null, Random, Tty, Zero};
        let devices = [("null", Null), ("zero", Zero), ("full", Full), ("random", Random), ("urandom", Random), ("tty", Tty)];
        for (name, device) in devices {
            self.put(&format!("dev/{name}"), Node::Device(device), 0o666, Time::EPOCH)?;
        }
        for (name, fd) in [("stdin", 0), ("stdout", 1), ("stderr", 2)] {
            self.put(&format!("dev/{name}"), Node::Device(Fd(fd)), 0o777, Time::EPOCH)?;
        }
        let shm = self.mkdir_p("dev/shm", 0o1777, Time::EPOCH)?;
        if let Some(shm) = self.inode_mut(shm) {
            shm.in_memory = true;
        }
        Ok(())
    }
}
