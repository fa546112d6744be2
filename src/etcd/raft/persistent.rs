//! Saving persistent collections as plain lists (a map as a list of pairs).

use base::{Map, Set, Vector};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A collection as a list and back.
pub trait Parts {
    type Part;
    fn to_list(&self) -> Vec<Self::Part>;
    fn from_list(list: Vec<Self::Part>) -> Self;
}

impl<T: Clone> Parts for Vector<T> {
    type Part = T;
    fn to_list(&self) -> Vec<T> {
        self.iter().cloned().collect()
    }
    fn from_list(list: Vec<T>) -> Self {
        list.into_iter().collect()
    }
}

impl<T: Clone + Ord> Parts for Set<T> {
    type Part = T;
    fn to_list(&self) -> Vec<T> {
        self.iter().cloned().collect()
    }
    fn from_list(list: Vec<T>) -> Self {
        list.into_iter().collect()
    }
}

impl<K: Clone + Ord, V: Clone> Parts for Map<K, V> {
    type Part = (K, V);
    fn to_list(&self) -> Vec<(K, V)> {
        self.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }
    fn from_list(list: Vec<(K, V)>) -> Self {
        list.into_iter().collect()
    }
}

pub fn serialize<C: Parts<Part: Serialize>, S: Serializer>(collection: &C, serializer: S) -> Result<S::Ok, S::Error> {
    collection.to_list().serialize(serializer)
}

pub fn deserialize<'de, C: Parts<Part: Deserialize<'de>>, D: Deserializer<'de>>(deserializer: D) -> Result<C, D::Error> {
    Vec::deserialize(deserializer).map(C::from_list)
}
