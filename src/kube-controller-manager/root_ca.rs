//! The root CA publisher: every namespace has the ConfigMap `kube-root-ca.crt`. Models `pkg/controller/certificates/rootcacertpublisher`.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, value};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure};
use crate::refs::namespace_terminating;
use crate::resources::{CONFIGMAPS, NAMESPACES, Res, gvr};

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

#[derive(Clone)]
pub struct RootCaPublisher {
    pub root_ca: Rc<str>,
}

impl Controller for RootCaPublisher {
    type Key = ObjectKey;
    type Stage = ();

    fn info(&self) -> Info {
        let name = "root-ca-certificate-publisher-controller";
        Info { name, account: "root-ca-cert-publisher", source: name, workers: 1 }
    }
    fn watches(&self) -> &'static [Res] {
        &[NAMESPACES, CONFIGMAPS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        match (res, &delta.new) {
            (NAMESPACES, Some(namespace)) => queue.add(namespace.key()),
            (CONFIGMAPS, new) if delta.object().name() == NAME && (new.is_none() || delta.old.is_some()) => {
                queue.add(ObjectKey::new("", delta.object().namespace()));
            }
            _ => {}
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<()> {
        let Some(namespace) = ctx.caches.get(NAMESPACES, key) else { return Plan::Done };
        if namespace.str_at(&["status", "phase"]) == Some("Terminating") {
            return Plan::Done;
        }
        match ctx.caches.find(CONFIGMAPS, &key.name, NAME) {
            None => {
                let map = value!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {
                        "name": NAME, "namespace": (&key.name),
                        "annotations": {"kubernetes.io/description": DESCRIPTION}
                    },
                    "data": {"ca.crt": (&self.root_ca)}
                });
                let map = Object::from_value(map).expect("a map was built");
                Plan::call(format!("{key} has no {NAME}"), Request::create(gvr(CONFIGMAPS), map), ())
            }
            Some(map) if map.str_at(&["data", "ca.crt"]) != Some(&self.root_ca) => {
                let mut map = map.clone();
                map.set_at(&["data"], value!({"ca.crt": (&self.root_ca)}));
                map.set_at(&["metadata", "annotations"], value!({"kubernetes.io/description": DESCRIPTION}));
                Plan::call(format!("{NAME} of {key} was changed"), Request::update(gvr(CONFIGMAPS), map), ())
            }
            Some(_) => Plan::Done,
        }
    }
    fn resume(&mut self, _: &ObjectKey, (): (), outcomes: &[Outcome], _: &mut Ctx) -> Plan<()> {
        if outcomes.iter().all(|o| o.is_already_exists() || namespace_terminating(o) || o.code == 404) {
            return Plan::Done;
        }
        failure(outcomes).map_or(Plan::Done, Plan::Retry)
    }
}
