//! What must come before what: the causes that a flow has, as data.
//!
//! A line of `causes.txt` is `CAUSE => EFFECT` (the n-th effect comes after the n-th cause) or `CAUSE -> EFFECT` (the first effect
//! comes after the first cause). With `!` at its end the bottle's trace must show of each effect (or of the first) that a message
//! of a cause led to it, step by step. A side is `WHO VERB PATH`; `*` stands for one part of a path. `in FLOW …` and `not in FLOW …` say
//! where the lines below hold, if both sides occur.

use crate::request::Asked;

/// One line.
pub struct Constraint {
    pub text: String,
    flows: Vec<String>,
    only: bool,
    each: bool,
    traced: bool,
    cause: Pattern,
    effect: Pattern,
}

struct Pattern {
    who: String,
    verb: String,
    path: Vec<String>,
}

impl Pattern {
    fn parse(text: &str) -> Pattern {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [who, verb, path] = words[..] else { panic!("not WHO VERB PATH: {text}") };
        Pattern { who: who.into(), verb: verb.into(), path: path.split('/').map(str::to_string).collect() }
    }

    fn matches(&self, asked: &Asked) -> bool {
        // A controller is called by its own name.
        let who = asked.who.split_once(" (").map_or(&*asked.who, |(_, name)| name.trim_end_matches(')'));
        let path: Vec<&str> = asked.uri.split('?').next().unwrap_or_default().split('/').collect();
        let same = |(want, got): (&String, &&str)| want == "*" || want == *got;
        // From the end: the group, version and namespace go without saying.
        let tail = path.len().checked_sub(self.path.len()).map(|skip| &path[skip..]);
        who == self.who && asked.verb == self.verb && tail.is_some_and(|tail| self.path.iter().zip(tail).all(same))
    }
}

pub fn parse(text: &str) -> Vec<Constraint> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let (mut flows, mut only) = (Vec::new(), false);
    let constraint = |line: &str| {
        let named = |list: &str| list.split_whitespace().map(str::to_string).collect();
        if let Some(list) = line.strip_prefix("not in ") {
            (flows, only) = (named(list), false);
            return None;
        }
        if let Some(list) = line.strip_prefix("in ") {
            (flows, only) = (named(list), true);
            return None;
        }
        let (each, sides) = match line.split_once("=>") {
            Some(sides) => (true, sides),
            None => (false, line.split_once("->").unwrap_or_else(|| panic!("neither => nor ->: {line}"))),
        };
        let (cause, effect) = (Pattern::parse(sides.0), Pattern::parse(sides.1.trim_end_matches('!')));
        Some(Constraint { text: line.into(), flows: flows.clone(), only, each, traced: line.ends_with('!'), cause, effect })
    };
    lines.filter_map(constraint).collect()
}

impl Constraint {
    pub fn is_for(&self, flow: &str) -> bool {
        self.flows.iter().any(|f| f == flow) == self.only
    }

    /// The places of causes and of effects among requests in order of arrival.
    pub fn places(&self, asked: &[Asked]) -> (Vec<usize>, Vec<usize>) {
        let places = |pattern: &Pattern| (0..asked.len()).filter(|i| pattern.matches(&asked[*i])).collect::<Vec<usize>>();
        (places(&self.cause), places(&self.effect))
    }

    /// The places of effects of which the trace does not show that a cause led to them.
    pub fn without_cause(&self, asked: &[Asked], led_to: impl Fn(usize, usize) -> bool) -> Vec<usize> {
        let (causes, mut effects) = self.places(asked);
        effects.truncate(if self.each { usize::MAX } else { 1 });
        effects.retain(|effect| self.traced && !causes.is_empty() && !causes.iter().any(|cause| led_to(*cause, *effect)));
        effects
    }

    /// `None`: the flow lacks one of the two.
    pub fn holds(&self, asked: &[Asked]) -> Option<bool> {
        let (causes, effects) = self.places(asked);
        let (first, last) = (causes.first()?, effects.first()?);
        let each = |(n, effect): (usize, &usize)| causes.iter().filter(|c| *c < effect).count() > n.min(causes.len() - 1);
        Some(if self.each { effects.iter().enumerate().all(each) } else { first < last })
    }
}
