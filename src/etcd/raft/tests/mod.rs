//! Raft alone: scripts in `testdata` (what each message is answered with), and a world of many seeds in which things break.

mod random;
mod save;
mod script;
