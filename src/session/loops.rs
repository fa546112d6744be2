//! The loops of the control plane, looked into: what waits in a controller's queue (or the scheduler's) and why, what it watched
//! last, what it planned and what came of that; and the debugger's buttons: hold, one step, release.

use apimachinery::{Gvk, Gvr, resources};
use cluster::{Bottle, Cluster, Fate, LoopView, PlanNote, QueueItem, Record};
use protocol::{Action, Cell, Glyph, Inspector, Line, MessageRef, Offer, Row, Section, SectionBody, Span, State, Thing, Tone};
use sim::{Addr, MsgId, Payload};

use crate::inspect::{as_it_is, reference};
use crate::message;
use crate::observe::{age, controller_title};
use crate::offers::offer;

/// Items of a queue that are shown.
const SHOWN_ITEMS: usize = 24;
const SHOWN_WATCHED: usize = 8;
/// Messages that are looked at for what a loop watched last.
const LOOKED_AT: usize = 4_000;
const SCHEDULER: &str = "kube-scheduler";

/// Fills in what one controller's panel shows. `title`: as on its chip. False: there is no such controller.
pub(crate) fn controller(bottle: &Bottle, addr: Addr, title: &str, inspector: &mut Inspector) -> bool {
    let cluster = bottle.shown();
    let Some(manager) = cluster.controller_manager() else { return false };
    let name = manager.view().iter().map(|v| v.name).find(|n| controller_title(n) == title);
    let Some(view) = name.and_then(|name| manager.loop_view(name, SHOWN_ITEMS)) else { return false };
    let busy = view.queue.waiting_count + view.running.len();
    (inspector.state, inspector.glyph) = match (view.is_held, busy) {
        (true, _) => (State::Off, Glyph::Cordoned),
        (_, 0) => (State::Ok, Glyph::Running),
        _ => (State::Active, Glyph::Starting),
    };
    inspector.title = view.name.into();
    inspector.subtitle = format!("a loop of kube-controller-manager{}", if view.is_held { " · held by you" } else { "" });
    let primary = view.watches.first().copied();
    let thing = |key: &str| primary.and_then(|gvr| object_of(cluster, gvr, key));
    inspector.sections =
        vec![controller_queue(bottle, &view, &thing), plans(bottle, &view.plans, &thing), watched(bottle, addr, &view.watches)];
    let next = view.queue.waiting.first().map(|item| item.key.to_string());
    inspector.offers = steering(view.name, view.is_held, next.as_deref());
    inspector.overview = Some(controller_rows(&view));
    true
}

fn controller_rows(view: &LoopView) -> Vec<Row> {
    let counts = &view.counts;
    let follows: Vec<String> = view.watches.iter().map(|gvr| gvr.resource.to_string()).collect();
    let mut rows = vec![
        as_it_is("Syncs", format!("{}, {} of them with nothing to do", counts.syncs, counts.idle)),
        as_it_is("Plans", format!("{} with {} calls, {} failures", counts.plans, counts.calls, counts.failures)),
        as_it_is("Workers", format!("{} at once", view.workers)),
        as_it_is("Follows", follows.join(", ")),
    ];
    if !view.account.is_empty() {
        rows.push(as_it_is("Speaks as", format!("system:serviceaccount:kube-system:{}", view.account)));
    }
    rows
}

/// What waits, what is being worked on, what comes later.
fn controller_queue(bottle: &Bottle, view: &LoopView, thing: &dyn Fn(&str) -> Option<Thing>) -> Section {
    let now = bottle.shown().now();
    let running = view.running.iter().map(|r| {
        let item = QueueItem { key: r.key.clone(), cause: r.cause, due: None, retries: 0 };
        let note = format!("{} of {} calls answered", r.answered, r.calls);
        cell(bottle, &item, State::Active, note, thing(&r.key))
    });
    let again = view.queue.again.iter().map(|i| cell(bottle, i, State::Pending, "again after this".into(), thing(&i.key)));
    let waiting = view.queue.waiting.iter().map(|i| cell(bottle, i, State::Pending, retried(i), thing(&i.key)));
    let delayed = view.queue.delayed.iter().map(|i| {
        let state = if i.retries > 0 { State::Starting } else { State::Idle };
        let due = i.due.map_or_else(String::new, |at| format!("in {}", age(at.since(now))));
        let note = [due, retried(i)].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" · ");
        cell(bottle, i, state, note, thing(&i.key))
    });
    let cells: Vec<Cell> = running.chain(again).chain(waiting).chain(delayed).collect();
    let text = match (view.running.len(), view.queue.waiting_count, view.queue.delayed_count) {
        (0, 0, 0) => "empty: nothing has changed that it cares for".to_string(),
        (running, waiting, delayed) => format!("{running} being worked on, {waiting} waiting, {delayed} due later"),
    };
    Section { title: "Queue".into(), note: vec![Span::dim(text)], body: SectionBody::Cells(cells) }
}

fn retried(item: &QueueItem) -> String {
    match item.retries {
        0 => String::new(),
        1 => "failed once".into(),
        n => format!("failed {n} times"),
    }
}

fn cell(bottle: &Bottle, item: &QueueItem, state: State, note: String, thing: Option<Thing>) -> Cell {
    let word = match state {
        State::Active => "being worked on",
        State::Pending => "waits",
        _ => "comes later",
    };
    let cause = bottle
        .trace()
        .get(item.cause)
        .map_or_else(String::new, |r| format!(", because of {}", message::caption(bottle.head(), r)));
    let aria = format!("{} {word}{}{note}{cause}", item.key, if note.is_empty() { "" } else { ": " });
    let thing = thing.or_else(|| bottle.trace().get(item.cause).map(|_| Thing::Message { id: item.cause.0 }));
    Cell { text: item.key.to_string(), note, state, thing, aria }
}

/// The object of a queue's key, if the keys are those of the loop's first resource and it exists.
fn object_of(cluster: &Cluster, gvr: Gvr, key: &str) -> Option<Thing> {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    cluster.api()?.object(gvr, namespace, name)?;
    Some(Thing::object(&gvr.group.to_string(), &gvr.resource.to_string(), namespace, name))
}

fn plans(bottle: &Bottle, plans: &[PlanNote], thing: &dyn Fn(&str) -> Option<Thing>) -> Section {
    let line = |plan: &PlanNote| {
        let (outcome, glyph) = match &plan.fate {
            Fate::UnderWay => (Span::toned("under way", Tone::Wait), Glyph::Starting),
            Fate::Done => (Span::toned(answered(plan.calls), Tone::Ok), Glyph::Done),
            Fate::Failed(why) if *why == plan.why => (Span::toned("failed", Tone::Bad), Glyph::Failing),
            Fate::Failed(why) => (Span::toned(why.to_string(), Tone::Bad), Glyph::Failing),
        };
        Line {
            at_us: plan.at.0,
            text: vec![Span::plain(plan.why.to_string())],
            outcome: vec![outcome],
            glyph,
            thing: thing(&plan.key),
            cause: cause(bottle, plan.cause),
        }
    };
    let note = if plans.is_empty() { "none so far" } else { "what it wanted, what it did, and what came of it; newest first" };
    let lines = plans.iter().rev().map(line).collect();
    Section { title: "Plans".into(), note: vec![Span::dim(note)], body: SectionBody::Lines(lines) }
}

fn answered(calls: usize) -> String {
    if calls == 1 { "1 call, answered".into() } else { format!("{calls} calls, all answered") }
}

fn cause(bottle: &Bottle, id: MsgId) -> Option<MessageRef> {
    bottle.trace().get(id).map(|r| reference(bottle.head(), r))
}

/// The newest watch events that reached a process, of the resources that a loop follows.
fn watched(bottle: &Bottle, addr: Addr, watches: &[Gvr]) -> Section {
    let now = bottle.shown().now();
    let follows = |object: &apimachinery::Object| {
        let gvk = Gvk::from_api_version(object.api_version(), object.kind());
        apimachinery::schema::resource_for_kind(gvk).is_some_and(|r| watches.contains(&r.gvr))
    };
    let mine = |r: &&Record| match &r.message.payload {
        Payload::WatchEvents { events, .. } => r.message.to == addr && events.iter().any(|e| follows(&e.object)),
        _ => false,
    };
    let past = bottle.trace().newest().skip_while(|r| r.arrives > now);
    let lines = past.take(LOOKED_AT).filter(mine).take(SHOWN_WATCHED).map(|r| Line {
        at_us: r.message.sent.0,
        text: vec![Span::toned(message::caption(bottle.head(), r), Tone::Watch)],
        thing: Some(Thing::Message { id: r.message.id.0 }),
        cause: cause(bottle, r.message.cause),
        ..Line::default()
    });
    let lines: Vec<Line> = lines.collect();
    let note = if lines.is_empty() { "nothing lately" } else { "by its watches on kube-apiserver; newest first" };
    Section { title: "Watched last".into(), note: vec![Span::dim(note)], body: SectionBody::Lines(lines) }
}

/// The plan that asked for a request, if it is among the last of a controller.
pub(crate) fn plan_behind(cluster: &Cluster, message: &sim::Message) -> Option<String> {
    let manager = cluster.controller_manager()?;
    let from = cluster.proc(message.from).filter(|p| p.component() == "kube-controller-manager");
    from.and_then(|_| {
        let plans = manager.view().into_iter().filter_map(|v| Some((v.name, manager.loop_view(v.name, 0)?.plans)));
        let mut found = plans.filter_map(|(name, plans)| {
            let plan = plans.iter().find(|p| p.calls > 0 && p.cause == message.cause && p.at == message.sent)?;
            Some(format!("{name}: {}", plan.why))
        });
        found.next()
    })
}

/// The debugger's buttons.
fn steering(name: &str, is_held: bool, next: Option<&str>) -> Vec<Offer> {
    let name = name.to_string();
    let hold = match is_held {
        true => offer(Action::ReleaseLoop { name: name.clone() }, "Release", "It works on by itself again", false),
        false => offer(
            Action::HoldLoop { name: name.clone() },
            "Hold",
            "As a debugger does: it takes nothing from its queue, which fills; what is under way goes on. A restart forgets it",
            false,
        ),
    };
    let hint =
        next.map_or_else(|| "Nothing waits in its queue".to_string(), |key| format!("Lets exactly one item through: {key}"));
    let mut step = offer(Action::StepLoop { name }, "Step one", &hint, false);
    step.disabled = match (is_held, next) {
        (false, _) => Some("Hold it first: it takes its items by itself".into()),
        (true, None) => Some("Nothing waits in its queue".into()),
        _ => None,
    };
    vec![hold, step]
}

/// All controllers as cells, busy ones first: the panel of kube-controller-manager.
pub(crate) fn all_controllers(cluster: &Cluster) -> Option<Section> {
    let mut views = cluster.controller_manager()?.view();
    views.sort_by_key(|v| (!v.is_held, v.waiting + v.in_process == 0, v.name));
    let cells = views.iter().map(|v| {
        let title = controller_title(v.name);
        let busy = v.waiting + v.in_process;
        let note = match (v.is_held, busy) {
            (true, n) => format!("held · {n}"),
            (false, 0) => String::new(),
            (false, n) => n.to_string(),
        };
        let state = if v.is_held { State::Off } else { [State::Idle, State::Active][usize::from(busy > 0)] };
        let aria = format!("{}: {} waiting, {} being worked on", v.name, v.waiting, v.in_process);
        let thing = Some(Thing::component(&format!("kube-controller-manager/{title}")));
        Cell { text: title.into(), note, state, thing, aria }
    });
    let note = "each a loop: it watches, compares what is with what should be, and asks for what is missing";
    Some(Section { title: "Controllers".into(), note: vec![Span::dim(note)], body: SectionBody::Cells(cells.collect()) })
}

/// Fills in what the scheduler's panel shows.
pub(crate) fn scheduler(bottle: &Bottle, addr: Addr, inspector: &mut Inspector) {
    let cluster = bottle.shown();
    let Some(scheduler) = cluster.scheduler() else { return };
    let now = cluster.now();
    let view = scheduler.queue_view(SHOWN_ITEMS);
    if view.is_held {
        (inspector.state, inspector.glyph) = (State::Off, Glyph::Cordoned);
        inspector.subtitle.push_str(" · held by you");
    }
    let pod = |key: &str| object_of(cluster, resources::pods(), key);
    let tried = |i: &QueueItem| match i.retries {
        0 => String::new(),
        1 => "tried once".to_string(),
        n => format!("tried {n} times"),
    };
    let active = view.active.iter().map(|i| cell(bottle, i, State::Pending, tried(i), pod(&i.key)));
    let backoff = view.backoff.iter().map(|i| {
        let due = i.due.map_or_else(String::new, |at| format!("in {} · ", age(at.since(now))));
        cell(bottle, i, State::Starting, format!("{due}{}", tried(i)), pod(&i.key))
    });
    let unschedulable = view.unschedulable.iter().map(|i| cell(bottle, i, State::Failing, tried(i), pod(&i.key)));
    let queue = |title: &str, count: usize, note: &str, cells: Vec<Cell>| Section {
        title: format!("{title} {count}"),
        note: vec![Span::dim(note)],
        body: SectionBody::Cells(cells),
    };
    let counts = view.counts;
    inspector.sections = vec![
        queue("Active", counts.active, "tried next, by priority and age", active.collect()),
        queue("Back-off", counts.backoff, "failed lately: 1 s, doubling to 10 s", backoff.collect()),
        queue(
            "Unschedulable",
            counts.unschedulable,
            "no node took them; an event that may help, or five minutes, bring them back",
            unschedulable.collect(),
        ),
        verdicts(bottle),
        watched(bottle, addr, &[resources::pods(), resources::nodes()]),
    ];
    let next = view.active.first().map(|i| i.key.to_string());
    let mut offers = steering(SCHEDULER, view.is_held, next.as_deref());
    offers.append(&mut inspector.offers);
    inspector.offers = offers;
    let mut rows = inspector.overview.take().unwrap_or_default();
    rows.push(as_it_is("Gated", counts.gated.to_string()));
    rows.push(as_it_is("Bound so far", scheduler.scheduled().to_string()));
    inspector.overview = Some(rows);
}

/// The last cycles: each pod and where it went, or why nowhere.
fn verdicts(bottle: &Bottle) -> Section {
    let cycles = bottle.shown().scheduler().map(|s| s.last_cycles()).unwrap_or_default();
    let lines = cycles.iter().map(|c| {
        let mut text = vec![Span::bold(c.pod.name.to_string())];
        let (outcome, glyph) = match &c.node {
            Some(node) => {
                text.extend([Span::plain(" → "), Span::bold(node.to_string())]);
                (Span::dim(c.text.clone()), Glyph::Done)
            }
            None => {
                text.push(Span::plain(" fits nowhere"));
                (Span::toned(c.text.clone(), Tone::Bad), Glyph::Failing)
            }
        };
        Line {
            at_us: c.at.0,
            text,
            outcome: vec![outcome],
            glyph,
            thing: Some(Thing::core("pods", &c.pod.namespace, &c.pod.name)),
            cause: cause(bottle, c.cause),
        }
    });
    let note = if cycles.is_empty() { "none so far" } else { "newest first" };
    let lines = lines.collect();
    Section { title: "Last verdicts".into(), note: vec![Span::dim(note)], body: SectionBody::Lines(lines) }
}
