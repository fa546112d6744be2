//! How many seats a priority level has: its share of all seats, and what it lends and borrows. Models
//! `util/flowcontrol/apf_controller.go` and `conc_alloc.go`.
//!
//! Nominal seats follow from the shares. While requests wait somewhere, every ten seconds the seats are shared out anew: nobody gets
//! less than he keeps for himself or more than he may borrow, and within these bounds all get the same multiple of what they asked
//! for. When for ten seconds nobody had to wait, all have their nominal seats again (upstream goes on; the difference shows in
//! figures only).

use apimachinery::Object;
use base::Time;

/// What a PriorityLevelConfiguration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub exempt: bool,
    pub shares: i64,
    pub lendable_percent: i64,
    /// `None`: as much as there is.
    pub borrowing_percent: Option<i64>,
    /// `None`: who finds no seat is rejected.
    pub queuing: Option<Queuing>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queuing {
    pub queues: u32,
    pub hand_size: u32,
    pub length_limit: i64,
}

impl Spec {
    pub fn read(object: &Object) -> Spec {
        let exempt = object.str_at(&["spec", "type"]) == Some("Exempt");
        let part = if exempt { "exempt" } else { "limited" };
        let int = |field: &str| object.int_at(&["spec", part, field]);
        let queuing = object.at(&["spec", "limited", "limitResponse", "queuing"]).filter(|q| !exempt && !q.is_null()).map(|q| {
            let n = |field: &str, default: i64| q.int_at(&[field]).unwrap_or(default).clamp(1, i64::from(u32::MAX));
            Queuing {
                queues: n("queues", 64) as u32,
                hand_size: n("handSize", 8) as u32,
                length_limit: n("queueLengthLimit", 50),
            }
        });
        Spec {
            exempt,
            shares: int("nominalConcurrencyShares").unwrap_or(if exempt { 0 } else { 30 }).max(0),
            lendable_percent: int("lendablePercent").unwrap_or(0),
            borrowing_percent: int("borrowingLimitPercent"),
            queuing,
        }
    }

    /// The mandatory levels, should they have been deleted.
    pub fn mandatory(exempt: bool) -> Spec {
        Spec { exempt, shares: if exempt { 0 } else { 5 }, lendable_percent: 0, borrowing_percent: None, queuing: None }
    }
}

/// Seats of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    pub nominal: i64,
    pub lower: i64,
    pub upper: i64,
}

/// The seats of each level, of `total` that the server has.
pub fn limits(total: i64, specs: &[&Spec]) -> Vec<Limits> {
    let sum: i64 = specs.iter().map(|s| s.shares).sum();
    let share = |spec: &Spec| {
        let nominal = if sum == 0 { 0 } else { (total * spec.shares + sum - 1) / sum };
        let percent = |p: i64| (nominal * p + 50) / 100;
        let upper = spec.borrowing_percent.map_or(nominal + total, |p| nominal + percent(p));
        Limits { nominal, lower: nominal - percent(spec.lendable_percent), upper }
    };
    specs.iter().map(|s| share(s)).collect()
}

/// Seats wanted (in use and waited for) over a period. Models `integrator.go`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    now: f64,
    since: Option<Time>,
    seconds: f64,
    sum: f64,
    squares: f64,
    pub high: f64,
    pub average: f64,
    pub deviation: f64,
    pub smoothed: f64,
}

/// How slowly a demand is forgotten, a period.
const SMOOTHING: f64 = 0.977;

impl Demand {
    /// The demand is another from now on.
    pub fn set(&mut self, seats: i64, now: Time) {
        self.pass(now);
        self.now = seats as f64;
        self.high = self.high.max(self.now);
    }

    fn pass(&mut self, now: Time) {
        if let Some(since) = self.since {
            let seconds = now.since(since).as_secs_f64();
            self.seconds += seconds;
            self.sum += self.now * seconds;
            self.squares += self.now * self.now * seconds;
        }
        self.since = Some(now);
    }

    /// Ends a period: what it was goes into the figures, and the next begins.
    pub fn close(&mut self, now: Time) {
        self.pass(now);
        let seconds = self.seconds.max(f64::MIN_POSITIVE);
        self.average = self.sum / seconds;
        self.deviation = (self.squares / seconds - self.average * self.average).max(0.0).sqrt();
        let envelope = self.average + self.deviation;
        self.smoothed = envelope.max(SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * envelope);
        (self.seconds, self.sum, self.squares) = (0.0, 0.0, 0.0);
    }

    /// The highest demand of the period that ends; the next begins with the present one.
    pub fn take_high(&mut self) -> f64 {
        std::mem::replace(&mut self.high, self.now)
    }
}

/// A level in the sharing out.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub lower: f64,
    pub upper: f64,
    pub target: f64,
}

/// Seats for each claim within its bounds, `total` together, else in proportion to the targets. Returns them with the proportion.
///
/// The sum grows with the proportion, so it is found by halving; the bounds make it certain that there is one, or that all are at
/// an end of theirs.
pub fn share_out(total: f64, claims: &[Claim]) -> (Vec<i64>, f64) {
    let given = |fraction: f64| claims.iter().map(move |c| (c.target * fraction).clamp(c.lower, c.upper.max(c.lower)));
    let least = claims.iter().filter(|c| c.target > 0.0).map(|c| c.target).fold(f64::INFINITY, f64::min);
    let (mut low, mut high) = (0.0, if least.is_finite() { total / least + 1.0 } else { 1.0 });
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        match given(middle).sum::<f64>() < total {
            true => low = middle,
            false => high = middle,
        }
    }
    (given(high).map(|seats| seats.round() as i64).collect(), high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn spec(shares: i64, lendable_percent: i64, borrowing_percent: Option<i64>) -> Spec {
        Spec { exempt: false, shares, lendable_percent, borrowing_percent, queuing: None }
    }

    /// The levels of a fresh cluster, as `apiserver_flowcontrol_*_limit_seats` of a real one show them.
    #[test]
    fn shares_become_seats() {
        let specs = [
            ("catch-all", spec(5, 0, None)),
            ("global-default", spec(20, 50, None)),
            ("leader-election", spec(10, 0, None)),
            ("node-high", spec(40, 25, None)),
            ("system", spec(30, 33, None)),
            ("workload-high", spec(40, 50, None)),
            ("workload-low", spec(100, 90, None)),
            ("mine", spec(0, 0, Some(0))),
        ];
        let all = limits(600, &specs.iter().map(|(_, s)| s).collect::<Vec<_>>());
        let shown: Vec<String> = specs
            .iter()
            .zip(all)
            .map(|((name, _), l)| format!("{name}: {} nominal, keeps {}, up to {}", l.nominal, l.lower, l.upper))
            .collect();
        expect![[r#"
            catch-all: 13 nominal, keeps 13, up to 613
            global-default: 49 nominal, keeps 24, up to 649
            leader-election: 25 nominal, keeps 25, up to 625
            node-high: 98 nominal, keeps 73, up to 698
            system: 74 nominal, keeps 50, up to 674
            workload-high: 98 nominal, keeps 49, up to 698
            workload-low: 245 nominal, keeps 24, up to 845
            mine: 0 nominal, keeps 0, up to 0"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn seats_go_where_they_are_wanted_within_the_bounds() {
        let claim =
            |lower: i64, upper: i64, target: i64| Claim { lower: lower as f64, upper: upper as f64, target: target as f64 };
        let mut shown = String::new();
        for (total, claims) in [
            (100.0, vec![claim(10, 100, 10), claim(10, 100, 30)]),
            (100.0, vec![claim(40, 100, 40), claim(10, 20, 500)]),
            (100.0, vec![claim(0, 100, 0), claim(5, 100, 5)]),
            (100.0, vec![claim(60, 60, 60), claim(60, 60, 60)]),
            (10.0, vec![]),
        ] {
            shown += &format!("{:?}\n", share_out(total, &claims).0);
        }
        expect![[r#"
            [25, 75]
            [80, 20]
            [0, 100]
            [60, 60]
            []
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn a_demand_is_averaged_over_time_and_forgotten_slowly() {
        let mut demand = Demand::default();
        demand.set(0, Time::from_secs(0));
        demand.set(10, Time::from_secs(5));
        demand.close(Time::from_secs(10));
        assert_eq!((demand.average, demand.deviation, demand.take_high()), (5.0, 5.0, 10.0));
        assert_eq!(demand.smoothed, 10.0);
        demand.set(0, Time::from_secs(10));
        demand.close(Time::from_secs(20));
        assert_eq!(demand.smoothed, 9.77);
    }
}
