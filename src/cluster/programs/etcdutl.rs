//! `etcdutl snapshot status|restore`: backups as files, without a member. A backup is saved by `etcdctl snapshot save`.
//!
//! Restoring makes a data directory for one member of a new cluster. What a kubeadm cluster's administrator does around it
//! (manifests away, restore, manifests back) is in the scenario `etcd-lost-and-restored`. Left out by name: `--bump-revision`,
//! `--mark-compacted` (whoever watched must start again anyway: restart kube-apiserver), `--wal-dir`, `migrate`, `hashkv`.

use apimachinery::{json, value};
use cri_api::Errno;
use cri_api::machine::Sys;

use super::etcdctl_args::{Asked, Command};
use super::etcdctl_print as print;

/// Output and log, or the error.
pub fn run(sys: &mut Sys<'_>, asked: &Asked) -> Result<(String, String), String> {
    match asked.command {
        Command::SnapshotStatus => status(sys, asked).map(|out| (out, String::new())),
        _ => restore(sys, asked).map(|log| (String::new(), log)),
    }
}

fn read(sys: &mut Sys<'_>, path: &str, call: &str) -> Result<Vec<u8>, String> {
    sys.read_file(path).map(|f| f.to_vec()).map_err(|e| format!("{call} {path}: {}", e.text().to_lowercase()))
}

fn status(sys: &mut Sys<'_>, asked: &Asked) -> Result<String, String> {
    let file = read(sys, &asked.file, "stat")?;
    let status = etcd::backup::status(&file).ok_or("invalid database")?;
    if etcd::backup::read(&file).is_none() {
        return Err("snapshot file integrity check failed. 1 errors found.\nunreadable page".into());
    }
    Ok(print::snapshot_status(asked, &status))
}

fn restore(sys: &mut Sys<'_>, asked: &Asked) -> Result<String, String> {
    let flag = |name: &str, default: &str| {
        asked.flags.iter().rev().find(|(n, _)| n == name).map_or_else(|| default.to_string(), |(_, v)| v.clone())
    };
    let name = flag("name", "default");
    let dir = flag("data-dir", &format!("{name}.etcd"));
    let token = flag("initial-cluster-token", "etcd-cluster");
    let peer_url = flag("initial-advertise-peer-urls", "http://localhost:2380");
    let cluster = members(&flag("initial-cluster", &format!("{name}=http://localhost:2380")))?;
    if !cluster.iter().any(|(n, _)| *n == name) {
        return Err(format!("couldn't find local name {name:?} in the initial cluster configuration"));
    }
    if cluster.iter().any(|(n, url)| *n == name && *url != peer_url) {
        return Err(format!("--initial-cluster has {name}= but missing from --initial-advertise-peer-urls={peer_url}"));
    }
    if sys.read_dir(&dir).is_ok_and(|entries| !entries.is_empty()) || sys.stat(&dir).is_ok_and(|s| !s.is_dir()) {
        return Err(format!("data-dir {dir:?} not empty or could not be read"));
    }
    let file = read(sys, &asked.file, "open")?;
    let database = verified(&file, flag("skip-hash-check", "false") == "true")?;
    if etcd::backup::read(database).is_none() {
        return Err("invalid database".into());
    }
    let cluster: Vec<_> = cluster.iter().map(|(n, url)| value!({"name": n, "peerURL": url})).collect();
    let wal = value!({"name": (&name), "peerURL": (&peer_url), "token": (&token), "initialCluster": cluster});
    let written = write_dir(sys, &dir, database, json::to_string(&wal).as_bytes());
    written.map_err(|(path, e)| format!("mkdir {path}: {}", e.text().to_lowercase()))?;
    let fields = format!(
        "{{\"path\": {:?}, \"wal-dir\": \"{dir}/member/wal\", \"data-dir\": {dir:?}, \"snap-dir\": \"{dir}/member/snap\"}}",
        asked.file
    );
    let at = sys.now().rfc3339();
    let log = |what: &str| format!("{at}\tinfo\tsnapshot/v3_snapshot.go\t{what} snapshot\t{fields}\n");
    Ok(log("restoring") + &log("restored"))
}

/// The database of a file whose hash is right.
fn verified(file: &[u8], skip: bool) -> Result<&[u8], String> {
    let (database, hash) = etcd::backup::without_hash(file);
    let Some(expected) = hash else {
        return if skip { Ok(database) } else { Err("snapshot missing hash but --skip-hash-check=false".into()) };
    };
    let got = shell::applets::digest::sha256(database);
    let bytes = |b: &[u8]| b.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    match skip || got == *expected {
        true => Ok(database),
        false => Err(format!("expected sha256 [{}], got [{}]", bytes(expected), bytes(&got))),
    }
}

fn members(list: &str) -> Result<Vec<(String, String)>, String> {
    let one = |pair: &str| {
        let pair = pair.split_once('=').map(|(n, u)| (n.to_string(), u.to_string()));
        pair.ok_or_else(|| format!("error setting up initial cluster: {list:?}"))
    };
    list.split(',').map(one).collect()
}

fn write_dir(sys: &mut Sys<'_>, dir: &str, database: &[u8], wal: &[u8]) -> Result<(), (String, Errno)> {
    for below in ["", "/member", "/member/snap", "/member/wal"] {
        let path = format!("{}{below}", dir.trim_end_matches('/'));
        make_dirs(sys, &path).map_err(|e| (path.clone(), e))?;
    }
    for (path, bytes) in [("snap/db", database), ("wal/0000000000000000-0000000000000000.wal", wal)] {
        let path = format!("{}/member/{path}", dir.trim_end_matches('/'));
        sys.write_file(&path, bytes).map_err(|e| (path.clone(), e))?;
    }
    Ok(())
}

fn make_dirs(sys: &mut Sys<'_>, path: &str) -> Result<(), Errno> {
    let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]).filter(|i| *i > 0);
    for end in ends.collect::<Vec<_>>() {
        match sys.mkdir(&path[..end], 0o700) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
