//! A sequence that grows at its end and shrinks at both: chunks in a map, the newest chunk beside it.

use std::fmt;
use std::ops::{Bound, Index, IndexMut, RangeBounds};
use std::rc::Rc;

use super::map::Map;

/// Elements of a chunk.
const CHUNK: usize = 64;

/// A persistent sequence with cheap push at the end and cheap pop at both. Clone is O(1).
///
/// What is popped at the front is freed by the chunk.
pub struct Vector<T> {
    /// Full chunks by number.
    chunks: Map<usize, Rc<Vec<T>>>,
    /// The last chunk, not full.
    tail: Rc<Vec<T>>,
    /// The number of `tail`.
    tail_chunk: usize,
    /// Elements of the first chunk that are gone.
    head: usize,
}

impl<T> Vector<T> {
    pub fn new() -> Vector<T> {
        Vector { chunks: Map::new(), tail: Rc::default(), tail_chunk: 0, head: 0 }
    }
    fn end(&self) -> usize {
        self.tail_chunk * CHUNK + self.tail.len()
    }
    pub fn len(&self) -> usize {
        self.end() - self.head
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn clear(&mut self) {
        *self = Vector::new();
    }
    fn chunk(&self, number: usize) -> &[T] {
        if number == self.tail_chunk {
            return &self.tail;
        }
        self.chunks.get(&number).map_or(&[], |chunk| chunk)
    }
    pub fn get(&self, index: usize) -> Option<&T> {
        let at = self.head + index;
        self.chunk(at / CHUNK).get(at % CHUNK)
    }
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }
    pub fn back(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }
    pub fn last(&self) -> Option<&T> {
        self.back()
    }
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { vector: self, front: self.head, back: self.end(), front_chunk: (usize::MAX, &[]) }
    }
    /// The elements of a range of indexes.
    ///
    /// # Panics
    /// If the range is not within the sequence.
    pub fn range(&self, range: impl RangeBounds<usize>) -> Iter<'_, T> {
        let start = match range.start_bound() {
            Bound::Included(n) => *n,
            Bound::Excluded(n) => n + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(n) => n + 1,
            Bound::Excluded(n) => *n,
            Bound::Unbounded => self.len(),
        };
        assert!(start <= end && end <= self.len(), "a range within the sequence");
        Iter { vector: self, front: self.head + start, back: self.head + end, front_chunk: (usize::MAX, &[]) }
    }
}

impl<T: Clone> Vector<T> {
    pub fn push_back(&mut self, value: T) {
        let tail = Rc::make_mut(&mut self.tail);
        tail.push(value);
        if tail.len() == CHUNK {
            let full = std::mem::take(&mut self.tail);
            self.chunks.insert(self.tail_chunk, full);
            self.tail_chunk += 1;
        }
    }
    pub fn pop_front(&mut self) -> Option<T> {
        let value = self.front()?.clone();
        self.head += 1;
        if self.is_empty() {
            self.clear();
        } else if self.head.is_multiple_of(CHUNK) {
            self.chunks.remove(&(self.head / CHUNK - 1));
        }
        Some(value)
    }
    pub fn pop_back(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        if self.tail.is_empty() {
            self.tail_chunk -= 1;
            self.tail = self.chunks.remove(&self.tail_chunk)?;
        }
        let value = Rc::make_mut(&mut self.tail).pop();
        if self.is_empty() {
            self.clear();
        }
        value
    }
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let at = self.head + index;
        let chunk = match at / CHUNK {
            n if n == self.tail_chunk => &mut self.tail,
            n => self.chunks.get_mut(&n)?,
        };
        Rc::make_mut(chunk).get_mut(at % CHUNK)
    }
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.get_mut(0)
    }
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len().checked_sub(1)?)
    }
    /// Takes the first `n` elements out (all, if there are less).
    pub fn take_front(&mut self, n: usize) -> Vec<T> {
        (0..n).map_while(|_| self.pop_front()).collect()
    }
    /// Cuts what is beyond the first `len` elements.
    pub fn truncate(&mut self, len: usize) {
        while self.len() > len {
            self.pop_back();
        }
    }
    /// Keeps the elements for which `keep` is true. Costs the length.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        *self = self.iter().filter(|v| keep(v)).cloned().collect();
    }
}

impl<T> Index<usize> for Vector<T> {
    type Output = T;
    fn index(&self, index: usize) -> &T {
        self.get(index).expect("an index within the sequence")
    }
}

impl<T: Clone> IndexMut<usize> for Vector<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.get_mut(index).expect("an index within the sequence")
    }
}

/// The elements in order.
pub struct Iter<'a, T> {
    vector: &'a Vector<T>,
    front: usize,
    back: usize,
    /// The chunk that `front` is in, once it was looked up.
    front_chunk: (usize, &'a [T]),
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;
    fn next(&mut self) -> Option<&'a T> {
        if self.front >= self.back {
            return None;
        }
        let number = self.front / CHUNK;
        if self.front_chunk.0 != number {
            self.front_chunk = (number, self.vector.chunk(number));
        }
        let value = self.front_chunk.1.get(self.front % CHUNK);
        self.front += 1;
        value
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.back.saturating_sub(self.front);
        (n, Some(n))
    }
}

impl<'a, T> DoubleEndedIterator for Iter<'a, T> {
    fn next_back(&mut self) -> Option<&'a T> {
        if self.front >= self.back {
            return None;
        }
        self.back -= 1;
        self.vector.chunk(self.back / CHUNK).get(self.back % CHUNK)
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<T> Clone for Vector<T> {
    fn clone(&self) -> Vector<T> {
        Vector { chunks: self.chunks.clone(), tail: self.tail.clone(), tail_chunk: self.tail_chunk, head: self.head }
    }
}

impl<T> Default for Vector<T> {
    fn default() -> Vector<T> {
        Vector::new()
    }
}

impl<T: PartialEq> PartialEq for Vector<T> {
    fn eq(&self, other: &Vector<T>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for Vector<T> {}

impl<T: fmt::Debug> fmt::Debug for Vector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Clone> Extend<T> for Vector<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        for value in values {
            self.push_back(value);
        }
    }
}

impl<T: Clone> FromIterator<T> for Vector<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Vector<T> {
        let mut vector = Vector::new();
        vector.extend(values);
        vector
    }
}

impl<'a, T> IntoIterator for &'a Vector<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Clone> IntoIterator for Vector<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        let values: Vec<T> = self.iter().cloned().collect();
        values.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use std::collections::VecDeque;

    #[test]
    fn it_does_what_a_queue_does() {
        let seed = Seed(3);
        let (mut vector, mut model) = (Vector::new(), VecDeque::new());
        for n in 0..30_000_u64 {
            let growing = n % 6_000 < 3_500;
            match seed.below(n, 100) {
                x if x < if growing { 70 } else { 20 } => {
                    vector.push_back(n);
                    model.push_back(n);
                }
                x if x < 90 => assert_eq!(vector.pop_front(), model.pop_front()),
                _ => assert_eq!(vector.pop_back(), model.pop_back()),
            }
            assert_eq!((vector.len(), vector.front(), vector.back()), (model.len(), model.front(), model.back()));
            if n % 997 == 0 {
                let before = vector.clone();
                assert!(vector.iter().eq(model.iter()) && vector.iter().rev().eq(model.iter().rev()));
                let middle = model.len() / 2;
                if let Some(v) = vector.get_mut(middle) {
                    *v += 1;
                    assert_ne!(vector, before);
                    model[middle] += 1;
                }
                assert!(vector.range(middle..).eq(model.range(middle..)));
                let mut cut = before.clone();
                cut.truncate(middle);
                assert!(cut.iter().eq(before.range(..middle)));
            }
        }
    }
}
