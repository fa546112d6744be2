//! kube-apiserver, looked into: the seats of its priority levels, who waits for one, and who asks for more than his share.

use cluster::{Bottle, Cluster, Culprit, LevelSeen};
use protocol::{Bar, Glyph, Inspector, Line, Section, SectionBody, Span, Thing, Tone};

/// Sections of the component's panel.
pub(crate) fn sections(bottle: &Bottle, inspector: &mut Inspector) {
    let cluster = bottle.shown();
    let Some(api) = cluster.api() else { return };
    let levels = api.priority_levels();
    if levels.is_empty() {
        return;
    }
    inspector.sections.push(seats(&levels));
    let culprits = api.throttled(cluster.now());
    if !culprits.is_empty() {
        inspector.sections.push(throttled(cluster, &culprits));
    }
}

/// How full each level is.
fn seats(levels: &[LevelSeen]) -> Section {
    let bar = |l: &LevelSeen| {
        let mut value =
            if l.exempt { format!("{} in use, no limit", l.in_use) } else { format!("{} of {} in use", l.in_use, l.seats) };
        for (n, what) in [(l.waiting as u64, "wait"), (l.refused, "got 429")] {
            if n > 0 {
                value.push_str(&format!(" · {n} {what}"));
            }
        }
        let full = if l.exempt { 0.0 } else { l.in_use as f32 / l.seats.max(1) as f32 };
        Bar { label: l.name.to_string(), value, level: if l.waiting > 0 { 1.0 } else { full.clamp(0.0, 1.0) } }
    };
    let busy = |l: &&LevelSeen| l.executed > 0 || l.waiting > 0 || l.refused > 0;
    let note = "a request takes a seat of its priority level while it is worked on; who finds none waits, or gets 429";
    let bars = levels.iter().filter(busy).map(bar).collect();
    Section { title: "Priority and fairness".into(), note: vec![Span::dim(note)], body: SectionBody::Bars(bars) }
}

/// The flows that found no seat lately: who, and how often he asks.
fn throttled(cluster: &Cluster, culprits: &[&Culprit]) -> Section {
    let now = cluster.now();
    let line = |c: &&Culprit| {
        let text = vec![
            Span::code(c.user.name.to_string()),
            Span::plain(format!(" asks {} times a second; FlowSchema ", c.rate(now))),
            Span::bold(c.schema.to_string()),
            Span::plain(format!(", level {}", c.level)),
        ];
        Line {
            at_us: c.last.0,
            text,
            outcome: vec![Span::toned(outcome(c), if c.refused > 0 { Tone::Bad } else { Tone::Wait })],
            glyph: if c.refused > 0 { Glyph::Failing } else { Glyph::Starting },
            thing: whose(c),
            cause: None,
        }
    };
    let note = "who found no seat in the last minute, most such requests first";
    let lines = culprits.iter().map(line).collect();
    Section { title: "Throttled".into(), note: vec![Span::dim(note)], body: SectionBody::Lines(lines) }
}

/// `412 waited, 37 got 429`
pub(crate) fn outcome(c: &Culprit) -> String {
    match (c.waited, c.refused) {
        (waited, 0) => format!("{waited} waited"),
        (0, refused) => format!("{refused} got 429"),
        (waited, refused) => format!("{waited} waited, {refused} got 429"),
    }
}

/// The pod that a flow comes from, or its service account.
pub(crate) fn whose(c: &Culprit) -> Option<Thing> {
    if let Some((namespace, pod)) = c.pod() {
        return Some(Thing::core("pods", namespace, pod));
    }
    let (namespace, account) = c.user.name.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Thing::core("serviceaccounts", namespace, account))
}

/// One sentence for the overview of a pod or service account that is throttled.
pub(crate) fn told(cluster: &Cluster, c: &Culprit) -> String {
    format!("{}, {} a second; FlowSchema {}, level {}", outcome(c), c.rate(cluster.now()), c.schema, c.level)
}

/// The flows of a pod, or of a service account, that found no seat lately.
pub(crate) fn of_object<'a>(cluster: &'a Cluster, kind: &str, namespace: &str, name: &str) -> Vec<&'a Culprit> {
    let all = cluster.api().map(|api| api.throttled(cluster.now())).unwrap_or_default();
    let user = format!("system:serviceaccount:{namespace}:{name}");
    let meant = |c: &&Culprit| match kind {
        "Pod" => c.pod() == Some((namespace, name)),
        "ServiceAccount" => *c.user.name == *user,
        _ => false,
    };
    all.into_iter().filter(meant).collect()
}
