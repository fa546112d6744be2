//! What upstream keeps in `k8s.io/client-go` (and the parts of `pkg/controller` that every controller uses): the client with its
//! rate limit, informers, work queues, expectations, event recorders, leader election, controller history, facts about pods.
//!
//! Everything here is a value that its process owns. Nothing blocks: a component calls, keeps a tag for each call, and is handed
//! the answer by its process later. One process may hold several clients; each has a *scope* of its own, which is part of the
//! numbers of its calls and timers, so that answers find their way back (see [`Ids`]).
//!
//! A process's `handle` typically asks its parts in turn: [`Informers::handle`] for watches, [`LeaderElector::handle`] for the lease,
//! then [`Client::take`] for the answers to its own calls.

mod backoff;
mod client;
mod expectations;
pub mod history;
mod informer;
mod informers;
mod leader;
mod observe;
pub mod pods;
mod recorder;
mod recorder_v1;
mod store;
mod timers;
mod workqueue;

pub use backoff::Backoff;
pub use client::{Client, ClientConfig, Ids, RateLimiter};
pub use expectations::Expectations;
pub use informer::{Delta, Informer, Selectors};
pub use informers::{Handled, Informers};
pub use leader::{LeaderConfig, LeaderElector, Leadership};
pub use observe::{NUDGE, QueueItem, QueueView, Steer};
pub use recorder::{EventRecorder, EventType, object_reference};
pub use recorder_v1::EventRecorderV1;
pub use store::{IndexFn, Store, by_controller_uid, by_namespace, by_node_name};
pub use timers::Timers;
pub use workqueue::{RetryLimiter, WorkQueue};
