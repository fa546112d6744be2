//! `/proc`, made when it is read. What isn't here doesn't exist (`ENOENT`); nothing in it can be written.

use std::fmt::Write;

use super::Sys;
use super::process::Process;
use crate::errno::Errno;
use crate::program::{Pid, Text};
use crate::vfs::Stat;

const TOP: [&str; 9] = ["cpuinfo", "filesystems", "loadavg", "meminfo", "mounts", "stat", "uptime", "version", "sys"];
const PER_PROCESS: [&str; 10] = ["cgroup", "cmdline", "comm", "cwd", "environ", "exe", "fd", "mounts", "stat", "status"];

impl Sys<'_> {
    fn proc_of<'p>(&self, rest: &'p str) -> Option<(Pid, &'p str)> {
        let (first, tail) = rest.split_once('/').unwrap_or((rest, ""));
        let pid = match first {
            "self" | "thread-self" => self.pid,
            number => number.parse().ok()?,
        };
        self.machine.proc(pid).map(|_| (pid, tail))
    }

    /// The content of `/proc/REST`.
    pub(super) fn proc_file(&mut self, rest: &str) -> Result<Vec<u8>, Errno> {
        if let Some((pid, tail)) = self.proc_of(rest) {
            let process = self.machine.proc(pid).ok_or(Errno::ENOENT)?;
            return self.process_file(pid, process, tail);
        }
        let config = &self.machine.config;
        let up = self.now.since(config.boot);
        let text = match rest {
            "mounts" => self.mount_table(),
            "uptime" => {
                format!("{}.{:02} {}.00\n", up.as_secs(), up.as_micros() / 10_000 % 100, up.as_secs() * config.cpus as i64)
            }
            "loadavg" => format!("0.00 0.00 0.00 1/{} {}\n", self.machine.procs.len(), self.machine.counters.pid),
            "version" => format!("Linux version {} (kubottle) #1 SMP\n", config.kernel),
            "meminfo" => {
                let (total, used) = (config.memory / 1024, self.machine.memory_bytes() / 1024);
                let free = total.saturating_sub(used);
                format!(
                    "MemTotal:       {total:>8} kB\nMemFree:        {free:>8} kB\nMemAvailable:   {free:>8} kB\nBuffers:        {:>8} kB\nCached:         {:>8} kB\nSwapTotal:      {:>8} kB\nSwapFree:       {:>8} kB\n",
                    0, 0, 0, 0
                )
            }
            "cpuinfo" => (0..config.cpus).map(|n| format!("processor\t: {n}\nmodel name\t: Kubottle virtual CPU\n\n")).collect(),
            "stat" => format!(
                "cpu  {} 0 0 {} 0 0 0 0 0 0\nbtime {}\n",
                self.machine.used_steps / 10_000,
                up.as_millis() / 10,
                config.boot.secs()
            ),
            "filesystems" => "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n\text4\n".to_string(),
            "sys/kernel/hostname" => format!("{}\n", config.hostname),
            "sys/kernel/osrelease" => format!("{}\n", config.kernel),
            "sys/kernel/pid_max" => "4194304\n".to_string(),
            "" | "self" | "sys" | "sys/kernel" => return Err(Errno::EISDIR),
            _ => return Err(Errno::ENOENT),
        };
        Ok(text.into_bytes())
    }

    fn process_file(&self, pid: Pid, process: &Process, tail: &str) -> Result<Vec<u8>, Errno> {
        let view = process.view(pid);
        Ok(match tail {
            "cmdline" => process.argv.iter().flat_map(|a| a.bytes().chain([0])).collect(),
            "comm" => format!("{}\n", process.comm).into_bytes(),
            "environ" => process.env.iter().flat_map(|(k, v)| format!("{k}={v}\0").into_bytes()).collect(),
            "mounts" | "mountinfo" => self.mount_table().into_bytes(),
            "cgroup" => b"0::/\n".to_vec(),
            "stat" => format!(
                "{pid} ({}) {} {} {} {} 0 -1 0 0 0 0 0 {} 0 0 0 20 0 1 0 {} {} {}\n",
                process.comm,
                view.state,
                shown_parent(process.parent),
                process.group,
                process.group,
                process.steps / 10_000,
                process.started.since(self.machine.config.boot).as_millis() / 10,
                process.resident(),
                process.resident() / 4096
            )
            .into_bytes(),
            "status" => self.status(pid, process).into_bytes(),
            "" | "fd" => return Err(Errno::EISDIR),
            _ => return Err(Errno::ENOENT),
        })
    }

    fn status(&self, pid: Pid, process: &Process) -> String {
        let config = &self.machine.config;
        let state = match process.view(pid).state {
            'R' => "R (running)",
            'T' => "T (stopped)",
            'Z' => "Z (zombie)",
            _ => "S (sleeping)",
        };
        let bounding = config.capabilities;
        let effective = if process.uid == 0 { bounding } else { 0 };
        let groups: Vec<String> = process.groups.iter().map(u32::to_string).collect();
        let (uid, gid, kb) = (process.uid, process.gid, process.resident() / 1024);
        let mut text = String::new();
        let _ = write!(
            text,
            "Name:\t{}\nUmask:\t{:04o}\nState:\t{state}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nGroups:\t{} \nVmRSS:\t{kb:>8} kB\nThreads:\t1\n",
            process.comm,
            process.umask,
            shown_parent(process.parent),
            groups.join(" ")
        );
        let _ = write!(
            text,
            "CapInh:\t{:016x}\nCapPrm:\t{effective:016x}\nCapEff:\t{effective:016x}\nCapBnd:\t{bounding:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{}\nSeccomp:\t0\n",
            0, 0, config.no_new_privileges as u8
        );
        text
    }

    fn mount_table(&self) -> String {
        let access = if self.machine.root.read_only { "ro" } else { "rw" };
        let mut text = format!(
            "overlay / overlay {access},relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\ntmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755 0 0\n"
        );
        for mount in self.machine.namespace.mounts() {
            let _ = writeln!(text, "{} {} {} {} 0 0", mount.device, mount.path, mount.fs_type, mount.options);
        }
        text
    }

    pub(super) fn proc_dir(&mut self, rest: &str) -> Result<Vec<Text>, Errno> {
        if rest.is_empty() {
            let pids = self.machine.procs.keys().map(|pid| Text::from(pid.to_string()));
            return Ok(pids.chain(TOP.iter().map(|n| Text::from(*n))).chain([Text::from("self")]).collect());
        }
        if let Some((pid, tail)) = self.proc_of(rest) {
            return match tail {
                "" => Ok(PER_PROCESS.iter().map(|n| Text::from(*n)).collect()),
                "fd" => {
                    Ok(self.machine.proc(pid).ok_or(Errno::ENOENT)?.fds.keys().map(|fd| Text::from(fd.to_string())).collect())
                }
                _ => Err(Errno::ENOTDIR),
            };
        }
        match rest {
            "sys" => Ok(vec!["kernel".into()]),
            "sys/kernel" => Ok(vec!["hostname".into(), "osrelease".into(), "pid_max".into()]),
            _ => self.proc_file(rest).and(Err(Errno::ENOTDIR)),
        }
    }

    pub(super) fn proc_link(&mut self, rest: &str) -> Result<Text, Errno> {
        if rest == "self" {
            return Ok(self.pid.to_string().into());
        }
        let (pid, tail) = self.proc_of(rest).ok_or(Errno::ENOENT)?;
        let process = self.machine.proc(pid).ok_or(Errno::ENOENT)?;
        match tail {
            "cwd" => Ok(process.cwd.clone()),
            "exe" => Ok(process.argv.first().cloned().unwrap_or_default()),
            "root" => Ok("/".into()),
            _ => {
                let fd = tail.strip_prefix("fd/").and_then(|fd| fd.parse::<u32>().ok()).ok_or(Errno::EINVAL)?;
                let entry = process.fds.get(&fd).ok_or(Errno::ENOENT)?;
                Ok(self.machine.files.get(&entry.file).map_or("".into(), |f| f.path.clone()))
            }
        }
    }

    pub(super) fn stat_proc(&mut self, rest: &str) -> Result<Stat, Errno> {
        let is_link = rest == "self" || rest.ends_with("/cwd") || rest.ends_with("/exe") || rest.contains("/fd/");
        let kind = match () {
            () if self.proc_dir(rest).is_ok() => 'd',
            () if is_link && self.proc_link(rest).is_ok() => 'l',
            () if self.proc_file(rest).is_ok() => '-',
            () => return Err(Errno::ENOENT),
        };
        let mode = if kind == '-' { 0o444 } else { 0o555 };
        Ok(Stat { ino: 1, kind, mode, uid: 0, gid: 0, size: 0, blocks: 0, links: 1, mtime: self.now, dev: 4 })
    }
}

fn shown_parent(parent: Pid) -> Pid {
    if parent == Pid::MAX { 1 } else { parent }
}
