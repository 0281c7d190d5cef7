//! Many heaps in one store: each grows and shrinks by pages, and every entry's owner knows where it
//! is.
//!
//! A heap per feed and direction would want room for all positions in each, most of it never used.
//! Here the heaps share a store of pages, so that the room is that of the entries there are, and
//! nothing is allocated after construction.
//!
//! Invariants: a heap is a tree of four children each, no entry is below a larger key; the place
//! that is noted for an owner is where its entry is.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;

use crate::reserve;

/// Entries of a page, as a power of two.
const PAGE_BITS: u32 = 9;
const PAGE_ENTRIES: usize = 1 << PAGE_BITS;
/// Children of an entry: four keys are one cache line.
const CHILDREN: usize = 4;

/// What a heap holds: the smallest key is on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) owner: u32,
}

/// Heaps `0..` that share their pages.
#[derive(Debug)]
pub(super) struct Heaps {
    entries: Vec<Entry>,
    /// Pages that no heap has.
    free: Vec<u16>,
    /// The pages of each heap, in order.
    pages: Vec<u16>,
    /// Most pages of one heap.
    pages_max: usize,
    lengths: Vec<u32>,
    /// Where the entry of each owner is in its heap.
    places: Vec<u32>,
}

impl Heaps {
    /// `heaps` of up to `each` entries, and of up to `all` together; owners are below `owners`.
    ///
    /// # Panics
    /// When that takes more than 65,535 pages.
    pub(super) fn new(heaps: usize, each: usize, all: usize, owners: usize) -> Self {
        // Each heap may leave most of its last page unused.
        let page_count = all.div_ceil(PAGE_ENTRIES) + heaps;
        let last = u16::try_from(page_count);
        assert!(last.is_ok(), "a page has a number of 16 bits");
        let mut entries = reserve::list(page_count * PAGE_ENTRIES);
        entries.resize(page_count * PAGE_ENTRIES, Entry::default());
        let mut free = reserve::list(page_count);
        free.extend(0..last.unwrap_or(0));
        let pages_max = each.div_ceil(PAGE_ENTRIES);
        Self {
            entries,
            free,
            pages: vec![0; heaps * pages_max],
            pages_max,
            lengths: vec![0; heaps],
            places: vec![0; owners],
        }
    }

    /// Bytes that it has taken.
    pub(super) const fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + (self.free.capacity() + self.pages.capacity()) * size_of::<u16>()
            + (self.lengths.capacity() + self.places.capacity()) * size_of::<u32>()
    }

    pub(super) fn len(&self, heap: usize) -> usize {
        self.lengths[heap] as usize
    }

    /// The entry with the smallest key.
    #[inline]
    pub(super) fn first(&self, heap: usize) -> Option<Entry> {
        (self.lengths[heap] > 0).then(|| self.get(heap, 0))
    }

    /// Puts an entry in; `false` if there is no room.
    #[inline]
    pub(super) fn push(&mut self, heap: usize, entry: Entry) -> bool {
        let place = self.len(heap);
        if place.is_multiple_of(PAGE_ENTRIES) {
            let page = place >> PAGE_BITS;
            if page >= self.pages_max {
                return false;
            }
            let Some(taken) = self.free.pop() else { return false };
            self.pages[heap * self.pages_max + page] = taken;
        }
        self.lengths[heap] += 1;
        self.rise(heap, place, entry);
        true
    }

    /// Takes the entry of an owner out of the heap that it is in.
    #[inline]
    pub(super) fn remove(&mut self, heap: usize, owner: u32) {
        let place = self.places[owner as usize] as usize;
        let last = self.len(heap) - 1;
        debug_assert_eq!(self.get(heap, place).owner, owner, "an owner knows its place");
        let moved = self.get(heap, last);
        self.lengths[heap] -= 1;
        if last.is_multiple_of(PAGE_ENTRIES) {
            // There was room for it when it was taken.
            self.free.push(self.pages[heap * self.pages_max + (last >> PAGE_BITS)]);
        }
        if place < last {
            self.settle(heap, place, moved);
        }
    }

    /// Gives the entry of an owner another key.
    #[inline]
    pub(super) fn rekey(&mut self, heap: usize, entry: Entry) {
        let place = self.places[entry.owner as usize] as usize;
        debug_assert_eq!(self.get(heap, place).owner, entry.owner, "an owner knows its place");
        self.settle(heap, place, entry);
    }

    /// Visits all entries whose keys are at most `bound`, and few others; changes nothing.
    #[inline]
    pub(super) fn walk(&self, heap: usize, bound: u64, mut visit: impl FnMut(Entry)) {
        let length = self.len(heap);
        let mut place = 0;
        // Down while the key is reached, else on to what stands beside it or beside those above:
        // the tree is its own stack.
        loop {
            let entry = if place < length { Some(self.get(heap, place)) } else { None };
            if let Some(entry) = entry.filter(|entry| entry.key <= bound) {
                visit(entry);
                place = place * CHILDREN + 1;
                continue;
            }
            // The last child of four, or the last there is, has nothing beside it.
            while place > 0 && (place.is_multiple_of(CHILDREN) || place >= length) {
                place = (place - 1) / CHILDREN;
            }
            if place == 0 {
                return;
            }
            place += 1;
        }
    }

    /// Puts an entry where `place` is empty, or holds what is replaced.
    fn settle(&mut self, heap: usize, place: usize, entry: Entry) {
        let is_higher = place > 0 && entry.key < self.get(heap, (place - 1) / CHILDREN).key;
        if is_higher {
            self.rise(heap, place, entry);
        } else {
            self.sink(heap, place, entry);
        }
    }

    fn rise(&mut self, heap: usize, mut place: usize, entry: Entry) {
        while place > 0 {
            let above = (place - 1) / CHILDREN;
            let parent = self.get(heap, above);
            if parent.key <= entry.key {
                break;
            }
            self.put(heap, place, parent);
            place = above;
        }
        self.put(heap, place, entry);
    }

    fn sink(&mut self, heap: usize, mut place: usize, entry: Entry) {
        let length = self.len(heap);
        loop {
            let first = place * CHILDREN + 1;
            let mut least: Option<(usize, Entry)> = None;
            for child in first..length.min(first + CHILDREN) {
                let found = self.get(heap, child);
                if least.is_none_or(|(_, least)| found.key < least.key) {
                    least = Some((child, found));
                }
            }
            let Some((child, found)) = least.filter(|(_, least)| least.key < entry.key) else {
                break;
            };
            self.put(heap, place, found);
            place = child;
        }
        self.put(heap, place, entry);
    }

    #[inline]
    fn slot(&self, heap: usize, place: usize) -> usize {
        let page = self.pages[heap * self.pages_max + (place >> PAGE_BITS)];
        (usize::from(page) << PAGE_BITS) | (place & (PAGE_ENTRIES - 1))
    }

    #[inline]
    fn get(&self, heap: usize, place: usize) -> Entry {
        self.entries[self.slot(heap, place)]
    }

    #[inline]
    fn put(&mut self, heap: usize, place: usize, entry: Entry) {
        let slot = self.slot(heap, place);
        self.entries[slot] = entry;
        #[expect(clippy::cast_possible_truncation, reason = "lengths are of 32 bits")]
        {
            self.places[entry.owner as usize] = place as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(heaps: &Heaps, model: &[BTreeMap<u32, u64>]) {
        for (heap, held) in model.iter().enumerate() {
            assert_eq!(heaps.len(heap), held.len());
            assert_eq!(heaps.first(heap).map(|entry| entry.key), held.values().min().copied());
            for place in 0..held.len() {
                let entry = heaps.get(heap, place);
                assert_eq!(held.get(&entry.owner), Some(&entry.key));
                assert_eq!(heaps.places[entry.owner as usize] as usize, place);
                assert!(place == 0 || heaps.get(heap, (place - 1) / CHILDREN).key <= entry.key);
            }
            for bound in [0, 40, 100, u64::MAX] {
                let mut seen = BTreeMap::new();
                heaps.walk(heap, bound, |entry| {
                    assert!(seen.insert(entry.owner, entry.key).is_none(), "visited once");
                });
                let due = held.iter().filter(|(_, key)| **key <= bound);
                assert_eq!(seen, due.map(|(owner, key)| (*owner, *key)).collect());
            }
        }
    }

    proptest! {
        #[test]
        fn any_heap_is_what_a_list_would_be(
            steps in proptest::collection::vec((0..3_usize, 0..40_u32, 0..100_u64), 1..300)
        ) {
            let mut heaps = Heaps::new(2, 40, 40, 40);
            let mut model = [BTreeMap::new(), BTreeMap::new()];
            for (what, owner, key) in steps {
                let at = model.iter().position(|held| held.contains_key(&owner));
                match (what, at) {
                    (heap @ (0 | 1), None) => {
                        let has_room = heaps.push(heap, Entry { key, owner });
                        prop_assert!(has_room);
                        model[heap].insert(owner, key);
                    }
                    (0 | 1, Some(heap)) => {
                        heaps.rekey(heap, Entry { key, owner });
                        model[heap].insert(owner, key);
                    }
                    (_, Some(heap)) => {
                        heaps.remove(heap, owner);
                        model[heap].remove(&owner);
                    }
                    (_, None) => {}
                }
            }
            check(&heaps, &model);
        }
    }

    #[test]
    fn pages_go_from_heap_to_heap_and_a_full_store_says_so() {
        let count = 3 * PAGE_ENTRIES;
        let mut heaps = Heaps::new(2, count, count, count);
        let owners = || 0..u32::try_from(count).unwrap();
        for turn in 0..3 {
            let heap = turn % 2;
            for owner in owners() {
                let key = u64::from(owner.wrapping_mul(0x9e37_79b9) >> 8);
                assert!(heaps.push(heap, Entry { key, owner }), "{owner} finds room");
            }
            assert!(!heaps.push(heap, Entry { key: 0, owner: 0 }), "a heap has a limit");
            owners().for_each(|owner| heaps.remove(heap, owner));
            assert_eq!((heaps.first(heap), heaps.free.len()), (None, 5), "all pages are back");
        }
    }
}
