//! What every path from hub to hub multiplies to, and the best of each block and group of them.
//!
//! Three numbers are kept of each. The *price* is the product of the best prices along it. The
//! others say what a cycle must be worth to be looked at. Let `G` be what its prices multiply to,
//! and let it lead along parts that give no more than `Kᵢ`, each unit worth `vᵢ` at its end. To
//! gain `W` it needs `(1 − 1/√G)² ≥ Σ rᵢ²`, with `rᵢ² = W/(Kᵢ·vᵢ)`. So with `gᵢ` the price of each
//! part,
//!
//! - what a path is worth *alone*: `g·(1 − r)²`, times the prices of all else, is at least 1;
//! - its *worthy* price: the product of all `gᵢ·(1 − rᵢ)` is at least 1, if the parts are no more
//!   than four. (`−2·ln(1 − ‖r‖) ≥ −Σ ln(1 − rᵢ)`, for `‖r‖` is at least half of `Σ rᵢ`.)
//!
//! Dust, which is far off the market but shallow, has a high price and little of the others: that
//! is what keeps the search through a hub short. The first sees dust that is nearly worth it, the
//! second that one pool's dust does not make good for another's.
//!
//! Invariants: each best is the exact maximum of what it is the best of; no combination of pools
//! along a path has more of any of the three than the path, whose hops are judged one by one.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;

use super::cycles::CycleIndex;
use super::map::Map;
use super::paths::{BLOCK, Paths};
use super::prices::{Matrix, Way, Ways, greater};
use crate::amm::Mobius;

/// A little more, for rounding.
const ROUNDING: f64 = 1.0 + 1e-9;

/// What a path multiplies to; what is left of it if it has to carry a gain alone; and together with
/// what else there is on a cycle.
pub(super) type Rates = [f64; 3];

/// The rates of all paths, and the best of each block and group.
#[derive(Debug)]
pub(super) struct Returns {
    paths: Vec<Rates>,
    blocks: Vec<Rates>,
    groups: Vec<Rates>,
    /// Best price from hub to hub through one tail.
    around: Matrix,
    /// What a cycle must be worth, in native: as far as all rates are made for it, and what they
    /// are made for from now on.
    worth_least: f64,
    rated_for: f64,
}

impl Returns {
    #[cold]
    pub(super) fn new(map: &Map, paths: &Paths, worth_least: f64) -> Self {
        Self {
            paths: vec![[0.0; 3]; paths.place_count()],
            blocks: vec![[0.0; 3]; paths.place_count() / BLOCK],
            groups: vec![[0.0; 3]; paths.group_count()],
            around: Matrix::new(map.hub_count(), map.stride()),
            worth_least,
            rated_for: worth_least,
        }
    }

    /// What a cycle must be worth by the rates that are made now.
    pub(super) const fn rated_for(&self) -> f64 {
        self.rated_for
    }

    /// From now on rates are made for cycles that are worth this. Those made before stay.
    pub(super) const fn rate_for(&mut self, worth: f64) {
        self.worth_least = f64::max(self.worth_least, worth);
        self.rated_for = worth;
    }

    /// None is left of those made before.
    pub(super) const fn end_rating(&mut self) {
        self.worth_least = self.rated_for;
    }

    /// What a cycle must be worth so that these rates say something about it.
    #[inline]
    pub(super) const fn worth_least(&self) -> f64 {
        self.worth_least
    }

    /// Sets a path's rates.
    pub(super) fn set(&mut self, index: &CycleIndex, place: usize, now: Rates) {
        let before = core::mem::replace(&mut self.paths[place], now);
        let block = place / BLOCK;
        let held = self.blocks[block];
        let best = renewed(held, before, now, &self.paths[block * BLOCK..(block + 1) * BLOCK]);
        if is_same(best, held) {
            return;
        }
        self.blocks[block] = best;
        let group = index.paths.group_of_block(block);
        let blocks = &self.blocks[index.paths.blocks(group)];
        self.groups[group] = renewed(self.groups[group], held, best, blocks);
        if let Some([from, to]) = index.paths.hubs_of_short(group) {
            self.around.set(from, to, self.groups[group][0]);
        }
    }

    /// The same, when all are set: [`Returns::gather`] follows.
    pub(super) fn put(&mut self, place: usize, rates: Rates) {
        self.paths[place] = rates;
    }

    /// Finds the best of all blocks and groups.
    pub(super) fn gather(&mut self, index: &CycleIndex) {
        for (block, paths) in self.blocks.iter_mut().zip(self.paths.chunks_exact(BLOCK)) {
            *block = greatest(paths);
        }
        for (group, best) in self.groups.iter_mut().enumerate() {
            *best = greatest(&self.blocks[index.paths.blocks(group)]);
            if let Some([from, to]) = index.paths.hubs_of_short(group) {
                self.around.set(from, to, best[0]);
            }
        }
    }

    /// Best prices from a hub to each hub through one tail.
    #[inline]
    pub(super) fn around_from(&self, hub: usize) -> &[f64] {
        self.around.row(hub)
    }

    /// Best prices from each hub to a hub through one tail.
    #[inline]
    pub(super) fn around_to(&self, hub: usize) -> &[f64] {
        self.around.column(hub)
    }

    /// The best price of a group of paths.
    #[inline]
    pub(super) fn best(&self, group: usize) -> f64 {
        self.groups[group][0]
    }

    /// Calls `open` with the place of each path of a group that has more of everything than
    /// `least`.
    #[inline]
    pub(super) fn above(
        &self,
        index: &CycleIndex,
        group: usize,
        least: Rates,
        mut open: impl FnMut(usize),
    ) {
        let is_above =
            |rates: &Rates| (rates[0] > least[0]) & (rates[1] > least[1]) & (rates[2] > least[2]);
        if !is_above(&self.groups[group]) {
            return;
        }
        for block in index.paths.blocks(group) {
            if !is_above(&self.blocks[block]) {
                continue;
            }
            let places = block * BLOCK..(block + 1) * BLOCK;
            let first = places.start;
            for (place, rates) in (first..).zip(&self.paths[places]) {
                if is_above(rates) {
                    open(place);
                }
            }
        }
    }

    /// The best rates of pools to something that is worth `value` a unit.
    pub(super) fn best_of(&self, value: f64, ways: Ways<'_>) -> Rates {
        let share = self.rated_for / value;
        let mut best = [0.0; 3];
        for Way { curve: Mobius { gain, .. }, lack } in ways.iter() {
            let price = gain * ROUNDING;
            best[0] = greater(best[0], *gain);
            // Of no price more is left than it is.
            if price > best[1] {
                best[1] = greater(best[1], price / lack.needed(share));
            }
            if price > best[2] {
                best[2] = greater(best[2], price * lack.left(share));
            }
        }
        best
    }

    /// The best rates along a path whose last hop has the rates `last` and ends where a unit is
    /// worth `value`.
    pub(super) fn rates<'w>(
        &self,
        value: f64,
        last: Rates,
        before: impl DoubleEndedIterator<Item = Ways<'w>>,
    ) -> Rates {
        let mut path = last;
        // What a hop leads to is worth what the best pools make of it.
        let mut value = value * last[0];
        for ways in before.rev() {
            let hop = self.best_of(value, ways);
            // Where one hop has to carry the gain, the others are at their best.
            let alone = f64::min(path[1] * hop[0], path[0] * hop[1]);
            path = [path[0] * hop[0], alone, path[2] * hop[2]];
            value *= hop[0];
        }
        path
    }
}

/// The best of several after one of them changed from `before` to `now`. Mostly that can be told
/// from these alone: it was not the best, or it got better.
#[inline]
fn renewed(best: Rates, before: Rates, now: Rates, all: &[Rates]) -> Rates {
    let mut renewed = best;
    for part in 0..renewed.len() {
        if now[part] >= best[part] {
            renewed[part] = now[part];
        } else if before[part] >= best[part] {
            return greatest(all);
        }
    }
    renewed
}

#[inline]
fn is_same(left: Rates, right: Rates) -> bool {
    left.map(f64::to_bits) == right.map(f64::to_bits)
}

#[inline]
fn greater_of(left: Rates, right: Rates) -> Rates {
    core::array::from_fn(|part| greater(left[part], right[part]))
}

/// The greatest of each part; several at once, for one after the other waits for each comparison.
#[inline]
fn greatest(all: &[Rates]) -> Rates {
    let (lanes, rest) = all.as_chunks::<4>();
    let mut best = [[0.0; 3]; 4];
    for lane in lanes {
        for (best, rates) in best.iter_mut().zip(lane) {
            *best = greater_of(*best, *rates);
        }
    }
    rest.iter().chain(&best).copied().fold([0.0; 3], greater_of)
}
