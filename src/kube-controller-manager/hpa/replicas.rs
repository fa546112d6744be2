//! How many replicas a metric asks for. Models `podautoscaler/replica_calculator.go`: pure functions of pods and what they use.

use std::rc::Rc;

use apimachinery::{Object, Quantity, Value};
use base::{Duration, Map, Time};

/// `--horizontal-pod-autoscaler-cpu-initialization-period`
const CPU_INITIALIZATION: Duration = Duration::from_secs(300);
/// `--horizontal-pod-autoscaler-initial-readiness-delay`
const INITIAL_READINESS: Duration = Duration::from_secs(30);

/// What a pod uses of a resource, in thousandths, over the window before a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Use {
    pub milli: i64,
    pub at: Time,
    pub window: Duration,
}

/// By how much use may miss its target before anything is done.
#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    pub up: f64,
    pub down: f64,
}

impl Tolerances {
    fn holds(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// What a metric comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    pub replicas: i64,
    /// Percent of requests; of a raw target none.
    pub utilization: Option<i64>,
    /// Thousandths per pod.
    pub average_milli: i64,
}

/// A target: percent of what the pods request, or thousandths per pod.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    Utilization(i64),
    AverageMilli(i64),
}

/// What the pods of one autoscaler use, by name.
pub type Uses = Map<Rc<str>, Use>;

/// The part of a list of PodMetrics that counts: the sum over a pod's containers, or one container.
pub fn uses_of(list: &Object, resource: &str, container: Option<&str>) -> Uses {
    let mut uses = Map::new();
    for item in list.list_at(&["items"]) {
        let Some(name) = item.at(&["metadata", "name"]).and_then(Value::as_rc_str) else { continue };
        let mut sum = 0i64;
        let mut whole = true;
        for c in item.list_at(&["containers"]) {
            if container.is_some_and(|wanted| c.str_at(&["name"]) != Some(wanted)) {
                continue;
            }
            match c.str_at(&["usage", resource]).and_then(|t| Quantity::parse(t).ok()) {
                Some(q) => sum = sum.saturating_add(q.milli_value()),
                None => whole = false,
            }
        }
        if whole {
            let at = item.str_at(&["timestamp"]).and_then(Time::parse).unwrap_or(Time::EPOCH);
            let seconds = item.str_at(&["window"]).and_then(go_seconds).unwrap_or(60.0);
            uses.insert(name.clone(), Use { milli: sum, at, window: Duration::from_secs_f64(seconds) });
        }
    }
    uses
}

/// `1m15.5s` → 75.5
fn go_seconds(text: &str) -> Option<f64> {
    let (minutes, rest): (f64, &str) = match text.split_once('m').filter(|(_, r)| !r.starts_with('s')) {
        Some((minutes, "")) => (minutes.parse().ok()?, "0s"),
        Some((minutes, rest)) => (minutes.parse().ok()?, rest),
        None => (0.0, text),
    };
    let seconds: f64 = rest.strip_suffix('s')?.parse().ok()?;
    Some((minutes * 60.0 + seconds).clamp(0.0, 1e6))
}

/// What each pod requests of a resource, in thousandths. Models `calculatePodRequests`.
fn requests(pods: &[&Object], resource: &str, container: Option<&str>) -> Result<Map<Rc<str>, i64>, String> {
    let mut all = Map::new();
    for pod in pods {
        let mut sum = 0i64;
        let sidecars = pod.list_at(&["spec", "initContainers"]).iter().filter(|c| c.str_at(&["restartPolicy"]) == Some("Always"));
        for c in pod.list_at(&["spec", "containers"]).iter().chain(sidecars) {
            let name = c.str_at(&["name"]).unwrap_or("");
            if container.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let request = c.at(&["resources", "requests", resource]).and_then(|v| Quantity::from_value(v).ok());
            match request {
                Some(q) => sum = sum.saturating_add(q.milli_value()),
                None => return Err(format!("missing request for {resource} in container {name} of Pod {}", pod.name())),
            }
        }
        all.insert(pod.key().name, sum);
    }
    Ok(all)
}

/// The pods of an autoscaler, as far as they count.
#[derive(Default)]
struct Groups {
    ready: usize,
    unready: Vec<Rc<str>>,
    missing: Vec<Rc<str>>,
    ignored: Vec<Rc<str>>,
}

/// Models `groupPods`.
fn group(pods: &[&Object], uses: &Uses, resource: &str, now: Time) -> Groups {
    let mut groups = Groups::default();
    for pod in pods {
        let name = pod.key().name;
        let phase = pod.str_at(&["status", "phase"]).unwrap_or("");
        if pod.is_being_deleted() || phase == "Failed" {
            groups.ignored.push(name);
        } else if phase == "Pending" {
            groups.unready.push(name);
        } else {
            match uses.get(&name) {
                None => groups.missing.push(name),
                Some(used) if resource == "cpu" && is_unready(pod, used, now) => groups.unready.push(name),
                Some(_) => groups.ready += 1,
            }
        }
    }
    groups
}

fn is_unready(pod: &Object, used: &Use, now: Time) -> bool {
    let started = pod.str_at(&["status", "startTime"]).and_then(Time::parse);
    let (Some(condition), Some(started)) = (pod.condition("Ready"), started) else { return true };
    let is_false = condition.str_at(&["status"]) == Some("False");
    let since = condition.str_at(&["lastTransitionTime"]).and_then(Time::parse).unwrap_or(started);
    match started + CPU_INITIALIZATION > now {
        // Young: use that was measured before it was ready is that of its start.
        true => is_false || used.at < since + used.window,
        false => is_false && started + INITIAL_READINESS > since,
    }
}

/// How many replicas a resource metric asks for. Models `GetResourceReplicas` and `GetRawResourceReplicas`.
pub fn propose(
    current: i64,
    target: Target,
    tolerances: Tolerances,
    resource: &str,
    container: Option<&str>,
    pods: &[&Object],
    mut uses: Uses,
    now: Time,
) -> Result<Proposal, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".into());
    }
    let groups = group(pods, &uses, resource, now);
    for name in groups.ignored.iter().chain(&groups.unready) {
        uses.remove(name);
    }
    if uses.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".into());
    }
    let requests = match target {
        Target::Utilization(_) => requests(pods, resource, container)?,
        Target::AverageMilli(_) => Map::new(),
    };
    let (ratio, utilization, average_milli) = measure(&uses, &requests, target)?;
    let answer = |replicas| Ok(Proposal { replicas, utilization, average_milli });
    let grows_with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !grows_with_unready && groups.missing.is_empty() {
        if tolerances.holds(ratio) {
            return answer(current);
        }
        return answer((ratio * groups.ready as f64).ceil() as i64);
    }
    let mut guess = |name: &Rc<str>, milli: i64| {
        uses.insert(name.clone(), Use { milli, at: now, window: Duration::ZERO });
    };
    for name in &groups.missing {
        // What isn't known is taken for what slows the change down.
        if ratio < 1.0 {
            let full = match target {
                Target::Utilization(percent) => requests.get(name).copied().unwrap_or(0) * percent.max(100) / 100,
                Target::AverageMilli(milli) => milli,
            };
            guess(name, full);
        } else if ratio > 1.0 {
            guess(name, 0);
        }
    }
    if grows_with_unready {
        groups.unready.iter().for_each(|name| guess(name, 0));
    }
    let (guessed, ..) = measure(&uses, &requests, target)?;
    if tolerances.holds(guessed) || (ratio < 1.0 && guessed > 1.0) || (ratio > 1.0 && guessed < 1.0) {
        return answer(current);
    }
    let replicas = (guessed * uses.len() as f64).ceil() as i64;
    let turns = (guessed < 1.0 && replicas > current) || (guessed > 1.0 && replicas < current);
    answer(if turns { current } else { replicas })
}

/// Use against the target; percent of requests; average per pod.
fn measure(uses: &Uses, requests: &Map<Rc<str>, i64>, target: Target) -> Result<(f64, Option<i64>, i64), String> {
    match target {
        Target::Utilization(percent) => {
            let (mut used, mut requested, mut n) = (0i64, 0i64, 0i64);
            for (name, one) in uses.iter() {
                // A pod that is not in the cache any more.
                let Some(request) = requests.get(name) else { continue };
                used = used.saturating_add(one.milli);
                requested = requested.saturating_add(*request);
                n += 1;
            }
            if requested == 0 || n == 0 {
                return Err("no metrics returned matched known pods".into());
            }
            let utilization = used.saturating_mul(100) / requested;
            Ok((utilization as f64 / percent.max(1) as f64, Some(utilization), used / n))
        }
        Target::AverageMilli(milli) => {
            let n = (uses.len() as i64).max(1);
            let average = uses.values().fold(0i64, |sum, u| sum.saturating_add(u.milli)) / n;
            Ok((average as f64 / milli.max(1) as f64, None, average))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    const NOW: Time = Time(10_000_000_000);

    fn pod(name: &str, ready: bool, phase: &str) -> Object {
        let long_ago = Time(NOW.0 - 3_600_000_000).rfc3339();
        Object::from_value(value!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "200m"}}}]},
            "status": {
                "phase": phase, "startTime": (&long_ago),
                "conditions": [{"type": "Ready", "status": (if ready { "True" } else { "False" }), "lastTransitionTime": (&long_ago)}]
            }
        }))
        .unwrap()
    }

    fn check(current: i64, used: &[(&str, i64)], pods: &[Object], expected: Result<i64, &str>) {
        let uses = used.iter().map(|(n, milli)| (Rc::from(*n), Use { milli: *milli, at: NOW, window: Duration::ZERO })).collect();
        let pods: Vec<&Object> = pods.iter().collect();
        let tolerances = Tolerances { up: 0.1, down: 0.1 };
        let found = propose(current, Target::Utilization(50), tolerances, "cpu", None, &pods, uses, NOW);
        assert_eq!(found.map(|p| p.replicas), expected.map_err(String::from));
    }

    #[test]
    fn replicas_follow_the_ratio_of_use_to_target() {
        let one = [pod("a", true, "Running")];
        check(1, &[("a", 610)], &one, Ok(7));
        check(1, &[("a", 108)], &one, Ok(1)); // 54 %: within a tenth
        check(1, &[("a", 112)], &one, Ok(2));
        let three = [pod("a", true, "Running"), pod("b", true, "Running"), pod("c", true, "Running")];
        check(3, &[("a", 10), ("b", 10), ("c", 10)], &three, Ok(1));
    }

    #[test]
    fn what_is_not_known_slows_the_change_down() {
        let two = [pod("a", true, "Running"), pod("b", true, "Running")];
        check(2, &[("a", 20)], &two, Ok(2)); // b is taken for busy: no shrinking
        check(2, &[("a", 400)], &two, Ok(4)); // b is taken for idle: grows by less
        let pending = [pod("a", true, "Running"), pod("b", true, "Pending")];
        check(2, &[("a", 400)], &pending, Ok(4));
        check(1, &[], &two[..1], Err("did not receive metrics for targeted pods (pods might be unready)"));
        check(1, &[], &[], Err("no pods returned by selector while calculating replica count"));
    }

    #[test]
    fn a_pod_without_request_has_no_utilization() {
        let bare = Object::from_value(value!({
            "metadata": {"name": "a"}, "spec": {"containers": [{"name": "app"}]}, "status": {"phase": "Running"}
        }))
        .unwrap();
        let uses: Uses = [(Rc::from("a"), Use { milli: 5, at: NOW, window: Duration::ZERO })].into_iter().collect();
        let tolerances = Tolerances { up: 0.1, down: 0.1 };
        let memory = propose(1, Target::Utilization(50), tolerances, "memory", None, &[&bare], uses, NOW);
        assert_eq!(memory.unwrap_err(), "missing request for memory in container app of Pod a");
    }

    #[test]
    fn windows_are_go_s_durations() {
        assert_eq!(go_seconds("15.5s"), Some(15.5));
        assert_eq!((go_seconds("1m15s"), go_seconds("2m")), (Some(75.0), Some(120.0)));
        for bad in ["", "x", "1", "m", "ms", "é"] {
            assert!(go_seconds(bad).is_none(), "{bad}");
        }
    }
}
