//! The service CIDR controller: ranges of addresses for Services become ready, and stay while addresses of theirs are in use.
//! Models `pkg/controller/servicecidrs`. kube-apiserver gives addresses from every range that is ready (`kube-apiserver/alloc.rs`).
//!
//! Left out: looking at who else covers a range that goes, beyond addresses that another ready range holds.

use std::net::IpAddr;

use apimachinery::{Object, ObjectKey, Request, Value};
use base::{Duration, Time};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure_but_not_found};
use crate::refs;
use crate::resources::{Caches, IPADDRESSES, Res, SERVICECIDRS, gvr};

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// Until allocators have heard that a range goes.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
pub struct ServiceCidrController {}

/// Whether an address lies in one of an object's ranges.
fn holds(cidr: &Object, ip: IpAddr) -> bool {
    cidr.list_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str).any(|range| contains(range, ip))
}

fn contains(range: &str, ip: IpAddr) -> bool {
    let Some((base, bits)) = range.split_once('/') else { return false };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let same = |a: u128, b: u128, width: u32| match width.checked_sub(bits) {
        None => false,
        Some(host) => a.checked_shr(host).unwrap_or(0) == b.checked_shr(host).unwrap_or(0),
    };
    match (base, ip) {
        (IpAddr::V4(base), IpAddr::V4(ip)) => same(u32::from(base).into(), u32::from(ip).into(), 32),
        (IpAddr::V6(base), IpAddr::V6(ip)) => same(base.into(), ip.into(), 128),
        _ => false,
    }
}

/// Whether addresses are in use that no other range holds.
fn is_used(cidr: &Object, caches: Caches) -> bool {
    let others: Vec<&Object> =
        caches.store(SERVICECIDRS).objects().filter(|o| o.uid() != cidr.uid() && !o.is_being_deleted()).collect();
    let addresses = caches.store(IPADDRESSES).objects().filter_map(|a| a.name().parse::<IpAddr>().ok());
    addresses.filter(|ip| holds(cidr, *ip)).any(|ip| !others.iter().any(|o| holds(o, ip)))
}

fn has_finalizer(cidr: &Object) -> bool {
    cidr.finalizers().iter().any(|f| f.as_str() == Some(FINALIZER))
}

/// The object with its condition Ready as it should be, if it isn't.
fn with_condition(cidr: &Object, status: &str, reason: &str, message: &str, now: Time) -> Option<Request> {
    let old = cidr.condition("Ready");
    let same = |field: &str, text: &str| old.and_then(|c| c.str_at(&[field])).unwrap_or("") == text;
    if same("status", status) && (status == "True" || same("reason", reason)) {
        return None;
    }
    let mut all = refs::status_of(cidr);
    refs::set_condition(&mut all, refs::condition("Ready", status, reason, message, now));
    Some(refs::update_status(SERVICECIDRS, cidr, all))
}

impl ServiceCidrController {
    fn sync_terminating(&self, cidr: &Object, ctx: &mut Ctx) -> Plan<()> {
        if !has_finalizer(cidr) {
            return Plan::Done;
        }
        if is_used(cidr, ctx.caches) {
            let message =
                "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
            let call = with_condition(cidr, "False", "Terminating", message, ctx.now);
            return call.map_or(Plan::Done, |call| Plan::call(format!("{} is still in use", cidr.name()), call, ()));
        }
        let since = cidr.str_at(&["metadata", "deletionTimestamp"]).and_then(Time::parse).unwrap_or(ctx.now);
        let left = (since + GRACE).since(ctx.now);
        if left > Duration::ZERO {
            return Plan::After(left);
        }
        let mut cidr = cidr.clone();
        let finalizers: Vec<Value> = cidr.finalizers().iter().filter(|f| f.as_str() != Some(FINALIZER)).cloned().collect();
        cidr.set_at(&["metadata", "finalizers"], finalizers);
        Plan::call(format!("{} may go", cidr.name()), Request::update(gvr(SERVICECIDRS), cidr), ())
    }
}

impl Controller for ServiceCidrController {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "service-cidr-controller";
        Info { name, account: "service-cidrs-controller", source: name, workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[SERVICECIDRS, IPADDRESSES]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if res == SERVICECIDRS {
            return queue.add(delta.object().key());
        }
        // An address that goes may let a range go that waits.
        let Some(ip) = delta.object().name().parse::<IpAddr>().ok().filter(|_| delta.new.is_none()) else { return };
        let cidrs = queue.caches.store(SERVICECIDRS).objects();
        let waiting: Vec<ObjectKey> = cidrs.filter(|c| c.is_being_deleted() && holds(c, ip)).map(Object::key).collect();
        waiting.into_iter().for_each(|key| queue.add(key));
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(cidr) = ctx.caches.get(SERVICECIDRS, key).cloned() else { return Plan::Done };
        if cidr.is_being_deleted() {
            return self.sync_terminating(&cidr, ctx);
        }
        if !has_finalizer(&cidr) {
            let mut cidr = cidr.clone();
            let mut finalizers = cidr.finalizers().to_vec();
            finalizers.push(Value::sym(FINALIZER));
            cidr.set_at(&["metadata", "finalizers"], finalizers);
            return Plan::call(format!("{key} is protected"), Request::update(gvr(SERVICECIDRS), cidr), ());
        }
        let call = with_condition(&cidr, "True", "", "Kubernetes Service CIDR is ready", ctx.now);
        call.map_or(Plan::Done, |call| Plan::call(format!("{key} is ready"), call, ()))
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses() {
        for (range, ip, held) in [
            ("10.96.0.0/12", "10.96.0.1", true),
            ("10.96.0.0/12", "10.112.0.1", false),
            ("10.200.0.0/24", "10.200.0.255", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("fd00::/112", "fd00::1:2", false),
            ("fd00::/112", "fd00::ff", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("nonsense", "10.0.0.0", false),
        ] {
            assert_eq!(contains(range, ip.parse().unwrap()), held, "{range} {ip}");
        }
    }
}
