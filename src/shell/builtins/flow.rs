//! `break`, `continue`, `return`, `exit`, `eval`, `.`, `exec`.

use std::rc::Rc;

use cri_api::{Errno, Spawn, Sys, Text};

use super::Outcome;
use crate::eval::{Flavour, Flow, Frame, Shell, Source, SourceKind};

fn levels(shell: &mut Shell, argv: &[Text]) -> Option<u32> {
    match argv.get(1).map(|n| n.parse::<u32>()) {
        None => Some(1),
        Some(Ok(n)) if n > 0 => Some(n),
        Some(_) => {
            let text = format!("Illegal number: {}", argv[1]);
            shell.complain(Some(&argv[0]), &text);
            None
        }
    }
}

pub fn break_(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let Some(n) = levels(shell, argv) else { return Outcome::Done(1) };
    if shell.loops > 0 {
        shell.flow = Flow::Break(n.min(shell.loops));
    }
    shell.status = 0;
    Outcome::Later
}

pub fn continue_(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let Some(n) = levels(shell, argv) else { return Outcome::Done(1) };
    if shell.loops > 0 {
        shell.flow = Flow::Continue(n.min(shell.loops));
    }
    shell.status = 0;
    Outcome::Later
}

fn code(shell: &mut Shell, argv: &[Text]) -> i32 {
    match argv.get(1).map(|text| text.parse::<i64>()) {
        None => shell.status,
        Some(Ok(n)) => (n & 0xff) as i32,
        Some(Err(_)) => {
            let text = match shell.flavour {
                Flavour::Ash => format!("Illegal number: {}", argv[1]),
                Flavour::Bash => format!("{}: numeric argument required", argv[1]),
            };
            shell.complain(Some(&argv[0]), &text);
            2
        }
    }
}

pub fn return_(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    shell.status = code(shell, argv);
    shell.flow = Flow::Return;
    Outcome::Later
}

pub fn exit(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    shell.status = code(shell, argv);
    shell.flow = Flow::Exit;
    // As bash does; ash says nothing.
    if shell.interactive.is_some() && shell.flavour == Flavour::Bash && &*argv[0] == "exit" {
        shell.out.push(2, b"exit\n");
    }
    Outcome::Later
}

pub fn eval(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let text = argv[1..].join(" ");
    shell.status = 0;
    shell.push(Frame::Source(Source { text: text.into(), pos: 0, kind: SourceKind::Eval, line: 0 }));
    Outcome::Later
}

pub fn dot(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let Some(name) = argv.get(1) else {
        shell.complain(Some(&argv[0]), "filename argument required");
        return Outcome::Done(2);
    };
    let path = match name.contains('/') {
        true => name.to_string(),
        false => find_script(shell, sys, name),
    };
    match sys.read_file(&path) {
        Ok(bytes) => {
            let text: Text = String::from_utf8_lossy(&bytes).into();
            if argv.len() > 2 {
                shell.params = Rc::new(argv[2..].to_vec());
            }
            shell.status = 0;
            shell.push(Frame::Source(Source { text, pos: 0, kind: SourceKind::Dot, line: 0 }));
            Outcome::Later
        }
        Err(error) => {
            match shell.flavour {
                Flavour::Ash => {
                    let reason = if error == Errno::ENOENT { "No such file or directory".to_string() } else { error.to_string() };
                    shell.complain(Some(&argv[0]), &format!("can't open '{name}': {reason}"));
                }
                Flavour::Bash => shell.complain(None, &format!("{name}: {error}")),
            }
            if shell.flavour == Flavour::Ash && shell.interactive.is_none() {
                shell.abort(2);
                return Outcome::Later;
            }
            Outcome::Done(1)
        }
    }
}

fn find_script(shell: &Shell, sys: &mut Sys<'_>, name: &str) -> String {
    let path = shell.get("PATH").unwrap_or_default();
    path.split(':')
        .map(|dir| crate::text::join(dir, name))
        .find(|full| sys.stat(full).is_ok_and(|s| s.is_file()))
        .unwrap_or_else(|| name.to_string())
}

pub fn exec(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let name = argv[1].clone();
    match shell.resolve(&name, sys) {
        Ok(path) => {
            let env = Some(shell.environment());
            Outcome::Exec { spawn: Spawn { path: Some(path.into()), argv: argv[1..].to_vec(), env, ..Spawn::default() }, name }
        }
        Err(error) => {
            let status = shell.not_found(&name, error, sys);
            shell.abort(status);
            Outcome::Later
        }
    }
}
