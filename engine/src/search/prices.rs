//! The curve of every pool, and the best price of every edge, kept up to date as pools move.
//!
//! The search reads these flat arrays instead of pools. Prices are multiplied rather than their
//! logarithms added: four prices of at most 2¹¹² each stay far inside f64, and nothing has to be
//! converted.
//!
//! ```text
//! pool ─► curve ─► best of its pair ─┬─► matrix of the hubs
//!            └───────────────────────┴─► the paths it is on (see `returns`)
//! ```
//!
//! Invariants: a quarantined pool, or one that cannot trade, has price 0; the edge past the last
//! pair has price 1 on both sides, so that shorter paths are multiplied without a branch; each best
//! is the exact maximum of what it is the best of.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::MORE;
use super::cycles::{CycleIndex, Edge};
use super::lack::Lack;
use super::returns::{Rates, Returns};
use crate::amm::{Mobius, Pool};
use crate::ids::PoolId;
use crate::limits::{BASE_TOKENS_MAX, TARGET_HOPS_MAX};
use crate::world::pools::PoolTable;

/// What a hub is taken to be worth when paths to it are judged, in parts of what it is: as long as
/// its price has not risen by more, they are judged by that.
pub(super) const VALUE_MARGIN: f64 = 1.1;

/// A pool along an edge; it fills a cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub(super) struct Way {
    pub(super) curve: Mobius,
    pub(super) lack: Lack,
}

impl Way {
    const CLOSED: Self = Self { curve: Mobius::CLOSED, lack: Lack::NONE };

    /// Whether it may give more for some input. A swap along it leaves it less deep, in what it
    /// gives; where it does not, somebody has added liquidity, or the next range has more. Of a
    /// pool that nothing is known of, any move is taken for that.
    #[inline]
    fn is_more_than(&self, before: &Self) -> bool {
        let [now, then] = [&self.curve, &before.curve];
        let is_deeper = || now.bend * then.gain * MORE < then.bend * now.gain;
        let is_open = now.gain > 0.0;
        now.gain > then.gain
            || is_open
                && (self.lack.is_unknown() || is_deeper() || self.lack.is_less_than(&before.lack))
    }

    /// A curve that gives at least as much up to the best input of a cycle of this price.
    #[inline]
    pub(super) fn limit(&self, price: f64) -> Mobius {
        let Mobius { gain, .. } = self.curve;
        Mobius { gain, bend: gain * self.lack.at(price) }
    }

    /// What a cycle of this price is worth at most, if a unit that the pool gives is worth `value`;
    /// `None` if that is less than `least`, which is a number.
    #[inline]
    pub(super) fn most_alone(&self, price: f64, value: f64, least: f64) -> Option<f64> {
        let alone = self.lack.alone_at(price * MORE);
        // A glance first, for most are worth less: a square root is at most half as far from 1.
        let share = MORE * (MORE - 1.0 + greater(price - 1.0, 0.0) / 2.0);
        if share * share * value < least * alone {
            return None;
        }
        let share = greater(MORE - 1.0 / libm::sqrt(price), 0.0);
        let worth = share * share / alone * value;
        if worth < least { None } else { Some(worth) }
    }
}

/// In which directions a pool got better.
fn risen(now: &Ends, before: &Ends) -> [bool; 2] {
    core::array::from_fn(|side| now[side].is_more_than(&before[side]))
}

/// A pool from the lower token to the higher, and back.
type Ends = [Way; 2];

/// Curves by slot, and the best of edges, pairs of hubs and paths between them.
#[derive(Debug)]
pub(super) struct Prices {
    curves: Vec<Ends>,
    /// By slot, whether the curve holds for every input. Where it does not, the pool's price still
    /// only worsens.
    whole: Vec<bool>,
    /// By slot, by how much the better of its two prices rose when it last moved.
    leaps: Vec<f64>,
    /// By slot and side, whether the pool got better since it was last searched.
    risen: Vec<[bool; 2]>,
    /// Pairs of which a pool was read, and that are not brought up to date yet.
    stale: Vec<bool>,
    /// The best rates of any pool, after the fee: two per pair, by edge. Where an edge ends at a
    /// tail they are its price.
    pub(super) best: Vec<Rates>,
    /// Best price from hub to hub by one swap, row by row, and the same by column.
    direct: Matrix,
    /// What is known of the paths between hubs.
    pub(super) returns: Returns,
    /// What a unit of each hub is worth at most, in native, with a margin: as far as all rates are
    /// made for it, and what they are made for from now on.
    pub(super) values: Vec<f64>,
    pub(super) rated_values: Vec<f64>,
    /// Pairs whose rates are still to be made anew.
    pub(super) unrated: Range<usize>,
    /// What supposed moves replaced, and what of it had risen.
    replaced: Vec<(usize, Ends, [bool; 2])>,
}

/// Prices from hub to hub, readable by row and by column.
#[derive(Debug)]
pub(super) struct Matrix {
    stride: usize,
    rows: Vec<f64>,
    columns: Vec<f64>,
}

impl Matrix {
    pub(super) fn new(hub_count: usize, stride: usize) -> Self {
        let empty = || vec![0.0; hub_count * stride];
        Self { stride, rows: empty(), columns: empty() }
    }

    #[inline]
    pub(super) fn set(&mut self, from: usize, to: usize, price: f64) {
        self.rows[from * self.stride + to] = price;
        self.columns[to * self.stride + from] = price;
    }

    #[inline]
    pub(super) fn row(&self, from: usize) -> &[f64] {
        &self.rows[from * self.stride..(from + 1) * self.stride]
    }

    #[inline]
    pub(super) fn column(&self, to: usize) -> &[f64] {
        &self.columns[to * self.stride..(to + 1) * self.stride]
    }
}

impl Prices {
    /// All pools closed. Paths are judged by whether they can gain `worth_least`, in native.
    #[cold]
    pub(super) fn new(index: &CycleIndex, worth_least: f64) -> Self {
        let (map, paths) = (&index.map, &index.paths);
        let mut best = vec![[0.0; 3]; (index.pair_count() + 1) * 2];
        best[index.pair_count() * 2..].fill([1.0; 3]);
        Self {
            curves: vec![[Way::CLOSED; 2]; index.slot_count()],
            whole: vec![true; index.slot_count()],
            leaps: vec![1.0; index.slot_count()],
            risen: vec![[true; 2]; index.slot_count()],
            stale: vec![false; index.pair_count()],
            best,
            direct: Matrix::new(map.hub_count(), map.stride()),
            returns: Returns::new(map, paths, worth_least),
            values: vec![f64::INFINITY; map.hub_count()],
            rated_values: vec![f64::INFINITY; map.hub_count()],
            unrated: 0..0,
            replaced: Vec::with_capacity(TARGET_HOPS_MAX),
        }
    }

    /// Takes over what hubs are worth from the prices of another index.
    #[cold]
    pub(super) fn value_as(&mut self, index: &CycleIndex, (of, other): (&CycleIndex, &Self)) {
        for (value, token) in self.rated_values.iter_mut().zip(index.map.hubs_in_order()) {
            let hub = of.map.hubs_in_order().iter().position(|hub| hub == token);
            *value = hub.map_or(f64::INFINITY, |hub| other.rated_values[hub]);
        }
        self.values.copy_from_slice(&self.rated_values);
    }

    /// Reads every pool. `native_price` is asked for what a unit of each base is worth in native.
    pub(super) fn load(
        &mut self,
        index: &CycleIndex,
        pools: &PoolTable,
        native_price: impl Fn(&Self, usize) -> f64,
    ) {
        self.replaced.clear();
        for slot in 0..self.curves.len() {
            self.read(index, pools, slot);
        }
        self.leaps.fill(1.0);
        self.risen.fill([true; 2]);
        // Prices first, for hubs are valued by them; then what that makes of them.
        self.rated_values.fill(f64::INFINITY);
        self.load_edges(index);
        let mut native = [0.0; BASE_TOKENS_MAX];
        for (rank, price) in native.iter_mut().enumerate().take(index.bases().len()) {
            *price = native_price(self, rank);
        }
        for hub in 0..self.rated_values.len() {
            self.rated_values[hub] = VALUE_MARGIN * self.value_of(index, hub, &native);
        }
        self.load_edges(index);
        for place in 0..index.paths.place_count() {
            let rates = self.rates(index, place);
            self.returns.put(place, rates);
        }
        self.returns.gather(index);
        self.end_rating();
    }

    fn load_edges(&mut self, index: &CycleIndex) {
        for pair in 0..index.pair_count() {
            for edge in [0, 1].map(|side| Edge::of(pair, side)) {
                self.best[edge.index()] = self.best_of(index, edge);
                if let Some([from, to]) = index.map.hubs(edge) {
                    self.direct.set(from, to, self.best(edge));
                }
            }
        }
    }

    /// What a hub is worth by the best pool with a base; infinite if that is not known.
    pub(super) fn value_of(&self, index: &CycleIndex, hub: usize, native: &[f64]) -> f64 {
        let leaving = self.direct.row(hub);
        let mut value = 0.0;
        // Bases are the first hubs.
        for (base, price) in leaving.iter().enumerate().take(index.map.hub_count()) {
            let Some(rank) = index.map.base_rank(super::cycles::count(base)) else { break };
            let price = if base == hub { 1.0 } else { *price };
            value = greater(value, price * native[usize::from(rank)]);
        }
        if value > 0.0 { value } else { f64::INFINITY }
    }

    /// Reads the pools that moved.
    pub(super) fn refresh(&mut self, index: &CycleIndex, pools: &PoolTable, moved: &[PoolId]) {
        self.warm(index, moved);
        for slot in moved.iter().filter_map(|pool| index.slot_of(*pool)) {
            self.stale[index.slot(slot).pair as usize] |= self.read(index, pools, slot);
        }
        // Once each, however many of its pools moved.
        for slot in moved.iter().filter_map(|pool| index.slot_of(*pool)) {
            let pair = index.slot(slot).pair as usize;
            if core::mem::take(&mut self.stale[pair]) {
                self.renew(index, pair);
            }
        }
    }

    /// Asks memory for what is about to be replaced: it lies far apart, and is fetched together
    /// where one read does not wait for another.
    fn warm(&self, index: &CycleIndex, moved: &[PoolId]) {
        let mut sum = 0.0;
        for slot in moved.iter().filter_map(|pool| index.slot_of(*pool)) {
            let [there, back] = &self.curves[slot];
            let edge = Edge::of(index.slot(slot).pair as usize, 0);
            sum += there.curve.gain + back.curve.gain + self.best(edge);
        }
        core::hint::black_box(sum);
    }

    /// Reads pools that would have moved if a pending transaction had landed; they are taken back
    /// by [`Prices::restore`]. No more than one transaction can move are read.
    pub(super) fn suppose(&mut self, index: &CycleIndex, pools: &PoolTable, moved: &[PoolId]) {
        for pool in moved {
            let Some(slot) = index.slot_of(*pool) else { continue };
            if !self.replaced.iter().any(|(replaced, ..)| *replaced == slot) {
                if self.replaced.len() == TARGET_HOPS_MAX {
                    return;
                }
                self.replaced.push((slot, self.curves[slot], self.risen[slot]));
                self.risen[slot] = [false; 2];
            }
            let now = curves_of(index, pools, slot);
            self.raise(slot, risen(&now, &self.curves[slot]));
            self.set(index, slot, now);
        }
    }

    /// Takes back every supposed move.
    pub(super) fn restore(&mut self, index: &CycleIndex) {
        while let Some((slot, curves, risen)) = self.replaced.pop() {
            self.risen[slot] = risen;
            self.set(index, slot, curves);
        }
    }

    /// In which directions a pool got better since this was last asked.
    #[inline]
    pub(super) fn take_risen(&mut self, slot: usize) -> [bool; 2] {
        core::mem::take(&mut self.risen[slot])
    }

    /// Takes a pool for better in these directions.
    #[inline]
    pub(super) fn raise(&mut self, slot: usize, sides: [bool; 2]) {
        for (risen, side) in self.risen[slot].iter_mut().zip(sides) {
            *risen |= side;
        }
    }

    /// A pool along an edge of this side.
    #[inline]
    pub(super) fn way(&self, slot: usize, side: usize) -> &Way {
        &self.curves[slot][side]
    }

    /// A pool's curve along an edge of this side.
    #[inline]
    pub(super) fn curve(&self, slot: usize, side: usize) -> Mobius {
        self.curves[slot][side].curve
    }

    /// Whether a pool's curve holds for every input.
    #[inline]
    pub(super) fn is_whole(&self, slot: usize) -> bool {
        self.whole[slot]
    }

    /// The same before the supposed moves.
    pub(super) fn curve_before(&self, slot: usize, side: usize) -> Mobius {
        let replaced = self.replaced.iter().find(|(moved, ..)| *moved == slot);
        replaced.map_or(self.curves[slot], |(_, curves, _)| *curves)[side].curve
    }

    /// The best price of any pool along `edge`, after the fee.
    #[inline]
    pub(super) fn best(&self, edge: Edge) -> f64 {
        self.best[edge.index()][0]
    }

    /// The best rates of any pool along `edge`, as long as a unit at its end is worth no more than
    /// [`Prices::value`].
    #[inline]
    pub(super) fn rates_of(&self, edge: Edge) -> &Rates {
        &self.best[edge.index()]
    }

    /// What a unit of a node is taken to be worth where edges and paths to it are judged; infinite
    /// for a tail.
    #[inline]
    pub(super) fn value(&self, node: usize) -> f64 {
        self.values.get(node).copied().unwrap_or(f64::INFINITY)
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

    fn best_of(&self, index: &CycleIndex, edge: Edge) -> Rates {
        let end = index.map.ends(edge.pair())[1 - edge.side()] as usize;
        let ways = self.ways_of(index, edge);
        match self.rated_values.get(end).copied().unwrap_or(f64::INFINITY) {
            f64::INFINITY => [ways.iter().map(|way| way.curve.gain).fold(0.0, greater); 3],
            value => self.returns.best_of(value, ways),
        }
    }

    /// Reads a pool, and says whether it has moved.
    fn read(&mut self, index: &CycleIndex, pools: &PoolTable, slot: usize) -> bool {
        self.whole[slot] = is_whole(&pools.get(index.slot(slot).pool).state);
        let now = curves_of(index, pools, slot);
        let before = core::mem::replace(&mut self.curves[slot], now);
        self.raise(slot, risen(&now, &before));
        if before == now {
            return false;
        }
        let gains = |side: usize| [now[side].curve.gain, before[side].curve.gain];
        let rise = |[now, before]: [f64; 2]| if before > 0.0 { now / before } else { 1.0 };
        // One that was closed has not leapt.
        self.leaps[slot] = greater(rise(gains(0)), rise(gains(1)));
        true
    }

    /// Whether both say the same of every pool.
    #[cfg(test)]
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        (&self.curves, &self.whole, &self.leaps) == (&other.curves, &other.whole, &other.leaps)
    }

    /// By how much the better of a pool's two prices rose when it last moved.
    #[inline]
    pub(super) fn leap(&self, slot: usize) -> f64 {
        self.leaps[slot]
    }

    fn set(&mut self, index: &CycleIndex, slot: usize, curves: Ends) {
        if self.curves[slot] != curves {
            self.curves[slot] = curves;
            self.renew(index, index.slot(slot).pair as usize);
        }
    }

    /// Brings what depends on a pair's pools up to date.
    pub(super) fn renew(&mut self, index: &CycleIndex, pair: usize) {
        for edge in [0, 1].map(|side| Edge::of(pair, side)) {
            self.best[edge.index()] = self.best_of(index, edge);
            if let Some([from, to]) = index.map.hubs(edge) {
                self.direct.set(from, to, self.best(edge));
            } else {
                for place in index.paths.uses(edge) {
                    let rates = self.rates(index, *place as usize);
                    self.returns.set(index, *place as usize, rates);
                }
            }
        }
    }

    /// The rates of a path.
    fn rates(&self, index: &CycleIndex, place: usize) -> Rates {
        let path = index.paths.path(place);
        if path[0] == index.map.none() {
            return [0.0; 3];
        }
        let value = self.rated_values[index.paths.end_of(place)];
        let hops = if path[2] == index.map.none() { &path[..2] } else { &path[..] };
        let [before @ .., last] = hops else { return [0.0; 3] };
        // A path ends at a hub, where edges are judged by the same value.
        let before = before.iter().map(|edge| self.ways_of(index, *edge));
        self.returns.rates(value, *self.rates_of(*last), before)
    }

    /// The pools along an edge.
    fn ways_of<'p>(&'p self, index: &CycleIndex, edge: Edge) -> Ways<'p> {
        Ways { curves: &self.curves[index.slots_of(edge.pair())], side: edge.side() }
    }
}

/// The pools along one edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways<'p> {
    curves: &'p [Ends],
    side: usize,
}

impl<'p> Ways<'p> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'p Way> {
        self.curves.iter().map(move |ways| &ways[self.side])
    }
}

/// The greater of two numbers of which none is NaN; one instruction.
#[inline]
pub(super) const fn greater(left: f64, right: f64) -> f64 {
    if left > right { left } else { right }
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

const fn is_whole(pool: &Pool) -> bool {
    match pool {
        Pool::ConstantProduct(_) => true,
        Pool::Concentrated(_) => false,
        Pool::Solidly(pool) => !pool.state().is_stable,
    }
}

fn curves_of(index: &CycleIndex, pools: &PoolTable, slot: usize) -> Ends {
    let held = index.slot(slot);
    if !pools.get(held.pool).is_tradable() {
        return [Way::CLOSED; 2];
    }
    let view = pools.view(held.pool);
    let way = |side| {
        let direction = held.direction(side);
        let Some((curve, reach)) = view.reach(direction) else { return Way::CLOSED };
        Way { curve, lack: Lack::of(&reach) }
    };
    [0, 1].map(way)
}
