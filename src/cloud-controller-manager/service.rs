//! The service controller: Services of type LoadBalancer get a load balancer of the cloud, with the nodes behind it. Models
//! `cloud-provider/controllers/service`.
//!
//! The order is upstream's: the event `EnsuringLoadBalancer`, the finalizer, the cloud, the status, `EnsuredLoadBalancer`. Nodes that
//! come, go or are excluded by their label change what stands behind each load balancer. Left out: UDP, mixed protocols, source
//! ranges, several addresses.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, PatchType, Request, Value, resources, value};
use base::{Duration, Map};
use client_go::{Delta, Informers};

use crate::cloud;
use crate::framework::{Call, Controller, Ctx, NODES, Outcome, Plan, SERVICES, failure};

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

type Text = Rc<str>;

#[derive(Clone, Default)]
pub(crate) struct ServiceLb {
    /// What was last given to the cloud, by service: what didn't change isn't asked for again.
    known: Map<ObjectKey, Value>,
    /// The nodes behind load balancers: name and address.
    hosts: Map<Text, Text>,
}

#[derive(Clone)]
pub(crate) enum Stage {
    /// The finalizer is there; the cloud is asked next.
    Begun(Value),
    Ensured(Value),
    /// The status is written.
    Noted {
        hosts_only: bool,
    },
    Deleted,
    Released,
}

fn wants(service: &Object) -> bool {
    service.str_at(&["spec", "type"]) == Some("LoadBalancer") && service.at(&["spec", "loadBalancerClass"]).is_none()
}

fn has_finalizer(service: &Object) -> bool {
    service.list_at(&["metadata", "finalizers"]).iter().any(|f| f.as_str() == Some(FINALIZER))
}

/// Whether traffic from outside may go to a node.
fn is_host(node: &Object) -> bool {
    let tainted = node.list_at(&["spec", "taints"]).iter().any(|t| t.str_at(&["key"]) == Some(TO_BE_DELETED));
    node.label(EXCLUDED).is_none() && !tainted && !node.is_being_deleted()
}

fn address(node: &Object) -> Option<Text> {
    let internal = node.list_at(&["status", "addresses"]).iter().find(|a| a.str_at(&["type"]) == Some("InternalIP"))?;
    internal.str_at(&["address"]).map(Text::from)
}

/// The load balancer's name: that of the service's UID, as clouds have it.
fn path(service: &Object) -> String {
    let id: String = service.uid().chars().filter(|c| *c != '-').collect();
    format!("/loadbalancers/a{}", &id[..id.len().min(31)])
}

impl Controller for ServiceLb {
    type Stage = Stage;
    const NAME: &'static str = "service-lb-controller";
    const SOURCE: &'static str = "service-controller";
    const WORKERS: usize = 1;

    fn on_delta(&mut self, number: usize, delta: &Delta, informers: &Informers) -> Vec<(ObjectKey, Duration)> {
        if number == NODES {
            return self.on_node(delta, informers);
        }
        let ours = |s: &Object| wants(s) || has_finalizer(s);
        let relevant = delta.new.as_ref().is_some_and(ours) || delta.old.as_ref().is_some_and(ours);
        if number == SERVICES && relevant { vec![(delta.object().key(), Duration::ZERO)] } else { Vec::new() }
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(service) = ctx.service(key).cloned() else {
            self.known.remove(key);
            return Plan::Done;
        };
        if !wants(&service) || service.is_being_deleted() {
            if !has_finalizer(&service) {
                return Plan::Done;
            }
            if self.known.remove(key).is_some() {
                ctx.normal(&service, "DeletingLoadBalancer", "Deleting load balancer");
            }
            let call = Call::Cloud(cloud::delete(&path(&service)));
            return Plan::calls(format!("{key} wants no load balancer any more"), vec![call], Stage::Deleted);
        }
        let wanted = self.wanted(&service);
        match self.known.get(key) {
            Some(known) if *known == wanted && has_address(&service) => return Plan::Done,
            Some(known) if known.get("ports") == wanted.get("ports") && has_address(&service) => {
                let call = Call::Cloud(cloud::put(&path(&service), &wanted));
                return Plan::calls(format!("other nodes behind {key}"), vec![call], Stage::Ensured(wanted));
            }
            _ => {}
        }
        if let Some(problem) = problem(&service) {
            return self.failed(&service, problem, ctx);
        }
        ctx.normal(&service, "EnsuringLoadBalancer", "Ensuring load balancer");
        if self.hosts.is_empty() {
            ctx.warning(&service, "UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer");
        }
        let mut calls = Vec::new();
        if !has_finalizer(&service) {
            calls.push(finalizers(&service, true));
        }
        calls.push(Call::Cloud(cloud::put(&path(&service), &wanted)));
        Plan::calls(format!("a load balancer for {key}"), calls, Stage::Begun(wanted))
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        let Some(service) = ctx.service(key).cloned() else { return Plan::Done };
        if let Some(why) = failure(outcomes).filter(|_| !outcomes.iter().any(|o| o.is_not_found())) {
            return match stage {
                Stage::Begun(_) => self.failed(&service, format!("failed to ensure load balancer: {why}"), ctx),
                Stage::Ensured(_) => self.failed(&service, format!("failed to update load balancer hosts {key}: {why}"), ctx),
                Stage::Deleted => self.failed(&service, format!("failed to delete load balancer: {why}"), ctx),
                _ => Plan::Retry(why),
            };
        }
        match stage {
            Stage::Begun(wanted) => {
                let ip = outcomes.last().and_then(|o| cloud::read(o).ok()?.str_at(&["ip"]).map(String::from));
                let Some(ip) = ip else { return Plan::Retry("the cloud named no address".into()) };
                self.known.insert(key.clone(), wanted);
                let status = value!({"status": {"loadBalancer": {"ingress": [{"ip": (&*ip), "ipMode": "VIP"}]}}});
                let call = Call::Api(Request::patch_status(resources::services(), key, PatchType::Merge, status));
                Plan::calls(format!("{key} is at {ip}"), vec![call], Stage::Noted { hosts_only: false })
            }
            Stage::Ensured(wanted) => {
                self.known.insert(key.clone(), wanted);
                ctx.normal(&service, "UpdatedLoadBalancer", "Updated load balancer with new hosts");
                Plan::Done
            }
            Stage::Noted { hosts_only } => {
                if !hosts_only {
                    ctx.normal(&service, "EnsuredLoadBalancer", "Ensured load balancer");
                }
                Plan::Done
            }
            Stage::Deleted => {
                let mut calls = Vec::new();
                if has_address(&service) && !service.is_being_deleted() {
                    let status = value!({"status": {"loadBalancer": null}});
                    calls.push(Call::Api(Request::patch_status(resources::services(), key, PatchType::Merge, status)));
                }
                calls.push(finalizers(&service, false));
                Plan::calls(format!("{key} may go"), calls, Stage::Released)
            }
            Stage::Released => {
                ctx.normal(&service, "DeletedLoadBalancer", "Deleted load balancer");
                Plan::Done
            }
        }
    }
}

impl ServiceLb {
    /// A node came, went, or may (not) stand behind load balancers any more: those that exist are looked at.
    fn on_node(&mut self, delta: &Delta, informers: &Informers) -> Vec<(ObjectKey, Duration)> {
        let name: Text = delta.object().name().into();
        let host = delta.new.as_ref().filter(|n| is_host(n)).and_then(address);
        let before = match host.clone() {
            Some(ip) => self.hosts.insert(name, ip),
            None => self.hosts.remove(&name),
        };
        if before == host {
            return Vec::new();
        }
        let _ = informers;
        self.known.keys().map(|key| (key.clone(), Duration::ZERO)).collect()
    }

    /// What the cloud is to make for a service.
    fn wanted(&self, service: &Object) -> Value {
        let port = |p: &Value| {
            value!({
                "protocol": (p.str_at(&["protocol"]).unwrap_or("TCP")), "port": (p.int_at(&["port"]).unwrap_or(0)),
                "nodePort": (p.int_at(&["nodePort"]).unwrap_or(0))
            })
        };
        let ports: Vec<Value> = service.list_at(&["spec", "ports"]).iter().map(port).collect();
        let hosts: Vec<Value> = self.hosts.iter().map(|(name, ip)| value!({"machine": name, "ip": ip})).collect();
        let asked = service.str_at(&["spec", "loadBalancerIP"]).unwrap_or("");
        value!({"service": (service.key().to_string()), "ports": ports, "hosts": hosts, "ip": asked})
    }

    fn failed(&mut self, service: &Object, why: String, ctx: &mut Ctx) -> Plan<Stage> {
        self.known.remove(&service.key());
        ctx.warning(service, "SyncLoadBalancerFailed", &format!("Error syncing load balancer: {why}"));
        // Upstream's backoff for services begins with five seconds.
        Plan::After(Duration::from_secs(5))
    }
}

fn has_address(service: &Object) -> bool {
    !service.list_at(&["status", "loadBalancer", "ingress"]).is_empty()
}

/// What this cloud can't do.
fn problem(service: &Object) -> Option<String> {
    let other = service.list_at(&["spec", "ports"]).iter().find_map(|p| p.str_at(&["protocol"]).filter(|p| *p != "TCP"))?;
    Some(format!("failed to ensure load balancer: the cloud of this bottle balances TCP only, not {other}"))
}

/// Puts the finalizer there, or takes it away. By patch, as upstream.
fn finalizers(service: &Object, there: bool) -> Call {
    let mut list: Vec<Value> =
        service.list_at(&["metadata", "finalizers"]).iter().filter(|f| f.as_str() != Some(FINALIZER)).cloned().collect();
    if there {
        list.push(FINALIZER.into());
    }
    let list = if list.is_empty() { Value::Null } else { Value::list(list) };
    let patch = value!({"metadata": {"finalizers": list}});
    Call::Api(Request::patch(resources::services(), &service.key(), PatchType::Merge, patch))
}
