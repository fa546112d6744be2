//! A client has a bounded number of requests under way, so flow control refuses nobody who only has much to do.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::{Credential, Gvr, Object, ObjectKey, PatchType, Request, UserInfo, Verb, resources, value};
use base::{Duration, Time};
use cluster::{Cluster, Config, Observer};
use sim::{Addr, Message, Payload};

/// What is under way by client, the most that ever was, and who was refused a seat.
#[derive(Default)]
struct Count {
    open: BTreeMap<(Addr, u64), ()>,
    most: usize,
    refused: usize,
}

impl Observer for Count {
    fn sent(&mut self, message: &Message, _: Time) {
        match &message.payload {
            Payload::ApiRequest { id, request } if request.verb != Verb::Watch => {
                self.open.insert((message.from, *id), ());
                let of_client = self.open.range((message.from, 0)..=(message.from, u64::MAX)).count();
                self.most = self.most.max(of_client);
            }
            Payload::ApiResponse { id, response } => {
                self.open.remove(&(message.to, *id));
                self.refused += usize::from(response.code == 429);
            }
            _ => {}
        }
    }
}

fn ask(request: Request) -> Request {
    let credential = Credential::Certificate(Rc::new(UserInfo::new("kubernetes-admin", &["system:masters"])));
    Request { credential, ..request }
}

fn create(replicas: i64) -> Request {
    let object = value!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}}
    });
    ask(Request::create(resources::deployments(), Object::from_value(object).unwrap()))
}

fn ready(cluster: &Cluster) -> Option<i64> {
    let read = ask(Request::get(resources::deployments(), &ObjectKey::new("default", "web")));
    let seen = cluster.api().unwrap().read(&read, cluster.now());
    seen.ok().and_then(|d| d.int_at(&["status", "readyReplicas"]))
}

#[test]
fn a_thousand_pods_at_once_wait_in_their_clients_and_are_not_refused() {
    let mut cluster = Cluster::new(Config::hollow(10));
    cluster.run_until(cluster.now() + Duration::from_secs(60), &mut ());
    assert!(cluster.is_ready());
    let request = create(1000);
    let mut count = Count::default();
    cluster.inject(cluster.apiserver, Payload::ApiRequest { id: 1, request: Rc::new(request) }, &mut count);
    cluster.run_until(cluster.now() + Duration::from_secs(30), &mut count);
    assert_eq!(ready(&cluster), Some(1000));
    assert_eq!(count.refused, 0, "answers 429");
    // The answer has been sent, but not come, when the next request is counted: so the bound is reached and never passed.
    assert!((200..=250).contains(&count.most), "{} requests of one client at a time", count.most);
}

/// Kubelets share one flow, and a level with next to no seats and short queues refuses many of them: they say it again.
#[test]
fn kubelets_that_are_refused_a_seat_come_again() {
    let mut cluster = Cluster::new(Config::hollow(40));
    cluster.run_until(cluster.now() + Duration::from_secs(60), &mut ());
    assert!(cluster.is_ready());
    let levels = Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations");
    let patch = value!({
        "metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}},
        "spec": {"limited": {
            "nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 1}}
        }}
    });
    let patch = ask(Request::patch(levels, &ObjectKey::new("", "system"), PatchType::Merge, patch));
    let mut count = Count::default();
    for (id, request) in [(1, patch), (2, create(400))] {
        cluster.inject(cluster.apiserver, Payload::ApiRequest { id, request: Rc::new(request) }, &mut count);
        cluster.run_until(cluster.now() + Duration::from_secs(1), &mut count);
    }
    cluster.run_until(cluster.now() + Duration::from_secs(120), &mut count);
    assert_eq!(ready(&cluster), Some(400));
    assert!(count.refused > 0, "nobody was refused");
}
