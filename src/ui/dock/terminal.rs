//! A terminal: xterm.js, loaded when the first one is shown; a plain text field if it can't be loaded. Bytes go from the
//! worker straight to it, past the virtual DOM.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use js_sys::Uint8Array;
use protocol::{ByteBuf, ToWorker};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlElement, HtmlInputElement};
use yew::prelude::*;

use crate::app::Do;
use crate::js;

/// What is known of a terminal's tab.
#[derive(Clone, PartialEq, Default)]
pub struct TermTab {
    pub id: u32,
    pub place: String,
    pub note: String,
    pub closed: bool,
}

/// All terminals' screens, by tab; cheap to clone, equal to itself.
#[derive(Clone, Default)]
pub struct Terminals(Rc<RefCell<BTreeMap<u32, Screen>>>);

impl PartialEq for Terminals {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Default)]
struct Screen {
    /// xterm.js behind `terminal.js`; None until it is loaded.
    handle: Option<JsValue>,
    /// What came before it was loaded.
    waiting: Vec<u8>,
    /// The text of the plain fallback.
    plain: Option<Callback<String>>,
    size: Option<(u16, u16)>,
    _closures: Option<(Closure<dyn FnMut(Uint8Array)>, Closure<dyn FnMut(u16, u16)>)>,
}

impl Terminals {
    /// Bytes from the worker.
    pub fn write(&self, tab: u32, bytes: &[u8]) {
        let mut screens = self.0.borrow_mut();
        let screen = screens.entry(tab).or_default();
        if let Some(handle) = &screen.handle {
            // A disposed terminal throws: its bytes are for nobody.
            let _ = js::call(handle, "write", &[&Uint8Array::from(bytes)]);
        } else if let Some(plain) = &screen.plain {
            plain.emit(without_escapes(&String::from_utf8_lossy(bytes)));
        } else {
            screen.waiting.extend_from_slice(bytes);
        }
    }

    /// Sizes of the terminals that are open: what a new worker has to be told.
    pub fn open_tabs(&self) -> Vec<(u32, (u16, u16))> {
        self.0.borrow().iter().filter_map(|(tab, screen)| Some((*tab, screen.size?))).collect()
    }

    /// The theme has changed.
    pub fn retheme(&self) {
        for handle in self.0.borrow().values().filter_map(|s| s.handle.as_ref()) {
            let _ = js::call(handle, "retheme", &[]);
        }
    }

    pub fn focus(&self, tab: u32) {
        if let Some(handle) = self.0.borrow().get(&tab).and_then(|s| s.handle.as_ref()) {
            let _ = js::call(handle, "focus", &[]);
        }
    }

    pub fn close(&self, tab: u32) {
        let screen = self.0.borrow_mut().remove(&tab);
        if let Some(handle) = screen.and_then(|s| s.handle) {
            let _ = js::call(&handle, "close", &[]);
        }
    }

    /// A size is known: the first one opens the terminal in the worker, others resize it.
    fn sized(&self, tab: u32, cols: u16, rows: u16, run: &Callback<Do>) {
        let mut screens = self.0.borrow_mut();
        let before = screens.entry(tab).or_default().size.replace((cols, rows));
        drop(screens);
        run.emit(Do::Send(match before {
            None => ToWorker::OpenTerminal { tab, cols, rows },
            Some(_) => ToWorker::ResizeTerminal { tab, cols, rows },
        }));
    }

    async fn load(self, tab: u32, element: HtmlElement, run: Callback<Do>) -> Result<(), String> {
        let module = js::module("js/terminal.js").await?;
        let (input, size) = (run.clone(), (self.clone(), run));
        let on_data = Closure::<dyn FnMut(Uint8Array)>::new(move |bytes: Uint8Array| {
            input.emit(Do::Send(ToWorker::TerminalInput { tab, bytes: ByteBuf::from(bytes.to_vec()) }));
        });
        let on_size = Closure::<dyn FnMut(u16, u16)>::new(move |cols, rows| size.0.sized(tab, cols, rows, &size.1));
        let handle = js::call(&module, "open", &[&element, on_data.as_ref(), on_size.as_ref()]).map_err(|e| js::text_of(&e))?;
        let mut screens = self.0.borrow_mut();
        let screen = screens.entry(tab).or_default();
        let _ = js::call(&handle, "write", &[&Uint8Array::from(std::mem::take(&mut screen.waiting).as_slice())]);
        screen.handle = Some(handle);
        screen._closures = Some((on_data, on_size));
        Ok(())
    }

    /// The plain field takes over what has come so far.
    fn fall_back(&self, tab: u32, plain: Callback<String>) {
        let mut screens = self.0.borrow_mut();
        let screen = screens.entry(tab).or_default();
        plain.emit(without_escapes(&String::from_utf8_lossy(&std::mem::take(&mut screen.waiting))));
        screen.plain = Some(plain);
    }
}

#[derive(Properties, PartialEq)]
pub struct ViewProps {
    pub id: u32,
    pub active: bool,
    /// The worker listens and the pane is on screen.
    pub ready: bool,
    pub note: String,
    pub hub: Terminals,
    pub run: Callback<Do>,
}

/// One terminal's screen.
#[function_component]
pub fn TerminalView(props: &ViewProps) -> Html {
    let node = use_node_ref();
    let failed = use_state(|| None::<String>);
    let text = use_state_eq(String::new);
    let begun = use_mut_ref(|| false);
    {
        let (node, failed, hub, run, id) = (node.clone(), failed.clone(), props.hub.clone(), props.run.clone(), props.id);
        use_effect_with(props.ready && props.active, move |now| {
            let first = *now && !std::mem::replace(&mut *begun.borrow_mut(), true);
            if let Some(element) = node.cast::<HtmlElement>().filter(|_| first) {
                spawn_local(async move {
                    if let Err(error) = hub.load(id, element, run).await {
                        failed.set(Some(error));
                    }
                });
            }
        });
    }
    {
        let (hub, run, id, text) = (props.hub.clone(), props.run.clone(), props.id, text.clone());
        use_effect_with((*failed).clone(), move |failed| {
            if failed.is_some() {
                let shown = Rc::new(RefCell::new(String::new()));
                hub.fall_back(
                    id,
                    Callback::from(move |more: String| {
                        shown.borrow_mut().push_str(&more);
                        text.set(shown.borrow().clone());
                    }),
                );
                hub.sized(id, 100, 24, &run);
            }
        });
    }
    html! {
        <>
            if props.active && !props.note.is_empty() {
                <div class="term-note">{ &props.note }</div>
            }
            <div class="term" ref={node} hidden={!props.active} role="tabpanel" aria-label="Terminal">
                if let Some(error) = &*failed {
                    <Plain id={props.id} error={error.clone()} text={(*text).clone()} run={props.run.clone()} />
                }
            </div>
        </>
    }
}

#[derive(Properties, PartialEq)]
struct PlainProps {
    id: u32,
    error: String,
    text: String,
    run: Callback<Do>,
}

/// What there is without xterm.js: the output as text and a line to type in.
#[function_component]
fn Plain(props: &PlainProps) -> Html {
    let onkeydown = {
        let (run, tab) = (props.run.clone(), props.id);
        Callback::from(move |event: KeyboardEvent| {
            let input: HtmlInputElement = event.target_unchecked_into();
            let bytes = match event.key().as_str() {
                "Enter" => format!("{}\r", input.value()),
                "c" if event.ctrl_key() => "\u{3}".to_owned(),
                _ => return,
            };
            input.set_value("");
            event.prevent_default();
            run.emit(Do::Send(ToWorker::TerminalInput { tab, bytes: ByteBuf::from(bytes.into_bytes()) }));
        })
    };
    html! {
        <div class="plain-term">
            <p class="note">{ format!("The full terminal could not be loaded ({}); this plain one works too.", props.error) }</p>
            <pre>{ &props.text }</pre>
            <input type="text" aria-label="Command" autocomplete="off" spellcheck="false" {onkeydown} />
        </div>
    }
}

/// The text without ANSI sequences and carriage returns.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.clone().next() == Some('[') => {
                chars.next();
                // A control sequence ends at its first letter (or ~).
                chars.by_ref().find(|c| c.is_ascii_alphabetic() || *c == '~');
            }
            '\r' | '\u{1b}' | '\u{7}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_are_left_out() {
        assert_eq!(super::without_escapes("\u{1b}[1;32m$\u{1b}[0m ls\r\n"), "$ ls\n");
    }
}
