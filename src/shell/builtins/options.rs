//! `set`.

use std::rc::Rc;

use cri_api::{Sys, Text};

use super::{Outcome, vars::quote};
use crate::eval::Shell;

const LONG: [(&str, char); 8] = [
    ("errexit", 'e'),
    ("nounset", 'u'),
    ("xtrace", 'x'),
    ("noglob", 'f'),
    ("noexec", 'n'),
    ("verbose", 'v'),
    ("noclobber", 'C'),
    ("allexport", 'a'),
];

impl Shell {
    /// Sets an option by letter. False if there is none.
    pub(crate) fn set_option(&mut self, letter: char, on: bool) -> bool {
        let options = &mut self.options;
        match letter {
            'e' => options.errexit = on,
            'u' => options.nounset = on,
            'x' => options.xtrace = on,
            'f' => options.noglob = on,
            'n' => options.noexec = on,
            'v' => options.verbose = on,
            'C' => options.noclobber = on,
            'a' => options.allexport = on,
            // Job control, and bash's hashing and brace expansion: nothing to switch here.
            'm' | 'b' | 'h' | 'B' | 'E' | 'H' => {}
            _ => return false,
        }
        true
    }

    pub(crate) fn set_long_option(&mut self, name: &str, on: bool) -> bool {
        if name == "pipefail" {
            self.options.pipefail = on;
            return true;
        }
        if matches!(name, "vi" | "emacs" | "monitor" | "notify" | "history" | "posix" | "ignoreeof") {
            return true;
        }
        LONG.iter().find(|(long, _)| *long == name).is_some_and(|(_, letter)| self.set_option(*letter, on))
    }
}

pub fn set(shell: &mut Shell, _: &mut Sys<'_>, argv: &[Text]) -> Outcome {
    if argv.len() == 1 {
        let all = shell.vars.iter().filter_map(|(n, v)| v.value.as_ref().map(|v| format!("{n}={}\n", quote(v))));
        let text: String = all.collect();
        shell.out.push(1, text.as_bytes());
        return Outcome::Done(0);
    }
    let mut at = 1;
    while let Some(arg) = argv.get(at).filter(|a| a.len() > 1 && a.starts_with(['-', '+'])) {
        at += 1;
        if &**arg == "--" {
            shell.params = Rc::new(argv[at..].to_vec());
            return Outcome::Done(0);
        }
        let on = arg.starts_with('-');
        for letter in arg[1..].chars() {
            if letter == 'o' {
                let Some(name) = argv.get(at) else { return show(shell) };
                at += 1;
                if !shell.set_long_option(name, on) {
                    shell.complain(Some("set"), &format!("illegal option -o {name}"));
                    shell.abort(2);
                    return Outcome::Later;
                }
            } else if !shell.set_option(letter, on) {
                shell.complain(Some("set"), &format!("illegal option -{letter}"));
                shell.abort(2);
                return Outcome::Later;
            }
        }
    }
    if at < argv.len() {
        shell.params = Rc::new(argv[at..].to_vec());
    }
    Outcome::Done(0)
}

fn show(shell: &mut Shell) -> Outcome {
    let flags = shell.flags();
    let mut text: String =
        LONG.iter().map(|(long, c)| format!("{long:<16}{}\n", if flags.contains(*c) { "on" } else { "off" })).collect();
    text.push_str(&format!("{:<16}{}\n", "pipefail", if shell.options.pipefail { "on" } else { "off" }));
    shell.out.push(1, text.as_bytes());
    Outcome::Done(0)
}
