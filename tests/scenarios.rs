//! What a real cluster answered to kubectl, session by session, and what the bottle answers. Also our own stories.

mod common;

/// The recorded sessions, on the cluster that they were recorded on: hollow nodes, no add-ons.
#[test]
fn recorded_sessions() {
    let outcomes = common::play_all(&common::files("golden/scenarios"), "recorded");
    common::judge(&outcomes, "golden/scenarios");
}

/// Stories of the whole cluster, containers and network included.
#[test]
fn stories() {
    let outcomes = common::play_all(&common::files("scenarios"), "demo");
    common::judge(&outcomes, "scenarios");
}
