//! Health and leadership: etcd's members, leases, nodes, and what was found to work.

use base::{Duration, Time};
use protocol::{Glyph, Span, State, Thing};

use super::{CloudSeen, Link, Part, Traffic};

/// Everything that the Control plane lens draws.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    pub now: Time,
    /// `node cp-1 · static pods …`
    pub place: String,
    pub machine: String,
    pub members: Vec<MemberSeen>,
    /// `1 member: quorum 1, tolerates no failure`
    pub quorum: String,
    pub apiserver: ComponentHealth,
    /// Those that elect a leader.
    pub candidates: Vec<ComponentHealth>,
    /// Outside of the cluster, if the machines are rented.
    pub cloud: Option<CloudSeen>,
    pub nodes: Vec<NodeHealth>,
    /// Instead of `nodes`, where there are too many for a box each.
    pub cells: Vec<super::NodeCell>,
    /// Connections between the boxes, with their faults.
    pub links: Vec<Link>,
    pub checks: Vec<CheckSeen>,
    /// When the checks were tried, and what is under way.
    pub checks_note: String,
    pub traffic: Vec<Traffic>,
}

/// One etcd member as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberSeen {
    /// `etcd` (the only one), else `etcd/cp-1`.
    pub id: String,
    pub title: String,
    pub state: State,
    pub leader: bool,
    /// `leader`, `follower`, `stopped`
    pub role: String,
    pub term: u64,
    pub revision: i64,
    /// Index of the newest log entry, of the newest committed and the newest applied one.
    pub last: u64,
    pub commit: u64,
    pub applied: u64,
    pub db_size: u64,
}

/// A component of the control plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComponentHealth {
    pub id: String,
    pub title: String,
    pub state: State,
    pub glyph: Glyph,
    pub lines: Vec<Vec<Span>>,
    pub leader: bool,
    pub lease: Option<LeaseSeen>,
}

/// A lease as the API has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeaseSeen {
    pub holder: String,
    /// Since the last renewal.
    pub age: Duration,
    pub duration: Duration,
}

impl LeaseSeen {
    /// What is left of it, from 0 to 1.
    pub fn left(&self) -> f32 {
        let duration = self.duration.as_secs_f64().max(0.001);
        (1.0 - self.age.as_secs_f64() / duration).clamp(0.0, 1.0) as f32
    }
}

/// A node's health as the API has it, with its processes as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeHealth {
    pub name: String,
    pub state: State,
    pub glyph: Glyph,
    pub note: String,
    /// Type and status of its conditions, and whether that is good.
    pub conditions: Vec<(String, String, bool)>,
    pub lease: Option<LeaseSeen>,
    /// `status 12 s ago`, taints, pods.
    pub facts: Vec<String>,
    pub parts: Vec<Part>,
}

/// One question of "what works now".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckSeen {
    /// `read`
    pub name: String,
    /// `Read`
    pub title: String,
    pub state: State,
    pub glyph: Glyph,
    /// What came of it, in a few words.
    pub line: String,
    pub opens: Option<Thing>,
}
