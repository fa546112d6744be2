//! One filesystem: a persistent table of inodes, with names, links and openers; [`content`] is what files hold. The methods that take
//! paths ([`builder`]) are for those who build it (images, kubelet's volume manager): they follow no symbolic links and check no
//! permissions; processes come through [`super::Namespace`].

mod builder;
mod content;

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
}
