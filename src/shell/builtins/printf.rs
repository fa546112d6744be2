//! `printf`.

use cri_api::{Sys, Text};

use super::Outcome;
use crate::eval::Shell;

/// What `printf` prints, and complaints about arguments.
pub struct Printed {
    pub bytes: Vec<u8>,
    pub errors: Vec<String>,
}

/// Formats arguments; the format is used again while arguments are left.
pub fn printf(format: &str, args: &[Text]) -> Printed {
    let mut printed = Printed { bytes: Vec::new(), errors: Vec::new() };
    let mut left = args.iter();
    loop {
        let before = left.len();
        if !once(format.as_bytes(), &mut left, &mut printed) || left.len() == 0 || left.len() == before {
            return printed;
        }
    }
}

/// False: `\c` ends all output.
fn once(format: &[u8], args: &mut std::slice::Iter<'_, Text>, printed: &mut Printed) -> bool {
    let mut at = 0;
    while at < format.len() {
        match format[at] {
            b'\\' => {
                let end = (at + 5).min(format.len());
                let len = escape_len(&format[at..end]);
                let unescaped = crate::text::unescape(&format[at..at + len]);
                printed.bytes.extend(unescaped.bytes);
                if unescaped.stop {
                    return false;
                }
                at += len;
            }
            b'%' if format.get(at + 1) == Some(&b'%') => {
                printed.bytes.push(b'%');
                at += 2;
            }
            b'%' => match directive(&format[at..], args, printed) {
                Some(len) => at += len,
                None => return false,
            },
            byte => {
                printed.bytes.push(byte);
                at += 1;
            }
        }
    }
    true
}

/// How many bytes one escape takes.
fn escape_len(text: &[u8]) -> usize {
    match text.get(1) {
        None => 1,
        Some(b'x') => 2 + text[2..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count(),
        Some(b'0'..=b'7') => {
            1 + text[1..].iter().take(if text[1] == b'0' { 4 } else { 3 }).take_while(|b| (b'0'..b'8').contains(b)).count()
        }
        Some(_) => 2,
    }
}

/// One `%…`; its length, or `None` to stop.
fn directive(text: &[u8], args: &mut std::slice::Iter<'_, Text>, printed: &mut Printed) -> Option<usize> {
    let mut at = 1;
    let flags: Vec<u8> = text[at..].iter().copied().take_while(|b| b"-+ #0".contains(b)).collect();
    at += flags.len();
    let number = |at: &mut usize, args: &mut std::slice::Iter<'_, Text>| {
        if text.get(*at) == Some(&b'*') {
            *at += 1;
            return args.next().and_then(|a| a.parse::<i64>().ok()).unwrap_or(0);
        }
        let digits = text[*at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let value = String::from_utf8_lossy(&text[*at..*at + digits]).parse().unwrap_or(0);
        *at += digits;
        value
    };
    let width = number(&mut at, args);
    let precision = if text.get(at) == Some(&b'.') {
        at += 1;
        Some(number(&mut at, args).max(0) as usize)
    } else {
        None
    };
    let left = flags.contains(&b'-') || width < 0;
    let width = width.unsigned_abs().min(65_536) as usize;
    let Some(&conversion) = text.get(at) else {
        printed.errors.push("%: invalid format".into());
        return None;
    };
    let (body, numeric) = match conversion {
        b's' => (cut(args.next().map_or("", |a| a).as_bytes(), precision), false),
        b'b' => {
            let unescaped = crate::text::unescape(args.next().map_or("", |a| a).as_bytes());
            if unescaped.stop {
                printed.bytes.extend(unescaped.bytes);
                return None;
            }
            (unescaped.bytes, false)
        }
        b'q' => (format!("'{}'", args.next().map_or("", |a| a).replace('\'', "'\\''")).into_bytes(), false),
        b'c' => (args.next().map_or("", |a| a).chars().next().map(String::from).unwrap_or_default().into_bytes(), false),
        b'd' | b'i' | b'u' | b'o' | b'x' | b'X' => {
            let value = integer(args.next().map_or("", |a| a), printed);
            (integer_text(value, conversion, &flags, precision).into_bytes(), precision.is_none())
        }
        b'f' | b'F' | b'e' | b'E' | b'g' | b'G' => {
            let argument = args.next().map_or("", |a| a);
            let value = argument.trim().parse::<f64>().unwrap_or_else(|_| {
                if !argument.is_empty() {
                    printed.errors.push(format!("{argument}: invalid number"));
                }
                0.0
            });
            (float_text(value, conversion, precision).into_bytes(), true)
        }
        other => {
            printed.errors.push(format!("%{}: invalid format", other as char));
            return None;
        }
    };
    pad(&body, width, left, numeric && flags.contains(&b'0'), &mut printed.bytes);
    Some(at + 1)
}

fn cut(bytes: &[u8], precision: Option<usize>) -> Vec<u8> {
    bytes[..precision.unwrap_or(bytes.len()).min(bytes.len())].to_vec()
}

fn integer(text: &str, printed: &mut Printed) -> i64 {
    if let Some(c) = text.strip_prefix(['\'', '"']) {
        return c.chars().next().map_or(0, |c| c as i64);
    }
    match crate::text::parse_int(text) {
        Some(value) => value,
        None if text.is_empty() => 0,
        None => {
            printed.errors.push(format!("{text}: invalid number"));
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(0)
        }
    }
}

fn integer_text(value: i64, conversion: u8, flags: &[u8], precision: Option<usize>) -> String {
    let digits = match conversion {
        b'u' => (value as u64).to_string(),
        b'o' => format!("{value:o}"),
        b'x' => format!("{value:x}"),
        b'X' => format!("{value:X}"),
        _ => value.unsigned_abs().to_string(),
    };
    let digits = format!("{digits:0>width$}", width = precision.unwrap_or(1));
    let prefix = match conversion {
        b'd' | b'i' if value < 0 => "-",
        b'd' | b'i' if flags.contains(&b'+') => "+",
        b'd' | b'i' if flags.contains(&b' ') => " ",
        b'x' if flags.contains(&b'#') => "0x",
        b'X' if flags.contains(&b'#') => "0X",
        b'o' if flags.contains(&b'#') => "0",
        _ => "",
    };
    format!("{prefix}{digits}")
}

/// `%f`, `%e`, `%g` of C.
pub fn float_text(value: f64, conversion: u8, precision: Option<usize>) -> String {
    let precision = precision.unwrap_or(6).min(100);
    match conversion {
        b'f' | b'F' => format!("{value:.precision$}"),
        b'e' | b'E' => exponent(&format!("{value:.precision$e}"), conversion),
        _ => {
            let precision = precision.max(1);
            if value == 0.0 {
                return "0".into();
            }
            let scientific = format!("{:.*e}", precision - 1, value);
            let power: i32 = scientific.split_once('e').and_then(|(_, p)| p.parse().ok()).unwrap_or(0);
            if power < -4 || power >= precision as i32 {
                let (mantissa, tail) = scientific.split_once('e').unwrap_or((&scientific, "0"));
                return exponent(&format!("{}e{tail}", trim_zeros(mantissa)), conversion - 2);
            }
            trim_zeros(&format!("{value:.*}", (precision as i32 - 1 - power).max(0) as usize))
        }
    }
}

fn trim_zeros(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text.to_string() }
}

/// Rust's `1.5e3` as C's `1.5e+03`.
fn exponent(text: &str, conversion: u8) -> String {
    let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{mantissa}{}{sign}{:02}", if conversion.is_ascii_uppercase() { 'E' } else { 'e' }, power.abs())
}

fn pad(body: &[u8], width: usize, left: bool, zeros: bool, out: &mut Vec<u8>) {
    let len = String::from_utf8_lossy(body).chars().count();
    let fill = width.saturating_sub(len);
    match (left, zeros) {
        (true, _) => {
            out.extend_from_slice(body);
            out.extend(std::iter::repeat_n(b' ', fill));
        }
        (false, true) => {
            let sign = body.iter().take_while(|b| matches!(b, b'-' | b'+' | b' ')).count();
            out.extend_from_slice(&body[..sign]);
            out.extend(std::iter::repeat_n(b'0', fill));
            out.extend_from_slice(&body[sign..]);
        }
        (false, false) => {
            out.extend(std::iter::repeat_n(b' ', fill));
            out.extend_from_slice(body);
        }
    }
}

pub fn builtin(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let args = if argv.get(1).is_some_and(|a| &**a == "--") { &argv[2..] } else { &argv[1..] };
    let Some(format) = args.first() else {
        shell.complain(Some("printf"), "usage: printf format [arguments]");
        return Outcome::Done(2);
    };
    let printed = printf(format, &args[1..]);
    let failed = !printed.errors.is_empty();
    let outcome = super::echo::write_checked(shell, sys, &printed.bytes);
    for error in &printed.errors {
        let name = shell.arg0.clone();
        shell.out.push(2, format!("{name}: {error}\n").as_bytes());
    }
    if failed { Outcome::Done(1) } else { outcome }
}
