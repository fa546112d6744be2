//! `cmp` and `diff` (unified).

use super::files::options;
use super::{Instant, Io, Make};

pub(super) const TABLE: &[(&str, Make)] = &[("cmp", || Instant::boxed(cmp)), ("diff", || Instant::boxed(diff))];

fn cmp(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "sl", &[]);
    let [a, b] = options.operands.as_slice() else {
        io.error("two files are needed");
        return 2;
    };
    let (Some(left), Some(right)) = (io.read_file(a), io.read_file(b)) else { return 2 };
    let differs = left.iter().zip(right.iter()).position(|(x, y)| x != y);
    match differs {
        None if left.len() == right.len() => 0,
        None => {
            if !options.has('s') {
                let shorter = if left.len() < right.len() { a } else { b };
                io.error(format!("EOF on {shorter}"));
            }
            1
        }
        Some(at) => {
            if !options.has('s') {
                let line = left[..at].iter().filter(|c| **c == b'\n').count() + 1;
                io.print(format!("{a} {b} differ: char {}, line {line}\n", at + 1));
            }
            1
        }
    }
}

/// One step of an edit script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep(usize, usize),
    Remove(usize),
    Add(usize),
}

/// Lines compared at most on each side (the table is their product).
const MAX_LINES: usize = 5000;

/// The shortest edit script, by the table of longest common subsequences.
fn edits(a: &[&str], b: &[&str]) -> Vec<Edit> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (middle_a, middle_b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let (n, m) = (middle_a.len(), middle_b.len());
    let mut table = vec![0u16; (n + 1) * (m + 1)];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            table[i * (m + 1) + j] = match middle_a[i] == middle_b[j] {
                true => table[(i + 1) * (m + 1) + j + 1] + 1,
                false => table[(i + 1) * (m + 1) + j].max(table[i * (m + 1) + j + 1]),
            };
        }
    }
    let mut script: Vec<Edit> = (0..head).map(|i| Edit::Keep(i, i)).collect();
    let (mut i, mut j) = (0, 0);
    while i < n || j < m {
        if i < n && j < m && middle_a[i] == middle_b[j] {
            script.push(Edit::Keep(head + i, head + j));
            (i, j) = (i + 1, j + 1);
        } else if i < n && (j == m || table[(i + 1) * (m + 1) + j] >= table[i * (m + 1) + j + 1]) {
            script.push(Edit::Remove(head + i));
            i += 1;
        } else {
            script.push(Edit::Add(head + j));
            j += 1;
        }
    }
    script.extend((0..tail).map(|k| Edit::Keep(a.len() - tail + k, b.len() - tail + k)));
    script
}

/// A unified diff of two texts with `context` lines around changes; empty if they are the same.
pub fn unified(left: &str, right: &str, context: usize) -> String {
    let a: Vec<&str> = left.split_inclusive('\n').collect();
    let b: Vec<&str> = right.split_inclusive('\n').collect();
    let script = edits(&a, &b);
    let changed: Vec<usize> = (0..script.len()).filter(|i| !matches!(script[*i], Edit::Keep(..))).collect();
    let mut out = String::new();
    let mut next = 0;
    while next < changed.len() {
        let first = changed[next];
        let mut last = first;
        while next < changed.len() && changed[next] <= last + 2 * context + 1 {
            last = changed[next];
            next += 1;
        }
        let (from, to) = (first.saturating_sub(context), (last + context + 1).min(script.len()));
        hunk(&script, from, to, &a, &b, &mut out);
    }
    out
}

fn hunk(script: &[Edit], from: usize, to: usize, a: &[&str], b: &[&str], out: &mut String) {
    let before = &script[..from];
    let (mut line_a, mut line_b) = (0, 0);
    for edit in before {
        line_a += !matches!(edit, Edit::Add(_)) as usize;
        line_b += !matches!(edit, Edit::Remove(_)) as usize;
    }
    let count_a = script[from..to].iter().filter(|e| !matches!(e, Edit::Add(_))).count();
    let count_b = script[from..to].iter().filter(|e| !matches!(e, Edit::Remove(_))).count();
    let range = |line: usize, count: usize| match count {
        0 => format!("{line},0"),
        1 => format!("{}", line + 1),
        count => format!("{},{count}", line + 1),
    };
    out.push_str(&format!("@@ -{} +{} @@\n", range(line_a, count_a), range(line_b, count_b)));
    for edit in &script[from..to] {
        let (mark, line) = match edit {
            Edit::Keep(i, _) => (' ', a[*i]),
            Edit::Remove(i) => ('-', a[*i]),
            Edit::Add(j) => ('+', b[*j]),
        };
        out.push(mark);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

fn diff(io: &mut Io<'_, '_>) -> i32 {
    let options = options!(io, "uU:qrNabBdiwts", &[("unified", 'u'), ("brief", 'q'), ("recursive", 'r')]);
    let [a, b] = options.operands.as_slice() else {
        io.error("two files are needed");
        return 2;
    };
    let dirs = io.sys.stat(a).is_ok_and(|s| s.is_dir()) && io.sys.stat(b).is_ok_and(|s| s.is_dir());
    if dirs {
        io.error("comparing directories is not supported");
        return 2;
    }
    let (Some(left), Some(right)) = (io.read_file(a), io.read_file(b)) else { return 2 };
    let (left, right) = (String::from_utf8_lossy(&left), String::from_utf8_lossy(&right));
    if left == right {
        return 0;
    }
    if options.has('q') {
        io.print(format!("Files {a} and {b} differ\n"));
        return 1;
    }
    if left.lines().count().max(right.lines().count()) > MAX_LINES {
        io.error("files are too long to compare line by line");
        return 2;
    }
    let context = options.value('U').and_then(|u| u.parse().ok()).unwrap_or(3);
    let text = unified(&left, &right, context);
    io.sys.charge(text.len() as u32);
    io.print(format!("--- {a}\n+++ {b}\n{text}"));
    1
}
