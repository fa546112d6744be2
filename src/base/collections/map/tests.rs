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

/// A namespace and a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key(String, String);

impl Text for Key {
    fn parts(&self) -> Parts<'_> {
        (self.0.as_bytes(), self.1.as_bytes())
    }
}

/// Names that begin alike, are the beginnings of others, go on beyond what a head holds, or have NULs in them.
fn name(seed: Seed, n: u64) -> String {
    let draw = |of: &[&str], i: u64| of[seed.below(n * 8 + i, of.len() as u64) as usize].to_string();
    let group = draw(&["web-7d4b9c5f8-", "web-7d4b9c5f8", "web-", "", "a-name-that-is-longer-than-the-head-of-a-key-", "w"], 0);
    let rest = draw(&["", "\0", "\0\0", "x", "-", "\u{ff}", "~"], 1);
    let number = seed.below(n * 8 + 2, 600);
    if number < 20 { group + &rest } else { format!("{group}{number}{rest}") }
}

#[test]
fn texts_are_found_as_others_are() {
    let seed = Seed(11);
    let (mut map, mut model) = (TextMap::default(), BTreeMap::new());
    let (mut names, mut names_model) = (TextMap::<Rc<str>, u64>::default(), BTreeMap::<Rc<str>, u64>::new());
    let mut found = 0;
    for n in 0..40_000_u64 {
        let namespace = ["", "default", "default", "def", "kube-system"][seed.below(n * 8 + 3, 5) as usize];
        let key = Key(namespace.into(), name(seed, n));
        let text: Rc<str> = format!("/registry/pods/{}/{}", key.0, key.1).into();
        if seed.below(n * 8 + 4, 100) < if n % 20_000 < 9_000 { 75 } else { 40 } {
            assert_eq!(map.insert(key.clone(), n), model.insert(key, n));
            assert_eq!(names.insert(text.clone(), n), names_model.insert(text, n));
        } else {
            // Mostly what is there.
            let key = model.range(&key..).next().map_or(key, |(k, _)| k.clone());
            let text = names_model.range(text.clone()..).next().map_or(text, |(k, _)| k.clone());
            assert_eq!(map.remove(&key), model.remove(&key));
            assert_eq!(names.remove(&*text), names_model.remove(&*text));
        }
        let other = Key("default".into(), name(seed, n + 1));
        assert_eq!(map.get(&other), model.get(&other), "{other:?}");
        assert_eq!(map.get_mut(&other).copied(), model.get(&other).copied());
        found += u64::from(model.contains_key(&other));
        let other = name(seed, n + 2);
        assert_eq!(names.get(&*other), names_model.get(&*other));
        if n % 997 == 0 {
            assert!(map.iter().eq(model.iter()) && names.iter().eq(names_model.iter()));
            let from = Key("default".into(), name(seed, n + 3));
            assert!(map.range(&from..).eq(model.range(&from..)) && map.range(..&from).eq(model.range(..&from)));
            assert_eq!(map.path_to(&from).last().map(|leaf| leaf.is_leaf), Some(true));
        }
    }
    assert!(found > 2_000 && model.len() < 5_000, "{found} were found, {} are left", model.len());
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
