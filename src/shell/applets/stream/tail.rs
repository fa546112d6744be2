//! `tail`: the last lines or bytes, and with `-f` what comes after.

use std::collections::VecDeque;

use base::{Duration, Time};
use cri_api::{Errno, Fd, OpenFlags, Poll, Program, Sys, Text, WriteOut};

use super::parse;
use crate::applets::{STDIN, finish};

/// `tail`.
#[derive(Clone, Default)]
pub(super) struct Tail {
    started: bool,
    bytes: bool,
    /// `+N`: from the N-th on.
    from_start: bool,
    count: u64,
    follow: bool,
    headers: bool,
    files: VecDeque<Text>,
    current: Option<(Fd, Text)>,
    seen: u64,
    /// The last lines (or bytes).
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
    shown_header: Option<Text>,
    following: Vec<(Fd, Text)>,
    wake: Option<Time>,
    out: WriteOut,
    failed: bool,
}

impl Tail {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<(), i32> {
        self.started = true;
        let argv = sys.argv();
        let args: Vec<Text> = argv[1..]
            .iter()
            .map(|a| match a.strip_prefix('-') {
                Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => format!("-n{n}").into(),
                _ => a.clone(),
            })
            .collect();
        let long = [("lines", 'n'), ("bytes", 'c'), ("follow", 'f'), ("retry", 'F'), ("quiet", 'q')];
        let options = parse(sys, &mut self.out, args, "n:c:fFqvs:", &long)?;
        self.bytes = options.has('c');
        let text = options.value('c').or(options.value('n')).cloned().unwrap_or_else(|| "10".into());
        self.from_start = text.starts_with('+');
        match crate::text::parse_size(text.trim_start_matches(['+', '-'])) {
            Some(count) => self.count = count,
            None => {
                self.out.push(2, format!("tail: invalid number '{text}'\n").as_bytes());
                return Err(1);
            }
        }
        self.follow = options.has('f') || options.has('F');
        self.headers = options.has('v') || (options.operands.len() > 1 && !options.has('q'));
        self.files = options.operands.into();
        if self.files.is_empty() {
            self.files.push_back("-".into());
        }
        Ok(())
    }

    fn next_file(&mut self, sys: &mut Sys<'_>) -> bool {
        let Some(name) = self.files.pop_front() else { return false };
        let opened = if &*name == "-" { Ok(STDIN) } else { sys.open(&name, OpenFlags::READ, 0) };
        match opened {
            Ok(fd) => {
                (self.seen, self.kept_bytes) = (0, 0);
                self.kept.clear();
                self.header(&name);
                self.current = Some((fd, name));
            }
            Err(error) => {
                self.failed = true;
                self.out.push(2, format!("tail: can't open '{name}': {error}\n").as_bytes());
            }
        }
        true
    }

    fn header(&mut self, name: &Text) {
        if self.headers && self.shown_header.as_ref() != Some(name) {
            let blank = if self.shown_header.is_some() { "\n" } else { "" };
            let shown = if &**name == "-" { "standard input" } else { name };
            self.out.push(1, format!("{blank}==> {shown} <==\n").as_bytes());
            self.shown_header = Some(name.clone());
        }
    }

    fn take(&mut self, data: &[u8]) {
        if self.from_start {
            return self.pass_on(data);
        }
        let whole = self.bytes;
        for piece in data.split_inclusive(|b| !whole && *b == b'\n') {
            self.kept_bytes += piece.len();
            match self.kept.back_mut() {
                Some(last) if whole || last.last() != Some(&b'\n') => last.extend_from_slice(piece),
                _ => self.kept.push_back(piece.to_vec()),
            }
            while !whole && self.kept.len() as u64 > self.count {
                self.kept_bytes -= self.kept.pop_front().map_or(0, |l| l.len());
            }
        }
        if whole && let Some(all) = self.kept.front_mut() {
            let excess = all.len().saturating_sub(self.count as usize);
            all.drain(..excess);
            self.kept_bytes = all.len();
        }
    }

    /// `+N`: skips what comes before.
    fn pass_on(&mut self, data: &[u8]) {
        let skip = self.count.saturating_sub(1);
        let mut start = 0;
        while self.seen < skip && start < data.len() {
            match self.bytes {
                true => {
                    start += 1;
                    self.seen += 1;
                }
                false => match data[start..].iter().position(|b| *b == b'\n') {
                    Some(at) => {
                        start += at + 1;
                        self.seen += 1;
                    }
                    None => start = data.len(),
                },
            }
        }
        self.out.push(1, &data[start..]);
    }

    fn end_of_file(&mut self, sys: &mut Sys<'_>) {
        for piece in std::mem::take(&mut self.kept) {
            self.out.push(1, &piece);
        }
        if let Some((fd, name)) = self.current.take() {
            if self.follow && fd != STDIN {
                self.following.push((fd, name));
            } else if fd != STDIN {
                let _ = sys.close(fd);
            }
        }
    }

    fn follow(&mut self, sys: &mut Sys<'_>) -> Poll {
        if self.wake.is_some_and(|at| !sys.sleep_until(at)) {
            return Poll::Pending;
        }
        for i in 0..self.following.len() {
            let (fd, name) = self.following[i].clone();
            while let Ok(bytes) = sys.read(fd, 65_536) {
                if bytes.is_empty() {
                    break;
                }
                self.header(&name);
                self.out.push(1, &bytes);
            }
        }
        let at = sys.after(Duration::from_secs(1));
        self.wake = Some(at);
        sys.sleep_until(at);
        Poll::Ready
    }
}

/// Nobody has this much memory for a line.
pub(super) const MAX_KEPT: usize = 64 << 20;

impl Program for Tail {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(code) = self.start(sys)
        {
            return finish(&mut self.out, sys, code);
        }
        for _ in 0..16 {
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            let Some((fd, _)) = self.current else {
                if self.next_file(sys) {
                    continue;
                }
                if self.following.is_empty() {
                    return Poll::Exit(self.failed as i32);
                }
                return self.follow(sys);
            };
            match sys.read(fd, 65_536) {
                Ok(bytes) if bytes.is_empty() => self.end_of_file(sys),
                Ok(bytes) => {
                    sys.charge(bytes.len() as u32 / 512);
                    self.take(&bytes);
                    if self.kept_bytes > 256 * 1024 {
                        sys.set_memory(if self.kept_bytes > MAX_KEPT { u64::MAX / 2 } else { self.kept_bytes as u64 });
                        if sys.is_killed() {
                            return Poll::Ready;
                        }
                    }
                }
                Err(Errno::EAGAIN) => return Poll::Pending,
                Err(error) => {
                    self.out.push(2, format!("tail: read error: {error}\n").as_bytes());
                    self.failed = true;
                    self.end_of_file(sys);
                }
            }
        }
        Poll::Ready
    }
}
