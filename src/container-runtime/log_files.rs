//! Container logs as files: `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<attempt>.log` in CRI's form, and links to them in
//! `/var/log/containers`. In a real node containerd writes the files and the kubelet makes the links and rotates.
//!
//! Here a log is a list of lines (`logs.rs`), which is all that the kubelet needs. The files are made when somebody can first see
//! them: a pod with a hostPath in `/var/log`, or a shell on the node. From then on every line is written. A node that nobody looks
//! into pays nothing. Left out by name: compression, more than one rotated file, `containerLogMaxSize` other than a megabyte.

use std::rc::Rc;

use base::Time;
use cri_api::Tree;
use cri_api::cri::Id;

use crate::Runtime;
use crate::logs::LogLine;

/// A longer file is rotated.
const MOST_BYTES: usize = 1 << 20;

impl Runtime {
    /// From now on logs are files too.
    pub(crate) fn keep_log_files(&mut self, now: Time) {
        if std::mem::replace(&mut self.log_files, true) {
            return;
        }
        for dir in ["/var/log/pods", "/var/log/containers"] {
            self.with_host_tree(dir, |tree, within| {
                let _ = tree.mkdir_p(within, 0o755, now);
            });
        }
        let ids: Vec<Id> = self.containers.keys().cloned().collect();
        for id in ids {
            let lines: Vec<LogLine> = self.containers.get(&id).map(|c| c.log.iter().cloned().collect()).unwrap_or_default();
            self.write_log_file(now, &id, &lines);
        }
    }

    /// Somebody has a shell here (the laptop has no containers).
    pub(crate) fn show_log_files(&mut self, now: Time) {
        if &*self.config.node != "laptop" {
            self.keep_log_files(now);
        }
    }

    /// Writes lines to a container's file; makes it and its link if they aren't there.
    pub(crate) fn write_log_file(&mut self, now: Time, id: &Id, lines: &[LogLine]) {
        if !self.log_files {
            return;
        }
        let Some((path, link)) = self.log_paths(id) else { return };
        let mut text = String::new();
        for line in lines {
            let stream = if line.stderr { "stderr" } else { "stdout" };
            // Only a line that was cut goes on in the next one.
            let flag = if line.newline || line.text.len() < crate::logs::MAX_LINE { 'F' } else { 'P' };
            text.push_str(&format!("{} {stream} {flag} {}\n", line.time.rfc3339_nano(), line.text));
        }
        self.with_host_tree(&path, |tree, within| append(tree, within, text.as_bytes(), now));
        self.with_host_tree(&link, |tree, within| {
            if tree.lookup(within).is_none() {
                let dir = within.rsplit_once('/').map_or("", |(dir, _)| dir);
                let _ = tree.mkdir_p(dir, 0o755, now);
                let _ = tree.put_symlink(within, &path, now);
            }
        });
    }

    /// A container is removed: so are its files.
    pub(crate) fn remove_log_file(&mut self, id: &Id) {
        if !self.log_files {
            return;
        }
        let now = self.containers.get(id).map_or(Time::EPOCH, |c| c.finished_at.unwrap_or(c.created_at));
        let Some((path, link)) = self.log_paths(id) else { return };
        for path in [path.as_str(), &format!("{path}.1"), &link] {
            self.with_host_tree(path, |tree, within| {
                let _ = tree.remove_all(within, now);
            });
        }
    }

    /// The file and the link to it.
    fn log_paths(&self, id: &Id) -> Option<(String, String)> {
        let container = self.containers.get(id)?;
        let pod = &self.sandboxes.get(&container.sandbox)?.config;
        let (namespace, name, uid) = (&pod.pod_namespace, &pod.pod_name, &pod.pod_uid);
        let (of, attempt) = (&container.config.name, container.config.attempt);
        Some((
            format!("/var/log/pods/{namespace}_{name}_{uid}/{of}/{attempt}.log"),
            format!("/var/log/containers/{name}_{namespace}_{of}-{id}.log"),
        ))
    }

    /// The part of the node's disk in which a path lies, and the path there.
    fn with_host_tree(&mut self, path: &str, change: impl FnOnce(&mut Tree, &str)) {
        let (volume, within) = self.host_place(path);
        match volume.and_then(|id| self.volumes.get_mut(id)) {
            Some(volume) => change(&mut volume.tree, within),
            None => change(&mut Rc::make_mut(&mut self.host).root, within),
        }
    }
}

fn append(tree: &mut Tree, path: &str, bytes: &[u8], now: Time) {
    let size = tree.lookup(path).and_then(|ino| tree.data(ino).ok()).map(|d| d.len());
    if size.is_some_and(|n| n > MOST_BYTES) {
        // The old one stays beside it, as one file.
        if let Some(old) = tree.read_file(path) {
            let _ = tree.put_file(&format!("{path}.1"), old.to_vec(), 0o640, now);
        }
        let _ = tree.put_file(path, bytes.to_vec(), 0o640, now);
        return;
    }
    match (tree.lookup(path), size) {
        (Some(ino), Some(at)) => {
            let _ = tree.write(ino, at as u64, bytes, now);
        }
        _ => {
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            let _ = tree.mkdir_p(dir, 0o755, now);
            let _ = tree.put_file(path, bytes.to_vec(), 0o640, now);
        }
    }
}
