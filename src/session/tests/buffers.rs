//! Texts that the page edits for a program: each is given back to the machine that asked.

use protocol::{ByteBuf, Pace, ToPage, ToWorker};

use super::Page;

impl Page {
    fn type_line(&mut self, line: &str) {
        self.session.receive(ToWorker::TerminalInput { tab: 1, bytes: ByteBuf::from(format!("{line}\r").into_bytes()) });
    }

    /// Lets time pass, and says what it brought of editors that opened and of what the terminal printed.
    fn edits(&mut self, seconds: i64, printed: &mut String) -> Vec<(u32, String)> {
        self.run_only(seconds);
        let mut opened = Vec::new();
        for n in 0..4 {
            self.wall_ms.set(self.wall_ms.get() + 300.0 * f64::from(n));
            let clock = || {
                self.wall_ms.set(self.wall_ms.get() + 0.5);
                self.wall_ms.get()
            };
            let Some(batch) = self.session.tick(&clock).batch else { continue };
            for message in batch.messages {
                match message {
                    ToPage::OpenBuffer { buffer, text, .. } => opened.push((buffer, text)),
                    ToPage::TerminalOutput { bytes, .. } => printed.push_str(&String::from_utf8_lossy(&bytes)),
                    ToPage::Scene(patch) => patch.apply_to(&mut self.scene),
                    _ => {}
                }
            }
            self.session.receive(ToWorker::Ack { seq: batch.seq });
        }
        opened
    }

    fn run_only(&mut self, seconds: i64) {
        let bottle = self.session.bottle_mut().expect("there is a cluster");
        let until = bottle.head().now() + base::Duration::from_secs(seconds);
        bottle.run_until(until, u64::MAX);
        self.session.redraw();
    }
}

/// The way to break a static pod: `ssh`, `vi`, save. The text goes back to the node, whose shell has its prompt again.
#[test]
fn a_text_goes_back_to_the_node_whose_vi_waits_for_it() {
    let mut page = Page::open();
    let mut printed = String::new();
    page.session.receive(ToWorker::Pace(Pace::Play));
    page.session.receive(ToWorker::OpenTerminal { tab: 1, cols: 90, rows: 20 });
    page.edits(2, &mut printed);
    page.type_line("ssh cp-1");
    page.edits(5, &mut printed);
    page.type_line("vi /etc/kubernetes/manifests/kube-scheduler.yaml");
    let opened = page.edits(2, &mut printed);
    let [(buffer, text)] = &opened[..] else { panic!("{} editors are open: {printed}", opened.len()) };
    assert!(text.contains("--leader-elect=true"), "{text}");
    let saved = text.replace("--leader-elect=true", "--leader-elect=tru");
    page.session.receive(ToWorker::BufferClosed { buffer: *buffer, saved: Some(saved) });
    page.edits(2, &mut printed);
    printed.clear();
    page.type_line("grep leader-elect /etc/kubernetes/manifests/*; exit");
    page.edits(5, &mut printed);
    assert!(printed.contains("- --leader-elect=tru\r\n"), "{printed:?}");

    // The laptop's own go on as before, and one that is given up changes nothing.
    page.type_line("echo mine > note; vi note");
    let opened = page.edits(2, &mut printed);
    let [(buffer, text)] = &opened[..] else { panic!("{} editors are open: {printed}", opened.len()) };
    assert_eq!(text, "mine\n");
    page.session.receive(ToWorker::BufferClosed { buffer: *buffer, saved: None });
    page.edits(2, &mut printed);
    printed.clear();
    page.type_line("cat note");
    page.edits(2, &mut printed);
    assert!(printed.contains("mine\r\n"), "{printed:?}");
}
