//! How fast an autoscaler may go: stabilization windows, scaling policies, bounds. Models the `normalize…` functions of
//! `podautoscaler/horizontal.go`.

use apimachinery::{Object, Quantity, Value};
use base::{Duration, Time, Vector};

use super::replicas::Tolerances;

/// `--horizontal-pod-autoscaler-downscale-stabilization`
const DOWNSCALE_STABILIZATION_S: i64 = 300;
/// Recommendations and scale events older than any window may be.
const LONGEST_S: i64 = 3600;
/// `--horizontal-pod-autoscaler-tolerance`
const TOLERANCE: f64 = 0.1;

/// What an autoscaler did and wanted, newest last.
#[derive(Clone, Debug, Default)]
pub struct Past {
    recommendations: Vector<(Time, i64)>,
    ups: Vector<(Time, i64)>,
    downs: Vector<(Time, i64)>,
}

/// A reason and its text.
pub type Why = (&'static str, &'static str);

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    pub replicas: i64,
    /// Of the condition AbleToScale.
    pub able: Why,
    /// Whether it is limited, and the reason of ScalingLimited.
    pub limited: bool,
    pub limit: Why,
}

const READY: Why = ("ReadyForNewScale", "recommended size matches current size");
const STABLE_DOWN: Why =
    ("ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation");
const STABLE_UP: Why =
    ("ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation");
const WITHIN: Why = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_MANY: Why = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Why = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_FAST_UP: Why = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: Why = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");

/// The autoscaler's own tolerances, or the flag's.
pub fn tolerances(hpa: &Object) -> Tolerances {
    let of = |direction: &str| {
        let text = hpa.at(&["spec", "behavior", direction, "tolerance"]);
        let quantity = text.and_then(|v| Quantity::from_value(v).ok());
        quantity.map_or(TOLERANCE, |q| q.milli_value() as f64 / 1000.0)
    };
    Tolerances { up: of("scaleUp"), down: of("scaleDown") }
}

impl Past {
    /// The first time an autoscaler is looked at, its present size counts as a recommendation.
    pub fn begin(&mut self, now: Time, replicas: i64) {
        if self.recommendations.is_empty() {
            self.recommendations.push_back((now, replicas));
        }
    }

    /// A rescale was carried out.
    pub fn scaled(&mut self, now: Time, from: i64, to: i64) {
        match to > from {
            true => self.ups.push_back((now, to - from)),
            false => self.downs.push_back((now, from - to)),
        }
        for events in [&mut self.ups, &mut self.downs] {
            while events.front().is_some_and(|(at, _)| now.since(*at).as_secs() > LONGEST_S) {
                events.pop_front();
            }
        }
    }

    fn recommend(&mut self, now: Time, replicas: i64, keep_s: i64) {
        self.recommendations.push_back((now, replicas));
        while self.recommendations.front().is_some_and(|(at, _)| now.since(*at).as_secs() > keep_s) {
            self.recommendations.pop_front();
        }
    }

    fn recommended_within(&self, now: Time, window_s: i64) -> impl Iterator<Item = i64> {
        self.recommendations.iter().filter(move |(at, _)| now.since(*at) < Duration::from_secs(window_s)).map(|(_, n)| *n)
    }

    /// What of a wish is done now.
    pub fn normalize(&mut self, hpa: &Object, now: Time, current: i64, desired: i64, bounds: (i64, i64)) -> Normal {
        match hpa.at(&["spec", "behavior"]).filter(|b| !b.is_null()) {
            None => self.by_default(now, current, desired, bounds),
            Some(behavior) => self.by_behavior(behavior, now, current, desired, bounds),
        }
    }

    fn by_default(&mut self, now: Time, current: i64, desired: i64, (min, max): (i64, i64)) -> Normal {
        let highest = self.recommended_within(now, DOWNSCALE_STABILIZATION_S).fold(desired, i64::max);
        self.recommend(now, desired, DOWNSCALE_STABILIZATION_S);
        let able = if highest != desired { STABLE_DOWN } else { READY };
        let fastest = (current * 2).max(4);
        let (most, why) = if max > fastest { (fastest, TOO_FAST_UP) } else { (max, TOO_MANY) };
        let (replicas, limit) = match highest {
            n if n < min => (min, TOO_FEW),
            n if n > most => (most, why),
            n => (n, WITHIN),
        };
        Normal { replicas, able, limited: replicas != highest, limit }
    }

    fn by_behavior(&mut self, behavior: &Value, now: Time, current: i64, desired: i64, (min, max): (i64, i64)) -> Normal {
        let window = |direction: &str, default| {
            behavior.int_at(&[direction, "stabilizationWindowSeconds"]).unwrap_or(default).clamp(0, LONGEST_S)
        };
        let (up_s, down_s) = (window("scaleUp", 0), window("scaleDown", DOWNSCALE_STABILIZATION_S));
        let lowest = self.recommended_within(now, up_s).fold(desired, i64::min);
        let highest = self.recommended_within(now, down_s).fold(desired, i64::max);
        self.recommend(now, desired, up_s.max(down_s));
        let stable = current.max(lowest).min(highest);
        let able = match stable {
            n if n == desired => READY,
            _ if desired >= current => STABLE_UP,
            _ => STABLE_DOWN,
        };
        let (replicas, limit) = self.limit_rate(behavior, now, current, stable, min, max);
        Normal { replicas, able, limited: replicas != stable, limit }
    }

    fn limit_rate(&self, behavior: &Value, now: Time, current: i64, desired: i64, min: i64, max: i64) -> (i64, Why) {
        if desired > current {
            let fastest = self.up_limit(behavior.get("scaleUp"), now, current).max(current);
            let (most, why) = if max > fastest { (fastest, TOO_FAST_UP) } else { (max, TOO_MANY) };
            return if desired > most { (most, why) } else { (desired, WITHIN) };
        }
        if desired < current {
            let fastest = self.down_limit(behavior.get("scaleDown"), now, current).min(current);
            let (least, why) = if min < fastest { (fastest, TOO_FAST_DOWN) } else { (min, TOO_FEW) };
            return if desired < least { (least, why) } else { (desired, WITHIN) };
        }
        (desired, WITHIN)
    }

    fn at_period_start(&self, now: Time, current: i64, period_s: i64) -> i64 {
        let within = |events: &Vector<(Time, i64)>| -> i64 {
            events.iter().filter(|(at, _)| now.since(*at) < Duration::from_secs(period_s)).map(|(_, n)| *n).sum()
        };
        current - within(&self.ups) + within(&self.downs)
    }

    fn up_limit(&self, rules: Option<&Value>, now: Time, current: i64) -> i64 {
        let default = [("Pods", 4, 15), ("Percent", 100, 15)];
        self.limits(rules, &default, now, current, |start, kind, value| match kind {
            "Pods" => start + value,
            _ => (start as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64,
        })
        .map_or(current, |(lowest, highest, takes_most)| if takes_most { highest } else { lowest })
    }

    fn down_limit(&self, rules: Option<&Value>, now: Time, current: i64) -> i64 {
        self.limits(rules, &[("Percent", 100, 15)], now, current, |start, kind, value| match kind {
            "Pods" => start - value,
            _ => (start as f64 * (1.0 - value as f64 / 100.0)) as i64,
        })
        .map_or(current, |(lowest, highest, takes_most)| if takes_most { lowest } else { highest })
    }

    /// The lowest and the highest that the policies of a direction allow, and whether the one that changes most counts.
    /// `None`: this direction is disabled.
    fn limits(
        &self,
        rules: Option<&Value>,
        default: &[(&str, i64, i64)],
        now: Time,
        current: i64,
        allowed: impl Fn(i64, &str, i64) -> i64,
    ) -> Option<(i64, i64, bool)> {
        let select = rules.and_then(|r| r.str_at(&["selectPolicy"])).unwrap_or("Max");
        if select == "Disabled" {
            return None;
        }
        let own: Vec<(&str, i64, i64)> = rules
            .map(|r| r.list_at(&["policies"]))
            .unwrap_or_default()
            .iter()
            .map(|p| {
                let int = |f: &str| p.int_at(&[f]).unwrap_or(0);
                (p.str_at(&["type"]).unwrap_or(""), int("value"), int("periodSeconds"))
            })
            .collect();
        let policies = if own.is_empty() { default } else { &own };
        let all: Vec<i64> = policies
            .iter()
            .map(|(kind, value, period)| allowed(self.at_period_start(now, current, *period), kind, *value))
            .collect();
        Some((*all.iter().min()?, *all.iter().max()?, select == "Max"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    fn at(seconds: i64) -> Time {
        Time(seconds * 1_000_000)
    }

    fn hpa(behavior: Value) -> Object {
        Object::from_value(value!({"spec": {"behavior": behavior}})).unwrap()
    }

    #[test]
    fn without_behavior_growth_doubles_and_shrinking_waits_five_minutes() {
        let (mut past, hpa) = (Past::default(), hpa(Value::Null));
        past.begin(at(0), 1);
        let grown = past.normalize(&hpa, at(15), 1, 7, (1, 10));
        assert_eq!((grown.replicas, grown.limit), (4, TOO_FAST_UP));
        let grown = past.normalize(&hpa, at(30), 4, 7, (1, 10));
        assert_eq!((grown.replicas, grown.limit, grown.able), (7, WITHIN, READY));
        let held = past.normalize(&hpa, at(60), 7, 1, (1, 10));
        assert_eq!((held.replicas, held.able), (7, STABLE_DOWN));
        let held = past.normalize(&hpa, at(329), 7, 1, (1, 10));
        assert_eq!(held.replicas, 7);
        let shrunk = past.normalize(&hpa, at(331), 7, 0, (1, 10));
        assert_eq!((shrunk.replicas, shrunk.limited), (1, false)); // the highest of the last five minutes is 1
        let few = past.normalize(&hpa, at(1000), 7, 0, (2, 10));
        assert_eq!((few.replicas, few.limit), (2, TOO_FEW));
    }

    #[test]
    fn policies_count_what_was_done_in_their_period() {
        let slow = hpa(value!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
            "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]}
        }));
        let mut past = Past::default();
        assert_eq!(past.normalize(&slow, at(0), 1, 9, (1, 10)).replicas, 3);
        past.scaled(at(0), 1, 3);
        assert_eq!(past.normalize(&slow, at(30), 3, 9, (1, 10)).replicas, 3);
        assert_eq!(past.normalize(&slow, at(61), 3, 9, (1, 10)).replicas, 5);
        past.scaled(at(61), 3, 5);
        let down = past.normalize(&slow, at(200), 8, 1, (1, 10));
        assert_eq!((down.replicas, down.limit), (4, TOO_FAST_DOWN));
        let never = hpa(value!({"scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}}));
        assert_eq!(past.normalize(&never, at(5000), 8, 1, (1, 10)).replicas, 8);
    }
}
