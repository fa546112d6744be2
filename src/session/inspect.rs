//! The inspector: one thing, as of the moment shown.

use apimachinery::{Gvr, Object, ResponseBody, Value, yaml};
use cluster::{Bottle, Cluster, Record};
use protocol::{
    Action, Ghost, Glyph, Inspector, Log, MessageDetail, MessageRef, Offer, Row, Source, Span, Stage, State, Tab, Thing,
};
use sim::{MsgId, Payload};

use crate::offers::{self, offer};
use crate::{api, component, connection, flows, lists, loops, message, nodes, observe, store, why};

const MAX_LOG_LINES: usize = 400;
const MAX_YAML: usize = 200_000;
/// Effects of a message are looked for among so many messages after it.
const EFFECTS_WINDOW: usize = 4_000;

/// Shows a thing. `service`: the Service that the lens draws, if it draws one.
pub(crate) fn inspect(bottle: &Bottle, thing: &Thing, tab: Tab, service: Option<&Thing>) -> Inspector {
    let mut inspector = match thing {
        // A machine is drawn without its Node object, too.
        Thing::Object { group, resource, name, .. } if group.is_empty() && resource == "nodes" => machine(bottle, name, tab),
        Thing::Object { group, resource, namespace, name } => object(bottle, group, resource, namespace, name, tab),
        Thing::Container { namespace, pod, .. } => object(bottle, "", "pods", namespace, pod, tab),
        Thing::Message { id } => message_detail(bottle, MsgId(*id), tab),
        Thing::Component { name } => component::component(bottle, name),
        Thing::Machine { name } => machine(bottle, name, tab),
        Thing::Connection { from, to } => connection::connection(bottle, from, to),
        Thing::Check { name } => gone(name.clone()),
        Thing::Revision { revision: number } => revision(bottle, *number as i64),
        Thing::Key { key } => store::key(bottle.shown(), key),
    };
    if let Some(service) = service {
        inspector.offers.splice(0..0, offers::of_service_lens(bottle.shown(), service, thing));
    }
    inspector.thing = Some(thing.clone());
    inspector
}

fn row(label: &str, value: impl Into<String>) -> Row {
    Row { label: label.into(), value: vec![Span::plain(value)], source: Source::Api, thing: None, heading: None }
}

pub(crate) fn as_it_is(label: &str, value: impl Into<String>) -> Row {
    Row { source: Source::AsItIs, ..row(label, value) }
}

pub(crate) fn gone(title: String) -> Inspector {
    Inspector { title, subtitle: "is not there at this moment".into(), gone: true, state: State::Idle, ..Inspector::default() }
}

/// A lab's goal has this object, and it isn't there or not like that: says so.
pub(crate) fn wanted(inspector: &mut Inspector, ghost: &Ghost) {
    if ghost.is_missing() {
        inspector.gone = false;
        inspector.state = State::Missing;
        inspector.subtitle = format!("missing: the lab's goal has this {}", ghost.kind);
        inspector.tabs = vec![(Tab::Overview, None)];
        inspector.overview =
            Some(vec![row("Kind", &*ghost.kind), row("Namespace", &*ghost.namespace), row("Name", &*ghost.name)]);
        return;
    }
    inspector.subtitle = format!("{} · {}", inspector.subtitle, ghost.difference());
    if let Some(rows) = &mut inspector.overview {
        let lacks = ghost.lacks.iter().map(|lack| row("Differs", &**lack));
        let heading = |(i, row)| Row { heading: (i == 0).then(|| "The lab's goal".into()), ..row };
        rows.extend(lacks.enumerate().map(heading));
    }
}

fn object(bottle: &Bottle, group: &str, resource: &str, namespace: &str, name: &str, tab: Tab) -> Inspector {
    let cluster = bottle.shown();
    let version = lists::resources_version(cluster, group, resource);
    let gvr = Gvr::new(group, &version, resource);
    let title = Thing::object(group, resource, namespace, name).title();
    let Some(object) = api::get(cluster, gvr, namespace, name) else { return gone(title) };
    let events = api::events_about(cluster, &object);
    let is_pod = resource == "pods" && group.is_empty();
    let mut tabs = vec![(Tab::Why, None), (Tab::Overview, None), (Tab::Yaml, None), (Tab::Events, Some(events.len() as u32))];
    if is_pod {
        tabs.push((Tab::Logs, None));
    }
    let (state, glyph) = match is_pod {
        true => observe::pod_state(&object, &observe::pod_status(&object, cluster.now())),
        false => object_state(&object),
    };
    let place = object.str_at(&["spec", "nodeName"]).map(|n| format!(" · {n}")).unwrap_or_default();
    Inspector {
        title,
        subtitle: format!("{}{place}", if namespace.is_empty() { "cluster" } else { namespace }),
        state,
        glyph,
        tabs,
        why: (tab == Tab::Why).then(|| why::of_object(bottle, &object)),
        overview: (tab == Tab::Overview).then(|| overview(cluster, gvr, &object)),
        yaml: (tab == Tab::Yaml).then(|| object_yaml(&object)),
        events: (tab == Tab::Events).then(|| events.iter().rev().map(lists::event_row).collect()),
        logs: (tab == Tab::Logs).then(|| logs(cluster, &object)),
        offers: object_offers(cluster, group, resource, &object),
        ..Inspector::default()
    }
}

fn object_state(object: &Object) -> (State, Glyph) {
    if object.is_being_deleted() {
        return (State::Terminating, Glyph::Terminating);
    }
    match object.kind() {
        "Node" if object.condition_is_true("Ready") => (State::Ok, Glyph::Running),
        "Node" => (State::Failing, Glyph::Failing),
        "Deployment" if object.condition_is_true("Available") => (State::Ok, Glyph::Running),
        "Deployment" => (State::Starting, Glyph::Starting),
        _ => (State::Idle, Glyph::None),
    }
}

/// What `kubectl get -o wide` prints, and the metadata that people look for.
fn overview(cluster: &Cluster, gvr: Gvr, object: &Object) -> Vec<Row> {
    let cells = cluster::printed_row(gvr, object, cluster.now());
    let columns = apimachinery::schema::columns(gvr).unwrap_or_default();
    let text = |v: &Value| v.as_str().map_or_else(|| apimachinery::json::to_string(v), str::to_string);
    let mut rows: Vec<Row> = columns.iter().zip(&cells).skip(1).map(|(c, v)| row(&c.name, text(v))).collect();
    let pairs = |fields: Option<&apimachinery::Fields>| -> Vec<String> {
        fields.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect()
    };
    let labels = pairs(object.labels());
    if !labels.is_empty() {
        rows.push(row("Labels", labels.join(", ")));
    }
    let annotations: Vec<String> = pairs(object.annotations()).into_iter().filter(|a| !a.contains("last-applied")).collect();
    if !annotations.is_empty() {
        rows.push(row("Annotations", annotations.join(", ")));
    }
    for (label, value) in [
        ("UID", object.uid().to_string()),
        ("Revision", object.resource_version().to_string()),
        ("Generation", object.generation().to_string()),
    ] {
        if !value.is_empty() && value != "0" {
            rows.push(row(label, value));
        }
    }
    for culprit in flows::of_object(cluster, object.kind(), object.namespace(), object.name()) {
        rows.push(as_it_is("Throttled", flows::told(cluster, culprit)));
    }
    for container in object.list_at(&["spec", "containers"]) {
        let name = container.str_at(&["name"]).unwrap_or("");
        rows.push(Row { heading: Some(format!("Container {name}")), ..row("Image", container.str_at(&["image"]).unwrap_or("")) });
    }
    rows
}

/// The live object without what nobody reads.
fn object_yaml(object: &Object) -> String {
    let mut value = object.value().clone();
    value.remove_at(&["metadata", "managedFields"]);
    let mut text = yaml::to_string(&value);
    if text.len() > MAX_YAML {
        let end = (0..=MAX_YAML).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n# … the rest is left out here; kubectl get -o yaml has it\n");
    }
    text
}

fn logs(cluster: &Cluster, pod: &Object) -> Vec<Log> {
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or("");
    let Some(machine) = cluster.machine(node) else { return Vec::new() };
    let names =
        ["initContainers", "containers"].iter().flat_map(|l| pod.list_at(&["spec", l])).filter_map(|c| c.str_at(&["name"]));
    names
        .filter_map(|name| {
            let id = why::container_id(pod, name)?;
            Some(Log { container: name.into(), previous: false, text: machine.log_tail(&id, MAX_LOG_LINES), cut_lines: 0 })
        })
        .collect()
}

fn object_offers(cluster: &Cluster, group: &str, resource: &str, object: &Object) -> Vec<Offer> {
    let thing = Thing::object(group, resource, object.namespace(), object.name());
    let mut offers = Vec::new();
    match resource {
        "nodes" => {
            let name = object.name().to_string();
            offers.extend(cluster.nodes.get(&*name).map(|n| power(&name, n.powered)));
            offers.extend(offers::of_machine(cluster, &name));
            match object.bool_at(&["spec", "unschedulable"]) {
                Some(true) => {
                    offers.push(offer(Action::Uncordon { node: name.clone() }, "Uncordon", "New pods may come again", false))
                }
                _ => offers.push(offer(
                    Action::Cordon { node: name.clone() },
                    "Cordon",
                    "No new pods come; those on it stay",
                    false,
                )),
            }
            offers.push(offer(Action::Drain { node: name }, "Drain", "Cordons it and evicts its pods", true));
        }
        "deployments" | "statefulsets" | "replicasets" => {
            let replicas = object.int_at(&["spec", "replicas"]).unwrap_or(1).max(0) as u32;
            offers.push(offer(
                Action::Scale { thing: thing.clone(), replicas: replicas + 1 },
                "+1 replica",
                "kubectl scale",
                false,
            ));
            if replicas > 0 {
                offers.push(offer(
                    Action::Scale { thing: thing.clone(), replicas: replicas - 1 },
                    "−1 replica",
                    "kubectl scale",
                    false,
                ));
            }
            if resource != "replicasets" {
                offers.push(offer(Action::RolloutRestart { thing: thing.clone() }, "Restart", "kubectl rollout restart", false));
            }
        }
        _ => {}
    }
    offers.push(offer(Action::Delete { thing, grace_s: None }, "Delete", "kubectl delete", true));
    offers
}

fn machine(bottle: &Bottle, name: &str, tab: Tab) -> Inspector {
    let cluster = bottle.shown();
    let inspector = object(bottle, "", "nodes", "", name, tab);
    match cluster.nodes.get(name) {
        Some(node) if inspector.gone => bare_machine(cluster, name, node),
        _ => inspector,
    }
}

/// A machine that kube-apiserver has no Node object of.
fn bare_machine(cluster: &Cluster, name: &str, node: &cluster::Node) -> Inspector {
    let (state, glyph, word) = nodes::node_state(cluster, node, None);
    let mut rows = vec![
        as_it_is("Power", if node.powered { "on" } else { "off" }),
        as_it_is("Address", node.config.ip.to_string()),
        as_it_is("Size", format!("{} CPUs, {} GiB", node.config.cpu_milli / 1000, node.config.memory >> 30)),
    ];
    let blank = nodes::is_blank(cluster, node);
    if blank {
        rows.push(as_it_is("On it", "containerd and the kubelet's program; nothing in /etc/kubernetes"));
        let (plane, _) = observe::control_plane(cluster);
        let typed = as_it_is("In the terminal", offers::join_line(&plane, name));
        rows.push(Row { heading: Some("To make a node of it".into()), ..typed });
    }
    let join = (blank && node.powered).then(|| offers::of_blank(cluster, name));
    Inspector {
        title: name.into(),
        subtitle: word.into(),
        state,
        glyph,
        tabs: vec![(Tab::Overview, None)],
        overview: Some(rows),
        offers: join.into_iter().chain([power(name, node.powered)]).chain(offers::of_machine(cluster, name)).collect(),
        ..Inspector::default()
    }
}

fn power(machine: &str, on: bool) -> Offer {
    let machine = machine.to_string();
    match on {
        true => offer(Action::PowerOff { machine }, "Power off", "Everything on it stops at once and nobody is told", true),
        false => offer(Action::PowerOn { machine }, "Power on", "containerd and the kubelet start; the disk is as it was", false),
    }
}

fn revision(bottle: &Bottle, revision: i64) -> Inspector {
    let changes = bottle.shown().etcd_member().map(|m| m.recent(400)).unwrap_or_default();
    let Some(change) = changes.iter().find(|c| c.revision == revision) else { return gone(format!("revision {revision}")) };
    let what = if change.deleted {
        "deleted"
    } else if change.version == 1 {
        "created"
    } else {
        "changed"
    };
    Inspector {
        title: format!("revision {revision}"),
        subtitle: "etcd".into(),
        tabs: vec![(Tab::Overview, None)],
        overview: Some(vec![
            Row { thing: Some(Thing::Key { key: change.key.to_string() }), ..as_it_is("Key", change.key.to_string()) },
            as_it_is("What", what),
            as_it_is("Version of the key", change.version.to_string()),
            as_it_is("At", change.at.rfc3339_micro()),
            Row {
                thing: Some(Thing::Message { id: change.cause }),
                ..as_it_is("Because of", format!("message {}", change.cause))
            },
        ]),
        ..Inspector::default()
    }
}

/// A link to a message.
pub(crate) fn reference(cluster: &Cluster, record: &Record) -> MessageRef {
    MessageRef {
        id: record.message.id.0,
        kind: message::kind_of(cluster, record).unwrap_or_default(),
        text: message::caption(cluster, record),
        at_us: record.message.sent.0,
    }
}

fn message_detail(bottle: &Bottle, id: MsgId, tab: Tab) -> Inspector {
    let (cluster, trace) = (bottle.head(), bottle.trace());
    let Some(record) = trace.get(id) else {
        return gone(format!("message {}", id.0));
    };
    let m = &record.message;
    let effects = trace.effects(id, EFFECTS_WINDOW);
    let answer = answer_to(bottle, record);
    let mut detail = MessageDetail {
        id: id.0,
        kind: message::kind_of(cluster, record).unwrap_or_default(),
        from: observe::title_of(cluster, m.from),
        to: observe::title_of(cluster, m.to),
        verb: message::caption(cluster, record),
        path: String::new(),
        user: String::new(),
        sent_us: m.sent.0,
        arrived_us: (record.arrives <= cluster.now()).then_some(record.arrives.0),
        stages: Vec::new(),
        request: None,
        response: None,
        code: None,
        revision: None,
        cause: trace.get(m.cause).map(|r| reference(cluster, r)),
        effects: effects
            .iter()
            .filter(|r| message::kind_of(cluster, r).is_some())
            .take(40)
            .map(|r| reference(cluster, r))
            .collect(),
        plan: None,
        detail_gone: None,
    };
    match &m.payload {
        Payload::ApiRequest { request, .. } => {
            detail.verb = request.verb.as_str().into();
            detail.path = request.url_path();
            detail.request = body_yaml(&request.body);
            detail.plan = loops::plan_behind(cluster, m);
            stages(cluster, id, &mut detail);
            if let Some(Payload::ApiResponse { response, .. }) = answer.map(|r| &r.message.payload) {
                (detail.code, detail.response) = (Some(response.code), response_yaml(&response.body));
                detail.revision = response.ok().map(|o| o.revision() as u64).filter(|r| *r > 0);
            }
        }
        Payload::ApiResponse { response, .. } => {
            (detail.code, detail.response) = (Some(response.code), response_yaml(&response.body));
        }
        Payload::WatchEvents { events, .. } => {
            let texts: Vec<String> =
                events.iter().take(10).map(|e| format!("# {}\n{}", e.kind.as_str(), object_yaml(&e.object))).collect();
            detail.response = Some(texts.join("---\n"));
            detail.revision = events.last().map(|e| e.object.revision() as u64);
        }
        Payload::Etcd(etcd_api::Message::Request { request, .. }) => {
            detail.request = Some(format!("{request:#?}").chars().take(4_000).collect())
        }
        Payload::Etcd(etcd_api::Message::Response { revision, .. }) => detail.revision = Some(*revision as u64),
        Payload::Cri(message) => detail.request = Some(format!("{message:#?}").chars().take(4_000).collect()),
        Payload::Packet(packet) => {
            let hops: Vec<String> = packet.hops.iter().map(|h| format!("{}: {:?}", h.place, h.what)).collect();
            detail.request = Some(hops.join("\n"));
        }
        _ => {}
    }
    let why = why::of_message(bottle, id);
    Inspector {
        title: message::caption(cluster, record),
        subtitle: format!("message {} · {} → {}", id.0, detail.from, detail.to),
        tabs: if why.is_empty() { vec![(Tab::Overview, None)] } else { vec![(Tab::Why, None), (Tab::Overview, None)] },
        why: (tab == Tab::Why && !why.is_empty()).then_some(why),
        overview: Some(Vec::new()),
        message: Some(detail),
        ..Inspector::default()
    }
}

/// The answer to a request, if it is still in the trace.
pub(crate) fn answer_to<'a>(bottle: &'a Bottle, request: &Record) -> Option<&'a Record> {
    let Payload::ApiRequest { id, .. } = request.message.payload else { return None };
    bottle.trace().from(request.message.id).take(EFFECTS_WINDOW).find(|r| {
        r.message.to == request.message.from
            && matches!(&r.message.payload, Payload::ApiResponse { id: answered, .. } if *answered == id)
    })
}

fn stages(cluster: &Cluster, id: MsgId, detail: &mut MessageDetail) {
    let Some(stages) = cluster.api().and_then(|a| a.stages(id)) else { return };
    detail.user = stages.user.to_string();
    detail.revision = (stages.revision > 0).then_some(stages.revision as u64);
    let took = stages.answered.since(stages.received).0.max(0) as u64;
    let stage = |name: &str, note: String, failed: bool| Stage { name: name.into(), took_us: 0, note, failed };
    detail.stages = vec![
        stage("authentication", stages.user.to_string(), stages.code == 401),
        stage("authorization", stages.authorized_by.to_string(), stages.code == 403 && stages.refused_by.is_none()),
        stage("mutating admission", stages.mutated_by.join(", "), false),
        stage("validation", String::new(), stages.code == 422),
        stage(
            "validating admission",
            stages.refused_by.map_or_else(String::new, |p| format!("refused by {p}")),
            stages.refused_by.is_some(),
        ),
    ];
    if stages.revision > 0 {
        detail.stages.push(Stage { took_us: took, ..stage("etcd", format!("revision {}", stages.revision), false) });
    }
}

fn body_yaml(body: &apimachinery::Body) -> Option<String> {
    match body {
        apimachinery::Body::None => None,
        apimachinery::Body::Object(o) => Some(object_yaml(o)),
        apimachinery::Body::Patch(kind, patch) => Some(format!("# {kind:?} patch\n{}", yaml::to_string(patch))),
        apimachinery::Body::Bytes(kind, bytes) => {
            Some(format!("# {kind}\n{}", String::from_utf8_lossy(bytes).chars().take(20_000).collect::<String>()))
        }
    }
}

fn response_yaml(body: &ResponseBody) -> Option<String> {
    match body {
        ResponseBody::Object(o) => Some(object_yaml(o)),
        ResponseBody::List(l) => {
            Some(format!("# {} with {} items, resourceVersion {}\n", l.kind, l.items.len(), l.resource_version))
        }
        ResponseBody::Text(_, text) => Some(text.to_string()),
        ResponseBody::WatchStarted => Some("# the watch is open\n".into()),
        ResponseBody::StreamStarted => Some("# the stream is open\n".into()),
        ResponseBody::None => None,
    }
}
