//! `list`: from the cache; in pages, from etcd at one revision.

use std::rc::Rc;

use apimachinery::field::{ErrorList, Path};
use apimachinery::status::Status;
use apimachinery::{Gvk, List, Object, Request, Response, UserInfo, Value, Verb, json, value};
use base::Time;
use etcd_api::{Key, KeyRange, RangeResponse};
use sim::{Addr, MsgId, Outbox};

use super::read::parse_revision;
use crate::call::{Call, Pending};
use crate::etcd_client::{object_of, range_of, too_large};
use crate::select::Filter;
use crate::server::ApiServer;
use crate::token::{decode64, encode64};

/// A page of a list that etcd is asked for.
#[derive(Clone, Debug)]
pub struct Page {
    filter: Filter,
    scope: Rc<str>,
    limit: usize,
    /// 0: the newest.
    revision: i64,
}

impl ApiServer {
    pub(crate) fn list(&mut self, call: Box<Call>, now: Time, out: &mut Outbox) {
        match self.start_list(&call) {
            Ok(Start::Cache) => self.list_fresh(call, 0, now, out),
            Ok(Start::Fresh) => {
                // Any key will do: the answer's header says how far etcd is.
                let mut range = range_of(KeyRange::one(call.resource.api_version.clone()));
                range.count_only = true;
                self.ask_for(call.msg, etcd_api::Request::Range(range), Pending::Fresh(call), now, out);
            }
            Ok(Start::Page(page, start)) => {
                let end = KeyRange::prefix(&page.scope).end;
                let mut range = range_of(KeyRange { key: start, end });
                range.revision = page.revision;
                self.ask_for(call.msg, etcd_api::Request::Range(range), Pending::Page(call, page), now, out);
            }
            Err(status) => self.finish(call, status.into(), now, out),
        }
    }

    fn start_list(&self, call: &Call) -> Result<Start, Status> {
        let options = &call.request.options;
        let filter = self.filter_of(call)?;
        check_options(&call.request)?;
        let rv = options.resource_version.as_deref().filter(|v| !v.is_empty());
        let token = options.continue_token.as_deref().filter(|t| !t.is_empty());
        if token.is_some() && rv.is_some_and(|v| v != "0") {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let revision = parse_revision(rv).map_err(|e| Status::bad_request(format!("invalid resource version: {e}")))?;
        let Some(storage) = call.resource.storage else { return Ok(Start::Cache) };
        let scope = self.storage(storage).scope(&call.request.namespace);
        let limit = options.limit.max(0) as usize;
        let exact = options.resource_version_match.as_deref() == Some("Exact");
        if let Some(token) = token {
            let (at, start) = parse_token(token, &scope)?;
            return Ok(Start::Page(Page { filter, scope, limit, revision: at }, start));
        }
        if rv == Some("0") && !exact {
            return Ok(Start::Cache);
        }
        if exact || (limit > 0 && rv.is_none()) || (limit > 0 && options.resource_version_match.is_none()) {
            if revision > self.revision {
                return Err(too_large(revision, self.revision));
            }
            let start = scope.clone();
            return Ok(Start::Page(Page { filter, scope, limit, revision }, start));
        }
        if revision > self.revision.max(self.caches[storage].revision) {
            return Err(too_large(revision, self.revision));
        }
        Ok(if rv.is_none() { Start::Fresh } else { Start::Cache })
    }

    /// The selectors of a list or watch, with a name in the path as one of them.
    pub(crate) fn filter_of(&self, call: &Call) -> Result<Filter, Status> {
        let filter = Filter::parse(&*call.resource.strategy, &call.request)?;
        Ok(if call.request.name.is_empty() { filter } else { filter.with_name(&*call.resource.strategy, &call.request.name) })
    }

    /// Answers from the cache, which is as new as `revision` because etcd's messages come in order.
    pub(crate) fn list_fresh(&mut self, call: Box<Call>, revision: i64, now: Time, out: &mut Outbox) {
        let response = self.list_cached(&call, revision, now);
        self.finish(call, response.unwrap_or_else(Response::from), now, out);
    }

    fn list_cached(&self, call: &Call, revision: i64, now: Time) -> Result<Response, Status> {
        let filter = self.filter_of(call)?;
        let Some(storage) = call.resource.storage else { return Ok(self.list_virtual(call, now)) };
        let items = self.select(storage, call, &filter);
        let resource_version = revision.max(self.caches[storage].revision);
        Ok(call.form.list(&call.resource, new_list(call, items, resource_version), now))
    }

    /// The objects that a request selects, by an index where there is one.
    pub(crate) fn select(&self, storage: usize, call: &Call, filter: &Filter) -> Vec<Object> {
        let strategy = &*call.stored.strategy;
        let cache = &self.caches[storage];
        let s = self.storage(storage);
        let namespace = &call.request.namespace;
        if let Some(name) = filter.exact("metadata.name")
            && (!namespace.is_empty() || !call.resource.namespaced())
        {
            let found = cache.get(&s.key(namespace, name)).filter(|o| filter.matches(strategy, o));
            return found.cloned().into_iter().collect();
        }
        if let Some(node) = filter.exact("spec.nodeName").filter(|n| !n.is_empty() && s.special == crate::scheme::Special::Pods) {
            let here = |o: &&Object| (namespace.is_empty() || o.namespace() == &**namespace) && filter.matches(strategy, o);
            return self.pods_on(node).filter(here).cloned().collect();
        }
        let all = cache.scope(&s.scope(namespace)).map(|(_, o)| o);
        if filter.is_everything() {
            all.cloned().collect()
        } else {
            all.filter(|o| filter.matches(strategy, o)).cloned().collect()
        }
    }

    pub(crate) fn got_page(
        &mut self,
        call: Box<Call>,
        page: Page,
        range: &RangeResponse,
        revision: i64,
        now: Time,
        out: &mut Outbox,
    ) {
        let revision = if page.revision > 0 { page.revision } else { revision };
        let strategy = &*call.stored.strategy;
        let mut items = Vec::new();
        let mut last: Option<&Key> = None;
        let mut remaining = 0;
        for kv in &range.kvs {
            if page.limit > 0 && items.len() >= page.limit {
                remaining += 1;
                continue;
            }
            let Some(object) = object_of(kv) else { continue };
            if page.filter.matches(strategy, &object) {
                items.push(object);
                last = Some(&kv.key);
            }
        }
        let mut list = new_list(&call, items, revision);
        if let Some(key) = last.filter(|_| remaining > 0) {
            list.continue_token = Some(make_token(revision, &key[page.scope.len()..]).into());
            // With selectors nobody knows how many of the rest match.
            list.remaining_item_count = page.filter.is_everything().then_some(remaining);
        }
        let response = call.form.list(&call.resource, list, now);
        self.finish(call, response, now, out);
    }

    /// A read of the page, see [`ApiServer::read`].
    pub(crate) fn read_call(&self, request: &Request, user: Rc<UserInfo>, now: Time) -> Result<Response, Status> {
        let mut request = request.clone();
        request.options.resource_version = None;
        let call = self.off_record(now, &Rc::new(request), user)?;
        match call.request.verb {
            Verb::List | Verb::Watch => self.list_cached(&call, self.revision, now),
            Verb::Get => Ok(self.show_cached(&call, now)),
            _ => Err(super::method_not_allowed()),
        }
    }

    fn off_record(&self, now: Time, request: &Rc<Request>, user: Rc<UserInfo>) -> Result<Call, Status> {
        self.new_call(now, MsgId(0), Addr::OUTSIDE, 0, request, user)
    }

    fn show_cached(&self, call: &Call, now: Time) -> Response {
        self.show(call, self.cached(call), now)
    }
}

enum Start {
    /// Whatever the cache has.
    Cache,
    /// The cache, once it is known to be as new as etcd.
    Fresh,
    Page(Page, Key),
}

fn new_list(call: &Call, items: Vec<Object>, resource_version: i64) -> List {
    List {
        api_version: call.resource.api_version.clone(),
        kind: call.resource.list_kind.clone(),
        resource_version,
        continue_token: None,
        remaining_item_count: None,
        items,
    }
}

/// Models `meta/internalversion/validation.ValidateListOptions`.
pub(crate) fn check_options(request: &Request) -> Result<(), Status> {
    let options = &request.options;
    let watch = request.verb == Verb::Watch;
    let rv = options.resource_version.as_deref().unwrap_or("");
    let wanted = options.resource_version_match.as_deref().unwrap_or("");
    let path = Path::new("resourceVersionMatch");
    let mut errors = ErrorList::new();
    if watch && options.send_initial_events {
        if wanted.is_empty() {
            errors.forbidden(&path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        } else if wanted != "NotOlderThan" {
            errors.not_supported(&path, wanted, &["NotOlderThan"]);
        }
        return invalid(errors);
    }
    if watch && !wanted.is_empty() && options.query("sendInitialEvents").is_none() {
        errors.forbidden(&path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        return invalid(errors);
    }
    if !wanted.is_empty() {
        if rv.is_empty() {
            errors.forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if options.continue_token.as_deref().is_some_and(|t| !t.is_empty()) {
            errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
        }
        if wanted != "Exact" && wanted != "NotOlderThan" {
            errors.not_supported(&path, wanted, &["Exact", "NotOlderThan", ""]);
        }
        if wanted == "Exact" && rv == "0" {
            errors.forbidden(&path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
    }
    invalid(errors)
}

fn invalid(errors: ErrorList) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(Gvk::new("meta.k8s.io", "", "ListOptions"), "", &errors)) }
}

/// Models `storage.EncodeContinue`: the revision, and the key to begin with, relative to the scope.
fn make_token(revision: i64, last: &str) -> String {
    let v = value!({"v": "meta.k8s.io/v1", "rv": revision, "start": (format!("{last}\u{0}"))});
    encode64(json::to_string(&v).as_bytes())
}

/// The revision (0: the newest) and the key that a token means.
fn parse_token(text: &str, scope: &str) -> Result<(i64, Key), Status> {
    let bad = |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = decode64(text).map_err(|at| bad(format!("illegal base64 data at input byte {at}")))?;
    let v = json::parse(&bytes).map_err(|e| bad(e.to_string()))?;
    let version = v.str_at(&["v"]).unwrap_or("");
    if version != "meta.k8s.io/v1" {
        return Err(bad(format!("server does not recognize this encoded version {version}")));
    }
    let revision = v.int_at(&["rv"]).unwrap_or(0);
    if revision == 0 {
        return Err(bad(format!("incorrect encoded start resourceVersion (version {version})")));
    }
    let start = v.at(&["start"]).and_then(Value::as_str).unwrap_or("");
    if start.is_empty() {
        return Err(bad(format!("empty start key (version {version})")));
    }
    // A start key must not lead out of the scope.
    if start.starts_with('/') || start.contains("../") {
        return Err(bad(format!("continue key is not valid: {start}")));
    }
    Ok((revision.max(0), format!("{scope}{start}").into()))
}
