//! Server-side tables as text. Models `cli-runtime/pkg/printers/tableprinter.go`.

use apimachinery::{Gvk, Object, Value};

use super::{go, name_of, resource_name, tabwriter};

/// How rows are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub wide: bool,
    pub no_headers: bool,
    pub with_namespace: bool,
    pub with_kind: bool,
    /// What the rows are, where their objects do not say.
    pub kind: Option<Gvk>,
    pub show_labels: bool,
    pub label_columns: Vec<String>,
    /// A column before all others with the type of watch event.
    pub event: Option<&'static str>,
}

/// The rows (in the order given, all if `None`) as lines of cells separated by tabs; `headers` whether to begin with the header.
pub(crate) fn lines(table: &Object, order: Option<&[usize]>, headers: bool, options: &Options) -> String {
    let columns = table.list_at(&["columnDefinitions"]);
    let shown: Vec<usize> =
        (0..columns.len()).filter(|i| options.wide || columns[*i].int_at(&["priority"]).unwrap_or(0) == 0).collect();
    let mut out = String::new();
    if headers && !options.no_headers {
        let mut cells: Vec<String> = Vec::new();
        cells.extend(options.event.map(|_| "EVENT".to_string()));
        cells.extend(options.with_namespace.then(|| "NAMESPACE".to_string()));
        cells.extend(shown.iter().map(|i| columns[*i].str_at(&["name"]).unwrap_or("").to_uppercase()));
        cells.extend(options.label_columns.iter().map(|l| l.rsplit('/').next().unwrap_or(l).to_uppercase()));
        cells.extend(options.show_labels.then(|| "LABELS".to_string()));
        out.push_str(&(cells.join("\t") + "\n"));
    }
    let rows = table.list_at(&["rows"]);
    let all: Vec<usize> = (0..rows.len()).collect();
    for i in order.unwrap_or(&all) {
        out.push_str(&row(&rows[*i], &shown, options));
    }
    out
}

fn row(row: &Value, shown: &[usize], options: &Options) -> String {
    let object = Object::from_value(row.get("object").cloned().unwrap_or_default()).unwrap_or_default();
    let mut cells: Vec<String> = Vec::new();
    cells.extend(options.event.map(String::from));
    cells.extend(options.with_namespace.then(|| object.namespace().to_string()));
    let values = row.list_at(&["cells"]);
    for (n, i) in shown.iter().enumerate() {
        let Some(value) = values.get(*i) else { continue };
        let mut text = cell(value);
        if n == 0 && options.with_kind {
            // The row's object may be metadata only: then the type that was asked for names it.
            let name = match &options.kind {
                Some(kind) => name_of(*kind, ""),
                None => resource_name(&object),
            };
            let prefix = name.split_once('/').map_or("", |(kind, _)| kind);
            text = format!("{prefix}/{text}");
        }
        cells.push(text);
    }
    for label in &options.label_columns {
        cells.push(object.label(label).unwrap_or("<none>").to_string());
    }
    if options.show_labels {
        cells.push(labels(&object));
    }
    cells.join("\t") + "\n"
}

/// A cell on one line.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Str(s) => s.to_string(),
        other => go::sprint(other),
    };
    match text.find(['\n', '\r', '\u{c}']) {
        Some(at) => format!("{}...", &text[..at]),
        None => text.replace('\t', " "),
    }
}

/// `a=b,c=d` or `<none>`.
pub(crate) fn labels(object: &Object) -> String {
    match object.labels().filter(|l| !l.is_empty()) {
        None => "<none>".into(),
        Some(labels) => labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect::<Vec<_>>().join(","),
    }
}

/// A table for what the server has none for: names and ages.
pub(crate) fn fallback(objects: &[Object], now: base::Time) -> Object {
    let rows: Vec<Value> = objects
        .iter()
        .map(|o| {
            let age = o.creation_timestamp().map_or("<unknown>".to_string(), |t| human(now.since(t)));
            apimachinery::value!({"cells": [(o.name()), age], "object": o})
        })
        .collect();
    let table = apimachinery::value!({
        "kind": "Table", "columnDefinitions": [{"name": "Name", "format": "name"}, {"name": "Age"}], "rows": rows
    });
    Object::from_value(table).unwrap_or_default()
}

/// `duration.HumanDuration`: two units at most where it matters, one above.
pub(crate) fn human(d: base::Duration) -> String {
    let s = d.as_secs();
    if s < -1 {
        return "<invalid>".into();
    }
    if s < 0 {
        return "0s".into();
    }
    let (m, h) = (s / 60, s / 3600);
    if s < 60 * 2 {
        return format!("{s}s");
    }
    let two = |a: i64, ua: &str, b: i64, ub: &str| if b == 0 { format!("{a}{ua}") } else { format!("{a}{ua}{b}{ub}") };
    match () {
        () if m < 10 => two(m, "m", s % 60, "s"),
        () if m < 60 * 3 => format!("{m}m"),
        () if h < 8 => two(h, "h", m % 60, "m"),
        () if h < 48 => format!("{h}h"),
        () if h < 24 * 8 => two(h / 24, "d", h % 24, "h"),
        () if h < 24 * 365 * 2 => format!("{}d", h / 24),
        () if h < 24 * 365 * 8 => two(h / 24 / 365, "y", h / 24 % 365, "d"),
        () => format!("{}y", h / 24 / 365),
    }
}

/// The table's lines aligned.
pub(crate) fn print(table: &Object, order: Option<&[usize]>, options: &Options) -> String {
    tabwriter::table(&lines(table, order, true, options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;
    use expect_test::expect;

    #[test]
    fn tables_show_what_was_asked_for() {
        let object = value!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a", "labels": {"app": "w"}}});
        let table = value!({
            "columnDefinitions": [{"name": "Name", "format": "name"}, {"name": "Ready"}, {"name": "Image", "priority": 1}],
            "rows": [{"cells": ["web", "1/1", "nginx"], "object": object}]
        });
        let table = Object::from_value(table).unwrap();
        expect![[r#"
            NAME   READY
            web    1/1
        "#]]
        .assert_eq(&print(&table, None, &Options::default()));
        let all = Options {
            wide: true,
            with_kind: true,
            kind: None,
            with_namespace: true,
            show_labels: true,
            label_columns: vec!["x/tier".into()],
            ..Options::default()
        };
        expect![[r#"
            NAMESPACE   NAME                  READY   IMAGE   TIER     LABELS
            a           deployment.apps/web   1/1     nginx   <none>   app=w
        "#]]
        .assert_eq(&print(&table, None, &all));
    }
}
