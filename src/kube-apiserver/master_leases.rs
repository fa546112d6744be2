//! Which servers there are: each keeps a key below `/registry/masterleases/` alive, and the endpoints of the Service `kubernetes` are
//! the addresses of those who do. Models `pkg/controlplane/reconcilers/lease.go` and `controller/kubernetesservice`.
//!
//! Every ten seconds a server reads its key, asks for a lease of fifteen, writes the key under it, and lists all. A server that is
//! gone therefore leaves the endpoints when its key has expired and one of the others looks. Left out: taking the own key back at
//! the end (a server that is told to stop has no moment left for it here, so that its lease does it, too), and ports that somebody
//! else has written into the endpoints.

use std::rc::Rc;

use apimachinery::{Gvr, Object, Request, Value, value};
use base::{Duration, Time};
use etcd_api::{KeyRange, KeyValue, Op, OpResponse, Response, Stored, TxnRequest};
use sim::Outbox;

use crate::call::Pending;
use crate::etcd_client::{object_of, range_of, unchanged};
use crate::server::{ApiServer, timer};

/// Below it lie the servers' keys, named by their addresses.
const PREFIX: &str = "/registry/masterleases/";
/// `DefaultEndpointReconcilerInterval`
const INTERVAL: Duration = Duration::from_secs(10);
/// `DefaultEndpointReconcilerTTL`
const TTL_S: i64 = 15;
const SERVICE: (&str, &str) = ("default", "kubernetes");

/// What the renewal waits for.
#[derive(Clone)]
pub enum Step {
    /// The server's key as it is.
    Current,
    /// A lease for the key: the key's revision before, and its next value.
    Lease(i64, Object),
    Written,
    /// All servers' keys.
    Listed,
}

fn endpoints() -> Gvr {
    Gvr::new("", "v1", "endpoints")
}

fn endpoint_slices() -> Gvr {
    Gvr::new("discovery.k8s.io", "v1", "endpointslices")
}

impl ApiServer {
    /// Due: begins a renewal. It is given up where etcd doesn't answer; the next one begins anew.
    pub(crate) fn renew_master_lease(&mut self, now: Time, out: &mut Outbox) {
        let range = KeyRange::one(self.master_key());
        self.ask(etcd_api::Request::Range(range_of(range)), Pending::Master(Step::Current), now, out);
        out.timer(INTERVAL, timer::MASTER_LEASE);
    }

    fn master_key(&self) -> Rc<str> {
        format!("{PREFIX}{}", self.config.advertise_address).into()
    }

    pub(crate) fn master_step(&mut self, step: Step, response: &Response, now: Time, out: &mut Outbox) {
        match (step, response) {
            (Step::Current, Response::Range(r)) => {
                let current = r.kvs.first().map(|kv| &**kv);
                let next = renewed(current, &self.config.advertise_address);
                let id = (self.draw() as i64) | 1 << 40;
                let grant = etcd_api::Request::LeaseGrant { id, ttl_s: TTL_S };
                let revision = current.map_or(0, |kv| kv.mod_revision);
                self.ask(grant, Pending::Master(Step::Lease(revision, next)), now, out);
            }
            (Step::Lease(revision, object), Response::LeaseGrant { id, .. }) => {
                let key = self.master_key();
                let txn = TxnRequest {
                    compare: vec![unchanged(&key, revision)],
                    success: vec![Op::Put { key: key.clone(), value: Stored::Object(object), lease: *id }],
                    failure: vec![Op::Range(range_of(KeyRange::one(key)))],
                };
                self.ask(etcd_api::Request::Txn(txn), Pending::Master(Step::Written), now, out);
            }
            (Step::Written, Response::Txn { succeeded: false, responses }) => {
                // Its lease ran out just now: the key is written anew.
                if let Some(OpResponse::Range(r)) = responses.first() {
                    self.master_step(Step::Current, &Response::Range(r.clone()), now, out);
                }
            }
            (Step::Written, _) => {
                let range = range_of(KeyRange::prefix(PREFIX));
                self.ask(etcd_api::Request::Range(range), Pending::Master(Step::Listed), now, out);
            }
            (Step::Listed, Response::Range(r)) => {
                let ips: Vec<&str> = r.kvs.iter().filter_map(|kv| kv.key.strip_prefix(PREFIX)).collect();
                // The own key was written a moment ago: an empty list is a mistake, not news.
                if !ips.is_empty() {
                    self.reconcile_endpoints(&ips, now, out);
                }
            }
            _ => {}
        }
    }

    /// Writes the endpoints of the Service `kubernetes` where they are not these addresses.
    fn reconcile_endpoints(&mut self, ips: &[&str], now: Time, out: &mut Outbox) {
        let port = value!({"name": "https", "port": (i64::from(self.config.secure_port)), "protocol": "TCP"});
        let addresses: Vec<Value> = ips.iter().map(|ip| value!({"ip": (*ip)})).collect();
        let subsets = value!([{"addresses": addresses, "ports": [(&port)]}]);
        let ready = |ip: &&str| value!({"addresses": [(*ip)], "conditions": {"ready": true}});
        let slice = Value::from(ips.iter().map(ready).collect::<Vec<_>>());
        let v6 = ips.first().is_some_and(|ip| ip.contains(':'));
        let labels = value!({"endpointslice.kubernetes.io/skip-mirror": "true"});
        let new = value!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"labels": labels}, "subsets": (&subsets)});
        self.reconcile_one(endpoints(), "subsets", &subsets, new, now, out);
        let new = value!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": (if v6 { "IPv6" } else { "IPv4" }),
            "metadata": {"labels": {"kubernetes.io/service-name": (SERVICE.1)}}, "endpoints": (&slice), "ports": [port]
        });
        self.reconcile_one(endpoint_slices(), "endpoints", &slice, new, now, out);
    }

    /// Makes `field` of one object `wanted`, or the object itself.
    fn reconcile_one(&mut self, gvr: Gvr, field: &str, wanted: &Value, new: Value, now: Time, out: &mut Outbox) {
        let request = match self.peek(gvr, SERVICE.0, SERVICE.1) {
            Some(object) if object.at(&[field]) == Some(wanted) => return,
            Some(object) => {
                let mut object = object.clone();
                object.set_at(&[field], wanted.clone());
                Request::update(gvr, object)
            }
            None => {
                let Some(mut object) = Object::from_value(new) else { return };
                object.set_at(&["metadata", "namespace"], SERVICE.0);
                object.set_at(&["metadata", "name"], SERVICE.1);
                Request::create(gvr, object)
            }
        };
        self.own_request(request, now, out);
    }
}

/// The next value of a server's key. Only a changed value is written, so its generation grows.
fn renewed(current: Option<&KeyValue>, ip: &str) -> Object {
    let generation = current.and_then(object_of).and_then(|o| o.int_at(&["metadata", "generation"])).unwrap_or(0);
    let value = value!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"generation": (generation + 1)},
        "subsets": [{"addresses": [{"ip": ip}]}]
    });
    Object::from_value(value).expect("a map was built")
}
