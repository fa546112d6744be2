//! The text form of label selectors: `a=b,c!=d,e in (x,y),!f,g`. Models `labels.Parse`.

use base::Sort as _;
use std::rc::Rc;

use super::{Operator, Requirement, check_key};

/// The requirements in the order written. The error is upstream's text.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    Parser { lexer: Lexer { text: text.as_bytes(), pos: 0 }, peeked: None }.parse()
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Token {
    End,
    Error,
    Identifier,
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
}

struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
}

fn is_special(c: u8) -> bool {
    matches!(c, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

impl Lexer<'_> {
    fn next(&mut self) -> (Token, String) {
        while self.text.get(self.pos).is_some_and(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n')) {
            self.pos += 1;
        }
        let Some(&first) = self.text.get(self.pos) else { return (Token::End, String::new()) };
        if is_special(first) {
            return self.symbol();
        }
        let start = self.pos;
        while self.text.get(self.pos).is_some_and(|c| !is_special(*c) && !matches!(c, b' ' | b'\t' | b'\r' | b'\n')) {
            self.pos += 1;
        }
        let literal = String::from_utf8_lossy(&self.text[start..self.pos]).into_owned();
        let token = match literal.as_str() {
            "in" => Token::In,
            "notin" => Token::NotIn,
            _ => Token::Identifier,
        };
        (token, literal)
    }

    /// The longest symbol here.
    fn symbol(&mut self) -> (Token, String) {
        let rest = &self.text[self.pos..];
        let (token, len) = match rest {
            [b'=', b'=', ..] => (Token::DoubleEquals, 2),
            [b'!', b'=', ..] => (Token::NotEquals, 2),
            [b'=', ..] => (Token::Equals, 1),
            [b'!', ..] => (Token::Not, 1),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'>', ..] => (Token::Greater, 1),
            [b'<', ..] => (Token::Less, 1),
            _ => (Token::Error, 1),
        };
        self.pos += len;
        (token, String::from_utf8_lossy(&rest[..len]).into_owned())
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    peeked: Option<(Token, String)>,
}

impl Parser<'_> {
    /// The next token. Where a value is expected, `in` and `notin` are plain words.
    fn consume(&mut self, values: bool) -> (Token, String) {
        let (token, literal) = self.peeked.take().unwrap_or_else(|| self.lexer.next());
        match token {
            Token::In | Token::NotIn if values => (Token::Identifier, literal),
            _ => (token, literal),
        }
    }
    fn lookahead(&mut self) -> (Token, String) {
        let next = self.peeked.take().unwrap_or_else(|| self.lexer.next());
        self.peeked = Some(next.clone());
        match next.0 {
            Token::In | Token::NotIn => (Token::Identifier, next.1),
            _ => next,
        }
    }

    fn parse(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            let (token, literal) = self.lookahead();
            match token {
                Token::Identifier | Token::Not => {}
                Token::End => return Ok(requirements),
                _ => return Err(format!("found '{literal}', expected: !, identifier, or 'end of string'")),
            }
            requirements.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
            match self.consume(true) {
                (Token::End, _) => return Ok(requirements),
                (Token::Comma, _) => {
                    let (next, literal) = self.lookahead();
                    if !matches!(next, Token::Identifier | Token::Not) {
                        return Err(format!("found '{literal}', expected: identifier after ','"));
                    }
                }
                (_, literal) => return Err(format!("found '{literal}', expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.consume(true);
        let not = token == Token::Not;
        if not {
            (token, key) = self.consume(true);
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        check_key(&key)?;
        let ends = matches!(self.lookahead().0, Token::End | Token::Comma);
        if not || ends {
            let operator = if not { Operator::DoesNotExist } else { Operator::Exists };
            return Requirement::new(&key, operator, Vec::new());
        }
        let operator = match self.consume(false) {
            (Token::In, _) => Operator::In,
            (Token::NotIn, _) => Operator::NotIn,
            (Token::Equals, _) => Operator::Equals,
            (Token::DoubleEquals, _) => Operator::DoubleEquals,
            (Token::NotEquals, _) => Operator::NotEquals,
            (Token::Greater, _) => Operator::GreaterThan,
            (Token::Less, _) => Operator::LessThan,
            (_, literal) => return Err(format!("found '{literal}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(&key, operator, values)
    }

    fn exact_value(&mut self) -> Result<Rc<str>, String> {
        if matches!(self.lookahead().0, Token::End | Token::Comma) {
            return Ok("".into());
        }
        match self.consume(true) {
            (Token::Identifier, literal) => Ok(literal.into()),
            (_, literal) => Err(format!("found '{literal}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<Rc<str>>, String> {
        let (token, literal) = self.consume(true);
        if token != Token::Open {
            return Err(format!("found '{literal}' expected: '('"));
        }
        let (token, literal) = self.lookahead();
        match token {
            Token::Identifier | Token::Comma => {
                let values = self.identifiers()?;
                self.consume(true);
                Ok(values)
            }
            Token::Close => {
                self.consume(true);
                Ok(Vec::new())
            }
            _ => Err(format!("found '{literal}', expected: ',', ')' or identifier")),
        }
    }

    /// Words between commas up to the closing parenthesis, which is left. Nothing between two commas is an empty word.
    fn identifiers(&mut self) -> Result<Vec<Rc<str>>, String> {
        let mut values: Vec<Rc<str>> = Vec::new();
        loop {
            match self.consume(true) {
                (Token::Identifier, literal) => {
                    values.push(literal.into());
                    match self.lookahead() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => break,
                        (_, literal) => return Err(format!("found '{literal}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push("".into());
                    }
                    match self.lookahead().0 {
                        Token::Close => {
                            values.push("".into());
                            break;
                        }
                        Token::Comma => {
                            self.consume(true);
                            values.push("".into());
                        }
                        _ => {}
                    }
                }
                (_, literal) => return Err(format!("found '{literal}', expected: ',', or identifier")),
            }
        }
        values.order();
        values.dedup();
        Ok(values)
    }
}
