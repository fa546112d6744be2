//! Starting programs: `PATH`, permission bits, `#!` lines. Models `fs/exec.c` and runc's error texts.

use std::rc::Rc;

use base::{Map, Set, Time};

use super::file::{Kind, OpenFile};
use super::process::{BASE_MEMORY, FdEntry, Process, State};
use super::{Host, Machine, MachineOutput, StartSpec, Stdio};
use crate::errno::Errno;
use crate::program::{Env, FdAction, Pid, Program, ProgramTable, Running, Spawn, Text};
use crate::signal::Disposition;
use crate::vfs::{Credentials, FileData, Found, FsView, Node, Volumes, Wanted};

/// Why a container or an exec session can't start its command, in runc's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    NotInPath(Text),
    NoSuchFile(Text),
    PermissionDenied(Text),
    ExecFormat(Text),
    BadDirectory(Text),
    TooManyProcesses,
}

impl std::fmt::Display for StartError {
    /// The part after `unable to start container process: `.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::NotInPath(name) => write!(f, "exec: {name:?}: executable file not found in $PATH"),
            StartError::NoSuchFile(name) => write!(f, "exec: {name:?}: stat {name}: no such file or directory"),
            StartError::PermissionDenied(name) => write!(f, "exec: {name:?}: permission denied"),
            StartError::ExecFormat(name) => write!(f, "exec {name}: exec format error"),
            StartError::BadDirectory(dir) => write!(f, "chdir to cwd ({dir:?}) set in config.json failed: permission denied"),
            StartError::TooManyProcesses => f.write_str("fork: Resource temporarily unavailable"),
        }
    }
}

/// What an executable file turned out to be.
pub(super) struct Image {
    pub program: Box<dyn Program>,
    pub argv: Vec<Text>,
    pub comm: Text,
}

pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds and loads what `spawn` names, in the eyes of a process with this directory and environment.
pub(super) fn load(
    fs: &FsView<'_>,
    programs: &ProgramTable,
    who: Credentials<'_>,
    cwd: &str,
    env: &Env,
    spawn: &Spawn,
) -> Result<Image, Errno> {
    let name = spawn.path.clone().or_else(|| spawn.argv.first().cloned()).ok_or(Errno::ENOENT)?;
    if name.contains('/') {
        return load_file(fs, programs, who, cwd, &name, spawn.argv.clone(), 0);
    }
    let path = env.get("PATH").map_or(DEFAULT_PATH, |p| p);
    let mut worst = Errno::ENOENT;
    for dir in path.split(':') {
        let full = if dir.is_empty() { name.to_string() } else { format!("{dir}/{name}") };
        match load_file(fs, programs, who, cwd, &full, spawn.argv.clone(), 0) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(Errno::EACCES) => worst = Errno::EACCES,
            other => return other,
        }
    }
    Err(worst)
}

fn load_file(
    fs: &FsView<'_>,
    programs: &ProgramTable,
    who: Credentials<'_>,
    cwd: &str,
    path: &str,
    argv: Vec<Text>,
    depth: u32,
) -> Result<Image, Errno> {
    let Found::There { loc, name, .. } = fs.walk(who, cwd, path, true)? else { return Err(Errno::ENOENT) };
    let inode = fs.tree(loc.fs)?.inode(loc.ino).ok_or(Errno::ENOENT)?;
    let Node::File(data) = &inode.node else { return Err(Errno::EACCES) };
    if !fs.permits(who, loc, Wanted::Execute)? {
        return Err(Errno::EACCES);
    }
    match data {
        FileData::Program(program) => {
            let comm = argv.first().map_or(&*name, |a| a.rsplit('/').next().unwrap_or(a)).trim_start_matches('-').into();
            Ok(Image { program: programs.make(program).ok_or(Errno::ENOEXEC)?, argv, comm })
        }
        FileData::Bytes(bytes) => {
            let Some(line) = bytes.strip_prefix(b"#!") else { return Err(Errno::ENOEXEC) };
            if depth > 3 {
                return Err(Errno::ELOOP);
            }
            let line = String::from_utf8_lossy(line.split(|b| *b == b'\n').next().unwrap_or(line)).trim().to_string();
            let (interpreter, argument) = line.split_once([' ', '\t']).map_or((&*line, ""), |(i, a)| (i, a.trim()));
            let mut new = vec![Text::from(interpreter)];
            if !argument.is_empty() {
                new.push(argument.into());
            }
            new.push(path.into());
            new.extend(argv.into_iter().skip(1));
            load_file(fs, programs, who, cwd, interpreter, new, depth + 1)
        }
    }
}

impl Machine {
    pub(super) fn start_process(&mut self, now: Time, host: &mut Host<'_>, spec: StartSpec) -> Result<Pid, StartError> {
        let name = spec.command.argv.first().cloned().unwrap_or_default();
        if self.procs.len() >= self.config.process_limit as usize {
            return Err(StartError::TooManyProcesses);
        }
        let env = spec.command.env.clone().unwrap_or_default();
        let cwd = spec.command.cwd.clone().unwrap_or_else(|| "/".into());
        let who = Credentials { uid: spec.uid, gid: spec.gid, groups: &spec.groups };
        let fs = FsView { root: &mut self.root, volumes: host.volumes, namespace: &self.namespace };
        let image = load(&fs, host.programs, who, &cwd, &env, &spec.command).map_err(|error| match error {
            Errno::ENOENT | Errno::ENOTDIR if name.contains('/') => StartError::NoSuchFile(name.clone()),
            Errno::ENOENT | Errno::ENOTDIR => StartError::NotInPath(name.clone()),
            Errno::ENOEXEC => StartError::ExecFormat(name.clone()),
            _ => StartError::PermissionDenied(name.clone()),
        })?;
        let pid = self.next_pid();
        let mut fds = Map::new();
        let mut tty = None;
        for (fd, stdio) in spec.stdio.iter().enumerate() {
            let kind = match *stdio {
                Stdio::Null => Kind::Device(crate::vfs::Device::Null),
                Stdio::Stream(stream) if fd == 0 => self.open_input(stream),
                Stdio::Stream(stream) => Kind::Output(stream),
                Stdio::Tty(id) => {
                    tty = Some(id);
                    Kind::Tty(id)
                }
            };
            let file = self.add_file(OpenFile::new(kind, true, true));
            fds.insert(fd as u32, FdEntry { file, close_on_exec: false });
        }
        if let Some(tty) = tty.and_then(|id| self.ttys.get_mut(&id)) {
            Rc::make_mut(tty).foreground = pid;
        }
        let process = Process {
            parent: 0,
            group: pid,
            argv: image.argv.into(),
            comm: image.comm,
            env,
            cwd,
            uid: spec.uid,
            gid: spec.gid,
            groups: spec.groups.into(),
            umask: 0o022,
            fds,
            program: Some(Running::new(image.program)),
            state: State::Ready,
            zombie: None,
            killed: None,
            dispositions: Map::new(),
            pending: Set::new(),
            wake_at: None,
            children: Set::new(),
            tty,
            started: now,
            steps: 0,
            memory: BASE_MEMORY,
            reserved: 0,
            exec_error: None,
        };
        self.procs.insert(pid, Rc::new(process));
        self.queue.push_back(pid);
        Ok(pid)
    }

    pub(super) fn next_pid(&mut self) -> Pid {
        self.counters.pid += 1;
        self.counters.pid
    }

    /// Replaces the program of a process (`execve`).
    pub(super) fn exec_process(
        &mut self,
        _now: Time,
        host: &mut Host<'_>,
        pid: Pid,
        spawn: Spawn,
        out: &mut Vec<MachineOutput>,
    ) -> Result<(), Errno> {
        let process = self.procs.get(&pid).cloned().ok_or(Errno::ESRCH)?;
        let who = Credentials { uid: process.uid, gid: process.gid, groups: &process.groups };
        let env = spawn.env.clone().unwrap_or_else(|| process.env.clone());
        let fs = FsView { root: &mut self.root, volumes: host.volumes, namespace: &self.namespace };
        let image = load(&fs, host.programs, who, &process.cwd, &env, &spawn)?;
        drop(process);
        self.apply_fd_actions(pid, &spawn.fds, host.volumes, out)?;
        self.replace_image(pid, image, host.volumes, out);
        let process = self.proc_mut(pid).ok_or(Errno::ESRCH)?;
        process.env = env;
        Ok(())
    }

    /// Puts an image into a process: caught signals fall back, close-on-exec descriptors close.
    pub(super) fn replace_image(&mut self, pid: Pid, image: Image, volumes: &mut Volumes, out: &mut Vec<MachineOutput>) {
        let Some(process) = self.proc_mut(pid) else { return };
        process.program = Some(Running::new(image.program));
        process.argv = image.argv.into();
        process.comm = image.comm;
        (process.memory, process.reserved) = (BASE_MEMORY, 0);
        process.pending = Set::new();
        process.dispositions.retain_ignored();
        let closing: Vec<_> = process.fds.iter().filter(|(_, e)| e.close_on_exec).map(|(fd, e)| (*fd, e.file)).collect();
        for (fd, file) in closing {
            if let Some(process) = self.proc_mut(pid) {
                process.fds.remove(&fd);
            }
            self.release_file(file, volumes, out);
        }
    }

    pub(super) fn apply_fd_actions(
        &mut self,
        pid: Pid,
        actions: &[FdAction],
        volumes: &mut Volumes,
        out: &mut Vec<MachineOutput>,
    ) -> Result<(), Errno> {
        for action in actions {
            let process = self.proc_mut(pid).ok_or(Errno::ESRCH)?;
            let gone = match *action {
                FdAction::Close(fd) => process.fds.remove(&fd),
                FdAction::Dup(from, to) if from == to => {
                    let entry = process.fds.get_mut(&from).ok_or(Errno::EBADF)?;
                    entry.close_on_exec = false;
                    None
                }
                FdAction::Dup(from, to) => {
                    let file = process.fds.get(&from).ok_or(Errno::EBADF)?.file;
                    let old = process.fds.insert(to, FdEntry { file, close_on_exec: false });
                    self.retain_file(file);
                    old
                }
            };
            if let Some(entry) = gone {
                self.release_file(entry.file, volumes, out);
            }
        }
        Ok(())
    }
}

trait RetainIgnored {
    fn retain_ignored(&mut self);
}

impl RetainIgnored for Map<crate::Signal, Disposition> {
    fn retain_ignored(&mut self) {
        let kept: Vec<_> = self.iter().filter(|(_, d)| **d == Disposition::Ignore).map(|(s, d)| (*s, *d)).collect();
        *self = kept.into_iter().collect();
    }
}
