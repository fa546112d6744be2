//! What the evaluator's state is made of: chains of reference-counted links, each shared by all that follow it. Chains can
//! be long, so links are dropped one by one and never by recursion.

use std::rc::Rc;

use super::ast::{Id, Op};
use super::value::{Array, Json, Object};

/// A value on its way, with how it was reached.
#[derive(Clone, Debug, Default)]
pub struct Item {
    pub value: Json,
    pub track: Track,
}

impl Item {
    /// The same for an expression whose path nobody asks for.
    pub fn untracked(self) -> Item {
        Item { value: self.value, track: Track::Off }
    }
}

/// Whether somebody wants to know a value's path.
#[derive(Clone, Debug, Default)]
pub enum Track {
    #[default]
    Off,
    /// This is the path (`None`: the root).
    At(Option<Rc<Step>>),
    /// It was computed: there is none.
    Lost,
}

/// The last key of a path, and the path before it.
#[derive(Debug)]
pub struct Step {
    key: Json,
    depth: u32,
    up: Option<Rc<Step>>,
}

impl Drop for Step {
    fn drop(&mut self) {
        let mut up = self.up.take();
        while let Some(mut step) = up.and_then(Rc::into_inner) {
            up = step.up.take();
        }
    }
}

impl Track {
    /// For what is computed from the value.
    pub fn lost(&self) -> Track {
        if matches!(self, Track::Off) { Track::Off } else { Track::Lost }
    }

    /// One key further.
    pub fn step(&self, key: impl FnOnce() -> Json) -> Track {
        match self {
            Track::At(up) => Track::At(Some(Rc::new(Step { key: key(), depth: self.depth() + 1, up: up.clone() }))),
            other => other.clone(),
        }
    }

    pub fn depth(&self) -> u32 {
        if let Track::At(Some(step)) = self { step.depth } else { 0 }
    }

    /// The path as a value.
    pub fn path(&self) -> Option<Json> {
        let Track::At(last) = self else { return None };
        let mut keys = Vec::new();
        let mut step = last.as_ref();
        while let Some(s) = step {
            keys.push(s.key.clone());
            step = s.up.as_ref();
        }
        Some(Json::array(keys.into_iter().rev()))
    }
}

/// Variables, functions and labels in sight, the newest first.
pub type Env = Option<Rc<EnvLink>>;

#[derive(Debug)]
pub struct EnvLink {
    pub binding: Binding,
    pub next: Env,
}

#[derive(Clone, Debug)]
pub enum Binding {
    Value(Json),
    Function(Id),
    /// An argument: an expression with the names that it sees.
    Closure(Id, Env),
    /// How many choices there were.
    Label(usize),
}

impl EnvLink {
    pub fn add(env: &Env, binding: Binding) -> Env {
        Some(Rc::new(EnvLink { binding, next: env.clone() }))
    }

    /// The link so many bindings ago.
    pub fn at(env: &Env, distance: u32) -> Option<&Rc<EnvLink>> {
        let mut link = env.as_ref()?;
        for _ in 0..distance {
            link = link.next.as_ref()?;
        }
        Some(link)
    }

    pub fn value(env: &Env, distance: u32) -> Json {
        match EnvLink::at(env, distance).map(|l| &l.binding) {
            Some(Binding::Value(value)) => value.clone(),
            _ => Json::Null,
        }
    }

    pub fn label(env: &Env, distance: u32) -> usize {
        match EnvLink::at(env, distance).map(|l| &l.binding) {
            Some(Binding::Label(height)) => *height,
            _ => 0,
        }
    }
}

impl Drop for EnvLink {
    fn drop(&mut self) {
        let mut rest = vec![self.next.take()];
        if let Binding::Closure(_, env) = &mut self.binding {
            rest.push(env.take());
        }
        while let Some(env) = rest.pop() {
            let Some(mut link) = env.and_then(Rc::into_inner) else { continue };
            rest.push(link.next.take());
            if let Binding::Closure(_, env) = &mut link.binding {
                rest.push(env.take());
            }
        }
    }
}

/// What is done with a value; `None`: it is an output of the program.
pub type Kont = Option<Rc<Link>>;

#[derive(Debug)]
pub struct Link {
    pub frame: Frame,
    pub next: Kont,
    pub depth: u32,
}

impl Link {
    pub fn push(frame: Frame, next: Kont) -> Kont {
        let depth = next.as_ref().map_or(0, |k| k.depth) + 1;
        Some(Rc::new(Link { frame, next, depth }))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut link) = next.and_then(Rc::into_inner) {
            next = link.next.take();
        }
    }
}

/// One thing to do with a value. `env` and `item` are those of the node that pushed the frame.
#[derive(Debug)]
pub enum Frame {
    Pipe(Id, Env),
    IndexKey {
        term: Id,
        env: Env,
        item: Item,
        optional: bool,
    },
    Index {
        key: Json,
        optional: bool,
    },
    SliceFrom {
        to: Option<Id>,
        env: Env,
        input: Json,
    },
    SliceTo {
        from: Json,
    },
    Each {
        optional: bool,
    },
    Right {
        op: Op,
        left: Id,
        env: Env,
        item: Item,
    },
    Left {
        op: Op,
        right: Json,
        track: Track,
    },
    Negate {
        track: Track,
    },
    Logic {
        and: bool,
        right: Id,
        env: Env,
        item: Item,
    },
    Truth {
        track: Track,
    },
    Alternative {
        height: usize,
    },
    If {
        then: Id,
        otherwise: Id,
        env: Env,
        item: Item,
    },
    Attempt {
        height: usize,
        handler: Option<(Id, Env)>,
        track: Track,
    },
    FoldInit {
        source: Id,
        update: Id,
        extract: Option<Id>,
        env: Env,
        item: Item,
        reduce: bool,
    },
    FoldStep {
        height: usize,
        update: Id,
        extract: Option<Id>,
        env: Env,
    },
    FoldStore {
        height: usize,
        extract: Option<Id>,
        env: Env,
    },
    Bind {
        body: Id,
        env: Env,
        item: Item,
    },
    Native {
        native: u16,
        args: Rc<[Id]>,
        /// Arguments that are still to be evaluated, the first ones.
        left: usize,
        got: Option<Rc<Args>>,
        env: Env,
        item: Item,
    },
    /// `limit(n; f)`: here comes n.
    LimitTo {
        body: Id,
        env: Env,
        item: Item,
    },
    Limit {
        height: usize,
    },
    Collect {
        height: usize,
    },
    ObjectKey {
        id: Id,
        at: usize,
        made: Rc<Object>,
        env: Env,
        item: Item,
    },
    ObjectValue {
        id: Id,
        at: usize,
        made: Rc<Object>,
        key: Rc<str>,
        env: Env,
        item: Item,
    },
    PathEnd {
        track: Track,
    },
    UpdateValue {
        op: Op,
        paths: Id,
        env: Env,
        item: Item,
    },
    ModifyPath {
        height: usize,
        update: Update,
    },
    ModifyStore {
        height: usize,
        path: Json,
    },
}

/// How a path's value is changed.
#[derive(Clone, Debug)]
pub enum Update {
    By(Id, Env),
    With(Op, Json),
}

/// Arguments evaluated so far: the first one is on top.
#[derive(Debug)]
pub struct Args {
    value: Json,
    next: Option<Rc<Args>>,
}

impl Args {
    pub fn add(value: Json, next: &Option<Rc<Args>>) -> Option<Rc<Args>> {
        Some(Rc::new(Args { value, next: next.clone() }))
    }

    pub fn list(args: &Option<Rc<Args>>) -> Vec<Json> {
        std::iter::successors(args.as_ref(), |a| a.next.as_ref()).map(|a| a.value.clone()).collect()
    }
}

/// What is still to be tried, or what gathers outputs until there are no more.
#[derive(Clone, Debug)]
pub enum Choice {
    Eval(Id, Env, Item, Kont),
    Each {
        items: Rc<Array>,
        at: usize,
        track: Track,
        kont: Kont,
    },
    EachMember {
        members: Rc<[(Rc<str>, Json)]>,
        at: usize,
        track: Track,
        kont: Kont,
    },
    Range {
        at: f64,
        to: f64,
        by: f64,
        track: Track,
        kont: Kont,
    },
    Alternative {
        found: bool,
        right: Id,
        env: Env,
        item: Item,
        kont: Kont,
    },
    Collect {
        items: Array,
        track: Track,
        kont: Kont,
    },
    Reduce {
        state: Option<Item>,
        kont: Kont,
    },
    Foreach {
        state: Option<Item>,
    },
    Limit {
        left: f64,
    },
    Modify {
        state: Json,
        /// Paths whose update had no output.
        gone: Vec<Json>,
        track: Track,
        kont: Kont,
    },
    ModifyEmpty {
        height: usize,
        path: Json,
    },
}
