//! A container runtime that does what a script says: each container ends by itself or at a signal.

use std::rc::Rc;

use base::{Duration, Time};
use cri_api::cri::{self, ContainerState, ContainerStatus};
use sim::{Outbox, Payload};

use super::world::{KUBELET, Script, World};

impl World {
    pub(super) fn runtime(&mut self, payload: Payload, out: &mut Outbox) {
        let Payload::Cri(message) = payload else { return self.script_ended(payload, out) };
        let cri::Message::Request { id, request } = &*message else { return };
        if let cri::Request::StopContainer { container, grace } = request {
            let script = self.scripts.get(&*self.containers[container].name);
            let after = if matches!(script, Some(Script::AtSignal(_))) { Duration::from_millis(100) } else { *grace };
            self.stops.entry(container.clone()).or_default().push(*id);
            return out.timer(after, container[1..].parse().unwrap());
        }
        let (delay, response) = self.serve(request, out);
        let answer = cri::Message::Response { id: *id, response };
        out.send_after(Duration::from_millis(delay), KUBELET, Payload::Cri(Rc::new(answer)));
    }

    /// Milliseconds, and the answer.
    fn serve(&mut self, request: &cri::Request, out: &mut Outbox) -> (i64, cri::Response) {
        match request {
            cri::Request::ListPodSandbox => (0, cri::Response::Pods(vec![])),
            cri::Request::WatchDirectory { .. } => {
                let ready = cri::Message::Event(cri::Event::NetworkReady(true));
                out.send(KUBELET, Payload::Cri(Rc::new(ready)));
                (0, cri::Response::Files(vec![]))
            }
            cri::Request::RunPodSandbox(_) => {
                self.counter += 1;
                let ip = format!("10.244.0.{}", self.counter + 1).parse().unwrap();
                (400, cri::Response::Sandbox { sandbox: format!("sandbox-{}", self.counter).into(), ips: vec![ip] })
            }
            cri::Request::ImageStatus { image } if **image == *self.missing_image => (0, cri::Response::NoImage),
            cri::Request::ImageStatus { image } | cri::Request::PullImage { image } if **image != *self.missing_image => {
                let (name, digest) = (image.clone(), "sha256:0".into());
                (0, cri::Response::Image(cri::Image { name, digest, size_bytes: 1, user: None, pulled_in: Duration::ZERO }))
            }
            cri::Request::PullImage { image } => {
                let message = format!("rpc error: code = NotFound desc = {image}: not found").into();
                (200, cri::Response::Error { code: "NotFound".into(), message })
            }
            cri::Request::CreateContainer { sandbox, config } => (10, self.create(sandbox, config, out.now)),
            cri::Request::StartContainer { container } => {
                let status = self.containers.get_mut(container).unwrap();
                (status.state, status.started_at) = (ContainerState::Running, Some(out.now));
                if let Some(Script::Ends(after, _)) = self.scripts.get(&*status.name) {
                    out.timer(Duration::from_millis(*after), container[1..].parse().unwrap());
                }
                (50, cri::Response::Status(status.clone()))
            }
            cri::Request::ExecSync { .. } => {
                let ok = (self.exec_ok)(out.now.since(self.start));
                let stderr: Rc<[u8]> = if ok { [].into() } else { b"no\n"[..].into() };
                (5, cri::Response::ExecSync { exit_code: !ok as i32, stdout: [].into(), stderr, timed_out: false })
            }
            _ => (0, cri::Response::Done),
        }
    }

    fn create(&mut self, sandbox: &Rc<str>, config: &cri::ContainerConfig, now: Time) -> cri::Response {
        self.counter += 1;
        let container: Rc<str> = format!("c{}", self.counter).into();
        let status = ContainerStatus {
            id: container.clone(),
            sandbox: sandbox.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
            image_ref: "sha256:0".into(),
            state: ContainerState::Created,
            created_at: now,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            reason: "".into(),
            message: "".into(),
        };
        self.containers.insert(container.clone(), status);
        cri::Response::Container { container }
    }

    fn script_ended(&mut self, payload: Payload, out: &mut Outbox) {
        let Payload::Timer(n) = payload else { return };
        let id: Rc<str> = format!("c{n}").into();
        let Some(status) = self.containers.get_mut(&id).filter(|c| c.state == ContainerState::Running) else { return };
        let code = match self.scripts.get(&*status.name) {
            Some(Script::Ends(_, code) | Script::AtSignal(code)) => *code,
            None => 137,
        };
        (status.state, status.finished_at, status.exit_code) = (ContainerState::Exited, Some(out.now), code);
        status.reason = if code == 0 { "Completed" } else { "Error" }.into();
        let status = status.clone();
        for id in self.stops.remove(&id).unwrap_or_default() {
            let answer = cri::Message::Response { id, response: cri::Response::Status(status.clone()) };
            out.send(KUBELET, Payload::Cri(Rc::new(answer)));
        }
        out.send(KUBELET, Payload::Cri(Rc::new(cri::Message::Event(cri::Event::ContainerStopped(status)))));
    }
}
