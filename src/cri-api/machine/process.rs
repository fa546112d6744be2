//! One process, and what others may see of it.

use std::rc::Rc;

use base::{Map, Set, Time};

use super::Machine;
use super::tty::TtyId;
use crate::program::{Env, Fd, Pid, Running, Text};
use crate::signal::{Disposition, Signal, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In the run queue.
    Ready,
    /// Being polled; `woken` if something happened meanwhile.
    Running {
        woken: bool,
    },
    Blocked,
    Stopped,
}

#[derive(Clone, Copy)]
pub(super) struct FdEntry {
    pub file: u32,
    pub close_on_exec: bool,
}

#[derive(Clone)]
pub(super) struct Process {
    pub parent: Pid,
    pub group: Pid,
    pub argv: Rc<[Text]>,
    /// Name of the program (`/proc/N/comm`).
    pub comm: Text,
    pub env: Env,
    pub cwd: Text,
    pub uid: u32,
    pub gid: u32,
    pub groups: Rc<[u32]>,
    pub umask: u16,
    pub fds: Map<Fd, FdEntry>,
    pub program: Option<Running>,
    pub state: State,
    pub zombie: Option<Status>,
    /// Set by a deadly signal; the process ends when its poll returns.
    pub killed: Option<(Status, bool)>,
    pub dispositions: Map<Signal, Disposition>,
    pub pending: Set<Signal>,
    pub wake_at: Option<Time>,
    pub children: Set<Pid>,
    pub tty: Option<TtyId>,
    pub started: Time,
    pub steps: u64,
    /// Bytes that it really holds here.
    pub memory: u64,
    /// Bytes that it would hold: modelled, without content.
    pub reserved: u64,
    pub exec_error: Option<crate::Errno>,
}

/// A process as `ps` and the page show it.
#[derive(Clone, Debug)]
pub struct ProcessView {
    pub pid: Pid,
    pub parent: Pid,
    pub group: Pid,
    pub uid: u32,
    pub gid: u32,
    pub argv: Rc<[Text]>,
    pub comm: Text,
    /// `R`, `S`, `T` or `Z`.
    pub state: char,
    pub started: Time,
    /// Steps of CPU so far (about a microsecond each).
    pub steps: u64,
    pub memory: u64,
    pub tty: Option<TtyId>,
}

/// What a process holds before it asks for more.
pub(super) const BASE_MEMORY: u64 = 256 * 1024;

impl Process {
    pub fn disposition(&self, signal: Signal) -> Disposition {
        self.dispositions.get(&signal).copied().unwrap_or_default()
    }

    /// What the kernel counts for it.
    pub fn resident(&self) -> u64 {
        self.memory.saturating_add(self.reserved)
    }

    pub fn view(&self, pid: Pid) -> ProcessView {
        let state = match (self.zombie, self.state) {
            (Some(_), _) => 'Z',
            (None, State::Ready | State::Running { .. }) => 'R',
            (None, State::Stopped) => 'T',
            (None, State::Blocked) => 'S',
        };
        ProcessView {
            pid,
            parent: self.parent,
            group: self.group,
            uid: self.uid,
            gid: self.gid,
            argv: self.argv.clone(),
            comm: self.comm.clone(),
            state,
            started: self.started,
            steps: self.steps,
            memory: self.resident(),
            tty: self.tty,
        }
    }
}

impl Machine {
    pub(super) fn proc(&self, pid: Pid) -> Option<&Process> {
        self.procs.get(&pid).map(|p| &**p)
    }

    pub(super) fn proc_mut(&mut self, pid: Pid) -> Option<&mut Process> {
        self.procs.get_mut(&pid).map(Rc::make_mut)
    }

    /// Puts a process that waits into the run queue.
    pub(super) fn wake(&mut self, pid: Pid) {
        let Some(process) = self.procs.get_mut(&pid) else { return };
        if process.zombie.is_some() {
            return;
        }
        match process.state {
            State::Blocked => {
                Rc::make_mut(process).state = State::Ready;
                self.queue.push_back(pid);
            }
            State::Running { woken: false } => Rc::make_mut(process).state = State::Running { woken: true },
            State::Running { .. } | State::Ready | State::Stopped => {}
        }
    }

    pub(super) fn wake_all(&mut self, waiters: Vec<Pid>) {
        for pid in waiters {
            self.wake(pid);
        }
    }

    /// Sends a signal to one process. `outside`: from the owner, which process 1 can't shrug off if it is SIGKILL.
    pub(super) fn post_signal(&mut self, pid: Pid, signal: Signal, outside: bool) {
        let protected = self.config.container && pid == 1 && !(outside && signal == Signal::KILL);
        let Some(process) = self.proc_mut(pid) else { return };
        if process.zombie.is_some() {
            return;
        }
        if signal == Signal::CONT && process.state == State::Stopped {
            process.state = State::Blocked;
            self.wake(pid);
            return;
        }
        let disposition = match signal {
            Signal::KILL | Signal::STOP => Disposition::Default,
            _ => process.disposition(signal),
        };
        match disposition {
            Disposition::Ignore => {}
            Disposition::Catch => {
                process.pending.insert(signal);
                self.wake(pid);
            }
            Disposition::Default if protected || signal.ignored_by_default() => {}
            Disposition::Default if signal.stops_by_default() => {
                if process.state != State::Stopped {
                    process.state = State::Stopped;
                    let parent = process.parent;
                    self.queue.retain(|queued| *queued != pid);
                    self.wake(parent);
                }
            }
            Disposition::Default => {
                process.killed = Some((Status::Signaled(signal), false));
                if process.state == State::Stopped {
                    process.state = State::Blocked;
                }
                self.wake(pid);
            }
        }
    }

    /// Sends a signal to a process group.
    pub(super) fn post_group(&mut self, group: Pid, signal: Signal) {
        let members: Vec<Pid> = self.procs.iter().filter(|(_, p)| p.group == group).map(|(pid, _)| *pid).collect();
        for pid in members {
            self.post_signal(pid, signal, false);
        }
    }
}
