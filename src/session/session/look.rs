//! What the page is shown of the cluster: the picture, the inspector, lists and figures. Each only when it is due, and sent only if
//! it differs from what was sent last. What machines have for it (terminals, jobs) is passed on.

use cluster::Bottle;
use cri_api::host::HostMessage;
use protocol::{Batch, ScenePatch, Stats, Thing, ToPage};

use super::Session;
use crate::{actions, components, control_plane, flights, flow, inspect, lists, observe, service, timeline};

/// Pictures are drawn at most so often, in wall ms (dots move by themselves between).
const SCENE_MS: f64 = 90.0;
const LISTS_MS: f64 = 250.0;

impl Session {
    /// What the laptop and the nodes have for the page.
    pub(crate) fn page_messages(&mut self) {
        let Some(bottle) = &mut self.bottle else { return };
        for message in bottle.head_mut().take_page_messages() {
            if self.lab.as_mut().is_some_and(|lab| lab.message(&message)) {
                continue;
            }
            match message {
                HostMessage::TtyOutput { tab, data } => self.terminals.output(tab, &data, &mut self.queue),
                HostMessage::TtyClosed { tab, code } => self.terminals.closed(tab, code, &mut self.queue),
                HostMessage::OpenBuffer { machine, buffer, name, text } => {
                    let buffer = self.buffers.open(machine, buffer);
                    self.queue.push(ToPage::OpenBuffer { buffer, name: name.to_string(), text: text.to_string() });
                }
                HostMessage::JobOutput { job: actions::ETCD, data, .. } => {
                    if let Some(m) = &mut self.maintenance {
                        m.output.push_str(&String::from_utf8_lossy(&data));
                    }
                }
                HostMessage::JobDone { job: actions::ETCD, code } => {
                    if let Some(m) = self.maintenance.take() {
                        self.queue.push(ToPage::Notice(m.done(bottle.head(), code)));
                    }
                }
                HostMessage::JobOutput { job: actions::REQUEST, data, .. } => {
                    let text = String::from_utf8_lossy(&data);
                    self.request_output.get_or_insert_default().push_str(&text);
                }
                HostMessage::JobDone { job: actions::REQUEST, code } => {
                    let output = self.request_output.take().unwrap_or_default();
                    self.queue.push(ToPage::Notice(actions::came_back(&output, code)));
                }
                HostMessage::JobOutput { job, stderr, ref data } if self.execs.output(job, stderr, data) => {}
                HostMessage::JobOutput { job, stderr, data } => self.applies.output(job, stderr, &data, &mut self.queue),
                HostMessage::JobDone { job, code } => match self.execs.done(job, code) {
                    Some(executed) => self.queue.push(executed),
                    None => self.applies.done(job, code, &mut self.queue),
                },
                _ => {}
            }
        }
        self.terminals.flush(&mut self.queue);
    }

    /// What is under way, and the clock.
    pub(super) fn glance(&mut self, wall_ms: f64) {
        let Some(bottle) = &self.bottle else { return };
        let heartbeats = self.view.as_ref().is_some_and(|v| v.options.heartbeats);
        let flights = flights::collect(bottle, &self.scene, &mut self.next_record, &mut self.pacer, heartbeats);
        if !flights.is_empty() && !bottle.is_past() {
            self.queue.push(ToPage::Flights(flights));
        }
        let clock = timeline::clock(bottle, &self.pacer, wall_ms, self.booting);
        self.send_changed("clock", ToPage::Clock(clock));
    }

    fn scene_is_due(&self, wall_ms: f64) -> bool {
        let Some(bottle) = &self.bottle else { return false };
        let at = (bottle.shown().events, bottle.shown().now());
        let glow_over = at.0 != self.drawn_at.0 || at.1.since(self.drawn_at.1) > base::Duration::from_millis(900);
        glow_over && wall_ms - self.last_scene_ms >= SCENE_MS
    }

    pub(super) fn look_is_due(&self, wall_ms: f64) -> bool {
        self.bottle.is_some() && (wall_ms - self.last_lists_ms >= LISTS_MS || self.scene_is_due(wall_ms))
    }

    /// Draws and inspects, or lists, what has changed since the last look: one at a time. What has been due for longer comes first: to
    /// a page that draws slowly a picture is due at every look.
    pub(super) fn look(&mut self, wall_ms: f64) {
        self.glance(wall_ms);
        let late = |last_ms: f64, every_ms: f64| wall_ms - last_ms - every_ms;
        if self.scene_is_due(wall_ms) && late(self.last_scene_ms, SCENE_MS) >= late(self.last_lists_ms, LISTS_MS) {
            let shown = self.bottle.as_ref().map(Bottle::shown);
            self.drawn_at = shown.map_or(self.drawn_at, |cluster| (cluster.events, cluster.now()));
            self.last_scene_ms = wall_ms;
            self.draw();
        } else {
            self.last_lists_ms = wall_ms;
            self.look_lists(wall_ms);
        }
    }

    fn draw(&mut self) {
        let ghosts = self.ghosts().to_vec();
        let (Some(bottle), Some(view)) = (&self.bottle, &self.view) else { return };
        let mut scene = match view.lens {
            protocol::Lens::PodCreation => {
                let flow = flow::observe(bottle, &view.options);
                lenses::pod_creation(&flow, view)
            }
            protocol::Lens::Components => lenses::components(&components::observe(bottle), view),
            protocol::Lens::ControlPlane => {
                lenses::control_plane(&control_plane::observe(bottle, &self.checks, &mut self.drawn), view)
            }
            protocol::Lens::ServiceNetwork => {
                let seen = service::observe(bottle, &view.options);
                lenses::service_network(&lenses::ServiceSeen { ghosts: ghosts.clone(), ..seen }, view)
            }
            protocol::Lens::Architecture => {
                let seen = observe::observe(bottle, &view.options, &mut self.drawn);
                lenses::draw_architecture(&lenses::Observed { ghosts: ghosts.clone(), ..seen }, view)
            }
        };
        if !matches!(view.lens, protocol::Lens::ServiceNetwork | protocol::Lens::Architecture) {
            // These have no place for what isn't there.
            lenses::ring(&mut scene, &ghosts);
        }
        let patch = if std::mem::take(&mut self.reset_scene) {
            ScenePatch::whole(&scene)
        } else {
            ScenePatch::between(&self.scene, &scene)
        };
        self.scene = scene;
        if !patch.is_empty() {
            self.queue.push(ToPage::Scene(patch));
        }
        self.inspect();
    }

    /// One look, whatever the clock says: for tests that measure it.
    #[cfg(test)]
    pub(crate) fn draw_now(&mut self) {
        self.draw();
    }

    /// What somebody waits for: that the clock stands, or what was just opened. That alone is said, before a picture of the cluster, and
    /// though the page may have one to draw.
    pub(super) fn answer(&mut self, wall_ms: f64) -> Option<Batch> {
        if std::mem::take(&mut self.urgent)
            && let Some(bottle) = &self.bottle
        {
            let stands = ToPage::Clock(timeline::clock(bottle, &self.pacer, wall_ms, self.booting));
            self.sent.insert("clock", stands.clone());
            return Some(self.batch_of(vec![stands]));
        }
        if !std::mem::take(&mut self.asked) {
            return None;
        }
        let rest = std::mem::take(&mut self.queue);
        self.inspect();
        let answer = std::mem::replace(&mut self.queue, rest);
        (!answer.is_empty()).then(|| self.batch_of(answer))
    }

    fn inspect(&mut self) {
        let (Some(bottle), Some((thing, tab))) = (&self.bottle, &self.inspecting) else { return };
        let service = self.scene.head.choices.iter().find(|c| c.chosen).map(|c| &c.thing);
        let service = service.filter(|_| self.scene.head.lens == protocol::Lens::ServiceNetwork);
        let inspector = match thing {
            Thing::Check { name } => crate::checks::inspector(&self.checks, name, bottle.shown().now()),
            thing => {
                let mut inspector = inspect::inspect(bottle, thing, *tab, service);
                if let Some(ghost) = self.ghosts().iter().find(|g| g.thing() == *thing) {
                    inspect::wanted(&mut inspector, ghost);
                }
                inspector
            }
        };
        self.send_changed("inspector", ToPage::Inspector(Box::new(inspector)));
    }

    fn look_lists(&mut self, wall_ms: f64) {
        let Some(bottle) = &self.bottle else { return };
        let mut messages = vec![("timeline", ToPage::Timeline(timeline::timeline(bottle)))];
        let revision = bottle.shown().api().map_or(0, |api| api.revision_of(apimachinery::resources::events()));
        let news = revision != self.events_revision || !self.sent.contains_key("events");
        self.events_revision = revision;
        if let Some(query) = self.events.as_ref().filter(|_| news) {
            let (rows, total) = lists::events(bottle.shown(), query);
            messages.push(("events", ToPage::Events { rows, total }));
        }
        if let Some(query) = &self.table {
            messages.push(("table", ToPage::Table(lists::table(bottle.shown(), query))));
        }
        messages.push(("cluster", ToPage::Cluster(timeline::info(bottle))));
        if self.booting {
            let boot = timeline::boot(bottle);
            self.booting = !boot.done;
            if boot.done {
                self.pacer.boot = None;
            }
            messages.push(("boot", ToPage::Boot(boot)));
        }
        for (name, message) in messages {
            self.send_changed(name, message);
        }
        self.pacer.watched = self.terminals.any_busy() || self.applies.any() || self.execs.any();
        self.stats(wall_ms);
    }

    fn stats(&mut self, wall_ms: f64) {
        let elapsed = wall_ms - self.last_stats_ms;
        let Some(bottle) = self.bottle.as_ref().filter(|_| elapsed >= 1000.0) else { return };
        let events = bottle.head().events;
        let (watches, requests) = bottle.head().api().map_or((0, 0), |a| (a.watch_count() as u32, a.answered()));
        let per_s = |now: u64, before: u64| (now.saturating_sub(before) as f64 * 1000.0 / elapsed) as u32;
        let stats = Stats {
            events_per_s: per_s(events, self.events_at_stats),
            requests_per_s: per_s(requests, self.requests_at_stats),
            watches,
            memory_bytes: (self.memory)(),
            slice_ms: self.longest_slice_ms as u32,
        };
        (self.last_stats_ms, self.longest_slice_ms) = (wall_ms, 0.0);
        (self.events_at_stats, self.requests_at_stats) = (events, requests);
        if stats.events_per_s > 0 {
            self.send_changed("stats", ToPage::Stats(stats));
        }
    }
}
