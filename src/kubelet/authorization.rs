//! Who may use the kubelet's server: kube-apiserver is asked, and its yes is remembered for five minutes (its no for half a minute).
//! Models `--authorization-mode Webhook`. The caller is known by its client certificate.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Credential, Gvr, Object, Request, Response, UserInfo, Value, value};
use base::{Duration, Map, Time};
use sim::{Addr, Outbox, StreamId};

use crate::kubelet::{Call, Kubelet};

type Text = Rc<str>;

const ALLOWED_FOR: Duration = Duration::from_secs(300);
const DENIED_FOR: Duration = Duration::from_secs(30);

/// User, verb, subresource of the node.
type Question = (Text, &'static str, &'static str);

/// What is known, and who waits for an answer.
#[derive(Clone, Default)]
pub struct Authorizer {
    known: Map<Question, (bool, Time)>,
    waiting: Map<u64, Waiting>,
    asked: u64,
}

#[derive(Clone)]
struct Waiting {
    from: Addr,
    id: StreamId,
    request: Rc<Request>,
    question: Question,
}

impl Kubelet {
    /// Serves a request once its sender is known to be allowed to send it.
    pub(crate) fn serve_if_allowed(&mut self, from: Addr, id: StreamId, request: &Rc<Request>, out: &mut Outbox) {
        let user = user(request);
        let question = (user.name.clone(), verb(request), subresource(&request.path));
        if &*request.path == "/healthz" {
            return self.serve(from, id, request, out);
        }
        if let Some((allowed, _)) = self.authorizer.known.get(&question).filter(|(_, until)| *until > out.now).copied() {
            return self.serve_or_refuse(Waiting { from, id, request: request.clone(), question }, allowed, out);
        }
        self.authorizer.asked += 1;
        let number = self.authorizer.asked;
        let review = review(&user, &question, &self.config.node_name);
        self.authorizer.waiting.insert(number, Waiting { from, id, request: request.clone(), question });
        self.client.call(review, Call::Review(number), out);
    }

    pub(crate) fn on_review(&mut self, number: u64, response: &Response, out: &mut Outbox) {
        let Some(waiting) = self.authorizer.waiting.remove(&number) else { return };
        let Some(review) = response.ok() else {
            let (user, verb, subresource) = &waiting.question;
            let node = &self.config.node_name;
            let text = format!(
                "Authorization error (user={user}, verb={verb}, resource=nodes, subresource(s)=[{subresource}], name={node})"
            );
            return out.respond(waiting.from, waiting.id, Status::internal(text).into());
        };
        let allowed = review.bool_at(&["status", "allowed"]) == Some(true);
        let until = out.now + if allowed { ALLOWED_FOR } else { DENIED_FOR };
        self.authorizer.known.insert(waiting.question.clone(), (allowed, until));
        self.serve_or_refuse(waiting, allowed, out);
    }

    fn serve_or_refuse(&mut self, w: Waiting, allowed: bool, out: &mut Outbox) {
        if allowed {
            return self.serve(w.from, w.id, &w.request, out);
        }
        let (user, verb, subresource) = &w.question;
        let node = &self.config.node_name;
        let text = format!("Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)=[{subresource}], name={node})");
        let body = apimachinery::ResponseBody::Text("text/plain; charset=utf-8".into(), text.into());
        out.respond(w.from, w.id, Response { code: 403, body, ..Response::default() });
    }

    /// The caller went away before it was answered.
    pub(crate) fn forget_caller(&mut self, from: Addr, id: StreamId) {
        let gone = self.authorizer.waiting.iter().find(|(_, w)| (w.from, w.id) == (from, id)).map(|(number, _)| *number);
        if let Some(number) = gone {
            self.authorizer.waiting.remove(&number);
        }
    }
}

fn user(request: &Request) -> Rc<UserInfo> {
    match &request.credential {
        Credential::Certificate(user) => user.clone(),
        _ => Rc::new(UserInfo::new("system:anonymous", &["system:unauthenticated"])),
    }
}

fn verb(request: &Request) -> &'static str {
    match request.verb.method() {
        "GET" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "create",
    }
}

/// `nodes/log` for logs and so on; what runs something in a pod is `nodes/proxy`.
fn subresource(path: &str) -> &'static str {
    match path.trim_matches('/').split(['/', '?']).next() {
        Some("stats") => "stats",
        Some("metrics") => "metrics",
        Some("logs") => "log",
        Some("checkpoint") => "checkpoint",
        Some("pods" | "runningpods") => "pods",
        Some("configz") => "configz",
        _ => "proxy",
    }
}

fn review(user: &UserInfo, (_, verb, subresource): &Question, node: &str) -> Request {
    let groups: Vec<Value> = user.groups.iter().map(Value::from).collect();
    let review = value!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {
            "user": (&user.name), "groups": groups,
            "resourceAttributes": {
                "verb": (*verb), "version": "v1", "resource": "nodes", "subresource": (*subresource), "name": node
            }
        }
    });
    let review = Object::from_value(review).expect("a map was built");
    Request::create(Gvr::new("authorization.k8s.io", "v1", "subjectaccessreviews"), review)
}
