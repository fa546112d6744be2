//! TLS bootstrap: a kubelet that has only a bootstrap token asks for a certificate, and begins when it is signed. Models
//! `pkg/kubelet/certificate/bootstrap` and `csr.WaitForCertificate`.
//!
//! The certificate ends up in the kubelet's memory, and its kubeconfig is written by the world when it is there. Left out: rotation.

use std::rc::Rc;

use apimachinery::{Credential, Gvr, Object, Request, Value, jwt, value};
use base::Duration;
use client_go::{Client, ClientConfig, Handled, Informers, Selectors};
use sim::{Outbox, Payload};

use crate::config::Config;
use crate::der;
use crate::kubelet::{Kubelet, failure};

type Text = Rc<str>;

const CALLS: u16 = 4;
const INFORMER: u16 = 5;
/// After a failed try, upstream's process ends and systemd starts it again.
const RETRY: Duration = Duration::from_secs(10);

/// A kubelet on its way to its certificate.
#[derive(Clone)]
pub struct Bootstrap {
    client: Client<()>,
    /// The request, as kube-apiserver has it.
    informers: Informers,
    csr: Object,
    timer: u64,
}

fn requests() -> Gvr {
    Gvr::new("certificates.k8s.io", "v1", "certificatesigningrequests")
}

impl Bootstrap {
    pub fn new(config: &Config, token: Credential) -> Bootstrap {
        let seed = config.seed.derive("bootstrap");
        let user = format!("system:node:{}", config.node_name);
        let pem = der::request(("system:nodes", &user), seed);
        // Upstream's name is a digest of the key and of what is asked for.
        let digest = jwt::encode64(&(0..4).flat_map(|n| seed.draw(200 + n).to_be_bytes()).collect::<Vec<_>>());
        let name = format!("node-csr-{digest}");
        let csr = value!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": (&*name)},
            "spec": {
                "request": (jwt::standard64(pem.as_bytes())), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
                "usages": ["digital signature", "client auth"]
            }
        });
        let csr = Object::from_value(csr).expect("a map was built");
        let client = ClientConfig { credential: token, ..config.client.clone() };
        let mut informers = Informers::new(INFORMER, client.clone(), seed);
        informers.add(requests(), Selectors::field(&format!("metadata.name={name}")), &[]);
        Bootstrap { client: Client::new(CALLS, client), informers, csr, timer: 0 }
    }

    fn begin(&mut self, out: &mut Outbox) {
        self.client.call(Request::create(requests(), self.csr.clone()), (), out);
    }
}

/// What a payload brought.
enum Step {
    Nothing,
    Retry(Text),
    Watch,
    Certificate,
}

impl Kubelet {
    /// Whether it still waits for its certificate. Then nothing else happens.
    pub fn is_bootstrapping(&self) -> bool {
        self.bootstrap.is_some()
    }

    /// The kube-apiserver, or load balancer, that this kubelet speaks to.
    pub fn apiserver(&self) -> sim::Addr {
        self.config.client.apiserver
    }

    pub(crate) fn start_bootstrap(&mut self, out: &mut Outbox) {
        self.info("server.go:530", "Kubelet version", vec![("kubeletVersion", "v1.37.2".into())]);
        let message = "Using bootstrap kubeconfig to generate TLS client cert, key and kubeconfig file";
        self.info("bootstrap.go:101", message, Vec::new());
        if let Some(bootstrap) = &mut self.bootstrap {
            Rc::make_mut(bootstrap).begin(out);
        }
    }

    pub(crate) fn on_bootstrap(&mut self, payload: &Payload, out: &mut Outbox) {
        let Some(bootstrap) = &mut self.bootstrap else { return };
        let bootstrap = Rc::make_mut(bootstrap);
        let step = match payload {
            Payload::ApiResponse { id, response } if bootstrap.client.owns(*id) => match bootstrap.client.take(*id) {
                Some(()) if response.is_success() || response.is_already_exists() => Step::Watch,
                Some(()) => Step::Retry(failure(response)),
                None => Step::Nothing,
            },
            Payload::Timer(token) if *token == bootstrap.timer => {
                bootstrap.begin(out);
                Step::Nothing
            }
            payload => match bootstrap.informers.handle(payload, out) {
                Handled::Deltas(_, deltas) => {
                    deltas.iter().filter_map(|d| d.new.as_ref()).find_map(verdict).unwrap_or(Step::Nothing)
                }
                _ => Step::Nothing,
            },
        };
        match step {
            Step::Nothing => {}
            Step::Watch => bootstrap.informers.start(out),
            Step::Retry(why) => {
                bootstrap.timer = (u64::from(CALLS) << 48 | 1 << 47) + (bootstrap.timer & 0xffff) + 1;
                out.timer(RETRY, bootstrap.timer);
                let err = format!("failed to run Kubelet: cannot create certificate signing request: {why}");
                self.error("run.go:72", "command failed", vec![("err", err.into())]);
            }
            Step::Certificate => {
                if let Some(id) = bootstrap.informers.get(0).stream() {
                    out.send(self.config.client.apiserver, Payload::StreamEnd { id });
                }
                self.bootstrap = None;
                self.info("csr.go:274", "Certificate signing request is issued", Vec::new());
                self.start(out);
            }
        }
    }
}

/// What the request's status says: signed, denied or failed, or nothing yet.
fn verdict(csr: &Object) -> Option<Step> {
    if csr.str_at(&["status", "certificate"]).is_some_and(|c| !c.is_empty()) {
        return Some(Step::Certificate);
    }
    let is = |kind: &str| csr.list_at(&["status", "conditions"]).iter().any(|c: &Value| c.str_at(&["type"]) == Some(kind));
    match () {
        _ if is("Denied") => Some(Step::Retry("certificate signing request is denied".into())),
        _ if is("Failed") => Some(Step::Retry("certificate signing request failed".into())),
        _ => None,
    }
}
