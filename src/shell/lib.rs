//! The shell, and the programs that every image has: a POSIX shell with the words of busybox ash (or bash, on the laptop),
//! coreutils and busybox' applets, as [`cri_api::Program`]s.
//!
//! Read [`parse`] (text to tree), [`expand`] (words) and [`eval`] (the resumable evaluator) in this order; [`builtins`] run in
//! the shell, [`applets`] are programs of their own, [`editor`] is the interactive prompt.

pub mod applets;
mod ast;
pub mod builtins;
pub mod editor;
pub mod eval;
pub mod expand;
pub mod parse;
pub mod pattern;
pub mod resolve;
pub mod text;

#[cfg(test)]
mod tests;

use cri_api::{Errno, Program, ProgramTable, Tree};

pub use applets::digest::sha256;
pub use eval::{Flavour, Shell};

fn shell(name: &str) -> Box<dyn Program> {
    Box::new(Shell::new(if name == "bash" { Flavour::Bash } else { Flavour::Ash }))
}

/// Adds the shells and all applets to a program table.
pub fn register(table: &mut ProgramTable) {
    for name in ["sh", "ash", "bash"] {
        table.add(name, shell);
    }
    applets::register(table);
}

/// Puts the executables of a busybox image into `dir` (`/bin`): `sh` and every applet.
pub fn install_busybox(tree: &mut Tree, dir: &str) -> Result<(), Errno> {
    for name in ["sh", "ash"].into_iter().chain(applets::names()) {
        tree.put_program(&format!("{dir}/{name}"), name)?;
    }
    Ok(())
}
