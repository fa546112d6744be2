//! A node in words: for the scripts that test it, and for whoever looks at it.

use std::fmt::Write;

use etcd_api::raftpb::{ConfChangeType, ConfState, Entry, EntryData, HardState, Message, MessageType, Snapshot};

use super::{Raft, Ready};

/// `"foo"`, `""` of an empty one, `v2` for "2 becomes a voter", `l2` a learner, `r2` removed.
pub fn entry_data<D>(data: &EntryData<D>, text: &dyn Fn(&D) -> String) -> String {
    match data {
        EntryData::Empty => "\"\"".into(),
        EntryData::Normal(data) => format!("\"{}\"", text(data)),
        EntryData::ConfChange(change) => {
            let kind = match change.kind {
                ConfChangeType::AddNode => 'v',
                ConfChangeType::AddLearnerNode => 'l',
                ConfChangeType::RemoveNode => 'r',
            };
            format!("{kind}{}", change.node)
        }
    }
}

/// `2/4 "foo"`: term, index, what it holds.
pub fn entry<D>(entry: &Entry<D>, text: &dyn Fn(&D) -> String) -> String {
    format!("{}/{} {}", entry.term, entry.index, entry_data(&entry.data, text))
}

pub fn hard_state(hard: &HardState) -> String {
    let vote = if hard.vote == 0 { String::new() } else { format!(" Vote:{}", hard.vote) };
    format!("Term:{}{vote} Commit:{}", hard.term, hard.commit)
}

pub fn conf_state(conf: &ConfState) -> String {
    format!("Voters:{:?} Learners:{:?}", conf.voters, conf.learners)
}

fn snapshot<S>(snapshot: &Snapshot<S>) -> String {
    let m = &snapshot.metadata;
    format!("Index:{} Term:{} {}", m.index, m.term, conf_state(&m.conf_state))
}

/// `1->2 MsgApp Term:2 Log:1/3 Commit:3 Entries:[2/4 "foo"]`
pub fn message<D, S>(m: &Message<D, S>, text: &dyn Fn(&D) -> String) -> String {
    let mut out = format!("{}->{} {} Term:{}", m.from, m.to, m.body.name(), m.term);
    let _ = match &m.body {
        MessageType::MsgProp { entries } => {
            let entries: Vec<String> = entries.iter().map(|e| entry_data(e, text)).collect();
            write!(out, " Entries:[{}]", entries.join(", "))
        }
        MessageType::MsgApp { index, log_term, entries, commit } => {
            let _ = write!(out, " Log:{log_term}/{index} Commit:{commit}");
            let entries: Vec<String> = entries.iter().map(|e| entry(e, text)).collect();
            if entries.is_empty() { Ok(()) } else { write!(out, " Entries:[{}]", entries.join(", ")) }
        }
        MessageType::MsgAppResp { index, reject: None } => write!(out, " Log:{index}"),
        MessageType::MsgAppResp { index, reject: Some(hint) } => {
            write!(out, " Log:{index} Rejected (Hint: {}/{})", hint.term, hint.index)
        }
        MessageType::MsgVote { index, log_term, transfer } => {
            write!(out, " Log:{log_term}/{index}{}", if *transfer { " Transfer" } else { "" })
        }
        MessageType::MsgPreVote { index, log_term } => write!(out, " Log:{log_term}/{index}"),
        MessageType::MsgVoteResp { reject } | MessageType::MsgPreVoteResp { reject } => {
            write!(out, "{}", if *reject { " Rejected" } else { "" })
        }
        MessageType::MsgSnap(s) => write!(out, " Snapshot: {}", snapshot(s)),
        MessageType::MsgHeartbeat { commit, context } => write!(out, " Commit:{commit}{}", read(*context)),
        MessageType::MsgHeartbeatResp { context } => write!(out, "{}", read(*context)),
        MessageType::MsgTransferLeader { transferee } => write!(out, " To:{transferee}"),
        MessageType::MsgTimeoutNow => Ok(()),
        MessageType::MsgReadIndex { context } => write!(out, "{}", read(*context)),
        MessageType::MsgReadIndexResp { context, index } => write!(out, "{} Index:{index}", read(*context)),
    };
    out
}

fn read(context: u64) -> String {
    if context == 0 { String::new() } else { format!(" Read:{context}") }
}

/// What a node wants carried out, a line each.
pub fn ready<D, S>(ready: &Ready<D, S>, text: &dyn Fn(&D) -> String) -> String {
    let mut out = String::new();
    if let Some(hard) = &ready.hard_state {
        let _ = writeln!(out, "HardState {}", hard_state(hard));
    }
    if let Some(s) = &ready.snapshot {
        let _ = writeln!(out, "Snapshot {}", snapshot(s));
    }
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(out, "{title}:");
        }
        lines.iter().for_each(|line| out.push_str(&format!("  {line}\n")));
    };
    list("Entries", ready.entries.iter().map(|e| entry(e, text)).collect());
    list("Messages", ready.messages.iter().map(|m| message(m, text)).collect());
    list("Committed", ready.committed.iter().map(|e| entry(e, text)).collect());
    list("Reads", ready.read_states.iter().map(|r| format!("{} at {}", r.context, r.index)).collect());
    if ready.wants_snapshot {
        out.push_str("a snapshot is wanted\n");
    }
    out
}

impl<D: Clone, S: Clone> Raft<D, S> {
    /// `Follower Term:2 Lead:1 Commit:4 Applied:4`
    pub fn describe(&self) -> String {
        let (commit, applied) = (self.log.committed, self.log.applied);
        let vote = if self.vote == 0 { String::new() } else { format!(" Vote:{}", self.vote) };
        format!("{:?} Term:{}{vote} Lead:{} Commit:{commit} Applied:{applied}", self.role, self.term, self.lead)
    }
}
