//! `-o custom-columns`. Models `kubectl/pkg/cmd/get/customcolumn.go`.

use apimachinery::Value;

use super::jsonpath::{Template, relaxed};
use super::{go, tabwriter};

pub(crate) struct Columns {
    columns: Vec<(String, Template)>,
    no_headers: bool,
}

impl Columns {
    /// `HEADER:path,HEADER:path`
    pub fn parse(spec: &str, no_headers: bool) -> Result<Columns, String> {
        let mut columns = Vec::new();
        for part in spec.split(',') {
            let Some((header, path)) = part.split_once(':') else {
                return Err(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"));
            };
            columns.push((header.to_string(), column(path)?));
        }
        Ok(Columns { columns, no_headers })
    }

    /// A line of headers and a line of paths.
    pub fn parse_file(text: &str, no_headers: bool) -> Result<Columns, String> {
        let mut lines = text.lines();
        let (headers, paths) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        let (headers, paths): (Vec<_>, Vec<_>) = (headers.split_whitespace().collect(), paths.split_whitespace().collect());
        if headers.len() != paths.len() || headers.is_empty() {
            return Err(format!("number of headers ({}) and field specifications ({}) don't match", headers.len(), paths.len()));
        }
        let columns = headers.iter().zip(paths).map(|(h, p)| Ok((h.to_string(), column(p)?)));
        Ok(Columns { columns: columns.collect::<Result<_, String>>()?, no_headers })
    }

    pub fn print(&self, rows: &[&Value]) -> Result<String, String> {
        let mut text = String::new();
        if !self.no_headers {
            let headers: Vec<&str> = self.columns.iter().map(|(h, _)| h.as_str()).collect();
            text.push_str(&(headers.join("\t") + "\n"));
        }
        for row in rows {
            let mut cells = Vec::new();
            for (_, path) in &self.columns {
                let found: Vec<String> = path.find(row)?.into_iter().flatten().map(|v| go::sprint(&v)).collect();
                cells.push(if found.is_empty() { "<none>".to_string() } else { found.join(",") });
            }
            text.push_str(&(cells.join("\t") + "\n"));
        }
        Ok(tabwriter::table(&text))
    }
}

fn column(path: &str) -> Result<Template, String> {
    let path = relaxed(path)?;
    let template = Template::parse(&path).map_err(|e| format!("error parsing jsonpath {path}, {e}"))?;
    Ok(template.allow_missing(true))
}
