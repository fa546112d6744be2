//! LimitRanger: defaults and bounds of a namespace for containers, pods and claims.

use apimachinery::status::Status;
use apimachinery::{Fields, Object, Quantity, Value, Verb, resources};
use base::Sort as _;

use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct LimitRanger;

const LISTS: [&str; 2] = ["initContainers", "containers"];

fn quantity(value: Option<&Value>) -> Option<Quantity> {
    Quantity::from_value(value?).ok()
}

impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if !a.creates(resources::pods()) {
            return Ok(());
        }
        let ranges: Vec<Object> = server.all(resources::limitranges(), &a.namespace).cloned().collect();
        let mut said = Vec::new();
        for range in &ranges {
            for item in range.list_at(&["spec", "limits"]).iter().filter(|l| l.str_at(&["type"]) == Some("Container")) {
                default_containers(&mut a.object, item, &mut said);
            }
        }
        if !said.is_empty() {
            let text = format!("LimitRanger plugin set: {}", said.join("; "));
            a.object.value_mut().entry(&["metadata", "annotations"]).map_mut().insert("kubernetes.io/limit-ranger".into(), text);
        }
        Ok(())
    }

    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        let pod = a.creates(resources::pods());
        let claim = a.gvr == resources::persistentvolumeclaims() && a.subresource.is_empty();
        if !(pod || claim) || !matches!(a.verb, Verb::Create | Verb::Update) {
            return Ok(());
        }
        let mut errors: Vec<String> = Vec::new();
        for range in server.all(resources::limitranges(), &a.namespace) {
            for item in range.list_at(&["spec", "limits"]) {
                match item.str_at(&["type"]) {
                    Some("Container") if pod => {
                        for container in containers(&a.object) {
                            check(item, "Container", |kind| container.map_at(&["resources", kind]).cloned(), &mut errors);
                        }
                    }
                    Some("Pod") if pod => check(item, "Pod", |kind| Some(pod_sum(&a.object, kind)), &mut errors),
                    Some("PersistentVolumeClaim") if claim => {
                        let requests = |_: &str| a.object.map_at(&["spec", "resources", "requests"]).cloned();
                        check(item, "PersistentVolumeClaim", requests, &mut errors);
                    }
                    _ => {}
                }
            }
        }
        match errors.as_slice() {
            [] => Ok(()),
            [one] => Err(a.forbidden(one)),
            many => Err(a.forbidden(format!("[{}]", many.join(", ")))),
        }
    }
}

fn containers(pod: &Object) -> impl Iterator<Item = &Value> {
    LISTS.into_iter().flat_map(|l| pod.list_at(&["spec", l]))
}

/// Fills in what a container leaves open, and says so.
fn default_containers(pod: &mut Object, item: &Value, said: &mut Vec<String>) {
    for list in ["containers", "initContainers"] {
        let mut all = pod.list_at(&["spec", list]).to_vec();
        for container in &mut all {
            for (kind, defaults) in [("limits", "default"), ("requests", "defaultRequest")] {
                let mut set = Vec::new();
                for (name, value) in item.map_at(&[defaults]).into_iter().flatten() {
                    if container.at(&["resources", kind, name]).is_none() {
                        container.entry(&["resources", kind]).map_mut().insert(name.clone(), value.clone());
                        set.push(&**name);
                    }
                }
                if !set.is_empty() {
                    let what = if kind == "limits" { "limit" } else { "request" };
                    let which = if list == "containers" { "container" } else { "init container" };
                    let name = container.str_at(&["name"]).unwrap_or("").to_string();
                    said.push(format!("{} {what} for {which} {name}", set.join(", ")));
                }
            }
        }
        if !all.is_empty() && all != pod.list_at(&["spec", list]) {
            pod.set_at(&["spec", list], all);
        }
    }
    // Upstream names requests before limits of each container.
    said.order_by_key(|s| (s.contains("init container"), s.rsplit(' ').next().map(str::to_string), s.contains("limit for")));
}

/// The sum over the containers of a pod; an init container counts where it alone is more.
fn pod_sum(pod: &Object, kind: &str) -> Fields {
    let mut sum = Fields::new();
    for container in pod.list_at(&["spec", "containers"]) {
        for (name, value) in container.map_at(&["resources", kind]).into_iter().flatten() {
            let total = match (quantity(sum.get(name)), quantity(Some(value))) {
                (Some(a), Some(b)) => a + b,
                (_, b) => b.unwrap_or_default(),
            };
            sum.insert(name.clone(), Value::from(total));
        }
    }
    for container in pod.list_at(&["spec", "initContainers"]) {
        for (name, value) in container.map_at(&["resources", kind]).into_iter().flatten() {
            if quantity(sum.get(name)).unwrap_or_default() < quantity(Some(value)).unwrap_or_default() {
                sum.insert(name.clone(), value.clone());
            }
        }
    }
    sum
}

fn check(item: &Value, what: &str, used: impl Fn(&str) -> Option<Fields>, errors: &mut Vec<String>) {
    let requests = used("requests").unwrap_or_default();
    let limits = if what == "PersistentVolumeClaim" { requests.clone() } else { used("limits").unwrap_or_default() };
    for (name, bound) in item.map_at(&["min"]).into_iter().flatten() {
        let Some(min) = quantity(Some(bound)) else { continue };
        match quantity(requests.get(name)) {
            None => errors.push(format!("minimum {name} usage per {what} is {min}.  No request is specified")),
            Some(r) if r < min => errors.push(format!("minimum {name} usage per {what} is {min}, but request is {r}")),
            Some(_) => {
                if let Some(l) = quantity(limits.get(name)).filter(|l| *l < min && what != "PersistentVolumeClaim") {
                    errors.push(format!("minimum {name} usage per {what} is {min}, but limit is {l}"));
                }
            }
        }
    }
    for (name, bound) in item.map_at(&["max"]).into_iter().flatten() {
        let Some(max) = quantity(Some(bound)) else { continue };
        if what == "PersistentVolumeClaim" {
            if let Some(r) = quantity(requests.get(name)).filter(|r| *r > max) {
                errors.push(format!("maximum {name} usage per {what} is {max}, but request is {r}"));
            }
            continue;
        }
        match quantity(limits.get(name)) {
            None => errors.push(format!("maximum {name} usage per {what} is {max}.  No limit is specified")),
            Some(l) if l > max => errors.push(format!("maximum {name} usage per {what} is {max}, but limit is {l}")),
            Some(_) => {
                if let Some(r) = quantity(requests.get(name)).filter(|r| *r > max) {
                    errors.push(format!("maximum {name} usage per {what} is {max}, but request is {r}"));
                }
            }
        }
    }
    for (name, bound) in item.map_at(&["maxLimitRequestRatio"]).into_iter().flatten() {
        let (Some(ratio), Some(r), Some(l)) = (quantity(Some(bound)), quantity(requests.get(name)), quantity(limits.get(name)))
        else {
            continue;
        };
        let (r_milli, l_milli) = (r.milli_value().max(1), l.milli_value());
        if l_milli > r_milli * ratio.value() {
            let shown = l_milli as f64 / r_milli as f64;
            errors.push(format!("{name} max limit to request ratio per {what} is {ratio}, but provided ratio is {shown:.6}"));
        }
    }
}
