//! The machines' journal: what systemd and the kubelet have said, for `journalctl`.
//!
//! The lines of a kubelet that runs lie in its process; when it ends they are kept here, as the disk keeps them, and the journal
//! survives the machine's power. Bounded: the newest lines of a machine. Left out by name: other units, the kernel's messages,
//! boots (`-b`, `--list-boots`), cursors, output as JSON.

use std::rc::Rc;

use base::{Time, Vector};
use kubelet::journal::Entry;

use crate::cluster::Cluster;
use crate::process::Process;
use crate::systemd::Unit;

type Text = Rc<str>;

/// Lines that a machine keeps of processes that have ended, and of systemd.
const MAX_LINES: usize = 1500;

#[derive(Clone, Debug)]
enum Words {
    Text(Text),
    Entry(Rc<Entry>),
}

#[derive(Clone, Debug)]
struct Line {
    at: Time,
    unit: Unit,
    /// 1: systemd itself.
    pid: u32,
    words: Words,
}

/// What a machine keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    lines: Vector<Line>,
    /// All lines there have been: what a follower has seen is a number.
    total: u64,
}

/// What `journalctl` asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Empty: all.
    pub units: Vec<Unit>,
    /// Only lines beyond this number.
    pub after: u64,
    /// The newest so many.
    pub newest: Option<usize>,
    pub since: Option<Time>,
    /// Newest first.
    pub reverse: bool,
    /// `-o cat`: without time, host and process.
    pub bare: bool,
}

impl Journal {
    fn push(&mut self, line: Line) {
        self.total += 1;
        self.lines.push_back(line);
        if self.lines.len() > MAX_LINES {
            self.lines.pop_front();
        }
    }

    /// A line of systemd about a unit.
    pub fn systemd(&mut self, at: Time, unit: Unit, text: &str) {
        self.push(Line { at, unit, pid: 1, words: Words::Text(text.into()) });
    }

    /// A line of the kubelet's process that is not the kubelet's own.
    pub fn kubelet(&mut self, at: Time, pid: u32, text: &str) {
        self.push(Line { at, unit: Unit::Kubelet, pid, words: Words::Text(text.into()) });
    }

    /// The last words of a kubelet that could not start.
    pub fn kubelet_failed(&mut self, at: Time, pid: u32, why: &str) {
        let micro = at.rfc3339_micro();
        let (month, day, time) = (&micro[5..7], &micro[8..10], &micro[11..26]);
        let err = apimachinery::field::go_quote(why);
        let text = format!("E{month}{day} {time} {pid:>7} run.go:72] \"command failed\" err={err}");
        self.push(Line { at, unit: Unit::Kubelet, pid, words: Words::Text(text.into()) });
    }
}

impl Cluster {
    /// A process ends: if it is a kubelet, what it has said is kept.
    pub(crate) fn keep_journal(&mut self, addr: sim::Addr) {
        let Some(proc) = self.proc(addr) else { return };
        let Process::Kubelet(kubelet) = &proc.process else { return };
        let (machine, entries) = (proc.machine.clone(), kubelet.journal().entries().cloned().collect::<Vec<_>>());
        let dropped = kubelet.journal().dropped();
        let units = self.units_mut(&machine);
        let pid = units.pid(Unit::Kubelet);
        units.journal.total += dropped;
        for entry in entries {
            units.journal.push(Line { at: entry.at, unit: Unit::Kubelet, pid, words: Words::Entry(Rc::new(entry)) });
        }
    }

    /// The lines asked for, and the number of the last line there is.
    pub(crate) fn read_journal(&self, machine: &str, asked: &Asked) -> (String, u64) {
        let Some(units) = self.units.get(machine) else { return (String::new(), 0) };
        let pid = units.pid(Unit::Kubelet);
        let kept = &units.journal;
        let kubelet = self.kubelet(machine).map(|k| k.journal());
        let running: Vec<Line> = kubelet
            .into_iter()
            .flat_map(|j| j.entries())
            .map(|e| Line { at: e.at, unit: Unit::Kubelet, pid, words: Words::Entry(Rc::new(e.clone())) })
            .collect();
        let dropped = kubelet.map_or(0, |j| j.dropped());
        let total = kept.total + dropped + running.len() as u64;
        let first_kept = kept.total - kept.lines.len() as u64;
        let numbered = kept.lines.iter().enumerate().map(|(i, l)| (first_kept + i as u64 + 1, l));
        let numbered = numbered.chain(running.iter().enumerate().map(|(i, l)| (kept.total + dropped + i as u64 + 1, l)));
        let wanted = |(number, line): &(u64, &Line)| {
            *number > asked.after
                && (asked.units.is_empty() || asked.units.contains(&line.unit))
                && asked.since.is_none_or(|since| line.at >= since)
        };
        let mut found: Vec<&Line> = numbered.filter(wanted).map(|(_, l)| l).collect();
        if let Some(newest) = asked.newest {
            found.drain(..found.len().saturating_sub(newest));
        }
        if asked.reverse {
            found.reverse();
        }
        let print = |line: &&Line| {
            let mut text = line.print(machine, asked.bare);
            text.push('\n');
            text
        };
        (found.iter().map(print).collect(), total)
    }

    pub(crate) fn journal_tail(&self, machine: &str, units: &[Unit], newest: usize) -> String {
        let asked = Asked { units: units.to_vec(), newest: Some(newest), ..Asked::default() };
        self.read_journal(machine, &asked).0
    }
}

impl Line {
    /// `Jan 01 00:00:12 cp-1 kubelet[700]: …`
    fn print(&self, machine: &str, bare: bool) -> String {
        let words = match &self.words {
            Words::Text(text) => text.to_string(),
            Words::Entry(entry) => entry.print(self.pid),
        };
        if bare {
            return words;
        }
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (_, month, d, h, mi, s) = self.at.civil();
        let month = MONTHS[(month as usize + 11) % 12];
        let who = if self.pid == 1 { "systemd" } else { self.unit.name() };
        format!("{month} {d:02} {h:02}:{mi:02}:{s:02} {machine} {who}[{}]: {words}", self.pid)
    }
}
