//! Compares a flow with its recording, and the differences with the list of those that are known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::request::Asked;

/// What came of one flow.
#[derive(Default)]
pub struct Figures {
    pub equal: usize,
    pub missing: usize,
    pub extra: usize,
}

/// Requests of which a moment more or less makes one more or one less, as several changes are told in one write: none at all is a
/// difference, and many more than recorded.
fn is_coalesced(key: &str) -> bool {
    let status = key.contains("/status | ") || key.contains("/status?");
    let pod_read = key.starts_with("kubelet | get /api/v1/namespaces/default/pods/");
    let endpoints = key.contains(" | update ") && (key.contains("/endpoints/") || key.contains("/endpointslices/"));
    status || pod_read || endpoints || key.contains(" | update /apis/coordination.k8s.io/")
}

fn counts(asked: &[Asked]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for a in asked {
        *counts.entry(a.key()).or_insert(0) += 1;
    }
    counts
}

/// The differences of a flow, as lines of the list: `-` is missing, `+` is there but was not recorded.
pub fn compare(recorded: &[Asked], ours: &[Asked], report: &mut String) -> (Figures, Vec<String>) {
    let (want, got) = (counts(recorded), counts(ours));
    let keys: BTreeSet<&String> = want.keys().chain(got.keys()).collect();
    let (mut figures, mut differences) = (Figures::default(), Vec::new());
    for key in keys {
        let (w, g) = (want.get(key).copied().unwrap_or(0), got.get(key).copied().unwrap_or(0));
        let mark = match (w == g, is_coalesced(key)) {
            (true, _) => ' ',
            (false, true) => '~',
            (false, false) => '!',
        };
        let _ = writeln!(report, "  {w:>3} {g:>3} {mark} {key}");
        figures.equal += w.min(g);
        figures.missing += w.saturating_sub(g);
        figures.extra += g.saturating_sub(w);
        let near = g > 0 && g <= w + w.div_ceil(4);
        let (w, g) = if is_coalesced(key) && near { (w, w) } else { (w, g) };
        if w != g {
            differences.push(format!("{} {} {key}", if w > g { '-' } else { '+' }, w.abs_diff(g)));
        }
    }
    (figures, differences)
}

/// The list of known differences: by line `FLOW: SIGN COUNT REQUEST # why`.
pub struct Known {
    head: String,
    reasons: BTreeMap<String, String>,
}

impl Known {
    pub fn parse(text: &str) -> Known {
        let head: String = text.lines().take_while(|l| l.starts_with('#') || l.is_empty()).map(|l| format!("{l}\n")).collect();
        let lines = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        let reasons = lines.map(|line| {
            let (difference, why) = line.split_once(" # ").unwrap_or((line, ""));
            (difference.trim().to_string(), why.trim().to_string())
        });
        Known { head, reasons: reasons.collect() }
    }

    /// The list as it should be; reasons stay.
    pub fn rewritten(&self, found: &[String]) -> String {
        let why = |difference: &String| self.reasons.get(difference).cloned().unwrap_or_default();
        found.iter().fold(self.head.clone(), |text, d| text + &format!("{d} # {}\n", why(d)))
    }

    /// What is new, what no longer is, and what nobody has explained.
    pub fn judge(&self, found: &[String]) -> Vec<String> {
        let new = found.iter().filter(|d| !self.reasons.contains_key(*d)).map(|d| format!("new: {d}"));
        let gone = self.reasons.keys().filter(|d| !found.contains(d)).map(|d| format!("no longer so, strike it off: {d}"));
        let bare = self.reasons.iter().filter(|(_, why)| why.is_empty()).map(|(d, _)| format!("without a reason: {d}"));
        new.chain(gone).chain(bare).collect()
    }
}
