//! `podFailurePolicy`: what a failed pod means. Models `pod_failure_policy.go`.

use apimachinery::{Object, Value};

/// What a rule says about a failed pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Counts towards the backoff limit.
    Count,
    /// Doesn't count.
    Ignore,
    /// Counts, and its index is given up.
    FailIndex,
    /// The job fails, with this message.
    FailJob(String),
}

/// The verdict of the first rule that matches.
pub fn judge(policy: &Value, pod: &Object) -> Verdict {
    for (i, rule) in policy.list_at(&["rules"]).iter().enumerate() {
        let Some(why) = matching(rule, pod, i) else { continue };
        return match rule.str_at(&["action"]) {
            Some("Ignore") => Verdict::Ignore,
            Some("FailJob") => Verdict::FailJob(why),
            Some("FailIndex") => Verdict::FailIndex,
            _ => Verdict::Count,
        };
    }
    Verdict::Count
}

fn matching(rule: &Value, pod: &Object, number: usize) -> Option<String> {
    let place = format!("{}/{}", pod.namespace(), pod.name());
    if let Some(codes) = rule.get("onExitCodes") {
        let only = codes.str_at(&["containerName"]);
        let values: Vec<i64> = codes.list_at(&["values"]).iter().filter_map(Value::as_i64).collect();
        let lists = ["initContainerStatuses", "containerStatuses"];
        for status in lists.iter().flat_map(|list| pod.list_at(&["status", list])) {
            let name = status.str_at(&["name"]).unwrap_or("");
            let Some(code) = status.int_at(&["state", "terminated", "exitCode"]).filter(|code| *code != 0) else { continue };
            let hit = values.contains(&code) == (codes.str_at(&["operator"]) == Some("In"));
            if hit && only.is_none_or(|only| only == name) {
                return Some(format!(
                    "Container {name} for pod {place} failed with exit code {code} matching FailJob rule at index {number}"
                ));
            }
        }
        return None;
    }
    rule.list_at(&["onPodConditions"]).iter().find_map(|pattern| {
        let kind = pattern.str_at(&["type"]).unwrap_or("");
        let status = pattern.str_at(&["status"]).unwrap_or("True");
        let has = pod.condition(kind).and_then(|c| c.str_at(&["status"])) == Some(status);
        has.then(|| format!("Pod {place} has condition {kind} matching FailJob rule at index {number}"))
    })
}
