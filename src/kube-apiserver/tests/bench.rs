//! How long a request takes in here. Run with `cargo test --release -p kube-apiserver -- --ignored --nocapture bench`.

use std::time::Instant;

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, resources, value};

use super::pump::{World, admin};

/// `PODS=100000`
fn pods() -> usize {
    std::env::var("PODS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

#[test]
#[ignore = "a measurement"]
fn bench_pods() {
    let mut w = World::new();
    w.namespace("ns");
    let template = Object::from_value(value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-7c5ddbdf54-", "namespace": "ns",
            "labels": {"app": "web", "pod-template-hash": "7c5ddbdf54"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7c5ddbdf54", "uid": "u", "controller": true, "blockOwnerDeletion": true}]},
        "spec": {"containers": [{"name": "c", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}
    })).unwrap();
    let time = |label: &str, n: usize, w: &mut World, f: &mut dyn FnMut(&mut World, usize)| {
        let start = Instant::now();
        for i in 0..n {
            f(w, i);
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / n as f64;
        println!("{label}: {us:.1} us");
    };
    let mut names: Vec<std::rc::Rc<str>> = Vec::new();
    time("create", pods(), &mut w, &mut |w, _| {
        let r = w.ask_admin(Request::create(resources::pods(), template.clone()));
        names.push(r.ok().unwrap().key().name);
    });
    time("bind", pods(), &mut w, &mut |w, i| {
        let body = value!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": (&names[i]), "namespace": "ns"}, "target": {"kind": "Node", "name": (format!("n{}", i % 5000))}});
        let bind = Request::create(resources::pods(), Object::from_value(body).unwrap())
            .with_subresource("binding")
            .with_name(&names[i]);
        assert_eq!(w.ask_admin(bind).code, 201);
    });
    let condition =
        |t: &str| value!({"type": t, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-23T03:00:00Z"});
    time("status patch", pods(), &mut w, &mut |w, i| {
        let patch = value!({"status": {"phase": "Running", "podIP": "10.244.0.1", "startTime": "2026-11-23T03:00:00Z",
            "conditions": (["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition).to_vec()),
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "image": "nginx:1.27", "imageID": "x", "state": {"running": {"startedAt": "2026-11-23T03:00:00Z"}}}]}});
        let r = w.ask_admin(Request::patch_status(
            resources::pods(),
            &ObjectKey { namespace: "ns".into(), name: names[i].clone() },
            PatchType::StrategicMerge,
            patch,
        ));
        assert_eq!(r.code, 200);
    });
    time("get", pods(), &mut w, &mut |w, i| {
        w.ask(Request {
            credential: admin(),
            ..Request::get(resources::pods(), &ObjectKey { namespace: "ns".into(), name: names[i].clone() })
        });
    });
    let start = Instant::now();
    let copy = w.clone();
    println!("clone: {:.1} us, {} keys", start.elapsed().as_secs_f64() * 1e6, copy.etcd.store().len());
    let _: Value = Value::Null;
}
