//! Which controllers there are: one line each, in the order in which they start.

use base::Seed;

use crate::config::Config;
use crate::framework::Controller;
use crate::runner::{AnyRunner, Runner};
use crate::{
    clusterrole_aggregation, cronjob, csr_approving, csr_signing, daemonset, deployment, disruption, endpoints, garbage, hpa,
    job, mirroring, namespace, node_ipam, node_lifecycle, pod_gc, quota, replicaset, root_ca, service_cidr, serviceaccount,
    statefulset, taint_eviction, token_secrets, ttl, ttl_after_finished, volumes,
};

/// Controllers of v1.37 that are not in the bottle.
pub const NOT_IN_THE_BOTTLE: &[&str] = &[
    "bootstrap-signer-controller",
    "certificatesigningrequest-cleaner-controller",
    "device-taint-eviction-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    "legacy-serviceaccount-token-cleaner-controller",
    "persistentvolume-attach-detach-controller",
    "podcertificaterequest-cleaner-controller",
    "podgroup-protection-controller",
    "resourceclaim-controller",
    "resourcepoolstatusrequest-controller",
    "selinux-warning-controller",
    "storage-version-migrator-controller",
    "storageversion-garbage-collector-controller",
    "token-cleaner-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// All controllers, stopped. Numbers of calls and timers are in scopes from `first_scope` on.
pub fn runners(config: &Config, first_scope: u16, seed: Seed) -> Vec<Box<dyn AnyRunner>> {
    let mut list = Builder { config, first_scope, seed, runners: Vec::new() };
    list.add(deployment::DeploymentController::default());
    list.add(replicaset::ReplicaSetController::replica_sets());
    list.add(replicaset::ReplicaSetController::replication_controllers());
    list.add(endpoints::EndpointSliceController::new(config.max_endpoints_per_slice));
    list.add(endpoints::EndpointsController::default());
    list.add(root_ca::RootCaPublisher { root_ca: config.root_ca.clone() });
    list.add(serviceaccount::ServiceAccountController::default());
    if let Some(ipam) = node_ipam::NodeIpamController::new(config) {
        list.add(ipam);
    }
    list.add(ttl::TtlController::default());
    list.add(node_lifecycle::NodeLifecycleController::new(config));
    list.add(taint_eviction::TaintEvictionController::default());
    list.add(pod_gc::PodGcController::new(config.terminated_pod_gc_threshold));
    list.add(daemonset::DaemonSetController::default());
    list.add(statefulset::StatefulSetController::default());
    list.add(cronjob::CronJobController::default());
    list.add(job::JobController::default());
    list.add(ttl_after_finished::TtlAfterFinishedController::default());
    list.add(disruption::DisruptionController::default());
    list.add(quota::ResourceQuotaController::default());
    list.add(volumes::VolumeBinder::default());
    list.add(volumes::Protection::claims());
    list.add(volumes::Protection::volumes());
    list.add(hpa::HorizontalPodAutoscalerController::default());
    list.add(clusterrole_aggregation::ClusterRoleAggregation::default());
    list.add(csr_approving::ApprovingController);
    list.add(csr_signing::SigningController { key: config.service_account_key });
    list.add(token_secrets::TokenController { key: config.service_account_key, root_ca: config.root_ca.clone() });
    // Every deletion takes two calls: upstream doubles its rate.
    list.add_faster(garbage::GarbageCollector::default(), 2, 1);
    list.add_faster(namespace::NamespaceController::default(), 20, 100);
    // New ones go to the end: the numbers of calls and timers of the others stay.
    list.add(mirroring::EndpointSliceMirroringController::default());
    list.add(volumes::EphemeralVolumeController::default());
    list.add(volumes::ExpandController::default());
    list.add(service_cidr::ServiceCidrController::default());
    list.runners
}

struct Builder<'a> {
    config: &'a Config,
    first_scope: u16,
    seed: Seed,
    runners: Vec<Box<dyn AnyRunner>>,
}

impl Builder<'_> {
    fn add<C: Controller>(&mut self, controller: C) {
        self.add_faster(controller, 1, 1);
    }
    /// With a multiple of the usual request rate.
    fn add_faster<C: Controller>(&mut self, controller: C, qps: u32, burst: u32) {
        let scope = self.first_scope + self.runners.len() as u16;
        let account = controller.info().account;
        let with_token = !self.config.use_service_account_credentials || account.is_empty();
        let mut client = match account {
            // It speaks as the process itself.
            "" => self.config.client("tokens-controller"),
            account => self.config.client(&format!("system:serviceaccount:kube-system:{account}")),
        };
        client.qps *= qps;
        client.burst *= burst;
        self.runners.push(Runner::boxed(controller, scope, client, with_token, self.seed));
    }
}
