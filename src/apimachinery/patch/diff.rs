//! Making strategic merge patches: two-way (`kubectl edit`, `set`, `label`) and three-way (`kubectl apply`). Models
//! `strategicpatch.CreateTwoWayMergePatch` and `CreateThreeWayMergePatch`. Left out: the conflict check of `--overwrite=false`.

use super::strategic::{DELETE_PRIMITIVES, DIRECTIVE, Error, Member, Mode, RETAIN_KEYS, SET_ORDER, Schema, merge_map, same};
use crate::schema::StructType;
use crate::value::{Fields, Value, key};

/// The patch that makes `modified` of `original`; an empty map if they are equal.
pub fn two_way_strategic(original: &Value, modified: &Value, ty: &StructType) -> Result<Value, String> {
    let options = Options { set_order: true, ..Options::default() };
    Ok(diff_maps(&fields(original), &fields(modified), Schema::Struct(Some(ty)), options).into())
}

/// The patch of `kubectl apply`: what `modified` changes in `current`, without deletions, and the deletions of what `original`
/// (the last applied) had and `modified` has not. An empty map if there is nothing to do.
pub fn three_way_strategic(original: &Value, modified: &Value, current: &Value, ty: &StructType) -> Result<Value, String> {
    let schema = Schema::Struct(Some(ty));
    let changes = Options { set_order: true, ignore_deletions: true, ..Options::default() };
    let changes = diff_maps(&fields(current), &fields(modified), schema, changes);
    let deletions = Options { set_order: true, ignore_changes: true, ..Options::default() };
    let deletions = diff_maps(&fields(original), &fields(modified), schema, deletions);
    match merge_map(&deletions, &changes, schema, Mode::Join) {
        Ok(patch) => Ok(patch.into()),
        Err(Error::Format(text) | Error::Other(text)) => Err(text),
    }
}

/// The members; none if this is no map.
fn fields(value: &Value) -> Fields {
    value.as_map().cloned().unwrap_or_default()
}

#[derive(Clone, Copy, Default)]
struct Options {
    ignore_changes: bool,
    ignore_deletions: bool,
    set_order: bool,
    /// Write `$retainKeys` into this map.
    retain_keys: bool,
}

fn diff_maps(original: &Fields, modified: &Fields, schema: Schema, options: Options) -> Fields {
    let mut patch = Fields::new();
    for (name, new) in modified {
        match original.get(name) {
            None if options.ignore_changes => {}
            None => {
                patch.insert(name.clone(), new.clone());
            }
            Some(old) if old == new => {}
            Some(old) => diff_member(&mut patch, name, old, new, schema, options),
        }
    }
    if !options.ignore_deletions {
        for name in original.keys().filter(|k| !modified.contains_key(k)) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    let extra = original.keys().any(|k| !modified.contains_key(k));
    if options.retain_keys && (!patch.is_empty() || extra) {
        // Fields are sorted, and so is the list.
        let names: Vec<Value> = modified.iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| Value::Str(k.clone())).collect();
        if !names.is_empty() {
            patch.insert(key(RETAIN_KEYS), names);
        }
    }
    patch
}

fn diff_member(patch: &mut Fields, name: &str, old: &Value, new: &Value, schema: Schema, options: Options) {
    let member = schema.member(name);
    let options = Options { retain_keys: member.retain_keys, ..options };
    match (old, new) {
        (Value::Map(old), Value::Map(new)) => {
            let inner = diff_maps(old, new, member.schema, options);
            if !inner.is_empty() {
                patch.insert(name.into(), inner);
            }
        }
        (Value::List(old), Value::List(new)) if member.merge => {
            let lists = diff_lists(old, new, &member, options);
            for (prefix, list) in [("", lists.changes), (DELETE_PRIMITIVES, lists.deletions), (SET_ORDER, lists.order)] {
                if !list.is_empty() {
                    let name = if prefix.is_empty() { name.into() } else { format!("{prefix}/{name}") };
                    patch.insert(name.as_str().into(), list);
                }
            }
        }
        _ if options.ignore_changes => {}
        _ => {
            patch.insert(name.into(), new.clone());
        }
    }
}

#[derive(Default)]
struct Lists {
    changes: Vec<Value>,
    /// Of scalars only; elements with a merge key are deleted by a directive among the changes.
    deletions: Vec<Value>,
    order: Vec<Value>,
}

fn diff_lists(old: &[Value], new: &[Value], member: &Member, options: Options) -> Lists {
    if old.is_empty() {
        let changes = if options.ignore_changes { Vec::new() } else { new.to_vec() };
        return Lists { changes, ..Lists::default() };
    }
    match &member.key {
        Some(merge_key) => diff_lists_of_maps(old, new, merge_key, member, options),
        None => {
            let missing = |from: &[Value], list: &[Value]| from.iter().filter(|v| !list.contains(v)).cloned().collect::<Vec<_>>();
            let changes = if options.ignore_changes { Vec::new() } else { missing(new, old) };
            let deletions = if options.ignore_deletions { Vec::new() } else { missing(old, new) };
            let order = if options.set_order && old != new { new.to_vec() } else { Vec::new() };
            Lists { changes, deletions, order }
        }
    }
}

fn diff_lists_of_maps(old: &[Value], new: &[Value], merge_key: &str, member: &Member, options: Options) -> Lists {
    let mut changes = Vec::new();
    let find = |list: &[Value], item: &Value| list.iter().position(|x| same(x, item, Some(merge_key)));
    for item in new {
        match find(old, item).map(|i| &old[i]) {
            None if options.ignore_changes => {}
            None => changes.push(item.clone()),
            Some(before) if before == item => {}
            Some(before) => {
                let mut inner = diff_maps(&fields(before), &fields(item), member.schema, options);
                if !inner.is_empty() {
                    inner.insert(key(merge_key), item.get(merge_key).cloned().unwrap_or_default());
                    changes.push(inner.into());
                }
            }
        }
    }
    if !options.ignore_deletions {
        for item in old.iter().filter(|o| find(new, o).is_none()) {
            let entries =
                vec![(key(DIRECTIVE), Value::sym("delete")), (key(merge_key), item.get(merge_key).cloned().unwrap_or_default())];
            changes.push(Fields::from_entries(entries).into());
        }
    }
    let positions: Vec<usize> = new.iter().filter_map(|item| find(old, item)).collect();
    let reordered = !positions.is_sorted() && !options.ignore_changes;
    let order = match options.set_order && (!changes.is_empty() || reordered) {
        true => new
            .iter()
            .filter_map(|v| Some(Fields::from_entries(vec![(key(merge_key), v.get(merge_key)?.clone())]).into()))
            .collect(),
        false => Vec::new(),
    };
    Lists { changes, deletions: Vec::new(), order }
}

#[cfg(test)]
mod tests {
    use super::super::{create_merge_patch, json_patch, merge_patch, strategic_merge, three_way_merge_patch};
    use super::*;
    use crate::gvr::Gvk;
    use crate::schema::of;
    use crate::yaml::parse;

    fn v(yaml: &str) -> Value {
        parse(yaml).unwrap().value
    }

    #[test]
    fn strategic_patches_apply() {
        let pod = of(Gvk::new("", "v1", "Pod")).unwrap();
        let old = v(
            "spec: {containers: [{name: a, image: x, args: ['1']}, {name: b, image: y}], nodeSelector: {k: v}}\nmetadata: {finalizers: [f, g]}",
        );
        for (patch, result) in [
            (
                "spec: {containers: [{name: b, image: z}]}",
                "spec: {containers: [{name: a, image: x, args: ['1']}, {name: b, image: z}], nodeSelector: {k: v}}\nmetadata: {finalizers: [f, g]}",
            ),
            (
                "spec: {containers: [{name: a, $patch: delete}], nodeSelector: null}",
                "spec: {containers: [{name: b, image: y}]}\nmetadata: {finalizers: [f, g]}",
            ),
            (
                "spec: {containers: [{name: c}, {$patch: replace}]}",
                "spec: {containers: [{name: c}], nodeSelector: {k: v}}\nmetadata: {finalizers: [f, g]}",
            ),
            (
                "spec: {$setElementOrder/containers: [{name: b}, {name: a}], containers: [{name: a, args: null}]}",
                "spec: {containers: [{name: b, image: y}, {name: a, image: x}], nodeSelector: {k: v}}\nmetadata: {finalizers: [f, g]}",
            ),
            (
                "metadata: {$deleteFromPrimitiveList/finalizers: [f], finalizers: [h]}",
                "spec: {containers: [{name: a, image: x, args: ['1']}, {name: b, image: y}], nodeSelector: {k: v}}\nmetadata: {finalizers: [h, g]}",
            ),
            (
                "spec: {nodeSelector: {$patch: replace, n: m}}",
                "spec: {containers: [{name: a, image: x, args: ['1']}, {name: b, image: y}], nodeSelector: {n: m}}\nmetadata: {finalizers: [f, g]}",
            ),
        ] {
            assert_eq!(strategic_merge(&old, &v(patch), Some(&pod)).unwrap(), v(result), "{patch}");
        }
        for (patch, code, message) in [
            ("spec: {containers: [{image: z}]}", 500, "map: map[image:z] does not contain declared merge key: name"),
            ("spec: {$patch: bogus}", 500, "unknown patch type: bogus in map: map[$patch:bogus]"),
            ("spec: {$retainKeys: [x], nodeName: y}", 400, "invalid patch format of retainKeys"),
            ("metadata: {finalizers: [{x: 1}]}", 500, "list element types are not identical: [[f g] [map[x:1]]]"),
            (
                "spec: {$setElementOrder/containers: [{name: a}], containers: [{name: b}]}",
                500,
                "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
            ),
        ] {
            let status = strategic_merge(&old, &v(patch), Some(&pod)).unwrap_err();
            assert_eq!((status.code, status.message.as_str()), (code, message));
        }
    }

    #[test]
    fn two_way_patches_restore_the_modified() {
        let deployment = of(Gvk::new("apps", "v1", "Deployment")).unwrap();
        let old = v(
            "spec: {replicas: 1, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}, template: {spec: {containers: [{name: a, image: x}, {name: b}]}}}",
        );
        let new = v(
            "spec: {replicas: 2, strategy: {type: Recreate}, template: {spec: {containers: [{name: b}, {name: a, image: z}, {name: c}]}}}",
        );
        let patch = two_way_strategic(&old, &new, &deployment).unwrap();
        assert_eq!(
            format!("{patch:?}"),
            r#"{"spec":{"replicas":2,"strategy":{"$retainKeys":["type"],"rollingUpdate":null,"type":"Recreate"},"template":{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"},{"name":"c"}],"containers":[{"image":"z","name":"a"},{"name":"c"}]}}}}"#
        );
        assert_eq!(strategic_merge(&old, &patch, Some(&deployment)).unwrap(), new);
        assert_eq!(format!("{:?}", two_way_strategic(&new, &new, &deployment).unwrap()), "{}");
        let merge = create_merge_patch(&old, &new);
        assert_eq!(merge_patch(&old, &merge), new);
    }

    #[test]
    fn three_way_patches_keep_what_others_set() {
        let deployment = of(Gvk::new("apps", "v1", "Deployment")).unwrap();
        let last = v(
            "metadata: {labels: {a: '1', b: '2'}}\nspec: {replicas: 1, template: {spec: {containers: [{name: a, image: x, env: [{name: E, value: '1'}]}, {name: gone}]}}}",
        );
        let current = v(
            "metadata: {labels: {a: '1', b: '2', other: o}}\nspec: {replicas: 5, template: {spec: {containers: [{name: a, image: x, env: [{name: E, value: '1'}], imagePullPolicy: Always}, {name: gone}, {name: injected}]}}}",
        );
        let modified = v("metadata: {labels: {a: '1'}}\nspec: {template: {spec: {containers: [{name: a, image: y}]}}}");
        let patch = three_way_strategic(&last, &modified, &current, &deployment).unwrap();
        let result = strategic_merge(&current, &patch, Some(&deployment)).unwrap();
        assert_eq!(
            result,
            v(
                "metadata: {labels: {a: '1', other: o}}\nspec: {template: {spec: {containers: [{name: a, image: y, imagePullPolicy: Always}, {name: injected}]}}}"
            ),
            "{patch:?}"
        );
        let merge = three_way_merge_patch(&v("{a: 1, b: 2, l: [1]}"), &v("{a: 1, l: [2]}"), &v("{a: 3, b: 2, c: 4, l: [1]}"));
        assert_eq!(format!("{merge:?}"), r#"{"a":1,"b":null,"l":[2]}"#);
    }

    #[test]
    fn json_patches() {
        let old = v("{a: {b: [1, 2]}, 'x/y': 1}");
        let patch = |p: &str| json_patch(&old, &v(p));
        assert_eq!(
            patch("[{op: add, path: /a/b/-, value: 3}, {op: remove, path: /a/b/0}, {op: move, from: /x~1y, path: /z}]").unwrap(),
            v("{a: {b: [2, 3]}, z: 1}")
        );
        assert_eq!(
            patch("[{op: test, path: /a/b/1, value: 2}, {op: copy, from: /a/b, path: /c}]").unwrap(),
            v("{a: {b: [1, 2]}, c: [1, 2], 'x/y': 1}")
        );
        for bad in [
            "{op: test, path: /a, value: 1}",
            "{op: remove, path: /n}",
            "{op: add, path: /n/m, value: 1}",
            "{op: jump, path: /a}",
            "{path: /a}",
            "{op: add, value: 1}",
            "{op: replace, path: /a/b/7, value: 1}",
        ] {
            assert!(patch(&format!("[{bad}]")).is_err(), "{bad}");
        }
    }
}
