//! `ip`, `bridge`, `iptables`, `iptables-save`, `ipset`: what the kernel's network looks like, from a node's shell; `ip` also from
//! a container's. They ask the kernel (the node's machine), which reads the command line; nothing is changed by them.

use std::ops::ControlFlow;

use std::rc::Rc;

use apimachinery::{Request, ResponseBody};
use cri_api::machine::Sys;
use cri_api::{Errno, Poll, Program};

use super::asked::{Asking, arguments};

/// The tools by name.
pub const NAMES: [&str; 5] = ["ip", "bridge", "iptables", "iptables-save", "ipset"];

const SOCKET: &str = "unix:///run/netlink";

#[derive(Clone)]
struct Tool {
    name: Rc<str>,
    asking: Asking,
}

/// The constructor for the program table.
pub fn start(name: &str) -> Box<dyn Program> {
    Box::new(Tool { name: name.into(), asking: Asking::default() })
}

impl Program for Tool {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            let begins = match self.asking.turn(sys) {
                ControlFlow::Continue(begins) => begins,
                ControlFlow::Break(poll) => return poll,
            };
            if begins {
                let mut request = Request::get_path(&format!("/{}", self.name));
                request.options.query.push(("args".into(), arguments(sys).join("\n").into()));
                self.asking.ask(sys, SOCKET, request);
            }
            match self.asking.answer(sys) {
                Err(Errno::EAGAIN) => return Poll::Pending,
                Ok(Ok(response)) => match &response.body {
                    ResponseBody::Text(_, text) if response.is_success() => self.asking.end(1, text, 0),
                    ResponseBody::Text(_, text) => self.asking.end(2, text, if &*self.name == "ip" { 255 } else { 2 }),
                    _ => self.asking.end(2, "unexpected answer\n", 1),
                },
                Ok(Err(text)) => self.asking.end(2, &format!("{}: {text}\n", self.name), 1),
                Err(_) => self.asking.end(2, "", 1),
            }
        }
    }
}
