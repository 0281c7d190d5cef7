//! Cycles that are worth nearly what is asked: gas may get cheaper before any of their pools moves.
//!
//! Invariants: each cycle once, by its pools; of more than [`MIND_MAX`], those that came first are
//! forgotten.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use super::by_swaps;
use super::shortlist::Candidate;
use crate::limits::HOPS_MAX;

/// Cycles that are kept in mind.
pub(super) const MIND_MAX: usize = 64;

/// Cycles in the state in which they were last looked at. What moved since was searched anew.
#[derive(Debug)]
pub(super) struct Mind(Vec<Candidate>);

impl Mind {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(MIND_MAX))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn keep(&mut self, cycle: &Candidate) {
        let is_same =
            |held: &&mut Candidate| held.slots == cycle.slots && held.sides == cycle.sides;
        if let Some(held) = self.0.iter_mut().find(is_same) {
            *held = *cycle;
            return;
        }
        if self.0.len() == MIND_MAX {
            self.0.remove(0);
        }
        self.0.push(*cycle);
    }

    /// Those that are worth what is asked, by their swaps.
    pub(super) fn worth<'m>(
        &'m self,
        asked: &'m [f64; HOPS_MAX + 1],
    ) -> impl Iterator<Item = &'m Candidate> {
        self.0.iter().filter(|held| is_worth(held, asked))
    }

    /// Forgets them: they were looked at.
    pub(super) fn forget_worth(&mut self, asked: &[f64; HOPS_MAX + 1]) {
        self.0.retain(|held| !is_worth(held, asked));
    }
}

fn is_worth(held: &Candidate, asked: &[f64; HOPS_MAX + 1]) -> bool {
    held.worth >= by_swaps(asked, held.hop_count.into())
}
