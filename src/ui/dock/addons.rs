//! The add-ons pane: install with one press, ask Prometheus (a table and a plot), search the log store.

use js_sys::{Array, JSON, Object, Reflect};
use protocol::ClusterInfo;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::app::{Answers, Do, Question};
use crate::inspector::emit;
use crate::shared::Shared;

/// Name, what it gives.
const ADDONS: [(&str, &str); 4] = [
    ("metrics-server", "kubectl top, and what the horizontal pod autoscaler acts on"),
    ("prometheus", "scrapes components, nodes and pods; answers PromQL"),
    ("fluentd", "collects the logs of all nodes into a store that can be searched"),
    ("local-path", "makes volumes for claims: a directory on the node"),
];
/// Queries to begin with.
const QUERIES: [&str; 5] = [
    "up",
    "sum by (verb) (rate(apiserver_request_total[1m]))",
    "histogram_quantile(0.99, sum by (le) (rate(apiserver_request_duration_seconds_bucket[5m])))",
    "sum by (pod) (rate(container_cpu_usage_seconds_total[1m]))",
    "sum by (namespace) (container_memory_working_set_bytes)",
];
/// Series that are drawn and rows that are shown.
const LINES: usize = 8;
const ROWS: usize = 100;

/// Which part is shown.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Install,
    Metrics,
    Logs,
}

#[derive(Properties, PartialEq)]
pub struct AddonsProps {
    pub answers: Shared<Answers>,
    pub cluster: Shared<ClusterInfo>,
    pub run: Callback<Do>,
}

/// The pane.
#[function_component]
pub fn Addons(props: &AddonsProps) -> Html {
    let part = use_state(|| Part::Install);
    let tab = |p: Part, title: &'static str| {
        let set = part.clone();
        html! { <button role="tab" aria-selected={(*part == p).to_string()} onclick={Callback::from(move |_: MouseEvent| set.set(p))}>{ title }</button> }
    };
    html! {
        <div class="addons" role="region" aria-label="Add-ons">
            <div class="tabs" role="tablist" aria-label="Add-ons">
                { tab(Part::Install, "Install") }{ tab(Part::Metrics, "Metrics") }{ tab(Part::Logs, "Logs") }
            </div>
            { match *part {
                Part::Install => install(props),
                Part::Metrics => html! { <Metrics answers={props.answers.clone()} run={props.run.clone()} /> },
                Part::Logs => html! { <Logs answers={props.answers.clone()} run={props.run.clone()} /> },
            } }
        </div>
    }
}

fn install(props: &AddonsProps) -> Html {
    let busy =
        |name: &str| props.answers.open.iter().any(|q| matches!(q, Question::Install(n) | Question::Remove(n) if *n == name));
    let ask = |question: Question| emit(&props.run, Do::Addons(question));
    let card = |(name, what): &(&'static str, &'static str)| {
        let installed = props.cluster.addons.iter().find(|a| a.name == *name);
        let (word, look, question) = match installed {
            Some(_) => ("Remove", None, Question::Remove(name)),
            None => ("Install", Some("primary"), Question::Install(name)),
        };
        html! {
            <li key={*name}>
                <div><b>{ *name }</b><p class="t-dim">{ *what }</p></div>
                if let Some(a) = installed { <span class="t-dim">{ format!("installed · {} of {} ready", a.ready, a.pods) }</span> }
                <button class={classes!("btn", "small", look)} disabled={busy(name)} aria-label={format!("{word} {name}")} onclick={ask(question)}>
                    { if busy(name) { "Working…" } else { word } }
                </button>
            </li>
        }
    };
    html! {
        <div class="scroll" tabindex="0" role="region" aria-label="What can be installed">
            <ul class="addon-list">{ for ADDONS.iter().map(card) }</ul>
            if let Some((name, said)) = &props.answers.applied {
                <pre class="said" aria-label={format!("What kubectl said of {name}")}>{ said }</pre>
            } else {
                <p class="loading">{ "Each is a manifest on the laptop: " }<code>{ "kubectl apply -f /addons/NAME.yaml" }</code>{ " does the same." }</p>
            }
        </div>
    }
}

#[derive(Properties, PartialEq)]
struct BoxProps {
    label: &'static str,
    start: &'static str,
    #[prop_or_default]
    examples: &'static [&'static str],
    busy: bool,
    ask: Callback<String>,
}

/// A line to type a question into.
#[function_component]
fn QueryBox(props: &BoxProps) -> Html {
    let text = use_state(|| props.start.to_string());
    let oninput = {
        let text = text.clone();
        Callback::from(move |event: InputEvent| {
            let input: HtmlInputElement = event.target_unchecked_into();
            text.set(input.value());
        })
    };
    let onsubmit = {
        let (text, ask) = (text.clone(), props.ask.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            ask.emit((*text).clone());
        })
    };
    let list = format!("{}-examples", props.label.replace(' ', "-"));
    html! {
        <form class="ask-line" {onsubmit}>
            <input class="mono" aria-label={props.label} placeholder={props.label} value={(*text).clone()} list={list.clone()} spellcheck="false" autocomplete="off" {oninput} />
            <datalist id={list}>{ for props.examples.iter().map(|e| html! { <option value={*e} /> }) }</datalist>
            <button class="btn small primary" type="submit" disabled={props.busy}>{ if props.busy { "…" } else { "Run" } }</button>
        </form>
    }
}

/// Of a part that asks: not the cluster's, which changes often, while an answer is costly to show.
#[derive(Properties, PartialEq)]
struct AskProps {
    answers: Shared<Answers>,
    run: Callback<Do>,
}

#[function_component]
fn Metrics(props: &AskProps) -> Html {
    let run = props.run.clone();
    let ask = Callback::from(move |text: String| run.emit(Do::Addons(Question::Query(text))));
    let busy = props.answers.open.iter().any(|q| matches!(q, Question::Query(_)));
    html! {
        <>
            <QueryBox label="PromQL query" start="up" examples={&QUERIES[..]} {busy} {ask} />
            <div class="scroll" tabindex="0" role="region" aria-label="Answer of Prometheus">
                { match &props.answers.query {
                    None if busy => html! { <p class="loading">{ "Waiting for the answer: it comes when time flows." }</p> },
                    None => html! { <p class="loading">{ "Install prometheus, wait for its first scrapes (15 s), and ask." }</p> },
                    Some(Err(text)) => html! { <p class="wrong" role="alert">{ text }</p> },
                    Some(Ok((now, range))) => answer(now, range),
                } }
            </div>
        </>
    }
}

fn answer(now: &str, range: &str) -> Html {
    let Ok(now) = JSON::parse(now) else { return html! { <p class="wrong">{ "That was no JSON." }</p> } };
    if let Some(error) = text(&now, "error") {
        return html! { <p class="wrong" role="alert">{ error }</p> };
    }
    let data = get(&now, "data");
    let kind = text(&data, "resultType").unwrap_or_default();
    let rows: Vec<(String, String)> = match kind.as_str() {
        "scalar" | "string" => vec![(kind.clone(), value_of(&get(&data, "result")))],
        "matrix" => list(&get(&data, "result"))
            .iter()
            .map(|s| (labels(&s), format!("{} samples", list(&get(&s, "values")).length())))
            .collect(),
        _ => list(&get(&data, "result")).iter().map(|s| (labels(&s), value_of(&get(&s, "value")))).collect(),
    };
    let series = JSON::parse(range).map(|r| points(&r)).unwrap_or_default();
    html! {
        <>
            { plot(&series) }
            if rows.is_empty() {
                <p class="loading">{ "Empty query result." }</p>
            } else {
                <table class="things">
                    <thead><tr><th>{ "Series" }</th><th>{ "Value" }</th></tr></thead>
                    <tbody>{ for rows.iter().take(ROWS).map(|(labels, value)| html! {
                        <tr><td class="series">{ swatch(series.iter().position(|s| s.0 == *labels).filter(|n| *n < LINES)) }{ labels }</td><td>{ value }</td></tr>
                    }) }</tbody>
                </table>
            }
            if rows.len() > ROWS { <p class="loading">{ format!("{} more series", rows.len() - ROWS) }</p> }
        </>
    }
}

fn get(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &name.into()).unwrap_or(JsValue::UNDEFINED)
}
fn text(of: &JsValue, name: &str) -> Option<String> {
    get(of, name).as_string()
}
fn list(of: &JsValue) -> Array {
    of.dyn_ref::<Array>().cloned().unwrap_or_default()
}

/// `[time, "value"]`
fn value_of(point: &JsValue) -> String {
    list(point).get(1).as_string().unwrap_or_default()
}

/// `up{job="x"}`
fn labels(series: &JsValue) -> String {
    let metric = get(series, "metric");
    let Some(object) = metric.dyn_ref::<Object>() else { return String::new() };
    let mut name = String::new();
    let mut rest = Vec::new();
    for pair in Object::entries(object).iter() {
        let pair = list(&pair);
        let (k, v) = (pair.get(0).as_string().unwrap_or_default(), pair.get(1).as_string().unwrap_or_default());
        if k == "__name__" { name = v } else { rest.push(format!("{k}=\"{v}\"")) }
    }
    format!("{name}{{{}}}", rest.join(", "))
}

/// Of a range: name and points (seconds, value) of each series.
fn points(range: &JsValue) -> Vec<(String, Vec<(f64, f64)>)> {
    let of = |s: JsValue| {
        let points = list(&get(&s, "values"));
        let one = |p: JsValue| Some((list(&p).get(0).as_f64()?, value_of(&p).parse::<f64>().ok().filter(|v| v.is_finite())?));
        (labels(&s), points.iter().filter_map(one).collect())
    };
    list(&get(&get(range, "data"), "result")).iter().map(of).collect()
}

/// The mark by which a row finds its line: a colour and a number.
fn swatch(line: Option<usize>) -> Html {
    line.map(|n| html! { <span class={format!("swatch s{n}")} aria-hidden="true">{ n + 1 }</span> }).unwrap_or_default()
}

fn plot(series: &[(String, Vec<(f64, f64)>)]) -> Html {
    const W: f64 = 600.0;
    const H: f64 = 120.0;
    let drawn = &series[..series.len().min(LINES)];
    let all = || drawn.iter().flat_map(|(_, p)| p.iter());
    if all().count() < 2 {
        return Html::default();
    }
    let fold = |f: fn(f64, f64) -> f64, start: f64, of: fn(&(f64, f64)) -> f64| all().map(of).fold(start, f);
    let (t0, t1) = (fold(f64::min, f64::INFINITY, |p| p.0), fold(f64::max, f64::NEG_INFINITY, |p| p.0));
    let (low, high) = (fold(f64::min, f64::INFINITY, |p| p.1).min(0.0), fold(f64::max, f64::NEG_INFINITY, |p| p.1));
    let high = if high <= low { low + 1.0 } else { high };
    let x = |t: f64| if t1 > t0 { (t - t0) / (t1 - t0) * W } else { W };
    let y = |v: f64| H - (v - low) / (high - low) * H;
    let path = |points: &[(f64, f64)]| -> String { points.iter().map(|(t, v)| format!("{:.1},{:.1} ", x(*t), y(*v))).collect() };
    let minutes = ((t1 - t0) / 60.0).round();
    let words = format!("{} series over {minutes} minutes, from {low} to {high}", drawn.len());
    html! {
        <figure class="plot">
            <svg viewBox={format!("-4 -6 {} {}", W + 8.0, H + 12.0)} preserveAspectRatio="none" role="img" aria-label={words}>
                { for [0.0, 0.5, 1.0].iter().map(|part| html! { <line class="grid" x1="0" x2={W.to_string()} y1={(H * part).to_string()} y2={(H * part).to_string()} /> }) }
                { for drawn.iter().enumerate().map(|(n, (_, p))| html! { <polyline class={format!("line s{n}")} points={path(p)} /> }) }
            </svg>
            <figcaption><span>{ short(high) }</span><span>{ format!("last {minutes} min") }</span><span>{ short(low) }</span></figcaption>
        </figure>
    }
}

/// `12.3M`, for the axis.
fn short(value: f64) -> String {
    let size = value.abs();
    for (limit, unit) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if size >= limit {
            return format!("{:.1}{unit}", value / limit);
        }
    }
    if size == 0.0 || size >= 0.01 { format!("{value:.2}") } else { format!("{value:.1e}") }
}

#[function_component]
fn Logs(props: &AskProps) -> Html {
    let run = props.run.clone();
    let ask = Callback::from(move |text: String| run.emit(Do::Addons(Question::Search(text))));
    let busy = props.answers.open.iter().any(|q| matches!(q, Question::Search(_)));
    html! {
        <>
            <QueryBox label="Search the logs" start="namespace:default" examples={&["namespace:kube-system error", "stream:stderr", "pod:NAME word -other"][..]} {busy} {ask} />
            <div class="scroll" tabindex="0" role="region" aria-label="Found lines">
                { match &props.answers.search {
                    None if busy => html! { <p class="loading">{ "Waiting for the answer: it comes when time flows." }</p> },
                    None => html! { <p class="loading">{ "Install fluentd and search by words and by " }<code>{ "namespace: pod: container: node: stream:" }</code>{ " or a label." }</p> },
                    Some(Err(text)) => html! { <p class="wrong" role="alert">{ text }</p> },
                    Some(Ok(found)) => lines(found),
                } }
            </div>
        </>
    }
}

fn lines(found: &str) -> Html {
    let Ok(found) = JSON::parse(found) else { return html! { <p class="wrong">{ "That was no JSON." }</p> } };
    if let Some(error) = text(&found, "error") {
        return html! { <p class="wrong" role="alert">{ error }</p> };
    }
    let total = get(&found, "total").as_f64().unwrap_or(0.0);
    let records = list(&get(&found, "records"));
    let row = |r: JsValue| {
        let of = get(&r, "kubernetes");
        let time = text(&r, "time").unwrap_or_default();
        let place = format!("{}/{}", text(&of, "namespace_name").unwrap_or_default(), text(&of, "pod_name").unwrap_or_default());
        html! { <tr><td>{ time.get(11..19).unwrap_or("").to_string() }</td><td>{ place }</td><td class="msg mono">{ text(&r, "log").unwrap_or_default() }</td></tr> }
    };
    html! {
        <>
            <p class="loading">{ format!("{total} found, the newest {} shown", records.length()) }</p>
            <table class="things">
                <thead><tr><th>{ "Time" }</th><th>{ "Pod" }</th><th>{ "Line" }</th></tr></thead>
                <tbody>{ for records.iter().map(row) }</tbody>
            </table>
        </>
    }
}
