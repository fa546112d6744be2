//! `wget` over the resolver and a connection: plain HTTP, redirects, chunked bodies. HTTPS is refused by name.

use std::net::IpAddr;

use base::{Duration, Time};
use cri_api::{Errno, Fd, OpenFlags, Poll, Program, Sys, Text, WriteOut};

use crate::applets::{Options, finish};
use crate::resolve::{Lookup, Resolver};

/// The body of an HTTP answer as it comes.
#[derive(Clone, Default)]
struct Http {
    head: Vec<u8>,
    /// Code and reason once the head is complete.
    status: Option<(u16, String)>,
    headers: String,
    chunked: bool,
    left: Option<usize>,
    raw: Vec<u8>,
    over: bool,
}

impl Http {
    /// Takes bytes; gives what of the body they hold.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut rest = bytes.to_vec();
        if self.status.is_none() {
            self.head.extend_from_slice(bytes);
            let Some(end) = self.head.windows(4).position(|w| w == b"\r\n\r\n") else { return Vec::new() };
            rest = self.head.split_off(end + 4);
            self.parse_head();
        }
        if !self.chunked {
            if let Some(left) = &mut self.left {
                rest.truncate(*left);
                *left -= rest.len();
                self.over = *left == 0;
            }
            return rest;
        }
        self.raw.extend(rest);
        self.dechunk()
    }

    fn parse_head(&mut self) {
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or("");
        let mut words = first.splitn(3, ' ');
        let code = words.nth(1).and_then(|c| c.parse().ok()).unwrap_or(0);
        self.status = Some((code, first.to_string()));
        for line in lines {
            let lower = line.to_ascii_lowercase();
            if let Some(length) = lower.strip_prefix("content-length:") {
                self.left = length.trim().parse().ok();
                self.over = self.left == Some(0);
            }
            self.chunked |= lower.starts_with("transfer-encoding:") && lower.contains("chunked");
        }
        self.headers = head;
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
        })
    }

    fn dechunk(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(end) = self.raw.windows(2).position(|w| w == b"\r\n") {
            let size = String::from_utf8_lossy(&self.raw[..end])
                .split(';')
                .next()
                .and_then(|s| usize::from_str_radix(s.trim(), 16).ok());
            let Some(size) = size else {
                self.over = true;
                break;
            };
            if size == 0 {
                self.over = true;
                break;
            }
            if self.raw.len() < end + 2 + size + 2 {
                break;
            }
            body.extend_from_slice(&self.raw[end + 2..end + 2 + size]);
            self.raw.drain(..end + 4 + size);
        }
        body
    }
}

/// What a URL names: scheme, host, port, path.
fn parse_url(url: &str) -> Result<(String, u16, String), String> {
    let rest = match url.split_once("://") {
        None => url,
        Some(("http", rest)) => rest,
        Some(("https", _)) => return Err("https is not supported by this wget".into()),
        Some((scheme, _)) => return Err(format!("not an http or ftp url: {scheme}")),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) =
        match authority.rsplit_once(':').filter(|(h, _)| !h.ends_with(':') && (!h.contains(':') || h.ends_with(']'))) {
            Some((host, port)) => (host, port.parse().map_err(|_| format!("bad port in '{url}'"))?),
            None => (authority, 80),
        };
    Ok((host.trim_matches(['[', ']']).to_string(), port, path.to_string()))
}

#[derive(Clone, Default)]
enum Stage {
    #[default]
    Start,
    Resolve,
    Connect,
    Send,
    Receive,
    Done(i32),
}

/// `wget -q -O FILE -T SECS -S --header --post-data --spider URL`.
#[derive(Clone, Default)]
pub(super) struct Wget {
    stage: Stage,
    host: String,
    port: u16,
    path: String,
    quiet: bool,
    show_headers: bool,
    spider: bool,
    output: Option<Text>,
    file: Option<Fd>,
    headers: Vec<Text>,
    post: Option<Text>,
    timeout: Option<Duration>,
    deadline: Option<Time>,
    resolver: Option<Resolver>,
    addresses: Vec<IpAddr>,
    fd: Option<Fd>,
    http: Http,
    redirects: u32,
    bytes: u64,
    out: WriteOut,
}

impl Wget {
    fn fail(&mut self, text: impl AsRef<str>) {
        self.out.push(2, format!("wget: {}\n", text.as_ref()).as_bytes());
        self.stage = Stage::Done(1);
    }

    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        let argv = sys.argv();
        let long = [
            ("header", 'H'),
            ("post-data", 'p'),
            ("spider", 's'),
            ("quiet", 'q'),
            ("timeout", 'T'),
            ("output-document", 'O'),
            ("tries", 't'),
            ("server-response", 'S'),
            ("no-check-certificate", 'N'),
        ];
        let options = Options::parse(&argv[1..], "qO:T:SsH:p:t:NcU:P:Y:", &long)?;
        let url = options.operands.first().ok_or("missing URL")?;
        (self.host, self.port, self.path) = parse_url(url)?;
        (self.quiet, self.show_headers, self.spider) = (options.has('q'), options.has('S'), options.has('s'));
        self.headers = options.values('H').cloned().collect();
        self.post = options.value('p').cloned();
        self.timeout = options.value('T').and_then(|t| crate::text::parse_duration(t));
        self.output = Some(options.value('O').cloned().unwrap_or_else(|| match crate::text::basename(&self.path) {
            "/" | "" => "index.html".into(),
            name => name.into(),
        }));
        self.resolver = Some(Resolver::new(&self.host));
        // busybox gives up after 900 seconds.
        self.deadline = Some(sys.after(self.timeout.unwrap_or(Duration::from_secs(900))));
        self.stage = Stage::Resolve;
        Ok(())
    }

    fn note(&mut self, text: &str) {
        if !self.quiet {
            self.out.push(2, text.as_bytes());
        }
    }

    fn resolve(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some(resolver) = &mut self.resolver else { return false };
        match resolver.poll(sys) {
            None => return false,
            Some(Lookup::Found(addresses)) => {
                self.addresses = addresses;
                let text = format!("Connecting to {} ({}:{})\n", authority(&self.host, self.port), self.addresses[0], self.port);
                self.note(&text);
                match sys.connect(self.addresses[0], self.port) {
                    Ok(fd) => {
                        self.fd = Some(fd);
                        self.stage = Stage::Connect;
                    }
                    Err(error) => self.fail(format!("can't connect to remote host: {error}")),
                }
            }
            Some(_) => {
                let text = format!("bad address '{}'", authority(&self.host, self.port));
                self.fail(text);
            }
        }
        true
    }

    fn request(&self) -> String {
        let method = match (&self.post, self.spider) {
            (Some(_), _) => "POST",
            (None, true) => "HEAD",
            (None, false) => "GET",
        };
        let mut text = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Wget\r\nConnection: close\r\n",
            self.path,
            authority(&self.host, self.port)
        );
        for header in &self.headers {
            text += &format!("{header}\r\n");
        }
        if let Some(body) = &self.post {
            text += &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        } else {
            text += "\r\n";
        }
        text
    }

    fn receive(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some(fd) = self.fd else { return false };
        match sys.read(fd, 65_536) {
            Err(Errno::EAGAIN) => return false,
            Err(_) => self.fail("error getting response: Connection reset by peer"),
            Ok(bytes) => {
                let ended = bytes.is_empty();
                let had_head = self.http.status.is_some();
                let body = self.http.take(&bytes);
                if ended && self.http.status.is_none() {
                    self.fail("error getting response");
                    return true;
                }
                if !had_head && self.http.status.is_some() && !self.head_came(sys) {
                    return true;
                }
                self.bytes += body.len() as u64;
                if let (Some(file), false) = (self.file, self.spider) {
                    self.out.push(file, &body);
                }
                if ended || self.http.over || self.spider {
                    if ended && self.http.left.is_some_and(|left| left > 0) && !self.spider {
                        self.fail("connection closed prematurely");
                        return true;
                    }
                    let name = self.output.clone().unwrap_or_default();
                    let saved = match (&*name, self.spider) {
                        (_, true) => "remote file exists\n".to_string(),
                        ("-", _) => format!(
                            "-                    100% |********************************| {:>5}  0:00:00 ETA\nwritten to stdout\n",
                            self.bytes
                        ),
                        (name, _) => format!(
                            "{name:<20} 100% |********************************| {:>5}  0:00:00 ETA\n'{name}' saved\n",
                            self.bytes
                        ),
                    };
                    self.note(&saved);
                    self.stage = Stage::Done(0);
                }
            }
        }
        true
    }

    /// The head has come: follow a redirection, fail, or open the file. False: there is no body to take.
    fn head_came(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some((code, line)) = self.http.status.clone() else { return true };
        if self.show_headers {
            let text: String = self.http.headers.trim_end().split("\r\n").map(|l| format!("  {l}\n")).collect();
            self.out.push(2, text.as_bytes());
        }
        if (301..400).contains(&code)
            && let Some(location) = self.http.header("Location")
        {
            self.redirects += 1;
            let target = if location.starts_with('/') {
                format!("http://{}{location}", authority(&self.host, self.port))
            } else {
                location
            };
            match parse_url(&target) {
                Ok(parts) if self.redirects < 5 => {
                    (self.host, self.port, self.path) = parts;
                    if let Some(fd) = self.fd.take() {
                        let _ = sys.close(fd);
                    }
                    self.http = Http::default();
                    self.resolver = Some(Resolver::new(&self.host));
                    self.stage = Stage::Resolve;
                }
                Ok(_) => self.fail("too many redirections"),
                Err(message) => self.fail(message),
            }
            return false;
        }
        if !(200..300).contains(&code) {
            self.fail(format!("server returned error: {line}"));
            return false;
        }
        if self.spider {
            return true;
        }
        let name = self.output.clone().unwrap_or_default();
        if &*name == "-" {
            self.file = Some(1);
            return true;
        }
        let text = format!("saving to '{name}'\n");
        self.note(&text);
        match sys.open(&name, OpenFlags::WRITE, 0o666) {
            Ok(fd) => self.file = Some(fd),
            Err(error) => {
                self.fail(format!("can't open '{name}': {error}"));
                return false;
            }
        }
        true
    }
}

fn authority(host: &str, port: u16) -> String {
    if port == 80 { host.to_string() } else { format!("{host}:{port}") }
}

impl Program for Wget {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            if let Stage::Done(code) = self.stage {
                return finish(&mut self.out, sys, code);
            }
            if self.out.flush(sys) == Ok(false) {
                return Poll::Pending;
            }
            let moved = match self.stage {
                Stage::Start => {
                    if let Err(message) = self.start(sys) {
                        self.fail(message);
                    }
                    true
                }
                Stage::Resolve => self.resolve(sys),
                Stage::Connect => match self.fd.map(|fd| sys.connection(fd)) {
                    Some(Err(Errno::EAGAIN)) => false,
                    Some(Ok(())) => {
                        if let Some(fd) = self.fd {
                            let request = self.request();
                            self.out.push(fd, request.as_bytes());
                        }
                        self.stage = Stage::Send;
                        true
                    }
                    Some(Err(error)) => {
                        let text = format!("can't connect to remote host ({}): {error}", self.addresses[0]);
                        self.fail(text);
                        true
                    }
                    None => false,
                },
                Stage::Send => {
                    self.stage = Stage::Receive;
                    true
                }
                Stage::Receive => self.receive(sys),
                Stage::Done(_) => true,
            };
            if !moved {
                if self.deadline.is_some_and(|at| sys.sleep_until(at)) {
                    self.fail("download timed out");
                    continue;
                }
                return Poll::Pending;
            }
        }
    }
}
