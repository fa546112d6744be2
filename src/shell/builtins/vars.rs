//! `export`, `readonly`, `local`, `unset`, `shift`, `let`, `getopts`.

use std::rc::Rc;

use cri_api::{Sys, Text};

use super::Outcome;
use crate::eval::{Flavour, Frame, Shell, Var};
use crate::expand::Arith;
use crate::parse::is_name;

/// `'` around a value, as `export -p` and `set` print it.
pub(super) fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

fn assign_all(shell: &mut Shell, argv: &[Text], mark: impl Fn(&mut Var)) -> Outcome {
    for arg in argv.iter().skip(1).filter(|a| !a.starts_with('-') || a.contains('=')) {
        let (name, value) = arg.split_once('=').map_or((&**arg, None), |(n, v)| (n, Some(v)));
        if !is_name(name) {
            let text = match shell.flavour {
                Flavour::Ash => format!("{name}: bad variable name"),
                Flavour::Bash => format!("`{arg}': not a valid identifier"),
            };
            shell.complain(Some(&argv[0]), &text);
            return Outcome::Done(if shell.flavour == Flavour::Ash { 2 } else { 1 });
        }
        if let Some(value) = value
            && let Err(message) = shell.set(name, value)
        {
            shell.fatal(&message);
            return Outcome::Later;
        }
        let mut var = shell.vars.get(name).cloned().unwrap_or_default();
        mark(&mut var);
        shell.vars.insert(name.into(), var);
    }
    Outcome::Done(0)
}

fn list(shell: &mut Shell, word: &str, wanted: impl Fn(&Var) -> bool) -> Outcome {
    let mut text = String::new();
    for (name, var) in shell.vars.iter().filter(|(_, var)| wanted(var)) {
        let word = match (shell.flavour, word) {
            (Flavour::Bash, "export") => "declare -x",
            (Flavour::Bash, _) => "declare -r",
            (Flavour::Ash, word) => word,
        };
        match &var.value {
            Some(value) if shell.flavour == Flavour::Bash => text.push_str(&format!("{word} {name}=\"{value}\"\n")),
            Some(value) => text.push_str(&format!("{word} {name}={}\n", quote(value))),
            None => text.push_str(&format!("{word} {name}\n")),
        }
    }
    shell.out.push(1, text.as_bytes());
    Outcome::Done(0)
}

pub fn export(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    if argv.len() == 1 || &*argv[1] == "-p" {
        return list(shell, "export", |var| var.exported);
    }
    let export = &*argv[1] != "-n";
    assign_all(shell, argv, |var| var.exported = export)
}

pub fn readonly(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    if argv.len() == 1 || &*argv[1] == "-p" {
        return list(shell, "readonly", |var| var.read_only);
    }
    assign_all(shell, argv, |var| var.read_only = true)
}

/// `local`, `declare`, `typeset`: the options `-x` and `-r` count, others (arrays, integers) are refused.
pub fn local(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let options: String = argv.iter().skip(1).take_while(|a| a.starts_with('-')).map(|a| &a[1..]).collect();
    if let Some(bad) = options.chars().find(|c| !"xrg".contains(*c)) {
        shell.complain(Some(&argv[0]), &format!("-{bad}: not supported by this shell"));
        return Outcome::Done(2);
    }
    let in_function = shell.calls > 0;
    if !in_function && &*argv[0] == "local" {
        shell.complain(
            Some("local"),
            if shell.flavour == Flavour::Ash { "not in a function" } else { "can only be used in a function" },
        );
        return Outcome::Done(1);
    }
    if in_function && !options.contains('g') {
        for arg in argv.iter().skip(1).filter(|a| !a.starts_with('-')) {
            let name: Text = arg.split('=').next().unwrap_or("").into();
            let old = shell.vars.get(&name).cloned();
            let call =
                shell.frames.iter_mut().rev().find_map(|f| if let Frame::Call { locals, .. } = f { Some(locals) } else { None });
            if let Some(locals) = call
                && !locals.contains_key(&name)
            {
                locals.insert(name.clone(), old);
                if !arg.contains('=') && shell.flavour == Flavour::Bash {
                    shell.vars.remove(&name);
                }
            }
        }
    }
    let (exported, read_only) = (options.contains('x'), options.contains('r'));
    assign_all(shell, argv, |var| {
        var.exported |= exported;
        var.read_only |= read_only;
    })
}

pub fn unset(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let (mut functions, mut variables) = (true, true);
    for arg in &argv[1..] {
        match &**arg {
            "-f" => variables = false,
            "-v" => functions = false,
            name => {
                if variables && let Some(var) = shell.vars.get(name) {
                    if var.read_only {
                        shell.fatal(&format!("{name}: is read only"));
                        return Outcome::Later;
                    }
                    shell.vars.remove(name);
                } else if functions {
                    shell.functions.remove(name);
                }
            }
        }
    }
    Outcome::Done(0)
}

pub fn shift(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let n = match argv.get(1).map(|n| n.parse::<usize>()) {
        None => 1,
        Some(Ok(n)) => n,
        Some(Err(_)) => {
            let text = format!("Illegal number: {}", argv[1]);
            shell.complain(Some("shift"), &text);
            return Outcome::Done(2);
        }
    };
    if n > shell.params.len() {
        return Outcome::Done(1);
    }
    Rc::make_mut(&mut shell.params).drain(..n);
    Outcome::Done(0)
}

pub fn let_(shell: &mut Shell, sys: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let mut value = 0;
    for arg in &argv[1..] {
        match Arith::evaluate(arg, shell, sys) {
            Ok(n) => value = n,
            Err(message) => {
                shell.complain(Some("let"), &message);
                return Outcome::Done(1);
            }
        }
    }
    Outcome::Done((value == 0) as i32)
}

pub fn getopts(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    let [_, spec, name, rest @ ..] = argv else {
        shell.complain(Some("getopts"), "usage: getopts optstring var [arg]");
        return Outcome::Done(2);
    };
    let args: Vec<Text> = if rest.is_empty() { shell.params.to_vec() } else { rest.to_vec() };
    let silent = spec.starts_with(':');
    let (mut index, mut at) = shell.getopts;
    let word = args.get(index - 1).cloned().unwrap_or_default();
    if at == 0 {
        if &*word == "--" {
            index += 1;
        }
        if &*word == "--" || word.len() < 2 || !word.starts_with('-') {
            let _ = shell.set("OPTIND", &index.to_string());
            let _ = shell.set(name, "?");
            return Outcome::Done(1);
        }
        at = 1;
    }
    let option = word[at..].chars().next().unwrap_or('?');
    at += option.len_utf8();
    let place = spec.trim_start_matches(':').find(option).filter(|_| option != ':');
    let takes_value = place.is_some_and(|p| spec.trim_start_matches(':')[p + option.len_utf8()..].starts_with(':'));
    let mut value = None;
    let mut result = option.to_string();
    if place.is_none() {
        result = "?".into();
        match silent {
            true => value = Some(option.to_string()),
            false => {
                let text = format!("{}: illegal option -- {option}\n", shell.arg0);
                shell.out.push(2, text.as_bytes());
            }
        }
    } else if takes_value {
        if at < word.len() {
            value = Some(word[at..].to_string());
        } else if let Some(next) = args.get(index) {
            value = Some(next.to_string());
            index += 1;
        } else {
            result = if silent { ":".into() } else { "?".into() };
            match silent {
                true => value = Some(option.to_string()),
                false => {
                    let text = format!("{}: option requires an argument -- {option}\n", shell.arg0);
                    shell.out.push(2, text.as_bytes());
                }
            }
        }
        at = word.len();
    }
    if at >= word.len() {
        index += 1;
        at = 0;
    }
    let _ = shell.set("OPTIND", &index.to_string());
    shell.getopts = (index, at);
    match value {
        Some(value) => {
            let _ = shell.set("OPTARG", &value);
        }
        None => {
            shell.vars.remove("OPTARG");
        }
    }
    let _ = shell.set(name, &result);
    Outcome::Done(0)
}
