//! Programs of images and of the laptop beyond the shell and busybox: kubectl, ssh, curl, web servers, stand-ins.

mod asked;
mod cloud;
mod crictl;
mod curl;
mod curl_args;
mod etcdctl;
mod etcdctl_args;
mod etcdctl_print;
mod etcdutl;
mod forward;
mod helm;
mod http_server;
mod journalctl;
mod kubeadm;
mod kubectl;
mod net_tools;
mod perl;
mod resolve;
mod simple;
mod ssh;
mod stress;
mod systemctl;

use cri_api::ProgramTable;

/// Adds them to a table.
pub fn register(table: &mut ProgramTable) {
    table.add_completing("kubectl", kubectl::start);
    table.add("etcdctl", etcdctl::start);
    table.add("etcdutl", etcdctl::start);
    table.add("crictl", crictl::start);
    for tool in net_tools::NAMES {
        table.add(tool, net_tools::start);
    }
    table.add("systemctl", systemctl::start);
    table.add("journalctl", journalctl::start);
    table.add("helm", helm::start);
    table.add("kubeadm", kubeadm::start);
    table.add("cloud", cloud::start);
    table.add("ssh", ssh::start);
    table.add("curl", curl::start);
    table.add("stress", stress::start);
    table.add("perl", perl::start);
    ::addons::register(table);
    for server in ["nginx", "httpd", "agnhost", "hpa-example"] {
        table.add(server, http_server::start);
    }
    simple::register(table);
}
