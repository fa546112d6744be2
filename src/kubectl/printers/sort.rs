//! `--sort-by`. Models `kubectl/pkg/cmd/get/sorter.go`.

use base::Sort as _;
use std::cmp::Ordering;

use apimachinery::{Quantity, Value};

use super::jsonpath::{Template, relaxed};

/// The order of `objects` by a field. Missing values come first.
pub(crate) fn order(objects: &[&Value], field: &str) -> Result<Vec<usize>, String> {
    let field = relaxed(field)?;
    let template = Template::parse(&field).map_err(|e| format!("error parsing jsonpath {field}, {e}"))?.allow_missing(true);
    let mut keys: Vec<Option<Value>> = Vec::with_capacity(objects.len());
    for object in objects {
        keys.push(template.find(object)?.into_iter().flatten().next());
    }
    if !objects.is_empty() && keys.iter().all(Option::is_none) {
        return Err(format!("couldn't find any field with path {field:?} in the list of objects"));
    }
    let mut order: Vec<usize> = (0..objects.len()).collect();
    order.order_by(|a, b| match (&keys[*a], &keys[*b]) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(a), Some(b)) => compare(a, b),
    });
    Ok(order)
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Int(a), Value::Float(b)) => (*a as f64).total_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.total_cmp(&(*b as f64)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => match (Quantity::parse(a), Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => natural(a, b),
        },
        _ => Ordering::Equal,
    }
}

/// Digits compare as numbers: `pod-2` before `pod-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let digits = |t: &[u8]| t.iter().take_while(|c| c.is_ascii_digit()).count();
            let (na, nb) = (digits(a), digits(b));
            let strip = |t: &[u8]| t.iter().position(|c| *c != b'0').map_or(Vec::new(), |i| t[i..].to_vec());
            let (va, vb) = (strip(&a[..na]), strip(&b[..nb]));
            match va.len().cmp(&vb.len()).then(va.cmp(&vb)) {
                Ordering::Equal => (a, b) = (&a[na..], &b[nb..]),
                other => return other,
            }
        } else if x != y {
            return x.cmp(y);
        } else {
            (a, b) = (&a[1..], &b[1..]);
        }
    }
    a.len().cmp(&b.len())
}
