//! Claims, volumes and storage classes, as far as placing depends on them.

use std::rc::Rc;

use apimachinery::labels::Selector;
use apimachinery::{Object, ObjectKey, Quantity, Value};
use base::{Map, TextMap, TextSet};

use crate::node_info::NodeInfo;
use crate::plugins::matches_terms;

type Text = Rc<str>;

pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// The provisioner of classes whose volumes somebody makes by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// What becomes of a claim that waits for its first consumer, if the pod goes to a certain node.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It gets this volume.
    Bind { claim: ObjectKey, volume: Text },
    /// Its provisioner makes one for the node.
    Provision { claim: ObjectKey },
}

/// The storage objects that the scheduler watches.
#[derive(Clone, Default)]
pub struct Volumes {
    pub claims: TextMap<ObjectKey, Object>,
    volumes: TextMap<ObjectKey, Object>,
    pub classes: TextMap<ObjectKey, Object>,
    /// Volumes without a claim, by class.
    free: Map<Text, TextSet<Text>>,
    /// Volumes that were given to a claim here and are not seen with it yet.
    assumed: Map<Text, ObjectKey>,
}

fn class_of(object: &Object) -> &str {
    object.str_at(&["spec", "storageClassName"]).unwrap_or("")
}

fn quantity(object: &Object, path: &[&str]) -> Option<Quantity> {
    object.at(path).and_then(|v| Quantity::from_value(v).ok())
}

impl Volumes {
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&Object> {
        self.claims.get(&ObjectKey::new(namespace, name))
    }
    pub fn volume(&self, name: &str) -> Option<&Object> {
        self.volumes.get(&ObjectKey::new("", name))
    }

    /// A volume came, changed or went.
    pub fn set_volume(&mut self, key: ObjectKey, volume: Option<Object>) {
        if let Some(old) = self.volumes.remove(&key)
            && let Some(names) = self.free.get_mut(class_of(&old))
        {
            names.remove(&key.name);
        }
        let Some(volume) = volume else {
            self.assumed.remove(&key.name);
            return;
        };
        if volume.at(&["spec", "claimRef"]).is_some() {
            self.assumed.remove(&key.name);
        } else {
            self.free.entry(class_of(&volume).into()).or_default().insert(key.name.clone());
        }
        self.volumes.insert(key, volume);
    }

    /// The volume is as good as the claim's.
    pub fn assume(&mut self, volume: &Text, claim: &ObjectKey) {
        self.assumed.insert(volume.clone(), claim.clone());
    }
    /// It did not come to that.
    pub fn forget(&mut self, claim: &ObjectKey) {
        let given: Vec<Text> = self.assumed.iter().filter(|(_, c)| *c == claim).map(|(v, _)| v.clone()).collect();
        given.iter().for_each(|volume| drop(self.assumed.remove(volume)));
    }

    /// The volume of a claim that is bound to one completely.
    pub fn bound_volume<'a>(&self, claim: &'a Object) -> Option<&'a str> {
        let name = claim.str_at(&["spec", "volumeName"]).filter(|n| !n.is_empty())?;
        claim.annotation(BIND_COMPLETED).map(|_| name)
    }
    fn class(&self, claim: &Object) -> Option<&Object> {
        self.classes.get(&ObjectKey::new("", class_of(claim)))
    }
    /// Whether the claim's class binds when its first pod is placed (and the claim names no volume itself).
    pub fn waits_for_consumer(&self, claim: &Object) -> bool {
        let late = |c: &Object| c.str_at(&["volumeBindingMode"]) == Some("WaitForFirstConsumer");
        claim.str_at(&["spec", "volumeName"]).unwrap_or("").is_empty() && self.class(claim).is_some_and(late)
    }

    /// How claims that wait could be served on a node; `None`: not all of them can be. Models `volumeBinder.FindPodVolumes`.
    pub fn decide(&self, claims: &[ObjectKey], node: &NodeInfo) -> Option<Vec<Decision>> {
        let mut taken: Vec<Text> = Vec::new();
        let mut decisions = Vec::new();
        for key in claims {
            let claim = self.claims.get(key)?;
            match claim.annotation(SELECTED_NODE) {
                Some(selected) if selected == &*node.name => {}
                Some(_) => return None,
                None => {
                    if let Some(volume) = self.best_volume(claim, key, node, &taken) {
                        taken.push(volume.clone());
                        decisions.push(Decision::Bind { claim: key.clone(), volume });
                        continue;
                    }
                }
            }
            self.is_provisionable(claim, node).then(|| decisions.push(Decision::Provision { claim: key.clone() }))?;
        }
        Some(decisions)
    }

    /// The smallest free volume that a claim may have on a node, one made for it first.
    fn best_volume(&self, claim: &Object, key: &ObjectKey, node: &NodeInfo, taken: &[Text]) -> Option<Text> {
        let free = self.free.get(class_of(claim))?;
        let is_for_others = |name: &Text| self.assumed.get(name).is_some_and(|other| other != key) || taken.contains(name);
        let names = free.iter().filter(|name| !is_for_others(name));
        let volumes = names.filter_map(|name| Some((name, self.volume(name)?)));
        let fit = volumes.filter(|(_, v)| satisfies(v, claim) && is_reachable(v, node));
        fit.min_by_key(|(name, v)| (quantity(v, &["spec", "capacity", "storage"]), (*name).clone())).map(|(name, _)| name.clone())
    }

    /// Models `checkVolumeProvisions`.
    fn is_provisionable(&self, claim: &Object, node: &NodeInfo) -> bool {
        let Some(class) = self.class(claim) else { return false };
        let by_hand = matches!(class.str_at(&["provisioner"]), None | Some("" | NO_PROVISIONER));
        !by_hand && matches_topologies(class.list_at(&["allowedTopologies"]), node)
    }
}

/// Whether a node is in one of the topologies; none: everywhere.
fn matches_topologies(terms: &[Value], node: &NodeInfo) -> bool {
    let holds = |e: &Value| {
        let actual = e.str_at(&["key"]).and_then(|key| node.labels.get(key)).and_then(Value::as_str);
        actual.is_some_and(|actual| e.list_at(&["values"]).iter().any(|v| v.as_str() == Some(actual)))
    };
    terms.is_empty() || terms.iter().any(|t| t.list_at(&["matchLabelExpressions"]).iter().all(holds))
}

/// Whether a node is where a volume is.
pub fn is_reachable(volume: &Object, node: &NodeInfo) -> bool {
    let terms = volume.list_at(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"]);
    terms.is_empty() || matches_terms(terms, node)
}

/// Whether a free volume has all that a claim asks for.
fn satisfies(volume: &Object, claim: &Object) -> bool {
    let modes = volume.list_at(&["spec", "accessModes"]);
    let mode = |o: &Object| o.str_at(&["spec", "volumeMode"]).unwrap_or("Filesystem").to_string();
    let selector = claim.at(&["spec", "selector"]);
    let selected =
        || selector.is_none() || Selector::from_label_selector(selector).is_ok_and(|selector| selector.matches(volume.labels()));
    !volume.is_being_deleted()
        && mode(volume) == mode(claim)
        && claim.list_at(&["spec", "accessModes"]).iter().all(|m| modes.contains(m))
        && quantity(volume, &["spec", "capacity", "storage"]) >= quantity(claim, &["spec", "resources", "requests", "storage"])
        && selected()
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn object(v: Value) -> Object {
        Object::from_value(v).expect("a map was built")
    }
    fn node(name: &str) -> NodeInfo {
        NodeInfo { name: name.into(), labels: value!({"kubernetes.io/hostname": name, "zone": "a"}), ..NodeInfo::default() }
    }
    fn storage(provisioner: &str, topologies: Value) -> Volumes {
        let mut volumes = Volumes::default();
        let class = object(value!({
            "metadata": {"name": "late"}, "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": topologies
        }));
        volumes.classes.insert(class.key(), class);
        for claim in ["one", "two"] {
            let claim = object(value!({
                "metadata": {"name": claim, "namespace": "default", "uid": claim},
                "spec": {"storageClassName": "late", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            }));
            volumes.claims.insert(claim.key(), claim);
        }
        volumes
    }
    fn local(name: &str, size: &str, node: &str) -> Object {
        let hostname = value!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
        object(value!({"metadata": {"name": name}, "spec": {
            "storageClassName": "late", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}}
        }}))
    }
    fn keys(names: &[&str]) -> Vec<ObjectKey> {
        names.iter().map(|name| ObjectKey::new("default", name)).collect()
    }
    fn bound(decisions: Option<Vec<Decision>>) -> Option<Vec<String>> {
        let text = |d: Decision| match d {
            Decision::Bind { claim, volume } => format!("{}={volume}", claim.name),
            Decision::Provision { claim } => format!("{}=new", claim.name),
        };
        decisions.map(|list| list.into_iter().map(text).collect())
    }

    #[test]
    fn each_claim_gets_the_smallest_volume_of_the_node_or_a_new_one() {
        let mut volumes = storage(NO_PROVISIONER, Value::list(vec![]));
        for pv in [local("large", "9Gi", "a"), local("small", "2Gi", "a"), local("away", "1Gi", "b")] {
            volumes.set_volume(pv.key(), Some(pv));
        }
        let on = |volumes: &Volumes, claims: &[&str], name: &str| bound(volumes.decide(&keys(claims), &node(name)));
        assert_eq!(on(&volumes, &["one"], "a"), Some(vec!["one=small".to_string()]));
        let both = vec!["one=small".to_string(), "two=large".to_string()];
        assert_eq!(on(&volumes, &["one", "two"], "a"), Some(both));
        assert_eq!(on(&volumes, &["one", "two"], "b"), None, "there is one volume, and nobody makes more");
        volumes.assume(&"small".into(), &ObjectKey::new("default", "two"));
        assert_eq!(on(&volumes, &["one"], "a"), Some(vec!["one=large".to_string()]), "the small one is given away");
        volumes.forget(&ObjectKey::new("default", "two"));
        volumes.set_volume(ObjectKey::new("", "large"), None);
        assert_eq!(on(&volumes, &["one", "two"], "a"), None);
    }

    #[test]
    fn provisioners_serve_the_topologies_of_their_class() {
        let on = |volumes: &Volumes| bound(volumes.decide(&keys(&["one"]), &node("a")));
        let zone = |zone: &str| value!([{"matchLabelExpressions": [{"key": "zone", "values": [zone]}]}]);
        assert_eq!(on(&storage("x.example.com", Value::list(vec![]))), Some(vec!["one=new".to_string()]));
        assert_eq!(on(&storage("x.example.com", zone("a"))), Some(vec!["one=new".to_string()]));
        assert_eq!(on(&storage("x.example.com", zone("b"))), None);
        assert_eq!(on(&storage(NO_PROVISIONER, Value::list(vec![]))), None);
        let mut chosen = storage("x.example.com", Value::list(vec![]));
        let key = ObjectKey::new("default", "one");
        let mut claim = chosen.claims.get(&key).cloned().expect("made above");
        claim.set_at(&["metadata", "annotations", SELECTED_NODE], "b");
        chosen.claims.insert(key, claim);
        assert_eq!(on(&chosen), None, "the provisioner works for another node");
    }
}
