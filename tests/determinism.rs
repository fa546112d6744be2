//! The cluster is a value: the same seed and inputs give the same bytes, the past comes back exactly, a fork goes its own way.

mod common;

use std::rc::Rc;

use base::Duration;
use cluster::{Bottle, Config, Input};
use common::command;

/// A day in the life: a rollout, a lost node, a frozen scheduler.
fn story(config: Config) -> Bottle {
    let mut bottle = common::booted_bottle(config);
    let seconds = Duration::from_secs;
    command(
        &mut bottle,
        "kubectl create deployment web --image=nginx --replicas=5; kubectl expose deployment web --port=80",
        seconds(8),
    );
    bottle.input(Input::Freeze("kube-scheduler".into()));
    command(&mut bottle, "kubectl scale deployment web --replicas=7", seconds(5));
    bottle.input(Input::PowerOff("node-2".into()));
    command(&mut bottle, "kubectl create configmap a --from-literal=k=v; kubectl delete pod --all --wait=false", seconds(30));
    bottle.input(Input::PowerOn("node-2".into()));
    let until = bottle.head().now() + seconds(20);
    bottle.run_until(until, u64::MAX);
    bottle
}

fn recorded() -> Config {
    Config::named("recorded").unwrap()
}

#[test]
fn same_seed_same_inputs_same_bytes() {
    let (a, b) = (story(recorded()), story(recorded()));
    assert_eq!(a.head().events, b.head().events);
    assert_eq!(a.digest(), b.digest());
    let other = story(Config { seed: 2, ..recorded() });
    assert_ne!(a.digest(), other.digest());
}

#[test]
fn a_replay_meets_the_head() {
    let bottle = story(recorded());
    let (digest, met) = bottle.verify();
    assert!(met, "replayed to {digest:x}, the head is {:x}", bottle.head().digest());
}

#[test]
fn the_past_comes_back_and_a_fork_goes_its_own_way() {
    let mut bottle = common::booted_bottle(recorded());
    command(&mut bottle, "kubectl create deployment web --image=nginx --replicas=3", Duration::from_secs(5));
    let (then, before) = (bottle.head().now(), bottle.head().digest());
    let etcd = bottle.head().etcd_member().unwrap().digest();
    command(&mut bottle, "kubectl scale deployment web --replicas=6", Duration::from_secs(5));
    let head = bottle.head().digest();
    assert_ne!(before, head);

    bottle.seek(then);
    assert_eq!(bottle.shown().now(), then);
    assert_eq!(bottle.shown().etcd_member().unwrap().digest(), etcd, "the past is as it was");
    command(&mut bottle, "kubectl delete deployment web", Duration::from_secs(5));
    assert_eq!(bottle.branches().len(), 2, "an input in the past forks");
    assert_ne!(bottle.head().digest(), head);
    bottle.switch(0);
    assert_eq!(bottle.head().digest(), head, "the first line of history is untouched");
}

#[test]
fn a_saved_bottle_is_restored() {
    let bottle = story(recorded());
    let mut other = Bottle::new(recorded());
    assert!(other.restore(&bottle.save()));
    assert_eq!(other.head().digest(), bottle.head().digest());
    assert!(!other.restore(b"{}"));
}

#[test]
fn a_real_boot_is_deterministic() {
    let boot = || common::booted_bottle(Config::named("demo").unwrap());
    let (mut a, mut b) = (boot(), boot());
    assert_eq!(a.digest(), b.digest());
    for bottle in [&mut a, &mut b] {
        let input = cri_api::host::HostMessage::WriteFile { path: "/root/a".into(), data: (*b"x").into() };
        bottle.input(Input::Laptop(Rc::new(input)));
        command(bottle, "kubectl run a --image=busybox -- sleep 1000", Duration::from_secs(10));
    }
    assert_eq!(a.digest(), b.digest());
}
