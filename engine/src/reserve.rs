//! Memory that is taken before the first frame, and not only promised: the system hands a page over
//! when it is first written to, so every page is written to at the start. A flood then finds all
//! that it needs, and resident memory says at once what a run takes.
//!
//! Temperature: cold.

use alloc::vec::Vec;
use core::hash::Hash;
use core::hint::black_box;
use core::mem::MaybeUninit;

use hashbrown::HashMap;

use crate::world::hash::FixedState;

/// An empty list with room for `capacity`.
#[cold]
pub(crate) fn list<T>(capacity: usize) -> Vec<T> {
    // Opaque, or else the compiler asks for zeroed memory instead, which nobody has touched.
    let mut list = black_box(Vec::with_capacity(capacity));
    list.spare_capacity_mut().fill_with(MaybeUninit::zeroed);
    list
}

/// An empty table in which up to `capacity` keys come and go; `key` makes distinct ones.
#[cold]
pub(crate) fn table<K: Eq + Hash, V: Default>(
    capacity: usize,
    key: impl Fn(u64) -> K,
) -> HashMap<K, V, FixedState> {
    // Twice the entries, so that tombstones are cleared in place and never by growing.
    let room = capacity.saturating_mul(2);
    let mut table = HashMap::with_capacity_and_hasher(room, FixedState);
    for number in 0..capacity as u64 {
        table.insert(key(number), V::default());
    }
    table.clear();
    table
}
