//! Sorting that costs little in wasm: one merge sort of indexes for all types. The standard library's is compiled anew for each type
//! and each comparison, two to four kilobytes a time.

use std::cmp::Ordering;

/// Runs of this length are sorted by insertion.
const RUN: usize = 8;

/// Stable sorting of slices, as `sort`, `sort_by` and `sort_by_key` do it.
pub trait Sort<T> {
    fn order(&mut self)
    where
        T: Ord;
    fn order_by(&mut self, compare: impl FnMut(&T, &T) -> Ordering);
    fn order_by_key<K: Ord>(&mut self, key: impl FnMut(&T) -> K);
}

impl<T> Sort<T> for [T] {
    fn order(&mut self)
    where
        T: Ord,
    {
        let order = sorted(self.len(), &mut |a, b| self[a].cmp(&self[b]));
        rearrange(self, order);
    }
    fn order_by(&mut self, mut compare: impl FnMut(&T, &T) -> Ordering) {
        let order = sorted(self.len(), &mut |a, b| compare(&self[a], &self[b]));
        rearrange(self, order);
    }
    fn order_by_key<K: Ord>(&mut self, mut key: impl FnMut(&T) -> K) {
        let order = sorted(self.len(), &mut |a, b| key(&self[a]).cmp(&key(&self[b])));
        rearrange(self, order);
    }
}

/// Which element stands where in the sorted sequence; empty if all stand where they are.
fn sorted(len: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<u32> {
    if (1..len).all(|i| compare(i - 1, i).is_le()) {
        return Vec::new();
    }
    let mut from: Vec<u32> = (0..len as u32).collect();
    for run in from.chunks_mut(RUN) {
        for i in 1..run.len() {
            let mut j = i;
            while j > 0 && compare(run[j - 1] as usize, run[j] as usize).is_gt() {
                run.swap(j - 1, j);
                j -= 1;
            }
        }
    }
    let mut width = RUN;
    while width < len {
        from = merged(&from, width, compare);
        width *= 2;
    }
    from
}

/// Merges neighbouring runs of a width.
fn merged(from: &[u32], width: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<u32> {
    let mut to = Vec::with_capacity(from.len());
    for pair in from.chunks(width * 2) {
        let (mut left, mut right) = pair.split_at(width.min(pair.len()));
        while let (Some(a), Some(b)) = (left.first(), right.first()) {
            let takes_left = compare(*a as usize, *b as usize).is_le();
            let side = if takes_left { &mut left } else { &mut right };
            to.push(side[0]);
            *side = &side[1..];
        }
        to.extend_from_slice(left);
        to.extend_from_slice(right);
    }
    to
}

/// Puts every element in its place, along the cycles of the permutation.
fn rearrange<T>(items: &mut [T], mut order: Vec<u32>) {
    for start in 0..order.len() {
        let mut i = start;
        while order[i] as usize != start {
            let next = order[i] as usize;
            items.swap(i, next);
            order[i] = i as u32;
            i = next;
        }
        order[i] = i as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        let seed = Seed(5);
        for n in 0..200_u64 {
            let items: Vec<(u64, u64)> = (0..n * n / 40).map(|i| (seed.below(n << 32 | i, 1 + n / 3), i)).collect();
            let (mut ours, mut theirs) = (items.clone(), items.clone());
            ours.order_by_key(|(k, _)| *k);
            theirs.sort_by_key(|(k, _)| *k);
            assert_eq!(ours, theirs, "equal keys stay in order");
            ours.order_by(|a, b| b.cmp(a));
            theirs.sort_by(|a, b| b.cmp(a));
            assert_eq!(ours, theirs);
            ours.order();
            theirs.sort();
            assert_eq!(ours, theirs);
        }
    }
}
