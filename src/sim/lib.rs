//! The machine that everything runs in: a queue of messages ordered by virtual time, links with latency, faults, and the
//! record of who caused what.
//!
//! A real cluster has networks, clocks and processes; here a process is a value with an address, `handle` runs to the end
//! without waiting, and every message carries the id of the message that caused it. Processes themselves live in the crate
//! `cluster`; this one knows only addresses and messages.

mod faults;
mod message;
mod outbox;
mod queue;
mod stalled;

pub use faults::{Faults, Link};
pub use message::{Addr, Message, MsgId, Payload, StreamId};
pub use outbox::{Outbox, Outgoing};
pub use queue::{Delivery, Queue, transport_error};
