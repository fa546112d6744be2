//! `find`: tests `-name -iname -path -type -maxdepth -mindepth -size -newer -mtime -mmin -empty -perm -user`, actions `-print
//! -print0 -delete -exec … ; -exec … +`, `! -not -a -o ( )`, `-prune -quit`. Left out by name: `-regex`, `-printf` (refused).

use std::collections::VecDeque;
use std::rc::Rc;

use cri_api::{Errno, Pid, Poll, Program, Spawn, Sys, Text, WaitFor, WriteOut};

use super::{Make, finish};
use crate::pattern::matches;
use crate::text::{basename, join};

pub(super) const TABLE: &[(&str, Make)] = &[("find", || Box::new(Find::default()))];

enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Name(String, bool),
    Path(String),
    Type(char),
    /// Sign, number, unit in bytes.
    Size(char, u64, u64),
    /// Sign, number, unit in seconds.
    Age(char, i64, i64),
    Newer(base::Time),
    Empty,
    Perm(u16),
    User(u32),
    True,
    Print(&'static str),
    Delete,
    Prune,
    Quit,
    Exec {
        command: Vec<Text>,
        all: bool,
    },
}

/// A command that waits for its turn.
#[derive(Clone)]
struct Run {
    argv: Vec<Text>,
}

#[derive(Clone, Default)]
struct Find {
    started: bool,
    expression: Option<Rc<Node>>,
    depth: (usize, usize),
    depth_first: bool,
    /// Paths to visit, with depth; `true`: children have been visited.
    todo: Vec<(String, usize, bool)>,
    runs: VecDeque<Run>,
    collected: Vec<Text>,
    child: Option<Pid>,
    out: WriteOut,
    code: i32,
    ended: bool,
}

struct Reader<'a, 'b> {
    args: VecDeque<Text>,
    find: &'a mut Find,
    sys: &'a mut Sys<'b>,
    acts: bool,
}

type Result<T> = std::result::Result<T, String>;

impl Reader<'_, '_> {
    fn or(&mut self) -> Result<Node> {
        let mut nodes = vec![self.and()?];
        while self.args.front().is_some_and(|a| matches!(&**a, "-o" | "-or")) {
            self.args.pop_front();
            nodes.push(self.and()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Or(nodes) })
    }

    fn and(&mut self) -> Result<Node> {
        let mut nodes = Vec::new();
        while let Some(next) = self.args.front().cloned() {
            match &*next {
                "-o" | "-or" | ")" => break,
                "-a" | "-and" => {
                    self.args.pop_front();
                }
                _ => nodes.push(self.primary()?),
            }
        }
        Ok(Node::And(nodes))
    }

    fn value(&mut self, name: &str) -> Result<Text> {
        self.args.pop_front().ok_or_else(|| format!("{name} requires an argument"))
    }

    fn primary(&mut self) -> Result<Node> {
        let name = self.args.pop_front().unwrap_or_default();
        Ok(match &*name {
            "!" | "-not" => Node::Not(Box::new(self.primary()?)),
            "(" => {
                let inner = self.or()?;
                match self.args.pop_front().as_deref() {
                    Some(")") => inner,
                    _ => return Err("unmatched '('".into()),
                }
            }
            "-name" => Node::Name(self.value(&name)?.to_string(), false),
            "-iname" => Node::Name(self.value(&name)?.to_lowercase(), true),
            "-path" | "-wholename" => Node::Path(self.value(&name)?.to_string()),
            "-type" => Node::Type(match self.value(&name)?.chars().next().unwrap_or('f') {
                'f' => '-',
                kind => kind,
            }),
            "-maxdepth" | "-mindepth" => {
                let depth = self.value(&name)?.parse().map_err(|_| "invalid depth".to_string())?;
                if &*name == "-maxdepth" {
                    self.find.depth.1 = depth
                } else {
                    self.find.depth.0 = depth
                }
                Node::True
            }
            "-size" => {
                let text = self.value(&name)?;
                let (sign, rest) = signed(&text);
                let has_unit = rest.ends_with(|c: char| c.is_ascii_alphabetic());
                let (number, unit) = if has_unit { rest.split_at(rest.len() - 1) } else { (rest, "b") };
                let unit = match unit {
                    "c" => 1,
                    "k" => 1024,
                    "M" => 1 << 20,
                    "G" => 1 << 30,
                    _ => 512,
                };
                Node::Size(sign, number.parse().map_err(|_| format!("invalid number '{text}'"))?, unit)
            }
            "-mtime" | "-mmin" => {
                let text = self.value(&name)?;
                let (sign, rest) = signed(&text);
                let unit = if &*name == "-mtime" { 86_400 } else { 60 };
                Node::Age(sign, rest.parse().map_err(|_| format!("invalid number '{text}'"))?, unit)
            }
            "-newer" => {
                let path = self.value(&name)?;
                Node::Newer(self.sys.stat(&path).map_err(|error| format!("{path}: {error}"))?.mtime)
            }
            "-empty" => Node::Empty,
            "-perm" => {
                let text = self.value(&name)?;
                Node::Perm(
                    u16::from_str_radix(text.trim_start_matches(['-', '/']), 8).map_err(|_| format!("invalid mode '{text}'"))?,
                )
            }
            "-user" => {
                let user = self.value(&name)?;
                Node::User(super::lookup_id(self.sys, "/etc/passwd", &user).ok_or_else(|| format!("unknown user {user}"))?)
            }
            "-follow" | "-xdev" | "-mount" | "-noleaf" | "-true" => Node::True,
            "-depth" => {
                self.find.depth_first = true;
                Node::True
            }
            "-print" | "-print0" => {
                self.acts = true;
                Node::Print(if &*name == "-print" { "\n" } else { "\0" })
            }
            "-delete" => {
                (self.acts, self.find.depth_first) = (true, true);
                Node::Delete
            }
            "-prune" => Node::Prune,
            "-quit" => Node::Quit,
            "-exec" | "-ok" => {
                self.acts = true;
                let mut command = Vec::new();
                loop {
                    let word = self.args.pop_front().ok_or("-exec requires an argument")?;
                    let all = &*word == "+" && command.last().is_some_and(|last: &Text| &**last == "{}");
                    if &*word == ";" || all {
                        return Ok(Node::Exec { command, all });
                    }
                    command.push(word);
                }
            }
            _ => return Err(format!("unrecognized: {name}")),
        })
    }
}

fn signed(text: &str) -> (char, &str) {
    match text.chars().next() {
        Some(sign @ ('+' | '-')) => (sign, &text[1..]),
        _ => ('=', text),
    }
}

impl Find {
    fn start(&mut self, sys: &mut Sys<'_>) -> Result<()> {
        self.started = true;
        self.depth = (0, usize::MAX);
        let mut args: VecDeque<Text> = sys.argv()[1..].iter().cloned().collect();
        while args.front().is_some_and(|a| matches!(&**a, "-H" | "-L" | "-P")) {
            args.pop_front();
        }
        let mut paths = Vec::new();
        while let Some(path) = args.front().filter(|a| !a.starts_with('-') && !matches!(&***a, "(" | "!")).cloned() {
            paths.push(path);
            args.pop_front();
        }
        if paths.is_empty() {
            paths.push(".".into());
        }
        let mut reader = Reader { args, find: self, sys, acts: false };
        let expression = reader.or()?;
        if let Some(extra) = reader.args.front() {
            return Err(format!("unrecognized: {extra}"));
        }
        let expression = if reader.acts { expression } else { Node::And(vec![expression, Node::Print("\n")]) };
        self.expression = Some(Rc::new(expression));
        self.todo = paths.iter().rev().map(|p| (p.to_string(), 0, false)).collect();
        Ok(())
    }

    /// Visits one path. What it finds goes to `out` or `runs`.
    fn visit(&mut self, sys: &mut Sys<'_>, path: String, depth: usize, done: bool) {
        let stat = match sys.lstat(&path) {
            Ok(stat) => stat,
            Err(error) => {
                self.out.push(2, format!("find: {path}: {error}\n").as_bytes());
                self.code = 1;
                return;
            }
        };
        let (min, max) = self.depth;
        if self.depth_first && !done {
            self.todo.push((path.clone(), depth, true));
        }
        let mut prune = false;
        if (!self.depth_first || done)
            && depth >= min
            && let Some(expression) = self.expression.clone()
        {
            self.test(sys, &expression, &path, &stat, &mut prune);
        }
        if stat.is_dir() && !done && !prune && depth < max {
            match sys.read_dir(&path) {
                Ok(names) => self.todo.extend(names.iter().rev().map(|n| (join(&path, n), depth + 1, false))),
                Err(error) => {
                    self.out.push(2, format!("find: {path}: {error}\n").as_bytes());
                    self.code = 1;
                }
            }
        }
    }

    fn test(&mut self, sys: &mut Sys<'_>, node: &Node, path: &str, stat: &cri_api::vfs::Stat, prune: &mut bool) -> bool {
        let compare = |sign: char, have: i64, want: i64| match sign {
            '+' => have > want,
            '-' => have < want,
            _ => have == want,
        };
        match node {
            Node::And(nodes) => nodes.iter().all(|n| self.test(sys, n, path, stat, prune)),
            Node::Or(nodes) => nodes.iter().any(|n| self.test(sys, n, path, stat, prune)),
            Node::Not(inner) => !self.test(sys, inner, path, stat, prune),
            Node::Name(pattern, false) => matches(pattern, basename(path)),
            Node::Name(pattern, true) => matches(pattern, &basename(path).to_lowercase()),
            Node::Path(pattern) => matches(pattern, path),
            Node::Type(kind) => stat.kind == *kind,
            Node::Size(sign, n, unit) => compare(*sign, stat.size.div_ceil(*unit) as i64, *n as i64),
            Node::Age(sign, n, unit) => compare(*sign, sys.now().since(stat.mtime).as_secs() / unit, *n),
            Node::Newer(time) => stat.mtime > *time,
            Node::Empty if stat.is_dir() => sys.read_dir(path).is_ok_and(|names| names.is_empty()),
            Node::Empty => stat.size == 0,
            Node::Perm(mode) => stat.mode & mode == *mode,
            Node::User(uid) => stat.uid == *uid,
            Node::True => true,
            Node::Print(end) => {
                self.out.push(1, format!("{path}{end}").as_bytes());
                true
            }
            Node::Delete => {
                let removed = if stat.is_dir() { sys.rmdir(path) } else { sys.unlink(path) };
                if let Err(error) = removed {
                    self.out.push(2, format!("find: can't delete '{path}': {error}\n").as_bytes());
                    self.code = 1;
                }
                removed.is_ok()
            }
            Node::Prune => {
                *prune = true;
                true
            }
            Node::Quit => {
                self.todo.clear();
                true
            }
            Node::Exec { all: true, .. } => {
                self.collected.push(path.into());
                true
            }
            Node::Exec { command, .. } => {
                let argv = command.iter().map(|word| word.replace("{}", path).into()).collect();
                self.runs.push_back(Run { argv });
                true
            }
        }
    }

    /// At the end: the one run of `-exec … +`.
    fn collect(&mut self) {
        let Some(expression) = self.expression.take() else { return };
        let Some(command) = find_exec_all(&expression).filter(|_| !self.collected.is_empty()) else { return };
        let mut argv: Vec<Text> = command[..command.len() - 1].to_vec();
        argv.append(&mut self.collected);
        self.runs.push_back(Run { argv });
    }
}

fn find_exec_all(node: &Node) -> Option<Vec<Text>> {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().find_map(find_exec_all),
        Node::Not(inner) => find_exec_all(inner),
        Node::Exec { command, all: true } => Some(command.clone()),
        _ => None,
    }
}

impl Program for Find {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started
            && let Err(message) = self.start(sys)
        {
            self.out.push(2, format!("find: {message}\n").as_bytes());
            (self.ended, self.code) = (true, 1);
        }
        for _ in 0..256 {
            match self.out.flush(sys) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Exit(1),
            }
            if let Some(child) = self.child {
                match sys.wait(WaitFor::Pid(child)) {
                    Err(Errno::EAGAIN) => return Poll::Pending,
                    _ => self.child = None,
                }
            }
            if let Some(run) = self.runs.pop_front() {
                match sys.spawn(Spawn { argv: run.argv.clone(), ..Spawn::default() }) {
                    Ok(pid) => self.child = Some(pid),
                    Err(error) => {
                        self.out.push(2, format!("find: {}: {error}\n", run.argv[0]).as_bytes());
                        self.code = 1;
                    }
                }
                continue;
            }
            if self.ended {
                return finish(&mut self.out, sys, self.code);
            }
            match self.todo.pop() {
                Some((path, depth, done)) => self.visit(sys, path, depth, done),
                None => {
                    self.ended = true;
                    self.collect();
                }
            }
            sys.charge(1);
        }
        Poll::Ready
    }
}
