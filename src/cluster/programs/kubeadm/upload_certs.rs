//! The certificates that control planes share, on their way from one to the next: `kubeadm init --upload-certs` and `kubeadm init phase
//! upload-certs` put them into the Secret `kubeadm-certs`, `kubeadm join --control-plane --certificate-key` reads them there.
//!
//! Models `phases/copycerts`. The Secret lives as long as the token that owns it: two hours. What is in it is sealed with the key by a
//! model of AES-GCM: nobody reads it without the key, and a wrong key is noticed.

use std::rc::Rc;

use apimachinery::{Credential, Object, ObjectKey, Request, resources, value};
use base::{Duration, hash64, mix64};

use super::script::{Cx, Step, why_failed};
use super::token::{random, secret};
use super::{Line, administrator, fail};
use crate::kubeadm::objects;

const NAME: &str = "kubeadm-certs";
const NAMESPACE: &str = "kube-system";
/// How long what was uploaded can be read.
const LIFE: Duration = Duration::from_secs(2 * 3600);
/// Names in the Secret, and the files below `/etc/kubernetes/pki`.
const SHARED: [(&str, &str); 8] = [
    ("ca.crt", "ca.crt"),
    ("ca.key", "ca.key"),
    ("etcd-ca.crt", "etcd/ca.crt"),
    ("etcd-ca.key", "etcd/ca.key"),
    ("front-proxy-ca.crt", "front-proxy-ca.crt"),
    ("front-proxy-ca.key", "front-proxy-ca.key"),
    ("sa.key", "sa.key"),
    ("sa.pub", "sa.pub"),
];
/// Who may read the Secret: machines that join.
const RIGHTS: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: kubeadm:kubeadm-certs, namespace: kube-system}\nrules:\n- {apiGroups: [\"\"], resources: [secrets], resourceNames: [kubeadm-certs], verbs: [get]}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: kubeadm:kubeadm-certs, namespace: kube-system}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: kubeadm:kubeadm-certs}\nsubjects:\n- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:bootstrappers:kubeadm:default-node-token}\n";

fn path(file: &str) -> String {
    format!("/etc/kubernetes/pki/{file}")
}

/// A key of 32 bytes in hexadecimal digits.
pub(super) fn new_key(cx: &mut Cx<'_, '_>) -> String {
    (0..4).map(|_| format!("{:016x}", cx.random())).collect()
}

/// `kubeadm certs certificate-key`
pub(super) fn print_key(cx: &mut Cx<'_, '_>) -> Step<i32> {
    let key = new_key(cx);
    cx.say(format!("{key}\n"));
    Ok(0)
}

/// Why a key can't be one, in the words of Go's `encoding/hex`.
pub(super) fn wrong_key(key: &str) -> Option<String> {
    if let Some(c) = key.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Some(format!("encoding/hex: invalid byte: {}", Rune(c)));
    }
    match key.len() {
        64 => None,
        n if n % 2 == 1 => Some("encoding/hex: odd length hex string".into()),
        n => Some(format!("crypto/aes: invalid key size {}", n / 2)),
    }
}

/// `U+007A 'z'`, as Go's `%#U` prints it.
struct Rune(char);

impl std::fmt::Display for Rune {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "U+{:04X} '{}'", self.0 as u32, self.0)
    }
}

/// `kubeadm init phase upload-certs`
pub(super) fn phase(cx: &mut Cx<'_, '_>, line: &Line) -> Step<i32> {
    if !line.has("upload-certs") {
        cx.say("[upload-certs] Skipping phase. Please see --upload-certs\n");
        return Ok(0);
    }
    let (server, credential) = match administrator(cx, line) {
        Ok(found) => found,
        Err(error) => return fail(cx, &error),
    };
    match upload(cx, line, &server, &credential)? {
        Ok(_) => Ok(0),
        Err(why) => fail(cx, &format!("error execution phase upload-certs: error uploading certs: {why}")),
    }
}

/// Puts the shared certificates into the Secret. `Ok`: the key to read them with.
pub(super) fn upload(cx: &mut Cx<'_, '_>, line: &Line, server: &str, credential: &Credential) -> Step<Result<String, Rc<str>>> {
    let key = match line.value("certificate-key").map(String::from) {
        Some(key) => key,
        None => new_key(cx),
    };
    if let Some(why) = wrong_key(&key) {
        return Ok(Err(format!("error decoding certificate key: {why}").into()));
    }
    cx.say(format!("[upload-certs] Storing the certificates in Secret \"{NAME}\" in the \"{NAMESPACE}\" Namespace\n"));
    let mut data = value!({});
    for (name, file) in SHARED {
        let Some(text) = cx.read(&path(file)) else {
            return Ok(Err(format!("open {}: no such file or directory", path(file)).into()));
        };
        data.set_at(&[name], kubectl::base64::encode(&seal(&key, name, text.as_bytes())));
    }
    // The Secret goes with a token that nobody can use.
    let token = random(cx);
    let expires = cx.now() + LIFE;
    let description = "Proxy for managing TTL for the kubeadm-certs secret";
    let owner = secret(&token, Some(expires), description, &[], "").unwrap_or_default();
    let answer = cx.api(server, credential, Request::create(resources::secrets(), owner))?;
    if let Some(why) = why_failed(&answer) {
        return Ok(Err(why));
    }
    let made = answer.as_ref().ok().and_then(|r| r.ok().cloned()).unwrap_or_default();
    for (gvr, object) in objects(RIGHTS) {
        let answer = cx.api(server, credential, Request::create(gvr, object))?;
        let there = answer.as_ref().is_ok_and(|r| r.is_already_exists());
        if let Some(why) = why_failed(&answer).filter(|_| !there) {
            return Ok(Err(why));
        }
    }
    let owner = value!({
        "apiVersion": "v1", "kind": "Secret", "name": (made.name()), "uid": (made.uid()), "controller": true,
        "blockOwnerDeletion": true
    });
    let object = Object::from_value(value!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "ownerReferences": [owner]}, "data": data
    }));
    let object = object.unwrap_or_default();
    let mut answer = cx.api(server, credential, Request::create(resources::secrets(), object.clone()))?;
    if answer.as_ref().is_ok_and(|r| r.is_already_exists()) {
        answer = cx.api(server, credential, Request::update(resources::secrets(), object))?;
    }
    if let Some(why) = why_failed(&answer) {
        return Ok(Err(why));
    }
    cx.say(format!("[upload-certs] Using certificate key:\n{key}\n"));
    Ok(Ok(key))
}

/// Writes the shared certificates to this machine's disk. `Some`: why not.
pub(super) fn download(cx: &mut Cx<'_, '_>, server: &str, credential: &Credential, key: &str) -> Step<Option<String>> {
    cx.say(format!("[download-certs] Downloading the certificates in Secret \"{NAME}\" in the \"{NAMESPACE}\" Namespace\n"));
    if let Some(why) = wrong_key(key) {
        return Ok(Some(format!("error decoding certificate key: {why}")));
    }
    let name = ObjectKey::new(NAMESPACE, NAME);
    let answer = cx.api(server, credential, Request::get(resources::secrets(), &name))?;
    // Nobody may read what was never uploaded: the right comes with it.
    if answer.as_ref().is_ok_and(|r| matches!(r.code, 403 | 404)) {
        return Ok(Some(format!(
            "error downloading the secret: Secret \"{NAME}\" was not found in the \"{NAMESPACE}\" Namespace. This Secret might have expired. Please, run `kubeadm init phase upload-certs --upload-certs` on a control plane to generate a new one"
        )));
    }
    if let Some(why) = why_failed(&answer) {
        return Ok(Some(format!("error downloading the secret: {why}")));
    }
    let secret = answer.ok().and_then(|r| r.ok().cloned()).unwrap_or_default();
    let mut files = Vec::new();
    for (name, file) in SHARED {
        let Some(sealed) = secret.str_at(&["data", name]).and_then(kubectl::base64::decode) else {
            return Ok(Some(format!("couldn't find required secret data {name}")));
        };
        let Some(text) = open(key, name, &sealed) else {
            return Ok(Some("error decoding secret data with provided key: cipher: message authentication failed".into()));
        };
        files.push((path(file), text, if name.ends_with(".crt") || name.ends_with(".pub") { 0o644 } else { 0o600 }));
    }
    cx.say("[download-certs] Saving the certificates to the folder: \"/etc/kubernetes/pki\"\n");
    for (path, text, mode) in files {
        cx.write(&path, &text, mode);
    }
    Ok(None)
}

/// Whether the shared certificates lie on this machine already (copied by hand): the first that is missing, in kubeadm's words.
pub(super) fn missing(cx: &mut Cx<'_, '_>) -> Vec<String> {
    let wanted = [
        ("loading certificate for CA: couldn't load the certificate file", "ca.crt"),
        ("loading key for service account: couldn't load the private key file", "sa.key"),
        ("loading certificate for front-proxy CA: couldn't load the certificate file", "front-proxy-ca.crt"),
        ("loading certificate for etcd CA: couldn't load the certificate file", "etcd/ca.crt"),
    ];
    let gone = wanted.iter().filter(|(_, file)| !cx.exists(&path(file)));
    gone.map(|(what, file)| format!("failure {what} {0}: open {0}: no such file or directory", path(file))).collect()
}

/// Bytes that only who has the key can make again.
fn stream(key: &str, name: &str) -> impl Iterator<Item = u8> {
    let seed = hash64(format!("{key}/{name}").as_bytes());
    (0..u64::MAX).flat_map(move |n| mix64(seed ^ mix64(n)).to_le_bytes())
}

/// What proves that a text was sealed with this key.
fn tag(key: &str, name: &str, text: &[u8]) -> [u8; 8] {
    mix64(hash64(text) ^ hash64(format!("{name}/{key}").as_bytes())).to_le_bytes()
}

fn seal(key: &str, name: &str, text: &[u8]) -> Vec<u8> {
    let mut sealed: Vec<u8> = text.iter().zip(stream(key, name)).map(|(a, b)| a ^ b).collect();
    sealed.extend(tag(key, name, text));
    sealed
}

fn open(key: &str, name: &str, sealed: &[u8]) -> Option<String> {
    let (text, proof) = sealed.split_at_checked(sealed.len().checked_sub(8)?)?;
    let text: Vec<u8> = text.iter().zip(stream(key, name)).map(|(a, b)| a ^ b).collect();
    (tag(key, name, &text) == proof).then(|| String::from_utf8(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_opens_what_it_sealed() {
        let sealed = seal("abc", "sa.key", b"secret text");
        assert!(!String::from_utf8_lossy(&sealed).contains("secret"));
        assert_eq!(open("abc", "sa.key", &sealed).as_deref(), Some("secret text"));
        assert_eq!(open("abd", "sa.key", &sealed), None);
        assert_eq!(open("abc", "ca.key", &sealed), None);
        assert_eq!(open("abc", "sa.key", b"short"), None);
    }

    #[test]
    fn keys_have_32_bytes() {
        assert_eq!(wrong_key(&"0f".repeat(32)), None);
        assert_eq!(wrong_key("abc").unwrap(), "encoding/hex: odd length hex string");
        assert_eq!(wrong_key("zz").unwrap(), "encoding/hex: invalid byte: U+007A 'z'");
        assert_eq!(wrong_key("abcd").unwrap(), "crypto/aes: invalid key size 2");
    }
}
