//! `kubectl autoscale`. Models `kubectl/pkg/cmd/autoscale`.

use apimachinery::{Object, Value, value};

use crate::builder::Select;
use crate::ctx::{Ctx, Next, Res, Stop, done, fail};
use crate::error::aggregate;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let (min, max) = (flags.int("min").unwrap_or(-1), flags.int("max").unwrap_or(-1));
    if max < 1 {
        return fail(format!("--max=MAXPODS is required and must be at least 1, max: {max}"));
    }
    if max < min {
        return fail(format!("--max=MAXPODS must be larger or equal to --min=MINPODS, max: {max}, min: {min}"));
    }
    let (infos, errors) = ctx.infos_and_errors(&Select { latest: true, ..Select::of(ctx) })?;
    if let Some(error) = aggregate(errors) {
        return Err(error.into());
    }
    let mut metrics = Vec::new();
    for (flag, resource) in [("cpu", "cpu"), ("memory", "memory")] {
        if !flags.str(flag).is_empty() {
            metrics.push(metric(flag, resource, flags.str(flag))?);
        }
    }
    if let Some(percent) = flags.int("cpu-percent").filter(|p| *p >= 0) {
        metrics.push(metric("cpu", "cpu", &format!("{percent}%"))?);
    }
    for info in infos {
        let name = if flags.str("name").is_empty() { info.name.to_string() } else { flags.str("name").to_string() };
        let mut spec = value!({
            "maxReplicas": max,
            "scaleTargetRef": {"apiVersion": (info.object.api_version()), "kind": (info.object.kind()), "name": (info.object.name())}
        });
        if min > 0 {
            spec.set_at(&["minReplicas"], min);
        }
        if !metrics.is_empty() {
            spec.set_at(&["metrics"], metrics.clone());
        }
        let object = value!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec
        });
        create(ctx, object)?;
    }
    done()
}

fn create(ctx: &mut Ctx, object: Value) -> Res<()> {
    let mapping = ctx.resource("horizontalpodautoscalers.v2.autoscaling")?;
    if ctx.dry_run()? == crate::printers::DryRun::Client {
        let object = Object::from_value(object).unwrap_or_default();
        return ctx.print_object(&object, "autoscaled");
    }
    let mut object = Object::from_value(object).unwrap_or_default();
    let namespace = ctx.namespace()?;
    object.set_at(&["metadata", "namespace"], &namespace);
    let info = crate::builder::Info::from_object(mapping, object, "");
    match ctx.create_object(&info, &info.object.clone()) {
        Ok(created) => ctx.print_object(&created, "autoscaled"),
        // Upstream tries v1 next, whose one metric is cpu.
        Err(Stop::Err(_)) => {
            fail("failed to create autoscaling/v2 HPA and the configuration is incompatible with autoscaling/v1: empty input")
        }
        Err(stop) => Err(stop),
    }
}

fn metric(flag: &str, resource: &str, text: &str) -> Res<Value> {
    let target = match text.strip_suffix('%') {
        Some(percent) => match percent.parse::<i64>() {
            Ok(n) if n >= 0 => value!({"type": "Utilization", "averageUtilization": n}),
            _ => return fail(format!("invalid --{flag}: invalid percentage value: {text}")),
        },
        None => match apimachinery::Quantity::parse(text) {
            Ok(quantity) => value!({"type": "AverageValue", "averageValue": (quantity.to_string())}),
            Err(e) => return fail(format!("invalid --{flag}: {e}")),
        },
    };
    Ok(value!({"type": "Resource", "resource": {"name": resource, "target": target}}))
}
