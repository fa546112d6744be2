//! How a command is written: straight through, resumable by replay.
//!
//! A command is a chain of [`Stage`]s. A stage is ordinary code over a [`Ctx`]; whatever it asks of the outside (a request, a file, a
//! line of output) is an *effect*, and effects are numbered in the order the code reaches them. Reaching one for the first time
//! emits it; if it has an answer the stage stops there with `Stop::Suspend`. When the answer has come the stage is run again from
//! its top: effects before that point return what they returned before and emit nothing.
//!
//! So a stage must be a function of its own (immutable) data and the answers. A loop over many objects is a chain of stages, one per
//! object ([`each`]), so that ten thousand documents cost ten thousand short replays and not one quadratic one. What is cached
//! across stages (kubeconfig, discovery) goes through a numbered effect as well.

use std::collections::VecDeque;
use std::rc::Rc;

use apimachinery::{Body, List, Object, Request, Response, ResponseBody, UserInfo, Value, Verb, WatchEvent};
use base::Sort as _;
use base::{Duration, Time};

use crate::config::Config;
use crate::error::{ApiStatus, Error};
use crate::grammar::Flags;
use crate::mapper::Discovery;
use crate::{Ask, AskId, DirEntry, Env, FileError, StreamFrame, StreamInput};

pub(crate) type Res<T> = Result<T, Stop>;

/// Why a stage stopped before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something asked for has no answer yet.
    Suspend,
    Err(Box<Error>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Err(Box::new(error))
    }
}

/// An error `error: …`.
pub(crate) fn fail<T>(text: impl Into<String>) -> Res<T> {
    Err(Error::Plain(text.into()).into())
}

pub(crate) enum Next {
    Then(Rc<dyn Stage>),
    Exit(i32),
}

pub(crate) trait Stage {
    fn run(&self, ctx: &mut Ctx) -> Res<Next>;
}

impl<F: Fn(&mut Ctx) -> Res<Next>> Stage for F {
    fn run(&self, ctx: &mut Ctx) -> Res<Next> {
        self(ctx)
    }
}

/// Goes on with another stage: what was asked so far is not replayed again.
pub(crate) fn then(stage: impl Fn(&mut Ctx) -> Res<Next> + 'static) -> Res<Next> {
    Ok(Next::Then(Rc::new(stage)))
}

pub(crate) fn done() -> Res<Next> {
    Ok(Next::Exit(0))
}

/// Runs `body` for each item in a stage of its own; `last` gets the state and the errors of the items that failed.
pub(crate) fn each<T: 'static, S: Clone + 'static>(
    items: Rc<[T]>,
    state: S,
    body: impl Fn(&mut Ctx, &T, &mut S) -> Res<()> + 'static,
    last: impl Fn(&mut Ctx, S, Vec<Error>) -> Res<Next> + 'static,
) -> Res<Next> {
    Ok(Next::Then(Rc::new(Each { items, at: 0, state, errors: Rc::default(), body: Rc::new(body), last: Rc::new(last) })))
}

struct Each<T, S> {
    items: Rc<[T]>,
    at: usize,
    state: S,
    errors: Rc<Vec<Error>>,
    body: Rc<dyn Fn(&mut Ctx, &T, &mut S) -> Res<()>>,
    last: Rc<dyn Fn(&mut Ctx, S, Vec<Error>) -> Res<Next>>,
}

impl<T: 'static, S: Clone + 'static> Stage for Each<T, S> {
    fn run(&self, ctx: &mut Ctx) -> Res<Next> {
        let Some(item) = self.items.get(self.at) else {
            return (self.last)(ctx, self.state.clone(), self.errors.to_vec());
        };
        let (mut state, mut errors) = (self.state.clone(), self.errors.clone());
        match (self.body)(ctx, item, &mut state) {
            Ok(()) => {}
            Err(Stop::Err(error)) => Rc::make_mut(&mut errors).push(*error),
            Err(stop) => return Err(stop),
        }
        let (items, body, last) = (self.items.clone(), self.body.clone(), self.last.clone());
        Ok(Next::Then(Rc::new(Each { items, at: self.at + 1, state, errors, body, last })))
    }
}

/// What happened on a stream, a timer or standard input.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Watch(WatchEvent),
    Frame(StreamFrame),
    End,
    Timer,
    Stdin(Rc<[u8]>),
    StdinEof,
    Resize(u16, u16),
}

#[derive(Clone)]
pub(crate) enum Answer {
    Response(Rc<Response>),
    Unreachable(Rc<str>, Rc<str>),
    File(Result<Rc<[u8]>, FileError>),
    Dir(Result<Rc<[DirEntry]>, FileError>),
    Written(Result<(), FileError>),
    Edited(Result<Option<Rc<str>>, ()>),
    Event(AskId, Event),
    Config(Rc<Config>),
    Discovery(Rc<Discovery>),
    Id(AskId),
    Nothing,
    Time(Time),
}

#[derive(Clone)]
pub(crate) enum Slot {
    Done,
    Waiting(AskId),
    WaitingEvent,
    Answer(Answer),
}

/// What lives as long as the command.
#[derive(Clone)]
pub(crate) struct State {
    pub env: Rc<Env>,
    pub flags: Rc<Flags>,
    pub config: Option<Rc<Config>>,
    pub discovery: Option<Rc<Discovery>>,
    pub events: VecDeque<(AskId, Event)>,
    pub open_streams: Vec<AskId>,
    warned: Rc<Vec<Rc<str>>>,
    stdin_open: bool,
    next_id: AskId,
    stdout: String,
}

impl State {
    pub fn new(env: Env) -> State {
        State {
            env: Rc::new(env),
            flags: Rc::default(),
            config: None,
            discovery: None,
            events: VecDeque::new(),
            open_streams: Vec::new(),
            warned: Rc::default(),
            stdin_open: false,
            next_id: 1,
            stdout: String::new(),
        }
    }

    /// Emits buffered output.
    pub fn flush(&mut self, out: &mut Vec<Ask>) {
        if !self.stdout.is_empty() {
            out.push(Ask::Stdout(std::mem::take(&mut self.stdout).into_bytes().into()));
        }
    }
}

/// What a stage sees of the outside.
pub(crate) struct Ctx<'a> {
    pub now: Time,
    pub flags: Rc<Flags>,
    pub env: Rc<Env>,
    state: &'a mut State,
    slots: &'a mut Vec<Slot>,
    out: &'a mut Vec<Ask>,
    at: usize,
}

impl<'a> Ctx<'a> {
    pub fn new(state: &'a mut State, slots: &'a mut Vec<Slot>, now: Time, out: &'a mut Vec<Ask>) -> Ctx<'a> {
        Ctx { now, flags: state.flags.clone(), env: state.env.clone(), state, slots, out, at: 0 }
    }

    /// The next effect's answer; `first` runs when it is reached for the first time.
    fn effect(&mut self, first: impl FnOnce(&mut State, &mut Vec<Ask>) -> Slot) -> Res<Answer> {
        if self.at == self.slots.len() {
            let slot = first(self.state, self.out);
            self.slots.push(slot);
        }
        self.at += 1;
        match &self.slots[self.at - 1] {
            Slot::Answer(answer) => Ok(answer.clone()),
            Slot::Done => Ok(Answer::Nothing),
            Slot::Waiting(_) | Slot::WaitingEvent => Err(Stop::Suspend),
        }
    }

    /// An effect without an answer.
    fn emit(&mut self, first: impl FnOnce(&mut State, &mut Vec<Ask>)) {
        let _ = self.effect(|state, out| {
            first(state, out);
            Slot::Done
        });
    }

    fn ask(&mut self, make: impl FnOnce(AskId) -> Ask) -> Res<Answer> {
        self.effect(|state, out| {
            let id = state.next_id;
            state.next_id += 1;
            state.flush(out);
            out.push(make(id));
            Slot::Waiting(id)
        })
    }

    pub fn set_flags(&mut self, flags: Flags) {
        self.flags = Rc::new(flags);
        self.state.flags = self.flags.clone();
    }

    /// Standard output, as it is (a newline is the caller's).
    pub fn print(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        self.emit(|state, out| {
            state.stdout.push_str(text);
            if state.stdout.len() > 4096 {
                state.flush(out);
            }
        });
    }
    pub fn println(&mut self, text: impl AsRef<str>) {
        let mut line = text.as_ref().to_string();
        line.push('\n');
        self.print(line);
    }
    pub fn print_bytes(&mut self, bytes: &Rc<[u8]>) {
        self.emit(|state, out| {
            state.flush(out);
            out.push(Ask::Stdout(bytes.clone()));
        });
    }
    /// Standard error, with a newline.
    pub fn eprintln(&mut self, text: impl AsRef<str>) {
        let line = format!("{}\n", text.as_ref());
        self.eprint_bytes(&line.into_bytes().into());
    }
    pub fn eprint_bytes(&mut self, bytes: &Rc<[u8]>) {
        self.emit(|state, out| {
            state.flush(out);
            out.push(Ask::Stderr(bytes.clone()));
        });
    }
    /// `Warning: …`, each text once per command.
    pub fn warn(&mut self, text: &str) {
        let text: Rc<str> = text.into();
        self.emit(|state, out| {
            if !state.warned.contains(&text) {
                Rc::make_mut(&mut state.warned).push(text.clone());
                state.flush(out);
                out.push(Ask::Stderr(format!("Warning: {text}\n").into_bytes().into()));
            }
        });
    }

    /// Reports an error without ending the command.
    pub fn report(&mut self, error: &Error) {
        let (text, _) = error.report();
        self.eprint_bytes(&text.into_bytes().into());
    }

    // ------------------------------------------------------------ files

    pub fn read_file(&mut self, path: &str) -> Res<Result<Rc<[u8]>, FileError>> {
        match self.ask(|id| Ask::ReadFile { id, path: path.into() })? {
            Answer::File(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    pub fn list_dir(&mut self, path: &str) -> Res<Result<Rc<[DirEntry]>, FileError>> {
        match self.ask(|id| Ask::ListDir { id, path: path.into() })? {
            Answer::Dir(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    pub fn write_file(&mut self, path: &str, bytes: &[u8]) -> Res<Result<(), FileError>> {
        match self.ask(|id| Ask::WriteFile { id, path: path.into(), bytes: bytes.into() })? {
            Answer::Written(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    pub fn edit(&mut self, name: &str, text: &str) -> Res<Result<Option<Rc<str>>, ()>> {
        let editor = self.env.var("KUBE_EDITOR").or_else(|| self.env.var("EDITOR")).map(String::from);
        match self.ask(|id| Ask::Edit { id, editor, name: name.into(), text: text.into() })? {
            Answer::Edited(result) => Ok(result),
            _ => Err(Stop::Suspend),
        }
    }
    /// All of standard input.
    pub fn read_stdin(&mut self) -> Res<Vec<u8>> {
        self.open_stdin();
        let mut all = Vec::new();
        loop {
            match self.next_event()? {
                (_, Event::Stdin(bytes)) => all.extend_from_slice(&bytes),
                (_, Event::StdinEof) => return Ok(all),
                _ => {}
            }
        }
    }
    pub fn open_stdin(&mut self) {
        self.emit(|state, out| {
            if !state.stdin_open {
                state.stdin_open = true;
                state.flush(out);
                out.push(Ask::ReadStdin);
            }
        });
    }

    // ------------------------------------------------------------ streams and time

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

    // ------------------------------------------------------------ requests

    /// Sends a request; warnings are printed. The answer may be an error.
    pub fn send_request(&mut self, mut request: Request) -> Res<(AskId, Rc<Response>)> {
        let config = self.config()?;
        request.credential = config.credential.clone();
        request.user_agent = "kubectl/v1.37.2 (linux/amd64) kubernetes/kubottle".into();
        request.impersonate = self.impersonation();
        let verbose = self.flags.int("v").unwrap_or(0) >= 6;
        let line = verbose.then(|| (request.verb.method(), url(&config.server, &request)));
        let stream = request.verb == Verb::Watch
            || matches!(&*request.subresource.text(), "exec" | "attach" | "portforward")
            || (request.subresource == "log" && request.options.query("follow") == Some("true"));
        let mut asked = 0;
        let answer = self.ask(|id| {
            asked = id;
            Ask::Request { id, request: Box::new(request), server: config.server.as_str().into() }
        });
        let slot = self.at - 1;
        // The id of a replayed stream is kept in the effect after it.
        let id = match self.effect(|_, _| Slot::Answer(Answer::Id(asked)))? {
            Answer::Id(id) => id,
            _ => 0,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(stop) => {
                debug_assert!(matches!(self.slots[slot], Slot::Waiting(_)));
                return Err(stop);
            }
        };
        let response = match answer {
            Answer::Response(response) => response,
            Answer::Unreachable(server, error) => return Err(Error::Unreachable(server, error).into()),
            _ => return Err(Stop::Suspend),
        };
        if stream && response.is_success() {
            self.emit(|state, _| state.open_streams.push(id));
        }
        if let Some((method, url)) = line {
            let now = self.now.civil();
            let text = format!(
                "I{:02}{:02} {:02}:{:02}:{:02}.000000       1 round_trippers.go:632] \"Response\" verb=\"{method}\" url=\"{url}\" status=\"{}\"",
                now.1, now.2, now.3, now.4, now.5, response.code
            );
            self.eprintln(text);
        }
        for warning in &response.warnings {
            self.warn(warning);
        }
        Ok((id, response))
    }

    pub fn send_ok(&mut self, request: Request) -> Res<Rc<Response>> {
        let context = (request.verb, request.gvr, request.name.clone());
        let plain = request.subresource.is_empty();
        let (_, response) = self.send_request(request)?;
        if response.is_success() {
            return Ok(response);
        }
        let mut status = ApiStatus::of(&response);
        if plain {
            status.name_request(context.0, context.1, &context.2);
        }
        Err(Error::Status(status).into())
    }

    /// The object of an answer.
    pub fn call(&mut self, request: Request) -> Res<Object> {
        let response = self.send_ok(request)?;
        match &response.body {
            ResponseBody::Object(object) => Ok(object.clone()),
            ResponseBody::List(list) => Ok(Object::from_value(list.to_value()).unwrap_or_default()),
            _ => Ok(Object::default()),
        }
    }

    /// Opens a watch or byte stream.
    pub fn open(&mut self, request: Request) -> Res<AskId> {
        let context = (request.verb, request.gvr, request.name.clone());
        let (id, response) = self.send_request(request)?;
        if response.is_success() {
            return Ok(id);
        }
        let mut status = ApiStatus::of(&response);
        status.name_request(context.0, context.1, &context.2);
        Err(Error::Status(status).into())
    }

    /// `Ok(None)` if it does not exist.
    pub fn call_if_found(&mut self, request: Request) -> Res<Option<Object>> {
        match self.call(request) {
            Ok(object) => Ok(Some(object)),
            Err(Stop::Err(error)) if error.is_not_found() => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Lists, in chunks of 500 as upstream, and returns all items with `apiVersion` and `kind`.
    pub fn list(&mut self, request: Request) -> Res<List> {
        let mut all: Option<List> = None;
        let mut request = request;
        loop {
            let response = self.send_ok(request.clone())?;
            let page = match &response.body {
                ResponseBody::List(list) => (**list).clone(),
                ResponseBody::Object(object) => list_of(object),
                _ => list_of(&Object::default()),
            };
            let token = page.continue_token.clone();
            match &mut all {
                None => all = Some(page),
                Some(list) => list.items.extend(page.items),
            }
            match token {
                Some(token) if !token.is_empty() => request.options.continue_token = Some(token),
                _ => break,
            }
        }
        Ok(all.unwrap_or_else(|| list_of(&Object::default())))
    }

    fn impersonation(&self) -> Option<Rc<UserInfo>> {
        let flags = &self.flags;
        let name = flags.str("as");
        if name.is_empty() && flags.list("as-group").is_empty() && flags.str("as-uid").is_empty() {
            return None;
        }
        let pairs = flags.list("as-user-extra");
        let extra = pairs.iter().filter_map(|pair| {
            let (k, v) = pair.split_once('=')?;
            Some((Rc::from(k), vec![Rc::from(v)]))
        });
        Some(Rc::new(UserInfo {
            name: name.into(),
            uid: flags.str("as-uid").into(),
            groups: flags.list("as-group").iter().map(|g| g.as_str().into()).collect(),
            extra: extra.collect(),
        }))
    }
}

/// A list that came as one tree.
pub(crate) fn list_of(object: &Object) -> List {
    let item_kind = object.kind().strip_suffix("List").unwrap_or("").to_string();
    let version = object.api_version().to_string();
    let items = object.list_at(&["items"]).iter().filter_map(|item| {
        let mut item = Object::from_value(item.clone())?;
        if item.kind().is_empty() {
            item.set_at(&["kind"], item_kind.as_str());
            item.set_at(&["apiVersion"], version.as_str());
        }
        Some(item)
    });
    List {
        api_version: version.as_str().into(),
        kind: object.kind().into(),
        resource_version: object.revision(),
        continue_token: object.str_at(&["metadata", "continue"]).map(Rc::from),
        remaining_item_count: object.int_at(&["metadata", "remainingItemCount"]),
        items: items.collect(),
    }
}

/// The URL as `-v=6` prints it.
fn url(server: &str, request: &Request) -> String {
    let mut out = format!("{server}{}", request.url_path());
    let mut parameters: Vec<(String, String)> = Vec::new();
    let options = &request.options;
    let texts = [
        ("labelSelector", &options.label_selector),
        ("fieldSelector", &options.field_selector),
        ("fieldManager", &options.field_manager),
        ("fieldValidation", &options.field_validation),
        ("resourceVersion", &options.resource_version),
    ];
    parameters.extend(texts.iter().filter_map(|(k, v)| Some((k.to_string(), v.as_ref()?.to_string()))));
    if options.limit > 0 {
        parameters.push(("limit".into(), options.limit.to_string()));
    }
    if options.dry_run {
        parameters.push(("dryRun".into(), "All".into()));
    }
    if request.verb == Verb::Watch {
        parameters.push(("watch".into(), "true".into()));
    }
    parameters.extend(options.query.iter().map(|(k, v)| (k.to_string(), v.to_string())));
    parameters.order();
    for (i, (k, v)) in parameters.iter().enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(&format!("{k}={}", escape_query(v)));
    }
    out
}

/// Go's `url.QueryEscape`.
fn escape_query(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(b as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// A request body from a tree.
pub(crate) fn body(value: Value) -> Body {
    Object::from_value(value).map_or(Body::None, Body::Object)
}
