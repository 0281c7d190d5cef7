//! The pools of the universe: an arena by [`PoolId`], found by address or by pair of tokens.
//!
//! Decode turns a log's address into a [`PoolId`] here, once; from then on a pool is an array
//! index. The world writes states, the search and the strategies read them.
//!
//! Invariants: capacity is fixed when the table is made; a handle, once given, stays valid; the
//! two tokens of a pool differ. The index of pairs is built cold, and does not know pools that were
//! inserted later.
//!
//! Temperature: hot.

use alloc::vec::Vec;
use core::hash::BuildHasher as _;
use core::hint::black_box;

use alloy_primitives::Address;
use hashbrown::{HashMap, HashTable};

use super::hash::FixedState;
use super::standing::Standing;
use crate::amm::ticks::{Range, TickArena, TickError};
use crate::amm::{Pool, PoolView, Tick, Ticks};
use crate::ids::{FactoryId, PoolId, TokenId};
use crate::prefetch::prefetch;

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
    /// Its ticks are not sorted, or there is no room for them.
    Ticks,
    /// It was meant to follow other entries than those that there are.
    OutOfTurn,
}

/// One pool: what never changes, its state, and what the state is built from.
#[derive(Clone, Copy, Debug)]
pub struct PoolEntry {
    /// What a swap is quoted on: the chain's last word, with our overlay.
    pub state: Pool,
    /// The chain's last word alone.
    pub chain: Pool,
    /// Its tokens, in the pool's own order.
    pub tokens: [TokenId; 2],
    /// How often somebody else moved it. An opportunity is new only when this has changed.
    pub version: u32,
    /// Where it came from.
    pub factory: FactoryId,
    /// Its state is not to be trusted: it is not traded with.
    pub is_quarantined: bool,
    /// What trying it has shown.
    pub standing: Standing,
    /// The contract.
    pub address: Address,
    /// Our own trades that the chain does not contain (dry-run, backtest), in token units: what
    /// the pool was paid, less what it paid. Zero when live.
    pub overlay: [i128; 2],
}

impl PoolEntry {
    /// A pool that may be traded with: nobody moved it yet, and neither did we.
    #[must_use]
    pub const fn new(
        address: Address,
        factory: FactoryId,
        tokens: [TokenId; 2],
        state: Pool,
    ) -> Self {
        Self {
            state,
            chain: state,
            tokens,
            version: 0,
            factory,
            is_quarantined: false,
            standing: Standing::Admitted,
            address,
            overlay: [0; 2],
        }
    }

    /// Whether it may be traded with.
    #[must_use]
    #[inline]
    pub const fn is_tradable(&self) -> bool {
        self.standing.is_admitted() && !self.is_quarantined
    }
}

/// Every pool of the universe.
#[derive(Debug)]
pub struct PoolTable {
    entries: Vec<PoolEntry>,
    ids: Vec<PoolId>,
    capacity: usize,
    /// A few bytes each: whoever looks for a pool reads its entry next anyway.
    by_address: HashTable<Name>,
    ticks: TickArena,
    pairs: PairIndex,
}

/// A pool, and what tells it from almost every other without a look at its entry.
#[derive(Clone, Copy, Debug)]
struct Name {
    hash: u32,
    pool: PoolId,
}

/// The pools of each pair of tokens. It owns all that it needs, so that another thread can build.
#[derive(Debug, Default)]
pub struct PairIndex {
    /// Pools, those of one pair side by side, in order of insertion.
    grouped: Vec<PoolId>,
    /// Where in `grouped` a pair's pools are.
    pairs: HashMap<u64, core::ops::Range<u32>, FixedState>,
}

impl PairIndex {
    /// The index of pools with these tokens, in the order of handles.
    #[must_use]
    #[cold]
    pub fn build(tokens: &[[TokenId; 2]]) -> Self {
        // Not more pools than handles can count.
        let mut grouped: Vec<PoolId> = (0..).map(PoolId).take(tokens.len()).collect();
        let key = |id: &PoolId| {
            let [first, second] = tokens[id.index()];
            pair_key(first, second)
        };
        grouped.sort_by_key(|id| (key(id), *id));
        let mut pairs = HashMap::with_hasher(FixedState);
        let mut start = 0_u32;
        for pools in grouped.chunk_by(|left, right| key(left) == key(right)) {
            let end = start + u32::try_from(pools.len()).unwrap_or(0);
            pairs.insert(key(&pools[0]), start..end);
            start = end;
        }
        debug_assert_eq!(start as usize, tokens.len(), "every pool is of one pair");
        Self { grouped, pairs }
    }
}

impl PoolTable {
    /// An empty table for `capacity` pools and `ticks` ticks (see [`TickArena::room_for`]).
    ///
    /// # Panics
    /// When handles could not count that far: capacities are named in [`limits`](crate::limits).
    #[must_use]
    #[cold]
    pub fn new(capacity: usize, ticks: usize) -> Self {
        assert!(u32::try_from(capacity).is_ok(), "a pool id is a u32");
        Self {
            entries: Vec::with_capacity(capacity),
            ids: Vec::with_capacity(capacity),
            capacity,
            by_address: HashTable::with_capacity(capacity),
            ticks: TickArena::new(capacity, ticks),
            pairs: PairIndex::default(),
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
        if self.id_of(&entry.address).is_some() {
            return Err(Refused::Known);
        }
        if self.entries.len() == self.capacity {
            return Err(Refused::Full);
        }
        let Ok(next) = u32::try_from(self.entries.len()) else { return Err(Refused::Full) };
        let id = PoolId(next);
        self.entries.push(entry);
        let hash = FixedState.hash_one(entry.address);
        let entries = &self.entries;
        let hash_of = |name: &Name| FixedState.hash_one(entries[name.pool.index()].address);
        self.by_address.insert_unique(hash, Name { hash: low(hash), pool: id }, hash_of);
        self.ids.push(id);
        Ok(id)
    }

    /// Adds a pool with its ticks, and gives its handle.
    ///
    /// # Errors
    /// As [`PoolTable::insert`], and when the ticks are not sorted or do not fit.
    #[cold]
    pub fn insert_with_ticks(
        &mut self,
        entry: PoolEntry,
        ticks: &[Tick],
    ) -> Result<PoolId, Refused> {
        let Ok(next) = u32::try_from(self.entries.len()) else { return Err(Refused::Full) };
        if self.ticks.load(PoolId(next), ticks).is_err() {
            return Err(Refused::Ticks);
        }
        self.insert(entry)
    }

    /// The handle of the pool at `address`, if it is in the universe.
    #[must_use]
    #[inline]
    pub fn id_of(&self, address: &Address) -> Option<PoolId> {
        let hash = FixedState.hash_one(address);
        let is_it = |name: &Name| {
            name.hash == low(hash) && self.entries[name.pool.index()].address == *address
        };
        self.by_address.find(hash, is_it).map(|name| name.pool)
    }

    /// Asks memory for the pool at this address, and waits for nothing.
    #[inline]
    pub(crate) fn prefetch(&self, address: &Address) {
        let hash = FixedState.hash_one(address);
        // Perhaps it is another one; the entry itself, which would tell, is what is asked for.
        if let Some(name) = self.by_address.find(hash, |name| name.hash == low(hash)) {
            prefetch(self.get(name.pool));
            self.ticks.prefetch(name.pool);
        }
    }

    /// Asks memory for the pools at these addresses: they lie far apart, and are fetched together
    /// where one read does not wait for another.
    pub(super) fn warm<'a>(&self, addresses: impl Iterator<Item = &'a Address>) {
        let mut sum = 0;
        for id in addresses.filter_map(|address| self.id_of(address)) {
            let entry = self.get(id);
            let is_ranged = |pool: &Pool| u32::from(matches!(pool, Pool::Concentrated(_)));
            sum ^= entry.version ^ is_ranged(&entry.chain) ^ is_ranged(&entry.state);
            sum ^= self.ticks.warm(id);
        }
        black_box(sum);
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

    /// The pool with its ticks: what quotes are asked of.
    #[must_use]
    #[inline]
    pub fn view(&self, id: PoolId) -> PoolView<'_> {
        PoolView { pool: &self.entries[id.index()].state, ticks: self.ticks.of(id) }
    }

    /// A pool's ticks.
    #[must_use]
    #[inline]
    pub fn ticks(&self, id: PoolId) -> Ticks<'_> {
        self.ticks.of(id)
    }

    /// A pool's ticks with all that is known of them, in order.
    pub fn tick_list(&self, id: PoolId) -> impl Iterator<Item = Tick> {
        self.ticks.list(id)
    }

    /// Adds or takes liquidity between two of a pool's ticks. The world writes its undo log first.
    ///
    /// # Errors
    /// When there is no room, or more is taken than was there; nothing is changed then.
    pub fn change_ticks(&mut self, id: PoolId, range: Range) -> Result<(), TickError> {
        self.ticks.change(id, range)
    }

    /// Replaces a pool's ticks.
    ///
    /// # Errors
    /// When they are not sorted or do not fit; nothing is changed then.
    #[cold]
    pub fn load_ticks(&mut self, id: PoolId, ticks: &[Tick]) -> Result<(), TickError> {
        self.ticks.load(id, ticks)
    }

    /// Says between which ticks every initialised one of a pool is known.
    pub fn set_known_ticks(&mut self, id: PoolId, known: [i32; 2]) {
        self.ticks.set_known(id, known);
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

    /// How many there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The pools of two tokens, in either order, in order of insertion.
    #[must_use]
    #[inline]
    pub fn pools_of_pair(&self, first: TokenId, second: TokenId) -> &[PoolId] {
        let PairIndex { grouped, pairs } = &self.pairs;
        pairs.get(&pair_key(first, second)).map_or(&[], |range| {
            // Both ends were indices into `grouped` when the index was built.
            &grouped[range.start as usize..range.end as usize]
        })
    }

    /// How many pairs of tokens have a pool.
    #[must_use]
    pub fn pair_count(&self) -> usize {
        self.pairs.pairs.len()
    }

    /// Rebuilds the index behind [`PoolTable::pools_of_pair`]. Call it after the last insertion.
    #[cold]
    pub fn index_pairs(&mut self) {
        let tokens: Vec<_> = self.entries.iter().map(|entry| entry.tokens).collect();
        self.pairs = PairIndex::build(&tokens);
    }

    /// Puts an index that was built elsewhere in the place of the one that there is.
    pub(crate) const fn swap_pairs(&mut self, pairs: &mut PairIndex) {
        core::mem::swap(&mut self.pairs, pairs);
    }
}

/// The lower half of a hash.
#[expect(clippy::cast_possible_truncation, reason = "the half is what is asked for")]
const fn low(hash: u64) -> u32 {
    hash as u32
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
        let mut table = PoolTable::new(4, 0);
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
        let mut table = PoolTable::new(2, 0);
        let first = table.insert(pool(1, [0, 1])).unwrap();
        assert_eq!(table.insert(pool(1, [2, 3])), Err(Refused::Known));
        assert_eq!(table.insert(pool(2, [4, 4])), Err(Refused::SameToken));
        table.insert(pool(2, [0, 1])).unwrap();
        assert_eq!(table.insert(pool(3, [0, 1])), Err(Refused::Full));
        assert_eq!((table.len(), table.get(first).tokens), (2, [TokenId(0), TokenId(1)]));
    }
}
