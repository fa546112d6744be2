//! `systemctl` on a node: the units `kubelet` and `containerd` (see `cluster/systemd.rs`).
//!
//! `status`, `start`, `stop`, `restart`, `try-restart`, `kill`, `is-active`, `is-enabled`, `enable`, `disable` (with `--now`), `cat`,
//! `daemon-reload`. Left out by name: lists of units, properties, other verbs.

use std::ops::ControlFlow;

use apimachinery::Request;
use cri_api::machine::Sys;
use cri_api::{Poll, Program};

use super::asked::{Asking, WORLD, arguments, told};

const VERBS: &[&str] =
    &["status", "start", "stop", "restart", "try-restart", "kill", "is-active", "is-enabled", "enable", "disable", "cat"];

#[derive(Clone, Default)]
struct Systemctl {
    asking: Asking,
    /// `--now`: what is still to be asked after enabling or disabling.
    then: Option<(String, Vec<String>)>,
    quiet: bool,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Systemctl::default())
}

impl Program for Systemctl {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            let begins = match self.asking.turn(sys) {
                ControlFlow::Continue(begins) => begins,
                ControlFlow::Break(poll) => return poll,
            };
            if begins {
                let args = arguments(sys);
                self.begin(sys, &args);
                continue;
            }
            let Ok(answer) = self.asking.answer(sys) else { return Poll::Pending };
            let told = told(&answer);
            self.asking.say(2, &told.err);
            if !self.quiet {
                self.asking.say(1, &told.out);
            }
            match self.then.take().filter(|_| told.code == 0) {
                Some((verb, units)) => self.ask(sys, &verb, &units),
                None => self.asking.end(1, "", told.code),
            }
        }
    }
}

impl Systemctl {
    fn begin(&mut self, sys: &mut Sys<'_>, args: &[String]) {
        let (mut words, mut now) = (Vec::new(), false);
        for arg in args {
            match arg.as_str() {
                "--now" => now = true,
                "-q" | "--quiet" => self.quiet = true,
                "--no-pager" | "-l" | "--full" | "--no-ask-password" => {}
                "--version" => return self.asking.end(1, "systemd 257 (simulated)\n", 0),
                flag if flag.starts_with('-') => {
                    return self.asking.end(2, &format!("systemctl: option {flag} is not in this bottle\n"), 1);
                }
                word => words.push(word.to_string()),
            }
        }
        let Some((verb, units)) = words.split_first() else {
            return self.asking.end(2, "systemctl: lists of units are not in this bottle: there are kubelet and containerd\n", 1);
        };
        match verb.as_str() {
            "daemon-reload" => return self.asking.end(1, "", 0),
            verb if !VERBS.contains(&verb) => {
                return self.asking.end(2, &format!("systemctl: the verb {verb} is not in this bottle\n"), 1);
            }
            _ => {}
        }
        if units.is_empty() {
            return self.asking.end(2, "Too few arguments.\n", 1);
        }
        if now && matches!(verb.as_str(), "enable" | "disable") {
            let follow = if verb == "enable" { "start" } else { "stop" };
            self.then = Some((follow.into(), units.to_vec()));
        }
        self.ask(sys, verb, units);
    }

    fn ask(&mut self, sys: &mut Sys<'_>, verb: &str, units: &[String]) {
        let mut request = Request::get_path(&format!("/systemd/{verb}"));
        request.options.query = units.iter().map(|u| ("unit".into(), u.as_str().into())).collect();
        self.asking.ask(sys, WORLD, request);
    }
}
