//! `kubectl expose`. Models `kubectl/pkg/cmd/expose`.

use apimachinery::{Object, Value, value};

use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, Stop, done, fail};
use crate::docs;
use crate::error::{Error, aggregate};
use crate::merge as patch;
use crate::printers::DryRun;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let select = Select { latest: true, selector: String::new(), ..Select::of(ctx) };
    let (infos, errors) = ctx.infos_and_errors(&select)?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    for info in infos {
        expose(ctx, &info)?;
    }
    done()
}

fn expose(ctx: &mut Ctx, info: &Info) -> Res<()> {
    let flags = ctx.flags.clone();
    let kind = &*info.mapping.kind;
    if !matches!(kind, "ReplicationController" | "Service" | "Pod" | "Deployment" | "ReplicaSet") {
        return fail(format!("cannot expose a {}", info.mapping.kind_group_name()));
    }
    let selector = selector(ctx, info)?;
    let ports = ports(ctx, info)?;
    let name = if flags.str("name").is_empty() { info.name.to_string() } else { flags.str("name").to_string() };
    let mut object = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": selector, "ports": ports},
        "status": {"loadBalancer": {}}
    });
    let labels = match flags.str("labels") {
        "" => info.object.at(&["metadata", "labels"]).cloned(),
        text => Some(super::util::string_map(&super::util::pairs(&text.split(',').map(String::from).collect::<Vec<_>>()))),
    };
    if let Some(labels) = labels.filter(|l| !l.is_empty()) {
        object.set_at(&["metadata", "labels"], labels);
    }
    for (flag, field) in [
        ("type", "type"),
        ("load-balancer-ip", "loadBalancerIP"),
        ("session-affinity", "sessionAffinity"),
        ("cluster-ip", "clusterIP"),
    ] {
        if !flags.str(flag).is_empty() {
            object.set_at(&["spec", field], flags.str(flag));
        }
    }
    if !flags.str("external-ip").is_empty() {
        object.set_at(&["spec", "externalIPs"], vec![Value::from(flags.str("external-ip"))]);
    }
    let object = overridden(ctx, object)?;
    let mapping = ctx.resource("services")?;
    let mut object = Object::from_value(object).unwrap_or_default();
    if ctx.dry_run()? == DryRun::Client {
        return ctx.print_object(&object, "exposed");
    }
    object.set_at(&["metadata", "namespace"], &info.namespace);
    let service = Info::from_object(mapping, object, "");
    let created = ctx.create_object(&service, &service.object.clone())?;
    ctx.print_object(&created, "exposed")
}

/// `--overrides` on a generated object.
pub(super) fn overridden(ctx: &mut Ctx, object: Value) -> Res<Value> {
    let text = ctx.flags.str("overrides").to_string();
    if text.is_empty() {
        return Ok(object);
    }
    let overrides = docs::parse_yaml(&text).map_err(|e| Stop::from(Error::Plain(e)))?;
    let kind = match ctx.flags.str("override-type") {
        "strategic" => apimachinery::PatchType::StrategicMerge,
        "json" => apimachinery::PatchType::Json,
        _ => apimachinery::PatchType::Merge,
    };
    let gvk = Object::from_value(object.clone()).unwrap_or_default().gvk();
    patch::apply(kind, &object, &overrides, gvk).map_err(|e| Error::Plain(e.to_string()).into())
}

fn selector(ctx: &mut Ctx, info: &Info) -> Res<Value> {
    let text = ctx.flags.str("selector").to_string();
    if !text.is_empty() {
        let words: Vec<String> = text.split(',').map(String::from).collect();
        return Ok(super::util::string_map(&super::util::pairs(&words)));
    }
    let found = match &*info.mapping.kind {
        "Pod" => info.object.at(&["metadata", "labels"]).cloned(),
        "Service" | "ReplicationController" => info.object.at(&["spec", "selector"]).cloned(),
        _ => {
            if !info.object.list_at(&["spec", "selector", "matchExpressions"]).is_empty() {
                return fail(
                    "couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions - \""
                        .to_string()
                        + "\" to map-based selector format",
                );
            }
            info.object.at(&["spec", "selector", "matchLabels"]).cloned()
        }
    };
    match found.filter(|s| !s.is_empty()) {
        Some(selector) => Ok(selector),
        None => fail(match &*info.mapping.kind {
            "Pod" => {
                "couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed"
            }
            _ => "couldn't retrieve selectors via --selector flag or introspection: the service has no pod selector set",
        }),
    }
}

fn ports(ctx: &mut Ctx, info: &Info) -> Res<Vec<Value>> {
    let flags = ctx.flags.clone();
    let protocol = |given: Option<&str>| match flags.str("protocol") {
        "" => given.unwrap_or("TCP").to_string(),
        text => text.to_string(),
    };
    let target = |port: i64| -> Value {
        match flags.str("target-port") {
            "" => port.into(),
            text => text.parse::<i64>().map_or_else(|_| text.into(), Value::Int),
        }
    };
    let text = flags.str("port");
    let found: Vec<(i64, Option<String>, Option<String>)> = if !text.is_empty() {
        let mut ports = Vec::new();
        for part in text.split(',') {
            match part.parse::<i64>() {
                Ok(port) => ports.push((port, None, None)),
                Err(_) => return fail(format!("strconv.Atoi: parsing {part:?}: invalid syntax")),
            }
        }
        ports
    } else if &*info.mapping.kind == "Service" {
        let list = info.object.list_at(&["spec", "ports"]).iter();
        list.map(|p| {
            (p.int_at(&["port"]).unwrap_or(0), p.str_at(&["protocol"]).map(String::from), p.str_at(&["name"]).map(String::from))
        })
        .collect()
    } else {
        let template: &[&str] = if &*info.mapping.kind == "Pod" { &["spec"] } else { &["spec", "template", "spec"] };
        let containers = info.object.list_at(&[template, &["containers"]].concat());
        let ports = containers.iter().flat_map(|c| c.list_at(&["ports"]));
        ports.map(|p| (p.int_at(&["containerPort"]).unwrap_or(0), p.str_at(&["protocol"]).map(String::from), None)).collect()
    };
    if found.is_empty() {
        return fail("couldn't find port via --port flag or introspection");
    }
    let several = found.len() > 1;
    let mut ports = Vec::new();
    for (i, (port, given, name)) in found.into_iter().enumerate() {
        let mut entry = value!({"port": port, "protocol": (protocol(given.as_deref())), "targetPort": (target(port))});
        if let Some(name) = name.or_else(|| several.then(|| format!("port-{}", i + 1))) {
            entry.set_at(&["name"], name);
        }
        ports.push(entry);
    }
    Ok(ports)
}

impl crate::mapper::Mapping {
    /// `ConfigMap`, `CronJob.batch`: as Go prints a GroupKind.
    pub fn kind_group_name(&self) -> String {
        if self.gvr.group.is_empty() { self.kind.to_string() } else { format!("{}.{}", self.kind, self.gvr.group) }
    }
}
