//! Programs that run other programs: `env`, `xargs`, `timeout`, `time`, `watch`, `nohup`, `nice`, and `find -exec`'s helper.

use std::collections::VecDeque;

use base::Time;
use cri_api::{Errno, Pid, Poll, Program, Signal, Spawn, Status, Sys, Text, WaitFor, WriteOut};

use super::{Make, Options, STDIN, finish};
use crate::text::parse_duration;

pub(super) const TABLE: &[(&str, Make)] = &[
    ("env", || Box::new(Env::default())),
    ("nohup", || Box::new(Env::default())),
    ("nice", || Box::new(Env::default())),
    ("setsid", || Box::new(Env::default())),
    ("xargs", || Box::new(Xargs::default())),
    ("timeout", || Box::new(Timeout::default())),
    ("time", || Box::new(Clocked::default())),
    ("watch", || Box::new(Watch::default())),
];

/// Code and message for a command that can't be started.
pub(super) fn exec_failure(name: &str, command: &str, error: Errno) -> (i32, String) {
    let code = if error == Errno::ENOENT { 127 } else { 126 };
    (code, format!("{name}: can't execute '{command}': {error}\n"))
}

/// `env`, `nohup`, `nice`: change something and become the command.
#[derive(Clone, Default)]
struct Env {
    command: Option<Text>,
    out: WriteOut,
    code: Option<i32>,
}

impl Env {
    fn start(&mut self, sys: &mut Sys<'_>) -> Poll {
        let argv = sys.argv();
        let name = crate::text::basename(&argv[0]).to_string();
        let mut env = sys.env();
        let mut rest: VecDeque<Text> = argv[1..].iter().cloned().collect();
        while let Some(arg) = rest.front().cloned().filter(|a| a.starts_with('-')) {
            rest.pop_front();
            match (&*name, &*arg) {
                (_, "--") => break,
                ("env", "-" | "-i") => env = base::Map::new(),
                ("env", "-u") => {
                    if let Some(gone) = rest.pop_front() {
                        env.remove(&gone);
                    }
                }
                ("nice", "-n") => {
                    rest.pop_front();
                }
                _ => {}
            }
        }
        while name == "env"
            && let Some((key, value)) = rest.front().cloned().as_deref().and_then(|a| a.split_once('='))
        {
            env.insert(key.into(), value.into());
            rest.pop_front();
        }
        if name == "nohup" {
            sys.on_signal(Signal::HUP, cri_api::Disposition::Ignore);
        }
        let Some(command) = rest.front().cloned() else {
            env.iter().for_each(|(k, v)| self.out.push(1, format!("{k}={v}\n").as_bytes()));
            self.code = Some(0);
            return Poll::Ready;
        };
        self.command = Some(command);
        Poll::Exec(Spawn { argv: rest.into(), env: Some(env), ..Spawn::default() })
    }
}

impl Program for Env {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if let Some(command) = self.command.take()
            && let Some(error) = sys.exec_error()
        {
            let name = crate::text::basename(&sys.argv()[0]).to_string();
            let (code, text) = exec_failure(&name, &command, error);
            self.out.push(2, text.as_bytes());
            self.code = Some(code);
        }
        match self.code {
            Some(code) => finish(&mut self.out, sys, code),
            None => self.start(sys),
        }
    }
}

/// `timeout`.
#[derive(Clone, Default)]
struct Timeout {
    child: Option<Pid>,
    deadline: Option<Time>,
    kill_after: Option<base::Duration>,
    signal: Option<Signal>,
    out: WriteOut,
    code: Option<i32>,
}

impl Timeout {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        let argv = sys.argv();
        let options = Options::parse(&argv[1..], "+s:k:", &[("signal", 's'), ("kill-after", 'k')])?;
        self.signal = Some(match options.value('s') {
            Some(name) => Signal::parse(name).ok_or_else(|| format!("unknown signal '{name}'"))?,
            None => Signal::TERM,
        });
        self.kill_after = options.value('k').and_then(|k| parse_duration(k));
        let [span, command @ ..] = options.operands.as_slice() else { return Err("missing operand".into()) };
        let span = parse_duration(span).ok_or_else(|| format!("invalid number '{span}'"))?;
        self.deadline = (span.0 > 0).then(|| sys.after(span));
        if command.is_empty() {
            return Err("missing operand".into());
        }
        match sys.spawn(Spawn { argv: command.to_vec(), ..Spawn::default() }) {
            Ok(pid) => self.child = Some(pid),
            Err(error) => {
                let (code, text) = exec_failure("timeout", &command[0], error);
                self.out.push(2, text.as_bytes());
                self.code = Some(code);
            }
        }
        Ok(())
    }
}

impl Program for Timeout {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if self.child.is_none()
            && self.code.is_none()
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("timeout: {message}\n").as_bytes());
            self.code = Some(1);
        }
        if let Some(code) = self.code {
            return finish(&mut self.out, sys, code);
        }
        let Some(child) = self.child else { return Poll::Exit(1) };
        match sys.wait(WaitFor::Pid(child)) {
            Ok((_, status)) => return Poll::Exit(status.code()),
            Err(Errno::EAGAIN) => {}
            Err(_) => return Poll::Exit(125),
        }
        if self.deadline.is_some_and(|at| sys.sleep_until(at)) {
            let _ = sys.kill(child as i64, self.signal.unwrap_or(Signal::TERM));
            self.deadline = self.kill_after.take().map(|span| sys.after(span));
            self.signal = Some(Signal::KILL);
            if let Some(at) = self.deadline {
                sys.sleep_until(at);
            }
        }
        Poll::Pending
    }
}

/// `time`.
#[derive(Clone, Default)]
struct Clocked {
    child: Option<Pid>,
    began: Time,
    out: WriteOut,
    code: Option<i32>,
}

impl Program for Clocked {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if let Some(code) = self.code {
            return finish(&mut self.out, sys, code);
        }
        let Some(child) = self.child else {
            let argv = sys.argv();
            let command: Vec<Text> = argv[1..].iter().skip_while(|a| a.starts_with('-')).cloned().collect();
            self.began = sys.now();
            if command.is_empty() {
                self.code = Some(0);
                return Poll::Ready;
            }
            match sys.spawn(Spawn { argv: command.clone(), ..Spawn::default() }) {
                Ok(pid) => self.child = Some(pid),
                Err(error) => {
                    let (code, text) = exec_failure("time", &command[0], error);
                    self.out.push(2, text.as_bytes());
                    self.code = Some(code);
                }
            }
            return Poll::Ready;
        };
        match sys.wait(WaitFor::Pid(child)) {
            Err(Errno::EAGAIN) => Poll::Pending,
            ended => {
                let code = ended.map_or(1, |(_, status)| status.code());
                let span = sys.now().since(self.began).as_millis();
                let (minutes, seconds, hundredths) = (span / 60_000, span / 1000 % 60, span / 10 % 100);
                self.out
                    .push(2, format!("real\t{minutes}m {seconds}.{hundredths:02}s\nuser\t0m 0.00s\nsys\t0m 0.00s\n").as_bytes());
                self.code = Some(code);
                Poll::Ready
            }
        }
    }
}

/// `watch`.
#[derive(Clone, Default)]
struct Watch {
    child: Option<Pid>,
    next: Option<Time>,
    out: WriteOut,
}

impl Program for Watch {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        match self.out.flush(sys) {
            Ok(true) => {}
            Ok(false) => return Poll::Pending,
            Err(_) => return Poll::Exit(1),
        }
        if let Some(child) = self.child {
            match sys.wait(WaitFor::Pid(child)) {
                Err(Errno::EAGAIN) => return Poll::Pending,
                _ => self.child = None,
            }
        }
        if self.next.is_some_and(|at| !sys.sleep_until(at)) {
            return Poll::Pending;
        }
        let argv = sys.argv();
        let options = match Options::parse(&argv[1..], "+n:dtx", &[("interval", 'n'), ("no-title", 't'), ("differences", 'd')]) {
            Ok(options) if !options.operands.is_empty() => options,
            _ => {
                self.out.push(2, b"BusyBox v1.36.1 multi-call binary.\n\nUsage: watch [-n SEC] [-t] PROG ARGS\n");
                return finish(&mut self.out, sys, 1);
            }
        };
        let span = options.value('n').and_then(|n| parse_duration(n)).unwrap_or(base::Duration::from_secs(2));
        let command = options.operands.join(" ");
        let mut head = "\x1b[H\x1b[J".to_string();
        if !options.has('t') {
            let cols = sys.tty_size(1).map_or(80, |(cols, _)| cols as usize);
            let title = format!("Every {}: {command}", format_span(span));
            let date = super::time::format(sys.now(), "%Y-%m-%d %H:%M:%S");
            head += &format!("{title:<width$}{date}\n\n", width = cols.saturating_sub(date.len()).max(title.len() + 1));
        }
        let _ = sys.write(1, head.as_bytes());
        self.next = Some(sys.after(base::Duration(span.0.max(100_000))));
        match sys.spawn(Spawn::new(&["sh", "-c", &command])) {
            Ok(pid) => self.child = Some(pid),
            Err(error) => {
                let (code, text) = exec_failure("watch", "sh", error);
                self.out.push(2, text.as_bytes());
                return finish(&mut self.out, sys, code);
            }
        }
        Poll::Ready
    }
}

fn format_span(span: base::Duration) -> String {
    format!("{}.{}s", span.as_secs(), span.as_millis() / 100 % 10)
}

/// `xargs`: `-n -I -0 -r -t -d -P` (which runs one after another all the same).
#[derive(Clone, Default)]
struct Xargs {
    started: bool,
    command: Vec<Text>,
    per_run: usize,
    replace: Option<Text>,
    delimiter: Option<u8>,
    no_empty: bool,
    trace: bool,
    input: Vec<u8>,
    ended: bool,
    items: VecDeque<Text>,
    ran: bool,
    child: Option<Pid>,
    code: i32,
    done: bool,
    out: WriteOut,
}

/// Words of an input with quotes and backslashes.
fn words(text: &str) -> VecDeque<Text> {
    let mut items = VecDeque::new();
    let mut current: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => current.get_or_insert_default().extend(chars.by_ref().take_while(|n| *n != c)),
            '\\' => current.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() => items.extend(current.take().map(Text::from)),
            c => current.get_or_insert_default().push(c),
        }
    }
    items.extend(current.map(Text::from));
    items
}

impl Xargs {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        let argv = sys.argv();
        let options =
            Options::parse(&argv[1..], "+n:I:0rtd:P:L:s:px", &[("null", '0'), ("no-run-if-empty", 'r'), ("max-args", 'n')])?;
        self.per_run = options.value('n').or(options.value('L')).and_then(|n| n.parse().ok()).unwrap_or(5000).max(1);
        self.replace = options.value('I').cloned();
        self.delimiter = match options.value('d') {
            Some(text) => crate::text::unescape(text.as_bytes()).bytes.first().copied(),
            None if options.has('0') => Some(0),
            None if self.replace.is_some() || options.has('L') => Some(b'\n'),
            None => None,
        };
        (self.no_empty, self.trace) = (options.has('r'), options.has('t'));
        self.command = options.operands;
        if self.command.is_empty() {
            self.command.push("echo".into());
        }
        Ok(())
    }

    fn split(&mut self) {
        let input = std::mem::take(&mut self.input);
        self.items = match self.delimiter {
            Some(delimiter) => input
                .split(|b| *b == delimiter)
                .map(|piece| Text::from(String::from_utf8_lossy(piece).trim_matches('\n')))
                .filter(|piece| !piece.is_empty())
                .collect(),
            None => words(&String::from_utf8_lossy(&input)),
        };
    }

    /// The next command, if any.
    fn next_run(&mut self) -> Option<Vec<Text>> {
        if let Some(mark) = &self.replace {
            let item = self.items.pop_front()?;
            return Some(self.command.iter().map(|word| word.replace(&**mark, &item).into()).collect());
        }
        if self.items.is_empty() && (self.ran || self.no_empty) {
            return None;
        }
        self.ran = true;
        let count = self.per_run.min(self.items.len());
        let mut argv = self.command.clone();
        argv.extend(self.items.drain(..count));
        Some(argv)
    }
}

impl Program for Xargs {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("xargs: {message}\n").as_bytes());
            (self.done, self.code) = (true, 1);
        }
        while !self.ended && !self.done {
            match sys.read(STDIN, 65_536) {
                Ok(bytes) if bytes.is_empty() => {
                    self.ended = true;
                    self.split();
                }
                Ok(bytes) => self.input.extend(bytes),
                Err(Errno::EAGAIN) => return Poll::Pending,
                Err(_) => self.ended = true,
            }
        }
        if let Some(child) = self.child {
            match sys.wait(WaitFor::Pid(child)) {
                Err(Errno::EAGAIN) => return Poll::Pending,
                Ok((_, Status::Exited(0))) => {}
                Ok((_, Status::Exited(255))) => (self.code, self.done) = (124, true),
                Ok((_, Status::Signaled(_))) => (self.code, self.done) = (125, true),
                _ => self.code = 123,
            }
            self.child = None;
        }
        let next = if self.done { None } else { self.next_run() };
        let Some(argv) = next else { return finish(&mut self.out, sys, self.code) };
        if self.trace {
            let _ = sys.write(2, format!("{}\n", argv.join(" ")).as_bytes());
        }
        match sys.spawn(Spawn { argv: argv.clone(), ..Spawn::default() }) {
            Ok(pid) => self.child = Some(pid),
            Err(error) => {
                let text = format!("xargs: {}: {error}\n", argv[0]);
                self.out.push(2, text.as_bytes());
                (self.code, self.done) = (if error == Errno::ENOENT { 127 } else { 126 }, true);
            }
        }
        Poll::Ready
    }
}
