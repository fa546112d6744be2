//! PodSecurity: a namespace's labels say which pods it takes. Models `k8s.io/pod-security-admission/admission`.
//!
//! Pods are refused, templates of workloads are warned about, and whoever makes a namespace stricter is told which of its pods
//! would be refused now. What a level forbids is in `checks.rs`. Left out: audit annotations, exemptions, and the checks of older
//! versions (a pinned version is judged as the latest).

mod checks;

use std::borrow::Cow;

use apimachinery::field::{ErrorList, Path};
use apimachinery::status::Status;
use apimachinery::{Fields, Gvr, Object, Value, Verb, resources};

use self::checks::{Level, Violation, violations};
use super::{Attributes, Extra, Plugin};
use crate::server::ApiServer;

pub struct PodSecurity;

const PREFIX: &str = "pod-security.kubernetes.io/";
const MODES: [&str; 3] = ["enforce", "audit", "warn"];

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }
    fn admit(&self, server: &ApiServer, a: &mut Attributes) -> Result<(), Status> {
        if a.gvr == resources::namespaces() {
            warn_of_pods(server, a);
            return Ok(());
        }
        let Some((namespace, spec)) = judged(server, a) else { return Ok(()) };
        let (warn, shown) = policy(namespace, "warn");
        let bad = violations(spec, warn);
        let is_pod = a.gvr == resources::pods();
        let refused = is_pod && !violations(spec, policy(namespace, "enforce").0).is_empty();
        if !bad.is_empty() && !refused {
            a.warnings.push(format!("would violate PodSecurity \"{shown}\": {}", details(&bad)));
        }
        Ok(())
    }
    fn validate(&self, server: &ApiServer, a: &Attributes, _extra: &mut Extra) -> Result<(), Status> {
        if a.gvr == resources::namespaces() {
            return check_labels(a);
        }
        if a.gvr != resources::pods() {
            return Ok(());
        }
        let Some((namespace, spec)) = judged(server, a) else { return Ok(()) };
        let (enforce, shown) = policy(namespace, "enforce");
        let bad = violations(spec, enforce);
        if bad.is_empty() { Ok(()) } else { Err(a.forbidden(format!("violates PodSecurity \"{shown}\": {}", details(&bad)))) }
    }
}

/// The level that a namespace asks for in a mode, and how it is printed.
fn policy(namespace: &Object, mode: &str) -> (Level, Cow<'static, str>) {
    let asked = |labels: &Fields| labels.keys().any(|label| label.starts_with(PREFIX));
    if !namespace.labels().is_some_and(asked) {
        return (Level::Privileged, Cow::Borrowed("privileged:latest"));
    }
    let text = namespace.label(&format!("{PREFIX}{mode}")).unwrap_or("privileged");
    let version = namespace.label(&format!("{PREFIX}{mode}-version")).unwrap_or("latest");
    (Level::parse(text).unwrap_or(Level::Privileged), format!("{text}:{version}").into())
}

fn details(bad: &[Violation]) -> String {
    bad.iter().map(Violation::to_string).collect::<Vec<_>>().join(", ")
}

/// The namespace and the pod's spec, if the request is one to be judged.
fn judged<'a>(server: &'a ApiServer, a: &'a Attributes) -> Option<(&'a Object, &'a Value)> {
    let is_pod = a.gvr == resources::pods();
    let subresource = &*a.subresource.text();
    if !matches!(a.verb, Verb::Create | Verb::Update)
        || !(subresource.is_empty() || is_pod && subresource == "ephemeralcontainers")
        || a.namespace.is_empty()
    {
        return None;
    }
    if is_pod && subresource.is_empty() && a.old.as_ref().is_some_and(|old| !is_significant(&a.object, old)) {
        return None;
    }
    Some((server.peek(resources::namespaces(), "", &a.namespace)?, pod_spec(a.gvr, &a.object)?))
}

/// The pod's spec in an object of a kind that makes pods.
fn pod_spec(gvr: Gvr, object: &Object) -> Option<&Value> {
    match &*gvr.resource.text() {
        "pods" => object.get("spec"),
        "deployments" | "replicasets" | "daemonsets" | "statefulsets" | "jobs" | "replicationcontrollers" => {
            object.at(&["spec", "template", "spec"])
        }
        "cronjobs" => object.at(&["spec", "jobTemplate", "spec", "template", "spec"]),
        "podtemplates" => object.at(&["template", "spec"]),
        _ => None,
    }
}

/// Of what may be changed in a pod, only images matter here. Models `isSignificantPodUpdate`.
fn is_significant(pod: &Object, old: &Object) -> bool {
    ["containers", "initContainers"].iter().any(|list| {
        let (now, before) = (pod.list_at(&["spec", list]), old.list_at(&["spec", list]));
        now.len() != before.len() || now.iter().zip(before).any(|(a, b)| a.get("image") != b.get("image"))
    })
}

/// A namespace's labels name levels and versions that exist. What was wrong already may stay.
fn check_labels(a: &Attributes) -> Result<(), Status> {
    if !matches!(a.verb, Verb::Create | Verb::Update) || !a.subresource.is_empty() {
        return Ok(());
    }
    let mut errors = ErrorList::new();
    for mode in MODES {
        for (name, is_valid, text) in [
            (format!("{PREFIX}{mode}"), is_level as fn(&str) -> bool, "must be one of privileged, baseline, restricted"),
            (format!("{PREFIX}{mode}-version"), is_version, "must be \"latest\" or \"v1.x\""),
        ] {
            let Some(value) = a.object.label(&name) else { continue };
            if !is_valid(value) && a.old.as_ref().and_then(|old| old.label(&name)) != Some(value) {
                errors.invalid(&Path::new("metadata").child("labels").key(&name), value, text);
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(a.kind, a.object.name(), &errors)) }
}

fn is_level(text: &str) -> bool {
    Level::parse(text).is_some()
}

fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.").filter(|m| *m == "0" || !m.starts_with('0'));
    text == "latest" || minor.is_some_and(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_digit()))
}

/// Which pods a stricter namespace would refuse now, by what is wrong with them. Models `EvaluatePodsInNamespace`.
fn warn_of_pods(server: &ApiServer, a: &mut Attributes) {
    let is_update = a.verb == Verb::Update && a.subresource.is_empty() && check_labels(a).is_ok();
    let Some(old) = a.old.as_ref().filter(|_| is_update) else { return };
    let ((before, shown_before), (level, shown)) = (policy(old, "enforce"), policy(&a.object, "enforce"));
    let same_version = shown_before.split_once(':').map(|(_, v)| v) == shown.split_once(':').map(|(_, v)| v);
    if level == Level::Privileged || level <= before && same_version {
        return;
    }
    let mut groups: Vec<(String, &str, usize)> = Vec::new();
    for pod in server.all(resources::pods(), a.object.name()) {
        let bad = pod.get("spec").map(|spec| violations(spec, level)).unwrap_or_default();
        let reasons = bad.iter().map(|v| &*v.reason).collect::<Vec<_>>().join(", ");
        match groups.iter_mut().find(|(r, ..)| *r == reasons) {
            _ if bad.is_empty() => {}
            Some((_, _, count)) => *count += 1,
            None => groups.push((reasons, pod.name(), 1)),
        }
    }
    if groups.is_empty() {
        return;
    }
    let name = a.object.name();
    let mut texts = vec![format!("existing pods in namespace \"{name}\" violate the new PodSecurity enforce level \"{shown}\"")];
    texts.extend(groups.into_iter().map(|(reasons, pod, count)| match count {
        1 => format!("{pod}: {reasons}"),
        2 => format!("{pod} (and 1 other pod): {reasons}"),
        n => format!("{pod} (and {} other pods): {reasons}", n - 1),
    }));
    a.warnings.extend(texts);
}
