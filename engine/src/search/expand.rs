//! The choice of pools along one token cycle.
//!
//! Every combination that can still be worth enough is weighed by the curves that bound its pools.
//! Those of constant-product pools are the whole truth, so the best of those combinations is
//! enough. Where a pool is bounded only, a combination that looks worse may be better: a few of
//! those are kept as well, and what each is worth is found when it is sized.
//!
//! Temperature: hot.

use super::cycles::TokenCycle;
use super::prices::greater;
use super::screen::Screen;
use super::shortlist::{Candidate, float};
use super::{COMBINATIONS_MAX, PRICE_LEAST};
use crate::amm::Mobius;
use crate::limits::HOPS_MAX;

/// Combinations that are kept along one token cycle and direction.
const KEPT_MAX: usize = 3;

/// A little more, for rounding.
const MORE: f64 = 1.0 + 1e-9;

/// The hops that were chosen so far.
#[derive(Clone, Copy)]
struct Chain {
    /// No input gives more than this.
    limit: Mobius,
    has_touched: bool,
    /// The limit is what it gives.
    is_whole: bool,
}

/// The choice along one token cycle.
pub(super) struct Expansion<'e, 's> {
    screen: &'e Screen<'s>,
    cycle: &'e TokenCycle,
    amount_in_max: f64,
    /// The best that the hops from each place on could do to the price.
    rest: [f64; HOPS_MAX + 1],
    /// Whether a hop from each place on could lead through a touched pool.
    has_touched: [bool; HOPS_MAX + 1],
    /// Whether every pool that may be chosen is its curve.
    is_rest_whole: bool,
    /// What a combination must gain, in the base token.
    floor: f64,
    slots: [u32; HOPS_MAX],
    /// The best first.
    kept: [Candidate; KEPT_MAX],
    kept_count: usize,
    /// Combinations that may still be tried.
    combinations: u32,
    is_cut_short: bool,
}

impl<'e, 's> Expansion<'e, 's> {
    /// Chooses the pools along a cycle, and puts the best on the list.
    pub(super) fn run(screen: &mut Screen<'s>, cycle: &TokenCycle, native_price: f64) {
        let mut expansion = Expansion::new(screen, cycle);
        expansion.floor = expansion.screen.shortlist.worth_least() / native_price;
        let chain = Chain { limit: Mobius::IDENTITY, has_touched: false, is_whole: true };
        expansion.extend(0, chain);
        let (kept, count, is_cut_short) =
            (expansion.kept, expansion.kept_count, expansion.is_cut_short);
        let list = &mut *screen.shortlist;
        list.counts.expanded += 1;
        list.counts.cut_short += u64::from(is_cut_short);
        let serial = list.counts.expanded;
        for candidate in &kept[..count] {
            let worth = candidate.profit * native_price;
            list.remember(&Candidate { worth, serial, ..*candidate });
        }
    }

    fn new(screen: &'e Screen<'s>, cycle: &'e TokenCycle) -> Self {
        let mut rest = [1.0; HOPS_MAX + 1];
        let mut has_touched = [false; HOPS_MAX + 1];
        let mut is_rest_whole = true;
        for hop in (0..usize::from(cycle.hop_count).min(HOPS_MAX)).rev() {
            let edge = cycle.edges[hop];
            rest[hop] = rest[hop + 1] * screen.prices.best(edge);
            has_touched[hop] = has_touched[hop + 1] || screen.marks.has_touched(edge.pair());
            let mut slots = screen.index.slots_of(edge.pair());
            is_rest_whole &= slots.all(|slot| screen.prices.is_whole(slot));
        }
        let amount_in_max = screen.limits.amount_in_max[usize::from(cycle.base_rank)];
        Self {
            screen,
            cycle,
            amount_in_max: float(amount_in_max),
            rest,
            has_touched,
            is_rest_whole,
            floor: 0.0,
            slots: [0; HOPS_MAX],
            kept: [Candidate::NONE; KEPT_MAX],
            kept_count: 0,
            combinations: COMBINATIONS_MAX,
            is_cut_short: false,
        }
    }

    /// Tries every pool as hop number `hop` that can still lead to a gain that is enough.
    fn extend(&mut self, hop: usize, so_far: Chain) {
        if hop == usize::from(self.cycle.hop_count) {
            self.close(so_far);
            return;
        }
        let Screen { index, prices, marks, .. } = *self.screen;
        let edge = self.cycle.edges[hop];
        for slot in index.slots_of(edge.pair()) {
            // Only a two-hop cycle meets a pair twice.
            let is_used = hop == 1 && self.cycle.hop_count == 2 && self.slots[0] as usize == slot;
            let has_touched = so_far.has_touched || marks.is_touched(slot);
            if is_used || !(has_touched || self.has_touched[hop + 1]) {
                continue;
            }
            let way = prices.way(slot, edge.side());
            let price = so_far.limit.gain * way.curve.gain * self.rest[hop + 1];
            if price < PRICE_LEAST {
                continue;
            }
            let limit = so_far.limit.then(way.limit(price));
            let is_whole = so_far.is_whole && prices.is_whole(slot);
            // The hops that follow can only bend the curve more.
            let most = Mobius { gain: price, ..limit }.best_profit(self.amount_in_max);
            if most * MORE < self.least(is_whole) {
                continue;
            }
            if self.combinations == 0 {
                self.is_cut_short = true;
                return;
            }
            // Slots are counted in u32 when the index is built.
            self.slots[hop] = u32::try_from(slot).unwrap_or(0);
            self.extend(hop + 1, Chain { limit, has_touched, is_whole });
        }
    }

    /// What a combination must gain to be kept.
    fn least(&self, is_whole: bool) -> f64 {
        let kept = &self.kept[..self.kept_count];
        let rival = match kept.iter().find(|held| held.is_whole) {
            Some(held) if is_whole && self.is_rest_whole => held.profit,
            _ if self.kept_count == KEPT_MAX => kept[KEPT_MAX - 1].profit,
            _ => 0.0,
        };
        greater(self.floor, rival)
    }

    fn close(&mut self, chain: Chain) {
        self.combinations -= 1;
        let profit = chain.limit.best_profit(self.amount_in_max);
        // NaN is no profit either.
        if profit > 0.0 {
            let (slots, cycle) = (self.slots, self.cycle);
            // A side is 0 or 1.
            let sides = cycle.edges.map(|edge| u8::from(edge.side() == 1));
            let (hop_count, base_rank) = (cycle.hop_count, cycle.base_rank);
            let chosen =
                Candidate { slots, sides, hop_count, base_rank, profit, ..Candidate::NONE };
            self.keep(&Candidate { is_whole: chain.is_whole, ..chosen });
        }
    }

    /// Keeps a combination among the best; of those whose curves are the whole truth, one.
    fn keep(&mut self, chosen: &Candidate) {
        let held = &self.kept[..self.kept_count];
        let mut end = self.kept_count;
        if chosen.is_whole
            && let Some(place) = held.iter().position(|held| held.is_whole)
        {
            if held[place].profit >= chosen.profit {
                return;
            }
            self.kept[place..end].rotate_left(1);
            end -= 1;
        }
        let rank = self.kept[..end].partition_point(|held| held.profit >= chosen.profit);
        if rank == KEPT_MAX {
            return;
        }
        self.kept_count = (end + 1).min(KEPT_MAX);
        self.kept[rank..self.kept_count].rotate_right(1);
        self.kept[rank] = *chosen;
    }
}
