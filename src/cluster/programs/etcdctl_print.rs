//! How `etcdctl` prints: simple lines, tables, fields, JSON.

use std::fmt::Write;

use apimachinery::{Value, json};
use base::Duration;

use super::etcdctl_args::{Asked, Command};

/// What one endpoint has said.
#[derive(Clone, Debug)]
pub struct Row {
    pub endpoint: String,
    pub took: Duration,
    pub said: Result<Value, String>,
}

/// A 64-bit number that went as a text.
pub fn unsigned(value: &Value, path: &[&str]) -> u64 {
    value.str_at(path).and_then(|t| t.parse().ok()).unwrap_or(0)
}

/// `-w`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Simple,
    Json,
    Table,
    Fields,
}

impl Format {
    pub fn of(name: &str) -> Option<Format> {
        Some(match name {
            "simple" => Format::Simple,
            "json" => Format::Json,
            "table" => Format::Table,
            "fields" => Format::Fields,
            _ => return None,
        })
    }
    pub fn name(self) -> &'static str {
        match self {
            Format::Simple => "simple",
            Format::Json => "json",
            Format::Table => "table",
            Format::Fields => "fields",
        }
    }
}

fn int(value: &Value, key: &str) -> i64 {
    value.int_at(&[key]).unwrap_or(0)
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::write_str(text, &mut out);
    out
}

/// `{"cluster_id":…}`, with the unsigned identifiers as numbers.
fn header(body: &Value) -> String {
    let id = |key| unsigned(body, &["header", key]);
    format!(
        "{{\"cluster_id\":{},\"member_id\":{},\"revision\":{},\"raft_term\":{}}}",
        id("cluster_id"),
        id("member_id"),
        body.int_at(&["header", "revision"]).unwrap_or(0),
        body.int_at(&["header", "raft_term"]).unwrap_or(0)
    )
}

fn kv_json(kv: &Value) -> String {
    let mut out = format!("{{\"key\":\"{}\"", base64(kv.str_at(&["key"]).unwrap_or("").as_bytes()));
    for field in ["create_revision", "mod_revision", "version"] {
        if int(kv, field) != 0 {
            let _ = write!(out, ",{}:{}", quoted(field), int(kv, field));
        }
    }
    if let Some(value) = kv.str_at(&["value"]) {
        let _ = write!(out, ",\"value\":\"{}\"", base64(value.as_bytes()));
    }
    if int(kv, "lease") != 0 {
        let _ = write!(out, ",\"lease\":{}", int(kv, "lease"));
    }
    out.push('}');
    out
}

/// What a command prints that is asked once.
pub fn answer(asked: &Asked, body: &Value) -> String {
    let (cluster, target) = (unsigned(body, &["header", "cluster_id"]), asked.target);
    match asked.command {
        Command::Get => get(asked, body),
        Command::Put => "OK\n".into(),
        Command::Del => format!("{}\n", int(body, "deleted")),
        Command::Compaction => {
            let revision = asked.query.iter().find(|(k, _)| &**k == "revision").map_or("", |(_, v)| v);
            format!("compacted revision {revision}\n")
        }
        Command::MemberList => members(asked, body),
        Command::MemberAdd => added(asked, body, cluster),
        Command::MemberRemove => format!("Member {target:16x} removed from cluster {cluster:16x}\n"),
        Command::MemberPromote => format!("Member {target:16x} promoted in cluster {cluster:16x}\n"),
        Command::MoveLeader => format!("Leadership transferred from {:x} to {target:x}\n", asked.from),
        _ => {
            let one =
                |a: &Value| format!("memberID:{} alarm:{} \n", unsigned(a, &["memberID"]), a.str_at(&["alarm"]).unwrap_or(""));
            body.list_at(&["alarms"]).iter().map(one).collect()
        }
    }
}

/// `etcdctl member add`: the flags that the new member is to be started with.
fn added(asked: &Asked, body: &Value, cluster: u64) -> String {
    let id = unsigned(body, &["member", "ID"]);
    let url = |m: &Value| m.list_at(&["peerURLs"]).first().and_then(Value::as_str).unwrap_or("").to_string();
    let member = |m: &Value| match unsigned(m, &["ID"]) == id {
        true => format!("{}={}", asked.name, url(m)),
        false => format!("{}={}", m.str_at(&["name"]).unwrap_or(""), url(m)),
    };
    let all: Vec<String> = body.list_at(&["members"]).iter().map(member).collect();
    let mine = body.at(&["member"]).map(url).unwrap_or_default();
    format!(
        "Member {id:16x} added to cluster {cluster:16x}\n\nETCD_NAME={:?}\nETCD_INITIAL_CLUSTER={:?}\nETCD_INITIAL_ADVERTISE_PEER_URLS={mine:?}\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        asked.name,
        all.join(",")
    )
}

/// Output, errors and exit code of a command that asks every endpoint by itself.
pub fn per_endpoint(asked: &Asked, rows: &[Row]) -> (String, String, i32) {
    match asked.command {
        Command::EndpointHealth => healths(asked, rows),
        Command::Defrag => defragmented(rows),
        _ => statuses(asked, rows),
    }
}

fn defragmented(rows: &[Row]) -> (String, String, i32) {
    let (mut out, mut err) = (String::new(), String::new());
    for r in rows {
        let (at, took) = (&r.endpoint, millis(r.took));
        match &r.said {
            Ok(_) => out.push_str(&format!("Finished defragmenting etcd member[{at}]. took {took}\n")),
            Err(e) => err.push_str(&format!("Failed to defragment etcd member[{at}]. took {took}. ({e})\n")),
        }
    }
    let code = i32::from(!err.is_empty());
    (out, err, code)
}

fn millis(took: Duration) -> String {
    format!("{}.{:03}ms", took.as_micros() / 1000, took.as_micros() % 1000)
}

/// `etcdutl snapshot status`
pub fn snapshot_status(asked: &Asked, s: &etcd::backup::SnapshotStatus) -> String {
    if asked.format == Format::Json {
        return format!(
            "{{\"hash\":{},\"revision\":{},\"totalKey\":{},\"totalSize\":{},\"version\":{}}}\n",
            s.hash,
            s.revision,
            s.total_keys,
            s.total_size,
            quoted(&s.version)
        );
    }
    let row = vec![
        format!("{:x}", s.hash),
        s.revision.to_string(),
        s.total_keys.to_string(),
        bytes(s.total_size),
        s.version.to_string(),
    ];
    rows(asked.format, &["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"], &[row])
}

/// `etcdctl get`
pub fn get(asked: &Asked, body: &Value) -> String {
    let (kvs, mut out) = (body.list_at(&["kvs"]), String::new());
    let more = body.bool_at(&["more"]).unwrap_or(false);
    match asked.format {
        Format::Json => {
            let _ = write!(out, "{{\"header\":{}", header(body));
            if !kvs.is_empty() {
                let _ = write!(out, ",\"kvs\":[{}]", kvs.iter().map(kv_json).collect::<Vec<_>>().join(","));
            }
            out.push_str(if more { ",\"more\":true" } else { "" });
            match int(body, "count") {
                0 => out.push_str("}\n"),
                n => out.push_str(&format!(",\"count\":{n}}}\n")),
            }
        }
        Format::Fields => fields(body, kvs, more, &mut out),
        Format::Simple | Format::Table => {
            for kv in kvs {
                if !asked.values_only {
                    let _ = writeln!(out, "{}", kv.str_at(&["key"]).unwrap_or(""));
                }
                let _ = writeln!(out, "{}", kv.str_at(&["value"]).unwrap_or(""));
            }
        }
    }
    out
}

fn fields(body: &Value, kvs: &[Value], more: bool, out: &mut String) {
    let _ = writeln!(out, "\"ClusterID\" : {}", unsigned(body, &["header", "cluster_id"]));
    let _ = writeln!(out, "\"MemberID\" : {}", unsigned(body, &["header", "member_id"]));
    let _ = writeln!(out, "\"Revision\" : {}", body.int_at(&["header", "revision"]).unwrap_or(0));
    let _ = writeln!(out, "\"RaftTerm\" : {}", body.int_at(&["header", "raft_term"]).unwrap_or(0));
    for kv in kvs {
        let _ = writeln!(out, "\"Key\" : {}", quoted(kv.str_at(&["key"]).unwrap_or("")));
        let _ = writeln!(out, "\"CreateRevision\" : {}", int(kv, "create_revision"));
        let _ = writeln!(out, "\"ModRevision\" : {}", int(kv, "mod_revision"));
        let _ = writeln!(out, "\"Version\" : {}", int(kv, "version"));
        let _ = writeln!(out, "\"Value\" : {}", quoted(kv.str_at(&["value"]).unwrap_or("")));
        let _ = writeln!(out, "\"Lease\" : {}\n", int(kv, "lease"));
    }
    let _ = writeln!(out, "\"More\" : {more}\n\"Count\" : {}", int(body, "count"));
}

/// `etcdctl watch`
pub fn events(asked: &Asked, body: &Value) -> String {
    let (events, mut out) = (body.list_at(&["events"]), String::new());
    if asked.format == Format::Json {
        if !events.is_empty() {
            let event = |e: &Value| {
                let kind = if e.str_at(&["type"]) == Some("DELETE") { "\"type\":1," } else { "" };
                format!("{{{kind}\"kv\":{}}}", e.at(&["kv"]).map(kv_json).unwrap_or_default())
            };
            let events: Vec<String> = events.iter().map(event).collect();
            let _ = writeln!(out, "{{\"Header\":{},\"Events\":[{}],\"Canceled\":false}}", header(body), events.join(","));
        }
        return out;
    }
    for e in events {
        let text = |path: &[&str]| e.str_at(path).unwrap_or("");
        let _ = writeln!(out, "{}\n{}\n{}", text(&["type"]), text(&["kv", "key"]), text(&["kv", "value"]));
    }
    out
}

/// `etcdctl member list`
pub fn members(asked: &Asked, body: &Value) -> String {
    let list = body.list_at(&["members"]);
    let urls = |m: &Value, key: &str| -> Vec<String> {
        m.list_at(&[key]).iter().filter_map(|u| u.as_str().map(str::to_string)).collect()
    };
    if asked.format == Format::Json {
        let list_json = |urls: Vec<String>| urls.iter().map(|u| quoted(u)).collect::<Vec<_>>().join(",");
        let one = |m: &Value| {
            format!(
                "{{\"ID\":{},\"name\":{},\"peerURLs\":[{}],\"clientURLs\":[{}]{}}}",
                unsigned(m, &["ID"]),
                quoted(m.str_at(&["name"]).unwrap_or("")),
                list_json(urls(m, "peerURLs")),
                list_json(urls(m, "clientURLs")),
                if is_learner(m) { ",\"isLearner\":true" } else { "" }
            )
        };
        return format!("{{\"header\":{},\"members\":[{}]}}\n", header(body), list.iter().map(one).collect::<Vec<_>>().join(","));
    }
    let row = |m: &Value| {
        vec![
            format!("{:x}", unsigned(m, &["ID"])),
            if m.str_at(&["name"]).unwrap_or("").is_empty() { "unstarted" } else { "started" }.into(),
            m.str_at(&["name"]).unwrap_or("").into(),
            urls(m, "peerURLs").join(","),
            urls(m, "clientURLs").join(","),
            is_learner(m).to_string(),
        ]
    };
    rows(
        asked.format,
        &["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"],
        &list.iter().map(row).collect::<Vec<_>>(),
    )
}

fn is_learner(m: &Value) -> bool {
    m.bool_at(&["isLearner"]).unwrap_or(false)
}

fn minor(version: &str) -> String {
    version.rsplit_once('.').map_or(version.to_string(), |(minor, _)| format!("{minor}.0"))
}

fn status_json(r: &Row, body: &Value) -> String {
    let version = body.str_at(&["version"]).unwrap_or("");
    format!(
        "{{\"Endpoint\":{},\"Status\":{{\"header\":{},\"version\":{},\"dbSize\":{},\"leader\":{},\"raftIndex\":{},\"raftTerm\":{},\"raftAppliedIndex\":{}{},\"dbSizeInUse\":{}{},\"storageVersion\":{}}}}}",
        quoted(&r.endpoint),
        header(body),
        quoted(version),
        int(body, "dbSize"),
        unsigned(body, &["leader"]),
        int(body, "raftIndex"),
        int(body, "raftTerm"),
        int(body, "raftAppliedIndex"),
        match status_errors(body) {
            none if none.is_empty() => String::new(),
            errors => format!(",\"errors\":[{}]", errors.iter().map(|e| quoted(e)).collect::<Vec<_>>().join(",")),
        },
        int(body, "dbSizeInUse"),
        if is_learner(body) { ",\"isLearner\":true" } else { "" },
        quoted(&minor(version))
    )
}

fn status_errors(body: &Value) -> Vec<String> {
    body.list_at(&["errors"]).iter().filter_map(|e| e.as_str().map(str::to_string)).collect()
}

fn status_row(r: &Row, body: &Value) -> Vec<String> {
    let (id, leader) = (unsigned(body, &["header", "member_id"]), unsigned(body, &["leader"]));
    let version = body.str_at(&["version"]).unwrap_or("");
    let (size, used) = (int(body, "dbSize"), int(body, "dbSizeInUse"));
    vec![
        r.endpoint.clone(),
        format!("{id:x}"),
        version.into(),
        minor(version),
        bytes(size),
        bytes(used),
        format!("{}%", if size > 0 { (size - used) * 100 / size } else { 0 }),
        match int(body, "dbSizeQuota") {
            0 => "2.1 GB".into(),
            quota => bytes(quota),
        },
        (leader == id).to_string(),
        is_learner(body).to_string(),
        int(body, "raftTerm").to_string(),
        int(body, "raftIndex").to_string(),
        int(body, "raftAppliedIndex").to_string(),
        status_errors(body).join(", "),
        String::new(),
        "false".into(),
    ]
}

/// `etcdctl endpoint status`: a row for each endpoint that answers, a line of complaint for each that doesn't.
fn statuses(asked: &Asked, all: &[Row]) -> (String, String, i32) {
    let (mut err, mut answered) = (String::new(), Vec::new());
    for r in all {
        match &r.said {
            Ok(body) => answered.push((r, body)),
            Err(e) => err.push_str(&format!("Failed to get the status of endpoint {} ({e})\n", r.endpoint)),
        }
    }
    let code = i32::from(!err.is_empty());
    if asked.format == Format::Json {
        let list: Vec<String> = answered.iter().map(|(r, body)| status_json(r, body)).collect();
        return (format!("[{}]\n", list.join(",")), err, code);
    }
    let list: Vec<Vec<String>> = answered.iter().map(|(r, body)| status_row(r, body)).collect();
    let names = [
        "ENDPOINT",
        "ID",
        "VERSION",
        "STORAGE VERSION",
        "DB SIZE",
        "IN USE",
        "PERCENTAGE NOT IN USE",
        "QUOTA",
        "IS LEADER",
        "IS LEARNER",
        "RAFT TERM",
        "RAFT INDEX",
        "RAFT APPLIED INDEX",
        "ERRORS",
        "DOWNGRADE TARGET VERSION",
        "DOWNGRADE ENABLED",
    ];
    (rows(asked.format, &names, &list), err, code)
}

/// `etcdctl endpoint health`: how long it took, or why not.
fn healths(asked: &Asked, all: &[Row]) -> (String, String, i32) {
    let sick = all.iter().any(|r| r.said.is_err());
    let complaint = if sick { "Error: unhealthy cluster\n" } else { "" };
    let took = |r: &Row| millis(r.took);
    let mut err = String::new();
    let out = match asked.format {
        Format::Json => {
            let one = |r: &Row| {
                let error = r.said.as_ref().err().map_or(String::new(), |e| format!(",\"error\":{}", quoted(e)));
                let (at, health) = (quoted(&r.endpoint), r.said.is_ok());
                format!("{{\"endpoint\":{at},\"health\":{health},\"took\":{}{error}}}", quoted(&took(r)))
            };
            format!("[{}]\n", all.iter().map(one).collect::<Vec<_>>().join(","))
        }
        Format::Table => {
            let row = |r: &Row| {
                vec![r.endpoint.clone(), r.said.is_ok().to_string(), took(r), r.said.as_ref().err().cloned().unwrap_or_default()]
            };
            let list: Vec<Vec<String>> = all.iter().map(row).collect();
            rows(asked.format, &["ENDPOINT", "HEALTH", "TOOK", "ERROR"], &list)
        }
        _ => {
            let mut out = String::new();
            for r in all {
                let at = &r.endpoint;
                match &r.said {
                    Ok(_) => out.push_str(&format!("{at} is healthy: successfully committed proposal: took = {}\n", took(r))),
                    Err(e) => err.push_str(&format!("{at} is unhealthy: failed to commit proposal: {e}\n")),
                }
            }
            out
        }
    };
    (out, err + complaint, i32::from(sick))
}

/// Lines with commas, or a table with cells to the right, as tablewriter draws it.
fn rows(format: Format, names: &[&str], rows: &[Vec<String>]) -> String {
    if format != Format::Table {
        return rows.iter().map(|r| format!("{}\n", r.join(", "))).collect();
    }
    let width = |i: usize| rows.iter().map(|r| r[i].len()).chain([names[i].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let rule: String = widths.iter().map(|w| format!("+{}", "-".repeat(w + 2))).collect::<String>() + "+\n";
    let line = |cells: Vec<String>| cells.iter().map(|c| format!("| {c} ")).collect::<String>() + "|\n";
    let head = line(names.iter().zip(&widths).map(|(n, w)| format!("{n:^w$}")).collect());
    let body: String = rows.iter().map(|r| line(r.iter().zip(&widths).map(|(c, w)| format!("{c:>w$}")).collect())).collect();
    format!("{rule}{head}{rule}{body}{rule}")
}

/// As go-humanize: `25 kB`, `4.2 MB`.
fn bytes(n: i64) -> String {
    let (mut scale, mut unit) = (1_i64, 0);
    while n / scale >= 1000 && unit < 4 {
        scale *= 1000;
        unit += 1;
    }
    let name = ["B", "kB", "MB", "GB", "TB"][unit];
    let tenths = (n * 10 + scale / 2) / scale;
    if tenths < 100 && unit > 0 { format!("{}.{} {name}", tenths / 10, tenths % 10) } else { format!("{} {name}", tenths / 10) }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            match i <= chunk.len() {
                true => out.push(char::from(DIGITS[(n >> (18 - 6 * i) & 63) as usize])),
                false => out.push('='),
            }
        }
    }
    out
}
