//! Redirections of this process' own descriptors, and how they are undone. Children inherit them while they hold.

use cri_api::{Errno, Fd, OpenFlags, Sys};

use super::{Flavour, Shell};
use crate::ast::{Redirect, RedirectKind, Word};
use crate::expand::{Expander, Stop};

/// A redirection whose word is expanded.
pub(crate) struct Target {
    fd: Fd,
    what: What,
}

enum What {
    Open { path: String, flags: OpenFlags, clobber: bool },
    Both { path: String, flags: OpenFlags },
    Dup(String),
    Text(String),
}

/// Descriptors that scripts don't use: saved ones live here.
const SAVED_FROM: Fd = 10;

impl Shell {
    pub(super) fn expand_redirects(
        &mut self,
        redirects: &[Redirect],
        answers: &mut Vec<cri_api::Text>,
        sys: &mut Sys<'_>,
    ) -> Result<Vec<Target>, Stop> {
        let mut expander = Expander { shell: self, sys, answers, cursor: 0 };
        expand_targets(redirects, &mut expander)
    }

    /// Opens and moves descriptors. What was there goes to `saved`. On an error the message says what failed.
    pub(super) fn apply_redirects(
        &mut self,
        targets: &[Target],
        saved: &mut Vec<(Fd, Option<Fd>)>,
        sys: &mut Sys<'_>,
    ) -> Result<(), String> {
        for target in targets {
            match &target.what {
                What::Open { path, flags, clobber } => {
                    if self.options.noclobber && flags.truncate && !clobber && sys.stat(path).is_ok_and(|s| s.is_file()) {
                        return Err(format!("can't create {path}: File exists"));
                    }
                    let fd = sys.open(path, *flags, 0o666).map_err(|error| self.open_error(path, *flags, error))?;
                    move_to(fd, target.fd, saved, sys);
                }
                What::Both { path, flags } => {
                    let fd = sys.open(path, *flags, 0o666).map_err(|error| self.open_error(path, *flags, error))?;
                    move_to(fd, 1, saved, sys);
                    save(2, saved, sys);
                    let _ = sys.dup2(1, 2);
                }
                What::Dup(source) => self.duplicate(target.fd, source, saved, sys)?,
                What::Text(text) => {
                    let fd = text_descriptor(text, sys).map_err(|error| format!("pipe: {error}"))?;
                    move_to(fd, target.fd, saved, sys);
                }
            }
        }
        Ok(())
    }

    fn duplicate(&mut self, fd: Fd, source: &str, saved: &mut Vec<(Fd, Option<Fd>)>, sys: &mut Sys<'_>) -> Result<(), String> {
        if source == "-" {
            save(fd, saved, sys);
            let _ = sys.close(fd);
            return Ok(());
        }
        let (digits, close) = match source.strip_suffix('-') {
            Some(digits) => (digits, true),
            None => (source, false),
        };
        let Ok(from) = digits.parse::<Fd>() else { return Err(format!("syntax error: bad fd number: {source}")) };
        if !sys.is_open(from) {
            return Err(match self.flavour {
                Flavour::Ash => format!("dup2({from},{fd}): Bad file descriptor"),
                Flavour::Bash => format!("{from}: Bad file descriptor"),
            });
        }
        save(fd, saved, sys);
        let _ = sys.dup2(from, fd);
        if close {
            let _ = sys.close(from);
        }
        Ok(())
    }

    fn open_error(&self, path: &str, flags: OpenFlags, error: Errno) -> String {
        if self.flavour == Flavour::Bash {
            return format!("{path}: {error}");
        }
        let missing = matches!(error, Errno::ENOENT | Errno::ENOTDIR);
        match (flags.write, missing) {
            (true, true) => format!("can't create {path}: nonexistent directory"),
            (true, false) => format!("can't create {path}: {error}"),
            (false, true) => format!("can't open {path}: no such file"),
            (false, false) => format!("can't open {path}: {error}"),
        }
    }

    /// Puts saved descriptors back.
    pub(super) fn restore(&mut self, saved: Vec<(Fd, Option<Fd>)>, sys: &mut Sys<'_>) {
        for (fd, old) in saved.into_iter().rev() {
            match old {
                Some(old) => {
                    let _ = sys.dup2(old, fd);
                    let _ = sys.close(old);
                }
                None => {
                    let _ = sys.close(fd);
                }
            }
        }
    }
}

pub(super) fn expand_targets(redirects: &[Redirect], expander: &mut Expander<'_, '_>) -> Result<Vec<Target>, Stop> {
    let mut targets = Vec::with_capacity(redirects.len());
    for redirect in redirects {
        let mut open = |word: &Word, flags, clobber| Ok(What::Open { path: expander.string(word)?, flags, clobber });
        let what = match &redirect.kind {
            RedirectKind::Read(word) => open(word, OpenFlags::READ, true)?,
            RedirectKind::Write { word, clobber } => open(word, OpenFlags::WRITE, *clobber)?,
            RedirectKind::Append(word) => open(word, OpenFlags::APPEND, true)?,
            RedirectKind::ReadWrite(word) => open(word, OpenFlags::READ_WRITE, true)?,
            RedirectKind::Dup(word) => What::Dup(expander.string(word)?),
            RedirectKind::Both { word, append } => {
                let flags = if *append { OpenFlags::APPEND } else { OpenFlags::WRITE };
                What::Both { path: expander.string(word)?, flags }
            }
            RedirectKind::HereString(word) => What::Text(expander.string(word)? + "\n"),
            RedirectKind::HereDoc(cell) => {
                let body = cell.get().cloned().unwrap_or_default();
                What::Text(expander.string(&body)?)
            }
        };
        targets.push(Target { fd: redirect.fd, what });
    }
    Ok(targets)
}

fn save(fd: Fd, saved: &mut Vec<(Fd, Option<Fd>)>, sys: &mut Sys<'_>) {
    saved.push((fd, sys.dup_away(fd, SAVED_FROM).ok()));
}

fn move_to(fd: Fd, to: Fd, saved: &mut Vec<(Fd, Option<Fd>)>, sys: &mut Sys<'_>) {
    if fd == to {
        saved.push((to, None));
        return;
    }
    save(to, saved, sys);
    let _ = sys.dup2(fd, to);
    let _ = sys.close(fd);
}

/// A descriptor from which a text can be read. What doesn't fit into a pipe goes through an unlinked file.
fn text_descriptor(text: &str, sys: &mut Sys<'_>) -> Result<Fd, Errno> {
    if text.len() <= 32 * 1024 {
        let (read, write) = sys.pipe()?;
        if !text.is_empty() {
            sys.write(write, text.as_bytes())?;
        }
        sys.close(write)?;
        return Ok(read);
    }
    let path = format!("/tmp/sh-here-{}", sys.pid());
    sys.write_file(&path, text.as_bytes())?;
    let fd = sys.open(&path, OpenFlags::READ, 0)?;
    sys.unlink(&path)?;
    Ok(fd)
}
