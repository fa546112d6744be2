//! Signals, what a process does about them, and how processes end.

/// A signal. Numbers are Linux's on x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal(pub u8);

const NAMES: [&str; 32] = [
    "EXIT", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "POLL", "PWR",
    "SYS",
];

impl Signal {
    pub const HUP: Signal = Signal(1);
    pub const INT: Signal = Signal(2);
    pub const QUIT: Signal = Signal(3);
    pub const KILL: Signal = Signal(9);
    pub const USR1: Signal = Signal(10);
    pub const USR2: Signal = Signal(12);
    pub const PIPE: Signal = Signal(13);
    pub const ALRM: Signal = Signal(14);
    pub const TERM: Signal = Signal(15);
    pub const CHLD: Signal = Signal(17);
    pub const CONT: Signal = Signal(18);
    pub const STOP: Signal = Signal(19);
    pub const TSTP: Signal = Signal(20);
    pub const WINCH: Signal = Signal(28);

    /// The name without `SIG`, e.g. `TERM`.
    pub fn name(self) -> &'static str {
        NAMES.get(self.0 as usize).copied().unwrap_or("RT")
    }

    /// Parses `15`, `TERM`, `SIGTERM` or `sigterm`; also the trap name `EXIT` (0).
    pub fn parse(text: &str) -> Option<Signal> {
        if let Ok(n) = text.parse::<u8>() {
            return (n < 65).then_some(Signal(n));
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        NAMES.iter().position(|&n| n == name).map(|n| Signal(n as u8))
    }

    /// What the kernel does when the process has said nothing.
    pub(crate) fn ignored_by_default(self) -> bool {
        matches!(self, Signal::CHLD | Signal::CONT | Signal::WINCH | Signal(23))
    }

    pub(crate) fn stops_by_default(self) -> bool {
        matches!(self, Signal::STOP | Signal::TSTP | Signal(21) | Signal(22))
    }
}

/// What a process wants to happen on a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disposition {
    #[default]
    Default,
    Ignore,
    /// The signal becomes pending; the program takes it with [`crate::Sys::take_signal`].
    Catch,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `exit(code)`, 0–255.
    Exited(u8),
    Signaled(Signal),
}

impl Status {
    /// What `$?` shows and the CRI reports: the code, or 128 + signal.
    pub fn code(self) -> i32 {
        match self {
            Status::Exited(code) => code as i32,
            Status::Signaled(signal) => 128 + signal.0 as i32,
        }
    }
}
