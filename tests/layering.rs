//! Who may know whom: every crate depends only on floors above it, and crates of one floor never on each other.

use std::collections::BTreeMap;
use std::path::Path;

/// The floors, top to bottom.
const FLOORS: [&str; 13] = [
    "base allocator",
    "apimachinery",
    "cri-api etcd-api",
    "sim",
    "etcd api client-go shell addons",
    "kube-apiserver kube-scheduler kube-controller-manager cloud-controller-manager kubelet container-runtime cni kube-proxy coredns kubectl",
    "cluster",
    "protocol",
    "lenses",
    "labs",
    "session",
    "ui server",
    "kubottle",
];

fn floors() -> BTreeMap<&'static str, usize> {
    FLOORS.iter().enumerate().flat_map(|(i, names)| names.split_whitespace().map(move |n| (n, i))).collect()
}

/// Names in the `[dependencies]` tables of a manifest (those for tests are free).
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut counts = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            counts = line.ends_with("dependencies]") && !line.contains("dev-dependencies") && !line.contains("workspace");
        } else if counts && !line.starts_with('#') {
            found.extend(line.split(['.', '=', ' ']).next().filter(|n| !n.is_empty()).map(str::to_string));
        }
    }
    found
}

fn manifests() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![("kubottle".to_string(), std::fs::read_to_string(root.join("Cargo.toml")).unwrap())];
    for entry in std::fs::read_dir(root.join("src")).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(text) = std::fs::read_to_string(path.join("Cargo.toml")) {
            all.push((path.file_name().unwrap().to_string_lossy().into_owned(), text));
        }
    }
    all
}

#[test]
fn a_crate_knows_only_the_floors_above() {
    let floors = floors();
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        let Some(mine) = floors.get(name.as_str()) else {
            wrong.push(format!("{name} has no floor: give it one here and in ARCHITECTURE.md"));
            continue;
        };
        for dependency in dependencies(&manifest) {
            if floors.get(dependency.as_str()).is_some_and(|theirs| theirs >= mine) {
                wrong.push(format!("{name} must not depend on {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The core is free of clocks, threads, files and `async`: no crate of it may pull in what has them.
#[test]
fn the_core_has_no_runtime() {
    let native = ["tokio", "hyper", "rustls", "tokio-rustls", "rcgen", "ring", "async-std", "futures", "rand", "getrandom"];
    for (name, manifest) in manifests() {
        if matches!(name.as_str(), "server" | "kubottle" | "ui") {
            continue;
        }
        for dependency in dependencies(&manifest) {
            assert!(!native.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}

/// Only kube-apiserver knows etcd's API (the simulation carries its messages, the cluster puts them together, the page's
/// session looks at what is carried).
#[test]
fn only_kube_apiserver_speaks_to_etcd() {
    let may = ["kube-apiserver", "etcd", "sim", "cluster", "session"];
    for (name, manifest) in manifests() {
        let knows = dependencies(&manifest).iter().any(|d| d == "etcd-api" || d == "etcd");
        assert!(!knows || may.contains(&name.as_str()), "{name} knows etcd");
    }
}

#[test]
fn what_the_documentation_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/rows.md", "docs/labs.md", "tests/scenarios/README.md"] {
        let page = root.join(page);
        let text = std::fs::read_to_string(&page).expect("it is there");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to);
        for to in links.filter(|to| !to.contains(':') && !to.starts_with('#')) {
            let file = page.parent().expect("a file is in a folder").join(to.split('#').next().unwrap_or(to));
            assert!(file.exists(), "{}: {to} is not there", page.display());
        }
    }
}
