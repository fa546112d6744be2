//! `grep`, `egrep`, `fgrep`.

use std::collections::VecDeque;
use std::rc::Rc;

use cri_api::{Errno, Text};
use regex_lite::Regex;

use super::filter::{Filter, FilterProgram, Next};
use super::{Io, Make, Options};

pub(super) const TABLE: &[(&str, Make)] =
    &[("grep", FilterProgram::<Grep>::boxed), ("egrep", FilterProgram::<Grep>::boxed), ("fgrep", FilterProgram::<Grep>::boxed)];

#[derive(Clone)]
struct Grep {
    patterns: Rc<Vec<Regex>>,
    options: Rc<Options>,
    before: usize,
    after: usize,
    limit: Option<u64>,
    names: bool,
    name: String,
    line: u64,
    hits: u64,
    any: bool,
    /// Lines before a hit.
    kept: VecDeque<(u64, Vec<u8>)>,
    /// Lines still to show after a hit.
    trailing: usize,
    last_shown: Option<u64>,
}

fn pattern_list(io: &mut Io<'_, '_>, options: &mut Options) -> Result<Vec<String>, i32> {
    let mut list: Vec<String> = options.values('e').flat_map(|p| p.split('\n').map(str::to_string)).collect();
    if let Some(path) = options.value('f').cloned() {
        let bytes = io.read_file(&path).ok_or(2)?;
        list.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_string));
    } else if list.is_empty() {
        if options.operands.is_empty() {
            io.print("");
            io.out.push(2, b"BusyBox v1.36.1 multi-call binary.\n\nUsage: grep [-HhnlLoqvsrRiwFE] [-m N] [-A|B|C N] { PATTERN | -e PATTERN... | -f FILE... } [FILE]...\n");
            return Err(2);
        }
        list = options.operands.remove(0).split('\n').map(str::to_string).collect();
    }
    Ok(list)
}

/// Files below directories, for `-r`.
fn all_files(io: &mut Io<'_, '_>, path: &str, files: &mut Vec<Text>) {
    if !io.sys.stat(path).is_ok_and(|s| s.is_dir()) {
        return files.push(path.into());
    }
    for name in io.sys.read_dir(path).unwrap_or_default() {
        let full = crate::text::join(path, &name);
        if !io.sys.lstat(&full).is_ok_and(|s| s.is_symlink()) {
            all_files(io, &full, files);
        }
    }
}

impl Grep {
    fn prefix(&self, line: u64, separator: char) -> String {
        let mut prefix = String::new();
        if self.names {
            prefix.push_str(&format!("{}{separator}", self.name));
        }
        if self.options.has('n') {
            prefix.push_str(&format!("{line}{separator}"));
        }
        prefix
    }

    fn show(&mut self, io: &mut Io<'_, '_>, number: u64, line: &[u8], separator: char) {
        let gap = self.before + self.after > 0 && self.last_shown.is_some_and(|last| last + 1 < number);
        if gap {
            io.print("--\n");
        }
        self.last_shown = Some(number);
        io.print(self.prefix(number, separator));
        io.print(line);
        io.print("\n");
    }

    fn is_hit(&self, text: &str) -> bool {
        let whole_line = self.options.has('x');
        let hit = self.patterns.iter().any(|p| match whole_line {
            true => p.find(text).is_some_and(|m| m.start() == 0 && m.end() == text.len()),
            false => p.is_match(text),
        });
        hit != self.options.has('v')
    }
}

impl Filter for Grep {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Grep, Vec<Text>), i32> {
        let mut args = io.args();
        args.retain(|a| !a.starts_with("--color"));
        let long = [
            ("ignore-case", 'i'),
            ("invert-match", 'v'),
            ("count", 'c'),
            ("line-number", 'n'),
            ("quiet", 'q'),
            ("only-matching", 'o'),
            ("extended-regexp", 'E'),
            ("fixed-strings", 'F'),
            ("recursive", 'r'),
            ("word-regexp", 'w'),
            ("files-with-matches", 'l'),
            ("max-count", 'm'),
            ("after-context", 'A'),
            ("before-context", 'B'),
            ("context", 'C'),
            ("regexp", 'e'),
            ("no-filename", 'h'),
            ("with-filename", 'H'),
            ("line-buffered", 'u'),
        ];
        let mut options = Options::parse(&args, "ivcnqoEFGrRwxlLhHsazum:A:B:C:e:f:", &long).map_err(|message| {
            io.error(message);
            2
        })?;
        let list = pattern_list(io, &mut options)?;
        let name = io.name();
        let fixed = options.has('F') || name == "fgrep";
        let extended = options.has('E') || name == "egrep";
        let mut patterns = Vec::new();
        for pattern in list {
            let mut text = if fixed { regex_lite::escape(&pattern) } else { pattern };
            if options.has('w') {
                text = if extended || fixed { format!("\\b({text})\\b") } else { format!("\\b\\({text}\\)\\b") };
            }
            let regex = super::regex::compile(&text, extended || fixed, options.has('i')).map_err(|message| {
                io.error(message);
                2
            })?;
            patterns.push(regex);
        }
        let mut files = options.operands.clone();
        let recursive = options.has('r') || options.has('R');
        if recursive {
            let roots = if files.is_empty() { vec![Text::from(".")] } else { std::mem::take(&mut files) };
            roots.iter().for_each(|root| all_files(io, root, &mut files));
        }
        let number = |c| options.value(c).and_then(|v| v.parse::<usize>().ok());
        let context = number('C').unwrap_or(0);
        let names = options.has('H') || ((files.len() > 1 || recursive) && !options.has('h'));
        let grep = Grep {
            patterns: Rc::new(patterns),
            before: number('B').unwrap_or(context),
            after: number('A').unwrap_or(context),
            limit: number('m').map(|n| n as u64),
            names,
            name: String::new(),
            line: 0,
            hits: 0,
            any: false,
            kept: VecDeque::new(),
            trailing: 0,
            last_shown: None,
            options: Rc::new(options),
        };
        Ok((grep, files))
    }

    fn open(&mut self, _: &mut Io<'_, '_>, name: &str) -> Next {
        self.name = if name == "-" { "(standard input)".into() } else { name.into() };
        (self.line, self.hits, self.trailing, self.last_shown) = (0, 0, 0, None);
        self.kept.clear();
        Next::More
    }

    fn data(&mut self, io: &mut Io<'_, '_>, line: &[u8], _: bool) -> Next {
        self.line += 1;
        let text = String::from_utf8_lossy(line);
        io.sys.charge(1);
        if !self.is_hit(&text) {
            let silent = self.options.last_of("clLqo").is_some();
            if self.trailing > 0 && !silent {
                self.trailing -= 1;
                self.show(io, self.line, line, '-');
            } else if self.before > 0 {
                self.kept.push_back((self.line, line.to_vec()));
                if self.kept.len() > self.before {
                    self.kept.pop_front();
                }
            }
            return Next::More;
        }
        self.hits += 1;
        self.any = true;
        match self.options.last_of("clLqo") {
            Some('q') => return Next::Stop,
            Some('l' | 'L') => return Next::NextFile,
            Some('c') => {}
            Some(_) => {
                if !self.options.has('v') {
                    for pattern in self.patterns.clone().iter() {
                        for found in pattern.find_iter(&text).filter(|m| !m.is_empty()) {
                            io.print(self.prefix(self.line, ':'));
                            io.print(found.as_str());
                            io.print("\n");
                        }
                    }
                }
            }
            None => {
                for (number, line) in std::mem::take(&mut self.kept) {
                    self.show(io, number, &line, '-');
                }
                self.show(io, self.line, line, ':');
                self.trailing = self.after;
            }
        }
        if self.limit.is_some_and(|n| self.hits >= n) { Next::NextFile } else { Next::More }
    }

    fn close(&mut self, io: &mut Io<'_, '_>) {
        if self.options.has('q') {
            return;
        }
        if self.options.has('l') && self.hits > 0 || self.options.has('L') && self.hits == 0 {
            io.print(format!("{}\n", self.name));
        } else if self.options.has('c') {
            let prefix = if self.names { format!("{}:", self.name) } else { String::new() };
            io.print(format!("{prefix}{}\n", self.hits));
        }
    }

    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        if !self.options.has('s') {
            io.error(format!("{name}: {error}"));
        }
    }

    fn end(&mut self, _: &mut Io<'_, '_>, failed: bool) -> i32 {
        match (self.any, failed) {
            (true, false) => 0,
            (true, true) if self.options.has('q') => 0,
            (_, true) => 2,
            (false, false) => 1,
        }
    }
}
