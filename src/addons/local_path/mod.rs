//! local-path-provisioner: makes a directory on a node for each claim of its classes, and a PersistentVolume that leads there;
//! removes both when the claim has gone.
//!
//! Models `rancher/local-path-provisioner` v0.0.31 on `sig-storage-lib-external-provisioner`: it watches claims, volumes and
//! classes; a pod on the node (`helper-pod-create-pvc-…`) makes the directory with the script of its ConfigMap, another one
//! removes it. Read next: [`objects`] for what it creates.
//! Left out by name: shared file systems, `volumeType: local` by annotation, per-class paths, metrics, leader election (it runs
//! alone, as in its own manifest).

mod objects;

use std::rc::Rc;

use apimachinery::{Object, Request, ResponseBody, Value, json, resources, yaml};
use base::{Duration, Map, Time};
use cri_api::machine::Sys;
use cri_api::{ApiEvent, CallId, Errno, Poll, Program};

use crate::http::catch_ends;
use crate::informer::{Informer, call};
use objects::Place;

type Text = Rc<str>;

const AGENT: &str = "local-path-provisioner/v0.0.31 (linux/amd64) kubernetes";
const PROVISIONER: &str = "rancher.io/local-path";
/// How long a helper pod may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_RETRY: Duration = Duration::from_secs(15);
const LAST_RETRY: Duration = Duration::from_secs(300);

/// What is being done about one claim or volume.
#[derive(Clone)]
struct Job {
    /// The claim that is served, or the volume that is given back.
    about: Object,
    is_removal: bool,
    place: Place,
    step: Step,
}

#[derive(Clone)]
enum Step {
    StartHelper(CallId),
    /// Until then the pod must have succeeded.
    AwaitHelper(Time),
    /// The pod is through: its deletion, then the volume (or what went wrong).
    RemoveHelper(CallId, Result<(), String>),
    Volume(CallId),
}

/// The process.
#[derive(Clone)]
pub struct LocalPath {
    started: bool,
    config: Value,
    helper: Value,
    namespace: Text,
    identity: String,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
    nodes: Informer,
    helpers: Informer,
    /// By the name of the volume.
    jobs: Map<Text, Job>,
    /// What failed: how long it rests, and until when.
    resting: Map<Text, (Duration, Time)>,
    events: u64,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    let informer = |gvr| Informer::new(gvr, "", None, AGENT);
    Box::new(LocalPath {
        started: false,
        config: Value::Null,
        helper: Value::Null,
        namespace: "".into(),
        identity: String::new(),
        claims: informer(resources::persistentvolumeclaims()),
        volumes: informer(resources::persistentvolumes()),
        classes: informer(resources::storageclasses()),
        nodes: informer(resources::nodes()),
        helpers: informer(resources::pods()),
        jobs: Map::new(),
        resting: Map::new(),
        events: 0,
    })
}

impl Program for LocalPath {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        if !self.started {
            self.started = true;
            if let Err(text) = self.begin(sys) {
                log(sys, "fatal", &format!("Error starting daemon: {text}"));
                return Poll::Exit(1);
            }
        }
        if sys.take_signal().is_some() {
            return Poll::Exit(0);
        }
        let mut changed = false;
        for informer in [&mut self.claims, &mut self.volumes, &mut self.classes, &mut self.nodes, &mut self.helpers] {
            changed |= informer.poll(sys);
            if let Some(error) = informer.take_error() {
                log(sys, "error", &format!("Failed to watch: {error}"));
            }
        }
        let now = sys.now();
        let rested: Vec<Text> = self.resting.iter().filter(|(_, (_, at))| *at <= now).map(|(name, _)| name.clone()).collect();
        if changed || !rested.is_empty() {
            self.look(sys);
        }
        let names: Vec<Text> = self.jobs.keys().cloned().collect();
        names.iter().for_each(|name| self.go_on(name, sys));
        self.rest(sys)
    }
}

/// logrus' form of a line.
fn log(sys: &mut Sys<'_>, level: &str, text: &str) {
    let line = format!("time=\"{}\" level={level} msg={text:?}\n", sys.now().rfc3339());
    let _ = sys.write(2, line.as_bytes());
}

impl LocalPath {
    /// Reads the configuration. An error: it can't run.
    fn begin(&mut self, sys: &mut Sys<'_>) -> Result<(), String> {
        catch_ends(sys);
        let argv = sys.argv();
        let flag = argv.iter().position(|a| &**a == "--config").and_then(|i| argv.get(i + 1));
        let path = flag.map_or("/etc/config/config.json", |p| p).to_string();
        let read = |sys: &mut Sys<'_>, path: &str| {
            sys.read_file(path).map_err(|e| format!("fail to load config file {path}: open {path}: {}", e.text()))
        };
        let bytes = read(sys, &path)?;
        self.config = json::parse(&bytes).map_err(|e| format!("fail to load config file {path}: {e}"))?;
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let helper = read(sys, &format!("{dir}/helperPod.yaml"))?;
        let documents = yaml::parse_all(&String::from_utf8_lossy(&helper)).map_err(|e| format!("invalid helper pod: {e}"))?;
        self.helper = documents.into_iter().next().map(|(_, d)| d.value).ok_or("invalid helper pod: empty")?;
        self.namespace = sys.var("POD_NAMESPACE").unwrap_or_else(|| "local-path-storage".into());
        self.helpers = Informer::new(resources::pods(), &self.namespace, None, AGENT);
        self.identity = format!("{PROVISIONER}_{}", sys.config().hostname);
        log(sys, "info", "Provisioner started");
        Ok(())
    }

    /// Looks for claims that want a volume and for volumes that nobody wants.
    fn look(&mut self, sys: &mut Sys<'_>) {
        if ![&self.claims, &self.volumes, &self.classes, &self.nodes].iter().all(|i| i.has_synced()) {
            return;
        }
        let now = sys.now();
        let is_free = |name: &Text| !self.jobs.contains_key(name) && self.resting.get(name).is_none_or(|(_, at)| *at <= now);
        let wanted: Vec<(Text, Object)> = self
            .claims
            .items()
            .filter(|(_, claim)| self.is_mine(claim))
            .map(|(_, claim)| (Text::from(format!("pvc-{}", claim.uid())), claim.clone()))
            .filter(|(name, _)| is_free(name) && self.volumes.get("", name).is_none())
            .collect();
        let released: Vec<(Text, Object)> = self
            .volumes
            .items()
            .filter(|(key, volume)| is_released(volume) && is_free(&key.name))
            .map(|(key, volume)| (key.name.clone(), volume.clone()))
            .collect();
        for (name, claim) in wanted {
            let text =
                format!("External provisioner is provisioning volume for claim \"{}/{}\"", claim.namespace(), claim.name());
            self.event(sys, &claim, "Normal", "Provisioning", &text);
            match self.place_for(&name, &claim) {
                Ok(place) => self.start_helper(sys, name, claim, false, place),
                Err(text) => self.failed(sys, &name, &claim, false, &text),
            }
        }
        for (name, volume) in released {
            match objects::place_of(&volume) {
                Ok(place) => self.start_helper(sys, name, volume, true, place),
                Err(text) => self.failed(sys, &name, &volume, true, &text),
            }
        }
    }

    /// Whether a claim has no volume, is left to this provisioner, and has its node if it is to have one first.
    fn is_mine(&self, claim: &Object) -> bool {
        let unbound = claim.str_at(&["spec", "volumeName"]).unwrap_or("").is_empty() && !claim.is_being_deleted();
        let Some(class) = self.class_of(claim).filter(|_| unbound) else { return false };
        let late = class.str_at(&["volumeBindingMode"]) == Some("WaitForFirstConsumer");
        claim.annotation("volume.kubernetes.io/storage-provisioner") == Some(PROVISIONER)
            && class.str_at(&["provisioner"]) == Some(PROVISIONER)
            && (!late || claim.annotation(objects::SELECTED_NODE).is_some())
    }

    fn class_of(&self, claim: &Object) -> Option<&Object> {
        self.classes.get("", claim.str_at(&["spec", "storageClassName"])?)
    }

    /// Where a claim's directory is to be, or why there can't be one.
    fn place_for(&self, name: &Text, claim: &Object) -> Result<Place, String> {
        if claim.at(&["spec", "selector"]).is_some() {
            return Err("claim.Spec.Selector is not supported".into());
        }
        let modes = claim.list_at(&["spec", "accessModes"]);
        if !modes.iter().all(|m| matches!(m.as_str(), Some("ReadWriteOnce" | "ReadWriteOncePod"))) {
            return Err("NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes".into());
        }
        if claim.str_at(&["spec", "volumeMode"]) == Some("Block") {
            return Err("block volumes are not in this bottle".into());
        }
        let node = claim.annotation(objects::SELECTED_NODE).ok_or("configuration error, no node was specified")?;
        let object = self.nodes.get("", node).ok_or_else(|| format!("node \"{node}\" not found"))?;
        let base = base_path(&self.config, node, name)?;
        let hostname = object.label("kubernetes.io/hostname").unwrap_or(node);
        let path = format!("{}/{name}_{}_{}", base.trim_end_matches('/'), claim.namespace(), claim.name());
        Ok(Place { node: node.into(), hostname: hostname.into(), path: path.into() })
    }

    fn start_helper(&mut self, sys: &mut Sys<'_>, name: Text, about: Object, is_removal: bool, place: Place) {
        let what = if is_removal { "Deleting" } else { "Creating" };
        log(sys, "info", &format!("{what} volume {name} at {}:{}", place.node, place.path));
        let pod = objects::helper_pod(&self.helper, &self.namespace, &name, &about, is_removal, &place);
        let id = call(sys, AGENT, Request::create(resources::pods(), pod));
        self.jobs.insert(name, Job { about, is_removal, place, step: Step::StartHelper(id) });
    }

    fn go_on(&mut self, name: &Text, sys: &mut Sys<'_>) {
        while let Some(job) = self.jobs.get(name).cloned() {
            let next = match &job.step {
                Step::StartHelper(id) => match answer(sys, *id) {
                    None => return,
                    // One of a process before this one.
                    Some(Err((409, _)) | Ok(())) => Some(Step::AwaitHelper(sys.now() + HELPER_TIMEOUT)),
                    Some(Err((_, text))) => return self.give_up(sys, name, &job, &text),
                },
                Step::AwaitHelper(until) => match self.helper_result(name, &job, *until, sys) {
                    None => return,
                    Some(result) => {
                        let pod = objects::helper_name(name, job.is_removal);
                        let key = apimachinery::ObjectKey::new(&self.namespace, &pod);
                        Some(Step::RemoveHelper(call(sys, AGENT, Request::delete(resources::pods(), &key)), result))
                    }
                },
                Step::RemoveHelper(id, result) => match (answer(sys, *id), result) {
                    (None, _) => return,
                    (Some(_), Err(text)) => return self.give_up(sys, name, &job, text),
                    (Some(_), Ok(())) => Some(Step::Volume(self.write_volume(name, &job, sys))),
                },
                Step::Volume(id) => match answer(sys, *id) {
                    None => return,
                    Some(Ok(()) | Err((404 | 409, _))) => return self.done(sys, name, &job),
                    Some(Err((_, text))) => return self.give_up(sys, name, &job, &text),
                },
            };
            if let (Some(job), Some(step)) = (self.jobs.get_mut(name), next) {
                job.step = step;
            }
        }
    }

    /// How the helper pod ended; `None`: not yet.
    fn helper_result(&self, name: &Text, job: &Job, until: Time, sys: &Sys<'_>) -> Option<Result<(), String>> {
        let verb = if job.is_removal { "delete" } else { "create" };
        let pod = self.helpers.get(&self.namespace, &objects::helper_name(name, job.is_removal));
        match pod.and_then(|p| p.str_at(&["status", "phase"])) {
            Some("Succeeded") => Some(Ok(())),
            Some("Failed") => Some(Err(format!("failed to {verb} volume {name}: helper pod failed"))),
            _ if sys.now() >= until => Some(Err(format!(
                "failed to {verb} volume {name}: {verb} process timeout after {} seconds",
                HELPER_TIMEOUT.as_secs()
            ))),
            _ => None,
        }
    }

    fn write_volume(&self, name: &Text, job: &Job, sys: &mut Sys<'_>) -> CallId {
        let request = match job.is_removal {
            true => Request::delete(resources::persistentvolumes(), &job.about.key()),
            false => {
                let class = self.class_of(&job.about).cloned();
                let volume = objects::volume(name, &job.about, class.as_ref(), PROVISIONER, &job.place);
                Request::create(resources::persistentvolumes(), volume)
            }
        };
        call(sys, AGENT, request)
    }

    fn done(&mut self, sys: &mut Sys<'_>, name: &Text, job: &Job) {
        self.jobs.remove(name);
        self.resting.remove(name);
        let what = if job.is_removal { "deleted" } else { "created" };
        log(sys, "info", &format!("Volume {name} has been {what} on {}:{}", job.place.node, job.place.path));
        if !job.is_removal {
            let text = format!("Successfully provisioned volume {name}");
            self.event(sys, &job.about, "Normal", "ProvisioningSucceeded", &text);
        }
    }

    fn give_up(&mut self, sys: &mut Sys<'_>, name: &Text, job: &Job, text: &str) {
        self.jobs.remove(name);
        self.failed(sys, name, &job.about, job.is_removal, text);
    }

    /// Says why, and tries again later.
    fn failed(&mut self, sys: &mut Sys<'_>, name: &Text, about: &Object, is_removal: bool, text: &str) {
        let delay = self.resting.get(name).map_or(FIRST_RETRY, |(last, _)| (*last * 2).min(LAST_RETRY));
        self.resting.insert(name.clone(), (delay, sys.now() + delay));
        log(sys, "error", text);
        if is_removal {
            return self.event(sys, about, "Warning", "VolumeFailedDelete", text);
        }
        let class = about.str_at(&["spec", "storageClassName"]).unwrap_or("");
        let text = format!("failed to provision volume with StorageClass {class:?}: {text}");
        self.event(sys, about, "Warning", "ProvisioningFailed", &text);
    }

    fn event(&mut self, sys: &mut Sys<'_>, about: &Object, kind: &str, reason: &str, message: &str) {
        self.events += 1;
        let event = objects::event(about, kind, reason, message, &self.identity, self.events, sys.now());
        // Nobody waits for the answer.
        call(sys, AGENT, Request::create(resources::events(), event));
    }

    fn rest(&self, sys: &mut Sys<'_>) -> Poll {
        let informers = [&self.claims, &self.volumes, &self.classes, &self.nodes, &self.helpers];
        let wakes = informers.iter().filter_map(|i| i.wake_at());
        let rests = self.resting.iter().filter(|(name, _)| !self.jobs.contains_key(*name)).map(|(_, (_, at))| *at);
        let timeouts = self.jobs.values().filter_map(|job| match job.step {
            Step::AwaitHelper(until) => Some(until),
            _ => None,
        });
        let now = sys.now();
        match wakes.chain(rests).chain(timeouts).filter(|at| *at > now).min() {
            Some(at) if sys.sleep_until(at) => Poll::Ready,
            _ => Poll::Pending,
        }
    }
}

fn is_released(volume: &Object) -> bool {
    let text = |path: &[&str]| volume.str_at(path).unwrap_or("").to_string();
    volume.annotation("pv.kubernetes.io/provisioned-by") == Some(PROVISIONER)
        && matches!(&*text(&["status", "phase"]), "Released" | "Failed")
        && text(&["spec", "persistentVolumeReclaimPolicy"]) == "Delete"
        && !volume.is_being_deleted()
}

/// The answer to a call, once it is there: code and message of a failure.
fn answer(sys: &mut Sys<'_>, id: CallId) -> Option<Result<(), (i64, String)>> {
    match sys.api_event(id) {
        Err(Errno::EAGAIN) => None,
        Err(e) => Some(Err((0, e.text().to_string()))),
        Ok(ApiEvent::Response(response)) if response.is_success() && response.code != 0 => Some(Ok(())),
        Ok(ApiEvent::Response(response)) => {
            let text = match &response.body {
                ResponseBody::Text(_, text) => text.to_string(),
                _ => response.message().to_string(),
            };
            Some(Err((response.code as i64, text)))
        }
        Ok(ApiEvent::Failed(text)) => Some(Err((0, text.to_string()))),
        Ok(_) => None,
    }
}

/// The directory on a node below which volumes are made.
fn base_path(config: &Value, node: &str, volume: &str) -> Result<String, String> {
    const DEFAULT: &str = "DEFAULT_PATH_FOR_NON_LISTED_NODES";
    let entries = config.list_at(&["nodePathMap"]);
    let of = |name: &str| entries.iter().find(|e| e.str_at(&["node"]) == Some(name));
    let Some(entry) = of(node).or_else(|| of(DEFAULT)) else {
        return Err(format!("config doesn't contain node {node}, and no {DEFAULT} available"));
    };
    let paths: Vec<&str> = entry.list_at(&["paths"]).iter().filter_map(Value::as_str).filter(|p| p.starts_with('/')).collect();
    if paths.is_empty() {
        return Err(format!("no local path available on node {node}"));
    }
    // Any of them, always the same for one volume.
    Ok(paths[(base::hash64(volume.as_bytes()) % paths.len() as u64) as usize].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn nodes_have_their_own_paths_or_the_default() {
        let config = value!({"nodePathMap": [
            {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/opt/x"]}, {"node": "a", "paths": ["/data"]}, {"node": "b", "paths": []}
        ]});
        assert_eq!(base_path(&config, "a", "v").as_deref(), Ok("/data"));
        assert_eq!(base_path(&config, "z", "v").as_deref(), Ok("/opt/x"));
        assert_eq!(base_path(&config, "b", "v").unwrap_err(), "no local path available on node b");
        let none = base_path(&Value::Null, "a", "v").unwrap_err();
        assert_eq!(none, "config doesn't contain node a, and no DEFAULT_PATH_FOR_NON_LISTED_NODES available");
    }
}
