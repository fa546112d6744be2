//! Indexed jobs: retries of each index, indexes that are given up, and jobs that grow and shrink.

use apimachinery::{Object, Value, value};
use base::{Duration, Time};

use super::{View, indexes, per_index, status};

/// `pods`: index, phase, failures before it, exit code.
fn view(spec: Value, pods: &[(i64, &str, i64, i64)]) -> View {
    let mut job = value!({"metadata": {"name": "j"}, "spec": spec});
    job.set_at(&["spec", "completionMode"], "Indexed");
    let pod = |(n, (index, phase, failures, code)): (usize, &(i64, &str, i64, i64))| {
        let mut pod = value!({
            "metadata": {
                "name": (format!("p{n}")), "uid": (format!("u{n}")), "finalizers": ["batch.kubernetes.io/job-tracking"],
                "annotations": {
                    "batch.kubernetes.io/job-completion-index": (index.to_string()),
                    "batch.kubernetes.io/job-index-failure-count": (failures.to_string())
                }
            },
            "spec": {"nodeName": "n"}, "status": {"phase": (*phase)}
        });
        if matches!(*phase, "Failed" | "Succeeded") {
            let terminated = value!({"exitCode": (*code), "finishedAt": (Time::EPOCH.rfc3339())});
            pod.set_at(&["status", "containerStatuses"], vec![value!({"name": "c", "state": {"terminated": terminated}})]);
        }
        Object::from_value(pod).expect("a map was built")
    };
    let pods = pods.iter().enumerate().map(pod).collect();
    View { job: Object::from_value(job).expect("a map was built"), pods, status: Value::map() }
}

fn failed(view: &View) -> String {
    indexes::format(&per_index::failed(view))
}

fn decided(view: &mut View) -> String {
    status::judge(view, Time::EPOCH);
    let condition = view.status.list_at(&["conditions"]).first();
    condition.and_then(|c| c.str_at(&["reason"])).unwrap_or("").to_string()
}

#[test]
fn each_index_has_its_own_retries() {
    let spec = value!({"completions": 3, "parallelism": 3, "backoffLimitPerIndex": 1});
    let mut once = view(spec.clone(), &[(0, "Running", 0, 0), (1, "Failed", 0, 1)]);
    assert_eq!(failed(&once), "", "one retry is left");
    assert!(per_index::is_kept(&once, &once.pods[1]), "its number is still needed");
    let (due, wait) = per_index::due(&once, vec![1, 2], 9, Time::EPOCH);
    assert_eq!((due, wait), (vec![2], Some(Duration::from_secs(10))), "the failed index waits, the other does not");
    let later = Time::EPOCH + Duration::from_secs(10);
    assert_eq!(per_index::due(&once, vec![1, 2], 9, later), (vec![1, 2], None));
    let mut next = Object::from_value(value!({"metadata": {"name": "x"}})).expect("a map was built");
    per_index::annotate(&once, 1, &mut next);
    assert_eq!(next.annotation("batch.kubernetes.io/job-index-failure-count"), Some("1"));
    assert_eq!(decided(&mut once), "");
    let twice = view(spec, &[(0, "Running", 0, 0), (1, "Failed", 1, 1)]);
    assert_eq!(failed(&twice), "1");
    assert!(!per_index::is_kept(&twice, &twice.pods[1]));
}

#[test]
fn a_policy_may_give_an_index_up_at_once() {
    let rule = value!({"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}});
    let spec = value!({"completions": 2, "backoffLimitPerIndex": 5, "podFailurePolicy": {"rules": [rule]}});
    let mut job = view(spec, &[(0, "Failed", 0, 42), (1, "Failed", 0, 1)]);
    assert_eq!(failed(&job), "0");
    assert_eq!(status::wanted_active(&job), 1, "only index 1 is still wanted");
    assert_eq!(decided(&mut job), "", "index 1 has retries left");
}

#[test]
fn too_many_failed_indexes_end_the_job() {
    let spec = |most: i64| value!({"completions": 4, "backoffLimitPerIndex": 0, "maxFailedIndexes": most});
    let pods = [(0, "Running", 0, 0), (1, "Failed", 0, 1), (2, "Failed", 0, 1)];
    assert_eq!(decided(&mut view(spec(2), &pods)), "");
    assert_eq!(decided(&mut view(spec(1), &pods)), "MaxFailedIndexesExceeded");
    let all = [(0, "Succeeded", 0, 0), (1, "Failed", 0, 1), (2, "Failed", 0, 1), (3, "Succeeded", 0, 0)];
    assert_eq!(decided(&mut view(spec(4), &all)), "FailedIndexes");
}

#[test]
fn an_elastic_job_grows_and_shrinks() {
    let spec = |n: i64| value!({"completions": n, "parallelism": n});
    let pods = [(0, "Succeeded", 0, 0), (1, "Running", 0, 0), (2, "Succeeded", 0, 0), (3, "Running", 0, 0)];
    let grown = view(spec(6), &pods);
    assert_eq!((indexes::free(&grown, 9), indexes::surplus(&grown).len()), (vec![4, 5], 0));
    let shrunk = view(spec(2), &pods);
    let surplus: Vec<String> = indexes::surplus(&shrunk).iter().map(|p| p.name().to_string()).collect();
    assert_eq!(surplus, ["p3"], "its index is gone");
    assert_eq!(indexes::format(&indexes::succeeded(&shrunk)), "0", "index 2 no longer counts");
    let twice = view(spec(4), &[(1, "Running", 0, 0), (1, "Running", 0, 0)]);
    assert_eq!(indexes::surplus(&twice).len(), 1, "one pod an index");
}
