//! ControllerRevisions: the history that DaemonSets and StatefulSets keep. Models `pkg/controller/history`.

use base::Sort as _;
use std::rc::Rc;

use apimachinery::{Fields, Object, Value, json, key, value};

/// The label that carries the hash of a revision (and its pods', for DaemonSets as for StatefulSets).
pub const REVISION_HASH_LABEL: &str = "controller-revision-hash";

/// The data of a revision: the patch that restores `spec.template`. Models `getPatch`.
pub fn template_patch(owner: &Object) -> Value {
    let mut template = owner.at(&["spec", "template"]).cloned().unwrap_or_else(Value::map);
    template.map_mut().insert(key("$patch"), "replace");
    value!({"spec": {"template": template}})
}

/// FNV-1a of 32 bits, written as digits of the safe alphabet. Models `HashControllerRevision`: the raw data, then the collision count.
pub fn hash_revision(data: &Value, collision_count: Option<i64>) -> String {
    let mut text = json::to_string(data);
    if let Some(n) = collision_count {
        text.push_str(&n.to_string());
    }
    safe_encode(&fnv32(text.as_bytes()).to_string())
}

/// Go's `hash/fnv.New32`.
pub fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ *byte as u32)
}

/// Replaces every byte by one of the safe alphabet. Models `rand.SafeEncodeString`.
pub fn safe_encode(text: &str) -> String {
    text.bytes().map(|b| base::SAFE_ALPHANUMS[b as usize % base::SAFE_ALPHANUMS.len()] as char).collect()
}

/// A new revision of `owner`. `labels` are the template's; the name is the owner's and the hash.
pub fn new_revision(owner: &Object, data: Value, revision: i64, collision_count: Option<i64>) -> Object {
    let hash = hash_revision(&data, collision_count);
    let mut labels = owner.map_at(&["spec", "template", "metadata", "labels"]).cloned().unwrap_or_default();
    labels.set(REVISION_HASH_LABEL, hash.as_str());
    let mut metadata = Fields::new();
    metadata.set("name", revision_name(owner.name(), &hash));
    metadata.set("namespace", owner.namespace());
    metadata.set("labels", labels);
    if let Some(annotations) = owner.annotations() {
        metadata.set("annotations", annotations.clone());
    }
    metadata.set("ownerReferences", vec![owner.new_controller_ref()]);
    let v = value!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": (Value::from(metadata)),
        "data": data, "revision": revision
    });
    Object::from_value(v).expect("a map was built")
}

/// `<owner, cut to 223>-<hash>`.
pub fn revision_name(owner: &str, hash: &str) -> String {
    format!("{}-{hash}", &owner[..owner.len().min(223)])
}

/// The number of a revision.
pub fn number(revision: &Object) -> i64 {
    revision.int_at(&["revision"]).unwrap_or(0)
}

/// Whether two revisions hold the same data.
pub fn equal(a: &Object, b: &Object) -> bool {
    a.get("data") == b.get("data")
}

/// Oldest first: by number, then age, then name.
pub fn sort(revisions: &mut [Object]) {
    revisions.order_by(|a, b| {
        number(a)
            .cmp(&number(b))
            .then_with(|| a.creation_timestamp().cmp(&b.creation_timestamp()))
            .then_with(|| a.name().cmp(b.name()))
    });
}

/// The hash of a revision as its label has it.
pub fn hash_label(revision: &Object) -> Rc<str> {
    revision.label(REVISION_HASH_LABEL).unwrap_or("").into()
}
