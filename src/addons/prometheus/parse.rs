//! PromQL's grammar. Models `promql/parser/generated_parser.y` and the checks of `parse.go`.
//!
//! Left out, and refused by name: subqueries, `@` modifiers, native histograms, the functions that aren't in [`FUNCTIONS`],
//! `limitk` and `limit_ratio`, names in quotes.

use std::rc::Rc;

use super::ast::{Aggregate, AggregateOp, Binary, BinaryOp, Expr, Group, Kind as Type, Matching, Selector};
use super::functions::{self, FUNCTIONS};
use super::labels::{Matcher, NAME, Op, Pattern};
use super::lex::{Kind, Token, words};

type Text = Rc<str>;
type Failure = (usize, String);

/// Deeper expressions are refused: nobody writes them, and each level takes some stack.
const DEEPEST: usize = 64;
/// A chain of operations is as deep as it is long.
const MOST_OPERATIONS: usize = 200;
/// Longer queries are refused.
const LONGEST: usize = 16 * 1024;

/// Reads a query. An error is Prometheus' text, with the place: `1:5: parse error: …`.
pub fn parse(text: &str) -> Result<Expr, String> {
    let show = |(at, message): Failure| {
        let before = &text[..at.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |i| i + 1) + 1;
        format!("{line}:{column}: parse error: {message}")
    };
    if text.len() > LONGEST {
        return Err(show((0, "the query is too long".into())));
    }
    if text.trim().is_empty() {
        return Err("unknown position: parse error: no expression found in input".into());
    }
    let words = words(text).map_err(show)?;
    let mut parser = Parser { words, at: 0, depth: 0, operations: 0 };
    let expr = parser.expression(0).map_err(show)?;
    match parser.peek() {
        Kind::End => Ok(expr),
        _ => parser.unexpected("").map_err(show),
    }
}

struct Parser {
    words: Vec<Token>,
    at: usize,
    depth: usize,
    operations: usize,
}

fn aggregate_op(name: &str) -> Option<AggregateOp> {
    use AggregateOp::*;
    Some(match name.to_ascii_lowercase().as_str() {
        "sum" => Sum,
        "avg" => Avg,
        "min" => Min,
        "max" => Max,
        "count" => Count,
        "group" => Group,
        "stddev" => Stddev,
        "topk" => Topk,
        "bottomk" => Bottomk,
        "quantile" => Quantile,
        "count_values" => CountValues,
        _ => return None,
    })
}

impl Parser {
    fn peek(&self) -> &Kind {
        &self.words[self.at].kind
    }
    fn peek_after(&self) -> &Kind {
        &self.words[(self.at + 1).min(self.words.len() - 1)].kind
    }
    fn place(&self) -> usize {
        self.words[self.at].at
    }
    fn next(&mut self) -> Kind {
        let kind = self.words[self.at].kind.clone();
        self.at = (self.at + 1).min(self.words.len() - 1);
        kind
    }
    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Kind::Sign(s) if *s == sign);
        if found {
            self.next();
        }
        found
    }
    fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Kind::Name(n) if n.eq_ignore_ascii_case(word));
        if found {
            self.next();
        }
        found
    }
    fn unexpected<T>(&self, context: &str) -> Result<T, Failure> {
        let context = if context.is_empty() { String::new() } else { format!(" in {context}") };
        Err((self.place(), format!("unexpected {}{context}", self.peek().show())))
    }
    fn needs(&mut self, sign: &str, context: &str) -> Result<(), Failure> {
        if self.takes(sign) { Ok(()) } else { self.unexpected(context) }
    }

    fn expression(&mut self, least: u8) -> Result<Expr, Failure> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((self.place(), "the expression is nested too deeply".into()));
        }
        let result = self.operation(least);
        self.depth -= 1;
        result
    }

    fn operation(&mut self, least: u8) -> Result<Expr, Failure> {
        let mut left = self.unary()?;
        loop {
            let Some(op) = self.operator() else { return Ok(left) };
            let precedence = op.precedence();
            if precedence < least {
                return Ok(left);
            }
            let place = self.place();
            self.operations += 1;
            if self.operations > MOST_OPERATIONS {
                return Err((place, "the expression has too many operations".into()));
            }
            self.next();
            let (truth, matching) = self.modifiers(op)?;
            // Powers bind to the right, all else to the left.
            let right = self.expression(if op == BinaryOp::Pow { precedence } else { precedence + 1 })?;
            check_binary(op, &left, &right, truth, &matching).map_err(|text| (place, text))?;
            left = Expr::Binary(Box::new(Binary { op, left, right, truth, matching }));
        }
    }

    fn operator(&self) -> Option<BinaryOp> {
        use BinaryOp::*;
        Some(match self.peek() {
            Kind::Sign("+") => Add,
            Kind::Sign("-") => Sub,
            Kind::Sign("*") => Mul,
            Kind::Sign("/") => Div,
            Kind::Sign("%") => Mod,
            Kind::Sign("^") => Pow,
            Kind::Sign("==") => Equal,
            Kind::Sign("!=") => NotEqual,
            Kind::Sign("<") => Less,
            Kind::Sign("<=") => LessEqual,
            Kind::Sign(">") => Greater,
            Kind::Sign(">=") => GreaterEqual,
            Kind::Name(n) if n.eq_ignore_ascii_case("and") => And,
            Kind::Name(n) if n.eq_ignore_ascii_case("or") => Or,
            Kind::Name(n) if n.eq_ignore_ascii_case("unless") => Unless,
            _ => return None,
        })
    }

    /// `bool`, `on (…)`, `ignoring (…)`, `group_left (…)`.
    fn modifiers(&mut self, op: BinaryOp) -> Result<(bool, Matching), Failure> {
        let mut matching = Matching::default();
        let place = self.place();
        let truth = self.takes_word("bool");
        if truth && !op.is_comparison() {
            return Err((place, "bool modifier can only be used on comparison operators".into()));
        }
        if self.takes_word("on") {
            (matching.on, matching.labels) = (true, self.label_list("grouping opts")?);
        } else if self.takes_word("ignoring") {
            matching.labels = self.label_list("grouping opts")?;
        } else {
            return Ok((truth, matching));
        }
        let place = self.place();
        matching.group = match () {
            () if self.takes_word("group_left") => Group::Left,
            () if self.takes_word("group_right") => Group::Right,
            () => return Ok((truth, matching)),
        };
        if op.is_set() {
            return Err((place, "no grouping allowed for set operations".into()));
        }
        if matches!(self.peek(), Kind::Sign("(")) {
            matching.include = self.label_list("grouping opts")?;
        }
        Ok((truth, matching))
    }

    fn label_list(&mut self, context: &str) -> Result<Vec<Text>, Failure> {
        self.needs("(", context)?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            match self.next() {
                Kind::Name(name) if !name.contains(':') => labels.push(name),
                _ => {
                    self.at -= 1;
                    return self.unexpected(context);
                }
            }
            if !self.takes(",") && !matches!(self.peek(), Kind::Sign(")")) {
                return self.unexpected(context);
            }
        }
        Ok(labels)
    }

    fn unary(&mut self) -> Result<Expr, Failure> {
        let place = self.place();
        if self.takes("-") {
            let inner = self.expression(BinaryOp::Pow.precedence())?;
            if !matches!(inner.kind(), Type::Scalar | Type::Vector) {
                let text = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                    inner.kind().show()
                );
                return Err((place, text));
            }
            return Ok(match inner {
                Expr::Number(n) => Expr::Number(-n),
                other => Expr::Negated(Box::new(other)),
            });
        }
        if self.takes("+") {
            return self.expression(BinaryOp::Pow.precedence());
        }
        let expr = self.primary()?;
        self.suffixes(expr)
    }

    fn primary(&mut self) -> Result<Expr, Failure> {
        let place = self.place();
        match self.peek().clone() {
            Kind::Number(n) => {
                self.next();
                Ok(Expr::Number(n))
            }
            // A duration is a number of seconds.
            Kind::Duration(ms) => {
                self.next();
                Ok(Expr::Number(ms as f64 / 1000.0))
            }
            Kind::Text(text) => {
                self.next();
                Ok(Expr::Text(text))
            }
            Kind::Sign("(") => {
                self.next();
                let inner = self.expression(0)?;
                self.needs(")", "paren expression")?;
                Ok(Expr::Paren(Box::new(inner)))
            }
            Kind::Sign("{") => self.selector(None, place),
            Kind::Name(name) => {
                let lower = name.to_ascii_lowercase();
                let called = matches!(self.peek_after(), Kind::Sign("("));
                let grouped = matches!(self.peek_after(), Kind::Name(n) if matches!(&*n.to_ascii_lowercase(), "by" | "without"));
                match (lower.as_str(), aggregate_op(&name)) {
                    ("inf", _) => {
                        self.next();
                        Ok(Expr::Number(f64::INFINITY))
                    }
                    ("nan", _) => {
                        self.next();
                        Ok(Expr::Number(f64::NAN))
                    }
                    ("limitk" | "limit_ratio" | "stdvar", _) if called || grouped => {
                        Err((place, format!("aggregation {lower:?} is not in this bottle")))
                    }
                    (_, Some(op)) if called || grouped => {
                        self.next();
                        self.aggregate(op, place)
                    }
                    _ if called => {
                        self.next();
                        self.call(&name, place)
                    }
                    _ => {
                        self.next();
                        self.selector(Some(name), place)
                    }
                }
            }
            _ => self.unexpected(""),
        }
    }

    /// `[5m]`, `offset 5m`, `@`.
    fn suffixes(&mut self, expr: Expr) -> Result<Expr, Failure> {
        let mut expr = expr;
        loop {
            let place = self.place();
            if self.takes("[") {
                let range = match self.next() {
                    Kind::Duration(ms) if ms > 0 => ms,
                    Kind::Duration(_) => return Err((place, "duration must be greater than 0".into())),
                    _ => {
                        self.at -= 1;
                        return self.unexpected("range selector, expected duration");
                    }
                };
                if matches!(self.peek(), Kind::Sign(":")) {
                    return Err((place, "subqueries are not in this bottle".into()));
                }
                self.needs("]", "subquery or range selector")?;
                expr = match expr {
                    Expr::Selector(s) if s.offset_ms == 0 => Expr::Range(s, range),
                    Expr::Selector(_) => return Err((place, "no offset modifiers allowed before range".into())),
                    _ => return Err((place, "ranges only allowed for vector selectors".into())),
                };
            } else if self.takes_word("offset") {
                let sign = if self.takes("-") { -1 } else { 1 };
                let Kind::Duration(ms) = self.next() else {
                    self.at -= 1;
                    return self.unexpected("offset, expected duration");
                };
                match &mut expr {
                    Expr::Selector(s) | Expr::Range(s, _) if s.offset_ms == 0 => s.offset_ms = sign * ms,
                    Expr::Selector(_) | Expr::Range(..) => {
                        return Err((place, "offset may not be set multiple times".into()));
                    }
                    _ => {
                        return Err((
                            place,
                            "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"
                                .into(),
                        ));
                    }
                }
            } else if matches!(self.peek(), Kind::Sign("@")) {
                return Err((place, "the @ modifier is not in this bottle".into()));
            } else {
                return Ok(expr);
            }
        }
    }

    fn selector(&mut self, name: Option<Text>, place: usize) -> Result<Expr, Failure> {
        let mut matchers = Vec::new();
        if let Some(name) = name {
            matchers.push(Matcher { name: NAME.into(), value: name, op: Op::Equal });
        }
        if self.takes("{") {
            while !self.takes("}") {
                matchers.push(self.matcher()?);
                if !self.takes(",") && !matches!(self.peek(), Kind::Sign("}")) {
                    return self.unexpected("label matching, expected \",\" or \"}\"");
                }
            }
        }
        if matchers.iter().filter(|m| &*m.name == NAME).count() > 1 {
            return Err((place, "metric name must not be set twice".into()));
        }
        if matchers.iter().all(Matcher::matches_empty) {
            return Err((place, "vector selector must contain at least one non-empty matcher".into()));
        }
        Ok(Expr::Selector(Selector { matchers, offset_ms: 0 }))
    }

    fn matcher(&mut self) -> Result<Matcher, Failure> {
        let Kind::Name(name) = self.peek().clone() else {
            return self.unexpected("label matching, expected identifier or \"}\"");
        };
        self.next();
        let place = self.place();
        let Kind::Sign(sign @ ("=" | "!=" | "=~" | "!~")) = self.peek().clone() else {
            return self.unexpected("label matching, expected label matching operator");
        };
        self.next();
        let Kind::Text(value) = self.next() else {
            self.at -= 1;
            return self.unexpected("label matching, expected string");
        };
        let pattern = || Pattern::new(&value).map_err(|text| (place, text));
        let op = match sign {
            "=" => Op::Equal,
            "!=" => Op::NotEqual,
            "=~" => Op::Matches(pattern()?),
            _ => Op::MatchesNot(pattern()?),
        };
        Ok(Matcher { name, value, op })
    }

    fn aggregate(&mut self, op: AggregateOp, place: usize) -> Result<Expr, Failure> {
        let mut grouping = self.grouping()?;
        let mut arguments = self.arguments("aggregation")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        use AggregateOp::{Bottomk, CountValues, Quantile, Topk};
        let wants = if matches!(op, Topk | Bottomk | Quantile | CountValues) { 2 } else { 1 };
        if arguments.len() != wants {
            let text =
                format!("wrong number of arguments for aggregate expression provided, expected {wants}, got {}", arguments.len());
            return Err((place, text));
        }
        let of = arguments.pop().unwrap_or(Expr::Number(0.0));
        let parameter = arguments.pop();
        if of.kind() != Type::Vector {
            let text = format!("expected type instant vector in aggregation expression, got {}", of.kind().show());
            return Err((place, text));
        }
        if let Some(p) = &parameter {
            let wanted = if op == CountValues { Type::Text } else { Type::Scalar };
            if p.kind() != wanted {
                let text = format!("expected type {} in aggregation parameter, got {}", wanted.show(), p.kind().show());
                return Err((place, text));
            }
        }
        let (without, labels) = grouping.unwrap_or((false, Vec::new()));
        Ok(Expr::Aggregate(Box::new(Aggregate { op, of, parameter, labels, without })))
    }

    fn grouping(&mut self) -> Result<Option<(bool, Vec<Text>)>, Failure> {
        let without = match () {
            () if self.takes_word("by") => false,
            () if self.takes_word("without") => true,
            () => return Ok(None),
        };
        Ok(Some((without, self.label_list("grouping opts")?)))
    }

    fn arguments(&mut self, context: &str) -> Result<Vec<Expr>, Failure> {
        self.needs("(", context)?;
        let mut arguments = Vec::new();
        while !self.takes(")") {
            arguments.push(self.expression(0)?);
            if !self.takes(",") && !matches!(self.peek(), Kind::Sign(")")) {
                return self.unexpected(context);
            }
        }
        Ok(arguments)
    }

    fn call(&mut self, name: &str, place: usize) -> Result<Expr, Failure> {
        let Some(function) = FUNCTIONS.iter().find(|f| f.name == name) else {
            let text = match functions::exists_upstream(name) {
                true => format!("function {name:?} is not in this bottle"),
                false => format!("unknown function with name {name:?}"),
            };
            return Err((place, text));
        };
        let arguments = self.arguments("function call")?;
        let most = function.takes.len();
        if arguments.len() < function.least || arguments.len() > most {
            let text = match (function.least == most, arguments.len() < function.least) {
                (true, _) => format!("expected {most} argument(s) in call to {name:?}, got {}", arguments.len()),
                (false, true) => {
                    format!("expected at least {} argument(s) in call to {name:?}, got {}", function.least, arguments.len())
                }
                (false, false) => format!("expected at most {most} argument(s) in call to {name:?}, got {}", arguments.len()),
            };
            return Err((place, text));
        }
        for (argument, wanted) in arguments.iter().zip(function.takes) {
            if argument.kind() != *wanted {
                let (wanted, got) = (wanted.show(), argument.kind().show());
                return Err((place, format!("expected type {wanted} in call to function {name:?}, got {got}")));
            }
        }
        Ok(Expr::Call(function, arguments))
    }
}

fn check_binary(op: BinaryOp, left: &Expr, right: &Expr, truth: bool, matching: &Matching) -> Result<(), String> {
    let (l, r) = (left.kind(), right.kind());
    let fits = |k| matches!(k, Type::Scalar | Type::Vector);
    if !fits(l) || !fits(r) {
        return Err("binary expression must contain only scalar and instant vector types".into());
    }
    let scalars = (l == Type::Scalar, r == Type::Scalar);
    if scalars == (true, true) && op.is_comparison() && !truth {
        return Err("comparisons between scalars must use BOOL modifier".into());
    }
    if (scalars.0 || scalars.1) && op.is_set() {
        return Err(format!("set operator {:?} not allowed in binary scalar expression", format!("{op:?}").to_lowercase()));
    }
    let matches = matching.on || !matching.labels.is_empty() || matching.group != Group::None;
    if (scalars.0 || scalars.1) && matches {
        return Err("vector matching only allowed between instant vectors".into());
    }
    if matching.on
        && let Some(label) = matching.include.iter().find(|l| matching.labels.contains(l))
    {
        return Err(format!("label {label:?} must not occur in ON and GROUP clause at once"));
    }
    Ok(())
}
