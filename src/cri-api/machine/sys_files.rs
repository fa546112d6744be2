//! System calls on files, pipes, terminals and directories.

use std::rc::Rc;

use base::Map;
use base::Sort as _;

use super::file::{Kind, OpenFile, OpenFlags};
use super::pipe::{CAPACITY, Pipe};
use super::process::{FdEntry, Process};
use super::tty::TtyMode;
use super::{MachineOutput, Sys};
use crate::errno::Errno;
use crate::program::{Fd, Text};
use crate::signal::Signal;
use crate::vfs::{Credentials, Device, FileData, Found, FsId, FsView, Inode, Loc, Node, Stat, Tree, Wanted};

/// Open descriptors of one process at most.
const MAX_FDS: usize = 1024;
/// Bytes of one read at most.
const MAX_READ: usize = 256 * 1024;

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

    // ---- descriptors ----

    fn free_fd(&self, from: Fd) -> Result<Fd, Errno> {
        let fds = &self.me().fds;
        if fds.len() >= MAX_FDS {
            return Err(Errno::EMFILE);
        }
        Ok((from..).find(|fd| !fds.contains_key(fd)).expect("fewer are open than there are numbers"))
    }

    pub(super) fn install(&mut self, file: OpenFile) -> Result<Fd, Errno> {
        let fd = self.free_fd(0)?;
        let file = self.machine.add_file(file);
        self.me_mut().fds.insert(fd, FdEntry { file, close_on_exec: false });
        Ok(fd)
    }

    pub(super) fn file_id(&self, fd: Fd) -> Result<u32, Errno> {
        self.me().fds.get(&fd).map(|entry| entry.file).ok_or(Errno::EBADF)
    }

    pub(super) fn file(&self, fd: Fd) -> Result<&OpenFile, Errno> {
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

    fn check_open(&mut self, loc: Loc, flags: OpenFlags) -> Result<Loc, Errno> {
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

    /// Reads up to `max` bytes. Empty: end of file. `EAGAIN`: the process is woken when there is something.
    pub fn read(&mut self, fd: Fd, max: usize) -> Result<Vec<u8>, Errno> {
        let max = max.min(MAX_READ);
        let (id, pid) = (self.file_id(fd)?, self.pid);
        let file = self.machine.files.get(&id).ok_or(Errno::EBADF)?;
        if !file.read {
            return Err(Errno::EBADF);
        }
        let (kind, offset) = (file.kind.clone(), file.offset as usize);
        let data = match kind {
            Kind::File { fs, ino } => {
                let bytes = self.with_fs(|view, _, _| view.tree(fs)?.data(ino))?;
                self.take(id, &bytes, offset, max)
            }
            Kind::Memory(bytes) => self.take(id, &bytes, offset, max),
            Kind::PipeRead(pipe) => {
                let pipe = Rc::make_mut(self.machine.pipes.get_mut(&pipe).ok_or(Errno::EBADF)?);
                let ended = pipe.writers == 0;
                let data = pull(pipe, max, pid, ended)?;
                let waiters = std::mem::take(&mut pipe.waiters);
                self.machine.wake_all(waiters);
                data
            }
            Kind::Input(stream) => {
                let Some(pipe) = self.machine.inputs.get_mut(&stream) else { return Ok(Vec::new()) };
                let pipe = Rc::make_mut(pipe);
                let ended = pipe.writers == 0;
                pull(pipe, max, pid, ended)?
            }
            Kind::Tty(tty) => {
                let tty = Rc::make_mut(self.machine.ttys.get_mut(&tty).ok_or(Errno::EIO)?);
                tty.read(max).ok_or_else(|| {
                    tty.wait(pid);
                    Errno::EAGAIN
                })?
            }
            Kind::Device(device) => self.read_device(device, max),
            Kind::Conn(conn) => self.read_conn(conn, max)?,
            Kind::PipeWrite(_) | Kind::Output(_) => return Err(Errno::EBADF),
            Kind::Listener(_) | Kind::Dns(_) => return Err(Errno::EINVAL),
        };
        self.charged += 1 + data.len() as i64 / 65_536;
        Ok(data)
    }

    fn take(&mut self, id: u32, bytes: &[u8], offset: usize, max: usize) -> Vec<u8> {
        let start = offset.min(bytes.len());
        let end = (start + max).min(bytes.len());
        if let Some(file) = self.machine.files.get_mut(&id) {
            file.offset = end as u64;
        }
        bytes[start..end].to_vec()
    }

    fn read_device(&mut self, device: Device, max: usize) -> Vec<u8> {
        match device {
            Device::Zero | Device::Full => vec![0; max],
            Device::Random => {
                let seed = base::Seed(base::hash64(self.machine.config.hostname.as_bytes())).derive("random");
                let mut bytes = Vec::with_capacity(max + 8);
                while bytes.len() < max {
                    self.machine.counters.random += 1;
                    bytes.extend(seed.draw(self.machine.counters.random).to_le_bytes());
                }
                bytes.truncate(max);
                bytes
            }
            Device::Null | Device::Tty | Device::Fd(_) => Vec::new(),
        }
    }

    /// Writes what fits now. `EAGAIN`: nothing did, the process is woken when there is room. `EPIPE` comes with SIGPIPE.
    pub fn write(&mut self, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
        let id = self.file_id(fd)?;
        let file = self.machine.files.get(&id).ok_or(Errno::EBADF)?;
        if !file.write {
            return Err(Errno::EBADF);
        }
        self.charged += 1 + bytes.len() as i64 / 65_536;
        let (kind, offset, append) = (file.kind.clone(), file.offset, file.append);
        match kind {
            Kind::File { fs, ino } => self.write_file_at(id, (fs, ino), offset, append, bytes),
            Kind::PipeWrite(pipe) => self.write_pipe(pipe, bytes),
            Kind::Output(stream) => {
                if let Some(waiters) = self.machine.held.get_mut(&stream) {
                    waiters.push(self.pid);
                    return Err(Errno::EAGAIN);
                }
                // Output that nobody holds back is paid for: it bounds `yes` without a reader.
                self.charged += bytes.len() as i64 / 32;
                self.out.push(MachineOutput::Output { stream, data: bytes.into() });
                Ok(bytes.len())
            }
            Kind::Tty(id) => {
                self.charged += bytes.len() as i64 / 32;
                let tty = self.machine.ttys.get(&id).ok_or(Errno::EIO)?;
                let data: Rc<[u8]> = tty.output(bytes).into();
                self.out.push(MachineOutput::TtyOutput { tty: id, data });
                Ok(bytes.len())
            }
            Kind::Device(Device::Full) => Err(Errno::ENOSPC),
            Kind::Device(_) => Ok(bytes.len()),
            Kind::Conn(conn) => self.write_conn(conn, bytes),
            Kind::Memory(_) | Kind::PipeRead(_) | Kind::Input(_) => Err(Errno::EBADF),
            Kind::Listener(_) | Kind::Dns(_) => Err(Errno::EINVAL),
        }
    }

    fn write_file_at(&mut self, id: u32, at: (FsId, u32), offset: u64, append: bool, bytes: &[u8]) -> Result<usize, Errno> {
        let now = self.now;
        let (offset, n, grown) = self.with_fs(|fs, _, _| {
            let tree = fs.tree_mut(at.0)?;
            let offset = if append { tree.data(at.1)?.len() as u64 } else { offset };
            let before = tree.memory();
            let n = tree.write(at.1, offset, bytes, now)?;
            Ok::<_, Errno>((offset, n, tree.memory() > before))
        })?;
        if grown {
            // Files in memory are the writer's memory.
            self.check_memory();
        }
        if let Some(file) = self.machine.files.get_mut(&id) {
            file.offset = offset + n as u64;
        }
        Ok(n)
    }

    fn write_pipe(&mut self, id: u32, bytes: &[u8]) -> Result<usize, Errno> {
        let pid = self.pid;
        let pipe = Rc::make_mut(self.machine.pipes.get_mut(&id).ok_or(Errno::EBADF)?);
        if pipe.readers == 0 {
            self.broken_pipe();
            return Err(Errno::EPIPE);
        }
        let room = pipe.room();
        // Writes up to 4 KiB are atomic.
        if room == 0 || (bytes.len() <= 4096 && room < bytes.len()) {
            pipe.wait(pid);
            return Err(Errno::EAGAIN);
        }
        let n = bytes.len().min(room).min(CAPACITY);
        pipe.push(&bytes[..n]);
        let waiters = std::mem::take(&mut pipe.waiters);
        self.machine.wake_all(waiters);
        Ok(n)
    }

    pub(super) fn broken_pipe(&mut self) {
        let pid = self.pid;
        // Even process 1 of a container ends here: without a handler it sees EPIPE and gives up.
        self.machine.post_signal(pid, Signal::PIPE, false);
    }

    /// Sets the position of a file; returns the new one.
    pub fn seek(&mut self, fd: Fd, offset: u64) -> Result<u64, Errno> {
        let id = self.file_id(fd)?;
        let file = self.machine.files.get_mut(&id).ok_or(Errno::EBADF)?;
        match file.kind {
            Kind::File { .. } | Kind::Memory(_) => {
                file.offset = offset;
                Ok(offset)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    // ---- terminals ----

    pub fn is_tty(&self, fd: Fd) -> bool {
        matches!(self.file(fd).map(|f| &f.kind), Ok(Kind::Tty(_)))
    }

    fn tty_of(&self, fd: Fd) -> Result<super::TtyId, Errno> {
        match self.file(fd)?.kind {
            Kind::Tty(tty) => Ok(tty),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// Columns and rows.
    pub fn tty_size(&self, fd: Fd) -> Result<(u16, u16), Errno> {
        let tty = self.machine.ttys.get(&self.tty_of(fd)?).ok_or(Errno::EIO)?;
        Ok((tty.cols, tty.rows))
    }

    pub fn tty_mode(&self, fd: Fd) -> Result<TtyMode, Errno> {
        Ok(self.machine.ttys.get(&self.tty_of(fd)?).ok_or(Errno::EIO)?.mode)
    }

    pub fn set_tty_mode(&mut self, fd: Fd, mode: TtyMode) -> Result<(), Errno> {
        let id = self.tty_of(fd)?;
        let tty = Rc::make_mut(self.machine.ttys.get_mut(&id).ok_or(Errno::EIO)?);
        tty.set_mode(mode);
        let waiters = std::mem::take(&mut tty.waiters);
        self.machine.wake_all(waiters);
        Ok(())
    }

    /// `tcsetpgrp`: who gets ^C.
    pub fn set_tty_foreground(&mut self, fd: Fd, group: crate::program::Pid) -> Result<(), Errno> {
        let id = self.tty_of(fd)?;
        Rc::make_mut(self.machine.ttys.get_mut(&id).ok_or(Errno::EIO)?).foreground = group;
        Ok(())
    }

    // ---- the tree ----

    pub fn stat(&mut self, path: &str) -> Result<Stat, Errno> {
        self.stat_path(path, true)
    }

    /// Of a symbolic link itself.
    pub fn lstat(&mut self, path: &str) -> Result<Stat, Errno> {
        self.stat_path(path, false)
    }

    fn stat_path(&mut self, path: &str, follow: bool) -> Result<Stat, Errno> {
        match self.find(path, follow)? {
            Found::There { loc, .. } => self.stat_loc(loc),
            Found::Missing { .. } => Err(Errno::ENOENT),
            Found::Proc(rest) => self.stat_proc(&rest),
        }
    }

    fn stat_loc(&mut self, loc: Loc) -> Result<Stat, Errno> {
        let dev = match loc.fs {
            FsId::Root => 1,
            FsId::Volume(id) => id.0.wrapping_add(2),
        };
        self.with_fs(|fs, _, _| fs.tree(loc.fs)?.stat(loc.ino, dev))
    }

    pub fn fstat(&mut self, fd: Fd) -> Result<Stat, Errno> {
        let kind = self.file(fd)?.kind.clone();
        match kind {
            Kind::File { fs, ino } => self.stat_loc(Loc { fs, ino, read_only: false }),
            Kind::Memory(_) => self.stat_proc("self/stat"),
            other => {
                let kind = match other {
                    Kind::Tty(_) | Kind::Device(_) => 'c',
                    Kind::Conn(_) | Kind::Listener(_) | Kind::Dns(_) => 's',
                    _ => 'p',
                };
                Ok(Stat { ino: 0, kind, mode: 0o600, uid: 0, gid: 0, size: 0, blocks: 0, links: 1, mtime: self.now, dev: 0 })
            }
        }
    }

    /// `access(2)`.
    pub fn may(&mut self, path: &str, wanted: Wanted) -> Result<bool, Errno> {
        match self.find(path, true)? {
            Found::There { loc, .. } => {
                if wanted == Wanted::Write && self.not_read_only(loc).is_err() {
                    return Ok(false);
                }
                self.with_fs(|fs, who, _| fs.permits(who, loc, wanted))
            }
            Found::Missing { .. } => Err(Errno::ENOENT),
            Found::Proc(_) => Ok(wanted != Wanted::Write),
        }
    }

    /// Names in a directory, sorted, without `.` and `..`.
    pub fn read_dir(&mut self, path: &str) -> Result<Vec<Text>, Errno> {
        let loc = match self.find(path, true)? {
            Found::There { loc, .. } => loc,
            Found::Missing { .. } => return Err(Errno::ENOENT),
            Found::Proc(rest) => return self.proc_dir(&rest),
        };
        if !self.with_fs(|fs, who, _| fs.permits(who, loc, Wanted::Read))? {
            return Err(Errno::EACCES);
        }
        let entries: Map<Text, u32> = self.with_fs(|fs, _, _| fs.tree(loc.fs)?.entries(loc.ino))?;
        self.charged += 1 + entries.len() as i64 / 8;
        let mut names: Vec<Text> = entries.keys().cloned().collect();
        if loc == (Loc { fs: FsId::Root, ino: Tree::ROOT, read_only: loc.read_only }) && !names.iter().any(|n| &**n == "proc") {
            names.push("proc".into());
            names.order();
        }
        Ok(names)
    }

    pub fn mkdir(&mut self, path: &str, mode: u16) -> Result<(), Errno> {
        match self.find(path.trim_end_matches('/').max("/"), false)? {
            Found::Missing { dir, name } => {
                self.add_node(dir, &name, Node::Dir { entries: Map::new(), parent: dir.ino }, mode).map(|_| ())
            }
            _ => Err(Errno::EEXIST),
        }
    }

    pub fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno> {
        match self.find(path, false)? {
            Found::Missing { dir, name } => self.add_node(dir, &name, Node::Symlink(target.into()), 0o777).map(|_| ()),
            _ => Err(Errno::EEXIST),
        }
    }

    pub fn link(&mut self, existing: &str, path: &str) -> Result<(), Errno> {
        let loc = self.find_loc(existing, false)?;
        let Found::Missing { dir, name } = self.find(path, false)? else { return Err(Errno::EEXIST) };
        if dir.fs != loc.fs {
            return Err(Errno::EXDEV);
        }
        if self.stat_loc(loc)?.is_dir() {
            return Err(Errno::EPERM);
        }
        self.writable(dir)?;
        let now = self.now;
        self.with_fs(|fs, _, _| fs.tree_mut(dir.fs)?.link(dir.ino, &name, loc.ino, now))
    }

    pub fn readlink(&mut self, path: &str) -> Result<Text, Errno> {
        let loc = match self.find(path, false)? {
            Found::There { loc, .. } => loc,
            Found::Missing { .. } => return Err(Errno::ENOENT),
            Found::Proc(rest) => return self.proc_link(&rest),
        };
        self.with_fs(|fs, _, _| match fs.tree(loc.fs)?.inode(loc.ino) {
            Some(Inode { node: Node::Symlink(target), .. }) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        })
    }

    pub fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        self.remove(path, false)
    }

    pub fn rmdir(&mut self, path: &str) -> Result<(), Errno> {
        self.remove(path, true)
    }

    fn remove(&mut self, path: &str, directory: bool) -> Result<(), Errno> {
        let Found::There { loc, dir, name } = self.find(path, false)? else { return Err(Errno::ENOENT) };
        match (self.stat_loc(loc)?.is_dir(), directory) {
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.not_mount_point(loc, dir, &name)?;
        self.writable(dir)?;
        self.sticky(dir, loc)?;
        let now = self.now;
        self.with_fs(|fs, _, _| fs.tree_mut(dir.fs)?.unlink(dir.ino, &name, now))
    }

    /// What is mounted can't be removed or renamed.
    fn not_mount_point(&mut self, loc: Loc, dir: Loc, name: &str) -> Result<(), Errno> {
        let ino = self.with_fs(|fs, _, _| fs.tree(dir.fs)?.child(dir.ino, name))?;
        if loc.fs != dir.fs || ino != Some(loc.ino) { Err(Errno::EBUSY) } else { Ok(()) }
    }

    /// In a sticky directory (`/tmp`) only owners remove.
    fn sticky(&mut self, dir: Loc, loc: Loc) -> Result<(), Errno> {
        let (directory, file, uid) = (self.stat_loc(dir)?, self.stat_loc(loc)?, self.me().uid);
        let free = directory.mode & 0o1000 == 0 || uid == 0 || uid == file.uid || uid == directory.uid;
        if free { Ok(()) } else { Err(Errno::EPERM) }
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let Found::There { loc, dir, name } = self.find(from, false)? else { return Err(Errno::ENOENT) };
        let (to_dir, to_name) = match self.find(to, false)? {
            Found::There { dir, name, .. } | Found::Missing { dir, name } => (dir, name),
            Found::Proc(_) => return Err(Errno::EPERM),
        };
        self.not_mount_point(loc, dir, &name)?;
        if dir.fs != to_dir.fs {
            return Err(Errno::EXDEV);
        }
        self.writable(dir)?;
        self.writable(to_dir)?;
        self.sticky(dir, loc)?;
        let now = self.now;
        self.with_fs(|fs, _, _| fs.tree_mut(dir.fs)?.rename((dir.ino, &name), (to_dir.ino, &to_name), now))
    }

    /// Changes an inode as its owner or root.
    fn change(&mut self, path: &str, root_only: bool, f: impl FnOnce(&mut Inode)) -> Result<(), Errno> {
        let loc = self.find_loc(path, true)?;
        self.not_read_only(loc)?;
        let (uid, stat) = (self.me().uid, self.stat_loc(loc)?);
        if uid != 0 && (root_only || uid != stat.uid) {
            return Err(Errno::EPERM);
        }
        self.with_fs(|fs, _, _| fs.tree_mut(loc.fs)?.inode_mut(loc.ino).map(f).ok_or(Errno::ENOENT))
    }

    pub fn chmod(&mut self, path: &str, mode: u16) -> Result<(), Errno> {
        self.change(path, false, |inode| inode.mode = mode & 0o7777)
    }

    pub fn chown(&mut self, path: &str, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        self.change(path, true, |inode| {
            inode.uid = uid.unwrap_or(inode.uid);
            inode.gid = gid.unwrap_or(inode.gid);
        })
    }

    /// Sets the time of last change.
    pub fn utime(&mut self, path: &str, mtime: base::Time) -> Result<(), Errno> {
        self.change(path, false, |inode| inode.mtime = mtime)
    }

    pub fn truncate(&mut self, fd: Fd, len: u64) -> Result<(), Errno> {
        let Kind::File { fs, ino } = self.file(fd)?.kind else { return Err(Errno::EINVAL) };
        let now = self.now;
        self.with_fs(|view, _, _| view.tree_mut(fs)?.truncate(ino, len, now))
    }

    pub fn cwd(&self) -> Text {
        self.me().cwd.clone()
    }

    pub fn chdir(&mut self, path: &str) -> Result<(), Errno> {
        let real = self.real_path(path)?;
        if !self.stat(&real)?.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !self.may(&real, Wanted::Execute)? {
            return Err(Errno::EACCES);
        }
        self.me_mut().cwd = real.into();
        Ok(())
    }

    /// The absolute path without symbolic links. All of it must exist.
    pub fn real_path(&mut self, path: &str) -> Result<String, Errno> {
        self.with_fs(|fs, who, cwd| fs.real_path(who, cwd, path))
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

fn pull(pipe: &mut Pipe, max: usize, pid: u32, ended: bool) -> Result<Vec<u8>, Errno> {
    if pipe.len() == 0 && !ended {
        pipe.wait(pid);
        return Err(Errno::EAGAIN);
    }
    Ok(pipe.pull(max))
}
