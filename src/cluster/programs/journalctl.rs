//! `journalctl` on a node: what systemd, the kubelet and containerd's unit have said (see `cluster/journald.rs`).
//!
//! `-u UNIT`, `-n N`, `-f`, `-r`, `-e`, `-o short|cat`, `--since "N minutes ago"`. A follower asks twice a second. Left out by name:
//! everything else; `-x`, `-b` and `--no-pager` change nothing here.

use std::ops::ControlFlow;

use apimachinery::Request;
use base::{Duration, Time};
use cri_api::machine::Sys;
use cri_api::{Disposition, Poll, Program, Signal};

use super::asked::{Asking, WORLD, arguments, told};

const AGAIN: Duration = Duration::from_millis(500);

#[derive(Clone, Default)]
struct Journalctl {
    asking: Asking,
    query: Vec<(String, String)>,
    follow: bool,
    /// The number of the newest line there was.
    seen: Option<i64>,
    rests: Option<Time>,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Journalctl::default())
}

impl Program for Journalctl {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            let begins = match self.asking.turn(sys) {
                ControlFlow::Continue(begins) => begins,
                ControlFlow::Break(poll) => return poll,
            };
            if begins {
                sys.on_signal(Signal::INT, Disposition::Default);
                let args = arguments(sys);
                match self.parse(&args) {
                    Ok(()) => self.ask(sys),
                    Err(text) => self.asking.end(2, &text, 1),
                }
                continue;
            }
            if let Some(at) = self.rests {
                if !sys.sleep_until(at) {
                    return Poll::Pending;
                }
                self.rests = None;
                self.ask(sys);
            }
            let Ok(answer) = self.asking.answer(sys) else { return Poll::Pending };
            let told = told(&answer);
            self.asking.say(2, &told.err);
            if told.out.is_empty() && !self.follow {
                self.asking.say(1, "-- No entries --\n");
            }
            self.asking.say(1, &told.out);
            self.seen = told.value.int_at(&["last"]);
            match self.follow && told.code == 0 {
                true => self.rests = Some(sys.now() + AGAIN),
                false => self.asking.end(1, "", told.code),
            }
        }
    }
}

impl Journalctl {
    fn ask(&mut self, sys: &mut Sys<'_>) {
        let mut request = Request::get_path("/journal");
        let mut query = self.query.clone();
        if let Some(seen) = self.seen {
            query.retain(|(k, _)| k != "newest" && k != "since");
            query.push(("after".into(), seen.to_string()));
        }
        request.options.query = query.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
        self.asking.ask(sys, WORLD, request);
    }

    fn parse(&mut self, args: &[String]) -> Result<(), String> {
        let mut newest = None;
        let set = |query: &mut Vec<(String, String)>, k: &str, v: &str| query.push((k.into(), v.into()));
        let mut words = expand(args).into_iter();
        while let Some(word) = words.next() {
            let (name, inline) = match word.split_once('=').filter(|_| word.starts_with("--")) {
                Some((name, value)) => (name.to_string(), Some(value.to_string())),
                None => (word.clone(), None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| words.next())
                    .ok_or_else(|| format!("journalctl: option '{name}' requires an argument\n"))
            };
            match name.as_str() {
                "-u" | "--unit" => set(&mut self.query, "unit", known_unit(&value()?)?),
                "-n" | "--lines" => newest = Some(value()?),
                "-f" | "--follow" => self.follow = true,
                "-r" | "--reverse" => set(&mut self.query, "reverse", "true"),
                "-e" | "--pager-end" | "-x" | "--catalog" | "-b" | "--boot" | "--no-pager" | "-q" | "--quiet" | "-a"
                | "--no-hostname" => {}
                "-o" | "--output" => match value()?.as_str() {
                    "short" => {}
                    "cat" => set(&mut self.query, "bare", "true"),
                    other => return Err(format!("journalctl: the output format {other} is not in this bottle\n")),
                },
                "-S" | "--since" => set(&mut self.query, "since", &seconds_ago(&value()?)?.to_string()),
                other if other.starts_with('-') => return Err(format!("journalctl: option {other} is not in this bottle\n")),
                other => return Err(format!("journalctl: the match {other} is not in this bottle\n")),
            }
        }
        let newest = newest.or_else(|| self.follow.then(|| "10".to_string())).filter(|n| n != "all");
        if let Some(newest) = newest {
            newest.parse::<u32>().map_err(|_| format!("Failed to parse lines '{newest}'\n"))?;
            self.query.push(("newest".into(), newest));
        }
        Ok(())
    }
}

/// `-xeu kubelet` is `-x -e -u kubelet`; `-n20` is `-n 20`.
fn expand(args: &[String]) -> Vec<String> {
    let mut words = Vec::new();
    for arg in args {
        match arg.strip_prefix('-').filter(|rest| rest.len() > 1 && !rest.starts_with('-')) {
            Some(letters) => {
                let mut rest = letters.chars();
                while let Some(letter) = rest.next() {
                    words.push(format!("-{letter}"));
                    if matches!(letter, 'u' | 'n' | 'o' | 'S') {
                        let value: String = rest.by_ref().collect();
                        words.extend(Some(value).filter(|v| !v.is_empty()));
                    }
                }
            }
            None => words.push(arg.clone()),
        }
    }
    words
}

fn known_unit(name: &str) -> Result<&'static str, String> {
    match name.strip_suffix(".service").unwrap_or(name) {
        "kubelet" => Ok("kubelet"),
        "containerd" => Ok("containerd"),
        other => Err(format!("journalctl: the unit {other} is not in this bottle: there are kubelet and containerd\n")),
    }
}

/// `5 min ago`, `-1h`, `10 seconds ago`.
fn seconds_ago(text: &str) -> Result<u64, String> {
    let inner = text.trim().trim_start_matches('-').trim_end_matches("ago").trim();
    let digits = inner.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = inner.split_at(digits);
    let scale = match unit.trim() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        _ => 0,
    };
    let number = number.parse::<u64>().ok().filter(|n| *n < 1 << 32 && scale > 0);
    number.map(|n| n * scale).ok_or_else(|| format!("Failed to parse timestamp: {text}\n"))
}
