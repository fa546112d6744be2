//! Lists, conditions, loops, case, functions: what needs no process.

use std::rc::Rc;

use cri_api::{Poll, Sys, Text};

use super::{Frame, Shell};
use crate::ast::{Cmd, Cond};
use crate::builtins::test::{self, Tester};
use crate::expand::{Expander, Stop};
use crate::pattern::matches;

impl Shell {
    pub(super) fn run(&mut self, command: &Rc<Cmd>, sys: &mut Sys<'_>) -> Option<Poll> {
        match &**command {
            Cmd::Simple(_) | Cmd::Case { .. } | Cmd::Arithmetic(_) | Cmd::Condition(_) | Cmd::Redirected { .. } => {
                return self.expand(command, Vec::new(), sys);
            }
            Cmd::For { .. } => return self.expand(command, Vec::new(), sys),
            Cmd::List(_) => self.list(command, 0, sys),
            Cmd::AndOr { first, .. } => {
                self.push(Frame::AndOr { command: command.clone(), next: 0 });
                self.push(Frame::Guarded);
                self.push(Frame::Run(first.clone()));
            }
            Cmd::Pipeline { not, stages } if stages.len() == 1 => {
                if *not {
                    self.push(Frame::Not);
                    self.push(Frame::Guarded);
                }
                self.push(Frame::Run(stages[0].clone()));
            }
            Cmd::Pipeline { not, stages } => self.pipeline(*not, stages, sys),
            Cmd::Subshell(body) => self.subshell(body, sys),
            Cmd::If { arms, .. } => {
                self.push(Frame::If { command: command.clone(), arm: 0 });
                self.push(Frame::Guarded);
                self.push(Frame::Run(arms[0].0.clone()));
            }
            Cmd::While { condition, .. } => {
                self.loops += 1;
                self.push(Frame::While { command: command.clone(), testing: true, status: 0 });
                self.push(Frame::Guarded);
                self.push(Frame::Run(condition.clone()));
            }
            Cmd::Function { name, body } => {
                self.functions.insert(name.clone(), body.clone());
                self.status = 0;
            }
        }
        None
    }

    pub(super) fn list(&mut self, command: &Rc<Cmd>, next: usize, sys: &mut Sys<'_>) {
        let Cmd::List(items) = &**command else { return };
        let Some((item, background)) = items.get(next) else {
            if items.is_empty() {
                self.status = 0;
            }
            return;
        };
        if next + 1 < items.len() {
            self.push(Frame::List { command: command.clone(), next: next + 1 });
        }
        if *background { self.start_job(item, sys) } else { self.push(Frame::Run(item.clone())) }
    }

    pub(super) fn and_or(&mut self, command: &Rc<Cmd>, mut next: usize) {
        let Cmd::AndOr { rest, .. } = &**command else { return };
        while let Some((and, item)) = rest.get(next) {
            next += 1;
            if *and != (self.status == 0) {
                continue;
            }
            // Only the last one's failure is `set -e`'s business.
            let last = next == rest.len();
            self.push(Frame::AndOr { command: command.clone(), next });
            if !last {
                self.push(Frame::Guarded);
            }
            self.push(Frame::Run(item.clone()));
            return;
        }
    }

    pub(super) fn if_arm(&mut self, command: &Rc<Cmd>, arm: usize) {
        let Cmd::If { arms, otherwise } = &**command else { return };
        if self.status == 0 {
            self.push(Frame::Run(arms[arm].1.clone()));
        } else if let Some((condition, _)) = arms.get(arm + 1) {
            self.push(Frame::If { command: command.clone(), arm: arm + 1 });
            self.push(Frame::Guarded);
            self.push(Frame::Run(condition.clone()));
        } else {
            self.status = 0;
            if let Some(body) = otherwise {
                self.push(Frame::Run(body.clone()));
            }
        }
    }

    pub(super) fn while_loop(&mut self, command: &Rc<Cmd>, testing: bool, status: i32) {
        let Cmd::While { until, condition, body } = &**command else { return };
        if !testing {
            let status = self.status;
            self.push(Frame::While { command: command.clone(), testing: true, status });
            self.push(Frame::Guarded);
            self.push(Frame::Run(condition.clone()));
        } else if (self.status == 0) != *until {
            self.push(Frame::While { command: command.clone(), testing: false, status });
            self.push(Frame::Run(body.clone()));
        } else {
            self.loops -= 1;
            self.status = status;
        }
    }

    pub(super) fn for_loop(&mut self, command: &Rc<Cmd>, words: &Rc<Vec<Text>>, next: usize) {
        let Cmd::For { name, body, .. } = &**command else { return };
        let Some(word) = words.get(next) else {
            self.loops -= 1;
            return;
        };
        if let Err(message) = self.set(name, word) {
            self.loops -= 1;
            return self.fatal(&message);
        }
        self.push(Frame::For { command: command.clone(), words: words.clone(), next: next + 1 });
        self.push(Frame::Run(body.clone()));
    }

    /// Expands what a command needs (again, with one more answer), then goes on with it.
    pub(super) fn expand(&mut self, command: &Rc<Cmd>, mut answers: Vec<Text>, sys: &mut Sys<'_>) -> Option<Poll> {
        if answers.is_empty() {
            self.substitution_status = None;
        }
        let done = match &**command {
            Cmd::Simple(simple) => match self.expand_simple(simple, &mut answers, sys) {
                Ok(ready) => return self.run_simple(command, simple, ready, sys),
                Err(stop) => Err(stop),
            },
            Cmd::Redirected { command: inner, redirects } => self.expand_redirects(redirects, &mut answers, sys).map(|targets| {
                let mut saved = Vec::new();
                let opened = self.apply_redirects(&targets, &mut saved, sys);
                self.push(Frame::Restore(saved));
                match opened {
                    Ok(()) => self.push(Frame::Run(inner.clone())),
                    Err(message) => {
                        self.complain(None, &message);
                        self.finish(1);
                    }
                }
            }),
            _ => self.expand_compound(command, &mut answers, sys),
        };
        match done {
            Ok(()) => {}
            Err(Stop::Error(message)) => self.fatal(&message),
            Err(Stop::Command(inner)) => {
                self.frames.push(Frame::Expand { command: command.clone(), answers });
                self.start_substitution(&inner, sys);
            }
        }
        None
    }

    fn expand_compound(&mut self, command: &Rc<Cmd>, answers: &mut Vec<Text>, sys: &mut Sys<'_>) -> Result<(), Stop> {
        let mut expander = Expander { shell: self, sys, answers, cursor: 0 };
        match &**command {
            Cmd::For { words, .. } => {
                let words = match words {
                    Some(words) => Rc::new(expander.words(words)?),
                    None => expander.shell.params.clone(),
                };
                self.loops += 1;
                self.status = 0;
                self.frames.push(Frame::For { command: command.clone(), words, next: 0 });
            }
            Cmd::Case { word, arms } => {
                let text = expander.string(word)?;
                let mut chosen = None;
                'arms: for (patterns, body) in arms {
                    for pattern in patterns {
                        let pattern = expander.pattern(pattern)?;
                        if matches(&pattern, &text) {
                            chosen = Some(body.clone());
                            break 'arms;
                        }
                    }
                }
                self.status = 0;
                if let Some(body) = chosen {
                    self.push(Frame::Run(body));
                }
            }
            Cmd::Arithmetic(word) => {
                let value = expander.arithmetic(word)?;
                self.finish((value == 0) as i32);
            }
            Cmd::Condition(condition) => {
                let value = condition_value(condition, &mut expander)?;
                self.finish(!value as i32);
            }
            _ => {}
        }
        Ok(())
    }
}

fn condition_value(condition: &Cond, expander: &mut Expander<'_, '_>) -> Result<bool, Stop> {
    Ok(match condition {
        Cond::Or(a, b) => condition_value(a, expander)? || condition_value(b, expander)?,
        Cond::And(a, b) => condition_value(a, expander)? && condition_value(b, expander)?,
        Cond::Not(a) => !condition_value(a, expander)?,
        Cond::Word(word) => !expander.string(word)?.is_empty(),
        Cond::Unary(operator, word) => {
            let operand = expander.string(word)?;
            if &**operator == "-v" {
                return Ok(expander.shell.get(&operand).is_some());
            }
            Tester::new(expander.sys).unary(operator, &operand).map_err(Stop::Error)?
        }
        Cond::Binary(operator, left, right) => {
            let left = expander.string(left)?;
            match &**operator {
                "=" | "==" => matches(&expander.pattern(right)?, &left),
                "!=" => !matches(&expander.pattern(right)?, &left),
                "=~" => {
                    let pattern = expander.string(right)?;
                    let regex = regex_lite::Regex::new(&pattern).map_err(|_| Stop::Error("bad regex".into()))?;
                    regex.is_match(&left)
                }
                operator => {
                    let right = expander.string(right)?;
                    test::binary(expander.sys, &left, operator, &right).map_err(Stop::Error)?
                }
            }
        }
    })
}
