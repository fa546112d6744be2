//! Interned names: kinds, resources, verbs, component names. `Copy`, compared as one number.
//!
//! The interner is the one allowed global: thread-local, append-only. An id is never ordered, hashed into state or saved;
//! `Ord` compares the text. Only names from a closed world belong here (user data would grow it for ever).

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::hash::Lookup;

/// An interned string.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sym(u32);

struct Interner {
    ids: Lookup<Rc<str>, u32>,
    texts: Vec<Rc<str>>,
}

impl Default for Interner {
    /// The empty text is always there and always the first: requests are made of it by the thousand.
    fn default() -> Interner {
        let empty: Rc<str> = "".into();
        Interner { ids: [(empty.clone(), Sym::EMPTY.0)].into_iter().collect(), texts: vec![empty] }
    }
}

thread_local! {
    static INTERNER: RefCell<Interner> = RefCell::default();
}

impl Sym {
    /// The empty text.
    pub const EMPTY: Sym = Sym(0);

    pub fn new(text: &str) -> Sym {
        INTERNER.with_borrow_mut(|interner| {
            if let Some(&id) = interner.ids.get(text) {
                return Sym(id);
            }
            let id = interner.texts.len() as u32;
            let text: Rc<str> = text.into();
            interner.texts.push(text.clone());
            interner.ids.insert(text, id);
            Sym(id)
        })
    }

    /// The symbol of a text that was interned before; never interns.
    pub fn existing(text: &str) -> Option<Sym> {
        INTERNER.with_borrow(|interner| interner.ids.get(text).map(|&id| Sym(id)))
    }

    /// The shared text: schema keys of objects are these, so that equal keys are one allocation.
    pub fn text(self) -> Rc<str> {
        INTERNER.with_borrow(|interner| interner.texts[self.0 as usize].clone())
    }

    pub fn is_empty(self) -> bool {
        self == Sym::EMPTY
    }

    /// Calls `f` with the text, without touching a reference count.
    pub fn with<R>(self, f: impl FnOnce(&str) -> R) -> R {
        f(&self.text())
    }
}

impl PartialOrd for Sym {
    fn partial_cmp(&self, other: &Sym) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sym {
    fn cmp(&self, other: &Sym) -> std::cmp::Ordering {
        if self.0 == other.0 {
            return std::cmp::Ordering::Equal;
        }
        INTERNER.with_borrow(|i| i.texts[self.0 as usize].cmp(&i.texts[other.0 as usize]))
    }
}

impl std::hash::Hash for Sym {
    /// For lookup tables only (which are never iterated): the id is the hash.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq<str> for Sym {
    fn eq(&self, other: &str) -> bool {
        INTERNER.with_borrow(|i| &*i.texts[self.0 as usize] == other)
    }
}

impl PartialEq<&str> for Sym {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl From<&str> for Sym {
    fn from(text: &str) -> Sym {
        Sym::new(text)
    }
}

impl Default for Sym {
    fn default() -> Sym {
        Sym::EMPTY
    }
}

impl fmt::Display for Sym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Sym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_by_text_not_by_id() {
        let (late, early) = (Sym::new("zz-first-interned"), Sym::new("aa-second-interned"));
        assert!(early < late);
        assert_eq!(late, Sym::new("zz-first-interned"));
        assert!(late == "zz-first-interned");
        assert!(Sym::new("").is_empty() && Sym::new("") == Sym::default() && !late.is_empty());
    }
}
