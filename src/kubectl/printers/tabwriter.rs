//! Go's `text/tabwriter`: cells end at tabs, a column is as wide as its widest cell in adjacent lines.

/// Aligns `text`. `min_width` and `padding` in characters.
pub(crate) fn align(text: &str, min_width: usize, padding: usize) -> String {
    run(text, min_width, padding, None)
}

/// Tables of `get`.
pub(crate) fn table(text: &str) -> String {
    align(text, 6, 3)
}

/// Descriptions.
pub(crate) fn description(text: &str) -> String {
    align(text, 0, 2)
}

/// As [`align`], with columns at least as wide as `widths` (and remembered there): for rows that come later.
pub(crate) fn align_remembering(text: &str, min_width: usize, padding: usize, widths: &mut Vec<usize>) -> String {
    run(text, min_width, padding, Some(widths))
}

fn run(text: &str, min_width: usize, padding: usize, remembered: Option<&mut Vec<usize>>) -> String {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let lines: Vec<Vec<(&str, usize)>> =
        body.split('\n').map(|line| line.split('\t').map(|cell| (cell, cell.chars().count())).collect()).collect();
    let mut writer =
        Writer { lines: &lines, min_width, padding, widths: Vec::new(), remembered, out: String::with_capacity(text.len() * 2) };
    writer.format(0, lines.len());
    let mut out = writer.out;
    if !text.ends_with('\n') {
        out.pop();
    }
    out
}

struct Writer<'a> {
    lines: &'a [Vec<(&'a str, usize)>],
    min_width: usize,
    padding: usize,
    widths: Vec<usize>,
    remembered: Option<&'a mut Vec<usize>>,
    out: String,
}

impl Writer<'_> {
    fn format(&mut self, mut from: usize, to: usize) {
        let column = self.widths.len();
        let has_cell = |line: &Vec<_>| column + 1 < line.len();
        let mut at = from;
        while at < to {
            if !has_cell(&self.lines[at]) {
                at += 1;
                continue;
            }
            self.write(from, at);
            from = at;
            let old = self.remembered.as_ref().and_then(|r| r.get(column).copied());
            let mut width = self.min_width.max(old.unwrap_or(0));
            while at < to && has_cell(&self.lines[at]) {
                width = width.max(self.lines[at][column].1 + self.padding);
                at += 1;
            }
            if let Some(remembered) = &mut self.remembered {
                match remembered.get_mut(column) {
                    Some(old) => *old = width,
                    None => remembered.push(width),
                }
            }
            self.widths.push(width);
            self.format(from, at);
            self.widths.pop();
            from = at;
        }
        self.write(from, to);
    }

    fn write(&mut self, from: usize, to: usize) {
        for line in &self.lines[from..to] {
            for (i, (cell, width)) in line.iter().enumerate() {
                self.out.push_str(cell);
                if i + 1 < line.len() {
                    let column = self.widths.get(i).copied().unwrap_or(0);
                    self.out.extend(std::iter::repeat_n(' ', column.saturating_sub(*width)));
                }
            }
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn columns_are_as_wide_as_their_neighbours_need() {
        expect![[r#"
            NAME          READY   AGE
            a             1/1     3s
            much-longer   0/1     
        "#]]
        .assert_eq(&table("NAME\tREADY\tAGE\na\t1/1\t3s\nmuch-longer\t0/1\t\n"));
        expect![[r#"
            Name:    x
            Labels:  a=b
                     c=d
            Spec:
              Deep inside:  1
              Y:            2
        "#]]
        .assert_eq(&description("Name:\tx\nLabels:\ta=b\n\tc=d\nSpec:\n  Deep inside:\t1\n  Y:\t2\n"));
    }
}
