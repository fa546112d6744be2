//! What happened to a request inside the server, for the pod creation flow: kept for the newest requests, beside the state.

use std::rc::Rc;

use base::{Time, Vector};
use sim::MsgId;

/// How many requests are remembered.
const KEPT: usize = 512;

/// The stages that a request has passed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    pub user: Rc<str>,
    /// Why it was allowed: the binding, or `system:masters`.
    pub authorized_by: Rc<str>,
    /// Admission plugins that changed the object.
    pub mutated_by: Vec<&'static str>,
    /// Admission plugin that refused.
    pub refused_by: Option<&'static str>,
    pub valid: bool,
    /// The etcd revision that was written; 0: none.
    pub revision: i64,
    pub received: Time,
    pub answered: Time,
    pub code: u16,
}

/// The ring of remembered requests.
#[derive(Clone, Default)]
pub struct Ring(Vector<(MsgId, Rc<Stages>)>);

impl Ring {
    pub fn push(&mut self, id: MsgId, stages: Stages) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((id, Rc::new(stages)));
    }
    pub fn get(&self, id: MsgId) -> Option<&Rc<Stages>> {
        self.0.iter().rev().find(|(i, _)| *i == id).map(|(_, s)| s)
    }
}
