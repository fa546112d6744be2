//! The command palette: everything the page can do, by a few letters.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::app::Do;
use crate::dialogs::use_focus;

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
    pub run: Callback<Do>,
}

/// The palette over the page.
#[function_component]
pub fn Palette(props: &PaletteProps) -> Html {
    let query = use_state(String::new);
    let at = use_state(|| 0_usize);
    let input = use_focus();
    let found: Vec<Command> = props.commands.iter().filter(|c| matches(&c.name, &query)).take(40).cloned().collect();
    let chosen = (*at).min(found.len().saturating_sub(1));
    let oninput = {
        let (query, at) = (query.clone(), at.clone());
        Callback::from(move |event: InputEvent| {
            query.set(event.target_unchecked_into::<HtmlInputElement>().value());
            at.set(0);
        })
    };
    let onkeydown = {
        let input = input.clone();
        let (run, commands, found, query, at) =
            (props.run.clone(), props.commands.clone(), found.clone(), query.clone(), at.clone());
        Callback::from(move |event: KeyboardEvent| {
            match event.key().as_str() {
                "ArrowDown" => at.set((chosen + 1).min(found.len().saturating_sub(1))),
                "ArrowUp" => at.set(chosen.saturating_sub(1)),
                "Escape" => run.emit(Do::Palette(false)),
                "Enter" => {
                    run.emit(Do::Palette(false));
                    // On a slow machine the list may not have followed the last letters yet: what is typed counts.
                    let typed = input.cast::<HtmlInputElement>().map_or_else(|| query.to_string(), |i| i.value());
                    let chosen = match typed == *query {
                        true => found.get(chosen),
                        false => commands.iter().find(|c| matches(&c.name, &typed)),
                    };
                    if let Some(command) = chosen {
                        run.emit(command.what.clone());
                    }
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
                        let (run, what) = (props.run.clone(), c.what.clone());
                        let onclick = Callback::from(move |_: MouseEvent| { run.emit(Do::Palette(false)); run.emit(what.clone()); });
                        html! { <li id={format!("command-{i}")} role="option" aria-selected={(i == chosen).to_string()} {onclick}>{ &c.name }<small>{ &c.hint }</small></li> }
                    }) }
                </ul>
            </div>
        </div>
    }
}

/// Every word of the query occurs.
fn matches(name: &str, query: &str) -> bool {
    let name = name.to_lowercase();
    query.to_lowercase().split_whitespace().all(|word| name.contains(word))
}
