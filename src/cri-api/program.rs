//! What runs in a container, on the laptop or in a node's shell.
//!
//! A real executable blocks in system calls. A [`Program`] can't (it must be cloneable at any moment), so it is an explicit
//! state machine: the machine calls [`Program::poll`], the program makes non-blocking system calls on [`Sys`] until one of
//! them says [`Errno::EAGAIN`](crate::Errno::EAGAIN), and returns [`Poll::Pending`]. Whoever answered `EAGAIN` has noted the
//! process (pipe, tty, child, timer, connection, call) and the machine polls it again when that may have changed. Wakes may
//! be spurious: a program asks again what it waits for. That is the contract of Rust's wakers, without wakers.
//!
//! ```text
//! fn poll(&mut self, sys: &mut Sys) -> Poll {
//!     if self.until.is_none() { self.until = Some(sys.now() + self.span) }      // sleep(1)
//!     if sys.sleep_until(self.until) { Poll::Exit(0) } else { Poll::Pending }
//! }
//! ```
//!
//! What a program sees of the world: `sys.argv()`, `sys.env()`, files and pipes by number, `sys.spawn`/`sys.fork`/`sys.wait`,
//! signals (`sys.on_signal`, `sys.take_signal`), `sys.sleep_until`, sockets (`sys.connect`, `sys.listen`), DNS (`sys.resolve`),
//! the Kubernetes API (`sys.api`), and the page's editor (`sys.edit`).
//!
//! CPU is bounded: every poll and every 64 KiB of data cost a step; a program that computes for long returns [`Poll::Ready`]
//! now and then and calls `sys.charge(n)`.

use std::rc::Rc;

use base::Map;

use crate::machine::Sys;

/// Text shared between processes: arguments, names, paths. Not UTF-8 clean by design of the wire: bytes that aren't are replaced.
pub type Text = Rc<str>;
/// An environment. Clone is O(1).
pub type Env = Map<Text, Text>;
/// A process number.
pub type Pid = u32;
/// A file descriptor number.
pub type Fd = u32;

/// What a program says when it stops running for now.
#[derive(Clone, Debug)]
pub enum Poll {
    /// Has more to do: poll again when it's its turn.
    Ready,
    /// Waits for something that answered `EAGAIN`, for a timer, or for a signal.
    Pending,
    /// Ends with this code (taken modulo 256).
    Exit(i32),
    /// Becomes another program in the same process. On failure the machine polls again; `sys.exec_error()` says why.
    Exec(Spawn),
}

/// A state machine that behaves as one executable. Clone must be cheap (shared data behind `Rc`).
pub trait Program: ProgramClone {
    /// Runs until it has to wait. See the module's text for the contract.
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll;
}

/// Lets boxed programs be cloned; implemented for every `Clone` program.
pub trait ProgramClone {
    fn boxed_clone(&self) -> Box<dyn Program>;
}

impl<P: Program + Clone + 'static> ProgramClone for P {
    fn boxed_clone(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

/// A program in a process: shared between clones of the machine, copied when one of them goes on.
#[derive(Clone)]
pub(crate) struct Running(Rc<Box<dyn Program>>);

impl Running {
    pub(crate) fn new(program: Box<dyn Program>) -> Running {
        Running(Rc::new(program))
    }

    pub(crate) fn get_mut(&mut self) -> &mut dyn Program {
        if Rc::get_mut(&mut self.0).is_none() {
            self.0 = Rc::new((**self.0).boxed_clone());
        }
        Rc::get_mut(&mut self.0).expect("just made unique").as_mut()
    }
}

/// What `posix_spawn` takes: the command, and what changes between parent and child.
#[derive(Clone, Debug, Default)]
pub struct Spawn {
    /// The file to execute if it isn't `argv[0]` looked up in `PATH`.
    pub path: Option<Text>,
    pub argv: Vec<Text>,
    /// `None`: the parent's environment.
    pub env: Option<Env>,
    /// `None`: the parent's working directory.
    pub cwd: Option<Text>,
    /// Done in the child, in order, after the parent's descriptors were inherited.
    pub fds: Vec<FdAction>,
    /// `Some(0)`: a process group of its own, `Some(n)`: joins group n, `None`: the parent's group.
    pub group: Option<Pid>,
    /// Signals set to ignore in the child (a background job of a non-interactive shell ignores INT and QUIT).
    pub ignore: Vec<crate::Signal>,
}

impl Spawn {
    /// A command that inherits everything.
    pub fn new<S: AsRef<str>>(argv: &[S]) -> Spawn {
        Spawn { argv: argv.iter().map(|a| Text::from(a.as_ref())).collect(), ..Spawn::default() }
    }
}

/// A change to a child's descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdAction {
    /// `dup2(from, to)`, both in the child.
    Dup(Fd, Fd),
    Close(Fd),
}

/// Makes a program of a registered name (its full name as in the executable file: `ls`, `stub:my-image`).
pub type Constructor = fn(&str) -> Box<dyn Program>;

/// Which executables exist: program name → constructor. Files of the filesystem name a program
/// ([`crate::vfs::FileData::Program`]); the table says what it does. Images, kubectl and the page add theirs.
#[derive(Clone, Default)]
pub struct ProgramTable {
    entries: Map<Text, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    start: Constructor,
    completes: bool,
}

impl ProgramTable {
    /// Adds a program. A name `x` also serves executable files that name `x:anything` (the constructor gets the whole name).
    pub fn add(&mut self, name: &str, start: Constructor) {
        self.entries.insert(name.into(), Entry { start, completes: false });
    }

    /// Adds a program that completes its own command line: an interactive shell runs `NAME __complete ARGS…` (cobra's
    /// protocol: one candidate a line, a tab before its description, a last line `:DIRECTIVE`).
    pub fn add_completing(&mut self, name: &str, start: Constructor) {
        self.entries.insert(name.into(), Entry { start, completes: true });
    }

    /// A fresh instance, or `None` if the name isn't registered.
    pub fn make(&self, name: &str) -> Option<Box<dyn Program>> {
        self.entry(name).map(|entry| (entry.start)(name))
    }

    pub fn completes(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.completes)
    }

    /// All names, sorted: an image's builder makes a file in `/bin` for each it wants.
    pub fn names(&self) -> impl Iterator<Item = &Text> {
        self.entries.keys()
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        let key = name.split(':').next().unwrap_or(name);
        self.entries.get(name).or_else(|| self.entries.get(key)).copied()
    }
}
