//! What a container runtime, a kubelet and the programs inside containers have to agree on.
//!
//! In a real node this is the kernel's system call interface on one side and the CRI's gRPC messages on the other. Here:
//! [`Program`] is what an executable is (a cloneable state machine that makes non-blocking system calls), [`Machine`] is the
//! process table of one container (or of the user's laptop, or of a node's own shell), [`vfs`] is its filesystem, and [`net`]
//! and [`call`] are what leaves it. Nothing on the host ever runs.
//!
//! Left out by name: threads, shared memory, Unix sockets, ptrace, `mmap`, extended attributes, file locks.

pub mod call;
pub mod cri;
pub mod errno;
pub mod host;
pub mod machine;
pub mod net;
pub mod packet;
pub mod policy;
pub mod program;
pub mod signal;
pub mod vfs;

pub use call::{ApiCall, ApiEvent, CallId};
pub use errno::Errno;
pub use machine::{
    Cpu, ForkSpec, Host, Machine, MachineConfig, MachineInput, MachineOutput, OpenFlags, ProcessView, StartError, StartSpec,
    Stdio, StreamId, Sys, TtyId, TtyMode, WaitFor, WriteOut,
};
pub use program::{Constructor, Env, Fd, FdAction, Pid, Poll, Program, ProgramTable, Spawn, Text};
pub use signal::{Disposition, Signal, Status};
pub use vfs::{Tree, Volume, VolumeId, Volumes};
