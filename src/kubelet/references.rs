//! ConfigMaps and Secrets that pods refer to, each watched for itself while a pod needs it. Models `pkg/kubelet/util/manager`'s
//! watch-based object manager.

use std::rc::Rc;

use apimachinery::{Gvr, Object, ObjectKey, Value, resources};
use base::Sort as _;
use base::{Map, Seed};
use client_go::{ClientConfig, Handled, Informers, Selectors};
use sim::{Outbox, Payload};

type Text = Rc<str>;

/// ConfigMap or Secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RefKind {
    ConfigMap,
    Secret,
}

impl RefKind {
    fn gvr(self) -> Gvr {
        match self {
            RefKind::ConfigMap => resources::configmaps(),
            RefKind::Secret => resources::secrets(),
        }
    }
    pub fn noun(self) -> &'static str {
        match self {
            RefKind::ConfigMap => "configmap",
            RefKind::Secret => "secret",
        }
    }
}

/// What is known of a referenced object.
pub enum Lookup<'a> {
    Found(&'a Object),
    Missing,
    /// The watch has not said yet.
    Unknown,
}

type RefKey = (RefKind, ObjectKey);

#[derive(Clone)]
struct Watched {
    informer: usize,
    users: u32,
}

/// All references of the node's pods.
#[derive(Clone)]
pub struct References {
    informers: Informers,
    watched: Map<RefKey, Watched>,
    /// What a pod (by uid) refers to.
    by_pod: Map<Text, Vec<RefKey>>,
}

impl References {
    pub fn new(scope: u16, client: ClientConfig, seed: Seed) -> References {
        References { informers: Informers::new(scope, client, seed), watched: Map::default(), by_pod: Map::default() }
    }

    pub fn get(&self, kind: RefKind, namespace: &str, name: &str) -> Lookup<'_> {
        let key = ObjectKey::new(namespace, name);
        let Some(watched) = self.watched.get(&(kind, key.clone())) else { return Lookup::Unknown };
        let informer = self.informers.get(watched.informer);
        match informer.store.get(&key) {
            Some(object) => Lookup::Found(object),
            None if informer.has_synced() => Lookup::Missing,
            None => Lookup::Unknown,
        }
    }

    /// Watches what a pod refers to (and no longer what it did before).
    pub fn register(&mut self, pod: &Object, out: &mut Outbox) {
        let uid: Text = pod.uid().into();
        let wanted = references_of(pod);
        if self.by_pod.get(&uid) == Some(&wanted) {
            return;
        }
        for key in &wanted {
            match self.watched.get_mut(key) {
                Some(watched) => {
                    watched.users += 1;
                    if watched.users == 1 {
                        self.informers.start_one(watched.informer, out);
                    }
                }
                None => {
                    let mut selectors = Selectors::field(&format!("metadata.name={}", key.1.name));
                    selectors.namespace = key.1.namespace.clone();
                    let informer = self.informers.add(key.0.gvr(), selectors, &[]);
                    self.watched.insert(key.clone(), Watched { informer, users: 1 });
                    self.informers.start_one(informer, out);
                }
            }
        }
        self.unregister(&uid, out);
        self.by_pod.insert(uid, wanted);
    }

    pub fn unregister(&mut self, uid: &Text, out: &mut Outbox) {
        for key in self.by_pod.remove(uid).unwrap_or_default() {
            let Some(watched) = self.watched.get_mut(&key) else { continue };
            watched.users -= 1;
            if watched.users == 0 {
                self.informers.reset_one(watched.informer, out);
            }
        }
    }

    /// True: the payload was for these watches.
    pub fn handle(&mut self, payload: &Payload, out: &mut Outbox) -> bool {
        !matches!(self.informers.handle(payload, out), Handled::NotMine)
    }
    pub fn informers(&self) -> &Informers {
        &self.informers
    }
}

/// Everything a pod names: in env, envFrom and volumes.
fn references_of(pod: &Object) -> Vec<RefKey> {
    let mut out: Vec<RefKey> = Vec::new();
    let mut add = |kind: RefKind, name: Option<&str>| {
        if let Some(name) = name.filter(|n| !n.is_empty()) {
            out.push((kind, ObjectKey::new(pod.namespace(), name)));
        }
    };
    for spec in crate::pod::all_specs(pod) {
        for from in spec.value.list_at(&["envFrom"]) {
            add(RefKind::ConfigMap, from.str_at(&["configMapRef", "name"]));
            add(RefKind::Secret, from.str_at(&["secretRef", "name"]));
        }
        for env in spec.value.list_at(&["env"]) {
            add(RefKind::ConfigMap, env.str_at(&["valueFrom", "configMapKeyRef", "name"]));
            add(RefKind::Secret, env.str_at(&["valueFrom", "secretKeyRef", "name"]));
        }
    }
    for volume in pod.list_at(&["spec", "volumes"]) {
        add(RefKind::ConfigMap, volume.str_at(&["configMap", "name"]));
        add(RefKind::Secret, volume.str_at(&["secret", "secretName"]));
        for source in volume.list_at(&["projected", "sources"]) {
            add(RefKind::ConfigMap, source.str_at(&["configMap", "name"]));
            add(RefKind::Secret, source.str_at(&["secret", "name"]));
        }
    }
    out.order();
    out.dedup();
    out
}

/// `data` and `binaryData` of a ConfigMap, or `data` of a Secret, as bytes.
pub fn entries(kind: RefKind, object: &Object) -> Vec<(Text, Rc<[u8]>)> {
    let texts = |field: &str, encoded: bool| -> Vec<(Text, Rc<[u8]>)> {
        let fields = object.map_at(&[field]).into_iter().flatten();
        let bytes = |v: &Value| -> Rc<[u8]> {
            let text = v.as_str().unwrap_or("");
            if encoded { decode_base64(text).into() } else { text.as_bytes().into() }
        };
        fields.map(|(k, v)| (k.clone(), bytes(v))).collect()
    };
    match kind {
        RefKind::ConfigMap => {
            let mut all = texts("data", false);
            all.extend(texts("binaryData", true));
            all
        }
        RefKind::Secret => texts("data", true),
    }
}

/// Standard base64; what is not of its alphabet is skipped (validation refuses it earlier).
fn decode_base64(text: &str) -> Vec<u8> {
    let (mut out, mut bits, mut n) = (Vec::with_capacity(text.len() * 3 / 4), 0u32, 0);
    for c in text.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = bits << 6 | six as u32;
        n += 6;
        if n >= 8 {
            n -= 8;
            out.push((bits >> n) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64() {
        assert_eq!(super::decode_base64("aGVsbG8="), b"hello");
        assert_eq!(super::decode_base64(""), b"");
    }
}
