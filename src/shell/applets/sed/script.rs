//! sed's scripts: addresses, commands and replacements, read once.

use regex_lite::Regex;

use super::{Address, Command, Piece, Result, What};

pub(super) struct Reader {
    text: Vec<char>,
    at: usize,
    extended: bool,
    pub(super) commands: Vec<Command>,
    pub(super) labels: Vec<(String, usize)>,
    blocks: Vec<usize>,
    last_regex: Option<Regex>,
}

impl Reader {
    pub(super) fn new(script: &str, extended: bool) -> Reader {
        Reader {
            text: script.chars().collect(),
            at: 0,
            extended,
            commands: Vec::new(),
            labels: Vec::new(),
            blocks: Vec::new(),
            last_regex: None,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, set: &str) {
        while self.peek().is_some_and(|c| set.contains(c)) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect::<String>().parse().ok()
    }

    /// Text up to a delimiter; an escaped delimiter stands for itself.
    fn until(&mut self, delimiter: char) -> Result<String> {
        let mut out = String::new();
        let mut in_bracket = false;
        while let Some(c) = self.peek() {
            self.at += 1;
            if c == '\\' {
                let Some(next) = self.peek() else { break };
                self.at += 1;
                if next == delimiter {
                    out.push(next);
                } else {
                    out.extend(['\\', next]);
                }
                continue;
            }
            if c == delimiter && !in_bracket {
                return Ok(out);
            }
            match c {
                '[' if delimiter != '[' => in_bracket = self.text[self.at..].iter().take(40).any(|c| *c == ']'),
                ']' => in_bracket = false,
                _ => {}
            }
            out.push(c);
        }
        Err("unmatched '/'".replace('/', &delimiter.to_string()))
    }

    fn regex(&mut self, text: &str, ignore_case: bool) -> Result<Regex> {
        if text.is_empty() {
            return self.last_regex.clone().ok_or_else(|| "no previous regexp".to_string());
        }
        let regex = crate::applets::regex::compile(&text.replace("\\n", "\n"), self.extended, ignore_case)?;
        self.last_regex = Some(regex.clone());
        Ok(regex)
    }

    fn address(&mut self) -> Result<Option<Address>> {
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                let first = self.number().unwrap_or(0);
                if self.peek() == Some('~') {
                    self.at += 1;
                    return Ok(Some(Address::Step(first, self.number().unwrap_or(0))));
                }
                Ok(Some(Address::Line(first)))
            }
            Some('$') => {
                self.at += 1;
                Ok(Some(Address::Last))
            }
            Some(c @ ('/' | '\\')) => {
                self.at += 1;
                let delimiter = if c == '\\' { self.peek().inspect(|_| self.at += 1).ok_or("unexpected end")? } else { c };
                let text = self.until(delimiter)?;
                let ignore_case = self.peek() == Some('I');
                self.at += ignore_case as usize;
                self.regex(&text, ignore_case).map(|r| Some(Address::Regex(r)))
            }
            Some('+') => {
                self.at += 1;
                Ok(self.number().map(Address::More))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn read(&mut self) -> Result<()> {
        loop {
            self.skip(" \t\n;");
            if self.peek().is_none() {
                break;
            }
            let from = self.address()?;
            let mut to = None;
            self.skip(" \t");
            if from.is_some() && self.peek() == Some(',') {
                self.at += 1;
                self.skip(" \t");
                to = Some(self.address()?.ok_or("no address after comma")?);
            }
            self.skip(" \t");
            let negated = self.peek() == Some('!');
            self.at += negated as usize;
            self.skip(" \t");
            let Some(name) = self.peek() else { return Err("missing command".into()) };
            self.at += 1;
            if name == '}' {
                let Some(block) = self.blocks.pop() else { return Err("unexpected '}'".into()) };
                let end = self.commands.len();
                self.commands[block].what = What::Block(end);
                continue;
            }
            if name == '#' {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
                continue;
            }
            let what = self.command(name)?;
            self.commands.push(Command { from, to, negated, what });
        }
        if self.blocks.is_empty() { Ok(()) } else { Err("unterminated {".into()) }
    }

    fn label(&mut self) -> String {
        self.skip(" \t");
        let start = self.at;
        while self.peek().is_some_and(|c| !"\n;}".contains(c)) {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect::<String>().trim().to_string()
    }

    fn command(&mut self, name: char) -> Result<What> {
        Ok(match name {
            's' => self.substitute()?,
            'y' => {
                let delimiter = self.peek().ok_or("unterminated 'y'")?;
                self.at += 1;
                let (from, to) = (self.until(delimiter)?, self.until(delimiter)?);
                let chars = |text: &str| text.replace("\\n", "\n").replace("\\\\", "\\").chars().collect::<Vec<_>>();
                let (from, to) = (chars(&from), chars(&to));
                if from.len() != to.len() {
                    return Err("strings for 'y' have different lengths".into());
                }
                What::Translate(from.into_iter().zip(to).collect())
            }
            '{' => {
                self.blocks.push(self.commands.len());
                What::Block(0)
            }
            'a' | 'i' | 'c' => {
                self.skip(" \t");
                if self.peek() == Some('\\') {
                    self.at += 1;
                    self.skip(" \t");
                    if self.peek() == Some('\n') {
                        self.at += 1;
                    }
                }
                let mut text = String::new();
                while let Some(c) = self.peek().filter(|c| *c != '\n') {
                    self.at += 1;
                    match c {
                        '\\' => {
                            text.extend(self.peek());
                            self.at += 1;
                        }
                        c => text.push(c),
                    }
                }
                What::Text(name, text + "\n")
            }
            'b' | 't' => What::Jump { when_changed: name == 't', label: self.label() },
            ':' => {
                let label = self.label();
                self.labels.push((label, self.commands.len()));
                What::Label
            }
            'q' | 'Q' => {
                self.skip(" \t");
                What::Quit { print: name == 'q', code: self.number().unwrap_or(0) as i32 }
            }
            'p' | 'd' | 'n' | 'N' | 'D' | 'P' | 'h' | 'H' | 'g' | 'G' | 'x' | '=' | 'l' => What::Plain(name),
            'w' | 'r' => return Err(format!("command '{name}' is not supported")),
            _ => return Err(format!("unsupported command {name}")),
        })
    }

    fn substitute(&mut self) -> Result<What> {
        let delimiter = self.peek().ok_or("unterminated 's'")?;
        self.at += 1;
        let (pattern, with) = (self.until(delimiter)?, self.until_replacement(delimiter)?);
        let (mut global, mut print, mut nth, mut ignore_case) = (false, false, 0, false);
        loop {
            match self.peek() {
                Some('g') => global = true,
                Some('p') => print = true,
                Some('i' | 'I') => ignore_case = true,
                Some(c) if c.is_ascii_digit() => {
                    nth = self.number().unwrap_or(1) as usize;
                    continue;
                }
                Some('w') => return Err("flag 'w' is not supported".into()),
                Some(c) if !" \t\n;}#".contains(c) => return Err(format!("bad option in substitution expression: {c}")),
                _ => break,
            }
            self.at += 1;
        }
        let regex = self.regex(&pattern, ignore_case)?;
        Ok(What::Substitute { regex, with: pieces(&with), global, nth, print })
    }

    fn until_replacement(&mut self, delimiter: char) -> Result<String> {
        let mut out = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            if c == '\\' {
                let Some(next) = self.peek() else { break };
                self.at += 1;
                if next != delimiter || next == '&' {
                    out.push('\\');
                }
                out.push(next);
                continue;
            }
            if c == delimiter {
                return Ok(out);
            }
            out.push(c);
        }
        Err("unterminated 's' command".into())
    }
}

pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let piece = match c {
            '&' => Piece::Group(0),
            '\\' => match chars.next() {
                Some(d) if d.is_ascii_digit() => Piece::Group(d as usize - '0' as usize),
                Some(c @ ('U' | 'L' | 'u' | 'l' | 'E')) => Piece::Case(c),
                Some('n') => {
                    literal.push('\n');
                    continue;
                }
                Some('t') => {
                    literal.push('\t');
                    continue;
                }
                Some(c) => {
                    literal.push(c);
                    continue;
                }
                None => continue,
            },
            c => {
                literal.push(c);
                continue;
            }
        };
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(piece);
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    pieces
}
