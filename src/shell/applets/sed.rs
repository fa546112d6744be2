//! `sed`: the commands `s y p d q Q n N D P h H g G x a i c = l { } b t :`; addresses by number, `$`, regex, step,
//! ranges and `!`; options `-n -e -f -i -E -r -s`. Left out by name: `w` and `r` (refused when the script is read).

mod script;

use std::collections::VecDeque;
use std::rc::Rc;

use cri_api::{Errno, Text};
use regex_lite::Regex;

use super::filter::{Filter, FilterProgram, Next};
use super::{Io, Make};
use script::Reader;

pub(super) const TABLE: &[(&str, Make)] = &[("sed", FilterProgram::<Sed>::boxed)];

enum Address {
    Line(u64),
    Last,
    Regex(Regex),
    Step(u64, u64),
    /// `,+N`
    More(u64),
}

struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    what: What,
}

enum What {
    Substitute {
        regex: Regex,
        with: Vec<Piece>,
        global: bool,
        nth: usize,
        print: bool,
    },
    Translate(Vec<(char, char)>),
    Text(char, String),
    /// Where its block ends.
    Block(usize),
    /// `b`, `t`: where to go; past the end for none.
    Jump {
        when_changed: bool,
        label: String,
    },
    Label,
    Quit {
        print: bool,
        code: i32,
    },
    Plain(char),
}

enum Piece {
    Text(String),
    Group(usize),
    /// `\U`, `\L`, `\u`, `\l`, `\E`
    Case(char),
}

#[derive(Clone)]
struct Sed {
    script: Rc<Vec<Command>>,
    labels: Rc<Vec<(String, usize)>>,
    quiet: bool,
    in_place: bool,
    separate: bool,
    line: u64,
    /// Which ranges are open, and until which line for `+N`.
    open: Vec<Option<u64>>,
    hold: String,
    pattern: String,
    /// A line that waits to know if it is the last; the lines `N` asks for wait too.
    waiting: VecDeque<(String, bool)>,
    /// Left by `N` at the end of input so far: the command to go on with.
    resume: Option<usize>,
    append: Vec<String>,
    target: Option<String>,
    edited: Vec<u8>,
    quit: Option<i32>,
}

type Result<T> = std::result::Result<T, String>;

/// Replaces in `text`; `None` if nothing matched.
fn substitute(text: &str, regex: &Regex, with: &[Piece], global: bool, nth: usize) -> Option<String> {
    let mut out = String::new();
    let mut at = 0;
    let mut changed = false;
    for (i, found) in regex.captures_iter(text).enumerate() {
        let whole = found.get(0)?;
        if i + 1 < nth {
            continue;
        }
        out.push_str(&text[at..whole.start()]);
        at = whole.end();
        changed = true;
        let (mut case, mut once) = (' ', ' ');
        for piece in with {
            let part = match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Group(n) => found.get(*n).map_or("", |m| m.as_str()),
                Piece::Case(c @ ('u' | 'l')) => {
                    once = *c;
                    continue;
                }
                Piece::Case(c) => {
                    case = *c;
                    continue;
                }
            };
            let mut part = match case {
                'U' => part.to_uppercase(),
                'L' => part.to_lowercase(),
                _ => part.to_string(),
            };
            if once != ' '
                && let Some(first) = part.chars().next()
            {
                let head = if once == 'u' { first.to_uppercase().to_string() } else { first.to_lowercase().to_string() };
                part.replace_range(..first.len_utf8(), &head);
                once = ' ';
            }
            out.push_str(&part);
        }
        if !global {
            break;
        }
    }
    out.push_str(&text[at..]);
    changed.then_some(out)
}

impl Sed {
    fn put(&mut self, io: &mut Io<'_, '_>, text: &str) {
        match self.in_place && self.target.is_some() {
            true => self.edited.extend_from_slice(text.as_bytes()),
            false => io.print(text),
        }
    }

    fn matches(&self, address: &Address, last: bool) -> bool {
        match address {
            Address::Line(n) => self.line == *n,
            Address::Last => last,
            Address::Regex(regex) => regex.is_match(&self.pattern),
            Address::Step(first, 0) => self.line == *first,
            Address::Step(first, step) => self.line >= *first && (self.line - first).is_multiple_of(*step),
            Address::More(_) => false,
        }
    }

    fn selects(&mut self, index: usize, last: bool) -> bool {
        let script = self.script.clone();
        let command = &script[index];
        let Some(from) = &command.from else { return !command.negated };
        let hit = match &command.to {
            None => self.matches(from, last),
            Some(to) => match self.open[index] {
                Some(until) => {
                    let closes = match to {
                        Address::Line(n) => self.line >= *n,
                        Address::More(_) => self.line >= until,
                        other => self.matches(other, last),
                    };
                    if closes {
                        self.open[index] = None;
                    }
                    !matches!(to, Address::Line(n) if self.line > *n)
                }
                None if self.matches(from, last) => {
                    self.open[index] = match to {
                        Address::Line(n) if *n <= self.line => None,
                        Address::More(0) => None,
                        Address::More(n) => Some(self.line + n),
                        _ => Some(0),
                    };
                    true
                }
                None => false,
            },
        };
        hit != command.negated
    }

    /// Runs the script over the pattern space. False: `N` or `n` waits for a line.
    fn cycle(&mut self, io: &mut Io<'_, '_>, start: usize, last: bool) -> bool {
        let script = self.script.clone();
        let mut at = start;
        let mut changed = false;
        let mut steps = 0;
        while let Some(command) = script.get(at) {
            steps += 1;
            if steps > 100_000 {
                io.error("script loops for ever");
                self.quit = Some(1);
                return true;
            }
            if !self.selects(at, last) {
                at = if let What::Block(end) = command.what { end } else { at + 1 };
                continue;
            }
            at += 1;
            match &command.what {
                What::Substitute { regex, with, global, nth, print } => {
                    if let Some(text) = substitute(&self.pattern, regex, with, *global, *nth) {
                        self.pattern = text;
                        changed = true;
                        if *print {
                            let line = format!("{}\n", self.pattern);
                            self.put(io, &line);
                        }
                    }
                }
                What::Translate(pairs) => {
                    let change = |c: char| pairs.iter().find(|(f, _)| *f == c).map_or(c, |(_, t)| *t);
                    self.pattern = self.pattern.chars().map(change).collect();
                }
                What::Text('a', text) => self.append.push(text.clone()),
                What::Text('i', text) => self.put(io, text),
                What::Text(_, text) => {
                    if self.open[at - 1].is_none() {
                        self.put(io, text);
                    }
                    return self.finish(io, false);
                }
                What::Block(_) | What::Label => {}
                What::Jump { when_changed, label } => {
                    if !when_changed || std::mem::take(&mut changed) {
                        at = self.labels.iter().find(|(l, _)| l == label).map_or(script.len(), |(_, at)| *at);
                    }
                }
                What::Quit { print, code } => {
                    self.quit = Some(*code);
                    return self.finish(io, *print);
                }
                What::Plain(name) => match name {
                    'p' => {
                        let line = format!("{}\n", self.pattern);
                        self.put(io, &line);
                    }
                    'P' => {
                        let line = format!("{}\n", self.pattern.split('\n').next().unwrap_or(""));
                        self.put(io, &line);
                    }
                    'd' => return self.finish(io, false),
                    'D' => match self.pattern.split_once('\n') {
                        Some((_, rest)) => {
                            self.pattern = rest.to_string();
                            at = 0;
                        }
                        None => return self.finish(io, false),
                    },
                    'h' => self.hold = self.pattern.clone(),
                    'H' => self.hold = format!("{}\n{}", self.hold, self.pattern),
                    'g' => self.pattern = self.hold.clone(),
                    'G' => self.pattern = format!("{}\n{}", self.pattern, self.hold),
                    'x' => std::mem::swap(&mut self.hold, &mut self.pattern),
                    '=' => {
                        let line = format!("{}\n", self.line);
                        self.put(io, &line);
                    }
                    'l' => {
                        let line = format!("{}$\n", self.pattern.escape_debug());
                        self.put(io, &line);
                    }
                    _ if last => return self.finish(io, true),
                    'n' => {
                        self.finish(io, true);
                        self.pattern.clear();
                        self.resume = Some(at);
                        return false;
                    }
                    _ => {
                        self.pattern.push('\n');
                        self.resume = Some(at);
                        return false;
                    }
                },
            }
        }
        self.finish(io, true)
    }

    fn finish(&mut self, io: &mut Io<'_, '_>, print: bool) -> bool {
        if print && !self.quiet {
            let line = format!("{}\n", self.pattern);
            self.put(io, &line);
        }
        for text in std::mem::take(&mut self.append) {
            self.put(io, &text);
        }
        true
    }

    /// Takes the line that waited; `last` if none follows.
    fn take_waiting(&mut self, io: &mut Io<'_, '_>, last: bool) {
        let Some((text, _)) = self.waiting.pop_front() else { return };
        self.line += 1;
        let start = match self.resume.take() {
            Some(at) => {
                self.pattern.push_str(&text);
                at
            }
            None => {
                self.pattern = text;
                0
            }
        };
        self.cycle(io, start, last);
    }

    fn write_back(&mut self, io: &mut Io<'_, '_>) {
        if let Some(path) = self.target.take() {
            let edited = std::mem::take(&mut self.edited);
            if let Err(error) = io.sys.write_file(&path, &edited) {
                io.error(format!("{path}: {error}"));
            }
        }
    }
}

impl Filter for Sed {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> std::result::Result<(Sed, Vec<Text>), i32> {
        let mut args = io.args();
        // `-i` may carry a suffix; it is dropped.
        for arg in &mut args {
            if arg.starts_with("-i") && arg.len() > 2 && !arg[2..].chars().all(|c| "nErs".contains(c)) {
                *arg = "-i".into();
            }
        }
        let long =
            [("quiet", 'n'), ("silent", 'n'), ("expression", 'e'), ("in-place", 'i'), ("regexp-extended", 'E'), ("file", 'f')];
        let mut options = super::Options::parse(&args, "niErsze:f:", &long).map_err(|message| {
            io.error(message);
            1
        })?;
        let mut script: Vec<String> = options.values('e').map(|t| t.to_string()).collect();
        if let Some(path) = options.value('f').cloned() {
            let bytes = io.read_file(&path).ok_or(1)?;
            script.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        if script.is_empty() {
            if options.operands.is_empty() {
                io.out.push(
                    2,
                    b"BusyBox v1.36.1 multi-call binary.\n\nUsage: sed [-i[SFX]] [-nrE] [-f FILE]... [-e CMD]... [FILE]...\n",
                );
                return Err(1);
            }
            script.push(options.operands.remove(0).to_string());
        }
        let mut reader = Reader::new(&script.join("\n"), options.has('E') || options.has('r'));
        reader.read().map_err(|message| {
            io.error(message);
            1
        })?;
        let open = vec![None; reader.commands.len()];
        let in_place = options.has('i');
        let sed = Sed {
            script: Rc::new(reader.commands),
            labels: Rc::new(reader.labels),
            quiet: options.has('n'),
            in_place,
            separate: in_place || options.has('s'),
            line: 0,
            open,
            hold: String::new(),
            pattern: String::new(),
            waiting: VecDeque::new(),
            resume: None,
            append: Vec::new(),
            target: None,
            edited: Vec::new(),
            quit: None,
        };
        Ok((sed, options.operands))
    }

    fn open(&mut self, _: &mut Io<'_, '_>, name: &str) -> Next {
        if self.separate {
            self.line = 0;
        }
        if self.in_place && name != "-" {
            self.target = Some(name.to_string());
        }
        Next::More
    }

    fn data(&mut self, io: &mut Io<'_, '_>, line: &[u8], newline: bool) -> Next {
        io.sys.charge(1);
        self.waiting.push_back((String::from_utf8_lossy(line).into_owned(), newline));
        if self.waiting.len() > 1 {
            self.take_waiting(io, false);
        }
        if self.quit.is_some() { Next::Stop } else { Next::More }
    }

    fn close(&mut self, io: &mut Io<'_, '_>) {
        if self.separate && self.quit.is_none() {
            self.take_waiting(io, true);
        }
        if self.in_place {
            self.write_back(io);
        }
    }

    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        io.error(format!("{name}: {error}"));
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        if self.quit.is_none() {
            self.take_waiting(io, true);
        }
        self.quit.unwrap_or(if failed { 1 } else { 0 })
    }
}
