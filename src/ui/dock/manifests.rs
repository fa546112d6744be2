//! The manifest editor: CodeMirror 6, loaded when it is first shown; a plain text area if it can't be loaded. Several
//! buffers; each keeps its text whatever becomes of an apply, of the worker, or of the cluster.

use protocol::{Applied, AppliedDocument, Outcome, ToWorker};
use wasm_bindgen::prelude::*;
use web_sys::{HtmlElement, HtmlSelectElement, HtmlTextAreaElement};
use yew::prelude::*;

use super::{EXAMPLES, EditRequest};
use crate::app::Do;
use crate::icons;
use crate::inspector::emit;
use crate::js;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct ManifestsProps {
    pub hidden: bool,
    pub ready: bool,
    pub applied: Option<Shared<Applied>>,
    pub edit: Option<Shared<EditRequest>>,
    pub insert: Option<Shared<&'static str>>,
    pub run: Callback<Do>,
}

/// A text being edited.
struct Buffer {
    id: u32,
    name: String,
    node: NodeRef,
    area: NodeRef,
    /// The text to begin with; the editor has the current one.
    text: String,
    handle: Option<(JsValue, Closure<dyn FnMut()>, Closure<dyn FnMut()>)>,
    /// `kubectl edit` waits for it.
    edit: Option<u32>,
}

enum Module {
    Asleep,
    Loading,
    Loaded(JsValue),
    Failed(String),
}

pub enum Msg {
    Loaded(Result<JsValue, String>),
    Select(u32),
    New,
    Close(u32),
    Apply { dry_run: bool },
    Changed,
    GoTo(u32, u32),
}

pub struct Manifests {
    buffers: Vec<Buffer>,
    active: u32,
    next: u32,
    module: Module,
    /// Which buffer the shown results are of.
    applied_from: Option<u32>,
    waiting: bool,
    results: Option<Shared<Applied>>,
}

impl Component for Manifests {
    type Message = Msg;
    type Properties = ManifestsProps;

    fn create(_: &Context<Self>) -> Self {
        let mut this = Manifests {
            buffers: Vec::new(),
            active: 0,
            next: 0,
            module: Module::Asleep,
            applied_from: None,
            waiting: false,
            results: None,
        };
        this.add(EXAMPLES[0].name.into(), EXAMPLES[0].text.into(), None);
        this
    }

    fn changed(&mut self, ctx: &Context<Self>, old: &ManifestsProps) -> bool {
        let props = ctx.props();
        if let Some(edit) = props.edit.as_ref().filter(|_| props.edit != old.edit) {
            self.add(edit.name.clone(), edit.text.clone(), Some(edit.buffer));
        }
        if let Some(name) = props.insert.as_ref().filter(|_| props.insert != old.insert) {
            self.open_example(name);
        }
        if props.applied != old.applied && self.applied_from.is_some() {
            self.results = props.applied.clone();
            self.waiting = self.results.as_ref().is_some_and(|r| !r.done);
            self.mark();
        }
        true
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Msg) -> bool {
        match msg {
            Msg::Loaded(Ok(module)) => self.module = Module::Loaded(module),
            Msg::Loaded(Err(error)) => self.module = Module::Failed(error),
            Msg::Select(id) => self.active = id,
            Msg::New => {
                let name = format!("manifest-{}.yaml", self.next);
                self.add(name, String::new(), None);
            }
            Msg::Close(id) => self.close(ctx, id, None),
            Msg::Apply { dry_run } => self.apply(ctx, dry_run),
            Msg::Changed => {
                let had = self.results.as_ref().is_some_and(|r| r.documents.iter().any(|d| d.outcome == Outcome::Failed));
                return had;
            }
            Msg::GoTo(_line, _column) => {
                self.mark();
                self.focus();
                return false;
            }
        }
        true
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let loading = matches!(self.module, Module::Asleep | Module::Loading);
        html! {
            <div style={if ctx.props().hidden { "display: none" } else { "display: contents" }}>
                // A list of its own: Yew goes by keys only where every sibling has one, and would make each editor's element anew
                // when a buffer comes or goes. The editor in it, with its text, would be gone.
                <>{ for self.buffers.iter().map(|b| html! {
                    <div class="editor" key={b.id} ref={b.node.clone()} hidden={b.id != self.active}>
                        if let Module::Failed(_) = &self.module {
                            <textarea ref={b.area.clone()} aria-label={b.name.clone()} spellcheck="false" value={b.text.clone()} onkeydown={plain_keys(ctx)} />
                        } else if loading && b.id == self.active {
                            <pre class="yaml loading">{ &b.text }</pre>
                        }
                    </div>
                }) }</>
                { self.results_view(ctx) }
                { self.bar(ctx) }
            </div>
        }
    }

    fn rendered(&mut self, ctx: &Context<Self>, _: bool) {
        if ctx.props().ready && matches!(self.module, Module::Asleep) {
            self.module = Module::Loading;
            ctx.link().send_future(async { Msg::Loaded(js::module("js/editor.js").await) });
        }
        self.open_active(ctx);
    }
}

/// Ctrl/⌘ + Enter in the plain text area.
fn plain_keys(ctx: &Context<Manifests>) -> Callback<KeyboardEvent> {
    ctx.link().batch_callback(|event: KeyboardEvent| {
        ((event.ctrl_key() || event.meta_key()) && event.key() == "Enter").then_some(Msg::Apply { dry_run: false })
    })
}

impl Manifests {
    fn add(&mut self, name: String, text: String, edit: Option<u32>) {
        let id = self.next;
        self.next += 1;
        self.buffers.push(Buffer { id, name, node: NodeRef::default(), area: NodeRef::default(), text, handle: None, edit });
        self.active = id;
    }

    fn current(&self) -> Option<&Buffer> {
        self.buffers.iter().find(|b| b.id == self.active)
    }

    /// An example in a buffer of its own; if it is open already, that one.
    fn open_example(&mut self, name: &str) {
        let Some(example) = EXAMPLES.iter().find(|e| e.name == name) else { return };
        match self.buffers.iter().find(|b| b.name == name && b.edit.is_none()) {
            Some(open) => self.active = open.id,
            None => self.add(example.name.into(), example.text.into(), None),
        }
    }

    /// Gives the active buffer its editor, once its element and the module are there.
    fn open_active(&mut self, ctx: &Context<Self>) {
        let Module::Loaded(module) = &self.module else { return };
        let active = self.active;
        let Some(buffer) = self.buffers.iter_mut().find(|b| b.id == active && b.handle.is_none()) else { return };
        let Some(element) = buffer.node.cast::<HtmlElement>() else { return };
        let (link, submit) = (ctx.link().clone(), ctx.link().clone());
        let on_change = Closure::<dyn FnMut()>::new(move || link.send_message(Msg::Changed));
        let on_submit = Closure::<dyn FnMut()>::new(move || submit.send_message(Msg::Apply { dry_run: false }));
        let args: [&JsValue; 5] =
            [&element, &buffer.text.as_str().into(), &buffer.name.as_str().into(), on_change.as_ref(), on_submit.as_ref()];
        match js::call(module, "open", &args) {
            Ok(handle) => buffer.handle = Some((handle, on_change, on_submit)),
            Err(error) => ctx.link().send_message(Msg::Loaded(Err(js::text_of(&error)))),
        }
    }

    fn text(&self, buffer: &Buffer) -> String {
        if let Some((handle, ..)) = &buffer.handle {
            return js::call(handle, "text", &[]).ok().and_then(|t| t.as_string()).unwrap_or_default();
        }
        buffer.area.cast::<HtmlTextAreaElement>().map_or_else(|| buffer.text.clone(), |area| area.value())
    }

    /// Applies the buffer, or gives it back to `kubectl edit`.
    fn apply(&mut self, ctx: &Context<Self>, dry_run: bool) {
        let Some(buffer) = self.current() else { return };
        let (id, name, text, edit) = (buffer.id, buffer.name.clone(), self.text(buffer), buffer.edit);
        if edit.is_some() {
            self.close(ctx, id, Some(text));
            return;
        }
        self.applied_from = Some(id);
        self.results = None;
        self.waiting = true;
        self.mark();
        ctx.props().run.emit(Do::Apply { name, text, dry_run });
    }

    fn close(&mut self, ctx: &Context<Self>, id: u32, saved: Option<String>) {
        let Some(index) = self.buffers.iter().position(|b| b.id == id) else { return };
        let buffer = self.buffers.remove(index);
        if let Some((handle, ..)) = &buffer.handle {
            // An editor that can't be destroyed goes with its element.
            let _ = js::call(handle, "close", &[]);
        }
        if let Some(edit) = buffer.edit {
            ctx.props().run.emit(Do::Send(ToWorker::BufferClosed { buffer: edit, saved }));
        }
        if self.buffers.is_empty() {
            self.add("manifest.yaml".into(), String::new(), None);
        } else if self.active == id {
            self.active = self.buffers[index.min(self.buffers.len() - 1)].id;
        }
    }

    /// Shows where documents failed, in the buffer that was applied.
    fn mark(&self) {
        let Some(buffer) = self.buffers.iter().find(|b| Some(b.id) == self.applied_from) else { return };
        let Some((handle, ..)) = &buffer.handle else { return };
        let marks = js_sys::Array::new();
        for d in self.results.iter().flat_map(|r| r.documents.iter()) {
            let severity = if d.outcome == Outcome::Failed { "error" } else { "warning" };
            let texts = d.warnings.iter().chain((d.outcome == Outcome::Failed).then_some(&d.text));
            for text in texts {
                marks.push(&js_sys::Array::of4(&d.line.into(), &d.column.into(), &severity.into(), &text.as_str().into()));
            }
        }
        // Marks on a text that has shrunk meanwhile are clamped by the editor.
        let _ = js::call(handle, "mark", &[&marks]);
    }

    fn focus(&self) {
        if let Some((handle, ..)) = self.current().and_then(|b| b.handle.as_ref()) {
            let _ = js::call(handle, "focus", &[]);
        }
    }

    fn results_view(&self, ctx: &Context<Self>) -> Html {
        let Some(results) = self.results.as_ref().filter(|_| self.applied_from == Some(self.active)) else { return html! {} };
        if !results.documents.iter().any(|d| d.outcome == Outcome::Failed || !d.warnings.is_empty())
            && results.documents.len() < 2
        {
            return html! {};
        }
        html! { <ol class="results" aria-label="What became of it" aria-live="polite">{ for results.documents.iter().take(200).map(|d| document(ctx, d)) }</ol> }
    }

    fn bar(&self, ctx: &Context<Self>) -> Html {
        let edit = self.current().is_some_and(|b| b.edit.is_some());
        let active = self.active;
        let onbuffer = ctx.link().batch_callback({
            let ids: Vec<u32> = self.buffers.iter().map(|b| b.id).collect();
            move |event: Event| {
                let select: HtmlSelectElement = event.target_unchecked_into();
                ids.get(select.selected_index().max(0) as usize).map(|id| Msg::Select(*id))
            }
        });
        html! {
            <div class="edit-bar">
                <select class="select" aria-label="Buffer" onchange={onbuffer}>
                    { for self.buffers.iter().map(|b| html! { <option key={b.id} selected={b.id == active}>{ &b.name }</option> }) }
                </select>
                <button class="btn icon small ghost" title="New buffer" aria-label="New buffer" onclick={ctx.link().callback(|_| Msg::New)}>{ icons::icon("plus") }</button>
                <button class="btn icon small ghost" title="Close this buffer" aria-label="Close this buffer" onclick={ctx.link().callback(move |_| Msg::Close(active))}>{ icons::icon("close") }</button>
                <span class="result" role="status">{ self.summary() }</span>
                if !edit {
                    <button class="btn wide" title="kubectl apply --dry-run=server" onclick={ctx.link().callback(|_| Msg::Apply { dry_run: true })}>{ "Check" }</button>
                }
                <button class="btn primary" title="Ctrl or ⌘ + Enter" onclick={ctx.link().callback(|_| Msg::Apply { dry_run: false })}>{ if edit { "Save" } else { "Apply" } }</button>
            </div>
        }
    }

    fn summary(&self) -> String {
        if let Module::Failed(error) = &self.module {
            return format!("The full editor could not be loaded ({error}); this plain one works too.");
        }
        if self.applied_from != Some(self.active) {
            return String::new();
        }
        let Some(results) = &self.results else { return if self.waiting { "Applying…".into() } else { String::new() } };
        let count = |outcome| results.documents.iter().filter(|d| d.outcome == outcome).count();
        let parts = [
            (Outcome::Created, "created"),
            (Outcome::Configured, "configured"),
            (Outcome::Unchanged, "unchanged"),
            (Outcome::Failed, "failed"),
        ];
        let said: Vec<String> = parts.iter().filter(|p| count(p.0) > 0).map(|p| format!("{} {}", count(p.0), p.1)).collect();
        said.join(" · ")
    }
}

fn document(ctx: &Context<Manifests>, d: &AppliedDocument) -> Html {
    let failed = d.outcome == Outcome::Failed;
    let at = if d.column > 0 { format!("{}:{} ", d.line, d.column) } else { format!("{} ", d.line) };
    let (line, column) = (d.line, d.column);
    let onclick = match (&d.thing, failed) {
        (Some(thing), false) => emit(&ctx.props().run, Do::Inspect(Some(thing.clone()))),
        _ => ctx.link().callback(move |_| Msg::GoTo(line, column)),
    };
    html! {
        <li>
            <button {onclick}><span class="at">{ at }</span><span class={if failed { "t-bad" } else { "t-ok" }}>{ &d.text }</span></button>
            { for d.warnings.iter().map(|w| html! { <div class="t-wait">{ format!("Warning: {w}") }</div> }) }
        </li>
    }
}
