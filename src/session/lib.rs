//! The worker's side of the conversation with the page: takes what the user does, lets time pass, and says what there is to see.
//!
//! Plain Rust without a browser: wall time is handed in, so that a test can play a whole visit. The page keeps no cluster state;
//! everything it shows is sent from here, as differences, at most one batch a frame and within the page's credit.

mod actions;
mod api;
mod apply;
mod clone_run;
mod flights;
mod flow;
mod inspect;
mod lists;
mod message;
mod observe;
mod pacer;
mod session;
mod terminal;
mod timeline;
mod why;

pub use session::{Session, Tick};
