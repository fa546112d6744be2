//! What follows from what: the writes to kube-apiserver after a machine, a unit or a file is touched, in order, with their times.

mod common;

use base::{Duration, Time};
use cluster::{Bottle, Config};
use common::{booted_bottle, command};
use expect_test::expect;
use sim::Payload;

/// Everything that was written since, but for heartbeats and events: seconds after `since`, who, what. Names that are made up are
/// left out, and what follows of the same kind.
fn writes(bottle: &Bottle, since: Time) -> String {
    let cluster = bottle.head();
    let mut lines: Vec<String> = Vec::new();
    for record in bottle.trace().since(since) {
        let Payload::ApiRequest { request, .. } = &record.message.payload else { continue };
        let resource = request.gvr.resource.to_string();
        let boring = ["", "leases", "events", "tokenreviews", "subjectaccessreviews", "configmaps", "serviceaccounts"];
        if !request.verb.is_write() || boring.contains(&&*resource) || record.message.from == cluster.laptop {
            continue;
        }
        let made_up = ["pods", "replicasets", "endpointslices"].contains(&&*resource);
        let name = if made_up { "*" } else { &*request.name };
        let sub = if request.subresource.is_empty() { String::new() } else { format!("/{}", request.subresource.text()) };
        let seconds = record.message.sent.since(since).as_secs();
        let line = format!("+{seconds}s {}: {:?} {resource}/{name}{sub}", cluster.name(record.message.from), request.verb);
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

#[test]
fn a_kubelet_that_is_stopped() {
    let mut bottle = booted_bottle(Config::named("demo").unwrap());
    let settled = bottle.head().now() + Duration::from_secs(30);
    bottle.run_until(settled, u64::MAX);
    let since = bottle.head().now();
    command(&mut bottle, "ssh node-1 systemctl stop kubelet", Duration::from_secs(70));
    expect![[r#"
        +46s kube-controller-manager/cp-1: Update nodes/node-1/status
        +46s kube-controller-manager/cp-1: Update pods/*/status
        +46s kube-controller-manager/cp-1: Patch nodes/node-1
        +46s kube-controller-manager/cp-1: Update replicasets/*/status
        +46s kube-controller-manager/cp-1: Update endpointslices/*
        +46s kube-controller-manager/cp-1: Update endpoints/kube-dns
        +46s kube-controller-manager/cp-1: Update daemonsets/kube-flannel-ds/status
        +46s kube-controller-manager/cp-1: Update daemonsets/kube-proxy/status
        +46s kube-controller-manager/cp-1: Update deployments/coredns/status
        +46s kube-controller-manager/cp-1: Patch nodes/node-1"#]]
    .assert_eq(&writes(&bottle, since));
}

#[test]
fn a_static_pod_that_is_taken_away() {
    let mut bottle = booted_bottle(Config::named("demo").unwrap());
    let settled = bottle.head().now() + Duration::from_secs(30);
    bottle.run_until(settled, u64::MAX);
    let since = bottle.head().now();
    command(&mut bottle, "ssh cp-1 mv /etc/kubernetes/manifests/kube-scheduler.yaml /root/", Duration::from_secs(10));
    expect!["+0s kubelet/cp-1: Delete pods/*"].assert_eq(&writes(&bottle, since));
}

#[test]
fn a_machine_that_is_given_back_to_the_cloud() {
    let mut bottle = booted_bottle(Config::named("cloud").unwrap());
    let settled = bottle.head().now() + Duration::from_secs(30);
    bottle.run_until(settled, u64::MAX);
    let since = bottle.head().now();
    command(&mut bottle, "cloud machines delete node-1", Duration::from_secs(100));
    expect![[r#"
        +46s kube-controller-manager/cp-1: Update nodes/node-1/status
        +46s kube-controller-manager/cp-1: Update pods/*/status
        +46s kube-controller-manager/cp-1: Patch nodes/node-1
        +46s kube-controller-manager/cp-1: Update daemonsets/kube-flannel-ds/status
        +46s kube-controller-manager/cp-1: Update daemonsets/kube-proxy/status
        +46s kube-controller-manager/cp-1: Patch nodes/node-1
        +51s cloud-controller-manager/cp-1: Delete nodes/node-1
        +51s kube-controller-manager/cp-1: Update daemonsets/kube-flannel-ds/status
        +51s kube-controller-manager/cp-1: Update daemonsets/kube-proxy/status
        +51s kube-controller-manager/cp-1: Delete csinodes/node-1
        +96s kube-controller-manager/cp-1: Patch pods/*/status
        +96s kube-controller-manager/cp-1: Delete pods/*
        +96s kube-controller-manager/cp-1: Patch pods/*/status
        +96s kube-controller-manager/cp-1: Delete pods/*"#]]
    .assert_eq(&writes(&bottle, since));
}

#[test]
fn no_acknowledged_write_is_lost_whichever_control_plane_goes() {
    let booted = common::boot(Config::named("ha").unwrap());
    for name in ["cp-1", "cp-2", "cp-3"] {
        let mut session = common::Session::new(booted.clone());
        session.write_file(".keep", "");
        session.run("mkdir -p $HOME/.kube; cp /root/.kube/config $HOME/.kube/config");
        let write = "kubectl create configmap w$i --request-timeout=10s && echo w$i >> acknowledged";
        session.run(&format!("(for i in $(seq 1 20); do {write}; sleep 1; done) > log 2>&1 &"));
        session.advance(Duration::from_secs(5));
        session.cluster.power_off(name, &mut ());
        session.advance(Duration::from_secs(90));
        let (_, said) = session.run("for w in $(cat acknowledged); do kubectl get configmap $w -o name || echo lost $w; done");
        assert!(!said.contains("lost") && said.lines().count() >= 12, "without {name}:\n{said}");
    }
}
