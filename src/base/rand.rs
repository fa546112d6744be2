//! Randomness as a pure hash of (seed, component, purpose, counter): one more draw somewhere moves nothing elsewhere.

use crate::hash::{Digest, mix64};

/// The alphabet of upstream's `rand.String`: no vowels and no look-alikes, so that names spell no words.
pub const SAFE_ALPHANUMS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The seed of a cluster, or of a component derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of a part: a component, a purpose within it.
    pub fn derive(self, label: &str) -> Seed {
        let mut digest = Digest::new();
        digest.write_u64(self.0);
        digest.write(label.as_bytes());
        Seed(digest.finish())
    }

    /// The `counter`-th draw.
    pub fn draw(self, counter: u64) -> u64 {
        mix64(self.0.wrapping_add(mix64(counter.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// A draw in `0..bound` (`0` if the bound is 0).
    pub fn below(self, counter: u64, bound: u64) -> u64 {
        ((self.draw(counter) as u128 * bound as u128) >> 64) as u64
    }

    /// A draw in `0.0..1.0`.
    pub fn fraction(self, counter: u64) -> f64 {
        (self.draw(counter) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A random suffix as of `generateName`. Models `apimachinery/pkg/util/rand.String`.
    pub fn suffix(self, counter: u64, len: usize) -> String {
        let mut bits = self.draw(counter);
        let mut out = String::with_capacity(len);
        for i in 0..len {
            if i % 12 == 11 {
                bits = mix64(bits ^ counter ^ i as u64);
            }
            out.push(SAFE_ALPHANUMS[(bits % SAFE_ALPHANUMS.len() as u64) as usize] as char);
            bits /= SAFE_ALPHANUMS.len() as u64;
        }
        out
    }

    /// A UUID of version 4.
    pub fn uuid(self, counter: u64) -> String {
        let (a, b) = (self.draw(counter.wrapping_mul(2)), self.draw(counter.wrapping_mul(2) + 1));
        // Version 4, variant 1. Every object gets one: digits are put down one by one, which is cheaper than to format.
        let (high, low) = (a & !0xf000 | 0x4000, 0x8000_0000_0000_0000 | b & 0x3fff_0000_0000_0000 | b & 0xffff_ffff_ffff);
        let mut text = String::with_capacity(36);
        for (word, dashes) in [(high, [8, 12]), (low, [0, 4])] {
            for digit in 0..16 {
                if dashes.contains(&digit) {
                    text.push('-');
                }
                let value = (word >> (60 - 4 * digit)) & 0xf;
                text.push(char::from(b"0123456789abcdef"[value as usize]));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_a_function_of_their_labels() {
        let seed = Seed(1);
        assert_eq!(seed.derive("kubelet").draw(3), seed.derive("kubelet").draw(3));
        assert_ne!(seed.derive("kubelet").draw(3), seed.derive("kubelet").draw(4));
        assert_eq!(seed.suffix(9, 5).len(), 5);
        assert_eq!(seed.uuid(1).len(), 36);
        for n in 0..100 {
            let (a, b) = (seed.draw(n * 2), seed.draw(n * 2 + 1));
            let (time, clock) = ((a >> 32, (a >> 16) & 0xffff, a & 0xfff), 0x8000 | (b >> 48) & 0x3fff);
            let plain = format!("{:08x}-{:04x}-4{:03x}-{clock:04x}-{:012x}", time.0, time.1, time.2, b & 0xffff_ffff_ffff);
            assert_eq!(seed.uuid(n), plain);
        }
        assert!((0..1000).all(|n| seed.below(n, 7) < 7));
    }
}
