//! Series in memory. A real Prometheus keeps a head block and blocks on disk; here all of it is a bounded head, as a value.
//!
//! Bounds: [`MOST_SERIES`] series, [`MOST_PER_SERIES`] samples each, and nothing older than the retention. What doesn't fit is
//! dropped and counted. Left out by name: blocks, a write-ahead log (a restart begins empty), exemplars, native histograms.

use std::rc::Rc;

use base::{Map, Set, Vector};

use super::labels::{Labels, Matcher, NAME, Op};

/// More series than this are refused.
pub const MOST_SERIES: usize = 20_000;
/// More samples of one series push the oldest out: an hour at one in fifteen seconds.
pub const MOST_PER_SERIES: usize = 240;

/// Says "the series ended here": a NaN of this bit pattern. (Upstream's is a signalling one, which not every platform keeps as it is.)
const STALE: u64 = 0x7ff8_0000_0000_0a02;

pub fn stale() -> f64 {
    f64::from_bits(STALE)
}
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE
}

/// Time in milliseconds and value.
pub type Point = (i64, f64);

/// The database. Clone is O(1).
#[derive(Clone, Default)]
pub struct Tsdb {
    series: Map<Labels, Vector<Point>>,
    by_name: Map<Rc<str>, Set<Labels>>,
    pub appended: u64,
    pub refused: u64,
}

impl Tsdb {
    /// Adds a sample. One that isn't newer than the last of its series is dropped, as upstream drops what is out of order.
    pub fn append(&mut self, labels: &Labels, at_ms: i64, value: f64) {
        let full = self.series.len() >= MOST_SERIES;
        match self.series.get_mut(labels) {
            Some(points) => {
                if points.back().is_some_and(|(last, _)| *last >= at_ms) {
                    return;
                }
                points.push_back((at_ms, value));
                if points.len() > MOST_PER_SERIES {
                    points.pop_front();
                }
            }
            None if full => {
                self.refused += 1;
                return;
            }
            None => {
                let mut points = Vector::new();
                points.push_back((at_ms, value));
                let name: Rc<str> = labels.value(NAME).into();
                if !self.by_name.contains_key(&name) {
                    self.by_name.insert(name.clone(), Set::new());
                }
                if let Some(of_name) = self.by_name.get_mut(&name) {
                    of_name.insert(labels.clone());
                }
                self.series.insert(labels.clone(), points);
            }
        }
        self.appended += 1;
    }

    /// Forgets series whose last sample is older than `before_ms`.
    pub fn forget(&mut self, before_ms: i64) {
        let old: Vec<Labels> =
            self.series.iter().filter(|(_, p)| p.back().is_none_or(|(at, _)| *at < before_ms)).map(|(l, _)| l.clone()).collect();
        for labels in old {
            self.series.remove(&labels);
            let name: Rc<str> = labels.value(NAME).into();
            let empty = match self.by_name.get_mut(&name) {
                Some(set) => {
                    set.remove(&labels);
                    set.is_empty()
                }
                None => false,
            };
            if empty {
                self.by_name.remove(&name);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// The series that all matchers let through. A matcher for the metric's name makes it cheap.
    pub fn select<'a>(&'a self, matchers: &'a [Matcher]) -> Box<dyn Iterator<Item = (&'a Labels, &'a Vector<Point>)> + 'a> {
        let name = matchers.iter().find(|m| &*m.name == NAME && matches!(m.op, Op::Equal));
        let all = move |labels: &Labels| matchers.iter().all(|m| m.matches(labels));
        match name {
            Some(name) => Box::new(
                self.by_name
                    .get(&name.value)
                    .into_iter()
                    .flat_map(|set| set.iter())
                    .filter(move |l| all(l))
                    .filter_map(|l| self.series.get(l).map(|p| (l, p))),
            ),
            None => Box::new(self.series.iter().filter(move |(l, _)| all(l))),
        }
    }

    /// All series' labels.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.series.keys()
    }
}

/// The points with `after < time <= until`.
pub fn within(points: &Vector<Point>, after: i64, until: i64) -> Vec<Point> {
    let index = |at: i64| {
        let (mut low, mut high) = (0, points.len());
        while low < high {
            let middle = (low + high) / 2;
            match points.get(middle) {
                Some((t, _)) if *t <= at => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    };
    points.range(index(after)..index(until).max(index(after))).copied().collect()
}
