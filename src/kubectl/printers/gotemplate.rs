//! `-o go-template`: the part of Go's `text/template` that people use with kubectl.
//!
//! Actions: pipelines, `if`/`else if`/`else`, `range` (with variables, `else`, `break`, `continue`), `with`, variables, comments, trim
//! marks. Functions: `and or not eq ne lt le gt ge len index slice print printf println html js urlquery exists base64decode`.
//! Left out, by name in the error: `define`, `template`, `block`, `call`.

use apimachinery::Value;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If(Vec<(Option<Pipeline>, Vec<Node>)>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Break,
    Continue,
}

/// Commands, each fed with the result of the one before; perhaps assigned to variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    pub declares: Vec<String>,
    pub assigns: bool,
    pub commands: Vec<Vec<Term>>,
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a`
    Variable(String, Vec<String>),
    Function(String),
    Literal(Value),
    /// `(pipeline).a`
    Sub(Pipeline, Vec<String>),
}

pub(crate) struct Template {
    pub text: String,
    pub(super) nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Field(String),
    Variable(String),
    Literal(Value),
    Punct(char),
    Declare,
}

impl Template {
    /// The error begins with the line: `1: unclosed action`.
    pub fn parse(text: &str) -> Result<Template, String> {
        let pieces = pieces(text)?;
        let mut parser = Parser { pieces: &pieces, at: 0 };
        let (nodes, end) = parser.block()?;
        match end.as_deref() {
            None => Ok(Template { text: text.into(), nodes }),
            Some(word) => Err(format!("1: unexpected {{{{{word}}}}}")),
        }
    }
}

enum Piece {
    Text(String),
    Action(usize, Vec<Token>),
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut out, mut rest, mut trim, mut line) = (Vec::new(), text, false, 1);
    while let Some(open) = rest.find("{{") {
        let mut before = &rest[..open];
        let mut inside = &rest[open + 2..];
        line += before.matches('\n').count();
        if trim {
            before = before.trim_start();
        }
        if inside.starts_with("- ") || inside.starts_with("-\n") || inside.starts_with("-\t") {
            before = before.trim_end();
            inside = &inside[1..];
        }
        out.push(Piece::Text(before.to_string()));
        if let Some(comment) = inside.trim_start().strip_prefix("/*") {
            let end = comment.find("*/").ok_or(format!("{line}: unclosed comment"))?;
            let after = comment[end + 2..].trim_start();
            trim = after.starts_with('-');
            rest = after
                .trim_start_matches('-')
                .trim_start()
                .strip_prefix("}}")
                .ok_or(format!("{line}: comment ends before closing delimiter"))?;
            continue;
        }
        let (tokens, after, trims) = tokens(inside).map_err(|e| format!("{line}: {e}"))?;
        out.push(Piece::Action(line, tokens));
        line += inside[..inside.len() - after.len()].matches('\n').count();
        (rest, trim) = (after, trims);
    }
    out.push(Piece::Text(if trim { rest.trim_start().to_string() } else { rest.to_string() }));
    Ok(out)
}

/// The tokens of an action, what follows it, and whether it trims what follows.
fn tokens(text: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let (mut out, mut rest) = (Vec::new(), text);
    loop {
        let spaced = rest.starts_with(char::is_whitespace);
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((out, after, false));
        }
        if spaced && let Some(after) = rest.strip_prefix("-}}") {
            return Ok((out, after, true));
        }
        let Some(c) = rest.chars().next() else { return Err("unclosed action".into()) };
        let word_end = |t: &str| t.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(t.len());
        match c {
            '|' | '(' | ')' | ',' | '=' => {
                // A field right after `)` belongs to it; a space in between would not.
                out.push(Token::Punct(c));
                rest = &rest[1..];
            }
            ':' if rest.starts_with(":=") => {
                out.push(Token::Declare);
                rest = &rest[2..];
            }
            '.' => {
                let end = word_end(&rest[1..]) + 1;
                let joined = !spaced && matches!(out.last(), Some(Token::Field(_) | Token::Variable(_) | Token::Punct(')')));
                if joined {
                    out.push(Token::Punct('.'));
                }
                out.push(Token::Field(rest[1..end].into()));
                rest = &rest[end..];
            }
            '$' => {
                let end = word_end(&rest[1..]) + 1;
                out.push(Token::Variable(rest[..end].into()));
                rest = &rest[end..];
            }
            '"' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find_map(|(i, c)| {
                    let closes = !escaped && c == '"';
                    escaped = !escaped && c == '\\';
                    closes.then_some(i)
                });
                let end = end.ok_or("unterminated quoted string")?;
                let value = apimachinery::json::parse(&rest.as_bytes()[..=end]).map_err(|_| "bad string constant")?;
                out.push(Token::Literal(value));
                rest = &rest[end + 1..];
            }
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")? + 1;
                out.push(Token::Literal(rest[1..end].into()));
                rest = &rest[end + 1..];
            }
            c if c.is_ascii_digit() || c == '-' || c == '+' => {
                let end = rest[1..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |i| i + 1);
                let value = apimachinery::json::parse(rest[..end].trim_start_matches('+').as_bytes());
                out.push(Token::Literal(value.map_err(|_| format!("bad number syntax: {:?}", &rest[..end]))?));
                rest = &rest[end..];
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = word_end(rest);
                out.push(match &rest[..end] {
                    "true" => Token::Literal(true.into()),
                    "false" => Token::Literal(false.into()),
                    "nil" => Token::Literal(Value::Null),
                    word => Token::Word(word.into()),
                });
                rest = &rest[end..];
            }
            c => return Err(format!("unexpected {c:?} in command")),
        }
    }
}

struct Parser<'a> {
    pieces: &'a [Piece],
    at: usize,
}

impl Parser<'_> {
    /// Nodes up to `end` or `else …` (whose words are returned) or the end of the text.
    fn block(&mut self) -> Result<(Vec<Node>, Option<String>), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at) {
            self.at += 1;
            let (line, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.clone()));
                    continue;
                }
                Piece::Action(line, tokens) => (*line, tokens.as_slice()),
            };
            let located = |e: String| format!("{line}: {e}");
            let word = if let Some(Token::Word(word)) = tokens.first() { word.as_str() } else { "" };
            match word {
                "end" => return Ok((nodes, Some("end".into()))),
                "else" => {
                    let is_if = tokens.get(1) == Some(&Token::Word("if".into()));
                    if is_if {
                        // The condition is read again by the `if` that continues.
                        self.at -= 1;
                    }
                    return Ok((nodes, Some(if is_if { "else if".into() } else { "else".into() })));
                }
                "if" => nodes.push(self.conditional(pipeline(&tokens[1..]).map_err(located)?)?),
                "range" | "with" => {
                    let over = pipeline(&tokens[1..]).map_err(located)?;
                    let (body, end) = self.block()?;
                    let (otherwise, end) = if end.as_deref() == Some("else") { self.block()? } else { (Vec::new(), end) };
                    if end.is_none() {
                        return Err(format!("{line}: unexpected EOF"));
                    }
                    nodes.push(if word == "range" {
                        Node::Range(over, body, otherwise)
                    } else {
                        Node::With(over, body, otherwise)
                    });
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" => return Err(format!("{line}: {word} is not supported in this bottle")),
                _ => nodes.push(Node::Action(pipeline(tokens).map_err(located)?)),
            }
        }
        Ok((nodes, None))
    }

    fn conditional(&mut self, first: Pipeline) -> Result<Node, String> {
        let mut branches = Vec::new();
        let mut condition = Some(first);
        loop {
            let (body, end) = self.block()?;
            branches.push((condition.take(), body));
            match end.as_deref() {
                Some("else if") => {
                    if let Some(Piece::Action(line, tokens)) = self.pieces.get(self.at) {
                        condition = Some(pipeline(&tokens[2..]).map_err(|e| format!("{line}: {e}"))?);
                        self.at += 1;
                    }
                }
                Some("else") => {}
                Some(_) => return Ok(Node::If(branches)),
                None => return Err("1: unexpected EOF".into()),
            }
        }
    }
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, String> {
    let (pipeline, rest) = parse_pipeline(tokens)?;
    if !rest.is_empty() {
        return Err(format!("unexpected {:?} in command", rest[0]));
    }
    Ok(pipeline)
}

fn parse_pipeline(mut tokens: &[Token]) -> Result<(Pipeline, &[Token]), String> {
    let mut out = Pipeline::default();
    match tokens {
        [Token::Variable(a), Token::Punct(','), Token::Variable(b), Token::Declare, rest @ ..] => {
            out.declares = vec![a.clone(), b.clone()];
            tokens = rest;
        }
        [Token::Variable(a), Token::Declare, rest @ ..] => {
            out.declares = vec![a.clone()];
            tokens = rest;
        }
        [Token::Variable(a), Token::Punct('='), rest @ ..] => {
            out.declares = vec![a.clone()];
            out.assigns = true;
            tokens = rest;
        }
        _ => {}
    }
    let mut command = Vec::new();
    while let Some(token) = tokens.first().filter(|t| **t != Token::Punct(')')) {
        tokens = &tokens[1..];
        match token {
            Token::Punct('|') => out.commands.push(std::mem::take(&mut command)),
            Token::Punct('(') => {
                let (sub, rest) = parse_pipeline(tokens)?;
                let Some(Token::Punct(')')) = rest.first() else { return Err("unclosed left paren".into()) };
                let (path, rest) = members(&rest[1..]);
                command.push(Term::Sub(sub, path));
                tokens = rest;
            }
            Token::Field(name) => {
                let (mut path, rest) = members(tokens);
                if !name.is_empty() {
                    path.insert(0, name.clone());
                }
                command.push(Term::Field(path));
                tokens = rest;
            }
            Token::Variable(name) => {
                let (path, rest) = members(tokens);
                command.push(Term::Variable(name.clone(), path));
                tokens = rest;
            }
            Token::Literal(value) => command.push(Term::Literal(value.clone())),
            Token::Word(name) => command.push(Term::Function(name.clone())),
            other => return Err(format!("unexpected {other:?} in command")),
        }
    }
    if command.is_empty() {
        return Err("missing value for command".into());
    }
    out.commands.push(command);
    Ok((out, tokens))
}

/// `.b.c` joined to what came before.
fn members(mut tokens: &[Token]) -> (Vec<String>, &[Token]) {
    let mut path = Vec::new();
    while let [Token::Punct('.'), Token::Field(name), rest @ ..] = tokens {
        path.push(name.clone());
        tokens = rest;
    }
    (path, tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_print_as_in_go() {
        let value = apimachinery::json::parse(
            br#"{"items":[{"name":"api","n":2,"l":{"tier":"x"}},{"name":"web","n":1,"l":{"tier":"frontend"}}],"data":{"a b":"c2VjcmV0"}}"#,
        )
        .unwrap();
        for (text, want) in [
            ("{{range .items}}{{.name}}: {{len .l}}{{\"\\n\"}}{{end}}", "api: 1\nweb: 1\n"),
            ("{{range .items}}{{if eq .l.tier \"frontend\"}}{{.name | printf \"%-8s|\"}}{{end}}{{end}}", "web     |"),
            ("{{index .data \"a b\" | base64decode}}", "secret"),
            ("{{range $k, $v := .data}}{{$k}}={{$v}}{{end}}", "a b=c2VjcmV0"),
            ("{{range $i, $e := .items}}{{if $i}}, {{end}}{{$e.name}}{{end}}", "api, web"),
            ("{{.nope}} {{if .nope}}a{{else if eq (len .items) 2}}b{{else}}c{{end}}", "<no value> b"),
            ("{{with .data}}{{- /* x */ -}} {{end}}|{{range .none}}x{{else}}empty{{end}}", "|empty"),
            ("{{(index .items 1).name}} {{and .items true}} {{not false}} {{gt 2 1}}", "web true true true"),
        ] {
            assert_eq!(Template::parse(text).unwrap().execute(&value).as_deref(), Ok(want), "{text}");
        }
        assert!(Template::parse("{{range .x}}").is_err());
    }
}
