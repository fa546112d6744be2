//! Lens, thing and tab as words of an address, so that a link can lead to them: `lens=service-network&open=pods/default/web`.

use crate::{Lens, Tab, Thing};

impl Lens {
    /// Its word in an address.
    pub fn word(self) -> &'static str {
        match self {
            Lens::Architecture => "architecture",
            Lens::Components => "components",
            Lens::ControlPlane => "control-plane",
            Lens::ServiceNetwork => "service-network",
            Lens::PodCreation => "pod-creation",
        }
    }

    pub fn of_word(word: &str) -> Option<Lens> {
        Lens::ALL.into_iter().find(|l| l.word() == word)
    }
}

impl Tab {
    /// Its word in an address.
    pub fn word(self) -> &'static str {
        match self {
            Tab::Why => "why",
            Tab::Overview => "overview",
            Tab::Yaml => "yaml",
            Tab::Events => "events",
            Tab::Logs => "logs",
        }
    }

    pub fn of_word(word: &str) -> Option<Tab> {
        Tab::ALL.into_iter().find(|t| t.word() == word)
    }
}

impl Thing {
    /// `pods/default/web`, `deployments.apps/default/web`, `nodes//node-1`, `component:kubelet/node-1`, `machine:node-1`,
    /// `container:default/web/nginx`, `connection:kubelet/node-1>kube-apiserver`, `message:412`, `check:read`, `revision:88`, `key:/registry/…`.
    pub fn path(&self) -> String {
        match self {
            Thing::Object { group, resource, namespace, name } if group.is_empty() => format!("{resource}/{namespace}/{name}"),
            Thing::Object { group, resource, namespace, name } => format!("{resource}.{group}/{namespace}/{name}"),
            Thing::Component { name } => format!("component:{name}"),
            Thing::Machine { name } => format!("machine:{name}"),
            Thing::Container { namespace, pod, container } => format!("container:{namespace}/{pod}/{container}"),
            Thing::Message { id } => format!("message:{id}"),
            Thing::Connection { from, to } => format!("connection:{from}>{to}"),
            Thing::Check { name } => format!("check:{name}"),
            Thing::Revision { revision } => format!("revision:{revision}"),
            Thing::Key { key } => format!("key:{key}"),
        }
    }

    /// The thing that a path names (whether or not it exists). None: it names nothing.
    pub fn of_path(path: &str) -> Option<Thing> {
        if path.len() > 1024 {
            return None;
        }
        let Some((kind, rest)) = path.split_once(':').filter(|(kind, _)| !kind.contains('/')) else {
            let mut parts = path.splitn(3, '/');
            let (kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
            let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
            return (!resource.is_empty() && !name.is_empty()).then(|| Thing::object(group, resource, namespace, name));
        };
        if rest.is_empty() {
            return None;
        }
        Some(match kind {
            "component" => Thing::component(rest),
            "machine" => Thing::Machine { name: rest.into() },
            "container" => {
                let mut parts = rest.splitn(3, '/').map(str::to_string);
                Thing::Container { namespace: parts.next()?, pod: parts.next()?, container: parts.next()? }
            }
            "message" => Thing::Message { id: rest.parse().ok()? },
            "connection" => {
                let (from, to) = rest.split_once('>')?;
                Thing::Connection { from: from.into(), to: to.into() }
            }
            "check" => Thing::Check { name: rest.into() },
            "revision" => Thing::Revision { revision: rest.parse().ok()? },
            "key" => Thing::Key { key: rest.into() },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for lens in Lens::ALL {
            assert_eq!(Lens::of_word(lens.word()), Some(lens));
        }
        for tab in Tab::ALL {
            assert_eq!(Tab::of_word(tab.word()), Some(tab));
        }
        let things = [
            Thing::core("pods", "default", "web"),
            Thing::object("apps", "deployments", "default", "web"),
            Thing::object("rbac.authorization.k8s.io", "clusterroles", "", "system:node"),
            Thing::component("kubelet/node-1"),
            Thing::Machine { name: "node-1".into() },
            Thing::Container { namespace: "a".into(), pod: "b".into(), container: "c".into() },
            Thing::Message { id: 7 },
            Thing::Connection { from: "kubelet/node-1".into(), to: "kube-apiserver".into() },
            Thing::Check { name: "read".into() },
            Thing::Revision { revision: 9 },
            Thing::Key { key: "/registry/pods/default/web".into() },
        ];
        for thing in things {
            assert_eq!(Thing::of_path(&thing.path()), Some(thing.clone()), "{}", thing.path());
        }
        for nothing in
            ["", "pods", "pods/default", "pods/default/", "/a/b", "message:", "message:x", "connection:a", "what:x", ":x"]
        {
            assert_eq!(Thing::of_path(nothing), None, "{nothing:?}");
        }
    }
}
