//! The index of cycles: which pools a pair of tokens has, and where a cycle through it can lead.
//!
//! Built cold from a [`Graph`], which owns all that it needs and can go to another thread; read hot
//! by the [`Searcher`](super::Searcher). A *pair* is two tokens with at least one pool; an *edge*
//! is a pair with a direction.
//!
//! ```text
//! pool ─► slot ─► pair ─► its slots (pools side by side)
//!                   └───► its tokens ─► map: hubs and tails ─► paths between hubs
//! ```
//!
//! Cycles are not listed: a token in most pairs is on too many of them. See `map` and
//! `paths` for what is kept instead.
//!
//! Invariants: flat arrays, never changed after [`CycleIndex::build`]; tokens of a cycle are
//! distinct, so only a two-hop cycle meets a pair twice.
//!
//! Temperature: cold.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::map::Map;
use super::paths::Paths;
use crate::gas::worth_least;
use crate::ids::{Direction, PoolId, TokenId};
use crate::limits::{BASE_TOKENS_MAX, HOPS_MAX, TAIL_DEGREE_MAX};
use crate::units::Wei;
use crate::world::pools::PoolTable;

/// A pair with a direction: twice the pair's index, plus 1 from the higher token to the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge(pub(super) u32);

impl Edge {
    pub(super) const fn new(pair: usize, is_downward: bool) -> Self {
        // Not more pairs than pools, and those fit 31 bits.
        #[expect(clippy::cast_possible_truncation, reason = "checked when the index is built")]
        Self(((pair as u32) << 1) | is_downward as u32)
    }

    /// The edge of a pair that leads from this side.
    pub(super) const fn of(pair: usize, side: usize) -> Self {
        Self::new(pair, side == 1)
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) const fn pair(self) -> usize {
        (self.0 >> 1) as usize
    }

    /// 0 from the lower token to the higher, 1 back.
    pub(super) const fn side(self) -> usize {
        (self.0 & 1) as usize
    }

    pub(super) const fn reversed(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// A pool in the index. The pools of a pair have neighbouring slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) pool: PoolId,
    pub(super) pair: u32,
    /// The pool's own token 0 is the higher one.
    is_flipped: bool,
}

impl Slot {
    /// How a swap along an edge of this side goes through the pool.
    pub(super) const fn direction(self, side: usize) -> Direction {
        if (side == 0) == self.is_flipped { Direction::OneForZero } else { Direction::ZeroForOne }
    }
}

/// A token cycle from its most preferred base token.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenCycle {
    /// Its edges in order; places past `hop_count` hold the edge whose price is always 1.
    pub(super) edges: [Edge; HOPS_MAX],
    pub(super) hop_count: u8,
    /// The place of its first token among the bases.
    pub(super) base_rank: u8,
}

/// What an index is built from. It owns everything, so that another thread can build.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The tokens of each pool, by handle.
    pub tokens: Vec<[TokenId; 2]>,
    /// The base tokens, most preferred first.
    pub bases: Vec<TokenId>,
    /// The token that wraps the native one: what cycles are worth is counted in it.
    pub native: TokenId,
    /// The longest cycle, in swaps.
    pub hops_max: usize,
    /// The least that a search asks of a cycle of three or more swaps at first. The higher, the
    /// less of a large universe has to be looked at; a search that asks less looks at more, and
    /// misses nothing, and the tables follow what is asked.
    pub worth_least: Wei,
    /// A token with more neighbours than this is a hub.
    pub(super) tail_degree_max: usize,
}

impl Graph {
    /// The graph of pools whose tokens are `tokens`, for cycles of two to `hops_max` swaps through
    /// one of `bases` (most preferred first, [`BASE_TOKENS_MAX`] at most).
    ///
    /// # Panics
    /// When `hops_max` is not between 2 and [`HOPS_MAX`]: the configuration is checked earlier.
    #[must_use]
    #[cold]
    pub fn new(
        tokens: Vec<[TokenId; 2]>,
        bases: &[TokenId],
        native: TokenId,
        hops_max: usize,
    ) -> Self {
        assert!((2..=HOPS_MAX).contains(&hops_max), "a cycle has two to HOPS_MAX swaps");
        assert!(tokens.len() < 1 << 30, "an edge is a u32");
        let bases = bases[..bases.len().min(BASE_TOKENS_MAX)].into();
        let (worth_least, tail_degree_max) = (Wei(0), TAIL_DEGREE_MAX);
        Self { tokens, bases, native, hops_max, worth_least, tail_degree_max }
    }

    /// The same, for searches that ask at least so much of a cycle: see [`Graph::worth_least`].
    #[must_use]
    #[cold]
    pub fn asking(self, worth_least: Wei) -> Self {
        Self { worth_least, ..self }
    }

    /// The same, for searches that ask at least that a cycle pays for the gas of three swaps at
    /// this base fee.
    #[must_use]
    #[cold]
    pub fn paying_gas(self, base_fee: Wei) -> Self {
        self.asking(worth_least(base_fee, 3))
    }

    /// The graph of the pools in a table.
    #[must_use]
    #[cold]
    pub fn of(pools: &PoolTable, bases: &[TokenId], native: TokenId, hops_max: usize) -> Self {
        let tokens = pools.ids().iter().map(|id| pools.get(*id).tokens).collect();
        Self::new(tokens, bases, native, hops_max)
    }
}

const NO_SLOT: u32 = u32::MAX;

/// A universe as the search walks it.
#[derive(Debug)]
pub struct CycleIndex {
    slots: Vec<Slot>,
    slot_of_pool: Vec<u32>,
    /// First slot of each pair, and one more.
    pair_slots: Vec<u32>,
    pairs: Vec<[TokenId; 2]>,
    pub(super) map: Map,
    pub(super) paths: Paths,
    bases: Vec<TokenId>,
    hops_max: usize,
    is_empty: bool,
}

impl CycleIndex {
    /// The index of a graph.
    #[must_use]
    #[cold]
    pub fn build(graph: &Graph) -> Self {
        let (pairs, slots, pair_slots) = group(graph);
        let mut slot_of_pool = vec![NO_SLOT; graph.tokens.len()];
        for (place, slot) in (0_u32..).zip(&slots) {
            slot_of_pool[slot.pool.index()] = place;
        }
        let map = Map::of(&pairs, graph);
        let paths = Paths::of(&map, graph.hops_max);
        let has_return = (0..pairs.len()).any(|pair| {
            let has_base = map.ends(pair).iter().any(|node| map.base_rank(*node).is_some());
            has_base && pair_slots[pair + 1] - pair_slots[pair] >= 2
        });
        let is_empty = !has_return && !map.has_cycle(graph.hops_max);
        Self {
            slots,
            slot_of_pool,
            pair_slots,
            pairs,
            map,
            paths,
            bases: graph.bases.clone(),
            hops_max: graph.hops_max,
            is_empty,
        }
    }

    /// Whether there is no cycle at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The longest cycle that is found, in swaps.
    #[must_use]
    pub const fn hops_max(&self) -> usize {
        self.hops_max
    }

    /// The base tokens, most preferred first.
    #[must_use]
    pub fn bases(&self) -> &[TokenId] {
        &self.bases
    }

    /// Paths from hub to hub that are kept up to date.
    #[must_use]
    pub const fn path_count(&self) -> usize {
        self.paths.count()
    }

    /// Tokens with so many neighbours that they are searched as hubs.
    #[must_use]
    pub const fn hub_count(&self) -> usize {
        self.map.hub_count()
    }

    /// Paths from hub to hub that did not fit: cycles along them are found only through a token
    /// between the hubs.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.paths.dropped()
    }

    /// Pairs of tokens that have a pool.
    #[must_use]
    pub const fn pair_count(&self) -> usize {
        self.pairs.len()
    }

    /// Pools that it knows: the first so many.
    pub(super) const fn pool_count(&self) -> usize {
        self.slot_of_pool.len()
    }

    pub(super) const fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Where a pool is; `None` if it was inserted after the index was built.
    #[inline]
    pub(super) fn slot_of(&self, pool: PoolId) -> Option<usize> {
        self.slot_of_pool.get(pool.index()).filter(|slot| **slot != NO_SLOT).map(|s| *s as usize)
    }

    #[inline]
    pub(super) fn slot(&self, slot: usize) -> Slot {
        self.slots[slot]
    }

    #[inline]
    pub(super) fn slots_of(&self, pair: usize) -> Range<usize> {
        self.pair_slots[pair] as usize..self.pair_slots[pair + 1] as usize
    }

    /// The edge from one token to another, if they have a pool. Not for the hot path.
    pub(super) fn edge(&self, from: TokenId, to: TokenId) -> Option<Edge> {
        let key = [from.min(to), from.max(to)];
        let pair = self.pairs.iter().position(|pair| *pair == key)?;
        Some(Edge::new(pair, from > to))
    }
}

/// Pairs with their tokens (lower first), slots pair by pair, and each pair's first slot. Pairs
/// come in the order of their first pool.
#[cold]
fn group(graph: &Graph) -> (Vec<[TokenId; 2]>, Vec<Slot>, Vec<u32>) {
    let mut order: Vec<([TokenId; 2], PoolId)> = Vec::with_capacity(graph.tokens.len());
    order.extend(
        (0..)
            .map(PoolId)
            .zip(&graph.tokens)
            .map(|(pool, [first, second])| ([*first.min(second), *first.max(second)], pool)),
    );
    order.sort_unstable();
    let mut groups: Vec<&[([TokenId; 2], PoolId)]> = Vec::with_capacity(order.len());
    groups.extend(order.chunk_by(|left, right| left.0 == right.0));
    groups.sort_unstable_by_key(|group| group[0].1);

    let mut pairs = Vec::with_capacity(groups.len());
    let mut slots = Vec::with_capacity(order.len());
    let mut pair_slots = Vec::with_capacity(groups.len() + 1);
    for (pair, group) in (0_u32..).zip(groups) {
        pairs.push(group[0].0);
        pair_slots.push(count(slots.len()));
        slots.extend(group.iter().map(|(tokens, pool)| {
            let is_flipped = graph.tokens[pool.index()][0] != tokens[0];
            Slot { pool: *pool, pair, is_flipped }
        }));
    }
    pair_slots.push(count(slots.len()));
    (pairs, slots, pair_slots)
}

/// A count as it is kept in the index.
pub(super) fn count(value: usize) -> u32 {
    // Bounded by the assertion in `Graph::new` and by the limits.
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(pools: &[[u32; 2]], bases: &[u32], hops_max: usize) -> CycleIndex {
        let bases: Vec<_> = bases.iter().copied().map(TokenId).collect();
        let tokens = pools.iter().map(|pair| pair.map(TokenId)).collect();
        CycleIndex::build(&Graph::new(tokens, &bases, TokenId(0), hops_max))
    }

    #[test]
    fn an_index_is_empty_if_no_cycle_leads_through_a_base() {
        assert!(index(&[], &[], 2).is_empty());
        assert!(index(&[[0, 1], [0, 1]], &[7], 4).is_empty());
        assert!(!index(&[[0, 1], [1, 0]], &[1], 2).is_empty(), "there and back");
        let triangle = [[0, 1], [1, 2], [2, 0], [2, 5]];
        assert!(index(&triangle, &[0], 2).is_empty());
        assert!(index(&triangle, &[5], 3).is_empty(), "the base is not on it");
        assert!(!index(&triangle, &[0], 3).is_empty());
        let square = [[0, 1], [1, 2], [2, 3], [3, 0]];
        assert!(index(&square, &[0], 3).is_empty());
        assert!(!index(&square, &[0], 4).is_empty());
        let pentagon = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 0]];
        assert!(index(&pentagon, &[0], 4).is_empty());
    }

    #[test]
    fn pools_of_a_pair_lie_side_by_side_whichever_way_round_their_tokens_are() {
        let index = index(&[[0, 1], [2, 1], [1, 0]], &[0], 4);
        assert_eq!(index.pair_count(), 2);
        let pools: Vec<_> = index.slots_of(0).map(|slot| index.slot(slot).pool).collect();
        assert_eq!(pools, [PoolId(0), PoolId(2)]);
        assert_eq!(index.slot(1).direction(0), Direction::OneForZero);
        assert_eq!(index.slot_of(PoolId(3)), None);
    }
}
