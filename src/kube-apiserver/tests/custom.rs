//! Definitions over time: names that are taken, versions, a server that starts again, watches, the end.

use apimachinery::{Gvr, Object, ObjectKey, PatchType, Request, Response, Value, WatchEventType, value};
use base::Duration;
use sim::{Addr, Payload};

use super::pump::{API, World};

fn definitions() -> Gvr {
    Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}
fn of(plural: &str, version: &str) -> Gvr {
    Gvr::new("example.com", version, plural)
}

fn definition(plural: &str, kind: &str, short: &str) -> Object {
    let schema = value!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}
    }}});
    let version =
        |name: &str, storage: bool| value!({"name": name, "served": true, "storage": storage, "schema": (schema.clone())});
    let v = value!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": (format!("{plural}.example.com"))},
        "spec": {
            "group": "example.com", "scope": "Cluster",
            "names": {"plural": plural, "kind": kind, "shortNames": [short]},
            "versions": [(version("v1beta1", false)), (version("v1", true))]
        }
    });
    Object::from_value(v).unwrap()
}

fn widget(kind: &str, version: &str, name: &str) -> Object {
    let v = value!({"apiVersion": (format!("example.com/{version}")), "kind": kind, "metadata": {"name": name}, "spec": {}});
    Object::from_value(v).unwrap()
}

struct Api(World);

impl Api {
    fn ask(&mut self, request: Request) -> Response {
        let response = (*self.0.ask_admin(request)).clone();
        self.0.run(Duration::from_millis(50));
        response
    }
    fn condition(&mut self, name: &str, kind: &str) -> String {
        let crd = self.ask(Request::get(definitions(), &ObjectKey::new("", name)));
        let list = crd.ok().map(|o| o.list_at(&["status", "conditions"]).to_vec()).unwrap_or_default();
        let found = list.iter().find(|c| c.str_at(&["type"]) == Some(kind));
        found.map_or(String::new(), |c| format!("{} {}", c.str_at(&["status"]).unwrap(), c.str_at(&["reason"]).unwrap()))
    }
    fn delete(&mut self, name: &str) {
        assert_eq!(self.ask(Request::delete(definitions(), &ObjectKey::new("", name))).code, 200);
        self.0.run(Duration::from_secs(10));
        assert_eq!(self.ask(Request::get(definitions(), &ObjectKey::new("", name))).code, 404);
    }
}

#[test]
fn a_name_has_one_owner_at_a_time() {
    let mut api = Api(World::new());
    assert!(api.0.api.customs.is_empty());
    assert_eq!(api.ask(Request::create(definitions(), definition("as", "A", "x"))).code, 201);
    assert_eq!(api.ask(Request::create(definitions(), definition("bs", "B", "x"))).code, 201);
    assert_eq!(api.condition("as.example.com", "Established"), "True InitialNamesAccepted");
    assert_eq!(api.condition("bs.example.com", "NamesAccepted"), "False ShortNamesConflict");
    assert_eq!(api.condition("bs.example.com", "Established"), "False NotAccepted");
    assert_eq!(api.ask(Request::list(of("bs", "v1"), "")).code, 404);
    api.delete("as.example.com");
    assert_eq!(api.condition("bs.example.com", "Established"), "True InitialNamesAccepted");
    assert_eq!(api.ask(Request::list(of("bs", "v1"), "")).code, 200);
    api.delete("bs.example.com");
    assert!(api.0.api.customs.is_empty());
    let services = Request::list(Gvr::new("apiregistration.k8s.io", "v1", "apiservices"), "");
    let left = api.ask(services).as_list().unwrap().items.iter().filter(|o| o.name().ends_with("example.com")).count();
    assert_eq!(left, 0);
}

#[test]
fn an_object_is_served_in_every_version_and_after_a_restart() {
    let mut api = Api(World::new());
    api.ask(Request::create(definitions(), definition("widgets", "Widget", "w")));
    let made = api.ask(Request::create(of("widgets", "v1beta1"), widget("Widget", "v1beta1", "one")));
    assert_eq!((made.code, made.ok().unwrap().api_version()), (201, "example.com/v1beta1"));
    let key = ObjectKey::new("", "one");
    let check = |api: &mut Api| {
        let got = api.ask(Request::get(of("widgets", "v1"), &key));
        let object = got.ok().unwrap_or_else(|| panic!("{}", got.message())).clone();
        assert_eq!((object.api_version(), object.int_at(&["spec", "size"])), ("example.com/v1", Some(1)));
    };
    check(&mut api);
    api.0.queue.inject(Addr::OUTSIDE, API, Payload::Start, |_, _| ());
    api.0.run(Duration::from_secs(2));
    check(&mut api);
    // A default that comes later holds for what was there before.
    let path = "/spec/versions/1/schema/openAPIV3Schema/properties/spec/properties/color";
    let patch = value!([{"op": "add", "path": path, "value": {"type": "string", "default": "red"}}]);
    let patched = api.ask(Request::patch(definitions(), &ObjectKey::new("", "widgets.example.com"), PatchType::Json, patch));
    assert_eq!(patched.code, 200, "{}", patched.message());
    let got = api.ask(Request::get(of("widgets", "v1"), &key));
    assert_eq!(got.ok().and_then(|o| o.str_at(&["spec", "color"])), Some("red"));
    let old = api.ask(Request::get(of("widgets", "v1beta1"), &key));
    assert_eq!(old.ok().and_then(|o| o.str_at(&["spec", "color"])), None);
}

#[test]
fn watches_end_with_what_they_watch() {
    let mut api = Api(World::new());
    api.ask(Request::create(definitions(), definition("widgets", "Widget", "w")));
    let watch = |api: &mut Api| {
        let mut request = Request::watch(of("widgets", "v1"), "", "0");
        request.credential = super::pump::admin();
        let id = api.0.send(request);
        api.0.run(Duration::from_millis(50));
        id
    };
    let first = watch(&mut api);
    let mut object = widget("Widget", "v1", "one");
    object.set_at(&["metadata", "finalizers"], Value::from(vec!["example.com/wait".into()]));
    api.ask(Request::create(of("widgets", "v1"), object));
    assert_eq!(api.0.events[&first].iter().map(|e| e.kind).collect::<Vec<_>>(), [WatchEventType::Added]);
    let patch = value!({"metadata": {"labels": {"a": "b"}}});
    let key = ObjectKey::new("", "widgets.example.com");
    api.ask(Request::patch(definitions(), &key, PatchType::Merge, patch));
    assert!(!api.0.ended.contains(&first), "labels of the definition mean nothing to its objects");
    let patch = value!([{"op": "replace", "path": "/spec/versions/0/served", "value": false}]);
    api.ask(Request::patch(definitions(), &key, PatchType::Json, patch));
    assert!(api.0.ended.contains(&first));
    assert_eq!(api.ask(Request::list(of("widgets", "v1beta1"), "")).code, 404);

    let second = watch(&mut api);
    api.ask(Request::delete(definitions(), &key));
    api.0.run(Duration::from_secs(20));
    assert_eq!(api.condition("widgets.example.com", "Terminating"), "True InstanceDeletionInProgress");
    let late = api.ask(Request::create(of("widgets", "v1"), widget("Widget", "v1", "late")));
    assert_eq!(
        late.message(),
        "widgets.example.com \"late\" is forbidden: create not allowed while custom resource definition is terminating"
    );
    let patch = value!({"metadata": {"finalizers": []}});
    assert_eq!(api.ask(Request::patch(of("widgets", "v1"), &ObjectKey::new("", "one"), PatchType::Merge, patch)).code, 200);
    api.0.run(Duration::from_secs(10));
    assert_eq!(api.ask(Request::get(definitions(), &key)).code, 404);
    assert!(api.0.ended.contains(&second));
    assert_eq!(api.ask(Request::list(of("widgets", "v1"), "")).code, 404);
}
