//! How much memory an evaluator holds: everything that can be reached from its state, each shared part once.

use std::collections::HashSet;
use std::rc::Rc;

use super::chain::{Binding, Choice, Env, Frame, Item, Kont, Update};
use super::value::Json;

/// Counts bytes; what was seen is known by its address. The set is asked, never walked.
#[derive(Default)]
struct Count {
    seen: HashSet<usize>,
    bytes: usize,
}

/// Bytes that choices, a task's parts and a waiting continuation hold.
pub fn held(choices: &[Choice], task: Option<(&Kont, Option<&Env>, &Json)>, waiting: Option<&Kont>) -> usize {
    let mut count = Count::default();
    for choice in choices {
        count.bytes += size_of::<Choice>();
        count.choice(choice);
    }
    if let Some((kont, env, value)) = task {
        count.kont(kont);
        count.env(env.unwrap_or(&None));
        count.value(value);
    }
    if let Some(kont) = waiting {
        count.kont(kont);
    }
    count.bytes
}

impl Count {
    fn is_new<T: ?Sized>(&mut self, shared: &Rc<T>) -> bool {
        self.seen.insert(Rc::as_ptr(shared).cast::<()>() as usize)
    }

    fn value(&mut self, value: &Json) {
        let new = match value {
            Json::String(text) => self.is_new(text),
            Json::Array(array) => self.is_new(array),
            Json::Object(object) => self.is_new(object),
            Json::Literal(literal) => self.is_new(literal),
            _ => false,
        };
        if !new {
            return;
        }
        self.bytes += value.own_bytes();
        match value {
            Json::Array(array) => array.items().iter().for_each(|v| self.value(v)),
            Json::Object(object) => object.sorted().for_each(|(key, v)| {
                self.bytes += if self.is_new(key) { key.len() + 16 } else { 0 };
                self.value(v);
            }),
            _ => {}
        }
    }

    fn item(&mut self, item: &Item) {
        self.value(&item.value);
        self.bytes += item.track.depth().min(64) as usize;
    }

    fn env(&mut self, env: &Env) {
        let mut todo = vec![env];
        while let Some(env) = todo.pop() {
            let Some(link) = env.as_ref().filter(|link| self.is_new(link)) else { continue };
            self.bytes += 64;
            match &link.binding {
                Binding::Value(value) => self.value(value),
                Binding::Closure(_, env) => todo.push(env),
                _ => {}
            }
            todo.push(&link.next);
        }
    }

    fn kont(&mut self, kont: &Kont) {
        let mut kont = kont.as_ref();
        while let Some(link) = kont.filter(|link| self.is_new(link)) {
            self.bytes += 160;
            self.frame(&link.frame);
            kont = link.next.as_ref();
        }
    }

    fn frame(&mut self, frame: &Frame) {
        match frame {
            Frame::Pipe(_, env) | Frame::FoldStep { env, .. } | Frame::FoldStore { env, .. } => self.env(env),
            Frame::IndexKey { env, item, .. }
            | Frame::Right { env, item, .. }
            | Frame::Logic { env, item, .. }
            | Frame::If { env, item, .. }
            | Frame::FoldInit { env, item, .. }
            | Frame::Bind { env, item, .. }
            | Frame::Native { env, item, .. }
            | Frame::LimitTo { env, item, .. }
            | Frame::ObjectKey { env, item, .. }
            | Frame::ObjectValue { env, item, .. }
            | Frame::UpdateValue { env, item, .. } => {
                self.env(env);
                self.item(item);
            }
            Frame::SliceFrom { env, input, .. } => {
                self.env(env);
                self.value(input);
            }
            Frame::Left { right: value, .. } | Frame::Index { key: value, .. } | Frame::SliceTo { from: value } => {
                self.value(value)
            }
            Frame::Attempt { handler, .. } => handler.iter().for_each(|(_, env)| self.env(env)),
            Frame::ModifyPath { update, .. } => match update {
                Update::By(_, env) => self.env(env),
                Update::With(_, value) => self.value(value),
            },
            Frame::ModifyStore { path, .. } => self.value(path),
            Frame::Each { .. }
            | Frame::Negate { .. }
            | Frame::Truth { .. }
            | Frame::Alternative { .. }
            | Frame::Limit { .. }
            | Frame::Collect { .. }
            | Frame::PathEnd { .. } => {}
        }
    }

    fn choice(&mut self, choice: &Choice) {
        match choice {
            Choice::Eval(_, env, item, kont) | Choice::Alternative { env, item, kont, .. } => {
                self.env(env);
                self.item(item);
                self.kont(kont);
            }
            Choice::Each { items, kont, .. } => {
                self.value(&Json::Array(items.clone()));
                self.kont(kont);
            }
            Choice::EachMember { members, kont, .. } => {
                members.iter().for_each(|(_, value)| self.value(value));
                self.kont(kont);
            }
            Choice::Collect { items, kont, .. } => {
                self.bytes += size_of_val(items.items());
                items.items().iter().for_each(|value| self.value(value));
                self.kont(kont);
            }
            Choice::Reduce { state, kont } => {
                state.iter().for_each(|item| self.item(item));
                self.kont(kont);
            }
            Choice::Foreach { state } => state.iter().for_each(|item| self.item(item)),
            Choice::Modify { state, gone, kont, .. } => {
                self.value(state);
                gone.iter().for_each(|path| self.value(path));
                self.kont(kont);
            }
            Choice::ModifyEmpty { path, .. } => self.value(path),
            Choice::Range { kont, .. } => self.kont(kont),
            Choice::Limit { .. } => {}
        }
    }
}
