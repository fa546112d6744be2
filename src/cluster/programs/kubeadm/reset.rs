//! `kubeadm reset`: takes back what `init` or `join` did to this machine. Left out: the machine's member stays in an etcd of several
//! (`etcdctl member remove` does that), and nothing is asked: `--force` must be said.

use base::Duration;

use super::Line;
use super::script::{Cx, Step};

pub(super) fn reset(cx: &mut Cx<'_, '_>, line: &Line) -> Step<i32> {
    if !line.has("force") {
        cx.complain(
            "[reset] WARNING: Changes made to this host by 'kubeadm init' or 'kubeadm join' will be reverted.\n[reset] Are you sure you want to proceed? [y/N]: \nerror: error execution phase preflight: aborted reset operation (in this bottle: say --force, nothing is asked)\n",
        );
        return Ok(1);
    }
    cx.say("[preflight] Running pre-flight checks\n");
    let has_etcd = cx.exists("/etc/kubernetes/manifests/etcd.yaml");
    if has_etcd {
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
