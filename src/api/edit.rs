//! Writing to shared trees without copying what stays: defaulting an object that has its defaults allocates nothing.

use apimachinery::{Object, Value};

/// A value that may be rewritten: copied (one level) at the first real change, never before.
pub struct Edit<'a> {
    base: &'a Value,
    changed: Option<Value>,
}

/// Runs `f` over the whole object.
pub fn edit(obj: &mut Object, f: impl FnOnce(&mut Edit)) {
    let mut e = Edit { base: obj.value(), changed: None };
    f(&mut e);
    if let Some(v) = e.changed {
        *obj.value_mut() = v;
    }
}

impl Edit<'_> {
    /// The value as it is now.
    pub fn value(&self) -> &Value {
        self.changed.as_ref().unwrap_or(self.base)
    }
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.value().get(key).filter(|v| !v.is_null())
    }
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
    pub fn str(&self, key: &str) -> &str {
        self.get(key).and_then(Value::as_str).unwrap_or("")
    }
    /// Writes a member; nothing happens if it is the same already.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        if self.value().get(key) == Some(&value) {
            return;
        }
        let base = self.base;
        self.changed.get_or_insert_with(|| base.clone()).map_mut().set(key, value);
    }
    /// Writes a member if it is missing (or null).
    pub fn default(&mut self, key: &str, value: impl Into<Value>) {
        if !self.has(key) {
            self.set(key, value);
        }
    }
    /// As `default`, for text from a closed world: it is interned, and an empty text counts as missing.
    pub fn default_sym(&mut self, key: &str, text: &str) {
        if self.str(key).is_empty() && !matches!(self.get(key), Some(v) if v.as_str().is_none()) {
            self.set(key, Value::sym(text));
        }
    }
    /// As `default` for numbers whose zero counts as missing (fields that are no pointers in Go).
    pub fn default_int(&mut self, key: &str, n: i64) {
        if self.get(key).is_none_or(|v| v.as_i64() == Some(0)) {
            self.set(key, n);
        }
    }
    pub fn remove(&mut self, key: &str) {
        if self.value().get(key).is_some() {
            let base = self.base;
            self.changed.get_or_insert_with(|| base.clone()).map_mut().remove(key);
        }
    }
    /// Replaces the whole value.
    pub fn replace(&mut self, value: Value) {
        self.changed = Some(value);
    }
    /// Edits a member if it is there.
    pub fn sub(&mut self, key: &str, f: impl FnOnce(&mut Edit)) {
        let Some(child) = self.get(key) else { return };
        let mut e = Edit { base: child, changed: None };
        f(&mut e);
        if let Some(v) = e.changed {
            self.set(key, v);
        }
    }
    /// Edits a member, made an empty map first if it is missing.
    pub fn sub_or_new(&mut self, key: &str, f: impl FnOnce(&mut Edit)) {
        if !self.has(key) {
            self.set(key, Value::map());
        }
        self.sub(key, f);
    }
    /// Edits every item of a list member.
    pub fn each(&mut self, key: &str, mut f: impl FnMut(&mut Edit)) {
        let Some(list) = self.get(key).and_then(Value::as_list) else { return };
        let mut rewritten: Option<Vec<Value>> = None;
        for (i, item) in list.iter().enumerate() {
            let mut e = Edit { base: item, changed: None };
            f(&mut e);
            if let Some(v) = e.changed {
                rewritten.get_or_insert_with(|| list.to_vec())[i] = v;
            }
        }
        if let Some(items) = rewritten {
            self.set(key, items);
        }
    }
    /// Edits every value of a map member.
    pub fn each_member(&mut self, key: &str, mut f: impl FnMut(&mut Edit)) {
        let Some(map) = self.get(key).and_then(Value::as_map) else { return };
        let mut rewritten = None;
        for (i, (_, item)) in map.iter().enumerate() {
            let mut e = Edit { base: item, changed: None };
            f(&mut e);
            if let Some(v) = e.changed {
                let copy = rewritten.get_or_insert_with(|| map.clone());
                if let Some((_, place)) = copy.iter_mut().nth(i) {
                    *place = v;
                }
            }
        }
        if let Some(map) = rewritten {
            self.set(key, map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::value;

    #[test]
    fn what_has_its_defaults_is_not_copied() {
        let defaults = |e: &mut Edit| {
            e.sub("spec", |spec| {
                spec.default("replicas", 1);
                spec.each("ports", |port| port.default_sym("protocol", "TCP"));
            })
        };
        let mut obj = Object::from_value(value!({"spec": {"ports": [{"port": 80}]}, "x": {}})).unwrap();
        edit(&mut obj, defaults);
        assert_eq!(format!("{obj:?}"), r#"{"spec":{"ports":[{"port":80,"protocol":"TCP"}],"replicas":1},"x":{}}"#);
        let mut again = obj.clone();
        edit(&mut again, defaults);
        assert!(again.ptr_eq(&obj));
    }
}
