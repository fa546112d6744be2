//! nodeSelector and node affinity. Models `plugins/nodeaffinity` and `component-helpers/scheduling/corev1/nodeaffinity`.

use apimachinery::Value;

use crate::framework::{ClusterEvent, Cx, CycleState, Plugin, Reject, default_normalize};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub struct NodeAffinity;

/// Whether a node has what the pod's nodeSelector and required node affinity ask for.
pub fn matches(pod: &PodInfo, node: &NodeInfo) -> bool {
    let selected = pod
        .node_selector
        .as_map()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| node.labels.get(key).is_some_and(|v| v == value)));
    selected
        && match pod.node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") {
            Some(required) => matches_terms(required.list_at(&["nodeSelectorTerms"]), node),
            None => true,
        }
}

/// Terms are alternatives; an empty one matches nothing.
pub fn matches_terms(terms: &[Value], node: &NodeInfo) -> bool {
    terms.iter().any(|term| matches_term(term, node))
}

fn matches_term(term: &Value, node: &NodeInfo) -> bool {
    let (expressions, fields) = (term.list_at(&["matchExpressions"]), term.list_at(&["matchFields"]));
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|e| {
        let actual = e.str_at(&["key"]).and_then(|key| node.labels.get(key)).and_then(Value::as_str);
        matches_requirement(e, actual)
    }) && fields.iter().all(|f| {
        let is_name = f.str_at(&["key"]) == Some("metadata.name");
        is_name && matches_requirement(f, Some(&node.name))
    })
}

fn matches_requirement(requirement: &Value, actual: Option<&str>) -> bool {
    let values = requirement.list_at(&["values"]);
    let among = |actual: &str| values.iter().any(|v| v.as_str() == Some(actual));
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
    let compare = |greater: bool| match (number(actual), number(values.first().and_then(Value::as_str))) {
        (Some(a), Some(b)) => {
            if greater {
                a > b
            } else {
                a < b
            }
        }
        _ => false,
    };
    match requirement.str_at(&["operator"]).unwrap_or("") {
        "In" => actual.is_some_and(among),
        "NotIn" => !actual.is_some_and(among),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compare(true),
        "Lt" => compare(false),
        _ => false,
    }
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }
    fn is_local(&self) -> bool {
        true
    }
    fn filter(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> Option<Reject> {
        (!matches(pod, node)).then(|| Reject::unresolvable(self.name(), "node(s) didn't match Pod's node affinity/selector"))
    }
    fn weight(&self) -> i64 {
        2
    }
    /// The sum of the weights of preferred terms that the node matches.
    fn score(&self, _: &Cx, pod: &PodInfo, _: &CycleState, node: &NodeInfo) -> i64 {
        let preferred = pod.node_affinity.list_at(&["preferredDuringSchedulingIgnoredDuringExecution"]);
        let matching = preferred.iter().filter(|p| p.get("preference").is_some_and(|term| matches_term(term, node)));
        matching.filter_map(|p| p.int_at(&["weight"])).sum()
    }
    fn normalizes(&self) -> bool {
        true
    }
    fn normalize(&self, _: &CycleState, _: &[u32], scores: &mut [i64]) {
        default_normalize(scores, false);
    }
    fn may_help(&self, cx: &Cx, pod: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::NodeChanged { node, change } => (change.added || change.labels) && matches(pod, cx.cache.node(*node)),
            ClusterEvent::PodUpdated { key } => *key == pod.key,
            _ => false,
        }
    }
}
