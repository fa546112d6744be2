//! The worker's memory: lists of free blocks by size, filled from chunks that grow with the cluster.
//!
//! A cluster is millions of small shared blocks that come and go. In wasm the standard allocator (dlmalloc) searches for them in bins
//! and trees, and takes memory page by page; each growth also makes the browser collect its garbage. Here a block is one pop from a
//! list and one push back, and memory grows by a quarter at a time. Blocks never change their size class: what was once given to
//! one class stays with it. Large blocks are dlmalloc's, which takes memory by the megabyte. For one thread only, as wasm without
//! threads is.
//! With it comes a comparison of memory that is fit for keys with long common beginnings (`compare.rs`).

#[cfg(any(target_arch = "wasm32", test))]
mod compare;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

use dlmalloc::Dlmalloc;

/// Blocks above this size are dlmalloc's.
const LARGEST: usize = 32 * 1024;
/// Up to this size there is a class for every 16 bytes; above, four for each doubling.
const FINE: usize = 512;
const CLASSES: usize = FINE / 16 + 4 * 6;
/// A chunk's size is a quarter of what is there, within these bounds. The first one has room for a boot and more: then nothing grows
/// while it is watched. What is never touched costs no memory.
const MIN_CHUNK: usize = 32 << 20;
const MAX_CHUNK: usize = 64 << 20;
/// By so much at least memory grows for large blocks.
const LARGE_CHUNK: usize = 2 << 20;

/// Where chunks come from.
pub trait Source {
    /// `bytes` of memory, aligned to 16, for ever; null if there is no more.
    fn chunk(bytes: usize) -> *mut u8;

    /// There is no more. Whoever can tells somebody, and need not come back.
    fn exhausted() {}
}

/// Chunks by `memory.grow`.
pub struct Wasm;

impl Source for Wasm {
    #[cfg(target_arch = "wasm32")]
    fn chunk(bytes: usize) -> *mut u8 {
        const PAGE: usize = 65_536;
        match core::arch::wasm32::memory_grow::<0>(bytes.div_ceil(PAGE)) {
            usize::MAX => null_mut(),
            page => (page * PAGE) as *mut u8,
        }
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn chunk(_: usize) -> *mut u8 {
        null_mut()
    }
}

struct State {
    large: Dlmalloc,
    /// The first free block of each class; a free block begins with the address of the next.
    free: [*mut u8; CLASSES],
    /// What is left of the newest chunk.
    next: usize,
    end: usize,
    total: usize,
}

/// The allocator.
pub struct Slab<S = Wasm> {
    state: UnsafeCell<State>,
    source: std::marker::PhantomData<fn() -> S>,
}

// SAFETY: wasm without threads has one thread, and the allocator is entered by nobody but it (it calls nothing that allocates).
unsafe impl<S> Sync for Slab<S> {}

impl<S> Slab<S> {
    #[must_use]
    pub const fn new() -> Slab<S> {
        let mut large = Dlmalloc::new();
        assert!(large.set_granularity(LARGE_CHUNK));
        let state = State { large, free: [null_mut(); CLASSES], next: 0, end: 0, total: 0 };
        Slab { state: UnsafeCell::new(state), source: std::marker::PhantomData }
    }

    /// Bytes of the newest chunk that no block has been made of yet: nobody has written there, so that they are no memory of the
    /// machine's so far.
    #[must_use]
    pub fn untouched(&self) -> usize {
        // SAFETY: of one thread (see `Sync`), and no reference lives on.
        let state = unsafe { &*self.state.get() };
        state.end - state.next
    }
}

impl<S> Default for Slab<S> {
    fn default() -> Slab<S> {
        Slab::new()
    }
}

/// The class of a size from 1 to [`LARGEST`]. Where sizes are known, so is the class: a call would cost more than it does.
#[inline(always)]
const fn class_of(size: usize) -> usize {
    if size <= FINE {
        return (size - 1) / 16;
    }
    let doubling = (size - 1).ilog2() as usize;
    // Four steps between 2^doubling and the next.
    let step = ((size - 1) >> (doubling - 2)) & 3;
    FINE / 16 + (doubling - FINE.ilog2() as usize) * 4 + step
}

/// The size of a class' blocks.
#[inline]
const fn size_of_class(class: usize) -> usize {
    if class < FINE / 16 {
        return (class + 1) * 16;
    }
    let (doubling, step) = ((class - FINE / 16) / 4, (class - FINE / 16) % 4);
    (FINE << doubling) + (step + 1) * ((FINE << doubling) / 4)
}

#[inline(always)]
fn is_small(layout: &Layout) -> bool {
    layout.size() <= LARGEST && layout.align() <= 16 && layout.size() > 0
}

/// What dlmalloc has given.
fn large<S: Source>(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        S::exhausted();
    }
    block
}

impl State {
    /// A block from the newest chunk, or from a new one.
    #[cold]
    fn carve<S: Source>(&mut self, class: usize) -> *mut u8 {
        let size = size_of_class(class);
        if self.end - self.next < size {
            let mut wanted = (self.total / 4).clamp(MIN_CHUNK, MAX_CHUNK);
            let mut chunk = S::chunk(wanted);
            // Near the end of memory there may be room for less.
            while chunk.is_null() && wanted > LARGEST {
                wanted /= 2;
                chunk = S::chunk(wanted);
            }
            if chunk.is_null() {
                S::exhausted();
                return null_mut();
            }
            (self.next, self.end) = (chunk as usize, chunk as usize + wanted);
            self.total += wanted;
        }
        let block = self.next as *mut u8;
        self.next += size;
        block
    }
}

// SAFETY: a block is handed out once until it is given back: it is either the head of its class' list, which is unlinked, or carved
// from a chunk that belongs to nobody else. It is as large as its class, which is at least the size asked for, and aligned to 16.
unsafe impl<S: Source> GlobalAlloc for Slab<S> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_small(&layout) {
            let state = unsafe { &mut *self.state.get() };
            return large::<S>(unsafe { state.large.malloc(layout.size(), layout.align()) });
        }
        let state = unsafe { &mut *self.state.get() };
        let class = class_of(layout.size());
        let block = state.free[class];
        if block.is_null() {
            return state.carve::<S>(class);
        }
        state.free[class] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_small(&layout) {
            let state = unsafe { &mut *self.state.get() };
            return unsafe { state.large.free(block, layout.size(), layout.align()) };
        }
        let state = unsafe { &mut *self.state.get() };
        let class = class_of(layout.size());
        unsafe { block.cast::<*mut u8>().write(state.free[class]) };
        state.free[class] = block;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_small(&layout), is_small(&wanted)) {
            (false, false) => {
                let state = unsafe { &mut *self.state.get() };
                return large::<S>(unsafe { state.large.realloc(block, layout.size(), layout.align(), size) });
            }
            (true, true) if class_of(layout.size()) == class_of(size) => return block,
            _ => {}
        }
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            unsafe {
                new.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    /// Chunks from the standard allocator, never given back.
    struct Test;
    impl Source for Test {
        fn chunk(bytes: usize) -> *mut u8 {
            unsafe { System.alloc(Layout::from_size_align(bytes, 16).unwrap()) }
        }
    }

    /// Two chunks and no more.
    struct Little;
    static CHUNKS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    static TOLD: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    impl Source for Little {
        fn chunk(bytes: usize) -> *mut u8 {
            match CHUNKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 | 1 => Test::chunk(bytes),
                _ => null_mut(),
            }
        }
        fn exhausted() {
            TOLD.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn the_end_of_memory_is_told() {
        let slab: Slab<Little> = Slab::new();
        let layout = Layout::from_size_align(LARGEST, 16).unwrap();
        let most = 2 * MAX_CHUNK / LARGEST;
        let given = (0..=most).take_while(|_| !unsafe { slab.alloc(layout) }.is_null()).count();
        assert!(given >= 2 * MIN_CHUNK / LARGEST && given <= most, "{given} blocks of two chunks");
        assert_eq!(TOLD.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn classes_hold_their_sizes() {
        let mut last = 0;
        for size in 1..=LARGEST {
            let class = class_of(size);
            assert!(class < CLASSES && size_of_class(class) >= size, "{size}");
            assert!(class == 0 || size_of_class(class - 1) < size, "{size} would fit into a smaller class");
            assert!(class == last || class == last + 1);
            last = class;
        }
        assert_eq!(last, CLASSES - 1);
    }

    #[test]
    fn blocks_are_distinct_and_keep_what_is_written() {
        let slab: Slab<Test> = Slab::new();
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut draw = 12_345_u64;
        for n in 0..20_000_u64 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let size = 1 + (draw >> 33) as usize % if n % 50 == 0 { 60_000 } else { 700 };
            let layout = Layout::from_size_align(size, 8).unwrap();
            let check = |(block, layout, byte): &(*mut u8, Layout, u8), size: usize| {
                let bytes = unsafe { std::slice::from_raw_parts(*block, size.min(layout.size())) };
                assert!(bytes.iter().all(|b| b == byte), "overwritten");
            };
            if n % 3 == 2 {
                let gone = live.swap_remove((draw >> 20) as usize % live.len());
                check(&gone, usize::MAX);
                unsafe { slab.dealloc(gone.0, gone.1) };
            } else if n % 7 == 3 {
                let i = (draw >> 20) as usize % live.len();
                let (block, old, byte) = live[i];
                let new = unsafe { slab.realloc(block, old, size) };
                check(&(new, old, byte), size);
                unsafe { new.write_bytes(byte, size) };
                live[i] = (new, layout, byte);
            } else {
                let block = unsafe { slab.alloc(layout) };
                assert_eq!(block as usize % 16, 0);
                unsafe { block.write_bytes(n as u8, size) };
                live.push((block, layout, n as u8));
            }
        }
    }
}
