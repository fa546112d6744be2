//! `jq`: programs over JSON, as version 1.7 runs them.
//!
//! Read [`value`], then [`parse`] (text to a program, with [`lexer`] and [`ast`]), then [`eval`]; what is written in jq is in
//! `prelude.jq`, what is written in Rust in [`natives`]. Left out by name: modules, `--stream`, `--seq`, `-C` (colours), `?//`,
//! `input_line_number` of anything but the last value, SQL-style `INNER_JOIN`, `getpath` of more than 1000 keys, patterns with
//! Oniguruma's own syntax, and mathematics beyond `pow`, `sqrt` and rounding (logarithms differ between machines).

mod ast;
mod chain;
mod command;
mod dates;
mod eval;
mod format;
mod lexer;
mod memory;
mod natives;
mod number;
mod ops;
mod parse;
mod paths;
mod patterns;
mod printer;
mod reader;
mod strings;
mod value;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;

use base::Time;
use cri_api::{Errno, Fd, OpenFlags, Poll, Program, Sys, Text, WriteOut};

use super::{Make, STDIN};
use ast::Program as Compiled;
use command::Options;
use eval::{Event, Machine};
use natives::World;
use reader::Reader;
use value::Json;

pub(super) const TABLE: &[(&str, Make)] = &[("jq", || Box::new(Jq::default()))];

/// Steps of the evaluator in one poll, and how many of them are one step of the machine.
const STEPS: u32 = 4096;
const STEPS_PER_CHARGE: u32 = 8;
/// After so many allocated bytes the held ones are counted.
const COUNT_AFTER: usize = 2 << 20;

/// A jq process.
#[derive(Clone, Default)]
struct Jq {
    options: Option<Rc<Options>>,
    program: Option<Rc<Compiled>>,
    machine: Option<Machine>,
    input: Input,
    out: WriteOut,
    env: Json,
    /// The input that is being worked on, for `-n` the null.
    begun: bool,
    failed: bool,
    /// Bytes, when they were counted last.
    held: usize,
    /// For `-e`: whether the last output was true.
    last: Option<bool>,
    code: Option<i32>,
}

/// Where values come from.
#[derive(Clone, Default)]
struct Input {
    files: VecDeque<Text>,
    current: Option<(Fd, Text)>,
    reader: Reader,
    /// For `-R`: the text that isn't a whole line yet.
    raw: Vec<u8>,
    /// For `-s`: all of it so far.
    slurped: Option<value::Array>,
    slurped_text: Vec<u8>,
    name: Json,
    lines: usize,
    unreadable: bool,
    over: bool,
}

/// What there is to work on.
enum Next {
    Value(Json),
    Wait,
    End,
    /// The text isn't JSON.
    Broken(String),
}

impl Program for Jq {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(2),
            }
            if let Some(code) = self.code {
                return Poll::Exit(code);
            }
            let Some(options) = self.options.clone() else {
                self.start(sys);
                continue;
            };
            if self.machine.is_none() {
                match self.begin(sys, &options) {
                    true => continue,
                    false => return Poll::Pending,
                }
            }
            match self.step(sys, &options) {
                Some(poll) => return poll,
                None if sys.charged() > 512 => return Poll::Ready,
                None => {}
            }
        }
    }
}

impl Jq {
    fn start(&mut self, sys: &mut Sys<'_>) {
        let args: Vec<Text> = sys.argv().iter().skip(1).cloned().collect();
        let options = match command::parse(&args, sys) {
            Ok(options) => options,
            Err((code, text)) => {
                self.out.push(if code == 0 { 1 } else { 2 }, text.as_bytes());
                self.code = Some(code);
                return;
            }
        };
        sys.charge(20);
        let names: Vec<String> = options.variables.iter().map(|(name, _)| name.clone()).collect();
        match parse::compile(&options.program, &names) {
            Ok(program) => self.program = Some(Rc::new(program)),
            Err(text) => {
                self.out.push(2, text.as_bytes());
                self.code = Some(3);
                return;
            }
        }
        self.env = natives::environment(sys.env().iter().map(|(k, v)| (k.clone(), v.clone())));
        self.input.files = options.files.clone().into();
        if options.files.is_empty() {
            self.input.files.push_back("-".into());
        }
        if options.slurp && !options.raw_input {
            self.input.slurped = Some(value::Array::default());
        }
        self.options = Some(Rc::new(options));
    }

    /// Starts on the next input. False: it hasn't come yet.
    fn begin(&mut self, sys: &mut Sys<'_>, options: &Options) -> bool {
        let value = match options.null_input {
            true if self.begun => {
                self.finish(options);
                return true;
            }
            true => Json::Null,
            false => match self.input.next(sys, &mut self.out, options) {
                Next::Value(value) => value,
                Next::Wait => return false,
                Next::End => {
                    self.finish(options);
                    return true;
                }
                Next::Broken(message) => {
                    self.out.push(2, format!("jq: parse error: {message}\n").as_bytes());
                    self.code = Some(2);
                    return true;
                }
            },
        };
        self.begun = true;
        let values: Vec<Json> = options.variables.iter().map(|(_, value)| value.clone()).collect();
        let program = self.program.clone().expect("compiled at the start");
        self.machine = Some(Machine::new(program, value, &values));
        true
    }

    fn finish(&mut self, options: &Options) {
        let code = match self.last {
            _ if self.failed => 5,
            _ if self.input.unreadable => 2,
            _ if !options.exit_status => 0,
            Some(true) => 0,
            Some(false) => 1,
            None => 4,
        };
        self.code = Some(code);
    }

    /// Lets the evaluator go on. `Some`: the process has to wait, or to give way.
    fn step(&mut self, sys: &mut Sys<'_>, options: &Options) -> Option<Poll> {
        let machine = self.machine.as_mut()?;
        let mut steps = STEPS;
        let mut world = World {
            env: &self.env,
            now: seconds(sys.now()),
            messages: Vec::new(),
            line: self.input.lines,
            file: self.input.name.clone(),
            spent: 0,
        };
        let event = machine.run(&mut world, &mut steps);
        let messages = world.messages;
        sys.charge(1 + (STEPS - steps) / STEPS_PER_CHARGE);
        // The more is held, the rarer it is counted: counting walks all of it.
        if machine.allocated > COUNT_AFTER.max(self.held / 2) {
            machine.allocated = 0;
            self.held = machine.held() + self.input.held();
            sys.set_memory(self.held as u64);
        }
        self.out.push(2, &messages);
        match event {
            Event::Paused => return Some(Poll::Ready),
            Event::Done => self.machine = None,
            Event::Output(value) => {
                let before = self.out.len();
                self.output(&value, options);
                sys.charge((self.out.len() - before) as u32 / 128);
            }
            Event::Error(error) => {
                let text = self.error_text(&error);
                self.out.push(2, text.as_bytes());
                self.failed = true;
                self.machine = None;
            }
            Event::NeedsInput => return self.feed(sys, options),
            Event::Halt(code, value) => {
                match value {
                    Some(Json::String(text)) => self.out.push(2, text.as_bytes()),
                    Some(value) => self.out.push(2, (printer::compact(&value).unwrap_or_default() + "\n").as_bytes()),
                    None => {}
                }
                self.code = Some(code);
            }
            Event::OutOfMemory => {
                sys.set_memory(u64::MAX / 2);
                return Some(Poll::Ready);
            }
        }
        None
    }

    /// `input` wants a value.
    fn feed(&mut self, sys: &mut Sys<'_>, options: &Options) -> Option<Poll> {
        let next = self.input.next(sys, &mut self.out, options);
        let machine = self.machine.as_mut()?;
        match next {
            Next::Value(value) => machine.resume(Some(value)),
            Next::End => machine.resume(None),
            Next::Wait => return Some(Poll::Pending),
            Next::Broken(message) => {
                self.out.push(2, format!("jq: parse error: {message}\n").as_bytes());
                self.code = Some(2);
            }
        }
        None
    }

    fn output(&mut self, value: &Json, options: &Options) {
        self.last = Some(value.is_true());
        let end = match options.join {
            true => "",
            false if options.raw_nul => "\0",
            false => "\n",
        };
        match value {
            Json::String(text) if options.raw => self.out.push(1, format!("{text}{end}").as_bytes()),
            _ => {
                let text = printer::print(value, options.style).unwrap_or_else(|| "<skipped: too large>".into());
                self.out.push(1, (text + end).as_bytes());
            }
        }
    }

    fn error_text(&self, error: &Json) -> String {
        let place = match &self.input.name {
            Json::String(name) => format!("{name}:{}", self.input.lines),
            _ => "<unknown>".into(),
        };
        match error {
            Json::String(text) => format!("jq: error (at {place}): {text}\n"),
            other => {
                let text = printer::compact(other).unwrap_or_default();
                format!("jq: error (at {place}) (not a string): {text}\n")
            }
        }
    }
}

impl Input {
    fn held(&self) -> usize {
        let slurped = self.slurped.as_ref().map_or(0, |a| a.items().len() * 64);
        self.reader.held() + self.raw.len() + self.slurped_text.len() + slurped
    }

    /// The next value of the files, or of the one list or text that they are together.
    fn next(&mut self, sys: &mut Sys<'_>, out: &mut WriteOut, options: &Options) -> Next {
        loop {
            if self.over {
                return Next::End;
            }
            let Some(fd) = self.current.as_ref().map(|(fd, _)| *fd) else {
                if !self.open(sys, out) {
                    self.over = true;
                    return self.last(options);
                }
                continue;
            };
            if options.raw_input {
                if let Some(line) = self.line(options) {
                    return Next::Value(line);
                }
            } else {
                match self.reader.next_value() {
                    Ok(Some(value)) => {
                        self.lines = self.reader.lines();
                        match &mut self.slurped {
                            Some(all) => all.push(value),
                            None => return Next::Value(value),
                        }
                        continue;
                    }
                    Ok(None) => {}
                    Err(message) => return Next::Broken(message),
                }
            }
            match sys.read(fd, 65_536) {
                Ok(bytes) if bytes.is_empty() => match self.end_of_file(sys, options) {
                    Ok(Some(value)) => return Next::Value(value),
                    Ok(None) => {}
                    Err(message) => return Next::Broken(message),
                },
                Ok(bytes) => {
                    sys.charge(bytes.len() as u32 / 256);
                    self.take(&bytes, sys, options);
                }
                Err(Errno::EAGAIN) => return Next::Wait,
                Err(_) => {
                    self.unreadable = true;
                    self.current = None;
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8], sys: &mut Sys<'_>, options: &Options) {
        match (options.raw_input, options.slurp) {
            (true, true) => self.slurped_text.extend_from_slice(bytes),
            (true, false) => self.raw.extend_from_slice(bytes),
            _ => self.reader.feed(bytes),
        }
        if self.held() > 1 << 20 {
            sys.set_memory(self.held() as u64 * 2);
        }
    }

    /// A line of `-R`.
    fn line(&mut self, options: &Options) -> Option<Json> {
        if options.slurp {
            return None;
        }
        let end = self.raw.iter().position(|b| *b == b'\n')?;
        let line: Vec<u8> = self.raw.drain(..=end).collect();
        self.lines += 1;
        Some(Json::str(String::from_utf8_lossy(&line[..end])))
    }

    fn open(&mut self, sys: &mut Sys<'_>, out: &mut WriteOut) -> bool {
        while let Some(name) = self.files.pop_front() {
            let opened = if &*name == "-" { Ok(STDIN) } else { sys.open(&name, OpenFlags::READ, 0) };
            match opened {
                Ok(fd) => {
                    self.name = Json::str(if fd == STDIN { "<stdin>" } else { &name });
                    self.lines = 0;
                    self.current = Some((fd, name));
                    return true;
                }
                Err(error) => {
                    out.push(2, format!("jq: error: Could not open {name}: {error}\n").as_bytes());
                    self.unreadable = true;
                }
            }
        }
        false
    }

    /// Values go on over the ends of files, as if these were one text; at the very end what is left is looked at.
    fn end_of_file(&mut self, sys: &mut Sys<'_>, options: &Options) -> Result<Option<Json>, String> {
        if let Some((fd, _)) = self.current.take()
            && fd != STDIN
        {
            let _ = sys.close(fd);
        }
        if !self.files.is_empty() {
            return Ok(None);
        }
        if options.raw_input && !options.slurp && !self.raw.is_empty() {
            let rest = std::mem::take(&mut self.raw);
            return Ok(Some(Json::str(String::from_utf8_lossy(&rest))));
        }
        let value = self.reader.finish()?;
        self.lines = self.reader.lines();
        match (value, &mut self.slurped) {
            (Some(value), Some(all)) => {
                all.push(value);
                Ok(None)
            }
            (value, _) => Ok(value),
        }
    }

    /// After the last file: what `-s` gathered.
    fn last(&mut self, options: &Options) -> Next {
        if options.raw_input && options.slurp {
            return Next::Value(Json::str(String::from_utf8_lossy(&std::mem::take(&mut self.slurped_text))));
        }
        match self.slurped.take() {
            Some(all) => Next::Value(Json::Array(Rc::new(all))),
            None => Next::End,
        }
    }
}

fn seconds(now: Time) -> f64 {
    now.0 as f64 / 1_000_000.0
}
