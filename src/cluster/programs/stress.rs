//! `stress`: keeps a container's CPU busy and holds memory, for as long as it is told to. Models `stress` 1.0 as far as limits,
//! evictions and autoscalers need it: `--cpu`, `--vm` with `--vm-bytes`, `--vm-hang` and `--vm-keep`, `--timeout`, `--quiet`.
//! The memory is modelled, not held ([`cri_api::Sys::reserve_memory`]). Left out by name: `--io` and `--hdd`, `stress-ng`'s stressors.

use base::{Duration, Time};
use cri_api::machine::Sys;
use cri_api::{Poll, Program};

/// Steps of one turn of a busy loop.
const TURN: u32 = 1000;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    cpu: u64,
    vm: u64,
    vm_bytes: u64,
    timeout: Option<Duration>,
    quiet: bool,
}

#[derive(Clone, Default)]
struct Stress {
    wanted: Option<Wanted>,
    ends_at: Option<Time>,
}

/// The constructor for the program table.
pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Stress::default())
}

impl Program for Stress {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        let wanted = match self.wanted.clone() {
            Some(wanted) => wanted,
            None => match self.begin(sys) {
                Ok(wanted) => wanted,
                Err(code) => return Poll::Exit(code),
            },
        };
        if let Some(at) = self.ends_at
            && sys.sleep_until(at)
        {
            if !wanted.quiet {
                let _ = sys.write(1, b"stress: info: [1] successful run completed\n");
            }
            return Poll::Exit(0);
        }
        if wanted.cpu == 0 {
            return Poll::Pending;
        }
        sys.charge(TURN);
        Poll::Ready
    }
}

impl Stress {
    fn begin(&mut self, sys: &mut Sys<'_>) -> Result<Wanted, i32> {
        let argv: Vec<String> = sys.argv().iter().skip(1).map(|a| a.to_string()).collect();
        let wanted = parse(&argv).map_err(|text| {
            let _ = sys.write(2, format!("stress: FAIL: [{}] (244) {text}\n", sys.pid()).as_bytes());
            1
        })?;
        if !wanted.quiet {
            let pid = sys.pid();
            let line = format!("stress: info: [{pid}] dispatching hogs: {} cpu, 0 io, {} vm, 0 hdd\n", wanted.cpu, wanted.vm);
            let _ = sys.write(1, line.as_bytes());
        }
        sys.reserve_memory(wanted.vm.saturating_mul(wanted.vm_bytes));
        self.ends_at = wanted.timeout.map(|t| sys.now() + t);
        self.wanted = Some(wanted.clone());
        Ok(wanted)
    }
}

/// Reads the flags. An error: the sentence after which it ends.
fn parse(argv: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted { vm_bytes: 256 << 20, ..Wanted::default() };
    let mut args = argv.iter();
    while let Some(arg) = args.next() {
        let (name, glued) = arg.split_once('=').map_or((arg.as_str(), None), |(n, v)| (n, Some(v.to_string())));
        let mut value = || glued.clone().or_else(|| args.next().cloned()).ok_or(format!("missing argument to option: {name}"));
        match name {
            "--cpu" | "-c" => wanted.cpu = number(&value()?)?,
            "--vm" | "-m" => wanted.vm = number(&value()?)?,
            "--vm-bytes" => wanted.vm_bytes = bytes(&value()?)?,
            "--timeout" | "-t" => wanted.timeout = Some(Duration::from_secs(span(&value()?)?)),
            "--vm-hang" | "--vm-stride" | "--backoff" => drop(value()?),
            "--vm-keep" | "--verbose" | "-v" => {}
            "--quiet" | "-q" => wanted.quiet = true,
            "--io" | "-i" | "--hdd" | "-d" | "--hdd-bytes" => return Err(format!("{name} is not in this bottle")),
            other => return Err(format!("unrecognized option: {other}")),
        }
    }
    if wanted.cpu == 0 && wanted.vm == 0 {
        return Err("nothing to do: give --cpu or --vm".into());
    }
    Ok(wanted)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("invalid number: {text}"))
}

/// `150M`: in B, K, M or G.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, factor) = scaled(text, &[('B', 1), ('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)]);
    number(digits)?.checked_mul(factor).ok_or_else(|| format!("invalid number: {text}"))
}

/// `90s`: in s, m, h or d.
fn span(text: &str) -> Result<i64, String> {
    let (digits, factor) = scaled(text, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]);
    let seconds = number(digits)?.checked_mul(factor).and_then(|s| i64::try_from(s).ok());
    seconds.filter(|s| *s < 1 << 40).ok_or_else(|| format!("invalid number: {text}"))
}

fn scaled<'a>(text: &'a str, units: &[(char, u64)]) -> (&'a str, u64) {
    let unit = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix([*unit, unit.to_ascii_lowercase()])?, *factor)));
    unit.unwrap_or((text, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Wanted, String> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags() {
        let wanted = parsed("--vm 1 --vm-bytes 150M --vm-hang 1 -t 90s").unwrap();
        assert_eq!((wanted.vm, wanted.vm_bytes, wanted.timeout), (1, 150 << 20, Some(Duration::from_secs(90))));
        assert_eq!(parsed("-c 2").map(|w| w.cpu), Ok(2));
        for (line, error) in [
            ("--io 1", "--io is not in this bottle"),
            ("--vm x", "invalid number: x"),
            ("--vm 1 --vm-bytes 99999999999999999999G", "invalid number: 99999999999999999999"),
            ("--cpu", "missing argument to option: --cpu"),
            ("", "nothing to do: give --cpu or --vm"),
        ] {
            assert_eq!(parsed(line).unwrap_err(), error);
        }
    }
}
