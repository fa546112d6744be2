//! From words to a command and its flags. Models `cobra.Command.ExecuteC` and `pflag.FlagSet.parseArgs`.

use super::suggest::unknown_command;
use super::{CommandDef, FlagDef, Flags, Kind, parse_duration, root};
use crate::error::Error;

/// What the command line asks for.
pub(crate) enum Parsed {
    Run(Flags),
    Help(CommandDef),
}

/// Finds the command and reads its flags. Models `cobra.Command.ExecuteC` and `pflag.FlagSet.parseArgs`.
pub(crate) fn parse(argv: &[String]) -> Result<Parsed, Error> {
    let (command, rest) = find(argv);
    let (mut flags, help) = read_flags(&command, &rest)?;
    let children = command.children();
    if help {
        return Ok(Parsed::Help(command));
    }
    let first = flags.args.first().cloned();
    if command.path.is_empty() {
        return match first {
            None => Ok(Parsed::Help(command)),
            Some(word) => Err(Error::Plain(unknown_command(&word, &command))),
        };
    }
    let takes_operands = matches!(command.path, "create" | "apply" | "cluster-info" | "config");
    if !children.is_empty() && (!takes_operands || command.path == "config") {
        return match first {
            None => Ok(Parsed::Help(command)),
            Some(word) => {
                let text = format!("unknown command {word:?}");
                Err(Error::Usage(text, command.full()))
            }
        };
    }
    if command.path == "help" {
        let (target, _) = find(&flags.args);
        return Ok(Parsed::Help(target));
    }
    let missing: Vec<String> = command
        .local_flags()
        .iter()
        .filter(|f| f.required && !f.hidden && !flags.changed(f.name))
        .map(|f| format!("{:?}", f.name))
        .collect();
    if !missing.is_empty() {
        return Err(Error::Plain(format!("required flag(s) {} not set", missing.join(", "))));
    }
    flags.command = command.path;
    Ok(Parsed::Run(flags))
}

/// Walks down the tree over words that are commands, skipping flags. Returns the command and what is left for it.
pub(crate) fn find(argv: &[String]) -> (CommandDef, Vec<String>) {
    let mut command = root();
    let mut rest: Vec<String> = argv.to_vec();
    'walk: loop {
        let children = command.children();
        let flags = command.all_flags();
        let mut i = 0;
        while i < rest.len() {
            let word = rest[i].clone();
            if word == "--" {
                break 'walk;
            }
            if word.starts_with('-') && word.len() > 1 {
                i += if takes_next(&word, &flags) { 2 } else { 1 };
                continue;
            }
            let child = children.iter().find(|c| c.name() == word || c.aliases.split(',').any(|a| !a.is_empty() && a == word));
            let Some(child) = child else { break 'walk };
            command = child.clone();
            rest.remove(i);
            continue 'walk;
        }
        break;
    }
    (command, rest)
}

/// Whether a flag word consumes the next word as its value.
fn takes_next(word: &str, flags: &[FlagDef]) -> bool {
    if let Some(name) = word.strip_prefix("--") {
        return !name.contains('=') && flags.iter().any(|f| f.name == name && f.bare.is_none());
    }
    let letters = &word[1..];
    let last = letters.chars().count() == 1;
    last && flags.iter().any(|f| f.short == letters.chars().next() && f.bare.is_none())
}

fn read_flags(command: &CommandDef, words: &[String]) -> Result<(Flags, bool), Error> {
    let defs = command.all_flags();
    let mut flags = Flags { command: command.path, ..Flags::default() };
    flags.defaults = defs.iter().map(|f| (f.name, f.default)).collect();
    let fault = |text: String| Error::Plain(format!("{text}\nSee '{} --help' for usage.", command.full()));
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            flags.dash = Some(flags.args.len());
            flags.args.extend(words.by_ref().cloned());
            break;
        }
        if let Some(body) = word.strip_prefix("--") {
            let (name, value) = body.split_once('=').map_or((body, None), |(n, v)| (n, Some(v.to_string())));
            let Some(def) = defs.iter().find(|f| f.name == name) else {
                return Err(fault(format!("unknown flag: --{name}")));
            };
            let value = match (value, def.bare) {
                (Some(value), _) => value,
                (None, Some(bare)) => bare.to_string(),
                (None, None) => match words.next() {
                    Some(value) => value.clone(),
                    None => return Err(fault(format!("flag needs an argument: --{name}"))),
                },
            };
            store(&mut flags, def, &value).map_err(&fault)?;
        } else if word.len() > 1 && word.starts_with('-') {
            let mut letters = &word[1..];
            while let Some(letter) = letters.chars().next() {
                let Some(def) = defs.iter().find(|f| f.short == Some(letter)) else {
                    return Err(fault(format!("unknown shorthand flag: '{letter}' in -{letters}")));
                };
                let rest = &letters[letter.len_utf8()..];
                if let Some(value) = rest.strip_prefix('=') {
                    store(&mut flags, def, value).map_err(&fault)?;
                    break;
                }
                if let Some(bare) = def.bare {
                    store(&mut flags, def, bare).map_err(&fault)?;
                    letters = rest;
                    continue;
                }
                let value = match (rest.is_empty(), words.as_slice().first()) {
                    (false, _) => rest.to_string(),
                    (true, Some(_)) => words.next().cloned().unwrap_or_default(),
                    (true, None) => return Err(fault(format!("flag needs an argument: '{letter}' in -{letters}"))),
                };
                store(&mut flags, def, &value).map_err(&fault)?;
                break;
            }
        } else {
            flags.args.push(word.clone());
        }
    }
    let help = flags.bool("help");
    Ok((flags, help))
}

/// Checks a value by its flag's type and keeps it.
fn store(flags: &mut Flags, def: &FlagDef, value: &str) -> Result<(), String> {
    let shown = match def.short {
        Some(short) => format!("-{short}, --{}", def.name),
        None => format!("--{}", def.name),
    };
    let invalid = |why: String| Err(format!("invalid argument {value:?} for {shown:?} flag: {why}"));
    let mut values = vec![value.to_string()];
    match def.kind {
        Kind::Bool | Kind::Tristate => match value {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => values = vec!["true".into()],
            "false" | "0" | "f" | "F" | "FALSE" | "False" => values = vec!["false".into()],
            _ => return invalid(format!("strconv.ParseBool: parsing {value:?}: invalid syntax")),
        },
        Kind::Int => {
            if value.parse::<i64>().is_err() {
                return invalid(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"));
            }
        }
        Kind::Duration => {
            if parse_duration(value).is_none() {
                let bare = value.parse::<f64>().is_ok();
                let why = if bare { "missing unit in duration" } else { "invalid duration" };
                return invalid(format!("time: {why} {value:?}"));
            }
        }
        Kind::Slice => values = split_csv(value),
        Kind::Pairs => {
            values = split_csv(value);
            if let Some(bad) = values.iter().find(|v| !v.contains('=')) {
                return invalid(format!("{bad} must be formatted as key=value"));
            }
        }
        Kind::Str | Kind::Array => {}
    }
    let repeated = matches!(def.kind, Kind::Slice | Kind::Array | Kind::Pairs);
    match flags.set.iter_mut().find(|(n, _)| *n == def.name) {
        Some((_, old)) if repeated => old.extend(values),
        Some((_, old)) => *old = values,
        None => flags.set.push((def.name, values)),
    }
    Ok(())
}

/// Go's csv reader as far as flags use it: commas, double quotes around a field.
fn split_csv(value: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if !value.is_empty() {
        fields.push(field);
    }
    fields
}
