//! A player as the page sees it.

use protocol::{LabCheck, LabPhase, LabQuestion, LabState, LabStepText, LabText};

use std::rc::Rc;

use crate::lab::{Lab, Question, Test};
use crate::{Phase, Player};

impl Lab {
    /// The text, sent once.
    pub fn text(&self) -> LabText {
        let step = |s: &crate::Step| LabStepText {
            title: s.title.clone(),
            blocks: s.blocks.clone(),
            hints: s.hints.len() as u32,
            lens: s.lens,
            show: s.show.clone(),
            solvable: !s.solution.is_empty(),
        };
        LabText {
            name: self.name.clone(),
            title: self.title.clone(),
            language: self.language.clone(),
            languages: self.languages.clone(),
            minutes: self.minutes,
            tour: self.tour,
            intro: self.intro.clone(),
            steps: self.steps.iter().map(step).collect(),
            outro: self.outro.clone(),
            warnings: self.warnings.clone(),
        }
    }
}

impl Player {
    /// Goes on with the same lab in another language: an answer becomes what it is there. False: it is another lab.
    pub fn translate(&mut self, lab: Rc<Lab>) -> bool {
        let shape = |lab: &Lab| lab.steps.iter().map(|s| (s.checks.len(), s.wrong.len())).collect::<Vec<_>>();
        if shape(&lab) != shape(&self.lab) {
            return false;
        }
        let checks = |lab: &Lab| lab.steps.get(self.step).map(|s| s.checks.clone()).unwrap_or_default();
        for ((old, new), answer) in checks(&self.lab).iter().zip(&checks(&lab)).zip(&mut self.answers) {
            if let (Test::Question(old), Test::Question(new), Some(text)) = (&old.test, &new.test, answer) {
                let words = |q: &Question| [q.options.clone(), q.answers.clone()].concat();
                let at = words(old).iter().position(|w| w.eq_ignore_ascii_case(text.trim()));
                *text = at.and_then(|i| words(new).get(i).cloned()).unwrap_or_else(|| text.clone());
            }
        }
        self.lab = lab;
        self.seen = None;
        true
    }

    /// How far the learner is.
    pub fn state(&self) -> LabState {
        let phase = match self.phase {
            Phase::Booting | Phase::Setup | Phase::Skipping | Phase::Before => LabPhase::SettingUp,
            Phase::Playing => LabPhase::Playing,
            Phase::Solving => LabPhase::Solving,
            Phase::Passed => LabPhase::Passed,
            Phase::Finished => LabPhase::Finished,
            Phase::Broken => LabPhase::Broken,
        };
        let checks = self.current().map(|s| s.checks.as_slice()).unwrap_or_default();
        let checks = checks.iter().zip(&self.verdicts).enumerate().map(|(i, (check, verdict))| LabCheck {
            want: check.want.clone(),
            holds: verdict.holds,
            message: verdict.message.clone(),
            question: match &check.test {
                Test::Question(q) => Some(LabQuestion {
                    options: q.options.clone(),
                    answered: self.answers.get(i).cloned().flatten().unwrap_or_default(),
                }),
                _ => None,
            },
        });
        let ready = phase != LabPhase::SettingUp && phase != LabPhase::Broken;
        let hints = self.current().map(|s| s.hints[..self.hints.min(s.hints.len())].to_vec()).unwrap_or_default();
        let wrong = self.wrong.and_then(|i| Some(self.current()?.wrong.get(i)?.say.clone()));
        LabState {
            phase,
            step: self.step as u32,
            note: self.note.clone(),
            steps: self.states.clone(),
            checks: if ready { checks.collect() } else { Vec::new() },
            wrong,
            ghosts: self.ghosts.clone(),
            hints,
        }
    }
}
