//! What a search is about: the pools that got better, and where it has looked already.
//!
//! All by directed edge, for a swap makes a pool better in one direction only, and worse in the
//! other, where nothing can have come to pay.
//!
//! Invariants: one round per search, and marks of others are none; an edge that is closed to walks
//! was screened, or belongs to the pair that is being screened.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;

use super::cycles::{CycleIndex, Edge};

/// The round in which a slot or an edge was touched, or an edge screened.
#[derive(Debug)]
pub(super) struct Marks {
    /// By slot and side.
    slots: Vec<[u32; 2]>,
    edges: Vec<u32>,
    screened: Vec<u32>,
    round: u32,
    /// Pairs that were touched in this round.
    pair_count: usize,
}

impl Marks {
    #[cold]
    pub(super) fn new(index: &CycleIndex) -> Self {
        let edges = || vec![0; (index.pair_count() + 1) * 2];
        let slots = vec![[0; 2]; index.slot_count()];
        Self { slots, edges: edges(), screened: edges(), round: 0, pair_count: 0 }
    }

    /// Starts a search.
    pub(super) fn start(&mut self) {
        let Self { slots, edges, screened, round, pair_count } = self;
        *pair_count = 0;
        *round = round.checked_add(1).unwrap_or_else(|| {
            slots.fill([0; 2]);
            edges.fill(0);
            screened.fill(0);
            1
        });
    }

    /// The search is to lead through a pool along these sides.
    #[inline]
    pub(super) fn touch(&mut self, index: &CycleIndex, slot: usize, sides: [bool; 2]) {
        let pair = index.slot(slot).pair as usize;
        let was_touched = self.has_touched_pair(pair);
        for side in [0, 1] {
            if sides[side] {
                self.slots[slot][side] = self.round;
                self.edges[Edge::of(pair, side).index()] = self.round;
            }
        }
        self.pair_count += usize::from(!was_touched && self.has_touched_pair(pair));
    }

    /// Whether the search is to lead through a pool along an edge of this side.
    #[inline]
    pub(super) fn is_touched(&self, slot: usize, side: usize) -> bool {
        self.slots[slot][side] == self.round
    }

    /// Whether it is to lead through one of an edge's pools.
    #[inline]
    pub(super) fn has_touched(&self, edge: Edge) -> bool {
        self.edges[edge.index()] == self.round
    }

    fn has_touched_pair(&self, pair: usize) -> bool {
        self.has_touched(Edge::of(pair, 0)) || self.has_touched(Edge::of(pair, 1))
    }

    /// Whether one pair was touched and no other.
    #[inline]
    pub(super) const fn is_single(&self) -> bool {
        self.pair_count == 1
    }

    /// Whether every cycle along an edge was looked at, or is one that meets its pair twice.
    #[inline]
    pub(super) fn is_screened(&self, edge: Edge) -> bool {
        self.screened[edge.index()] == self.round
    }

    /// Closes a pair to walks while it is screened; `false` if it was screened, or need not be.
    #[inline]
    pub(super) fn begin(&mut self, pair: usize) -> bool {
        let edges = [0, 1].map(|side| Edge::of(pair, side));
        let is_due = |edge: &Edge| self.has_touched(*edge) && !self.is_screened(*edge);
        let is_due = edges.iter().any(is_due);
        if is_due {
            for edge in edges {
                self.screened[edge.index()] = self.round;
            }
        }
        is_due
    }

    /// Opens the edges of the pair again along which nobody has looked.
    #[inline]
    pub(super) fn end(&mut self, pair: usize) {
        for edge in [0, 1].map(|side| Edge::of(pair, side)) {
            if !self.has_touched(edge) {
                self.screened[edge.index()] = 0;
            }
        }
    }
}
