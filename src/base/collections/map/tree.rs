//! The nodes of a map, for a picture of it: how many there are on each level, and the way from the root to a key.

use std::borrow::Borrow;

use super::{Find, Node, Tree};

/// One node on the way to a key.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeNode<'a, K> {
    /// A leaf's keys, or of each child the key that none of its keys is below.
    pub keys: Vec<&'a K>,
    /// The child on the way; in a leaf the place of the key, or where it would be.
    pub at: usize,
    pub is_leaf: bool,
}

impl<K, V, F> Tree<K, V, F> {
    /// How many nodes there are on each level, from the root to the leaves. Walks over all nodes that aren't leaves.
    pub fn levels(&self) -> Vec<usize> {
        let mut levels = Vec::new();
        let mut level: Vec<&Node<K, V, F>> = self.root.as_deref().into_iter().collect();
        while !level.is_empty() {
            levels.push(level.len());
            let mut below = Vec::new();
            for node in &level {
                match node {
                    Node::Branch(children) => below.extend(children.iter().map(|(_, child)| &**child)),
                    // All leaves are on one level.
                    Node::Leaf(_) => return levels,
                }
            }
            level = below;
        }
        levels
    }
}

impl<K: Ord, V, F> Tree<K, V, F> {
    /// The nodes from the root to the leaf in which `key` is or would be.
    pub fn path_to<Q: Ord + ?Sized>(&self, key: &Q) -> Vec<TreeNode<'_, K>>
    where
        K: Borrow<Q>,
        F: Find<Q>,
    {
        let mut path = Vec::new();
        let mut next = self.root.as_deref();
        while let Some(node) = next {
            next = match node {
                Node::Leaf(entries) => {
                    let at = entries.search(key).unwrap_or_else(|i| i);
                    path.push(TreeNode { keys: entries.iter().map(|(k, _)| k).collect(), at, is_leaf: true });
                    None
                }
                Node::Branch(children) => {
                    let at = children.child_of(key);
                    path.push(TreeNode { keys: children.iter().map(|(k, _)| k).collect(), at, is_leaf: false });
                    Some(&children[at].1)
                }
            };
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use crate::Map;

    #[test]
    fn the_way_to_a_key_goes_from_the_root_to_its_leaf() {
        let map: Map<u32, ()> = (0..3_000).map(|n| (n * 2, ())).collect();
        let levels = map.levels();
        assert_eq!(levels[0], 1);
        assert!(levels.len() == 3 && levels[2] >= 3_000 / 32, "{levels:?}");
        for key in [0, 777, 2_000, 5_998, 9_999] {
            let path = map.path_to(&key);
            assert_eq!(path.len(), levels.len());
            let leaf = path.last().unwrap();
            assert!(leaf.is_leaf && path[..2].iter().all(|n| !n.is_leaf));
            assert_eq!(leaf.keys.get(leaf.at).is_some_and(|k| **k == key), map.contains_key(&key));
            assert!(path.windows(2).all(|w| *w[0].keys[w[0].at] <= *w[1].keys[0]));
        }
        assert!(Map::<u32, ()>::new().levels().is_empty() && Map::<u32, ()>::new().path_to(&1).is_empty());
    }
}
