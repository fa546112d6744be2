//! PromQL's functions: a table with their types, and what they compute. Models `promql/functions.go`.

use std::cmp::Ordering;

use super::ast::Kind;
use super::tsdb::Point;

/// A function of the language.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub takes: &'static [Kind],
    /// Arguments that must be there.
    pub least: usize,
    pub returns: Kind,
    pub run: Run,
}

/// How it is computed.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// Of a series' points in a range (begin, end in milliseconds), and the leading scalar if it takes one.
    OverRange(fn(&[Point], (i64, i64), f64) -> Option<f64>),
    /// Of each value, with the scalars that follow.
    Each(fn(f64, &[f64]) -> f64),
    /// Needs more than that: `eval.rs` knows it by its name.
    Special,
}

macro_rules! functions {
    ($($name:literal ($($kind:ident),*) $least:literal $returns:ident $run:expr;)*) => {
        pub static FUNCTIONS: &[Function] = &[$(Function {
            name: $name, takes: &[$(Kind::$kind),*], least: $least, returns: Kind::$returns, run: $run,
        }),*];
    };
}

functions! {
    "abs" (Vector) 1 Vector Run::Each(|v, _| v.abs());
    "absent" (Vector) 1 Vector Run::Special;
    "avg_over_time" (Matrix) 1 Vector Run::OverRange(|p, _, _| Some(sum(p) / p.len() as f64));
    "ceil" (Vector) 1 Vector Run::Each(|v, _| v.ceil());
    "changes" (Matrix) 1 Vector Run::OverRange(|p, _, _| Some(pairs(p).filter(|(a, b)| a.1 != b.1).count() as f64));
    "clamp" (Vector, Scalar, Scalar) 3 Vector Run::Each(|v, a| if a[0] > a[1] { f64::NAN } else { v.max(a[0]).min(a[1]) });
    "clamp_max" (Vector, Scalar) 2 Vector Run::Each(|v, a| v.min(a[0]));
    "clamp_min" (Vector, Scalar) 2 Vector Run::Each(|v, a| v.max(a[0]));
    "count_over_time" (Matrix) 1 Vector Run::OverRange(|p, _, _| Some(p.len() as f64));
    "delta" (Matrix) 1 Vector Run::OverRange(|p, r, _| extrapolated(p, r, false, false));
    "deriv" (Matrix) 1 Vector Run::OverRange(|p, _, _| slope(p));
    "floor" (Vector) 1 Vector Run::Each(|v, _| v.floor());
    "histogram_quantile" (Scalar, Vector) 2 Vector Run::Special;
    "idelta" (Matrix) 1 Vector Run::OverRange(|p, _, _| last_two(p).map(|(a, b)| b.1 - a.1));
    "increase" (Matrix) 1 Vector Run::OverRange(|p, r, _| extrapolated(p, r, true, false));
    "irate" (Matrix) 1 Vector Run::OverRange(|p, _, _| {
        last_two(p).map(|(a, b)| (if b.1 < a.1 { b.1 } else { b.1 - a.1 }) / ((b.0 - a.0) as f64 / 1000.0))
    });
    "label_replace" (Vector, Text, Text, Text, Text) 5 Vector Run::Special;
    "last_over_time" (Matrix) 1 Vector Run::OverRange(|p, _, _| p.last().map(|(_, v)| *v));
    "max_over_time" (Matrix) 1 Vector Run::OverRange(|p, _, _| p.iter().map(|(_, v)| *v).reduce(f64::max));
    "min_over_time" (Matrix) 1 Vector Run::OverRange(|p, _, _| p.iter().map(|(_, v)| *v).reduce(f64::min));
    "quantile_over_time" (Scalar, Matrix) 2 Vector Run::OverRange(|p, _, q| Some(quantile(q, p.iter().map(|(_, v)| *v).collect())));
    "rate" (Matrix) 1 Vector Run::OverRange(|p, r, _| extrapolated(p, r, true, true));
    "resets" (Matrix) 1 Vector Run::OverRange(|p, _, _| Some(pairs(p).filter(|(a, b)| b.1 < a.1).count() as f64));
    "round" (Vector, Scalar) 1 Vector Run::Each(|v, a| {
        let to = a.first().copied().unwrap_or(1.0);
        (v / to + 0.5).floor() * to
    });
    "scalar" (Vector) 1 Scalar Run::Special;
    "sgn" (Vector) 1 Vector Run::Each(|v, _| if v > 0.0 { 1.0 } else if v < 0.0 { -1.0 } else { v });
    "sort" (Vector) 1 Vector Run::Special;
    "sort_desc" (Vector) 1 Vector Run::Special;
    "sqrt" (Vector) 1 Vector Run::Each(|v, _| v.sqrt());
    "sum_over_time" (Matrix) 1 Vector Run::OverRange(|p, _, _| Some(sum(p)));
    "time" () 0 Scalar Run::Special;
    "timestamp" (Vector) 1 Vector Run::Special;
    "vector" (Scalar) 1 Vector Run::Special;
}

/// Functions of Prometheus that are not modelled: said by name.
pub fn exists_upstream(name: &str) -> bool {
    const OTHERS: &[&str] = &[
        "absent_over_time",
        "exp",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cos",
        "cosh",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "deg",
        "double_exponential_smoothing",
        "histogram_avg",
        "histogram_count",
        "histogram_fraction",
        "histogram_stddev",
        "histogram_stdvar",
        "histogram_sum",
        "holt_winters",
        "hour",
        "info",
        "label_join",
        "ln",
        "log10",
        "log2",
        "mad_over_time",
        "minute",
        "month",
        "pi",
        "predict_linear",
        "present_over_time",
        "rad",
        "sin",
        "sinh",
        "sort_by_label",
        "sort_by_label_desc",
        "stddev_over_time",
        "stdvar_over_time",
        "tan",
        "tanh",
        "ts_of_max_over_time",
        "ts_of_min_over_time",
        "year",
    ];
    OTHERS.contains(&name)
}

fn sum(points: &[Point]) -> f64 {
    points.iter().map(|(_, v)| *v).sum()
}

fn pairs(points: &[Point]) -> impl Iterator<Item = (&Point, &Point)> {
    points.iter().zip(points.iter().skip(1))
}

fn last_two(points: &[Point]) -> Option<(Point, Point)> {
    match points {
        [.., a, b] if b.0 > a.0 => Some((*a, *b)),
        _ => None,
    }
}

/// Least squares: change per second.
fn slope(points: &[Point]) -> Option<f64> {
    let (first, n) = (points.first()?.0, points.len() as f64);
    if points.len() < 2 {
        return None;
    }
    let (mut x, mut y, mut xy, mut xx) = (0.0, 0.0, 0.0, 0.0);
    for (at, v) in points {
        let t = (at - first) as f64 / 1000.0;
        (x, y, xy, xx) = (x + t, y + v, xy + t * v, xx + t * t);
    }
    Some((xy - x * y / n) / (xx - x * x / n))
}

/// `rate`, `increase` and `delta`: the difference between the first and the last point, stretched to the whole range where the
/// points come close to its ends. Models `extrapolatedRate`.
fn extrapolated(points: &[Point], (begin, end): (i64, i64), counter: bool, per_second: bool) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let mut difference = last.1 - first.1;
    if counter {
        // A counter that fell has begun anew.
        difference += pairs(points).filter(|(a, b)| b.1 < a.1).map(|(a, _)| a.1).sum::<f64>();
    }
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let sampled = seconds(last.0 - first.0);
    let between = sampled / (points.len() - 1) as f64;
    let (mut to_begin, mut to_end) = (seconds(first.0 - begin), seconds(end - last.0));
    let near = between * 1.1;
    if to_begin >= near {
        to_begin = between / 2.0;
    }
    if counter && difference > 0.0 && first.1 >= 0.0 {
        // It can't have been below zero before.
        to_begin = to_begin.min(sampled * (first.1 / difference));
    }
    if to_end >= near {
        to_end = between / 2.0;
    }
    let factor = (sampled + to_begin + to_end) / sampled;
    let whole = difference * factor;
    Some(if per_second { whole / seconds(end - begin) } else { whole })
}

/// The quantile of values, between two neighbours in proportion.
pub fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    use base::Sort as _;
    values.order_by(|a, b| compare(*a, *b));
    let rank = q * (values.len() - 1) as f64;
    let low = rank.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[low] * (1.0 - weight) + values[high] * weight
}

/// NaN sorts first, as upstream has it.
pub fn compare(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.total_cmp(&b),
    }
}

/// The quantile of a histogram: buckets by upper bound, cumulative. Models `bucketQuantile`.
pub fn bucket_quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    use base::Sort as _;
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.order_by(|a, b| compare(a.0, b.0));
    // Two series of one bound (after an aggregation) are one bucket.
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (bound, count) in buckets {
        match merged.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => merged.push((bound, count)),
        }
    }
    // A bucket can't hold less than the one below it.
    let mut most = 0.0f64;
    for (_, count) in &mut merged {
        most = most.max(*count);
        *count = most;
    }
    let Some(last) = merged.last().copied() else { return f64::NAN };
    if merged.len() < 2 || last.0 != f64::INFINITY || last.1 == 0.0 {
        return f64::NAN;
    }
    let rank = q * last.1;
    let at = merged.iter().position(|(_, count)| *count >= rank).unwrap_or(merged.len() - 1);
    if at == merged.len() - 1 {
        return merged[merged.len() - 2].0;
    }
    if at == 0 && merged[0].0 <= 0.0 {
        return merged[0].0;
    }
    let (begin, below) = if at == 0 { (0.0, 0.0) } else { merged[at - 1] };
    let (end, count) = merged[at];
    begin + (end - begin) * ((rank - below) / (count - below))
}
