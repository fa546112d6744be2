//! Checks that try something: a command on the laptop, a request from a pod. Each runs in a throwaway clone of the cluster, so that
//! looking changes nothing.

use apimachinery::{Request, resources};
use base::Time;
use cluster::Cluster;
use cri_api::host::HostMessage;
use sim::Payload;

use crate::condition::like;
use crate::limits;

/// The job's number on the clone's laptop.
const JOB: u32 = 5_999_999;

/// What is tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Try {
    pub what: What,
    /// It should end so; `None`: anything but 0.
    pub exit: Option<i32>,
    /// Its output has all of these in it.
    pub contains: Vec<String>,
    /// And none of these.
    pub lacks: Vec<String>,
    /// Or is like this, without white space around.
    pub prints: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A command line of the laptop's shell.
    Run(String),
    /// An HTTP request, from a pod (`pod/name`, `app=web`, with `namespace`) or the laptop.
    Request { from: String, namespace: String, url: String },
    /// A command in a pod's container.
    Exec { pod: String, namespace: String, container: Option<String>, command: String },
}

impl Default for What {
    fn default() -> What {
        What::Run(String::new())
    }
}

/// A try under way.
#[derive(Clone)]
pub(crate) struct Running {
    cluster: Cluster,
    began: Time,
    events: u64,
    output: Vec<u8>,
    /// Found before anything ran.
    at_once: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tried {
    pub holds: bool,
    /// The last line that was printed, or why it couldn't be tried.
    pub line: String,
}

impl Try {
    /// Clones the cluster and begins.
    pub(crate) fn begin(&self, base: &Cluster) -> Running {
        let mut cluster = base.clone();
        cluster.take_page_messages();
        let began = cluster.now();
        let mut running = Running { cluster, began, events: 0, output: Vec::new(), at_once: None };
        match self.command(base) {
            Ok(command) => {
                let argv = ["sh", "-c", &command].map(Into::into).to_vec();
                let laptop = running.cluster.laptop;
                let message = HostMessage::RunJob { job: JOB, argv, stdin: (*b"").into() };
                running.cluster.inject(laptop, Payload::Host(message.into()), &mut ());
            }
            Err(why) => running.at_once = Some(why),
        }
        running
    }

    /// The command line of the laptop that tries it.
    fn command(&self, cluster: &Cluster) -> Result<String, String> {
        match &self.what {
            What::Run(command) => Ok(command.clone()),
            What::Request { from, url, .. } if from == "laptop" => Ok(format!("curl -sS -m 5 {}", quote(url))),
            What::Request { from, namespace, url } => {
                let pod = pod_of(cluster, from, namespace)?;
                Ok(format!("kubectl exec -n {namespace} {pod} -- wget -q -O- -T 4 {}", quote(url)))
            }
            What::Exec { pod, namespace, container, command } => {
                let pod = pod_of(cluster, pod, namespace)?;
                let container = container.as_ref().map(|c| format!(" -c {}", quote(c))).unwrap_or_default();
                Ok(format!("kubectl exec -n {namespace} {pod}{container} -- sh -c {}", quote(command)))
            }
        }
    }

    fn judge(&self, code: i32, output: &[u8]) -> Tried {
        let text = String::from_utf8_lossy(output);
        let ended = match self.exit {
            Some(wanted) => code == wanted,
            None => code != 0,
        };
        let holds = ended
            && self.contains.iter().all(|c| text.contains(c.as_str()))
            && !self.lacks.iter().any(|c| text.contains(c.as_str()))
            && self.prints.as_ref().is_none_or(|p| like(p, text.trim()));
        let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty() && !l.starts_with("command terminated"));
        Tried { holds, line: line.unwrap_or("it printed nothing").chars().take(200).collect() }
    }
}

impl Running {
    /// Handles at most `n` messages of the clone. Some: it has ended.
    pub fn run(&mut self, asked: &Try, n: u64) -> Option<Tried> {
        if let Some(line) = self.at_once.take() {
            return Some(Tried { holds: false, line });
        }
        for _ in 0..n {
            self.events += 1;
            if self.cluster.step(&mut ()).is_none() {
                break;
            }
            for message in self.cluster.take_page_messages() {
                match message {
                    HostMessage::JobOutput { job: JOB, data, .. } => {
                        let room = limits::OUTPUT.saturating_sub(self.output.len());
                        self.output.extend_from_slice(&data[..data.len().min(room)]);
                    }
                    HostMessage::JobDone { job: JOB, code } => return Some(asked.judge(code, &self.output)),
                    _ => {}
                }
            }
        }
        let over = self.cluster.now().since(self.began) > limits::TRIAL || self.events > limits::TRIAL_EVENTS;
        over.then(|| asked.judge(124, &self.output))
    }
}

/// A running pod: by name, or the first that a selector matches.
fn pod_of(cluster: &Cluster, text: &str, namespace: &str) -> Result<String, String> {
    let mut request = Request::list(resources::pods(), namespace);
    request.credential = cluster::administrator();
    let api = cluster.api().filter(|a| a.is_ready()).ok_or("kube-apiserver does not answer")?;
    let response = api.read(&request, cluster.now());
    let pods = response.as_list().map(|l| l.items.clone()).unwrap_or_default();
    let runs = |p: &&apimachinery::Object| p.str_at(&["status", "phase"]) == Some("Running") && !p.is_being_deleted();
    let found = match text.strip_prefix("pod/") {
        Some(name) => pods.iter().filter(runs).find(|p| p.name() == name),
        None => {
            let selector = apimachinery::labels::Selector::parse(text).map_err(|e| format!("selector {text:?}: {e}"))?;
            pods.iter().filter(runs).find(|p| selector.matches(p.labels()))
        }
    };
    found.map(|p| p.name().to_string()).ok_or_else(|| format!("there is no running pod {}", text.trim_start_matches("pod/")))
}

/// One word of the shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
