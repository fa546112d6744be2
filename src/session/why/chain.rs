//! Who made an object what it is: the changes of its key in etcd's log, each with the request behind it, and from the first of them
//! back by the causes in the trace, up to what the user did.

use apimachinery::Object;
use base::Duration;
use cluster::{Bottle, EntrySeen, Input, Record};
use cri_api::host::HostMessage;
use protocol::{Span, Thing, WhyStep};
use sim::{Addr, MsgId, Payload};

use super::{about, as_it_is, fact, step};
use crate::{message, observe};

/// Links followed at most.
const MAX_LINKS: usize = 400;
/// Changes of the object that are told, and requests before its creation.
const MAX_CHANGES: usize = 5;
const MAX_REQUESTS: usize = 4;
/// A timer that waited longer begins a chain of its own: what set it long ago is not why.
const LONGEST_LINK: Duration = Duration::from_millis(2_500);

/// Who changed an object, newest first, and because of what it was made in the first place.
pub(super) fn of_object(bottle: &Bottle, object: &Object) -> Vec<WhyStep> {
    let Some(changes) = changes(bottle, object) else { return Vec::new() };
    let mut steps: Vec<WhyStep> = Vec::new();
    let requests: Vec<(&EntrySeen, &Record)> =
        changes.iter().filter_map(|e| Some((e, bottle.trace().get(MsgId(e.cause))?))).collect();
    for (i, (entry, record)) in requests.iter().take(MAX_CHANGES).enumerate() {
        let word = match (entry.version, i) {
            (1, _) => "Created: ",
            (_, 0) => "Changed last: ",
            _ => "Before: ",
        };
        steps.push(told(bottle, record, word, &format!("revision {}", entry.revision)));
    }
    if requests.len() > MAX_CHANGES {
        let n = requests.len() - MAX_CHANGES;
        steps.push(fact(format!("… and {n} changes before"), "etcd's log"));
    }
    // The oldest change that is known leads on, by the causes.
    if let Some((_, oldest)) = requests.last() {
        steps.extend(behind(bottle, oldest));
    }
    steps
}

/// One request as a step; it opens its message.
fn told(bottle: &Bottle, record: &Record, word: &str, detail: &str) -> WhyStep {
    let from = observe::title_of(bottle.head(), record.message.from);
    let text =
        vec![Span::plain(word), Span::bold(from), Span::plain(" sent "), Span::code(message::caption(bottle.head(), record))];
    let t = record.message.sent.rfc3339_micro();
    about(step(text, format!("{} · {detail}", t.get(11..23).unwrap_or(""))), Thing::Message { id: record.message.id.0 })
}

/// The entries of an object's key in etcd's log, newest first.
fn changes(bottle: &Bottle, object: &Object) -> Option<Vec<EntrySeen>> {
    let store = bottle.shown().etcd_member()?.store();
    let revision = object.revision();
    let ends = format!("/{}", object.name());
    let mut entries = store.changes_from(revision).take_while(|e| e.revision == revision);
    let key = entries.find(|e| e.key.ends_with(&ends)).map(|e| e.key.clone())?;
    Some(store.history(&key, 40))
}

/// What led to a request: the requests above it in the chain of causes, and what set off the first of them.
fn behind(bottle: &Bottle, record: &Record) -> Vec<WhyStep> {
    let mut steps = Vec::new();
    let mut left_out = 0;
    let mut root = record;
    for _ in 0..MAX_LINKS {
        let Some(above) = bottle.trace().get(root.message.cause) else { break };
        root = above;
        let timer = matches!(above.message.payload, Payload::Timer(_));
        if timer && above.arrives.since(above.message.sent) > LONGEST_LINK {
            break;
        }
        if matches!(&above.message.payload, Payload::ApiRequest { .. }) {
            match steps.len() < MAX_REQUESTS {
                true => steps.push(told(bottle, above, "because of ", "its cause")),
                false => left_out += 1,
            }
        }
    }
    if left_out > 0 {
        steps.push(fact(format!("… {left_out} requests before that …"), "each was caused by the one before"));
    }
    if let Some(text) = origin(bottle, root) {
        steps.push(as_it_is(fact(text, "where the chain begins")));
    }
    steps
}

/// What begins a chain: an input of the user, a timer, a start.
fn origin(bottle: &Bottle, root: &Record) -> Option<String> {
    let name = observe::title_of(bottle.head(), root.message.to);
    match &root.message.payload {
        Payload::Host(m) if root.message.from == Addr::OUTSIDE => Some(match &**m {
            HostMessage::TtyInput { .. } => "You typed it into a terminal".into(),
            HostMessage::RunJob { argv, .. } => format!("You had {} run", argv.join(" ").chars().take(80).collect::<String>()),
            _ => "You did it".into(),
        }),
        Payload::Timer(_) => Some(format!("A timer of {name}: nothing outside set it off")),
        Payload::Start => Some(format!("{name} had just started")),
        _ => None,
    }
}

/// The last thing that the user did to one of these names (a machine, a process, a link's end), in words, with its time.
pub(super) fn last_input<'a>(bottle: &'a Bottle, names: &[&str]) -> Option<(&'a Input, String)> {
    let now = bottle.shown().now();
    let concerns = |input: &Input| match input {
        Input::PowerOff(n) | Input::PowerOn(n) | Input::Freeze(n) | Input::Thaw(n) | Input::Kill(n) => names.contains(&&**n),
        Input::Cut(a, b) | Input::Mend(a, b) | Input::Slow(a, b, _) => names.contains(&&**a) || names.contains(&&**b),
        _ => false,
    };
    let logged = bottle.log().iter().rev().filter(|i| i.at <= now).find(|i| concerns(&i.input))?;
    let (_, _, _, h, m, s) = logged.at.civil();
    let what = match &logged.input {
        Input::PowerOff(n) => format!("you switched {n} off"),
        Input::PowerOn(n) => format!("you switched {n} on"),
        Input::Freeze(n) => format!("you froze {n}"),
        Input::Thaw(n) => format!("you thawed {n}"),
        Input::Kill(n) => format!("you killed {n}"),
        Input::Cut(a, b) => format!("you cut the link of {a} and {b}"),
        Input::Mend(a, b) => format!("you mended the link of {a} and {b}"),
        Input::Slow(a, b, ms) => format!("you slowed the link of {a} and {b} by {ms} ms"),
        _ => return None,
    };
    Some((&logged.input, format!("At {h:02}:{m:02}:{s:02} {what}")))
}
