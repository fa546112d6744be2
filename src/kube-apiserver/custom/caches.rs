//! The watch caches by the number of their storage: those of built-in resources, and those that come and go with definitions.

use std::ops::{Index, IndexMut};

use base::Map;

use crate::cache::Cache;

#[derive(Clone, Default)]
pub struct Caches {
    built_in: Vec<Cache>,
    custom: Map<usize, Cache>,
    /// What a storage that is gone has: nothing. A request that was under way to it may still look.
    none: Cache,
}

impl Caches {
    pub fn new(built_in: usize) -> Caches {
        Caches { built_in: vec![Cache::default(); built_in], ..Caches::default() }
    }
    pub fn get(&self, storage: usize) -> Option<&Cache> {
        self.built_in.get(storage).or_else(|| self.custom.get(&storage))
    }
    pub fn add(&mut self, storage: usize) {
        self.custom.insert(storage, Cache::default());
    }
    pub fn remove(&mut self, storage: usize) {
        self.custom.remove(&storage);
    }
    pub fn iter(&self) -> impl Iterator<Item = &Cache> {
        self.built_in.iter().chain(self.custom.values())
    }
    /// The numbers of all storages.
    pub fn storages(&self) -> Vec<usize> {
        (0..self.built_in.len()).chain(self.custom.keys().copied()).collect()
    }
}

impl Index<usize> for Caches {
    type Output = Cache;
    fn index(&self, storage: usize) -> &Cache {
        self.get(storage).unwrap_or(&self.none)
    }
}

impl IndexMut<usize> for Caches {
    fn index_mut(&mut self, storage: usize) -> &mut Cache {
        if storage < self.built_in.len() {
            return &mut self.built_in[storage];
        }
        match self.custom.get_mut(&storage) {
            Some(cache) => cache,
            None => {
                self.none = Cache::default();
                &mut self.none
            }
        }
    }
}
