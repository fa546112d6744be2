//! Service account tokens: three parts as a JWT has them, signed with a keyed hash of the cluster's seed.
//!
//! A real server signs with an RSA or elliptic key. What clients do with a token is the same: they send it back, and decode its
//! claims. The signature is no protection against anybody who has the program; nothing here needs one.

use std::rc::Rc;

use apimachinery::{Value, json, value};
use base::{Digest, Seed, Time};

/// What a token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    pub namespace: Rc<str>,
    pub service_account: Rc<str>,
    pub service_account_uid: Rc<str>,
    pub audiences: Vec<Rc<str>>,
    pub issued: Time,
    pub expires: Time,
    pub id: Rc<str>,
    /// `Pod`, `Secret` or `Node`, name, uid.
    pub bound: Option<(Rc<str>, Rc<str>, Rc<str>)>,
    /// Name and uid of the node, for a token of a pod that is bound to one.
    pub node: Option<(Rc<str>, Rc<str>)>,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding.
pub fn encode64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 3);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(ALPHABET[(word >> (18 - 6 * i) & 63) as usize] as char);
        }
    }
    out
}

/// The bytes of base64url without padding; the error is the place of the first bad character.
pub fn decode64(text: &str) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut bits) = (0u32, 0);
    for (i, c) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|a| *a == c).ok_or(i)? as u32;
        word = word << 6 | digit;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    // One digit alone holds no byte.
    if bits == 6 { Err(text.len() - 1) } else { Ok(out) }
}

fn signature(seed: Seed, signed: &str) -> String {
    let mut bytes = Vec::with_capacity(32);
    for part in 0..4 {
        let mut digest = Digest::new();
        digest.write_u64(seed.derive("service-account-key").draw(part));
        digest.write(signed.as_bytes());
        bytes.extend(digest.finish().to_be_bytes());
    }
    encode64(&bytes)
}

/// A token with these claims.
pub fn sign(seed: Seed, issuer: &str, claims: &Claims) -> String {
    let header = value!({"alg": "KH256", "kid": "kubottle"});
    let mut kubernetes = value!({
        "namespace": (&claims.namespace),
        "serviceaccount": {"name": (&claims.service_account), "uid": (&claims.service_account_uid)}
    });
    if let Some((kind, name, uid)) = &claims.bound {
        kubernetes.set_at(&[&kind.to_lowercase()], value!({"name": name, "uid": uid}));
    }
    if let Some((name, uid)) = &claims.node {
        kubernetes.set_at(&["node"], value!({"name": name, "uid": uid}));
    }
    let audiences: Vec<Value> = claims.audiences.iter().map(Value::from).collect();
    let payload = value!({
        "aud": audiences, "exp": (claims.expires.secs()), "iat": (claims.issued.secs()), "nbf": (claims.issued.secs()),
        "iss": issuer, "jti": (&claims.id), "kubernetes.io": kubernetes,
        "sub": (format!("system:serviceaccount:{}:{}", claims.namespace, claims.service_account))
    });
    let part = |v: &Value| encode64(json::to_string(v).as_bytes());
    let signed = format!("{}.{}", part(&header), part(&payload));
    let signature = signature(seed, &signed);
    format!("{signed}.{signature}")
}

/// The claims of a token that this cluster signed; nothing else is checked.
pub fn verify(seed: Seed, issuer: &str, token: &str) -> Option<Claims> {
    let (signed, given) = token.rsplit_once('.')?;
    if signature(seed, signed) != given {
        return None;
    }
    let payload = json::parse(&decode64(signed.split_once('.')?.1).ok()?).ok()?;
    if payload.str_at(&["iss"]) != Some(issuer) {
        return None;
    }
    let k = payload.get("kubernetes.io")?;
    let text = |path: &[&str]| k.at(path).and_then(Value::as_rc_str).cloned();
    let bound = ["pod", "secret", "node"]
        .into_iter()
        .zip(["Pod", "Secret", "Node"])
        .find_map(|(member, kind)| Some((Rc::from(kind), text(&[member, "name"])?, text(&[member, "uid"])?)));
    Some(Claims {
        namespace: text(&["namespace"])?,
        service_account: text(&["serviceaccount", "name"])?,
        service_account_uid: text(&["serviceaccount", "uid"])?,
        audiences: payload.list_at(&["aud"]).iter().filter_map(Value::as_rc_str).cloned().collect(),
        issued: Time::from_secs(payload.int_at(&["iat"])?),
        expires: Time::from_secs(payload.int_at(&["exp"])?),
        id: payload.at(&["jti"])?.as_rc_str()?.clone(),
        node: text(&["node", "name"]).zip(text(&["node", "uid"])),
        bound,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_goes_both_ways() {
        for text in ["", "a", "ab", "abc", "abcd\u{fc}"] {
            assert_eq!(decode64(&encode64(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert_eq!(encode64(b"\xff\xfe"), "__4");
        assert_eq!(decode64("a+b"), Err(1));
    }

    #[test]
    fn a_token_is_good_for_its_own_cluster() {
        let claims = Claims {
            namespace: "default".into(),
            service_account: "web".into(),
            service_account_uid: "u".into(),
            audiences: vec!["api".into()],
            issued: Time::from_secs(10),
            expires: Time::from_secs(20),
            id: "j".into(),
            bound: Some(("Pod".into(), "p".into(), "pu".into())),
            node: None,
        };
        let token = sign(Seed(1), "me", &claims);
        assert_eq!(verify(Seed(1), "me", &token), Some(claims));
        assert_eq!(verify(Seed(2), "me", &token), None);
        assert_eq!(verify(Seed(1), "you", &token), None);
    }
}
