//! The manifests of add-ons that a user may apply: as files of the laptop, and by name for the page.

use base::Time;
use cri_api::Errno;
use cri_api::vfs::Tree;

/// An add-on: its name, what it is, and its manifest.
pub struct Addon {
    pub name: &'static str,
    pub what: &'static str,
    pub manifest: &'static str,
}

/// All of them, in the order of the page.
pub static ADDONS: &[Addon] = &[
    Addon {
        name: "metrics-server",
        what: "kubectl top, and what the horizontal pod autoscaler acts on",
        manifest: include_str!("../../static/addons/metrics-server.yaml"),
    },
    Addon {
        name: "prometheus",
        what: "scrapes the metrics of components, nodes and pods, and answers PromQL",
        manifest: include_str!("../../static/addons/prometheus.yaml"),
    },
    Addon {
        name: "fluentd",
        what: "collects the logs of all nodes into a store that can be searched",
        manifest: include_str!("../../static/addons/fluentd.yaml"),
    },
    Addon {
        name: "local-path",
        what: "storage on the nodes for claims of the class local-path",
        manifest: include_str!("../../static/addons/local-path.yaml"),
    },
];

/// Puts them on a disk: `/addons/NAME.yaml`.
pub(crate) fn install(root: &mut Tree) -> Result<(), Errno> {
    root.mkdir_p("addons", 0o755, Time::EPOCH)?;
    for addon in ADDONS {
        root.put_file(&format!("addons/{}.yaml", addon.name), addon.manifest.as_bytes().to_vec(), 0o644, Time::EPOCH)?;
    }
    Ok(())
}
