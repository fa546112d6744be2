//! Containers that want everything: each gets its share, and the rest of the cluster goes on.

use base::Duration;

use crate::driver::Desk;

/// Steps that all containers of a pod have run so far.
fn steps(desk: &Desk, pod: &str) -> u64 {
    let mut total = 0;
    for node in ["node-1", "node-2", "cp-1"] {
        let Some(runtime) = desk.cluster.machine(node) else { continue };
        let sandboxes: Vec<_> = runtime.sandboxes().filter(|(_, s)| &*s.config.pod_name == pod).map(|(id, _)| id).collect();
        let mine = runtime.containers().filter(|(_, c)| sandboxes.contains(&&c.sandbox));
        total += mine.filter_map(|(id, _)| runtime.machine(id)).map(|m| m.used_steps()).sum::<u64>();
    }
    total
}

fn start(desk: &mut Desk, pod: &str, command: &str) {
    let line = format!("kubectl run {pod} --image=busybox:1.36 --restart=Never -- sh -c '{command}'");
    assert!(desk.line(&line).contains("created"));
    desk.line(&format!("kubectl wait --for=condition=Ready pod/{pod} --timeout=60s"));
}

/// The cluster still does what it is for.
fn still_works(desk: &mut Desk, name: &str) {
    desk.check(&[
        (&format!("kubectl create deployment {name} --image=nginx:1.27"), &["created"]),
        (&format!("kubectl rollout status deployment/{name} --timeout=60s"), &["successfully rolled out"]),
        ("kubectl get nodes --no-headers | grep -vc NotReady", &["3"]),
    ]);
}

#[test]
fn a_busy_loop_gets_its_share_of_steps() {
    let mut desk = Desk::boot("demo");
    start(&mut desk, "busy", "while true; do :; done");
    // The burst is used up first.
    desk.advance(Duration::from_secs(30));
    let before = steps(&desk, "busy");
    desk.advance(Duration::from_secs(10));
    let ran = steps(&desk, "busy") - before;
    assert!((100_000..300_000).contains(&ran), "{ran} steps in ten seconds");
    still_works(&mut desk, "beside");
    desk.check(&[
        ("kubectl exec busy -- echo alive", &["alive"]),
        ("kubectl delete pod busy --grace-period=1", &["pod \"busy\" deleted"]),
    ]);
}

#[test]
fn a_fork_bomb_meets_the_limit_of_processes() {
    let mut desk = Desk::boot("demo");
    start(&mut desk, "bomb", "bomb() { bomb | bomb & }; bomb; sleep 3600");
    desk.advance(Duration::from_secs(5));
    let log = desk.line("kubectl logs bomb --tail=3");
    assert!(log.contains("sh: can't fork: Resource temporarily unavailable"), "{log}");
    still_works(&mut desk, "beside");
    desk.check(&[("kubectl delete pod bomb --grace-period=1", &["pod \"bomb\" deleted"])]);
}

#[test]
fn output_without_end_is_bounded() {
    let mut desk = Desk::boot("demo");
    start(&mut desk, "chatty", "yes");
    desk.advance(Duration::from_secs(10));
    let kept: usize = desk.line("kubectl logs chatty | wc -c").trim().parse().expect("a number");
    assert!((1..8 << 20).contains(&kept), "the log holds {kept} bytes");
    still_works(&mut desk, "beside");

    // On the terminal: so much for each virtual second, and Ctrl-C ends it.
    for command in ["yes", "kubectl exec chatty -- yes", "kubectl logs -f chatty"] {
        desk.shown(1);
        desk.keys(1, &format!("{command}\r"));
        desk.advance(Duration::from_secs(5));
        let shown = desk.shown(1).len();
        assert!((1000..16 << 20).contains(&shown), "{command}: {shown} bytes in five seconds");
        desk.keys(1, "\u{3}");
        assert!(desk.wait_for_prompt(1, 10), "{command}: Ctrl-C gives the prompt back");
    }
}

#[test]
fn memory_without_end_is_killed() {
    let mut desk = Desk::boot("demo");
    let overrides = r#"{"spec":{"containers":[{"name":"eater","image":"busybox:1.36","command":["sh","-c","x=x; while true; do x=$x$x; done"],"resources":{"limits":{"memory":"32Mi"}}}]}}"#;
    desk.line(&format!("kubectl run eater --image=busybox:1.36 --restart=Never --overrides='{overrides}'"));
    desk.advance(Duration::from_secs(30));
    desk.check(&[(
        "kubectl get pod eater -o jsonpath='{.status.containerStatuses[0].state.terminated.reason}'; echo",
        &["OOMKilled"],
    )]);
    // The same on the laptop kills the command, not the laptop.
    desk.keys(1, "sh -c 'x=x; while true; do x=$x$x; done'; echo code $?\r");
    desk.wait_for(1, "code 137", 120);
    assert!(desk.wait_for_prompt(1, 10));
    desk.check(&[("echo alive", &["alive"])]);
}
