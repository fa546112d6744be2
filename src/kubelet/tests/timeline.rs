//! What a kubelet writes into a pod's status, as lines of a timeline.

use std::collections::BTreeMap;

use apimachinery::{Object, Value};

use super::world::World;

impl World {
    /// What a status update changed; times, and what says the same in other words, left out.
    pub(super) fn note_status(&mut self, old: &Object, new: &Object) {
        const BORING: [&str; 19] = [
            "Time",
            ".type",
            "observedGen",
            "hostIP",
            "podIP",
            "startedAt",
            "finishedAt",
            "ID",
            ".user.",
            ".resources",
            "qosClass",
            ".name",
            ".image",
            ".volumeMounts",
            ".started",
            "[ContainersReady]",
            "[PodScheduled]",
            ".running",
            "resources",
        ];
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        flatten("", old.get("status").unwrap_or(&Value::Null), &mut before);
        flatten("", new.get("status").unwrap_or(&Value::Null), &mut after);
        let interesting = |path: &String| !BORING.iter().any(|b| path.contains(b));
        let changed = after.iter().filter(|(path, v)| before.get(*path) != Some(v) && interesting(path));
        let mut changes: Vec<String> = changed.map(|(path, v)| format!("{path}={v}")).collect();
        let gone = before.keys().filter(|p| !after.contains_key(*p) && p.ends_with("reason") && interesting(p));
        changes.extend(gone.map(|p| format!("{p} removed")));
        self.note("status".into());
        self.lines.extend(changes.into_iter().map(|c| format!("            {c}")));
    }
}

fn flatten(path: &str, v: &Value, out: &mut BTreeMap<String, String>) {
    match v {
        Value::Map(m) => m.iter().for_each(|(k, v)| flatten(&format!("{path}.{k}"), v, out)),
        Value::List(l) => l.iter().enumerate().for_each(|(i, v)| {
            let name = v.str_at(&["type"]).or_else(|| v.str_at(&["name"])).map_or(i.to_string(), str::to_string);
            let path = path.replace(".conditions", "").replace("ontainerStatuses", "ontainer");
            flatten(&format!("{path}[{name}]"), v, out);
        }),
        v => {
            out.insert(path.trim_start_matches('.').to_string(), format!("{v:?}"));
        }
    }
}
