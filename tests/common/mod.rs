//! Scenario files (markdown in trycmd's form, see tests/scenarios/README.md): parsed, run against a cluster in this process, judged.
//!
//! The commands run in a shell on the simulated laptop, so that our kubectl, our shell and the whole cluster are in it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use apimachinery::{Gvr, Object, Request};
use base::Duration;
use cluster::{Bottle, Cluster, Config, Input};
use cri_api::host::HostMessage;
use sim::Payload;

/// One `$ command` with what it must print.
pub struct Command {
    pub text: String,
    /// What a sentence says was done by other hands than kubectl's: not counted.
    pub deed: bool,
    pub status: i32,
    pub lines: Vec<String>,
}

/// A file's contents.
pub struct Scenario {
    pub name: String,
    /// The configuration named by `<!-- config: NAME -->`.
    pub config: Option<String>,
    pub files: Vec<(String, String)>,
    pub commands: Vec<Command>,
}

/// Reads a scenario file.
pub fn parse(path: &Path) -> Scenario {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let config = text.split_once("<!-- config: ").and_then(|(_, rest)| Some(rest.split_once(" -->")?.0.to_string()));
    let mut scenario = Scenario { name, config, files: Vec::new(), commands: Vec::new() };
    let mut fence: Option<(bool, Option<String>, String)> = None;
    for line in text.lines() {
        match &mut fence {
            None => {
                let deeds = DEEDS.iter().filter(|(sentence, _)| line.starts_with(sentence)).flat_map(|(_, deeds)| *deeds);
                scenario.commands.extend(deeds.map(|deed| Command::deed(deed)));
                let Some(info) = line.strip_prefix("```") else { continue };
                let file = info.split_whitespace().find_map(|w| w.strip_prefix("file=")).map(str::to_string);
                fence = Some((info.split_whitespace().next() == Some("console"), file, String::new()));
            }
            Some((_, file, body)) if line == "```" => {
                if let Some(file) = file.take() {
                    scenario.files.push((file, std::mem::take(body)));
                }
                fence = None;
            }
            Some((true, _, _)) => console_line(&mut scenario.commands, line),
            Some((false, _, body)) => {
                body.push_str(line);
                body.push('\n');
            }
        }
    }
    scenario
}

impl Command {
    fn deed(text: &str) -> Command {
        Command { text: text.into(), deed: true, status: 0, lines: Vec::new() }
    }
}

/// The sentences in the recordings of a node that tell what was done beside kubectl.
const DEEDS: &[(&str, &[&str])] = &[
    ("There is a second node, `node-2`, kept ready but cordoned", &["kubectl cordon node-2"]),
    ("The kubelet is stopped here", &["sim stop-kubelet node-1"]),
    ("The kubelet is started again.", &["sim start-kubelet node-1"]),
    ("The kubelet is stopped and its Node deleted; then it is started again.", &["sim stop-kubelet node-1"]),
    ("The file below is put into the kubelet's static pod directory", &["sim manifest static-web.yaml"]),
    (
        "Now the file's image becomes `nginx:1.25`:",
        &["sed -i s/nginx:1.27/nginx:1.25/ static-web.yaml", "sim manifest static-web.yaml"],
    ),
    ("And now the file is taken away:", &["rm static-web.yaml", "sim manifest static-web.yaml"]),
];

fn console_line(commands: &mut Vec<Command>, line: &str) {
    if let Some(text) = line.strip_prefix("$ ") {
        // The one place where a deed has no sentence of its own: "then it is started again".
        if text.starts_with("kubectl wait --for=create node/") {
            commands.push(Command::deed("sim start-kubelet node-1"));
        }
        return commands.push(Command { text: text.into(), deed: false, status: 0, lines: Vec::new() });
    }
    let Some(last) = commands.last_mut() else { return };
    match line.strip_prefix("? ") {
        Some(status) if last.lines.is_empty() => last.status = status.trim().parse().unwrap_or(1),
        _ if line.starts_with("#~ ") => {}
        _ => last.lines.push(line.trim_end().to_string()),
    }
}

/// `[..]` stands for any run of characters.
fn line_matches(want: &str, got: &str) -> bool {
    let parts: Vec<&str> = want.split("[..]").collect();
    let [first, middle @ .., last] = parts.as_slice() else { return want == got };
    let Some(mut rest) = got.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// `...` stands for any lines. Lines in a row that begin with the same made-up name (`web-[..]`) may come in any order: who is first
/// among them is chance.
pub fn matches(want: &[String], got: &[String]) -> bool {
    match want.first().map(String::as_str) {
        None => got.is_empty(),
        Some("...") => (0..=got.len()).any(|skip| matches(&want[1..], &got[skip..])),
        Some(line) => (0..tied(want).min(got.len())).any(|at| {
            line_matches(line, &got[at]) && {
                let others: Vec<String> = got[..at].iter().chain(&got[at + 1..]).cloned().collect();
                matches(&want[1..], &others)
            }
        }),
    }
}

/// How many lines begin with the name that the first begins with, if it is made up; else 1.
fn tied(want: &[String]) -> usize {
    let name = |line: &String| line.split_whitespace().next().unwrap_or("").to_string();
    let first = want.first().map(name).unwrap_or_default();
    match first.contains("[..]") {
        true => want.iter().take_while(|line| name(line) == first).count(),
        false => 1,
    }
}

fn without_blank_end(lines: &[String]) -> &[String] {
    let end = lines.iter().rposition(|l| !l.is_empty()).map_or(0, |i| i + 1);
    &lines[..end]
}

/// A cluster with a shell at hand.
pub struct Session {
    pub cluster: Cluster,
    jobs: u32,
}

/// Boots a configuration until it is ready.
pub fn boot(config: Config) -> Cluster {
    let mut cluster = Cluster::new(config);
    let limit = cluster.now() + Duration::from_secs(300);
    while !cluster.is_ready() {
        assert!(cluster.now() < limit, "the cluster does not come up");
        let next = cluster.now() + Duration::from_millis(200);
        cluster.run_until(next, &mut ());
    }
    // The recorded clusters had been up for a while: default service accounts and the like exist, no node is tainted.
    let settled = cluster.now() + Duration::from_secs(20);
    cluster.run_until(settled, &mut ());
    cluster.take_page_messages();
    cluster
}

/// Objects as kube-apiserver has them, off the record.
pub fn list(cluster: &Cluster, gvr: Gvr, namespace: &str) -> Vec<Object> {
    let mut request = Request::list(gvr, namespace);
    request.credential = cluster::administrator();
    let Some(api) = cluster.api() else { return Vec::new() };
    api.read(&request, cluster.now()).as_list().map(|l| l.items.clone()).unwrap_or_default()
}

/// What `sim settle` looks at.
const WATCHED: &str = "v1/pods apps/v1/replicasets apps/v1/deployments apps/v1/statefulsets apps/v1/daemonsets batch/v1/jobs \
batch/v1/cronjobs v1/services discovery.k8s.io/v1/endpointslices policy/v1/poddisruptionbudgets v1/resourcequotas v1/namespaces \
v1/persistentvolumeclaims v1/persistentvolumes autoscaling/v2/horizontalpodautoscalers v1/secrets v1/serviceaccounts \
v1/configmaps v1/replicationcontrollers";

fn watched() -> Vec<Gvr> {
    let gvr = |path: &str| match path.split('/').collect::<Vec<_>>()[..] {
        [group, version, resource] => Gvr::new(group, version, resource),
        [version, resource] => Gvr::new("", version, resource),
        _ => panic!("{path}"),
    };
    WATCHED.split_whitespace().map(gvr).collect()
}

const DIR: &str = "/root/work";
/// The recorded sessions had a home of that name.
const HOME: &str = "/root/home";

impl Session {
    pub fn new(cluster: Cluster) -> Session {
        Session { cluster, jobs: 100 }
    }

    fn host(&mut self, message: HostMessage) {
        let laptop = self.cluster.laptop;
        self.cluster.inject(laptop, Payload::Host(Rc::new(message)), &mut ());
    }

    pub fn write_file(&mut self, name: &str, text: &str) {
        self.host(HostMessage::WriteFile { path: format!("{DIR}/{name}").into(), data: text.as_bytes().into() });
    }

    pub fn advance(&mut self, by: Duration) {
        let until = self.cluster.now() + by;
        self.cluster.run_until(until, &mut ());
    }

    /// Runs a command line in the working directory: exit status and what it printed.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        self.jobs += 1;
        let mine = self.jobs;
        let argv = ["sh", "-c", &format!("export HOME={HOME}; cd {DIR}; {command}")].map(Into::into).to_vec();
        self.host(HostMessage::RunJob { job: mine, argv, stdin: (*b"").into() });
        let limit = self.cluster.now() + Duration::from_secs(120);
        let mut out = Vec::new();
        while self.cluster.now() < limit {
            self.cluster.step(&mut ());
            for message in self.cluster.take_page_messages() {
                match message {
                    HostMessage::JobOutput { job, data, .. } if job == mine => out.extend_from_slice(&data),
                    HostMessage::JobDone { job, code } if job == mine => {
                        // A real process takes as long to start.
                        self.advance(Duration::from_millis(80));
                        return (code, String::from_utf8_lossy(&out).replace(&format!("{DIR}/"), ""));
                    }
                    _ => {}
                }
            }
        }
        (124, format!("{}\n(timed out)", String::from_utf8_lossy(&out)))
    }

    /// Runs until no object has changed for three seconds (seven while a namespace goes).
    pub fn settle(&mut self) {
        let limit = self.cluster.now() + Duration::from_secs(60);
        let kinds = watched();
        let (mut last, mut since) = (Vec::new(), self.cluster.now());
        while self.cluster.now() < limit {
            let mut quiet = Duration::from_secs(3);
            let mut state = Vec::new();
            for gvr in &kinds {
                for object in list(&self.cluster, *gvr, "") {
                    if gvr.resource == "namespaces" && object.is_being_deleted() {
                        quiet = Duration::from_secs(7);
                    }
                    state.push((object.uid().to_string(), object.revision()));
                }
            }
            if state != last {
                (last, since) = (state, self.cluster.now());
            } else if self.cluster.now().since(since) >= quiet {
                return;
            }
            self.advance(Duration::from_millis(500));
        }
    }

    /// `sim …` and `sleep N`. `None`: it is a command for the shell.
    fn steer(&mut self, text: &str) -> Option<String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let seconds = |t: &str| t.trim_end_matches('s').parse::<f64>().ok().map(Duration::from_secs_f64);
        match words.as_slice() {
            ["sim", "settle"] => self.settle(),
            ["sim", "advance", time] | ["sleep", time] if seconds(time).is_some() => self.advance(seconds(time)?),
            ["sim", "power-off", node] => self.cluster.power_off(node, &mut ()),
            ["sim", "power-on", node] => self.cluster.power_on(node, &mut ()),
            ["sim", "stop-kubelet", node] => self.cluster.stop_kubelet(node, &mut ()),
            ["sim", "start-kubelet", node] => self.cluster.start_kubelet(node, &mut ()),
            ["sim", "manifest", name] => self.manifest(name),
            ["sim", ..] => return Some(format!("unknown: {text}")),
            _ => return None,
        }
        Some(String::new())
    }

    /// Puts a file of the working directory among node-1's static pods, or takes away what isn't there any more.
    fn manifest(&mut self, name: &str) {
        let (status, text) = self.run(&format!("cat {name}"));
        let path = format!("/etc/kubernetes/manifests/{name}");
        let Some(node) = self.cluster.nodes.get("node-1").and_then(|n| n.runtime) else { return };
        let message = match status {
            0 => HostMessage::WriteFile { path: path.as_str().into(), data: text.as_bytes().into() },
            _ => HostMessage::RunJob { job: 1, argv: ["rm", &path].map(Into::into).to_vec(), stdin: (*b"").into() },
        };
        self.cluster.inject(node, Payload::Host(Rc::new(message)), &mut ());
        self.advance(Duration::from_millis(100));
        self.cluster.take_page_messages();
    }

    fn command(&mut self, command: &Command) -> Result<(), String> {
        let (status, text) = match self.steer(&command.text) {
            Some(problem) => (i32::from(!problem.is_empty()), problem),
            None => self.run(&command.text),
        };
        let got: Vec<String> = text.lines().map(|l| l.trim_end().to_string()).collect();
        let (want, got) = (without_blank_end(&command.lines), without_blank_end(&got));
        if status == command.status && matches(want, got) {
            return Ok(());
        }
        let mut report = format!("  $ {}\n", command.text);
        if status != command.status {
            let _ = writeln!(report, "    exit status {status}, wanted {}", command.status);
        }
        for line in want.iter().filter(|w| !got.iter().any(|g| line_matches(w, g))) {
            let _ = writeln!(report, "    - {line}");
        }
        for line in got.iter().filter(|g| !want.iter().any(|w| line_matches(w, g))) {
            let _ = writeln!(report, "    + {line}");
        }
        if !report.contains("\n    ") {
            report.push_str("    the same lines, but not in this order or number:\n");
            got.iter().for_each(|line| _ = writeln!(report, "      {line}"));
        }
        Err(report)
    }
}

/// What came of a file.
pub struct Outcome {
    pub name: String,
    pub passed: usize,
    pub failures: Vec<String>,
}

/// Runs a scenario on a cluster of its own.
pub fn play(scenario: &Scenario, cluster: Cluster) -> Outcome {
    let mut session = Session::new(cluster);
    session.write_file(".keep", "");
    session.run("mkdir -p $HOME/.kube; cp /root/.kube/config $HOME/.kube/config");
    if &*session.cluster.config.name == "kubelet" {
        // Each session had a namespace of its own, without the node's events.
        session.run("kubectl delete events --all");
    }
    for (name, text) in &scenario.files {
        session.write_file(name, text);
    }
    session.advance(Duration::from_millis(50));
    let mut outcome = Outcome { name: scenario.name.clone(), passed: 0, failures: Vec::new() };
    for command in &scenario.commands {
        match session.command(command) {
            _ if command.deed => {}
            Ok(()) => outcome.passed += 1,
            Err(report) => outcome.failures.push(report),
        }
    }
    outcome
}

/// The markdown files of a folder below `tests/`, sorted; of one name only if `KUBOTTLE_SCENARIO` is set.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let only = std::env::var("KUBOTTLE_SCENARIO").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "md") && !p.ends_with("README.md"))
        .filter(|p| only.is_empty() || p.file_stem().is_some_and(|s| s.to_string_lossy() == only))
        .collect();
    files.sort();
    files
}

const WITH_SECOND: &str = "+node-2";

/// A built-in configuration, with a second node like the first if the name says so.
fn config(name: &str) -> Config {
    let named = name.strip_suffix(WITH_SECOND).unwrap_or(name);
    let mut config = Config::named(named).unwrap_or_else(|| Config::from_yaml(named).unwrap());
    // As the Scheduled events of the recorded node show.
    config.core_scheduler_events = &*config.name == "kubelet";
    if name.ends_with(WITH_SECOND) {
        let first = config.nodes[0].clone();
        let std::net::IpAddr::V4(ip) = first.ip else { panic!("IPv4") };
        let next = std::net::Ipv4Addr::from(u32::from(ip) + 1);
        config.nodes.push(cluster::NodeConfig { name: "node-2".into(), ip: next.into(), control_plane: false, ..first });
    }
    config
}

/// Plays all files on as many threads as there are processors; each boots a configuration once and clones it.
pub fn play_all(files: &[PathBuf], default_config: &str) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get()).min(files.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let work = || {
                let mut booted: Vec<(String, Cluster)> = Vec::new();
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let scenario = parse(path);
                    let mut name = scenario.config.clone().unwrap_or_else(|| default_config.to_string());
                    if scenario.commands.iter().any(|c| c.deed && c.text == "kubectl cordon node-2") {
                        name.push_str(WITH_SECOND);
                    }
                    if !booted.iter().any(|(n, _)| *n == name) {
                        booted.push((name.clone(), boot(config(&name))));
                    }
                    let cluster = booted.iter().find(|(n, _)| *n == name).unwrap().1.clone();
                    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(&scenario, cluster)));
                    let outcome = played.unwrap_or_else(|_| Outcome {
                        name: scenario.name.clone(),
                        passed: 0,
                        failures: scenario
                            .commands
                            .iter()
                            .filter(|c| !c.deed)
                            .map(|c| format!("  $ {} (panicked somewhere)\n", c.text))
                            .collect(),
                    });
                    outcomes.lock().unwrap().push(outcome);
                }
            };
            // The evaluators recurse.
            std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work).unwrap();
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    outcomes
}

/// Compares with the list of what is known not to hold: more failures of a file fail the test, fewer ask for a lower number.
/// `UPDATE_EXPECT=1` rewrites the list.
pub fn judge(outcomes: &[Outcome], folder: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder).join("known-failures.txt");
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let allowed = |name: &str| {
        let line = known.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<usize>().ok());
        line.unwrap_or(0)
    };
    let (mut report, mut list, mut worse) = (String::new(), String::new(), Vec::new());
    for o in outcomes {
        let _ = writeln!(report, "{}: {} hold, {} fail\n{}", o.name, o.passed, o.failures.len(), o.failures.concat());
        if !o.failures.is_empty() {
            let _ = writeln!(list, "{} {}", o.name, o.failures.len());
        }
        if o.failures.len() > allowed(&o.name) {
            worse.push(format!(
                "{}: {} commands fail, {} known\n{}",
                o.name,
                o.failures.len(),
                allowed(&o.name),
                o.failures.concat()
            ));
        } else if o.failures.len() < allowed(&o.name) {
            println!("{}: only {} commands fail: lower the number in {}", o.name, o.failures.len(), path.display());
        }
    }
    let passed: usize = outcomes.iter().map(|o| o.passed).sum();
    let failed: usize = outcomes.iter().map(|o| o.failures.len()).sum();
    let whole = outcomes.iter().filter(|o| o.failures.is_empty()).count();
    println!("{folder}: {passed} of {} commands hold, {whole} of {} files whole", passed + failed, outcomes.len());
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.log", folder.replace('/', "-")));
    std::fs::write(&log, report).unwrap();
    if std::env::var("UPDATE_EXPECT").is_ok_and(|v| v == "1") && std::env::var("KUBOTTLE_SCENARIO").is_err() {
        std::fs::write(&path, list).unwrap();
        return;
    }
    assert!(worse.is_empty(), "{}\n(the whole report: {})", worse.join("\n"), log.display());
}

/// A bottle that has booted.
pub fn booted_bottle(config: Config) -> Bottle {
    let mut bottle = Bottle::new(config);
    let limit = bottle.start() + Duration::from_secs(300);
    while !bottle.head().is_ready() {
        assert!(bottle.head().now() < limit, "the cluster does not come up");
        let next = bottle.head().now() + Duration::from_millis(200);
        bottle.run_until(next, u64::MAX);
    }
    bottle
}

/// Gives the laptop a command and runs for a while.
pub fn command(bottle: &mut Bottle, text: &str, then: Duration) {
    let argv = ["sh", "-c", text].map(Into::into).to_vec();
    bottle.input(Input::Laptop(Rc::new(HostMessage::RunJob { job: 1, argv, stdin: (*b"").into() })));
    let until = bottle.head().now() + then;
    bottle.run_until(until, u64::MAX);
    bottle.head_mut().take_page_messages();
}
