//! A pod as the plugins see it: parsed once when it arrives. Models `pkg/scheduler/framework.PodInfo`.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Fields, Object, ObjectKey, Value};
use base::{Digest, Time, hash64};

use crate::resource::{Resource, pod_requests};

type Text = Rc<str>;

/// Names a pod: a hash of its uid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct PodId(pub u64);

impl PodId {
    pub fn of(uid: &str) -> PodId {
        PodId(hash64(uid.as_bytes()))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Toleration {
    /// Empty with `Exists`: every key.
    pub key: Text,
    pub exists: bool,
    pub value: Text,
    /// Empty: every effect.
    pub effect: Text,
}

/// A term of inter-pod affinity. Models `framework.AffinityTerm`.
#[derive(Clone, Debug, PartialEq)]
pub struct AffinityTerm {
    /// Namespaces by name; with no selector and none named: the pod's own (filled in here).
    pub namespaces: Vec<Text>,
    pub namespace_selector: Option<Selector>,
    pub selector: Selector,
    pub topology_key: Text,
    /// Of a preferred term; 0 for a required one.
    pub weight: i64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodAffinity {
    pub required: Vec<AffinityTerm>,
    pub preferred: Vec<AffinityTerm>,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct SpreadConstraint {
    pub max_skew: i64,
    pub topology_key: Text,
    pub selector: Selector,
    pub min_domains: i64,
    pub hard: bool,
    pub honor_affinity: bool,
    pub honor_taints: bool,
}

#[derive(Clone, Debug)]
pub struct PodInfo {
    pub id: PodId,
    pub uid: Text,
    pub key: ObjectKey,
    /// When it was parsed, for references to it.
    pub resource_version: Text,
    pub labels: Value,
    /// `spec` as it came, to see whether anything changed.
    pub spec: Value,
    pub owner_uid: Text,
    pub owner_kind: Text,
    pub owner_name: Text,
    pub created: Time,
    pub terminating: bool,
    pub priority: i64,
    pub preempts: bool,
    pub requests: Resource,
    /// With the defaults that scoring assumes.
    pub counted: Resource,
    pub best_effort: bool,
    /// Host ports: (address, protocol, port).
    pub host_ports: Vec<(Text, Text, i64)>,
    pub images: Vec<Text>,
    /// Sum of containers, for the image score.
    pub containers: i64,
    pub tolerations: Vec<Toleration>,
    pub node_selector: Value,
    pub node_affinity: Value,
    pub affinity: PodAffinity,
    pub anti_affinity: PodAffinity,
    pub spread: Vec<SpreadConstraint>,
    pub claims: Vec<Text>,
    /// Equal for pods for which every plugin that looks at one node alone gives the same answers.
    pub signature: u64,
}

impl PodInfo {
    /// Whether a claim of this name is made for a generic ephemeral volume of the pod.
    pub fn is_ephemeral_claim(&self, name: &str) -> bool {
        crate::plugins::is_ephemeral(&self.spec, &self.key.name, name)
    }

    pub fn new(pod: &Object) -> PodInfo {
        let empty = Value::Null;
        let spec = pod.get("spec").unwrap_or(&empty);
        let key = pod.key();
        let requests = pod_requests(spec);
        let owner = pod.controller_ref();
        let owner_text = |field| owner.and_then(|o| o.get(field)).and_then(Value::as_rc_str).cloned().unwrap_or_default();
        let mut info = PodInfo {
            id: PodId::of(pod.uid()),
            uid: pod.uid().into(),
            resource_version: pod.resource_version().into(),
            labels: pod.at(&["metadata", "labels"]).cloned().unwrap_or_default(),
            spec: spec.clone(),
            owner_uid: owner_text("uid"),
            owner_kind: owner_text("kind"),
            owner_name: owner_text("name"),
            created: pod.creation_timestamp().unwrap_or_default(),
            terminating: pod.is_being_deleted(),
            priority: spec.int_at(&["priority"]).unwrap_or(0),
            preempts: spec.str_at(&["preemptionPolicy"]) != Some("Never"),
            best_effort: requests.exact.is_zero(),
            requests: requests.exact,
            counted: requests.counted,
            host_ports: host_ports(spec),
            images: images(spec),
            containers: (spec.list_at(&["containers"]).len() + spec.list_at(&["initContainers"]).len()) as i64,
            tolerations: spec.list_at(&["tolerations"]).iter().map(toleration).collect(),
            node_selector: spec.get("nodeSelector").cloned().unwrap_or_default(),
            node_affinity: spec.at(&["affinity", "nodeAffinity"]).cloned().unwrap_or_default(),
            affinity: pod_affinity(spec.at(&["affinity", "podAffinity"]), &key.namespace),
            anti_affinity: pod_affinity(spec.at(&["affinity", "podAntiAffinity"]), &key.namespace),
            spread: spec.list_at(&["topologySpreadConstraints"]).iter().filter_map(|c| spread(c, pod.labels())).collect(),
            claims: claims(spec, &key.name),
            key,
            signature: 0,
        };
        info.signature = info.sign();
        info
    }

    pub fn label_fields(&self) -> Option<&Fields> {
        self.labels.as_map()
    }
    /// Whether placing it touches pods on other nodes.
    pub fn has_affinity(&self) -> bool {
        !self.affinity.required.is_empty() || !self.affinity.preferred.is_empty() || !self.anti_affinity.preferred.is_empty()
    }
    /// Whether a status update changed nothing that counts here.
    pub fn same_as(&self, pod: &Object) -> bool {
        let unchanged = |ours: &Value, theirs: Option<&Value>| theirs.map_or(ours.is_null(), |t| t == ours);
        self.terminating == pod.is_being_deleted()
            && unchanged(&self.spec, pod.get("spec"))
            && unchanged(&self.labels, pod.at(&["metadata", "labels"]))
    }

    /// The same for a pod that was placed by this scheduler: `spec.nodeName` is what changed.
    pub fn same_as_bound(&self, pod: &Object) -> bool {
        let same = |part: &str, ours: Option<&Value>| pod.at(&["spec", part]) == ours;
        self.terminating == pod.is_being_deleted()
            && pod.at(&["metadata", "labels"]).map_or(self.labels.is_null(), |l| *l == self.labels)
            && ["containers", "initContainers", "overhead", "resources", "tolerations", "affinity"]
                .into_iter()
                .all(|part| same(part, self.spec.get(part)))
    }

    fn sign(&self) -> u64 {
        let mut digest = Digest::new();
        for part in ["nodeName", "nodeSelector", "tolerations"] {
            hash_value(self.spec.get(part).unwrap_or(&Value::Null), &mut digest);
        }
        hash_value(&self.node_affinity, &mut digest);
        for r in [&self.requests, &self.counted] {
            for n in [r.milli_cpu, r.memory, r.ephemeral_storage] {
                digest.write_u64(n as u64);
            }
            for (name, n) in &r.scalar {
                digest.write(name.as_bytes());
                digest.write_u64(*n as u64);
            }
        }
        for (ip, protocol, port) in &self.host_ports {
            digest.write(ip.as_bytes());
            digest.write(protocol.as_bytes());
            digest.write_u64(*port as u64);
        }
        for image in &self.images {
            digest.write(image.as_bytes());
        }
        digest.write_u64(self.containers as u64);
        digest.finish()
    }
}

fn hash_value(value: &Value, digest: &mut Digest) {
    match value {
        Value::Null => digest.write_u64(1),
        Value::Bool(b) => digest.write_u64(2 + *b as u64),
        Value::Int(n) => digest.write_u64(*n as u64),
        Value::Float(f) => digest.write_u64(f.to_bits()),
        Value::Str(s) => digest.write(s.as_bytes()),
        Value::List(l) => {
            digest.write_u64(l.len() as u64);
            l.iter().for_each(|v| hash_value(v, digest));
        }
        Value::Map(m) => {
            digest.write_u64(m.len() as u64 | 1 << 32);
            for (k, v) in &**m {
                digest.write(k.as_bytes());
                hash_value(v, digest);
            }
        }
    }
}

fn text(value: &Value, field: &str) -> Text {
    value.get(field).and_then(Value::as_rc_str).cloned().unwrap_or_default()
}

fn toleration(value: &Value) -> Toleration {
    Toleration {
        key: text(value, "key"),
        exists: value.str_at(&["operator"]) == Some("Exists"),
        value: text(value, "value"),
        effect: text(value, "effect"),
    }
}

fn host_ports(spec: &Value) -> Vec<(Text, Text, i64)> {
    let mut out = Vec::new();
    let sidecars = spec.list_at(&["initContainers"]).iter().filter(|c| c.str_at(&["restartPolicy"]) == Some("Always"));
    for container in spec.list_at(&["containers"]).iter().chain(sidecars) {
        for port in container.list_at(&["ports"]) {
            let number = port.int_at(&["hostPort"]).unwrap_or(0);
            if number > 0 {
                let ip = port.str_at(&["hostIP"]).filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
                out.push((ip.into(), port.str_at(&["protocol"]).unwrap_or("TCP").into(), number));
            }
        }
    }
    out
}

fn images(spec: &Value) -> Vec<Text> {
    let all = spec.list_at(&["initContainers"]).iter().chain(spec.list_at(&["containers"]));
    all.filter_map(|c| c.str_at(&["image"])).map(normalized_image).collect()
}

/// `nginx` → `nginx:latest`, as the image score compares names. Models `imagelocality.normalizedImageName`.
fn normalized_image(name: &str) -> Text {
    match name.rfind(':') > name.rfind('/') {
        true => name.into(),
        false => format!("{name}:latest").into(),
    }
}

fn pod_affinity(value: Option<&Value>, namespace: &Text) -> PodAffinity {
    let Some(value) = value else { return PodAffinity::default() };
    let required = value.list_at(&["requiredDuringSchedulingIgnoredDuringExecution"]);
    let preferred = value.list_at(&["preferredDuringSchedulingIgnoredDuringExecution"]);
    PodAffinity {
        required: required.iter().filter_map(|t| affinity_term(t, 0, namespace)).collect(),
        preferred: preferred
            .iter()
            .filter_map(|p| affinity_term(p.get("podAffinityTerm")?, p.int_at(&["weight"]).unwrap_or(0), namespace))
            .collect(),
    }
}

fn affinity_term(term: &Value, weight: i64, namespace: &Text) -> Option<AffinityTerm> {
    let mut namespaces: Vec<Text> = term.list_at(&["namespaces"]).iter().filter_map(Value::as_rc_str).cloned().collect();
    let namespace_selector = match term.get("namespaceSelector") {
        Some(selector) => Some(Selector::from_label_selector(Some(selector)).ok()?),
        None => None,
    };
    if namespaces.is_empty() && namespace_selector.is_none() {
        namespaces.push(namespace.clone());
    }
    let selector = Selector::from_label_selector(term.get("labelSelector")).ok()?;
    Some(AffinityTerm { namespaces, namespace_selector, selector, topology_key: text(term, "topologyKey"), weight })
}

fn spread(c: &Value, labels: Option<&Fields>) -> Option<SpreadConstraint> {
    let mut selector = Selector::from_label_selector(c.get("labelSelector")).ok()?;
    let keys = c.list_at(&["matchLabelKeys"]);
    if !keys.is_empty() {
        let mut requirements = selector.requirements().to_vec();
        for key in keys.iter().filter_map(Value::as_str) {
            let Some(value) = labels.and_then(|l| l.get(key)).and_then(Value::as_rc_str) else { continue };
            if selector.exact(key).is_none() {
                let only = Fields::from_entries(vec![(key.into(), value.into())]);
                requirements.extend(Selector::from_set(&only).requirements().iter().cloned());
            }
        }
        selector = Selector::from_requirements(requirements);
    }
    Some(SpreadConstraint {
        max_skew: c.int_at(&["maxSkew"]).unwrap_or(1),
        topology_key: text(c, "topologyKey"),
        selector,
        min_domains: c.int_at(&["minDomains"]).unwrap_or(1),
        hard: c.str_at(&["whenUnsatisfiable"]) != Some("ScheduleAnyway"),
        honor_affinity: c.str_at(&["nodeAffinityPolicy"]) != Some("Ignore"),
        honor_taints: c.str_at(&["nodeTaintsPolicy"]) == Some("Honor"),
    })
}

fn claims(spec: &Value, pod_name: &str) -> Vec<Text> {
    let claim = |v: &Value| -> Option<Text> {
        if v.get("ephemeral").is_some() {
            return Some(format!("{pod_name}-{}", v.str_at(&["name"])?).into());
        }
        v.at(&["persistentVolumeClaim", "claimName"])?.as_rc_str().cloned()
    };
    spec.list_at(&["volumes"]).iter().filter_map(claim).collect()
}
