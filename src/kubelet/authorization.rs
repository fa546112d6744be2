//! Who may use the kubelet's server: kube-apiserver is asked, and its yes is remembered for five minutes (its no for half a minute).
//! Models `--authentication-token-webhook` and `--authorization-mode Webhook`. The caller is known by its client certificate, or by
//! a token, of which kube-apiserver is asked (TokenReview) whose it is; that is remembered for two minutes.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Credential, Gvr, Object, Request, Response, UserInfo, Value, value};
use base::{Duration, Map, Time};
use sim::{Addr, Outbox, StreamId};

use crate::kubelet::{Call, Kubelet};

type Text = Rc<str>;

const ALLOWED_FOR: Duration = Duration::from_secs(300);
const DENIED_FOR: Duration = Duration::from_secs(30);
const AUTHENTICATED_FOR: Duration = Duration::from_secs(120);

/// User, verb, subresource of the node.
type Question = (Text, &'static str, &'static str);

/// What is known, and who waits for an answer.
#[derive(Clone, Default)]
pub struct Authorizer {
    known: Map<Question, (bool, Time)>,
    /// Whose a token is.
    tokens: Map<Text, (Rc<UserInfo>, Time)>,
    unknown: Map<u64, Unknown>,
    waiting: Map<u64, Waiting>,
    asked: u64,
}

/// A request of somebody whose token is being reviewed.
#[derive(Clone)]
struct Unknown {
    from: Addr,
    id: StreamId,
    request: Rc<Request>,
    token: Text,
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
        if &*request.path == "/healthz" {
            return self.serve(from, id, request, out);
        }
        if let Credential::Bearer(token) = &request.credential {
            if let Some((user, _)) = self.authorizer.tokens.get(token).filter(|(_, until)| *until > out.now).cloned() {
                return self.authorize(from, id, request, &user, out);
            }
            self.authorizer.asked += 1;
            let number = self.authorizer.asked;
            let unknown = Unknown { from, id, request: request.clone(), token: token.clone() };
            self.authorizer.unknown.insert(number, unknown);
            self.client.call(token_review(token), Call::Review(number), out);
            return;
        }
        self.authorize(from, id, request, &user(request), out);
    }

    /// A token was reviewed: it is somebody's, or the request is refused.
    fn on_token_review(&mut self, unknown: Unknown, response: &Response, out: &mut Outbox) {
        let authenticated = response.ok().filter(|r| r.bool_at(&["status", "authenticated"]) == Some(true));
        let Some(review) = authenticated else {
            let body = apimachinery::ResponseBody::Text("text/plain; charset=utf-8".into(), "Unauthorized".into());
            return out.respond(unknown.from, unknown.id, Response { code: 401, body, ..Response::default() });
        };
        let text = |v: &Value| v.as_rc_str().cloned();
        let user = Rc::new(UserInfo {
            name: review.str_at(&["status", "user", "username"]).unwrap_or("").into(),
            uid: review.str_at(&["status", "user", "uid"]).unwrap_or("").into(),
            groups: review.list_at(&["status", "user", "groups"]).iter().filter_map(text).collect(),
            extra: Vec::new(),
        });
        self.authorizer.tokens.insert(unknown.token.clone(), (user.clone(), out.now + AUTHENTICATED_FOR));
        self.authorize(unknown.from, unknown.id, &unknown.request, &user, out);
    }

    fn authorize(&mut self, from: Addr, id: StreamId, request: &Rc<Request>, user: &UserInfo, out: &mut Outbox) {
        let question = (user.name.clone(), verb(request), subresource(&request.path));
        if let Some((allowed, _)) = self.authorizer.known.get(&question).filter(|(_, until)| *until > out.now).copied() {
            return self.serve_or_refuse(Waiting { from, id, request: request.clone(), question }, allowed, out);
        }
        self.authorizer.asked += 1;
        let number = self.authorizer.asked;
        let review = review(user, &question, &self.config.node_name);
        self.authorizer.waiting.insert(number, Waiting { from, id, request: request.clone(), question });
        self.client.call(review, Call::Review(number), out);
    }

    pub(crate) fn on_review(&mut self, number: u64, response: &Response, out: &mut Outbox) {
        if let Some(unknown) = self.authorizer.unknown.remove(&number) {
            return self.on_token_review(unknown, response, out);
        }
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
        let gone = self.authorizer.unknown.iter().find(|(_, w)| (w.from, w.id) == (from, id)).map(|(number, _)| *number);
        if let Some(number) = gone {
            self.authorizer.unknown.remove(&number);
        }
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

fn token_review(token: &Text) -> Request {
    let review = value!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {"token": token}
    });
    let review = Object::from_value(review).expect("a map was built");
    Request::create(Gvr::new("authentication.k8s.io", "v1", "tokenreviews"), review)
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
