//! Whether a node fits a pod by labels and taints: for DaemonSets, which choose nodes themselves.
//!
//! Models `component-helpers/scheduling/corev1/nodeaffinity` and toleration helpers.

use apimachinery::labels::{Operator, Requirement};
use apimachinery::{Object, Value};

use crate::taint_eviction::tolerates;

/// `spec.nodeSelector` and the required node affinity of a pod spec.
pub fn matches_node(spec: &Value, node: &Object) -> bool {
    let has = |(k, v): &(std::rc::Rc<str>, Value)| node.label(k) == v.as_str();
    if !spec.map_at(&["nodeSelector"]).is_none_or(|selector| selector.iter().all(has)) {
        return false;
    }
    let path = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    let Some(required) = spec.at(&path) else { return true };
    required.list_at(&["nodeSelectorTerms"]).iter().any(|term| matches_term(term, node))
}

fn matches_term(term: &Value, node: &Object) -> bool {
    let (expressions, fields) = (term.list_at(&["matchExpressions"]), term.list_at(&["matchFields"]));
    // An empty term matches nothing.
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let value_of_field = |e: &Value| (e.str_at(&["key"]) == Some("metadata.name")).then(|| node.name());
    expressions.iter().all(|e| matches_expression(e, node.label(e.str_at(&["key"]).unwrap_or(""))))
        && fields.iter().all(|e| matches_expression(e, value_of_field(e)))
}

fn matches_expression(expression: &Value, value: Option<&str>) -> bool {
    let operator = match expression.str_at(&["operator"]).unwrap_or("") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return false,
    };
    let values = expression.list_at(&["values"]).iter().filter_map(Value::as_rc_str).cloned().collect();
    Requirement { key: "".into(), operator, values }.matches_value(value)
}

/// Whether all taints of these effects are tolerated.
pub fn tolerates_all(tolerations: &[Value], node: &Object, effects: &[&str]) -> bool {
    let taints = node.list_at(&["spec", "taints"]).iter();
    let mut relevant = taints.filter(|t| effects.contains(&t.str_at(&["effect"]).unwrap_or("")));
    relevant.all(|taint| tolerations.iter().any(|t| tolerates(t, taint)))
}
