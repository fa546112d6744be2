//! The laptop's terminal as its user has it: keys go in, a screen comes out, and behind it is the whole cluster.
//!
//! Every test boots one cluster and types on. Bounds are in virtual time and counted steps, never in wall time.

mod bad_input;
mod commands;
mod containers;
mod driver;
mod nodes;
mod prompt;
