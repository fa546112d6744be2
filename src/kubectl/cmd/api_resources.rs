//! `kubectl api-resources` and `api-versions`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Request, Value, value};

use crate::ctx::{Ctx, Next, Res, done, fail};
use crate::docs;
use crate::mapper::Mapping;
use crate::printers::{go, tabwriter};

pub(super) fn api_versions(ctx: &mut Ctx) -> Res<Next> {
    let groups = ctx.call(Request::get_path("/apis"))?;
    let mut versions: Vec<String> = groups
        .list_at(&["groups"])
        .iter()
        .flat_map(|g| g.list_at(&["versions"]).iter())
        .filter_map(|v| v.str_at(&["groupVersion"]).map(String::from))
        .collect();
    if groups.kind() == "APIGroupDiscoveryList" {
        for group in groups.list_at(&["items"]) {
            let name = group.str_at(&["metadata", "name"]).unwrap_or("");
            versions
                .extend(group.list_at(&["versions"]).iter().filter_map(|v| Some(format!("{name}/{}", v.str_at(&["version"])?))));
        }
    }
    versions.push("v1".into());
    versions.order();
    for version in versions {
        ctx.println(version);
    }
    done()
}

pub(super) fn api_resources(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    if !flags.args.is_empty() {
        return Err(crate::error::Error::Usage(format!("unexpected arguments: [{}]", flags.args.join(" ")), flags.path()).into());
    }
    let output = flags.str("output");
    if !matches!(output, "" | "wide" | "name" | "json" | "yaml") {
        return fail(format!("--output {output} is not available"));
    }
    let sort = flags.str("sort-by");
    if !matches!(sort, "" | "name" | "kind") {
        return fail("--sort-by accepts only name or kind");
    }
    let discovery = ctx.refresh_discovery()?;
    let mut found: Vec<Rc<Mapping>> = Vec::new();
    for mapping in discovery.mappings.iter().filter(|m| wanted(ctx, m)) {
        // Preferred versions only: the first of a group that has the resource.
        let again = found.iter().any(|f| f.gvr.group == mapping.gvr.group && f.gvr.resource == mapping.gvr.resource);
        if !again {
            found.push(mapping.clone());
        }
    }
    match sort {
        "kind" => found.order_by(|a, b| a.kind.cmp(&b.kind)),
        "name" => found.order_by_key(|m| m.gvr.resource),
        _ => found.order_by_key(|m| (m.gvr.group, m.gvr.resource)),
    }
    let text = match output {
        "name" => found.iter().map(|m| m.gvr.group_resource() + "\n").collect(),
        "json" | "yaml" => {
            let list = objects(&found);
            if output == "json" { go::json_pretty(&list) + "\n" } else { docs::to_yaml(&list) }
        }
        _ => tabwriter::table(&rows(&found, output == "wide", flags.bool("no-headers"))),
    };
    ctx.print(text);
    done()
}

fn wanted(ctx: &Ctx, m: &Mapping) -> bool {
    let flags = &ctx.flags;
    let group = !flags.changed("api-group") || m.gvr.group == flags.str("api-group");
    let scope = !flags.changed("namespaced") || flags.bool("namespaced") == m.namespaced;
    let verbs = flags.list("verbs").iter().all(|v| m.can(v));
    let categories = flags.list("categories").iter().all(|c| m.categories.iter().any(|have| **have == **c));
    group && scope && verbs && categories && !m.verbs.is_empty()
}

fn rows(found: &[Rc<Mapping>], wide: bool, bare: bool) -> String {
    let mut text = String::new();
    if !bare {
        text.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        text.push_str(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for m in found {
        text.push_str(&format!(
            "{}\t{}\t{}\t{}\t{}",
            m.gvr.resource,
            m.short.join(","),
            m.gvr.api_version(),
            m.namespaced,
            m.kind
        ));
        if wide {
            text.push_str(&format!("\t{}\t{}", m.verbs.join(","), m.categories.join(",")));
        }
        text.push('\n');
    }
    text
}

fn objects(found: &[Rc<Mapping>]) -> Value {
    let list = |texts: &[Rc<str>]| Value::list(texts.iter().map(Value::from).collect());
    let resources: Vec<Value> = found
        .iter()
        .map(|m| {
            value!({
                "name": (m.gvr.resource), "singularName": (&m.singular), "namespaced": (m.namespaced), "group": (m.gvr.group),
                "version": (m.gvr.version), "kind": (&m.kind), "verbs": (list(&m.verbs)), "shortNames": (list(&m.short)),
                "categories": (list(&m.categories))
            })
        })
        .collect();
    value!({"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "", "resources": resources})
}
