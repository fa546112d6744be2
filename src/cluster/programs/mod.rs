//! Programs of images and of the laptop beyond the shell and busybox: kubectl, ssh, curl, web servers, stand-ins.

mod crictl;
mod curl;
mod etcdctl;
mod etcdctl_args;
mod etcdctl_print;
mod etcdutl;
mod http_server;
mod kubectl;
mod resolve;
mod simple;
mod ssh;

use cri_api::ProgramTable;

/// Adds them to a table.
pub fn register(table: &mut ProgramTable) {
    table.add_completing("kubectl", kubectl::start);
    table.add("etcdctl", etcdctl::start);
    table.add("etcdutl", etcdctl::start);
    table.add("crictl", crictl::start);
    table.add("ssh", ssh::start);
    table.add("curl", curl::start);
    for server in ["nginx", "httpd", "agnhost"] {
        table.add(server, http_server::start);
    }
    simple::register(table);
}
