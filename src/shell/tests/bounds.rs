//! Nothing a script does costs without end; a clone goes on as the original does.

use cri_api::{Stdio, StreamId};

use super::World;

const OUT: [Stdio; 3] = [Stdio::Null, Stdio::Stream(StreamId(1)), Stdio::Stream(StreamId(2))];

#[test]
fn a_busy_loop_lets_time_go_on() {
    let mut world = World::new();
    let pid = world.start(&["sh", "-c", "while true; do :; done"], OUT);
    world.run(10);
    assert_eq!(world.status(pid), None);
    assert!(world.machine.used_steps() < 500_000, "{}", world.machine.used_steps());
}

#[test]
fn a_fork_bomb_meets_the_process_limit() {
    let mut world = World::new();
    world.start(&["sh", "-c", "bomb() { bomb | bomb & }; bomb; sleep 1000"], OUT);
    world.run(1);
    assert!(world.machine.processes().count() <= 512);
    let errors = String::from_utf8_lossy(&world.stderr).into_owned();
    assert!(errors.contains("Resource temporarily unavailable"), "{}", &errors[..errors.len().min(200)]);
}

#[test]
fn a_variable_that_doubles_is_killed() {
    for script in ["x=x; while true; do x=$x$x; done", "set -- x; while true; do set -- $@ $@; done"] {
        let mut world = World::new();
        let pid = world.start(&["sh", "-c", script], OUT);
        world.run(60);
        assert_eq!(world.status(pid), Some(137), "{script}");
    }
}

#[test]
fn output_that_nobody_wants_is_bounded() {
    let mut world = World::new();
    world.start(&["yes"], OUT);
    world.run(10);
    assert!(world.stdout.len() < 16 << 20, "{}", world.stdout.len());
}

#[test]
fn a_clone_goes_on_as_the_original() {
    let script = "f() { echo f $1; }; for i in 1 2 3; do x=$(echo $i | tr 1-3 a-c); f $x; sleep 1; done; \
                  cat <<EOF | sort -r | while read l; do echo got $l; done\nb\na\nEOF\ntrap 'echo bye' EXIT; (exit 4); echo $?";
    let mut world = World::new();
    let pid = world.start(&["sh", "-c", script], OUT);
    let mut clones = Vec::new();
    let until = world.now + base::Duration::from_secs(100);
    loop {
        clones.push(world.clone());
        if !world.step(until) {
            break;
        }
    }
    let expected = (world.stdout.clone(), world.status(pid));
    assert_eq!(String::from_utf8_lossy(&expected.0), "f a\nf b\nf c\ngot b\ngot a\n4\nbye\n");
    for mut clone in clones {
        while clone.step(until) {}
        assert_eq!((clone.stdout.clone(), clone.status(pid)), expected);
    }
}

/// Every quantum of one step, so that clones are taken in the middle of everything.
#[test]
fn a_clone_between_any_two_polls_goes_on() {
    let mut world = World::new();
    let config =
        cri_api::MachineConfig { cpu: cri_api::Cpu { burst: 1, per_second: 1_000_000 }, ..(*world.machine.config).clone() };
    world.machine = cri_api::Machine::new(config, super::image());
    let pid = world.start(&["sh", "-c", "x=$(echo a | tr a b); for i in 1 2; do echo $x$i; done | sort -r; echo $?"], OUT);
    let until = world.now + base::Duration::from_secs(100);
    let mut clones = Vec::new();
    loop {
        clones.push(world.clone());
        if !world.step(until) {
            break;
        }
    }
    assert!(clones.len() > 10, "{}", clones.len());
    assert_eq!(String::from_utf8_lossy(&world.stdout), "b2\nb1\n0\n");
    for mut clone in clones {
        while clone.step(until) {}
        assert_eq!((clone.stdout, clone.exited), (world.stdout.clone(), vec![(pid, cri_api::Status::Exited(0))]));
    }
}
