//! `memcmp` for wasm. The one that comes with Rust there looks at one byte after the other; keys of etcd, paths and tokens begin alike for
//! dozens of bytes, and comparing them was the first line of every profile. Here eight bytes are looked at at once.

/// As C's `memcmp`: negative, 0 or positive as `n` bytes at `a` come before, are the same as, or come after those at `b`.
///
/// # Safety
/// Both are valid for reads of `n` bytes.
pub unsafe fn compare(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: every read is of bytes below `n`.
    unsafe {
        let words = |at: usize| (a.add(at).cast::<u64>().read_unaligned(), b.add(at).cast::<u64>().read_unaligned());
        if n >= 8 {
            let mut at = 0;
            while at + 8 <= n {
                let (x, y) = words(at);
                if x != y {
                    return first_difference(x, y);
                }
                at += 8;
            }
            // The last eight once more, with those that are left: what was the same stays the same.
            let (x, y) = words(n - 8);
            return if x == y { 0 } else { first_difference(x, y) };
        }
        for at in 0..n {
            let (x, y) = (*a.add(at), *b.add(at));
            if x != y {
                return i32::from(x) - i32::from(y);
            }
        }
        0
    }
}

/// Of two different words, as they lie in memory.
fn first_difference(x: u64, y: u64) -> i32 {
    let (x, y) = (u64::from_le(x), u64::from_le(y));
    let bits = (x ^ y).trailing_zeros() & !7;
    i32::from((x >> bits) as u8) - i32::from((y >> bits) as u8)
}

/// Takes the place of the standard library's own.
///
/// # Safety
/// As [`compare`].
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the caller's.
    unsafe { compare(a, b, n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_slices_do_whatever_the_length() {
        let sign = |a: &[u8], b: &[u8]| {
            // SAFETY: both have as many bytes as the shorter one.
            unsafe { compare(a.as_ptr(), b.as_ptr(), a.len().min(b.len())) }.signum()
        };
        for len in 0..40usize {
            let text: Vec<u8> = (0..len as u8).map(|i| i.wrapping_mul(37)).collect();
            assert_eq!(sign(&text, &text.clone()), 0, "{len}");
            for at in 0..len {
                for (old, new) in [(0u8, 255u8), (127, 128), (5, 6)] {
                    let (mut a, mut b) = (text.clone(), text.clone());
                    (a[at], b[at]) = (old, new);
                    // What comes after the first difference doesn't count.
                    b[at + 1..].fill(0);
                    assert_eq!(sign(&a, &b), -1, "{len} bytes, the difference at {at}");
                    assert_eq!(sign(&b, &a), 1, "{len} bytes, the difference at {at}");
                }
            }
        }
    }
}
