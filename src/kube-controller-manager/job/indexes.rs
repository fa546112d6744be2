//! Completion indexes: `0-2,5`, which are done, which are free. Models `indexed_job_utils.go`.

use base::{Set, Sort as _};

use super::{INDEX, View};
use apimachinery::Object;
use client_go::pods;

/// The index of a pod of an indexed job.
pub fn of(pod: &Object) -> Option<i64> {
    pod.annotation(INDEX)?.parse().ok()
}

/// From `0-2,5`: those below `below` (an elastic job may have had more).
pub fn parse(text: &str, below: i64) -> Set<i64> {
    let mut set = Set::default();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
            (first..=last.min(below - 1)).for_each(|index| {
                set.insert(index);
            });
        }
    }
    set
}

/// To `0-2,5`. Two neighbours are written with a comma, as upstream does.
pub fn format(set: &Set<i64>) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut run: Option<(i64, i64)> = None;
    let mut close = |run: (i64, i64)| match run.1 - run.0 {
        0 => parts.push(run.0.to_string()),
        1 => parts.push(format!("{},{}", run.0, run.1)),
        _ => parts.push(format!("{}-{}", run.0, run.1)),
    };
    for index in set {
        run = match run {
            Some((first, last)) if last + 1 == *index => Some((first, *index)),
            Some(done) => {
                close(done);
                Some((*index, *index))
            }
            None => Some((*index, *index)),
        };
    }
    if let Some(done) = run {
        close(done);
    }
    parts.join(",")
}

pub fn completions(view: &View) -> i64 {
    view.spec_int("completions").unwrap_or(0)
}

/// Active pods whose index the job no longer has, or that another active pod has too. Models
/// `appendDuplicatedIndexPodsForRemoval`.
pub fn surplus(view: &View) -> Vec<Object> {
    let mut active: Vec<&Object> = view.active().collect();
    active.order_by_key(|pod| (of(pod), pod.creation_timestamp(), pod.name().to_string()));
    let mut last = None;
    let is_surplus = |pod: &&&Object| {
        let index = of(pod).filter(|index| *index < completions(view));
        let again = index.is_none() || last == index;
        last = index;
        again
    };
    active.iter().filter(is_surplus).map(|pod| (**pod).clone()).collect()
}

/// Indexes that have succeeded, also those noted but not yet counted.
pub fn succeeded(view: &View) -> Set<i64> {
    let completions = completions(view);
    let mut set = parse(view.status.str_at(&["completedIndexes"]).unwrap_or(""), completions);
    for pod in view.pods.iter().filter(|pod| pods::phase(pod) == "Succeeded" && super::has_finalizer(pod)) {
        if let Some(index) = of(pod).filter(|index| *index < completions) {
            set.insert(index);
        }
    }
    set
}

/// The lowest `n` indexes that have neither succeeded, nor failed for good, nor an active pod.
pub fn free(view: &View, n: i64) -> Vec<i64> {
    let mut done = succeeded(view);
    done.extend(super::per_index::failed(view));
    let active: Set<i64> = view.active().filter_map(of).collect();
    let all = 0..completions(view);
    all.filter(|index| !done.contains(index) && !active.contains(index)).take(n as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_as_upstream_does() {
        for text in ["", "0", "0,1", "0-2", "0-2,5", "1,3-7,9,10"] {
            assert_eq!(format(&parse(text, 100)), text);
        }
        assert_eq!(format(&parse("0-99999999999", 3)), "0-2");
    }
}
