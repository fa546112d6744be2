//! curl, as far as people use it inside clusters: GET, HEAD, POST with data and headers, `-i -I -s -S -f -o -w -v -k -L -m -4 -6
//! -G --data-urlencode --connect-timeout`.
//! Other options are refused by name. `https` is spoken in clear, because TLS is not modelled.

use cri_api::machine::Sys;
use cri_api::program::Fd;
use cri_api::{Errno, Poll, Program};

use super::curl_args::{Data, Options, parse, url_encoded};
use super::resolve::Resolve;

#[derive(Clone)]
enum State {
    Start,
    Resolving(Box<Resolve>),
    Connecting(Fd),
    Sending(Fd, usize),
    Reading(Fd),
}

/// A curl process.
#[derive(Clone)]
pub struct Curl {
    options: Options,
    host: String,
    port: u16,
    path: String,
    state: State,
    request: String,
    /// The data as it is sent. `None`: none was given.
    body: Option<String>,
    received: Vec<u8>,
    began: base::Time,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Curl {
        options: Options::default(),
        host: String::new(),
        port: 80,
        path: "/".into(),
        state: State::Start,
        request: String::new(),
        body: None,
        received: Vec::new(),
        began: base::Time::EPOCH,
    })
}

impl Program for Curl {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        match self.run(sys) {
            Ok(code) => Poll::Exit(code),
            Err(Errno::EAGAIN) => match self.deadline_passed(sys) {
                Some(code) => Poll::Exit(code),
                None => Poll::Pending,
            },
            Err(_) => Poll::Exit(56),
        }
    }
}

impl Curl {
    fn run(&mut self, sys: &mut Sys<'_>) -> Result<i32, Errno> {
        loop {
            match &mut self.state {
                State::Start => {
                    if let Some(code) = self.begin(sys) {
                        return Ok(code);
                    }
                }
                State::Resolving(resolve) => {
                    let Some(ip) = resolve.poll(sys)? else {
                        let text = format!("(6) Could not resolve host: {}", self.host);
                        return Ok(self.fail(sys, 6, &text));
                    };
                    let fd = sys.connect(ip, self.port)?;
                    self.state = State::Connecting(fd);
                }
                State::Connecting(fd) => {
                    let fd = *fd;
                    match sys.connection(fd) {
                        Ok(()) => {
                            self.request = self.request_text();
                            self.state = State::Sending(fd, 0);
                        }
                        Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                        Err(e) => {
                            let (code, why) = match e {
                                Errno::ECONNREFUSED => (7, "Could not connect to server"),
                                Errno::ETIMEDOUT => (28, "Timeout was reached"),
                                other => (7, other.text()),
                            };
                            let (host, port, ms) = (&self.host, self.port, self.elapsed(sys));
                            let text = format!("({code}) Failed to connect to {host} port {port} after {ms} ms: {why}");
                            return Ok(self.fail(sys, code, &text));
                        }
                    }
                }
                State::Sending(fd, sent) => {
                    let (fd, at) = (*fd, *sent);
                    if at == self.request.len() {
                        self.state = State::Reading(fd);
                        continue;
                    }
                    let n = sys.write(fd, &self.request.as_bytes()[at..])?;
                    self.state = State::Sending(fd, at + n);
                }
                State::Reading(fd) => {
                    let fd = *fd;
                    match sys.read(fd, 64 * 1024) {
                        Ok(bytes) if bytes.is_empty() => return Ok(self.finish(sys)),
                        Ok(bytes) => {
                            self.received.extend_from_slice(&bytes);
                            if complete(&self.received, self.options.head) {
                                return Ok(self.finish(sys));
                            }
                        }
                        Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                        Err(_) if self.received.is_empty() => {
                            return Ok(self.fail(sys, 56, "(56) Recv failure: Connection reset by peer"));
                        }
                        Err(_) => return Ok(self.finish(sys)),
                    }
                }
            }
        }
    }

    /// Reads the command line. A code: it is over.
    fn begin(&mut self, sys: &mut Sys<'_>) -> Option<i32> {
        let argv: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
        match parse(&argv) {
            Ok(options) => self.options = options,
            Err(text) => {
                say(sys, &format!("curl: {text}\ncurl: try 'curl --help' for more information\n"));
                return Some(2);
            }
        }
        let url = self.options.url.clone();
        let (https, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                let text = format!("(1) Protocol \"{scheme}\" not supported");
                return Some(self.fail(sys, 1, &text));
            }
            None => (false, &*url),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |i| rest.split_at(i));
        let (host, port) = match authority.rsplit_once(':').filter(|(h, _)| !h.contains(':') || h.ends_with(']')) {
            Some((host, port)) => (host, port.parse().ok()),
            None => (authority, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.port = port.unwrap_or(if https { 443 } else { 80 });
        (self.host, self.path) = (host.to_string(), path.to_string());
        if let Err(path) = self.gather(sys) {
            return Some(self.fail(sys, 26, &format!("(26) Failed to open {path}")));
        }
        self.began = sys.now();
        let resolve = match self.options.family {
            Some(v6) => Resolve::of_family(&self.host, v6),
            None => Resolve::new(&self.host),
        };
        self.state = State::Resolving(Box::new(resolve));
        None
    }

    /// Puts the data together: for the body, or with `-G` behind the URL.
    ///
    /// # Errors
    /// The file that can't be read.
    fn gather(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        let mut text = |path: &str| {
            let bytes = sys.read_file(path).map_err(|_| path.to_string())?;
            Ok::<String, String>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut parts = Vec::new();
        for data in &self.options.data {
            parts.push(match data {
                Data::Text(data) => data.clone(),
                Data::File(path, false) => text(path)?,
                Data::File(path, true) => text(path)?.replace(['\r', '\n'], ""),
                Data::Encoded(name, Ok(value)) => format!("{name}{}", url_encoded(value)),
                Data::Encoded(name, Err(path)) => format!("{name}{}", url_encoded(&text(path)?)),
            });
        }
        let data = (!parts.is_empty()).then(|| parts.join("&"));
        match data {
            Some(data) if self.options.get => {
                self.path.push(if self.path.contains('?') { '&' } else { '?' });
                self.path.push_str(&data);
            }
            data => self.body = data,
        }
        Ok(())
    }

    fn elapsed(&self, sys: &Sys<'_>) -> i64 {
        sys.now().since(self.began).as_millis()
    }

    /// `-m` and `--connect-timeout`: the earlier of those that count now.
    fn deadline_passed(&mut self, sys: &mut Sys<'_>) -> Option<i32> {
        let phase = match self.state {
            State::Start | State::Resolving(_) => "Resolving",
            State::Connecting(_) => "Connection",
            State::Sending(..) | State::Reading(_) => "Operation",
        };
        let connect = self.options.connect_timeout.filter(|_| phase != "Operation");
        let seconds = match (self.options.max_time, connect) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        if !sys.sleep_until(self.began + base::Duration::from_secs_f64(seconds)) {
            return None;
        }
        let ms = self.elapsed(sys);
        let text = match phase {
            "Operation" => {
                format!("(28) Operation timed out after {ms} milliseconds with {} bytes received", self.received.len())
            }
            _ => format!("(28) {phase} timed out after {ms} milliseconds"),
        };
        Some(self.fail(sys, 28, &text))
    }

    fn request_text(&self) -> String {
        let o = &self.options;
        let method = o.method.clone().unwrap_or_else(|| {
            let default = if o.head {
                "HEAD"
            } else if self.body.is_some() {
                "POST"
            } else {
                "GET"
            };
            default.into()
        });
        let name = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let host = if matches!(self.port, 80 | 443) { name } else { format!("{name}:{}", self.port) };
        let mut text = format!("{method} {} HTTP/1.1\r\n", self.path);
        let has = |name: &str| o.headers.iter().any(|h| h.to_ascii_lowercase().starts_with(name));
        if !has("host:") {
            text.push_str(&format!("Host: {host}\r\n"));
        }
        if !has("user-agent:") {
            text.push_str("User-Agent: curl/8.16.0\r\n");
        }
        if !has("accept:") {
            text.push_str("Accept: */*\r\n");
        }
        for header in &o.headers {
            text.push_str(&format!("{header}\r\n"));
        }
        if let Some(data) = &self.body {
            if !has("content-type:") {
                text.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            }
            text.push_str(&format!("Content-Length: {}\r\n", data.len()));
        }
        text.push_str("\r\n");
        text.push_str(self.body.as_deref().unwrap_or(""));
        text
    }

    fn finish(&mut self, sys: &mut Sys<'_>) -> i32 {
        let split = self.received.windows(4).position(|w| w == b"\r\n\r\n");
        let Some(split) = split else {
            return self.fail(sys, 52, "(52) Empty reply from server");
        };
        let head = String::from_utf8_lossy(&self.received[..split]).into_owned();
        let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        if self.options.verbose {
            let sent: String = self.request.lines().take_while(|l| !l.is_empty()).map(|l| format!("> {l}\n")).collect();
            let got: String = head.lines().map(|l| format!("< {l}\n")).collect();
            say(sys, &format!("* Connected to {} port {}\n{sent}> \n{got}< \n", self.host, self.port));
        }
        if self.options.fail && status >= 400 {
            let text = format!("(22) The requested URL returned error: {status}");
            return self.fail(sys, 22, &text);
        }
        let mut body = Vec::new();
        if self.options.include || self.options.head {
            body.extend_from_slice(&self.received[..split + 4]);
        }
        if !self.options.head {
            body.extend_from_slice(&self.received[split + 4..]);
        }
        match self.options.output.clone() {
            Some(path) => {
                let _ = sys.write_file(&path, &body);
            }
            None => {
                let _ = sys.write(1, &body);
            }
        }
        if let Some(format) = &self.options.write_out {
            let text =
                format.replace("%{http_code}", &format!("{status:03}")).replace("%{response_code}", &format!("{status:03}"));
            let text = text.replace("\\n", "\n").replace("\\t", "\t").replace("%{remote_ip}", &self.host);
            let _ = sys.write(1, text.as_bytes());
        }
        0
    }

    fn fail(&mut self, sys: &mut Sys<'_>, code: i32, text: &str) -> i32 {
        if !self.options.silent || self.options.show_error {
            say(sys, &format!("curl: {text}\n"));
        }
        if let Some(format) = &self.options.write_out {
            let text = format.replace("%{http_code}", "000").replace("\\n", "\n");
            let _ = sys.write(1, text.as_bytes());
        }
        code
    }
}

fn say(sys: &mut Sys<'_>, text: &str) {
    let _ = sys.write(2, text.as_bytes());
}

/// Whether the body is as long as the head says.
fn complete(bytes: &[u8], head_only: bool) -> bool {
    let Some(split) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..split]);
    let length = head.lines().find_map(|l| {
        l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case("content-length"))?.1.trim().parse::<usize>().ok()
    });
    head_only || length.is_some_and(|n| bytes.len() - split - 4 >= n)
}
