//! Container logs: lines with a time and a stream, kept as long as the container (at most a megabyte each).
//!
//! Models the CRI log files under /var/log/pods and the kubelet's reading of them.

use std::rc::Rc;

use base::{Time, Vector};
use cri_api::cri::{self, Id, LogOptions};
use sim::{Addr, Outbox, Payload};

use crate::container::{STDERR, STDOUT};
use crate::{Runtime, Text, error};

/// Lines kept of one container.
const MAX_LINES: usize = 8192;
/// A longer line is split, as containerd does at 16 KiB.
pub(crate) const MAX_LINE: usize = 16 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    pub time: Time,
    pub text: Text,
    /// Whether the line ended (or was only cut).
    pub newline: bool,
    pub stderr: bool,
}

/// A line's length in its file: with time, stream and tag.
fn on_disk(line: &LogLine) -> u64 {
    line.text.len() as u64 + 46
}

/// Somebody who follows a log.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    to: Addr,
    container: Id,
    timestamps: bool,
}

impl Runtime {
    /// Output of a container's processes: of its first process to the log, of an exec to its caller.
    pub(crate) fn output(&mut self, now: Time, id: &Id, stream: cri_api::StreamId, data: Rc<[u8]>, out: &mut Outbox) {
        match stream {
            STDOUT | STDERR => self.log(now, id, usize::from(stream == STDERR), &data, out),
            _ => self.exec_output(now, stream, data, out),
        }
    }

    /// Appends to the log; whole lines only.
    pub(crate) fn log(&mut self, now: Time, id: &Id, stream: usize, data: &[u8], out: &mut Outbox) {
        let mut new = Vec::new();
        let stderr = stream == 1;
        self.change(id, |c| {
            let mut buffer = std::mem::take(&mut c.partial[stream]);
            let bytes = Rc::make_mut(&mut buffer);
            bytes.extend_from_slice(data);
            let mut start = 0;
            while let Some(n) = bytes[start..].iter().position(|b| *b == b'\n') {
                new.push(LogLine { time: now, text: lossy(&bytes[start..start + n]), newline: true, stderr });
                start += n + 1;
            }
            while bytes.len() - start > MAX_LINE {
                new.push(LogLine { time: now, text: lossy(&bytes[start..start + MAX_LINE]), newline: false, stderr });
                start += MAX_LINE;
            }
            bytes.drain(..start);
            c.partial[stream] = buffer;
            for line in &new {
                c.log_bytes += on_disk(line);
                c.log.push_back(line.clone());
            }
            while c.log.len() > MAX_LINES {
                c.log_bytes -= c.log.pop_front().map_or(0, |line| on_disk(&line));
            }
        });
        self.write_log_file(now, id, &new);
        self.tell_followers(id, &new, out);
    }

    /// A line of a component.
    pub(crate) fn log_line(&mut self, now: Time, id: &Id, line: &str, out: &mut Outbox) {
        self.log(now, id, 1, format!("{line}\n").as_bytes(), out);
    }

    /// What was written without a newline becomes a line when the container ends.
    pub(crate) fn flush_partial(&mut self, now: Time, id: &Id, out: &mut Outbox) {
        let mut new = Vec::new();
        self.change(id, |c| {
            for (stream, partial) in c.partial.iter_mut().enumerate() {
                if !partial.is_empty() {
                    let text = lossy(&std::mem::take(partial));
                    new.push(LogLine { time: now, text, newline: false, stderr: stream == 1 });
                }
            }
            c.log_bytes += new.iter().map(on_disk).sum::<u64>();
            c.log.extend(new.iter().cloned());
        });
        self.write_log_file(now, id, &new);
        self.tell_followers(id, &new, out);
    }

    fn tell_followers(&self, id: &Id, lines: &[LogLine], out: &mut Outbox) {
        if lines.is_empty() {
            return;
        }
        for (request, follower) in self.followers.iter().filter(|(_, f)| f.container == *id) {
            let text: String = lines.iter().map(|l| print(l, follower.timestamps)).collect();
            frame(follower.to, *request, 1, text.into_bytes().into(), out);
        }
    }

    pub(crate) fn read_logs(&mut self, from: Addr, request: u64, id: &Id, options: &LogOptions) -> cri::Response {
        let Some(container) = self.containers.get(id) else {
            return error("NotFound", format!("container {id:?} not found"));
        };
        let partial = container.partial.iter().filter(|p| !p.is_empty());
        let now = container.log.back().map_or(container.created_at, |l| l.time);
        let partial = partial.map(|p| LogLine { time: now, text: lossy(p), newline: false, stderr: false });
        let lines: Vec<LogLine> = container.log.iter().cloned().chain(partial).collect();
        let first = options.since.map_or(0, |since| lines.partition_point(|l| l.time < since));
        let tail = options.tail_lines.map_or(lines.len(), |n| n.max(0) as usize);
        let first = first.max(lines.len().saturating_sub(tail));
        let mut text: String = lines[first..].iter().map(|l| print(l, options.timestamps)).collect();
        if let Some(limit) = options.limit_bytes {
            let limit = (limit.max(0) as usize).min(text.len());
            text.truncate((0..=limit).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0));
        }
        let follows = options.follow && container.is_running();
        if follows {
            let follower = Follower { to: from, container: id.clone(), timestamps: options.timestamps };
            self.followers.insert(request, follower);
        }
        cri::Response::Logs { data: text.into_bytes().into(), follows }
    }

    /// The container has ended: so do the streams that show it.
    pub(crate) fn end_streams_of(&mut self, now: Time, id: &Id, out: &mut Outbox) {
        let ended: Vec<(u64, Addr)> =
            self.followers.iter().filter(|(_, f)| f.container == *id).map(|(r, f)| (*r, f.to)).collect();
        for (request, to) in ended {
            self.followers.remove(&request);
            out.send(to, Payload::Cri(Rc::new(cri::Message::FrameEnd { id: request })));
        }
        self.execs_of_ended_container(now, id, out);
    }

    /// The reader has gone.
    pub(crate) fn stream_closed(&mut self, now: Time, request: u64, out: &mut Outbox) {
        if self.followers.remove(&request).is_none() && !self.forward_closed(now, request, out) {
            self.exec_closed(now, request, out);
        }
    }

    /// The end of a container's log for the page: at most `max_lines`.
    pub fn log_tail(&self, container: &str, max_lines: usize) -> String {
        let Some(c) = self.containers.get(container) else { return String::new() };
        let skip = c.log.len().saturating_sub(max_lines);
        c.log.iter().skip(skip).map(|l| print(l, false)).collect()
    }
}

fn lossy(bytes: &[u8]) -> Text {
    String::from_utf8_lossy(bytes).into_owned().into()
}

pub(crate) fn print(line: &LogLine, timestamps: bool) -> String {
    let end = if line.newline { "\n" } else { "" };
    if timestamps { format!("{} {}{end}", line.time.rfc3339_nano(), line.text) } else { format!("{}{end}", line.text) }
}

/// The last bytes of a log, by whole lines.
pub(crate) fn tail(log: &Vector<LogLine>, max_bytes: usize, max_lines: usize) -> String {
    let mut lines = Vec::new();
    let mut bytes = 0;
    for line in log.iter().rev().take(max_lines) {
        bytes += line.text.len() + 1;
        if bytes > max_bytes {
            break;
        }
        lines.push(print(line, false));
    }
    lines.into_iter().rev().collect()
}

pub(crate) fn frame(to: Addr, request: u64, channel: u8, data: Rc<[u8]>, out: &mut Outbox) {
    out.send(to, Payload::Cri(Rc::new(cri::Message::Frame { id: request, channel, data })));
}
