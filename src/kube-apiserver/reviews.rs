//! Virtual resources: questions that are answered at once. Models `pkg/registry/{authentication,authorization}`.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Object, Request, Response, UserInfo, Value, Verb, key, resources, value};
use base::{Sym, Time};
use sim::Outbox;

use crate::authz::{self, Attributes, Decision};
use crate::call::Call;
use crate::server::ApiServer;

/// A user as reviews show it.
pub(crate) fn show_user(user: &UserInfo) -> Value {
    let mut v = value!({"username": (&user.name)});
    if !user.uid.is_empty() {
        v.set_at(&["uid"], &user.uid);
    }
    if !user.groups.is_empty() {
        v.set_at(&["groups"], user.groups.iter().map(Value::from).collect::<Vec<_>>());
    }
    for (k, values) in &user.extra {
        v.entry(&["extra"]).map_mut().insert(k.clone(), values.iter().map(Value::from).collect::<Vec<_>>());
    }
    v
}

impl ApiServer {
    pub(crate) fn serve_virtual(&mut self, mut call: Box<Call>, now: Time, out: &mut Outbox) {
        let mut body = call.body.take().unwrap_or_default();
        if call.request.verb == Verb::Create && call.resource.gvr.resource != "bindings" {
            crate::fields::track(&call, &mut body, None, now);
        }
        let answer = match &*call.resource.gvr.resource.text() {
            "selfsubjectreviews" => Ok(self.self_review(&call, body, now)),
            "tokenreviews" => Ok(self.token_review(body, now)),
            "selfsubjectaccessreviews" | "subjectaccessreviews" | "localsubjectaccessreviews" => self.access_review(&call, body),
            "selfsubjectrulesreviews" => Ok(self.rules_review(&call, body)),
            "bindings" => return self.bind_by_body(call, body, now, out),
            "componentstatuses" => {
                self.component_status(&call.name).ok_or_else(|| Status::not_found(call.resource.gvr, &call.name))
            }
            other => Err(Status::not_implemented(other)),
        };
        let code = if call.request.verb == Verb::Create { 201 } else { 200 };
        let response = match answer {
            Ok(object) => Response::object(code, call.form.object(&call.resource, object, now)),
            Err(status) => status.into(),
        };
        self.finish(call, response, now, out);
    }

    /// `bindings`: the pod's name is in the body.
    fn bind_by_body(&mut self, mut call: Box<Call>, body: Object, now: Time, out: &mut Outbox) {
        let pods = self.scheme.get(resources::pods()).expect("pods are served").clone();
        let mut request = (*call.request).clone();
        (request.gvr, request.subresource, request.name) = (pods.gvr, "binding".into(), body.name().into());
        call.name = request.name.clone();
        (call.request, call.resource, call.stored, call.body) = (Rc::new(request), pods.clone(), pods, Some(body));
        let current = self.cached(&call);
        self.write(call, current, now, out);
    }

    fn self_review(&self, call: &Call, mut body: Object, now: Time) -> Object {
        body.set_at(&["metadata", "creationTimestamp"], now.rfc3339());
        body.set_at(&["status"], value!({"userInfo": (show_user(&call.user))}));
        body
    }

    fn token_review(&self, mut body: Object, now: Time) -> Object {
        let token = body.at(&["spec", "token"]).and_then(Value::as_rc_str).cloned().unwrap_or_default();
        let mut audiences: Vec<Rc<str>> =
            body.list_at(&["spec", "audiences"]).iter().filter_map(Value::as_rc_str).cloned().collect();
        if audiences.is_empty() {
            audiences.push(self.config.issuer.clone());
        }
        let status = match self.review(&token, &audiences, now) {
            Some((user, common)) => value!({
                "authenticated": true, "user": (show_user(&user)),
                "audiences": (common.iter().map(Value::from).collect::<Vec<_>>())
            }),
            None if token.is_empty() => value!({"user": {}}),
            None => value!({"user": {}, "error": "[invalid bearer token, service account token is not valid yet]"}),
        };
        body.set_at(&["status"], status);
        body
    }

    fn access_review(&self, call: &Call, mut body: Object) -> Result<Object, Status> {
        let spec = body.get("spec").cloned().unwrap_or_default();
        let about_self = call.resource.gvr.resource == "selfsubjectaccessreviews";
        let user = if about_self { call.user.clone() } else { Rc::new(named_user(&spec)) };
        if call.resource.gvr.resource == "localsubjectaccessreviews"
            && spec.str_at(&["resourceAttributes", "namespace"]).unwrap_or("") != &*call.request.namespace
        {
            return Err(Status::bad_request("spec.resourceAttributes.namespace must match namespace"));
        }
        let status = match self.decide(&attributes_of(&spec, user)) {
            Decision::Allow(reason) if reason.is_empty() => value!({"allowed": true}),
            Decision::Allow(reason) => value!({"allowed": true, "reason": reason}),
            Decision::NoOpinion(reason) if reason.is_empty() => value!({"allowed": false}),
            Decision::NoOpinion(reason) => value!({"allowed": false, "reason": reason}),
        };
        body.set_at(&["status"], status);
        Ok(body)
    }

    fn rules_review(&self, call: &Call, mut body: Object) -> Object {
        let namespace = body.str_at(&["spec", "namespace"]).unwrap_or("").to_string();
        let mut rules = authz::rules_for(self, &call.user, &namespace);
        if authz::is_master(&call.user) {
            rules.push(value!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
            rules.push(value!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
        }
        let (paths, resources): (Vec<Value>, Vec<Value>) = rules.into_iter().partition(|r| r.get("nonResourceURLs").is_some());
        body.set_at(&["status"], value!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false}));
        body
    }

    fn component_status(&self, name: &str) -> Option<Object> {
        let known = matches!(name, "scheduler" | "controller-manager" | "etcd-0");
        known.then(|| {
            Object::from_value(value!({
                "apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name},
                "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]
            }))
            .expect("a map was built")
        })
    }

    /// A list of a virtual resource: only component statuses can be listed.
    pub(crate) fn list_virtual(&self, call: &Call, now: Time) -> Response {
        let items = ["controller-manager", "etcd-0", "scheduler"].iter().filter_map(|n| self.component_status(n)).collect();
        let list = apimachinery::List {
            api_version: call.resource.api_version.clone(),
            kind: call.resource.list_kind.clone(),
            resource_version: 0,
            continue_token: None,
            remaining_item_count: None,
            items,
        };
        call.form.list(&call.resource, list, now)
    }

    /// Whether `user` may act as `wanted`, and then who that is. Models `endpoints/filters/impersonation.go`.
    pub(crate) fn impersonate(&self, user: &Rc<UserInfo>, wanted: &UserInfo) -> Result<Rc<UserInfo>, Status> {
        let ask = |resource: &str, sub: &str, group: &str, name: &str, namespace: &str| {
            let attributes = Attributes {
                user: user.clone(),
                verb: key("impersonate"),
                group: key(group),
                resource: Sym::new(resource),
                subresource: Sym::new(sub),
                version: Sym::new("v1"),
                namespace: namespace.into(),
                name: name.into(),
                path: key(""),
                node_selector: None,
            };
            authz::check(self, &attributes)
        };
        let mut result = wanted.clone();
        match wanted.name.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':')) {
            Some((namespace, name)) => {
                ask("serviceaccounts", "", "", name, namespace)?;
                if wanted.groups.is_empty() {
                    result.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}").into()];
                }
            }
            None => ask("users", "", "", &wanted.name, "")?,
        }
        for group in &wanted.groups {
            ask("groups", "", "", group, "")?;
        }
        for (k, values) in &wanted.extra {
            for v in values {
                ask("userextras", k, "authentication.k8s.io", v, "")?;
            }
        }
        if !wanted.uid.is_empty() {
            ask("uids", "", "authentication.k8s.io", &wanted.uid, "")?;
        }
        let all = if &*wanted.name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
        if !result.groups.iter().any(|g| &**g == all) {
            result.groups.push(all.into());
        }
        Ok(Rc::new(result))
    }

    /// Authorization of a path that is no resource.
    pub(crate) fn authorize_path(&self, user: &Rc<UserInfo>, request: &Request) -> Result<(), Status> {
        self.authorize(user, request)
    }
}

fn named_user(spec: &Value) -> UserInfo {
    let mut user = UserInfo { name: spec.str_at(&["user"]).unwrap_or("").into(), ..UserInfo::default() };
    user.groups = spec.list_at(&["groups"]).iter().filter_map(Value::as_rc_str).cloned().collect();
    user.uid = spec.str_at(&["uid"]).unwrap_or("").into();
    user
}

fn attributes_of(spec: &Value, user: Rc<UserInfo>) -> Attributes {
    let text = |path: &[&str]| -> Rc<str> { spec.at(path).and_then(Value::as_rc_str).cloned().unwrap_or_else(|| key("")) };
    let part = |name: &str| text(&["resourceAttributes", name]);
    let by_path = spec.get("nonResourceAttributes").is_some_and(|v| !v.is_null());
    let selector = spec.list_at(&["resourceAttributes", "fieldSelector", "requirements"]).iter().find_map(|r| {
        matches!(r.str_at(&["key"]), Some("spec.nodeName" | "metadata.name"))
            .then(|| r.list_at(&["values"]).first()?.as_rc_str().cloned())?
    });
    Attributes {
        user,
        verb: if by_path { text(&["nonResourceAttributes", "verb"]) } else { part("verb") },
        group: part("group"),
        resource: Sym::new(&part("resource")),
        subresource: Sym::new(&part("subresource")),
        version: Sym::new(&part("version")),
        namespace: part("namespace"),
        name: part("name"),
        path: text(&["nonResourceAttributes", "path"]),
        node_selector: selector,
    }
}
