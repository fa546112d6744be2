//! Descriptors: open, close, dup, pipe. What a descriptor leads to is an open file of the machine ([`OpenFile`]), which several
//! descriptors and processes can share.

use std::rc::Rc;

use crate::errno::Errno;
use crate::machine::Sys;
use crate::machine::file::{Kind, OpenFile, OpenFlags};
use crate::machine::pipe::Pipe;
use crate::machine::process::FdEntry;
use crate::program::Fd;
use crate::vfs::{Device, FileData, Found, Loc, Node, Wanted};

/// Open descriptors of one process at most.
const MAX_FDS: usize = 1024;

impl Sys<'_> {
    fn free_fd(&self, from: Fd) -> Result<Fd, Errno> {
        let fds = &self.me().fds;
        if fds.len() >= MAX_FDS {
            return Err(Errno::EMFILE);
        }
        Ok((from..).find(|fd| !fds.contains_key(fd)).expect("fewer are open than there are numbers"))
    }

    pub(in crate::machine) fn install(&mut self, file: OpenFile) -> Result<Fd, Errno> {
        let fd = self.free_fd(0)?;
        let file = self.machine.add_file(file);
        self.me_mut().fds.insert(fd, FdEntry { file, close_on_exec: false });
        Ok(fd)
    }

    pub(in crate::machine) fn file_id(&self, fd: Fd) -> Result<u32, Errno> {
        self.me().fds.get(&fd).map(|entry| entry.file).ok_or(Errno::EBADF)
    }

    pub(in crate::machine) fn file(&self, fd: Fd) -> Result<&OpenFile, Errno> {
        self.machine.files.get(&self.file_id(fd)?).ok_or(Errno::EBADF)
    }

    /// Opens a path. `mode` counts for a file that is created, less the umask.
    pub fn open(&mut self, path: &str, flags: OpenFlags, mode: u16) -> Result<Fd, Errno> {
        self.free_fd(0)?;
        let loc = match self.find(path, true)? {
            Found::Proc(rest) => return self.open_proc(&rest, flags),
            Found::There { .. } if flags.create && flags.exclusive => return Err(Errno::EEXIST),
            Found::There { loc, .. } => self.check_open(loc, flags)?,
            Found::Missing { dir, name } if flags.create => {
                self.add_node(dir, &name, Node::File(FileData::Bytes(Rc::default())), mode)?
            }
            Found::Missing { .. } => return Err(Errno::ENOENT),
        };
        let node = self.with_fs(|fs, _, _| fs.tree(loc.fs)?.inode(loc.ino).map(|i| i.node.clone()).ok_or(Errno::ENOENT))?;
        if let Node::Device(device) = node {
            return self.open_device(device, flags);
        }
        let now = self.now;
        if flags.truncate && flags.write {
            self.with_fs(|fs, _, _| fs.tree_mut(loc.fs)?.truncate(loc.ino, 0, now))?;
        }
        self.with_fs(|fs, _, _| fs.tree_mut(loc.fs).map(|tree| tree.open(loc.ino)))?;
        let kind = Kind::File { fs: loc.fs, ino: loc.ino };
        self.install(OpenFile { append: flags.append, path: path.into(), ..OpenFile::new(kind, flags.read, flags.write) })
    }

    pub(super) fn check_open(&mut self, loc: Loc, flags: OpenFlags) -> Result<Loc, Errno> {
        let (node_is_dir, is_device) = self.with_fs(|fs, _, _| {
            let node = &fs.tree(loc.fs)?.inode(loc.ino).ok_or(Errno::ENOENT)?.node;
            Ok::<_, Errno>((matches!(node, Node::Dir { .. }), matches!(node, Node::Device(_))))
        })?;
        if flags.write && node_is_dir {
            return Err(Errno::EISDIR);
        }
        for (wanted, asked) in [(Wanted::Read, flags.read), (Wanted::Write, flags.write)] {
            if asked && !self.with_fs(|fs, who, _| fs.permits(who, loc, wanted))? {
                return Err(Errno::EACCES);
            }
        }
        if flags.write && !is_device {
            self.not_read_only(loc)?;
        }
        Ok(loc)
    }

    fn open_device(&mut self, device: Device, flags: OpenFlags) -> Result<Fd, Errno> {
        match device {
            Device::Fd(fd) => self.dup(fd),
            Device::Tty => {
                let tty = self.me().tty.ok_or(Errno::ENOTTY)?;
                self.install(OpenFile::new(Kind::Tty(tty), true, true))
            }
            device => self.install(OpenFile::new(Kind::Device(device), flags.read, flags.write)),
        }
    }

    fn open_proc(&mut self, rest: &str, flags: OpenFlags) -> Result<Fd, Errno> {
        if let Some(fd) = rest.strip_prefix("self/fd/").and_then(|fd| fd.parse().ok()) {
            return self.dup(fd);
        }
        if flags.write && flags.create {
            return Err(Errno::EACCES);
        }
        let content = self.proc_file(rest)?;
        self.install(OpenFile {
            path: format!("/proc/{rest}").into(),
            ..OpenFile::new(Kind::Memory(Rc::new(content)), true, false)
        })
    }

    pub fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        let entry = self.me_mut().fds.remove(&fd).ok_or(Errno::EBADF)?;
        self.machine.release_file(entry.file, self.volumes, self.out);
        Ok(())
    }

    pub fn dup(&mut self, fd: Fd) -> Result<Fd, Errno> {
        self.dup_from(fd, 0)
    }

    /// `fcntl(fd, F_DUPFD_CLOEXEC, from)`: a shell keeps descriptors out of the way with it.
    pub fn dup_away(&mut self, fd: Fd, from: Fd) -> Result<Fd, Errno> {
        let new = self.dup_from(fd, from)?;
        self.set_close_on_exec(new, true)?;
        Ok(new)
    }

    fn dup_from(&mut self, fd: Fd, from: Fd) -> Result<Fd, Errno> {
        let file = self.file_id(fd)?;
        let new = self.free_fd(from)?;
        self.machine.retain_file(file);
        self.me_mut().fds.insert(new, FdEntry { file, close_on_exec: false });
        Ok(new)
    }

    pub fn dup2(&mut self, from: Fd, to: Fd) -> Result<(), Errno> {
        let (pid, action) = (self.pid, crate::program::FdAction::Dup(from, to));
        self.machine.apply_fd_actions(pid, &[action], self.volumes, self.out)
    }

    pub fn set_close_on_exec(&mut self, fd: Fd, close: bool) -> Result<(), Errno> {
        self.me_mut().fds.get_mut(&fd).ok_or(Errno::EBADF)?.close_on_exec = close;
        Ok(())
    }

    pub fn is_open(&self, fd: Fd) -> bool {
        self.me().fds.contains_key(&fd)
    }

    /// A pipe: reading end, writing end. Holds 64 KiB.
    pub fn pipe(&mut self) -> Result<(Fd, Fd), Errno> {
        self.machine.counters.pipe += 1;
        let id = self.machine.counters.pipe;
        self.machine.pipes.insert(id, Rc::new(Pipe::new()));
        let read = self.install(OpenFile::new(Kind::PipeRead(id), true, false))?;
        let write = self.install(OpenFile::new(Kind::PipeWrite(id), false, true))?;
        Ok((read, write))
    }
}
