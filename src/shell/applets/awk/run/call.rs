//! awk's functions: those that it has, and those of the program.

use base::Map;
use cri_api::Text;

use super::{Control, Interpreter, Run, Val};
use crate::applets::awk::parse::Expr;

impl Interpreter {
    pub(super) fn call(&mut self, name: &str, args: &[Expr]) -> Run<Val> {
        let program = self.program.clone();
        if let Some(function) = program.functions.iter().find(|f| f.name == name) {
            return self.call_function(function, args);
        }
        match name {
            "length" => {
                if let Some(Expr::Var(array)) = args.first()
                    && let Some(array) = self.array(array)
                {
                    return Ok(Val::Number(array.len() as f64));
                }
                let text = if args.is_empty() { self.record.clone() } else { self.eval(&args[0])?.text() };
                return Ok(Val::Number(text.chars().count() as f64));
            }
            "split" => return self.call_split(args),
            "sub" | "gsub" => return self.call_sub(args, name == "gsub"),
            "match" if args.len() == 2 => {
                let text = self.eval(&args[0])?.text();
                let found = self
                    .regex_of(&args[1])?
                    .find(&text)
                    .map(|m| (text[..m.start()].chars().count() + 1, m.as_str().chars().count()));
                let (start, length) = found.map_or((0.0, -1.0), |(s, l)| (s as f64, l as f64));
                self.vars.insert("RSTART".into(), Val::Number(start));
                self.vars.insert("RLENGTH".into(), Val::Number(length));
                return Ok(Val::Number(start));
            }
            "sprintf" => return self.format(args).map(|bytes| Val::Text(String::from_utf8_lossy(&bytes).into())),
            _ => {}
        }
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.eval(arg)?);
        }
        let text = |i: usize| values.get(i).map_or("".into(), Val::text);
        let number = |i: usize| values.get(i).map_or(0.0, Val::number);
        Ok(match name {
            "substr" => {
                let from = number(1).round();
                let to = if values.len() > 2 { from + number(2).round() } else { f64::MAX };
                let kept = text(0)
                    .chars()
                    .enumerate()
                    .filter(|(i, _)| (*i as f64 + 1.0) >= from && (*i as f64 + 1.0) < to)
                    .map(|(_, c)| c)
                    .collect::<String>();
                Val::Text(kept.into())
            }
            "index" => Val::Number(text(0).find(&*text(1)).map_or(0, |at| text(0)[..at].chars().count() + 1) as f64),
            "toupper" => Val::Text(text(0).to_uppercase().into()),
            "tolower" => Val::Text(text(0).to_lowercase().into()),
            "int" => Val::Number(number(0).trunc()),
            "sqrt" if number(0) >= 0.0 => Val::Number(number(0).sqrt()),
            "rand" => {
                self.random += 1;
                Val::Number(base::Seed(0).derive("awk").fraction(self.random))
            }
            "srand" => Val::Number(0.0),
            _ => return Err(Control::Fail(format!("{name}() is not supported by this awk"))),
        })
    }

    pub(super) fn call_split(&mut self, args: &[Expr]) -> Run<Val> {
        let (Some(text), Some(Expr::Var(array))) = (args.first(), args.get(1)) else {
            return Err(Control::Fail("Not an array".into()));
        };
        let text = self.eval(text)?.text();
        let parts: Vec<Text> = match args.get(2) {
            Some(Expr::Regex(regex)) if !text.is_empty() => regex.split(&text).map(Text::from).collect(),
            Some(separator) => {
                let separator = self.eval(separator)?.text();
                self.split(&text, &separator)
            }
            None => self.split(&text, &self.global("FS")),
        };
        let count = parts.len();
        let filled: Map<Text, Val> =
            parts.into_iter().enumerate().map(|(i, p)| (Text::from((i + 1).to_string()), Val::Input(p))).collect();
        let name = self.array_name(array);
        self.arrays.insert(name, filled);
        Ok(Val::Number(count as f64))
    }

    pub(super) fn call_sub(&mut self, args: &[Expr], global: bool) -> Run<Val> {
        if args.len() < 2 {
            return Err(Control::Fail("Too few arguments".into()));
        }
        let regex = self.regex_of(&args[0])?;
        let with = self.eval(&args[1])?.text();
        let record = Expr::Field(Box::new(Expr::Number(0.0)));
        let target = args.get(2).unwrap_or(&record);
        let text = self.eval(target)?.text();
        let (mut out, mut at, mut count) = (String::new(), 0, 0);
        for found in regex.find_iter(&text) {
            out.push_str(&text[at..found.start()]);
            at = found.end();
            count += 1;
            let mut chars = with.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '\\' if matches!(chars.peek(), Some('&' | '\\')) => out.extend(chars.next()),
                    '&' => out.push_str(found.as_str()),
                    c => out.push(c),
                }
            }
            if !global {
                break;
            }
        }
        out.push_str(&text[at..]);
        if count > 0 {
            self.assign(target, Val::Text(out.into()))?;
        }
        Ok(Val::Number(count as f64))
    }

    pub(super) fn call_function(&mut self, function: &crate::applets::awk::parse::Function, args: &[Expr]) -> Run<Val> {
        if self.frames.len() > 200 {
            return Err(Control::Fail("functions call too deep".into()));
        }
        let (mut locals, mut arrays) = (Map::new(), Map::new());
        for (i, param) in function.params.iter().enumerate() {
            match args.get(i) {
                Some(Expr::Var(name)) if self.array(name).is_some() => {
                    arrays.insert(param.as_str().into(), self.array_name(name));
                }
                Some(arg) => {
                    let value = self.eval(arg)?;
                    locals.insert(param.as_str().into(), value);
                }
                None => {
                    self.scratch += 1;
                    arrays.insert(param.as_str().into(), format!(" {}", self.scratch).into());
                    locals.insert(param.as_str().into(), Val::None);
                }
            }
        }
        self.frames.push((locals, arrays));
        let result = self.statement(&function.body);
        self.frames.pop();
        match result {
            Err(Control::Return(value)) => Ok(value),
            other => other.map(|()| Val::None),
        }
    }
}
