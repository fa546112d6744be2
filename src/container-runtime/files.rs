//! The machine's own files, for whoever keeps them beside the machine (a backup of the laptop's home).

use std::rc::Rc;

use cri_api::Tree;
use cri_api::vfs::{Ino, Node};

use crate::Runtime;

type Text = Rc<str>;

/// Deeper directories are left out.
const MAX_DEPTH: u32 = 16;

impl Runtime {
    /// The regular files below a directory of the machine's own disk, with their paths and modes, in order.
    pub fn files_below(&self, dir: &str) -> Vec<(Text, Rc<Vec<u8>>, u16)> {
        let mut found = Vec::new();
        if let Some(at) = self.host.root.lookup(dir.trim_start_matches('/')) {
            walk(&self.host.root, at, dir.trim_end_matches('/'), 0, &mut found);
        }
        found
    }
}

fn walk(tree: &Tree, dir: Ino, path: &str, depth: u32, found: &mut Vec<(Text, Rc<Vec<u8>>, u16)>) {
    let Ok(entries) = tree.entries(dir) else { return };
    for (name, ino) in &entries {
        let Some(inode) = tree.inode(*ino).filter(|_| &**name != "." && &**name != "..") else { continue };
        let path = format!("{path}/{name}");
        match (&inode.node, tree.data(*ino)) {
            (Node::Dir { .. }, _) if depth < MAX_DEPTH => walk(tree, *ino, &path, depth + 1, found),
            (Node::File(_), Ok(data)) => found.push((path.into(), data, inode.mode & 0o7777)),
            _ => {}
        }
    }
}
