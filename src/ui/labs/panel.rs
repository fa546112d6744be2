//! The panel at the left: the step's text, what has to hold, what is still missing, hints, and the way on.

use protocol::{Ghost, LabCheck, LabCommand, LabPhase, LabState, LabStepState, LabText};
use web_sys::{HtmlInputElement, HtmlSelectElement};
use yew::prelude::*;

use super::{LabDo, text};
use crate::app::Do;
use crate::icons;
use crate::js;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct LabProps {
    pub text: Option<Shared<LabText>>,
    pub state: Option<Shared<LabState>>,
    /// A step whose text is looked at instead of the one being done.
    pub look: Option<u32>,
    /// Why the files could not be had.
    pub error: Option<String>,
    pub run: Callback<Do>,
}

/// The panel.
#[function_component]
pub fn LabPanel(props: &LabProps) -> Html {
    let body = use_body(props.state.as_ref().map_or(0, |s| s.step), props.look);
    let (Some(words), Some(state)) = (&props.text, &props.state) else { return without_text(props) };
    let at = props.look.unwrap_or(state.step).min(words.steps.len().saturating_sub(1) as u32);
    let here = at == state.step;
    let finished = state.phase == LabPhase::Finished;
    let step = words.steps.get(at as usize);
    html! {
        <section class={classes!("lab", words.tour.then_some("tour"))} aria-label={format!("Lab: {}", words.title)}>
            { head(props, &words.title, Some(words)) }
            { steps(props, words, state, at) }
            <div class="lab-body" ref={body} tabindex="0">
                <div class="lab-text" lang={language(words)}>
                    if at == 0 {
                        { text::blocks(&words.intro, &props.run) }
                    }
                    { for words.warnings.iter().map(|w| html! { <p class="lab-warning">{ w }</p> }) }
                    if let Some(step) = step {
                        <h2>{ format!("{}. {}", at + 1, step.title) }</h2>
                        { text::blocks(&step.blocks, &props.run) }
                    }
                </div>
                if here {
                    { progress(props, state) }
                } else {
                    <p class="note">{ "You are looking at another step." }<button class="link" onclick={emit(props, LabDo::Look(None))}>{ " Back to yours" }</button></p>
                }
                if finished && here {
                    <div class="lab-outro" lang={language(words)}>{ text::blocks(&words.outro, &props.run) }</div>
                }
            </div>
            { foot(props, words, state) }
        </section>
    }
}

/// The body begins at its top when another step is shown.
#[hook]
fn use_body(step: u32, look: Option<u32>) -> NodeRef {
    let node = use_node_ref();
    let at = node.clone();
    use_effect_with((step, look), move |_| {
        if let Some(element) = at.cast::<web_sys::Element>() {
            element.set_scroll_top(0);
        }
    });
    node
}

fn without_text(props: &LabProps) -> Html {
    let broken = props.state.as_ref().filter(|s| s.phase == LabPhase::Broken).map(|s| s.note.clone());
    let error = props.error.clone().or(broken);
    html! {
        <section class="lab" aria-label="Lab">
            { head(props, "Lab", None) }
            <div class="lab-body">
                if let Some(error) = error {
                    <p class="lab-warning">{ "This lab can't be opened:" }</p>
                    <pre tabindex="0">{ error }</pre>
                } else {
                    <p class="note" role="status">{ "Fetching the lab…" }</p>
                }
            </div>
        </section>
    }
}

fn head(props: &LabProps, title: &str, words: Option<&LabText>) -> Html {
    html! {
        <header>
            <b lang={words.and_then(language)}>{ title }</b>
            { words.map(|words| languages(props, words)).unwrap_or_default() }
            <button class="btn small ghost" title="All labs" onclick={emit(props, LabDo::Catalogue(true))}>{ "All labs" }</button>
            <button class="btn icon small ghost" title="Leave the lab" aria-label="Leave the lab" onclick={emit(props, LabDo::Leave)}>{ icons::icon("close") }</button>
        </header>
    }
}

/// For a screen reader, which else would read it as English.
fn language(words: &LabText) -> Option<String> {
    (!words.language.is_empty()).then(|| words.language.clone())
}

/// The languages that the lab is in, by their own names; nothing to choose if there is one.
fn languages(props: &LabProps, words: &LabText) -> Html {
    if words.languages.len() < 2 {
        return html! {};
    }
    let (run, there) = (props.run.clone(), words.languages.clone());
    let onchange = Callback::from(move |event: Event| {
        let select: HtmlSelectElement = event.target_unchecked_into();
        if let Some(language) = there.get(select.selected_index().max(0) as usize) {
            run.emit(Do::Lab(LabDo::Language(language.clone())));
        }
    });
    // A solution under way gives its answers in the language in which it began.
    let disabled = props.state.as_ref().is_some_and(|s| s.phase == LabPhase::Solving);
    let option =
        |l: &String| html! { <option lang={l.clone()} selected={*l == words.language}>{ js::language_name(l) }</option> };
    html! {
        <select class="select" title="Language of the lab's text" aria-label="Language of the lab's text" {disabled} {onchange}>
            { for words.languages.iter().map(option) }
        </select>
    }
}

fn steps(props: &LabProps, words: &LabText, state: &LabState, at: u32) -> Html {
    let entry = |i: usize, title: &str| {
        let done = state.steps.get(i).copied().unwrap_or_default();
        let (class, word) = match done {
            LabStepState::Passed => ("passed", "passed"),
            LabStepState::Solved => ("solved", "solved for you"),
            LabStepState::Now => ("now", "now"),
            LabStepState::Todo => ("todo", "to do"),
        };
        let current = (i as u32 == at).then_some("step");
        let open = i as u32 <= state.step;
        html! {
            <li><button class={class} aria-current={current} disabled={!open} title={format!("{title} ({word})")} aria-label={format!("Step {}: {title}, {word}", i + 1)}
                onclick={emit(props, LabDo::Look((i as u32 != state.step).then_some(i as u32)))}>{ i + 1 }</button></li>
        }
    };
    html! { <ol class="lab-steps">{ for words.steps.iter().enumerate().map(|(i, s)| entry(i, &s.title)) }</ol> }
}

/// What has to hold, how it stands, and what is missing.
fn progress(props: &LabProps, state: &LabState) -> Html {
    if state.phase == LabPhase::SettingUp {
        return html! { <div class="lab-setup" role="status"><b>{ "Preparing" }</b><span>{ &state.note }</span></div> };
    }
    if state.phase == LabPhase::Broken {
        return html! { <p class="lab-warning" role="alert">{ format!("The lab could not be prepared: {}", state.note) }</p> };
    }
    if state.checks.is_empty() {
        return html! {};
    }
    html! {
        <>
            <h3>{ "Done when" }</h3>
            <ul class="checks" aria-live="polite">{ for state.checks.iter().enumerate().map(|(i, c)| check(props, i, c)) }</ul>
            if let Some(wrong) = &state.wrong {
                <p class="lab-wrong" role="status"><b>{ "Another way. " }</b>{ wrong }</p>
            }
            if !state.ghosts.is_empty() {
                <h3>{ "Still missing" }</h3>
                <ul class="ghosts">{ for state.ghosts.iter().map(ghost) }</ul>
            }
            { for state.hints.iter().enumerate().map(|(i, h)| html! { <div class="lab-hint" key={i}><b>{ format!("Hint {}", i + 1) }</b>{ text::blocks(h, &props.run) }</div> }) }
            if state.phase == LabPhase::Solving {
                <p class="lab-setup" role="status"><b>{ "Solving" }</b><span>{ &state.note }</span></p>
            } else if !state.note.is_empty() {
                <p class="lab-warning" role="status">{ &state.note }</p>
            }
        </>
    }
}

fn ghost(g: &Ghost) -> Html {
    let place = if g.namespace.is_empty() { String::new() } else { format!(" in {}", g.namespace) };
    html! {
        <li>
            <b>{ format!("{} {}{place}", g.kind, g.name) }</b>
            if g.lacks.is_empty() {
                <small>{ "not there" }</small>
            } else {
                { for g.lacks.iter().map(|l| html! { <small>{ l }</small> }) }
            }
        </li>
    }
}

fn check(props: &LabProps, i: usize, c: &LabCheck) -> Html {
    let mark = if c.holds { icons::glyph(protocol::Glyph::Done) } else { icons::glyph(protocol::Glyph::Pending) };
    html! {
        <li key={i} class={if c.holds { "holds" } else { "open" }}>
            { mark }
            <div>
                <span>{ marked(&c.want) }</span>
                if let Some(question) = &c.question {
                    if !c.holds || !question.options.is_empty() {
                        <Question key={format!("{i}{}", c.want)} number={i as u32} want={c.want.clone()} holds={c.holds} options={question.options.clone()} answered={question.answered.clone()} run={props.run.clone()} />
                    }
                }
                if !c.message.is_empty() {
                    <small>{ marked(&c.message) }</small>
                }
            </div>
        </li>
    }
}

/// Backticks in a line are code.
fn marked(line: &str) -> Html {
    html! { <>{ for line.split('`').enumerate().map(|(i, part)| if i % 2 == 1 { html! { <code>{ part }</code> } } else { html! { { part } } }) }</> }
}

#[derive(Properties, PartialEq)]
struct QuestionProps {
    number: u32,
    want: String,
    holds: bool,
    options: Vec<String>,
    answered: String,
    run: Callback<Do>,
}

/// Options to choose from, or a line to type in.
#[function_component]
fn Question(props: &QuestionProps) -> Html {
    let input = use_node_ref();
    let answer = |text: String| {
        let run = props.run.clone();
        let command = LabCommand::Answer { check: props.number, text };
        Callback::from(move |_: MouseEvent| run.emit(Do::Lab(LabDo::Tell(command.clone()))))
    };
    if !props.options.is_empty() {
        return html! {
            <div class="options" role="group" aria-label={props.want.clone()}>
                { for props.options.iter().map(|o| {
                    let chosen = *o == props.answered;
                    let class = classes!("btn", "small", (chosen && props.holds).then_some("right"), (chosen && !props.holds).then_some("not-right"));
                    html! { <button {class} aria-pressed={chosen.to_string()} disabled={props.holds && !chosen} onclick={answer(o.clone())}>{ o }</button> }
                }) }
            </div>
        };
    }
    let onsubmit = {
        let (run, input, check) = (props.run.clone(), input.clone(), props.number);
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            if let Some(text) = input.cast::<HtmlInputElement>().map(|i| i.value()).filter(|t| !t.trim().is_empty()) {
                run.emit(Do::Lab(LabDo::Tell(LabCommand::Answer { check, text })));
            }
        })
    };
    html! {
        <form class="typed" {onsubmit}>
            <input ref={input} type="text" aria-label={props.want.clone()} autocomplete="off" spellcheck="false" maxlength="200" />
            <button class="btn small" type="submit">{ "Answer" }</button>
        </form>
    }
}

fn foot(props: &LabProps, words: &LabText, state: &LabState) -> Html {
    let tell = |c: LabCommand| emit(props, LabDo::Tell(c));
    let step = words.steps.get(state.step as usize);
    let hints = step.map_or(0, |s| s.hints);
    let shown = state.hints.len() as u32;
    let playing = state.phase == LabPhase::Playing;
    html! {
        <footer>
            if words.tour && state.checks.is_empty() {
                <b class="t-dim">{ format!("{} of {}", state.step + 1, words.steps.len()) }</b>
            } else if state.phase == LabPhase::Passed {
                <b class="t-ok" role="status">{ "Passed" }</b>
            } else if state.phase == LabPhase::Finished {
                <b class="t-ok" role="status">{ "All steps passed" }</b>
            } else {
                if hints > 0 {
                    <button class="btn small" disabled={!playing || shown >= hints} onclick={tell(LabCommand::Hint)}>{ format!("Hint {}/{hints}", (shown + 1).min(hints)) }</button>
                }
                if step.is_some_and(|s| s.solvable) {
                    <button class="btn small" disabled={!playing} title="Does what the solution does, on your laptop" onclick={tell(LabCommand::Solve)}>{ "Solve this step" }</button>
                }
            }
            if !words.tour {
                <button class="btn small" title="Back to the moment at which this step began; what happened since stays on its own branch"
                    disabled={matches!(state.phase, LabPhase::SettingUp | LabPhase::Broken | LabPhase::Solving)} onclick={tell(LabCommand::Reset)}>{ "Reset this step" }</button>
            }
            if state.phase == LabPhase::Passed {
                <button class="btn small primary" onclick={tell(LabCommand::Next)}>{ if words.tour { "Next" } else { "Next step" } }</button>
            } else if state.phase == LabPhase::Finished {
                <button class="btn small primary" onclick={emit(props, LabDo::Catalogue(true))}>{ "Next lab" }</button>
            }
        </footer>
    }
}

fn emit(props: &LabProps, what: LabDo) -> Callback<MouseEvent> {
    let run = props.run.clone();
    Callback::from(move |_: MouseEvent| run.emit(Do::Lab(what.clone())))
}
