//! jq's command line.

use cri_api::{Sys, Text};

use super::printer::{Indent, Style};
use super::reader;
use super::value::Json;

#[derive(Clone, Debug, Default)]
pub struct Options {
    pub program: String,
    pub files: Vec<Text>,
    pub style: Style,
    pub raw: bool,
    pub join: bool,
    pub raw_nul: bool,
    pub exit_status: bool,
    pub slurp: bool,
    pub null_input: bool,
    pub raw_input: bool,
    /// `$name` and its value, in the order of their bindings.
    pub variables: Vec<(String, Json)>,
}

const USAGE: &str = "Usage:\tjq [OPTIONS] FILTER [FILES...]\n\tjq [OPTIONS] -f FILE [FILES...]\n\tjq [OPTIONS] --args FILTER [STRINGS...]\n\tjq [OPTIONS] --jsonargs FILTER [JSON_TEXTS...]\n\nOptions: -c -r -j -a -S -s -n -e -R --tab --indent N --arg NAME VALUE --argjson NAME JSON --rawfile NAME FILE --slurpfile NAME FILE --args --jsonargs -f FILE\n";

/// What follows `--args` or `--jsonargs`.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    Files,
    Strings,
    Values,
}

struct Reading {
    options: Options,
    program: Option<String>,
    from_file: bool,
    rest: Rest,
    positional: Vec<Json>,
    named: Vec<(String, Json)>,
}

/// Reads the command line. An error is the exit code and what to say.
pub fn parse(args: &[Text], sys: &mut Sys<'_>) -> Result<Options, (i32, String)> {
    let style = Style { indent: Some(Indent::Spaces(2)), ..Style::default() };
    let options = Options { style, ..Options::default() };
    let (positional, named) = (Vec::new(), Vec::new());
    let mut reading = Reading { options, program: None, from_file: false, rest: Rest::Files, positional, named };
    let mut words = args.iter();
    let mut only_words = false;
    while let Some(word) = words.next() {
        // `-.a`, `-(1)` and `-1` are programs.
        let option = word.strip_prefix('-').is_some_and(|w| w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-'));
        if only_words || !option {
            reading.word(word)?;
            continue;
        }
        match word.strip_prefix("--") {
            Some("") => only_words = true,
            Some(name) => reading.long(name, &mut words, sys)?,
            None => reading.short(&word[1..])?,
        }
    }
    reading.finish(sys)
}

fn usage(text: String) -> (i32, String) {
    (
        2,
        format!(
            "{text}\nUse jq --help for help with command-line options,\nor see the jq manpage, or online docs  at https://jqlang.github.io/jq\n"
        ),
    )
}

impl Reading {
    fn word(&mut self, word: &Text) -> Result<(), (i32, String)> {
        if self.program.is_none() {
            self.program = Some(word.to_string());
            return Ok(());
        }
        match self.rest {
            Rest::Files => self.options.files.push(word.clone()),
            Rest::Strings => self.positional.push(Json::str(&**word)),
            Rest::Values => {
                let value = reader::parse_one(word).ok().flatten();
                self.positional.push(value.ok_or_else(|| usage("jq: Invalid JSON text passed to --jsonargs".into()))?);
            }
        }
        Ok(())
    }

    fn short(&mut self, letters: &str) -> Result<(), (i32, String)> {
        for letter in letters.chars() {
            let known = self.letter(letter);
            match letter {
                'f' => self.from_file = true,
                'L' => return Err(usage("jq: -L (modules) is not in this bottle".into())),
                'C' => return Err(usage("jq: -C (colours) is not in this bottle".into())),
                'h' => return Err((0, USAGE.into())),
                _ if !known => return Err(usage(format!("jq: Unknown option: -{letters}"))),
                _ => {}
            }
        }
        Ok(())
    }

    fn letter(&mut self, letter: char) -> bool {
        let options = &mut self.options;
        match letter {
            'r' => options.raw = true,
            'j' => (options.raw, options.join) = (true, true),
            'a' => options.style.ascii = true,
            'c' => options.style.indent = None,
            'S' => options.style.sorted = true,
            's' => options.slurp = true,
            'n' => options.null_input = true,
            'R' => options.raw_input = true,
            'e' => options.exit_status = true,
            'M' => {}
            _ => return false,
        }
        true
    }

    fn long(&mut self, name: &str, words: &mut std::slice::Iter<'_, Text>, sys: &mut Sys<'_>) -> Result<(), (i32, String)> {
        let two = |words: &mut std::slice::Iter<'_, Text>, example: &str| match (words.next(), words.next()) {
            (Some(a), Some(b)) => Ok((a.to_string(), b.clone())),
            _ => Err(usage(format!("jq: --{name} takes two parameters (e.g. --{name} {example})"))),
        };
        let short = match name {
            "raw-output" => 'r',
            "join-output" => 'j',
            "ascii-output" => 'a',
            "compact-output" => 'c',
            "sort-keys" => 'S',
            "slurp" => 's',
            "null-input" => 'n',
            "raw-input" => 'R',
            "exit-status" => 'e',
            "monochrome-output" => 'M',
            _ => ' ',
        };
        if self.letter(short) {
            return Ok(());
        }
        match name {
            "tab" => self.options.style.indent = Some(Indent::Tab),
            "indent" => self.indent(words)?,
            "raw-output0" => (self.options.raw, self.options.raw_nul) = (true, true),
            "arg" => {
                let (name, value) = two(words, "varname value")?;
                self.named.push((name, Json::str(&*value)));
            }
            "argjson" => {
                let (name, text) = two(words, "varname text")?;
                let value = reader::parse_one(&text).ok().flatten();
                let value = value.ok_or_else(|| usage("jq: Invalid JSON text passed to --argjson".into()))?;
                self.named.push((name, value));
            }
            "rawfile" | "slurpfile" => {
                let (variable, path) = two(words, "varname filename")?;
                let value = file(sys, name, &variable, &path)?;
                self.named.push((variable, value));
            }
            "args" => self.rest = Rest::Strings,
            "jsonargs" => self.rest = Rest::Values,
            "from-file" => self.from_file = true,
            "help" => return Err((0, USAGE.into())),
            "version" => return Err((0, "jq-1.7.1\n".into())),
            "stream" | "stream-errors" | "seq" | "color-output" | "unbuffered" | "build-configuration" => {
                return Err(usage(format!("jq: --{name} is not in this bottle")));
            }
            _ => return Err(usage(format!("jq: Unknown option: --{name}"))),
        }
        Ok(())
    }

    fn indent(&mut self, words: &mut std::slice::Iter<'_, Text>) -> Result<(), (i32, String)> {
        let Some(word) = words.next() else { return Err(usage("jq: --indent takes one parameter".into())) };
        self.options.style.indent = match word.parse::<i64>() {
            Ok(0) => None,
            Ok(n @ 1..=7) => Some(Indent::Spaces(n as u8)),
            Ok(n) if n < 0 => return Err(usage("jq: Cannot indent less than zero".into())),
            Ok(_) => return Err(usage("jq: Cannot indent more than 7 characters".into())),
            Err(_) => return Err(usage("jq: --indent takes a number".into())),
        };
        Ok(())
    }

    /// Takes the program from its file, and makes the variables.
    fn finish(mut self, sys: &mut Sys<'_>) -> Result<Options, (i32, String)> {
        let Some(mut program) = self.program.take() else {
            return Err((2, USAGE.into()));
        };
        if self.from_file {
            let text = sys.read_file(&program).map_err(|e| (2, format!("jq: error: Could not open {program}: {e}\n")))?;
            program = String::from_utf8_lossy(&text).into_owned();
        }
        self.options.program = program;
        // The first of several values of a name counts.
        let mut named: Vec<(String, Json)> = Vec::new();
        for (name, value) in self.named {
            if !named.iter().any(|(n, _)| *n == name) {
                named.push((name, value));
            }
        }
        let all = Json::object(named.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let args = Json::object([("positional", Json::array(self.positional)), ("named", all)]);
        self.options.variables = named;
        self.options.variables.push(("ARGS".into(), args));
        Ok(self.options)
    }
}

/// A file's text, or the list of its values.
fn file(sys: &mut Sys<'_>, option: &str, variable: &str, path: &str) -> Result<Json, (i32, String)> {
    let bad = |why: String| (2, format!("jq: Bad JSON in --{option} {variable} {path}: {why}\n"));
    let bytes = sys.read_file(path).map_err(|e| bad(format!("Could not open {path}: {e}")))?;
    if option == "rawfile" {
        return Ok(Json::str(String::from_utf8_lossy(&bytes)));
    }
    let mut reader = reader::Reader::default();
    reader.feed(&bytes);
    let mut values = Vec::new();
    while let Some(value) = reader.next_value().map_err(&bad)? {
        values.push(value);
    }
    values.extend(reader.finish().map_err(&bad)?);
    Ok(Json::array(values))
}
