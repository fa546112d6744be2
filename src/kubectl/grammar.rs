//! The command tree and its flags, parsed as `spf13/pflag` and `cobra` parse: `grammar.txt` is the tree, [`parse`](mod@parse) the parser.

mod flags;
mod parse;
mod suggest;
#[cfg(test)]
mod tests;

use base::Sort as _;

pub(crate) use flags::{Flags, parse_duration};
pub(crate) use parse::{Parsed, find, parse};

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
