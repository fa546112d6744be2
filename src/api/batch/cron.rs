//! Cron schedules: five fields or a descriptor. Models `robfig/cron/v3`'s standard parser and its `SpecSchedule.Next`.
//!
//! Times are UTC: time zones other than UTC are known by name only (see [`is_time_zone`]), their rules are not in the bottle.

use base::{Duration, Time};

/// A parsed schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Bit sets of minutes, hours, days of the month, months and weekdays (Sunday 0).
    Fields { minute: u64, hour: u64, day: u64, month: u64, weekday: u64, any_day: bool, any_weekday: bool },
    /// `@every 5m`
    Every(Duration),
}

struct Bounds {
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds =
    Bounds { min: 1, max: 12, names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] };
const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Parses `*/5 * * * *`, `@hourly`, `@every 1h30m`. The error is upstream's text.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        if text.is_empty() {
            return Err("empty spec string".into());
        }
        if text.starts_with('@') {
            return descriptor(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        let (minute, hour) = (field(minute, &MINUTES)?.0, field(hour, &HOURS)?.0);
        let (day, any_day) = field(day, &DAYS)?;
        let month = field(month, &MONTHS)?.0;
        let (weekday, any_weekday) = field(weekday, &WEEKDAYS)?;
        Ok(Schedule::Fields { minute, hour, day, month, weekday, any_day, any_weekday })
    }

    /// The first time after `after`; `None` if there is none within five years.
    pub fn next(&self, after: Time) -> Option<Time> {
        let &Schedule::Fields { minute, hour, day, month, weekday, any_day, any_weekday } = self else {
            let Schedule::Every(every) = self else { return None };
            return Some(Time::from_secs((after + *every).secs()));
        };
        let has = |set: u64, n: u32| set & (1 << n) != 0;
        // From the next whole minute on, day by day, then hour by hour, then minute by minute.
        let start = Time::from_secs((after.secs().div_euclid(60) + 1) * 60);
        for ahead in 0..=5 * 366 {
            let days = start.days() + ahead;
            let (_, mo, d, ..) = Time::from_secs(days * 86_400).civil();
            let on_day = has(day, d);
            let on_weekday = has(weekday, (days + 4).rem_euclid(7) as u32);
            let matches = if any_day || any_weekday { on_day && on_weekday } else { on_day || on_weekday };
            if !has(month, mo) || !matches {
                continue;
            }
            let from = if ahead == 0 { start.secs().rem_euclid(86_400) / 60 } else { 0 };
            let found = (from..24 * 60).find(|m| has(hour, (m / 60) as u32) && has(minute, (m % 60) as u32));
            if let Some(m) = found {
                return Some(Time::from_secs(days * 86_400 + m * 60));
            }
        }
        None
    }
}

fn descriptor(text: &str) -> Result<Schedule, String> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(span) = text.strip_prefix("@every ") else { return Err(format!("unrecognized descriptor: {text}")) };
            let Some(d) = parse_duration(span) else {
                return Err(format!("failed to parse duration {text}: time: invalid duration \"{span}\""));
            };
            return Ok(Schedule::Every(Duration::from_secs(d.as_secs().max(1))));
        }
    };
    Schedule::parse(fields)
}

/// Go's `time.ParseDuration`, without signs.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_len = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len() - digits);
        let seconds = match &rest[digits..digits + unit_len] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number * seconds;
        rest = &rest[digits + unit_len..];
    }
    (!text.is_empty()).then(|| Duration::from_secs_f64(total))
}

/// A comma-separated field: its bits, and whether it is a bare star.
fn field(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let (mut bits, mut star) = (0, false);
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (b, s) = range(part, bounds)?;
        bits |= b;
        star |= s;
    }
    Ok((bits, star))
}

fn number(text: &str, bounds: &Bounds) -> Result<u64, String> {
    if let Some(i) = bounds.names.iter().position(|n| text.eq_ignore_ascii_case(n)) {
        return Ok(i as u64 + bounds.min);
    }
    let n: i64 =
        text.parse().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax"))?;
    u64::try_from(n).map_err(|_| format!("negative number ({n}) not allowed: {text}"))
}

/// `*`, `3`, `1-5`, each with `/step`.
fn range(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let (start, mut end, mut star);
    match ends[..] {
        ["*" | "?"] => (start, end, star) = (bounds.min, bounds.max, true),
        [one] => {
            start = number(one, bounds)?;
            (end, star) = (start, false);
        }
        [low, high] => {
            start = number(low, bounds)?;
            end = number(high, bounds)?;
            star = false;
        }
        _ => return Err(format!("too many hyphens: {text}")),
    }
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            let step = number(step, &Bounds { names: &[], ..*bounds })?;
            if ends.len() == 1 {
                end = bounds.max;
            }
            if step > 1 {
                star = false;
            }
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    if start < bounds.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", bounds.min));
    }
    if end > bounds.max {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", bounds.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(((start..=end).step_by(step as usize).fold(0, |bits, n| bits | 1 << n), star))
}

/// The names of the time zone database.
const ZONES: &str = include_str!("zones.txt");

/// Whether a name is one of the time zone database.
pub fn is_time_zone(name: &str) -> bool {
    ZONES.lines().any(|zone| zone == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_give_their_next_time() {
        for (schedule, after, next) in [
            ("*/5 * * * *", "2026-11-23T03:00:00Z", "2026-11-23T03:05:00Z"),
            ("0 0 * * *", "2026-11-23T03:00:00Z", "2026-11-24T00:00:00Z"),
            ("30 4 1,15 * 5", "2026-11-23T03:00:00Z", "2026-11-27T04:30:00Z"),
            ("0 0 29 2 *", "2026-11-23T03:00:00Z", "2028-02-29T00:00:00Z"),
            ("15-45/15 9-17 * * mon-fri", "2026-11-23T17:45:00Z", "2026-11-24T09:15:00Z"),
            ("@hourly", "2026-11-23T03:59:59Z", "2026-11-23T04:00:00Z"),
            ("@every 1h30m", "2026-11-23T03:00:00Z", "2026-11-23T04:30:00Z"),
        ] {
            let got = Schedule::parse(schedule).unwrap().next(Time::parse(after).unwrap());
            assert_eq!(got.map(Time::rfc3339).as_deref(), Some(next), "{schedule}");
        }
        assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next(Time::EPOCH), None);
        assert_eq!(Schedule::parse("60 * * * *").unwrap_err(), "end of range (60) above maximum (59): 60");
    }
}
