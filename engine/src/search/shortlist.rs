//! The cycles that are worth sizing, best first by estimate.
//!
//! Temperature: hot.

use super::{FOUND_MAX, SearchCounts};
use crate::limits::HOPS_MAX;

/// A cycle of pools by its estimated worth, before it is sized.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) slots: [u32; HOPS_MAX],
    /// Per hop, the side of its edge.
    pub(super) sides: [u8; HOPS_MAX],
    pub(super) hop_count: u8,
    pub(super) base_rank: u8,
    /// Every curve on it holds for every input.
    pub(super) is_whole: bool,
    /// The same for all that go along one token cycle in one direction.
    pub(super) serial: u64,
    /// Estimated gain in the base token, and in native.
    pub(super) profit: f64,
    pub(super) worth: f64,
}

impl Candidate {
    pub(super) const NONE: Self = Self {
        slots: [0; HOPS_MAX],
        sides: [0; HOPS_MAX],
        hop_count: 0,
        base_rank: 0,
        is_whole: false,
        serial: 0,
        profit: 0.0,
        worth: 0.0,
    };
}

/// Up to [`FOUND_MAX`] candidates, and what was counted on the way.
#[derive(Debug)]
pub(super) struct Shortlist {
    candidates: [Candidate; FOUND_MAX],
    count: usize,
    /// What is worth less is not looked at, in native.
    floor: f64,
    pub(super) counts: SearchCounts,
}

impl Shortlist {
    pub(super) fn new() -> Self {
        let counts = SearchCounts::default();
        Self { candidates: [Candidate::NONE; FOUND_MAX], count: 0, floor: 0.0, counts }
    }

    pub(super) const fn clear(&mut self, floor: f64) {
        (self.count, self.floor) = (0, floor);
    }

    /// What a cycle must be worth to get on the list, in native.
    #[inline]
    pub(super) const fn worth_least(&self) -> f64 {
        if self.count == FOUND_MAX {
            f64::max(self.floor, self.candidates[FOUND_MAX - 1].worth)
        } else {
            self.floor
        }
    }

    pub(super) fn remember(&mut self, candidate: &Candidate) {
        let held = &self.candidates[..self.count];
        let rank = held.partition_point(|held| held.worth >= candidate.worth);
        if rank == FOUND_MAX || candidate.worth < self.floor {
            return;
        }
        self.count = (self.count + 1).min(FOUND_MAX);
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
