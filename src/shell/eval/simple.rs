//! Simple commands: assignments, functions, builtins, programs.

use std::rc::Rc;

use cri_api::{Errno, Poll, Spawn, Sys, Text};

use super::redirect::{Target, expand_targets};
use super::{Flavour, Frame, MAX_CALLS, Shell, Source, SourceKind};
use crate::ast::{Cmd, Simple};
use crate::builtins::{self, Outcome};
use crate::expand::{Expander, Stop};

/// A simple command whose words are expanded.
pub(super) struct Ready {
    argv: Vec<Text>,
    assignments: Vec<(Text, Text)>,
    targets: Vec<Target>,
}

/// Words of a command below this are not worth counting.
const SMALL: usize = 64 * 1024;
/// What a character costs while a word is expanded.
const BYTES_PER_CHARACTER: u64 = 16;

impl Shell {
    pub(super) fn expand_simple(&mut self, simple: &Simple, answers: &mut Vec<Text>, sys: &mut Sys<'_>) -> Result<Ready, Stop> {
        self.line = self.line_base + simple.line;
        let mut expander = Expander { shell: self, sys, answers, cursor: 0 };
        let argv = expander.words(&simple.words)?;
        let targets = expand_targets(&simple.redirects, &mut expander)?;
        let mut assignments = Vec::with_capacity(simple.assignments.len());
        for (name, word) in &simple.assignments {
            let value: Text = expander.string(word)?.into();
            // `a=1 b=$a` sees the first, when it is really assigned.
            if argv.is_empty() && simple.assignments.len() > 1 {
                expander.shell.set(name, &value).map_err(Stop::Error)?;
            }
            assignments.push((name.clone(), value));
        }
        Ok(Ready { argv, assignments, targets })
    }

    pub(super) fn run_simple(&mut self, _command: &Rc<Cmd>, _simple: &Simple, ready: Ready, sys: &mut Sys<'_>) -> Option<Poll> {
        if self.options.xtrace {
            self.trace(&ready);
        }
        self.account(&ready, sys);
        let mut saved = Vec::new();
        if let Err(message) = self.apply_redirects(&ready.targets, &mut saved, sys) {
            self.restore(saved, sys);
            self.complain(None, &message);
            if ready.argv.first().is_some_and(|name| builtins::is_special(name)) && self.interactive.is_none() {
                self.abort(2);
            } else {
                self.finish(1);
            }
            return None;
        }
        let Some(name) = ready.argv.first().cloned() else {
            self.restore(saved, sys);
            return self.only_assignments(&ready.assignments);
        };
        if &*name == "exec" && ready.argv.len() == 1 {
            // Redirections of `exec` alone stay.
            for (_, old) in saved {
                if let Some(old) = old {
                    let _ = sys.close(old);
                }
            }
            return self.only_assignments(&ready.assignments);
        }
        if !saved.is_empty() {
            self.push(Frame::Restore(saved));
        }
        let function =
            self.functions.get(&name).cloned().filter(|_| self.flavour == Flavour::Bash || !builtins::is_special(&name));
        if let Some(body) = function {
            self.assign_for(&ready.assignments, false);
            self.call_function(body, ready.argv);
            return None;
        }
        if let Some(builtin) = builtins::find(&name) {
            self.assign_for(&ready.assignments, builtins::is_special(&name));
            return self.run_builtin(builtin, &ready.argv, sys);
        }
        self.run_program(ready.argv, &ready.assignments, sys)
    }

    /// Words and variables that grow cost steps and memory: `x=$x$x` in a loop is killed as it would be.
    fn account(&self, ready: &Ready, sys: &mut Sys<'_>) {
        let words = ready.argv.iter().map(|word| word.len() + 48).sum::<usize>();
        let values = ready.assignments.iter().map(|(_, value)| value.len()).sum::<usize>();
        if words + values < SMALL {
            return;
        }
        let kept = self.vars.values().map(|var| var.value.as_ref().map_or(0, |v| v.len())).sum::<usize>();
        sys.charge((words + values) as u32 / 32);
        sys.set_memory((words + values + kept) as u64 * BYTES_PER_CHARACTER);
    }

    fn trace(&mut self, ready: &Ready) {
        let quote = |text: &str| match text.is_empty() || text.contains(|c: char| " \t\n'\"$&|;<>()*?[]#~`\\".contains(c)) {
            true => format!("'{}'", text.replace('\'', "'\\''")),
            false => text.to_string(),
        };
        let assignments = ready.assignments.iter().map(|(name, value)| format!("{name}={}", quote(value)));
        let words: Vec<String> = assignments.chain(ready.argv.iter().map(|word| quote(word))).collect();
        let prefix = self.get("PS4").unwrap_or_else(|| "+ ".into());
        self.out.push(2, format!("{prefix}{}\n", words.join(" ")).as_bytes());
    }

    fn only_assignments(&mut self, assignments: &[(Text, Text)]) -> Option<Poll> {
        for (name, value) in assignments {
            if let Err(message) = self.set(name, value) {
                self.fatal(&message);
                return None;
            }
        }
        let status = self.substitution_status.take().unwrap_or(0);
        self.finish(status);
        None
    }

    /// Assignments in front of a builtin or function: until it ends, or for good with a special builtin.
    fn assign_for(&mut self, assignments: &[(Text, Text)], keep: bool) {
        if assignments.is_empty() {
            return;
        }
        if !keep {
            let saved = assignments.iter().map(|(name, _)| (name.clone(), self.vars.get(name).cloned())).collect();
            self.push(Frame::RestoreVars(saved));
        }
        for (name, value) in assignments {
            if let Err(message) = self.set(name, value) {
                return self.fatal(&message);
            }
            if let Some(var) = self.vars.get_mut(name) {
                var.exported = true;
            }
        }
    }

    fn call_function(&mut self, body: Rc<Cmd>, argv: Vec<Text>) {
        if self.calls >= MAX_CALLS {
            self.fatal("maximum function nesting level exceeded");
            return;
        }
        self.calls += 1;
        let params = std::mem::replace(&mut self.params, Rc::new(argv[1..].to_vec()));
        let depth = std::mem::take(&mut self.loops);
        self.push(Frame::Call { params, locals: base::Map::new(), depth });
        self.push(Frame::Run(body));
    }

    pub(crate) fn run_builtin(&mut self, builtin: builtins::Builtin, argv: &[Text], sys: &mut Sys<'_>) -> Option<Poll> {
        match builtin(self, sys, argv) {
            Outcome::Done(status) => self.finish(status),
            Outcome::Later => {}
            Outcome::Wait(state) => self.push(Frame::Builtin(Box::new(state))),
            Outcome::Run { argv, env } => return self.run_program(argv, &env, sys),
            Outcome::Exec { spawn, name } => {
                self.exec_name = Some(name);
                return Some(Poll::Exec(spawn));
            }
        }
        None
    }

    pub(super) fn continue_builtin(&mut self, state: crate::builtins::BuiltinState, sys: &mut Sys<'_>) -> Option<Poll> {
        match state.go_on(self, sys) {
            Outcome::Done(status) => self.finish(status),
            Outcome::Later => {}
            Outcome::Wait(state) => {
                self.push(Frame::Builtin(Box::new(state)));
                return Some(Poll::Pending);
            }
            Outcome::Run { argv, env } => return self.run_program(argv, &env, sys),
            Outcome::Exec { spawn, name } => {
                self.exec_name = Some(name);
                return Some(Poll::Exec(spawn));
            }
        }
        None
    }

    /// The environment of a program with assignments in front.
    pub(crate) fn environment_with(&self, assignments: &[(Text, Text)]) -> cri_api::Env {
        let mut env = self.environment();
        for (name, value) in assignments {
            env.insert(name.clone(), value.clone());
        }
        env
    }

    pub(crate) fn run_program(&mut self, argv: Vec<Text>, assignments: &[(Text, Text)], sys: &mut Sys<'_>) -> Option<Poll> {
        let name = argv[0].clone();
        let env = self.environment_with(assignments);
        let path = match self.resolve(&name, sys) {
            Ok(path) => path,
            Err(error) => {
                let status = self.not_found(&name, error, sys);
                self.finish(status);
                return None;
            }
        };
        if let Ok(None) = sys.program_name(&path)
            && sys.read_file(&path).is_ok_and(|bytes| !bytes.starts_with(b"#!"))
        {
            self.run_script(&path, argv, sys);
            return None;
        }
        let mut spawn = Spawn { path: Some(path.as_str().into()), argv, env: Some(env), ..Spawn::default() };
        if self.is_last(sys) {
            self.exec_name = Some(name);
            return Some(Poll::Exec(spawn));
        }
        if self.interactive.is_some() {
            spawn.group = Some(0);
        }
        match self.with_default_signals(sys, |sys| sys.spawn(spawn)) {
            Ok(pid) => self.wait_for(vec![pid], false, sys),
            Err(error) => {
                let status = self.not_found(&name, error, sys);
                self.finish(status);
            }
        }
        None
    }

    /// Whether nothing comes after this command, so that the shell may become it.
    fn is_last(&self, sys: &Sys<'_>) -> bool {
        let _ = sys;
        self.forked
            && self.traps.is_empty()
            && self.interactive.is_none()
            && self.frames.iter().all(|frame| match frame {
                Frame::Restore(_) | Frame::RestoreVars(_) | Frame::Guarded => true,
                Frame::Source(source) => source.kind == SourceKind::Main && source.text[source.pos..].trim().is_empty(),
                _ => false,
            })
    }

    /// The file that a command's name means, by `PATH`.
    pub(crate) fn resolve(&self, name: &str, sys: &mut Sys<'_>) -> Result<String, Errno> {
        use cri_api::vfs::Wanted;
        let check = |path: &str, sys: &mut Sys<'_>| -> Result<(), Errno> {
            let stat = sys.stat(path)?;
            match stat.is_file() && sys.may(path, Wanted::Execute)? {
                true => Ok(()),
                false => Err(Errno::EACCES),
            }
        };
        if name.contains('/') {
            return check(name, sys).map(|()| name.to_string());
        }
        let path = self.get("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        let mut worst = Errno::ENOENT;
        for dir in path.split(':') {
            let full = if dir.is_empty() { name.to_string() } else { crate::text::join(dir, name) };
            match check(&full, sys) {
                Ok(()) => return Ok(full),
                Err(Errno::EACCES) if sys.stat(&full).is_ok_and(|s| s.is_file()) => worst = Errno::EACCES,
                Err(_) => {}
            }
        }
        Err(worst)
    }

    /// Says that a command can't be run; 127 or 126.
    pub(crate) fn not_found(&mut self, name: &str, error: Errno, sys: &mut Sys<'_>) -> i32 {
        let is_dir = name.contains('/') && sys.stat(name).is_ok_and(|s| s.is_dir());
        let (text, status) = match (self.flavour, error) {
            (Flavour::Bash, Errno::ENOENT) if !name.contains('/') => (format!("{name}: command not found"), 127),
            (Flavour::Bash, Errno::ENOENT) => (format!("{name}: {error}"), 127),
            (Flavour::Bash, Errno::EACCES) if is_dir => (format!("{name}: Is a directory"), 126),
            (Flavour::Bash, Errno::EAGAIN) => (format!("fork: {error}"), 254),
            (Flavour::Ash, Errno::ENOENT | Errno::ENOTDIR) => (format!("{name}: not found"), 127),
            (Flavour::Ash, Errno::EAGAIN) => (format!("can't fork: {error}"), 2),
            _ => (format!("{name}: {error}"), 126),
        };
        self.complain(None, &text);
        status
    }

    /// A script without `#!` runs in a subshell of this shell.
    fn run_script(&mut self, path: &str, argv: Vec<Text>, sys: &mut Sys<'_>) {
        let Ok(bytes) = sys.read_file(path) else { return self.finish(126) };
        if bytes.iter().take(256).any(|b| *b == 0) {
            let status = self.not_found(&argv[0], Errno::ENOEXEC, sys);
            return self.finish(status);
        }
        let text: Text = String::from_utf8_lossy(&bytes).into();
        let mut child = self.child(vec![Frame::Source(Source { text, pos: 0, kind: SourceKind::Main, line: 0 })]);
        child.arg0 = argv[0].clone();
        child.params = Rc::new(argv[1..].to_vec());
        child.script = true;
        self.fork_and_wait(child, sys);
    }
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
