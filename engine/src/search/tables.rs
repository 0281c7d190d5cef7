//! What a search reads and marks, all of it made for one universe.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use super::cycles::{CycleIndex, Edge, Graph};
use super::marks::Marks;
use super::mind::MIND_MAX;
use super::prices::Prices;
use super::shortlist::{Candidate, float};
use super::sizing::{Hop, best_input};
use super::{Found, PRICE_UNKNOWN, SearchLimits, whole};
use crate::amm::Mobius;
use crate::ids::PoolId;
use crate::limits::{BASE_TOKENS_MAX, HOPS_MAX, TOUCHED_MAX};
use crate::plan::Leg;
use crate::world::pools::PoolTable;

/// Slots of all cycles that are kept in mind.
const RECALLED_MAX: usize = MIND_MAX * HOPS_MAX;

/// How a base token becomes native.
#[derive(Clone, Copy, Debug)]
pub(super) enum ToNative {
    /// It is the wrapped native token.
    Same,
    /// Along this edge.
    Along(Edge),
    /// There is no direct pool.
    Unknown,
}

impl ToNative {
    pub(super) fn price(self, prices: &Prices) -> f64 {
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
    pub(super) index: CycleIndex,
    pub(super) prices: Prices,
    pub(super) marks: Marks,
    /// Slots to be screened, and by how much their prices rose.
    pub(super) ranked: Vec<(f64, u32)>,
    /// Slots that are to be looked at besides those that moved.
    recalled: Vec<u32>,
    /// Per base, the edge to the native token.
    pub(super) to_native: [ToNative; BASE_TOKENS_MAX],
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
            marks: Marks::new(&index),
            to_native,
            ranked: Vec::with_capacity(index.slot_count()),
            recalled: Vec::with_capacity(RECALLED_MAX),
            index,
        }
    }

    /// The index that is searched.
    #[must_use]
    pub const fn index(&self) -> &CycleIndex {
        &self.index
    }

    /// Reads the pools that moved; all of them at once if the list is full.
    pub(super) fn refresh(&mut self, pools: &PoolTable, moved: &[PoolId]) {
        if moved.len() < TOUCHED_MAX {
            self.prices.refresh(&self.index, pools, moved);
        } else {
            self.load(pools);
        }
    }

    /// Reads all pools.
    pub(super) fn load(&mut self, pools: &PoolTable) {
        let Self { index, prices, to_native, .. } = self;
        prices.load(index, pools, |prices, rank| to_native[rank].price(prices));
    }

    /// The search that starts next leads through the pools of this cycle, too, which is one of no
    /// more than [`MIND_MAX`].
    pub(super) fn recall(&mut self, cycle: &Candidate) {
        let hop_count = usize::from(cycle.hop_count).min(HOPS_MAX);
        for (slot, side) in cycle.slots.iter().zip(cycle.sides).take(hop_count) {
            self.prices.raise(*slot as usize, [side == 0, side == 1]);
            self.recalled.push(*slot);
        }
    }

    /// Starts a search through these pools, those that rose farthest first: what they opened is the
    /// measure of the others.
    pub(super) fn start(&mut self, touched: &[PoolId]) {
        let Self { index, prices, marks, ranked, recalled, .. } = self;
        marks.start();
        ranked.clear();
        let touched_slots = touched.iter().filter_map(|pool| index.slot_of(*pool));
        for slot in touched_slots.chain(recalled.drain(..).map(|slot| slot as usize)) {
            let sides = prices.take_risen(slot);
            marks.touch(index, slot, sides);
            if sides != [false; 2] {
                // Slots are counted in u32 when the index is built.
                ranked.push((prices.leap(slot), u32::try_from(slot).unwrap_or(0)));
            }
        }
        if touched.len() < TOUCHED_MAX {
            ranked
                .sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        }
    }

    /// What this search was about is still to be searched.
    pub(super) fn keep_risen(&mut self) {
        let Self { prices, marks, ranked, .. } = self;
        for slot in ranked.iter().map(|(_, slot)| *slot as usize) {
            prices.raise(slot, [0, 1].map(|side| marks.is_touched(slot, side)));
        }
    }

    /// Native per unit of a base token, by the best pool; for ranking only.
    pub(super) fn native_price(&self, base_rank: usize) -> f64 {
        self.to_native[base_rank].price(&self.prices)
    }

    /// The exact best of a candidate.
    pub(super) fn size(
        &self,
        pools: &PoolTable,
        chosen: &Candidate,
        limits: &SearchLimits,
    ) -> Option<Found> {
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
