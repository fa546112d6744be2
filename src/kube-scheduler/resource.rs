//! Amounts of resources of pods and nodes, in the units the plugins compare. Models `pkg/scheduler/framework.Resource` and
//! `component-helpers/resource.PodRequests`. Left out by name: in-place resize (`status.containerStatuses[].allocatedResources`).

use std::rc::Rc;

use apimachinery::{Quantity, Value};

/// What a container that asks for nothing counts as when nodes are scored: 0.1 CPU.
const DEFAULT_MILLI_CPU: i64 = 100;
/// … and 200 MiB.
const DEFAULT_MEMORY: i64 = 200 << 20;

/// Amounts by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Millicores.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Of a node: how many pods it takes.
    pub pods: i64,
    /// All others (huge pages, extended resources), sorted by name, in whole units.
    pub scalar: Vec<(Rc<str>, i64)>,
}

impl Resource {
    /// From a ResourceList. What can't be parsed counts as nothing (validation refuses it earlier).
    pub fn from_list(list: Option<&Value>) -> Resource {
        let mut out = Resource::default();
        for (name, amount) in list.and_then(Value::as_map).into_iter().flatten() {
            let Ok(quantity) = Quantity::from_value(amount) else { continue };
            match &**name {
                "cpu" => out.milli_cpu = quantity.milli_value(),
                "memory" => out.memory = quantity.value(),
                "ephemeral-storage" => out.ephemeral_storage = quantity.value(),
                "pods" => out.pods = quantity.value(),
                _ => out.scalar.push((name.clone(), quantity.value())),
            }
        }
        out
    }

    /// The amount of a resource other than the named ones.
    pub fn scalar(&self, name: &str) -> i64 {
        self.scalar.iter().find(|(n, _)| &**n == name).map_or(0, |(_, v)| *v)
    }

    /// Adds `sign` times `other`.
    pub fn add(&mut self, other: &Resource, sign: i64) {
        self.milli_cpu += sign * other.milli_cpu;
        self.memory += sign * other.memory;
        self.ephemeral_storage += sign * other.ephemeral_storage;
        for (name, amount) in &other.scalar {
            *self.scalar_mut(name) += sign * amount;
        }
    }

    /// The larger of both, resource by resource.
    fn max(&mut self, other: &Resource) {
        self.milli_cpu = self.milli_cpu.max(other.milli_cpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.max(other.ephemeral_storage);
        for (name, amount) in &other.scalar {
            let mine = self.scalar_mut(name);
            *mine = (*mine).max(*amount);
        }
    }

    fn scalar_mut(&mut self, name: &Rc<str>) -> &mut i64 {
        let i = match self.scalar.binary_search_by(|(n, _)| n.cmp(name)) {
            Ok(i) => i,
            Err(i) => {
                self.scalar.insert(i, (name.clone(), 0));
                i
            }
        };
        &mut self.scalar[i].1
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        self.milli_cpu == 0 && self.memory == 0 && self.ephemeral_storage == 0 && self.scalar.iter().all(|(_, v)| *v == 0)
    }
}

/// What a pod asks of its node: `exact` as written, `counted` with the defaults that scoring assumes.
pub struct PodRequests {
    pub exact: Resource,
    pub counted: Resource,
}

/// Models `resourcehelper.PodRequests`: containers and sidecars together, or the largest step of the init sequence, plus overhead.
pub fn pod_requests(spec: &Value) -> PodRequests {
    let mut exact = aggregate(spec, |container| Resource::from_list(container.at(&["resources", "requests"])));
    let mut counted = aggregate(spec, |container| {
        let requests = container.at(&["resources", "requests"]);
        let mut r = Resource::from_list(requests);
        if requests.and_then(|l| l.get("cpu")).is_none() {
            r.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if requests.and_then(|l| l.get("memory")).is_none() {
            r.memory = DEFAULT_MEMORY;
        }
        r
    });
    if let Some(list) = spec.at(&["resources", "requests"]) {
        let pod_level = Resource::from_list(Some(list));
        for r in [&mut exact, &mut counted] {
            if list.get("cpu").is_some() {
                r.milli_cpu = pod_level.milli_cpu;
            }
            if list.get("memory").is_some() {
                r.memory = pod_level.memory;
            }
        }
    }
    let overhead = Resource::from_list(spec.get("overhead"));
    exact.add(&overhead, 1);
    counted.add(&overhead, 1);
    PodRequests { exact, counted }
}

fn aggregate(spec: &Value, of: impl Fn(&Value) -> Resource) -> Resource {
    let mut total = Resource::default();
    for container in spec.list_at(&["containers"]) {
        total.add(&of(container), 1);
    }
    let (mut sidecars, mut largest_step) = (Resource::default(), Resource::default());
    for container in spec.list_at(&["initContainers"]) {
        let mut step = of(container);
        if container.str_at(&["restartPolicy"]) == Some("Always") {
            total.add(&step, 1);
            sidecars.add(&step, 1);
            step = sidecars.clone();
        } else {
            step.add(&sidecars, 1);
        }
        largest_step.max(&step);
    }
    total.max(&largest_step);
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn init_steps_and_sidecars_count_as_upstream_counts_them() {
        let spec = value!({
            "containers": [{"resources": {"requests": {"cpu": "500m", "example.com/gpu": "1"}}}, {}],
            "initContainers": [
                {"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
                {"resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}
            ],
            "overhead": {"cpu": "50m"}
        });
        let requests = pod_requests(&spec);
        assert_eq!((requests.exact.milli_cpu, requests.exact.memory), (2150, 1 << 30));
        assert_eq!(requests.exact.scalar("example.com/gpu"), 1);
        assert_eq!(requests.counted.memory, (1 << 30) + (200 << 20));
    }
}
