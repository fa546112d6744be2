//! A pipe, and a stream of input from the owner: bytes between two sides, with back-pressure.

use crate::program::Pid;

/// Bytes that a pipe holds (Linux: 16 pages).
pub(super) const CAPACITY: usize = 64 * 1024;

#[derive(Clone, Default)]
pub(super) struct Pipe {
    data: Vec<u8>,
    /// Where the unread part of `data` begins.
    start: usize,
    pub readers: u32,
    pub writers: u32,
    pub waiters: Vec<Pid>,
}

impl Pipe {
    /// With one reader and one writer.
    pub fn new() -> Pipe {
        Pipe { readers: 1, writers: 1, ..Pipe::default() }
    }

    pub fn len(&self) -> usize {
        self.data.len() - self.start
    }

    pub fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.len())
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    pub fn pull(&mut self, max: usize) -> Vec<u8> {
        let n = self.len().min(max);
        let taken = self.data[self.start..self.start + n].to_vec();
        self.start += n;
        if self.start == self.data.len() {
            self.data.clear();
            self.start = 0;
        } else if self.start > CAPACITY {
            self.data.drain(..self.start);
            self.start = 0;
        }
        taken
    }

    /// Notes that a process waits here.
    pub fn wait(&mut self, pid: Pid) {
        if !self.waiters.contains(&pid) {
            self.waiters.push(pid);
        }
    }
}
