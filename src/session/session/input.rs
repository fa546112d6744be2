//! What is done to the cluster: by the user, by a button of the page, by a host.

use std::rc::Rc;

use cri_api::host::HostMessage;
use sim::MsgId;

use super::Session;

/// Texts that the page edits, and who waits for them. Machines number theirs on their own, so two of them may say the same number:
/// the page has this list's numbers.
#[derive(Default)]
pub(super) struct Buffers {
    next: u32,
    /// The page's number, the machine, the machine's number.
    open: Vec<(u32, Rc<str>, u32)>,
}

impl Buffers {
    /// The page's number for a machine's text.
    pub(super) fn open(&mut self, machine: Rc<str>, buffer: u32) -> u32 {
        self.next += 1;
        self.open.push((self.next, machine, buffer));
        self.next
    }
}

impl Session {
    /// What follows from a message that set out before belongs to what the user has just done.
    pub(crate) fn follow(&mut self, cause: MsgId) {
        if let Some(bottle) = &self.bottle {
            let now = bottle.head().now();
            self.pacer.begin_chain(cause.0, now);
        }
    }

    /// An input for the laptop. In the past it forks; the chain that it begins is slow enough to be seen.
    pub(crate) fn to_laptop(&mut self, message: HostMessage) {
        self.input(cluster::Input::Laptop(message.into()));
    }

    /// A text was saved, or given up: to the machine that wants it back, which is a node's for `vi` behind `ssh`.
    pub(super) fn buffer_closed(&mut self, number: u32, saved: Option<Rc<str>>) {
        let Some(at) = self.buffers.open.iter().position(|(n, ..)| *n == number) else { return };
        let (_, machine, buffer) = self.buffers.open.remove(at);
        let message = HostMessage::BufferClosed { buffer, saved };
        match self.bottle.as_ref().is_some_and(|b| b.head().nodes.contains_key(&machine)) {
            true => self.input(cluster::Input::Machine(machine, message.into())),
            false => self.to_laptop(message),
        }
    }

    pub(crate) fn input(&mut self, input: cluster::Input) {
        let Some(bottle) = &mut self.bottle else { return };
        let was_past = bottle.is_past();
        bottle.fork(None);
        self.wake_terminals();
        let Some(bottle) = &mut self.bottle else { return };
        let id = bottle.input(input);
        let now = bottle.head().now();
        self.pacer.begin_chain(id.0, now);
        if was_past {
            self.pacer.paused = false;
            self.after_jump();
        }
    }
}
