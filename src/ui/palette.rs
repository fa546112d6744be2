//! The command palette: everything the page can do, by a few letters.

use protocol::{Thing, ToWorker};
use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::app::Do;
use crate::dialogs::use_focus;
use crate::shared::Shared;

/// One entry.
#[derive(Clone, PartialEq)]
pub struct Command {
    pub name: String,
    pub hint: String,
    pub what: Do,
}

#[derive(Properties, PartialEq)]
pub struct PaletteProps {
    pub commands: Vec<Command>,
    /// Objects of the cluster that have what was typed in their names.
    pub found: Shared<Vec<Thing>>,
    /// What was typed since it was asked for and before it had the focus; a line's end chooses.
    pub typed: AttrValue,
    pub run: Callback<Do>,
}

/// The palette over the page.
#[function_component]
pub fn Palette(props: &PaletteProps) -> Html {
    let query = use_state(String::new);
    let at = use_state(|| 0_usize);
    let input = use_focus();
    let taken = use_mut_ref(|| 0_usize);
    {
        let (input, query, run, commands) = (input.clone(), query.clone(), props.run.clone(), props.commands.clone());
        use_effect_with(props.typed.clone(), move |typed| {
            let more = typed.get(*taken.borrow()..).unwrap_or_default();
            let Some(field) = input.cast::<HtmlInputElement>().filter(|_| !more.is_empty()) else { return };
            *taken.borrow_mut() = typed.len();
            let words = field.value() + more.trim_end_matches('\n');
            field.set_value(&words);
            query.set(words.clone());
            if more.ends_with('\n') {
                return choose(&run, commands.iter().find(|c| matches(c, &words)));
            }
            run.emit(Do::Send(ToWorker::Find { words }));
        });
    }
    let all = all(&props.commands, &props.found);
    let found: Vec<Command> = all.iter().filter(|c| matches(c, &query)).take(40).cloned().collect();
    let chosen = (*at).min(found.len().saturating_sub(1));
    // What the list was made for. The state itself would say what has been typed since: it is read as it is now, also by handlers.
    let listed = query.to_string();
    let oninput = {
        let (run, query, at) = (props.run.clone(), query.clone(), at.clone());
        Callback::from(move |event: InputEvent| {
            let words = event.target_unchecked_into::<HtmlInputElement>().value();
            query.set(words.clone());
            at.set(0);
            run.emit(Do::Send(ToWorker::Find { words }));
        })
    };
    let onkeydown = {
        let input = input.clone();
        let (run, commands, found, query, at) = (props.run.clone(), all.clone(), found.clone(), query.clone(), at.clone());
        Callback::from(move |event: KeyboardEvent| {
            match event.key().as_str() {
                "ArrowDown" => at.set((chosen + 1).min(found.len().saturating_sub(1))),
                "ArrowUp" => at.set(chosen.saturating_sub(1)),
                "Escape" => run.emit(Do::Palette(false)),
                "Enter" => {
                    // On a slow machine the list may not have followed the last letters yet: what is typed counts, as long as there
                    // is a field that has it.
                    let typed = input.cast::<HtmlInputElement>().map_or_else(|| query.to_string(), |i| i.value());
                    choose(
                        &run,
                        match typed == listed {
                            true => found.get(chosen),
                            false => commands.iter().find(|c| matches(c, &typed)),
                        },
                    );
                }
                _ => return,
            }
            event.prevent_default();
            event.stop_propagation();
        })
    };
    let close = {
        let run = props.run.clone();
        Callback::from(move |_: MouseEvent| run.emit(Do::Palette(false)))
    };
    html! {
        <div class="veil" onclick={close}>
            <div class="dialog palette" role="dialog" aria-modal="true" aria-label="Commands" onclick={|e: MouseEvent| e.stop_propagation()} {onkeydown}>
                <input ref={input} type="text" placeholder="What to do? A thing, a lens, an example…" autocomplete="off" spellcheck="false"
                    role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant={format!("command-{chosen}")} {oninput} />
                if found.is_empty() {
                    <p class="none">{ "Nothing is called that." }</p>
                }
                <ul id="palette-list" role="listbox">
                    { for found.iter().enumerate().map(|(i, c)| {
                        let (run, command) = (props.run.clone(), c.clone());
                        let onclick = Callback::from(move |_: MouseEvent| choose(&run, Some(&command)));
                        html! { <li id={format!("command-{i}")} role="option" aria-selected={(i == chosen).to_string()} {onclick}>{ &c.name }<small>{ &c.hint }</small></li> }
                    }) }
                </ul>
            </div>
        </div>
    }
}

/// Closes the palette and does what was chosen.
fn choose(run: &Callback<Do>, command: Option<&Command>) {
    run.emit(Do::Palette(false));
    if let Some(command) = command {
        run.emit(command.what.clone());
    }
}

/// The page's commands, and behind them the objects that the picture has no room for.
fn all(commands: &[Command], found: &[Thing]) -> Vec<Command> {
    let mut all = commands.to_vec();
    for thing in found {
        let Thing::Object { resource, namespace, name, .. } = thing else { continue };
        let what = Do::Inspect(Some(thing.clone()));
        if commands.iter().all(|c| c.what != what) {
            let hint = if namespace.is_empty() { resource.clone() } else { format!("{resource} · {namespace}") };
            all.push(Command { name: format!("Open {name}"), hint, what });
        }
    }
    all
}

/// Every word of the query occurs, one of them in the name.
fn matches(command: &Command, query: &str) -> bool {
    let (name, hint) = (command.name.to_lowercase(), command.hint.to_lowercase());
    let query = query.to_lowercase();
    let mut words = query.split_whitespace().peekable();
    words.peek().is_none()
        || words.clone().any(|word| name.contains(word)) && words.all(|word| name.contains(word) || hint.contains(word))
}
