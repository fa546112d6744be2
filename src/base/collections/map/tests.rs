//! A map beside the standard library's, step by step.

use super::*;
use crate::Seed;
use std::collections::BTreeMap;

/// Does the same to both, and compares everything that can be asked.
#[test]
fn it_does_what_an_ordered_map_does() {
    let seed = Seed(7);
    let (mut map, mut model) = (Map::new(), BTreeMap::new());
    let mut snapshots = Vec::new();
    for n in 0..20_000_u64 {
        let key = seed.below(n * 3, 3_000);
        // First it grows, then it shrinks.
        if seed.below(n * 3 + 1, 100) < if n < 8_000 { 80 } else { 35 } {
            assert_eq!(map.insert(key, n), model.insert(key, n));
        } else {
            assert_eq!(map.remove(&key), model.remove(&key));
        }
        if let Some(v) = map.get_mut(&(key + 1)) {
            *v += 1;
            *model.get_mut(&(key + 1)).unwrap() += 1;
        }
        if n % 2_500 == 0 {
            snapshots.push((map.clone(), model.clone()));
        }
    }
    snapshots.push((map, model));
    for (map, model) in &snapshots {
        assert_eq!(map.len(), model.len());
        assert!(map.iter().eq(model.iter()));
        assert!(map.iter().rev().eq(model.iter().rev()));
        assert_eq!(map.get_min(), model.iter().next());
        assert_eq!(map.get_max(), model.iter().next_back());
        for at in (0..3_000).step_by(37) {
            assert_eq!(map.get(&at), model.get(&at));
            assert!(map.range(at..at + 90).eq(model.range(at..at + 90)));
            assert!(map.range(at..=at).rev().eq(model.range(at..=at).rev()));
            assert!(map.range(..at).rev().eq(model.range(..at).rev()));
            let after = (Bound::Excluded(at), Bound::Unbounded);
            assert!(map.range(after).eq(model.range(after)));
        }
    }
}

#[test]
fn both_ends_of_an_iterator_meet() {
    let map: Map<u32, u32> = (0..500).map(|n| (n, n)).collect();
    let mut iter = map.iter();
    let mut seen = Vec::new();
    while let Some((a, _)) = iter.next() {
        seen.push(*a);
        seen.extend(iter.next_back().map(|(b, _)| *b));
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..500));
    assert_eq!(
        map.range((Bound::Included(9), Bound::Excluded(3))).count() + map.range((Bound::Excluded(3), Bound::Excluded(3))).count(),
        0
    );
}
