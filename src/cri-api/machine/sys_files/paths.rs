//! System calls that take a path: stat, directories, links, names and their removal, owners and modes, the working directory.

use base::{Map, Sort as _};

use crate::errno::Errno;
use crate::machine::Sys;
use crate::machine::file::Kind;
use crate::program::{Fd, Text};
use crate::vfs::{Found, FsId, Inode, Loc, Node, Stat, Tree, Wanted};

impl Sys<'_> {
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
}
