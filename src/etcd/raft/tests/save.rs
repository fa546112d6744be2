//! A saved node goes on as the original does.

use base::Seed;
use etcd_api::raftpb::{ConfState, EntryData, MessageType, SnapshotMetadata};

use crate::raft::{Config, Raft, describe};

type Node = Raft<String, String>;

#[test]
fn a_saved_node_goes_on_as_the_original() {
    let start = SnapshotMetadata { index: 2, term: 1, conf_state: ConfState { voters: vec![1, 2, 3], learners: vec![4] } };
    let mut node: Node = Raft::new(Config::new(1, Seed(7)), &start);
    node.campaign();
    let answer = |from, term, body| etcd_api::raftpb::Message { from, to: 1, term, body };
    node.step(answer(2, 2, MessageType::MsgPreVoteResp { reject: false }));
    node.step(answer(2, 2, MessageType::MsgVoteResp { reject: false }));
    assert!(node.is_leader());
    node.propose(EntryData::Normal("x".into())).unwrap();
    let ready = node.ready();
    node.advance(&ready);
    node.read_index(9);
    let text = serde_json::to_string(&node).unwrap();
    let mut saved: Node = serde_json::from_str(&text).unwrap();
    for n in [&mut node, &mut saved] {
        n.step(answer(3, 2, MessageType::MsgAppResp { index: 4, reject: None }));
        (0..12).for_each(|_| n.tick());
    }
    let show = |n: &mut Node| format!("{}\n{}", n.describe(), describe::ready(&n.ready(), &|d: &String| d.clone()));
    let shown = show(&mut node);
    assert_eq!(show(&mut saved), shown);
    assert!(shown.contains("MsgHeartbeat") && shown.contains("Commit:4"), "{shown}");
}
