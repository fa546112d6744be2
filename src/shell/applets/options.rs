//! `getopt`, as busybox uses it: short options in clusters, values inline or next, `--` ends, long names for some.

use cri_api::Text;

/// What a command line said.
#[derive(Clone, Debug, Default)]
pub struct Options {
    found: Vec<(char, Text)>,
    pub operands: Vec<Text>,
}

impl Options {
    /// `spec` as for getopt(3): a letter, a colon behind it if it takes a value; a `+` in front stops at the first operand.
    pub fn parse(args: &[Text], spec: &str, long: &[(&str, char)]) -> Result<Options, String> {
        let (spec, stop) = spec.strip_prefix('+').map_or((spec, false), |s| (s, true));
        let mut options = Options::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if &**arg == "--" {
                options.operands.extend(rest.cloned());
                break;
            }
            if let Some(name) = arg.strip_prefix("--") {
                let (name, value) = name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v)));
                let Some((_, letter)) = long.iter().find(|(n, _)| *n == name) else {
                    return Err(format!("unrecognized option '--{name}'"));
                };
                let value = match (takes_value(spec, *letter), value) {
                    (true, None) => rest.next().cloned().ok_or_else(|| format!("option '--{name}' requires an argument"))?,
                    (_, value) => value.unwrap_or("").into(),
                };
                options.found.push((*letter, value));
                continue;
            }
            let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty()) else {
                options.operands.push(arg.clone());
                if stop {
                    options.operands.extend(rest.cloned());
                    break;
                }
                continue;
            };
            for (at, letter) in letters.char_indices() {
                if !spec.contains(letter) || letter == ':' {
                    return Err(format!("invalid option -- '{letter}'"));
                }
                if !takes_value(spec, letter) {
                    options.found.push((letter, "".into()));
                    continue;
                }
                let inline = &letters[at + letter.len_utf8()..];
                let value = match inline.is_empty() {
                    false => inline.into(),
                    true => rest.next().cloned().ok_or_else(|| format!("option requires an argument -- '{letter}'"))?,
                };
                options.found.push((letter, value));
                break;
            }
        }
        Ok(options)
    }

    pub fn has(&self, letter: char) -> bool {
        self.found.iter().any(|(l, _)| *l == letter)
    }

    /// The last value of an option.
    pub fn value(&self, letter: char) -> Option<&Text> {
        self.found.iter().rev().find(|(l, _)| *l == letter).map(|(_, v)| v)
    }

    /// All values of an option, in order.
    pub fn values(&self, letter: char) -> impl Iterator<Item = &Text> {
        self.found.iter().filter(move |(l, _)| *l == letter).map(|(_, v)| v)
    }

    /// The last of several letters that exclude one another.
    pub fn last_of(&self, letters: &str) -> Option<char> {
        self.found.iter().rev().map(|(l, _)| *l).find(|l| letters.contains(*l))
    }
}

fn takes_value(spec: &str, letter: char) -> bool {
    spec.find(letter).is_some_and(|at| spec[at + letter.len_utf8()..].starts_with(':'))
}
