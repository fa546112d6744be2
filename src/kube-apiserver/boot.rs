//! What a server does before it says that it is ready: it loads its caches and creates what every cluster has.
//!
//! Models the post-start hooks (`rbac/bootstrap-roles`, `scheduling/bootstrap-system-priority-classes`, `bootstrap-controller`,
//! `start-system-namespaces-controller`, flow control's defaults …). What is created is `static/bootstrap/objects.jsonl`, one
//! object a line; a line that begins with `=` has the managed fields of the objects after it, which are many objects' own.

use apimachinery::{Object, Value, json};
use base::Time;
use etcd_api::{Op, Request, Stored, TxnRequest};
use sim::Outbox;

use crate::alloc;
use crate::call::Pending;
use crate::etcd_client::unchanged;
use crate::server::ApiServer;

static OBJECTS: &str = include_str!("../../static/bootstrap/objects.jsonl");

/// How far the start-up is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Boot {
    /// Caches are being read.
    #[default]
    Loading,
    /// That many objects are still to be created.
    Creating(usize),
    Done,
}

impl Boot {
    pub fn is_done(&self) -> bool {
        *self == Boot::Done
    }
}

impl ApiServer {
    /// One cache is loaded; after the last the objects are created.
    pub(crate) fn boot_loaded(&mut self, now: Time, out: &mut Outbox) {
        if self.boot != Boot::Loading || self.caches.iter().any(|c| !c.synced) {
            return;
        }
        let mut asked = 0;
        let mut managed = Value::Null;
        for line in OBJECTS.lines() {
            match line.strip_prefix('=') {
                Some(fields) => managed = managed_fields(fields, now),
                None => asked += usize::from(self.create_if_missing(line, &managed, now, out)),
            }
        }
        self.boot = Boot::Creating(asked);
        if asked == 0 {
            self.boot_done(now, out);
        }
    }

    pub(crate) fn boot_step(&mut self, now: Time, out: &mut Outbox) {
        let Boot::Creating(left) = &mut self.boot else { return };
        *left -= 1;
        if *left == 0 {
            self.boot_done(now, out);
        }
    }

    fn boot_done(&mut self, now: Time, out: &mut Outbox) {
        self.boot = Boot::Done;
        if !std::mem::replace(&mut self.is_master, true) {
            self.renew_master_lease(now, out);
        }
        if !self.customs.is_empty() {
            self.look_at_definitions(now, out);
        }
        // The events of what was just created follow the last answer: those who waited see them.
        self.release_held(now, out);
    }

    fn create_if_missing(&mut self, line: &str, managed: &Value, now: Time, out: &mut Outbox) -> bool {
        let mut object = self.bootstrap_object(line, now);
        let gvk = object.gvk();
        let Some(resource) = self.scheme.resources.iter().find(|r| r.gvk == gvk).cloned() else { return false };
        let Some(storage) = resource.storage else { return false };
        let key = self.scheme.storages[storage].key(object.namespace(), object.name());
        if self.caches[storage].get(&key).is_some() {
            return false;
        }
        let n = self.draw();
        let uid = self.config.seed.derive("uid").uuid(n);
        let meta = object.value_mut().map_mut().entry("metadata").map_mut();
        meta.set("uid", uid);
        meta.set("creationTimestamp", now.rfc3339());
        if !managed.is_empty() {
            meta.set("managedFields", managed);
        }
        let txn = TxnRequest {
            compare: vec![unchanged(&key, 0)],
            success: vec![Op::Put { key, value: Stored::Object(object), lease: 0 }],
            failure: Vec::new(),
        };
        self.ask(Request::Txn(txn), Pending::Boot, now, out);
        true
    }

    /// The object of a line. Lines that begin with `$` have places for this cluster's own values.
    fn bootstrap_object(&self, line: &str, now: Time) -> Object {
        let text = match line.strip_prefix('$') {
            Some(form) => self.filled_in(form, now).into(),
            None => std::borrow::Cow::Borrowed(line),
        };
        let mut object = Object::from_value(parsed(&text)).expect("bootstrap objects are maps");
        if let Some(place) = object.at(&["data", "client-ca-file"]).is_some().then(|| object.value_mut().entry(&["data"])) {
            place.set_at(&["client-ca-file"], &self.config.ca_pem);
            place.set_at(&["requestheader-client-ca-file"], &self.config.ca_pem);
        }
        object
    }

    fn filled_in(&self, line: &str, now: Time) -> String {
        line.replace("ADVERTISE_ADDRESS", &self.config.advertise_address)
            .replace("FIRST_SERVICE_IP", &alloc::first_ip(&self.config.service_cidr))
            .replace("SERVICE_CIDR", &self.config.service_cidr.replace(',', "\",\""))
            .replace("6443", &self.config.secure_port.to_string())
            .replace("\"TIME\"", &format!("\"{}\"", now.rfc3339()))
            .replace("\"DATE\"", &format!("\"{}\"", &now.rfc3339()[..10]))
    }
}

fn parsed(text: &str) -> Value {
    json::parse(text.as_bytes()).expect("bootstrap objects are JSON")
}

/// Managed fields as of now.
fn managed_fields(text: &str, now: Time) -> Value {
    let mut fields = parsed(text);
    for entry in fields.list_mut() {
        entry.set_at(&["time"], now.rfc3339());
    }
    fields
}
