//! A jq program's text to [`Program`], by recursive descent over jq's precedences, resolving names on the way.
//!
//! Left out by name: `import`, `include` and modules, `?//` (alternative destructuring). bison's lists of what it would have
//! expected are given only where they are short.

use std::rc::Rc;

use super::ast::{Global, Id, Node, Op, Program};
use super::lexer::{Lexer, Token};
use super::natives;
use super::value::Json;

mod object;
mod term;

const PRELUDE: &str = include_str!("prelude.jq");
/// Nested constructs in a program's text.
const MAX_NESTING: u32 = 200;

/// A name that is visible.
#[derive(Clone, Debug)]
enum Name {
    Variable(String),
    Function(String, usize),
    Label(String),
    /// Takes a place, but can't be named.
    Hidden,
}

/// Stops parsing; the message is in `errors`.
struct Stop;

type Parsed<T> = Result<T, Stop>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    /// Where the token begins, and where the one before it did.
    start: usize,
    previous: usize,
    program: Program,
    names: Vec<Name>,
    errors: Vec<String>,
    nesting: u32,
    /// How many nodes the prelude had.
    nodes_before: usize,
}

/// Compiles a program. `variables` are those of the command line; their bindings must be made in this order. An error is what
/// jq prints.
pub fn compile(text: &str, variables: &[String]) -> Result<Program, String> {
    let mut prelude = Parser::new(PRELUDE, Program::default());
    let read = prelude.prelude();
    debug_assert!(read.is_ok() && prelude.errors.is_empty(), "{:?}", prelude.errors);
    let mut parser = Parser::new(text, prelude.program);
    parser.names = variables.iter().cloned().map(Name::Variable).collect();
    let result = parser.whole();
    if let Ok(start) = result
        && parser.errors.is_empty()
    {
        parser.program.start = start;
        return Ok(parser.program);
    }
    let count = parser.errors.len();
    Err(format!("{}jq: {count} compile error{}\n", parser.errors.concat(), if count == 1 { "" } else { "s" }))
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, program: Program) -> Parser<'a> {
        let lexer = Lexer::new(text);
        let nodes_before = program.nodes.len();
        let mut parser = Parser {
            lexer,
            token: Token::End,
            start: 0,
            previous: 0,
            program,
            names: Vec::new(),
            errors: Vec::new(),
            nesting: 0,
            nodes_before,
        };
        parser.advance();
        parser
    }

    fn advance(&mut self) -> Token {
        self.previous = self.start;
        let next = self.lexer.token();
        self.start = self.lexer.started;
        std::mem::replace(&mut self.token, next)
    }

    fn is(&self, op: &str) -> bool {
        matches!(&self.token, Token::Op(o) if *o == op)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Keyword(k) if *k == word)
    }

    fn accept(&mut self, op: &str) -> bool {
        let found = self.is(op);
        if found {
            self.advance();
        }
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, op: &str) -> Parsed<()> {
        if self.accept(op) { Ok(()) } else { self.unexpected("") }
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.accept_word(word) { Ok(()) } else { self.unexpected("") }
    }

    /// A syntax error at the token that is next.
    fn unexpected<T>(&mut self, expecting: &str) -> Parsed<T> {
        let at = if self.token == Token::End { self.previous } else { self.start };
        let first = self.program.nodes.len() == self.nodes_before && self.previous == self.start;
        let expecting = if expecting.is_empty() && first { "end of file" } else { expecting };
        let expecting = if expecting.is_empty() { String::new() } else { format!(", expecting {expecting}") };
        let name = self.token.name();
        self.error(at, &format!("syntax error, unexpected {name}{expecting} (Unix shell quoting issues?)"));
        Err(Stop)
    }

    /// Notes an error with the line that it is on.
    fn error(&mut self, at: usize, message: &str) {
        let text = self.lexer.text;
        let begin = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let line = text[begin..].lines().next().unwrap_or("");
        let number = text[..at].matches('\n').count() + 1;
        let pad = " ".repeat(text[begin..at].chars().count());
        self.errors.push(format!("jq: error: {message} at <top-level>, line {number}:\n{line}{pad}\n"));
    }

    fn refuse<T>(&mut self, what: &str) -> Parsed<T> {
        let at = self.start;
        self.error(at, &format!("{what} is not in this bottle"));
        Err(Stop)
    }

    fn node(&mut self, node: Node) -> Id {
        self.program.nodes.push(node);
        self.program.nodes.len() as Id - 1
    }

    fn literal(&mut self, value: Json) -> Id {
        self.node(Node::Literal(value))
    }

    fn variable(&mut self, distance: usize) -> Id {
        self.node(Node::Variable(distance as u32))
    }

    /// Parses with names added, and removes them again.
    fn within<T>(&mut self, names: Vec<Name>, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let before = self.names.len();
        self.names.extend(names);
        let result = parse(self);
        self.names.truncate(before);
        result
    }

    /// How many bindings ago a name was made.
    fn distance(&self, wanted: impl Fn(&Name) -> bool) -> Option<usize> {
        self.names.iter().rev().position(wanted)
    }

    // ---- whole texts ----

    fn prelude(&mut self) -> Parsed<()> {
        while self.accept_word("def") {
            let Token::Ident(name) = self.advance() else { return self.unexpected("") };
            let params = self.parameters()?;
            let place = self.program.globals.len();
            self.program.globals.push(Global { name: name.as_str().into(), params: params.len() as u32, body: 0 });
            let body = self.function_body(&params, None)?;
            self.program.globals[place].body = body;
        }
        if self.token == Token::End { Ok(()) } else { self.unexpected("") }
    }

    fn whole(&mut self) -> Parsed<Id> {
        if self.is_word("import") || self.is_word("include") || self.is_word("module") {
            return self.refuse("jq: a module");
        }
        let start = if self.token == Token::End { self.node(Node::Identity) } else { self.pipe()? };
        if self.token == Token::End { Ok(start) } else { self.unexpected("end of file") }
    }

    // ---- operators ----

    /// `a | b`, with what binds as loosely: `def …; rest`.
    fn pipe(&mut self) -> Parsed<Id> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return self.refuse("jq: a program nested so deep");
        }
        let parsed = self.pipe_inner();
        self.nesting -= 1;
        parsed
    }

    fn pipe_inner(&mut self) -> Parsed<Id> {
        if self.is_word("def") {
            return self.define();
        }
        let left = self.comma()?;
        if !self.accept("|") {
            return Ok(left);
        }
        let right = self.pipe()?;
        Ok(self.node(Node::Pipe(left, right)))
    }

    fn comma(&mut self) -> Parsed<Id> {
        let mut left = self.alternative()?;
        while self.accept(",") {
            let right = self.alternative()?;
            left = self.node(Node::Comma(left, right));
        }
        Ok(left)
    }

    /// `//` groups to the right.
    fn alternative(&mut self) -> Parsed<Id> {
        let left = self.assignment()?;
        if !self.accept("//") {
            return Ok(left);
        }
        let right = self.alternative()?;
        Ok(self.node(Node::Alternative(left, right)))
    }

    fn assignment(&mut self) -> Parsed<Id> {
        let left = self.or()?;
        let Token::Op(op) = self.token else { return Ok(left) };
        if !matches!(op, "=" | "|=" | "+=" | "-=" | "*=" | "/=" | "%=" | "//=") {
            return Ok(left);
        }
        self.advance();
        let right = self.or()?;
        if matches!(self.token, Token::Op("=" | "|=" | "+=" | "-=" | "*=" | "/=" | "%=" | "//=")) {
            return self.unexpected("");
        }
        let arithmetic = match op {
            "|=" => return Ok(self.node(Node::Modify(left, right))),
            "=" => {
                let args = [left, right].into();
                let global = self.global("_assign", 2).expect("the prelude has it");
                return Ok(self.node(Node::Global(global, args)));
            }
            "+=" => Op::Add,
            "-=" => Op::Sub,
            "*=" => Op::Mul,
            "/=" => Op::Div,
            "%=" => Op::Rem,
            _ => Op::Alternative,
        };
        Ok(self.node(Node::Update(arithmetic, left, right)))
    }

    fn or(&mut self) -> Parsed<Id> {
        let mut left = self.and()?;
        while self.accept_word("or") {
            let right = self.and()?;
            left = self.node(Node::Or(left, right));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Id> {
        let mut left = self.comparison()?;
        while self.accept_word("and") {
            let right = self.comparison()?;
            left = self.node(Node::And(left, right));
        }
        Ok(left)
    }

    /// Comparisons don't chain.
    fn comparison(&mut self) -> Parsed<Id> {
        let left = self.sum()?;
        let op = match self.token {
            Token::Op("==") => Op::Eq,
            Token::Op("!=") => Op::Ne,
            Token::Op("<") => Op::Lt,
            Token::Op("<=") => Op::Le,
            Token::Op(">") => Op::Gt,
            Token::Op(">=") => Op::Ge,
            _ => return Ok(left),
        };
        self.advance();
        let right = self.sum()?;
        if matches!(self.token, Token::Op("==" | "!=" | "<" | "<=" | ">" | ">=")) {
            return self.unexpected("");
        }
        Ok(self.node(Node::Binary(op, left, right)))
    }

    fn sum(&mut self) -> Parsed<Id> {
        let mut left = self.product()?;
        loop {
            let op = match self.token {
                Token::Op("+") => Op::Add,
                Token::Op("-") => Op::Sub,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.product()?;
            left = self.node(Node::Binary(op, left, right));
        }
    }

    fn product(&mut self) -> Parsed<Id> {
        if self.accept("-") {
            let operand = self.product()?;
            return Ok(self.node(Node::Negate(operand)));
        }
        let mut left = self.postfix()?;
        loop {
            let op = match self.token {
                Token::Op("*") => Op::Mul,
                Token::Op("/") => Op::Div,
                Token::Op("%") => Op::Rem,
                _ => return Ok(left),
            };
            self.advance();
            let right = if self.is("-") { self.product()? } else { self.postfix()? };
            left = self.node(Node::Binary(op, left, right));
        }
    }

    // ---- functions ----

    fn define(&mut self) -> Parsed<Id> {
        self.advance();
        let name = match self.advance() {
            Token::Ident(name) => name,
            Token::Keyword(name) => name.into(),
            _ => return self.unexpected(""),
        };
        let params = self.parameters()?;
        let function = Name::Function(name, params.len());
        let body = self.function_body(&params, Some(function.clone()))?;
        let rest = self.within(vec![function], |p| if p.token == Token::End { Ok(p.node(Node::Identity)) } else { p.pipe() })?;
        Ok(self.node(Node::Define { body, rest }))
    }

    /// Names of parameters; `true`: written with a dollar.
    fn parameters(&mut self) -> Parsed<Vec<(String, bool)>> {
        let mut params = Vec::new();
        if self.accept("(") {
            loop {
                params.push(match self.advance() {
                    Token::Ident(name) => (name, false),
                    Token::Variable(name) => (name, true),
                    _ => return self.unexpected(""),
                });
                if !self.accept(";") {
                    break;
                }
            }
            self.expect(")")?;
        }
        self.expect(":")?;
        Ok(params)
    }

    /// The body up to `;`, with the function itself (unless it is global) and its parameters in sight. `def f($a): b` is
    /// `def f(a): a as $a | b`.
    fn function_body(&mut self, params: &[(String, bool)], own: Option<Name>) -> Parsed<Id> {
        let mut names: Vec<Name> = own.into_iter().collect();
        names.extend(params.iter().map(|(name, _)| Name::Function(name.clone(), 0)));
        let values: Vec<usize> = (0..params.len()).filter(|i| params[*i].1).collect();
        names.extend(values.iter().map(|i| Name::Variable(params[*i].0.clone())));
        let mut body = self.within(names, Self::pipe)?;
        self.expect(";")?;
        for (bound, i) in values.iter().enumerate().rev() {
            let distance = (bound + params.len() - 1 - i) as u32;
            let argument = self.node(Node::Call(distance, Rc::from([])));
            body = self.node(Node::Bind(argument, body));
        }
        Ok(body)
    }

    fn global(&self, name: &str, count: usize) -> Option<u32> {
        let found = self.program.globals.iter().rposition(|g| &*g.name == name && g.params as usize == count);
        found.map(|at| at as u32)
    }

    /// The node of a call by name.
    fn call(&mut self, at: usize, name: &str, args: Vec<Id>) -> Id {
        let count = args.len();
        let args: Rc<[Id]> = args.into();
        if let Some(distance) = self.distance(|n| matches!(n, Name::Function(f, c) if f == name && *c == count)) {
            return self.node(Node::Call(distance as u32, args));
        }
        if let Some(global) = self.global(name, count) {
            return self.node(Node::Global(global, args));
        }
        match (name, &*args) {
            ("empty", []) => self.node(Node::Empty),
            ("input", []) => self.node(Node::Input),
            ("path", [path]) => self.node(Node::Path(*path)),
            ("limit", [count, body]) => self.node(Node::Limit(*count, *body)),
            _ => match natives::find(name, count) {
                Some(native) => self.node(Node::Native(native, args)),
                None => {
                    self.error(at, &format!("{name}/{count} is not defined"));
                    self.node(Node::Empty)
                }
            },
        }
    }
}
