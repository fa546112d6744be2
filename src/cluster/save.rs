//! A moment as bytes: which cluster it was, what was done to it, and how far it had come. The same release replays the inputs to
//! the same state, message by message; nothing else is needed. Another release gives the inputs at their times, or begins with a
//! [`Backup`], if there is one in it.
//!
//! The bytes: `KB`, a format number, four bytes of hash over the rest, and the rest is a packed tree (`pack.rs`). They come from
//! links and files of anybody: every number in them is looked at before it is used.

use std::rc::Rc;

use apimachinery::{Value, value};
use base::{Duration, Time, hash64};
use cri_api::host::HostMessage;

use crate::backup::Backup;
use crate::bottle::{Bottle, Input, LoggedInput};
use crate::config::Config;
use crate::pack;

type Text = Rc<str>;

/// Guards against bytes of another form.
const FORMAT: u8 = 2;
const HEAD: usize = 7;
/// Larger ones are refused.
pub const MAX_BYTES: usize = 64 << 20;
const MAX_INPUTS: usize = 200_000;
/// More than a cluster handles in weeks at full speed.
const MAX_EVENTS: i64 = 1 << 40;
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Recipe {
    Named(Text),
    Yaml(Text),
}

impl Recipe {
    /// # Errors
    /// One sentence.
    pub fn config(&self) -> Result<Config, String> {
        match self {
            Recipe::Named(name) => Config::named(name).ok_or_else(|| format!("there is no configuration named {name:?}")),
            Recipe::Yaml(text) => Config::from_yaml(text),
        }
    }
}

/// A moment of a cluster, and the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Of the site that made it; empty: unknown.
    pub release: Text,
    pub recipe: Recipe,
    pub seed: u64,
    pub epoch: Time,
    /// What the cluster itself began with.
    pub origin: Option<Rc<Backup>>,
    pub inputs: Vec<LoggedInput>,
    /// Messages handled by then.
    pub events: u64,
    pub at: Time,
    pub digest: u64,
    /// The moment for other releases.
    pub backup: Option<Backup>,
}

/// Why bytes are no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMoment {
    /// Not made by Kubottle at all.
    Foreign,
    /// Of a format that this release doesn't know: the number.
    Format(u8),
    /// Cut off or changed on its way.
    Damaged,
    TooLarge,
    /// Whole, but it says what can't be.
    Senseless,
}

impl std::fmt::Display for NoMoment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoMoment::Foreign => f.write_str("this is not a cluster of Kubottle"),
            NoMoment::Format(n) => {
                write!(f, "it has the format {n}, and this release reads {FORMAT}: open it with the release that made it")
            }
            NoMoment::Damaged => f.write_str("it was cut off or changed on its way: its checksum is another one"),
            NoMoment::TooLarge => write!(f, "it is larger than {} MiB", MAX_BYTES >> 20),
            NoMoment::Senseless => f.write_str("what it says makes no sense to this release"),
        }
    }
}

impl Moment {
    /// The moment shown.
    pub fn of(bottle: &Bottle, recipe: Recipe, release: &str) -> Moment {
        let shown = bottle.shown();
        Moment {
            release: release.into(),
            recipe,
            seed: shown.config.seed,
            epoch: shown.config.epoch,
            origin: shown.config.backup.clone(),
            inputs: bottle.log_of_shown(),
            events: shown.events,
            at: shown.now(),
            digest: shown.digest(),
            backup: None,
        }
    }

    /// The newest moment of the current branch.
    pub fn of_head(bottle: &Bottle, recipe: Recipe) -> Moment {
        let head = bottle.head();
        let (inputs, events, at, digest) = (bottle.log().to_vec(), head.events, head.now(), head.digest());
        let (seed, epoch, origin) = (head.config.seed, head.config.epoch, head.config.backup.clone());
        Moment { release: "".into(), recipe, seed, epoch, origin, inputs, events, at, digest, backup: None }
    }

    /// With what another release needs.
    pub fn with_backup(self, bottle: &Bottle) -> Moment {
        Moment { backup: Backup::of(bottle.shown()), ..self }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let body = pack::pack(&self.to_value());
        let mut bytes = vec![b'K', b'B', FORMAT];
        bytes.extend((hash64(&body) as u32).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Moment, NoMoment> {
        if bytes.len() > MAX_BYTES {
            return Err(NoMoment::TooLarge);
        }
        match bytes {
            [b'K', b'B', FORMAT, ..] => {}
            [b'K', b'B', format, ..] => return Err(NoMoment::Format(*format)),
            [b'K', b'B'] | [b'K'] | [] => return Err(NoMoment::Damaged),
            _ => return Err(NoMoment::Foreign),
        }
        let (head, body) = bytes.split_at_checked(HEAD).ok_or(NoMoment::Damaged)?;
        if head[3..] != (hash64(body) as u32).to_le_bytes() {
            return Err(NoMoment::Damaged);
        }
        pack::unpack(body).and_then(|v| Moment::from_value(&v)).ok_or(NoMoment::Senseless)
    }

    fn to_value(&self) -> Value {
        // Columns: times and counts as steps, so that most of them are small numbers.
        let (mut at, mut events) = (self.epoch.0, 0);
        let (mut ats, mut counts, mut what) = (Vec::new(), Vec::new(), Vec::new());
        for logged in &self.inputs {
            let Some(value) = to_value(&logged.input) else { continue };
            ats.push(Value::Int(logged.at.0.wrapping_sub(at)));
            counts.push(Value::Int((logged.events as i64).wrapping_sub(events)));
            what.push(value);
            (at, events) = (logged.at.0, logged.events as i64);
        }
        let (yaml, recipe) = match &self.recipe {
            Recipe::Named(name) => (false, name),
            Recipe::Yaml(text) => (true, text),
        };
        let mut v = value!({
            "r": (&self.release), "c": recipe, "yaml": yaml, "seed": (self.seed as i64), "epoch": (self.epoch.0), "at": (self.at.0.wrapping_sub(at)),
            "n": ((self.events as i64).wrapping_sub(events)), "hash": (self.digest as i64), "ats": ats, "ns": counts, "in": what
        });
        if let Some(origin) = &self.origin {
            v.set_at(&["origin"], origin.to_value());
        }
        if let Some(backup) = &self.backup {
            v.set_at(&["backup"], backup.to_value());
        }
        v
    }

    fn from_value(v: &Value) -> Option<Moment> {
        let epoch = Time(v.int_at(&["epoch"])?);
        (Time::EPOCH..Time::from_civil(2500, 1, 1, 0, 0, 0)).contains(&epoch).then_some(())?;
        let (ats, counts, what) = (v.list_at(&["ats"]), v.list_at(&["ns"]), v.list_at(&["in"]));
        (ats.len() == what.len() && counts.len() == what.len() && what.len() <= MAX_INPUTS).then_some(())?;
        let (mut at, mut events) = (epoch, 0_i64);
        let mut go_on = |by: &Value, n: &Value| {
            let (by, n) = (by.as_i64()?, n.as_i64()?);
            (at, events) = (Time(at.0.checked_add(by)?), events.checked_add(n)?);
            (by >= 0 && n >= 0 && at.since(epoch) <= LONGEST && events <= MAX_EVENTS).then_some((at, events as u64))
        };
        let mut inputs = Vec::with_capacity(what.len());
        for ((by, n), value) in ats.iter().zip(counts).zip(what) {
            let (at, events) = go_on(by, n)?;
            inputs.push(LoggedInput { at, events, input: from_value(value)? });
        }
        let (at, events) = go_on(v.get("at")?, v.get("n")?)?;
        let text = v.at(&["c"])?.as_rc_str()?.clone();
        let backup = |name: &str| match v.get(name) {
            None => Some(None),
            Some(value) => Backup::from_value(value).map(Some),
        };
        Some(Moment {
            release: v.at(&["r"])?.as_rc_str()?.clone(),
            recipe: if v.bool_at(&["yaml"])? { Recipe::Yaml(text) } else { Recipe::Named(text) },
            seed: v.int_at(&["seed"])? as u64,
            epoch,
            origin: backup("origin")?.map(Rc::new),
            inputs,
            events,
            at,
            digest: v.int_at(&["hash"])? as u64,
            backup: backup("backup")?,
        })
    }

    /// The configuration of the cluster as it was switched on.
    ///
    /// # Errors
    /// One sentence.
    pub fn config(&self) -> Result<Config, String> {
        let config = Config { seed: self.seed, epoch: self.epoch, ..self.recipe.config()? };
        Ok(match &self.origin {
            Some(origin) => config.beginning_with(origin.clone()),
            None => config,
        })
    }

    /// The configuration of a cluster that begins with the backup. `None`: there is no backup in it.
    ///
    /// # Errors
    /// One sentence.
    pub fn config_of_backup(&self) -> Result<Option<Config>, String> {
        let Some(backup) = &self.backup else { return Ok(None) };
        // With another seed: no name and no UID may come twice.
        let seed = base::mix64(self.seed ^ self.at.0 as u64);
        let config = Config { seed, epoch: self.at, ..self.recipe.config()? };
        Ok(Some(config.beginning_with(Rc::new(backup.clone()))))
    }
}

impl Bottle {
    /// The head of the current branch, as bytes.
    pub fn save(&self) -> Vec<u8> {
        Moment::of_head(self, Recipe::Named(self.head().config.name.clone())).to_bytes()
    }

    /// Replays saved inputs on a fresh bottle of the same configuration. False: the bytes make no sense, and nothing has happened.
    pub fn restore(&mut self, saved: &[u8]) -> bool {
        let Ok(moment) = Moment::from_bytes(saved) else { return false };
        crate::replay::Replay::new(moment, true).run(self, u64::MAX);
        true
    }
}

fn to_value(input: &Input) -> Option<Value> {
    let (kind, a, b) = match input {
        Input::Laptop(m) => ("laptop", message_to_value(m)?, Value::Null),
        Input::Aside(m) => ("aside", message_to_value(m)?, Value::Null),
        Input::Machine(node, m) => ("machine", message_to_value(m)?, node.into()),
        Input::PowerOff(n) => ("powerOff", n.into(), Value::Null),
        Input::PowerOn(n) => ("powerOn", n.into(), Value::Null),
        Input::Freeze(n) => ("freeze", n.into(), Value::Null),
        Input::Thaw(n) => ("thaw", n.into(), Value::Null),
        Input::Kill(n) => ("kill", n.into(), Value::Null),
        Input::Cut(a, b) => ("cut", a.into(), b.into()),
        Input::Mend(a, b) => ("mend", a.into(), b.into()),
        Input::Slow(a, b, ms) => ("slow", value!({"from": a, "ms": (i64::from(*ms))}), b.into()),
        Input::HoldLoop(n) => ("holdLoop", n.into(), Value::Null),
        Input::ReleaseLoop(n) => ("releaseLoop", n.into(), Value::Null),
        Input::StepLoop(n) => ("stepLoop", n.into(), Value::Null),
        Input::AddNode => ("addNode", Value::Null, Value::Null),
        Input::AddMachine => ("addMachine", Value::Null, Value::Null),
    };
    let mut v = value!({"k": kind});
    for (name, value) in [("a", a), ("b", b)] {
        if !value.is_null() {
            v.set_at(&[name], value);
        }
    }
    Some(v)
}

fn from_value(v: &Value) -> Option<Input> {
    let text = |name: &str| v.str_at(&[name]).map(Rc::<str>::from);
    let message = || v.get("a").and_then(message_from_value).map(Rc::new);
    Some(match v.str_at(&["k"])? {
        "laptop" => Input::Laptop(message()?),
        "aside" => Input::Aside(message()?),
        "machine" => Input::Machine(text("b")?, message()?),
        "powerOff" => Input::PowerOff(text("a")?),
        "powerOn" => Input::PowerOn(text("a")?),
        "freeze" => Input::Freeze(text("a")?),
        "thaw" => Input::Thaw(text("a")?),
        "kill" => Input::Kill(text("a")?),
        "cut" => Input::Cut(text("a")?, text("b")?),
        "mend" => Input::Mend(text("a")?, text("b")?),
        "slow" => {
            let ms = u32::try_from(v.int_at(&["a", "ms"])?).ok()?;
            Input::Slow(v.str_at(&["a", "from"])?.into(), text("b")?, ms)
        }
        "holdLoop" => Input::HoldLoop(text("a")?),
        "releaseLoop" => Input::ReleaseLoop(text("a")?),
        "stepLoop" => Input::StepLoop(text("a")?),
        "addNode" => Input::AddNode,
        "addMachine" => Input::AddMachine,
        _ => return None,
    })
}

/// Bytes as text where they are, else as a list of numbers.
pub(crate) fn bytes(data: &[u8]) -> Value {
    match std::str::from_utf8(data) {
        Ok(text) => text.into(),
        Err(_) => data.iter().map(|b| Value::Int((*b).into())).collect::<Vec<_>>().into(),
    }
}

pub(crate) fn from_bytes(v: &Value) -> Rc<[u8]> {
    match v.as_str() {
        Some(text) => text.as_bytes().into(),
        None => v.items().iter().filter_map(|b| u8::try_from(b.as_i64()?).ok()).collect(),
    }
}

fn message_to_value(message: &HostMessage) -> Option<Value> {
    let n = |n: &u32| Value::Int((*n).into());
    Some(match message {
        HostMessage::TtyInput { tab, data } => value!({"m": "input", "tab": (n(tab)), "data": (bytes(data))}),
        HostMessage::TtyOpen { tab, cols, rows } => value!({"m": "open", "tab": (n(tab)), "cols": (*cols), "rows": (*rows)}),
        HostMessage::TtyResize { tab, cols, rows } => value!({"m": "resize", "tab": (n(tab)), "cols": (*cols), "rows": (*rows)}),
        HostMessage::TtyClose { tab } => value!({"m": "close", "tab": (n(tab))}),
        HostMessage::BufferClosed { buffer, saved } => {
            value!({"m": "buffer", "buffer": (n(buffer)), "saved": (saved.as_ref().map_or(Value::Null, Value::from))})
        }
        HostMessage::RunJob { job, argv, stdin } => {
            let argv: Vec<Value> = argv.iter().map(Value::from).collect();
            value!({"m": "job", "job": (n(job)), "argv": argv, "stdin": (bytes(stdin))})
        }
        HostMessage::WriteFile { path, data } => value!({"m": "file", "path": path, "data": (bytes(data))}),
        _ => return None,
    })
}

fn message_from_value(v: &Value) -> Option<HostMessage> {
    let n = |name: &str| v.int_at(&[name]).and_then(|n| u32::try_from(n).ok());
    let size = |name: &str| v.int_at(&[name]).and_then(|n| u16::try_from(n).ok()).map(|n| n.clamp(1, 1_000));
    Some(match v.str_at(&["m"])? {
        "input" => HostMessage::TtyInput { tab: n("tab")?, data: from_bytes(v.get("data")?) },
        "open" => HostMessage::TtyOpen { tab: n("tab")?, cols: size("cols")?, rows: size("rows")? },
        "resize" => HostMessage::TtyResize { tab: n("tab")?, cols: size("cols")?, rows: size("rows")? },
        "close" => HostMessage::TtyClose { tab: n("tab")? },
        "buffer" => HostMessage::BufferClosed { buffer: n("buffer")?, saved: v.str_at(&["saved"]).map(Into::into) },
        "job" => {
            let argv: Vec<Text> = v.list_at(&["argv"]).iter().filter_map(|a| a.as_rc_str().cloned()).collect();
            if argv.is_empty() {
                return None;
            }
            HostMessage::RunJob { job: n("job")?, argv, stdin: from_bytes(v.get("stdin")?) }
        }
        "file" => HostMessage::WriteFile { path: v.str_at(&["path"])?.into(), data: from_bytes(v.get("data")?) },
        _ => return None,
    })
}
