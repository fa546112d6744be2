//! A fixed 64-bit hash: the same bytes give the same number on every platform and in every version of Rust.
//!
//! Used for randomness, state digests and memo keys. Not for security.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Finalizer of splitmix64: spreads every input bit over the output.
pub fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Hashes bytes, eight at a time.
pub fn hash64(bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.write(bytes);
    digest.finish()
}

/// A running hash, for digests of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    pub fn new() -> Digest {
        Digest(0x9e37_79b9_7f4a_7c15)
    }

    /// Adds bytes and their length.
    pub fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        // Byte by byte: a copy of so few is a call out of wasm.
        let rest = chunks.remainder().iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.write_u64(rest ^ ((bytes.len() as u64) << 56));
    }

    pub fn write_u64(&mut self, word: u64) {
        self.0 = mix64(self.0.rotate_left(5) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    pub fn finish(&self) -> u64 {
        mix64(self.0)
    }
}

impl Default for Digest {
    fn default() -> Digest {
        Digest::new()
    }
}

/// A table for lookups only, never iterated (so that its order can't show), with a fast hash: its keys are chosen by nobody who
/// could gain by collisions, since the cluster is theirs alone.
pub type Lookup<K, V> = HashMap<K, V, BuildHasherDefault<LookupHasher>>;

/// What a lookup goes by. Most keys are names of fields and kinds: two words, which may overlap, are all of it.
#[inline(never)]
fn ends(bytes: &[u8]) -> (u64, u64) {
    let length = (bytes.len() as u64) << 56;
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => (u64::from_le_bytes(*first) ^ length, u64::from_le_bytes(*last)),
        (Some(_), _) => (hash64(bytes), 0),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u64::from(u32::from_le_bytes(*first)) ^ length, u32::from_le_bytes(*last).into()),
            _ => (bytes.iter().fold(length, |word, byte| word << 8 | u64::from(*byte)), 0),
        },
    }
}

/// The hash of [`Lookup`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LookupHasher(u64);

impl Hasher for LookupHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (first, last) = ends(bytes);
        self.write_u64(first);
        self.write_u64(last);
    }
    /// What ends a text: its length is in its hash already.
    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
    }
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
    fn finish(&self) -> u64 {
        // The table looks at the highest and the lowest bits.
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_tell_keys_apart() {
        let mut table = Lookup::default();
        for n in 0..10_000_u32 {
            table.insert((n, format!("name-{n}")), n);
        }
        assert_eq!(table.len(), 10_000);
        assert_eq!(table.get(&(4_711, "name-4711".to_string())), Some(&4_711));
        let hash = |n: u64| std::hash::BuildHasher::hash_one(&BuildHasherDefault::<LookupHasher>::default(), n);
        let low: std::collections::BTreeSet<u64> = (0..256).map(|n| hash(n << 32) % 256).collect();
        assert!(low.len() > 100, "{} places for keys that differ in their high half only", low.len());
    }

    #[test]
    fn the_rest_of_a_text_is_a_word_like_the_others() {
        for len in 0..24usize {
            let text: Vec<u8> = (1..=len as u8).collect();
            let mut digest = Digest::new();
            for chunk in text.chunks_exact(8) {
                digest.write_u64(u64::from_le_bytes(chunk.try_into().unwrap()));
            }
            let mut word = [0; 8];
            word[..len % 8].copy_from_slice(&text[len - len % 8..]);
            digest.write_u64(u64::from_le_bytes(word) ^ (len as u64) << 56);
            assert_eq!(hash64(&text), digest.finish(), "{len} bytes");
        }
    }

    #[test]
    fn the_length_counts() {
        assert_ne!(hash64(b"a"), hash64(b"a\0"));
        assert_ne!(hash64(b""), hash64(b"\0"));
        assert_eq!(hash64(b"kubottle"), hash64(b"kubottle"));
    }
}
