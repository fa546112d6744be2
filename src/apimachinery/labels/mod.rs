//! Label selectors: text, `LabelSelector` values, matching. Models `apimachinery/pkg/labels`.

mod parser;

use base::Sort as _;
use std::fmt;
use std::rc::Rc;

use crate::field::{ErrorList, Path};
use crate::validation::{is_label_key, is_valid_label_value};
use crate::value::{Fields, Value};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    Exists,
    DoesNotExist,
    /// `=`
    Equals,
    /// `==`
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    GreaterThan,
    LessThan,
}

/// One condition on one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    pub key: Rc<str>,
    pub operator: Operator,
    /// Sorted, each once.
    pub values: Vec<Rc<str>>,
}

/// All requirements must hold; none match everything. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector {
    requirements: Rc<[Requirement]>,
    nothing: bool,
}

impl Default for Selector {
    fn default() -> Selector {
        Selector::everything()
    }
}

impl Requirement {
    /// Checks key, number and form of values. The error is upstream's aggregate of field errors.
    pub fn new(key: &str, operator: Operator, mut values: Vec<Rc<str>>) -> Result<Requirement, String> {
        use Operator::*;
        check_key(key)?;
        let path = Path::new("values");
        let mut errs = ErrorList::new();
        let list = || Value::list(values.iter().map(Value::from).collect());
        match operator {
            In | NotIn if values.is_empty() => {
                errs.invalid(&path, list(), "for 'in', 'notin' operators, values set can't be empty");
            }
            Equals | DoubleEquals | NotEquals if values.len() != 1 => {
                errs.invalid(&path, list(), "exact-match compatibility requires one single value");
            }
            Exists | DoesNotExist if !values.is_empty() => {
                errs.invalid(&path, list(), "values set must be empty for exists and does not exist");
            }
            GreaterThan | LessThan => {
                if values.len() != 1 {
                    errs.invalid(&path, list(), "for 'Gt', 'Lt' operators, exactly one value is required");
                }
                for (i, v) in values.iter().enumerate() {
                    if v.parse::<i64>().is_err() {
                        errs.invalid(&path.index(i), v, "for 'Gt', 'Lt' operators, the value must be an integer");
                    }
                }
            }
            _ => {}
        }
        for (i, v) in values.iter().enumerate() {
            let complaints = is_valid_label_value(v);
            if !complaints.is_empty() {
                errs.invalid(&path.index(i).key(key), v, complaints.join("; "));
            }
        }
        if !errs.is_empty() {
            return Err(errs.aggregate());
        }
        values.order();
        values.dedup();
        Ok(Requirement { key: key.into(), operator, values })
    }

    /// Whether a value of this key (`None`: the label is missing) satisfies the requirement.
    pub fn matches_value(&self, value: Option<&str>) -> bool {
        use Operator::*;
        let among = |v: &str| self.values.iter().any(|x| **x == *v);
        match self.operator {
            Exists => value.is_some(),
            DoesNotExist => value.is_none(),
            Equals | DoubleEquals | In => value.is_some_and(among),
            NotEquals | NotIn => !value.is_some_and(among),
            GreaterThan | LessThan => {
                let (Some(have), Some(want)) = (value.and_then(|v| v.parse::<i64>().ok()), self.values.first()) else {
                    return false;
                };
                let Ok(want) = want.parse::<i64>() else { return false };
                if self.operator == GreaterThan { have > want } else { have < want }
            }
        }
    }

    pub fn matches(&self, labels: Option<&Fields>) -> bool {
        self.matches_value(labels.and_then(|l| l.get(&self.key)).and_then(Value::as_str))
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let complaints = is_label_key(key);
    if complaints.is_empty() {
        return Ok(());
    }
    let mut errs = ErrorList::new();
    // Upstream's path is nil here and prints as such.
    errs.invalid(&Path::new("<nil>"), key, complaints.join("; "));
    Err(errs.aggregate())
}

impl Selector {
    pub fn everything() -> Selector {
        Selector { requirements: Rc::new([]), nothing: false }
    }
    pub fn nothing() -> Selector {
        Selector { requirements: Rc::new([]), nothing: true }
    }
    /// Requirements sorted by key, as upstream keeps them.
    pub fn from_requirements(mut requirements: Vec<Requirement>) -> Selector {
        requirements.order_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements: requirements.into(), nothing: false }
    }
    /// From a selector as text: `a=b,c!=d,e in (x,y),!f,g`. The error is upstream's text.
    pub fn parse(text: &str) -> Result<Selector, String> {
        parser::parse(text).map(Selector::from_requirements)
    }
    /// From a map of labels that all must be there (a Service's or ReplicationController's selector). Not validated.
    pub fn from_set(labels: &Fields) -> Selector {
        let requirement = |(key, value): &(Rc<str>, Value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: value.as_rc_str().cloned().into_iter().collect(),
        };
        Selector { requirements: labels.iter().map(requirement).collect(), nothing: false }
    }
    /// From a `LabelSelector` (matchLabels, matchExpressions). None selects nothing, an empty one everything.
    /// Models `metav1.LabelSelectorAsSelector`.
    pub fn from_label_selector(selector: Option<&Value>) -> Result<Selector, String> {
        let Some(fields) = selector.and_then(Value::as_map) else { return Ok(Selector::nothing()) };
        let mut requirements = Vec::new();
        if let Some(labels) = fields.get("matchLabels").and_then(Value::as_map) {
            for (key, value) in labels {
                let value = value.as_rc_str().cloned().unwrap_or_else(|| "".into());
                requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
            }
        }
        for expression in fields.get("matchExpressions").map_or(&[][..], Value::items) {
            let operator = match expression.str_at(&["operator"]).unwrap_or("") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{} is not a valid label selector operator", crate::field::go_quote(other))),
            };
            let values = expression.list_at(&["values"]).iter().filter_map(Value::as_rc_str).cloned().collect();
            requirements.push(Requirement::new(expression.str_at(&["key"]).unwrap_or(""), operator, values)?);
        }
        Ok(Selector::from_requirements(requirements))
    }
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
    pub fn matches(&self, labels: Option<&Fields>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels))
    }
    /// The value that a label must have, if the selector names exactly one: for lookups in a label index.
    pub fn exact(&self, key: &str) -> Option<&Rc<str>> {
        use Operator::*;
        let found = self.requirements.iter().find(|r| &*r.key == key && matches!(r.operator, Equals | DoubleEquals | In))?;
        if let [value] = &found.values[..] { Some(value) } else { None }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        match self.operator {
            Operator::Exists => f.write_str(&self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
            Operator::Equals => write!(f, "{}={values}", self.key),
            Operator::DoubleEquals => write!(f, "{}=={values}", self.key),
            Operator::NotEquals => write!(f, "{}!={values}", self.key),
            Operator::In => write!(f, "{} in ({values})", self.key),
            Operator::NotIn => write!(f, "{} notin ({values})", self.key),
            Operator::GreaterThan => write!(f, "{}>{values}", self.key),
            Operator::LessThan => write!(f, "{}<{values}", self.key),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

/// A `LabelSelector` as text, as kubectl's printers and `scale.status.selector` show it: `<none>` never, empty for everything.
/// Models `metav1.FormatLabelSelector` without its `<none>` and `<error>`.
pub fn format_label_selector(selector: Option<&Value>) -> String {
    Selector::from_label_selector(selector).map_or_else(|_| "<error>".to_string(), |s| s.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn texts_round_trip_sorted_by_key() {
        for (text, printed) in [
            ("a=b,c!=d,e in (y,x),!f,g", "a=b,c!=d,e in (x,y),!f,g"),
            ("z,a==1", "a==1,z"),
            ("x in (,a),n>5", "n>5,x in (,a)"),
            ("in in (in)", "in in (in)"),
            ("a=", "a="),
            ("", ""),
        ] {
            assert_eq!(Selector::parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn errors_are_upstreams() {
        for (text, error) in [
            ("tier in", "unable to parse requirement: found '' expected: '('"),
            ("tier in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("a===b", "unable to parse requirement: found '=', expected: identifier"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            (
                "n>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn matching() {
        let labels = value!({"app": "web", "n": "7"});
        let labels = labels.as_map();
        for (text, matches) in [
            ("app=web", true),
            ("app!=web", false),
            ("x!=y", true),
            ("x", false),
            ("!x", true),
            ("n>6,n<8", true),
            ("app in (a)", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(labels), matches, "{text}");
        }
        let v = value!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "n", "operator": "Exists"}]});
        let selector = Selector::from_label_selector(Some(&v)).unwrap();
        assert!(selector.matches(labels) && !selector.matches(None));
        assert_eq!(selector.to_string(), "app=web,n");
        assert!(Selector::from_label_selector(Some(&Value::map())).unwrap().matches(None));
        assert!(!Selector::from_label_selector(None).unwrap().matches(labels));
    }
}
