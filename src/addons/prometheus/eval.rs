//! PromQL, evaluated. Models `promql/engine.go`: an expression at a moment, or at every step of a range.

use std::rc::Rc;

use base::{Map, Sort as _};

use super::ast::{Aggregate, AggregateOp, Binary, BinaryOp, Expr, Group, Matching, Selector};
use super::functions::{Function, Run, bucket_quantile, compare, quantile};
use super::labels::{Labels, NAME, Pattern};
use super::tsdb::{Point, Tsdb, is_stale, within};

/// How old a sample may be to stand for now.
const LOOKBACK_MS: i64 = 300_000;
/// `--query.max-samples`, of a bottle.
const MOST_SAMPLES: usize = 1_000_000;
/// Steps of a range query at most.
const MOST_STEPS: i64 = 11_000;

/// A series' labels and its value now.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub value: f64,
}

#[derive(Clone, Debug)]
pub enum Value {
    Scalar(f64),
    Text(Rc<str>),
    Vector(Vec<Sample>),
    /// Only as the whole answer to a range selector.
    Matrix(Vec<(Labels, Vec<Point>)>),
}

/// Evaluates at a moment (milliseconds). The number says how many samples were looked at.
pub fn instant(expr: &Expr, db: &Tsdb, at_ms: i64) -> Result<(Value, usize), String> {
    let mut eval = Eval { db, at: at_ms, looked: 0 };
    let value = match expr {
        Expr::Range(selector, range) => Value::Matrix(eval.range(selector, *range)?.0),
        other => eval.value(other)?,
    };
    Ok((value, eval.looked))
}

/// Evaluates at every step.
pub fn range(expr: &Expr, db: &Tsdb, (start, end, step): (i64, i64, i64)) -> Result<(Vec<(Labels, Vec<Point>)>, usize), String> {
    if (end - start) / step.max(1) > MOST_STEPS {
        return Err(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)".into(),
        );
    }
    let mut series: Map<Labels, Vec<Point>> = Map::new();
    let mut eval = Eval { db, at: start, looked: 0 };
    while eval.at <= end {
        let samples = match eval.value(expr)? {
            Value::Scalar(value) => vec![Sample { labels: Labels::default(), value }],
            Value::Vector(samples) => samples,
            Value::Text(_) | Value::Matrix(_) => {
                return Err("invalid expression type for range query, must be Scalar or instant Vector".into());
            }
        };
        for sample in samples {
            let point = (eval.at, sample.value);
            match series.get_mut(&sample.labels) {
                Some(points) => points.push(point),
                None => {
                    series.insert(sample.labels, vec![point]);
                }
            }
        }
        eval.at += step.max(1);
    }
    Ok((series.into_iter().collect(), eval.looked))
}

struct Eval<'a> {
    db: &'a Tsdb,
    at: i64,
    looked: usize,
}

impl Eval<'_> {
    fn look(&mut self, samples: usize) -> Result<(), String> {
        self.looked += samples;
        if self.looked > MOST_SAMPLES {
            return Err("query processing would load too many samples into memory in query execution".into());
        }
        Ok(())
    }

    fn value(&mut self, expr: &Expr) -> Result<Value, String> {
        Ok(match expr {
            Expr::Number(n) => Value::Scalar(*n),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Selector(selector) => Value::Vector(self.select(selector)?.into_iter().map(|(s, _)| s).collect()),
            Expr::Range(..) => return Err("a range vector has no value at one moment".into()),
            Expr::Paren(inner) => self.value(inner)?,
            Expr::Negated(inner) => match self.value(inner)? {
                Value::Scalar(n) => Value::Scalar(-n),
                Value::Vector(samples) => Value::Vector(each(samples, |v| -v)),
                other => other,
            },
            Expr::Call(function, arguments) => self.call(function, arguments)?,
            Expr::Aggregate(a) => Value::Vector(self.aggregate(a)?),
            Expr::Binary(b) => self.binary(b)?,
        })
    }

    fn vector(&mut self, expr: &Expr) -> Result<Vec<Sample>, String> {
        match self.value(expr)? {
            Value::Vector(samples) => Ok(samples),
            _ => Ok(Vec::new()),
        }
    }
    fn scalar(&mut self, expr: &Expr) -> Result<f64, String> {
        match self.value(expr)? {
            Value::Scalar(n) => Ok(n),
            _ => Ok(f64::NAN),
        }
    }
    fn text(&mut self, expr: &Expr) -> Result<Rc<str>, String> {
        match self.value(expr)? {
            Value::Text(text) => Ok(text),
            _ => Ok("".into()),
        }
    }

    /// The newest sample of each series that a selector lets through, and its time.
    fn select(&mut self, selector: &Selector) -> Result<Vec<(Sample, i64)>, String> {
        let at = self.at - selector.offset_ms;
        let db = self.db;
        let mut found = Vec::new();
        for (labels, points) in db.select(&selector.matchers) {
            self.look(1)?;
            // Mostly it is the last one.
            let last = match points.back() {
                Some(point) if point.0 <= at => Some(*point),
                _ => within(points, at - LOOKBACK_MS, at).last().copied(),
            };
            if let Some((time, value)) = last.filter(|(time, value)| *time > at - LOOKBACK_MS && !is_stale(*value)) {
                found.push((Sample { labels: labels.clone(), value }, time));
            }
        }
        Ok(found)
    }

    /// The points of each series in a range, and the range's ends.
    fn range(&mut self, selector: &Selector, range: i64) -> Result<(Vec<(Labels, Vec<Point>)>, (i64, i64)), String> {
        let end = self.at - selector.offset_ms;
        let (db, ends) = (self.db, (end - range, end));
        let mut found = Vec::new();
        for (labels, points) in db.select(&selector.matchers) {
            let mut inside = within(points, ends.0, ends.1);
            self.look(inside.len() + 1)?;
            inside.retain(|(_, v)| !is_stale(*v));
            if !inside.is_empty() {
                found.push((labels.clone(), inside));
            }
        }
        Ok((found, ends))
    }

    fn call(&mut self, function: &Function, arguments: &[Expr]) -> Result<Value, String> {
        match function.run {
            Run::OverRange(compute) => {
                let (mut parameter, mut result) = (0.0, Vec::new());
                for argument in arguments {
                    match argument {
                        Expr::Range(selector, range) => {
                            let (series, ends) = self.range(selector, *range)?;
                            for (labels, points) in series {
                                if let Some(value) = compute(&points, ends, parameter) {
                                    let labels = if function.name == "last_over_time" { labels } else { labels.nameless() };
                                    result.push(Sample { labels, value });
                                }
                            }
                        }
                        other => parameter = self.scalar(other)?,
                    }
                }
                Ok(Value::Vector(result))
            }
            Run::Each(compute) => {
                let samples = self.vector(&arguments[0])?;
                let mut scalars = Vec::new();
                for argument in &arguments[1..] {
                    scalars.push(self.scalar(argument)?);
                }
                Ok(Value::Vector(each(samples, |v| compute(v, &scalars))))
            }
            Run::Special => self.special(function.name, arguments),
        }
    }

    fn special(&mut self, name: &str, arguments: &[Expr]) -> Result<Value, String> {
        let at_s = self.at as f64 / 1000.0;
        Ok(match name {
            "time" => Value::Scalar(at_s),
            "vector" => {
                let value = self.scalar(&arguments[0])?;
                Value::Vector(vec![Sample { labels: Labels::default(), value }])
            }
            "scalar" => match self.vector(&arguments[0])?.as_slice() {
                [one] => Value::Scalar(one.value),
                _ => Value::Scalar(f64::NAN),
            },
            "absent" => {
                let found = self.vector(&arguments[0])?;
                let labels = match &arguments[0] {
                    Expr::Selector(s) => {
                        let equal = s.matchers.iter().filter(|m| matches!(m.op, super::labels::Op::Equal) && &*m.name != NAME);
                        Labels::new(equal.map(|m| (m.name.clone(), m.value.clone())))
                    }
                    _ => Labels::default(),
                };
                Value::Vector(if found.is_empty() { vec![Sample { labels, value: 1.0 }] } else { Vec::new() })
            }
            "timestamp" => match &arguments[0] {
                Expr::Selector(selector) => {
                    let found = self.select(selector)?.into_iter();
                    Value::Vector(
                        found.map(|(s, at)| Sample { labels: s.labels.nameless(), value: at as f64 / 1000.0 }).collect(),
                    )
                }
                other => Value::Vector(each(self.vector(other)?, |_| at_s)),
            },
            "sort" | "sort_desc" => {
                let mut samples = self.vector(&arguments[0])?;
                match name {
                    "sort" => samples.order_by(|a, b| compare(a.value, b.value)),
                    _ => samples.order_by(|a, b| compare(b.value, a.value)),
                }
                Value::Vector(samples)
            }
            "histogram_quantile" => {
                let q = self.scalar(&arguments[0])?;
                Value::Vector(histogram_quantile(q, self.vector(&arguments[1])?))
            }
            "label_replace" => {
                let samples = self.vector(&arguments[0])?;
                let (to, template) = (self.text(&arguments[1])?, self.text(&arguments[2])?);
                let (from, pattern) = (self.text(&arguments[3])?, self.text(&arguments[4])?);
                let pattern =
                    Pattern::new(&pattern).map_err(|e| format!("invalid regular expression in label_replace(): {e}"))?;
                let replaced = samples.into_iter().map(|s| match pattern.expand(s.labels.value(&from), &template) {
                    Some(value) => Sample { labels: s.labels.with(&to, &value), ..s },
                    None => s,
                });
                Value::Vector(distinct(replaced.collect())?)
            }
            other => return Err(format!("function {other:?} is not in this bottle")),
        })
    }

    fn aggregate(&mut self, a: &Aggregate) -> Result<Vec<Sample>, String> {
        let samples = self.vector(&a.of)?;
        let (mut number, mut label) = (f64::NAN, Rc::<str>::from(""));
        if let Some(parameter) = &a.parameter {
            match self.value(parameter)? {
                Value::Scalar(n) => number = n,
                Value::Text(text) => label = text,
                _ => {}
            }
        }
        let key = |labels: &Labels| match a.without {
            true => labels.nameless().without(&a.labels),
            false => labels.only(&a.labels),
        };
        let mut groups: Map<Labels, Vec<Sample>> = Map::new();
        for sample in samples {
            let key = key(&sample.labels);
            match groups.get_mut(&key) {
                Some(group) => group.push(sample),
                None => {
                    groups.insert(key, vec![sample]);
                }
            }
        }
        let mut result = Vec::new();
        for (labels, mut group) in groups {
            let values = || group.iter().map(|s| s.value);
            let n = group.len() as f64;
            let value = match a.op {
                AggregateOp::Sum => values().sum(),
                AggregateOp::Avg => values().sum::<f64>() / n,
                AggregateOp::Min => values().reduce(f64::min).unwrap_or(f64::NAN),
                AggregateOp::Max => values().reduce(f64::max).unwrap_or(f64::NAN),
                AggregateOp::Count => n,
                AggregateOp::Group => 1.0,
                AggregateOp::Stddev => {
                    let mean = values().sum::<f64>() / n;
                    (values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt()
                }
                AggregateOp::Quantile => quantile(number, values().collect()),
                AggregateOp::Topk | AggregateOp::Bottomk => {
                    match a.op {
                        AggregateOp::Topk => group.order_by(|a, b| compare(b.value, a.value)),
                        _ => group.order_by(|a, b| compare(a.value, b.value)),
                    }
                    let keep = if number >= 1.0 { number.min(1e6) as usize } else { 0 };
                    result.extend(group.into_iter().take(keep));
                    continue;
                }
                AggregateOp::CountValues => {
                    let mut counts: Map<String, f64> = Map::new();
                    for v in values() {
                        let text = super::show_number(v);
                        let n = counts.get(&text).copied().unwrap_or(0.0);
                        counts.insert(text, n + 1.0);
                    }
                    result.extend(counts.iter().map(|(v, n)| Sample { labels: labels.with(&label, v), value: *n }));
                    continue;
                }
            };
            result.push(Sample { labels, value });
        }
        Ok(result)
    }

    fn binary(&mut self, b: &Binary) -> Result<Value, String> {
        let (left, right) = (self.value(&b.left)?, self.value(&b.right)?);
        Ok(match (left, right) {
            (Value::Scalar(l), Value::Scalar(r)) => Value::Scalar(match compute(b.op, l, r) {
                Computed::Value(v) => v,
                Computed::Truth(t) => f64::from(u8::from(t)),
            }),
            (Value::Vector(samples), Value::Scalar(r)) => Value::Vector(with_scalar(b, samples, |v| (v, r))),
            (Value::Scalar(l), Value::Vector(samples)) => Value::Vector(with_scalar(b, samples, |v| (l, v))),
            (Value::Vector(l), Value::Vector(r)) if b.op.is_set() => Value::Vector(set_operation(b, l, r)),
            (Value::Vector(l), Value::Vector(r)) => Value::Vector(vectors(b, l, r)?),
            _ => return Err("binary expression must contain only scalar and instant vector types".into()),
        })
    }
}

fn each(samples: Vec<Sample>, compute: impl Fn(f64) -> f64) -> Vec<Sample> {
    samples.into_iter().map(|s| Sample { labels: s.labels.nameless(), value: compute(s.value) }).collect()
}

fn distinct(samples: Vec<Sample>) -> Result<Vec<Sample>, String> {
    let mut seen = base::Set::new();
    match samples.iter().all(|s| seen.insert(s.labels.clone())) {
        true => Ok(samples),
        false => Err("vector cannot contain metrics with the same labelset".into()),
    }
}

enum Computed {
    Value(f64),
    Truth(bool),
}

fn compute(op: BinaryOp, l: f64, r: f64) -> Computed {
    use BinaryOp::*;
    match op {
        Add => Computed::Value(l + r),
        Sub => Computed::Value(l - r),
        Mul => Computed::Value(l * r),
        Div => Computed::Value(l / r),
        Mod => Computed::Value(l % r),
        Pow => Computed::Value(power(l, r)),
        Equal => Computed::Truth(l == r),
        NotEqual => Computed::Truth(l != r),
        Less => Computed::Truth(l < r),
        LessEqual => Computed::Truth(l <= r),
        Greater => Computed::Truth(l > r),
        GreaterEqual => Computed::Truth(l >= r),
        And | Or | Unless => Computed::Value(f64::NAN),
    }
}

/// Whole exponents by multiplication: platforms differ in the last digit of `powf`. Others are not computed.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent == 0.5 {
        return base.sqrt();
    }
    if exponent.fract() != 0.0 || exponent.abs() > 1024.0 {
        return f64::NAN;
    }
    let mut result = 1.0;
    for _ in 0..exponent.abs() as u32 {
        result *= base;
    }
    if exponent < 0.0 { 1.0 / result } else { result }
}

fn with_scalar(b: &Binary, samples: Vec<Sample>, sides: impl Fn(f64) -> (f64, f64)) -> Vec<Sample> {
    let one = |s: Sample| {
        let (l, r) = sides(s.value);
        Some(match compute(b.op, l, r) {
            Computed::Value(value) => Sample { labels: s.labels.nameless(), value },
            Computed::Truth(t) if b.truth => Sample { labels: s.labels.nameless(), value: f64::from(u8::from(t)) },
            Computed::Truth(true) => s,
            Computed::Truth(false) => return None,
        })
    };
    samples.into_iter().filter_map(one).collect()
}

/// The labels by which two sides find each other.
fn signature(matching: &Matching, labels: &Labels) -> Labels {
    match matching.on {
        true => labels.only(&matching.labels),
        false => labels.nameless().without(&matching.labels),
    }
}

fn set_operation(b: &Binary, left: Vec<Sample>, right: Vec<Sample>) -> Vec<Sample> {
    let signatures =
        |samples: &[Sample]| -> base::Set<Labels> { samples.iter().map(|s| signature(&b.matching, &s.labels)).collect() };
    match b.op {
        BinaryOp::Or => {
            let there = signatures(&left);
            let more = right.into_iter().filter(|s| !there.contains(&signature(&b.matching, &s.labels)));
            left.into_iter().chain(more.collect::<Vec<_>>()).collect()
        }
        op => {
            let there = signatures(&right);
            let wanted = op == BinaryOp::And;
            left.into_iter().filter(|s| there.contains(&signature(&b.matching, &s.labels)) == wanted).collect()
        }
    }
}

/// Arithmetic and comparison between vectors. Models `VectorBinop`.
fn vectors(b: &Binary, left: Vec<Sample>, right: Vec<Sample>) -> Result<Vec<Sample>, String> {
    let many_right = b.matching.group == Group::Right;
    let (many, one) = if many_right { (right, left) } else { (left, right) };
    let mut ones: Map<Labels, Sample> = Map::new();
    for sample in one {
        let key = signature(&b.matching, &sample.labels);
        if let Some(other) = ones.get(&key) {
            let side = if many_right { "left" } else { "right" };
            return Err(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                key.show(),
                sample.labels.show(),
                other.labels.show()
            ));
        }
        ones.insert(key, sample);
    }
    let mut taken: Map<Labels, bool> = Map::new();
    let mut result = Vec::new();
    for sample in many {
        let key = signature(&b.matching, &sample.labels);
        let Some(other) = ones.get(&key) else { continue };
        let (l, r) = if many_right { (other.value, sample.value) } else { (sample.value, other.value) };
        let value = match compute(b.op, l, r) {
            Computed::Value(v) => v,
            Computed::Truth(t) if b.truth => f64::from(u8::from(t)),
            Computed::Truth(true) => sample.value,
            Computed::Truth(false) => continue,
        };
        let keeps_name = b.op.is_comparison() && !b.truth;
        let own = if keeps_name { sample.labels.clone() } else { sample.labels.nameless() };
        let labels = match b.matching.group {
            Group::None if b.matching.on => own.only(&b.matching.labels),
            Group::None => own.without(&b.matching.labels),
            _ => b.matching.include.iter().fold(own, |labels, name| labels.with(name, other.labels.value(name))),
        };
        if b.matching.group == Group::None && taken.insert(key, true).is_some() {
            return Err("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".into());
        }
        result.push(Sample { labels, value });
    }
    match b.matching.group {
        Group::None => Ok(result),
        _ => distinct(result).map_err(|_| "multiple matches for labels: grouping labels must ensure unique matches".into()),
    }
}

fn histogram_quantile(q: f64, samples: Vec<Sample>) -> Vec<Sample> {
    let le: Rc<str> = "le".into();
    let mut groups: Map<Labels, Vec<(f64, f64)>> = Map::new();
    for sample in samples {
        let Some(bound) = sample.labels.get("le").and_then(|le| crate::exposition::number(le)) else { continue };
        let key = sample.labels.nameless().without(std::slice::from_ref(&le));
        match groups.get_mut(&key) {
            Some(buckets) => buckets.push((bound, sample.value)),
            None => {
                groups.insert(key, vec![(bound, sample.value)]);
            }
        }
    }
    groups.into_iter().map(|(labels, buckets)| Sample { labels, value: bucket_quantile(q, buckets) }).collect()
}
