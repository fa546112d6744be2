//! Commands that run in the shell itself.

mod dirs;
pub mod echo;
mod flow;
pub mod jobs;
mod names;
mod options;
pub mod printf;
mod read;
pub mod test;
mod vars;

use cri_api::{Spawn, Sys, Text};

use crate::eval::Shell;

/// What a builtin did.
pub enum Outcome {
    Done(i32),
    /// It has pushed frames or set a flow; `$?` is its business.
    Later,
    /// It waits for something.
    Wait(BuiltinState),
    /// Run a program (never a function or builtin) with these assignments.
    Run {
        argv: Vec<Text>,
        env: Vec<(Text, Text)>,
    },
    /// Become a program.
    Exec {
        spawn: Spawn,
        name: Text,
    },
}

pub type Builtin = fn(&mut Shell, &mut Sys<'_>, &[Text]) -> Outcome;

/// A builtin that waits.
#[derive(Clone)]
pub enum BuiltinState {
    Read(read::Read),
    Wait(jobs::Waiting),
}

impl BuiltinState {
    pub fn go_on(self, shell: &mut Shell, sys: &mut Sys<'_>) -> Outcome {
        match self {
            BuiltinState::Read(state) => state.go_on(shell, sys),
            BuiltinState::Wait(state) => state.go_on(shell, sys),
        }
    }

    /// The shell unwinds past it.
    pub fn abandon(&self, sys: &mut Sys<'_>) {
        if let BuiltinState::Read(state) = self {
            state.abandon(sys);
        }
    }

    pub fn ends_on_signal(&self) -> bool {
        matches!(self, BuiltinState::Wait(_))
    }
}

const TABLE: &[(&str, Builtin)] = &[
    (".", flow::dot),
    (":", |_, _, _| Outcome::Done(0)),
    ("[", test::builtin),
    ("alias", names::alias),
    ("bg", jobs::bg),
    ("break", flow::break_),
    ("builtin", names::builtin),
    ("cd", dirs::cd),
    ("command", names::command),
    ("continue", flow::continue_),
    ("declare", vars::local),
    ("dirs", dirs::dirs),
    ("echo", echo::builtin),
    ("eval", flow::eval),
    ("exec", flow::exec),
    ("exit", flow::exit),
    ("export", vars::export),
    ("false", |_, _, _| Outcome::Done(1)),
    ("fg", jobs::fg),
    ("getopts", vars::getopts),
    ("hash", |_, _, _| Outcome::Done(0)),
    ("help", names::help),
    ("history", names::history),
    ("jobs", jobs::jobs),
    ("kill", jobs::kill),
    ("let", vars::let_),
    ("local", vars::local),
    ("logout", flow::exit),
    ("popd", dirs::popd),
    ("printf", printf::builtin),
    ("pushd", dirs::pushd),
    ("pwd", dirs::pwd),
    ("read", read::builtin),
    ("readonly", vars::readonly),
    ("return", flow::return_),
    ("set", options::set),
    ("shift", vars::shift),
    ("shopt", |_, _, _| Outcome::Done(0)),
    ("source", flow::dot),
    ("test", test::builtin),
    ("times", jobs::times),
    ("trap", jobs::trap),
    ("true", |_, _, _| Outcome::Done(0)),
    ("type", names::type_),
    ("typeset", vars::local),
    ("ulimit", dirs::ulimit),
    ("umask", dirs::umask),
    ("unalias", names::unalias),
    ("unset", vars::unset),
    ("wait", jobs::wait),
];

/// The builtin of a name.
pub fn find(name: &str) -> Option<Builtin> {
    TABLE.binary_search_by_key(&name, |entry| entry.0).ok().map(|at| TABLE[at].1)
}

/// All names, for completion and `help`.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|entry| entry.0)
}

/// POSIX' special builtins: functions don't hide them, assignments in front of them stay.
pub fn is_special(name: &str) -> bool {
    matches!(
        name,
        "." | ":"
            | "break"
            | "continue"
            | "eval"
            | "exec"
            | "exit"
            | "export"
            | "readonly"
            | "return"
            | "set"
            | "shift"
            | "times"
            | "trap"
            | "unset"
    )
}
