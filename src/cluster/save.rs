//! A bottle as bytes: the inputs of its current branch. The same build replays them to the same state; nothing else is needed.

use std::rc::Rc;

use apimachinery::{Value, json, value};
use base::Time;
use cri_api::host::HostMessage;

use crate::bottle::{Bottle, Input, LoggedInput};

/// Guards against logs of another form.
const FORMAT: i64 = 1;

/// Seed and epoch of the cluster that was saved: the replay must begin with the same.
pub fn saved_origin(saved: &[u8]) -> Option<(u64, Time)> {
    let saved = json::parse(saved).ok()?;
    Some((saved.int_at(&["seed"])? as u64, Time(saved.int_at(&["epoch"])?)))
}

impl Bottle {
    /// The inputs so far, as JSON.
    pub fn save(&self) -> Vec<u8> {
        let inputs: Vec<Value> = self.log().iter().filter_map(to_value).collect();
        let head = self.head();
        let (seed, epoch) = (head.config.seed as i64, head.config.epoch.0);
        let saved = value!({"format": FORMAT, "seed": seed, "epoch": epoch, "events": (head.events as i64), "at": (head.now().0), "inputs": inputs});
        json::to_string(&saved).into_bytes()
    }

    /// Replays saved inputs on a fresh bottle. False: the bytes make no sense, and nothing has happened.
    pub fn restore(&mut self, saved: &[u8]) -> bool {
        let Ok(saved) = json::parse(saved) else { return false };
        if saved.int_at(&["format"]) != Some(FORMAT) {
            return false;
        }
        let inputs: Option<Vec<LoggedInput>> = saved.list_at(&["inputs"]).iter().map(from_value).collect();
        let (Some(inputs), Some(events), Some(at)) = (inputs, saved.int_at(&["events"]), saved.int_at(&["at"])) else {
            return false;
        };
        for logged in inputs {
            while self.head().events < logged.events && self.step() {}
            self.head_mut().queue.advance_to(logged.at);
            self.input(logged.input);
        }
        while self.head().events < events as u64 && self.step() {}
        self.head_mut().queue.advance_to(Time(at));
        true
    }
}

fn to_value(logged: &LoggedInput) -> Option<Value> {
    let (kind, a, b) = match &logged.input {
        Input::Laptop(m) => ("laptop", message_to_value(m)?, Value::Null),
        Input::Machine(node, m) => ("machine", message_to_value(m)?, node.into()),
        Input::PowerOff(n) => ("powerOff", n.into(), Value::Null),
        Input::PowerOn(n) => ("powerOn", n.into(), Value::Null),
        Input::Freeze(n) => ("freeze", n.into(), Value::Null),
        Input::Thaw(n) => ("thaw", n.into(), Value::Null),
        Input::Kill(n) => ("kill", n.into(), Value::Null),
        Input::Cut(a, b) => ("cut", a.into(), b.into()),
        Input::Mend(a, b) => ("mend", a.into(), b.into()),
        Input::Slow(a, b, ms) => ("slow", value!({"from": a, "ms": (i64::from(*ms))}), b.into()),
        Input::AddNode => ("addNode", Value::Null, Value::Null),
    };
    Some(value!({"at": (logged.at.0), "events": (logged.events as i64), "kind": kind, "a": a, "b": b}))
}

fn from_value(v: &Value) -> Option<LoggedInput> {
    let text = |name: &str| v.str_at(&[name]).map(Rc::<str>::from);
    let input = match v.str_at(&["kind"])? {
        "laptop" => Input::Laptop(Rc::new(message_from_value(v.get("a")?)?)),
        "machine" => Input::Machine(text("b")?, Rc::new(message_from_value(v.get("a")?)?)),
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
        "addNode" => Input::AddNode,
        _ => return None,
    };
    Some(LoggedInput { at: Time(v.int_at(&["at"])?), events: v.int_at(&["events"])? as u64, input })
}

/// Bytes as text where they are, else as a list of numbers.
fn bytes(data: &[u8]) -> Value {
    match std::str::from_utf8(data) {
        Ok(text) => text.into(),
        Err(_) => data.iter().map(|b| Value::Int((*b).into())).collect::<Vec<_>>().into(),
    }
}

fn from_bytes(v: &Value) -> Rc<[u8]> {
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
    let size = |name: &str| v.int_at(&[name]).and_then(|n| u16::try_from(n).ok());
    Some(match v.str_at(&["m"])? {
        "input" => HostMessage::TtyInput { tab: n("tab")?, data: from_bytes(v.get("data")?) },
        "open" => HostMessage::TtyOpen { tab: n("tab")?, cols: size("cols")?, rows: size("rows")? },
        "resize" => HostMessage::TtyResize { tab: n("tab")?, cols: size("cols")?, rows: size("rows")? },
        "close" => HostMessage::TtyClose { tab: n("tab")? },
        "buffer" => HostMessage::BufferClosed { buffer: n("buffer")?, saved: v.str_at(&["saved"]).map(Into::into) },
        "job" => {
            let argv = v.list_at(&["argv"]).iter().filter_map(|a| a.as_rc_str().cloned()).collect();
            HostMessage::RunJob { job: n("job")?, argv, stdin: from_bytes(v.get("stdin")?) }
        }
        "file" => HostMessage::WriteFile { path: v.str_at(&["path"])?.into(), data: from_bytes(v.get("data")?) },
        _ => return None,
    })
}
