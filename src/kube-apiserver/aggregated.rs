//! What a request for an aggregated API means: which resource its path names, for authorization, and how it is written again for
//! the server behind the Service. The resources of such a server are unknown here.

use apimachinery::status::Status;
use apimachinery::{Gvr, Request, Verb};
use base::Sym;

/// What a path asks of which resource, for authorization. `None`: it is the group version's discovery document.
pub(crate) fn attributes(request: &Request) -> Result<Option<Request>, Status> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let ["apis", group, version, rest @ ..] = parts.as_slice() else { return Ok(None) };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        _ => ("", rest),
    };
    let Some(resource) = rest.first() else { return Ok(None) };
    let name = rest.get(1).copied().unwrap_or("");
    let method = match request.verb {
        Verb::GetPath => "GET".to_string(),
        _ => request.options.query("\u{0}method").map_or_else(|| "POST".into(), str::to_ascii_uppercase),
    };
    let watches = query.split('&').any(|p| matches!(p, "watch=true" | "watch=1" | "watch"));
    let verb = match (method.as_str(), name.is_empty()) {
        ("GET", _) if watches => Verb::Watch,
        ("GET", true) => Verb::List,
        ("GET", false) => Verb::Get,
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::DeleteCollection,
        ("DELETE", false) => Verb::Delete,
        _ => return Err(crate::registry::method_not_allowed()),
    };
    Ok(Some(Request {
        verb,
        gvr: Gvr { group: Sym::new(group), version: Sym::new(version), resource: Sym::new(resource) },
        namespace: namespace.into(),
        name: name.into(),
        subresource: Sym::new(rest.get(2).copied().unwrap_or("")),
        options: request.options.clone(),
        ..Request::default()
    }))
}

/// The path with its query.
pub(crate) fn url(request: &Request) -> String {
    match request.gvr.resource.is_empty() {
        true => request.url_path(),
        false => request.url_path() + &query(request),
    }
}

/// The query of a request that was taken apart, with its question mark; empty if there is none.
pub(crate) fn query(request: &Request) -> String {
    let mut url = String::new();
    let o = &request.options;
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut push = |name: &str, value: &str| pairs.push((name.into(), escape(value)));
    if let Some(selector) = &o.label_selector {
        push("labelSelector", selector);
    }
    if let Some(selector) = &o.field_selector {
        push("fieldSelector", selector);
    }
    if o.limit > 0 {
        push("limit", &o.limit.to_string());
    }
    for (name, value) in o.query.iter().filter(|(name, _)| !name.starts_with('\u{0}')) {
        push(name, value);
    }
    for (i, (name, value)) in pairs.iter().enumerate() {
        url.push_str(&format!("{}{name}={value}", if i == 0 { '?' } else { '&' }));
    }
    url
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_authorized_as_the_resource_it_names() {
        let meaning = |path: &str| attributes(&Request::get_path(path)).unwrap();
        let pods = meaning("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=a%3Db").unwrap();
        assert_eq!((pods.verb, &*pods.namespace, pods.gvr.resource), (Verb::List, "default", Sym::new("pods")));
        let node = meaning("/apis/metrics.k8s.io/v1beta1/nodes/node-1").unwrap();
        assert_eq!((node.verb, &*node.name), (Verb::Get, "node-1"));
        assert!(meaning("/apis/metrics.k8s.io/v1beta1").is_none());
        assert!(attributes(&Request { verb: Verb::OtherPath, ..Request::get_path("/apis/g/v/x") }).unwrap().is_some());
    }

    #[test]
    fn the_query_goes_along() {
        let mut request = Request::list(Gvr::new("metrics.k8s.io", "v1beta1", "pods"), "default");
        request.options.label_selector = Some("app=web".into());
        assert_eq!(url(&request), "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dweb");
    }
}
