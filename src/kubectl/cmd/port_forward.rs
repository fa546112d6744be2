//! `kubectl port-forward`: checks what would be forwarded, then says that this bottle has no local ports to listen on.

use super::exec::pod_of;
use crate::ctx::{Ctx, Next, Res, fail};
use crate::error::Error;

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let args = ctx.flags.args.clone();
    let Some((target, ports)) = args.split_first().filter(|(_, ports)| !ports.is_empty()) else {
        let text = "TYPE/NAME and list of ports are required for port-forward";
        return Err(Error::Usage(text.into(), "kubectl port-forward".into()).into());
    };
    let pod = pod_of(ctx, target)?;
    if pod.str_at(&["status", "phase"]) != Some("Running") {
        let phase = pod.str_at(&["status", "phase"]).unwrap_or("Unknown");
        return fail(format!("unable to forward port because pod is not running. Current status={phase}"));
    }
    fail(format!(
        "port-forward is not in this bottle: your laptop cannot listen on a port for {}. Use a Service of type NodePort, or curl from a pod (kubectl run -it --rm --image=curlimages/curl)",
        ports.join(", ")
    ))
}
