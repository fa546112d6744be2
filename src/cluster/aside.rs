//! A command given while time stands still: it runs in a throwaway clone of the cluster. What would it print, and would it write?
//!
//! If it only read, its output is shown and the clone's laptop is kept ([`crate::Bottle::adopt_laptop`]): in the cluster nothing
//! has happened.

use std::rc::Rc;

use base::{Duration, Time};
use cri_api::host::HostMessage;
use sim::{Addr, Message, Payload};

use crate::cluster::{Cluster, Observer};

/// Longer than that a command isn't followed: what it has printed by then is shown.
const LIMIT: Duration = Duration::from_secs(3);
/// Messages handled at most.
const MAX_EVENTS: u64 = 200_000;

/// What came of a run.
pub struct Outcome {
    pub wrote: bool,
    /// The first write, as one line.
    pub first_write: String,
    pub took: Duration,
    /// What the laptop had for the page.
    pub page: Vec<HostMessage>,
    pub cluster: Cluster,
}

#[derive(Default)]
struct Writes {
    laptop: Addr,
    /// Requests of the laptop that are not answered yet.
    open: u64,
    first: Option<String>,
}

impl Observer for Writes {
    fn sent(&mut self, message: &Message, _: Time) {
        match &message.payload {
            Payload::ApiRequest { request, .. } if message.from == self.laptop => {
                self.open += 1;
                let writes = request.verb.is_write()
                    && !request.options.dry_run
                    && request.gvr.resource != "selfsubjectaccessreviews"
                    && request.gvr.resource != "selfsubjectreviews";
                let execs = matches!(&*request.subresource.text(), "exec" | "attach" | "portforward");
                if (writes || execs) && self.first.is_none() {
                    self.first = Some(format!("{} {}", request.verb.method(), request.url_path()));
                }
            }
            Payload::ApiResponse { .. } if message.to == self.laptop => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }
}

/// Gives `message` to the clone's laptop and runs until it has gone quiet.
pub fn run(cluster: &Cluster, message: Rc<HostMessage>) -> Outcome {
    let mut clone = cluster.clone();
    let begin = clone.now();
    clone.take_page_messages();
    let mut writes = Writes { laptop: clone.laptop, ..Writes::default() };
    let laptop = clone.laptop;
    clone.inject(laptop, Payload::Host(message), &mut writes);
    let mut page = Vec::new();
    let mut quiet_since = clone.now();
    for _ in 0..MAX_EVENTS {
        let now = clone.now();
        if writes.first.is_some() && now.since(begin) > Duration::from_millis(400) || now.since(begin) > LIMIT {
            break;
        }
        if writes.open == 0 && now.since(quiet_since) > Duration::from_millis(60) {
            break;
        }
        if clone.step(&mut writes).is_none() {
            break;
        }
        let new = clone.take_page_messages();
        if !new.is_empty() || writes.open > 0 {
            quiet_since = clone.now();
        }
        page.extend(new);
    }
    let took = clone.now().since(begin);
    Outcome { wrote: writes.first.is_some(), first_write: writes.first.unwrap_or_default(), took, page, cluster: clone }
}
