//! Ages as kubectl shows them. Models `apimachinery/pkg/util/duration`.

use apimachinery::Value;
use base::{Duration, Time};

/// `5s`, `3m20s`, `47m`, `2h5m`, `3d4h`, `200d`, `2y30d`: at most two units, fewer as time grows.
pub fn human_duration(d: Duration) -> String {
    let secs = d.0.div_euclid(1_000_000);
    if secs < -1 {
        return "<invalid>".into();
    }
    if secs < 0 {
        return "0s".into();
    }
    let two =
        |a: i64, unit: &str, b: i64, small: &str| if b == 0 { format!("{a}{unit}") } else { format!("{a}{unit}{b}{small}") };
    let (minutes, hours) = (secs / 60, secs / 3600);
    match () {
        () if secs < 120 => format!("{secs}s"),
        () if minutes < 10 => two(minutes, "m", secs % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(hours / 24, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        () => format!("{}y", hours / 24 / 365),
    }
}

/// The age of a timestamp; `<unknown>` if there is none. Models `translateTimestampSince`.
pub fn since(timestamp: Option<&Value>, now: Time) -> String {
    match timestamp.and_then(Value::as_str).and_then(Time::parse) {
        Some(t) => human_duration(now - t),
        None => "<unknown>".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_upstream() {
        for (secs, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (183_600, "2d3h"),
            (-5, "<invalid>"),
        ] {
            assert_eq!(human_duration(Duration::from_secs(secs)), text);
        }
    }
}
