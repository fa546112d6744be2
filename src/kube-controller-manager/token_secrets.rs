//! The service account token controller: Secrets of type `kubernetes.io/service-account-token` get a token, and go with their account.
//! Models `pkg/controller/serviceaccount/tokens_controller.go`. Left out: the label of the last use, and the cleaner of unused ones.

use std::rc::Rc;

use apimachinery::{Object, ObjectKey, Request, jwt, value};
use base::Seed;
use client_go::Delta;

use crate::framework::{Controller, Ctx, Enqueue, Info, Outcome, Plan, failure, failure_but_not_found};
use crate::resources::{Caches, Res, SECRETS, SECRETS_BY_ACCOUNT, SERVICEACCOUNTS, gvr};

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// `namespace/account` of a token Secret: its index.
pub fn by_account(secret: &Object, keys: &mut Vec<Rc<str>>) {
    if let Some(account) = account_of(secret) {
        keys.push(format!("{}/{account}", secret.namespace()).into());
    }
}

fn account_of(secret: &Object) -> Option<&str> {
    let is_token = secret.str_at(&["type"]) == Some(TYPE);
    secret.annotation(NAME).filter(|name| is_token && !name.is_empty())
}

#[derive(Clone)]
pub struct TokenController {
    /// `--service-account-private-key-file`
    pub key: Seed,
    pub root_ca: Rc<str>,
}

#[derive(Clone)]
pub enum Stage {
    /// The cache has no account for it: is there none?
    Looking,
    /// The Secret is read anew before it is written.
    Reading,
    Writing,
}

impl TokenController {
    /// What the Secret still lacks.
    fn completed(&self, secret: &Object, account: &Object) -> Option<Object> {
        let has = |field: &str| secret.str_at(&["data", field]).is_some_and(|v| !v.is_empty());
        let ca = jwt::standard64(self.root_ca.as_bytes());
        let stale = !self.root_ca.is_empty() && secret.str_at(&["data", "ca.crt"]) != Some(&ca);
        if has("token") && has("namespace") && !stale {
            return None;
        }
        let mut full = secret.clone();
        if stale {
            full.set_at(&["data", "ca.crt"], ca);
        }
        if !has("namespace") {
            full.set_at(&["data", "namespace"], jwt::standard64(secret.namespace().as_bytes()));
        }
        if !has("token") {
            full.set_at(&["data", "token"], jwt::standard64(self.token(secret, account).as_bytes()));
        }
        full.set_at(&["metadata", "annotations", NAME], account.name());
        full.set_at(&["metadata", "annotations", UID], account.uid());
        Some(full)
    }

    fn token(&self, secret: &Object, account: &Object) -> String {
        let claim = |name: &str| format!("kubernetes.io/serviceaccount/{name}");
        let mut payload = value!({
            "iss": "kubernetes/serviceaccount", "sub": (format!("system:serviceaccount:{}:{}", account.namespace(), account.name()))
        });
        for (name, text) in [
            ("namespace", account.namespace()),
            ("secret.name", secret.name()),
            ("service-account.name", account.name()),
            ("service-account.uid", account.uid()),
        ] {
            payload.set_at(&[&claim(name)], text);
        }
        jwt::sign(self.key, &payload)
    }

    fn account<'a>(secret: &Object, caches: Caches<'a>) -> Option<&'a Object> {
        let account = caches.find(SERVICEACCOUNTS, secret.namespace(), account_of(secret)?)?;
        let uid = secret.annotation(UID).unwrap_or("");
        (uid.is_empty() || uid == account.uid()).then_some(account)
    }

    fn delete(secret: &Object) -> Plan<Stage> {
        let options = value!({"preconditions": {"uid": (secret.uid()), "resourceVersion": (secret.resource_version())}});
        let mut request = Request::delete(gvr(SECRETS), &secret.key());
        request.body = apimachinery::Body::Object(Object::from_value(options).expect("a map was built"));
        Plan::call(format!("the account of {} is gone", secret.name()), request, Stage::Writing)
    }
}

impl Controller for TokenController {
    type Key = ObjectKey;
    type Stage = Stage;

    fn info(&self) -> Info {
        // Upstream starts it before the others, with the process' own credential.
        Info { name: "serviceaccount-token-controller", account: "", source: "serviceaccount-token-controller", workers: 5 }
    }
    fn watches(&self) -> &'static [Res] {
        &[SERVICEACCOUNTS, SECRETS]
    }
    fn on_event(&mut self, res: Res, delta: &Delta, queue: &mut Enqueue<ObjectKey>) {
        if res == SECRETS {
            if delta.new.as_ref().is_some_and(|secret| account_of(secret).is_some()) {
                queue.add(delta.object().key());
            }
            return;
        }
        if delta.old.is_some() && delta.new.is_some() {
            return;
        }
        let account = format!("{}/{}", delta.object().namespace(), delta.object().name());
        let keys: Vec<ObjectKey> = queue.caches.store(SECRETS).by_index(SECRETS_BY_ACCOUNT, &account).map(Object::key).collect();
        keys.into_iter().for_each(|key| queue.add(key));
    }

    fn sync(&mut self, key: &ObjectKey, ctx: &mut Ctx) -> Plan<Stage> {
        let Some(secret) = ctx.caches.get(SECRETS, key).filter(|s| !s.is_being_deleted()) else { return Plan::Done };
        let Some(name) = account_of(secret) else { return Plan::Done };
        match Self::account(secret, ctx.caches) {
            None => {
                let account = ObjectKey::new(secret.namespace(), name);
                let why = format!("{key} belongs to an account that isn't known");
                Plan::call(why, Request::get(gvr(SERVICEACCOUNTS), &account), Stage::Looking)
            }
            Some(account) if self.completed(secret, account).is_some() => {
                Plan::call(format!("{key} has no token yet"), Request::get(gvr(SECRETS), key), Stage::Reading)
            }
            Some(_) => Plan::Done,
        }
    }

    fn resume(&mut self, key: &ObjectKey, stage: Stage, outcomes: &[Outcome], ctx: &mut Ctx) -> Plan<Stage> {
        let Some(secret) = ctx.caches.get(SECRETS, key) else { return Plan::Done };
        match stage {
            Stage::Looking if outcomes[0].is_not_found() => Self::delete(secret),
            Stage::Looking => match outcomes[0].ok() {
                Some(account) if secret.annotation(UID).is_some_and(|uid| !uid.is_empty() && uid != account.uid()) => {
                    Self::delete(secret)
                }
                _ => Plan::retry("the cache lags behind"),
            },
            Stage::Reading => match (outcomes[0].ok(), Self::account(secret, ctx.caches)) {
                (Some(live), Some(account)) => match self.completed(live, account) {
                    Some(full) => {
                        Plan::call(format!("{key} gets its token"), Request::update(gvr(SECRETS), full), Stage::Writing)
                    }
                    None => Plan::Done,
                },
                _ => failure_but_not_found(outcomes).map_or(Plan::Done, Plan::Retry),
            },
            Stage::Writing => failure(outcomes).filter(|_| !outcomes[0].is_not_found()).map_or(Plan::Done, Plan::Retry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::Value;

    #[test]
    fn a_secret_gets_what_it_lacks_once() {
        let controller = TokenController { key: Seed(1), root_ca: "ca".into() };
        let object = |v: Value| Object::from_value(v).unwrap();
        let account = object(value!({"metadata": {"name": "robot", "namespace": "ns", "uid": "u"}}));
        let secret = object(value!({
            "metadata": {"name": "t", "namespace": "ns", "annotations": {"kubernetes.io/service-account.name": "robot"}},
            "type": TYPE
        }));
        let full = controller.completed(&secret, &account).unwrap();
        assert_eq!(full.str_at(&["data", "namespace"]), Some("bnM="));
        assert_eq!(full.annotation(UID), Some("u"));
        assert!(controller.completed(&full, &account).is_none());
    }
}
