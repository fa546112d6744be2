//! `awk`, the everyday part: patterns (also ranges), fields, `print`, `printf`, variables, arrays (also `in`, `delete`), all
//! operators, `if while do for for-in break continue next exit return`, user functions, the string and number functions below.
//! Left out by name, and refused when the program is read: `getline`, output to files and commands, `system`, `close`.

mod parse;
mod run;

use std::rc::Rc;

use cri_api::{Errno, Text};

use super::filter::{Filter, FilterProgram, Next};
use super::{Io, Make};
use run::{Control, Interpreter};

pub(super) const TABLE: &[(&str, Make)] = &[("awk", FilterProgram::<Awk>::boxed)];

#[derive(Clone)]
struct Awk {
    interpreter: Interpreter,
    done: bool,
}

impl Filter for Awk {
    const LINES: bool = true;

    fn begin(io: &mut Io<'_, '_>) -> Result<(Awk, Vec<Text>), i32> {
        let mut options = io.options("+F:v:f:", &[])?;
        let source = match options.value('f').cloned() {
            Some(path) => String::from_utf8_lossy(&io.read_file(&path).ok_or(1)?).into_owned(),
            None if options.operands.is_empty() => {
                io.out.push(2, b"BusyBox v1.36.1 multi-call binary.\n\nUsage: awk [-F SEP] [-v VAR=VAL]... [-f FILE] 'AWK_PROGRAM' [FILE]...\n");
                return Err(1);
            }
            None => options.operands.remove(0).to_string(),
        };
        let program = parse::parse(&source).map_err(|message| {
            io.error(format!("cmd. line:1: {message}"));
            1
        })?;
        let mut interpreter = Interpreter::new(Rc::new(program), &io.sys.env());
        let unescape = |text: &str| String::from_utf8_lossy(&crate::text::unescape(text.as_bytes()).bytes).into_owned();
        if let Some(separator) = options.value('F') {
            interpreter.set("FS", &unescape(separator));
        }
        for assignment in options.values('v') {
            if let Some((name, value)) = assignment.split_once('=') {
                interpreter.set(name, &unescape(value));
            }
        }
        let mut awk = Awk { interpreter, done: false };
        awk.act(io, |interpreter| interpreter.begin());
        let only_begin = awk.interpreter.program.only_begin();
        if awk.done || only_begin {
            awk.done = true;
            return match awk.finish(io) {
                0 => Ok((awk, vec!["/dev/null".into()])),
                code => Err(code),
            };
        }
        Ok((awk, options.operands))
    }

    fn data(&mut self, io: &mut Io<'_, '_>, line: &[u8], _: bool) -> Next {
        if self.done {
            return Next::Stop;
        }
        let line = String::from_utf8_lossy(line).into_owned();
        self.act(io, |interpreter| interpreter.record(&line));
        io.sys.charge(2);
        if self.done { Next::Stop } else { Next::More }
    }

    fn open(&mut self, _: &mut Io<'_, '_>, name: &str) -> Next {
        self.interpreter.set("FILENAME", if name == "-" { "" } else { name });
        self.interpreter.set("FNR", "0");
        Next::More
    }

    fn open_error(&mut self, io: &mut Io<'_, '_>, name: &str, error: Errno) {
        io.error(format!("{name}: {error}"));
    }

    fn end(&mut self, io: &mut Io<'_, '_>, failed: bool) -> i32 {
        let only_begin = self.interpreter.program.only_begin();
        if !only_begin && !self.interpreter.broken {
            self.act(io, |interpreter| interpreter.end());
        }
        let code = self.finish(io);
        if code == 0 && failed { 1 } else { code }
    }
}

impl Awk {
    fn act(&mut self, io: &mut Io<'_, '_>, f: impl FnOnce(&mut Interpreter) -> Result<(), Control>) {
        let result = f(&mut self.interpreter);
        io.print(std::mem::take(&mut self.interpreter.output));
        match result {
            Err(Control::Exit) => self.done = true,
            Err(Control::Fail(message)) => {
                io.error(format!("cmd. line:1: {message}"));
                (self.done, self.interpreter.broken, self.interpreter.code) = (true, true, 2);
            }
            _ => {}
        }
    }

    fn finish(&self, _: &mut Io<'_, '_>) -> i32 {
        self.interpreter.code
    }
}
