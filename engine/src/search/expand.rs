//! The choice of pools along one token cycle.
//!
//! Every combination that can still pay by price is weighed by its curves. Curves of
//! constant-product pools are the whole truth, so the best of those combinations is enough. Where a
//! pool's curve holds for a first stretch only, a combination that looks worse may be better: a few
//! of those are kept as well.
//!
//! Temperature: hot.

use super::cycles::TokenCycle;
use super::screen::Screen;
use super::shortlist::{Candidate, float};
use super::{COMBINATIONS_MAX, PRICE_LEAST};
use crate::amm::Mobius;
use crate::limits::HOPS_MAX;

/// Combinations that are kept along one token cycle and direction.
const KEPT_MAX: usize = 3;

/// The choice along one token cycle.
pub(super) struct Expansion<'e, 's> {
    screen: &'e Screen<'s>,
    cycle: &'e TokenCycle,
    amount_in_max: f64,
    /// The best that the hops from each place on could do to the price.
    rest: [f64; HOPS_MAX + 1],
    /// Whether a hop from each place on could lead through a touched pool.
    has_touched: [bool; HOPS_MAX + 1],
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
        expansion.extend(0, Mobius::IDENTITY, false);
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
        for hop in (0..usize::from(cycle.hop_count).min(HOPS_MAX)).rev() {
            let edge = cycle.edges[hop];
            rest[hop] = rest[hop + 1] * screen.prices.best(edge);
            has_touched[hop] = has_touched[hop + 1] || screen.marks.has_touched(edge.pair());
        }
        let amount_in_max = screen.limits.amount_in_max[usize::from(cycle.base_rank)];
        Self {
            screen,
            cycle,
            amount_in_max: float(amount_in_max),
            rest,
            has_touched,
            slots: [0; HOPS_MAX],
            kept: [Candidate::NONE; KEPT_MAX],
            kept_count: 0,
            combinations: COMBINATIONS_MAX,
            is_cut_short: false,
        }
    }

    /// Tries every pool as hop number `hop` that can still lead to a price above 1.
    fn extend(&mut self, hop: usize, so_far: Mobius, has_touched: bool) {
        if hop == usize::from(self.cycle.hop_count) {
            self.close(so_far);
            return;
        }
        let Screen { index, prices, marks, .. } = *self.screen;
        let edge = self.cycle.edges[hop];
        for slot in index.slots_of(edge.pair()) {
            let curve = prices.curve(slot, edge.side());
            let is_hopeless = so_far.gain * curve.gain * self.rest[hop + 1] < PRICE_LEAST;
            // Only a two-hop cycle meets a pair twice.
            let is_used = hop == 1 && self.cycle.hop_count == 2 && self.slots[0] as usize == slot;
            let has_touched = has_touched || marks.is_touched(slot);
            if is_hopeless || is_used || !(has_touched || self.has_touched[hop + 1]) {
                continue;
            }
            if self.combinations == 0 {
                self.is_cut_short = true;
                return;
            }
            // Slots are counted in u32 when the index is built.
            self.slots[hop] = u32::try_from(slot).unwrap_or(0);
            self.extend(hop + 1, so_far.then(curve), has_touched);
        }
    }

    fn close(&mut self, curve: Mobius) {
        self.combinations -= 1;
        let profit = curve.best_profit(self.amount_in_max);
        // NaN is no profit either.
        if profit > 0.0 {
            let (slots, cycle) = (self.slots, self.cycle);
            // A side is 0 or 1.
            let sides = cycle.edges.map(|edge| u8::from(edge.side() == 1));
            let hops = &slots[..usize::from(cycle.hop_count).min(HOPS_MAX)];
            let is_whole = hops.iter().all(|slot| self.screen.prices.is_whole(*slot as usize));
            let (hop_count, base_rank) = (cycle.hop_count, cycle.base_rank);
            let chosen =
                Candidate { slots, sides, hop_count, base_rank, profit, ..Candidate::NONE };
            self.keep(&Candidate { is_whole, ..chosen });
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
