//! The cycles that are worth sizing, best first by estimate.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use super::cycles::TokenCycle;
use super::mind::Mind;
use super::{CANDIDATES_MAX, SearchCounts, by_swaps};
use crate::limits::HOPS_MAX;

/// A cycle of pools by its estimated worth, before it is sized.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) slots: [u32; HOPS_MAX],
    /// Per hop, the side of its edge.
    pub(super) sides: [u8; HOPS_MAX],
    pub(super) hop_count: u8,
    pub(super) base_rank: u8,
    /// Estimated gain, in native.
    pub(super) worth: f64,
}

impl Candidate {
    pub(super) const NONE: Self =
        Self { slots: [0; HOPS_MAX], sides: [0; HOPS_MAX], hop_count: 0, base_rank: 0, worth: 0.0 };
}

/// A token cycle for which no pools are chosen yet, and what it could be worth at most, in native.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) cycle: TokenCycle,
    pub(super) worth_most: f64,
}

/// Token cycles that are put aside before pools are chosen.
const OPEN_MAX: usize = 512;

/// Up to [`CANDIDATES_MAX`] candidates, and what was counted on the way.
#[derive(Debug)]
pub(super) struct Shortlist {
    candidates: [Candidate; CANDIDATES_MAX],
    count: usize,
    /// What a candidate must be worth, in native, by swaps.
    asked: [f64; HOPS_MAX + 1],
    /// What is worth less is not looked at; what is in between is kept in mind.
    floors: [f64; HOPS_MAX + 1],
    pub(super) mind: Mind,
    open: Vec<Open>,
    pub(super) counts: SearchCounts,
}

impl Shortlist {
    pub(super) fn new() -> Self {
        let counts = SearchCounts::default();
        let candidates = [Candidate::NONE; CANDIDATES_MAX];
        Self {
            candidates,
            count: 0,
            asked: [0.0; HOPS_MAX + 1],
            floors: [0.0; HOPS_MAX + 1],
            mind: Mind::new(),
            open: Vec::with_capacity(OPEN_MAX),
            counts,
        }
    }

    pub(super) const fn clear(&mut self, asked: [f64; HOPS_MAX + 1], floors: [f64; HOPS_MAX + 1]) {
        (self.count, self.asked, self.floors) = (0, asked, floors);
    }

    /// What a cycle of so many swaps must be worth, in native.
    #[inline]
    pub(super) const fn asked(&self, hop_count: usize) -> f64 {
        by_swaps(&self.asked, hop_count)
    }

    /// Puts a cycle aside; not if there is no room.
    #[inline]
    pub(super) fn put_aside(&mut self, open: Open) -> bool {
        let has_room = self.open.len() < OPEN_MAX;
        if has_room {
            self.open.push(open);
        }
        has_room
    }

    /// Those that could be worth most first.
    pub(super) fn sort_open(&mut self) {
        if self.open.len() > 1 {
            self.open.sort_unstable_by(|one, other| other.worth_most.total_cmp(&one.worth_most));
        }
    }

    pub(super) fn open(&self, place: usize) -> Option<Open> {
        self.open.get(place).copied()
    }

    pub(super) fn clear_open(&mut self) {
        self.open.clear();
    }

    /// What a cycle of so many swaps must be worth to get on the list, or into mind, in native.
    #[inline]
    pub(super) const fn worth_least(&self, hop_count: usize) -> f64 {
        let floor = by_swaps(&self.floors, hop_count);
        if self.count == CANDIDATES_MAX {
            f64::max(floor, self.candidates[CANDIDATES_MAX - 1].worth)
        } else {
            floor
        }
    }

    pub(super) fn remember(&mut self, candidate: &Candidate) {
        let hop_count = candidate.hop_count.into();
        if candidate.worth < self.asked(hop_count) {
            if candidate.worth >= by_swaps(&self.floors, hop_count) {
                self.mind.keep(candidate);
            }
            return;
        }
        let held = &self.candidates[..self.count];
        let rank = held.partition_point(|held| held.worth >= candidate.worth);
        if rank == CANDIDATES_MAX {
            return;
        }
        self.count = (self.count + 1).min(CANDIDATES_MAX);
        self.candidates[rank..self.count].rotate_right(1);
        self.candidates[rank] = *candidate;
    }

    pub(super) fn as_slice(&self) -> &[Candidate] {
        &self.candidates[..self.count]
    }
}

#[expect(clippy::cast_precision_loss, reason = "chooses candidates only")]
pub(super) const fn float(value: u128) -> f64 {
    value as f64
}
