//! Pods from manifests on the node's disk, and their images in the API (mirror pods). Models `pkg/kubelet/config/file.go` and
//! `pkg/kubelet/pod/mirror_client.go`. Such pods run without kube-apiserver; with one, everybody can see them.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, Response, Value, resources, value, yaml};
use base::{Digest, Duration, Map, TextMap, Time};
use client_go::Delta;
use sim::Outbox;

use crate::config::Config;
use crate::journal::Arg;
use crate::kubelet::{Call, Kubelet, Wake};
use crate::status_manager::is_mirror;

type Text = Rc<str>;

const RETRY: Duration = Duration::from_secs(2);

/// What came from manifests.
#[derive(Clone, Default)]
pub struct StaticPods {
    /// By file name: the pod made from it.
    files: Map<Text, Object>,
    /// Waits for the pod that has its name to be gone.
    waiting: TextMap<ObjectKey, Object>,
    /// The directory was read once.
    pub read: bool,
}

/// A pod from a manifest, as if kube-apiserver had defaulted it. `None`: the text is no pod.
pub fn decode(config: &Config, text: &str, now: Time) -> Option<Object> {
    let mut pod = Object::from_value(yaml::parse(text).ok()?.value)?;
    if pod.kind() != "Pod" || pod.name().is_empty() {
        return None;
    }
    let mut digest = Digest::new();
    digest.write(config.node_name.as_bytes());
    digest.write(text.as_bytes());
    let (a, b) = (digest.finish(), base::mix64(digest.finish()));
    let hash: Text = format!("{a:016x}{b:016x}").into();
    let name = format!("{}-{}", pod.name(), config.node_name);
    pod.set_at(&["metadata", "name"], name);
    if pod.namespace().is_empty() {
        pod.set_at(&["metadata", "namespace"], "default");
    }
    pod.set_at(&["metadata", "uid"], &hash);
    pod.set_at(&["metadata", "annotations", "kubernetes.io/config.hash"], &hash);
    pod.set_at(&["metadata", "annotations", "kubernetes.io/config.seen"], now.rfc3339_nano());
    pod.set_at(&["metadata", "annotations", "kubernetes.io/config.source"], "file");
    pod.set_at(&["spec", "nodeName"], &config.node_name);
    pod.set_at(&["spec", "tolerations"], value!([{"effect": "NoExecute", "operator": "Exists"}]));
    for (field, default) in [
        ("restartPolicy", Value::sym("Always")),
        ("dnsPolicy", Value::sym("ClusterFirst")),
        ("terminationGracePeriodSeconds", 30.into()),
    ] {
        if pod.at(&["spec", field]).is_none() {
            pod.set_at(&["spec", field], default);
        }
    }
    pod.remove_at(&["status"]);
    Some(pod)
}

impl Kubelet {
    /// The directory's files as they are now.
    pub(crate) fn on_manifests(&mut self, files: &[(Text, Rc<[u8]>)], out: &mut Outbox) {
        let mut next: Map<Text, Object> = Map::default();
        for (name, data) in files {
            let Ok(text) = std::str::from_utf8(data) else { continue };
            let Some(pod) = decode(&self.config, text, out.now) else {
                self.note_bad_manifest(name, text);
                continue;
            };
            {
                // A file that did not change keeps its pod.
                let same = self.statics.files.get(name).filter(|old| old.uid() == pod.uid()).cloned();
                next.insert(name.clone(), same.unwrap_or(pod));
            }
        }
        let before = std::mem::replace(&mut self.statics.files, next.clone());
        let remains = |pod: &Object| next.values().any(|p| p.uid() == pod.uid());
        for gone in before.values().filter(|p| !remains(p)) {
            self.statics.waiting.remove(&gone.key());
            self.info("kubelet.go:2553", "SyncLoop REMOVE", vec![("source", "file".into()), ("pods", Arg::Pods(gone.key()))]);
            let grace = gone.int_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
            self.with_worker(&gone.uid().into(), out, |w, cx, fx| w.terminate(grace, cx, fx));
        }
        self.statics.read = true;
        for pod in next.values() {
            self.start_static(pod.clone(), out);
        }
        self.kill_orphans(true, out);
    }

    /// Runs a static pod, when no other has its name any more.
    pub(crate) fn start_static(&mut self, pod: Object, out: &mut Outbox) {
        if self.workers.contains_key(pod.uid()) {
            return;
        }
        if self.by_key.contains_key(&pod.key()) {
            self.statics.waiting.insert(pod.key(), pod);
            return;
        }
        self.info("kubelet.go:2537", "SyncLoop ADD", vec![("source", "file".into()), ("pods", Arg::Pods(pod.key()))]);
        self.ensure_mirror(&pod, out);
        self.add_pod(pod, true, out);
    }

    /// A static pod is gone from the node: its mirror goes, and a changed manifest's pod comes.
    pub(crate) fn on_static_gone(&mut self, key: &ObjectKey, out: &mut Outbox) {
        if let Some(mirror) = self.informers.store(crate::kubelet::informer::PODS).get(key).cloned() {
            self.delete_pod(key, mirror.uid(), Call::Other, out);
        }
        if let Some(pod) = self.statics.waiting.remove(key) {
            self.start_static(pod, out);
        }
    }

    /// Creates the mirror if the node is registered and there is none.
    pub(crate) fn ensure_mirror(&mut self, pod: &Object, out: &mut Outbox) {
        let Some(node) = self.node.object.clone().filter(|_| self.node.registered) else { return };
        if self.informers.store(crate::kubelet::informer::PODS).get(&pod.key()).is_some() {
            return;
        }
        let mut mirror = pod.clone();
        mirror.remove_at(&["metadata", "uid"]);
        mirror.set_at(&["metadata", "annotations", "kubernetes.io/config.mirror"], pod.uid());
        let owner = value!({"apiVersion": "v1", "kind": "Node", "name": (node.name()), "uid": (node.uid()), "controller": true});
        mirror.set_at(&["metadata", "ownerReferences"], vec![owner]);
        self.client.call(Request::create(resources::pods(), mirror), Call::Mirror(pod.uid().into()), out);
    }

    pub(crate) fn on_mirror_response(&mut self, uid: &Text, response: &Response, out: &mut Outbox) {
        if response.is_success() || response.is_already_exists() {
            return self.touch_status(uid, out);
        }
        self.wheel.after(RETRY, Wake::Mirror(uid.clone()), out.now);
    }

    /// All static pods get their mirrors (the node has just been registered, or a retry is due).
    pub(crate) fn ensure_mirrors(&mut self, out: &mut Outbox) {
        let pods: Vec<Object> = self.workers.values().filter(|w| w.is_static).map(|w| w.pod.clone()).collect();
        for pod in pods {
            self.ensure_mirror(&pod, out);
        }
    }

    /// A mirror changed. One that is being deleted goes at once, and comes again while the manifest is there.
    pub(crate) fn on_mirror(&mut self, delta: &Delta, out: &mut Outbox) {
        let pod = delta.object();
        let uid: Text = pod.annotation("kubernetes.io/config.mirror").unwrap_or("").into();
        let ours = self.workers.get(&uid).filter(|w| w.is_static).map(|w| w.pod.clone());
        match (&delta.new, ours) {
            (None, Some(pod)) => self.ensure_mirror(&pod, out),
            // That of the manifest as it was before: the pod of the changed one has the name now.
            (None, None) => {
                let now = self.by_key.get(&pod.key()).and_then(|uid| self.workers.get(uid)).filter(|w| w.is_static);
                if let Some(pod) = now.map(|w| w.pod.clone()) {
                    self.ensure_mirror(&pod, out);
                }
            }
            (Some(mirror), _) if mirror.is_being_deleted() => self.delete_pod(&mirror.key(), mirror.uid(), Call::Other, out),
            (Some(_), Some(_)) if delta.old.is_none() => self.touch_status(&uid, out),
            // Of a manifest that is gone or another now (once the directory has been read).
            (Some(mirror), None) if self.statics.read && self.by_key.get(&mirror.key()).is_none() => {
                self.delete_pod(&mirror.key(), mirror.uid(), Call::Other, out);
            }
            _ => {}
        }
        debug_assert!(is_mirror(pod));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Seed;
    use expect_test::expect;

    #[test]
    fn a_manifest_becomes_a_pod() {
        let client = client_go::ClientConfig {
            apiserver: sim::Addr(1),
            credential: apimachinery::Credential::Anonymous,
            user_agent: "".into(),
            qps: 0,
            burst: 0,
        };
        let config = Config::new("node-1", "172.18.0.2".parse().unwrap(), client, Seed(1));
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: web, image: nginx:1.27}]\n";
        let pod = decode(&config, text, Time::EPOCH).unwrap();
        let uid = pod.uid().to_string();
        expect![[r#"
            apiVersion: v1
            kind: Pod
            metadata:
              annotations:
                kubernetes.io/config.hash: UID
                kubernetes.io/config.seen: "1970-01-01T00:00:00.000000000Z"
                kubernetes.io/config.source: file
              name: web-node-1
              namespace: default
              uid: UID
            spec:
              containers:
              - image: nginx:1.27
                name: web
              dnsPolicy: ClusterFirst
              nodeName: node-1
              restartPolicy: Always
              terminationGracePeriodSeconds: 30
              tolerations:
              - effect: NoExecute
                operator: Exists
        "#]]
        .assert_eq(&yaml::to_string(pod.value()).replace(&uid, "UID"));
        assert!(decode(&config, "kind: ConfigMap", Time::EPOCH).is_none());
    }
}
