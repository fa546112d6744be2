//! Calls that a program makes to the world outside its machine and that are answered later: the Kubernetes API and the
//! page's editor. In a real cluster kubectl speaks HTTPS; here the parsed request is handed over whole, and the owner of the
//! machine (the laptop, a container) brings it to kube-apiserver over the simulated network.

use std::rc::Rc;

use apimachinery::{Request, Response, WatchEvent};

use crate::program::Text;

/// Names one outstanding call of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// A request to a kube-apiserver.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiCall {
    /// `https://host:port` of the kubeconfig's cluster, or of `KUBERNETES_SERVICE_HOST` in a pod. The owner resolves it, and
    /// answers [`ApiEvent::Failed`] with Go's dial error if it leads nowhere. Who asks is in `request.credential`.
    pub server: Text,
    pub request: Rc<Request>,
}

/// What comes back for an [`ApiCall`], in order: one `Response`, and after `WatchStarted` or `StreamStarted` the stream's
/// items and `Closed`. After `Closed` or `Failed`, or after a response that starts no stream, the call is over.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiEvent {
    Response(Rc<Response>),
    Watch(WatchEvent),
    /// A frame of an upgraded stream or of a followed log, as in `v5.channel.k8s.io`: 0 stdin, 1 stdout, 2 stderr, 3 error
    /// (a Status in JSON), 4 resize (`{"Width":…,"Height":…}`), 255 closes the channel named by the data's first byte.
    /// `logs -f` uses channel 1. port-forward uses 2·n for data and 2·n+1 for errors of its n-th port.
    Frame {
        channel: u8,
        data: Rc<[u8]>,
    },
    Closed,
    /// No answer: Go's text, e.g. `dial tcp 172.18.0.2:6443: connect: connection refused`.
    Failed(Text),
}

impl ApiEvent {
    /// Whether nothing follows on this call.
    pub fn is_last(&self) -> bool {
        use apimachinery::ResponseBody::{StreamStarted, WatchStarted};
        match self {
            ApiEvent::Response(response) => !matches!(response.body, WatchStarted | StreamStarted),
            ApiEvent::Closed | ApiEvent::Failed(_) => true,
            ApiEvent::Watch(_) | ApiEvent::Frame { .. } => false,
        }
    }
}
