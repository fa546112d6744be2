//! Terminal tabs. The shell, its line editing and the commands run on the simulated laptop; here bytes go to and fro.
//!
//! Paused or in the past the terminal still answers: a command is run in a clone of the moment shown. If it only read, its output
//! is shown and the clone's laptop is kept; if it wrote, time is stepped (paused) or the user is asked to fork (past).
//!
//! That the page shows a terminal, of some size, is nothing that the user does: while time stands still the laptop isn't told, so that
//! a moment which was opened stays that very moment. It is told before the next thing that happens ([`Session::wake_terminals`]).

use cri_api::host::HostMessage;
use protocol::{ByteBuf, TerminalMode, ToPage};

use crate::session::Session;

/// Output of one tab that the page has not drawn yet is cut to its end beyond this.
const MAX_PENDING: usize = 256 * 1024;

/// So long a shell takes to print its first prompt, in virtual time.
const OPENING: base::Duration = base::Duration::from_millis(60);

#[derive(Clone, Debug, Default)]
struct Tab {
    number: u32,
    size: (u16, u16),
    pending: Vec<u8>,
    busy: bool,
    mode: TerminalMode,
    /// Typed in the past; waits for the user's word on forking.
    waiting: Vec<u8>,
    cut: bool,
    due: Due,
    /// Printed by a clone in which the tab was opened: what the laptop prints of it then is shown already.
    foretold: Vec<u8>,
}

/// What the laptop isn't told of a tab yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Due {
    #[default]
    Nothing,
    Size,
    Open,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Terminals {
    tabs: Vec<Tab>,
}

impl Terminals {
    fn tab(&mut self, number: u32) -> Option<&mut Tab> {
        self.tabs.iter_mut().find(|t| t.number == number)
    }

    pub fn output(&mut self, number: u32, data: &[u8], _queue: &mut [ToPage]) {
        let Some(tab) = self.tab(number) else { return };
        let shown = std::mem::take(&mut tab.foretold);
        let same = data.iter().zip(&shown).take_while(|(a, b)| a == b).count();
        if same == data.len() {
            tab.foretold = shown[same..].to_vec();
        }
        let news = &data[same..];
        if news.is_empty() {
            return;
        }
        tab.pending.extend_from_slice(news);
        if tab.pending.len() > MAX_PENDING {
            let keep = tab.pending.len() - MAX_PENDING / 2;
            tab.pending.drain(..keep);
            tab.cut = true;
        }
        // A prompt at the end of the output: the shell waits for a line.
        tab.busy = !ends_with_prompt(&tab.pending);
    }

    pub fn closed(&mut self, number: u32, code: i32, queue: &mut Vec<ToPage>) {
        self.flush(queue);
        self.tabs.retain(|t| t.number != number);
        queue.push(ToPage::TerminalClosed { tab: number, code });
    }

    /// Hands over what has been printed.
    pub fn flush(&mut self, queue: &mut Vec<ToPage>) {
        for tab in &mut self.tabs {
            if tab.pending.is_empty() {
                continue;
            }
            let mut bytes = Vec::new();
            if std::mem::take(&mut tab.cut) {
                bytes.extend_from_slice("\r\n\x1b[2m… output left out …\x1b[0m\r\n".as_bytes());
            }
            bytes.append(&mut tab.pending);
            queue.push(ToPage::TerminalOutput { tab: tab.number, bytes: ByteBuf::from(bytes) });
            let mode = TerminalMode { busy: tab.busy, ..tab.mode.clone() };
            if mode != tab.mode {
                tab.mode = mode.clone();
                queue.push(ToPage::TerminalMode { tab: tab.number, mode });
            }
        }
    }

    /// The tabs that are open, with columns and rows.
    pub fn sizes(&self) -> Vec<(u32, u16, u16)> {
        self.tabs.iter().map(|t| (t.number, t.size.0, t.size.1)).collect()
    }

    pub fn any_busy(&self) -> bool {
        self.tabs.iter().any(|t| t.busy)
    }
}

/// Whether text ends like the laptop's or a node's prompt.
fn ends_with_prompt(bytes: &[u8]) -> bool {
    let end = &bytes[bytes.len().saturating_sub(24)..];
    let text = String::from_utf8_lossy(end);
    let text = text.trim_end_matches("\u{1b}[?2004h").trim_end_matches("\u{1b}[K");
    text.ends_with("$ ") || text.ends_with("# ") || text.ends_with("\u{1b}[0m ") || text.ends_with("> ")
}

impl Tab {
    fn opening(&self) -> HostMessage {
        HostMessage::TtyOpen { tab: self.number, cols: self.size.0, rows: self.size.1 }
    }

    fn sizing(&self) -> HostMessage {
        HostMessage::TtyResize { tab: self.number, cols: self.size.0, rows: self.size.1 }
    }
}

impl Session {
    pub(crate) fn open_terminal(&mut self, tab: u32, cols: u16, rows: u16) {
        let mode = TerminalMode { place: "laptop".into(), ..TerminalMode::default() };
        self.terminals.tabs.push(Tab { number: tab, size: (cols, rows), mode: mode.clone(), ..Tab::default() });
        self.say(ToPage::TerminalMode { tab, mode });
        if let Some(printed) = self.journal.take_printed(tab) {
            // A restored cluster has the shell still: it only learns its new size.
            self.say(ToPage::TerminalOutput { tab, bytes: ByteBuf::from(printed) });
            return self.resize_terminal(tab, cols, rows);
        }
        if self.stands_at_head() {
            return self.foretell(tab);
        }
        // Opening a tab is no input of the user's that should fork: it goes to the head.
        if let Some(bottle) = self.bottle_mut() {
            let past = bottle.is_past().then(|| bottle.shown().now());
            bottle.seek_head();
            bottle.input(cluster::Input::Laptop(HostMessage::TtyOpen { tab, cols, rows }.into()));
            if let Some(at) = past {
                bottle.seek(at);
            }
        }
    }

    /// Paused, and nothing else than the newest moment is shown.
    fn stands_at_head(&self) -> bool {
        self.pacer.paused && self.bottle().is_some_and(|b| !b.is_past())
    }

    /// Shows what a new tab's shell prints, from a clone. The laptop itself gets the tab when time goes on.
    fn foretell(&mut self, number: u32) {
        let Some(bottle) = self.bottle.as_ref() else { return };
        let Some(tab) = self.terminals.tab(number) else { return };
        let outcome = cluster::aside::run(bottle.shown(), tab.opening().into());
        tab.due = Due::Open;
        for message in outcome.page {
            if let HostMessage::TtyOutput { tab: printed, data } = message
                && printed == number
            {
                tab.foretold.extend_from_slice(&data);
            }
        }
        tab.pending.extend_from_slice(&tab.foretold);
        tab.busy = !ends_with_prompt(&tab.pending);
    }

    /// Something is done, or time goes on: the laptop hears of the tabs that were opened or resized while time stood.
    pub(crate) fn wake_terminals(&mut self) {
        let Some(bottle) = self.bottle.as_mut().filter(|b| !b.is_past()) else { return };
        for tab in &mut self.terminals.tabs {
            let message = match std::mem::take(&mut tab.due) {
                Due::Nothing => continue,
                Due::Size => tab.sizing(),
                Due::Open => tab.opening(),
            };
            bottle.input(cluster::Input::Laptop(message.into()));
        }
    }

    pub(crate) fn close_terminal(&mut self, tab: u32) {
        let unheard = self.terminals.tab(tab).is_some_and(|t| t.due == Due::Open);
        self.terminals.tabs.retain(|t| t.number != tab);
        if unheard {
            return;
        }
        if self.bottle().is_some_and(|b| !b.is_past()) {
            self.to_laptop(HostMessage::TtyClose { tab });
        }
    }

    pub(crate) fn resize_terminal(&mut self, tab: u32, cols: u16, rows: u16) {
        let stands = self.stands_at_head();
        if let Some(tab) = self.terminals.tab(tab) {
            tab.size = (cols, rows);
            if stands || tab.due == Due::Open {
                tab.due = if tab.due == Due::Open { Due::Open } else { Due::Size };
                return;
            }
        }
        if self.bottle().is_some_and(|b| !b.is_past()) {
            self.to_laptop(HostMessage::TtyResize { tab, cols, rows });
        }
    }

    pub(crate) fn terminal_input(&mut self, tab: u32, bytes: &[u8]) {
        let still = self.pacer.paused || self.bottle().is_some_and(|b| b.is_past());
        if !still {
            return self.to_laptop(HostMessage::TtyInput { tab, data: bytes.into() });
        }
        self.input_while_still(tab, bytes);
    }

    /// Runs the input in a clone of the moment shown, and keeps of it what may be kept.
    fn input_while_still(&mut self, tab: u32, bytes: &[u8]) {
        if self.stands_at_head() && self.terminals.tabs.iter().any(|t| t.due != Due::Nothing) {
            // The shell has to be there before it can be asked: time is stepped until it is.
            self.wake_terminals();
            if let Some(bottle) = self.bottle_mut() {
                let until = bottle.head().now() + OPENING;
                bottle.run_until(until, 200_000);
            }
            self.page_messages();
        }
        let Some(bottle) = self.bottle() else { return };
        let past = bottle.is_past();
        let message = std::rc::Rc::new(HostMessage::TtyInput { tab, data: bytes.into() });
        let outcome = cluster::aside::run(bottle.shown(), message.clone());
        if outcome.wrote && past {
            if let Some(t) = self.terminals.tab(tab) {
                t.waiting = bytes.to_vec();
            }
            let command = outcome.first_write;
            return self.say(ToPage::AskFork { tab, command });
        }
        if outcome.wrote {
            // Paused: the command really happens, and time is stepped until the shell has its prompt again.
            if let Some(bottle) = self.bottle_mut() {
                bottle.input(cluster::Input::Laptop(message));
                let until = bottle.head().now() + outcome.took;
                bottle.run_until(until, 200_000);
            }
            return;
        }
        for m in outcome.page {
            if let HostMessage::TtyOutput { tab, data } = m {
                self.terminals.output(tab, &data, &mut []);
            }
        }
        if let Some(bottle) = self.bottle_mut() {
            bottle.adopt_laptop(message, &outcome.cluster);
        }
    }

    pub(crate) fn fork_answer(&mut self, tab: u32, yes: bool) {
        let waiting = self.terminals.tab(tab).map(|t| std::mem::take(&mut t.waiting)).unwrap_or_default();
        if yes && !waiting.is_empty() {
            self.to_laptop(HostMessage::TtyInput { tab, data: waiting.into() });
        }
    }
}
