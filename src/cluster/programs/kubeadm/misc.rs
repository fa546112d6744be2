//! What kubeadm only prints.

use apimachinery::{ObjectKey, Request, resources};

use super::script::{Cx, Step, why_failed};
use super::{Line, administrator, fail};

pub(super) const USAGE: &str = "Usage: kubeadm init | join ENDPOINT --token T --discovery-token-ca-cert-hash H [--control-plane --certificate-key K] | reset | token create|list|delete|generate | certs check-expiration|renew|certificate-key | init phase upload-certs | upgrade plan | config print init-defaults|join-defaults | config images list | version\n";

pub(super) fn version(cx: &mut Cx<'_, '_>, line: &Line) -> Step<i32> {
    match line.value("output") {
        Some("short") => cx.say("v1.37.2\n"),
        None => cx.say(
            "kubeadm version: &version.Info{Major:\"1\", Minor:\"37\", GitVersion:\"v1.37.2\", GitTreeState:\"clean\", Compiler:\"kubottle\", Platform:\"linux/amd64\"}\n",
        ),
        Some(other) => return fail(cx, &format!("invalid output format: {other} (in this bottle there is short)")),
    }
    Ok(0)
}

pub(super) fn init_defaults(cx: &mut Cx<'_, '_>) -> Step<i32> {
    cx.say(
        "apiVersion: kubeadm.k8s.io/v1beta4\nbootstrapTokens:\n- groups:\n  - system:bootstrappers:kubeadm:default-node-token\n  token: abcdef.0123456789abcdef\n  ttl: 24h0m0s\n  usages:\n  - signing\n  - authentication\nkind: InitConfiguration\nlocalAPIEndpoint:\n  advertiseAddress: 1.2.3.4\n  bindPort: 6443\nnodeRegistration:\n  criSocket: unix:///var/run/containerd/containerd.sock\n  imagePullPolicy: IfNotPresent\n  imagePullSerial: true\n  name: node\n  taints: null\ntimeouts:\n  controlPlaneComponentHealthCheck: 4m0s\n  discovery: 5m0s\n  etcdAPICall: 2m0s\n  kubeletHealthCheck: 4m0s\n  kubernetesAPICall: 1m0s\n  tlsBootstrap: 5m0s\n  upgradeManifests: 5m0s\n---\napiServer: {}\napiVersion: kubeadm.k8s.io/v1beta4\ncaCertificateValidityPeriod: 87600h0m0s\ncertificateValidityPeriod: 8760h0m0s\ncertificatesDir: /etc/kubernetes/pki\nclusterName: kubernetes\ncontrollerManager: {}\ndns: {}\nencryptionAlgorithm: RSA-2048\netcd:\n  local:\n    dataDir: /var/lib/etcd\nimageRepository: registry.k8s.io\nkind: ClusterConfiguration\nkubernetesVersion: 1.37.0\nnetworking:\n  dnsDomain: cluster.local\n  serviceSubnet: 10.96.0.0/12\nproxy: {}\nscheduler: {}\n",
    );
    Ok(0)
}

pub(super) fn join_defaults(cx: &mut Cx<'_, '_>) -> Step<i32> {
    cx.say(
        "apiVersion: kubeadm.k8s.io/v1beta4\ncaCertPath: /etc/kubernetes/pki/ca.crt\ndiscovery:\n  bootstrapToken:\n    apiServerEndpoint: kube-apiserver:6443\n    token: abcdef.0123456789abcdef\n    unsafeSkipCAVerification: true\n  tlsBootstrapToken: abcdef.0123456789abcdef\nkind: JoinConfiguration\nnodeRegistration:\n  criSocket: unix:///var/run/containerd/containerd.sock\n  imagePullPolicy: IfNotPresent\n  imagePullSerial: true\n  name: node\n  taints: null\ntimeouts:\n  controlPlaneComponentHealthCheck: 4m0s\n  discovery: 5m0s\n  etcdAPICall: 2m0s\n  kubeletHealthCheck: 4m0s\n  kubernetesAPICall: 1m0s\n  tlsBootstrap: 5m0s\n  upgradeManifests: 5m0s\n",
    );
    Ok(0)
}

/// The images that the manifests name.
pub(super) fn images(cx: &mut Cx<'_, '_>) -> Step<i32> {
    for image in [
        "kube-apiserver:v1.37.2",
        "kube-controller-manager:v1.37.2",
        "kube-scheduler:v1.37.2",
        "kube-proxy:v1.37.2",
        "coredns/coredns:v1.13.1",
        "pause:3.10.1",
        "etcd:3.7.0-0",
    ] {
        cx.say(format!("registry.k8s.io/{image}\n"));
    }
    Ok(0)
}

pub(super) fn upgrade_plan(cx: &mut Cx<'_, '_>, line: &Line) -> Step<i32> {
    let (server, credential) = match administrator(cx, line) {
        Ok(found) => found,
        Err(error) => return fail(cx, &error),
    };
    cx.say("[preflight] Running pre-flight checks.\n");
    cx.say("[upgrade/config] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...\n");
    let key = ObjectKey::new("kube-system", "kubeadm-config");
    let answer = cx.api(&server, &credential, Request::get(resources::configmaps(), &key))?;
    if let Some(why) = why_failed(&answer) {
        return fail(cx, &format!("[upgrade/config] FATAL: failed to get config map: {why}"));
    }
    cx.say("[upgrade] Running cluster health checks\n[upgrade] Fetching available versions to upgrade to\n");
    let nodes = cx.api(&server, &credential, Request::list(resources::nodes(), ""))?;
    cx.say("[upgrade/versions] Cluster version: 1.37.2\n[upgrade/versions] kubeadm version: v1.37.2\n");
    for (what, url) in [("stable", "stable"), ("stable-1.37", "stable-1.37")] {
        cx.complain(format!(
            "W could not fetch a Kubernetes version from the internet: unable to get URL \"https://dl.k8s.io/release/{url}.txt\": Get \"https://dl.k8s.io/release/{url}.txt\": dial tcp: lookup dl.k8s.io: no such host\nW falling back to the local client version: v1.37.2\n"
        ));
        let label = if what == "stable" { "Target version" } else { "Latest version in the v1.37 series" };
        cx.say(format!("[upgrade/versions] {label}: v1.37.2\n"));
    }
    if let Ok(list) = &nodes
        && let Some(list) = list.as_list()
    {
        cx.say("\nKubelets of this cluster:\n");
        for node in &list.items {
            let version = node.str_at(&["status", "nodeInfo", "kubeletVersion"]).unwrap_or("unknown").to_string();
            cx.say(format!("kubelet   {:<10} {version}\n", node.name()));
        }
    }
    cx.say("\nAwesome, you're up-to-date! Enjoy!\n");
    Ok(0)
}
