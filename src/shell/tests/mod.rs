//! Scripts in, output out. [`World`] is the owner of a machine: it keeps the clock and the streams.

mod bounds;
mod interactive;
mod scripts;
mod tools;

use std::collections::BTreeSet;

use base::Time;
use cri_api::vfs::FsKind;
use cri_api::{
    Host, Machine, MachineConfig, MachineInput, MachineOutput, ProgramTable, Spawn, StartSpec, Status, Stdio, StreamId, Tree,
    TtyId, Volumes,
};

/// What a process sees when nothing else is said.
const ENV: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("HOSTNAME", "box")];

#[derive(Clone)]
pub struct World {
    pub machine: Machine,
    pub volumes: Volumes,
    programs: ProgramTable,
    pub now: Time,
    timers: BTreeSet<Time>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub screen: Vec<u8>,
    pub exited: Vec<(u32, Status)>,
    pub outputs: Vec<MachineOutput>,
}

/// A busybox image.
pub fn image() -> Tree {
    let mut tree = Tree::new(FsKind::Overlay);
    crate::install_busybox(&mut tree, "/bin").unwrap();
    tree.put_program("/bin/bash", "bash").unwrap();
    tree.put_devices().unwrap();
    tree.put_file(
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
        0o644,
        Time::EPOCH,
    )
    .unwrap();
    tree.put_file("/etc/group", "root:x:0:\nnobody:x:65534:\n", 0o644, Time::EPOCH).unwrap();
    tree.mkdir_p("/tmp", 0o1777, Time::EPOCH).unwrap();
    tree.mkdir_p("/root", 0o700, Time::EPOCH).unwrap();
    tree
}

impl World {
    pub fn new() -> World {
        let mut programs = ProgramTable::default();
        crate::register(&mut programs);
        let now = Time::parse("2026-11-23T03:00:00Z").unwrap();
        let config =
            MachineConfig { hostname: "box".into(), fqdn: "box".into(), container: false, boot: now, ..MachineConfig::default() };
        World {
            machine: Machine::new(config, image()),
            volumes: Volumes::default(),
            programs,
            now,
            timers: BTreeSet::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            screen: Vec::new(),
            exited: Vec::new(),
            outputs: Vec::new(),
        }
    }

    pub fn start(&mut self, argv: &[&str], stdio: [Stdio; 3]) -> u32 {
        let env = ENV.iter().map(|(k, v)| (cri_api::Text::from(*k), cri_api::Text::from(*v))).collect();
        let command = Spawn { env: Some(env), ..Spawn::new(argv) };
        let spec = StartSpec { command, uid: 0, gid: 0, groups: vec![0], stdio };
        let mut out = Vec::new();
        let mut host = Host { volumes: &mut self.volumes, programs: &self.programs };
        let pid = self.machine.start(self.now, &mut host, spec, &mut out).unwrap();
        self.take(out);
        pid
    }

    pub fn input(&mut self, input: MachineInput) {
        let mut out = Vec::new();
        let mut host = Host { volumes: &mut self.volumes, programs: &self.programs };
        self.machine.handle(self.now, &mut host, input, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<MachineOutput>) {
        for output in out {
            match output {
                MachineOutput::Timer(at) => {
                    self.timers.insert(at);
                }
                MachineOutput::Exited { pid, status, .. } => self.exited.push((pid, status)),
                MachineOutput::Output { stream: StreamId(1), data } => self.stdout.extend_from_slice(&data),
                MachineOutput::Output { data, .. } => self.stderr.extend_from_slice(&data),
                MachineOutput::TtyOutput { data, .. } => self.screen.extend_from_slice(&data),
                other => self.outputs.push(other),
            }
        }
    }

    /// Lets one timer fire. False if none is left before `until`.
    pub fn step(&mut self, until: Time) -> bool {
        let Some(at) = self.timers.first().copied().filter(|at| *at <= until) else { return false };
        self.timers.remove(&at);
        self.now = self.now.max(at);
        self.input(MachineInput::Timer);
        true
    }

    /// Runs for so many virtual seconds, or until nothing is left to do.
    pub fn run(&mut self, seconds: i64) {
        let until = self.now + base::Duration::from_secs(seconds);
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    pub fn status(&self, pid: u32) -> Option<i32> {
        self.exited.iter().find(|(p, _)| *p == pid).map(|(_, s)| s.code())
    }

    pub fn tty(&mut self, argv: &[&str]) -> (u32, TtyId) {
        let tty = self.machine.open_tty(80, 24);
        let pid = self.start(argv, [Stdio::Tty(tty); 3]);
        (pid, tty)
    }

    pub fn keys(&mut self, tty: TtyId, keys: &str) -> String {
        self.screen.clear();
        self.input(MachineInput::Tty { tty, data: keys.as_bytes().into() });
        while self.step(self.now) {}
        String::from_utf8_lossy(&self.screen).into_owned()
    }
}

/// Runs a script with `sh -c`; stdout, stderr and code.
pub fn sh(script: &str) -> (String, String, i32) {
    shell_run("sh", script)
}

pub fn shell_run(shell: &str, script: &str) -> (String, String, i32) {
    let mut world = World::new();
    let pid = world.start(&[shell, "-c", script], [Stdio::Null, Stdio::Stream(StreamId(1)), Stdio::Stream(StreamId(2))]);
    world.run(3600);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&world.stdout), text(&world.stderr), world.status(pid).unwrap_or(-1))
}

/// Checks rows of (script, stdout, stderr, code), and says all that differ.
pub fn check(rows: &[(&str, &str, &str, i32)]) {
    let mut wrong = String::new();
    for (script, stdout, stderr, code) in rows {
        let got = sh(script);
        if got != (stdout.to_string(), stderr.to_string(), *code) {
            wrong.push_str(&format!(
                "\n--- {script}\n  want {stdout:?} {stderr:?} {code}\n  got  {:?} {:?} {}\n",
                got.0, got.1, got.2
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
