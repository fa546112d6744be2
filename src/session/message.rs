//! Messages in words: what a trace's record is called, which boxes it goes between, what kind of dot it is.

use cluster::{Cluster, Record};
use cri_api::cri;
use protocol::{MessageKind, Scene};
use sim::{Addr, Payload};

use crate::cloud;

/// The box that stands for a process in every lens.
pub(crate) fn box_of(cluster: &Cluster, addr: Addr) -> String {
    let Some(proc) = cluster.proc(addr) else { return "laptop".into() };
    match proc.component() {
        name @ ("etcd" | "kube-apiserver" | "kube-scheduler" | "kube-controller-manager" | cloud::CONTROLLER) => name.into(),
        // Drawn with what it stands in front of.
        "load-balancer" => "kube-apiserver".into(),
        "coredns" => format!("pod/kube-system/{}", proc.name.rsplit('/').next().unwrap_or("")),
        "kubeadm" => "laptop".into(),
        _ => proc.name.to_string(),
    }
}

/// The box of an etcd member: `etcd` if it is the only one.
pub(crate) fn etcd_box(cluster: &Cluster, proc: &cluster::Proc) -> String {
    let members = cluster.of_component("etcd").count();
    if members > 1 { proc.name.to_string() } else { "etcd".into() }
}

/// Whether kube-apiserver speaks to this member: it has its watches there.
pub(crate) fn serves(cluster: &Cluster, member: Addr) -> bool {
    let watched = |addr: Addr| cluster.etcd_members().any(|(a, m)| a == addr && m.watch_count() > 0);
    watched(member) || member == cluster.etcd && !cluster.etcd_members().any(|(a, m)| a != member && m.watch_count() > 0)
}

/// The box of a process in a picture: the most particular one that is drawn there. A process in a container that has no box of
/// its own is at its pod.
pub(crate) fn drawn(scene: &Scene, cluster: &Cluster, addr: Addr) -> String {
    let general = box_of(cluster, addr);
    let Some(proc) = cluster.proc(addr) else { return general };
    let known = |id: &str| scene.boxes.contains_key(id);
    if known(&proc.name) {
        return proc.name.to_string();
    }
    if known(&general) {
        return general;
    }
    let kind = format!("{}/*", proc.component());
    if known(&kind) {
        return kind;
    }
    if known(&lenses::row_id(0)) && cluster.nodes.contains_key(&proc.machine) {
        return format!("node/{}", proc.machine);
    }
    pod_of(cluster, proc).filter(|id| known(id)).unwrap_or(general)
}

/// The pod that a process' container is in.
fn pod_of(cluster: &Cluster, proc: &cluster::Proc) -> Option<String> {
    let machine = cluster.machine(&proc.machine)?;
    let container = proc.container.as_ref()?;
    let sandbox = machine.containers().find(|(id, _)| *id == container)?.1.sandbox.clone();
    let config = &machine.sandboxes().find(|(id, _)| **id == sandbox)?.1.config;
    Some(format!("pod/{}/{}", config.pod_namespace, config.pod_name))
}

/// Whether a box stands for a process.
pub(crate) fn is_at(cluster: &Cluster, addr: Addr, id: &str) -> bool {
    let Some(proc) = cluster.proc(addr) else { return id == "laptop" };
    *proc.name == *id || box_of(cluster, addr) == id || id.strip_suffix("/*") == Some(proc.component())
}

/// What kind of dot a message is. `None`: it isn't drawn (timers, the hosting world's own talk).
pub(crate) fn kind_of(cluster: &Cluster, record: &Record) -> Option<MessageKind> {
    let method = |request| cloud::method(cluster, record.message.to, request);
    Some(match &record.message.payload {
        Payload::ApiRequest { request, .. } if request.subresource == "status" => MessageKind::Status,
        Payload::ApiRequest { request, .. } if request.verb.is_write() => MessageKind::Write,
        Payload::ApiRequest { request, .. } if method(request).is_some_and(|m| m != "GET") => MessageKind::Write,
        Payload::ApiRequest { .. } => MessageKind::Read,
        Payload::ApiResponse { .. } => MessageKind::Read,
        Payload::WatchEvents { .. } => MessageKind::Watch,
        Payload::StreamFrame { .. } | Payload::StreamEnd { .. } => MessageKind::Read,
        Payload::Etcd(m) => match m {
            etcd_message::Message::Request { request, .. } if matches!(**request, etcd_message::Request::Txn(_)) => {
                MessageKind::Write
            }
            etcd_message::Message::WatchEvents { .. } => MessageKind::Watch,
            _ => MessageKind::Read,
        },
        Payload::Cri(_) => MessageKind::Status,
        Payload::Packet(_) => MessageKind::Packet,
        Payload::Kernel(_) => MessageKind::Write,
        Payload::Start | Payload::Timer(_) | Payload::PeerGone { .. } | Payload::Host(_) => return None,
    })
}

/// One line: `POST /api/v1/namespaces/default/pods`, `ADDED pod/web`, `RunPodSandbox`.
pub(crate) fn caption(cluster: &Cluster, record: &Record) -> String {
    match &record.message.payload {
        Payload::ApiRequest { request, .. } => {
            let method = match request.verb {
                apimachinery::Verb::Watch => "WATCH",
                verb => cloud::method(cluster, record.message.to, request).unwrap_or(verb.method()),
            };
            format!("{method} {}", request.url_path())
        }
        Payload::ApiResponse { response, .. } if response.code == 0 => "no connection".into(),
        Payload::ApiResponse { response, .. } => match response.reason() {
            "" => response.code.to_string(),
            reason => format!("{} {reason}", response.code),
        },
        Payload::WatchEvents { events, .. } => match events.as_slice() {
            [one] => format!("{} {}", one.kind.as_str(), short(&one.object)),
            many => format!("{} watch events", many.len()),
        },
        Payload::StreamFrame { data, .. } => format!("{} bytes", data.len()),
        Payload::StreamEnd { .. } => "end of stream".into(),
        Payload::Etcd(m) => etcd_caption(m),
        Payload::Cri(m) => cri_caption(m),
        Payload::Packet(p) => format!("{} {}:{} → {}:{}", packet_word(p), p.src.0, p.src.1, p.dst.0, p.dst.1),
        Payload::Kernel(u) => match &**u {
            cri_api::packet::KernelUpdate::Service { service, rules } => format!("rules of {service}: {}", rules.len()),
            cri_api::packet::KernelUpdate::PodCidrs { ranges, .. } => format!("pod range {}", ranges.join(" and ")),
            cri_api::packet::KernelUpdate::Policies(updates) => format!("network policies: {} changes", updates.len()),
            cri_api::packet::KernelUpdate::Route { cidr, via: Some(via) } => format!("route {cidr} via {via}"),
            cri_api::packet::KernelUpdate::Route { cidr, via: None } => format!("no route to {cidr}"),
            cri_api::packet::KernelUpdate::FlushServices => "flush service rules".into(),
        },
        Payload::Start => "start".into(),
        Payload::Timer(_) => "timer".into(),
        Payload::PeerGone { .. } => "connection reset".into(),
        Payload::Host(_) => "host".into(),
    }
}

/// The same in a few letters, for a narrow arrow: `POST pods/binding`, `put pods/web`.
pub(crate) fn brief(cluster: &Cluster, record: &Record) -> String {
    match &record.message.payload {
        Payload::ApiRequest { request, .. } if !request.gvr.resource.is_empty() => {
            let full = caption(cluster, record);
            let method = full.split(' ').next().unwrap_or("");
            match request.subresource.is_empty() {
                true => format!("{method} {}", request.gvr.resource),
                false => format!("{method} {}/{}", request.gvr.resource, request.subresource),
            }
        }
        Payload::Etcd(_) => etcd_words(&caption(cluster, record)),
        _ => caption(cluster, record),
    }
}

/// `Txn put /registry/pods/default/web` as `put pods/web`: the kind and the name of a key.
fn etcd_words(caption: &str) -> String {
    let Some((verb, key)) = caption.split_once("/registry/") else { return caption.into() };
    let mut parts = key.split('/').filter(|p| !p.is_empty());
    let kind = match parts.next().unwrap_or("") {
        // A group of its own, or what upstream calls `services/specs`.
        "services" => parts.next().map_or("services", |p| if p == "specs" { "services" } else { p }),
        group if group.contains('.') => parts.next().unwrap_or(group),
        kind => kind,
    };
    let name = parts.next_back().map_or_else(String::new, |name| format!("/{name}"));
    format!("{}{kind}{name}", verb.trim_start_matches("Txn "))
}

/// `pod/web` of an object.
pub(crate) fn short(object: &apimachinery::Object) -> String {
    format!("{}/{}", object.kind().to_lowercase(), object.name())
}

fn etcd_caption(message: &etcd_message::Message) -> String {
    use etcd_message::{Message, Op, Request, Response};
    match message {
        Message::Request { request, .. } => match &**request {
            Request::Txn(txn) => match txn.success.first() {
                Some(Op::Put { key, .. }) => format!("Txn put {key}"),
                Some(Op::DeleteRange(range)) => format!("Txn delete {}", range.key),
                _ => "Txn".into(),
            },
            Request::Range(r) => format!("Range {}", r.range.key),
            Request::Watch(w) => format!("Watch {}", w.range.key),
            Request::LeaseGrant { .. } => "LeaseGrant".into(),
            Request::Compact { revision } => format!("Compact {revision}"),
            _ => "request".into(),
        },
        Message::Response { revision, response, .. } => match &**response {
            Response::Txn { succeeded: false, .. } => format!("revision {revision}: compare failed"),
            Response::Error(e) => e.text().into(),
            _ => format!("revision {revision}"),
        },
        Message::WatchEvents { events, .. } => match events.as_slice() {
            [one] => format!("event {}", one.key),
            many => format!("{} events", many.len()),
        },
        Message::WatchCanceled { .. } => "watch cancelled".into(),
        Message::Raft(m) => format!("{} in term {}", m.body.name(), m.term),
        Message::MemberRemoved => "you were removed from the cluster".into(),
    }
}

fn cri_caption(message: &cri::Message) -> String {
    match message {
        cri::Message::Request { request, .. } => cri_verb(request).into(),
        cri::Message::Response { response, .. } => match response {
            cri::Response::Error { message, .. } => message.to_string(),
            cri::Response::Sandbox { ips, .. } => {
                format!("sandbox {}", ips.first().map_or_else(String::new, |ip| ip.to_string()))
            }
            cri::Response::Container { .. } => "container created".into(),
            cri::Response::Image(i) => format!("image {}", i.name),
            cri::Response::Status(_) => "container status".into(),
            cri::Response::ExecSync { exit_code, .. } => format!("exit {exit_code}"),
            cri::Response::Dialed { status, .. } => format!("HTTP {status}"),
            _ => "done".into(),
        },
        cri::Message::Event(cri::Event::ContainerStopped(s)) => format!("{} exited with {}", s.name, s.exit_code),
        cri::Message::Event(_) => "runtime event".into(),
        cri::Message::Frame { data, .. } => format!("{} bytes", data.len()),
        cri::Message::FrameEnd { .. } => "end of stream".into(),
    }
}

/// The CRI's name of a request.
pub(crate) fn cri_verb(request: &cri::Request) -> &'static str {
    use cri::Request as R;
    match request {
        R::Version => "Version",
        R::RunPodSandbox(_) => "RunPodSandbox",
        R::StopPodSandbox { .. } => "StopPodSandbox",
        R::RemovePodSandbox { .. } => "RemovePodSandbox",
        R::PullImage { .. } => "PullImage",
        R::ImageStatus { .. } => "ImageStatus",
        R::ListImages => "ListImages",
        R::RemoveImage { .. } => "RemoveImage",
        R::CreateContainer { .. } => "CreateContainer",
        R::StartContainer { .. } => "StartContainer",
        R::StopContainer { .. } => "StopContainer",
        R::RemoveContainer { .. } => "RemoveContainer",
        R::UpdateContainerResources { .. } => "UpdateContainerResources",
        R::ListPodSandbox => "ListPodSandbox",
        R::ExecSync { .. } => "ExecSync",
        R::Exec { .. } => "Exec",
        R::Attach { .. } => "Attach",
        R::PortForward { .. } => "PortForward",
        R::ReadLogs { .. } => "ReadLogs",
        R::Stats => "ListContainerStats",
        R::SetupVolume { .. } => "mount volume",
        R::RemoveVolume { .. } => "unmount volume",
        R::Dial { .. } => "probe",
        R::WatchDirectory { .. } => "watch directory",
        #[allow(unreachable_patterns)]
        _ => "request",
    }
}

fn packet_word(packet: &cri_api::packet::Packet) -> &'static str {
    use cri_api::packet::PacketBody as B;
    match packet.body {
        B::Syn => "SYN",
        B::SynAck => "SYN-ACK",
        B::Reset(_) => "RST",
        B::Data(_) => "data",
        B::Window(_) => "ACK",
        B::Fin => "FIN",
        B::Query(..) => "DNS query",
        B::Answer(..) => "DNS answer",
        B::Echo(_) => "echo",
        B::EchoReply(_) => "echo reply",
    }
}

use etcd_api as etcd_message;

#[cfg(test)]
mod tests {
    use super::etcd_words;

    #[test]
    fn a_key_in_a_few_letters() {
        for (caption, brief) in [
            ("Txn put /registry/pods/default/web-1", "put pods/web-1"),
            ("Range /registry/services/specs/default/my-service", "Range services/my-service"),
            ("Txn delete /registry/apps.example.com/widgets/default/w", "delete widgets/w"),
            ("event /registry/pods/default/web-1", "event pods/web-1"),
            ("revision 512", "revision 512"),
        ] {
            assert_eq!(etcd_words(caption), brief);
        }
    }
}
