//! How jq 1.7 reads and prints numbers: a literal keeps its digits until it is calculated with, a double is printed with the
//! fewest digits that give it back. Left out: digits of literals with an exponent.

use std::rc::Rc;

use super::value::Json;

/// Reads a number's text (JSON's grammar, and what jq also takes: leading zeros, `.5`, `5.`).
pub fn parse(text: &str) -> Option<Json> {
    let body = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let exponent_is_good = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 || !exponent_is_good {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if exponent.is_some() || !value.is_finite() {
        return Some(Json::Number(value));
    }
    let written = canonical(text.starts_with('-'), whole, fraction);
    let same = written == print(value);
    Some(if same { Json::Number(value) } else { Json::Literal(Rc::new((value, written))) })
}

/// The decimal number with all its digits, and one before the point.
fn canonical(negative: bool, whole: &str, fraction: &str) -> String {
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        kept => kept,
    };
    let (sign, point) = (if negative { "-" } else { "" }, if fraction.is_empty() { "" } else { "." });
    format!("{sign}{whole}{point}{fraction}")
}

/// A double as jq prints it. What isn't finite becomes the largest number, nan becomes null.
pub fn print(value: f64) -> String {
    if value.is_nan() {
        return "null".into();
    }
    let value = value.clamp(f64::MIN, f64::MAX);
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.into();
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("Rust's {:e} has an exponent");
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let point = exponent.parse::<i32>().expect("Rust's exponent is a number") + 1;
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", place(&digits, point))
}

/// Sets the decimal point after `point` digits, in one of the forms of jq's `jvp_dtoa_fmt`.
fn place(digits: &str, point: i32) -> String {
    let count = digits.len() as i32;
    if point <= -4 || point > count + 15 {
        let rest = if count > 1 { format!(".{}", &digits[1..]) } else { String::new() };
        let exponent = point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}{rest}e{sign}{:02}", &digits[..1], exponent.abs());
    }
    if point <= 0 {
        return format!("0.{}{digits}", "0".repeat(-point as usize));
    }
    if point >= count {
        return format!("{digits}{}", "0".repeat((point - count) as usize));
    }
    format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
}
