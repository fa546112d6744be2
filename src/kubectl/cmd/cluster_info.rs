//! `kubectl cluster-info`.

use apimachinery::{Request, resources};

use crate::ctx::{Ctx, Next, Res, done, fail};

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let server = ctx.config()?.server.clone();
    let mut request = Request::list(resources::services(), "kube-system");
    request.options.label_selector = Some("kubernetes.io/cluster-service=true".into());
    let services = ctx.list(request)?.items;
    ctx.println(format!("Kubernetes control plane is running at {server}"));
    for service in services {
        let name = service.label("kubernetes.io/name").unwrap_or(service.name()).to_string();
        let port = service.list_at(&["spec", "ports"]).first().and_then(|p| p.str_at(&["name"])).unwrap_or("").to_string();
        let port = if port.is_empty() { String::new() } else { format!(":{port}") };
        ctx.println(format!(
            "{name} is running at {server}/api/v1/namespaces/{}/services/{}{port}/proxy",
            service.namespace(),
            service.name()
        ));
    }
    ctx.println("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.");
    done()
}

pub(super) fn dump(_: &mut Ctx) -> Res<Next> {
    fail("kubectl cluster-info dump is not in this bottle: use kubectl get all,events -A -o yaml")
}
