//! What is done to the cluster: by the user, by a button of the page, by a host.

use cri_api::host::HostMessage;
use sim::MsgId;

use super::Session;

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
