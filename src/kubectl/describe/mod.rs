//! `kubectl describe`: one file per kind (or family). The layout is upstream's (`kubectl/pkg/describe/describe.go`): lines with tabs,
//! aligned at the end.

mod config;
mod generic;
mod network;
mod node;
mod pod;
pub(crate) mod pod_template;
mod policy;
mod rbac;
mod storage;
mod volumes;
mod workload;

use apimachinery::{Object, Request, Value, resources};
use base::Sort as _;
use base::Time;

use crate::builder::Info;
use crate::cmd::util::LAST_APPLIED;
use crate::ctx::{Ctx, Res};
use crate::printers::table::human;
use crate::printers::tabwriter;

/// The description of an object as it is live.
pub(crate) fn describe(ctx: &mut Ctx, info: &Info) -> Res<String> {
    let (object, now) = (&info.object, ctx.first_time());
    let mut w = Writer { out: String::new(), now };
    let group = info.mapping.gvr.group.to_string();
    match (group.as_str(), &*info.mapping.kind) {
        ("", "Pod") => pod::pod(object, &mut w),
        ("", "Node") => return node::node(ctx, info, w),
        ("", "Namespace") => return policy::namespace(ctx, info, w),
        ("", "ConfigMap") => config::configmap(object, &mut w),
        ("", "Secret") => {
            config::secret(object, &mut w);
            return Ok(tabwriter::description(&w.out));
        }
        ("", "ServiceAccount") => config::serviceaccount(object, &mut w),
        ("", "Service") => network::service(ctx, info, &mut w)?,
        ("", "LimitRange") => {
            policy::limit_range(object, &mut w);
            return Ok(tabwriter::description(&w.out));
        }
        ("", "ResourceQuota") => {
            policy::quota(object, &mut w);
            return Ok(tabwriter::description(&w.out));
        }
        ("", "PersistentVolume") => storage::volume(object, &mut w),
        ("", "PersistentVolumeClaim") => storage::claim(ctx, info, &mut w)?,
        ("", "ReplicationController") | ("apps", "ReplicaSet") => workload::replicaset(ctx, info, &mut w)?,
        ("apps", "Deployment") => workload::deployment(ctx, info, &mut w)?,
        ("apps", "DaemonSet") => workload::daemonset(ctx, info, &mut w)?,
        ("apps", "StatefulSet") => workload::statefulset(ctx, info, &mut w)?,
        ("batch", "Job") => workload::job(object, &mut w),
        ("batch", "CronJob") => workload::cronjob(object, &mut w),
        ("autoscaling", "HorizontalPodAutoscaler") => policy::hpa(object, &mut w),
        ("policy", "PodDisruptionBudget") => policy::pdb(object, &mut w),
        ("networking.k8s.io", "Ingress") => network::ingress(ctx, info, &mut w)?,
        ("networking.k8s.io", "NetworkPolicy") => {
            network::policy(object, &mut w);
            return Ok(tabwriter::description(&w.out));
        }
        ("discovery.k8s.io", "EndpointSlice") => network::endpointslice(object, &mut w),
        ("certificates.k8s.io", "CertificateSigningRequest") => config::csr(object, &mut w),
        ("storage.k8s.io", "StorageClass") => storage::class(object, &mut w),
        ("scheduling.k8s.io", "PriorityClass") => config::priorityclass(object, &mut w),
        ("rbac.authorization.k8s.io", _) => {
            rbac::rbac(object, &mut w);
            return Ok(tabwriter::description(&w.out));
        }
        _ => generic::generic(object, &mut w),
    }
    if ctx.flags.str("show-events") != "false" {
        let events = events_of(ctx, info)?;
        events_table(&events, &mut w);
    }
    Ok(tabwriter::description(&w.out))
}

/// Lines to be aligned.
pub(crate) struct Writer {
    pub out: String,
    pub now: Time,
}

impl Writer {
    /// A line, indented by two spaces a level.
    pub fn line(&mut self, level: usize, text: impl AsRef<str>) {
        self.out.extend(std::iter::repeat_n("  ", level));
        self.out.push_str(text.as_ref());
        self.out.push('\n');
    }
    pub fn field(&mut self, level: usize, name: &str, value: impl AsRef<str>) {
        self.line(level, format!("{name}:\t{}", value.as_ref()));
    }
    /// A map, one entry a line; `<none>` if empty.
    pub fn map(&mut self, indent: &str, name: &str, map: Option<&Value>, separator: &str) {
        let fields = map.and_then(Value::as_map).filter(|m| !m.is_empty());
        let Some(fields) = fields else {
            return self.out.push_str(&format!("{indent}{name}:\t<none>\n"));
        };
        for (i, (k, v)) in fields.iter().enumerate() {
            let head = if i == 0 { format!("{indent}{name}:\t") } else { "\t".to_string() };
            self.out.push_str(&format!("{head}{k}{separator}{}\n", v.as_str().unwrap_or("")));
        }
    }
    pub fn labels(&mut self, object: &Object) {
        self.map("", "Labels", object.at(&["metadata", "labels"]), "=");
    }
    pub fn annotations(&mut self, object: &Object) {
        annotations(self, "", object.at(&["metadata", "annotations"]));
    }
    /// Name and namespace.
    pub fn head(&mut self, object: &Object) {
        self.field(0, "Name", object.name());
        if !object.namespace().is_empty() {
            self.field(0, "Namespace", object.namespace());
        }
    }
}

/// Annotations without the last applied configuration; long ones on lines of their own.
pub(crate) fn annotations(w: &mut Writer, indent: &str, map: Option<&Value>) {
    const MAX_LEN: usize = 140;
    let fields = map.and_then(Value::as_map);
    let shown: Vec<_> = fields.into_iter().flat_map(|m| m.iter()).filter(|(k, _)| &**k != LAST_APPLIED).collect();
    if shown.is_empty() {
        return w.out.push_str(&format!("{indent}Annotations:\t<none>\n"));
    }
    for (i, (k, v)) in shown.into_iter().enumerate() {
        let head = if i == 0 { format!("{indent}Annotations:\t") } else { format!("{indent}\t") };
        let value = v.as_str().unwrap_or("").trim_end_matches('\n');
        if value.len() + k.len() + 2 > MAX_LEN || value.contains('\n') {
            w.out.push_str(&format!("{head}{k}:\n"));
            for line in value.lines() {
                let short: String = line.chars().take(MAX_LEN - 2).collect();
                let dots = if short.len() < line.len() { "..." } else { "" };
                w.out.push_str(&format!("{indent}\t  {short}{dots}\n"));
            }
        } else {
            w.out.push_str(&format!("{head}{k}: {value}\n"));
        }
    }
}

/// Events about an object, in order of their `lastTimestamp`. Those of the scheduler have none (they have an `eventTime`) and come first.
pub(crate) fn events_of(ctx: &mut Ctx, info: &Info) -> Res<Vec<Object>> {
    let mut request = Request::list(resources::events(), &info.namespace);
    let object = &info.object;
    let mut selector = format!("involvedObject.name={}", object.name());
    if !info.namespace.is_empty() {
        selector.push_str(&format!(",involvedObject.namespace={}", info.namespace));
    }
    selector.push_str(&format!(",involvedObject.kind={}", info.mapping.kind));
    // A static pod's events name the UID that it has at its kubelet, and not its mirror's in the API.
    let uid = object.annotation("kubernetes.io/config.mirror").unwrap_or(object.uid());
    if object.kind() != "Node" && !uid.is_empty() {
        selector.push_str(&format!(",involvedObject.uid={uid}"));
    }
    request.options.field_selector = Some(selector.into());
    request.options.limit = 500;
    let mut events = match ctx.list(request) {
        Ok(list) => list.items,
        Err(crate::ctx::Stop::Err(_)) => Vec::new(),
        Err(stop) => return Err(stop),
    };
    events.order_by_key(|e: &Object| e.str_at(&["lastTimestamp"]).and_then(Time::parse));
    Ok(events)
}

pub(crate) fn events_table(events: &[Object], w: &mut Writer) {
    if events.is_empty() {
        return w.line(0, "Events:\t<none>");
    }
    w.line(0, "Events:");
    w.line(1, "Type\tReason\tAge\tFrom\tMessage");
    w.line(1, "----\t------\t----\t----\t-------");
    for event in events {
        let text = |path: &[&str]| event.str_at(path).unwrap_or("").to_string();
        let from = match text(&["source", "component"]) {
            empty if empty.is_empty() => text(&["reportingComponent"]),
            component => component,
        };
        let mut message = text(&["message"]).trim().to_string();
        let path = text(&["involvedObject", "fieldPath"]);
        if !path.is_empty() {
            message = format!("{path}: {message}");
        }
        let age = crate::cmd::event_interval(event, w.now);
        w.line(1, format!("{}\t{}\t{age}\t{from}\t{message}", text(&["type"]), text(&["reason"])));
    }
}

// ------------------------------------------------------------------ small things that many kinds need

/// RFC 1123 with a numeric zone: `Mon, 02 Jan 2006 15:04:05 +0000`; a missing time is Go's zero time.
pub(crate) fn rfc1123(text: Option<&str>) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Some(time) = text.and_then(Time::parse) else { return "Mon, 01 Jan 0001 00:00:00 +0000".into() };
    let (year, month, day, hour, minute, second) = time.civil();
    let weekday = DAYS[(time.days() + 4).rem_euclid(7) as usize];
    format!("{weekday}, {day:02} {} {year} {hour:02}:{minute:02}:{second:02} +0000", MONTHS[month as usize - 1])
}

/// `3m`, or `<unknown>`.
pub(crate) fn since(text: Option<&str>, now: Time) -> String {
    text.and_then(Time::parse).map_or("<unknown>".into(), |t| human(now.since(t)))
}

/// Text, number or percentage as text.
pub(crate) fn show(value: Option<&Value>) -> String {
    value.map(crate::printers::go::sprint).unwrap_or_default()
}

pub(crate) fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".into() } else { text }
}

/// `True`/`False`.
pub(crate) fn title(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// `a=b,c=d`, or `<none>`.
pub(crate) fn format_labels(map: Option<&Value>) -> String {
    let fields = map.and_then(Value::as_map);
    let texts: Vec<String> =
        fields.into_iter().flat_map(|m| m.iter()).map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
    or_none(texts.join(","))
}

/// Strings of a list, joined.
pub(crate) fn join(values: &[Value], separator: &str) -> String {
    values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(separator)
}

/// `ReplicaSet/web-1`, if there is a controller.
pub(crate) fn controlled_by(object: &Object) -> Option<String> {
    let c = object.controller_ref()?;
    Some(format!("{}/{}", c.str_at(&["kind"])?, c.str_at(&["name"])?))
}
