//! `ls`, `stat`, `du`, `df`, `readlink`, `realpath`, `find`'s relatives that only look.

use base::Sort as _;
use cri_api::vfs::Stat;
use cri_api::{Errno, Text};

use super::files::options;
use super::{Instant, Io, Make, Options, group_name, user_name};
use crate::editor::columns;
use crate::text::{join, mode_text};

pub(super) const TABLE: &[(&str, Make)] = &[
    ("ls", || Instant::boxed(ls)),
    ("stat", || Instant::boxed(stat)),
    ("du", || Instant::boxed(du)),
    ("df", || Instant::boxed(df)),
    ("readlink", || Instant::boxed(readlink)),
    ("realpath", || Instant::boxed(realpath)),
];

/// One line of a listing.
struct Entry {
    shown: String,
    path: String,
    stat: Stat,
}

fn ls(io: &mut Io<'_, '_>) -> i32 {
    let long = [("all", 'a'), ("almost-all", 'A'), ("recursive", 'R'), ("color", '?'), ("full-time", 'e')];
    let mut args = io.args();
    args.retain(|a| !a.starts_with("--color"));
    let options = match Options::parse(&args, "alA1dRhnirtSFLkspgoCxeucqQT:w:", &long) {
        Ok(options) => options,
        Err(message) => {
            io.error(message);
            return 1;
        }
    };
    let operands = if options.operands.is_empty() { vec![Text::from(".")] } else { options.operands.clone() };
    let mut code = 0;
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    for operand in operands.iter() {
        let long = options.last_of("lno").is_some();
        let stat = match (long || options.has('d')) && !options.has('L') && !options.has('H') {
            true => io.sys.lstat(operand),
            false => io.sys.stat(operand).or_else(|_| io.sys.lstat(operand)),
        };
        match stat {
            Ok(stat) => {
                let is_dir = stat.is_dir() && !options.has('d');
                let entry = Entry { shown: operand.to_string(), path: operand.to_string(), stat };
                if is_dir { dirs.push(entry) } else { files.push(entry) }
            }
            Err(error) => {
                io.error(format!("{operand}: {error}"));
                code = 1;
            }
        }
    }
    let many = operands.len() > 1 || options.has('R');
    sort(&mut files, &options);
    sort(&mut dirs, &options);
    let mut first = files.is_empty();
    show(io, &files, &options);
    for dir in dirs {
        code = code.max(list_dir(io, &dir.path, &options, many, &mut first));
    }
    code
}

fn sort(entries: &mut [Entry], options: &Options) {
    entries.order_by(|a, b| a.shown.cmp(&b.shown));
    match options.last_of("tS") {
        Some('t') => entries.order_by_key(|e| std::cmp::Reverse(e.stat.mtime)),
        Some('S') => entries.order_by_key(|e| std::cmp::Reverse(e.stat.size)),
        _ => {}
    }
    if options.has('r') {
        entries.reverse();
    }
}

fn list_dir(io: &mut Io<'_, '_>, path: &str, options: &Options, header: bool, first: &mut bool) -> i32 {
    let names = match io.sys.read_dir(path) {
        Ok(names) => names,
        Err(error) => {
            io.error(format!("can't open '{path}': {error}"));
            return 1;
        }
    };
    let hidden = options.has('a') || options.has('A');
    let mut names: Vec<String> = names.iter().filter(|n| hidden || !n.starts_with('.')).map(|n| n.to_string()).collect();
    if options.has('a') {
        names.extend([".".to_string(), "..".to_string()]);
    }
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let full = join(path, &name);
        let stat = if options.has('L') { io.sys.stat(&full).or_else(|_| io.sys.lstat(&full)) } else { io.sys.lstat(&full) };
        if let Ok(stat) = stat {
            entries.push(Entry { shown: name, path: full, stat });
        }
    }
    sort(&mut entries, options);
    if header {
        let blank = if std::mem::replace(first, false) { "" } else { "\n" };
        io.print(format!("{blank}{path}:\n"));
    }
    if options.last_of("lno").is_some() {
        let blocks: u64 = entries.iter().map(|e| e.stat.blocks).sum();
        io.print(format!("total {}\n", blocks / 2));
    }
    show(io, &entries, options);
    let mut code = 0;
    if options.has('R') {
        for entry in entries.iter().filter(|e| e.stat.is_dir() && e.shown != "." && e.shown != "..") {
            code = code.max(list_dir(io, &entry.path, options, true, first));
        }
    }
    code
}

fn show(io: &mut Io<'_, '_>, entries: &[Entry], options: &Options) {
    if options.last_of("lno").is_some() {
        for entry in entries {
            let line = long_line(io, entry, options);
            io.print(line);
        }
        return;
    }
    let names: Vec<String> = entries
        .iter()
        .map(|e| {
            let inode = if options.has('i') { format!("{:>7} ", e.stat.ino) } else { String::new() };
            format!("{inode}{}{}", e.shown, mark(e, options))
        })
        .collect();
    let tty = io.sys.tty_size(1).ok().filter(|_| !options.has('1'));
    match tty {
        Some((cols, _)) if !names.is_empty() => io.print(columns(&names, cols as usize)),
        _ => names.iter().for_each(|name| io.print(format!("{name}\n"))),
    }
}

fn mark(entry: &Entry, options: &Options) -> &'static str {
    match entry.stat.kind {
        'd' if options.has('F') || options.has('p') => "/",
        'l' if options.has('F') => "@",
        '-' if options.has('F') && entry.stat.mode & 0o111 != 0 => "*",
        _ => "",
    }
}

fn long_line(io: &mut Io<'_, '_>, entry: &Entry, options: &Options) -> String {
    let stat = &entry.stat;
    let numeric = options.has('n');
    let user = if numeric { stat.uid.to_string() } else { user_name(io.sys, stat.uid) };
    let group = if numeric { stat.gid.to_string() } else { group_name(io.sys, stat.gid) };
    let size = match stat.kind {
        'c' => "  1,   3".to_string(),
        _ if options.has('h') => human(stat.size),
        _ => stat.size.to_string(),
    };
    let inode = if options.has('i') { format!("{:>7} ", stat.ino) } else { String::new() };
    let target = match stat.is_symlink() {
        true => io.sys.readlink(&entry.path).map(|t| format!(" -> {t}")).unwrap_or_default(),
        false => String::new(),
    };
    let date = match options.has('e') {
        true => super::time::format(stat.mtime, "%a %b %e %H:%M:%S %Y"),
        false => short_date(stat.mtime, io.sys.now()),
    };
    format!(
        "{inode}{} {:>4} {user:<8} {group:<8} {size:>9} {date} {}{}{target}\n",
        mode_text(stat.kind, stat.mode),
        stat.links,
        entry.shown,
        mark(entry, options)
    )
}

/// `Nov 23 03:00`, or with the year when it is more than half a year ago.
fn short_date(time: base::Time, now: base::Time) -> String {
    let age = now.since(time).as_secs();
    let format = if (-900..15_768_000).contains(&age) { "%b %e %H:%M" } else { "%b %e  %Y" };
    super::time::format(time, format)
}

/// `1.5K` as busybox' `-h` shows sizes.
pub(super) fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let (mut tenths, mut unit) = (bytes * 10, 0);
    while tenths >= 10_240 && unit < 5 {
        tenths = (tenths + 512) / 1024;
        unit += 1;
    }
    let letter = ["", "K", "M", "G", "T", "P"][unit];
    format!("{}.{}{letter}", tenths / 10, tenths % 10)
}

fn stat(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "Lc:ft", &[("format", 'c'), ("dereference", 'L')]);
    let mut code = 0;
    for path in &options.operands {
        let found = if options.has('L') { io.sys.stat(path) } else { io.sys.lstat(path) };
        match found {
            Ok(stat) => {
                let text = match options.value('c') {
                    Some(format) => format_stat(io, path, &stat, format) + "\n",
                    None => full_stat(io, path, &stat),
                };
                io.print(text);
            }
            Err(error) => {
                io.error(format!("can't stat '{path}': {error}"));
                code = 1;
            }
        }
    }
    code
}

fn kind_name(stat: &Stat) -> &'static str {
    match stat.kind {
        'd' => "directory",
        'l' => "symbolic link",
        'c' => "character special file",
        '-' if stat.size == 0 => "regular empty file",
        _ => "regular file",
    }
}

fn format_stat(io: &mut Io<'_, '_>, path: &str, stat: &Stat, format: &str) -> String {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let text = match chars.next() {
            Some('a') => format!("{:o}", stat.mode),
            Some('A') => mode_text(stat.kind, stat.mode),
            Some('n') => path.to_string(),
            Some('N') => format!("'{path}'"),
            Some('s') => stat.size.to_string(),
            Some('b') => stat.blocks.to_string(),
            Some('B') => "512".to_string(),
            Some('F') => kind_name(stat).to_string(),
            Some('u') => stat.uid.to_string(),
            Some('g') => stat.gid.to_string(),
            Some('U') => user_name(io.sys, stat.uid),
            Some('G') => group_name(io.sys, stat.gid),
            Some('h') => stat.links.to_string(),
            Some('i') => stat.ino.to_string(),
            Some('d') => stat.dev.to_string(),
            Some('X' | 'Y' | 'Z') => stat.mtime.secs().to_string(),
            Some('x' | 'y' | 'z') => super::time::format(stat.mtime, "%Y-%m-%d %H:%M:%S.000000000 +0000"),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        out.push_str(&text);
    }
    out
}

fn full_stat(io: &mut Io<'_, '_>, path: &str, stat: &Stat) -> String {
    let time = super::time::format(stat.mtime, "%Y-%m-%d %H:%M:%S.000000000 +0000");
    let arrow = io.sys.readlink(path).map(|t| format!(" -> '{t}'")).unwrap_or_default();
    format!(
        "  File: '{path}'{arrow}\n  Size: {:<10}\tBlocks: {:<10} IO Block: 4096   {}\nDevice: {:x}h/{}d\tInode: {:<10}  Links: {}\nAccess: ({:04o}/{})  Uid: ({:>5}/{:>8})   Gid: ({:>5}/{:>8})\nAccess: {time}\nModify: {time}\nChange: {time}\n",
        stat.size,
        stat.blocks,
        kind_name(stat),
        stat.dev,
        stat.dev,
        stat.ino,
        stat.links,
        stat.mode,
        mode_text(stat.kind, stat.mode),
        stat.uid,
        user_name(io.sys, stat.uid),
        stat.gid,
        group_name(io.sys, stat.gid)
    )
}

fn du(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "ashmkcxd:", &[]);
    let operands = if options.operands.is_empty() { vec![Text::from(".")] } else { options.operands.clone() };
    let depth = match options.has('s') {
        true => 0,
        false => options.value('d').and_then(|d| d.parse().ok()).unwrap_or(u32::MAX),
    };
    let mut code = 0;
    for path in operands {
        if let Err(error) = du_one(io, &path, &options, depth, true) {
            io.error(format!("{path}: {error}"));
            code = 1;
        }
    }
    code
}

/// Bytes on disk below a path, listing directories as they are done.
fn du_one(io: &mut Io<'_, '_>, path: &str, options: &Options, depth: u32, top: bool) -> Result<u64, Errno> {
    let stat = io.sys.lstat(path)?;
    let mut bytes = stat.blocks * 512;
    if stat.is_dir() {
        for name in io.sys.read_dir(path)? {
            bytes += du_one(io, &join(path, &name), options, depth.saturating_sub(1), false).unwrap_or(0);
        }
    }
    if top || (depth > 0 && (stat.is_dir() || options.has('a'))) {
        let size = match options.last_of("hm") {
            Some('h') => human(bytes),
            Some('m') => bytes.div_ceil(1 << 20).to_string(),
            _ => bytes.div_ceil(1024).to_string(),
        };
        io.print(format!("{size}\t{path}\n"));
    }
    Ok(bytes)
}

fn df(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "hkmPTia", &[]);
    let human_readable = options.has('h');
    io.print(match human_readable {
        true => "Filesystem                Size      Used Available Use% Mounted on\n",
        false => "Filesystem           1K-blocks      Used Available Use% Mounted on\n",
    });
    let mounts = io.sys.mounts();
    for (device, path, used, limit) in io.sys.usage() {
        let path = match path.is_empty() {
            false => path,
            true => match mounts.iter().find(|m| m.device == device) {
                Some(mount) => mount.path.clone(),
                None => continue,
            },
        };
        let show = |bytes: u64| if human_readable { human(bytes) } else { (bytes / 1024).to_string() };
        let percent = if limit == 0 { 0 } else { (used * 100).div_ceil(limit) };
        let free = limit.saturating_sub(used);
        io.print(format!("{device:<20} {:>9} {:>9} {:>9} {percent:>3}% {path}\n", show(limit), show(used), show(free)));
    }
    0
}

fn readlink(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "fnv", &[]);
    let mut code = 0;
    for path in &options.operands {
        let found = match options.has('f') {
            true => canonical(io, path),
            false => io.sys.readlink(path).map(|t| t.to_string()),
        };
        match found {
            Ok(text) if options.has('n') => io.print(text),
            Ok(text) => io.print(format!("{text}\n")),
            Err(error) => {
                if options.has('v') {
                    io.error(format!("{path}: {error}"));
                }
                code = 1;
            }
        }
    }
    code
}

/// The real path; the last component may be missing.
fn canonical(io: &mut Io<'_, '_>, path: &str) -> Result<String, Errno> {
    match io.sys.real_path(path) {
        Err(Errno::ENOENT) => {
            let dir = io.sys.real_path(crate::text::dirname(path))?;
            Ok(join(&dir, crate::text::basename(path)))
        }
        other => other,
    }
}

fn realpath(io: &mut Io<'_, '_>) -> i32 {
    let mut code = 0;
    for path in io.args() {
        match canonical(io, &path) {
            Ok(text) => io.print(format!("{text}\n")),
            Err(error) => {
                io.error(format!("{path}: {error}"));
                code = 1;
            }
        }
    }
    code
}
