//! etcd's processes and their data directories.
//!
//! A member's data directory is a value ([`etcd::DataDir`]), too big to be written into a file after each change. What lies on
//! the machine's disk, as `member/snap/db` below `--data-dir`, is its number: so a directory that is moved, copied or deleted by
//! hand is moved, copied or gone for etcd too. Each start of a member takes what its number leads to and writes a new number,
//! so that a copy stays what it was. (A copy made while the member runs is what the directory was when the process ended.)
//! After `etcdctl snapshot restore` the file holds the keys themselves. Members that run bare keep theirs without a file.

use std::rc::Rc;

use apimachinery::{Value, json};
use base::{Map, Seed};
use cri_api::host::{ComponentSpec, HostMessage};
use etcd::{DataDir, Member, MemberConfig};
use sim::{Addr, Payload};

use crate::cluster::{Cluster, Observer};
use crate::config::Config;
use crate::process::Process;

type Text = Rc<str>;

/// Begins the file that names a data directory.
const NAMED: &str = "kubottle etcd data directory ";
/// Data directories that are kept though no process uses them: copies and moved ones.
const KEPT: u64 = 16;

/// The data directories there are.
#[derive(Clone, Default)]
pub(crate) struct Disks {
    dirs: Map<u64, DataDir>,
    /// What a member's process uses.
    of: Map<Addr, u64>,
    last: u64,
}

impl Config {
    /// The machines that etcd's members run on.
    pub(crate) fn etcd_machines(&self, control_plane: &str) -> Vec<Text> {
        let n = self.etcd_members.max(1) as usize;
        if self.static_pods {
            return self.nodes.iter().filter(|n| n.control_plane).take(n).map(|n| n.name.clone()).collect();
        }
        let name = |i| if i == 1 { control_plane.into() } else { format!("{control_plane}-{i}").into() };
        (1..=n).map(name).collect()
    }
}

impl Cluster {
    /// The members' processes, that of kube-apiserver's machine first.
    pub fn etcd_addrs(&self) -> Vec<Addr> {
        let others = self.of_component("etcd").filter(|(a, _)| *a != self.etcd).map(|(a, _)| a);
        std::iter::once(self.etcd).chain(others).collect()
    }

    /// The members that run.
    pub fn etcd_members(&self) -> impl Iterator<Item = (Addr, &Member)> {
        self.of_component("etcd").filter_map(|(a, p)| if let Process::Etcd(m) = &p.process { Some((a, m)) } else { None })
    }

    /// The member at a client URL, as a process on `machine` sees it.
    pub(crate) fn etcd_at(&self, url: &str, machine: &str) -> Option<Addr> {
        let (host, _) = url.strip_prefix("https://")?.rsplit_once(':')?;
        let ip: std::net::IpAddr = host.parse().ok()?;
        let there = match ip.is_loopback() {
            true => machine.into(),
            false => self.proc(*self.ips.get(&ip)?)?.machine.clone(),
        };
        self.addr(&format!("etcd/{there}"))
    }

    /// Who listens at the members' peer URLs.
    fn etcd_network(&self) -> Map<Text, Addr> {
        let members = self.of_component("etcd");
        members.map(|(a, p)| (self.peer_url(&p.machine), a)).collect()
    }

    fn peer_url(&self, machine: &str) -> Text {
        let host = self.nodes.get(machine).map_or_else(|| machine.to_string(), |n| n.config.ip.to_string());
        format!("https://{host}:2380").into()
    }

    /// A member's process with its data directory.
    ///
    /// # Errors
    /// What etcd says before it exits.
    pub(crate) fn make_etcd(&mut self, machine: &str, addr: Addr, spec: Option<&ComponentSpec>) -> Result<Member, String> {
        let seed = self.config.seed().derive("etcd");
        let (config, data) = match spec {
            Some(spec) => {
                let config = MemberConfig::from_args(&spec.args, machine, seed)?;
                let data = self.open_data_dir(machine, addr, spec, &config)?;
                (config, data)
            }
            None => {
                let config = self.bare_member(machine, seed);
                let before = self.backup_for(addr, &config)?;
                let number = self.disks.of.get(&addr).copied().unwrap_or_else(|| self.new_number(addr));
                (config, self.disks.dirs.get(&number).cloned().or(before))
            }
        };
        let (network, me) = (self.etcd_network(), config.peer_url.clone());
        for peer in self.etcd_addrs().into_iter().filter(|a| *a != addr) {
            self.with_proc(peer, |p| {
                if let Process::Etcd(m) = &mut p.process {
                    m.set_peer(&me, addr);
                }
            });
        }
        Ok(Member::with(config, data, network))
    }

    /// The flags of a member that runs bare.
    fn bare_member(&self, machine: &str, seed: Seed) -> MemberConfig {
        let alone = MemberConfig::alone(machine);
        if self.config.etcd_members <= 1 {
            return alone;
        }
        let machines = self.config.etcd_machines(&self.control_plane());
        MemberConfig {
            peer_url: self.peer_url(machine),
            client_url: format!("https://{machine}:2379").into(),
            initial_cluster: machines.iter().map(|m| (m.clone(), self.peer_url(m))).collect(),
            seed: seed.derive(machine),
            ..alone
        }
    }

    fn new_number(&mut self, addr: Addr) -> u64 {
        self.disks.last += 1;
        let number = self.disks.last;
        self.disks.of.insert(addr, number);
        number
    }

    /// Opens what lies at `--data-dir`. `None`: nothing does.
    fn open_data_dir(
        &mut self,
        machine: &str,
        addr: Addr,
        spec: &ComponentSpec,
        config: &MemberConfig,
    ) -> Result<Option<DataDir>, String> {
        let dir = data_dir(spec);
        let db = format!("{dir}/member/snap/db");
        let runtime = self.nodes.get(machine).and_then(|n| n.runtime);
        let Some(Process::Machine(disk)) = runtime.and_then(|r| self.proc(r)).map(|p| &p.process) else { return Ok(None) };
        let data = match disk.read_host_file(&db) {
            None => self.backup_for(addr, config)?,
            Some(file) => Some(match std::str::from_utf8(&file).ok().and_then(|t| t.strip_prefix(NAMED)) {
                Some(number) => {
                    let number = number.trim().parse().ok();
                    number.and_then(|n: u64| self.disks.dirs.get(&n)).cloned().ok_or("panic: failed to open database: timeout")?
                }
                None => {
                    let wal = disk.read_host_file(&format!("{dir}/member/wal/0000000000000000-0000000000000000.wal"));
                    restored(&file, wal.as_ref().map(|w| w.as_slice()), config)?
                }
            }),
        };
        let number = self.new_number(addr);
        let now = self.now();
        if let Some(runtime) = runtime {
            self.with_proc(runtime, |p| {
                let Process::Machine(disk) = &mut p.process else { return };
                disk.put_host_file(now, &db, format!("{NAMED}{number}\n").as_bytes(), 0o600);
            });
        }
        Ok(data)
    }

    /// The data directory that a member begins with, the first time it starts in a cluster that was restored from a backup.
    fn backup_for(&self, addr: Addr, config: &MemberConfig) -> Result<Option<DataDir>, String> {
        let backup = self.config.backup.as_ref().filter(|_| !self.disks.of.contains_key(&addr));
        backup.map(|b| restored(b.etcd.as_bytes(), None, config)).transpose()
    }

    /// A member's process ends: its data directory stays.
    pub(crate) fn keep_data_dir(&mut self, addr: Addr) {
        let Some(Process::Etcd(member)) = self.proc(addr).map(|p| &p.process) else { return };
        let data = member.data_dir().clone();
        let Some(number) = self.disks.of.get(&addr).copied() else { return };
        self.disks.dirs.insert(number, data);
        let oldest = self.disks.last.saturating_sub(KEPT);
        let used: Vec<u64> = self.disks.of.values().copied().collect();
        let gone: Vec<u64> = self.disks.dirs.keys().copied().filter(|n| *n < oldest && !used.contains(n)).collect();
        for number in gone {
            self.disks.dirs.remove(&number);
        }
    }

    /// etcd's last words, in its container's log, before it exits.
    pub(crate) fn log_fatal(&mut self, addr: Addr, text: &str, observer: &mut impl Observer) {
        let line =
            format!("{{\"level\":\"fatal\",\"caller\":\"etcdmain/etcd.go\",\"msg\":\"discovery failed\",\"error\":{text:?}}}");
        self.log_line(addr, &line, observer);
    }

    /// A line in the log of a component's container, if it has one.
    pub(crate) fn log_line(&mut self, addr: Addr, line: &str, observer: &mut impl Observer) {
        let Some(proc) = self.proc(addr) else { return };
        let runtime = self.nodes.get(&proc.machine).and_then(|n| n.runtime);
        let (Some(container), Some(runtime)) = (proc.container.clone(), runtime) else { return };
        let line: Text = line.into();
        let log = Payload::Host(Rc::new(HostMessage::ComponentLog { container, line }));
        self.queue.inject(addr, runtime, log, |m, at| observer.sent(m, at));
    }
}

/// Where on the machine's disk `--data-dir` is.
fn data_dir(spec: &ComponentSpec) -> String {
    let inside = spec.args.iter().find_map(|a| a.strip_prefix("--data-dir=")).unwrap_or("/default.etcd").trim_end_matches('/');
    let mounts =
        spec.host_mounts.iter().filter(|(at, _)| inside.strip_prefix(&**at).is_some_and(|r| r.is_empty() || r.starts_with('/')));
    match mounts.max_by_key(|(at, _)| at.len()) {
        Some((at, host)) => format!("{}{}", host.trim_end_matches('/'), &inside[at.len()..]),
        // In the container itself: gone with it.
        None => format!("/var/lib/containerd/{}{inside}", spec.container),
    }
}

/// A data directory that `etcdctl snapshot restore` has written: the keys, and who the members are.
fn restored(file: &[u8], wal: Option<&[u8]>, flags: &MemberConfig) -> Result<DataDir, String> {
    let state = etcd::backup::read(file).ok_or("panic: failed to open database: invalid database")?;
    let wal = wal.and_then(|w| json::parse(w).ok()).unwrap_or_default();
    let text = |key: &str| wal.str_at(&[key]).map(Text::from);
    let members: Vec<(Text, Text)> = wal
        .list_at(&["initialCluster"])
        .iter()
        .filter_map(|m: &Value| Some((m.str_at(&["name"])?.into(), m.str_at(&["peerURL"])?.into())))
        .collect();
    let config = MemberConfig {
        name: text("name").unwrap_or(flags.name.clone()),
        peer_url: text("peerURL").unwrap_or(flags.peer_url.clone()),
        token: text("token").unwrap_or(flags.token.clone()),
        initial_cluster: if members.is_empty() { flags.initial_cluster.clone() } else { members },
        ..flags.clone()
    };
    Ok(DataDir::begin(&config, state))
}
