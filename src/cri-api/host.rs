//! Between a node's container runtime (or the laptop) and the world that hosts it.
//!
//! Components (kube-apiserver, CoreDNS …) are too big to be a [`Program`](crate::Program) of a container's machine: they are
//! processes of the simulation with an address of their own. The runtime starts the image `kube-apiserver` as it starts
//! `nginx`; where the image's program is such a component, it asks the world to run it, and tells it to stop.

use std::rc::Rc;

use apimachinery::Request;

type Text = Rc<str>;

/// What a component is started with.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ComponentSpec {
    /// The container, as the runtime names it.
    pub container: Text,
    /// The program: `kube-apiserver`, `etcd`, `coredns` …
    pub program: Text,
    /// Its command line after the program's name.
    pub args: Vec<Text>,
    pub env: Vec<(Text, Text)>,
    pub pod_namespace: Text,
    pub pod_name: Text,
    pub pod_uid: Text,
    /// Addresses of its network namespace.
    pub ips: Vec<std::net::IpAddr>,
    /// The service account token that was mounted, if any.
    pub token: Option<Text>,
    /// Where directories of the node are seen in the container: there, here.
    pub host_mounts: Vec<(Text, Text)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HostMessage {
    /// runtime → world.
    StartComponent(ComponentSpec),
    StopComponent {
        container: Text,
    },
    /// A component's service account token was renewed in its volume.
    TokenRenewed {
        container: Text,
        token: Text,
    },
    /// world → runtime: it runs at this address (a `sim::Addr`).
    ComponentStarted {
        container: Text,
        addr: u32,
    },
    /// It ended by itself or was killed.
    ComponentExited {
        container: Text,
        code: i32,
    },
    /// A line for the container's log.
    ComponentLog {
        container: Text,
        line: Text,
    },
    /// laptop or node shell → page: terminal output of a tab.
    TtyOutput {
        tab: u32,
        data: Rc<[u8]>,
    },
    /// page → laptop: keys.
    TtyInput {
        tab: u32,
        data: Rc<[u8]>,
    },
    TtyResize {
        tab: u32,
        cols: u16,
        rows: u16,
    },
    TtyOpen {
        tab: u32,
        cols: u16,
        rows: u16,
    },
    TtyClose {
        tab: u32,
    },
    /// A tab's shell has ended.
    TtyClosed {
        tab: u32,
        code: i32,
    },
    /// machine → page: edit this text (`kubectl edit`, `vi`); page → that machine: what came of it. Each machine numbers its own.
    OpenBuffer {
        machine: Text,
        buffer: u32,
        name: Text,
        text: Text,
    },
    BufferClosed {
        buffer: u32,
        saved: Option<Text>,
    },
    /// page → laptop: run a command without a terminal; its output comes back as `JobOutput`, then `JobDone`.
    RunJob {
        job: u32,
        argv: Vec<Text>,
        stdin: Rc<[u8]>,
    },
    JobOutput {
        job: u32,
        stderr: bool,
        data: Rc<[u8]>,
    },
    JobDone {
        job: u32,
        code: i32,
    },
    /// runtime → world: a program on the machine calls a socket that neither kube-apiserver, etcd nor the container runtime
    /// listens at (systemd's, the journal's, the cloud's). The answer comes back as the response to call `call`.
    Call {
        call: u64,
        request: Rc<Request>,
    },
    /// A file of the laptop or of a node is written by the page.
    WriteFile {
        path: Text,
        data: Rc<[u8]>,
    },
}
