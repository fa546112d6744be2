//! `kubectl config …`: reads and writes the kubeconfig; asks no server.

use apimachinery::{Object, Value, value};
use base::Sort as _;

use crate::base64;
use crate::config::{KubeConfig, named};
use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::docs;
use crate::error::Error;
use crate::grammar::Flags;
use crate::printers::{Output, tabwriter};

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let file = ctx.kubeconfig()?;
    let flags = ctx.flags.clone();
    let arg = |i: usize| flags.args.get(i).cloned().unwrap_or_default();
    match flags.verb() {
        "current-context" => match file.value.str_at(&["current-context"]).filter(|c| !c.is_empty()) {
            Some(name) => ctx.println(name),
            None => return fail("current-context is not set"),
        },
        "view" => return view(ctx, file),
        "get-contexts" => return get_contexts(ctx, &file),
        "get-clusters" => names(ctx, &file, "clusters"),
        "get-users" => names(ctx, &file, "users"),
        "use-context" => {
            if named(&file.value, "contexts", "context", &arg(0)).is_none() {
                return fail(format!("no context exists with the name: {:?}", arg(0)));
            }
            change(ctx, file, |v| v.set_at(&["current-context"], arg(0)))?;
            ctx.println(format!("Switched to context {:?}.", arg(0)));
        }
        "set-context" | "set-cluster" | "set-credentials" => return set_entry(ctx, file, &flags),
        "delete-context" | "delete-cluster" | "delete-user" => return delete_entry(ctx, file, &arg(0)),
        "rename-context" => return rename(ctx, file, &arg(0), &arg(1)),
        "set" | "unset" => return property(ctx, file, &arg(0), flags.args.get(1).cloned()),
        other => return fail(format!("kubectl config {other} is not in this bottle")),
    }
    done()
}

fn change(ctx: &mut Ctx, file: KubeConfig, edit: impl FnOnce(&mut Value)) -> Res<()> {
    let mut value = file.value;
    edit(&mut value);
    match ctx.write_file(&file.path, docs::to_yaml(&value).as_bytes())? {
        Ok(()) => Ok(()),
        Err(_) => fail(format!("open {}: permission denied", file.path)),
    }
}

fn sorted_names(file: &KubeConfig, list: &str) -> Vec<String> {
    let mut names: Vec<String> =
        file.value.list_at(&[list]).iter().filter_map(|e| e.str_at(&["name"]).map(String::from)).collect();
    names.order();
    names
}

fn names(ctx: &mut Ctx, file: &KubeConfig, list: &str) {
    ctx.println("NAME");
    for name in sorted_names(file, list) {
        ctx.println(name);
    }
}

fn get_contexts(ctx: &mut Ctx, file: &KubeConfig) -> Res<Next> {
    let flags = ctx.flags.clone();
    let current = file.value.str_at(&["current-context"]).unwrap_or("").to_string();
    let wanted = if flags.args.is_empty() { sorted_names(file, "contexts") } else { flags.args.clone() };
    if flags.str("output") == "name" {
        for name in wanted {
            ctx.println(name);
        }
        return done();
    }
    if !flags.str("output").is_empty() {
        return fail(format!("output must be one of '' or 'name': {}", flags.str("output")));
    }
    let mut text =
        if flags.bool("no-headers") { String::new() } else { "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n".to_string() };
    for name in wanted {
        let Some(context) = named(&file.value, "contexts", "context", &name) else {
            return fail(format!("context {name} not found"));
        };
        let field = |f: &str| context.str_at(&[f]).unwrap_or("").to_string();
        let mark = if name == current { "*" } else { "" };
        text.push_str(&format!("{mark}\t{name}\t{}\t{}\t{}\n", field("cluster"), field("user"), field("namespace")));
    }
    ctx.print(tabwriter::table(&text));
    done()
}

/// Secrets are hidden unless `--raw`.
fn view(ctx: &mut Ctx, file: KubeConfig) -> Res<Next> {
    let flags = ctx.flags.clone();
    let mut value = file.value;
    if flags.bool("minify") {
        minify(ctx, &mut value)?;
    }
    for list in ["clusters", "contexts", "users"] {
        let entries = value.entry(&[list]).list_mut();
        entries.order_by(|a, b| a.str_at(&["name"]).cmp(&b.str_at(&["name"])));
        if entries.is_empty() {
            value.set_at(&[list], Value::Null);
        }
    }
    if value.get("preferences").is_some_and(Value::is_empty) {
        value.map_mut().remove("preferences");
    }
    if !flags.bool("raw") {
        redact(&mut value);
    }
    let object = Object::from_value(value).unwrap_or_default();
    match ctx.output(false)? {
        Output::Objects(printer) => {
            let text = printer.print(&object, ctx)?;
            ctx.print(text);
        }
        _ => ctx.print(docs::to_yaml(object.value())),
    }
    done()
}

fn minify(ctx: &mut Ctx, value: &mut Value) -> Res<()> {
    let asked = ctx.flags.str("context").to_string();
    let name = if asked.is_empty() { value.str_at(&["current-context"]).unwrap_or("").to_string() } else { asked };
    let Some(context) = named(value, "contexts", "context", &name) else {
        return fail("current-context must exist in order to minify");
    };
    value.set_at(&["current-context"], &name);
    for (list, keep) in [
        ("contexts", name.as_str()),
        ("clusters", context.str_at(&["cluster"]).unwrap_or("")),
        ("users", context.str_at(&["user"]).unwrap_or("")),
    ] {
        value.entry(&[list]).list_mut().retain(|e| e.str_at(&["name"]) == Some(keep));
    }
    Ok(())
}

fn redact(value: &mut Value) {
    for (list, member, fields, text) in [
        ("clusters", "cluster", &["certificate-authority-data"][..], "DATA+OMITTED"),
        ("users", "user", &["client-certificate-data", "client-key-data"][..], "DATA+OMITTED"),
        ("users", "user", &["token", "password"][..], "REDACTED"),
    ] {
        if value.list_at(&[list]).is_empty() {
            continue;
        }
        for entry in value.entry(&[list]).list_mut() {
            for field in fields {
                if entry.str_at(&[member, field]).is_some_and(|t| !t.is_empty()) {
                    entry.set_at(&[member, field], text);
                }
            }
        }
    }
}

fn set_entry(ctx: &mut Ctx, file: KubeConfig, flags: &Flags) -> Res<Next> {
    let (list, member, word) = match flags.verb() {
        "set-context" => ("contexts", "context", "Context"),
        "set-cluster" => ("clusters", "cluster", "Cluster"),
        _ => ("users", "user", "User"),
    };
    let name = match flags.args.first() {
        Some(name) => name.clone(),
        None if flags.bool("current") => file.value.str_at(&["current-context"]).unwrap_or("").to_string(),
        None => return Err(Error::Usage("Unexpected args: []".into(), flags.path()).into()),
    };
    if member == "user" {
        let mut methods = Vec::new();
        if !flags.str("token").is_empty() {
            methods.push("--token");
        }
        if !flags.str("username").is_empty() || !flags.str("password").is_empty() {
            methods.push("--username/--password");
        }
        if methods.len() > 1 {
            return fail(format!(
                "you cannot specify more than one authentication method at the same time: {}",
                methods.join(", ")
            ));
        }
    }
    let fields: &[(&str, &str)] = match member {
        "context" => &[("cluster", "cluster"), ("user", "user"), ("namespace", "namespace")],
        "cluster" => &[
            ("server", "server"),
            ("tls-server-name", "tls-server-name"),
            ("proxy-url", "proxy-url"),
            ("certificate-authority", "certificate-authority"),
        ],
        _ => &[
            ("token", "token"),
            ("username", "username"),
            ("password", "password"),
            ("client-certificate", "client-certificate"),
            ("client-key", "client-key"),
        ],
    };
    let old = named(&file.value, list, member, &name);
    let existed = old.is_some();
    let mut entry = old.unwrap_or_else(Value::map);
    for (flag, field) in fields.iter().filter(|(flag, _)| flags.changed(flag)) {
        let text = flags.str(flag).to_string();
        let embeds = flags.bool("embed-certs") && matches!(*field, "certificate-authority" | "client-certificate" | "client-key");
        if embeds {
            let Ok(bytes) = ctx.read_file(&text)? else {
                return fail(format!("could not stat {field} file {text}: stat {text}: no such file or directory"));
            };
            entry.set_at(&[&format!("{field}-data")], base64::encode(&bytes));
        } else {
            entry.set_at(&[field], text);
        }
    }
    if flags.changed("insecure-skip-tls-verify") && member == "cluster" {
        entry.set_at(&["insecure-skip-tls-verify"], flags.bool("insecure-skip-tls-verify"));
    }
    change(ctx, file, |value| {
        let entries = value.entry(&[list]).list_mut();
        match entries.iter_mut().find(|e| e.str_at(&["name"]) == Some(&name)) {
            Some(found) => found.set_at(&[member], entry),
            None => {
                let mut made = value!({"name": (&name)});
                made.set_at(&[member], entry);
                entries.push(made);
                entries.order_by(|a, b| a.str_at(&["name"]).cmp(&b.str_at(&["name"])));
            }
        }
    })?;
    let verb = match (member, existed) {
        ("context", true) => "modified",
        ("context", false) => "created",
        _ => "set",
    };
    ctx.println(format!("{word} {name:?} {verb}."));
    done()
}

fn delete_entry(ctx: &mut Ctx, file: KubeConfig, name: &str) -> Res<Next> {
    let (list, word) = match ctx.flags.verb() {
        "delete-context" => ("contexts", "context"),
        "delete-cluster" => ("clusters", "cluster"),
        _ => ("users", "user"),
    };
    let path = file.path.clone();
    if named(&file.value, list, word, name).is_none() {
        return fail(format!("cannot delete {word} {name}, not in {path}"));
    }
    if word == "context" && file.value.str_at(&["current-context"]) == Some(name) {
        ctx.eprintln("warning: this removed your active context, use \"kubectl config use-context\" to select a different one");
    }
    change(ctx, file, |value| value.entry(&[list]).list_mut().retain(|e| e.str_at(&["name"]) != Some(name)))?;
    ctx.println(format!("deleted {word} {name} from {path}"));
    done()
}

fn rename(ctx: &mut Ctx, file: KubeConfig, old: &str, new: &str) -> Res<Next> {
    if named(&file.value, "contexts", "context", old).is_none() {
        return fail(format!("cannot rename the context {old:?}, it's not in {}", file.path));
    }
    if named(&file.value, "contexts", "context", new).is_some() {
        return fail(format!("cannot rename the context {old:?}, the context {new:?} already exists in {}", file.path));
    }
    change(ctx, file, |value| {
        for entry in value.entry(&["contexts"]).list_mut() {
            if entry.str_at(&["name"]) == Some(old) {
                entry.set_at(&["name"], new);
            }
        }
        if value.str_at(&["current-context"]) == Some(old) {
            value.set_at(&["current-context"], new);
        }
    })?;
    ctx.println(format!("Context {old:?} renamed to {new:?}."));
    done()
}

/// `config set a.b.c value` and `config unset a.b.c`.
fn property(ctx: &mut Ctx, file: KubeConfig, path: &str, to: Option<String>) -> Res<Next> {
    let setting = ctx.flags.verb() == "set";
    let lists = [("clusters.", "clusters", "cluster"), ("contexts.", "contexts", "context"), ("users.", "users", "user")];
    let target = lists.iter().find_map(|(head, list, member)| {
        let rest = path.strip_prefix(head)?;
        // Names may contain dots: the longest one that exists, else all up to the last dot.
        let known = file.value.list_at(&[list]).iter().filter_map(|e| e.str_at(&["name"]));
        let name =
            known.filter(|n| rest == *n || rest.strip_prefix(n).is_some_and(|r| r.starts_with('.'))).max_by_key(|n| n.len());
        let name = name.unwrap_or_else(|| rest.rsplit_once('.').map_or(rest, |(n, _)| n)).to_string();
        let field = rest.get(name.len() + 1..).unwrap_or("").to_string();
        Some((*list, *member, name, field))
    });
    let to = if setting { to } else { None };
    change(ctx, file, |value| match target {
        None => match to {
            Some(text) => value.set_at(&[path], text),
            None => value.set_at(&[path], ""),
        },
        Some((list, member, name, field)) => {
            let entries = value.entry(&[list]).list_mut();
            if field.is_empty() && to.is_none() {
                entries.retain(|e| e.str_at(&["name"]) != Some(&name));
                return;
            }
            if !entries.iter().any(|e| e.str_at(&["name"]) == Some(&name)) {
                entries.push(value!({"name": (&name)}));
            }
            for entry in entries.iter_mut().filter(|e| e.str_at(&["name"]) == Some(&name)) {
                match &to {
                    Some(text) => entry.set_at(&[member, &field], text),
                    None => {
                        entry.remove_at(&[member, &field]);
                    }
                }
            }
        }
    })?;
    ctx.println(format!("Property {path:?} {}.", if setting { "set" } else { "unset" }));
    done()
}
