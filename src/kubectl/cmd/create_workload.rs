//! `kubectl create deployment`, `job`, `cronjob`, `namespace`, `serviceaccount`, `priorityclass`, `quota`, `poddisruptionbudget`.

use std::rc::Rc;

use apimachinery::{Fields, Object, Quantity, Request, Value, value};

use super::create::{name_arg, submit};
use super::util::object_key;
use crate::ctx::{Ctx, Res, fail};
use crate::error::Error;

pub(super) const QUANTITY_ERROR: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// The last part of an image's name, without tag: `registry/x/nginx:1` is `nginx`.
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let end = last.find([':', '@']).unwrap_or(last.len());
    last[..end].to_string()
}

/// The words after `--`, or after the name.
pub(super) fn command_words(ctx: &Ctx) -> Vec<Value> {
    ctx.flags.args.iter().skip(1).map(Value::from).collect()
}

pub(super) fn deployment(ctx: &mut Ctx) -> Res<()> {
    let flags = ctx.flags.clone();
    let images = flags.list("image");
    let command = command_words(ctx);
    let name = match flags.dash {
        Some(_) => flags.args.first().cloned().unwrap_or_default(),
        None => name_arg(ctx)?,
    };
    if images.len() > 1 && !command.is_empty() {
        return fail("cannot specify multiple --image options and command");
    }
    let mapping = ctx.resource("deployments")?;
    let mut containers: Vec<Value> = Vec::new();
    for image in &images {
        let mut container_name = container_name(image);
        if containers.iter().any(|c| c.str_at(&["name"]) == Some(&container_name)) {
            let seed = base::hash64(format!("{name}{image}{}", containers.len()).as_bytes());
            container_name = format!("{container_name}-{}", base::Seed(seed).suffix(0, 5));
        }
        let mut container = value!({"name": (&container_name), "image": image, "resources": {}});
        if !command.is_empty() {
            container.set_at(&["command"], command.clone());
        }
        containers.push(container);
    }
    if let (Some(port), Some(first)) = (flags.int("port").filter(|p| *p >= 0), containers.first_mut()) {
        if !(1..=65535).contains(&port) && flags.changed("port") {
            first.set_at(&["ports"], value!([{"containerPort": port}]));
        } else {
            first.set_at(&["ports"], value!([{"containerPort": port}]));
        }
    }
    let replicas = flags.int("replicas").unwrap_or(1);
    if replicas < 0 {
        return fail(format!("--replicas must be greater than or equal to 0, got {replicas}"));
    }
    let labels = value!({"app": (&name)});
    let object = value!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": (&name), "labels": (&labels)},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": (&labels)}, "strategy": {},
            "template": {"metadata": {"labels": (&labels)}, "spec": {"containers": containers}}
        },
        "status": {}
    });
    submit(ctx, mapping, object, Some("failed to create deployment")).map(drop)
}

fn job_spec(name: &str, image: &str, command: Vec<Value>, restart: &str) -> Value {
    let mut container = value!({"name": name, "image": image, "resources": {}});
    if !command.is_empty() {
        container.set_at(&["command"], command);
    }
    value!({"template": {"metadata": {}, "spec": {"containers": [container], "restartPolicy": restart}}})
}

pub(super) fn job(ctx: &mut Ctx) -> Res<()> {
    let flags = ctx.flags.clone();
    let Some(name) = flags.args.first().cloned() else {
        return Err(Error::Usage("exactly one NAME is required, got 0".into(), flags.path()).into());
    };
    let (image, from) = (flags.str("image"), flags.str("from"));
    match (image.is_empty(), from.is_empty()) {
        (true, true) => return fail("either --image or --from must be specified"),
        (false, false) => return fail("either --image or --from must be specified"),
        _ => {}
    }
    let command = command_words(ctx);
    if !from.is_empty() && !command.is_empty() {
        return fail("cannot specify --from and command");
    }
    let mapping = ctx.resource("jobs")?;
    let mut object = value!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": (&name)}, "status": {}});
    if from.is_empty() {
        object.set_at(&["spec"], job_spec(&name, image, command, "Never"));
    } else {
        let (kind, owner) = from.split_once('/').unwrap_or(("cronjobs", from));
        let source = ctx.resource(kind)?;
        let namespace = ctx.namespace()?;
        let cron = ctx.call(Request::get(source.gvr, &object_key(&namespace, owner)))?;
        if cron.kind() != "CronJob" {
            return fail(format!("from must be an existing cronjob, got {}", cron.kind()));
        }
        from_cronjob(&mut object, &cron);
    }
    submit(ctx, mapping, object, Some("failed to create job")).map(drop)
}

fn from_cronjob(job: &mut Value, cron: &Object) {
    let template = |path: &[&str]| cron.at(&[&["spec", "jobTemplate"], path].concat()).cloned();
    job.set_at(&["spec"], template(&["spec"]).unwrap_or_default());
    let annotations = template(&["metadata", "annotations"]).unwrap_or_else(Value::map);
    job.set_at(&["metadata", "annotations"], annotations);
    job.entry(&["metadata", "annotations"]).map_mut().insert("cronjob.kubernetes.io/instantiate".into(), "manual");
    if let Some(labels) = template(&["metadata", "labels"]) {
        job.set_at(&["metadata", "labels"], labels);
    }
    let owner = value!({
        "apiVersion": "batch/v1", "kind": "CronJob", "name": (cron.name()), "uid": (cron.uid()), "controller": true
    });
    job.set_at(&["metadata", "ownerReferences"], vec![owner]);
}

pub(super) fn cronjob(ctx: &mut Ctx) -> Res<()> {
    let flags = ctx.flags.clone();
    let Some(name) = flags.args.first().cloned() else {
        return Err(Error::Usage("exactly one NAME is required, got 0".into(), flags.path()).into());
    };
    let mapping = ctx.resource("cronjobs")?;
    let restart = if flags.str("restart").is_empty() { "OnFailure" } else { flags.str("restart") };
    let spec = job_spec(&name, flags.str("image"), command_words(ctx), restart);
    let object = value!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": (&name)},
        "spec": {"schedule": (flags.str("schedule")), "jobTemplate": {"metadata": {"name": (&name)}, "spec": spec}},
        "status": {}
    });
    submit(ctx, mapping, object, Some("failed to create cronjob")).map(drop)
}

pub(super) fn namespace(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let mapping = ctx.resource("namespaces")?;
    let object = value!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}, "status": {}});
    submit(ctx, mapping, object, None).map(drop)
}

pub(super) fn serviceaccount(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let mapping = ctx.resource("serviceaccounts")?;
    let object = value!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    submit(ctx, mapping, object, Some("failed to create serviceaccount")).map(drop)
}

pub(super) fn priorityclass(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let mapping = ctx.resource("priorityclasses")?;
    let mut object = value!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": (flags.int("value").unwrap_or(0)), "preemptionPolicy": (flags.str("preemption-policy"))
    });
    if flags.bool("global-default") {
        object.set_at(&["globalDefault"], true);
    }
    if !flags.str("description").is_empty() {
        object.set_at(&["description"], flags.str("description"));
    }
    submit(ctx, mapping, object, Some("failed to create priorityclass")).map(drop)
}

/// `cpu=1,memory=1Gi` as a resource list.
pub(super) fn resource_list(text: &str) -> Res<Value> {
    let mut entries: Vec<(Rc<str>, Value)> = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let Some((name, amount)) = part.split_once('=') else {
            return fail(format!("Invalid argument syntax {part}, expected <resource>=<value>"));
        };
        match Quantity::parse(amount) {
            Ok(quantity) => entries.push((name.into(), quantity.to_string().into())),
            Err(_) => return fail(QUANTITY_ERROR),
        }
    }
    Ok(Fields::from_entries(entries).into())
}

pub(super) fn quota(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let mapping = ctx.resource("resourcequotas")?;
    let mut object = value!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {}, "status": {}});
    let hard = resource_list(flags.str("hard"))?;
    if !hard.is_empty() {
        object.set_at(&["spec", "hard"], hard);
    }
    if !flags.str("scopes").is_empty() {
        let scopes: Vec<Value> = flags.str("scopes").split(',').map(Value::from).collect();
        object.set_at(&["spec", "scopes"], scopes);
    }
    submit(ctx, mapping, object, Some("failed to create quota")).map(drop)
}

/// A number, or a percentage.
fn int_or_percent(flag: &str, text: &str) -> Res<Value> {
    if let Some(digits) = text.strip_suffix('%').filter(|d| !d.is_empty()) {
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(text.into());
        }
    } else if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.parse::<i64>().map_or(Value::Null, Value::Int));
    }
    fail(format!("invalid format specified for {flag}"))
}

pub(super) fn poddisruptionbudget(ctx: &mut Ctx) -> Res<()> {
    let name = name_arg(ctx)?;
    let flags = ctx.flags.clone();
    let (min, max) = (flags.str("min-available"), flags.str("max-unavailable"));
    if flags.str("selector").is_empty() {
        return fail("a selector must be specified");
    }
    if min.is_empty() && max.is_empty() {
        return fail("one of min-available or max-unavailable must be specified");
    }
    if !min.is_empty() && !max.is_empty() {
        return fail("min-available and max-unavailable cannot be both specified");
    }
    let mut spec = value!({"selector": (label_selector(flags.str("selector"))?)});
    if !min.is_empty() {
        spec.set_at(&["minAvailable"], int_or_percent("min-available", min)?);
    } else {
        spec.set_at(&["maxUnavailable"], int_or_percent("max-unavailable", max)?);
    }
    let mapping = ctx.resource("poddisruptionbudgets")?;
    let object = value!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec, "status": {}});
    submit(ctx, mapping, object, Some("failed to create poddisruptionbudgets")).map(drop)
}

/// A selector's text as a LabelSelector.
pub(super) fn label_selector(text: &str) -> Res<Value> {
    use apimachinery::labels::Operator;
    let selector = apimachinery::labels::Selector::parse(text).map_err(Error::Plain)?;
    let mut out = Value::map();
    for requirement in selector.requirements() {
        let values: Vec<Value> = requirement.values.iter().map(Value::from).collect();
        match requirement.operator {
            Operator::Equals | Operator::DoubleEquals => {
                let value = values.into_iter().next().unwrap_or_default();
                out.entry(&["matchLabels"]).map_mut().insert(requirement.key.clone(), value);
            }
            other => {
                let name = match other {
                    Operator::In => "In",
                    Operator::NotIn | Operator::NotEquals => "NotIn",
                    Operator::Exists => "Exists",
                    Operator::DoesNotExist => "DoesNotExist",
                    _ => return fail(format!("{:?} is not a valid label selector operator", requirement.to_string())),
                };
                let mut expression = value!({"key": (&requirement.key), "operator": name});
                if !values.is_empty() {
                    expression.set_at(&["values"], values);
                }
                out.entry(&["matchExpressions"]).list_mut().push(expression);
            }
        }
    }
    Ok(out)
}
