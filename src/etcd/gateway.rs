//! etcd's JSON gateway: what `etcdctl` asks, as paths and parameters.
//!
//! A real member serves `/v3/kv/range` and its like as POST with a JSON body, keys and values in base64, and `etcdctl` speaks
//! gRPC. Here parameters come in the query and texts are left as they are. A real kube-apiserver stores protobuf; here a value
//! that is an API object is its JSON. `/v3/watch` is no stream: it answers the changes since `start_revision` at once, and a
//! client asks again. Left out by name: txn, leases, users and roles.

use apimachinery::{Request, Response, ResponseBody, Value, json, value};
use etcd_api::{
    Error, KeyRange, KeyValue, Op, OpResponse, RangeRequest, Request as Asked, Response as Answer, Stored, TxnRequest,
};

use crate::Member;

/// Most changes in one answer of `/v3/watch`: the client asks again from the revision after the last.
const MAX_EVENTS: usize = 1000;

/// What a path asks for, and whether values are wanted; or what is answered at once.
pub(crate) fn parse(member: &Member, request: &Request) -> Result<(Asked, bool), Response> {
    let (id, rev) = (unsigned(request, "ID"), number(request, "revision"));
    let asked = match &*request.path {
        "/health" | "/readyz" if member.raft().lead() == 0 => return Err(unhealthy(request)),
        "/health" => return Err(text(200, r#"{"health":"true","reason":""}"#)),
        "/livez" | "/readyz" => return Err(text(200, "ok")),
        "/v3/watch" => return Err(finish(member, watch(member, request))),
        "/v3/kv/range" => Asked::Range(range_request(request)),
        "/v3/kv/put" => {
            let (key, value) = (request.options.query("key").unwrap_or(""), request.options.query("value").unwrap_or(""));
            only(Op::Put { key: key.into(), value: Stored::Bytes(value.as_bytes().into()), lease: 0 })
        }
        "/v3/kv/deleterange" => only(Op::DeleteRange(key_range(request))),
        "/v3/kv/compaction" => Asked::Compact { revision: rev },
        "/v3/maintenance/status" => Asked::Status,
        "/v3/maintenance/hash" => Asked::HashKv { revision: rev },
        "/v3/maintenance/defragment" => Asked::Defragment,
        "/v3/maintenance/alarm" if is_set(request, "disarm") => Asked::AlarmDisarm,
        "/v3/maintenance/alarm" => Asked::Alarm,
        "/v3/maintenance/snapshot" => Asked::Snapshot,
        "/v3/maintenance/transfer-leadership" => Asked::MoveLeader { target: unsigned(request, "targetID") },
        "/v3/cluster/member/list" => Asked::MemberList,
        "/v3/cluster/member/add" => {
            let peer_url = request.options.query("peerURLs").unwrap_or("").into();
            Asked::MemberAdd { peer_url, is_learner: is_set(request, "isLearner") }
        }
        "/v3/cluster/member/remove" => Asked::MemberRemove { id },
        "/v3/cluster/member/promote" => Asked::MemberPromote { id },
        path if path.starts_with("/v3/") => return Err(text(501, &format!("{path} is not in this bottle"))),
        _ => return Err(text(404, "404 page not found")),
    };
    Ok((asked, is_set(request, "keys_only")))
}

/// One operation without a condition.
fn only(op: Op) -> Asked {
    Asked::Txn(TxnRequest { success: vec![op], ..TxnRequest::default() })
}

fn unhealthy(request: &Request) -> Response {
    match &*request.path {
        "/health" => text(503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#),
        _ => text(503, "[+]data_corruption ok\n[-]linearizable_read failed: etcdserver: no leader\n"),
    }
}

fn text(code: u16, body: &str) -> Response {
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain; charset=utf-8" };
    Response { code, warnings: Vec::new(), body: ResponseBody::Text(kind.into(), body.into()) }
}

/// A member's answer as the gateway gives it.
pub(crate) fn render(member: &Member, answer: &Answer, keys_only: bool) -> Response {
    let body = match answer {
        Answer::Error(e) => Err(e.clone()),
        Answer::Range(found) => {
            let kvs: Vec<Value> = found.kvs.iter().map(|kv| key_value(kv, !keys_only)).collect();
            Ok(value!({"kvs": kvs, "more": (found.more), "count": (found.count)}))
        }
        Answer::Txn { responses, .. } => Ok(match responses.first() {
            Some(OpResponse::DeleteRange { deleted }) => value!({"deleted": (*deleted)}),
            _ => value!({}),
        }),
        Answer::Status(_) => Ok(status(member)),
        Answer::HashKv { hash, .. } => Ok(value!({"hash": (*hash as u32 as i64)})),
        Answer::MemberList(all) | Answer::MemberRemove(all) | Answer::MemberPromote(all) => {
            Ok(value!({"members": (all.iter().map(member_value).collect::<Vec<_>>())}))
        }
        Answer::MemberAdd(new, all) => {
            Ok(value!({"member": (member_value(new)), "members": (all.iter().map(member_value).collect::<Vec<_>>())}))
        }
        Answer::Alarm(alarms) => {
            let one = |a: &etcd_api::AlarmMember| value!({"memberID": (a.member.to_string()), "alarm": (&a.alarm)});
            Ok(value!({"alarms": (alarms.iter().map(one).collect::<Vec<_>>())}))
        }
        Answer::Snapshot(bytes) => return text(200, &String::from_utf8_lossy(bytes)),
        _ => Ok(value!({})),
    };
    finish(member, body)
}

fn finish(member: &Member, answer: Result<Value, Error>) -> Response {
    match answer {
        Ok(mut body) => {
            body.set_at(&["header"], header(member));
            text(200, &json::to_string(&body))
        }
        Err(e) if e.is_unavailable() => text(503, e.text()),
        Err(e) => text(400, e.text()),
    }
}

/// Identifiers are unsigned and go as texts, as the gateway does with all 64-bit numbers; the others fit a JSON number.
fn header(member: &Member) -> Value {
    value!({
        "cluster_id": (member.data_dir().cluster_id.to_string()), "member_id": (member.id().to_string()),
        "revision": (member.revision()), "raft_term": (member.raft().term() as i64)
    })
}

fn number(request: &Request, name: &str) -> i64 {
    request.options.query(name).and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn unsigned(request: &Request, name: &str) -> u64 {
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

fn range_request(request: &Request) -> RangeRequest {
    RangeRequest {
        range: key_range(request),
        revision: number(request, "revision"),
        limit: number(request, "limit"),
        count_only: is_set(request, "count_only"),
        keys_only: is_set(request, "keys_only"),
        serializable: is_set(request, "serializable"),
    }
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
    let errors: Vec<Value> = s.errors.iter().map(Value::from).collect();
    value!({
        "version": (&s.version), "dbSize": (s.db_size), "dbSizeInUse": (s.db_size_in_use), "leader": (s.leader.to_string()),
        "raftIndex": (s.raft_index as i64), "raftTerm": (s.raft_term as i64), "errors": errors, "dbSizeQuota": (s.quota),
        "raftAppliedIndex": (s.raft_applied_index as i64), "isLearner": (s.is_learner)
    })
}

fn member_value(m: &etcd_api::Member) -> Value {
    let client_urls: Vec<Value> = (!m.client_url.is_empty()).then(|| Value::from(&m.client_url)).into_iter().collect();
    value!({
        "ID": (m.id.to_string()), "name": (&m.name), "peerURLs": [(&m.peer_url)], "clientURLs": client_urls,
        "isLearner": (m.is_learner)
    })
}
