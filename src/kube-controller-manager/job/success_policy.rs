//! `successPolicy`: an indexed job may be done before all indexes are. Models `pkg/controller/job/success_policy.go`.

use apimachinery::Value;
use base::Set;

use super::indexes;

/// No job has more.
const MOST_INDEXES: i64 = i32::MAX as i64;

/// The message of the first rule that the succeeded indexes fulfil.
pub fn matching(policy: &Value, succeeded: &Set<i64>) -> Option<String> {
    let fulfilled = |rule: &&Value| {
        let wanted = rule.str_at(&["succeededIndexes"]).map(|text| indexes::parse(text, MOST_INDEXES));
        let count = rule.int_at(&["succeededCount"]);
        let done = match &wanted {
            Some(wanted) => wanted.iter().filter(|index| succeeded.contains(*index)).count(),
            None => succeeded.len(),
        };
        match (count, wanted) {
            (Some(count), _) => done as i64 >= count,
            (None, Some(wanted)) => done == wanted.len(),
            (None, None) => false,
        }
    };
    let number = policy.list_at(&["rules"]).iter().position(|rule| fulfilled(&rule))?;
    Some(format!("Matched rules at index {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn indexes_a_number_or_both() {
        let policy = value!({"rules": [
            {"succeededIndexes": "0,2-3"}, {"succeededIndexes": "5-9", "succeededCount": 2}, {"succeededCount": 6}
        ]});
        for (done, number) in [("0,2", None), ("0-3", Some(0)), ("5", None), ("1,5,9", Some(1)), ("0,1,4,10-12", Some(2))] {
            let message = number.map(|n: i32| format!("Matched rules at index {n}"));
            assert_eq!(matching(&policy, &indexes::parse(done, MOST_INDEXES)), message, "{done}");
        }
    }
}
