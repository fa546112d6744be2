//! Buttons: what a user does to machines, components and objects. Machines and processes are acted on as they are; objects
//! through kubectl on the laptop, as by hand.

use std::rc::Rc;

use cluster::Input;
use cri_api::host::HostMessage;
use protocol::{Action, Level, Notice, Thing};

use crate::session::Session;
use crate::store::Maintenance;
use crate::{message, observe, offers};

/// The jobs of the laptop and of machines that the page starts: buttons, requests to a Service, manifests.
pub(crate) const BUTTON: u32 = 7;
pub(crate) const REQUEST: u32 = 8;
pub(crate) const ETCD: u32 = 9;
const MANIFEST: u32 = 6;

/// Carries out an action.
///
/// # Errors
/// One sentence for the user, if it can't be done.
pub(crate) fn act(session: &mut Session, action: Action) -> Result<(), String> {
    match action {
        Action::PowerOff { machine } => session.input(Input::PowerOff(machine.into())),
        Action::PowerOn { machine } => session.input(Input::PowerOn(machine.into())),
        Action::Freeze { component } => session.input(Input::Freeze(process(session, &component)?.into())),
        Action::Unfreeze { component } => session.input(Input::Thaw(process(session, &component)?.into())),
        Action::Kill { component } => session.input(Input::Kill(process(session, &component)?.into())),
        Action::Cut { from, to } => session.input(Input::Cut(process(session, &from)?.into(), process(session, &to)?.into())),
        Action::Mend { from, to } => session.input(Input::Mend(process(session, &from)?.into(), process(session, &to)?.into())),
        Action::Slow { from, to, ms } => {
            session.input(Input::Slow(process(session, &from)?.into(), process(session, &to)?.into(), ms));
        }
        Action::Isolate { machine } => each_other(session, &machine, Input::Cut),
        Action::Rejoin { machine } => each_other(session, &machine, Input::Mend),
        Action::Stop { component } => move_manifest(session, &component, true)?,
        Action::Start { component } => move_manifest(session, &component, false)?,
        Action::Label { thing, key, value } => {
            let mut words = vec!["label".to_string()];
            words.extend(target(&thing)?);
            words.push(value.map_or_else(|| format!("{key}-"), |v| format!("{key}={v}")));
            words.push("--overwrite".into());
            kubectl(session, words);
        }
        Action::Request { from, url } => request(session, from, &url)?,
        Action::RunClient => {
            let words = ["run", "client", "--image=busybox:1.36", "--", "sleep", "1d"];
            kubectl(session, words.map(String::from).to_vec());
        }
        Action::Recheck => session.checks.forget(),
        Action::HoldLoop { name } => session.input(Input::HoldLoop(name.into())),
        Action::ReleaseLoop { name } => session.input(Input::ReleaseLoop(name.into())),
        Action::StepLoop { name } => step(session, &name),
        action @ (Action::Compact | Action::Defrag) => {
            let cluster = session.bottle().ok_or("there is no cluster yet")?.head();
            let (maintenance, words) = Maintenance::begin(cluster, action)?;
            session.maintenance = Some(maintenance);
            let argv = words.into_iter().map(Into::into).collect();
            session.to_laptop(HostMessage::RunJob { job: ETCD, argv, stdin: (*b"").into() });
        }
        Action::AddNode => session.input(Input::AddNode),
        Action::AddMachine => session.input(Input::AddMachine),
        Action::Join { machine } => join(session, &machine)?,
        Action::Delete { thing, grace_s } => {
            let mut words = vec!["delete".to_string()];
            words.extend(target(&thing)?);
            words.push("--wait=false".into());
            words.extend(grace_s.map(|s| format!("--grace-period={s}")));
            kubectl(session, words);
        }
        Action::Scale { thing, replicas } => {
            let mut words = vec!["scale".to_string()];
            words.extend(target(&thing)?);
            words.push(format!("--replicas={replicas}"));
            kubectl(session, words);
        }
        Action::RolloutRestart { thing } => {
            let mut words = vec!["rollout".to_string(), "restart".to_string()];
            words.extend(target(&thing)?);
            kubectl(session, words);
        }
        Action::Cordon { node } => kubectl(session, vec!["cordon".into(), node]),
        Action::Uncordon { node } => kubectl(session, vec!["uncordon".into(), node]),
        Action::Drain { node } => {
            let flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--force"].map(String::from);
            kubectl(session, ["drain".to_string(), node].into_iter().chain(flags).collect());
        }
    }
    Ok(())
}

/// What an administrator types on the laptop to make a worker of a machine.
fn join(session: &mut Session, machine: &str) -> Result<(), String> {
    let cluster = session.bottle().ok_or("there is no cluster yet")?.head();
    let (plane, _) = observe::control_plane(cluster);
    if plane.is_empty() || !cluster.nodes.contains_key(machine) {
        return Err(format!("{machine} can't join: there is no machine to make a token on"));
    }
    let line = offers::join_line(&plane, machine);
    let argv = ["sh".into(), "-c".into(), line.into()].into();
    session.to_laptop(HostMessage::RunJob { job: BUTTON, argv, stdin: (*b"").into() });
    Ok(())
}

/// Lets one item of a held loop through. What it does belongs to whatever queued the item: that chain is slow to be seen.
fn step(session: &mut Session, name: &str) {
    let next = session.bottle().and_then(|b| b.head().next_item(name));
    session.input(Input::StepLoop(name.into()));
    if let Some(cause) = next {
        session.follow(cause);
    }
}

/// The process of a box id: `kube-apiserver` is `kube-apiserver/cp-1`.
fn process(session: &Session, name: &str) -> Result<String, String> {
    let cluster = session.bottle().ok_or("there is no cluster yet")?.head();
    if cluster.addr(name).is_some() || cluster.nodes.contains_key(name) {
        return Ok(name.to_string());
    }
    let at = |addr| message::is_at(cluster, addr, name);
    let found = cluster.procs().find(|(a, p)| p.component() == name || at(*a)).map(|(_, p)| p.name.to_string());
    found.ok_or_else(|| format!("there is no process {name:?}"))
}

/// `deployments.apps/web -n default` as kubectl's arguments.
fn target(thing: &Thing) -> Result<Vec<String>, String> {
    let Thing::Object { group, resource, namespace, name } = thing else {
        return Err(format!("{} is not an API object", thing.title()));
    };
    let kind = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    let mut words = vec![format!("{kind}/{name}")];
    if !namespace.is_empty() {
        words.extend(["-n".to_string(), namespace.clone()]);
    }
    Ok(words)
}

/// Does something to the links between a machine and every other one.
fn each_other(session: &mut Session, machine: &str, input: fn(Rc<str>, Rc<str>) -> Input) {
    let Some(cluster) = session.bottle().map(|b| b.head()) else { return };
    let mut others: Vec<Rc<str>> = cluster.procs().map(|(_, p)| p.machine.clone()).filter(|m| **m != *machine).collect();
    others.sort();
    others.dedup();
    for other in others {
        session.input(input(machine.into(), other));
    }
}

/// As an administrator does it: the kubelet of a static pod looks at a directory.
fn move_manifest(session: &mut Session, component: &str, away: bool) -> Result<(), String> {
    let name = process(session, component)?;
    let cluster = session.bottle().ok_or("there is no cluster yet")?.head();
    let proc = cluster.procs().find(|(_, p)| *p.name == *name).map(|(_, p)| p).ok_or("there is no such process")?;
    let (here, there) = offers::manifest_paths(proc.component());
    let (from, to) = if away { (here, there) } else { (there, here) };
    let machine = proc.machine.clone();
    let argv = ["mv".to_string(), from, to].map(Into::into).to_vec();
    let job = HostMessage::RunJob { job: MANIFEST, argv, stdin: (*b"").into() };
    session.input(Input::Machine(machine, job.into()));
    Ok(())
}

/// One HTTP request, from a pod by exec or from the laptop itself.
fn request(session: &mut Session, from: Option<Thing>, url: &str) -> Result<(), String> {
    let mut words: Vec<String> = Vec::new();
    match from {
        Some(Thing::Object { namespace, name, .. }) => {
            words.extend(["kubectl", "exec", "-n"].map(String::from));
            words.extend([namespace, name, "--".into()]);
            words.extend(["wget", "-q", "-O-", "-T", "5", url].map(String::from));
        }
        Some(other) => return Err(format!("{} can't send a request", other.title())),
        None => words.extend(["curl", "-sS", "-m", "5", url].map(String::from)),
    }
    session.request_output = Some(String::new());
    let argv = words.into_iter().map(Into::into).collect();
    session.to_laptop(HostMessage::RunJob { job: REQUEST, argv, stdin: (*b"").into() });
    Ok(())
}

/// What a request came to, for the user.
pub(crate) fn came_back(output: &str, code: i32) -> Notice {
    let line = |text: &str| text.trim().chars().take(120).collect::<String>();
    let (level, text) = match code {
        0 => {
            let told = output.lines().map(str::trim).find(|l| l.contains("<title>") || !l.is_empty() && !l.starts_with('<'));
            let told = told.map(|l| l.replace("<title>", "").replace("</title>", "")).unwrap_or_default();
            (Level::Info, format!("Answered, {} bytes: {}", output.len(), line(&told)))
        }
        code => {
            let last = output
                .lines()
                .rev()
                .find(|l| !l.trim().is_empty() && !l.starts_with("command terminated"))
                .unwrap_or("no output");
            (Level::Warning, format!("No answer (exit {code}): {}", line(last)))
        }
    };
    Notice { level, text, thing: None }
}

fn kubectl(session: &mut Session, words: Vec<String>) {
    let argv = std::iter::once("kubectl".to_string()).chain(words).map(Into::into).collect();
    session.to_laptop(HostMessage::RunJob { job: BUTTON, argv, stdin: (*b"").into() });
}
