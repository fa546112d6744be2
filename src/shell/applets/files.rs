//! What makes, moves and removes files.

mod mode;

use base::Time;
use cri_api::vfs::Stat;
use cri_api::{Errno, OpenFlags, Sys, Text};

use super::{Instant, Io, Make};
use crate::text::{basename, join};
use mode::new_mode;

pub(super) const TABLE: &[(&str, Make)] = &[
    ("mkdir", || Instant::boxed(mkdir)),
    ("rmdir", || Instant::boxed(rmdir)),
    ("rm", || Instant::boxed(rm)),
    ("cp", || Instant::boxed(cp)),
    ("mv", || Instant::boxed(mv)),
    ("ln", || Instant::boxed(ln)),
    ("touch", || Instant::boxed(touch)),
    ("chmod", || Instant::boxed(chmod)),
    ("chown", || Instant::boxed(chown)),
    ("chgrp", || Instant::boxed(chown)),
    ("mktemp", || Instant::boxed(mktemp)),
    ("truncate", || Instant::boxed(truncate)),
    ("install", || Instant::boxed(install)),
];

/// Runs the body, turning a refused command line into its exit code.
macro_rules! options {
    ($io:expr, $spec:expr, $long:expr) => {
        match $io.options($spec, $long) {
            Ok(options) => options,
            Err(code) => return code,
        }
    };
}
pub(super) use options;

fn mkdir(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "pm:v", &[("parents", 'p'), ("mode", 'm')]);
    let mode = options.value('m').and_then(|m| u16::from_str_radix(m, 8).ok()).unwrap_or(0o777);
    let mut code = 0;
    for path in &options.operands {
        if let Err((at, error)) = make_dir(io.sys, path, mode, options.has('p')) {
            io.error(format!("can't create directory '{at}': {error}"));
            code = 1;
        }
    }
    code
}

/// `mkdir`, with those above for `parents`. The error names the directory that couldn't be made.
pub(super) fn make_dir(sys: &mut Sys<'_>, path: &str, mode: u16, parents: bool) -> Result<(), (String, Errno)> {
    if !parents {
        return sys.mkdir(path, mode).map_err(|error| (path.to_string(), error));
    }
    let mut made = String::new();
    for part in path.split_inclusive('/') {
        made.push_str(part);
        if made == "/" {
            continue;
        }
        match sys.mkdir(&made, mode) {
            Ok(()) => {}
            Err(Errno::EEXIST | Errno::EROFS) if sys.stat(&made).is_ok_and(|s| s.is_dir()) => {}
            Err(error) => return Err((made.trim_end_matches('/').to_string(), error)),
        }
    }
    Ok(())
}

fn rmdir(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "p", &[("ignore-fail-on-non-empty", 'i')]);
    let mut code = 0;
    for path in &options.operands {
        if let Err(error) = io.sys.rmdir(path) {
            io.error(format!("'{path}': {error}"));
            code = 1;
        }
    }
    code
}

fn rm(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "rRfiv", &[("recursive", 'r'), ("force", 'f')]);
    let (recursive, force) = (options.has('r') || options.has('R'), options.has('f'));
    let mut code = 0;
    for path in &options.operands {
        if matches!(basename(path), "." | "..") {
            io.error("can't remove '.' or '..'");
            code = 1;
        } else if let Err((at, error)) = remove(io.sys, path, recursive) {
            if force && error == Errno::ENOENT {
                continue;
            }
            match error {
                Errno::EISDIR => io.error(format!("'{at}' is a directory")),
                error => io.error(format!("can't remove '{at}': {error}")),
            }
            code = 1;
        }
    }
    code
}

/// Removes a file, or with `recursive` a directory and all in it.
pub(super) fn remove(sys: &mut Sys<'_>, path: &str, recursive: bool) -> Result<(), (String, Errno)> {
    let fail = |error| (path.to_string(), error);
    if !sys.lstat(path).map_err(fail)?.is_dir() {
        return sys.unlink(path).map_err(fail);
    }
    if !recursive {
        return Err(fail(Errno::EISDIR));
    }
    let mut first = None;
    for name in sys.read_dir(path).map_err(fail)? {
        if let Err(error) = remove(sys, &join(path, &name), true) {
            first.get_or_insert(error);
        }
    }
    match first {
        Some(error) => Err(error),
        None => sys.rmdir(path).map_err(fail),
    }
}

/// `cp A B`, `cp A… DIR`: the pairs, or none after a complaint.
fn pairs(io: &mut Io<'_, '_>, operands: &[Text], to_dir: Option<&Text>, no_dir: bool) -> Option<Vec<(String, String)>> {
    let (sources, target) = match to_dir {
        Some(dir) => (operands, dir.clone()),
        None if operands.len() < 2 => {
            io.error("missing operand");
            return None;
        }
        None => (&operands[..operands.len() - 1], operands[operands.len() - 1].clone()),
    };
    let is_dir = !no_dir && io.sys.stat(&target).is_ok_and(|s| s.is_dir());
    if sources.len() > 1 && !is_dir {
        io.error(format!("target '{target}': {}", Errno::ENOTDIR));
        return None;
    }
    let place = |source: &Text| if is_dir { join(&target, basename(source)) } else { target.to_string() };
    Some(sources.iter().map(|source| (source.to_string(), place(source))).collect())
}

fn cp(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "aprRdPLHfinsluvt:T", &[("recursive", 'r'), ("archive", 'a')]);
    let Some(pairs) = pairs(io, &options.operands, options.value('t'), options.has('T')) else { return 1 };
    let recursive = options.last_of("rRa").is_some();
    let keep = options.last_of("pa").is_some();
    let keep_links = options.last_of("dPa").is_some() || (recursive && !options.has('L'));
    let mut code = 0;
    for (from, to) in pairs {
        if copy(io, &from, &to, recursive, keep, keep_links).is_err() {
            code = 1;
        }
    }
    code
}

fn copy(io: &mut Io<'_, '_>, from: &str, to: &str, recursive: bool, keep: bool, keep_links: bool) -> Result<(), ()> {
    let found = if keep_links { io.sys.lstat(from) } else { io.sys.stat(from) };
    let stat = found.map_err(|error| io.error(format!("can't stat '{from}': {error}")))?;
    if stat.is_dir() {
        if !recursive {
            io.error(format!("omitting directory '{from}'"));
            return Err(());
        }
        return copy_dir(io, from, to, &stat, keep, keep_links);
    }
    if let Ok(there) = io.sys.stat(to)
        && (there.dev, there.ino) == (stat.dev, stat.ino)
    {
        io.error(format!("'{from}' and '{to}' are the same file"));
        return Err(());
    }
    let copied = if stat.is_symlink() {
        let _ = io.sys.unlink(to);
        io.sys.readlink(from).and_then(|target| io.sys.symlink(&target, to))
    } else {
        copy_bytes(io, from, to, &stat)
    };
    copied.map_err(|error| io.error(format!("can't create '{to}': {error}")))?;
    keep_attributes(io, to, &stat, keep);
    Ok(())
}

fn copy_bytes(io: &mut Io<'_, '_>, from: &str, to: &str, stat: &Stat) -> Result<(), Errno> {
    let bytes = if stat.is_file() { io.sys.read_file(from)? } else { Default::default() };
    io.sys.charge(bytes.len() as u32 / 4096);
    let fd = io.sys.open(to, OpenFlags::WRITE, stat.mode & 0o777)?;
    let written = if bytes.is_empty() { Ok(0) } else { io.sys.write(fd, &bytes) };
    io.sys.close(fd)?;
    match written? {
        n if n < bytes.len() => Err(Errno::ENOSPC),
        _ => Ok(()),
    }
}

fn copy_dir(io: &mut Io<'_, '_>, from: &str, to: &str, stat: &Stat, keep: bool, keep_links: bool) -> Result<(), ()> {
    if format!("{}/", to.trim_end_matches('/')).starts_with(&format!("{}/", from.trim_end_matches('/'))) {
        io.error(format!("recursion detected, omitting directory '{from}'"));
        return Err(());
    }
    match io.sys.mkdir(to, stat.mode | 0o700) {
        Ok(()) => {}
        Err(Errno::EEXIST) if io.sys.stat(to).is_ok_and(|s| s.is_dir()) => {}
        Err(error) => {
            io.error(format!("can't create directory '{to}': {error}"));
            return Err(());
        }
    }
    let names = io.sys.read_dir(from).map_err(|error| io.error(format!("can't open '{from}': {error}")))?;
    let mut result = Ok(());
    for name in names {
        if copy(io, &join(from, &name), &join(to, &name), true, keep, keep_links).is_err() {
            result = Err(());
        }
    }
    keep_attributes(io, to, stat, keep);
    result
}

fn keep_attributes(io: &mut Io<'_, '_>, to: &str, stat: &Stat, keep: bool) {
    if keep && !stat.is_symlink() {
        let _ = io.sys.chown(to, Some(stat.uid), Some(stat.gid));
        let _ = io.sys.chmod(to, stat.mode);
        let _ = io.sys.utime(to, stat.mtime);
    }
}

fn mv(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "finvt:T", &[]);
    let Some(pairs) = pairs(io, &options.operands, options.value('t'), options.has('T')) else { return 1 };
    let mut code = 0;
    for (from, to) in pairs {
        let moved = match io.sys.rename(&from, &to) {
            Err(Errno::EXDEV) => match copy(io, &from, &to, true, true, true) {
                Ok(()) => remove(io.sys, &from, true).map_err(|(_, error)| error),
                Err(()) => {
                    code = 1;
                    continue;
                }
            },
            other => other,
        };
        if let Err(error) = moved {
            io.error(format!("can't rename '{from}': {error}"));
            code = 1;
        }
    }
    code
}

fn ln(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "sfnvT", &[("symbolic", 's'), ("force", 'f')]);
    let mut operands = options.operands.clone();
    if let [only] = operands.as_slice() {
        operands.push(basename(only).into());
    }
    let Some(pairs) = pairs(io, &operands, None, options.has('n') || options.has('T')) else { return 1 };
    let mut code = 0;
    for (target, path) in pairs {
        if options.has('f') {
            let _ = io.sys.unlink(&path);
        }
        let made = if options.has('s') { io.sys.symlink(&target, &path) } else { io.sys.link(&target, &path) };
        if let Err(error) = made {
            io.error(format!("{path}: {error}"));
            code = 1;
        }
    }
    code
}

fn touch(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "camhd:t:r:", &[("no-create", 'c'), ("date", 'd')]);
    let time = match options.value('d') {
        Some(text) => match super::time::parse_date(text) {
            Some(time) => time,
            None => {
                io.error(format!("invalid date '{text}'"));
                return 1;
            }
        },
        None => match options.value('r').map(|path| io.sys.stat(path)) {
            Some(Ok(stat)) => stat.mtime,
            _ => io.sys.now(),
        },
    };
    let mut code = 0;
    for path in &options.operands {
        if let Err(error) = touch_one(io.sys, path, time, options.has('c')) {
            io.error(format!("{path}: {error}"));
            code = 1;
        }
    }
    code
}

fn touch_one(sys: &mut Sys<'_>, path: &str, time: Time, only_existing: bool) -> Result<(), Errno> {
    match sys.utime(path, time) {
        Err(Errno::ENOENT) if only_existing => Ok(()),
        Err(Errno::ENOENT) => {
            let fd = sys.open(path, OpenFlags::APPEND, 0o666)?;
            sys.close(fd)?;
            sys.utime(path, time)
        }
        other => other,
    }
}

fn each(sys: &mut Sys<'_>, path: &str, recursive: bool, all: &mut Vec<String>) {
    all.push(path.to_string());
    if recursive && sys.lstat(path).is_ok_and(|s| s.is_dir()) {
        for name in sys.read_dir(path).unwrap_or_default() {
            each(sys, &join(path, &name), true, all);
        }
    }
}

fn chmod(io: &mut Io<'_, '_>) -> i32 {
    // A mode may look like an option: `-x`, `-w`.
    let mut args = io.args();
    let recursive = args.iter().any(|a| matches!(&**a, "-R" | "--recursive"));
    args.retain(|a| !matches!(&**a, "-R" | "--recursive" | "-v" | "-c" | "-f" | "--"));
    let [mode, paths @ ..] = args.as_slice() else {
        io.error("missing operand");
        return 1;
    };
    let mut code = 0;
    for path in paths {
        let mut all = Vec::new();
        each(io.sys, path, recursive, &mut all);
        for path in all {
            let umask = io.sys.umask();
            let changed = match io.sys.stat(&path) {
                Ok(stat) => match new_mode(mode, stat.mode, stat.is_dir(), umask) {
                    Some(mode) => io.sys.chmod(&path, mode),
                    None => {
                        io.error(format!("invalid mode '{mode}'"));
                        return 1;
                    }
                },
                Err(error) => Err(error),
            };
            if let Err(error) = changed {
                io.error(format!("{path}: {error}"));
                code = 1;
            }
        }
    }
    code
}

fn chown(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "Rhvcf", &[("recursive", 'R')]);
    let [owner, paths @ ..] = options.operands.as_slice() else {
        io.error("missing operand");
        return 1;
    };
    let is_group = io.name() == "chgrp";
    let (user, group) = match owner.split_once([':', '.']) {
        _ if is_group => ("", &**owner),
        Some((user, group)) => (user, group),
        None => (&**owner, ""),
    };
    let mut ids = [None, None];
    for (i, (name, file, what)) in [(user, "/etc/passwd", "user"), (group, "/etc/group", "group")].into_iter().enumerate() {
        if !name.is_empty() {
            ids[i] = super::lookup_id(io.sys, file, name);
            if ids[i].is_none() {
                io.error(format!("unknown {what} {name}"));
                return 1;
            }
        }
    }
    let mut code = 0;
    for path in paths {
        let mut all = Vec::new();
        each(io.sys, path, options.has('R'), &mut all);
        for path in all {
            if let Err(error) = io.sys.chown(&path, ids[0], ids[1]) {
                io.error(format!("{path}: {error}"));
                code = 1;
            }
        }
    }
    code
}

fn mktemp(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "dqtup:", &[]);
    let dir = options.value('p').cloned().or_else(|| io.sys.var("TMPDIR")).unwrap_or_else(|| "/tmp".into());
    let template = match options.operands.first() {
        Some(template) if options.value('p').is_some() || options.has('t') => join(&dir, template),
        Some(template) => template.to_string(),
        None => join(&dir, "tmp.XXXXXX"),
    };
    let stem = template.trim_end_matches('X');
    let len = template.len() - stem.len();
    if len < 6 {
        io.error(format!("{template}: {}", Errno::EINVAL));
        return 1;
    }
    let seed = base::Seed(io.sys.now().0 as u64).derive(&io.sys.config().hostname);
    for attempt in 0..100 {
        let path = format!("{stem}{}", seed.suffix(io.sys.pid() as u64 * 100 + attempt, len));
        let made = match options.has('d') {
            true => io.sys.mkdir(&path, 0o700),
            false => io.sys.open(&path, OpenFlags { exclusive: true, ..OpenFlags::WRITE }, 0o600).and_then(|fd| io.sys.close(fd)),
        };
        match made {
            Ok(()) => {
                io.print(format!("{path}\n"));
                return 0;
            }
            Err(Errno::EEXIST) => {}
            Err(error) => {
                io.error(format!("{path}: {error}"));
                return 1;
            }
        }
    }
    1
}

fn truncate(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "cs:", &[("size", 's')]);
    let Some(size) = options.value('s').and_then(|s| crate::text::parse_size(s)) else {
        io.error("you must specify a size");
        return 1;
    };
    let mut code = 0;
    for path in &options.operands {
        let result = io.sys.open(path, OpenFlags::APPEND, 0o666).and_then(|fd| {
            let done = io.sys.truncate(fd, size);
            io.sys.close(fd)?;
            done
        });
        if let Err(error) = result {
            io.error(format!("{path}: {error}"));
            code = 1;
        }
    }
    code
}

fn install(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "cdDpsm:o:g:t:", &[]);
    let mode = options.value('m').and_then(|m| u16::from_str_radix(m, 8).ok()).unwrap_or(0o755);
    if options.has('d') {
        let mut code = 0;
        for path in &options.operands {
            if let Err((at, error)) = make_dir(io.sys, path, mode, true) {
                io.error(format!("can't create directory '{at}': {error}"));
                code = 1;
            }
        }
        return code;
    }
    let Some(pairs) = pairs(io, &options.operands, options.value('t'), false) else { return 1 };
    let mut code = 0;
    for (from, to) in pairs {
        if options.has('D') {
            let _ = make_dir(io.sys, crate::text::dirname(&to), 0o755, true);
        }
        if copy(io, &from, &to, false, false, false).is_err() || io.sys.chmod(&to, mode).is_err() {
            code = 1;
        }
    }
    code
}
