//! The table of images: what each name leads to. One more image is one more arm of [`find`].

mod tags;

use std::cell::OnceCell;
use std::rc::Rc;

use base::Time;
use container_runtime::{Image, Images, PullError, Start};
use cri_api::vfs::{FsKind, Tree};
use cri_api::{Errno, ProgramTable};

use crate::programs;

type Text = Rc<str>;

/// All programs there are. Shared: the table is derived, not state.
pub fn programs() -> Rc<ProgramTable> {
    thread_local!(static TABLE: OnceCell<Rc<ProgramTable>> = const { OnceCell::new() });
    let make = || {
        let mut table = ProgramTable::default();
        shell::register(&mut table);
        programs::register(&mut table);
        Rc::new(table)
    };
    TABLE.with(|cell| cell.get_or_init(make).clone())
}

pub fn images() -> Rc<Images> {
    Rc::new(Images { find })
}

/// Directories and files that every Linux image has.
fn base_tree() -> Result<Tree, Errno> {
    let mut tree = Tree::new(FsKind::Overlay);
    for (dir, mode) in [
        ("bin", 0o755),
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("proc", 0o555),
        ("root", 0o700),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("usr/bin", 0o755),
        ("usr/local/bin", 0o755),
        ("usr/sbin", 0o755),
        ("var/log", 0o755),
        ("var/run", 0o755),
    ] {
        tree.mkdir_p(dir, mode, Time::EPOCH)?;
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
    for (path, text) in [
        ("etc/passwd", passwd),
        ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ("etc/os-release", "NAME=\"Kubottle\"\nID=kubottle\nPRETTY_NAME=\"Kubottle (simulated)\"\n"),
    ] {
        tree.put_file(path, text.as_bytes().to_vec(), 0o644, Time::EPOCH)?;
    }
    tree.put_devices()?;
    Ok(tree)
}

fn tree(extra: &[(&str, &str)], shell: bool) -> Result<Tree, Errno> {
    let mut tree = base_tree()?;
    if shell {
        shell::install_busybox(&mut tree, "bin")?;
        tree.put_program("bin/ip", "ip")?;
    }
    for (path, program) in extra {
        tree.put_program(path, program)?;
    }
    Ok(tree)
}

/// A node's own disk.
pub fn node_root(name: &str) -> Tree {
    let build = || -> Result<Tree, Errno> {
        let mut root = tree(
            &[
                ("usr/bin/kubectl", "kubectl"),
                ("usr/bin/curl", "curl"),
                ("usr/bin/ssh", "ssh"),
                ("usr/bin/etcdctl", "etcdctl"),
                ("usr/bin/etcdutl", "etcdutl"),
                ("usr/bin/crictl", "crictl"),
                ("usr/sbin/bridge", "bridge"),
                ("usr/sbin/ipset", "ipset"),
                ("usr/sbin/iptables", "iptables"),
                ("usr/sbin/iptables-save", "iptables-save"),
                ("usr/bin/kubeadm", "kubeadm"),
                ("usr/bin/systemctl", "systemctl"),
                ("usr/bin/journalctl", "journalctl"),
                ("usr/local/bin/helm", "helm"),
            ],
            true,
        )?;
        root.mkdir_p("etc/kubernetes/manifests", 0o755, Time::EPOCH)?;
        root.put_file("etc/default/kubelet", b"KUBELET_EXTRA_ARGS=--v=2\n".to_vec(), 0o644, Time::EPOCH)?;
        root.put_file("etc/hostname", format!("{name}\n").into_bytes(), 0o644, Time::EPOCH)?;
        root.put_file("etc/hosts", b"127.0.0.1\tlocalhost\n".to_vec(), 0o644, Time::EPOCH)?;
        Ok(root)
    };
    build().expect("an empty tree has room")
}

/// The laptop's disk.
pub fn laptop_root(hosts: &str) -> Tree {
    let build = || -> Result<Tree, Errno> {
        let mut root = tree(
            &[
                ("usr/bin/kubectl", "kubectl"),
                ("usr/bin/curl", "curl"),
                ("usr/bin/ssh", "ssh"),
                ("usr/bin/etcdctl", "etcdctl"),
                ("usr/bin/etcdutl", "etcdutl"),
                ("usr/local/bin/helm", "helm"),
                ("usr/local/bin/cloud", "cloud"),
                ("bin/bash", "bash"),
            ],
            true,
        )?;
        crate::addons::install(&mut root)?;
        root.put_file("etc/hosts", hosts.as_bytes().to_vec(), 0o644, Time::EPOCH)?;
        let manifest = crate::kubeadm::CLOUD_CONTROLLER.as_bytes();
        root.put_file("usr/share/kubottle/cloud-controller-manager.yaml", manifest.to_vec(), 0o644, Time::EPOCH)?;
        for file in ["root/.profile", "root/.bashrc"] {
            root.put_file(file, b"alias k=kubectl\n".to_vec(), 0o644, Time::EPOCH)?;
        }
        Ok(root)
    };
    build().expect("an empty tree has room")
}

/// A container's root filesystem, made once for each kind and shared by all containers of the image.
fn cached(key: &str, make: impl FnOnce() -> Result<Tree, Errno>) -> Tree {
    thread_local!(static TREES: std::cell::RefCell<base::Map<Text, Tree>> = std::cell::RefCell::new(base::Map::new()));
    if let Some(tree) = TREES.with_borrow(|trees| trees.get(key).cloned()) {
        return tree;
    }
    let made = make().expect("an empty tree has room");
    TREES.with_borrow_mut(|trees| trees.insert(key.into(), made.clone()));
    made
}

fn texts(parts: &[&str]) -> Vec<Text> {
    parts.iter().map(|p| (*p).into()).collect()
}

fn image(entrypoint: &[&str], cmd: &[&str], size_mb: i64, root: Tree) -> Image {
    Image {
        entrypoint: texts(entrypoint),
        cmd: texts(cmd),
        env: Vec::new(),
        working_dir: "".into(),
        user: None,
        stop_signal: "".into(),
        size_bytes: size_mb * 1_000_000,
        root,
        start: Start::Command,
        stub: false,
    }
}

/// A component's image: no filesystem of its own is modelled.
fn component(program: &str, size_mb: i64) -> Image {
    Image { start: Start::Component(program.into()), ..image(&[program], &[], size_mb, Tree::new(FsKind::Overlay)) }
}

const NGINX_INDEX: &str = "<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n</head>\n<body>\n<h1>Welcome to nginx!</h1>\n<p>This page is served by a simulated nginx in a bottle.</p>\n</body>\n</html>\n";

fn nginx() -> Image {
    let root = cached("nginx", || {
        let mut root = tree(&[("usr/sbin/nginx", "nginx"), ("usr/bin/curl", "curl")], true)?;
        root.mkdir_p("usr/share/nginx/html", 0o755, Time::EPOCH)?;
        root.put_file("usr/share/nginx/html/index.html", NGINX_INDEX.as_bytes().to_vec(), 0o644, Time::EPOCH)?;
        root.mkdir_p("etc/nginx/conf.d", 0o755, Time::EPOCH)?;
        let conf = "server {\n    listen       80;\n    server_name  localhost;\n    location / {\n        root   /usr/share/nginx/html;\n        index  index.html index.htm;\n    }\n}\n";
        root.put_file("etc/nginx/conf.d/default.conf", conf.as_bytes().to_vec(), 0o644, Time::EPOCH)?;
        Ok(root)
    });
    let mut image = image(&[], &["nginx", "-g", "daemon off;"], 72, root);
    image.stop_signal = "SIGQUIT".into();
    image.env = vec![("NGINX_VERSION".into(), "1.27.5".into())];
    image
}

fn shell_image(key: &'static str, size_mb: i64, extra: &'static [(&'static str, &'static str)], cmd: &[&str]) -> Image {
    image(&[], cmd, size_mb, cached(key, || tree(extra, true)))
}

fn stub(repository: &str, tag: &str) -> Image {
    let mut image = image(&["/bin/stub"], &[], 40, cached("stub", || tree(&[("bin/stub", "stub")], true)));
    image.env = vec![("KUBOTTLE_IMAGE".into(), format!("{repository}:{tag}").into())];
    image.stub = true;
    image
}

/// Official images of the library that have no program here: they start as stand-ins.
const OFFICIAL: &[&str] = &[
    "adminer",
    "caddy",
    "cassandra",
    "consul",
    "couchdb",
    "debian",
    "docker",
    "drupal",
    "eclipse-mosquitto",
    "elasticsearch",
    "fedora",
    "ghost",
    "golang",
    "grafana",
    "haproxy",
    "hello-world",
    "influxdb",
    "jenkins",
    "joomla",
    "kibana",
    "logstash",
    "mariadb",
    "memcached",
    "mongo",
    "nats",
    "neo4j",
    "nextcloud",
    "node",
    "openjdk",
    "php",
    "python",
    "rabbitmq",
    "registry",
    "ruby",
    "rust",
    "solr",
    "telegraf",
    "tomcat",
    "traefik",
    "ubuntu",
    "vault",
    "wordpress",
    "zookeeper",
];

/// Registries that are known to exist; any path in them may.
const REGISTRIES: &[&str] = &[
    "docker.io",
    "registry.k8s.io",
    "k8s.gcr.io",
    "gcr.io",
    "ghcr.io",
    "quay.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "us-docker.pkg.dev",
    "registry.gitlab.com",
];

/// Kubernetes' own components in its registry: they are released together.
const KUBERNETES: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "cloud-controller-manager"];

/// Finds an image, or says in containerd's words why it can't be had.
fn find(repository: &str, tag: &str) -> Result<Image, PullError> {
    let (registry, path) = repository.split_once('/').unwrap_or(("", repository));
    let full = if tag.contains(':') { format!("{repository}@{tag}") } else { format!("{repository}:{tag}") };
    if !REGISTRIES.contains(&registry) {
        let url = format!("https://{registry}/v2/{path}/manifests/{tag}");
        let message = format!(
            "failed to pull and unpack image {full:?}: failed to resolve reference {full:?}: failed to do request: Head {url:?}: dial tcp: lookup {registry}: no such host"
        );
        return Err(PullError { code: "", message });
    }
    let ours = registry == "registry.k8s.io" && KUBERNETES.contains(&path);
    if !tags::plausible(tag) || registry == "docker.io" && !tags::released(path, tag) || ours && !tags::of_kubernetes(tag) {
        let message =
            format!("failed to pull and unpack image {full:?}: failed to resolve reference {full:?}: {full}: not found");
        return Err(PullError { code: "NotFound", message });
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok(match (registry, path) {
        ("docker.io", "library/busybox") => shell_image("busybox", 4, &[], &["sh"]),
        ("docker.io", "library/alpine") => shell_image("alpine", 8, &[], &["/bin/sh"]),
        ("docker.io", "library/debian" | "library/ubuntu" | "library/bash") => {
            shell_image("bash", 30, &[("bin/bash", "bash")], &["bash"])
        }
        ("docker.io", "library/nginx" | "nginxinc/nginx-unprivileged") => nginx(),
        ("docker.io", "library/httpd") => {
            let root = cached("httpd", || {
                let mut root = tree(&[("usr/local/bin/httpd", "httpd")], true)?;
                root.mkdir_p("usr/local/apache2/htdocs", 0o755, Time::EPOCH)?;
                root.put_file(
                    "usr/local/apache2/htdocs/index.html",
                    b"<html><body><h1>It works!</h1></body></html>\n".to_vec(),
                    0o644,
                    Time::EPOCH,
                )?;
                Ok(root)
            });
            Image { stop_signal: "SIGWINCH".into(), ..image(&[], &["httpd", "-D", "FOREGROUND"], 58, root) }
        }
        ("docker.io", "library/redis") => {
            shell_image("redis", 45, &[("usr/local/bin/redis-server", "redis-server")], &["redis-server"])
        }
        ("docker.io", "library/postgres") => {
            shell_image("postgres", 150, &[("usr/local/bin/postgres", "postgres")], &["postgres"])
        }
        ("docker.io", "library/mysql" | "library/mariadb") => {
            shell_image("mysql", 240, &[("usr/sbin/mysqld", "mysqld")], &["mysqld"])
        }
        ("docker.io" | "quay.io", "curlimages/curl" | "curl/curl") => {
            Image { entrypoint: texts(&["curl"]), ..shell_image("curl", 10, &[("usr/bin/curl", "curl")], &[]) }
        }
        ("docker.io", "bitnami/kubectl" | "alpine/k8s" | "rancher/kubectl") => {
            shell_image("kubectl", 60, &[("usr/local/bin/kubectl", "kubectl"), ("usr/bin/curl", "curl")], &["kubectl"])
        }
        ("registry.k8s.io", "kubectl") => {
            Image { entrypoint: texts(&["kubectl"]), ..shell_image("kubectl", 60, &[("usr/local/bin/kubectl", "kubectl")], &[]) }
        }
        ("registry.k8s.io", "e2e-test-images/agnhost" | "echoserver") => {
            let root = cached("agnhost", || tree(&[("bin/agnhost", "agnhost"), ("usr/bin/curl", "curl")], true));
            image(&["/bin/agnhost"], &["pause"], 50, root)
        }
        // The autoscaling walkthrough's server: each request costs it some CPU.
        ("registry.k8s.io", "hpa-example") => {
            shell_image("hpa-example", 180, &[("usr/local/bin/apache2-foreground", "hpa-example")], &["apache2-foreground"])
        }
        ("docker.io", "library/perl") => shell_image("perl", 330, &[("usr/local/bin/perl", "perl")], &["perl", "-de0"]),
        ("docker.io", "polinux/stress" | "progrium/stress") => {
            shell_image("stress", 10, &[("usr/bin/stress", "stress")], &["stress"])
        }
        ("docker.io", "rancher/local-path-provisioner") => shell_image(
            "local-path-provisioner",
            18,
            &[("usr/bin/local-path-provisioner", "local-path-provisioner")],
            &["local-path-provisioner"],
        ),
        ("docker.io", "prom/prometheus") => {
            let root = cached("prometheus", || {
                let mut root = tree(&[("bin/prometheus", "prometheus")], true)?;
                root.mkdir_p("etc/prometheus", 0o755, Time::EPOCH)?;
                root.mkdir_p("prometheus", 0o777, Time::EPOCH)?;
                let config = "scrape_configs:\n- job_name: prometheus\n  static_configs:\n  - targets: [localhost:9090]\n";
                root.put_file("etc/prometheus/prometheus.yml", config.as_bytes().to_vec(), 0o644, Time::EPOCH)?;
                Ok(root)
            });
            let mut image = image(&["/bin/prometheus"], &["--config.file=/etc/prometheus/prometheus.yml"], 100, root);
            image.user = Some(65534);
            image
        }
        ("docker.io", "fluent/fluentd-kubernetes-daemonset" | "fluent/fluentd" | "library/fluentd") => {
            let root = cached("fluentd", || {
                let mut root = tree(&[("usr/bin/fluentd", "fluentd")], true)?;
                root.mkdir_p("fluentd/etc", 0o755, Time::EPOCH)?;
                Ok(root)
            });
            image(&["fluentd"], &["-c", "/fluentd/etc/fluent.conf"], 60, root)
        }
        ("ghcr.io", "kubottle/log-store") => shell_image("log-store", 10, &[("bin/log-store", "log-store")], &["log-store"]),
        ("registry.k8s.io", "metrics-server/metrics-server") => {
            let root = cached("metrics-server", || tree(&[("metrics-server", "metrics-server")], false));
            image(&["/metrics-server"], &[], 20, root)
        }
        ("registry.k8s.io", "pause") => {
            image(&["/bin/pause"], &[], 1, cached("pause", || tree(&[("bin/pause", "pause")], false)))
        }
        // etcd's image has no shell, but the tools that talk to it.
        ("registry.k8s.io", "etcd") => {
            let root = cached("etcd", || tree(&[("usr/local/bin/etcdctl", "etcdctl")], false));
            Image { root, ..component("etcd", 60) }
        }
        ("registry.k8s.io", _) if ours => component(name, 30),
        ("registry.k8s.io", "coredns/coredns") => component("coredns", 22),
        ("ghcr.io", "flannel-io/flannel") => component("flanneld", 30),
        ("docker.io", "kindest/kindnetd") => component("kindnetd", 40),
        ("quay.io", "calico/node") => component("calico-node", 150),
        ("docker.io", p) if p.starts_with("library/") && !OFFICIAL.contains(&name) => {
            let message = format!(
                "failed to pull and unpack image {full:?}: failed to resolve reference {full:?}: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
            );
            return Err(PullError { code: "", message });
        }
        _ => stub(repository, tag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_cannot_exist_are_not_found() {
        for (tag, found) in [
            ("1.27", true),
            ("latest", true),
            ("v1.37.2", true),
            ("1.27-alpine", true),
            ("nosuchtag", false),
            ("1.999", false),
            ("typo", false),
            ("1.16.1", true),
            ("1.161", false),
            ("1.99", false),
            ("1.27.4-alpine3.20-slim", true),
            ("1.27-nope", false),
            ("2.0", false),
            ("sha256:0d17b565c37bcbd895e9d92315a05c1c3c9a29f762b011a10c54a66cd53c9b31", true),
        ] {
            assert_eq!(find("docker.io/library/nginx", tag).is_ok(), found, "{tag}");
        }
        for (tag, found) in
            [("v1.37.2", true), ("v1.36.0-rc.1", true), ("v9.9", false), ("v1.99.0", false), ("v1.37", false), ("1.37.2", false)]
        {
            assert_eq!(find("registry.k8s.io/kube-scheduler", tag).is_ok(), found, "{tag}");
        }
        for (image, tag) in
            [("python", "3.13-slim"), ("ubuntu", "24.04"), ("node", "22"), ("redis", "7.4-bookworm"), ("postgres", "17")]
        {
            assert!(find(&format!("docker.io/library/{image}"), tag).is_ok(), "{image}:{tag}");
        }
        assert!(find("docker.io/library/nosuchrepo", "1.0").is_err());
        assert!(find("nosuch.example/x", "1").is_err());
        assert!(find("docker.io/somebody/app", "1").unwrap().stub);
    }
}
