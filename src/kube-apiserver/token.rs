//! Service account tokens: their claims. How they are signed: `apimachinery::jwt`.

use std::rc::Rc;

use apimachinery::{Value, jwt, value};
use base::{Seed, Time};

pub use apimachinery::jwt::{decode64, encode64};

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

/// The issuer of tokens that lie in Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// What a token from a Secret says: namespace, the Secret's name, the account's name and uid.
pub fn verify_legacy(seed: Seed, token: &str) -> Option<[Rc<str>; 4]> {
    let payload = jwt::verify(seed, token)?;
    let claim = |name: &str| payload.at(&[&format!("kubernetes.io/serviceaccount/{name}")])?.as_rc_str().cloned();
    let is_legacy = payload.str_at(&["iss"]) == Some(LEGACY_ISSUER);
    let claims = [claim("namespace")?, claim("secret.name")?, claim("service-account.name")?, claim("service-account.uid")?];
    is_legacy.then_some(claims)
}

/// A token with these claims.
pub fn sign(seed: Seed, issuer: &str, claims: &Claims) -> String {
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
    jwt::sign(seed, &payload)
}

/// The claims of a token that this cluster signed; nothing else is checked.
pub fn verify(seed: Seed, issuer: &str, token: &str) -> Option<Claims> {
    let payload = jwt::verify(seed, token)?;
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
