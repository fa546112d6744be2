//! Programs of coreutils and busybox, with busybox 1.36's words. One table; an applet is a constructor and a line in it.
//!
//! Most are of one of two kinds: [`Instant`] does all its work at once and then waits only for its output to be taken;
//! [`filter::Filter`] is fed with its input in pieces. The rest are state machines of their own.

mod awk;
mod basic;
mod compare;
pub mod digest;
mod expr;
mod files;
pub mod filter;
mod find;
mod grep;
mod jq;
mod ls;
mod net;
mod options;
mod regex;
mod runners;
mod screen;
mod sed;
mod stream;
mod system;
mod tar;
mod text_tools;
mod time;

use std::rc::Rc;

use cri_api::{Fd, Poll, Program, ProgramTable, Sys, Text, WriteOut};

pub use options::Options;

/// What an applet works with.
pub struct Io<'a, 'b> {
    pub sys: &'a mut Sys<'b>,
    pub out: &'a mut WriteOut,
    pub argv: Rc<[Text]>,
}

impl Io<'_, '_> {
    /// The applet's name.
    pub fn name(&self) -> String {
        self.argv.first().map_or("", |a| crate::text::basename(a)).trim_start_matches('-').to_string()
    }

    pub fn args(&self) -> Vec<Text> {
        self.argv.iter().skip(1).cloned().collect()
    }

    pub fn print(&mut self, text: impl AsRef<[u8]>) {
        self.out.push(1, text.as_ref());
    }

    /// `NAME: text` on standard error.
    pub fn error(&mut self, text: impl AsRef<str>) {
        let line = format!("{}: {}\n", self.name(), text.as_ref());
        self.out.push(2, line.as_bytes());
    }

    /// Parses options; on an error the message is out and the code is 1.
    pub fn options(&mut self, spec: &str, long: &[(&str, char)]) -> Result<Options, i32> {
        let args = self.args();
        Options::parse(&args, spec, long).map_err(|message| {
            self.error(message);
            1
        })
    }

    /// The whole content of a file, or of standard input for `-` (only what is there now: use a filter for streams).
    pub fn read_file(&mut self, path: &str) -> Option<Rc<Vec<u8>>> {
        match self.sys.read_file(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.error(format!("can't open '{path}': {error}"));
                None
            }
        }
    }
}

/// An applet that does its work in one go.
#[derive(Clone)]
pub struct Instant {
    run: fn(&mut Io<'_, '_>) -> i32,
    out: WriteOut,
    code: Option<i32>,
}

impl Instant {
    pub fn boxed(run: fn(&mut Io<'_, '_>) -> i32) -> Box<dyn Program> {
        Box::new(Instant { run, out: WriteOut::default(), code: None })
    }
}

impl Program for Instant {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if self.code.is_none() {
            let argv = sys.argv();
            self.code = Some((self.run)(&mut Io { sys, out: &mut self.out, argv }));
            sys.charge(1 + self.out.len() as u32 / 256);
        }
        finish(&mut self.out, sys, self.code.unwrap_or(0))
    }
}

/// Ends with a code when all output is taken.
pub(crate) fn finish(out: &mut WriteOut, sys: &mut Sys<'_>, code: i32) -> Poll {
    match out.flush(sys) {
        Ok(true) => Poll::Exit(code),
        Ok(false) => Poll::Pending,
        Err(error) => {
            if error != cri_api::Errno::EPIPE {
                let name = sys.argv().first().map_or(String::new(), |a| crate::text::basename(a).to_string());
                let _ = sys.write(2, format!("{name}: write error: {error}\n").as_bytes());
            }
            Poll::Exit(1)
        }
    }
}

/// Standard input.
pub(crate) const STDIN: Fd = 0;

type Make = fn() -> Box<dyn Program>;

/// All applets, by name.
fn table() -> impl Iterator<Item = (&'static str, Make)> {
    let tables = [
        basic::TABLE,
        files::TABLE,
        ls::TABLE,
        time::TABLE,
        system::TABLE,
        text_tools::TABLE,
        stream::TABLE,
        grep::TABLE,
        sed::TABLE,
        awk::TABLE,
        jq::TABLE,
        digest::TABLE,
        compare::TABLE,
        find::TABLE,
        runners::TABLE,
        screen::TABLE,
        tar::TABLE,
        net::TABLE,
    ];
    tables.into_iter().flatten().copied()
}

fn make(name: &str) -> Box<dyn Program> {
    table().find(|(n, _)| *n == name).map_or_else(|| Instant::boxed(|_| 127), |(_, make)| make())
}

/// Adds all applets.
pub fn register(programs: &mut ProgramTable) {
    for name in names() {
        programs.add(name, make);
    }
}

pub fn names() -> impl Iterator<Item = &'static str> {
    table().map(|(name, _)| name)
}

/// A user's name by `/etc/passwd`, or the number.
pub(crate) fn user_name(sys: &mut Sys<'_>, uid: u32) -> String {
    lookup(sys, "/etc/passwd", uid).unwrap_or_else(|| uid.to_string())
}

pub(crate) fn group_name(sys: &mut Sys<'_>, gid: u32) -> String {
    lookup(sys, "/etc/group", gid).unwrap_or_else(|| gid.to_string())
}

/// The name of a number in `/etc/passwd` or `/etc/group`.
pub(crate) fn lookup(sys: &mut Sys<'_>, path: &str, id: u32) -> Option<String> {
    let bytes = sys.read_file(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().find_map(|line| {
        let mut columns = line.split(':');
        let name = columns.next()?;
        (columns.nth(1)?.parse() == Ok(id)).then(|| name.to_string())
    })
}

/// The number of a name in `/etc/passwd` or `/etc/group`; numbers stand for themselves.
pub(crate) fn lookup_id(sys: &mut Sys<'_>, path: &str, name: &str) -> Option<u32> {
    if let Ok(id) = name.parse() {
        return Some(id);
    }
    let bytes = sys.read_file(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().find_map(|line| {
        let mut columns = line.split(':');
        (columns.next()? == name).then(|| columns.nth(1)?.parse().ok()).flatten()
    })
}
