//! The index of cycles: which token cycles lead through a pair, and which pools a pair has.
//!
//! Built cold from the pool table, read hot by the [`Searcher`](super::Searcher). A *pair* is two
//! tokens with at least one pool; an *edge* is a pair with a direction. A cycle starts and ends at
//! the most preferred base token on it; it is kept once and screened in both directions.
//!
//! ```text
//! pool ─► slot ─► pair ─► its slots (pools side by side)
//!                   └───► its entries: the other edges of every cycle through it
//! ```
//!
//! Invariants: flat arrays, never changed after [`CycleIndex::build`]; tokens of a cycle are
//! distinct, so only a two-hop cycle meets a pair twice; at most [`CYCLES_MAX`] cycles, shortest
//! first, and what did not fit is counted.
//!
//! Temperature: cold.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::ids::{Direction, PoolId, TokenId};
use crate::limits::{CYCLES_MAX, HOPS_MAX};
use crate::world::pools::PoolTable;

/// A pair with a direction: twice the pair's index, plus 1 from the higher token to the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge(pub(super) u32);

impl Edge {
    const fn new(pair: usize, is_downward: bool) -> Self {
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

/// A token cycle, in the direction in which it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenCycle {
    /// Its edges in order; places past `hop_count` hold the edge whose price is always 1.
    pub(super) edges: [Edge; HOPS_MAX],
    pub(super) hop_count: u8,
    /// The place of its first token among the bases.
    pub(super) base_rank: u8,
}

impl TokenCycle {
    /// The same tokens the other way round, from the same first token.
    pub(super) fn reversed(&self) -> Self {
        let mut turned = *self;
        let hops = &mut turned.edges[..usize::from(self.hop_count).min(HOPS_MAX)];
        hops.reverse();
        for edge in hops {
            *edge = edge.reversed();
        }
        turned
    }
}

/// A cycle as seen from one pair on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its edges other than this pair's.
    pub(super) others: [Edge; HOPS_MAX - 1],
    /// Twice the cycle's index, plus the side in which it meets this pair.
    cycle_and_side: u32,
}

impl Entry {
    pub(super) const fn cycle(self) -> usize {
        (self.cycle_and_side >> 1) as usize
    }

    pub(super) const fn side(self) -> usize {
        (self.cycle_and_side & 1) as usize
    }
}

const _: () = assert!(CYCLES_MAX <= 1 << 30, "an entry keeps a cycle's index in 31 bits");
const _: () = assert!(size_of::<Entry>() == 4 * HOPS_MAX, "four entries to a cache line");

/// Steps after which the build stops counting what did not fit.
const STEPS_MAX: u64 = 1 << 28;
const NO_SLOT: u32 = u32::MAX;

/// Every cycle of a universe, by the pairs on it.
#[derive(Debug)]
pub struct CycleIndex {
    slots: Vec<Slot>,
    slot_of_pool: Vec<u32>,
    /// First slot of each pair, and one more.
    pair_slots: Vec<u32>,
    cycles: Vec<TokenCycle>,
    entries: Vec<Entry>,
    /// First entry of each pair, and one more.
    pair_entries: Vec<u32>,
    pairs: Vec<[TokenId; 2]>,
    dropped: u64,
}

impl CycleIndex {
    /// Every cycle of two to `hops_max` swaps that starts at one of `bases`.
    ///
    /// # Panics
    /// When `hops_max` is not between 2 and [`HOPS_MAX`]: the configuration is checked earlier.
    #[must_use]
    #[cold]
    pub fn build(pools: &PoolTable, bases: &[TokenId], hops_max: usize) -> Self {
        assert!((2..=HOPS_MAX).contains(&hops_max), "a cycle has two to HOPS_MAX swaps");
        assert!(pools.len() < 1 << 30, "an edge is a u32");
        let (pairs, slots, pair_slots) = group(pools);
        let mut slot_of_pool = vec![NO_SLOT; pools.len()];
        for (place, slot) in (0_u32..).zip(&slots) {
            slot_of_pool[slot.pool.index()] = place;
        }
        let graph = Graph::new(&pairs, bases, &pair_slots);
        let (cycles, dropped) = graph.cycles(hops_max);
        let (entries, pair_entries) = by_pair(&cycles, pairs.len());
        Self { slots, slot_of_pool, pair_slots, cycles, entries, pair_entries, pairs, dropped }
    }

    /// How many token cycles there are, either direction counting as the same.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.cycles.len()
    }

    /// Whether there is no cycle.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cycles.is_empty()
    }

    /// Cycles that did not fit, at least: counting stops after a while.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) const fn pair_count(&self) -> usize {
        self.pairs.len()
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

    #[inline]
    pub(super) fn entries_of(&self, pair: usize) -> &[Entry] {
        &self.entries[self.pair_entries[pair] as usize..self.pair_entries[pair + 1] as usize]
    }

    #[inline]
    pub(super) fn cycle(&self, cycle: usize) -> &TokenCycle {
        &self.cycles[cycle]
    }

    /// The edge from one token to another, if they have a pool. Not for the hot path.
    pub(super) fn edge(&self, from: TokenId, to: TokenId) -> Option<Edge> {
        let key = [from.min(to), from.max(to)];
        let pair = self.pairs.iter().position(|pair| *pair == key)?;
        Some(Edge::new(pair, from > to))
    }
}

/// Pairs with their tokens (lower first), slots pair by pair, and each pair's first slot. Pairs
/// come in the order of their first pool: where pools are ranked, so are cycles.
#[cold]
fn group(pools: &PoolTable) -> (Vec<[TokenId; 2]>, Vec<Slot>, Vec<u32>) {
    let tokens_of = |id: PoolId| {
        let [first, second] = pools.get(id).tokens;
        [first.min(second), first.max(second)]
    };
    let mut order: Vec<([TokenId; 2], PoolId)> = Vec::with_capacity(pools.len());
    order.extend(pools.ids().iter().map(|id| (tokens_of(*id), *id)));
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
            let is_flipped = pools.get(*pool).tokens[0] != tokens[0];
            Slot { pool: *pool, pair, is_flipped }
        }));
    }
    pair_slots.push(count(slots.len()));
    (pairs, slots, pair_slots)
}

/// The entries, pair by pair, and each pair's first.
#[cold]
fn by_pair(cycles: &[TokenCycle], pair_count: usize) -> (Vec<Entry>, Vec<u32>) {
    let none = Edge::new(pair_count, false);
    let mut starts = vec![0_u32; pair_count + 1];
    for cycle in cycles {
        for edge in met(cycle) {
            starts[edge.pair() + 1] += 1;
        }
    }
    for pair in 0..pair_count {
        starts[pair + 1] += starts[pair];
    }
    let empty = Entry { others: [none; HOPS_MAX - 1], cycle_and_side: 0 };
    let mut entries = vec![empty; starts[pair_count] as usize];
    let mut next = starts.clone();
    for (index, cycle) in (0_u32..).zip(cycles) {
        for (place, edge) in met(cycle).iter().enumerate() {
            let mut entry = Entry { cycle_and_side: (index << 1) | (edge.0 & 1), ..empty };
            let others = cycle.edges.iter().enumerate().filter(|(other, _)| *other != place);
            for (held, (_, other)) in entry.others.iter_mut().zip(others) {
                *held = *other;
            }
            entries[next[edge.pair()] as usize] = entry;
            next[edge.pair()] += 1;
        }
    }
    (entries, starts)
}

/// The edges by which a cycle is listed: a two-hop cycle meets its pair twice, but is listed once.
fn met(cycle: &TokenCycle) -> &[Edge] {
    let listed = if cycle.hop_count == 2 { 1 } else { usize::from(cycle.hop_count) };
    &cycle.edges[..listed]
}

/// A count as it is kept in the index.
fn count(value: usize) -> u32 {
    // Bounded by the assertions in `build`.
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The tokens as nodes, for the enumeration only.
#[derive(Debug)]
struct Graph<'a> {
    bases: &'a [TokenId],
    pair_slots: &'a [u32],
    pair_count: usize,
    /// Edges that leave a token, token by token, with where they lead.
    leaving: Vec<(TokenId, Edge)>,
    starts: Vec<u32>,
}

/// A walk from a base token.
#[derive(Debug)]
struct Walk {
    cycles: Vec<TokenCycle>,
    dropped: u64,
    steps: u64,
    /// The edge from each token to the base at which the walk started, if there is one.
    closing: Vec<Option<Edge>>,
    is_on_path: Vec<bool>,
    path: [Edge; HOPS_MAX],
    base_rank: u8,
}

impl<'a> Graph<'a> {
    #[cold]
    fn new(pairs: &[[TokenId; 2]], bases: &'a [TokenId], pair_slots: &'a [u32]) -> Self {
        let named = pairs.iter().flatten().chain(bases);
        let token_count = named.map(|token| token.index() + 1).max().unwrap_or(0);
        let mut starts = vec![0_u32; token_count + 1];
        for token in pairs.iter().flatten() {
            starts[token.index() + 1] += 1;
        }
        for token in 0..token_count {
            starts[token + 1] += starts[token];
        }
        let mut leaving = vec![(TokenId(0), Edge(0)); pairs.len() * 2];
        let mut next = starts.clone();
        for (pair, [low, high]) in pairs.iter().enumerate() {
            for (from, to, is_downward) in [(low, high, false), (high, low, true)] {
                let place = &mut next[from.index()];
                leaving[*place as usize] = (*to, Edge::new(pair, is_downward));
                *place += 1;
            }
        }
        Self { bases, pair_slots, pair_count: pairs.len(), leaving, starts }
    }

    fn leaving(&self, token: TokenId) -> &[(TokenId, Edge)] {
        let token = token.index();
        &self.leaving[self.starts[token] as usize..self.starts[token + 1] as usize]
    }

    /// Every cycle, shortest first, and how many did not fit.
    #[cold]
    fn cycles(&self, hops_max: usize) -> (Vec<TokenCycle>, u64) {
        let token_count = self.starts.len() - 1;
        let none = Edge::new(self.pair_count, false);
        let mut walk = Walk {
            cycles: Vec::new(),
            dropped: 0,
            steps: 0,
            closing: Vec::new(),
            is_on_path: Vec::new(),
            path: [none; HOPS_MAX],
            base_rank: 0,
        };
        for hop_count in 2..=hops_max {
            walk.is_on_path.clear();
            walk.is_on_path.resize(token_count, false);
            for (rank, base) in (0_u8..).zip(self.bases) {
                walk.base_rank = rank;
                walk.closing.clear();
                walk.closing.resize(token_count, None);
                for (token, edge) in self.leaving(*base) {
                    walk.closing[token.index()] = Some(edge.reversed());
                }
                // Stays set: cycles through this base start at it, not at a less preferred one.
                walk.is_on_path[base.index()] = true;
                self.extend(&mut walk, *base, 0, hop_count);
            }
        }
        (walk.cycles, walk.dropped)
    }

    /// Takes every edge from `token` as hop number `hop`, and the last hop back to the base.
    fn extend(&self, walk: &mut Walk, token: TokenId, hop: usize, hop_count: usize) {
        if hop + 1 == hop_count {
            if let Some(edge) = walk.closing[token.index()] {
                walk.path[hop] = edge;
                self.close(walk, hop_count);
            }
            return;
        }
        for (to, edge) in self.leaving(token) {
            walk.steps += 1;
            if walk.is_on_path[to.index()] || walk.steps > STEPS_MAX {
                continue;
            }
            walk.path[hop] = *edge;
            walk.is_on_path[to.index()] = true;
            self.extend(walk, *to, hop + 1, hop_count);
            walk.is_on_path[to.index()] = false;
        }
    }

    fn close(&self, walk: &mut Walk, hop_count: usize) {
        let (first, last) = (walk.path[0].pair(), walk.path[hop_count - 1].pair());
        let is_wanted = if hop_count == 2 {
            // There and back needs two pools.
            self.pair_slots[first + 1] - self.pair_slots[first] >= 2
        } else {
            // Of its two directions.
            first < last
        };
        if !is_wanted {
            return;
        }
        if walk.cycles.len() == CYCLES_MAX {
            walk.dropped += 1;
            return;
        }
        let none = Edge::new(self.pair_count, false);
        let mut edges = walk.path;
        edges[hop_count..].fill(none);
        let hop_count = u8::try_from(hop_count).unwrap_or(0);
        walk.cycles.push(TokenCycle { edges, hop_count, base_rank: walk.base_rank });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amm::ConstantProduct;
    use crate::ids::FactoryId;
    use crate::world::pools::PoolEntry;

    use alloy_primitives::Address;

    fn table(pools: &[[u32; 2]]) -> PoolTable {
        let mut table = PoolTable::new(pools.len(), 0);
        for (place, tokens) in (0_u64..).zip(pools) {
            let mut address = Address::ZERO;
            address[..8].copy_from_slice(&place.to_be_bytes());
            let state = ConstantProduct::new([1_000, 1_000], 3_000).unwrap().into();
            let entry = PoolEntry::new(address, FactoryId(0), tokens.map(TokenId), state);
            table.insert(entry).unwrap();
        }
        table
    }

    fn counts(index: &CycleIndex) -> [usize; 3] {
        [2, 3, 4].map(|hops| index.cycles.iter().filter(|c| c.hop_count == hops).count())
    }

    #[test]
    fn a_pair_with_two_pools_is_a_cycle_and_with_one_is_not() {
        let index = CycleIndex::build(&table(&[[0, 1], [1, 0], [0, 2]]), &[TokenId(0)], 4);
        assert_eq!(counts(&index), [1, 0, 0]);
        assert_eq!((index.entries_of(0).len(), index.entries_of(1).len()), (1, 0));
    }

    #[test]
    fn a_cycle_starts_at_its_most_preferred_base_and_is_kept_once() {
        // A complete graph of four tokens: four triangles, three squares.
        let pools = table(&[[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        let all = [TokenId(2), TokenId(0), TokenId(1), TokenId(3)];
        let index = CycleIndex::build(&pools, &all, 4);
        assert_eq!(counts(&index), [0, 4, 3]);
        let from = |rank| index.cycles.iter().filter(|cycle| cycle.base_rank == rank).count();
        assert_eq!([from(0), from(1), from(2), from(3)], [6, 1, 0, 0]);
        let one = CycleIndex::build(&pools, &all[..1], 4);
        assert_eq!(counts(&one), [0, 3, 3]);
        assert_eq!(counts(&CycleIndex::build(&pools, &all[..1], 3)), [0, 3, 0]);
        // Each pair lists the cycles through it.
        assert_eq!((0..6).map(|pair| index.entries_of(pair).len()).sum::<usize>(), 4 * 3 + 3 * 4);
    }

    #[test]
    fn a_universe_without_its_bases_has_no_cycle() {
        let index = CycleIndex::build(&table(&[[0, 1], [0, 1]]), &[TokenId(7)], 4);
        assert!(index.is_empty());
        assert!(CycleIndex::build(&table(&[]), &[], 2).is_empty());
    }
}
