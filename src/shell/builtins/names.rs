//! `type`, `command`, `alias`, `history`, `help`.

use cri_api::{Sys, Text};

use super::{Outcome, find, names};
use crate::eval::{Flavour, Shell};

enum Kind {
    Keyword,
    Alias(Text),
    Function,
    Special,
    Builtin,
    File(String),
}

const KEYWORDS: [&str; 17] =
    ["if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "in", "{", "}", "!", "[["];

fn kind(shell: &Shell, sys: &mut Sys<'_>, name: &str) -> Option<Kind> {
    if KEYWORDS.contains(&name) {
        return Some(Kind::Keyword);
    }
    if let Some(value) = shell.aliases.get(name) {
        return Some(Kind::Alias(value.clone()));
    }
    if shell.functions.contains_key(name) {
        return Some(Kind::Function);
    }
    if find(name).is_some() {
        return Some(if super::is_special(name) { Kind::Special } else { Kind::Builtin });
    }
    shell.resolve(name, sys).ok().map(Kind::File)
}

fn describe(shell: &Shell, sys: &mut Sys<'_>, name: &str) -> Option<String> {
    let ash = shell.flavour == Flavour::Ash;
    Some(match kind(shell, sys, name)? {
        Kind::Keyword => format!("{name} is a shell keyword"),
        Kind::Alias(value) if ash => format!("{name} is an alias for {value}"),
        Kind::Alias(value) => format!("{name} is aliased to `{value}'"),
        Kind::Function if ash => format!("{name} is a function"),
        Kind::Function => format!("{name} is a function"),
        Kind::Special if ash => format!("{name} is a special shell builtin"),
        Kind::Builtin | Kind::Special => format!("{name} is a shell builtin"),
        Kind::File(path) => format!("{name} is {path}"),
    })
}

pub fn type_(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let mut status = 0;
    for name in argv[1..].iter().filter(|a| !a.starts_with('-')) {
        match describe(shell, sys, name) {
            Some(text) => shell.out.push(1, format!("{text}\n").as_bytes()),
            None if shell.flavour == Flavour::Ash => {
                shell.out.push(1, format!("{name}: not found\n").as_bytes());
                status = 127;
            }
            None => {
                shell.complain(Some("type"), &format!("{name}: not found"));
                status = 1;
            }
        }
    }
    Outcome::Done(status)
}

pub fn command(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let rest: Vec<Text> = argv[1..].iter().skip_while(|a| matches!(&***a, "-p" | "--")).cloned().collect();
    let Some(first) = rest.first().cloned() else { return Outcome::Done(0) };
    if matches!(&*first, "-v" | "-V") {
        let mut status = 0;
        for name in &rest[1..] {
            let text = match (&*first, kind(shell, sys, name)) {
                (_, None) => {
                    status = if shell.flavour == Flavour::Ash { 127 } else { 1 };
                    if &*first == "-V" {
                        shell.out.push(2, format!("{name}: not found\n").as_bytes());
                    }
                    continue;
                }
                ("-V", Some(_)) => describe(shell, sys, name).unwrap_or_default(),
                (_, Some(Kind::File(path))) => path,
                (_, Some(Kind::Alias(value))) => format!("alias {name}='{value}'"),
                (_, Some(_)) => name.to_string(),
            };
            shell.out.push(1, format!("{text}\n").as_bytes());
        }
        return Outcome::Done(status);
    }
    match find(&first) {
        Some(builtin) => builtin(shell, sys, &rest),
        None => Outcome::Run { argv: rest, env: Vec::new() },
    }
}

pub fn builtin(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let Some(name) = argv.get(1) else { return Outcome::Done(0) };
    match find(name) {
        Some(builtin) => builtin(shell, sys, &argv[1..]),
        None => {
            shell.complain(Some("builtin"), &format!("{name}: not a shell builtin"));
            Outcome::Done(1)
        }
    }
}

pub fn alias(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let prefix = if shell.flavour == Flavour::Bash { "alias " } else { "" };
    let line = |name: &str, value: &str| format!("{prefix}{name}='{}'\n", value.replace('\'', "'\\''"));
    if argv.len() == 1 {
        let text: String = shell.aliases.iter().map(|(n, v)| line(n, v)).collect();
        shell.out.push(1, text.as_bytes());
        return Outcome::Done(0);
    }
    let mut status = 0;
    for arg in &argv[1..] {
        match arg.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                shell.aliases.insert(name.into(), value.into());
            }
            _ => match shell.aliases.get(arg).cloned() {
                Some(value) => shell.out.push(1, line(arg, &value).as_bytes()),
                None => {
                    let text = format!("{arg}: not found");
                    shell.complain(Some("alias"), &text);
                    status = 1;
                }
            },
        }
    }
    Outcome::Done(status)
}

pub fn unalias(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let mut status = 0;
    for name in &argv[1..] {
        if &**name == "-a" {
            shell.aliases = base::Map::new();
        } else if shell.aliases.remove(name).is_none() {
            shell.complain(Some("unalias"), &format!("{name}: not found"));
            status = 1;
        }
    }
    Outcome::Done(status)
}

pub fn history(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let history = match &mut shell.interactive {
        Some(interactive) => &mut interactive.history,
        None => &mut shell.history,
    };
    if argv.get(1).is_some_and(|a| &**a == "-c") {
        *history = base::Vector::new();
        return Outcome::Done(0);
    }
    let last = argv.get(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(history.len());
    let skip = history.len().saturating_sub(last);
    let text: String = history.iter().enumerate().skip(skip).map(|(i, line)| format!("{:>5}  {line}\n", i + 1)).collect();
    shell.out.push(1, text.as_bytes());
    Outcome::Done(0)
}

pub fn help(shell: &mut Shell, _: &mut Sys<'_>, _: &[Text]) -> Outcome {
    let all: Vec<&str> = names().collect();
    let text = format!("Built-in commands:\n------------------\n\t{}\n", all.join(" "));
    shell.out.push(1, text.as_bytes());
    Outcome::Done(0)
}
