//! Authentication: who asks. Models `apiserver/pkg/authentication` and the `union` of its request authenticators.
//!
//! A client certificate names its user at once; a bearer token is a service account's or a bootstrap token; who shows nothing is
//! `system:anonymous`. Left out: OIDC, webhooks, the front proxy's headers (there is no aggregated server).

use std::rc::Rc;

use apimachinery::status::Status;
use apimachinery::{Credential, Object, UserInfo, resources};
use base::Time;

use crate::server::ApiServer;
use crate::token::{self, Claims};

thread_local! {
    static ANONYMOUS: Rc<UserInfo> = Rc::new(UserInfo::new("system:anonymous", &["system:unauthenticated"]));
}

const AUTHENTICATED: &str = "system:authenticated";

impl ApiServer {
    /// The user behind a credential; 401 if it proves nothing.
    pub(crate) fn authenticate(&self, credential: &Credential, now: Time) -> Result<Rc<UserInfo>, Status> {
        match credential {
            Credential::Anonymous if self.config.anonymous_auth => Ok(ANONYMOUS.with(Rc::clone)),
            Credential::Anonymous => Err(Status::unauthorized()),
            Credential::Certificate(user) if user.groups.iter().any(|g| &**g == AUTHENTICATED) => Ok(user.clone()),
            Credential::Certificate(user) => {
                let (given, key) = (user.clone(), Rc::as_ptr(user) as usize);
                // The address alone is no key: the user is compared, and kept alive by the entry itself.
                let entry = self.memo.users.get_or(key, || (given.clone(), Rc::new(with_authenticated(&given))));
                Ok(if Rc::ptr_eq(&entry.0, user) { entry.1 } else { Rc::new(with_authenticated(user)) })
            }
            Credential::Bearer(token) => self.bearer(token, now).ok_or_else(Status::unauthorized),
        }
    }

    fn bearer(&self, text: &Rc<str>, now: Time) -> Option<Rc<UserInfo>> {
        if !text.contains('.') || text.len() < 40 {
            return self.bootstrap_token(text, now).map(Rc::new);
        }
        let seed = self.config.seed;
        let known = self.memo.tokens.get_or(text.clone(), || {
            let claims = token::verify(seed, &self.config.issuer, text)?;
            Some((Rc::new(service_account_user(&claims)), Rc::new(claims)))
        });
        let Some((user, claims)) = known else { return self.token_of_secret(text).map(Rc::new) };
        let for_us = claims.audiences.iter().any(|a| **a == *self.config.issuer);
        (for_us && self.token_holds(&claims, now)).then_some(user)
    }

    /// A token that lies in a Secret: good as long as it lies there. Models `legacyValidator`.
    fn token_of_secret(&self, text: &str) -> Option<UserInfo> {
        let [namespace, secret, account, uid] = token::verify_legacy(self.config.seed, text)?;
        let secret = self.peek(resources::secrets(), &namespace, &secret).filter(|s| !s.is_being_deleted())?;
        let account = self.peek(resources::serviceaccounts(), &namespace, &account).filter(|a| a.uid() == &*uid)?;
        let stored = secret.str_at(&["data", "token"]).and_then(standard64)?;
        let mut user = UserInfo::new(
            &format!("system:serviceaccount:{namespace}:{}", account.name()),
            &["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), AUTHENTICATED],
        );
        user.uid = uid;
        (stored == text.as_bytes()).then_some(user)
    }

    /// Whether a token's account and the object it is bound to are still there, and its time is not over.
    pub(crate) fn token_holds(&self, claims: &Claims, now: Time) -> bool {
        if claims.expires <= now {
            return false;
        }
        let uid_is = |object: Option<&Object>, uid: &str| object.is_some_and(|o| o.uid() == uid);
        let account = self.peek(resources::serviceaccounts(), &claims.namespace, &claims.service_account);
        if !uid_is(account, &claims.service_account_uid) {
            return false;
        }
        match &claims.bound {
            None => true,
            Some((kind, name, uid)) => match &**kind {
                "Pod" => uid_is(self.peek(resources::pods(), &claims.namespace, name), uid),
                "Secret" => uid_is(self.peek(resources::secrets(), &claims.namespace, name), uid),
                _ => uid_is(self.peek(resources::nodes(), "", name), uid),
            },
        }
    }

    /// `abcdef.0123456789abcdef`: a Secret of kube-system. Models `plugin/pkg/auth/authenticator/token/bootstrap`.
    fn bootstrap_token(&self, text: &str, now: Time) -> Option<UserInfo> {
        let (id, secret) = text.split_once('.')?;
        let object = self.peek(resources::secrets(), "kube-system", &format!("bootstrap-token-{id}"))?;
        let data = |name: &str| String::from_utf8(standard64(object.str_at(&["data", name])?)?).ok();
        let good = object.str_at(&["type"]) == Some("bootstrap.kubernetes.io/token")
            && data("token-id").as_deref() == Some(id)
            && data("token-secret").as_deref() == Some(secret)
            && data("usage-bootstrap-authentication").as_deref() == Some("true")
            && data("expiration").is_none_or(|e| Time::parse(&e).is_some_and(|t| t > now));
        let extra = data("auth-extra-groups").unwrap_or_default();
        let mut groups = vec!["system:bootstrappers", AUTHENTICATED];
        groups.extend(extra.split(',').filter(|g| !g.is_empty()));
        good.then(|| UserInfo::new(&format!("system:bootstrap:{id}"), &groups))
    }

    /// The user of a token for a TokenReview, and the audiences that both sides accept.
    pub(crate) fn review(&self, text: &Rc<str>, audiences: &[Rc<str>], now: Time) -> Option<(UserInfo, Vec<Rc<str>>)> {
        let claims = token::verify(self.config.seed, &self.config.issuer, text)?;
        let common: Vec<Rc<str>> = claims.audiences.iter().filter(|a| audiences.contains(a)).cloned().collect();
        (!common.is_empty() && self.token_holds(&claims, now)).then(|| (service_account_user(&claims), common))
    }
}

/// base64 with padding, as `data` of a Secret has it.
pub(crate) fn standard64(text: &str) -> Option<Vec<u8>> {
    let text: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    token::decode64(&text).ok()
}

fn with_authenticated(user: &UserInfo) -> UserInfo {
    let mut user = user.clone();
    if !user.groups.iter().any(|g| &**g == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.into());
    }
    user
}

fn service_account_user(claims: &Claims) -> UserInfo {
    let mut user = UserInfo::new(
        &format!("system:serviceaccount:{}:{}", claims.namespace, claims.service_account),
        &["system:serviceaccounts", &format!("system:serviceaccounts:{}", claims.namespace), AUTHENTICATED],
    );
    user.uid = claims.service_account_uid.clone();
    let mut extra = vec![("authentication.kubernetes.io/credential-id".into(), vec![format!("JTI={}", claims.id).into()])];
    if let Some((name, uid)) = &claims.node {
        extra.push(("authentication.kubernetes.io/node-name".into(), vec![name.clone()]));
        extra.push(("authentication.kubernetes.io/node-uid".into(), vec![uid.clone()]));
    }
    if let Some((kind, name, uid)) = &claims.bound
        && **kind == *"Pod"
    {
        extra.push(("authentication.kubernetes.io/pod-name".into(), vec![name.clone()]));
        extra.push(("authentication.kubernetes.io/pod-uid".into(), vec![uid.clone()]));
    }
    user.extra = extra;
    user
}
