//! `kubectl debug`: ephemeral containers and copies of pods. Left out, by name: nodes, custom profiles.

use apimachinery::{Object, PatchType, Value, value};

use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::error::Error;
use crate::merge;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let Some(target) = flags.args.first().cloned() else {
        return Err(Error::Usage("NAME or TYPE/NAME is required for debug".into(), "kubectl debug".into()).into());
    };
    if flags.str("image").is_empty() && flags.list("set-image").is_empty() {
        return fail("you must specify --image or --set-image");
    }
    if target.starts_with("node/") || target.starts_with("no/") {
        return fail("debugging nodes is not in this bottle");
    }
    let pod = super::exec::pod_of(ctx, target.strip_prefix("pod/").unwrap_or(&target))?;
    let mapping = ctx.resource("pods")?;
    let info = Info::from_object(mapping, pod, "");
    let name = match flags.str("container") {
        "" => format!(
            "debugger-{}",
            base::Seed(base::hash64(info.object.resource_version().as_bytes())).suffix(ctx.first_time().0 as u64, 5)
        ),
        given => given.to_string(),
    };
    match flags.str("copy-to") {
        "" => ephemeral(ctx, &info, &name),
        copy => copied(ctx, &info, &name, copy),
    }
}

fn container(ctx: &Ctx, name: &str) -> Value {
    let flags = &ctx.flags;
    let mut container = value!({
        "name": name, "image": (flags.str("image")), "resources": {}, "terminationMessagePolicy": "File",
        "stdin": (flags.bool("stdin")), "tty": (flags.bool("tty"))
    });
    if !flags.str("image-pull-policy").is_empty() {
        container.set_at(&["imagePullPolicy"], flags.str("image-pull-policy"));
    }
    let words: Vec<Value> = flags.args.iter().skip(1).map(Value::from).collect();
    if !words.is_empty() {
        container.set_at(&[if flags.bool("arguments-only") { "args" } else { "command" }], words);
    }
    let env: Vec<Value> =
        flags.list("env").iter().filter_map(|e| e.split_once('=')).map(|(k, v)| value!({"name": k, "value": v})).collect();
    if !env.is_empty() {
        container.set_at(&["env"], env);
    }
    container
}

fn ephemeral(ctx: &mut Ctx, info: &Info, name: &str) -> Res<Next> {
    let flags = ctx.flags.clone();
    let mut made = container(ctx, name);
    if !flags.str("target").is_empty() {
        made.set_at(&["targetContainerName"], flags.str("target"));
        if !flags.bool("quiet") {
            ctx.println(format!(
                "Targeting container {:?}. If you don't see processes from this container it may be because the container runtime doesn't support this feature.",
                flags.str("target")
            ));
        }
    }
    if flags.str("container").is_empty() && !flags.bool("quiet") {
        ctx.eprintln(format!("Defaulting debug container name to {name}."));
    }
    let mut changed = info.object.clone();
    changed.value_mut().entry(&["spec", "ephemeralContainers"]).list_mut().push(made);
    let (_, patch) = merge::two_way(info.object.value(), changed.value(), info.mapping.gvk());
    ctx.patch_object(info, PatchType::StrategicMerge, patch, "ephemeralcontainers")?;
    finish(ctx, info, name)
}

/// Attaches if asked to.
fn finish(ctx: &mut Ctx, info: &Info, name: &str) -> Res<Next> {
    let attaches = ctx.flags.bool("attach") || ctx.flags.bool("stdin") && !ctx.flags.changed("attach");
    if !attaches {
        return done();
    }
    let mut flags = (*ctx.flags).clone();
    flags.set("container", name);
    flags.args = vec![info.name.to_string()];
    ctx.set_flags(flags);
    crate::ctx::then(super::attach::run_when_started)
}

fn copied(ctx: &mut Ctx, info: &Info, name: &str, copy: &str) -> Res<Next> {
    let flags = ctx.flags.clone();
    let mut spec = info.object.get("spec").cloned().unwrap_or_default();
    if !flags.bool("same-node") {
        spec.map_mut().remove("nodeName");
    }
    spec.map_mut().remove("ephemeralContainers");
    for pair in flags.list("set-image") {
        let Some((wanted, image)) = pair.split_once('=') else { continue };
        for container in spec.entry(&["containers"]).list_mut() {
            if wanted == "*" || container.str_at(&["name"]) == Some(wanted) {
                container.set_at(&["image"], image);
            }
        }
    }
    for container in spec.entry(&["containers"]).list_mut() {
        for (flag, field) in
            [("keep-liveness", "livenessProbe"), ("keep-readiness", "readinessProbe"), ("keep-startup", "startupProbe")]
        {
            if !flags.bool(flag) {
                container.map_mut().remove(field);
            }
        }
    }
    if !flags.str("image").is_empty() {
        let list = spec.entry(&["containers"]).list_mut();
        let made = container(ctx, name);
        match list.iter_mut().find(|c| c.str_at(&["name"]) == Some(name)) {
            Some(old) => old.set_at(&["image"], flags.str("image")),
            None => list.push(made),
        }
    }
    if flags.bool("share-processes") && flags.changed("share-processes") || flags.list("set-image").is_empty() {
        spec.set_at(&["shareProcessNamespace"], true);
    }
    let mut metadata = value!({"name": copy, "namespace": (&info.namespace)});
    for (flag, field) in [("keep-labels", "labels"), ("keep-annotations", "annotations")] {
        if let Some(map) = info.object.at(&["metadata", field]).filter(|_| flags.bool(flag)) {
            metadata.set_at(&[field], map);
        }
    }
    let object = value!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    let made = Info::from_object(info.mapping.clone(), Object::from_value(object).unwrap_or_default(), "");
    ctx.create_object(&made, &made.object.clone())?;
    if flags.bool("replace") {
        ctx.send_ok(super::util::delete_request(info, Value::map()))?;
    }
    finish(ctx, &made, name)
}
