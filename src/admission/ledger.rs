//! The ledger: what is known of each pool from trying it, and when it is tried next.
//!
//! Temperature: cold.

use std::time::{Duration, Instant};

use gannet_engine::world::Standing;

use crate::config::Patience;

/// After this, a pool that failed for the first time is tried once more, at another block: a node
/// that answers one question from a block in the making and the next from the one before slanders
/// honest pools.
const SECOND_LOOK: Duration = Duration::from_secs(13);
/// The longest time between two trials of a pool that fails.
const RETRY_MAX: Duration = Duration::from_hours(24);
/// Refused pools that are named in the log; after that they are counted only.
const NAMED_MAX: usize = 200;

#[derive(Clone, Copy, Debug)]
struct Line {
    standing: Standing,
    due: Instant,
    failures: u32,
}

/// One line for each pool, in the order of handles: that of liquidity, and those that are new last.
#[derive(Debug)]
pub(super) struct Ledger {
    lines: Vec<Line>,
    patience: Patience,
    named: usize,
}

impl Ledger {
    pub(super) fn new(count: usize, patience: Patience, now: Instant) -> Self {
        let mut ledger = Self { lines: Vec::new(), patience, named: 0 };
        ledger.extend_to(count, now);
        ledger
    }

    /// Makes room for pools that are new; false if there are none.
    pub(super) fn extend_to(&mut self, count: usize, now: Instant) -> bool {
        let before = self.lines.len();
        let line = Line { standing: Standing::Untried, due: now, failures: 0 };
        self.lines.resize(before.max(count), line);
        self.lines.len() > before
    }

    /// These pools have one more that may lend their tokens: those that had none are due.
    pub(super) fn lent(&mut self, places: impl Iterator<Item = usize>, now: Instant) {
        for place in places {
            if let Some(line) = self.lines.get_mut(place)
                && line.standing == Standing::Unlent
            {
                line.due = now;
            }
        }
    }

    /// Up to `most` pools that are due: those that were never tried come first, the most liquid of
    /// them before the others.
    pub(super) fn due(&self, most: usize, now: Instant) -> Vec<usize> {
        let due = |is_new: bool| {
            let lines = self.lines.iter().enumerate();
            lines.filter(move |(_, line)| {
                line.due <= now && (line.standing == Standing::Untried) == is_new
            })
        };
        due(true).chain(due(false)).map(|(place, _)| place).take(most).collect()
    }

    /// Enters what a trial came to; true if that is worth a line in the log.
    pub(super) fn enter(&mut self, place: usize, standing: Standing, now: Instant) -> bool {
        let Patience { retry, renew } = self.patience;
        let Some(line) = self.lines.get_mut(place) else { return false };
        let is_news = line.standing != standing;
        line.standing = standing;
        if standing.is_admitted() {
            line.failures = 0;
            line.due = now + renew;
            return false;
        }
        // Most pools of a long tail are alone with their token: that is no news, nor slander.
        let is_charged = !matches!(standing, Standing::Unlent | Standing::Empty);
        let doublings = line.failures.saturating_sub(u32::from(is_charged)).min(20);
        let pause = retry.saturating_mul(1 << doublings).min(RETRY_MAX);
        let is_first = is_charged && line.failures == 0;
        line.due = now + if is_first { pause.min(SECOND_LOOK) } else { pause };
        line.failures += 1;
        let is_told = is_news && is_charged && self.named < NAMED_MAX;
        self.named += usize::from(is_told);
        is_told
    }

    /// Puts pools off that could not be tried at all.
    pub(super) fn put_off(&mut self, places: &[usize], until: Instant) {
        for place in places {
            if let Some(line) = self.lines.get_mut(*place) {
                line.due = until;
            }
        }
    }

    pub(super) fn count(&self, of: Standing) -> usize {
        self.lines.iter().filter(|line| line.standing == of).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { retry: Duration::from_secs(300), renew: Duration::from_secs(7_200) };

    #[test]
    fn pools_are_tried_in_order_and_those_that_failed_soon_again_then_after_pauses_that_double() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut ledger = Ledger::new(3, PATIENCE, start);
        assert_eq!(ledger.due(2, start), [0, 1]);
        assert!(ledger.enter(0, Standing::TransferFee, start));
        assert!(!ledger.enter(1, Standing::Admitted, start));
        assert_eq!(ledger.due(9, start), [2]);
        ledger.enter(2, Standing::Unlent, start);
        assert!(ledger.due(9, at(12)).is_empty());
        assert_eq!(ledger.due(9, at(13)), [0], "the second look");
        assert!(!ledger.enter(0, Standing::TransferFee, at(13)), "that is known");
        assert!(ledger.due(9, at(299)).is_empty());
        assert_eq!(ledger.due(9, at(312)), [2]);
        assert_eq!(ledger.due(9, at(313)), [0, 2]);
        ledger.enter(0, Standing::TransferFee, at(313));
        assert_eq!(ledger.due(9, at(912)), [2]);
        assert_eq!(ledger.due(9, at(913)), [0, 2]);
        assert_eq!(ledger.due(9, at(7_200)), [0, 1, 2]);
    }

    #[test]
    fn a_day_is_the_longest_pause() {
        let start = Instant::now();
        let mut ledger = Ledger::new(1, PATIENCE, start);
        for _ in 0..40 {
            ledger.enter(0, Standing::TransferFee, start);
        }
        assert!(ledger.due(1, start + Duration::from_secs(86_399)).is_empty());
        assert_eq!(ledger.due(1, start + Duration::from_secs(86_400)), [0]);
    }

    #[test]
    fn a_pool_without_a_lender_is_due_as_soon_as_there_is_one() {
        let start = Instant::now();
        let mut ledger = Ledger::new(2, PATIENCE, start);
        ledger.enter(0, Standing::Unlent, start);
        ledger.enter(1, Standing::TransferFee, start);
        assert!(!ledger.extend_to(2, start));
        assert!(ledger.extend_to(3, start));
        ledger.lent(0..2, start);
        assert_eq!(ledger.due(9, start), [2, 0], "who was never tried comes first");
    }

    #[test]
    fn a_pool_that_heals_is_admitted_and_begins_anew_when_it_fails() {
        let start = Instant::now();
        let mut ledger = Ledger::new(1, PATIENCE, start);
        ledger.enter(0, Standing::TransferRefused, start);
        ledger.enter(0, Standing::TransferRefused, start);
        ledger.enter(0, Standing::Admitted, start);
        assert_eq!(ledger.count(Standing::Admitted), 1);
        ledger.enter(0, Standing::TransferRefused, start);
        assert_eq!(ledger.due(1, start + PATIENCE.retry), [0]);
    }
}
