//! Moments as bytes: links, files, what a page keeps for its next visit; and commands that an embedding page gives.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::Us;

/// A moment to begin with, instead of a boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// What [`Kept`] or [`crate::ToPage::Saved`] had in it.
    pub log: ByteBuf,
    /// An older file of the same cluster with etcd's keys in it, for when the inputs can't be replayed here.
    pub spare: Option<ByteBuf>,
}

/// In which form the moment shown is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// The inputs that lead to it: small enough for a link.
    Link,
    /// The same with etcd's keys, so that another release can restore it.
    File,
    /// Its objects as YAML: those that somebody wrote, or all there are.
    Yaml { all: bool },
}

/// The moment shown, as bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub id: u32,
    pub keep: Keep,
    pub bytes: ByteBuf,
    /// For a download: `demo-120433.kubottle`.
    pub file: String,
    pub at_us: Us,
    /// A hash of the moment, in hexadecimal.
    pub digest: String,
    /// Why there are no bytes.
    pub error: Option<String>,
}

/// How a moment came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Replayed by the release that made it: to the same hash.
    Exact,
    /// Replayed, but the hash is another one: the bytes were changed, or the release was.
    Different,
    /// Another release replayed the inputs at their times: details may differ.
    OtherRelease,
    /// Every object is there as etcd had it, and everything has started anew, as after a power cut.
    PowerCut,
    /// The user didn't want to wait for the end of the replay.
    Stopped,
    /// Nothing was opened; the cluster, if there was one, is as it was.
    Failed,
}

/// What became of [`Open`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    pub how: How,
    /// For the user, in a sentence. Empty if there is nothing to say.
    pub text: String,
    /// The release that made it.
    pub release: String,
    pub at_us: Us,
    pub digest: String,
}

/// What a command printed that an embedding page gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    pub id: u32,
    /// Of the shell; 127: no such command.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}
