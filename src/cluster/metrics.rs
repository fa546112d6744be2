//! `/metrics` of the components that have no server of their own in here: etcd, the controller manager, the scheduler, kube-proxy and
//! CoreDNS. A few of upstream's families each, read from what the processes are.
//!
//! Left out by name: authentication and authorization of the callers (kube-apiserver and the kubelets have it), Go's and the process'
//! own families, times other than kube-apiserver's.

use std::fmt::Write;

use crate::process::Process;

/// The document, of a process that has one.
pub(crate) fn document(process: &Process) -> Option<String> {
    let mut page = Page(String::new());
    match process {
        Process::Etcd(member) => etcd(member, &mut page),
        Process::ControllerManager(manager) => controller_manager(manager, &mut page),
        Process::Scheduler(scheduler) => self::scheduler(scheduler, &mut page),
        Process::KubeProxy(proxy) => {
            let name = "kubeproxy_sync_proxy_rules_iptables_total";
            page.family(name, "gauge", "[ALPHA] Number of iptables rules owned by kube-proxy");
            page.sample(name, "table=\"nat\"", proxy.programmed().count() as f64);
        }
        Process::CoreDns(dns) => {
            page.family("coredns_build_info", "gauge", "A metric with a constant '1' value.");
            page.sample("coredns_build_info", "version=\"1.12.1\"", 1.0);
            let name = "coredns_dns_requests_total";
            page.family(name, "counter", "Counter of DNS requests made per zone, protocol and family.");
            page.sample(name, "family=\"1\",proto=\"udp\",server=\"dns://:53\",type=\"\",zone=\".\"", dns.answered() as f64);
        }
        _ => return None,
    }
    Some(page.0)
}

/// A text in the exposition format.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }
    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }
}

fn etcd(member: &::etcd::Member, page: &mut Page) {
    let status = member.status();
    let truth = |b: bool| if b { 1.0 } else { 0.0 };
    page.one(
        "etcd_server_has_leader",
        "gauge",
        "Whether or not a leader exists. 1 is existence, 0 is not.",
        truth(status.leader != 0),
    );
    page.one(
        "etcd_server_is_leader",
        "gauge",
        "Whether or not this member is a leader. 1 if is, 0 otherwise.",
        truth(status.leader == member.id()),
    );
    page.one(
        "etcd_server_proposals_committed_total",
        "gauge",
        "The total number of consensus proposals committed.",
        status.raft_index as f64,
    );
    page.one(
        "etcd_server_proposals_applied_total",
        "gauge",
        "The total number of consensus proposals applied.",
        status.raft_applied_index as f64,
    );
    page.one(
        "etcd_mvcc_db_total_size_in_bytes",
        "gauge",
        "Total size of the underlying database physically allocated in bytes.",
        status.db_size as f64,
    );
    page.one(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "gauge",
        "Total size of the underlying database logically in use in bytes.",
        status.db_size_in_use as f64,
    );
    page.one("etcd_debugging_mvcc_current_revision", "gauge", "The current revision of store.", member.revision() as f64);
    page.one("etcd_debugging_mvcc_keys_total", "gauge", "Total number of keys.", member.store().len() as f64);
    page.one("etcd_debugging_mvcc_watcher_total", "gauge", "Total number of watchers.", member.watch_count() as f64);
}

fn controller_manager(manager: &kube_controller_manager::KubeControllerManager, page: &mut Page) {
    let loops: Vec<_> = manager.view().iter().filter_map(|c| manager.loop_view(c.name, 0)).collect();
    // What was worked on was added once, and so was what waits.
    page.family("workqueue_adds_total", "counter", "[BETA] Total number of adds handled by workqueue");
    for l in &loops {
        let adds = l.counts.syncs as usize + l.queue.waiting_count;
        page.sample("workqueue_adds_total", &format!("name=\"{}\"", queue_name(l.name)), adds as f64);
    }
    page.family("workqueue_depth", "gauge", "[BETA] Current depth of workqueue");
    for l in &loops {
        page.sample("workqueue_depth", &format!("name=\"{}\"", queue_name(l.name)), l.queue.waiting_count as f64);
    }
    page.family(
        "rest_client_requests_total",
        "counter",
        "[ALPHA] Number of HTTP requests, partitioned by status code, method, and host.",
    );
    let calls: u64 = loops.iter().map(|l| l.counts.calls).sum();
    page.sample("rest_client_requests_total", "code=\"\",host=\"\",method=\"\"", calls as f64);
}

/// `deployment-controller` has the queue `deployment`.
fn queue_name(controller: &str) -> &str {
    controller.strip_suffix("-controller").unwrap_or(controller)
}

fn scheduler(scheduler: &kube_scheduler::Scheduler, page: &mut Page) {
    let queues = scheduler.queue_counts();
    let name = "scheduler_pending_pods";
    page.family(name, "gauge", "[STABLE] Number of pending pods, by the queue type.");
    for (queue, n) in
        [("active", queues.active), ("backoff", queues.backoff), ("gated", queues.gated), ("unschedulable", queues.unschedulable)]
    {
        page.sample(name, &format!("queue=\"{queue}\""), n as f64);
    }
    let name = "scheduler_schedule_attempts_total";
    page.family(name, "counter", "[STABLE] Number of attempts to schedule pods, by the result.");
    page.sample(name, "profile=\"default-scheduler\",result=\"scheduled\"", scheduler.scheduled() as f64);
    let name = "leader_election_master_status";
    page.family(
        name,
        "gauge",
        "[ALPHA] Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.",
    );
    page.sample(name, "name=\"kube-scheduler\"", f64::from(u8::from(scheduler.is_leader())));
}
