//! `kubeadm init`: this machine becomes the control plane of a new cluster.

use apimachinery::{Credential, Gvr, ObjectKey, PatchType, Request, resources};
use base::Duration;

use super::script::{Cx, Step, why_failed};
use super::token::{ca_hash, random, secret};
use super::{Line, fail, identity, preflight, upload_certs};
use crate::kubeadm::{ADDONS, BOOTSTRAP, STATIC_PODS, control_plane_mark, objects};
use crate::kubeadm_files::{Facts, certificates, kubelet_files, kubelet_identity, manifests};

/// How long the control plane may take to come up.
const PATIENCE_S: i64 = 240;

/// Makes what a joining machine needs, unless it is there: the cluster's information for everybody, configuration, and the rights
/// of bootstrap tokens. `Some`: what failed.
pub(super) fn ensure_bootstrap(cx: &mut Cx<'_, '_>, server: &str, credential: &Credential) -> Step<Option<String>> {
    // What is shared is as the manifests on this machine say.
    let pods = cx.read("/etc/kubernetes/manifests/kube-controller-manager.yaml").unwrap_or_default();
    let api = cx.read("/etc/kubernetes/manifests/kube-apiserver.yaml").unwrap_or_default();
    let pod_cidr = flag_of(&pods, "cluster-cidr").unwrap_or("10.244.0.0/16");
    let service_cidr = flag_of(&pods, "service-cluster-ip-range").unwrap_or("10.96.0.0/12");
    // An address that is this machine's own is not one of the cluster.
    let own = flag_of(&api, "advertise-address").map(|ip| format!("https://{ip}:6443"));
    let endpoint = match own.as_deref() == Some(server) {
        true => String::new(),
        false => format!("    controlPlaneEndpoint: {}\n", server.trim_start_matches("https://")),
    };
    let text = BOOTSTRAP
        .replace("    controlPlaneEndpoint: ENDPOINT\n", &endpoint)
        .replace("SERVER", server)
        .replace("POD_CIDR", pod_cidr)
        .replace("SERVICE_CIDR", service_cidr);
    for (gvr, object) in objects(&text) {
        let answer = cx.api(server, credential, Request::create(gvr, object.clone()))?;
        let there = answer.as_ref().is_ok_and(|r| r.is_already_exists());
        if let Some(why) = why_failed(&answer).filter(|_| !there) {
            return Ok(Some(format!("unable to create {} {}: {why}", object.kind(), object.name())));
        }
    }
    Ok(None)
}

/// A flag of the command in a static pod's manifest.
fn flag_of<'a>(manifest: &'a str, name: &str) -> Option<&'a str> {
    manifest.lines().find_map(|l| l.trim().strip_prefix("- --")?.strip_prefix(name)?.strip_prefix('='))
}

pub(super) fn init(cx: &mut Cx<'_, '_>, line: &Line) -> Step<i32> {
    for flag in ["pod-network-cidr", "service-cidr"] {
        if let Some(range) = line.value(flag).filter(|r| !is_range(r)) {
            let field = if flag == "pod-network-cidr" { "podSubnet" } else { "serviceSubnet" };
            return fail(
                cx,
                &format!("{field}: Invalid value: \"{range}\": couldn't parse subnet: invalid CIDR address: {range}"),
            );
        }
    }
    cx.say("[init] Using Kubernetes version: v1.37.2\n[preflight] Running pre-flight checks\n");
    let mut wanted = vec!["port 6443", "port 10259", "port 10257"];
    let files: Vec<String> = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"]
        .iter()
        .map(|pod| format!("file /etc/kubernetes/manifests/{pod}.yaml"))
        .collect();
    wanted.extend(files.iter().map(String::as_str));
    wanted.extend(["port 10250", "port 2379", "port 2380", "dir /var/lib/etcd"]);
    if let Some(code) = preflight::check(cx, line, &wanted)? {
        return Ok(code);
    }
    cx.say("[preflight] Pulling images required for setting up a Kubernetes cluster\n[preflight] This might take a minute or two, depending on the speed of your internet connection\n");
    let (node, now, ip) = (cx.hostname(), cx.now(), preflight::address(cx)?);
    let facts = Facts {
        endpoint: format!("https://{}", line.value("control-plane-endpoint").map_or_else(|| format!("{ip}:6443"), with_port)),
        pod_cidr: line.value("pod-network-cidr").unwrap_or("10.244.0.0/16").into(),
        service_cidr: line.value("service-cidr").unwrap_or("10.96.0.0/12").into(),
        members: vec![(node.clone(), ip.clone())],
        external_cloud: false,
        local_etcd: true,
        seed: base::Seed(base::hash64(node.as_bytes()) ^ now.0 as u64),
    };
    write_files(cx, &facts, &node, &ip);
    cx.say("[kubelet-start] Starting the kubelet\n");
    cx.world("/systemd/restart", &[("unit", "kubelet")])?;
    cx.say("[wait-control-plane] Waiting for the kubelet to boot up the control plane as static Pods from directory \"/etc/kubernetes/manifests\"\n");
    let admin = cx.read(super::ADMIN).and_then(|text| identity(&text));
    let Some((_, credential)) = admin else { return fail(cx, "unreadable admin.conf") };
    let server = format!("https://{ip}:6443");
    let mut seconds = 0;
    loop {
        let answer = cx.api(&server, &credential, Request::get_path("/readyz"))?;
        if why_failed(&answer).is_none() {
            break;
        }
        if seconds >= PATIENCE_S {
            return fail(cx, "error execution phase wait-control-plane: failed while waiting for the control plane to start");
        }
        cx.sleep(Duration::from_secs(1))?;
        seconds += 1;
    }
    cx.say(format!("[control-plane-check] kube-apiserver is healthy after {seconds}.000s\n"));
    upload(cx, line, &facts, &server, &credential, &node)
}

/// Certificates, kubeconfigs, the kubelet's configuration and manifests, each with its line.
fn write_files(cx: &mut Cx<'_, '_>, facts: &Facts, node: &str, ip: &str) {
    let now = cx.now();
    cx.say("[certs] Using certificateDir folder \"/etc/kubernetes/pki\"\n");
    for (path, text, mode) in certificates(facts, node, ip, now) {
        if let Some(name) = path.strip_prefix("/etc/kubernetes/pki/").and_then(|p| p.strip_suffix(".crt")) {
            cx.say(format!("[certs] Generating \"{name}\" certificate and key\n"));
        }
        if let Some(name) = path.strip_prefix("/etc/kubernetes/").filter(|p| p.ends_with(".conf")) {
            cx.say(format!("[kubeconfig] Writing \"{name}\" kubeconfig file\n"));
        }
        cx.write(&path, &text, mode);
    }
    for (path, text, mode) in kubelet_identity(facts, node, now).into_iter().chain(kubelet_files(facts, ip)) {
        cx.write(&path, &text, mode);
    }
    let names: Vec<&str> = STATIC_PODS.iter().map(|(name, _)| *name).collect();
    for (path, text, mode) in manifests(facts, &names, node, ip) {
        let name = path.rsplit('/').next().unwrap_or("").trim_end_matches(".yaml").to_string();
        let phase = if name == "etcd" { "etcd" } else { "control-plane" };
        cx.say(format!("[{phase}] Creating static Pod manifest for \"{name}\"\n"));
        cx.write(&path, &text, mode);
    }
    cx.say("[kubelet-start] Writing kubelet environment file with flags to file \"/var/lib/kubelet/kubeadm-flags.env\"\n[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"\n");
}

/// What goes into the API once it is there.
fn upload(cx: &mut Cx<'_, '_>, line: &Line, facts: &Facts, server: &str, credential: &Credential, node: &str) -> Step<i32> {
    cx.say("[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace\n[kubelet] Creating a ConfigMap \"kubelet-config\" in namespace kube-system with the configuration for the kubelets in the cluster\n");
    if let Some(why) = ensure_bootstrap(cx, server, credential)? {
        return fail(cx, &why);
    }
    let certificate_key = match line.has("upload-certs") {
        true => match upload_certs::upload(cx, line, server, credential)? {
            Ok(key) => Some(key),
            Err(why) => return fail(cx, &format!("error execution phase upload-certs: error uploading certs: {why}")),
        },
        false => {
            cx.say("[upload-certs] Skipping phase. Please see --upload-certs\n");
            None
        }
    };
    cx.say(format!("[mark-control-plane] Marking the node {node} as control-plane by adding the labels: [node-role.kubernetes.io/control-plane node.kubernetes.io/exclude-from-external-load-balancers]\n[mark-control-plane] Marking the node {node} as control-plane by adding the taints [node-role.kubernetes.io/control-plane:NoSchedule]\n"));
    let key = ObjectKey::new("", node);
    for _ in 0..120 {
        let mark = Request::patch(resources::nodes(), &key, PatchType::StrategicMerge, control_plane_mark(facts.external_cloud));
        let answer = cx.api(server, credential, mark)?;
        if why_failed(&answer).is_none() {
            break;
        }
        cx.sleep(Duration::from_secs(1))?;
    }
    let token = random(cx);
    cx.say(format!("[bootstrap-token] Using token: {token}\n[bootstrap-token] Configuring bootstrap tokens, cluster-info ConfigMap, RBAC Roles\n"));
    let expires = cx.now() + Duration::from_secs(86_400);
    let description = "The default bootstrap token generated by 'kubeadm init'.";
    let object = secret(
        &token,
        Some(expires),
        description,
        &["signing", "authentication"],
        "system:bootstrappers:kubeadm:default-node-token",
    );
    let answer = cx.api(server, credential, Request::create(resources::secrets(), object.unwrap_or_default()))?;
    if let Some(why) = why_failed(&answer) {
        return fail(cx, &format!("error creating token: {why}"));
    }
    for (gvr, object) in objects(ADDONS) {
        let what = announced(&gvr, object.name());
        let answer = cx.api(server, credential, Request::create(gvr, object))?;
        let there = answer.as_ref().is_ok_and(|r| r.is_already_exists());
        if let Some(why) = why_failed(&answer).filter(|_| !there) {
            return fail(cx, &format!("error execution phase addon: {why}"));
        }
        if let Some(name) = what {
            cx.say(format!("[addons] Applied essential addon: {name}\n"));
        }
    }
    let endpoint = facts.endpoint.trim_start_matches("https://").to_string();
    let control_planes = match (certificate_key, line.value("control-plane-endpoint")) {
        (Some(key), Some(_)) => format!(
            "You can now join any number of control-plane nodes running the following command on each as root:\n\n  kubeadm join {endpoint} --token {token} \\\n\t--discovery-token-ca-cert-hash {} \\\n\t--control-plane --certificate-key {key}\n\nPlease note that the certificate-key gives access to cluster sensitive data, keep it secret!\nAs a safeguard, uploaded-certs will be deleted in two hours; If necessary, you can use\n\"kubeadm init phase upload-certs --upload-certs\" to reload certs afterward.\n\n",
            ca_hash()
        ),
        _ => String::new(),
    };
    cx.say(format!(
        "\nYour Kubernetes control-plane has initialized successfully!\n\nTo start using your cluster, you need to run the following as a regular user:\n\n  mkdir -p $HOME/.kube\n  sudo cp -i /etc/kubernetes/admin.conf $HOME/.kube/config\n  sudo chown $(id -u):$(id -g) $HOME/.kube/config\n\nYou should now deploy a pod network to the cluster.\n\n{control_planes}Then you can join any number of worker nodes by running the following on each as root:\n\nkubeadm join {endpoint} --token {token} \\\n\t--discovery-token-ca-cert-hash {} \n",
        ca_hash()
    ));
    Ok(0)
}

/// The add-ons that have a line when their last object is made.
fn announced(gvr: &Gvr, name: &str) -> Option<&'static str> {
    match (&*gvr.resource.to_string(), name) {
        ("deployments", "coredns") => Some("CoreDNS"),
        ("daemonsets", "kube-proxy") => Some("kube-proxy"),
        _ => None,
    }
}

fn is_range(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(ip, bits)| ip.parse::<std::net::Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|b| b <= 32))
}

fn with_port(endpoint: &str) -> String {
    if endpoint.contains(':') { endpoint.into() } else { format!("{endpoint}:6443") }
}
