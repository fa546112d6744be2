//! A terminal's line discipline: cooked and raw input, echo, keys that are signals. Models the kernel's `n_tty.c`.

use std::collections::VecDeque;

use crate::program::Pid;
use crate::signal::Signal;

/// Names a terminal of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TtyId(pub u32);

/// The part of `termios` that is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtyMode {
    /// Input comes line by line, with Backspace, ^U, ^W and ^D.
    pub canonical: bool,
    pub echo: bool,
    /// ^C, ^\ and ^Z are signals.
    pub signals: bool,
    /// `\n` leaves as `\r\n`.
    pub output_newlines: bool,
}

impl TtyMode {
    pub const COOKED: TtyMode = TtyMode { canonical: true, echo: true, signals: true, output_newlines: true };
    /// As `cfmakeraw`.
    pub const RAW: TtyMode = TtyMode { canonical: false, echo: false, signals: false, output_newlines: false };
    /// What line editors and pagers use: keys as they come, signals and output as usual.
    pub const KEYS: TtyMode = TtyMode { canonical: false, echo: false, signals: true, output_newlines: true };
}

#[derive(Clone)]
pub(super) struct Tty {
    pub mode: TtyMode,
    pub cols: u16,
    pub rows: u16,
    pub foreground: Pid,
    pub hung_up: bool,
    /// Of the line being typed, in canonical mode.
    line: Vec<u8>,
    /// Bytes that a reader may have.
    ready: VecDeque<u8>,
    /// At which byte a read must end, counted from the beginning: lines' ends, and ^D.
    breaks: VecDeque<usize>,
    /// How many bytes have been read.
    taken: usize,
    pub waiters: Vec<Pid>,
}

/// What typed bytes did besides becoming readable.
#[derive(Default)]
pub(super) struct Typed {
    pub echo: Vec<u8>,
    pub signals: Vec<Signal>,
    pub wake: bool,
}

/// Typed (or pasted) ahead at most; what comes beyond is lost, and the bell says so.
const MAX_READY: usize = 16 << 20;

impl Tty {
    pub fn new(cols: u16, rows: u16) -> Tty {
        Tty {
            mode: TtyMode::COOKED,
            cols,
            rows,
            foreground: 0,
            hung_up: false,
            line: Vec::new(),
            ready: VecDeque::new(),
            breaks: VecDeque::new(),
            taken: 0,
            waiters: Vec::new(),
        }
    }

    pub fn input(&mut self, bytes: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for &byte in bytes {
            if self.ready.len() + self.line.len() >= MAX_READY {
                typed.echo.push(7);
                break;
            }
            self.key(byte, &mut typed);
        }
        typed
    }

    fn key(&mut self, byte: u8, typed: &mut Typed) {
        let signal = match byte {
            3 => Some(Signal::INT),
            28 => Some(Signal::QUIT),
            26 => Some(Signal::TSTP),
            _ => None,
        };
        if let Some(signal) = signal.filter(|_| self.mode.signals) {
            if self.mode.echo {
                typed.echo.extend([b'^', byte + 64]);
            }
            self.line.clear();
            typed.signals.push(signal);
            return;
        }
        if !self.mode.canonical {
            self.ready.push_back(byte);
            typed.wake = true;
            if self.mode.echo {
                typed.echo.push(byte);
            }
            return;
        }
        self.cooked_key(byte, typed);
    }

    fn cooked_key(&mut self, byte: u8, typed: &mut Typed) {
        match byte {
            b'\r' | b'\n' => {
                self.line.push(b'\n');
                self.echo(b"\r\n", typed);
                self.finish_line(typed);
            }
            4 => self.finish_line(typed),
            8 | 127 => self.erase(1, typed),
            21 => self.erase(usize::MAX, typed),
            23 => {
                let word = self.line.iter().rev().skip_while(|b| **b == b' ').skip_while(|b| **b != b' ').count();
                self.erase(self.line.len() - word, typed);
            }
            byte if byte < 32 && byte != b'\t' => {
                self.line.push(byte);
                self.echo(&[b'^', byte + 64], typed);
            }
            _ => {
                self.line.push(byte);
                self.echo(&[byte], typed);
            }
        }
    }

    fn finish_line(&mut self, typed: &mut Typed) {
        self.ready.extend(self.line.drain(..));
        self.breaks.push_back(self.taken + self.ready.len());
        typed.wake = true;
    }

    fn erase(&mut self, count: usize, typed: &mut Typed) {
        for _ in 0..count {
            // One character may be several bytes of UTF-8.
            while self.line.last().is_some_and(|b| b & 0xc0 == 0x80) {
                self.line.pop();
            }
            if self.line.pop().is_none() {
                return;
            }
            self.echo(b"\x08 \x08", typed);
        }
    }

    fn echo(&self, bytes: &[u8], typed: &mut Typed) {
        if self.mode.echo {
            typed.echo.extend_from_slice(bytes);
        }
    }

    /// Bytes for a reader; `None` if it has to wait, empty at end of file.
    pub fn read(&mut self, max: usize) -> Option<Vec<u8>> {
        let end = match self.breaks.front() {
            Some(&end) => end - self.taken,
            None if !self.ready.is_empty() => self.ready.len(),
            None if self.hung_up => return Some(Vec::new()),
            None => return None,
        };
        let n = end.min(max);
        let read: Vec<u8> = self.ready.drain(..n).collect();
        self.taken += n;
        if n == end {
            self.breaks.pop_front();
        }
        Some(read)
    }

    /// Going raw makes what was typed of a line readable.
    pub fn set_mode(&mut self, mode: TtyMode) {
        if !mode.canonical && self.mode.canonical {
            self.ready.extend(self.line.drain(..));
            self.breaks.clear();
        }
        self.mode = mode;
    }

    /// Bytes as they go to the screen.
    pub fn output(&self, bytes: &[u8]) -> Vec<u8> {
        if !self.mode.output_newlines {
            return bytes.to_vec();
        }
        let mut out = Vec::with_capacity(bytes.len() + 8);
        for &byte in bytes {
            if byte == b'\n' {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    }

    pub fn wait(&mut self, pid: Pid) {
        if !self.waiters.contains(&pid) {
            self.waiters.push(pid);
        }
    }
}
