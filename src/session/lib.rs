//! The worker's side of the conversation with the page: takes what the user does, lets time pass, and says what there is to see.
//!
//! Plain Rust without a browser: wall time is handed in, so that a test can play a whole visit. The page keeps no cluster state;
//! everything it shows is sent from here, as differences, at most one batch a frame and within the page's credit.

mod actions;
mod api;
mod apply;
mod attempt;
mod checks;
mod cloud;
mod component;
mod components;
mod connection;
mod control_plane;
mod exec;
mod export;
mod find;
mod flights;
mod flow;
mod flows;
mod inspect;
mod journal;
mod labs;
mod lists;
mod loops;
mod message;
mod nodes;
mod observe;
mod offers;
mod pacer;
mod request;
mod service;
mod session;
mod store;
mod terminal;
#[cfg(test)]
mod tests;
mod timeline;
mod ways;
mod why;

pub use session::{Session, Tick};
