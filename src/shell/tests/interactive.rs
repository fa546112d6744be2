//! Keys in, screen out.

use super::World;

fn session() -> (World, cri_api::TtyId) {
    let mut world = World::new();
    let (_, tty) = world.tty(&["sh"]);
    while world.step(world.now) {}
    assert_eq!(String::from_utf8_lossy(&world.screen), "/ # ");
    (world, tty)
}

#[test]
fn a_line_is_edited_and_run() {
    let (mut world, tty) = session();
    assert_eq!(world.keys(tty, "echo hi\r"), "echo hi\r\nhi\r\n/ # ");
    assert_eq!(
        world.keys(tty, "echo ac\x1b[Db\r"),
        "echo ac\r/ # echo ac\x1b[J\r\x1b[10C\r/ # echo abc\x1b[J\r\x1b[11C\r/ # echo abc\x1b[J\r\nabc\r\n/ # "
    );
    let up = world.keys(tty, "\x1b[A\r");
    assert!(up.ends_with("echo abc\x1b[J\r\nabc\r\n/ # "), "{up:?}");
    let wide = world.keys(tty, "echo 世界é\r");
    assert!(wide.ends_with("\r\n世界é\r\n/ # "), "{wide:?}");
}

#[test]
fn keys_that_move_and_kill() {
    let (mut world, tty) = session();
    for (keys, shown) in [
        ("xyz\x15echo a\r", "a\r\n"),
        ("echo a bb\x17c\r", "a c\r\n"),
        ("b\x01echo \x05!\r", "b!\r\n"),
        ("echo one two\x1bb\x0b\r", "one\r\n"),
        ("echo k\x01\x0becho \x19\r", "echo k\r\n"),
        ("echo \x1b[200~a\tb\x1b[201~\r", "a b\r\n"),
    ] {
        let screen = world.keys(tty, keys);
        assert!(screen.ends_with(&format!("\r\n{shown}/ # ")), "{keys:?} {screen:?}");
    }
    let found = world.keys(tty, "\x12one\r");
    assert!(found.ends_with("\r\none\r\n/ # "), "{found:?}");
}

#[test]
fn unfinished_commands_ask_for_more() {
    let (mut world, tty) = session();
    assert_eq!(world.keys(tty, "for i in 1 2\r"), "for i in 1 2\r\n> ");
    assert_eq!(world.keys(tty, "do echo $i; done\r"), "do echo $i; done\r\n1\r\n2\r\n/ # ");
    world.keys(tty, "cat <<E\r");
    world.keys(tty, "x\r");
    assert_eq!(world.keys(tty, "E\r"), "E\r\nx\r\n/ # ");
}

#[test]
fn control_c_ends_what_runs() {
    let (mut world, tty) = session();
    assert_eq!(world.keys(tty, "abc\x03"), "abc\r/ # abc\x1b[J^C\r\n/ # ");
    world.keys(tty, "sleep 100\r");
    let screen = world.keys(tty, "\x03");
    assert_eq!(screen, "^C\r\n/ # ");
    assert!(world.keys(tty, "echo $?\r").contains("\r\n130\r\n"));
    world.keys(tty, "while :; do :; done\r");
    world.run(1);
    world.keys(tty, "\x03");
    world.run(1);
    assert!(world.keys(tty, "echo ok\r").contains("\r\nok\r\n"));
}

#[test]
fn cat_reads_cooked_lines_and_control_d_ends() {
    let (mut world, tty) = session();
    world.keys(tty, "cat\r");
    assert_eq!(world.keys(tty, "ab\x7fc\r"), "ab\x08 \x08c\r\nac\r\n");
    assert_eq!(world.keys(tty, "\x04"), "/ # ");
    world.keys(tty, "\x04");
    assert_eq!(world.exited.len(), 1);
}

#[test]
fn tab_completes_commands_and_files() {
    let (mut world, tty) = session();
    let screen = world.keys(tty, "cat /etc/pas\t\r");
    assert!(screen.contains("cat /etc/passwd "), "{screen:?}");
    let screen = world.keys(tty, "base\t\t");
    assert!(screen.contains("base64"), "{screen:?}");
}

#[test]
fn aliases_and_jobs_at_the_prompt() {
    let (mut world, tty) = session();
    world.keys(tty, "alias k='echo kubectl'\r");
    assert!(world.keys(tty, "k get pods\r").contains("\r\nkubectl get pods\r\n"));
    world.keys(tty, "sleep 1 &\r");
    world.run(2);
    let screen = world.keys(tty, "\r");
    assert!(screen.contains("[1]+  Done                    sleep 1"), "{screen:?}");
}

/// An interactive shell ignores SIGTERM and ^Z for itself alone: its jobs can be ended, stopped, and go on.
#[test]
fn jobs_of_an_interactive_shell_end_and_stop() {
    let (mut world, tty) = session();
    world.keys(tty, "sleep 100 &\r");
    world.keys(tty, "sleep 200 &\r");
    let screen = world.keys(tty, "jobs\r");
    assert!(
        screen.contains("[1]-  Running                 sleep 100 &\r\n[2]+  Running                 sleep 200 &"),
        "{screen:?}"
    );
    let screen = world.keys(tty, "kill %1; wait %1; echo $?\r");
    assert!(screen.contains("143\r\n"), "{screen:?}");
    let screen = world.keys(tty, "kill %2\r") + &world.keys(tty, "\r");
    assert!(screen.contains("[2]+  Terminated              sleep 200\r\n"), "{screen:?}");
    world.keys(tty, "timeout 1 sleep 300; echo code $?\r");
    world.run(2);
    let screen = String::from_utf8_lossy(&world.screen).into_owned();
    assert!(screen.contains("code 143\r\n"), "timeout ends its command: {screen:?}");
    world.keys(tty, "sleep 400\r");
    let screen = world.keys(tty, "\x1a");
    assert!(screen.contains("[1]+  Stopped                    sleep 400"), "{screen:?}");
    let screen = world.keys(tty, "jobs\r");
    assert!(screen.contains("[1]+  Stopped                 sleep 400\r\n"), "{screen:?}");
    world.keys(tty, "kill %1; bg\r");
    world.keys(tty, "\r");
    let screen = world.keys(tty, "jobs; echo none\r");
    assert!(screen.ends_with("none\r\n/ # ") && !screen.contains("sleep 400"), "{screen:?}");
}
