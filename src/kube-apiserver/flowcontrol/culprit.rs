//! Who asks too much: the flows that found no seat lately, and the answers that refused them. For the page only.

use std::rc::Rc;

use apimachinery::UserInfo;
use base::{Duration, Sort as _, Time, Vector};
use sim::{Addr, MsgId};

use super::state::{Parked, Reason};

/// How many flows are remembered, and how many refusals.
const KEPT: usize = 16;
const KEPT_REFUSALS: usize = 128;

/// A flow that had to wait or was refused.
#[derive(Clone, Debug)]
pub struct Culprit {
    pub schema: Rc<str>,
    pub level: Rc<str>,
    /// The flow's name within its schema: a user or a namespace.
    pub flow: Rc<str>,
    /// Who asked last, and from where.
    pub user: Rc<UserInfo>,
    pub client: Addr,
    pub user_agent: Rc<str>,
    pub waited: u64,
    pub refused: u64,
    pub first: Time,
    pub last: Time,
    /// The second that is being counted, requests in it, and in the one before.
    second: i64,
    count: u32,
    before: u32,
}

impl Culprit {
    fn count(&mut self, now: Time) {
        let second = now.secs();
        if second != self.second {
            self.before = if second == self.second + 1 { self.count } else { 0 };
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
    }

    /// Requests in the last whole second, or in this one if it has more already.
    pub fn rate(&self, now: Time) -> u32 {
        match now.secs() - self.second {
            0 => self.count.max(self.before),
            1 => self.count,
            _ => 0,
        }
    }

    /// `metadata.name` and namespace of the pod whose token it shows.
    pub fn pod(&self) -> Option<(&str, &str)> {
        let name = self.user.extra.iter().find(|(k, _)| &**k == "authentication.kubernetes.io/pod-name")?.1.first()?;
        let namespace = self.user.name.strip_prefix("system:serviceaccount:")?.split(':').next()?;
        Some((namespace, name))
    }
}

/// A request that got no seat.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub msg: MsgId,
    pub schema: Rc<str>,
    pub level: Rc<str>,
    pub flow: Rc<str>,
    pub user: Rc<str>,
    pub reason: Reason,
    /// The level's seats, and how many waited for one.
    pub seats: i64,
    pub waiting: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Culprits {
    flows: Vec<Culprit>,
    refusals: Vector<Refusal>,
}

impl Culprits {
    /// Flows that found no seat within `span`, those with most requests first.
    pub fn flows(&self, now: Time, span: Duration) -> Vec<&Culprit> {
        let mut all: Vec<&Culprit> = self.flows.iter().filter(|c| now.since(c.last) <= span).collect();
        all.order_by_key(|c| (std::cmp::Reverse(c.waited + c.refused), c.flow.clone()));
        all
    }

    pub fn refusals(&self) -> &Vector<Refusal> {
        &self.refusals
    }

    /// A request of a flow that may be known here.
    pub fn arrived(&mut self, schema: &Rc<str>, flow: &Rc<str>, now: Time) {
        if let Some(c) = self.flows.iter_mut().find(|c| c.schema == *schema && c.flow == *flow) {
            c.count(now);
        }
    }

    /// A request waits, or is refused.
    pub fn pressed(&mut self, parked: &Parked, schema: &Rc<str>, level: &Rc<str>, refusal: Option<Refusal>, now: Time) {
        let place = self.flows.iter().position(|c| c.schema == *schema && c.flow == parked.flow);
        let place = place.unwrap_or_else(|| {
            if self.flows.len() >= KEPT
                && let Some(oldest) = (0..self.flows.len()).min_by_key(|i| self.flows[*i].last)
            {
                self.flows.remove(oldest);
            }
            self.flows.push(Culprit {
                schema: schema.clone(),
                level: level.clone(),
                flow: parked.flow.clone(),
                user: parked.user.clone(),
                client: parked.client,
                user_agent: parked.request.user_agent.clone(),
                waited: 0,
                refused: 0,
                first: now,
                last: now,
                second: now.secs(),
                count: 1,
                before: 0,
            });
            self.flows.len() - 1
        });
        let culprit = &mut self.flows[place];
        (culprit.last, culprit.client, culprit.level) = (now, parked.client, level.clone());
        if !Rc::ptr_eq(&culprit.user, &parked.user) {
            culprit.user = parked.user.clone();
        }
        match refusal {
            None => culprit.waited += 1,
            Some(refusal) => {
                culprit.refused += 1;
                self.refusals.push_back(refusal);
                if self.refusals.len() > KEPT_REFUSALS {
                    self.refusals.pop_front();
                }
            }
        }
    }
}
