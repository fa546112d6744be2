//! Bootstrap tokens: Secrets in kube-system that a new machine shows to ask for its certificate.

use std::fmt::Write;
use std::rc::Rc;

use apimachinery::{Credential, Object, ObjectKey, Request, Response, resources, value};
use base::{Duration, Time};

use super::init::ensure_bootstrap;
use super::script::{Cx, Step, why_failed};
use super::{Line, administrator, fail};
use crate::kubeadm::CA_HASH_SEED;
use crate::laptop::CA_PEM;

const DAY: i64 = 86_400;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// `abcdef.0123456789abcdef`
pub(super) fn random(cx: &mut Cx<'_, '_>) -> String {
    let (a, b, c) = (cx.random(), cx.random(), cx.random());
    let letters = |mut n: u64, len: usize| -> String {
        (0..len)
            .map(|_| {
                let letter = LETTERS[(n % LETTERS.len() as u64) as usize];
                n /= LETTERS.len() as u64;
                letter as char
            })
            .collect()
    };
    format!("{}.{}{}", letters(a, 6), letters(b, 8), letters(c, 8))
}

/// The id and the secret of a token.
pub(super) fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let fits = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| LETTERS.contains(&b));
    (fits(id, 6) && fits(secret, 16)).then_some((id, secret))
}

/// The digest of the authority's public key that `join` is given.
pub(crate) fn ca_hash() -> String {
    let digits = |n: u64| format!("{:016x}", base::mix64(base::hash64(CA_PEM.as_bytes()) ^ n));
    format!("sha256:{}", (0..4).map(|n| digits(CA_HASH_SEED + n)).collect::<String>())
}

/// The Secret of a token.
pub(super) fn secret(token: &str, expires: Option<Time>, description: &str, usages: &[&str], groups: &str) -> Option<Object> {
    let (id, secret) = parts(token)?;
    let encode = |text: &str| kubectl::base64::encode(text.as_bytes());
    let mut data = value!({
        "token-id": (encode(id)), "token-secret": (encode(secret)), "auth-extra-groups": (encode(groups))
    });
    for usage in usages {
        data.set_at(&[&*format!("usage-bootstrap-{usage}")], encode("true"));
    }
    if let Some(at) = expires {
        data.set_at(&["expiration"], encode(&at.rfc3339()));
    }
    if !description.is_empty() {
        data.set_at(&["description"], encode(description));
    }
    Object::from_value(value!({
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": (format!("bootstrap-token-{id}")), "namespace": "kube-system"}, "data": data
    }))
}

/// `24h`, `30m`, `0`.
fn ttl(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (number, scale) = match text.chars().last()? {
        's' => (&text[..text.len() - 1], 1),
        'm' => (&text[..text.len() - 1], 60),
        'h' => (&text[..text.len() - 1], 3600),
        _ => return None,
    };
    let n = number.parse::<i64>().ok().filter(|n| (0..1_000_000).contains(n))?;
    Some(Duration::from_secs(n * scale))
}

pub(super) fn create(cx: &mut Cx<'_, '_>, line: &Line, given: Option<&str>) -> Step<i32> {
    let (server, credential) = match administrator(cx, line) {
        Ok(found) => found,
        Err(error) => return fail(cx, &error),
    };
    let token = match given {
        Some(token) => token.to_string(),
        None => random(cx),
    };
    if parts(&token).is_none() {
        let pattern = "\\\\A([a-z0-9]{6})\\\\.([a-z0-9]{16})\\\\z";
        return fail(cx, &format!("the bootstrap token \"{token}\" was not of the form \"{pattern}\""));
    }
    let text = line.value("ttl").unwrap_or("24h0m0s");
    let Some(life) = ttl(if text == "24h0m0s" { "24h" } else { text }) else {
        return fail(cx, &format!("invalid argument \"{text}\" for \"--ttl\" flag: time: invalid duration \"{text}\""));
    };
    if let Some(why) = ensure_bootstrap(cx, &server, &credential)? {
        return fail(cx, &why);
    }
    let expires = (life > Duration::ZERO).then(|| cx.now() + life);
    let usages: Vec<&str> = line.value("usages").unwrap_or("signing,authentication").split(',').collect();
    let groups = line.value("groups").unwrap_or("system:bootstrappers:kubeadm:default-node-token");
    let object = secret(&token, expires, line.value("description").unwrap_or(""), &usages, groups);
    let request = Request::create(resources::secrets(), object.unwrap_or_default());
    let answer = cx.api(&server, &credential, request)?;
    if answer.as_ref().is_ok_and(|r| r.is_already_exists()) {
        let id = token.split('.').next().unwrap_or("");
        return fail(cx, &format!("a token with id \"{id}\" already exists"));
    }
    if let Some(why) = why_failed(&answer) {
        return fail(cx, &format!("failed to create or update bootstrap token with name bootstrap-token: {why}"));
    }
    match line.has("print-join-command") {
        true => {
            let endpoint = server.trim_start_matches("https://");
            let control_plane = match line.value("certificate-key") {
                Some(key) => format!("--control-plane --certificate-key {key}"),
                None => String::new(),
            };
            cx.say(format!(
                "kubeadm join {endpoint} --token {token} --discovery-token-ca-cert-hash {} {control_plane}\n",
                ca_hash()
            ));
        }
        false => cx.say(format!("{token}\n")),
    }
    Ok(0)
}

/// The Secrets of tokens.
fn tokens(cx: &mut Cx<'_, '_>, server: &str, credential: &Credential) -> Step<Result<Vec<Object>, Rc<str>>> {
    let mut request = Request::list(resources::secrets(), "kube-system");
    request.options.field_selector = Some("type=bootstrap.kubernetes.io/token".into());
    let answer = cx.api(server, credential, request)?;
    Ok(match (why_failed(&answer), answer) {
        (None, Ok(response)) => Ok(list_of(&response)),
        (why, _) => Err(why.unwrap_or_default()),
    })
}

fn list_of(response: &Response) -> Vec<Object> {
    response.as_list().map(|l| l.items.clone()).unwrap_or_default()
}

fn field(secret: &Object, name: &str) -> Option<String> {
    let text = secret.str_at(&["data", name])?;
    kubectl::base64::decode(text).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn list(cx: &mut Cx<'_, '_>, line: &Line) -> Step<i32> {
    let (server, credential) = match administrator(cx, line) {
        Ok(found) => found,
        Err(error) => return fail(cx, &error),
    };
    let secrets = match tokens(cx, &server, &credential)? {
        Ok(secrets) => secrets,
        Err(why) => return fail(cx, &format!("failed to list bootstrap tokens: {why}")),
    };
    let now = cx.now();
    let mut rows = vec![["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"].map(String::from)];
    for secret in &secrets {
        let (Some(id), Some(key)) = (field(secret, "token-id"), field(secret, "token-secret")) else { continue };
        let expires = field(secret, "expiration").and_then(|e| Time::parse(&e));
        let left = expires.map_or("<forever>".to_string(), |at| left(at.since(now)));
        let until = expires.map_or("<never>".to_string(), |at| at.rfc3339());
        let has = |usage: &&str| field(secret, &format!("usage-bootstrap-{usage}")).as_deref() == Some("true");
        let usages: Vec<&str> = ["authentication", "signing"].into_iter().filter(|u| has(u)).collect();
        let description = field(secret, "description").unwrap_or_else(|| "<none>".into());
        let groups = field(secret, "auth-extra-groups").unwrap_or_else(|| "<none>".into());
        rows.push([format!("{id}.{key}"), left, until, usages.join(","), description, groups]);
    }
    let text = table(&rows, if secrets.is_empty() { 0 } else { rows.len() });
    cx.say(text);
    Ok(0)
}

/// Columns three spaces apart, as kubectl's printer sets them.
pub(super) fn table<const N: usize>(rows: &[[String; N]], shown: usize) -> String {
    let mut out = String::new();
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    for row in &rows[..shown.min(rows.len())] {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let _ = match i + 1 == N {
                true => write!(line, "{cell}"),
                false => write!(line, "{cell:<0$}   ", width(i)),
            };
        }
        out += &line;
        out.push('\n');
    }
    out
}

/// `23h`, `59m`, `364d`: Kubernetes' short duration.
pub(super) fn left(span: Duration) -> String {
    match span.as_secs() {
        s if s < 0 => "<invalid>".into(),
        s if s < 120 => format!("{s}s"),
        s if s < 3 * 3600 => format!("{}m", s / 60),
        s if s < 2 * DAY => format!("{}h", s / 3600),
        s if s < 365 * 2 * DAY => format!("{}d", s / DAY),
        s => format!("{}y", s / (365 * DAY)),
    }
}

pub(super) fn delete(cx: &mut Cx<'_, '_>, line: &Line, names: &[&str]) -> Step<i32> {
    let (server, credential) = match administrator(cx, line) {
        Ok(found) => found,
        Err(error) => return fail(cx, &error),
    };
    for name in names {
        let id = name.split('.').next().unwrap_or("");
        if id.len() != 6 || !id.bytes().all(|b| LETTERS.contains(&b)) {
            let pattern = "\\\\A([a-z0-9]{6})\\\\z";
            return fail(cx, &format!("given token or token id \"{name}\" didn't match pattern \"{pattern}\""));
        }
        let key = ObjectKey::new("kube-system", &format!("bootstrap-token-{id}"));
        let answer = cx.api(&server, &credential, Request::delete(resources::secrets(), &key))?;
        if let Some(why) = why_failed(&answer) {
            return fail(cx, &format!("failed to delete bootstrap token \"{id}\": {why}"));
        }
        cx.say(format!("bootstrap token \"{id}\" deleted\n"));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_form() {
        assert_eq!(parts("abcdef.0123456789abcdef"), Some(("abcdef", "0123456789abcdef")));
        for wrong in ["abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcdefg.0123456789abcdef", ""] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
        let secret = secret("abcdef.0123456789abcdef", None, "", &["signing"], "g").unwrap();
        assert_eq!(secret.at(&["data"]).and_then(apimachinery::Value::as_map).map(|m| m.iter().count()), Some(4));
        assert_eq!(
            (ttl("30m"), ttl("0"), ttl("x"), ttl("5")),
            (Some(Duration::from_secs(1800)), Some(Duration::ZERO), None, None)
        );
        assert!(ca_hash().len() == 7 + 64);
    }
}
