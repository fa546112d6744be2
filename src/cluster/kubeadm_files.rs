//! What kubeadm puts on a machine's disk: kubeconfigs, the kubelet's configuration, certificates, manifests of static pods.
//!
//! TLS is not modelled: certificates have the form and the subjects of real ones and say in words that they are models; private
//! keys are a sentence. The boot, `kubeadm init`, `kubeadm join` and `kubeadm certs` all write these files.

use base::{Duration, Seed, Time};
use kubelet::der;

use crate::kubeadm::{STATIC_PODS, manifest};
use crate::laptop::CA_PEM;
use crate::systemd::{BOOTSTRAP_CONF, KUBELET_CONF, KUBELET_CONFIG};

/// A file: path, contents, mode.
pub(crate) type File = (String, String, u16);

/// Certificates last a year, authorities ten.
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 86_400);
const AUTHORITY: Duration = Duration::from_secs(3650 * 86_400);

/// What all machines of a cluster have in common.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// `https://172.18.0.2:6443`
    pub endpoint: String,
    pub pod_cidr: String,
    pub service_cidr: String,
    /// etcd's members: name and address.
    pub members: Vec<(String, String)>,
    /// Kubelets are started with `--cloud-provider=external`.
    pub external_cloud: bool,
    /// kube-apiserver speaks to the member beside it only, as kubeadm's stacked control planes do.
    pub local_etcd: bool,
    pub seed: Seed,
}

impl Facts {
    /// `--initial-cluster` of etcd's members.
    pub fn initial_cluster(&self) -> String {
        self.members.iter().map(|(name, ip)| format!("{name}=https://{ip}:2380")).collect::<Vec<_>>().join(",")
    }

    /// `--etcd-servers` of kube-apiserver: its own machine's member first.
    pub fn etcd_servers(&self, ip: &str) -> String {
        let others = self.members.iter().filter(|(_, other)| other != ip && !self.local_etcd);
        let urls = others.map(|(_, ip)| format!("https://{ip}:2379"));
        std::iter::once("https://127.0.0.1:2379".to_string()).chain(urls).collect::<Vec<_>>().join(",")
    }
}

/// One certificate: the file below `pki` (without ending), organization and common name, the authority's file and name.
pub(crate) struct Certificate {
    pub file: &'static str,
    pub subject: (&'static str, &'static str),
    pub authority: &'static str,
}

/// Those of a control-plane node, in the order of `kubeadm certs check-expiration`.
pub(crate) const CERTIFICATES: [Certificate; 7] = [
    Certificate { file: "apiserver", subject: ("", "kube-apiserver"), authority: "ca" },
    Certificate { file: "apiserver-etcd-client", subject: ("", "kube-apiserver-etcd-client"), authority: "etcd-ca" },
    Certificate {
        file: "apiserver-kubelet-client",
        subject: ("kubeadm:cluster-admins", "kube-apiserver-kubelet-client"),
        authority: "ca",
    },
    Certificate { file: "etcd/healthcheck-client", subject: ("", "kube-etcd-healthcheck-client"), authority: "etcd-ca" },
    Certificate { file: "etcd/peer", subject: ("", "NODE"), authority: "etcd-ca" },
    Certificate { file: "etcd/server", subject: ("", "NODE"), authority: "etcd-ca" },
    Certificate { file: "front-proxy-client", subject: ("", "front-proxy-client"), authority: "front-proxy-ca" },
];

/// Authorities: name, file below `pki`, common name.
pub(crate) const AUTHORITIES: [(&str, &str, &str); 3] =
    [("ca", "ca", "kubernetes"), ("etcd-ca", "etcd/ca", "etcd-ca"), ("front-proxy-ca", "front-proxy-ca", "front-proxy-ca")];

/// Kubeconfigs of a control-plane node: file, user's name in it, organization and common name of its certificate.
pub(crate) const CONFS: [(&str, &str, (&str, &str)); 4] = [
    ("admin.conf", "kubernetes-admin", ("system:masters", "kubernetes-admin")),
    ("controller-manager.conf", "system:kube-controller-manager", ("", "system:kube-controller-manager")),
    ("scheduler.conf", "system:kube-scheduler", ("", "system:kube-scheduler")),
    ("super-admin.conf", "kubernetes-super-admin", ("system:masters", "kubernetes-super-admin")),
];

/// A model of a certificate, as text. `check-expiration` reads its end.
fn model(subject: (&str, &str), issuer: &str, from: Time, life: Duration, seed: Seed) -> String {
    let name = if subject.0.is_empty() { format!("CN={}", subject.1) } else { format!("O={}, CN={}", subject.0, subject.1) };
    let pem = der::certificate(subject, issuer, from, from + life, seed.derive(subject.1));
    format!(
        "# A model of a certificate: TLS is not modelled in the bottle.\n# Subject: {name}\n# Issuer: CN={issuer}\n# Not Before: {}\n# Not After: {}\n{pem}",
        from.rfc3339(),
        (from + life).rfc3339()
    )
}

const KEY: &str = "# A model of a private key: TLS is not modelled in the bottle, and nothing is signed with this.\n";

/// The end of a certificate's life, as its model says.
pub(crate) fn not_after(text: &str) -> Option<Time> {
    Time::parse(text.lines().find_map(|l| l.strip_prefix("# Not After: "))?.trim())
}

/// A kubeconfig with its certificate in it.
pub(crate) fn kubeconfig(server: &str, user: &str, subject: (&str, &str), now: Time, seed: Seed) -> String {
    let ca = kubectl::base64::encode(CA_PEM.as_bytes());
    let certificate = model(subject, "kubernetes", now, YEAR, seed);
    let key = kubectl::base64::encode(KEY.as_bytes());
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: {user}\n  name: {user}@kubernetes\ncurrent-context: {user}@kubernetes\nkind: Config\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    client-key-data: {key}\n",
        kubectl::base64::encode(certificate.as_bytes())
    )
}

/// The kubelet's kubeconfig: its certificate is a file beside.
fn kubelet_conf(server: &str, node: &str) -> String {
    let ca = kubectl::base64::encode(CA_PEM.as_bytes());
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: system:node:{node}\n  name: system:node:{node}@kubernetes\ncurrent-context: system:node:{node}@kubernetes\nkind: Config\nusers:\n- name: system:node:{node}\n  user:\n    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n"
    )
}

/// The kubeconfig with a bootstrap token in it.
pub(crate) fn bootstrap_conf(server: &str, token: &str) -> File {
    let ca = kubectl::base64::encode(CA_PEM.as_bytes());
    let text = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: tls-bootstrap-token-user\n  name: tls-bootstrap-token-user@kubernetes\ncurrent-context: tls-bootstrap-token-user@kubernetes\nkind: Config\nusers:\n- name: tls-bootstrap-token-user\n  user:\n    token: {token}\n"
    );
    (BOOTSTRAP_CONF.into(), text, 0o600)
}

/// `/var/lib/kubelet/config.yaml` as kubeadm writes it.
pub(crate) const KUBELET_CONFIGURATION: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  anonymous:\n    enabled: false\n  webhook:\n    enabled: true\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\nauthorization:\n  mode: Webhook\ncgroupDriver: systemd\nclusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\nkind: KubeletConfiguration\nrotateCertificates: true\nstaticPodPath: /etc/kubernetes/manifests\n";

/// What `kubeadm join` writes before it starts the kubelet.
pub(crate) fn kubelet_files(facts: &Facts, ip: &str) -> Vec<File> {
    let args = if facts.external_cloud { format!("--cloud-provider=external --node-ip={ip}") } else { String::new() };
    vec![
        (KUBELET_CONFIG.into(), KUBELET_CONFIGURATION.into(), 0o644),
        ("/var/lib/kubelet/kubeadm-flags.env".into(), format!("KUBELET_KUBEADM_ARGS=\"{args}\"\n"), 0o644),
        ("/etc/kubernetes/pki/ca.crt".into(), CA_PEM.into(), 0o644),
    ]
}

/// What the kubelet itself writes when it has its certificate.
pub(crate) fn kubelet_identity(facts: &Facts, node: &str, now: Time) -> Vec<File> {
    let user = format!("system:node:{node}");
    let pem = model(("system:nodes", &user), "kubernetes", now, YEAR, facts.seed);
    vec![
        (KUBELET_CONF.into(), kubelet_conf(&facts.endpoint, node), 0o600),
        ("/var/lib/kubelet/pki/kubelet-client-current.pem".into(), pem + KEY, 0o600),
    ]
}

/// Certificates, keys and kubeconfigs of a control-plane node.
pub(crate) fn certificates(facts: &Facts, node: &str, ip: &str, now: Time) -> Vec<File> {
    let mut files = Vec::new();
    let pki = |file: &str| format!("/etc/kubernetes/pki/{file}");
    for (_, file, name) in AUTHORITIES {
        let text = if file == "ca" { authority(CA_PEM, now) } else { model(("", name), name, now, AUTHORITY, facts.seed) };
        files.push((pki(&format!("{file}.crt")), text, 0o644));
        files.push((pki(&format!("{file}.key")), KEY.into(), 0o600));
    }
    for certificate in &CERTIFICATES {
        files.extend(renewed(certificate, facts, node, now));
    }
    files.push((pki("sa.key"), KEY.into(), 0o600));
    files.push((pki("sa.pub"), "# A model of a public key: tokens are signed by kube-apiserver's seed.\n".into(), 0o600));
    files.extend(CONFS.iter().map(|conf| renewed_conf(conf, facts, ip, now)));
    files
}

/// kube-apiserver's authority: the same text everywhere, with its end.
fn authority(pem: &str, now: Time) -> String {
    format!(
        "# A model of a certificate: TLS is not modelled in the bottle.\n# Subject: CN=kubernetes\n# Issuer: CN=kubernetes\n# Not Before: {}\n# Not After: {}\n{pem}",
        now.rfc3339(),
        (now + AUTHORITY).rfc3339()
    )
}

/// A certificate and its key, made now.
pub(crate) fn renewed(certificate: &Certificate, facts: &Facts, node: &str, now: Time) -> [File; 2] {
    let common_name = if certificate.subject.1 == "NODE" { node } else { certificate.subject.1 };
    let issuer = AUTHORITIES.iter().find(|(name, ..)| *name == certificate.authority).map_or("kubernetes", |(.., cn)| cn);
    let text = model((certificate.subject.0, common_name), issuer, now, YEAR, facts.seed.derive(certificate.file));
    let path = format!("/etc/kubernetes/pki/{}", certificate.file);
    [(format!("{path}.crt"), text, 0o644), (format!("{path}.key"), KEY.into(), 0o600)]
}

/// A kubeconfig, made now. The controller manager and the scheduler speak to the kube-apiserver beside them.
pub(crate) fn renewed_conf(conf: &(&str, &str, (&str, &str)), facts: &Facts, ip: &str, now: Time) -> File {
    let (file, user, subject) = *conf;
    let local = matches!(file, "controller-manager.conf" | "scheduler.conf");
    let server = if local { format!("https://{ip}:6443") } else { facts.endpoint.clone() };
    (format!("/etc/kubernetes/{file}"), kubeconfig(&server, user, subject, now, facts.seed.derive(file)), 0o600)
}

/// The manifests of the named static pods.
pub(crate) fn manifests(facts: &Facts, pods: &[&str], node: &str, ip: &str) -> Vec<File> {
    let wanted = STATIC_PODS.into_iter().filter(|(name, _)| pods.contains(name));
    let file = |(name, template): (&str, &str)| {
        (format!("/etc/kubernetes/manifests/{name}.yaml"), manifest(template, facts, node, ip), 0o600)
    };
    wanted.map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            endpoint: "https://172.18.0.2:6443".into(),
            pod_cidr: "10.244.0.0/16".into(),
            service_cidr: "10.96.0.0/12".into(),
            members: vec![("cp-1".into(), "172.18.0.2".into())],
            external_cloud: false,
            local_etcd: false,
            seed: Seed(1),
        }
    }

    #[test]
    fn subjects_and_ends_can_be_read() {
        let now = Time::from_civil(2026, 1, 1, 0, 0, 0);
        let files = certificates(&facts(), "cp-1", "172.18.0.2", now);
        let admin = &files.iter().find(|(path, ..)| path == "/etc/kubernetes/admin.conf").unwrap().1;
        let config = apimachinery::yaml::parse(admin).unwrap().value;
        let data = config.list_at(&["users"])[0].str_at(&["user", "client-certificate-data"]).unwrap().to_string();
        let pem = String::from_utf8(kubectl::base64::decode(&data).unwrap()).unwrap();
        assert_eq!(not_after(&pem), Some(now + YEAR));
        let ca = &files.iter().find(|(path, ..)| path == "/etc/kubernetes/pki/ca.crt").unwrap().1;
        assert_eq!(not_after(ca), Some(now + AUTHORITY));
    }

    #[test]
    fn manifests_name_their_machine() {
        let files = manifests(&facts(), &["etcd", "kube-apiserver"], "cp-1", "172.18.0.2");
        assert_eq!(files.len(), 2);
        assert!(files[0].1.contains("--initial-cluster=cp-1=https://172.18.0.2:2380\n"));
        assert!(files[1].1.contains("--advertise-address=172.18.0.2\n"));
        assert!(files.iter().all(|(_, text, _)| !text.contains("HOST_IP") && !text.contains("NODE_NAME")));
    }
}
