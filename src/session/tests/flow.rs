//! The way of one pod, and what is found by name.

use super::*;

const TWO: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: first}\nspec:\n  selector: {app: second}\n  ports: [{port: 80}]\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: second, labels: {app: second}}\nspec:\n  containers: [{name: c, image: nginx}]\n";

#[test]
fn a_flow_begins_with_the_pods_own_document_and_its_arrows_are_short() {
    let mut page = Page::open();
    page.apply(TWO);
    page.run(5);
    page.show(Lens::PodCreation);
    let mut arrows: Vec<&protocol::SceneEdge> = page.scene.edges.values().filter(|e| e.id.starts_with("message/")).collect();
    arrows.sort_by(|a, b| a.start.y.total_cmp(&b.start.y));
    let labels: Vec<&str> = arrows.iter().map(|e| e.label[0].text.as_str()).collect();
    assert_eq!(labels[..2], ["GET pods", "Range pods/second"], "not with the Service before it: {labels:?}");
    // From the command to the running container, and on to the rules that lead to it.
    let way = [
        "POST pods",
        "put pods/second",
        "POST pods/binding",
        "POST serviceaccounts/token",
        "RunPodSandbox",
        "PullImage",
        "CreateContainer",
        "StartContainer",
        "PATCH pods/status",
    ];
    let mut at = 0;
    for label in way {
        let next = labels[at..].iter().position(|l| *l == label);
        at += next.unwrap_or_else(|| panic!("{label} does not come after {:?} of {labels:?}", &labels[..at]));
    }
    let proxy = page.scene.boxes["lifeline/kube-proxy"].rect.centre().x;
    let end = |e: &protocol::SceneEdge| match e.path[0] {
        protocol::Segment::Line(end) => end.x,
        protocol::Segment::Cubic(.., end) => end.x,
    };
    let told = |e: &protocol::SceneEdge| e.label[0].text.contains("endpointslice/first-") && (end(e) - proxy).abs() < 4.0;
    assert!(arrows.iter().any(|e| told(e)), "kube-proxy is told: {labels:?}");
    let stages: Vec<_> = page.scene.boxes.values().filter(|b| b.id.starts_with("stage/")).collect();
    assert!(stages.len() > 10 && stages.iter().all(|b| b.state == State::Ok), "nothing was refused on the way");
    // What is spoken says all of it.
    assert!(arrows.iter().any(|e| e.aria == "POST /api/v1/namespaces/default/pods/second/binding"));
    assert!(arrows.iter().all(|e| !e.aria.contains("/services")), "nothing of the other document");
}

#[test]
fn objects_are_found_by_words_of_their_names() {
    let mut page = Page::open();
    page.apply(TWO);
    page.run(5);
    let bottle = page.session.bottle_mut().expect("there is a cluster");
    let titles = |words: &str| crate::find::find(bottle.shown(), words).iter().map(Thing::title).collect::<Vec<_>>();
    assert_eq!(titles("open second"), ["pod/second"]);
    assert_eq!(titles("FIRST"), ["service/first"]);
    assert_eq!(titles("kube-scheduler"), ["pod/kube-scheduler-cp-1"]);
    assert_eq!(titles("pods coredns").len(), 2, "the kind may be said as well");
    assert_eq!(titles("open"), Vec::<String>::new());
    assert_eq!(titles("no such thing"), Vec::<String>::new());
    assert_eq!(titles("e").len(), 30, "not more than anybody reads");
}

#[test]
fn objects_of_ones_own_kinds_are_found_as_well() {
    let mut page = Page::open();
    page.apply(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {plural: widgets, singular: widget, kind: Widget}\n  versions:\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}\n  - {name: v1beta1, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}\n",
    );
    page.run(5);
    let gear = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: gear}\n";
    page.session.receive(ToWorker::Apply { id: 2, name: "gear.yaml".into(), text: gear.into(), dry_run: false });
    page.run(5);
    let bottle = page.session.bottle_mut().expect("there is a cluster");
    let found = crate::find::find(bottle.shown(), "gear");
    assert_eq!(found, [Thing::object("example.com", "widgets", "default", "gear")], "once, however many versions there are");
}
