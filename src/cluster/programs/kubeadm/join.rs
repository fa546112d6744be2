//! `kubeadm join`: a blank machine becomes a worker of a cluster that it knows an address, a token and a digest of; or with
//! `--control-plane` more than that (`join_control_plane`).

use apimachinery::{Credential, ObjectKey, Request, resources};
use base::Duration;

use super::script::{Cx, Step, why_failed};
use super::token::{ca_hash, parts};
use super::{Line, fail, join_control_plane, preflight};
use crate::kubeadm_files::{Facts, bootstrap_conf, kubelet_files, kubelet_identity};

/// How long the kubelet may take to get its certificate.
const PATIENCE_S: i64 = 300;

pub(super) fn join(cx: &mut Cx<'_, '_>, line: &Line, endpoint: &str) -> Step<i32> {
    let leads = line.has("control-plane");
    if line.value("certificate-key").is_some() && !leads {
        return fail(cx, "the option --certificate-key can only be used with --control-plane");
    }
    let Some(token) = line.value("token").or(line.value("discovery-token")).map(String::from) else {
        return fail(cx, "discovery: Invalid value: \"\": bootstrapToken or file must be set");
    };
    if parts(&token).is_none() {
        return fail(cx, "discovery.bootstrapToken.token: Invalid value: \"\": the bootstrap token is invalid");
    }
    let hash = line.value("discovery-token-ca-cert-hash").map(String::from);
    if hash.is_none() && !line.has("discovery-token-unsafe-skip-ca-verification") {
        return fail(
            cx,
            "discovery.bootstrapToken: Invalid value: \"\": using token-based discovery without caCertHashes can be unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file or pass --discovery-token-unsafe-skip-ca-verification flag to continue",
        );
    }
    cx.say("[preflight] Running pre-flight checks\n");
    let wanted = ["file /etc/kubernetes/kubelet.conf", "port 10250", "file /etc/kubernetes/pki/ca.crt"];
    // Who brings a control plane may have brought its certificates, too.
    if let Some(code) = preflight::check(cx, line, &wanted[..if leads { 2 } else { 3 }])? {
        return Ok(code);
    }
    let server = format!("https://{}", endpoint.trim_start_matches("https://"));
    if let Some(why) = discover(cx, &server, &token, hash.as_deref())? {
        return fail(cx, &format!("error execution phase preflight: couldn't validate the identity of the API Server: {why}"));
    }
    cx.say("[preflight] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...\n[preflight] Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.\n");
    let bearer = Credential::Bearer(token.as_str().into());
    let node = line.value("node-name").map_or_else(|| cx.hostname(), String::from);
    if node != cx.hostname() {
        return fail(cx, "--node-name other than the machine's name is not in this bottle");
    }
    // A node of that name that is Ready is somebody else.
    let existing = cx.api(&server, &bearer, Request::get(resources::nodes(), &ObjectKey::new("", &node)))?;
    if let Ok(response) = &existing
        && response.ok().is_some_and(|n| n.condition_is_true("Ready"))
    {
        return fail(
            cx,
            &format!(
                "error execution phase kubelet-start: a Node with name \"{node}\" and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node"
            ),
        );
    }
    let ip = preflight::address(cx)?;
    let config = ObjectKey::new("kube-system", "kubeadm-config");
    let config = match leads {
        true => cx.api(&server, &bearer, Request::get(resources::configmaps(), &config))?.ok(),
        false => None,
    };
    let cluster = config.and_then(|r| r.ok().map(join_control_plane::cluster_configuration)).unwrap_or_default();
    let range = |name: &str| cluster.str_at(&["networking", name]).unwrap_or("").to_string();
    let stable = cluster.str_at(&["controlPlaneEndpoint"]).filter(|_| leads);
    let facts = Facts {
        endpoint: stable.map_or_else(|| server.clone(), |endpoint| format!("https://{endpoint}")),
        pod_cidr: range("podSubnet"),
        service_cidr: range("serviceSubnet"),
        members: Vec::new(),
        external_cloud: cx.world("/machine", &[])?.value.bool_at(&["externalCloud"]) == Some(true),
        local_etcd: leads,
        seed: base::Seed(base::hash64(node.as_bytes())),
    };
    if leads {
        if let Some(code) = join_control_plane::check(cx, line, &cluster)? {
            return Ok(code);
        }
        if let Some(code) = join_control_plane::prepare(cx, line, &bearer, &facts, (&node, &ip))? {
            return Ok(code);
        }
    }
    let (path, text, mode) = bootstrap_conf(&server, &token);
    cx.write(&path, &text, mode);
    let files = kubelet_files(&facts, &ip);
    for (path, text, mode) in &files {
        match path.as_str() {
            "/var/lib/kubelet/config.yaml" => {
                cx.say(format!("[kubelet-start] Writing kubelet configuration to file \"{path}\"\n"))
            }
            path if path.ends_with(".env") => {
                cx.say(format!("[kubelet-start] Writing kubelet environment file with flags to file \"{path}\"\n"));
            }
            _ => {}
        }
        cx.write(path, text, *mode);
    }
    cx.say("[kubelet-start] Starting the kubelet\n");
    cx.world("/systemd/restart", &[("unit", "kubelet")])?;
    cx.say("[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:10248/healthz. This can take up to 4m0s\n");
    cx.sleep(Duration::from_secs(1))?;
    cx.say("[kubelet-check] The kubelet is healthy after 1.000s\n[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap\n");
    if leads && let Some(code) = join_control_plane::join_etcd(cx, &facts, &node, &ip)? {
        return Ok(code);
    }
    for _ in 0..PATIENCE_S {
        if cx.world("/machine", &[])?.value.bool_at(&["bootstrapped"]) == Some(true) {
            let now = cx.now();
            // The kubelet's own: its certificate, and the kubeconfig that leads to it.
            for (path, text, mode) in kubelet_identity(&facts, &node, now) {
                cx.write(&path, &text, mode);
            }
            cx.remove(&path, true);
            if leads {
                return join_control_plane::finish(cx, &facts, &node, &ip);
            }
            cx.say(
                "\nThis node has joined the cluster:\n* Certificate signing request was sent to apiserver and a response was received.\n* The Kubelet was informed of the new secure connection details.\n\nRun 'kubectl get nodes' on the control-plane to see this node join the cluster.\n\n",
            );
            return Ok(0);
        }
        cx.sleep(Duration::from_secs(1))?;
    }
    fail(cx, "error execution phase kubelet-wait-bootstrap: failed while waiting for TLS bootstrap: context deadline exceeded")
}

/// Finds the cluster behind an address. `Some`: why it is not to be trusted.
fn discover(cx: &mut Cx<'_, '_>, server: &str, token: &str, hash: Option<&str>) -> Step<Option<String>> {
    let key = ObjectKey::new("kube-public", "cluster-info");
    let info = cx.api(server, &Credential::Anonymous, Request::get(resources::configmaps(), &key))?;
    if let Some(why) = why_failed(&info) {
        return Ok(Some(format!("failed to request the cluster-info ConfigMap: {why}")));
    }
    // Upstream finds the token's signature in the ConfigMap; here the token itself is shown.
    let bearer = Credential::Bearer(token.into());
    let config = ObjectKey::new("kube-system", "kubeadm-config");
    let answer = cx.api(server, &bearer, Request::get(resources::configmaps(), &config))?;
    if answer.as_ref().is_ok_and(|r| r.code == 401) {
        let id = token.split('.').next().unwrap_or("");
        return Ok(Some(format!("could not find a JWS signature in the cluster-info ConfigMap for token ID \"{id}\"")));
    }
    if let Some(hash) = hash.filter(|h| **h != ca_hash()) {
        return Ok(Some(format!(
            "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"{}\" are pinned (given: {hash})",
            ca_hash()
        )));
    }
    Ok(why_failed(&answer).map(|why| format!("failed to get config map: {why}")))
}
