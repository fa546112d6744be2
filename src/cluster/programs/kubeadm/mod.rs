//! `kubeadm` in a node's shell: makes a machine a control-plane node or a worker, and takes it back.
//!
//! `init`, `init phase upload-certs`, `join` (also with `--control-plane`), `reset`, `token create|list|delete|generate`, `certs
//! check-expiration|renew|certificate-key`, `upgrade plan`, `config print init-defaults|join-defaults`, `config images list`, `version`. They write the files that the real one writes, and make the objects that
//! it makes; the kubelet does the rest. Left out by name: `upgrade apply|node|diff`, other phases one by one, configuration files, external
//! etcd, the signature of the cluster's information (`bootstrap-signer`), and that certificates of an earlier cluster are refused by a
//! new one: TLS is not modelled.

mod certs;
mod init;
mod join;
mod join_control_plane;
mod misc;
mod preflight;
mod reset;
mod script;
mod token;
mod upload_certs;

use apimachinery::{Credential, yaml};
use cri_api::machine::Sys;
use cri_api::{Poll, Program};

use self::script::{Cx, Script, Step};
use super::asked::arguments;

/// Where kubeadm finds the administrator's kubeconfig.
const ADMIN: &str = "/etc/kubernetes/admin.conf";
const STACK: &str = "To see the stack trace of this error execute with --v=5 or higher\n";

#[derive(Clone, Default)]
struct Kubeadm {
    script: Script,
}

pub fn start(_name: &str) -> Box<dyn Program> {
    Box::new(Kubeadm::default())
}

impl Program for Kubeadm {
    fn poll(&mut self, sys: &mut Sys<'_>) -> Poll {
        let args = arguments(sys);
        match self.script.run(sys, |cx| command(cx, &args)) {
            Some(code) => Poll::Exit(code),
            None => Poll::Pending,
        }
    }
}

/// A command line: words, and flags with their values.
struct Line {
    words: Vec<String>,
    flags: Vec<(String, String)>,
}

impl Line {
    fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|(n, v)| n == name && v != "false")
    }
    fn value(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Flags with a value that may be a word of its own.
const WITH_VALUE: &[&str] = &[
    "apiserver-advertise-address",
    "cert-dir",
    "certificate-key",
    "control-plane-endpoint",
    "cri-socket",
    "description",
    "discovery-token",
    "discovery-token-ca-cert-hash",
    "groups",
    "ignore-preflight-errors",
    "kubeconfig",
    "kubernetes-version",
    "node-name",
    "output",
    "pod-network-cidr",
    "service-cidr",
    "tls-bootstrap-token",
    "token",
    "token-ttl",
    "ttl",
    "usages",
    "v",
];
/// Flags without.
const SWITCHES: &[&str] =
    &["control-plane", "discovery-token-unsafe-skip-ca-verification", "force", "print-join-command", "upload-certs"];

fn parse(args: &[String]) -> Result<Line, String> {
    let mut line = Line { words: Vec::new(), flags: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let long = match arg.as_str() {
            "-f" => "--force",
            "-o" => "--output",
            "-v" => "--v",
            other => other,
        };
        let Some(flag) = long.strip_prefix("--") else {
            if arg.starts_with('-') {
                let letter: String = arg.chars().skip(1).take(1).collect();
                return Err(format!("unknown shorthand flag: '{letter}' in {arg}"));
            }
            line.words.push(arg.clone());
            continue;
        };
        let (name, inline) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v.to_string())));
        let value = match (WITH_VALUE.contains(&name), SWITCHES.contains(&name), inline) {
            (true, _, Some(value)) => value,
            (true, _, None) => args.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
            (_, true, value) => value.unwrap_or_else(|| "true".into()),
            _ if name == "config" => return Err("configuration files are not in this bottle: use flags".into()),
            _ => return Err(format!("unknown flag: --{name}")),
        };
        line.flags.push((name.into(), value));
    }
    Ok(line)
}

fn command(cx: &mut Cx<'_, '_>, args: &[String]) -> Step<i32> {
    let line = match parse(args) {
        Ok(line) => line,
        Err(error) => return fail(cx, &error),
    };
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help"] => {
            cx.say(misc::USAGE);
            Ok(0)
        }
        ["version"] => misc::version(cx, &line),
        ["init"] => init::init(cx, &line),
        ["init", "phase", "upload-certs"] => upload_certs::phase(cx, &line),
        ["certs", "certificate-key"] => upload_certs::print_key(cx),
        ["join"] => fail(cx, "discovery: Invalid value: \"\": bootstrapToken or file must be set"),
        ["join", endpoint] => join::join(cx, &line, endpoint),
        ["reset"] => reset::reset(cx, &line),
        ["token", "generate"] => {
            let token = token::random(cx);
            cx.say(format!("{token}\n"));
            Ok(0)
        }
        ["token", "create"] => token::create(cx, &line, None),
        ["token", "create", token] => token::create(cx, &line, Some(token)),
        ["token", "list"] | ["token"] => token::list(cx, &line),
        ["token", "delete", tokens @ ..] if !tokens.is_empty() => token::delete(cx, &line, tokens),
        ["token", "delete"] => fail(
            cx,
            "missing argument; 'token delete' is missing token of form \"^([a-z0-9]{6})\\\\.([a-z0-9]{16})$\" or \"^([a-z0-9]{6})$\"",
        ),
        ["certs", "check-expiration"] => certs::check(cx),
        ["certs", "renew", names @ ..] if !names.is_empty() => certs::renew(cx, names),
        ["upgrade", "plan"] | ["upgrade", "plan", _] => misc::upgrade_plan(cx, &line),
        ["config", "print", "init-defaults"] | ["config", "print"] => misc::init_defaults(cx),
        ["config", "print", "join-defaults"] => misc::join_defaults(cx),
        ["config", "images", "list"] => misc::images(cx),
        ["upgrade" | "config" | "certs" | "init" | "alpha" | "kubeconfig" | "completion", ..] => {
            fail(cx, &format!("kubeadm {} is not in this bottle", words.join(" ")))
        }
        [other, ..] => fail(cx, &format!("unknown command \"{other}\" for \"kubeadm\"")),
    }
}

/// Ends as kubeadm ends when something is wrong.
fn fail(cx: &mut Cx<'_, '_>, error: &str) -> Step<i32> {
    cx.complain(format!("error: {error}\n{STACK}"));
    Ok(1)
}

/// Server and credential of the administrator's kubeconfig on this machine.
///
/// `Err`: it isn't there, in kubeadm's words.
fn administrator(cx: &mut Cx<'_, '_>, line: &Line) -> Result<(String, Credential), String> {
    let path = line.value("kubeconfig").map(String::from).or_else(|| cx.var("KUBECONFIG")).unwrap_or_else(|| ADMIN.into());
    let Some(text) = cx.read(&path) else {
        return Err(format!("failed to load admin kubeconfig: open {path}: no such file or directory"));
    };
    identity(&text).ok_or_else(|| format!("failed to load admin kubeconfig: {path} names no server or no certificate"))
}

/// What a kubeconfig leads to.
fn identity(kubeconfig: &str) -> Option<(String, Credential)> {
    let config = yaml::parse(kubeconfig).ok()?.value;
    let server = config.list_at(&["clusters"]).first()?.str_at(&["cluster", "server"])?.to_string();
    let user = config.list_at(&["users"]).first()?.clone();
    if let Some(token) = user.str_at(&["user", "token"]) {
        return Some((server, Credential::Bearer(token.into())));
    }
    let pem = kubectl::base64::decode(user.str_at(&["user", "client-certificate-data"])?)?;
    let subject = kubectl::user_of_certificate(&String::from_utf8_lossy(&pem))?;
    Some((server, Credential::Certificate(std::rc::Rc::new(subject))))
}
