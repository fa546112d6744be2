//! `kubectl top`: what nodes and pods use, from the metrics API. Models `pkg/cmd/top` and `pkg/metricsutil`.
//!
//! Left out by name: `--show-swap` (nothing in the bottle swaps: refused).

use apimachinery::{Gvr, Object, Quantity, Request, Value, resources};
use base::Sort as _;

use crate::ctx::{Ctx, Next, Res, Stop, done, fail};
use crate::printers::tabwriter;

/// Use of CPU in thousandths and of memory in bytes.
#[derive(Clone, Copy, Default)]
struct Use {
    cpu: i64,
    memory: i64,
}

impl Use {
    fn of(usage: Option<&Value>) -> Use {
        Use { cpu: quantity(usage, "cpu").milli_value(), memory: quantity(usage, "memory").value() }
    }
    fn add(&mut self, other: Use) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
    }
    /// Two cells.
    fn cells(self) -> String {
        format!("{}m\t{}Mi\t", self.cpu, self.memory / (1024 * 1024))
    }
}

fn quantity(map: Option<&Value>, name: &str) -> Quantity {
    let found = map.and_then(|v| v.get(name)).and_then(|v| Quantity::from_value(v).ok());
    found.unwrap_or_else(|| Quantity::parse("0").expect("zero is a quantity"))
}

fn check_flags(ctx: &Ctx) -> Res<()> {
    let by = ctx.flags.str("sort-by");
    if !matches!(by, "" | "cpu" | "memory" | "swap") {
        return fail("--sort-by accepts only cpu, memory, or swap");
    }
    if ctx.flags.bool("show-swap") || by == "swap" {
        return fail("--show-swap is not in this bottle: nothing swaps");
    }
    if !ctx.flags.str("selector").is_empty() && !ctx.flags.args.is_empty() {
        return fail("only one of NAME or --selector can be provided");
    }
    Ok(())
}

/// The metrics of a resource: of one object if it is named.
fn metrics(ctx: &mut Ctx, resource: &str, namespace: &str) -> Res<Vec<Object>> {
    let groups = ctx.call(Request::get_path("/apis"))?;
    if !groups.list_at(&["groups"]).iter().any(|g| g.str_at(&["name"]) == Some("metrics.k8s.io")) {
        return fail("Metrics API not available");
    }
    let gvr = Gvr::new("metrics.k8s.io", "v1beta1", resource);
    if let Some(name) = ctx.flags.args.first().cloned() {
        return Ok(vec![ctx.call(Request::get(gvr, &apimachinery::ObjectKey::new(namespace, &name)))?]);
    }
    let mut request = Request::list(gvr, namespace);
    let of = |flag: &str| Some(ctx.flags.str(flag)).filter(|s| !s.is_empty()).map(Into::into);
    (request.options.label_selector, request.options.field_selector) = (of("selector"), of("field-selector"));
    Ok(ctx.list(request)?.items)
}

/// Most first by what was asked for, else by name.
fn sort<T>(rows: &mut [T], by: &str, name: impl Fn(&T) -> String, used: impl Fn(&T) -> Use) {
    rows.order_by(|a, b| match by {
        "cpu" => used(b).cpu.cmp(&used(a).cpu),
        "memory" => used(b).memory.cmp(&used(a).memory),
        _ => name(a).cmp(&name(b)),
    });
}

pub(super) fn node(ctx: &mut Ctx) -> Res<Next> {
    check_flags(ctx)?;
    let mut found: Vec<(Object, Use)> =
        metrics(ctx, "nodes", "")?.into_iter().map(|o| (o.clone(), Use::of(o.get("usage")))).collect();
    if found.is_empty() {
        return fail("metrics not available yet");
    }
    let mut nodes = match ctx.flags.args.first().cloned() {
        Some(name) => vec![ctx.call(Request::get(resources::nodes(), &apimachinery::ObjectKey::new("", &name)))?],
        None => {
            let mut request = Request::list(resources::nodes(), "");
            request.options.label_selector = Some(ctx.flags.str("selector")).filter(|s| !s.is_empty()).map(Into::into);
            ctx.list(request)?.items
        }
    };
    let by = ctx.flags.str("sort-by").to_string();
    sort(&mut found, &by, |(o, _)| o.name().to_string(), |(_, u)| *u);
    let mut text = match ctx.flags.bool("no-headers") {
        true => String::new(),
        false => "NAME\tCPU(cores)\tCPU(%)\tMEMORY(bytes)\tMEMORY(%)\t\n".to_string(),
    };
    let field = if ctx.flags.bool("show-capacity") { "capacity" } else { "allocatable" };
    for (object, used) in &found {
        let node = nodes.iter().position(|n| n.name() == object.name()).map(|i| nodes.remove(i));
        let all = node.as_ref().and_then(|n| n.at(&["status", field]));
        let percent = |used: i64, all: i64| if all == 0 { 0 } else { (used as f64 / all as f64 * 100.0) as i64 };
        let cpu = percent(used.cpu, quantity(all, "cpu").milli_value());
        let memory = percent(used.memory, quantity(all, "memory").value());
        text.push_str(&format!("{}\t{}m\t{cpu}%\t{}Mi\t{memory}%\t\n", object.name(), used.cpu, used.memory / (1024 * 1024)));
    }
    // Nodes whose kubelet could not be asked.
    for node in &nodes {
        text.push_str(&format!("{}\t<unknown>\t<unknown>\t<unknown>\t<unknown>\t\n", node.name()));
    }
    ctx.print(tabwriter::table(&text));
    done()
}

pub(super) fn pod(ctx: &mut Ctx) -> Res<Next> {
    check_flags(ctx)?;
    let everywhere = ctx.flags.bool("all-namespaces");
    let namespace = if everywhere { "".into() } else { ctx.namespace()? };
    let found = match metrics(ctx, "pods", &namespace) {
        Err(Stop::Err(error)) if error.is_not_found() && !ctx.flags.args.is_empty() => {
            let name = ctx.flags.args[0].clone();
            let pod = ctx.call(Request::get(resources::pods(), &apimachinery::ObjectKey::new(&namespace, &name)))?;
            return not_yet(ctx, &pod);
        }
        other => other?,
    };
    if found.is_empty() {
        return nothing(ctx, &namespace);
    }
    let mut pods: Vec<(Object, Use)> = found
        .into_iter()
        .map(|pod| {
            let mut sum = Use::default();
            pod.list_at(&["containers"]).iter().for_each(|c| sum.add(Use::of(c.get("usage"))));
            (pod, sum)
        })
        .collect();
    let by = ctx.flags.str("sort-by").to_string();
    let name = |pod: &Object| if everywhere { format!("{}/{}", pod.namespace(), pod.name()) } else { pod.name().to_string() };
    sort(&mut pods, &by, |(pod, _)| name(pod), |(_, used)| *used);
    let containers = ctx.flags.bool("containers");
    let mut text = String::new();
    if !ctx.flags.bool("no-headers") {
        text.push_str(if everywhere { "NAMESPACE\t" } else { "" });
        text.push_str(if containers { "POD\t" } else { "" });
        text.push_str("NAME\tCPU(cores)\tMEMORY(bytes)\t\n");
    }
    let mut total = Use::default();
    for (pod, sum) in &pods {
        total.add(*sum);
        let place = if everywhere { format!("{}\t", pod.namespace()) } else { String::new() };
        if !containers {
            text.push_str(&format!("{place}{}\t{}\n", pod.name(), sum.cells()));
            continue;
        }
        let mut rows: Vec<(String, Use)> = pod
            .list_at(&["containers"])
            .iter()
            .map(|c| (c.str_at(&["name"]).unwrap_or("").to_string(), Use::of(c.get("usage"))))
            .collect();
        sort(&mut rows, &by, |(name, _)| name.clone(), |(_, used)| *used);
        for (name, used) in rows {
            text.push_str(&format!("{place}{}\t{name}\t{}\n", pod.name(), used.cells()));
        }
    }
    if ctx.flags.bool("sum") {
        let blank = "\t".repeat(usize::from(everywhere) + usize::from(containers));
        text.push_str(&format!("{blank}\t________\t________\t\n{blank}\t{}\n", total.cells()));
    }
    ctx.print(tabwriter::table(&text));
    done()
}

/// No metrics at all: because there are no pods, or because they are too young. Models `verifyEmptyMetrics`.
fn nothing(ctx: &mut Ctx, namespace: &str) -> Res<Next> {
    let mut request = Request::list(resources::pods(), namespace);
    request.options.label_selector = Some(ctx.flags.str("selector")).filter(|s| !s.is_empty()).map(Into::into);
    match ctx.list(request)?.items.first().cloned() {
        Some(pod) => not_yet(ctx, &pod),
        None => {
            ctx.eprintln(match namespace {
                "" => "No resources found".to_string(),
                namespace => format!("No resources found in {namespace} namespace."),
            });
            done()
        }
    }
}

/// A pod without metrics: wrong if it is older than two minutes.
fn not_yet(ctx: &mut Ctx, pod: &Object) -> Res<Next> {
    let age = pod.creation_timestamp().map(|t| ctx.now.since(t)).unwrap_or_default();
    if age.as_secs() > 120 {
        let (minutes, seconds) = (age.as_secs() / 60, age.as_secs() % 60);
        return fail(format!("Metrics not available for pod {}/{}, age: {minutes}m{seconds}s", pod.namespace(), pod.name()));
    }
    fail("metrics not available yet")
}
