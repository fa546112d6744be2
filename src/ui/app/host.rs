//! An embed's host: carries out what it asks, tells it what happens. Nothing here runs in a page of its own.

use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::*;
use wasm_bindgen::JsValue;
use yew::prelude::*;

use super::keep::wanted;
use super::{App, Msg};
use crate::host::{Asked, Host};
use crate::js;
use crate::store;

/// What a host asks for before there is a cluster waits; so much of it.
const MAX_WAITING: usize = 100;

/// The page's side of a host.
#[derive(Default)]
pub(super) struct Hosted {
    host: Option<Rc<Host>>,
    /// The host's numbers of what the worker is asked, by the worker's.
    open: BTreeMap<u32, f64>,
    waiting: Vec<Asked>,
    ready: bool,
    revision: u64,
    /// Visitors look only; the host may do everything.
    pub read_only: bool,
}

impl Hosted {
    pub fn new() -> Hosted {
        let read_only = wanted("read-only").is_some();
        if read_only && let Some(root) = js::document().document_element() {
            // Setting a data attribute can't fail.
            let _ = root.set_attribute("data-read-only", "");
        }
        Hosted { read_only, ..Hosted::default() }
    }
}

/// What came over the wire.
pub enum FromHost {
    Listening(Result<Rc<Host>, String>),
    Asked(Asked),
    Snapshot { id: f64, moment: Result<String, String>, at_us: Us, digest: String },
}

impl App {
    /// Listens to the host that the address names: the loader of `<kube-bottle>` writes its own origin into it.
    pub(super) fn listen_to_host(&mut self, ctx: &Context<Self>) {
        let Some(origin) = wanted("host").filter(|_| js::is_framed()) else { return };
        let asked = ctx.link().callback(|asked| Msg::Host(FromHost::Asked(asked)));
        ctx.link().send_future(async { Msg::Host(FromHost::Listening(Host::open(origin, asked).await.map(Rc::new))) });
    }

    pub(super) fn from_host(&mut self, ctx: &Context<Self>, what: FromHost) {
        match what {
            FromHost::Listening(Ok(host)) => {
                self.hosted.host = Some(host);
                self.tell_ready();
            }
            FromHost::Listening(Err(why)) => web_sys::console::warn_1(&why.into()),
            FromHost::Snapshot { id, moment, at_us, digest } => {
                let Some(host) = &self.hosted.host else { return };
                match moment {
                    Ok(moment) => {
                        host.answer(id, None, &[("moment", moment.into()), ("at", time(at_us)), ("digest", digest.into())]);
                    }
                    Err(why) => host.answer(id, Some(&why), &[]),
                }
            }
            FromHost::Asked(asked) if self.hosted.ready => self.asked(ctx, &asked),
            // What only concerns the page, or must not wait for the cluster.
            FromHost::Asked(asked) if matches!(asked.kind.as_str(), "lens" | "theme" | "visible") => self.asked(ctx, &asked),
            FromHost::Asked(asked) => {
                if self.hosted.waiting.len() < MAX_WAITING {
                    self.hosted.waiting.push(asked);
                } else if let Some(host) = &self.hosted.host {
                    host.answer(asked.id, Some("the cluster isn't ready yet, and too much waits for it"), &[]);
                }
            }
        }
    }

    /// After each batch: what does the host want to know of it?
    pub(super) fn tell_host(&mut self, ctx: &Context<Self>) {
        if self.hosted.host.is_none() {
            return;
        }
        if !self.hosted.ready
            && (self.seen.boot.done || self.seen.clock.events > 0 && !self.seen.clock.booting && self.seen.replaying.is_none())
        {
            self.hosted.ready = true;
            self.tell_ready();
            for asked in std::mem::take(&mut self.hosted.waiting) {
                self.asked(ctx, &asked);
            }
        }
        let (revision, at) = (self.seen.clock.revision, self.seen.clock.now_us);
        if self.hosted.ready && std::mem::replace(&mut self.hosted.revision, revision) != revision {
            self.tell("change", &[("revision", JsValue::from_f64(revision as f64)), ("at", time(at))]);
        }
    }

    fn tell_ready(&self) {
        if self.hosted.ready {
            self.tell("ready", &[("release", self.keeper.release.clone().into()), ("version", 1.into())]);
        }
    }

    /// Tells the host something, if there is one.
    pub(super) fn tell(&self, kind: &str, fields: &[(&str, JsValue)]) {
        if let Some(host) = &self.hosted.host {
            host.tell(kind, fields);
        }
    }

    fn asked(&mut self, ctx: &Context<Self>, asked: &Asked) {
        let (id, value) = (asked.id, asked.value.as_str());
        let number = match asked.kind.as_str() {
            "apply" | "exec" | "snapshot" => self.ask_for(id),
            kind => {
                let done = self.steer(ctx, kind, value);
                if let Some(host) = &self.hosted.host {
                    host.answer(id, done.err().as_deref(), &[]);
                }
                return;
            }
        };
        // The worker's answer is the host's.
        self.send_as_host(&match asked.kind.as_str() {
            "apply" => ToWorker::Apply { id: number, name: "host.yaml".into(), text: value.into(), dry_run: false },
            "exec" => ToWorker::Exec { id: number, line: value.into() },
            _ => ToWorker::Keep { id: number, keep: Keep::Link },
        });
    }

    /// What is done at once.
    ///
    /// # Errors
    /// Why it can't be done, for the host.
    fn steer(&mut self, ctx: &Context<Self>, kind: &str, value: &str) -> Result<(), String> {
        let pace = |pace| self.send_as_host(&ToWorker::Pace(pace));
        match kind {
            "seek" => self.seek(value)?,
            "step" => pace(Pace::Step),
            "play" => pace(Pace::Play),
            "pause" => pace(Pace::Pause),
            "speed" => pace(Pace::Speed(speed(value)?)),
            "visible" => self.send_as_host(&ToWorker::Visible { visible: value != "false" }),
            "lens" => {
                let lens = Lens::of_word(value).ok_or(format!("there is no lens {value:?}"))?;
                self.act(ctx, super::Do::Lens(lens));
            }
            "inspect" => {
                let thing = match value {
                    "" => None,
                    path => Some(Thing::of_path(path).ok_or(format!("{path:?} names no thing"))?),
                };
                self.act(ctx, super::Do::Inspect(thing));
            }
            "theme" => {
                let theme = super::Theme::of_word(value).ok_or(format!("there is no theme {value:?}"))?;
                self.put_on(theme);
            }
            other => return Err(format!("this release knows nothing called {other:?}")),
        }
        Ok(())
    }

    /// A number for what the worker is asked; the answer goes to the host's.
    fn ask_for(&mut self, id: f64) -> u32 {
        let number = self.count();
        self.hosted.open.insert(number, id);
        number
    }

    /// `2026-01-01T00:01:00Z`, seconds from the beginning, or `head`.
    fn seek(&self, value: &str) -> Result<(), String> {
        let clock = &self.seen.clock;
        let at_us = match value {
            "head" => {
                self.send_as_host(&ToWorker::SeekHead);
                return Ok(());
            }
            _ => match value.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() => clock.start_us.saturating_add((seconds * 1e6) as Us),
                _ => base::Time::parse(value).ok_or(format!("{value:?} is no time"))?.0,
            },
        };
        self.send_as_host(&ToWorker::Seek { at_us: at_us.clamp(clock.start_us, clock.head_us) });
        Ok(())
    }

    /// An apply has come to its end.
    pub(super) fn host_applied(&mut self, id: u32) {
        let (Some(host), Some(applied)) = (&self.hosted.host, &self.seen.applied) else { return };
        let Some(id) = (applied.id == id).then(|| self.hosted.open.remove(&id)).flatten() else { return };
        let lines: js_sys::Array = applied.documents.iter().map(|d| JsValue::from(d.text.as_str())).collect();
        let failed = applied.documents.iter().find(|d| d.outcome == Outcome::Failed);
        host.answer(id, failed.map(|d| d.text.as_str()), &[("lines", lines.into())]);
    }

    pub(super) fn host_executed(&mut self, executed: &Executed) {
        let (Some(host), Some(id)) = (&self.hosted.host, self.hosted.open.remove(&executed.id)) else { return };
        let text = |t: &str| JsValue::from(t);
        host.answer(
            id,
            None,
            &[("code", executed.code.into()), ("stdout", text(&executed.stdout)), ("stderr", text(&executed.stderr))],
        );
    }

    pub(super) fn host_snapshot(&mut self, ctx: &Context<Self>, number: u32, kept: protocol::Kept) {
        let Some(id) = self.hosted.open.remove(&number) else { return };
        let release = self.keeper.release.clone();
        let (at_us, digest) = (kept.at_us, kept.digest);
        ctx.link().send_future(async move {
            let moment = store::moment_text(kept.bytes, release).await;
            Msg::Host(FromHost::Snapshot { id, moment, at_us, digest })
        });
    }
}

fn time(at_us: Us) -> JsValue {
    base::Time(at_us).rfc3339_micro().into()
}

/// `auto`, `max`, or virtual seconds per second.
pub(super) fn speed(value: &str) -> Result<Speed, String> {
    match value {
        "auto" => Ok(Speed::Auto),
        "max" => Ok(Speed::Max),
        _ => match value.parse::<f64>() {
            Ok(times) if (0.001..=1e6).contains(&times) => Ok(Speed::Milli((times * 1000.0) as u32)),
            _ => Err(format!("{value:?} is no speed")),
        },
    }
}
