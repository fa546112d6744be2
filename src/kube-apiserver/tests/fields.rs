//! Whose fields a write becomes.

use apimachinery::{Object, Request, Value, resources, value};

use super::pump::{World, object};

/// A CertificateSigningRequest's spec is as it was made: who writes another one has changed nothing, and owns nothing.
#[test]
fn what_a_write_cannot_change_it_does_not_own() {
    let mut world = World::new();
    let pem = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlJQ2JUQ0NBVlVDQVFBd0tERU5NQXNHQTFVRUF3d0VaR0Z1WVRFWE1CVUdBMVVFQ2d3T1ozVmxjM1JpYjI5cgpMWFJsWVcwd2dnRWlNQTBHQ1NxR1NJYjNEUUVCQVFVQUE0SUJEd0F3Z2dFS0FvSUJBUUNJMklnRVd0VVpYUDBTCkZxNlA1U0haSlRXQW12L1NKQUV1VHJUZ3g4S2lYT2VlSmkvUnVCR2lzeU8xRjV6Vk0zZ3dNMGg5UVEvR0t1TTIKaGI5YlZEbWlRZlpJbTluL3MrUGI1RmwwN3hJZWtKZzczNVZJRHpubFV3blk3ZDZvM3Z4Sm5rUWtwSHI5eUNCawpuRGV6aS94Tjg4S1ZrbUlGVS91eXNBYXZZNVJ0ekNpVk80ZlovVk9KMHczeGZUcE10dlNXTHdlZUJMUnRPZW5DCmlvMkxQZU1qUUtaSXVIZG5Sc2JudnVzcWlXVlVzNEFpM2ZaRmVsOU1UTEFmTWsxWmRyMituemVPbnR1VE1XY2gKdWxIQjFLYUl1b3pTWEw2SWlwNnhzdCtockNVRGpxUUpLK1VOOTJpakhteHNUenIzaUkxOTcxazVTZFBhSVFTNApZcERnVld0UkFnTUJBQUdnQURBTkJna3Foa2lHOXcwQkFRc0ZBQU9DQVFFQWFGc0dyVlMvNktOZERSMG9DNi9kCk5XQmJGL2lGMVlMcUtQV0VRMXdpVFY5bDJLVGVxbStpb2lPRzdLaXlOdElJUkJwdU1jQ3pqY2YzVjFmeHNCOVIKRjVTOEhmZy90TGZKQmJENEdyT29haThJa2YzcmRxVW12N2dxbVp2VVp3eFZVZnppNDI2ZEtFakNEWnBCaFJsRQpiU3ZqV29aUzVHcUd6QWpVOWNWcm03N0U2blFsY01QYUZqc0RkbFZvRkYzL01RempCSXRFbS94VkJRNndoSmVRCm5ETXovQ2pzVmxySjNJc1VWbStwN1dnTWRKb3JYajRQa0MrQWVqNVdmeXdFenZMTll5bXd3eHo1ZEtvTk5RUkUKSWJPQXN6NWx1aUcyWXByMzNvbHNBbkFZU2xUSHBMRG1UMjZIK0hvbWZibjdJdktiMmp3M25DbVpLTjV5M09DWgpuUT09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
    let asked = value!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "dana"},
        "spec": {"signerName": "example.com/one", "usages": ["client auth"], "request": pem},
    });
    let made =
        object(&world.ask_admin(Request::create(resources::certificatesigningrequests(), Object::from_value(asked).unwrap())));
    let owned = |o: &Object| -> Vec<Value> { o.list_at(&["metadata", "managedFields"]).to_vec() };
    assert!(owned(&made).iter().all(|entry| entry.at(&["fieldsV1", "f:spec"]).is_none()), "{:?}", owned(&made));

    let mut other = made.clone();
    other.set_at(&["spec", "signerName"], "example.com/two");
    let written = object(&world.ask_admin(Request::update(resources::certificatesigningrequests(), other)));
    assert_eq!(written.str_at(&["spec", "signerName"]), Some("example.com/one"));
    assert_eq!(written.revision(), made.revision());
    assert_eq!(owned(&written), owned(&made));
}
