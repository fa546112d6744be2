//! A command is a chain of stages: what one is, how it stops, and how it hands on to the next.

use std::rc::Rc;

use super::Ctx;
use crate::error::Error;

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
