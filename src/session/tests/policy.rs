//! NetworkPolicies in the Service network lens: the request that one stopped, and the one that another let pass.

use super::*;

const CLOSED: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed}\nspec:\n  podSelector: {matchLabels: {app: MyApp}}\n";
const OPEN: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open}\nspec:\n  podSelector: {matchLabels: {app: MyApp}}\n  ingress:\n  - ports: [{port: 80}]\n";

fn last_hop(page: &mut Page) -> String {
    let client = Thing::core("pods", "default", "client");
    page.act(Action::Request { from: Some(client), url: "http://my-service.default:80/".into() });
    page.run(4);
    page.words_of("hop/4")
}

#[test]
fn a_policy_stops_a_request_and_another_lets_it_pass() {
    let mut page = Page::open_config(Config::Yaml("cni: calico".into()));
    page.apply(WEB);
    page.run(60);
    page.show(Lens::ServiceNetwork);
    page.apply(CLOSED);
    page.run(10);
    let dropped = last_hop(&mut page);
    assert!(dropped.contains("is isolated by closed: no rule admits 10.244."), "{dropped} {:?}", page.notices);
    assert!(page.words_of("networkpolicy/default/closed").contains("calico enforces it"));
    page.apply(OPEN);
    page.run(10);
    let passed = last_hop(&mut page);
    assert!(passed.contains("NetworkPolicy open let it in"), "{passed}");
}

#[test]
fn flannel_says_that_it_enforces_nothing() {
    let mut page = Page::open();
    page.apply(WEB);
    page.run(60);
    page.show(Lens::ServiceNetwork);
    page.apply(CLOSED);
    page.run(10);
    // Said where the policy is seen, before a request shows it.
    let policy = page.words_of("networkpolicy/default/closed");
    assert!(policy.contains("flannel does not enforce it"), "{policy}");
    page.keep("service-policy");
    let passed = last_hop(&mut page);
    assert!(
        passed.contains("closed selects it, but this network plugin does not enforce policies"),
        "{passed} {:?}",
        page.notices
    );
    assert!(page.words_of("hop/3").contains("in VXLAN by flannel.1") || page.words_of("hop/3").contains("on the same node"));
}

const PODS: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: pods}\nspec:\n  clusterIP: None\n  selector: {app: MyApp}\n  ports: [{port: 80}]\n";
const NOBODY: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: nobody}\nspec:\n  selector: {app: nobody}\n  ports: [{port: 80}]\n";

#[test]
fn headless_and_empty_services_have_their_last_request_too() {
    let mut page = Page::open();
    page.apply(WEB);
    page.run(60);
    for (text, name) in [(PODS, "pods"), (NOBODY, "nobody")] {
        page.apply(text);
        page.run(10);
        // The newest Service is the one that is drawn.
        page.show(Lens::ServiceNetwork);
        let client = Thing::core("pods", "default", "client");
        page.act(Action::Request { from: Some(client), url: format!("http://{name}.default:80/") });
        page.run(4);
        let hops: Vec<String> = (2..5).map(|i| page.words_of(&format!("hop/{i}"))).collect();
        let wanted = match name {
            "pods" => ["the pod's own: nothing is rewritten on the way", "the Service is headless", "accepts 10.244."],
            _ => ["kube-proxy's rules on node-", "no endpoint to choose", "refused: default/nobody has no endpoints"],
        };
        assert!(hops.iter().zip(wanted).all(|(hop, wanted)| hop.contains(wanted)), "{hops:#?} {:?}", page.notices);
    }
}
