//! The container runtime interface: what a kubelet asks of its node's container runtime, and what it is told.
//!
//! Models `k8s.io/cri-api`'s RuntimeService and ImageService, together with what a real kubelet does on its host without
//! asking the runtime (writing volumes, probing over the network, reading logs): all of these are messages here, because the
//! kubelet's process and the node's machine are two values.

use std::net::IpAddr;
use std::rc::Rc;

use base::{Duration, Time};

type Text = Rc<str>;

/// A pod sandbox or a container, as the runtime names it (64 hexadecimal digits).
pub type Id = Rc<str>;

#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Request {
        id: u64,
        request: Request,
    },
    Response {
        id: u64,
        response: Response,
    },
    /// Not asked for: a container ended, the runtime came up.
    Event(Event),
    /// A frame of an exec or attach stream, both ways (channels as in `v5.channel.k8s.io`), or of a followed log.
    Frame {
        id: u64,
        channel: u8,
        data: Rc<[u8]>,
    },
    FrameEnd {
        id: u64,
    },
}

/// What a sandbox is made from.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PodSandboxConfig {
    pub pod_name: Text,
    pub pod_namespace: Text,
    pub pod_uid: Text,
    pub attempt: u32,
    pub hostname: Text,
    /// What the host name is completed by: `db.default.svc.cluster.local`; empty without a subdomain.
    pub domain: Text,
    pub host_network: bool,
    pub dns_servers: Vec<Text>,
    pub dns_searches: Vec<Text>,
    pub dns_options: Vec<Text>,
    /// Extra lines of /etc/hosts: address and names.
    pub host_aliases: Vec<(Text, Vec<Text>)>,
    /// Host ports: (host port, container port, protocol).
    pub port_mappings: Vec<(u16, u16, Text)>,
    pub labels: Vec<(Text, Text)>,
    /// Processes of all containers see one another.
    pub share_process_namespace: bool,
    /// Made by the kubelet from a static manifest: lives without kube-apiserver.
    pub is_static: bool,
}

/// A volume seen at a path in a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// The volume: `<pod uid>/<volume name>`, or `host:<path>` for a path of the node.
    pub volume: Text,
    pub sub_path: Text,
    pub container_path: Text,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct ContainerConfig {
    pub name: Text,
    pub attempt: u32,
    pub image: Text,
    /// Empty: the image's entrypoint.
    pub command: Vec<Text>,
    pub args: Vec<Text>,
    pub working_dir: Text,
    pub env: Vec<(Text, Text)>,
    pub mounts: Vec<Mount>,
    pub tty: bool,
    pub stdin: bool,
    pub stdin_once: bool,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub supplemental_groups: Vec<i64>,
    pub run_as_non_root: bool,
    pub read_only_rootfs: bool,
    pub privileged: bool,
    /// Bytes; 0: unlimited. A program that needs more is killed (`OOMKilled`).
    pub memory_limit: i64,
    /// Millicores; 0: unlimited.
    pub cpu_limit_milli: i64,
    /// Bytes of the disk that the container may take (what it writes to its own layer, and its log), and its pod with all
    /// containers and emptyDirs; 0: unlimited. Nothing stops who writes: the kubelet ends the pod when it finds out.
    pub disk_limit: i64,
    pub pod_disk_limit: i64,
    /// -1000 to 1000: who is killed first when the machine's memory doesn't suffice.
    pub oom_score_adj: i32,
    /// Where the termination message is read from when it ends.
    pub termination_message_path: Text,
    pub fallback_to_logs_on_error: bool,
    pub stop_signal: Text,
}

/// A file of a volume that the kubelet writes (configMap, secret, projected, downwardAPI).
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeFile {
    /// Relative path.
    pub path: Text,
    pub data: Rc<[u8]>,
    pub mode: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum VolumeContent {
    /// Starts empty, keeps what containers write. Size limit in bytes, 0: none. `memory`: tmpfs.
    EmptyDir { size_limit: i64, memory: bool },
    /// Exactly these files; replaced atomically (`..data`) when sent again.
    Files { files: Rc<Vec<VolumeFile>>, memory: bool },
    /// A path of the node (hostPath). `kind` is hostPath's type (`DirectoryOrCreate`, `File`, …).
    HostPath { path: Text, kind: Text },
    /// A directory of the node that must be there (a local PersistentVolume).
    Local { path: Text },
}

#[derive(Clone, Debug, PartialEq)]
pub enum HttpScheme {
    Http,
    Https,
}

/// What a probe or a hook does from the node.
#[derive(Clone, Debug, PartialEq)]
pub enum Dial {
    Http { scheme: HttpScheme, host: Text, port: u16, path: Text, headers: Vec<(Text, Text)> },
    Tcp { host: Text, port: u16 },
    Grpc { host: Text, port: u16, service: Text },
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct LogOptions {
    pub follow: bool,
    pub timestamps: bool,
    /// Lines from the end; `None`: all.
    pub tail_lines: Option<i64>,
    pub limit_bytes: Option<i64>,
    pub since: Option<Time>,
    /// The container before the last restart.
    pub previous: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Answered by `Version`.
    Version,
    RunPodSandbox(Rc<PodSandboxConfig>),
    /// Kills all its containers and takes its network down. Answered by `Done`.
    StopPodSandbox {
        sandbox: Id,
    },
    RemovePodSandbox {
        sandbox: Id,
    },
    /// Answered by `Image` or `Error`. Takes virtual time the first time.
    PullImage {
        image: Text,
    },
    /// Answered by `Image` (present) or `NoImage`.
    ImageStatus {
        image: Text,
    },
    ListImages,
    RemoveImage {
        image: Text,
    },
    CreateContainer {
        sandbox: Id,
        config: Rc<ContainerConfig>,
    },
    StartContainer {
        container: Id,
    },
    /// Signals, waits up to `grace`, kills. Answered when it is dead.
    StopContainer {
        container: Id,
        grace: Duration,
    },
    RemoveContainer {
        container: Id,
    },
    /// New limits of a running container. 0: unlimited.
    UpdateContainerResources {
        container: Id,
        memory_limit: i64,
        cpu_limit_milli: i64,
    },
    /// Answered by `Pods`: all sandboxes with their containers, as a restarted kubelet needs them.
    ListPodSandbox,
    /// Answered by `ExecSync`.
    ExecSync {
        container: Id,
        command: Vec<Text>,
        timeout: Duration,
    },
    /// A stream: answered by `Streaming`, then frames (1 stdout, 2 stderr, 3 a Status in JSON), then `FrameEnd`.
    Exec {
        container: Id,
        command: Vec<Text>,
        tty: bool,
        stdin: bool,
    },
    Attach {
        container: Id,
        tty: bool,
        stdin: bool,
    },
    PortForward {
        sandbox: Id,
        port: u16,
    },
    /// Answered by `Logs`; with `follow` frames on channel 1 come after it until the container ends.
    ReadLogs {
        container: Id,
        options: LogOptions,
    },
    /// Answered by `Stats`.
    Stats,
    /// Makes (or replaces the files of) a pod's volume. Answered by `Done` or `Error`.
    SetupVolume {
        volume: Text,
        content: VolumeContent,
        fs_group: Option<i64>,
    },
    RemoveVolume {
        volume: Text,
    },
    /// From the node's own network namespace. Answered by `Dialed` or `Error` with Go's text.
    Dial {
        dial: Dial,
        timeout: Duration,
    },
    /// The files of a directory of the node, such as /etc/kubernetes/manifests. Answered by `Files`. The runtime sends
    /// `Event::DirectoryChanged` when one changes later.
    WatchDirectory {
        path: Text,
    },
}

/// An image on the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// `docker.io/library/nginx:1.27`
    pub name: Text,
    /// `docker.io/library/nginx@sha256:…`
    pub digest: Text,
    pub size_bytes: i64,
    /// The user it runs as, if it says so.
    pub user: Option<i64>,
    /// How long the pull took and how long it waited; zero if it was present.
    pub pulled_in: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Exited,
}

/// A container as the runtime sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStatus {
    pub id: Id,
    pub sandbox: Id,
    pub name: Text,
    pub attempt: u32,
    pub image: Text,
    pub image_ref: Text,
    pub state: ContainerState,
    pub created_at: Time,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerCannotRun`
    pub reason: Text,
    /// The termination message.
    pub message: Text,
}

/// A sandbox as the runtime sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PodStatus {
    pub sandbox: Id,
    pub config: Rc<PodSandboxConfig>,
    pub ready: bool,
    pub created_at: Time,
    /// One per address family.
    pub ips: Vec<IpAddr>,
    pub containers: Vec<ContainerStatus>,
}

/// Use of one running container, as `/metrics/resource` and the eviction manager need it. The model behind the figures is told
/// at the head of `container-runtime/stats.rs`.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStats {
    pub pod_uid: Text,
    pub pod_namespace: Text,
    pub pod_name: Text,
    pub container: Text,
    pub started_at: Time,
    /// CPU time since its start. Never falls while the container runs.
    pub cpu_nanos_total: u64,
    pub memory_working_set_bytes: u64,
    /// What it has written to its own layer, and its log.
    pub rootfs_used_bytes: u64,
    pub logs_used_bytes: u64,
    pub processes: u64,
}

/// Use of a whole machine: its containers, and the system around them.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct NodeStats {
    /// CPU time since the machine came up. Never falls.
    pub cpu_nanos_total: u64,
    pub memory_working_set_bytes: u64,
    pub memory_capacity_bytes: u64,
    /// The one disk: images, containers' layers and logs, volumes, the system.
    pub disk_used_bytes: u64,
    pub disk_capacity_bytes: u64,
    pub processes: u64,
    pub process_capacity: u64,
}

impl NodeStats {
    /// The signal `memory.available`.
    pub fn memory_available_bytes(&self) -> u64 {
        self.memory_capacity_bytes.saturating_sub(self.memory_working_set_bytes)
    }
    /// The signals `nodefs.available` and `imagefs.available`: there is one disk.
    pub fn disk_available_bytes(&self) -> u64 {
        self.disk_capacity_bytes.saturating_sub(self.disk_used_bytes)
    }
    /// The signal `pid.available`.
    pub fn processes_available(&self) -> u64 {
        self.process_capacity.saturating_sub(self.processes)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    Version {
        runtime: Text,
        version: Text,
    },
    Sandbox {
        sandbox: Id,
        ips: Vec<IpAddr>,
    },
    Image(Image),
    NoImage,
    Images(Vec<Image>),
    Container {
        container: Id,
    },
    /// The container's state after start or stop.
    Status(ContainerStatus),
    Pods(Vec<PodStatus>),
    ExecSync {
        exit_code: i32,
        stdout: Rc<[u8]>,
        stderr: Rc<[u8]>,
        timed_out: bool,
    },
    Streaming,
    Logs {
        data: Rc<[u8]>,
        follows: bool,
    },
    Stats {
        node: NodeStats,
        containers: Vec<ContainerStats>,
        /// What lies in the volumes on the disk: `<pod uid>/<volume name>` and bytes.
        volumes: Vec<(Text, u64)>,
    },
    /// HTTP status and the beginning of the body; for TCP 0.
    Dialed {
        status: u16,
        body: Text,
    },
    /// Name and content.
    Files(Vec<(Text, Rc<[u8]>)>),
    Done,
    /// A gRPC error: code (`NotFound`, `DeadlineExceeded`, `Unknown` …) and text.
    Error {
        code: Text,
        message: Text,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    ContainerStopped(ContainerStatus),
    /// The sandbox died without being asked to.
    SandboxStopped {
        sandbox: Id,
    },
    DirectoryChanged {
        path: Text,
        files: Vec<(Text, Rc<[u8]>)>,
    },
    /// The runtime (re)started: what it still knows is to be listed again.
    RuntimeReady,
    /// The runtime's socket is gone (its unit was stopped). What it had started runs on.
    RuntimeGone,
    /// The kernel has killed a process because the machine's memory did not suffice.
    SystemOom {
        process: Text,
        pid: u32,
    },
    /// A pod may have taken more of the disk than it may (an emptyDir's `sizeLimit`, a limit of `ephemeral-storage`), or what the
    /// disk or the kernel's numbers of processes have left has fallen below what was to be watched for.
    UsageHigh,
    /// The machine's available memory has fallen below what the kernel was to watch for (memcg's threshold notifier).
    MemoryLow,
    /// The CNI plugin has a configuration or lost it.
    NetworkReady(bool),
}
