//! The choice of pools along one token cycle.
//!
//! Every combination that can still be worth enough is weighed by the curves that bound its pools.
//! Those of constant-product pools are the whole truth. Where a pool is bounded only, a combination
//! that looks worse may be better: such ones wait, and what each is worth is found out along the
//! pools' own ranges, the most promising first, until no other can be better.
//!
//! Invariants: along one token cycle the combination that gains most is the one that is kept,
//! unless their number was cut short, which is counted.
//!
//! Temperature: hot.

use super::cycles::TokenCycle;
use super::screen::Screen;
use super::shortlist::{Candidate, float};
use super::sizing::{Hop, estimate};
use super::{COMBINATIONS_MAX, MORE, PRICE_LEAST};
use crate::amm::Mobius;
use crate::limits::HOPS_MAX;

/// Combinations that wait before the most promising is looked at.
const WAITING_MAX: usize = 8;

/// What finding out along the pools' own ranges costs, in combinations that are bounded.
const ESTIMATE_WORK: u32 = 32;

/// The hops that were chosen so far.
#[derive(Clone, Copy)]
struct Chain {
    /// No input gives more than this.
    limit: Mobius,
    has_touched: bool,
    /// What it gives, if that is one curve for every input.
    whole: Option<Mobius>,
}

/// A combination that could gain this much.
#[derive(Clone, Copy)]
struct Waiting {
    slots: [u32; HOPS_MAX],
    most: f64,
}

/// The choice along one token cycle.
pub(super) struct Expansion<'e, 's> {
    screen: &'e Screen<'s>,
    cycle: &'e TokenCycle,
    amount_in_max: f64,
    /// No pools that may be chosen from each place on give more than this.
    rest: [Mobius; HOPS_MAX + 1],
    /// Whether a hop from each place on could lead through a touched pool.
    has_touched: [bool; HOPS_MAX + 1],
    /// What a combination must gain, in the base token: what is asked, or what the best gains.
    least: f64,
    slots: [u32; HOPS_MAX],
    best: Option<[u32; HOPS_MAX]>,
    /// The most promising first.
    waiting: [Waiting; WAITING_MAX],
    waiting_count: usize,
    /// Combinations that may still be tried.
    combinations: u32,
    /// What may still be spent, in combinations: see [`Screen::work`].
    work: u32,
    is_cut_short: bool,
}

impl<'e, 's> Expansion<'e, 's> {
    /// Chooses the pools along a cycle, and puts the best on the list.
    pub(super) fn run(screen: &mut Screen<'s>, cycle: &TokenCycle, native_price: f64) {
        let least = screen.shortlist.worth_least(cycle.hop_count.into()) / native_price;
        let mut expansion = Expansion::new(screen, cycle, least);
        let most = expansion.rest[0].best_profit(expansion.amount_in_max);
        if most * MORE < expansion.least {
            screen.shortlist.counts.outvalued += 1;
            return;
        }
        let chain =
            Chain { limit: Mobius::IDENTITY, has_touched: false, whole: Some(Mobius::IDENTITY) };
        expansion.extend(0, chain);
        while expansion.waiting_count > 0 {
            expansion.try_first();
        }
        let Expansion { best, least: profit, is_cut_short, work, .. } = expansion;
        screen.work = work;
        let list = &mut *screen.shortlist;
        list.counts.expanded += 1;
        list.counts.cut_short += u64::from(is_cut_short);
        if let Some(slots) = best {
            // A side is 0 or 1.
            let sides = cycle.edges.map(|edge| u8::from(edge.side() == 1));
            let (hop_count, base_rank) = (cycle.hop_count, cycle.base_rank);
            let worth = profit * native_price;
            list.remember(&Candidate { slots, sides, hop_count, base_rank, worth });
        }
    }

    fn new(screen: &'e Screen<'s>, cycle: &'e TokenCycle, least: f64) -> Self {
        let hop_count = usize::from(cycle.hop_count).min(HOPS_MAX);
        let mut prices = [1.0; HOPS_MAX];
        for (price, edge) in prices.iter_mut().zip(&cycle.edges).take(hop_count) {
            *price = screen.price_of(*edge, hop_count);
        }
        let all = prices.iter().product::<f64>();
        let mut rest = [Mobius::IDENTITY; HOPS_MAX + 1];
        let mut has_touched = [false; HOPS_MAX + 1];
        for hop in (0..hop_count).rev() {
            let edge = cycle.edges[hop];
            let least = least / rest[hop + 1].gain;
            let limit = screen.limit_of(edge, hop_count, all / prices[hop], least);
            rest[hop] = limit.then(rest[hop + 1]);
            has_touched[hop] = has_touched[hop + 1] || screen.marks.has_touched(edge);
        }
        let amount_in_max = screen.limits.amount_in_max[usize::from(cycle.base_rank)];
        Self {
            screen,
            cycle,
            amount_in_max: float(amount_in_max),
            rest,
            has_touched,
            least,
            slots: [0; HOPS_MAX],
            best: None,
            waiting: [Waiting { slots: [0; HOPS_MAX], most: 0.0 }; WAITING_MAX],
            waiting_count: 0,
            combinations: COMBINATIONS_MAX,
            work: screen.work,
            is_cut_short: false,
        }
    }

    /// Tries every pool as hop number `hop` that can still lead to a gain that is enough.
    fn extend(&mut self, hop: usize, so_far: Chain) {
        if hop == usize::from(self.cycle.hop_count) {
            self.close(so_far);
            return;
        }
        let Screen { prices, marks, .. } = *self.screen;
        let edge = self.cycle.edges[hop];
        let hop_count = usize::from(self.cycle.hop_count);
        for slot in self.screen.slots_along(edge, hop_count) {
            // Only a two-hop cycle meets a pair twice.
            let is_used = hop == 1 && hop_count == 2 && self.slots[0] as usize == slot;
            let has_touched = so_far.has_touched || marks.is_touched(slot, edge.side());
            if is_used || !(has_touched || self.has_touched[hop + 1]) {
                continue;
            }
            let way = prices.way(slot, edge.side());
            let rest = self.rest[hop + 1];
            let price = so_far.limit.gain * way.curve.gain * rest.gain;
            if price < PRICE_LEAST || way.most_alone(price, rest.gain, self.least).is_none() {
                continue;
            }
            let limit = so_far.limit.then(way.limit(price));
            if limit.then(rest).best_profit(self.amount_in_max) * MORE < self.least {
                continue;
            }
            if self.combinations == 0 || self.work == 0 {
                self.is_cut_short = true;
                return;
            }
            // Slots are counted in u32 when the index is built.
            self.slots[hop] = u32::try_from(slot).unwrap_or(0);
            let whole = so_far.whole.filter(|_| prices.is_whole(slot));
            let whole = whole.map(|whole| whole.then(way.curve));
            self.extend(hop + 1, Chain { limit, has_touched, whole });
        }
    }

    fn close(&mut self, chain: Chain) {
        self.combinations -= 1;
        self.work = self.work.saturating_sub(1);
        if let Some(whole) = chain.whole {
            self.offer(self.slots, whole.best_profit(self.amount_in_max));
            return;
        }
        let most = chain.limit.best_profit(self.amount_in_max);
        // NaN is no profit either.
        if most.is_nan() || most <= 0.0 {
            return;
        }
        if self.waiting_count == WAITING_MAX {
            self.try_first();
        }
        if most * MORE < self.least {
            return;
        }
        let rank = self.waiting[..self.waiting_count].partition_point(|held| held.most >= most);
        self.waiting_count += 1;
        self.waiting[rank..self.waiting_count].rotate_right(1);
        self.waiting[rank] = Waiting { slots: self.slots, most };
    }

    /// Finds out what the most promising combination gains, and lets go those that cannot be
    /// better.
    fn try_first(&mut self) {
        if self.work < ESTIMATE_WORK {
            (self.work, self.waiting_count, self.is_cut_short) = (0, 0, true);
            return;
        }
        self.work -= ESTIMATE_WORK;
        let Waiting { slots, .. } = self.waiting[0];
        self.waiting[..self.waiting_count].rotate_left(1);
        self.waiting_count -= 1;
        if let Some(gained) = self.gained_by(&slots) {
            self.offer(slots, gained);
        }
        let least = self.least;
        let waiting = &self.waiting[..self.waiting_count];
        self.waiting_count = waiting.partition_point(|held| held.most * MORE >= least);
    }

    fn gained_by(&self, slots: &[u32; HOPS_MAX]) -> Option<f64> {
        let Screen { index, pools, .. } = *self.screen;
        let hop = |place: usize| {
            let slot = index.slot(slots[place] as usize);
            let direction = slot.direction(self.cycle.edges[place].side());
            Hop { pool: pools.view(slot.pool), direction }
        };
        let mut hops = [hop(0); HOPS_MAX];
        let hop_count = usize::from(self.cycle.hop_count).min(HOPS_MAX);
        for (place, held) in hops.iter_mut().enumerate().take(hop_count).skip(1) {
            *held = hop(place);
        }
        estimate(&hops[..hop_count], self.amount_in_max)
    }

    /// Keeps a combination if it gains more than the best so far.
    fn offer(&mut self, slots: [u32; HOPS_MAX], gained: f64) {
        // NaN is no profit either.
        if gained > 0.0 && gained >= self.least {
            (self.best, self.least) = (Some(slots), gained);
        }
    }
}
