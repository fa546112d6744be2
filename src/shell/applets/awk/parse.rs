//! awk's grammar.

mod tokens;

use regex_lite::Regex;
use tokens::{KEYWORDS, Result, Token, tokens};

pub(super) enum Expr {
    Number(f64),
    Text(String),
    Regex(Regex),
    Var(String),
    Field(Box<Expr>),
    Index(String, Vec<Expr>),
    Assign(&'static str, Box<Expr>, Box<Expr>),
    /// Prefix or postfix, and by how much.
    Step {
        target: Box<Expr>,
        by: f64,
        prefix: bool,
    },
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Unary(char, Box<Expr>),
    /// Right side, and whether it is `!~`.
    Match(Box<Expr>, Box<Expr>, bool),
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    In(Vec<Expr>, String),
    Group(Box<Expr>),
    Call(String, Vec<Expr>),
}

pub(super) enum Stmt {
    Expr(Expr),
    Print(Vec<Expr>),
    Printf(Vec<Expr>),
    If(Expr, Box<Stmt>, Option<Box<Stmt>>),
    While(Expr, Box<Stmt>),
    Do(Box<Stmt>, Expr),
    For(Option<Box<Stmt>>, Option<Expr>, Option<Box<Stmt>>, Box<Stmt>),
    ForIn(String, String, Box<Stmt>),
    Block(Vec<Stmt>),
    Delete(String, Option<Vec<Expr>>),
    Break,
    Continue,
    Next,
    Exit(Option<Expr>),
    Return(Option<Expr>),
}

pub(super) enum Pattern {
    Begin,
    End,
    Always,
    When(Expr),
    Range(Expr, Expr),
}

pub(super) struct Function {
    pub name: String,
    pub params: Vec<String>,
    pub body: Stmt,
}

pub(super) struct Program {
    pub rules: Vec<(Pattern, Option<Stmt>)>,
    pub functions: Vec<Function>,
}

impl Program {
    pub fn only_begin(&self) -> bool {
        self.rules.iter().all(|(pattern, _)| matches!(pattern, Pattern::Begin))
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// In a `print` without parentheses `>` isn't a comparison; in `for (` `in` isn't an operator.
    no_greater: bool,
    no_in: bool,
    depth: u32,
}

/// Parses a program.
pub(super) fn parse(text: &str) -> Result<Program> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, no_greater: false, no_in: false, depth: 0 };
    let mut program = Program { rules: Vec::new(), functions: Vec::new() };
    loop {
        parser.skip_ends();
        match parser.peek().clone() {
            Token::End => return Ok(program),
            Token::Name(name) if name == "function" || name == "func" => {
                parser.at += 1;
                program.functions.push(parser.function()?);
            }
            Token::Name(name) if name == "BEGIN" || name == "END" => {
                parser.at += 1;
                let pattern = if name == "BEGIN" { Pattern::Begin } else { Pattern::End };
                program.rules.push((pattern, Some(parser.block()?)));
            }
            Token::Op("{") => program.rules.push((Pattern::Always, Some(parser.block()?))),
            _ => {
                let first = parser.expr()?;
                let pattern = if parser.eat(",") {
                    parser.newlines();
                    Pattern::Range(first, parser.expr()?)
                } else {
                    Pattern::When(first)
                };
                let body = if *parser.peek() == Token::Op("{") { Some(parser.block()?) } else { None };
                program.rules.push((pattern, body));
            }
        }
    }
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn eat(&mut self, op: &str) -> bool {
        let found = matches!(self.peek(), Token::Op(o) if *o == op);
        self.at += found as usize;
        found
    }

    fn eat_name(&mut self, name: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(n) if n == name);
        self.at += found as usize;
        found
    }

    fn expect(&mut self, op: &str) -> Result<()> {
        if self.eat(op) { Ok(()) } else { Err("Unexpected token".into()) }
    }

    fn newlines(&mut self) {
        while *self.peek() == Token::Newline {
            self.at += 1;
        }
    }

    fn skip_ends(&mut self) {
        while matches!(self.peek(), Token::Newline | Token::Op(";")) {
            self.at += 1;
        }
    }

    fn name(&mut self) -> Result<String> {
        match self.peek().clone() {
            Token::Name(name) | Token::Function(name) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err("Unexpected token".into()),
        }
    }

    fn function(&mut self) -> Result<Function> {
        let name = self.name()?;
        self.expect("(")?;
        let mut params = Vec::new();
        while !self.eat(")") {
            params.push(self.name()?);
            self.eat(",");
            self.newlines();
        }
        self.newlines();
        Ok(Function { name, params, body: self.block()? })
    }

    fn block(&mut self) -> Result<Stmt> {
        self.newlines();
        self.expect("{")?;
        let mut list = Vec::new();
        loop {
            self.skip_ends();
            if self.eat("}") {
                return Ok(Stmt::Block(list));
            }
            list.push(self.statement()?);
        }
    }

    /// A statement after `)` or `else`, perhaps on the next line, perhaps empty.
    fn body(&mut self) -> Result<Box<Stmt>> {
        self.newlines();
        if self.eat(";") {
            return Ok(Box::new(Stmt::Block(Vec::new())));
        }
        self.statement().map(Box::new)
    }

    fn statement(&mut self) -> Result<Stmt> {
        self.depth += 1;
        if self.depth > 200 {
            return Err("nesting too deep".into());
        }
        let statement = self.statement_inner();
        self.depth -= 1;
        statement
    }

    fn statement_inner(&mut self) -> Result<Stmt> {
        if *self.peek() == Token::Op("{") {
            return self.block();
        }
        let Token::Name(word) = self.peek().clone() else { return self.simple() };
        let start = self.at;
        self.at += 1;
        match word.as_str() {
            "if" => {
                let condition = self.parenthesized()?;
                let yes = self.body()?;
                let before = self.at;
                self.skip_ends();
                if self.eat_name("else") {
                    return Ok(Stmt::If(condition, yes, Some(self.body()?)));
                }
                self.at = before;
                Ok(Stmt::If(condition, yes, None))
            }
            "while" => Ok(Stmt::While(self.parenthesized()?, self.body()?)),
            "do" => {
                let body = self.body()?;
                self.skip_ends();
                if !self.eat_name("while") {
                    return Err("Unexpected token".into());
                }
                Ok(Stmt::Do(body, self.parenthesized()?))
            }
            "for" => self.for_statement(),
            "break" => Ok(Stmt::Break),
            "continue" => Ok(Stmt::Continue),
            "next" => Ok(Stmt::Next),
            "exit" => Ok(Stmt::Exit(self.optional()?)),
            "return" => Ok(Stmt::Return(self.optional()?)),
            _ => {
                self.at = start;
                self.simple()
            }
        }
    }

    fn optional(&mut self) -> Result<Option<Expr>> {
        match self.peek() {
            Token::Newline | Token::End | Token::Op(";" | "}") => Ok(None),
            _ => self.expr().map(Some),
        }
    }

    fn parenthesized(&mut self) -> Result<Expr> {
        self.expect("(")?;
        let expr = self.expr()?;
        self.expect(")")?;
        Ok(expr)
    }

    fn for_statement(&mut self) -> Result<Stmt> {
        self.expect("(")?;
        if let (Token::Name(key), Some(Token::Name(word)), Some(Token::Name(array)), Some(Token::Op(")"))) =
            (self.peek().clone(), self.tokens.get(self.at + 1), self.tokens.get(self.at + 2), self.tokens.get(self.at + 3))
            && word == "in"
        {
            let array = array.clone();
            self.at += 4;
            return Ok(Stmt::ForIn(key, array, self.body()?));
        }
        let first = if self.eat(";") { None } else { Some(Box::new(self.simple()?)) };
        if first.is_some() {
            self.expect(";")?;
        }
        let condition = if *self.peek() == Token::Op(";") { None } else { Some(self.expr()?) };
        self.expect(";")?;
        let step = if *self.peek() == Token::Op(")") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(")")?;
        Ok(Stmt::For(first, condition, step, self.body()?))
    }

    fn simple(&mut self) -> Result<Stmt> {
        if self.eat_name("delete") {
            let name = self.name()?;
            let index = if self.eat("[") { Some(self.list("]")?) } else { None };
            return Ok(Stmt::Delete(name, index));
        }
        let printf = matches!(self.peek(), Token::Name(n) if n == "printf");
        if !printf && !matches!(self.peek(), Token::Name(n) if n == "print") {
            return self.expr().map(Stmt::Expr);
        }
        self.at += 1;
        let args = self.print_args()?;
        if matches!(self.peek(), Token::Op(">" | ">>" | "|")) {
            return Err("output to files and commands is not supported by this awk".into());
        }
        Ok(if printf { Stmt::Printf(args) } else { Stmt::Print(args) })
    }

    fn print_args(&mut self) -> Result<Vec<Expr>> {
        let mut args = Vec::new();
        if matches!(self.peek(), Token::Newline | Token::End | Token::Op(";" | "}" | ">" | ">>" | "|")) {
            return Ok(args);
        }
        let start = self.at;
        // `print (a, b)`: a list in parentheses, if nothing but the end follows.
        if self.eat("(")
            && let Ok(list) = self.list(")")
            && matches!(self.peek(), Token::Newline | Token::End | Token::Op(";" | "}" | ">" | ">>" | "|"))
        {
            return Ok(list);
        }
        self.at = start;
        self.no_greater = true;
        loop {
            let expr = self.expr();
            let Ok(expr) = expr else {
                self.no_greater = false;
                return expr.map(|_| Vec::new());
            };
            args.push(expr);
            if !self.eat(",") {
                break;
            }
            self.newlines();
        }
        self.no_greater = false;
        Ok(args)
    }

    fn list(&mut self, close: &str) -> Result<Vec<Expr>> {
        let outer = (std::mem::take(&mut self.no_greater), std::mem::take(&mut self.no_in));
        let mut list = Vec::new();
        self.newlines();
        while !self.eat(close) {
            list.push(self.expr()?);
            self.newlines();
            if !self.eat(",") && *self.peek() != Token::Op(if close == ")" { ")" } else { "]" }) {
                return Err("Unexpected token".into());
            }
            self.newlines();
        }
        (self.no_greater, self.no_in) = outer;
        Ok(list)
    }

    fn expr(&mut self) -> Result<Expr> {
        self.depth += 1;
        if self.depth > 200 {
            return Err("nesting too deep".into());
        }
        let expr = self.assignment();
        self.depth -= 1;
        expr
    }

    fn assignment(&mut self) -> Result<Expr> {
        let left = self.ternary()?;
        for (op, base) in [("=", ""), ("+=", "+"), ("-=", "-"), ("*=", "*"), ("/=", "/"), ("%=", "%"), ("^=", "^"), ("**=", "^")]
        {
            if matches!(left, Expr::Var(_) | Expr::Field(_) | Expr::Index(..)) && self.eat(op) {
                self.newlines();
                return Ok(Expr::Assign(base, Box::new(left), Box::new(self.expr()?)));
            }
        }
        Ok(left)
    }

    fn ternary(&mut self) -> Result<Expr> {
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        self.newlines();
        let yes = self.expr()?;
        self.newlines();
        self.expect(":")?;
        self.newlines();
        Ok(Expr::Ternary(Box::new(condition), Box::new(yes), Box::new(self.expr()?)))
    }

    /// Levels: `||`, `&&`, `in`, `~`, comparison, concatenation, sums, products.
    fn binary(&mut self, level: u8) -> Result<Expr> {
        if level == 8 {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        loop {
            let op = match self.peek() {
                Token::Op(op) => *op,
                Token::Name(name) if name == "in" && level == 2 && !self.no_in => "in",
                _ => "",
            };
            match (level, op) {
                (0, "||") | (1, "&&") => {
                    self.at += 1;
                    self.newlines();
                }
                (3, "~" | "!~") | (4, "<" | "<=" | "==" | "!=" | ">=") | (6, "+" | "-") | (7, "*" | "/" | "%") => self.at += 1,
                (4, ">") if !self.no_greater => self.at += 1,
                (2, "in") => {
                    self.at += 1;
                    let array = self.name()?;
                    left = Expr::In(vec![left], array);
                    continue;
                }
                (5, _) if self.starts_operand() => {
                    left = Expr::Binary(" ", Box::new(left), Box::new(self.binary(6)?));
                    continue;
                }
                _ => return Ok(left),
            }
            let right = self.binary(level + 1)?;
            left = match op {
                "~" | "!~" => Expr::Match(Box::new(left), Box::new(right), op == "!~"),
                op => Expr::Binary(op, Box::new(left), Box::new(right)),
            };
        }
    }

    fn starts_operand(&self) -> bool {
        match self.peek() {
            Token::Number(_) | Token::Text(_) | Token::Regex(_) | Token::Function(_) => true,
            Token::Name(name) => !KEYWORDS.contains(&name.as_str()),
            Token::Op(op) => matches!(*op, "$" | "(" | "!" | "-" | "+" | "++" | "--"),
            _ => false,
        }
    }

    fn unary(&mut self) -> Result<Expr> {
        for (op, c) in [("!", '!'), ("-", '-'), ("+", '+')] {
            if self.eat(op) {
                return Ok(Expr::Unary(c, Box::new(self.unary()?)));
            }
        }
        let base = self.postfix()?;
        if self.eat("^") || self.eat("**") {
            return Ok(Expr::Binary("^", Box::new(base), Box::new(self.unary()?)));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Result<Expr> {
        for (op, by) in [("++", 1.0), ("--", -1.0)] {
            if self.eat(op) {
                return Ok(Expr::Step { target: Box::new(self.primary()?), by, prefix: true });
            }
        }
        let target = self.primary()?;
        if matches!(target, Expr::Var(_) | Expr::Field(_) | Expr::Index(..)) {
            for (op, by) in [("++", 1.0), ("--", -1.0)] {
                if self.eat(op) {
                    return Ok(Expr::Step { target: Box::new(target), by, prefix: false });
                }
            }
        }
        Ok(target)
    }

    fn primary(&mut self) -> Result<Expr> {
        let token = self.peek().clone();
        self.at += 1;
        match token {
            Token::Number(n) => Ok(Expr::Number(n)),
            Token::Text(text) => Ok(Expr::Text(text)),
            Token::Regex(text) => super::super::regex::compile(&text, true, false).map(Expr::Regex),
            Token::Op("$") => {
                let inner = if matches!(self.peek(), Token::Op("++" | "--" | "-")) { self.unary()? } else { self.primary()? };
                Ok(Expr::Field(Box::new(inner)))
            }
            Token::Op("(") => {
                let mut list = self.list(")")?;
                if list.len() == 1 {
                    return Ok(Expr::Group(Box::new(list.remove(0))));
                }
                if self.eat_name("in") {
                    return Ok(Expr::In(list, self.name()?));
                }
                Err("Unexpected token".into())
            }
            Token::Function(name) => {
                self.expect("(")?;
                if matches!(name.as_str(), "system" | "close" | "fflush") {
                    return Err(format!("{name}() is not supported by this awk"));
                }
                Ok(Expr::Call(name, self.list(")")?))
            }
            Token::Name(name) if name == "getline" => Err("getline is not supported by this awk".into()),
            Token::Name(name) if KEYWORDS.contains(&name.as_str()) => Err("Unexpected token".into()),
            Token::Name(name) if name == "length" => Ok(Expr::Call(name, Vec::new())),
            Token::Name(name) => match self.eat("[") {
                true => Ok(Expr::Index(name, self.list("]")?)),
                false => Ok(Expr::Var(name)),
            },
            Token::End => Err("Unexpected end of string".into()),
            _ => Err("Unexpected token".into()),
        }
    }
}
