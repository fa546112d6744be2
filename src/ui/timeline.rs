//! The timeline: how time passes, what happened when, and the way back. Left of the thumb is the past; right of it, on this
//! branch, is what already happened after the moment shown: going on from here leaves that to its branch and forks.

use protocol::{Clock, Pace, Speed, Timeline as Run, ToWorker, Us};
use web_sys::{Element, HtmlSelectElement};
use yew::prelude::*;

use crate::app::Do;
use crate::format;
use crate::icons;
use crate::inspector::emit;
use crate::shared::Shared;

#[derive(Properties, PartialEq)]
pub struct TimelineProps {
    pub clock: Shared<Clock>,
    pub timeline: Shared<Run>,
    pub run: Callback<Do>,
}

/// The bar at the bottom.
#[function_component]
pub fn Timeline(props: &TimelineProps) -> Html {
    let clock = &props.clock;
    let pace = |pace: Pace| emit(&props.run, Do::Send(ToWorker::Pace(pace)));
    let onspeed = {
        let run = props.run.clone();
        Callback::from(move |event: Event| {
            let select: HtmlSelectElement = event.target_unchecked_into();
            if let Some(speed) = Speed::MENU.get(select.selected_index().max(0) as usize) {
                run.emit(Do::Send(ToWorker::Pace(Pace::Speed(*speed))));
            }
        })
    };
    let (icon, title, next) =
        if clock.paused { ("play", "Play (space)", Pace::Play) } else { ("pause", "Pause (space)", Pace::Pause) };
    html! {
        <footer class="time" aria-label="Time">
            <div class="controls">
                <button class="btn icon primary" {title} aria-label={title} onclick={pace(next)}>{ icons::icon(icon) }</button>
                <button class="btn icon step" title="One event (.)" aria-label="Step one event" onclick={pace(Pace::Step)}>{ icons::icon("step") }</button>
                <select class="select" aria-label="Speed" title={actual(clock)} onchange={onspeed}>
                    { for Speed::MENU.iter().map(|s| html! { <option selected={*s == clock.speed.0}>{ s.label() }</option> }) }
                </select>
            </div>
            <Scrub clock={props.clock.clone()} timeline={props.timeline.clone()} run={props.run.clone()} />
            <div class="when">
                <b title="Virtual time, UTC">{ if clock.now_us > 0 { format::clock(clock.now_us) } else { "–".to_owned() } }</b>
                <span class="rev t-dim">{ format!(" rev {}", format::number(clock.revision)) }</span>
                <small>{ actual(clock) }{ branches(props) }</small>
            </div>
        </footer>
    }
}

/// `0.02×`, `paused`, `in the past`.
fn actual(clock: &Clock) -> String {
    if clock.past {
        return format!("{} before the end", format::span(clock.head_us - clock.now_us));
    }
    if clock.paused {
        return "paused".into();
    }
    let speed = clock.actual_milli as f64 / 1000.0;
    match clock.idle_until_us {
        Some(until) if until > clock.now_us => format!("idle for {}", format::span(until - clock.now_us)),
        _ if speed >= 10.0 => format!("{}×", format::number(speed.round() as u64)),
        _ => format!("{}×", (speed * 100.0).round() / 100.0),
    }
}

fn branches(props: &TimelineProps) -> Html {
    let timeline = &props.timeline;
    if timeline.branches.len() < 2 {
        return html! {};
    }
    let ids: Vec<u32> = timeline.branches.iter().map(|b| b.id).collect();
    let run = props.run.clone();
    let onchange = Callback::from(move |event: Event| {
        let select: HtmlSelectElement = event.target_unchecked_into();
        if let Some(branch) = ids.get(select.selected_index().max(0) as usize) {
            run.emit(Do::Send(ToWorker::SwitchBranch { branch: *branch }));
        }
    });
    html! {
        <select class="select" aria-label="Branch" {onchange}>
            { for timeline.branches.iter().map(|b| html! { <option selected={b.id == props.clock.branch}>{ &b.name }</option> }) }
        </select>
    }
}

/// The run's span; at least a second, so that the first moments don't jump.
fn range(clock: &Clock, timeline: &Run) -> (Us, Us) {
    let start = if timeline.start_us > 0 { timeline.start_us } else { clock.start_us };
    (start, clock.head_us.max(timeline.head_us).max(start + 1_000_000))
}

#[function_component]
fn Scrub(props: &TimelineProps) -> Html {
    let node = use_node_ref();
    let dragged = use_state_eq(|| None::<Us>);
    let hover = use_state_eq(|| None::<Us>);
    let (clock, timeline) = (&props.clock, &props.timeline);
    let (start, end) = range(clock, timeline);
    let at = move |event: &PointerEvent, node: &NodeRef| {
        let rect = node.cast::<Element>()?.get_bounding_client_rect();
        let share = ((f64::from(event.client_x()) - rect.left()) / rect.width().max(1.0)).clamp(0.0, 1.0);
        Some(start + (share * (end - start) as f64) as Us)
    };
    let seek = {
        let run = props.run.clone();
        move |to: Us| run.emit(Do::Send(if to >= end { ToWorker::SeekHead } else { ToWorker::Seek { at_us: to } }))
    };
    let onpointerdown = {
        let (node, dragged, seek) = (node.clone(), dragged.clone(), seek.clone());
        Callback::from(move |event: PointerEvent| {
            let (Some(to), Some(element)) = (at(&event, &node), node.cast::<Element>()) else { return };
            // Without capture the drag ends at the bar's border: acceptable.
            let _ = element.set_pointer_capture(event.pointer_id());
            dragged.set(Some(to));
            seek(to);
        })
    };
    let onpointermove = {
        let (node, dragged, hover, seek) = (node.clone(), dragged.clone(), hover.clone(), seek.clone());
        Callback::from(move |event: PointerEvent| {
            let to = at(&event, &node);
            hover.set(to);
            if let (Some(before), Some(to)) = (*dragged, to)
                && before != to
            {
                dragged.set(Some(to));
                seek(to);
            }
        })
    };
    let release = {
        let dragged = dragged.clone();
        Callback::from(move |_: PointerEvent| dragged.set(None))
    };
    let onpointerleave = {
        let hover = hover.clone();
        Callback::from(move |_: PointerEvent| hover.set(None))
    };
    let onkeydown = keys(clock.now_us, start, end, seek);
    let place = |us: Us| 100.0 * (us - start) as f64 / (end - start) as f64;
    let now = place((*dragged).unwrap_or(clock.now_us)).clamp(0.0, 100.0);
    let said = place(timeline.head_us.max(start)).clamp(0.0, 100.0);
    html! {
        <div class="scrub" ref={node} role="slider" tabindex="0" aria-label="Moment shown" aria-valuemin="0" aria-valuemax="100"
            aria-valuenow={format!("{now:.1}")} aria-valuetext={format::clock(clock.now_us)}
            {onpointerdown} {onpointermove} onpointerup={release.clone()} onpointercancel={release} {onpointerleave} {onkeydown}>
            <Bars timeline={timeline.clone()} width={said} />
            <div class="future-veil" style={format!("position: absolute; left: {now}%; right: 0; top: 16px; bottom: 2px; background: var(--bg-raised); opacity: .62; pointer-events: none")}></div>
            <div class="base"><i style={format!("width: {now}%")}></i></div>
            <Marks timeline={timeline.clone()} end={end} run={props.run.clone()} />
            <div class="now" style={format!("left: {now}%")}></div>
            if let Some(us) = (*dragged).or(*hover) {
                <div class="ghost" style={format!("left: {}%", place(us).clamp(4.0, 96.0))}>{ format::clock(us) }</div>
            }
        </div>
    }
}

fn keys(now: Us, start: Us, end: Us, seek: impl Fn(Us) + 'static) -> Callback<KeyboardEvent> {
    Callback::from(move |event: KeyboardEvent| {
        let step = ((end - start) / 100).max(1_000);
        let to = match event.key().as_str() {
            "ArrowLeft" | "ArrowDown" => now - step,
            "ArrowRight" | "ArrowUp" => now + step,
            "PageDown" => now - 10 * step,
            "PageUp" => now + 10 * step,
            "Home" => start,
            "End" => end,
            _ => return,
        };
        event.prevent_default();
        event.stop_propagation();
        seek(to.clamp(start, end));
    })
}

#[derive(Properties, PartialEq)]
struct BarsProps {
    timeline: Shared<Run>,
    /// How much of the bar's width the slices fill, in percent.
    width: f64,
}

/// Messages per slice, as one path; heights by square root, so that a quiet watch is seen beside a rollout.
#[function_component]
fn Bars(props: &BarsProps) -> Html {
    let slices = &props.timeline.slices;
    let most = f64::from(slices.iter().copied().max().unwrap_or(0).max(1)).sqrt();
    let each = 1000.0 / slices.len().max(1) as f64;
    let gap = (each * 0.22).min(2.0);
    let mut d = String::new();
    for (i, count) in slices.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (f64::from(*count).sqrt() / most * 26.0).max(1.5);
        d += &format!("M{:.1} 26v{:.1}h{:.1}V26z", i as f64 * each, -height, each - gap);
    }
    html! { <svg viewBox="0 0 1000 26" preserveAspectRatio="none" style={format!("width: {}%", props.width)} aria-hidden="true"><path class="bars" {d} /></svg> }
}

#[derive(Properties, PartialEq)]
struct MarksProps {
    timeline: Shared<Run>,
    end: Us,
    run: Callback<Do>,
}

/// What the user did, and where branches left: for the pointer; with the keyboard one moves the slider that they lie on, or chooses
/// a branch from its list. Labels that would cover one another are left to their ticks.
#[function_component]
fn Marks(props: &MarksProps) -> Html {
    let timeline = &props.timeline;
    let (start, end) = (timeline.start_us, props.end);
    let place = |us: Us| (100.0 * (us - start) as f64 / (end - start).max(1) as f64).clamp(0.0, 100.0);
    // In percent of a bar of about 800 px.
    let mut free_from = -1.0_f64;
    let mut labelled = Vec::new();
    for mark in &timeline.marks {
        let left = place(mark.at_us);
        let wide = (f64::from(format::width(&mark.label, 11.0, false, false)).min(150.0) + 12.0) / 8.0;
        let shown = left >= free_from && left + wide <= 103.0;
        if shown {
            free_from = left + wide;
        }
        labelled.push((mark, left, shown));
    }
    html! {
        <>
            { for labelled.into_iter().map(|(mark, left, shown)| {
                let what = mark.message.map_or(Do::Send(ToWorker::Seek { at_us: mark.at_us }), |id| Do::Inspect(Some(protocol::Thing::Message { id })));
                let style = format!("left: {left}%");
                let title = format!("{} · {}", mark.label, format::clock(mark.at_us));
                html! {
                    <>
                        <i class="tick" style={style.clone()}></i>
                        if shown {
                            <span class="mark" {style} {title} onpointerdown={|e: PointerEvent| e.stop_propagation()} onclick={emit(&props.run, what)}>{ &mark.label }</span>
                        }
                    </>
                }
            }) }
            { for timeline.branches.iter().filter_map(|b| b.forked_from.filter(|(from, _)| *from == timeline.branch).map(|(_, at)| (b, at))).map(|(b, at)| html! {
                <span class="fork" style={format!("left: {}%", place(at))} title={format!("{} left here", b.name)}
                    onpointerdown={|e: PointerEvent| e.stop_propagation()} onclick={emit(&props.run, Do::Send(ToWorker::SwitchBranch { branch: b.id }))}>{ icons::icon("fork") }</span>
            }) }
        </>
    }
}
