//! What programs share that ask one question after the other and print what they are told: a call under way, output that the
//! reader takes slowly, the exit code.

use std::ops::ControlFlow;
use std::rc::Rc;

use apimachinery::{Request, Response, ResponseBody, Value, json};
use cri_api::machine::Sys;
use cri_api::{ApiCall, ApiEvent, CallId, Errno, Poll};

/// Where the world answers: systemd, the journal, the cloud.
pub const WORLD: &str = "unix:///run/systemd/private";

/// What is under way.
#[derive(Clone, Default)]
pub struct Asking {
    call: Option<CallId>,
    output: Vec<(u32, Rc<[u8]>)>,
    exit: Option<i32>,
    begun: bool,
}

impl Asking {
    /// What every turn of such a program begins with: writes what there is to write. True: the program has only just begun. It breaks
    /// off with what the program has to answer now: the reader is slow, or it is through.
    pub fn turn(&mut self, sys: &mut Sys<'_>) -> ControlFlow<Poll, bool> {
        match self.flush(sys) {
            Err(_) => ControlFlow::Break(Poll::Pending),
            Ok(Some(code)) => ControlFlow::Break(Poll::Exit(code)),
            Ok(None) => ControlFlow::Continue(!std::mem::replace(&mut self.begun, true)),
        }
    }

    pub fn say(&mut self, fd: u32, text: &str) {
        if !text.is_empty() {
            self.output.push((fd, text.as_bytes().into()));
        }
    }

    /// Prints and ends.
    pub fn end(&mut self, fd: u32, text: &str, code: i32) {
        self.say(fd, text);
        self.exit = Some(code);
    }

    /// Writes what there is to write. `Err`: the reader is slow. `Ok(Some)`: the program is through.
    pub fn flush(&mut self, sys: &mut Sys<'_>) -> Result<Option<i32>, Errno> {
        while let Some((fd, bytes)) = self.output.first().cloned() {
            match sys.write(fd as _, &bytes) {
                Ok(n) if n < bytes.len() => self.output[0].1 = bytes[n..].into(),
                Ok(_) => drop(self.output.remove(0)),
                Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                Err(_) => {
                    self.output.clear();
                    self.exit.get_or_insert(1);
                }
            }
        }
        Ok(self.exit)
    }

    pub fn ask(&mut self, sys: &mut Sys<'_>, server: &str, request: Request) {
        self.call = Some(sys.api(ApiCall { server: server.into(), request: Rc::new(request) }));
    }

    /// The answer to what was asked.
    ///
    /// # Errors
    /// `EAGAIN`: not yet. The inner error: Go's text of a connection that could not be made.
    pub fn answer(&mut self, sys: &mut Sys<'_>) -> Result<Result<Rc<Response>, Rc<str>>, Errno> {
        let Some(call) = self.call else { return Err(Errno::EINVAL) };
        match sys.api_event(call) {
            Err(Errno::EAGAIN) => Err(Errno::EAGAIN),
            Ok(ApiEvent::Response(response)) => {
                self.call = None;
                Ok(Ok(response))
            }
            Ok(ApiEvent::Failed(text)) => {
                self.call = None;
                Ok(Err(text))
            }
            Ok(_) => Err(Errno::EAGAIN),
            Err(_) => {
                self.call = None;
                Ok(Err("connection closed".into()))
            }
        }
    }
}

/// An answer of the world: output, errors, exit code, and the whole.
pub struct Told {
    pub out: String,
    pub err: String,
    pub code: i32,
    pub value: Value,
}

/// Reads an answer of the world.
pub fn told(answer: &Result<Rc<Response>, Rc<str>>) -> Told {
    let failed = |text: &str| Told { out: String::new(), err: format!("{text}\n"), code: 1, value: Value::default() };
    match answer {
        Err(text) => failed(text),
        Ok(response) => match &response.body {
            ResponseBody::Text(_, text) => {
                let value = json::parse(text.as_bytes()).unwrap_or_default();
                let part = |name: &str| value.str_at(&[name]).unwrap_or("").to_string();
                Told { out: part("out"), err: part("err"), code: value.int_at(&["code"]).unwrap_or(1) as i32, value }
            }
            _ => failed("unexpected answer"),
        },
    }
}

/// The arguments after the program's name.
pub fn arguments(sys: &Sys<'_>) -> Vec<String> {
    sys.argv().iter().skip(1).map(|a| a.to_string()).collect()
}
