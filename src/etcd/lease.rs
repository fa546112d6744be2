//! Leases: keys that vanish together unless their owner keeps the lease alive. Models `lease/lessor.go`.
//!
//! A grant sets one timer at the end of the lease; a keep-alive only moves the end, and the timer, when it comes, sets itself
//! again for what is left. (A real member checks twice a second, and may expire up to half a second late.)

use base::{Duration, Map, TextSet, Time};
use etcd_api::{Error, Key};

#[derive(Clone, Debug)]
pub struct Lease {
    pub ttl: Duration,
    pub expires: Time,
    pub keys: TextSet<Key>,
}

/// All leases of a member.
#[derive(Clone, Debug, Default)]
pub struct Leases(Map<i64, Lease>);

impl Leases {
    pub fn grant(&mut self, id: i64, ttl_s: i64, now: Time) -> Result<Duration, Error> {
        if self.0.contains_key(&id) {
            return Err(Error::LeaseExists);
        }
        let ttl = Duration::from_secs(ttl_s);
        self.0.insert(id, Lease { ttl, expires: now + ttl, keys: TextSet::default() });
        Ok(ttl)
    }
    pub fn keep_alive(&mut self, id: i64, now: Time) -> Result<Duration, Error> {
        let lease = self.0.get_mut(&id).ok_or(Error::LeaseNotFound)?;
        lease.expires = now + lease.ttl;
        Ok(lease.ttl)
    }
    pub fn get(&self, id: i64) -> Option<&Lease> {
        self.0.get(&id)
    }
    pub fn contains(&self, id: i64) -> bool {
        self.0.contains_key(&id)
    }
    pub fn remove(&mut self, id: i64) -> Option<Lease> {
        self.0.remove(&id)
    }
    /// Moves a key from one lease (0: none) to another.
    pub fn move_key(&mut self, key: &Key, from: i64, to: i64) {
        if from == to {
            return;
        }
        if let Some(lease) = self.0.get_mut(&from) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.0.get_mut(&to) {
            lease.keys.insert(key.clone());
        }
    }
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Lease)> {
        self.0.iter().map(|(id, lease)| (*id, lease))
    }
    /// After a restart every lease lives its whole time again, as after a change of leader.
    pub fn renew_all(&mut self, now: Time) {
        let ids: Vec<i64> = self.0.keys().copied().collect();
        for id in ids {
            let _ = self.keep_alive(id, now);
        }
    }
}
