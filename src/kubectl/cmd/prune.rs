//! `kubectl apply --prune`: by ApplySet, or by label and an allow list. Models `applyset.go` and `prune.go`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Fields, Gvk, Object, Request, Value, value};

use super::util::{LAST_APPLIED, delete_request};
use crate::base64;
use crate::builder::{Info, Select};
use crate::ctx::{Ctx, Next, Res, done, each, fail};
use crate::error::aggregate;
use crate::mapper::Mapping;
use crate::printers::DryRun;
use crate::sha;

const ID_LABEL: &str = "applyset.kubernetes.io/id";
const PART_OF: &str = "applyset.kubernetes.io/part-of";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";

/// How what is no longer there is found.
#[derive(Clone)]
pub(super) enum Prune {
    No,
    /// Types to look through: `group/version/Kind`.
    Allowed(Vec<String>),
    /// The parent's type and name, then (after `prepare`) its id and the members' types before.
    Set {
        parent: Rc<Mapping>,
        name: Rc<str>,
        namespace: Rc<str>,
        id: Rc<str>,
        before: Vec<String>,
    },
}

const DEFAULT_ALLOWED: &[&str] = &[
    "core/v1/ConfigMap",
    "core/v1/Endpoints",
    "core/v1/Namespace",
    "core/v1/PersistentVolumeClaim",
    "core/v1/PersistentVolume",
    "core/v1/Pod",
    "core/v1/ReplicationController",
    "core/v1/Secret",
    "core/v1/Service",
    "batch/v1/Job",
    "batch/v1/CronJob",
    "networking.k8s.io/v1/Ingress",
    "apps/v1/DaemonSet",
    "apps/v1/Deployment",
    "apps/v1/ReplicaSet",
    "apps/v1/StatefulSet",
];

pub(super) fn options(ctx: &mut Ctx) -> Res<Prune> {
    let flags = ctx.flags.clone();
    let set = flags.str("applyset");
    if !set.is_empty() && !flags.bool("prune") {
        return fail("--applyset requires --prune");
    }
    if !flags.bool("prune") {
        return Ok(Prune::No);
    }
    if !set.is_empty() {
        let (kind, name) = set.split_once('/').unwrap_or(("secrets", set));
        let parent = ctx.resource(kind)?;
        let namespace = if parent.namespaced { ctx.namespace()? } else { "".into() };
        let group = parent.gvr.group;
        let text = format!("{name}.{namespace}.{}.{group}", parent.kind);
        let encoded = base64::encode(&sha::sha256(text.as_bytes())).replace('+', "-").replace('/', "_");
        let id = format!("applyset-{}-v1", encoded.trim_end_matches('='));
        return Ok(Prune::Set { parent, name: name.into(), namespace, id: id.into(), before: Vec::new() });
    }
    if !flags.bool("all") && flags.str("selector").is_empty() {
        return fail(
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector",
        );
    }
    let allowed = flags.list("prune-allowlist");
    Ok(Prune::Allowed(if allowed.is_empty() { DEFAULT_ALLOWED.iter().map(|t| t.to_string()).collect() } else { allowed }))
}

/// `ConfigMap`, `Deployment.apps`
fn group_kind(mapping: &Mapping) -> String {
    if mapping.gvr.group.is_empty() { mapping.kind.to_string() } else { format!("{}.{}", mapping.kind, mapping.gvr.group) }
}

impl Prune {
    /// An ApplySet's parent learns the types that come, before anything is applied.
    pub fn prepare(&self, ctx: &mut Ctx, infos: &[Info]) -> Res<Prune> {
        let Prune::Set { parent, name, namespace, id, .. } = self else { return Ok(self.clone()) };
        let key = apimachinery::ObjectKey { namespace: namespace.clone(), name: name.clone() };
        let live = ctx.call_if_found(Request::get(parent.gvr, &key))?;
        let before: Vec<String> = live
            .as_ref()
            .and_then(|o| o.annotation(KINDS))
            .map(|t| t.split(',').filter(|t| !t.is_empty()).map(String::from).collect())
            .unwrap_or_default();
        let mut kinds = before.clone();
        kinds.extend(infos.iter().map(|i| group_kind(&i.mapping)));
        let prune =
            Prune::Set { parent: parent.clone(), name: name.clone(), namespace: namespace.clone(), id: id.clone(), before };
        prune.write_parent(ctx, kinds, infos)?;
        Ok(prune)
    }

    fn write_parent(&self, ctx: &mut Ctx, mut kinds: Vec<String>, infos: &[Info]) -> Res<()> {
        let Prune::Set { parent, name, namespace, id, .. } = self else { return Ok(()) };
        if ctx.dry_run()? == DryRun::Client {
            return Ok(());
        }
        kinds.order();
        kinds.dedup();
        let mut others: Vec<&str> = infos.iter().map(|i| &*i.namespace).filter(|n| !n.is_empty() && *n != &**namespace).collect();
        others.order();
        others.dedup();
        let text = |t: String| Value::Str(t.into());
        let annotations = Fields::from_entries(vec![
            (TOOLING.into(), text("kubectl/v1.37.2".into())),
            (KINDS.into(), text(kinds.join(","))),
            (NAMESPACES.into(), text(others.join(","))),
        ]);
        let labels = Fields::from_entries(vec![(ID_LABEL.into(), Value::Str(id.clone()))]);
        let mut body = value!({
            "apiVersion": (parent.gvr.api_version()), "kind": (&parent.kind),
            "metadata": {"name": name, "annotations": annotations, "labels": labels}
        });
        if parent.namespaced {
            body.set_at(&["metadata", "namespace"], namespace);
        }
        let object = Object::from_value(body).unwrap_or_default();
        let info = Info::from_object(parent.clone(), object.clone(), "");
        let key = info.key();
        let request = match ctx.call_if_found(Request::get(parent.gvr, &key))? {
            None => {
                let mut request = Request::create(parent.gvr, object);
                request.options.field_validation = Some("Strict".into());
                request
            }
            Some(_) => {
                let patch = value!({"metadata": {"annotations": (object.at(&["metadata", "annotations"]).cloned().unwrap_or_default()),
                    "labels": (object.at(&["metadata", "labels"]).cloned().unwrap_or_default())}});
                Request::patch(parent.gvr, &key, apimachinery::PatchType::Merge, patch)
            }
        };
        let mut request = ctx.writing(request)?;
        request.options.field_manager = Some("kubectl-applyset".into());
        ctx.call(request)?;
        Ok(())
    }

    /// Members carry the set's label.
    pub fn mark(&self, info: &Info) -> Info {
        let Prune::Set { id, .. } = self else { return info.clone() };
        let mut info = info.clone();
        let labels = info.object.value_mut().entry(&["metadata", "labels"]).map_mut();
        labels.insert(PART_OF.into(), Value::Str(id.clone()));
        info
    }

    /// Deletes what was applied earlier and not now.
    pub fn run(&self, infos: &Rc<[Info]>, uids: Rc<[Rc<str>]>) -> Res<Next> {
        if matches!(self, Prune::No) {
            return done();
        }
        let (prune, infos, uids) = (self.clone(), infos.clone(), uids);
        crate::ctx::then(move |ctx| {
            let candidates = prune.candidates(ctx, &infos, &uids)?;
            let (prune, infos) = (prune.clone(), infos.clone());
            each(
                Rc::from(candidates),
                (),
                |ctx, info: &Info, ()| {
                    let dry_run = ctx.dry_run()?;
                    if dry_run == DryRun::None {
                        ctx.send_ok(delete_request(info, value!({"propagationPolicy": "Background"})))?;
                    }
                    ctx.print_object(&info.object, "pruned")
                },
                move |ctx, (), errors| {
                    if let Some(error) = aggregate(errors) {
                        return Err(error.into());
                    }
                    let kinds = infos.iter().map(|i| group_kind(&i.mapping)).collect();
                    prune.write_parent(ctx, kinds, &infos)?;
                    done()
                },
            )
        })
    }

    fn candidates(&self, ctx: &mut Ctx, infos: &[Info], uids: &[Rc<str>]) -> Res<Vec<Info>> {
        let mut found = Vec::new();
        let mut namespaces: Vec<Rc<str>> = infos.iter().map(|i| i.namespace.clone()).filter(|n| !n.is_empty()).collect();
        namespaces.push(ctx.namespace()?);
        namespaces.order();
        namespaces.dedup();
        let (types, selector) = match self {
            Prune::Allowed(types) => (types.clone(), ctx.flags.str("selector").to_string()),
            Prune::Set { before, id, .. } => {
                let types = before.iter().map(|t| t.split_once('.').map_or(format!("core/v1/{t}"), |(k, g)| format!("{g}//{k}")));
                (types.collect(), format!("{PART_OF}={id}"))
            }
            Prune::No => return Ok(found),
        };
        for text in types {
            let Some(mapping) = self.mapping(ctx, &text)? else {
                return fail(format!("invalid GroupVersionKind format: {text}, please follow <group/version/kind>"));
            };
            let places = if mapping.namespaced { namespaces.clone() } else { vec!["".into()] };
            for namespace in places {
                let select = Select { selector: selector.clone(), ..Select::default() };
                let mut request = Request::list(mapping.gvr, &namespace);
                request.options.label_selector = (!selector.is_empty()).then(|| selector.as_str().into());
                for object in ctx.list_selected(&select, &mapping, request)?.items {
                    let applied = matches!(self, Prune::Set { .. }) || object.annotation(LAST_APPLIED).is_some();
                    let gone = !uids.iter().any(|uid| &**uid == object.uid()) && !object.is_being_deleted();
                    if applied && gone {
                        found.push(Info::from_object(mapping.clone(), object, ""));
                    }
                }
            }
        }
        Ok(found)
    }

    fn mapping(&self, ctx: &mut Ctx, text: &str) -> Res<Option<Rc<Mapping>>> {
        let parts: Vec<&str> = text.split('/').collect();
        let [group, version, kind] = parts.as_slice() else { return Ok(None) };
        let group = if *group == "core" { "" } else { group };
        if version.is_empty() {
            return ctx.resource_if_known(&format!("{}.{group}", kind.to_lowercase()));
        }
        ctx.kind(Gvk::new(group, version, kind))
    }
}
