//! Buttons: what a user does to machines, components and objects. Machines and processes are acted on as they are; objects
//! through kubectl on the laptop, as by hand.

use cluster::Input;
use cri_api::host::HostMessage;
use protocol::{Action, Thing};

use crate::session::Session;

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
        Action::AddNode => session.input(Input::AddNode),
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

/// The process of a box id: `kube-apiserver` is `kube-apiserver/cp-1`.
fn process(session: &Session, name: &str) -> Result<String, String> {
    let cluster = session.bottle().ok_or("there is no cluster yet")?.head();
    if cluster.addr(name).is_some() || cluster.nodes.contains_key(name) {
        return Ok(name.to_string());
    }
    let found = cluster.procs().find(|(_, p)| p.component() == name).map(|(_, p)| p.name.to_string());
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

fn kubectl(session: &mut Session, words: Vec<String>) {
    let argv = std::iter::once("kubectl".to_string()).chain(words).map(Into::into).collect();
    session.to_laptop(HostMessage::RunJob { job: 7, argv, stdin: (*b"").into() });
}
