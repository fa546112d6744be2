//! Bytes through a descriptor: read, write and seek, of files, pipes, streams, terminals, devices and connections.

use std::rc::Rc;

use crate::errno::Errno;
use crate::machine::file::Kind;
use crate::machine::pipe::{CAPACITY, Pipe};
use crate::machine::{MachineOutput, Sys};
use crate::program::Fd;
use crate::signal::Signal;
use crate::vfs::{Device, FsId};

/// Bytes of one read at most.
const MAX_READ: usize = 256 * 1024;

impl Sys<'_> {
    /// Reads up to `max` bytes. Empty: end of file. `EAGAIN`: the process is woken when there is something.
    pub fn read(&mut self, fd: Fd, max: usize) -> Result<Vec<u8>, Errno> {
        let max = max.min(MAX_READ);
        let (id, pid) = (self.file_id(fd)?, self.pid);
        let file = self.machine.files.get(&id).ok_or(Errno::EBADF)?;
        if !file.read {
            return Err(Errno::EBADF);
        }
        let (kind, offset) = (file.kind.clone(), file.offset as usize);
        let data = match kind {
            Kind::File { fs, ino } => {
                let bytes = self.with_fs(|view, _, _| view.tree(fs)?.data(ino))?;
                self.take(id, &bytes, offset, max)
            }
            Kind::Memory(bytes) => self.take(id, &bytes, offset, max),
            Kind::PipeRead(pipe) => {
                let pipe = Rc::make_mut(self.machine.pipes.get_mut(&pipe).ok_or(Errno::EBADF)?);
                let ended = pipe.writers == 0;
                let data = pull(pipe, max, pid, ended)?;
                let waiters = std::mem::take(&mut pipe.waiters);
                self.machine.wake_all(waiters);
                data
            }
            Kind::Input(stream) => {
                let Some(pipe) = self.machine.inputs.get_mut(&stream) else { return Ok(Vec::new()) };
                let pipe = Rc::make_mut(pipe);
                let ended = pipe.writers == 0;
                pull(pipe, max, pid, ended)?
            }
            Kind::Tty(tty) => {
                let tty = Rc::make_mut(self.machine.ttys.get_mut(&tty).ok_or(Errno::EIO)?);
                tty.read(max).ok_or_else(|| {
                    tty.wait(pid);
                    Errno::EAGAIN
                })?
            }
            Kind::Device(device) => self.read_device(device, max),
            Kind::Conn(conn) => self.read_conn(conn, max)?,
            Kind::PipeWrite(_) | Kind::Output(_) => return Err(Errno::EBADF),
            Kind::Listener(_) | Kind::Dns(_) => return Err(Errno::EINVAL),
        };
        self.charged += 1 + data.len() as i64 / 65_536;
        Ok(data)
    }

    fn take(&mut self, id: u32, bytes: &[u8], offset: usize, max: usize) -> Vec<u8> {
        let start = offset.min(bytes.len());
        let end = (start + max).min(bytes.len());
        if let Some(file) = self.machine.files.get_mut(&id) {
            file.offset = end as u64;
        }
        bytes[start..end].to_vec()
    }

    fn read_device(&mut self, device: Device, max: usize) -> Vec<u8> {
        match device {
            Device::Zero | Device::Full => vec![0; max],
            Device::Random => {
                let seed = base::Seed(base::hash64(self.machine.config.hostname.as_bytes())).derive("random");
                let mut bytes = Vec::with_capacity(max + 8);
                while bytes.len() < max {
                    self.machine.counters.random += 1;
                    bytes.extend(seed.draw(self.machine.counters.random).to_le_bytes());
                }
                bytes.truncate(max);
                bytes
            }
            Device::Null | Device::Tty | Device::Fd(_) => Vec::new(),
        }
    }

    /// Writes what fits now. `EAGAIN`: nothing did, the process is woken when there is room. `EPIPE` comes with SIGPIPE.
    pub fn write(&mut self, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
        let id = self.file_id(fd)?;
        let file = self.machine.files.get(&id).ok_or(Errno::EBADF)?;
        if !file.write {
            return Err(Errno::EBADF);
        }
        self.charged += 1 + bytes.len() as i64 / 65_536;
        let (kind, offset, append) = (file.kind.clone(), file.offset, file.append);
        match kind {
            Kind::File { fs, ino } => self.write_file_at(id, (fs, ino), offset, append, bytes),
            Kind::PipeWrite(pipe) => self.write_pipe(pipe, bytes),
            Kind::Output(stream) => {
                if let Some(waiters) = self.machine.held.get_mut(&stream) {
                    waiters.push(self.pid);
                    return Err(Errno::EAGAIN);
                }
                // Output that nobody holds back is paid for: it bounds `yes` without a reader.
                self.charged += bytes.len() as i64 / 32;
                self.out.push(MachineOutput::Output { stream, data: bytes.into() });
                Ok(bytes.len())
            }
            Kind::Tty(id) => {
                self.charged += bytes.len() as i64 / 32;
                let tty = self.machine.ttys.get(&id).ok_or(Errno::EIO)?;
                let data: Rc<[u8]> = tty.output(bytes).into();
                self.out.push(MachineOutput::TtyOutput { tty: id, data });
                Ok(bytes.len())
            }
            Kind::Device(Device::Full) => Err(Errno::ENOSPC),
            Kind::Device(_) => Ok(bytes.len()),
            Kind::Conn(conn) => self.write_conn(conn, bytes),
            Kind::Memory(_) | Kind::PipeRead(_) | Kind::Input(_) => Err(Errno::EBADF),
            Kind::Listener(_) | Kind::Dns(_) => Err(Errno::EINVAL),
        }
    }

    fn write_file_at(&mut self, id: u32, at: (FsId, u32), offset: u64, append: bool, bytes: &[u8]) -> Result<usize, Errno> {
        let now = self.now;
        let (offset, n, grown) = self.with_fs(|fs, _, _| {
            let tree = fs.tree_mut(at.0)?;
            let offset = if append { tree.data(at.1)?.len() as u64 } else { offset };
            let before = tree.memory();
            let n = tree.write(at.1, offset, bytes, now)?;
            Ok::<_, Errno>((offset, n, tree.memory() > before))
        })?;
        if grown {
            // Files in memory are the writer's memory.
            self.check_memory();
        }
        if let Some(file) = self.machine.files.get_mut(&id) {
            file.offset = offset + n as u64;
        }
        Ok(n)
    }

    fn write_pipe(&mut self, id: u32, bytes: &[u8]) -> Result<usize, Errno> {
        let pid = self.pid;
        let pipe = Rc::make_mut(self.machine.pipes.get_mut(&id).ok_or(Errno::EBADF)?);
        if pipe.readers == 0 {
            self.broken_pipe();
            return Err(Errno::EPIPE);
        }
        let room = pipe.room();
        // Writes up to 4 KiB are atomic.
        if room == 0 || (bytes.len() <= 4096 && room < bytes.len()) {
            pipe.wait(pid);
            return Err(Errno::EAGAIN);
        }
        let n = bytes.len().min(room).min(CAPACITY);
        pipe.push(&bytes[..n]);
        let waiters = std::mem::take(&mut pipe.waiters);
        self.machine.wake_all(waiters);
        Ok(n)
    }

    pub(in crate::machine) fn broken_pipe(&mut self) {
        let pid = self.pid;
        // Even process 1 of a container ends here: without a handler it sees EPIPE and gives up.
        self.machine.post_signal(pid, Signal::PIPE, false);
    }

    /// Sets the position of a file; returns the new one.
    pub fn seek(&mut self, fd: Fd, offset: u64) -> Result<u64, Errno> {
        let id = self.file_id(fd)?;
        let file = self.machine.files.get_mut(&id).ok_or(Errno::EBADF)?;
        match file.kind {
            Kind::File { .. } | Kind::Memory(_) => {
                file.offset = offset;
                Ok(offset)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

fn pull(pipe: &mut Pipe, max: usize, pid: u32, ended: bool) -> Result<Vec<u8>, Errno> {
    if pipe.len() == 0 && !ended {
        pipe.wait(pid);
        return Err(Errno::EAGAIN);
    }
    Ok(pipe.pull(max))
}
