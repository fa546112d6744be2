//! Types and reads: a cluster with terminal tabs on its laptop.

use std::rc::Rc;

use base::Duration;
use cluster::{Cluster, Config};
use cri_api::host::HostMessage;
use sim::Payload;

/// A booted cluster and what its tabs have shown.
pub struct Desk {
    pub cluster: Cluster,
    screens: Vec<(u32, String)>,
    /// Buffers of the manifest editor that a command has opened: number, name, text.
    pub buffers: Vec<(u32, String, String)>,
    jobs: u32,
    job: Option<(u32, Vec<u8>, Option<i32>)>,
}

const COLUMNS: u16 = 200;

impl Desk {
    /// Boots a configuration and opens tab 1.
    pub fn boot(name: &str) -> Desk {
        let mut cluster = Cluster::new(Config::named(name).expect("a known name"));
        let limit = cluster.now() + Duration::from_secs(300);
        while !cluster.is_ready() {
            assert!(cluster.now() < limit, "the cluster does not come up");
            let next = cluster.now() + Duration::from_millis(200);
            cluster.run_until(next, &mut ());
        }
        let settled = cluster.now() + Duration::from_secs(20);
        cluster.run_until(settled, &mut ());
        cluster.take_page_messages();
        let mut desk = Desk { cluster, screens: Vec::new(), buffers: Vec::new(), jobs: 100, job: None };
        desk.open(1);
        desk
    }

    pub fn host(&mut self, message: HostMessage) {
        let laptop = self.cluster.laptop;
        self.cluster.inject(laptop, Payload::Host(Rc::new(message)), &mut ());
    }

    pub fn open(&mut self, tab: u32) {
        self.host(HostMessage::TtyOpen { tab, cols: COLUMNS, rows: 50 });
        self.screens.push((tab, String::new()));
        self.wait_for_prompt(tab, 10);
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        let until = self.cluster.now() + by;
        self.cluster.run_until(until, &mut ());
        self.collect();
    }

    fn collect(&mut self) {
        for message in self.cluster.take_page_messages() {
            match message {
                HostMessage::TtyOutput { tab, data } => {
                    let text = String::from_utf8_lossy(&data).into_owned();
                    if let Some((_, screen)) = self.screens.iter_mut().find(|(t, _)| *t == tab) {
                        screen.push_str(&text);
                    }
                }
                HostMessage::OpenBuffer { buffer, name, text, .. } => {
                    self.buffers.push((buffer, name.to_string(), text.to_string()));
                }
                HostMessage::JobOutput { job, data, .. } => {
                    if let Some((_, out, _)) = self.job.as_mut().filter(|(j, ..)| *j == job) {
                        out.extend_from_slice(&data);
                    }
                }
                HostMessage::JobDone { job, code } => {
                    if let Some((_, _, done)) = self.job.as_mut().filter(|(j, ..)| *j == job) {
                        *done = Some(code);
                    }
                }
                _ => {}
            }
        }
    }

    /// Types keys, without waiting.
    pub fn keys(&mut self, tab: u32, keys: &str) {
        self.host(HostMessage::TtyInput { tab, data: keys.as_bytes().into() });
        self.advance(Duration::from_millis(50));
    }

    /// What a tab has shown since the last time, without colours and cursor movements.
    pub fn shown(&mut self, tab: u32) -> String {
        let screen = self.screens.iter_mut().find(|(t, _)| *t == tab).map(|(_, s)| std::mem::take(s)).unwrap_or_default();
        plain(&screen)
    }

    /// The same, and it stays there for the next look.
    pub fn peek(&self, tab: u32) -> String {
        self.screens.iter().find(|(t, _)| *t == tab).map_or(String::new(), |(_, s)| plain(s))
    }

    fn at_prompt(&self, tab: u32) -> bool {
        let screen = self.screens.iter().find(|(t, _)| *t == tab).map_or("", |(_, s)| s);
        let end = plain(&screen[screen.floor_char_boundary(screen.len().saturating_sub(200))..]);
        end.ends_with("$ ") || end.ends_with("# ")
    }

    /// Waits until the shell has its prompt again. False: it hasn't within so many seconds.
    pub fn wait_for_prompt(&mut self, tab: u32, seconds: i64) -> bool {
        let limit = self.cluster.now() + Duration::from_secs(seconds);
        while self.cluster.now() < limit {
            self.advance(Duration::from_millis(20));
            if self.at_prompt(tab) {
                return true;
            }
        }
        false
    }

    /// Waits until a tab has shown a text.
    pub fn wait_for(&mut self, tab: u32, text: &str, seconds: i64) {
        let limit = self.cluster.now() + Duration::from_secs(seconds);
        loop {
            self.advance(Duration::from_millis(20));
            let screen = self.screens.iter().find(|(t, _)| *t == tab).map_or("", |(_, s)| s);
            if plain(screen).contains(text) {
                return;
            }
            assert!(self.cluster.now() < limit, "no {text:?} within {seconds} s; the screen:\n{}", plain(screen));
        }
    }

    /// Types a line into tab 1 and returns what came until the next prompt, without the line itself.
    pub fn line(&mut self, line: &str) -> String {
        self.shown(1);
        self.keys(1, &format!("{line}\r"));
        assert!(self.wait_for_prompt(1, 120), "{line:?} gives no prompt back:\n{}", self.shown(1));
        let shown = self.shown(1);
        let body = shown.split_once('\n').map_or("", |(_, rest)| rest);
        body.rsplit_once('\n').map_or("", |(text, _)| text).replace('\r', "")
    }

    /// Types lines and checks that each answer holds these pieces.
    pub fn check(&mut self, rows: &[(&str, &[&str])]) {
        let mut wrong = String::new();
        for (line, wanted) in rows {
            let got = self.line(line);
            for piece in wanted.iter().filter(|piece| !got.contains(**piece)) {
                wrong.push_str(&format!("\n--- {line}\n  no {piece:?} in:\n{}\n", got.chars().take(1500).collect::<String>()));
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    /// Runs a shell command without a terminal: what it printed, and its code (`None`: it runs on).
    pub fn run(&mut self, command: &str, seconds: i64) -> (String, Option<i32>) {
        self.run_with(command, b"", seconds)
    }

    /// The same with standard input.
    pub fn run_with(&mut self, command: &str, input: &[u8], seconds: i64) -> (String, Option<i32>) {
        self.jobs += 1;
        self.job = Some((self.jobs, Vec::new(), None));
        let argv = ["sh", "-c", command].map(Into::into).to_vec();
        self.host(HostMessage::RunJob { job: self.jobs, argv, stdin: input.into() });
        let limit = self.cluster.now() + Duration::from_secs(seconds);
        while self.cluster.now() < limit && self.job.as_ref().is_some_and(|(_, _, done)| done.is_none()) {
            self.advance(Duration::from_millis(20));
        }
        let (_, out, code) = self.job.take().expect("set above");
        (String::from_utf8_lossy(&out).into_owned(), code)
    }

    /// Closes an editor's buffer with a new text, or without saving.
    pub fn close_buffer(&mut self, buffer: u32, saved: Option<&str>) {
        self.host(HostMessage::BufferClosed { buffer, saved: saved.map(Into::into) });
    }
}

/// A text without escape sequences.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'[').is_some() {
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            chars.next();
        }
    }
    out
}
