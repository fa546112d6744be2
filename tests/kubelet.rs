//! What a real node did, as kubectl showed it, and what the bottle's node does.

mod common;

#[test]
fn recorded_node() {
    let outcomes = common::play_all(&common::files("golden/kubelet"), "kubelet");
    common::judge(&outcomes, "golden/kubelet");
}
