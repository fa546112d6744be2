//! `test`, `[` and the operators of `[[`.

use cri_api::vfs::Wanted;
use cri_api::{Sys, Text};

use super::Outcome;
use crate::eval::Shell;

/// Evaluates operators; it needs the filesystem.
pub struct Tester<'a, 'b> {
    sys: &'a mut Sys<'b>,
}

type Result<T> = std::result::Result<T, String>;

const BINARY: [&str; 16] =
    ["=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef", "=~", "-regex"];

/// What `test ARGS` says. The error is its message.
pub fn evaluate(sys: &mut Sys<'_>, args: &[&str]) -> Result<bool> {
    let mut tester = Tester::new(sys);
    match args {
        [] => Ok(false),
        [one] => Ok(!one.is_empty()),
        ["!", rest @ ..] if rest.len() < 3 => evaluate(tester.sys, rest).map(|v| !v),
        [operator, operand] => tester.unary(operator, operand),
        [left, operator, right] if BINARY.contains(operator) => binary(tester.sys, left, operator, right),
        _ => {
            let (value, rest) = tester.or(args)?;
            match rest.first() {
                None => Ok(value),
                Some(extra) => Err(format!("{extra}: unknown operand")),
            }
        }
    }
}

impl<'a, 'b> Tester<'a, 'b> {
    pub fn new(sys: &'a mut Sys<'b>) -> Tester<'a, 'b> {
        Tester { sys }
    }

    fn or<'t>(&mut self, args: &'t [&'t str]) -> Result<(bool, &'t [&'t str])> {
        let (mut value, mut rest) = self.and(args)?;
        while let ["-o", tail @ ..] = rest {
            let (right, after) = self.and(tail)?;
            value |= right;
            rest = after;
        }
        Ok((value, rest))
    }

    fn and<'t>(&mut self, args: &'t [&'t str]) -> Result<(bool, &'t [&'t str])> {
        let (mut value, mut rest) = self.not(args)?;
        while let ["-a", tail @ ..] = rest {
            let (right, after) = self.not(tail)?;
            value &= right;
            rest = after;
        }
        Ok((value, rest))
    }

    fn not<'t>(&mut self, args: &'t [&'t str]) -> Result<(bool, &'t [&'t str])> {
        match args {
            ["!", rest @ ..] => self.not(rest).map(|(value, rest)| (!value, rest)),
            ["(", rest @ ..] => {
                let (value, rest) = self.or(rest)?;
                match rest {
                    [")", rest @ ..] => Ok((value, rest)),
                    _ => Err("closing paren expected".into()),
                }
            }
            [left, operator, right, rest @ ..] if BINARY.contains(operator) => {
                Ok((binary(self.sys, left, operator, right)?, rest))
            }
            [operator, operand, rest @ ..]
                if operator.len() == 2 && operator.starts_with('-') && !matches!(*operator, "-a" | "-o") =>
            {
                Ok((self.unary(operator, operand)?, rest))
            }
            [word, rest @ ..] => Ok((!word.is_empty(), rest)),
            [] => Err("argument expected".into()),
        }
    }

    pub fn unary(&mut self, operator: &str, operand: &str) -> Result<bool> {
        let sys = &mut *self.sys;
        let kind = |sys: &mut Sys<'_>, kind: char| sys.stat(operand).is_ok_and(|s| s.kind == kind);
        Ok(match operator {
            "-n" => !operand.is_empty(),
            "-z" => operand.is_empty(),
            "-e" | "-a" => sys.stat(operand).is_ok(),
            "-f" => kind(sys, '-'),
            "-d" => kind(sys, 'd'),
            "-c" => kind(sys, 'c'),
            "-b" => kind(sys, 'b'),
            "-p" => kind(sys, 'p'),
            "-S" => kind(sys, 's'),
            "-h" | "-L" => sys.lstat(operand).is_ok_and(|s| s.is_symlink()),
            "-s" => sys.stat(operand).is_ok_and(|s| s.size > 0),
            "-r" => sys.may(operand, Wanted::Read).unwrap_or(false),
            "-w" => sys.may(operand, Wanted::Write).unwrap_or(false),
            "-x" => sys.may(operand, Wanted::Execute).unwrap_or(false),
            "-u" => sys.stat(operand).is_ok_and(|s| s.mode & 0o4000 != 0),
            "-g" => sys.stat(operand).is_ok_and(|s| s.mode & 0o2000 != 0),
            "-k" => sys.stat(operand).is_ok_and(|s| s.mode & 0o1000 != 0),
            "-O" => sys.stat(operand).is_ok_and(|s| s.uid == sys.uid()),
            "-G" => sys.stat(operand).is_ok_and(|s| s.gid == sys.gid()),
            "-t" => operand.parse().is_ok_and(|fd| sys.is_tty(fd)),
            _ => return Err(format!("{operator}: unknown operand")),
        })
    }
}

/// An operator between two operands.
pub fn binary(sys: &mut Sys<'_>, left: &str, operator: &str, right: &str) -> Result<bool> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text}: bad number"));
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-eq" => number(left)? == number(right)?,
        "-ne" => number(left)? != number(right)?,
        "-lt" => number(left)? < number(right)?,
        "-le" => number(left)? <= number(right)?,
        "-gt" => number(left)? > number(right)?,
        "-ge" => number(left)? >= number(right)?,
        "-nt" | "-ot" => {
            let (a, b) = (sys.stat(left).ok().map(|s| s.mtime), sys.stat(right).ok().map(|s| s.mtime));
            if operator == "-nt" { a > b } else { a < b }
        }
        "-ef" => match (sys.stat(left), sys.stat(right)) {
            (Ok(a), Ok(b)) => (a.dev, a.ino) == (b.dev, b.ino),
            _ => false,
        },
        _ => return Err(format!("{operator}: unknown operand")),
    })
}

pub fn builtin(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let mut args: Vec<&str> = argv[1..].iter().map(|a| &**a).collect();
    if &*argv[0] == "[" && args.pop() != Some("]") {
        shell.complain(None, "missing ]");
        return Outcome::Done(2);
    }
    match evaluate(sys, &args) {
        Ok(value) => Outcome::Done(!value as i32),
        Err(message) => {
            shell.complain(None, &message);
            Outcome::Done(2)
        }
    }
}
