//! awk's words: where a slash begins a regular expression is decided by what stands before it.

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    Regex(String),
    Name(String),
    /// A name with a parenthesis right behind it.
    Function(String),
    Op(&'static str),
    Newline,
    End,
}

pub(super) type Result<T> = std::result::Result<T, String>;

pub(super) const OPS: [&str; 45] = [
    "**=", "&&", "||", "==", "<=", ">=", "!=", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "!~", ">>", "**", "{", "}", "(",
    ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?", ":", "~", "$", "=", "\n", "@", "&", "#",
];
pub(super) const KEYWORDS: [&str; 17] = [
    "BEGIN", "END", "function", "func", "if", "else", "while", "do", "for", "in", "break", "continue", "next", "exit", "return",
    "delete", "getline",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>> {
    let bytes = text.as_bytes();
    let mut out: Vec<Token> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b' ' | b'\t' | b'\r' => at += 1,
            b'\\' if bytes.get(at + 1) == Some(&b'\n') => at += 2,
            b'#' => at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at),
            b'\n' => {
                out.push(Token::Newline);
                at += 1;
            }
            b'"' => {
                let mut end = at + 1;
                while bytes.get(end).is_some_and(|b| *b != b'"') {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                let inner = bytes.get(at + 1..end).filter(|_| end < bytes.len()).ok_or("unterminated string")?;
                out.push(Token::Text(String::from_utf8_lossy(&crate::text::unescape(inner).bytes).replace("\\/", "/")));
                at = end + 1;
            }
            b'/' if !matches!(
                out.last(),
                Some(Token::Number(_) | Token::Name(_) | Token::Text(_) | Token::Op(")" | "]" | "$"))
            ) =>
            {
                let mut end = at + 1;
                let mut in_bracket = false;
                while bytes.get(end).is_some_and(|b| *b != b'/' || in_bracket) {
                    match bytes[end] {
                        b'\\' => end += 1,
                        b'[' => in_bracket = true,
                        b']' => in_bracket = false,
                        _ => {}
                    }
                    end += 1;
                }
                let inner = bytes.get(at + 1..end).filter(|_| end < bytes.len()).ok_or("unterminated regex")?;
                out.push(Token::Regex(String::from_utf8_lossy(inner).replace("\\/", "/")));
                at = end + 1;
            }
            b if b.is_ascii_digit() || (b == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)) => {
                let len = crate::applets::awk::run::number_len(&text[at..]);
                out.push(Token::Number(text[at..at + len].parse().map_err(|_| "bad number")?));
                at += len.max(1);
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let len = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                let name = text[at..at + len].to_string();
                at += len;
                let call = bytes.get(at) == Some(&b'(')
                    && !KEYWORDS.contains(&name.as_str())
                    && !matches!(name.as_str(), "print" | "printf");
                out.push(if call { Token::Function(name) } else { Token::Name(name) });
            }
            _ => {
                let op = OPS.iter().find(|op| text[at..].starts_with(**op)).ok_or("Unexpected token")?;
                out.push(Token::Op(op));
                at += op.len();
            }
        }
    }
    out.push(Token::End);
    Ok(out)
}
