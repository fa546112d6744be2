//! List and watch for programs in pods: what client-go is for components, as far as metrics-server, Prometheus and Fluentd need it.

use std::rc::Rc;

use apimachinery::{Credential, Gvr, Object, ObjectKey, Request, ResponseBody, WatchEventType};
use base::{Duration, TextMap, Time};
use cri_api::machine::Sys;
use cri_api::{ApiCall, ApiEvent, CallId, Errno};

/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(5);
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The credential that the kubelet mounted (renewed there from time to time).
pub fn token(sys: &mut Sys<'_>) -> String {
    sys.read_file(TOKEN).map(|d| String::from_utf8_lossy(&d).trim().to_string()).unwrap_or_default()
}

/// Sends a request to kube-apiserver as the pod's service account.
pub fn call(sys: &mut Sys<'_>, agent: &str, mut request: Request) -> CallId {
    let token = token(sys);
    if !token.is_empty() {
        request.credential = Credential::Bearer(token.into());
    }
    request.user_agent = agent.into();
    let host = sys.var("KUBERNETES_SERVICE_HOST").unwrap_or_else(|| "10.96.0.1".into());
    let port = sys.var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".into());
    sys.api(ApiCall { server: format!("https://{host}:{port}").into(), request: Rc::new(request) })
}

/// The objects of a resource, kept up to date by a watch.
#[derive(Clone)]
pub struct Informer {
    gvr: Gvr,
    namespace: Rc<str>,
    field_selector: Option<Rc<str>>,
    agent: Rc<str>,
    items: TextMap<ObjectKey, Object>,
    call: Option<(CallId, bool)>,
    revision: String,
    retry_at: Time,
    synced: bool,
    error: Option<String>,
}

impl Informer {
    /// Of all namespaces if `namespace` is empty.
    pub fn new(gvr: Gvr, namespace: &str, field_selector: Option<&str>, agent: &str) -> Informer {
        Informer {
            gvr,
            namespace: namespace.into(),
            field_selector: field_selector.map(Rc::from),
            agent: agent.into(),
            items: TextMap::new(),
            call: None,
            revision: String::new(),
            retry_at: Time::EPOCH,
            synced: false,
            error: None,
        }
    }

    pub fn items(&self) -> impl Iterator<Item = (&ObjectKey, &Object)> {
        self.items.iter()
    }
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Object> {
        self.items.get(&ObjectKey::new(namespace, name))
    }
    /// Whether it has listed.
    pub fn has_synced(&self) -> bool {
        self.synced
    }
    /// Why the last list failed; told once.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }
    /// When it wants to go on after a failure.
    pub fn wake_at(&self) -> Option<Time> {
        self.call.is_none().then_some(self.retry_at)
    }

    /// Goes on. True: something has changed.
    pub fn poll(&mut self, sys: &mut Sys<'_>) -> bool {
        let mut changed = false;
        loop {
            let Some((id, watching)) = self.call else {
                if sys.now() < self.retry_at {
                    return changed;
                }
                let mut request = Request::list(self.gvr, &self.namespace);
                request.options.field_selector = self.field_selector.clone();
                self.call = Some((call(sys, &self.agent, request), false));
                continue;
            };
            match sys.api_event(id) {
                Err(Errno::EAGAIN) => return changed,
                Ok(ApiEvent::Response(response)) => match &response.body {
                    ResponseBody::List(list) if !watching => {
                        self.items = list.items.iter().map(|o| (o.key(), o.clone())).collect();
                        (self.synced, changed) = (true, true);
                        self.revision = list.resource_version.to_string();
                        let mut request = Request::watch(self.gvr, &self.namespace, &self.revision);
                        request.options.field_selector = self.field_selector.clone();
                        self.call = Some((call(sys, &self.agent, request), true));
                    }
                    ResponseBody::WatchStarted => {}
                    _ => {
                        let text = match &response.body {
                            ResponseBody::Text(_, text) => text.to_string(),
                            _ => response.message().to_string(),
                        };
                        self.failed(sys.now(), text);
                    }
                },
                Ok(ApiEvent::Watch(event)) => match event.kind {
                    WatchEventType::Added | WatchEventType::Modified => {
                        self.items.insert(event.object.key(), event.object);
                        changed = true;
                    }
                    WatchEventType::Deleted => {
                        self.items.remove(&event.object.key());
                        changed = true;
                    }
                    WatchEventType::Bookmark => {}
                    // Too old: list again.
                    WatchEventType::Error => {
                        sys.api_close(id);
                        self.call = None;
                    }
                },
                Ok(ApiEvent::Closed) => self.call = None,
                Ok(ApiEvent::Failed(text)) => self.failed(sys.now(), text.to_string()),
                Ok(ApiEvent::Frame { .. }) => {}
                Err(e) => self.failed(sys.now(), e.text().to_string()),
            }
        }
    }

    fn failed(&mut self, now: Time, text: String) {
        (self.call, self.retry_at) = (None, now + RETRY);
        self.error = Some(text);
    }
}
