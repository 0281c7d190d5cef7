//! The curve of every pool and the best price of every edge, kept up to date as pools move.
//!
//! The search reads these flat arrays instead of pools: one multiplication per hop screens a
//! cycle. Prices are multiplied rather than their logarithms added: four prices of at most 2¹¹²
//! each stay far inside f64, and nothing has to be converted.
//!
//! Invariants: a quarantined pool, or one that cannot trade, has price 0; the edge past the last
//! pair has price 1 on both sides, so that shorter cycles are screened without a branch.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;

use super::cycles::{CycleIndex, Edge};
use crate::amm::Mobius;
use crate::ids::PoolId;
use crate::limits::TARGET_HOPS_MAX;
use crate::world::pools::PoolTable;

/// A pool's curve from the lower token to the higher, and back.
type Curves = [Mobius; 2];

/// Curves by slot, and the best price of each edge.
#[derive(Debug)]
pub(super) struct Prices {
    curves: Vec<Curves>,
    /// Two per pair, by edge.
    best: Vec<f64>,
    /// What supposed moves replaced, oldest first.
    replaced: Vec<(usize, Curves)>,
}

impl Prices {
    #[cold]
    pub(super) fn new(index: &CycleIndex, pools: &PoolTable) -> Self {
        let mut prices = Self {
            curves: vec![[Mobius::CLOSED; 2]; index.slot_count()],
            best: vec![1.0; (index.pair_count() + 1) * 2],
            replaced: Vec::with_capacity(TARGET_HOPS_MAX),
        };
        prices.refresh(index, pools, pools.ids());
        prices
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
        self.curves[slot][side]
    }

    /// The same before the supposed moves.
    pub(super) fn curve_before(&self, slot: usize, side: usize) -> Mobius {
        let replaced = self.replaced.iter().find(|(moved, _)| *moved == slot);
        replaced.map_or(self.curves[slot], |(_, curves)| *curves)[side]
    }

    /// The best price of any pool along `edge`, after the fee.
    #[inline]
    pub(super) fn best(&self, edge: Edge) -> f64 {
        self.best[edge.index()]
    }

    fn set(&mut self, index: &CycleIndex, slot: usize, curves: Curves) {
        self.curves[slot] = curves;
        let pair = index.slot(slot).pair as usize;
        let best = self.curves[index.slots_of(pair)].iter().fold([0.0_f64; 2], |best, curves| {
            [best[0].max(curves[0].gain), best[1].max(curves[1].gain)]
        });
        self.best[pair * 2..pair * 2 + 2].copy_from_slice(&best);
    }
}

fn curves_of(index: &CycleIndex, pools: &PoolTable, slot: usize) -> Curves {
    let held = index.slot(slot);
    let entry = pools.get(held.pool);
    if entry.is_quarantined {
        return [Mobius::CLOSED; 2];
    }
    [0, 1].map(|side| pools.view(held.pool).mobius(held.direction(side)).unwrap_or(Mobius::CLOSED))
}
