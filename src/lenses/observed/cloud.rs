//! The cloud that the machines are rented from.

use protocol::State;

use super::Place;

/// What the cloud has, as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CloudSeen {
    pub state: State,
    /// `cloud/machine/node-1`: where it is and whether it runs.
    pub machines: Vec<Place>,
    /// `cloud/balancer/172.18.255.1`: the Service that it was made for.
    pub balancers: Vec<Place>,
}

impl CloudSeen {
    /// `3 machines`, `1 load balancer`
    pub fn counts(&self) -> [String; 2] {
        let some = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        [some(self.machines.len(), "machine"), some(self.balancers.len(), "load balancer")]
    }
}
