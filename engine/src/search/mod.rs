//! Finds the cycles that pay through the pools that moved.
//!
//! ```text
//! touched pools ─► pairs ─► token cycles whose best prices multiply to more than 1   (floats)
//!                    └────► pools along them, most promising first                   (floats)
//!                             └────► best input                                      (integers)
//! ```
//!
//! A strategy owns a [`Searcher`]: built cold from the universe, refreshed with the pools that
//! moved, asked with the same list. It finds cycles that lead through at least one of these pools,
//! in a direction in which that got better: a swap makes the way that it took worse for those who
//! come after, so that a cycle along it pays less than it did. A cycle that was worth nearly what
//! was asked may be kept in mind, for the same search when less is asked.
//! When the universe has grown, it is given [`Tables`] of the new one: it fills them a few pools at
//! a time beside its own, and changes over when they are full. Where gas or prices have come far
//! from what the tables judge by, they are made to follow, some pairs at a time.
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
mod marks;
mod mind;
pub mod mobius;
mod paths;
mod prices;
mod rating;
mod returns;
pub mod route;
mod screen;
mod shortlist;
pub mod sizing;
mod tables;
mod weigh;

use alloc::boxed::Box;

use self::cycles::{CycleIndex, Graph};
use self::filling::Filling;
use self::screen::Screen;
use self::shortlist::{Shortlist, float};
pub use self::tables::Tables;
use self::tables::ToNative;
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
    /// Whether a cycle that is worth half of that is kept in mind, and looked at again as soon as
    /// no more is asked of it: gas gets cheaper while no pool moves.
    pub minds_half: bool,
}

impl SearchLimits {
    /// No limit but the pools' depth.
    pub const NONE: Self = Self {
        amount_in_max: [u128::MAX; BASE_TOKENS_MAX],
        worth_least: [Wei(0); HOPS_MAX + 1],
        minds_half: false,
    };

    /// The same, asking so much of every cycle.
    #[must_use]
    pub const fn asking(self, worth_least: Wei) -> Self {
        Self { worth_least: [worth_least; HOPS_MAX + 1], ..self }
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

impl SearchCounts {
    /// What was not looked at for want of time.
    const fn cut(&self) -> u64 {
        self.skipped.saturating_add(self.cut_short)
    }
}

/// Finds cycles. One per strategy; memory is taken by [`Searcher::new`].
#[derive(Debug)]
pub struct Searcher {
    tables: Box<Tables>,
    next: Option<Filling>,
    /// Tables that were replaced, until somebody frees them off the hot thread.
    spent: Option<Box<Tables>>,
    shortlist: Shortlist,
    /// What the last search asked at least of a cycle along paths, in native; they have two hops.
    pub(crate) asked: Option<f64>,
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
        let shortlist = Shortlist::new();
        Self { tables, next: None, spent: None, shortlist, asked: None }
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

    /// The next search that is asked for these pools leads through them in both directions, whether
    /// they moved or not: for cycles that paid and that nobody took.
    pub fn look_again(&mut self, touched: &[PoolId]) {
        let Tables { index, prices, .. } = &mut *self.tables;
        for slot in touched.iter().filter_map(|pool| index.slot_of(*pool)) {
            prices.raise(slot, [true; 2]);
        }
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

    /// Reports the cycles that pay and lead through at least one `touched` pool in a direction in
    /// which it got better since it was last searched: no others pay more than they did. The most
    /// valuable first, [`FOUND_MAX`] at most, and one per token cycle and direction. A list of
    /// [`TOUCHED_MAX`] pools stands for all of them. See [`Searcher::look_again`] too, and
    /// [`SearchLimits::minds_half`].
    ///
    /// Says whether that is all: if there may be more, the next search of these pools looks at all
    /// of them again.
    pub fn search(
        &mut self,
        pools: &PoolTable,
        touched: &[PoolId],
        limits: &SearchLimits,
        found: &mut impl FnMut(&Found),
    ) -> bool {
        let touched = all_if_full(pools, touched);
        let asked = limits.worth_least.map(|worth| float(worth.0));
        let floors = if limits.minds_half { asked.map(|worth| worth / 2.0) } else { asked };
        let tables = &mut self.tables;
        if limits.minds_half {
            for cycle in self.shortlist.mind.worth(&asked) {
                tables.recall(cycle);
            }
        }
        tables.start(touched);
        let cut_before = self.shortlist.counts.cut();
        self.shortlist.clear(asked, floors);
        let along_paths = &floors[3..=tables.index.hops_max().clamp(3, HOPS_MAX)];
        self.asked = Some(along_paths.iter().copied().fold(f64::INFINITY, f64::min));
        let native_prices: [f64; BASE_TOKENS_MAX] =
            core::array::from_fn(|rank| tables.native_price(rank));
        for place in 0..tables.ranked.len() {
            let pair = tables.index.slot(tables.ranked[place].1 as usize).pair as usize;
            if tables.marks.begin(pair) {
                let Tables { index, prices, marks, .. } = &**tables;
                let bounds = (limits, native_prices.as_slice());
                let read = (index, prices, marks);
                Screen::new(pools, read, bounds, &mut self.shortlist).pair(pair);
                tables.marks.end(pair);
            }
        }
        let found_count = self.report(pools, limits, found);
        let is_all = found_count < FOUND_MAX && self.shortlist.counts.cut() == cut_before;
        if !is_all {
            self.tables.keep_risen();
        } else if limits.minds_half {
            self.shortlist.mind.forget_worth(&asked);
        }
        is_all
    }

    /// Sizes the candidates until enough of them are worth what is asked, and reports those; how
    /// many.
    fn report(
        &mut self,
        pools: &PoolTable,
        limits: &SearchLimits,
        found: &mut impl FnMut(&Found),
    ) -> usize {
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
            if worth >= self.shortlist.asked(candidate.hop_count.into()) {
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
        count
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

/// What a cycle of so many swaps must be worth, of what is asked by swaps.
#[inline]
const fn by_swaps(worths: &[f64; HOPS_MAX + 1], hop_count: usize) -> f64 {
    worths[if hop_count < HOPS_MAX { hop_count } else { HOPS_MAX }]
}

/// The integer part, saturating.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is meant")]
const fn whole(value: f64) -> u128 {
    value as u128
}

#[cfg(test)]
mod tests;
