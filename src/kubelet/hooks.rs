//! postStart and preStop. Models `pkg/kubelet/lifecycle/handlers.go`.

use std::rc::Rc;

use apimachinery::{Object, Value};
use base::Duration;
use cri_api::cri::{ContainerStatus, Dial, HttpScheme, Request, Response};

use crate::pod_worker::Sandbox;

type Text = Rc<str>;

/// What to ask the runtime for a handler of a hook or a probe. `None`: there is nothing to do.
pub fn request(
    handler: &Value,
    pod: &Object,
    c: &ContainerStatus,
    sandbox: Option<&Sandbox>,
    timeout: Duration,
) -> Option<Request> {
    let ip: Text = sandbox.and_then(|s| s.ips.first().cloned()).unwrap_or_default();
    let text = |v: &Value, field: &str| v.get(field).and_then(Value::as_rc_str).cloned().unwrap_or_default();
    if let Some(exec) = handler.get("exec") {
        let command = exec.list_at(&["command"]).iter().filter_map(Value::as_rc_str).cloned().collect();
        return Some(Request::ExecSync { container: c.id.clone(), command, timeout });
    }
    if let Some(get) = handler.get("httpGet") {
        let host = Some(text(get, "host")).filter(|h| !h.is_empty()).unwrap_or(ip);
        let scheme = if get.str_at(&["scheme"]) == Some("HTTPS") { HttpScheme::Https } else { HttpScheme::Http };
        let header = |h: &Value| (text(h, "name"), text(h, "value"));
        let headers = get.list_at(&["httpHeaders"]).iter().map(header).collect();
        let path = Some(text(get, "path")).filter(|p| !p.is_empty()).unwrap_or_else(|| "/".into());
        let port = port(get.get("port")?, pod, &c.name)?;
        return Some(Request::Dial { dial: Dial::Http { scheme, host, port, path, headers }, timeout });
    }
    if let Some(tcp) = handler.get("tcpSocket") {
        let host = Some(text(tcp, "host")).filter(|h| !h.is_empty()).unwrap_or(ip);
        return Some(Request::Dial { dial: Dial::Tcp { host, port: port(tcp.get("port")?, pod, &c.name)? }, timeout });
    }
    if let Some(grpc) = handler.get("grpc") {
        let dial = Dial::Grpc { host: ip, port: port(grpc.get("port")?, pod, &c.name)?, service: text(grpc, "service") };
        return Some(Request::Dial { dial, timeout });
    }
    if let Some(seconds) = handler.int_at(&["sleep", "seconds"]) {
        // Sleeping is done in the container's place by a command of the same length.
        let command = vec!["sleep".into(), seconds.to_string().into()];
        return Some(Request::ExecSync { container: c.id.clone(), command, timeout });
    }
    None
}

/// A port by number or by the name of one of the container's ports.
fn port(port: &Value, pod: &Object, container: &str) -> Option<u16> {
    if let Some(n) = port.as_i64() {
        return u16::try_from(n).ok();
    }
    let name = port.as_str()?;
    if let Ok(n) = name.parse() {
        return Some(n);
    }
    let spec = crate::pod::all_specs(pod).into_iter().find(|s| &*s.name == container)?;
    let found = spec.value.list_at(&["ports"]).iter().find(|p| p.str_at(&["name"]) == Some(name))?;
    found.int_at(&["containerPort"]).and_then(|n| u16::try_from(n).ok())
}

/// Why a hook failed, if it did. `command` as upstream repeats it.
pub fn failure(response: &Response, command: &str) -> Option<String> {
    match response {
        Response::ExecSync { exit_code: 0, timed_out: false, .. } => None,
        Response::ExecSync { timed_out: true, .. } => Some(format!("command '{command}' timed out")),
        Response::ExecSync { exit_code, stdout, stderr, .. } => {
            let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
            let output = apimachinery::field::go_quote(&format!("{stdout}{stderr}"));
            Some(format!("command '{command}' exited with {exit_code}: {stderr}, message: {output}"))
        }
        Response::Error { message, .. } => Some(message.to_string()),
        _ => None,
    }
}

/// The words of an exec handler.
pub fn command(handler: &Value) -> String {
    let words: Vec<&str> = handler.list_at(&["exec", "command"]).iter().filter_map(Value::as_str).collect();
    words.join(" ")
}
