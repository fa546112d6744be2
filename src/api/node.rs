//! The node group: runtime classes.

use apimachinery::field::{ErrorList, Path, go_quote};
use apimachinery::{Object, Quantity, Value};

use crate::check::{self, text};
use crate::core::pod::{defaults, resources, scheduling};
use crate::rules::Rules;
use crate::strategy::Kind;

pub static RUNTIME_CLASS: Rules = Rules {
    default: |e| {
        e.sub("overhead", |o| defaults::quantities(o, "podFixed"));
    },
    validate: runtime_class,
    update: |new, old, errors| {
        if new.get("handler") != old.get("handler") {
            // Upstream's declarative validation shows no value here.
            errors.invalid(&Path::new("handler"), Value::Null, check::IMMUTABLE);
        }
    },
    ..Rules::of(Kind::cluster("node.k8s.io", "runtimeclasses", "RuntimeClass").conditional())
};

fn runtime_class(obj: &Object, errors: &mut ErrorList) {
    let path = Path::new("handler");
    match obj.str_at(&["handler"]).unwrap_or("") {
        "" => errors.required(&path, ""),
        handler => {
            for text in check::dns1123_label(handler).iter() {
                errors.invalid(&path, handler, text.replace("63 characters", "63 bytes"));
            }
        }
    }
    let overhead = Path::new("overhead");
    // Upstream checks these as the limits of a container, hence the path.
    let limits = overhead.child("limits");
    for (name, v) in obj.map_at(&["overhead", "podFixed"]).into_iter().flatten() {
        resources::container_name(name, &limits.key(name), errors);
        if let Ok(q) = Quantity::from_value(v) {
            resources::amount(name, &q, v, &limits.key(name), errors);
        }
    }
    let path = Path::new("scheduling");
    check::labels(obj.map_at(&["scheduling", "nodeSelector"]), &path.child("nodeSelector"), errors);
    tolerations(obj.list_at(&["scheduling", "tolerations"]), &path.child("tolerations"), errors);
}

/// As of pods, but a value with `Exists` is shown alone.
fn tolerations(list: &[Value], path: &Path, errors: &mut ErrorList) {
    let before = errors.len();
    scheduling::tolerations(list, path, errors);
    if errors.len() == before {
        return;
    }
    let all: Vec<_> = std::mem::take(errors).into_iter().collect();
    for mut e in all {
        if e.detail == "value must be empty when `operator` is 'Exists'" {
            let at = list.iter().find(|t| text(t, "operator") == "Exists" && !text(t, "value").is_empty());
            e.bad_value = go_quote(at.map_or("", |t| text(t, "value")));
        }
        errors.push(e);
    }
}
