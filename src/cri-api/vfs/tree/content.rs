//! What regular files hold: reading, writing within the filesystem's limit, cutting, and `stat`.

use std::rc::Rc;

use base::Time;

use super::{FileData, FsKind, Ino, Inode, Node, Stat, Tree};
use crate::errno::Errno;

impl Tree {
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
}
