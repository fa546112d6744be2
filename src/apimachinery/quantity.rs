//! `resource.Quantity`: exact numbers with units (`1500m`, `1Gi`, `1e3`). Models `apimachinery/pkg/api/resource`.
//!
//! A number is `mantissa × 10^scale`; binary units are multiplied out and only remembered for printing. As upstream, nothing
//! below a nano exists (it is rounded away from zero), and printing is canonical. Left out: mantissas beyond 38 digits, which
//! saturate.

use std::cmp::Ordering;
use std::fmt;

use crate::value::Value;

/// How a quantity was written, hence how it prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// `m`, `k`, `M` …
    #[default]
    DecimalSi,
    /// `Ki`, `Mi` …
    BinarySi,
    /// `1e3`
    DecimalExponent,
}

/// An exact number with the way it prints. `==` and `<` compare the number only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    mantissa: i128,
    /// Power of ten, at least -9.
    scale: i32,
    format: Format,
}

pub const ERR_FORMAT_WRONG: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
pub const ERR_NUMERIC: &str = "unable to parse numeric part of quantity";
pub const ERR_SUFFIX: &str = "unable to parse quantity's suffix";

const NANO: i32 = -9;
/// Upstream caps binary quantities here.
const MAX_BINARY: i128 = i64::MAX as i128;

fn pow10(n: u32) -> i128 {
    10i128.checked_pow(n).unwrap_or(i128::MAX)
}

/// Divides rounding away from zero.
fn div_up(a: i128, b: i128) -> i128 {
    let q = a / b;
    if a % b == 0 { q } else { q + a.signum() }
}

enum Unit {
    Ten(i32, Format),
    Two(u32),
}

fn unit(suffix: &str) -> Option<Unit> {
    let si = |n| Some(Unit::Ten(n, Format::DecimalSi));
    match suffix {
        "" => si(0),
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => Some(Unit::Two(10)),
        "Mi" => Some(Unit::Two(20)),
        "Gi" => Some(Unit::Two(30)),
        "Ti" => Some(Unit::Two(40)),
        "Pi" => Some(Unit::Two(50)),
        "Ei" => Some(Unit::Two(60)),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            Some(Unit::Ten(exponent, Format::DecimalExponent))
        }
    }
}

/// Splits into sign and digits, fraction digits, suffix. The form only; models `parseQuantityString`.
fn split(text: &str) -> Result<(bool, &str, &str, &str), &'static str> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
        None => return Err(ERR_FORMAT_WRONG),
    };
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let n = digits(rest);
    let (whole, mut rest) = rest.split_at(n);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = after.split_at(digits(after));
    } else if whole.is_empty() {
        return Err(ERR_FORMAT_WRONG);
    }
    let letters = rest.bytes().take_while(|c| b"eEinumkKMGTP".contains(c)).count();
    let tail = rest[letters..].strip_prefix(['-', '+']).unwrap_or(&rest[letters..]);
    if digits(tail) != tail.len() {
        return Err(ERR_FORMAT_WRONG);
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(ERR_NUMERIC);
    }
    Ok((negative, whole, fraction, rest))
}

impl Quantity {
    pub const ZERO: Quantity = Quantity { mantissa: 0, scale: 0, format: Format::DecimalSi };

    /// The error is upstream's text.
    pub fn parse(text: &str) -> Result<Quantity, &'static str> {
        let (negative, whole, fraction, suffix) = split(text)?;
        let unit = unit(suffix).ok_or(ERR_SUFFIX)?;
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
        }
        if negative {
            mantissa = -mantissa;
        }
        let fraction_scale = -(fraction.len() as i32);
        let mut q = match unit {
            Unit::Ten(exponent, format) => Quantity { mantissa, scale: fraction_scale.saturating_add(exponent), format },
            Unit::Two(bits) => {
                Quantity { mantissa: mantissa.saturating_mul(1 << bits), scale: fraction_scale, format: Format::BinarySi }
            }
        };
        q.round_to_nano();
        if q.format == Format::BinarySi {
            if q.value_i128() > MAX_BINARY {
                (q.mantissa, q.scale) = (MAX_BINARY, 0);
            } else if q.mantissa > 0 && q < Quantity::new(1) {
                q.format = Format::DecimalSi;
            }
        }
        Ok(q)
    }

    /// From a JSON string or number.
    pub fn from_value(value: &Value) -> Result<Quantity, &'static str> {
        match value {
            Value::Str(s) => Quantity::parse(s.trim()),
            Value::Int(n) => Ok(Quantity::new(*n)),
            Value::Float(f) => Quantity::parse(&f.to_string()),
            Value::Null => Ok(Quantity::ZERO),
            _ => Err(ERR_FORMAT_WRONG),
        }
    }
    /// A whole number, printed in decimal units.
    pub const fn new(n: i64) -> Quantity {
        Quantity { mantissa: n as i128, scale: 0, format: Format::DecimalSi }
    }
    /// Thousandths (CPU), printed in decimal units.
    pub const fn milli(n: i64) -> Quantity {
        Quantity { mantissa: n as i128, scale: -3, format: Format::DecimalSi }
    }
    /// A whole number (bytes), printed in binary units.
    pub const fn binary(n: i64) -> Quantity {
        Quantity { mantissa: n as i128, scale: 0, format: Format::BinarySi }
    }
    pub fn format(&self) -> Format {
        self.format
    }
    pub fn with_format(mut self, format: Format) -> Quantity {
        self.format = format;
        self
    }

    /// Nothing below a nano: rounds away from zero.
    fn round_to_nano(&mut self) {
        if self.mantissa == 0 {
            self.scale = 0;
        } else if self.scale < NANO {
            self.mantissa = div_up(self.mantissa, pow10((NANO - self.scale).unsigned_abs()));
            self.scale = NANO;
        }
    }

    /// The number times `10^-scale`, rounded away from zero.
    fn scaled(&self, scale: i32) -> i128 {
        let shift = self.scale.saturating_sub(scale);
        match shift {
            0 => self.mantissa,
            1.. => self.mantissa.saturating_mul(pow10(shift.unsigned_abs())),
            _ => div_up(self.mantissa, pow10(shift.unsigned_abs())),
        }
    }
    fn value_i128(&self) -> i128 {
        self.scaled(0)
    }
    /// The number rounded up (away from zero) to a whole one; saturates.
    pub fn value(&self) -> i64 {
        clamp(self.scaled(0))
    }
    /// The number of thousandths, rounded up; saturates.
    pub fn milli_value(&self) -> i64 {
        clamp(self.scaled(-3))
    }
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }
    /// -1, 0 or 1.
    pub fn sign(&self) -> i64 {
        self.mantissa.signum() as i64
    }
    /// Whether there is no fraction.
    pub fn is_integer(&self) -> bool {
        self.scale >= 0 || self.mantissa % pow10(self.scale.unsigned_abs()) == 0
    }

    fn combine(self, other: Quantity, f: impl Fn(i128, i128) -> i128) -> Quantity {
        let scale = self.scale.min(other.scale);
        // The result prints as the first operand does, unless that is zero.
        let format = if self.is_zero() { other.format } else { self.format };
        let mut q = Quantity { mantissa: f(self.scaled(scale), other.scaled(scale)), scale, format };
        q.round_to_nano();
        q
    }

    /// The canonical text, as upstream prints and stores it.
    pub fn canonical(&self) -> String {
        self.to_string()
    }
}

impl std::ops::Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        self.combine(other, i128::saturating_add)
    }
}
impl std::ops::Sub for Quantity {
    type Output = Quantity;
    fn sub(self, other: Quantity) -> Quantity {
        self.combine(other, i128::saturating_sub)
    }
}
impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}
impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}
impl std::ops::Neg for Quantity {
    type Output = Quantity;
    fn neg(self) -> Quantity {
        Quantity { mantissa: -self.mantissa, ..self }
    }
}
impl std::ops::Mul<i64> for Quantity {
    type Output = Quantity;
    fn mul(self, n: i64) -> Quantity {
        let mut q = Quantity { mantissa: self.mantissa.saturating_mul(n.into()), ..self };
        q.round_to_nano();
        q
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        if self.scale == other.scale {
            return self.mantissa.cmp(&other.mantissa);
        }
        let scale = self.scale.min(other.scale);
        self.scaled(scale).cmp(&other.scaled(scale))
    }
}

fn clamp(n: i128) -> i64 {
    n.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

impl fmt::Display for Quantity {
    /// Models `CanonicalizeBytes`: the largest unit that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mantissa == 0 {
            return f.write_str("0");
        }
        let small = self.scaled(0).abs() < 1024;
        if self.format == Format::BinarySi && !small {
            let (mut n, mut unit) = (self.scaled(0), 0);
            const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            while n % 1024 == 0 && unit + 1 < UNITS.len() {
                n /= 1024;
                unit += 1;
            }
            return write!(f, "{n}{}", UNITS[unit]);
        }
        let (mut n, mut scale) = (self.mantissa, self.scale);
        while n % 10 == 0 {
            n /= 10;
            scale += 1;
        }
        let exponent = scale.div_euclid(3) * 3;
        n = n.saturating_mul(pow10((scale - exponent).unsigned_abs()));
        if self.format != Format::DecimalExponent {
            // Beyond exa there is no letter: the number grows instead.
            let over = (exponent - 18).max(0);
            n = n.saturating_mul(pow10(over.unsigned_abs()));
            const UNITS: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
            return write!(f, "{n}{}", UNITS[((exponent - over) / 3 + 3).clamp(0, 9) as usize]);
        }
        if exponent == 0 { write!(f, "{n}") } else { write!(f, "{n}e{exponent}") }
    }
}

impl From<Quantity> for Value {
    fn from(q: Quantity) -> Value {
        Value::from(q.to_string())
    }
}

/// The number an `IntOrString` stands for, a percentage being of `total`. Models `intstr.GetScaledValueFromIntOrPercent`;
/// the error is upstream's text.
pub fn scaled_int_or_percent(value: &Value, total: i64, round_up: bool) -> Result<i64, String> {
    match value {
        Value::Int(n) => Ok(*n),
        Value::Str(s) => {
            let Some(percent) = s.strip_suffix('%') else {
                return Err("invalid value for IntOrString: invalid type: string is not a percentage".to_string());
            };
            let n: i64 = percent.parse().map_err(|_| {
                format!(
                    "invalid value for IntOrString: invalid value {0}: strconv.Atoi: parsing {0}: invalid syntax",
                    crate::field::go_quote(percent)
                )
            })?;
            let product = n.saturating_mul(total);
            Ok(if round_up { -(-product).div_euclid(100) } else { product.div_euclid(100) })
        }
        _ => Err("invalid value for IntOrString: invalid type: neither int nor percentage".to_string()),
    }
}

/// The percentage of an `IntOrString` such as `25%`; `None` for a number or anything else.
pub fn percent(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_canonically() {
        for (text, canonical) in [
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("0.1", "100m"),
            ("2000m", "2"),
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("1023", "1023"),
            ("1000Ki", "1000Ki"),
            ("512Ki", "512Ki"),
            ("100Ki", "100Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1e2", "100"),
            ("12E", "12E"),
            ("1000k", "1M"),
            ("0", "0"),
            ("0Gi", "0"),
            ("-1500m", "-1500m"),
            ("+1", "1"),
            (".5", "500m"),
            ("1.", "1"),
            ("100000", "100k"),
            ("128974848", "128974848"),
            ("0.0000000001", "1n"),
            ("1e-3", "1e-3"),
            ("007", "7"),
        ] {
            assert_eq!(Quantity::parse(text).map(|q| q.to_string()).as_deref(), Ok(canonical), "{text}");
        }
        for (text, error) in [
            ("", ERR_FORMAT_WRONG),
            ("abc", ERR_FORMAT_WRONG),
            ("1x", ERR_FORMAT_WRONG),
            ("1 Gi", ERR_FORMAT_WRONG),
            ("1mm", ERR_SUFFIX),
            ("1Gb", ERR_FORMAT_WRONG),
            ("1K", ERR_SUFFIX),
            ("--1", ERR_FORMAT_WRONG),
            ("1.2.3", ERR_FORMAT_WRONG),
        ] {
            assert_eq!(Quantity::parse(text).map(|q| q.to_string()), Err(error), "{text}");
        }
    }

    #[test]
    fn calculates_exactly() {
        let q = |s| Quantity::parse(s).unwrap();
        assert_eq!((q("1") - q("100m")).to_string(), "900m");
        assert_eq!((q("1Gi") + q("1Mi")).to_string(), "1025Mi");
        assert_eq!((q("0") + q("1Mi")).to_string(), "1Mi");
        assert_eq!((q("100m") * 3).to_string(), "300m");
        assert!(q("1000m") == q("1") && q("1Ki") > q("1k"));
        assert_eq!((q("1001m").value(), q("1u").milli_value(), q("1.5").milli_value()), (2, 1, 1500));
        assert!(q("1k").is_integer() && !q("1m").is_integer());
    }

    #[test]
    fn percents_round_as_asked() {
        let v = |s: &str| Value::str(s);
        assert_eq!(scaled_int_or_percent(&v("25%"), 3, true), Ok(1));
        assert_eq!(scaled_int_or_percent(&v("25%"), 3, false), Ok(0));
        assert_eq!(scaled_int_or_percent(&Value::Int(2), 3, false), Ok(2));
        assert!(scaled_int_or_percent(&v("x"), 3, false).is_err());
    }
}
