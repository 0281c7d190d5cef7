//! Finds the cycles that pay through the pools that moved.
//!
//! ```text
//! touched pools ─► pairs ─► token cycles whose best prices multiply to more than 1   (floats)
//!                    └────► pools along them, best curve first                       (floats)
//!                             └────► best input                                      (integers)
//! ```
//!
//! A strategy owns a [`Searcher`]: built cold from the universe, refreshed with the pools that
//! moved, asked with the same list. It finds cycles that lead through at least one of these pools.
//!
//! Invariants: floats choose, integers decide, and every amount of a [`Found`] is the pools' own
//! quote; a token cycle is looked at once per search; quarantined pools are never used; memory is
//! taken when the searcher is built.
//!
//! Temperature: hot.

pub mod cycles;
pub mod mobius;
mod prices;
pub mod sizing;

use alloc::vec;
use alloc::vec::Vec;

use self::cycles::{CycleIndex, Edge, TokenCycle};
use self::prices::Prices;
use self::sizing::{Hop, best_input};
use crate::amm::Mobius;
use crate::ids::{Direction, PoolId, StrategyId, TokenId};
use crate::limits::{BASE_TOKENS_MAX, HOPS_MAX, PLANS_MAX, TOUCHED_MAX};
use crate::plan::{Bid, Leg, Plan};
use crate::units::{BlockNumber, Wei};
use crate::world::World;
use crate::world::pools::PoolTable;

/// Cycles that one search sizes in integers; those of the highest estimated value are kept.
pub const FOUND_MAX: usize = PLANS_MAX;
/// Combinations of pools that are tried along one token cycle.
const COMBINATIONS_MAX: u32 = 1_024;
/// A token cycle whose best prices multiply to less cannot pay. Below 1 by more than the rounding
/// of eight f64 operations, so that none is missed.
const PRICE_LEAST: f64 = 1.0 - 1e-12;
/// What a base token without a pool with the native one counts for, when cycles are ranked.
const PRICE_UNKNOWN: f64 = 1e-30;

/// A cycle that pays, with exact amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The swaps; the first `leg_count` count.
    pub legs: [Leg; HOPS_MAX],
    /// How many of `legs` are used.
    pub leg_count: u8,
    /// The token that goes in first and comes out last.
    pub profit_token: TokenId,
    /// What goes into the first leg.
    pub amount_in: u128,
    /// What comes out of the last leg, less `amount_in`.
    pub profit: u128,
    /// What the same pools would have gained before the moves of [`Searcher::suppose`], estimated;
    /// equal to about `profit` when nothing is supposed.
    pub profit_before: u128,
}

impl Found {
    /// The swaps.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs[..usize::from(self.leg_count).min(HOPS_MAX)]
    }

    /// The plan to take it, valued in native wei by an exact quote; `None` if the profit token has
    /// no pool with the native one that can take it.
    #[must_use]
    pub fn plan(&self, world: &World, bid: Bid, last_block: BlockNumber) -> Option<Plan> {
        let worth = native_value(&world.pools, world.native, self.profit_token, self.profit)?;
        Some(Plan {
            // Set by `Plans::propose`.
            strategy: StrategyId(0),
            legs: self.legs,
            leg_count: self.leg_count,
            profit_token: self.profit_token,
            amount_in: self.amount_in,
            profit: self.profit,
            profit_wei: Wei(worth),
            bid,
            last_block,
        })
    }
}

/// What a search may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchLimits {
    /// The most that may go into a cycle, per base token in order of preference.
    pub amount_in_max: [u128; BASE_TOKENS_MAX],
}

impl SearchLimits {
    /// No limit but the pools' depth.
    pub const NONE: Self = Self { amount_in_max: [u128::MAX; BASE_TOKENS_MAX] };
}

/// What searches did since the searcher was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchCounts {
    /// Token cycles screened, each direction by itself.
    pub screened: u64,
    /// Of those, expanded to pools.
    pub expanded: u64,
    /// Expansions that stopped at the limit of combinations.
    pub cut_short: u64,
    /// Cycles sized in integers.
    pub sized: u64,
}

/// A cycle of pools by its estimated worth, before it is sized.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    slots: [u32; HOPS_MAX],
    /// Per hop, the side of its edge.
    sides: [u8; HOPS_MAX],
    hop_count: u8,
    base_rank: u8,
    /// Estimated gain in the base token, and in native.
    profit: f64,
    worth: f64,
}

impl Candidate {
    const NONE: Self = Self {
        slots: [0; HOPS_MAX],
        sides: [0; HOPS_MAX],
        hop_count: 0,
        base_rank: 0,
        profit: 0.0,
        worth: 0.0,
    };
}

/// Finds cycles. One per strategy; memory is taken by [`Searcher::new`].
#[derive(Debug)]
pub struct Searcher {
    index: CycleIndex,
    prices: Prices,
    bases: Vec<TokenId>,
    /// Per base, the edge to the native token.
    to_native: Vec<ToNative>,
    /// The round in which a slot was touched, a pair visited, a cycle evaluated.
    touched_in: Vec<u32>,
    visited_in: Vec<u32>,
    evaluated_in: Vec<u32>,
    round: u32,
    candidates: [Candidate; FOUND_MAX],
    candidate_count: usize,
    counts: SearchCounts,
}

/// How a base token becomes native.
#[derive(Clone, Copy, Debug)]
enum ToNative {
    /// It is the wrapped native token.
    Same,
    /// Along this edge.
    Along(Edge),
    /// There is no direct pool.
    Unknown,
}

impl Searcher {
    /// A searcher over the pools as they are now, for cycles of two to `hops_max` swaps that start
    /// at one of `bases` (most preferred first, [`BASE_TOKENS_MAX`] at most).
    ///
    /// # Panics
    /// When `hops_max` is not between 2 and [`HOPS_MAX`]: the configuration is checked earlier.
    #[must_use]
    #[cold]
    pub fn new(pools: &PoolTable, bases: &[TokenId], native: TokenId, hops_max: usize) -> Self {
        let bases = &bases[..bases.len().min(BASE_TOKENS_MAX)];
        let index = CycleIndex::build(pools, bases, hops_max);
        let mut to_native = Vec::with_capacity(bases.len());
        to_native.extend(bases.iter().map(|base| match index.edge(*base, native) {
            _ if *base == native => ToNative::Same,
            Some(edge) => ToNative::Along(edge),
            None => ToNative::Unknown,
        }));
        Self {
            prices: Prices::new(&index, pools),
            bases: bases.into(),
            to_native,
            touched_in: vec![0; index.slot_count()],
            visited_in: vec![0; index.pair_count()],
            evaluated_in: vec![0; index.len()],
            round: 0,
            candidates: [Candidate::NONE; FOUND_MAX],
            candidate_count: 0,
            counts: SearchCounts::default(),
            index,
        }
    }

    /// The index that is searched.
    #[must_use]
    pub const fn index(&self) -> &CycleIndex {
        &self.index
    }

    /// What searches did so far.
    #[must_use]
    pub const fn counts(&self) -> &SearchCounts {
        &self.counts
    }

    /// Reads the pools that moved, or that were quarantined or released. Every move must be told
    /// before the next search, moves back (a reorg) included. What was supposed is taken back.
    /// A list of [`TOUCHED_MAX`] pools stands for all of them.
    pub fn refresh(&mut self, pools: &PoolTable, touched: &[PoolId]) {
        self.restore();
        let moved = if touched.len() < TOUCHED_MAX { touched } else { pools.ids() };
        self.prices.refresh(&self.index, pools, moved);
    }

    /// Reads pools that a pending transaction would move. Search, then [`Searcher::restore`].
    pub fn suppose(&mut self, pools: &PoolTable, touched: &[PoolId]) {
        self.prices.suppose(&self.index, pools, touched);
    }

    /// Takes back what was supposed.
    pub fn restore(&mut self) {
        self.prices.restore(&self.index);
    }

    /// Limits under which no input is worth more than `worth`. A base token that has no pool with
    /// the native one cannot be valued, so nothing may go in.
    #[must_use]
    pub fn limits_worth(&self, worth: Wei) -> SearchLimits {
        let mut limits = SearchLimits { amount_in_max: [0; BASE_TOKENS_MAX] };
        for (amount, way) in limits.amount_in_max.iter_mut().zip(&self.to_native) {
            *amount = match way {
                ToNative::Same => worth.0,
                // A price of 0 gives infinity, but then no cycle can be valued either.
                ToNative::Along(edge) => whole(float(worth.0) / self.prices.best(*edge)),
                ToNative::Unknown => 0,
            };
        }
        limits
    }

    /// Reports the cycles through at least one `touched` pool that pay, the most valuable first by
    /// estimate, [`FOUND_MAX`] at most, and one per token cycle and direction. A list of
    /// [`TOUCHED_MAX`] pools stands for all of them.
    pub fn search(
        &mut self,
        pools: &PoolTable,
        touched: &[PoolId],
        limits: &SearchLimits,
        found: &mut impl FnMut(&Found),
    ) {
        let touched = if touched.len() < TOUCHED_MAX { touched } else { pools.ids() };
        self.start_round(touched);
        for pool in touched {
            let Some(slot) = self.index.slot_of(*pool) else { continue };
            let pair = self.index.slot(slot).pair as usize;
            if self.visited_in[pair] != self.round {
                self.visited_in[pair] = self.round;
                self.screen(pair, limits);
            }
        }
        for place in 0..self.candidate_count {
            if let Some(cycle) = self.size(pools, &self.candidates[place], limits) {
                found(&cycle);
            }
            self.counts.sized += 1;
        }
    }

    fn start_round(&mut self, touched: &[PoolId]) {
        self.candidate_count = 0;
        self.round = match self.round.checked_add(1) {
            Some(round) => round,
            None => {
                self.touched_in.fill(0);
                self.visited_in.fill(0);
                self.evaluated_in.fill(0);
                1
            }
        };
        for pool in touched {
            if let Some(slot) = self.index.slot_of(*pool) {
                self.touched_in[slot] = self.round;
            }
        }
    }

    /// Looks at every token cycle through a pair, in both directions.
    fn screen(&mut self, pair: usize, limits: &SearchLimits) {
        for place in 0..self.index.entries_of(pair).len() {
            let entry = self.index.entries_of(pair)[place];
            let own = Edge::of(pair, entry.side());
            let price = |turn: fn(Edge) -> Edge| {
                let others = entry.others.iter().map(|edge| self.prices.best(turn(*edge)));
                others.fold(self.prices.best(turn(own)), |price, best| price * best)
            };
            let is_open = [price(|edge| edge), price(Edge::reversed)].map(|p| p > PRICE_LEAST);
            self.counts.screened += 2;
            if is_open == [false; 2] || self.evaluated_in[entry.cycle()] == self.round {
                continue;
            }
            self.evaluated_in[entry.cycle()] = self.round;
            let cycle = *self.index.cycle(entry.cycle());
            if is_open[0] {
                self.expand(&cycle, limits);
            }
            // There and back is the same token cycle in both directions.
            if is_open[1] && cycle.hop_count > 2 {
                self.expand(&cycle.reversed(), limits);
            }
        }
    }

    /// Chooses the pools along a token cycle that would gain most, and remembers them.
    fn expand(&mut self, cycle: &TokenCycle, limits: &SearchLimits) {
        self.counts.expanded += 1;
        let mut expansion = Expansion::new(self, cycle, limits);
        expansion.extend(0, Mobius::IDENTITY, false);
        let (best, is_cut_short) = (expansion.best, expansion.combinations == 0);
        self.counts.cut_short += u64::from(is_cut_short);
        let Some(mut best) = best else { return };
        best.worth = best.profit * self.native_price(best.base_rank);
        self.remember(&best);
    }

    /// Native per unit of a base token, by the best pool; for ranking only.
    fn native_price(&self, base_rank: u8) -> f64 {
        match self.to_native[usize::from(base_rank)] {
            ToNative::Same => 1.0,
            ToNative::Along(edge) => self.prices.best(edge),
            ToNative::Unknown => PRICE_UNKNOWN,
        }
    }

    fn remember(&mut self, candidate: &Candidate) {
        let held = &self.candidates[..self.candidate_count];
        let rank = held.partition_point(|held| held.worth >= candidate.worth);
        if rank == FOUND_MAX {
            return;
        }
        self.candidate_count = (self.candidate_count + 1).min(FOUND_MAX);
        self.candidates[rank..self.candidate_count].rotate_right(1);
        self.candidates[rank] = *candidate;
    }

    /// The exact best of a candidate.
    fn size(&self, pools: &PoolTable, chosen: &Candidate, limits: &SearchLimits) -> Option<Found> {
        let mut legs = [Leg::NONE; HOPS_MAX];
        let mut before = Mobius::IDENTITY;
        let hop_count = usize::from(chosen.hop_count).min(HOPS_MAX);
        for (hop, leg) in legs.iter_mut().enumerate().take(hop_count) {
            let (slot, side) = (chosen.slots[hop] as usize, usize::from(chosen.sides[hop]));
            before = before.then(self.prices.curve_before(slot, side));
            let held = self.index.slot(slot);
            (leg.pool, leg.direction) = (held.pool, held.direction(side));
        }
        let legs = &mut legs[..];
        let hop_of = |leg: &Leg| Hop { pool: pools.view(leg.pool), direction: leg.direction };
        let first = hop_of(&legs[0]);
        let mut hops = [first; HOPS_MAX];
        for (hop, leg) in hops.iter_mut().zip(&*legs).take(hop_count) {
            *hop = hop_of(leg);
        }
        let base_rank = usize::from(chosen.base_rank);
        let amount_in_max = limits.amount_in_max[base_rank];
        let sizing = best_input(&hops[..hop_count], amount_in_max)?;
        let mut amount = sizing.amount_in;
        for (leg, out) in legs.iter_mut().zip(sizing.amounts_out).take(hop_count) {
            (leg.amount_in, leg.amount_out) = (amount, out);
            amount = out;
        }
        Some(Found {
            legs: core::array::from_fn(|hop| legs[hop]),
            leg_count: chosen.hop_count,
            profit_token: self.bases[base_rank],
            amount_in: sizing.amount_in,
            profit: sizing.profit,
            profit_before: whole(before.best_profit(float(amount_in_max))),
        })
    }
}

/// The choice of pools along one token cycle.
struct Expansion<'s> {
    searcher: &'s Searcher,
    cycle: &'s TokenCycle,
    amount_in_max: f64,
    /// The best that the hops from each place on could do to the price.
    rest: [f64; HOPS_MAX + 1],
    slots: [u32; HOPS_MAX],
    best: Option<Candidate>,
    /// Combinations that may still be tried.
    combinations: u32,
}

impl<'s> Expansion<'s> {
    fn new(searcher: &'s Searcher, cycle: &'s TokenCycle, limits: &SearchLimits) -> Self {
        let mut rest = [1.0; HOPS_MAX + 1];
        for hop in (0..HOPS_MAX).rev() {
            rest[hop] = rest[hop + 1] * searcher.prices.best(cycle.edges[hop]);
        }
        Self {
            searcher,
            cycle,
            amount_in_max: float(limits.amount_in_max[usize::from(cycle.base_rank)]),
            rest,
            slots: [0; HOPS_MAX],
            best: None,
            combinations: COMBINATIONS_MAX,
        }
    }

    /// Tries every pool as hop number `hop` that can still lead to a price above 1.
    fn extend(&mut self, hop: usize, so_far: Mobius, has_touched: bool) {
        if hop == usize::from(self.cycle.hop_count) {
            if has_touched {
                self.close(so_far);
            }
            return;
        }
        let edge = self.cycle.edges[hop];
        for slot in self.searcher.index.slots_of(edge.pair()) {
            let curve = self.searcher.prices.curve(slot, edge.side());
            let is_hopeless = so_far.gain * curve.gain * self.rest[hop + 1] < PRICE_LEAST;
            // Only a two-hop cycle meets a pair twice.
            let is_used = hop == 1 && self.cycle.hop_count == 2 && self.slots[0] as usize == slot;
            if is_hopeless || is_used || self.combinations == 0 {
                continue;
            }
            // Slots are counted in u32 when the index is built.
            self.slots[hop] = u32::try_from(slot).unwrap_or(0);
            let is_touched = self.searcher.touched_in[slot] == self.searcher.round;
            self.extend(hop + 1, so_far.then(curve), has_touched || is_touched);
        }
    }

    fn close(&mut self, curve: Mobius) {
        self.combinations -= 1;
        let profit = curve.best_profit(self.amount_in_max);
        if profit > self.best.map_or(0.0, |best| best.profit) {
            let (slots, cycle) = (self.slots, self.cycle);
            // A side is 0 or 1.
            let sides = cycle.edges.map(|edge| u8::from(edge.side() == 1));
            let (hop_count, base_rank) = (cycle.hop_count, cycle.base_rank);
            self.best = Some(Candidate { slots, sides, hop_count, base_rank, profit, worth: 0.0 });
        }
    }
}

/// What `amount` of `token` gives in `native` through the single best pool of the two, exactly;
/// `None` if there is none that can.
#[must_use]
pub fn native_value(
    pools: &PoolTable,
    native: TokenId,
    token: TokenId,
    amount: u128,
) -> Option<u128> {
    if token == native {
        return Some(amount);
    }
    let quotes = pools.pools_of_pair(token, native).iter().filter_map(|pool| {
        let entry = pools.get(*pool);
        let direction =
            if entry.tokens[0] == token { Direction::ZeroForOne } else { Direction::OneForZero };
        if entry.is_quarantined { None } else { pools.view(*pool).quote_out(amount, direction) }
    });
    quotes.max()
}

/// The integer part, saturating.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is meant")]
const fn whole(value: f64) -> u128 {
    value as u128
}

#[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
const fn float(value: u128) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
