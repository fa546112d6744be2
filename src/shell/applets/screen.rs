//! Programs that take the screen: `less`, `more`, and `vi`, which opens the page's editor on the file.

use cri_api::{CallId, Errno, Fd, OpenFlags, Poll, Program, Sys, Text, TtyMode, WriteOut};

use super::{Make, STDIN, finish};

pub(super) const TABLE: &[(&str, Make)] =
    &[("less", || Box::new(Pager::default())), ("more", || Box::new(Pager::default())), ("vi", || Box::new(Vi::default()))];

/// `less` and `more`. Without a terminal they copy.
#[derive(Clone, Default)]
struct Pager {
    started: bool,
    input: Option<Fd>,
    keys: Option<Fd>,
    data: Vec<u8>,
    lines: Vec<String>,
    ended: bool,
    top: usize,
    shown: bool,
    pattern: Option<String>,
    /// A pattern being typed behind `/`.
    typing: Option<String>,
    out: WriteOut,
    done: bool,
    code: i32,
}

/// What a pager keeps at most.
const MAX_DATA: usize = 16 << 20;

impl Pager {
    fn start(&mut self, sys: &mut Sys<'_>) {
        self.started = true;
        let argv = sys.argv();
        let file = argv[1..].iter().find(|a| !a.starts_with('-') && !a.starts_with('+'));
        self.input = match file {
            None => Some(STDIN),
            Some(path) => match sys.open(path, OpenFlags::READ, 0) {
                Ok(fd) => Some(fd),
                Err(error) => {
                    let name = crate::text::basename(&argv[0]).to_string();
                    self.out.push(2, format!("{name}: can't open '{path}': {error}\n").as_bytes());
                    (self.done, self.code) = (true, 1);
                    None
                }
            },
        };
        if sys.is_tty(1) {
            self.keys = sys.open("/dev/tty", OpenFlags::READ, 0).ok();
            if let Some(keys) = self.keys {
                let _ = sys.set_tty_mode(keys, TtyMode::KEYS);
            }
        }
    }

    /// Reads what is there. True if something changed.
    fn read(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some(fd) = self.input.filter(|_| !self.ended) else { return false };
        match sys.read(fd, 65_536) {
            Ok(bytes) if bytes.is_empty() => self.ended = true,
            Ok(bytes) if self.keys.is_none() => self.out.push(1, &bytes),
            Ok(bytes) => {
                self.data.extend(bytes);
                self.ended |= self.data.len() > MAX_DATA;
                let text = String::from_utf8_lossy(&self.data);
                self.lines = text.lines().map(|l| l.replace('\t', "        ")).collect();
            }
            Err(Errno::EAGAIN) => return false,
            Err(_) => self.ended = true,
        }
        true
    }

    fn draw(&mut self, sys: &mut Sys<'_>) {
        let (cols, rows) = sys.tty_size(1).unwrap_or((80, 24));
        let height = rows.saturating_sub(1).max(1) as usize;
        self.top = self.top.min(self.lines.len().saturating_sub(height));
        let mut text = "\x1b[H\x1b[J".to_string();
        for line in self.lines.iter().skip(self.top).take(height) {
            let cut: String = line.chars().take(cols as usize).collect();
            text += &format!("{cut}\n");
        }
        for _ in self.lines.len().saturating_sub(self.top)..height {
            text += "~\n";
        }
        let at_end = self.ended && self.top + height >= self.lines.len();
        text += &match &self.typing {
            Some(pattern) => format!("/{pattern}"),
            None if at_end => "\x1b[7m(END)\x1b[m".to_string(),
            None => ":".to_string(),
        };
        self.out.push(1, text.as_bytes());
        self.shown = true;
    }

    fn search(&mut self, from: usize) {
        let Some(pattern) = self.pattern.clone() else { return };
        if let Some(at) = (from..self.lines.len()).find(|at| self.lines[*at].contains(&pattern)) {
            self.top = at;
        }
    }

    fn key(&mut self, key: &[u8], page: usize) {
        if let Some(typing) = &mut self.typing {
            match key {
                b"\r" | b"\n" => {
                    self.pattern = self.typing.take();
                    self.search(self.top);
                }
                b"\x7f" => {
                    typing.pop();
                }
                key => typing.push_str(&String::from_utf8_lossy(key)),
            }
            return;
        }
        match key {
            b"q" | b"Q" | b"\x03" => self.done = true,
            b" " | b"f" | b"\x06" | b"\x1b[6~" => self.top += page,
            b"b" | b"\x02" | b"\x1b[5~" => self.top = self.top.saturating_sub(page),
            b"d" | b"\x04" => self.top += page / 2,
            b"u" | b"\x15" => self.top = self.top.saturating_sub(page / 2),
            b"j" | b"\r" | b"\n" | b"\x1b[B" => self.top += 1,
            b"k" | b"\x1b[A" => self.top = self.top.saturating_sub(1),
            b"g" | b"<" | b"\x1b[H" => self.top = 0,
            b"G" | b">" | b"\x1b[F" => self.top = self.lines.len(),
            b"/" => self.typing = Some(String::new()),
            b"n" => self.search(self.top + 1),
            _ => {}
        }
    }

    fn keys(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some(keys) = self.keys else { return false };
        let (_, rows) = sys.tty_size(1).unwrap_or((80, 24));
        match sys.read(keys, 256) {
            Ok(bytes) if bytes.is_empty() => self.done = true,
            Ok(bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() && !self.done {
                    let len = match rest {
                        [27, b'[', tail @ ..] => 3 + tail.iter().position(|b| (0x40..0x7f).contains(b)).unwrap_or(0),
                        _ => 1,
                    };
                    let (key, tail) = rest.split_at(len.min(rest.len()));
                    self.key(key, rows.saturating_sub(1) as usize);
                    rest = tail;
                }
            }
            Err(_) => return false,
        }
        true
    }
}

impl Program for Pager {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.start(sys);
        }
        loop {
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if self.done || (self.keys.is_none() && self.ended) {
                if let Some(keys) = self.keys.take() {
                    self.out.push(1, b"\r\x1b[K");
                    let _ = sys.set_tty_mode(keys, TtyMode::COOKED);
                }
                return finish(&mut self.out, sys, self.code);
            }
            let read = self.read(sys);
            if self.keys.is_none() {
                if !read {
                    return Poll::Pending;
                }
                continue;
            }
            if self.keys(sys) || read || !self.shown {
                if !self.done && (!read || self.ended || !self.shown) {
                    self.draw(sys);
                }
                continue;
            }
            return Poll::Pending;
        }
    }
}

/// `vi`: the page's editor does the editing.
#[derive(Clone, Default)]
struct Vi {
    path: Text,
    call: Option<CallId>,
    out: WriteOut,
    code: Option<i32>,
}

impl Program for Vi {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if let Some(code) = self.code {
            return finish(&mut self.out, sys, code);
        }
        let Some(call) = self.call else {
            let argv = sys.argv();
            let Some(path) = argv[1..].iter().find(|a| !a.starts_with('-')) else {
                self.out.push(2, b"vi: name a file to edit\n");
                self.code = Some(1);
                return Poll::Ready;
            };
            self.path = path.clone();
            let text = match sys.read_file(path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(Errno::ENOENT) => String::new(),
                Err(error) => {
                    self.out.push(2, format!("vi: '{path}' {error}\n").as_bytes());
                    self.code = Some(1);
                    return Poll::Ready;
                }
            };
            self.call = Some(sys.edit(path, &text));
            return Poll::Pending;
        };
        match sys.edited(call) {
            Err(Errno::EAGAIN) => return Poll::Pending,
            Ok(Some(text)) => {
                self.code = Some(0);
                if let Err(error) = sys.write_file(&self.path, text.as_bytes()) {
                    self.out.push(2, format!("vi: '{}' {error}\n", self.path).as_bytes());
                    self.code = Some(1);
                }
            }
            Ok(None) | Err(_) => self.code = Some(0),
        }
        Poll::Ready
    }
}
