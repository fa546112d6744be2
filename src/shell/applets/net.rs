//! Programs that talk over the network: `wget`, `nslookup`, `nc`, `ping`. Left out by name: `telnet`, `ftpget`, HTTPS in `wget`
//! (refused), `nc -u`.

use std::net::IpAddr;

use base::{Duration, Time};
use cri_api::net::{RecordData, RecordType, ResponseCode};
use cri_api::{CallId, Errno, Fd, OpenFlags, Poll, Program, Sys, Text, WriteOut};

use super::{Make, Options, STDIN, finish};
use crate::resolve::{Config, Lookup, Resolver};

pub(super) const TABLE: &[(&str, Make)] = &[
    ("wget", || Box::new(Wget::default())),
    ("nslookup", || Box::new(Nslookup::default())),
    ("nc", || Box::new(Nc::default())),
    ("ping", || Box::new(Ping::default())),
];

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
struct Wget {
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

/// `nslookup NAME [SERVER]`, `-type=`.
#[derive(Clone, Default)]
struct Nslookup {
    started: bool,
    name: String,
    server: Option<IpAddr>,
    types: Vec<RecordType>,
    /// Names still to ask, by search domain.
    names: Vec<String>,
    calls: Vec<(CallId, RecordType, bool)>,
    deadline: Option<Time>,
    tries: u32,
    text: String,
    failed: bool,
    out: WriteOut,
    code: Option<i32>,
}

impl Nslookup {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let mut words: Vec<&Text> = Vec::new();
        for arg in argv.iter().skip(1) {
            match arg.strip_prefix("-type=").or(arg.strip_prefix("-query=")).or(arg.strip_prefix("-q=")) {
                Some(kind) => self.types.push(record_type(kind).ok_or_else(|| format!("invalid query type \"{kind}\""))?),
                None if arg.starts_with('-') => {}
                None => words.push(arg),
            }
        }
        let name = words.first().ok_or("missing operand")?;
        let config = Config::read(sys);
        self.server = match words.get(1) {
            Some(server) => Some(server.parse().map_err(|_| format!("bad address '{server}'"))?),
            None => config.servers.first().copied(),
        };
        let Some(server) = self.server else { return Err("no DNS servers".into()) };
        let shown = if server.is_ipv6() { format!("[{server}]:53") } else { format!("{server}:53") };
        self.out.push(1, format!("Server:\t\t{server}\nAddress:\t{shown}\n\n").as_bytes());
        if let Ok(ip) = name.parse::<IpAddr>() {
            self.types = vec![RecordType::PTR];
            self.names = vec![crate::resolve::reverse_name(ip)];
        } else {
            if self.types.is_empty() {
                self.types = vec![RecordType::A, RecordType::AAAA];
            }
            self.names = config.candidates(name);
        }
        self.name = name.to_string();
        self.ask(sys);
        Ok(())
    }

    fn ask(&mut self, sys: &mut Sys<'_>) {
        let (Some(name), Some(server)) = (self.names.first().cloned(), self.server) else { return };
        for kind in self.types.clone() {
            let question = cri_api::net::Question { name: name.to_ascii_lowercase().into(), record_type: kind };
            self.calls.push((sys.query(server, question), kind, false));
        }
        self.deadline = Some(sys.after(Duration::from_secs(5)));
    }

    fn answers(&mut self, sys: &mut Sys<'_>) -> bool {
        let mut moved = false;
        for i in 0..self.calls.len() {
            let (call, kind, done) = self.calls[i];
            if done {
                continue;
            }
            let Ok(answer) = sys.answer(call) else { continue };
            moved = true;
            self.calls[i].2 = true;
            let Some(answer) = answer else { continue };
            let name = self.names.first().cloned().unwrap_or_default();
            match answer.code {
                ResponseCode::NoError => self.show(&answer, kind, &name),
                ResponseCode::NxDomain => {
                    let line = format!("** server can't find {name}: NXDOMAIN\n\n");
                    if !self.text.contains(&line) {
                        self.text += &line;
                    }
                    self.failed = true;
                }
                ResponseCode::ServFail => {
                    self.text += &format!("** server can't find {name}: SERVFAIL\n\n");
                    self.failed = true;
                }
                ResponseCode::Refused => {
                    self.text += &format!("** server can't find {name}: REFUSED\n\n");
                    self.failed = true;
                }
            }
        }
        moved
    }

    fn show(&mut self, answer: &cri_api::net::Answer, kind: RecordType, name: &str) {
        if answer.records.is_empty() {
            if kind != RecordType::AAAA || self.types.len() == 1 {
                self.text += &format!("*** Can't find {name}: No answer\n\n");
            }
            return;
        }
        let mut text = if answer.authoritative { String::new() } else { "Non-authoritative answer:\n".into() };
        for record in &answer.records {
            let owner = &record.name;
            text += &match &record.data {
                RecordData::Ip(ip) => format!("Name:\t{owner}\nAddress: {ip}\n"),
                RecordData::Cname(target) => format!("{owner}\tcanonical name = {target}\n"),
                RecordData::Ptr(target) => format!("{owner}\tname = {target}\n"),
                RecordData::Ns(target) => format!("{owner}\tnameserver = {target}\n"),
                RecordData::Txt(text) => format!("{owner}\ttext = \"{text}\"\n"),
                RecordData::Srv { priority, weight, port, target } => {
                    format!("{owner}\tservice = {priority} {weight} {port} {target}\n")
                }
                RecordData::Soa(text) => format!("{owner}\n\t{text}\n"),
            };
        }
        self.text += &text;
        self.text.push('\n');
    }

    /// All answers are there: the next search domain, or the end.
    fn advance(&mut self, sys: &mut Sys<'_>) {
        self.calls.clear();
        if self.failed && self.names.len() > 1 {
            self.names.remove(0);
            self.failed = false;
            self.ask(sys);
            return;
        }
        self.out.push(1, self.text.as_bytes());
        self.code = Some(self.failed as i32);
    }
}

fn record_type(text: &str) -> Option<RecordType> {
    Some(match text.to_ascii_uppercase().as_str() {
        "A" => RecordType::A,
        "AAAA" => RecordType::AAAA,
        "CNAME" => RecordType::CNAME,
        "NS" => RecordType::NS,
        "PTR" => RecordType::PTR,
        "SOA" => RecordType::SOA,
        "SRV" => RecordType::SRV,
        "TXT" => RecordType::TXT,
        _ => return None,
    })
}

impl Program for Nslookup {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("nslookup: {message}\n").as_bytes());
            self.code = Some(1);
        }
        loop {
            if let Some(code) = self.code {
                return finish(&mut self.out, sys, code);
            }
            let moved = self.answers(sys);
            if self.calls.iter().all(|(_, _, done)| *done) {
                self.advance(sys);
                continue;
            }
            if moved {
                continue;
            }
            if self.deadline.is_some_and(|at| sys.sleep_until(at)) {
                self.tries += 1;
                if self.tries >= 2 {
                    self.out.push(1, b";; connection timed out; no servers could be reached\n\n");
                    self.code = Some(1);
                } else {
                    self.calls.clear();
                    self.ask(sys);
                }
                continue;
            }
            return Poll::Pending;
        }
    }
}

/// `nc HOST PORT`, `nc -z`, `nc -l -p PORT`.
#[derive(Clone, Default)]
struct Nc {
    started: bool,
    scan: bool,
    verbose: bool,
    wait: Option<Duration>,
    deadline: Option<Time>,
    port: u16,
    host: String,
    resolver: Option<Resolver>,
    listener: Option<Fd>,
    fd: Option<Fd>,
    open: bool,
    stdin_ended: bool,
    out: WriteOut,
    code: Option<i32>,
}

impl Nc {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let options = Options::parse(&argv[1..], "lp:w:zvnq:i:k", &[])?;
        (self.scan, self.verbose) = (options.has('z'), options.has('v'));
        self.wait = options.value('w').and_then(|w| crate::text::parse_duration(w));
        let mut words = options.operands.iter();
        let port = |text: Option<&Text>| text.and_then(|t| t.parse::<u16>().ok()).ok_or_else(|| "bad port".to_string());
        if options.has('l') {
            self.port = port(options.value('p').or(words.next()))?;
            self.listener = Some(sys.listen(None, self.port).map_err(|error| format!("bind: {error}"))?);
        } else {
            self.host = words.next().ok_or("missing operand")?.to_string();
            self.port = port(words.next())?;
            self.resolver = Some(Resolver::new(&self.host));
        }
        self.deadline = self.wait.map(|span| sys.after(span));
        Ok(())
    }

    fn connect(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if let Some(listener) = self.listener {
            match sys.accept(listener) {
                Ok(fd) => {
                    (self.fd, self.open) = (Some(fd), true);
                    let _ = sys.close(listener);
                }
                Err(_) => return Some(Poll::Pending),
            }
            return None;
        }
        if self.fd.is_none() {
            let looked = self.resolver.as_mut()?.poll(sys);
            match looked {
                None => return self.wait_more(sys),
                Some(Lookup::Found(addresses)) => self.fd = sys.connect(addresses[0], self.port).ok(),
                Some(_) => self.fail(format!("bad address '{}'", self.host)),
            }
            return None;
        }
        match sys.connection(self.fd.unwrap_or(0)) {
            Ok(()) => {
                self.open = true;
                self.deadline = None;
                if self.verbose {
                    self.out.push(2, format!("{} ({}:{}) open\n", self.host, self.host, self.port).as_bytes());
                }
                if self.scan {
                    self.code = Some(0);
                }
            }
            Err(Errno::EAGAIN) => return self.wait_more(sys),
            Err(error) => self.fail(format!("can't connect to remote host ({}): {error}", self.host)),
        }
        None
    }

    fn wait_more(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if self.deadline.is_some_and(|at| sys.sleep_until(at)) {
            self.fail("timed out".into());
            return None;
        }
        Some(Poll::Pending)
    }

    fn fail(&mut self, text: String) {
        if self.verbose || !self.scan {
            self.out.push(2, format!("nc: {text}\n").as_bytes());
        }
        self.code = Some(1);
    }

    /// Carries bytes both ways. False: nothing could be moved.
    fn carry(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some(fd) = self.fd else { return false };
        let mut moved = false;
        match sys.read(fd, 65_536) {
            Ok(bytes) if bytes.is_empty() => self.code = Some(0),
            Ok(bytes) => {
                self.out.push(1, &bytes);
                moved = true;
            }
            Err(Errno::EAGAIN) => {}
            Err(_) => self.code = Some(1),
        }
        if !self.stdin_ended {
            match sys.read(STDIN, 65_536) {
                Ok(bytes) if bytes.is_empty() => {
                    self.stdin_ended = true;
                    let _ = sys.shutdown(fd);
                }
                Ok(bytes) => {
                    self.out.push(fd, &bytes);
                    moved = true;
                }
                Err(Errno::EAGAIN) => {}
                Err(_) => self.stdin_ended = true,
            }
        }
        moved || self.code.is_some()
    }
}

impl Program for Nc {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("nc: {message}\n").as_bytes());
            self.code = Some(1);
        }
        for _ in 0..64 {
            if let Some(code) = self.code {
                return finish(&mut self.out, sys, code);
            }
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if !self.open {
                if let Some(poll) = self.connect(sys) {
                    return poll;
                }
            } else if !self.carry(sys) {
                return Poll::Pending;
            }
        }
        Poll::Ready
    }
}

/// `ping -c N -W SECS -i SECS -q HOST`.
#[derive(Clone, Default)]
struct Ping {
    started: bool,
    host: String,
    count: Option<u32>,
    interval: Duration,
    wait: Duration,
    resolver: Option<Resolver>,
    ip: Option<IpAddr>,
    call: Option<(CallId, Time)>,
    next: Option<Time>,
    sent: u32,
    received: u32,
    /// Microseconds: least, sum, most.
    times: (i64, i64, i64),
    out: WriteOut,
    code: Option<i32>,
}

impl Ping {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let options = Options::parse(&argv[1..], "c:W:w:i:s:qn46I:t:", &[])?;
        self.host = options.operands.first().ok_or("missing operand")?.to_string();
        self.count = options.value('c').and_then(|c| c.parse().ok());
        let span = |letter, default| {
            options.value(letter).and_then(|v| crate::text::parse_duration(v)).unwrap_or(Duration::from_secs(default))
        };
        (self.interval, self.wait) = (span('i', 1), span('W', 10));
        self.resolver = Some(Resolver::new(&self.host));
        sys.on_signal(cri_api::Signal::INT, cri_api::Disposition::Catch);
        Ok(())
    }

    fn summary(&mut self) {
        let lost = (self.sent - self.received) * 100 / self.sent.max(1);
        let mut text = format!(
            "\n--- {} ping statistics ---\n{} packets transmitted, {} packets received, {lost}% packet loss\n",
            self.host, self.sent, self.received
        );
        if self.received > 0 {
            let ms = |us: i64| format!("{}.{:03}", us / 1000, us % 1000);
            let (low, sum, high) = self.times;
            text += &format!("round-trip min/avg/max = {}/{}/{} ms\n", ms(low), ms(sum / self.received as i64), ms(high));
        }
        self.out.push(1, text.as_bytes());
        self.code = Some((self.received == 0) as i32);
    }

    fn step(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if sys.take_signal().is_some() {
            self.summary();
            return None;
        }
        let Some(ip) = self.ip else {
            match self.resolver.as_mut()?.poll(sys) {
                None => return Some(Poll::Pending),
                Some(Lookup::Found(addresses)) => {
                    self.ip = Some(addresses[0]);
                    self.out.push(1, format!("PING {} ({}): 56 data bytes\n", self.host, addresses[0]).as_bytes());
                }
                Some(_) => {
                    self.out.push(2, format!("ping: bad address '{}'\n", self.host).as_bytes());
                    self.code = Some(1);
                }
            }
            return None;
        };
        if let Some((call, at)) = self.call {
            match sys.pong(call) {
                Err(Errno::EAGAIN) if !sys.sleep_until(at + self.wait) => return Some(Poll::Pending),
                Ok(Some(ttl)) => {
                    let us = sys.now().since(at).as_micros();
                    let (low, sum, high) = self.times;
                    self.times = (if self.received == 0 { us } else { low.min(us) }, sum + us, high.max(us));
                    let line =
                        format!("64 bytes from {ip}: seq={} ttl={ttl} time={}.{:03} ms\n", self.sent - 1, us / 1000, us % 1000);
                    self.received += 1;
                    self.out.push(1, line.as_bytes());
                }
                _ => {}
            }
            self.call = None;
            self.next = Some(at + self.interval);
        }
        if self.count.is_some_and(|n| self.sent >= n) {
            self.summary();
            return None;
        }
        if self.next.is_some_and(|at| !sys.sleep_until(at)) {
            return Some(Poll::Pending);
        }
        self.call = Some((sys.ping(ip), sys.now()));
        self.sent += 1;
        None
    }
}

impl Program for Ping {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("ping: {message}\n").as_bytes());
            self.code = Some(1);
        }
        loop {
            if let Some(code) = self.code {
                return finish(&mut self.out, sys, code);
            }
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if let Some(poll) = self.step(sys) {
                return poll;
            }
        }
    }
}
