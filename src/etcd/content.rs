//! What a stored value contributes to the digest and to the size of the database.
//!
//! A new value is walked whole; a changed one is walked beside the one before it, and subtrees that are the same allocation are
//! skipped. The result depends on contents alone, never on what happens to be shared: equal subtrees contribute nothing.
//! The sets of managed fields are long, and one allocation for all objects of a kind: each is walked once.

use std::cell::RefCell;
use std::rc::Rc;

use apimachinery::{Fields, Value};
use base::{Digest, mix64};
use etcd_api::Stored;

/// The member in which an entry of `metadata.managedFields` has its set.
const FIELD_SET: &str = "fieldsV1";
/// So many sets are remembered at most, each at a place that its address tells.
const PLACES: usize = 512;

/// A set (which is held, so that its address means it), its hash and its bytes.
type KnownSet = (Rc<Fields>, u64, i64);

thread_local! {
    /// A memo outside the state, of bounded size.
    static SETS: RefCell<Vec<Option<KnownSet>>> = RefCell::new(vec![None; PLACES]);
}

/// Hash and estimated bytes of what is new in `new`.
pub fn change(new: &Stored, old: Option<&Stored>) -> (u64, i64) {
    let mut walk = Walk::new();
    match (new, old) {
        (Stored::Object(new), Some(Stored::Object(old))) => walk.diff(new.value(), old.value()),
        (Stored::Object(new), _) => walk.whole(new.value()),
        (Stored::Bytes(new), _) => walk.text(new),
    }
    (walk.digest.finish(), walk.bytes)
}

struct Walk {
    digest: Digest,
    bytes: i64,
}

impl Walk {
    fn new() -> Walk {
        Walk { digest: Digest::new(), bytes: 0 }
    }

    fn text(&mut self, bytes: &[u8]) {
        self.digest.write(bytes);
        self.bytes += bytes.len() as i64 + 3;
    }

    fn whole(&mut self, value: &Value) {
        match value {
            Value::Null => self.digest.write_u64(1),
            Value::Bool(b) => self.digest.write_u64(2 + u64::from(*b)),
            Value::Int(n) => {
                self.digest.write_u64(*n as u64);
                self.bytes += 4;
            }
            Value::Float(f) => self.digest.write_u64(f.to_bits()),
            Value::Str(s) => self.text(s.as_bytes()),
            Value::List(items) => {
                self.digest.write_u64(items.len() as u64);
                items.iter().for_each(|item| self.whole(item));
            }
            Value::Map(fields) => {
                self.digest.write_u64(fields.len() as u64);
                fields.iter().for_each(|(key, value)| self.member(key, value));
            }
        }
    }

    fn member(&mut self, key: &str, value: &Value) {
        self.text(key.as_bytes());
        match value {
            Value::Map(set) if key == FIELD_SET => self.set(set),
            _ => self.whole(value),
        }
    }

    fn set(&mut self, set: &Rc<Fields>) {
        let place = mix64(Rc::as_ptr(set).addr() as u64) as usize % PLACES;
        let known = |sets: &mut Vec<Option<KnownSet>>| match &sets[place] {
            Some((held, hash, bytes)) if Rc::ptr_eq(held, set) => Some((*hash, *bytes)),
            _ => None,
        };
        let (hash, bytes) = SETS.with_borrow_mut(known).unwrap_or_else(|| {
            let mut walk = Walk::new();
            walk.whole(&Value::Map(set.clone()));
            let (hash, bytes) = (walk.digest.finish(), walk.bytes);
            SETS.with_borrow_mut(|sets| sets[place] = Some((set.clone(), hash, bytes)));
            (hash, bytes)
        });
        self.digest.write_u64(hash);
        self.bytes += bytes;
    }

    fn diff(&mut self, new: &Value, old: &Value) {
        if new.ptr_eq(old) {
            return;
        }
        match (new, old) {
            (Value::Map(new), Value::Map(old)) => self.diff_maps(new, old),
            (Value::List(new), Value::List(old)) if new.len() == old.len() => {
                for (i, (new, old)) in new.iter().zip(old.iter()).enumerate() {
                    self.at(i as u64, |walk| walk.diff(new, old));
                }
            }
            _ => self.whole(new),
        }
    }

    fn diff_maps(&mut self, new: &Fields, old: &Fields) {
        let mut before = old.iter().peekable();
        for (i, (key, value)) in new.iter().enumerate() {
            while before.next_if(|(k, _)| k < key).is_some() {
                self.digest.write_u64(u64::MAX - i as u64);
            }
            match before.next_if(|(k, _)| k == key) {
                Some((_, old)) => self.at(i as u64, |walk| walk.diff(value, old)),
                None => self.member(key, value),
            }
        }
        before.for_each(|_| self.digest.write_u64(u64::MAX));
    }

    /// Marks where something changed, only if something did.
    fn at(&mut self, place: u64, f: impl FnOnce(&mut Walk)) {
        let before = self.digest;
        f(self);
        if self.digest != before {
            self.digest.write_u64(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::{Object, value};

    #[test]
    fn sharing_does_not_matter_and_contents_do() {
        let object = |v: Value| Stored::Object(Object::from_value(v).unwrap());
        let old = value!({"a": {"x": 1, "y": [1, 2]}, "b": "text"});
        let mut shared = old.clone();
        shared.set_at(&["a", "x"], 2);
        let fresh = value!({"a": {"x": 2, "y": [1, 2]}, "b": "text"});
        let other = value!({"a": {"x": 1, "y": [1, 3]}, "b": "text"});
        let hash = |new: &Value| change(&object(new.clone()), Some(&object(old.clone()))).0;
        assert_eq!(hash(&shared), hash(&fresh));
        assert_ne!(hash(&fresh), hash(&other));
        assert_ne!(change(&object(fresh.clone()), None).0, change(&object(other), None).0);
        // Sets of fields are remembered by address, and count by contents.
        let managed = |set: Value| change(&object(value!({"managedFields": [{"fieldsV1": (set)}]})), None);
        let set = value!({"f:metadata": {"f:labels": {"f:a": {}}}});
        let walked = managed(set.clone());
        assert_eq!((managed(set.clone()), managed(value!({"f:metadata": {"f:labels": {"f:a": {}}}}))), (walked, walked));
        assert_ne!(managed(value!({"f:metadata": {"f:labels": {"f:b": {}}}})).0, walked.0);
    }
}
