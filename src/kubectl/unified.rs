//! A unified diff of two texts by lines, as `diff -u -N` prints its hunks.

/// The hunks with `context` lines around changes; empty if the texts are equal.
pub(crate) fn diff(old: &str, new: &str, context: usize) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let script = script(&a, &b);
    let mut out = String::new();
    let changes: Vec<usize> = script.iter().enumerate().filter(|(_, (op, _, _))| *op != ' ').map(|(i, _)| i).collect();
    let mut at = 0;
    while at < changes.len() {
        let start = changes[at].saturating_sub(context);
        let mut end = changes[at] + 1;
        while at + 1 < changes.len() && changes[at + 1] <= end + 2 * context {
            at += 1;
            end = changes[at] + 1;
        }
        at += 1;
        hunk(&script[start..(end + context).min(script.len())], &mut out);
    }
    out
}

/// Operation, line, and the numbers of lines of both texts before it.
type Line<'a> = (char, &'a str, (usize, usize));

fn hunk(lines: &[Line], out: &mut String) {
    let Some((_, _, (from, to))) = lines.first().copied() else { return };
    let count = |op: char| lines.iter().filter(|(o, _, _)| *o == ' ' || *o == op).count();
    let range = |start: usize, n: usize| match n {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        n => format!("{},{n}", start + 1),
    };
    out.push_str(&format!("@@ -{} +{} @@\n", range(from, count('-')), range(to, count('+'))));
    for (op, line, _) in lines {
        out.push_str(&format!("{op}{line}\n"));
    }
}

/// The edit script by the longest common subsequence; deletions before insertions.
fn script<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<Line<'a>> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (ma, mb) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let mut table = vec![vec![0u32; mb.len() + 1]; ma.len() + 1];
    for i in (0..ma.len()).rev() {
        for j in (0..mb.len()).rev() {
            table[i][j] = if ma[i] == mb[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    let mut out: Vec<Line> = a[..head].iter().enumerate().map(|(i, l)| (' ', *l, (i, i))).collect();
    let (mut i, mut j) = (0, 0);
    while i < ma.len() || j < mb.len() {
        let place = (head + i, head + j);
        if i < ma.len() && j < mb.len() && ma[i] == mb[j] {
            out.push((' ', ma[i], place));
            (i, j) = (i + 1, j + 1);
        } else if j >= mb.len() || i < ma.len() && table[i + 1][j] >= table[i][j + 1] {
            out.push(('-', ma[i], place));
            i += 1;
        } else {
            out.push(('+', mb[j], place));
            j += 1;
        }
    }
    for k in 0..tail {
        let (i, j) = (a.len() - tail + k, b.len() - tail + k);
        out.push((' ', a[i], (i, j)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn hunks_are_those_of_diff() {
        expect![[r#"
            @@ -1,7 +1,7 @@
             apiVersion: v1
             data:
            -  colour: blue
            -  font: serif
            +  colour: red
            +  size: large
             kind: ConfigMap
             metadata:
               name: x
        "#]]
        .assert_eq(&diff(
            "apiVersion: v1\ndata:\n  colour: blue\n  font: serif\nkind: ConfigMap\nmetadata:\n  name: x\n",
            "apiVersion: v1\ndata:\n  colour: red\n  size: large\nkind: ConfigMap\nmetadata:\n  name: x\n",
            3,
        ));
        expect!["@@ -0,0 +1 @@\n+a\n"].assert_eq(&diff("", "a\n", 3));
        assert_eq!(diff("a\n", "a\n", 3), "");
    }
}
