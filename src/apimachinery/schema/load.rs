//! Reads `types.txt`: its form is described in `tools/schema/convert.py`.

use base::Lookup;
use base::Sort as _;
use std::rc::Rc;

use super::{Field, ListKind, ListType, MapType, PatchStrategy, StructType, Type};
use crate::gvr::Gvk;
use crate::value::{Value, key};

static TYPES: &str = include_str!("../../../static/schema/types.txt");

/// All definitions, their fields still unparsed.
struct Table {
    by_name: Lookup<Rc<str>, Rc<StructType>>,
    by_gvk: Lookup<Gvk, Rc<StructType>>,
    /// Of kinds that every group has (DeleteOptions, WatchEvent).
    by_kind: Lookup<&'static str, Rc<StructType>>,
    packages: Lookup<&'static str, &'static str>,
}

thread_local! {
    static TABLE: Table = Table::load();
}

/// The type of a built-in kind.
pub fn of(gvk: Gvk) -> Option<Rc<StructType>> {
    TABLE.with(|t| t.by_gvk.get(&gvk).cloned().or_else(|| gvk.kind.with(|kind| t.by_kind.get(kind).cloned())))
}

/// A definition by its full name: `io.k8s.api.core.v1.PodSpec`.
pub fn named(name: &str) -> Option<Rc<StructType>> {
    TABLE.with(|t| t.by_name.get(name).cloned())
}

impl Table {
    fn load() -> Table {
        let mut table = Table {
            by_name: Lookup::default(),
            by_gvk: Lookup::default(),
            by_kind: Lookup::default(),
            packages: Lookup::default(),
        };
        let (mut package, mut group_version) = ("", "");
        for line in TYPES.lines() {
            if let Some(head) = line.strip_prefix('@') {
                let mut words = head.split(' ');
                let alias = words.next().unwrap_or("");
                package = words.next().unwrap_or("");
                group_version = words.next().unwrap_or("");
                table.packages.insert(alias, package);
                continue;
            }
            table.add(line, package, group_version);
        }
        table
    }

    fn add(&mut self, line: &'static str, package: &str, group_version: &str) {
        let (head, source) = line.split_once(' ').unwrap_or((line, ""));
        let short = head.trim_end_matches(['*', '%']);
        let name: Rc<str> = format!("{package}.{short}").into();
        let ty = Rc::new(StructType { atomic: head.contains('%'), ..StructType::unread(name.clone(), source) });
        if head.contains('*') {
            self.by_gvk.insert(Gvk::from_api_version(group_version, short), ty.clone());
            if package.ends_with("apimachinery.pkg.apis.meta.v1") {
                self.by_kind.insert(short, ty.clone());
            }
        }
        self.by_name.insert(name, ty);
    }

    fn resolve(&self, reference: &str, package: &str) -> Type {
        let (alias, short) = reference.split_once('.').expect("a reference has a dot");
        let package = if alias.is_empty() { package } else { self.packages[alias] };
        match self.by_name.get(format!("{package}.{short}").as_str()) {
            Some(ty) => Type::Struct(ty.clone()),
            // A definition of a group that is not served.
            None => Type::Any,
        }
    }
}

/// Parses the fields of a definition.
pub(super) fn fields(ty: &StructType) -> Vec<Field> {
    let package = ty.name.rsplit_once('.').map_or("", |(p, _)| p);
    let parse =
        |table: &Table| ty.source.split(' ').filter(|s| !s.is_empty()).map(|s| field(table, package, s)).collect::<Vec<Field>>();
    let mut fields = TABLE.with(parse);
    fields.order_by(|a, b| a.name.cmp(&b.name));
    fields
}

fn field(table: &Table, package: &str, source: &str) -> Field {
    let (name, rest) = source.split_once(':').expect("a field has a type");
    let mut parts = split_flags(rest).into_iter();
    let type_text = parts.next().unwrap_or("x");
    let mut f = Field::new(name, Type::Any);
    let mut kind = ListKind::Atomic;
    for flag in parts {
        let (letter, arg) = flag.split_at(1);
        match letter {
            "!" => f.required = true,
            "v" => f.by_value = true,
            "N" => f.null_if_missing = true,
            "z" => f.drop_zero = true,
            "=" => f.default = Some(arg.parse::<i64>().map_or_else(|_| Value::sym(arg), Value::Int)),
            "L" if arg == "s" => kind = ListKind::Set,
            "L" => kind = ListKind::Map(arg.split(',').skip(1).map(key).collect()),
            "p" => f.patch = PatchStrategy { merge: true, key: (!arg.is_empty()).then(|| key(arg)), ..f.patch },
            "r" => f.patch.retain_keys = true,
            "A" => f.atomic = Some(true),
            "G" => f.atomic = Some(false),
            "E" => f.embedded = Some(arg[1..].into()),
            _ => unreachable!("the converter writes no other flag: {flag}"),
        }
    }
    f.ty = parse_type(table, package, type_text, kind, f.atomic == Some(true), &mut f.go_name);
    f
}

/// Splits at `/`, but not inside `(…)` or `<…>`, nor inside a default, which comes before other flags and may hold paths.
fn split_flags(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    let bytes = text.as_bytes();
    for (i, c) in bytes.iter().enumerate() {
        match c {
            b'(' | b'<' => depth += 1,
            b')' | b'>' => depth -= 1,
            b'/' if depth == 0 && !text[start..].starts_with("=/") => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_type(table: &Table, package: &str, text: &str, kind: ListKind, atomic: bool, go_name: &mut Option<Rc<str>>) -> Type {
    if let Some(elem) = text.strip_prefix('[') {
        let elem = parse_type(table, package, elem, ListKind::Atomic, false, go_name);
        return Type::List(Rc::new(ListType { elem, kind }));
    }
    let (text, name) = text.split_once('<').map_or((text, None), |(t, n)| (t, Some(n.trim_end_matches('>'))));
    *go_name = go_name.take().or(name.map(Rc::from));
    if let Some(elem) = text.strip_prefix('{') {
        let elem = parse_type(table, package, elem, ListKind::Atomic, false, &mut None);
        return Type::Map(Rc::new(MapType { elem, atomic }));
    }
    match text {
        "b" => Type::Bool,
        "i" => Type::Int32,
        "l" => Type::Int64,
        "f" => Type::Float,
        "s" => Type::String(None),
        "B" => Type::Bytes,
        "t" => Type::Time,
        "u" => Type::MicroTime,
        "q" => Type::Quantity,
        "o" => Type::IntOrString,
        "x" => Type::Any,
        _ => match text.strip_prefix("s(") {
            Some(values) => Type::String(Some(enum_values(values.trim_end_matches(')')))),
            None => table.resolve(text, package),
        },
    }
}

fn enum_values(text: &str) -> Rc<[Rc<str>]> {
    text.split('|').map(|v| v.replace('~', " ").into()).collect()
}
