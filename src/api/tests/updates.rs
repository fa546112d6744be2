//! What updates may not do, as the real v1.37.2 says it.

use apimachinery::field::ErrorList;
use apimachinery::{Gvr, Object, Value, json, schema};

fn object(gvr: Gvr, text: &str) -> Object {
    let strategy = api::strategy(gvr).unwrap();
    let ty = schema::of(strategy.kind().gvk()).unwrap();
    let value = schema::decode(&ty, &json::parse(text.as_bytes()).unwrap()).unwrap().value;
    let mut obj = Object::from_value(value).unwrap();
    if strategy.kind().namespaced {
        obj.set_at(&["metadata", "namespace"], "default");
    }
    obj.set_at(&["metadata", "uid"], "6f0f1bd8-0c53-4b0c-9d6e-4a1d5a1b2c3d");
    obj.set_at(&["metadata", "resourceVersion"], "5");
    strategy.default(&mut obj);
    strategy.prepare_for_create(&mut obj);
    let mut errors = ErrorList::new();
    strategy.validate(&obj, &mut errors);
    assert!(errors.is_empty(), "{}", errors.aggregate());
    strategy.canonicalize(&mut obj);
    obj
}

/// Creates `before`, writes `value` at `path` and returns the mistakes and the generation.
fn update(gvr: Gvr, before: &str, path: &[&str], value: &str) -> String {
    let strategy = api::strategy(gvr).unwrap();
    let old = object(gvr, before);
    let mut new = old.clone();
    match json::parse(value.as_bytes()).unwrap() {
        Value::Null => drop(new.remove_at(path)),
        v => new.set_at(path, v),
    }
    strategy.default(&mut new);
    strategy.prepare_for_update(&mut new, &old);
    let mut errors = ErrorList::new();
    strategy.validate_update(&new, &old, &mut errors);
    if errors.is_empty() { format!("generation {}", new.generation()) } else { errors.aggregate() }
}

#[test]
fn updates_are_refused_as_upstream_refuses_them() {
    let template = r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"x:1"}]}}"#;
    let workload = |kind: &str, extra: &str| {
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"{kind}","metadata":{{"name":"s"}},"spec":{{{extra}"selector":{{"matchLabels":{{"a":"b"}}}},"template":{template}}}}}"#
        )
    };
    let apps = |resource: &str| Gvr::new("apps", "v1", resource);
    let core = |resource: &str| Gvr::new("", "v1", resource);
    let set = workload("StatefulSet", r#""serviceName":"a","#);
    let deployment = workload("Deployment", "");
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"activeDeadlineSeconds":100,"containers":[{"name":"c","image":"x:1"}]}}"#;
    let class = r#"{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"p"},"value":5}"#;
    let cases: &[(Gvr, &str, &[&str], &str, &str)] = &[
        (
            apps("statefulsets"),
            &set,
            &["spec", "serviceName"],
            "\"b\"",
            "spec.serviceName: Invalid value: \"b\": field is immutable",
        ),
        (apps("statefulsets"), &set, &["spec", "minReadySeconds"], "3", "generation 2"),
        (apps("deployments"), &deployment, &["metadata", "labels"], "{\"x\":\"y\"}", "generation 1"),
        (apps("deployments"), &deployment, &["spec", "replicas"], "3", "generation 2"),
        (
            apps("deployments"),
            &deployment,
            &["spec", "selector"],
            r#"{"matchLabels":{"x":"y"}}"#,
            "[spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`, \
             spec.selector: Invalid value: {\"matchLabels\":{\"x\":\"y\"}}: field is immutable]",
        ),
        (
            core("pods"),
            pod,
            &["spec", "activeDeadlineSeconds"],
            "200",
            "spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value",
        ),
        (
            core("pods"),
            pod,
            &["spec", "activeDeadlineSeconds"],
            "null",
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ),
        (
            core("pods"),
            pod,
            &["spec", "nodeName"],
            "\"x\"",
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ),
        (core("pods"), pod, &["spec", "containers"], r#"[{"name":"c","image":"x:2"}]"#, "generation 2"),
        (core("pods"), pod, &["status", "phase"], "\"Running\"", "generation 1"),
        (
            Gvr::new("scheduling.k8s.io", "v1", "priorityclasses"),
            class,
            &["value"],
            "6",
            "value: Forbidden: may not be changed in an update.",
        ),
    ];
    for (gvr, before, path, value, want) in cases {
        assert_eq!(&update(*gvr, before, path, value), want, "{gvr:?} {path:?}");
    }
}

#[test]
fn a_service_keeps_what_was_allocated() {
    let gvr = Gvr::new("", "v1", "services");
    let strategy = api::strategy(gvr).unwrap();
    let mut old = object(
        gvr,
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"port":80}]}}"#,
    );
    old.set_at(&["spec", "clusterIP"], "10.96.0.9");
    old.set_at(&["spec", "clusterIPs"], vec![Value::str("10.96.0.9")]);
    old.value_mut().entry(&["spec", "ports"]).list_mut()[0].set_at(&["nodePort"], 30_080);
    let after = |change: &dyn Fn(&mut Object)| {
        let mut new = old.clone();
        change(&mut new);
        strategy.default(&mut new);
        strategy.prepare_for_update(&mut new, &old);
        let mut errors = ErrorList::new();
        strategy.validate_update(&new, &old, &mut errors);
        let port = new.list_at(&["spec", "ports"])[0].int_at(&["nodePort"]);
        let text = if errors.is_empty() { String::new() } else { errors.aggregate() };
        (new.str_at(&["spec", "clusterIP"]).unwrap_or("").to_string(), port, text)
    };
    let replaced = |o: &mut Object| {
        let ports = json::parse(br#"[{"port":80}]"#).unwrap();
        o.set_at(&["spec", "ports"], ports);
        o.remove_at(&["spec", "clusterIP"]);
        o.remove_at(&["spec", "clusterIPs"]);
    };
    assert_eq!(after(&replaced), ("10.96.0.9".into(), Some(30_080), String::new()));
    assert_eq!(after(&|o| o.set_at(&["spec", "type"], "ClusterIP")), ("10.96.0.9".into(), None, String::new()));
    let moved = after(&|o| o.set_at(&["spec", "clusterIP"], "10.96.0.10"));
    assert_eq!(moved.2, "spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set");
    let external = |o: &mut Object| {
        o.set_at(&["spec", "type"], "ExternalName");
        o.set_at(&["spec", "externalName"], "a.example");
    };
    assert_eq!(after(&external), (String::new(), None, String::new()));
}

#[test]
fn the_generation_counts_what_upstream_counts() {
    let template = r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"x:1"}]}}"#;
    let of = |kind: &str, extra: &str| {
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"{kind}","metadata":{{"name":"s"}},"spec":{{{extra}"selector":{{"matchLabels":{{"a":"b"}}}},"template":{template}}}}}"#
        )
    };
    let (note, label) = (["metadata", "annotations", "note"], ["metadata", "labels", "x"]);
    let deployments = Gvr::new("apps", "v1", "deployments");
    assert_eq!(update(deployments, &of("Deployment", ""), &note, "\"x\""), "generation 2");
    assert_eq!(update(deployments, &of("Deployment", ""), &label, "\"y\""), "generation 1");
    let sets = Gvr::new("apps", "v1", "statefulsets");
    assert_eq!(update(sets, &of("StatefulSet", r#""serviceName":"a","#), &note, "\"x\""), "generation 1");
    let slice = r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"s"},"addressType":"IPv4","endpoints":[]}"#;
    let slices = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
    assert_eq!(update(slices, slice, &label, "\"y\""), "generation 2");
    assert_eq!(update(slices, slice, &note, "\"x\""), "generation 1");
}

#[test]
fn a_job_without_labels_has_all_of_its_template() {
    let jobs = Gvr::new("batch", "v1", "jobs");
    let job = |labels: &str| {
        let text = format!(
            r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"j"{labels}}},"spec":{{"template":{{"metadata":{{"labels":{{"a":"b"}}}},"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"x:1"}}]}}}}}}}}"#
        );
        let job = object(jobs, &text);
        job.map_at(&["metadata", "labels"]).map_or(0, |labels| labels.len())
    };
    assert_eq!(job(""), 5, "the generated ones as well");
    assert_eq!(job(r#","labels":{"a":"b"}"#), 1, "its own");
}

#[test]
fn what_was_decided_of_a_signing_request_stays() {
    let gvr = Gvr::new("certificates.k8s.io", "v1", "certificatesigningrequests");
    let strategy = api::strategy(gvr).unwrap();
    let csr = object(
        gvr,
        r#"{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"c"},"spec":{"request":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K","signerName":"example.com/s","usages":["client auth"]}}"#,
    );
    let with = |old: &Object, conditions: &str| {
        let mut new = old.clone();
        new.set_at(&["status", "conditions"], json::parse(conditions.as_bytes()).unwrap());
        new
    };
    let approved = r#"[{"type":"Approved","status":"True"}]"#;
    let try_it = |subresource: &str, new: &Object, old: &Object| {
        let mut errors = ErrorList::new();
        match subresource {
            "status" => strategy.validate_status_update(new, old, &mut errors),
            sub => strategy.validate_subresource_update(sub, new, old, &mut errors),
        }
        if errors.is_empty() { String::new() } else { errors.aggregate() }
    };
    let decided = with(&csr, approved);
    assert_eq!(
        try_it("status", &decided, &csr),
        "status.conditions: Forbidden: updates may not add a condition of type \"Approved\""
    );
    assert_eq!(try_it("approval", &decided, &csr), "");
    let no = with(&csr, r#"[{"type":"Approved","status":"False"}]"#);
    assert_eq!(
        try_it("approval", &no, &csr),
        "status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\""
    );
    let denied = with(&csr, r#"[{"type":"Denied","status":"True"}]"#);
    assert_eq!(
        try_it("approval", &denied, &decided),
        "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""
    );
    let both = with(&csr, r#"[{"type":"Approved","status":"True"},{"type":"Denied","status":"True"}]"#);
    assert_eq!(
        try_it("approval", &both, &decided),
        "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
    );
    let mut signed = decided.clone();
    signed.set_at(&["status", "certificate"], "eA==");
    assert_eq!(
        try_it("status", &signed, &decided),
        "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block"
    );
}
