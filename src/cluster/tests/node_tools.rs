//! etcdctl on the laptop's shell.

use std::rc::Rc;

use base::Duration;
use cluster::{Bottle, Config, Input};
use cri_api::host::HostMessage;

fn boot() -> Bottle {
    let mut bottle = Bottle::new(Config::named("demo").expect("a known name"));
    let end = bottle.start() + Duration::from_secs(240);
    while bottle.head().now() < end && !bottle.head().is_ready() {
        let next = bottle.head().now() + Duration::from_millis(200);
        bottle.run_until(next, u64::MAX);
    }
    assert!(bottle.head().is_ready());
    bottle
}

/// Runs a command on the laptop and returns what it printed.
fn run(bottle: &mut Bottle, command: &str) -> String {
    let argv = ["sh", "-c", command].map(Into::into).to_vec();
    let stdin: Rc<[u8]> = (*b"").into();
    bottle.input(Input::Laptop(HostMessage::RunJob { job: 5, argv, stdin }.into()));
    let mut out = String::new();
    let end = bottle.head().now() + Duration::from_secs(60);
    loop {
        let next = bottle.head().now() + Duration::from_millis(20);
        bottle.run_until(next, u64::MAX);
        for message in bottle.head_mut().take_page_messages() {
            match message {
                HostMessage::JobOutput { data, .. } => out.push_str(&String::from_utf8_lossy(&data)),
                HostMessage::JobDone { .. } => return out,
                _ => {}
            }
        }
        assert!(bottle.head().now() < end, "{command} did not end; so far: {out}");
    }
}

fn contains(out: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(out.contains(text), "no {text:?} in:\n{out}");
    }
}

#[test]
fn etcdctl_sees_what_is_there() {
    let mut bottle = boot();
    for (command, wanted) in [
        ("etcdctl get /registry/namespaces/ --prefix --keys-only", &["/registry/namespaces/default\n\n"][..]),
        ("etcdctl get /registry/namespaces/default --print-value-only", &[r#""name":"default""#]),
        ("etcdctl get /registry/namespaces/ --prefix -w json --limit=1", &["\"header\":{\"cluster_id\":", "\"more\":true"]),
        ("etcdctl get / --prefix --count-only -w fields", &["\"Count\" : "]),
        ("etcdctl get /x --rev 999999999", &["Error: etcdserver: mvcc: required revision is a future revision\n"]),
        ("etcdctl member list", &[", started, cp-1, https://172.18.0.2:2380, https://172.18.0.2:2379, false\n"]),
        ("etcdctl endpoint status -w table", &["| RAFT TERM |", "https://172.18.0.2:2379 |"]),
        ("etcdctl endpoint health", &["https://172.18.0.2:2379 is healthy: successfully committed proposal: took = "]),
        ("etcdctl --endpoints=127.0.0.1:2379 endpoint health", &["unhealthy", "connect: connection refused"]),
        ("etcdctl snapshot save x", &["Snapshot saved at x\nServer version 3.7.0\n"]),
        ("etcdctl snapshot status x", &["Deprecated: Use `etcdutl snapshot status` instead.", ", 3.7.0\n"]),
        ("etcdutl snapshot status nothing", &["Error: stat nothing: no such file or directory\n"]),
        ("etcdctl put /a b && etcdctl get /a && etcdctl del /a", &["OK\n/a\nb\n1\n"]),
        ("etcdctl compaction 5", &["compacted revision 5\n"]),
        ("etcdctl compaction 5", &["Error: etcdserver: mvcc: required revision has been compacted\n"]),
        ("etcdctl defrag", &["Finished defragmenting etcd member[https://172.18.0.2:2379]. took "]),
        ("etcdctl alarm list && etcdctl alarm disarm && echo none", &["none\n"]),
        ("etcdctl member remove zzz", &["Error: bad member ID arg (strconv.ParseUint: parsing \"zzz\": invalid syntax)"]),
        ("etcdctl member add cp-9 --peer-urls=https://172.18.0.2:2380", &["Error: etcdserver: Peer URLs already exists\n"]),
        ("etcdctl move-leader 1", &["Error: etcdserver: bad leader transferee\n"]),
        ("etcdctl endpoint health --cluster", &["https://172.18.0.2:2379 is healthy"]),
    ] {
        let out = run(&mut bottle, command);
        println!("$ {command}\n{}", out.chars().take(1500).collect::<String>());
        contains(&out, wanted);
    }
}
