//! Starting one container: back-off, image, creation, start, postStart. Models `kuberuntime_container.go` and `images/image_manager.go`.

use std::rc::Rc;

use apimachinery::Value;
use apimachinery::field::go_quote;
use base::Duration;
use client_go::EventType;
use cri_api::cri::{ContainerConfig, ContainerState, ContainerStatus, Id, Image, Request, Response};

use crate::hooks;
use crate::pod::{self, Kind, Spec};
use crate::pod_worker::{Active, Cx, Effect, Op, PodWorker, Stage};

type Text = Rc<str>;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    Inspect,
    Pull,
    Create,
    Start,
    PostStart,
    /// The hook failed: the container is being killed.
    Undo,
}

/// A container on its way.
#[derive(Clone, Debug)]
pub struct Starting {
    spec: Spec,
    phase: Phase,
    container: Id,
    attempt: u32,
    image: Option<Image>,
    config: Rc<ContainerConfig>,
    error: String,
}

impl Starting {
    /// Whether the runtime is making or starting it right now.
    pub fn is_creating(&self) -> bool {
        matches!(self.phase, Phase::Create | Phase::Start)
    }
}

impl PodWorker {
    pub(crate) fn start_container(&mut self, spec: Spec, cx: &Cx, fx: &mut Vec<Effect>) {
        if spec.kind != Kind::Ephemeral && self.in_back_off(&spec, cx, fx) {
            return;
        }
        let image = spec.text("image");
        if let Some(problem) = invalid_image(&image) {
            let message = format!("Failed to apply default image tag {}: {problem}", go_quote(&image));
            self.event(Some(&spec), EventType::Warning, "InspectFailed", message.clone(), fx);
            return self.refuse(&spec, "InvalidImageName", message, "InvalidImageName", fx);
        }
        let attempt = self.containers.iter().filter(|c| c.name == spec.name).map(|c| c.attempt + 1).max().unwrap_or(0);
        let starting = Starting {
            spec,
            phase: Phase::Inspect,
            container: "".into(),
            attempt,
            image: None,
            config: Rc::default(),
            error: String::new(),
        };
        self.active = Some(Active::Start(starting));
        fx.push(Effect::Cri(Op::Start, Request::ImageStatus { image }));
    }

    /// Models `doBackOff`.
    fn in_back_off(&mut self, spec: &Spec, cx: &Cx, fx: &mut Vec<Effect>) -> bool {
        let Some(ended) = self.latest(&spec.name).filter(|c| c.state == ContainerState::Exited).cloned() else { return false };
        let at = ended.finished_at.unwrap_or(cx.now);
        let backoff = self.backoffs.entry(spec.name.clone()).or_default();
        let Some(rest) = backoff.rest(at, cx.now) else {
            backoff.next(at, cx.now);
            return false;
        };
        let delay = backoff.delay();
        let who = pod::format(&self.pod);
        let message = format!("Back-off restarting failed container {} in pod {who}", spec.name);
        self.event(Some(spec), EventType::Warning, "BackOff", message, fx);
        let message = format!("back-off {delay} restarting failed container={} pod={who}", spec.name);
        self.reasons.insert(spec.name.clone(), ("CrashLoopBackOff".into(), message.into()));
        self.rest = Some(self.rest.map_or(rest, |r| r.min(rest)));
        true
    }

    /// The container can't be started now: an event, a reason, and on to the next one.
    fn refuse(&mut self, spec: &Spec, reason: &str, message: String, error: &str, fx: &mut Vec<Effect>) {
        self.event(Some(spec), EventType::Warning, "Failed", format!("Error: {error}"), fx);
        self.reasons.insert(spec.name.clone(), (reason.into(), message.into()));
        self.failed = true;
        self.active = None;
    }

    pub(crate) fn on_start(&mut self, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let Some(Active::Start(starting)) = self.active.take() else { return };
        match starting.phase {
            Phase::Inspect => self.on_inspected(starting, response, cx, fx),
            Phase::Pull => self.on_pulled(starting, response, cx, fx),
            Phase::Create => self.on_created(starting, response, cx, fx),
            Phase::Start => self.on_started(starting, response, cx, fx),
            Phase::PostStart => self.on_post_start(starting, response, fx),
            Phase::Undo => self.on_undone(starting, response),
        }
        match self.stage {
            Stage::Syncing => self.go_on(cx, fx),
            // It ended meanwhile, and this was what was waited for.
            Stage::Terminating if self.active.is_none() => self.stop_containers(cx, fx),
            _ => {}
        }
    }

    fn request(&mut self, mut starting: Starting, phase: Phase, request: Request, fx: &mut Vec<Effect>) {
        starting.phase = phase;
        self.active = Some(Active::Start(starting));
        fx.push(Effect::Cri(Op::Start, request));
    }

    fn on_inspected(&mut self, mut starting: Starting, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let spec = starting.spec.clone();
        let (image, policy) = (spec.text("image"), pull_policy(&spec));
        if let Response::Image(found) = response
            && policy != "Always"
        {
            starting.image = Some(found.clone());
            let message =
                format!("Container image {} already present on machine and can be accessed by the pod", go_quote(&image));
            self.event(Some(&spec), EventType::Normal, "Pulled", message, fx);
            return self.create(starting, cx, fx);
        }
        if policy == "Never" {
            let message = format!("Container image {} is not present with pull policy of Never", go_quote(&image));
            self.event(Some(&spec), EventType::Warning, "ErrImageNeverPull", message.clone(), fx);
            return self.refuse(&spec, "ErrImageNeverPull", message, "ErrImageNeverPull", fx);
        }
        if let Some((backoff, error)) = self.image_backoffs.get(&image)
            && backoff.rest_since_update(cx.now).is_some()
        {
            let what = format!("Back-off pulling image {}", go_quote(&image));
            let message = format!("{what}: ErrImagePull: {error}");
            self.event(Some(&spec), EventType::Normal, "BackOff", what, fx);
            return self.refuse(&spec, "ImagePullBackOff", message, "ImagePullBackOff", fx);
        }
        self.event(Some(&spec), EventType::Normal, "Pulling", format!("Pulling image {}", go_quote(&image)), fx);
        self.request(starting, Phase::Pull, Request::PullImage { image }, fx);
    }

    fn on_pulled(&mut self, mut starting: Starting, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let spec = starting.spec.clone();
        let image = spec.text("image");
        match response {
            Response::Image(pulled) => {
                self.image_backoffs.remove(&image);
                let took = pulled.pulled_in;
                let message = format!(
                    "Successfully pulled image {} in {took} ({took} including waiting). Image size: {} bytes.",
                    go_quote(&image),
                    pulled.size_bytes
                );
                self.event(Some(&spec), EventType::Normal, "Pulled", message, fx);
                starting.image = Some(pulled.clone());
                self.create(starting, cx, fx);
            }
            other => {
                let error = error_text(other);
                let message = format!("Failed to pull image {}: {error}", go_quote(&image));
                self.event(Some(&spec), EventType::Warning, "Failed", message, fx);
                let entry = self.image_backoffs.entry(image).or_default();
                entry.0.next(cx.now, cx.now);
                entry.1 = error.as_str().into();
                // The look that follows at once shows the failure.
                self.changed |= !self.reasons.contains_key(&spec.name);
                self.refuse(&spec, "ErrImagePull", error, "ErrImagePull", fx);
            }
        }
    }

    fn create(&mut self, mut starting: Starting, cx: &Cx, fx: &mut Vec<Effect>) {
        let spec = starting.spec.clone();
        let Some(sandbox) = self.sandbox.as_ref().map(|s| s.id.clone()) else { return };
        match crate::container_config::build(cx, self, &spec, starting.attempt) {
            Ok(config) => {
                starting.config = Rc::new(config);
                self.forget_old(&spec.name, fx);
                let config = starting.config.clone();
                self.request(starting, Phase::Create, Request::CreateContainer { sandbox, config }, fx);
            }
            Err(message) => {
                let error = message.clone();
                self.refuse(&spec, "CreateContainerConfigError", message, &error, fx);
            }
        }
    }

    /// Of ended containers of a name only the newest is kept (for `logs --previous`).
    fn forget_old(&mut self, name: &Text, fx: &mut Vec<Effect>) {
        let mine: Vec<Id> = self.containers.iter().filter(|c| c.name == *name).map(|c| c.id.clone()).collect();
        for id in &mine[..mine.len().saturating_sub(1)] {
            self.containers.retain(|c| c.id != *id);
            fx.push(Effect::Cri(Op::Other, Request::RemoveContainer { container: id.clone() }));
        }
    }

    fn on_created(&mut self, mut starting: Starting, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let spec = starting.spec.clone();
        match response {
            Response::Container { container } => {
                self.event(Some(&spec), EventType::Normal, "Created", "Container created".into(), fx);
                self.hashes.insert(container.clone(), spec.hash());
                if self.stage != Stage::Syncing {
                    return;
                }
                starting.container = container.clone();
                self.request(starting, Phase::Start, Request::StartContainer { container: container.clone() }, fx);
            }
            other => {
                let error = error_text(other);
                self.refuse(&spec, "CreateContainerError", error.clone(), &error, fx);
            }
        }
        let _ = cx;
    }

    fn on_started(&mut self, starting: Starting, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let spec = starting.spec.clone();
        self.changed = true;
        if let Response::Status(status) = response {
            // It may have ended before the answer came: then the event was here first.
            self.note(status);
            self.reasons.remove(&spec.name);
            self.event(Some(&spec), EventType::Normal, "Started", "Container started".into(), fx);
            return self.post_start(starting, cx, fx);
        }
        let error = error_text(response);
        let image = starting.image.clone();
        let failed = ContainerStatus {
            id: starting.container.clone(),
            sandbox: self.sandbox.as_ref().map(|s| s.id.clone()).unwrap_or_default(),
            name: spec.name.clone(),
            attempt: starting.attempt,
            image: image.as_ref().map(|i| i.name.clone()).unwrap_or_default(),
            image_ref: image.map(|i| i.digest).unwrap_or_default(),
            state: ContainerState::Exited,
            created_at: cx.now,
            started_at: Some(base::Time::EPOCH),
            finished_at: Some(cx.now),
            exit_code: 128,
            reason: "StartError".into(),
            message: error.as_str().into(),
        };
        self.note(&failed);
        self.refuse(&spec, "RunContainerError", error.clone(), &error, fx);
    }

    fn post_start(&mut self, starting: Starting, cx: &Cx, fx: &mut Vec<Effect>) {
        let hook = starting.spec.value.at(&["lifecycle", "postStart"]).cloned();
        let Some(c) = self.latest(&starting.spec.name).cloned() else { return };
        let request = hook.and_then(|h| hooks::request(&h, &self.pod, &c, self.sandbox.as_ref(), Duration::from_secs(120)));
        if let Some(request) = request.filter(|_| self.stage == Stage::Syncing) {
            self.request(starting, Phase::PostStart, request, fx);
        }
        let _ = cx;
    }

    fn on_post_start(&mut self, mut starting: Starting, response: &Response, fx: &mut Vec<Effect>) {
        let spec = starting.spec.clone();
        let hook = spec.value.at(&["lifecycle", "postStart"]).cloned().unwrap_or_default();
        let command = hooks::command(&hook);
        let Some(error) = hooks::failure(response, &command) else { return };
        self.event(Some(&spec), EventType::Warning, "FailedPostStartHook", "PostStartHook failed".into(), fx);
        self.event(Some(&spec), EventType::Normal, "Killing", "FailedPostStartHook".into(), fx);
        let who = pod::format(&self.pod);
        let kind =
            if hook.get("exec").is_some() { format!("Exec lifecycle hook ([{command}])") } else { "HTTP lifecycle hook".into() };
        starting.error =
            format!("{kind} for Container {} in Pod {} failed - error: {error}", go_quote(&spec.name), go_quote(&who));
        let grace = Duration::from_secs(self.pod.int_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or(30).max(2));
        let container = starting.container.clone();
        self.request(starting, Phase::Undo, Request::StopContainer { container, grace }, fx);
    }

    fn on_undone(&mut self, starting: Starting, response: &Response) {
        self.note_end(&starting.container, response);
        self.reasons.insert(starting.spec.name.clone(), ("PostStartHookError".into(), starting.error.as_str().into()));
        self.failed = true;
    }
}

/// The text of an error answer.
fn error_text(response: &Response) -> String {
    match response {
        Response::Error { message, .. } => message.to_string(),
        other => format!("unexpected answer of the runtime: {other:?}"),
    }
}

/// `imagePullPolicy`, or what defaulting would have put there (static pods).
fn pull_policy(spec: &Spec) -> &str {
    if let Some(policy) = spec.value.get("imagePullPolicy").and_then(Value::as_str).filter(|p| !p.is_empty()) {
        return policy;
    }
    let image = spec.value.str_at(&["image"]).unwrap_or("");
    let tag = image.rsplit_once('/').map_or(image, |(_, last)| last).split_once(':').map(|(_, tag)| tag);
    if matches!(tag, None | Some("latest")) { "Always" } else { "IfNotPresent" }
}

/// What is wrong with an image's name. Models `parsers.ParseImageName` for what users get wrong most: capitals.
fn invalid_image(image: &str) -> Option<String> {
    let first = image.split('@').next().unwrap_or("");
    let (path, tag) = match first.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (first, None),
    };
    let path = path.trim_end_matches(':');
    let full = if path.contains('/') { path.to_string() } else { format!("library/{path}") };
    let name = full
        .split_once('/')
        .filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost")
        .map_or(&*full, |(_, rest)| rest);
    let problem = match () {
        _ if name.chars().any(|c| c.is_ascii_uppercase()) => format!("repository name ({name}) must be lowercase"),
        _ if path.is_empty() || tag == Some("") || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:".contains(c)) => {
            String::new()
        }
        _ => return None,
    };
    let detail = if problem.is_empty() { String::new() } else { format!(": {problem}") };
    Some(format!("couldn't parse image name {}: invalid reference format{detail}", go_quote(image)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for good in ["nginx", "nginx:1.27", "docker.io/library/nginx", "localhost:5000/a/b:v1", "a@sha256:0f"] {
            assert_eq!(invalid_image(good), None, "{good}");
        }
        assert_eq!(
            invalid_image("BusyBox::1").unwrap(),
            "couldn't parse image name \"BusyBox::1\": invalid reference format: repository name (library/BusyBox) must be lowercase"
        );
    }
}
