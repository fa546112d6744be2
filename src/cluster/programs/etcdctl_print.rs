//! How `etcdctl` prints: simple lines, tables, fields, JSON.

use std::fmt::Write;

use apimachinery::{Value, json};
use base::Duration;

use super::etcdctl::{Asked, unsigned};

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
                "{{\"ID\":{},\"name\":{},\"peerURLs\":[{}],\"clientURLs\":[{}]}}",
                unsigned(m, &["ID"]),
                quoted(m.str_at(&["name"]).unwrap_or("")),
                list_json(urls(m, "peerURLs")),
                list_json(urls(m, "clientURLs"))
            )
        };
        return format!("{{\"header\":{},\"members\":[{}]}}\n", header(body), list.iter().map(one).collect::<Vec<_>>().join(","));
    }
    let row = |m: &Value| {
        vec![
            format!("{:x}", unsigned(m, &["ID"])),
            "started".into(),
            m.str_at(&["name"]).unwrap_or("").into(),
            urls(m, "peerURLs").join(","),
            urls(m, "clientURLs").join(","),
            "false".into(),
        ]
    };
    rows(
        asked.format,
        &["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"],
        &list.iter().map(row).collect::<Vec<_>>(),
    )
}

/// `etcdctl endpoint status`
pub fn status(asked: &Asked, body: &Value) -> String {
    let id = unsigned(body, &["header", "member_id"]);
    let leader = unsigned(body, &["leader"]);
    let version = body.str_at(&["version"]).unwrap_or("");
    let (size, used) = (int(body, "dbSize"), int(body, "dbSizeInUse"));
    let storage: String = version.rsplit_once('.').map_or(version.to_string(), |(minor, _)| format!("{minor}.0"));
    if asked.format == Format::Json {
        return format!(
            "[{{\"Endpoint\":{},\"Status\":{{\"header\":{},\"version\":{},\"dbSize\":{size},\"leader\":{leader},\"raftIndex\":{},\"raftTerm\":{},\"raftAppliedIndex\":{},\"dbSizeInUse\":{used},\"storageVersion\":{}}}}}]\n",
            quoted(&asked.endpoint),
            header(body),
            quoted(version),
            int(body, "raftIndex"),
            int(body, "raftTerm"),
            int(body, "raftAppliedIndex"),
            quoted(&storage)
        );
    }
    let row = vec![
        asked.endpoint.clone(),
        format!("{id:x}"),
        version.into(),
        storage,
        bytes(size),
        bytes(used),
        format!("{}%", if size > 0 { (size - used) * 100 / size } else { 0 }),
        "2.1 GB".into(),
        (leader == id).to_string(),
        body.bool_at(&["isLearner"]).unwrap_or(false).to_string(),
        int(body, "raftTerm").to_string(),
        int(body, "raftIndex").to_string(),
        int(body, "raftAppliedIndex").to_string(),
        String::new(),
        String::new(),
        "false".into(),
    ];
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
    rows(asked.format, &names, &[row])
}

/// `etcdctl endpoint health`: how long it took, or why not.
pub fn health(asked: &Asked, result: Result<Duration, &str>) -> String {
    let at = &asked.endpoint;
    let took =
        result.map_or_else(|_| "5.000000000s".to_string(), |t| format!("{}.{:03}ms", t.as_micros() / 1000, t.as_micros() % 1000));
    match (asked.format, result) {
        (Format::Json, Ok(_)) => format!("[{{\"endpoint\":{},\"health\":true,\"took\":{}}}]\n", quoted(at), quoted(&took)),
        (Format::Json, Err(e)) => {
            format!("[{{\"endpoint\":{},\"health\":false,\"took\":{},\"error\":{}}}]\n", quoted(at), quoted(&took), quoted(e))
        }
        (Format::Table, _) => {
            let row = vec![at.clone(), result.is_ok().to_string(), took, result.err().unwrap_or("").into()];
            rows(asked.format, &["ENDPOINT", "HEALTH", "TOOK", "ERROR"], &[row])
        }
        (_, Ok(_)) => format!("{at} is healthy: successfully committed proposal: took = {took}\n"),
        (_, Err(e)) => format!("{at} is unhealthy: failed to commit proposal: {e}\n"),
    }
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
