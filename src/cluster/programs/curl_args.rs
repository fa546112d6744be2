//! curl's command line.

/// What the command line asks for.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub url: String,
    pub method: Option<String>,
    pub headers: Vec<String>,
    /// What `-d` and its kin gave, with `&` between.
    pub data: Vec<Data>,
    /// `-G`: the data goes into the URL.
    pub get: bool,
    pub include: bool,
    pub head: bool,
    pub silent: bool,
    pub show_error: bool,
    pub fail: bool,
    pub verbose: bool,
    pub output: Option<String>,
    pub write_out: Option<String>,
    /// Seconds.
    pub max_time: Option<f64>,
    pub connect_timeout: Option<f64>,
    /// Only IPv6 (or only IPv4).
    pub family: Option<bool>,
}

/// One piece of data.
#[derive(Clone)]
pub(super) enum Data {
    Text(String),
    /// A file; true: without its line ends, as `-d` takes it.
    File(String, bool),
    /// `--data-urlencode`: what comes before the encoded text, and the text or its file.
    Encoded(String, Result<String, String>),
}

/// One piece of data, as the option reads it: `@` names a file but with `--data-raw`.
fn data(option: &str, text: &str) -> Data {
    match (option, text.strip_prefix('@')) {
        ("--data-urlencode", _) => {
            let Some(at) = text.find(['=', '@']) else { return Data::Encoded(String::new(), Ok(text.into())) };
            let (name, value) = (&text[..at], &text[at + 1..]);
            let name = if name.is_empty() { String::new() } else { format!("{name}=") };
            Data::Encoded(name, if text[at..].starts_with('=') { Ok(value.into()) } else { Err(value.into()) })
        }
        ("--data-raw", _) | (_, None) => Data::Text(text.into()),
        ("--data-binary", Some(path)) => Data::File(path.into(), false),
        (_, Some(path)) => Data::File(path.into(), true),
    }
}

/// What a form does to a value: all but letters, digits and `-._~` as `%XX`, spaces as `+`.
pub(super) fn url_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A span of time, as the option (by the word in which it stands) takes it.
///
/// # Errors
/// What curl says of a text that is none.
fn seconds(option: &str, text: &str) -> Result<f64, String> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite() && text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.'));
    match number {
        None => Err(format!("option {option}: expected a proper numerical parameter")),
        Some(n) if n < 0.0 => Err(format!("option {option}: expected a positive numerical parameter")),
        Some(n) => Ok(n),
    }
}

/// # Errors
/// What curl says of the command line.
pub(super) fn parse(argv: &[String]) -> Result<Options, String> {
    let mut o = Options::default();
    let mut args = argv.iter();
    while let Some(arg) = args.next() {
        let mut value = |name: &str| args.next().cloned().ok_or_else(|| format!("option {name}: requires parameter"));
        match arg.as_str() {
            "-X" | "--request" => o.method = Some(value(arg)?),
            "-H" | "--header" => o.headers.push(value(arg)?),
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii" | "--data-urlencode" => {
                o.data.push(data(arg, &value(arg)?));
            }
            "--get" => o.get = true,
            "-o" | "--output" => o.output = Some(value(arg)?),
            "-w" | "--write-out" => o.write_out = Some(value(arg)?),
            "-m" | "--max-time" | "--connect-timeout" => {
                let seconds = Some(seconds(arg, &value(arg)?)?);
                *(if arg == "--connect-timeout" { &mut o.connect_timeout } else { &mut o.max_time }) = seconds;
            }
            "--ipv4" => o.family = Some(false),
            "--ipv6" => o.family = Some(true),
            "-A" | "--user-agent" => {
                let agent = value(arg)?;
                o.headers.push(format!("User-Agent: {agent}"));
            }
            "--include" => o.include = true,
            "--head" => o.head = true,
            "--silent" => o.silent = true,
            "--show-error" => o.show_error = true,
            "--fail" => o.fail = true,
            "--verbose" => o.verbose = true,
            "--insecure" | "--location" | "--http1.1" | "--no-progress-meter" => {}
            "--cacert" | "--cert" | "--key" => {
                value(arg)?;
            }
            long if long.starts_with("--") => return Err(format!("option {long}: is unknown")),
            short if short.starts_with('-') && short.len() > 1 => {
                let letters: Vec<char> = short[1..].chars().collect();
                for (i, letter) in letters.iter().enumerate() {
                    match letter {
                        'i' => o.include = true,
                        'I' => o.head = true,
                        'G' => o.get = true,
                        's' => o.silent = true,
                        'S' => o.show_error = true,
                        'f' => o.fail = true,
                        'v' => o.verbose = true,
                        '4' => o.family = Some(false),
                        '6' => o.family = Some(true),
                        'k' | 'L' | 'N' | 'g' => {}
                        'o' | 'w' | 'm' | 'X' | 'H' | 'd' if i + 1 == letters.len() => {
                            let v = value(&format!("-{letter}"))?;
                            match letter {
                                'o' => o.output = Some(v),
                                'w' => o.write_out = Some(v),
                                'm' => o.max_time = Some(seconds(arg, &v)?),
                                'X' => o.method = Some(v),
                                'H' => o.headers.push(v),
                                _ => o.data.push(data("-d", &v)),
                            }
                        }
                        other => return Err(format!("option -{other}: is unknown")),
                    }
                }
            }
            url => o.url = url.to_string(),
        }
    }
    if o.url.is_empty() {
        return Err("no URL specified".into());
    }
    Ok(o)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_as_its_option_says() {
        let shown = |option: &str, text: &str| match data(option, text) {
            Data::Text(text) => text,
            Data::File(path, strips) => format!("file {path} {strips}"),
            Data::Encoded(name, Ok(value)) => format!("{name}{}", url_encoded(&value)),
            Data::Encoded(name, Err(path)) => format!("{name} file {path}"),
        };
        for (option, text, wanted) in [
            ("--data-urlencode", "query=sum by (pod) (up{a=\"b\"})", "query=sum+by+%28pod%29+%28up%7Ba%3D%22b%22%7D%29"),
            ("--data-urlencode", "=a=b", "a%3Db"),
            ("--data-urlencode", "plain ü", "plain+%C3%BC"),
            ("--data-urlencode", "q@query.txt", "q= file query.txt"),
            ("-d", "@body.json", "file body.json true"),
            ("--data-binary", "@body.json", "file body.json false"),
            ("--data-raw", "@body.json", "@body.json"),
            ("-d", "a=b", "a=b"),
        ] {
            assert_eq!(shown(option, text), wanted, "{option} {text}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        for (line, wanted) in [
            ("-m 2.5 x", "2.5"),
            ("-sm 3 x", "3"),
            ("-m abc x", "option -m: expected a proper numerical parameter"),
            ("-sm abc x", "option -sm: expected a proper numerical parameter"),
            ("--max-time 1s x", "option --max-time: expected a proper numerical parameter"),
            ("--connect-timeout inf x", "option --connect-timeout: expected a proper numerical parameter"),
            ("-m -1 x", "option -m: expected a positive numerical parameter"),
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            let shown = parse(&words).map_or_else(|e| e, |o| o.max_time.or(o.connect_timeout).unwrap_or(0.0).to_string());
            assert_eq!(shown, wanted, "{line}");
        }
    }

    #[test]
    fn the_url_of_a_query_may_come_last_or_first() {
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        let options = parse(&words("-sG http://a/api --data-urlencode query=up -d time=5")).ok().unwrap();
        assert!(options.get && options.silent && options.data.len() == 2 && options.url == "http://a/api");
        assert!(parse(&words("--get http://a --data-urlencode")).is_err());
    }
}
