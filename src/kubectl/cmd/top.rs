//! `kubectl top`: needs the metrics API, and says so if there is none.

use apimachinery::{Gvr, Object, Quantity, Request, Value};

use crate::ctx::{Ctx, Next, Res, Stop, done, fail};
use crate::printers::tabwriter;

fn metrics(ctx: &mut Ctx, resource: &str, namespace: &str) -> Res<Vec<Object>> {
    let groups = ctx.call(Request::get_path("/apis"))?;
    if !groups.list_at(&["groups"]).iter().any(|g| g.str_at(&["name"]) == Some("metrics.k8s.io")) {
        return fail("Metrics API not available");
    }
    let mut request = Request::list(Gvr::new("metrics.k8s.io", "v1beta1", resource), namespace);
    let selector = ctx.flags.str("selector");
    request.options.label_selector = (!selector.is_empty()).then(|| selector.into());
    match ctx.list(request) {
        Ok(list) => Ok(list.items),
        Err(Stop::Err(error)) if error.is_not_found() => fail("Metrics API not available"),
        Err(stop) => Err(stop),
    }
}

fn usage(value: Option<&Value>, name: &str) -> Quantity {
    value.and_then(|v| v.str_at(&["usage", name])).and_then(|t| Quantity::parse(t).ok()).unwrap_or_else(zero)
}

fn zero() -> Quantity {
    Quantity::parse("0").expect("zero is a quantity")
}

fn cpu(q: Quantity) -> String {
    format!("{}m", q.milli_value())
}
fn memory(q: Quantity) -> String {
    format!("{}Mi", q.value() / (1024 * 1024))
}

pub(super) fn node(ctx: &mut Ctx) -> Res<Next> {
    let found = metrics(ctx, "nodes", "")?;
    let mut text = "NAME\tCPU(cores)\tCPU(%)\tMEMORY(bytes)\tMEMORY(%)\n".to_string();
    let wanted = ctx.flags.args.clone();
    for object in found.iter().filter(|o| wanted.is_empty() || wanted.iter().any(|a| a == o.name())) {
        let node = ctx.call(Request::get(apimachinery::resources::nodes(), &object.key()))?;
        let percent = |used: i64, name: &str| {
            let all = node.str_at(&["status", "allocatable", name]).and_then(|t| Quantity::parse(t).ok()).unwrap_or_else(zero);
            used * 100 / all.milli_value().max(1)
        };
        let (c, m) = (usage(Some(object.value()), "cpu"), usage(Some(object.value()), "memory"));
        let (cp, mp) = (percent(c.milli_value(), "cpu"), percent(m.milli_value(), "memory"));
        text.push_str(&format!("{}\t{}\t{cp}%\t{}\t{mp}%\n", object.name(), cpu(c), memory(m)));
    }
    ctx.print(tabwriter::table(&text));
    done()
}

pub(super) fn pod(ctx: &mut Ctx) -> Res<Next> {
    let namespace = if ctx.flags.bool("all-namespaces") { "".into() } else { ctx.namespace()? };
    let found = metrics(ctx, "pods", &namespace)?;
    let mut text = "NAME\tCPU(cores)\tMEMORY(bytes)\n".to_string();
    for object in found.iter().filter(|o| ctx.flags.args.is_empty() || ctx.flags.args.iter().any(|a| a == o.name())) {
        let (mut c, mut m) = (zero(), zero());
        for container in object.list_at(&["containers"]) {
            c += usage(Some(container), "cpu");
            m += usage(Some(container), "memory");
        }
        text.push_str(&format!("{}\t{}\t{}\n", object.name(), cpu(c), memory(m)));
    }
    ctx.print(tabwriter::table(&text));
    done()
}
