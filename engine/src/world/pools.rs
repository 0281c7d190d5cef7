//! The pools of the universe: an arena by [`PoolId`], found by address or by pair of tokens.
//!
//! Decode turns a log's address into a [`PoolId`] here, once; from then on a pool is an array
//! index. The world writes states, the search and the strategies read them.
//!
//! Invariants: capacity is fixed when the table is made; a handle, once given, stays valid; the
//! two tokens of a pool differ. The index of pairs is built cold by [`PoolTable::index_pairs`] and
//! does not know pools that were inserted later.
//!
//! Temperature: hot.

use alloc::vec::Vec;
use core::ops::Range;

use alloy_primitives::Address;
use hashbrown::HashMap;

use super::hash::FixedState;
use crate::amm::Pool;
use crate::ids::{FactoryId, PoolId, TokenId};

/// Why a table took no new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refused {
    /// The table is full; raise its limit or narrow the universe.
    Full,
    /// The address is in the table already.
    Known,
    /// A pool of a token with itself, which no factory makes.
    SameToken,
}

/// One pool: what never changes, its state, and what the state is built from.
#[derive(Clone, Copy, Debug)]
pub struct PoolEntry {
    /// What a swap is quoted on: the chain's last word, with our overlay.
    pub state: Pool,
    /// Its tokens, in the pool's own order.
    pub tokens: [TokenId; 2],
    /// How often somebody else moved it. An opportunity is new only when this has changed.
    pub version: u32,
    /// Where it came from.
    pub factory: FactoryId,
    /// Its state is not to be trusted: it is not traded with.
    pub is_quarantined: bool,
    /// The contract.
    pub address: Address,
    /// Our own trades that the chain does not contain (dry-run, backtest), in token units: added
    /// to reserves as the chain reports them. Zero when live.
    pub overlay: [i128; 2],
}

impl PoolEntry {
    /// A pool as it is loaded: nobody moved it yet, and neither did we.
    #[must_use]
    pub const fn new(
        address: Address,
        factory: FactoryId,
        tokens: [TokenId; 2],
        state: Pool,
    ) -> Self {
        Self { state, tokens, version: 0, factory, is_quarantined: false, address, overlay: [0; 2] }
    }
}

/// Every pool of the universe.
#[derive(Debug)]
pub struct PoolTable {
    entries: Vec<PoolEntry>,
    ids: Vec<PoolId>,
    capacity: usize,
    by_address: HashMap<Address, PoolId, FixedState>,
    /// Pools, those of one pair side by side, in order of insertion.
    grouped: Vec<PoolId>,
    /// Where in `grouped` a pair's pools are.
    pairs: HashMap<u64, Range<u32>, FixedState>,
}

impl PoolTable {
    /// An empty table for `capacity` pools.
    ///
    /// # Panics
    /// When handles could not count that far: capacities are named in [`limits`](crate::limits).
    #[must_use]
    #[cold]
    pub fn new(capacity: usize) -> Self {
        assert!(u32::try_from(capacity).is_ok(), "a pool id is a u32");
        Self {
            entries: Vec::with_capacity(capacity),
            ids: Vec::with_capacity(capacity),
            capacity,
            by_address: HashMap::with_capacity_and_hasher(capacity, FixedState),
            grouped: Vec::new(),
            pairs: HashMap::with_hasher(FixedState),
        }
    }

    /// Adds a pool and gives its handle.
    ///
    /// # Errors
    /// When the table is full, the address is known or both tokens are the same.
    #[cold]
    pub fn insert(&mut self, entry: PoolEntry) -> Result<PoolId, Refused> {
        if entry.tokens[0] == entry.tokens[1] {
            return Err(Refused::SameToken);
        }
        if self.by_address.contains_key(&entry.address) {
            return Err(Refused::Known);
        }
        if self.entries.len() == self.capacity {
            return Err(Refused::Full);
        }
        let Ok(next) = u32::try_from(self.entries.len()) else { return Err(Refused::Full) };
        let id = PoolId(next);
        self.by_address.insert(entry.address, id);
        self.entries.push(entry);
        self.ids.push(id);
        Ok(id)
    }

    /// The handle of the pool at `address`, if it is in the universe.
    #[must_use]
    #[inline]
    pub fn id_of(&self, address: &Address) -> Option<PoolId> {
        self.by_address.get(address).copied()
    }

    /// The pool of a handle that this table gave.
    #[must_use]
    #[inline]
    pub fn get(&self, id: PoolId) -> &PoolEntry {
        &self.entries[id.index()]
    }

    /// The pool, to be changed. The world writes its undo log first.
    #[inline]
    pub fn entry_mut(&mut self, id: PoolId) -> &mut PoolEntry {
        &mut self.entries[id.index()]
    }

    /// Replaces a pool's state and nothing else.
    #[inline]
    pub fn set_state(&mut self, id: PoolId, state: Pool) {
        self.entries[id.index()].state = state;
    }

    /// Every handle, in order of insertion.
    #[must_use]
    pub fn ids(&self) -> &[PoolId] {
        &self.ids
    }

    /// How many pools there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The pools of two tokens, in either order, in order of insertion.
    #[must_use]
    #[inline]
    pub fn pools_of_pair(&self, first: TokenId, second: TokenId) -> &[PoolId] {
        self.pairs.get(&pair_key(first, second)).map_or(&[], |range| {
            // Both ends were indices into `grouped` when the index was built.
            &self.grouped[range.start as usize..range.end as usize]
        })
    }

    /// How many pairs of tokens have a pool.
    #[must_use]
    pub fn pair_count(&self) -> usize {
        self.pairs.len()
    }

    /// Rebuilds the index behind [`PoolTable::pools_of_pair`]. Call it after the last insertion.
    #[cold]
    pub fn index_pairs(&mut self) {
        let entries = &self.entries;
        let key = |id: &PoolId| {
            let [first, second] = entries[id.index()].tokens;
            pair_key(first, second)
        };
        self.grouped.clear();
        self.grouped.extend_from_slice(&self.ids);
        self.grouped.sort_by_key(|id| (key(id), *id));
        self.pairs.clear();
        let mut start = 0_u32;
        for pools in self.grouped.chunk_by(|left, right| key(left) == key(right)) {
            // Not more than `capacity`, which fits a u32.
            let end = start + u32::try_from(pools.len()).unwrap_or(0);
            self.pairs.insert(key(&pools[0]), start..end);
            start = end;
        }
        debug_assert_eq!(start as usize, self.entries.len(), "every pool is of one pair");
    }
}

/// A pair of tokens regardless of order.
const fn pair_key(first: TokenId, second: TokenId) -> u64 {
    let (low, high) = if first.0 < second.0 { (first.0, second.0) } else { (second.0, first.0) };
    ((low as u64) << 32) | high as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amm::ConstantProduct;

    fn pool(id: u8, tokens: [u32; 2]) -> PoolEntry {
        let state = ConstantProduct::new([1_000, 2_000], 3_000).unwrap().into();
        let tokens = tokens.map(TokenId);
        PoolEntry::new(Address::repeat_byte(id), FactoryId(0), tokens, state)
    }

    #[test]
    fn a_pool_is_found_by_its_address_and_by_its_pair_in_either_order() {
        let mut table = PoolTable::new(4);
        let first = table.insert(pool(1, [5, 9])).unwrap();
        let other = table.insert(pool(2, [5, 7])).unwrap();
        let second = table.insert(pool(3, [9, 5])).unwrap();
        table.index_pairs();
        assert_eq!(table.id_of(&Address::repeat_byte(3)), Some(second));
        assert_eq!(table.id_of(&Address::repeat_byte(4)), None);
        assert_eq!(table.pools_of_pair(TokenId(5), TokenId(9)), [first, second]);
        assert_eq!(table.pools_of_pair(TokenId(9), TokenId(5)), [first, second]);
        assert_eq!(table.pools_of_pair(TokenId(7), TokenId(5)), [other]);
        assert_eq!(table.pools_of_pair(TokenId(7), TokenId(9)), []);
        assert_eq!((table.pair_count(), table.ids()), (2, [first, other, second].as_slice()));
    }

    #[test]
    fn a_full_table_refuses_and_keeps_what_it_has() {
        let mut table = PoolTable::new(2);
        let first = table.insert(pool(1, [0, 1])).unwrap();
        assert_eq!(table.insert(pool(1, [2, 3])), Err(Refused::Known));
        assert_eq!(table.insert(pool(2, [4, 4])), Err(Refused::SameToken));
        table.insert(pool(2, [0, 1])).unwrap();
        assert_eq!(table.insert(pool(3, [0, 1])), Err(Refused::Full));
        assert_eq!((table.len(), table.get(first).tokens), (2, [TokenId(0), TokenId(1)]));
    }

    #[test]
    fn a_new_state_replaces_the_old_and_nothing_else() {
        let mut table = PoolTable::new(1);
        let id = table.insert(pool(1, [0, 1])).unwrap();
        let state = table.get(id).state.with_reserves([5, 6], [0; 2]);
        table.set_state(id, state);
        assert_eq!((table.get(id).state, table.get(id).version), (state, 0));
    }
}
