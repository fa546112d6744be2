//! *Why?* on anything: the causal chain of each kind of trouble, down to the field, the rule or the deed.

use super::*;

/// Some step says all of these words, in one line.
#[track_caller]
fn says(steps: &[String], words: &[&str]) {
    assert!(steps.iter().any(|s| words.iter().all(|w| s.contains(w))), "nothing says {words:?}:\n{}", steps.join("\n"));
}

fn pod(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec: {spec}\n")
}

fn the_pod(name: &str) -> Thing {
    Thing::core("pods", "default", name)
}

fn newest_pod(page: &Page, begins: &str) -> Thing {
    let api = page.session.bottle().unwrap().head().api().unwrap();
    let pods = api.objects(apimachinery::resources::pods(), "default").filter(|p| p.name().starts_with(begins));
    the_pod(pods.max_by_key(|p| p.revision()).expect("there is one").name())
}

#[test]
fn pending_tells_each_nodes_verdict_and_the_field() {
    let mut page = Page::open();
    page.apply(&pod("big", "{containers: [{name: c, image: 'nginx:1.27', resources: {requests: {cpu: '64'}}}]}"));
    page.apply(&pod("ssd", "{nodeSelector: {disk: ssd}, containers: [{name: c, image: 'nginx:1.27'}]}"));
    page.run(5);
    let big = page.why(the_pod("big"));
    says(&big, &["0/3 nodes are available", "2 Insufficient cpu"]);
    says(&big, &["node-1: Insufficient cpu"]);
    says(&big, &["node-2: Insufficient cpu"]);
    says(&big, &["cp-1 has the taint node-role.kubernetes.io/control-plane:NoSchedule"]);
    says(&big, &["It asks for cpu 64; most is left on node-"]);
    says(&big, &["→ ", "spec.containers[c].resources.requests.cpu"]);
    let ssd = page.why(the_pod("ssd"));
    says(&ssd, &["→ ", "spec.nodeSelector wants disk=ssd", "has no such label"]);
    // The button does what the advice says.
    let steps = page.inspect(the_pod("ssd"), Tab::Why).why.unwrap();
    let offer = steps.iter().find_map(|s| s.offer.clone().filter(|o| o.label.starts_with("Label "))).expect("a button");
    page.act(offer.action);
    page.run(10);
    assert!(page.why(the_pod("ssd"))[0].starts_with("Running"), "{:?}", page.why(the_pod("ssd")));
    // And the chain goes back to the key that was pressed.
    let chain = page.why(the_pod("ssd"));
    says(&chain, &["Changed last: ", "kubelet/node-"]);
}

#[test]
fn cordoned_nodes_offer_to_be_uncordoned() {
    let mut page = Page::open();
    page.shell("kubectl cordon node-1; kubectl cordon node-2");
    page.run(3);
    page.apply(&pod("lost", "{containers: [{name: c, image: 'nginx:1.27'}]}"));
    page.run(5);
    let steps = page.inspect(the_pod("lost"), Tab::Why).why.unwrap();
    let offer = steps.iter().find_map(|s| s.offer.clone()).expect("a button");
    assert_eq!(offer.label, "Uncordon node-1");
    page.act(offer.action);
    page.run(8);
    assert!(page.why(the_pod("lost"))[0].starts_with("Running"));
}

#[test]
fn a_pod_that_is_not_ready_tells_its_probe() {
    let mut page = Page::open();
    let probe = "readinessProbe: {httpGet: {path: /nowhere, port: 80}, periodSeconds: 2}";
    page.apply(&pod("shy", &format!("{{containers: [{{name: web, image: 'nginx:1.27', {probe}}}]}}")));
    page.run(15);
    let steps = page.why(the_pod("shy"));
    says(&steps, &["Readiness probe failed: HTTP probe failed with statuscode: 404"]);
    says(&steps, &["→ ", "GET /nowhere on port 80", "spec.containers[web].readinessProbe"]);
}

#[test]
fn a_service_without_endpoints_names_the_label() {
    let mut page = Page::open();
    page.apply(&pod("web", "{containers: [{name: c, image: 'nginx:1.27'}]}"));
    page.apply("apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: {app: shop}, ports: [{port: 80}]}\n");
    page.run(8);
    let thing = Thing::core("services", "default", "shop");
    let steps = page.why(thing.clone());
    says(&steps, &["0 ready endpoints"]);
    says(&steps, &["Nearest is pod web: app is web, not shop"]);
    let offer = page.inspect(thing.clone(), Tab::Why).why.unwrap().into_iter().find_map(|s| s.offer).expect("a button");
    page.act(offer.action);
    page.run(5);
    says(&page.why(thing), &["1 ready endpoints"]);
}

#[test]
fn a_403_tells_the_missing_rule() {
    let mut page = Page::open();
    page.shell("kubectl create serviceaccount app; kubectl get pods --as=system:serviceaccount:default:app");
    page.run(5);
    let steps = page.why(Thing::core("serviceaccounts", "default", "app"));
    says(&steps, &["403", "cannot list resource \"pods\""]);
    says(&steps, &["No RoleBinding or ClusterRoleBinding names it"]);
    says(&steps, &["The rule that is missing: {apiGroups: [\"\"], resources: [pods], verbs: [list]}"]);
    says(&steps, &["→ ", "kubectl create role allow -n default --verb=list --resource=pods"]);
    // The same from the message that refused.
    let refused = page.inspect(Thing::core("serviceaccounts", "default", "app"), Tab::Why).why.unwrap();
    let message = refused.iter().find_map(|s| s.thing.clone().filter(|t| matches!(t, Thing::Message { .. }))).expect("a message");
    says(&page.why(message), &["The rule that is missing"]);
    // What is advised helps.
    let advice = steps.iter().find(|s| s.starts_with("→ kubectl create role")).unwrap().trim_start_matches("→ ").to_string();
    page.shell(&advice);
    page.run(3);
    page.shell("kubectl get pods --as=system:serviceaccount:default:app > ok.txt && kubectl create configmap worked");
    page.run(3);
    let api = page.session.bottle().unwrap().head().api().unwrap();
    assert!(api.object(apimachinery::resources::configmaps(), "default", "worked").is_some());
}

#[test]
fn a_crash_tells_what_was_said_last() {
    let mut page = Page::open();
    page.apply(&pod(
        "broken",
        "{containers: [{name: c, image: 'busybox:1.36', command: [sh, -c, 'echo no such database; exit 3']}]}",
    ));
    page.run(20);
    let steps = page.why(the_pod("broken"));
    says(&steps, &["Container c exited with 3 (Error)"]);
    says(&steps, &["It said last: no such database"]);
}

#[test]
fn an_image_that_cannot_be_pulled_names_the_field() {
    let mut page = Page::open();
    page.apply(&pod("typo", "{containers: [{name: c, image: 'nginx:does-not-exist'}]}"));
    page.run(20);
    let steps = page.why(the_pod("typo"));
    says(&steps, &["Container c waits: ", "ImagePull"]);
    says(&steps, &["→ ", "Correct the image nginx:does-not-exist in spec.containers[c].image"]);
}

#[test]
fn a_quota_that_is_used_up_is_named() {
    let mut page = Page::open();
    page.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: '1'}}\n");
    page.run(3);
    page.apply(WEB);
    page.run(20);
    let api = page.session.bottle().unwrap().head().api().unwrap();
    let set = api.objects(apimachinery::resources::replicasets(), "default").next().expect("a ReplicaSet").name().to_string();
    let steps = page.why(Thing::object("apps", "replicasets", "default", &set));
    says(&steps, &["ReplicaFailure=True", "exceeded quota: few"]);
    says(&steps, &["Quota few: pods 1 of 1"]);
    says(&steps, &["→ ", "Raise spec.hard of ResourceQuota few"]);
    // From the Deployment one is led there.
    let deployment = Thing::object("apps", "deployments", "default", "web");
    says(&page.why(deployment), &["Its ReplicaSet web-", "is not done"]);
}

#[test]
fn a_lost_node_tells_whose_doing_it_was_and_its_pods_follow() {
    let mut page = Page::open();
    page.apply(WEB);
    page.run(30);
    page.act(Action::PowerOff { machine: "node-1".into() });
    page.run(60);
    let node = Thing::core("nodes", "", "node-1");
    let steps = page.why(node.clone());
    says(&steps, &["Ready is Unknown"]);
    says(&steps, &["Its lease was renewed", "the node-lifecycle controller says Unknown"]);
    says(&steps, &["The machine is switched off"]);
    says(&steps, &["you switched node-1 off"]);
    says(&steps, &["Taint node.kubernetes.io/unreachable:NoExecute"]);
    let offer = page.inspect(node, Tab::Why).why.unwrap().into_iter().find_map(|s| s.offer).expect("a button");
    assert_eq!(offer.label, "Power on");
    page.run(330);
    let api = page.session.bottle().unwrap().head().api().unwrap();
    let pods = api.objects(apimachinery::resources::pods(), "default");
    let doomed = pods.into_iter().find(|p| p.is_being_deleted()).expect("evicted after five minutes").name().to_string();
    let steps = page.why(the_pod(&doomed));
    says(&steps, &["The taint-eviction controller deletes it"]);
    says(&steps, &["node-1 has", "node.kubernetes.io/unreachable:NoExecute"]);
    says(&steps, &["Its node node-1 is not Ready"]);
    says(&steps, &["→ ", "bring the node back, or delete by force"]);
}

#[test]
fn a_frozen_kubelet_and_a_cut_link_are_told_apart() {
    let mut page = Page::open();
    page.act(Action::Freeze { component: "kubelet/node-1".into() });
    page.act(Action::Cut { from: "kubelet/node-2".into(), to: "kube-apiserver".into() });
    page.run(60);
    let frozen = page.why(Thing::core("nodes", "", "node-1"));
    says(&frozen, &["Its kubelet is frozen"]);
    says(&frozen, &["you froze kubelet/node-1"]);
    let cut = page.why(Thing::core("nodes", "", "node-2"));
    says(&cut, &["the link is cut"]);
    says(&cut, &["you cut the link of kubelet/node-2 and kube-apiserver"]);
}

#[test]
fn a_held_scheduler_is_why_nothing_is_placed() {
    let mut page = Page::open();
    page.act(Action::HoldLoop { name: "kube-scheduler".into() });
    page.apply(&pod("waits", "{containers: [{name: c, image: 'nginx:1.27'}]}"));
    page.run(3);
    says(&page.why(the_pod("waits")), &["kube-scheduler has not tried it: you hold it"]);
    page.act(Action::ReleaseLoop { name: "kube-scheduler".into() });
    page.run(10);
    let chain = page.why(newest_pod(&page, "waits"));
    says(&chain, &["Changed last: ", "kubelet/node-"]);
    says(&chain, &["Before: ", "kube-scheduler", "/pods/waits/binding"]);
    says(&chain, &["Created: you · kubectl sent POST"]);
    says(&chain, &["You had kubectl apply"]);
}
