//! The pods of the node: they come, are admitted or refused, get their workers, and go.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, Value, resources, value};
use client_go::{Delta, EventType, object_reference};
use cri_api::cri;
use sim::Outbox;

use super::{Call, CriCall, Kubelet, Text, Wake, only_status_of_ours_changed};
use crate::admission;
use crate::kubelet::informer;
use crate::pod_worker::{Cx, Effect, PodWorker, Stage};

impl Kubelet {
    /// A pod that is bound to this node came, changed or went.
    pub(super) fn on_api_pod(&mut self, delta: &Delta, out: &mut Outbox) {
        let uid: Text = delta.object().uid().into();
        if let Some(old) = delta.old.as_ref().filter(|old| old.uid() != &*uid) {
            self.remove_pod(&old.uid().into(), out);
        }
        self.note_api_pod(delta);
        let Some(pod) = &delta.new else { return self.remove_pod(&uid, out) };
        let mut pod = pod.clone();
        pod.set_at(&["metadata", "annotations", "kubernetes.io/config.seen"], self.started.rfc3339_nano());
        pod.set_at(&["metadata", "annotations", "kubernetes.io/config.source"], "api");
        if !self.workers.contains_key(&uid) {
            return self.add_pod(pod, false, out);
        }
        if delta.old.as_ref().is_some_and(|old| only_status_of_ours_changed(old, &pod)) {
            // What came back is what was sent.
            self.with_worker(&uid, out, |w, _, _| w.pod = pod);
            return;
        }
        self.references.register(&pod, out);
        self.with_worker(&uid, out, |w, cx, fx| w.update(pod, cx, fx));
    }

    /// Forced away, or gone in the end.
    pub(super) fn remove_pod(&mut self, uid: &Text, out: &mut Outbox) {
        let Some(worker) = self.workers.get(uid) else { return };
        if worker.stage == Stage::Terminated {
            return self.finish(uid, out);
        }
        self.forget_status(uid);
        self.with_worker(uid, out, |w, cx, fx| w.terminate(0, cx, fx));
    }

    pub(crate) fn add_pod(&mut self, pod: Object, is_static: bool, out: &mut Outbox) {
        let uid: Text = pod.uid().into();
        let known = self.known.as_mut().and_then(|k| k.remove(&uid));
        if known.is_none() && crate::pod::is_terminal(&pod) && !pod.is_being_deleted() {
            return; // It ended in an earlier life of the kubelet and left nothing behind.
        }
        let mut worker = PodWorker::new(pod.clone(), is_static, known.as_ref(), out.now);
        if known.is_none() && !is_static && !pod.is_being_deleted() {
            worker.verdict = self.refuse(&pod, out);
        }
        self.references.register(&pod, out);
        self.by_key.insert(pod.key(), uid.clone());
        self.workers.insert(uid.clone(), Rc::new(worker));
        match pod.is_being_deleted() {
            true => self.with_worker(&uid, out, |w, cx, fx| w.update(pod, cx, fx)),
            false => self.with_worker(&uid, out, |w, cx, fx| w.sync(cx, fx)),
        }
    }

    pub(super) fn refuse(&mut self, pod: &Object, out: &mut Outbox) -> Option<(Text, Text)> {
        let here = self.workers.values().filter(|w| w.stage == Stage::Syncing);
        let (mut used, mut count) = ((0, 0), 0);
        for worker in here {
            let r = admission::requests(&worker.pod);
            (used, count) = ((used.0 + r.0, used.1 + r.1), count + 1);
        }
        let (reason, message) = crate::eviction::refuse(self.eviction.pressures, pod)
            .or_else(|| admission::refuse(&self.config, self.node.object.as_ref(), pod, used, count))?;
        if let Some(request) = self.recorder.event(pod, EventType::Warning, &reason, &message, out.now) {
            self.send_event(request, out);
        }
        Some((reason, message))
    }

    /// Runs a worker's method and carries out what it wants.
    pub(crate) fn with_worker(&mut self, uid: &Text, out: &mut Outbox, f: impl FnOnce(&mut PodWorker, &Cx, &mut Vec<Effect>)) {
        let Some(mut worker) = self.workers.get(uid).cloned() else { return };
        let mut effects = Vec::new();
        let cx = Cx {
            config: &self.config,
            now: out.now,
            references: &self.references,
            node: self.node.object.as_ref(),
            services: self.informers.store(informer::SERVICES),
            network: self.node.network,
            relist: self.until_relist(out.now),
        };
        f(Rc::make_mut(&mut worker), &cx, &mut effects);
        self.workers.insert(uid.clone(), worker);
        for effect in effects {
            self.carry_out(uid, effect, out);
        }
    }

    pub(super) fn carry_out(&mut self, uid: &Text, effect: Effect, out: &mut Outbox) {
        let Some(worker) = self.workers.get(uid).cloned() else { return };
        match effect {
            Effect::Cri(op, request) => {
                self.images_stale |= matches!(request, cri::Request::PullImage { .. });
                self.note_request(&worker, &request);
                self.cri(CriCall::Pod(uid.clone(), op), request, out);
            }
            Effect::Event { path, kind, reason, message } => {
                let mut about = object_reference(&worker.pod);
                self.note_pod_event(&worker.key, uid, path.as_deref(), reason, &message);
                if let Some(path) = path {
                    about.set_at(&["fieldPath"], path);
                }
                if let Some(request) = self.recorder.record(about, kind, reason, &message, out.now) {
                    self.send_event(request, out);
                }
            }
            Effect::Status(status) => self.set_status(uid, &worker.key, worker.is_static, status, out),
            Effect::Wake(at) => {
                self.wheel.after(at.since(out.now), Wake::Pod(uid.clone(), at), out.now);
            }
            Effect::ProbeAt(at, name, kind) => {
                self.wheel.after(at.since(out.now), Wake::Probe(uid.clone(), name, kind), out.now);
            }
            Effect::Token { volume, source, audience, seconds } => {
                self.request_token(uid, &worker.pod, volume, source, &audience, seconds, out);
            }
            Effect::Claim { volume, name } => {
                let key = ObjectKey { namespace: worker.key.namespace.clone(), name };
                let request = Request::get(resources::persistentvolumeclaims(), &key);
                self.client.call(request, Call::Claim(uid.clone(), volume), out);
            }
            Effect::Deletable if worker.is_static => self.finish(uid, out),
            Effect::Deletable => {
                self.set_deletable(uid, out);
                // Deleted by force: nothing waits for the end of it.
                if self.informers.store(informer::PODS).get(&worker.key).is_none_or(|p| p.uid() != &**uid) {
                    self.finish(uid, out);
                }
            }
        }
    }

    /// Forgets a pod of which nothing runs any more, and what the runtime keeps of it.
    pub(super) fn finish(&mut self, uid: &Text, out: &mut Outbox) {
        let Some(worker) = self.workers.remove(uid) else { return };
        if self.by_key.get(&worker.key) == Some(uid) {
            self.by_key.remove(&worker.key);
        }
        self.references.unregister(uid, out);
        self.forget_status(uid);
        for sandbox in worker.old_sandboxes.iter().chain(worker.sandbox.iter().map(|s| &s.id)) {
            self.cri(CriCall::Other, cri::Request::RemovePodSandbox { sandbox: sandbox.clone() }, out);
        }
        if worker.is_static {
            self.on_static_gone(&worker.key, out);
        }
    }

    pub(super) fn request_token(
        &mut self,
        uid: &Text,
        pod: &Object,
        volume: Text,
        source: usize,
        audience: &str,
        seconds: i64,
        out: &mut Outbox,
    ) {
        let audiences: Vec<Value> = if audience.is_empty() { vec![] } else { vec![audience.into()] };
        let body = value!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": {"audiences": audiences, "expirationSeconds": seconds,
                "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": (pod.name()), "uid": (pod.uid())}}
        });
        let account = pod.str_at(&["spec", "serviceAccountName"]).filter(|n| !n.is_empty()).unwrap_or("default");
        let body = Object::from_value(body).expect("a map was built");
        let mut request = Request::create(resources::serviceaccounts(), body).with_subresource("token").with_name(account);
        request.namespace = pod.key().namespace;
        self.client.call(request, Call::Token(uid.clone(), volume, source), out);
    }
}
