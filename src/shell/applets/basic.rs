//! The smallest ones.

use base::Time;
use cri_api::{Poll, Program, Sys, WriteOut};

use super::{Instant, Io, Make, finish};
use crate::builtins::{echo, jobs, printf, test};

pub(super) const TABLE: &[(&str, Make)] = &[
    ("true", || Instant::boxed(|_| 0)),
    ("false", || Instant::boxed(|_| 1)),
    ("echo", || Instant::boxed(run_echo)),
    ("printf", || Instant::boxed(run_printf)),
    ("test", || Instant::boxed(run_test)),
    ("[", || Instant::boxed(run_test)),
    ("kill", || Instant::boxed(run_kill)),
    ("sleep", || Box::new(Sleep::default())),
    ("pwd", || Instant::boxed(run_pwd)),
    ("sync", || Instant::boxed(|_| 0)),
    ("clear", || {
        Instant::boxed(|io| {
            io.print("\x1b[H\x1b[J");
            0
        })
    }),
];

fn run_echo(io: &mut Io<'_, '_>) -> i32 {
    let bytes = echo::echo(&io.args());
    io.print(bytes);
    0
}

fn run_printf(io: &mut Io<'_, '_>) -> i32 {
    let args = io.args();
    let Some(format) = args.first() else {
        io.error("missing operand");
        return 1;
    };
    let printed = printf::printf(format, &args[1..]);
    io.print(&printed.bytes);
    for error in &printed.errors {
        io.error(error);
    }
    !printed.errors.is_empty() as i32
}

fn run_test(io: &mut Io<'_, '_>) -> i32 {
    let args = io.args();
    let mut words: Vec<&str> = args.iter().map(|a| &**a).collect();
    if io.name() == "[" && words.pop() != Some("]") {
        io.error("missing ]");
        return 2;
    }
    match test::evaluate(io.sys, &words) {
        Ok(value) => !value as i32,
        Err(message) => {
            io.error(message);
            2
        }
    }
}

fn run_kill(io: &mut Io<'_, '_>) -> i32 {
    let (status, text, errors) = jobs::kill_command("kill", io.sys, &io.args(), &|_| None);
    io.print(text);
    io.out.push(2, errors.as_bytes());
    status
}

fn run_pwd(io: &mut Io<'_, '_>) -> i32 {
    let cwd = io.sys.cwd();
    io.print(format!("{cwd}\n"));
    0
}

/// `sleep`: the sum of its arguments.
#[derive(Clone, Default)]
struct Sleep {
    until: Option<Time>,
    failed: bool,
    out: WriteOut,
}

impl Program for Sleep {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if self.until.is_none() && !self.failed {
            let mut until = sys.now();
            let argv = sys.argv();
            let args: Vec<_> = argv.iter().skip(1).filter(|a| &***a != "--").collect();
            let forever = args.iter().any(|a| matches!(&***a, "infinity" | "inf"));
            for arg in &args {
                match crate::text::parse_duration(arg) {
                    Some(span) => until += span,
                    None if forever => {}
                    None => {
                        self.out.push(2, format!("sleep: invalid number '{arg}'\n").as_bytes());
                        self.failed = true;
                    }
                }
            }
            if args.is_empty() {
                self.out.push(2, b"BusyBox v1.36.1 multi-call binary.\n\nUsage: sleep [N]...\n");
                self.failed = true;
            }
            self.until = Some(if forever { Time(i64::MAX) } else { until });
        }
        if self.failed {
            return finish(&mut self.out, sys, 1);
        }
        match self.until.is_none_or(|at| sys.sleep_until(at)) {
            true => Poll::Exit(0),
            false => Poll::Pending,
        }
    }
}
