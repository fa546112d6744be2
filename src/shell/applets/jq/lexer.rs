//! A jq program's text to tokens, one at a time: inside a string the parser takes over, because `\(` begins a program again.

use super::number;
use super::value::Json;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Number(Json),
    Ident(String),
    /// `.name`
    Field(String),
    /// `$name`
    Variable(String),
    /// `@name`
    Format(String),
    Keyword(&'static str),
    Op(&'static str),
    /// A quotation mark: the string's text follows.
    Quote,
    End,
    Invalid,
}

const KEYWORDS: [&str; 19] = [
    "__loc__", "and", "as", "catch", "def", "elif", "else", "end", "foreach", "if", "import", "include", "label", "module", "or",
    "reduce", "then", "try", "break",
];

/// Longest first.
const OPS: [&str; 35] = [
    "?//", "//=", "//", "|=", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "..", "|", ",", "=", "<", ">", "+", "-", "*",
    "/", "%", "?", "(", ")", "[", "]", "{", "}", ":", ";", ".", "$",
];

impl Token {
    /// As bison names it in a syntax error.
    pub fn name(&self) -> String {
        match self {
            Token::Number(_) => "LITERAL".into(),
            Token::Ident(_) => "IDENT".into(),
            Token::Field(_) => "FIELD".into(),
            Token::Variable(_) => "'$'".into(),
            Token::Format(_) => "FORMAT".into(),
            Token::Keyword(word) => (*word).into(),
            Token::Op(op) if op.len() == 1 => format!("'{op}'"),
            Token::Op(op) => (*op).into(),
            Token::Quote => "QQSTRING_START".into(),
            Token::End => "end of file".into(),
            Token::Invalid => "INVALID_CHARACTER".into(),
        }
    }
}

/// Where in the text the next token begins.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    pub text: &'a str,
    pub at: usize,
    /// Where the last token began.
    pub started: usize,
    /// Closing brackets that are due, the innermost last: any other one is an invalid character.
    due: Vec<&'static str>,
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0, started: 0, due: Vec::new() }
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Skips what a string holds.
    pub fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// A program begins inside a string.
    pub fn open_interpolation(&mut self) {
        self.due.push(")");
    }

    fn take(&mut self, len: usize) -> &'a str {
        let taken = &self.text[self.at..self.at + len];
        self.at += len;
        taken
    }

    /// The name that begins here, with module prefixes (`a::b`); its length.
    fn name_len(text: &str) -> usize {
        if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return 0;
        }
        let len = text.bytes().take_while(|b| is_name(*b)).count();
        match text[len..].strip_prefix("::").map(Self::name_len) {
            Some(more) if more > 0 => len + 2 + more,
            _ => len,
        }
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Takes the next token.
    pub fn token(&mut self) -> Token {
        self.skip_space();
        self.started = self.at;
        let rest = self.rest();
        let Some(first) = rest.bytes().next() else { return Token::End };
        let after = rest.as_bytes().get(1).copied().unwrap_or(0);
        match first {
            b'"' => {
                self.at += 1;
                Token::Quote
            }
            b'0'..=b'9' => self.number(),
            b'.' if after.is_ascii_digit() => self.number(),
            b'.' if after.is_ascii_alphabetic() || after == b'_' => {
                self.at += 1;
                let len = self.rest().bytes().take_while(|b| is_name(*b)).count();
                Token::Field(self.take(len).into())
            }
            b'@' if is_name(after) => {
                self.at += 1;
                let len = self.rest().bytes().take_while(|b| is_name(*b)).count();
                Token::Format(self.take(len).into())
            }
            b'$' if Self::name_len(&rest[1..]) > 0 => {
                self.at += 1;
                let len = Self::name_len(self.rest());
                Token::Variable(self.take(len).into())
            }
            _ if Self::name_len(rest) > 0 => {
                let name = self.take(Self::name_len(rest));
                KEYWORDS.iter().find(|k| **k == name).map_or_else(|| Token::Ident(name.into()), |k| Token::Keyword(k))
            }
            _ => self.operator(),
        }
    }

    fn number(&mut self) -> Token {
        let rest = self.rest().as_bytes();
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut len = digits(0);
        if rest.get(len) == Some(&b'.') {
            len += 1 + digits(len + 1);
        }
        if matches!(rest.get(len), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
            let exponent = digits(len + 1 + sign);
            len += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        number::parse(self.take(len)).map_or(Token::Invalid, Token::Number)
    }

    fn operator(&mut self) -> Token {
        match OPS.iter().find(|op| self.rest().starts_with(**op)) {
            Some(op) => {
                self.at += op.len();
                if self.fits(op) { Token::Op(op) } else { Token::Invalid }
            }
            None => Token::Invalid,
        }
    }

    /// Whether a bracket closes the one that is open.
    fn fits(&mut self, op: &str) -> bool {
        match op {
            "(" => self.due.push(")"),
            "[" => self.due.push("]"),
            "{" => self.due.push("}"),
            ")" | "]" | "}" => return self.due.pop() == Some(op),
            _ => {}
        }
        true
    }
}
