//! What is known of flows and priority levels: seats in use, queues, counts. Knows nothing of how a request is answered.

use std::rc::Rc;

use apimachinery::{Object, Request, UserInfo};
use base::{Duration, Sort as _, Time, Vector, hash64};
use sim::{Addr, MsgId, StreamId};

use super::culprit::{Culprits, Refusal};
use super::deal::deal;
use super::level::{self, Claim, Demand, Limits, Spec};
use super::queues::Queues;
use super::schema::{Asked, Schema};
use super::tally::Tally;

/// How long a request waits for a seat at most: a quarter of `--request-timeout`.
pub const WAIT_LIMIT: Duration = Duration::from_secs(15);
/// How often seats are shared out anew while somebody waits.
pub const PERIOD: Duration = Duration::from_secs(10);
/// The widest that a request can be, and the part of a level's seats that it takes at most.
const MAX_SEATS: i64 = 10;
const MAX_PART: f64 = 0.15;

/// A request that waits for a seat.
#[derive(Clone)]
pub struct Parked {
    pub msg: MsgId,
    pub client: Addr,
    pub stream: StreamId,
    pub request: Rc<Request>,
    pub user: Rc<UserInfo>,
    pub schema: u32,
    /// The level that its schema named when it came.
    pub level: u32,
    pub flow: Rc<str>,
}

/// A request's seats: given back when it is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticket {
    pub schema: u32,
    level: u32,
    seats: i64,
    /// The queue that it came from.
    queue: Option<u32>,
    since: Time,
}

impl Ticket {
    /// Of a request that came while nothing was told apart.
    pub const UNTOLD: Ticket = Ticket { schema: u32::MAX, level: u32::MAX, seats: 0, queue: None, since: Time::EPOCH };

    pub fn is_untold(&self) -> bool {
        self.schema == u32::MAX
    }
}

/// Why a request gets no seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    ConcurrencyLimit,
    QueueFull,
    TimeOut,
    Cancelled,
}

impl Reason {
    pub const ALL: [Reason; 4] = [Reason::Cancelled, Reason::ConcurrencyLimit, Reason::QueueFull, Reason::TimeOut];

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::ConcurrencyLimit => "concurrency-limit",
            Reason::QueueFull => "queue-full",
            Reason::TimeOut => "time-out",
            Reason::Cancelled => "cancelled",
        }
    }
}

/// What becomes of a request that has come.
#[derive(Debug, PartialEq)]
pub enum Entry {
    Passes(Ticket),
    Waits,
    Refused,
}

/// A schema with its counts. One that is gone stays until its requests are answered.
#[derive(Clone)]
pub struct Known {
    pub schema: Schema,
    pub level: u32,
    pub live: bool,
    pub tally: Tally,
}

/// A priority level.
#[derive(Clone)]
pub struct Level {
    pub name: Rc<str>,
    pub uid: Rc<str>,
    pub spec: Spec,
    pub live: bool,
    pub limits: Limits,
    /// Seats that it has now.
    pub current: i64,
    pub in_use: i64,
    pub executing: i64,
    pub queues: Queues<Parked>,
    pub demand: Demand,
    pub dispatched: u64,
    pub refused: [u64; 4],
    /// Until then who comes is looked at more closely.
    watched_until: Time,
}

impl Level {
    fn new(name: Rc<str>) -> Level {
        Level {
            name,
            uid: "".into(),
            spec: Spec::mandatory(false),
            live: false,
            limits: Limits::default(),
            current: 0,
            in_use: 0,
            executing: 0,
            queues: Queues::default(),
            demand: Demand::default(),
            dispatched: 0,
            refused: [0; 4],
            watched_until: Time::EPOCH,
        }
    }

    /// Whether a request of so many seats may begin. One that is wider than the level waits until it is alone.
    fn fits(&self, seats: i64) -> bool {
        match seats > self.current {
            true => self.current > 0 && self.executing == 0,
            false => self.in_use + seats <= self.current,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.executing == 0 && self.queues.waiting() == 0
    }

    fn note_demand(&mut self, now: Time) {
        self.demand.set(self.in_use + self.queues.seats_waiting(), now);
    }
}

/// All of it.
#[derive(Clone)]
pub struct State {
    pub known: Vec<Known>,
    /// Places in `known` of the schemas that count, in the order in which they are tried.
    pub order: Vec<u32>,
    pub levels: Vec<Level>,
    pub culprits: Culprits,
    /// The server's seats: `--max-requests-inflight` and `--max-mutating-requests-inflight` together.
    pub total: i64,
    /// Demand is being measured.
    pub measures: bool,
    /// Somebody had to wait, or was refused, since the last sharing out.
    pressed: bool,
    pub fair_fraction: f64,
}

impl State {
    pub fn new(total: i64) -> State {
        State {
            known: Vec::new(),
            order: Vec::new(),
            levels: Vec::new(),
            culprits: Culprits::default(),
            total,
            measures: false,
            pressed: false,
            fair_fraction: 1.0,
        }
    }

    /// Takes over what the objects say. What is under way stays where it is.
    pub fn configure<'a>(&mut self, schemas: impl Iterator<Item = &'a Object>, levels: impl Iterator<Item = &'a Object>) {
        self.levels.iter_mut().for_each(|l| l.live = false);
        self.known.iter_mut().for_each(|k| k.live = false);
        for object in levels {
            self.put_level(object.name(), object.uid(), Spec::read(object));
        }
        for (name, exempt) in [("catch-all", false), ("exempt", true)] {
            if !self.levels.iter().any(|l| l.live && *l.name == *name) {
                self.put_level(name, "", Spec::mandatory(exempt));
            }
        }
        schemas.for_each(|object| self.put_schema(Schema::read(object)));
        if !self.known.iter().any(|k| k.live && *k.schema.name == *"catch-all") {
            self.put_schema(Schema::catch_all());
        }
        let mut order: Vec<u32> = (0..self.known.len() as u32).filter(|i| self.known[*i as usize].live).collect();
        order.order_by(|a, b| {
            let key = |i: &u32| &self.known[*i as usize].schema;
            (key(a).precedence, &key(a).name).cmp(&(key(b).precedence, &key(b).name))
        });
        self.order = order;
        self.set_limits();
    }

    fn put_level(&mut self, name: &str, uid: &str, spec: Spec) {
        let place = self.levels.iter().position(|l| *l.name == *name);
        // A level that has gone and has nothing under way gives its place to the next new one.
        let place = place.or_else(|| self.levels.iter().position(|l| !l.live && l.is_idle()));
        let index = place.unwrap_or(self.levels.len());
        match self.levels.get_mut(index) {
            Some(level) if *level.name != *name => *level = Level::new(name.into()),
            Some(_) => {}
            None => self.levels.push(Level::new(name.into())),
        }
        let level = &mut self.levels[index];
        (level.uid, level.spec, level.live) = (uid.into(), spec, true);
    }

    fn put_schema(&mut self, schema: Schema) {
        let Some(level) = self.levels.iter().position(|l| l.live && l.name == schema.level) else { return };
        let place = self.known.iter().position(|k| k.schema.name == schema.name);
        let place = place.or_else(|| self.known.iter().position(|k| !k.live && k.tally.is_idle()));
        let known = Known { schema, level: level as u32, live: true, tally: Tally::default() };
        match place.and_then(|i| self.known.get_mut(i)) {
            Some(there) if there.schema.name == known.schema.name => {
                *there = Known { tally: std::mem::take(&mut there.tally), ..known };
            }
            Some(there) => *there = known,
            None => self.known.push(known),
        }
    }

    fn set_limits(&mut self) {
        let specs: Vec<&Spec> = self.levels.iter().filter(|l| l.live).map(|l| &l.spec).collect();
        let limits = level::limits(self.total, &specs);
        let live = self.levels.iter_mut().filter(|l| l.live);
        for (level, limits) in live.zip(limits) {
            let known = std::mem::replace(&mut level.limits, limits) == limits;
            if !known || !self.measures {
                level.current = limits.nominal;
            }
        }
    }

    /// The schema of a request.
    pub fn classify(&self, asked: &Asked) -> u32 {
        let found = self.order.iter().find(|i| self.known[**i as usize].schema.matches(asked));
        found.or(self.order.last()).copied().unwrap_or(0)
    }

    /// The seats that a request of so much work takes in a level.
    fn width(&self, level: u32, wanted: i64) -> i64 {
        let most = (self.levels[level as usize].limits.nominal as f64 * MAX_PART).ceil() as i64;
        wanted.clamp(1, most.clamp(1, MAX_SEATS))
    }

    /// A request has come: it begins, waits or is refused. `flow`: its name within the schema.
    pub fn enter(&mut self, parked: Parked, wanted: i64, now: Time) -> Entry {
        let (schema, index) = (parked.schema, parked.level);
        let seats = self.width(index, wanted);
        let level = &mut self.levels[index as usize];
        if level.watched_until > now {
            self.culprits.arrived(&self.known[schema as usize].schema.name, &parked.flow, now);
        }
        if level.spec.exempt || level.queues.waiting() == 0 && level.fits(seats) {
            return Entry::Passes(self.begin((schema, index), seats, None, Duration::ZERO, now));
        }
        let Some(queuing) = level.spec.queuing else {
            self.refuse(&parked, Reason::ConcurrencyLimit, None, now);
            return Entry::Refused;
        };
        let mut flow = self.known[schema as usize].schema.name.as_bytes().to_vec();
        flow.push(0);
        flow.extend_from_slice(parked.flow.as_bytes());
        let queue = level.queues.choose(&deal(hash64(&flow), queuing.queues, queuing.hand_size));
        if level.in_use >= level.current && level.queues.length(queue) as i64 >= queuing.length_limit {
            self.refuse(&parked, Reason::QueueFull, None, now);
            return Entry::Refused;
        }
        let limit = level.current;
        let noted = parked.clone();
        level.queues.push(queue, seats, parked, limit, now);
        let length = level.queues.length(queue);
        self.known[schema as usize].tally.queued(seats, length);
        self.press(&noted, None, now);
        Entry::Waits
    }

    /// A request gets its seats.
    fn begin(&mut self, (schema, index): (u32, u32), seats: i64, queue: Option<u32>, waited: Duration, now: Time) -> Ticket {
        self.known[schema as usize].tally.begins(seats, queue.map(|_| waited));
        let level = &mut self.levels[index as usize];
        level.in_use += seats;
        level.executing += 1;
        level.dispatched += 1;
        if self.measures {
            level.note_demand(now);
        }
        Ticket { schema, level: index, seats, queue, since: now }
    }

    /// A request that began before anything was told apart.
    pub fn adopt(&mut self, schema: u32, now: Time) -> Ticket {
        self.begin((schema, self.known[schema as usize].level), 1, None, Duration::ZERO, now)
    }

    /// A request has been answered. True: somebody waits for its seats.
    pub fn done(&mut self, ticket: Ticket, is_watch: bool, now: Time) -> bool {
        let took = now.since(ticket.since);
        self.known[ticket.schema as usize].tally.ends(ticket.seats, took, is_watch);
        let level = &mut self.levels[ticket.level as usize];
        level.in_use -= ticket.seats;
        level.executing -= 1;
        if let Some(queue) = ticket.queue {
            level.queues.done(queue, ticket.seats, took, level.current, now);
        }
        if self.measures {
            level.note_demand(now);
        }
        level.queues.waiting() > 0
    }

    /// The next request that gets a seat, if any can.
    pub fn next(&mut self, now: Time) -> Option<(Parked, Ticket, Time)> {
        for index in 0..self.levels.len() {
            let level = &mut self.levels[index];
            if level.queues.waiting() == 0 || level.in_use >= level.current {
                continue;
            }
            let Some((queue, seats)) = level.queues.next().filter(|(_, seats)| level.fits(*seats)) else { continue };
            let limit = level.current;
            let Some(first) = level.queues.pop(queue, limit, now) else { continue };
            let parked = first.item;
            let ticket = self.begin((parked.schema, parked.level), seats, Some(queue), now.since(first.since), now);
            return Some((parked, ticket, first.since));
        }
        None
    }

    fn refuse(&mut self, parked: &Parked, reason: Reason, since: Option<Time>, now: Time) {
        self.known[parked.schema as usize].tally.refused(reason, since.map(|s| now.since(s)));
        self.levels[parked.level as usize].refused[reason as usize] += 1;
        self.press(parked, Some(reason), now);
    }

    /// Notes who finds no seat: for the page, and for the next sharing out.
    fn press(&mut self, parked: &Parked, refused: Option<Reason>, now: Time) {
        self.pressed = true;
        let known = &self.known[parked.schema as usize];
        let level = &mut self.levels[parked.level as usize];
        if self.measures {
            level.note_demand(now);
        }
        level.watched_until = now + PERIOD;
        let refusal = refused.map(|reason| Refusal {
            msg: parked.msg,
            schema: known.schema.name.clone(),
            level: level.name.clone(),
            flow: parked.flow.clone(),
            user: parked.user.name.clone(),
            reason,
            seats: level.current,
            waiting: level.queues.waiting(),
        });
        self.culprits.pressed(parked, &known.schema.name, &level.name, refusal, now);
    }

    /// Those whose wait has been too long: they are refused.
    pub fn overdue(&mut self, now: Time) -> Vec<Parked> {
        self.take_out(Reason::TimeOut, now, |since, _| now.since(since) >= WAIT_LIMIT)
    }

    /// Those whose client has gone away (`stream`: of this call only).
    pub fn cancel(&mut self, client: Addr, stream: Option<StreamId>, now: Time) {
        self.take_out(Reason::Cancelled, now, |_, p| p.client == client && stream.is_none_or(|s| s == p.stream));
    }

    fn take_out(&mut self, reason: Reason, now: Time, meant: impl Fn(Time, &Parked) -> bool) -> Vec<Parked> {
        let mut out = Vec::new();
        for index in 0..self.levels.len() {
            if self.levels[index].queues.waiting() == 0 {
                continue;
            }
            for waiting in self.levels[index].queues.take_out(|w| meant(w.since, &w.item)) {
                self.known[waiting.item.schema as usize].tally.leaves_queue(waiting.seats);
                self.refuse(&waiting.item, reason, Some(waiting.since), now);
                out.push(waiting.item);
            }
        }
        out
    }

    /// How many requests wait in all levels.
    pub fn waiting(&self) -> i64 {
        self.levels.iter().map(|l| l.queues.waiting()).sum()
    }

    /// When the first wait will have been too long.
    pub fn deadline(&self) -> Option<Time> {
        self.levels.iter().filter_map(|l| l.queues.oldest()).min().map(|at| at + WAIT_LIMIT)
    }

    /// Demand is measured from now on.
    pub fn measure(&mut self, now: Time) {
        self.measures = true;
        for level in &mut self.levels {
            level.demand = Demand::default();
            level.note_demand(now);
        }
    }

    /// Shares the seats out anew, after a period. False: nobody had to wait, so all is as it was and nothing is measured any more.
    pub fn share_out(&mut self, now: Time) -> bool {
        self.levels.iter_mut().for_each(|l| l.demand.close(now));
        if !std::mem::take(&mut self.pressed) && self.waiting() == 0 {
            self.measures = false;
            self.levels.iter_mut().for_each(|l| l.current = l.limits.nominal);
            self.fair_fraction = 1.0;
            return false;
        }
        let highs: Vec<f64> = self.levels.iter_mut().map(|l| l.demand.take_high()).collect();
        let nominal: i64 = self.levels.iter().filter(|l| l.live).map(|l| l.limits.nominal).sum();
        let (mut left, mut places, mut claims) = (nominal as f64, Vec::new(), Vec::new());
        for (index, level) in self.levels.iter().enumerate().filter(|(_, l)| l.live) {
            if level.spec.exempt {
                // Nobody limits it: what it used is gone.
                left -= highs[index];
                continue;
            }
            let lower = (level.limits.lower as f64).max((level.limits.nominal as f64).min(highs[index]));
            claims.push(Claim { lower, upper: level.limits.upper as f64, target: lower.max(level.demand.smoothed) });
            places.push(index);
        }
        let (seats, fraction) = level::share_out(left.max(0.0), &claims);
        self.fair_fraction = fraction;
        for (place, seats) in places.into_iter().zip(seats) {
            self.levels[place].current = seats;
        }
        true
    }

    /// Who was throttled lately.
    pub fn recent(&self) -> &Vector<Refusal> {
        self.culprits.refusals()
    }
}
