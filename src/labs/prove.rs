//! Proves a lab without a learner: every step fails at its start, every wrong turn gets its message, the solution passes.

use std::rc::Rc;

use base::Duration;
use cluster::{Bottle, Config};

use crate::{Lab, Phase, Player};

/// How long the cluster may take for something, in its own time.
const PREPARE: Duration = Duration::from_secs(1_800);
const SOLVE: Duration = Duration::from_secs(1_800);
const WRONG: Duration = Duration::from_secs(120);
/// A step is left alone for so long before it is said to fail at its start.
const IDLE: Duration = Duration::from_millis(1_500);
const BEAT: Duration = Duration::from_millis(100);
const TRIES: u64 = 1_000_000;

/// A bottle that has booted a configuration, to be cloned for each lab that has the same.
pub fn booted(config: &Config) -> Bottle {
    let mut bottle = Bottle::new(config.clone());
    let limit = bottle.start() + Duration::from_secs(120);
    while !bottle.head().is_ready() && bottle.head().now() < limit {
        let next = bottle.head().now() + Duration::from_millis(500);
        bottle.run_until(next, u64::MAX);
    }
    bottle.head_mut().take_page_messages();
    bottle
}

/// What is wrong with a lab, a line each; empty: it is proved. `booted` has the lab's configuration.
pub fn prove(lab: &Rc<Lab>, booted: &Bottle) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut bottle, mut player) = (booted.clone(), Player::new(lab.clone(), 0));
    for (i, step) in lab.steps.iter().enumerate() {
        let name = format!("step {} ({})", i + 1, step.title);
        let prepared = until(&mut bottle, &mut player, PREPARE, |p| !p.hurries());
        if step.checks.is_empty() && matches!(player.phase, Phase::Passed | Phase::Finished) {
            player.next();
            continue;
        }
        if !prepared || player.phase != Phase::Playing {
            problems.push(format!("{name}: could not be prepared: {}", player.note));
            return problems;
        }
        let idle = until(&mut bottle, &mut player, IDLE, |p| p.phase != Phase::Playing);
        if idle {
            problems.push(format!("{name}: passes by itself"));
            return problems;
        }
        if let Some(wrong) = player.wrong {
            problems.push(format!("{name}: the wrong turn {:?} shows at the start", step.wrong[wrong].say));
        }
        wrong_turns(&name, &bottle, &player, &mut problems);
        if step.solution.is_empty() {
            problems.push(format!("{name}: has no solution"));
            return problems;
        }
        player.solve();
        let passed = |p: &Player| matches!(p.phase, Phase::Passed | Phase::Finished | Phase::Broken | Phase::Playing);
        until(&mut bottle, &mut player, SOLVE, passed);
        if !matches!(player.phase, Phase::Passed | Phase::Finished) {
            problems.push(format!("{name}: the solution does not pass: {}", lacking(&player)));
            return problems;
        }
        player.next();
    }
    problems
}

/// Lets so many seconds pass, unless the player gets somewhere before.
#[cfg(test)]
pub(crate) fn play(bottle: &mut Bottle, player: &mut Player, seconds: i64) {
    until(bottle, player, Duration::from_secs(seconds), |_| false);
}

fn wrong_turns(name: &str, bottle: &Bottle, player: &Player, problems: &mut Vec<String>) {
    let Some(step) = player.current() else { return };
    for (i, wrong) in step.wrong.iter().enumerate() {
        if wrong.provoke.is_empty() {
            problems.push(format!("{name}: nothing leads to the wrong turn {:?} (try is missing)", wrong.say));
            continue;
        }
        let (mut bottle, mut player) = (bottle.clone(), player.clone());
        player.provoke(&wrong.provoke);
        let shown = |p: &Player| p.wrong == Some(i) || !matches!(p.phase, Phase::Solving | Phase::Playing);
        until(&mut bottle, &mut player, WRONG, shown);
        if player.wrong != Some(i) {
            let instead = player.wrong.map(|w| step.wrong[w].say.clone()).unwrap_or_else(|| "none".into());
            problems.push(format!("{name}: the wrong turn {:?} is not noticed (instead: {instead}) {}", wrong.say, player.note));
        }
    }
}

/// What doesn't hold, and why.
fn lacking(player: &Player) -> String {
    let state = player.state();
    let open: Vec<String> = state.checks.iter().filter(|c| !c.holds).map(|c| format!("{} [{}]", c.want, c.message)).collect();
    let ghosts: Vec<String> = state.ghosts.iter().map(|g| format!("{} {}: {}", g.kind, g.name, g.lacks.join(", "))).collect();
    format!("{} {} {}", open.join("; "), ghosts.join("; "), player.note)
}

/// Lets time pass until it holds. False: the time is up.
fn until(bottle: &mut Bottle, player: &mut Player, limit: Duration, holds: impl Fn(&Player) -> bool) -> bool {
    let end = bottle.head().now() + limit;
    loop {
        player.advance(bottle);
        while player.wants_to_try(bottle) {
            player.try_some(bottle, TRIES);
        }
        if holds(player) {
            return true;
        }
        if bottle.head().now() >= end {
            return false;
        }
        let next = bottle.head().now() + BEAT;
        bottle.run_until(next, u64::MAX);
        for message in bottle.head_mut().take_page_messages() {
            player.message(&message);
        }
    }
}
