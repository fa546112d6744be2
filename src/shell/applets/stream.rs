//! Programs that stream: `tail` (with `-f`), `tee`, `yes`, `seq`, `dd`.

mod tail;

use std::collections::VecDeque;

use cri_api::{Errno, Fd, OpenFlags, Poll, Program, Sys, Text, WriteOut};

use super::{Io, Make, Options, STDIN, finish};
use tail::Tail;

pub(super) const TABLE: &[(&str, Make)] = &[
    ("tail", || Box::new(Tail::default())),
    ("tee", || Box::new(Tee::default())),
    ("yes", || Box::new(Yes::default())),
    ("seq", || Box::new(Seq::default())),
    ("dd", || Box::new(Dd::default())),
];

fn parse(sys: &mut Sys<'_>, out: &mut WriteOut, args: Vec<Text>, spec: &str, long: &[(&str, char)]) -> Result<Options, i32> {
    let argv = sys.argv();
    Options::parse(&args, spec, long).map_err(|message| {
        Io { sys, out, argv }.error(message);
        1
    })
}

/// `tee`.
#[derive(Clone, Default)]
struct Tee {
    started: bool,
    files: Vec<Fd>,
    out: WriteOut,
    failed: bool,
    ended: bool,
}

impl Program for Tee {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            let args = sys.argv()[1..].to_vec();
            let options = match parse(sys, &mut self.out, args, "ai", &[("append", 'a')]) {
                Ok(options) => options,
                Err(code) => return finish(&mut self.out, sys, code),
            };
            for path in &options.operands {
                let flags = if options.has('a') { OpenFlags::APPEND } else { OpenFlags::WRITE };
                match sys.open(path, flags, 0o666) {
                    Ok(fd) => self.files.push(fd),
                    Err(error) => {
                        self.out.push(2, format!("tee: {path}: {error}\n").as_bytes());
                        self.failed = true;
                    }
                }
            }
        }
        loop {
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if self.ended {
                return Poll::Exit(self.failed as i32);
            }
            match sys.read(STDIN, 65_536) {
                Ok(bytes) if bytes.is_empty() => self.ended = true,
                Ok(bytes) => {
                    self.out.push(1, &bytes);
                    for fd in self.files.clone() {
                        self.out.push(fd, &bytes);
                    }
                }
                Err(Errno::EAGAIN) => return Poll::Pending,
                Err(_) => self.ended = true,
            }
        }
    }
}

/// `yes`.
#[derive(Clone, Default)]
struct Yes {
    out: WriteOut,
}

impl Program for Yes {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if self.out.is_empty() {
            let argv = sys.argv();
            let line = if argv.len() > 1 { argv[1..].join(" ") } else { "y".to_string() } + "\n";
            self.out.push(1, line.repeat((4096 / line.len()).max(1)).as_bytes());
        }
        match self.out.flush(sys) {
            Ok(true) => Poll::Ready,
            Ok(false) => Poll::Pending,
            Err(_) => Poll::Exit(1),
        }
    }
}

/// `seq`: numbers are integers, or decimals by their digits.
#[derive(Clone, Default)]
struct Seq {
    started: bool,
    next: i128,
    last: i128,
    step: i128,
    /// Digits behind the point.
    scale: u32,
    width: usize,
    separator: Text,
    first: bool,
    done: bool,
    out: WriteOut,
}

fn decimal(text: &str, scale: u32) -> Option<i128> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? as i128 };
    let fraction: i128 = format!("{fraction:0<width$}", width = scale as usize).parse::<u64>().unwrap_or(0) as i128;
    let value = whole * 10i128.pow(scale) + if scale > 0 { fraction } else { 0 };
    Some(if negative { -value } else { value })
}

impl Seq {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), i32> {
        (self.started, self.first) = (true, true);
        let mut args: VecDeque<Text> = sys.argv()[1..].iter().cloned().collect();
        self.separator = "\n".into();
        let mut pad = false;
        while let Some(arg) =
            args.front().cloned().filter(|a| a.starts_with('-') && !a[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        {
            args.pop_front();
            match &*arg {
                "-w" => pad = true,
                "-s" => self.separator = args.pop_front().unwrap_or_default(),
                attached if attached.starts_with("-s") => self.separator = attached[2..].into(),
                _ => {
                    self.out.push(2, format!("seq: invalid option -- '{}'\n", &arg[1..]).as_bytes());
                    return Err(1);
                }
            }
        }
        let texts: Vec<Text> = args.into_iter().collect();
        let (first, step, last) = match texts.as_slice() {
            [last] => ("1", "1", &**last),
            [first, last] => (&**first, "1", &**last),
            [first, step, last] => (&**first, &**step, &**last),
            _ => {
                self.out.push(2, b"seq: missing operand\n");
                return Err(1);
            }
        };
        self.scale = [first, step].iter().map(|t| t.split_once('.').map_or(0, |(_, f)| f.len() as u32)).max().unwrap_or(0);
        for (text, place) in [(first, 0), (step, 1), (last, 2)] {
            let Some(value) = decimal(text, self.scale.min(9)) else {
                self.out.push(2, format!("seq: invalid number '{text}'\n").as_bytes());
                return Err(1);
            };
            *[&mut self.next, &mut self.step, &mut self.last][place] = value;
        }
        if self.step == 0 {
            self.out.push(2, b"seq: invalid increment '0'\n");
            return Err(1);
        }
        if pad {
            self.width = self.text(self.next).len().max(self.text(self.last).len());
        }
        Ok(())
    }

    fn text(&self, value: i128) -> String {
        let unit = 10i128.pow(self.scale);
        let sign = if value < 0 { "-" } else { "" };
        let value = value.abs();
        match self.scale {
            0 => format!("{sign}{value}"),
            scale => format!("{sign}{}.{:0width$}", value / unit, value % unit, width = scale as usize),
        }
    }
}

impl Program for Seq {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(code) = self.start(sys)
        {
            return finish(&mut self.out, sys, code);
        }
        loop {
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if self.done {
                return Poll::Exit(0);
            }
            let mut text = String::new();
            while text.len() < 4096 {
                if (self.step > 0 && self.next > self.last) || (self.step < 0 && self.next < self.last) {
                    if !self.first {
                        text.push('\n');
                    }
                    self.done = true;
                    break;
                }
                if !std::mem::take(&mut self.first) {
                    text.push_str(&self.separator);
                }
                text.push_str(&format!("{:0>width$}", self.text(self.next), width = self.width));
                self.next += self.step;
            }
            self.out.push(1, text.as_bytes());
            sys.charge(8);
        }
    }
}

/// `dd`, with `if of bs count skip seek conv=notrunc status`.
#[derive(Clone, Default)]
struct Dd {
    started: bool,
    input: Fd,
    output: Fd,
    name: Text,
    block: usize,
    count: Option<u64>,
    quiet: bool,
    /// The block being filled or written.
    data: Vec<u8>,
    written: usize,
    writing: bool,
    full: [u64; 2],
    partial: [u64; 2],
    bytes: u64,
    ended: bool,
    code: i32,
    out: WriteOut,
}

impl Dd {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        self.started = true;
        (self.block, self.output) = (512, 1);
        let (mut skip, mut seek, mut keep) = (0, 0, false);
        let (mut from, mut to) = (None, None);
        for arg in sys.argv().iter().skip(1) {
            let (name, value) = arg.split_once('=').ok_or_else(|| format!("unknown operand '{arg}'"))?;
            let number = || crate::text::parse_size(value).ok_or_else(|| format!("invalid number '{value}'"));
            match name {
                "if" => from = Some(value.to_string()),
                "of" => to = Some(value.to_string()),
                "bs" | "ibs" | "obs" => self.block = number()?.clamp(1, 64 << 20) as usize,
                "count" => self.count = Some(number()?),
                "skip" => skip = number()?,
                "seek" => seek = number()?,
                "conv" => keep = value.split(',').any(|c| c == "notrunc"),
                "status" => self.quiet = matches!(value, "none" | "noxfer"),
                "iflag" | "oflag" => {}
                _ => return Err(format!("unknown operand '{arg}'")),
            }
        }
        if let Some(path) = from {
            self.input = sys.open(&path, OpenFlags::READ, 0).map_err(|e| format!("can't open '{path}': {e}"))?;
        }
        if let Some(path) = to {
            let flags = OpenFlags { truncate: !keep && seek == 0, ..OpenFlags::WRITE };
            self.output = sys.open(&path, flags, 0o666).map_err(|e| format!("can't open '{path}': {e}"))?;
            self.name = path.into();
        } else {
            self.name = "standard output".into();
        }
        let _ = sys.seek(self.input, skip * self.block as u64);
        if seek > 0 {
            let _ = sys.seek(self.output, seek * self.block as u64);
        }
        Ok(())
    }

    fn report(&mut self) {
        self.ended = true;
        if self.quiet {
            return;
        }
        let [full_in, full_out] = self.full;
        let [part_in, part_out] = self.partial;
        let mut text = format!("{full_in}+{part_in} records in\n{full_out}+{part_out} records out\n");
        if self.code == 0 {
            text += &format!("{} bytes ({}B) copied, 0.000000 seconds, inf B/s\n", self.bytes, super::ls::human(self.bytes));
        }
        self.out.push(2, text.as_bytes());
    }

    /// Reads towards a whole block. `None`: go on.
    fn fill(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        if self.count.is_some_and(|n| self.full[0] + self.partial[0] >= n) {
            self.report();
            return None;
        }
        match sys.read(self.input, self.block - self.data.len()) {
            Ok(bytes) => {
                let ended = bytes.is_empty();
                self.data.extend(bytes);
                let whole = self.data.len() == self.block;
                // A pipe's short read is a short block; devices and files fill theirs.
                let short = ended || sys.fstat(self.input).is_ok_and(|s| s.kind == 'p' || s.kind == 's');
                if self.data.is_empty() && ended {
                    self.report();
                } else if whole || short {
                    if whole {
                        self.full[0] += 1
                    } else {
                        self.partial[0] += 1
                    }
                    self.writing = true;
                }
                None
            }
            Err(Errno::EAGAIN) => Some(Poll::Pending),
            Err(error) => {
                self.out.push(2, format!("dd: read error: {error}\n").as_bytes());
                self.code = 1;
                self.report();
                None
            }
        }
    }

    fn drain(&mut self, sys: &mut Sys<'_>) -> Option<Poll> {
        match sys.write(self.output, &self.data[self.written..]) {
            Ok(n) => {
                self.written += n;
                self.bytes += n as u64;
                if self.written == self.data.len() {
                    if self.data.len() == self.block {
                        self.full[1] += 1
                    } else {
                        self.partial[1] += 1
                    }
                    self.data.clear();
                    (self.written, self.writing) = (0, false);
                }
                None
            }
            Err(Errno::EAGAIN) => Some(Poll::Pending),
            Err(error) => {
                let text = format!("dd: error writing '{}': {error}\n", self.name);
                self.out.push(2, text.as_bytes());
                self.code = 1;
                self.report();
                None
            }
        }
    }
}

impl Program for Dd {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("dd: {message}\n").as_bytes());
            (self.ended, self.code) = (true, 1);
        }
        for _ in 0..64 {
            if self.ended {
                return finish(&mut self.out, sys, self.code);
            }
            let waits = if self.writing { self.drain(sys) } else { self.fill(sys) };
            sys.charge(4);
            if let Some(poll) = waits {
                return poll;
            }
        }
        Poll::Ready
    }
}
