//! Whole cycles over small clusters, as tables.

use std::rc::Rc;

use apimachinery::{Object, Value, value};
use base::Sort as _;
use base::{Map, Seed};
use expect_test::{Expect, expect};

use crate::cache::Cache;
use crate::framework::Cx;
use crate::memo::Memo;
use crate::plugins::{Preemption, preempt};
use crate::pod_info::PodInfo;
use crate::schedule_one::{Cycle, Nominated, Outcome, enough_nodes};
use crate::volumes::Volumes;

#[derive(Default)]
struct World {
    cache: Cache,
    volumes: Volumes,
    memo: Memo,
    start: u32,
    pods: u32,
}

impl World {
    fn new(nodes: u32) -> World {
        let mut world = World::default();
        for i in 1..=nodes {
            world.node(&format!("node-{i}"), |_| ());
        }
        world
    }

    fn node(&mut self, name: &str, edit: impl Fn(&mut Object)) {
        let v = value!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}
        });
        let mut node = Object::from_value(v).unwrap();
        edit(&mut node);
        self.cache.set_node(&node);
    }

    fn pod(&mut self, spec: Value) -> Rc<PodInfo> {
        self.pods += 1;
        let name = format!("pod-{}", self.pods);
        let labels = spec.get("labels").cloned().unwrap_or_else(|| value!({"app": "a"}));
        let v = value!({"metadata": {"namespace": "default", "name": (&name), "uid": (&name), "labels": labels}, "spec": spec});
        Rc::new(PodInfo::new(&Object::from_value(v).unwrap()))
    }

    /// Places a pod; the node's name, or why there is none.
    fn place(&mut self, spec: Value) -> String {
        let pod = self.pod(spec);
        let nominated: Nominated = Map::default();
        let mut cycle = Cycle {
            cache: &mut self.cache,
            volumes: &self.volumes,
            memo: &mut self.memo,
            nominated: &nominated,
            start: &mut self.start,
            seed: Seed(1),
        };
        match cycle.schedule(&pod, None) {
            Outcome::Node { node, .. } => {
                let name = self.cache.node(node).name.clone();
                self.cache.add_pod(pod, &name, true);
                name.to_string()
            }
            Outcome::Nowhere(mut diagnosis, state, active) => {
                if diagnosis.pre_filter.is_none() {
                    let cx = Cx { cache: &self.cache, volumes: &self.volumes };
                    match preempt(&cx, &pod, &state, &diagnosis, &[], &active) {
                        Preemption::No(why) => diagnosis.post_filter = why,
                        Preemption::Evict(victims) => {
                            let names: Vec<_> = victims.pods.iter().map(|p| p.key.name.to_string()).collect();
                            return format!("evict {} from {}", names.join(" "), self.cache.node(victims.node).name);
                        }
                    }
                }
                diagnosis.message()
            }
        }
    }
}

fn asks(cpu: &str) -> Value {
    value!({"containers": [{"image": "nginx:1.27", "resources": {"requests": {"cpu": cpu}}}]})
}

fn with(field: &str, v: Value) -> Value {
    let mut spec = asks("100m");
    spec.set_at(&[field], v);
    spec
}

fn check(lines: Vec<String>, expected: Expect) {
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn why_is_it_pending() {
    let mut world = World::new(3);
    let affinity = |key: &str| {
        value!({key: {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "nobody"}}}]}})
    };
    let lines = vec![
        world.place(asks("64")),
        world.place(value!({"containers": [{"resources": {"requests": {"cpu": "64", "memory": "900Gi"}}}]})),
        world.place(value!({"containers": [{"resources": {"requests": {"example.com/gpu": "1"}}}]})),
        world.place(with("nodeSelector", value!({"disk": "ssd"}))),
        world.place(with("affinity", affinity("podAffinity"))),
        world.place(with("volumes", value!([{"name": "d", "persistentVolumeClaim": {"claimName": "nothere"}}]))),
    ];
    check(
        lines,
        expect![[r#"
        0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
        0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient memory. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
        0/3 nodes are available: 3 Insufficient example.com/gpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
        0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
        0/3 nodes are available: 3 node(s) didn't match pod affinity rules. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.
        0/3 nodes are available: persistentvolumeclaim "nothere" not found. not found
    "#]],
    );
}

#[test]
fn apart_spread_and_ports() {
    let anti = value!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}]}});
    let mut world = World::new(3);
    let mut lines: Vec<String> = (0..4).map(|_| world.place(with("affinity", anti.clone()))).collect();
    lines[..3].order();
    let mut world = World::new(3);
    let spread = value!([{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}}}]);
    let mut placed: Vec<String> = (0..6).map(|_| world.place(with("topologySpreadConstraints", spread.clone()))).collect();
    placed.order();
    lines.push(placed.join(" "));
    world.node("node-3", |n| n.set_at(&["spec", "unschedulable"], true));
    let mut placed: Vec<String> = (0..3).map(|_| world.place(with("topologySpreadConstraints", spread.clone()))).collect();
    lines.push(placed.remove(2));
    let mut world = World::new(1);
    let ports = value!({"containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}]}]});
    lines.extend((0..2).map(|_| world.place(ports.clone())));
    check(
        lines,
        expect![[r#"
        node-1
        node-2
        node-3
        0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.
        node-1 node-1 node-2 node-2 node-3 node-3
        0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.
        node-1
        0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.
    "#]],
    );
}

#[test]
fn preemption() {
    let mut world = World::new(2);
    let of = |priority: i64, policy: &str| {
        let mut spec = asks("3");
        spec.set_at(&["priority"], priority);
        spec.set_at(&["preemptionPolicy"], policy);
        spec
    };
    let placed = [world.place(of(10, "")), world.place(of(20, ""))];
    assert_ne!(placed[0], placed[1]);
    let lines =
        vec![world.place(of(1000, "Never")), world.place(of(10, "")), world.place(of(1000, "")).replace(&placed[0], "its node")];
    check(
        lines,
        expect![[r#"
        0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.
        0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.
        evict pod-1 from its node
    "#]],
    );
}

#[test]
fn taints_and_preferences() {
    let mut world = World::new(3);
    world.node("node-1", |n| n.set_at(&["spec", "taints"], value!([{"key": "k", "value": "v", "effect": "NoSchedule"}])));
    world.node("node-2", |n| n.set_at(&["spec", "taints"], value!([{"key": "k", "effect": "PreferNoSchedule"}])));
    let tolerations = value!([{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}]);
    let mut tolerant = with("tolerations", tolerations);
    tolerant.set_at(&["nodeSelector"], value!({"kubernetes.io/hostname": "node-1"}));
    let prefers = value!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference":
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-2"]}]}}]}});
    let mut big = asks("3500m");
    big.set_at(&["x"], 1);
    let lines = vec![
        world.place(asks("100m")),
        world.place(tolerant),
        world.place(with("affinity", prefers)),
        world.place(big.clone()),
        world.place(big.clone()),
        world.place(big),
    ];
    check(
        lines,
        expect![[r#"
        node-3
        node-1
        node-3
        node-3
        node-2
        0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.
    "#]],
    );
}

#[test]
fn how_many_nodes_are_enough() {
    let answers: Vec<usize> = [3, 99, 100, 250, 1000, 5000, 6000, 20000].map(enough_nodes).into();
    assert_eq!(answers, [3, 99, 100, 120, 420, 500, 300, 1000]);
}

/// `cargo test --release -p kube-scheduler -- --ignored --nocapture speed`
#[test]
#[ignore = "prints a rate"]
fn speed() {
    let mut world = World::new(5000);
    let spec = asks("10m");
    let begin = std::time::Instant::now();
    for _ in 0..30_000 {
        world.place(spec.clone());
    }
    println!("{:.0} cycles/s", 30_000.0 / begin.elapsed().as_secs_f64());
}
