//! Appliers that share, conflict, force and let go.

use base::Time;

use super::*;
use crate::gvr::Gvk;
use crate::schema::of;

fn object(yaml: &str) -> Object {
    Object::from_value(crate::yaml::parse(yaml).unwrap().value).unwrap()
}
fn by<'a>(manager: &'a str, api_version: &'a str) -> Writer<'a> {
    Writer { manager, api_version, subresource: "", time: Time::EPOCH, reset: &[&["status"]] }
}
fn owners(o: &Object) -> String {
    let entries = o.list_at(&["metadata", "managedFields"]).iter();
    let texts = entries.map(|e| format!("{} {:?}", e.str_at(&["manager"]).unwrap(), e.get("fieldsV1").unwrap()));
    texts.collect::<Vec<_>>().join("; ")
}

#[test]
fn appliers_share_and_conflict() {
    let ty = of(Gvk::new("", "v1", "ConfigMap")).unwrap();
    let config = |data: &str| object(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {data}}}"));
    let one = apply(&ty, None, &config("{x: '1', w: '1'}"), &by("alice", "v1"), false).unwrap();
    assert_eq!(owners(&one), r#"alice {"f:data":{"f:w":{},"f:x":{}}}"#);
    let two = apply(&ty, Some(&one), &config("{x: '2'}"), &by("alice", "v1"), false).unwrap();
    assert_eq!(format!("{:?}", two.get("data").unwrap()), r#"{"x":"2"}"#);
    let both = apply(&ty, Some(&two), &config("{x: '2'}"), &by("bob", "v1"), false).unwrap();
    // What changed nothing has no time, and comes first.
    assert_eq!(owners(&both), r#"bob {"f:data":{"f:x":{}}}; alice {"f:data":{"f:x":{}}}"#);
    let status = apply(&ty, Some(&both), &config("{x: '3', z: '9'}"), &by("carol", "v1"), false).unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (409, "Apply failed with 2 conflicts: conflicts with \"alice\":\n- .data.x\nconflicts with \"bob\":\n- .data.x")
    );
    let forced = apply(&ty, Some(&both), &config("{x: '3'}"), &by("bob", "v1"), true).unwrap();
    assert_eq!(owners(&forced), r#"bob {"f:data":{"f:x":{}}}"#);
    let again = apply(&ty, Some(&forced), &config("{x: '3'}"), &by("bob", "v1"), false).unwrap();
    assert_eq!(again, forced);
    let status = apply(&ty, None, &config("[x]"), &by("bob", "v1"), false).unwrap_err();
    assert_eq!(status.message, "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data: expected map, got &{[x]}");
}

#[test]
fn elements_of_lists_are_owned_by_key() {
    let ty = of(Gvk::new("apps", "v1", "Deployment")).unwrap();
    let config = |containers: &str| {
        object(&format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{template: {{spec: {{containers: {containers}}}}}}}}}"
        ))
    };
    let one = apply(
        &ty,
        None,
        &config("[{name: a, image: x, ports: [{containerPort: 80}]}, {name: b}]"),
        &by("alice", "apps/v1"),
        false,
    )
    .unwrap();
    assert_eq!(
        owners(&one),
        r#"alice {"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}},"k:{\"name\":\"b\"}":{".":{},"f:name":{}}}}}}}"#
    );
    let two = apply(&ty, Some(&one), &config("[{name: a, image: w}]"), &by("alice", "apps/v1"), false).unwrap();
    assert_eq!(format!("{:?}", two.at(&["spec", "template", "spec", "containers"]).unwrap()), r#"[{"image":"w","name":"a"}]"#);
    let status = apply(&ty, Some(&two), &config("[{name: a, image: z}]"), &by("bob", "apps/v1"), false).unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"alice\": .spec.template.spec.containers[name=\"a\"].image"
    );
}
