//! Writes that were planned from a cache that isn't what etcd has.

use apimachinery::{Object, Request, resources, value};
use base::Duration;

use super::pump::{World, object};

fn config_map(text: &str) -> Object {
    let v =
        value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": {"k": text}});
    Object::from_value(v).unwrap()
}

/// etcd is restored from a backup under a running kube-apiserver, whose cache is ahead of it from then on. Who has read the object
/// from etcd can write it; who has not, can't.
#[test]
fn a_refusal_is_checked_with_etcd() {
    let mut world = World::new();
    world.namespace("default");
    world.ask_admin(Request::create(resources::configmaps(), config_map("0")));
    let backup = world.etcd.clone();
    let newer = object(&world.ask_admin(Request::update(resources::configmaps(), config_map("1"))));
    world.run(Duration::from_secs(1));
    world.etcd = backup;

    let key = newer.key();
    let mut older = object(&world.ask_admin(Request::get(resources::configmaps(), &key)));
    assert!(older.revision() < newer.revision());
    let refused = world.ask_admin(Request::update(resources::configmaps(), newer));
    assert_eq!(refused.code, 409, "{:?}", refused.body);
    older.set_at(&["data", "k"], "2");
    let written = world.ask_admin(Request::update(resources::configmaps(), older));
    assert_eq!(written.code, 200, "{:?}", written.body);
    let now = object(&world.ask_admin(Request::get(resources::configmaps(), &key)));
    assert_eq!(now.str_at(&["data", "k"]), Some("2"));
}

/// The refusal of what really is wrong stays what it was.
#[test]
fn what_is_wrong_is_refused_once_etcd_has_been_asked() {
    let mut world = World::new();
    world.namespace("default");
    assert_eq!(world.ask_admin(Request::update(resources::configmaps(), config_map("0"))).code, 404);
    let mut made = object(&world.ask_admin(Request::create(resources::configmaps(), config_map("0"))));
    made.set_at(&["metadata", "labels"], value!({"a": "not valid!"}));
    assert_eq!(world.ask_admin(Request::update(resources::configmaps(), made)).code, 422);
}
