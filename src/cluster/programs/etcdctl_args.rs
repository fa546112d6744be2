//! The command line of `etcdctl` and `etcdutl`.

use std::rc::Rc;

use base::Duration;

use super::etcdctl_print::Format;

/// etcdctl's `--command-timeout`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Get,
    Put,
    Del,
    Watch,
    Compaction,
    MemberList,
    MemberAdd,
    MemberRemove,
    MemberPromote,
    MoveLeader,
    EndpointStatus,
    EndpointHealth,
    Defrag,
    AlarmList,
    AlarmDisarm,
    SnapshotSave,
    SnapshotStatus,
    SnapshotRestore,
}

impl Command {
    /// Asked of each endpoint by itself.
    pub fn is_per_endpoint(self) -> bool {
        matches!(self, Command::EndpointStatus | Command::EndpointHealth | Command::Defrag)
    }
}

/// A parsed command line.
#[derive(Clone, Debug)]
pub struct Asked {
    pub command: Command,
    pub format: Format,
    pub keys_only: bool,
    pub values_only: bool,
    pub endpoints: Vec<String>,
    /// `--cluster`: the members' endpoints instead.
    pub cluster: bool,
    pub timeout: Duration,
    pub path: &'static str,
    pub query: Vec<(Rc<str>, Rc<str>)>,
    /// Of a snapshot.
    pub file: String,
    /// `member add NAME`, and the number of the member that a command is about.
    pub name: String,
    pub target: u64,
    /// Who leads, of `move-leader`.
    pub from: u64,
    /// Flags of `snapshot restore`.
    pub flags: Vec<(String, String)>,
}

/// An exit code and what to say; 0: it is no mistake.
pub struct Refused {
    pub code: i32,
    pub text: String,
}

type Flags<'a> = [(&'a str, &'a str)];

const WITH_VALUE: [&str; 18] = [
    "write-out",
    "rev",
    "limit",
    "endpoints",
    "cacert",
    "cert",
    "key",
    "command-timeout",
    "dial-timeout",
    "consistency",
    "peer-urls",
    "data-dir",
    "name",
    "initial-cluster",
    "initial-cluster-token",
    "initial-advertise-peer-urls",
    "bump-revision",
    "wal-dir",
];

const USAGE: &str = "Usage: etcdctl get | put | del | watch | compaction | member list|add|remove|promote | endpoint status|health | alarm list|disarm | defrag | move-leader | snapshot save|status|restore | version\n";

fn refuse<T>(text: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { code: 128, text: text.into() })
}

/// Reads a command line. `endpoints`: where to ask unless it says otherwise.
pub fn parse(args: &[String], endpoints: &str) -> Result<Asked, Refused> {
    let (words, flags) = split(args)?;
    let (command, path, rest) = command(&words)?;
    let mut asked = Asked {
        command,
        format: Format::Simple,
        keys_only: false,
        values_only: false,
        endpoints: urls(endpoints),
        cluster: false,
        timeout: TIMEOUT,
        path,
        query: Vec::new(),
        file: String::new(),
        name: String::new(),
        target: 0,
        from: 0,
        flags: Vec::new(),
    };
    let count_only = take_flags(&mut asked, &flags)?;
    take_words(&mut asked, rest, &flags)?;
    check_format(&asked, count_only)?;
    Ok(asked)
}

/// Words and flags apart.
fn split(args: &[String]) -> Result<(Vec<&str>, Vec<(&str, &str)>), Refused> {
    let (mut words, mut flags) = (Vec::new(), Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let name = match arg.strip_prefix("--") {
            Some(name) => name,
            None if arg == "-w" => "write-out",
            None if arg.starts_with('-') && arg.len() > 1 => return refuse(format!("flag {arg} is not in this bottle")),
            None => {
                words.push(arg.as_str());
                continue;
            }
        };
        let (name, value) = name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v)));
        let takes_value = WITH_VALUE.contains(&name);
        let value = match value {
            None if takes_value => rest.next().map(String::as_str),
            other => other,
        };
        if takes_value && value.is_none() {
            return refuse(format!("flag needs an argument: {arg}"));
        }
        flags.push((name, value.unwrap_or("true")));
    }
    Ok((words, flags))
}

fn command<'a>(words: &'a [&'a str]) -> Result<(Command, &'static str, &'a [&'a str]), Refused> {
    let status = "/v3/maintenance/status";
    let one = |command, path| Ok((command, path, &words[1..]));
    let two = |command, path| Ok((command, path, &words[2..]));
    match words {
        ["get", ..] => one(Command::Get, "/v3/kv/range"),
        ["put", ..] => one(Command::Put, "/v3/kv/put"),
        ["del", ..] => one(Command::Del, "/v3/kv/deleterange"),
        ["watch", ..] => one(Command::Watch, "/v3/watch"),
        ["compaction" | "compact", ..] => one(Command::Compaction, "/v3/kv/compaction"),
        ["defrag", ..] => one(Command::Defrag, "/v3/maintenance/defragment"),
        ["move-leader", ..] => one(Command::MoveLeader, "/v3/maintenance/transfer-leadership"),
        ["member", "list", ..] => two(Command::MemberList, "/v3/cluster/member/list"),
        ["member", "add", ..] => two(Command::MemberAdd, "/v3/cluster/member/add"),
        ["member", "remove", ..] => two(Command::MemberRemove, "/v3/cluster/member/remove"),
        ["member", "promote", ..] => two(Command::MemberPromote, "/v3/cluster/member/promote"),
        ["endpoint", "status", ..] => two(Command::EndpointStatus, status),
        ["endpoint", "health", ..] => two(Command::EndpointHealth, "/v3/kv/range"),
        ["alarm", "list", ..] => two(Command::AlarmList, "/v3/maintenance/alarm"),
        ["alarm", "disarm", ..] => two(Command::AlarmDisarm, "/v3/maintenance/alarm"),
        ["snapshot", "save", ..] => two(Command::SnapshotSave, "/v3/maintenance/snapshot"),
        ["snapshot", "status", ..] => two(Command::SnapshotStatus, ""),
        ["snapshot", "restore", ..] => two(Command::SnapshotRestore, ""),
        ["version", ..] => Err(Refused { code: 0, text: "etcdctl version: 3.7.0\nAPI version: 3.7\n".into() }),
        [] | ["help", ..] => Err(Refused { code: 0, text: USAGE.into() }),
        other => refuse(format!("etcdctl {} is not in this bottle", other[..other.len().min(2)].join(" "))),
    }
}

fn urls(list: &str) -> Vec<String> {
    let one = |e: &str| {
        let host = e.trim().trim_start_matches("https://").trim_start_matches("http://");
        format!("https://{}", host.replace("localhost", "127.0.0.1"))
    };
    list.split(',').map(one).collect()
}

/// Takes the flags. Returns whether only the count is wanted.
fn take_flags(asked: &mut Asked, flags: &Flags<'_>) -> Result<bool, Refused> {
    let (reads, restores) = (asked.command == Command::Get, asked.command == Command::SnapshotRestore);
    let keys = matches!(asked.command, Command::Get | Command::Watch | Command::Del);
    let mut count_only = false;
    for (name, value) in flags {
        let set = |asked: &mut Asked, key: &str| asked.query.push((key.into(), (*value).into()));
        let number = value.parse::<i64>().is_ok();
        match *name {
            "write-out" => match Format::of(value) {
                Some(format) => asked.format = format,
                None => return refuse(format!("invalid output format {value:?}")),
            },
            "endpoints" => asked.endpoints = urls(value),
            "command-timeout" | "dial-timeout" => match duration(value) {
                Some(d) if *name == "command-timeout" => asked.timeout = d,
                Some(_) => {}
                None => {
                    return refuse(format!("invalid argument {value:?} for \"--{name}\" flag: time: invalid duration {value:?}"));
                }
            },
            // TLS is not modelled: every client is the right one.
            "cacert" | "cert" | "key" => {}
            "prefix" | "from-key" if keys => {}
            "cluster" if asked.command.is_per_endpoint() => asked.cluster = *value == "true",
            "keys-only" if reads => {
                asked.keys_only = true;
                set(asked, "keys_only");
            }
            "print-value-only" if reads => asked.values_only = true,
            "count-only" if reads => {
                count_only = true;
                set(asked, "count_only");
            }
            "consistency" if *value == "s" => asked.query.push(("serializable".into(), "true".into())),
            "consistency" if *value == "l" => {}
            "consistency" => return refuse(format!("unknown consistency flag {value:?}")),
            "limit" if reads && number => set(asked, "limit"),
            "rev" if reads && number => set(asked, "revision"),
            "rev" if asked.command == Command::Watch && number => set(asked, "start_revision"),
            "rev" | "limit" => return refuse(format!("invalid argument {value:?} for \"--{name}\"")),
            // History is not in a backup here: there is nothing to be compacted or marked.
            "physical" if asked.command == Command::Compaction => {}
            "learner" if asked.command == Command::MemberAdd => set(asked, "isLearner"),
            "peer-urls" if asked.command == Command::MemberAdd => set(asked, "peerURLs"),
            "data-dir"
            | "name"
            | "initial-cluster"
            | "initial-cluster-token"
            | "initial-advertise-peer-urls"
            | "skip-hash-check"
                if restores =>
            {
                asked.flags.push(((*name).into(), (*value).into()));
            }
            other => return refuse(format!("flag --{other} is not in this bottle")),
        }
    }
    Ok(count_only)
}

/// `5s`, `1m30s`, `500ms`
fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let n: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += n * match &rest[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        rest = &rest[end..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

fn take_words(asked: &mut Asked, words: &[&str], flags: &Flags<'_>) -> Result<(), Refused> {
    let push = |asked: &mut Asked, key: &str, value: &str| asked.query.push((key.into(), value.into()));
    match (asked.command, words) {
        (Command::Get | Command::Watch | Command::Del, keys) => key_range(asked, keys, flags)?,
        (Command::EndpointHealth, _) => push(asked, "key", "health"),
        (Command::Put, [key, value]) => {
            push(asked, "key", key);
            push(asked, "value", value);
        }
        (Command::Put, _) => return refuse("put command needs 1 argument and input from stdin or 2 arguments"),
        (Command::Compaction, [revision]) if revision.parse::<i64>().is_ok() => push(asked, "revision", revision),
        (Command::Compaction, [other]) => return refuse(format!("strconv.ParseInt: parsing {other:?}: invalid syntax")),
        (Command::Compaction, _) => return refuse("compaction command needs 1 argument"),
        (Command::MemberAdd, [name]) => {
            asked.name = (*name).into();
            if !asked.query.iter().any(|(k, _)| &**k == "peerURLs") {
                return refuse("member peer urls not provided");
            }
        }
        (Command::MemberAdd, []) => return refuse("member name not provided"),
        (Command::MemberAdd, _) => return refuse("too many arguments"),
        (Command::MemberRemove | Command::MemberPromote, [id]) => {
            asked.target = member_id(id)?;
            push(asked, "ID", &asked.target.to_string());
        }
        (Command::MemberRemove | Command::MemberPromote, _) => return refuse("member ID is not provided"),
        (Command::MoveLeader, [id]) => {
            asked.target =
                u64::from_str_radix(id, 16).or_else(|_| refuse(format!("strconv.ParseUint: parsing {id:?}: invalid syntax")))?;
            push(asked, "targetID", &asked.target.to_string());
        }
        (Command::MoveLeader, _) => return refuse("move-leader command needs 1 argument"),
        (Command::AlarmDisarm, _) => push(asked, "disarm", "true"),
        (Command::SnapshotSave | Command::SnapshotStatus | Command::SnapshotRestore, [file]) => asked.file = (*file).into(),
        (Command::SnapshotSave, _) => return refuse("snapshot save expects one argument"),
        (Command::SnapshotStatus, _) => return refuse("snapshot status requires exactly one argument"),
        (Command::SnapshotRestore, _) => return refuse("snapshot restore requires exactly one argument"),
        _ => {}
    }
    Ok(())
}

fn member_id(text: &str) -> Result<u64, Refused> {
    u64::from_str_radix(text, 16).or_else(|_| {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        refuse(format!("bad member ID arg ({why}), expecting ID in Hex"))
    })
}

fn key_range(asked: &mut Asked, keys: &[&str], flags: &Flags<'_>) -> Result<(), Refused> {
    let has = |flag: &str| flags.iter().any(|(n, v)| *n == flag && *v == "true");
    let (key, end) = match keys {
        [key] if has("prefix") && key.is_empty() => ("\0", Some("\0".to_string())),
        [key] if has("prefix") && key.is_ascii() && !key.ends_with('\x7f') => (*key, Some(etcd_api::KeyRange::prefix_end(key))),
        [_] if has("prefix") => return refuse("prefixes here are ASCII"),
        [key] if has("from-key") => (*key, Some("\0".to_string())),
        [key] => (*key, None),
        [key, end] if !has("prefix") && !has("from-key") => (*key, Some((*end).to_string())),
        [] if asked.command == Command::Watch => return refuse("watch in interactive mode is not in this bottle"),
        _ => {
            let verb = if asked.command == Command::Del { "del" } else { "get" };
            return refuse(format!("{verb} command needs one argument as key and an optional argument as range_end"));
        }
    };
    asked.query.push(("key".into(), key.into()));
    asked.query.extend(end.map(|end| ("range_end".into(), end.into())));
    Ok(())
}

fn check_format(asked: &Asked, count_only: bool) -> Result<(), Refused> {
    let table = matches!(asked.command, Command::MemberList | Command::SnapshotStatus) || asked.command.is_per_endpoint();
    match (asked.format, asked.command) {
        (Format::Fields, Command::Get) | (Format::Simple, _) => {}
        (Format::Json, Command::Get | Command::Watch | Command::MemberList | Command::SnapshotStatus) => {}
        (Format::Json, command) if command.is_per_endpoint() && command != Command::Defrag => {}
        (Format::Table, command) if table && command != Command::Defrag => {}
        (format, _) => return refuse(format!("--write-out={} is not supported by this command here", format.name())),
    }
    if count_only && asked.format != Format::Fields {
        return refuse("--count-only is only for `--write-out=fields`");
    }
    if asked.values_only && asked.format != Format::Simple {
        return refuse("print-value-only is only for `--write-out=simple`");
    }
    Ok(())
}
