//! "Somebody asked kube-apiserver": a check for steps in which there is only something to look at. It reads the trace.

use apimachinery::{Gvr, Request, Verb};
use cluster::{Bottle, Record};
use sim::{MsgId, Payload};

use crate::query::find_resource;

/// `read pods`, `list nodes`, `get pods/log web-*`, `create pods from kubelet`.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// `None`: get, list or watch.
    verb: Option<Verb>,
    gvr: Gvr,
    subresource: String,
    /// Empty: any.
    name: String,
    /// The component that asks.
    from: String,
}

impl Asked {
    /// `VERB RESOURCE[/SUBRESOURCE] [NAME] [from COMPONENT]`; the verb `read` is get, list or watch.
    pub fn parse(text: &str) -> Result<Asked, String> {
        let (text, from) = text.split_once(" from ").unwrap_or((text, "laptop"));
        let mut words = text.split_whitespace();
        let verb = match words.next().unwrap_or_default() {
            "read" => None,
            "get" => Some(Verb::Get),
            "list" => Some(Verb::List),
            "watch" => Some(Verb::Watch),
            "create" => Some(Verb::Create),
            "update" => Some(Verb::Update),
            "patch" => Some(Verb::Patch),
            "delete" => Some(Verb::Delete),
            other => {
                return Err(format!("unknown verb {other:?} (there are read, get, list, watch, create, update, patch, delete)"));
            }
        };
        let resource = words.next().ok_or("a resource is missing")?;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (gvr, _) = find_resource(resource).ok_or_else(|| format!("there is no resource {resource:?}"))?;
        let name = words.next().unwrap_or_default();
        if let Some(more) = words.next() {
            return Err(format!("{more:?} is too much: VERB RESOURCE NAME from COMPONENT"));
        }
        Ok(Asked { verb, gvr, subresource: subresource.into(), name: name.into(), from: from.trim().into() })
    }

    fn is(&self, request: &Request) -> bool {
        let verb = match self.verb {
            None => !request.verb.is_write(),
            Some(verb) => verb == request.verb,
        };
        verb && request.gvr.group == self.gvr.group
            && request.gvr.resource == self.gvr.resource
            && *request.subresource.text() == *self.subresource
            && (self.name.is_empty() || crate::condition::like(&self.name, &request.name))
    }

    pub(crate) fn matches(&self, bottle: &Bottle, record: &Record) -> bool {
        let Payload::ApiRequest { request, .. } = &record.message.payload else { return false };
        self.is(request) && bottle.head().proc(record.message.from).is_some_and(|p| p.component() == self.from)
    }
}

/// Which requests have been seen since the step began, read from the trace as it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ear {
    next: MsgId,
}

impl Ear {
    /// From now on.
    pub fn begin(bottle: &Bottle) -> Ear {
        Ear { next: bottle.head().queue.next_id() }
    }

    /// Calls `heard` for every record that is new. A head that went back in time (another branch) begins anew there.
    pub fn listen(&mut self, bottle: &Bottle, mut heard: impl FnMut(&Record)) {
        let end = bottle.head().queue.next_id();
        if end >= self.next {
            bottle.trace().from(self.next).for_each(&mut heard);
        }
        self.next = end;
    }
}
