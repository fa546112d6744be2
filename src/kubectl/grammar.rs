//! The command tree and its flags, parsed as `spf13/pflag` and `cobra` parse: `grammar.txt` is the tree, this is the parser.

use crate::error::Error;
use base::Sort as _;

const GRAMMAR: &str = include_str!("grammar.txt");

/// A flag's type, which decides how its values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Str,
    /// Split at commas, and may be repeated.
    Slice,
    /// May be repeated.
    Array,
    Int,
    Duration,
    /// `k=v` pairs.
    Pairs,
    Tristate,
}

#[derive(Clone, Debug)]
pub(crate) struct FlagDef {
    pub name: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    pub required: bool,
    pub hidden: bool,
    pub default: &'static str,
    /// The value when the flag is given without one.
    pub bare: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct CommandDef {
    /// Without `kubectl`: `create configmap`. Empty for the root.
    pub path: &'static str,
    pub aliases: &'static str,
    flags: &'static str,
}

/// All commands, in the order that help lists them.
pub(crate) fn commands() -> impl Iterator<Item = CommandDef> {
    GRAMMAR.lines().filter(|line| !line.starts_with(['#', '@'])).filter_map(|line| {
        let mut parts = line.split('|');
        Some(CommandDef { path: parts.next()?, aliases: parts.next()?, flags: parts.next()? })
    })
}

/// The words of a group of flags (`@print`).
fn group(name: &str) -> &'static str {
    let found = GRAMMAR.lines().find(|line| line.split('|').next() == Some(name));
    found.and_then(|line| line.rsplit('|').next()).unwrap_or("")
}

impl CommandDef {
    pub fn name(&self) -> &'static str {
        self.path.rsplit(' ').next().unwrap_or("")
    }
    pub fn parent(&self) -> &'static str {
        self.path.rsplit_once(' ').map_or("", |(parent, _)| parent)
    }
    /// `kubectl create configmap`
    pub fn full(&self) -> String {
        if self.path.is_empty() { "kubectl".into() } else { format!("kubectl {}", self.path) }
    }
    pub fn children(&self) -> Vec<CommandDef> {
        commands().filter(|c| !c.path.is_empty() && c.parent() == self.path).collect()
    }
    /// Its own flags (without the global ones).
    pub fn local_flags(&self) -> Vec<FlagDef> {
        let mut flags = Vec::new();
        for word in self.flags.split(' ').filter(|word| !word.is_empty()) {
            match word.starts_with('@') {
                true => flags.extend(group(word).split(' ').filter_map(flag_def)),
                false => flags.extend(flag_def(word)),
            }
        }
        flags.order_by_key(|f| f.name);
        flags
    }
    fn all_flags(&self) -> Vec<FlagDef> {
        let mut flags = self.local_flags();
        let parent = self.path.split(' ').next().unwrap_or("");
        if parent == "config" && self.path != "config" {
            flags.extend(flag_def("kubeconfig:s"));
        }
        for global in global_flags() {
            if !flags.iter().any(|f| f.name == global.name) {
                flags.push(global);
            }
        }
        flags.extend(flag_def("help/h:b"));
        flags
    }
}

pub(crate) fn global_flags() -> Vec<FlagDef> {
    group("@global").split(' ').filter_map(flag_def).collect()
}

/// The root.
pub(crate) fn root() -> CommandDef {
    CommandDef { path: "", aliases: "", flags: "" }
}

fn flag_def(word: &'static str) -> Option<FlagDef> {
    let (head, tail) = word.split_once(':')?;
    let (name, short) = head.split_once('/').map_or((head, None), |(n, s)| (n, s.chars().next()));
    let kind = match tail.as_bytes().first()? {
        b'b' => Kind::Bool,
        b'S' => Kind::Slice,
        b'A' => Kind::Array,
        b'i' => Kind::Int,
        b'd' => Kind::Duration,
        b'm' => Kind::Pairs,
        b't' => Kind::Tristate,
        _ => Kind::Str,
    };
    let rest = &tail[1..];
    let (rest, bare) = rest.split_once('?').map_or((rest, None), |(r, v)| (r, Some(v)));
    let (marks, default) = rest.split_once('=').unwrap_or((rest, ""));
    let bare = if matches!(kind, Kind::Bool | Kind::Tristate) { Some("true") } else { bare };
    Some(FlagDef { name, short, kind, required: marks.contains('!'), hidden: marks.contains('~'), default, bare })
}

/// The command line as parsed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// `get`, `create configmap`.
    pub command: &'static str,
    pub args: Vec<String>,
    /// How many of `args` came before `--`, if there was one.
    pub dash: Option<usize>,
    set: Vec<(&'static str, Vec<String>)>,
    defaults: Vec<(&'static str, &'static str)>,
}

impl Flags {
    fn values(&self, name: &str) -> Option<&[String]> {
        self.set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_slice())
    }
    /// Whether it was given.
    pub fn changed(&self, name: &str) -> bool {
        self.values(name).is_some()
    }
    /// The last value given, or the default, or empty.
    pub fn str(&self, name: &str) -> &str {
        match self.values(name).and_then(<[String]>::last) {
            Some(value) => value,
            None => self.defaults.iter().find(|(n, _)| *n == name).map_or("", |(_, d)| d),
        }
    }
    pub fn bool(&self, name: &str) -> bool {
        self.str(name) == "true"
    }
    pub fn int(&self, name: &str) -> Option<i64> {
        self.str(name).parse().ok()
    }
    pub fn duration(&self, name: &str) -> base::Duration {
        parse_duration(self.str(name)).unwrap_or(base::Duration::ZERO)
    }
    pub fn list(&self, name: &str) -> Vec<String> {
        if let Some(values) = self.values(name) {
            return values.to_vec();
        }
        let default = self.str(name);
        if default.is_empty() { Vec::new() } else { default.split(',').map(String::from).collect() }
    }
    pub fn set(&mut self, name: &'static str, value: &str) {
        match self.set.iter_mut().find(|(n, _)| *n == name) {
            Some((_, values)) => *values = vec![value.into()],
            None => self.set.push((name, vec![value.into()])),
        }
    }
    /// `kubectl get`
    pub fn path(&self) -> String {
        format!("kubectl {}", self.command)
    }
    /// The command's last word.
    pub fn verb(&self) -> &'static str {
        self.command.rsplit(' ').next().unwrap_or("")
    }
}

/// Go's `time.ParseDuration`: `1h30m`, `10s`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<base::Duration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(base::Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "h" => 3_600e6,
            "m" => 60e6,
            "s" => 1e6,
            "ms" => 1e3,
            "us" | "µs" => 1.0,
            "ns" => 1e-3,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    Some(base::Duration(sign * total as i64))
}

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

fn unknown_command(word: &str, parent: &CommandDef) -> String {
    let mut text = format!("unknown command {word:?} for {:?}", parent.full());
    let near: Vec<&str> = parent
        .children()
        .iter()
        .map(CommandDef::name)
        .filter(|name| distance(word, name) <= 2 || name.starts_with(word) || suggested_for(name).contains(&word))
        .collect();
    if !near.is_empty() {
        text.push_str("\n\nDid you mean this?\n");
        near.iter().for_each(|name| text.push_str(&format!("\t{name}\n")));
    }
    text
}

/// Words that people use for a command that is named otherwise.
fn suggested_for(name: &str) -> &'static [&'static str] {
    match name {
        "get" => &["list", "ls"],
        "delete" => &["rm", "remove"],
        "describe" => &["inspect"],
        "top" => &["stats"],
        _ => &[],
    }
}

/// Levenshtein's distance, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Flags, String> {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        match parse(&words) {
            Ok(Parsed::Run(flags)) => Ok(flags),
            Ok(Parsed::Help(command)) => Err(format!("help {}", command.path)),
            Err(error) => Err(error.report().0),
        }
    }

    #[test]
    fn flags_are_read_as_pflag_reads_them() {
        let f = read("-n kube-system get po,svc -oyaml --show-labels -l app=a -f x,y -f z --chunk-size=7 -- extra").unwrap();
        assert_eq!((f.command, f.str("namespace"), f.str("output")), ("get", "kube-system", "yaml"));
        assert!(f.bool("show-labels") && !f.bool("watch") && f.bool("server-print"));
        assert_eq!(
            (f.list("filename"), f.int("chunk-size"), f.dash),
            (vec!["x".into(), "y".into(), "z".into()], Some(7), Some(1))
        );
        assert_eq!(f.args, ["po,svc", "extra"]);
        let f = read("exec -it box -- sh -c x").unwrap();
        assert!(f.bool("stdin") && f.bool("tty"));
        assert_eq!((f.args.len(), f.dash), (4, Some(1)));
        assert_eq!(read("create cm x --dry-run").unwrap().str("dry-run"), "unchanged");
        assert_eq!(read("create -f x").unwrap().command, "create");
        assert_eq!(read("delete pod x --cascade=orphan --timeout 10s").unwrap().duration("timeout").as_secs(), 10);
    }

    #[test]
    fn mistakes_are_named_as_upstream_names_them() {
        for (line, text) in [
            ("get pods --nonsense", "error: unknown flag: --nonsense\nSee 'kubectl get --help' for usage.\n"),
            ("get pods -o", "error: flag needs an argument: 'o' in -o\nSee 'kubectl get --help' for usage.\n"),
            ("gett pods", "error: unknown command \"gett\" for \"kubectl\"\n\nDid you mean this?\n\tset\n\tget\n"),
            ("scale deployment web", "error: required flag(s) \"replicas\" not set\n"),
            ("create secret db", "error: unknown command \"db\"\nSee 'kubectl create secret -h' for help and examples\n"),
            (
                "scale x --replicas=two",
                "error: invalid argument \"two\" for \"--replicas\" flag: strconv.ParseInt: parsing \"two\": invalid syntax\nSee 'kubectl scale --help' for usage.\n",
            ),
            ("rollout", "help rollout"),
            ("get pods -h", "help get"),
        ] {
            assert_eq!(read(line).unwrap_err(), text, "{line}");
        }
    }
}
