//! A process' view of its terminal: size, mode, and who gets ^C.

use std::rc::Rc;

use crate::errno::Errno;
use crate::machine::Sys;
use crate::machine::file::Kind;
use crate::machine::tty::{TtyId, TtyMode};
use crate::program::Fd;

impl Sys<'_> {
    pub fn is_tty(&self, fd: Fd) -> bool {
        matches!(self.file(fd).map(|f| &f.kind), Ok(Kind::Tty(_)))
    }

    fn tty_of(&self, fd: Fd) -> Result<TtyId, Errno> {
        match self.file(fd)?.kind {
            Kind::Tty(tty) => Ok(tty),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// Columns and rows.
    pub fn tty_size(&self, fd: Fd) -> Result<(u16, u16), Errno> {
        let tty = self.machine.ttys.get(&self.tty_of(fd)?).ok_or(Errno::EIO)?;
        Ok((tty.cols, tty.rows))
    }

    pub fn tty_mode(&self, fd: Fd) -> Result<TtyMode, Errno> {
        Ok(self.machine.ttys.get(&self.tty_of(fd)?).ok_or(Errno::EIO)?.mode)
    }

    pub fn set_tty_mode(&mut self, fd: Fd, mode: TtyMode) -> Result<(), Errno> {
        let id = self.tty_of(fd)?;
        let tty = Rc::make_mut(self.machine.ttys.get_mut(&id).ok_or(Errno::EIO)?);
        tty.set_mode(mode);
        let waiters = std::mem::take(&mut tty.waiters);
        self.machine.wake_all(waiters);
        Ok(())
    }

    /// `tcsetpgrp`: who gets ^C.
    pub fn set_tty_foreground(&mut self, fd: Fd, group: crate::program::Pid) -> Result<(), Errno> {
        let id = self.tty_of(fd)?;
        Rc::make_mut(self.machine.ttys.get_mut(&id).ok_or(Errno::EIO)?).foreground = group;
        Ok(())
    }
}
