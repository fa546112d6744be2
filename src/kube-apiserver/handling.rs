//! A request's way through the server, from authentication to the answer.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Request, Response, UserInfo, Verb};
use base::Time;
use sim::{Addr, MsgId, Outbox, StreamId};

use crate::call::{Call, Origin, deprecation};
use crate::codec::DeleteOptions;
use crate::flowcontrol::{Arrival, Ticket};
use crate::server::ApiServer;
use crate::stages::Stages;
use crate::view::Form;

impl ApiServer {
    /// A request from its first stage on.
    pub(crate) fn receive(
        &mut self,
        now: Time,
        msg: MsgId,
        client: Addr,
        stream: StreamId,
        request: &Rc<Request>,
        out: &mut Outbox,
    ) {
        let user = match self.admit_user(request, now) {
            Ok(user) => user,
            Err(status) => return self.refuse(client, stream, request, status, out),
        };
        let resolved = match crate::routing::resolve(self, request).transpose() {
            Ok(resolved) => resolved.map(Rc::new),
            Err(status) => return self.refuse(client, stream, request, status, out),
        };
        let request = resolved.as_ref().unwrap_or(request);
        let arrival = Arrival { msg, client, stream, request, user: &user };
        if let Ok(ticket) = self.take_seat(&arrival, now, out) {
            self.serve(&arrival, ticket, (now, now), out);
        }
    }

    /// A request that has a seat, from authorization on. The times: when it came, and now.
    pub(crate) fn serve(
        &mut self,
        &Arrival { msg, client, stream, request, user }: &Arrival,
        ticket: Option<Ticket>,
        (received, now): (Time, Time),
        out: &mut Outbox,
    ) {
        if self.is_aggregated(request) {
            if let Err(response) = self.pass_on(client, stream, request, user, ticket, out) {
                self.reply(client, stream, request, response, out);
                self.give_seat_back(ticket, request.verb, now);
            }
            return;
        }
        if request.gvr.resource.is_empty() {
            if matches!(&*request.path, "/metrics") || request.path.starts_with("/debug/") {
                self.tell_apart(now);
            }
            let response = match self.authorize_path(user, request) {
                Ok(()) => self.serve_path(request, user, now),
                Err(status) => status.into(),
            };
            self.reply(client, stream, request, response, out);
            return self.give_seat_back(ticket, request.verb, now);
        }
        let call =
            self.authorize(user, request).and_then(|()| self.new_call(received, msg, client, stream, request, user.clone()));
        match call {
            Ok(mut call) => {
                call.ticket = ticket;
                self.dispatch(Box::new(call), now, out);
            }
            Err(status) => {
                self.refuse(client, stream, request, status, out);
                self.give_seat_back(ticket, request.verb, now);
            }
        }
    }

    /// Authentication and impersonation.
    pub(crate) fn admit_user(&self, request: &Request, now: Time) -> Result<Rc<UserInfo>, Status> {
        let user = self.authenticate(&request.credential, now)?;
        match &request.impersonate {
            Some(wanted) => self.impersonate(&user, wanted),
            None => Ok(user),
        }
    }

    pub(crate) fn new_call(
        &self,
        now: Time,
        msg: MsgId,
        client: Addr,
        stream: StreamId,
        request: &Rc<Request>,
        user: Rc<UserInfo>,
    ) -> Result<Call, Status> {
        let not_found = || {
            let mut status = Status::new(404, "NotFound", "the server could not find the requested resource");
            status.details = apimachinery::Value::map();
            status
        };
        let resource = self.resource(request.gvr).ok_or_else(not_found)?.clone();
        if !request.subresource.is_empty() && resource.info.subresource(request.subresource).is_none() {
            return Err(match &resource.custom {
                Some(_) => Status::not_found(request.gvr, &request.name),
                None => not_found(),
            });
        }
        let stored = self.scheme.stored(&resource).unwrap_or(&resource).clone();
        let warning = resource.custom.as_ref().and_then(|c| c.warning.clone());
        let stages = Stages { user: user.name.clone(), received: now, ..Stages::default() };
        Ok(Call {
            client,
            stream,
            msg,
            form: Form::parse(request)?,
            name: request.name.clone(),
            request: request.clone(),
            resource,
            stored,
            user,
            warnings: warning.or_else(|| deprecation(request.gvr)).into_iter().collect(),
            origin: Origin::Client,
            attempts: 0,
            body: None,
            delete: DeleteOptions::default(),
            stages,
            ticket: None,
        })
    }

    fn refuse(&mut self, client: Addr, stream: StreamId, request: &Request, status: Status, out: &mut Outbox) {
        self.reply(client, stream, request, status.into(), out);
    }

    pub(crate) fn reply(&mut self, client: Addr, stream: StreamId, request: &Request, response: Response, out: &mut Outbox) {
        self.count(request.verb, response.code);
        out.respond(client, stream, response);
    }

    fn count(&mut self, verb: Verb, code: u16) {
        match self.answered.get_mut(&(verb, code)) {
            Some(n) => *n += 1,
            None => {
                self.answered.insert((verb, code), 1);
            }
        }
    }

    /// Answers a call.
    pub(crate) fn finish(&mut self, mut call: Box<Call>, mut response: Response, now: Time, out: &mut Outbox) {
        match call.origin {
            Origin::Client => {}
            Origin::Collection(id) => return self.collection_part_done(id, response, now, out),
            Origin::Own => return self.own_request_done(response.code, out),
        }
        self.give_seat_back(call.ticket.take(), call.request.verb, now);
        if !call.warnings.is_empty() {
            response.warnings = std::mem::take(&mut call.warnings);
        }
        self.count(call.request.verb, response.code);
        self.requests.note(&call, response.code, now);
        if call.request.verb.is_write() {
            let mut stages = std::mem::take(&mut call.stages);
            (stages.code, stages.answered) = (response.code, now);
            self.ring.push(call.msg, stages);
        }
        out.respond(call.client, call.stream, response);
    }
}
