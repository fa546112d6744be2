//! Rows of the server-side table.

use apimachinery::{Gvr, Object, json, resources};
use base::Time;

fn row(gvr: Gvr, text: &str) -> String {
    let obj = Object::from_value(json::parse(text.as_bytes()).unwrap()).unwrap();
    let strategy = api::strategy(gvr).unwrap();
    let cells = strategy.row(&obj, Time::parse("2026-11-23T03:10:00Z").unwrap());
    assert_eq!(cells.len(), strategy.columns().len());
    let text = |v: &apimachinery::Value| v.as_str().map_or_else(|| json::to_string(v), str::to_string);
    cells.iter().map(text).collect::<Vec<_>>().join(" | ")
}

/// A pod of one init container and two containers, created ten minutes ago.
fn pod(meta: &str, status: &str) -> String {
    let created = r#""creationTimestamp":"2026-11-23T03:00:00Z""#;
    let spec = r#"{"nodeName":"n","initContainers":[{"name":"i"}],"containers":[{"name":"a"},{"name":"b"}]}"#;
    row(resources::pods(), &format!(r#"{{"metadata":{{"name":"p",{created}{meta}}},"spec":{spec},"status":{{{status}}}}}"#))
}

#[test]
fn pods_say_how_they_are() {
    let init = r#""initContainerStatuses":[{"name":"i","restartCount":0,"state":{"terminated":{"exitCode":0}}}],"#;
    let running = r#"{"name":"a","ready":true,"restartCount":0,"state":{"running":{}}}"#;
    let cases = [
        ("", r#""phase":"Pending""#.to_string(), "p | 0/2 | Pending | 0 | 10m | <none> | n | <none> | <none>"),
        (
            "",
            r#""phase":"Pending","initContainerStatuses":[{"name":"i","restartCount":0,"state":{"running":{}}}]"#.into(),
            "p | 0/2 | Init:0/1 | 0 | 10m | <none> | n | <none> | <none>",
        ),
        (
            "",
            r#""phase":"Pending","initContainerStatuses":[{"name":"i","restartCount":1,"state":{"waiting":{"reason":"CrashLoopBackOff"}},
               "lastState":{"terminated":{"finishedAt":"2026-11-23T03:05:00Z"}}}]"#
                .into(),
            "p | 0/2 | Init:CrashLoopBackOff | 1 (5m ago) | 10m | <none> | n | <none> | <none>",
        ),
        (
            "",
            format!(
                r#"{init}"phase":"Running","podIPs":[{{"ip":"10.0.0.1"}}],"containerStatuses":[{running},{{"name":"b","restartCount":2,
                "state":{{"waiting":{{"reason":"CrashLoopBackOff"}}}},"lastState":{{"terminated":{{"finishedAt":"2026-11-23T03:05:00Z"}}}}}}]"#
            ),
            "p | 1/2 | CrashLoopBackOff | 2 (5m ago) | 10m | 10.0.0.1 | n | <none> | <none>",
        ),
        (
            "",
            format!(
                r#"{init}"phase":"Running","containerStatuses":[{{"name":"a","restartCount":0,"state":{{"terminated":{{"reason":"Completed"}}}}}},{running}]"#
            ),
            "p | 1/2 | NotReady | 0 | 10m | <none> | n | <none> | <none>",
        ),
        (
            "",
            r#""phase":"Failed","reason":"Evicted""#.into(),
            "p | 0/2 | Evicted | 0 | 10m | <none> | n | <none> | <none>",
        ),
        (
            r#","deletionTimestamp":"2026-11-23T03:09:00Z""#,
            format!(r#"{init}"phase":"Running","containerStatuses":[{running}]"#),
            "p | 1/2 | Terminating | 0 | 10m | <none> | n | <none> | <none>",
        ),
    ];
    for (meta, status, want) in &cases {
        assert_eq!(&pod(meta, status), want);
    }
}

#[test]
fn other_kinds_as_upstream_prints_them() {
    let created = r#""creationTimestamp":"2026-11-23T00:00:00Z""#;
    let meta = format!(r#""metadata":{{"name":"x",{created}}}"#);
    for (gvr, body, want) in [
        (
            resources::deployments(),
            r#""spec":{"replicas":3,"selector":{"matchLabels":{"app":"a"}},"template":{"spec":{"containers":[{"name":"c","image":"nginx"}]}}},
               "status":{"readyReplicas":2,"updatedReplicas":3,"availableReplicas":2}"#,
            "x | 2/3 | 3 | 2 | 3h10m | c | nginx | app=a",
        ),
        (
            resources::services(),
            r#""spec":{"type":"NodePort","clusterIPs":["10.96.0.9"],"ports":[{"port":80,"nodePort":30080,"protocol":"TCP"}]}"#,
            "x | NodePort | 10.96.0.9 | <none> | 80:30080/TCP | 3h10m | <none>",
        ),
        (
            resources::nodes(),
            r#""spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1.37.2"}}"#,
            "x | Ready,SchedulingDisabled | <none> | 3h10m | v1.37.2 | <none> | <none> | <unknown> | <unknown> | <unknown>",
        ),
        (
            resources::jobs(),
            r#""spec":{"completions":2,"template":{"spec":{"containers":[{"name":"c","image":"busybox"}]}}},
               "status":{"succeeded":1,"startTime":"2026-11-23T03:09:30Z"}"#,
            "x | Running | 1/2 | 30s | 3h10m | c | busybox | <none>",
        ),
        (
            resources::events(),
            r#""type":"Normal","reason":"Pulled","message":"m","count":3,"firstTimestamp":"2026-11-23T03:00:00Z",
               "lastTimestamp":"2026-11-23T03:09:00Z","involvedObject":{"kind":"Pod","name":"p"},"source":{"component":"kubelet","host":"n"}"#,
            "60s | Normal | Pulled | pod/p |  | kubelet, n | m | 10m | 3 | x",
        ),
    ] {
        assert_eq!(row(gvr, &format!("{{{meta},{body}}}")), want);
    }
}
