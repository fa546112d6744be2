//! Terms: what stands between operators, with what may follow it (`.a`, `[…]`, `?`, `as $x | …`).

use super::*;

impl Parser<'_> {
    /// A term with its suffixes; `term as $x | body` and `label $x | body` reach as far as they can.
    pub(super) fn postfix(&mut self) -> Parsed<Id> {
        if self.is_word("def") {
            return self.define();
        }
        if self.accept_word("label") {
            return self.label();
        }
        if self.accept_word("try") {
            return self.attempt();
        }
        let term = self.term()?;
        if !self.accept_word("as") {
            return Ok(term);
        }
        let patterns = self.pattern_names()?;
        self.expect("|")?;
        self.bind(term, patterns, Self::pipe)
    }

    fn label(&mut self) -> Parsed<Id> {
        let Token::Variable(name) = self.advance() else { return self.unexpected("") };
        self.expect("|")?;
        let body = self.within(vec![Name::Label(name)], Self::pipe)?;
        Ok(self.node(Node::Label(body)))
    }

    fn attempt(&mut self) -> Parsed<Id> {
        let body = self.attempted()?;
        let handler = if self.accept_word("catch") { Some(self.attempted()?) } else { None };
        Ok(self.node(Node::Try(body, handler)))
    }

    fn attempted(&mut self) -> Parsed<Id> {
        if self.accept("-") {
            let operand = self.attempted()?;
            return Ok(self.node(Node::Negate(operand)));
        }
        if self.accept_word("try") { self.attempt() } else { self.term() }
    }

    /// A term and its suffixes.
    pub(super) fn term(&mut self) -> Parsed<Id> {
        let mut term = self.primary()?;
        loop {
            term = match self.token.clone() {
                Token::Field(name) => {
                    self.advance();
                    self.member(term, &name)
                }
                Token::Op(".") => {
                    self.advance();
                    if self.is("[") { self.brackets(term)? } else { self.dotted_string(term)? }
                }
                Token::Op("[") => self.brackets(term)?,
                Token::Op("?") => {
                    self.advance();
                    self.node(Node::Try(term, None))
                }
                Token::Op("?//") => {
                    let left = self.node(Node::Try(term, None));
                    self.token = Token::Op("//");
                    return Ok(left);
                }
                _ => return Ok(term),
            };
        }
    }

    /// `?` right behind an index leaves out the error of this index only.
    fn optional(&mut self) -> bool {
        self.accept("?")
    }

    fn member(&mut self, term: Id, name: &str) -> Id {
        let key = self.literal(Json::str(name));
        let optional = self.optional();
        self.node(Node::Index(term, key, optional))
    }

    /// `term."name"`, after the dot.
    fn dotted_string(&mut self, term: Id) -> Parsed<Id> {
        let format = self.string_format();
        if self.token != Token::Quote {
            return self.unexpected("FORMAT or QQSTRING_START");
        }
        let key = self.string(format)?;
        let optional = self.optional();
        Ok(self.node(Node::Index(term, key, optional)))
    }

    fn brackets(&mut self, term: Id) -> Parsed<Id> {
        self.advance();
        if self.accept("]") {
            let optional = self.optional();
            return Ok(self.node(Node::Each(term, optional)));
        }
        let from = if self.is(":") { None } else { Some(self.pipe()?) };
        let key = match (self.accept(":"), from) {
            (false, Some(key)) => key,
            (_, from) => {
                let to = if from.is_some() && self.is("]") { None } else { Some(self.pipe()?) };
                self.node(Node::Slice(from, to))
            }
        };
        self.expect("]")?;
        let optional = self.optional();
        Ok(self.node(Node::Index(term, key, optional)))
    }

    fn primary(&mut self) -> Parsed<Id> {
        let at = self.start;
        match self.token.clone() {
            Token::Number(value) => {
                self.advance();
                Ok(self.literal(value))
            }
            Token::Quote => self.string(None),
            Token::Format(_) => self.format(),
            Token::Field(name) => {
                self.advance();
                let input = self.node(Node::Identity);
                Ok(self.member(input, &name))
            }
            Token::Variable(name) => {
                self.advance();
                Ok(self.named_variable(at, &name))
            }
            Token::Ident(name) => {
                self.advance();
                let args = self.arguments()?;
                Ok(self.call(at, &name, args))
            }
            Token::Op(op) => self.operator_term(op),
            Token::Keyword(word) => self.keyword_term(word),
            Token::End | Token::Invalid => self.unexpected(""),
        }
    }

    fn operator_term(&mut self, op: &str) -> Parsed<Id> {
        match op {
            "." => {
                self.advance();
                let input = self.node(Node::Identity);
                if self.token == Token::Quote || matches!(self.token, Token::Format(_)) {
                    return self.dotted_string(input);
                }
                Ok(input)
            }
            ".." => {
                self.advance();
                let at = self.start;
                Ok(self.call(at, "recurse", Vec::new()))
            }
            "(" => {
                self.advance();
                let inner = self.pipe()?;
                self.expect(")")?;
                Ok(inner)
            }
            "[" => {
                self.advance();
                if self.accept("]") {
                    return Ok(self.literal(Json::array([])));
                }
                let items = self.pipe()?;
                self.expect("]")?;
                Ok(self.node(Node::Collect(items)))
            }
            "{" => self.object(),
            "$" => {
                self.advance();
                if !self.accept_word("__loc__") {
                    return self.unexpected("");
                }
                Ok(self.location())
            }
            _ => self.unexpected(""),
        }
    }

    fn keyword_term(&mut self, word: &str) -> Parsed<Id> {
        match word {
            "if" => {
                self.advance();
                self.condition()
            }
            "reduce" | "foreach" => {
                self.advance();
                self.fold(word == "reduce")
            }
            "def" => self.define(),
            "break" => {
                self.advance();
                let at = self.previous;
                let Token::Variable(name) = self.advance() else { return self.unexpected("") };
                match self.distance(|n| matches!(n, Name::Label(l) if *l == name)) {
                    Some(distance) => Ok(self.node(Node::Break(distance as u32))),
                    None => {
                        self.error(at, &format!("$*label-{name} is not defined"));
                        Ok(self.node(Node::Empty))
                    }
                }
            }
            _ => self.unexpected(""),
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Id>> {
        let mut args = Vec::new();
        if self.accept("(") {
            args.push(self.pipe()?);
            while self.accept(";") {
                args.push(self.pipe()?);
            }
            self.expect(")")?;
        }
        Ok(args)
    }

    /// `$name`.
    pub(super) fn named_variable(&mut self, at: usize, name: &str) -> Id {
        if name == "__loc__" {
            return self.location();
        }
        match self.distance(|n| matches!(n, Name::Variable(v) if v == name)) {
            Some(distance) => self.variable(distance),
            None if name == "ENV" => self.node(Node::Environment),
            None => {
                self.error(at, &format!("${name} is not defined"));
                self.node(Node::Empty)
            }
        }
    }

    fn location(&mut self) -> Id {
        let line = self.lexer.text[..self.previous].matches('\n').count() + 1;
        self.literal(Json::object([("file", Json::str("<top-level>")), ("line", Json::int(line as i64))]))
    }

    /// After `if`.
    fn condition(&mut self) -> Parsed<Id> {
        let test = self.pipe()?;
        self.expect_word("then")?;
        let then = self.pipe()?;
        let otherwise = match self.token {
            Token::Keyword("elif") => {
                self.advance();
                self.condition()?
            }
            Token::Keyword("else") => {
                self.advance();
                let otherwise = self.pipe()?;
                self.expect_word("end")?;
                otherwise
            }
            _ => {
                self.expect_word("end")?;
                self.node(Node::Identity)
            }
        };
        Ok(self.node(Node::If(test, then, otherwise)))
    }

    /// After `reduce` or `foreach`.
    fn fold(&mut self, reduce: bool) -> Parsed<Id> {
        let source = self.term()?;
        self.expect_word("as")?;
        let patterns = self.pattern_names()?;
        self.expect("(")?;
        let init = self.pipe()?;
        self.expect(";")?;
        // The state is the input of what is bound, so the parts of a pattern are taken from the hidden whole.
        let update = self.destructured(&patterns, Self::pipe)?;
        if reduce {
            self.expect(")")?;
            return Ok(self.node(Node::Reduce { source, init, update }));
        }
        let extract = match self.accept(";") {
            true => self.destructured(&patterns, Self::pipe)?,
            false => self.node(Node::Identity),
        };
        self.expect(")")?;
        Ok(self.node(Node::Foreach { source, init, update, extract }))
    }

    // ---- strings ----

    /// `@name` in front of a string.
    fn string_format(&mut self) -> Option<Rc<str>> {
        let Token::Format(name) = &self.token else { return None };
        let name = name.as_str().into();
        self.advance();
        Some(name)
    }

    fn format(&mut self) -> Parsed<Id> {
        let format = self.string_format();
        if self.token == Token::Quote {
            return self.string(format);
        }
        Ok(self.node(Node::Format(format.expect("the token was a format"))))
    }

    /// A string from its quotation mark on. Its parts are added up; what is interpolated goes through the format.
    pub(super) fn string(&mut self, format: Option<Rc<str>>) -> Parsed<Id> {
        let format: Rc<str> = format.unwrap_or_else(|| "text".into());
        let begin = self.start;
        let mut whole: Option<Id> = None;
        loop {
            let rest = self.lexer.rest();
            let end = end_of_text(rest);
            let text = match end {
                Some(end) => unescape(&rest[..end]),
                None => return self.unfinished_string(),
            };
            let Ok(text) = text else {
                self.error(begin, &format!("Invalid escape (while parsing '\"{}\"')", &rest[..end.unwrap_or(0)]));
                return Err(Stop);
            };
            let end = end.unwrap_or(rest.len());
            if !text.is_empty() || rest[end..].starts_with('"') && whole.is_none() {
                let piece = self.literal(Json::str(text));
                whole = Some(self.added(whole, piece));
            }
            if rest[end..].starts_with('"') {
                self.lexer.skip(end + 1);
                self.advance();
                return Ok(whole.expect("an empty string has its piece"));
            }
            self.lexer.skip(end + 2);
            self.lexer.open_interpolation();
            self.advance();
            let inner = self.pipe()?;
            if !self.is(")") {
                return self.unexpected("");
            }
            let formatted = self.node(Node::Format(format.clone()));
            let piece = self.node(Node::Pipe(inner, formatted));
            whole = Some(self.added(whole, piece));
        }
    }

    fn added(&mut self, whole: Option<Id>, piece: Id) -> Id {
        match whole {
            Some(whole) => self.node(Node::Binary(Op::Add, whole, piece)),
            None => piece,
        }
    }

    fn unfinished_string<T>(&mut self) -> Parsed<T> {
        let at = self.start;
        let message = "syntax error, unexpected end of file, expecting QQSTRING_TEXT or QQSTRING_INTERP_START or QQSTRING_END (Unix shell quoting issues?)";
        self.error(at, message);
        Err(Stop)
    }
}

/// Where a string's text ends: at `"` or at `\(`.
fn end_of_text(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', _) | (b'\\', Some(b'(')) => return Some(at),
            (b'\\', _) => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// Escapes carried out as JSON has them; raw line ends are allowed.
fn unescape(text: &str) -> Result<String, String> {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            c if (c as u32) < 0x20 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    match crate::applets::jq::reader::parse_one(&quoted) {
        Ok(Some(Json::String(text))) => Ok(text.to_string()),
        Ok(_) => Err("Invalid escape".into()),
        Err(message) => Err(message),
    }
}
