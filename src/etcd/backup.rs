//! A backup of the keys as a file: what `etcdctl snapshot save` gets and `snapshot restore` begins a new cluster with.
//!
//! A real one is the database file (bbolt) with a SHA-256 behind it. Here it is text: a line about the whole, a line for each
//! key, padded to whole pages; whoever saves it appends the SHA-256. Left out: history (a restored store begins with what was
//! current, and everything older counts as compacted), leases (keys lose theirs, as they have nobody to keep them).

use std::fmt::Write;
use std::rc::Rc;

use apimachinery::{Object, Value, json, value};
use base::hash64;
use etcd_api::{KeyRange, KeyValue, RangeRequest, Stored};

use crate::data_dir::State;
use crate::member::Member;
use crate::store::Store;

/// A real database file consists of pages; a hash appended to it is recognised by the size.
pub const PAGE: usize = 512;
const FORMAT: &str = "kubottle etcd snapshot 1";

/// `etcdctl snapshot status`
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotStatus {
    pub hash: u32,
    pub revision: i64,
    pub total_keys: i64,
    pub total_size: i64,
    /// Of the storage: `3.7.0`.
    pub version: Rc<str>,
}

/// The file's text, without a hash.
pub fn write(member: &Member) -> Rc<str> {
    let everything = KeyRange { key: "".into(), end: Some("\0".into()) };
    let (revision, limit) = (0, 0);
    let request = RangeRequest { range: everything, revision, limit, count_only: false, keys_only: false, serializable: true };
    let kvs = member.store().range(&request).map(|r| r.kvs).unwrap_or_default();
    let head = value!({
        "format": FORMAT, "version": (crate::member::VERSION), "revision": (member.revision()), "keys": (kvs.len() as i64)
    });
    let mut out = json::to_string(&head);
    out.push('\n');
    for kv in &kvs {
        let _ = writeln!(out, "{}", json::to_string(&line(kv)));
    }
    let padding = (PAGE - out.len() % PAGE) % PAGE;
    out.extend(std::iter::repeat_n('\n', padding));
    out.into()
}

fn line(kv: &KeyValue) -> Value {
    let mut line = value!({
        "key": (&kv.key), "create": (kv.create_revision), "mod": (kv.mod_revision), "version": (kv.version)
    });
    match &kv.value {
        Stored::Object(object) => line.set_at(&["object"], object.value().clone()),
        Stored::Bytes(bytes) => {
            line.set_at(&["bytes"], bytes.iter().map(|b| Value::Int((*b).into())).collect::<Vec<_>>());
        }
    }
    line
}

/// What a file says of itself. `None`: it is no database.
pub fn status(file: &[u8]) -> Option<SnapshotStatus> {
    let text = std::str::from_utf8(without_hash(file).0).ok()?;
    let head = head(text)?;
    Some(SnapshotStatus {
        hash: hash64(text.as_bytes()) as u32,
        revision: head.int_at(&["revision"])?,
        total_keys: head.int_at(&["keys"])?,
        total_size: text.len() as i64,
        version: head.str_at(&["version"])?.into(),
    })
}

/// The database and the SHA-256 behind it, if there is one.
pub fn without_hash(file: &[u8]) -> (&[u8], Option<&[u8]>) {
    match file.len() % PAGE {
        32 => (&file[..file.len() - 32], Some(&file[file.len() - 32..])),
        _ => (file, None),
    }
}

fn head(text: &str) -> Option<Value> {
    let head = json::parse(text.lines().next()?.as_bytes()).ok()?;
    (head.str_at(&["format"]) == Some(FORMAT)).then_some(head)
}

/// The keys in a file, as the store of a new cluster. `None`: it is no database, or something is missing in it.
pub fn read(file: &[u8]) -> Option<State> {
    let text = std::str::from_utf8(without_hash(file).0).ok()?;
    let head = head(text)?;
    let mut kvs = Vec::new();
    for text in text.lines().skip(1).filter(|l| !l.is_empty()) {
        kvs.push(Rc::new(key_value(&json::parse(text.as_bytes()).ok()?)?));
    }
    if kvs.len() as i64 != head.int_at(&["keys"])? {
        return None;
    }
    let store = Store::restored(head.int_at(&["revision"])?, kvs);
    Some(State { store, ..State::default() })
}

fn key_value(line: &Value) -> Option<KeyValue> {
    let value = match line.get("object") {
        Some(object) => Stored::Object(Object::from_value(object.clone())?),
        None => Stored::Bytes(line.list_at(&["bytes"]).iter().filter_map(|b| u8::try_from(b.as_i64()?).ok()).collect()),
    };
    Some(KeyValue {
        key: line.str_at(&["key"])?.into(),
        value,
        create_revision: line.int_at(&["create"])?,
        mod_revision: line.int_at(&["mod"])?,
        version: line.int_at(&["version"])?,
        lease: 0,
    })
}
