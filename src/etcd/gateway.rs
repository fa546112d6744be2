//! etcd's JSON gateway: what `etcdctl` asks, as paths and parameters.
//!
//! A real member serves `/v3/kv/range` and its like as POST with a JSON body, keys and values in base64, and `etcdctl` speaks
//! gRPC. Here parameters come in the query and texts are left as they are. A real kube-apiserver stores protobuf; here a value
//! that is an API object is its JSON. `/v3/watch` is no stream: it answers the changes since `start_revision` at once, and a
//! client asks again. Left out by name: everything that writes (put, deleterange, txn, compaction, lease), snapshots.

use apimachinery::{Request, Response, ResponseBody, Value, json, value};
use etcd_api::{Error, KeyRange, KeyValue, RangeRequest, Stored};

use crate::Member;

/// Most changes in one answer of `/v3/watch`: the client asks again from the revision after the last.
const MAX_EVENTS: usize = 1000;

/// Answers a request for a path.
pub(crate) fn answer(member: &Member, request: &Request) -> Response {
    let answer = match &*request.path {
        "/health" => return text(200, r#"{"health":"true","reason":""}"#),
        "/livez" | "/readyz" => return text(200, "ok"),
        "/v3/kv/range" => range(member, request),
        "/v3/watch" => watch(member, request),
        "/v3/maintenance/status" => Ok(status(member)),
        "/v3/cluster/member/list" => Ok(members(member)),
        path if path.starts_with("/v3/") => return text(501, &format!("{path} is not in this bottle")),
        _ => return text(404, "404 page not found"),
    };
    match answer {
        Ok(mut body) => {
            body.set_at(&["header"], header(member));
            text(200, &json::to_string(&body))
        }
        Err(e) => text(400, e.text()),
    }
}

fn text(code: u16, body: &str) -> Response {
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain; charset=utf-8" };
    Response { code, warnings: Vec::new(), body: ResponseBody::Text(kind.into(), body.into()) }
}

/// Identifiers are unsigned and go as texts, as the gateway does with all 64-bit numbers; the others fit a JSON number.
fn header(member: &Member) -> Value {
    value!({
        "cluster_id": (base::hash64(b"etcd-cluster").to_string()), "member_id": (member.id().to_string()),
        "revision": (member.revision()), "raft_term": (member.status().raft_term as i64)
    })
}

fn number(request: &Request, name: &str) -> i64 {
    request.options.query(name).and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn is_set(request: &Request, name: &str) -> bool {
    request.options.query(name) == Some("true")
}

fn key_range(request: &Request) -> KeyRange {
    let key = request.options.query("key").unwrap_or("");
    match request.options.query("range_end") {
        Some(end) => KeyRange { key: key.into(), end: Some(end.into()) },
        None => KeyRange::one(key.into()),
    }
}

fn range(member: &Member, request: &Request) -> Result<Value, Error> {
    let found = member.store().range(&RangeRequest {
        range: key_range(request),
        revision: number(request, "revision"),
        limit: number(request, "limit"),
        count_only: is_set(request, "count_only"),
        keys_only: is_set(request, "keys_only"),
        serializable: false,
    })?;
    let keys_only = is_set(request, "keys_only");
    let kvs: Vec<Value> = found.kvs.iter().map(|kv| key_value(kv, !keys_only)).collect();
    Ok(value!({"kvs": kvs, "more": (found.more), "count": (found.count)}))
}

fn key_value(kv: &KeyValue, with_value: bool) -> Value {
    let mut out = value!({
        "key": (&kv.key), "create_revision": (kv.create_revision), "mod_revision": (kv.mod_revision),
        "version": (kv.version), "lease": (kv.lease)
    });
    if with_value {
        let text = match &kv.value {
            Stored::Object(object) => json::to_string(object.value()),
            Stored::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        };
        out.set_at(&["value"], text);
    }
    out
}

/// The changes from `start_revision` on (0: none yet) and `next_revision`, where to go on.
fn watch(member: &Member, request: &Request) -> Result<Value, Error> {
    let store = member.store();
    let (start, range) = (number(request, "start_revision"), key_range(request));
    let mut next = store.revision() + 1;
    if start <= 0 {
        return Ok(value!({"events": [], "next_revision": next}));
    }
    if start <= store.compacted() {
        return Err(Error::Compacted);
    }
    let mut events: Vec<Value> = Vec::new();
    for entry in store.changes_from(start).filter(|e| range.contains(&e.key)) {
        if events.len() >= MAX_EVENTS && events.last().and_then(|e| e.int_at(&["kv", "mod_revision"])) != Some(entry.revision) {
            next = entry.revision;
            break;
        }
        events.push(match &entry.kv {
            Some(kv) => value!({"type": "PUT", "kv": (key_value(kv, true))}),
            None => value!({"type": "DELETE", "kv": {"key": (&entry.key), "mod_revision": (entry.revision)}}),
        });
    }
    Ok(value!({"events": events, "next_revision": next}))
}

fn status(member: &Member) -> Value {
    let s = member.status();
    value!({
        "version": (&s.version), "dbSize": (s.db_size), "dbSizeInUse": (s.db_size_in_use), "leader": (s.leader.to_string()),
        "raftIndex": (s.raft_index as i64), "raftTerm": (s.raft_term as i64),
        "raftAppliedIndex": (s.raft_applied_index as i64), "isLearner": (s.is_learner)
    })
}

fn members(member: &Member) -> Value {
    let m = member.describe();
    value!({"members": [{
        "ID": (m.id.to_string()), "name": (&m.name), "peerURLs": [(&m.peer_url)], "clientURLs": [(&m.client_url)]
    }]})
}
