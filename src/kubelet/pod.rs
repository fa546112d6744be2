//! Small questions about pods and their containers.

use std::rc::Rc;

use apimachinery::{Object, Value};
use base::{Digest, Time};

type Text = Rc<str>;

/// In which list of the spec a container is, and how it behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Init,
    /// An init container with `restartPolicy: Always`.
    Sidecar,
    App,
    Ephemeral,
}

impl Kind {
    /// The member of the spec, as events' `fieldPath` names it.
    pub fn list(self) -> &'static str {
        match self {
            Kind::Init | Kind::Sidecar => "initContainers",
            Kind::App => "containers",
            Kind::Ephemeral => "ephemeralContainers",
        }
    }
}

/// A container of a pod's spec.
#[derive(Clone, Debug)]
pub struct Spec {
    pub kind: Kind,
    pub name: Text,
    pub value: Value,
}

impl Spec {
    pub fn text(&self, field: &str) -> Text {
        self.value.get(field).and_then(Value::as_rc_str).cloned().unwrap_or_default()
    }
    /// What makes a container another one: its image.
    pub fn hash(&self) -> u64 {
        let mut digest = Digest::new();
        digest.write(self.name.as_bytes());
        digest.write(self.value.str_at(&["image"]).unwrap_or("").as_bytes());
        digest.finish()
    }
    /// `spec.containers{web}`
    pub fn field_path(&self) -> String {
        format!("spec.{}{{{}}}", self.kind.list(), self.name)
    }
}

/// The containers of one kind of list, in order.
pub fn specs(pod: &Object, list: &str) -> Vec<Spec> {
    let spec = |v: &Value| {
        let sidecar = v.str_at(&["restartPolicy"]) == Some("Always");
        let kind = match list {
            "initContainers" if sidecar => Kind::Sidecar,
            "initContainers" => Kind::Init,
            "containers" => Kind::App,
            _ => Kind::Ephemeral,
        };
        let name = v.get("name").and_then(Value::as_rc_str).cloned().unwrap_or_default();
        Spec { kind, name, value: v.clone() }
    };
    pod.list_at(&["spec", list]).iter().map(spec).collect()
}

pub fn init_specs(pod: &Object) -> Vec<Spec> {
    specs(pod, "initContainers")
}
pub fn app_specs(pod: &Object) -> Vec<Spec> {
    specs(pod, "containers")
}
/// All of them: init containers, containers, ephemeral containers.
pub fn all_specs(pod: &Object) -> Vec<Spec> {
    ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|list| specs(pod, list)).collect()
}

pub fn restart_policy(pod: &Object) -> &str {
    pod.str_at(&["spec", "restartPolicy"]).unwrap_or("Always")
}

/// Whether a container that ended is started again.
pub fn restarts(pod: &Object, kind: Kind, exit_code: i32) -> bool {
    match (kind, restart_policy(pod)) {
        (Kind::Ephemeral, _) => false,
        (Kind::Sidecar, _) => true,
        (Kind::Init, "Never") => false,
        (Kind::Init, _) => exit_code != 0,
        (Kind::App, "Always") => true,
        (Kind::App, "OnFailure") => exit_code != 0,
        (Kind::App, _) => false,
    }
}

/// `name_namespace(uid)`, as upstream's messages name a pod.
pub fn format(pod: &Object) -> String {
    format!("{}_{}({})", pod.name(), pod.namespace(), pod.uid())
}

pub fn is_terminal(pod: &Object) -> bool {
    matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"))
}

/// Whole seconds, as objects hold times.
pub fn stamp(time: Time) -> Value {
    time.rfc3339().into()
}

/// Names in brackets as Go prints a list: `[a b]`.
pub fn go_list<'a>(names: impl IntoIterator<Item = &'a Text>) -> String {
    let names: Vec<&str> = names.into_iter().map(|n| &**n).collect();
    format!("[{}]", names.join(" "))
}
