//! Finds the cycles that pay through the pools that moved.
//!
//! ```text
//! touched pools ─► pairs ─► token cycles whose best prices multiply to more than 1   (floats)
//!                    └────► pools along them, most promising first                   (floats)
//!                             └────► best input                                      (integers)
//! ```
//!
//! A strategy owns a [`Searcher`]: built cold from the universe, refreshed with the pools that
//! moved, asked with the same list. It finds cycles that lead through at least one of these pools.
//! When the universe has grown, it is given [`Tables`] of the new one: it fills them a few pools at
//! a time beside its own, and changes over when they are full.
//!
//! Invariants: floats choose, integers decide, and every amount of a [`Found`] is the pools' own
//! quote; a token cycle is looked at once per search; quarantined pools are never used; memory is
//! taken when the searcher is built.
//!
//! Temperature: hot.

pub mod cycles;
mod expand;
mod filling;
mod lack;
mod map;
pub mod mobius;
mod paths;
mod prices;
mod returns;
pub mod route;
mod screen;
mod shortlist;
pub mod sizing;
mod weigh;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use self::cycles::{CycleIndex, Edge, Graph};
use self::filling::Filling;
use self::prices::Prices;
use self::screen::{Marks, Screen};
use self::shortlist::{Candidate, Shortlist, float};
use self::sizing::{Hop, best_input};
use crate::amm::Mobius;
use crate::gas::worth_least;
use crate::ids::{Direction, PoolId, StrategyId, TokenId};
use crate::limits::{BASE_TOKENS_MAX, HOPS_MAX, PLANS_MAX, TOUCHED_MAX};
use crate::plan::{Bid, Leg, Plan};
use crate::units::{BlockNumber, Wei};
use crate::world::World;
use crate::world::pools::PoolTable;

/// Cycles that one search reports.
pub const FOUND_MAX: usize = PLANS_MAX;
/// Cycles of the highest estimated worth that are kept for that. A few more than are reported, for
/// rounding may leave nothing of some.
const CANDIDATES_MAX: usize = FOUND_MAX + 4;
/// Combinations of pools that are tried along one token cycle.
const COMBINATIONS_MAX: u32 = 1_024;
/// A token cycle whose best prices multiply to less cannot pay. Below 1 by more than the rounding
/// of eight f64 operations, so that none is missed.
const PRICE_LEAST: f64 = 1.0 - 1e-12;
/// A little more, for rounding.
const MORE: f64 = 1.0 + 1e-9;
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
            order: None,
        })
    }
}

/// What a search may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchLimits {
    /// The most that may go into a cycle, per base token in order of preference.
    pub amount_in_max: [u128; BASE_TOKENS_MAX],
    /// What a cycle must be worth so that it is reported, by its swaps. Dust that nobody takes
    /// keeps thousands of cycles open: this is what keeps a search through a hub short.
    pub worth_least: [Wei; HOPS_MAX + 1],
}

impl SearchLimits {
    /// No limit but the pools' depth.
    pub const NONE: Self =
        Self { amount_in_max: [u128::MAX; BASE_TOKENS_MAX], worth_least: [Wei(0); HOPS_MAX + 1] };

    /// The same, asking so much of every cycle.
    #[must_use]
    pub const fn asking(self, worth_least: Wei) -> Self {
        Self { worth_least: [worth_least; HOPS_MAX + 1], ..self }
    }

    /// The same, asking that a cycle can pay for the gas of its swaps at this base fee.
    #[must_use]
    pub fn paying_gas(self, base_fee: Wei) -> Self {
        let worth_least = core::array::from_fn(|hop_count| worth_least(base_fee, hop_count));
        Self { worth_least, ..self }
    }
}

/// What searches did since the searcher was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchCounts {
    /// Pairs screened.
    pub screened: u64,
    /// Token cycles that could pay by their best prices, but not what they must be worth, or less
    /// than the best that were known by then.
    pub outvalued: u64,
    /// Token cycles that were not looked at because their pair had too many that were open.
    pub skipped: u64,
    /// Token cycles expanded to pools.
    pub expanded: u64,
    /// Expansions that stopped at the limit of combinations.
    pub cut_short: u64,
    /// Cycles sized in integers.
    pub sized: u64,
}

/// Finds cycles. One per strategy; memory is taken by [`Searcher::new`].
#[derive(Debug)]
pub struct Searcher {
    tables: Box<Tables>,
    next: Option<Filling>,
    /// Tables that were replaced, until somebody frees them off the hot thread.
    spent: Option<Box<Tables>>,
    shortlist: Shortlist,
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

impl ToNative {
    fn price(self, prices: &Prices) -> f64 {
        match self {
            Self::Same => 1.0,
            Self::Along(edge) => prices.best(edge),
            Self::Unknown => PRICE_UNKNOWN,
        }
    }
}

/// What a search reads and marks: all that depends on which pools there are.
#[derive(Debug)]
pub struct Tables {
    index: CycleIndex,
    prices: Prices,
    marks: Marks,
    /// Slots to be screened, and by how much their prices rose.
    ranked: Vec<(f64, u32)>,
    /// Per base, the edge to the native token.
    to_native: [ToNative; BASE_TOKENS_MAX],
}

impl Tables {
    /// The tables of a graph, in which every pool is still closed.
    #[must_use]
    #[cold]
    pub fn build(graph: &Graph) -> Self {
        let index = CycleIndex::build(graph);
        let mut to_native = [ToNative::Unknown; BASE_TOKENS_MAX];
        for (way, base) in to_native.iter_mut().zip(index.bases()) {
            *way = match index.edge(*base, graph.native) {
                _ if *base == graph.native => ToNative::Same,
                Some(edge) => ToNative::Along(edge),
                None => ToNative::Unknown,
            };
        }
        Self {
            prices: Prices::new(&index, float(graph.worth_least.0)),
            marks: Marks {
                slots: vec![0; index.slot_count()],
                pairs: vec![0; index.pair_count()],
                screened: vec![0; index.pair_count()],
                round: 0,
                is_single: false,
            },
            to_native,
            ranked: Vec::with_capacity(index.slot_count() + TOUCHED_MAX),
            index,
        }
    }

    /// The index that is searched.
    #[must_use]
    pub const fn index(&self) -> &CycleIndex {
        &self.index
    }

    /// Reads the pools that moved; all of them at once if the list is full.
    fn refresh(&mut self, pools: &PoolTable, moved: &[PoolId]) {
        if moved.len() < TOUCHED_MAX {
            self.prices.refresh(&self.index, pools, moved);
        } else {
            self.load(pools);
        }
    }

    /// Reads all pools.
    fn load(&mut self, pools: &PoolTable) {
        let Self { index, prices, to_native, .. } = self;
        prices.load(index, pools, |prices, rank| to_native[rank].price(prices));
    }

    fn start_round(&mut self, touched: &[PoolId]) {
        let Marks { slots, pairs, screened, round, is_single } = &mut self.marks;
        *round = match round.checked_add(1) {
            Some(round) => round,
            None => {
                slots.fill(0);
                pairs.fill(0);
                screened.fill(0);
                1
            }
        };
        let mut pair_count = 0;
        for pool in touched {
            if let Some(slot) = self.index.slot_of(*pool) {
                slots[slot] = *round;
                let pair = &mut pairs[self.index.slot(slot).pair as usize];
                pair_count += usize::from(*pair != *round);
                *pair = *round;
            }
        }
        *is_single = pair_count == 1;
    }

    /// Puts the pools that moved farthest first: what they opened is the measure of the others.
    fn rank(&mut self, touched: &[PoolId]) {
        let Self { index, prices, ranked, .. } = self;
        ranked.clear();
        let slots = touched.iter().filter_map(|pool| index.slot_of(*pool));
        // Slots are counted in u32 when the index is built.
        ranked.extend(slots.map(|slot| (prices.leap(slot), u32::try_from(slot).unwrap_or(0))));
        if touched.len() < TOUCHED_MAX {
            ranked
                .sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        }
    }

    /// Native per unit of a base token, by the best pool; for ranking only.
    fn native_price(&self, base_rank: usize) -> f64 {
        self.to_native[base_rank].price(&self.prices)
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
            profit_token: self.index.bases()[base_rank],
            amount_in: sizing.amount_in,
            profit: sizing.profit,
            profit_before: whole(before.best_profit(float(amount_in_max))),
        })
    }
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
        Self::over(pools, &Graph::of(pools, bases, native, hops_max))
    }

    /// A searcher over the pools as they are now, which are those of `graph`.
    #[must_use]
    #[cold]
    pub fn over(pools: &PoolTable, graph: &Graph) -> Self {
        let mut tables = Box::new(Tables::build(graph));
        tables.load(pools);
        Self { tables, next: None, spent: None, shortlist: Shortlist::new() }
    }

    /// The index that is searched.
    #[must_use]
    pub const fn index(&self) -> &CycleIndex {
        &self.tables.index
    }

    /// What searches did so far.
    #[must_use]
    pub const fn counts(&self) -> &SearchCounts {
        &self.shortlist.counts
    }

    /// Reads the pools that moved, or that were quarantined or released. Every move must be told
    /// before the next search, moves back (a reorg) included. What was supposed is taken back.
    /// A list of [`TOUCHED_MAX`] pools stands for all of them.
    ///
    /// Gives the pools that are new to the search: those of a universe that has grown.
    pub fn refresh<'p>(&mut self, pools: &'p PoolTable, touched: &[PoolId]) -> &'p [PoolId] {
        self.restore();
        self.tables.refresh(pools, touched);
        self.refresh_next(pools, touched)
    }

    /// Reads pools that a pending transaction would move. Search, then [`Searcher::restore`].
    pub fn suppose(&mut self, pools: &PoolTable, touched: &[PoolId]) {
        self.tables.prices.suppose(&self.tables.index, pools, touched);
    }

    /// Takes back what was supposed.
    pub fn restore(&mut self) {
        self.tables.prices.restore(&self.tables.index);
    }

    /// Limits under which no input is worth more than `worth`. A base token that has no pool with
    /// the native one cannot be valued, so nothing may go in.
    #[must_use]
    pub fn limits_worth(&self, worth: Wei) -> SearchLimits {
        let mut limits = SearchLimits { amount_in_max: [0; BASE_TOKENS_MAX], ..SearchLimits::NONE };
        for (amount, way) in limits.amount_in_max.iter_mut().zip(&self.tables.to_native) {
            *amount = match way {
                ToNative::Same => worth.0,
                // A price of 0 gives infinity, but then no cycle can be valued either.
                ToNative::Along(edge) => whole(float(worth.0) / self.tables.prices.best(*edge)),
                ToNative::Unknown => 0,
            };
        }
        limits
    }

    /// Reports the cycles through at least one `touched` pool that pay, the most valuable first,
    /// [`FOUND_MAX`] at most, and one per token cycle and direction. A list of
    /// [`TOUCHED_MAX`] pools stands for all of them.
    pub fn search(
        &mut self,
        pools: &PoolTable,
        touched: &[PoolId],
        limits: &SearchLimits,
        found: &mut impl FnMut(&Found),
    ) {
        let touched = all_if_full(pools, touched);
        let tables = &mut self.tables;
        tables.start_round(touched);
        let floors = limits.worth_least.map(|worth| float(worth.0));
        self.shortlist.clear(floors);
        let native_prices: [f64; BASE_TOKENS_MAX] =
            core::array::from_fn(|rank| tables.native_price(rank));
        tables.rank(touched);
        for place in 0..tables.ranked.len() {
            let pair = tables.index.slot(tables.ranked[place].1 as usize).pair as usize;
            let Marks { screened, round, .. } = &mut tables.marks;
            if core::mem::replace(&mut screened[pair], *round) != *round {
                let Tables { index, prices, marks, .. } = &**tables;
                let bounds = (limits, native_prices.as_slice());
                let tables = (index, prices, marks);
                Screen::new(pools, tables, bounds, &mut self.shortlist).pair(pair);
            }
        }
        self.report(pools, limits, found);
    }

    /// Sizes the candidates until enough of them are worth what is asked, and reports those.
    fn report(&mut self, pools: &PoolTable, limits: &SearchLimits, found: &mut impl FnMut(&Found)) {
        let mut sized: [Option<Found>; FOUND_MAX] = [None; FOUND_MAX];
        let mut worths = [f64::NEG_INFINITY; FOUND_MAX];
        let (mut count, mut tried) = (0, 0);
        for candidate in self.shortlist.as_slice() {
            if count == FOUND_MAX {
                break;
            }
            tried += 1;
            let Some(cycle) = self.tables.size(pools, candidate, limits) else { continue };
            let native_price = self.tables.native_price(usize::from(candidate.base_rank));
            let worth = float(cycle.profit) * native_price;
            if worth >= self.shortlist.floor(candidate.hop_count.into()) {
                (sized[count], worths[count]) = (Some(cycle), worth);
                count += 1;
            }
        }
        self.shortlist.counts.sized += tried;
        let mut order: [usize; FOUND_MAX] = core::array::from_fn(|place| place);
        order[..count].sort_unstable_by(|one, other| {
            worths[*other].total_cmp(&worths[*one]).then(one.cmp(other))
        });
        for cycle in order[..count].iter().filter_map(|place| sized[*place].as_ref()) {
            found(cycle);
        }
    }
}

/// A list that is full stands for all pools.
fn all_if_full<'a>(pools: &'a PoolTable, touched: &'a [PoolId]) -> &'a [PoolId] {
    if touched.len() < TOUCHED_MAX { touched } else { pools.ids() }
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
        entry.is_tradable().then(|| pools.view(*pool).quote_out(amount, direction))?
    });
    quotes.max()
}

/// The integer part, saturating.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is meant")]
const fn whole(value: f64) -> u128 {
    value as u128
}

#[cfg(test)]
mod tests;
