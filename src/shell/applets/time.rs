//! `date`, and how times are written.

use base::Time;

use super::files::options;
use super::{Instant, Io, Make};

pub(super) const TABLE: &[(&str, Make)] = &[("date", || Instant::boxed(date)), ("uptime", || Instant::boxed(uptime))];

pub(crate) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
pub(crate) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// `strftime` in UTC.
pub(crate) fn format(time: Time, format: &str) -> String {
    let (year, month, day, hour, minute, second) = time.civil();
    let weekday = (time.days() + 4).rem_euclid(7) as usize;
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[weekday]);
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let no_pad = chars.next_if_eq(&'-').is_some();
        let two = |n: u32| if no_pad { n.to_string() } else { format!("{n:02}") };
        let text = match chars.next() {
            Some('Y') => year.to_string(),
            Some('y') => two((year.rem_euclid(100)) as u32),
            Some('C') => two((year / 100) as u32),
            Some('m') => two(month),
            Some('d') => two(day),
            Some('e') => format!("{day:>2}"),
            Some('H') => two(hour),
            Some('I') => two((hour + 11) % 12 + 1),
            Some('M') => two(minute),
            Some('S') => two(second),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_string(),
            Some('s') => time.secs().to_string(),
            Some('N') => format!("{:09}", time.0.rem_euclid(1_000_000) * 1000),
            Some('a') => day_name[..3].to_string(),
            Some('A') => day_name.to_string(),
            Some('b' | 'h') => month_name[..3].to_string(),
            Some('B') => month_name.to_string(),
            Some('j') => format!("{:03}", time.days() - Time::from_civil(year, 1, 1, 0, 0, 0).days() + 1),
            Some('u') => if weekday == 0 { 7 } else { weekday }.to_string(),
            Some('w') => weekday.to_string(),
            Some('Z') => "UTC".to_string(),
            Some('z') => "+0000".to_string(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('R') => format!("{hour:02}:{minute:02}"),
            Some('D') => format!("{month:02}/{day:02}/{:02}", year.rem_euclid(100)),
            Some('c') => self::format(time, "%a %b %e %H:%M:%S %Y"),
            Some('n') => "\n".to_string(),
            Some('t') => "\t".to_string(),
            Some('%') => "%".to_string(),
            Some(other) => format!("%{other}"),
            None => "%".to_string(),
        };
        out.push_str(&text);
    }
    out
}

/// A date as `date -d` and `touch -d` take it: `@secs`, `YYYY-MM-DD[ hh:mm[:ss]]`, RFC 3339, `hh:mm`.
pub(crate) fn parse_date(text: &str) -> Option<Time> {
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok().map(Time::from_secs);
    }
    let text = text.trim();
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{}:00Z", text.replacen(' ', "T", 1)),
        19 => format!("{}Z", text.replacen(' ', "T", 1)),
        _ => text.to_string(),
    };
    Time::parse(&full)
}

fn date(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "ud:r:RID:s:", &[("utc", 'u'), ("date", 'd'), ("rfc-2822", 'R')]);
    let time = match (options.value('d'), options.value('r')) {
        (Some(text), _) => match parse_date(text) {
            Some(time) => time,
            None => {
                io.error(format!("invalid date '{text}'"));
                return 1;
            }
        },
        (None, Some(path)) => match io.sys.stat(path) {
            Ok(stat) => stat.mtime,
            Err(error) => {
                io.error(format!("{path}: {error}"));
                return 1;
            }
        },
        (None, None) => io.sys.now(),
    };
    if options.has('s') {
        io.error("can't set date: Operation not permitted");
        return 1;
    }
    let pattern = match options.operands.first().and_then(|a| a.strip_prefix('+')) {
        Some(pattern) => pattern.to_string(),
        None if options.has('R') => "%a, %d %b %Y %H:%M:%S %z".to_string(),
        None if options.has('I') => "%Y-%m-%d".to_string(),
        None => "%a %b %e %H:%M:%S %Z %Y".to_string(),
    };
    io.print(format(time, &pattern) + "\n");
    0
}

fn uptime(io: &mut Io<'_, '_>) -> i32 {
    let up = io.sys.now().since(io.sys.config().boot).as_secs();
    let (days, hours, minutes) = (up / 86_400, up / 3600 % 24, up / 60 % 60);
    let mut text = String::new();
    if days > 0 {
        text = format!("{days} day{}, ", if days == 1 { "" } else { "s" });
    }
    text += &if hours > 0 { format!("{hours:>2}:{minutes:02}") } else { format!("{minutes} min") };
    let now = format(io.sys.now(), "%H:%M:%S");
    io.print(format!(" {now} up {text},  0 users,  load average: 0.00, 0.00, 0.00\n"));
    0
}
