//! The cloud in the picture, and machines that are no nodes: what is drawn of them, and what the buttons do.

use super::*;

const BALANCED: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: front}\nspec:\n  type: LoadBalancer\n  selector: {app: MyApp}\n  ports: [{port: 80}]\n";

#[test]
fn the_cloud_is_a_box_and_its_controller_calls_it() {
    let mut page = Page::open_with("cloud");
    page.run(30);
    for lens in [Lens::Architecture, Lens::Components, Lens::ControlPlane] {
        page.show(lens);
        assert!(page.words_of("cloud").contains("3 machines, 0 load balancers"), "{lens:?}");
        let edge = &page.scene.edges["cloud-controller-manager>cloud"];
        assert!(edge.aria.contains("has a connection to cloud"), "{lens:?}: {}", edge.aria);
        assert!(page.scene.edges.contains_key("cloud-controller-manager>kube-apiserver"), "{lens:?}");
    }
    assert!(page.scene.boxes["cloud-controller-manager"].crown, "it holds its lease");
    page.keep("cloud-control-plane");
    assert!(page.words_of("cloud/machine/node-1").contains("bottle-1b · running"));
    page.apply(BALANCED);
    page.run(6);
    assert!(page.words_of("cloud/balancer/172.18.255.1").contains("default/front → 2 machines"));
    page.show(Lens::Components);
    let asked = &page.scene.edges["cloud-controller-manager>cloud"].aria;
    assert!(asked.contains("put "), "a load balancer is asked for: {asked}");
    page.keep("cloud-components");
    page.show(Lens::Architecture);
    page.keep("cloud-architecture");
    // A request from outside goes to the load balancer, and from there to a node port.
    page.apply(WEB);
    page.run(60);
    page.shell("curl -s http://172.18.255.1");
    page.run(3);
    page.session.receive(ToWorker::Show(View {
        lens: Lens::ServiceNetwork,
        width: 1090.0,
        height: 510.0,
        compact: false,
        options: ViewOptions { chosen: Some(Thing::core("services", "default", "front")), ..ViewOptions::default() },
    }));
    page.ticks(2);
    let (first, address) = (page.words_of("hop/0"), page.words_of("hop/2"));
    assert!(first.contains("laptop connects to 172.18.255.1:80"), "{first}");
    assert!(address.contains("the cloud's load balancer sends it to 172.18.0."), "{address}");
    assert_eq!(page.scene.boxes["service/default/front/lb"].state, State::Active);
    page.keep("cloud-service");
    let cloud = page.inspect(Thing::component("cloud"), Tab::Overview);
    let labels: Vec<&str> = cloud.overview.iter().flatten().map(|r| r.label.as_str()).collect();
    assert!(labels.contains(&"node-2") && labels.contains(&"172.18.255.1"), "{labels:?}");
    // A machine that loses its power is stopped, as the cloud says at once.
    page.act(Action::PowerOff { machine: "node-1".into() });
    page.show(Lens::ControlPlane);
    assert!(page.words_of("cloud/machine/node-1").contains("stopped"));
}

#[test]
fn without_a_cloud_there_is_no_cloud() {
    let mut page = Page::open();
    for lens in [Lens::Architecture, Lens::Components, Lens::ControlPlane] {
        page.show(lens);
        assert!(!page.scene.boxes.keys().any(|id| id.starts_with("cloud")), "{lens:?}");
    }
}

#[test]
fn a_blank_machine_is_no_node_until_it_joins() {
    let mut page = Page::open();
    page.act(Action::AddMachine);
    page.run(30);
    page.show(Lens::Architecture);
    let words = page.words_of("node/node-3");
    assert!(words.contains("blank, waits for kubeadm join"), "{words}");
    assert_eq!(page.scene.boxes["node/node-3"].state, State::Pending);
    assert!(!page.scene.edges.contains_key("kubelet/node-3>kube-apiserver"), "it has no connection to anybody");
    page.keep("blank-machine");
    let machine = page.inspect(Thing::core("nodes", "", "node-3"), Tab::Overview);
    assert!(!machine.gone, "the machine is there, its Node is not");
    let join = machine.offers.iter().find(|o| o.label == "kubeadm join").expect("it can join").clone();
    assert_eq!(join.hint, "ssh node-3 $(ssh cp-1 kubeadm token create --print-join-command)");
    page.act(join.action);
    let bottle = page.session.bottle().expect("there is a cluster");
    let mark = crate::timeline::timeline(bottle).marks.pop().expect("it is marked").label;
    assert_eq!(mark, join.hint, "the timeline says what was typed");
    page.run(60);
    let words = page.words_of("node/node-3");
    assert!(words.contains("Ready"), "{words} {:?}", page.notices);
    let node = page.inspect(Thing::core("nodes", "", "node-3"), Tab::Overview);
    assert!(!node.offers.iter().any(|o| o.label == "kubeadm join"), "it is a node already");
}

#[test]
fn what_goes_to_the_cloud_is_told_by_its_addressee() {
    let cluster = cluster::Cluster::new(cluster::Config::named("cloud").expect("it is a configuration"));
    let cloud = cluster.cloud().expect("machines are rented");
    let mut request = apimachinery::Request { path: "/machines".into(), ..apimachinery::Request::default() };
    let method = |to, request: &apimachinery::Request| crate::cloud::method(&cluster, to, request).map(str::to_string);
    assert_eq!(method(cloud, &request).as_deref(), Some("GET"));
    request.options.query = vec![("method".into(), "PUT".into())];
    assert_eq!(method(cloud, &request).as_deref(), Some("PUT"));
    // `kubectl get --raw /machines` asks kube-apiserver, whatever the path says.
    assert_eq!(method(cluster.apiserver, &request), None);
}
