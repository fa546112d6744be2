//! A command that is written straight through and can be stopped at every wait: it runs again from its top, and what it did before is
//! remembered instead of done again. As kubectl's verbs (`kubectl/ctx.rs`), in small.

use std::rc::Rc;

use apimachinery::{Credential, Request, Response, ResponseBody};
use base::{Duration, Time};
use cri_api::machine::Sys;

use crate::programs::asked::{Asking, Told, WORLD, told};

/// The command waits; it is run again later.
pub(super) struct Wait;

/// What goes through unless it waits.
pub(super) type Step<T> = Result<T, Wait>;

/// The answer to a request: kube-apiserver's, or Go's words for a connection that could not be made.
pub(super) type Answer = Result<Rc<Response>, Rc<str>>;

/// What came of one thing that the command did.
#[derive(Clone)]
enum Record {
    Done,
    Text(Option<Rc<str>>),
    Names(Rc<[Rc<str>]>),
    Answer(Answer),
    Time(Time),
    Until(Time),
}

/// What was done so far.
#[derive(Clone, Default)]
pub(super) struct Script {
    records: Vec<Record>,
    asking: Asking,
    /// A request is under way.
    open: bool,
}

impl Script {
    /// Runs `command` as far as it goes. `None`: it waits.
    pub fn run(&mut self, sys: &mut Sys<'_>, command: impl FnOnce(&mut Cx<'_, '_>) -> Step<i32>) -> Option<i32> {
        match self.asking.flush(sys) {
            Err(_) => return None,
            Ok(Some(code)) => return Some(code),
            Ok(None) => {}
        }
        let mut cx = Cx { sys: &mut *sys, script: &mut *self, at: 0 };
        if let Ok(code) = command(&mut cx) {
            self.asking.end(1, "", code);
        }
        self.asking.flush(sys).ok().flatten()
    }
}

/// What a command can do. Every method is a step that is remembered.
pub(super) struct Cx<'a, 'b> {
    sys: &'a mut Sys<'b>,
    script: &'a mut Script,
    at: usize,
}

impl Cx<'_, '_> {
    /// Does something once.
    fn step(&mut self, act: impl FnOnce(&mut Sys<'_>, &mut Asking) -> Record) -> Record {
        self.at += 1;
        if let Some(record) = self.script.records.get(self.at - 1) {
            return record.clone();
        }
        let record = act(self.sys, &mut self.script.asking);
        self.script.records.push(record.clone());
        record
    }

    pub fn say(&mut self, text: impl AsRef<str>) {
        self.step(|_, asking| {
            asking.say(1, text.as_ref());
            Record::Done
        });
    }

    pub fn complain(&mut self, text: impl AsRef<str>) {
        self.step(|_, asking| {
            asking.say(2, text.as_ref());
            Record::Done
        });
    }

    /// The time when this was first asked.
    pub fn now(&mut self) -> Time {
        match self.step(|sys, _| Record::Time(sys.now())) {
            Record::Time(time) => time,
            _ => Time::EPOCH,
        }
    }

    pub fn hostname(&self) -> String {
        self.sys.config().hostname.to_string()
    }

    pub fn var(&self, name: &str) -> Option<String> {
        self.sys.var(name).map(|v| v.to_string())
    }

    /// A file's text. `None`: there is none.
    pub fn read(&mut self, path: &str) -> Option<Rc<str>> {
        let record = self.step(|sys, _| {
            let bytes = sys.read_file(path).ok();
            Record::Text(bytes.map(|b| String::from_utf8_lossy(&b).into_owned().into()))
        });
        match record {
            Record::Text(text) => text,
            _ => None,
        }
    }

    pub fn exists(&mut self, path: &str) -> bool {
        let record = self.step(|sys, _| Record::Text(sys.stat(path).is_ok().then(|| "".into())));
        matches!(record, Record::Text(Some(_)))
    }

    /// What is in a directory.
    pub fn list(&mut self, path: &str) -> Rc<[Rc<str>]> {
        match self.step(|sys, _| Record::Names(sys.read_dir(path).unwrap_or_default().into())) {
            Record::Names(names) => names,
            _ => Rc::new([]),
        }
    }

    /// Writes a file, with the directories above it.
    pub fn write(&mut self, path: &str, text: &str, mode: u16) {
        self.step(|sys, _| {
            for (i, _) in path.match_indices('/').skip(1) {
                let _ = sys.mkdir(&path[..i], 0o755);
            }
            let _ = sys.write_file(path, text.as_bytes());
            let _ = sys.chmod(path, mode);
            Record::Done
        });
    }

    /// Removes a file, or what is below a directory and with `whole` the directory too.
    pub fn remove(&mut self, path: &str, whole: bool) {
        self.step(|sys, _| {
            remove(sys, path, whole);
            Record::Done
        });
    }

    pub fn sleep(&mut self, span: Duration) -> Step<()> {
        match self.step(|sys, _| Record::Until(sys.now() + span)) {
            Record::Until(at) if !self.sys.sleep_until(at) => Err(Wait),
            _ => Ok(()),
        }
    }

    /// A number nobody guesses, different at every call.
    pub fn random(&mut self) -> u64 {
        let pid = u64::from(self.sys.pid());
        let at = self.at as u64;
        let now = self.now();
        base::mix64(base::hash64(self.hostname().as_bytes()) ^ base::mix64(now.0 as u64) ^ (pid << 32 | at))
    }

    /// Asks kube-apiserver.
    pub fn api(&mut self, server: &str, credential: &Credential, mut request: Request) -> Step<Answer> {
        request.credential = credential.clone();
        request.user_agent = "kubeadm/v1.37.2 (linux/amd64) kubernetes".into();
        self.ask(server, request)
    }

    /// Asks the world: systemd, ports.
    pub fn world(&mut self, path: &str, query: &[(&str, &str)]) -> Step<Told> {
        let mut request = Request::get_path(path);
        request.options.query = query.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        self.ask(WORLD, request).map(|answer| told(&answer))
    }

    fn ask(&mut self, server: &str, request: Request) -> Step<Answer> {
        self.at += 1;
        if let Some(record) = self.script.records.get(self.at - 1) {
            return match record {
                Record::Answer(answer) => Ok(answer.clone()),
                _ => Ok(Err("the command took another way than before".into())),
            };
        }
        if !std::mem::replace(&mut self.script.open, true) {
            self.script.asking.ask(self.sys, server, request);
        }
        match self.script.asking.answer(self.sys) {
            Err(_) => Err(Wait),
            Ok(answer) => {
                self.script.open = false;
                self.script.records.push(Record::Answer(answer.clone()));
                Ok(answer)
            }
        }
    }
}

fn remove(sys: &mut Sys<'_>, path: &str, whole: bool) {
    if !sys.lstat(path).is_ok_and(|s| s.is_dir()) {
        let _ = sys.unlink(path);
        return;
    }
    for name in sys.read_dir(path).unwrap_or_default() {
        remove(sys, &format!("{}/{name}", path.trim_end_matches('/')), true);
    }
    // A mount point stays.
    if whole {
        let _ = sys.rmdir(path);
    }
}

/// Why an answer is a failure, in the words that Go would print.
pub(super) fn why_failed(answer: &Answer) -> Option<Rc<str>> {
    match answer {
        Err(text) => Some(text.clone()),
        Ok(response) if response.is_success() => None,
        Ok(response) => Some(match &response.body {
            ResponseBody::Text(_, text) => text.clone(),
            _ => response.message().into(),
        }),
    }
}
