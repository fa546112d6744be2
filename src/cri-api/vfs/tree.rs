//! One filesystem: a persistent table of inodes. The methods that take paths are for those who build it (images, kubelet's
//! volume manager): they follow no symbolic links and check no permissions; processes come through [`super::Namespace`].

use std::rc::Rc;

use base::{Map, Time};

use crate::errno::Errno;
use crate::program::Text;

/// An inode's number in its tree. The root directory is 1.
pub type Ino = u32;

/// What kind of filesystem it pretends to be: sizes of directories and link counts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsKind {
    /// A container's root: directories have one link.
    Overlay,
    Ext4,
    Tmpfs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Null,
    Zero,
    Full,
    Random,
    /// The process' controlling terminal.
    Tty,
    /// `/dev/stdin`, `/dev/stdout`, `/dev/stderr`: the descriptor of that number.
    Fd(u32),
}

/// What a regular file holds.
#[derive(Clone, Debug)]
pub enum FileData {
    Bytes(Rc<Vec<u8>>),
    /// An executable that is the program of this name in the [`crate::ProgramTable`]. Reads as an ELF header.
    Program(Text),
}

#[derive(Clone, Debug)]
pub enum Node {
    Dir { entries: Map<Text, Ino>, parent: Ino },
    File(FileData),
    Symlink(Text),
    Device(Device),
}

#[derive(Clone, Debug)]
pub struct Inode {
    pub node: Node,
    /// Permission bits, with set-id and sticky (0o7777).
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    /// Names that lead here (files); directories count themselves as one.
    pub links: u32,
    /// Open descriptions: an unlinked file lives until the last one closes.
    pub opens: u32,
    /// In (or below) a directory that is memory, such as `/dev/shm`.
    in_memory: bool,
}

/// `struct stat`, as far as it is modelled.
#[derive(Clone, Debug)]
pub struct Stat {
    pub ino: Ino,
    pub kind: char,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub links: u32,
    pub mtime: Time,
    /// Distinguishes filesystems (`cp` and `mv` compare it).
    pub dev: u64,
}

impl Stat {
    pub fn is_dir(&self) -> bool {
        self.kind == 'd'
    }
    pub fn is_symlink(&self) -> bool {
        self.kind == 'l'
    }
    pub fn is_file(&self) -> bool {
        self.kind == '-'
    }
}

/// A filesystem. Clone is O(1).
#[derive(Clone)]
pub struct Tree {
    inodes: Map<Ino, Rc<Inode>>,
    next: Ino,
    /// Bytes of file contents.
    used: u64,
    /// Those of them that lie in memory, not on a disk.
    memory: u64,
    /// Bytes of file contents at most (`ENOSPC` above).
    pub limit: u64,
    pub kind: FsKind,
    /// `readOnlyRootFilesystem`.
    pub read_only: bool,
}

/// What a filesystem without a stated limit may hold.
const DEFAULT_LIMIT: u64 = 256 << 20;

impl Tree {
    pub const ROOT: Ino = 1;

    /// An empty filesystem whose root directory has mode 0755 and belongs to root.
    pub fn new(kind: FsKind) -> Tree {
        let root = Inode {
            node: Node::Dir { entries: Map::new(), parent: Tree::ROOT },
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Time::EPOCH,
            links: 1,
            opens: 0,
            in_memory: kind == FsKind::Tmpfs,
        };
        let mut inodes = Map::new();
        inodes.insert(Tree::ROOT, Rc::new(root));
        Tree { inodes, next: Tree::ROOT + 1, used: 0, memory: 0, limit: DEFAULT_LIMIT, kind, read_only: false }
    }

    /// Bytes of file contents.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes of file contents that are held in memory (tmpfs, `/dev/shm`).
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// A file has grown or shrunk.
    fn account(&mut self, old: u64, new: u64, in_memory: bool) {
        self.used = (self.used + new).saturating_sub(old);
        if in_memory {
            self.memory = (self.memory + new).saturating_sub(old);
        }
    }

    pub fn inode(&self, ino: Ino) -> Option<&Inode> {
        self.inodes.get(&ino).map(|inode| &**inode)
    }

    pub fn inode_mut(&mut self, ino: Ino) -> Option<&mut Inode> {
        self.inodes.get_mut(&ino).map(Rc::make_mut)
    }

    pub fn child(&self, dir: Ino, name: &str) -> Result<Option<Ino>, Errno> {
        match &self.inode(dir).ok_or(Errno::ENOENT)?.node {
            Node::Dir { entries, .. } => Ok(entries.get(name).copied()),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Names and inodes of a directory, sorted by name, without `.` and `..`.
    pub fn entries(&self, dir: Ino) -> Result<Map<Text, Ino>, Errno> {
        match &self.inode(dir).ok_or(Errno::ENOENT)?.node {
            Node::Dir { entries, .. } => Ok(entries.clone()),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Adds an inode to a directory. The name must be free.
    pub fn add(&mut self, dir: Ino, name: &str, node: Node, mode: u16, owner: (u32, u32), now: Time) -> Result<Ino, Errno> {
        if name.len() > 255 {
            return Err(Errno::ENAMETOOLONG);
        }
        if self.child(dir, name)?.is_some() {
            return Err(Errno::EEXIST);
        }
        if self.inodes.len() as u64 > self.limit / 64 + 4096 {
            return Err(Errno::ENOSPC);
        }
        let ino = self.next;
        self.next += 1;
        let node = match node {
            Node::Dir { entries, .. } => Node::Dir { entries, parent: dir },
            other => other,
        };
        let in_memory = self.inode(dir).is_some_and(|dir| dir.in_memory);
        let size = match &node {
            Node::File(FileData::Bytes(bytes)) => bytes.len() as u64,
            _ => 0,
        };
        self.account(0, size, in_memory);
        let inode = Inode { node, mode, uid: owner.0, gid: owner.1, mtime: now, links: 1, opens: 0, in_memory };
        self.inodes.insert(ino, Rc::new(inode));
        self.set_entry(dir, name, Some(ino), now);
        Ok(ino)
    }

    fn set_entry(&mut self, dir: Ino, name: &str, ino: Option<Ino>, now: Time) {
        let Some(inode) = self.inode_mut(dir) else { return };
        inode.mtime = now;
        if let Node::Dir { entries, .. } = &mut inode.node {
            match ino {
                Some(ino) => entries.insert(name.into(), ino),
                None => entries.remove(name),
            };
        }
    }

    /// Adds one more name for a file.
    pub fn link(&mut self, dir: Ino, name: &str, ino: Ino, now: Time) -> Result<(), Errno> {
        if self.child(dir, name)?.is_some() {
            return Err(Errno::EEXIST);
        }
        self.inode_mut(ino).ok_or(Errno::ENOENT)?.links += 1;
        self.set_entry(dir, name, Some(ino), now);
        Ok(())
    }

    /// Takes a name away; the inode goes with its last name and last opener. A directory must be empty.
    pub fn unlink(&mut self, dir: Ino, name: &str, now: Time) -> Result<(), Errno> {
        let ino = self.child(dir, name)?.ok_or(Errno::ENOENT)?;
        let inode = self.inode_mut(ino).ok_or(Errno::ENOENT)?;
        if let Node::Dir { entries, .. } = &inode.node
            && !entries.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        inode.links = inode.links.saturating_sub(1);
        self.set_entry(dir, name, None, now);
        self.drop_if_unused(ino);
        Ok(())
    }

    /// Moves a name within this filesystem, over an existing file or empty directory.
    pub fn rename(&mut self, from: (Ino, &str), to: (Ino, &str), now: Time) -> Result<(), Errno> {
        let ino = self.child(from.0, from.1)?.ok_or(Errno::ENOENT)?;
        let moved_is_dir = matches!(self.inode(ino).map(|i| &i.node), Some(Node::Dir { .. }));
        if moved_is_dir && self.is_within(to.0, ino) {
            return Err(Errno::EINVAL);
        }
        if let Some(target) = self.child(to.0, to.1)? {
            if target == ino {
                return Ok(());
            }
            match (moved_is_dir, matches!(self.inode(target).map(|i| &i.node), Some(Node::Dir { .. }))) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                _ => self.unlink(to.0, to.1, now)?,
            }
        }
        self.set_entry(from.0, from.1, None, now);
        self.set_entry(to.0, to.1, Some(ino), now);
        if let Some(Inode { node: Node::Dir { parent, .. }, .. }) = self.inode_mut(ino) {
            *parent = to.0;
        }
        Ok(())
    }

    fn is_within(&self, mut dir: Ino, ancestor: Ino) -> bool {
        loop {
            if dir == ancestor {
                return true;
            }
            match self.inode(dir).map(|i| &i.node) {
                Some(Node::Dir { parent, .. }) if *parent != dir => dir = *parent,
                _ => return false,
            }
        }
    }

    /// Counts an opener.
    pub fn open(&mut self, ino: Ino) {
        if let Some(inode) = self.inode_mut(ino) {
            inode.opens += 1;
        }
    }

    /// An opener has gone.
    pub fn close(&mut self, ino: Ino) {
        if let Some(inode) = self.inode_mut(ino) {
            inode.opens = inode.opens.saturating_sub(1);
        }
        self.drop_if_unused(ino);
    }

    fn drop_if_unused(&mut self, ino: Ino) {
        if self.inode(ino).is_some_and(|inode| inode.links == 0 && inode.opens == 0)
            && let Some(inode) = self.inodes.remove(&ino)
            && let Node::File(FileData::Bytes(bytes)) = &inode.node
        {
            self.account(bytes.len() as u64, 0, inode.in_memory);
        }
    }

    /// The content of a file.
    pub fn data(&self, ino: Ino) -> Result<Rc<Vec<u8>>, Errno> {
        match &self.inode(ino).ok_or(Errno::ENOENT)?.node {
            Node::File(FileData::Bytes(bytes)) => Ok(bytes.clone()),
            Node::File(FileData::Program(name)) => Ok(Rc::new(format!("\u{7f}ELF\u{2}\u{1}\u{1}\0{name}\0").into_bytes())),
            Node::Dir { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Writes at an offset (holes become zeros). Returns how many bytes fitted.
    pub fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8], now: Time) -> Result<usize, Errno> {
        let room = self.limit.saturating_sub(self.used);
        let inode = self.inodes.get_mut(&ino).map(Rc::make_mut).ok_or(Errno::ENOENT)?;
        if let Node::File(data @ FileData::Program(_)) = &mut inode.node {
            *data = FileData::Bytes(Rc::default());
        }
        let Node::File(FileData::Bytes(data)) = &mut inode.node else { return Err(Errno::EINVAL) };
        let old = data.len() as u64;
        let end = offset.saturating_add(bytes.len() as u64).min(old + room);
        let Some(n) = end.checked_sub(offset).filter(|&n| n > 0 || bytes.is_empty()) else { return Err(Errno::ENOSPC) };
        let data = Rc::make_mut(data);
        if (data.len() as u64) < end {
            data.resize(end as usize, 0);
        }
        data[offset as usize..end as usize].copy_from_slice(&bytes[..n as usize]);
        let new = data.len() as u64;
        inode.mtime = now;
        let in_memory = inode.in_memory;
        self.account(old, new, in_memory);
        Ok(n as usize)
    }

    /// Cuts or extends a file.
    pub fn truncate(&mut self, ino: Ino, len: u64, now: Time) -> Result<(), Errno> {
        let room = self.limit.saturating_sub(self.used);
        let inode = self.inodes.get_mut(&ino).map(Rc::make_mut).ok_or(Errno::ENOENT)?;
        let Node::File(data) = &mut inode.node else { return Err(Errno::EINVAL) };
        if let FileData::Program(_) = data {
            *data = FileData::Bytes(Rc::default());
        }
        let FileData::Bytes(bytes) = data else { return Err(Errno::EINVAL) };
        let old = bytes.len() as u64;
        if len > old + room {
            return Err(Errno::ENOSPC);
        }
        if len == 0 {
            *bytes = Rc::default();
        } else {
            Rc::make_mut(bytes).resize(len as usize, 0);
        }
        inode.mtime = now;
        let in_memory = inode.in_memory;
        self.account(old, len, in_memory);
        Ok(())
    }

    pub fn stat(&self, ino: Ino, dev: u64) -> Result<Stat, Errno> {
        let inode = self.inode(ino).ok_or(Errno::ENOENT)?;
        let (kind, size) = match &inode.node {
            Node::Dir { entries, .. } => ('d', if self.kind == FsKind::Tmpfs { 40 + 20 * entries.len() as u64 } else { 4096 }),
            Node::File(FileData::Bytes(bytes)) => ('-', bytes.len() as u64),
            Node::File(FileData::Program(_)) => ('-', 1_131_168),
            Node::Symlink(target) => ('l', target.len() as u64),
            Node::Device(_) => ('c', 0),
        };
        let blocks = match kind {
            'd' if self.kind == FsKind::Tmpfs => 0,
            'l' | 'c' => 0,
            _ => size.div_ceil(4096) * 8,
        };
        let links = self.links(inode);
        Ok(Stat { ino, kind, mode: inode.mode, uid: inode.uid, gid: inode.gid, size, blocks, links, mtime: inode.mtime, dev })
    }

    fn links(&self, inode: &Inode) -> u32 {
        match &inode.node {
            Node::Dir { .. } if self.kind == FsKind::Overlay => 1,
            Node::Dir { entries, .. } => {
                let is_dir = |ino: &&Ino| matches!(self.inode(**ino).map(|i| &i.node), Some(Node::Dir { .. }));
                2 + entries.values().filter(is_dir).count() as u32
            }
            _ => inode.links,
        }
    }

    // ---- for builders: whole paths, no links followed, parents made on the way ----

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
