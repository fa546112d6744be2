//! The syntax tree of a shell script. Shared behind `Rc`: an evaluator's state points into it and stays cheap to clone.

use std::cell::OnceCell;
use std::rc::Rc;

use cri_api::Text;

/// A command of any kind.
#[derive(Debug)]
pub enum Cmd {
    Simple(Simple),
    /// `! a | b`
    Pipeline {
        not: bool,
        stages: Vec<Rc<Cmd>>,
    },
    /// `a && b || c`: the first, then (is it `&&`, command).
    AndOr {
        first: Rc<Cmd>,
        rest: Vec<(bool, Rc<Cmd>)>,
    },
    /// `a; b & c`: with true for what runs in the background.
    List(Vec<(Rc<Cmd>, bool)>),
    Subshell(Rc<Cmd>),
    If {
        arms: Vec<(Rc<Cmd>, Rc<Cmd>)>,
        otherwise: Option<Rc<Cmd>>,
    },
    While {
        until: bool,
        condition: Rc<Cmd>,
        body: Rc<Cmd>,
    },
    For {
        name: Text,
        words: Option<Vec<Word>>,
        body: Rc<Cmd>,
    },
    Case {
        word: Word,
        arms: Vec<(Vec<Word>, Rc<Cmd>)>,
    },
    Function {
        name: Text,
        body: Rc<Cmd>,
    },
    /// `[[ … ]]`
    Condition(Rc<Cond>),
    /// `(( … ))`
    Arithmetic(Word),
    /// A compound command with redirections.
    Redirected {
        command: Rc<Cmd>,
        redirects: Vec<Redirect>,
    },
}

#[derive(Debug)]
pub struct Simple {
    pub assignments: Vec<(Text, Word)>,
    pub words: Vec<Word>,
    pub redirects: Vec<Redirect>,
    pub line: u32,
}

/// A word before expansion. Empty for `''`… an empty part list never leaves the parser except for `x=`.
#[derive(Clone, Debug, Default)]
pub struct Word {
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug)]
pub enum Part {
    /// Unquoted text: may hold glob characters.
    Literal(Text),
    /// From single quotes or a backslash.
    Quoted(Text),
    /// `"…"`
    Double(Vec<Part>),
    Param(Rc<Param>),
    /// `$(…)` or backquotes.
    Command(Rc<Cmd>),
    /// `$((…))`
    Arithmetic(Word),
    /// `~` or `~user` at a word's beginning.
    Tilde(Text),
}

#[derive(Debug)]
pub struct Param {
    pub name: Text,
    pub op: ParamOp,
}

#[derive(Debug)]
pub enum ParamOp {
    None,
    /// `${#x}`
    Length,
    /// `${!x}`
    Indirect,
    /// `${x:-w}`: the operator is one of `- = ? +`.
    Test {
        colon: bool,
        operator: u8,
        word: Word,
    },
    /// `${x#w}`, `${x##w}`, `${x%w}`, `${x%%w}`
    Trim {
        suffix: bool,
        longest: bool,
        pattern: Word,
    },
    /// `${x:offset:length}`
    Slice {
        offset: Word,
        length: Option<Word>,
    },
    /// `${x/p/r}`, `${x//p/r}`, `${x/#p/r}`, `${x/%p/r}`: the mode is a slash, `#`, `%` or 0.
    Replace {
        mode: u8,
        pattern: Word,
        with: Word,
    },
    /// `${x^^}`, `${x,,}`, `${x^}`, `${x,}`
    Case {
        upper: bool,
        all: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Redirect {
    pub fd: u32,
    pub kind: RedirectKind,
}

#[derive(Clone, Debug)]
pub enum RedirectKind {
    Read(Word),
    Write {
        word: Word,
        clobber: bool,
    },
    Append(Word),
    ReadWrite(Word),
    /// `>&w`, `<&w`: a descriptor or `-`.
    Dup(Word),
    /// `&>w` (and `>&w` with a file's name): stdout and stderr.
    Both {
        word: Word,
        append: bool,
    },
    /// `<<` and `<<-`, filled in when the parser comes to the body.
    HereDoc(Rc<OnceCell<Word>>),
    /// `<<<`
    HereString(Word),
}

/// An expression of `[[ … ]]`.
#[derive(Debug)]
pub enum Cond {
    Or(Rc<Cond>, Rc<Cond>),
    And(Rc<Cond>, Rc<Cond>),
    Not(Rc<Cond>),
    Unary(Text, Word),
    Binary(Text, Word, Word),
    Word(Word),
}
