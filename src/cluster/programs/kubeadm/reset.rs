//! `kubeadm reset`: takes back what `init` or `join` did to this machine. Its member leaves an etcd of several first. Models the phases
//! `preflight`, `remove-etcd-member` and `cleanup-node`. Left out: nothing is asked, `--force` must be said.

use apimachinery::{Credential, ObjectKey, Request, Value, resources};
use base::Duration;

use super::join_control_plane::{etcd, etcd_endpoints};
use super::script::{Cx, Step, why_failed};
use super::{Line, identity};

const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";

pub(super) fn reset(cx: &mut Cx<'_, '_>, line: &Line) -> Step<i32> {
    if !line.has("force") {
        cx.complain(
            "[reset] WARNING: Changes made to this host by 'kubeadm init' or 'kubeadm join' will be reverted.\n[reset] Are you sure you want to proceed? [y/N]: \nerror: error execution phase preflight: aborted reset operation (in this bottle: say --force, nothing is asked)\n",
        );
        return Ok(1);
    }
    cx.say("[preflight] Running pre-flight checks\n");
    let has_etcd = cx.exists(MANIFEST);
    if has_etcd {
        remove_member(cx)?;
        cx.say("[reset] Deleted contents of the etcd data directory: /var/lib/etcd\n");
    }
    cx.say("[reset] Stopping the kubelet service\n");
    cx.world("/systemd/stop", &[("unit", "kubelet")])?;
    cx.say("[reset] Unmounting mounted directories in \"/var/lib/kubelet\"\n");
    cx.world("/machine/reset", &[])?;
    // The containers have their moment to end.
    cx.sleep(Duration::from_secs(2))?;
    cx.say("[reset] Deleting contents of directories: [/etc/kubernetes/manifests /var/lib/kubelet /etc/kubernetes/pki]\n");
    for directory in ["/etc/kubernetes/manifests", "/var/lib/kubelet", "/etc/kubernetes/pki"] {
        cx.remove(directory, false);
    }
    if has_etcd {
        cx.remove("/var/lib/etcd", false);
    }
    let files =
        ["admin.conf", "super-admin.conf", "kubelet.conf", "bootstrap-kubelet.conf", "controller-manager.conf", "scheduler.conf"];
    let paths: Vec<String> = files.iter().map(|f| format!("/etc/kubernetes/{f}")).collect();
    cx.say(format!("[reset] Deleting files: [{}]\n", paths.join(" ")));
    for path in &paths {
        cx.remove(path, true);
    }
    cx.say(
        "\nThe reset process does not perform cleanup of CNI plugin configuration,\nnetwork filtering rules and kubeconfig files.\n\nThe node object is not deleted either: kubectl delete node does that.\n",
    );
    Ok(0)
}

/// Tells the other members of etcd that this machine's goes, so that their quorum is counted without it. That it fails is said, and
/// stops nothing.
fn remove_member(cx: &mut Cx<'_, '_>) -> Step<()> {
    let Some((server, admin)) = cx.read(super::ADMIN).and_then(|text| identity(&text)) else {
        cx.complain("[reset] No kubeadm config, using etcd pod spec to get data directory\n");
        return Ok(());
    };
    cx.say("[reset] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...\n[reset] Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.\n");
    let config = Request::get(resources::configmaps(), &ObjectKey::new("kube-system", "kubeadm-config"));
    if let Some(why) = why_failed(&cx.api(&server, &admin, config)?) {
        cx.complain(format!(
            "[reset] Unable to fetch the kubeadm-config ConfigMap from cluster: failed to get config map: {why}\n[reset] No kubeadm config, using etcd pod spec to get data directory\n"
        ));
        return Ok(());
    }
    if let Err(why) = leave(cx, &server, &admin)? {
        cx.complain(format!(
            "[reset] Failed to remove etcd member: {why}, please manually remove this etcd member using etcdctl\n"
        ));
    }
    Ok(())
}

/// The last member stays, and one that isn't there has left already.
fn leave(cx: &mut Cx<'_, '_>, server: &str, admin: &Credential) -> Step<Result<(), String>> {
    let manifest = cx.read(MANIFEST).unwrap_or_default();
    let flag = manifest.lines().find_map(|l| l.trim().strip_prefix("- --initial-advertise-peer-urls="));
    let Some(peer) = flag.map(str::to_string) else { return Ok(Err("no peer URL in the etcd manifest".into())) };
    let endpoints = etcd_endpoints(cx, server, admin)?;
    let listed = match etcd(cx, &endpoints, "/v3/cluster/member/list", &[])? {
        Ok(answer) => answer,
        Err(why) => return Ok(Err(why)),
    };
    let members = listed.list_at(&["members"]);
    let is_this = |m: &&Value| m.list_at(&["peerURLs"]).iter().any(|url| url.as_str() == Some(&*peer));
    let Some(this) = members.iter().find(is_this).filter(|_| members.len() > 1) else { return Ok(Ok(())) };
    let id = this.str_at(&["ID"]).unwrap_or("0");
    // The others are asked first: this one stops as soon as it knows.
    let (own, others): (Vec<String>, Vec<String>) = endpoints.into_iter().partition(|url| same_host(url, &peer));
    let asked = [others, own].concat();
    Ok(etcd(cx, &asked, "/v3/cluster/member/remove", &[("ID", id)])?.map(|_| ()))
}

/// `https://172.18.0.3:2379` and `https://172.18.0.3:2380`
fn same_host(a: &str, b: &str) -> bool {
    let host = |url: &str| url.rsplit_once(':').map(|(host, _)| host.to_string());
    host(a) == host(b)
}
