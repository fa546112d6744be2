//! `cloud` on the laptop: the console of the cloud that the machines are rented from. No cloud has this one; it stands for
//! `aws ec2`, `gcloud compute` and the like.
//!
//! `cloud machines [list]`, `cloud machines create`, `cloud machines delete NAME`, `cloud loadbalancers`, `cloud routes`.

use std::ops::ControlFlow;

use apimachinery::Request;
use cri_api::machine::Sys;
use cri_api::{Poll, Program};

use super::asked::{Asking, WORLD, arguments, told};

const USAGE: &str =
    "Usage: cloud machines [list] | cloud machines create | cloud machines delete NAME… | cloud loadbalancers | cloud routes\n";

#[derive(Clone, Default)]
struct Cloud {
    asking: Asking,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Cloud::default())
}

impl Program for Cloud {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        loop {
            let begins = match self.asking.turn(sys) {
                ControlFlow::Continue(begins) => begins,
                ControlFlow::Break(poll) => return poll,
            };
            if begins {
                let args = arguments(sys);
                let words: Vec<&str> = args.iter().map(String::as_str).collect();
                match words.as_slice() {
                    ["machines" | "machine", "delete", names @ ..] if !names.is_empty() => {
                        let mut request = Request::get_path("/cloud/delete");
                        request.options.query = names.iter().map(|n| ("name".into(), (*n).into())).collect();
                        self.asking.ask(sys, WORLD, request);
                    }
                    ["machines" | "machine", "create"] => {
                        self.asking.ask(sys, WORLD, Request::get_path("/cloud/create"));
                    }
                    ["machines" | "machine"] | ["machines" | "machine", "list"] => self.ask(sys, "machines"),
                    ["loadbalancers" | "lb"] | ["loadbalancers" | "lb", "list"] => self.ask(sys, "loadbalancers"),
                    ["routes"] | ["routes", "list"] => self.ask(sys, "routes"),
                    [] | ["help" | "-h" | "--help"] => self.asking.end(1, USAGE, 0),
                    _ => self.asking.end(2, USAGE, 1),
                }
                continue;
            }
            let Ok(answer) = self.asking.answer(sys) else { return Poll::Pending };
            let told = told(&answer);
            self.asking.say(1, &told.out);
            self.asking.end(2, &told.err, told.code);
        }
    }
}

impl Cloud {
    fn ask(&mut self, sys: &mut Sys<'_>, what: &str) {
        self.asking.ask(sys, WORLD, Request::get_path(&format!("/cloud/console/{what}")));
    }
}
