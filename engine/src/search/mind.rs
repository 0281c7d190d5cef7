//! Cycles that are worth nearly what is asked: gas may get cheaper before any of their pools moves.
//!
//! Invariants: each cycle once, by its pools; of more than [`MIND_MAX`], the oldest are forgotten.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use super::shortlist::Candidate;
use crate::limits::HOPS_MAX;

/// Cycles that are kept in mind.
pub(super) const MIND_MAX: usize = 64;

/// Cycles in the state in which they were last looked at. What moved since was searched anew.
#[derive(Debug)]
pub(super) struct Mind {
    cycles: Vec<Candidate>,
    /// Where the next goes once there is no room.
    oldest: usize,
}

impl Mind {
    pub(super) fn new() -> Self {
        Self { cycles: Vec::with_capacity(MIND_MAX), oldest: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.cycles.clear();
        self.oldest = 0;
    }

    pub(super) fn keep(&mut self, cycle: &Candidate) {
        let is_same =
            |held: &&mut Candidate| held.slots == cycle.slots && held.sides == cycle.sides;
        if let Some(held) = self.cycles.iter_mut().find(is_same) {
            *held = *cycle;
        } else if self.cycles.len() < MIND_MAX {
            self.cycles.push(*cycle);
        } else {
            self.cycles[self.oldest] = *cycle;
            self.oldest = (self.oldest + 1) % MIND_MAX;
        }
    }

    /// Lets go a cycle that is worth what is asked, by its swaps.
    pub(super) fn take_worth(&mut self, asked: &[f64; HOPS_MAX + 1]) -> Option<Candidate> {
        let asked = |held: &Candidate| asked[usize::from(held.hop_count).min(HOPS_MAX)];
        let place = self.cycles.iter().position(|held| held.worth >= asked(held))?;
        Some(self.cycles.swap_remove(place))
    }
}
