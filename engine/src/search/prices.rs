//! The curve of every pool, the best price of every edge, and the best path between any two hubs,
//! kept up to date as pools move.
//!
//! The search reads these flat arrays instead of pools. Prices are multiplied rather than their
//! logarithms added: four prices of at most 2¹¹² each stay far inside f64, and nothing has to be
//! converted.
//!
//! ```text
//! pool ─► curve ─► best of its pair ─┬─► matrix of the hubs
//!                                    └─► the paths it is on ─► best of block ─► best of group
//! ```
//!
//! Invariants: a quarantined pool, or one that cannot trade, has price 0; the edge past the last
//! pair has price 1 on both sides, so that shorter paths are multiplied without a branch; each best
//! is the exact maximum of what it is the best of.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;

use super::cycles::{CycleIndex, Edge};
use super::paths::BLOCK;
use crate::amm::{Mobius, Pool};
use crate::ids::PoolId;
use crate::limits::TARGET_HOPS_MAX;
use crate::world::pools::PoolTable;

/// A pool from the lower token to the higher, and back.
#[derive(Clone, Copy, Debug)]
struct Curves {
    sides: [Mobius; 2],
    /// The curve holds for every input. Where it does not, the pool's price still only worsens.
    is_whole: bool,
}

/// What a search knows of an edge.
#[derive(Clone, Copy, Debug)]
struct Best {
    /// The best price of any pool, after the fee.
    price: f64,
    /// The input that halves the price in the deepest pool; infinite if one is not known in whole.
    depth: f64,
}

/// Curves by slot, and the best of edges, pairs of hubs and groups of paths.
#[derive(Debug)]
pub(super) struct Prices {
    curves: Vec<Curves>,
    /// Two per pair, by edge.
    best: Vec<Best>,
    /// Best price from hub to hub by one swap, row by row, and the same by column.
    direct: Matrix,
    /// Best price from hub to hub through one tail.
    around: Matrix,
    /// The price of each path, the best of each block of them and of each group.
    paths: Vec<f64>,
    blocks: Vec<f64>,
    groups: Vec<f64>,
    /// What supposed moves replaced, oldest first.
    replaced: Vec<(usize, Curves)>,
}

/// Prices from hub to hub, readable by row and by column.
#[derive(Debug)]
struct Matrix {
    stride: usize,
    rows: Vec<f64>,
    columns: Vec<f64>,
}

impl Matrix {
    fn new(hub_count: usize, stride: usize) -> Self {
        let empty = || vec![0.0; hub_count * stride];
        Self { stride, rows: empty(), columns: empty() }
    }

    #[inline]
    fn set(&mut self, from: usize, to: usize, price: f64) {
        self.rows[from * self.stride + to] = price;
        self.columns[to * self.stride + from] = price;
    }

    #[inline]
    fn row(&self, from: usize) -> &[f64] {
        &self.rows[from * self.stride..(from + 1) * self.stride]
    }

    #[inline]
    fn column(&self, to: usize) -> &[f64] {
        &self.columns[to * self.stride..(to + 1) * self.stride]
    }
}

impl Prices {
    #[cold]
    pub(super) fn new(index: &CycleIndex) -> Self {
        let (map, paths) = (&index.map, &index.paths);
        let closed = Curves { sides: [Mobius::CLOSED; 2], is_whole: true };
        let mut best = vec![Best { price: 0.0, depth: 0.0 }; (index.pair_count() + 1) * 2];
        for none in &mut best[index.pair_count() * 2..] {
            *none = Best { price: 1.0, depth: f64::INFINITY };
        }
        Self {
            curves: vec![closed; index.slot_count()],
            best,
            direct: Matrix::new(map.hub_count(), map.stride()),
            around: Matrix::new(map.hub_count(), map.stride()),
            paths: vec![0.0; paths.place_count()],
            blocks: vec![0.0; paths.place_count() / BLOCK],
            groups: vec![0.0; paths.group_count()],
            replaced: Vec::with_capacity(TARGET_HOPS_MAX),
        }
    }

    /// Reads the pools that moved.
    pub(super) fn refresh(&mut self, index: &CycleIndex, pools: &PoolTable, moved: &[PoolId]) {
        for pool in moved {
            if let Some(slot) = index.slot_of(*pool) {
                self.set(index, slot, curves_of(index, pools, slot));
            }
        }
    }

    /// Reads pools that would have moved if a pending transaction had landed; they are taken back
    /// by [`Prices::restore`]. No more than one transaction can move are read.
    pub(super) fn suppose(&mut self, index: &CycleIndex, pools: &PoolTable, moved: &[PoolId]) {
        for pool in moved {
            let Some(slot) = index.slot_of(*pool) else { continue };
            if self.replaced.len() == TARGET_HOPS_MAX {
                return;
            }
            self.replaced.push((slot, self.curves[slot]));
            self.set(index, slot, curves_of(index, pools, slot));
        }
    }

    /// Takes back every supposed move.
    pub(super) fn restore(&mut self, index: &CycleIndex) {
        while let Some((slot, curves)) = self.replaced.pop() {
            self.set(index, slot, curves);
        }
    }

    /// A pool's curve along an edge of this side.
    #[inline]
    pub(super) fn curve(&self, slot: usize, side: usize) -> Mobius {
        self.curves[slot].sides[side]
    }

    /// Whether a pool's curve holds for every input.
    #[inline]
    pub(super) fn is_whole(&self, slot: usize) -> bool {
        self.curves[slot].is_whole
    }

    /// The same before the supposed moves.
    pub(super) fn curve_before(&self, slot: usize, side: usize) -> Mobius {
        let replaced = self.replaced.iter().find(|(moved, _)| *moved == slot);
        replaced.map_or(self.curves[slot], |(_, curves)| *curves).sides[side]
    }

    /// The best price of any pool along `edge`, after the fee.
    #[inline]
    pub(super) fn best(&self, edge: Edge) -> f64 {
        self.best[edge.index()].price
    }

    /// The input that halves the price in the deepest pool along `edge`.
    #[inline]
    pub(super) fn depth(&self, edge: Edge) -> f64 {
        self.best[edge.index()].depth
    }

    /// Best prices from a hub to each hub by one swap.
    #[inline]
    pub(super) fn direct_from(&self, hub: usize) -> &[f64] {
        self.direct.row(hub)
    }

    /// Best prices from each hub to a hub by one swap.
    #[inline]
    pub(super) fn direct_to(&self, hub: usize) -> &[f64] {
        self.direct.column(hub)
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

    /// Calls `open` with the place and price of each path of a group above `least`.
    #[inline]
    pub(super) fn paths_above(
        &self,
        index: &CycleIndex,
        group: usize,
        least: f64,
        mut open: impl FnMut(usize, f64),
    ) {
        if self.groups[group] <= least {
            return;
        }
        for block in index.paths.blocks(group) {
            if self.blocks[block] <= least {
                continue;
            }
            let first = block * BLOCK;
            for (place, price) in (first..).zip(&self.paths[first..first + BLOCK]) {
                if *price > least {
                    open(place, *price);
                }
            }
        }
    }

    fn set(&mut self, index: &CycleIndex, slot: usize, curves: Curves) {
        self.curves[slot] = curves;
        let pair = index.slot(slot).pair as usize;
        for side in 0..2 {
            let nothing = Best { price: 0.0, depth: 0.0 };
            let best = self.curves[index.slots_of(pair)].iter().fold(nothing, |best, curves| {
                let Mobius { gain, bend } = curves.sides[side];
                let depth = if gain <= 0.0 {
                    0.0
                } else if curves.is_whole {
                    1.0 / bend
                } else {
                    f64::INFINITY
                };
                Best { price: greater(best.price, gain), depth: greater(best.depth, depth) }
            });
            let edge = Edge::of(pair, side);
            let held = &mut self.best[edge.index()];
            let is_moved = held.price.to_bits() != best.price.to_bits();
            *held = best;
            if is_moved && index.map.is_through(pair) {
                self.pass_on(index, edge);
            }
        }
    }

    /// Brings what depends on an edge's price up to date.
    fn pass_on(&mut self, index: &CycleIndex, edge: Edge) {
        let ends = index.map.ends(edge.pair());
        let (from, to) = (ends[edge.side()], ends[1 - edge.side()]);
        if index.map.is_hub(from) && index.map.is_hub(to) {
            self.direct.set(from as usize, to as usize, self.best(edge));
            return;
        }
        for place in index.paths.uses(edge) {
            let place = *place as usize;
            let [first, second, third] = *index.paths.path(place);
            let price = self.best(first) * self.best(second) * self.best(third);
            let before = core::mem::replace(&mut self.paths[place], price);
            let block = place / BLOCK;
            let first = block * BLOCK;
            let held = self.blocks[block];
            let best = raised(held, before, price)
                .unwrap_or_else(|| greatest(&self.paths[first..first + BLOCK]));
            if best.to_bits() != held.to_bits() {
                self.blocks[block] = best;
                self.pass_on_block(index, block, held);
            }
        }
    }

    /// Brings the best of a group up to date after the best of one of its blocks was `before`.
    fn pass_on_block(&mut self, index: &CycleIndex, block: usize, before: f64) {
        let group = index.paths.group_of_block(block);
        let best = raised(self.groups[group], before, self.blocks[block])
            .unwrap_or_else(|| greatest(&self.blocks[index.paths.blocks(group)]));
        self.groups[group] = best;
        if let Some([from, to]) = index.paths.hubs_of_short(group) {
            self.around.set(from, to, best);
        }
    }
}

/// The best of several after one of them changed from `before` to `now`, if that can be told from
/// these alone: it was not the best, or it got better.
#[inline]
fn raised(best: f64, before: f64, now: f64) -> Option<f64> {
    if now >= best {
        Some(now)
    } else if before < best {
        Some(best)
    } else {
        None
    }
}

/// The greater of two numbers of which none is NaN; one instruction.
#[inline]
pub(super) const fn greater(left: f64, right: f64) -> f64 {
    if left > right { left } else { right }
}

/// The greatest of prices; several at once, for one after the other waits for each comparison.
#[inline]
fn greatest(prices: &[f64]) -> f64 {
    let (lanes, rest) = prices.as_chunks::<8>();
    let mut best = [0.0; 8];
    for lane in lanes {
        for (best, price) in best.iter_mut().zip(lane) {
            *best = greater(*best, *price);
        }
    }
    rest.iter().chain(&best).copied().fold(0.0, greater)
}

/// The greatest product of two rows, place by place.
#[inline]
pub(super) fn greatest_product(left: &[f64], right: &[f64]) -> f64 {
    let (left, _) = left.as_chunks::<8>();
    let (right, _) = right.as_chunks::<8>();
    let mut best = [0.0; 8];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..8 {
            best[lane] = greater(best[lane], left[lane] * right[lane]);
        }
    }
    best.into_iter().fold(0.0, greater)
}

fn curves_of(index: &CycleIndex, pools: &PoolTable, slot: usize) -> Curves {
    let held = index.slot(slot);
    let entry = pools.get(held.pool);
    let is_whole = match entry.state {
        Pool::ConstantProduct(_) => true,
        Pool::Concentrated(_) => false,
        Pool::Solidly(pool) => !pool.state().is_stable,
    };
    if !entry.is_tradable() {
        return Curves { sides: [Mobius::CLOSED; 2], is_whole };
    }
    let view = pools.view(held.pool);
    let curve = |side| view.mobius(held.direction(side)).unwrap_or(Mobius::CLOSED);
    Curves { sides: [0, 1].map(curve), is_whole }
}
