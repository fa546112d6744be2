//! System calls on processes, signals, time and the machine itself.

use std::rc::Rc;

use base::{Duration, Map, Set, Time};

use super::exec::{Image, load};
use super::process::{BASE_MEMORY, Process, State};
use super::{MachineConfig, ProcessView, Sys};
use crate::errno::Errno;
use crate::program::{Env, FdAction, Pid, Program, ProgramTable, Running, Spawn, Text};
use crate::signal::{Disposition, Signal, Status};
use crate::vfs::{Credentials, FsView, Mount};

/// Which child to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    Any,
    Pid(Pid),
}

/// How a forked child differs from its parent.
#[derive(Clone, Debug, Default)]
pub struct ForkSpec {
    pub fds: Vec<FdAction>,
    /// See [`Spawn::group`].
    pub group: Option<Pid>,
    pub ignore: Vec<Signal>,
}

/// Bytes that the processes of one machine may hold, whatever the modelled memory is: the bottle itself lives in a page's.
const MOST_MEMORY: u64 = 256 << 20;

impl Sys<'_> {
    pub fn now(&self) -> Time {
        self.now
    }

    /// Adds to what this poll costs, in steps.
    pub fn charge(&mut self, steps: u32) {
        self.charged += steps as i64;
    }

    /// Steps that this poll has cost so far.
    pub fn charged(&self) -> u32 {
        self.charged.clamp(0, u32::MAX as i64) as u32
    }

    pub fn config(&self) -> &Rc<MachineConfig> {
        &self.machine.config
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// 0 if the owner of the machine started it (or its parent has gone).
    pub fn parent_pid(&self) -> Pid {
        Some(self.me().parent).filter(|p| *p != Pid::MAX).unwrap_or(1)
    }

    pub fn group(&self) -> Pid {
        self.me().group
    }

    pub fn argv(&self) -> Rc<[Text]> {
        self.me().argv.clone()
    }

    pub fn env(&self) -> Env {
        self.me().env.clone()
    }

    pub fn var(&self, name: &str) -> Option<Text> {
        self.me().env.get(name).cloned()
    }

    /// Replaces this process' environment (children inherit it).
    pub fn set_env(&mut self, env: Env) {
        self.me_mut().env = env;
    }

    pub fn uid(&self) -> u32 {
        self.me().uid
    }

    pub fn gid(&self) -> u32 {
        self.me().gid
    }

    pub fn groups(&self) -> Rc<[u32]> {
        self.me().groups.clone()
    }

    pub fn umask(&self) -> u16 {
        self.me().umask
    }

    pub fn set_umask(&mut self, umask: u16) {
        self.me_mut().umask = umask & 0o777;
    }

    /// Says how much memory the process holds in all. Above the machine's limit the kernel kills it.
    pub fn set_memory(&mut self, bytes: u64) {
        self.me_mut().memory = bytes.saturating_add(BASE_MEMORY);
        self.check_memory();
    }

    /// Says how much memory the process would hold in reality beyond what it holds here: the working set of a database, a
    /// buffer that `stress` touches. It counts as any other memory but costs the bottle nothing.
    pub fn reserve_memory(&mut self, bytes: u64) {
        self.me_mut().reserved = bytes;
        self.check_memory();
    }

    /// The kernel's killer: ends this process if the machine's memory is above its limit.
    pub(super) fn check_memory(&mut self) {
        let held = self.machine.memory_bytes().saturating_add(self.machine.tmpfs_bytes(self.volumes));
        let config = &self.machine.config;
        let limit = config.memory_limit.unwrap_or(config.memory);
        let real = self.machine.procs.values().fold(0u64, |sum, p| sum.saturating_add(p.memory));
        if held > limit || real > MOST_MEMORY {
            self.me_mut().killed = Some((Status::Signaled(Signal::KILL), true));
        }
    }

    /// Whether this process has been killed meanwhile (by itself, or for memory): it ends when `poll` returns.
    pub fn is_killed(&self) -> bool {
        self.me().killed.is_some()
    }

    pub fn programs(&self) -> &ProgramTable {
        self.programs
    }

    pub fn mounts(&self) -> Vec<Mount> {
        self.machine.namespace.mounts().cloned().collect()
    }

    /// Bytes used of, and limit of, the root filesystem and each mount.
    pub fn usage(&self) -> Vec<(Text, Text, u64, u64)> {
        let mut rows = vec![(Text::from("overlay"), Text::from("/"), self.machine.root.used(), self.machine.root.limit)];
        for (id, volume) in self.volumes.iter() {
            let _ = id;
            rows.push((volume.device.clone(), "".into(), volume.tree.used(), volume.tree.limit));
        }
        rows
    }

    pub fn processes(&self) -> Vec<ProcessView> {
        self.machine.procs.iter().map(|(pid, p)| p.view(*pid)).collect()
    }

    // ---- time ----

    /// True if `until` has come; else the process is woken then. One such time per process: the last one asked for.
    pub fn sleep_until(&mut self, until: Time) -> bool {
        if until <= self.now {
            return true;
        }
        let pid = self.pid;
        if self.me().wake_at == Some(until) {
            return false;
        }
        if let Some(at) = self.me_mut().wake_at.replace(until) {
            self.machine.timers.remove(&(at, pid));
        }
        self.machine.timers.insert((until, pid));
        false
    }

    /// When `span` from now is.
    pub fn after(&self, span: Duration) -> Time {
        self.now + span
    }

    // ---- children ----

    /// A child that runs another state of the same program (a subshell): inherits descriptors, environment, directory.
    /// `EAGAIN`: the machine is full of processes (no wake follows).
    pub fn fork(&mut self, program: Box<dyn Program>, spec: ForkSpec) -> Result<Pid, Errno> {
        let (argv, comm) = (self.me().argv.clone(), self.me().comm.clone());
        self.add_child(Running::new(program), argv, comm, &spec)
    }

    fn add_child(&mut self, program: Running, argv: Rc<[Text]>, comm: Text, spec: &ForkSpec) -> Result<Pid, Errno> {
        if self.machine.procs.len() >= self.machine.config.process_limit as usize {
            return Err(Errno::EAGAIN);
        }
        self.charged += 10;
        let (parent, pid) = (self.pid, self.machine.next_pid());
        let me = self.me();
        let mut dispositions = me.dispositions.clone();
        for signal in &spec.ignore {
            dispositions.insert(*signal, Disposition::Ignore);
        }
        let child = Process {
            parent,
            group: match spec.group {
                Some(0) => pid,
                Some(group) => group,
                None => me.group,
            },
            argv,
            comm,
            env: me.env.clone(),
            cwd: me.cwd.clone(),
            uid: me.uid,
            gid: me.gid,
            groups: me.groups.clone(),
            umask: me.umask,
            fds: me.fds.clone(),
            program: Some(program),
            state: State::Ready,
            zombie: None,
            killed: None,
            dispositions,
            pending: Set::new(),
            wake_at: None,
            children: Set::new(),
            tty: me.tty,
            started: self.now,
            steps: 0,
            memory: BASE_MEMORY,
            reserved: 0,
            exec_error: None,
        };
        for entry in child.fds.values() {
            self.machine.retain_file(entry.file);
        }
        self.machine.procs.insert(pid, Rc::new(child));
        self.me_mut().children.insert(pid);
        self.machine.queue.push_back(pid);
        self.machine.apply_fd_actions(pid, &spec.fds, self.volumes, self.out)?;
        Ok(pid)
    }

    /// Starts a command as a child. Errors are those of `execve`; `EAGAIN` as for [`Sys::fork`].
    pub fn spawn(&mut self, spawn: Spawn) -> Result<Pid, Errno> {
        let image = self.load(&spawn)?;
        let spec = ForkSpec { fds: spawn.fds, group: spawn.group, ignore: spawn.ignore };
        let Image { program, argv, comm } = image;
        let pid = self.add_child(Running::new(program), argv.clone().into(), comm.clone(), &spec)?;
        let child = self.machine.proc_mut(pid).expect("just added");
        if let Some(env) = spawn.env {
            child.env = env;
        }
        if let Some(cwd) = spawn.cwd {
            child.cwd = cwd;
        }
        let kept: Map<Signal, Disposition> =
            child.dispositions.iter().filter(|(_, d)| **d == Disposition::Ignore).map(|(s, d)| (*s, *d)).collect();
        child.dispositions = kept;
        let closing: Vec<_> = child.fds.iter().filter(|(_, e)| e.close_on_exec).map(|(fd, e)| (*fd, e.file)).collect();
        for (fd, _) in &closing {
            child.fds.remove(fd);
        }
        for (_, file) in closing {
            self.machine.release_file(file, self.volumes, self.out);
        }
        Ok(pid)
    }

    fn load(&mut self, spawn: &Spawn) -> Result<Image, Errno> {
        let me = self.machine.procs.get(&self.pid).cloned().expect("the process that is polled exists");
        let who = Credentials { uid: me.uid, gid: me.gid, groups: &me.groups };
        let fs = FsView { root: &mut self.machine.root, volumes: self.volumes, namespace: &self.machine.namespace };
        let cwd = spawn.cwd.as_ref().unwrap_or(&me.cwd);
        load(&fs, self.programs, who, cwd, spawn.env.as_ref().unwrap_or(&me.env), spawn)
    }

    /// Takes the status of a child that has ended. `ECHILD`: there is none. `EAGAIN`: woken when one ends (or stops).
    pub fn wait(&mut self, which: WaitFor) -> Result<(Pid, Status), Errno> {
        let me = self.me();
        let ended = |pid: &Pid| self.machine.proc(*pid).and_then(|p| p.zombie.map(|status| (*pid, status)));
        let found = match which {
            WaitFor::Pid(pid) if !me.children.contains(&pid) => return Err(Errno::ECHILD),
            WaitFor::Pid(pid) => ended(&pid),
            WaitFor::Any if me.children.is_empty() => return Err(Errno::ECHILD),
            WaitFor::Any => me.children.iter().find_map(ended),
        };
        let (pid, status) = found.ok_or(Errno::EAGAIN)?;
        self.machine.procs.remove(&pid);
        self.me_mut().children.remove(&pid);
        Ok((pid, status))
    }

    /// Whether a child has been stopped (^Z).
    pub fn is_stopped(&self, pid: Pid) -> bool {
        self.machine.proc(pid).is_some_and(|p| p.state == State::Stopped)
    }

    // ---- signals ----

    /// Sets what happens on a signal. Caught signals wake the process and are taken with [`Sys::take_signal`].
    pub fn on_signal(&mut self, signal: Signal, disposition: Disposition) {
        self.me_mut().dispositions.insert(signal, disposition);
    }

    pub fn disposition(&self, signal: Signal) -> Disposition {
        self.me().disposition(signal)
    }

    /// The lowest pending caught signal.
    pub fn take_signal(&mut self) -> Option<Signal> {
        let signal = self.me().pending.get_min().copied()?;
        self.me_mut().pending.remove(&signal);
        Some(signal)
    }

    /// `kill(2)`: a process (> 0), a group (< -1), the own group (0), all others (-1). Signal 0 only asks.
    pub fn kill(&mut self, target: i64, signal: Signal) -> Result<(), Errno> {
        let uid = self.uid();
        let own = self.group();
        let me = self.pid;
        let matches = |pid: Pid, group: Pid| match target {
            t if t > 0 => t == pid as i64,
            0 => group == own,
            -1 => pid != 1 && pid != me,
            t => group as i64 == -t,
        };
        let targets: Vec<(Pid, u32)> =
            self.machine.procs.iter().filter(|(pid, p)| matches(**pid, p.group)).map(|(pid, p)| (*pid, p.uid)).collect();
        if targets.is_empty() {
            return Err(Errno::ESRCH);
        }
        if uid != 0 && targets.iter().all(|(_, owner)| *owner != uid) {
            return Err(Errno::EPERM);
        }
        for (pid, owner) in targets {
            if signal.0 != 0 && (uid == 0 || uid == owner) {
                self.machine.post_signal(pid, signal, false);
            }
        }
        Ok(())
    }

    /// Puts a process (itself or a child) into a group.
    pub fn set_group(&mut self, pid: Pid, group: Pid) {
        if let Some(process) = self.machine.proc_mut(pid) {
            process.group = group;
        }
    }
}
