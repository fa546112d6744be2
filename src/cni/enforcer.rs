//! Keeps a node's kernel in step with NetworkPolicies, pods and namespaces: which policies apply to the node's pods, and who
//! belongs to the sets that their rules speak of.
//!
//! Models what Calico's Felix, kindnet and kube-network-policies have in common. Every agent watches all pods, as theirs do. A
//! change of a pod touches the sets of its namespace and those that span namespaces; a policy is compiled once, when it changes.

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::{Object, ObjectKey, resources};
use base::{Map, Seed, Set, TextSet};
use client_go::{ClientConfig, Delta, Handled, Informers, Selectors};
use cri_api::packet::Endpoint;
use cri_api::policy::{Applied, PolicyUpdate};
use sim::{Outbox, Payload};

use crate::compile::{Compiled, Members, compile};

type Text = Rc<str>;

const PODS: usize = 0;
const NAMESPACES: usize = 1;
/// Indexes of pods.
const BY_NODE: usize = 0;
const BY_PORT: usize = 1;

/// A set and how many policies speak of it.
#[derive(Clone, Debug)]
struct SetState {
    members: Members,
    users: u32,
    /// What each pod (`namespace/name`) has brought in.
    of_pod: Map<Text, Vec<Endpoint>>,
    /// How many pods have brought in each: an address may be given to a new pod before the old one is gone.
    count: Map<Endpoint, u32>,
}

/// The part of an agent that enforces policies. It sleeps until there is one.
#[derive(Clone, Debug)]
pub(crate) struct Enforcer {
    node: Text,
    config: ClientConfig,
    seed: Seed,
    /// Watches on pods and namespaces: from the first policy on.
    informers: Option<Informers>,
    started: bool,
    policies: Map<ObjectKey, Rc<Compiled>>,
    sets: Map<Text, SetState>,
    /// Sets of one namespace, and those that any namespace's pods may belong to.
    narrow: Map<Text, TextSet<Text>>,
    wide: TextSet<Text>,
    /// What the kernel knows of this node's pods.
    applied: Map<Text, Rc<Applied>>,
}

impl Enforcer {
    pub fn new(node: &str, config: ClientConfig, seed: Seed) -> Enforcer {
        Enforcer {
            node: node.into(),
            config,
            seed,
            informers: None,
            started: false,
            policies: Map::new(),
            sets: Map::new(),
            narrow: Map::new(),
            wide: TextSet::new(),
            applied: Map::new(),
        }
    }

    /// A policy came, changed or went. Returns what the kernel must know.
    pub fn policy_changed(&mut self, delta: &Delta, out: &mut Outbox) -> Vec<PolicyUpdate> {
        let key = delta.object().key();
        let compiled = delta.new.as_ref().map(|policy| Rc::new(compile(policy)));
        let old = match &compiled {
            Some(new) => self.policies.insert(key.clone(), new.clone()),
            None => self.policies.remove(&key),
        };
        if self.informers.is_none() && !self.policies.is_empty() {
            self.watch(out);
        }
        if !self.started {
            return Vec::new();
        }
        let mut updates = Vec::new();
        if let Some(new) = &compiled {
            self.install(&key, new, &mut updates);
        }
        self.apply_in(&key.namespace, &mut updates);
        if compiled.is_none() {
            updates.push(PolicyUpdate::Rules { policy: key.to_string().into(), rules: None });
        }
        if let Some(old) = old {
            old.sets.iter().for_each(|members| self.release(members, &mut updates));
        }
        updates
    }

    fn watch(&mut self, out: &mut Outbox) {
        let mut informers = Informers::new(3, self.config.clone(), self.seed.derive("policies"));
        informers.add(resources::pods(), Selectors::default(), &[client_go::by_node_name, by_port]);
        informers.add(resources::namespaces(), Selectors::default(), &[]);
        informers.start(out);
        self.informers = Some(informers);
    }

    /// Offers a payload to the watches. None: it isn't theirs.
    pub fn handle(&mut self, payload: &Payload, out: &mut Outbox) -> Option<Vec<PolicyUpdate>> {
        let informers = self.informers.as_mut()?;
        let handled = informers.handle(payload, out);
        if matches!(handled, Handled::NotMine) {
            return None;
        }
        let mut updates = Vec::new();
        if !self.started && informers.all_synced() {
            self.started = true;
            updates.push(PolicyUpdate::Flush);
            self.begin(&mut updates);
        } else if let (Handled::Deltas(number, deltas), true) = (handled, self.started) {
            for delta in &deltas {
                match number {
                    PODS => self.pod_changed(delta, &mut updates),
                    _ => self.namespace_changed(delta, &mut updates),
                }
            }
        }
        Some(updates)
    }

    /// The caches are filled for the first time.
    fn begin(&mut self, updates: &mut Vec<PolicyUpdate>) {
        let all: Vec<(ObjectKey, Rc<Compiled>)> = self.policies.iter().map(|(k, c)| (k.clone(), c.clone())).collect();
        let mut namespaces = Set::new();
        for (key, compiled) in all {
            self.install(&key, &compiled, updates);
            namespaces.insert(key.namespace.clone());
        }
        for namespace in &namespaces {
            self.apply_in(namespace, updates);
        }
    }

    /// Fills the sets of a policy that nobody has used yet, then its rules.
    fn install(&mut self, key: &ObjectKey, compiled: &Compiled, updates: &mut Vec<PolicyUpdate>) {
        for members in &compiled.sets {
            self.hold(members, updates);
        }
        let rules = Some(compiled.rules.clone());
        updates.push(PolicyUpdate::Rules { policy: key.to_string().into(), rules });
    }

    fn hold(&mut self, members: &Members, updates: &mut Vec<PolicyUpdate>) {
        let name = members.name();
        if let Some(state) = self.sets.get_mut(&name) {
            state.users += 1;
            return;
        }
        let mut state = SetState { members: members.clone(), users: 1, of_pod: Map::new(), count: Map::new() };
        let mut add = Vec::new();
        for pod in self.candidates(members) {
            state.put(pod, self.brings(members, pod), &mut add, &mut Vec::new());
        }
        match members {
            Members::Of { namespace, .. } => drop(self.narrow.entry(namespace.clone()).or_default().insert(name.clone())),
            _ => drop(self.wide.insert(name.clone())),
        }
        self.sets.insert(name.clone(), state);
        updates.push(PolicyUpdate::Set { set: name, add, remove: Vec::new() });
    }

    fn release(&mut self, members: &Members, updates: &mut Vec<PolicyUpdate>) {
        let name = members.name();
        let Some(state) = self.sets.get_mut(&name) else { return };
        state.users -= 1;
        if state.users > 0 {
            return;
        }
        self.sets.remove(&name);
        self.wide.remove(&name);
        if let Members::Of { namespace, .. } = members
            && let Some(narrow) = self.narrow.get_mut(namespace)
        {
            narrow.remove(&name);
        }
        updates.push(PolicyUpdate::DropSet(name));
    }

    /// The pods that may belong to a set: no more than its namespaces' pods are looked at.
    fn candidates<'a>(&'a self, members: &'a Members) -> Vec<&'a Object> {
        let Some(informers) = &self.informers else { return Vec::new() };
        let pods = informers.store(PODS);
        match members {
            Members::Of { namespace, .. } => pods.in_namespace(namespace).collect(),
            Members::Among { namespaces, .. } => {
                let matching = informers.store(NAMESPACES).objects().filter(|n| namespaces.matches(n.labels()));
                matching.flat_map(|n| pods.in_namespace(n.name())).collect()
            }
            Members::Ports { name, protocol } => pods.by_index(BY_PORT, &format!("{name}/{protocol}")).collect(),
        }
    }

    /// What a pod brings into a set.
    fn brings(&self, members: &Members, pod: &Object) -> Vec<Endpoint> {
        let is_member = match members {
            Members::Of { namespace, pods } => pod.namespace() == &**namespace && pods.matches(pod.labels()),
            Members::Among { namespaces, pods } => {
                let namespace = self.informers.as_ref().and_then(|i| i.find(NAMESPACES, "", pod.namespace()));
                namespace.is_some_and(|n| namespaces.matches(n.labels())) && pods.matches(pod.labels())
            }
            Members::Ports { .. } => true,
        };
        if !is_member {
            return Vec::new();
        }
        let ips = addresses(pod);
        match members {
            Members::Ports { name, protocol } => {
                let ports: Vec<u16> =
                    named_ports(pod).filter(|(n, p, _)| *n == &**name && *p == &**protocol).map(|p| p.2).collect();
                ips.iter().flat_map(|ip| ports.iter().map(|port| (*ip, *port))).collect()
            }
            _ => ips.into_iter().map(|ip| (ip, 0)).collect(),
        }
    }

    fn pod_changed(&mut self, delta: &Delta, updates: &mut Vec<PolicyUpdate>) {
        let pod = delta.object();
        self.place(pod, delta.new.is_none(), updates);
        if pod.str_at(&["spec", "nodeName"]) == Some(&self.node) {
            self.apply(pod, delta.new.is_none(), updates);
        }
    }

    /// Brings the sets that a pod may belong to up to date.
    fn place(&mut self, pod: &Object, gone: bool, updates: &mut Vec<PolicyUpdate>) {
        let narrow = self.narrow.get(pod.namespace()).into_iter().flat_map(|names| names.iter());
        let names: Vec<Text> = narrow.chain(self.wide.iter()).cloned().collect();
        for name in names {
            self.place_in(&name, pod, gone, updates);
        }
    }

    fn place_in(&mut self, name: &Text, pod: &Object, gone: bool, updates: &mut Vec<PolicyUpdate>) {
        let Some(members) = self.sets.get(name).map(|s| s.members.clone()) else { return };
        let brings = if gone { Vec::new() } else { self.brings(&members, pod) };
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        if let Some(state) = self.sets.get_mut(name) {
            state.put(pod, brings, &mut add, &mut remove);
        }
        if !add.is_empty() || !remove.is_empty() {
            updates.push(PolicyUpdate::Set { set: name.clone(), add, remove });
        }
    }

    /// A namespace's labels decide for all of its pods.
    fn namespace_changed(&mut self, delta: &Delta, updates: &mut Vec<PolicyUpdate>) {
        let labels = |o: &Option<Object>| o.as_ref().and_then(|o| o.labels().cloned());
        if labels(&delta.old) == labels(&delta.new) || self.wide.is_empty() {
            return;
        }
        let name = delta.object().name();
        let pods: Vec<Object> =
            self.informers.as_ref().map(|i| i.store(PODS).in_namespace(name).cloned().collect()).unwrap_or_default();
        let wide: Vec<Text> = self.wide.iter().cloned().collect();
        for set in wide {
            for pod in &pods {
                self.place_in(&set, pod, false, updates);
            }
        }
    }

    /// Which policies apply to this node's pods of a namespace.
    fn apply_in(&mut self, namespace: &str, updates: &mut Vec<PolicyUpdate>) {
        let Some(informers) = &self.informers else { return };
        let here = informers.store(PODS).by_index(BY_NODE, &self.node);
        let pods: Vec<Object> = here.filter(|p| p.namespace() == namespace).cloned().collect();
        for pod in pods {
            self.apply(&pod, false, updates);
        }
    }

    fn apply(&mut self, pod: &Object, gone: bool, updates: &mut Vec<PolicyUpdate>) {
        let key: Text = pod.key().to_string().into();
        let wanted = if gone || !has_own_address(pod) { None } else { self.wanted(pod) };
        if self.applied.get(&key).map(|a| &**a) == wanted.as_ref() {
            return;
        }
        let applied = wanted.map(Rc::new);
        match &applied {
            Some(applied) => self.applied.insert(key.clone(), applied.clone()),
            None => self.applied.remove(&key),
        };
        updates.push(PolicyUpdate::Pod { pod: key, applied });
    }

    fn wanted(&self, pod: &Object) -> Option<Applied> {
        let first = ObjectKey::new(pod.namespace(), "");
        let mine = self.policies.range(first..).take_while(|(key, _)| &*key.namespace == pod.namespace());
        let mut applied = Applied::default();
        for (key, compiled) in mine.filter(|(_, c)| c.selector.matches(pod.labels())) {
            let name: Text = key.to_string().into();
            if compiled.ingress {
                applied.ingress.get_or_insert_default().push(name.clone());
            }
            if compiled.egress {
                applied.egress.get_or_insert_default().push(name);
            }
        }
        (applied != Applied::default()).then_some(applied)
    }
}

impl SetState {
    /// Notes what a pod brings in now, and what thereby comes and goes.
    fn put(&mut self, pod: &Object, brings: Vec<Endpoint>, add: &mut Vec<Endpoint>, remove: &mut Vec<Endpoint>) {
        let key: Text = pod.key().to_string().into();
        let known = match brings.is_empty() {
            true => self.of_pod.remove(&key),
            false => self.of_pod.insert(key, brings.clone()),
        };
        let known = known.unwrap_or_default();
        for member in brings.iter().filter(|m| !known.contains(m)) {
            let count = self.count.entry(*member).or_default();
            *count += 1;
            if *count == 1 {
                add.push(*member);
            }
        }
        for member in known.iter().filter(|m| !brings.contains(m)) {
            let Some(count) = self.count.get_mut(member) else { continue };
            *count -= 1;
            if *count == 0 {
                self.count.remove(member);
                remove.push(*member);
            }
        }
    }
}

/// Pods on the node's own network are the node; those that have ended have given their address back.
fn has_own_address(pod: &Object) -> bool {
    let ended = matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"));
    !ended && pod.bool_at(&["spec", "hostNetwork"]) != Some(true)
}

fn addresses(pod: &Object) -> Vec<IpAddr> {
    if !has_own_address(pod) {
        return Vec::new();
    }
    let ips = pod.list_at(&["status", "podIPs"]);
    ips.iter().filter_map(|ip| ip.str_at(&["ip"])?.parse().ok()).collect()
}

/// Named ports of a pod's containers: name, protocol, number.
fn named_ports(pod: &Object) -> impl Iterator<Item = (&str, &str, u16)> {
    // Sidecars serve too: init containers that are restarted.
    let sidecars = pod.list_at(&["spec", "initContainers"]).iter().filter(|c| c.str_at(&["restartPolicy"]) == Some("Always"));
    let containers = pod.list_at(&["spec", "containers"]).iter().chain(sidecars);
    containers.flat_map(|c| c.list_at(&["ports"])).filter_map(|p| {
        let number = u16::try_from(p.int_at(&["containerPort"])?).ok()?;
        Some((p.str_at(&["name"])?, p.str_at(&["protocol"]).unwrap_or("TCP"), number))
    })
}

fn by_port(pod: &Object, keys: &mut Vec<Text>) {
    keys.extend(named_ports(pod).map(|(name, protocol, _)| Text::from(format!("{name}/{protocol}"))));
}
