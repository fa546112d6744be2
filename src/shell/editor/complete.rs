//! Tab: commands, files, and what programs offer by cobra's `__complete` protocol.

use base::Sort as _;
use cri_api::{Errno, FdAction, OpenFlags, Poll, Spawn, Sys, Text, WaitFor};

use super::{Completing, Interactive};
use crate::eval::{Frame, Shell};
use crate::text::width;

/// What could stand in place of the word.
#[derive(Default)]
struct Candidates {
    words: Vec<String>,
    no_space: bool,
    files: bool,
}

/// Cobra's directives.
const NO_SPACE: u32 = 2;
const NO_FILES: u32 = 4;

impl Shell {
    pub(super) fn complete(&mut self, state: &mut Interactive, sys: &mut Sys<'_>) {
        let before = state.editor.before_cursor();
        // Only the last simple command counts.
        let start = before.rfind(['|', ';', '&', '(', '\n']).map_or(0, |at| at + 1);
        let mut words: Vec<String> = before[start..].split_whitespace().map(str::to_string).collect();
        if before[start..].is_empty() || before.ends_with(char::is_whitespace) {
            words.push(String::new());
        }
        let word = words.last().cloned().unwrap_or_default();
        if words.len() <= 1 && !word.contains('/') {
            let candidates = self.commands(&word, sys);
            return self.offer(state, &word, candidates);
        }
        if let Some(pid_fd) = self.ask_program(&words, sys) {
            state.completing = Some(Completing { pid: pid_fd.0, fd: pid_fd.1, data: Vec::new(), word });
            return;
        }
        let candidates = files(&word, sys);
        self.offer(state, &word, candidates);
    }

    fn commands(&mut self, word: &str, sys: &mut Sys<'_>) -> Candidates {
        let mut words: Vec<String> = crate::builtins::names().map(str::to_string).collect();
        words.extend(self.functions.keys().map(|n| n.to_string()));
        words.extend(self.aliases.keys().map(|n| n.to_string()));
        for dir in self.get("PATH").unwrap_or_default().split(':').filter(|d| !d.is_empty()) {
            words.extend(sys.read_dir(dir).unwrap_or_default().iter().map(|n| n.to_string()));
        }
        words.retain(|w| w.starts_with(word));
        words.order();
        words.dedup();
        Candidates { words, ..Candidates::default() }
    }

    /// Starts `NAME __complete …` if the command is a program that offers it.
    fn ask_program(&mut self, words: &[String], sys: &mut Sys<'_>) -> Option<(u32, u32)> {
        let mut argv: Vec<String> = words.to_vec();
        if let Some(alias) = self.aliases.get(argv[0].as_str()) {
            let expanded: Vec<String> = alias.split_whitespace().map(str::to_string).collect();
            argv.splice(0..1, expanded);
        }
        let path = self.resolve(&argv[0], sys).ok()?;
        let program = sys.program_name(&path).ok()??;
        if !sys.programs().completes(&program) {
            return None;
        }
        argv.insert(1, "__complete".into());
        let (read, write) = sys.pipe().ok()?;
        let null = sys.open("/dev/null", OpenFlags::READ_WRITE, 0).ok()?;
        let fds = vec![
            FdAction::Dup(write, 1),
            FdAction::Dup(null, 0),
            FdAction::Dup(null, 2),
            FdAction::Close(read),
            FdAction::Close(write),
            FdAction::Close(null),
        ];
        let spawn = Spawn { path: Some(path.into()), env: Some(self.environment()), fds, group: Some(0), ..Spawn::new(&argv) };
        let pid = sys.spawn(spawn).ok();
        for fd in [write, null] {
            let _ = sys.close(fd);
        }
        match pid {
            Some(pid) => Some((pid, read)),
            None => {
                let _ = sys.close(read);
                None
            }
        }
    }

    pub(super) fn read_completions(&mut self, state: &mut Interactive, sys: &mut Sys<'_>) -> Option<Poll> {
        self.frames.push(Frame::Interactive);
        let Some(completing) = &mut state.completing else { return None };
        loop {
            match sys.read(completing.fd, 65_536) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => completing.data.extend(bytes),
                Err(Errno::EAGAIN) => return Some(Poll::Pending),
                Err(_) => break,
            }
        }
        if sys.wait(WaitFor::Pid(completing.pid)) == Err(Errno::EAGAIN) {
            return Some(Poll::Pending);
        }
        let _ = sys.close(completing.fd);
        let done = state.completing.take()?;
        let mut candidates = parse_completions(&String::from_utf8_lossy(&done.data), &done.word);
        if candidates.words.is_empty() && candidates.files {
            candidates = files(&done.word, sys);
        }
        self.offer(state, &done.word, candidates);
        None
    }

    /// Inserts what all candidates share; shows them all on the second Tab.
    fn offer(&mut self, state: &mut Interactive, word: &str, candidates: Candidates) {
        let words = &candidates.words;
        let Some(first) = words.first() else { return };
        let shared = words.iter().skip(1).fold(first.as_str(), |shared, w| common(shared, w)).to_string();
        if words.len() == 1 {
            let space = if candidates.no_space || first.ends_with('/') { "" } else { " " };
            let text = format!("{first}{space}");
            self.out.push(1, &state.editor.replace_before(word.chars().count(), &text));
            state.editor.tabs = 0;
        } else if shared.len() > word.len() {
            self.out.push(1, &state.editor.replace_before(word.chars().count(), &shared));
        } else if state.editor.tabs >= 2 {
            let (cols, text) = (80, words.iter().map(|w| shown(w)).collect::<Vec<_>>());
            self.out.push(1, format!("\n{}", columns(&text, cols)).as_bytes());
            self.out.push(1, &state.editor.redraw());
        }
    }
}

fn shown(word: &str) -> String {
    let trimmed = word.trim_end_matches('/');
    format!("{}{}", crate::text::basename(trimmed), if word.ends_with('/') { "/" } else { "" })
}

fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let len = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(c, _)| c.len_utf8()).sum();
    &a[..len]
}

fn parse_completions(text: &str, word: &str) -> Candidates {
    let mut candidates = Candidates { files: true, ..Candidates::default() };
    for line in text.lines() {
        if let Some(directive) = line.strip_prefix(':').and_then(|d| d.parse::<u32>().ok()) {
            candidates.no_space = directive & NO_SPACE != 0;
            candidates.files = directive & NO_FILES == 0;
            break;
        }
        let name = line.split('\t').next().unwrap_or(line);
        if name.starts_with(word) {
            candidates.words.push(name.to_string());
        }
    }
    candidates.words.order();
    candidates.words.dedup();
    candidates
}

fn files(word: &str, sys: &mut Sys<'_>) -> Candidates {
    let (dir, prefix) = match word.rfind('/') {
        Some(at) => word.split_at(at + 1),
        None => ("", word),
    };
    let names: Vec<Text> = sys.read_dir(if dir.is_empty() { "." } else { dir }).unwrap_or_default();
    let mut words = Vec::new();
    for name in names.iter().filter(|n| n.starts_with(prefix) && (!n.starts_with('.') || prefix.starts_with('.'))) {
        let path = format!("{dir}{name}");
        let slash = if sys.stat(&path).is_ok_and(|s| s.is_dir()) { "/" } else { "" };
        words.push(format!("{path}{slash}"));
    }
    Candidates { words, ..Candidates::default() }
}

/// Words in columns, filled downwards, as `ls` and completion lists show them.
pub(crate) fn columns(words: &[String], cols: usize) -> String {
    let text_width = |w: &str| w.chars().map(width).sum::<usize>();
    let widest = words.iter().map(|w| text_width(w)).max().unwrap_or(0) + 2;
    let per_row = (cols / widest).max(1);
    let rows = words.len().div_ceil(per_row);
    let mut out = String::new();
    for row in 0..rows {
        let line: Vec<&String> = words.iter().skip(row).step_by(rows).collect();
        for (i, word) in line.iter().enumerate() {
            out.push_str(word);
            if i + 1 < line.len() {
                out.push_str(&" ".repeat(widest - text_width(word)));
            }
        }
        out.push('\n');
    }
    out
}
