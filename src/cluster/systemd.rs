//! systemd on the machines, as far as Kubernetes needs it: the units `kubelet.service` and `containerd.service`.
//!
//! `systemctl` on a node asks over systemd's socket (`programs/systemctl.rs`); the world answers, because it is what ends and
//! starts processes. A kubelet whose configuration isn't on the disk ends at once and is started again every ten seconds, as the
//! unit of kubeadm says. What the units said is in `journald.rs`. Left out by name: all other units, timers, cgroups and the
//! accounting of memory and processor time, units on the laptop.

use std::fmt::Write;
use std::rc::Rc;

use base::{Duration, Time};
use cri_api::cri;
use sim::Payload;

use crate::cluster::{Cluster, Observer};
use crate::journald::Journal;
use crate::process::Process;

type Text = Rc<str>;

/// Where kubeadm puts what a kubelet needs.
pub(crate) const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
pub(crate) const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
pub(crate) const BOOTSTRAP_CONF: &str = "/etc/kubernetes/bootstrap-kubelet.conf";

/// What `systemctl cat kubelet` prints.
const KUBELET_UNIT: &str = "# /usr/lib/systemd/system/kubelet.service\n[Unit]\nDescription=kubelet: The Kubernetes Node Agent\nDocumentation=https://kubernetes.io/docs/\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\nStartLimitInterval=0\nRestartSec=10\n\n[Install]\nWantedBy=multi-user.target\n\n# /usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf\n[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"\nEnvironment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\nEnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nEnvironmentFile=-/etc/default/kubelet\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n";
const CONTAINERD_UNIT: &str = "# /usr/lib/systemd/system/containerd.service\n[Unit]\nDescription=containerd container runtime\nDocumentation=https://containerd.io\n\n[Service]\nExecStart=/usr/bin/containerd\nType=notify\nDelegate=yes\nKillMode=process\nRestart=always\nRestartSec=5\n\n[Install]\nWantedBy=multi-user.target\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Kubelet,
    Containerd,
}

impl Unit {
    pub fn parse(name: &str) -> Option<Unit> {
        match name.strip_suffix(".service").unwrap_or(name) {
            "kubelet" => Some(Unit::Kubelet),
            "containerd" => Some(Unit::Containerd),
            _ => None,
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            Unit::Kubelet => "kubelet",
            Unit::Containerd => "containerd",
        }
    }
    fn description(self) -> &'static str {
        match self {
            Unit::Kubelet => "kubelet: The Kubernetes Node Agent",
            Unit::Containerd => "containerd container runtime",
        }
    }
    fn docs(self) -> &'static str {
        match self {
            Unit::Kubelet => "https://kubernetes.io/docs/",
            Unit::Containerd => "https://containerd.io",
        }
    }
    fn text(self) -> &'static str {
        match self {
            Unit::Kubelet => KUBELET_UNIT,
            Unit::Containerd => CONTAINERD_UNIT,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Dead,
    Running,
    /// It ends as soon as it has started, again and again.
    Restarting,
}

/// One unit of one machine.
#[derive(Clone, Debug)]
struct Status {
    state: State,
    enabled: bool,
    /// Of the state.
    since: Time,
    /// When its process last started.
    started: Time,
    pid: u32,
}

impl Default for Status {
    fn default() -> Status {
        Status { state: State::Dead, enabled: true, since: Time::EPOCH, started: Time::EPOCH, pid: 0 }
    }
}

/// A machine's units and their journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Units {
    kubelet: Status,
    containerd: Status,
    pub journal: Journal,
    last_pid: u32,
}

impl Units {
    fn status(&self, unit: Unit) -> &Status {
        match unit {
            Unit::Kubelet => &self.kubelet,
            Unit::Containerd => &self.containerd,
        }
    }
    fn status_mut(&mut self, unit: Unit) -> &mut Status {
        match unit {
            Unit::Kubelet => &mut self.kubelet,
            Unit::Containerd => &mut self.containerd,
        }
    }
    pub fn pid(&self, unit: Unit) -> u32 {
        self.status(unit).pid
    }

    fn enter(&mut self, unit: Unit, state: State, now: Time) {
        if state != State::Dead {
            self.last_pid = if self.last_pid == 0 { 600 } else { self.last_pid + 100 };
        }
        let pid = self.last_pid;
        let status = self.status_mut(unit);
        (status.state, status.since) = (state, now);
        if state != State::Dead {
            (status.pid, status.started) = (pid, now);
        }
    }
}

/// What a command of systemctl prints on its two streams, and its exit code.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Said {
    fn fails(err: String, code: i32) -> Said {
        Said { err, code, ..Said::default() }
    }
}

impl Cluster {
    pub(crate) fn units_mut(&mut self, machine: &str) -> &mut Units {
        self.units.entry(machine.into()).or_default()
    }

    /// The machine was switched on: containerd starts, and the kubelet if it is enabled. True: the kubelet is to start.
    pub(crate) fn boot_units(&mut self, machine: &str) -> bool {
        let now = self.now();
        let units = self.units_mut(machine);
        units.enter(Unit::Containerd, State::Running, now);
        units.journal.systemd(now, Unit::Containerd, "Started containerd.service - containerd container runtime.");
        units.enter(Unit::Kubelet, State::Dead, now);
        units.kubelet.enabled
    }

    /// The plug was pulled.
    pub(crate) fn lose_units(&mut self, machine: &str) {
        let now = self.now();
        let units = self.units_mut(machine);
        units.enter(Unit::Containerd, State::Dead, now);
        units.enter(Unit::Kubelet, State::Dead, now);
    }

    /// The kubelet's process was started. False: it ends at once, because it has no configuration, and the journal says which.
    pub(crate) fn kubelet_unit_started(&mut self, machine: &str) -> bool {
        let missing = self.missing_configuration(machine);
        let unused = [self.unused_flags(machine), self.unused_configuration(machine)].concat();
        let now = self.now();
        let units = self.units_mut(machine);
        let journal = |units: &mut Units, text: &str| units.journal.systemd(now, Unit::Kubelet, text);
        journal(units, "Started kubelet.service - kubelet: The Kubernetes Node Agent.");
        let Some(why) = missing else {
            units.enter(Unit::Kubelet, State::Running, now);
            for what in unused {
                units.journal.kubelet(
                    now,
                    units.kubelet.pid,
                    &format!("Kubottle: {what} has no effect on the kubelet in this bottle"),
                );
            }
            return true;
        };
        units.enter(Unit::Kubelet, State::Restarting, now);
        units.journal.kubelet_failed(now, units.kubelet.pid, &why);
        journal(units, "kubelet.service: Main process exited, code=exited, status=1/FAILURE");
        journal(units, "kubelet.service: Failed with result 'exit-code'.");
        false
    }

    /// What a kubelet needs and the disk doesn't have, in the kubelet's words.
    fn missing_configuration(&self, machine: &str) -> Option<String> {
        let has = |path: &str| self.machine(machine).is_none_or(|m| m.has_host_file(path));
        if !has(KUBELET_CONFIG) {
            return Some(format!(
                "failed to load kubelet config file, path: {KUBELET_CONFIG}, error: failed to load Kubelet config file {KUBELET_CONFIG}, error failed to read kubelet config file \"{KUBELET_CONFIG}\", error: open {KUBELET_CONFIG}: no such file or directory"
            ));
        }
        (!has(KUBELET_CONF) && !has(BOOTSTRAP_CONF)).then(|| {
            format!(
                "failed to run Kubelet: unable to load bootstrap kubeconfig: stat {BOOTSTRAP_CONF}: no such file or directory"
            )
        })
    }

    /// The kubelet's process ended because it was told to, not by the machine's end.
    pub(crate) fn kubelet_unit_stopped(&mut self, machine: &str) {
        let now = self.now();
        let units = self.units_mut(machine);
        if units.kubelet.state == State::Dead {
            return;
        }
        units.enter(Unit::Kubelet, State::Dead, now);
        for text in [
            "Stopping kubelet.service - kubelet: The Kubernetes Node Agent...",
            "kubelet.service: Deactivated successfully.",
            "Stopped kubelet.service - kubelet: The Kubernetes Node Agent.",
        ] {
            units.journal.systemd(now, Unit::Kubelet, text);
        }
    }

    /// The kubelet's process was killed: its unit starts it again. (At once: a real one waits ten seconds.)
    pub(crate) fn kubelet_unit_killed(&mut self, machine: &str) {
        if self.nodes.get(machine).is_none_or(|n| n.runtime.is_none()) {
            return;
        }
        let now = self.now();
        let units = self.units_mut(machine);
        for text in [
            "kubelet.service: Main process exited, code=killed, status=9/KILL",
            "kubelet.service: Failed with result 'signal'.",
            "kubelet.service: Scheduled restart job, restart counter is at 1.",
        ] {
            units.journal.systemd(now, Unit::Kubelet, text);
        }
    }

    fn stop_containerd(&mut self, machine: &str, observer: &mut impl Observer) {
        let now = self.now();
        let units = self.units_mut(machine);
        if units.containerd.state != State::Running {
            return;
        }
        units.enter(Unit::Containerd, State::Dead, now);
        for text in [
            "Stopping containerd.service - containerd container runtime...",
            "containerd.service: Deactivated successfully.",
            "containerd.service: Unit process (containerd-shim) remains running after unit stopped.",
            "Stopped containerd.service - containerd container runtime.",
        ] {
            units.journal.systemd(now, Unit::Containerd, text);
        }
        self.tell_of_containerd(machine, true, observer);
    }

    fn start_containerd(&mut self, machine: &str, observer: &mut impl Observer) {
        let now = self.now();
        let units = self.units_mut(machine);
        if units.containerd.state == State::Running {
            return;
        }
        units.enter(Unit::Containerd, State::Running, now);
        units.journal.systemd(now, Unit::Containerd, "Started containerd.service - containerd container runtime.");
        self.tell_of_containerd(machine, false, observer);
    }

    /// The socket goes or comes, and the kubelet's connection with it.
    fn tell_of_containerd(&mut self, machine: &str, stopped: bool, observer: &mut impl Observer) {
        let Some(runtime) = self.nodes.get(machine).and_then(|n| n.runtime) else { return };
        let mut kubelet = None;
        self.with_proc(runtime, |p| {
            if let Process::Machine(m) = &mut p.process {
                kubelet = m.set_stopped(stopped);
            }
        });
        let event = if stopped { cri::Event::RuntimeGone } else { cri::Event::RuntimeReady };
        if let Some(kubelet) = kubelet {
            let event = Payload::Cri(Rc::new(cri::Message::Event(event)));
            self.queue.inject(runtime, kubelet, event, |m, at| observer.sent(m, at));
        }
    }

    /// Carries out `systemctl VERB UNIT…` on a machine.
    pub(crate) fn systemctl(&mut self, machine: &str, verb: &str, names: &[Text], observer: &mut impl Observer) -> Said {
        let mut said = Said::default();
        for name in names {
            let one = match Unit::parse(name) {
                Some(unit) => self.systemctl_unit(machine, verb, unit, observer),
                None => unknown_unit(verb, name),
            };
            if !said.out.is_empty() && verb == "status" {
                said.out.push('\n');
            }
            said.out += &one.out;
            said.err += &one.err;
            said.code = if said.code == 0 { one.code } else { said.code };
        }
        said
    }

    fn systemctl_unit(&mut self, machine: &str, verb: &str, unit: Unit, observer: &mut impl Observer) -> Said {
        let state = self.units_mut(machine).status(unit).state;
        match (verb, unit) {
            ("status", _) => return self.unit_status(machine, unit),
            ("cat", _) => return Said { out: unit.text().into(), ..Said::default() },
            ("is-active", _) => {
                let (word, code) = match state {
                    State::Running => ("active\n", 0),
                    State::Restarting => ("activating\n", 3),
                    State::Dead => ("inactive\n", 3),
                };
                return Said { out: word.into(), code, ..Said::default() };
            }
            ("is-enabled", _) => {
                let enabled = self.units_mut(machine).status(unit).enabled;
                let (word, code) = if enabled { ("enabled\n", 0) } else { ("disabled\n", 1) };
                return Said { out: word.into(), code, ..Said::default() };
            }
            ("enable" | "disable", _) => {
                let enable = verb == "enable";
                let was = std::mem::replace(&mut self.units_mut(machine).status_mut(unit).enabled, enable);
                let link = format!("/etc/systemd/system/multi-user.target.wants/{}.service", unit.name());
                let err = match (was, enable) {
                    (true, false) => format!("Removed \"{link}\".\n"),
                    (false, true) => format!("Created symlink {link} → /usr/lib/systemd/system/{}.service.\n", unit.name()),
                    _ => String::new(),
                };
                return Said { err, ..Said::default() };
            }
            ("stop" | "kill", Unit::Kubelet) => self.stop_kubelet(machine, observer),
            ("start", Unit::Kubelet) if state != State::Running => self.start_kubelet(machine, observer),
            ("restart" | "try-restart", Unit::Kubelet) if verb == "restart" || state != State::Dead => {
                self.stop_kubelet(machine, observer);
                self.start_kubelet(machine, observer);
            }
            ("stop" | "kill", Unit::Containerd) => self.stop_containerd(machine, observer),
            ("start", Unit::Containerd) => self.start_containerd(machine, observer),
            ("restart" | "try-restart", Unit::Containerd) => {
                self.stop_containerd(machine, observer);
                self.start_containerd(machine, observer);
            }
            _ => {}
        }
        Said::default()
    }

    fn unit_status(&mut self, machine: &str, unit: Unit) -> Said {
        let now = self.now();
        let command = self.unit_command(machine, unit);
        let units = self.units_mut(machine);
        let status = units.status(unit).clone();
        let name = unit.name();
        let dot = match status.state {
            State::Dead => '○',
            _ => '●',
        };
        let preset = if status.enabled { "enabled" } else { "disabled" };
        let mut out = format!("{dot} {name}.service - {}\n", unit.description());
        let _ = writeln!(out, "     Loaded: loaded (/usr/lib/systemd/system/{name}.service; {preset}; preset: enabled)");
        if unit == Unit::Kubelet {
            out += "    Drop-In: /usr/lib/systemd/system/kubelet.service.d\n             └─10-kubeadm.conf\n";
        }
        let since = format!("since {}; {}", timestamp(status.since), ago(now.since(status.since)));
        let _ = match status.state {
            State::Running => writeln!(out, "     Active: active (running) {since}"),
            State::Restarting => writeln!(out, "     Active: activating (auto-restart) (Result: exit-code) {since}"),
            State::Dead if status.pid == 0 => writeln!(out, "     Active: inactive (dead)"),
            State::Dead => writeln!(out, "     Active: inactive (dead) {since}"),
        };
        let ran = span(status.since.since(status.started));
        if status.state == State::Dead && status.pid != 0 {
            let _ = writeln!(out, "   Duration: {ran}");
        }
        let _ = writeln!(out, "       Docs: {}", unit.docs());
        match status.state {
            State::Running => {
                let _ = writeln!(out, "   Main PID: {} ({name})", status.pid);
                let _ = writeln!(out, "     CGroup: /system.slice/{name}.service\n             └─{} {command}", status.pid);
            }
            State::Restarting => {
                let _ = writeln!(out, "    Process: {} ExecStart={command} (code=exited, status=1/FAILURE)", status.pid);
                let _ = writeln!(out, "   Main PID: {} (code=exited, status=1/FAILURE)", status.pid);
            }
            State::Dead if status.pid != 0 => {
                let _ = writeln!(out, "    Process: {} ExecStart={command} (code=exited, status=0/SUCCESS)", status.pid);
                let _ = writeln!(out, "   Main PID: {} (code=exited, status=0/SUCCESS)", status.pid);
            }
            State::Dead => {}
        }
        let code = if status.state == State::Running { 0 } else { 3 };
        let lines = self.journal_tail(machine, &[unit], 10);
        if !lines.is_empty() {
            out.push('\n');
            out += &lines;
        }
        Said { out, code, ..Said::default() }
    }

    /// The command line of a unit's process.
    pub(crate) fn unit_command(&self, machine: &str, unit: Unit) -> String {
        match unit {
            Unit::Containerd => "/usr/bin/containerd".into(),
            Unit::Kubelet => {
                let mut command = format!(
                    "/usr/bin/kubelet --bootstrap-kubeconfig={BOOTSTRAP_CONF} --kubeconfig={KUBELET_CONF} --config={KUBELET_CONFIG}"
                );
                for word in self.kubelet_flags(machine) {
                    command.push(' ');
                    command += &word;
                }
                command
            }
        }
    }
}

fn unknown_unit(verb: &str, name: &str) -> Said {
    let full = if name.contains('.') { name.to_string() } else { format!("{name}.service") };
    match verb {
        "status" => Said::fails(format!("Unit {full} could not be found.\n"), 4),
        "cat" => Said::fails(format!("No files found for {full}.\n"), 1),
        "is-active" => Said { out: "inactive\n".into(), code: 4, ..Said::default() },
        "is-enabled" => Said { out: "not-found\n".into(), code: 4, ..Said::default() },
        "stop" | "kill" => Said::fails(format!("Failed to stop {full}: Unit {full} not loaded.\n"), 5),
        _ => Said::fails(format!("Failed to {verb} {full}: Unit {full} not found.\n"), 5),
    }
}

/// `Thu 2026-01-01 00:00:12 UTC`
fn timestamp(at: Time) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (y, mo, d, h, mi, s) = at.civil();
    format!("{} {y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02} UTC", DAYS[at.days().rem_euclid(7) as usize])
}

/// systemd's words for a time that has passed.
fn ago(span: Duration) -> String {
    let s = span.as_secs();
    match s {
        s if s < 1 && span.as_millis() < 1 => "now".into(),
        s if s < 1 => format!("{}ms ago", span.as_millis()),
        1..60 => format!("{s}s ago"),
        60..300 => format!("{}min {}s ago", s / 60, s % 60),
        300..3600 => format!("{}min ago", s / 60),
        3600..86_400 => format!("{}h {}min ago", s / 3600, s % 3600 / 60),
        86_400..172_800 => format!("1 day {}h ago", (s - 86_400) / 3600),
        _ => format!("{} days ago", s / 86_400),
    }
}

/// How long something ran.
fn span(span: Duration) -> String {
    let s = span.as_secs();
    let rest = format!("{}.{:03}s", s % 60, span.as_millis() % 1000);
    match s {
        s if s < 60 => rest,
        s if s < 3600 => format!("{}min {rest}", s / 60),
        s => format!("{}h {}min {rest}", s / 3600, s % 3600 / 60),
    }
}
