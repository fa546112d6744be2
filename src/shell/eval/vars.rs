//! Variables, parameters and the environment.

use base::Map;
use cri_api::{Env, Sys, Text};

use super::Shell;

/// A shell variable.
#[derive(Clone, Debug, Default)]
pub struct Var {
    /// `None`: exported or read-only, but not set.
    pub value: Option<Text>,
    pub exported: bool,
    pub read_only: bool,
}

impl Shell {
    pub fn get(&self, name: &str) -> Option<Text> {
        self.vars.get(name).and_then(|var| var.value.clone())
    }

    /// Assigns; the error is the message for a read-only variable.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let export = self.options.allexport;
        match self.vars.get_mut(name) {
            Some(var) if var.read_only => {
                let text = if self.flavour == super::Flavour::Bash { "readonly variable" } else { "is read only" };
                return Err(format!("{name}: {text}"));
            }
            Some(var) => {
                var.value = Some(value.into());
                var.exported |= export;
            }
            None => {
                self.vars.insert(name.into(), Var { value: Some(value.into()), exported: export, read_only: false });
            }
        }
        if name == "OPTIND" {
            self.getopts = (value.parse().unwrap_or(1), 0);
        }
        Ok(())
    }

    pub(crate) fn put_back(&mut self, name: &str, old: Option<Var>) {
        match old {
            Some(var) => self.vars.insert(name.into(), var),
            None => self.vars.remove(name),
        };
    }

    pub(super) fn restore_vars(&mut self, saved: Vec<(Text, Option<Var>)>) {
        for (name, old) in saved {
            self.put_back(&name, old);
        }
    }

    pub(crate) fn ifs(&self) -> Text {
        self.get("IFS").unwrap_or_else(|| " \t\n".into())
    }

    /// Takes over the process' environment.
    pub(super) fn import(&mut self, env: &Env) {
        let var = |value: &Text| Var { value: Some(value.clone()), exported: true, read_only: false };
        self.vars = env.iter().map(|(name, value)| (name.clone(), var(value))).collect();
    }

    /// What children get.
    pub(crate) fn environment(&self) -> Env {
        self.vars
            .iter()
            .filter(|(_, var)| var.exported)
            .filter_map(|(name, var)| var.value.clone().map(|value| (name.clone(), value)))
            .collect::<Map<Text, Text>>()
    }

    /// A parameter of any kind: variable, positional, special.
    pub fn param(&mut self, name: &str, sys: &mut Sys<'_>) -> Option<Text> {
        let number = |n: i64| Some(Text::from(n.to_string()));
        match name {
            "?" => number(self.status as i64),
            "$" => number(self.shell_pid as i64),
            "!" => self.background.and_then(|pid| number(pid as i64)),
            "#" => number(self.params.len() as i64),
            "-" => Some(self.flags().into()),
            "@" | "*" => (!self.params.is_empty()).then(|| self.params.join(" ").into()),
            "0" => Some(self.arg0.clone()),
            _ if name.as_bytes()[0].is_ascii_digit() => self.params.get(name.parse::<usize>().ok()?.checked_sub(1)?).cloned(),
            _ => self.get(name).or_else(|| self.dynamic(name, sys)),
        }
    }

    fn dynamic(&mut self, name: &str, sys: &mut Sys<'_>) -> Option<Text> {
        let text = match name {
            "RANDOM" => {
                self.random += 1;
                let seed = base::Seed(self.shell_pid as u64).derive(&sys.config().hostname);
                (seed.draw(self.random ^ sys.now().0 as u64) & 0x7fff).to_string()
            }
            "SECONDS" => (sys.now().secs() - sys.config().boot.secs()).max(0).to_string(),
            "LINENO" => self.line.to_string(),
            "PPID" => sys.parent_pid().to_string(),
            "EPOCHSECONDS" if self.flavour == super::Flavour::Bash => sys.now().secs().to_string(),
            "UID" | "EUID" if self.flavour == super::Flavour::Bash => sys.uid().to_string(),
            "HOSTNAME" => sys.config().hostname.to_string(),
            _ => return None,
        };
        Some(text.into())
    }

    /// `$-`.
    pub(crate) fn flags(&self) -> String {
        let o = &self.options;
        let on = [
            (o.errexit, 'e'),
            (o.noglob, 'f'),
            (self.interactive.is_some(), 'i'),
            (self.interactive.is_some(), 'm'),
            (o.nounset, 'u'),
            (o.verbose, 'v'),
            (o.xtrace, 'x'),
            (o.noclobber, 'C'),
            (o.allexport, 'a'),
        ];
        on.iter().filter(|(on, _)| *on).map(|(_, c)| *c).collect()
    }
}
