//! awk's evaluator. A record is worked off in one go, within a bounded number of steps.

mod call;
mod print;
mod variables;

use std::rc::Rc;

use base::Map;
use cri_api::Text;
use regex_lite::Regex;

use super::parse::{Expr, Pattern, Program, Stmt};
use crate::builtins::printf;

/// A value: text that looks like a number compares as one.
#[derive(Clone, Debug)]
pub(super) enum Val {
    None,
    Number(f64),
    Text(Text),
    /// From input.
    Input(Text),
}

/// What leaves a statement early.
pub(super) enum Control {
    Next,
    Exit,
    Break,
    Continue,
    Return(Val),
    Fail(String),
}

type Run<T> = Result<T, Control>;

#[derive(Clone)]
pub(super) struct Interpreter {
    pub program: Rc<Program>,
    vars: Map<Text, Val>,
    arrays: Map<Text, Map<Text, Val>>,
    /// Parameters of the functions being called: scalars, and names of arrays passed in.
    frames: Vec<(Map<Text, Val>, Map<Text, Text>)>,
    fields: Vec<Text>,
    record: Text,
    open_ranges: Vec<bool>,
    pub output: Vec<u8>,
    pub code: i32,
    pub broken: bool,
    steps: u32,
    random: u64,
    scratch: u32,
}

const MAX_STEPS: u32 = 2_000_000;

/// How many bytes at the beginning are a number.
pub(super) fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = matches!(bytes.first(), Some(b'-' | b'+')) as usize;
    let whole = digits(at);
    at += whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        if whole + fraction > 0 {
            at += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return 0;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = matches!(bytes.get(at + 1), Some(b'-' | b'+')) as usize;
        let exponent = if bytes.len() > at + 1 + sign { digits(at + 1 + sign) } else { 0 };
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    at
}

fn to_number(text: &str) -> f64 {
    let text = text.trim_start();
    text[..number_len(text)].parse().unwrap_or(0.0)
}

fn looks_numeric(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && number_len(text) == text.len()
}

fn number_text(n: f64) -> String {
    if n == n.trunc() && n.abs() < 1e16 { format!("{}", n as i64) } else { printf::float_text(n, b'g', Some(6)) }
}

impl Val {
    fn number(&self) -> f64 {
        match self {
            Val::None => 0.0,
            Val::Number(n) => *n,
            Val::Text(text) | Val::Input(text) => to_number(text),
        }
    }

    fn text(&self) -> Text {
        match self {
            Val::None => "".into(),
            Val::Number(n) => number_text(*n).into(),
            Val::Text(text) | Val::Input(text) => text.clone(),
        }
    }

    fn truth(&self) -> bool {
        match self {
            Val::None => false,
            Val::Number(n) => *n != 0.0,
            Val::Text(text) => !text.is_empty(),
            Val::Input(text) if looks_numeric(text) => to_number(text) != 0.0,
            Val::Input(text) => !text.is_empty(),
        }
    }

    fn is_numeric(&self) -> bool {
        match self {
            Val::None | Val::Number(_) => true,
            Val::Text(_) => false,
            Val::Input(text) => looks_numeric(text),
        }
    }
}

fn truth(value: bool) -> Val {
    Val::Number(value as u8 as f64)
}

impl Interpreter {
    pub fn new(program: Rc<Program>, env: &cri_api::Env) -> Interpreter {
        let mut vars = Map::new();
        for (name, value) in
            [("FS", " "), ("OFS", " "), ("ORS", "\n"), ("RS", "\n"), ("SUBSEP", "\u{1c}"), ("NR", "0"), ("NF", "0")]
        {
            vars.insert(name.into(), Val::Input(value.into()));
        }
        let environ: Map<Text, Val> = env.iter().map(|(k, v)| (k.clone(), Val::Input(v.clone()))).collect();
        let mut arrays = Map::new();
        arrays.insert("ENVIRON".into(), environ);
        let open_ranges = vec![false; program.rules.len()];
        Interpreter {
            program,
            vars,
            arrays,
            frames: Vec::new(),
            fields: Vec::new(),
            record: "".into(),
            open_ranges,
            output: Vec::new(),
            code: 0,
            broken: false,
            steps: 0,
            random: 0,
            scratch: 0,
        }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.vars.insert(name.into(), Val::Input(value.into()));
    }

    fn global(&self, name: &str) -> Text {
        self.vars.get(name).map_or("".into(), Val::text)
    }

    pub fn begin(&mut self) -> Run<()> {
        self.run_special(|p| matches!(p, Pattern::Begin))
    }

    pub fn end(&mut self) -> Run<()> {
        self.steps = 0;
        self.run_special(|p| matches!(p, Pattern::End))
    }

    fn run_special(&mut self, wanted: impl Fn(&Pattern) -> bool) -> Run<()> {
        let program = self.program.clone();
        for (pattern, body) in program.rules.iter() {
            if wanted(pattern)
                && let Some(body) = body
            {
                self.statement(body)?;
            }
        }
        Ok(())
    }

    pub fn record(&mut self, line: &str) -> Run<()> {
        self.steps = 0;
        for counter in ["NR", "FNR"] {
            let n = self.vars.get(counter).map_or(0.0, Val::number) + 1.0;
            self.vars.insert(counter.into(), Val::Number(n));
        }
        self.set_record(line);
        let program = self.program.clone();
        for (i, (pattern, body)) in program.rules.iter().enumerate() {
            let hit = match pattern {
                Pattern::Begin | Pattern::End => false,
                Pattern::Always => true,
                Pattern::When(expr) => self.eval(expr)?.truth(),
                Pattern::Range(from, to) => {
                    let hit = self.open_ranges[i] || self.eval(from)?.truth();
                    self.open_ranges[i] = hit && !self.eval(to)?.truth();
                    hit
                }
            };
            if !hit {
                continue;
            }
            let done = match body {
                Some(body) => self.statement(body),
                None => self.print(&[]),
            };
            match done {
                Err(Control::Next) => return Ok(()),
                other => other?,
            }
        }
        Ok(())
    }

    fn set_record(&mut self, line: &str) {
        self.record = line.into();
        self.fields = self.split(line, &self.global("FS"));
        self.vars.insert("NF".into(), Val::Number(self.fields.len() as f64));
    }

    fn split(&self, text: &str, separator: &str) -> Vec<Text> {
        if text.is_empty() {
            return Vec::new();
        }
        let mut chars = separator.chars();
        match (separator, chars.next(), chars.next()) {
            (" ", ..) => text.split_ascii_whitespace().map(Text::from).collect(),
            ("", ..) => text.chars().map(|c| Text::from(c.to_string())).collect(),
            (_, Some(c), None) if c != '\\' => text.split(c).map(Text::from).collect(),
            _ => match super::super::regex::compile(separator, true, false) {
                Ok(regex) => regex.split(text).map(Text::from).collect(),
                Err(_) => vec![text.into()],
            },
        }
    }

    fn rebuild(&mut self) {
        let separator = self.global("OFS");
        self.record = self.fields.join(&separator).into();
    }

    // ---- statements ----

    fn tick(&mut self) -> Run<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(Control::Fail("program runs too long on one record".into())) } else { Ok(()) }
    }

    /// A loop's body. True: leave the loop.
    fn body(&mut self, body: &Stmt) -> Run<bool> {
        match self.statement(body) {
            Err(Control::Break) => Ok(true),
            Err(Control::Continue) => Ok(false),
            other => other.map(|()| false),
        }
    }

    fn statement(&mut self, statement: &Stmt) -> Run<()> {
        self.tick()?;
        match statement {
            Stmt::Expr(expr) => self.eval(expr).map(|_| ()),
            Stmt::Print(args) => self.print(args),
            Stmt::Printf(args) => {
                let text = self.format(args)?;
                self.output.extend(text);
                Ok(())
            }
            Stmt::Block(list) => list.iter().try_for_each(|s| self.statement(s)),
            Stmt::If(condition, yes, no) => match (self.eval(condition)?.truth(), no) {
                (true, _) => self.statement(yes),
                (false, Some(no)) => self.statement(no),
                (false, None) => Ok(()),
            },
            Stmt::While(condition, body) => {
                while self.eval(condition)?.truth() {
                    if self.body(body)? {
                        break;
                    }
                }
                Ok(())
            }
            Stmt::Do(body, condition) => {
                while !self.body(body)? && self.eval(condition)?.truth() {}
                Ok(())
            }
            Stmt::For(first, condition, step, body) => {
                if let Some(first) = first {
                    self.statement(first)?;
                }
                while match condition {
                    Some(condition) => self.eval(condition)?.truth(),
                    None => true,
                } {
                    if self.body(body)? {
                        break;
                    }
                    if let Some(step) = step {
                        self.statement(step)?;
                    }
                }
                Ok(())
            }
            Stmt::ForIn(key, array, body) => {
                let keys: Vec<Text> = self.array(array).map(|a| a.keys().cloned().collect()).unwrap_or_default();
                for name in keys {
                    self.assign_var(key, Val::Input(name))?;
                    if self.body(body)? {
                        break;
                    }
                }
                Ok(())
            }
            Stmt::Delete(array, index) => {
                let name = self.array_name(array);
                match index {
                    None => {
                        self.arrays.remove(&name);
                    }
                    Some(index) => {
                        let key = self.key(index)?;
                        if let Some(array) = self.arrays.get_mut(&name) {
                            array.remove(&key);
                        }
                    }
                }
                Ok(())
            }
            Stmt::Break => Err(Control::Break),
            Stmt::Continue => Err(Control::Continue),
            Stmt::Next => Err(Control::Next),
            Stmt::Exit(code) => {
                if let Some(code) = code {
                    self.code = self.eval(code)?.number() as i32 & 0xff;
                }
                Err(Control::Exit)
            }
            Stmt::Return(value) => {
                let value = match value {
                    Some(value) => self.eval(value)?,
                    None => Val::None,
                };
                Err(Control::Return(value))
            }
        }
    }

    fn regex_of(&mut self, expr: &Expr) -> Run<Regex> {
        if let Expr::Regex(regex) = expr {
            return Ok(regex.clone());
        }
        let text = self.eval(expr)?.text();
        super::super::regex::compile(&text, true, false).map_err(Control::Fail)
    }

    fn eval(&mut self, expr: &Expr) -> Run<Val> {
        self.tick()?;
        Ok(match expr {
            Expr::Number(n) => Val::Number(*n),
            Expr::Text(text) => Val::Text(text.as_str().into()),
            Expr::Regex(regex) => truth(regex.is_match(&self.record)),
            Expr::Group(inner) => self.eval(inner)?,
            Expr::Var(name) => match self.frames.last().and_then(|(locals, _)| locals.get(name.as_str())) {
                Some(value) => value.clone(),
                None => self.vars.get(name.as_str()).cloned().unwrap_or(Val::None),
            },
            Expr::Field(index) => match self.eval(index)?.number() {
                n if n < 0.0 => return Err(Control::Fail("Access to negative field".into())),
                n if n < 1.0 => Val::Input(self.record.clone()),
                n => self.fields.get(n as usize - 1).map_or(Val::None, |f| Val::Input(f.clone())),
            },
            Expr::Index(array, index) => {
                let key = self.key(index)?;
                match self.array(array).and_then(|a| a.get(&key)).cloned() {
                    Some(value) => value,
                    None => self.assign(expr, Val::None)?,
                }
            }
            Expr::Assign(op, target, value) => {
                let value = self.eval(value)?;
                let value = match *op {
                    "" => value,
                    op => {
                        let old = self.eval(target)?.number();
                        arithmetic(op, old, value.number())?
                    }
                };
                self.assign(target, value)?
            }
            Expr::Step { target, by, prefix } => {
                let old = self.eval(target)?.number();
                self.assign(target, Val::Number(old + by))?;
                Val::Number(if *prefix { old + by } else { old })
            }
            Expr::Unary('!', inner) => truth(!self.eval(inner)?.truth()),
            Expr::Unary('-', inner) => Val::Number(-self.eval(inner)?.number()),
            Expr::Unary(_, inner) => Val::Number(self.eval(inner)?.number()),
            Expr::Ternary(condition, yes, no) => match self.eval(condition)?.truth() {
                true => self.eval(yes)?,
                false => self.eval(no)?,
            },
            Expr::In(index, array) => {
                let key = self.key(index)?;
                truth(self.array(array).is_some_and(|a| a.contains_key(&key)))
            }
            Expr::Match(left, right, negated) => {
                let text = self.eval(left)?.text();
                truth(self.regex_of(right)?.is_match(&text) != *negated)
            }
            Expr::Binary("||", a, b) => truth(self.eval(a)?.truth() || self.eval(b)?.truth()),
            Expr::Binary("&&", a, b) => truth(self.eval(a)?.truth() && self.eval(b)?.truth()),
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                binary(op, &a, &b)?
            }
            Expr::Call(name, args) => self.call(name, args)?,
        })
    }
}

/// The conversion letters of a format, in order.
fn conversions(format: &str) -> Vec<char> {
    let mut kinds = Vec::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            continue;
        }
        for c in chars.by_ref() {
            match c {
                '%' => break,
                '*' => kinds.push('*'),
                c if c.is_ascii_alphabetic() => {
                    kinds.push(c);
                    break;
                }
                _ => {}
            }
        }
    }
    kinds
}

fn arithmetic(op: &str, a: f64, b: f64) -> Run<Val> {
    Ok(Val::Number(match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" | "%" if b == 0.0 => return Err(Control::Fail("Division by zero".into())),
        "/" => a / b,
        "%" => a % b,
        _ if b == b.trunc() && b.abs() < 1024.0 => a.powi(b as i32),
        _ => return Err(Control::Fail("powers that aren't whole are not supported by this awk".into())),
    }))
}

fn binary(op: &str, a: &Val, b: &Val) -> Run<Val> {
    if op == " " {
        return Ok(Val::Text(format!("{}{}", a.text(), b.text()).into()));
    }
    if !matches!(op, "<" | "<=" | "==" | "!=" | ">" | ">=") {
        return arithmetic(op, a.number(), b.number());
    }
    let order = match a.is_numeric() && b.is_numeric() {
        true => a.number().total_cmp(&b.number()),
        false => a.text().cmp(&b.text()),
    };
    Ok(truth(match op {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }))
}
