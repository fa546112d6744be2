//! The node's part of a kubelet: registration, CSINode, lease and heartbeat. Models `kubelet_node_status.go` and
//! `component-helpers/apimachinery/lease`.

use apimachinery::{Gvr, Object, ObjectKey, PatchType, Request, Response, Value, Verb, resources, value};
use base::{Duration, Time};
use client_go::EventType;
use sim::Outbox;

use crate::kubelet::{Call, Kubelet, Wake, failure};
use crate::node_object::{CSI_NODE, NO_NETWORK, NotReady, RUNTIME_DOWN, initial_node, status};

const LEASE_DURATION_S: i64 = 40;
const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// A healthy node's status is checked that often …
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// … and written at least that often.
const REPORT_INTERVAL: Duration = Duration::from_secs(300);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(7);
/// Milliseconds between the looks for the node that its CSINode belongs to; then again after a longer rest.
const CSI_RETRIES: [i64; 3] = [10, 50, 250];
const CSI_REST: Duration = Duration::from_millis(15);

/// What a kubelet knows about its node's objects.
#[derive(Clone, Default)]
pub struct NodeState {
    pub registered: bool,
    /// The node as last seen.
    pub object: Option<Object>,
    pub csi_node: bool,
    /// The CNI plugin has a configuration.
    pub network: bool,
    pub images: Value,
    retry: Duration,
    reported: Time,
    lease: Option<Object>,
    /// A heartbeat is under way.
    patching: bool,
    /// Something changed while a heartbeat was under way.
    changed: bool,
    noted_schedulable: bool,
    /// Looks for the node that the CSINode belongs to.
    csi_tries: u32,
    csi_owner: std::rc::Rc<str>,
    /// Since when the runtime's socket is gone, and whether that is too long.
    pub(crate) runtime_gone: Option<Time>,
    pub(crate) runtime_down: bool,
}

impl NodeState {
    /// A hollow node is ready from the start.
    pub fn new(hollow: bool) -> NodeState {
        NodeState { network: hollow, csi_node: hollow, ..NodeState::default() }
    }
}

/// Requests about the node.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum NodeCall {
    Register,
    GetExisting,
    /// The first request of the CSI plugin manager: whether kube-apiserver is there.
    AwaitApi,
    CsiNodeOwner,
    GetCsiNode,
    CreateCsiNode,
    /// The node as created, before its first status report.
    BeforeStatus,
    Status,
    GetLease,
    LeaseOwner,
    WriteLease,
}

impl Kubelet {
    pub(crate) fn node_key(&self) -> ObjectKey {
        ObjectKey::new("", &self.config.node_name)
    }
    fn lease_key(&self) -> ObjectKey {
        ObjectKey::new("kube-node-lease", &self.config.node_name)
    }

    fn not_ready(&self) -> NotReady {
        match () {
            _ if self.node.runtime_down => Some(RUNTIME_DOWN),
            _ if !self.node.csi_node => Some(CSI_NODE),
            _ if !self.node.network => Some(NO_NETWORK),
            _ => None,
        }
    }

    /// Says that the kubelet is here, and begins to register and to renew the lease.
    pub(crate) fn start_node(&mut self, out: &mut Outbox) {
        self.node.retry = FIRST_RETRY;
        if self.config.is_hollow() {
            self.register(out);
            return self.renew_lease(out);
        }
        self.node_event(EventType::Normal, "Starting", "Starting kubelet.", out);
        // The runtime's statistics are not there yet.
        self.node_event(EventType::Warning, "InvalidDiskCapacity", "invalid capacity 0 on image filesystem", out);
        self.await_api(out);
        self.forget_resource_slices(out);
        // Every status that is made up without a node to compare with says so: of two reports and of the registration.
        self.note_conditions(out);
        self.node_event(EventType::Normal, "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods", out);
        self.note_conditions(out);
        self.wheel.after(FIRST_RETRY, Wake::Register, out.now);
        self.renew_lease(out);
    }

    fn note_conditions(&mut self, out: &mut Outbox) {
        for reason in ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"] {
            self.node_status_event(reason, out);
        }
    }

    /// What drivers of an earlier life published is void until they register again.
    fn forget_resource_slices(&mut self, out: &mut Outbox) {
        let slices = Gvr::new("resource.k8s.io", "v1", "resourceslices");
        let mut request = Request { verb: Verb::DeleteCollection, ..Request::list(slices, "") };
        request.options.field_selector = Some(format!("spec.nodeName={}", self.config.node_name).into());
        self.client.call(request, Call::Other, out);
    }

    /// Events about the node refer to it by name alone before the object is known.
    pub(crate) fn node_event(&mut self, kind: EventType, reason: &str, message: &str, out: &mut Outbox) {
        if self.config.is_hollow() && reason != "NodeReady" {
            return;
        }
        let mut about = value!({"kind": "Node", "name": (&self.config.node_name)});
        if let Some(node) = &self.node.object {
            about.set_at(&["uid"], node.uid());
        }
        if let Some(request) = self.recorder.record(about, kind, reason, message, out.now) {
            self.send_event(request, out);
        }
    }
    fn node_status_event(&mut self, reason: &str, out: &mut Outbox) {
        let message = format!("Node {} status is now: {reason}", self.config.node_name);
        self.node_event(EventType::Normal, reason, &message, out);
    }

    pub(crate) fn register(&mut self, out: &mut Outbox) {
        if self.node.retry == FIRST_RETRY {
            self.note_conditions(out);
        }
        let name: std::rc::Rc<str> = self.config.node_name.clone();
        self.info("kubelet_node_status.go:75", "Attempting to register node", vec![("node", (&name).into())]);
        let node = initial_node(&self.config, self.not_ready(), &self.node.images, out.now);
        self.client.call(Request::create(resources::nodes(), node), Call::Node(NodeCall::Register), out);
    }

    pub(crate) fn on_node_response(&mut self, call: NodeCall, response: &Response, out: &mut Outbox) {
        match call {
            NodeCall::Register if response.is_already_exists() => {
                let request = Request::get(resources::nodes(), &self.node_key());
                self.client.call(request, Call::Node(NodeCall::GetExisting), out);
            }
            NodeCall::Register | NodeCall::GetExisting => match response.ok() {
                Some(node) => self.on_registered(node.clone(), call == NodeCall::GetExisting, out),
                None => {
                    let args = vec![("err", (&failure(response)).into()), ("node", (&self.config.node_name).into())];
                    self.error("kubelet_node_status.go:107", "Unable to register node with API server", args);
                    let delay = self.node.retry;
                    self.node.retry = (delay * 2).min(LAST_RETRY);
                    self.wheel.after(delay, Wake::Register, out.now);
                }
            },
            NodeCall::AwaitApi if response.code == 0 => {
                self.wheel.after(Duration::from_secs(1), Wake::CsiNode, out.now);
            }
            NodeCall::AwaitApi => self.find_csi_owner(out),
            NodeCall::CsiNodeOwner => self.on_csi_owner(response, out),
            NodeCall::BeforeStatus => {
                if let Some(node) = response.ok() {
                    self.on_node(node.clone(), out);
                }
                self.sync_node_status(out);
            }
            NodeCall::GetCsiNode if response.is_not_found() => self.create_csi_node(out),
            NodeCall::GetCsiNode | NodeCall::CreateCsiNode => {
                if response.is_success() || response.is_already_exists() {
                    self.node.csi_node = true;
                    self.sync_node_status(out);
                } else {
                    self.wheel.after(Duration::from_secs(1), Wake::CsiNode, out.now);
                }
            }
            NodeCall::Status => {
                self.node.patching = false;
                if let Some(node) = response.ok() {
                    self.on_node(node.clone(), out);
                    // What changed meanwhile goes out at once.
                    if std::mem::take(&mut self.node.changed) {
                        self.sync_node_status(out);
                    }
                } else {
                    let args = vec![("err", (&failure(response)).into())];
                    self.error("kubelet_node_status.go:473", "Error updating node status, will retry", args);
                    if response.is_not_found() {
                        self.node.object = None;
                    }
                }
            }
            NodeCall::GetLease => self.on_lease(response, out),
            NodeCall::LeaseOwner => match response.ok() {
                Some(node) => self.create_lease(node.uid().into(), out),
                None => self.renew_later(RENEW_INTERVAL, out),
            },
            NodeCall::WriteLease => {
                self.node.lease = response.ok().cloned();
                // A conflict, or a lease that is gone: look at it again.
                let delay = if response.is_success() { RENEW_INTERVAL } else { Duration::from_secs(1) };
                if !response.is_success() {
                    let args = vec![("err", (&failure(response)).into())];
                    self.error("controller.go:195", "Failed to update lease", args);
                }
                self.renew_later(delay, out);
            }
        }
    }

    fn on_registered(&mut self, node: Object, existed: bool, out: &mut Outbox) {
        self.node.registered = true;
        let name = vec![("node", (&self.config.node_name).into())];
        match existed {
            true => self.info("kubelet_node_status.go:124", "Node was previously registered", name),
            false => self.info("kubelet_node_status.go:78", "Successfully registered node", name),
        }
        self.node.object = Some(node);
        self.node.reported = Time::EPOCH;
        match (existed, self.config.is_hollow()) {
            (true, _) => self.sync_node_status(out),
            (false, true) => self.node.reported = out.now,
            (false, false) => {
                let request = Request::get(resources::nodes(), &self.node_key());
                self.client.call(request, Call::Node(NodeCall::BeforeStatus), out);
            }
        }
        self.wheel.after(STATUS_INTERVAL, Wake::NodeStatus, out.now);
        self.on_node_known(out);
    }

    /// The CSI plugin manager begins when kube-apiserver answers, whatever it says.
    fn await_api(&mut self, out: &mut Outbox) {
        let mut request = Request::get(resources::csinodes(), &self.node_key());
        request.options.resource_version = Some("0".into());
        self.client.call(request, Call::Node(NodeCall::AwaitApi), out);
    }

    /// Looks (again) for the node, which must be registered before it can own a CSINode.
    pub(crate) fn find_csi_owner(&mut self, out: &mut Outbox) {
        let request = Request::get(resources::nodes(), &self.node_key());
        self.client.call(request, Call::Node(NodeCall::CsiNodeOwner), out);
    }

    fn on_csi_owner(&mut self, response: &Response, out: &mut Outbox) {
        if let Some(node) = response.ok() {
            self.node.csi_owner = node.uid().into();
            return self.get_csi_node(out);
        }
        let (round, step) = (self.node.csi_tries / 4, self.node.csi_tries as usize % 4);
        self.node.csi_tries += 1;
        let rest = CSI_REST * 6i64.pow(round.min(4));
        let delay = CSI_RETRIES.get(step).map_or(rest, |ms| Duration::from_millis(*ms));
        self.wheel.after(delay, Wake::CsiNode, out.now);
    }

    fn get_csi_node(&mut self, out: &mut Outbox) {
        let request = Request::get(resources::csinodes(), &self.node_key());
        self.client.call(request, Call::Node(NodeCall::GetCsiNode), out);
    }

    fn create_csi_node(&mut self, out: &mut Outbox) {
        let uid = &self.node.csi_owner;
        let name = &self.config.node_name;
        let csi_node = value!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
            "metadata": {"name": name, "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]},
            "spec": {"drivers": null}
        });
        let csi_node = Object::from_value(csi_node).expect("a map was built");
        self.client.call(Request::create(resources::csinodes(), csi_node), Call::Node(NodeCall::CreateCsiNode), out);
    }

    /// The node's object as the watch or an answer shows it.
    pub(crate) fn on_node(&mut self, node: Object, out: &mut Outbox) {
        let unschedulable = node.bool_at(&["spec", "unschedulable"]) == Some(true);
        let before = self.node.object.as_ref().is_some_and(|n| n.bool_at(&["spec", "unschedulable"]) == Some(true));
        self.node.object = Some(node);
        if unschedulable != before || (unschedulable && !self.node.noted_schedulable) {
            let reason = if unschedulable { "NodeNotSchedulable" } else { "NodeSchedulable" };
            self.node_status_event(reason, out);
        }
        self.node.noted_schedulable = true;
    }

    /// Every ten seconds: writes the status if it changed, or if it is time to report.
    pub(crate) fn node_status_tick(&mut self, out: &mut Outbox) {
        self.wheel.after(STATUS_INTERVAL, Wake::NodeStatus, out.now);
        // A node that was deleted is not registered again before the kubelet is restarted, as upstream.
        self.sync_node_status(out);
    }

    pub(crate) fn sync_node_status(&mut self, out: &mut Outbox) {
        if self.node.patching {
            self.node.changed = true;
            return;
        }
        let Some(node) = self.node.object.clone() else { return };
        let pressures = self.eviction.pressures;
        let next = status(&self.config, self.not_ready(), pressures, &self.node.images, Some(&node), out.now);
        for (condition, now, reasons) in [
            ("MemoryPressure", pressures.memory, ["NodeHasSufficientMemory", "NodeHasInsufficientMemory"]),
            ("DiskPressure", pressures.disk, ["NodeHasNoDiskPressure", "NodeHasDiskPressure"]),
            ("PIDPressure", pressures.pid, ["NodeHasSufficientPID", "NodeHasInsufficientPID"]),
        ] {
            if node.condition_is_true(condition) != now {
                self.node_status_event(reasons[usize::from(now)], out);
            }
        }
        let due = out.now.since(self.node.reported) >= REPORT_INTERVAL;
        if !due && !differs(&node, &next) {
            return;
        }
        let was_ready = node.condition_is_true("Ready");
        let is_ready = self.not_ready().is_none();
        let mut next = next;
        if node.at(&["status", "images"]) == next.get("images") {
            next.map_mut().remove("images");
        }
        for unchanged in [
            "capacity",
            "allocatable",
            "nodeInfo",
            "addresses",
            "daemonEndpoints",
            "declaredFeatures",
            "features",
            "runtimeHandlers",
        ] {
            if node.at(&["status", unchanged]) == next.get(unchanged) {
                next.map_mut().remove(unchanged);
            }
        }
        let patch = value!({"status": next});
        let request = Request::patch_status(resources::nodes(), &self.node_key(), PatchType::StrategicMerge, patch);
        self.node.patching = true;
        self.node.reported = out.now;
        self.client.call(request, Call::Node(NodeCall::Status), out);
        if was_ready != is_ready {
            if is_ready {
                self.info("kubelet_node_status.go:501", "Fast updating node status as it just became ready", Vec::new());
            }
            self.node_status_event(if is_ready { "NodeReady" } else { "NodeNotReady" }, out);
        }
    }

    pub(crate) fn renew_lease(&mut self, out: &mut Outbox) {
        match self.node.lease.clone() {
            Some(mut lease) => {
                lease.set_at(&["spec", "renewTime"], out.now.rfc3339_micro());
                self.client.call(Request::update(resources::leases(), lease), Call::Node(NodeCall::WriteLease), out);
            }
            None => {
                let request = Request::get(resources::leases(), &self.lease_key());
                self.client.call(request, Call::Node(NodeCall::GetLease), out);
            }
        }
    }

    fn on_lease(&mut self, response: &Response, out: &mut Outbox) {
        if let Some(lease) = response.ok() {
            let mut lease = lease.clone();
            lease.set_at(&["spec", "holderIdentity"], &self.config.node_name);
            lease.set_at(&["spec", "leaseDurationSeconds"], LEASE_DURATION_S);
            self.node.lease = Some(lease);
            return self.renew_lease(out);
        }
        if response.is_not_found() {
            let request = Request::get(resources::nodes(), &self.node_key());
            self.client.call(request, Call::Node(NodeCall::LeaseOwner), out);
            return;
        }
        let args = vec![("err", (&failure(response)).into()), ("interval", "1s".into())];
        self.error("controller.go:145", "Failed to ensure lease exists, will retry", args);
        self.renew_later(Duration::from_secs(1), out);
    }

    fn create_lease(&mut self, uid: std::rc::Rc<str>, out: &mut Outbox) {
        let name = &self.config.node_name;
        let lease = value!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_DURATION_S, "renewTime": (out.now.rfc3339_micro())}
        });
        let lease = Object::from_value(lease).expect("a map was built");
        let request = Request::create(Gvr::new("coordination.k8s.io", "v1", "leases"), lease);
        self.client.call(request, Call::Node(NodeCall::WriteLease), out);
    }

    /// The next renewal, up to 4 % later, so that not all nodes renew at once.
    fn renew_later(&mut self, delay: Duration, out: &mut Outbox) {
        let extra = delay.as_micros() as u64 * 4 / 100;
        let jitter = self.jitter(extra);
        self.wheel.after(delay + jitter, Wake::Lease, out.now);
    }
}

/// Whether anything but heartbeat times changed.
fn differs(node: &Object, next: &Value) -> bool {
    let Some(next) = next.as_map() else { return false };
    next.iter().any(|(key, v)| match &**key {
        "conditions" => v.items().iter().any(|c| {
            let old = c.str_at(&["type"]).and_then(|t| node.condition(t));
            ["status", "reason", "message"].iter().any(|f| old.and_then(|o| o.get(f)) != c.get(f))
        }),
        // Quantities may be written differently; they don't change here.
        "capacity" | "allocatable" => node.at(&["status", key]).is_none(),
        // What is empty isn't stored, and members that are false are left out.
        "images" => node.list_at(&["status", "images"]).len() != v.items().len(),
        "runtimeHandlers" | "features" | "declaredFeatures" => node.at(&["status", key]).is_none() != v.is_empty(),
        _ => node.at(&["status", key]).map_or(!v.is_empty(), |old| old != v),
    })
}
