//! Virtual time, in microseconds since the Unix epoch. No wall clock is read anywhere in the core.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};
use std::rc::Rc;

/// A moment of virtual time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// A span of virtual time in microseconds. May be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

impl Duration {
    pub const ZERO: Duration = Duration(0);

    pub const fn from_micros(us: i64) -> Duration {
        Duration(us)
    }
    pub const fn from_millis(ms: i64) -> Duration {
        Duration(ms * 1_000)
    }
    pub const fn from_secs(s: i64) -> Duration {
        Duration(s * 1_000_000)
    }
    pub fn from_secs_f64(s: f64) -> Duration {
        Duration((s * 1e6) as i64)
    }
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    pub const fn as_millis(self) -> i64 {
        self.0 / 1_000
    }
    pub const fn as_secs(self) -> i64 {
        self.0 / 1_000_000
    }
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Time {
    pub const EPOCH: Time = Time(0);

    pub const fn from_secs(s: i64) -> Time {
        Time(s * 1_000_000)
    }
    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    pub fn since(self, earlier: Time) -> Duration {
        Duration(self.0 - earlier.0)
    }

    /// `metav1.Time` on the wire: RFC 3339 in whole seconds, e.g. `2026-11-23T03:00:24Z`.
    pub fn rfc3339(self) -> String {
        let (y, mo, d, h, mi, s) = self.civil();
        format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}Z")
    }

    /// [`Time::rfc3339`] as a shared text: what happens within one second names one allocation.
    pub fn rfc3339_shared(self) -> Rc<str> {
        thread_local! {
            /// A memo: the second asked for last.
            static LAST: RefCell<(i64, Rc<str>)> = RefCell::new((i64::MIN, "".into()));
        }
        LAST.with_borrow_mut(|last| {
            if last.0 != self.secs() {
                *last = (self.secs(), self.rfc3339().into());
            }
            last.1.clone()
        })
    }

    /// `metav1.MicroTime` on the wire: RFC 3339 with six digits, e.g. `2026-11-23T03:00:24.000123Z`.
    pub fn rfc3339_micro(self) -> String {
        let (y, mo, d, h, mi, s) = self.civil();
        let us = self.0.rem_euclid(1_000_000);
        format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{us:06}Z")
    }

    /// RFC 3339 with nine digits, as the container runtime stamps its log lines.
    pub fn rfc3339_nano(self) -> String {
        let (y, mo, d, h, mi, s) = self.civil();
        let us = self.0.rem_euclid(1_000_000);
        format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{us:06}000Z")
    }

    /// Year, month (1-12), day (1-31), hour, minute, second in UTC.
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32) {
        let secs = self.secs();
        let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400) as u32);
        let (y, m, d) = civil_from_days(days);
        (y, m, d, rest / 3600, rest / 60 % 60, rest % 60)
    }

    /// Days since the epoch; `(days + 4) % 7` is the weekday, Sunday 0.
    pub fn days(self) -> i64 {
        self.secs().div_euclid(86_400)
    }

    /// The moment of a civil date and time in UTC.
    pub fn from_civil(y: i64, mo: u32, d: u32, h: u32, mi: u32, s: u32) -> Time {
        Time::from_secs(days_from_civil(y, mo, d) * 86_400 + h as i64 * 3600 + mi as i64 * 60 + s as i64)
    }

    /// Parses RFC 3339 with an optional fraction and offset.
    pub fn parse(text: &str) -> Option<Time> {
        let b = text.as_bytes();
        if b.len() < 20
            || !text.is_ascii()
            || b[4] != b'-'
            || b[7] != b'-'
            || !matches!(b[10], b'T' | b't')
            || b[13] != b':'
            || b[16] != b':'
        {
            return None;
        }
        let num = |r: std::ops::Range<usize>| {
            text[r.clone()].bytes().all(|c| c.is_ascii_digit()).then(|| text[r.clone()].parse::<u32>().ok())?
        };
        let (y, mo, d) = (num(0..4)?, num(5..7)?, num(8..10)?);
        let (h, mi, s) = (num(11..13)?, num(14..16)?, num(17..19)?);
        if !(1..=12).contains(&mo) || d < 1 || d > days_in_month(y as i64, mo) || h > 23 || mi > 59 || s > 59 {
            return None;
        }
        let mut rest = &text[19..];
        let mut micros = 0i64;
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            for i in 0..6 {
                micros = micros * 10 + if i < digits { (fraction.as_bytes()[i] - b'0') as i64 } else { 0 };
            }
            rest = &fraction[digits..];
        }
        let offset = match rest.as_bytes() {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (oh, om) = (rest[1..3].parse::<i64>().ok()?, rest[4..6].parse::<i64>().ok()?);
                (oh * 3600 + om * 60) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let t = Time::from_civil(y as i64, mo, d, h, mi, s);
        Some(Time(t.0 + micros - offset * 1_000_000))
    }
}

fn days_in_month(y: i64, m: u32) -> u32 {
    match m {
        2 if y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date, by counting in eras of 400 years that begin in March.
fn days_from_civil(y: i64, m: u32, d: u32) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((m as i64 + 9) % 12) + 2) / 5 + d as i64 - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let m = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(d.0))
    }
}
impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}
impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(d.0))
    }
}
impl Sub<Time> for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}
impl Add for Duration {
    type Output = Duration;
    fn add(self, d: Duration) -> Duration {
        Duration(self.0 + d.0)
    }
}
impl Sub for Duration {
    type Output = Duration;
    fn sub(self, d: Duration) -> Duration {
        Duration(self.0 - d.0)
    }
}
impl Mul<i64> for Duration {
    type Output = Duration;
    fn mul(self, n: i64) -> Duration {
        Duration(self.0.saturating_mul(n))
    }
}

impl fmt::Display for Duration {
    /// Go's `time.Duration.String()`: `1m30s`, `5s`, `1.5s`, `250ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        if us == 0 {
            return f.write_str("0s");
        }
        if us < 1_000 {
            return write!(f, "{sign}{us}µs");
        }
        if us < 1_000_000 {
            return write!(f, "{sign}{}ms", trim(us, 1_000));
        }
        let (h, m) = (us / 3_600_000_000, us / 60_000_000 % 60);
        let s = trim(us % 60_000_000, 1_000_000);
        match (h, m) {
            (0, 0) => write!(f, "{sign}{s}s"),
            (0, _) => write!(f, "{sign}{m}m{s}s"),
            _ => write!(f, "{sign}{h}h{m}m{s}s"),
        }
    }
}

/// `n / unit` as a decimal without trailing zeros.
fn trim(n: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let fraction = format!("{:0digits$}", n % unit);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (n / unit).to_string() } else { format!("{}.{fraction}", n / unit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_and_parse() {
        for text in ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2026-11-23T03:00:24Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(Time::parse(text).unwrap().rfc3339(), text);
        }
        assert_eq!(Time::parse("2026-11-23T04:00:24.5+01:00").unwrap().rfc3339_micro(), "2026-11-23T03:00:24.500000Z");
        for bad in ["", "2026-02-30T00:00:00Z", "2026-11-23 03:00:24Z", "2026-11-23T03:00:24", "2026-11-23T03:00:24.Z"] {
            assert_eq!(Time::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_print_as_in_go() {
        for (us, text) in [
            (0, "0s"),
            (1_500_000, "1.5s"),
            (90_000_000, "1m30s"),
            (3_600_000_000, "1h0m0s"),
            (250_000, "250ms"),
            (-5_000_000, "-5s"),
        ] {
            assert_eq!(Duration(us).to_string(), text);
        }
    }
}
