//! The closed set of messages between the worker (which owns the cluster) and the page (which owns the pixels).
//!
//! Both sides are built from the same commit, so the format needs no compatibility; [`PROTOCOL_VERSION`] only guards
//! against a cached file of another build. Messages are plain serde values: `serde-wasm-bindgen` turns them into what
//! `postMessage` clones, and tests use them natively.
//!
//! The conversation, in order:
//! 1. The worker posts [`ToPage::Ready`] once it listens. The page answers with [`ToWorker::Start`] and [`ToWorker::Show`].
//! 2. From then on the worker posts [`Batch`]es: at most one per animation frame, each ≤ 64 kB, never more than
//!    [`CREDIT`] of them unacknowledged. The page acknowledges a batch ([`ToWorker::Ack`]) when it has been drawn.
//! 3. What the user does goes to the worker at once, as it happens; it is never batched.
//!
//! Times are virtual microseconds since 1970 (`_us`) unless a name ends in `_ms`: those are wall milliseconds of the page.
//! Lengths are CSS pixels of the lens' viewport.

mod cells;
mod command;
mod inspector;
mod lab;
mod link;
mod path;
mod report;
mod scene;
mod thing;

pub use cells::*;
pub use command::*;
pub use inspector::*;
pub use lab::*;
pub use link::*;
pub use report::*;
pub use scene::*;
pub use serde_bytes::ByteBuf;
pub use thing::*;

/// Both sides refuse to talk to another number.
pub const PROTOCOL_VERSION: u32 = 1;

/// How many batches the worker may have posted without an acknowledgement.
pub const CREDIT: u32 = 2;

/// With these words a worker ends that has used all the memory that the browser gives it.
pub const OUT_OF_MEMORY: &str = "all the memory that the browser gives is used";

/// Virtual microseconds since 1970-01-01T00:00:00Z.
pub type Us = i64;

/// What the page posts: one message at a time.
pub type PageMessage = ToWorker;

/// What the worker posts: everything that changed since the last batch, in the order in which it has to be applied.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Batch {
    /// Counts up from 1; the page returns it in [`ToWorker::Ack`].
    pub seq: u32,
    pub messages: Vec<ToPage>,
}
