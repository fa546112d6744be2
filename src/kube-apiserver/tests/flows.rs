//! Short stories through the whole server.

use apimachinery::{Object, ObjectKey, PatchType, Request, WatchEventType, resources, value};
use base::Duration;

use super::pump::{World, admin};

fn pod(name: &str) -> Object {
    Object::from_value(value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ns"},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]}
    }))
    .unwrap()
}

#[test]
fn a_pod_is_created_watched_bound_and_deleted() {
    let mut w = World::new();
    w.namespace("ns");
    let mut watch = Request::watch(resources::pods(), "", "0");
    watch.credential = admin();
    watch.options.field_selector = Some("spec.nodeName=n1".into());
    let id = w.send(watch);
    let created = w.ask_admin(Request::create(resources::pods(), pod("a")));
    assert_eq!(created.code, 201, "{:?}", created.body);
    let key = ObjectKey::new("ns", "a");
    let binding =
        value!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a", "namespace": "ns"}, "target": {"name": "n1"}});
    let mut bind =
        Request::create(resources::pods(), Object::from_value(binding).unwrap()).with_subresource("binding").with_name("a");
    bind.namespace = "ns".into();
    assert_eq!(w.ask_admin(bind).code, 201);
    let patch = value!({"status": {"phase": "Running"}});
    let patched = w.ask_admin(Request::patch_status(resources::pods(), &key, PatchType::StrategicMerge, patch));
    assert_eq!(patched.ok().unwrap().str_at(&["status", "phase"]), Some("Running"));
    let deleted = w.ask_admin(Request::delete(resources::pods(), &key));
    assert_eq!(deleted.ok().unwrap().int_at(&["metadata", "deletionGracePeriodSeconds"]), Some(30));
    w.run(Duration::from_secs(1));
    let kinds: Vec<_> = w.events[&id].iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [WatchEventType::Added, WatchEventType::Modified, WatchEventType::Modified]);
    assert!(w.events[&id].iter().all(|e| e.cause > 0));
    // The watcher's object is the cache's own.
    let read = w.api.read(&Request { credential: admin(), ..Request::get(resources::pods(), &key) }, w.queue.now());
    assert!(read.ok().unwrap().ptr_eq(&w.events[&id][2].object));
}

#[test]
fn a_boot_creates_what_every_cluster_has_and_a_restart_finds_it() {
    let mut w = World::new();
    let get = |w: &mut World| w.ask_admin(Request::get(resources::services(), &ObjectKey::new("default", "kubernetes")));
    assert_eq!(get(&mut w).ok().unwrap().str_at(&["spec", "clusterIP"]), Some("10.96.0.1"));
    let revision = w.etcd.revision();
    let message = sim::Payload::Start;
    w.queue.inject(sim::Addr::OUTSIDE, super::pump::API, message, |_, _| ());
    assert_eq!(get(&mut w).code, 200);
    assert_eq!(w.etcd.revision(), revision);
}

#[test]
fn the_same_inputs_give_the_same_store() {
    let run = || {
        let mut w = World::new();
        w.namespace("ns");
        w.ask_admin(Request::create(resources::pods(), pod("a")));
        w.etcd.digest()
    };
    assert_eq!(run(), run());
}
