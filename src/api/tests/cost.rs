//! What a pod costs: defaulting twice (before and after admission), validation, and the row of a table.
//!
//! `cargo test --release -p api --test cost -- --ignored --nocapture`

use apimachinery::field::ErrorList;
use apimachinery::{Object, json, resources};

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-7d9c-abcde","namespace":"default","labels":{"app":"web","pod-template-hash":"7d9c"},
"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d9c","uid":"u","controller":true,"blockOwnerDeletion":true}]},
"spec":{"containers":[{"name":"nginx","image":"nginx:1.27","ports":[{"containerPort":80}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"}},
"env":[{"name":"A","value":"b"}],"readinessProbe":{"httpGet":{"path":"/","port":80}},
"volumeMounts":[{"name":"kube-api-access-x","mountPath":"/var/run/secrets","readOnly":true}]}],
"serviceAccountName":"default","tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],
"volumes":[{"name":"kube-api-access-x","projected":{"defaultMode":420,"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},
{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}]}}]}}"#;

#[test]
#[ignore = "a measurement"]
fn a_pod() {
    let strategy = api::strategy(resources::pods()).unwrap();
    let pod = Object::from_value(json::parse(POD.as_bytes()).unwrap()).unwrap();
    let time = |what: &str, f: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        for _ in 0..20_000 {
            f();
        }
        println!("{what}: {:.2} µs", start.elapsed().as_secs_f64() * 1e6 / 20_000.0);
    };
    time("default", &mut || strategy.default(&mut pod.clone()));
    let mut full = pod.clone();
    strategy.default(&mut full);
    strategy.prepare_for_create(&mut full);
    time("default again", &mut || strategy.default(&mut full.clone()));
    time("prepare", &mut || strategy.prepare_for_create(&mut full.clone()));
    time("validate", &mut || {
        let mut errors = ErrorList::new();
        strategy.validate(&full, &mut errors);
        assert!(errors.is_empty());
    });
    let mut running = full.clone();
    running.set_at(&["status", "phase"], "Running");
    running.set_at(&["metadata", "resourceVersion"], "5");
    time("status update", &mut || {
        let (mut new, mut errors) = (running.clone(), ErrorList::new());
        strategy.prepare_for_status_update(&mut new, &full);
        strategy.validate_status_update(&new, &full, &mut errors);
        assert!(errors.is_empty());
    });
    time("row", &mut || drop(strategy.row(&full, base::Time::EPOCH)));
}
