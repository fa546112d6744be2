//! `kubectl run`. Models `kubectl/pkg/cmd/run`.

use apimachinery::{Object, Value, value};

use super::attach;
use super::create::submit;
use super::expose::overridden;
use super::util::{pairs, string_map};
use crate::builder::Info;
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::error::Error;
use crate::printers::DryRun;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let Some(name) = flags.args.first().filter(|_| flags.dash != Some(0)).cloned() else {
        return Err(Error::Usage("NAME is required for run".into(), "kubectl run".into()).into());
    };
    check(ctx)?;
    let mapping = ctx.resource("pods")?;
    let object = pod(ctx, &name)?;
    let object = overridden(ctx, object)?;
    let attaches = flags.bool("stdin") && ctx.dry_run()? == DryRun::None && !flags.changed("attach") || flags.bool("attach");
    let quiet = flags.bool("quiet") || attaches;
    let pod = match quiet {
        true => create_quietly(ctx, object.clone(), mapping.clone())?,
        false => submit(ctx, mapping.clone(), object.clone(), None)?,
    };
    if flags.bool("expose") {
        expose(ctx, &name, &object)?;
    }
    if attaches {
        let info = Info::from_object(mapping, pod, "");
        return attach::attach_to_new(info, flags.bool("rm"));
    }
    done()
}

fn create_quietly(ctx: &mut Ctx, object: Value, mapping: std::rc::Rc<crate::mapper::Mapping>) -> Res<Object> {
    let mut object = Object::from_value(object).unwrap_or_default();
    let namespace = ctx.namespace()?;
    object.set_at(&["metadata", "namespace"], &namespace);
    let info = Info::from_object(mapping, object, "");
    ctx.create_object(&info, &info.object.clone())
}

fn check(ctx: &mut Ctx) -> Res<()> {
    let flags = ctx.flags.clone();
    let image = flags.str("image");
    let valid = !image.is_empty() && image.chars().all(|c| c.is_ascii_alphanumeric() || "./:-_@".contains(c));
    if !valid {
        return fail(format!("invalid image name {image:?}: invalid reference format"));
    }
    if flags.bool("tty") && !flags.bool("stdin") {
        return fail("-i/--stdin is required for containers with -t/--tty=true");
    }
    if flags.bool("expose") && flags.str("port").is_empty() {
        return fail("--port must be set when exposing a service");
    }
    if !matches!(flags.str("restart"), "Always" | "OnFailure" | "Never") {
        return fail(format!("invalid restart policy: {}, valid values are: Always, OnFailure, Never", flags.str("restart")));
    }
    if flags.bool("rm") && !(flags.bool("attach") || flags.bool("stdin")) {
        return fail("--rm should only be used for attached containers");
    }
    ctx.dry_run()?;
    Ok(())
}

fn pod(ctx: &Ctx, name: &str) -> Res<Value> {
    let flags = &ctx.flags;
    let labels = match flags.str("labels") {
        "" => string_map(&[("run".into(), name.into())]),
        text => string_map(&pairs(&text.split(',').map(String::from).collect::<Vec<_>>())),
    };
    let mut container = value!({"name": name, "image": (flags.str("image")), "resources": {}});
    let words: Vec<Value> = flags.args.iter().skip(1).map(Value::from).collect();
    if !words.is_empty() {
        container.set_at(&[if flags.bool("command") { "command" } else { "args" }], words);
    }
    let mut env = Vec::new();
    for word in flags.list("env") {
        match word.split_once('=') {
            Some((k, v)) if !k.is_empty() => env.push(value!({"name": k, "value": v})),
            _ => return fail(format!("invalid env: {word}")),
        }
    }
    if !env.is_empty() {
        container.set_at(&["env"], env);
    }
    if !flags.str("port").is_empty() {
        match flags.str("port").parse::<i64>() {
            Ok(port) => container.set_at(&["ports"], value!([{"containerPort": port}])),
            Err(_) => return fail(format!("strconv.Atoi: parsing {:?}: invalid syntax", flags.str("port"))),
        }
    }
    if !flags.str("image-pull-policy").is_empty() {
        container.set_at(&["imagePullPolicy"], flags.str("image-pull-policy"));
    }
    if flags.bool("stdin") {
        container.set_at(&["stdin"], true);
        if !flags.bool("leave-stdin-open") {
            container.set_at(&["stdinOnce"], true);
        }
    }
    if flags.bool("tty") {
        container.set_at(&["tty"], true);
    }
    if flags.bool("privileged") {
        container.set_at(&["securityContext", "privileged"], true);
    }
    let mut metadata = value!({"name": name, "labels": labels});
    let annotations = pairs(&flags.list("annotations"));
    if !annotations.is_empty() {
        metadata.set_at(&["annotations"], string_map(&annotations));
    }
    Ok(value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": (flags.str("restart"))}, "status": {}
    }))
}

/// The Service of `--expose`.
fn expose(ctx: &mut Ctx, name: &str, pod: &Value) -> Res<()> {
    let port = ctx.flags.int("port").unwrap_or(0);
    let labels = pod.at(&["metadata", "labels"]).cloned().unwrap_or_default();
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": port, "protocol": "TCP", "targetPort": port}], "selector": labels},
        "status": {"loadBalancer": {}}
    });
    let mapping = ctx.resource("services")?;
    if ctx.flags.str("output") == "yaml" {
        ctx.print("---\n");
    }
    submit(ctx, mapping, service, None).map(drop)
}
