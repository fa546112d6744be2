//! What the kernel says of its network: the answers to `ip`, `bridge fdb`, `iptables-save` and `ipset`, from the tables that
//! packets really go by.
//!
//! Left out by name: everything that changes something (`ip link set`, `iptables -A` …), other objects of `ip`, statistics.

mod iptables;
mod links;
mod policy;

use std::fmt::Write;
use std::net::IpAddr;

use apimachinery::{Request, Response, ResponseBody};
use cri_api::cri::Id;

use crate::Runtime;
use links::{Link, render_link};

/// Where programs ask.
pub(crate) const SOCKET: &str = "unix:///run/netlink";

/// What a command line of `ip` asks for.
#[derive(Default)]
struct Ip<'a> {
    /// IPv6 (or IPv4) only.
    family: Option<bool>,
    brief: bool,
    object: &'a str,
    words: Vec<&'a str>,
}

impl Runtime {
    pub(crate) fn netlink(&self, whose: Option<&Id>, request: &Request) -> Response {
        let text = request.options.query("args").unwrap_or("");
        let args: Vec<&str> = if text.is_empty() { Vec::new() } else { text.split('\n').collect() };
        let answer = match &*request.path {
            "/ip" => self.ip(whose, &args),
            "/bridge" => self.bridge(&args),
            "/iptables-save" => self.iptables_save(&args),
            "/iptables" => self.iptables(&args),
            "/ipset" => self.ipset(&args),
            path => Err(format!("{path} is not in this bottle\n")),
        };
        let (code, text) = match answer {
            Ok(text) => (200, text),
            Err(text) => (400, text),
        };
        Response { code, warnings: Vec::new(), body: ResponseBody::Text("text/plain".into(), text.into()) }
    }

    /// The addresses of a container's namespace; none: the node's own.
    fn namespace(&self, whose: Option<&Id>) -> Option<&[IpAddr]> {
        let sandbox = self.sandboxes.get(&self.containers.get(whose?)?.sandbox)?;
        (!sandbox.config.host_network).then_some(&sandbox.ips[..])
    }

    fn ip(&self, whose: Option<&Id>, args: &[&str]) -> Result<String, String> {
        let mut asked = Ip::default();
        for arg in args {
            match *arg {
                "-4" => asked.family = Some(false),
                "-6" => asked.family = Some(true),
                "-br" | "-brief" => asked.brief = true,
                "-d" | "-details" | "-s" | "-c" => {}
                option if option.starts_with('-') && asked.object.is_empty() => {
                    return Err(format!("Option \"{option}\" is not in this bottle, try \"ip -help\".\n"));
                }
                object if asked.object.is_empty() => asked.object = object,
                "show" | "list" | "ls" | "s" if asked.words.is_empty() => {}
                word => asked.words.push(word),
            }
        }
        let is = |full: &str| !asked.object.is_empty() && full.starts_with(asked.object);
        let device = match asked.words.as_slice() {
            ["dev", name] | [name] => Some(*name),
            _ => None,
        };
        let pod = self.namespace(whose);
        match () {
            () if is("address") || is("addr") => self.show_links(pod, &asked, device, true),
            () if is("link") => self.show_links(pod, &asked, device, false),
            () if is("route") => self.show_routes(pod, &asked),
            () if is("neighbour") || is("neighbor") => Ok(self.neighbours(pod)),
            () if asked.object.is_empty() => {
                Err("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\nwhere  OBJECT := { address | link | neigh | route }\n"
                    .into())
            }
            () => Err(format!("Object \"{}\" is not in this bottle, try \"ip help\".\n", asked.object)),
        }
    }

    fn show_links(
        &self,
        pod: Option<&[IpAddr]>,
        asked: &Ip<'_>,
        device: Option<&str>,
        addresses: bool,
    ) -> Result<String, String> {
        if let (Some(first), None) = (asked.words.first(), device) {
            return Err(format!("\"{first}\" is not in this bottle: ip shows, it changes nothing\n"));
        }
        let links: Vec<Link> = match pod {
            Some(ips) => self.pod_links(ips),
            None => self.node_links(),
        };
        let mut text = String::new();
        for link in links.iter().filter(|l| device.is_none_or(|d| d == l.name)) {
            render_link(&mut text, link, asked.brief, addresses, asked.family, pod.is_none());
        }
        match (text.is_empty(), device) {
            (true, Some(device)) => Err(format!("Device \"{device}\" does not exist.\n")),
            _ => Ok(text),
        }
    }

    fn show_routes(&self, pod: Option<&[IpAddr]>, asked: &Ip<'_>) -> Result<String, String> {
        if let ["get", to] = asked.words.as_slice() {
            return self.route_get(pod, to);
        }
        if let Some(first) = asked.words.first().filter(|w| !matches!(**w, "dev" | "table" | "all" | "main")) {
            return Err(format!("\"{first}\" is not in this bottle: ip shows, it changes nothing\n"));
        }
        let v6 = asked.family == Some(true);
        let lines = match pod {
            Some(ips) => self.pod_routes(ips, v6),
            None => self.node_routes(v6),
        };
        let device = match asked.words.as_slice() {
            ["dev", name] => Some(format!("dev {name}")),
            _ => None,
        };
        let wanted = |line: &&String| device.as_ref().is_none_or(|d| line.contains(d.as_str()));
        Ok(lines.iter().filter(wanted).map(|line| format!("{line}\n")).collect())
    }

    fn route_get(&self, pod: Option<&[IpAddr]>, to: &str) -> Result<String, String> {
        let to: IpAddr = to.parse().map_err(|_| format!("Error: any valid prefix is expected rather than \"{to}\".\n"))?;
        let me = pod.and_then(|ips| ips.iter().find(|ip| ip.is_ipv4() == to.is_ipv4()).copied());
        let unreachable = || "RTNETLINK answers: Network is unreachable\n".to_string();
        if let Some(ips) = pod {
            let src = me.ok_or_else(unreachable)?;
            if ips.contains(&to) {
                return Ok(format!("local {to} dev lo src {to} uid 0\n    cache <local>\n"));
            }
            let gateway = self.gateway_of(src).ok_or_else(unreachable)?;
            return Ok(format!("{to} via {gateway} dev eth0 src {src} uid 0\n    cache\n"));
        }
        let src = self.network.node_address(to);
        if self.network.is_node(to) {
            return Ok(format!("local {to} dev lo src {to} uid 0\n    cache <local>\n"));
        }
        if self.network.pod_at(to).is_some() {
            return Ok(format!("{to} dev {} src {src} uid 0\n    cache\n", self.device_of(to)));
        }
        match self.network.route(to).ok_or_else(unreachable)? {
            (hop, Some(_)) if self.network.plugin() == "flannel" => {
                Ok(format!("{to} via {} dev flannel.1 src {src} uid 0\n    cache\n", self.far_flannel(to).unwrap_or(hop)))
            }
            (hop, Some(_)) => Ok(format!("{to} via {hop} dev eth0 src {src} uid 0\n    cache\n")),
            (_, None) => Ok(format!("{to} dev eth0 src {src} uid 0\n    cache\n")),
        }
    }

    /// `bridge fdb`, `bridge link`.
    fn bridge(&self, args: &[&str]) -> Result<String, String> {
        let (object, rest) = args.split_first().ok_or("Usage: bridge { fdb | link } show [ dev DEV ]\n")?;
        let device = match rest {
            [] | ["show"] => None,
            ["show", "dev" | "br", name] | ["dev", name] => Some(*name),
            _ => return Err("bridge shows (fdb, link), it changes nothing in this bottle\n".into()),
        };
        let mut text = String::new();
        match *object {
            "fdb" => {
                for (mac, dev, rest) in self.forwarding() {
                    if device.is_none_or(|d| d == dev || rest.contains(d)) {
                        let _ = writeln!(text, "{mac} dev {dev} {rest}");
                    }
                }
            }
            "link" => {
                for link in self.node_links().iter().filter(|l| l.master.is_some()) {
                    let master = link.master.as_deref().unwrap_or("");
                    let _ = writeln!(
                        text,
                        "{}: {}{}: <{}> mtu {} master {master} state forwarding priority 32 cost 2 ",
                        link.index, link.name, link.peer, link.flags, link.mtu
                    );
                }
            }
            other => return Err(format!("Object \"{other}\" is not in this bottle, try \"bridge fdb\" or \"bridge link\".\n")),
        }
        Ok(text)
    }
}
