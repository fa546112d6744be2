//! Objects under construction, and patterns that take values apart: `. as [$a, {b: $c}]` becomes a chain of single bindings.

use super::*;

/// What a pattern does with the value: the names that it binds, in order, with the way from another bound value.
pub(super) struct Pattern {
    steps: Vec<Step>,
}

/// One binding: `names[from][key] as name`.
struct Step {
    /// The place of the binding that is taken apart, counted from the whole value (0).
    from: usize,
    key: Key,
    name: Option<String>,
}

enum Key {
    Index(usize),
    Name(String),
    /// Where an expression for the key is written; it is compiled where it is used.
    Written(usize),
}

impl Parser<'_> {
    // ---- construction ----

    pub(super) fn object(&mut self) -> Parsed<Id> {
        self.advance();
        let mut members = Vec::new();
        while !self.accept("}") {
            members.push(self.member_of_object()?);
            if !self.accept(",") && !self.is("}") {
                return self.unexpected("'}'");
            }
        }
        if members.is_empty() {
            return Ok(self.literal(Json::object::<&str, _>([])));
        }
        Ok(self.node(Node::Object(members.into())))
    }

    fn member_of_object(&mut self) -> Parsed<(Id, Id)> {
        let at = self.start;
        let key = match self.token.clone() {
            Token::Ident(name) => self.literal_key(name),
            Token::Keyword(name) => self.literal_key(name.into()),
            Token::Variable(name) => {
                self.advance();
                let value = self.named_variable(at, &name);
                if !self.accept(":") {
                    return Ok((self.literal(Json::str(name)), value));
                }
                return Ok((value, self.member_value()?));
            }
            Token::Op("$") => {
                self.advance();
                self.expect_word("__loc__")?;
                let value = self.named_variable(at, "__loc__");
                return Ok((self.literal(Json::str("__loc__")), value));
            }
            Token::Number(value) => {
                self.advance();
                self.literal(value)
            }
            Token::Quote | Token::Format(_) => self.term()?,
            Token::Op("(") => {
                self.advance();
                let key = self.pipe()?;
                self.expect(")")?;
                self.expect(":")?;
                return Ok((key, self.member_value()?));
            }
            _ => return self.unexpected(""),
        };
        if self.accept(":") {
            return Ok((key, self.member_value()?));
        }
        let input = self.node(Node::Identity);
        Ok((key, self.node(Node::Index(input, key, false))))
    }

    fn literal_key(&mut self, name: String) -> Id {
        self.advance();
        self.literal(Json::str(name))
    }

    /// Terms and `|`; anything else needs parentheses.
    fn member_value(&mut self) -> Parsed<Id> {
        let value = match self.accept("-") {
            true => {
                let operand = self.term()?;
                self.node(Node::Negate(operand))
            }
            false => self.term()?,
        };
        if !self.accept("|") {
            return Ok(value);
        }
        let rest = self.member_value()?;
        Ok(self.node(Node::Pipe(value, rest)))
    }

    // ---- patterns ----

    /// Reads a pattern.
    pub(super) fn pattern_names(&mut self) -> Parsed<Pattern> {
        let mut steps = Vec::new();
        self.pattern(0, Key::Index(0), &mut steps)?;
        if self.is("?//") {
            return self.refuse("jq: ?//");
        }
        Ok(Pattern { steps })
    }

    fn pattern(&mut self, from: usize, key: Key, steps: &mut Vec<Step>) -> Parsed<()> {
        match self.token.clone() {
            Token::Variable(name) => {
                self.advance();
                steps.push(Step { from, key, name: Some(name) });
                Ok(())
            }
            Token::Op("[") => {
                self.advance();
                steps.push(Step { from, key, name: None });
                let whole = steps.len();
                for index in 0.. {
                    self.pattern(whole, Key::Index(index), steps)?;
                    if !self.accept(",") {
                        break;
                    }
                }
                self.expect("]")
            }
            Token::Op("{") => {
                self.advance();
                steps.push(Step { from, key, name: None });
                let whole = steps.len();
                loop {
                    self.object_pattern(whole, steps)?;
                    if !self.accept(",") {
                        break;
                    }
                }
                self.expect("}")
            }
            _ => self.unexpected("'$' or '[' or '{'"),
        }
    }

    fn object_pattern(&mut self, whole: usize, steps: &mut Vec<Step>) -> Parsed<()> {
        let here = self.start;
        let key = match self.token.clone() {
            Token::Variable(name) => {
                self.advance();
                steps.push(Step { from: whole, key: Key::Name(name.clone()), name: Some(name.clone()) });
                if !self.accept(":") {
                    return Ok(());
                }
                return self.pattern(whole, Key::Name(name), steps);
            }
            Token::Ident(name) => {
                self.advance();
                Key::Name(name)
            }
            Token::Keyword(name) => {
                self.advance();
                Key::Name(name.into())
            }
            Token::Quote | Token::Op("(") => {
                self.skip_key()?;
                Key::Written(here)
            }
            _ => return self.unexpected(""),
        };
        self.expect(":")?;
        self.pattern(whole, key, steps)
    }

    /// Reads over a key's expression: what it compiles to here is thrown away, since its names lie elsewhere where it is used.
    fn skip_key(&mut self) -> Parsed<()> {
        let nodes = self.program.nodes.len();
        let errors = self.errors.len();
        let parsed = self.written_key();
        self.program.nodes.truncate(nodes);
        if parsed.is_ok() {
            self.errors.truncate(errors);
        }
        parsed.map(|_| ())
    }

    fn written_key(&mut self) -> Parsed<Id> {
        if self.token == Token::Quote {
            return self.string(None);
        }
        self.expect("(")?;
        let key = self.pipe()?;
        self.expect(")")?;
        Ok(key)
    }

    /// `source as PATTERN | body`.
    pub(super) fn bind(&mut self, source: Id, pattern: Pattern, body: impl FnOnce(&mut Self) -> Parsed<Id>) -> Parsed<Id> {
        let body = self.destructured(&pattern, body)?;
        Ok(self.node(Node::Bind(source, body)))
    }

    /// A body inside the bindings of a pattern whose whole value is bound already.
    pub(super) fn destructured(&mut self, pattern: &Pattern, body: impl FnOnce(&mut Self) -> Parsed<Id>) -> Parsed<Id> {
        let names = self.names.len();
        let parsed = self.bind_steps(&pattern.steps, body);
        self.names.truncate(names);
        parsed
    }

    fn bind_steps(&mut self, steps: &[Step], body: impl FnOnce(&mut Self) -> Parsed<Id>) -> Parsed<Id> {
        let mut sources = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            // The first step is the whole value, which the caller binds.
            if i > 0 {
                let whole = self.variable(i - step.from);
                let key = match &step.key {
                    Key::Index(index) => self.literal(Json::int(*index as i64)),
                    Key::Name(name) => self.literal(Json::str(name)),
                    Key::Written(place) => self.key_again(*place)?,
                };
                sources.push(self.node(Node::Index(whole, key, false)));
            }
            self.names.push(step.name.clone().map_or(Name::Hidden, Name::Variable));
        }
        let mut body = body(self)?;
        for source in sources.into_iter().rev() {
            body = self.node(Node::Bind(source, body));
        }
        Ok(body)
    }

    /// Compiles a key's expression where it is used, and returns to where the parser was.
    fn key_again(&mut self, place: usize) -> Parsed<Id> {
        let fresh = Lexer::new(self.lexer.text);
        let lexer = std::mem::replace(&mut self.lexer, fresh);
        let (token, start, previous) = (self.token.clone(), self.start, self.previous);
        self.lexer.at = place;
        self.advance();
        let key = self.written_key();
        (self.lexer, self.token, self.start, self.previous) = (lexer, token, start, previous);
        key
    }
}
