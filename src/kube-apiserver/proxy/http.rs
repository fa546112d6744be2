//! `proxy` subresources: HTTP through kube-apiserver to a pod, a Service or a node (`kubectl get --raw …/proxy/…`, `kubectl proxy`).
//! Models `registry/core/{pod,service,node}`'s `ResourceLocation` and `ProxyREST`.
//!
//! A node's own port is its kubelet's, which is asked as for logs; for all others the machine of this process opens a connection over
//! the cluster's network (as for aggregated servers), so that routes, policies and faults act on it. A Service's endpoint is chosen
//! here, as upstream does: its cluster IP plays no part.
//! Left out by name: TLS to the far end (spoken in clear), upgrades and other streams, links within HTML that are made to lead through
//! the proxy, `X-Forwarded-*` headers.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Gvr, Object, Request, Value};
use base::Seed;
use sim::Addr;

use crate::aggregated;
use crate::aggregator::connect_to;
use crate::call::Call;
use crate::server::ApiServer;

const KUBELET_PORT: &str = "10250";

impl ApiServer {
    /// Who is sent what for a `proxy` subresource.
    pub(super) fn proxied(&self, call: &Call, number: u64) -> Result<(Addr, Request), Status> {
        let resource = call.resource.gvr.resource.text();
        let kind = resource.strip_suffix('s').unwrap_or(&resource);
        let Some((scheme, name, port)) = scheme_name_port(&call.name) else {
            return Err(Status::bad_request(format!("invalid {kind} request {:?}", &*call.name)));
        };
        let mut sent = Request {
            verb: call.request.verb,
            path: rest(&call.request).into(),
            body: call.request.body.clone(),
            user_agent: call.request.user_agent.clone(),
            accept: call.request.accept.clone(),
            ..Request::default()
        };
        let target = match kind {
            "pod" => self.pod_address(call, name, port)?,
            "service" => self.endpoint_address(call, name, port, number)?,
            _ => {
                let node = self.named(call, name)?;
                if matches!(port, "" | KUBELET_PORT) {
                    let Some(&kubelet) = self.kubelets.get(name) else {
                        let text = format!("error trying to reach service: dial tcp: lookup {name}: no such host");
                        return Err(Status::service_unavailable(text));
                    };
                    sent.verb =
                        if sent.verb.method() == "GET" { apimachinery::Verb::GetPath } else { apimachinery::Verb::OtherPath };
                    sent.credential = super::as_kubelet_client();
                    return Ok((kubelet, sent));
                }
                join(node_address(&node).unwrap_or(name), port)
            }
        };
        let secure = scheme == "https" && port.is_empty();
        let target = if target.ends_with(':') { format!("{target}{}", if secure { "443" } else { "80" }) } else { target };
        if self.config.machine == Addr::OUTSIDE {
            let text = format!("error trying to reach service: dial tcp {target}: connect: no route to host");
            return Err(Status::service_unavailable(text));
        }
        sent.options.query.push((connect_to(), target.into()));
        Ok((self.config.machine, sent))
    }

    fn named(&self, call: &Call, name: &str) -> Result<Object, Status> {
        let found = self.peek(call.resource.gvr, &call.request.namespace, name);
        found.cloned().ok_or_else(|| Status::not_found(call.resource.gvr, name))
    }

    /// The pod's address with the port that is asked for, else with the first that its containers name (none: `ip:`).
    fn pod_address(&self, call: &Call, name: &str, port: &str) -> Result<String, Status> {
        let pod = self.named(call, name)?;
        let first = || {
            let containers = pod.list_at(&["spec", "containers"]).iter();
            containers.filter_map(|c| c.list_at(&["ports"]).first()?.int_at(&["containerPort"])).next()
        };
        let port = match port {
            "" => first().map_or_else(String::new, |p| p.to_string()),
            port => port.to_string(),
        };
        Ok(join(proxyable(pod.str_at(&["status", "podIP"]).unwrap_or(""))?, &port))
    }

    /// An endpoint of a Service behind the port that is asked for by number or name.
    fn endpoint_address(&self, call: &Call, name: &str, port: &str, number: u64) -> Result<String, Status> {
        let namespace = &call.request.namespace;
        let mut port: Rc<str> = port.into();
        if let Ok(wanted) = port.parse::<i64>() {
            let service = self.named(call, name)?;
            let found = service.list_at(&["spec", "ports"]).iter().find(|p| p.int_at(&["port"]) == Some(wanted));
            let Some(found) = found else {
                let text = format!("no service port {wanted} found for service {name:?}");
                return Err(Status::service_unavailable(text));
            };
            port = found.str_at(&["name"]).unwrap_or("").into();
        }
        let gvr = Gvr::new("", "v1", "endpoints");
        let endpoints = self.peek(gvr, namespace, name).ok_or_else(|| Status::not_found(gvr, name))?;
        let none = || Status::service_unavailable(format!("no endpoints available for service {name:?}"));
        let subsets = endpoints.list_at(&["subsets"]);
        let draw = Seed(number).derive("endpoint");
        let start = draw.below(0, subsets.len().max(1) as u64) as usize;
        for subset in subsets.iter().cycle().skip(start).take(subsets.len()) {
            let (addresses, ports) = (subset.list_at(&["addresses"]), subset.list_at(&["ports"]));
            let of_port = |p: &&Value| p.str_at(&["name"]).unwrap_or("") == &*port;
            if let (false, Some(found)) = (addresses.is_empty(), ports.iter().find(of_port)) {
                let address = &addresses[draw.below(1, addresses.len() as u64) as usize];
                let ip = proxyable(address.str_at(&["ip"]).unwrap_or(""))?;
                return Ok(join(ip, &found.int_at(&["port"]).unwrap_or(0).to_string()));
            }
        }
        Err(none())
    }
}

/// `[scheme:]name[:port]`. Models `utilnet.SplitSchemeNamePort`.
fn scheme_name_port(id: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = id.split(':').collect();
    let (scheme, name, port) = match parts[..] {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => return None,
    };
    let well = matches!(scheme, "" | "http" | "https") && !name.is_empty();
    well.then_some((scheme, name, port))
}

/// What the far end is asked for: the rest of the path, with the query.
fn rest(request: &Request) -> String {
    format!("/{}{}", request.options.query("\u{0}rest").unwrap_or(""), aggregated::query(request))
}

/// Models `proxyutil.IsProxyableIP`: nothing on this machine or link.
fn proxyable(ip: &str) -> Result<&str, Status> {
    let parsed = ip.parse::<std::net::IpAddr>();
    let allowed = parsed.is_ok_and(|ip| match ip {
        std::net::IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified()),
        std::net::IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_multicast() || v6.is_unspecified()),
    });
    if allowed { Ok(ip) } else { Err(Status::bad_request("address not allowed")) }
}

fn node_address(node: &Object) -> Option<&str> {
    let internal = |a: &&Value| a.str_at(&["type"]) == Some("InternalIP");
    node.list_at(&["status", "addresses"]).iter().find(internal)?.str_at(&["address"])
}

fn join(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_scheme_and_a_port() {
        assert_eq!(scheme_name_port("web"), Some(("", "web", "")));
        assert_eq!(scheme_name_port("web:80"), Some(("", "web", "80")));
        assert_eq!(scheme_name_port("https:web:"), Some(("https", "web", "")));
        assert_eq!(scheme_name_port("ftp:web:1"), None);
        assert_eq!(scheme_name_port(":80"), None);
        assert_eq!(scheme_name_port("a:b:c:d"), None);
    }

    #[test]
    fn a_path_keeps_its_query() {
        let gvr = apimachinery::resources::pods();
        let mut request = Request::get(gvr, &apimachinery::ObjectKey::new("default", "web"));
        request.options.query = vec![("\u{0}rest".into(), "a/b".into()), ("q".into(), "x y".into())];
        assert_eq!(rest(&request), "/a/b?q=x%20y");
        request.options.query.clear();
        assert_eq!(rest(&request), "/");
    }

    #[test]
    fn this_machine_is_no_target() {
        assert!(proxyable("10.244.1.2").is_ok());
        for ip in ["", "127.0.0.1", "169.254.169.254", "::1", "224.0.0.1"] {
            assert_eq!(proxyable(ip).unwrap_err().message, "address not allowed");
        }
    }
}
