//! System calls on files: what a process in a container, on a node or on the laptop asks of its kernel.
//!
//! Here is what all of them share (the process' view of its mounts, the way from a path to an inode, permissions) and whole files;
//! [`descriptors`] opens and closes, [`io`] reads and writes, [`paths`] works on names, [`terminals`] on terminals.

mod descriptors;
mod io;
mod paths;
mod terminals;

use std::rc::Rc;

use super::Sys;
use super::file::OpenFlags;
use super::process::Process;
use crate::errno::Errno;
use crate::program::Text;
use crate::vfs::{Credentials, FileData, Found, FsView, Loc, Node, Wanted};

impl Sys<'_> {
    pub(super) fn me(&self) -> &Process {
        self.machine.proc(self.pid).expect("the process that is polled exists")
    }

    pub(super) fn me_mut(&mut self) -> &mut Process {
        self.machine.proc_mut(self.pid).expect("the process that is polled exists")
    }

    fn with_fs<R>(&mut self, f: impl FnOnce(&mut FsView<'_>, Credentials<'_>, &str) -> R) -> R {
        let process = self.machine.procs.get(&self.pid).cloned().expect("the process that is polled exists");
        let who = Credentials { uid: process.uid, gid: process.gid, groups: &process.groups };
        let mut view = FsView { root: &mut self.machine.root, volumes: self.volumes, namespace: &self.machine.namespace };
        f(&mut view, who, &process.cwd)
    }

    fn find(&mut self, path: &str, follow: bool) -> Result<Found, Errno> {
        self.charged += 1;
        self.with_fs(|fs, who, cwd| fs.walk(who, cwd, path, follow))
    }

    /// Finds something that must exist and isn't in `/proc`.
    fn find_loc(&mut self, path: &str, follow: bool) -> Result<Loc, Errno> {
        match self.find(path, follow)? {
            Found::There { loc, .. } => Ok(loc),
            Found::Missing { .. } => Err(Errno::ENOENT),
            Found::Proc(_) => Err(Errno::EPERM),
        }
    }

    /// A directory in which an entry is to be made or removed.
    fn writable(&mut self, dir: Loc) -> Result<(), Errno> {
        let ok = self.with_fs(|fs, who, _| fs.permits(who, dir, Wanted::Write))?;
        self.not_read_only(dir)?;
        if ok { Ok(()) } else { Err(Errno::EACCES) }
    }

    fn not_read_only(&mut self, loc: Loc) -> Result<(), Errno> {
        let read_only = loc.read_only || self.with_fs(|fs, _, _| fs.tree(loc.fs).map(|t| t.read_only))?;
        if read_only { Err(Errno::EROFS) } else { Ok(()) }
    }

    fn add_node(&mut self, dir: Loc, name: &str, node: Node, mode: u16) -> Result<Loc, Errno> {
        self.writable(dir)?;
        let (now, umask) = (self.now, self.me().umask);
        let is_link = matches!(node, Node::Symlink(_));
        let is_dir = matches!(node, Node::Dir { .. });
        let mut mode = if is_link { 0o777 } else { mode & !umask };
        let ino = self.with_fs(|fs, who, _| {
            let parent = fs.tree(dir.fs)?.inode(dir.ino).ok_or(Errno::ENOENT)?;
            // A set-gid directory gives its group on.
            let set_gid = parent.mode & 0o2000 != 0;
            let gid = if set_gid { parent.gid } else { who.gid };
            if set_gid && is_dir {
                mode |= 0o2000;
            }
            fs.tree_mut(dir.fs)?.add(dir.ino, name, node, mode, (who.uid, gid), now)
        })?;
        Ok(Loc { ino, ..dir })
    }

    // ---- whole files ----

    /// The whole content of a regular file (or of a file in `/proc`).
    pub fn read_file(&mut self, path: &str) -> Result<Rc<Vec<u8>>, Errno> {
        let loc = match self.find(path, true)? {
            Found::Proc(rest) => return self.proc_file(&rest).map(Rc::new),
            Found::Missing { .. } => return Err(Errno::ENOENT),
            Found::There { loc, .. } => self.check_open(loc, OpenFlags::READ)?,
        };
        self.with_fs(|fs, _, _| fs.tree(loc.fs)?.data(loc.ino))
    }

    /// Writes a whole file, created with mode 0666 less the umask.
    pub fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), Errno> {
        let fd = self.open(path, OpenFlags::WRITE, 0o666)?;
        let written = self.write(fd, bytes);
        self.close(fd)?;
        match written? {
            n if n < bytes.len() => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }

    /// The program that an executable file is, by name (`None` for scripts and other files).
    pub fn program_name(&mut self, path: &str) -> Result<Option<Text>, Errno> {
        let loc = self.find_loc(path, true)?;
        self.with_fs(|fs, _, _| match &fs.tree(loc.fs)?.inode(loc.ino).ok_or(Errno::ENOENT)?.node {
            Node::File(FileData::Program(name)) => Ok(Some(name.clone())),
            _ => Ok(None),
        })
    }
}
