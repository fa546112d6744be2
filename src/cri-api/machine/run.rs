//! The scheduler of a machine: polls processes round robin within the CPU's budget, and ends them.

use base::{Duration, Time};

use super::process::State;
use super::{Host, Machine, MachineOutput, QUANTUM, QUANTUM_TIME, Sys};
use crate::errno::Errno;
use crate::program::{Pid, Poll};
use crate::signal::{Signal, Status};

impl Machine {
    /// Runs until every process waits, or the budget is used up; then asks for the next timer.
    pub(super) fn run(&mut self, now: Time, host: &mut Host<'_>, out: &mut Vec<MachineOutput>) {
        self.refill(now);
        self.fire_timers(now);
        let mut spent = 0;
        let mut resume_at = None;
        while !self.queue.is_empty() {
            if self.tokens <= 0 {
                resume_at = Some(now + self.refill_time());
                break;
            }
            if spent >= QUANTUM {
                resume_at = Some(now + QUANTUM_TIME);
                break;
            }
            let Some(pid) = self.queue.pop_front() else { break };
            let cost = self.poll_process(now, host, pid, out);
            spent += cost;
            self.tokens -= cost;
            self.used_steps += cost as u64;
        }
        self.arm(now, resume_at, out);
    }

    fn refill(&mut self, now: Time) {
        let cpu = self.config.cpu;
        let elapsed = now.since(self.refilled).as_micros().clamp(0, 3_600_000_000);
        self.refilled = now;
        self.tokens = (self.tokens + elapsed * cpu.per_second as i64 / 1_000_000).min(cpu.burst as i64);
    }

    /// How long it takes until a twentieth of a second's steps are there again.
    fn refill_time(&self) -> Duration {
        let per_second = self.config.cpu.per_second.max(1) as i64;
        let wanted = (per_second / 20).max(1) - self.tokens.min(0);
        Duration::from_micros(wanted * 1_000_000 / per_second + 1)
    }

    fn fire_timers(&mut self, now: Time) {
        while let Some(&(at, pid)) = self.timers.get_min().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, pid));
            if let Some(process) = self.proc_mut(pid) {
                process.wake_at = None;
            }
            self.wake(pid);
        }
    }

    fn arm(&mut self, now: Time, resume_at: Option<Time>, out: &mut Vec<MachineOutput>) {
        let next = [self.timers.get_min().map(|(at, _)| *at), resume_at].into_iter().flatten().min();
        let Some(next) = next else { return };
        if self.armed.is_none_or(|armed| armed <= now || next < armed) {
            self.armed = Some(next);
            out.push(MachineOutput::Timer(next));
        }
    }

    /// Lets one process go on. Returns its cost in steps.
    fn poll_process(&mut self, now: Time, host: &mut Host<'_>, pid: Pid, out: &mut Vec<MachineOutput>) -> i64 {
        let Some(process) = self.proc_mut(pid) else { return 0 };
        if process.zombie.is_some() || process.state != State::Ready {
            return 0;
        }
        if let Some((status, oom)) = process.killed {
            self.end_process(host, pid, status, oom, out);
            return 1;
        }
        process.state = State::Running { woken: false };
        let Some(mut program) = process.program.take() else { return 0 };
        let mut sys = Sys { machine: self, volumes: host.volumes, programs: host.programs, out, now, pid, charged: 1 };
        let poll = program.get_mut().poll(&mut sys);
        let cost = sys.charged;
        let Some(process) = self.proc_mut(pid) else { return cost };
        process.steps += cost as u64;
        process.program = Some(program);
        if let Some((status, oom)) = process.killed {
            self.end_process(host, pid, status, oom, out);
            return cost;
        }
        match poll {
            Poll::Exit(code) => self.end_process(host, pid, Status::Exited(code as u8), false, out),
            Poll::Ready => self.requeue(pid),
            Poll::Pending => {
                let process = self.proc_mut(pid).expect("looked up above");
                match process.state {
                    State::Running { woken: true } => self.requeue(pid),
                    State::Running { woken: false } => process.state = State::Blocked,
                    _ => {}
                }
            }
            Poll::Exec(spawn) => {
                if let Err(error) = self.exec_process(now, host, pid, spawn, out) {
                    self.proc_mut(pid).expect("looked up above").exec_error = Some(error);
                }
                self.requeue(pid);
            }
        }
        cost
    }

    fn requeue(&mut self, pid: Pid) {
        if let Some(process) = self.proc_mut(pid)
            && matches!(process.state, State::Running { .. })
        {
            process.state = State::Ready;
            self.queue.push_back(pid);
        }
    }

    /// Ends a process: closes what it holds, gives its children away, tells its parent.
    pub(super) fn end_process(&mut self, host: &mut Host<'_>, pid: Pid, status: Status, oom: bool, out: &mut Vec<MachineOutput>) {
        let Some(process) = self.proc_mut(pid) else { return };
        let (fds, children, parent, wake_at) =
            (std::mem::take(&mut process.fds), std::mem::take(&mut process.children), process.parent, process.wake_at.take());
        process.program = None;
        process.zombie = Some(status);
        (process.memory, process.reserved) = (0, 0);
        if let Some(at) = wake_at {
            self.timers.remove(&(at, pid));
        }
        for entry in fds.values() {
            self.release_file(entry.file, host.volumes, out);
        }
        self.drop_calls(pid, out);
        for child in children {
            self.orphan(child);
        }
        if self.procs.contains_key(&parent) {
            self.post_signal(parent, Signal::CHLD, false);
            self.wake(parent);
        } else {
            self.procs.remove(&pid);
            if parent == 0 {
                out.push(MachineOutput::Exited { pid, status, oom });
            }
        }
        if pid == 1 && self.config.container {
            self.end_all(host, out);
        }
    }

    /// A process without a parent is nobody's to wait for: it goes as soon as it ends.
    fn orphan(&mut self, child: Pid) {
        let Some(process) = self.proc_mut(child) else { return };
        if process.zombie.is_some() {
            self.procs.remove(&child);
        } else {
            process.parent = Pid::MAX;
        }
    }

    /// The kernel kills a PID namespace with its process 1.
    fn end_all(&mut self, host: &mut Host<'_>, out: &mut Vec<MachineOutput>) {
        let others: Vec<Pid> = self.procs.iter().filter(|(_, p)| p.zombie.is_none()).map(|(pid, _)| *pid).collect();
        for pid in others {
            self.end_process(host, pid, Status::Signaled(Signal::KILL), false, out);
        }
        self.procs.clear();
        self.queue.clear();
        self.timers.clear();
    }
}

impl Sys<'_> {
    /// Why the last [`Poll::Exec`] failed, once.
    pub fn exec_error(&mut self) -> Option<Errno> {
        self.me_mut().exec_error.take()
    }
}
