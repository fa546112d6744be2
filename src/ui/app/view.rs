//! The page's arrangement. Sizes and places are the style sheets'; here is only what is there.

use protocol::*;
use yew::prelude::*;

use super::{App, Do, Sheet};
use crate::dock::Dock;
use crate::format;
use crate::header::{Header, Nav};
use crate::icons;
use crate::inspector::{Inspector, emit};
use crate::list::List;
use crate::stage::Stage;
use crate::timeline::Timeline;

impl App {
    /// Header, stage, panels, time.
    pub(super) fn page(&self, _: &Context<Self>) -> Html {
        let sheet = match self.sheet {
            Sheet::None => None,
            Sheet::Dock => Some("sheet-dock"),
            Sheet::Inspector => Some("sheet-inspector"),
            Sheet::Lab => Some("sheet-lab"),
        };
        let lab = self.desk.shown();
        let class = classes!("page", sheet, (!self.aside).then_some("no-aside"), lab.then_some("with-lab"));
        let style = self.dock_px.map(|px| format!("--dock-now: {px}px"));
        let run = &self.run;
        html! {
            <div {class} {style}>
                <Header cluster={self.seen.cluster.clone()} lens={self.lens} theme={self.theme} aside={self.aside} run={run.clone()} />
                <Nav sheet={self.sheet} pane={self.pane} list={self.list} {lab} run={run.clone()} />
                if lab {
                    <crate::labs::LabPanel text={self.seen.lab_text.clone()} state={self.seen.lab.clone()} look={self.desk.look} error={self.desk.error.clone()} run={run.clone()} />
                }
                { self.stage_view() }
                <Inspector asked={self.asked.clone()} tab={self.tab} seen={self.seen.inspector.clone()} cluster={self.seen.cluster.clone()}
                    stats={self.seen.stats.clone()} clock={self.asked.is_none().then(|| self.seen.clock.clone())} steps={self.dots.steps()}
                    run={run.clone()} />
                <Dock ready={self.seen.ready} pane={self.pane} shown={self.width >= 900.0 || self.sheet == Sheet::Dock} hub={self.terminals.clone()}
                    tabs={self.tabs.clone()} active={self.active_tab} applied={self.seen.applied.clone()} edit={self.edit.clone()}
                    insert={self.insert.clone()} events={self.seen.events.clone()} addons={self.addons.answers.clone()} cluster={self.seen.cluster.clone()} query={self.query.clone()} table={self.seen.table.clone()} run={run.clone()} />
                <Timeline clock={self.seen.clock.clone()} timeline={self.seen.timeline.clone()} run={run.clone()} />
            </div>
        }
    }

    fn stage_view(&self) -> Html {
        let run = &self.run;
        if self.list {
            return html! { <List picture={self.seen.picture.clone()} run={run.clone()}>{ self.boot_bar() }{ self.past_bar() }</List> };
        }
        html! {
            <Stage picture={self.seen.picture.clone()} selected={self.asked.clone()} dots={self.dots.clone()} options={self.options.clone()} full_speed={self.seen.clock.speed.0 == Speed::Max} steps={self.dots.steps()} run={run.clone()}>
                { self.boot_bar() }
                { self.past_bar() }
            </Stage>
        }
    }

    /// How far the boot is, with the way around it.
    fn boot_bar(&self) -> Html {
        if let Some((permille, at_us)) = self.seen.replaying {
            return self.replay_bar(permille, at_us);
        }
        let boot = &self.seen.boot;
        if boot.done || self.seen.clock.past {
            return html! {};
        }
        let parts = (boot.nodes + boot.pods).max(1);
        let share = 100 * (boot.nodes_ready + boot.pods_ready) / parts;
        let step = match (self.seen.ready, boot.step.is_empty()) {
            (false, _) => "loading the control plane",
            (true, true) => "power on",
            (true, false) => boot.step.as_str(),
        };
        html! {
            <div class="boot" role="status">
                <b>{ "Booting" }</b>
                <span class="what">{ step }</span>
                if self.seen.clock.booting {
                    <button class="btn small" onclick={emit(&self.run, Do::Send(ToWorker::Pace(Pace::SkipBoot)))}>{ "Skip" }</button>
                }
                <span class="bar"><i style={format!("width: {share}%")}></i></span>
            </div>
        }
    }

    /// A moment is on its way back.
    fn replay_bar(&self, permille: u32, at_us: Us) -> Html {
        html! {
            <div class="boot" role="status">
                <b>{ "Replaying" }</b>
                <span class="what">{ format!("what was done until {}", format::clock_s(at_us)) }</span>
                <button class="btn small" onclick={emit(&self.run, Do::Send(ToWorker::Pace(Pace::SkipBoot)))}>{ "Stop here" }</button>
                <span class="bar"><i style={format!("width: {}%", permille / 10)}></i></span>
            </div>
        }
    }

    /// The past is shown: say so, and how to go on.
    fn past_bar(&self) -> Html {
        let clock = &self.seen.clock;
        if !clock.past {
            return html! {};
        }
        html! {
            <div class="past" role="status">
                <span>{ format!("As it was at {}", format::clock_s(clock.now_us)) }</span>
                <button class="btn small" onclick={emit(&self.run, Do::Send(ToWorker::ResumeHere { name: None }))}>{ icons::icon("fork") }{ "Go on from here" }</button>
                <button class="btn small" onclick={emit(&self.run, Do::Send(ToWorker::SeekHead))}>{ icons::icon("live") }{ "Back to the end" }</button>
            </div>
        }
    }
}
