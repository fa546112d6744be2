//! fluent.conf, as far as Fluentd here reads it (see `fluentd`); other plugins are refused as Fluentd refuses one that isn't installed.

use base::Duration;

/// What it comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub directory: String,
    pub pattern: String,
    pub pos_file: String,
    pub metadata: bool,
    pub host: String,
    pub port: u16,
    pub path: String,
    pub flush: Duration,
    pub limit: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            directory: String::new(),
            pattern: String::new(),
            pos_file: String::new(),
            metadata: false,
            host: String::new(),
            port: 80,
            path: "/".into(),
            flush: Duration::from_secs(5),
            limit: 1 << 20,
        }
    }
}

/// Reads fluent.conf. An error is Fluentd's text.
pub fn parse_config(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    let (mut section, mut inner) = (String::new(), String::new());
    let (mut has_source, mut has_match) = (false, false);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(end) = line.strip_prefix("</") {
            match end.trim_end_matches('>') {
                name if name == inner => inner.clear(),
                name if name == section => section.clear(),
                name => return Err(format!("unmatched end tag </{name}>")),
            }
            continue;
        }
        if let Some(begin) = line.strip_prefix('<') {
            let name = begin.trim_end_matches('>').split_whitespace().next().unwrap_or("").to_string();
            match section.is_empty() {
                true => section = name,
                false => inner = name,
            }
            continue;
        }
        let (name, value) = line.split_once(char::is_whitespace).map_or((line, ""), |(n, v)| (n, v.trim()));
        match (section.as_str(), inner.as_str(), name) {
            (_, "", "@type") => match (section.as_str(), value) {
                ("source", "tail") => has_source = true,
                ("match", "http") => has_match = true,
                ("filter", "kubernetes_metadata") => config.metadata = true,
                ("system", _) => {}
                (section, other) => {
                    let what = match section {
                        "source" => "input",
                        "match" => "output",
                        other => other,
                    };
                    return Err(format!("Unknown {what} plugin '{other}'. Run 'gem search -rd fluent-plugin' to find plugins"));
                }
            },
            ("source", "", "path") => {
                let (dir, pattern) = value.rsplit_once('/').unwrap_or(("", value));
                (config.directory, config.pattern) = (dir.into(), pattern.into());
            }
            ("source", "", "pos_file") => config.pos_file = value.into(),
            ("match", "", "endpoint") => {
                let rest = value.strip_prefix("http://").ok_or(format!("invalid endpoint: {value}"))?;
                let (authority, path) = rest.find('/').map_or((rest, "/"), |i| rest.split_at(i));
                let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
                (config.host, config.path) = (host.into(), path.into());
                config.port = port.parse().map_err(|_| format!("invalid endpoint: {value}"))?;
            }
            ("match", "buffer", "flush_interval") => {
                config.flush = crate::metrics_server::duration(value).ok_or(format!("flush_interval: {value}"))?;
            }
            ("match", "buffer", "total_limit_size") => {
                config.limit = size(value).ok_or(format!("total_limit_size: {value}"))?;
            }
            ("source", "parse", "@type") if value != "cri" => {
                return Err(format!("Unknown parser plugin '{value}'. Run 'gem search -rd fluent-plugin' to find plugins"));
            }
            _ => {}
        }
    }
    match (has_source && !config.directory.is_empty(), has_match && !config.host.is_empty()) {
        (false, _) => Err("'path' parameter is required on tail input".into()),
        (_, false) => Err("'endpoint' parameter is required".into()),
        _ => Ok(config),
    }
}

/// `8m`, `512k`, `1g` or bytes.
fn size(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let n: usize = text[..digits].parse().ok()?;
    let unit = match text[digits..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    n.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_or_refused_as_fluentd_does() {
        let text = "<source>\n  @type tail\n  path /var/log/containers/*.log\n  pos_file /var/log/fluentd.pos\n  <parse>\n    @type cri\n  </parse>\n</source>\n<filter kubernetes.**>\n  @type kubernetes_metadata\n</filter>\n<match **>\n  @type http\n  endpoint http://logs.logging:9428/insert\n  <buffer>\n    flush_interval 2s\n    total_limit_size 64k\n  </buffer>\n</match>\n";
        let config = parse_config(text).unwrap();
        assert_eq!((&*config.directory, &*config.pattern), ("/var/log/containers", "*.log"));
        assert_eq!((&*config.host, config.port, &*config.path), ("logs.logging", 9428, "/insert"));
        assert_eq!((config.flush, config.limit, config.metadata), (Duration::from_secs(2), 65_536, true));
        let elastic = text.replace("@type http", "@type elasticsearch");
        assert!(parse_config(&elastic).unwrap_err().starts_with("Unknown output plugin 'elasticsearch'."));
        assert_eq!(parse_config("").unwrap_err(), "'path' parameter is required on tail input");
        assert_eq!(parse_config("</x>").unwrap_err(), "unmatched end tag </x>");
    }
}
