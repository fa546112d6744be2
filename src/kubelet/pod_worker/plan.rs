//! What a pod needs next: init containers one after another, then all others. Models `computePodActions`.

use std::collections::VecDeque;

use cri_api::cri::{ContainerState, ContainerStatus};

use super::{PodWorker, Step};
use crate::pod::{Kind, Spec, all_specs, app_specs, init_specs, restarts};
use crate::prober::ProbeKind;

impl PodWorker {
    /// Models `computePodActions`.
    pub(super) fn plan(&self) -> VecDeque<Step> {
        let mut steps = VecDeque::new();
        match &self.sandbox {
            Some(sandbox) if sandbox.ready => {}
            Some(_) => steps.extend([Step::StopSandbox, Step::RunSandbox]),
            None => steps.push_back(Step::RunSandbox),
        }
        let fresh = !steps.is_empty();
        for spec in all_specs(&self.pod).into_iter().filter(|s| s.kind == Kind::Ephemeral) {
            if self.latest(&spec.name).is_none() {
                steps.push_back(Step::Start(spec));
            }
        }
        if self.plan_init(fresh, &mut steps) {
            self.plan_apps(fresh, &mut steps);
        }
        steps
    }

    /// The next init container, and sidecars that ended. True: the containers' turn has come.
    pub(super) fn plan_init(&self, fresh: bool, steps: &mut VecDeque<Step>) -> bool {
        // What ran in an earlier sandbox runs again in this one.
        let here = |c: &&ContainerStatus| !fresh && self.sandbox.as_ref().is_some_and(|s| s.id == c.sandbox);
        let initialized = app_specs(&self.pod).iter().any(|s| self.latest(&s.name).filter(here).is_some());
        for spec in init_specs(&self.pod) {
            let latest = self.latest(&spec.name).filter(here);
            let running = latest.is_some_and(|c| c.state == ContainerState::Running);
            match spec.kind {
                Kind::Sidecar => {
                    if let Some(kill) = latest.filter(|_| running).and_then(|c| self.must_restart(&spec, c)) {
                        steps.extend([kill, Step::Start(spec)]);
                    } else if !running {
                        steps.push_back(Step::Start(spec));
                        if !initialized {
                            return false;
                        }
                    } else if !initialized && !self.probes.outcome(&spec, latest.expect("it runs")).1 {
                        return false;
                    }
                }
                _ if initialized => {}
                _ => match latest {
                    Some(c) if c.state == ContainerState::Exited && c.exit_code == 0 => {}
                    Some(c) if c.state == ContainerState::Running => return false,
                    _ => {
                        steps.push_back(Step::Start(spec));
                        return false;
                    }
                },
            }
        }
        true
    }

    pub(super) fn plan_apps(&self, fresh: bool, steps: &mut VecDeque<Step>) {
        for spec in app_specs(&self.pod) {
            let latest = self.latest(&spec.name);
            match latest {
                None => steps.push_back(Step::Start(spec)),
                Some(c) if c.state == ContainerState::Running && !fresh => {
                    if let Some(kill) = self.must_restart(&spec, c) {
                        steps.extend([kill, Step::Start(spec)]);
                    }
                }
                Some(c) if restarts(&self.pod, Kind::App, c.exit_code) => steps.push_back(Step::Start(spec)),
                Some(_) => {}
            }
        }
    }

    /// Whether a running container has to go: its image changed, or a probe failed.
    pub(super) fn must_restart(&self, spec: &Spec, c: &ContainerStatus) -> Option<Step> {
        let name = &spec.name;
        let message = if self.hashes.get(&c.id).is_some_and(|h| *h != spec.hash()) {
            format!("Container {name} definition changed")
        } else if self.probes.failed(name, &c.id, ProbeKind::Liveness) {
            format!("Container {name} failed liveness probe")
        } else if self.probes.failed(name, &c.id, ProbeKind::Startup) {
            format!("Container {name} failed startup probe")
        } else {
            return None;
        };
        Some(Step::Kill(c.id.clone(), spec.clone(), format!("{message}, will be restarted")))
    }
}
