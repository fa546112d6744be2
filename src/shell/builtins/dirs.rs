//! `cd`, `pwd`, `pushd`, `popd`, `umask`, `ulimit`.

use cri_api::{Errno, Sys, Text};

use super::Outcome;
use crate::eval::{Flavour, Shell};

/// The path without `.`, `..` and double slashes, by text alone (`cd` keeps symbolic links in `PWD`).
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn change(shell: &mut Shell, sys: &mut Sys<'_>, target: &str, physical: bool) -> Result<(), Errno> {
    let pwd = shell.get("PWD").unwrap_or_else(|| sys.cwd());
    let logical = normal(&if target.starts_with('/') { target.to_string() } else { format!("{pwd}/{target}") });
    sys.chdir(if physical { target } else { &logical })?;
    let now = if physical { sys.cwd().to_string() } else { logical };
    let _ = shell.set("OLDPWD", &pwd);
    let _ = shell.set("PWD", &now);
    for name in ["PWD", "OLDPWD"] {
        if let Some(var) = shell.vars.get_mut(name) {
            var.exported = true;
        }
    }
    Ok(())
}

pub fn cd(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let mut args = argv[1..].iter().skip_while(|a| matches!(&***a, "-L" | "--"));
    let first = args.next();
    let physical = first.is_some_and(|a| &**a == "-P");
    let target = if physical { args.next() } else { first };
    let (target, show) = match target.map(|t| &**t) {
        None => match shell.get("HOME") {
            Some(home) => (home, false),
            None if shell.flavour == Flavour::Bash => {
                shell.complain(Some("cd"), "HOME not set");
                return Outcome::Done(1);
            }
            None => ("/".into(), false),
        },
        Some("-") => match shell.get("OLDPWD") {
            Some(old) => (old, true),
            None => {
                shell.complain(Some("cd"), "OLDPWD not set");
                return Outcome::Done(1);
            }
        },
        Some(target) => (target.into(), false),
    };
    match change(shell, sys, &target, physical) {
        Ok(()) => {
            if show {
                let pwd = shell.get("PWD").unwrap_or_default();
                shell.out.push(1, format!("{pwd}\n").as_bytes());
            }
            Outcome::Done(0)
        }
        Err(error) => {
            let text = match shell.flavour {
                Flavour::Ash => format!("can't cd to {target}: {error}"),
                Flavour::Bash => format!("{target}: {error}"),
            };
            shell.complain(Some("cd"), &text);
            Outcome::Done(if shell.flavour == Flavour::Ash { 2 } else { 1 })
        }
    }
}

pub fn pwd(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let physical = argv.get(1).is_some_and(|a| &**a == "-P");
    let pwd = if physical { sys.cwd() } else { shell.get("PWD").unwrap_or_else(|| sys.cwd()) };
    shell.out.push(1, format!("{pwd}\n").as_bytes());
    Outcome::Done(0)
}

pub fn dirs(shell: &mut Shell, _: &mut Sys<'_>, _: &[Text]) -> Outcome {
    let mut all = vec![shell.get("PWD").unwrap_or_default()];
    all.extend(shell.dirs.iter().rev().cloned());
    let text = all.join(" ");
    shell.out.push(1, format!("{text}\n").as_bytes());
    Outcome::Done(0)
}

pub fn pushd(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let pwd = shell.get("PWD").unwrap_or_default();
    let target = match argv.get(1) {
        Some(target) => target.clone(),
        None => match shell.dirs.pop_back() {
            Some(top) => top,
            None => {
                shell.complain(Some("pushd"), "no other directory");
                return Outcome::Done(1);
            }
        },
    };
    match change(shell, sys, &target, false) {
        Ok(()) => {
            shell.dirs.push_back(pwd);
            dirs(shell, sys, argv)
        }
        Err(error) => {
            shell.complain(Some("pushd"), &format!("{target}: {error}"));
            Outcome::Done(1)
        }
    }
}

pub fn popd(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let Some(target) = shell.dirs.pop_back() else {
        shell.complain(Some("popd"), "directory stack empty");
        return Outcome::Done(1);
    };
    match change(shell, sys, &target, false) {
        Ok(()) => dirs(shell, sys, argv),
        Err(error) => {
            shell.complain(Some("popd"), &format!("{target}: {error}"));
            Outcome::Done(1)
        }
    }
}

pub fn umask(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    match argv.get(1).map(|a| &**a) {
        None => {
            let text = format!("{:04o}\n", sys.umask());
            shell.out.push(1, text.as_bytes());
        }
        Some("-S") => {
            let allowed = 0o777 & !sys.umask();
            let letters = |shift: u16| {
                let bits = allowed >> shift;
                [(4, 'r'), (2, 'w'), (1, 'x')].iter().filter(|(b, _)| bits & b != 0).map(|(_, c)| *c).collect::<String>()
            };
            let text = format!("u={},g={},o={}\n", letters(6), letters(3), letters(0));
            shell.out.push(1, text.as_bytes());
        }
        Some(mode) => match u16::from_str_radix(mode, 8) {
            Ok(mode) => sys.set_umask(mode),
            Err(_) => {
                shell.complain(Some("umask"), &format!("illegal mode: {mode}"));
                return Outcome::Done(2);
            }
        },
    }
    Outcome::Done(0)
}

/// Shows limits; setting them is accepted for what isn't modelled anyway (core dumps) and refused else.
pub fn ulimit(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let option = argv.get(1).map_or("-f", |a| a);
    let value = match option {
        "-c" => "0".to_string(),
        "-n" | "-Sn" | "-Hn" => "1024".to_string(),
        "-u" => sys.config().process_limit.to_string(),
        "-s" => "8192".to_string(),
        "-f" | "-t" | "-d" | "-m" | "-v" | "-l" => "unlimited".to_string(),
        _ => {
            shell.complain(Some("ulimit"), &format!("{option}: not supported by this shell"));
            return Outcome::Done(2);
        }
    };
    if argv.len() > 2 && option != "-c" {
        shell.complain(Some("ulimit"), "setting limits is not supported by this shell");
        return Outcome::Done(1);
    }
    if argv.len() <= 2 {
        shell.out.push(1, format!("{value}\n").as_bytes());
    }
    Outcome::Done(0)
}
