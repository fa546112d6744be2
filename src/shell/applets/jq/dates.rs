//! Times: seconds since 1970, "broken down" lists (year, month from 0, day, hour, minute, second, weekday, day of the year),
//! and texts. Everything is UTC. Left out by name: what `strptime` doesn't know is refused.

use base::Time;

use super::natives::{Answer, Failure};
use super::printer::excerpt;
use super::value::Json;
use crate::applets::time;

pub fn broken_down(value: &Json, name: &str) -> Answer {
    let Some(seconds) = value.as_number() else { return Err(format!("{name}() requires numeric inputs").into()) };
    if !seconds.is_finite() || seconds.abs() > 1e11 {
        return Err(format!("error converting number of seconds since epoch to datetime: {}", excerpt(value, 30)).into());
    }
    let whole = Time::from_secs(seconds.floor() as i64);
    Ok(list(whole, seconds - seconds.floor()))
}

fn list(time: Time, fraction: f64) -> Json {
    let (year, month, day, hour, minute, second) = time.civil();
    let weekday = (time.days() + 4).rem_euclid(7);
    let of_year = time.days() - Time::from_civil(year, 1, 1, 0, 0, 0).days();
    let numbers =
        [year, i64::from(month) - 1, i64::from(day), i64::from(hour), i64::from(minute)].map(|n| Json::Number(n as f64));
    let rest = [f64::from(second) + fraction, weekday as f64, of_year as f64].map(Json::Number);
    Json::array(numbers.into_iter().chain(rest))
}

fn time_of(value: &Json, refused: &str) -> Result<Time, Failure> {
    let numbers: Option<Vec<f64>> = value.as_array().map(|items| items.iter().filter_map(Json::as_number).collect());
    let Some(numbers) = numbers.filter(|n| n.len() >= 6) else { return Err(refused.into()) };
    if numbers.iter().any(|n| n.abs() > 1e6) || !(0.0..12.0).contains(&numbers[1]) {
        return Err("invalid gmtime representation".into());
    }
    // Days, hours, minutes and seconds beyond their ends carry over.
    let first = Time::from_civil(numbers[0] as i64, numbers[1] as u32 + 1, 1, 0, 0, 0).secs();
    let days = numbers[2] as i64 - 1;
    Ok(Time::from_secs(first + days * 86_400 + numbers[3] as i64 * 3600 + numbers[4] as i64 * 60 + numbers[5] as i64))
}

pub fn seconds(value: &Json) -> Answer {
    if value.as_array().is_none() {
        return Err("mktime requires array inputs".into());
    }
    Ok(Json::int(time_of(value, "mktime requires parsed datetime inputs")?.secs()))
}

pub fn print(value: &Json, format: &Json, name: &str) -> Answer {
    let refused = format!("{name}/1 requires parsed datetime inputs");
    let value = match value.as_number() {
        Some(_) => broken_down(value, "gmtime")?,
        None => value.clone(),
    };
    let time = time_of(&value, &refused)?;
    match format.as_str() {
        Some(format) => Ok(Json::str(time::format(time, format))),
        None => Err(format!("{name}/1 requires a string format").into()),
    }
}

pub fn read(value: &Json, format: &Json) -> Answer {
    let (Some(text), Some(format)) = (value.as_str(), format.as_str()) else {
        return Err("strptime/1 requires string inputs and arguments".into());
    };
    let mismatch = || Failure::from(format!("date \"{text}\" does not match format \"{format}\""));
    let mut found = Found { year: 1900, month: 1, day: 1, ..Found::default() };
    let rest = found.scan(text, format)?.ok_or_else(mismatch)?;
    if !rest.is_empty() || !(1..=12).contains(&found.month) {
        return Err(mismatch());
    }
    let first = Time::from_civil(found.year, found.month as u32, 1, 0, 0, 0).secs();
    let hour = found.hour % if found.half.is_some() { 12 } else { 24 } + if found.half == Some(true) { 12 } else { 0 };
    let day = (found.day - 1) * 86_400 + hour * 3600 + found.minute * 60 + found.second;
    Ok(list(found.seconds.map_or(Time::from_secs(first + day), Time::from_secs), 0.0))
}

/// What a text said so far.
#[derive(Default)]
struct Found {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// `Some(true)`: afternoon.
    half: Option<bool>,
    seconds: Option<i64>,
}

impl Found {
    /// Reads along a format. `Ok(None)`: the text doesn't match; else what is left of it.
    fn scan<'a>(&mut self, mut text: &'a str, format: &str) -> Result<Option<&'a str>, Failure> {
        let mut format = format.chars();
        while let Some(c) = format.next() {
            let rest = match c {
                '%' => {
                    let letter = format.next().unwrap_or('%');
                    self.field(letter, text)?
                }
                c if c.is_ascii_whitespace() => Some(text.trim_start()),
                c => text.strip_prefix(c),
            };
            match rest {
                Some(rest) => text = rest,
                None => return Ok(None),
            }
        }
        Ok(Some(text))
    }

    fn field<'a>(&mut self, letter: char, text: &'a str) -> Result<Option<&'a str>, Failure> {
        let take = |max: usize, slot: &mut i64| -> Option<&'a str> {
            let text = text.trim_start();
            let len = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
            *slot = text[..len].parse().ok()?;
            Some(&text[len..])
        };
        let mut ignored = 0;
        Ok(match letter {
            'Y' => take(4, &mut self.year),
            'm' => take(2, &mut self.month),
            'd' | 'e' => take(2, &mut self.day),
            'H' | 'I' => take(2, &mut self.hour),
            'M' => take(2, &mut self.minute),
            'S' => take(2, &mut self.second),
            'j' => take(3, &mut ignored),
            'u' | 'w' => take(1, &mut ignored),
            's' => {
                let rest = take(12, &mut ignored);
                self.seconds = Some(ignored);
                rest
            }
            'T' => return self.scan(text, "%H:%M:%S"),
            'F' => return self.scan(text, "%Y-%m-%d"),
            'R' => return self.scan(text, "%H:%M"),
            'Z' => Some(text.trim_start_matches(|c: char| c.is_ascii_alphabetic())),
            'z' if text.starts_with('Z') => Some(&text[1..]),
            'z' => text.strip_prefix(['+', '-']).and_then(|t| t.get(4..)),
            'p' => self.half_of_day(text),
            'b' | 'B' | 'h' => self.name(text, &time::MONTHS, true),
            'a' | 'A' => self.name(text, &time::DAYS, false),
            '%' => text.strip_prefix('%'),
            other => return Err(format!("strptime/1: %{other} is not in this bottle").into()),
        })
    }

    fn half_of_day<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let half = text.get(..2)?;
        self.half = Some(match half.to_ascii_uppercase().as_str() {
            "AM" => false,
            "PM" => true,
            _ => return None,
        });
        Some(&text[2..])
    }

    /// A month's or a day's name, whole or its first three letters.
    fn name<'a>(&mut self, text: &'a str, names: &[&str], month: bool) -> Option<&'a str> {
        let at = names.iter().position(|n| text.get(..3).is_some_and(|t| t.eq_ignore_ascii_case(&n[..3])))?;
        if month {
            self.month = at as i64 + 1;
        }
        let whole = names[at];
        let len = if text.get(..whole.len()).is_some_and(|t| t.eq_ignore_ascii_case(whole)) { whole.len() } else { 3 };
        Some(&text[len..])
    }
}
