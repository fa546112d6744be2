//! A compiled jq program: nodes in one list, with names already resolved to distances.

use std::rc::Rc;

use super::value::Json;

/// A node's number in [`Program::nodes`].
pub type Id = u32;

/// An operator over two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Only in `//=`.
    Alternative,
}

/// What a node computes from its input. Variables and functions are named by how many bindings were made since.
#[derive(Clone, Debug)]
pub enum Node {
    Identity,
    Literal(Json),
    Variable(u32),
    /// `$ENV`
    Environment,
    Pipe(Id, Id),
    Comma(Id, Id),
    /// `term[index]`; the last says if an error is left out (`?`).
    Index(Id, Id, bool),
    /// The index that `[from:to]` is.
    Slice(Option<Id>, Option<Id>),
    Each(Id, bool),
    Binary(Op, Id, Id),
    Negate(Id),
    And(Id, Id),
    Or(Id, Id),
    Alternative(Id, Id),
    If(Id, Id, Id),
    Try(Id, Option<Id>),
    Reduce {
        source: Id,
        init: Id,
        update: Id,
    },
    Foreach {
        source: Id,
        init: Id,
        update: Id,
        extract: Id,
    },
    /// `source as $x | body`
    Bind(Id, Id),
    /// `def f(…): body; rest`
    Define {
        body: Id,
        rest: Id,
    },
    /// A function or a parameter, by distance.
    Call(u32, Rc<[Id]>),
    /// A function of the prelude, by its place in [`Program::globals`].
    Global(u32, Rc<[Id]>),
    /// A function that is written in Rust, by its place in the table of natives.
    Native(u16, Rc<[Id]>),
    /// `@name` as a function.
    Format(Rc<str>),
    Label(Id),
    Break(u32),
    Collect(Id),
    Object(Rc<[(Id, Id)]>),
    Path(Id),
    /// `paths |= update`
    Modify(Id, Id),
    /// `paths op= value`
    Update(Op, Id, Id),
    /// `limit(n; f)`
    Limit(Id, Id),
    Empty,
    Input,
}

/// A function of the prelude.
#[derive(Clone, Debug)]
pub struct Global {
    pub name: Rc<str>,
    pub params: u32,
    pub body: Id,
}

/// Nodes and where to begin.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub nodes: Vec<Node>,
    pub globals: Vec<Global>,
    pub start: Id,
}
