//! Servers that speak HTTP/1.1 over simulated connections: nginx, httpd, agnhost's netexec, registry.k8s.io/echoserver, and
//! registry.k8s.io/hpa-example, of which every request costs CPU.
//!
//! They serve files of their own filesystem (so that a mounted ConfigMap or an edited index.html is what comes back) and log as the
//! real ones do. Left out by name: TLS, configuration files beyond the port, modules.

use std::rc::Rc;

use base::Sort as _;
use base::Time;
use cri_api::machine::Sys;
use cri_api::program::Fd;
use cri_api::{Disposition, Errno, Poll, Program, Signal};

/// What a request costs hpa-example: a step is a twenty-thousandth of a core-second.
const REQUEST_STEPS: u32 = 800;

/// Which server it pretends to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nginx,
    Httpd,
    /// Answers with the pod's name and the request: netexec, echoserver.
    Echo,
    /// Computes for a while and says OK!
    Busy,
}

#[derive(Clone)]
struct Conn {
    fd: Fd,
    received: Vec<u8>,
    /// Bytes still to be sent; closing follows.
    sending: Option<Rc<Vec<u8>>>,
    sent: usize,
    peer: String,
}

/// A running server.
#[derive(Clone)]
pub struct HttpServer {
    kind: Kind,
    listeners: Vec<Fd>,
    conns: Vec<Conn>,
    started: bool,
}

/// The constructor for the program table: `nginx`, `httpd`, `agnhost`.
pub fn start(name: &str) -> Box<dyn Program> {
    let kind = match name {
        "nginx" => Kind::Nginx,
        "httpd" => Kind::Httpd,
        "hpa-example" => Kind::Busy,
        _ => Kind::Echo,
    };
    Box::new(HttpServer { kind, listeners: Vec::new(), conns: Vec::new(), started: false })
}

impl Program for HttpServer {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            if let Some(code) = self.begin(sys) {
                return Poll::Exit(code);
            }
        }
        if let Some(signal) = sys.take_signal() {
            if self.kind == Kind::Nginx {
                let name = if signal == Signal::QUIT { "gracefully shutting down" } else { "exiting" };
                notice(sys, &format!("signal {} (SIG{}) received, {name}", signal.0, signal.name()));
            }
            return Poll::Exit(0);
        }
        for listener in self.listeners.clone() {
            while let Ok(fd) = sys.accept(listener) {
                let peer = sys.addresses(fd).ok().and_then(|(_, far)| far).map_or_else(|| "-".into(), |(ip, _)| ip.to_string());
                self.conns.push(Conn { fd, received: Vec::new(), sending: None, sent: 0, peer });
            }
        }
        let kind = self.kind;
        self.conns.retain_mut(|conn| match serve(kind, conn, sys) {
            true => true,
            false => {
                let _ = sys.close(conn.fd);
                false
            }
        });
        Poll::Pending
    }
}

impl HttpServer {
    /// Opens the ports. An exit code: it can't run.
    fn begin(&mut self, sys: &mut Sys<'_>) -> Option<i32> {
        for signal in [Signal::TERM, Signal::QUIT, Signal::INT] {
            sys.on_signal(signal, Disposition::Catch);
        }
        let argv = sys.argv();
        for port in self.ports(sys, &argv) {
            match sys.listen(None, port) {
                Ok(fd) => self.listeners.push(fd),
                Err(e) => {
                    let text = format!("bind() to 0.0.0.0:{port} failed (98: {})", e.text());
                    log(sys, 2, &format!("nginx: [emerg] {text}\n"));
                    return Some(1);
                }
            }
        }
        // What the real one holds when it has nothing to do.
        sys.reserve_memory(match self.kind {
            Kind::Nginx => 5 << 20,
            Kind::Httpd | Kind::Busy => 8 << 20,
            Kind::Echo => 12 << 20,
        });
        match self.kind {
            Kind::Nginx => {
                for line in
                    ["using the \"epoll\" event method", "nginx/1.27.5", "start worker processes", "start worker process 29"]
                {
                    notice(sys, line);
                }
            }
            Kind::Httpd | Kind::Busy => {
                let text = format!(
                    "[{}] [core:notice] [pid 1:tid 1] AH00094: Command line: 'httpd -D FOREGROUND'\n",
                    sys.now().rfc3339()
                );
                log(sys, 2, &text);
            }
            Kind::Echo => {}
        }
        None
    }

    /// What to listen on: of nginx the `listen` lines of its configuration, of the others a flag.
    fn ports(&self, sys: &mut Sys<'_>, argv: &[Rc<str>]) -> Vec<u16> {
        let flag = |names: &[&str]| {
            argv.iter().enumerate().find_map(|(i, a)| {
                let (name, value) = a.split_once('=').map_or((&**a, None), |(n, v)| (n, Some(v.to_string())));
                let value = value.or_else(|| argv.get(i + 1).map(|v| v.to_string()));
                names.contains(&name).then_some(value)?.and_then(|v| v.trim_start_matches(':').parse().ok())
            })
        };
        match self.kind {
            Kind::Echo => vec![flag(&["--http-port", "--port"]).unwrap_or(8080)],
            Kind::Httpd | Kind::Busy => vec![80],
            Kind::Nginx => {
                let dir = "/etc/nginx/conf.d";
                let names = sys.read_dir(dir).unwrap_or_default();
                let texts =
                    names.iter().filter(|n| n.ends_with(".conf")).filter_map(|n| sys.read_file(&format!("{dir}/{n}")).ok());
                let texts: Vec<String> = texts.map(|t| String::from_utf8_lossy(&t).into_owned()).collect();
                let mut ports: Vec<u16> = texts.iter().flat_map(|t| t.lines()).filter_map(listen_port).collect();
                ports.order();
                ports.dedup();
                if ports.is_empty() { vec![80] } else { ports }
            }
        }
    }
}

/// `    listen 8080;` → 8080
fn listen_port(line: &str) -> Option<u16> {
    let rest = line.trim().strip_prefix("listen")?.trim().trim_end_matches(';');
    rest.split_whitespace().next()?.rsplit(':').next()?.parse().ok()
}

/// Goes on with one connection. False: it is over.
fn serve(kind: Kind, conn: &mut Conn, sys: &mut Sys<'_>) -> bool {
    if conn.sending.is_none() {
        match sys.read(conn.fd, 64 * 1024) {
            Ok(bytes) if bytes.is_empty() => return false,
            Ok(bytes) => conn.received.extend_from_slice(&bytes),
            Err(Errno::EAGAIN) => return true,
            Err(_) => return false,
        }
        let Some(head_end) = conn.received.windows(4).position(|w| w == b"\r\n\r\n") else {
            return conn.received.len() < 64 * 1024;
        };
        let head = String::from_utf8_lossy(&conn.received[..head_end]).into_owned();
        conn.sending = Some(Rc::new(answer(kind, &head, &conn.peer, sys)));
    }
    let Some(bytes) = conn.sending.clone() else { return true };
    while conn.sent < bytes.len() {
        match sys.write(conn.fd, &bytes[conn.sent..]) {
            Ok(n) => conn.sent += n,
            Err(Errno::EAGAIN) => return true,
            Err(_) => return false,
        }
    }
    false
}

/// The whole response to a request.
fn answer(kind: Kind, head: &str, peer: &str, sys: &mut Sys<'_>) -> Vec<u8> {
    let mut lines = head.lines();
    let request_line = lines.next().unwrap_or("").to_string();
    let mut words = request_line.split(' ');
    let (method, target) = (words.next().unwrap_or("GET"), words.next().unwrap_or("/"));
    let path = target.split('?').next().unwrap_or("/");
    let agent =
        lines.find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case("user-agent")).map(|(_, v)| v.trim()));
    let (status, content_type, body) = match kind {
        Kind::Echo => echo(path, target, peer, sys),
        Kind::Nginx => file("/usr/share/nginx/html", path, kind, sys),
        Kind::Httpd => file("/usr/local/apache2/htdocs", path, kind, sys),
        Kind::Busy => {
            sys.charge(REQUEST_STEPS);
            (200, "text/html; charset=UTF-8", b"OK!".to_vec())
        }
    };
    let size = body.len();
    if kind != Kind::Echo {
        let agent = agent.unwrap_or("-");
        let stamp = clf_time(sys.now());
        log(sys, 1, &format!("{peer} - - [{stamp}] \"{request_line}\" {status} {size} \"-\" \"{agent}\" \"-\"\n"));
    }
    let server = match kind {
        Kind::Nginx => "Server: nginx/1.27.5\r\n",
        Kind::Httpd | Kind::Busy => "Server: Apache/2.4.65 (Unix)\r\n",
        Kind::Echo => "",
    };
    let reason = match status {
        200 => "OK",
        403 => "Forbidden",
        404 => "Not Found",
        500 => "Internal Server Error",
        _ => "Unknown",
    };
    let date = http_date(sys.now());
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\n{server}Date: {date}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    if method != "HEAD" {
        bytes.extend_from_slice(&body);
    }
    bytes
}

fn file(root: &str, path: &str, kind: Kind, sys: &mut Sys<'_>) -> (u16, &'static str, Vec<u8>) {
    let clean: String = path.split('/').filter(|p| !p.is_empty() && *p != "..").collect::<Vec<_>>().join("/");
    let mut full = format!("{root}/{clean}");
    if sys.stat(&full).is_ok_and(|s| s.is_dir()) {
        full = format!("{}/index.html", full.trim_end_matches('/'));
    }
    match sys.read_file(&full) {
        Ok(data) => (200, content_type(&full), data.to_vec()),
        Err(error) => {
            let denied =
                error == Errno::EACCES || full.ends_with("/index.html") && sys.stat(full.trim_end_matches("/index.html")).is_ok();
            let (status, text) = if denied { (403, "403 Forbidden") } else { (404, "404 Not Found") };
            if kind == Kind::Nginx {
                let now = nginx_time(sys.now());
                log(sys, 2, &format!("{now} [error] 29#29: *1 open() \"{full}\" failed (2: {})\n", error.text()));
            }
            let body = format!(
                "<html>\r\n<head><title>{text}</title></head>\r\n<body>\r\n<center><h1>{text}</h1></center>\r\n<hr><center>nginx/1.27.5</center>\r\n</body>\r\n</html>\r\n"
            );
            (status, "text/html", body.into_bytes())
        }
    }
}

fn echo(path: &str, target: &str, peer: &str, sys: &mut Sys<'_>) -> (u16, &'static str, Vec<u8>) {
    let hostname = sys.config().hostname.to_string();
    let text = match path {
        "/hostname" | "/hostName" => hostname,
        "/clientip" => peer.to_string(),
        "/healthz" => "ok".into(),
        "/" => format!("NOW: {}", sys.now().rfc3339()),
        _ => format!("Hostname: {hostname}\n\nRequest Information:\n\tclient_address={peer}\n\treal path={target}\n"),
    };
    (200, "text/plain; charset=utf-8", text.into_bytes())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html" | "htm") => "text/html",
        Some("css") => "text/css",
        Some("js") => "application/javascript",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

fn log(sys: &mut Sys<'_>, fd: Fd, text: &str) {
    // A log that nobody reads is not the server's trouble.
    let _ = sys.write(fd, text.as_bytes());
}

fn notice(sys: &mut Sys<'_>, text: &str) {
    let now = nginx_time(sys.now());
    log(sys, 2, &format!("{now} [notice] 1#1: {text}\n"));
}

fn nginx_time(now: Time) -> String {
    let (y, mo, d, h, mi, s) = now.civil();
    format!("{y:04}/{mo:02}/{d:02} {h:02}:{mi:02}:{s:02}")
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// `23/Nov/2026:03:00:24 +0000`
fn clf_time(now: Time) -> String {
    let (y, mo, d, h, mi, s) = now.civil();
    format!("{d:02}/{}/{y:04}:{h:02}:{mi:02}:{s:02} +0000", MONTHS[mo as usize - 1])
}

/// `Mon, 23 Nov 2026 03:00:24 GMT`
fn http_date(now: Time) -> String {
    let (y, mo, d, h, mi, s) = now.civil();
    let day = DAYS[(now.days() + 4).rem_euclid(7) as usize];
    format!("{day}, {d:02} {} {y:04} {h:02}:{mi:02}:{s:02} GMT", MONTHS[mo as usize - 1])
}
