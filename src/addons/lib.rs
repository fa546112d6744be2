//! Add-ons: the programs of metrics-server, Prometheus, Fluentd and a log store.
//!
//! Each is a [`Program`](cri_api::Program) in a container like any other: it speaks to kube-apiserver with its service account, to
//! kubelets and pods over the simulated network, and knows no component's insides. Nothing here runs until its manifest
//! (`static/addons`) is applied.
//! Read next: `metrics_server`, `prometheus`, `fluentd`; `http`, `informer` and `exposition` are what they share.

mod exposition;
mod fluentd;
mod fluentd_config;
mod http;
mod informer;
mod local_path;
mod log_store;
mod lookup;
mod metrics_server;
mod prometheus;

use cri_api::ProgramTable;

/// Adds the programs to a table.
pub fn register(table: &mut ProgramTable) {
    table.add("local-path-provisioner", local_path::start);
    table.add("fluentd", fluentd::start);
    table.add("log-store", log_store::start);
    table.add("metrics-server", metrics_server::start);
    table.add("prometheus", prometheus::start);
}
