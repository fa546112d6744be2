//! `expr`.

use super::Io;

type Result<T> = std::result::Result<T, String>;

struct Expr<'a> {
    args: &'a [String],
    at: usize,
}

pub(super) fn run(io: &mut Io<'_, '_>) -> i32 {
    let args: Vec<String> = io.args().iter().map(|a| a.to_string()).collect();
    let mut expr = Expr { args: &args, at: 0 };
    match expr.level(0) {
        Ok(value) if expr.at == args.len() => {
            let null = value.is_empty() || value == "0";
            io.print(value + "\n");
            null as i32
        }
        Ok(_) => {
            io.error("syntax error");
            2
        }
        Err(message) => {
            io.error(message);
            2
        }
    }
}

/// From loosest to tightest.
const LEVELS: [&[&str]; 6] = [&["|"], &["&"], &["=", "==", "!=", "<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"], &[":"]];

impl Expr<'_> {
    fn level(&mut self, level: usize) -> Result<String> {
        let Some(operators) = LEVELS.get(level) else { return self.primary() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.args.get(self.at).filter(|a| operators.contains(&a.as_str())) {
            self.at += 1;
            let right = self.level(level + 1)?;
            left = apply(operator, &left, &right)?;
        }
        Ok(left)
    }

    fn next(&mut self) -> Result<String> {
        let word = self.args.get(self.at).cloned().ok_or("syntax error")?;
        self.at += 1;
        Ok(word)
    }

    fn primary(&mut self) -> Result<String> {
        let word = self.next()?;
        match word.as_str() {
            "(" => {
                let value = self.level(0)?;
                if self.next()? == ")" { Ok(value) } else { Err("syntax error".into()) }
            }
            "length" => Ok(self.primary()?.chars().count().to_string()),
            "match" => {
                let text = self.primary()?;
                let pattern = self.primary()?;
                apply(":", &text, &pattern)
            }
            "index" => {
                let (text, set) = (self.primary()?, self.primary()?);
                Ok(text.chars().position(|c| set.contains(c)).map_or(0, |at| at + 1).to_string())
            }
            "substr" => {
                let text = self.primary()?;
                let (from, len) = (number(&self.primary()?)?, number(&self.primary()?)?);
                if from < 1 || len < 1 {
                    return Ok(String::new());
                }
                Ok(text.chars().skip(from as usize - 1).take(len as usize).collect())
            }
            _ => Ok(word),
        }
    }
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| "non-numeric argument".to_string())
}

fn apply(operator: &str, left: &str, right: &str) -> Result<String> {
    let null = |text: &str| text.is_empty() || text == "0";
    let truth = |value: bool| Ok(if value { "1" } else { "0" }.to_string());
    match operator {
        "|" => Ok(if null(left) { right } else { left }.to_string()),
        "&" => Ok(if null(left) || null(right) { "0" } else { left }.to_string()),
        "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" => {
            let order = match (left.parse::<i64>(), right.parse::<i64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => left.cmp(right),
            };
            truth(match operator {
                "=" | "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        ":" => {
            let pattern = format!("^(?:{})", super::regex::basic_to_extended(right));
            let regex = regex_lite::Regex::new(&pattern).map_err(|_| format!("bad regex '{right}'"))?;
            let Some(found) = regex.captures(left) else {
                return Ok(if right.contains("\\(") { String::new() } else { "0".into() });
            };
            Ok(match found.len() > 1 {
                true => found.get(1).map_or("", |m| m.as_str()).to_string(),
                false => found.get(0).map_or(0, |m| m.as_str().chars().count()).to_string(),
            })
        }
        operator => {
            let (a, b) = (number(left)?, number(right)?);
            if b == 0 && matches!(operator, "/" | "%") {
                return Err("division by zero".into());
            }
            Ok(match operator {
                "+" => a.wrapping_add(b),
                "-" => a.wrapping_sub(b),
                "*" => a.wrapping_mul(b),
                "/" => a.wrapping_div(b),
                _ => a.wrapping_rem(b),
            }
            .to_string())
        }
    }
}
