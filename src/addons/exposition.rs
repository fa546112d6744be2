//! Prometheus' text format, read: what metrics-server and Prometheus scrape.

/// One sample: name, labels as written, value, and the time in milliseconds if it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
    pub at_ms: Option<i64>,
}

/// Reads a document. An error names the line, as Prometheus does.
pub fn parse(text: &str) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        samples.push(sample(line).ok_or_else(|| format!("invalid metric line {}: {line:?}", n + 1))?);
    }
    Ok(samples)
}

/// Calls `each` with every sample of a document: the series as it is written (name and labels), value, time. For readers that
/// know most series already and needn't take them apart again.
pub fn each(text: &str, mut take: impl FnMut(&str, f64, Option<i64>)) -> Result<(), String> {
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (series, value, at_ms) = split(line).ok_or_else(|| format!("invalid metric line {}: {line:?}", n + 1))?;
        take(series, value, at_ms);
    }
    Ok(())
}

/// A line's series, value and time.
fn split(line: &str) -> Option<(&str, f64, Option<i64>)> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(line.len());
    if name_end == 0 {
        return None;
    }
    let mut end = name_end;
    if line[name_end..].trim_start().starts_with('{') {
        // Up to the brace that closes, which is not inside quotes.
        let (mut quoted, mut escaped) = (false, false);
        let closing = line.char_indices().skip_while(|(i, _)| *i < name_end).find(|(_, c)| {
            let ends = *c == '}' && !quoted;
            match *c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            ends
        });
        end = closing?.0 + 1;
    }
    let mut words = line[end..].split_whitespace();
    let value = number(words.next()?)?;
    let at_ms = match words.next() {
        Some(word) => Some(word.parse().ok()?),
        None => None,
    };
    words.next().is_none().then_some((&line[..end], value, at_ms))
}

/// Takes a series as it is written apart: its name and labels.
pub fn series(text: &str) -> Option<(String, Vec<(String, String)>)> {
    sample(&format!("{text} 0")).map(|s| (s.name, s.labels))
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(line.len());
    let name = line[..name_end].to_string();
    if name.is_empty() {
        return None;
    }
    let rest = line[name_end..].trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_whitespace();
    let value = number(words.next()?)?;
    let at_ms = match words.next() {
        Some(word) => Some(word.parse().ok()?),
        None => None,
    };
    words.next().is_none().then_some(Sample { name, labels, value, at_ms })
}

/// A number as Go writes it.
pub fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => text.parse().ok(),
    }
}

/// `a="b",c="d"} 1` → the labels and what follows.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start().strip_prefix('"')?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (i, '"') => break i + 1,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, c) => value.push(c),
            }
        };
        labels.push((name.trim().to_string(), value));
        rest = &after[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_escapes_times_and_infinities() {
        let text = "# HELP a b\na{x=\"1\\\"2\\n\",le=\"+Inf\"} 3.5 1700\nb 1e+06\nc{} NaN\n";
        let samples = parse(text).unwrap();
        assert_eq!(samples[0].labels, [("x".into(), "1\"2\n".into()), ("le".into(), "+Inf".into())]);
        assert_eq!((samples[0].value, samples[0].at_ms), (3.5, Some(1700)));
        assert_eq!((&*samples[1].name, samples[1].value), ("b", 1e6));
        assert!(samples[2].value.is_nan());
    }

    #[test]
    fn series_are_split_off_as_they_are_written() {
        let text = "a{x=\"}\\\"\",y=\"2\"} 3 17\nb 1\n";
        let mut found = Vec::new();
        each(text, |series, value, at| found.push((series.to_string(), value, at))).unwrap();
        assert_eq!(found, [("a{x=\"}\\\"\",y=\"2\"}".to_string(), 3.0, Some(17)), ("b".to_string(), 1.0, None)]);
        assert_eq!(series(&found[0].0).unwrap().1[0], ("x".to_string(), "}\"".to_string()));
        for bad in ["a{x=\"1", "a", "{} 1", "a{} x", "é 1", "a{\\"] {
            assert!(each(bad, |_, _, _| ()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        for bad in
            ["a{", "a{x", "a{x=", "a{x=\"", "a{x=\"1\\", "a", "a b", "a 1 2 3", "{x=\"1\"} 1", "ä 1", "a{x=\"1\"", "é{ü=\"\"}"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
