//! The kubelet and its container runtime: requests, answers, events, and the list of what there is.

use std::rc::Rc;

use apimachinery::{Value, value};
use base::{Duration, Map, Sort as _, Time};
use cri_api::cri;
use sim::{Outbox, Payload};

use super::{CriCall, Kubelet, RELIST, Text};
use crate::kubelet::informer;

impl Kubelet {
    /// Sends a request to the runtime.
    pub(crate) fn cri(&mut self, call: CriCall, request: cri::Request, out: &mut Outbox) -> u64 {
        self.next_cri += 1;
        let id = self.next_cri;
        self.cri_calls.insert(id, call);
        if let Some(runtime) = self.config.runtime {
            out.send(runtime, Payload::Cri(Rc::new(cri::Message::Request { id, request })));
        }
        id
    }

    pub(super) fn on_cri(&mut self, message: &cri::Message, out: &mut Outbox) {
        match message {
            cri::Message::Response { id, response } => {
                let Some(call) = self.cri_calls.remove(id) else { return };
                self.on_cri_response(*id, call, response, out);
            }
            cri::Message::Event(event) => self.on_cri_event(event, out),
            cri::Message::Frame { id, channel, data } => self.frame_out(*id, *channel, data, out),
            cri::Message::FrameEnd { id } => self.end_out(*id, out),
            cri::Message::Request { .. } => {}
        }
    }

    pub(super) fn on_cri_response(&mut self, id: u64, call: CriCall, response: &cri::Response, out: &mut Outbox) {
        match (call, response) {
            (CriCall::Pod(uid, op), response) => self.with_worker(&uid, out, |w, cx, fx| w.on_cri(op, response, cx, fx)),
            (CriCall::Served(to, stream, served), response) => self.on_served(id, (to, stream), served, response, out),
            (CriCall::ListPods, cri::Response::Pods(pods)) if self.known.is_none() => self.on_runtime_known(pods, out),
            (CriCall::ListPods, cri::Response::Pods(pods)) => self.on_relisted(pods, out),
            (CriCall::ListImages, cri::Response::Images(images)) => self.on_images(images, out),
            (CriCall::Manifests, cri::Response::Files(files)) => self.on_manifests(files, out),
            (CriCall::Usage, cri::Response::Stats { node, containers, volumes }) => {
                self.on_usage(&crate::eviction::Usage { node: *node, containers, volumes }, out);
            }
            (CriCall::UnusedImages, cri::Response::Images(images)) => self.remove_unused_images(images, out),
            (CriCall::Manifests, _) => self.on_manifests(&[], out),
            _ => {}
        }
    }

    /// The runtime answers: manifests are read, and the node may register.
    pub(super) fn on_runtime_known(&mut self, pods: &[cri::PodStatus], out: &mut Outbox) {
        let mut known: Map<Text, cri::PodStatus> = Map::default();
        for pod in pods {
            // Of several sandboxes of a pod the newest counts; its containers' history is that of all.
            let uid = pod.config.pod_uid.clone();
            let mut pod = pod.clone();
            if let Some(other) = known.get(&uid) {
                let (mut older, newer) =
                    if other.created_at <= pod.created_at { (other.clone(), pod) } else { (pod, other.clone()) };
                older.containers.extend(newer.containers.iter().cloned());
                pod = cri::PodStatus { containers: older.containers, ..newer };
            }
            known.insert(uid, pod);
        }
        self.known = Some(known);
        self.info("kubelet.go:408", "Adding static pod path", vec![("path", (&self.config.static_pod_path).into())]);
        self.info("kubelet.go:419", "Adding apiserver pod source", Vec::new());
        self.info("server.go:1262", "Started kubelet", Vec::new());
        self.info("server.go:180", "Starting to listen", vec![("address", "0.0.0.0".into()), ("port", 10250.into())]);
        self.info("kubelet.go:2436", "Starting kubelet main sync loop", Vec::new());
        self.cri(CriCall::Manifests, cri::Request::WatchDirectory { path: self.config.static_pod_path.clone() }, out);
        self.start_node(out);
    }

    /// The runtime was restarted: workers take over what it has now.
    pub(super) fn on_relisted(&mut self, pods: &[cri::PodStatus], out: &mut Outbox) {
        let uids: Vec<Text> = self.workers.keys().cloned().collect();
        for uid in uids {
            let found = pods.iter().filter(|p| p.config.pod_uid == uid).max_by_key(|p| p.created_at);
            self.with_worker(&uid, out, |w, cx, fx| {
                match found {
                    Some(found) => {
                        if let Some(sandbox) = w.sandbox.as_mut().filter(|s| s.id == found.sandbox) {
                            sandbox.ready = found.ready;
                        }
                        found.containers.iter().for_each(|c| w.note(c));
                    }
                    None => w.sandbox.iter_mut().for_each(|s| s.ready = false),
                }
                w.sync(cx, fx);
            });
        }
        self.end_what_was_to_end(out);
    }

    pub(super) fn on_images(&mut self, images: &[cri::Image], out: &mut Outbox) {
        self.images_stale = false;
        let mut images = images.to_vec();
        images.order_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.name.cmp(&b.name)));
        let image = |i: &cri::Image| value!({"names": [(&i.digest), (&i.name)], "sizeBytes": (i.size_bytes)});
        self.node.images = Value::list(images.iter().take(50).map(image).collect());
        if self.node.registered {
            self.sync_node_status(out);
        }
    }

    pub(super) fn on_cri_event(&mut self, event: &cri::Event, out: &mut Outbox) {
        let relist = self.until_relist(out.now);
        match event {
            cri::Event::ContainerStopped(status) => {
                let owner = self.workers.iter().find(|(_, w)| w.sandbox.as_ref().is_some_and(|s| s.id == status.sandbox));
                let Some(uid) = owner.map(|(uid, _)| uid.clone()) else { return };
                self.note_exit(&uid, status);
                self.with_worker(&uid, out, |w, cx, fx| w.on_container_stopped(status, relist, cx, fx));
            }
            cri::Event::SandboxStopped { sandbox } => {
                let owner = self.workers.iter().find(|(_, w)| w.sandbox.as_ref().is_some_and(|s| s.id == *sandbox));
                let Some(uid) = owner.map(|(uid, _)| uid.clone()) else { return };
                self.with_worker(&uid, out, |w, cx, fx| w.on_sandbox_died(sandbox, relist, cx, fx));
            }
            cri::Event::DirectoryChanged { path, files } if *path == self.config.static_pod_path => self.on_manifests(files, out),
            cri::Event::DirectoryChanged { .. } => {}
            cri::Event::RuntimeGone => self.on_runtime_gone(out),
            cri::Event::RuntimeReady => {
                self.on_runtime_back(out);
                self.cri(CriCall::ListPods, cri::Request::ListPodSandbox, out);
            }
            cri::Event::MemoryLow | cri::Event::UsageHigh => self.on_usage_high(out),
            cri::Event::SystemOom { process, pid } => self.on_system_oom(process, *pid, out),
            cri::Event::NetworkReady(ready) => {
                if std::mem::replace(&mut self.node.network, *ready) != *ready && self.node.registered {
                    self.sync_node_status(out);
                }
            }
        }
    }

    /// Until the next look at the runtime.
    pub(super) fn until_relist(&self, now: Time) -> Duration {
        let past = now.since(self.started).as_micros() % RELIST.as_micros();
        Duration(RELIST.as_micros() - past)
    }

    /// What the runtime has and no source wants is ended. `is_static`: the manifests have just been read.
    pub(crate) fn kill_orphans(&mut self, is_static: bool, out: &mut Outbox) {
        if self.known.as_ref().is_none_or(|k| k.is_empty()) || !(is_static || self.informers.get(informer::PODS).has_synced()) {
            return;
        }
        let known = self.known.take().unwrap_or_default();
        let (orphans, rest): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, pod)| pod.config.is_static == is_static);
        self.known = Some(rest.into_iter().collect());
        for (_, pod) in orphans {
            self.cri(CriCall::Other, cri::Request::StopPodSandbox { sandbox: pod.sandbox.clone() }, out);
            self.cri(CriCall::Other, cri::Request::RemovePodSandbox { sandbox: pod.sandbox }, out);
        }
    }
}
