//! Small things about text that shell and applets share: C escapes, widths, numbers.

/// What [`unescape`] found.
pub struct Unescaped {
    pub bytes: Vec<u8>,
    /// `\c`: no more output.
    pub stop: bool,
}

/// Replaces C's backslash escapes, as `echo -e`, `printf %b` and `$'…'` do.
pub fn unescape(text: &[u8]) -> Unescaped {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' || at + 1 >= text.len() {
            bytes.push(text[at]);
            at += 1;
            continue;
        }
        at += 2;
        match text[at - 1] {
            b'a' => bytes.push(7),
            b'b' => bytes.push(8),
            b'e' | b'E' => bytes.push(27),
            b'f' => bytes.push(12),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'v' => bytes.push(11),
            b'\\' => bytes.push(b'\\'),
            b'\'' => bytes.push(b'\''),
            b'"' => bytes.push(b'"'),
            b'c' => return Unescaped { bytes, stop: true },
            b'x' => at = number(text, at, 16, 2, &mut bytes, b"\\x"),
            b'0'..=b'7' => at = number(text, at - 1, 8, if text[at - 1] == b'0' { 4 } else { 3 }, &mut bytes, b""),
            other => bytes.extend([b'\\', other]),
        }
    }
    Unescaped { bytes, stop: false }
}

fn number(text: &[u8], from: usize, base: u32, max: usize, out: &mut Vec<u8>, otherwise: &[u8]) -> usize {
    let digits = text[from..].iter().take(max).take_while(|b| (**b as char).is_digit(base)).count();
    if digits == 0 {
        out.extend_from_slice(otherwise);
        return from;
    }
    let value = text[from..from + digits].iter().fold(0u32, |n, b| n * base + (*b as char).to_digit(base).unwrap_or(0));
    out.push(value as u8);
    from + digits
}

/// How many columns a character takes in a terminal: 0 (combining), 1 or 2 (East Asian wide, emoji).
pub fn width(c: char) -> usize {
    match c as u32 {
        0 => 0,
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 => 2,
        0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f900..=0x1f9ff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A number as `strtol(…, 0)` reads it: decimal, `0x`, `0` octal, with a sign.
pub fn parse_int(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse::<i64>().ok()?
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// A size with one of busybox' suffixes (`b` 512, `k`, `m`, `g`; `kB` and the like too).
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let value: u64 = text[..digits].parse().ok()?;
    let factor = match &text[digits..] {
        "" | "c" => 1,
        "w" => 2,
        "b" => 512,
        "k" | "K" | "KiB" => 1 << 10,
        "kB" | "KB" => 1000,
        "m" | "M" | "MiB" => 1 << 20,
        "MB" => 1_000_000,
        "g" | "G" | "GiB" => 1 << 30,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    value.checked_mul(factor)
}

/// A span as `sleep` and `timeout` read it (`5`, `0.2`, `3m`), in microseconds.
pub fn parse_duration(text: &str) -> Option<base::Duration> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1_000_000i64),
        (at, 'm') => (&text[..at], 60_000_000),
        (at, 'h') => (&text[..at], 3_600_000_000),
        (at, 'd') => (&text[..at], 86_400_000_000),
        _ => (text, 1_000_000),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits = &fraction[..fraction.len().min(6)];
    let micros: i64 = if digits.is_empty() { 0 } else { digits.parse::<i64>().ok()? * 10i64.pow(6 - digits.len() as u32) };
    let units = whole.checked_mul(1_000_000)?.checked_add(micros)?;
    Some(base::Duration((units as i128 * unit as i128 / 1_000_000).min(i64::MAX as i128 / 4) as i64))
}

/// The part of a path behind the last slash.
pub fn basename(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() && !path.is_empty() { "/" } else { trimmed.rsplit('/').next().unwrap_or("") }
}

/// The part of a path before the last slash.
pub fn dirname(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rfind('/') {
        None if trimmed.is_empty() && path.starts_with('/') => "/",
        None => ".",
        Some(at) => match trimmed[..at].trim_end_matches('/') {
            "" => "/",
            dir => dir,
        },
    }
}

/// `dir/name` with one slash.
pub fn join(dir: &str, name: &str) -> String {
    if dir.ends_with('/') { format!("{dir}{name}") } else { format!("{dir}/{name}") }
}

/// `rwxr-xr-x` with set-id and sticky bits, and the kind in front.
pub fn mode_text(kind: char, mode: u16) -> String {
    let mut text = String::with_capacity(10);
    text.push(kind);
    for (shift, special, lower, upper) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => lower,
            (true, false) => upper,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}
