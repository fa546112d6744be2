//! What can run short on a node, and from where on it has. Models `pkg/kubelet/eviction/api` and the thresholds of `helpers.go`.

use apimachinery::Quantity;
use base::Duration;
use cri_api::cri::NodeStats;

/// Something that a node can run short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    Memory,
    NodeFs,
    ImageFs,
    Pid,
}

/// The node's conditions of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressures {
    pub memory: bool,
    pub disk: bool,
    pub pid: bool,
}

impl Signal {
    pub const ALL: [Signal; 4] = [Signal::Memory, Signal::NodeFs, Signal::ImageFs, Signal::Pid];

    /// As it is named in a kubelet's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Memory => "memory.available",
            Signal::NodeFs => "nodefs.available",
            Signal::ImageFs => "imagefs.available",
            Signal::Pid => "pid.available",
        }
    }
    pub fn parse(name: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|s| s.name() == name)
    }
    /// The resource that is to be reclaimed. Images are on the one disk that there is.
    pub fn resource(self) -> &'static str {
        match self {
            Signal::Memory => "memory",
            Signal::NodeFs | Signal::ImageFs => "ephemeral-storage",
            Signal::Pid => "pids",
        }
    }
    pub fn is_of_the_disk(self) -> bool {
        matches!(self, Signal::NodeFs | Signal::ImageFs)
    }
    pub fn available(self, node: &NodeStats) -> i64 {
        (match self {
            Signal::Memory => node.memory_available_bytes(),
            Signal::NodeFs | Signal::ImageFs => node.disk_available_bytes(),
            Signal::Pid => node.processes_available(),
        }) as i64
    }
    fn capacity(self, node: &NodeStats) -> i64 {
        (match self {
            Signal::Memory => node.memory_capacity_bytes,
            Signal::NodeFs | Signal::ImageFs => node.disk_capacity_bytes,
            Signal::Pid => node.process_capacity,
        }) as i64
    }
    /// An amount of it, as messages print it.
    pub fn amount(self, n: i64) -> String {
        match self {
            Signal::Pid => Quantity::new(n).canonical(),
            _ => Quantity::binary(n).canonical(),
        }
    }
}

/// A quantity, or a share of what there is.
#[derive(Clone, Debug)]
pub enum Amount {
    Quantity(Quantity),
    /// Of a hundred.
    Percent(f64),
}

impl Amount {
    /// `100Mi`, `10%`. `None`: neither.
    pub fn parse(text: &str) -> Option<Amount> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p)).map(Amount::Percent),
            None => Quantity::parse(text).ok().filter(|q| q.sign() >= 0).map(Amount::Quantity),
        }
    }
}

/// From where on a node is short of something: `evictionHard`, or with a grace period `evictionSoft`.
#[derive(Clone, Debug)]
pub struct Threshold {
    pub signal: Signal,
    pub amount: Amount,
    pub grace: Option<Duration>,
}

impl Threshold {
    pub fn hard(signal: Signal, amount: Amount) -> Threshold {
        Threshold { signal, amount, grace: None }
    }

    /// `evictionHard` of a kubelet that says nothing of it (inodes are not modelled).
    pub fn defaults() -> Vec<Threshold> {
        vec![
            Threshold::hard(Signal::Memory, Amount::Quantity(Quantity::binary(100 << 20))),
            Threshold::hard(Signal::NodeFs, Amount::Percent(10.0)),
            Threshold::hard(Signal::ImageFs, Amount::Percent(15.0)),
        ]
    }

    /// Below it the node is short.
    pub fn value(&self, node: &NodeStats) -> i64 {
        match &self.amount {
            Amount::Quantity(quantity) => quantity.value(),
            Amount::Percent(percent) => (self.signal.capacity(node) as f64 * percent / 100.0) as i64,
        }
    }

    /// The same in words.
    pub fn text(&self, node: &NodeStats) -> String {
        match &self.amount {
            Amount::Quantity(quantity) => quantity.canonical(),
            Amount::Percent(_) => self.signal.amount(self.value(node)),
        }
    }

    pub fn is_met(&self, node: &NodeStats) -> bool {
        self.signal.available(node) < self.value(node)
    }
}

impl Pressures {
    pub fn set(&mut self, signal: Signal) {
        match signal {
            Signal::Memory => self.memory = true,
            Signal::NodeFs | Signal::ImageFs => self.disk = true,
            Signal::Pid => self.pid = true,
        }
    }
    pub fn any(self) -> bool {
        self.memory || self.disk || self.pid
    }
    /// The conditions that are true: `MemoryPressure DiskPressure`.
    pub fn names(self) -> String {
        let all = [(self.memory, "MemoryPressure"), (self.disk, "DiskPressure"), (self.pid, "PIDPressure")];
        all.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_quantities_or_shares() {
        let node = NodeStats { disk_capacity_bytes: 1 << 30, disk_used_bytes: 950 << 20, ..NodeStats::default() };
        let threshold = |text: &str| Threshold::hard(Signal::NodeFs, Amount::parse(text).unwrap());
        assert_eq!((threshold("10%").value(&node), threshold("10%").text(&node)), (107_374_182, "107374182".into()));
        assert_eq!((threshold("100Mi").value(&node), threshold("100Mi").text(&node)), (100 << 20, "100Mi".into()));
        assert!(threshold("10%").is_met(&node) && !threshold("50Mi").is_met(&node));
        assert!(Amount::parse("-1Gi").is_none() && Amount::parse("101%").is_none() && Amount::parse("much").is_none());
        assert_eq!(Signal::parse("nodefs.inodesFree"), None);
    }
}
