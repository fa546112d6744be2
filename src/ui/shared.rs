//! A shared value that is equal only to itself: lets a component skip drawing without comparing what it draws.

use std::ops::Deref;
use std::rc::Rc;

/// `Rc` with equality by identity.
pub struct Shared<T>(Rc<T>);

impl<T> Shared<T> {
    pub fn new(value: T) -> Shared<T> {
        Shared(Rc::new(value))
    }
}

impl<T: Clone> Shared<T> {
    /// The value for writing; copied first if somebody else still shows the old one.
    pub fn make_mut(&mut self) -> &mut T {
        // A new identity even when nobody else holds it, so that equality sees the change.
        self.0 = Rc::new((*self.0).clone());
        Rc::get_mut(&mut self.0).expect("just made, so not shared")
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Shared::new(T::default())
    }
}
