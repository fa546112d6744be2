//! The namespace controller: empties a namespace that is being deleted, kind by kind, and lets it go when nothing is left.
//!
//! Models `pkg/controller/namespace/deletion`. The kinds are those of the table of informers, events, and what discovery has besides.

use std::rc::Rc;

use apimachinery::{Gvr, List, Object, ObjectKey, Request, Verb};
use base::{Duration, Map};
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure, finish};
use crate::refs;
use crate::resources::{NAMESPACES, PODS, Res, TABLE, gvr};

/// The content may still be on its way to other servers' caches when the deletion begins.
const GRACE: Duration = Duration::from_secs(5);
/// How long content with finalizers is given.
const FINALIZER_ESTIMATE: i64 = 15;

#[derive(Clone, Default)]
pub struct NamespaceController {}

#[derive(Clone)]
pub enum Stage {
    /// Namespace and discovery.
    Looked,
    /// Pods go first.
    Pods(Object, Rc<Vec<Gvr>>),
    /// All other kinds: a deletion and a list each.
    Content(Object, Rc<Vec<Gvr>>, Vec<Object>),
    Status(bool, i64),
    Finalize,
}

/// Every namespaced kind that can be listed and deleted as a collection. `found`: discovery's answers.
fn kinds(found: &[Outcome]) -> Vec<Gvr> {
    let custom = crate::custom::found(found).into_iter().filter(|k| k.namespaced).map(|k| k.gvr);
    let tabled = (0..TABLE.len()).filter(|res| TABLE[*res].namespaced && *res != PODS).map(gvr);
    tabled.chain([apimachinery::resources::events(), apimachinery::resources::events_v1()]).chain(custom).collect()
}

fn delete_collection(resource: Gvr, namespace: &str) -> Request {
    Request { verb: Verb::DeleteCollection, ..Request::list(resource, namespace) }
}

/// What is left, as the conditions tell it.
#[derive(Default)]
struct Remaining {
    /// Resource and how many.
    content: Map<String, usize>,
    finalizers: Map<String, usize>,
    estimate: i64,
}

impl Remaining {
    fn add(&mut self, resource: Gvr, items: &[Object]) {
        if items.is_empty() {
            return;
        }
        self.content.insert(resource.group_resource(), items.len());
        for item in items {
            for finalizer in item.finalizers() {
                *self.finalizers.entry(finalizer.as_str().unwrap_or("").to_string()).or_default() += 1;
            }
            self.estimate = self.estimate.max(match resource == gvr(PODS) {
                true => item.int_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(30),
                false => FINALIZER_ESTIMATE,
            });
        }
    }
}

fn items(list: &Outcome) -> &[Object] {
    list.as_list().map_or(&[][..], |list: &Rc<List>| &list.items)
}

/// The namespace with the five conditions of deletion.
fn with_conditions(namespace: &Object, remaining: &Remaining, now: base::Time) -> Object {
    let mut status = refs::status_of(namespace);
    let mut set = |kind: &str, bad: Option<(&str, String)>, good: (&str, &str)| {
        let (state, reason, message) = match &bad {
            Some((reason, message)) => ("True", *reason, &**message),
            None => ("False", good.0, good.1),
        };
        let new = refs::condition(kind, state, reason, message, now);
        let list = status.entry(&["conditions"]).list_mut();
        match list.iter_mut().find(|c| c.str_at(&["type"]) == Some(kind)) {
            Some(old) if old.get("status") == new.get("status") && old.get("message") == new.get("message") => {}
            Some(old) => *old = new,
            None => list.push(new),
        }
    };
    set("NamespaceDeletionDiscoveryFailure", None, ("ResourcesDiscovered", "All resources successfully discovered"));
    set(
        "NamespaceDeletionGroupVersionParsingFailure",
        None,
        ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    );
    set(
        "NamespaceDeletionContentFailure",
        None,
        ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    );
    let content = remaining.content.iter().map(|(kind, n)| format!("{kind}. has {n} resource instances"));
    let content = content.collect::<Vec<_>>().join(", ");
    let some = (!content.is_empty()).then(|| ("SomeResourcesRemain", format!("Some resources are remaining: {content}")));
    set("NamespaceContentRemaining", some, ("ContentRemoved", "All content successfully removed"));
    let finalizers = remaining.finalizers.iter().map(|(name, n)| format!("{name} in {n} resource instances"));
    let finalizers = finalizers.collect::<Vec<_>>().join(", ");
    let some = (!finalizers.is_empty())
        .then(|| ("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {finalizers}")));
    set("NamespaceFinalizersRemaining", some, ("ContentHasNoFinalizers", "All content-preserving finalizers finished"));
    let mut namespace = namespace.clone();
    namespace.set_at(&["status"], status);
    namespace
}

impl NamespaceController {
    fn content(&self, namespace: Object, kinds: Rc<Vec<Gvr>>, pods_left: Vec<Object>) -> Plan<Stage> {
        let name = namespace.name().to_string();
        let calls = kinds.iter().flat_map(|kind| [delete_collection(*kind, &name), Request::list(*kind, &name)]).collect();
        Plan::calls(format!("{name} is emptied"), calls, Stage::Content(namespace, kinds, pods_left))
    }

    fn write_status(&self, namespace: Object, remaining: Remaining, ctx: &Ctx) -> Plan<Stage> {
        let empty = remaining.content.is_empty();
        let updated = with_conditions(&namespace, &remaining, ctx.now);
        if updated == namespace {
            return self.finalize(namespace, empty, remaining.estimate);
        }
        let why = if empty { "nothing is left".to_string() } else { format!("{} kinds are left", remaining.content.len()) };
        let call = Request::update_status(gvr(NAMESPACES), updated);
        Plan::call(format!("{}: {why}", namespace.name()), call, Stage::Status(empty, remaining.estimate))
    }

    fn finalize(&self, mut namespace: Object, empty: bool, estimate: i64) -> Plan<Stage> {
        if !empty {
            return Plan::After(Duration::from_secs(estimate / 2 + 1));
        }
        let left = namespace.list_at(&["spec", "finalizers"]).iter().filter(|f| f.as_str() != Some("kubernetes"));
        let left: Vec<_> = left.cloned().collect();
        if left.len() == namespace.list_at(&["spec", "finalizers"]).len() {
            return Plan::Done;
        }
        namespace.set_at(&["spec", "finalizers"], left);
        let why = format!("{} may go", namespace.name());
        let call = Request::update(gvr(NAMESPACES), namespace).with_subresource("finalize");
        Plan::call(why, call, Stage::Finalize)
    }
}

impl Controller for NamespaceController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        Info { name: "namespace-controller", account: "namespace-controller", source: "namespace-controller", workers: 10 }
    }
    fn watches(&self) -> &'static [Res] {
        &[NAMESPACES]
    }
    fn on_event(&mut self, _: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if let Some(namespace) = delta.new.as_ref().filter(|ns| ns.is_being_deleted()) {
            queue.add_after(namespace.key(), GRACE);
        }
    }
    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        if !ctx.caches.get(NAMESPACES, key).is_some_and(Object::is_being_deleted) {
            return Plan::Done;
        }
        let mut calls = vec![Request::get(gvr(NAMESPACES), key)];
        calls.extend(crate::framework::discovery());
        Plan::sequence(format!("{key} is being deleted: what can be in it?"), calls, Stage::Looked)
    }
    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        match stage {
            Stage::Looked => {
                if outcomes[0].is_not_found() {
                    return Plan::Done;
                }
                let Some(namespace) = outcomes[0].ok().cloned() else { return finish(outcomes) };
                if namespace.list_at(&["spec", "finalizers"]).is_empty() {
                    return Plan::Done;
                }
                let pods = gvr(PODS);
                let calls =
                    vec![Request::list(pods, &key.name), delete_collection(pods, &key.name), Request::list(pods, &key.name)];
                Plan::sequence(format!("{key}: pods go first"), calls, Stage::Pods(namespace, Rc::new(kinds(&outcomes[1..]))))
            }
            Stage::Pods(namespace, kinds) => match failure(outcomes) {
                Some(error) => Plan::Retry(error),
                None => {
                    let left = items(&outcomes[2]).to_vec();
                    self.content(namespace, kinds, left)
                }
            },
            Stage::Content(namespace, kinds, pods_left) => {
                let mut remaining = Remaining::default();
                remaining.add(gvr(PODS), &pods_left);
                for (kind, pair) in kinds.iter().zip(outcomes.chunks(2)) {
                    remaining.add(*kind, items(&pair[1]));
                }
                self.write_status(namespace, remaining, ctx)
            }
            Stage::Status(empty, estimate) => match outcomes[0].ok() {
                Some(namespace) => self.finalize(namespace.clone(), empty, estimate),
                None => finish(outcomes),
            },
            Stage::Finalize => match outcomes[0].is_not_found() {
                true => Plan::Done,
                false => finish(outcomes),
            },
        }
    }
}
