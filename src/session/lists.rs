//! The events list and tables of resources.

use apimachinery::{Object, Request, Value, resources};
use base::Sort as _;
use base::Time;
use cluster::Cluster;
use protocol::{EventRow, EventsQuery, Glyph, State, Table, TableQuery, TableRow, Thing};

use crate::{api, observe};

/// Events, newest first.
pub(crate) fn events(cluster: &Cluster, query: &EventsQuery) -> (Vec<EventRow>, u32) {
    let (mut events, mut total) = match (query.namespace.as_deref(), query.warnings_only) {
        // Those that changed last are known without a look at all.
        (None | Some(""), false) => {
            let limit = query.limit.max(1) as usize;
            let newest = cluster.api().map(|api| (api.newest(resources::events(), limit), api.object_count(resources::events())));
            newest.map_or((Vec::new(), 0), |(newest, count)| (newest, count as u32))
        }
        (namespace, _) => (api::list(cluster, resources::events(), namespace.unwrap_or("")), 0),
    };
    if query.warnings_only {
        events.retain(|e| e.str_at(&["type"]) == Some("Warning"));
    }
    total = total.max(events.len() as u32);
    let mut rows: Vec<EventRow> = events.iter().map(event_row).collect();
    rows.order_by(|a, b| b.at_us.cmp(&a.at_us).then_with(|| b.key.cmp(&a.key)));
    rows.truncate(query.limit.max(1) as usize);
    (rows, total)
}

pub(crate) fn event_row(event: &Object) -> EventRow {
    let text = |path: &[&str]| event.str_at(path).unwrap_or("").to_string();
    let involved = |field: &str| text(&["involvedObject", field]);
    let gvk = apimachinery::Gvk::from_api_version(&involved("apiVersion"), &involved("kind"));
    let resource = apimachinery::schema::resource_for_kind(gvk)
        .map_or_else(|| involved("kind").to_lowercase(), |r| r.gvr.resource.to_string());
    let from = match (text(&["source", "component"]), text(&["source", "host"])) {
        (component, host) if host.is_empty() && component.is_empty() => text(&["reportingComponent"]),
        (component, host) if host.is_empty() => component,
        (component, host) => format!("{component}, {host}"),
    };
    EventRow {
        key: format!("{}/{}", event.namespace(), event.name()),
        at_us: api::event_time(event).0,
        warning: event.str_at(&["type"]) == Some("Warning"),
        reason: text(&["reason"]),
        about: Thing::object(&gvk.group.to_string(), &resource, &involved("namespace"), &involved("name")),
        namespace: event.namespace().into(),
        message: text(&["message"]),
        count: event.int_at(&["count"]).or_else(|| event.int_at(&["series", "count"])).unwrap_or(1).max(1) as u32,
        from,
    }
}

/// A table as kube-apiserver prints it.
pub(crate) fn table(cluster: &Cluster, query: &TableQuery) -> Table {
    let empty = Table { query: query.clone(), columns: Vec::new(), rows: Vec::new(), total: 0 };
    let version = resources_version(cluster, &query.group, &query.resource);
    let gvr = apimachinery::Gvr::new(&query.group, &version, &query.resource);
    let mut request = Request::list(gvr, query.namespace.as_deref().unwrap_or(""));
    request.accept = Some("application/json;as=Table;v=v1;g=meta.k8s.io".into());
    // What is not shown is not printed.
    request.options.limit = i64::from(query.limit.max(1));
    let Some(response) = api::read(cluster, request) else { return empty };
    let Some(object) = response.ok() else { return empty };
    let definitions = object.list_at(&["columnDefinitions"]);
    let shown: Vec<usize> = (0..definitions.len()).filter(|i| definitions[*i].int_at(&["priority"]).unwrap_or(0) == 0).collect();
    let columns = shown.iter().map(|i| definitions[*i].str_at(&["name"]).unwrap_or("").to_string()).collect();
    let rows = object.list_at(&["rows"]);
    let more = object.int_at(&["metadata", "remainingItemCount"]).unwrap_or(0).max(0);
    let total = rows.len() as u32 + more as u32;
    let now = cluster.now();
    let rows = rows.iter().take(query.limit.max(1) as usize).map(|r| table_row(cluster, query, r, &shown, now)).collect();
    Table { query: query.clone(), columns, rows, total }
}

fn table_row(cluster: &Cluster, query: &TableQuery, row: &Value, shown: &[usize], now: Time) -> TableRow {
    let cells = row.list_at(&["cells"]);
    let text = |v: &Value| v.as_str().map_or_else(|| apimachinery::json::to_string(v), str::to_string);
    let name = row.str_at(&["object", "metadata", "name"]).unwrap_or("");
    let namespace = row.str_at(&["object", "metadata", "namespace"]).unwrap_or("");
    let (state, glyph) = match (query.group.as_str(), query.resource.as_str()) {
        ("", "pods") => match api::get(cluster, resources::pods(), namespace, name) {
            Some(pod) => observe::pod_state(&pod, &observe::pod_status(&pod, now)),
            None => (State::Idle, Glyph::None),
        },
        _ => (State::Idle, Glyph::None),
    };
    TableRow {
        thing: Thing::object(&query.group, &query.resource, namespace, name),
        cells: shown.iter().map(|i| cells.get(*i).map_or_else(String::new, text)).collect(),
        state,
        glyph,
    }
}

/// The version in which a resource is served; v1 if it isn't, or nobody is there to say.
pub(crate) fn resources_version(cluster: &Cluster, group: &str, resource: &str) -> String {
    cluster.api().and_then(|api| api.version_of(group, resource)).map_or_else(|| "v1".into(), |version| version.to_string())
}
