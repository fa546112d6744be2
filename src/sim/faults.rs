//! What can go wrong between processes, by the user's hand or by a seeded test.

use base::{Duration, Map, Set};

use crate::message::Addr;

/// A directed pair of processes.
pub type Link = (Addr, Addr);

/// The faults in force. Empty in a healthy cluster, and then costs nothing.
#[derive(Clone, Default, Debug)]
pub struct Faults {
    /// Nothing passes in this direction: packets are lost, as behind a firewall that drops.
    pub cut: Set<Link>,
    /// Takes that much longer.
    pub delay: Map<Link, Duration>,
    /// Lost with this chance, in thousandths.
    pub drop_per_mille: Map<Link, u32>,
    /// Holds all that comes for it (SIGSTOP); timers fire when it is thawed.
    pub frozen: Set<Addr>,
}

impl Faults {
    pub fn is_empty(&self) -> bool {
        self.cut.is_empty() && self.delay.is_empty() && self.drop_per_mille.is_empty() && self.frozen.is_empty()
    }
}
