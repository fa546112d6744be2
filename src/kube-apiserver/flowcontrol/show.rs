//! What flow control shows of itself: `/metrics`, the dumps below `/debug/api_priority_and_fairness`, and what the page asks.
//!
//! Families that upstream has and this hasn't: `current_r`, `dispatch_r`, `latest_s`, the bounds of S, the utilization and
//! `read_vs_write` histograms, `watch_count_samples`, `demand_seats` as a histogram.

use std::fmt::Write;
use std::rc::Rc;

use apimachinery::Request;
use base::{Duration, Sort as _, Time};
use sim::MsgId;

use super::culprit::{Culprit, Refusal};
use super::state::{Known, Level, Reason, State};
use super::tally::{Histogram, LENGTHS, SEATS, TIMES, Tally};
use crate::server::ApiServer;

const PREFIX: &str = "apiserver_flowcontrol_";
/// For how long the page shows a flow that found no seat.
const RECENT: Duration = Duration::from_secs(60);

/// A priority level, as it is.
#[derive(Clone, Debug)]
pub struct LevelSeen {
    pub name: Rc<str>,
    pub exempt: bool,
    pub nominal: i64,
    /// Seats that it has now: more or fewer than nominal if it borrows or lends.
    pub seats: i64,
    pub in_use: i64,
    pub waiting: i64,
    pub executed: u64,
    pub refused: u64,
}

impl ApiServer {
    /// The priority levels; empty as long as requests are not told apart.
    pub fn priority_levels(&self) -> Vec<LevelSeen> {
        let levels = self.flow.state.iter().flat_map(|s| s.levels.iter().filter(|l| l.live || !l.is_idle()));
        let seen = levels.map(|l| LevelSeen {
            name: l.name.clone(),
            exempt: l.spec.exempt,
            nominal: l.limits.nominal,
            seats: l.current,
            in_use: l.in_use,
            waiting: l.queues.waiting(),
            executed: l.dispatched,
            refused: l.refused.iter().sum(),
        });
        let mut seen: Vec<LevelSeen> = seen.collect();
        seen.order_by(|a, b| a.name.cmp(&b.name));
        seen
    }

    /// Flows that found no seat in the last minute, those with most such requests first.
    pub fn throttled(&self, now: Time) -> Vec<&Culprit> {
        self.flow.state.as_ref().map(|s| s.culprits.flows(now, RECENT)).unwrap_or_default()
    }

    /// Why a request was answered with 429, if that was lately.
    pub fn refusal(&self, id: MsgId) -> Option<&Refusal> {
        self.flow.state.as_ref()?.recent().iter().rev().find(|r| r.msg == id)
    }

    /// The UIDs of the schema and level of a request, for the headers of its answer. Nobody, for streams that last.
    pub fn flow_of(&self, request: &Request, now: Time) -> Option<(Rc<str>, Rc<str>)> {
        let user = match self.admit_user(request, now) {
            Ok(user) if !super::lasts(request) && self.knows_flows() => user,
            _ => return None,
        };
        // While nobody is told apart, the objects are read for this only, once.
        let read = || {
            let mut state = State::new(0);
            state.configure(self.all(super::flow_schemas(), ""), self.all(super::priority_levels(), ""));
            Rc::new(state)
        };
        let state = self.flow.state.clone().unwrap_or_else(|| self.flow.asleep.get_or((), read));
        let known = &state.known[self.schema_in(&state, &user, request) as usize];
        Some((known.schema.uid.clone(), state.levels[known.level as usize].uid.clone()))
    }

    /// Answers a dump.
    pub(crate) fn dump_flows(&self, path: &str) -> Option<String> {
        let state = self.flow.state.as_ref()?;
        match path.strip_prefix("/debug/api_priority_and_fairness/")? {
            "dump_priority_levels" => Some(levels_dump(state)),
            "dump_queues" => Some(queues_dump(state)),
            "dump_requests" => Some(requests_dump(state)),
            _ => None,
        }
    }

    /// The families of `/metrics`.
    pub(crate) fn flow_metrics(&self, out: &mut String) {
        let Some(state) = &self.flow.state else { return };
        of_levels(state, out);
        of_schemas(state, out);
    }
}

fn sorted_levels(state: &State) -> Vec<&Level> {
    let mut levels: Vec<&Level> = state.levels.iter().filter(|l| l.live || !l.is_idle()).collect();
    levels.order_by(|a, b| a.name.cmp(&b.name));
    levels
}

/// Columns filled up with blanks behind the commas. Models Go's `tabwriter` as the dumps use it.
fn columns(rows: &[Vec<String>]) -> String {
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count() + 2).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            match i + 1 == row.len() {
                true => out.push_str(cell),
                false => {
                    let _ = write!(out, "{:<width$}", format!("{cell},"), width = widths[i]);
                }
            }
        }
        out.push('\n');
    }
    out
}

fn row(cells: &[&dyn std::fmt::Display]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

fn levels_dump(state: &State) -> String {
    let mut rows = vec![row(&[
        &"PriorityLevelName",
        &"ActiveQueues",
        &"IsIdle",
        &"IsQuiescing",
        &"WaitingRequests",
        &"ExecutingRequests",
        &"DispatchedRequests",
        &"RejectedRequests",
        &"TimedoutRequests",
        &"CancelledRequests",
    ])];
    for l in sorted_levels(state) {
        let refused = |reason: Reason| l.refused[reason as usize];
        rows.push(row(&[
            &l.name,
            &l.queues.active(),
            &l.is_idle(),
            &!l.live,
            &l.queues.waiting(),
            &l.executing,
            &l.dispatched,
            &(refused(Reason::QueueFull) + refused(Reason::ConcurrencyLimit)),
            &refused(Reason::TimeOut),
            &refused(Reason::Cancelled),
        ]));
    }
    columns(&rows)
}

/// Only queues that hold or execute something: a level may have ten million.
fn queues_dump(state: &State) -> String {
    let mut rows =
        vec![row(&[&"PriorityLevelName", &"Index", &"PendingRequests", &"ExecutingRequests", &"SeatsInUse", &"InitialSeatsSum"])];
    for l in sorted_levels(state) {
        for q in l.queues.each() {
            rows.push(row(&[&l.name, &q.queue, &q.waiting, &q.executing, &q.seats_in_use, &q.seats_waiting]));
        }
    }
    columns(&rows)
}

fn requests_dump(state: &State) -> String {
    let mut rows = vec![row(&[
        &"PriorityLevelName",
        &"FlowSchemaName",
        &"QueueIndex",
        &"RequestIndexInQueue",
        &"FlowDistingsher",
        &"ArriveTime",
        &"InitialSeats",
        &"UserName",
        &"Verb",
        &"APIPath",
    ])];
    for l in sorted_levels(state) {
        for (queue, index, w) in l.queues.iter() {
            let p = &w.item;
            rows.push(row(&[
                &l.name,
                &state.known[p.schema as usize].schema.name,
                &queue,
                &index,
                &p.flow,
                &w.since.rfc3339_nano(),
                &w.seats,
                &p.user.name,
                &p.request.verb.as_str(),
                &p.request.url_path(),
            ]));
        }
    }
    columns(&rows)
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
}

fn of_levels(state: &State, out: &mut String) {
    type Get = fn(&Level) -> f64;
    let families: [(&str, &str, Get); 9] = [
        ("current_limit_seats", "[ALPHA] seats that the level may use now", |l| l.current as f64),
        ("demand_seats_average", "[ALPHA] time-weighted average of seats wanted over the last period", |l| l.demand.average),
        ("demand_seats_high_watermark", "[ALPHA] most seats wanted in the last period", |l| l.demand.high),
        ("demand_seats_smoothed", "[ALPHA] smoothed demand for seats", |l| l.demand.smoothed),
        ("demand_seats_stdev", "[ALPHA] standard deviation of the seats wanted over the last period", |l| l.demand.deviation),
        ("lower_limit_seats", "[ALPHA] fewest seats that the level can be left with", |l| l.limits.lower as f64),
        ("nominal_limit_seats", "[BETA] seats that follow from the level's shares", |l| l.limits.nominal as f64),
        ("target_seats", "[ALPHA] seats that the level should have by its demand", |l| {
            l.demand.smoothed.max(l.limits.lower as f64)
        }),
        ("upper_limit_seats", "[ALPHA] most seats that the level can have", |l| l.limits.upper as f64),
    ];
    let levels: Vec<&Level> = sorted_levels(state).into_iter().filter(|l| l.live).collect();
    for (name, help, get) in families {
        head(out, name, "gauge", help);
        for l in &levels {
            let _ = writeln!(out, "{PREFIX}{name}{{priority_level=\"{}\"}} {}", l.name, get(l));
        }
    }
    head(out, "seat_fair_frac", "gauge", "[ALPHA] the common multiple of demand at the last sharing out");
    let _ = writeln!(out, "{PREFIX}seat_fair_frac {}", state.fair_fraction);
}

fn sorted_schemas(state: &State) -> Vec<(&Known, String)> {
    let mut all: Vec<&Known> = state.known.iter().filter(|k| k.live).collect();
    all.order_by(|a, b| a.schema.name.cmp(&b.schema.name));
    let labels =
        |k: &Known| format!("flow_schema=\"{}\",priority_level=\"{}\"", k.schema.name, state.levels[k.level as usize].name);
    all.into_iter().map(|k| (k, labels(k))).collect()
}

fn of_schemas(state: &State, out: &mut String) {
    type Get = fn(&Tally) -> i64;
    let families: [(&str, &str, &str, Get); 5] = [
        ("current_executing_requests", "gauge", "[BETA] requests being executed, without the opening of watches", |t| {
            t.executing
        }),
        ("current_executing_seats", "gauge", "[BETA] seats in use", |t| t.seats),
        ("current_inqueue_requests", "gauge", "[BETA] requests that wait in a queue", |t| t.waiting),
        ("current_inqueue_seats", "gauge", "[ALPHA] seats of the requests that wait", |t| t.seats_waiting),
        ("dispatched_requests_total", "counter", "[BETA] requests that got a seat", |t| t.dispatched as i64),
    ];
    let schemas: Vec<(&Known, String)> = sorted_schemas(state).into_iter().filter(|(k, _)| k.tally.was_used()).collect();
    for (name, kind, help, get) in families {
        head(out, name, kind, help);
        for (k, labels) in &schemas {
            let _ = writeln!(out, "{PREFIX}{name}{{{labels}}} {}", get(&k.tally));
        }
    }
    let name = "rejected_requests_total";
    let refused = |k: &Known, reason: Reason| k.tally.refused[reason as usize];
    if schemas.iter().any(|(k, _)| Reason::ALL.iter().any(|r| refused(k, *r) > 0)) {
        head(out, name, "counter", "[BETA] requests that got no seat");
        for (k, labels) in &schemas {
            for reason in Reason::ALL.into_iter().filter(|r| refused(k, *r) > 0) {
                let _ = writeln!(out, "{PREFIX}{name}{{{labels},reason=\"{}\"}} {}", reason.as_str(), refused(k, reason));
            }
        }
    }
    times(out, "request_wait_duration_seconds", "[BETA] how long requests waited for a seat", &schemas, |t| {
        [("execute=\"false\",", "", &t.waited_in_vain), ("execute=\"true\",", "", &t.waited)]
    });
    times(out, "request_execution_seconds", "[ALPHA] how long requests had their seats", &schemas, |t| {
        [("", ",type=\"regular\"", &t.regular), ("", ",type=\"watch\"", &t.watches)]
    });
    head(out, "request_queue_length_after_enqueue", "histogram", "[ALPHA] length of the queue behind a request that joined it");
    for (k, labels) in schemas.iter().filter(|(k, _)| !k.tally.lengths.is_empty()) {
        series(out, "request_queue_length_after_enqueue", labels, &LENGTHS, &k.tally.lengths, 1.0);
    }
    head(out, "work_estimated_seats", "histogram", "[ALPHA] seats that requests were thought to need");
    for (k, labels) in &schemas {
        series(out, "work_estimated_seats", labels, &SEATS, &k.tally.widths, 1.0);
    }
}

type Split<'a> = [(&'static str, &'static str, &'a Histogram<13>); 2];

fn times(out: &mut String, name: &str, help: &str, schemas: &[(&Known, String)], split: impl Fn(&Tally) -> Split<'_>) {
    head(out, name, "histogram", help);
    for (k, labels) in schemas {
        for (before, after, histogram) in split(&k.tally) {
            if !histogram.is_empty() {
                series(out, name, &format!("{before}{labels}{after}"), &TIMES, histogram, 1e6);
            }
        }
    }
}

/// One histogram: cumulative buckets, sum, count. `unit`: what a bound is divided by.
fn series<const N: usize>(out: &mut String, name: &str, labels: &str, bounds: &[i64; N], h: &Histogram<N>, unit: f64) {
    let mut total = 0;
    for (bound, n) in bounds.iter().zip(h.counts) {
        total += n;
        let _ = writeln!(out, "{PREFIX}{name}_bucket{{{labels},le=\"{}\"}} {total}", *bound as f64 / unit);
    }
    total += h.above;
    let _ = writeln!(out, "{PREFIX}{name}_bucket{{{labels},le=\"+Inf\"}} {total}");
    let _ = writeln!(out, "{PREFIX}{name}_sum{{{labels}}} {}", h.sum as f64 / unit);
    let _ = writeln!(out, "{PREFIX}{name}_count{{{labels}}} {total}");
}
