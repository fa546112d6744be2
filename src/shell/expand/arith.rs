//! `$((…))`: C's integer expressions over shell variables, 64 bits, wrapping.

use cri_api::Sys;

use crate::eval::Shell;

/// One evaluation.
pub struct Arith<'a, 'b, 'c> {
    text: &'a [u8],
    pos: usize,
    shell: &'b mut Shell,
    sys: &'b mut Sys<'c>,
    /// In a branch that isn't taken: nothing is assigned, nothing fails.
    skip: bool,
    depth: u32,
}

type Result<T> = std::result::Result<T, String>;

const SYNTAX: &str = "arithmetic syntax error";
/// Longer operators first.
const OPERATORS: [(&str, u8); 19] = [
    ("||", 1),
    ("&&", 2),
    ("<<", 8),
    (">>", 8),
    ("==", 6),
    ("!=", 6),
    ("<=", 7),
    (">=", 7),
    ("**", 11),
    ("|", 3),
    ("^", 4),
    ("&", 5),
    ("<", 7),
    (">", 7),
    ("+", 9),
    ("-", 9),
    ("*", 10),
    ("/", 10),
    ("%", 10),
];
const ASSIGNMENTS: [&str; 11] = ["<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "="];

impl<'a, 'b, 'c> Arith<'a, 'b, 'c> {
    pub fn evaluate(text: &'a str, shell: &'b mut Shell, sys: &'b mut Sys<'c>) -> Result<i64> {
        Arith::evaluate_at(text, shell, sys, 0)
    }

    fn evaluate_at(text: &'a str, shell: &'b mut Shell, sys: &'b mut Sys<'c>, depth: u32) -> Result<i64> {
        let mut arith = Arith { text: text.as_bytes(), pos: 0, shell, sys, skip: false, depth };
        arith.blanks();
        if arith.pos == arith.text.len() {
            return Ok(0);
        }
        let value = arith.comma()?;
        if arith.pos < arith.text.len() { Err(SYNTAX.into()) } else { Ok(value) }
    }

    fn blanks(&mut self) {
        while self.text.get(self.pos).is_some_and(u8::is_ascii_whitespace) {
            self.pos += 1;
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.text[self.pos..].starts_with(token.as_bytes());
        if found {
            self.pos += token.len();
            self.blanks();
        }
        found
    }

    fn comma(&mut self) -> Result<i64> {
        let mut value = self.ternary()?;
        while self.eat(",") {
            value = self.ternary()?;
        }
        Ok(value)
    }

    fn ternary(&mut self) -> Result<i64> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("expression recursion level exceeded".into());
        }
        let value = self.ternary_inner();
        self.depth -= 1;
        value
    }

    fn ternary_inner(&mut self) -> Result<i64> {
        let condition = self.binary(1)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let outer = self.skip;
        self.skip = outer || condition == 0;
        let yes = self.comma()?;
        if !self.eat(":") {
            return Err(SYNTAX.into());
        }
        self.skip = outer || condition != 0;
        let no = self.ternary()?;
        self.skip = outer;
        Ok(if condition != 0 { yes } else { no })
    }

    fn operator(&self, min: u8) -> Option<(&'static str, u8)> {
        let rest = &self.text[self.pos..];
        let found = OPERATORS.iter().find(|(op, _)| rest.starts_with(op.as_bytes()))?;
        let assigns =
            rest.get(found.0.len()) == Some(&b'=') && !matches!(found.0, "==" | "!=" | "<=" | ">=" | "||" | "&&" | "<" | ">");
        (found.1 >= min && !assigns).then_some(*found)
    }

    fn binary(&mut self, min: u8) -> Result<i64> {
        let mut left = self.unary()?;
        while let Some((operator, level)) = self.operator(min) {
            self.eat(operator);
            let outer = self.skip;
            self.skip |= (operator == "&&" && left == 0) || (operator == "||" && left != 0);
            // `**` groups to the right.
            let right = self.binary(if operator == "**" { level } else { level + 1 })?;
            self.skip = outer;
            left = self.apply(operator, left, right)?;
        }
        Ok(left)
    }

    fn apply(&self, operator: &str, a: i64, b: i64) -> Result<i64> {
        Ok(match operator {
            "||" => (a != 0 || b != 0) as i64,
            "&&" => (a != 0 && b != 0) as i64,
            "|" => a | b,
            "^" => a ^ b,
            "&" => a & b,
            "==" => (a == b) as i64,
            "!=" => (a != b) as i64,
            "<" => (a < b) as i64,
            ">" => (a > b) as i64,
            "<=" => (a <= b) as i64,
            ">=" => (a >= b) as i64,
            "<<" => a.wrapping_shl(b as u32),
            ">>" => a.wrapping_shr(b as u32),
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            "/" | "%" if b == 0 && self.skip => 0,
            "/" | "%" if b == 0 => return Err("divide by zero".into()),
            "/" => a.wrapping_div(b),
            "%" => a.wrapping_rem(b),
            "**" if b < 0 => return Err("exponent less than 0".into()),
            "**" => a.wrapping_pow(b.min(u32::MAX as i64) as u32),
            _ => return Err(SYNTAX.into()),
        })
    }

    fn unary(&mut self) -> Result<i64> {
        self.blanks();
        for step in ["++", "--"] {
            if self.text[self.pos..].starts_with(step.as_bytes()) {
                let start = self.pos;
                self.eat(step);
                if let Some(name) = self.name() {
                    let value = self.variable(&name)?.wrapping_add(if step == "++" { 1 } else { -1 });
                    return self.assign(&name, value);
                }
                self.pos = start;
            }
        }
        if self.eat("!") {
            return Ok((self.unary()? == 0) as i64);
        }
        if self.eat("~") {
            return Ok(!self.unary()?);
        }
        if self.eat("-") {
            return Ok(self.unary()?.wrapping_neg());
        }
        if self.eat("+") {
            return self.unary();
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<i64> {
        if self.eat("(") {
            let value = self.comma()?;
            return if self.eat(")") { Ok(value) } else { Err(SYNTAX.into()) };
        }
        if let Some(name) = self.name() {
            return self.variable_or_assignment(&name);
        }
        let start = self.pos;
        while self.text.get(self.pos).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'#') {
            self.pos += 1;
        }
        let number = String::from_utf8_lossy(&self.text[start..self.pos]).into_owned();
        self.blanks();
        if let Some((base, digits)) = number.split_once('#') {
            let base = base.parse::<u32>().ok().filter(|b| (2..=36).contains(b)).ok_or(SYNTAX)?;
            return i64::from_str_radix(digits, base).map_err(|_| SYNTAX.to_string());
        }
        crate::text::parse_int(&number).filter(|_| !number.is_empty()).ok_or_else(|| SYNTAX.to_string())
    }

    fn name(&mut self) -> Option<String> {
        let start = self.pos;
        let first = *self.text.get(start)?;
        if !first.is_ascii_alphabetic() && first != b'_' {
            return None;
        }
        while self.text.get(self.pos).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            self.pos += 1;
        }
        let name = String::from_utf8_lossy(&self.text[start..self.pos]).into_owned();
        self.blanks();
        Some(name)
    }

    fn variable_or_assignment(&mut self, name: &str) -> Result<i64> {
        for step in ["++", "--"] {
            if self.eat(step) {
                let old = self.variable(name)?;
                self.assign(name, old.wrapping_add(if step == "++" { 1 } else { -1 }))?;
                return Ok(old);
            }
        }
        if !self.text[self.pos..].starts_with(b"==") {
            for operator in ASSIGNMENTS {
                if self.eat(operator) {
                    let right = self.ternary()?;
                    let value = match operator.trim_end_matches('=') {
                        "" => right,
                        operator => {
                            let old = self.variable(name)?;
                            self.apply(operator, old, right)?
                        }
                    };
                    return self.assign(name, value);
                }
            }
        }
        self.variable(name)
    }

    fn variable(&mut self, name: &str) -> Result<i64> {
        let Some(text) = self.shell.param(name, self.sys) else {
            return match self.shell.options.nounset && !self.skip {
                true => Err(self.shell.unset_message(name)),
                false => Ok(0),
            };
        };
        if let Some(value) = crate::text::parse_int(&text) {
            return Ok(value);
        }
        if self.depth > 50 {
            return Err("expression recursion level exceeded".into());
        }
        Arith::evaluate_at(&text, self.shell, self.sys, self.depth + 10)
    }

    fn assign(&mut self, name: &str, value: i64) -> Result<i64> {
        if !self.skip {
            self.shell.set(name, &value.to_string())?;
        }
        Ok(value)
    }
}
