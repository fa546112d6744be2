//! What needs processes: subshells, pipelines, command substitution, background jobs, and waiting for them.

use std::rc::Rc;

use cri_api::{Disposition, Errno, Fd, FdAction, ForkSpec, OpenFlags, Pid, Poll, Signal, Status, Sys, TtyMode, WaitFor};

use super::{Flavour, Frame, Job, Shell};
use crate::ast::Cmd;

/// What an interactive shell does on signals, for itself and not for its children.
pub(super) const INTERACTIVE: [(Signal, Disposition); 5] = [
    (Signal::INT, Disposition::Catch),
    (Signal::WINCH, Disposition::Catch),
    (Signal::QUIT, Disposition::Ignore),
    (Signal::TERM, Disposition::Ignore),
    (Signal::TSTP, Disposition::Ignore),
];

impl Shell {
    /// This shell's state for a child, with other frames.
    pub(super) fn child(&mut self, frames: Vec<Frame>) -> Shell {
        let own = std::mem::replace(&mut self.frames, frames);
        let interactive = self.interactive.take();
        let out = std::mem::take(&mut self.out);
        let mut child = self.clone();
        self.frames = own;
        self.interactive = interactive;
        self.out = out;
        child.forked = true;
        if let Some(interactive) = &self.interactive {
            child.history = interactive.history.clone();
        }
        child.jobs = Vec::new();
        child.exit_trap_ran = false;
        child.traps = self.traps.iter().filter(|(_, action)| action.is_empty()).map(|(s, a)| (*s, a.clone())).collect();
        child
    }

    /// Forks.
    fn fork(&mut self, child: Shell, mut spec: ForkSpec, sys: &mut Sys<'_>) -> Result<Pid, Errno> {
        spec.ignore.extend(child.traps.keys().filter(|s| s.0 != 0));
        self.with_default_signals(sys, |sys| sys.fork(Box::new(child), spec))
    }

    /// Starts a child, in which all signals fall back that the shell catches, or ignores because somebody types into it: a job of an
    /// interactive shell can be terminated and stopped.
    pub(super) fn with_default_signals<T>(&self, sys: &mut Sys<'_>, start: impl FnOnce(&mut Sys<'_>) -> T) -> T {
        let own = self.own_signals();
        for (signal, _) in &own {
            sys.on_signal(*signal, Disposition::Default);
        }
        let started = start(sys);
        for (signal, disposition) in own {
            sys.on_signal(signal, disposition);
        }
        started
    }

    fn own_signals(&self) -> Vec<(Signal, Disposition)> {
        let traps = self.traps.iter().filter(|(s, a)| s.0 != 0 && !a.is_empty());
        let mut own: Vec<_> = traps.map(|(s, _)| (*s, Disposition::Catch)).collect();
        if self.interactive.is_some() {
            own.extend(INTERACTIVE.into_iter().filter(|(s, _)| !self.traps.contains_key(s)));
        }
        own
    }

    fn no_fork(&mut self, error: Errno) {
        let (text, status) = match self.flavour {
            Flavour::Ash => (format!("can't fork: {error}"), 2),
            Flavour::Bash => (format!("fork: {error}"), 254),
        };
        self.complain(None, &text);
        self.abort(status);
    }

    pub(super) fn fork_and_wait(&mut self, child: Shell, sys: &mut Sys<'_>) {
        let group = self.interactive.is_some().then_some(0);
        match self.fork(child, ForkSpec { group, ..ForkSpec::default() }, sys) {
            Ok(pid) => self.wait_for(vec![pid], false, sys),
            Err(error) => self.no_fork(error),
        }
    }

    pub(super) fn subshell(&mut self, body: &Rc<Cmd>, sys: &mut Sys<'_>) {
        let child = self.child(vec![Frame::Run(body.clone())]);
        self.fork_and_wait(child, sys);
    }

    pub(super) fn pipeline(&mut self, not: bool, stages: &[Rc<Cmd>], sys: &mut Sys<'_>) {
        match self.start_stages(stages, false, sys) {
            Ok(pids) => {
                if not {
                    self.push(Frame::Not);
                    self.push(Frame::Guarded);
                }
                self.wait_for(pids, false, sys);
            }
            Err(error) => self.no_fork(error),
        }
    }

    /// Forks the stages of a pipeline, each writing to the next.
    fn start_stages(&mut self, stages: &[Rc<Cmd>], background: bool, sys: &mut Sys<'_>) -> Result<Vec<Pid>, Errno> {
        let mut pids: Vec<Pid> = Vec::with_capacity(stages.len());
        let mut input: Option<Fd> = None;
        let mut failed = None;
        for (i, stage) in stages.iter().enumerate() {
            let mut spec = ForkSpec::default();
            let pipe = if i + 1 < stages.len() { Some(sys.pipe()?) } else { None };
            if let Some(read) = input {
                spec.fds.extend([FdAction::Dup(read, 0), FdAction::Close(read)]);
            }
            if let Some((read, write)) = pipe {
                spec.fds.extend([FdAction::Dup(write, 1), FdAction::Close(write), FdAction::Close(read)]);
            }
            if self.interactive.is_some() {
                spec.group = Some(pids.first().copied().unwrap_or(0));
            } else if background {
                spec.ignore.extend([Signal::INT, Signal::QUIT]);
            }
            let child = self.child(vec![Frame::Run(stage.clone())]);
            let forked = self.fork(child, spec, sys);
            for fd in [input.take(), pipe.map(|p| p.1)].into_iter().flatten() {
                sys.close(fd)?;
            }
            input = pipe.map(|p| p.0);
            match forked {
                Ok(pid) => pids.push(pid),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let Some(fd) = input {
            sys.close(fd)?;
        }
        failed.map_or(Ok(pids), Err)
    }

    /// `command &`.
    pub(super) fn start_job(&mut self, command: &Rc<Cmd>, sys: &mut Sys<'_>) {
        let stages = match &**command {
            Cmd::Pipeline { not: false, stages } => stages.clone(),
            _ => vec![command.clone()],
        };
        // Without job control a background command doesn't share the input.
        let null = match self.interactive {
            None => sys.open("/dev/null", OpenFlags::READ, 0).ok(),
            Some(_) => None,
        };
        let saved = null.and_then(|null| {
            let saved = sys.dup_away(0, 10).ok();
            let _ = sys.dup2(null, 0);
            let _ = sys.close(null);
            saved
        });
        let started = self.start_stages(&stages, true, sys);
        if null.is_some() {
            match saved {
                Some(saved) => {
                    let _ = sys.dup2(saved, 0);
                    let _ = sys.close(saved);
                }
                None => {
                    let _ = sys.close(0);
                }
            }
        }
        match started {
            Ok(pids) => self.add_job(pids, sys),
            Err(error) => self.no_fork(error),
        }
    }

    fn add_job(&mut self, pids: Vec<Pid>, _sys: &mut Sys<'_>) {
        let last = pids.last().copied().unwrap_or(0);
        let number = self.jobs.iter().map(|j| j.number).max().unwrap_or(0) + 1;
        self.background = Some(last);
        if self.interactive.is_some() && self.flavour == Flavour::Bash {
            self.out.push(2, format!("[{number}] {last}\n").as_bytes());
        }
        let text = self.interactive.as_ref().map_or("".into(), |i| i.last_line.trim_end_matches(['&', ' ']).into());
        self.jobs.push(Job { number, group: pids.first().copied().unwrap_or(0), pids, text, status: None });
        self.status = 0;
    }

    /// Gives the terminal to children and waits for them.
    pub(super) fn wait_for(&mut self, pids: Vec<Pid>, not: bool, sys: &mut Sys<'_>) {
        let foreground = self.interactive.is_some();
        if foreground && let Some(first) = pids.first() {
            let _ = sys.set_tty_foreground(0, *first);
        }
        let statuses = vec![None; pids.len()];
        self.push(Frame::Wait { pids, statuses, not, foreground });
    }

    pub(super) fn wait_children(
        &mut self,
        pids: Vec<Pid>,
        mut statuses: Vec<Option<i32>>,
        not: bool,
        foreground: bool,
        sys: &mut Sys<'_>,
    ) -> Option<Poll> {
        let mut killed = None;
        for (i, pid) in pids.iter().enumerate() {
            if statuses[i].is_some() {
                continue;
            }
            match sys.wait(WaitFor::Pid(*pid)) {
                Ok((_, status)) => {
                    statuses[i] = Some(status.code());
                    if let Status::Signaled(signal) = status
                        && i + 1 == pids.len()
                    {
                        killed = Some(signal);
                    }
                }
                Err(Errno::EAGAIN) if foreground && sys.is_stopped(*pid) => {
                    self.take_terminal_back(sys);
                    let text = self.interactive.as_ref().map_or("".into(), |i| i.last_line.clone());
                    let number = self.jobs.iter().map(|j| j.number).max().unwrap_or(0) + 1;
                    self.out.push(2, format!("\n[{number}]+  Stopped                    {text}\n").as_bytes());
                    self.jobs.push(Job { number, group: pids[0], pids, text, status: None });
                    self.finish(148);
                    return None;
                }
                Err(Errno::EAGAIN) => {
                    self.frames.push(Frame::Wait { pids, statuses, not, foreground });
                    return Some(Poll::Pending);
                }
                Err(_) => statuses[i] = Some(127),
            }
        }
        if foreground {
            self.take_terminal_back(sys);
        }
        if let Some(signal) = killed {
            self.say_killed(signal);
        }
        let last = statuses.last().copied().flatten().unwrap_or(0);
        let failed = statuses.iter().rev().filter_map(|s| *s).find(|s| *s != 0);
        let status = if self.options.pipefail { failed.unwrap_or(0) } else { last };
        if foreground && status == 130 && killed == Some(Signal::INT) {
            self.out.push(2, b"\n");
            self.abort(130);
            return None;
        }
        self.finish(status);
        None
    }

    fn take_terminal_back(&mut self, sys: &mut Sys<'_>) {
        let group = sys.group();
        let _ = sys.set_tty_foreground(0, group);
        let _ = sys.set_tty_mode(0, TtyMode::COOKED);
    }

    /// What a shell prints when the command it waited for was killed.
    fn say_killed(&mut self, signal: Signal) {
        let text = match signal {
            Signal::INT | Signal::PIPE => return,
            Signal::KILL => "Killed",
            Signal::TERM => "Terminated",
            Signal::HUP => "Hangup",
            Signal::QUIT => "Quit",
            Signal::ALRM => "Alarm clock",
            Signal(11) => "Segmentation fault",
            Signal(6) => "Aborted",
            other => other.name(),
        };
        self.out.push(2, format!("{text}\n").as_bytes());
    }

    // ---- $(…) ----

    pub(super) fn start_substitution(&mut self, command: &Rc<Cmd>, sys: &mut Sys<'_>) {
        let Ok((read, write)) = sys.pipe() else { return self.no_fork(Errno::EMFILE) };
        let mut child = self.child(vec![Frame::Run(command.clone())]);
        child.guards = self.guards;
        let fds = vec![FdAction::Dup(write, 1), FdAction::Close(write), FdAction::Close(read)];
        let forked = self.fork(child, ForkSpec { fds, ..ForkSpec::default() }, sys);
        let _ = sys.close(write);
        match forked {
            Ok(pid) => self.push(Frame::Substitution { fd: read, pid, data: Vec::new(), ended: false }),
            Err(error) => {
                let _ = sys.close(read);
                self.no_fork(error);
            }
        }
    }

    pub(super) fn substitution(
        &mut self,
        fd: Fd,
        pid: Pid,
        mut data: Vec<u8>,
        mut ended: bool,
        sys: &mut Sys<'_>,
    ) -> Option<Poll> {
        while !ended {
            match sys.read(fd, 65_536) {
                Ok(bytes) if bytes.is_empty() => {
                    ended = true;
                    let _ = sys.close(fd);
                }
                Ok(bytes) => {
                    data.extend_from_slice(&bytes);
                    sys.set_memory(data.len() as u64);
                    if data.len() > MAX_SUBSTITUTION {
                        let _ = sys.close(fd);
                        self.fatal("command substitution: output too long");
                        return None;
                    }
                }
                Err(Errno::EAGAIN) => {
                    self.frames.push(Frame::Substitution { fd, pid, data, ended });
                    return Some(Poll::Pending);
                }
                Err(_) => ended = true,
            }
        }
        let status = match sys.wait(WaitFor::Pid(pid)) {
            Ok((_, status)) => status.code(),
            Err(Errno::EAGAIN) => {
                self.frames.push(Frame::Substitution { fd, pid, data, ended });
                return Some(Poll::Pending);
            }
            Err(_) => 0,
        };
        while data.last() == Some(&b'\n') {
            data.pop();
        }
        data.retain(|b| *b != 0);
        self.status = status;
        self.substitution_status = Some(status);
        if let Some(Frame::Expand { answers, .. }) = self.frames.last_mut() {
            answers.push(String::from_utf8_lossy(&data).into());
        }
        if self.interactive.is_some() && status == 130 {
            self.abort(130);
        }
        None
    }
}

/// Bytes that `$(…)` may take.
const MAX_SUBSTITUTION: usize = 16 << 20;
