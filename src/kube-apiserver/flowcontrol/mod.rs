//! API Priority and Fairness: who gets a seat when many ask. Models `apiserver/pkg/util/flowcontrol` and the filter
//! `priority-and-fairness.go`.
//!
//! Each request falls to a FlowSchema (`schema`) and with it to a priority level, which has so many seats (`level`). A request takes
//! one while it is worked on, a list of many objects more; who finds none waits in a queue of its flow's hand (`deal`), and the
//! queues take turns (`queues`). Where there is no queue, the queue is full, or the wait takes a quarter of the request's time, the
//! answer is 429. exec, attach, logs and port-forwards pass; a watch takes a seat until it is open.
//!
//! As long as so few requests are under way that no level of a fresh cluster can be full, nobody is told apart: a number is counted up
//! and down ([`CALM`]). That ends, for good, with the first crowd, with the first change of a FlowSchema or level, and when somebody
//! asks for the figures; counts by schema begin there.
//!
//! Left out: seats that a write takes after its answer for those who watch, `Retry-After` beyond one second, the restoring of deleted
//! or changed bootstrap objects while the server runs (the mandatory ones hold even if deleted).
//! Read next: `state` (what is known), `status` (FlowSchemas' conditions), `show` (figures).

mod culprit;
mod deal;
mod level;
mod queues;
mod schema;
mod show;
mod state;
mod status;
mod tally;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use apimachinery::{Gvr, Object, Request, Response, ResponseBody, UserInfo, Verb, key};
use base::{Sym, TextSet, Time, hash64};
use sim::{Addr, MsgId, Outbox, StreamId};

use crate::call::Pending;
use crate::memo::Memo;
use crate::server::{ApiServer, timer};

pub use culprit::{Culprit, Refusal};
use schema::Asked;
pub use show::LevelSeen;
pub use state::Reason;
pub(crate) use state::Ticket;
use state::{Entry, PERIOD, Parked, State};

/// Below so many requests under way no level of a fresh cluster can be full: the smallest that anybody falls to, leader-election, has
/// 25 seats.
const CALM: u32 = 25;

/// What a request's schema hangs on, of one user object.
type Known = (usize, u8, Sym, Sym, Sym, u64);

/// The server's flow control.
#[derive(Clone, Default)]
pub(crate) struct FlowControl {
    /// Requests under way while nobody is told apart.
    under_way: u32,
    /// `None`: nobody is told apart.
    state: Option<Rc<State>>,
    schemas: Memo<Known, (Rc<UserInfo>, u32)>,
    /// What the objects say, for who asks while nobody is told apart.
    asleep: Memo<(), Rc<State>>,
    /// Something changed, or somebody may get a seat: looked at when the message has been handled.
    pub needs_care: bool,
    changed: bool,
    /// Levels that were deleted, until the schemas have been told.
    gone: TextSet<Rc<str>>,
    /// Timers that are set.
    wait_armed: bool,
    period_armed: bool,
}

/// A request on its way in.
pub(crate) struct Arrival<'a> {
    pub msg: MsgId,
    pub client: Addr,
    pub stream: StreamId,
    pub request: &'a Rc<Request>,
    pub user: &'a Rc<UserInfo>,
}

fn flow_schemas() -> Gvr {
    Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "flowschemas")
}

fn priority_levels() -> Gvr {
    Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations")
}

/// Streams that last are not counted. Models `BasicLongRunningRequestCheck`, without watches.
fn lasts(request: &Request) -> bool {
    !request.subresource.is_empty() && matches!(&*request.subresource.text(), "attach" | "exec" | "proxy" | "log" | "portforward")
}

/// The answer to who gets no seat. Models `tooManyRequests`: a text, not a Status.
fn too_many_requests() -> Response {
    let text = key("Too many requests, please try again later.\n");
    Response { code: 429, warnings: Vec::new(), body: ResponseBody::Text(key("text/plain; charset=utf-8"), text) }
}

impl ApiServer {
    /// A request has come. `Ok`: it goes on, with a ticket to be handed back; `Err`: it waits or has been answered.
    pub(crate) fn take_seat(&mut self, arrival: &Arrival, now: Time, out: &mut Outbox) -> Result<Option<Ticket>, ()> {
        if lasts(arrival.request) {
            return Ok(None);
        }
        if self.flow.state.is_none() && self.flow.under_way < CALM {
            self.flow.under_way += 1;
            return Ok(Some(Ticket::UNTOLD));
        }
        self.take_counted_seat(arrival, now, out)
    }

    fn take_counted_seat(&mut self, arrival: &Arrival, now: Time, out: &mut Outbox) -> Result<Option<Ticket>, ()> {
        self.tell_apart(now);
        if self.flow.state.is_none() {
            self.flow.under_way += 1;
            return Ok(Some(Ticket::UNTOLD));
        }
        let schema = self.schema_of(arrival.user, arrival.request);
        let wanted = self.work_of(arrival.request);
        let Some(state) = self.flow.state.as_mut().map(Rc::make_mut) else { return Ok(None) };
        let known = &state.known[schema as usize];
        let parked = Parked {
            msg: arrival.msg,
            client: arrival.client,
            stream: arrival.stream,
            request: arrival.request.clone(),
            user: arrival.user.clone(),
            schema,
            level: known.level,
            flow: Asked::with(arrival.user, arrival.request, |asked| known.schema.distinguish(asked)),
        };
        match state.enter(parked, wanted, now) {
            Entry::Passes(ticket) => Ok(Some(ticket)),
            Entry::Waits => {
                self.flow.needs_care = true;
                self.arm_flow_timers(now, out);
                Err(())
            }
            Entry::Refused => {
                self.arm_flow_timers(now, out);
                self.reply(arrival.client, arrival.stream, arrival.request, too_many_requests(), out);
                Err(())
            }
        }
    }

    /// A request has been answered: its seats are free.
    pub(crate) fn give_seat_back(&mut self, ticket: Option<Ticket>, verb: Verb, now: Time) {
        let Some(ticket) = ticket else { return };
        match &mut self.flow.state {
            None => self.flow.under_way -= 1,
            Some(_) if ticket.is_untold() => {}
            Some(state) => {
                let waits = Rc::make_mut(state).done(ticket, verb == Verb::Watch, now);
                self.flow.needs_care |= waits;
            }
        }
    }

    /// From now on every request is told apart. Nothing happens before the server knows its FlowSchemas.
    pub(crate) fn tell_apart(&mut self, now: Time) {
        if self.flow.state.is_some() || !self.knows_flows() {
            return;
        }
        self.flow.state =
            Some(Rc::new(State::new(self.config.max_requests_inflight + self.config.max_mutating_requests_inflight)));
        self.configure_flows();
        self.flow.under_way = 0;
        // Who is under way already.
        let ids: Vec<u64> = self.pending.keys().copied().collect();
        for id in ids {
            let Some((user, request)) = self.pending.get(&id).and_then(untold) else { continue };
            let schema = self.schema_of(&user, &request);
            let ticket = self.flow.state.as_mut().map(|s| Rc::make_mut(s).adopt(schema, now));
            if let Some(call) = self.pending.get_mut(&id).and_then(call_of_mut) {
                call.ticket = ticket;
            }
        }
    }

    fn knows_flows(&self) -> bool {
        let has_any = |gvr: Gvr| self.scheme.storage(gvr).is_some_and(|s| !self.caches[s].objects.is_empty());
        has_any(flow_schemas()) && has_any(priority_levels())
    }

    fn configure_flows(&mut self) {
        let Some(mut state) = self.flow.state.take() else { return };
        Rc::make_mut(&mut state).configure(self.all(flow_schemas(), ""), self.all(priority_levels(), ""));
        self.flow.state = Some(state);
        self.flow.schemas.clear();
    }

    fn schema_of(&self, user: &Rc<UserInfo>, request: &Request) -> u32 {
        self.flow.state.as_ref().map_or(0, |state| self.schema_in(state, user, request))
    }

    /// The schema of a user's request, remembered by what it hangs on.
    fn schema_in(&self, state: &State, user: &Rc<UserInfo>, request: &Request) -> u32 {
        let find = || Asked::with(user, request, |asked| state.classify(asked));
        // A user that nobody else holds is made for this request only: it won't come again.
        if request.gvr.resource.is_empty() || Rc::strong_count(user) < 2 {
            return find();
        }
        let of = (
            Rc::as_ptr(user) as usize,
            request.verb as u8,
            request.gvr.group,
            request.gvr.resource,
            request.subresource,
            hash64(crate::authz::namespace_of(request).as_bytes()),
        );
        // The entry holds the user, so its address is no other's.
        self.flow.schemas.get_or(of, || (user.clone(), find())).1
    }

    /// How many seats a request's work would fill: of a list, one for each hundred objects. Models `list_work_estimator.go`.
    fn work_of(&self, request: &Request) -> i64 {
        let lists = match request.verb {
            Verb::List => true,
            Verb::Watch => request.options.send_initial_events || request.options.resource_version.is_none(),
            _ => false,
        };
        let Some(storage) = self.resource(request.gvr).and_then(|r| r.storage).filter(|_| lists) else { return 1 };
        let stored = self.caches.get(storage).map_or(0, |c| c.objects.len()) as i64;
        let limit = match request.options.limit {
            0 => stored,
            n => stored.min(n),
        };
        let from_cache = request.verb == Verb::Watch || request.options.resource_version.as_deref() == Some("0");
        let selects = request.options.field_selector.is_some() || request.options.label_selector.is_some();
        let objects = match (from_cache, selects) {
            (true, _) => stored,
            (false, true) => stored + limit,
            (false, false) => 2 * limit,
        };
        (objects + 99) / 100
    }

    fn arm_flow_timers(&mut self, now: Time, out: &mut Outbox) {
        let Some(state) = self.flow.state.as_mut() else { return };
        if let Some(deadline) = state.deadline().filter(|_| !self.flow.wait_armed) {
            self.flow.wait_armed = true;
            out.timer(deadline - now, timer::FLOW_WAIT);
        }
        if !std::mem::replace(&mut self.flow.period_armed, true) {
            Rc::make_mut(state).measure(now);
            out.timer(PERIOD, timer::FLOW_PERIOD);
        }
    }

    /// Some have waited too long.
    pub(crate) fn end_overdue_waits(&mut self, now: Time, out: &mut Outbox) {
        self.flow.wait_armed = false;
        let Some(state) = self.flow.state.as_mut() else { return };
        for parked in Rc::make_mut(state).overdue(now) {
            out.set_cause(Some(parked.msg));
            self.reply(parked.client, parked.stream, &parked.request, too_many_requests(), out);
        }
        out.set_cause(None);
        self.arm_flow_timers(now, out);
    }

    /// The seats are shared out anew.
    pub(crate) fn share_seats_out(&mut self, now: Time, out: &mut Outbox) {
        self.flow.period_armed = false;
        let Some(state) = self.flow.state.as_mut() else { return };
        if Rc::make_mut(state).share_out(now) {
            self.flow.period_armed = true;
            self.flow.needs_care = true;
            out.timer(PERIOD, timer::FLOW_PERIOD);
        }
    }

    /// A client is gone, or has given up one call: it needs no seat any more.
    pub(crate) fn leave_queue(&mut self, client: Addr, stream: Option<StreamId>, now: Time) {
        if let Some(state) = self.flow.state.as_mut().filter(|s| s.waiting() > 0) {
            Rc::make_mut(state).cancel(client, stream, now);
        }
    }

    /// A FlowSchema or priority level has changed in the watch cache.
    pub(crate) fn note_flow_control(&mut self, old: Option<&Object>, new: Option<&Object>) {
        let is_fresh = |o: &Object| {
            o.annotation("apf.kubernetes.io/autoupdate-spec") == Some("true") && o.int_at(&["metadata", "generation"]) == Some(1)
        };
        if old.is_none() && self.flow.state.is_none() && new.is_some_and(is_fresh) {
            return;
        }
        (self.flow.changed, self.flow.needs_care) = (true, true);
        self.flow.schemas.clear();
        self.flow.asleep.clear();
        let level = new.or(old).filter(|o| o.kind() == "PriorityLevelConfiguration");
        let Some(level) = level else { return };
        match new {
            None => self.flow.gone.insert(level.name().into()),
            Some(_) => self.flow.gone.remove(level.name()),
        };
    }

    /// What was left for when the message has been handled: changes, and those who wait.
    pub(crate) fn care_for_flows(&mut self, now: Time, out: &mut Outbox) {
        self.flow.needs_care = false;
        if std::mem::take(&mut self.flow.changed) {
            match self.flow.state {
                None => self.tell_apart(now),
                Some(_) => self.configure_flows(),
            }
            self.tell_schemas(now, out);
        }
        while let Some((parked, ticket, since)) = self.flow.state.as_mut().and_then(|s| Rc::make_mut(s).next(now)) {
            out.set_cause(Some(parked.msg));
            let arrival = Arrival {
                msg: parked.msg,
                client: parked.client,
                stream: parked.stream,
                request: &parked.request,
                user: &parked.user,
            };
            self.serve(&arrival, Some(ticket), (since, now), out);
        }
        out.set_cause(None);
        // What was done just now may have been answered at once.
        self.flow.needs_care = self.flow.changed;
    }
}

/// A call that waits for etcd and was not told apart.
fn untold(pending: &Pending) -> Option<(Rc<UserInfo>, Rc<Request>)> {
    let call = match pending {
        Pending::Get(call)
        | Pending::Fresh(call)
        | Pending::Page(call, _)
        | Pending::Write(call, _)
        | Pending::Unwritten(call, _)
        | Pending::Lease(call, _) => call,
        _ => return None,
    };
    call.ticket.is_some_and(|t| t.is_untold()).then(|| (call.user.clone(), call.request.clone()))
}

fn call_of_mut(pending: &mut Pending) -> Option<&mut crate::call::Call> {
    match pending {
        Pending::Get(call)
        | Pending::Fresh(call)
        | Pending::Page(call, _)
        | Pending::Write(call, _)
        | Pending::Unwritten(call, _)
        | Pending::Lease(call, _) => Some(&mut **call),
        _ => None,
    }
}
