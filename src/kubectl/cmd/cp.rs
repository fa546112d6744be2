//! `kubectl cp`: files between here and a container. Upstream runs `tar` in the container; so does this, for single files, by
//! `cat`, and says so where a directory would need more.

use std::rc::Rc;

use apimachinery::Object;

use super::exec::{choose_container, open, pod_of};
use crate::ctx::{Ctx, Event, Next, Res, done, fail};
use crate::error::Error;
use crate::{FileError, StreamFrame, StreamInput};

/// Namespace and pod (empty if here), path.
fn place(text: &str) -> (String, String) {
    match text.split_once(':') {
        Some((pod, path)) if !pod.contains('/') || pod.matches('/').count() == 1 => (pod.into(), path.into()),
        _ => (String::new(), text.into()),
    }
}

pub(super) fn run(ctx: &mut Ctx) -> Res<Next> {
    let flags = ctx.flags.clone();
    let [from, to] = flags.args.as_slice() else { return fail("source and destination are required") };
    let ((from_pod, from_path), (to_pod, to_path)) = (place(from), place(to));
    match (from_pod.is_empty(), to_pod.is_empty()) {
        (false, false) => fail("one of src or dest must be a local file specification"),
        (true, true) => fail("one of src or dest must be a remote file specification"),
        (true, false) => upload(ctx, &from_path, &to_pod, &to_path),
        (false, true) => download(ctx, &from_pod, &from_path, &to_path),
    }
}

fn pod(ctx: &mut Ctx, text: &str) -> Res<(Object, String)> {
    let name = match text.split_once('/') {
        Some((namespace, name)) => {
            let mut flags = (*ctx.flags).clone();
            flags.set("namespace", namespace);
            ctx.set_flags(flags);
            name
        }
        None => text,
    };
    let pod = pod_of(ctx, name)?;
    let asked = ctx.flags.str("container").to_string();
    let container = choose_container(ctx, &pod, &asked, false)?;
    Ok((pod, container))
}

fn query(container: &str, script: &str) -> Vec<(Rc<str>, Rc<str>)> {
    let words = ["sh", "-c", script];
    let mut query: Vec<(Rc<str>, Rc<str>)> = words.iter().map(|w| ("command".into(), (*w).into())).collect();
    query.push(("container".into(), container.into()));
    query
}

/// A path in single quotes.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}

fn upload(ctx: &mut Ctx, from: &str, target: &str, to: &str) -> Res<Next> {
    let bytes = match ctx.read_file(from)? {
        Ok(bytes) => bytes,
        Err(FileError::IsDirectory) => return fail("cp of directories is not in this bottle"),
        Err(_) => return fail(format!("{from} doesn't exist in local filesystem")),
    };
    let (pod, container) = pod(ctx, target)?;
    let name = from.rsplit('/').next().unwrap_or(from);
    let script = format!("if [ -d {0} ]; then cat > {0}/{1}; else cat > {0}; fi", quoted(to), quoted(name));
    let stream = open(ctx, &pod, "exec", query(&container, &script), false, false)?;
    ctx.send(stream, StreamInput::Stdin(bytes));
    ctx.send(stream, StreamInput::StdinEof);
    let (_, errors, code) = collect(ctx, stream)?;
    if code != 0 {
        return Err(
            Error::Exit(format!("{}command terminated with exit code {code}\n", String::from_utf8_lossy(&errors)), code).into()
        );
    }
    done()
}

fn download(ctx: &mut Ctx, target: &str, from: &str, to: &str) -> Res<Next> {
    let (pod, container) = pod(ctx, target)?;
    if from.starts_with('/') {
        ctx.eprintln("tar: removing leading '/' from member names");
    }
    let stream = open(ctx, &pod, "exec", query(&container, &format!("cat {}", quoted(from))), false, false)?;
    let (bytes, errors, code) = collect(ctx, stream)?;
    if code != 0 {
        ctx.eprint_bytes(&errors.into());
        return Ok(Next::Exit(code));
    }
    let mut path = to.to_string();
    if to.ends_with('/') || to == "." {
        path = format!("{}/{}", to.trim_end_matches('/'), from.rsplit('/').next().unwrap_or(from));
    }
    match ctx.write_file(&path, &bytes)? {
        Ok(()) => done(),
        Err(_) => fail(format!("open {path}: permission denied")),
    }
}

/// All output of a stream and its exit status.
fn collect(ctx: &mut Ctx, stream: u32) -> Res<(Vec<u8>, Vec<u8>, i32)> {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    loop {
        match ctx.next_event()? {
            (id, Event::Frame(frame)) if id == stream => match frame {
                StreamFrame::Stdout(bytes) => out.extend_from_slice(&bytes),
                StreamFrame::Stderr(bytes) => errors.extend_from_slice(&bytes),
                StreamFrame::ExitStatus(code) => return Ok((out, errors, code)),
                StreamFrame::Error(text) => return fail(text.to_string()),
            },
            (id, Event::End) if id == stream => return Ok((out, errors, 0)),
            _ => {}
        }
    }
}
