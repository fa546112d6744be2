//! The flags of a command line as a verb reads them: what was given, else the default.

/// The command line as parsed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// `get`, `create configmap`.
    pub command: &'static str,
    pub args: Vec<String>,
    /// How many of `args` came before `--`, if there was one.
    pub dash: Option<usize>,
    pub(super) set: Vec<(&'static str, Vec<String>)>,
    pub(super) defaults: Vec<(&'static str, &'static str)>,
}

impl Flags {
    fn values(&self, name: &str) -> Option<&[String]> {
        self.set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_slice())
    }
    /// Whether it was given.
    pub fn changed(&self, name: &str) -> bool {
        self.values(name).is_some()
    }
    /// The last value given, or the default, or empty.
    pub fn str(&self, name: &str) -> &str {
        match self.values(name).and_then(<[String]>::last) {
            Some(value) => value,
            None => self.defaults.iter().find(|(n, _)| *n == name).map_or("", |(_, d)| d),
        }
    }
    pub fn bool(&self, name: &str) -> bool {
        self.str(name) == "true"
    }
    pub fn int(&self, name: &str) -> Option<i64> {
        self.str(name).parse().ok()
    }
    pub fn duration(&self, name: &str) -> base::Duration {
        parse_duration(self.str(name)).unwrap_or(base::Duration::ZERO)
    }
    pub fn list(&self, name: &str) -> Vec<String> {
        if let Some(values) = self.values(name) {
            return values.to_vec();
        }
        let default = self.str(name);
        if default.is_empty() { Vec::new() } else { default.split(',').map(String::from).collect() }
    }
    pub fn set(&mut self, name: &'static str, value: &str) {
        match self.set.iter_mut().find(|(n, _)| *n == name) {
            Some((_, values)) => *values = vec![value.into()],
            None => self.set.push((name, vec![value.into()])),
        }
    }
    /// `kubectl get`
    pub fn path(&self) -> String {
        format!("kubectl {}", self.command)
    }
    /// The command's last word.
    pub fn verb(&self) -> &'static str {
        self.command.rsplit(' ').next().unwrap_or("")
    }
}

/// Go's `time.ParseDuration`: `1h30m`, `10s`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<base::Duration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(base::Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "h" => 3_600e6,
            "m" => 60e6,
            "s" => 1e6,
            "ms" => 1e3,
            "us" | "µs" => 1.0,
            "ns" => 1e-3,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    Some(base::Duration(sign * total as i64))
}
