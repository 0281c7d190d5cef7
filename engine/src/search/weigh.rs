//! What a cycle can be worth at most, by what its pools can carry.
//!
//! Each hop is judged by the pool that bounds the cycle least (see [`Lack`](super::lack)), every
//! one with its own price, so that the depth of one pool does not lend weight to the price of
//! another. The other hops are taken for lines at their best prices.
//!
//! Temperature: hot.

use super::cycles::Edge;
use super::prices::{Way, greater};
use super::returns::Rates;
use super::screen::{Screen, Walk};
use super::{MORE, PRICE_LEAST};
use crate::amm::Mobius;
use crate::limits::HOPS_MAX;

/// A little less, for rounding.
const LESS: f64 = 1.0 - 1e-9;

/// The place that comes `steps` after another one of a cycle.
#[inline]
const fn turned(place: usize, steps: usize, hop_count: usize) -> usize {
    let place = place + steps;
    if place < hop_count { place } else { place - hop_count }
}

impl Screen<'_> {
    /// The most preferred base on a cycle, and its place there.
    pub(super) fn base_of(&self, walk: &Walk) -> Option<(u8, usize)> {
        let map = &self.index.map;
        let mut first: Option<(u8, usize)> = None;
        for (place, edge) in walk.edges[..walk.hop_count.min(HOPS_MAX)].iter().enumerate() {
            if let Some(rank) = map.base_rank(map.ends(edge.pair())[edge.side()])
                && first.is_none_or(|(least, _)| rank < least)
            {
                first = Some((rank, place));
            }
        }
        first
    }

    /// Whether a cycle that starts at place `start` could be worth what is asked by the best rates
    /// of its edges; a quick look.
    pub(super) fn is_promising(&self, walk: &Walk, base_rank: u8, start: usize) -> bool {
        let worth_least = self.shortlist.worth_least(walk.hop_count);
        if worth_least < self.prices.returns.worth_least() {
            return true;
        }
        let mut onward = self.native_prices[usize::from(base_rank)];
        let (mut worthy, mut is_carried) = (MORE, true);
        let hop_count = walk.hop_count.min(HOPS_MAX);
        for step in (0..hop_count).rev() {
            let place = turned(start, step, hop_count);
            let price = walk.prices[place];
            match self.rates_at(walk, place, onward) {
                Some([_, alone, left]) => {
                    is_carried &= walk.price * (alone / price) > PRICE_LEAST;
                    worthy *= f64::min(*left, price);
                }
                None => worthy *= price,
            }
            onward *= price;
        }
        is_carried && worthy > PRICE_LEAST
    }

    /// The best rates of an edge of a walk that ends at a hub, if a unit there is worth no more
    /// than it was taken for.
    fn rates_at(&self, walk: &Walk, place: usize, onward: f64) -> Option<&Rates> {
        let edge = walk.edges[place];
        let end = self.index.map.ends(edge.pair())[1 - edge.side()] as usize;
        let value = self.prices.value(end);
        let is_known = value < f64::INFINITY && onward <= value;
        if is_known { Some(self.prices.rates_of(edge)) } else { None }
    }

    /// What a cycle that starts at place `start` gains at most, in native; less than anything if
    /// that is less than what is asked, or its pools cannot carry it together.
    pub(super) fn worth_most(&self, walk: &Walk, base_rank: u8, start: usize) -> f64 {
        let worth_least = self.shortlist.worth_least(walk.hop_count);
        let mut value = self.native_prices[usize::from(base_rank)];
        let hop_count = walk.hop_count.min(HOPS_MAX);
        let (mut onward, mut order) = ([0.0; HOPS_MAX], [(0, 0); HOPS_MAX]);
        // Asks memory for a pool of each edge: they lie far apart, and are fetched together.
        let mut sum = 0.0;
        for step in (0..hop_count).rev() {
            let place = turned(start, step, hop_count);
            let edge = walk.edges[place];
            let slots = self.index.slots_of(edge.pair());
            sum += self.prices.way(slots.start, edge.side()).curve.gain;
            (onward[place], order[step]) = (value, (slots.len(), place));
            value *= walk.prices[place];
        }
        core::hint::black_box(sum);
        // Few pools are soon looked at, and mostly say enough.
        order[..hop_count].sort_unstable();
        let (mut most, mut worthy) = (f64::INFINITY, walk.price * MORE);
        for (_, place) in order.into_iter().take(hop_count) {
            let (price_best, onward) = (walk.prices[place], onward[place]);
            let rest = walk.price / price_best;
            let share = worth_least / onward;
            let (mut bound, mut left) = (0.0, 0.0);
            for way in self.ways(walk, place) {
                let gain = way.curve.gain;
                // What is left of a price is less than that.
                if gain > left {
                    left = greater(left, gain * way.lack.left_at(share, walk.price * MORE));
                }
                let price = gain * rest;
                if price > PRICE_LEAST
                    && let Some(worth) = way.most_alone(price, onward, bound)
                {
                    bound = greater(bound, worth);
                }
            }
            most = f64::min(most, bound);
            // Where nobody has looked yet, all of the price is left.
            worthy *= left / price_best;
            if most < worth_least || worthy <= PRICE_LEAST {
                return f64::NEG_INFINITY;
            }
        }
        most
    }

    /// What the paths of a group must have more of so that a walk that they close from place `at`
    /// on can pay, and be worth enough; `None` if none of them does.
    pub(super) fn least(&self, group: usize, at: usize, walk: &Walk) -> Option<Rates> {
        let (paths, returns) = (&self.index.paths, &self.prices.returns);
        let best = returns.best(group);
        let alone = PRICE_LEAST / walk.price;
        if best <= alone {
            return None;
        }
        let worth_least = self.shortlist.worth_least(walk.hop_count);
        if worth_least <= 0.0 {
            return Some([alone, f64::NEG_INFINITY, f64::NEG_INFINITY]);
        }
        let end = paths.end_of_group(group);
        let first = at + paths.hops_of_group(group);
        // At most two edges are known besides the path.
        let count = (walk.hop_count + at).saturating_sub(first).min(2);
        let place = |step: usize| turned(first, step, walk.hop_count);
        let edge = |step: usize| (walk.edges[place(step)], walk.prices[place(step)]);
        // Where the path ends, and where each known edge does.
        let values = self.values_onward(end, best, count, edge)?;
        let is_asked = worth_least >= returns.worth_least();
        let (mut price, mut known) = (alone, MORE);
        for step in 0..count {
            let rest = walk.price / walk.prices[place(step)];
            let [_, alone, left] = match self.rates_at(walk, place(step), values[step + 1]) {
                Some(rates)
                    if is_asked && !self.is_bound(walk.edges[place(step)], walk.hop_count) =>
                {
                    *rates
                }
                _ => self.rates_with(walk, place(step), worth_least / values[step + 1], best),
            };
            price = greater(price, LESS / (alone * rest));
            known *= left;
        }
        // A walk whose own pools can carry nothing together is closed by no path.
        if best <= price || known <= 0.0 {
            return None;
        }
        // If a unit is worth more than it was taken for, rates of paths say nothing.
        if values[0] <= self.prices.value(end) && is_asked {
            Some([price, alone, PRICE_LEAST / known])
        } else {
            Some([price, f64::NEG_INFINITY, f64::NEG_INFINITY])
        }
    }

    /// What a unit is worth, at most, at the end of a path and of each of the `count` edges that
    /// come after it, carried on to the base of the cycle; `None` if there is no base on it.
    fn values_onward(
        &self,
        end: usize,
        best: f64,
        count: usize,
        edge: impl Fn(usize) -> (Edge, f64),
    ) -> Option<[f64; 3]> {
        let map = &self.index.map;
        let mut base: Option<(u8, usize)> = None;
        for step in 0..=count {
            let node = if step == 0 {
                u32::try_from(end).unwrap_or(u32::MAX)
            } else {
                let edge = edge(step - 1).0;
                map.ends(edge.pair())[1 - edge.side()]
            };
            if let Some(rank) = map.base_rank(node)
                && base.is_none_or(|(least, _)| rank < least)
            {
                base = Some((rank, step));
            }
        }
        let (rank, at) = base?;
        let mut values = [0.0; 3];
        values[at] = self.native_prices[usize::from(rank)];
        for step in (0..at).rev() {
            values[step] = edge(step).1 * values[step + 1];
        }
        if at < count {
            // On along the path, at its best.
            values[count] = best * values[0];
            for step in (at + 1..count).rev() {
                values[step] = edge(step).1 * values[step + 1];
            }
        }
        Some(values)
    }

    /// The best rates of the pools that an edge of a walk may lead through, for this share of a
    /// unit at its end, if the rest of the cycle does no more than `best` to the price.
    fn rates_with(&self, walk: &Walk, place: usize, share: f64, best: f64) -> Rates {
        let mut rates = [0.0; 3];
        for way in self.ways(walk, place).filter(|way| way.curve.gain > 0.0) {
            let gain = way.curve.gain;
            let left = way.lack.left_at(share, walk.price * best * MORE);
            let found = [gain, gain / way.lack.needed(share), gain * left];
            rates = core::array::from_fn(|part| greater(rates[part], found[part]));
        }
        rates
    }

    /// The pools that an edge of a walk may lead through.
    fn ways<'w>(&'w self, walk: &Walk, place: usize) -> impl Iterator<Item = &'w Way> {
        let edge = walk.edges[place];
        let slots = self.slots_along(edge, walk.hop_count);
        slots.map(move |slot| self.prices.way(slot, edge.side()))
    }

    /// A curve under which every pool lies that an edge of a cycle may lead through, if the rest of
    /// the cycle does no more than `rest` to the price and the pool has to gain so much.
    pub(super) fn limit_of(&self, edge: Edge, hop_count: usize, rest: f64, least: f64) -> Mobius {
        let (mut gain, mut lack) = (0.0, f64::INFINITY);
        for slot in self.slots_along(edge, hop_count) {
            let way = self.prices.way(slot, edge.side());
            let price = way.curve.gain * rest;
            if price >= PRICE_LEAST && way.most_alone(price, 1.0, least).is_some() {
                gain = greater(gain, way.curve.gain);
                lack = f64::min(lack, way.lack.at(price * MORE));
            }
        }
        if gain > 0.0 { Mobius { gain, bend: gain * lack } } else { Mobius::CLOSED }
    }
}
