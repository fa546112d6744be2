//! The built-in configurations boot, and what runs in them behaves.

use apimachinery::{Object, Request, resources};
use base::Duration;
use cluster::{Bottle, Cluster, Config, Input};
use cri_api::host::HostMessage;

fn list(cluster: &Cluster, gvr: apimachinery::Gvr, namespace: &str) -> Vec<Object> {
    let mut request = Request::list(gvr, namespace);
    request.credential =
        apimachinery::Credential::Certificate(std::rc::Rc::new(apimachinery::UserInfo::new("admin", &["system:masters"])));
    let response = cluster.api().expect("kube-apiserver runs").read(&request, cluster.now());
    response.as_list().unwrap_or_else(|| panic!("{} {}", response.code, response.message())).items.clone()
}

fn boot(name: &str, limit_s: i64) -> Bottle {
    let mut bottle = Bottle::new(Config::named(name).expect("a known name"));
    let end = bottle.start() + Duration::from_secs(limit_s);
    while bottle.head().now() < end && !bottle.head().is_ready() {
        let next = bottle.head().now() + Duration::from_millis(200);
        bottle.run_until(next, u64::MAX);
    }
    for (_, p) in bottle.head().procs() {
        println!("{} running={}", p.name, p.is_running());
    }
    println!("ready after {} with {} messages", bottle.head().now().since(bottle.start()), bottle.head().events);
    bottle
}

/// Runs a command on the laptop and returns what it printed.
fn run(bottle: &mut Bottle, command: &str) -> String {
    let argv = ["sh", "-c", command].map(Into::into).to_vec();
    bottle.input(Input::Laptop(HostMessage::RunJob { job: 5, argv, stdin: (*b"").into() }.into()));
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

#[test]
fn recorded_boots_and_rolls_out() {
    let mut bottle = boot("recorded", 60);
    assert!(bottle.head().is_ready());
    println!("{}", run(&mut bottle, "kubectl create deployment web --image=nginx:1.27 --replicas=3"));
    let next = bottle.head().now() + Duration::from_secs(10);
    bottle.run_until(next, u64::MAX);
    let out = run(&mut bottle, "kubectl get pods,deploy,rs,nodes,events -A");
    println!("{out}");
    let pods = list(bottle.head(), resources::pods(), "default");
    assert_eq!(pods.iter().filter(|p| p.condition_is_true("Ready")).count(), 3, "{out}");
}

#[test]
fn demo_boots_for_real() {
    let mut bottle = boot("demo", 240);
    let out = if bottle.head().api().is_some_and(|a| a.is_ready()) {
        run(&mut bottle, "kubectl get nodes,pods -A -o wide; kubectl get events -A")
    } else {
        String::new()
    };
    println!("{out}");
    assert!(bottle.head().is_ready(), "{out}");
}
