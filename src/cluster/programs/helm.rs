//! `helm`: says that it isn't here.

use cri_api::machine::Sys;
use cri_api::{Poll, Program};

#[derive(Clone)]
struct Helm;

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Helm)
}

impl Program for Helm {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        let text = "helm is not in this bottle yet: charts are neither fetched nor rendered. `kubectl apply -f` and `kubectl apply -k` are.\n";
        let _ = sys.write(2, text.as_bytes());
        Poll::Exit(1)
    }
}
