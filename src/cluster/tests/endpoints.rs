//! However pods, Services and nodes change, EndpointSlices and Endpoints say what the pods say.

use std::collections::BTreeSet;
use std::rc::Rc;

use apimachinery::{Credential, Gvr, Object, ObjectKey, PatchType, Request, UserInfo, Value, resources, value};
use base::{Duration, Seed};
use cluster::{Cluster, Config};
use sim::Payload;

fn ask(cluster: &mut Cluster, request: Request) {
    let credential = Credential::Certificate(Rc::new(UserInfo::new("kubernetes-admin", &["system:masters"])));
    let request = Rc::new(Request { credential, ..request });
    cluster.inject(cluster.apiserver, Payload::ApiRequest { id: 1, request }, &mut ());
}

fn create(cluster: &mut Cluster, gvr: Gvr, object: Value) {
    ask(cluster, Request::create(gvr, Object::from_value(object).unwrap()));
}

fn merge(cluster: &mut Cluster, gvr: Gvr, namespace: &str, name: &str, patch: Value) {
    ask(cluster, Request::patch(gvr, &ObjectKey::new(namespace, name), PatchType::Merge, patch));
}

fn all(cluster: &Cluster, gvr: Gvr) -> Vec<Object> {
    cluster.api().unwrap().objects(gvr, "default").cloned().collect()
}

/// `address:port ready` of every endpoint that the pods make for the Service `web`.
fn by_pods(cluster: &Cluster) -> BTreeSet<String> {
    let service = all(cluster, resources::services()).into_iter().find(|s| s.name() == "web").unwrap();
    let selector = service.str_at(&["spec", "selector", "app"]).unwrap().to_string();
    let port = service.list_at(&["spec", "ports"])[0].int_at(&["targetPort"]).unwrap();
    let pods = all(cluster, resources::pods()).into_iter().filter(|p| p.label("app") == Some(&*selector));
    pods.filter_map(|pod| {
        let ip = pod.str_at(&["status", "podIP"])?;
        let ready = pod.condition_is_true("Ready") && !pod.is_being_deleted();
        Some(format!("{ip}:{port} {ready}"))
    })
    .collect()
}

fn by_slices(cluster: &Cluster) -> BTreeSet<String> {
    let slices = all(cluster, resources::endpointslices());
    let mine = slices.iter().filter(|s| s.label("kubernetes.io/service-name") == Some("web"));
    let of_slice = |slice: &Object| {
        let port = slice.list_at(&["ports"]).first().and_then(|p| p.int_at(&["port"])).unwrap_or(0);
        let told = |e: &Value| {
            let address = e.list_at(&["addresses"])[0].as_str().unwrap();
            let ready = e.bool_at(&["conditions", "ready"]).unwrap();
            format!("{address}:{port} {ready}")
        };
        slice.list_at(&["endpoints"]).iter().map(told).collect::<Vec<_>>()
    };
    mine.flat_map(of_slice).collect()
}

fn by_endpoints(cluster: &Cluster) -> BTreeSet<String> {
    let endpoints = all(cluster, Gvr::new("", "v1", "endpoints")).into_iter().find(|e| e.name() == "web").unwrap();
    let of_subset = |subset: &Value| {
        let port = subset.list_at(&["ports"])[0].int_at(&["port"]).unwrap();
        let told = |field: &'static str, ready: bool| {
            let addresses = subset.list_at(&[field]).iter();
            addresses.map(move |a| format!("{}:{port} {ready}", a.str_at(&["ip"]).unwrap())).collect::<Vec<_>>()
        };
        [told("addresses", true), told("notReadyAddresses", false)].concat()
    };
    endpoints.list_at(&["subsets"]).iter().flat_map(of_subset).collect()
}

#[test]
fn endpoints_follow_whatever_changes() {
    let mut cluster = Cluster::new(Config::hollow(4));
    cluster.run_until(cluster.now() + Duration::from_secs(60), &mut ());
    assert!(cluster.is_ready());
    for app in ["web", "other"] {
        let deployment = value!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "namespace": "default"},
            "spec": {"replicas": 5, "selector": {"matchLabels": {"deployment": app}}, "template": {
                "metadata": {"labels": {"app": app, "deployment": app}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}}
        });
        create(&mut cluster, resources::deployments(), deployment);
    }
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    });
    create(&mut cluster, resources::services(), service);
    let seed = Seed(7);
    let mut sizes = BTreeSet::new();
    for step in 0..60 {
        let draw = |what: &str, of: u64| seed.derive(what).below(step, of);
        let pods = all(&cluster, resources::pods());
        let pod = (!pods.is_empty()).then(|| pods[draw("pod", pods.len() as u64) as usize].name().to_string());
        let name = if draw("which", 2) == 0 { "web" } else { "other" };
        match (draw("what", 5), pod) {
            (0, _) => merge(
                &mut cluster,
                resources::deployments(),
                "default",
                name,
                value!({"spec": {"replicas": (draw("n", 9) as i64)}}),
            ),
            (1, Some(pod)) => ask(&mut cluster, Request::delete(resources::pods(), &ObjectKey::new("default", &pod))),
            // A pod that leaves the Service, or comes to it, and is its Deployment's all the same.
            (2, Some(pod)) => {
                merge(&mut cluster, resources::pods(), "default", &pod, value!({"metadata": {"labels": {"app": name}}}))
            }
            (3, _) => merge(&mut cluster, resources::services(), "default", "web", value!({"spec": {"selector": {"app": name}}})),
            _ => {
                let port = 8080 + draw("port", 3) as i64;
                let ports = value!({"spec": {"ports": [{"port": 80, "targetPort": port}]}});
                merge(&mut cluster, resources::services(), "default", "web", ports)
            }
        }
        cluster.run_until(cluster.now() + Duration::from_secs(40), &mut ());
        let wanted = by_pods(&cluster);
        sizes.insert(wanted.len());
        assert_eq!(by_slices(&cluster), wanted, "slices, step {step}");
        assert_eq!(by_endpoints(&cluster), wanted, "endpoints, step {step}");
    }
    assert!(sizes.len() > 4, "not much has changed: {sizes:?}");
    // The zone of a node is written with the next endpoint that changes, of all that are on it.
    let zones = |cluster: &Cluster| -> BTreeSet<String> {
        let slices = all(cluster, resources::endpointslices());
        let endpoints = slices.iter().flat_map(|s| s.list_at(&["endpoints"]).to_vec()).collect::<Vec<_>>();
        let told = |e: &Value| format!("{} {}", e.str_at(&["nodeName"]).unwrap_or(""), e.str_at(&["zone"]).unwrap_or("none"));
        endpoints.iter().map(told).filter(|t| t.starts_with("node-")).collect()
    };
    merge(&mut cluster, resources::services(), "default", "web", value!({"spec": {"selector": {"app": "web"}}}));
    for (zone, replicas) in [("a", 7), ("b", 9)] {
        for node in 1..=4 {
            let labels = value!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}});
            merge(&mut cluster, resources::nodes(), "", &format!("node-{node}"), labels);
        }
        merge(&mut cluster, resources::deployments(), "default", "web", value!({"spec": {"replicas": replicas}}));
        cluster.run_until(cluster.now() + Duration::from_secs(40), &mut ());
        let zones = zones(&cluster);
        assert!(!zones.is_empty() && zones.iter().all(|t| t.ends_with(zone)), "{zones:?}");
    }
}
