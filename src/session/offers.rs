//! Buttons of the inspector that depend on what the lens shows: requests to a Service, its endpoints' labels, machines and manifests.

use apimachinery::{Object, resources};
use cluster::Cluster;
use protocol::{Action, Offer, Thing};

use crate::api;

pub(crate) fn offer(action: Action, label: &str, hint: &str, danger: bool) -> Offer {
    Offer { action, label: label.into(), hint: hint.into(), danger, disabled: None }
}

/// Offers of the Service network lens for a thing: `service` is the Service that is drawn.
pub(crate) fn of_service_lens(cluster: &Cluster, service: &Thing, thing: &Thing) -> Vec<Offer> {
    let Thing::Object { namespace, name, .. } = service else { return Vec::new() };
    let Some(service) = api::get(cluster, resources::services(), namespace, name) else { return Vec::new() };
    match thing {
        Thing::Object { resource, namespace, name, .. } if resource == "pods" => {
            let pod = api::get(cluster, resources::pods(), namespace, name);
            pod.map(|pod| of_pod(&service, &pod, thing)).unwrap_or_default()
        }
        Thing::Object { resource, name, .. } if resource == "services" && name == service.name() => of_service(cluster, &service),
        Thing::Component { name } if name == "laptop" => vec![from_laptop(cluster, &service)],
        _ => Vec::new(),
    }
}

/// `http://my-service.default:80/`
fn url(service: &Object) -> Option<String> {
    let tcp = |p: &&apimachinery::Value| p.str_at(&["protocol"]).unwrap_or("TCP") == "TCP";
    let port = service.list_at(&["spec", "ports"]).iter().find(tcp)?.int_at(&["port"])?;
    Some(format!("http://{}.{}:{port}/", service.name(), service.namespace()))
}

fn request(service: &Object, from: &Thing, ready: bool) -> Option<Offer> {
    let url = url(service)?;
    let hint = format!("kubectl exec {} -- wget {url}", from.title().replace("pod/", ""));
    let mut offer = offer(Action::Request { from: Some(from.clone()), url }, "Send a request", &hint, false);
    offer.disabled = (!ready).then(|| "The pod is not Ready".to_string());
    Some(offer)
}

fn of_pod(service: &Object, pod: &Object, thing: &Thing) -> Vec<Offer> {
    let system = pod.namespace().starts_with("kube-");
    let mut offers: Vec<Offer> =
        request(service, thing, pod.condition_is_true("Ready")).into_iter().filter(|_| !system).collect();
    let selector = service.map_at(&["spec", "selector"]).into_iter().flatten();
    if pod.namespace() != service.namespace() {
        return offers;
    }
    let pairs: Vec<(String, String)> = selector.map(|(k, v)| (k.to_string(), v.as_str().unwrap_or("").to_string())).collect();
    let missing = pairs.iter().find(|(k, v)| pod.label(k) != Some(v));
    let name = service.name();
    let label = |key: &str, value: String| Action::Label { thing: thing.clone(), key: key.into(), value: Some(value) };
    match (missing, pairs.first()) {
        (Some((k, v)), _) => {
            let hint = format!("kubectl label pod {} {k}={v} --overwrite", pod.name());
            offers.push(offer(label(k, v.clone()), &format!("Label it into {name}"), &hint, false));
        }
        (None, Some((k, v))) => {
            let hint = format!("kubectl label pod {} {k}={v}-out --overwrite: the endpoint leaves", pod.name());
            offers.push(offer(label(k, format!("{v}-out")), &format!("Label it out of {name}"), &hint, true));
        }
        _ => {}
    }
    offers
}

/// From a client's pod, if there is one, else from one of the Service's own.
fn of_service(cluster: &Cluster, service: &Object) -> Vec<Offer> {
    let pods = api::list(cluster, resources::pods(), "");
    let usable = pods.iter().filter(|p| !p.namespace().starts_with("kube-") && p.condition_is_true("Ready"));
    let from = usable.min_by_key(|p| (p.name() != "client", p.namespace() != service.namespace(), p.name().to_string()));
    let mut offers = Vec::new();
    if let Some(pod) = from {
        let thing = Thing::core("pods", pod.namespace(), pod.name());
        offers.extend(request(service, &thing, true));
    }
    if !pods.iter().any(|p| p.name() == "client" && p.namespace() == "default") {
        let hint = "kubectl run client --image=busybox:1.36 -- sleep 1d";
        offers.push(offer(Action::RunClient, "Run a client pod", hint, false));
    }
    offers
}

/// Outside only node ports can be reached.
fn from_laptop(cluster: &Cluster, service: &Object) -> Offer {
    let port = service.list_at(&["spec", "ports"]).iter().find_map(|p| p.int_at(&["nodePort"]).filter(|p| *p > 0));
    let node = cluster.nodes.values().find(|n| n.powered && !n.config.control_plane).or(cluster.nodes.values().next());
    let url = match (port, node) {
        (Some(port), Some(node)) => format!("http://{}:{port}/", node.config.ip),
        _ => String::new(),
    };
    let mut offer = offer(Action::Request { from: None, url: url.clone() }, "Send a request", &format!("curl {url}"), false);
    offer.disabled =
        url.is_empty().then(|| "Outside nobody has a route to a ClusterIP: make it a NodePort (spec.type)".to_string());
    offer
}

/// A machine that is no node.
pub(crate) fn blank_machine() -> Offer {
    let hint = "A blank machine: containerd and the kubelet's program are on it, and it is no node until kubeadm join";
    offer(Action::AddMachine, "+ machine", hint, false)
}

/// What makes a worker of a blank machine, as typed on the laptop.
pub(crate) fn join_line(plane: &str, machine: &str) -> String {
    format!("ssh {machine} $(ssh {plane} kubeadm token create --print-join-command)")
}

/// Makes a worker of a blank machine.
pub(crate) fn of_blank(cluster: &Cluster, machine: &str) -> Offer {
    let (plane, _) = crate::observe::control_plane(cluster);
    let mut offer = offer(Action::Join { machine: machine.into() }, "kubeadm join", &join_line(&plane, machine), false);
    offer.disabled = plane.is_empty().then(|| "There is no machine of a control plane to make a token on".to_string());
    offer
}

/// Cut a machine off, or plug it in again.
pub(crate) fn of_machine(cluster: &Cluster, name: &str) -> Option<Offer> {
    let runtime = cluster.nodes.get(name)?.runtime?;
    let machine = name.to_string();
    Some(match cluster.queue.faults.cut.contains(&(runtime, cluster.laptop)) {
        true => offer(Action::Rejoin { machine }, "Plug in", "Packets to and from it pass again", false),
        false => {
            offer(Action::Isolate { machine }, "Cut off", "No packet to or from any other machine; what runs on it goes on", true)
        }
    })
}

/// Where the manifest of a static pod is, and where a stopped one lies.
pub(crate) fn manifest_paths(component: &str) -> (String, String) {
    (format!("/etc/kubernetes/manifests/{component}.yaml"), format!("/etc/kubernetes/{component}.yaml"))
}

/// Stop a static pod by its manifest, or start it again.
pub(crate) fn of_static_pod(cluster: &Cluster, proc: &cluster::Proc) -> Option<Offer> {
    let machine = cluster.machine(&proc.machine)?;
    let (here, away) = manifest_paths(proc.component());
    let component = proc.name.to_string();
    if machine.has_host_file(&here) {
        let hint = format!("mv {here} /etc/kubernetes/: its kubelet stops it, and it stays stopped");
        return Some(offer(Action::Stop { component }, "Stop", &hint, true));
    }
    let hint = format!("mv {away} /etc/kubernetes/manifests/: its kubelet starts it");
    machine.has_host_file(&away).then(|| offer(Action::Start { component }, "Start", &hint, false))
}
