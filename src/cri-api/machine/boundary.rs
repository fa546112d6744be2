//! What comes in from a machine's owner.

use std::rc::Rc;

use base::Time;

use super::sys_net::CallKind;
use super::tty::{Tty, Typed};
use super::{Host, Machine, MachineInput, MachineOutput, StreamId, TtyId};
use crate::signal::{Disposition, Signal};

impl Machine {
    pub(super) fn deliver(&mut self, now: Time, host: &mut Host<'_>, input: MachineInput, out: &mut Vec<MachineOutput>) {
        let _ = (now, &host);
        match input {
            MachineInput::Timer => {}
            MachineInput::Signal { pid, signal } => self.post_signal(pid, signal, true),
            MachineInput::Stdin { stream, data } => self.feed(stream, |pipe| pipe.push(&data)),
            MachineInput::StdinEof { stream } => self.feed(stream, |pipe| pipe.writers = 0),
            MachineInput::Hold { stream, held: true } => {
                self.held.insert(stream, Vec::new());
            }
            MachineInput::Hold { stream, held: false } => {
                let waiters = self.held.remove(&stream).unwrap_or_default();
                self.wake_all(waiters);
            }
            MachineInput::Tty { tty, data } => self.change_tty(tty, out, |tty| tty.input(&data)),
            MachineInput::TtyResize { tty, cols, rows } => self.change_tty(tty, out, |tty| {
                (tty.cols, tty.rows) = (cols, rows);
                Typed { signals: vec![Signal::WINCH], ..Typed::default() }
            }),
            MachineInput::TtyHangup { tty } => self.change_tty(tty, out, |tty| {
                tty.hung_up = true;
                Typed { signals: vec![Signal::HUP], wake: true, ..Typed::default() }
            }),
            MachineInput::Net(input) => self.deliver_net(input, out),
            MachineInput::Api { call, event } => self.finish_call(call, |kind| {
                if let CallKind::Api { events, over } = kind {
                    *over |= event.is_last();
                    events.push_back(event);
                }
            }),
            MachineInput::Edited { call, text } => self.finish_call(call, |kind| {
                if let CallKind::Edit(slot) = kind {
                    *slot = Some(text);
                }
            }),
        }
    }

    fn feed(&mut self, stream: StreamId, change: impl FnOnce(&mut super::pipe::Pipe)) {
        let Some(pipe) = self.inputs.get_mut(&stream) else { return };
        let pipe = Rc::make_mut(pipe);
        change(pipe);
        let waiters = std::mem::take(&mut pipe.waiters);
        self.wake_all(waiters);
    }

    fn change_tty(&mut self, id: TtyId, out: &mut Vec<MachineOutput>, change: impl FnOnce(&mut Tty) -> Typed) {
        let Some(tty) = self.ttys.get_mut(&id) else { return };
        let tty = Rc::make_mut(tty);
        let typed = change(tty);
        let foreground = tty.foreground;
        let waiters = if typed.wake { std::mem::take(&mut tty.waiters) } else { Vec::new() };
        if !typed.echo.is_empty() {
            out.push(MachineOutput::TtyOutput { tty: id, data: typed.echo.into() });
        }
        for signal in typed.signals {
            self.post_group(foreground, signal);
        }
        self.wake_all(waiters);
    }

    /// Whether process `pid` does something of its own on a signal (the kubelet needs no answer, the page shows it).
    pub fn catches(&self, pid: u32, signal: Signal) -> bool {
        self.proc(pid).is_some_and(|p| p.disposition(signal) == Disposition::Catch)
    }
}
