//! Effects that go on: watches, byte streams, timers, standard input; and what a command keeps across its stages.

use std::net::IpAddr;
use std::rc::Rc;

use apimachinery::Request;
use base::{Duration, Time};

use super::{Answer, Ctx, Event, Res, Slot, Stop};
use crate::config::Config;
use crate::mapper::Discovery;
use crate::{Ask, AskId, StreamInput};

impl Ctx<'_> {
    /// What happens next on any open stream, timer or standard input.
    pub fn next_event(&mut self) -> Res<(AskId, Event)> {
        let answer = self.effect(|state, out| {
            state.flush(out);
            match state.events.pop_front() {
                Some((id, event)) => Slot::Answer(Answer::Event(id, event)),
                None => Slot::WaitingEvent,
            }
        })?;
        match answer {
            Answer::Event(id, event) => Ok((id, event)),
            _ => Err(Stop::Suspend),
        }
    }
    /// Starts a timer; its `Event::Timer` comes with the id returned.
    pub fn timer(&mut self, after: Duration) -> Res<AskId> {
        let answer = self.effect(|state, out| {
            let id = state.next_id;
            state.next_id += 1;
            out.push(Ask::Timer { id, after });
            Slot::Answer(Answer::Id(id))
        })?;
        let Answer::Id(id) = answer else { return Err(Stop::Suspend) };
        Ok(id)
    }
    /// Listens on a local port for connections that `request` carries on: its number and the id of its events, or why not.
    pub fn forward(&mut self, ip: IpAddr, port: u16, mut request: Request) -> Res<(AskId, Result<u16, String>)> {
        let config = self.config()?;
        self.sign(&config, &mut request);
        let mut asked = 0;
        let answer = self.ask(|id| {
            asked = id;
            Ask::Forward { id, ip, port, request: Box::new(request), server: config.server.as_str().into() }
        });
        // The id of a replayed listener is kept in the effect after it.
        let id = match self.effect(|_, _| Slot::Answer(Answer::Id(asked)))? {
            Answer::Id(id) => id,
            _ => 0,
        };
        match answer? {
            Answer::Listening(result) => Ok((id, result)),
            _ => Err(Stop::Suspend),
        }
    }
    pub fn sleep(&mut self, after: Duration) -> Res<()> {
        let timer = self.timer(after)?;
        loop {
            if let (id, Event::Timer) = self.next_event()?
                && id == timer
            {
                return Ok(());
            }
        }
    }
    pub fn send(&mut self, id: AskId, frame: StreamInput) {
        self.emit(|_, out| out.push(Ask::StreamInput { id, frame }));
    }
    pub fn raw_terminal(&mut self, raw: bool) {
        self.emit(|_, out| out.push(Ask::RawTerminal(raw)));
    }
    pub fn cancel(&mut self, id: AskId) {
        self.emit(|state, out| {
            state.open_streams.retain(|open| *open != id);
            out.push(Ask::CancelStream(id));
        });
    }

    /// The time at which this effect was first reached: the same in every replay of the stage.
    pub fn first_time(&mut self) -> Time {
        let now = self.now;
        match self.effect(|_, _| Slot::Answer(Answer::Time(now))) {
            Ok(Answer::Time(first)) => first,
            _ => now,
        }
    }

    // ------------------------------------------------------------ caches

    pub fn cached_config(&mut self) -> Res<Option<Rc<Config>>> {
        let answer = self.effect(|state, _| Slot::Answer(state.config.clone().map_or(Answer::Nothing, Answer::Config)))?;
        Ok(if let Answer::Config(config) = answer { Some(config) } else { None })
    }
    pub fn keep_config(&mut self, config: &Rc<Config>) {
        self.emit(|state, _| state.config = Some(config.clone()));
    }
    pub fn cached_discovery(&mut self) -> Res<Option<Rc<Discovery>>> {
        let answer = self.effect(|state, _| Slot::Answer(state.discovery.clone().map_or(Answer::Nothing, Answer::Discovery)))?;
        Ok(if let Answer::Discovery(discovery) = answer { Some(discovery) } else { None })
    }
    pub fn keep_discovery(&mut self, discovery: &Rc<Discovery>) {
        self.emit(|state, _| state.discovery = Some(discovery.clone()));
    }
}
