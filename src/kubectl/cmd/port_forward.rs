//! `kubectl port-forward`. Models `kubectl/pkg/cmd/portforward` and `client-go/tools/portforward`: a local port per pair, and for each
//! connection to it a stream to the pod. Left out: IPv6's loopback address, to which the real one listens as well.

use std::net::{IpAddr, Ipv4Addr};

use apimachinery::{Object, Request};

use super::exec::named_and_pod_of;
use crate::ctx::{Ctx, Event, Next, Res, fail, then};
use crate::error::Error;

/// A local port and the container's behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair {
    local: u16,
    remote: u16,
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let Some((target, ports)) = flags.args.split_first().filter(|(_, ports)| !ports.is_empty()) else {
        let text = "TYPE/NAME and list of ports are required for port-forward";
        return Err(Error::Usage(text.into(), "kubectl port-forward".into()).into());
    };
    let addresses = flags.list("address").iter().map(|a| address(a)).collect::<Result<Vec<_>, _>>().or_else(fail)?;
    let (named, pod) = named_and_pod_of(ctx, target)?;
    let pairs = ports.iter().map(|p| pair(p, &named, &pod)).collect::<Result<Vec<_>, _>>().or_else(fail)?;
    if pod.str_at(&["status", "phase"]) != Some("Running") {
        let phase = pod.str_at(&["status", "phase"]).unwrap_or("Unknown");
        return fail(format!("unable to forward port because pod is not running. Current status={phase}"));
    }
    let mut open = Vec::new();
    for Pair { local, remote } in &pairs {
        let mut errors = Vec::new();
        let before = open.len();
        for ip in &addresses {
            let mut request = Request::get(apimachinery::resources::pods(), &pod.key()).with_subresource("portforward");
            request.options.query = vec![("ports".into(), remote.to_string().into())];
            match ctx.forward(*ip, *local, request)? {
                (id, Ok(port)) => {
                    ctx.println(format!("Forwarding from {}:{port} -> {remote}", shown(*ip)));
                    open.push((id, port, *remote));
                }
                (_, Err(text)) => errors.push(format!("unable to create listener: Error listen tcp4 {ip}:{local}: {text}")),
            }
        }
        if open.len() == before {
            let errors = errors.join(" ");
            ctx.eprintln(format!(
                "Unable to listen on port {local}: Listeners failed to create with the following errors: [{errors}]"
            ));
        }
    }
    if open.is_empty() {
        let asked: Vec<String> = pairs.iter().map(|p| format!("{{{} {}}}", p.local, p.remote)).collect();
        return fail(format!("unable to listen on any of the requested ports: [{}]", asked.join(" ")));
    }
    serve(open, pod.name().into())
}

/// One event a stage, until somebody ends it.
fn serve(open: Vec<(u32, u16, u16)>, pod: String) -> Res<Next> {
    then(move |ctx| {
        let (id, event) = ctx.next_event()?;
        let Some((_, local, remote)) = open.iter().find(|(i, ..)| *i == id) else { return serve(open.clone(), pod.clone()) };
        match event {
            Event::Accepted => ctx.println(format!("Handling connection for {local}")),
            Event::ForwardFailed(text) => {
                ctx.eprintln(format!(
                    "an error occurred forwarding {local} -> {remote}: error forwarding port {remote} to pod {pod}: {text}"
                ));
                return fail("lost connection to pod");
            }
            _ => {}
        }
        serve(open.clone(), pod.clone())
    })
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        other => other.parse().map_err(|_| format!("{other} is not a valid IP")),
    }
}

fn shown(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// `8080:80`, `80`, `:80`, `8080:http`; of a Service the right side is a port of its own, which leads to a container's.
fn pair(text: &str, named: &Object, pod: &Object) -> Result<Pair, String> {
    let (local, remote) = match text.split(':').collect::<Vec<_>>()[..] {
        [both] => (both, both),
        ["", remote] => ("0", remote),
        [local, remote] => (local, remote),
        _ => return Err(format!("invalid port format '{text}'")),
    };
    let number = |what: &str, text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("error parsing {what} port '{text}': strconv.ParseUint: parsing \"{text}\": invalid syntax"))
    };
    let (asked, behind) = if named.kind() == "Service" {
        let port = service_port(named, remote)?;
        (port, behind_service(named, port, pod)?)
    } else {
        let port = remote.parse().or_else(|_| container_port(pod, remote))?;
        (port, port)
    };
    if behind == 0 {
        return Err("remote port must be > 0".into());
    }
    // A name for both sides stands for the number.
    let local = if local == remote { asked } else { number("local", local)? };
    Ok(Pair { local, remote: behind })
}

fn service_port(service: &Object, text: &str) -> Result<u16, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let ports = service.list_at(&["spec", "ports"]);
    let found = ports.iter().find(|p| p.str_at(&["name"]) == Some(text)).and_then(|p| p.int_at(&["port"]));
    found.map(|p| p as u16).ok_or_else(|| format!("Service '{}' does not have a named port '{text}'", service.name()))
}

/// Models `LookupContainerPortNumberByServicePort`.
fn behind_service(service: &Object, port: u16, pod: &Object) -> Result<u16, String> {
    let ports = service.list_at(&["spec", "ports"]);
    let Some(found) = ports.iter().find(|p| p.int_at(&["port"]) == Some(i64::from(port))) else {
        return Err(format!("Service {} does not have a service port {port}", service.name()));
    };
    if service.str_at(&["spec", "clusterIP"]) == Some("None") {
        return Ok(port);
    }
    match found.str_at(&["targetPort"]) {
        Some(name) => container_port(pod, name),
        None => Ok(found.int_at(&["targetPort"]).filter(|n| *n > 0).map_or(port, |n| n as u16)),
    }
}

fn container_port(pod: &Object, name: &str) -> Result<u16, String> {
    let containers = pod.list_at(&["spec", "containers"]);
    let mut ports = containers.iter().flat_map(|c| c.list_at(&["ports"]));
    let found = ports.find(|p| p.str_at(&["name"]) == Some(name)).and_then(|p| p.int_at(&["containerPort"]));
    found.map(|p| p as u16).ok_or_else(|| format!("Pod '{}' does not have a named port '{name}'", pod.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn object(value: apimachinery::Value) -> Object {
        Object::from_value(value).unwrap()
    }

    #[test]
    fn pairs_of_ports_are_read_as_people_write_them() {
        let pod = object(value!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]}}));
        let of = |text: &str| pair(text, &pod, &pod).map(|p| (p.local, p.remote));
        assert_eq!(of("80"), Ok((80, 80)));
        assert_eq!(of("5000:80"), Ok((5000, 80)));
        assert_eq!(of(":80"), Ok((0, 80)));
        assert_eq!(of("http"), Ok((8080, 8080)));
        assert_eq!(of("5000:http"), Ok((5000, 8080)));
        assert_eq!(of("1:2:3"), Err("invalid port format '1:2:3'".into()));
        assert_eq!(of("x:80"), Err("error parsing local port 'x': strconv.ParseUint: parsing \"x\": invalid syntax".into()));
        assert_eq!(of("80:nope"), Err("Pod 'p' does not have a named port 'nope'".into()));
        assert_eq!(of("80:0"), Err("remote port must be > 0".into()));
    }

    #[test]
    fn a_services_port_leads_to_the_containers() {
        let pod = object(value!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]}}));
        let service = object(value!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"}, "spec": {"ports": [
            {"name": "plain", "port": 80, "targetPort": "http"}, {"name": "other", "port": 81, "targetPort": 9376}]}}));
        let of = |text: &str| pair(text, &service, &pod).map(|p| (p.local, p.remote));
        assert_eq!(of("80"), Ok((80, 8080)));
        assert_eq!(of("7000:81"), Ok((7000, 9376)));
        assert_eq!(of("7000:plain"), Ok((7000, 8080)));
        assert_eq!(of("82"), Err("Service web does not have a service port 82".into()));
        assert_eq!(of("tls"), Err("Service 'web' does not have a named port 'tls'".into()));
    }
}
