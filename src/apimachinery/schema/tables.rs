//! The columns of server-side Tables, by resource. Rows are kube-apiserver's.

use std::collections::HashMap;
use std::rc::Rc;

use crate::gvr::Gvr;
use crate::value::{Value, key};

static TABLES: &str = include_str!("../../../static/schema/tables.txt");

/// A column of a Table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: Rc<str>,
    /// `string`, `integer`, `boolean`, `date`, `number`
    pub kind: &'static str,
    /// `name` for the column with the object's name, else empty.
    pub format: &'static str,
    /// Above 0: only in wide output.
    pub priority: i64,
}

impl Column {
    /// `metav1.TableColumnDefinition` (without a description).
    pub fn to_value(&self) -> Value {
        crate::value!({
            "name": (&self.name), "type": (self.kind), "format": (self.format), "description": "", "priority": (self.priority)
        })
    }
}

thread_local! {
    static LINES: HashMap<&'static str, &'static str> = TABLES.lines().filter_map(|l| l.split_once(' ')).collect();
}

/// The columns of a built-in resource; `None` if it has none of its own (then: Name and Created At).
pub fn columns(gvr: Gvr) -> Option<Vec<Column>> {
    let name = format!("{}/{}", gvr.api_version(), gvr.resource);
    let line = LINES.with(|lines| lines.get(name.as_str()).copied())?;
    Some(line.split(';').map(column).collect())
}

fn column(text: &'static str) -> Column {
    let mut parts = text.split(',');
    let mut next = || parts.next().unwrap_or("");
    Column { name: key(next()), kind: next(), format: next(), priority: next().parse().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_have_their_columns() {
        let names: Vec<String> = columns(crate::resources::pods())
            .unwrap()
            .iter()
            .map(|c| format!("{}{}", c.name, if c.priority > 0 { "+" } else { "" }))
            .collect();
        assert_eq!(names.join(" "), "Name Ready Status Restarts Age IP+ Node+ Nominated Node+ Readiness Gates+");
    }
}
