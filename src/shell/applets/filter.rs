//! Programs that read files or standard input from beginning to end.

use std::collections::VecDeque;

use cri_api::{Errno, Fd, OpenFlags, Poll, Program, Sys, Text, WriteOut};

use super::{Io, STDIN};

/// Whether a filter wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    More,
    /// Enough of this file.
    NextFile,
    /// Enough of all.
    Stop,
}

/// How an applet treats its input.
pub trait Filter: Clone + 'static {
    /// Whether it is fed with lines, or with pieces as they come.
    const LINES: bool;

    /// Reads the command line; also gives the files (none: standard input). An error is the exit code.
    fn begin(io: &mut Io<'_, '_>) -> Result<(Self, Vec<Text>), i32>;

    /// A line without its newline (`newline` says if it had one), or a piece.
    fn data(&mut self, io: &mut Io<'_, '_>, data: &[u8], newline: bool) -> Next;

    /// A file begins; `name` is `-` for standard input.
    fn open(&mut self, _io: &mut Io<'_, '_>, _name: &str) -> Next {
        Next::More
    }

    /// A file has ended.
    fn close(&mut self, _io: &mut Io<'_, '_>) {}

    /// A file can't be read.
    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        io.error(format!("{name}: {error}"));
    }

    /// All input is done. `failed`: some file couldn't be read. The result is the exit code.
    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32;

    /// Bytes it holds in memory.
    fn memory(&self) -> usize {
        0
    }
}

/// Runs a [`Filter`].
#[derive(Clone)]
pub struct FilterProgram<F: Filter> {
    filter: Option<F>,
    files: VecDeque<Text>,
    current: Option<Fd>,
    /// The beginning of a line whose end hasn't come.
    partial: Vec<u8>,
    out: WriteOut,
    failed: bool,
    code: Option<i32>,
}

/// A line that is longer than this costs the process its life: nobody has that much memory.
const MAX_LINE: usize = 64 << 20;

impl<F: Filter> FilterProgram<F> {
    pub fn boxed() -> Box<dyn Program> {
        Box::new(FilterProgram::<F> {
            filter: None,
            files: VecDeque::new(),
            current: None,
            partial: Vec::new(),
            out: WriteOut::default(),
            failed: false,
            code: None,
        })
    }

    fn start(&mut self, sys: &mut Sys<'_>) {
        let argv = sys.argv();
        match F::begin(&mut Io { sys, out: &mut self.out, argv }) {
            Ok((filter, files)) => {
                self.filter = Some(filter);
                self.files = files.into();
                if self.files.is_empty() {
                    self.files.push_back("-".into());
                }
            }
            Err(code) => self.code = Some(code),
        }
    }

    /// Opens the next file, or ends.
    fn next_file(&mut self, sys: &mut Sys<'_>) {
        let argv = sys.argv();
        let Some(filter) = &mut self.filter else { return };
        let Some(name) = self.files.pop_front() else {
            let code = filter.end(&mut Io { sys, out: &mut self.out, argv }, self.failed);
            self.code = Some(code);
            return;
        };
        let opened = if &*name == "-" { Ok(STDIN) } else { open_readable(sys, &name) };
        match opened {
            Ok(fd) => {
                self.current = Some(fd);
                let next = filter.open(&mut Io { sys, out: &mut self.out, argv }, &name);
                self.obey(next, sys);
            }
            Err(error) => {
                self.failed = true;
                filter.open_error(&mut Io { sys, out: &mut self.out, argv }, &name, error);
            }
        }
    }

    fn obey(&mut self, next: Next, sys: &mut Sys<'_>) {
        if next == Next::More {
            return;
        }
        if next == Next::Stop {
            self.files.clear();
        }
        self.partial.clear();
        self.end_file(sys);
    }

    fn end_file(&mut self, sys: &mut Sys<'_>) {
        let argv = sys.argv();
        if let Some(fd) = self.current.take() {
            if fd != STDIN {
                let _ = sys.close(fd);
            }
            if let Some(filter) = &mut self.filter {
                filter.close(&mut Io { sys, out: &mut self.out, argv });
            }
        }
    }

    fn feed(&mut self, mut bytes: Vec<u8>, sys: &mut Sys<'_>) {
        let argv = sys.argv();
        let Some(filter) = &mut self.filter else { return };
        let mut io = Io { sys, out: &mut self.out, argv };
        if !F::LINES {
            let next = filter.data(&mut io, &bytes, false);
            return self.obey(next, sys);
        }
        if !self.partial.is_empty() {
            self.partial.append(&mut bytes);
            bytes = std::mem::take(&mut self.partial);
        }
        let mut start = 0;
        let mut next = Next::More;
        while let Some(len) = bytes[start..].iter().position(|b| *b == b'\n') {
            next = filter.data(&mut io, &bytes[start..start + len], true);
            start += len + 1;
            if next != Next::More {
                break;
            }
        }
        if next == Next::More {
            self.partial = bytes.split_off(start);
        }
        self.obey(next, sys);
    }

    fn end_of_input(&mut self, sys: &mut Sys<'_>) {
        if !self.partial.is_empty() {
            let argv = sys.argv();
            let last = std::mem::take(&mut self.partial);
            if let Some(filter) = &mut self.filter {
                let next = filter.data(&mut Io { sys, out: &mut self.out, argv }, &last, false);
                if next == Next::Stop {
                    self.files.clear();
                }
            }
        }
        self.end_file(sys);
    }
}

fn open_readable(sys: &mut Sys<'_>, name: &str) -> Result<Fd, Errno> {
    let fd = sys.open(name, OpenFlags::READ, 0)?;
    if sys.fstat(fd).is_ok_and(|s| s.is_dir()) {
        sys.close(fd)?;
        return Err(Errno::EISDIR);
    }
    Ok(fd)
}

impl<F: Filter> Program for FilterProgram<F> {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if self.filter.is_none() && self.code.is_none() {
            self.start(sys);
        }
        for _ in 0..16 {
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if sys.is_killed() {
                return Poll::Ready;
            }
            if let Some(code) = self.code {
                return Poll::Exit(code);
            }
            let Some(fd) = self.current else {
                self.next_file(sys);
                continue;
            };
            match sys.read(fd, 65_536) {
                Ok(bytes) if bytes.is_empty() => self.end_of_input(sys),
                Ok(bytes) => {
                    sys.charge(bytes.len() as u32 / 512);
                    self.feed(bytes, sys);
                    let held = self.partial.len() + self.filter.as_ref().map_or(0, F::memory);
                    if held > 256 * 1024 {
                        sys.set_memory(if held > MAX_LINE { u64::MAX / 2 } else { held as u64 });
                    }
                }
                Err(Errno::EAGAIN) => return Poll::Pending,
                Err(error) => {
                    let argv = sys.argv();
                    self.failed = true;
                    Io { sys, out: &mut self.out, argv }.error(format!("read error: {error}"));
                    self.end_of_input(sys);
                }
            }
        }
        Poll::Ready
    }
}
