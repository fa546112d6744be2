//! `match` and its family, over `regex-lite`. Left out by name: what Oniguruma has beyond it (look-around, back-references,
//! Unicode classes) is refused as a pattern that isn't valid, and the flag `l`.

use regex_lite::{Captures, Regex, RegexBuilder};

use super::natives::{Answer, Failure, World, about};
use super::value::Json;

/// What the letters of a mode ask for.
#[derive(Default)]
struct Flags {
    global: bool,
    ignore_case: bool,
    extended: bool,
    skip_empty: bool,
    dot_all: bool,
}

/// All matches as a list of jq's match objects, or only whether there is one.
pub fn matches(world: &mut World<'_>, value: &Json, pattern: &Json, mode: &Json, test: bool) -> Answer {
    let Some(text) = value.as_str() else { return Err(about(value, "cannot be matched, as it is not a string")) };
    let Some(pattern) = pattern.as_str() else { return Err(about(pattern, "cannot be matched, as it is not a string")) };
    let flags = flags(mode)?;
    let regex = compile(pattern, &flags)?;
    world.spent += text.len();
    if test {
        return Ok(Json::Bool(regex.is_match(text)));
    }
    let names: Vec<Option<String>> = regex.capture_names().map(|n| n.map(str::to_string)).collect();
    let mut found = Vec::new();
    let mut places = Places { text, byte: 0, at: 0 };
    for captures in regex.captures_iter(text) {
        if flags.skip_empty && captures[0].is_empty() {
            continue;
        }
        found.push(describe(&captures, &names, &mut places));
        world.spent += 256;
        if !flags.global {
            break;
        }
    }
    Ok(Json::array(found))
}

fn flags(mode: &Json) -> Result<Flags, Failure> {
    let mut flags = Flags::default();
    let letters = match mode {
        Json::Null => "",
        Json::String(letters) => letters,
        other => return Err(about(other, "is not a string")),
    };
    for letter in letters.chars() {
        match letter {
            'g' => flags.global = true,
            'i' => flags.ignore_case = true,
            'x' => flags.extended = true,
            'n' => flags.skip_empty = true,
            'p' => flags.dot_all = true,
            // `^` and `$` are the text's ends in any case.
            's' => {}
            _ => return Err(format!("{letters} is not a valid modifier string").into()),
        }
    }
    Ok(flags)
}

fn compile(pattern: &str, flags: &Flags) -> Result<Regex, Failure> {
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(flags.ignore_case).ignore_whitespace(flags.extended).dot_matches_new_line(flags.dot_all);
    let invalid = |error: regex_lite::Error| format!("{pattern} (at offset 0) is not a valid regex: {error}");
    Ok(builder.build().map_err(invalid)?)
}

/// Turns byte places that only grow into places in code points.
struct Places<'a> {
    text: &'a str,
    byte: usize,
    at: usize,
}

impl Places<'_> {
    fn of(&self, byte: usize) -> usize {
        match byte >= self.byte {
            true => self.at + self.text[self.byte..byte].chars().count(),
            false => self.text[..byte].chars().count(),
        }
    }

    fn advance(&mut self, byte: usize) {
        self.at = self.of(byte);
        self.byte = byte;
    }
}

fn describe(captures: &Captures<'_>, names: &[Option<String>], places: &mut Places<'_>) -> Json {
    places.advance(captures.get(0).map_or(0, |whole| whole.start()));
    let mut groups = Vec::new();
    for (i, name) in names.iter().enumerate().skip(1) {
        let name = ("name", name.as_ref().map_or(Json::Null, Json::str));
        let number = |n: usize| Json::int(n as i64);
        groups.push(match captures.get(i) {
            Some(group) if !group.is_empty() => Json::object([
                ("offset", number(places.of(group.start()))),
                ("length", number(group.as_str().chars().count())),
                ("string", Json::str(group.as_str())),
                name,
            ]),
            // What is empty, or isn't there, has its members in another order.
            other => {
                let offset = other.map_or(Json::int(-1), |group| number(places.of(group.start())));
                let string = other.map_or(Json::Null, |_| Json::str(""));
                Json::object([("offset", offset), ("string", string), ("length", number(0)), name])
            }
        });
    }
    Json::object([
        ("offset", Json::int(places.at as i64)),
        ("length", Json::int(captures[0].chars().count() as i64)),
        ("string", Json::str(&captures[0])),
        ("captures", Json::array(groups)),
    ])
}
