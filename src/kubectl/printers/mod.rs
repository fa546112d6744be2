//! Output formats: what `-o` names. Models `cli-runtime/pkg/printers` and `kubectl/pkg/cmd/get`.

pub(crate) mod custom_columns;
pub(crate) mod go;
pub(crate) mod gotemplate;
mod gotemplate_eval;
pub(crate) mod jsonpath;
mod jsonpath_parse;
pub(crate) mod kyaml;
pub(crate) mod sort;
pub(crate) mod table;
pub(crate) mod tabwriter;

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Gvk, Object, Value};

use crate::ctx::{Ctx, Res, Stop, fail};
use crate::docs;
use crate::error::Error;

/// A printer of whole objects.
#[derive(Clone)]
pub(crate) enum Printer {
    Json,
    Yaml,
    Kyaml,
    Name,
    JsonPath(Rc<jsonpath::Template>),
    JsonPathAsJson(Rc<jsonpath::Template>),
    GoTemplate(Rc<gotemplate::Template>),
    CustomColumns(Rc<custom_columns::Columns>),
}

/// What kind of output was asked for.
pub(crate) enum Output {
    /// The command's own words: `pod/x created`.
    Words,
    /// `wide`, for commands with tables.
    Wide,
    Objects(Printer),
}

const FORMATS: &[&str] = &[
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "kyaml",
    "name",
    "template",
    "templatefile",
    "yaml",
];
const GET_FORMATS: &[&str] = &["custom-columns", "custom-columns-file", "wide"];

impl Ctx<'_> {
    /// What `-o` and `--template` ask for. `tables`: whether this command knows `wide` and `custom-columns`.
    pub fn output(&mut self, tables: bool) -> Res<Output> {
        let flags = self.flags.clone();
        let (mut format, template) = (flags.str("output").to_string(), flags.str("template").to_string());
        if format.is_empty() && !template.is_empty() {
            format = "go-template".into();
        }
        let (name, argument) = format.split_once('=').map_or((format.as_str(), ""), |(n, a)| (n, a));
        let argument = if argument.is_empty() { template } else { argument.to_string() };
        let printer = match name {
            "" => return Ok(Output::Words),
            "wide" if tables => return Ok(Output::Wide),
            "json" => Printer::Json,
            "yaml" => Printer::Yaml,
            "kyaml" => Printer::Kyaml,
            "name" => Printer::Name,
            "jsonpath" | "jsonpath-as-json" | "jsonpath-file" => {
                if argument.is_empty() {
                    return fail("template format specified but no template given");
                }
                let text = if name == "jsonpath-file" { self.template_file(&argument)? } else { argument };
                let template =
                    jsonpath::Template::parse(&text).map_err(|e| Error::Plain(format!("error parsing jsonpath {text}, {e}")))?;
                let template = Rc::new(template.allow_missing(flags.bool("allow-missing-template-keys")));
                if name == "jsonpath-as-json" { Printer::JsonPathAsJson(template) } else { Printer::JsonPath(template) }
            }
            "go-template" | "template" | "go-template-file" | "templatefile" => {
                if argument.is_empty() {
                    return fail("template format specified but no template given");
                }
                let text = if name.ends_with("file") { self.template_file(&argument)? } else { argument };
                let template = gotemplate::Template::parse(&text)
                    .map_err(|e| Error::Plain(format!("error parsing template {text}, template: output:{e}")))?;
                Printer::GoTemplate(Rc::new(template))
            }
            "custom-columns" | "custom-columns-file" if tables => {
                if argument.is_empty() {
                    return fail("custom-columns format specified but no custom columns given");
                }
                let columns = match name {
                    "custom-columns" => custom_columns::Columns::parse(&argument, flags.bool("no-headers")),
                    _ => custom_columns::Columns::parse_file(&self.template_file(&argument)?, flags.bool("no-headers")),
                };
                Printer::CustomColumns(Rc::new(columns.map_err(Error::Plain)?))
            }
            _ => {
                let mut allowed: Vec<&str> = FORMATS.to_vec();
                if tables {
                    allowed.extend(GET_FORMATS);
                }
                allowed.order();
                return fail(format!(
                    "unable to match a printer suitable for the output format {name:?}, allowed formats are: {}",
                    allowed.join(",")
                ));
            }
        };
        Ok(Output::Objects(printer))
    }

    fn template_file(&mut self, path: &str) -> Res<String> {
        match self.read_file(path)? {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => fail(format!("error reading --template {path}, open {path}: no such file or directory")),
        }
    }

    /// Prints one object as asked, or `kind/name operation` with the dry run's mark.
    pub fn print_object(&mut self, object: &Object, operation: &str) -> Res<()> {
        match self.output(false)? {
            Output::Objects(Printer::Name) => {
                self.println(resource_name(object));
                Ok(())
            }
            Output::Objects(printer) => {
                let text = printer.print(&self.presentable_by(&printer, object), self)?;
                self.print(text);
                Ok(())
            }
            _ => {
                let mark = self.dry_run()?.mark();
                self.println(format!("{} {operation}{mark}", resource_name(object)));
                Ok(())
            }
        }
    }

    /// An object without its managed fields unless they were asked for.
    pub fn presentable(&self, object: &Object) -> Object {
        let mut object = object.clone();
        if !self.flags.bool("show-managed-fields") {
            object.remove_at(&["metadata", "managedFields"]);
        }
        object
    }

    /// The same for a printer: only JSON and YAML leave them out.
    pub fn presentable_by(&self, printer: &Printer, object: &Object) -> Object {
        match printer {
            Printer::Json | Printer::Yaml | Printer::Kyaml => self.presentable(object),
            _ => object.clone(),
        }
    }

    pub fn dry_run(&mut self) -> Res<DryRun> {
        match self.flags.str("dry-run") {
            "" | "none" => Ok(DryRun::None),
            "server" => Ok(DryRun::Server),
            "client" => Ok(DryRun::Client),
            "unchanged" => Ok(DryRun::Client),
            other => fail(format!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\".")),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DryRun {
    None,
    Client,
    Server,
}

impl DryRun {
    pub fn mark(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

/// `deployment.apps/web`
pub(crate) fn resource_name(object: &Object) -> String {
    name_of(object.gvk(), object.name())
}

pub(crate) fn name_of(gvk: Gvk, name: &str) -> String {
    let kind = gvk.kind.with(str::to_lowercase);
    if gvk.group.is_empty() { format!("{kind}/{name}") } else { format!("{kind}.{}/{name}", gvk.group) }
}

impl Printer {
    /// The object (or list) as text, with a newline where upstream ends with one.
    pub fn print(&self, object: &Object, ctx: &Ctx) -> Res<String> {
        let value = object.value();
        Ok(match self {
            Printer::Json => go::json_pretty(value) + "\n",
            Printer::Yaml => docs::to_yaml(value),
            Printer::Kyaml => kyaml::print(value),
            Printer::Name if object.get("items").is_some() && object.kind().ends_with("List") => {
                let items = object.list_at(&["items"]).iter().filter_map(|v| Object::from_value(v.clone()));
                items.map(|o| resource_name(&o) + "\n").collect()
            }
            Printer::Name => resource_name(object) + "\n",
            Printer::JsonPath(template) => template.execute(value).map_err(|e| executing(template, value, &e))?,
            Printer::JsonPathAsJson(template) => {
                let found = template.find(value).map_err(|e| executing(template, value, &e))?;
                let all: Vec<Value> = found.into_iter().flatten().collect();
                go::json_pretty(&all.into()) + "\n"
            }
            Printer::GoTemplate(template) => template.execute(value).map_err(|e| {
                let text = format!(
                    "error executing template {:?}: template: output:{e}\n\ttemplate was:\n\t\t{}\n\traw data was:\n\t\t{}\n\tobject given to template engine was:\n\t\t{}",
                    template.text,
                    template.text,
                    go::json(value),
                    go::sprint(value)
                );
                Stop::from(Error::Plain(text))
            })?,
            Printer::CustomColumns(columns) => {
                let items = object.list_at(&["items"]);
                let is_list = object.get("items").is_some() && object.kind().ends_with("List");
                let rows: Vec<&Value> = if is_list { items.iter().collect() } else { vec![value] };
                let _ = ctx;
                columns.print(&rows).map_err(Error::Plain)?
            }
        })
    }
}

fn executing(template: &jsonpath::Template, value: &Value, error: &str) -> Stop {
    Error::Plain(format!(
        "error executing jsonpath {:?}: Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{}\n\tobject given to jsonpath engine was:\n\t\t{}\n\n",
        template.text,
        template.text,
        go::syntax(value)
    ))
    .into()
}
