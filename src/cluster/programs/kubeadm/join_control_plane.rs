//! `kubeadm join --control-plane`: what a machine needs beyond a worker to carry a control plane of its own. Models the phases
//! `control-plane-prepare`, `check-etcd`, `etcd-join`, `control-plane-join` and `wait-control-plane`.
//!
//! The certificates come from the Secret that `--certificate-key` opens, or were copied to the machine by hand. etcd's members are
//! found by the static pods' command lines; the new one is a learner until it has caught up.

use apimachinery::{Credential, Object, ObjectKey, PatchType, Request, ResponseBody, Value, json, resources, yaml};
use base::Duration;

use super::script::{Cx, Step, why_failed};
use super::{Line, fail, identity, preflight, upload_certs};
use crate::kubeadm::{STATIC_PODS, control_plane_mark};
use crate::kubeadm_files::{CERTIFICATES, CONFS, Facts, manifests, renewed, renewed_conf};

/// How long the control plane may take to come up.
const PATIENCE_S: i64 = 240;
/// `timeouts.etcdAPICall`
const ETCD_PATIENCE_S: i64 = 120;
const HINTS: &str = "\n\nPlease ensure that:\n* The cluster has a stable controlPlaneEndpoint address.\n* The certificates that must be shared among control plane instances are provided.\n\n";

/// Why this machine can't have a control plane of the cluster. `Some`: the exit code, and everything was said.
pub(super) fn check(cx: &mut Cx<'_, '_>, line: &Line, cluster: &Value) -> Step<Option<i32>> {
    let refuse = |cx: &mut Cx<'_, '_>, why: &str| {
        let text = format!(
            "error execution phase preflight: \nOne or more conditions for hosting a new control plane instance is not satisfied.\n\n{why}{HINTS}"
        );
        fail(cx, &text).map(Some)
    };
    if cluster.str_at(&["controlPlaneEndpoint"]).is_none_or(str::is_empty) {
        let why =
            "unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address";
        return refuse(cx, why);
    }
    if line.value("certificate-key").is_none() {
        let missing = upload_certs::missing(cx);
        if !missing.is_empty() {
            let why = format!("[{}]", missing.join(", "));
            return refuse(cx, &why);
        }
    }
    cx.say("[preflight] Running pre-flight checks before initializing the new control plane instance\n");
    let mut wanted = vec!["port 6443", "port 10259", "port 10257"];
    let files: Vec<String> = STATIC_PODS.iter().map(|(pod, _)| format!("file /etc/kubernetes/manifests/{pod}.yaml")).collect();
    wanted.extend(files.iter().map(String::as_str));
    wanted.extend(["port 2379", "port 2380", "dir /var/lib/etcd"]);
    if let Some(code) = preflight::check(cx, line, &wanted)? {
        return Ok(Some(code));
    }
    cx.say("[preflight] Pulling images required for setting up a Kubernetes cluster\n[preflight] This might take a minute or two, depending on the speed of your internet connection\n[preflight] You can also perform this action beforehand using 'kubeadm config images pull'\n");
    Ok(None)
}

/// The configuration that `kubeadm init` has left: `ClusterConfiguration` of `kube-system/kubeadm-config`.
pub(super) fn cluster_configuration(config: &Object) -> Value {
    let text = config.str_at(&["data", "ClusterConfiguration"]).unwrap_or("");
    yaml::parse(text).map(|d| d.value).unwrap_or_default()
}

/// Certificates, kubeconfigs and manifests, but etcd's. `Some`: the exit code.
pub(super) fn prepare(
    cx: &mut Cx<'_, '_>,
    line: &Line,
    credential: &Credential,
    facts: &Facts,
    (node, ip): (&str, &str),
) -> Step<Option<i32>> {
    if let Some(key) = line.value("certificate-key")
        && let Some(why) = upload_certs::download(cx, &facts.endpoint, credential, key)?
    {
        let text = format!("error execution phase control-plane-prepare/download-certs: error downloading certs: {why}");
        return fail(cx, &text).map(Some);
    }
    let now = cx.now();
    cx.say("[certs] Using certificateDir folder \"/etc/kubernetes/pki\"\n");
    for certificate in &CERTIFICATES {
        cx.say(format!("[certs] Generating \"{}\" certificate and key\n", certificate.file));
        for (path, text, mode) in renewed(certificate, facts, node, now) {
            cx.write(&path, &text, mode);
        }
    }
    cx.say("[certs] Valid certificates and keys now exist in \"/etc/kubernetes/pki\"\n[certs] Using the existing \"sa\" key\n[kubeconfig] Generating kubeconfig files\n[kubeconfig] Using kubeconfig folder \"/etc/kubernetes\"\n");
    for conf in CONFS.iter().filter(|(file, ..)| *file != "super-admin.conf") {
        cx.say(format!("[kubeconfig] Writing \"{}\" kubeconfig file\n", conf.0));
        let (path, text, mode) = renewed_conf(conf, facts, ip, now);
        cx.write(&path, &text, mode);
    }
    cx.say("[control-plane] Using manifest folder \"/etc/kubernetes/manifests\"\n");
    let pods = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    for ((path, text, mode), pod) in manifests(facts, &pods, node, ip).iter().zip(pods) {
        cx.say(format!("[control-plane] Creating static Pod manifest for \"{pod}\"\n"));
        cx.write(path, text, *mode);
    }
    cx.say("[check-etcd] Checking that the etcd cluster is healthy\n");
    Ok(None)
}

/// Client URLs of etcd's members, by the command lines of their static pods.
pub(super) fn etcd_endpoints(cx: &mut Cx<'_, '_>, server: &str, admin: &Credential) -> Step<Vec<String>> {
    let mut request = Request::list(resources::pods(), "kube-system");
    request.options.label_selector = Some("component=etcd,tier=control-plane".into());
    let answer = cx.api(server, admin, request)?;
    let pods = answer.ok().and_then(|r| r.as_list().map(|l| l.items.clone())).unwrap_or_default();
    let url = |pod: &Object| {
        let container = pod.list_at(&["spec", "containers"]).first()?;
        let words = container.list_at(&["command"]);
        let flag = words.iter().filter_map(Value::as_str).find_map(|w| w.strip_prefix("--advertise-client-urls="))?;
        Some(flag.split(',').next().unwrap_or(flag).to_string())
    };
    Ok(pods.iter().filter_map(url).collect())
}

/// Asks one of etcd's members. The inner error: its words, or Go's for a connection that could not be made.
pub(super) fn etcd(cx: &mut Cx<'_, '_>, endpoints: &[String], path: &str, query: &[(&str, &str)]) -> Step<Result<Value, String>> {
    let mut why = "no etcd endpoints".to_string();
    for endpoint in endpoints {
        let mut request = Request::get_path(path);
        request.options.query = query.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        match cx.api(endpoint, &Credential::Anonymous, request)? {
            Err(text) => why = text.to_string(),
            Ok(response) => match &response.body {
                ResponseBody::Text(_, text) if response.code == 200 => {
                    return Ok(Ok(json::parse(text.as_bytes()).unwrap_or_default()));
                }
                ResponseBody::Text(_, text) => why = text.to_string(),
                _ => why = response.message().to_string(),
            },
        }
    }
    Ok(Err(why))
}

fn members(answer: &Value) -> Vec<(String, String)> {
    let of = |m: &Value| {
        let url = m.list_at(&["peerURLs"]).first().and_then(Value::as_str)?;
        Some((m.str_at(&["name"]).unwrap_or("").to_string(), url.strip_prefix("https://")?.rsplit_once(':')?.0.to_string()))
    };
    answer.list_at(&["members"]).iter().filter_map(of).collect()
}

/// This machine's member: announced as a learner, started, and promoted when it has caught up. `Some`: the exit code.
pub(super) fn join_etcd(cx: &mut Cx<'_, '_>, facts: &Facts, node: &str, ip: &str) -> Step<Option<i32>> {
    let failed = |cx: &mut Cx<'_, '_>, why: &str| {
        fail(cx, &format!("error execution phase etcd-join: error creating local etcd static pod manifest file: {why}")).map(Some)
    };
    let Some((server, admin)) = cx.read(super::ADMIN).and_then(|text| identity(&text)) else {
        return failed(cx, "unreadable admin.conf");
    };
    let endpoints = etcd_endpoints(cx, &server, &admin)?;
    let peer = format!("https://{ip}:2380");
    let added = etcd(cx, &endpoints, "/v3/cluster/member/add", &[("peerURLs", &peer), ("isLearner", "true")])?;
    let added = match added {
        Ok(answer) => answer,
        Err(why) => return failed(cx, &why),
    };
    cx.say("[etcd] Announced new etcd member joining to the existing etcd cluster\n[etcd] Creating static Pod manifest for \"etcd\"\n");
    let mut all = members(&added);
    // Who has not started has no name yet.
    all.iter_mut().filter(|(_, at)| at == ip).for_each(|(name, _)| *name = node.to_string());
    let known = Facts { members: all, ..facts.clone() };
    for (path, text, mode) in manifests(&known, &["etcd"], node, ip) {
        let text =
            text.replace("    - --listen-client-urls", "    - --initial-cluster-state=existing\n    - --listen-client-urls");
        cx.write(&path, &text, mode);
    }
    cx.say("[etcd] Waiting for the new etcd member to join the cluster. This can take up to 40s\n");
    let id = added.str_at(&["member", "ID"]).unwrap_or("0").to_string();
    let mut why = String::new();
    for _ in 0..ETCD_PATIENCE_S {
        match etcd(cx, &endpoints, "/v3/cluster/member/promote", &[("ID", &id)])? {
            Ok(_) => return Ok(None),
            Err(text) => why = text,
        }
        cx.sleep(Duration::from_secs(1))?;
    }
    failed(cx, &why)
}

/// Marks the node and waits for the components.
pub(super) fn finish(cx: &mut Cx<'_, '_>, facts: &Facts, node: &str, ip: &str) -> Step<i32> {
    let Some((server, admin)) = cx.read(super::ADMIN).and_then(|text| identity(&text)) else {
        return fail(cx, "unreadable admin.conf");
    };
    cx.say(format!("[mark-control-plane] Marking the node {node} as control-plane by adding the labels: [node-role.kubernetes.io/control-plane node.kubernetes.io/exclude-from-external-load-balancers]\n[mark-control-plane] Marking the node {node} as control-plane by adding the taints [node-role.kubernetes.io/control-plane:NoSchedule]\n"));
    let key = ObjectKey::new("", node);
    for _ in 0..120 {
        let mark = Request::patch(resources::nodes(), &key, PatchType::StrategicMerge, control_plane_mark(facts.external_cloud));
        if why_failed(&cx.api(&server, &admin, mark)?).is_none() {
            break;
        }
        cx.sleep(Duration::from_secs(1))?;
    }
    let local = format!("https://{ip}:6443");
    cx.say(format!("[control-plane-check] Waiting for healthy control plane components. This can take up to 4m0s\n[control-plane-check] Checking kube-apiserver at {local}/livez\n[control-plane-check] Checking kube-controller-manager at https://127.0.0.1:10257/healthz\n[control-plane-check] Checking kube-scheduler at https://127.0.0.1:10259/livez\n"));
    let mut waiting = vec![("kube-controller-manager", 10257), ("kube-scheduler", 10259), ("kube-apiserver", 6443)];
    for seconds in 0..PATIENCE_S {
        let ports = preflight::ports(cx)?;
        let serves = why_failed(&cx.api(&local, &admin, Request::get_path("/livez"))?).is_none();
        let (up, down): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(name, port)| ports.contains(port) && (*name != "kube-apiserver" || serves));
        for (name, _) in up {
            cx.say(format!("[control-plane-check] {name} is healthy after {seconds}.000s\n"));
        }
        waiting = down;
        if waiting.is_empty() {
            cx.say("\nThis node has joined the cluster and a new control plane instance was created:\n\n* Certificate signing request was sent to apiserver and approval was received.\n* The Kubelet was informed of the new secure connection details.\n* Control plane label and taint were applied to the new node.\n* The Kubernetes control plane instances scaled up.\n* A new etcd member was added to the local/stacked etcd cluster.\n\nTo start administering your cluster from this node, you need to run the following as a regular user:\n\n\tmkdir -p $HOME/.kube\n\tsudo cp -i /etc/kubernetes/admin.conf $HOME/.kube/config\n\tsudo chown $(id -u):$(id -g) $HOME/.kube/config\n\nRun 'kubectl get nodes' to see this node join the cluster.\n\n");
            return Ok(0);
        }
        cx.sleep(Duration::from_secs(1))?;
    }
    fail(cx, "error execution phase wait-control-plane: failed while waiting for the control plane to start")
}
