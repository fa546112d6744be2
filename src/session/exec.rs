//! Commands of an embedding page: a line in the laptop's shell, without a terminal. Each is a job of the laptop, so it is an input
//! like any other.

use cri_api::host::HostMessage;
use protocol::{Executed, ToPage};

use crate::session::Session;

/// The laptop's jobs from here on are such commands.
const FIRST_JOB: u32 = 1 << 24;
/// What is kept of each stream; the beginning goes.
const MAX_OUTPUT: usize = 1 << 20;
/// How many may run at once, and how long a line may be.
const MAX_JOBS: usize = 64;
const MAX_LINE: usize = 64 << 10;

#[derive(Debug)]
struct Job {
    job: u32,
    id: u32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Execs {
    jobs: Vec<Job>,
    next: u32,
}

impl Execs {
    pub fn any(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// False: that job is somebody else's.
    pub fn output(&mut self, job: u32, stderr: bool, data: &[u8]) -> bool {
        let Some(job) = self.jobs.iter_mut().find(|j| j.job == job) else { return false };
        let stream = if stderr { &mut job.stderr } else { &mut job.stdout };
        stream.extend_from_slice(data);
        let over = stream.len().saturating_sub(MAX_OUTPUT);
        stream.drain(..over);
        true
    }

    /// What a job that has ended printed.
    pub fn done(&mut self, job: u32, code: i32) -> Option<ToPage> {
        let i = self.jobs.iter().position(|j| j.job == job)?;
        let job = self.jobs.remove(i);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(ToPage::Executed(Executed { id: job.id, code, stdout: text(&job.stdout), stderr: text(&job.stderr) }))
    }
}

impl Session {
    /// Runs a line in a shell of the laptop. In the past this forks, as everything that is done.
    pub(crate) fn exec(&mut self, id: u32, line: &str) {
        let refused = match () {
            () if line.len() > MAX_LINE => Some("the line is too long"),
            () if self.execs.jobs.len() >= MAX_JOBS => Some("too many commands run already"),
            () => None,
        };
        if let Some(why) = refused {
            return self.say(ToPage::Executed(Executed { id, code: 126, stdout: String::new(), stderr: format!("{why}\n") }));
        }
        self.execs.next = (self.execs.next + 1) % (1 << 20);
        let job = FIRST_JOB + self.execs.next;
        self.execs.jobs.push(Job { job, id, stdout: Vec::new(), stderr: Vec::new() });
        let argv = ["bash", "-c", line].map(Into::into).to_vec();
        self.to_laptop(HostMessage::RunJob { job, argv, stdin: (*b"").into() });
    }
}
