//! A machine: the process table, descriptors and terminals of one container, of the user's laptop, or of a node's shell.
//!
//! In a real node this is the kernel's half of a container. The owner (container runtime, the laptop) calls
//! [`Machine::start`] to run a command, feeds [`MachineInput`]s, and carries out [`MachineOutput`]s. Inside, processes are run
//! round robin until all wait; nothing happens between inputs but what a requested timer brings. CPU is a bucket of steps
//! ([`Cpu`]): a busy loop costs a bounded number of steps per virtual second and lets time go on.
//! The whole machine is a value: `Clone` is cheap and a clone continues identically.

mod boundary;
mod exec;
mod file;
mod pipe;
mod process;
mod procfs;
mod run;
mod sys_files;
mod sys_net;
mod sys_proc;
mod tty;

use std::rc::Rc;

use base::{Duration, Map, Set, Time, Vector};

use crate::call::{ApiCall, ApiEvent, CallId};
use crate::net::{ConnId, NetInput, NetOutput};
use crate::program::{Pid, ProgramTable, Spawn, Text};
use crate::signal::{Signal, Status};
use crate::vfs::{FsView, Namespace, Tree, Volumes};

pub use exec::StartError;
pub use file::{OpenFlags, WriteOut};
pub use process::ProcessView;
pub use sys_net::ConnState;
pub use sys_proc::{ForkSpec, WaitFor};
pub use tty::{TtyId, TtyMode};

use file::OpenFile;
use pipe::Pipe;
use process::Process;
use sys_net::{CallState, Conn, Listener};
use tty::Tty;

/// What a machine is, for its lifetime.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    pub hostname: Text,
    /// Name with the domain, as `hostname -f` gives it.
    pub fqdn: Text,
    /// Process 1 is a container's: signals it doesn't catch don't touch it, and its end ends all others.
    pub container: bool,
    pub cpu: Cpu,
    /// `fork` fails with EAGAIN above.
    pub process_limit: u32,
    /// Bytes; a process that grows beyond is killed (`MachineOutput::Exited { oom: true }`).
    pub memory_limit: Option<u64>,
    /// When the node came up, for `/proc/uptime` and `uptime`.
    pub boot: Time,
    /// `CapEff` and `CapBnd` of `/proc/self/status`.
    pub capabilities: u64,
    pub no_new_privileges: bool,
    /// CPUs and bytes of memory that `nproc`, `free` and `/proc/meminfo` show (the node's).
    pub cpus: u32,
    pub memory: u64,
    /// `uname -r` and `uname -m`.
    pub kernel: Text,
    pub arch: Text,
}

impl Default for MachineConfig {
    fn default() -> MachineConfig {
        MachineConfig {
            hostname: "localhost".into(),
            fqdn: "localhost".into(),
            container: true,
            cpu: Cpu::default(),
            process_limit: 512,
            memory_limit: None,
            boot: Time::EPOCH,
            capabilities: 0xa804_25fb,
            no_new_privileges: false,
            cpus: 4,
            memory: 8 << 30,
            kernel: "6.12.0".into(),
            arch: "x86_64".into(),
        }
    }
}

/// How many steps may run: `burst` at once, `per_second` in the long run of virtual time.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    pub burst: u32,
    pub per_second: u32,
}

impl Default for Cpu {
    /// A container: a busy loop costs a few wall milliseconds per virtual second.
    fn default() -> Cpu {
        Cpu { burst: 200_000, per_second: 20_000 }
    }
}

impl Cpu {
    /// The laptop: applying ten thousand documents is not throttled.
    pub const LAPTOP: Cpu = Cpu { burst: 20_000_000, per_second: 500_000 };
}

/// Steps in one call of `handle`, so that the host can breathe between two.
const QUANTUM: i64 = 4096;
/// Virtual time between two quanta of a burst.
const QUANTUM_TIME: Duration = Duration::from_millis(1);

/// What the owner lends to a machine for one step.
pub struct Host<'a> {
    pub volumes: &'a mut Volumes,
    pub programs: &'a ProgramTable,
}

/// Names a byte stream between a process' standard descriptors and the owner. Chosen by the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// What a started process' descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    Null,
    /// As stdin: fed by [`MachineInput::Stdin`]. As stdout or stderr: [`MachineOutput::Output`].
    Stream(StreamId),
    Tty(TtyId),
}

/// A process that the owner starts.
#[derive(Clone, Debug)]
pub struct StartSpec {
    pub command: Spawn,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// stdin, stdout, stderr.
    pub stdio: [Stdio; 3],
}

impl StartSpec {
    /// A command of root whose output goes to two streams.
    pub fn new(command: Spawn, stdout: StreamId, stderr: StreamId) -> StartSpec {
        StartSpec {
            command,
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            stdio: [Stdio::Null, Stdio::Stream(stdout), Stdio::Stream(stderr)],
        }
    }
}

/// What happens to a machine.
#[derive(Clone, Debug)]
pub enum MachineInput {
    /// The time asked for by [`MachineOutput::Timer`] has come. Too many or too early do no harm.
    Timer,
    /// From outside the container (the runtime). SIGKILL works on process 1, others as it has set.
    Signal {
        pid: Pid,
        signal: Signal,
    },
    Stdin {
        stream: StreamId,
        data: Rc<[u8]>,
    },
    /// No more input on this stream.
    StdinEof {
        stream: StreamId,
    },
    /// Whoever takes a stream's output has enough for now, or goes on: writers wait meanwhile.
    Hold {
        stream: StreamId,
        held: bool,
    },
    /// Keys.
    Tty {
        tty: TtyId,
        data: Rc<[u8]>,
    },
    TtyResize {
        tty: TtyId,
        cols: u16,
        rows: u16,
    },
    /// The terminal is gone: SIGHUP to its foreground group, end of file for its readers.
    TtyHangup {
        tty: TtyId,
    },
    Net(NetInput),
    Api {
        call: CallId,
        event: ApiEvent,
    },
    /// The editor was closed: the saved text, or `None` if the user gave up.
    Edited {
        call: CallId,
        text: Option<Text>,
    },
}

/// What a machine wants from its owner.
#[derive(Clone, Debug)]
pub enum MachineOutput {
    /// Hand in [`MachineInput::Timer`] at this time. A later request with an earlier time adds to it; none is withdrawn.
    Timer(Time),
    /// A process that the owner started has ended.
    Exited {
        pid: Pid,
        status: Status,
        oom: bool,
    },
    Output {
        stream: StreamId,
        data: Rc<[u8]>,
    },
    TtyOutput {
        tty: TtyId,
        data: Rc<[u8]>,
    },
    Net(NetOutput),
    Api {
        call: CallId,
        request: ApiCall,
    },
    /// A frame from the program on an open stream (see [`ApiEvent::Frame`] for channels).
    ApiFrame {
        call: CallId,
        channel: u8,
        data: Rc<[u8]>,
    },
    /// The program has lost interest (or died): close the watch or stream.
    ApiClosed {
        call: CallId,
    },
    /// Open this text in the page's editor; `title` is the file's name.
    Edit {
        call: CallId,
        title: Text,
        text: Text,
    },
    /// The program that asked for an editor has died: close it.
    EditClosed {
        call: CallId,
    },
}

/// A container's, laptop's or node's processes and files. Clone is cheap.
#[derive(Clone)]
pub struct Machine {
    pub config: Rc<MachineConfig>,
    /// The root filesystem.
    pub root: Tree,
    pub namespace: Namespace,
    procs: Map<Pid, Rc<Process>>,
    files: Map<u32, OpenFile>,
    pipes: Map<u32, Rc<Pipe>>,
    ttys: Map<TtyId, Rc<Tty>>,
    inputs: Map<StreamId, Rc<Pipe>>,
    /// Output streams that are held, and who waits for them.
    held: Map<StreamId, Vec<Pid>>,
    conns: Map<ConnId, Rc<Conn>>,
    listeners: Map<u16, Rc<Listener>>,
    /// Ports that other machines of the same network namespace listen on: not to be had.
    pub foreign_ports: Vec<u16>,
    dns_servers: Map<u16, Rc<sys_net::DnsServer>>,
    calls: Map<CallId, Rc<CallState>>,
    queue: Vector<Pid>,
    timers: Set<(Time, Pid)>,
    armed: Option<Time>,
    tokens: i64,
    refilled: Time,
    used_steps: u64,
    counters: Counters,
}

#[derive(Clone, Default)]
struct Counters {
    pid: Pid,
    file: u32,
    pipe: u32,
    tty: u32,
    conn: u64,
    call: u32,
    random: u64,
}

impl Machine {
    pub fn new(config: MachineConfig, root: Tree) -> Machine {
        let tokens = config.cpu.burst as i64;
        Machine {
            config: Rc::new(config),
            root,
            namespace: Namespace::default(),
            procs: Map::new(),
            files: Map::new(),
            pipes: Map::new(),
            ttys: Map::new(),
            inputs: Map::new(),
            held: Map::new(),
            conns: Map::new(),
            listeners: Map::new(),
            foreign_ports: Vec::new(),
            dns_servers: Map::new(),
            calls: Map::new(),
            queue: Vector::new(),
            timers: Set::new(),
            armed: None,
            tokens,
            refilled: Time::EPOCH,
            used_steps: 0,
            counters: Counters::default(),
        }
    }

    /// Makes a terminal for [`Stdio::Tty`].
    pub fn open_tty(&mut self, cols: u16, rows: u16) -> TtyId {
        self.counters.tty += 1;
        let id = TtyId(self.counters.tty);
        self.ttys.insert(id, Rc::new(Tty::new(cols, rows)));
        id
    }

    /// Starts a process and runs the machine until all wait. Its parent is the owner, who gets [`MachineOutput::Exited`].
    pub fn start(
        &mut self,
        now: Time,
        host: &mut Host<'_>,
        spec: StartSpec,
        out: &mut Vec<MachineOutput>,
    ) -> Result<Pid, StartError> {
        let pid = self.start_process(now, host, spec)?;
        self.run(now, host, out);
        Ok(pid)
    }

    /// Takes an input and runs until all wait or the quantum is used up.
    pub fn handle(&mut self, now: Time, host: &mut Host<'_>, input: MachineInput, out: &mut Vec<MachineOutput>) {
        self.deliver(now, host, input, out);
        self.run(now, host, out);
    }

    /// The processes, by number: for `crictl`, the page's view and tests.
    pub fn processes(&self) -> impl Iterator<Item = ProcessView> {
        self.procs.iter().map(|(pid, process)| process.view(*pid))
    }

    /// Whether a process exists and hasn't ended.
    pub fn is_alive(&self, pid: Pid) -> bool {
        self.procs.get(&pid).is_some_and(|p| p.zombie.is_none())
    }

    /// Steps that have run since the beginning. How much CPU time they stand for is the owner's to say.
    pub fn used_steps(&self) -> u64 {
        self.used_steps
    }

    /// Bytes of memory that its processes and the files of its root filesystem in memory (`/dev/shm`) hold. Mounted tmpfs
    /// volumes are their owner's to add.
    pub fn memory_bytes(&self) -> u64 {
        self.procs.values().fold(self.root.memory(), |sum, p| sum.saturating_add(p.resident()))
    }

    /// Bytes in the tmpfs volumes that the machine can write to.
    pub fn tmpfs_bytes(&self, volumes: &Volumes) -> u64 {
        let writable = self.namespace.mounts().filter(|m| !m.read_only && &*m.fs_type == "tmpfs");
        writable.filter_map(|m| Some(volumes.get(m.volume()?)?.tree.memory())).sum()
    }

    /// How many processes there are, zombies included.
    pub fn process_count(&self) -> usize {
        self.procs.len()
    }

    /// Bytes in the volumes on a disk that the machine can write to.
    pub fn disk_bytes(&self, volumes: &Volumes) -> u64 {
        let writable = self.namespace.mounts().filter(|m| !m.read_only && &*m.fs_type != "tmpfs");
        writable.filter_map(|m| volumes.get(m.volume()?).map(|v| v.tree.used().saturating_sub(v.tree.memory()))).sum()
    }

    /// The kernel's killer of last resort: ends the machine's biggest process because the node has no memory left.
    pub fn kill_biggest(&mut self) -> Option<Pid> {
        let living = self.procs.iter().filter(|(_, p)| p.zombie.is_none());
        let pid = living.max_by_key(|(pid, p)| (p.resident(), std::cmp::Reverse(**pid))).map(|(pid, _)| *pid)?;
        let process = self.proc_mut(pid)?;
        process.killed = Some((Status::Signaled(Signal::KILL), true));
        if process.state == process::State::Stopped {
            process.state = process::State::Blocked;
        }
        self.wake(pid);
        Some(pid)
    }

    /// The filesystems together, for the owner (`kubectl cp` goes through tar in the container, not through this).
    pub fn fs<'a>(&'a mut self, volumes: &'a mut Volumes) -> FsView<'a> {
        FsView { root: &mut self.root, volumes, namespace: &self.namespace }
    }
}

/// What a program can do. Every call returns at once; see [`crate::program`] for the contract.
pub struct Sys<'a> {
    pub(crate) machine: &'a mut Machine,
    pub(crate) volumes: &'a mut Volumes,
    pub(crate) programs: &'a ProgramTable,
    pub(crate) out: &'a mut Vec<MachineOutput>,
    pub(crate) now: Time,
    pub(crate) pid: Pid,
    pub(crate) charged: i64,
}
