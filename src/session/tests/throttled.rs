//! A client that floods kube-apiserver is named where a visitor looks: in the component's panel, at the pod, by *why*.

use protocol::{Section, SectionBody};

use super::*;

const NARROW: &str = "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: PriorityLevelConfiguration\nmetadata: {name: narrow}\nspec:\n  type: Limited\n  limited:\n    nominalConcurrencyShares: 1\n    borrowingLimitPercent: 0\n    limitResponse: {type: Queue, queuing: {queues: 1, handSize: 1, queueLengthLimit: 2}}\n---\napiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: FlowSchema\nmetadata: {name: eager}\nspec:\n  priorityLevelConfiguration: {name: narrow}\n  matchingPrecedence: 500\n  rules:\n  - subjects:\n    - {kind: ServiceAccount, serviceAccount: {name: default, namespace: default}}\n    resourceRules:\n    - {verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true}\n    nonResourceRules:\n    - {verbs: ['*'], nonResourceURLs: ['*']}\n";
const EAGER: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: eager}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects:\n- {kind: ServiceAccount, name: default}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: eager}\nspec:\n  containers:\n  - name: loop\n    image: bitnami/kubectl\n    command: [sh, -c, 'for i in $(seq 10); do n=0; while true; do n=$((n + 1)); kubectl annotate configmap a --overwrite writer-$i=$n >/dev/null 2>&1; done & done; wait']\n";

fn words(spans: &[protocol::Span]) -> String {
    spans.iter().map(|s| s.text.as_str()).collect()
}

fn section<'a>(inspector: &'a protocol::Inspector, title: &str) -> &'a Section {
    let titles: Vec<&str> = inspector.sections.iter().map(|s| s.title.as_str()).collect();
    inspector.sections.iter().find(|s| s.title == title).unwrap_or_else(|| panic!("{title} is not among {titles:?}"))
}

#[test]
fn who_floods_is_named() {
    let mut page = Page::open();
    page.apply(NARROW);
    page.run(3);
    page.apply(EAGER);
    page.run(8);
    let panel = page.inspect(Thing::component("kube-apiserver"), Tab::Overview);
    let SectionBody::Bars(bars) = &section(&panel, "Priority and fairness").body else { panic!("no bars") };
    let narrow = bars.iter().find(|b| b.label == "narrow").expect("the level is shown");
    assert!(narrow.value.contains(" of 3 in use") && narrow.value.contains("got 429"), "{}", narrow.value);
    let SectionBody::Lines(lines) = &section(&panel, "Throttled").body else { panic!("no lines") };
    let line = &lines[0];
    assert!(words(&line.text).starts_with("system:serviceaccount:default:default asks "), "{}", words(&line.text));
    assert!(words(&line.outcome).contains("got 429"), "{}", words(&line.outcome));
    assert_eq!(line.thing, Some(Thing::core("pods", "default", "eager")));
    let why = page.why(Thing::core("pods", "default", "eager"));
    assert!(why.iter().any(|s| s.contains("Throttled: it asks kube-apiserver") && s.contains("narrow")), "{why:?}");
    // And the answer itself.
    let bottle = page.session.bottle().unwrap();
    let refused = bottle.trace().newest().find(|r| match &r.message.payload {
        sim::Payload::ApiResponse { response, .. } => response.code == 429,
        _ => false,
    });
    let id = refused.expect("one was refused").message.id.0;
    let why = page.why(Thing::Message { id });
    let all = why.join("\n");
    assert!(all.contains("429") && all.contains("fall to FlowSchema eager") && all.contains("all 3 seats were taken"), "{all}");
}
