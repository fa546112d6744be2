//! A request on its way through the server, and what it waits for.

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Gvr, Object, Request, Response, UserInfo, key};
use etcd_api::{Compare, Key, Op};
use sim::{Addr, MsgId, StreamId};

use crate::codec::DeleteOptions;
use crate::scheme::Resource;
use crate::view::Form;

/// Who gets the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Client,
    /// Part of a deletion of a collection.
    Collection(u64),
    /// Nobody: the server asked itself.
    Own,
}

/// A request for a resource that has passed authentication and authorization.
#[derive(Clone)]
pub struct Call {
    pub client: Addr,
    pub stream: StreamId,
    pub msg: MsgId,
    pub request: Rc<Request>,
    /// What the URL names.
    pub resource: Rc<Resource>,
    /// The same in the version that is stored.
    pub stored: Rc<Resource>,
    pub user: Rc<UserInfo>,
    pub form: Form,
    pub warnings: Vec<Rc<str>>,
    pub origin: Origin,
    /// How often a transaction of this call has lost a race.
    pub attempts: u32,
    pub body: Option<Object>,
    pub delete: DeleteOptions,
    /// The object's name: the URL's, the body's, or generated.
    pub name: Rc<str>,
    pub stages: crate::stages::Stages,
    /// The seats that it has.
    pub ticket: Option<crate::flowcontrol::Ticket>,
}

/// What a write does to its key.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object without a resourceVersion.
    Put(Object),
    Delete,
}

/// What is answered when the transaction has succeeded.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The object as written (of a deletion: as it was, with the deletion's revision).
    Written,
    /// A `Scale` of the object as written.
    Scale,
    Fixed(Object),
    /// The object that goes, in the storage version; it gets the deletion's revision.
    Gone(Object),
}

/// A write that is ready for etcd.
#[derive(Clone, Debug)]
pub struct Write {
    pub key: Key,
    pub change: Change,
    /// The state that the write is based on; `None`: there must be none.
    pub base: Option<Object>,
    pub code: u16,
    pub answer: Answer,
    /// More conditions and writes of the same transaction: quotas, addresses, budgets.
    pub extra: Vec<(Compare, Op)>,
    /// Seconds that the object lives (events).
    pub ttl_s: Option<i64>,
}

/// What a planned write came to.
pub enum Plan {
    Write(Box<Write>),
    /// Nothing to be written.
    Answer(Response),
}

pub type Planned = Result<Plan, Status>;

/// What a call that writes nothing is answered, and the revision of the object that it was planned from (0: there was none).
#[derive(Clone, Debug)]
pub struct Unwritten {
    pub response: Response,
    pub revision: i64,
}

/// What the server waits for from etcd.
#[derive(Clone)]
pub enum Pending {
    /// One object.
    Get(Box<Call>),
    /// The present revision, after which a list is answered from the cache.
    Fresh(Box<Call>),
    /// A page of a list at a revision.
    Page(Box<Call>, crate::registry::Page),
    Write(Box<Call>, Box<Write>),
    /// The object as etcd has it: because of what the cache has, a write was refused or found to change nothing.
    Unwritten(Box<Call>, Box<Unwritten>),
    /// The lease of an event that is to be written.
    Lease(Box<Call>, Box<Write>),
    /// The objects of a storage.
    Load(usize),
    /// The opening of a watch on a storage.
    Watch,
    /// A bootstrap object.
    Boot,
    /// The renewal of the server's own key among all servers'.
    Master(crate::master_leases::Step),
    /// Something whose answer doesn't matter.
    Ignored,
}

impl Call {
    pub fn subresource_is(&self, name: &str) -> bool {
        self.request.subresource == *name
    }
    pub fn dry_run(&self) -> bool {
        self.request.options.dry_run || self.delete.dry_run
    }
    /// `options.fieldManager`, or what the user agent begins with.
    pub fn manager(&self) -> Rc<str> {
        match &self.request.options.field_manager {
            Some(name) if !name.is_empty() => name.clone(),
            _ => crate::fields::manager_of(&self.request.user_agent),
        }
    }
    pub fn warn(&mut self, text: impl Into<Rc<str>>) {
        let text = text.into();
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// The warning that every use of a deprecated version carries. Models `APILifecycleDeprecated` and its kin.
pub(crate) fn deprecation(gvr: Gvr) -> Option<Rc<str>> {
    let core = gvr.group.is_empty();
    if core && gvr.resource == "endpoints" {
        return Some(key("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"));
    }
    (core && gvr.resource == "componentstatuses").then(|| key("v1 ComponentStatus is deprecated in v1.19+"))
}
