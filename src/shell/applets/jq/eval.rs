//! The evaluator: a machine that computes a program's outputs one after another, and can be stopped and cloned at any step.
//!
//! A jq expression has many outputs, and each is fed to what follows. What follows is a [`Link`] (a continuation: a frame and
//! the next link); what else there is to try is a [`Choice`] on a stack. One step evaluates a node, hands a value to a
//! continuation, raises an error, or goes back to the newest choice. Expressions that gather the outputs of another one
//! (`[…]`, `reduce`, `//`, `|=`) leave a choice that holds what they have so far, and are finished when it is come back to.
//! `break` and caught errors cut the stack to where their construct began.
//!
//! A value may carry the path by which it was reached ([`Track`]); `path(f)` and assignments ask for it.

use std::rc::Rc;

use super::ast::{Id, Node, Op, Program};
use super::chain::{Args, Binding, Choice, Env, EnvLink, Frame, Item, Kont, Link, Track, Update};
use super::natives::{self, Failure, World};
use super::printer::excerpt;
use super::value::{Array, Json, Object};
use super::{ops, paths};

mod returns;

/// More frames than this are a recursion without end.
const MAX_FRAMES: u32 = 200_000;
/// Likewise choices.
const MAX_CHOICES: usize = 1 << 20;

/// What a run stopped at.
#[derive(Debug)]
pub enum Event {
    Output(Json),
    /// No more outputs.
    Done,
    /// An error that nobody caught.
    Error(Json),
    /// `input`: call [`Machine::resume`].
    NeedsInput,
    Halt(i32, Option<Json>),
    /// The steps are used up.
    Paused,
    /// More memory than there is.
    OutOfMemory,
}

/// What comes next.
#[derive(Clone, Debug)]
enum Task {
    Eval(Id, Env, Item, Kont),
    Return(Item, Kont),
    Raise(Json, Kont),
    Backtrack,
}

/// A program that is being run on one input.
#[derive(Clone)]
pub struct Machine {
    program: Rc<Program>,
    task: Task,
    choices: Vec<Choice>,
    /// Who waits for `input`.
    waiting: Option<Kont>,
    stop: Option<Stop>,
    /// Bytes allocated so far, roughly: says when to look how many are still held.
    pub allocated: usize,
}

/// An end that a step can't say by its task.
#[derive(Clone, Debug)]
enum Stop {
    Halt(i32, Option<Json>),
    OutOfMemory,
}

impl Machine {
    /// Begins with an input and the values of the command line's variables.
    pub fn new(program: Rc<Program>, input: Json, variables: &[Json]) -> Machine {
        let env = variables.iter().fold(None, |env, value| EnvLink::add(&env, Binding::Value(value.clone())));
        let task = Task::Eval(program.start, env, Item { value: input, track: Track::Off }, None);
        Machine { program, task, choices: Vec::new(), waiting: None, stop: None, allocated: 0 }
    }

    /// Answers `input`; `None`: there is no more.
    pub fn resume(&mut self, input: Option<Json>) {
        let Some(kont) = self.waiting.take() else { return };
        self.task = match input {
            Some(value) => Task::Return(Item { value, track: Track::Off }, kont),
            None => Task::Raise(Json::str("No more inputs"), kont),
        };
    }

    /// Goes on until something is to be said. `steps` counts down.
    pub fn run(&mut self, world: &mut World<'_>, steps: &mut u32) -> Event {
        while *steps > 0 {
            *steps -= 1;
            match std::mem::replace(&mut self.task, Task::Backtrack) {
                Task::Return(item, None) => return Event::Output(item.value),
                Task::Return(item, Some(link)) => self.give(item, link, world),
                Task::Eval(id, env, item, kont) => {
                    if kont.as_ref().is_some_and(|k| k.depth > MAX_FRAMES) || self.choices.len() > MAX_CHOICES {
                        return Event::OutOfMemory;
                    }
                    if !self.eval(id, env, item, kont) {
                        return Event::NeedsInput;
                    }
                }
                Task::Raise(error, kont) => {
                    if let Some(error) = self.raise(error, kont) {
                        self.choices.clear();
                        return Event::Error(error);
                    }
                }
                Task::Backtrack => match self.choices.pop() {
                    Some(choice) => self.retry(choice),
                    None => return Event::Done,
                },
            }
            *steps = steps.saturating_sub((world.spent / 64) as u32);
            self.allocated += std::mem::take(&mut world.spent);
            match self.stop.take() {
                Some(Stop::Halt(code, value)) => return Event::Halt(code, value),
                Some(Stop::OutOfMemory) => return Event::OutOfMemory,
                None => {}
            }
        }
        Event::Paused
    }

    /// All that it holds, for counting memory.
    pub fn held(&self) -> usize {
        super::memory::held(&self.choices, self.kont_of_task(), self.waiting.as_ref())
    }

    fn kont_of_task(&self) -> Option<(&Kont, Option<&Env>, &Json)> {
        match &self.task {
            Task::Eval(_, env, item, kont) => Some((kont, Some(env), &item.value)),
            Task::Return(item, kont) => Some((kont, None, &item.value)),
            Task::Raise(error, kont) => Some((kont, None, error)),
            Task::Backtrack => None,
        }
    }

    fn back(&mut self) {
        self.task = Task::Backtrack;
    }

    fn fail(&mut self, message: impl AsRef<str>, kont: Kont) {
        self.task = Task::Raise(Json::str(message), kont);
    }

    /// Hands on a computed value: it has no path.
    fn answer(&mut self, value: Json, track: &Track, kont: Kont) {
        self.task = Task::Return(Item { value, track: track.lost() }, kont);
    }

    /// The same with something that was put together: it may be nested only so deep.
    fn answer_deep(&mut self, value: Json, track: &Track, kont: Kont) {
        let result = ops::deep_enough(value).map_err(Failure::from);
        self.settle(result, track, kont);
    }

    /// Hands on a result.
    fn settle(&mut self, result: Result<Json, Failure>, track: &Track, kont: Kont) {
        match result {
            Ok(value) => self.answer(value, track, kont),
            Err(Failure::Error(error)) => self.task = Task::Raise(error, kont),
            Err(Failure::Halt(code, value)) => self.stop = Some(Stop::Halt(code, value)),
            Err(Failure::OutOfMemory) => self.stop = Some(Stop::OutOfMemory),
        }
    }

    /// Evaluates a node with a frame on top of the continuation.
    fn then(&mut self, id: Id, env: Env, item: Item, frame: Frame, kont: Kont) {
        self.task = Task::Eval(id, env, item, Link::push(frame, kont));
    }

    /// Takes an error to the innermost construct that catches it; gives it back if there is none.
    fn raise(&mut self, error: Json, mut kont: Kont) -> Option<Json> {
        while let Some(link) = kont {
            match &link.frame {
                Frame::Attempt { height, handler: Some((id, env)), track } => {
                    self.choices.truncate(*height);
                    let item = Item { value: error, track: track.lost() };
                    self.task = Task::Eval(*id, env.clone(), item, link.next.clone());
                    return None;
                }
                Frame::Attempt { height, handler: None, .. } => {
                    self.choices.truncate(*height);
                    self.back();
                    return None;
                }
                _ => {}
            }
            kont = link.next.clone();
        }
        Some(error)
    }

    /// Evaluates one node. False: it asks for input.
    fn eval(&mut self, id: Id, env: Env, item: Item, kont: Kont) -> bool {
        let program = self.program.clone();
        let height = self.choices.len();
        match &program.nodes[id as usize] {
            Node::Identity => self.task = Task::Return(item, kont),
            // `path(null)` where null is: nothing has been computed.
            Node::Literal(Json::Null) if matches!(item.value, Json::Null) => self.task = Task::Return(item, kont),
            Node::Literal(value) => self.answer(value.clone(), &item.track, kont),
            Node::Variable(distance) => {
                let value = EnvLink::value(&env, *distance);
                self.answer(value, &item.track, kont);
            }
            Node::Environment => {
                let native = natives::find("_env", 0).expect("it is in the table");
                self.then_native(native, &Rc::from([]), env, item, kont);
            }
            Node::Pipe(left, right) => {
                let frame = Frame::Pipe(*right, env.clone());
                self.then(*left, env, item, frame, kont);
            }
            Node::Comma(left, right) => {
                self.choices.push(Choice::Eval(*right, env.clone(), item.clone(), kont.clone()));
                self.task = Task::Eval(*left, env, item, kont);
            }
            Node::Index(term, key, optional) => match &program.nodes[*key as usize] {
                Node::Literal(key) => {
                    let frame = Frame::Index { key: key.clone(), optional: *optional };
                    self.then(*term, env, item, frame, kont);
                }
                _ => {
                    let frame = Frame::IndexKey { term: *term, env: env.clone(), item: item.clone(), optional: *optional };
                    self.then(*key, env, item.untracked(), frame, kont);
                }
            },
            Node::Slice(from, to) => match (from, to) {
                (Some(from), to) => {
                    let frame = Frame::SliceFrom { to: *to, env: env.clone(), input: item.value.clone() };
                    self.then(*from, env, item.untracked(), frame, kont);
                }
                (None, Some(to)) => self.then(*to, env, item.untracked(), Frame::SliceTo { from: Json::Null }, kont),
                (None, None) => self.back(),
            },
            Node::Each(term, optional) => self.then(*term, env, item, Frame::Each { optional: *optional }, kont),
            Node::Binary(op, left, right) => self.binary(*op, *left, *right, env, item, kont),
            Node::Negate(operand) => {
                let track = item.track.clone();
                self.then(*operand, env, item.untracked(), Frame::Negate { track }, kont);
            }
            Node::And(left, right) | Node::Or(left, right) => {
                let and = matches!(program.nodes[id as usize], Node::And(..));
                let frame = Frame::Logic { and, right: *right, env: env.clone(), item: item.clone() };
                self.then(*left, env, item.untracked(), frame, kont);
            }
            Node::Alternative(left, right) => {
                self.choices.push(Choice::Alternative {
                    found: false,
                    right: *right,
                    env: env.clone(),
                    item: item.clone(),
                    kont: kont.clone(),
                });
                self.then(*left, env, item, Frame::Alternative { height }, kont);
            }
            Node::If(test, then, otherwise) => {
                let frame = Frame::If { then: *then, otherwise: *otherwise, env: env.clone(), item: item.clone() };
                self.then(*test, env, item.untracked(), frame, kont);
            }
            Node::Try(body, handler) => {
                let handler = handler.map(|h| (h, env.clone()));
                let track = item.track.clone();
                self.then(*body, env, item, Frame::Attempt { height, handler, track }, kont);
            }
            Node::Reduce { source, init, update } => {
                let frame = Frame::FoldInit {
                    source: *source,
                    update: *update,
                    extract: None,
                    env: env.clone(),
                    item: item.clone(),
                    reduce: true,
                };
                self.then(*init, env, item, frame, kont);
            }
            Node::Foreach { source, init, update, extract } => {
                let extract = Some(*extract);
                let (e, i) = (env.clone(), item.clone());
                let frame = Frame::FoldInit { source: *source, update: *update, extract, env: e, item: i, reduce: false };
                self.then(*init, env, item, frame, kont);
            }
            Node::Bind(source, body) => {
                let frame = Frame::Bind { body: *body, env: env.clone(), item: item.clone() };
                self.then(*source, env, item.untracked(), frame, kont);
            }
            Node::Define { body, rest } => {
                let env = EnvLink::add(&env, Binding::Function(*body));
                self.task = Task::Eval(*rest, env, item, kont);
            }
            Node::Call(distance, args) => self.call(*distance, args, env, item, kont),
            Node::Global(at, args) => {
                let body = program.globals[*at as usize].body;
                let inner = args.iter().fold(None, |e, arg| EnvLink::add(&e, Binding::Closure(*arg, env.clone())));
                self.task = Task::Eval(body, inner, item, kont);
            }
            Node::Native(native, args) => self.then_native(*native, args, env, item, kont),
            Node::Format(name) => self.format(name, item, kont),
            Node::Label(body) => {
                let env = EnvLink::add(&env, Binding::Label(height));
                self.task = Task::Eval(*body, env, item, kont);
            }
            Node::Break(distance) => {
                self.choices.truncate(EnvLink::label(&env, *distance));
                self.back();
            }
            Node::Collect(items) => {
                self.choices.push(Choice::Collect { items: Array::default(), track: item.track.clone(), kont: kont.clone() });
                self.then(*items, env, item.untracked(), Frame::Collect { height }, kont);
            }
            Node::Object(members) => {
                let made = Rc::new(Object::default());
                self.object(id, members, 0, made, env, item, kont);
            }
            Node::Path(path) => {
                let frame = Frame::PathEnd { track: item.track.clone() };
                let item = Item { value: item.value, track: Track::At(None) };
                self.then(*path, env, item, frame, kont);
            }
            Node::Modify(paths, update) => {
                let update = Update::By(*update, env.clone());
                self.modify(*paths, update, env, item, kont);
            }
            Node::Update(op, paths, value) => {
                let frame = Frame::UpdateValue { op: *op, paths: *paths, env: env.clone(), item: item.clone() };
                self.then(*value, env, item.untracked(), frame, kont);
            }
            Node::Limit(count, body) => {
                let frame = Frame::LimitTo { body: *body, env: env.clone(), item: item.clone() };
                self.then(*count, env, item.untracked(), frame, kont);
            }
            Node::Empty => self.back(),
            Node::Input => {
                self.waiting = Some(kont);
                return false;
            }
        }
        true
    }

    /// Both sides at once if they are plain; else the right one, and for each of its outputs the left one.
    fn binary(&mut self, op: Op, left: Id, right: Id, env: Env, item: Item, kont: Kont) {
        let plain = |id: Id| match &self.program.nodes[id as usize] {
            Node::Literal(value) => Some(value.clone()),
            Node::Variable(distance) => Some(EnvLink::value(&env, *distance)),
            _ => None,
        };
        let is_input = matches!(self.program.nodes[left as usize], Node::Identity);
        match plain(right) {
            // The input is given away, so that adding to a list in a loop doesn't copy it.
            Some(right) if is_input => {
                let result = ops::calculate(op, item.value, right).map_err(Failure::from);
                self.settle(result, &item.track, kont);
            }
            Some(right) => {
                let track = item.track.clone();
                self.then(left, env, item.untracked(), Frame::Left { op, right, track }, kont);
            }
            None => {
                let frame = Frame::Right { op, left, env: env.clone(), item: item.clone() };
                self.then(right, env, item.untracked(), frame, kont);
            }
        }
    }

    fn call(&mut self, distance: u32, args: &[Id], env: Env, item: Item, kont: Kont) {
        let Some(found) = EnvLink::at(&env, distance) else { return self.back() };
        match &found.binding {
            Binding::Closure(id, env) => self.task = Task::Eval(*id, env.clone(), item, kont),
            Binding::Function(body) => {
                let own = Some(found.clone());
                let inner = args.iter().fold(own, |e, arg| EnvLink::add(&e, Binding::Closure(*arg, env.clone())));
                self.task = Task::Eval(*body, inner, item, kont);
            }
            Binding::Value(_) | Binding::Label(_) => self.back(),
        }
    }

    /// A native function: its last argument varies slowest.
    fn then_native(&mut self, native: u16, args: &Rc<[Id]>, env: Env, item: Item, kont: Kont) {
        let frame =
            Frame::Native { native, args: args.clone(), left: args.len(), got: None, env: env.clone(), item: item.clone() };
        match args.last() {
            None => self.task = Task::Return(item, Link::push(frame, kont)),
            Some(last) => self.then(*last, env, item.untracked(), frame, kont),
        }
    }

    fn format(&mut self, name: &Rc<str>, item: Item, kont: Kont) {
        let result = super::format::format(name, &item.value).map_err(Failure::from);
        self.settle(result, &item.track, kont);
    }

    /// The next member of an object under construction.
    fn object(&mut self, id: Id, members: &[(Id, Id)], at: usize, made: Rc<Object>, env: Env, item: Item, kont: Kont) {
        let Some((key, _)) = members.get(at) else {
            return self.answer_deep(Json::Object(made), &item.track, kont);
        };
        let frame = Frame::ObjectKey { id, at, made, env: env.clone(), item: item.clone() };
        self.then(*key, env, item.untracked(), frame, kont);
    }

    /// `paths |= update`: the state lies in a choice, each path changes it.
    fn modify(&mut self, paths: Id, update: Update, env: Env, item: Item, kont: Kont) {
        let height = self.choices.len();
        self.choices.push(Choice::Modify {
            state: item.value.clone(),
            gone: Vec::new(),
            track: item.track.clone(),
            kont: kont.clone(),
        });
        let tracked = Item { value: item.value, track: Track::At(None) };
        let frame = Frame::ModifyPath { height, update };
        self.then(paths, env, tracked, frame, kont);
    }

    /// Takes up a choice.
    fn retry(&mut self, choice: Choice) {
        match choice {
            Choice::Eval(id, env, item, kont) => self.task = Task::Eval(id, env, item, kont),
            Choice::Each { items, at, track, kont } => self.each(items, at, track, kont),
            Choice::EachMember { members, at, track, kont } => self.each_member(members, at, track, kont),
            Choice::Range { at, to, by, track, kont } => self.range(at, to, by, track, kont),
            Choice::Alternative { found: true, .. } | Choice::Foreach { .. } | Choice::Limit { .. } => {}
            Choice::Alternative { right, env, item, kont, .. } => self.task = Task::Eval(right, env, item, kont),
            Choice::Collect { items, track, kont } => self.answer_deep(Json::Array(Rc::new(items)), &track, kont),
            Choice::Reduce { state, kont } => self.task = Task::Return(state.unwrap_or_default(), kont),
            Choice::Modify { state, gone, track, kont } => {
                let result = paths::delete_all(state, gone).map_err(Failure::from);
                self.settle(result, &track, kont);
            }
            Choice::ModifyEmpty { height, path } => {
                if let Some(Choice::Modify { gone, .. }) = self.choices.get_mut(height) {
                    gone.push(path);
                }
            }
        }
    }

    fn each(&mut self, items: Rc<Array>, at: usize, track: Track, kont: Kont) {
        let Some(value) = items.items().get(at).cloned() else { return self.back() };
        let item = Item { value, track: track.step(|| Json::int(at as i64)) };
        if at + 1 < items.items().len() {
            self.choices.push(Choice::Each { items, at: at + 1, track, kont: kont.clone() });
        }
        self.task = Task::Return(item, kont);
    }

    fn each_member(&mut self, members: Rc<[(Rc<str>, Json)]>, at: usize, track: Track, kont: Kont) {
        let Some((key, value)) = members.get(at).cloned() else { return self.back() };
        let item = Item { value, track: track.step(|| Json::String(key)) };
        if at + 1 < members.len() {
            self.choices.push(Choice::EachMember { members, at: at + 1, track, kont: kont.clone() });
        }
        self.task = Task::Return(item, kont);
    }

    fn range(&mut self, at: f64, to: f64, by: f64, track: Track, kont: Kont) {
        let inside = if by > 0.0 { at < to } else { by < 0.0 && at > to };
        if !inside {
            return self.back();
        }
        self.choices.push(Choice::Range { at: at + by, to, by, track: track.clone(), kont: kont.clone() });
        self.answer(Json::Number(at), &track, kont);
    }
}
