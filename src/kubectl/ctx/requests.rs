//! Requests to kube-apiserver: credentials, impersonation, warnings, `-v`, errors named as the client names them, lists in chunks.

use std::rc::Rc;

use apimachinery::{List, Object, Request, Response, ResponseBody, UserInfo, Verb};

use super::url::url;
use super::{Answer, Ctx, Res, Slot, Stop};
use crate::config::Config;
use crate::error::{ApiStatus, Error};
use crate::{Ask, AskId};

impl Ctx<'_> {
    /// Says on whose behalf a request is made.
    pub(super) fn sign(&self, config: &Config, request: &mut Request) {
        request.credential = config.credential.clone();
        request.user_agent = "kubectl/v1.37.2 (linux/amd64) kubernetes/kubottle".into();
        request.impersonate = self.impersonation();
    }

    /// Sends a request; warnings are printed. The answer may be an error.
    pub fn send_request(&mut self, mut request: Request) -> Res<(AskId, Rc<Response>)> {
        let config = self.config()?;
        self.sign(&config, &mut request);
        let verbose = self.flags.int("v").unwrap_or(0) >= 6;
        let line = verbose.then(|| (request.verb.method(), url(&config.server, &request)));
        let stream = request.verb == Verb::Watch
            || matches!(&*request.subresource.text(), "exec" | "attach" | "portforward")
            || (request.subresource == "log" && request.options.query("follow") == Some("true"));
        let mut asked = 0;
        let answer = self.ask(|id| {
            asked = id;
            Ask::Request { id, request: Box::new(request), server: config.server.as_str().into() }
        });
        let slot = self.at - 1;
        // The id of a replayed stream is kept in the effect after it.
        let id = match self.effect(|_, _| Slot::Answer(Answer::Id(asked)))? {
            Answer::Id(id) => id,
            _ => 0,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(stop) => {
                debug_assert!(matches!(self.slots[slot], Slot::Waiting(_)));
                return Err(stop);
            }
        };
        let response = match answer {
            Answer::Response(response) => response,
            Answer::Unreachable(server, error) => return Err(Error::Unreachable(server, error).into()),
            _ => return Err(Stop::Suspend),
        };
        if stream && response.is_success() {
            self.emit(|state, _| state.open_streams.push(id));
        }
        if let Some((method, url)) = line {
            let now = self.now.civil();
            let text = format!(
                "I{:02}{:02} {:02}:{:02}:{:02}.000000       1 round_trippers.go:632] \"Response\" verb=\"{method}\" url=\"{url}\" status=\"{}\"",
                now.1, now.2, now.3, now.4, now.5, response.code
            );
            self.eprintln(text);
        }
        for warning in &response.warnings {
            self.warn(warning);
        }
        Ok((id, response))
    }

    pub fn send_ok(&mut self, request: Request) -> Res<Rc<Response>> {
        let context = (request.verb, request.gvr, request.name.clone());
        let plain = request.subresource.is_empty();
        let (_, response) = self.send_request(request)?;
        if response.is_success() {
            return Ok(response);
        }
        let mut status = ApiStatus::of(&response);
        if plain {
            status.name_request(context.0, context.1, &context.2);
        }
        Err(Error::Status(status).into())
    }

    /// The object of an answer.
    pub fn call(&mut self, request: Request) -> Res<Object> {
        let response = self.send_ok(request)?;
        match &response.body {
            ResponseBody::Object(object) => Ok(object.clone()),
            ResponseBody::List(list) => Ok(Object::from_value(list.to_value()).unwrap_or_default()),
            _ => Ok(Object::default()),
        }
    }

    /// Opens a watch or byte stream.
    pub fn open(&mut self, request: Request) -> Res<AskId> {
        let context = (request.verb, request.gvr, request.name.clone());
        let (id, response) = self.send_request(request)?;
        if response.is_success() {
            return Ok(id);
        }
        let mut status = ApiStatus::of(&response);
        status.name_request(context.0, context.1, &context.2);
        Err(Error::Status(status).into())
    }

    /// `Ok(None)` if it does not exist.
    pub fn call_if_found(&mut self, request: Request) -> Res<Option<Object>> {
        match self.call(request) {
            Ok(object) => Ok(Some(object)),
            Err(Stop::Err(error)) if error.is_not_found() => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Lists, in chunks of 500 as upstream, and returns all items with `apiVersion` and `kind`.
    pub fn list(&mut self, request: Request) -> Res<List> {
        let mut all: Option<List> = None;
        let mut request = request;
        loop {
            let response = self.send_ok(request.clone())?;
            let page = match &response.body {
                ResponseBody::List(list) => (**list).clone(),
                ResponseBody::Object(object) => list_of(object),
                _ => list_of(&Object::default()),
            };
            let token = page.continue_token.clone();
            match &mut all {
                None => all = Some(page),
                Some(list) => list.items.extend(page.items),
            }
            match token {
                Some(token) if !token.is_empty() => request.options.continue_token = Some(token),
                _ => break,
            }
        }
        Ok(all.unwrap_or_else(|| list_of(&Object::default())))
    }

    fn impersonation(&self) -> Option<Rc<UserInfo>> {
        let flags = &self.flags;
        let name = flags.str("as");
        if name.is_empty() && flags.list("as-group").is_empty() && flags.str("as-uid").is_empty() {
            return None;
        }
        let pairs = flags.list("as-user-extra");
        let extra = pairs.iter().filter_map(|pair| {
            let (k, v) = pair.split_once('=')?;
            Some((Rc::from(k), vec![Rc::from(v)]))
        });
        Some(Rc::new(UserInfo {
            name: name.into(),
            uid: flags.str("as-uid").into(),
            groups: flags.list("as-group").iter().map(|g| g.as_str().into()).collect(),
            extra: extra.collect(),
        }))
    }
}

/// A list that came as one tree.
pub(crate) fn list_of(object: &Object) -> List {
    let item_kind = object.kind().strip_suffix("List").unwrap_or("").to_string();
    let version = object.api_version().to_string();
    let items = object.list_at(&["items"]).iter().filter_map(|item| {
        let mut item = Object::from_value(item.clone())?;
        if item.kind().is_empty() {
            item.set_at(&["kind"], item_kind.as_str());
            item.set_at(&["apiVersion"], version.as_str());
        }
        Some(item)
    });
    List {
        api_version: version.as_str().into(),
        kind: object.kind().into(),
        resource_version: object.revision(),
        continue_token: object.str_at(&["metadata", "continue"]).map(Rc::from),
        remaining_item_count: object.int_at(&["metadata", "remainingItemCount"]),
        items: items.collect(),
    }
}
