//! `wait`, `jobs`, `fg`, `bg`, `kill`, `trap`, `times`.

use cri_api::{Disposition, Errno, Pid, Signal, Sys, Text, WaitFor};

use super::{BuiltinState, Outcome, vars::quote};
use crate::eval::{Flavour, Frame, Job, Shell};

/// A `wait` that waits.
#[derive(Clone)]
pub struct Waiting {
    /// Of these; the last one's status counts. Empty: for all there are.
    pids: Vec<Pid>,
    status: i32,
}

impl Waiting {
    pub(super) fn go_on(mut self, shell: &mut Shell, sys: &mut Sys<'_>) -> Outcome {
        if self.pids.is_empty() {
            shell.reap(sys);
            return match shell.jobs.iter().any(|job| job.status.is_none()) {
                true => match sys.wait(WaitFor::Any) {
                    Err(Errno::EAGAIN) => Outcome::Wait(BuiltinState::Wait(self)),
                    _ => Outcome::Done(0),
                },
                false => {
                    shell.jobs.clear();
                    Outcome::Done(0)
                }
            };
        }
        while let Some(pid) = self.pids.first().copied() {
            if let Some(status) = shell.finished_status(pid) {
                self.status = status;
                self.pids.remove(0);
                if self.pids.is_empty() {
                    return Outcome::Done(self.status);
                }
                continue;
            }
            match sys.wait(WaitFor::Pid(pid)) {
                Ok((pid, status)) => shell.note_end(pid, status.code()),
                Err(Errno::EAGAIN) => return Outcome::Wait(BuiltinState::Wait(self)),
                Err(_) => shell.note_end(pid, 127),
            }
            if shell.finished_status(pid).is_none() {
                self.status = 127;
                self.pids.remove(0);
            }
            if self.pids.is_empty() {
                return Outcome::Done(self.status);
            }
        }
        Outcome::Done(self.status)
    }
}

impl Shell {
    /// Takes the statuses of background children that have ended.
    pub(crate) fn reap(&mut self, sys: &mut Sys<'_>) {
        let pids: Vec<Pid> = self.jobs.iter().filter(|j| j.status.is_none()).flat_map(|j| j.pids.clone()).collect();
        for pid in pids {
            if let Ok((pid, status)) = sys.wait(WaitFor::Pid(pid)) {
                self.note_end(pid, status.code());
            }
        }
    }

    /// A background child has ended: its job is done when it was the last.
    fn note_end(&mut self, pid: Pid, code: i32) {
        for job in self.jobs.iter_mut().filter(|job| job.pids.contains(&pid)) {
            let last = job.pids.last() == Some(&pid);
            if job.pids.len() == 1 {
                job.status = Some(code);
            } else if last {
                // The others may still run; their statuses don't count.
                job.status = Some(code);
            } else {
                job.pids.retain(|p| *p != pid);
            }
        }
    }

    fn finished_status(&self, pid: Pid) -> Option<i32> {
        self.jobs.iter().find(|job| job.pids.last() == Some(&pid)).and_then(|job| job.status)
    }

    /// The job that `%1`, `%%` or a process number means.
    fn job(&self, text: &str) -> Option<usize> {
        match text.strip_prefix('%') {
            Some("" | "%" | "+") => self.jobs.len().checked_sub(1),
            Some("-") => self.jobs.len().checked_sub(2).or(self.jobs.len().checked_sub(1)),
            Some(number) => {
                let by_number = number.parse::<u32>().ok();
                self.jobs
                    .iter()
                    .position(|job| Some(job.number) == by_number || (by_number.is_none() && job.text.starts_with(number)))
            }
            None => {
                let pid = text.parse::<Pid>().ok()?;
                self.jobs.iter().position(|job| job.pids.contains(&pid))
            }
        }
    }

    /// Lines for jobs that have ended since the last prompt.
    pub(crate) fn report_jobs(&mut self, sys: &mut Sys<'_>) {
        self.reap(sys);
        let mut text = String::new();
        for (i, job) in self.jobs.iter().enumerate().filter(|(_, j)| j.status.is_some()) {
            text.push_str(&self.job_line(i, job, sys));
        }
        self.out.push(2, text.as_bytes());
        self.jobs.retain(|job| job.status.is_none());
    }

    /// A job as `jobs` tells it: `+` is the newest, `-` the one before.
    fn job_line(&self, at: usize, job: &Job, sys: &Sys<'_>) -> String {
        let mark = match self.jobs.len() - at {
            1 => '+',
            2 => '-',
            _ => ' ',
        };
        let stopped = job.pids.last().is_some_and(|pid| sys.is_stopped(*pid));
        let (state, end) = match job.status {
            None if stopped => ("Stopped".to_string(), ""),
            None => ("Running".to_string(), " &"),
            Some(0) => ("Done".to_string(), ""),
            Some(143) => ("Terminated".to_string(), ""),
            Some(137) => ("Killed".to_string(), ""),
            Some(n) => (format!("Exit {n}"), ""),
        };
        format!("[{}]{mark}  {state:<24}{}{end}\n", job.number, job.text.trim_end_matches('&').trim_end())
    }
}

pub fn wait(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let mut pids = Vec::new();
    for arg in argv[1..].iter().filter(|a| !a.starts_with('-')) {
        match shell.job(arg) {
            Some(at) => pids.extend(shell.jobs[at].pids.last()),
            None => match arg.parse() {
                Ok(pid) => pids.push(pid),
                Err(_) => {
                    shell.complain(Some("wait"), &format!("{arg}: no such job"));
                    return Outcome::Done(127);
                }
            },
        }
    }
    Outcome::Wait(BuiltinState::Wait(Waiting { pids, status: 0 }))
}

pub fn jobs(shell: &mut Shell, sys: &mut Sys<'_>, _: &[Text]) -> Outcome {
    shell.reap(sys);
    let text: String = shell.jobs.iter().enumerate().map(|(i, job)| shell.job_line(i, job, sys)).collect();
    shell.out.push(1, text.as_bytes());
    shell.jobs.retain(|job| job.status.is_none());
    Outcome::Done(0)
}

pub fn fg(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let Some(at) = shell.job(argv.get(1).map_or("%%", |a| a)) else {
        shell.complain(Some("fg"), "no current job");
        return Outcome::Done(1);
    };
    let job = shell.jobs.remove(at);
    shell.out.push(1, format!("{}\n", job.text).as_bytes());
    let _ = sys.set_tty_foreground(0, job.group);
    let _ = sys.kill(-(job.group as i64), Signal::CONT);
    let statuses = vec![None; job.pids.len()];
    shell.push(Frame::Wait { pids: job.pids, statuses, not: false, foreground: true });
    Outcome::Later
}

pub fn bg(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let Some(at) = shell.job(argv.get(1).map_or("%%", |a| a)) else {
        shell.complain(Some("bg"), "no current job");
        return Outcome::Done(1);
    };
    let (number, group, text) = (shell.jobs[at].number, shell.jobs[at].group, shell.jobs[at].text.clone());
    let _ = sys.kill(-(group as i64), Signal::CONT);
    shell.out.push(1, format!("[{number}] {text}\n").as_bytes());
    Outcome::Done(0)
}

/// `kill` for shell and applet: messages go out as they are.
pub fn kill_command(
    name: &str,
    sys: &mut Sys<'_>,
    args: &[Text],
    job_group: &dyn Fn(&str) -> Option<i64>,
) -> (i32, String, String) {
    let mut signal = Signal::TERM;
    let mut rest = args;
    if let Some(first) = rest.first().filter(|a| a.starts_with('-') && a.len() > 1).cloned() {
        rest = &rest[1..];
        let mut text = first[1..].to_string();
        match text.as_str() {
            "-" => return kill_all(name, sys, rest, signal, job_group),
            "l" => return list_signals(rest),
            "s" => {
                text = rest.first().map(|t| t.to_string()).unwrap_or_default();
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => {}
        }
        signal = match Signal::parse(&text) {
            Some(signal) => signal,
            None => return (1, String::new(), format!("{name}: bad signal name '{text}'\n")),
        };
        if rest.first().is_some_and(|a| &**a == "--") {
            rest = &rest[1..];
        }
    }
    kill_all(name, sys, rest, signal, job_group)
}

fn kill_all(
    name: &str,
    sys: &mut Sys<'_>,
    pids: &[Text],
    signal: Signal,
    job_group: &dyn Fn(&str) -> Option<i64>,
) -> (i32, String, String) {
    if pids.is_empty() {
        return (1, String::new(), format!("{name}: you need to specify whom to kill\n"));
    }
    let (mut status, mut errors) = (0, String::new());
    for text in pids {
        let target = if text.starts_with('%') { job_group(text) } else { text.parse().ok() };
        let Some(target) = target else {
            status = 1;
            errors.push_str(&match text.starts_with('%') {
                true => format!("{name}: No such job: {text}\n"),
                false => format!("{name}: invalid number '{text}'\n"),
            });
            continue;
        };
        if let Err(error) = sys.kill(target, signal) {
            status = 1;
            errors.push_str(&format!("{name}: can't kill pid {target}: {error}\n"));
        }
    }
    (status, String::new(), errors)
}

fn list_signals(args: &[Text]) -> (i32, String, String) {
    let text = match args.first().and_then(|a| a.parse::<i32>().ok()) {
        Some(n) => format!("{}\n", Signal((n & 0x7f) as u8).name()),
        None => (1..32).map(|n| format!("{n:>2}) {}\n", Signal(n).name())).collect(),
    };
    (0, text, String::new())
}

pub fn kill(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let name = if shell.flavour == Flavour::Ash { shell.arg0.to_string() } else { "bash: kill".into() };
    let groups: Vec<(String, i64)> = argv[1..]
        .iter()
        .filter(|a| a.starts_with('%'))
        .filter_map(|a| shell.job(a).map(|at| (a.to_string(), -(shell.jobs[at].group as i64))))
        .collect();
    let (status, text, errors) =
        kill_command(&name, sys, &argv[1..], &|text| groups.iter().find(|(t, _)| t == text).map(|(_, g)| *g));
    shell.out.push(1, text.as_bytes());
    shell.out.push(2, errors.as_bytes());
    Outcome::Done(status)
}

pub fn trap(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let args: Vec<&Text> = argv[1..].iter().skip_while(|a| &***a == "--").collect();
    if args.is_empty() || (args.len() == 1 && &**args[0] == "-p") {
        let text: String =
            shell.traps.iter().map(|(signal, action)| format!("trap -- {} {}\n", quote(action), signal.name())).collect();
        shell.out.push(1, text.as_bytes());
        return Outcome::Done(0);
    }
    if &**args[0] == "-l" {
        let (_, text, _) = list_signals(&[]);
        shell.out.push(1, text.as_bytes());
        return Outcome::Done(0);
    }
    let reset = args.len() == 1 || &**args[0] == "-" || args[0].bytes().all(|b| b.is_ascii_digit()) && !args[0].is_empty();
    let signals = if reset && &**args[0] != "-" { &args[..] } else { &args[1..] };
    for name in signals {
        let Some(signal) = Signal::parse(name) else {
            shell.complain(Some("trap"), &format!("{name}: invalid signal specification"));
            return Outcome::Done(1);
        };
        let disposition = match (reset, args[0].is_empty()) {
            (true, _) => {
                shell.traps.remove(&signal);
                let interactive_int = shell.interactive.is_some() && signal == Signal::INT;
                if interactive_int { Disposition::Catch } else { Disposition::Default }
            }
            (false, empty) => {
                shell.traps.insert(signal, args[0].clone());
                if empty { Disposition::Ignore } else { Disposition::Catch }
            }
        };
        if signal.0 != 0 {
            sys.on_signal(signal, disposition);
        }
    }
    Outcome::Done(0)
}

pub fn times(shell: &mut Shell, sys: &mut Sys<'_>, _: &[Text]) -> Outcome {
    let own = sys.processes().iter().find(|p| p.pid == sys.pid()).map_or(0, |p| p.steps);
    let text = format!("0m{:.3}s 0m0.000s\n0m0.000s 0m0.000s\n", own as f64 / 1e6);
    shell.out.push(1, text.as_bytes());
    Outcome::Done(0)
}
