//! Open file descriptions, shared by the descriptors that were duplicated or inherited.

use std::rc::Rc;

use super::pipe::Pipe;
use super::tty::TtyId;
use super::{Machine, MachineOutput, StreamId, Sys};
use crate::errno::Errno;
use crate::net::{ConnId, NetOutput};
use crate::program::{Fd, Text};
use crate::vfs::{Device, FsId, Ino, Volumes};

/// How `open` is to open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags {
    pub read: bool,
    pub write: bool,
    pub create: bool,
    /// With `create`: fails if it exists.
    pub exclusive: bool,
    pub truncate: bool,
    pub append: bool,
}

impl OpenFlags {
    pub const READ: OpenFlags =
        OpenFlags { read: true, write: false, create: false, exclusive: false, truncate: false, append: false };
    /// `>`
    pub const WRITE: OpenFlags = OpenFlags { read: false, write: true, create: true, truncate: true, ..OpenFlags::READ };
    /// `>>`
    pub const APPEND: OpenFlags = OpenFlags { truncate: false, append: true, ..OpenFlags::WRITE };
    /// `<>`
    pub const READ_WRITE: OpenFlags = OpenFlags { read: true, truncate: false, ..OpenFlags::WRITE };
}

#[derive(Clone)]
pub(super) enum Kind {
    File {
        fs: FsId,
        ino: Ino,
    },
    /// A snapshot (of `/proc`).
    Memory(Rc<Vec<u8>>),
    PipeRead(u32),
    PipeWrite(u32),
    Tty(TtyId),
    Input(StreamId),
    Output(StreamId),
    Device(Device),
    Conn(ConnId),
    Listener(u16),
    Dns(u16),
}

#[derive(Clone)]
pub(super) struct OpenFile {
    pub kind: Kind,
    pub offset: u64,
    pub references: u32,
    pub read: bool,
    pub write: bool,
    pub append: bool,
    pub path: Text,
}

impl OpenFile {
    pub fn new(kind: Kind, read: bool, write: bool) -> OpenFile {
        OpenFile { kind, offset: 0, references: 1, read, write, append: false, path: "".into() }
    }
}

impl Machine {
    /// Adds a description with one reference.
    pub(super) fn add_file(&mut self, file: OpenFile) -> u32 {
        self.counters.file += 1;
        self.files.insert(self.counters.file, file);
        self.counters.file
    }

    pub(super) fn retain_file(&mut self, id: u32) {
        if let Some(file) = self.files.get_mut(&id) {
            file.references += 1;
        }
    }

    /// A descriptor has gone; with the last one the description closes.
    pub(super) fn release_file(&mut self, id: u32, volumes: &mut Volumes, out: &mut Vec<MachineOutput>) {
        let Some(file) = self.files.get_mut(&id) else { return };
        file.references -= 1;
        if file.references > 0 {
            return;
        }
        let Some(file) = self.files.remove(&id) else { return };
        match file.kind {
            Kind::File { fs: FsId::Root, ino } => self.root.close(ino),
            Kind::File { fs: FsId::Volume(volume), ino } => {
                if let Some(volume) = volumes.get_mut(volume) {
                    volume.tree.close(ino);
                }
            }
            Kind::PipeRead(id) => self.close_pipe(id, |pipe| pipe.readers -= 1),
            Kind::PipeWrite(id) => self.close_pipe(id, |pipe| pipe.writers -= 1),
            Kind::Conn(conn) => {
                self.conns.remove(&conn);
                out.push(MachineOutput::Net(NetOutput::Close { conn }));
            }
            Kind::Listener(port) => {
                if let Some(listener) = self.listeners.remove(&port) {
                    for conn in listener.backlog.iter() {
                        self.conns.remove(conn);
                        out.push(MachineOutput::Net(NetOutput::Close { conn: *conn }));
                    }
                }
                out.push(MachineOutput::Net(NetOutput::Unlisten { port }));
            }
            Kind::Dns(port) => {
                self.dns_servers.remove(&port);
            }
            Kind::Memory(_) | Kind::Tty(_) | Kind::Input(_) | Kind::Output(_) | Kind::Device(_) => {}
        }
    }

    fn close_pipe(&mut self, id: u32, change: impl FnOnce(&mut Pipe)) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let pipe = Rc::make_mut(pipe);
        change(pipe);
        let waiters = std::mem::take(&mut pipe.waiters);
        if pipe.readers == 0 && pipe.writers == 0 {
            self.pipes.remove(&id);
        }
        self.wake_all(waiters);
    }

    /// The reading end of a stream that the owner feeds.
    pub(super) fn open_input(&mut self, stream: StreamId) -> Kind {
        if !self.inputs.contains_key(&stream) {
            self.inputs.insert(stream, Rc::new(Pipe::new()));
        }
        Kind::Input(stream)
    }
}

/// Output that a program has produced and a descriptor may not take at once. Kept in the program's state:
///
/// ```text
/// self.out.push(b"…");
/// match self.out.flush(sys) { Ok(true) => …done, Ok(false) => return Poll::Pending, Err(_) => return Poll::Exit(1) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteOut {
    queue: std::collections::VecDeque<(Fd, Vec<u8>)>,
    /// How much of the first piece is written.
    done: usize,
}

impl WriteOut {
    /// Queues bytes for a descriptor, in order.
    pub fn push(&mut self, fd: Fd, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match self.queue.back_mut() {
            Some((last, data)) if *last == fd => data.extend_from_slice(bytes),
            _ => self.queue.push_back((fd, bytes.to_vec())),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes not written yet.
    pub fn len(&self) -> usize {
        self.queue.iter().map(|(_, data)| data.len()).sum::<usize>() - self.done
    }

    /// Writes what can be written. `Ok(true)`: nothing is left; `Ok(false)`: the process will be woken to go on. On an error
    /// the piece is dropped.
    pub fn flush(&mut self, sys: &mut Sys<'_>) -> Result<bool, Errno> {
        while let Some((fd, data)) = self.queue.front() {
            match sys.write(*fd, &data[self.done..]) {
                Ok(n) => self.done += n,
                Err(Errno::EAGAIN) => return Ok(false),
                Err(error) => {
                    self.queue.pop_front();
                    self.done = 0;
                    return Err(error);
                }
            }
            if self.done >= data.len() {
                self.queue.pop_front();
                self.done = 0;
            }
        }
        Ok(true)
    }
}
