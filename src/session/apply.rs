//! The manifest editor's Apply: `kubectl apply -f -` on the laptop, its output turned into one result a document.

use apimachinery::yaml;
use cri_api::host::HostMessage;
use protocol::{Applied, AppliedDocument, Level, Outcome, ToPage};

use crate::session::Session;

/// A text above this is refused: a browser tab is not a data centre.
const MAX_BYTES: usize = 16 << 20;

#[derive(Clone, Debug)]
struct Job {
    job: u32,
    id: u32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Line of each document, from 1.
    lines: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Applies {
    jobs: Vec<Job>,
    next: u32,
}

impl Applies {
    pub fn any(&self) -> bool {
        !self.jobs.is_empty()
    }

    pub fn output(&mut self, job: u32, stderr: bool, data: &[u8], _queue: &mut [ToPage]) {
        if let Some(job) = self.jobs.iter_mut().find(|j| j.job == job) {
            if stderr { &mut job.stderr } else { &mut job.stdout }.extend_from_slice(data);
        }
    }

    pub fn done(&mut self, number: u32, code: i32, queue: &mut Vec<ToPage>) {
        let Some(i) = self.jobs.iter().position(|j| j.job == number) else { return };
        let job = self.jobs.remove(i);
        queue.push(ToPage::Applied(result(&job, code)));
    }
}

impl Session {
    pub(crate) fn apply(&mut self, id: u32, name: &str, text: &str, dry_run: bool) {
        if text.len() > MAX_BYTES {
            return self.refuse(id, 1, 0, format!("error: the text is larger than {} MiB", MAX_BYTES >> 20));
        }
        // A text that isn't YAML is shown at its place at once; kubectl would only say the line.
        let documents = match yaml::parse_all(text) {
            Ok(documents) => documents,
            Err(e) => {
                return self.refuse(id, e.line as u32, e.column as u32, format!("error: error parsing {name}: {}", e.message));
            }
        };
        if documents.is_empty() {
            return self.refuse(id, 1, 0, "error: no objects passed to apply".into());
        }
        self.applies.next += 1;
        let job = 1_000 + self.applies.next;
        let lines = documents.iter().map(|(line, _)| *line as u32).collect();
        self.applies.jobs.push(Job { job, id, stdout: Vec::new(), stderr: Vec::new(), lines });
        let mut argv: Vec<std::rc::Rc<str>> = ["kubectl", "apply", "-f", "-"].map(Into::into).into();
        if dry_run {
            argv.push("--dry-run=server".into());
        }
        self.to_laptop(HostMessage::RunJob { job, argv, stdin: text.as_bytes().into() });
    }

    fn refuse(&mut self, id: u32, line: u32, column: u32, text: String) {
        let document = AppliedDocument {
            index: 0,
            line,
            column,
            outcome: Outcome::Failed,
            text: text.clone(),
            thing: None,
            warnings: Vec::new(),
        };
        self.say(ToPage::Applied(Applied { id, documents: vec![document], done: true }));
        self.notice(Level::Error, text);
    }
}

/// kubectl prints one line a document that went well, in order, and the errors of the others.
fn result(job: &Job, code: i32) -> Applied {
    let stdout = String::from_utf8_lossy(&job.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&job.stderr).into_owned();
    let mut documents: Vec<AppliedDocument> = Vec::new();
    let line_of = |i: usize| job.lines.get(i).copied().unwrap_or(1);
    let mut push = |text: &str, outcome: Outcome| {
        let index = documents.len();
        documents.push(AppliedDocument {
            index: index as u32,
            line: line_of(index),
            column: 0,
            outcome,
            text: text.to_string(),
            thing: None,
            warnings: Vec::new(),
        });
    };
    for line in stdout.lines().take(2_000) {
        let outcome = match () {
            () if line.ends_with(" created") || line.contains(" created (") => Outcome::Created,
            () if line.ends_with(" unchanged") || line.contains(" unchanged (") => Outcome::Unchanged,
            () => Outcome::Configured,
        };
        push(line, outcome);
    }
    let (warnings, errors): (Vec<&str>, Vec<&str>) = stderr.lines().partition(|l| l.starts_with("Warning: "));
    if !errors.is_empty() || code != 0 {
        let text = if errors.is_empty() { format!("kubectl ended with {code}") } else { errors.join("\n") };
        push(&text, Outcome::Failed);
    }
    if let Some(first) = documents.first_mut() {
        first.warnings = warnings.iter().map(|w| w.trim_start_matches("Warning: ").to_string()).collect();
    }
    Applied { id: job.id, documents, done: true }
}
