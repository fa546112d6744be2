//! What the add-ons pane asks: lines for the laptop's shell, so that what the page does is what a user could type (`kubectl apply`,
//! `curl`), and each is an input like any other. The answers are kept here.

use protocol::{Executed, ToWorker, Us};

use super::App;
use crate::shared::Shared;

/// What is asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Question {
    Install(&'static str),
    Remove(&'static str),
    /// PromQL, now and for the last fifteen minutes.
    Query(String),
    /// Words and fields for the log store.
    Search(String),
}

/// The newest answers.
#[derive(Clone, Default)]
pub struct Answers {
    /// Whose answer is awaited.
    pub open: Vec<Question>,
    /// Of the last installation or removal: which add-on, and what kubectl said.
    pub applied: Option<(&'static str, String)>,
    /// Two documents of Prometheus' API: of the moment and of the range; or why there are none.
    pub query: Option<Result<(String, String), String>>,
    pub search: Option<Result<String, String>>,
}

/// Questions under way.
#[derive(Default)]
pub struct AddonsDesk {
    numbers: Vec<(u32, Question)>,
    pub answers: Shared<Answers>,
}

/// How far back the plot goes, and how far apart its points are, in seconds.
const RANGE_S: i64 = 900;
const STEP_S: i64 = 15;
/// Between two documents of one answer.
const CUT: &str = "\n\u{1e}\n";
/// The first node that /etc/hosts names: a NodePort is open on each.
const HOST: &str = "H=$(awk 'NR == 2 { print $2 }' /etc/hosts)";

fn line(question: &Question, now_us: Us) -> String {
    match question {
        Question::Install(name) => format!("kubectl apply -f /addons/{name}.yaml"),
        Question::Remove(name) => format!("kubectl delete -f /addons/{name}.yaml --ignore-not-found --wait=false"),
        Question::Query(text) => {
            let (query, now) = (escape(text), now_us / 1_000_000);
            let api = "http://$H:30090/api/v1";
            format!(
                "{HOST}; curl -sS -m 5 \"{api}/query?query={query}\" && printf '\\n\\036\\n' && curl -sS -m 5 \"{api}/query_range?query={query}&start={}&end={now}&step={STEP_S}\"",
                now - RANGE_S
            )
        }
        Question::Search(text) => format!("{HOST}; curl -sS -m 5 \"http://$H:30928/search?limit=200&q={}\"", escape(text)),
    }
}

/// Percent-encoded: nothing of it means anything to a shell.
fn escape(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

impl App {
    pub(super) fn ask_addons(&mut self, question: Question) {
        let number = self.count();
        let line = line(&question, self.seen.clock.now_us);
        self.addons.answers.make_mut().open.push(question.clone());
        self.addons.numbers.push((number, question));
        self.send(&ToWorker::Exec { id: number, line });
    }

    /// A command has ended. False: it was an embedding page's.
    pub(super) fn addons_executed(&mut self, executed: &Executed) -> bool {
        let Some(at) = self.addons.numbers.iter().position(|(n, _)| *n == executed.id) else { return false };
        let (_, question) = self.addons.numbers.remove(at);
        let answers = self.addons.answers.make_mut();
        if let Some(at) = answers.open.iter().position(|q| *q == question) {
            answers.open.remove(at);
        }
        let failed = || {
            let text = executed.stderr.trim();
            match text.contains("refused") || text.contains("Could not") || text.contains("timed out") {
                true => format!("{text}\nNobody answers: is the add-on installed and running?"),
                false => text.to_string(),
            }
        };
        match question {
            Question::Install(name) | Question::Remove(name) => {
                answers.applied = Some((name, format!("{}{}", executed.stdout, executed.stderr)));
            }
            Question::Query(_) => {
                answers.query = Some(match executed.stdout.split_once(CUT) {
                    Some((now, range)) if executed.code == 0 => Ok((now.into(), range.into())),
                    _ => Err(failed()),
                });
            }
            Question::Search(_) => {
                answers.search = Some(if executed.code == 0 { Ok(executed.stdout.clone()) } else { Err(failed()) });
            }
        }
        true
    }
}
