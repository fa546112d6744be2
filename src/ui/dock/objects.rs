//! The objects of one resource, in kube-apiserver's own columns.

use protocol::{Table, TableQuery, TableRow};
use web_sys::HtmlSelectElement;
use yew::prelude::*;

use crate::app::Do;
use crate::icons;
use crate::inspector::emit;
use crate::shared::Shared;

/// Resources that the list offers: group, resource.
const RESOURCES: [(&str, &str); 14] = [
    ("", "pods"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "services"),
    ("discovery.k8s.io", "endpointslices"),
    ("", "configmaps"),
    ("", "secrets"),
    ("", "nodes"),
    ("coordination.k8s.io", "leases"),
    ("", "namespaces"),
];
/// More rows than this are only counted.
const ROWS: u32 = 200;

/// The table to begin with.
pub fn first_query() -> TableQuery {
    query(0)
}

fn query(index: usize) -> TableQuery {
    let (group, resource) = RESOURCES[index.min(RESOURCES.len() - 1)];
    TableQuery { group: group.into(), resource: resource.into(), namespace: None, limit: ROWS }
}

#[derive(Properties, PartialEq)]
pub struct ObjectsProps {
    pub asked: TableQuery,
    pub table: Option<Shared<Table>>,
    pub run: Callback<Do>,
}

/// The choice of a resource, and its table.
#[function_component]
pub fn Objects(props: &ObjectsProps) -> Html {
    let run = props.run.clone();
    let onchange = Callback::from(move |event: Event| {
        let select: HtmlSelectElement = event.target_unchecked_into();
        run.emit(Do::Table(query(select.selected_index().max(0) as usize)));
    });
    let table = props.table.as_ref().filter(|t| t.query == props.asked);
    html! {
        <div class="events" tabindex="0" role="region" aria-label="Objects">
            <div class="objects-bar">
                <select class="select" aria-label="Resource" {onchange}>
                    { for RESOURCES.iter().map(|(_, r)| html! { <option selected={*r == props.asked.resource}>{ *r }</option> }) }
                </select>
                <span class="t-dim">{ table.map(|t| format!("{} in all namespaces", t.total)).unwrap_or_default() }</span>
            </div>
            { table.map(|t| rows(t, &props.run)).unwrap_or_default() }
        </div>
    }
}

fn rows(table: &Table, run: &Callback<Do>) -> Html {
    if table.rows.is_empty() {
        return html! { <p class="loading">{ "None." }</p> };
    }
    html! {
        <table class="things">
            <thead><tr>{ for table.columns.iter().map(|c| html! { <th>{ c }</th> }) }</tr></thead>
            <tbody>{ for table.rows.iter().map(|r| row(r, run)) }</tbody>
        </table>
    }
}

fn row(row: &TableRow, run: &Callback<Do>) -> Html {
    let open = emit(run, Do::Inspect(Some(row.thing.clone())));
    html! {
        <tr key={format!("{:?}", row.thing)}>
            { for row.cells.iter().enumerate().map(|(i, cell)| match i {
                0 => html! { <td><button class="link" onclick={open.clone()}>{ icons::glyph(row.glyph) }{ " " }{ cell }</button></td> },
                _ => html! { <td>{ cell }</td> },
            }) }
        </tr>
    }
}
